//! What a lane reads before it decides, and the inbox.

use std::collections::BTreeSet;

use florin_core::id::OrderId;
use rusqlite::{Connection, OptionalExtension, params};

use super::names::{Kind, Name};
use super::read;
use super::threads::Pen;
use crate::tenants::Tenants;
use crate::{Fault, Found, Hash, KeyRow, NoticeRow, Tenant, Wanted};

/// Reads what a batch needs, names of orders apart.
pub(super) fn load(connection: &Connection, tenants: &Tenants, wanted: &Wanted) -> Result<Found, Fault> {
    let mut found = Found::default();
    for id in BTreeSet::from_iter(&wanted.orders) {
        let sql = format!("select {} from orders where id = ?1", read::ORDER);
        found.orders.extend(read::rows(
            connection,
            tenants,
            &sql,
            [id.uuid().as_bytes()],
            read::order,
        )?);
    }
    for (tenant, name) in &wanted.keys {
        found.keys.extend(key(connection, tenants, *tenant, name)?);
    }
    let all = format!(
        "select {} from events where order_id = ?1 order by version",
        read::EVENT
    );
    for id in &wanted.details {
        found.details.extend(read::rows(
            connection,
            tenants,
            &all,
            [id.uuid().as_bytes()],
            read::event,
        )?);
    }
    Ok(found)
}

/// Reads what a batch needs, names of orders included.
pub(super) fn load_by_name(pen: &mut Pen, tenants: &Tenants, wanted: &Wanted) -> Result<Found, Fault> {
    let snapshot = pen.connection.transaction()?;
    pen.names.catch_up(&snapshot)?;
    let mut found = load(&snapshot, tenants, wanted)?;
    let keys = wanted.order_keys.iter().map(|name| (Kind::Key, name));
    for (kind, (tenant, text)) in keys.chain(wanted.references.iter().map(|name| (Kind::Reference, name))) {
        let Some(tenant) = tenants.find(&snapshot, *tenant)? else {
            continue;
        };
        if let Some(number) = pen.names.find(&snapshot, Name { kind, tenant, text })? {
            let sql = format!("select {} from orders where number = ?1", read::ORDER);
            found
                .orders
                .extend(read::rows(&snapshot, tenants, &sql, [number], read::order)?);
        }
    }
    found.orders.sort_by_key(|row| row.id);
    found.orders.dedup_by_key(|row| row.id);
    Ok(found)
}

fn key(connection: &Connection, tenants: &Tenants, tenant: Tenant, name: &str) -> Result<Option<KeyRow>, Fault> {
    let Some(number) = tenants.find(connection, tenant)? else {
        return Ok(None);
    };
    let found = connection
        .prepare_cached("select hash, made, created_at from keys where tenant = ?1 and key = ?2")?
        .query_row(params![number, name], |row| {
            Ok(KeyRow {
                tenant,
                key: crate::IdemKey {
                    key: name.to_owned(),
                    hash: row.get(0)?,
                    earlier: None,
                },
                made: row.get(1)?,
                created_at: florin_core::time::Timestamp::from_millis(row.get(2)?),
            })
        })
        .optional()?;
    Ok(found)
}

/// An event row by what no other batch has written: order, version, hash and moment.
pub(super) type Mark = (OrderId, u32, Hash, i64);

/// Whether these very event rows are there. Two nodes that carry out the same call write the same bytes, each at its own moment.
pub(super) fn was_committed(connection: &Connection, events: &[Mark]) -> Result<bool, Fault> {
    let mut statement = connection
        .prepare_cached("select 1 from events where order_id = ?1 and version = ?2 and hash = ?3 and time = ?4")?;
    for (order, version, hash, time) in events {
        if !statement.exists(params![order.uuid().as_bytes(), version, hash, time])? {
            return Ok(false);
        }
    }
    Ok(!events.is_empty())
}

/// Notices that are not done.
pub(super) fn inbox(connection: &Connection, tenants: &Tenants, limit: u32) -> Result<Vec<NoticeRow>, Fault> {
    let sql = format!(
        "select {} from inbox where done = 0 order by due, number limit ?1",
        read::NOTICE
    );
    read::rows(connection, tenants, &sql, [limit], read::notice)
}
