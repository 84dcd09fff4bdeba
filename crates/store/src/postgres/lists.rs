//! Reading: an order's events, the stream, lists and lookups.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use florin_core::id::{DeliveryId, OrderId};
use florin_core::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::session::Session;
use super::{read, tenants};
use crate::query::{self, Holds, Query, Value};
use crate::tenants::Tenants;
use crate::{
    Cursor, DeliveryRow, DeliverySearch, EventHead, EventRow, Fault, FeedSearch, Horizon, OrderRow, ProviderRef,
    Search, Tenant,
};

pub(super) async fn events_of(
    session: &mut Session,
    tenants: &Tenants,
    order: OrderId,
) -> Result<Vec<EventRow>, Fault> {
    let sql = format!(
        "select {} from events where order_id = $1 order by version",
        read::EVENT
    );
    read::rows(session, tenants, &sql, &[&order.uuid()], read::event).await
}

pub(super) async fn events_after(
    session: &mut Session,
    tenants: &Tenants,
    oldest: &Oldest,
    cursor: Cursor,
    limit: u32,
) -> Result<Vec<EventRow>, Fault> {
    stream(session, tenants, oldest, cursor, limit, read::EVENT, read::event).await
}

pub(super) async fn heads_after(
    session: &mut Session,
    tenants: &Tenants,
    oldest: &Oldest,
    cursor: Cursor,
    limit: u32,
) -> Result<Vec<EventHead>, Fault> {
    stream(session, tenants, oldest, cursor, limit, read::HEAD, read::head).await
}

