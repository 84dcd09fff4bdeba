//! What the store survives, by number of the list of faults: power cuts, failed flushes, full disks, servers that die or go silent.
//!
//! `FLORIN_FULL=1` runs all cases; otherwise a sample, chosen by a printed seed (`FLORIN_SEED`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod child;
mod migration;
mod postgres;
mod proxy;
mod sqlite;
#[path = "../support/mod.rs"]
mod support;
mod trace;

pub(crate) use support::rows;

/// How many cases of a kind are run: `some`, or all of them in a full run.
pub(crate) fn count(some: usize, all: usize) -> usize {
    if std::env::var_os("FLORIN_FULL").is_some_and(|value| value == "1") {
        all
    } else {
        some.min(all)
    }
}

/// Where random choices begin. Printed by the test that fails.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("FLORIN_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or(0x5eed_f10a_117e_57e5);
    eprintln!("FLORIN_SEED={seed}");
    seed
}

/// Random numbers from a seed: xorshift.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}
