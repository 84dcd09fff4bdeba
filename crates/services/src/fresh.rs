//! What lanes of this process wrote a moment ago, as they had it in memory: the reader behind the commit need not read as JSON what was
//! written as JSON beside it.
//!
//! An entry is named by the hash of its event row, which stands for events, postings and names. So what is found here is what the row says,
//! whatever became of the commit; what is not found is read from the row. Nothing depends on it but time and memory.

use std::collections::HashMap;
use std::hash::Hash as Hashed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use florin_core::event::Event;
use florin_core::ledger::Posting;
use florin_store::Hash;
use tokio::sync::Notify;

use crate::snapshot::{Learned, Named};
use crate::view::Details;

/// Bytes of event rows, as they are written down, that are remembered in one half where rows gather for a second: some eight thousand rows of
/// common size, about as many as a busy reader finds then. In memory a row is several times as long. Rows that another node folds stay until
/// newer ones push them out.
const HALF_BYTES: usize = 6 << 20;
/// The same where nothing gathers: what a reader finds that is behind by a large turn.
const HALF_BYTES_AT_ONCE: usize = 2 << 20;

/// An event row, as whoever wrote it had it.
#[derive(Clone, Debug)]
pub struct Written {
    pub(crate) hash: Hash,
    /// How long the row is as it is written down.
    pub(crate) bytes: usize,
    pub(crate) events: Vec<Event>,
    pub(crate) learned: Learned,
    pub(crate) details: Option<Arc<Details>>,
    pub(crate) named: Vec<Named>,
    pub(crate) postings: Vec<Posting>,
}

/// The bell that lanes ring after a commit, and what they committed.
#[derive(Debug)]
pub struct Committed {
    bell: Notify,
    fresh: Mutex<Lately<Hash, Written>>,
}

impl Default for Committed {
    fn default() -> Self {
        Self::new(Duration::ZERO)
    }
}

impl Committed {
    /// For a store whose rows gather so long before they are read ([`florin_store::Store::gathers`]).
    pub fn new(gathers: Duration) -> Self {
        let half = if gathers.is_zero() {
            HALF_BYTES_AT_ONCE
        } else {
            HALF_BYTES
        };
        Self {
            bell: Notify::new(),
            fresh: Mutex::new(Lately::new(half)),
        }
    }

    /// Something is durable.
    pub fn ring(&self, written: Vec<Written>) {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        for one in written {
            fresh.put(one.hash, one.bytes, one);
        }
        drop(fresh);
        self.bell.notify_one();
    }

    /// Waits until it rings.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// The row with this hash, if it was written here and not taken yet.
    pub(crate) fn take(&self, hash: &Hash) -> Option<Written> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).take(hash)
    }
}

/// Things of a moment ago in two halves; when the newer one is full the older one goes.
#[derive(Debug)]
pub(crate) struct Lately<K, V> {
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
    /// The size at which a half is full, and what has been put into the newer one.
    half: usize,
    filled: usize,
}

impl<K: Eq + Hashed, V> Lately<K, V> {
    /// Nothing yet, and hardly more than twice `half`.
    pub(crate) fn new(half: usize) -> Self {
        Self {
            newer: HashMap::new(),
            older: HashMap::new(),
            half,
            filled: 0,
        }
    }

    /// Takes one out, to be changed and put back, or to be forgotten.
    pub(crate) fn take(&mut self, key: &K) -> Option<V> {
        self.newer.remove(key).or_else(|| self.older.remove(key))
    }

    pub(crate) fn put(&mut self, key: K, size: usize, value: V) {
        if self.filled >= self.half {
            self.older = std::mem::take(&mut self.newer);
            self.filled = 0;
        }
        self.filled += size;
        self.newer.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_two_halves_is_forgotten() {
        let mut lately = Lately::new(2);
        for number in 0..7 {
            lately.put(number, 1, number);
        }
        let left: Vec<i32> = (0..7).filter(|number| lately.take(number).is_some()).collect();
        assert_eq!(left, [4, 5, 6]);
        assert_eq!(lately.take(&6), None, "it was taken");
    }
}
