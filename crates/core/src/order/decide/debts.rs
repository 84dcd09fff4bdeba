//! What an owed command makes happen.

use super::clamp;
use super::money::{next, reversal};
use crate::event::Event;
use crate::order::owed::has_nothing_to_reverse;
use crate::order::{HoldEnd, Leaving, Order, Owed, Place, StepKind, StepName};

impl Order {
    /// What an owed command makes happen; nothing if it is not what is owed (any more).
    pub(in crate::order) fn pay_debt(&self, owed: Owed) -> Option<Event> {
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
    pub(in crate::order) fn adopt(&self, number: u8) -> Option<Event> {
        let (place, attempt) = self.attempt(number)?;
        let enough = attempt.charge.heard() + attempt.charge.held() >= i128::from(self.asked_of(attempt));
        let wanted = match place {
            Place::Current if has_nothing_to_reverse(attempt) => false,
            Place::Current => attempt.leaving != Some(Leaving::Cancel) && (enough || self.terms.accept_partial),
            Place::Past => true, // `owes` asked whether it fits
            Place::Winner => false,
        };
        if wanted {
            return Some(Event::Adopted { attempt: number });
        }
        let held = attempt.charge.hold.as_ref().map(|hold| match hold.end {
            Some(at) => HoldEnd::At(at),
            None => HoldEnd::Unknown,
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
}
