//! Captures, increments, voids and refunds.

use super::{Decision, clamp};
use crate::event::Event;
use crate::money::Money;
use crate::order::limits::refund_until;
use crate::order::{
    Attempt, CAPTURES_MAX, INCREMENTS_MAX, Kind, Order, Phase, REFUNDS_MAX, REVERSALS_MAX, Refusal, Step, StepKind,
    StepName, TooMany, VOIDS_MAX,
};
use crate::time::Timestamp;

impl Order {
    pub(in crate::order) fn capture(&self, index: u8, amount: Money, last: bool) -> Decision {
        if let Some(decision) = self.repeated(StepKind::Capture, index, |step| {
            step.amount == amount && step.last == last
        }) {
            return decision;
        }
        match &self.phase {
            Phase::Created | Phase::Pending(_) => Err(Refusal::NotAuthorized),
            Phase::Authorized(attempt) => {
                self.same_currency(amount)?;
                free(attempt)?;
                usable(attempt)?;
                if !amount.is_positive() {
                    return Err(Refusal::NotPositive);
                }
                self.at_most(amount, attempt.held())?;
                if !last && !attempt.plan.can.captures {
                    return Err(Refusal::Unsupported);
                }
                self.step(
                    attempt,
                    StepKind::Capture,
                    index,
                    CAPTURES_MAX,
                    TooMany::Captures,
                    amount,
                    last,
                )
            }
            Phase::Captured(_) => Err(Refusal::AlreadyCaptured),
            Phase::Ended(_) => Err(Refusal::OrderOver),
        }
    }

    pub(in crate::order) fn increment(&self, index: u8, by: Money) -> Decision {
        if let Some(decision) = self.repeated(StepKind::Increment, index, |step| step.amount == by) {
            return decision;
        }
        match &self.phase {
            Phase::Created | Phase::Pending(_) => Err(Refusal::NotAuthorized),
            Phase::Authorized(attempt) => {
                self.same_currency(by)?;
                free(attempt)?;
                usable(attempt)?;
                if by.minor() < 0 {
                    return Err(Refusal::NotPositive);
                }
                if !attempt.plan.can.increment {
                    return Err(Refusal::Unsupported);
                }
                self.at_most(by, i128::from(i64::MAX) - attempt.charge.granted())?;
                self.step(
                    attempt,
                    StepKind::Increment,
                    index,
                    INCREMENTS_MAX,
                    TooMany::Increments,
                    by,
                    false,
                )
            }
            Phase::Captured(_) => Err(Refusal::AlreadyCaptured),
            Phase::Ended(_) => Err(Refusal::OrderOver),
        }
    }

    pub(in crate::order) fn void(&self) -> Decision {
        match &self.phase {
            Phase::Created | Phase::Pending(_) => Err(Refusal::NotAuthorized),
            Phase::Authorized(attempt) => {
                let charge = &attempt.charge;
                if charge.voids.iter().any(Step::in_flight) {
                    return Ok(None);
                }
                free(attempt)?;
                if charge.gone {
                    return Err(Refusal::HoldOver);
                }
                if charge.voids.iter().any(|step| step.declined().is_some()) {
                    return Err(Refusal::VoidRefused);
                }
                Ok(self.void_hold(attempt))
            }
            Phase::Captured(attempt) if attempt.undoing() => Ok(None),
            Phase::Captured(attempt) if attempt.plan.can.void_sale && is_untouched_sale(self.terms.kind, attempt) => {
                Ok(Some(reversal(attempt)))
            }
            Phase::Captured(_) => Err(Refusal::UseRefund),
            Phase::Ended(_) => Err(Refusal::OrderOver),
        }
    }

    pub(in crate::order) fn refund(&self, index: u8, amount: Money, now: Timestamp) -> Decision {
        if let Some(decision) = self.repeated(StepKind::Refund, index, |step| step.amount == amount && !step.last) {
            return decision;
        }
        match &self.phase {
            Phase::Created | Phase::Pending(_) => Err(Refusal::NotCaptured),
            Phase::Authorized(attempt) | Phase::Captured(attempt) => {
                self.same_currency(amount)?;
                if self.terms.kind == Kind::Credit {
                    return Err(Refusal::Unsupported);
                }
                if attempt.undoing() {
                    return Err(Refusal::StepInFlight);
                }
                let Some(taken_at) = attempt.charge.taken_at else {
                    return Err(Refusal::NotCaptured);
                };
                if !amount.is_positive() {
                    return Err(Refusal::NotPositive);
                }
                if now > refund_until(attempt.plan.can, taken_at) {
                    return Err(Refusal::RefundWindowOver);
                }
                self.at_most(amount, attempt.refundable())?;
                self.step(
                    attempt,
                    StepKind::Refund,
                    index,
                    REFUNDS_MAX,
                    TooMany::Refunds,
                    amount,
                    false,
                )
            }
            Phase::Ended(_) => Err(Refusal::OrderOver),
        }
    }

