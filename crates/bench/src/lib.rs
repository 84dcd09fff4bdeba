//! `florin bench`: starts what it needs, measures, and prints figures that can be compared.
//!
//! ```text
//!   bench ──starts──► florin serve          the product, over SQLite or PostgreSQL
//!     │    ──starts──► bench-load            load generator     ─┐ roles of the same program,
//!     │    ──starts──► bench-psp             stand-in provider  ─┘ processes of their own
//!     │    ──starts──► postgres, pgbench     the reference, in the same minute
//!     └─ reads the kernel's meters of all of them
//! ```
//!
//! Promises: every rate comes with the ratio to `pgbench` on the same disk around it, with the CPU time of every process
//! involved, and with a word when other work was going on. Answers that are not what they should be are an error, not a
//! rate. Depends on none of our crates: it meets the product as everybody does, over HTTP and the command line.
//!
//! The program calls [`run`] for `florin bench`, and [`main_of_role`] when its first argument is one of [`ROLES`].

#![forbid(unsafe_code)]
#![allow(
    clippy::float_arithmetic,
    reason = "rates and ratios are measurements; no money is counted here"
)]

mod aside;
mod bench;
mod case;
pub mod cpu;
pub mod cpuloop;
mod database;
mod dice;
mod figures;
mod form;
mod goals;
mod growth;
pub mod histogram;
pub mod http1;
pub mod journal;
pub mod load;
mod options;
mod orders;
mod overload;
mod payment_intent;
mod plan;
pub mod psp;
pub mod reference;
mod report;
mod rest;
pub mod roles;
mod sample;
mod server;
mod single;

use std::io::Write;
use std::path::Path;

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

pub use case::Database;
pub use options::Options;
pub use orders::Kind;
pub use report::{Machine, Report};
pub use roles::{ROLES, main_of_role};
pub use sample::Sample;

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A table on standard output.
    Table,
    /// One JSON object on standard output, the table beside it on standard error.
    Json,
}

/// Runs the bench with `program` in all roles (`std::env::current_exe()` in the product) and prints the report.
///
/// # Errors
/// When something that is needed is missing, a measured server does not answer as it should, or it is interrupted.
/// Whatever was started is then stopped.
pub fn run(options: &Options, program: &Path, output: Output) -> anyhow::Result<()> {
    let report = measure(options, program)?;
    let mut out = std::io::stdout().lock();
    match output {
        Output::Table => write!(out, "{report}")?,
        Output::Json => {
            eprint!("{report}");
            serde_json::to_writer(&mut out, &report)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Runs the bench and gives what it found.
///
/// # Errors
/// As [`run`].
pub fn measure(options: &Options, program: &Path) -> anyhow::Result<Report> {
    options.check()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ended = signal(SignalKind::terminate())?;
        tokio::select! {
            report = plan::run(options, program) => report,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = ended.recv() => bail!("interrupted"),
        }
    })
}
