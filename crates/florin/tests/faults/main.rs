//! What the whole program survives, by number of the list of faults in `tests/faults`: real processes that are killed, paused and starved,
//! real databases, a provider that outlives everybody, and one judge (`judge.rs`) at the end of each test.
//!
//! Counts are those of a commit; `FLORIN_FULL=1` raises them to those of the list. Random choices begin at `FLORIN_SEED`, which a test that
//! fails has printed. Nothing is asserted about time, only about counts and ratios: two cores may be shared with anybody.
//!
//! ```text
//! till (calls, writes down) ──HTTP──▶ florin serve ──wire──▶ SQLite or PostgreSQL
//!                                         │  ▲
//!                                    wire ▼  │ hooks           receiver ◀── webhooks out
//!                                        psp (a book of its own)
//! ```
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]
#![allow(unreachable_pub, reason = "the parts of a test program are its own")]

#[path = "../../../store/tests/support/cluster.rs"]
#[allow(dead_code, reason = "shared with the store's tests, which use the rest")]
mod cluster;
mod http;
mod judge;
mod node;
mod psp;
mod receiver;
mod till;
mod world;

mod canary;
mod crashes;
mod database;
mod disk;
mod keys;
mod late;
mod limits;
mod money;
mod network;
mod notices;
mod pretend;
mod provider;
mod records;
mod stuck;
mod told;

/// How many cases of a kind are run: `some`, or all of them in a full run.
pub fn count(some: usize, all: usize) -> usize {
    if std::env::var_os("FLORIN_FULL").is_some_and(|value| value == "1") {
        all
    } else {
        some.min(all)
    }
}

/// Where random choices begin.
pub fn seed() -> u64 {
    let given = std::env::var("FLORIN_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or(0x5eed_f10a_117e_57e5);
    eprintln!("FLORIN_SEED={seed}");
    seed
}

/// Random numbers from a seed: xorshift.
pub struct Dice(pub u64);

impl Dice {
    /// The next one below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }
}
