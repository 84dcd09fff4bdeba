//! Bringing the schema up to date. Each level is one transaction together with the note that it is there.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::Fault;
use crate::migrate::{SQLITE, pending};

const NOTES: &str = "create table if not exists schema_levels (
  level integer primary key,
  name text not null,
  checksum text not null,
  applied_at integer not null
) strict";

/// Applies what is missing; answers the level.
pub(super) fn migrate(connection: &mut Connection) -> Result<u32, Fault> {
    loop {
        // Two processes may start at once: the lock comes first, then the look.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(NOTES)?;
        let Some(next) = pending(SQLITE, &applied(&transaction)?)?.first() else {
            transaction.commit()?;
            return level(connection);
        };
        transaction.execute_batch(next.sql)?;
        transaction.execute(
            "insert into schema_levels (level, name, checksum, applied_at) \
             values (?1, ?2, ?3, cast(round(unixepoch('subsec') * 1000) as integer))",
            params![next.level, next.name, next.checksum()],
        )?;
        transaction.commit()?;
        tracing::info!(schema_level = next.level, name = next.name, "schema brought up to date");
    }
}

/// The level that is there; 0 when there is none.
pub(super) fn level(connection: &Connection) -> Result<u32, Fault> {
    let noted = connection
        .prepare("select 1 from sqlite_schema where name = 'schema_levels'")?
        .exists([])?;
    if !noted {
        return Ok(0);
    }
    Ok(
        connection.query_row("select coalesce(max(level), 0) from schema_levels", [], |row| {
            row.get(0)
        })?,
    )
}

fn applied(connection: &Connection) -> Result<Vec<(u32, String)>, Fault> {
    let mut statement = connection.prepare("select level, checksum from schema_levels order by level")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
