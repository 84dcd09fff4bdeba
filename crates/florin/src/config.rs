//! Settings: flag over environment (`FLORIN_…`) over file over default.
//!
//! The file is TOML. A key that is not known is an error that names its line and the nearest key that is. Secrets are written here or
//! in the environment by name, and referred to by name everywhere else; no request and no database row holds one.

mod environment;
mod explain;
mod file;
mod secrets;
mod usable;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use florin_core::secret::Secret;
use serde::Deserialize;

use environment::Environment;
use explain::{Places, explain};
use file::File;

/// Everything that can be set. `florin.example.toml` has each with its default and its reason; a test holds the two together.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) database: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) server: Server,
    pub(crate) limits: Limits,
    pub(crate) sqlite: Sqlite,
    pub(crate) log: Log,
    pub(crate) webhooks: Webhooks,
    pub(crate) providers: Providers,
    /// The file, if it holds secrets.
    pub(crate) secrets_file: Option<PathBuf>,
    /// Secrets by name: `api_key` and `webhook_secret` of connections, the root key. A list while rotating, newest first.
    pub(crate) secrets: BTreeMap<String, Vec<Secret<String>>>,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) api: SocketAddr,
    pub(crate) stripe: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) stripe_public_url: Option<String>,
    pub(crate) behind_proxy: bool,
}

#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) answer_wait_s: u32,
    pub(crate) drain_s: u32,
    pub(crate) queue: usize,
    pub(crate) body_bytes: usize,
    pub(crate) requests_per_s: u32,
}

#[derive(Debug)]
pub(crate) struct Sqlite {
    pub(crate) checkpoint_pages: u32,
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// JSON when standard error is not a terminal.
    Auto,
    Json,
    Text,
}

#[derive(Debug)]
pub(crate) struct Webhooks {
    pub(crate) allow_private: bool,
}

#[derive(Debug)]
pub(crate) struct Providers {
    pub(crate) any_address: bool,
}

/// Why the settings cannot be used: a sentence with the place and the fix.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError(pub(crate) String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the file, if one is named or lies at `florin.toml`, and the environment over it.
    pub(crate) fn load(file: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let named = file
            .map(Path::to_path_buf)
            .or_else(|| env.get("FLORIN_CONFIG").map(PathBuf::from));
        let (path, must_exist) = named.map_or((PathBuf::from("florin.toml"), false), |path| (path, true));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => String::new(),
            Err(error) => return Err(ConfigError(format!("cannot read {}: {error}", path.display()))),
        };
        Self::from_text(&text, &path, env)
    }

    pub(crate) fn from_text(text: &str, path: &Path, env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError(explain(&error, text, path)))?;
        let over = Environment { values: env };
        over.refuse_unknown()?;
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let secret_inside = !file.secrets.is_empty() || file.database.as_deref().is_some_and(secrets::has_password);
        let secrets = secrets::read(file.secrets, env)?;
        let mut config = Self {
            data: over
                .read("FLORIN_DATA")?
                .or(file.data)
                .unwrap_or_else(|| PathBuf::from("florin-data")),
            database: over.read("FLORIN_DATABASE")?.or(file.database),
            node: over.read("FLORIN_NODE")?.or(file.node),
            server: Server {
                api: over
                    .read("FLORIN_SERVER_API")?
                    .or(file.server.api)
                    .unwrap_or(loopback(4000)),
                stripe: over
                    .read("FLORIN_SERVER_STRIPE")?
                    .or(file.server.stripe)
                    .unwrap_or(loopback(4002)),
                admin: over
                    .read("FLORIN_SERVER_ADMIN")?
                    .or(file.server.admin)
                    .unwrap_or(loopback(4005)),
                public_url: over.read("FLORIN_SERVER_PUBLIC_URL")?.or(file.server.public_url),
                stripe_public_url: over
                    .read("FLORIN_SERVER_STRIPE_PUBLIC_URL")?
                    .or(file.server.stripe_public_url),
                behind_proxy: over
                    .read("FLORIN_SERVER_BEHIND_PROXY")?
                    .or(file.server.behind_proxy)
                    .unwrap_or(false),
            },
            limits: Limits {
                answer_wait_s: over
                    .read("FLORIN_LIMITS_ANSWER_WAIT_S")?
                    .or(file.limits.answer_wait_s)
                    .unwrap_or(10),
                drain_s: over
                    .read("FLORIN_LIMITS_DRAIN_S")?
                    .or(file.limits.drain_s)
                    .unwrap_or(25),
                queue: over.read("FLORIN_LIMITS_QUEUE")?.or(file.limits.queue).unwrap_or(8_192),
                body_bytes: over
                    .read("FLORIN_LIMITS_BODY_BYTES")?
                    .or(file.limits.body_bytes)
                    .unwrap_or(256 * 1024),
                requests_per_s: over
                    .read("FLORIN_LIMITS_REQUESTS_PER_S")?
                    .or(file.limits.requests_per_s)
                    .unwrap_or(0),
            },
            sqlite: Sqlite {
                checkpoint_pages: over
                    .read("FLORIN_SQLITE_CHECKPOINT_PAGES")?
                    .or(file.sqlite.checkpoint_pages)
                    .unwrap_or(4_000),
            },
            log: Log {
                filter: over
                    .read("FLORIN_LOG_FILTER")?
                    .or(file.log.filter)
                    .unwrap_or_else(|| "info".to_owned()),
                format: match over.read::<String>("FLORIN_LOG_FORMAT")?.as_deref() {
                    None => file.log.format.unwrap_or(LogFormat::Auto),
                    Some("auto") => LogFormat::Auto,
                    Some("json") => LogFormat::Json,
                    Some("text") => LogFormat::Text,
                    Some(_) => {
                        return Err(ConfigError(
                            "FLORIN_LOG_FORMAT cannot be read: use auto, json or text".to_owned(),
                        ));
                    }
                },
            },
            webhooks: Webhooks {
                allow_private: over
                    .read("FLORIN_WEBHOOKS_ALLOW_PRIVATE")?
                    .or(file.webhooks.allow_private)
                    .unwrap_or(false),
            },
            providers: Providers {
                any_address: over
                    .read("FLORIN_PROVIDERS_ANY_ADDRESS")?
                    .or(file.providers.any_address)
                    .unwrap_or(false),
            },
            secrets_file: secret_inside.then(|| path.to_path_buf()),
            secrets,
        };
        config.refuse_unusable(&Places { text, path, env })?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::environment::NAMES;
    use super::*;

    pub(super) fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let env = env
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Config::from_text(text, Path::new("florin.toml"), &env)
    }

    #[test]
    fn the_commented_example_holds_every_setting_at_its_default() {
        let example = include_str!("../../../florin.example.toml");
        let mut uncommented = String::new();
        for line in example.lines() {
            match line.strip_prefix("#:") {
                Some(setting) => uncommented.push_str(setting.trim()),
                None => uncommented.push_str(line),
            }
            uncommented.push('\n');
        }
        let config = load(&uncommented, &[]).unwrap();
        assert_eq!(
            format!("{:?}", config.limits),
            format!("{:?}", load("", &[]).unwrap().limits)
        );
        for name in NAMES {
            let key = name.trim_start_matches("FLORIN_").to_ascii_lowercase();
            let found = uncommented
                .lines()
                .filter_map(|line| line.split_once('='))
                .any(|(left, _)| key.ends_with(left.trim()));
            assert!(found, "florin.example.toml does not explain {name}");
        }
    }
}
