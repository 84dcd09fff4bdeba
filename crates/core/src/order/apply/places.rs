//! Where attempts go: over for us, a stray, or the winner.

use std::mem;

use super::record::approve;
use crate::decline::Decline;
use crate::money::Money;
use crate::order::clamp;
use crate::order::limits::stray_until;
use crate::order::{Attempt, End, Kind, Leaving, Order, Past, Phase, Plan, Why};
use crate::time::Timestamp;

impl Order {
    /// The current attempt is over for us: where the order goes from here.
    pub(in crate::order) fn leaves(&mut self, number: u8, decline: Option<&Decline>, watched_until: Option<Timestamp>) {
        if self.running().is_none_or(|attempt| attempt.number != number) {
            return;
        }
        if let Phase::Pending(attempt) = mem::replace(&mut self.phase, Phase::Created) {
            let leaving = attempt.leaving;
            self.past.push(Past { attempt, watched_until });
            self.past.sort_by_key(|past| past.attempt.number);
            if leaving == Some(Leaving::Cancel) {
                self.end(Why::Canceled, None);
            } else if self.window_over {
                self.end(Why::Expired, None);
            } else if !self.has_try_left() {
                self.end(Why::Failed(decline.cloned()), None);
            }
        }
    }

    pub(in crate::order) fn left_stray(&mut self, number: u8, at: Timestamp) {
        let can = self.attempt(number).map(|(_, attempt)| attempt.plan.can);
        self.leaves(number, None, can.map(|can| stray_until(can, at)));
    }

    pub(in crate::order) fn quiet(&mut self, number: u8) {
        for past in self.past.iter_mut().filter(|past| past.attempt.number == number) {
            past.watched_until = None;
        }
    }

    /// The attempt pays the order: the one that runs, or a past one that the open order adopts.
    pub(in crate::order) fn wins(&mut self, number: u8) {
        let attempt = match mem::replace(&mut self.phase, Phase::Created) {
            Phase::Pending(attempt) if attempt.number == number => attempt,
            Phase::Created => match self.past.iter().position(|past| past.attempt.number == number) {
                Some(index) => self.past.remove(index).attempt,
                None => return,
            },
            phase @ (Phase::Pending(_) | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_)) => {
                self.phase = phase;
                return;
            }
        };
        self.accept_part(&attempt);
        self.phase = match self.terms.kind {
            Kind::Verify => Phase::Ended(End {
                why: Why::Verified,
                winner: Some(attempt),
                at: None,
            }),
            Kind::Payment | Kind::Credit if attempt.charge.hold.is_some() => Phase::Authorized(attempt),
            Kind::Payment | Kind::Credit => Phase::Captured(attempt),
        };
    }

    /// A smaller approval that is accepted makes the order smaller.
    pub(in crate::order) fn accept_part(&mut self, attempt: &Attempt) {
        let brought = attempt
            .charge
            .hold
            .as_ref()
            .map_or(i128::from(attempt.charge.sold), |_| attempt.charge.granted());
        let asked = i128::from(self.asked_of(attempt));
        if self.terms.accept_partial && brought < asked {
            let extras = attempt.plan.extras.map_or(0, Money::minor);
            self.due = self.due.with_minor(clamp((brought - i128::from(extras)).max(0)));
        }
    }

    pub(in crate::order) fn unasked(&mut self, number: u8, of: u8, amount: Money, at: Timestamp) {
        let Some((_, paid)) = self.attempt(of) else { return };
        let mut plan = Plan::clone(&paid.plan);
        plan.amount = amount;
        plan.extras = None;
        let mut attempt = Attempt::new(number, plan.into(), at);
        approve(&mut attempt, amount, None, at);
        self.past.push(Past {
            attempt,
            watched_until: None,
        });
        self.past.sort_by_key(|past| past.attempt.number);
    }
}
