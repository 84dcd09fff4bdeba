//! Where the winner's order stands once its money or its hold has moved.

use std::mem;

use super::record::{close_hold, grow};
use crate::money::Money;
use crate::order::{About, End, FactKey, Order, Phase, Why};
use crate::rail::What;

impl Order {
    /// The rail let go of a hold. That of a winner is closed when none of our steps is at it (owed); any other at once.
    pub(in crate::order) fn hold_gone(&mut self, number: u8) {
        let wins = self.winner().is_some_and(|attempt| attempt.number == number);
        self.on(number, |attempt| {
            attempt.charge.gone = true;
            if !wins {
                close_hold(attempt);
            }
        });
    }

    pub(in crate::order) fn hold_closed(&mut self) {
        let Some(number) = self.winner().map(|attempt| attempt.number) else {
            return;
        };
        let mut why = Why::Expired;
        self.on(number, |attempt| {
            if attempt.charge.voided_elsewhere > 0 {
                why = Why::Voided;
            }
            if let Some(hold) = attempt.charge.hold.as_mut() {
                hold.closed = true;
            }
        });
        self.settles_phase(number, why);
    }

    /// Once nothing is held any more, the order is captured, or over if nothing was taken (or all of it was taken back).
    pub(in crate::order) fn settles_phase(&mut self, number: u8, why: Why) {
        self.phase = match mem::replace(&mut self.phase, Phase::Created) {
            Phase::Authorized(attempt) | Phase::Captured(attempt) if attempt.number == number => {
                let open = attempt.charge.hold.as_ref().is_some_and(|hold| !hold.closed);
                let taken = attempt.charge.heard() - attempt.charge.captures_back();
                if open {
                    Phase::Authorized(attempt)
                } else if taken > 0 {
                    Phase::Captured(attempt)
                } else {
                    Phase::Ended(End {
                        why,
                        winner: Some(attempt),
                        at: None,
                    })
                }
            }
            phase @ (Phase::Created
            | Phase::Pending(_)
            | Phase::Authorized(_)
            | Phase::Captured(_)
            | Phase::Ended(_)) => phase,
        };
    }

    pub(in crate::order) fn winner_is_over(&mut self, number: u8, why: Why) {
        self.phase = match mem::replace(&mut self.phase, Phase::Created) {
            Phase::Authorized(mut attempt) | Phase::Captured(mut attempt) if attempt.number == number => {
                if let Some(hold) = attempt.charge.hold.as_mut() {
                    hold.closed = true;
                }
                Phase::Ended(End {
                    why,
                    winner: Some(attempt),
                    at: None,
                })
            }
            phase @ (Phase::Created
            | Phase::Pending(_)
            | Phase::Authorized(_)
            | Phase::Captured(_)
            | Phase::Ended(_)) => phase,
        };
    }

    /// A refund made at the console failed: its money is ours again, if we had heard that it was gone. That brings back an order that had
    /// ended without money.
    pub(in crate::order) fn refund_back_elsewhere(&mut self, number: u8, id: &str, amount: Money) {
        let refunded = FactKey {
            attempt: number,
            what: What::Refunded,
            id: id.to_owned(),
        };
        self.settle(|about| *about == About::Fact(refunded.clone()));
        let heard = self.booked.contains(&refunded);
        // A person may have seen the refund that nobody told us of, and that will not be heard any more.
        let seen = (self.attempt(number)).is_some_and(|(_, attempt)| attempt.charge.seen.is_some());
        if !heard && !seen {
            return;
        }
        self.on(number, |attempt| {
            if !heard {
                grow(&mut attempt.charge.refunded_elsewhere, amount);
            }
            grow(&mut attempt.charge.refunded_elsewhere_back, amount)
        });
        if self.winner().is_some_and(|winner| winner.standing_money() > 0) {
            self.reopens(number);
        }
    }

    /// Money that was taken after the order had ended brings it back.
    pub(in crate::order) fn reopens(&mut self, number: u8) {
        self.phase = match mem::replace(&mut self.phase, Phase::Created) {
            Phase::Ended(End {
                why,
                winner: Some(attempt),
                at,
            }) if attempt.number == number => {
                if attempt.charge.heard() > attempt.charge.captures_back() {
                    Phase::Captured(attempt)
                } else {
                    Phase::Ended(End {
                        why,
                        winner: Some(attempt),
                        at,
                    })
                }
            }
            phase @ (Phase::Created
            | Phase::Pending(_)
            | Phase::Authorized(_)
            | Phase::Captured(_)
            | Phase::Ended(_)) => phase,
        };
    }
}
