//! What providers tell us: `POST /hooks/{connection}`, an address of its own for each connection.
//!
//! The rail says what must hold (signature over the raw bytes, freshness), the keyring checks it against every secret in force, and the
//! engine writes the notice down before it is acknowledged. What a notice says is a hint to look; it marks nothing paid.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, post};
use florin_core::id::ConnectionId;
use florin_core::rail::Notice;
use florin_services::engine::Unproven;

use crate::problem::Problem;
use crate::{Doors, body};

/// The hooks alone, for an installation whose other doors are elsewhere: the pretend provider's, to which its card issuer speaks.
pub fn router(doors: Doors) -> Router {
    Router::new()
        .route("/hooks/{connection}", taking(doors.settings.body_bytes))
        .with_state(doors)
}

/// Takes notices of at most `limit` bytes.
pub(crate) fn taking(limit: usize) -> MethodRouter<Doors> {
    post(receive).layer((
        DefaultBodyLimit::disable(),
        from_fn(move |request, next| body::whole(limit, request, next)),
    ))
}

/// Takes a notice: 200 once it is durable, 400 if it is not proven (and then it changes nothing).
async fn receive(
    State(doors): State<Doors>,
    Path(connection): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let unknown = || {
        refused("unknown");
        Problem::new("not_found", "there is no such hook")
    };
    let id: ConnectionId = connection.parse().map_err(|_| unknown())?;
    let named = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let notice = Notice {
        headers: named.collect::<BTreeMap<_, _>>(),
        body: body.to_vec(),
    };
    match doors.engine.notice(id, notice).await {
        Ok(()) => Ok(StatusCode::OK),
        Err(Unproven::Unknown) => Err(unknown()),
        Err(Unproven::Refused) => {
            refused("unproven");
            // The same for all: what this server lacks is said in its log, not to whoever calls.
            let detail = "this notice is not proven: its signature or its age does not hold, or there is no secret to check it by";
            let fix = "sign it with the secret that this connection's `webhook_secret` names, and send it at once";
            Err(Problem::new("invalid_request", detail).fix(fix))
        }
        Err(Unproven::Denied(denied)) => Err(denied.into()),
    }
}

/// Counts what is not taken: anybody can send some, so the log has them with a limit, or not at all.
fn refused(why: &'static str) {
    metrics::counter!("florin_notices_refused_total", "why" => why).increment(1);
}
