//! What readers behind the commit write: lists, references, balances, deliveries, and how far they got.

use florin_core::id::ConnectionId;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::read;

use crate::codes::{currency, may_fold, plus, sum};
use crate::tenants::Tenants;
use crate::{BOOKS, BalanceRow, Cursor, DeliveryRow, Fault, Fold, ListingRow, Tenant};

/// Where a reader stands.
pub(super) fn cursor(connection: &Connection, reader: &str) -> Result<Cursor, Fault> {
    let row: Option<i64> = connection
        .prepare_cached("select row from cursors where reader = ?1")?
        .query_row([reader], |row| row.get(0))
        .optional()?;
    Ok(row.map_or(Cursor::START, read::place))
}

/// Writes what a reader made of events, if nobody else did.
pub(super) fn fold(connection: &mut Connection, tenants: &Tenants, fold: &Fold) -> Result<bool, Fault> {
    may_fold(fold)?;
    let listed = fold.listings.iter().map(|row| row.tenant);
    let booked = fold.balances.iter().map(|row| row.tenant);
    let delivered = fold.deliveries.iter().map(|row| row.tenant);
    let fed = fold.feed.iter().map(|row| row.tenant);
    let numbers = tenants.numbers(connection, listed.chain(booked).chain(delivered).chain(fed))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if cursor(&transaction, &fold.reader)? != fold.from {
        return Ok(false);
    }
    transaction
        .prepare_cached(
            "insert into cursors (reader, txn, row) values (?1, 0, ?2) on conflict do update set row = excluded.row",
        )?
        .execute(params![fold.reader, read::integer(fold.to.row)])?;
    for listing in &fold.listings {
        write_listing(&transaction, numbers[&listing.tenant], listing)?;
    }
    for (reference, order) in &fold.refs {
        let (connection, order) = (reference.connection.uuid(), order.uuid());
        transaction
            .prepare_cached(
                "insert into refs (connection, kind, id, order_id) values (?1, ?2, ?3, ?4) on conflict do nothing",
            )?
            .execute(params![
                connection.as_bytes(),
                reference.kind,
                reference.id,
                order.as_bytes()
            ])?;
    }
    for balance in &fold.balances {
        add_balance(&transaction, numbers[&balance.tenant], balance)?;
    }
    for delivery in &fold.deliveries {
        insert_delivery(&transaction, numbers[&delivery.tenant], delivery, "do nothing")?;
    }
    for row in &fold.feed {
        transaction
            .prepare_cached(
                "insert into feed (tenant, seq, time, money) values (?1, ?2, ?3, ?4) on conflict do nothing",
            )?
            .execute(params![
                numbers[&row.tenant],
                read::integer(row.at.row),
                row.time.millis(),
                row.money
            ])?;
    }
    transaction.commit()?;
    Ok(true)
}

fn write_listing(transaction: &Transaction<'_>, tenant: i32, row: &ListingRow) -> Result<(), Fault> {
    let (order, created) = (row.order.uuid(), row.created_at.millis());
    transaction
        .prepare_cached(
            "insert into listings (tenant, created_at, order_id, status, customer, attention) values (?1, ?2, ?3, ?4, ?5, ?6) \
             on conflict do update set status = excluded.status, customer = coalesce(excluded.customer, customer), attention = excluded.attention",
        )?
        .execute(params![tenant, created, order.as_bytes(), row.status, row.customer, row.attention])?;
    for (name, value) in &row.metadata {
        transaction
            .prepare_cached("insert into metadata (tenant, name, value, created_at, order_id) values (?1, ?2, ?3, ?4, ?5) on conflict do nothing")?
            .execute(params![tenant, name, value, created, order.as_bytes()])?;
    }
    Ok(())
}

/// Adds to a balance. The sum is made here, in 128 bits.
fn add_balance(transaction: &Transaction<'_>, tenant: i32, row: &BalanceRow) -> Result<(), Fault> {
    let connection = row.connection.uuid();
    let found: Option<(String, String)> = transaction
        .prepare_cached("select posted, pending from balances where tenant = ?1 and connection = ?2 and account = ?3 and currency = ?4")?
        .query_row(params![tenant, connection.as_bytes(), row.account, row.currency.code()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (posted, pending) = match found {
        Some((posted, pending)) => (sum(&posted)?, sum(&pending)?),
        None => (0, 0),
    };
    let posted = plus(posted, row.posted)?;
    let pending = plus(pending, row.pending)?;
    transaction
        .prepare_cached(
            "insert into balances (tenant, connection, account, currency, posted, pending) values (?1, ?2, ?3, ?4, ?5, ?6) \
             on conflict do update set posted = excluded.posted, pending = excluded.pending",
        )?
        .execute(params![tenant, connection.as_bytes(), row.account, row.currency.code(), posted.to_string(), pending.to_string()])?;
    Ok(())
}

/// Balances of a tenant, and up to where they are folded. Read in one snapshot.
pub(super) fn balances(
    connection: &Connection,
    tenants: &Tenants,
    tenant: Tenant,
) -> Result<(Vec<BalanceRow>, Cursor), Fault> {
    let place = cursor(connection, BOOKS)?;
    let Some(number) = tenants.find(connection, tenant)? else {
        return Ok((Vec::new(), place));
    };
    let sql = "select connection, account, currency, posted, pending from balances where tenant = ?1";
    let rows = read::rows(connection, tenants, sql, [number], |_, _, row| {
        let (posted, pending): (String, String) = (row.get(3)?, row.get(4)?);
        Ok(BalanceRow {
            tenant,
            connection: ConnectionId::from_uuid(Uuid::from_bytes(row.get(0)?)),
            account: row.get(1)?,
            currency: currency(&row.get::<_, String>(2)?)?,
            posted: sum(&posted)?,
            pending: sum(&pending)?,
        })
    })?;
    Ok((rows, place))
}

/// Writes what became of deliveries, or new ones. Whoever writes gives its lease back.
pub(super) fn write_deliveries(
    connection: &mut Connection,
    tenants: &Tenants,
    rows: &[DeliveryRow],
) -> Result<(), Fault> {
    let numbers = tenants.numbers(connection, rows.iter().map(|row| row.tenant))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for row in rows {
        insert_delivery(
            &transaction,
            numbers[&row.tenant],
            row,
            "(id) do update set status = excluded.status, due = excluded.due, tries = excluded.tries, \
             lease_node = null, lease_until = null where tenant = excluded.tenant",
        )?;
    }
    transaction.commit()?;
    Ok(())
}

fn insert_delivery(
    transaction: &Transaction<'_>,
    tenant: i32,
    row: &DeliveryRow,
    on_conflict: &str,
) -> Result<(), Fault> {
    transaction
        .prepare_cached(&format!(
            "insert into deliveries (id, tenant, endpoint, order_id, status, due, created_at, event, name, tries) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) on conflict {on_conflict}"
        ))?
        .execute(params![
            row.id.uuid().as_bytes(),
            tenant,
            row.endpoint.uuid().as_bytes(),
            row.order.uuid().as_bytes(),
            row.status.code(),
            row.due.map(|due| due.millis()),
            row.created_at.millis(),
            row.event,
            row.name,
            row.tries,
        ])?;
    Ok(())
}
