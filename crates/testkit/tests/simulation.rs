//! The simulated world: a slice of seeds heals and converges, a planted mistake is found, the same seed is the same run.
//!
//! `cargo run -p florin-testkit --release --example simulate -- --seeds 1000` (or `--minutes 30`) runs many, `--seed N` tells one.

use std::collections::BTreeMap;

use florin_rails::stripe::Stripe;
use florin_testkit::sim::{LostIsDecline, ORDERS_MIN, Report, Span, Swarm, fresh_seed, run_as, simulate};

/// Seeds of every commit, always the same.
const SEEDS: u64 = 3;
/// Seeds that nobody has run before.
const FRESH_SEEDS: u64 = 1;
/// The same in a night (`./test --full`).
const SEEDS_FULL: u64 = 1_000;
const FRESH_SEEDS_FULL: u64 = 500;
/// Within so many seeds the planted mistake must be found.
const PLANTED_SEEDS_MAX: u64 = 1_000;

/// What seeds must have seen; a few seeds at least the first ones.
const TROUBLES: [&str; 13] = [
    "answers that were lost",
    "messages that never left",
    "webhooks",
    "conflicts",
    "crashes",
    "pauses",
    "answers without a meaning",
    "database mishaps",
    "webhooks that were lost",
    "deliveries that failed",
    "disputes",
    "console refunds that failed later",
    "outages",
];
const TROUBLES_OF_A_FEW: usize = 3;

fn full() -> bool {
    std::env::var_os("FLORIN_FULL").is_some_and(|full| !full.is_empty() && full != "0")
}

/// Runs seeds, and fails with the first one that goes wrong. Answers what was counted.
fn heals(first: u64, count: u64) -> BTreeMap<&'static str, u64> {
    let summary = simulate(Span::Seeds(count, first), &mut |report: &Report| {
        report.wrong.is_empty()
    });
    if let Some(report) = summary.failed.first() {
        panic!(
            "seed {} (told by: cargo run -p florin-testkit --release --example simulate -- --seed {}): {:#?}",
            report.seed, report.seed, report.wrong
        );
    }
    assert!(
        summary.orders >= summary.runs * u64::from(ORDERS_MIN) * 9 / 10,
        "orders that no node ever heard of are few"
    );
    summary.counted
}

#[test]
fn every_seed_heals_and_converges_to_one_story() {
    let counted = heals(1, if full() { SEEDS_FULL } else { SEEDS });
    let troubles: &[&str] = if full() {
        &TROUBLES
    } else {
        &TROUBLES[..TROUBLES_OF_A_FEW]
    };
    for word in troubles {
        assert!(
            counted.get(word).is_some_and(|count| *count > 0),
            "no seed saw {word}: {counted:?}"
        );
    }
}

#[test]
fn a_seed_that_nobody_has_seen_heals_and_converges_too() {
    let first = fresh_seed();
    let count = if full() { FRESH_SEEDS_FULL } else { FRESH_SEEDS };
    println!("{count} seeds from {first} on");
    heals(first, count);
}

#[test]
fn what_machines_cannot_settle_in_three_days_calls_for_a_person_and_heals_when_the_provider_is_back() {
    let silent = Swarm {
        orders: 6,
        faults_s: 600,
        silent: true,
        crash_every_s: 0,
        pause_every_s: 0,
        ..Swarm::of(1)
    };
    let report = run_as(1, silent, &Stripe, false);
    assert_eq!(report.wrong, Vec::<String>::new());
    assert!(
        report.counted.get("cases for a person").is_some_and(|count| *count > 0),
        "{:?}",
        report.counted
    );
}

#[test]
fn a_lost_answer_that_is_called_a_decline_is_found_within_a_thousand_seeds() {
    static PLANTED: LostIsDecline<Stripe> = LostIsDecline(Stripe);
    // Nodes that neither die nor stand still, and nobody at the console: this mistake needs no more than a network that loses answers.
    let lossy = |seed| Swarm {
        orders: ORDERS_MIN,
        faults_s: 600,
        silent: false,
        console: 0,
        crash_every_s: 0,
        pause_every_s: 0,
        ..Swarm::of(seed)
    };
    let found = (1..=PLANTED_SEEDS_MAX)
        // The mistaken rail knows nothing of payments that it took for declined, and would be asked about them for days.
        .map(|seed| {
            run_as(
                seed,
                Swarm {
                    rest_s: 3_600,
                    ..lossy(seed)
                },
                &PLANTED,
                false,
            )
        })
        .find(|report| (report.wrong.iter()).any(|why| why.contains("charged")));
    let Report { seed, wrong, .. } = found.expect("the planted mistake is found for what it is");
    println!("found in seed {seed}: {wrong:#?}");
    let right = run_as(seed, lossy(seed), &Stripe, false);
    assert_eq!(right.wrong, Vec::<String>::new(), "and the real rail passes that seed");
}

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_is_another() {
    let few = |seed| Swarm {
        orders: 5,
        faults_s: 300,
        silent: false,
        ..Swarm::of(seed)
    };
    let first = run_as(3, few(3), &Stripe, false);
    let told = run_as(3, few(3), &Stripe, true);
    assert!(!told.story.is_empty());
    assert_eq!(
        (first.trace, first.counted, first.steps),
        (told.trace, told.counted, told.steps),
        "and telling it changes nothing"
    );
    assert_ne!(first.trace, run_as(4, few(4), &Stripe, false).trace);
}
