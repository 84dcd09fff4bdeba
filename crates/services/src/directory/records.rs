//! Documents as records: made once per idempotency key, changed by version, removed but kept.

use florin_core::time::Timestamp;
use florin_store::{IdemKey, KeyRow, ListRecords, Name, Outcome, Record, Tenant, Wanted, Which};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cache::{Cache, MARKER_ID, MARKER_KIND};
use super::documents::{ApiKey, Connection, Customer, Endpoint, Merchant, Method};
use super::{Directory, DirectoryError};
use crate::crash;

/// Tries before a change that keeps meeting other changes gives up.
pub(super) const TRIES_MAX: u32 = 8;

/// Keys in force that a tenant may have.
pub(super) const KEYS_MAX: usize = 100;
/// Keys that open nothing any more and that a tenant is shown, the newest; older ones are forgotten when one of its keys is written, so
/// that nobody who makes and ends keys without end fills the memory of every node.
pub(super) const ENDED_KEYS_MAX: usize = 100;
/// Connections that a tenant may have.
pub(super) const CONNECTIONS_MAX: usize = 50;
/// Documents of a tenant among which one is chosen: more than there may be of any such kind.
const CHOICE_MAX: u32 = 500;
/// Webhook endpoints that a tenant may have: each event of an order is a delivery to each.
pub(super) const ENDPOINTS_MAX: usize = 50;

/// A document of the directory.
pub trait Document: Serialize + DeserializeOwned + Send + Sync {
    /// The record's kind, and the word in errors.
    const KIND: &'static str;
    /// Whether every node keeps it in memory.
    const CACHED: bool;
    /// Its id.
    fn id(&self) -> String;
    /// How many a tenant may have, and has. Every node keeps them in memory.
    fn room(_directory: &Directory, _tenant: Tenant) -> Option<(usize, usize)> {
        None
    }
    /// Those of a tenant's that nobody asks for any more: they are removed when one of the kind is written.
    fn past(_directory: &Directory, _tenant: Tenant) -> Vec<String> {
        Vec::new()
    }
    /// Whether it is said to be what only one of its tenant's may be.
    fn is_marked(&self) -> bool {
        false
    }
    /// Whether it is that: one that is off is not, until it is on.
    fn is_chosen(&self) -> bool {
        false
    }
    /// Another one is that now.
    fn step_back(&mut self) {}
    /// Which one of two is that where both are chosen: databases from before have such.
    fn is_newer(&self, _other: &Self) -> bool {
        false
    }
    /// Another unique name.
    fn alias(&self) -> Option<String> {
        None
    }
    /// What it belongs to.
    fn parent(&self) -> Option<String> {
        None
    }
}

macro_rules! documents {
    ($($type:ty = $kind:literal, $cached:literal $(, alias $alias:expr)? $(, parent $parent:expr)? $(, room $room:expr)? $(, past $past:expr)? $(, chosen $marked:ident while $on:ident)?;)*) => {$(
        impl Document for $type {
            const KIND: &'static str = $kind;
            const CACHED: bool = $cached;
            fn id(&self) -> String {
                self.id.to_string()
            }
            $(fn alias(&self) -> Option<String> {
                let alias: fn(&Self) -> Option<String> = $alias;
                alias(self)
            })?
            $(fn parent(&self) -> Option<String> {
                let parent: fn(&Self) -> Option<String> = $parent;
                parent(self)
            })?
            $(fn room(directory: &Directory, tenant: Tenant) -> Option<(usize, usize)> {
                let room: fn(&Directory, Tenant) -> (usize, usize) = $room;
                Some(room(directory, tenant))
            })?
            $(fn past(directory: &Directory, tenant: Tenant) -> Vec<String> {
                let past: fn(&Directory, Tenant) -> Vec<String> = $past;
                past(directory, tenant)
            })?
            $(fn is_marked(&self) -> bool {
                self.$marked
            }
            fn is_chosen(&self) -> bool {
                self.$marked && self.$on
            }
            fn step_back(&mut self) {
                self.$marked = false;
            }
            fn is_newer(&self, other: &Self) -> bool {
                self.id > other.id
            })?
        }
    )*};
}