/// Everything below the oldest transaction that can still write is there for good, or will never be.
async fn stream<T>(
    session: &mut Session,
    tenants: &Tenants,
    oldest: &Oldest,
    cursor: Cursor,
    limit: u32,
    columns: &str,
    read: fn(&Tenants, &Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let closed = read::bigint(horizon(session, oldest).await?.closed);
    let sql =
        format!("select {columns} from events where (txn, seq) > ($1, $2) and txn < $3 order by txn, seq limit $4");
    let (txn, seq) = (read::bigint(cursor.transaction), read::bigint(cursor.row));
    let after: [&(dyn ToSql + Sync); 4] = [&txn, &seq, &closed, &i64::from(limit)];
    read::rows(session, tenants, &sql, &after, read).await
}

pub(super) async fn events_at(
    session: &mut Session,
    tenants: &Tenants,
    places: &[Cursor],
) -> Result<Vec<EventRow>, Fault> {
    let sql = format!(
        "select {} from (select unnest($1::bigint[]) as txn, unnest($2::bigint[]) as seq) as p \
         join events using (txn, seq)",
        read::EVENT
    );
    let txns: Vec<i64> = places.iter().map(|place| read::bigint(place.transaction)).collect();
    let seqs: Vec<i64> = places.iter().map(|place| read::bigint(place.row)).collect();
    read::rows(session, tenants, &sql, &[&txns, &seqs], read::event).await
}

/// A transaction that holds readers back for so long is looked at: it may be another database's.
const HELD_LONG: Duration = Duration::from_secs(1);

/// Which transactions run, as one number for the oldest and one for the next.
const RUNNING: &str =
    "select pg_snapshot_xmin(seen)::text::bigint, pg_snapshot_xmax(seen)::text::bigint from pg_current_snapshot() seen";

/// The oldest that can still write here: databases of one cluster share the numbers, and one of another database never writes into ours.
const RUNNING_HERE: &str = "with theirs as (select l.transactionid from pg_locks l join pg_stat_activity a using (pid) \
    join pg_database d on d.oid = a.datid where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted \
    and d.datname <> current_database()) \
    select coalesce((select min(running::text::bigint) from pg_snapshot_xip(seen) running \
    where not exists (select from theirs where theirs.transactionid = running::xid)), pg_snapshot_xmax(seen)::text::bigint) \
    from pg_current_snapshot() seen";

/// The oldest transaction that runs, and since when it is.
#[derive(Default)]
pub(super) struct Oldest(Mutex<Option<(i64, Instant)>>);

impl Oldest {
    fn is_held_long(&self, oldest: i64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = known.filter(|(known, _)| *known == oldest).map(|(_, since)| since);
        let since = since.unwrap_or_else(Instant::now);
        *known = Some((oldest, since));
        since.elapsed() >= HELD_LONG
    }
}

pub(super) async fn horizon(session: &mut Session, oldest: &Oldest) -> Result<Horizon, Fault> {
    let base = session.base().await?;
    let row = session.only(RUNNING).await?;
    let (mut closed, next): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if closed < next && oldest.is_held_long(closed) {
        closed = session.only(RUNNING_HERE).await?.try_get(0)?;
    }
    let place = |transaction: i64| read::place(base + transaction, 0).transaction;
    Ok(Horizon {
        closed: place(closed),
        next: place(next),
    })
}

pub(super) async fn orders_after(
    session: &mut Session,
    tenants: &Tenants,
    after: Option<OrderId>,
    limit: u32,
) -> Result<Vec<OrderRow>, Fault> {
    let after = after.map_or(Uuid::nil(), OrderId::uuid);
    let sql = format!(
        "select {} from orders o where o.id > $1 order by o.id limit $2",
        read::ORDER
    );
    read::rows(session, tenants, &sql, &[&after, &i64::from(limit)], read::order).await
}

pub(super) async fn waiting(
    session: &mut Session,
    tenants: &Tenants,
    after: Option<(Timestamp, OrderId)>,
    limit: u32,
) -> Result<Vec<OrderRow>, Fault> {
    let (due, id) = after.map_or((i64::MIN, Uuid::nil()), |(due, id)| (due.millis(), id.uuid()));
    let sql = format!(
        "select {} from orders o where o.due is not null and (o.due, o.id) > ($1, $2) order by o.due, o.id limit $3",
        read::ORDER
    );
    read::rows(session, tenants, &sql, &[&due, &id, &i64::from(limit)], read::order).await
}

/// A tenant's event rows.
pub(super) async fn feed(
    session: &mut Session,
    tenants: &Tenants,
    search: &FeedSearch,
) -> Result<Vec<EventRow>, Fault> {
    let Some(tenant) = tenants::find(session, tenants, search.tenant).await? else {
        return Ok(Vec::new());
    };
    let after = search
        .after
        .map(|after| [read::bigint(after.transaction), read::bigint(after.row)]);
    let columns: Vec<String> = read::EVENT.split(", ").map(|column| format!("e.{column}")).collect();
    let query = query::feed(&columns.join(", "), &["txn", "seq"], tenant, search, after);
    read::rows(session, tenants, &query.numbered(), &values(&query), read::event).await
}

pub(super) async fn order_of_ref(session: &mut Session, reference: &ProviderRef) -> Result<Option<OrderId>, Fault> {
    let sql = "select order_id from refs where connection = $1 and kind = $2 and id = $3";
    let rows = session
        .query(sql, &[&reference.connection.uuid(), &reference.kind, &reference.id])
        .await?;
    Ok(rows
        .first()
        .map(|row| row.try_get(0))
        .transpose()?
        .map(OrderId::from_uuid))
}

pub(super) async fn search(session: &mut Session, tenants: &Tenants, search: &Search) -> Result<Vec<OrderId>, Fault> {
    let Some(tenant) = tenants::find(session, tenants, search.tenant).await? else {
        return Ok(Vec::new());
    };
    let (mut named, mut after) = (None, None);
    if let Some(reference) = &search.reference {
        named = placed(session, tenant, "reference", &Value::Text(reference.clone())).await?;
        if named.is_none() {
            return Ok(Vec::new());
        }
    }
    if let Some(order) = search.after {
        after = placed(session, tenant, "id", &Value::Id(order.uuid())).await?;
        if after.is_none() {
            return Ok(Vec::new());
        }
    }
    if !query::needs_listing(search) {
        return Ok(named
            .filter(|place| query::within(search, *place, after))
            .map(|place| place.1)
            .into_iter()
            .collect());
    }
    let query = query::search(tenant, search, named, after, Holds::Position);
    let rows = session.query(&query.numbered(), &values(&query)).await?;
    rows.iter().map(|row| Ok(OrderId::from_uuid(row.try_get(0)?))).collect()
}

/// Where an order stands in lists.
async fn placed(
    session: &mut Session,
    tenant: i32,
    column: &str,
    value: &Value,
) -> Result<Option<query::Place>, Fault> {
    let sql = format!("select created_at, id from orders where tenant = $1 and {column} = $2");
    let rows = session.query(&sql, &[&tenant, value]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some((
        Timestamp::from_millis(row.try_get(0)?),
        OrderId::from_uuid(row.try_get(1)?),
    )))
}

pub(super) async fn deliveries(
    session: &mut Session,
    tenants: &Tenants,
    search: &DeliverySearch,
) -> Result<Vec<DeliveryRow>, Fault> {
    let Some(tenant) = tenants::find(session, tenants, search.tenant).await? else {
        return Ok(Vec::new());
    };
    let mut after = None;
    if let Some(id) = search.after {
        let Some(row) = delivery(session, tenants, search.tenant, id).await? else {
            return Ok(Vec::new());
        };
        after = Some((row.created_at, row.id.uuid()));
    }
    let query = query::deliveries(&read::DELIVERY.replace("o.", ""), tenant, search, after);
    read::rows(session, tenants, &query.numbered(), &values(&query), read::delivery).await
}

pub(super) async fn delivery(
    session: &mut Session,
    tenants: &Tenants,
    tenant: Tenant,
    id: DeliveryId,
) -> Result<Option<DeliveryRow>, Fault> {
    let Some(number) = tenants::find(session, tenants, tenant).await? else {
        return Ok(None);
    };
    let sql = format!(
        "select {} from deliveries o where o.id = $1 and o.tenant = $2",
        read::DELIVERY
    );
    Ok(
        read::rows(session, tenants, &sql, &[&id.uuid(), &number], read::delivery)
            .await?
            .pop(),
    )
}

/// The values of a list's statement.
pub(super) fn values(query: &Query) -> Vec<&(dyn ToSql + Sync)> {
    query.values.iter().map(|value| value as _).collect()
}

/// An integer takes the width that the column has.
impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Integer(number) if *ty == Type::INT2 => i16::try_from(*number)?.to_sql(ty, out),
            Self::Integer(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Integer(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Bytes(bytes) => bytes.to_sql(ty, out),
            Self::Id(id) => id.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT2, Type::INT4, Type::INT8, Type::TEXT, Type::BYTEA, Type::UUID].contains(ty)
    }

    to_sql_checked!();
}
