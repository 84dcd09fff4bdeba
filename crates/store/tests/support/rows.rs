//! Rows for tests: small numbers in, whole rows out.

use florin_core::id::{ConnectionId, DeliveryId, EndpointId, MerchantId, NodeId, OrderId};
use florin_core::time::Timestamp;
use florin_store::{
    Batch, Changed, Claim, Cursor, DeliveryRow, DeliveryStatus, EventRow, Hash, IdemKey, KeyRow, Lease, ListingRow,
    Marks, Mode, NoticeId, NoticeRow, OrderRow, Record, Search, Tenant, Terms,
};
use uuid::Uuid;

/// When tests begin.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// A UUID whose order is the order of the numbers.
pub(crate) fn uuid(number: u32) -> Uuid {
    let bits = (u128::from(number) << 80) | (0x7 << 76) | (0b10 << 62) | u128::from(number);
    Uuid::from_u128(bits)
}

pub(crate) fn order_id(number: u32) -> OrderId {
    OrderId::from_uuid(uuid(number))
}

pub(crate) fn connection(number: u32) -> ConnectionId {
    ConnectionId::from_uuid(uuid(number))
}

pub(crate) fn endpoint(number: u32) -> EndpointId {
    EndpointId::from_uuid(uuid(number))
}

pub(crate) fn delivery_id(number: u32) -> DeliveryId {
    DeliveryId::from_uuid(uuid(number))
}

pub(crate) fn node(number: u32) -> NodeId {
    NodeId::from_uuid(uuid(number))
}

pub(crate) fn tenant(number: u32) -> Tenant {
    Tenant {
        merchant: MerchantId::from_uuid(uuid(number)),
        mode: Mode::Test,
    }
}

pub(crate) fn live(number: u32) -> Tenant {
    Tenant {
        mode: Mode::Live,
        ..tenant(number)
    }
}

pub(crate) fn at(seconds: u32) -> Timestamp {
    START.plus_seconds(i64::from(seconds))
}

pub(crate) fn hash(number: u32, version: u32) -> Hash {
    let mut hash = [7; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    hash[4..8].copy_from_slice(&version.to_be_bytes());
    hash
}

pub(crate) fn key(text: &str) -> IdemKey {
    IdemKey {
        key: text.to_owned(),
        hash: [9; 32],
        earlier: None,
    }
}

/// Order `number` of tenant 1 as a sale first writes it: version 2, a step open, due in 30 s.
pub(crate) fn order(number: u32) -> OrderRow {
    OrderRow {
        id: order_id(number),
        tenant: tenant(1),
        reference: format!("A-{number}"),
        key: Some(key(&format!("key-{number}"))),
        version: 2,
        state: format!("{{\"phase\":\"pending\",\"number\":{number}}}"),
        chain: hash(number, 2),
        work: Some("{\"exchange\":\"confirm\"}".to_owned()),
        due: Some(at(30)),
        fence: 1,
        lease: None,
        created_at: at(number),
    }
}

pub(crate) fn event(order: &OrderRow) -> EventRow {
    EventRow {
        at: Cursor::START,
        order: order.id,
        tenant: order.tenant,
        version: order.version,
        count: 2,
        time: order.created_at,
        body: format!("[\"event {}\"]", order.version),
        postings: (order.version > 2).then(|| "[\"posting\"]".to_owned()),
        news: Some("[\"order.created\"]".to_owned()),
        hash: order.chain,
    }
}

/// A batch that makes these orders.
pub(crate) fn making(orders: impl IntoIterator<Item = OrderRow>) -> Batch {
    let new: Vec<OrderRow> = orders.into_iter().collect();
    Batch {
        events: new.iter().map(event).collect(),
        new,
        lease_s: 30,
        ..Batch::default()
    }
}

/// A batch that moves these orders on by one commit.
pub(crate) fn moving(orders: impl IntoIterator<Item = OrderRow>) -> Batch {
    let changed: Vec<Changed> = orders
        .into_iter()
        .map(|order| Changed {
            read_version: order.version,
            row: next(&order),
        })
        .collect();
    Batch {
        events: changed.iter().map(|one| event(&one.row)).collect(),
        changed,
        lease_s: 30,
        ..Batch::default()
    }
}

/// The order after its step ended.
pub(crate) fn next(order: &OrderRow) -> OrderRow {
    let version = order.version + 1;
    let number = order.id.uuid().as_u128() as u32;
    OrderRow {
        version,
        state: format!("{{\"phase\":\"captured\",\"version\":{version}}}"),
        chain: hash(number, version),
        work: None,
        due: None,
        lease: None,
        ..order.clone()
    }
}

pub(crate) fn leased(order: OrderRow, number: u32) -> OrderRow {
    OrderRow {
        lease: Some(Lease {
            node: node(number),
            until: Lease::FROM_NOW,
        }),
        ..order
    }
}

pub(crate) fn key_row(text: &str) -> KeyRow {
    KeyRow {
        tenant: tenant(1),
        key: key(text),
        made: "{\"order\":1}".to_owned(),
        created_at: at(1),
    }
}

pub(crate) fn notice(number: u32) -> NoticeRow {
    NoticeRow {
        id: NoticeId {
            connection: connection(1),
            id: format!("evt_{number}"),
        },
        tenant: tenant(1),
        item: format!("{{\"notice\":{number}}}"),
        received_at: at(number),
        due: at(number),
    }
}

pub(crate) fn listing(number: u32) -> ListingRow {
    ListingRow {
        order: order_id(number),
        tenant: tenant(1),
        version: 2,
        status: "captured".to_owned(),
        customer: None,
        attention: false,
        created_at: at(number),
        terms: Terms::default(),
        marks: Marks::NONE,
        changed_at: at(number),
        first: false,
    }
}

pub(crate) fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// What a listing keeps of this metadata.
pub(crate) fn terms(metadata: &[(String, String)]) -> Terms {
    Terms::of(metadata.iter().map(|(name, value)| (name, value)))
}

pub(crate) fn search() -> Search {
    Search::of(tenant(1), 100)
}

pub(crate) fn claim(number: u32) -> Claim {
    Claim {
        node: node(number),
        now: at(60),
        lease_s: 30,
        limit: 100,
        own: false,
        without: Vec::new(),
    }
}

pub(crate) fn delivery(number: u32) -> DeliveryRow {
    DeliveryRow {
        id: delivery_id(number),
        tenant: tenant(1),
        endpoint: endpoint(1),
        order: order_id(number),
        event: format!("evt_{number}"),
        name: "order.captured".to_owned(),
        status: DeliveryStatus::Pending,
        tries: "[]".to_owned(),
        due: Some(at(number)),
        created_at: at(number),
    }
}

pub(crate) fn record(number: u32) -> Record {
    Record {
        kind: "customer".to_owned(),
        tenant: Some(tenant(1)),
        id: format!("cus_{number:04}"),
        alias: Some(format!("alias-{number}")),
        parent: None,
        version: 1,
        body: "{}".to_owned(),
        created_at: at(number),
        removed: false,
    }
}
