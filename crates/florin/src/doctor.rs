//! `florin doctor`: what is wrong with an installation, and how to mend it. Looks, and changes nothing.

mod machine;
mod stuck;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use florin_core::id::ConnectionId;
use florin_core::time::Timestamp;
use florin_rails::ALL;
use florin_services::clock::{Clock, SystemClock};
use florin_services::directory::{Directory, tenants_of};
use florin_services::keyring::{self, Keyring, KeyringError};
use florin_store::{Store, postgres, sqlite};
use serde_json::json;

use crate::cli::{Local, Output};
use crate::config::Config;
use crate::{installation, root, serve};

/// Clocks of nodes and database that are further apart make leases and timers unreliable.
const SKEW_MS: i64 = 2_000;
/// What to do where the database failed in the middle.
const ASK_AGAIN: &str = "see that the database answers, and ask again";

pub(crate) async fn run(output: Output, local: &Local) -> anyhow::Result<ExitCode> {
    let mut doctor = Doctor { output, wrong: 0 };
    doctor.examine(local).await;
    doctor.end();
    Ok(ExitCode::from(u8::from(doctor.wrong > 0)))
}

/// How bad something is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grade {
    Good,
    /// Worth knowing.
    Note,
    Wrong,
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Wrong => "wrong",
        }
    }
}

/// Says what it finds as it goes.
struct Doctor {
    output: Output,
    wrong: u64,
}

impl Doctor {
    fn good(&mut self, what: &'static str, says: impl Into<String>) {
        self.say(Grade::Good, what, says.into(), "");
    }

    fn note(&mut self, what: &'static str, says: impl Into<String>, mend: &str) {
        self.say(Grade::Note, what, says.into(), mend);
    }

    fn wrong(&mut self, what: &'static str, says: impl Into<String>, mend: &str) {
        self.wrong += 1;
        self.say(Grade::Wrong, what, says.into(), mend);
    }

    fn say(&self, grade: Grade, what: &'static str, says: String, mend: &str) {
        if self.output.json {
            let mend = (!mend.is_empty()).then_some(mend);
            let line = json!({ "object": "check", "check": what, "grade": grade.word(), "says": says, "mend": mend });
            return crate::say::data(&crate::say::json(&line));
        }
        if self.output.quiet && grade == Grade::Good {
            return;
        }
        let line = format!("{:<5}  {what:<13}  {says}", grade.word());
        crate::say::data(&crate::say::plain(&line));
        if !mend.is_empty() {
            crate::say::data(&format!("       {:<13}  {mend}", ""));
        }
    }

    fn end(&self) {
        if self.output.json {
            crate::say::data(&json!({ "object": "doctor", "wrong": self.wrong }).to_string());
        } else if !self.output.quiet {
            match self.wrong {
                0 => crate::say::note("Nothing is wrong."),
                1 => crate::say::note("One thing is wrong."),
                many => crate::say::note(&format!("{many} things are wrong.")),
            }
        }
    }

    async fn examine(&mut self, local: &Local) {
        let config = match serve::load(local) {
            Ok(config) => config,
            Err(error) => {
                self.wrong(
                    "configuration",
                    format!("{error:#}"),
                    "mend that line; `florin.example.toml` has every setting",
                );
                return;
            }
        };
        self.good("configuration", "it reads");
        machine::settings(self, &config);
        machine::folder(self, &config);
        machine::space(self, &config);
        let store = match installation::open(local).await {
            Ok((_, store)) => store,
            Err(error) => {
                self.wrong(
                    "database",
                    format!("{error:#}"),
                    match &config.database {
                        Some(_) => {
                            "see that its server runs; if you mean another database, name its address with --database"
                        }
                        None => "name the folder that you mean with --data; `florin serve` makes a new database there",
                    },
                );
                machine::doors(self, &config).await;
                return;
            }
        };
        if let Err(error) = self.database(&config, &*store).await {
            self.wrong("database", format!("{error:#}"), ASK_AGAIN);
        }
        match installation::directory(&store).await {
            Ok(directory) => {
                let mute = self.secrets(&config, &*store, &directory).await;
                stuck::look(self, &*store, &directory, &mute).await;
            }
            Err(error) => self.wrong(
                "database",
                format!("merchants and connections cannot be read: {error:#}"),
                ASK_AGAIN,
            ),
        }
        machine::doors(self, &config).await;
    }

