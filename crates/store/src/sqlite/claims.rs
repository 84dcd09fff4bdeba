//! Taking work under a lease by the database's clock.

use florin_core::time::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::read;
use super::tenants::Tenants;
use crate::{Claim, DeliveryRow, Fault, OrderRow};

/// Which rows of `{table}` may be taken. A lease that this node took since it opened the store ends after `opened + lease`, so what
/// ends before that was leased by an earlier life of it.
const FREE: &str = "due is not null and ((due <= ?1 and (lease_until is null or lease_until <= ?2)) \
                    or (?3 and lease_node = ?4 and lease_until < ?5)) order by due, id limit ?6";

/// Takes orders that are due: raises the fence and sets the lease.
pub(super) fn orders(
    connection: &mut Connection,
    tenants: &Tenants,
    claim: &Claim,
    opened: Timestamp,
) -> Result<Vec<OrderRow>, Fault> {
    let sql = format!(
        "update orders set fence = fence + 1, lease_node = ?4, lease_until = ?7 \
         where id in (select id from orders where {FREE}) returning {}",
        read::ORDER
    );
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut rows = take(&transaction, tenants, claim, opened, &sql, read::order)?;
    transaction.commit()?;
    rows.sort_by_key(|row: &OrderRow| (row.due, row.id));
    Ok(rows)
}

/// Takes deliveries that are due.
pub(super) fn deliveries(
    connection: &mut Connection,
    tenants: &Tenants,
    claim: &Claim,
    opened: Timestamp,
) -> Result<Vec<DeliveryRow>, Fault> {
    let sql = format!(
        "update deliveries set lease_node = ?4, lease_until = ?7 \
         where id in (select id from deliveries where {FREE}) returning {}",
        read::DELIVERY
    );
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut rows = take(&transaction, tenants, claim, opened, &sql, read::delivery)?;
    transaction.commit()?;
    rows.sort_by_key(|row: &DeliveryRow| (row.due, row.id));
    Ok(rows)
}

fn take<T>(
    transaction: &Transaction<'_>,
    tenants: &Tenants,
    claim: &Claim,
    opened: Timestamp,
    sql: &str,
    read: impl Fn(&Connection, &Tenants, &rusqlite::Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let lease = i64::from(claim.lease_s);
    let clock = read::clock(transaction)?;
    let node = claim.node.uuid();
    let values = params![
        claim.now.millis(),
        clock.millis(),
        claim.own,
        node.as_bytes(),
        opened.plus_seconds(lease).millis(),
        claim.limit,
        clock.plus_seconds(lease).millis(),
    ];
    read::rows(transaction, tenants, sql, values, read)
}
