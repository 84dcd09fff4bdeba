//! What is measured, in which order.
//!
//! Reference and measured runs take turns: each sample stands between two runs of `pgbench` and is divided by their
//! mean. Rounds go through all cases before any is repeated, every second round backwards, so that a slow minute of the
//! machine does not fall on one case alone.

use std::path::Path;

use anyhow::ensure;
use serde::Serialize;

use crate::bench::{Bench, MERCHANTS, Setup};
use crate::case::{CASES, Case, Database, MANY, SOME, sale};
use crate::figures::{median, ratio};
use crate::load::{Length, Pace};
use crate::options::Options;
use crate::orders::Kind;
use crate::report::{Machine, Rate, Report};
use crate::rest::Resting;
use crate::sample::Shape;
use crate::{aside, cpu, cpuloop, growth, overload, single};

/// Before latencies at half load are counted.
const HALF_WARM_UP_MS: u64 = 1000;

/// Half load is measured longer than the maximum, so that checkpoints fall into it.
const HALF_LENGTHS: u64 = 2;

/// Measures what was asked for.
pub(crate) async fn run(options: &Options, program: &Path) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let load_before = cpu::load_average()?;
    let loop_before = cpuloop::us_per_thousand_blocks();
    let mut bench = Bench::open(options, program).await?;

    let resting = if options.wants("memory") || options.wants("start") {
        eprintln!("a small shop: 1,000 orders, then rest");
        Some(Resting::begin(&mut bench).await?)
    } else {
        None
    };
    measure_rates(&mut bench, &mut report).await?;
    for database in Database::ALL {
        if options.wants_for("half", database) {
            measure_half(&mut bench, database, &mut report).await?;
        }
        if options.wants_for("single", database) {
            eprintln!("one at a time on {}", database.name());
            let single = single::measure(&mut bench, database).await?;
            report.add(&format!("single_{}", database.name()), &single);
            report.add_bound(format!("single_over_bare_ms_{}", database.name()), single.over_ms);
        }
        if options.wants_for("overload", database) {
            eprintln!("too much on {}", database.name());
            let overload = overload::measure(&mut bench, database).await?;
            report.add(&format!("overload_{}", database.name()), &overload);
            report.add_bound(format!("overload_times_{}", database.name()), overload.times);
        }
        if let Some(count) = options.preload.filter(|_| options.wants_for("preload", database)) {
            eprintln!("loading {count} sales into {}", database.name());
            let growth = growth::measure(&mut bench, database, count).await?;
            report.add(&format!("preload_{}", database.name()), &growth);
            report.add_ratio(format!("kept_{}", database.name()), growth.kept);
        }
    }
    if let Some(resting) = resting {
        eprintln!("the small shop again: memory and restarts");
        let rested = resting.finish(&mut bench).await?;
        report.add("memory_and_start", &rested);
        report.add_bound("memory_mb".to_owned(), rested.resident_mb);
        report.add_bound("start_ms".to_owned(), rested.start_ms);
        report.add_bound("start_empty_ms".to_owned(), rested.start_empty_ms);
    }

    let pgbench_runs = std::mem::take(&mut bench.tps);
    let sold = bench.sold;
    let seen = bench.close().await?;
    ensure!(
        seen.charged >= sold,
        "the provider was asked {} times for {sold} sales: somebody skips it",
        seen.charged
    );
    if seen.hooks == 0 && CASES.iter().any(|case| case.endpoint && options.wants(&case.name())) {
        report
            .warnings
            .push("no webhook arrived although endpoints were registered".to_owned());
    }
    report.add("provider", &seen);
    report.finish(Machine {
        pgbench_runs,
        cpu_loop_us: [loop_before, cpuloop::us_per_thousand_blocks()],
        load_average: [load_before, cpu::load_average()?],
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        callers_stand_aside: aside::works(),
        ..Machine::default()
    });
    Ok(report)
}

