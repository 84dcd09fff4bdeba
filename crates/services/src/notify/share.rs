//! What one merchant, in one mode, has of the places of a node: whatever its endpoints do, there are places for others.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::lines::PARALLEL_MAX;

/// Requests out at once to all endpoints of a merchant.
const PARALLEL: usize = PARALLEL_MAX / 2;

/// A merchant's share.
pub(super) struct Share {
    standing: usize,
    parallel: Arc<Semaphore>,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            standing: 0,
            parallel: Arc::new(Semaphore::new(PARALLEL)),
        }
    }
}

impl Share {
    /// Whether one more delivery of the merchant may stand: as many may as are free. So one merchant takes half of the places at most, two
    /// take a third each, and some are always left for whoever comes next.
    pub(super) fn has_room(&self, free: usize) -> bool {
        self.standing < free
    }

    /// A delivery stands.
    pub(super) fn enter(&mut self) {
        self.standing += 1;
    }

    /// A delivery stands no more.
    pub(super) fn leave(&mut self) {
        self.standing = self.standing.saturating_sub(1);
    }

    /// The merchant's requests that may be out at once.
    pub(super) fn parallel(&self) -> Arc<Semaphore> {
        Arc::clone(&self.parallel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_merchants_stand_there_is_room_for_one_more() {
        const PLACES: usize = 1_000;
        let mut shares: Vec<Share> = (0..9).map(|_| Share::default()).collect();
        let mut free = PLACES;
        let mut pushed = true;
        while pushed {
            pushed = false;
            for share in &mut shares {
                if share.has_room(free) {
                    share.enter();
                    free -= 1;
                    pushed = true;
                }
            }
        }
        assert!(free >= PLACES / 10, "{free}");
        assert!(Share::default().has_room(free));
    }
}
