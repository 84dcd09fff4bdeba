//! What readers behind the commit write: lists, references, balances, deliveries, and how far they got.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use florin_core::id::{ConnectionId, OrderId};
use florin_core::time::Timestamp;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::parts::{Failed, Part, Values, boxed};
use super::session::Session;
use super::{parts, read, tenants};
use crate::codes::{currency, may_fold, plus, sum};
use crate::tenants::{Numbers, Tenants};
use crate::{BOOKS, BalanceRow, Cursor, DeliveryRow, Fault, FeedRow, Fold, ListingRow, ProviderRef, Tenant};

macro_rules! deliveries_sql {
    ($on_conflict:literal) => {
        concat!(
            "insert into deliveries (id, tenant, status, due, created_at, endpoint, order_id, event, name, tries) \
             select unnest($1::uuid[]), unnest($2::integer[]), unnest($3::smallint[]), unnest($4::bigint[]), \
             unnest($5::bigint[]), unnest($6::uuid[]), unnest($7::uuid[]), unnest($8::text[]), \
             unnest($9::text[]), unnest($10::text[]) ",
            $on_conflict
        )
    };
}
macro_rules! listings_sql {
    ($on_conflict:literal) => {
        concat!(
            "insert into listings as l \
             (tenant, created_at, order_id, attention, status, customer, terms, version, marks, changed_at) \
             select unnest($1::integer[]), unnest($2::bigint[]), unnest($3::uuid[]), unnest($4::smallint[]), \
             unnest($5::text[]), unnest($6::text[]), unnest($7::bytea[]), unnest($8::integer[]), \
             unnest($9::smallint[]), unnest($10::bigint[]) ",
            $on_conflict
        )
    };
}
macro_rules! refs_sql {
    ($on_conflict:literal) => {
        concat!(
            "insert into refs (connection, kind, id, order_id) \
             select unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::uuid[]) ",
            $on_conflict
        )
    };
}
macro_rules! feed_sql {
    ($on_conflict:literal) => {
        concat!(
            "insert into feed (tenant, money, txn, seq, time) \
             select unnest($1::integer[]), unnest($2::smallint[]), unnest($3::bigint[]), unnest($4::bigint[]), \
             unnest($5::bigint[]) ",
            $on_conflict
        )
    };
}

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
///
/// A turn is folded once, so what it makes is new: written without a look for what is there, a row costs half of the time and a record of the
/// log less. What is there after all (a provider's reference that is heard again, a turn of old events) makes a unique index refuse the turn;
/// nothing of it is written then, and it is written again with looking. Such a turn costs twice, and leaves a line in the log of PostgreSQL;
/// so the turns behind it, which may be as old, look at once ([`Looking`]).
pub(super) async fn fold(
    session: &mut Session,
    numbers: &Numbers,
    fold: &Fold,
    looking: &Looking,
) -> Result<bool, Fault> {
    may_fold(fold)?;
    if !looking.is_due() {
        match write(session, numbers, fold, &NEW).await? {
            Written::All => {
                looking.end();
                return Ok(true);
            }
            Written::Overtaken => return Ok(false),
            Written::IsThere => looking.begin(),
        }
    }
    match write(session, numbers, fold, &WITH_LOOKING).await? {
        Written::All => Ok(true),
        Written::Overtaken => Ok(false),
        Written::IsThere => Err(Fault::Refused(
            "a unique index refused what does not mind it".to_owned(),
        )),
    }
}

/// Most turns that look for what is there after one that met something.
const LOOKING_TURNS_MAX: u32 = 64;

/// How many of the next turns look for what is there: twice as many each time that the first one which does not meets something again. A
/// reader that folds everything anew meets its old rows in each turn, and a reference that is heard twice is met once.
#[derive(Default)]
pub(super) struct Looking {
    left: AtomicU32,
    next: AtomicU32,
}

impl Looking {
    /// The turn met something.
    fn begin(&self) {
        let next = self.next.load(Ordering::Relaxed);
        self.left.store(next, Ordering::Relaxed);
        self.next
            .store((2 * next).clamp(1, LOOKING_TURNS_MAX), Ordering::Relaxed);
    }

    /// All of the turn was new.
    fn end(&self) {
        self.next.store(0, Ordering::Relaxed);
    }

