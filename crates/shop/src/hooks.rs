//! `POST /hooks/florin`: where Florin tells the shop what happened.
//!
//! The raw bytes are verified before they are read, what they say is on disk before they are acknowledged, and only then does 200 go
//! back. Anything else makes Florin send it again.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::api::shapes::Notice;
use crate::checkout::settle;
use crate::pages::App;
use crate::purchase::{News, Verdict};
use crate::shelf::Change;
use crate::signature::{Disbelief, verify};
use crate::{Shop, clock};

/// A webhook holds one order and little else; Florin's own limit for a body is the same.
pub(crate) const BODY_BYTES: usize = 256 << 10;

pub(crate) async fn receive(State(shop): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let secrets = shop.endpoint.secrets();
    if secrets.is_empty() {
        let again = [(RETRY_AFTER, "1")];
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            again,
            "the shop's endpoint is not registered yet",
        )
            .into_response();
    }
    let id = match verify(&headers, &body, &secrets, clock::now()) {
        Ok(id) => id,
        Err(why) => {
            tracing::warn!(%why, "a webhook was not believed");
            let status = match why {
                Disbelief::Header(_) => StatusCode::BAD_REQUEST,
                Disbelief::Stale | Disbelief::Forged => StatusCode::UNAUTHORIZED,
            };
            return (status, why.to_string()).into_response();
        }
    };
    let notice: Notice = match serde_json::from_slice(&body) {
        Ok(notice) => notice,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("cannot read the body: {why}")).into_response(),
    };
    if notice.id != id {
        return (StatusCode::BAD_REQUEST, "header `webhook-id` and member `id` differ").into_response();
    }
    match apply(&shop, notice).await {
        Ok(verdict) => Json(json!({ "verdict": verdict })).into_response(),
        Err(why) => {
            tracing::error!(%why, "a webhook could not be written down");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Writes down what a webhook says; nothing when it is about somebody else's order, or no order.
async fn apply(shop: &Shop, notice: Notice) -> std::io::Result<Option<Verdict>> {
    let Some(order) = notice.data.order else {
        return Ok(None);
    };
    shop.scenes.forget(&order.id);
    let news = News {
        id: notice.id,
        kind: notice.kind,
        sequence: notice.sequence,
        at: clock::now(),
        order,
    };
    shop.book
        .change(move |shelf| {
            // By reference, because a webhook may overtake the answer that tells the shop Florin's id.
            let known = shelf
                .by_reference(&news.order.reference)
                .filter(|known| known.matches(&news.order));
            let Some(mut purchase) = known.cloned() else {
                return (Change::default(), None);
            };
            let (at, paid) = (news.at, news.order.is_paid());
            let verdict = purchase.hear(news);
            let change = match verdict {
                Verdict::Applied if paid && !purchase.settled => {
                    let cart = shelf.cart(&purchase.owner);
                    settle(purchase, cart, at)
                }
                Verdict::Applied | Verdict::Older | Verdict::Duplicate => purchase.into(),
            };
            (change, Some(verdict))
        })
        .await
}
