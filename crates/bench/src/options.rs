//! What a person may ask of `florin bench`.

use std::path::PathBuf;

use anyhow::ensure;

use crate::case::{CASES, Database};

/// Longest sample: beyond this, reference and measured run are no longer in the same minute.
const SECONDS_LIMIT: u64 = 20;

/// Most rounds; a median does not get better from more.
const ROUNDS_LIMIT: usize = 25;

/// Options of `florin bench`. Whether the answer is JSON is the program's own, global option.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// One round of one-second samples, for a first look
    #[arg(long)]
    pub quick: bool,
    /// Length of one sample in seconds [default: 2]
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Samples of each figure, of which the median counts [default: 2]
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// Measure only what begins with NAME, for example `sale_sqlite` or `memory`; may be repeated
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Load N finished sales first and say what rate is left
    #[arg(long, value_name = "N")]
    pub preload: Option<u64>,
    /// Pages between two SQLite checkpoints in runs for the highest rate; p99, memory and start keep the default
    #[arg(long, value_name = "PAGES")]
    pub checkpoint_pages: Option<u32>,
    /// A PostgreSQL server to measure on, instead of a throw-away one with default settings
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// Directory on a real disk in which everything is made and removed again [default: /var/tmp]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Everything that can be measured besides the cases.
pub(crate) const OTHERS: [&str; 10] = [
    "half_sqlite",
    "half_postgres",
    "single_sqlite",
    "single_postgres",
    "overload_sqlite",
    "overload_postgres",
    "memory",
    "start",
    "preload_sqlite",
    "preload_postgres",
];

impl Options {
    /// Refuses what makes no sense, before anything is started.
    ///
    /// # Errors
    /// A sentence that names the option.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            (1..=SECONDS_LIMIT).contains(&self.seconds()),
            "--seconds must be 1 to {SECONDS_LIMIT}"
        );
        ensure!(
            (1..=ROUNDS_LIMIT).contains(&self.rounds()),
            "--rounds must be 1 to {ROUNDS_LIMIT}"
        );
        for name in &self.only {
            let known: Vec<String> = CASES
                .iter()
                .map(|case| case.name())
                .chain(OTHERS.iter().map(|other| (*other).to_owned()))
                .collect();
            ensure!(
                known.iter().any(|known| known.starts_with(name)),
                "--only {name} fits nothing; there are {}",
                known.join(", ")
            );
            ensure!(
                !name.starts_with("preload") || self.preload.is_some(),
                "--only {name} needs --preload N, the number of sales to load first"
            );
        }
        Ok(())
    }

    /// Length of one sample.
    pub(crate) fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 1 } else { 2 })
    }

    /// Samples of each figure.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 2 })
    }

    /// Whether something is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }

    /// Whether one of the measurements of a database is to be made.
    pub(crate) fn wants_for(&self, what: &str, database: Database) -> bool {
        self.wants(&format!("{what}_{}", database.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_takes_a_beginning_and_refuses_what_fits_nothing() {
        let only = |names: &[&str]| Options {
            only: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Options::default()
        };
        let sales = only(&["sale_sqlite", "memory"]);
        sales.check().unwrap();
        assert!(sales.wants("sale_sqlite_64_webhook") && sales.wants("memory"));
        assert!(!sales.wants("sale_postgres_64") && !sales.wants_for("half", Database::Sqlite));
        assert!(Options::default().wants("sale_postgres_64"));
        let refused = only(&["sail"]).check().unwrap_err().to_string();
        assert!(
            refused.contains("--only sail") && refused.contains("register_postgres"),
            "{refused}"
        );
        assert!(
            only(&["preload"])
                .check()
                .unwrap_err()
                .to_string()
                .contains("--preload N")
        );
    }

    #[test]
    fn quick_is_one_round_of_one_second_unless_told_otherwise() {
        let quick = Options {
            quick: true,
            ..Options::default()
        };
        assert_eq!((quick.seconds(), quick.rounds()), (1, 1));
        let own = Options {
            seconds: Some(5),
            ..quick
        };
        assert_eq!((own.seconds(), own.rounds()), (5, 1));
        assert!(
            Options {
                seconds: Some(0),
                ..Options::default()
            }
            .check()
            .is_err()
        );
        assert!(
            Options {
                rounds: Some(1000),
                ..Options::default()
            }
            .check()
            .is_err()
        );
    }
}
