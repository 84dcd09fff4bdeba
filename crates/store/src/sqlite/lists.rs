//! Reading: an order's events, the stream, lists and lookups.

use florin_core::id::{DeliveryId, OrderId};
use florin_core::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::read;
use super::tenants::Tenants;
use crate::{Cursor, DeliveryRow, DeliverySearch, EventRow, Fault, FeedSearch, OrderRow, ProviderRef, Search, Tenant};

pub(super) fn events_of(connection: &Connection, tenants: &Tenants, order: OrderId) -> Result<Vec<EventRow>, Fault> {
    let sql = format!(
        "select {} from events where order_id = ?1 order by version",
        read::EVENT
    );
    read::rows(connection, tenants, &sql, [order.uuid().as_bytes()], read::event)
}

pub(super) fn events_after(
    connection: &Connection,
    tenants: &Tenants,
    cursor: Cursor,
    limit: u32,
) -> Result<Vec<EventRow>, Fault> {
    let sql = format!(
        "select {} from events where seq > ?1 order by seq limit ?2",
        read::EVENT
    );
    read::rows(
        connection,
        tenants,
        &sql,
        params![read::integer(cursor.row), limit],
        read::event,
    )
}

pub(super) fn orders_after(
    connection: &Connection,
    tenants: &Tenants,
    after: Option<OrderId>,
    limit: u32,
) -> Result<Vec<OrderRow>, Fault> {
    let sql = format!("select {} from orders where id > ?1 order by id limit ?2", read::ORDER);
    let after = after.map_or(Vec::new(), |id| id.uuid().as_bytes().to_vec());
    read::rows(connection, tenants, &sql, params![after, limit], read::order)
}

/// A tenant's event rows.
pub(super) fn feed(connection: &Connection, tenants: &Tenants, search: &FeedSearch) -> Result<Vec<EventRow>, Fault> {
    let Some(tenant) = tenants.find(connection, search.tenant)? else {
        return Ok(Vec::new());
    };
    let (far, order) = if search.oldest_first {
        (">", "asc")
    } else {
        ("<", "desc")
    };
    let columns: Vec<String> = read::EVENT
        .split(", ")
        .map(|column| format!("events.{column}"))
        .collect();
    let sql = format!(
        "select {} from feed join events on events.seq = feed.seq \
         where feed.tenant = ?1 and (?2 is null or feed.seq {far} ?2) and feed.money >= ?3 \
         and (?4 is null or feed.time >= ?4) and (?5 is null or feed.time < ?5) order by feed.seq {order} limit ?6",
        columns.join(", ")
    );
    let given = params![
        tenant,
        search.after.map(|at| read::integer(at.row)),
        search.money,
        search.from.map(Timestamp::millis),
        search.to.map(Timestamp::millis),
        search.limit
    ];
    read::rows(connection, tenants, &sql, given, read::event)
}

pub(super) fn order_of_ref(connection: &Connection, reference: &ProviderRef) -> Result<Option<OrderId>, Fault> {
    let found = connection
        .prepare_cached("select order_id from refs where connection = ?1 and kind = ?2 and id = ?3")?
        .query_row(
            params![reference.connection.uuid().as_bytes(), reference.kind, reference.id],
            |row| row.get(0),
        )
        .optional()?;
    Ok(found.map(|bytes| OrderId::from_uuid(uuid::Uuid::from_bytes(bytes))))
}

/// A statement that grows condition by condition. Values are always parameters.
struct Query {
    sql: String,
    values: Vec<Value>,
}

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
}

