//! Rows of PostgreSQL to rows of ours, in one place.

use florin_core::id::{ConnectionId, DeliveryId, EndpointId, NodeId, OrderId};
use florin_core::time::Timestamp;
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Error, Row};

use super::session::Session;
use super::tenants;
use crate::tenants::Tenants;
use crate::{
    Cursor, DeliveryRow, DeliveryStatus, EventHead, EventRow, Fault, Hash, IdemKey, Lease, NoticeId, NoticeRow,
    OrderRow, Record,
};

/// The database's clock in milliseconds, as it stands when the statement begins.
pub(super) const CLOCK: &str = "(select (extract(epoch from clock_timestamp()) * 1000)::bigint)";
/// Columns of [`order`] of a table or alias `o`.
pub(super) const ORDER: &str = "o.id, o.tenant, o.reference, o.idem_key, o.idem_hash, o.version, o.fence, o.due, o.lease_node, \
                                o.lease_until, o.created_at, o.chain, o.work, o.state";
/// Columns of [`event`].
pub(super) const EVENT: &str = "order_id, tenant, txn, seq, version, count, time, hash, news, postings, body";
/// Columns of [`head`].
pub(super) const HEAD: &str =
    "order_id, tenant, txn, seq, version, count, time, news is not null, postings is not null, hash";
/// Columns of [`notice`].
pub(super) const NOTICE: &str = "connection, tenant, id, received_at, due, item";
/// Columns of [`delivery`] of a table or alias `o`.
pub(super) const DELIVERY: &str =
    "o.id, o.tenant, o.endpoint, o.order_id, o.status, o.due, o.created_at, o.event, o.name, o.tries";
/// Columns of [`record`].
pub(super) const RECORD: &str = "kind, tenant, id, alias, parent, version, created_at, removed, body";
/// Where all of these have the tenant's number.
const TENANT: usize = 1;

pub(super) async fn clock(session: &mut Session) -> Result<Timestamp, Fault> {
    let rows = session.query(&format!("select {CLOCK}"), &[]).await?;
    let row = rows
        .first()
        .ok_or_else(|| Fault::Refused("PostgreSQL has no clock".to_owned()))?;
    moment(row, 0).map_err(Fault::from)
}

