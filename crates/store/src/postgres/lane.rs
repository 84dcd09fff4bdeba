//! The hot path: what a lane reads before it decides, and the one transaction in which it writes a batch.

use std::collections::BTreeMap;
use std::time::Duration;

use florin_core::time::Timestamp;
use uuid::Uuid;

use super::fault::{Trouble, at_commit, in_transaction};
use super::parts::{Failed, Part, Values, boxed};
use super::session::Session;
use super::{Backend, parts, read, tenants};
use crate::tenants::{Numbers, Tenants};
use crate::{Batch, Fault, Found, IdemKey, KeyRow, NoticeId, NoticeRow, OrderRow, Outcome, Tenant, Wanted};

/// Reads what a batch needs, one query per kind.
pub(super) async fn load(session: &mut Session, tenants: &Tenants, wanted: &Wanted) -> Result<Found, Fault> {
    let mut orders = BTreeMap::new();
    let mut keep = |rows: Vec<OrderRow>| orders.extend(rows.into_iter().map(|row| (row.id, row)));
    if !wanted.orders.is_empty() {
        let ids: Vec<Uuid> = wanted.orders.iter().map(|id| id.uuid()).collect();
        let sql = format!("select {} from orders o where o.id = any($1)", read::ORDER);
        keep(read::rows(session, tenants, &sql, &[&ids], read::order).await?);
    }
    for (names, join) in [
        (
            &wanted.order_keys,
            "join keys k on k.tenant = w.tenant and k.key = w.name join orders o on o.id = k.order_id",
        ),
        (
            &wanted.references,
            "join orders o on o.tenant = w.tenant and o.reference = w.name",
        ),
    ] {
        let (whose, names) = named(session, tenants, names).await?;
        if !names.is_empty() {
            let sql = format!(
                "select {} from unnest($1::integer[], $2::text[]) as w(tenant, name) {join}",
                read::ORDER
            );
            keep(read::rows(session, tenants, &sql, &[&whose, &names], read::order).await?);
        }
    }
    let mut found = Found {
        orders: orders.into_values().collect(),
        ..Found::default()
    };
    let (whose, names) = named(session, tenants, &wanted.keys).await?;
    if !names.is_empty() {
        let sql = "select k.key, k.tenant, k.hash, k.made, k.created_at from unnest($1::integer[], $2::text[]) as w(tenant, name) \
                   join keys k on k.tenant = w.tenant and k.key = w.name and k.order_id is null";
        found.keys = read::rows(session, tenants, sql, &[&whose, &names], key).await?;
    }
    if !wanted.details.is_empty() {
        let ids: Vec<Uuid> = wanted.details.iter().map(|id| id.uuid()).collect();
        let sql = format!(
            "select {} from events where order_id = any($1) order by order_id, version",
            read::EVENT
        );
        found.details = read::rows(session, tenants, &sql, &[&ids], read::event).await?;
    }
    Ok(found)
}

/// Names with their tenants' numbers; names of tenants that have none are left out, since nothing is theirs.
async fn named<'a>(
    session: &mut Session,
    tenants: &Tenants,
    wanted: &'a [(Tenant, String)],
) -> Result<(Vec<i32>, Vec<&'a str>), Fault> {
    let (mut whose, mut names) = (Vec::new(), Vec::new());
    for (tenant, name) in wanted {
        if let Some(number) = tenants::find(session, tenants, *tenant).await? {
            whose.push(number);
            names.push(name.as_str());
        }
    }
    Ok((whose, names))
}

fn key(tenants: &Tenants, row: &tokio_postgres::Row) -> Result<KeyRow, Fault> {
    let hash: &[u8] = row.try_get(2)?;
    let hash = hash
        .try_into()
        .map_err(|_| Fault::Refused(format!("a key's hash has {} bytes", hash.len())))?;
    Ok(KeyRow {
        tenant: tenants::of(tenants, row.try_get(1)?)?,
        key: IdemKey {
            key: row.try_get(0)?,
            hash,
            earlier: None,
        },
        made: row.try_get(3)?,
        created_at: Timestamp::from_millis(row.try_get(4)?),
    })
}

pub(super) fn tenants_of(batch: &Batch) -> impl Iterator<Item = Tenant> {
    let orders = batch.new.iter().map(|row| row.tenant);
    let events = batch.events.iter().map(|row| row.tenant);
    let rest = batch
        .keys
        .iter()
        .map(|row| row.tenant)
        .chain(batch.notices.iter().map(|row| row.tenant));
    orders.chain(events).chain(rest)
}

