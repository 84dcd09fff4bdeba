//! What a fact writes into an attempt's numbers.

use crate::money::Money;
use crate::order::{About, Attempt, Dispute, FactKey, Hold, HoldEnd, Standing, StepName, Verdict};
use crate::time::Timestamp;

pub(super) fn grow(sum: &mut i64, amount: Money) {
    *sum = sum.saturating_add(amount.minor());
}

/// Books an approval. After a confirmed undo only money that moved is booked: what was held is gone.
pub(super) fn approve(attempt: &mut Attempt, amount: Money, held: Option<HoldEnd>, at: Timestamp) {
    let undone = attempt.standing == Standing::Undone;
    let charge = &mut attempt.charge;
    match held {
        None => {
            charge.sold = charge.sold.max(amount.minor());
            if charge.sold > 0 {
                charge.taken_at.get_or_insert(at);
            }
        }
        Some(end) if charge.hold.is_none() && !undone => {
            let end = match end {
                HoldEnd::At(end) => Some(end),
                HoldEnd::Unknown => None,
            };
            charge.hold = Some(Hold {
                amount: amount.minor(),
                at,
                end,
                over: false,
                capture_due: false,
                closed: false,
            });
        }
        Some(_) => {}
    }
    if !undone {
        attempt.stands(Standing::Approved, at);
    }
}

/// Books a success that does not pay the order. A hold that the rail has let go of before is none any more: no step of ours is at it.
pub(super) fn see(attempt: &mut Attempt, amount: Money, held: Option<HoldEnd>, at: Timestamp) {
    approve(attempt, amount, held, at);
    if attempt.charge.gone {
        close_hold(attempt);
    }
}

/// Nothing of the hold is left.
pub(super) fn close_hold(attempt: &mut Attempt) {
    if let Some(hold) = &mut attempt.charge.hold {
        hold.closed = true;
    }
}

pub(super) fn dispute(attempt: &mut Attempt, number: u8, id: &str, verdict: Verdict, amount: Money, at: Timestamp) {
    let disputes = &mut attempt.charge.disputes;
    let index = disputes.iter().position(|dispute| dispute.id == id).unwrap_or_else(|| {
        disputes.push(Dispute {
            number,
            id: id.to_owned(),
            opened: 0,
            heard_at: at,
            verdict,
            decided_at: None,
            lost: 0,
        });
        disputes.len() - 1
    });
    let known = &mut disputes[index];
    known.verdict = verdict;
    match verdict {
        Verdict::Open => known.opened = amount.minor(),
        Verdict::Won => {
            known.decided_at.get_or_insert(at);
        }
        Verdict::Lost => {
            known.decided_at.get_or_insert(at);
            known.lost = amount.minor();
        }
    }
}

pub(super) fn is_about_dispute(about: &About, number: u8, dispute: &str) -> bool {
    match about {
        About::Step(_) => false,
        About::Fact(FactKey { attempt, what: _, id }) => *attempt == number && id == dispute,
    }
}

/// Whether a person who looked at `step` has looked at this: an authorise step stands for everything about its attempt.
pub(super) fn is_settled_by(about: &About, step: StepName) -> bool {
    match about {
        About::Step(name) => *name == step,
        About::Fact(FactKey { attempt, .. }) => step == StepName::authorize(*attempt),
    }
}

pub(super) fn fee(attempt: &mut Attempt, amount: Money) {
    let fees = &mut attempt.charge.fees;
    match fees.iter_mut().find(|fee| fee.currency() == amount.currency()) {
        Some(sum) => *sum = sum.with_minor(sum.minor().saturating_add(amount.minor())),
        None => fees.push(amount),
    }
}
