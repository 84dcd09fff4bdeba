//! Rows of SQLite to rows of ours, in one place.

use florin_core::id::{ConnectionId, DeliveryId, EndpointId, NodeId, OrderId};
use florin_core::time::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};
use uuid::Uuid;

use crate::tenants::Tenants;
use crate::{
    Cursor, DeliveryRow, DeliveryStatus, EventHead, EventRow, Fault, Hash, IdemKey, Lease, NoticeId, NoticeRow,
    OrderRow, Record,
};

/// Columns of [`order`].
pub(super) const ORDER: &str = "id, tenant, reference, idem_key, idem_hash, version, fence, due, lease_node, lease_until, created_at, \
                                chain, work, state";
/// Columns of [`event`].
pub(super) const EVENT: &str = "order_id, tenant, seq, version, count, time, hash, news, postings, body";
/// Columns of [`head`].
pub(super) const HEAD: &str =
    "order_id, tenant, seq, version, count, time, news is not null, postings is not null, hash";
/// Columns of [`notice`].
pub(super) const NOTICE: &str = "connection, id, tenant, received_at, due, item";
/// Columns of [`delivery`].
pub(super) const DELIVERY: &str = "id, tenant, endpoint, order_id, status, due, created_at, event, name, tries";
/// Columns of [`record`].
pub(super) const RECORD: &str = "kind, id, tenant, alias, parent, version, created_at, removed, body";

/// The machine's clock, which is the database's.
pub(super) fn clock(connection: &Connection) -> Result<Timestamp, Fault> {
    let ms = connection
        .prepare_cached("select cast(round(unixepoch('subsec') * 1000) as integer)")?
        .query_row([], |row| row.get(0))?;
    Ok(Timestamp::from_millis(ms))
}

/// All rows of a query, each read by `read`.
pub(super) fn rows<T>(
    connection: &Connection,
    tenants: &Tenants,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Connection, &Tenants, &Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(connection, tenants, row)?);
    }
    Ok(found)
}

/// An order, from columns [`ORDER`].
pub(super) fn order(connection: &Connection, tenants: &Tenants, row: &Row<'_>) -> Result<OrderRow, Fault> {
    let id = OrderId::from_uuid(uuid(row, 0)?);
    let tenant = tenants.tenant(connection, row.get(1)?)?;
    let read = || -> rusqlite::Result<OrderRow> {
        let (key, hash) = (row.get::<_, Option<String>>(3)?, row.get::<_, Option<Hash>>(4)?);
        let (node, until) = (row.get::<_, Option<[u8; 16]>>(8)?, row.get::<_, Option<i64>>(9)?);
        Ok(OrderRow {
            id,
            tenant,
            reference: row.get(2)?,
            key: key.zip(hash).map(|(key, hash)| IdemKey {
                key,
                hash,
                earlier: None,
            }),
            version: row.get(5)?,
            fence: row.get(6)?,
            due: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
            lease: node.zip(until).map(|(node, until)| Lease {
                node: NodeId::from_uuid(Uuid::from_bytes(node)),
                until: Timestamp::from_millis(until),
            }),
            created_at: Timestamp::from_millis(row.get(10)?),
            chain: row.get(11)?,
            work: maybe_text(row, 12)?,
            state: text(row, 13)?,
        })
    };
    read().map_err(|error| damaged(id, error))
}

/// An event row, from columns [`EVENT`].
pub(super) fn event(connection: &Connection, tenants: &Tenants, row: &Row<'_>) -> Result<EventRow, Fault> {
    let order = OrderId::from_uuid(uuid(row, 0)?);
    let tenant = tenants.tenant(connection, row.get(1)?)?;
    let read = || -> rusqlite::Result<EventRow> {
        Ok(EventRow {
            at: place(row.get(2)?),
            order,
            tenant,
            version: row.get(3)?,
            count: row.get(4)?,
            time: Timestamp::from_millis(row.get(5)?),
            hash: row.get(6)?,
            news: maybe_text(row, 7)?,
            postings: maybe_text(row, 8)?,
            body: text(row, 9)?,
        })
    };
    read().map_err(|error| damaged(order, error))
}

