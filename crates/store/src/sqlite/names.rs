//! The names that must be unique on the way of every sale: an order's id, its reference, the key of the call that made it.
//!
//! Everything that asks whether such a name is taken goes through here. Today the answer comes from two unique indexes, which is the
//! largest single cost of a sale (each random name dirties a page). A key tail (recent names in memory, older ones in sorted runs;
//! `docs/decisions/0201-unique-names.md`) could replace them behind these functions.

use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::fault::is_taken;
use super::read;
use super::tenants::Tenants;
use crate::{Fault, OrderRow, Outcome, Tenant};

/// The statement of [`claim`], prepared once a batch.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<rusqlite::CachedStatement<'_>> {
    connection.prepare_cached(
        "insert into orders (id, tenant, reference, idem_key, idem_hash, version, fence, due, lease_node, lease_until, created_at, \
         chain, work, state) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )
}

/// Writes a new order and with it claims its names. [`Outcome::Conflict`]: one is taken, and the caller must roll back.
pub(super) fn claim(
    statement: &mut Statement<'_>,
    order: &OrderRow,
    tenant: i64,
    lease_until: Option<i64>,
) -> rusqlite::Result<Outcome> {
    let written = statement.execute(params![
        order.id.uuid().as_bytes(),
        tenant,
        order.reference,
        order.key.as_ref().map(|key| &key.key),
        order.key.as_ref().map(|key| &key.hash),
        order.version,
        order.fence,
        order.due.map(|due| due.millis()),
        order.lease.map(|lease| *lease.node.uuid().as_bytes()),
        lease_until,
        order.created_at.millis(),
        order.chain,
        order.work,
        order.state,
    ]);
    match written {
        Ok(_) => Ok(Outcome::Done),
        Err(error) if is_taken(&error) => Ok(Outcome::Conflict),
        Err(error) => Err(error),
    }
}

/// The order whose making call came with this key.
pub(super) fn by_key(
    connection: &Connection,
    tenants: &Tenants,
    tenant: Tenant,
    key: &str,
) -> Result<Option<OrderRow>, Fault> {
    by(connection, tenants, "idem_key", tenant, key)
}

/// The order with this reference.
pub(super) fn by_reference(
    connection: &Connection,
    tenants: &Tenants,
    tenant: Tenant,
    reference: &str,
) -> Result<Option<OrderRow>, Fault> {
    by(connection, tenants, "reference", tenant, reference)
}

fn by(
    connection: &Connection,
    tenants: &Tenants,
    column: &str,
    tenant: Tenant,
    name: &str,
) -> Result<Option<OrderRow>, Fault> {
    let Some(number) = tenants.find(connection, tenant)? else {
        return Ok(None);
    };
    connection
        .prepare_cached(&format!(
            "select {} from orders where tenant = ?1 and {column} = ?2",
            read::ORDER
        ))?
        .query_row(params![number, name], |row| Ok(read::order(connection, tenants, row)))
        .optional()?
        .transpose()
}
