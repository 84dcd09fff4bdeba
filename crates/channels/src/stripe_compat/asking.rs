//! Asking the engine, and what Stripe's clients hear of it: the object, a refusal in Stripe's words, or that a twin of the call still runs.

use std::sync::Arc;

use florin_core::money::Money;
use florin_core::order::{Phase, Refusal, Standing, StepKind};
use florin_core::time::Timestamp;
use florin_services::ask::{Answered, Ask, Denied, State as CallState, What};
use florin_services::view::{Details, View};
use florin_store::IdemKey;
use serde_json::Value;

use super::expand;
use super::gate::Answer;
use super::params::Given;
use super::reader::Reader;
use super::shape::{self, Seen};
use super::wrong::{Kind as WrongKind, Wrong};

/// A call that is repeated later than this after it began has been answered with the object as it stood: the wait of the engine and some.
const ANSWERED_MS: i64 = 12_000;

/// The answer of the same call, if it came before; else why this one is not carried out. A method that was removed since says nothing about a
/// call that may have charged.
pub(super) async fn before(reader: &Reader<'_>, key: Option<&IdemKey>, wrong: Wrong) -> Result<Answered, Wrong> {
    let Some(key) = key else { return Err(wrong) };
    let before = reader.door.doors.engine.answered_before(reader.tenant, key).await?;
    let before = before.ok_or(wrong)?;
    reader.remember(&before.order).await;
    Ok(before)
}

/// Whether a call with this key was carried out before.
pub(super) async fn was_asked(reader: &Reader<'_>, key: Option<&IdemKey>) -> Result<bool, Wrong> {
    let Some(key) = key else { return Ok(false) };
    let name = (reader.tenant, key.key.clone());
    let wanted = florin_store::Wanted {
        keys: vec![name.clone()],
        order_keys: vec![name],
        ..florin_store::Wanted::default()
    };
    let found = reader.door.doors.store.load(&wanted).await?;
    Ok(!found.keys.is_empty() || !found.orders.is_empty())
}

/// Refuses a key that came before with another body, or with a call that made an order. For calls that are several of ours: no part of one may
/// be done before that is known.
pub(super) async fn refuse_other_body(reader: &Reader<'_>, key: Option<&IdemKey>) -> Result<(), Wrong> {
    let Some(key) = key else { return Ok(()) };
    let name = (reader.tenant, key.key.clone());
    let wanted = florin_store::Wanted {
        keys: vec![name.clone()],
        order_keys: vec![name],
        ..florin_store::Wanted::default()
    };
    let found = reader.door.doors.store.load(&wanted).await?;
    let of_calls = found.keys.iter().map(|kept| &kept.key.hash);
    let of_orders = found
        .orders
        .iter()
        .filter_map(|order| order.key.as_ref())
        .map(|kept| &kept.hash);
    if of_calls.chain(of_orders).any(|hash| !key.is_of(hash)) {
        return Err(Denied::KeyReused.into());
    }
    Ok(())
}

/// The call that makes an order's details these, seen as they are in `view`.
pub(super) fn describing(view: &View, details: Details) -> What {
    What::Describe {
        order: view.order.id,
        was: Arc::clone(&view.details),
        details: Box::new(details),
    }
}

/// Asks the engine.
pub(super) async fn ask(reader: &Reader<'_>, key: Option<IdemKey>, what: What) -> Result<Answered, Wrong> {
    Ok(ask_engine(reader, key, what).await?)
}

/// Asks the engine. What the answer shows beside the order is from then on the order as it is answered, and not as it was before.
pub(super) async fn ask_engine(reader: &Reader<'_>, key: Option<IdemKey>, what: What) -> Result<Answered, Denied> {
    let tenant = reader.tenant;
    let answered = reader.door.doors.engine.ask(Ask { tenant, key, what }).await?;
    reader.remember(&answered.order).await;
    Ok(answered)
}

