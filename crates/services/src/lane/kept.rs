//! Orders in a lane's memory: as they were last written, and the few that were used last.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use florin_core::id::OrderId;
use florin_core::time::Timestamp;
use florin_store::{EventRow, Hash, IdemKey, Lease, OrderRow};

use crate::chain;
use crate::snapshot;
use crate::view::View;
use crate::work::Entry;

/// Orders that a lane remembers. An order is 2 to 3 KB, so this is 10 MB at most; it must hold more than can be in flight at a time.
pub const ORDERS_KEPT_MAX: usize = 4_096;

/// An order as it was last written or read.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) view: Arc<View>,
    pub(super) work: Vec<Entry>,
    pub(super) key: Option<IdemKey>,
    pub(super) chain: Hash,
    pub(super) fence: u32,
    pub(super) lease: Option<Lease>,
    pub(super) created_at: Timestamp,
}

/// Why a row does not become an order in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Row and events were not read at the same moment: read both again.
    Torn,
    /// The stored bytes do not hold.
    Damaged(String),
}

impl Kept {
    /// An order from its row, proven by its events.
    pub(super) fn read(row: &OrderRow, events: &[EventRow]) -> Result<Self, Unfit> {
        // Events of a commit that came between the two reads are newer than the row.
        let known = events.iter().take_while(|event| event.version <= row.version).count();
        let events = &events[..known];
        let newest = events.last().map_or(0, |event| event.version);
        if newest < row.version {
            return Err(Unfit::Torn);
        }
        let hash = chain::walk(events).map_err(Unfit::Damaged)?;
        if hash != row.chain {
            return Err(Unfit::Damaged("its row does not stand on its newest event".into()));
        }
        let damaged = |damage: snapshot::Damage| Unfit::Damaged(damage.0);
        let details = snapshot::details_of(events).map_err(damaged)?;
        let (view, work) = snapshot::read(row, details).map_err(damaged)?;
        Ok(Self {
            view: Arc::new(view),
            work,
            key: row.key.clone(),
            chain: row.chain,
            fence: row.fence,
            lease: row.lease,
            created_at: row.created_at,
        })
    }

    pub(super) fn version(&self) -> u32 {
        self.view.order.version
    }
}

/// The orders that were used last.
#[derive(Default)]
pub(super) struct Cache {
    orders: HashMap<OrderId, (Kept, u64)>,
    used: VecDeque<(OrderId, u64)>,
    clock: u64,
}

impl Cache {
    pub(super) fn get(&self, order: OrderId) -> Option<&Kept> {
        self.orders.get(&order).map(|(kept, _)| kept)
    }

    /// Takes an order out, to be changed and put back, or to be forgotten.
    pub(super) fn take(&mut self, order: OrderId) -> Option<Kept> {
        self.orders.remove(&order).map(|(kept, _)| kept)
    }

    pub(super) fn put(&mut self, order: OrderId, kept: Kept) {
        self.clock += 1;
        self.orders.insert(order, (kept, self.clock));
        self.used.push_back((order, self.clock));
        while self.orders.len() > ORDERS_KEPT_MAX || self.used.len() > 4 * ORDERS_KEPT_MAX {
            let Some((oldest, at)) = self.used.pop_front() else {
                break;
            };
            // A place in the line that is not the order's last one says nothing.
            if self.orders.get(&oldest).is_some_and(|(_, last)| *last == at) {
                if self.orders.len() > ORDERS_KEPT_MAX {
                    self.orders.remove(&oldest);
                } else {
                    self.used.push_back((oldest, at));
                }
            }
        }
    }
}
