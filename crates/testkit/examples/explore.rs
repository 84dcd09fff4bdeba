//! Explores every scenario (or those whose name contains an argument) and prints a table. Ends with 1 if a law is broken.

use std::process::ExitCode;
use std::time::Instant;

use florin_testkit::explorer::{Rules, explore, scenarios};

/// More worlds than any scenario has.
const WORLDS_MAX: u64 = 800_000;

#[expect(clippy::print_stdout, reason = "a table is what it is for")]
fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut failed = false;
    let (mut states, mut transitions) = (0, 0);
    let mut kinds = std::collections::BTreeMap::new();
    println!(
        "{:<22} {:>10} {:>12} {:>9} {:>6} {:>6} {:>8}",
        "scenario", "states", "transitions", "ends", "depth", "events", "seconds"
    );
    for scenario in scenarios() {
        if !wanted.is_empty() && !wanted.iter().any(|name| scenario.name == *name) {
            continue;
        }
        let start = Instant::now();
        let report = explore(&scenario, Rules::SHIPPED, WORLDS_MAX);
        println!(
            "{:<22} {:>10} {:>12} {:>9} {:>6} {:>6} {:>8.1}",
            scenario.name,
            report.states,
            report.transitions,
            report.ends,
            report.depth,
            report.events.len(),
            start.elapsed().as_secs_f32()
        );
        states += report.states;
        transitions += report.transitions;
        for (kind, count) in &report.events {
            *kinds.entry(*kind).or_insert(0_u64) += count;
        }
        if !report.complete {
            println!("more than {WORLDS_MAX} worlds: not all were seen");
            failed = true;
        }
        if let Some(found) = report.found {
            println!("{found}");
            failed = true;
        }
    }
    println!(
        "{states} states, {transitions} transitions, {} kinds of event:",
        kinds.len()
    );
    for (kind, count) in kinds {
        println!("  {kind:<20} {count:>12}");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
