//! The root key: where it is found, and whether it is the one that this database was used with.
//!
//! What it sealed (webhook secrets) opens under no other. All servers of one database have the same, and one that is lost is not replaced in
//! silence: nobody would notice until no webhook can be signed. The database keeps a mark that opens under its key alone: of servers that
//! start over it at the same moment, one writes it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use florin_core::id::EndpointId;
use florin_core::secret::Secret;
use florin_core::time::Timestamp;
use florin_services::dice;
use florin_services::directory::{Directory, tenants_of};
use florin_services::keyring::{Keyring, Values};
use florin_services::notify::ENDPOINT_SECRET;
use florin_store::{Name, Outcome, Record, Store, Which};
use serde_json::Value;

use crate::app;
use crate::config::Config;

/// The file of the data folder in which `serve` keeps the key that it made.
const FILE: &str = "root.key";

/// The record that opens under the database's root key alone.
const MARK_KIND: &str = "root_key";
const MARK_ID: &str = "mark";
/// What the mark is sealed for, and what it says: only that it opens matters.
const MARK: &str = "root_key_mark";

/// The file of the data folder in which `dev` keeps its secrets, the root key among them.
pub(crate) const DEV_FILE: &str = "secrets.json";

/// What to do where there is none and the database was used with one.
pub(crate) const PUT_BACK: &str =
    "put the key back that this database was used with, as `root_key` under [secrets] or in the data folder";
/// What to do where there is another one.
pub(crate) const ANOTHER: &str = "the root key is another one: put the right one back, which all servers of a database share; if it is lost, \
                                  `florin serve --root-key-lost` starts without it: remove the endpoints whose secrets do not open then, and make new ones";

/// What is seen where the mark does not open.
pub(crate) const MARK_SHUT: &str = "this database is used with another root key";

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

/// The file in which `dev` keeps them: where it is, `dev` was started.
pub(crate) fn dev_file(config: &Config) -> PathBuf {
    config.data.join(DEV_FILE)
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
    /// A database under whose key nothing was sealed may be taken over with this one: whoever tries things out has several folders.
    pub(crate) takes_over: bool,
    /// What to do where the database was used with another one.
    pub(crate) another: String,
}

impl Given {
    /// What `dev` keeps in its data folder, for a database in that folder or elsewhere.
    pub(crate) fn of_dev(kept: &str, data: &Path, elsewhere: bool) -> anyhow::Result<Self> {
        let anew = if elsewhere {
            "take another database"
        } else {
            "remove the data folder to start anew"
        };
        let file = data.join(DEV_FILE);
        let another = format!(
            "the root key in {} is another one: put that file back as it was, or {anew}",
            file.display()
        );
        Ok(Self {
            key: Some(read(kept)?),
            lost: false,
            takes_over: true,
            another,
        })
    }

    /// The keyring to serve this database with. A new database has its first root key made and kept in `data`; one that was used gets no other.
    pub(crate) async fn keyring(
        self,
        secrets: Values,
        data: &Path,
        store: &dyn Store,
        directory: &Arc<Directory>,
    ) -> anyhow::Result<Keyring> {
        let (key, made) = match self.key {
            Some(key) => (key, false),
            None if self.lost || !is_used(store, directory).await? => {
                let (text, made) = app::kept(data, FILE, new)?;
                (read(&text)?, made)
            }
            None => return Err(none(data)),
        };
        let keyring = Keyring::new(secrets, &key);
        let (opened, shut) = opened(&keyring, directory);
        if !self.lost && !shut.is_empty() {
            bail!("{}: {}", said(&shut), self.another);
        }
        // What was sealed says more than the mark, which another key may have put there when this one was thought lost.
        let surely = self.lost || opened > 0 || (self.takes_over && shut.is_empty());
        if take(store, &keyring, surely).await? {
            return Ok(keyring);
        }
        if made {
            // Nothing was sealed under it, and at the next start it would look like a key that somebody chose.
            let file = data.join(FILE);
            std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
            return Err(none(data));
        }
        bail!("{MARK_SHUT}: {}", self.another)
    }
}

fn none(data: &Path) -> anyhow::Error {
    anyhow!(
        "there is no root key in the configuration or in {}, and this database is used with one: {PUT_BACK}; if it is lost, \
         `florin serve --root-key-lost` makes another one",
        data.display()
    )
}

/// Whether a server has started over this database: then it has its root key.
pub(crate) async fn is_used(store: &dyn Store, directory: &Directory) -> anyhow::Result<bool> {
    Ok(!directory.merchants().is_empty() || mark(store).await?.is_some())
}

