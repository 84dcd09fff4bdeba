//! A payment world on one thread: the real order machine, lanes, worker and rail over a network, a database and a provider that are
//! simulated from one seed.
//!
//! ```text
//!  clients ──▶ node 1: lane ─┐                      ┌─▶ network (loses, delays, doubles, reorders) ─▶ provider with its own book
//!  payers      node 2: lane ─┴─▶ one database ──────┘◀─────────────── webhooks (lost, doubled, late) ──────┘
//! ```
//!
//! A run has two phases: faults, then healing. After healing everything must come to an end, and the [`crate::check`]er must find one
//! story. What goes wrong, and how often, is drawn for each seed ([`Swarm`]), so that some seeds see one kind of fault only. The same seed
//! is the same run, to the last byte.

mod client;
mod dice;
mod ears;
mod network;
mod node;
mod plant;
mod swarm;
mod world;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use florin_core::rail::Rail;

pub use plant::LostIsDecline;
pub use swarm::Swarm;

/// Orders in one run, at least.
pub const ORDERS_MIN: u32 = 20;

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What went wrong, in words. Nothing, if all is well.
    pub wrong: Vec<String>,
    /// Orders that were made.
    pub orders: u32,
    /// Things that happened.
    pub steps: u64,
    /// Virtual seconds that passed.
    pub seconds: i64,
    /// What was counted, by word: crashes, messages lost, …
    pub counted: std::collections::BTreeMap<&'static str, u64>,
    /// A number over everything that happened: the same seed has the same.
    pub trace: u64,
    /// What happened, line by line, if it was asked for.
    pub story: Vec<String>,
}

/// Runs one seed with the rail that the product ships.
pub fn run(seed: u64) -> Report {
    run_with(seed, &florin_rails::stripe::Stripe, false)
}

/// Runs one seed with the rail that the product ships, and tells what happened.
pub fn tell(seed: u64) -> Report {
    run_with(seed, &florin_rails::stripe::Stripe, true)
}

/// Runs one seed with any rail that speaks to a Stripe-like provider.
pub fn run_with(seed: u64, rail: &'static dyn Rail, story: bool) -> Report {
    run_as(seed, Swarm::of(seed), rail, story)
}

/// Runs one seed with troubles that were chosen, not drawn from it.
pub fn run_as(seed: u64, swarm: Swarm, rail: &'static dyn Rail, story: bool) -> Report {
    world::World::new(seed, swarm, rail, story).run()
}

/// A seed that nobody has seen. Whoever uses it prints it.
pub fn fresh_seed() -> u64 {
    // The standard library's hash keys are the machine's dice; shorter than they are, so that a person can copy it.
    RandomState::new().build_hasher().finish() >> 24
}

/// How much to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// This seed, with its story.
    Seed(u64),
    /// So many seeds, from this one on.
    Seeds(u64, u64),
    /// For so long, from this seed on.
    Time(Duration, u64),
}

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// Orders in them.
    pub orders: u64,
    /// Things that happened in them.
    pub steps: u64,
    /// Virtual seconds that passed in them.
    pub seconds: i64,
    /// What was counted in them, by word.
    pub counted: std::collections::BTreeMap<&'static str, u64>,
    /// Runs in which something went wrong.
    pub failed: Vec<Report>,
}

/// The most failed runs that are kept.
const FAILED_MAX: usize = 20;

/// Simulates; `each` hears of every run as it ends and says whether to go on.
pub fn simulate(span: Span, each: &mut dyn FnMut(&Report) -> bool) -> Summary {
    let began = Instant::now();
    let (first, count, limit, story) = match span {
        Span::Seed(seed) => (seed, 1, None, true),
        Span::Seeds(count, first) => (first, count, None, false),
        Span::Time(limit, first) => (first, u64::MAX, Some(limit), false),
    };
    let mut summary = Summary::default();
    for seed in (0..count).map(|number| first.wrapping_add(number)) {
        if limit.is_some_and(|limit| began.elapsed() >= limit) {
            break;
        }
        let report = run_with(seed, &florin_rails::stripe::Stripe, story);
        summary.runs += 1;
        summary.orders += u64::from(report.orders);
        summary.steps += report.steps;
        summary.seconds += report.seconds;
        for (word, count) in &report.counted {
            *summary.counted.entry(word).or_default() += count;
        }
        let go_on = each(&report);
        if !report.wrong.is_empty() && summary.failed.len() < FAILED_MAX {
            summary.failed.push(report);
        }
        if !go_on {
            break;
        }
    }
    summary
}