documents! {
    Merchant = "merchant", true;
    ApiKey = "key", true, alias |key| Some(key.hash.clone()), room |directory, tenant| {
        (KEYS_MAX, directory.keys(tenant).iter().filter(|key| directory.in_force(key)).count())
    }, past |directory, tenant| {
        let ended = directory.keys(tenant).into_iter().filter(|key| !directory.in_force(key));
        ended.skip(ENDED_KEYS_MAX).map(|key| key.id.to_string()).collect()
    };
    Connection = "connection", true, room |directory, tenant| (CONNECTIONS_MAX, directory.connections(tenant).len()),
        chosen default while enabled;
    Endpoint = "endpoint", true, room |directory, tenant| (ENDPOINTS_MAX, directory.endpoints(tenant).len());
    Customer = "customer", false;
    Method = "method", false, parent |method| method.customer.map(|customer| customer.to_string());
}

/// A document that was made, or found under the same idempotency key.
#[derive(Clone, Debug)]
pub struct Made<D> {
    /// The document.
    pub document: D,
    /// Whether the same call made it before.
    pub replayed: bool,
}

/// How a document gives up what another one is to have.
type GiveUp<'a, D> = dyn Fn(&mut D) + Sync + 'a;

/// A new document, ready to be written.
pub struct Draft(pub(super) Record);

/// The document in a record.
pub(super) fn read<D: Document>(record: &Record) -> Result<D, DirectoryError> {
    serde_json::from_str(&record.body).map_err(|error| DirectoryError::Unreadable(D::KIND, error))
}

/// Documents in one transaction when many are made together.
const TOGETHER: usize = 1_000;

impl Directory {
    /// A new document that is written with others ([`Self::make_all`]).
    pub fn draft<D: Document>(&self, tenant: Option<Tenant>, document: &D) -> Result<Draft, DirectoryError> {
        Ok(Draft(Record {
            kind: D::KIND.to_owned(),
            tenant,
            id: document.id(),
            alias: document.alias(),
            parent: document.parent(),
            version: 1,
            body: body_of(document)?,
            created_at: self.now(),
            removed: false,
        }))
    }

    /// Makes many documents, a thousand in one transaction, and reads the directory once: for installations that are filled by a
    /// program. Other than with [`Self::make`], a crash may leave a part of them.
    pub async fn make_all(&self, drafts: Vec<Draft>) -> Result<(), DirectoryError> {
        let records: Vec<Record> = drafts.into_iter().map(|draft| draft.0).collect();
        for some in records.chunks(TOGETHER) {
            let mut tries = 0;
            loop {
                let mut records = some.to_vec();
                records.push(self.marked().await?);
                if self.store.put(&records, &[]).await? == Outcome::Done {
                    break;
                }
                tries += 1;
                if tries == TRIES_MAX {
                    return Err(DirectoryError::Moved("directory"));
                }
            }
        }
        self.reload().await
    }

    /// The marker, moved: whoever remembers the directory reads it again.
    async fn marked(&self) -> Result<Record, DirectoryError> {
        Ok(Record {
            kind: MARKER_KIND.to_owned(),
            tenant: None,
            id: MARKER_ID.to_owned(),
            alias: None,
            parent: None,
            version: Cache::marker(&*self.store).await? + 1,
            body: "{}".to_owned(),
            created_at: Timestamp::from_millis(0), // never changes, like any document's
            removed: false,
        })
    }

    /// Makes a document. The same key and body give the document that was made before.
    pub async fn make<D: Document + Clone>(
        &self,
        tenant: Option<Tenant>,
        document: D,
        key: Option<IdemKey>,
    ) -> Result<Made<D>, DirectoryError> {
        self.make_with(tenant, document, key, None).await
    }

    /// Makes a document as [`Directory::make`] does, and changes another one of its kind in the same transaction: what one gives up, the
    /// other one has.
    pub async fn make_from<D: Document + Clone>(
        &self,
        tenant: Tenant,
        document: D,
        key: Option<IdemKey>,
        other: &str,
        give_up: impl Fn(&mut D) + Sync,
    ) -> Result<Made<D>, DirectoryError> {
        self.make_with(Some(tenant), document, key, Some((other, &give_up)))
            .await
    }

