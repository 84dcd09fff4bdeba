//! Keeps a provider that does not answer from being asked by everybody at once, and notices when it answers again: whose messages were lost
//! meanwhile is asked about then, and does not wait for its plan.
//!
//! ```text
//! closed ──many failures in a row──▶ open ──pause over──▶ one probe ──answered──▶ closed: all that was lost is asked again, paced
//!                                      ▲                      │
//!                                      └───────failed─────────┘  the pause doubles
//! ```
//!
//! A breaker that is open only delays: nothing is called declined because of it, but what never left.

use std::collections::BTreeSet;

use florin_core::id::OrderId;
use florin_core::time::Timestamp;

/// Failures in a row that open it. More than one payment's own bad luck, less than a crowd.
pub const FAILURES_MAX: u32 = 10;
/// The first pause.
pub const PAUSE_MS: i64 = 1_000;
/// The longest pause: a provider that is back is found within half of promise 8's five minutes, with room for the questions.
pub const PAUSE_MS_MAX: i64 = 30_000;
/// Orders that are remembered until the provider is back; more are asked about by their plan.
pub const LOST_MAX: usize = 50_000;
/// Messages without an answer for as long as this are an outage too, however few they are.
pub const OUTAGE_MS: i64 = 60_000;
/// Orders that are asked about at a time to find out whether the provider is back: some are over by now, and one of the others is the probe.
pub const SCOUTS: usize = 16;

/// One connection's breaker. Pure: time is an argument.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    failures: u32,
    state: State,
    /// Whose messages were lost or held back since the last answer.
    lost: BTreeSet<OrderId>,
    /// When the first of them was.
    since: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        until: Timestamp,
        pause_ms: i64,
    },
    Probing {
        since: Timestamp,
        pause_ms: i64,
    },
}

