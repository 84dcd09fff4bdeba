//! Reading: an order's events, the stream, lists and lookups.

use florin_core::id::{DeliveryId, OrderId};
use florin_core::time::Timestamp;
use rusqlite::types::{ToSql, ToSqlOutput};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use uuid::Uuid;

use super::names::{Kind, Name};
use super::read;
use super::threads::Pen;
use crate::query::{self, Holds, Value};

use crate::tenants::Tenants;
use crate::{
    Cursor, DeliveryRow, DeliverySearch, EventHead, EventRow, Fault, FeedSearch, OrderRow, ProviderRef, Search, Tenant,
};

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

pub(super) fn heads_after(
    connection: &Connection,
    tenants: &Tenants,
    cursor: Cursor,
    limit: u32,
) -> Result<Vec<EventHead>, Fault> {
    let sql = format!("select {} from events where seq > ?1 order by seq limit ?2", read::HEAD);
    let after = params![read::integer(cursor.row), limit];
    read::rows(connection, tenants, &sql, after, read::head)
}

pub(super) fn events_at(connection: &Connection, tenants: &Tenants, places: &[Cursor]) -> Result<Vec<EventRow>, Fault> {
    let sql = format!("select {} from events where seq = ?1", read::EVENT);
    let mut found = Vec::with_capacity(places.len());
    for place in places {
        let at = params![read::integer(place.row)];
        found.extend(read::rows(connection, tenants, &sql, at, read::event)?);
    }
    Ok(found)
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

pub(super) fn waiting(
    connection: &Connection,
    tenants: &Tenants,
    after: Option<(Timestamp, OrderId)>,
    limit: u32,
) -> Result<Vec<OrderRow>, Fault> {
    let sql = format!(
        "select {} from orders where due is not null and (due, id) > (?1, ?2) order by due, id limit ?3",
        read::ORDER
    );
    let (due, id) = after.map_or((i64::MIN, Vec::new()), |(due, id)| {
        (due.millis(), id.uuid().as_bytes().to_vec())
    });
    read::rows(connection, tenants, &sql, params![due, id, limit], read::order)
}

/// A tenant's event rows.
pub(super) fn feed(connection: &Connection, tenants: &Tenants, search: &FeedSearch) -> Result<Vec<EventRow>, Fault> {
    let Some(tenant) = tenants.find(connection, search.tenant)? else {
        return Ok(Vec::new());
    };
    let after = search.after.map(|after| [read::integer(after.row)]);
    let columns: Vec<String> = read::EVENT.split(", ").map(|column| format!("e.{column}")).collect();
    let query = query::feed(&columns.join(", "), &["seq"], tenant, search, after);
    read::rows(
        connection,
        tenants,
        query.marked(),
        params_from_iter(&query.values),
        read::event,
    )
}

pub(super) fn order_of_ref(connection: &Connection, reference: &ProviderRef) -> Result<Option<OrderId>, Fault> {
    let found = connection
        .prepare_cached("select order_id from refs where connection = ?1 and kind = ?2 and id = ?3")?
        .query_row(
            params![reference.connection.uuid().as_bytes(), reference.kind, reference.id],
            |row| row.get(0),
        )
        .optional()?;
    Ok(found.map(|bytes| OrderId::from_uuid(Uuid::from_bytes(bytes))))
}

/// A search that names an order by its reference.
pub(super) fn search_by_reference(pen: &mut Pen, tenants: &Tenants, wanted: &Search) -> Result<Vec<OrderId>, Fault> {
    let snapshot = pen.connection.transaction()?;
    pen.names.catch_up(&snapshot)?;
    let (Some(tenant), Some(text)) = (tenants.find(&snapshot, wanted.tenant)?, &wanted.reference) else {
        return Ok(Vec::new());
    };
    let kind = Kind::Reference;
    let Some(number) = pen.names.find(&snapshot, Name { kind, tenant, text })? else {
        return Ok(Vec::new());
    };
    let named = placed(&snapshot, tenant, "number", &Value::Integer(number))?;
    search(&snapshot, tenants, wanted, named)
}

/// Any other search; or where the order with the wanted reference stands is known already.
pub(super) fn search(
    connection: &Connection,
    tenants: &Tenants,
    search: &Search,
    named: Option<query::Place>,
) -> Result<Vec<OrderId>, Fault> {
    let Some(tenant) = tenants.find(connection, search.tenant)? else {
        return Ok(Vec::new());
    };
    let mut after = None;
    if let Some(order) = search.after {
        after = placed(connection, tenant, "id", &Value::Id(order.uuid()))?;
        if after.is_none() {
            return Ok(Vec::new());
        }
    }
    if !query::needs_listing(search) {
        let found = named.filter(|place| query::within(search, *place, after));
        return Ok(found.map(|place| place.1).into_iter().collect());
    }
    let query = query::search(tenant, search, named, after, Holds::Instr);
    read::rows(
        connection,
        tenants,
        query.marked(),
        params_from_iter(&query.values),
        read::order_id,
    )
}

/// Where an order stands in lists.
fn placed(connection: &Connection, tenant: i32, column: &str, value: &Value) -> Result<Option<query::Place>, Fault> {
    let place = |row: &rusqlite::Row<'_>| {
        let (at, id) = (row.get(0)?, row.get(1)?);
        Ok((Timestamp::from_millis(at), OrderId::from_uuid(Uuid::from_bytes(id))))
    };
    Ok(connection
        .prepare_cached(&format!(
            "select created_at, id from orders where tenant = ?1 and {column} = ?2"
        ))?
        .query_row(params![tenant, value], place)
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
    let mut after = None;
    if let Some(id) = search.after {
        let Some(row) = delivery(connection, tenants, search.tenant, id)? else {
            return Ok(Vec::new());
        };
        after = Some((row.created_at, row.id.uuid()));
    }
    let query = query::deliveries(read::DELIVERY, tenant, search, after);
    read::rows(
        connection,
        tenants,
        query.marked(),
        params_from_iter(&query.values),
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

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Integer(number) => ToSqlOutput::from(*number),
            Self::Text(text) => ToSqlOutput::from(text.as_str()),
            Self::Bytes(bytes) => ToSqlOutput::from(bytes.as_slice()),
            Self::Id(id) => ToSqlOutput::from(id.as_bytes().as_slice()),
        })
    }
}