    /// Whether the turn that asks looks.
    fn is_due(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

/// How a turn is written.
struct Sql {
    listings_new: &'static str,
    refs: &'static str,
    deliveries: &'static str,
    feed: &'static str,
}

const NEW: Sql = Sql {
    listings_new: listings_sql!(""),
    refs: refs_sql!(""),
    deliveries: deliveries_sql!(""),
    feed: feed_sql!(""),
};

const WITH_LOOKING: Sql = Sql {
    listings_new: LISTINGS,
    refs: refs_sql!("on conflict do nothing"),
    deliveries: deliveries_sql!("on conflict do nothing"),
    feed: feed_sql!("on conflict do nothing"),
};

/// What became of a turn.
enum Written {
    All,
    /// Somebody else wrote it first.
    Overtaken,
    /// Nothing was written: a row of it is there.
    IsThere,
}

/// The place first, so that whoever is overtaken sends no more; then all the rest, on its way whole before its first answer is awaited: each
/// pause for an answer would be a wait for a processor that callers keep busy.
async fn write(session: &mut Session, numbers: &Numbers, fold: &Fold, sql: &Sql) -> Result<Written, Fault> {
    let place = advance(session, fold).await?;
    let mut parts = Vec::new();
    let (new, known) = newest(&fold.listings).into_iter().partition(|row| row.first);
    let written = [
        (sql.listings_new, listings(numbers, new)?),
        (LISTINGS, listings(numbers, known)?),
        (sql.refs, refs(&fold.refs)),
        (BALANCES, balances_added(numbers, &fold.balances)?),
        (sql.deliveries, deliveries(numbers, &fold.deliveries)),
        (sql.feed, feed(numbers, &fold.feed)),
    ];
    for (sql, values) in written {
        if let Some(values) = values {
            parts.push(Part::new(session, sql, values).await?);
        }
    }
    if parts::begin(session, &place).await? != 1 {
        session.client.batch_execute("rollback").await?;
        return Ok(Written::Overtaken);
    }
    match parts::finish(session, &parts).await {
        Ok(()) => Ok(Written::All),
        Err(Failed::Statement(error)) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(Written::IsThere),
        Err(Failed::Statement(error) | Failed::Commit(error)) => Err(error.into()),
    }
}

/// Moves the cursor. It is the lock too: of two readers at one place the second finds it moved.
async fn advance<'a>(session: &mut Session, fold: &'a Fold) -> Result<Part<'a>, Fault> {
    let ((from_txn, from_seq), (txn, seq)) = (place(fold.from), place(fold.to));
    let sql = if fold.from == Cursor::START {
        "insert into cursors (reader, txn, seq) values ($1, $4, $5) on conflict (reader) \
         do update set txn = $4, seq = $5 where cursors.txn = $2 and cursors.seq = $3"
    } else {
        "update cursors set txn = $4, seq = $5 where reader = $1 and txn = $2 and seq = $3"
    };
    let values: Values<'a> = vec![
        Box::new(fold.reader.as_str()),
        Box::new(from_txn),
        Box::new(from_seq),
        Box::new(txn),
        Box::new(seq),
    ];
    Part::new(session, sql, values).await
}

fn place(cursor: Cursor) -> (i64, i64) {
    (read::bigint(cursor.transaction), read::bigint(cursor.row))
}

const LISTINGS: &str = listings_sql!(
    "on conflict (tenant, created_at, order_id) do update \
    set attention = excluded.attention, status = excluded.status, version = excluded.version, \
    customer = coalesce(excluded.customer, l.customer), terms = coalesce(excluded.terms, l.terms), \
    marks = l.marks | excluded.marks, changed_at = greatest(l.changed_at, excluded.changed_at) \
    where l.version <= excluded.version"
);

/// One statement cannot meet a row twice, so the newest word about an order is found here.
fn newest(listings: &[ListingRow]) -> Vec<&ListingRow> {
    let mut rows: BTreeMap<OrderId, &ListingRow> = BTreeMap::new();
    for row in listings {
        let newest = rows.entry(row.order).or_insert(row);
        if newest.version <= row.version {
            *newest = row;
        }
    }
    rows.into_values().collect()
}

fn listings<'a>(numbers: &Numbers, mut rows: Vec<&'a ListingRow>) -> Result<Option<Values<'a>>, Fault> {
    if rows.is_empty() {
        return Ok(None);
    }
    rows.sort_by_key(|row| (numbers[&row.tenant], row.created_at));
    let each = || rows.iter().copied();
    let versions: Vec<i32> = each().map(|row| read::integer(row.version)).collect::<Result<_, _>>()?;
    Ok(Some(vec![
        boxed(each().map(|row| numbers[&row.tenant])),
        boxed(each().map(|row| row.created_at.millis())),
        boxed(each().map(|row| row.order.uuid())),
        boxed(each().map(|row| i16::from(row.attention))),
        boxed(each().map(|row| row.status.as_str())),
        boxed(each().map(|row| row.customer.as_deref())),
        boxed(each().map(|row| row.terms.stored())),
        Box::new(versions),
        boxed(each().map(|row| row.marks.bits())),
        boxed(each().map(|row| row.changed_at.millis())),
    ]))
}

