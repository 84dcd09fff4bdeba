//! Where orders live: SQLite (embedded default) and PostgreSQL behind one small, coarse trait.
//!
//! Few methods, each a whole batch. The store checks versions, fences and uniqueness and keeps bytes; it knows no rule about money.
//! What it promises: a batch is written whole or not at all, and what [`Store::commit`] called done survives `kill -9` and power loss.
//!
//! ```text
//! orders      one row an order: state, version, fence, lease, open work, first key        ┐
//! events      one row an order and commit: events, postings, news, hash chain             ├ one commit of a lane
//! keys        idempotency keys of later calls · inbox   notices of providers              ┘
//! listings, refs, balances, deliveries, cursors      behind the commit, by readers that can rebuild them
//! records     merchants, keys, connections, customers, methods, endpoints, products: small documents
//! ```
#![forbid(unsafe_code)]

mod codes;
mod marks;
pub mod memory;
mod migrate;
pub mod postgres;
mod query;
pub mod rows;
pub mod sqlite;
mod tenants;
mod terms;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use florin_core::id::{DeliveryId, OrderId};
use florin_core::time::Timestamp;
use thiserror::Error;

pub use marks::Marks;
pub use rows::*;
pub use terms::Terms;

/// The answer of a store, when it comes.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Why the store could not do it. Says what is known about the effect.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happened; the same call may be made again soon.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// A commit was sent and its answer was lost: ask [`Store::was_committed`] before anything else.
    #[error("the answer to a commit was lost: {0}")]
    Unknown(String),
    /// No space left. Nothing happened; reads still answer.
    #[error("the disk is full: {0}")]
    Full(String),
    /// A flush failed: what is on the disk is unknown, so nothing more may be acknowledged. The process must stop writing.
    #[error("the disk failed: {0}")]
    Broken(String),
    /// Stored bytes do not read, or their hash is wrong.
    #[error("order {0} is damaged in the database: {1}")]
    Damaged(OrderId, String),
    /// A mistake of ours in a statement or a row.
    #[error("the database refused what it was given: {0}")]
    Refused(String),
}

