//! The file as it is written: everything optional, unknown keys refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::LogFormat;
use super::secrets::SecretEntry;

/// All of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) data: Option<PathBuf>,
    pub(super) database: Option<String>,
    pub(super) node: Option<String>,
    #[serde(default)]
    pub(super) server: ServerFile,
    #[serde(default)]
    pub(super) limits: LimitsFile,
    #[serde(default)]
    pub(super) sqlite: SqliteFile,
    #[serde(default)]
    pub(super) log: LogFile,
    #[serde(default)]
    pub(super) webhooks: WebhooksFile,
    #[serde(default)]
    pub(super) providers: ProvidersFile,
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, SecretEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerFile {
    pub(super) api: Option<SocketAddr>,
    pub(super) stripe: Option<SocketAddr>,
    pub(super) admin: Option<SocketAddr>,
    pub(super) public_url: Option<String>,
    pub(super) stripe_public_url: Option<String>,
    pub(super) behind_proxy: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsFile {
    pub(super) answer_wait_s: Option<u32>,
    pub(super) drain_s: Option<u32>,
    pub(super) queue: Option<usize>,
    pub(super) body_bytes: Option<usize>,
    pub(super) requests_per_s: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SqliteFile {
    pub(super) checkpoint_pages: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogFile {
    pub(super) filter: Option<String>,
    pub(super) format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhooksFile {
    pub(super) allow_private: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProvidersFile {
    pub(super) any_address: Option<bool>,
}
