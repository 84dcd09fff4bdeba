//! `/v1/refunds`: refunds of orders.

use std::sync::Arc;

use axum::extract::{Path, State};
use florin_core::id::OrderId;
use florin_core::order::{Refusal, StepKind};
use florin_services::ask::{Denied, What};
use florin_services::dice;
use florin_services::directory::Scope;
use florin_services::view::View;
use florin_store::{IdemKey, Marks};
use serde_json::Value;

use super::asking::{ask, ask_engine, describing, finish, read_out, settled, was_asked};
use super::expand::Shown;
use super::gate::{Answer, Get, Post};
use super::intents::kept;
use super::lists::{self, Orders, Page};
use super::note::{Note, RefundNote};
use super::params::{Field, Given, Kind, LIST, may};
use super::reader::Reader;
use super::shape::{self, Scene, Seen};
use super::wrong::Wrong;
use super::{Door, ids, money};

const CREATE: &[Field] = &[
    may("amount", Kind::Integer(1)),
    may("charge", Kind::Text),
    may("metadata", Kind::Metadata),
    may("payment_intent", Kind::Text),
    may(
        "reason",
        Kind::Word(&["duplicate", "fraudulent", "requested_by_customer"]),
    ),
];
const UPDATE: &[Field] = &[may("metadata", Kind::Metadata)];
/// How often a note is moved to its refund while other servers' notes come in its way.
const MOVES_MAX: usize = 8;
const FILTER: &[Field] = &[
    may("charge", Kind::Text),
    may("created", Kind::Range),
    may("payment_intent", Kind::Text),
];

fn none(id: &str) -> Wrong {
    Wrong::missing("refund", id).at("id")
}

pub(super) async fn create(State(door): State<Door>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Refund, &[CREATE], Shown::One("refund"))?;
    let reader = Reader::new(&door, caller.tenant);
    let view = paid_with(&reader, &given).await?;
    let order = view.order.id;
    let _turn = reader.turn(order, Wrong::ours).await?;
    let amount = given
        .integer("amount")
        .map(|amount| money::read(amount, view.order.due.currency(), "amount"))
        .transpose()?;
    let note = RefundNote {
        call: dice::token::<16>(),
        reason: given.owned("reason"),
        metadata: given.metadata("metadata"),
    };
    // First what the caller says about it, so that nobody ever sees the refund without it.
    let said = !was_asked(&reader, key.as_ref()).await?;
    if said {
        put(&reader, order, |note_of| {
            note_of.1.refunds.insert(note_of.0, note.clone());
        })
        .await?;
    }
    let answered = match refund(&reader, key, order, amount).await {
        Ok(answered) => answered,
        Err(wrong) => {
            if said {
                put(&reader, order, |note_of| {
                    note_of.1.refunds.retain(|_, kept| kept.call != note.call)
                })
                .await?;
            }
            return Err(wrong);
        }
    };
    settled(&answered, door.doors.engine.now())?;
    let step = answered
        .step
        .filter(|step| step.kind == StepKind::Refund)
        .ok_or_else(Wrong::ours)?;
    let mut seen = reader.seen(&answered.order).await?;
    if said {
        // Another server's refund may have come between the two: each note goes where it belongs.
        for _ in 0..MOVES_MAX {
            if seen.note.refunds.get(&step.index) == Some(&note) {
                break;
            }
            let moved = put(&reader, order, |(_, kept)| {
                kept.refunds.retain(|_, other| other.call != note.call);
                kept.refunds.insert(step.index, note.clone());
            });
            seen.note = moved.await?;
        }
    } else if answered.replayed {
        // What was said stands in the order as it is now: another refund's note may have stood there before.
        seen.note = Note::of(&reader.door.doors.engine.view(reader.tenant, order).await?.details);
    }
    let object = shape::refund::find(&seen, reader.scene(), step.index).ok_or_else(Wrong::ours)?;
    Ok(finish(&reader, object, &given, answered.replayed).await)
}

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("refund"))?;
    let reader = Reader::new(&door, caller.tenant);
    ids::part_of("re", &id).ok_or_else(|| none(&id))?;
    let object = reader.object(&id).await?.ok_or_else(|| none(&id))?;
    read_out(&reader, object, &given).await
}

