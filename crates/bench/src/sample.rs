//! One sample: a load on a running server, with every meter read when the measured time begins and when it ends.
//!
//! Meters are read while the connections are still open, because a PostgreSQL backend that has left takes its CPU time
//! out of the sum. What is per request is computed from rates over the time between the two readings, so that a reading
//! that comes late on a busy machine does not bend the figure.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::cpu;
use crate::database::Session;
use crate::load::{Latency, Length, Outcome, Pace, Phase, Settings};
use crate::orders::Kind;
use crate::roles::{FromLoad, LOAD, RoleProcess};
use crate::server::Server;

/// Silence of the load generator that is longer than its run by this much is an error.
const SILENCE: Duration = Duration::from_secs(30);

/// The goals for CPU time hold on a machine on which stand-in and generator together cost this much a sale.
const GOAL_MACHINE_US: f64 = 24.0;

/// What load a sample puts on a server.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    pub(crate) length: Length,
    /// Refusals for want of room (429, 503) are no errors.
    pub(crate) may_refuse: bool,
    /// Different for each sample over the same data.
    pub(crate) run: String,
}

/// The processes around a server.
pub(crate) struct Around<'a> {
    /// The program that plays the load generator.
    pub(crate) program: &'a Path,
    pub(crate) provider_pid: u32,
    /// The PostgreSQL server, when the measured server keeps its orders there.
    pub(crate) database: Option<DatabaseMeter<'a>>,
}

/// Where to read what PostgreSQL spends.
#[derive(Clone, Copy)]
pub(crate) struct DatabaseMeter<'a> {
    /// Nothing when it runs on another machine.
    pub(crate) pid: Option<u32>,
    pub(crate) session: &'a Session,
}

/// What a sample found; costs are per finished request.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Finished requests in the measured time.
    pub finished: u64,
    /// Finished requests per second.
    pub per_second: f64,
    /// Their latencies.
    pub latency: Latency,
    /// CPU time of the server.
    pub cpu_server_us: f64,
    /// CPU time of all PostgreSQL processes; 0 on SQLite.
    pub cpu_database_us: f64,
    /// CPU time of the stand-in provider.
    pub cpu_provider_us: f64,
    /// CPU time of the load generator.
    pub cpu_load_us: f64,
    /// Bytes that the server handed to `write`.
    pub written_bytes: f64,
    /// Bytes that the server dirtied in the page cache.
    pub disk_bytes: f64,
    /// Bytes of PostgreSQL's write-ahead log.
    pub wal_bytes: f64,
    /// Event rows that became lists and balances. A register has one and a sale two; what is missing is behind when the measured time
    /// ends, and what it costs is in none of the figures above.
    pub folded_rows: f64,
    /// Part of the machine's busy time that went to processes which are none of ours.
    pub others_share: f64,
    /// At a fixed rate: requests that were due and could not be sent.
    pub unsent: u64,
    /// Requests that were told to come back (429, 503), where that is no error.
    pub refused: u64,
}

impl Sample {
    /// CPU time of server and database, as it would be on the machine that the goals were set on. Rather too
    /// high than too low: our stand-in and generator are a little cheaper than those that the goals were set with.
    pub fn cpu_scaled_us(&self) -> f64 {
        let (product, around) = (
            self.cpu_server_us + self.cpu_database_us,
            self.cpu_provider_us + self.cpu_load_us,
        );
        if around > 0.0 {
            product * GOAL_MACHINE_US / around
        } else {
            0.0
        }
    }
}

/// Puts a load on a server and measures it.
///
/// # Errors
/// When an answer is not what it should be: a rate of refusals is no rate.
pub(crate) async fn take(server: &Server, around: &Around<'_>, shape: &Shape) -> anyhow::Result<Sample> {
    let settings = Settings {
        base_url: server.base_url.clone(),
        keys: server.keys.clone(),
        kind: shape.kind,
        connections: shape.connections,
        pace: shape.pace,
        length: shape.length,
        run: shape.run.clone(),
        journal: None,
    };
    let within = SILENCE
        + match shape.length {
            Length::Timed {
                warm_up_ms,
                measured_ms,
            } => Duration::from_millis(warm_up_ms + measured_ms),
            // A minute for every ten thousand: slower than any server worth measuring.
            Length::Requests(count) => Duration::from_secs(60 + count * 60 / 10_000),
        };
    let mut load = RoleProcess::start(around.program, LOAD, &settings).await?;
    let pids = Pids {
        server: server.pid(),
        load: load.pid(),
    };
    expect_phase(&mut load, Phase::Measuring, within).await?;
    let before = Reading::take(server, &pids, around).await?;
    expect_phase(&mut load, Phase::Measured, within).await?;
    let after = Reading::take(server, &pids, around).await?;
    let outcome = match load.hear(within).await? {
        FromLoad::Outcome(outcome) => outcome,
        FromLoad::Phase(phase) => anyhow::bail!("the load generator said {phase:?} twice"),
    };
    let refused = if shape.may_refuse { refusals(&outcome) } else { 0 };
    check(&outcome, refused)?;
    Ok(compare(&before, &after, &outcome))
}

async fn expect_phase(load: &mut RoleProcess, wanted: Phase, within: Duration) -> anyhow::Result<()> {
    let said: FromLoad = load.hear(within).await?;
    ensure!(
        said == FromLoad::Phase(wanted),
        "the load generator said {said:?} instead of {wanted:?}"
    );
    Ok(())
}

