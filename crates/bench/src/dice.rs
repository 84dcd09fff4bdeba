//! Random numbers for idempotency keys: fast, and different in every process.
//!
//! Not secret and not meant to be: a load generator needs keys that never repeat and fall anywhere in an index.

use std::hash::{BuildHasher, Hasher, RandomState};

/// SplitMix64, seeded from the random state that the standard library gives each process.
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) fn new() -> Self {
        Self {
            state: RandomState::new().build_hasher().finish(),
        }
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn two_generators_never_share_a_number() {
        let (mut one, mut other) = (Dice::new(), Dice::new());
        let numbers: BTreeSet<u64> = (0..10_000).flat_map(|_| [one.roll(), other.roll()]).collect();
        assert_eq!(numbers.len(), 20_000);
    }
}
