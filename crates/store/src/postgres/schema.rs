//! Bringing the schema up to date. Each level is one transaction together with the note that it is there.

use crate::Fault;
use crate::migrate::{POSTGRES, pending};

use super::session::Session;

/// Names the lock that two nodes which start at once share: `FLORIN` in ASCII.
const LOCK: i64 = 0x464c_4f52_494e;

const NOTES: &str = "create table if not exists schema_levels (
  level integer primary key,
  name text not null,
  checksum text not null,
  applied_at timestamptz not null default now()
)";

/// Applies what is missing; answers the level.
pub(super) async fn migrate(session: &mut Session) -> Result<u32, Fault> {
    loop {
        let transaction = session.client.transaction().await?;
        // The lock comes first, then the look.
        transaction
            .execute("select pg_advisory_xact_lock($1)", &[&LOCK])
            .await?;
        transaction.batch_execute(NOTES).await?;
        let mut applied = Vec::new();
        for row in transaction
            .query("select level, checksum from schema_levels order by level", &[])
            .await?
        {
            applied.push((row.try_get::<_, i32>(0)?.unsigned_abs(), row.try_get(1)?));
        }
        let Some(next) = pending(POSTGRES, &applied)?.first() else {
            transaction.commit().await?;
            break;
        };
        transaction.batch_execute(next.sql).await?;
        let level = i32::try_from(next.level).map_err(|_| Fault::Refused("too many schema levels".to_owned()))?;
        let note = "insert into schema_levels (level, name, checksum) values ($1, $2, $3)";
        transaction
            .execute(note, &[&level, &next.name, &next.checksum()])
            .await?;
        transaction.commit().await?;
        tracing::info!(schema_level = next.level, name = next.name, "schema brought up to date");
    }
    // The stream goes on above what it holds, even in a database that was restored from another server.
    session.base().await?;
    level(session).await
}

/// The level that is there; 0 when there is none.
pub(super) async fn level(session: &mut Session) -> Result<u32, Fault> {
    let there = session
        .client
        .query_one("select to_regclass('schema_levels') is not null", &[])
        .await?;
    if !there.try_get(0)? {
        return Ok(0);
    }
    let row = session
        .client
        .query_one("select coalesce(max(level), 0) from schema_levels", &[])
        .await?;
    Ok(row.try_get::<_, i32>(0)?.unsigned_abs())
}
