//! Logs: JSON when standard error is not a terminal, text when it is. Standard output is for data.

use std::io::IsTerminal;

use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::config::{Log, LogFormat};
use crate::otel::{self, Traces};

/// Starts logging, and traces if they are wanted; a filter that does not read is an error with the word that is wrong.
pub(crate) fn start(log: &Log) -> anyhow::Result<Traces> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| {
        anyhow::anyhow!(
            "the log filter `{}` does not read: {error}; write `info` or `info,florin_services=debug`",
            log.filter
        )
    })?;
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if json {
        tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .with_filter(filter)
            .boxed()
    } else {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        tracing_subscriber::fmt::layer()
            .with_ansi(colours)
            .with_target(false)
            .with_writer(std::io::stderr)
            .with_filter(filter)
            .boxed()
    };
    let (spans, traces) = otel::layer()?;
    tracing_subscriber::registry().with(lines).with(spans).init();
    Ok(traces)
}
