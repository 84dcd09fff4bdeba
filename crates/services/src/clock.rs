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

#[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn system_now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
