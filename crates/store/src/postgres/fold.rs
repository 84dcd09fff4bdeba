//! What readers behind the commit write: lists, references, balances, deliveries, and how far they got.

use std::collections::BTreeMap;

use florin_core::id::{ConnectionId, OrderId};
use tokio_postgres::Transaction;
use uuid::Uuid;

use super::session::Session;
use super::{read, tenants};
use crate::codes::{currency, may_fold, plus, sum};
use crate::tenants::{Numbers, Tenants};
use crate::terms::terms;
use crate::{BOOKS, BalanceRow, Cursor, DeliveryRow, Fault, FeedRow, Fold, ListingRow, ProviderRef, Tenant};

/// Where a reader stands.
pub(super) async fn cursor(session: &mut Session, reader: &str) -> Result<Cursor, Fault> {
    let rows = session
        .query("select txn, seq from cursors where reader = $1", &[&reader])
        .await?;
    match rows.first() {
        Some(row) => Ok(read::place(row.try_get(0)?, row.try_get(1)?)),
        None => Ok(Cursor::START),
    }
}

pub(super) fn tenants_of(fold: &Fold) -> impl Iterator<Item = Tenant> {
    let listed = fold.listings.iter().map(|row| row.tenant);
    let booked = fold.balances.iter().map(|row| row.tenant);
    let fed = fold.feed.iter().map(|row| row.tenant);
    listed
        .chain(booked)
        .chain(fed)
        .chain(fold.deliveries.iter().map(|row| row.tenant))
}

