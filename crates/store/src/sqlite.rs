//! SQLite: the database inside the process. WAL, `synchronous=FULL`, one writer thread that owns the only writing connection, a few
//! reading connections on threads of their own.
//!
//! ```text
//! commit, fold, put … ──bounded queue──▶ writer thread ──reply──▶ then, when it is long: copier thread, and the rest itself
//! load, search, get … ──bounded queue──▶ reader threads (query_only, each sees the newest commit)
//! ```
//!
//! A reply goes out after the flush and before the checkpoint. The checkpoint is ours and not SQLite's automatic one, because that one
//! drops the error of a failed flush, and because commits need not wait for it; here a failed flush, wherever it happens, ends all writing
//! ([`Fault::Broken`]).

mod claims;
mod commit;
mod copier;
mod fault;
mod fold;
mod lane;
mod lists;
mod names;
mod read;
mod records;
mod schema;
mod tenants;
mod threads;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use florin_core::id::{DeliveryId, OrderId};
use florin_core::time::Timestamp;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use self::names::Names;
use self::threads::{Pen, Readers, Writer};
use crate::tenants::Tenants;
use crate::{
    Answer, Backlog, BalanceRow, Batch, Claim, Cursor, DeliveryRow, DeliverySearch, EventHead, EventRow, Fault,
    FeedSearch, Fold, Found, KeyRow, ListRecords, NoticeRow, OrderRow, Outcome, ProviderRef, Record, Retention, Search,
    Store, Tenant, Wanted, Which,
};

/// The level of the schema that this program knows.
pub const LEVEL: u32 = crate::migrate::SQLITE.len() as u32;
/// WAL pages after which they are copied into the database file. Fewer pages make commits even (p99), more make them cheaper.
pub const CHECKPOINT_PAGES: u32 = 4_000;
/// Reading threads: enough that one slow list does not hold up the lookups beside it.
pub const READERS: usize = 2;
/// References and keys of the newest orders that are kept in memory before they are written down in order.
pub const NAMES_IN_MEMORY: usize = names::SEAL;
/// Another process (a backup, `florin audit`) may hold the file for a moment.
const BUSY: Duration = Duration::from_secs(5);
/// Page cache of the writer, in KiB: holds the hot ends of all indexes; it is filled only as far as it is used.
const WRITER_CACHE_KIB: u32 = 16_384;
/// Page cache of each reader, in KiB.
const READER_CACHE_KIB: u32 = 4_096;
/// How long a busy reader lets rows gather: a page of the log is then written once for many orders (a third less a sale than every 50 ms).
const GATHERS: Duration = Duration::from_secs(1);

/// Where the database is and how it is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database file; `-wal` and `-shm` lie beside it.
    pub path: PathBuf,
    /// See [`CHECKPOINT_PAGES`].
    pub checkpoint_pages: u32,
    /// See [`READERS`].
    pub readers: usize,
    /// See [`NAMES_IN_MEMORY`].
    pub names_in_memory: usize,
}

impl Settings {
    /// The shipped defaults for a database at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            checkpoint_pages: CHECKPOINT_PAGES,
            readers: READERS,
            names_in_memory: NAMES_IN_MEMORY,
        }
    }
}

/// Orders in one file.
pub struct SqliteStore {
    // Readers end first: the writer's last checkpoint then has nobody in its way.
    readers: Readers,
    writer: Writer,
    tenants: Arc<Tenants>,
    opened: Timestamp,
}

impl SqliteStore {
    /// Opens the database, or makes an empty one. The schema is [`Store::migrate`]'s business.
    pub fn open(settings: &Settings) -> Result<Self, Fault> {
        create_private(&settings.path).map_err(|error| {
            let file = settings.path.display();
            Fault::Unavailable(format!("cannot make the database file {file}: {error}"))
        })?;
        let writing = Connection::open(&settings.path)?;
        writing.pragma_update(None, "journal_mode", "wal")?;
        writing.pragma_update(None, "synchronous", "full")?;
        writing.pragma_update(None, "wal_autocheckpoint", 0)?;
        prepare(&writing, WRITER_CACHE_KIB)?;
        let opened = read::clock(&writing)?;
        let copying = Connection::open(&settings.path)?;
        copying.pragma_update(None, "synchronous", "full")?;
        copying.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let mut reading = Vec::new();
        for _ in 0..settings.readers.max(1) {
            let connection = Connection::open(&settings.path)?;
            connection.pragma_update(None, "query_only", true)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            prepare(&connection, READER_CACHE_KIB)?;
            reading.push(connection);
        }
        Ok(Self {
            readers: Readers::start(reading)?,
            writer: Writer::start(
                writing,
                copying,
                Names::new(settings.names_in_memory),
                settings.checkpoint_pages,
            )?,
            tenants: Arc::default(),
            opened,
        })
    }

