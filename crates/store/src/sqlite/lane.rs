//! The hot path: what a lane reads before it decides, and the one transaction in which it writes a batch.

use std::collections::BTreeMap;

use florin_core::id::OrderId;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::fault::is_taken;

use super::names::{self, Claimer};
use super::read;
use crate::tenants::{Numbers, Tenants};
use crate::{Batch, Fault, Found, Hash, KeyRow, Lease, NoticeRow, OrderRow, Outcome, Tenant, Wanted};

/// Reads what a batch needs.
pub(super) fn load(connection: &Connection, tenants: &Tenants, wanted: &Wanted) -> Result<Found, Fault> {
    let mut orders = BTreeMap::new();
    let mut keep = |order: Option<OrderRow>| orders.extend(order.map(|order| (order.id, order)));
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
    let all = format!(
        "select {} from events where order_id = ?1 order by version",
        read::EVENT
    );
    for id in &wanted.details {
        found.details.extend(read::rows(
            connection,
            tenants,
            &all,
            [id.uuid().as_bytes()],
            read::event,
        )?);
    }
    Ok(found)
}

fn order(connection: &Connection, tenants: &Tenants, id: OrderId) -> Result<Option<OrderRow>, Fault> {
    let sql = format!("select {} from orders where id = ?1", read::ORDER);
    Ok(read::rows(connection, tenants, &sql, [id.uuid().as_bytes()], read::order)?.pop())
}

fn key(connection: &Connection, tenants: &Tenants, tenant: Tenant, name: &str) -> Result<Option<KeyRow>, Fault> {
    let Some(number) = tenants.find(connection, tenant)? else {
        return Ok(None);
    };
    let found = connection
        .prepare_cached("select hash, made, created_at from keys where tenant = ?1 and key = ?2 and order_id is null")?
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

/// When leases that start with a commit end.
#[derive(Clone, Copy)]
struct LeaseEnd(i64);

impl LeaseEnd {
    /// Asks the clock if anything in the batch needs it.
    fn of(connection: &Connection, batch: &Batch) -> Result<Self, Fault> {
        let starts = |row: &OrderRow| row.lease.is_some_and(|lease| lease.until == Lease::FROM_NOW);
        if batch.new.iter().any(starts) || batch.changed.iter().any(|changed| starts(&changed.row)) {
            return Ok(Self(
                read::clock(connection)?.plus_seconds(i64::from(batch.lease_s)).millis(),
            ));
        }
        Ok(Self(0))
    }

    fn until(self, row: &OrderRow) -> Option<i64> {
        let lease = row.lease?;
        Some(if lease.until == Lease::FROM_NOW {
            self.0
        } else {
            lease.until.millis()
        })
    }
}

/// Writes a batch whole or not at all.
pub(super) fn commit(connection: &mut Connection, tenants: &Tenants, batch: &Batch) -> Result<Outcome, Fault> {
    let numbers = tenants.numbers(connection, tenants_of(batch))?;
    let ends = LeaseEnd::of(connection, batch)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match write(&transaction, &numbers, batch, ends)? {
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
fn write(transaction: &Transaction<'_>, numbers: &Numbers, batch: &Batch, ends: LeaseEnd) -> rusqlite::Result<Outcome> {
    let done = write_new(transaction, numbers, batch, ends)? == Outcome::Done
        && write_changed(transaction, batch, ends)? == Outcome::Done
        && write_events(transaction, numbers, batch)? == Outcome::Done
        && write_keys(transaction, numbers, &batch.keys)? == Outcome::Done
        && write_notices(transaction, numbers, batch)? == Outcome::Done;
    Ok(if done { Outcome::Done } else { Outcome::Conflict })
}

fn write_new(
    transaction: &Transaction<'_>,
    numbers: &Numbers,
    batch: &Batch,
    ends: LeaseEnd,
) -> rusqlite::Result<Outcome> {
    if batch.new.is_empty() {
        return Ok(Outcome::Done);
    }
    let mut claimer = Claimer::new(transaction)?;
    for row in &batch.new {
        if claimer.claim(row, numbers[&row.tenant], ends.until(row))? == Outcome::Conflict {
            return Ok(Outcome::Conflict);
        }
    }
    Ok(Outcome::Done)
}

fn write_changed(transaction: &Transaction<'_>, batch: &Batch, ends: LeaseEnd) -> rusqlite::Result<Outcome> {
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
            ends.until(row),
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
