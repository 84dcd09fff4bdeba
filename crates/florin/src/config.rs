//! Settings: flag over environment (`FLORIN_…`) over file over default.
//!
//! The file is TOML. A key that is not known is an error that names its line and the nearest key that is. Secrets are written here or
//! in the environment by name, and referred to by name everywhere else; no request and no database row holds one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use florin_core::id::MerchantId;
use florin_core::secret::Secret;
use florin_services::keyring;
use florin_store::{Mode, Tenant};
use serde::Deserialize;

use crate::log;

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

/// The file as it is written: everything optional, unknown keys refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    database: Option<String>,
    node: Option<String>,
    #[serde(default)]
    server: ServerFile,
    #[serde(default)]
    limits: LimitsFile,
    #[serde(default)]
    sqlite: SqliteFile,
    #[serde(default)]
    log: LogFile,
    #[serde(default)]
    webhooks: WebhooksFile,
    #[serde(default)]
    providers: ProvidersFile,
    #[serde(default)]
    secrets: BTreeMap<String, SecretEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerFile {
    api: Option<SocketAddr>,
    stripe: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    public_url: Option<String>,
    stripe_public_url: Option<String>,
    behind_proxy: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    answer_wait_s: Option<u32>,
    drain_s: Option<u32>,
    queue: Option<usize>,
    body_bytes: Option<usize>,
    requests_per_s: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SqliteFile {
    checkpoint_pages: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogFile {
    filter: Option<String>,
    format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhooksFile {
    allow_private: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProvidersFile {
    any_address: Option<bool>,
}

/// A secret that every connection may name, or the secrets of one merchant by mode.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum SecretEntry {
    Shared(OneOrMany),
    Owned(BTreeMap<String, BTreeMap<String, OneOrMany>>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl std::fmt::Debug for OneOrMany {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// Numbers that may be set, from and to.
const QUEUE: RangeInclusive<usize> = 1..=1_000_000;
/// The smallest order with a reference and a method fits into the least; the most is held in memory for each request.
const BODY_BYTES: RangeInclusive<usize> = 1_024..=16 << 20;
/// With 0, SQLite never folds its log; the most is a log of four gigabytes.
const CHECKPOINT_PAGES: RangeInclusive<u32> = 1..=1_000_000;
/// The longest name of a node.
const NODE_CHARS_MAX: usize = 100;

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
        let mut secrets: BTreeMap<String, Vec<Secret<String>>> = BTreeMap::new();
        let secret_inside = !file.secrets.is_empty() || file.database.as_deref().is_some_and(has_password);
        for (name, entry) in file.secrets {
            match entry {
                SecretEntry::Shared(value) => {
                    let values = in_force(&name, value.into_values())?;
                    secrets.insert(name, values);
                }
                SecretEntry::Owned(modes) => {
                    for (key, values) in owned_secrets(&name, modes)? {
                        secrets.insert(key, values);
                    }
                }
            }
        }
        for (name, value) in env
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix("FLORIN_SECRET_")?, value)))
        {
            let values = value.split(',').map(|value| value.trim().to_owned()).collect();
            let name = name.to_ascii_lowercase();
            let values = in_force(&name, values)?;
            secrets.insert(name, values);
        }
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

    /// Values that read and cannot be meant: each is refused with its place.
    fn refuse_unusable(&mut self, places: &Places) -> Result<(), ConfigError> {
        let within = |section, name, value: u64, from: u64, to: u64| {
            if (from..=to).contains(&value) {
                return Ok(());
            }
            let said = format!("a whole number from {from} to {to} is expected, {value} was given");
            Err(places.refuse(section, name, &said))
        };
        let (queue, bytes) = (self.limits.queue as u64, self.limits.body_bytes as u64);
        within("limits", "queue", queue, *QUEUE.start() as u64, *QUEUE.end() as u64)?;
        let (least, most) = (*BODY_BYTES.start() as u64, *BODY_BYTES.end() as u64);
        within("limits", "body_bytes", bytes, least, most)?;
        let (least, most) = (*CHECKPOINT_PAGES.start(), *CHECKPOINT_PAGES.end());
        let pages = self.sqlite.checkpoint_pages;
        within("sqlite", "checkpoint_pages", pages.into(), least.into(), most.into())?;
        if self.data.as_os_str().is_empty() {
            return Err(places.refuse(
                "",
                "data",
                "it is empty: name a folder, or leave it out for florin-data",
            ));
        }
        if let Some(node) = &self.node {
            let good = !node.trim().is_empty() && node.chars().count() <= NODE_CHARS_MAX;
            if !good || node.chars().any(char::is_control) {
                let said = format!(
                    "a node's name has 1 to {NODE_CHARS_MAX} characters, and no control characters: leave it out for one that is made"
                );
                return Err(places.refuse("", "node", &said));
            }
        }
        for (name, url) in [
            ("public_url", &mut self.server.public_url),
            ("stripe_public_url", &mut self.server.stripe_public_url),
        ] {
            if let Some(text) = url {
                *text = origin(text).map_err(|why| places.refuse("server", name, why))?;
            }
        }
        let doors = [
            ("api", self.server.api),
            ("stripe", self.server.stripe),
            ("admin", self.server.admin),
        ];
        for (at, (name, address)) in doors.iter().enumerate() {
            let same = |other: &&(&str, SocketAddr)| clash(*address, other.1);
            if let Some((other, _)) = doors[..at].iter().find(same) {
                let said = format!(
                    "`{other}` and `{name}` have the same port, {}: give each door one of its own",
                    address.port()
                );
                let set = [*name, other]
                    .into_iter()
                    .find(|name| places.of("server", name).is_some());
                return Err(places.refuse("server", set.unwrap_or(name), &said));
            }
        }
        log::filter(&self.log.filter).map_err(|why| places.refuse("log", "filter", &why))?;
        Ok(())
    }
}

/// Whether one of two doors could not be opened beside the other.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || everywhere)
}

/// The origin that an address names, as it is put before paths.
fn origin(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "an origin is expected: https:// and a host, with a port if need be, and nothing behind it, such as \"https://pay.example.com\"";
    const OPEN: &str = "payers would send what they type over the network as it is: write https:// (http:// is for this machine alone, 127.0.0.1)";
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or(WRONG)?;
    let misread = |c: char| c.is_whitespace() || c.is_control() || "/\\?#@".contains(c);
    if rest.strip_suffix('/').unwrap_or(rest).contains(misread) {
        return Err(WRONG);
    }
    let url = url::Url::parse(text).map_err(|_| WRONG)?;
    let on_this_machine = match url.host().ok_or(WRONG)? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
    };
    if url.scheme() == "http" && !on_this_machine {
        return Err(OPEN);
    }
    Ok(url.origin().ascii_serialization())
}

