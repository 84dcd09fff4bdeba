//! Orders in a lane's memory: as they were last written, and the few that were used last.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use florin_core::id::OrderId;
use florin_core::time::Timestamp;
use florin_store::{EventRow, Hash, IdemKey, Lease, OrderRow};

use crate::chain;
use crate::snapshot::{self, TOLD_ROWS_MAX};
use crate::view::View;
use crate::work::Entry;

/// Orders under way that a lane remembers; it should hold more than can be in flight at a time.
pub const ORDERS_KEPT_MAX: usize = 4_096;
/// Orders of which nothing is under way that a lane remembers. Most are over; of the others the next call (a confirm, a capture) reads row and
/// events anew when so many were used since. A small shop's server keeps a thousand orders otherwise, which is 3 MB.
const RESTING_KEPT_MAX: usize = 256;
/// Bytes of orders, as they are written down, that a lane remembers. An order is 2 to 3 KB, so as many as may be fit; one with all the
/// lines and metadata that it may have is sixty times that, and then fewer are remembered.
const KEPT_BYTES_MAX: usize = 12 << 20;
/// The same of those that rest.
const RESTING_BYTES_MAX: usize = 4 << 20;

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
    /// When its event rows were written; no more of them than tell that it needs a snapshot.
    pub(super) rows: Vec<Timestamp>,
    /// How long these are while they tell it alone.
    pub(super) told_bytes: usize,
    /// How long its snapshot and its open work were when they were last written or read.
    pub(super) state_bytes: usize,
    /// How long its description was: at most as long as the event that had it.
    pub(super) details_bytes: usize,
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
        let (view, work) = snapshot::read(row, events).map_err(damaged)?;
        Ok(Self {
            view: Arc::new(view),
            work,
            key: row.key.clone(),
            chain: row.chain,
            fence: row.fence,
            lease: row.lease,
            created_at: row.created_at,
            rows: rows_of(events),
            told_bytes: told_bytes(events),
            state_bytes: row.state.len() + row.work.as_ref().map_or(0, String::len),
            details_bytes: events.iter().map(|event| event.body.len()).max().unwrap_or_default(),
        })
    }

    fn bytes(&self) -> usize {
        self.told_bytes + self.state_bytes + self.details_bytes
    }

    pub(super) fn version(&self) -> u32 {
        self.view.order.version
    }
}

/// The moments of the first event rows.
fn rows_of(events: &[EventRow]) -> Vec<Timestamp> {
    events.iter().take(TOLD_ROWS_MAX + 1).map(|event| event.time).collect()
}

/// How long the events are that tell an order alone.
fn told_bytes(events: &[EventRow]) -> usize {
    let alone = events.len() <= TOLD_ROWS_MAX;
    events.iter().filter(|_| alone).map(|event| event.body.len()).sum()
}

/// The orders that were used last: those of which something is under way, and those that rest.
pub(super) struct Cache {
    busy: Group,
    resting: Group,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            busy: Group::new(ORDERS_KEPT_MAX, KEPT_BYTES_MAX),
            resting: Group::new(RESTING_KEPT_MAX, RESTING_BYTES_MAX),
        }
    }
}

impl Cache {
    pub(super) fn get(&self, order: OrderId) -> Option<&Kept> {
        self.busy.get(order).or_else(|| self.resting.get(order))
    }

    /// Takes an order out, to be changed and put back, or to be forgotten.
    pub(super) fn take(&mut self, order: OrderId) -> Option<Kept> {
        self.busy.take(order).or_else(|| self.resting.take(order))
    }

    pub(super) fn put(&mut self, order: OrderId, kept: Kept) {
        self.take(order);
        if kept.work.is_empty() {
            self.resting.put(order, kept);
        } else {
            self.busy.put(order, kept);
        }
    }
}

/// So many orders and bytes at most.
struct Group {
    orders_max: usize,
    bytes_max: usize,
    orders: HashMap<OrderId, (Kept, u64)>,
    /// Who was used when; a place that is not an order's last one says nothing.
    used: VecDeque<(OrderId, u64)>,
    clock: u64,
    bytes: usize,
}

impl Group {
    fn new(orders_max: usize, bytes_max: usize) -> Self {
        Self {
            orders_max,
            bytes_max,
            orders: HashMap::new(),
            used: VecDeque::new(),
            clock: 0,
            bytes: 0,
        }
    }

    fn get(&self, order: OrderId) -> Option<&Kept> {
        self.orders.get(&order).map(|(kept, _)| kept)
    }

    fn take(&mut self, order: OrderId) -> Option<Kept> {
        let (kept, _) = self.orders.remove(&order)?;
        self.bytes -= kept.bytes();
        Some(kept)
    }

