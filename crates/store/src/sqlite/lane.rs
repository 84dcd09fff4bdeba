//! The hot path: what a lane reads before it decides, and the one transaction in which it writes a batch.

use std::collections::BTreeMap;

use florin_core::id::OrderId;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::fault::is_taken;
use super::tenants::{Numbers, Tenants};
use super::{names, read};
use crate::{Batch, Fault, Found, Hash, KeyRow, NoticeRow, Outcome, Tenant, Wanted};

/// Reads what a batch needs.
pub(super) fn load(connection: &Connection, tenants: &Tenants, wanted: &Wanted) -> Result<Found, Fault> {
    let mut orders = BTreeMap::new();
    let mut keep = |order: Option<crate::OrderRow>| orders.extend(order.map(|order| (order.id, order)));
    for id in &wanted.orders {
        keep(order(connection, tenants, *id)?);
    }
    for (tenant, key) in &wanted.order_keys {
        keep(names::by_key(connection, tenants, *tenant, key)?);
    }
    for (tenant, reference) in &wanted.references {
        keep(names::by_reference(connection, tenants, *tenant, reference)?);
    }
    let mut found = Found {
        orders: orders.into_values().collect(),
        ..Found::default()
    };
    for (tenant, name) in &wanted.keys {
        found.keys.extend(key(connection, tenants, *tenant, name)?);
    }
    let first = format!(
        "select {} from events where order_id = ?1 order by version limit 1",
        read::EVENT
    );
    for id in &wanted.details {
        found.details.extend(read::rows(
            connection,
            tenants,
            &first,
            [id.uuid().as_bytes()],
            read::event,
        )?);
    }
    Ok(found)
}

fn order(connection: &Connection, tenants: &Tenants, id: OrderId) -> Result<Option<crate::OrderRow>, Fault> {
    let sql = format!("select {} from orders where id = ?1", read::ORDER);
    Ok(read::rows(connection, tenants, &sql, [id.uuid().as_bytes()], read::order)?.pop())
}

fn key(connection: &Connection, tenants: &Tenants, tenant: Tenant, name: &str) -> Result<Option<KeyRow>, Fault> {
    let Some(number) = tenants.find(connection, tenant)? else {
        return Ok(None);
    };
    let found = connection
        .prepare_cached("select hash, made, created_at from keys where tenant = ?1 and key = ?2")?
        .query_row(params![number, name], |row| {
            Ok(KeyRow {
                tenant,
                key: crate::IdemKey {
                    key: name.to_owned(),
                    hash: row.get(0)?,
                },
                made: row.get(1)?,
                created_at: florin_core::time::Timestamp::from_millis(row.get(2)?),
            })
        })
        .optional()?;
    Ok(found)
}

