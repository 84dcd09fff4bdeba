//! Tidying and counting what waits.

use florin_core::time::Timestamp;
use tokio_postgres::types::ToSql;

use super::session::Session;
use super::{fold, read};
use crate::{BOOKS, Backlog, Fault, Retention};

/// Removes what is past its retention, a bounded number of rows from each table.
pub(super) async fn tidy(session: &mut Session, before: &Retention) -> Result<u64, Fault> {
    let mut gone = 0;
    for (table, key, condition, age, moment) in [
        ("keys", "tenant, key", "order_id is null", "created_at", before.keys),
        ("inbox", "connection, id", "done = 1", "received_at", before.notices),
        ("deliveries", "id", "due is null", "created_at", before.deliveries),
    ] {
        let sql = format!(
            "delete from {table} where ({key}) in \
             (select {key} from {table} where {condition} and {age} < $1 order by {age} limit $2)"
        );
        gone += session
            .execute(&sql, &[&moment.millis(), &i64::from(before.limit)])
            .await?;
    }
    Ok(gone)
}

/// What waits, and since when.
pub(super) async fn backlog(session: &mut Session, now: Timestamp) -> Result<Backlog, Fault> {
    let now = now.millis();
    let (due, oldest_due) = one(
        session,
        "select count(*), min(due) from orders where due is not null and due <= $1",
        &[&now],
    )
    .await?;
    let (notices, oldest_notice) = one(
        session,
        "select count(*), min(received_at) from inbox where done = 0",
        &[],
    )
    .await?;
    let (deliveries, oldest_delivery) = one(
        session,
        "select count(*), min(created_at) from deliveries where due is not null",
        &[],
    )
    .await?;
    let (attention, _) = one(
        session,
        "select count(*), null::bigint from listings where attention = 1",
        &[],
    )
    .await?;
    let place = fold::cursor(session, BOOKS).await?;
    let (_, oldest_event) = one(
        session,
        "select 1::bigint, time from events where (txn, seq) > ($1, $2) order by txn, seq limit 1",
        &[&read::bigint(place.transaction), &read::bigint(place.row)],
    )
    .await?;
    Ok(Backlog {
        due,
        oldest_due,
        notices,
        oldest_notice,
        deliveries,
        oldest_delivery,
        attention,
        oldest_event,
    })
}

async fn one(
    session: &mut Session,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<(u64, Option<Timestamp>), Fault> {
    let rows = session.query(sql, values).await?;
    let Some(row) = rows.first() else { return Ok((0, None)) };
    let oldest: Option<i64> = row.try_get(1)?;
    Ok((
        u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0),
        oldest.map(Timestamp::from_millis),
    ))
}