/// The head of an event row, from columns [`HEAD`].
pub(super) fn head(connection: &Connection, tenants: &Tenants, row: &Row<'_>) -> Result<EventHead, Fault> {
    let order = OrderId::from_uuid(uuid(row, 0)?);
    let tenant = tenants.tenant(connection, row.get(1)?)?;
    let read = || -> rusqlite::Result<EventHead> {
        Ok(EventHead {
            at: place(row.get(2)?),
            order,
            tenant,
            version: row.get(3)?,
            count: row.get(4)?,
            time: Timestamp::from_millis(row.get(5)?),
            news: row.get(6)?,
            money: row.get(7)?,
            hash: row.get(8)?,
        })
    };
    read().map_err(|error| damaged(order, error))
}

/// A notice, from columns [`NOTICE`].
pub(super) fn notice(connection: &Connection, tenants: &Tenants, row: &Row<'_>) -> Result<NoticeRow, Fault> {
    Ok(NoticeRow {
        id: NoticeId {
            connection: ConnectionId::from_uuid(uuid(row, 0)?),
            id: row.get(1)?,
        },
        tenant: tenants.tenant(connection, row.get(2)?)?,
        received_at: Timestamp::from_millis(row.get(3)?),
        due: Timestamp::from_millis(row.get(4)?),
        item: row.get(5)?,
    })
}

/// A delivery, from columns [`DELIVERY`].
pub(super) fn delivery(connection: &Connection, tenants: &Tenants, row: &Row<'_>) -> Result<DeliveryRow, Fault> {
    Ok(DeliveryRow {
        id: DeliveryId::from_uuid(uuid(row, 0)?),
        tenant: tenants.tenant(connection, row.get(1)?)?,
        endpoint: EndpointId::from_uuid(uuid(row, 2)?),
        order: OrderId::from_uuid(uuid(row, 3)?),
        status: DeliveryStatus::from_code(row.get(4)?)?,
        due: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
        created_at: Timestamp::from_millis(row.get(6)?),
        event: row.get(7)?,
        name: row.get(8)?,
        tries: row.get(9)?,
    })
}

/// A document, from columns [`RECORD`].
pub(super) fn record(connection: &Connection, tenants: &Tenants, row: &Row<'_>) -> Result<Record, Fault> {
    let tenant = row
        .get::<_, Option<i32>>(2)?
        .map(|number| tenants.tenant(connection, number))
        .transpose()?;
    Ok(Record {
        kind: row.get(0)?,
        id: row.get(1)?,
        tenant,
        alias: row.get(3)?,
        parent: row.get(4)?,
        version: row.get(5)?,
        created_at: Timestamp::from_millis(row.get(6)?),
        removed: row.get(7)?,
        body: row.get(8)?,
    })
}

pub(super) fn order_id(_: &Connection, _: &Tenants, row: &Row<'_>) -> Result<OrderId, Fault> {
    Ok(OrderId::from_uuid(uuid(row, 0)?))
}

/// Text that a hash proves. A flipped bit may leave bytes that are no text: they are handed on as well as they can be, because the hash
/// tells whoever reads the row, and one damaged row must not hide the others of its page.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(maybe_text(row, column)?.unwrap_or_default())
}

fn maybe_text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(Some(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(), // several times slower
        })),
        ValueRef::Integer(_) | ValueRef::Real(_) => row.get(column).map(Some),
    }
}

fn uuid(row: &Row<'_>, column: usize) -> Result<Uuid, Fault> {
    Ok(Uuid::from_bytes(row.get(column)?))
}

/// A place in the stream. One process writes at a time, so the order of rows is the order of commits.
pub(super) fn place(seq: i64) -> Cursor {
    Cursor {
        transaction: 0,
        row: u64::try_from(seq).unwrap_or(0),
    }
}

/// A number of ours as SQLite keeps it. None of them comes near the end of 63 bits.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An error while reading an order's row: the disk's, or the bytes are not what was written.
fn damaged(order: OrderId, error: rusqlite::Error) -> Fault {
    match error {
        error @ rusqlite::Error::SqliteFailure(..) => error.into(),
        error => Fault::Damaged(order, error.to_string()),
    }
}
