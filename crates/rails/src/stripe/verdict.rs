//! What an object of Stripe's says about a step of ours.
//!
//! A judgement does not know why the object was read: after an answer, a question, a refusal or a deadline. `stripe.rs` does, and turns
//! the same verdict into different turns.

use florin_core::decline::{Code, Decline};
use florin_core::money::Money;
use florin_core::rail::{Fee, Outcome, Report, Step, Task};
use florin_core::time::Timestamp;

use super::object::{Charge, Expandable, Intent, Refund, Session};
use super::{ask, decline, extra, money};
use crate::http::safe_url;
use crate::memo;

/// How a step stands, as far as one object tells.
pub(super) enum Verdict {
    /// For good.
    Over(Report),
    /// The payer must act.
    Acting(Acting),
    /// Stripe takes its time, and says so.
    Pending,
    /// To undo what stands, this exchange comes next.
    Todo(&'static str),
    /// Stripe has what the step builds on; the step itself did nothing there.
    NotDone,
    /// Stripe has nothing of the attempt.
    Absent,
    /// The words prove nothing.
    Unclear,
}

/// Where the payer must go.
pub(super) struct Acting {
    /// The wait that this is: `page` or `challenge`.
    pub wait: &'static str,
    /// The address.
    pub url: String,
    /// How many seconds Stripe still takes it.
    pub left_s: u32,
}

/// Longest life of a challenge that Stripe does not date.
const CHALLENGE_S: u32 = 24 * 3600;

/// A page of Checkout, with the intent in it.
pub(super) fn session(task: &Task, session: &Session) -> Verdict {
    let within = session.payment_intent.as_ref().and_then(Expandable::object);
    let paid_for =
        within.filter(|intent| matches!(intent.status.as_str(), "succeeded" | "requires_capture" | "processing"));
    match (session.status.as_deref(), session.payment_status.as_deref()) {
        (Some("open"), _) if undoes(task.step) => Verdict::Todo("expire"),
        (Some("open"), _) => page(task, session),
        (Some("complete"), Some("paid" | "unpaid")) => within.map_or(Verdict::Unclear, |within| intent(task, within)),
        // Nobody can pay on an expired page; whether somebody had before, the intent tells.
        (Some("expired"), _) => match (paid_for, &session.payment_intent) {
            (Some(paid_for), _) => intent(task, paid_for),
            (None, Some(Expandable::Id(_))) => Verdict::Unclear,
            (None, None | Some(Expandable::Object(_))) if undoes(task.step) => released(task.money.with_minor(0)),
            (None, None | Some(Expandable::Object(_))) => declined(decline::named(Code::PayerTimeout, Some("expired"))),
        },
        _ => Verdict::Unclear,
    }
}

fn page(task: &Task, session: &Session) -> Verdict {
    let closes = session
        .expires_at
        .unwrap_or(task.now.seconds() + i64::from(CHALLENGE_S));
    // A page may live longer than its order, which closes it.
    let closes = task.until.map_or(closes, |until| closes.min(until.seconds()));
    let left = closes.saturating_sub(task.now.seconds());
    let left = u32::try_from(left.max(1)).unwrap_or(CHALLENGE_S);
    match session.url.as_deref().or(task.memo.get("page").map(String::as_str)) {
        Some(url) if safe_url(&task.account, url) => Verdict::Acting(Acting {
            wait: "page",
            url: url.to_owned(),
            left_s: left,
        }),
        Some(_) | None => Verdict::Unclear,
    }
}

/// A payment intent.
pub(super) fn intent(task: &Task, intent: &Intent) -> Verdict {
    match task.step {
        Step::Sale | Step::Authorize => authorised(task, intent),
        Step::Capture => captured(task, intent),
        Step::Void | Step::Cancel | Step::Reverse => undone(task, intent),
        Step::Verify | Step::Increment | Step::Refund | Step::Payout => Verdict::Unclear,
    }
}

fn authorised(task: &Task, intent: &Intent) -> Verdict {
    match intent.status.as_str() {
        "succeeded" => report(task, intent, Outcome::Moved, intent.amount_received),
        "requires_capture" => report(
            task,
            intent,
            Outcome::Held {
                until: hold_end(intent),
            },
            intent.amount_capturable,
        ),
        "processing" => Verdict::Pending,
        "requires_action" => {
            let redirect = intent
                .next_action
                .as_ref()
                .and_then(|next| next.redirect_to_url.as_ref());
            match redirect.and_then(|redirect| redirect.url.as_deref()) {
                Some(url) if safe_url(&task.account, url) => Verdict::Acting(Acting {
                    wait: "challenge",
                    url: url.to_owned(),
                    left_s: CHALLENGE_S,
                }),
                Some(_) | None => Verdict::Unclear,
            }
        }
        // A try failed; nobody but us could try this intent again, and we take a new one.
        "requires_payment_method" => match &intent.last_payment_error {
            Some(problem) => declined(decline::of_last_try(problem)),
            None => Verdict::NotDone,
        },
        "requires_confirmation" => Verdict::NotDone,
        "canceled" => match held_once(intent) {
            Some(charge) => release(intent, charge.amount),
            None if intent
                .latest_charge
                .as_ref()
                .is_some_and(|charge| charge.object().is_none()) =>
            {
                Verdict::Unclear
            }
            None => {
                let code = match intent.cancellation_reason.as_deref() {
                    Some("requested_by_customer") => Code::PayerCanceled,
                    _ => Code::PayerTimeout,
                };
                declined(decline::named(code, intent.cancellation_reason.as_deref()))
            }
        },
        _ => Verdict::Unclear,
    }
}

fn captured(task: &Task, intent: &Intent) -> Verdict {
    let ours = intent.note("florin_capture") == Some(task.key.to_string().as_str());
    match intent.status.as_str() {
        "succeeded" if ours => report(task, intent, Outcome::Moved, intent.amount_received),
        "succeeded" | "canceled" => {
            let no = decline::named(Code::Unsupported, Some(&intent.status));
            report(task, intent, Outcome::Declined(no), None)
        }
        "processing" => Verdict::Pending,
        "requires_capture" => Verdict::NotDone,
        _ => Verdict::Unclear,
    }
}

fn undone(task: &Task, intent: &Intent) -> Verdict {
    let reverse = task.step == Step::Reverse;
    let too_late = || declined(decline::named(Code::Unsupported, Some(&intent.status)));
    match intent.status.as_str() {
        "canceled" => match held_once(intent) {
            Some(charge) => release(intent, charge.amount),
            None if intent
                .latest_charge
                .as_ref()
                .is_some_and(|charge| charge.object().is_none()) =>
            {
                Verdict::Unclear
            }
            None => released(task.money.with_minor(0)),
        },
        "succeeded" if reverse => match refunded_by(task, intent) {
            // All of it is back already, by this step or by somebody else: nothing is left to undo.
            Some((ours, true)) => released(ours),
            Some((_, false)) => Verdict::Todo("refund"),
            None => Verdict::Unclear,
        },
        // What Stripe will not stop is given back when it has arrived.
        "processing" if reverse && super::sent(task, "cancel") => Verdict::Pending,
        "requires_capture" | "processing" if reverse => Verdict::Todo("cancel"),
        // The payer was faster than the cancel.
        "requires_capture" | "processing" if task.step == Step::Cancel => too_late(),
        "requires_capture" => Verdict::Todo("cancel"),
        // Who was faster than the void, and how much of the hold was taken, is told with the no.
        "succeeded" if task.step == Step::Void => {
            let no = decline::named(Code::Unsupported, Some(&intent.status));
            report(task, intent, Outcome::Declined(no), None)
        }
        "succeeded" => too_late(),
        "requires_action" | "requires_payment_method" | "requires_confirmation" => Verdict::Todo("cancel"),
        _ => Verdict::Unclear,
    }
}

/// A refund of ours, by this step.
pub(super) fn refund(task: &Task, refund: &Refund) -> Verdict {
    let Some(money) = refund.money() else {
        return Verdict::Unclear;
    };
    let was_done = memo::own(task, "stood").is_some_and(|word| matches!(word, "moved" | "released"));
    match refund.status.as_deref() {
        Some("succeeded") if task.step == Step::Refund => Verdict::Over(Report::new(Outcome::Moved, Some(money))),
        Some("succeeded") => released(money),
        Some("pending" | "requires_action") => Verdict::Pending,
        Some(word @ ("failed" | "canceled")) if was_done => {
            let why = refund.failure_reason.as_deref().unwrap_or(word);
            Verdict::Over(Report::new(Outcome::Returned(crate::http::cut(why)), Some(money)))
        }
        Some(word @ ("failed" | "canceled")) => declined(decline::of_refund(Some(
            refund.failure_reason.as_deref().unwrap_or(word),
        ))),
        _ => Verdict::Unclear,
    }
}

/// The refund of this step among those of its intent.
pub(super) fn refunds(task: &Task, all: &[Refund], has_more: bool) -> Verdict {
    match own_refund(task, all) {
        Some(ours) => refund(task, ours),
        None if has_more => Verdict::Unclear,
        None => Verdict::NotDone,
    }
}

/// The refund that this step made.
pub(super) fn own_refund<'a>(task: &Task, all: &'a [Refund]) -> Option<&'a Refund> {
    let key = task.key.to_string();
    all.iter().find(|one| one.note("florin_key") == Some(key.as_str()))
}

