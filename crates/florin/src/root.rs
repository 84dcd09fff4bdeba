//! The root key: where it is found, and whether it is the one that this database was used with.
//!
//! What it sealed (webhook secrets) opens under no other. All servers of one database have the same, and one that is lost is not replaced in
//! silence: nobody would notice until no webhook can be signed.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use florin_core::id::EndpointId;
use florin_core::secret::Secret;
use florin_services::dice;
use florin_services::directory::{Directory, tenants_of};
use florin_services::keyring::Keyring;
use florin_services::notify::ENDPOINT_SECRET;
use serde_json::Value;

use crate::app;
use crate::config::Config;

/// The file of the data folder in which `serve` keeps the key that it made.
const FILE: &str = "root.key";

/// What to do where there is none and the database was used with one.
pub(crate) const PUT_BACK: &str =
    "put the key back that this database was used with, as `root_key` under [secrets] or in the data folder";
/// What to do where there is another one.
pub(crate) const ANOTHER: &str = "the root key is another one: put the right one back, which all servers of a database share; if it is lost, \
                                  `florin serve --root-key-lost` starts without it: remove these endpoints then, and make new ones";

/// The 32 bytes.
pub(crate) type Key = Secret<[u8; 32]>;

/// Where the root key was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the configuration or the environment.
    Configured,
    /// In this file.
    File(PathBuf),
}

/// The root key of an installation: the configuration's, or the one that `serve` or `dev` made in the data folder.
pub(crate) fn find(config: &Config) -> anyhow::Result<Option<(Key, Place)>> {
    if let Some(value) = config.secrets.get("root_key").and_then(|values| values.first()) {
        return Ok(Some((read(value.expose())?, Place::Configured))); // read as 32 bytes
    }
    let file = config.data.join(FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => return Ok(Some((read(&text)?, Place::File(file)))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
    let of_dev = kept_by_dev(config)?;
    let text = of_dev.as_ref().and_then(|kept| kept.get("root_key")?.as_str());
    text.map(|text| Ok((read(text)?, Place::File(dev_file(config)))))
        .transpose()
}

/// What `dev` keeps in its data folder, if it was started there.
pub(crate) fn kept_by_dev(config: &Config) -> anyhow::Result<Option<Value>> {
    let file = dev_file(config);
    match std::fs::read_to_string(&file) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} does not read", file.display())),
        Err(_) => Ok(None),
    }
}

fn dev_file(config: &Config) -> PathBuf {
    config.data.join("secrets.json")
}

/// 64 hex digits as the root key.
pub(crate) fn read(text: &str) -> anyhow::Result<Key> {
    let mut key = [0_u8; 32];
    let digits = text.trim();
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        bail!(
            "the root key is 64 hex digits (32 random bytes); make one with `head -c 32 /dev/urandom | xxd -p -c 64`"
        );
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).context("the root key is hex digits")?;
    }
    Ok(Secret::new(key))
}

/// A new root key, as text.
pub(crate) fn new() -> String {
    dice::token::<32>()
}

/// What a server knows of its root key before it has seen its database.
pub(crate) struct Given {
    /// The key, if there is one.
    pub(crate) key: Option<Key>,
    /// The right one is lost, and whoever starts the server said so.
    pub(crate) lost: bool,
}

impl From<Key> for Given {
    fn from(key: Key) -> Self {
        Self {
            key: Some(key),
            lost: false,
        }
    }
}

impl Given {
    /// The key to serve this database with. A new database has its first one made and kept in `data`; one that was used gets no other.
    pub(crate) fn of_database(self, data: &std::path::Path, directory: &Directory) -> anyhow::Result<Key> {
        match self.key {
            Some(key) => Ok(key),
            None if self.lost || directory.merchants().is_empty() => read(&app::kept(data, FILE, new)?),
            None => bail!(
                "there is no root key in the configuration or in {}, and this database has merchants: {PUT_BACK}; if it is lost, \
                 `florin serve --root-key-lost` makes another one",
                data.display()
            ),
        }
    }
}

/// Endpoints whose secrets open under this key, and those with one that does not.
pub(crate) fn opened(keyring: &Keyring, directory: &Arc<Directory>) -> (usize, Vec<EndpointId>) {
    let tenants = directory
        .merchants()
        .into_iter()
        .flat_map(|merchant| tenants_of(merchant.id));
    let (mut opened, mut shut) = (0, Vec::new());
    for endpoint in tenants.flat_map(|tenant| directory.endpoints(tenant)) {
        let opens = endpoint
            .secrets
            .iter()
            .all(|secret| keyring.open(ENDPOINT_SECRET, &secret.sealed).is_ok());
        if opens {
            opened += 1;
        } else {
            shut.push(endpoint.id);
        }
    }
    (opened, shut)
}

/// Refuses a key under which the database's secrets do not open.
pub(crate) fn check(keyring: &Keyring, directory: &Arc<Directory>) -> anyhow::Result<()> {
    let (_, shut) = opened(keyring, directory);
    if shut.is_empty() {
        return Ok(());
    }
    bail!("{}: {ANOTHER}", said(&shut))
}

/// Which secrets do not open.
pub(crate) fn said(shut: &[EndpointId]) -> String {
    let names: Vec<String> = shut.iter().map(ToString::to_string).collect();
    format!("the secrets of {} do not open under this root key", names.join(", "))
}
