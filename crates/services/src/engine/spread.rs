//! Which lane of a node an order goes to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use florin_core::id::OrderId;
use tokio::time::Instant;

/// Waiting commands above which orders are spread over all lanes. Below that one lane makes larger batches and answers sooner.
const OPENS_ABOVE: usize = 40;
/// Waiting commands above which they stay spread. A lane takes all that waits at once, so a single look says little.
const STAYS_ABOVE: usize = 20;
/// How long they stay spread after that many were last seen: an order that changes lanes between two steps is read from the database again.
const STAYS: Duration = Duration::from_secs(1);

/// Orders go to the first lane, and under load to all of them by their ids.
pub(super) struct Spread {
    started: Instant,
    /// Milliseconds since the start.
    until: AtomicU64,
}

impl Spread {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            until: AtomicU64::new(0),
        }
    }

    /// The lane of an order, when so many commands wait in front of the first.
    pub(super) fn lane_of(&self, order: OrderId, lanes: usize, waiting: usize, now: Instant) -> usize {
        let now = millis(now.saturating_duration_since(self.started));
        let open = now < self.until.load(Ordering::Relaxed);
        let stays = waiting > if open { STAYS_ABOVE } else { OPENS_ABOVE };
        if stays {
            self.until.store(now + millis(STAYS), Ordering::Relaxed);
        }
        if open || stays {
            usize::try_from(order.uuid().as_u128() % lanes as u128).unwrap_or(0)
        } else {
            0
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two neighbours one goes to each lane.
    fn both(spread: &Spread, waiting: usize, now: Instant) -> [usize; 2] {
        [2_u128, 3].map(|id| spread.lane_of(OrderId::from_uuid(uuid::Uuid::from_u128(id)), 2, waiting, now))
    }

    #[test]
    fn few_orders_share_one_lane() {
        let start = Instant::now();
        assert_eq!(both(&Spread::new(start), OPENS_ABOVE, start), [0, 0]);
    }

    #[test]
    fn many_are_spread_and_an_emptied_queue_does_not_bring_them_back_at_once() {
        let start = Instant::now();
        let spread = Spread::new(start);
        assert_eq!(both(&spread, OPENS_ABOVE + 1, start), [0, 1]);
        // The lane has just taken all that waited.
        let later = start + STAYS / 2;
        assert_eq!(both(&spread, 0, later), [0, 1]);
        // Half of them wait in front of the other lane now.
        assert_eq!(both(&spread, STAYS_ABOVE + 1, later), [0, 1]);
        assert_eq!(both(&spread, 0, later + STAYS - Duration::from_millis(1)), [0, 1]);
        assert_eq!(both(&spread, STAYS_ABOVE + 1, later + STAYS), [0, 0]);
    }
}
