//! The tables.

use std::collections::BTreeMap;

use florin_core::id::{ConnectionId, DeliveryId, OrderId};
use florin_core::money::Currency;

use crate::{
    Cursor, DeliveryRow, EventRow, KeyRow, Lease, ListingRow, NoticeId, NoticeRow, OrderRow, ProviderRef, Record,
    Tenant,
};

/// All tables. A clone is a consistent copy.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) orders: BTreeMap<OrderId, OrderRow>,
    pub(super) references: BTreeMap<(Tenant, String), OrderId>,
    pub(super) order_keys: BTreeMap<(Tenant, String), OrderId>,
    pub(super) events: Vec<EventRow>,
    /// Where in `events` an order's version lies.
    pub(super) versions: BTreeMap<(OrderId, u32), usize>,
    pub(super) keys: BTreeMap<(Tenant, String), KeyRow>,
    pub(super) inbox: BTreeMap<NoticeId, Notice>,
    /// Notices that ever came.
    pub(super) notices: usize,
    pub(super) cursors: BTreeMap<String, Cursor>,
    pub(super) listings: BTreeMap<OrderId, ListingRow>,
    /// Event rows that lists show.
    pub(super) feed: std::collections::BTreeSet<Cursor>,
    pub(super) refs: BTreeMap<ProviderRef, OrderId>,
    pub(super) balances: BTreeMap<Account, Sums>,
    pub(super) deliveries: BTreeMap<DeliveryId, Delivery>,
    /// By kind and id.
    pub(super) records: BTreeMap<(String, String), Record>,
}

#[derive(Clone)]
pub(super) struct Notice {
    pub(super) row: NoticeRow,
    pub(super) done: bool,
    /// When it came, among all.
    pub(super) number: usize,
}

#[derive(Clone)]
pub(super) struct Delivery {
    pub(super) row: DeliveryRow,
    pub(super) lease: Option<Lease>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account {
    pub(super) tenant: Tenant,
    pub(super) connection: ConnectionId,
    pub(super) account: String,
    pub(super) currency: Currency,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) posted: i128,
    pub(super) pending: i128,
}
