//! The order machine: one pure machine that carries every payment.
//!
//! [`Order::decide`] says what a command or a fact makes happen, or why not, and changes nothing. [`Order::apply`] makes it so and cannot
//! fail: it has already happened. [`Order::owed`] reads from the state what the order now asks of itself, in the same commit; nothing is
//! kept in a queue, so a crash forgets nothing.
//!
//! ```text
//!                      declined, undone, left: attempts and time remain
//!              ┌──────────────────────────────────────────────┐
//!              ▼                                              │
//! open ────▶ Created ──start──▶ Pending(Attempt) ──approved──▶ Authorized(Attempt) ──last capture──▶ Captured(Attempt)
//!              │   sent│acting│waiting│uncertain   │   partly captured is still here  ▲           refunds, disputes,
//!              │   and perhaps leaving             │   refunds may start here         │           returns live here
//!              │                  │  └── sale: approved and captured at once ──────────┘                │
//!              │                  │                │                                                   │ sale voided, or
//!              │ cancel, time     │ dead and no    │ void, hold gone,       money captured elsewhere   │ all captures
//!              ▼                  ▼ more tries     ▼ nothing captured       ────────▶ Captured         ▼ taken back
//!           Ended(Failed | Canceled | Expired | Voided | Verified)  ◀──────────────────────────────────┘
//! ```
//!
//! Commands may be refused, facts never. Uncertain is a standing of a step and not a phase, because captures, voids, refunds and
//! reversals can be uncertain too. An attempt that is over for us but may still succeed at the rail is a *stray*: whatever it brings is
//! booked on it, in suspense, and sent back. No clock, no dice, no I/O.

mod apply;
mod attempt;
mod charge;
mod command;
mod decide;
mod facts;
pub mod limits;
mod owed;
mod person;
mod step;
mod timers;
mod work;

pub use attempt::*;
pub use charge::*;
pub use command::*;
pub(crate) use decide::clamp;
pub(crate) use owed::brings_money;
pub use person::{Ruling, Unheard};
pub use step::*;
pub use work::*;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::decline::Decline;
use crate::event::Event;
use crate::id::OrderId;
use crate::money::Money;
use crate::rail::What;
use crate::time::Timestamp;

/// One order, at most one charge. The row that is stored; a fold of its events gives the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Order {
    /// Its name.
    pub id: OrderId,
    /// What it is for, fixed when it is made.
    pub terms: Terms,
    /// What is due now: the amount of the terms, until it is amended or a part is accepted as the whole.
    pub due: Money,
    /// Where it stands.
    pub phase: Phase,
    /// Attempts that are over for us, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Past>,
    /// Counts its events.
    pub version: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// The pay window is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub window_over: bool,
    /// Facts that were booked, by the provider's ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub booked: Vec<FactKey>,
    /// What no rule explains, until a fact settles it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<Alarm>,
}

/// Where an order stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No attempt runs, and one may start.
    Created,
    /// This attempt runs.
    Pending(Attempt),
    /// This attempt won, and its hold is open.
    Authorized(Attempt),
    /// This attempt won, and its money was taken.
    Captured(Attempt),
    /// It is over: final for commands, not for facts.
    Ended(End),
}

/// How an order ended. It holds no money that we know of, but keeps the winner if there was one: refunds in flight, disputes and returns
/// still report to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct End {
    /// Why.
    pub why: Why,
    /// Who had won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<Attempt>,
    /// When; nothing that is heard of the winner later moves it. Left out by snapshots of older releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// Why an order ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No try is left, or what was captured was taken back; the last decline, if one said why.
    Failed(Option<Decline>),
    /// The merchant canceled it.
    Canceled,
    /// The pay window or the hold ended.
    Expired,
    /// The merchant gave the money back before it was taken, or before it moved.
    Voided,
    /// The check of the card succeeded.
    Verified,
}

/// A fact that answers no step of ours, named so that it is booked once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FactKey {
    /// Whose money it is.
    pub attempt: u8,
    /// What happened.
    pub what: What,
    /// The provider's id.
    pub id: String,
}

/// Something was said that no rule explains: another currency, more than was asked, a step that we never started. It is never booked
/// and never forgotten; a fact about the same thing settles it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is about.
    pub about: About,
    /// The money that was stated.
    pub said: Money,
}

/// What an alarm is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A step.
    Step(StepName),
    /// Something that answers no step of ours.
    Fact(FactKey),
}

/// Why events do not make an order.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FoldError {
    /// There were none.
    #[error("an order needs at least the event that made it")]
    Empty,
    /// The first one is not `created`.
    #[error("the first event of an order must be `created`")]
    NotCreated,
    /// `created` came a second time.
    #[error("event {0} makes the order a second time")]
    CreatedTwice(u32),
}

