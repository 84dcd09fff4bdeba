//! Lists whose conditions vary, written once for both databases. Values are always parameters; `?` marks their places.

use florin_core::id::OrderId;
use florin_core::time::Timestamp;
use uuid::Uuid;

use crate::terms::term;
use crate::{DeliverySearch, FeedSearch, ListRecords, Marks, Search};

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

    /// Adds that one of `values` holds in `condition`, if there are any.
    fn add_any(&mut self, condition: &str, values: impl Iterator<Item = Value>) {
        let known = self.values.len();
        self.values.extend(values);
        let conditions = vec![condition; self.values.len() - known];
        if !conditions.is_empty() {
            self.sql += &format!(" and ({})", conditions.join(" or "));
        }
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
        || !search.words.is_empty()
        || search.marks != Marks::NONE
        || search.changed_from.is_some()
}

/// Whether an order at `place` is within the bounds of a search.
pub(crate) fn within(search: &Search, place: Place, after: Option<Place>) -> bool {
    search.from.is_none_or(|from| place.0 >= from)
        && search.to.is_none_or(|to| place.0 < to)
        && after.is_none_or(|after| place < after)
}

/// How a database says that `terms` holds some bytes, or a body some text.
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
    query.add_any("status = ?", search.words.iter().map(|word| text(word)));
    if search.marks != Marks::NONE {
        let bits = search.marks.bits();
        query.add(&format!(" and (marks & {bits}) = {bits}"), []);
    }
    if let Some(from) = search.changed_from {
        query.add(" and coalesce(changed_at >= ?, true)", [millis(from)]);
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
    if let Some(from) = search.from {
        query.add(" and created_at >= ?", [millis(from)]);
    }
    if let Some(to) = search.to {
        query.add(" and created_at < ?", [millis(to)]);
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
    holds: Holds,
) -> Query {
    let mut query = Query::new(&format!("select {columns} from records where removed = 0 and kind = ?"));
    query.values.push(text(&list.kind));
    if let Some(tenant) = tenant {
        query.add(" and tenant = ?", [Value::Integer(tenant.into())]);
    }
    if let Some(parent) = &list.parent {
        query.add(" and parent = ?", [text(parent)]);
    }
    if let Some(from) = list.from {
        query.add(" and created_at >= ?", [millis(from)]);
    }
    if let Some(to) = list.to {
        query.add(" and created_at < ?", [millis(to)]);
    }
    for group in &list.containing {
        let condition = match holds {
            Holds::Instr => "instr(body, ?) > 0",
            Holds::Position => "strpos(body, ?) > 0",
        };
        query.add_any(condition, group.iter().map(|piece| text(piece)));
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

/// Every kind of list, for tests of their plans.
#[cfg(test)]
pub(crate) mod every {
    use florin_core::id::{EndpointId, MerchantId};

    use super::*;
    use crate::{DeliveryStatus, Mode, Tenant};

    fn tenant() -> Tenant {
        Tenant {
            merchant: MerchantId::from_uuid(Uuid::nil()),
            mode: Mode::Test,
        }
    }

    pub(crate) fn nothing() -> Search {
        Search::of(tenant(), 20)
    }

    /// Searches with each filter, and with all pairs of them, on the first page and a later one.
    pub(crate) fn searches(holds: Holds) -> Vec<Query> {
        type Change = fn(Search) -> Search;
        let filters: [Change; 10] = [
            |search| search,
            |search| Search {
                status: Some(COMMON.to_owned()),
                ..search
            },
            |search| Search {
                status: Some("authorized".to_owned()),
                ..search
            },
            |search| Search {
                customer: Some("cus".to_owned()),
                ..search
            },
            |search| Search {
                attention: true,
                ..search
            },
            |search| Search {
                metadata: vec![("a".to_owned(), "b".to_owned())],
                ..search
            },
            |search| Search {
                metadata: vec![("a".to_owned(), "b".to_owned()), ("c".to_owned(), "d".to_owned())],
                ..search
            },
            |search| Search {
                words: vec!["failed".to_owned(), COMMON.to_owned()],
                ..search
            },
            |search| Search {
                marks: Marks::REFUNDED,
                changed_from: Some(Timestamp::from_millis(1)),
                ..search
            },
            |search| Search {
                from: Some(Timestamp::from_millis(1)),
                to: Some(Timestamp::from_millis(2)),
                ..search
            },
        ];
        let place = (Timestamp::from_millis(1), OrderId::from_uuid(Uuid::nil()));
        let mut queries = Vec::new();
        for one in filters {
            for two in filters {
                for after in [None, Some(place)] {
                    queries.push(search(1, &two(one(nothing())), None, after, holds));
                }
            }
        }
        queries.push(search(1, &nothing(), Some(place), None, holds));
        queries
    }

    /// Deliveries, documents and the feed, with each filter. `place` is where event rows stand in this database.
    pub(crate) fn others<const N: usize>(place: &[&str; N], holds: Holds) -> Vec<Query> {
        let (at, id) = (Timestamp::from_millis(1), Uuid::nil());
        let all = DeliverySearch {
            tenant: tenant(),
            endpoint: None,
            order: None,
            status: None,
            from: None,
            to: None,
            after: None,
            limit: 20,
        };
        let list = ListRecords::of("customer", None, 20);
        let feeds = FeedSearch {
            tenant: tenant(),
            money: false,
            from: None,
            to: None,
            after: None,
            oldest_first: false,
            limit: 20,
        };
        let mut queries = Vec::new();
        for after in [None, Some((at, id))] {
            for search in [
                all.clone(),
                DeliverySearch {
                    endpoint: Some(EndpointId::from_uuid(id)),
                    ..all.clone()
                },
                DeliverySearch {
                    order: Some(OrderId::from_uuid(id)),
                    ..all.clone()
                },
                DeliverySearch {
                    status: Some(DeliveryStatus::Failed),
                    ..all.clone()
                },
                DeliverySearch {
                    status: Some(DeliveryStatus::Succeeded),
                    ..all.clone()
                },
                DeliverySearch {
                    endpoint: Some(EndpointId::from_uuid(id)),
                    status: Some(DeliveryStatus::Pending),
                    to: Some(at),
                    ..all.clone()
                },
                DeliverySearch {
                    endpoint: Some(EndpointId::from_uuid(id)),
                    status: Some(DeliveryStatus::Succeeded),
                    from: Some(at),
                    ..all.clone()
                },
            ] {
                queries.push(deliveries("id", 1, &search, after));
            }
            let after = after.map(|(at, _)| (at, "cus_1"));
            for (tenant, parent) in [(None, None), (Some(1), None), (Some(1), Some("p")), (None, Some("p"))] {
                let list = ListRecords {
                    parent: parent.map(str::to_owned),
                    ..list.clone()
                };
                queries.push(records("id", tenant, &list, after, holds));
                let list = ListRecords {
                    containing: vec![vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]],
                    from: Some(at),
                    to: Some(at),
                    ..list
                };
                queries.push(records("id", tenant, &list, after, holds));
            }
        }
        for oldest_first in [false, true] {
            for after in [None, Some([1; N])] {
                for money in [false, true] {
                    queries.push(feed(
                        "e.order_id",
                        place,
                        1,
                        &FeedSearch {
                            money,
                            oldest_first,
                            ..feeds.clone()
                        },
                        after,
                    ));
                }
            }
        }
        queries
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, params_from_iter};

    use super::*;

    #[test]
    fn parameters_are_numbered_in_order() {
        let mut query = Query::new("select 1 where a = ?");
        query.add(" and b in (?, ?)", [Value::Integer(1), Value::Integer(2)]);
        assert_eq!(query.numbered(), "select 1 where a = $1 and b in ($2, $3)");
    }

    #[test]
    fn a_listing_that_was_written_before_there_were_marks_may_have_anything() {
        let connection = Connection::open_in_memory().unwrap();
        let (first, rest) = crate::migrate::SQLITE.split_first().unwrap();
        connection.execute_batch(first.sql).unwrap();
        let old = "insert into listings (tenant, created_at, order_id, version, attention, status) \
                   values (1, 1, zeroblob(16), 1, 0, 'captured')";
        connection.execute(old, []).unwrap();
        for migration in rest {
            connection.execute_batch(migration.sql).unwrap();
        }
        let all = [
            Marks::CHARGED,
            Marks::PAID,
            Marks::REFUNDED,
            Marks::DISPUTED,
            Marks::LINES,
        ];
        let wanted = Search {
            marks: all.into_iter().fold(Marks::NONE, Marks::and),
            changed_from: Some(Timestamp::from_millis(9)),
            ..every::nothing()
        };
        let query = search(1, &wanted, None, None, Holds::Instr);
        let mut statement = connection.prepare(query.marked()).unwrap();
        assert!(statement.exists(params_from_iter(&query.values)).unwrap());
    }

    /// No list walks over a table or sorts: each follows an index from where the page begins.
    #[test]
    fn every_list_of_sqlite_follows_an_index() {
        let connection = Connection::open_in_memory().unwrap();
        for migration in crate::migrate::SQLITE {
            connection.execute_batch(migration.sql).unwrap();
        }
        for query in every::searches(Holds::Instr)
            .into_iter()
            .chain(every::others(&["seq"], Holds::Instr))
        {
            let mut statement = connection
                .prepare(&format!("explain query plan {}", query.marked()))
                .unwrap();
            let plan: Vec<String> = statement
                .query_map(params_from_iter(&query.values), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            let plan = plan.join("; ");
            assert!(
                !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"),
                "{}\n{plan}",
                query.marked()
            );
        }
    }
}