    async fn database(&mut self, config: &Config, store: &dyn Store) -> anyhow::Result<()> {
        let (kind, known) = match &config.database {
            Some(_) => ("PostgreSQL", postgres::LEVEL),
            None => ("SQLite", sqlite::LEVEL),
        };
        let level = store.level().await?;
        match level.cmp(&known) {
            std::cmp::Ordering::Equal => self.good("database", format!("{kind}, its tables are at level {level}")),
            std::cmp::Ordering::Less => self.wrong(
                "database",
                format!("{kind}, its tables are at level {level}, this release knows {known}"),
                "run `florin migrate`, or start the server, which does the same",
            ),
            std::cmp::Ordering::Greater => self.note(
                "database",
                format!(
                    "{kind}, its tables are at level {level}, and this release knows {known}: a newer one made them"
                ),
                "that is fine while an upgrade is under way; finish it",
            ),
        }
        let (before, there, after) = (SystemClock.now(), store.clock().await?, SystemClock.now());
        let skew_ms = skew(before, there, after);
        if skew_ms > SKEW_MS {
            self.wrong(
                "clock",
                format!("this machine's clock and the database's are {skew_ms} ms apart"),
                "let both follow the same time server: leases go by the database's clock, timers by this one",
            );
        } else {
            self.good("clock", "the same as the database's");
        }
        Ok(())
    }

    /// Root key, sealed secrets and connections. Answers the connections whose providers cannot be spoken to.
    async fn secrets(
        &mut self,
        config: &Config,
        store: &dyn Store,
        directory: &Arc<Directory>,
    ) -> BTreeSet<ConnectionId> {
        let keyring = match installation::keyring(config) {
            Ok(Some((keyring, place))) => {
                let place = match place {
                    root::Place::File(file) => format!("in {}", file.display()),
                    root::Place::Configured => "in the configuration".to_owned(),
                };
                self.good("root key", place);
                keyring
            }
            Ok(None) => {
                let says = format!("there is none in the configuration or in {}", config.data.display());
                match root::is_used(store, directory).await {
                    Ok(false) => self.note("root key", says, "the first start makes one"),
                    Ok(true) => self.wrong("root key", says, root::PUT_BACK),
                    Err(error) => self.wrong("root key", format!("{says}; {error:#}"), ASK_AGAIN),
                }
                return BTreeSet::new();
            }
            Err(error) => {
                self.wrong(
                    "root key",
                    format!("{error:#}"),
                    "put the key back that this database was used with",
                );
                return BTreeSet::new();
            }
        };
        self.sealed(&keyring, store, directory).await;
        self.connections(&keyring, directory)
    }

    /// Whether what was sealed opens.
    async fn sealed(&mut self, keyring: &Keyring, store: &dyn Store, directory: &Arc<Directory>) {
        let (opened, shut) = root::opened(keyring, directory);
        match root::marked(store, keyring).await {
            _ if !shut.is_empty() => self.wrong("sealed", root::said(&shut), root::ANOTHER),
            Ok(Some(false)) if opened == 0 => self.wrong("sealed", root::MARK_SHUT, root::ANOTHER),
            Ok(_) => self.good("sealed", format!("webhook secrets open under the root key: {opened}")),
            Err(error) => self.wrong("sealed", format!("{error:#}"), ASK_AGAIN),
        }
    }

