//! The rows that cross the border of the store. Snapshots, events and work are bytes to it; only what it checks or finds by has a type.

use florin_core::id::{ConnectionId, DeliveryId, EndpointId, MerchantId, NodeId, OrderId};
use florin_core::money::Currency;
use florin_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Marks, Terms};

/// Test or live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing real moves.
    Test,
    /// Money moves.
    Live,
}

/// Whose it is: bound into every query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tenant {
    /// Who is paid.
    pub merchant: MerchantId,
    /// Test or live.
    pub mode: Mode,
}

/// A SHA-256.
pub type Hash = [u8; 32];

/// An idempotency key and the hash of what came with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdemKey {
    /// The caller's text, at most 255 bytes.
    pub key: String,
    /// SHA-256 of method, path and body; at the Stripe door, of the parameters instead of the body.
    pub hash: Hash,
    /// The hash that an earlier program made of the same call, if it made another. It is never stored: a key that was bound then is known by it.
    pub earlier: Option<Box<Hash>>,
}

impl IdemKey {
    /// Whether a stored hash is that of this call.
    pub fn is_of(&self, stored: &Hash) -> bool {
        *stored == self.hash || self.earlier.as_deref() == Some(stored)
    }
}

/// An order as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Its id.
    pub id: OrderId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The merchant's name for it; unique per tenant.
    pub reference: String,
    /// The key of the call that made it.
    pub key: Option<IdemKey>,
    /// How many events it has.
    pub version: u32,
    /// What stands in for its events, JSON: a whole snapshot, or while they are few what proves them (decision 0203).
    pub state: String,
    /// Hash of its newest event row.
    pub chain: Hash,
    /// Open steps: JSON, none when nothing is open.
    pub work: Option<String>,
    /// When somebody has to look at it next (timer, question, resend), by the environment's clock.
    pub due: Option<Timestamp>,
    /// Raised by every takeover; a write under an older one is refused.
    pub fence: u32,
    /// Who works it, if anybody.
    pub lease: Option<Lease>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Who works an order, until when by the database's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The node.
    pub node: NodeId,
    /// The end. In a batch: [`Lease::FROM_NOW`] is [`Batch::lease_s`] after this commit; any other moment is written as it was read, so
    /// that a commit beside somebody's lease leaves it alone.
    pub until: Timestamp,
}

impl Lease {
    /// The end of a lease that starts with the commit that writes it.
    pub const FROM_NOW: Timestamp = Timestamp::from_millis(0);
}

/// One commit's events of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the stream; assigned by the store ([`Cursor::START`] before that).
    pub at: Cursor,
    /// The order.
    pub order: OrderId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The order's version after these events.
    pub version: u32,
    /// How many events it holds.
    pub count: u32,
    /// When they were decided.
    pub time: Timestamp,
    /// The events and what was learned: JSON.
    pub body: String,
    /// The postings: JSON, if money moved.
    pub postings: Option<String>,
    /// Public names of what changed: JSON, if any.
    pub news: Option<String>,
    /// SHA-256 of the order's previous hash, body, postings and news (each with its length before it).
    pub hash: Hash,
}

/// An event row without what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventHead {
    /// Its place in the stream.
    pub at: Cursor,
    /// The order.
    pub order: OrderId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The order's version after these events.
    pub version: u32,
    /// How many events it holds.
    pub count: u32,
    /// When they were decided.
    pub time: Timestamp,
    /// Whether it has public names of what changed.
    pub news: bool,
    /// Whether it has postings.
    pub money: bool,
    /// SHA-256 as in [`EventRow`]: it stands for what is left out here.
    pub hash: Hash,
}

impl EventRow {
    /// The row without what it says.
    pub fn head(&self) -> EventHead {
        EventHead {
            at: self.at,
            order: self.order,
            tenant: self.tenant,
            version: self.version,
            count: self.count,
            time: self.time,
            news: self.news.is_some(),
            money: self.postings.is_some(),
            hash: self.hash,
        }
    }
}

/// A place in the event stream. Opaque: compare, store, give back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// The writing transaction (PostgreSQL), or 0.
    pub transaction: u64,
    /// The row's number.
    pub row: u64,
}

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self { transaction: 0, row: 0 };
}

