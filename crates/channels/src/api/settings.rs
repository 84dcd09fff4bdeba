//! What the resources around the orders have in common: the answer to a call that makes one, and for how long what is replaced lives on.

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// Overlap of a rolled key, and of a rotated endpoint secret: a day.
const OVERLAP_S_DEFAULT: u32 = 86_400;

/// Longest overlap: 30 days.
const OVERLAP_S_MAX: u32 = 30 * 86_400;

/// Replaces a key or a secret.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBody {
    /// Seconds for which the old one still works; a day if nothing is said.
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub overlap_s: Option<u32>,
}

/// 201, or the same answer once more under the same idempotency key.
pub(super) fn made_answer(replayed: bool, body: impl Serialize) -> Response {
    answer(StatusCode::CREATED, replayed, body)
}

/// 200 for what was changed, or what it is now under the same idempotency key: nothing is changed twice.
pub(super) fn changed_answer(replayed: bool, body: impl Serialize) -> Response {
    answer(StatusCode::OK, replayed, body)
}

fn answer(status: StatusCode, replayed: bool, body: impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    if replayed {
        response
            .headers_mut()
            .insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// How long the old one lives on.
pub(super) fn overlap(body: &RollBody) -> Result<u32, Problem> {
    let seconds = body.overlap_s.unwrap_or(OVERLAP_S_DEFAULT);
    if seconds > OVERLAP_S_MAX {
        return Err(Problem::new(
            "invalid_value",
            format!("overlap_s is {seconds}: it can be 0 to {OVERLAP_S_MAX}"),
        )
        .at("overlap_s"));
    }
    Ok(seconds)
}
