//! A small shop's server: what it keeps in memory after a thousand orders and half a minute of rest, and how fast it is
//! back after a restart.
//!
//! As shipped: SQLite, one merchant, default settings. It rests while other things are measured; it does nothing then,
//! so it disturbs nothing.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bench::{Bench, Setup, Site};
use crate::case::Database;
use crate::cpu;
use crate::figures::median;
use crate::load::{Length, Pace};
use crate::orders::Kind;
use crate::sample::Shape;
use crate::server::{Server, Start};

/// Orders that it takes before it rests.
const ORDERS: u64 = 1000;

/// How long it rests.
const REST: Duration = Duration::from_secs(30);

/// Connections of a small shop.
const CONNECTIONS: usize = 8;

/// Restarts of which the median counts.
const RESTARTS: usize = 5;

/// A server that rests.
pub(crate) struct Resting {
    site: Site,
    since: Instant,
    start_empty_ms: f64,
}

/// What was found.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Rested {
    pub(crate) orders: u64,
    pub(crate) rested_s: u64,
    pub(crate) resident_mb: f64,
    /// From start to first answer over an empty directory, migrations included.
    pub(crate) start_empty_ms: f64,
    /// The same over the orders that it has taken.
    pub(crate) start_ms: f64,
}

const SMALL_SHOP: Setup = Setup {
    database: Database::Sqlite,
    merchants: 1,
    endpoint: false,
    checkpoint_pages: None,
};

impl Resting {
    /// Starts the server, takes the orders and lets it rest.
    pub(crate) async fn begin(bench: &mut Bench) -> anyhow::Result<Self> {
        let start = Instant::now();
        let site = bench.fresh(SMALL_SHOP).await?;
        site.server.first_answer().await?;
        let start_empty_ms = start.elapsed().as_secs_f64() * 1e3;
        let run = bench.name();
        let length = Length::Requests(ORDERS);
        let shape = Shape {
            kind: Kind::Sale,
            connections: CONNECTIONS,
            pace: Pace::Closed,
            length,
            may_refuse: false,
            run,
        };
        bench.sample(&site, &shape).await?;
        Ok(Self {
            site,
            since: Instant::now(),
            start_empty_ms,
        })
    }

    /// Waits out the rest, reads its memory and restarts it a few times.
    pub(crate) async fn finish(self, bench: &mut Bench) -> anyhow::Result<Rested> {
        let Self {
            site,
            since,
            start_empty_ms,
        } = self;
        tokio::time::sleep(REST.saturating_sub(since.elapsed())).await;
        let rested_s = since.elapsed().as_secs();
        let resident_mb = cpu::resident_bytes(site.server.pid())? as f64 / f64::from(1 << 20);
        let Site {
            mut server, directory, ..
        } = site;
        let mut starts_ms = Vec::new();
        for _ in 0..RESTARTS {
            server.stop().await?;
            let start = Instant::now();
            server = Server::start(&Start {
                program: &bench.program,
                data: directory.clone(),
                database: None,
                provider: bench.provider_url.clone(),
                merchants: 1,
                checkpoint_pages: None,
            })
            .await?;
            server.first_answer().await?;
            starts_ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        server.stop().await?;
        std::fs::remove_dir_all(&directory)?;
        Ok(Rested {
            orders: ORDERS,
            rested_s,
            resident_mb,
            start_empty_ms,
            start_ms: median(&starts_ms),
        })
    }
}
