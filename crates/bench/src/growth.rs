//! What is left of the rate when the database is full: loads finished sales through the server itself, then compares
//! with an empty one, turn by turn.

use serde::Serialize;

use crate::bench::{Bench, MERCHANTS, Setup, Site};
use crate::case::{Database, MANY, sale};
use crate::figures::{median, ratio};
use crate::load::{Length, Pace};
use crate::orders::Kind;
use crate::sample::Shape;

/// Sales between two lines of progress.
const CHUNK: u64 = 100_000;

/// Both rates as ratios to the reference, and what is left.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Growth {
    pub(crate) sales: u64,
    pub(crate) empty_ratio: f64,
    pub(crate) full_ratio: f64,
    /// `full_ratio` over `empty_ratio`.
    pub(crate) kept: f64,
    pub(crate) full_p99_ms: f64,
    pub(crate) full_written_bytes: f64,
    pub(crate) full_wal_bytes: f64,
    pub(crate) disk_bytes_per_sale: f64,
}

/// Fills a fresh server and measures it beside empty ones.
pub(crate) async fn measure(bench: &mut Bench, database: Database, sales: u64) -> anyhow::Result<Growth> {
    let checkpoint_pages = bench.options.checkpoint_pages;
    let site = bench
        .fresh(Setup {
            database,
            merchants: MERCHANTS,
            endpoint: false,
            checkpoint_pages,
        })
        .await?;
    fill(bench, &site, sales).await?;
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    let mut samples = Vec::new();
    let mut before = bench.pgbench()?;
    for _ in 0..bench.options.rounds() {
        let (sample, _) = bench.measure(sale(database, MANY)).await?;
        let between = bench.pgbench()?;
        empty.push(ratio(sample.per_second, before, between));
        let shape = bench.full_load(Kind::Sale, MANY);
        let sample = bench.sample(&site, &shape).await?;
        let after = bench.pgbench()?;
        full.push(ratio(sample.per_second, between, after));
        samples.push(sample);
        before = after;
    }
    let disk_bytes = match &site.database_url {
        Some(url) => crate::database::Session::open(url).await?.size_bytes().await?,
        None => directory_bytes(&site.directory)?,
    };
    site.remove().await?;
    let of = |read: fn(&crate::sample::Sample) -> f64| median(&samples.iter().map(read).collect::<Vec<_>>());
    let (empty_ratio, full_ratio) = (median(&empty), median(&full));
    Ok(Growth {
        sales,
        empty_ratio,
        full_ratio,
        kept: full_ratio / empty_ratio,
        full_p99_ms: of(|sample| sample.latency.p99_us as f64 / 1e3),
        full_written_bytes: of(|sample| sample.written_bytes),
        full_wal_bytes: of(|sample| sample.wal_bytes),
        disk_bytes_per_sale: disk_bytes as f64 / sales.max(1) as f64,
    })
}

async fn fill(bench: &mut Bench, site: &Site, sales: u64) -> anyhow::Result<()> {
    let mut done = 0;
    while done < sales {
        let now = CHUNK.min(sales - done);
        let run = bench.name();
        let length = Length::Requests(now);
        let shape = Shape {
            kind: Kind::Sale,
            connections: MANY,
            pace: Pace::Closed,
            length,
            may_refuse: false,
            run,
        };
        let sample = bench.sample(site, &shape).await?;
        done += now;
        eprintln!("  loaded {done} of {sales} sales, {:.0}/s", sample.per_second);
    }
    Ok(())
}

fn directory_bytes(directory: &std::path::Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            directory_bytes(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}
