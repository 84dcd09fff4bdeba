//! Small documents.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Statement, Transaction};

use super::session::Session;
use super::{lane, lists, read, tenants};
use crate::query::{self, Holds};
use crate::tenants::{Numbers, Tenants};
use crate::{Fault, KeyRow, ListRecords, Name, Outcome, Record, Tenant, Which};

pub(super) fn tenants_of(records: &[Record], keys: &[KeyRow]) -> impl Iterator<Item = Tenant> {
    records
        .iter()
        .filter_map(|record| record.tenant)
        .chain(keys.iter().map(|key| key.tenant))
}

/// Writes documents and the keys of the calls that made them.
pub(super) async fn put(
    session: &mut Session,
    numbers: &Numbers,
    records: &[Record],
    keys: &[KeyRow],
) -> Result<Outcome, Fault> {
    let transaction = session.client.transaction().await?;
    match write(&transaction, numbers, records, keys).await {
        Ok(true) => {
            transaction.commit().await?;
            Ok(Outcome::Done)
        }
        Ok(false) => {
            transaction.rollback().await?;
            Ok(Outcome::Conflict)
        }
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            transaction.rollback().await?;
            Ok(Outcome::Conflict)
        }
        Err(error) => Err(error.into()),
    }
}

/// `false`: a version had moved.
async fn write(
    transaction: &Transaction<'_>,
    numbers: &Numbers,
    records: &[Record],
    keys: &[KeyRow],
) -> Result<bool, Error> {
    let mut statements = Statements::default();
    for record in records {
        if write_one(transaction, &mut statements, numbers, record).await? != 1 {
            return Ok(false);
        }
    }
    if !keys.is_empty() {
        let values = lane::key_values(numbers, keys);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
        transaction.execute(lane::KEYS, &values).await?;
    }
    Ok(true)
}

/// Prepared once for all documents of a call.
#[derive(Default)]
struct Statements {
    insert: Option<Statement>,
    update: Option<Statement>,
}

/// Version 1 is a new document, any other follows the one before it. Kind, owner and age never change.
async fn write_one(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    numbers: &Numbers,
    record: &Record,
) -> Result<u64, Error> {
    let Ok(version) = i32::try_from(record.version) else {
        return Ok(0);
    };
    let tenant = record.tenant.map(|tenant| numbers[&tenant]);
    let removed = i16::from(record.removed);
    let created = record.created_at.millis();
    let (slot, sql) = if version == 1 {
        let sql = "insert into records (kind, id, tenant, alias, parent, version, removed, body, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        (&mut statements.insert, sql)
    } else {
        let sql = "update records set alias = $4, parent = $5, version = $6, removed = $7, body = $8 \
         where kind = $1 and id = $2 and tenant is not distinct from $3 and version = $6 - 1 and created_at = $9";
        (&mut statements.update, sql)
    };
    let statement = match slot {
        Some(known) => known,
        None => slot.insert(transaction.prepare(sql).await?),
    };
    let values: [&(dyn ToSql + Sync); 9] = [
        &record.kind,
        &record.id,
        &tenant,
        &record.alias,
        &record.parent,
        &version,
        &removed,
        &record.body,
        &created,
    ];
    transaction.execute(&*statement, &values).await
}

/// One document.
pub(super) async fn get(session: &mut Session, tenants: &Tenants, which: &Which) -> Result<Option<Record>, Fault> {
    let (column, name) = match &which.name {
        Name::Id(id) => ("id", id),
        Name::Alias(alias) => ("alias", alias),
    };
    // No document has it in its name, and PostgreSQL takes no text with it.
    if name.contains('\0') {
        return Ok(None);
    }
    let sql = format!("select {} from records where kind = $1 and {column} = $2", read::RECORD);
    let found = read::rows(session, tenants, &sql, &[&which.kind, name], read::record)
        .await?
        .pop();
    Ok(found.filter(|record| which.tenant.is_none() || record.tenant == which.tenant))
}

/// Documents of a kind, newest first.
pub(super) async fn list(session: &mut Session, tenants: &Tenants, list: &ListRecords) -> Result<Vec<Record>, Fault> {
    let mut tenant = None;
    if let Some(whose) = list.tenant {
        tenant = tenants::find(session, tenants, whose).await?;
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
        let Some(record) = get(session, tenants, &which).await? else {
            return Ok(Vec::new());
        };
        after = Some((record.created_at, id.as_str()));
    }
    let query = query::records(read::RECORD, tenant, list, after, Holds::Position);
    read::rows(
        session,
        tenants,
        &query.numbered(),
        &lists::values(&query),
        read::record,
    )
    .await
}
