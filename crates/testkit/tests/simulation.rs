//! The simulated world: a slice of seeds heals and converges, a planted mistake is found, the same seed is the same run.

use florin_rails::stripe::Stripe;
use florin_testkit::sim::{LostIsDecline, ORDERS_MIN, Span, run, run_with, simulate, tell};

/// Seeds of every commit; `FLORIN_SIM_SEEDS` sets more (`./test --full`).
const SEEDS: u64 = 40;
/// Within so many seeds the planted mistake must be found.
const PLANTED_SEEDS_MAX: u64 = 1_000;

fn seeds() -> u64 {
    std::env::var("FLORIN_SIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SEEDS)
}

#[test]
fn every_seed_heals_and_converges_to_one_story() {
    let summary = simulate(Span::Seeds(seeds(), 1), &mut |report| report.wrong.is_empty());
    if let Some(report) = summary.failed.first() {
        panic!(
            "seed {} (again with: florin simulate --seed {}): {:#?}",
            report.seed, report.seed, report.wrong
        );
    }
    assert!(
        summary.orders >= summary.runs * u64::from(ORDERS_MIN) * 9 / 10,
        "orders that no node ever heard of are few"
    );
    for word in [
        "crashes",
        "pauses",
        "conflicts",
        "answers that were lost",
        "database mishaps",
        "nudges",
        "disputes",
        "outages",
    ] {
        assert!(
            summary.counted.get(word).is_some_and(|count| *count > 0),
            "no seed saw {word}: {:?}",
            summary.counted
        );
    }
}

#[test]
fn a_lost_answer_that_is_called_a_decline_is_found_within_a_thousand_seeds() {
    static PLANTED: LostIsDecline<Stripe> = LostIsDecline(Stripe);
    let found = (1..=PLANTED_SEEDS_MAX).find(|seed| !run_with(*seed, &PLANTED, false).wrong.is_empty());
    let seed = found.expect("the planted mistake is found");
    let wrong = run_with(seed, &PLANTED, false).wrong;
    assert!(
        wrong
            .iter()
            .any(|why| why.contains("charged") || why.contains("the provider owes")),
        "seed {seed} is found for what it is: {wrong:#?}"
    );
    assert!(run(seed).wrong.is_empty(), "and the real rail passes that seed");
}

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_is_another() {
    for seed in [3, 77] {
        let first = run(seed);
        assert_eq!(first, run(seed));
        assert_eq!(first.trace, tell(seed).trace, "telling it changes nothing");
        assert_ne!(first.trace, run(seed + 1).trace);
    }
}