/// Where a setting was set.
struct Places<'a> {
    text: &'a str,
    path: &'a Path,
    env: &'a BTreeMap<String, String>,
}

impl Places<'_> {
    /// A sentence about a setting, with its place.
    fn refuse(&self, section: &str, name: &str, why: &str) -> ConfigError {
        match self.of(section, name) {
            Some(place) => ConfigError(format!("{place}: `{name}` cannot be used: {why}")),
            None => ConfigError(format!("`{name}` cannot be used: {why}")),
        }
    }

    /// The variable, or the file with its line; none for a default.
    fn of(&self, section: &str, name: &str) -> Option<String> {
        let parts = ["FLORIN", section, name].into_iter().filter(|part| !part.is_empty());
        let variable = parts.collect::<Vec<_>>().join("_").to_ascii_uppercase();
        if self.env.contains_key(&variable) {
            return Some(variable);
        }
        let line = self.line(section, name)?;
        Some(format!("{}, line {line}", self.path.display()))
    }

    /// The line of the file that sets it.
    fn line(&self, section: &str, name: &str) -> Option<usize> {
        let dotted = format!("{section}.{name}");
        let mut within = String::new();
        for (at, line) in self.text.lines().enumerate() {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                header.trim().clone_into(&mut within);
            }
            let key = line.split_once('=').map(|(key, _)| key.trim());
            let here = key == Some(name) && within == section;
            let inline = key == Some(section) && within.is_empty();
            if here || inline || (key == Some(&dotted) && within.is_empty()) {
                return Some(at + 1);
            }
        }
        None
    }
}