async fn mark(store: &dyn Store) -> anyhow::Result<Option<Record>> {
    let which = Which {
        kind: MARK_KIND.to_owned(),
        tenant: None,
        name: Name::Id(MARK_ID.to_owned()),
    };
    Ok(store.get(&which).await?)
}

/// Whether the database's mark opens under this key; none where there is no mark.
pub(crate) async fn marked(store: &dyn Store, keyring: &Keyring) -> anyhow::Result<Option<bool>> {
    Ok(mark(store).await?.map(|mark| keyring.open(MARK, &mark.body).is_ok()))
}

/// Whether the database is this key's: it was, or is from now on since it was nobody's or the key is the right one `surely`.
async fn take(store: &dyn Store, keyring: &Keyring, surely: bool) -> anyhow::Result<bool> {
    let before = mark(store).await?;
    let version = match &before {
        Some(mark) if keyring.open(MARK, &mark.body).is_ok() => return Ok(true),
        Some(_) if !surely => return Ok(false),
        Some(mark) => mark.version + 1,
        None => 1,
    };
    let mine = Record {
        kind: MARK_KIND.to_owned(),
        tenant: None,
        id: MARK_ID.to_owned(),
        alias: None,
        parent: None,
        version,
        body: keyring.seal(MARK, &Secret::new(MARK.to_owned())),
        created_at: Timestamp::from_millis(0), // never changes, like any document's
        removed: false,
    };
    match store.put(&[mine], &[]).await? {
        Outcome::Done => Ok(true),
        // Another server was faster; it may have the same key.
        Outcome::Conflict => Ok(marked(store, keyring).await? == Some(true)),
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

/// Which secrets do not open.
pub(crate) fn said(shut: &[EndpointId]) -> String {
    let names: Vec<String> = shut.iter().map(ToString::to_string).collect();
    format!("the secrets of {} do not open under this root key", names.join(", "))
}

#[cfg(test)]
mod tests {
    use florin_services::clock::{Clock, SystemClock};
    use florin_store::memory::{Disk, MemoryStore};

    use super::*;
    use crate::installation;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("florin-root-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        app::private_folder(&folder).unwrap();
        folder
    }

    fn given(key: Option<&str>, lost: bool) -> Given {
        Given {
            key: key.map(|key| read(key).unwrap()),
            lost,
            takes_over: false,
            another: ANOTHER.to_owned(),
        }
    }

    #[tokio::test]
    async fn of_servers_that_saw_a_database_new_at_the_same_moment_one_makes_its_key() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(Disk::default(), SystemClock.now()));
        // Each has looked, and there was nothing.
        let [one, two] = [
            installation::directory(&store).await.unwrap(),
            installation::directory(&store).await.unwrap(),
        ];
        let (first, second) = (folder("first"), folder("second"));
        let start = async |given: Given, folder: &Path, directory| {
            given.keyring(Values::default(), folder, &*store, directory).await
        };
        start(given(None, false), &first, &one).await.unwrap();
        let refused = start(given(None, false), &second, &two)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains("put the key back"), "{refused}");
        assert!(!second.join(FILE).exists(), "a server that refuses leaves no key");

        let other = "0".repeat(64);
        let refused = start(given(Some(&other), false), &second, &two).await.err().unwrap();
        assert!(refused.to_string().contains("the root key is another one"), "{refused}");
        let made = std::fs::read_to_string(first.join(FILE)).unwrap();
        start(given(Some(&made), false), &second, &two).await.unwrap();

        // Whoever has lost it takes another one, which is the right one from then on.
        start(given(Some(&other), true), &second, &two).await.unwrap();
        assert!(start(given(Some(&made), false), &first, &one).await.is_err());
        start(given(Some(&other), false), &first, &one).await.unwrap();
    }

    #[tokio::test]
    async fn dev_takes_over_a_database_in_which_nothing_was_sealed() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(Disk::default(), SystemClock.now()));
        let directory = installation::directory(&store).await.unwrap();
        let folder = folder("dev");
        for digit in ["0", "1"] {
            let given = Given::of_dev(&digit.repeat(64), &folder, true).unwrap();
            let keyring = given
                .keyring(Values::default(), &folder, &*store, &directory)
                .await
                .unwrap();
            assert_eq!(marked(&*store, &keyring).await.unwrap(), Some(true));
        }
    }

    #[test]
    fn a_value_that_many_make_at_once_is_made_once() {
        let folder = folder("kept");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let folder = folder.clone();
                std::thread::spawn(move || app::kept(&folder, FILE, new).unwrap())
            })
            .collect();
        let kept: Vec<(String, bool)> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(kept.iter().all(|(text, _)| *text == kept[0].0));
        assert_eq!(kept.iter().filter(|(_, made)| *made).count(), 1);
    }
}
