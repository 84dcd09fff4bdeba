//! `/challenge/{token}`: the 3-D Secure challenge of the pretend provider's cards. The payer chooses how it ends.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use florin_services::ask::What;

use super::{Door, Frame, is_ours, written};
use crate::stripe_compat::form::{self, Node};
use crate::stripe_compat::shape::{self, Seen};

#[derive(Template)]
#[template(path = "pay/challenge.html")]
struct ChallengePage<'a> {
    frame: Frame<'a>,
    total: String,
    card: Option<String>,
}

/// `GET`: the question.
pub(super) async fn show(State(door): State<Door>, Path(token): Path<String>) -> Result<Response, Response> {
    let opened = door.open(&token).await?;
    let seen = Seen::new(&opened.view);
    let Some(attempt) = shape::intent::acting(&seen) else {
        return Ok(door.to(&format!("/c/back/{token}")));
    };
    let card = seen
        .card_of(door.scene(), attempt)
        .map(|card| format!("{} ending in {}", brand(&card.brand), card.last4));
    let page = ChallengePage {
        frame: door.frame(&opened.view, None),
        total: written(opened.view.order.due),
        card,
    };
    Ok(door.page(StatusCode::OK, &page))
}

/// `POST`: the answer.
pub(super) async fn answer(
    State(door): State<Door>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Response, Response> {
    let opened = door.open(&token).await?;
    let form = form::parse(&body).unwrap_or_default();
    let result = form.iter().find_map(|(name, node)| match (name.as_str(), node) {
        ("result", Node::Text(result)) if matches!(result.as_str(), "passed" | "failed") => Some(result.clone()),
        (_, Node::Text(_) | Node::Table(_)) => None,
    });
    let Some(result) = result.filter(|_| is_ours(&headers, &door.doors.settings.stripe_url)) else {
        return Ok(door.to(&format!("/challenge/{token}")));
    };
    let params = [("result".to_owned(), result)].into();
    door.try_ask(
        &opened.view,
        What::Back {
            order: opened.view.order.id,
            params,
        },
    )
    .await;
    Ok(door.to(&format!("/c/back/{token}")))
}

/// A network as people write it.
fn brand(word: &str) -> &str {
    const BRANDS: [(&str, &str); 7] = [
        ("amex", "American Express"),
        ("diners", "Diners Club"),
        ("discover", "Discover"),
        ("jcb", "JCB"),
        ("mastercard", "Mastercard"),
        ("unionpay", "UnionPay"),
        ("visa", "Visa"),
    ];
    BRANDS.iter().find(|row| row.0 == word).map_or(word, |row| row.1)
}