/// Where orders live.
pub trait Store: Send + Sync + 'static {
    // ---- the hot path: lanes --------------------------------------------------------------------------------------------------

    /// Reads what a batch needs, in one query per kind.
    fn load<'a>(&'a self, wanted: &'a Wanted) -> Answer<'a, Found>;

    /// Writes a batch whole, in one durable transaction, or not at all. A taken key or reference, a moved version or a higher fence is
    /// [`Outcome::Conflict`] and leaves nothing behind: the caller reads again and decides again.
    fn commit<'a>(&'a self, batch: &'a Batch) -> Answer<'a, Outcome>;

    /// The same, for a batch that others may hold too: a store that writes on a thread of its own need not copy it.
    fn commit_shared<'a>(&'a self, batch: &'a Arc<Batch>) -> Answer<'a, Outcome> {
        self.commit(batch)
    }

    /// After [`Fault::Unknown`]: whether this very batch is there (by hash and moment of its event rows: another node may have carried
    /// out the same call at another; a batch without events answers no, and may be written again).
    fn was_committed<'a>(&'a self, batch: &'a Batch) -> Answer<'a, bool>;

    /// Takes orders whose `due` has passed and whose lease is over: raises the fence, sets the lease by the database's clock, and returns
    /// the rows as they are then, oldest due first. With `own` it also takes what this node had leased before this store was opened,
    /// due or not, so that a node that died goes on at once; repeat until nothing comes.
    fn claim<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Vec<OrderRow>>;

    /// Notices that are not done, by `due`.
    fn inbox<'a>(&'a self, limit: u32) -> Answer<'a, Vec<NoticeRow>>;

    // ---- reading ---------------------------------------------------------------------------------------------------------------

    /// All event rows of an order, oldest first.
    fn events_of(&self, order: OrderId) -> Answer<'_, Vec<EventRow>>;

    /// Event rows after `cursor` in an order in which no row can appear behind the cursor later, although commits overtake each other.
    fn events_after(&self, cursor: Cursor, limit: u32) -> Answer<'_, Vec<EventRow>>;

    /// The heads of the same rows, for whoever has what they say in memory.
    fn heads_after(&self, cursor: Cursor, limit: u32) -> Answer<'_, Vec<EventHead>>;

    /// The event rows at these places, in any order.
    fn events_at(&self, places: Vec<Cursor>) -> Answer<'_, Vec<EventRow>>;

    /// How far [`Store::events_after`] can read by now. Where commits do not overtake each other, that is always all of it.
    fn horizon(&self) -> Answer<'_, Horizon> {
        Box::pin(async { Ok(Horizon::default()) })
    }

    /// Order rows after `after`, by id: for audits and exports.
    fn orders_after(&self, after: Option<OrderId>, limit: u32) -> Answer<'_, Vec<OrderRow>>;

    /// Orders that somebody has to look at some time, the soonest first: what is open. `after` is the last one of the page before.
    fn waiting(&self, after: Option<(Timestamp, OrderId)>, limit: u32) -> Answer<'_, Vec<OrderRow>>;

    /// Ids of orders that match, newest first (by the moment they were made, then by id). Filters other than the reference, and lists
    /// without one, see what readers have folded so far. An `after` that is not an order of this tenant finds nothing.
    fn search<'a>(&'a self, search: &'a Search) -> Answer<'a, Vec<OrderId>>;

    /// A tenant's event rows, as far as readers have listed them.
    fn feed<'a>(&'a self, search: &'a FeedSearch) -> Answer<'a, Vec<EventRow>>;

    /// The order that a provider's reference belongs to.
    fn order_of_ref<'a>(&'a self, reference: &'a ProviderRef) -> Answer<'a, Option<OrderId>>;

    /// Balances as folded so far by the reader [`BOOKS`], and up to where: one consistent view.
    fn balances(&self, tenant: Tenant) -> Answer<'_, (Vec<BalanceRow>, Cursor)>;

    // ---- readers behind the commit ---------------------------------------------------------------------------------------------

    /// Where a reader stands.
    fn cursor<'a>(&'a self, reader: &'a str) -> Answer<'a, Cursor>;

    /// Writes what a reader made of the events up to a cursor, and the cursor. `false`: another node was faster. Balances, deliveries and
    /// the cursor are one transaction. Listings, references and feed may be written before it, a few at a time, so that commits are not
    /// held up by a long turn: writing them again, or an older listing after a newer one, changes nothing.
    fn fold(&self, fold: Fold) -> Answer<'_, bool>;

    /// How long a busy reader lets rows gather before it folds them, where nobody waits for webhooks. Where they share the pages that a commit
    /// writes, many at once write less; where the database works beside us, few at a time keep nobody from a processor for long.
    fn gathers(&self) -> Duration {
        Duration::ZERO
    }

    // ---- webhooks out ----------------------------------------------------------------------------------------------------------

    /// Takes deliveries that are due, under a lease by the database's clock; but none of an order and to an endpoint that another node has
    /// one of under lease, since it would overtake that one.
    fn claim_deliveries<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Vec<DeliveryRow>>;

    /// Writes what became of deliveries, or new ones (resend).
    fn write_deliveries<'a>(&'a self, rows: &'a [DeliveryRow]) -> Answer<'a, ()>;

    /// Deliveries that match, newest first.
    fn deliveries<'a>(&'a self, search: &'a DeliverySearch) -> Answer<'a, Vec<DeliveryRow>>;

    /// One delivery.
    fn delivery(&self, tenant: Tenant, id: DeliveryId) -> Answer<'_, Option<DeliveryRow>>;

    // ---- small documents -------------------------------------------------------------------------------------------------------

    /// Writes documents in one transaction. A moved version or a taken alias is a conflict and leaves nothing behind.
    fn put<'a>(&'a self, records: &'a [Record], keys: &'a [KeyRow]) -> Answer<'a, Outcome>;

    /// One document by id or alias.
    fn get<'a>(&'a self, which: &'a Which) -> Answer<'a, Option<Record>>;

    /// Documents of a kind that were not removed, newest first.
    fn list<'a>(&'a self, list: &'a ListRecords) -> Answer<'a, Vec<Record>>;

    // ---- operation -------------------------------------------------------------------------------------------------------------

    /// Brings the schema up to this program's level, forward only. Answers the level.
    fn migrate(&self) -> Answer<'_, u32>;

    /// The schema level that is there; 0 when there is none.
    fn level(&self) -> Answer<'_, u32>;

    /// The database's clock, which leases follow.
    fn clock(&self) -> Answer<'_, Timestamp>;

    /// Removes what is past its retention: keys, done notices, finished deliveries. Bounded per call; answers how many rows went.
    fn tidy<'a>(&'a self, before: &'a Retention) -> Answer<'a, u64>;

    /// What waits at `now` (by the environment's clock), and since when.
    fn backlog(&self, now: Timestamp) -> Answer<'_, Backlog>;

    /// Writes a consistent copy to a new file (SQLite), or says which tool does it (PostgreSQL).
    fn backup<'a>(&'a self, to: &'a std::path::Path) -> Answer<'a, ()>;
}
