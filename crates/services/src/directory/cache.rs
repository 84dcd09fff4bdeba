//! What every request needs: keys, connections and endpoints, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use florin_core::id::{ConnectionId, MerchantId};
use florin_store::{ListRecords, Name, Record, Store, Tenant, Which};

use super::DirectoryError;
use super::documents::{ApiKey, Connection, Endpoint, Merchant};
use super::records::{Document, read};

/// Documents per query while reading the whole directory.
const PAGE: u32 = 500;

/// The record that counts the directory's changes.
pub(super) const MARKER_KIND: &str = "directory";
pub(super) const MARKER_ID: &str = "changes";

#[derive(Default)]
pub(super) struct Cache {
    pub(super) marker: u32,
    pub(super) merchants: BTreeMap<MerchantId, Arc<Merchant>>,
    /// By the hash of the secret, in hex.
    pub(super) keys: HashMap<String, Arc<ApiKey>>,
    pub(super) connections: BTreeMap<ConnectionId, Arc<Connection>>,
    pub(super) defaults: HashMap<Tenant, Arc<Connection>>,
    pub(super) endpoints: HashMap<Tenant, Vec<Arc<Endpoint>>>,
}

impl Cache {
    /// The count of changes, 0 before the first one.
    pub(super) async fn marker(store: &dyn Store) -> Result<u32, DirectoryError> {
        let which = Which {
            kind: MARKER_KIND.to_owned(),
            tenant: None,
            name: Name::Id(MARKER_ID.to_owned()),
        };
        Ok(store.get(&which).await?.map_or(0, |record| record.version))
    }

    pub(super) async fn read(store: &dyn Store) -> Result<Self, DirectoryError> {
        // The marker first: a change that happens while we read makes the next refresh read again.
        let mut cache = Self {
            marker: Self::marker(store).await?,
            ..Self::default()
        };
        each::<Merchant>(store, |merchant| {
            cache.merchants.insert(merchant.id, Arc::new(merchant));
        })
        .await?;
        each::<ApiKey>(store, |key| {
            cache.keys.insert(key.hash.clone(), Arc::new(key));
        })
        .await?;
        each::<Connection>(store, |connection| {
            cache.connections.insert(connection.id, Arc::new(connection));
        })
        .await?;
        for connection in cache.connections.values().filter(|connection| connection.enabled) {
            let wins = cache
                .defaults
                .get(&connection.tenant)
                .is_none_or(|best| connection.default || !best.default);
            if wins {
                cache.defaults.insert(connection.tenant, Arc::clone(connection));
            }
        }
        // Databases from before may have several in one tenant: the others are shown as what they are.
        for connection in cache
            .connections
            .values_mut()
            .filter(|connection| connection.is_chosen())
        {
            let wins = (cache.defaults.get(&connection.tenant)).is_some_and(|best| best.id == connection.id);
            if !wins {
                Arc::make_mut(connection).step_back();
            }
        }
        each::<Endpoint>(store, |endpoint| {
            cache
                .endpoints
                .entry(endpoint.tenant)
                .or_default()
                .push(Arc::new(endpoint));
        })
        .await?;
        Ok(cache)
    }
}

/// Reads all documents of a kind, newest first.
async fn each<D: Document>(store: &dyn Store, mut with: impl FnMut(D)) -> Result<(), DirectoryError> {
    let mut after = None;
    loop {
        let list = ListRecords {
            after,
            ..ListRecords::of(D::KIND, None, PAGE)
        };
        let records: Vec<Record> = store.list(&list).await?;
        let full = records.len() >= PAGE as usize;
        after = records.last().map(|record| record.id.clone());
        for record in records {
            with(read::<D>(&record)?);
        }
        if !full {
            return Ok(());
        }
    }
}