pub(super) async fn update(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, _, given) = post.read(Scope::Refund, &[UPDATE], Shown::One("refund"))?;
    let reader = Reader::new(&door, caller.tenant);
    let (order, index) = ids::part_of("re", &id).ok_or_else(|| none(&id))?;
    let _turn = reader.turn(order, || none(&id)).await?;
    let view = reader.view(order).await?.ok_or_else(|| none(&id))?;
    let mut seen = reader.seen(&view).await?;
    shape::refund::find(&seen, reader.scene(), index).ok_or_else(|| none(&id))?;
    let mut metadata = seen.note.refunds.get(&index).cloned().unwrap_or_default().metadata;
    given.change_metadata("metadata", &mut metadata)?;
    seen.note = put(&reader, order, |(_, note)| {
        metadata.clone_into(&mut note.refunds.entry(index).or_default().metadata);
    })
    .await?;
    let object = shape::refund::find(&seen, reader.scene(), index).ok_or_else(|| none(&id))?;
    Ok(finish(&reader, object, &given, false).await)
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER], Shown::List("refund"))?;
    let reader = Reader::new(&door, caller.tenant);
    let only = filtered(&given)?;
    page(&reader, &given, "/v1/refunds", only, given.text("charge")).await
}

pub(super) async fn list_of_charge(
    State(door): State<Door>,
    Path(id): Path<String>,
    get: Get,
) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST], Shown::List("refund"))?;
    let reader = Reader::new(&door, caller.tenant);
    let (order, _) = ids::part_of("ch", &id).ok_or_else(|| Wrong::missing("charge", &id))?;
    reader.object(&id).await?.ok_or_else(|| Wrong::missing("charge", &id))?;
    page(
        &reader,
        &given,
        &format!("/v1/charges/{id}/refunds"),
        Some(order),
        Some(&id),
    )
    .await
}

async fn page(
    reader: &Reader<'_>,
    given: &Given,
    url: &str,
    only: Option<OrderId>,
    charge: Option<&str>,
) -> Result<Answer, Wrong> {
    let page = Page::of(given)?;
    let orders = Orders {
        only,
        having: Marks::REFUNDED,
        ..Orders::default()
    };
    let order_of = |id: &str| ids::part_of("re", id).map(|(order, _)| order);
    let objects = |seen: &Seen<'_>, scene: Scene<'_>| -> Vec<Value> { shape::refund::all(seen, scene) };
    let wanted = |refund: &Value| charge.is_none_or(|charge| refund["charge"] == charge);
    let (data, more) = lists::of_orders(reader, &page, orders, order_of, objects, wanted).await?;
    read_out(reader, shape::list(url, data, more), given).await
}

/// The order that a call names by its intent, by a charge of it, or by both.
pub(super) fn filtered(given: &Given) -> Result<Option<OrderId>, Wrong> {
    let (intent, charge) = (given.text("payment_intent"), given.text("charge"));
    let missing = |what: &str, id: &str| Wrong::missing_at(what, what, id);
    let by_intent = intent
        .map(|id| ids::order_of("pi", id).ok_or_else(|| missing("payment_intent", id)))
        .transpose()?;
    let by_charge = charge
        .map(|id| ids::part_of("ch", id).ok_or_else(|| missing("charge", id)))
        .transpose()?;
    match (by_intent, by_charge) {
        (Some(intent), Some((charge, _))) if intent != charge => Err(Wrong::invalid(
            "The charge that you named is not one of the PaymentIntent that you named.",
        )
        .at("charge")),
        (intent, charge) => Ok(intent.or(charge.map(|(order, _)| order))),
    }
}

