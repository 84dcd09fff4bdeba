//! `payment_intent`: an order.

use florin_core::order::{Attempt, Phase, Standing};
use florin_core::rail::Action;
use serde_json::{Value, json};

use super::{Scene, Seen, amount, captures_itself, charge, decline_members, intent_status, seconds, shipping};
use crate::stripe_compat::{ids, money};

/// The PaymentIntent of an order.
pub(in crate::stripe_compat) fn shape(seen: &Seen<'_>, scene: Scene<'_>) -> Value {
    let (order, details, note) = (seen.order(), &seen.view.details, &seen.note);
    let amounts = seen.amounts();
    let status = intent_status(seen);
    let redirects = note.allow_redirects.as_deref().unwrap_or("always");
    let automatic = note
        .any_method
        .then(|| json!({ "allow_redirects": redirects, "enabled": true }));
    let id = ids::intent(order.id);
    json!({
        "id": id,
        "object": "payment_intent",
        "allowed_payment_method_types": null,
        "amount": amount(order.due),
        "amount_capturable": amount(amounts.capturable),
        "amount_details": { "tip": {} },
        "amount_received": amount(amounts.captured),
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": automatic,
        "canceled_at": canceled_at(seen, status),
        "cancellation_reason": cancellation_reason(seen, status),
        "capture_method": capture_method(seen),
        "client_secret": format!("{id}_secret_{}", note.secret),
        "confirmation_method": note.confirmation_method.as_deref().unwrap_or("automatic"),
        "created": seconds(order.created_at),
        "currency": money::code(order.due.currency()),
        "customer": details.customer.map(|customer| customer.to_string()),
        "customer_account": null,
        "description": details.description,
        "excluded_payment_method_types": null,
        "last_payment_error": seen.last_decline().map(|(attempt, why)| decline_members(seen, scene, attempt, why)),
        "latest_charge": charge::latest(seen).map(|attempt| ids::charge(order.id, attempt.number)),
        "livemode": seen.live(),
        "managed_payments": null,
        "metadata": details.metadata,
        "next_action": next_action(seen),
        "on_behalf_of": null,
        "payment_method": payment_method(seen),
        "payment_method_configuration_details": null,
        "payment_method_options": {
            "card": { "installments": null, "mandate_options": null, "network": null, "request_three_d_secure": "automatic" },
        },
        "payment_method_types": ["card"],
        "payment_record": null,
        "processing": (status == "processing").then(|| json!({ "type": "card" })),
        "receipt_email": details.email,
        "review": null,
        "setup_future_usage": null,
        "shipping": shipping(note.shipping.as_ref()),
        "source": null,
        "statement_descriptor": note.statement_descriptor,
        "statement_descriptor_suffix": note.statement_descriptor_suffix,
        "status": status,
        "transfer_data": null,
        "transfer_group": null,
    })
}

/// Whether it is there for callers: one of a page comes into being with the payer's first try.
pub(in crate::stripe_compat) fn is_known(seen: &Seen<'_>) -> bool {
    seen.note.session.is_none() || seen.attempts() > 0
}

fn capture_method<'a>(seen: &'a Seen<'_>) -> &'a str {
    let otherwise = if captures_itself(seen) {
        "automatic_async"
    } else {
        "manual"
    };
    seen.note.capture_method.as_deref().unwrap_or(otherwise)
}

fn canceled_at(seen: &Seen<'_>, status: &str) -> Option<i64> {
    let Phase::Ended(end) = &seen.order().phase else {
        return None;
    };
    // An older release kept only when somebody asked for it.
    let at = end
        .at
        .or(seen.note.canceled_at)
        .unwrap_or(seen.order().terms.expires_at);
    (status == "canceled").then(|| seconds(at))
}

fn cancellation_reason<'a>(seen: &'a Seen<'_>, status: &str) -> Option<&'a str> {
    // Stripe's word for what nobody asked for: the order's time was over, or no try was left.
    let otherwise = seen.note.canceled_at.is_none().then_some("automatic");
    (status == "canceled")
        .then(|| seen.note.cancellation_reason.as_deref().or(otherwise))
        .flatten()
}

/// The method of the attempt that runs or won, else the one that was chosen.
fn payment_method(seen: &Seen<'_>) -> Option<String> {
    let used = seen
        .last_attempt()
        .filter(|(_, attempt)| !matches!(attempt.standing, Standing::Declined(_)));
    match used {
        Some((_, attempt)) => seen.method_of(attempt),
        None => seen.note.chosen(seen.attempts()).map(str::to_owned),
    }
}

fn next_action(seen: &Seen<'_>) -> Option<Value> {
    let Action::Redirect { url } = acting(seen)?.action.as_ref()?;
    Some(json!({ "redirect_to_url": { "return_url": seen.note.return_url, "url": url }, "type": "redirect_to_url" }))
}

/// The attempt whose payer must act.
pub(in crate::stripe_compat) fn acting<'a>(seen: &Seen<'a>) -> Option<&'a Attempt> {
    match &seen.order().phase {
        Phase::Pending(attempt) if attempt.standing == Standing::Acting => Some(attempt),
        Phase::Pending(_) | Phase::Created | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_) => None,
    }
}
