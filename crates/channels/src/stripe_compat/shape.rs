//! Our things in the shape of Stripe's objects of 2026-10-28, with every member that Stripe sends. Computed, never stored.
//!
//! Objects name each other by id; [`super::expand`] puts the object in the place of the id where the caller asked for it.

pub(super) mod charge;
pub(super) mod customer;
pub(super) mod dispute;
pub(super) mod endpoint;
pub(super) mod intent;
pub(super) mod method;
pub(super) mod price;
pub(super) mod product;
pub(super) mod refund;
pub(super) mod session;
pub(super) mod transaction;

use std::collections::BTreeMap;

use florin_core::decline::Decline;
use florin_core::id::MethodId;
use florin_core::money::Money;
use florin_core::order::{Attempt, Order, Phase, Place, Standing, Why};
use florin_core::rail::Instrument;
use florin_core::status::{self, Amounts};
use florin_core::time::Timestamp;
use florin_services::directory::Method;
use florin_services::view::View;
use florin_store::Mode;
use serde_json::{Value, json};

use super::cards::{self, Card, CardTable};
use super::note::Note;
use super::{Tariff, decline, ids, money};

/// What a shape needs beside the thing itself.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    /// Where the pages of this door are.
    pub(super) origin: &'a str,
    pub(super) cards: &'a dyn CardTable,
    /// What this door charges, if it is itself the provider.
    pub(super) tariff: Option<Tariff>,
    pub(super) now: Timestamp,
}

/// An order, with what this door keeps of it and the stored methods that it was paid with.
#[derive(Clone, Debug)]
pub(super) struct Seen<'a> {
    pub(super) view: &'a View,
    pub(super) note: Note,
    pub(super) methods: BTreeMap<MethodId, Method>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(view: &'a View) -> Self {
        Self {
            view,
            note: Note::of(&view.details),
            methods: BTreeMap::new(),
        }
    }

    pub(super) fn order(&self) -> &'a Order {
        &self.view.order
    }

    pub(super) fn live(&self) -> bool {
        self.view.tenant.mode == Mode::Live
    }

    pub(super) fn amounts(&self) -> Amounts {
        status::amounts(self.order())
    }

    /// Attempts there were.
    pub(super) fn attempts(&self) -> usize {
        self.order().attempts().count()
    }

    pub(super) fn last_attempt(&self) -> Option<(Place, &'a Attempt)> {
        self.order().attempts().max_by_key(|(_, attempt)| attempt.number)
    }

    /// Why the last attempt was refused, if it was and nothing came after it.
    pub(super) fn last_decline(&self) -> Option<(&'a Attempt, &'a Decline)> {
        let (place, attempt) = self.last_attempt()?;
        match (&attempt.standing, place) {
            (Standing::Declined(decline), Place::Past) => Some((attempt, decline)),
            (_, _) => None,
        }
    }

    /// The method of an attempt, by Stripe's name; none if the payer chose it elsewhere.
    pub(super) fn method_of(&self, attempt: &Attempt) -> Option<String> {
        match (&attempt.plan.instrument, attempt.plan.method.parse::<MethodId>()) {
            (Instrument::Hosted, _) => None,
            (Instrument::Stored(_), Ok(stored)) => Some(ids::method(stored)),
            (Instrument::Stored(_), Err(_)) => Some(ids::method_used(self.order().id, attempt.number)),
        }
    }

    /// What may be said of the card of an attempt.
    pub(super) fn card_of(&self, scene: Scene<'_>, attempt: &Attempt) -> Option<CardFace> {
        let Instrument::Stored(token) = &attempt.plan.instrument else {
            return None;
        };
        if let Some(card) = cards::named(scene.cards, token) {
            return Some(card.into());
        }
        let stored = attempt.plan.method.parse().ok().and_then(|id| self.methods.get(&id));
        stored.map(CardFace::from)
    }

    /// Whether money was held or taken for it.
    pub(super) fn is_paid(&self) -> bool {
        self.order()
            .winner()
            .is_some_and(|winner| winner.charge.heard() > 0 || winner.charge.hold.is_some())
    }
}

/// What people may see of a card: of a test card, or of one that a provider keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CardFace {
    pub(super) brand: String,
    pub(super) last4: String,
    pub(super) funding: &'static str,
    pub(super) country: Option<&'static str>,
    pub(super) exp_month: u8,
    pub(super) exp_year: u16,
    pub(super) fingerprint: Option<String>,
    pub(super) checks: Value,
}