    /// The answer to a step that exists: as before, or a conflict.
    pub(in crate::order) fn repeated(
        &self,
        kind: StepKind,
        index: u8,
        same: impl Fn(&Step) -> bool,
    ) -> Option<Decision> {
        let attempt = self.winner()?;
        let step = attempt.step(StepName::new(attempt.number, kind, index))?;
        Some(if same(step) { Ok(None) } else { Err(Refusal::Conflict) })
    }

    /// Starts step `index` of a kind: the next one, below its limit.
    #[expect(
        clippy::too_many_arguments,
        reason = "a step is named by three things, bounded by two and described by two"
    )]
    pub(in crate::order) fn step(
        &self,
        attempt: &Attempt,
        kind: StepKind,
        index: u8,
        max: u8,
        many: TooMany,
        amount: Money,
        last: bool,
    ) -> Decision {
        if index >= max {
            return Err(Refusal::TooMany(many));
        }
        let step = StepName::new(attempt.number, kind, index);
        if next(attempt, kind) != Some(step) {
            return Err(Refusal::Conflict);
        }
        Ok(Some(Event::StepStarted { step, amount, last }))
    }

    pub(in crate::order) fn void_hold(&self, attempt: &Attempt) -> Option<Event> {
        let amount = self.due.with_minor(clamp(attempt.held()));
        Some(Event::StepStarted {
            step: next(attempt, StepKind::Void)?,
            amount,
            last: false,
        })
    }

    pub(in crate::order) fn same_currency(&self, amount: Money) -> Result<(), Refusal> {
        if amount.currency() == self.due.currency() {
            Ok(())
        } else {
            Err(Refusal::OtherCurrency)
        }
    }

    pub(in crate::order) fn at_most(&self, asked: Money, available: i128) -> Result<(), Refusal> {
        if i128::from(asked.minor()) <= available {
            return Ok(());
        }
        Err(Refusal::TooMuch {
            asked,
            available: self.due.with_minor(clamp(available.max(0))),
        })
    }
}

/// One capture, void or increment at a time: two change one hold, and their answers may overtake each other.
fn free(attempt: &Attempt) -> Result<(), Refusal> {
    if attempt.charge.hold_step().is_some() {
        Err(Refusal::StepInFlight)
    } else {
        Ok(())
    }
}

fn usable(attempt: &Attempt) -> Result<(), Refusal> {
    let over = attempt.charge.gone || attempt.charge.hold.as_ref().is_none_or(|hold| hold.over || hold.closed);
    if over { Err(Refusal::HoldOver) } else { Ok(()) }
}

fn is_untouched_sale(kind: Kind, attempt: &Attempt) -> bool {
    let charge = &attempt.charge;
    kind == Kind::Payment
        && attempt.undo.is_none()
        && charge.sold > 0
        && charge.captured() == 0
        && charge.captures.is_empty()
        && charge.refunds.iter().all(|step| step.declined().is_some())
        && charge.went_back() == 0
        && charge.disputes.is_empty()
}

/// The next reversal of an attempt.
pub(super) fn reversal(attempt: &Attempt) -> Event {
    Event::StepStarted {
        step: StepName::new(attempt.number, StepKind::Reverse, attempt.reversals),
        amount: attempt.plan.amount,
        last: false,
    }
}

/// The next step of a kind, below its limit.
pub(in crate::order) fn next(attempt: &Attempt, kind: StepKind) -> Option<StepName> {
    let (count, max) = match kind {
        StepKind::Capture => (attempt.charge.captures.len(), CAPTURES_MAX),
        StepKind::Void => (attempt.charge.voids.len(), VOIDS_MAX),
        StepKind::Increment => (attempt.charge.increments.len(), INCREMENTS_MAX),
        StepKind::Refund => (attempt.charge.refunds.len(), REFUNDS_MAX),
        StepKind::Reverse => (usize::from(attempt.reversals), REVERSALS_MAX),
        StepKind::Authorize | StepKind::Cancel => return None,
    };
    let index = u8::try_from(count).ok().filter(|index| *index < max)?;
    Some(StepName::new(attempt.number, kind, index))
}
