//! What readers behind the commit write: lists, references, balances, deliveries, and how far they got.

use std::ops::Range;

use florin_core::id::{ConnectionId, OrderId};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::read;

use crate::codes::{currency, may_fold, plus, sum};
use crate::tenants::{Numbers, Tenants};
use crate::{BOOKS, BalanceRow, Cursor, DeliveryRow, Fault, FeedRow, Fold, ListingRow, ProviderRef, Tenant};

/// Where a reader stands.
pub(super) fn cursor(connection: &Connection, reader: &str) -> Result<Cursor, Fault> {
    let row: Option<i64> = connection
        .prepare_cached("select row from cursors where reader = ?1")?
        .query_row([reader], |row| row.get(0))
        .optional()?;
    Ok(row.map_or(Cursor::START, read::place))
}

/// Rows of lists in one transaction: about a millisecond, so that a commit hardly waits for it.
const PIECE: usize = 256;

/// A fold as it is written: rows of lists beforehand, a few at a time and in the order of the trees that they go to, so that neighbours
/// share pages; then the rest with the cursor.
pub(super) struct Plan {
    fold: Fold,
    numbers: Numbers,
    listings: Vec<usize>,
    refs: Vec<usize>,
    feed: Vec<usize>,
}

/// What one transaction of a plan writes.
#[derive(Clone)]
pub(super) enum Piece {
    Listings(Range<usize>),
    Refs(Range<usize>),
    Feed(Range<usize>),
}

impl Plan {
    /// None: another reader was faster.
    pub(super) fn new(connection: &Connection, tenants: &Tenants, fold: Fold) -> Result<Option<Self>, Fault> {
        may_fold(&fold)?;
        if cursor(connection, &fold.reader)? != fold.from {
            return Ok(None);
        }
        let listed = fold.listings.iter().map(|row| row.tenant);
        let booked = fold.balances.iter().map(|row| row.tenant);
        let delivered = fold.deliveries.iter().map(|row| row.tenant);
        let fed = fold.feed.iter().map(|row| row.tenant);
        let numbers = tenants.numbers(connection, listed.chain(booked).chain(delivered).chain(fed))?;
        let mut plan = Self {
            listings: (0..fold.listings.len()).collect(),
            refs: (0..fold.refs.len()).collect(),
            feed: (0..fold.feed.len()).collect(),
            fold,
            numbers,
        };
        let (fold, numbers) = (&plan.fold, &plan.numbers);
        plan.listings.sort_by_cached_key(|at| {
            let row = &fold.listings[*at];
            (numbers[&row.tenant], row.created_at, row.order)
        });
        plan.refs
            .sort_by(|one, other| fold.refs[*one].0.cmp(&fold.refs[*other].0));
        plan.feed
            .sort_by_cached_key(|at| (numbers[&fold.feed[*at].tenant], fold.feed[*at].at));
        Ok(Some(plan))
    }

    pub(super) fn pieces(&self) -> Vec<Piece> {
        let cut = |rows: &[usize], piece: fn(Range<usize>) -> Piece| {
            let ends = (0..rows.len()).step_by(PIECE);
            let all: Vec<Piece> = ends.map(|at| piece(at..rows.len().min(at + PIECE))).collect();
            all
        };
        let mut pieces = cut(&self.listings, Piece::Listings);
        pieces.extend(cut(&self.refs, Piece::Refs));
        pieces.extend(cut(&self.feed, Piece::Feed));
        pieces
    }

    /// Writes rows of lists. Writing them again changes nothing.
    pub(super) fn write(&self, connection: &mut Connection, piece: &Piece) -> Result<(), Fault> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match piece {
            Piece::Listings(rows) => {
                let rows = self.listings[rows.clone()].iter().map(|at| &self.fold.listings[*at]);
                write_listings(&transaction, &self.numbers, rows)?;
            }
            Piece::Refs(rows) => {
                let rows = self.refs[rows.clone()].iter().map(|at| &self.fold.refs[*at]);
                write_refs(&transaction, rows)?;
            }
            Piece::Feed(rows) => {
                let rows = self.feed[rows.clone()].iter().map(|at| &self.fold.feed[*at]);
                write_feed(&transaction, &self.numbers, rows)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Writes what must be written once, and the cursor, if nobody else did.
    pub(super) fn end(&self, connection: &mut Connection) -> Result<bool, Fault> {
        let (fold, numbers) = (&self.fold, &self.numbers);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if cursor(&transaction, &fold.reader)? != fold.from {
            return Ok(false);
        }
        transaction
            .prepare_cached(
                "insert into cursors (reader, txn, row) values (?1, 0, ?2) on conflict do update set row = excluded.row",
            )?
            .execute(params![fold.reader, read::integer(fold.to.row)])?;
        for balance in &fold.balances {
            add_balance(&transaction, numbers[&balance.tenant], balance)?;
        }
        for delivery in &fold.deliveries {
            insert_delivery(&transaction, numbers[&delivery.tenant], delivery, "do nothing")?;
        }
        transaction.commit()?;
        Ok(true)
    }
}

fn write_listings<'a>(
    transaction: &Transaction<'_>,
    numbers: &Numbers,
    rows: impl Iterator<Item = &'a ListingRow>,
) -> Result<(), Fault> {
    let mut statement = transaction.prepare_cached(
        "insert into listings (tenant, created_at, order_id, version, attention, status, customer, terms, marks, changed_at) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         on conflict do update set version = excluded.version, attention = excluded.attention, status = excluded.status, \
         customer = coalesce(excluded.customer, customer), terms = coalesce(excluded.terms, terms), \
         marks = marks | excluded.marks, changed_at = max(coalesce(changed_at, 0), excluded.changed_at) \
         where version <= excluded.version",
    )?;
    for row in rows {
        statement.execute(params![
            numbers[&row.tenant],
            row.created_at.millis(),
            row.order.uuid().as_bytes(),
            row.version,
            row.attention,
            row.status,
            row.customer,
            row.terms.stored(),
            row.marks.bits(),
            row.changed_at.millis(),
        ])?;
    }
    Ok(())
}

fn write_refs<'a>(
    transaction: &Transaction<'_>,
    rows: impl Iterator<Item = &'a (ProviderRef, OrderId)>,
) -> Result<(), Fault> {
    let mut statement = transaction.prepare_cached(
        "insert into refs (connection, kind, id, order_id) values (?1, ?2, ?3, ?4) on conflict do nothing",
    )?;
    for (reference, order) in rows {
        statement.execute(params![
            reference.connection.uuid().as_bytes(),
            reference.kind,
            reference.id,
            order.uuid().as_bytes(),
        ])?;
    }
    Ok(())
}

fn write_feed<'a>(
    transaction: &Transaction<'_>,
    numbers: &Numbers,
    rows: impl Iterator<Item = &'a FeedRow>,
) -> Result<(), Fault> {
    let mut statement = transaction
        .prepare_cached("insert into feed (tenant, seq, time, money) values (?1, ?2, ?3, ?4) on conflict do nothing")?;
    for row in rows {
        statement.execute(params![
            numbers[&row.tenant],
            read::integer(row.at.row),
            row.time.millis(),
            row.money
        ])?;
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
