//! `/c/back/{token}`: where payers come back to from a provider's page or a challenge. It asks how things stand, never marks anything paid,
//! and leads the payer on: to the session's page, or to the address that the merchant gave for an intent.

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use florin_services::ask::What;

use super::{Door, Opened, Says, Tone, params_of, written};
use crate::stripe_compat::ids;
use crate::stripe_compat::shape::{self, Seen};

/// `GET`: the payer is back.
pub(super) async fn back(
    State(door): State<Door>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Response> {
    let opened = door.open(&token).await?;
    let (order, params) = (opened.view.order.id, params_of(query));
    let left = params.contains_key("left");
    let what = if left {
        What::Leave { order }
    } else {
        What::Back { order, params }
    };
    door.try_ask(&opened.view, what).await;
    let opened = door.settled(&opened.view).await?;
    if let Some(session) = &opened.note.session {
        let shop = session.cancel_url.clone().filter(|_| left);
        return Ok(match shop {
            Some(shop) => door.on_to(&opened, shop, "You have not paid", "Nothing was charged."),
            None => door.to(&format!("/c/pay/{token}?go=1")),
        });
    }
    let status = shape::intent_status(&Seen::new(&opened.view));
    if status == "processing" {
        return Ok(door.waiting(&opened));
    }
    let (headline, text, word) = match status {
        "succeeded" => ("Thank you", "Your payment went through.", "succeeded"),
        "requires_capture" => ("Thank you", "Your payment is confirmed.", "succeeded"),
        _ => ("The payment was not finished", "Nothing was charged.", "failed"),
    };
    Ok(match address(&opened, word) {
        Some(shop) => door.on_to(&opened, shop, headline, text),
        None => door.nowhere(&opened, headline, text),
    })
}

/// The address that the merchant gave, with what Stripe adds to it.
fn address(opened: &Opened, word: &str) -> Option<String> {
    let mut url = url::Url::parse(opened.note.return_url.as_deref()?).ok()?;
    let intent = ids::intent(opened.view.order.id);
    url.query_pairs_mut()
        .append_pair("payment_intent", &intent)
        .append_pair(
            "payment_intent_client_secret",
            &format!("{intent}_secret_{}", opened.note.secret),
        )
        .append_pair("redirect_status", word);
    Some(url.into())
}

impl Door {
    /// Leads the payer to the merchant.
    fn on_to(&self, opened: &Opened, url: String, headline: &str, text: &str) -> Response {
        let frame = self.frame(&opened.view, Some(url.clone()));
        let page = Says {
            title: format!("Back to {}", frame.merchant),
            tone: if headline == "Thank you" {
                Tone::Good
            } else {
                Tone::Note
            },
            headline,
            text: format!("{text} You are being taken back to {}.", frame.merchant),
            facts: vec![("Amount", written(opened.view.order.due))],
            next: Some((url, format!("Back to {}", frame.merchant))),
            frame,
        };
        self.page(StatusCode::OK, &page)
    }

    /// Nobody said where the payer goes now.
    fn nowhere(&self, opened: &Opened, headline: &str, text: &str) -> Response {
        let frame = self.frame(&opened.view, None);
        let page = Says {
            title: headline.to_owned(),
            tone: if headline == "Thank you" {
                Tone::Good
            } else {
                Tone::Note
            },
            headline,
            text: format!(
                "{text} You can close this page: {} tells you what comes next.",
                frame.merchant
            ),
            facts: vec![("Amount", written(opened.view.order.due))],
            next: None,
            frame,
        };
        self.page(StatusCode::OK, &page)
    }
}
