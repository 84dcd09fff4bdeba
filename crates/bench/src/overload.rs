//! Too much: what a server keeps in memory when ten times as many callers as it needs for its highest rate will not wait.
//!
//! One fresh server, as shipped: first the load of its highest rate, then ten times as many connections that each ask again as soon
//! as they are answered. Refusals (429, 503) are answers here; anything else unexpected is an error.

use serde::Serialize;

use crate::bench::{Bench, MERCHANTS, Setup};
use crate::case::{Database, SOME};
use crate::cpu;
use crate::orders::Kind;

/// How many times the connections of the highest rate.
const TIMES: usize = 10;

/// Peaks of resident memory, and what callers saw.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Overload {
    pub(crate) connections: usize,
    /// The most that was resident at the highest rate.
    pub(crate) full_mb: f64,
    /// The most that was resident under too much.
    pub(crate) overload_mb: f64,
    /// The second over the first.
    pub(crate) times: f64,
    pub(crate) full_per_second: f64,
    pub(crate) overload_per_second: f64,
    pub(crate) overload_p99_ms: f64,
    /// Callers that were told to come back.
    pub(crate) refused: u64,
}

/// Loads a fresh server, then overloads it.
pub(crate) async fn measure(bench: &mut Bench, database: Database) -> anyhow::Result<Overload> {
    let site = bench
        .fresh(Setup {
            database,
            merchants: MERCHANTS,
            endpoint: false,
            checkpoint_pages: None,
        })
        .await?;
    let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let shape = bench.full_load(Kind::Sale, SOME);
    let full = bench.sample(&site, &shape).await?;
    let full_mb = mb(cpu::peak_resident_bytes(site.server.pid())?);
    let mut shape = bench.full_load(Kind::Sale, SOME * TIMES);
    shape.may_refuse = true;
    let over = bench.sample(&site, &shape).await?;
    let overload_mb = mb(cpu::peak_resident_bytes(site.server.pid())?);
    site.remove().await?;
    Ok(Overload {
        connections: SOME * TIMES,
        full_mb,
        overload_mb,
        times: overload_mb / full_mb,
        full_per_second: full.per_second,
        overload_per_second: over.per_second,
        overload_p99_ms: over.latency.p99_us as f64 / 1e3,
        refused: over.refused,
    })
}