// Arrays are unrolled in the select list: there they stream row by row, while in `from` each is written to a store of its own first, which
// costs more than the insert itself.

/// New orders, and the keys of the calls that made them: one name space with the keys of later calls.
const NEW: &str = "with named as (insert into keys (tenant, key, order_id, created_at) \
    select tenant, key, id, created_at from (select unnest($2::integer[]) as tenant, unnest($4::text[]) as key, \
    unnest($1::uuid[]) as id, unnest($10::bigint[]) as created_at) as n where key is not null) \
    insert into orders (id, tenant, reference, idem_key, idem_hash, version, fence, due, lease_node, lease_until, \
    created_at, chain, work, state) \
    select id, tenant, reference, idem_key, idem_hash, version, fence, due, lease_node, \
    case when lease_until = 0 then (extract(epoch from clock_timestamp()) * 1000)::bigint + $14 else lease_until end, \
    created_at, chain, work, state \
    from (select unnest($1::uuid[]) as id, unnest($2::integer[]) as tenant, unnest($3::text[]) as reference, \
    unnest($4::text[]) as idem_key, unnest($5::bytea[]) as idem_hash, unnest($6::integer[]) as version, \
    unnest($7::integer[]) as fence, unnest($8::bigint[]) as due, unnest($9::uuid[]) as lease_node, \
    unnest($15::bigint[]) as lease_until, unnest($10::bigint[]) as created_at, unnest($11::bytea[]) as chain, \
    unnest($12::text[]) as work, unnest($13::text[]) as state) as n";

const CHANGED: &str = "with moved as (update orders o set version = n.version, due = n.due, lease_node = n.lease_node, \
    lease_until = case when n.lease_until = 0 then (extract(epoch from clock_timestamp()) * 1000)::bigint + $10 \
    else n.lease_until end, chain = n.chain, work = n.work, state = n.state \
    from (select unnest($1::uuid[]) as id, unnest($2::integer[]) as read_version, unnest($3::integer[]) as fence, \
    unnest($4::integer[]) as version, unnest($5::bigint[]) as due, unnest($6::uuid[]) as lease_node, \
    unnest($12::bigint[]) as lease_until, unnest($7::bytea[]) as chain, unnest($8::text[]) as work, \
    unnest($9::text[]) as state) as n \
    where o.id = n.id and o.version = n.read_version and o.fence = n.fence returning 1) \
    select florin_expect((select count(*) from moved), $11)";

const EVENTS: &str = "insert into events (txn, order_id, version, tenant, count, time, hash, news, postings, body) \
    select (select $10::bigint + pg_current_xact_id()::text::bigint), unnest($1::uuid[]), unnest($2::integer[]), \
    unnest($3::integer[]), unnest($4::integer[]), unnest($5::bigint[]), unnest($6::bytea[]), unnest($7::text[]), \
    unnest($8::text[]), unnest($9::text[])";

pub(super) const KEYS: &str = "insert into keys (tenant, key, hash, created_at, made) \
    select unnest($1::integer[]), unnest($2::text[]), unnest($3::bytea[]), unnest($4::bigint[]), unnest($5::text[])";

const NOTICES: &str = "insert into inbox (connection, id, tenant, received_at, due, item) \
    select unnest($1::uuid[]), unnest($2::text[]), unnest($3::integer[]), unnest($4::bigint[]), unnest($5::bigint[]), \
    unnest($6::text[]) \
    on conflict (connection, id) do update set due = greatest(inbox.due, excluded.due) where inbox.done = 0";

const DONE: &str = "update inbox i set done = 1 from (select unnest($1::uuid[]) as connection, unnest($2::text[]) as id) as d \
    where i.connection = d.connection and i.id = d.id";

/// Writes a batch whole or not at all.
pub(super) async fn commit(session: &mut Session, numbers: &Numbers, batch: &Batch) -> Result<Outcome, Fault> {
    let parts = prepare(session, numbers, batch).await?;
    let trouble = match parts::send(session, &parts).await {
        Ok(()) => return Ok(Outcome::Done),
        Err(Failed::Statement(error)) => in_transaction(&error),
        Err(Failed::Commit(error)) => at_commit(&error),
    };
    match trouble {
        Trouble::Conflict => Ok(Outcome::Conflict),
        Trouble::Fault(fault) => Err(fault),
    }
}

