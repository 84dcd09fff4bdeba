//! How an intent ends by a call: what is held is captured, what will not be paid is canceled.

use axum::extract::{Path, State};
use florin_core::order::Phase;
use florin_core::status::{self, StepStatus};
use florin_services::ask::What;
use florin_services::directory::Scope;

use super::{find, kept, none};
use crate::stripe_compat::asking::{
    ask_or, describing, ended, finish, refuse_other_body, unexpected, was_asked, with_intent,
};
use crate::stripe_compat::expand::Shown;
use crate::stripe_compat::gate::{Answer, Post, part_of};
use crate::stripe_compat::note::Note;
use crate::stripe_compat::params::{Field, Kind, may};
use crate::stripe_compat::reader::Reader;
use crate::stripe_compat::wrong::Wrong;
use crate::stripe_compat::{Door, ids, money, shape};

const CAPTURE: &[Field] = &[
    may("amount_to_capture", Kind::Integer(1)),
    may("final_capture", Kind::Bool),
    may("metadata", Kind::Metadata),
    may("statement_descriptor", Kind::Short(22)),
    may("statement_descriptor_suffix", Kind::Short(22)),
];

const CANCEL: &[Field] = &[may(
    "cancellation_reason",
    Kind::Word(&["duplicate", "fraudulent", "requested_by_customer", "abandoned"]),
)];

pub(in crate::stripe_compat) async fn capture(
    State(door): State<Door>,
    Path(id): Path<String>,
    post: Post,
) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[CAPTURE], Shown::One("payment_intent"))?;
    let reader = Reader::new(&door, caller.tenant);
    let order = ids::order_of("pi", &id).ok_or_else(|| none(&id))?;
    let _turn = reader.turn(order, || none(&id)).await?;
    refuse_other_body(&reader, key.as_ref()).await?;
    let view = find(&reader, &id).await?;
    let currency = view.order.due.currency();
    let amount = given.integer("amount_to_capture");
    let amount = amount
        .map(|amount| money::read(amount, currency, "amount_to_capture"))
        .transpose()?;
    let held = status::amounts(&view.order).capturable;
    let fits = amount.is_none_or(|amount| amount.minor() <= held.minor());
    // First what the caller says about it: a capture whose note is missing would look like somebody else's.
    if matches!(view.order.phase, Phase::Authorized(_)) && fits {
        let (mut details, mut note) = kept(&view);
        given.change_metadata("metadata", &mut details.metadata)?;
        given.change_text("statement_descriptor", &mut note.statement_descriptor);
        given.change_text("statement_descriptor_suffix", &mut note.statement_descriptor_suffix);
        note.keep(&mut details);
        if details != *view.details && !was_asked(&reader, key.as_ref()).await? {
            let what = describing(&view, details);
            ask_or(&reader, part_of(key.as_ref(), "describe"), what, "captured", "metadata").await?;
        }
    }
    let what = What::Capture {
        order,
        amount,
        last: given.flag("final_capture").unwrap_or(true),
    };
    let answered = ask_or(&reader, key, what, "captured", "amount_to_capture").await?;
    ended(&answered)?;
    let view = &answered.order;
    let refused = answered
        .step
        .and_then(|step| status::captures(&view.order).into_iter().find(|one| one.step == step));
    if refused.is_some_and(|step| step.status == StepStatus::Failed) {
        let message = "The capture was refused by the card's bank: the authorization may have expired.";
        let wrong = Wrong::invalid(message).code("charge_expired_for_capture");
        return Err(with_intent(&reader, view, wrong, answered.replayed).await?);
    }
    let seen = reader.seen(view).await?;
    Ok(finish(
        &reader,
        shape::intent::shape(&seen, reader.scene()),
        &given,
        answered.replayed,
    )
    .await)
}

pub(in crate::stripe_compat) async fn cancel(
    State(door): State<Door>,
    Path(id): Path<String>,
    post: Post,
) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[CANCEL], Shown::One("payment_intent"))?;
    let reader = Reader::new(&door, caller.tenant);
    let order = ids::order_of("pi", &id).ok_or_else(|| none(&id))?;
    let _turn = reader.turn(order, || none(&id)).await?;
    refuse_other_body(&reader, key.as_ref()).await?;
    let view = find(&reader, &id).await?;
    // What a session has taken or holds is its intent's; what can still be paid on its page ends with the page.
    let on_page = matches!(view.order.phase, Phase::Created | Phase::Pending(_));
    if on_page && Note::of(&view.details).session.is_some() {
        let message =
            "You cannot cancel the PaymentIntent for a Checkout Session. Expire the Checkout Session instead.";
        return Err(Wrong::invalid(message).code("payment_intent_unexpected_state"));
    }
    let what = match view.order.phase {
        Phase::Authorized(_) => What::Void { order },
        Phase::Created | Phase::Pending(_) | Phase::Captured(_) | Phase::Ended(_) => What::Cancel { order },
    };
    let open = !matches!(view.order.phase, Phase::Captured(_) | Phase::Ended(_));
    if !open && !was_asked(&reader, key.as_ref()).await? {
        return Err(unexpected(&reader, &view, "canceled", false).await?);
    }
    if open && !was_asked(&reader, key.as_ref()).await? {
        let (mut details, mut note) = kept(&view);
        note.cancellation_reason = given.owned("cancellation_reason");
        note.canceled_at.get_or_insert(door.doors.engine.now());
        note.keep(&mut details);
        let what = describing(&view, details);
        ask_or(
            &reader,
            part_of(key.as_ref(), "describe"),
            what,
            "canceled",
            "cancellation_reason",
        )
        .await?;
    }
    let answered = ask_or(&reader, key, what, "canceled", "cancellation_reason").await?;
    ended(&answered)?;
    let seen = reader.seen(&answered.order).await?;
    Ok(finish(
        &reader,
        shape::intent::shape(&seen, reader.scene()),
        &given,
        answered.replayed,
    )
    .await)
}
