//! What is said about every request of a door: its id, the API's version, and how long it took.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use florin_core::id::KeyId;
use florin_services::dice;
use florin_store::{Mode, Tenant};
use metrics::Histogram;
use serde_json::Value;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::Instrument;
use tracing::field::Empty;

use crate::api::says;
use crate::lists::{self, Place};
use crate::problem::Problem;

/// How our keys begin.
const KEY_PREFIXES: [&str; 3] = ["sk_test_", "sk_live_", "fl_admin_"];
/// Characters of a refused key that are logged behind its prefix: as many as tell keys apart, and open nothing.
const HINT_CHARS: usize = 4;
/// No key of ours is shorter. What is shorter is somebody's word, of which nothing is logged.
const KEY_CHARS_MIN: usize = 24;

/// The version of the API's shapes. Every caller gets this one.
pub(crate) const API_VERSION: &str = "2026-11-21";

tokio::task_local! {
    static NAMED: Named;
}

/// A request while it is answered.
struct Named {
    id: String,
    noted: RefCell<Option<Noted>>,
    /// What its answer keeps until it is handed on.
    place: RefCell<Option<Place>>,
}

/// What an audit wants to know of a request (PCI DSS 10.2): who administered something, or whose key was refused.
enum Noted {
    Managed { key: String, tenant: Tenant },
    Administered,
    Refused { hint: String },
}

/// The id of the request that is being answered.
pub(crate) fn id() -> Option<String> {
    NAMED.try_with(|named| named.id.clone()).ok()
}

/// This request changes settings of a merchant.
pub(crate) fn managed(key: KeyId, tenant: Tenant) {
    let key = key.to_string();
    note(Noted::Managed { key, tenant });
}

/// This request is the installation's administrator's.
pub(crate) fn administered() {
    note(Noted::Administered);
}

/// The key that came with this request opens nothing.
pub(crate) fn refused(secret: &str) {
    let hint = hint(secret).to_owned();
    note(Noted::Refused { hint });
}

/// The beginning of what looks like a key of ours. Anything else may be a password or a card number that came to the wrong place.
fn hint(secret: &str) -> &str {
    let prefix = KEY_PREFIXES.into_iter().find(|prefix| secret.starts_with(prefix));
    let shown = prefix
        .filter(|_| secret.len() >= KEY_CHARS_MIN)
        .and_then(|prefix| secret.get(..prefix.len() + HINT_CHARS));
    shown
        .filter(|shown| shown.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .unwrap_or_default()
}

/// This request reads a list, in this place: its answer keeps it.
pub(crate) fn keep(place: Place) {
    let _ = NAMED.try_with(|named| named.place.replace(Some(place)));
}

fn note(noted: Noted) {
    // Outside of a request there is nobody to tell: a test that calls a function.
    let _ = NAMED.try_with(|named| named.noted.replace(Some(noted)));
}

impl Noted {
    fn log(&self, id: &str, method: &str, route: &str, status: u16) {
        match self {
            Self::Managed { key, tenant } => {
                let mode = match tenant.mode {
                    Mode::Test => "test",
                    Mode::Live => "live",
                };
                tracing::info!(target: "florin::access", request_id = %id, %method, route, status, key, merchant = %tenant.merchant, mode, "settings");
            }
            Self::Administered => {
                tracing::info!(target: "florin::access", request_id = %id, %method, route, status, "administration");
            }
            Self::Refused { hint } => {
                tracing::info!(target: "florin::access", request_id = %id, %method, route, status, hint, "a key that opens nothing");
            }
        }
    }
}

/// How long requests took.
static TIMES: Times = Times(RwLock::new(None));

/// Where times are kept, by door, route and status: looked up once for each, because finding one in the registry costs more than
/// recording.
struct Times(RwLock<Option<HashMap<String, Vec<Time>>>>);

struct Time {
    door: &'static str,
    status: u16,
    took: Histogram,
}

impl Times {
    fn record(&self, door: &'static str, route: &str, status: u16, took: Duration) {
        if let Some(known) = self.find(door, route, status) {
            return known.record(took.as_secs_f64());
        }
        let labels = [
            ("door", door.to_owned()),
            ("route", route.to_owned()),
            ("status", status.to_string()),
        ];
        let new = metrics::histogram!("florin_request_seconds", &labels);
        new.record(took.as_secs_f64());
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let times = all.get_or_insert_default().entry(route.to_owned()).or_default();
        times.push(Time {
            door,
            status,
            took: new,
        });
    }

    fn find(&self, door: &'static str, route: &str, status: u16) -> Option<Histogram> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let times = all.as_ref()?.get(route)?;
        let found = times.iter().find(|time| time.door == door && time.status == status)?;
        Some(found.took.clone())
    }
}

/// Answers a request under its id, logs it without anything personal, and counts it under the name of its door.
///
/// What the framework refused before a call of ours was reached, it refused in words of its own: `bare` says it in the door's.
pub(crate) async fn watched(
    door: &'static str,
    id: String,
    request: Request,
    next: Next,
    bare: fn(StatusCode) -> Response,
) -> Response {
    let method = word_of(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unknown", MatchedPath::as_str);
    let began = Instant::now();
    let named = Named {
        id: id.clone(),
        noted: RefCell::new(None),
        place: RefCell::new(None),
    };
    let (response, noted) = NAMED
        .scope(named, async {
            let span = tracing::debug_span!("request", door, %method, route, request_id = %id, status = Empty);
            let mut response = next.run(request).instrument(span.clone()).await;
            if is_bare(&response) {
                response = bare(response.status());
            }
            span.record("status", response.status().as_u16());
            if let Some(place) = NAMED.with(|named| named.place.take()) {
                response = response.map(|body| lists::held(body, place));
            }
            (response, NAMED.with(|named| named.noted.take()))
        })
        .await;
    let took = began.elapsed();
    let status = response.status().as_u16();
    if let Some(noted) = noted {
        noted.log(&id, method, route, status);
    }
    // 503 is how a busy or stopping server says "come back", and no fault.
    if status >= 500 && status != 503 {
        tracing::warn!(request_id = %id, door, %method, route, status, duration_us = took.as_micros() as u64, "answered");
    } else {
        tracing::debug!(request_id = %id, door, %method, route, status, duration_us = took.as_micros() as u64, "answered");
    }
    TIMES.record(door, route, status, took);
    response
}

/// A method as it is logged. Callers may make words of their own, and write into them what is for no log.
fn word_of(method: &Method) -> &'static str {
    const KNOWN: [(Method, &str); 7] = [
        (Method::GET, "GET"),
        (Method::POST, "POST"),
        (Method::DELETE, "DELETE"),
        (Method::HEAD, "HEAD"),
        (Method::OPTIONS, "OPTIONS"),
        (Method::PUT, "PUT"),
        (Method::PATCH, "PATCH"),
    ];
    let known = KNOWN.iter().find(|(known, _)| known == method);
    known.map_or("other", |(_, word)| word)
}

/// Whether a refusal is the framework's: no call of ours refuses in plain text.
pub(crate) fn is_bare(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    response.status().is_client_error() && kind.is_some_and(|kind| kind.starts_with(b"text/plain"))
}

/// The framework's refusal as a problem.
fn bare(status: StatusCode) -> Response {
    let problem = if status == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new("body_too_large", "the body is larger than what is taken here")
    } else {
        let detail = "the address is not encoded as UTF-8, or the body broke off";
        Problem::new("invalid_request", detail)
    };
    problem.into_response()
}