/// How far the event stream can be read by now, and how far it goes: transactions, as in [`Cursor`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// No row appears below it any more.
    pub closed: u64,
    /// Everything that was committed before it was asked for lies below it.
    pub next: u64,
}

/// What a lane reads before it decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Orders by id.
    pub orders: Vec<OrderId>,
    /// Orders by the key of the call that made them.
    pub order_keys: Vec<(Tenant, String)>,
    /// Orders by reference.
    pub references: Vec<(Tenant, String)>,
    /// Keys of later calls.
    pub keys: Vec<(Tenant, String)>,
    /// Orders whose event rows are wanted too, all of them: an order that is not in memory is proven by its chain before it is believed,
    /// and what it is for (lines, addresses, metadata) is in its events.
    pub details: Vec<OrderId>,
}

impl Wanted {
    /// Whether nothing but events of orders is wanted.
    pub fn is_events_alone(&self) -> bool {
        let Self {
            orders,
            order_keys,
            references,
            keys,
            details: _,
        } = self;
        orders.is_empty() && order_keys.is_empty() && references.is_empty() && keys.is_empty()
    }
}

/// What was found of [`Wanted`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Orders, each once.
    pub orders: Vec<OrderRow>,
    /// Keys.
    pub keys: Vec<KeyRow>,
    /// Event rows, oldest first within an order.
    pub details: Vec<EventRow>,
}

/// One transaction of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// New orders; each comes with its event row in `events`.
    pub new: Vec<OrderRow>,
    /// Orders that changed.
    pub changed: Vec<Changed>,
    /// Events, in the order in which they were decided.
    pub events: Vec<EventRow>,
    /// Keys of later calls: new ones are inserted plainly. A taken one is a conflict, and it is taken too if it made an order; as a key
    /// that is to make an order is taken if a later call had it.
    pub keys: Vec<KeyRow>,
    /// Notices that came: inserted unless they are there already. One that is there and not done keeps all but its `due`, which moves to
    /// the later of the two: so a notice is put off.
    pub notices: Vec<NoticeRow>,
    /// Notices that are done.
    pub done: Vec<NoticeId>,
    /// Seconds of lease for rows whose lease ends at [`Lease::FROM_NOW`]: counted by the database's clock from the moment of this commit.
    pub lease_s: u32,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty()
            && self.changed.is_empty()
            && self.events.is_empty()
            && self.keys.is_empty()
            && self.notices.is_empty()
            && self.done.is_empty()
    }
}

/// An order that changed: written only if version and fence are still what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The version that was read.
    pub read_version: u32,
    /// The row to be; its `fence` is the fence that was read and stays. Reference, key and times of the row do not change.
    pub row: OrderRow,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Done,
    /// Somebody else was faster somewhere in it; nothing was written.
    Conflict,
}

/// An idempotency key of a later call (confirm, capture, refund, …) or of a call that makes a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// The key and what came with it.
    pub key: IdemKey,
    /// What it made or did: JSON (order, step and version; a refusal's code; a document's id).
    pub made: String,
    /// When.
    pub created_at: Timestamp,
}

/// A notice's name: the connection it came through and the provider's id of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeId {
    /// Through which connection it came.
    pub connection: ConnectionId,
    /// The provider's id.
    pub id: String,
}

/// A notice that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// Its name.
    pub id: NoticeId,
    /// Whose connection it is.
    pub tenant: Tenant,
    /// What it says: JSON (the rail's item).
    pub item: String,
    /// When it came.
    pub received_at: Timestamp,
    /// When to try again, if it could not be told yet.
    pub due: Timestamp,
}

/// Who takes what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The node.
    pub node: NodeId,
    /// The moment, by the environment's clock.
    pub now: Timestamp,
    /// Length of the lease, by the database's clock.
    pub lease_s: u32,
    /// How many at most.
    pub limit: u32,
    /// Also what this node had leased before it died, due or not, at once.
    pub own: bool,
    /// Whose deliveries are left lying.
    pub without: Vec<Tenant>,
}

