//! What happens to a message on its way to the provider and back.

use super::dice::Dice;
use super::swarm::Swarm;

/// A message that is still under way after this long is not there any more.
const IN_TRANSIT_MS_MAX: i64 = 60_000;

/// The way of one message, drawn when it is sent. Times are milliseconds after that.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// When copies of it arrive.
    pub(super) arrives: Vec<i64>,
    /// When the first copy's reply is back, if it ever is.
    pub(super) replies: Option<i64>,
    /// What comes back instead of the reply.
    pub(super) instead: Option<Instead>,
    /// Nothing left at all.
    pub(super) refused: bool,
}

/// A reply that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// An error without a meaning.
    Error(u16),
    /// Half a reply.
    Garbage,
    /// "Not now", and nothing was done.
    NotNow,
}

impl Way {
    /// The way of a message to a provider that says nothing: it may arrive all the same.
    pub(super) fn silence(dice: &mut Dice) -> Self {
        let there = dice.between(5, 80);
        Self {
            arrives: if dice.permille(300) { vec![there] } else { Vec::new() },
            ..Self::default()
        }
    }

    pub(super) fn draw(dice: &mut Dice, swarm: &Swarm, healed: bool, outage: bool) -> Self {
        let there = dice.between(5, 80);
        let back = dice.between(5, 80);
        if healed {
            return Self {
                arrives: vec![there],
                replies: Some(there + back),
                ..Self::default()
            };
        }
        if outage && dice.permille(500) || dice.permille(swarm.refuse) {
            return Self {
                refused: true,
                ..Self::default()
            };
        }
        if outage {
            return Self::default();
        }
        let mut way = Self::default();
        let slow = dice.permille(swarm.delay);
        let arrives = if slow {
            dice.between(100, IN_TRANSIT_MS_MAX)
        } else {
            there
        };
        if dice.permille(swarm.not_now) {
            way.instead = Some(Instead::NotNow);
            way.replies = Some(there + back);
            return way;
        }
        if dice.permille(swarm.error) {
            let garbage = dice.permille(300);
            way.instead = Some(if garbage { Instead::Garbage } else { Instead::Error(500) });
            way.replies = Some(arrives + back);
            if dice.permille(500) {
                way.arrives.push(arrives);
            }
            return way;
        }
        if !dice.permille(swarm.lose_request) {
            way.arrives.push(arrives);
            if !dice.permille(swarm.lose_reply) {
                way.replies = Some(arrives + back);
            }
        }
        if dice.permille(swarm.double) {
            way.arrives.push(dice.between(50, IN_TRANSIT_MS_MAX));
        }
        way
    }
}
