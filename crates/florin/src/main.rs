//! Florin: one binary with server, tools and client.
#![forbid(unsafe_code)]

mod app;
mod audit;
mod backup;
mod cli;
mod client;
mod config;
mod dev;
mod doctor;
mod installation;
mod log;
mod otel;
mod places;
mod root;
mod say;
mod serve;
mod stripe;
mod web;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use cli::{Cli, Command, Output};
use client::{Failure, commands, listen, trigger};

/// Requests are allocated on one thread and freed on another all day long: the C library's own allocator spent a quarter of a sale's
/// processor time on that (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // `florin bench` starts itself in other roles; they read one line and know no command line.
    let role = std::env::args().nth(1).unwrap_or_default();
    if florin_bench::ROLES.contains(&role.as_str()) {
        return match florin_bench::main_of_role(&role) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(false, &error),
        };
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        say::note("florin: the TLS provider was installed twice");
    }
    match run(&cli) {
        Ok(code) => code,
        Err(Trouble::Client(failure)) => {
            failure.print(cli.output.json);
            ExitCode::from(failure.code)
        }
        Err(Trouble::Server(error)) => failed(cli.output.json, &error),
    }
}

/// Help, the version, or a mistake on the command line; the mistake as JSON for whoever asked for JSON.
fn misused(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if !json || !error.use_stderr() {
        error.exit();
    }
    let text = error.render().to_string();
    let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    Failure::new(client::USAGE, "usage", what, "see `florin --help`").print(true);
    ExitCode::from(client::USAGE)
}

/// Why a command did not do what it was asked.
enum Trouble {
    Client(Failure),
    Server(anyhow::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Client(failure)
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        error.downcast().map_or_else(Self::Server, Self::Client)
    }
}

fn run(cli: &Cli) -> Result<ExitCode, Trouble> {
    match &cli.command {
        Command::Openapi => {
            let document = florin_channels::api::document();
            say::data(&serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?);
            return Ok(ExitCode::SUCCESS);
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "florin", &mut script);
            say::data(String::from_utf8_lossy(&script).trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        Command::Man { command } => {
            let mut page = Vec::new();
            clap_mangen::Man::new(named(command)?)
                .render(&mut page)
                .map_err(anyhow::Error::from)?;
            say::data(String::from_utf8_lossy(&page).trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        Command::Bench(options) => {
            let program = std::env::current_exe().map_err(anyhow::Error::from)?;
            let form = if cli.output.json {
                florin_bench::Output::Json
            } else {
                florin_bench::Output::Table
            };
            florin_bench::run(options, &program, form)?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let runtime = tokio::runtime::Runtime::new().map_err(anyhow::Error::from)?;
    runtime.block_on(carry_out(cli))
}

/// A command by its words; all of them without any.
fn named(words: &[String]) -> Result<clap::Command, Failure> {
    let mut found = Cli::command();
    // Names such as `florin-webhooks-create` are given to all that is below.
    found.build();
    for word in words {
        let below = found.find_subcommand(word).cloned();
        found = below.ok_or_else(|| {
            let detail = format!("there is no command `{}`", words.join(" "));
            Failure::usage(detail, "`florin --help` lists the commands")
        })?;
    }
    Ok(found)
}

async fn carry_out(cli: &Cli) -> Result<ExitCode, Trouble> {
    let output: Output = cli.output;
    match &cli.command {
        Command::Dev(args) => dev::run(output, args, recorder()?).await?,
        Command::Serve(args) => serve::run(output, args, recorder()?).await?,
        Command::Sandbox(args) => dev::sandbox(output, args).await?,
        Command::Migrate(local) => migrate(output, local).await?,
        Command::Merchants(command) => commands::merchants(output, command).await?,
        Command::Keys(command) => commands::keys(output, command).await?,
        Command::Pay(args) => commands::pay(output, args).await?,
        Command::Capture(args) => commands::capture(output, args).await?,
        Command::Void(order) => commands::simple(output, order, "void").await?,
        Command::Cancel(order) => commands::simple(output, order, "cancel").await?,
        Command::Refund(args) => commands::refund(output, args).await?,
        Command::Get(args) => commands::get(output, args).await?,
        Command::Orders(args) => commands::orders(output, args).await?,
        Command::Attempts(command) => commands::attempts(output, command).await?,
        Command::Events(command) => commands::events(output, command).await?,
        Command::Webhooks(command) => commands::webhooks(output, command).await?,
        Command::Listen(args) => listen::run(output, args).await?,
        Command::Trigger(args) => trigger::run(output, args).await?,
        Command::Ledger(command) => commands::ledger(output, command).await?,
        Command::Doctor(local) => return Ok(doctor::run(output, local).await?),
        Command::Audit(args) => return Ok(audit::run(output, args).await?),
        Command::Backup(args) => return Ok(backup::backup(output, args).await?),
        Command::Restore(args) => return Ok(backup::restore(output, args).await?),
        Command::Openapi | Command::Completions { .. } | Command::Man { .. } | Command::Bench(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn migrate(output: Output, local: &cli::Local) -> anyhow::Result<()> {
    let config = serve::load(local)?;
    app::private_folder(&config.data)?;
    let store = app::open_store(
        config.database.as_deref(),
        &config.data.join("florin.db"),
        config.sqlite.checkpoint_pages,
    )
    .await?;
    let before = store.level().await?;
    let after = store.migrate().await?;
    if output.json {
        say::data(&serde_json::json!({ "before": before, "after": after }).to_string());
    } else if before == after {
        say::data(&format!("the tables are at level {after} already"));
    } else {
        say::data(&format!("the tables went from level {before} to level {after}"));
    }
    Ok(())
}

/// How often samples of histograms are counted. They are kept one by one until then, scraped or not.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Upper ends of the classes in which durations are counted, in seconds: a commit of a good disk up to a call's longest wait.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0,
];

/// Upper ends of the classes in which numbers are counted.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Collects metrics of this process; each door that shows them renders from it.
fn recorder() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_jobs".to_owned()), &COUNTS)?
        .install_recorder()?;
    let kept = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(METRICS_UPKEEP).await;
            kept.run_upkeep();
        }
    });
    Ok(handle)
}

fn failed(json: bool, error: &anyhow::Error) -> ExitCode {
    let fault = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<florin_store::Fault>());
    let (code, what) = match fault {
        Some(florin_store::Fault::Unavailable(_)) => (client::UNREACHABLE, "unreachable"),
        _ => (client::FAILED, "failed"),
    };
    Failure::new(code, what, format!("{error:#}"), "").print(json);
    ExitCode::from(code)
}
