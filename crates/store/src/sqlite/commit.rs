//! The one transaction in which a lane writes a batch.

use std::collections::BTreeSet;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::fault::is_taken;
use super::names::{Kind, Name, Names};
use super::read;
use super::threads::Pen;
use crate::tenants::{Numbers, Tenants};
use crate::{Batch, Changed, EventRow, Fault, KeyRow, Lease, NoticeId, NoticeRow, OrderRow, Outcome, Tenant};

/// Why a batch is not written.
pub(super) enum Stop {
    /// Somebody else was faster somewhere in it.
    Conflict,
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        if is_taken(&error) {
            Self::Conflict
        } else {
            Self::Fault(error.into())
        }
    }
}

impl Stop {
    /// What the caller is told; the transaction has been rolled back.
    pub(super) fn outcome(self) -> Result<Outcome, Fault> {
        match self {
            Self::Conflict => Ok(Outcome::Conflict),
            Self::Fault(fault) => Err(fault),
        }
    }
}

/// Writes a batch whole or not at all.
pub(super) fn commit(pen: &mut Pen, tenants: &Tenants, batch: &Batch) -> Result<Outcome, Fault> {
    let numbers = tenants.numbers(&pen.connection, tenants_of(batch))?;
    match write(pen, &numbers, batch) {
        Ok(()) => Ok(Outcome::Done),
        Err(stop) => stop.outcome(),
    }
}

fn tenants_of(batch: &Batch) -> impl Iterator<Item = Tenant> {
    let orders = batch.new.iter().map(|row| row.tenant);
    let events = batch.events.iter().map(|row| row.tenant);
    let rest = batch
        .keys
        .iter()
        .map(|row| row.tenant)
        .chain(batch.notices.iter().map(|row| row.tenant));
    orders.chain(events).chain(rest)
}

fn write(pen: &mut Pen, numbers: &Numbers, batch: &Batch) -> Result<(), Stop> {
    let ends = LeaseEnd::of(&pen.connection, batch)?;
    let transaction = pen
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut asked = Asked::new(&transaction, &mut pen.names);
    let made = write_new(&transaction, &mut asked, numbers, &batch.new, ends)?;
    write_changed(&transaction, &batch.changed, ends)?;
    write_events(&transaction, numbers, &batch.events)?;
    write_keys(&transaction, &mut asked, numbers, &batch.keys)?;
    write_notices(&transaction, numbers, &batch.notices)?;
    write_done(&transaction, &batch.done)?;
    transaction.commit()?;
    for (row, number) in batch.new.iter().zip(made) {
        pen.names.add(
            number,
            numbers[&row.tenant],
            &row.reference,
            row.key.as_ref().map(|key| key.key.as_str()),
        );
    }
    Ok(())
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

/// Names that one transaction asks for: each is free, or the transaction stops.
pub(super) struct Asked<'a> {
    connection: &'a Connection,
    names: &'a mut Names,
    caught_up: bool,
    taken: BTreeSet<Name<'a>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(connection: &'a Connection, names: &'a mut Names) -> Self {
        Self {
            connection,
            names,
            caught_up: false,
            taken: BTreeSet::new(),
        }
    }

    /// Claims a name for this transaction.
    fn claim(&mut self, kind: Kind, tenant: i32, text: &'a str) -> Result<(), Stop> {
        let name = Name { kind, tenant, text };
        if !self.caught_up {
            self.names.catch_up(self.connection)?;
            self.caught_up = true;
        }
        if !self.taken.insert(name) || self.names.find(self.connection, name)?.is_some() {
            return Err(Stop::Conflict);
        }
        Ok(())
    }
}