async fn prepare<'a>(session: &mut Session, numbers: &Numbers, batch: &'a Batch) -> Result<Vec<Part<'a>>, Fault> {
    let mut parts = Vec::new();
    let lease_ms = i64::from(batch.lease_s) * 1_000;
    for (sql, values) in [
        (
            NEW,
            (!batch.new.is_empty()).then(|| new_values(numbers, batch, lease_ms)),
        ),
        (
            CHANGED,
            (!batch.changed.is_empty()).then(|| changed_values(batch, lease_ms)),
        ),
        (
            KEYS,
            (!batch.keys.is_empty()).then(|| Ok(key_values(numbers, &batch.keys))),
        ),
        (
            NOTICES,
            (!batch.notices.is_empty()).then(|| Ok(notice_values(numbers, batch))),
        ),
        (DONE, (!batch.done.is_empty()).then(|| Ok(done_values(batch)))),
    ] {
        if let Some(values) = values {
            parts.push(Part::new(session, sql, values?).await?);
        }
    }
    if !batch.events.is_empty() {
        let base = session.base().await?;
        parts.push(Part::new(session, EVENTS, event_values(numbers, batch, base)?).await?);
    }
    Ok(parts)
}

fn new_values<'a>(numbers: &Numbers, batch: &'a Batch, lease_ms: i64) -> Result<Values<'a>, Fault> {
    let rows = || batch.new.iter();
    let versions: Vec<i32> = rows().map(|row| read::integer(row.version)).collect::<Result<_, _>>()?;
    let fences: Vec<i32> = rows().map(|row| read::integer(row.fence)).collect::<Result<_, _>>()?;
    Ok(vec![
        boxed(rows().map(|row| row.id.uuid())),
        boxed(rows().map(|row| numbers[&row.tenant])),
        boxed(rows().map(|row| row.reference.as_str())),
        boxed(rows().map(|row| row.key.as_ref().map(|key| key.key.as_str()))),
        boxed(rows().map(|row| row.key.as_ref().map(|key| key.hash.as_slice()))),
        Box::new(versions),
        Box::new(fences),
        boxed(rows().map(|row| row.due.map(Timestamp::millis))),
        boxed(rows().map(|row| row.lease.map(|lease| lease.node.uuid()))),
        boxed(rows().map(|row| row.created_at.millis())),
        boxed(rows().map(|row| row.chain.as_slice())),
        boxed(rows().map(|row| row.work.as_deref())),
        boxed(rows().map(|row| row.state.as_str())),
        Box::new(lease_ms),
        boxed(rows().map(|row| row.lease.map(|lease| lease.until.millis()))),
    ])
}

fn changed_values(batch: &Batch, lease_ms: i64) -> Result<Values<'_>, Fault> {
    let rows = || batch.changed.iter().map(|changed| &changed.row);
    let read: Vec<i32> = batch
        .changed
        .iter()
        .map(|changed| read::integer(changed.read_version))
        .collect::<Result<_, _>>()?;
    let fences: Vec<i32> = rows().map(|row| read::integer(row.fence)).collect::<Result<_, _>>()?;
    let versions: Vec<i32> = rows().map(|row| read::integer(row.version)).collect::<Result<_, _>>()?;
    Ok(vec![
        boxed(rows().map(|row| row.id.uuid())),
        Box::new(read),
        Box::new(fences),
        Box::new(versions),
        boxed(rows().map(|row| row.due.map(Timestamp::millis))),
        boxed(rows().map(|row| row.lease.map(|lease| lease.node.uuid()))),
        boxed(rows().map(|row| row.chain.as_slice())),
        boxed(rows().map(|row| row.work.as_deref())),
        boxed(rows().map(|row| row.state.as_str())),
        Box::new(lease_ms),
        Box::new(i64::try_from(batch.changed.len()).unwrap_or(i64::MAX)),
        boxed(rows().map(|row| row.lease.map(|lease| lease.until.millis()))),
    ])
}

fn event_values<'a>(numbers: &Numbers, batch: &'a Batch, base: i64) -> Result<Values<'a>, Fault> {
    let rows = || batch.events.iter();
    let versions: Vec<i32> = rows().map(|row| read::integer(row.version)).collect::<Result<_, _>>()?;
    let counts: Vec<i32> = rows().map(|row| read::integer(row.count)).collect::<Result<_, _>>()?;
    Ok(vec![
        boxed(rows().map(|row| row.order.uuid())),
        Box::new(versions),
        boxed(rows().map(|row| numbers[&row.tenant])),
        Box::new(counts),
        boxed(rows().map(|row| row.time.millis())),
        boxed(rows().map(|row| row.hash.as_slice())),
        boxed(rows().map(|row| row.news.as_deref())),
        boxed(rows().map(|row| row.postings.as_deref())),
        boxed(rows().map(|row| row.body.as_str())),
        Box::new(base),
    ])
}

