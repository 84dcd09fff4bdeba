//! Makes an event so. It cannot fail: it has already happened. Amounts only grow; what they sum up to is read elsewhere.

mod places;
mod record;
mod steps;
mod winner;

use crate::event::Event;
use crate::order::{About, Attempt, Case, End, Hold, Order, Phase, Standing, StepName, StepState, Why};
use crate::time::Timestamp;
use record::{approve, dispute, fee, grow, is_about_dispute, is_settled_by, see};

impl Order {
    /// Makes `event` so, written at `at`. Never fails; an event that does not fit the state changes the version only.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        self.version = self.version.saturating_add(1);
        if let Some(key) = event.books() {
            self.settle(|about| *about == About::Fact(key.clone()));
            self.booked.push(key);
        }
        let was_over = matches!(self.phase, Phase::Ended(_));
        self.change(event, at);
        // Every way into the end passes here.
        if let Phase::Ended(end) = &mut self.phase
            && !was_over
        {
            end.at = Some(at);
        }
    }

    fn change(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Resolved { event, .. } => self.resolved(event, at),
            Event::Created { .. } | Event::Described => {}
            Event::Amended { due } => self.due = *due,
            Event::Canceled => self.end(Why::Canceled, None),
            Event::WindowOver => self.window_is_over(),
            Event::Started { attempt, plan } => self.phase = Phase::Pending(Attempt::new(*attempt, plan.clone(), at)),
            Event::StepStarted { step, amount, last } => self.step_started(*step, *amount, *last, at),
            Event::Acting {
                attempt,
                number,
                action,
            } => self.on(*attempt, |attempt| {
                attempt.asks_for(action, *number);
                attempt.stands(Standing::Acting, at);
            }),
            Event::Continued { attempt, .. } => self.on(*attempt, |attempt| attempt.stands(Standing::Sent, at)),
            Event::Leaving { attempt, why } => {
                self.on(*attempt, |attempt| attempt.leaving = attempt.leaving.max(Some(*why)))
            }
            Event::LeftStray { attempt } => self.left_stray(*attempt, at),
            Event::StrayQuiet { attempt } => self.quiet(*attempt),
            Event::Pending { step } => self.step_stands(*step, StepState::Pending, Standing::Waiting, at),
            Event::Uncertain { step } => self.step_stands(*step, StepState::Uncertain, Standing::Uncertain, at),
            Event::UncertainLong { step } => self.case(*step, Case::Long),
            Event::Stuck { step, .. } => {
                self.becomes_uncertain(*step, at);
                self.case(*step, Case::Nobody);
            }
            Event::Alarmed { about, said } => self.alarmed(about, *said, at),
            Event::Settled { step } => self.settle(|about| is_settled_by(about, *step)),
            Event::Approved { attempt, amount, held } => {
                self.settle_step(StepName::authorize(*attempt));
                self.on(*attempt, |attempt| approve(attempt, *amount, *held, at));
                self.wins(*attempt);
            }
            Event::Seen { attempt, amount, held } => {
                self.settle_step(StepName::authorize(*attempt));
                self.on(*attempt, |attempt| see(attempt, *amount, *held, at));
            }
            Event::Unwanted { attempt, amount, held } => {
                self.settle_step(StepName::authorize(*attempt));
                self.on(*attempt, |attempt| see(attempt, *amount, *held, at));
                self.quiet(*attempt);
                self.leaves(*attempt, None, None);
            }
            Event::Adopted { attempt } => {
                self.on(*attempt, |attempt| attempt.stands(Standing::Approved, at));
                self.wins(*attempt);
            }
            Event::Received { attempt, amount, .. } => self.on(*attempt, |attempt| {
                grow(&mut attempt.charge.sold, *amount);
                attempt.charge.taken_at.get_or_insert(at);
            }),
            Event::Unasked {
                attempt, of, amount, ..
            } => self.unasked(*attempt, *of, *amount, at),
            Event::Declined { step, decline } => self.declined(*step, decline, at),
            Event::Undone { step, moved } => self.undone(*step, *moved, at),
            Event::HoldOver => self.on_hold(|hold| hold.over = true),
            Event::CaptureDue => self.on_hold(|hold| hold.capture_due = true),
            Event::Captured { step, amount } => self.captured(*step, *amount, at),
            Event::Voided { step } => self.voided(*step, at),
            Event::Increased { step, amount, until } => self.increased(*step, *amount, *until, at),
            Event::Refunded { step, amount } => self.step_done(*step, *amount, at),
            Event::TakenBack { step, amount } => self.taken_back(*step, *amount, at),
            Event::HoldGone { attempt, .. } => self.hold_gone(*attempt),
            Event::HoldClosed => self.hold_closed(),
            Event::CapturedElsewhere { attempt, amount, .. } => {
                self.on(*attempt, |attempt| {
                    grow(&mut attempt.charge.captured_elsewhere, *amount);
                    attempt.charge.taken_at.get_or_insert(at);
                });
                self.reopens(*attempt);
            }
            Event::VoidedElsewhere { attempt, amount, .. } => self.on(*attempt, |attempt| {
                grow(&mut attempt.charge.voided_elsewhere, *amount);
            }),
            Event::RefundedElsewhere { attempt, amount, .. } => {
                self.on(*attempt, |attempt| {
                    grow(&mut attempt.charge.refunded_elsewhere, *amount)
                });
            }
            Event::RefundBackElsewhere { attempt, id, amount } => self.refund_back_elsewhere(*attempt, id, *amount),
            Event::Returned { attempt, amount, .. } => {
                self.on(*attempt, |attempt| grow(&mut attempt.charge.returned, *amount))
            }
            Event::Disputed {
                attempt,
                id,
                verdict,
                amount,
            } => {
                self.settle(|about| is_about_dispute(about, *attempt, id));
                let known: usize = self.attempts().map(|(_, attempt)| attempt.charge.disputes.len()).sum();
                let number = u8::try_from(known).unwrap_or(u8::MAX);
                self.on(*attempt, |attempt| dispute(attempt, number, id, *verdict, *amount, at));
            }
            Event::Fee { attempt, amount, .. } => self.on(*attempt, |attempt| fee(attempt, *amount)),
        }
    }

    /// Whether a snapshot of an older release left out when one of its steps was asked for.
    pub fn has_undated(&self) -> bool {
        self.attempts()
            .any(|(_, attempt)| attempt.steps().any(|(_, step)| step.is_undated()))
    }

    /// Whether a snapshot of an older release left out when the order ended.
    pub fn has_undated_end(&self) -> bool {
        matches!(self.phase, Phase::Ended(End { at: None, .. }))
    }

    /// Takes over when the order ended, if its snapshot left that out, from the same order as its events tell it.
    pub fn date_end(&mut self, told: &Self) {
        if let (Phase::Ended(end), Phase::Ended(told)) = (&mut self.phase, &told.phase) {
            end.at = end.at.or(told.at);
        }
    }

    /// Takes from one of its events when a step was asked for, if its snapshot left that out.
    pub fn date(&mut self, event: &Event, at: Timestamp) {
        if let Event::StepStarted { step: name, .. } = event.plain()
            && let Some(attempt) = self.attempt_mut(name.attempt)
            && let Some(step) = attempt.step_mut(*name).filter(|step| step.is_undated())
        {
            step.asked_at = at;
        }
    }

    /// What a person reported.
    fn resolved(&mut self, event: &Event, at: Timestamp) {
        if let Event::Undone { step, moved } = event
            && self.tells_in_all(*step)
        {
            self.seen_undone(*step, *moved, at);
        } else {
            self.change(event, at);
        }
    }

    pub(crate) fn attempt_mut(&mut self, number: u8) -> Option<&mut Attempt> {
        let first = match &mut self.phase {
            Phase::Pending(attempt) | Phase::Authorized(attempt) | Phase::Captured(attempt) => Some(attempt),
            Phase::Ended(end) => end.winner.as_mut(),
            Phase::Created => None,
        };
        let past = self.past.iter_mut().map(|past| &mut past.attempt);
        first.into_iter().chain(past).find(|attempt| attempt.number == number)
    }

    pub(in crate::order) fn on(&mut self, number: u8, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.attempt_mut(number) {
            change(attempt);
        }
    }

    pub(in crate::order) fn on_hold(&mut self, change: impl FnOnce(&mut Hold)) {
        match &mut self.phase {
            Phase::Authorized(attempt) => {
                if let Some(hold) = attempt.charge.hold.as_mut() {
                    change(hold);
                }
            }
            Phase::Created | Phase::Pending(_) | Phase::Captured(_) | Phase::Ended(_) => {}
        }
    }

    pub(in crate::order) fn end(&mut self, why: Why, winner: Option<Attempt>) {
        self.phase = Phase::Ended(End { why, winner, at: None });
    }

    pub(in crate::order) fn window_is_over(&mut self) {
        self.window_over = true;
        if self.phase == Phase::Created {
            self.end(Why::Expired, None);
        }
    }
}
