//! `/c/back/{token}`: where payers come back to from a provider's page or a challenge. It asks how things stand, never marks anything paid,
//! and leads the payer on: to the session's page, or to the address that the merchant gave for an intent.

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Door, Opened, Says, Tone, params_of, written};
use crate::returned::{self, Unpaid};
use crate::stripe_compat::shape::session::Stands;
use crate::stripe_compat::shape::{self, Seen};
use crate::stripe_compat::{ids, sessions};

/// `GET`: the payer is back.
pub(super) async fn back(
    State(door): State<Door>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Response> {
    let opened = door.open(&token).await?;
    let params = params_of(query);
    let left = params.contains_key("left");
    let heard = if left {
        returned::tell(&door.doors, &opened.view, returned::leaves(&opened.view, &params)).await
    } else {
        returned::is_back(&door.doors, &opened.view, params).await
    };
    let opened = door.settled(&opened.view).await?;
    let seen = Seen::new(&opened.view);
    // They may have paid: who cannot be asked has not said no.
    let acting = shape::intent::acting(&seen);
    if acting.is_some_and(|attempt| !heard || attempt.ends()) {
        return Ok(door.waiting(&opened));
    }
    let unpaid = Unpaid::of(&opened.view.order);
    if let Some(session) = &opened.note.session {
        let payable = Stands::of(&seen) == Stands::Open && sessions::is_payable(&opened.view);
        let shop = session.cancel_url.clone().filter(|_| left && payable);
        return Ok(match shop {
            Some(shop) => door.on_to(&opened, shop, unpaid.headline(), unpaid.text()),
            None => door.to(&format!("/c/pay/{token}?go=1")),
        });
    }
    let (headline, text, word) = match shape::intent_status(&seen) {
        "processing" => return Ok(door.waiting(&opened)),
        "succeeded" => ("Thank you", "Your payment went through.", Some("succeeded")),
        "requires_capture" => ("Thank you", "Your payment is confirmed.", Some("succeeded")),
        // It is open still, and may be paid: that is no end, and has no word.
        "requires_action" => ("The payment is not finished", "No payment has been heard of yet.", None),
        _ if unpaid == Unpaid::Open => return Ok(door.waiting(&opened)),
        _ => ("The payment was not finished", unpaid.text(), Some("failed")),
    };
    Ok(match address(&opened, word) {
        Some(shop) => door.on_to(&opened, shop, headline, text),
        None => door.nowhere(&opened, headline, text),
    })
}

/// The address that the merchant gave, with what Stripe adds to it.
fn address(opened: &Opened, word: Option<&str>) -> Option<String> {
    let mut url = url::Url::parse(opened.note.return_url.as_deref()?).ok()?;
    let intent = ids::intent(opened.view.order.id);
    url.query_pairs_mut()
        .append_pair("payment_intent", &intent)
        .append_pair(
            "payment_intent_client_secret",
            &format!("{intent}_secret_{}", opened.note.secret),
        );
    if let Some(word) = word {
        url.query_pairs_mut().append_pair("redirect_status", word);
    }
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
