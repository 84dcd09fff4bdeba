//! `cargo run -p florin-testkit --example simulate -- 17` tells seed 17; with two numbers: so many seeds, from there on.
#![allow(clippy::print_stdout, reason = "an example that prints")]

use florin_testkit::sim::{Span, simulate};

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let span = match numbers[..] {
        [seed] => Span::Seed(seed),
        [first, count] => Span::Seeds(count, first),
        _ => Span::Seeds(100, 1),
    };
    let summary = simulate(span, &mut |report| {
        for line in &report.story {
            println!("{line}");
        }
        if !report.wrong.is_empty() {
            println!("seed {}: {:#?}", report.seed, report.wrong);
        }
        true
    });
    println!(
        "{} runs, {} orders, {} steps, {} s; {} failed",
        summary.runs,
        summary.orders,
        summary.steps,
        summary.seconds,
        summary.failed.len()
    );
    println!("{:#?}", summary.counted);
}
