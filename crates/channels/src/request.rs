//! What is said about every request of a door: its id, the API's version, and how long it took.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use florin_services::dice;
use metrics::Histogram;

/// The version of the API's shapes. Every caller gets this one.
pub(crate) const API_VERSION: &str = "2026-11-21";

tokio::task_local! {
    static ID: String;
}

/// The id of the request that is being answered.
pub(crate) fn id() -> Option<String> {
    ID.try_with(Clone::clone).ok()
}

/// How long requests took.
static TIMES: Times = Times(RwLock::new(None));

/// Where times are kept, by route and status: looked up once for each, because finding one in the registry costs more than recording.
struct Times(RwLock<Option<ByRoute>>);

type ByRoute = HashMap<String, Vec<(u16, Histogram)>>;

impl Times {
    fn record(&self, route: &str, status: u16, took: Duration) {
        let known = |all: &Option<ByRoute>| {
            let statuses = all.as_ref()?.get(route)?;
            let (_, times) = statuses.iter().find(|(of, _)| *of == status)?;
            Some(times.clone())
        };
        let found = known(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let times = found.unwrap_or_else(|| {
            let labels = [("route", route.to_owned()), ("status", status.to_string())];
            let times = metrics::histogram!("florin_request_seconds", &labels);
            let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let statuses = all.get_or_insert_default().entry(route.to_owned()).or_default();
            statuses.push((status, times.clone()));
            times
        });
        times.record(took.as_secs_f64());
    }
}

/// Names the request, answers under that name, logs it without anything personal and counts it.
pub(crate) async fn name(request: Request, next: Next) -> Response {
    let id = format!("req_{}", dice::hex(&dice::name::<16>()));
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unknown", MatchedPath::as_str);
    let began = Instant::now();
    let mut response = ID.scope(id.clone(), next.run(request)).await;
    let took = began.elapsed();
    let status = response.status().as_u16();
    if status >= 500 {
        tracing::warn!(request_id = %id, %method, route, status, duration_us = took.as_micros() as u64, "answered");
    } else {
        tracing::debug!(request_id = %id, %method, route, status, duration_us = took.as_micros() as u64, "answered");
    }
    TIMES.record(route, status, took);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    headers.insert("florin-version", HeaderValue::from_static(API_VERSION));
    response
}