/// Whether a database's address has a password in it.
fn has_password(database: &str) -> bool {
    url::Url::parse(database).is_ok_and(|url| url.password().is_some())
}

impl OneOrMany {
    fn into_values(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

/// The values of a secret. An empty one would be a signature key that everybody has.
fn in_force(name: &str, values: Vec<String>) -> Result<Vec<Secret<String>>, ConfigError> {
    if values.is_empty() || values.iter().any(|value| value.trim().is_empty()) {
        return Err(ConfigError(format!(
            "the secret `{name}` has an empty value: write the value, or take the name away (in the environment a comma separates two values)"
        )));
    }
    Ok(values.into_iter().map(Secret::new).collect())
}

/// Secrets by name; several values while one is being replaced.
type Named = Vec<(String, Vec<Secret<String>>)>;

/// The secrets of one merchant, under the names by which only that merchant's connections find them.
fn owned_secrets(merchant: &str, modes: BTreeMap<String, BTreeMap<String, OneOrMany>>) -> Result<Named, ConfigError> {
    let id: MerchantId = merchant.parse().map_err(|_| {
        ConfigError(format!(
            "[secrets.{merchant}] names no merchant: a table under [secrets] is named by a merchant's id, as in [secrets.mer_….live]"
        ))
    })?;
    let mut found = Vec::new();
    for (word, named) in modes {
        let mode = match word.as_str() {
            "test" => Mode::Test,
            "live" => Mode::Live,
            _ => {
                return Err(ConfigError(format!(
                    "[secrets.{merchant}.{word}] names no mode: use test or live"
                )));
            }
        };
        for (name, value) in named {
            let key = keyring::owned(Tenant { merchant: id, mode }, &name);
            found.push((key, in_force(&name, value.into_values())?));
        }
    }
    Ok(found)
}

/// Every setting that the environment may hold, beside `FLORIN_SECRET_…` and `FLORIN_CONFIG`.
const NAMES: &[&str] = &[
    "FLORIN_DATA",
    "FLORIN_DATABASE",
    "FLORIN_NODE",
    "FLORIN_SERVER_API",
    "FLORIN_SERVER_STRIPE",
    "FLORIN_SERVER_ADMIN",
    "FLORIN_SERVER_PUBLIC_URL",
    "FLORIN_SERVER_STRIPE_PUBLIC_URL",
    "FLORIN_SERVER_BEHIND_PROXY",
    "FLORIN_LIMITS_ANSWER_WAIT_S",
    "FLORIN_LIMITS_DRAIN_S",
    "FLORIN_LIMITS_QUEUE",
    "FLORIN_LIMITS_BODY_BYTES",
    "FLORIN_LIMITS_REQUESTS_PER_S",
    "FLORIN_SQLITE_CHECKPOINT_PAGES",
    "FLORIN_LOG_FILTER",
    "FLORIN_LOG_FORMAT",
    "FLORIN_WEBHOOKS_ALLOW_PRIVATE",
    "FLORIN_PROVIDERS_ANY_ADDRESS",
];

/// Names that start like ours and mean something to somebody else: the client commands and the test kits.
const OTHER_NAMES: &[&str] = &[
    "FLORIN_CONFIG",
    "FLORIN_API",
    "FLORIN_KEY",
    "FLORIN_ADMIN_KEY",
    "FLORIN_SPECS",
    "FLORIN_FULL",
    "FLORIN_BIN",
    "FLORIN_TARGET",
    florin_services::crash::VARIABLE,
];

/// What a variable may hold, for people.
trait Written: std::str::FromStr {
    const EXPECTED: &'static str;
}

impl Written for String {
    const EXPECTED: &'static str = "a text";
}

impl Written for PathBuf {
    const EXPECTED: &'static str = "a folder";
}

impl Written for SocketAddr {
    const EXPECTED: &'static str = "an address and port, such as 127.0.0.1:4000,";
}

impl Written for bool {
    const EXPECTED: &'static str = "true or false";
}

impl Written for u32 {
    const EXPECTED: &'static str = WHOLE_NUMBER;
}

impl Written for usize {
    const EXPECTED: &'static str = WHOLE_NUMBER;
}

struct Environment<'a> {
    values: &'a BTreeMap<String, String>,
}

impl Environment<'_> {
    fn read<T: Written>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        debug_assert!(NAMES.contains(&name), "{name} is not in NAMES");
        let Some(text) = self.values.get(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| ConfigError(format!("{name} cannot be read: {} is expected", T::EXPECTED)))
    }

    fn refuse_unknown(&self) -> Result<(), ConfigError> {
        for name in self.values.keys().filter(|name| name.starts_with("FLORIN_")) {
            let known = NAMES.contains(&name.as_str()) || OTHER_NAMES.contains(&name.as_str());
            if !known && !name.starts_with("FLORIN_SECRET_") {
                let near = nearest(name, NAMES.iter().copied());
                return Err(ConfigError(format!(
                    "the environment has {name}, which is no setting{}",
                    did_you_mean(near)
                )));
            }
        }
        Ok(())
    }
}

