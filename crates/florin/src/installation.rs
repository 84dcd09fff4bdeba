//! An installation as tools open it: its settings, its database and its secrets, without starting anything.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::bail;
use florin_core::id::Ids;
use florin_core::secret::Secret;
use florin_services::clock::{Clock, SystemClock};
use florin_services::dice::SystemIds;
use florin_services::directory::{Directory, Surroundings};
use florin_services::keyring::{self, Keyring};
use florin_store::Store;

use crate::cli::Local;
use crate::client::{Failure, NOT_FOUND};
use crate::config::Config;
use crate::{app, dev, root, serve};

/// Where `dev` keeps the pretend provider's database within its data folder.
const PROVIDER_FILE: &str = "provider/provider.db";

/// The file of the embedded database.
pub(crate) fn database_file(config: &Config) -> PathBuf {
    config.data.join("florin.db")
}

/// The pretend provider's database beside the product's, if `dev` made one.
pub(crate) fn provider_file(config: &Config) -> Option<PathBuf> {
    Some(config.data.join(PROVIDER_FILE)).filter(|path| path.exists())
}

/// The settings and the database, which has to be there: tools make none.
pub(crate) async fn open(local: &Local) -> anyhow::Result<(Config, Arc<dyn Store>)> {
    let config = serve::load(local)?;
    let file = database_file(&config);
    if config.database.is_none() && !file.exists() {
        let nothing = format!("there is no database at {}", file.display());
        let fix = "name its folder with --data, or a PostgreSQL database with --database";
        bail!(Failure::new(NOT_FOUND, "no_database", nothing, fix));
    }
    let store = app::open_store(config.database.as_deref(), &file, config.sqlite.checkpoint_pages).await?;
    if store.level().await? == 0 {
        let fix = "`florin migrate` makes them, and so does starting the server";
        bail!(Failure::new(NOT_FOUND, "no_tables", "the database has no tables", fix));
    }
    Ok((config, store))
}

/// A SQLite database that is there.
pub(crate) async fn open_file(path: &Path) -> anyhow::Result<Arc<dyn Store>> {
    app::open_store(None, path, florin_store::sqlite::CHECKPOINT_PAGES).await
}

/// Merchants, connections and endpoints of a database.
pub(crate) async fn directory(store: &Arc<dyn Store>) -> anyhow::Result<Arc<Directory>> {
    let around = Surroundings {
        clock: Box::new(|| SystemClock.now()),
        ids: Mutex::new(Box::new(SystemIds::new(|| SystemClock.now())) as Box<dyn Ids + Send>),
    };
    Ok(Directory::load(Arc::clone(store), around).await?)
}

/// The secrets of an installation: the configuration's, and what `dev` keeps in its folder. None without a root key.
pub(crate) fn keyring(config: &Config) -> anyhow::Result<Option<(Keyring, root::Place)>> {
    let mut values = keyring::of_connections(config.secrets.clone());
    let of_dev = root::kept_by_dev(config)?;
    for (name, member) in [
        (dev::PROVIDER_KEY, "provider_key"),
        (dev::PROVIDER_HOOK, "provider_hook"),
    ] {
        if let Some(value) = of_dev.as_ref().and_then(|kept| kept.get(member)?.as_str()) {
            values
                .entry(name.to_owned())
                .or_insert_with(|| vec![Secret::new(value.to_owned())]);
        }
    }
    let found = root::find(config)?;
    Ok(found.map(|(key, place)| (Keyring::new(values, &key), place)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use florin_core::id::{ConnectionId, MerchantId};
    use florin_services::directory::Connection;
    use florin_services::keyring::KeyringError;
    use florin_store::{Mode, Tenant};

    use super::*;

    #[test]
    fn no_connection_finds_the_servers_own_secrets() {
        let text = format!(
            "data = \"/nowhere\"\n[secrets]\nroot_key = \"{}\"\nadmin_key = \"fl_admin_x\"\nacme = \"token\"\n",
            "7".repeat(64)
        );
        let config = Config::from_text(&text, Path::new("florin.toml"), &BTreeMap::new()).unwrap();
        let (keyring, _) = keyring(&config).unwrap().unwrap();
        let of = |name: &str| Connection {
            id: ConnectionId::from_uuid(Default::default()),
            tenant: Tenant {
                merchant: MerchantId::from_uuid(Default::default()),
                mode: Mode::Test,
            },
            rail: "stripe".to_owned(),
            base: "https://api.stripe.com".to_owned(),
            secrets: [("api_key".to_owned(), name.to_owned())].into(),
            own: Default::default(),
            settings: BTreeMap::new(),
            default: true,
            enabled: true,
            created_at: Default::default(),
        };
        for own in ["root_key", "admin_key"] {
            let found = keyring.all(&of(own), "api_key").map(|_| "[a secret]");
            assert_eq!(found, Err(KeyringError::Missing(own.to_owned())));
        }
        assert!(keyring.all(&of("acme"), "api_key").is_ok());
    }
}
