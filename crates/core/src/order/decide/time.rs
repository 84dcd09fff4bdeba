//! What time asks: never refused.

use super::money::reversal;
use crate::event::Event;
use crate::order::{CaptureAt, Hold, Leaving, Open, Order, Phase, Standing, StepName};

impl Order {
    pub(in crate::order) fn window_over(&self) -> Option<Event> {
        match &self.phase {
            Phase::Created | Phase::Pending(_) if !self.window_over => Some(Event::WindowOver),
            Phase::Created | Phase::Pending(_) | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_) => None,
        }
    }

    pub(in crate::order) fn hold_over(&self) -> Option<Event> {
        let hold = self.open_hold()?;
        (!hold.over).then_some(Event::HoldOver)
    }

    pub(in crate::order) fn capture_due(&self) -> Option<Event> {
        let hold = self.open_hold()?;
        match self.terms.capture {
            CaptureAt::At(_) => (!hold.capture_due).then_some(Event::CaptureDue),
            CaptureAt::Once | CaptureAt::Later => None,
        }
    }

    pub(crate) fn open_hold(&self) -> Option<&Hold> {
        match &self.phase {
            Phase::Authorized(attempt) => attempt.charge.hold.as_ref(),
            Phase::Created | Phase::Pending(_) | Phase::Captured(_) | Phase::Ended(_) => None,
        }
    }

    pub(in crate::order) fn answer_over(&self, step: StepName) -> Option<Event> {
        match self.open_step(step)?.0 {
            Open::Sent => Some(Event::Uncertain { step }),
            Open::Acting | Open::Pending | Open::Uncertain => None,
        }
    }

    pub(in crate::order) fn action_over(&self, number: u8) -> Option<Event> {
        let attempt = self.running().filter(|attempt| attempt.number == number)?;
        let waits = attempt.standing == Standing::Acting && attempt.leaving.is_none() && attempt.undo.is_none();
        waits.then_some(Event::Leaving {
            attempt: number,
            why: Leaving::Reopen,
        })
    }

    pub(in crate::order) fn reverse_again(&self, number: u8) -> Option<Event> {
        let (place, attempt) = self.attempt(number)?;
        self.wants_second_reversal(place, attempt).then(|| reversal(attempt))
    }

    pub(in crate::order) fn stray_over(&self, attempt: u8) -> Option<Event> {
        self.watched_until(attempt).map(|_| Event::StrayQuiet { attempt })
    }

    pub(in crate::order) fn uncertain_long(&self, step: StepName) -> Option<Event> {
        let (open, _, case) = self.open_step(step)?;
        (open == Open::Uncertain && case.is_none()).then_some(Event::UncertainLong { step })
    }
}
