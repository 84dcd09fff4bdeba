//! What lanes of this process wrote a moment ago, as the reader behind the commit wants it: it need not read as JSON what was written as JSON
//! beside it. Of texts it wants next to nothing, so that a row is a few hundred bytes here.
//!
//! An entry is named by the hash of its event row, which stands for events, postings and names. So what is found here is what the row says,
//! whatever became of the commit; what is not found is read from the row. Nothing depends on it but time and memory.

use std::collections::HashMap;
use std::hash::Hash as Hashed;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use florin_store::Hash;
use tokio::sync::Notify;

use crate::reader::read::Read;
use crate::reader::stride;

/// Event rows that are remembered in one half: with the other one, as many as a reader takes in its largest turn. Rows that another node folds
/// stay until newer ones push them out.
const HALF_ROWS: usize = stride::ROWS_MAX / 2;
/// The same where rows gather for a second.
const HALF_ROWS_GATHERING: usize = stride::ROWS_GATHERING_MAX / 2;

/// An event row, as whoever wrote it had it.
#[derive(Clone, Debug)]
pub struct Written {
    pub(crate) hash: Hash,
    /// Boxed: what is remembered moves when there is more of it.
    pub(crate) read: Box<Read>,
}

/// The bell that lanes ring after a commit, and what they committed.
#[derive(Debug)]
pub struct Committed {
    bell: Notify,
    fresh: Mutex<Lately<Hash, Box<Read>>>,
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
            HALF_ROWS
        } else {
            HALF_ROWS_GATHERING
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
            fresh.put(one.hash, one.read);
        }
        drop(fresh);
        self.bell.notify_one();
    }

    /// Waits until it rings.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// What the rows with these hashes say that were written here and not taken yet.
    pub(crate) fn take<'a>(&self, hashes: impl Iterator<Item = &'a Hash>) -> Vec<Option<Box<Read>>> {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.map(|hash| fresh.take(hash)).collect()
    }
}

/// Things of a moment ago in two halves; when the newer one is full the older one goes.
#[derive(Debug)]
pub(crate) struct Lately<K, V> {
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
    /// How many fill a half.
    half: usize,
}

impl<K: Eq + Hashed, V> Lately<K, V> {
    /// Nothing yet, and hardly more than twice `half`.
    pub(crate) fn new(half: usize) -> Self {
        Self {
            newer: HashMap::new(),
            older: HashMap::new(),
            half,
        }
    }

    /// Takes one out, to be changed and put back, or to be forgotten.
    pub(crate) fn take(&mut self, key: &K) -> Option<V> {
        self.newer.remove(key).or_else(|| self.older.remove(key))
    }

    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.newer.len() >= self.half {
            self.older = std::mem::take(&mut self.newer);
        }
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
            lately.put(number, number);
        }
        let left: Vec<i32> = (0..7).filter(|number| lately.take(number).is_some()).collect();
        assert_eq!(left, [4, 5, 6]);
        assert_eq!(lately.take(&6), None, "it was taken");
    }
}