impl Breaker {
    /// Whether a message about an order may go now. The first one after a pause is the probe; the others wait for how it ends.
    pub fn admits(&mut self, order: OrderId, now: Timestamp) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until, pause_ms } if now >= until => {
                self.state = State::Probing { since: now, pause_ms };
                true
            }
            // A probe that never came back (its task died) must not shut the provider out for ever.
            State::Probing { since, pause_ms } if now.millis_since(since) > 2 * PAUSE_MS_MAX => {
                self.state = State::Probing { since: now, pause_ms };
                true
            }
            State::Open { .. } | State::Probing { .. } => {
                self.lose(order, now);
                false
            }
        }
    }

    /// Orders to ask about now, so that it is found out whether the provider is back. They are forgotten here: whoever of them still has
    /// something to ask is lost anew.
    pub fn scouts(&mut self, now: Timestamp) -> Vec<OrderId> {
        match self.state {
            State::Open { until, .. } if now >= until => {
                std::iter::from_fn(|| self.lost.pop_first()).take(SCOUTS).collect()
            }
            State::Closed | State::Open { .. } | State::Probing { .. } => Vec::new(),
        }
    }

    /// A message was answered, with whatever words. If that ends an outage: the orders that are to be asked about now.
    pub fn answered(&mut self, now: Timestamp) -> BTreeSet<OrderId> {
        let was = std::mem::take(self);
        let long = was.since.is_some_and(|since| now.millis_since(since) > OUTAGE_MS);
        if was.is_open() || long {
            was.lost
        } else {
            BTreeSet::new()
        }
    }

    fn lose(&mut self, order: OrderId, now: Timestamp) {
        self.since.get_or_insert(now);
        if self.lost.len() < LOST_MAX {
            self.lost.insert(order);
        }
    }

    /// A message about an order had no answer, or could not be sent.
    pub fn failed(&mut self, order: OrderId, now: Timestamp) {
        self.lose(order, now);
        self.failures = self.failures.saturating_add(1);
        let pause_ms = match self.state {
            State::Closed if self.failures < FAILURES_MAX => return,
            State::Closed => PAUSE_MS,
            State::Probing { pause_ms, .. } => (pause_ms * 2).min(PAUSE_MS_MAX),
            State::Open { .. } => return, // messages that left before it opened
        };
        let until = now.plus_millis(pause_ms);
        self.state = State::Open { until, pause_ms };
    }

    /// Whether messages are held back.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp::from_millis(1_000_000);

    fn order(number: u128) -> OrderId {
        OrderId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn fail(breaker: &mut Breaker, failures: u32) {
        (0..failures).for_each(|number| breaker.failed(order(number.into()), T));
    }

    #[test]
    fn one_message_probes_while_a_hundred_wait() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert!(breaker.admits(order(0), T));
            breaker.failed(order(0), T);
        }
        assert!(!breaker.admits(order(0), T));
        let later = T.plus_millis(PAUSE_MS);
        let admitted = (0..100).filter(|_| breaker.admits(order(0), later)).count();
        assert_eq!(admitted, 1);
        breaker.answered(T);
        assert!(!breaker.is_open());
        assert_eq!((0..100).filter(|_| breaker.admits(order(0), later)).count(), 100);
    }

    #[test]
    fn the_pause_doubles_and_has_an_end() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, FAILURES_MAX);
        let (mut now, mut pauses) = (T, Vec::new());
        for _ in 0..7 {
            let mut waited = 0;
            while !breaker.admits(order(0), now) {
                (now, waited) = (now.plus_millis(1_000), waited + 1);
            }
            pauses.push(waited);
            breaker.failed(order(0), now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_probe_that_never_came_back_does_not_shut_the_provider_out() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, FAILURES_MAX);
        assert!(breaker.admits(order(0), T.plus_millis(PAUSE_MS)));
        assert!(!breaker.admits(order(0), T.plus_millis(PAUSE_MS + 1)));
        assert!(breaker.admits(order(0), T.plus_millis(PAUSE_MS + 2 * PAUSE_MS_MAX + 1)));
    }

    #[test]
    fn a_few_failures_between_answers_never_open_it() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            fail(&mut breaker, FAILURES_MAX - 1);
            assert!(breaker.admits(order(0), T));
            assert!(
                breaker.answered(T).is_empty(),
                "that was no outage: each is asked about by its plan"
            );
        }
    }

    #[test]
    fn the_first_answer_names_all_that_was_lost_or_held_back_and_does_it_once() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, FAILURES_MAX);
        assert!(!breaker.admits(order(50), T), "held back");
        let lost: Vec<OrderId> = (0..FAILURES_MAX)
            .map(|number| order(number.into()))
            .chain([order(50)])
            .collect();
        assert_eq!(breaker.answered(T).into_iter().collect::<Vec<_>>(), lost);
        assert!(breaker.answered(T).is_empty());
    }

    #[test]
    fn few_messages_that_were_lost_for_long_are_an_outage_too() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, 2);
        assert!(breaker.answered(T.plus_millis(OUTAGE_MS)).is_empty());
        fail(&mut breaker, 2);
        assert_eq!(breaker.answered(T.plus_millis(OUTAGE_MS + 1)).len(), 2);
    }

    #[test]
    fn a_few_at_a_time_find_out_whether_the_provider_is_back() {
        let mut breaker = Breaker::default();
        assert!(breaker.scouts(T).is_empty(), "it answers");
        fail(&mut breaker, 20);
        assert!(breaker.scouts(T).is_empty(), "its pause is not over");
        let later = T.plus_millis(PAUSE_MS);
        assert_eq!(breaker.scouts(later).len(), SCOUTS);
        assert_eq!(
            breaker.scouts(later),
            (16..20).map(order).collect::<Vec<_>>(),
            "all those were over"
        );
        breaker.failed(order(1), later);
        breaker.failed(order(2), later);
        assert!(breaker.admits(order(1), later));
        assert!(breaker.scouts(later).is_empty(), "a probe is out");
        assert_eq!(breaker.answered(later).len(), 2);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut breaker = Breaker::default();
        (0..LOST_MAX as u128 + 10).for_each(|number| breaker.failed(order(number), T));
        assert_eq!(breaker.answered(T).len(), LOST_MAX);
    }
}