    async fn make_with<D: Document + Clone>(
        &self,
        tenant: Option<Tenant>,
        document: D,
        key: Option<IdemKey>,
        from: Option<(&str, &GiveUp<'_, D>)>,
    ) -> Result<Made<D>, DirectoryError> {
        let Draft(record) = self.draft(tenant, &document)?;
        let key_row = self.key_row::<D>(tenant, &record.id, key);
        for _ in 0..TRIES_MAX {
            let mut records = Vec::new();
            if let Some((other, give_up)) = from {
                records.push(self.given_up(tenant, other, give_up).await?);
            }
            records.push(record.clone());
            match self.write::<D>(records, key_row.as_slice(), tenant).await {
                Ok(true) => {
                    return Ok(Made {
                        document,
                        replayed: false,
                    });
                }
                Ok(false) => {}
                Err(full @ DirectoryError::TooMany(..)) => {
                    // The call that took the last place may come again.
                    let made = self.made_before::<D>(tenant, key_row.as_ref()).await?;
                    return made.ok_or(full);
                }
                Err(error) => return Err(error),
            }
            if let Some(made) = self.made_before::<D>(tenant, key_row.as_ref()).await? {
                return Ok(made);
            }
        }
        Err(DirectoryError::Moved(D::KIND))
    }

    /// Changes a document: reads it, lets `change` change it, writes it if nobody was faster, else again.
    pub async fn change<D: Document + Clone>(
        &self,
        tenant: Option<Tenant>,
        id: &str,
        change: impl Fn(&mut D) + Send + Sync,
    ) -> Result<D, DirectoryError> {
        let change = |document: &mut D| -> Result<(), DirectoryError> {
            change(document);
            Ok(())
        };
        self.change_if(tenant, id, change).await
    }

    /// Changes a document as [`Directory::change`] does, unless `change` refuses: then it stays as it is.
    pub async fn change_if<D: Document + Clone, E: From<DirectoryError>>(
        &self,
        tenant: Option<Tenant>,
        id: &str,
        change: impl Fn(&mut D) -> Result<(), E> + Send + Sync,
    ) -> Result<D, E> {
        for _ in 0..TRIES_MAX {
            let (record, document) = self.changed(tenant, id, &change).await?;
            if self.write::<D>(vec![record], &[], None).await? {
                return Ok(document);
            }
        }
        Err(DirectoryError::Moved(D::KIND).into())
    }

    /// Changes a document as [`Directory::change_if`] does, and another one of its kind in the same transaction: what one gives up, the other
    /// one has.
    pub async fn change_from<D: Document + Clone, E: From<DirectoryError>>(
        &self,
        tenant: Tenant,
        id: &str,
        change: impl Fn(&mut D) -> Result<(), E> + Send + Sync,
        other: &str,
        give_up: impl Fn(&mut D) + Sync,
    ) -> Result<D, E> {
        for _ in 0..TRIES_MAX {
            let given_up = self.given_up(Some(tenant), other, &give_up).await?;
            let (record, document) = self.changed(Some(tenant), id, &change).await?;
            if self.write::<D>(vec![given_up, record], &[], None).await? {
                return Ok(document);
            }
        }
        Err(DirectoryError::Moved(D::KIND).into())
    }

    async fn given_up<D: Document>(
        &self,
        tenant: Option<Tenant>,
        id: &str,
        give_up: &GiveUp<'_, D>,
    ) -> Result<Record, DirectoryError> {
        let change = |document: &mut D| -> Result<(), DirectoryError> {
            give_up(document);
            Ok(())
        };
        Ok(self.changed(tenant, id, &change).await?.0)
    }

    /// Changes a document once under an idempotency key: the same call again changes nothing, and answers the document as it is now.
    pub async fn change_once<D: Document + Clone>(
        &self,
        tenant: Tenant,
        id: &str,
        key: Option<IdemKey>,
        change: impl Fn(&mut D) + Send + Sync,
    ) -> Result<Made<D>, DirectoryError> {
        let change = |document: &mut D| -> Result<(), DirectoryError> {
            change(document);
            Ok(())
        };
        let key_row = self.key_row::<D>(Some(tenant), id, key);
        for _ in 0..TRIES_MAX {
            if let Some(made) = self.made_before::<D>(Some(tenant), key_row.as_ref()).await? {
                return Ok(made);
            }
            let (record, document) = self.changed(Some(tenant), id, &change).await?;
            if self.write::<D>(vec![record], key_row.as_slice(), None).await? {
                return Ok(Made {
                    document,
                    replayed: false,
                });
            }
        }
        Err(DirectoryError::Moved(D::KIND))
    }

    /// A document as it would be after `change`, and its record, to be written.
    pub(super) async fn changed<D: Document, E: From<DirectoryError>>(
        &self,
        tenant: Option<Tenant>,
        id: &str,
        change: &(impl Fn(&mut D) -> Result<(), E> + Sync),
    ) -> Result<(Record, D), E> {
        let mut record = self
            .record::<D>(tenant, id)
            .await?
            .ok_or(DirectoryError::NotFound(D::KIND))?;
        let mut document: D = read(&record)?;
        if self.is_outdone(tenant, &document).await? {
            // It is not the chosen one, whatever it says: only a change that says so makes it that.
            document.step_back();
        }
        change(&mut document)?;
        record.version += 1;
        record.body = body_of(&document)?;
        record.alias = document.alias();
        record.parent = document.parent();
        Ok((record, document))
    }

    /// Removes a document: it is kept, and left out of lists and look-ups. Answers it as it was.
    pub async fn remove<D: Document + Clone>(&self, tenant: Option<Tenant>, id: &str) -> Result<D, DirectoryError> {
        for _ in 0..TRIES_MAX {
            let mut record = self
                .record::<D>(tenant, id)
                .await?
                .ok_or(DirectoryError::NotFound(D::KIND))?;
            let document = read(&record)?;
            record.version += 1;
            record.removed = true;
            record.alias = None;
            if self.write::<D>(vec![record], &[], None).await? {
                return Ok(document);
            }
        }
        Err(DirectoryError::Moved(D::KIND))
    }

    /// A document of a tenant.
    pub async fn get<D: Document>(&self, tenant: Option<Tenant>, id: &str) -> Result<Option<D>, DirectoryError> {
        self.record::<D>(tenant, id)
            .await?
            .map(|record| read(&record))
            .transpose()
    }

    /// Documents of a tenant, newest first.
    pub async fn list<D: Document>(
        &self,
        tenant: Option<Tenant>,
        parent: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<D>, DirectoryError> {
        let list = ListRecords {
            parent: parent.map(str::to_owned),
            after: after.map(str::to_owned),
            ..ListRecords::of(D::KIND, tenant, limit)
        };
        self.store.list(&list).await?.iter().map(read).collect()
    }

    async fn record<D: Document>(&self, tenant: Option<Tenant>, id: &str) -> Result<Option<Record>, DirectoryError> {
        Ok(self.kept::<D>(tenant, id).await?.filter(|record| !record.removed))
    }

    /// A record, also one that was removed.
    async fn kept<D: Document>(&self, tenant: Option<Tenant>, id: &str) -> Result<Option<Record>, DirectoryError> {
        let which = Which {
            kind: D::KIND.to_owned(),
            tenant,
            name: Name::Id(id.to_owned()),
        };
        Ok(self.store.get(&which).await?)
    }

    /// Whether a tenant may have one more.
    fn has_room<D: Document>(&self, tenant: Option<Tenant>) -> Result<(), DirectoryError> {
        match tenant.and_then(|tenant| D::room(self, tenant)) {
            Some((most, there)) if there >= most => Err(DirectoryError::TooMany(D::KIND, most)),
            Some(_) | None => Ok(()),
        }
    }

    /// The row under which a call's key leads to its document. Keys of calls outside any tenant (making a merchant) are kept under the nil
    /// merchant of the installation.
    pub(super) fn key_row<D: Document>(
        &self,
        tenant: Option<Tenant>,
        id: &str,
        key: Option<IdemKey>,
    ) -> Option<KeyRow> {
        key.map(|key| KeyRow {
            tenant: tenant.unwrap_or(INSTALLATION),
            key,
            made: serde_json::json!({ "kind": D::KIND, "id": id }).to_string(),
            created_at: self.now(),
        })
    }

    /// Writes records of one kind together; a document that every node keeps in memory moves the marker in the same transaction. Where only
    /// one of a tenant's may be chosen, a chosen one takes that from the others. One that is new `of` a tenant needs room there.
    pub(super) async fn write<D: Document>(
        &self,
        mut records: Vec<Record>,
        keys: &[KeyRow],
        of: Option<Tenant>,
    ) -> Result<bool, DirectoryError> {
        let turn = match D::CACHED {
            true => Some(self.marking.lock().await),
            false => None,
        };
        if turn.is_some() {
            // The marker first: what another node writes while we look at the others makes this write fail, and it is tried again.
            let marker = self.marked().await?;
            if of.is_some() {
                self.refresh().await?;
                self.has_room::<D>(of)?;
            }
            let others = self.stepping_back::<D>(&records).await?;
            records.extend(others);
            let past = self.removing_past::<D>(&records).await?;
            records.extend(past);
            records.push(marker);
        }
        crash::point("before_put");
        let done = self.store.put(&records, keys).await? == Outcome::Done;
        crash::point("after_put");
        drop(turn);
        if done && D::CACHED {
            self.reload().await?;
        }
        Ok(done)
    }

    /// Whether another one of the tenant's is chosen beside this one, and is the one that counts.
    async fn is_outdone<D: Document>(&self, tenant: Option<Tenant>, document: &D) -> Result<bool, DirectoryError> {
        if !document.is_chosen() {
            return Ok(false);
        }
        let others: Vec<D> = self.list(tenant, None, None, CHOICE_MAX).await?;
        Ok(others.iter().any(|other| other.is_chosen() && other.is_newer(document)))
    }

    /// The others of the tenants of these records that are chosen no longer when these are written.
    async fn stepping_back<D: Document>(&self, records: &[Record]) -> Result<Vec<Record>, DirectoryError> {
        let mut others = Vec::new();
        for record in records.iter().filter(|record| !record.removed) {
            if !read::<D>(record)?.is_chosen() {
                continue;
            }
            let list = ListRecords::of(D::KIND, record.tenant, CHOICE_MAX);
            for mut other in self.store.list(&list).await? {
                let mut document: D = read(&other)?;
                if other.id == record.id || !document.is_marked() {
                    continue;
                }
                document.step_back();
                other.version += 1;
                other.body = body_of(&document)?;
                others.push(other);
            }
        }
        Ok(others)
    }

    /// What is forgotten with these records, which are one tenant's.
    async fn removing_past<D: Document>(&self, records: &[Record]) -> Result<Vec<Record>, DirectoryError> {
        let Some(tenant) = records.iter().find_map(|record| record.tenant) else {
            return Ok(Vec::new());
        };
        let mut past = Vec::new();
        for id in D::past(self, tenant) {
            let written = records.iter().any(|record| record.id == id);
            let kept = self.kept::<D>(Some(tenant), &id).await?;
            past.extend(kept.filter(|record| !written && !record.removed).map(|record| Record {
                version: record.version + 1,
                removed: true,
                ..record
            }));
        }
        Ok(past)
    }

    pub(super) async fn made_before<D: Document>(
        &self,
        tenant: Option<Tenant>,
        key: Option<&KeyRow>,
    ) -> Result<Option<Made<D>>, DirectoryError> {
        let Some(key) = key else { return Ok(None) };
        let named = (key.tenant, key.key.key.clone());
        let wanted = Wanted {
            keys: vec![named.clone()],
            order_keys: vec![named],
            ..Wanted::default()
        };
        let found = self.store.load(&wanted).await?;
        // The key of a call that made an order lies in the order's row.
        if !found.orders.is_empty() {
            return Err(DirectoryError::KeyReused);
        }
        let Some(found) = found.keys.into_iter().next() else {
            return Ok(None);
        };
        if !key.key.is_of(&found.key.hash) {
            return Err(DirectoryError::KeyReused);
        }
        let made: MadeBefore =
            serde_json::from_str(&found.made).map_err(|error| DirectoryError::Unreadable(D::KIND, error))?;
        if made.kind != D::KIND {
            return Err(DirectoryError::KeyReused);
        }
        // Also if it was removed since: the same call has the same answer.
        let record = self.kept::<D>(tenant, &made.id).await?;
        let document = read(&record.ok_or(DirectoryError::NotFound(D::KIND))?)?;
        Ok(Some(Made {
            document,
            replayed: true,
        }))
    }
}

#[derive(serde::Deserialize)]
struct MadeBefore {
    kind: String,
    id: String,
}

/// Whose keys are kept that belong to no merchant: nobody authenticates as it.
const INSTALLATION: Tenant = Tenant {
    merchant: florin_core::id::MerchantId::from_uuid(uuid::Uuid::nil()),
    mode: florin_store::Mode::Test,
};

fn body_of<D: Document>(document: &D) -> Result<String, DirectoryError> {
    serde_json::to_string(document).map_err(|error| DirectoryError::Unreadable(D::KIND, error))
}