/// Writes a batch whole or not at all.
pub(super) fn commit(connection: &mut Connection, tenants: &Tenants, batch: &Batch) -> Result<Outcome, Fault> {
    let numbers = tenants.numbers(connection, tenants_of(batch))?;
    let leased = batch
        .new
        .iter()
        .chain(batch.changed.iter().map(|changed| &changed.row))
        .any(|row| row.lease.is_some());
    let lease_until = if leased {
        Some(read::clock(connection)?.plus_seconds(i64::from(batch.lease_s)).millis())
    } else {
        None
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match write(&transaction, &numbers, batch, lease_until)? {
        Outcome::Done => transaction.commit()?,
        Outcome::Conflict => {
            transaction.rollback()?;
            return Ok(Outcome::Conflict);
        }
    }
    Ok(Outcome::Done)
}

fn tenants_of(batch: &Batch) -> impl Iterator<Item = Tenant> {
    let orders = batch.new.iter().map(|row| row.tenant);
    let events = batch.events.iter().map(|row| row.tenant);
    orders
        .chain(events)
        .chain(batch.keys.iter().map(|row| row.tenant))
        .chain(batch.notices.iter().map(|row| row.tenant))
}

/// Writes all of it; [`Outcome::Conflict`] at the first thing that somebody else was faster with.
fn write(
    transaction: &Transaction<'_>,
    numbers: &Numbers,
    batch: &Batch,
    lease_until: Option<i64>,
) -> rusqlite::Result<Outcome> {
    let done = write_new(transaction, numbers, batch, lease_until)? == Outcome::Done
        && write_changed(transaction, batch, lease_until)? == Outcome::Done
        && write_events(transaction, numbers, batch)? == Outcome::Done
        && write_keys(transaction, numbers, &batch.keys)? == Outcome::Done
        && write_notices(transaction, numbers, batch)? == Outcome::Done;
    Ok(if done { Outcome::Done } else { Outcome::Conflict })
}

fn write_new(
    transaction: &Transaction<'_>,
    numbers: &Numbers,
    batch: &Batch,
    lease_until: Option<i64>,
) -> rusqlite::Result<Outcome> {
    if batch.new.is_empty() {
        return Ok(Outcome::Done);
    }
    let mut statement = names::prepare(transaction)?;
    for row in &batch.new {
        let until = row.lease.and(lease_until);
        if names::claim(&mut statement, row, numbers[&row.tenant], until)? == Outcome::Conflict {
            return Ok(Outcome::Conflict);
        }
    }
    Ok(Outcome::Done)
}

fn write_changed(transaction: &Transaction<'_>, batch: &Batch, lease_until: Option<i64>) -> rusqlite::Result<Outcome> {
    if batch.changed.is_empty() {
        return Ok(Outcome::Done);
    }
    let mut statement = transaction.prepare_cached(
        "update orders set version = ?1, due = ?2, lease_node = ?3, lease_until = ?4, chain = ?5, work = ?6, state = ?7 \
         where id = ?8 and version = ?9 and fence = ?10",
    )?;
    for changed in &batch.changed {
        let row = &changed.row;
        let written = statement.execute(params![
            row.version,
            row.due.map(|due| due.millis()),
            row.lease.map(|lease| *lease.node.uuid().as_bytes()),
            row.lease.and(lease_until),
            row.chain,
            row.work,
            row.state,
            row.id.uuid().as_bytes(),
            changed.read_version,
            row.fence,
        ])?;
        if written != 1 {
            return Ok(Outcome::Conflict);
        }
    }
    Ok(Outcome::Done)
}

fn write_events(transaction: &Transaction<'_>, numbers: &Numbers, batch: &Batch) -> rusqlite::Result<Outcome> {
    if batch.events.is_empty() {
        return Ok(Outcome::Done);
    }
    let mut statement = transaction.prepare_cached(
        "insert into events (order_id, version, tenant, count, time, hash, news, postings, body) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for event in &batch.events {
        let written = statement.execute(params![
            event.order.uuid().as_bytes(),
            event.version,
            numbers[&event.tenant],
            event.count,
            event.time.millis(),
            event.hash,
            event.news,
            event.postings,
            event.body,
        ]);
        match written {
            Ok(_) => {}
            Err(error) if is_taken(&error) => return Ok(Outcome::Conflict),
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome::Done)
}

/// Plain inserts: a key that is there already is a conflict.
pub(super) fn write_keys(
    transaction: &Transaction<'_>,
    numbers: &Numbers,
    keys: &[KeyRow],
) -> rusqlite::Result<Outcome> {
    if keys.is_empty() {
        return Ok(Outcome::Done);
    }
    let mut statement = transaction
        .prepare_cached("insert into keys (tenant, key, hash, created_at, made) values (?1, ?2, ?3, ?4, ?5)")?;
    for row in keys {
        let tenant = numbers[&row.tenant];
        match statement.execute(params![
            tenant,
            row.key.key,
            row.key.hash,
            row.created_at.millis(),
            row.made
        ]) {
            Ok(_) => {}
            Err(error) if is_taken(&error) => return Ok(Outcome::Conflict),
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome::Done)
}

fn write_notices(transaction: &Transaction<'_>, numbers: &Numbers, batch: &Batch) -> rusqlite::Result<Outcome> {
    if !batch.notices.is_empty() {
        let mut statement = transaction.prepare_cached(
            "insert into inbox (connection, id, tenant, received_at, due, item) values (?1, ?2, ?3, ?4, ?5, ?6) \
             on conflict (connection, id) do update set due = max(due, excluded.due) where done = 0",
        )?;
        for row in &batch.notices {
            let (connection, tenant) = (row.id.connection.uuid(), numbers[&row.tenant]);
            let (received, due) = (row.received_at.millis(), row.due.millis());
            statement.execute(params![
                connection.as_bytes(),
                row.id.id,
                tenant,
                received,
                due,
                row.item
            ])?;
        }
    }
    if !batch.done.is_empty() {
        let mut statement =
            transaction.prepare_cached("update inbox set done = 1 where connection = ?1 and id = ?2")?;
        for id in &batch.done {
            statement.execute(params![id.connection.uuid().as_bytes(), id.id])?;
        }
    }
    Ok(Outcome::Done)
}

/// Whether event rows with these very hashes are there.
pub(super) fn was_committed(connection: &Connection, events: &[(OrderId, u32, Hash)]) -> Result<bool, Fault> {
    let mut statement =
        connection.prepare_cached("select 1 from events where order_id = ?1 and version = ?2 and hash = ?3")?;
    for (order, version, hash) in events {
        if !statement.exists(params![order.uuid().as_bytes(), version, hash])? {
            return Ok(false);
        }
    }
    Ok(!events.is_empty())
}

/// Notices that are not done.
pub(super) fn inbox(connection: &Connection, tenants: &Tenants, limit: u32) -> Result<Vec<NoticeRow>, Fault> {
    let sql = format!(
        "select {} from inbox where done = 0 order by due, number limit ?1",
        read::NOTICE
    );
    read::rows(connection, tenants, &sql, [limit], read::notice)
}