fn refusals(outcome: &Outcome) -> u64 {
    let of = |status: u16| outcome.by_status.get(&status).copied().unwrap_or(0);
    of(429) + of(503)
}

fn check(outcome: &Outcome, refused: u64) -> anyhow::Result<()> {
    let wrong = (outcome.unexpected + outcome.lost).saturating_sub(refused);
    ensure!(
        wrong == 0,
        "{wrong} of {} requests were not answered as they should be; the first: {}",
        wrong + outcome.finished,
        outcome.first_unexpected.as_deref().unwrap_or("(nothing was said)")
    );
    ensure!(
        outcome.finished > 0,
        "not one request was finished; {}",
        outcome.first_unexpected.as_deref().unwrap_or("no answer came")
    );
    Ok(())
}

struct Pids {
    server: u32,
    load: u32,
}

/// All meters at one moment.
struct Reading {
    at: Instant,
    server_us: u64,
    database_us: u64,
    provider_us: u64,
    load_us: u64,
    busy_us: u64,
    written: cpu::Written,
    wal_bytes: u64,
    folded_rows: u64,
}

impl Reading {
    async fn take(server: &Server, pids: &Pids, around: &Around<'_>) -> anyhow::Result<Self> {
        let folded_rows = server.folded_rows().await?;
        let wal_bytes = match &around.database {
            Some(database) => database.session.wal_bytes().await?,
            None => 0,
        };
        let database_us = match around.database.and_then(|database| database.pid) {
            Some(pid) => cpu::tree_cpu_us(pid)?,
            None => 0,
        };
        Ok(Self {
            at: Instant::now(),
            server_us: cpu::tree_cpu_us(pids.server).context("the measured server is gone")?,
            database_us,
            provider_us: cpu::tree_cpu_us(around.provider_pid)?,
            load_us: cpu::tree_cpu_us(pids.load)?,
            busy_us: cpu::machine_busy_us()?,
            written: cpu::written(pids.server)?,
            wal_bytes,
            folded_rows,
        })
    }
}

fn compare(before: &Reading, after: &Reading, outcome: &Outcome) -> Sample {
    let per_second = outcome.per_second();
    let requests = per_second * (after.at - before.at).as_secs_f64();
    let grown = |from: u64, to: u64| to.saturating_sub(from) as f64;
    let per_request = |from, to| grown(from, to) / requests.max(1.0);
    let ours = grown(before.server_us, after.server_us)
        + grown(before.database_us, after.database_us)
        + grown(before.provider_us, after.provider_us)
        + grown(before.load_us, after.load_us);
    let busy = grown(before.busy_us, after.busy_us).max(1.0);
    Sample {
        finished: outcome.finished,
        per_second,
        latency: outcome.latency,
        cpu_server_us: per_request(before.server_us, after.server_us),
        cpu_database_us: per_request(before.database_us, after.database_us),
        cpu_provider_us: per_request(before.provider_us, after.provider_us),
        cpu_load_us: per_request(before.load_us, after.load_us),
        written_bytes: per_request(before.written.asked_bytes, after.written.asked_bytes),
        disk_bytes: per_request(before.written.disk_bytes, after.written.disk_bytes),
        wal_bytes: per_request(before.wal_bytes, after.wal_bytes),
        folded_rows: per_request(before.folded_rows, after.folded_rows),
        others_share: (1.0 - ours / busy).clamp(0.0, 1.0),
        unsent: outcome.unsent,
        refused: refusals(outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: Instant, us: u64) -> Reading {
        let written = cpu::Written {
            asked_bytes: us * 100,
            disk_bytes: us * 200,
        };
        Reading {
            at,
            server_us: us * 10,
            database_us: us * 4,
            provider_us: us * 2,
            load_us: us,
            busy_us: us * 20,
            written,
            wal_bytes: us * 3,
            folded_rows: us * 2,
        }
    }

    #[test]
    fn costs_are_per_finished_request_even_when_a_meter_is_read_late() {
        let start = Instant::now();
        let outcome = Outcome {
            finished: 1000,
            measured_us: 1_000_000,
            ..Outcome::default()
        };
        // Two seconds between the readings of a run that was measured for one.
        let sample = compare(
            &reading(start, 0),
            &reading(start + Duration::from_secs(2), 20_000),
            &outcome,
        );
        assert_eq!(sample.cpu_server_us, 100.0);
        assert_eq!(
            (sample.cpu_database_us, sample.cpu_provider_us, sample.cpu_load_us),
            (40.0, 20.0, 10.0)
        );
        assert_eq!(
            (sample.written_bytes, sample.disk_bytes, sample.wal_bytes),
            (1000.0, 2000.0, 30.0)
        );
        assert_eq!(sample.folded_rows, 20.0);
        assert!((sample.others_share - 0.15).abs() < 1e-9, "{}", sample.others_share);
        assert_eq!(sample.cpu_scaled_us(), 140.0 * 24.0 / 30.0);
    }

    #[test]
    fn a_rate_of_refusals_is_no_rate() {
        let refused = Outcome {
            finished: 10,
            unexpected: 2,
            first_unexpected: Some("503: {\"code\":\"overloaded\"}".to_owned()),
            ..Outcome::default()
        };
        let said = check(&refused, 0).unwrap_err().to_string();
        assert!(said.contains("2 of 12") && said.contains("overloaded"), "{said}");
        assert!(check(&refused, 2).is_ok(), "unless refusals are what was asked for");
        assert!(check(&Outcome::default(), 0).is_err());
    }
}
