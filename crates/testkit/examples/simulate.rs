//! Simulates a payment world, seed by seed, and ends with 1 if one of them does not heal and converge.
//!
//! ```text
//! simulate --seeds 1000       a thousand seeds, from 1 on (--from N: from N on)
//! simulate --minutes 30       as many as fit, from a fresh seed on (--from N: from N on)
//! simulate --seed 17          one seed, told line by line
//! ```

#![expect(clippy::print_stdout, reason = "a report is what it is for")]

use std::process::ExitCode;
use std::time::Duration;

use florin_testkit::sim::{Span, Summary, fresh_seed, simulate};

/// Failing seeds after which there is enough to look at.
const FAILED_MAX: usize = 10;
/// After how many seeds a line says how far it is.
const EVERY: u64 = 100;

const USAGE: &str = "usage: simulate --seed N | --seeds COUNT [--from N] | --minutes N [--from N]";

fn main() -> ExitCode {
    let Some(span) = span(&std::env::args().skip(1).collect::<Vec<_>>()) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let (mut runs, mut failed) = (0, 0);
    let summary = simulate(span, &mut |report| {
        for line in &report.story {
            println!("{line}");
        }
        if !report.wrong.is_empty() {
            failed += 1;
            println!("seed {} is wrong (again with: --seed {}):", report.seed, report.seed);
            for why in &report.wrong {
                println!("    {why}");
            }
        }
        runs += 1;
        if runs % EVERY == 0 {
            println!("{runs} seeds, {failed} wrong");
        }
        failed < FAILED_MAX
    });
    tell(&summary);
    if summary.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn span(words: &[String]) -> Option<Span> {
    let mut numbers = std::collections::BTreeMap::new();
    for pair in words.chunks(2) {
        let [name, value] = pair else { return None };
        numbers.insert(name.as_str(), value.parse::<u64>().ok()?);
    }
    let from = numbers.remove("--from");
    let span = match numbers.into_iter().collect::<Vec<_>>()[..] {
        [("--seed", seed)] if from.is_none() => Span::Seed(seed),
        [("--seeds", count)] => Span::Seeds(count, from.unwrap_or(1)),
        [("--minutes", minutes)] => {
            let from = from.unwrap_or_else(fresh_seed);
            println!("from seed {from} on");
            Span::Time(Duration::from_secs(minutes * 60), from)
        }
        _ => return None,
    };
    Some(span)
}

fn tell(summary: &Summary) {
    println!(
        "{} seeds, {} orders, {} things happened in {} virtual days; {} seeds wrong",
        summary.runs,
        summary.orders,
        summary.steps,
        summary.seconds / 86_400,
        summary.failed.len()
    );
    for (word, count) in &summary.counted {
        println!("  {word:<40} {count:>12}");
    }
}
