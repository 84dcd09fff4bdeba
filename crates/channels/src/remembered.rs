//! What was read of orders a moment ago, so that each is read once for a list or for its webhooks; as much as is small together, and
//! beyond that some again.

use std::collections::HashMap;
use std::sync::Arc;

use florin_core::id::OrderId;
use florin_services::engine::Told;
use florin_services::view::{Details, View};

/// Bytes of orders that one list remembers: thousands as they usually are, a hundred with every line and every name they may have.
pub(crate) const LIST_BYTES_MAX: usize = 8 << 20;
/// An order without what it is for, in memory.
const ORDER_BYTES: usize = 3_000;

/// By order.
pub(crate) struct Remembered<T> {
    orders: HashMap<OrderId, T>,
    bytes: usize,
    bytes_max: usize,
}

impl<T> Remembered<T> {
    /// Nothing yet, and never more than so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            orders: HashMap::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub(crate) fn get(&self, order: OrderId) -> Option<&T> {
        self.orders.get(&order)
    }

    /// Remembers an order; what was remembered of it gives way and still counts. When there is no room everything else is forgotten:
    /// a list goes forward and rarely comes back, and webhooks of an order go out close together.
    pub(crate) fn put(&mut self, order: OrderId, item: T, bytes: usize) {
        if self.bytes + bytes > self.bytes_max {
            (self.orders, self.bytes) = (HashMap::new(), 0);
        }
        self.bytes += bytes;
        self.orders.insert(order, item);
    }
}

/// About how much memory an order takes.
pub(crate) fn bytes_of(view: &View) -> usize {
    ORDER_BYTES + details_bytes(&view.details)
}

/// About how much memory the events of an order take: each shows the order as it was, and they share what it was for while that stayed.
pub(crate) fn bytes_of_all(events: &[Told]) -> usize {
    let mut last: Option<&Arc<Details>> = None;
    let sizes = events.iter().map(|told| {
        let details = &told.order.details;
        let shared = last.replace(details).is_some_and(|last| Arc::ptr_eq(last, details));
        if shared { ORDER_BYTES } else { bytes_of(&told.order) }
    });
    sizes.sum()
}

fn details_bytes(details: &Details) -> usize {
    serde_json::to_string(details).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use florin_core::id::MerchantId;
    use florin_core::money::{Currency, Money};
    use florin_core::order::{Order, Terms};
    use florin_core::time::Timestamp;
    use florin_store::{Mode, Tenant};
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> OrderId {
        OrderId::from_uuid(Uuid::from_u128(number))
    }

    fn view(number: u128, description_bytes: usize) -> Arc<View> {
        let now = Timestamp::from_millis(1_000);
        let terms = Terms::payment(Money::new(1_099, Currency::EUR), now);
        Arc::new(View {
            tenant: Tenant {
                merchant: MerchantId::from_uuid(Uuid::from_u128(1)),
                mode: Mode::Test,
            },
            reference: number.to_string(),
            order: Order::open(id(number), terms, now).0,
            details: Arc::new(Details {
                description: Some("x".repeat(description_bytes)),
                ..Details::default()
            }),
            memos: Default::default(),
            steps: Default::default(),
        })
    }

    fn told(order: &Arc<View>) -> Told {
        Told {
            id: "evt_1".into(),
            name: "order.created".into(),
            part: None,
            version: 1,
            sequence: 1,
            at: Timestamp::from_millis(1_000),
            order: Arc::clone(order),
            key: None,
        }
    }

    #[test]
    fn a_scan_over_large_orders_stays_small_and_one_over_usual_ones_reads_each_once() {
        let mut remembered = Remembered::new(LIST_BYTES_MAX);
        for number in 0..2_000 {
            let large = view(number, 60_000);
            remembered.put(id(number), Arc::clone(&large), bytes_of(&large));
            assert!(remembered.bytes <= LIST_BYTES_MAX && remembered.orders.len() <= 140);
            assert!(remembered.get(id(number)).is_some(), "the newest is always there");
        }
        let mut remembered = Remembered::new(LIST_BYTES_MAX);
        for number in 0..2_000 {
            let usual = view(number, 50);
            remembered.put(id(number), Arc::clone(&usual), bytes_of(&usual));
        }
        assert!(remembered.get(id(0)).is_some(), "a usual scan forgets nothing");
    }

    #[test]
    fn events_that_share_what_the_order_is_for_are_counted_so() {
        let (one, other) = (view(1, 60_000), view(1, 60_000));
        let shared = bytes_of_all(&[told(&one), told(&one), told(&one)]);
        assert!((69_000..70_000).contains(&shared), "{shared}");
        let changed = bytes_of_all(&[told(&one), told(&other), told(&one)]);
        assert!(changed > 180_000, "{changed}");
    }
}
