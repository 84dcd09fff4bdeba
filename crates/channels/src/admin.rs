//! The admin door: health and metrics, on an address of its own that is never public.
//!
//! `/livez` says that the process runs; `/readyz` that it can take work now (database answers, not draining); `/startupz` that it has
//! started; `/metrics` is Prometheus text, rendered here and nowhere else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use florin_core::id::NodeId;
use metrics_exporter_prometheus::PrometheusHandle;

/// What somebody reads who opens the address itself.
const FRONT: &str = "Health and metrics of this Florin.\n\n/livez     the process runs\n/readyz    it can take work now, or why not\n\
                     /startupz  it has started\n/metrics   figures for Prometheus\n";

/// Asked whether work can be taken; the text says why not.
pub type Ready = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Called before metrics are rendered, so that ages and depths are of this moment.
pub type Gather = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The header in which `/readyz` says which node answers, so that a tool can tell this server from another one at the same address.
pub const NODE: &str = "florin-node";

#[derive(Clone)]
struct Admin {
    metrics: PrometheusHandle,
    ready: Ready,
    gather: Gather,
    node: NodeId,
}

/// Routes of the admin door of this node.
pub fn router(metrics: PrometheusHandle, ready: Ready, gather: Gather, node: NodeId) -> Router {
    Router::new()
        .route("/", get(|| async { FRONT }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/startupz", get(readyz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Admin {
            metrics,
            ready,
            gather,
            node,
        })
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let (status, says) = match (admin.ready)().await {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    };
    (status, [(NODE, admin.node.to_string())], says)
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    (admin.gather)().await;
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        admin.metrics.render(),
    )
}
