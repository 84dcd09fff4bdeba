//! Small documents.

use rusqlite::{Connection, Transaction, TransactionBehavior, params, params_from_iter};

use super::commit::{self, Asked, Stop};
use super::read;
use super::threads::Pen;
use crate::query::{self, Holds};
use crate::tenants::{Numbers, Tenants};
use crate::{Fault, KeyRow, ListRecords, Name, Outcome, Record, Which};

/// Writes documents and the keys of the calls that made them.
pub(super) fn put(pen: &mut Pen, tenants: &Tenants, records: &[Record], keys: &[KeyRow]) -> Result<Outcome, Fault> {
    let whose = records
        .iter()
        .filter_map(|record| record.tenant)
        .chain(keys.iter().map(|key| key.tenant));
    let numbers = tenants.numbers(&pen.connection, whose)?;
    match write_all(pen, &numbers, records, keys) {
        Ok(()) => Ok(Outcome::Done),
        Err(stop) => stop.outcome(),
    }
}

fn write_all(pen: &mut Pen, numbers: &Numbers, records: &[Record], keys: &[KeyRow]) -> Result<(), Stop> {
    let transaction = pen
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)?;
    for record in records {
        if write(&transaction, numbers, record)? != 1 {
            return Err(Stop::Conflict);
        }
    }
    commit::write_keys(
        &transaction,
        &mut Asked::new(&transaction, &mut pen.names),
        numbers,
        keys,
    )?;
    transaction.commit()?;
    Ok(())
}

/// Version 1 is a new document, any other follows the one before it. Kind, owner and age never change.
fn write(transaction: &Transaction<'_>, numbers: &Numbers, record: &Record) -> rusqlite::Result<usize> {
    let tenant = record.tenant.map(|tenant| numbers[&tenant]);
    let values = params![
        record.kind,
        record.id,
        tenant,
        record.alias,
        record.parent,
        record.version,
        record.removed,
        record.body,
        record.created_at.millis(),
    ];
    if record.version == 1 {
        let sql = "insert into records (kind, id, tenant, alias, parent, version, removed, body, created_at) \
                   values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        return transaction.prepare_cached(sql)?.execute(values);
    }
    let sql = "update records set alias = ?4, parent = ?5, version = ?6, removed = ?7, body = ?8 \
               where kind = ?1 and id = ?2 and tenant is ?3 and version = ?6 - 1 and created_at = ?9";
    transaction.prepare_cached(sql)?.execute(values)
}

/// One document.
pub(super) fn get(connection: &Connection, tenants: &Tenants, which: &Which) -> Result<Option<Record>, Fault> {
    let (column, name) = match &which.name {
        Name::Id(id) => ("id", id),
        Name::Alias(alias) => ("alias", alias),
    };
    let sql = format!("select {} from records where kind = ?1 and {column} = ?2", read::RECORD);
    let found = read::rows(connection, tenants, &sql, params![which.kind, name], read::record)?.pop();
    Ok(found.filter(|record| which.tenant.is_none() || record.tenant == which.tenant))
}

/// Documents of a kind, newest first.
pub(super) fn list(connection: &Connection, tenants: &Tenants, list: &ListRecords) -> Result<Vec<Record>, Fault> {
    let mut tenant = None;
    if let Some(whose) = list.tenant {
        tenant = tenants.find(connection, whose)?;
        if tenant.is_none() {
            return Ok(Vec::new());
        }
    }
    let mut after = None;
    if let Some(id) = &list.after {
        let which = Which {
            kind: list.kind.clone(),
            tenant: list.tenant,
            name: Name::Id(id.clone()),
        };
        let Some(record) = get(connection, tenants, &which)? else {
            return Ok(Vec::new());
        };
        after = Some((record.created_at, id.as_str()));
    }
    let query = query::records(read::RECORD, tenant, list, after, Holds::Instr);
    read::rows(
        connection,
        tenants,
        query.marked(),
        params_from_iter(&query.values),
        read::record,
    )
}