/// A sentence with file, line and, for a key that is not known, the nearest one that is.
fn explain(error: &toml::de::Error, text: &str, path: &Path) -> String {
    let line = error
        .span()
        .map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    let message = error.message();
    let place = format!("{}, line {line}", path.display());
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let wrong = quoted.next().unwrap_or_default().to_owned();
        let known: Vec<String> = quoted.map(str::to_owned).collect();
        let near = nearest(&wrong, known.iter().map(String::as_str));
        return format!("{place}: `{wrong}` is no setting here{}", did_you_mean(near));
    }
    // What stands before the `=` is a name, and no secret in the wrong place.
    let key = text.lines().nth(line - 1).and_then(|line| line.split_once('='));
    let key = key.map(|(key, _)| key.trim()).filter(|key| !key.is_empty());
    if message.starts_with("duplicate key") {
        return match key {
            Some(key) => format!("{place}: `{key}` is set twice: keep one of the two"),
            None => format!("{place}: this section is there twice: put its settings under one"),
        };
    }
    if let Some(key) = key
        && NO_VALUE.iter().any(|begins| message.starts_with(begins))
    {
        return format!(
            "{place}: what `{key}` is set to does not read: texts and addresses stand in quotes, such as \"127.0.0.1:4000\", numbers, true \
             and false without"
        );
    }
    format!("{place}: {}", without_value(message))
}

/// What every setting that is a number may be at most; some have limits of their own.
const WHOLE_NUMBER: &str = "a whole number from 0 to 4294967295";

/// How the reader's words for what it expects begin, and ours.
const EXPECTED: &[(&str, &str)] = &[
    ("usize", WHOLE_NUMBER),
    ("u32", WHOLE_NUMBER),
    ("a string", "a text in quotes"),
    ("path string", "a text in quotes"),
    (
        "socket address",
        "an address and port in quotes, such as \"127.0.0.1:4000\",",
    ),
    ("a boolean", "true or false"),
    ("a map", "a table"),
    ("struct ", "a table"),
    ("a sequence", "a list"),
];
/// The reader's words for what was given, and ours.
const GIVEN: &[(&str, &str)] = &[
    ("string", "a text"),
    ("integer", "a whole number"),
    ("floating point", "a number with a point"),
    ("boolean", "true or false"),
    ("map", "a table"),
    ("sequence", "a list"),
];

/// How the reader's words begin for a value that is none of its kinds: a text without quotes is taken for what its first letters look like.
const NO_VALUE: &[&str] = &[
    "invalid float",
    "invalid boolean",
    "invalid date",
    "invalid time",
    "invalid integer",
    "invalid number",
    "integer number overflowed",
    "string values must be quoted",
];

