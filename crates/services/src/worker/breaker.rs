//! Keeps a provider that does not answer from being asked by everybody at once, and notices when it answers again.
//!
//! ```text
//! closed ──many failures in a row──▶ open ──pause over──▶ one probe ──answered──▶ closed: all that was lost is asked again, paced
//!                                      ▲                      │
//!                                      └───────failed─────────┘  the pause doubles
//! ```
//!
//! A breaker that is open only delays: nothing is called declined because of it, but what never left.

use florin_core::time::Timestamp;

/// Failures in a row that open it. More than one payment's own bad luck, less than a crowd.
pub const FAILURES_MAX: u32 = 10;
/// The first pause.
pub const PAUSE_MS: i64 = 1_000;
/// The longest pause: a provider that is back is found within half of promise 8's five minutes, with room for the questions.
pub const PAUSE_MS_MAX: i64 = 30_000;

/// One connection's breaker. Pure: time is an argument.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    failures: u32,
    state: State,
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
    /// Whether a message may go now. The first one after a pause is the probe; the others wait for how it ends.
    pub fn admits(&mut self, now: Timestamp) -> bool {
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
            State::Open { .. } | State::Probing { .. } => false,
        }
    }

    /// A message was answered, with whatever words. Says whether the provider is back after an outage.
    pub fn answered(&mut self) -> bool {
        let back = self.state != State::Closed;
        *self = Self::default();
        back
    }

    /// A message had no answer, or could not be sent.
    pub fn failed(&mut self, now: Timestamp) {
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

    #[test]
    fn one_message_probes_while_a_hundred_wait() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert!(breaker.admits(T));
            breaker.failed(T);
        }
        assert!(!breaker.admits(T));
        let later = T.plus_millis(PAUSE_MS);
        let admitted = (0..100).filter(|_| breaker.admits(later)).count();
        assert_eq!(admitted, 1);
        assert!(breaker.answered(), "it is back, and says so once");
        assert_eq!((0..100).filter(|_| breaker.admits(later)).count(), 100);
        assert!(!breaker.answered());
    }

    #[test]
    fn the_pause_doubles_and_has_an_end() {
        let mut breaker = Breaker::default();
        (0..FAILURES_MAX).for_each(|_| breaker.failed(T));
        let (mut now, mut pauses) = (T, Vec::new());
        for _ in 0..7 {
            let mut waited = 0;
            while !breaker.admits(now) {
                (now, waited) = (now.plus_millis(1_000), waited + 1);
            }
            pauses.push(waited);
            breaker.failed(now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_probe_that_never_came_back_does_not_shut_the_provider_out() {
        let mut breaker = Breaker::default();
        (0..FAILURES_MAX).for_each(|_| breaker.failed(T));
        assert!(breaker.admits(T.plus_millis(PAUSE_MS)));
        assert!(!breaker.admits(T.plus_millis(PAUSE_MS + 1)));
        assert!(breaker.admits(T.plus_millis(PAUSE_MS + 2 * PAUSE_MS_MAX + 1)));
    }

    #[test]
    fn a_few_failures_between_answers_never_open_it() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            (1..FAILURES_MAX).for_each(|_| breaker.failed(T));
            assert!(breaker.admits(T));
            breaker.answered();
        }
    }
}