    /// Reads every page of a database file that nobody writes to: a copy, before it is used. Answers what is wrong with it.
    pub fn integrity(path: &Path) -> Result<Vec<String>, Fault> {
        upkeep::integrity(path)
    }

    /// Runs `work` on the writer thread.
    fn write<'a, T: Send + 'static>(
        &'a self,
        work: impl FnOnce(&mut Pen, &Tenants) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'a, T> {
        let tenants = Arc::clone(&self.tenants);
        Box::pin(self.writer.run(move |pen| work(pen, &tenants)))
    }

    /// Runs `work`, which only reads, on the writer thread: it needs the names that are guarded there.
    fn look<'a, T: Send + 'static>(
        &'a self,
        work: impl FnOnce(&mut Pen, &Tenants) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'a, T> {
        let tenants = Arc::clone(&self.tenants);
        Box::pin(self.writer.look(move |pen| work(pen, &tenants)))
    }

    /// Runs `work` on a reader thread, inside one read transaction.
    fn read<'a, T: Send + 'static>(
        &'a self,
        work: impl FnOnce(&Connection, &Tenants) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'a, T> {
        let tenants = Arc::clone(&self.tenants);
        Box::pin(self.readers.run(move |connection| {
            let snapshot = connection.transaction()?;
            work(&snapshot, &tenants)
        }))
    }
}