/// Answers the numbers of the rows.
fn write_new<'a>(
    transaction: &Transaction<'_>,
    asked: &mut Asked<'a>,
    numbers: &Numbers,
    rows: &'a [OrderRow],
    ends: LeaseEnd,
) -> Result<Vec<i64>, Stop> {
    let mut made = Vec::with_capacity(rows.len());
    if rows.is_empty() {
        return Ok(made);
    }
    let mut later_call = transaction.prepare_cached("select 1 from keys where tenant = ?1 and key = ?2")?;
    let mut insert = transaction.prepare_cached(
        "insert into orders (id, tenant, reference, idem_key, idem_hash, version, fence, due, lease_node, lease_until, \
         created_at, chain, work, state) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    for row in rows {
        let tenant = numbers[&row.tenant];
        asked.claim(Kind::Reference, tenant, &row.reference)?;
        if let Some(key) = &row.key {
            asked.claim(Kind::Key, tenant, &key.key)?;
            if later_call.exists(params![tenant, key.key])? {
                return Err(Stop::Conflict);
            }
        }
        insert.execute(params![
            row.id.uuid().as_bytes(),
            tenant,
            row.reference,
            row.key.as_ref().map(|key| &key.key),
            row.key.as_ref().map(|key| &key.hash),
            row.version,
            row.fence,
            row.due.map(|due| due.millis()),
            row.lease.map(|lease| *lease.node.uuid().as_bytes()),
            ends.until(row),
            row.created_at.millis(),
            row.chain,
            row.work,
            row.state,
        ])?;
        made.push(transaction.last_insert_rowid());
    }
    Ok(made)
}

fn write_changed(transaction: &Transaction<'_>, rows: &[Changed], ends: LeaseEnd) -> Result<(), Stop> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut update = transaction.prepare_cached(
        "update orders set version = ?1, due = ?2, lease_node = ?3, lease_until = ?4, chain = ?5, work = ?6, state = ?7 \
         where id = ?8 and version = ?9 and fence = ?10",
    )?;
    for changed in rows {
        let row = &changed.row;
        let written = update.execute(params![
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
            return Err(Stop::Conflict);
        }
    }
    Ok(())
}

fn write_events(transaction: &Transaction<'_>, numbers: &Numbers, rows: &[EventRow]) -> Result<(), Stop> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = transaction.prepare_cached(
        "insert into events (order_id, version, tenant, count, time, hash, news, postings, body) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for row in rows {
        insert.execute(params![
            row.order.uuid().as_bytes(),
            row.version,
            numbers[&row.tenant],
            row.count,
            row.time.millis(),
            row.hash,
            row.news,
            row.postings,
            row.body,
        ])?;
    }
    Ok(())
}

/// Keys of later calls. One name space with the keys that made orders.
pub(super) fn write_keys<'a>(
    transaction: &Transaction<'_>,
    asked: &mut Asked<'a>,
    numbers: &Numbers,
    rows: &'a [KeyRow],
) -> Result<(), Stop> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = transaction
        .prepare_cached("insert into keys (tenant, key, hash, created_at, made) values (?1, ?2, ?3, ?4, ?5)")?;
    for row in rows {
        let tenant = numbers[&row.tenant];
        asked.claim(Kind::Key, tenant, &row.key.key)?;
        insert.execute(params![
            tenant,
            row.key.key,
            row.key.hash,
            row.created_at.millis(),
            row.made
        ])?;
    }
    Ok(())
}

fn write_notices(transaction: &Transaction<'_>, numbers: &Numbers, rows: &[NoticeRow]) -> Result<(), Stop> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = transaction.prepare_cached(
        "insert into inbox (connection, id, tenant, received_at, due, item) values (?1, ?2, ?3, ?4, ?5, ?6) \
         on conflict (connection, id) do update set due = max(due, excluded.due) where done = 0",
    )?;
    for row in rows {
        let (connection, tenant) = (row.id.connection.uuid(), numbers[&row.tenant]);
        let (received, due) = (row.received_at.millis(), row.due.millis());
        insert.execute(params![
            connection.as_bytes(),
            row.id.id,
            tenant,
            received,
            due,
            row.item
        ])?;
    }
    Ok(())
}

fn write_done(transaction: &Transaction<'_>, ids: &[NoticeId]) -> Result<(), Stop> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut update = transaction.prepare_cached("update inbox set done = 1 where connection = ?1 and id = ?2")?;
    for id in ids {
        update.execute(params![id.connection.uuid().as_bytes(), id.id])?;
    }
    Ok(())
}
