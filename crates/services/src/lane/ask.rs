//! A door's request, carried out on an order.

use florin_core::id::OrderId;
use florin_core::money::Money;
use florin_core::order::{Command, Fact, Order, Phase, Refusal, StepKind, StepName, Terms};
use florin_core::rail::Memo;
use florin_core::status;
use florin_core::time::Timestamp;

use super::job::Start;
use super::open::RETURN_URL;
use super::working::Working;
use crate::ask::What;
use crate::merge::merged;

/// How long a payer has to pay, unless the order says otherwise (`order-machine.md` 6).
pub const WINDOW_S: i64 = 24 * 3_600;
/// Bounds of that window.
pub const WINDOW_S_MIN: i64 = 3;
/// See [`WINDOW_S_MIN`].
pub const WINDOW_S_MAX: i64 = 90 * 24 * 3_600;

/// The order that a request is about; none for one that makes an order, or is about none.
pub(super) fn order_of(what: &What) -> Option<OrderId> {
    match what {
        What::Create { .. } => None,
        What::Confirm { order, .. }
        | What::Leave { order, .. }
        | What::Capture { order, .. }
        | What::Void { order }
        | What::Cancel { order }
        | What::Refund { order, .. }
        | What::Amend { order, .. }
        | What::Describe { order, .. }
        | What::Back { order, .. }
        | What::Resolve { order, .. } => Some(*order),
    }
}

/// The terms of an order that is to be made.
pub(super) fn terms(new: &crate::ask::NewOrder, now: Timestamp) -> Terms {
    let wanted = new.expires_at.unwrap_or(now.plus_seconds(WINDOW_S));
    let expires_at = wanted.clamp(now.plus_seconds(WINDOW_S_MIN), now.plus_seconds(WINDOW_S_MAX));
    Terms {
        kind: new.kind,
        capture: new.capture,
        ..Terms::payment(new.amount, expires_at)
    }
}

/// The step that a request started, or that it has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Did {
    pub(super) step: Option<StepName>,
    pub(super) changed: bool,
}

/// Carries out a request on its order. Back is not here: it is the rail's business.
pub(super) fn carry_out(
    working: &mut Working,
    what: &What,
    start: Option<&Start>,
    now: Timestamp,
) -> Result<Did, Refusal> {
    let before = steps(working.order());
    let command = match what {
        What::Create { .. } | What::Confirm { .. } => match start {
            Some(start) => return begin(working, start, now),
            None => {
                return Ok(Did {
                    step: None,
                    changed: false,
                });
            }
        },
        What::Back { .. } => {
            return Ok(Did {
                step: None,
                changed: false,
            });
        }
        What::Describe { .. } => Command::Describe,
        What::Leave { attempt, .. } => Command::Leave { attempt: *attempt },
        What::Capture { amount, last, .. } => Command::Capture {
            index: working.order().next_capture(),
            amount: amount.unwrap_or_else(|| or_due(working.order(), status::amounts(working.order()).capturable)),
            last: *last,
        },
        What::Void { .. } => Command::Void,
        What::Cancel { .. } => Command::Cancel,
        What::Refund { amount, .. } => Command::Refund {
            index: working.order().next_refund(),
            amount: amount.unwrap_or_else(|| or_due(working.order(), status::amounts(working.order()).refundable)),
        },
        What::Amend { due, .. } => Command::Amend { due: *due },
        What::Resolve { step, says, note, .. } => Command::Fact(Fact::Answer {
            step: *step,
            says: says.clone(),
            note: Some(note.clone()),
        }),
    };
    let changed = working.command(&command, now)?;
    if let What::Describe { was, details, .. } = what {
        let now = &working.kept.view.details;
        let mut details = merged(was, details, now);
        // What opens the payer's page stays what it was.
        details.page_token = details.page_token.or_else(|| now.page_token.clone());
        working.describe(details);
    }
    let new = steps(working.order()).into_iter().find(|step| !before.contains(step));
    let step = new.or_else(|| awaited(working.order(), what));
    Ok(Did { step, changed })
}

fn begin(working: &mut Working, start: &Start, now: Timestamp) -> Result<Did, Refusal> {
    let number = working.order().next_attempt();
    let mut plan = start.plan.clone();
    plan.amount = working.order().due;
    let command = Command::Start {
        number,
        plan: plan.into(),
    };
    let changed = working.command(&command, now)?;
    let step = StepName::authorize(number);
    if let Some(url) = &start.return_url {
        let memo: Memo = [(RETURN_URL.to_owned(), url.clone())].into();
        working.learn(step, memo);
    }
    Ok(Did {
        step: Some(step),
        changed,
    })
}

/// All that there is; if that is nothing, what is due, so that the refusal says what is there.
fn or_due(order: &Order, all: Money) -> Money {
    if all.is_positive() { all } else { order.due }
}

fn steps(order: &Order) -> Vec<StepName> {
    order.in_flight().iter().map(|open| open.step).collect()
}

/// What a request that started nothing of its own has to wait for: the same undo that already runs, or the attempt that is being left.
fn awaited(order: &Order, what: &What) -> Option<StepName> {
    let undo = |kinds: &[StepKind]| steps(order).into_iter().find(|step| kinds.contains(&step.kind));
    match what {
        What::Void { .. } => undo(&[StepKind::Void, StepKind::Reverse]),
        What::Cancel { .. } | What::Leave { .. } => undo(&[StepKind::Cancel, StepKind::Reverse]).or_else(|| {
            let running = order.running().filter(|attempt| attempt.leaving.is_some());
            running.map(|attempt| StepName::authorize(attempt.number))
        }),
        What::Create { .. }
        | What::Confirm { .. }
        | What::Capture { .. }
        | What::Refund { .. }
        | What::Amend { .. }
        | What::Describe { .. }
        | What::Back { .. }
        | What::Resolve { .. } => None,
    }
}

/// Whether a call that waits for `step` has its answer: the step is over, or the payer has to act and nobody wants it to be over.
pub(crate) fn is_answered(order: &Order, step: StepName) -> bool {
    let Some((open, _, _)) = order.open_step(step) else {
        return true;
    };
    let wanted = match &order.phase {
        Phase::Pending(attempt) => attempt.leaving.is_none(),
        Phase::Created | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_) => true,
    };
    open == florin_core::order::Open::Acting && wanted
}