    fn put(&mut self, order: OrderId, kept: Kept) {
        self.clock += 1;
        self.bytes += kept.bytes();
        self.orders.insert(order, (kept, self.clock));
        self.used.push_back((order, self.clock));
        while self.is_over() || self.used.len() > 4 * self.orders_max {
            let Some((oldest, at)) = self.used.pop_front() else {
                break;
            };
            if self.orders.get(&oldest).is_some_and(|(_, last)| *last == at) {
                if self.is_over() {
                    self.take(oldest);
                } else {
                    self.used.push_back((oldest, at));
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.orders.len() > self.orders_max || self.bytes > self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use florin_core::id::MerchantId;
    use florin_core::money::{Currency, Money};
    use florin_core::order::{Order, StepKind, StepName, Terms};
    use florin_store::{Mode, Tenant};
    use uuid::Uuid;

    use super::*;
    use crate::work::Place;

    fn id(number: usize) -> OrderId {
        OrderId::from_uuid(Uuid::from_u128(number as u128))
    }

    fn kept(number: usize, details_bytes: usize) -> Kept {
        let now = Timestamp::from_millis(1_000);
        let terms = Terms::payment(Money::new(1_099, Currency::EUR), now);
        let view = View {
            tenant: Tenant {
                merchant: MerchantId::from_uuid(Uuid::from_u128(1)),
                mode: Mode::Test,
            },
            reference: number.to_string(),
            order: Order::open(id(number), terms, now).0,
            details: Arc::default(),
            memos: Default::default(),
            steps: Default::default(),
        };
        Kept {
            view: Arc::new(view),
            work: Vec::new(),
            key: None,
            chain: chain::START,
            fence: 0,
            lease: None,
            created_at: now,
            rows: vec![now],
            told_bytes: 0,
            state_bytes: 2_000,
            details_bytes,
        }
    }

    fn held(cache: &Cache) -> Vec<usize> {
        let numbers = 0..2 * ORDERS_KEPT_MAX;
        numbers.filter(|number| cache.get(id(*number)).is_some()).collect()
    }

    fn busy(number: usize) -> Kept {
        let step = StepName {
            attempt: 1,
            kind: StepKind::Authorize,
            index: 0,
        };
        let work = Entry::new(step, Place::Held, Timestamp::from_millis(1_000), 0);
        Kept {
            work: vec![work],
            ..kept(number, 500)
        }
    }

    #[test]
    fn the_orders_that_were_used_last_are_remembered() {
        for (most, order) in [
            (RESTING_KEPT_MAX, (|number| kept(number, 500)) as fn(usize) -> Kept),
            (ORDERS_KEPT_MAX, busy),
        ] {
            let mut cache = Cache::default();
            for number in 0..most + 10 {
                cache.put(id(number), order(number));
                let first = cache.take(id(0)).expect("used every time");
                cache.put(id(0), first);
            }
            let held = held(&cache);
            assert_eq!((held.len(), held[0]), (most, 0));
            assert_eq!(held[1], 11, "the ten that nobody used for longest are forgotten");
        }
    }

    #[test]
    fn an_order_under_way_is_remembered_whatever_came_to_rest_since() {
        let mut cache = Cache::default();
        cache.put(id(0), busy(0));
        for number in 1..2 * RESTING_KEPT_MAX {
            cache.put(id(number), kept(number, 500));
        }
        assert!(cache.get(id(0)).is_some());
        assert_eq!(held(&cache).len(), 1 + RESTING_KEPT_MAX);
        // Over now: it is one of those that rest, and once.
        cache.put(id(0), kept(0, 500));
        assert_eq!((cache.busy.bytes, held(&cache).len()), (0, RESTING_KEPT_MAX));
    }

    #[test]
    fn large_orders_are_remembered_by_their_size_and_not_by_their_number() {
        let large = 150_000;
        let mut cache = Cache::default();
        for number in 0..1_000 {
            cache.put(id(number), kept(number, large));
            assert!(
                cache.resting.bytes <= RESTING_BYTES_MAX,
                "{} bytes after {number}",
                cache.resting.bytes
            );
        }
        let held = held(&cache);
        assert_eq!(held.len(), RESTING_BYTES_MAX / (large + 2_000));
        assert_eq!(held.last(), Some(&999));
        // What was large once and is put back small is counted as it is.
        for number in held {
            cache.take(id(number));
        }
        assert_eq!(cache.resting.bytes, 0);
    }

    #[test]
    fn an_order_that_is_put_twice_is_counted_once() {
        let mut cache = Cache::default();
        for _ in 0..100 {
            cache.put(id(1), kept(1, 500));
        }
        assert_eq!(cache.resting.bytes, 2_500);
    }
}
