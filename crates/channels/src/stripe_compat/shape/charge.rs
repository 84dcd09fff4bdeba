//! `charge`: an attempt that reached the card's bank.

use florin_core::decline::Decline;
use florin_core::money::Money;
use florin_core::order::{Attempt, Place, Standing, limits};
use serde_json::{Value, json};

use super::{Scene, Seen, amount, billing, captures_itself, refund, seconds, shipping};
use crate::stripe_compat::ids::{self, Movement};
use crate::stripe_compat::{decline, money};

/// A charge of an order.
#[derive(Clone, Copy, Debug)]
pub(in crate::stripe_compat) struct Charge<'a> {
    pub(in crate::stripe_compat) attempt: &'a Attempt,
    place: Place,
    /// Why the bank refused it.
    refused: Option<&'a Decline>,
}

impl<'a> Charge<'a> {
    fn of(place: Place, attempt: &'a Attempt) -> Option<Self> {
        let moved = attempt.charge.heard() > 0 || attempt.charge.hold.is_some();
        let refused = match &attempt.standing {
            Standing::Declined(why) if !moved => Some(why).filter(|why| decline::said(why).charged),
            Standing::Declined(_)
            | Standing::Sent
            | Standing::Acting
            | Standing::Waiting
            | Standing::Uncertain
            | Standing::Approved
            | Standing::Undone => None,
        };
        (moved || refused.is_some()).then_some(Self {
            attempt,
            place,
            refused,
        })
    }

    fn asked(&self) -> Money {
        self.attempt.plan.amount
    }

    fn sum(&self, minor: i128) -> Money {
        self.asked().with_minor(i64::try_from(minor.max(0)).unwrap_or(i64::MAX))
    }

    /// What was taken for it.
    pub(in crate::stripe_compat) fn captured(&self, seen: &Seen<'_>) -> Money {
        match self.place {
            Place::Winner => seen.amounts().captured,
            Place::Current | Place::Past => self.sum(self.attempt.taken()),
        }
    }

    /// What went back to the payer.
    pub(in crate::stripe_compat) fn refunded(&self, seen: &Seen<'_>) -> Money {
        match self.place {
            Place::Winner => seen.amounts().refunded,
            Place::Current | Place::Past => self.sum(self.attempt.charge.went_back()),
        }
    }

    /// What is left that a refund could give back.
    pub(in crate::stripe_compat) fn is_refunded(&self, seen: &Seen<'_>) -> bool {
        let captured = self.captured(seen);
        captured.is_positive() && self.refunded(seen).minor() >= captured.minor()
    }
}

/// The charges of an order, oldest first.
pub(in crate::stripe_compat) fn all<'a>(seen: &Seen<'a>) -> Vec<Charge<'a>> {
    seen.order()
        .attempts()
        .filter_map(|(place, attempt)| Charge::of(place, attempt))
        .collect()
}

/// The attempt of the newest charge, if the newest attempt has one or none runs.
pub(in crate::stripe_compat) fn latest<'a>(seen: &Seen<'a>) -> Option<&'a Attempt> {
    all(seen).last().map(|charge| charge.attempt)
}

/// The charge of an attempt.
pub(in crate::stripe_compat) fn find<'a>(seen: &Seen<'a>, attempt: u8) -> Option<Charge<'a>> {
    all(seen).into_iter().find(|charge| charge.attempt.number == attempt)
}

