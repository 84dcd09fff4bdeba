//! The names that must be unique on the way of every sale: an order's id, its reference, the key of the call that made it.
//!
//! Everything that asks whether such a name is taken goes through here. Today the answer comes from unique indexes, which is the largest
//! single cost of a sale (each random name dirties a page). A key tail (recent names in memory, older ones in sorted runs) could replace
//! them behind these functions.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::fault::is_taken;
use super::read;
use crate::tenants::Tenants;
use crate::{Fault, OrderRow, Outcome, Tenant};

/// Claims names for new orders; made once a batch.
pub(super) struct Claimer<'a> {
    order: CachedStatement<'a>,
    key: CachedStatement<'a>,
}

impl<'a> Claimer<'a> {
    pub(super) fn new(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            order: connection.prepare_cached(
                "insert into orders (id, tenant, reference, idem_key, idem_hash, version, fence, due, lease_node, lease_until, \
                 created_at, chain, work, state) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?,
            key: connection.prepare_cached("insert into keys (tenant, key, order_id, created_at) values (?1, ?2, ?3, ?4)")?,
        })
    }

    /// Writes a new order and with it claims its names. [`Outcome::Conflict`]: one is taken, and the caller must roll back.
    pub(super) fn claim(
        &mut self,
        order: &OrderRow,
        tenant: i32,
        lease_until: Option<i64>,
    ) -> rusqlite::Result<Outcome> {
        match self.write(order, tenant, lease_until) {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if is_taken(&error) => Ok(Outcome::Conflict),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, order: &OrderRow, tenant: i32, lease_until: Option<i64>) -> rusqlite::Result<()> {
        let (id, created) = (order.id.uuid(), order.created_at.millis());
        if let Some(key) = &order.key {
            self.key.execute(params![tenant, key.key, id.as_bytes(), created])?;
        }
        self.order.execute(params![
            id.as_bytes(),
            tenant,
            order.reference,
            order.key.as_ref().map(|key| &key.key),
            order.key.as_ref().map(|key| &key.hash),
            order.version,
            order.fence,
            order.due.map(|due| due.millis()),
            order.lease.map(|lease| *lease.node.uuid().as_bytes()),
            lease_until,
            created,
            order.chain,
            order.work,
            order.state,
        ])?;
        Ok(())
    }
}

/// The order whose making call came with this key.
pub(super) fn by_key(
    connection: &Connection,
    tenants: &Tenants,
    tenant: Tenant,
    key: &str,
) -> Result<Option<OrderRow>, Fault> {
    let condition = "id = (select order_id from keys where tenant = ?1 and key = ?2)";
    by(connection, tenants, condition, tenant, key)
}

/// The order with this reference.
pub(super) fn by_reference(
    connection: &Connection,
    tenants: &Tenants,
    tenant: Tenant,
    reference: &str,
) -> Result<Option<OrderRow>, Fault> {
    by(connection, tenants, "tenant = ?1 and reference = ?2", tenant, reference)
}

fn by(
    connection: &Connection,
    tenants: &Tenants,
    condition: &str,
    tenant: Tenant,
    name: &str,
) -> Result<Option<OrderRow>, Fault> {
    let Some(number) = tenants.find(connection, tenant)? else {
        return Ok(None);
    };
    connection
        .prepare_cached(&format!("select {} from orders where {condition}", read::ORDER))?
        .query_row(params![number, name], |row| Ok(read::order(connection, tenants, row)))
        .optional()?
        .transpose()
}
