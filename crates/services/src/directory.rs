//! Merchants, keys, connections, customers, methods and webhook endpoints: the small documents around the orders.
//!
//! Merchants, keys, connections and endpoints are kept in memory: loaded at start, written through, and read again when another node
//! has changed one (a marker record counts the changes; [`Directory::refresh`] looks at it). Customers and methods are read when asked
//! for. Secrets are never here: API keys are hashes, endpoint secrets are sealed, connections name theirs.

mod cache;
mod documents;
mod keys;
mod records;

use std::sync::{Arc, RwLock};

use florin_core::id::{ConnectionId, Ids, MerchantId};
use florin_core::time::Timestamp;
use florin_store::{Fault, IdemKey, Store, Tenant};
use thiserror::Error;

use cache::Cache;
pub use documents::*;
pub use keys::{Made as MadeKey, hash_of};
pub use records::{Document, Draft, Made};

/// How the directory tells the time and makes ids.
pub struct Surroundings {
    /// The environment's clock.
    pub clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// New ids.
    pub ids: std::sync::Mutex<Box<dyn Ids + Send>>,
}

/// The small documents around the orders.
pub struct Directory {
    store: Arc<dyn Store>,
    around: Surroundings,
    cache: RwLock<Arc<Cache>>,
    /// Who writes what every node keeps in memory moves one marker: this node's callers do so one after the other, and none loses to another.
    marking: tokio::sync::Mutex<()>,
}

