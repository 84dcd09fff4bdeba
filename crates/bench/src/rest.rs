//! A small shop's server: what it keeps in memory after a thousand orders and half a minute of rest, and how fast it is
//! back after a restart.
//!
//! As shipped: SQLite, one merchant, default settings. It rests while other things are measured; it does nothing then,
//! so it disturbs nothing. Its memory is read when the half minute is over, and once more at the end.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinHandle;

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
    /// What it keeps after the rest, in bytes.
    resident: JoinHandle<anyhow::Result<u64>>,
}

/// What was found.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Rested {
    pub(crate) orders: u64,
    pub(crate) resident_mb: f64,
    /// How long it had rested when everything else was measured, and what it kept then.
    pub(crate) at_the_end_s: u64,
    pub(crate) at_the_end_mb: f64,
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
        let pid = site.server.pid();
        let resident = tokio::spawn(async move {
            tokio::time::sleep(REST).await;
            cpu::resident_bytes(pid)
        });
        Ok(Self {
            site,
            since: Instant::now(),
            start_empty_ms,
            resident,
        })
    }

    /// Waits out the rest, reads its memory and restarts it a few times.
    pub(crate) async fn finish(self, bench: &mut Bench) -> anyhow::Result<Rested> {
        let Self {
            site,
            since,
            start_empty_ms,
            resident,
        } = self;
        let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let resident_mb = mb(resident.await??);
        let at_the_end_s = since.elapsed().as_secs();
        let at_the_end_mb = mb(cpu::resident_bytes(site.server.pid())?);
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
            resident_mb,
            at_the_end_s,
            at_the_end_mb,
            start_empty_ms,
            start_ms: median(&starts_ms),
        })
    }
}
