//! What is said about every request of a door: its id, the API's version, and how long it took.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use florin_services::dice;

/// The version of the API's shapes. Every caller gets this one.
pub(crate) const API_VERSION: &str = "2026-11-21";

tokio::task_local! {
    static ID: String;
}

/// The id of the request that is being answered.
pub(crate) fn id() -> Option<String> {
    ID.try_with(Clone::clone).ok()
}

/// Names the request, answers under that name, logs it without anything personal and counts it.
pub(crate) async fn name(request: Request, next: Next) -> Response {
    let id = format!("req_{}", dice::token::<16>());
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let began = Instant::now();
    let mut response = ID.scope(id.clone(), next.run(request)).await;
    let took = began.elapsed();
    let status = response.status().as_u16();
    if status >= 500 {
        tracing::warn!(request_id = %id, %method, route, status, duration_us = took.as_micros() as u64, "answered");
    } else {
        tracing::debug!(request_id = %id, %method, route, status, duration_us = took.as_micros() as u64, "answered");
    }
    metrics::histogram!("florin_request_seconds", "route" => route, "status" => status.to_string())
        .record(took.as_secs_f64());
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    headers.insert("florin-version", HeaderValue::from_static(API_VERSION));
    response
}
