//! Taking work under a lease by the database's clock.

use florin_core::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::read;
use super::session::Session;
use crate::tenants::Tenants;
use crate::{Claim, DeliveryRow, Fault, OrderRow};

/// What is due and free. A lease that ends more than two lengths from now was given by a clock that was ahead and has been put right since:
/// it holds nobody up. One length is for clocks that are put right by a little.
const FREE: &str = "due <= $1 and (lease_until is null or lease_until <= {clock} or lease_until > {clock} + $3 + $3)";
/// And what this node had leased in an earlier life. A lease that it took since it opened the store ends after `opened` and a lease's
/// length. Not in [`FREE`], because this walks over everything that is open; a node asks it when it starts.
const OWN: &str = "((due <= $1 and (lease_until is null or lease_until <= {clock} or lease_until > {clock} + $3 + $3)) \
                   or (lease_node = $2 and (lease_until < $5 or lease_until > {clock} + $3 + $3)))";

/// Takes orders that are due: raises the fence and sets the lease. Rows that somebody is writing are left alone.
pub(super) async fn orders(
    session: &mut Session,
    tenants: &Tenants,
    claim: &Claim,
    opened: Timestamp,
) -> Result<Vec<OrderRow>, Fault> {
    let sql = statement("orders", "fence = fence + 1,", read::ORDER, claim, "");
    let mut rows = take(session, tenants, claim, opened, &sql, read::order).await?;
    rows.sort_by_key(|row| (row.due, row.id));
    Ok(rows)
}

/// Takes deliveries that are due.
pub(super) async fn deliveries(
    session: &mut Session,
    tenants: &Tenants,
    claim: &Claim,
    opened: Timestamp,
) -> Result<Vec<DeliveryRow>, Fault> {
    let sql = statement(
        "deliveries",
        "",
        read::DELIVERY,
        claim,
        &tenants.without(&claim.without),
    );
    let mut rows = take(session, tenants, claim, opened, &sql, read::delivery).await?;
    rows.sort_by_key(|row| (row.due, row.id));
    Ok(rows)
}

fn statement(table: &str, raise: &str, columns: &str, claim: &Claim, without: &str) -> String {
    let free = if claim.own { OWN } else { FREE }.replace("{clock}", read::CLOCK);
    format!(
        "with picked as materialized (select id from {table} where due is not null and {free}{without} \
         order by due, id limit $4 for update skip locked) \
         update {table} o set {raise} lease_node = $2, lease_until = {} + $3 from picked where o.id = picked.id returning {columns}",
        read::CLOCK
    )
}

async fn take<T>(
    session: &mut Session,
    tenants: &Tenants,
    claim: &Claim,
    opened: Timestamp,
    sql: &str,
    read: fn(&Tenants, &Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let lease_ms = i64::from(claim.lease_s) * 1_000;
    let earlier = opened.plus_millis(lease_ms).millis();
    let (now, node, limit) = (claim.now.millis(), claim.node.uuid(), i64::from(claim.limit));
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&now, &node, &lease_ms, &limit];
    if claim.own {
        values.push(&earlier);
    }
    read::rows(session, tenants, sql, &values, read).await
}