/// Which orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Whose.
    pub tenant: Tenant,
    /// By the merchant's name.
    pub reference: Option<String>,
    /// By the public word.
    pub status: Option<String>,
    /// By customer.
    pub customer: Option<String>,
    /// By metadata: all of these.
    pub metadata: Vec<(String, String)>,
    /// By the public word: one of these, if there are any. Other than by one word, orders are found by a walk.
    pub words: Vec<String>,
    /// By what they have: all of these.
    pub marks: Marks,
    /// Something happened to it at or after.
    pub changed_from: Option<Timestamp>,
    /// Only those that need a person.
    pub attention: bool,
    /// Made at or after.
    pub from: Option<Timestamp>,
    /// Made before.
    pub to: Option<Timestamp>,
    /// Older than this one.
    pub after: Option<OrderId>,
    /// How many at most.
    pub limit: u32,
}

impl Search {
    /// All orders of a tenant, newest first: what a narrower search begins with.
    pub fn of(tenant: Tenant, limit: u32) -> Self {
        Self {
            tenant,
            reference: None,
            status: None,
            customer: None,
            metadata: Vec::new(),
            words: Vec::new(),
            marks: Marks::NONE,
            changed_from: None,
            attention: false,
            from: None,
            to: None,
            after: None,
            limit,
        }
    }
}

/// A provider's name for something of an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProviderRef {
    /// Through which connection.
    pub connection: ConnectionId,
    /// What it names: `payment_intent`, `session`, …
    pub kind: String,
    /// The provider's id.
    pub id: String,
}

/// What lists find an order by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingRow {
    /// The order.
    pub order: OrderId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The order's version when it stood so: an older listing does not replace a newer one.
    pub version: u32,
    /// The public word.
    pub status: String,
    /// The customer; none leaves the one that is there.
    pub customer: Option<String>,
    /// Whether it needs a person.
    pub attention: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// What stands for its metadata, all of it; none leaves what is there.
    pub terms: Terms,
    /// What it has, beside what is known already.
    pub marks: Marks,
    /// When something happened to it last.
    pub changed_at: Timestamp,
    /// The order was made by what is folded here, so that it should not be listed yet. A store may write it without looking, if a listing
    /// that is there after all is replaced like any other.
    pub first: bool,
}

/// One account's balance. Sums are 128 bits: sums of amounts may leave the range of one amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceRow {
    /// Whose books.
    pub tenant: Tenant,
    /// At which provider.
    pub connection: ConnectionId,
    /// The account's word (`receivable`, `merchant`, …).
    pub account: String,
    /// Its currency.
    pub currency: Currency,
    /// Debits less credits, posted, in minor units.
    pub posted: i128,
    /// Debits less credits, pending.
    pub pending: i128,
}

/// The reader that keeps the books: only its [`Fold`] may hold balances, and its cursor says up to where they stand.
pub const BOOKS: &str = "books";

/// What a reader made of some events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The reader.
    pub reader: String,
    /// Where it stood.
    pub from: Cursor,
    /// Where it stands now.
    pub to: Cursor,
    /// Rows of lists, new or to be replaced.
    pub listings: Vec<ListingRow>,
    /// References of providers.
    pub refs: Vec<(ProviderRef, OrderId)>,
    /// Changes of balances, to be added.
    pub balances: Vec<BalanceRow>,
    /// Deliveries to be made.
    pub deliveries: Vec<DeliveryRow>,
    /// Event rows that a tenant's lists of events and ledger entries show.
    pub feed: Vec<FeedRow>,
}

/// A place in the list of a tenant's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// The event row.
    pub at: Cursor,
    /// When it was decided.
    pub time: Timestamp,
    /// Whether it has postings.
    pub money: bool,
}

/// Which event rows of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSearch {
    /// Whose.
    pub tenant: Tenant,
    /// Only those with postings.
    pub money: bool,
    /// Decided at or after.
    pub from: Option<Timestamp>,
    /// Decided before.
    pub to: Option<Timestamp>,
    /// On the far side of this row: older, or newer if `oldest_first`.
    pub after: Option<Cursor>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
    /// How many at most.
    pub limit: u32,
}

