//! The only place where time comes from. Three clocks are kept apart: the environment's (expiry, timers, plans), which a test may set;
//! wall time (tolerance of signatures); the database's (leases), which the store asks itself.

use std::sync::atomic::{AtomicI64, Ordering};

use florin_core::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The environment's time: what expires and falls due follows this.
    fn now(&self) -> Timestamp;

    /// Wall time: what others signed is judged by this.
    fn wall(&self) -> Timestamp {
        system_now()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        system_now()
    }
}

/// The machine's clock, shifted by an amount that may change: tests of expiry, of steps of the clock, of nodes that disagree.
#[derive(Debug, Default)]
pub struct ShiftedClock {
    shift_ms: AtomicI64,
}

impl ShiftedClock {
    /// A clock that starts at the machine's time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock by `ms` more, forward or back.
    pub fn shift_millis(&self, ms: i64) {
        self.shift_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        system_now().plus_millis(self.shift_ms.load(Ordering::SeqCst))
    }
}

/// How far a node may be beside the clock that all of them share before it follows.
const APART_MS: i64 = 1_000;
/// A reading that took longer says too little.
const READING_MS_MAX: i64 = 5_000;

/// The machine's clock, held to one that all nodes of an installation share: the database's. A node that writes down when a wait began and
/// one that finds that it is over must mean the same moments, however their machines' clocks stand.
#[derive(Debug, Default)]
pub struct HeldClock {
    shift_ms: AtomicI64,
}

impl HeldClock {
    /// A clock that stands with the machine's until it was held for the first time.
    pub fn new() -> Self {
        Self::default()
    }

    /// The shared clock said `there` between two readings of this one. Answers by how much this one moved, in milliseconds.
    pub fn hold(&self, before: Timestamp, there: Timestamp, after: Timestamp) -> i64 {
        let took = after.millis_since(before);
        let between = before.plus_millis(took / 2);
        let apart = there.millis_since(between);
        let known = (0..=READING_MS_MAX).contains(&took) && apart.abs() > took / 2 + APART_MS;
        if !known {
            return 0;
        }
        self.shift_ms.fetch_add(apart, Ordering::SeqCst);
        apart
    }
}

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        system_now().plus_millis(self.shift_ms.load(Ordering::SeqCst))
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn system_now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_goes_with_the_shared_one_and_wall_time_does_not() {
        let clock = HeldClock::new();
        let at = clock.now();
        let (before, after) = (at, at.plus_millis(40));
        assert_eq!(clock.hold(before, at.plus_millis(900), after), 0, "near enough");
        assert_eq!(
            clock.hold(before, at.plus_seconds(600), at.plus_seconds(6)),
            0,
            "too slow a reading"
        );
        assert_eq!(clock.hold(before, at.plus_seconds(-600), after), -600_020);
        assert!(clock.now().millis_since(at) < -590_000);
        assert!(clock.wall().millis_since(at) >= 0);
        // Read again by its own time, it stands where the other one stands.
        let (before, after) = (clock.now(), clock.now().plus_millis(40));
        assert_eq!(clock.hold(before, before.plus_millis(20), after), 0);
    }

    #[test]
    fn a_shifted_clock_moves_and_wall_time_does_not() {
        let clock = ShiftedClock::new();
        let before = clock.now();
        clock.shift_millis(3_600_000);
        assert!(clock.now().millis_since(before) >= 3_600_000);
        assert!(clock.wall().millis_since(before) < 3_600_000);
        clock.shift_millis(-7_200_000);
        assert!(clock.now() < before);
    }
}