/// The `charge`.
pub(in crate::stripe_compat) fn shape(seen: &Seen<'_>, scene: Scene<'_>, charge: Charge<'_>) -> Value {
    let (order, details, note) = (seen.order(), &seen.view.details, &seen.note);
    let (attempt, id) = (charge.attempt, ids::charge(order.id, charge.attempt.number));
    let captured = charge.captured(seen);
    let said = charge.refused.map(decline::said);
    let transaction = captured
        .is_positive()
        .then(|| ids::transaction(order.id, Movement::Charge, attempt.number));
    let refunds = match charge.place {
        Place::Winner => refund::all(seen, scene),
        Place::Current | Place::Past => Vec::new(),
    };
    json!({
        "id": id,
        "object": "charge",
        "amount": amount(charge.asked()),
        "amount_captured": amount(captured),
        "amount_refunded": amount(charge.refunded(seen)),
        "application": null,
        "application_fee": null,
        "application_fee_amount": null,
        "balance_transaction": transaction,
        "billing_details": billing(stored_billing(seen, attempt)),
        "calculated_statement_descriptor": note.statement_descriptor.as_deref().unwrap_or("FLORIN"),
        "captured": captured.is_positive(),
        "created": seconds(attempt.started_at),
        "currency": money::code(charge.asked().currency()),
        "customer": details.customer.map(|customer| customer.to_string()),
        "description": details.description,
        "disputed": !attempt.charge.disputes.is_empty(),
        "failure_balance_transaction": null,
        "failure_code": said.map(|said| said.code),
        "failure_message": said.map(|said| said.message),
        "fraud_details": {},
        "livemode": seen.live(),
        "metadata": note.charges.get(&attempt.number).unwrap_or(&details.metadata),
        "on_behalf_of": null,
        "outcome": outcome(charge.refused),
        "paid": charge.refused.is_none(),
        "payment_intent": ids::intent(order.id),
        "payment_method": seen.method_of(attempt),
        "payment_method_details": details_of(seen, scene, charge),
        "receipt_email": details.email,
        "receipt_number": null,
        "receipt_url": null,
        "refunded": charge.is_refunded(seen),
        "refunds": super::list(&format!("/v1/charges/{id}/refunds"), refunds, false),
        "review": null,
        "shipping": shipping(note.shipping.as_ref()),
        "source": null,
        "source_transfer": null,
        "statement_descriptor": note.statement_descriptor,
        "statement_descriptor_suffix": note.statement_descriptor_suffix,
        "status": if charge.refused.is_some() { "failed" } else { "succeeded" },
        "transfer_data": null,
        "transfer_group": null,
    })
}

fn stored_billing<'a>(seen: &'a Seen<'_>, attempt: &Attempt) -> Option<&'a Value> {
    let stored = attempt.plan.method.parse().ok().and_then(|id| seen.methods.get(&id))?;
    stored.door.get("billing_details")
}

fn outcome(refused: Option<&Decline>) -> Value {
    let mut outcome = json!({
        "advice_code": null,
        "network_advice_code": null,
        "network_decline_code": null,
        "network_status": "approved_by_network",
        "reason": null,
        "risk_level": "normal",
        "seller_message": "Payment complete.",
        "type": "authorized",
    });
    if let Some(why) = refused {
        let said = decline::said(why);
        outcome["network_status"] = json!("declined_by_network");
        outcome["reason"] = json!(said.decline_code.unwrap_or(said.code));
        outcome["seller_message"] = json!(why.code.text());
        outcome["type"] = json!("issuer_declined");
        // The network's own code has two characters; a word of a provider is none.
        outcome["network_decline_code"] = json!(Some(&why.raw).filter(|raw| raw.len() == 2));
    }
    outcome
}

fn details_of(seen: &Seen<'_>, scene: Scene<'_>, charge: Charge<'_>) -> Option<Value> {
    let attempt = charge.attempt;
    let card = seen.card_of(scene, attempt)?;
    let approved = charge.sum(attempt.charge.granted().max(attempt.charge.heard()));
    let held = attempt.held() > 0;
    let challenged = attempt.actions > 0;
    let three_d_secure = challenged.then(|| {
        json!({
            "authentication_flow": "challenge",
            "electronic_commerce_indicator": "05",
            "exemption_indicator": null,
            "result": "authenticated",
            "result_reason": null,
            "transaction_id": null,
            "version": "2.2.0",
        })
    });
    let mut details = json!({
        "amount_authorized": charge.refused.is_none().then(|| amount(approved)),
        "authorization_code": null,
        "brand": card.brand,
        "checks": card.checks,
        "country": card.country,
        "electronic_commerce_indicator": null, // the network's final word, of which no provider tells us
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "extended_authorization": { "status": "disabled" },
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "incremental_authorization": { "status": "unavailable" },
        "installments": null,
        "last4": card.last4,
        "mandate": null,
        "multicapture": { "status": "unavailable" },
        "network": card.brand,
        "network_token": { "used": false },
        "network_transaction_id": null,
        "overcapture": { "maximum_amount_capturable": amount(approved), "status": "unavailable" },
        "regulated_status": null,
        "three_d_secure": three_d_secure,
        "transaction_link_id": null,
        "wallet": null,
    });
    let hold = attempt.charge.hold.as_ref().filter(|_| held && !captures_itself(seen));
    if let Some(hold) = hold {
        let end = hold.end.unwrap_or(hold.at.plus_seconds(limits::HOLD_UNKNOWN_S));
        details["capture_before"] = json!(seconds(end));
    }
    Some(json!({ "card": details, "type": "card" }))
}