/// A problem's body, read again to be shown as a page.
const PROBLEM_BYTES_MAX: usize = 64 << 10;

/// Whether an address is written out as one: browsers also take `https:host`, and skip blanks and line breaks, which nothing else does.
pub(crate) fn is_plainly_http(address: &str) -> bool {
    let scheme = address.split_once("://").map_or("", |(scheme, _)| scheme);
    let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    known && !address.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

/// Whether a person opened this address with a browser. What stands under `/v1` is for programs, some of which ask for HTML by default.
fn is_a_persons(request: &Request) -> bool {
    let path = request.uri().path();
    let asks = |accept: &HeaderValue| accept.to_str().is_ok_and(|accept| accept.contains("text/html"));
    request.method() == Method::GET
        && !path.starts_with("/v1/")
        && request.headers().get(header::ACCEPT).is_some_and(asks)
}

/// The same problem as a page.
async fn as_a_page(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind != Some(b"application/problem+json") {
        return response;
    }
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), PROBLEM_BYTES_MAX)
        .await
        .unwrap_or_default();
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut detail = text("detail");
    if let Some(first) = detail.get(..1).map(str::to_uppercase) {
        detail.replace_range(..1, &first);
    }
    detail.push('.');
    says(status, &text("title"), &detail, &text("fix"), &text("code"))
}

/// Names the request, and answers under that name.
pub(crate) async fn name(request: Request, next: Next) -> Response {
    let id = format!("req_{}", dice::hex(&dice::name::<16>()));
    let persons = is_a_persons(&request);
    let mut response = watched("api", id.clone(), request, next, bare).await;
    if persons && response.status().as_u16() >= 400 {
        response = as_a_page(response).await;
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    headers.insert("florin-version", HeaderValue::from_static(API_VERSION));
    response
}

/// Says in every answer that this origin is reached over TLS alone, if it is (ASVS 3.4.1).
pub(crate) fn only_tls(address: &str) -> SetResponseHeaderLayer<Option<HeaderValue>> {
    let value = address
        .starts_with("https://")
        .then(|| HeaderValue::from_static("max-age=63072000"));
    SetResponseHeaderLayer::overriding(header::STRICT_TRANSPORT_SECURITY, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_logged_only_if_it_is_a_known_one() {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::PATCH] {
            assert_eq!(word_of(&method), method.as_str());
        }
        for other in ["4111", "get", "BREW"] {
            assert_eq!(word_of(&Method::from_bytes(other.as_bytes()).unwrap()), "other");
        }
    }

    #[test]
    fn only_of_what_looks_like_a_key_of_ours_the_beginning_is_logged() {
        let rest = "abcdefghijklmnopqrstuvwxyz";
        for (prefix, shown) in [
            ("sk_test_", "sk_test_abcd"),
            ("sk_live_", "sk_live_abcd"),
            ("fl_admin_", "fl_admin_abcd"),
        ] {
            assert_eq!(hint(&format!("{prefix}{rest}")), shown);
        }
        for other in [
            "a number of somebody's card",
            "hunter2hunter2hunter2hunter2",
            "sk_test_hunter2",
            "sk_live_",
            "",
        ] {
            assert_eq!(hint(other), "", "{other}");
        }
        assert_eq!(hint("sk_live_é\u{9b}bcdefghijklmnopqrstuv"), "");
    }
}
