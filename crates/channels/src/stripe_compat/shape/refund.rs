//! `refund`: a refund of an order.

use florin_core::decline::Code;
use florin_core::status::{self, StepStatus, StepView};
use serde_json::{Value, json};

use super::{Scene, Seen, amount, seconds};
use crate::stripe_compat::ids::{self, Movement};
use crate::stripe_compat::money;

/// The refunds of an order, newest first.
pub(in crate::stripe_compat) fn all(seen: &Seen<'_>, scene: Scene<'_>) -> Vec<Value> {
    status::refunds(seen.order())
        .iter()
        .rev()
        .map(|refund| shape(seen, scene, refund))
        .collect()
}

/// One of them.
pub(in crate::stripe_compat) fn find(seen: &Seen<'_>, scene: Scene<'_>, index: u8) -> Option<Value> {
    status::refunds(seen.order())
        .iter()
        .find(|refund| refund.index == index)
        .map(|refund| shape(seen, scene, refund))
}

fn shape(seen: &Seen<'_>, scene: Scene<'_>, refund: &StepView<'_>) -> Value {
    let order = seen.order();
    let note = seen.note.refunds.get(&refund.index).cloned().unwrap_or_default();
    let moved = matches!(refund.status, StepStatus::Succeeded | StepStatus::Returned);
    let attempt = order.attempt(refund.step.attempt).map(|(_, attempt)| attempt);
    let card = attempt.and_then(|attempt| seen.card_of(scene, attempt));
    let destination = match card {
        Some(_) => json!({ "card": { "type": if moved { "refund" } else { "pending" } }, "type": "card" }),
        None => json!({ "type": "card" }),
    };
    let mut shape = json!({
        "id": ids::refund(order.id, refund.index),
        "object": "refund",
        "amount": amount(refund.amount),
        "balance_transaction": moved.then(|| ids::transaction(order.id, Movement::Refund, refund.index)),
        "charge": ids::charge(order.id, refund.step.attempt),
        "created": seconds(refund.asked_at),
        "currency": money::code(refund.amount.currency()),
        "customer": seen.view.details.customer.map(|customer| customer.to_string()),
        "customer_account": null,
        "destination_details": destination,
        "metadata": note.metadata,
        "payment_intent": ids::intent(order.id),
        "payment_method": attempt.and_then(|attempt| seen.method_of(attempt)),
        "reason": note.reason,
        "receipt_number": null,
        "source_transfer_reversal": null,
        "status": word(refund.status),
        "transfer_reversal": null,
    });
    if matches!(refund.status, StepStatus::Failed | StepStatus::Returned) {
        shape["failure_reason"] = json!(failure(refund.decline.map(|decline| decline.code)));
    }
    if refund.status == StepStatus::Returned {
        let back = ids::transaction(order.id, Movement::RefundFailed, refund.index);
        shape["failure_balance_transaction"] = json!(back);
    }
    shape
}

fn word(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Processing => "pending",
        StepStatus::Succeeded => "succeeded",
        StepStatus::Failed | StepStatus::Returned => "failed",
    }
}

/// Stripe's word for why a refund failed.
fn failure(code: Option<Code>) -> &'static str {
    match code {
        Some(Code::InsufficientFunds) => "insufficient_funds",
        Some(Code::ExpiredCard | Code::AccountClosed) | None => "expired_or_canceled_card",
        Some(Code::LostCard | Code::StolenCard) => "lost_or_stolen_card",
        Some(Code::GenericDecline | Code::DoNotHonor) => "declined",
        Some(_) => "unknown",
    }
}
