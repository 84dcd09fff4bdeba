//! Explores every scenario (or those whose names are arguments) and prints a table. Ends with 1 if a law is broken.

#![expect(clippy::print_stdout, reason = "a table is what it is for")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use florin_testkit::explorer::{Rules, WORLDS_MAX, explore, scenarios};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let known: Vec<&str> = scenarios().iter().map(|scenario| scenario.name).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        println!("there is no scenario `{unknown}`: {}", known.join(", "));
        return ExitCode::from(2);
    }
    let mut failed = false;
    let (mut states, mut transitions) = (0, 0);
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    println!(
        "{:<22} {:>10} {:>12} {:>9} {:>6} {:>6} {:>8} {:>8}",
        "scenario", "states", "transitions", "ends", "depth", "events", "seconds", "MB"
    );
    for scenario in scenarios() {
        if !wanted.is_empty() && !wanted.iter().any(|name| scenario.name == *name) {
            continue;
        }
        forget_peak();
        let start = Instant::now();
        let report = explore(&scenario, Rules::SHIPPED, WORLDS_MAX);
        println!(
            "{:<22} {:>10} {:>12} {:>9} {:>6} {:>6} {:>8.1} {:>8}",
            scenario.name,
            report.states,
            report.transitions,
            report.ends,
            report.depth,
            report.events.len(),
            start.elapsed().as_secs_f32(),
            peak_mb().map_or("?".to_owned(), |mb| mb.to_string()),
        );
        states += report.states;
        transitions += report.transitions;
        for (kind, count) in &report.events {
            *kinds.entry(kind).or_default() += count;
        }
        if let Some(found) = &report.found {
            println!("{found}");
            failed = true;
        } else if !report.complete {
            println!("more than {WORLDS_MAX} worlds: not all were seen");
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

/// The most memory this process has had since [`forget_peak`], where the kernel tells it.
fn peak_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kb: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1_024)
}

fn forget_peak() {
    // Where this is not allowed, the table shows the peak of the whole run.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