/// The order whose money shall go back.
async fn paid_with(reader: &Reader<'_>, given: &Given) -> Result<Arc<View>, Wrong> {
    let order = filtered(given)?.ok_or_else(|| {
        let message = "One of the following params should be provided for this request: payment_intent or charge.";
        Wrong::invalid(message).code("parameter_missing")
    })?;
    let missing = || match (given.text("payment_intent"), given.text("charge")) {
        (Some(id), _) => Wrong::missing_at("payment_intent", "payment_intent", id),
        (None, id) => Wrong::missing_at("charge", "charge", id.unwrap_or_default()),
    };
    let view = reader.view(order).await?.ok_or_else(missing)?;
    // A charge that is not the one that paid has nothing to give back.
    if let Some((id, (_, attempt))) = given.text("charge").and_then(|id| Some((id, ids::part_of("ch", id)?))) {
        shape::charge::find(&Seen::new(&view), attempt).ok_or_else(missing)?;
        if view.order.winner().is_none_or(|winner| winner.number != attempt) {
            let message = format!("Charge {id} did not succeed: there is nothing to refund.");
            return Err(Wrong::invalid(message).code("charge_not_refundable").at("charge"));
        }
    }
    Ok(view)
}

/// Asks for the refund, and says a refusal in Stripe's words.
async fn refund(
    reader: &Reader<'_>,
    key: Option<IdemKey>,
    order: OrderId,
    amount: Option<florin_core::money::Money>,
) -> Result<florin_services::ask::Answered, Wrong> {
    let what = What::Refund { order, amount };
    match ask_engine(reader, key, what).await {
        Ok(answered) => Ok(answered),
        Err(Denied::Refused {
            refusal,
            order,
            replayed,
        }) => {
            let mut wrong = refused(&refusal, &Seen::new(&order));
            wrong.replayed = replayed;
            Err(wrong)
        }
        Err(denied) => Err(denied.into()),
    }
}

fn refused(refusal: &Refusal, seen: &Seen<'_>) -> Wrong {
    let charge =
        shape::charge::latest(seen).map_or_else(String::new, |attempt| ids::charge(seen.order().id, attempt.number));
    let gone = || Wrong::invalid(format!("Charge {charge} has already been refunded.")).code("charge_already_refunded");
    let amounts = seen.amounts();
    match refusal {
        Refusal::TooMuch { available, .. } if available.is_zero() && amounts.disputed.is_positive() => {
            Wrong::invalid(format!("Charge {charge} has been charged back; cannot issue a refund."))
                .code("charge_disputed")
        }
        Refusal::TooMuch { available, .. } if available.is_zero() => gone(),
        Refusal::TooMuch { asked, available } => Wrong::invalid(format!(
            "Refund amount ({asked}) is greater than unrefunded amount on charge ({available})"
        ))
        .at("amount"),
        Refusal::NotPositive if amounts.refunded.is_positive() || amounts.refund_pending.is_positive() => gone(),
        Refusal::NotCaptured => {
            let message = "This PaymentIntent does not have a successful charge to refund.";
            Wrong::invalid(message)
                .code("charge_not_refundable")
                .at("payment_intent")
        }
        Refusal::StepInFlight => {
            let message = "This object cannot be accessed right now because another API request or Stripe process is currently accessing it.";
            Wrong::later(429, message, 1).code("lock_timeout")
        }
        other => Wrong::invalid(format!("This payment cannot be refunded: {other}.")).code("charge_not_refundable"),
    }
}

/// Changes the note of an order, given the index that its next refund has. Answers the note as it is then.
async fn put(reader: &Reader<'_>, order: OrderId, change: impl FnOnce(&mut (u8, Note))) -> Result<Note, Wrong> {
    let view = reader.door.doors.engine.view(reader.tenant, order).await?;
    let (mut details, note) = kept(&view);
    let mut changed = (view.order.next_refund(), note);
    change(&mut changed);
    changed.1.keep(&mut details);
    if details == *view.details {
        return Ok(changed.1);
    }
    let what = describing(&view, details);
    let answered = ask(reader, None, what).await?;
    Ok(Note::of(&answered.order.details))
}