/// A reader's message in words of the file, and without the value that it quotes: that may be a secret in the wrong place.
fn without_value(message: &str) -> Cow<'_, str> {
    let wrong = ["invalid type: ", "invalid value: ", "unknown variant "];
    if let Some(rest) = wrong.iter().find_map(|start| message.strip_prefix(start)) {
        // `string "sk_live_…", expected u32`: the kind stands before the value, and what would be right behind it.
        let kind = rest.split(['"', '`', ',']).next().unwrap_or_default().trim_end();
        let expected = rest
            .rsplit_once(", expected ")
            .map_or("something else", |(_, expected)| expected);
        let ours = EXPECTED.iter().find(|(begins, _)| expected.starts_with(begins));
        let expected = ours.map_or(expected, |(_, ours)| ours);
        // A number that fits into no type of the reader's is a wrong type to it.
        let outside = kind == "integer" && expected == WHOLE_NUMBER;
        let negative = rest.split('`').nth(1).is_some_and(|value| value.starts_with('-'));
        let given = match GIVEN.iter().find(|(theirs, _)| kind == *theirs) {
            Some(_) if outside && negative => "a negative one",
            Some(_) if outside => "a larger one",
            Some((_, ours)) => ours,
            None if kind.is_empty() => "another text",
            None => "something else",
        };
        return Cow::Owned(format!("{expected} is expected, {given} was given"));
    }
    if message == "wanted string or table" {
        return Cow::Borrowed("one of `auto`, `json`, `text` is expected, something else was given");
    }
    if message.contains("invalid socket address syntax") {
        return Cow::Borrowed("an address and port is expected, such as \"127.0.0.1:4000\"");
    }
    if message.ends_with("untagged enum SecretEntry") {
        return Cow::Borrowed("a secret is a text in quotes, a list of them, or in a table by merchant and mode");
    }
    Cow::Borrowed(message)
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The candidate with the fewest edits, if it is near enough to be meant.
fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (edits(wrong, candidate), candidate))
        .min()
        .filter(|(edits, candidate)| *edits <= 1 + candidate.len() / 3)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in to.iter().enumerate() {
            let swap = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = swap.min(row[column] + 1).min(row[column + 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let env = env
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Config::from_text(text, Path::new("florin.toml"), &env)
    }

    #[test]
    fn a_secret_without_a_value_is_refused_wherever_it_stands() {
        for (text, env) in [
            ("[secrets]\nhook = \"\"\n", &[][..]),
            ("[secrets]\nhook = [\"new\", \" \"]\n", &[]),
            ("[secrets]\nhook = []\n", &[]),
            ("", &[("FLORIN_SECRET_HOOK", "new,")]),
        ] {
            let error = load(text, env).unwrap_err();
            assert!(error.0.starts_with("the secret `hook` has an empty value"), "{error}");
        }
    }

    #[test]
    fn secrets_of_a_merchant_are_found_by_that_merchant_alone() {
        let merchant = MerchantId::from_uuid(uuid::Uuid::from_u128(7));
        let text = format!("[secrets]\nshared = \"a\"\n[secrets.{merchant}.live]\nkey = [\"new\", \"old\"]\n");
        let config = load(&text, &[]).unwrap();
        let tenant = Tenant {
            merchant,
            mode: Mode::Live,
        };
        assert_eq!(config.secrets[&keyring::owned(tenant, "key")].len(), 2);
        assert!(!config.secrets.contains_key("key"));
        let error = load("[secrets.acme.live]\nkey = \"x\"\n", &[]).unwrap_err();
        assert!(error.0.contains("[secrets.acme] names no merchant"), "{error}");
        let error = load(&format!("[secrets.{merchant}.real]\nkey = \"x\"\n"), &[]).unwrap_err();
        assert!(error.0.contains("names no mode: use test or live"), "{error}");
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line_and_the_nearest_right_one() {
        let error = load("data = \"x\"\n\n[server]\npublic_ur = \"https://pay.example\"\n", &[]).unwrap_err();
        assert_eq!(
            error.0,
            "florin.toml, line 4: `public_ur` is no setting here; did you mean `public_url`?"
        );
        let error = load("[limit]\nqueue = 1\n", &[]).unwrap_err();
        assert_eq!(
            error.0,
            "florin.toml, line 1: `limit` is no setting here; did you mean `limits`?"
        );
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        let error = load("[limits]\nqueue = \"many\"\n", &[]).unwrap_err();
        assert!(error.0.starts_with("florin.toml, line 2: a whole number"), "{error}");
    }

    #[test]
    fn no_error_of_the_settings_holds_a_value() {
        const SECRET: &str = "sk_live_X, expected \\\"y";
        for (text, says) in [
            ("limits = \"S\"", "line 1: a table is expected, a text was given"),
            (
                "[limits]\nqueue = \"S\"",
                "line 2: a whole number from 0 to 4294967295 is expected, a text was given",
            ),
            (
                "[log]\nformat = \"S\"",
                "line 2: one of `auto`, `json`, `text` is expected, another text was given",
            ),
            (
                "[server]\napi = \"S\"",
                "line 2: an address and port is expected, such as \"127.0.0.1:4000\"",
            ),
            (
                "[server]\nbehind_proxy = \"S\"",
                "line 2: true or false is expected, a text was given",
            ),
            ("secrets = \"S\"", "line 1: a table is expected, a text was given"),
            (
                "[secrets]\nkey = 12345678",
                "line 2: a secret is a text in quotes, a list of them, or in a table by merchant and mode",
            ),
        ] {
            let error = load(&text.replace('S', SECRET), &[]).unwrap_err();
            assert_eq!(error.0, format!("florin.toml, {says}"));
        }
        for (text, env) in [
            ("data = sk_live_X", &[][..]),
            ("[secrets]\nkey = sk_live_X", &[]),
            ("[secrets]\nkey = \"sk_live_X", &[]),
            ("", &[("FLORIN_LIMITS_QUEUE", "sk_live_X")]),
            ("", &[("FLORIN_LOG_FORMAT", "sk_live_X")]),
            ("", &[("FLORIN_SERVER_API", "sk_live_X")]),
        ] {
            let error = load(text, env).unwrap_err();
            assert!(!error.0.contains("sk_live"), "{error}");
        }
    }

    #[test]
    fn a_file_that_holds_secrets_is_known() {
        for (text, holds) in [
            ("[limits]\nqueue = 5\n", false),
            ("database = \"postgres://florin@db/florin\"\n", false),
            ("database = \"postgres://florin:hunter2@db/florin\"\n", true),
            ("[secrets]\nkey = \"x\"\n", true),
        ] {
            let config = load(text, &[("FLORIN_SECRET_HOOK", "x")]).unwrap();
            assert_eq!(config.secrets_file.is_some(), holds, "{text}");
        }
    }

    #[test]
    fn the_environment_stands_over_the_file() {
        let config = load("[limits]\nqueue = 5\n", &[("FLORIN_LIMITS_QUEUE", "7")]).unwrap();
        assert_eq!(config.limits.queue, 7);
        let error = load("", &[("FLORIN_LIMITS_QUEUE", "seven")]).unwrap_err();
        assert_eq!(
            error.0,
            "FLORIN_LIMITS_QUEUE cannot be read: a whole number from 0 to 4294967295 is expected"
        );
        let error = load("", &[("FLORIN_LIMIT_QUEUE", "7")]).unwrap_err();
        assert!(error.0.contains("did you mean `FLORIN_LIMITS_QUEUE`?"), "{error}");
    }

    #[test]
    fn a_value_that_cannot_be_meant_is_refused_with_its_place() {
        for (text, says) in [
            (
                "[limits]\nqueue = 0\n",
                "line 2: `queue` cannot be used: a whole number from 1 to",
            ),
            (
                "limits.queue = 0\n",
                "line 1: `queue` cannot be used: a whole number from 1 to",
            ),
            ("limits = { queue = 0 }\n", "line 1: `queue` cannot be used"),
            (
                "[limits]\nbody_bytes = 0\n",
                "line 2: `body_bytes` cannot be used: a whole number from 1024 to",
            ),
            (
                "[sqlite]\ncheckpoint_pages = 0\n",
                "line 2: `checkpoint_pages` cannot be used: a whole number from 1 to",
            ),
            (
                "node = \"\"\n",
                "line 1: `node` cannot be used: a node's name has 1 to 100 characters",
            ),
            (
                "node = \"a\\nb\"\n",
                "line 1: `node` cannot be used: a node's name has 1 to 100 characters",
            ),
            ("data = \"\"\n", "line 1: `data` cannot be used: it is empty"),
            (
                "[server]\n\nadmin = \"127.0.0.1:4000\"\n",
                "line 3: `admin` cannot be used: `api` and `admin` have the same port, 4000",
            ),
            (
                "[server]\napi = \"0.0.0.0:4005\"\n",
                "line 2: `api` cannot be used: `api` and `admin` have the same port, 4005",
            ),
            (
                "[log]\nfilter = \"infoo\"\n",
                "line 2: `filter` cannot be used: `infoo` is no level",
            ),
            (
                "[limits]\ndrain_s = 99999999999\n",
                "line 2: a whole number from 0 to 4294967295 is expected, a larger one",
            ),
            (
                "[limits]\nqueue = 99999999999999999999\n",
                "line 2: a whole number from 0 to 4294967295 is expected, a larger one",
            ),
            (
                "[limits]\nqueue = -1\n",
                "line 2: a whole number from 0 to 4294967295 is expected, a negative one",
            ),
            (
                "[log]\nformat = -1\n",
                "line 2: one of `auto`, `json`, `text` is expected",
            ),
            (
                "node = \"a\"\nnode = \"b\"\n",
                "line 2: `node` is set twice: keep one of the two",
            ),
            ("[log]\n[log]\n", "line 2: this section is there twice"),
            (
                "[server]\napi = 127.0.0.1:0\n",
                "line 2: what `api` is set to does not read: texts and addresses stand in quotes",
            ),
        ] {
            let error = load(text, &[]).unwrap_err();
            assert!(error.0.starts_with(&format!("florin.toml, {says}")), "{error}");
        }
        let error = load("[limits]\nqueue = 5\n", &[("FLORIN_LIMITS_QUEUE", "0")]).unwrap_err();
        assert!(
            error.0.starts_with("FLORIN_LIMITS_QUEUE: `queue` cannot be used"),
            "{error}"
        );
    }

    #[test]
    fn a_public_address_is_an_origin() {
        for wrong in [
            "nonsense!",
            "ftp://x",
            "javascript:x",
            "https://u:p@h",
            "https://@h",
            "https://h/x",
            "https://h//",
            "https://h?y",
            "https://h#z",
            "https://",
            "https://h h",
            "http://pay.example.com",
            "",
        ] {
            for name in ["public_url", "stripe_public_url"] {
                let error = load(&format!("[server]\n{name} = \"{wrong}\"\n"), &[]).unwrap_err();
                let says = format!("florin.toml, line 2: `{name}` cannot be used: ");
                assert!(error.0.starts_with(&says), "{wrong}: {error}");
            }
        }
        for (given, taken) in [
            ("https://Pay.example.com/", "https://pay.example.com"),
            ("https://pay.example.com:8443", "https://pay.example.com:8443"),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("http://[::1]:4000", "http://[::1]:4000"),
        ] {
            let config = load(&format!("[server]\npublic_url = \"{given}\"\n"), &[]).unwrap();
            assert_eq!(config.server.public_url.as_deref(), Some(taken));
        }
    }

    #[test]
    fn secrets_are_never_printed() {
        let config = load(
            "[secrets]\nstripe_key = \"sk_live_abc\"\n",
            &[("FLORIN_SECRET_HOOK", "whsec_1,whsec_2")],
        )
        .unwrap();
        assert_eq!(config.secrets["hook"].len(), 2);
        let printed = format!("{config:?}");
        assert!(!printed.contains("sk_live") && !printed.contains("whsec"), "{printed}");
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