/// All rows of a query, each read by `read`.
pub(super) async fn rows<T>(
    session: &mut Session,
    tenants: &Tenants,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
    read: fn(&Tenants, &Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let rows = session.query(sql, values).await?;
    all(session, tenants, &rows, read).await
}

/// What these rows say.
pub(super) async fn all<T>(
    session: &mut Session,
    tenants: &Tenants,
    rows: &[Row],
    read: fn(&Tenants, &Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    tenants::know(session, tenants, rows, TENANT).await?;
    rows.iter().map(|row| read(tenants, row)).collect()
}

/// An order, from columns [`ORDER`].
pub(super) fn order(tenants: &Tenants, row: &Row) -> Result<OrderRow, Fault> {
    let id = OrderId::from_uuid(row.try_get(0)?);
    let tenant = tenants::of(tenants, row.try_get(TENANT)?)?;
    let read = || -> Result<OrderRow, String> {
        let (key, hash) = (
            get::<Option<String>>(row, 3)?,
            get::<Option<&[u8]>>(row, 4)?.map(to_hash).transpose()?,
        );
        let (node, until) = (get::<Option<uuid::Uuid>>(row, 8)?, get::<Option<i64>>(row, 9)?);
        Ok(OrderRow {
            id,
            tenant,
            reference: get(row, 2)?,
            key: key.zip(hash).map(|(key, hash)| IdemKey {
                key,
                hash,
                earlier: None,
            }),
            version: count(row, 5)?,
            fence: count(row, 6)?,
            due: get::<Option<i64>>(row, 7)?.map(Timestamp::from_millis),
            lease: node.zip(until).map(|(node, until)| Lease {
                node: NodeId::from_uuid(node),
                until: Timestamp::from_millis(until),
            }),
            created_at: Timestamp::from_millis(get(row, 10)?),
            chain: to_hash(get(row, 11)?)?,
            work: get(row, 12)?,
            state: get(row, 13)?,
        })
    };
    read().map_err(|what| Fault::Damaged(id, what))
}

/// An event row, from columns [`EVENT`].
pub(super) fn event(tenants: &Tenants, row: &Row) -> Result<EventRow, Fault> {
    let order = OrderId::from_uuid(row.try_get(0)?);
    let tenant = tenants::of(tenants, row.try_get(TENANT)?)?;
    let read = || -> Result<EventRow, String> {
        Ok(EventRow {
            at: place(get(row, 2)?, get(row, 3)?),
            order,
            tenant,
            version: count(row, 4)?,
            count: count(row, 5)?,
            time: Timestamp::from_millis(get(row, 6)?),
            hash: to_hash(get(row, 7)?)?,
            news: get(row, 8)?,
            postings: get(row, 9)?,
            body: get(row, 10)?,
        })
    };
    read().map_err(|what| Fault::Damaged(order, what))
}

/// The head of an event row, from columns [`HEAD`].
pub(super) fn head(tenants: &Tenants, row: &Row) -> Result<EventHead, Fault> {
    let order = OrderId::from_uuid(row.try_get(0)?);
    let tenant = tenants::of(tenants, row.try_get(TENANT)?)?;
    let read = || -> Result<EventHead, String> {
        Ok(EventHead {
            at: place(get(row, 2)?, get(row, 3)?),
            order,
            tenant,
            version: count(row, 4)?,
            count: count(row, 5)?,
            time: Timestamp::from_millis(get(row, 6)?),
            news: get(row, 7)?,
            money: get(row, 8)?,
            hash: to_hash(get(row, 9)?)?,
        })
    };
    read().map_err(|what| Fault::Damaged(order, what))
}

/// A notice, from columns [`NOTICE`].
pub(super) fn notice(tenants: &Tenants, row: &Row) -> Result<NoticeRow, Fault> {
    Ok(NoticeRow {
        id: NoticeId {
            connection: ConnectionId::from_uuid(row.try_get(0)?),
            id: row.try_get(2)?,
        },
        tenant: tenants::of(tenants, row.try_get(TENANT)?)?,
        received_at: moment(row, 3)?,
        due: moment(row, 4)?,
        item: row.try_get(5)?,
    })
}

/// A delivery, from columns [`DELIVERY`].
pub(super) fn delivery(tenants: &Tenants, row: &Row) -> Result<DeliveryRow, Fault> {
    Ok(DeliveryRow {
        id: DeliveryId::from_uuid(row.try_get(0)?),
        tenant: tenants::of(tenants, row.try_get(TENANT)?)?,
        endpoint: EndpointId::from_uuid(row.try_get(2)?),
        order: OrderId::from_uuid(row.try_get(3)?),
        status: DeliveryStatus::from_code(row.try_get(4)?)?,
        due: row.try_get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
        created_at: moment(row, 6)?,
        event: row.try_get(7)?,
        name: row.try_get(8)?,
        tries: row.try_get(9)?,
    })
}

/// A document, from columns [`RECORD`].
pub(super) fn record(tenants: &Tenants, row: &Row) -> Result<Record, Fault> {
    let tenant = row
        .try_get::<_, Option<i32>>(TENANT)?
        .map(|number| tenants::of(tenants, number))
        .transpose()?;
    Ok(Record {
        kind: row.try_get(0)?,
        tenant,
        id: row.try_get(2)?,
        alias: row.try_get(3)?,
        parent: row.try_get(4)?,
        version: count(row, 5).map_err(Fault::Refused)?,
        created_at: moment(row, 6)?,
        removed: row.try_get::<_, i16>(7)? != 0,
        body: row.try_get(8)?,
    })
}

/// A place in the stream.
pub(super) fn place(txn: i64, seq: i64) -> Cursor {
    Cursor {
        transaction: u64::try_from(txn).unwrap_or(0),
        row: u64::try_from(seq).unwrap_or(0),
    }
}

/// A number of ours as PostgreSQL keeps it. None of them comes near the end of 63 bits.
pub(super) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count of ours (versions, fences) as PostgreSQL keeps it.
pub(super) fn integer(number: u32) -> Result<i32, Fault> {
    i32::try_from(number).map_err(|_| Fault::Refused(format!("{number} does not fit 31 bits")))
}

fn moment(row: &Row, column: usize) -> Result<Timestamp, Error> {
    row.try_get(column).map(Timestamp::from_millis)
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, String> {
    row.try_get(column).map_err(|error| error.to_string())
}

fn count(row: &Row, column: usize) -> Result<u32, String> {
    let number: i32 = get(row, column)?;
    u32::try_from(number).map_err(|_| format!("{number} is no count"))
}

fn to_hash(bytes: &[u8]) -> Result<Hash, String> {
    bytes.try_into().map_err(|_| format!("a hash of {} bytes", bytes.len()))
}