impl From<Card> for CardFace {
    fn from(card: Card) -> Self {
        Self {
            brand: card.brand.to_owned(),
            last4: card.last4.to_owned(),
            funding: card.funding,
            country: Some(card.country),
            exp_month: cards::EXPIRES.0,
            exp_year: cards::EXPIRES.1,
            fingerprint: Some(cards::fingerprint(card.name)),
            checks: json!({
                "address_line1_check": card.line1_check,
                "address_postal_code_check": card.postal_code_check,
                "cvc_check": card.cvc_check,
            }),
        }
    }
}

impl From<&Method> for CardFace {
    fn from(method: &Method) -> Self {
        Self {
            brand: method.brand.clone(),
            last4: method.last4.clone(),
            funding: "unknown",
            country: None,
            exp_month: method.exp_month,
            exp_year: method.exp_year,
            fingerprint: None,
            checks: json!({ "address_line1_check": null, "address_postal_code_check": null, "cvc_check": null }),
        }
    }
}

/// The PaymentIntent's word for an order.
pub(super) fn intent_status(seen: &Seen<'_>) -> &'static str {
    match &seen.order().phase {
        Phase::Created if seen.note.chosen(seen.attempts()).is_some() => "requires_confirmation",
        Phase::Created => "requires_payment_method",
        Phase::Pending(attempt) if attempt.standing == Standing::Acting => "requires_action",
        Phase::Pending(_) => "processing",
        Phase::Authorized(_) if captures_itself(seen) => "processing",
        Phase::Authorized(_) => "requires_capture",
        Phase::Captured(_) => "succeeded",
        Phase::Ended(end) => match &end.why {
            Why::Verified => "succeeded",
            // Money was taken once and went back: Stripe's intent stays what it was.
            Why::Failed(_) if end.winner.as_ref().is_some_and(|winner| winner.charge.heard() > 0) => "succeeded",
            Why::Failed(_) | Why::Canceled | Why::Expired | Why::Voided => "canceled",
        },
    }
}

/// Whether the capture is ours to make, and not the merchant's.
fn captures_itself(seen: &Seen<'_>) -> bool {
    use florin_core::order::CaptureAt;
    seen.order().terms.capture == CaptureAt::Once
}

/// How the last decline reads in `last_payment_error` and in an error's body.
pub(super) fn decline_members(seen: &Seen<'_>, scene: Scene<'_>, attempt: &Attempt, why: &Decline) -> Value {
    let said = decline::said(why);
    let kind = if said.charged || said.decline_code.is_some() {
        "card_error"
    } else {
        "invalid_request_error"
    };
    let mut error = json!({
        "type": kind,
        "code": said.code,
        "doc_url": format!("https://stripe.com/docs/error-codes/{}", said.code.replace('_', "-")),
        "message": said.message,
    });
    if let Some(word) = said.decline_code {
        error["decline_code"] = json!(word);
    }
    if said.charged {
        error["charge"] = json!(ids::charge(seen.order().id, attempt.number));
    }
    if let Some(method) = method::used(seen, scene, attempt) {
        error["payment_method"] = method;
    }
    error
}

/// Seconds since 1970.
pub(super) fn seconds(at: Timestamp) -> i64 {
    at.seconds()
}

pub(super) fn amount(money: Money) -> i64 {
    money::wire(money)
}

/// An address with every member.
pub(super) fn address(given: Option<&Value>) -> Value {
    let mut address =
        json!({ "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null });
    if let (Some(all), Some(given)) = (address.as_object_mut(), given.and_then(Value::as_object)) {
        all.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    address
}

/// Whose card it is, as the caller wrote it.
pub(super) fn billing(given: Option<&Value>) -> Value {
    let member = |name: &str| given.and_then(|given| given.get(name)).cloned().unwrap_or(Value::Null);
    json!({
        "address": address(given.and_then(|given| given.get("address"))),
        "email": member("email"),
        "name": member("name"),
        "phone": member("phone"),
        "tax_id": null,
    })
}

/// Where goods go, as the caller wrote it; none if nobody said.
pub(super) fn shipping(given: Option<&Value>) -> Value {
    let Some(given) = given else { return Value::Null };
    let member = |name: &str| given.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "address": address(given.get("address")),
        "carrier": member("carrier"),
        "name": member("name"),
        "phone": member("phone"),
        "tracking_number": member("tracking_number"),
    })
}

/// A list as Stripe writes it.
pub(super) fn list(url: &str, data: Vec<Value>, has_more: bool) -> Value {
    json!({ "object": "list", "data": data, "has_more": has_more, "url": url })
}
