//! Tidying, counting what waits, and copying.

use std::fs::File;
use std::path::Path;

use florin_core::time::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::{fold, read};
use crate::{BOOKS, Backlog, Fault, Retention};

/// Removes what is past its retention, a bounded number of rows from each table.
pub(super) fn tidy(connection: &mut Connection, before: &Retention) -> Result<u64, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut gone = 0;
    for (sql, moment) in [
        (
            "delete from keys where (tenant, key) in (select tenant, key from keys where created_at < ?1 order by created_at limit ?2)",
            before.keys,
        ),
        (
            "delete from inbox where number in \
             (select number from inbox where done = 1 and received_at < ?1 order by received_at limit ?2)",
            before.notices,
        ),
        (
            "delete from deliveries where number in \
             (select number from deliveries where due is null and created_at < ?1 order by created_at limit ?2)",
            before.deliveries,
        ),
    ] {
        gone += transaction
            .prepare_cached(sql)?
            .execute(params![moment.millis(), before.limit])?;
    }
    transaction.commit()?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}

/// What waits, and since when.
pub(super) fn backlog(connection: &Connection, now: Timestamp) -> Result<Backlog, Fault> {
    let one = |sql: &str, moment: Option<Timestamp>| -> Result<(u64, Option<Timestamp>), Fault> {
        let mut statement = connection.prepare_cached(sql)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?));
        let (count, oldest) = match moment {
            Some(moment) => statement.query_row([moment.millis()], read)?,
            None => statement.query_row([], read)?,
        };
        Ok((u64::try_from(count).unwrap_or(0), oldest.map(Timestamp::from_millis)))
    };
    let (due, oldest_due) = one(
        "select count(*), min(due) from orders where due is not null and due <= ?1",
        Some(now),
    )?;
    let (notices, oldest_notice) = one("select count(*), min(received_at) from inbox where done = 0", None)?;
    let (deliveries, oldest_delivery) = one(
        "select count(*), min(created_at) from deliveries where due is not null",
        None,
    )?;
    let (attention, _) = one("select count(*), null from listings where attention = 1", None)?;
    let oldest_event = connection
        .prepare_cached("select time from events where seq > ?1 order by seq limit 1")?
        .query_row([read::integer(fold::cursor(connection, BOOKS)?.row)], |row| row.get(0))
        .optional()?
        .map(Timestamp::from_millis);
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

/// Writes a copy as of one moment to a new file, durable when this returns. Under the name only when it is whole.
pub(super) fn backup(connection: &Connection, to: &Path) -> Result<(), Fault> {
    let trouble = |what: &str, error: &dyn std::fmt::Display| {
        Fault::Unavailable(format!("cannot {what} {}: {error}", to.display()))
    };
    if to.exists() {
        return Err(Fault::Refused(format!(
            "{} is there already; a backup goes to a new file",
            to.display()
        )));
    }
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".part");
    let unfinished = Path::new(&unfinished);
    let path = unfinished
        .to_str()
        .ok_or_else(|| trouble("write to", &"its name is not UTF-8"))?;
    match std::fs::remove_file(unfinished) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(trouble("replace the unfinished copy beside", &error)),
    }
    super::create_private(unfinished).map_err(|error| trouble("write", &error))?;
    // The copy is written by a connection that may write nothing else.
    connection.pragma_update(None, "query_only", false)?;
    let copied = connection.execute("vacuum into ?1", [path]);
    connection.pragma_update(None, "query_only", true)?;
    copied?;
    File::open(unfinished)
        .and_then(|file| file.sync_all())
        .map_err(|error| trouble("flush", &error))?;
    std::fs::rename(unfinished, to).map_err(|error| trouble("name", &error))?;
    let folder = to
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|error| trouble("flush the folder of", &error))
}

/// Reads every page of a database file that nobody else writes to. Answers what is wrong with it, in SQLite's words.
pub(super) fn integrity(path: &Path) -> Result<Vec<String>, Fault> {
    let check = || -> rusqlite::Result<Vec<String>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        let mut statement = connection.prepare("pragma integrity_check(20)")?;
        let said = statement.query_map([], |row| row.get::<_, String>(0))?;
        said.collect()
    };
    match check() {
        Ok(said) => Ok(said.into_iter().filter(|line| line != "ok").collect()),
        // The check could not even begin: that is what is wrong with this file, and says nothing about the database in use.
        Err(error) if is_damage(&error) => Ok(vec![error.to_string()]),
        Err(error) => Err(error.into()),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}