/// What ended, with everything else that the intent tells about this attempt.
fn report(task: &Task, intent: &Intent, outcome: Outcome, amount: Option<i64>) -> Verdict {
    let money = match amount {
        // Money that is no amount of any currency is not believed.
        Some(amount) => match intent.money(amount) {
            Some(money) => Some(money),
            None => return Verdict::Unclear,
        },
        None => None,
    };
    Verdict::Over(Report {
        outcome,
        money,
        fee: intent.charge().and_then(|charge| fee(task, charge)),
        also: extra::of_intent(task, intent),
    })
}

/// Stripe's fee for a charge, if it is in the order's currency.
fn fee(task: &Task, charge: &Charge) -> Option<Fee> {
    let transaction = charge.balance_transaction.as_ref()?.object()?;
    let money = money::from_wire(transaction.fee, &transaction.currency)?;
    (money.is_positive() && money.currency() == task.money.currency()).then(|| Fee {
        id: transaction.id.clone(),
        money,
    })
}

fn hold_end(intent: &Intent) -> Option<Timestamp> {
    let card = intent.charge()?.payment_method_details.as_ref()?.card.as_ref()?;
    card.capture_before
        .map(|seconds| Timestamp::default().plus_seconds(seconds))
}

/// The charge of a canceled intent, if it ever held money.
fn held_once(intent: &Intent) -> Option<&Charge> {
    intent
        .charge()
        .filter(|charge| charge.status.as_deref() == Some("succeeded"))
}

