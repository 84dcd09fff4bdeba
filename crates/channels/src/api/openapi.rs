//! The API's description, OpenAPI 3.1, made from the code: `GET /v1/openapi.json`, `florin openapi`, and golden in the repository.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{RefOr, Required};

use super::{connections, customers, deliveries, endpoints, events, keys, ledger, merchants, methods, orders};

/// The whole description.
#[derive(OpenApi)]
#[openapi(
    info(title = "Florin", description = "Orders registered exactly once, paid over whichever rail works: once.", license(name = "Apache-2.0")),
    paths(
        orders::create, orders::list, orders::get, orders::confirm, orders::capture, orders::void, orders::cancel, orders::attempts,
        orders::captures, orders::refund, orders::refunds, orders::get_refund, orders::resolve,
        events::list, events::get, events::of_order, deliveries::resend_event, deliveries::list, deliveries::get, deliveries::of_order,
        deliveries::resend, ledger::balances, ledger::list, ledger::of_order,
        merchants::create, merchants::list, keys::create, keys::list, keys::roll,
        keys::revoke, connections::create, connections::list, connections::get,
        connections::change, customers::create, customers::list, customers::get,
        customers::change, customers::delete, methods::create, methods::list, methods::get,
        methods::delete, endpoints::create, endpoints::list, endpoints::get, endpoints::change,
        endpoints::delete, endpoints::rotate,
    ),
    tags(
        (name = "orders", description = "What is to be paid"),
        (name = "attempts", description = "Every try to pay an order; at most one of them ever takes money"),
        (name = "refunds", description = "Money that goes back"),
        (name = "events", description = "What happened"),
        (name = "ledger", description = "Where the money is: double entry, to the minor unit"),
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
    what_all_calls_have(&mut document);
    document
}

/// What a parameter is that means the same in every call.
const PARAMETERS: &[(&str, &str)] = &[
    ("after", "The last id of the page before"),
    ("customer", "The customer's id"),
    ("endpoint", "The endpoint's id"),
    ("id", "Its id"),
    ("limit", "How many; 20 if nothing is said"),
    ("order", "The order's id"),
    ("status", "Where it stands"),
];

/// A name for each call that no other has, and words for the parameters that many calls share.
fn what_all_calls_have(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let words: Vec<&str> = path
            .split(['/', '{', '}'])
            .filter(|word| !word.is_empty() && *word != "v1")
            .collect();
        let methods = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in methods {
            let Some(operation) = operation else { continue };
            operation.operation_id = Some(format!("{method}_{}", words.join("_")));
            for parameter in operation.parameters.iter_mut().flatten() {
                let RefOr::T(parameter) = parameter else { continue };
                let shared = PARAMETERS.iter().find(|row| row.0 == parameter.name);
                if parameter.description.is_none() {
                    parameter.description = shared.map(|row| row.1.to_owned());
                }
            }
        }
    }
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

/// Written once: anybody may ask for it.
static WRITTEN: LazyLock<Bytes> = LazyLock::new(|| {
    let text = serde_json::to_vec(&document()).expect("a description of strings, lists and maps");
    Bytes::from(text)
});

pub(super) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], WRITTEN.clone())
}
