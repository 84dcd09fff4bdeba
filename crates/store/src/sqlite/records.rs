//! Small documents.

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, TransactionBehavior, params, params_from_iter};

use super::fault::is_taken;
use super::tenants::{Numbers, Tenants};
use super::{lane, read};
use crate::{Fault, KeyRow, ListRecords, Name, Outcome, Record, Which};

/// Writes documents and the keys of the calls that made them.
pub(super) fn put(
    connection: &mut Connection,
    tenants: &Tenants,
    records: &[Record],
    keys: &[KeyRow],
) -> Result<Outcome, Fault> {
    let whose = records
        .iter()
        .filter_map(|record| record.tenant)
        .chain(keys.iter().map(|key| key.tenant));
    let numbers = tenants.numbers(connection, whose)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for record in records {
        match write(&transaction, &numbers, record) {
            Ok(1) => {}
            Ok(_) => return Ok(Outcome::Conflict),
            Err(error) if is_taken(&error) => return Ok(Outcome::Conflict),
            Err(error) => return Err(error.into()),
        }
    }
    if lane::write_keys(&transaction, &numbers, keys)? == Outcome::Conflict {
        return Ok(Outcome::Conflict);
    }
    transaction.commit()?;
    Ok(Outcome::Done)
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
    let mut sql = format!("select {} from records where removed = 0 and kind = ?", read::RECORD);
    let mut values = vec![Value::Text(list.kind.clone())];
    if let Some(tenant) = list.tenant {
        let Some(number) = tenants.find(connection, tenant)? else {
            return Ok(Vec::new());
        };
        sql += " and tenant = ?";
        values.push(number.into());
    }
    if let Some(parent) = &list.parent {
        sql += " and parent = ?";
        values.push(Value::Text(parent.clone()));
    }
    if let Some(after) = &list.after {
        let which = Which {
            kind: list.kind.clone(),
            tenant: list.tenant,
            name: Name::Id(after.clone()),
        };
        let Some(after) = get(connection, tenants, &which)? else {
            return Ok(Vec::new());
        };
        sql += " and (created_at, id) < (?, ?)";
        values.extend([after.created_at.millis().into(), Value::Text(after.id)]);
    }
    sql += " order by created_at desc, id desc limit ?";
    values.push(i64::from(list.limit).into());
    read::rows(connection, tenants, &sql, params_from_iter(values), read::record)
}
