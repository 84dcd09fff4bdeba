//! What a command makes happen, or why not. Commands outside, phases inside: one arm answers one question.
//!
//! Repeats come first: a step that exists with the same body answers as before, with another body it is a conflict.

mod debts;
mod money;
mod time;

pub(super) use money::next;

use std::sync::Arc;

use crate::event::Event;
use crate::money::Money;
use crate::order::{Command, DESCRIBED_VERSION_MAX, Kind, Leaving, Order, Phase, Plan, Refusal, Standing, TooMany};
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
            Command::Describe => self.describe(),
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

    /// Every description is kept with its event, so that their number is bounded by that of the order's versions.
    fn describe(&self) -> Decision {
        if self.version >= DESCRIBED_VERSION_MAX {
            return Err(Refusal::TooMany(TooMany::Descriptions));
        }
        Ok(Some(Event::Described))
    }

    fn start(&self, number: u8, plan: &Arc<Plan>, now: Timestamp) -> Decision {
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
}

/// A sum as an amount; sums that facts have driven out of 64 bits stay at the end of the range.
pub(crate) fn clamp(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}
