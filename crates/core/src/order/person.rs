//! What only a person can settle, and what their word about it means.
//!
//! A step that is open can always be settled so. What is not open and still waits for somebody: money of an attempt that could not be sent
//! back, a void or the refund of a surplus that was refused for good, and whatever an alarm is about.

use std::collections::BTreeSet;

use super::{About, Attempt, Fact, HoldEnd, Kind, Open, Order, Place, Says, StepKind, StepName};
use crate::decline::{Code, Decline};
use crate::money::Money;
use crate::status;

/// How a person saw that a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It was done.
    Approved,
    /// It was refused.
    Declined,
    /// Nothing of it stands.
    Undone,
}

/// Why a person's word about a step is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// Nothing about the step needs a person, or the word says nothing new.
    Nothing,
    /// The order stands on this money, so how much of it went back has to be said.
    NeedsAmount,
    /// Nothing was approved: that is a refusal, or an undoing.
    NothingApproved,
}

impl Order {
    /// Steps about which somebody has to say how they stand.
    pub fn to_settle(&self) -> BTreeSet<StepName> {
        let open = self.in_flight();
        let uncertain = open.iter().filter(|open| open.state == Open::Uncertain);
        let alarmed = self.alarms.iter().map(|alarm| match &alarm.about {
            About::Step(step) => *step,
            About::Fact(key) => StepName::authorize(key.attempt),
        });
        let stuck = self
            .attempts()
            .filter_map(|(place, attempt)| self.stuck_step(place, attempt));
        uncertain.map(|open| open.step).chain(alarmed).chain(stuck).collect()
    }

    /// What a person says about a step, as a fact that changes something. `amount` is what they saw, if they said; of money that went
    /// back, what undoes and console refunds sent back of the attempt in all.
    pub fn said_by_person(&self, step: StepName, ruling: Ruling, amount: Option<i64>) -> Result<Says, Unheard> {
        let open = self.in_flight().into_iter().find(|open| open.step == step);
        let (asked, holds) = match &open {
            Some(open) => (open.amount, open.task == crate::rail::Step::Authorize),
            None if self.to_settle().contains(&step) => self.asked_in(step),
            None => return Err(Unheard::Nothing),
        };
        let is_winner = || self.winner().is_some_and(|winner| winner.number == step.attempt);
        let stands = open.is_none() && step.kind == StepKind::Authorize && is_winner();
        if ruling == Ruling::Undone && stands && amount.is_none_or(|minor| minor == 0) {
            return Err(Unheard::NeedsAmount);
        }
        if ruling == Ruling::Approved && amount == Some(0) {
            return Err(Unheard::NothingApproved);
        }
        let said = amount.map(|minor| asked.with_minor(minor));
        let says = match ruling {
            Ruling::Approved => Says::Approved {
                money: said.unwrap_or(asked),
                held: holds.then_some(HoldEnd::Unknown),
                stated: said.is_some(),
            },
            Ruling::Declined => Says::Declined(Decline::new(Code::GenericDecline)),
            Ruling::Undone => Says::Released {
                moved: said.unwrap_or_else(|| self.all_of(step, asked)),
            },
        };
        let fact = Fact::Answer {
            step,
            says: says.clone(),
            note: Some(String::new()),
        };
        self.told(&fact).map(|_| says).ok_or(Unheard::Nothing)
    }

    /// The step of an attempt whose money should go back, where the machine has nothing left to try.
    fn stuck_step(&self, place: Place, attempt: &Attempt) -> Option<StepName> {
        if !status::is_stuck(self, place, attempt) {
            return None;
        }
        let refused = attempt.steps().filter(|(name, step)| {
            let gives_back = name.kind == StepKind::Void || (name.kind == StepKind::Refund && step.last);
            gives_back && step.declined().is_some()
        });
        match place {
            Place::Past | Place::Current => Some(StepName::authorize(attempt.number)),
            Place::Winner => refused.map(|(name, _)| name).last(),
        }
    }

    /// What a step that is over is about, and whether that was a hold: what is known to have moved, else what was asked for.
    fn asked_in(&self, step: StepName) -> (Money, bool) {
        let Some((_, attempt)) = self.attempt(step.attempt) else {
            return (self.due, false);
        };
        if let Some(step) = attempt.step(step) {
            return (step.amount, false);
        }
        let charge = &attempt.charge;
        let known = charge.hold.as_ref().map_or(charge.sold, |hold| hold.amount);
        let asked = attempt.plan.amount;
        let money = if known > 0 { asked.with_minor(known) } else { asked };
        (money, step.kind == StepKind::Authorize && charge.hold.is_some())
    }

    /// Whether a person who says that this step was undone tells what went back of the attempt in all: whoever looks at a payment sees
    /// neither whose refund it was nor whether we have been told of it. A payout has no console refunds.
    pub(super) fn tells_in_all(&self, step: StepName) -> bool {
        step.kind == StepKind::Authorize && self.terms.kind == Kind::Payment
    }

    /// All that can have been sent back of the attempt of this step, if that is over: what is known to be back, and what stands.
    fn all_of(&self, step: StepName, asked: Money) -> Money {
        let standing = self.attempt(step.attempt).map_or(0, |(_, attempt)| {
            let back = if self.tells_in_all(step) {
                attempt.charge.sent_back()
            } else {
                attempt.charge.undone.into()
            };
            back + attempt.standing_money()
        });
        let over = self.open_step(step).is_none() && step.kind == StepKind::Authorize;
        asked.with_minor(i64::try_from(standing).ok().filter(|_| over).unwrap_or(0))
    }
}