fn refs(refs: &[(ProviderRef, OrderId)]) -> Option<Values<'_>> {
    let each = || refs.iter();
    (!refs.is_empty()).then(|| -> Values<'_> {
        vec![
            boxed(each().map(|(reference, _)| reference.connection.uuid())),
            boxed(each().map(|(reference, _)| reference.kind.as_str())),
            boxed(each().map(|(reference, _)| reference.id.as_str())),
            boxed(each().map(|(_, order)| order.uuid())),
        ]
    })
}

/// By tenant, so that rows which stand beside each other in the index are written one after the other.
fn feed<'a>(numbers: &Numbers, feed: &'a [FeedRow]) -> Option<Values<'a>> {
    let mut rows: Vec<&FeedRow> = feed.iter().collect();
    rows.sort_by_key(|row| numbers[&row.tenant]);
    let each = || rows.iter();
    (!rows.is_empty()).then(|| -> Values<'a> {
        vec![
            boxed(each().map(|row| numbers[&row.tenant])),
            boxed(each().map(|row| i16::from(row.money))),
            boxed(each().map(|row| read::bigint(row.at.transaction))),
            boxed(each().map(|row| read::bigint(row.at.row))),
            boxed(each().map(|row| row.time.millis())),
        ]
    })
}

const BALANCES: &str = "insert into balances as b (tenant, connection, account, currency, posted, pending) \
    select unnest($1::integer[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::text[]), \
    unnest($5::text[])::numeric, unnest($6::text[])::numeric \
    on conflict (tenant, connection, account, currency) do update \
    set posted = b.posted + excluded.posted, pending = b.pending + excluded.pending";

fn balances_added<'a>(numbers: &Numbers, balances: &'a [BalanceRow]) -> Result<Option<Values<'a>>, Fault> {
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
        return Ok(None);
    }
    let accounts = || sums.keys();
    Ok(Some(vec![
        boxed(accounts().map(|account| account.0)),
        boxed(accounts().map(|account| account.1)),
        boxed(accounts().map(|account| account.2)),
        boxed(accounts().map(|account| account.3)),
        boxed(sums.values().map(|sums| sums.0.to_string())),
        boxed(sums.values().map(|sums| sums.1.to_string())),
    ]))
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

const DELIVERIES_MOVED: &str = deliveries_sql!(
    "on conflict (id) do update set status = excluded.status, due = excluded.due, tries = excluded.tries, \
     lease_node = null, lease_until = null where deliveries.tenant = excluded.tenant"
);

/// Writes what became of deliveries, or new ones. Whoever writes gives its lease back.
pub(super) async fn write_deliveries(
    session: &mut Session,
    numbers: &Numbers,
    rows: &[DeliveryRow],
) -> Result<(), Fault> {
    if let Some(values) = deliveries(numbers, rows) {
        let values: Vec<_> = values.iter().map(|value| &**value as _).collect();
        session.execute(DELIVERIES_MOVED, &values).await?;
    }
    Ok(())
}

/// One statement cannot meet a row twice: the last word about a delivery counts.
fn deliveries<'a>(numbers: &Numbers, rows: &'a [DeliveryRow]) -> Option<Values<'a>> {
    let rows: BTreeMap<_, &DeliveryRow> = rows.iter().map(|row| (row.id, row)).collect();
    let each = || rows.values().copied();
    (!rows.is_empty()).then(|| -> Values<'a> {
        vec![
            boxed(each().map(|row| row.id.uuid())),
            boxed(each().map(|row| numbers[&row.tenant])),
            boxed(each().map(|row| row.status.code())),
            boxed(each().map(|row| row.due.map(Timestamp::millis))),
            boxed(each().map(|row| row.created_at.millis())),
            boxed(each().map(|row| row.endpoint.uuid())),
            boxed(each().map(|row| row.order.uuid())),
            boxed(each().map(|row| row.event.as_str())),
            boxed(each().map(|row| row.name.as_str())),
            boxed(each().map(|row| row.tries.as_str())),
        ]
    })
}
