//! The API's description, OpenAPI 3.1, made from the code: `GET /v1/openapi.json`, `florin openapi`, and golden in the repository.

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{RefOr, Required};

use super::{events, orders, settings};

/// The whole description.
#[derive(OpenApi)]
#[openapi(
    info(title = "Florin", description = "Orders registered exactly once, paid over whichever rail works: once.", license(name = "Apache-2.0")),
    paths(
        orders::create, orders::list, orders::get, orders::confirm, orders::capture, orders::void, orders::cancel, orders::attempts,
        orders::captures, orders::refund, orders::refunds, orders::get_refund, orders::resolve,
        events::list, events::get, events::of_order, events::resend, events::deliveries, events::delivery, events::order_deliveries,
        events::redeliver, events::balances, events::ledger, events::order_ledger,
        settings::create_merchant, settings::list_merchants, settings::create_key, settings::list_keys, settings::roll_key,
        settings::revoke_key, settings::create_connection, settings::list_connections, settings::get_connection,
        settings::change_connection, settings::create_customer, settings::list_customers, settings::get_customer,
        settings::change_customer, settings::delete_customer, settings::create_method, settings::list_methods, settings::get_method,
        settings::delete_method, settings::create_endpoint, settings::list_endpoints, settings::get_endpoint, settings::change_endpoint,
        settings::delete_endpoint, settings::rotate_endpoint,
    ),
    tags(
        (name = "orders", description = "What is to be paid, and every try to pay it"),
        (name = "refunds", description = "Money that goes back"),
        (name = "events", description = "What happened"),
        (name = "books", description = "Where the money is: double entry, to the minor unit"),
        (name = "webhooks", description = "Who is told, and whether they heard it"),
        (name = "customers", description = "Who pays, as you know them"),
        (name = "methods", description = "Stored methods: tokens, never card numbers"),
        (name = "connections", description = "Your accounts at providers"),
        (name = "keys", description = "API keys"),
        (name = "merchants", description = "Who is paid; with the installation's admin key"),
    )
)]
struct Description;

/// The description as a document.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Description::openapi();
    document.info.version = crate::request::API_VERSION.to_owned();
    let scheme = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("`sk_test_…` or `sk_live_…`"))
        .build();
    document
        .components
        .get_or_insert_default()
        .add_security_scheme("key", SecurityScheme::Http(scheme));
    document.security = Some(vec![utoipa::openapi::security::SecurityRequirement::new(
        "key",
        Vec::<String>::new(),
    )]);
    bodies_that_may_be_left_out(&mut document);
    document
}

/// A body of which nothing is required may be left out: it then reads as `{}`.
fn bodies_that_may_be_left_out(document: &mut utoipa::openapi::OpenApi) {
    let value = serde_json::to_value(&*document).unwrap_or_default();
    let optional = |name: &str| {
        let required = value.pointer(&format!("/components/schemas/{name}/required"));
        required.and_then(serde_json::Value::as_array).is_none_or(Vec::is_empty)
    };
    for item in document.paths.paths.values_mut() {
        let bodies = item
            .post
            .iter_mut()
            .filter_map(|operation| operation.request_body.as_mut());
        for body in bodies {
            let RefOr::T(body) = body else { continue };
            if let Some(RefOr::T(content)) = body.content.get("application/json")
                && let Some(RefOr::Ref(reference)) = content.schema.as_ref()
                && optional(reference.ref_location.rsplit('/').next().unwrap_or_default())
            {
                body.required = Some(Required::False);
            }
        }
    }
}

pub(super) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