pub(super) fn key_values<'a>(numbers: &Numbers, keys: &'a [KeyRow]) -> Values<'a> {
    let rows = || keys.iter();
    vec![
        boxed(rows().map(|row| numbers[&row.tenant])),
        boxed(rows().map(|row| row.key.key.as_str())),
        boxed(rows().map(|row| row.key.hash.as_slice())),
        boxed(rows().map(|row| row.created_at.millis())),
        boxed(rows().map(|row| row.made.as_str())),
    ]
}

/// One statement cannot meet a row twice, so a notice that came twice in a batch is put together here.
fn notice_values<'a>(numbers: &Numbers, batch: &'a Batch) -> Values<'a> {
    let mut rows: BTreeMap<&NoticeId, (&NoticeRow, Timestamp)> = BTreeMap::new();
    for row in &batch.notices {
        let (_, due) = rows.entry(&row.id).or_insert((row, row.due));
        *due = row.due.max(*due);
    }
    let each = || rows.values();
    vec![
        boxed(each().map(|(row, _)| row.id.connection.uuid())),
        boxed(each().map(|(row, _)| row.id.id.as_str())),
        boxed(each().map(|(row, _)| numbers[&row.tenant])),
        boxed(each().map(|(row, _)| row.received_at.millis())),
        boxed(each().map(|(_, due)| due.millis())),
        boxed(each().map(|(row, _)| row.item.as_str())),
    ]
}

fn done_values(batch: &Batch) -> Values<'_> {
    vec![
        boxed(batch.done.iter().map(|id| id.connection.uuid())),
        boxed(batch.done.iter().map(|id| id.id.as_str())),
    ]
}

/// Makes sure that sessions which were lost in a commit have ended, so that what they did is there or never will be.
pub(super) async fn see_off(session: &mut Session, lost: &[Backend]) -> Result<(), Fault> {
    const LOOK: Duration = Duration::from_millis(50);
    const LOOKS: u32 = 200;
    for backend in lost {
        let mut looks = 0;
        loop {
            let sql =
                "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start::text = $2";
            if session.query(sql, &[&backend.pid, &backend.started]).await?.is_empty() {
                break;
            }
            looks += 1;
            if looks == LOOKS {
                return Err(Fault::Unavailable(
                    "a session that was lost in a commit is still busy with it".to_owned(),
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// Whether these very event rows are there. Two nodes that carry out the same call write the same bytes, each at its own moment.
pub(super) async fn was_committed(session: &mut Session, batch: &Batch) -> Result<bool, Fault> {
    if batch.events.is_empty() {
        return Ok(false);
    }
    let orders: Vec<Uuid> = batch.events.iter().map(|event| event.order.uuid()).collect();
    let versions: Vec<i32> = batch
        .events
        .iter()
        .map(|event| read::integer(event.version))
        .collect::<Result<_, _>>()?;
    let hashes: Vec<&[u8]> = batch.events.iter().map(|event| event.hash.as_slice()).collect();
    let times: Vec<i64> = batch.events.iter().map(|event| event.time.millis()).collect();
    let sql = "select count(*) from unnest($1::uuid[], $2::integer[], $3::bytea[], $4::bigint[]) as w(id, version, hash, time) \
               join events e on e.order_id = w.id and e.version = w.version and e.hash = w.hash and e.time = w.time";
    let rows = session.query(sql, &[&orders, &versions, &hashes, &times]).await?;
    let there: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    Ok(usize::try_from(there) == Ok(batch.events.len()))
}

/// Commits something small, and so waits until everything that was committed before is as durable as this server's commits are. A session
/// that is ended while it waits for a synchronous standby leaves a commit that is there, and may be on this server's disk only.
pub(super) async fn flush_past(session: &mut Session) -> Result<(), Fault> {
    session
        .execute("select pg_logical_emit_message(true, 'florin', ''::text)", &[])
        .await?;
    Ok(())
}

/// Notices that are not done.
pub(super) async fn inbox(session: &mut Session, tenants: &Tenants, limit: u32) -> Result<Vec<NoticeRow>, Fault> {
    let sql = format!(
        "select {} from inbox where done = 0 order by due, number limit $1",
        read::NOTICE
    );
    read::rows(session, tenants, &sql, &[&i64::from(limit)], read::notice).await
}
