//! One at a time: what a register costs over the bare commit that it cannot do without.
//!
//! Bare commit and register take turns, so that both meet the same disk and the same scheduler. The bare commit is an
//! append of one page and `fdatasync` for SQLite, an insert of one row into an indexed table for PostgreSQL.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;
use tokio_postgres::Statement;

use crate::bench::{Bench, MERCHANTS, Setup};
use crate::case::Database;
use crate::database::Session;
use crate::figures::median;
use crate::http1::{Connection, address_of};
use crate::orders::{Kind, Orders};

/// Turns of which the first are not counted: plans, caches, the first pages of the log.
const WARM_UP_TURNS: u64 = 20;

/// What one page costs is what one commit costs.
const PAGE_BYTES: usize = 4096;

/// Medians over all turns.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Single {
    pub(crate) bare_ms: f64,
    pub(crate) register_ms: f64,
    /// What a register costs more.
    pub(crate) over_ms: f64,
    pub(crate) turns: u64,
}

/// Takes turns on a fresh server.
pub(crate) async fn measure(bench: &mut Bench, database: Database) -> anyhow::Result<Single> {
    let turns = if bench.options.quick { 100 } else { 400 };
    let site = bench
        .fresh(Setup {
            database,
            merchants: MERCHANTS,
            endpoint: false,
            checkpoint_pages: None,
        })
        .await?;
    let mut bare = match database {
        Database::Sqlite => Bare::page(&site.directory.join("bare"))?,
        Database::Postgres => Bare::row(&bench.empty_database()?).await?,
    };
    let address = address_of(&site.server.base_url)?;
    let mut connection = Connection::open(address).await?;
    let mut orders = Orders::new(Kind::Register, &address.to_string(), &site.server.keys, &bench.name());
    let (mut bare_ms, mut register_ms) = (Vec::new(), Vec::new());
    for turn in 0..WARM_UP_TURNS + turns {
        let committed = bare.commit().await?;
        let order = orders.write(turn);
        let start = Instant::now();
        let answer = connection.exchange(order.request).await?;
        let registered = start.elapsed();
        ensure!(
            matches!(answer.status, 200 | 201),
            "a register was answered with {}: {}",
            answer.status,
            String::from_utf8_lossy(answer.body)
        );
        if turn >= WARM_UP_TURNS {
            bare_ms.push(committed.as_secs_f64() * 1e3);
            register_ms.push(registered.as_secs_f64() * 1e3);
        }
    }
    site.remove().await?;
    let (bare_ms, register_ms) = (median(&bare_ms), median(&register_ms));
    Ok(Single {
        bare_ms,
        register_ms,
        over_ms: register_ms - bare_ms,
        turns,
    })
}

/// The least that a durable write costs.
enum Bare {
    Page(File),
    Row(Session, Statement),
}

impl Bare {
    fn page(path: &std::path::Path) -> anyhow::Result<Self> {
        Ok(Self::Page(OpenOptions::new().create(true).append(true).open(path)?))
    }

    async fn row(url: &str) -> anyhow::Result<Self> {
        let session = Session::open(url).await?;
        let statement = session.prepare_bare_commit().await?;
        Ok(Self::Row(session, statement))
    }

    async fn commit(&mut self) -> anyhow::Result<Duration> {
        match self {
            Self::Page(file) => {
                let start = Instant::now();
                file.write_all(&[7; PAGE_BYTES])?;
                file.sync_data()?;
                Ok(start.elapsed())
            }
            Self::Row(session, statement) => session.bare_commit(statement).await,
        }
    }
}
