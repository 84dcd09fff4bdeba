//! Logs: JSON when standard error is not a terminal, text when it is. Standard output is for data.

use std::io::IsTerminal;

use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::config::{Log, LogFormat};
use crate::otel::{self, Traces};

/// What can stand alone in a filter.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
/// Our modules begin with one of these.
const CRATES: [&str; 9] = [
    "florin",
    "florin_bench",
    "florin_channels",
    "florin_core",
    "florin_rails",
    "florin_sandbox",
    "florin_services",
    "florin_shop",
    "florin_store",
];

/// A filter of the log, or which word of it is wrong. A word that stands alone and is no level would be taken for a module, and everything
/// else be silent.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    const FIX: &str =
        "write a level (error, warn, info, debug, trace, off), or levels by module as in `info,florin_services=debug`";
    // Spans and their fields have commas of their own.
    let words = text.split(',').map(str::trim).filter(|_| !text.contains('['));
    for word in words.filter(|word| !word.is_empty()) {
        let (name, alone) = word
            .split_once('=')
            .map_or((word, true), |(name, _)| (name.trim(), false));
        let level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(name));
        let krate = name.split("::").next().unwrap_or_default();
        let wrong = match (alone, CRATES.contains(&krate)) {
            (_, true) => false,
            (true, false) => !level,
            // Others' modules may have any name; one that looks like ours is mistyped.
            (false, false) => name.starts_with("florin"),
        };
        if wrong {
            let shown: String = name.chars().take(40).collect();
            return Err(format!("`{shown}` is no level, and no module of Florin: {FIX}"));
        }
    }
    EnvFilter::try_new(text).map_err(|error| format!("{error}: {FIX}"))
}

/// Starts logging, and traces if they are wanted; a filter that does not read is an error with the word that is wrong.
pub(crate) fn start(log: &Log) -> anyhow::Result<Traces> {
    let filter = filter(&log.filter).map_err(|why| anyhow::anyhow!("the log filter cannot be used: {why}"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_level_does_not_silence_the_log() {
        for good in [
            "info",
            "INFO",
            "off",
            "",
            "info,florin_services=debug",
            "florin_store",
            "florin::access=info",
            "warn,hyper=trace",
            "info,[request{door=x}]=debug",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for wrong in [
            "infoo",
            "verbose",
            "info,verbose",
            "nonsense!!,=x",
            "florin_service=debug",
            "info=loud",
        ] {
            let why = filter(wrong).unwrap_err();
            assert!(why.contains("write a level"), "{wrong}: {why}");
        }
    }
}
