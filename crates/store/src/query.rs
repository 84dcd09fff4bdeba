//! Lists whose conditions vary, written once for both databases. Values are always parameters; `?` marks their places.

use florin_core::id::OrderId;
use florin_core::time::Timestamp;
use uuid::Uuid;

use crate::terms::term;
use crate::{DeliverySearch, FeedSearch, ListRecords, Search};

/// A statement that grows condition by condition.
pub(crate) struct Query {
    sql: String,
    pub(crate) values: Vec<Value>,
}

/// What stands at a `?`.
#[derive(Debug)]
pub(crate) enum Value {
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
    Id(Uuid),
}

/// Where an order stands in lists: newest first is the reverse of this.
pub(crate) type Place = (Timestamp, OrderId);

impl Query {
    fn new(sql: &str) -> Self {
        Self {
            sql: sql.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds `text`, whose question marks stand for `values` in order.
    fn add<const N: usize>(&mut self, text: &str, values: [Value; N]) {
        self.sql += text;
        self.values.extend(values);
    }

    /// The statement for SQLite.
    pub(crate) fn marked(&self) -> &str {
        &self.sql
    }

    /// The statement for PostgreSQL, which numbers its parameters.
    pub(crate) fn numbered(&self) -> String {
        let mut pieces = self.sql.split('?');
        let mut sql = pieces.next().unwrap_or_default().to_owned();
        for (number, piece) in (1..).zip(pieces) {
            sql += &format!("${number}{piece}");
        }
        sql
    }
}

fn millis(moment: Timestamp) -> Value {
    Value::Integer(moment.millis())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Whether a search needs what readers have folded: more than an order's own row knows.
pub(crate) fn needs_listing(search: &Search) -> bool {
    search.reference.is_none()
        || search.status.is_some()
        || search.customer.is_some()
        || search.attention
        || !search.metadata.is_empty()
}

/// Whether an order at `place` is within the bounds of a search.
pub(crate) fn within(search: &Search, place: Place, after: Option<Place>) -> bool {
    search.from.is_none_or(|from| place.0 >= from)
        && search.to.is_none_or(|to| place.0 < to)
        && after.is_none_or(|after| place < after)
}

/// How a database says that `terms` holds some bytes.
#[derive(Clone, Copy)]
pub(crate) enum Holds {
    /// SQLite.
    Instr,
    /// PostgreSQL.
    Position,
}

/// The word that most orders come to. The index by status leaves it out: it would be half of all that the index is written for, and
/// whoever asks for it finds it on every page of the tenant's own list.
pub(crate) const COMMON: &str = "captured";

/// Finds ids of orders in listings. `named` is where the order with the wanted reference stands, `after` where the page begins.
pub(crate) fn search(tenant: i32, search: &Search, named: Option<Place>, after: Option<Place>, holds: Holds) -> Query {
    let mut query = Query::new("select order_id from listings where tenant = ?");
    query.values.push(Value::Integer(tenant.into()));
    if let Some(status) = &search.status {
        query.add(" and status = ?", [text(status)]);
        if status != COMMON {
            // Says that the index by status has it.
            query.add(&format!(" and status <> '{COMMON}'"), []);
        }
    }
    if let Some(customer) = &search.customer {
        query.add(" and customer = ?", [text(customer)]);
    }
    if search.attention {
        query.add(" and attention = 1", []);
    }
    if let Some((at, order)) = named {
        query.add(
            " and created_at = ? and order_id = ?",
            [millis(at), Value::Id(order.uuid())],
        );
    }
    if let Some(from) = search.from {
        query.add(" and created_at >= ?", [millis(from)]);
    }
    if let Some(to) = search.to {
        query.add(" and created_at < ?", [millis(to)]);
    }
    if let Some((at, order)) = after {
        query.add(
            " and (created_at, order_id) < (?, ?)",
            [millis(at), Value::Id(order.uuid())],
        );
    }
    for (name, value) in &search.metadata {
        let condition = match holds {
            Holds::Instr => " and instr(terms, ?) > 0",
            Holds::Position => " and position(?::bytea in terms) > 0",
        };
        query.add(condition, [Value::Bytes(term(name, value).to_vec())]);
    }
    let limit = Value::Integer(search.limit.into());
    query.add(" order by created_at desc, order_id desc limit ?", [limit]);
    query
}

/// Finds event rows in the feed. `place` names the columns that say where in the stream a row stands, and `after` holds their values.
pub(crate) fn feed<const N: usize>(
    columns: &str,
    place: &[&str; N],
    tenant: i32,
    search: &FeedSearch,
    after: Option<[i64; N]>,
) -> Query {
    let (far, order) = if search.oldest_first {
        (">", "asc")
    } else {
        ("<", "desc")
    };
    let joined = place.map(|column| format!("e.{column} = f.{column}")).join(" and ");
    let mut query = Query::new(&format!(
        "select {columns} from feed f join events e on {joined} where f.tenant = ?"
    ));
    query.values.push(Value::Integer(tenant.into()));
    if search.money {
        query.add(" and f.money = 1", []);
    }
    if let Some(from) = search.from {
        query.add(" and f.time >= ?", [millis(from)]);
    }
    if let Some(to) = search.to {
        query.add(" and f.time < ?", [millis(to)]);
    }
    let named = place.map(|column| format!("f.{column}"));
    if let Some(after) = after {
        let marks = ["?"; N].join(", ");
        query.add(
            &format!(" and ({}) {far} ({marks})", named.join(", ")),
            after.map(Value::Integer),
        );
    }
    let ordered = named.map(|column| format!("{column} {order}")).join(", ");
    query.add(
        &format!(" order by {ordered} limit ?"),
        [Value::Integer(search.limit.into())],
    );
    query
}

/// Finds deliveries. `after` is when the last one of the page before was made, and its id.
pub(crate) fn deliveries(
    columns: &str,
    tenant: i32,
    search: &DeliverySearch,
    after: Option<(Timestamp, Uuid)>,
) -> Query {
    let mut query = Query::new(&format!("select {columns} from deliveries where tenant = ?"));
    query.values.push(Value::Integer(tenant.into()));
    if let Some(endpoint) = search.endpoint {
        query.add(" and endpoint = ?", [Value::Id(endpoint.uuid())]);
    }
    if let Some(order) = search.order {
        query.add(" and order_id = ?", [Value::Id(order.uuid())]);
    }
    if let Some(status) = search.status {
        // A literal, so that the partial index of what was not delivered can serve it.
        query.add(&format!(" and status = {}", status.code()), []);
    }
    if let Some((at, id)) = after {
        query.add(" and (created_at, id) < (?, ?)", [millis(at), Value::Id(id)]);
    }
    query.add(
        " order by created_at desc, id desc limit ?",
        [Value::Integer(search.limit.into())],
    );
    query
}

/// Finds documents. `after` is when the last one of the page before was made, and its id.
pub(crate) fn records(
    columns: &str,
    tenant: Option<i32>,
    list: &ListRecords,
    after: Option<(Timestamp, &str)>,
) -> Query {
    let mut query = Query::new(&format!("select {columns} from records where removed = 0 and kind = ?"));
    query.values.push(text(&list.kind));
    if let Some(tenant) = tenant {
        query.add(" and tenant = ?", [Value::Integer(tenant.into())]);
    }
    if let Some(parent) = &list.parent {
        query.add(" and parent = ?", [text(parent)]);
    }
    if let Some((at, id)) = after {
        query.add(" and (created_at, id) < (?, ?)", [millis(at), text(id)]);
    }
    query.add(
        " order by created_at desc, id desc limit ?",
        [Value::Integer(list.limit.into())],
    );
    query
}