fn blob(uuid: uuid::Uuid) -> Value {
    Value::Blob(uuid.as_bytes().to_vec())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(super) fn search(connection: &Connection, tenants: &Tenants, search: &Search) -> Result<Vec<OrderId>, Fault> {
    let Some(tenant) = tenants.find(connection, search.tenant)? else {
        return Ok(Vec::new());
    };
    let Some(query) = search_query(connection, tenant, search)? else {
        return Ok(Vec::new());
    };
    read::rows(
        connection,
        tenants,
        &query.sql,
        params_from_iter(query.values),
        read::order_id,
    )
}

/// The statement of a search; none when nothing can match.
fn search_query(connection: &Connection, tenant: i64, search: &Search) -> Result<Option<Query>, Fault> {
    let folded =
        search.status.is_some() || search.customer.is_some() || search.attention || !search.metadata.is_empty();
    let mut query;
    if search.reference.is_some() && !folded {
        // The order itself knows its reference, before any reader has seen it.
        query = Query::new("select l.id from orders l where l.tenant = ?");
    } else if search.metadata.is_empty() {
        query = Query::new("select l.order_id from listings l where l.tenant = ?");
    } else {
        // `cross join` keeps SQLite from starting at the other end.
        query = Query::new(
            "select l.order_id from metadata m cross join listings l \
             on l.tenant = m.tenant and l.created_at = m.created_at and l.order_id = m.order_id where m.tenant = ?",
        );
    }
    query.values.push(Value::Integer(tenant));
    let id = if search.reference.is_some() && !folded {
        "id"
    } else {
        "order_id"
    };
    // Ordered by the columns of the table that leads, so that its index gives the order.
    let lead = if search.metadata.is_empty() { "l" } else { "m" };
    for (place, (name, value)) in search.metadata.iter().enumerate() {
        if place == 0 {
            query.add(" and m.name = ? and m.value = ?", [text(name), text(value)]);
        } else {
            query.add(
                " and exists (select 1 from metadata o where o.tenant = m.tenant and o.name = ? and o.value = ? \
                 and o.created_at = m.created_at and o.order_id = m.order_id)",
                [text(name), text(value)],
            );
        }
    }
    if let Some(reference) = &search.reference {
        if folded {
            let Some((id, at)) = placed(connection, tenant, "reference", text(reference))? else {
                return Ok(None);
            };
            query.add(
                &format!(" and {lead}.created_at = ? and {lead}.order_id = ?"),
                [at.into(), Value::Blob(id)],
            );
        } else {
            query.add(" and l.reference = ?", [text(reference)]);
        }
    }
    if let Some(status) = &search.status {
        query.add(" and l.status = ?", [text(status)]);
    }
    if let Some(customer) = &search.customer {
        query.add(" and l.customer = ?", [text(customer)]);
    }
    if search.attention {
        query.add(" and l.attention = 1", []);
    }
    if let Some(from) = search.from {
        query.add(&format!(" and {lead}.created_at >= ?"), [from.millis().into()]);
    }
    if let Some(to) = search.to {
        query.add(&format!(" and {lead}.created_at < ?"), [to.millis().into()]);
    }
    if let Some(after) = search.after {
        let Some((id_after, at)) = placed(connection, tenant, "id", blob(after.uuid()))? else {
            return Ok(None);
        };
        query.add(
            &format!(" and ({lead}.created_at, {lead}.{id}) < (?, ?)"),
            [at.into(), Value::Blob(id_after)],
        );
    }
    query.add(
        &format!(" order by {lead}.created_at desc, {lead}.{id} desc limit ?"),
        [i64::from(search.limit).into()],
    );
    Ok(Some(query))
}

/// Where an order stands in lists: its id and when it was made.
fn placed(connection: &Connection, tenant: i64, column: &str, value: Value) -> Result<Option<(Vec<u8>, i64)>, Fault> {
    Ok(connection
        .prepare_cached(&format!(
            "select id, created_at from orders where tenant = ?1 and {column} = ?2"
        ))?
        .query_row(params![tenant, value], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

pub(super) fn deliveries(
    connection: &Connection,
    tenants: &Tenants,
    search: &DeliverySearch,
) -> Result<Vec<DeliveryRow>, Fault> {
    let Some(tenant) = tenants.find(connection, search.tenant)? else {
        return Ok(Vec::new());
    };
    let mut query = Query::new(&format!("select {} from deliveries where tenant = ?", read::DELIVERY));
    query.values.push(Value::Integer(tenant));
    if let Some(endpoint) = search.endpoint {
        query.add(" and endpoint = ?", [blob(endpoint.uuid())]);
    }
    if let Some(order) = search.order {
        query.add(" and order_id = ?", [blob(order.uuid())]);
    }
    if let Some(status) = search.status {
        // A literal, so that the partial index of what was not delivered can serve it.
        query.add(&format!(" and status = {}", status.code()), []);
    }
    if let Some(after) = search.after {
        let found = delivery(connection, tenants, search.tenant, after)?;
        let Some(after) = found else { return Ok(Vec::new()) };
        let at = |moment: Timestamp| Value::Integer(moment.millis());
        query.add(
            " and (created_at, id) < (?, ?)",
            [at(after.created_at), blob(after.id.uuid())],
        );
    }
    query.add(
        " order by created_at desc, id desc limit ?",
        [i64::from(search.limit).into()],
    );
    read::rows(
        connection,
        tenants,
        &query.sql,
        params_from_iter(query.values),
        read::delivery,
    )
}

pub(super) fn delivery(
    connection: &Connection,
    tenants: &Tenants,
    tenant: Tenant,
    id: DeliveryId,
) -> Result<Option<DeliveryRow>, Fault> {
    let Some(number) = tenants.find(connection, tenant)? else {
        return Ok(None);
    };
    let sql = format!(
        "select {} from deliveries where id = ?1 and tenant = ?2",
        read::DELIVERY
    );
    Ok(read::rows(
        connection,
        tenants,
        &sql,
        params![id.uuid().as_bytes(), number],
        read::delivery,
    )?
    .pop())
}