/// Writes what a reader made of events, if nobody else did.
pub(super) async fn fold(session: &mut Session, numbers: &Numbers, fold: &Fold) -> Result<bool, Fault> {
    may_fold(fold)?;
    let transaction = session.client.transaction().await?;
    if !advance(&transaction, fold).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    write_listings(&transaction, numbers, &fold.listings).await?;
    write_refs(&transaction, &fold.refs).await?;
    add_balances(&transaction, numbers, &fold.balances).await?;
    insert_deliveries(&transaction, numbers, &fold.deliveries, "do nothing").await?;
    write_feed(&transaction, numbers, &fold.feed).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Moves the cursor. It is the lock too: of two readers at one place the second finds it moved.
async fn advance(transaction: &Transaction<'_>, fold: &Fold) -> Result<bool, Fault> {
    let place = |cursor: Cursor| (read::bigint(cursor.transaction), read::bigint(cursor.row));
    let ((from_txn, from_seq), (txn, seq)) = (place(fold.from), place(fold.to));
    let mut sql = "update cursors set txn = $4, seq = $5 where reader = $1 and txn = $2 and seq = $3";
    if fold.from == Cursor::START {
        sql = "insert into cursors (reader, txn, seq) values ($1, $4, $5) on conflict (reader) \
               do update set txn = $4, seq = $5 where cursors.txn = $2 and cursors.seq = $3";
    }
    Ok(transaction
        .execute(sql, &[&fold.reader, &from_txn, &from_seq, &txn, &seq])
        .await?
        == 1)
}

/// One statement cannot meet a row twice, so the newest word about an order is found here.
async fn write_listings(
    transaction: &Transaction<'_>,
    numbers: &Numbers,
    listings: &[ListingRow],
) -> Result<(), Fault> {
    let mut rows: BTreeMap<OrderId, &ListingRow> = BTreeMap::new();
    for row in listings {
        let newest = rows.entry(row.order).or_insert(row);
        if newest.version <= row.version {
            *newest = row;
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let each = || rows.values();
    let tenants: Vec<i32> = each().map(|row| numbers[&row.tenant]).collect();
    let created: Vec<i64> = each().map(|row| row.created_at.millis()).collect();
    let orders: Vec<Uuid> = each().map(|row| row.order.uuid()).collect();
    let versions: Vec<i32> = each().map(|row| read::integer(row.version)).collect::<Result<_, _>>()?;
    let attention: Vec<i16> = each().map(|row| row.attention.into()).collect();
    let statuses: Vec<&str> = each().map(|row| row.status.as_str()).collect();
    let customers: Vec<Option<&str>> = each().map(|row| row.customer.as_deref()).collect();
    let metadata: Vec<Option<Vec<u8>>> = each().map(|row| terms(&row.metadata)).collect();
    let marks: Vec<i16> = each().map(|row| row.marks.bits()).collect();
    let changed: Vec<i64> = each().map(|row| row.changed_at.millis()).collect();
    let sql = "insert into listings as l (tenant, created_at, order_id, attention, status, customer, terms, version, marks, changed_at) \
               select unnest($1::integer[]), unnest($2::bigint[]), unnest($3::uuid[]), unnest($4::smallint[]), \
               unnest($5::text[]), unnest($6::text[]), unnest($7::bytea[]), unnest($8::integer[]), \
               unnest($9::smallint[]), unnest($10::bigint[]) \
               on conflict (tenant, created_at, order_id) do update \
               set attention = excluded.attention, status = excluded.status, version = excluded.version, \
               customer = coalesce(excluded.customer, l.customer), terms = coalesce(excluded.terms, l.terms), \
               marks = l.marks | excluded.marks, changed_at = greatest(l.changed_at, excluded.changed_at) \
               where l.version <= excluded.version";
    transaction
        .execute(
            sql,
            &[
                &tenants, &created, &orders, &attention, &statuses, &customers, &metadata, &versions, &marks, &changed,
            ],
        )
        .await?;
    Ok(())
}

async fn write_refs(transaction: &Transaction<'_>, refs: &[(ProviderRef, OrderId)]) -> Result<(), Fault> {
    if refs.is_empty() {
        return Ok(());
    }
    let connections: Vec<Uuid> = refs.iter().map(|(reference, _)| reference.connection.uuid()).collect();
    let kinds: Vec<&str> = refs.iter().map(|(reference, _)| reference.kind.as_str()).collect();
    let ids: Vec<&str> = refs.iter().map(|(reference, _)| reference.id.as_str()).collect();
    let orders: Vec<Uuid> = refs.iter().map(|(_, order)| order.uuid()).collect();
    let sql = "insert into refs (connection, kind, id, order_id) \
               select unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::uuid[]) on conflict do nothing";
    transaction.execute(sql, &[&connections, &kinds, &ids, &orders]).await?;
    Ok(())
}

async fn write_feed(transaction: &Transaction<'_>, numbers: &Numbers, feed: &[FeedRow]) -> Result<(), Fault> {
    if feed.is_empty() {
        return Ok(());
    }
    let tenants: Vec<i32> = feed.iter().map(|row| numbers[&row.tenant]).collect();
    let money: Vec<i16> = feed.iter().map(|row| row.money.into()).collect();
    let transactions: Vec<i64> = feed.iter().map(|row| read::bigint(row.at.transaction)).collect();
    let rows: Vec<i64> = feed.iter().map(|row| read::bigint(row.at.row)).collect();
    let times: Vec<i64> = feed.iter().map(|row| row.time.millis()).collect();
    let sql = "insert into feed (tenant, money, txn, seq, time) \
               select unnest($1::integer[]), unnest($2::smallint[]), unnest($3::bigint[]), unnest($4::bigint[]), \
               unnest($5::bigint[]) on conflict do nothing";
    transaction
        .execute(sql, &[&tenants, &money, &transactions, &rows, &times])
        .await?;
    Ok(())
}

async fn add_balances(transaction: &Transaction<'_>, numbers: &Numbers, balances: &[BalanceRow]) -> Result<(), Fault> {
    let mut sums: BTreeMap<(i32, Uuid, &str, &str), (i128, i128)> = BTreeMap::new();
    for row in balances {
        let account = (
            numbers[&row.tenant],
            row.connection.uuid(),
            row.account.as_str(),
            row.currency.code(),
        );
        let (posted, pending) = sums.entry(account).or_default();
        *posted = plus(*posted, row.posted)?;
        *pending = plus(*pending, row.pending)?;
    }
    if sums.is_empty() {
        return Ok(());
    }
    let tenants: Vec<i32> = sums.keys().map(|account| account.0).collect();
    let connections: Vec<Uuid> = sums.keys().map(|account| account.1).collect();
    let accounts: Vec<&str> = sums.keys().map(|account| account.2).collect();
    let currencies: Vec<&str> = sums.keys().map(|account| account.3).collect();
    let posted: Vec<String> = sums.values().map(|sums| sums.0.to_string()).collect();
    let pending: Vec<String> = sums.values().map(|sums| sums.1.to_string()).collect();
    let sql = "insert into balances as b (tenant, connection, account, currency, posted, pending) \
               select unnest($1::integer[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::text[]), \
               unnest($5::text[])::numeric, unnest($6::text[])::numeric \
               on conflict (tenant, connection, account, currency) do update \
               set posted = b.posted + excluded.posted, pending = b.pending + excluded.pending";
    transaction
        .execute(
            sql,
            &[&tenants, &connections, &accounts, &currencies, &posted, &pending],
        )
        .await?;
    Ok(())
}

/// Balances of a tenant, and up to where they are folded: one statement, one view.
pub(super) async fn balances(
    session: &mut Session,
    tenants: &Tenants,
    tenant: Tenant,
) -> Result<(Vec<BalanceRow>, Cursor), Fault> {
    let number = tenants::find(session, tenants, tenant).await?;
    let sql = "select c.txn, c.seq, b.connection, b.account, b.currency, b.posted::text, b.pending::text \
               from cursors c left join balances b on b.tenant = $2 where c.reader = $1";
    let mut found = Vec::new();
    let mut place = Cursor::START;
    for row in session.query(sql, &[&BOOKS, &number]).await? {
        place = read::place(row.try_get(0)?, row.try_get(1)?);
        if let Some(connection) = row.try_get::<_, Option<Uuid>>(2)? {
            found.push(BalanceRow {
                tenant,
                connection: ConnectionId::from_uuid(connection),
                account: row.try_get(3)?,
                currency: currency(row.try_get(4)?)?,
                posted: sum(row.try_get(5)?)?,
                pending: sum(row.try_get(6)?)?,
            });
        }
    }
    Ok((found, place))
}

/// Writes what became of deliveries, or new ones. Whoever writes gives its lease back.
pub(super) async fn write_deliveries(
    session: &mut Session,
    numbers: &Numbers,
    rows: &[DeliveryRow],
) -> Result<(), Fault> {
    let transaction = session.client.transaction().await?;
    let update = "(id) do update set status = excluded.status, due = excluded.due, tries = excluded.tries, \
                  lease_node = null, lease_until = null where deliveries.tenant = excluded.tenant";
    insert_deliveries(&transaction, numbers, rows, update).await?;
    transaction.commit().await?;
    Ok(())
}

async fn insert_deliveries(
    transaction: &Transaction<'_>,
    numbers: &Numbers,
    rows: &[DeliveryRow],
    on_conflict: &str,
) -> Result<(), Fault> {
    let rows: BTreeMap<_, &DeliveryRow> = rows.iter().map(|row| (row.id, row)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let each = || rows.values();
    let ids: Vec<Uuid> = each().map(|row| row.id.uuid()).collect();
    let tenants: Vec<i32> = each().map(|row| numbers[&row.tenant]).collect();
    let statuses: Vec<i16> = each().map(|row| row.status.code()).collect();
    let due: Vec<Option<i64>> = each().map(|row| row.due.map(|due| due.millis())).collect();
    let created: Vec<i64> = each().map(|row| row.created_at.millis()).collect();
    let endpoints: Vec<Uuid> = each().map(|row| row.endpoint.uuid()).collect();
    let orders: Vec<Uuid> = each().map(|row| row.order.uuid()).collect();
    let events: Vec<&str> = each().map(|row| row.event.as_str()).collect();
    let names: Vec<&str> = each().map(|row| row.name.as_str()).collect();
    let tries: Vec<&str> = each().map(|row| row.tries.as_str()).collect();
    let sql = format!(
        "insert into deliveries (id, tenant, status, due, created_at, endpoint, order_id, event, name, tries) \
         select unnest($1::uuid[]), unnest($2::integer[]), unnest($3::smallint[]), unnest($4::bigint[]), \
               unnest($5::bigint[]), unnest($6::uuid[]), unnest($7::uuid[]), unnest($8::text[]), \
               unnest($9::text[]), unnest($10::text[]) on conflict {on_conflict}"
    );
    transaction
        .execute(
            &sql,
            &[
                &ids, &tenants, &statuses, &due, &created, &endpoints, &orders, &events, &names, &tries,
            ],
        )
        .await?;
    Ok(())
}