    /// Whether every connection has its rail and its secrets. Answers those that have not.
    fn connections(&mut self, keyring: &Keyring, directory: &Directory) -> BTreeSet<ConnectionId> {
        let tenants = directory
            .merchants()
            .into_iter()
            .flat_map(|merchant| tenants_of(merchant.id));
        let (mut whole, mut broken) = (0, BTreeSet::new());
        for connection in tenants.flat_map(|tenant| directory.connections(tenant)) {
            let Some(rail) = ALL.iter().find(|rail| rail.table().name == connection.rail) else {
                broken.insert(connection.id);
                self.wrong(
                    "connections",
                    format!(
                        "{} speaks over rail `{}`, which this release does not have",
                        connection.id, connection.rail
                    ),
                    "start the release that has it, or switch the connection off",
                );
                continue;
            };
            let lacks = rail
                .table()
                .secrets
                .iter()
                .filter_map(|word| keyring.all(&connection, word).err());
            let lacks: Vec<KeyringError> = lacks.collect();
            if lacks.is_empty() {
                whole += 1;
            }
            for error in lacks {
                broken.insert(connection.id);
                let (says, mend) = (format!("{}: {error}", connection.id), mend_secret(&error));
                if connection.enabled {
                    self.wrong("connections", says, &mend);
                } else {
                    self.note("connections", says, &mend);
                }
            }
        }
        if broken.is_empty() && whole == 0 {
            self.note(
                "connections",
                "no connection: nobody can pay",
                "add one with `POST /v1/connections`, as the README shows under \"Run it for real\"",
            );
        } else if broken.is_empty() {
            self.good("connections", format!("with their rails and secrets: {whole}"));
        }
        broken
    }
}

fn mend_secret(error: &KeyringError) -> String {
    match error {
        KeyringError::Missing(name) if keyring::OF_THE_SERVER.contains(&name.as_str()) => format!(
            "`{name}` is this server's own, leave it as it is: make another connection that names the provider's secret otherwise (`POST \
             /v1/connections`, with `\"default\":true`), enter its address for webhooks at the provider, and switch this one off"
        ),
        KeyringError::Missing(name) => {
            format!(
                "write `{name} = \"…\"` under [secrets], or set FLORIN_SECRET_{}",
                name.to_ascii_uppercase()
            )
        }
        KeyringError::Unnamed { connection, word } => format!(
            "a connection keeps the names that it was made with: make another one that names `{word}` too (`POST /v1/connections`, with \
             `\"default\":true`), enter its address for webhooks at the provider, and switch this one off (`POST /v1/connections/{connection}` with \
             `{{\"enabled\":false}}`)"
        ),
        KeyringError::OtherMode(name) => {
            format!("put the key of this connection's mode under `{name}`, or name another secret")
        }
        KeyringError::Sealed => "put the right root key back".to_owned(),
    }
}

/// How far two clocks are apart, at least: the question itself takes time.
fn skew(before: Timestamp, there: Timestamp, after: Timestamp) -> i64 {
    let early = before.millis_since(there);
    let late = there.millis_since(after);
    early.max(late).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_a_name_for_a_secret_is_mended_by_calls_that_the_api_takes() {
        let unnamed = KeyringError::Unnamed {
            connection: "con_1".to_owned(),
            word: "webhook_secret".to_owned(),
        };
        let mend = mend_secret(&unnamed);
        assert!(
            mend.contains("make another one that names `webhook_secret` too"),
            "{mend}"
        );
        assert!(
            mend.contains("`POST /v1/connections/con_1` with `{\"enabled\":false}`"),
            "{mend}"
        );
    }

    #[test]
    fn a_connection_that_names_the_servers_own_key_is_not_mended_by_another_key_of_the_server() {
        let mend = mend_secret(&KeyringError::Missing("root_key".to_owned()));
        assert!(mend.starts_with("`root_key` is this server's own"), "{mend}");
        assert!(!mend.contains("FLORIN_SECRET_"), "{mend}");
        let mend = mend_secret(&KeyringError::Missing("acme".to_owned()));
        assert!(mend.contains("FLORIN_SECRET_ACME"), "{mend}");
    }

    #[test]
    fn a_slow_answer_is_no_skew() {
        let at = Timestamp::from_millis;
        assert_eq!(skew(at(1_000), at(1_400), at(9_000)), 0);
        assert_eq!(skew(at(10_000), at(4_000), at(10_100)), 6_000);
        assert_eq!(skew(at(10_000), at(15_000), at(10_100)), 4_900);
    }
}
