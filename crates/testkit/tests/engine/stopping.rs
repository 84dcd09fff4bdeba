//! A store that stops answering after a commit, so that a node can be killed between "written" and "sent".

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use florin_core::id::{DeliveryId, OrderId};
use florin_core::time::Timestamp;
use florin_store::{
    Answer, Backlog, BalanceRow, Batch, Claim, Cursor, DeliveryRow, DeliverySearch, EventHead, EventRow, FeedSearch,
    Fold, Found, KeyRow, ListRecords, NoticeRow, OrderRow, Outcome, ProviderRef, Record, Retention, Search, Store,
    Tenant, Wanted, Which,
};
use tokio::sync::Notify;

/// After so many commits with events the next answer never comes; the commit itself is durable.
pub struct Stopping {
    inner: Arc<dyn Store>,
    left: AtomicI64,
    pub stopped: Notify,
}

impl Stopping {
    pub fn after(inner: Arc<dyn Store>, commits: i64) -> Arc<Self> {
        Arc::new(Self {
            inner,
            left: AtomicI64::new(commits),
            stopped: Notify::new(),
        })
    }
}

macro_rules! pass_on {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
        fn $name<'a>(&'a self, $($arg: $type),*) -> Answer<'a, $out> {
            self.inner.$name($($arg),*)
        }
    )*};
}

impl Store for Stopping {
    fn commit<'a>(&'a self, batch: &'a Batch) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let outcome = self.inner.commit(batch).await;
            if !batch.events.is_empty() && self.left.fetch_sub(1, Ordering::SeqCst) <= 1 {
                self.stopped.notify_one();
                std::future::pending::<()>().await;
            }
            outcome
        })
    }

    fn events_of(&self, order: OrderId) -> Answer<'_, Vec<EventRow>> {
        self.inner.events_of(order)
    }

    fn events_after(&self, cursor: Cursor, limit: u32) -> Answer<'_, Vec<EventRow>> {
        self.inner.events_after(cursor, limit)
    }

    fn heads_after(&self, cursor: Cursor, limit: u32) -> Answer<'_, Vec<EventHead>> {
        self.inner.heads_after(cursor, limit)
    }

    fn events_at(&self, places: Vec<Cursor>) -> Answer<'_, Vec<EventRow>> {
        self.inner.events_at(places)
    }

    fn orders_after(&self, after: Option<OrderId>, limit: u32) -> Answer<'_, Vec<OrderRow>> {
        self.inner.orders_after(after, limit)
    }

    fn waiting(&self, after: Option<(Timestamp, OrderId)>, limit: u32) -> Answer<'_, Vec<OrderRow>> {
        self.inner.waiting(after, limit)
    }

    fn balances(&self, tenant: Tenant) -> Answer<'_, (Vec<BalanceRow>, Cursor)> {
        self.inner.balances(tenant)
    }

    fn delivery(&self, tenant: Tenant, id: DeliveryId) -> Answer<'_, Option<DeliveryRow>> {
        self.inner.delivery(tenant, id)
    }

    fn migrate(&self) -> Answer<'_, u32> {
        self.inner.migrate()
    }

    fn level(&self) -> Answer<'_, u32> {
        self.inner.level()
    }

    fn clock(&self) -> Answer<'_, Timestamp> {
        self.inner.clock()
    }

    fn backlog(&self, now: Timestamp) -> Answer<'_, Backlog> {
        self.inner.backlog(now)
    }

    fn fold(&self, fold: Fold) -> Answer<'_, bool> {
        self.inner.fold(fold)
    }

    pass_on! {
        load(wanted: &'a Wanted) -> Found;
        was_committed(batch: &'a Batch) -> bool;
        claim(claim: &'a Claim) -> Vec<OrderRow>;
        inbox(limit: u32) -> Vec<NoticeRow>;
        search(search: &'a Search) -> Vec<OrderId>;
        feed(search: &'a FeedSearch) -> Vec<EventRow>;
        order_of_ref(reference: &'a ProviderRef) -> Option<OrderId>;
        cursor(reader: &'a str) -> Cursor;
        claim_deliveries(claim: &'a Claim) -> Vec<DeliveryRow>;
        write_deliveries(rows: &'a [DeliveryRow]) -> ();
        deliveries(search: &'a DeliverySearch) -> Vec<DeliveryRow>;
        put(records: &'a [Record], keys: &'a [KeyRow]) -> Outcome;
        get(which: &'a Which) -> Option<Record>;
        list(list: &'a ListRecords) -> Vec<Record>;
        tidy(before: &'a Retention) -> u64;
        backup(to: &'a Path) -> ();
    }
}