/// Asks the engine, and says its refusal in Stripe's words.
pub(super) async fn ask_or(
    reader: &Reader<'_>,
    key: Option<IdemKey>,
    what: What,
    verb: &str,
    param: &str,
) -> Result<Answered, Wrong> {
    let keeps_rest = matches!(what, What::Capture { last: false, .. });
    match ask_engine(reader, key, what).await {
        Ok(answered) => Ok(answered),
        Err(Denied::Refused {
            refusal,
            order,
            replayed,
        }) => {
            let wrong = match &refusal {
                Refusal::TooMuch { asked, available } => too_much(*asked, *available).at(param),
                Refusal::NotPositive => Wrong::invalid("This value must be greater than or equal to 1.")
                    .code("parameter_invalid_integer")
                    .at(param),
                Refusal::Unsupported if keeps_rest => {
                    let message =
                        "The provider of this payment captures a hold once: leave out `final_capture`, or send true.";
                    Wrong::invalid(message).at("final_capture")
                }
                Refusal::Unsupported => Wrong::invalid("The provider of this payment cannot do this.").at(param),
                Refusal::StepInFlight => busy(),
                Refusal::InFlight
                | Refusal::AlreadyPaid
                | Refusal::OrderOver
                | Refusal::AttemptOver
                | Refusal::StaleAction
                | Refusal::Uncertain
                | Refusal::TooLate
                | Refusal::UseVoid
                | Refusal::UseRefund
                | Refusal::NotAuthorized
                | Refusal::NotCaptured
                | Refusal::AlreadyCaptured
                | Refusal::HoldOver
                | Refusal::OtherCurrency
                | Refusal::VoidRefused
                | Refusal::RefundWindowOver
                | Refusal::TooMany(_)
                | Refusal::Conflict
                | Refusal::OtherAmount { .. } => return Err(unexpected(reader, &order, verb, replayed).await?),
            };
            Err(with_intent(reader, &order, wrong, replayed).await?)
        }
        Err(denied) => Err(denied.into()),
    }
}

/// A call whose twin still waits is not answered; one whose twin was answered with the object as it stood is answered so too.
pub(super) fn settled(answered: &Answered, now: Timestamp) -> Result<(), Wrong> {
    if answered.state == CallState::Over || !answered.replayed {
        return Ok(());
    }
    let order = &answered.order.order;
    let began = answered.step.and_then(|step| match step.kind {
        StepKind::Authorize => order.attempt(step.attempt).map(|(_, attempt)| attempt.started_at),
        StepKind::Cancel
        | StepKind::Reverse
        | StepKind::Capture
        | StepKind::Void
        | StepKind::Increment
        | StepKind::Refund => order.open_step(step).map(|(_, since, _)| since),
    });
    if began.is_none_or(|began| now.millis_since(began) >= ANSWERED_MS) {
        return Ok(());
    }
    let message = "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and \
                   the other request is still going through): please try again later.";
    Err(Wrong::later(409, message, 1).code("idempotency_key_in_use"))
}

/// The merchant would confirm again when the payer has done what the bank asks for, and here that pays at once. So a payment of this kind that
/// needs the payer is given up before the payer could hear of it.
pub(super) async fn without_action(reader: &Reader<'_>, answered: &Answered) -> Result<(), Wrong> {
    let view = &answered.order;
    let acts = matches!(&view.order.phase, Phase::Pending(attempt) if attempt.standing == Standing::Acting);
    if !acts {
        return Ok(());
    }
    let order = view.order.id;
    if let Err(wrong) = ask(reader, None, What::leave(view)).await {
        tracing::debug!(%order, why = wrong.message, "an attempt that needs the payer is over already");
    }
    let message = "The card's bank asks for authentication, which a PaymentIntent with `confirmation_method` manual cannot wait for here. Use \
                   automatic confirmation, or another card.";
    let wrong = Wrong::new(402, WrongKind::Card, message).code("authentication_required");
    // As it stands then: where the payer would have gone is nobody's business any more.
    let left = reader.door.doors.engine.view(reader.tenant, order).await?;
    Err(with_intent(reader, &left, wrong, answered.replayed).await?)
}