/// One event on its way to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its id.
    pub id: DeliveryId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Where to.
    pub endpoint: EndpointId,
    /// About which order.
    pub order: OrderId,
    /// The public event's id (`evt_…`).
    pub event: String,
    /// Its public name.
    pub name: String,
    /// How it stands.
    pub status: DeliveryStatus,
    /// Tries so far: JSON list.
    pub tries: String,
    /// When to try next; none when it is over.
    pub due: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// To be tried.
    Pending,
    /// The endpoint took it.
    Succeeded,
    /// Given up; can be sent again by hand.
    Failed,
}

/// Which deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverySearch {
    /// Whose.
    pub tenant: Tenant,
    /// To this endpoint.
    pub endpoint: Option<EndpointId>,
    /// About this order.
    pub order: Option<OrderId>,
    /// With this status.
    pub status: Option<DeliveryStatus>,
    /// Made at this moment or after it.
    pub from: Option<Timestamp>,
    /// Made before this moment.
    pub to: Option<Timestamp>,
    /// Older than this one.
    pub after: Option<DeliveryId>,
    /// How many at most.
    pub limit: u32,
}

/// A small document: merchant, API key, connection, customer, method, endpoint, product, price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its kind: `merchant`, `key`, …
    pub kind: String,
    /// Whose it is; none for what belongs to the installation.
    pub tenant: Option<Tenant>,
    /// Its id, as text.
    pub id: String,
    /// Another unique name within its kind: the hash of an API key, an e-mail.
    pub alias: Option<String>,
    /// What it belongs to: a method's customer.
    pub parent: Option<String>,
    /// Counts its changes from 1; a write names the version that it makes, one more than it read.
    pub version: u32,
    /// JSON.
    pub body: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it was removed; kept for its history, left out of lists.
    pub removed: bool,
}

/// Which document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    /// Its kind.
    pub kind: String,
    /// Whose it must be. `None` finds whoever's it is: for looking up API keys and hook addresses only.
    pub tenant: Option<Tenant>,
    /// Id or alias.
    pub name: Name,
}

/// How a document is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// By id.
    Id(String),
    /// By its other unique name.
    Alias(String),
}

/// Documents of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRecords {
    /// The kind.
    pub kind: String,
    /// Whose; none for what belongs to the installation, or for all tenants at start.
    pub tenant: Option<Tenant>,
    /// Only those that belong to this.
    pub parent: Option<String>,
    /// Only those whose body has, of each of these groups, one piece of text in it: for leaving out what a caller looks through.
    pub containing: Vec<Vec<String>>,
    /// Made at or after.
    pub from: Option<Timestamp>,
    /// Made before.
    pub to: Option<Timestamp>,
    /// Older than this one.
    pub after: Option<String>,
    /// How many at most.
    pub limit: u32,
}

impl ListRecords {
    /// All documents of a kind, newest first: what a narrower list begins with.
    pub fn of(kind: &str, tenant: Option<Tenant>, limit: u32) -> Self {
        Self {
            kind: kind.to_owned(),
            tenant,
            parent: None,
            containing: Vec::new(),
            from: None,
            to: None,
            after: None,
            limit,
        }
    }
}

/// What may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Keys made before this.
    pub keys: Timestamp,
    /// Done notices received before this.
    pub notices: Timestamp,
    /// Finished deliveries made before this.
    pub deliveries: Timestamp,
    /// Rows per table and call.
    pub limit: u32,
}

/// What waits, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Orders whose due moment has passed.
    pub due: u64,
    /// The oldest due moment.
    pub oldest_due: Option<Timestamp>,
    /// Notices that are not done.
    pub notices: u64,
    /// The oldest of them.
    pub oldest_notice: Option<Timestamp>,
    /// Deliveries to be made.
    pub deliveries: u64,
    /// The oldest of them.
    pub oldest_delivery: Option<Timestamp>,
    /// Orders that need a person.
    pub attention: u64,
    /// The oldest event that the reader [`BOOKS`] has not folded: lists, balances and webhooks stand before it.
    pub oldest_event: Option<Timestamp>,
}
