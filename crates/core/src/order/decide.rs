//! What a command makes happen, or why not. Commands outside, phases inside: one arm answers one question.
//!
//! Repeats come first: a step that exists with the same body answers as before, with another body it is a conflict.

use super::limits::refund_until;
use super::{
    Attempt, CAPTURES_MAX, Command, INCREMENTS_MAX, Kind, Leaving, Open, Order, Owed, Phase, Place, Plan, REFUNDS_MAX,
    Refusal, Standing, Step, StepKind, StepName, TooMany,
};
use crate::event::Event;
use crate::money::Money;
use crate::time::Timestamp;

/// One event, none (as before, or nothing to do), or why not.
pub(crate) type Decision = Result<Option<Event>, Refusal>;

impl Order {
    /// What `command` makes happen, or why not; changes nothing. `None`: it happened before, or there is nothing to do. A fact is never
    /// refused.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Decision {
        match command {
            Command::Start { number, plan } => self.start(*number, plan, now),
            Command::Continue { attempt, action } => self.go_on(*attempt, *action),
            Command::Leave { attempt } => self.leave(*attempt),
            Command::Cancel => self.cancel(),
            Command::Amend { due } => self.amend(*due),
            Command::Capture { index, amount, last } => self.capture(*index, *amount, *last),
            Command::Increment { index, by } => self.increment(*index, *by),
            Command::Void => self.void(),
            Command::Refund { index, amount } => self.refund(*index, *amount, now),
            Command::Describe => Ok(Some(Event::Described)),
            Command::WindowOver => Ok(self.window_over()),
            Command::HoldOver => Ok(self.hold_over()),
            Command::CaptureDue => Ok(self.capture_due()),
            Command::AnswerOver { step } => Ok(self.answer_over(*step)),
            Command::ActionOver { attempt } => Ok(self.action_over(*attempt)),
            Command::ReverseAgain { attempt } => Ok(self.reverse_again(*attempt)),
            Command::StrayOver { attempt } => Ok(self.stray_over(*attempt)),
            Command::UncertainLong { step } => Ok(self.uncertain_long(*step)),
            Command::Owed(owed) => Ok(self.pay_debt(*owed)),
            Command::Fact(fact) => Ok(self.told(fact)),
        }
    }

    fn start(&self, number: u8, plan: &Plan, now: Timestamp) -> Decision {
        if let Some((_, attempt)) = self.attempt(number) {
            return if attempt.plan == *plan {
                Ok(None)
            } else {
                Err(Refusal::Conflict)
            };
        }
        match &self.phase {
            Phase::Created => {
                self.fits(plan)?;
                if now >= self.terms.expires_at {
                    return Err(Refusal::OrderOver); // the window is over, even if its timer is late
                }
                if !self.has_try_left() {
                    return Err(Refusal::TooMany(TooMany::Attempts));
                }
                if number != self.next_attempt() {
                    return Err(Refusal::Conflict);
                }
                Ok(Some(Event::Started {
                    attempt: number,
                    plan: plan.clone(),
                }))
            }
            Phase::Pending(_) => Err(Refusal::InFlight),
            Phase::Authorized(_) | Phase::Captured(_) => Err(Refusal::AlreadyPaid),
            Phase::Ended(_) => Err(Refusal::OrderOver),
        }
    }

    /// Whether a plan asks for what is due.
    fn fits(&self, plan: &Plan) -> Result<(), Refusal> {
        let extras = plan.extras.unwrap_or(Money::zero(self.due.currency()));
        if plan.amount.currency() != self.due.currency() || extras.currency() != self.due.currency() {
            return Err(Refusal::OtherCurrency);
        }
        if extras.minor() < 0 {
            return Err(Refusal::NotPositive);
        }
        match self.due.plus(extras) {
            Ok(asked) if asked == plan.amount => {}
            Ok(_) | Err(_) => return Err(Refusal::OtherAmount { due: self.due }),
        }
        match self.terms.kind {
            Kind::Payment | Kind::Credit if plan.amount.is_positive() => Ok(()),
            Kind::Verify if plan.amount.is_zero() => Ok(()),
            Kind::Payment | Kind::Credit | Kind::Verify => Err(Refusal::NotPositive),
        }
    }

    fn go_on(&self, number: u8, action: u16) -> Decision {
        match &self.phase {
            Phase::Pending(attempt) if attempt.number != number || attempt.leaving.is_some() || attempt.undoing() => {
                Err(Refusal::AttemptOver)
            }
            Phase::Pending(attempt) if attempt.standing == Standing::Acting && attempt.actions == action => {
                Ok(Some(Event::Continued {
                    attempt: number,
                    number: action,
                }))
            }
            Phase::Pending(_) => Err(Refusal::StaleAction),
            Phase::Created | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_) => Err(Refusal::AttemptOver),
        }
    }

    fn leave(&self, number: u8) -> Decision {
        let attempt = match &self.phase {
            Phase::Pending(attempt) if attempt.number == number => attempt,
            Phase::Pending(_) | Phase::Created | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_) => {
                return Err(Refusal::AttemptOver);
            }
        };
        if attempt.undo_refused() {
            return Err(Refusal::TooLate); // only facts decide now
        }
        if attempt.leaving.is_some() {
            return Ok(None);
        }
        let leaving = Event::Leaving {
            attempt: number,
            why: Leaving::Reopen,
        };
        match attempt.standing {
            Standing::Sent | Standing::Acting | Standing::Waiting => Ok(Some(leaving)),
            Standing::Uncertain if attempt.plan.can.reverse || attempt.undoing() => Ok(Some(leaving)),
            Standing::Uncertain => Err(Refusal::Uncertain),
            Standing::Approved | Standing::Declined(_) | Standing::Undone => Err(Refusal::TooLate),
        }
    }

    fn cancel(&self) -> Decision {
        match &self.phase {
            Phase::Created => Ok(Some(Event::Canceled)),
            Phase::Pending(attempt) if attempt.leaving == Some(Leaving::Cancel) => Ok(None),
            Phase::Pending(attempt) => Ok(Some(Event::Leaving {
                attempt: attempt.number,
                why: Leaving::Cancel,
            })),
            Phase::Authorized(_) => Err(Refusal::UseVoid),
            Phase::Captured(_) => Err(Refusal::UseRefund),
            Phase::Ended(_) => Ok(None),
        }
    }

    fn amend(&self, due: Money) -> Decision {
        if due.currency() != self.due.currency() {
            return Err(Refusal::OtherCurrency);
        }
        match &self.phase {
            Phase::Created if self.terms.kind == Kind::Verify => Err(Refusal::Unsupported),
            Phase::Created if !due.is_positive() => Err(Refusal::NotPositive),
            Phase::Created => Ok((due != self.due).then_some(Event::Amended { due })),
            Phase::Pending(_) => Err(Refusal::InFlight),
            Phase::Authorized(attempt) => {
                if attempt.charge.hold_step().is_some() {
                    return Err(Refusal::StepInFlight);
                }
                if due.minor() < 0 {
                    return Err(Refusal::NotPositive);
                }
                let extras = attempt.plan.extras.map_or(0, Money::minor);
                if i128::from(due.minor()) + i128::from(extras) < attempt.taken() {
                    return Err(Refusal::AlreadyCaptured);
                }
                Ok((due != self.due).then_some(Event::Amended { due }))
            }
            Phase::Captured(_) => Err(Refusal::AlreadyCaptured),
            Phase::Ended(_) => Err(Refusal::OrderOver),
        }
    }

    fn capture(&self, index: u8, amount: Money, last: bool) -> Decision {
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

    fn increment(&self, index: u8, by: Money) -> Decision {
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

    fn void(&self) -> Decision {
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

    fn refund(&self, index: u8, amount: Money, now: Timestamp) -> Decision {
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

    // ---- timers: never refused ----------------------------------------------------------------------------------------------

    fn window_over(&self) -> Option<Event> {
        match &self.phase {
            Phase::Created | Phase::Pending(_) if !self.window_over => Some(Event::WindowOver),
            Phase::Created | Phase::Pending(_) | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_) => None,
        }
    }

    fn hold_over(&self) -> Option<Event> {
        let hold = self.open_hold()?;
        (!hold.over).then_some(Event::HoldOver)
    }

    fn capture_due(&self) -> Option<Event> {
        let hold = self.open_hold()?;
        match self.terms.capture {
            super::CaptureAt::At(_) => (!hold.capture_due).then_some(Event::CaptureDue),
            super::CaptureAt::Once | super::CaptureAt::Later => None,
        }
    }

    pub(crate) fn open_hold(&self) -> Option<&super::Hold> {
        match &self.phase {
            Phase::Authorized(attempt) => attempt.charge.hold.as_ref(),
            Phase::Created | Phase::Pending(_) | Phase::Captured(_) | Phase::Ended(_) => None,
        }
    }

    fn answer_over(&self, step: StepName) -> Option<Event> {
        match self.open_step(step)?.0 {
            Open::Sent => Some(Event::Uncertain { step }),
            Open::Acting | Open::Pending | Open::Uncertain => None,
        }
    }

    fn action_over(&self, number: u8) -> Option<Event> {
        let attempt = self.running().filter(|attempt| attempt.number == number)?;
        let waits = attempt.standing == Standing::Acting && attempt.leaving.is_none() && attempt.undo.is_none();
        waits.then_some(Event::Leaving {
            attempt: number,
            why: Leaving::Reopen,
        })
    }

    fn reverse_again(&self, number: u8) -> Option<Event> {
        let (place, attempt) = self.attempt(number)?;
        self.wants_second_reversal(place, attempt).then(|| reversal(attempt))
    }

    fn stray_over(&self, attempt: u8) -> Option<Event> {
        self.watched_until(attempt).map(|_| Event::StrayQuiet { attempt })
    }

    fn uncertain_long(&self, step: StepName) -> Option<Event> {
        let (open, _, case) = self.open_step(step)?;
        (open == Open::Uncertain && case.is_none()).then_some(Event::UncertainLong { step })
    }

    // ---- what is owed ---------------------------------------------------------------------------------------------------------

    /// What an owed command makes happen; nothing if it is not what is owed (any more).
    fn pay_debt(&self, owed: Owed) -> Option<Event> {
        if self.owes() != Some(owed) {
            return None;
        }
        match owed {
            Owed::Reverse { attempt } => self.attempt(attempt).map(|(_, attempt)| reversal(attempt)),
            Owed::Cancel { attempt } => self.attempt(attempt).map(|(_, attempt)| Event::StepStarted {
                step: StepName::new(attempt.number, StepKind::Cancel, 0),
                amount: attempt.plan.amount,
                last: false,
            }),
            Owed::Capture => self.winner().and_then(|attempt| {
                let amount = self.due.with_minor(clamp(self.to_capture(attempt)));
                Some(Event::StepStarted {
                    step: next(attempt, StepKind::Capture)?,
                    amount,
                    last: true,
                })
            }),
            Owed::Void => self.winner().and_then(|attempt| self.void_hold(attempt)),
            Owed::CloseHold => Some(Event::HoldClosed),
            Owed::RefundSurplus => self.winner().and_then(|attempt| {
                let amount = self.due.with_minor(clamp(self.surplus(attempt)));
                Some(Event::StepStarted {
                    step: next(attempt, StepKind::Refund)?,
                    amount,
                    last: true,
                })
            }),
            Owed::Adopt { attempt } => self.adopt(attempt),
            Owed::Leave { attempt } => Some(Event::LeftStray { attempt }),
        }
    }

    /// Money in suspense of an attempt whose undo was refused, or that came in parts: paid if it is enough, else back.
    fn adopt(&self, number: u8) -> Option<Event> {
        let (place, attempt) = self.attempt(number)?;
        let enough = attempt.charge.heard() + attempt.charge.held() >= i128::from(self.asked_of(attempt));
        let wanted = match place {
            Place::Current => attempt.leaving != Some(Leaving::Cancel) && (enough || self.terms.accept_partial),
            Place::Past => true, // `owes` asked whether it fits
            Place::Winner => false,
        };
        if wanted {
            return Some(Event::Adopted { attempt: number });
        }
        let held = attempt.charge.hold.as_ref().map(|hold| match hold.end {
            Some(at) => super::HoldEnd::At(at),
            None => super::HoldEnd::Unknown,
        });
        let amount = attempt
            .charge
            .hold
            .as_ref()
            .map_or(attempt.charge.sold, |hold| hold.amount);
        Some(Event::Unwanted {
            attempt: number,
            amount: self.due.with_minor(amount),
            held,
        })
    }

    // ---- shared questions -------------------------------------------------------------------------------------------------------

    /// The answer to a step that exists: as before, or a conflict.
    fn repeated(&self, kind: StepKind, index: u8, same: impl Fn(&Step) -> bool) -> Option<Decision> {
        let attempt = self.winner()?;
        let step = attempt.step(StepName::new(attempt.number, kind, index))?;
        Some(if same(step) { Ok(None) } else { Err(Refusal::Conflict) })
    }

    /// Starts step `index` of a kind: the next one, below its limit.
    #[expect(
        clippy::too_many_arguments,
        reason = "a step is named by three things, bounded by two and described by two"
    )]
    fn step(
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

    fn void_hold(&self, attempt: &Attempt) -> Option<Event> {
        let amount = self.due.with_minor(clamp(attempt.held()));
        Some(Event::StepStarted {
            step: next(attempt, StepKind::Void)?,
            amount,
            last: false,
        })
    }

    fn same_currency(&self, amount: Money) -> Result<(), Refusal> {
        if amount.currency() == self.due.currency() {
            Ok(())
        } else {
            Err(Refusal::OtherCurrency)
        }
    }

    fn at_most(&self, asked: Money, available: i128) -> Result<(), Refusal> {
        if i128::from(asked.minor()) <= available {
            return Ok(());
        }
        Err(Refusal::TooMuch {
            asked,
            available: self.due.with_minor(clamp(available.max(0))),
        })
    }
}

/// A sum as an amount; sums that facts have driven out of 64 bits stay at the end of the range.
pub(crate) fn clamp(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
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
fn reversal(attempt: &Attempt) -> Event {
    Event::StepStarted {
        step: StepName::new(attempt.number, StepKind::Reverse, attempt.reversals),
        amount: attempt.plan.amount,
        last: false,
    }
}

/// The next step of a kind, below its limit.
pub(crate) fn next(attempt: &Attempt, kind: StepKind) -> Option<StepName> {
    let (count, max) = match kind {
        StepKind::Capture => (attempt.charge.captures.len(), CAPTURES_MAX),
        StepKind::Void => (attempt.charge.voids.len(), super::VOIDS_MAX),
        StepKind::Increment => (attempt.charge.increments.len(), INCREMENTS_MAX),
        StepKind::Refund => (attempt.charge.refunds.len(), REFUNDS_MAX),
        StepKind::Reverse => (usize::from(attempt.reversals), super::REVERSALS_MAX),
        StepKind::Authorize | StepKind::Cancel => return None,
    };
    let index = u8::try_from(count).ok().filter(|index| *index < max)?;
    Some(StepName::new(attempt.number, kind, index))
}