/// A capture or a cancellation that still runs has no answer yet: the intent as it stands would read as if nothing had been asked.
pub(super) fn ended(answered: &Answered) -> Result<(), Wrong> {
    if answered.state == CallState::Over {
        return Ok(());
    }
    let message = "The provider has not answered yet, and the request is still under way. Repeat it with the same idempotency key to learn how \
                   it ended.";
    Err(Wrong::later(409, message, 1).code("idempotency_key_in_use"))
}

/// The answer to a call that tried to pay: the intent, or why the card was refused.
pub(super) async fn tried(reader: &Reader<'_>, answered: Answered, given: &Given) -> Result<Answer, Wrong> {
    settled(&answered, reader.scene().now)?;
    let seen = reader.seen(&answered.order).await?;
    let tried = answered.step.map(|step| step.attempt);
    if let Some((attempt, why)) = seen.last_decline().filter(|(attempt, _)| Some(attempt.number) == tried) {
        return Err(refused(&seen, reader.scene(), attempt, why, answered.replayed));
    }
    let intent = shape::intent::shape(&seen, reader.scene());
    Ok(finish(reader, intent, given, answered.replayed).await)
}

/// The answer to a call that changed something: what the caller asked to see in it, and whether it was given before. What was done is told,
/// also when something beside it cannot be read now.
pub(super) async fn finish(reader: &Reader<'_>, mut object: Value, given: &Given, replayed: bool) -> Answer {
    if let Err(wrong) = expand::expand(reader, &mut object, given).await {
        tracing::warn!(
            why = wrong.message,
            "an answer names by its id what the caller wanted to see"
        );
    }
    Answer { object, replayed }
}

/// The answer to a call that reads: what the caller asked to see in it.
pub(super) async fn read_out(reader: &Reader<'_>, mut object: Value, given: &Given) -> Result<Answer, Wrong> {
    expand::expand(reader, &mut object, given).await?;
    Ok(object.into())
}

fn too_much(asked: Money, available: Money) -> Wrong {
    Wrong::invalid(format!(
        "The requested amount ({asked}) is greater than the amount that is available ({available})."
    ))
    .code("amount_too_large")
}

fn busy() -> Wrong {
    let message = "This object cannot be accessed right now because another API request or Stripe process is currently accessing it.";
    Wrong::later(429, message, 1).code("lock_timeout")
}

/// An intent that is not in a state for what was asked.
pub(super) async fn unexpected(reader: &Reader<'_>, view: &View, verb: &str, replayed: bool) -> Result<Wrong, Wrong> {
    let status = shape::intent_status(&Seen::new(view));
    let only = match verb {
        "captured" => " Only a PaymentIntent with one of the following statuses may be captured: requires_capture.",
        _ => "",
    };
    let message = format!("This PaymentIntent could not be {verb} because it has a status of {status}.{only}");
    with_intent(
        reader,
        view,
        Wrong::invalid(message).code("payment_intent_unexpected_state"),
        replayed,
    )
    .await
}

/// The error, with the intent that it is about.
pub(super) async fn with_intent(
    reader: &Reader<'_>,
    view: &View,
    wrong: Wrong,
    replayed: bool,
) -> Result<Wrong, Wrong> {
    let seen = reader.seen(view).await?;
    let mut wrong = wrong.with("payment_intent", shape::intent::shape(&seen, reader.scene()));
    wrong.replayed = replayed;
    Ok(wrong)
}

/// The error of a try that was refused.
pub(super) fn refused(
    seen: &Seen<'_>,
    scene: shape::Scene<'_>,
    attempt: &florin_core::order::Attempt,
    why: &florin_core::decline::Decline,
    replayed: bool,
) -> Wrong {
    let said = super::decline::said(why);
    let (status, kind) = if said.decline_code.is_some() {
        (402, WrongKind::Card)
    } else {
        (400, WrongKind::Request)
    };
    let mut wrong = Wrong::new(status, kind, said.message).code(said.code);
    if let Some(members) = shape::decline_members(seen, scene, attempt, why).as_object() {
        for name in ["decline_code", "charge", "payment_method"] {
            if let Some(value) = members.get(name) {
                wrong = wrong.with(name, value.clone());
            }
        }
    }
    wrong.replayed = replayed;
    wrong.with("payment_intent", shape::intent::shape(seen, scene))
}