/// What every connection is told.
fn prepare(connection: &Connection, cache_kib: u32) -> Result<(), Fault> {
    /// More than there are statements, so that none is ever prepared twice.
    const STATEMENTS: usize = 128;
    connection.busy_timeout(BUSY)?;
    // Otherwise a statement is planned anew whenever its limit is another one.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Makes an empty file that only its owner can read: it will hold names and addresses. SQLite gives `-wal` and `-shm` the same rights.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

impl Store for SqliteStore {
    fn load<'a>(&'a self, wanted: &'a Wanted) -> Answer<'a, Found> {
        let wanted = wanted.clone();
        if wanted.order_keys.is_empty() && wanted.references.is_empty() {
            return self.read(move |connection, tenants| lane::load(connection, tenants, &wanted));
        }
        self.look(move |pen, tenants| lane::load_by_name(pen, tenants, &wanted))
    }

    fn commit<'a>(&'a self, batch: &'a Batch) -> Answer<'a, Outcome> {
        let batch = batch.clone();
        self.write(move |pen, tenants| commit::commit(pen, tenants, &batch))
    }

    fn commit_shared<'a>(&'a self, batch: &'a Arc<Batch>) -> Answer<'a, Outcome> {
        let batch = Arc::clone(batch);
        self.write(move |pen, tenants| commit::commit(pen, tenants, &batch))
    }

    fn was_committed<'a>(&'a self, batch: &'a Batch) -> Answer<'a, bool> {
        let events: Vec<_> = batch
            .events
            .iter()
            .map(|event| (event.order, event.version, event.hash, event.time.millis()))
            .collect();
        self.read(move |connection, _| lane::was_committed(connection, &events))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Vec<OrderRow>> {
        let (claim, opened) = (claim.clone(), self.opened);
        self.write(move |pen, tenants| claims::orders(&mut pen.connection, tenants, &claim, opened))
    }

    fn inbox<'a>(&'a self, limit: u32) -> Answer<'a, Vec<NoticeRow>> {
        self.read(move |connection, tenants| lane::inbox(connection, tenants, limit))
    }

    fn events_of(&self, order: OrderId) -> Answer<'_, Vec<EventRow>> {
        self.read(move |connection, tenants| lists::events_of(connection, tenants, order))
    }

    fn events_after(&self, cursor: Cursor, limit: u32) -> Answer<'_, Vec<EventRow>> {
        self.read(move |connection, tenants| lists::events_after(connection, tenants, cursor, limit))
    }

    fn heads_after(&self, cursor: Cursor, limit: u32) -> Answer<'_, Vec<EventHead>> {
        self.read(move |connection, tenants| lists::heads_after(connection, tenants, cursor, limit))
    }

    fn events_at(&self, places: Vec<Cursor>) -> Answer<'_, Vec<EventRow>> {
        self.read(move |connection, tenants| lists::events_at(connection, tenants, &places))
    }

    fn orders_after(&self, after: Option<OrderId>, limit: u32) -> Answer<'_, Vec<OrderRow>> {
        self.read(move |connection, tenants| lists::orders_after(connection, tenants, after, limit))
    }

    fn waiting(&self, after: Option<(Timestamp, OrderId)>, limit: u32) -> Answer<'_, Vec<OrderRow>> {
        self.read(move |connection, tenants| lists::waiting(connection, tenants, after, limit))
    }

    fn search<'a>(&'a self, search: &'a Search) -> Answer<'a, Vec<OrderId>> {
        let search = search.clone();
        if search.reference.is_some() {
            return self.look(move |pen, tenants| lists::search_by_reference(pen, tenants, &search));
        }
        self.read(move |connection, tenants| lists::search(connection, tenants, &search, None))
    }

    fn feed<'a>(&'a self, search: &'a FeedSearch) -> Answer<'a, Vec<EventRow>> {
        let search = search.clone();
        self.read(move |connection, tenants| lists::feed(connection, tenants, &search))
    }

    fn order_of_ref<'a>(&'a self, reference: &'a ProviderRef) -> Answer<'a, Option<OrderId>> {
        let reference = reference.clone();
        self.read(move |connection, _| lists::order_of_ref(connection, &reference))
    }

    fn balances(&self, tenant: Tenant) -> Answer<'_, (Vec<BalanceRow>, Cursor)> {
        self.read(move |connection, tenants| fold::balances(connection, tenants, tenant))
    }

    fn cursor<'a>(&'a self, reader: &'a str) -> Answer<'a, Cursor> {
        let reader = reader.to_owned();
        self.read(move |connection, _| fold::cursor(connection, &reader))
    }

    fn gathers(&self) -> Duration {
        GATHERS
    }

    fn fold(&self, fold: Fold) -> Answer<'_, bool> {
        Box::pin(async move {
            let plan = self
                .write(move |pen, tenants| fold::Plan::new(&pen.connection, tenants, fold))
                .await?;
            let Some(plan) = plan.map(Arc::new) else {
                return Ok(false);
            };
            // Each piece waits its turn behind the commits that came meanwhile.
            for piece in plan.pieces() {
                let plan = Arc::clone(&plan);
                self.write(move |pen, _| plan.write(&mut pen.connection, &piece))
                    .await?;
            }
            self.write(move |pen, _| plan.end(&mut pen.connection)).await
        })
    }

    fn claim_deliveries<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Vec<DeliveryRow>> {
        let (claim, opened) = (claim.clone(), self.opened);
        self.write(move |pen, tenants| claims::deliveries(&mut pen.connection, tenants, &claim, opened))
    }

    fn write_deliveries<'a>(&'a self, rows: &'a [DeliveryRow]) -> Answer<'a, ()> {
        let rows = rows.to_vec();
        self.write(move |pen, tenants| fold::write_deliveries(&mut pen.connection, tenants, &rows))
    }

    fn deliveries<'a>(&'a self, search: &'a DeliverySearch) -> Answer<'a, Vec<DeliveryRow>> {
        let search = search.clone();
        self.read(move |connection, tenants| lists::deliveries(connection, tenants, &search))
    }

    fn delivery(&self, tenant: Tenant, id: DeliveryId) -> Answer<'_, Option<DeliveryRow>> {
        self.read(move |connection, tenants| lists::delivery(connection, tenants, tenant, id))
    }

    fn put<'a>(&'a self, records: &'a [Record], keys: &'a [KeyRow]) -> Answer<'a, Outcome> {
        let (records, keys) = (records.to_vec(), keys.to_vec());
        self.write(move |pen, tenants| records::put(pen, tenants, &records, &keys))
    }

    fn get<'a>(&'a self, which: &'a Which) -> Answer<'a, Option<Record>> {
        let which = which.clone();
        self.read(move |connection, tenants| records::get(connection, tenants, &which))
    }

    fn list<'a>(&'a self, list: &'a ListRecords) -> Answer<'a, Vec<Record>> {
        let list = list.clone();
        self.read(move |connection, tenants| records::list(connection, tenants, &list))
    }

    fn migrate(&self) -> Answer<'_, u32> {
        self.write(|pen, _| schema::migrate(&mut pen.connection))
    }

    fn level(&self) -> Answer<'_, u32> {
        self.read(|connection, _| schema::level(connection))
    }

    fn clock(&self) -> Answer<'_, Timestamp> {
        self.read(|connection, _| read::clock(connection))
    }

    fn tidy<'a>(&'a self, before: &'a Retention) -> Answer<'a, u64> {
        let before = before.clone();
        self.write(move |pen, _| upkeep::tidy(&mut pen.connection, &before))
    }

    fn backlog(&self, now: Timestamp) -> Answer<'_, Backlog> {
        self.read(move |connection, _| upkeep::backlog(connection, now))
    }

    fn backup<'a>(&'a self, to: &'a Path) -> Answer<'a, ()> {
        let to = to.to_owned();
        Box::pin(self.readers.run(move |connection| upkeep::backup(connection, &to)))
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// What reads the stream asks with another place and limit each time.
    #[test]
    fn a_statement_is_planned_once_whatever_its_limit_is() {
        let connection = Connection::open_in_memory().unwrap();
        prepare(&connection, READER_CACHE_KIB).unwrap();
        connection
            .execute_batch("create table t (n integer primary key)")
            .unwrap();
        let mut read = connection
            .prepare("select n from t where n > ?1 order by n limit ?2")
            .unwrap();
        for place in 0..5 {
            read.exists([place, 10 * place]).unwrap();
        }
        assert_eq!(read.get_status(StatementStatus::RePrepare), 0);
    }
}