impl Order {
    /// A new order, and the event that made it: version 1.
    pub fn open(id: OrderId, terms: Terms, at: Timestamp) -> (Self, Event) {
        let event = Event::Created {
            order: id,
            terms: terms.clone(),
        };
        (Self::new(id, terms, at), event)
    }

    fn new(id: OrderId, terms: Terms, at: Timestamp) -> Self {
        Self {
            id,
            due: terms.amount,
            terms,
            phase: Phase::Created,
            past: Vec::new(),
            version: 1,
            created_at: at,
            window_over: false,
            booked: Vec::new(),
            alarms: Vec::new(),
        }
    }

    /// The order that these events made, in their order, each with the moment it was written.
    pub fn fold(events: impl IntoIterator<Item = (Timestamp, Event)>) -> Result<Self, FoldError> {
        let mut events = events.into_iter();
        let (at, first) = events.next().ok_or(FoldError::Empty)?;
        let mut order = first.opens(at).ok_or(FoldError::NotCreated)?;
        for (at, event) in events {
            if event.opens(at).is_some() {
                return Err(FoldError::CreatedTwice(order.version + 1));
            }
            order.apply(&event, at);
        }
        Ok(order)
    }

    /// Attempts that there were and are, in the order of their numbers.
    pub fn attempts(&self) -> impl Iterator<Item = (Place, &Attempt)> {
        let running = self.running().map(|attempt| (Place::Current, attempt));
        let now = running.or_else(|| self.winner().map(|attempt| (Place::Winner, attempt)));
        // Most orders are paid by their first attempt, and this is asked some thirty times on the way: no list for it.
        let (only, mut all) = if self.past.is_empty() {
            (now, Vec::new())
        } else {
            let past = self.past.iter().map(|past| (Place::Past, &past.attempt));
            (None, past.chain(now).collect())
        };
        all.sort_by_key(|(_, attempt)| attempt.number);
        only.into_iter().chain(all)
    }

    /// The attempt that runs.
    pub fn running(&self) -> Option<&Attempt> {
        match &self.phase {
            Phase::Pending(attempt) => Some(attempt),
            Phase::Created | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_) => None,
        }
    }

    /// The attempt that won.
    pub fn winner(&self) -> Option<&Attempt> {
        match &self.phase {
            Phase::Authorized(attempt) | Phase::Captured(attempt) => Some(attempt),
            Phase::Ended(end) => end.winner.as_ref(),
            Phase::Created | Phase::Pending(_) => None,
        }
    }

    /// An attempt, and in what place it is.
    pub fn attempt(&self, number: u8) -> Option<(Place, &Attempt)> {
        let current = self.running().map(|attempt| (Place::Current, attempt));
        let winner = self.winner().map(|attempt| (Place::Winner, attempt));
        let past = self.past.iter().map(|past| (Place::Past, &past.attempt));
        current
            .into_iter()
            .chain(winner)
            .chain(past)
            .find(|(_, attempt)| attempt.number == number)
    }

    /// The number that the next attempt has.
    pub fn next_attempt(&self) -> u8 {
        let made = self.past.len() + usize::from(self.running().is_some() || self.winner().is_some());
        u8::try_from(made).unwrap_or(u8::MAX).saturating_add(1)
    }

    /// The index that the next capture has.
    pub fn next_capture(&self) -> u8 {
        self.next(|charge| charge.captures.len())
    }

    /// The index that the next refund has.
    pub fn next_refund(&self) -> u8 {
        self.next(|charge| charge.refunds.len())
    }

    /// The index that the next increment has.
    pub fn next_increment(&self) -> u8 {
        self.next(|charge| charge.increments.len())
    }

    fn next(&self, count: impl Fn(&Charge) -> usize) -> u8 {
        let made = self.winner().map_or(0, |attempt| count(&attempt.charge));
        u8::try_from(made).unwrap_or(u8::MAX)
    }

    /// Whether another attempt may start after the ones that are over.
    pub(crate) fn has_try_left(&self) -> bool {
        self.past.len() < usize::from(self.terms.attempts_max.min(ATTEMPTS_MAX))
    }

    /// What `attempt` has to bring: what is due, and the attempt's own extras.
    pub(crate) fn asked_of(&self, attempt: &Attempt) -> i64 {
        let extras = attempt.plan.extras.map_or(0, Money::minor);
        self.due.minor().saturating_add(extras)
    }

    /// Whether the authorise step of `attempt` takes the money together with the approval.
    pub(crate) fn sells(&self, can: Abilities) -> bool {
        match self.terms.kind {
            Kind::Payment => self.terms.capture == CaptureAt::Once && can.sale,
            Kind::Verify => false,
            Kind::Credit => true,
        }
    }
}

#[cfg(test)]
mod tests;
