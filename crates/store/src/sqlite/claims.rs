//! Taking work under a lease by the database's clock.

use florin_core::time::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::read;

use crate::tenants::Tenants;
use crate::{Claim, DeliveryRow, Fault, OrderRow};

/// Which rows may be taken: what is due and free. A lease that ends more than two lengths from now was given by a clock that was ahead and has
/// been put right since: it holds nobody up. One length is for clocks that are put right by a little.
const FREE: &str = "due <= ?1 and (lease_until is null or lease_until <= ?2 or lease_until > 2 * ?6 - ?2)";
/// And what this node had leased in an earlier life. A lease that it took since it opened the store ends after `opened` and a lease's
/// length. Not in [`FREE`], because this walks over everything that is open; a node asks it when it starts.
const OWN: &str = "((due <= ?1 and (lease_until is null or lease_until <= ?2 or lease_until > 2 * ?6 - ?2)) \
                   or (lease_node = ?3 and (lease_until < ?4 or lease_until > 2 * ?6 - ?2)))";

fn free(claim: &Claim) -> &'static str {
    if claim.own { OWN } else { FREE }
}

/// Takes orders that are due: raises the fence and sets the lease.
pub(super) fn orders(
    connection: &mut Connection,
    tenants: &Tenants,
    claim: &Claim,
    opened: Timestamp,
) -> Result<Vec<OrderRow>, Fault> {
    let sql = format!(
        "update orders set fence = fence + 1, lease_node = ?3, lease_until = ?6 where id in \
         (select id from orders where due is not null and {} order by due, id limit ?5) returning {}",
        free(claim),
        read::ORDER
    );
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut rows = take(&transaction, tenants, claim, opened, &sql, read::order)?;
    transaction.commit()?;
    rows.sort_by_key(|row: &OrderRow| (row.due, row.id));
    Ok(rows)
}

/// Nothing of the same order is on its way to the same endpoint from another node: what follows it would overtake it.
const IN_LINE: &str = " and not exists (select 1 from deliveries ahead where ahead.order_id = deliveries.order_id \
                       and ahead.endpoint = deliveries.endpoint and ahead.due is not null and ahead.lease_node <> ?3 \
                       and ahead.lease_until > ?2 and ahead.lease_until <= 2 * ?6 - ?2)";

/// Takes deliveries that are due.
pub(super) fn deliveries(
    connection: &mut Connection,
    tenants: &Tenants,
    claim: &Claim,
    opened: Timestamp,
) -> Result<Vec<DeliveryRow>, Fault> {
    let sql = format!(
        "update deliveries set lease_node = ?3, lease_until = ?6 where id in \
         (select id from deliveries where due is not null and {}{}{IN_LINE} order by due, id limit ?5) returning {}",
        free(claim),
        tenants.without(&claim.without),
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
        node.as_bytes(),
        opened.plus_seconds(lease).millis(),
        claim.limit,
        clock.plus_seconds(lease).millis(),
    ];
    read::rows(transaction, tenants, sql, values, read)
}
