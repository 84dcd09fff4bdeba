//! The native API, `/v1`: JSON in and out, RFC 9457 problems, an idempotency key wherever money moves.

pub mod ask;
pub mod connections;
pub mod customers;
pub mod deliveries;
pub mod endpoints;
pub mod events;
pub mod gate;
pub mod health;
pub mod keys;
pub mod ledger;
pub mod merchants;
pub mod methods;
mod openapi;
mod orders;
pub mod params;
mod reference;
mod refused;
pub mod settings;
pub mod shapes;
mod unread;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};
use tower_http::catch_panic::CatchPanicLayer;

pub use openapi::document;
pub(crate) use reference::{says, says_to_payer};

use crate::policy::{BODY_BYTES_MAX, Reports};
use crate::problem::Problem;
use crate::{Doors, body, hooks, request, returned};

/// Routes of the API's origin: the API, its reference, the problems' pages, providers' hooks, and the payers' way back.
pub fn router(doors: Doors) -> Router {
    let meter = gate::Meter::default();
    let notices = hooks::taking(doors.settings.body_bytes);
    let calls = Router::new()
        .route("/v1/orders", get(orders::list).post(orders::create))
        .route("/v1/orders/{id}", get(orders::get))
        .route("/v1/orders/{id}/confirm", post(orders::confirm))
        .route("/v1/orders/{id}/capture", post(orders::capture))
        .route("/v1/orders/{id}/void", post(orders::void))
        .route("/v1/orders/{id}/cancel", post(orders::cancel))
        .route("/v1/orders/{id}/refunds", get(orders::refunds).post(orders::refund))
        .route("/v1/orders/{id}/attempts", get(orders::attempts))
        .route("/v1/orders/{id}/captures", get(orders::captures))
        .route("/v1/orders/{id}/events", get(events::of_order))
        .route("/v1/orders/{id}/ledger_entries", get(ledger::of_order))
        .route("/v1/orders/{id}/deliveries", get(deliveries::of_order))
        .route("/v1/attempts/{id}/resolve", post(orders::resolve))
        .route("/v1/refunds/{id}", get(orders::get_refund))
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}", get(events::get))
        .route("/v1/events/{id}/resend", post(deliveries::resend_event))
        .route("/v1/deliveries", get(deliveries::list))
        .route("/v1/deliveries/{id}", get(deliveries::get))
        .route("/v1/deliveries/{id}/resend", post(deliveries::resend))
        .route("/v1/balances", get(ledger::balances))
        .route("/v1/ledger_entries", get(ledger::list))
        .route("/v1/merchants", get(merchants::list).post(merchants::create))
        .route("/v1/keys", get(keys::list).post(keys::create))
        .route("/v1/keys/{id}/roll", post(keys::roll))
        .route("/v1/keys/{id}/revoke", post(keys::revoke))
        .route("/v1/connections", get(connections::list).post(connections::create))
        .route("/v1/connections/{id}", get(connections::get).post(connections::change))
        .route("/v1/customers", get(customers::list).post(customers::create))
        .route(
            "/v1/customers/{id}",
            get(customers::get).post(customers::change).delete(customers::delete),
        )
        .route("/v1/methods", get(methods::list).post(methods::create))
        .route("/v1/methods/{id}", get(methods::get).delete(methods::delete))
        .route("/v1/webhook_endpoints", get(endpoints::list).post(endpoints::create))
        .route(
            "/v1/webhook_endpoints/{id}",
            get(endpoints::get).post(endpoints::change).delete(endpoints::delete),
        )
        .route("/v1/webhook_endpoints/{id}/rotate_secret", post(endpoints::rotate))
        .layer(from_fn_with_state((doors.clone(), meter), gate::count));
    calls
        .route("/v1/openapi.json", get(openapi::serve))
        .route("/openapi.json", get(openapi::serve))
        .route("/docs", get(reference::page))
        .route("/docs/style.css", get(reference::style))
        .route("/docs/mark.svg", get(reference::mark))
        .route("/problems", get(reference::problems))
        .route("/problems/{code}", get(reference::problem))
        .route("/policy-reports", policy_reports())
        .route("/", get(reference::front))
        .route("/hooks/{connection}", notices)
        .route("/return/{token}", get(returned::back))
        .fallback(|| async {
            Problem::new("not_found", "there is nothing at this address")
                .fix("compare the address with the reference (`/docs`)")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new("method_not_allowed", "this address does not take this method")
        })
        // One layer of three, the first outermost: each layer of a router is a boxed service of its own for every request.
        .layer((
            from_fn(request::name),
            request::only_tls(&doors.settings.api_url),
            CatchPanicLayer::custom(|_| {
                let mut problem =
                    axum::response::IntoResponse::into_response(Problem::new("internal", "something here is wrong"));
                *problem.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                problem
            }),
        ))
        .with_state(doors)
}

/// Where browsers say what the policy of our pages stopped.
fn policy_reports() -> MethodRouter<Doors> {
    let reports = Arc::new(Reports::about("api"));
    let counted = Arc::clone(&reports);
    get(move || async move { counted.count() })
        .post(move |body: Bytes| async move { reports.take(&body) })
        .layer(from_fn(|request, next| body::whole(BODY_BYTES_MAX, request, next)))
}