async fn measure_rates(bench: &mut Bench, report: &mut Report) -> anyhow::Result<()> {
    let wanted: Vec<Case> = CASES
        .into_iter()
        .filter(|case| bench.options.wants(&case.name()))
        .collect();
    let mut rates = vec![Rate::default(); wanted.len()];
    if wanted.is_empty() {
        return Ok(());
    }
    let rounds = bench.options.rounds();
    let mut before = bench.pgbench()?;
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let (sample, checkpoint) = bench.measure(wanted[at]).await?;
            let after = bench.pgbench()?;
            let ratio = ratio(sample.per_second, before, after);
            let name = wanted[at].name();
            eprintln!(
                "round {} of {rounds}: {name} {:.0}/s, {ratio:.2} x pgbench",
                round + 1,
                sample.per_second
            );
            if let Some(checkpoint) = checkpoint {
                report.checkpoint.insert(name, checkpoint);
            }
            rates[at].samples.push(sample);
            rates[at].ratios.push(ratio);
            rates[at].tps.push((before + after) / 2.0);
            before = after;
        }
    }
    for (case, rate) in wanted.into_iter().zip(rates) {
        report.add_rate(case, rate);
    }
    compare_rates(report);
    Ok(())
}

/// Figures that follow from several rates.
fn compare_rates(report: &mut Report) {
    for database in Database::ALL {
        let register = CASES
            .into_iter()
            .find(|case| case.kind == Kind::Register && case.database == database);
        let register = register.and_then(|case| report.sample(case));
        if let (Some(register), Some(sale)) = (register, report.sample(sale(database, MANY))) {
            let name = format!("sale_over_register_{}", database.name());
            report.add_ratio(name, sale.per_second / register.per_second);
        }
        if let Some(sale) = report.sample(sale(database, SOME)) {
            match database {
                Database::Sqlite => report.add_bound("written_kb_sqlite".to_owned(), sale.written_bytes / 1e3),
                Database::Postgres => report.add_bound("wal_kb_postgres".to_owned(), sale.wal_bytes / 1e3),
            }
        }
    }
}

/// Latencies at half of the highest rate, with the shipped settings.
#[derive(Serialize)]
struct Half {
    per_second: u64,
    p50_ms: f64,
    p99_ms: f64,
    worst_p99_ms: f64,
    max_ms: f64,
    unsent: u64,
}

async fn measure_half(bench: &mut Bench, database: Database, report: &mut Report) -> anyhow::Result<()> {
    let name = format!("half_{}", database.name());
    let known = [MANY, SOME].map(|connections| report.sample(sale(database, connections)));
    let known = known
        .into_iter()
        .flatten()
        .map(|sample| sample.per_second)
        .reduce(f64::max);
    let maximum = match known {
        Some(per_second) => per_second,
        None => bench.measure(sale(database, MANY)).await?.0.per_second,
    };
    let per_second = (maximum / 2.0) as u64;
    eprintln!("half load on {}: {per_second}/s", database.name());
    let mut samples = Vec::new();
    for _ in 0..bench.options.rounds() {
        let setup = Setup {
            database,
            merchants: MERCHANTS,
            endpoint: false,
            checkpoint_pages: None,
        };
        let site = bench.fresh(setup).await?;
        if let Some(checkpoint) = &site.server.checkpoint {
            report.checkpoint.insert(name.clone(), checkpoint.clone());
        }
        let measured_ms = bench.options.seconds() * 1000 * HALF_LENGTHS;
        let shape = Shape {
            kind: Kind::Sale,
            connections: MANY,
            pace: Pace::PerSecond(per_second.max(1)),
            length: Length::Timed {
                warm_up_ms: HALF_WARM_UP_MS,
                measured_ms,
            },
            may_refuse: false,
            run: bench.name(),
        };
        samples.push(bench.sample(&site, &shape).await?);
        site.remove().await?;
    }
    let of = |read: fn(&crate::sample::Sample) -> u64| -> Vec<f64> {
        samples.iter().map(|sample| read(sample) as f64 / 1e3).collect()
    };
    let p99s = of(|sample| sample.latency.p99_us);
    let half = Half {
        per_second,
        p50_ms: median(&of(|sample| sample.latency.p50_us)),
        p99_ms: median(&p99s),
        worst_p99_ms: p99s.iter().copied().fold(0.0, f64::max),
        max_ms: of(|sample| sample.latency.max_us).into_iter().fold(0.0, f64::max),
        unsent: samples.iter().map(|sample| sample.unsent).sum(),
    };
    report.add_bound(format!("half_p99_ms_{}", database.name()), half.p99_ms);
    report.add(&name, &half);
    Ok(())
}