/// Why a document was not written or read.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// The database.
    #[error(transparent)]
    Store(#[from] Fault),
    /// There is none of this tenant.
    #[error("there is no {0} of this id")]
    NotFound(&'static str),
    /// The idempotency key came before with another body.
    #[error("this idempotency key was used with another request")]
    KeyReused,
    /// Somebody else changed it at the same time, several times in a row.
    #[error("this {0} is being changed by somebody else: read it again and repeat the change")]
    Moved(&'static str),
    /// A tenant has as many as it may.
    #[error("there are {1} of kind `{0}` already: remove or revoke one")]
    TooMany(&'static str, usize),
    /// A body in the database does not read.
    #[error("a {0} in the database does not read: {1}")]
    Unreadable(&'static str, serde_json::Error),
}

impl Directory {
    /// Reads merchants, keys, connections and endpoints.
    pub async fn load(store: Arc<dyn Store>, around: Surroundings) -> Result<Arc<Self>, DirectoryError> {
        let cache = Cache::read(&*store).await?;
        Ok(Arc::new(Self {
            store,
            around,
            cache: RwLock::new(Arc::new(cache)),
            marking: tokio::sync::Mutex::default(),
        }))
    }

    /// Reads again if any node has changed something since. Called every few seconds.
    pub async fn refresh(&self) -> Result<(), DirectoryError> {
        if Cache::marker(&*self.store).await? != self.cached().marker {
            self.reload().await?;
        }
        Ok(())
    }

    /// A merchant.
    pub fn merchant(&self, id: MerchantId) -> Option<Arc<Merchant>> {
        self.cached().merchants.get(&id).cloned()
    }

    /// All merchants, newest first.
    pub fn merchants(&self) -> Vec<Arc<Merchant>> {
        self.cached().merchants.values().rev().cloned().collect()
    }

    /// A connection, whoever's it is: for hook addresses. Doors check the tenant.
    pub fn connection(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.cached().connections.get(&id).cloned()
    }

    /// A tenant's connections, newest first.
    pub fn connections(&self, tenant: Tenant) -> Vec<Arc<Connection>> {
        let cache = self.cached();
        cache
            .connections
            .values()
            .rev()
            .filter(|connection| connection.tenant == tenant)
            .cloned()
            .collect()
    }

    /// The connection that a new attempt uses when the call names none: the tenant's enabled default, else its newest enabled one.
    pub fn default_connection(&self, tenant: Tenant) -> Option<Arc<Connection>> {
        self.cached().defaults.get(&tenant).cloned()
    }

    /// Whether anybody waits for webhooks.
    pub fn has_endpoints(&self) -> bool {
        let cached = self.cached();
        cached.endpoints.values().flatten().any(|endpoint| endpoint.enabled)
    }

    /// A tenant's webhook endpoints, newest first.
    pub fn endpoints(&self, tenant: Tenant) -> Vec<Arc<Endpoint>> {
        self.cached().endpoints.get(&tenant).cloned().unwrap_or_default()
    }

    /// A tenant's API keys, newest first.
    pub fn keys(&self, tenant: Tenant) -> Vec<Arc<ApiKey>> {
        let mut keys: Vec<_> = self
            .cached()
            .keys
            .values()
            .filter(|key| key.tenant == tenant)
            .cloned()
            .collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.id));
        keys
    }

    /// Now, by the environment's clock.
    pub fn now(&self) -> Timestamp {
        (self.around.clock)()
    }

    /// A new UUID for an id.
    pub fn new_uuid(&self) -> uuid::Uuid {
        self.around
            .ids
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .next_uuid()
    }

    /// Makes a merchant.
    pub async fn create_merchant(&self, name: &str, key: Option<IdemKey>) -> Result<Made<Merchant>, DirectoryError> {
        let merchant = Merchant {
            id: MerchantId::from_uuid(self.new_uuid()),
            name: name.to_owned(),
            created_at: self.now(),
        };
        self.make(None, merchant, key).await
    }

    fn cached(&self) -> Arc<Cache> {
        self.cache
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    async fn reload(&self) -> Result<(), DirectoryError> {
        let fresh = Arc::new(Cache::read(&*self.store).await?);
        let mut cache = self.cache.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Two reloads may overtake each other: what was read earlier must not replace what was read later.
        if fresh.marker >= cache.marker {
            *cache = fresh;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use florin_core::id::EndpointId;
    use florin_core::secret::Secret;
    use florin_store::memory::{Disk, MemoryStore};
    use florin_store::{Hash, Mode};

    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::dice::SystemIds;

    pub(crate) async fn over(store: Arc<dyn Store>) -> Arc<Directory> {
        let around = Surroundings {
            clock: Box::new(|| SystemClock.now()),
            ids: std::sync::Mutex::new(Box::new(SystemIds::new(|| SystemClock.now()))),
        };
        Directory::load(store, around).await.unwrap()
    }

    /// An endpoint that wants everything.
    pub(crate) fn endpoint(id: EndpointId, tenant: Tenant, url: String, created_at: Timestamp) -> Endpoint {
        Endpoint {
            id,
            tenant,
            url,
            events: Vec::new(),
            description: None,
            dialect: Dialect::Florin,
            secrets: Vec::new(),
            enabled: true,
            door: Default::default(),
            created_at,
        }
    }

    fn key(text: &str, hash: u8) -> Option<IdemKey> {
        let hash: Hash = [hash; 32];
        Some(IdemKey {
            key: text.to_owned(),
            hash,
            earlier: None,
        })
    }

    #[tokio::test]
    async fn a_key_opens_until_it_is_revoked_on_every_node() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(Disk::default(), Timestamp::default()));
        let (one, two) = (over(Arc::clone(&store)).await, over(store).await);
        let merchant = one.create_merchant("Ada", None).await.unwrap().document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        let made = one.create_key(tenant, "till", vec![Scope::Read], None).await.unwrap();
        let secret = made.secret.unwrap();
        assert!(secret.expose().starts_with("sk_test_"));
        assert_eq!(one.authenticate(secret.expose()).await.unwrap().unwrap().tenant, tenant);
        assert_eq!(
            two.authenticate(secret.expose()).await.unwrap().unwrap().id,
            made.key.id
        );
        assert!(two.authenticate("sk_test_guess").await.unwrap().is_none());
        one.revoke_key(tenant, made.key.id, None).await.unwrap();
        assert!(one.authenticate(secret.expose()).await.unwrap().is_none());
        two.refresh().await.unwrap();
        assert!(two.authenticate(secret.expose()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_rolled_key_works_on_for_its_overlap_and_no_longer() {
        let directory = over(Arc::new(MemoryStore::open(Disk::default(), Timestamp::default()))).await;
        let merchant = directory.create_merchant("Ada", None).await.unwrap().document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Live,
        };
        let secret = Secret::new("sk_live_first".to_owned());
        let first = directory
            .create_key_with(tenant, "", vec![Scope::Pay], secret.clone(), None)
            .await
            .unwrap();
        let second = directory.roll_key(tenant, first.key.id, 3_600, None).await.unwrap();
        assert!(directory.authenticate(secret.expose()).await.unwrap().is_some());
        let successor = second.secret.unwrap();
        assert!(directory.authenticate(successor.expose()).await.unwrap().is_some());
        let third = directory.roll_key(tenant, second.key.id, 0, None).await.unwrap();
        assert!(directory.authenticate(successor.expose()).await.unwrap().is_none());
        assert_eq!(third.key.scopes, [Scope::Pay]);
    }

    #[tokio::test]
    async fn a_call_that_is_repeated_rolls_a_key_once() {
        let directory = over(Arc::new(MemoryStore::open(Disk::default(), Timestamp::default()))).await;
        let merchant = directory.create_merchant("Ada", None).await.unwrap().document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        let first = directory.create_key(tenant, "", vec![Scope::Pay], None).await.unwrap();
        let roll = |hash| directory.roll_key(tenant, first.key.id, 0, key("roll", hash));
        let (second, again) = (roll(1).await.unwrap(), roll(1).await.unwrap());
        assert!(second.secret.is_some() && again.secret.is_none());
        assert_eq!(again.key.id, second.key.id);
        assert_eq!(directory.keys(tenant).len(), 2, "the old one and its one successor");
        assert!(matches!(roll(2).await, Err(DirectoryError::KeyReused)));
        let anew = directory.roll_key(tenant, first.key.id, 0, key("other", 1)).await;
        assert!(
            matches!(anew, Err(DirectoryError::NotFound(_))),
            "it opens nothing any more"
        );
    }

    #[tokio::test]
    async fn keys_that_are_made_and_ended_without_end_are_forgotten_in_time() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(Disk::default(), Timestamp::default()));
        let directory = over(Arc::clone(&store)).await;
        let merchant = directory.create_merchant("Ada", None).await.unwrap().document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        let first = directory.create_key(tenant, "", vec![Scope::Pay], None).await.unwrap();
        let secret = first.secret.unwrap();
        let mut last = first.key.id;
        for _ in 0..records::ENDED_KEYS_MAX + 5 {
            last = directory.roll_key(tenant, last, 0, None).await.unwrap().key.id;
        }
        // What ended with the last write is forgotten by the next one.
        let kept = directory.keys(tenant);
        assert_eq!(kept.len(), records::ENDED_KEYS_MAX + 2);
        assert_eq!(kept[0].id, last);
        assert!(!kept.iter().any(|key| key.id == first.key.id));
        assert_eq!(over(store).await.keys(tenant).len(), kept.len());
        assert!(directory.authenticate(secret.expose()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_call_that_is_repeated_changes_a_document_once() {
        let directory = over(Arc::new(MemoryStore::open(Disk::default(), Timestamp::default()))).await;
        let merchant = directory.create_merchant("Ada", None).await.unwrap().document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        let made = directory.create_key(tenant, "", vec![Scope::Pay], None).await.unwrap();
        let id = made.key.id.to_string();
        let longer = |hash: u8| {
            let more = |key: &mut ApiKey| key.label.push('+');
            directory.change_once(tenant, &id, key("k", hash), more)
        };
        assert!(!longer(1).await.unwrap().replayed);
        let again = longer(1).await.unwrap();
        assert_eq!((again.document.label.as_str(), again.replayed), ("+", true));
        assert!(matches!(longer(2).await, Err(DirectoryError::KeyReused)));
    }

    /// A new connection that is its tenant's default.
    fn connection(directory: &Directory, tenant: Tenant) -> Connection {
        Connection {
            id: ConnectionId::from_uuid(directory.new_uuid()),
            tenant,
            rail: "stripe".into(),
            base: "https://api.stripe.com".into(),
            secrets: Default::default(),
            own: Default::default(),
            settings: Default::default(),
            default: true,
            enabled: true,
            created_at: directory.now(),
        }
    }

    #[tokio::test]
    async fn a_change_moves_the_default_only_if_it_says_so() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(Disk::default(), Timestamp::default()));
        let directory = over(Arc::clone(&store)).await;
        let merchant = directory.create_merchant("Ada", None).await.unwrap().document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        // As databases from before have them: both say that they are it.
        let [old, new] = [connection(&directory, tenant), connection(&directory, tenant)];
        let drafts = [&old, &new].map(|connection| directory.draft(Some(tenant), connection).unwrap());
        directory.make_all(drafts.into()).await.unwrap();
        let default = || directory.default_connection(tenant).unwrap().id;
        let marked = || -> Vec<ConnectionId> {
            let all = directory.connections(tenant);
            all.iter().filter(|each| each.default).map(|each| each.id).collect()
        };
        assert_eq!((default(), marked()), (new.id, vec![new.id]));
        let change = async |id: ConnectionId, change: fn(&mut Connection)| {
            let changed = directory.change(Some(tenant), &id.to_string(), change).await;
            changed.unwrap().default
        };

        assert!(!change(old.id, |old| old.base = "https://eu.stripe.com".into()).await);
        assert_eq!((default(), marked()), (new.id, vec![new.id]));
        assert!(change(old.id, |old| old.default = true).await);
        assert_eq!((default(), marked()), (old.id, vec![old.id]));

        // One that is off takes it from nobody until it is on.
        change(new.id, |new| new.enabled = false).await;
        change(new.id, |new| new.default = true).await;
        assert_eq!(default(), old.id);
        assert!(directory.connection(old.id).unwrap().default);
        change(new.id, |new| new.enabled = true).await;
        assert_eq!((default(), marked()), (new.id, vec![new.id]));
    }

    #[tokio::test]
    async fn one_connection_of_a_tenant_is_the_default_whichever_became_it_last() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(Disk::default(), Timestamp::default()));
        let (one, two) = (over(Arc::clone(&store)).await, over(store).await);
        let merchant = one.create_merchant("Ada", None).await.unwrap().document;
        let [test, live] = [Mode::Test, Mode::Live].map(|mode| Tenant {
            merchant: merchant.id,
            mode,
        });
        let made = async |directory: &Directory, tenant: Tenant| {
            let connection = connection(directory, tenant);
            let made = directory.make(Some(tenant), connection, None).await;
            made.unwrap().document.id
        };
        let defaults = |directory: &Directory, tenant: Tenant| -> Vec<ConnectionId> {
            let all = directory.connections(tenant);
            all.iter().filter(|each| each.default).map(|each| each.id).collect()
        };
        let other = made(&one, live).await;
        let old = made(&one, test).await;
        // The second node has heard of neither.
        let new = made(&two, test).await;
        assert_eq!(defaults(&two, test), [new]);

        let again = |connection: &mut Connection| connection.default = true;
        let changed = one
            .change_once(test, &old.to_string(), key("k", 1), again)
            .await
            .unwrap();
        assert!(changed.document.default && !changed.replayed);
        two.refresh().await.unwrap();
        for directory in [&one, &two] {
            assert_eq!(defaults(directory, test), [old]);
            assert_eq!(directory.default_connection(test).unwrap().id, old);
            assert_eq!(defaults(directory, live), [other], "another mode has its own");
        }
    }

    #[tokio::test]
    async fn the_last_place_is_taken_once_however_many_ask_for_it_at_once_and_wherever() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(Disk::default(), Timestamp::default()));
        let (one, two) = (over(Arc::clone(&store)).await, over(store).await);
        let merchant = one.create_merchant("Ada", None).await.unwrap().document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        let all: Vec<_> = (1..records::CONNECTIONS_MAX)
            .map(|_| connection(&one, tenant))
            .collect();
        let drafts = all.iter().map(|one_of| one.draft(Some(tenant), one_of).unwrap());
        one.make_all(drafts.collect()).await.unwrap();
        // The second node has heard of none of them.
        let ask = async |directory: &Directory| directory.make(Some(tenant), connection(directory, tenant), None).await;
        let (first, second, third) = tokio::join!(ask(&one), ask(&one), ask(&two));
        let made = [first, second, third];
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
        one.refresh().await.unwrap();
        assert_eq!(one.connections(tenant).len(), records::CONNECTIONS_MAX);
    }

    #[tokio::test]
    async fn what_was_made_is_answered_again_when_it_was_removed() {
        let directory = over(Arc::new(MemoryStore::open(Disk::default(), Timestamp::default()))).await;
        let merchant = directory.create_merchant("Ada", None).await.unwrap().document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        let made = connection(&directory, tenant);
        let make = |hash| directory.make(Some(tenant), made.clone(), key("k", hash));
        make(1).await.unwrap();
        directory
            .remove::<Connection>(Some(tenant), &made.id.to_string())
            .await
            .unwrap();
        let again = make(1).await.unwrap();
        assert_eq!((again.document, again.replayed), (made.clone(), true));
        assert!(directory.connections(tenant).is_empty(), "and nothing is made again");
        assert!(matches!(make(2).await, Err(DirectoryError::KeyReused)));
    }

    #[tokio::test]
    async fn the_same_call_makes_one_document_and_another_body_is_refused() {
        let directory = over(Arc::new(MemoryStore::open(Disk::default(), Timestamp::default()))).await;
        let first = directory.create_merchant("Ada", key("k", 1)).await.unwrap();
        let again = directory.create_merchant("Ada", key("k", 1)).await.unwrap();
        assert_eq!((first.document.id, first.replayed), (again.document.id, false));
        assert!(again.replayed);
        let other = directory.create_merchant("Bob", key("k", 2)).await;
        assert!(matches!(other, Err(DirectoryError::KeyReused)));
        assert_eq!(directory.merchants().len(), 1);
    }
}