/// How much this step gave back, and whether nothing is left to give back. None: the charge was not shown.
fn refunded_by(task: &Task, intent: &Intent) -> Option<(Money, bool)> {
    let charge = intent.charge()?;
    let key = task.key.to_string();
    let all = charge.refunds.as_ref()?;
    let on_the_way = |one: &Refund| matches!(one.status.as_deref(), Some("succeeded" | "pending" | "requires_action"));
    let moved = extra::moved(charge, &all.data);
    let sum =
        |refunds: &mut dyn Iterator<Item = &&Refund>| refunds.fold(0_i64, |sum, one| sum.saturating_add(one.amount));
    let back = sum(&mut moved.iter().filter(|one| on_the_way(one)));
    let ours = sum(&mut moved
        .iter()
        .filter(|one| on_the_way(one) && one.note("florin_key") == Some(key.as_str())));
    let taken = charge.amount_captured.unwrap_or(charge.amount);
    Some((intent.money(ours)?, back >= taken))
}

fn release(intent: &Intent, amount: i64) -> Verdict {
    intent.money(amount).map_or(Verdict::Unclear, released)
}

fn released(money: Money) -> Verdict {
    Verdict::Over(Report::new(Outcome::Released, Some(money)))
}

fn declined(decline: Decline) -> Verdict {
    Verdict::Over(Report::new(Outcome::Declined(decline), None))
}

/// Whether the step takes something back.
pub(super) fn undoes(step: Step) -> bool {
    matches!(step, Step::Void | Step::Cancel | Step::Reverse)
}

/// Whether the list holds the attempt's intent.
pub(super) fn ours<'a>(task: &Task, list: &'a [Intent]) -> Option<&'a Intent> {
    let key = ask::attempt_key(task).to_string();
    list.iter()
        .find(|intent| intent.note("florin_key") == Some(key.as_str()))
}

/// Nothing if the intent says that it is of another attempt.
pub(super) fn not_of_others(task: &Task, intent: &Intent) -> Option<()> {
    let key = ask::attempt_key(task).to_string();
    intent.note("florin_key").is_none_or(|note| note == key).then_some(())
}
