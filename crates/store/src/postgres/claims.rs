//! Taking work under a lease by the database's clock.

use florin_core::time::Timestamp;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

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
    let leased = Leased::of(claim, opened);
    let mut rows = read::rows(session, tenants, &sql, &leased.values(claim), read::order).await?;
    rows.sort_by_key(|row| (row.due, row.id));
    Ok(rows)
}

/// Names the lock under which nodes take deliveries one after the other: `HOOKS` in ASCII.
const TAKING: i64 = 0x48_4f4f_4b53;

/// Nothing of the same order is on its way to the same endpoint from another node: what follows it would overtake it.
const IN_LINE: &str = " and not exists (select 1 from deliveries ahead where ahead.order_id = deliveries.order_id \
                       and ahead.endpoint = deliveries.endpoint and ahead.due is not null and ahead.lease_node <> $2 \
                       and ahead.lease_until > {clock} and ahead.lease_until <= {clock} + $3 + $3)";

/// Takes deliveries that are due. Under a lock of its own, so that two nodes that look at once do not share an order's between them.
pub(super) async fn deliveries(
    session: &mut Session,
    tenants: &Tenants,
    claim: &Claim,
    opened: Timestamp,
) -> Result<Vec<DeliveryRow>, Fault> {
    let in_line = IN_LINE.replace("{clock}", read::CLOCK);
    let which = tenants.without(&claim.without) + &in_line;
    let sql = statement("deliveries", "", read::DELIVERY, claim, &which);
    let statement = session.statement(&sql).await?;
    let leased = Leased::of(claim, opened);
    let lock = format!("begin; select pg_advisory_xact_lock({TAKING})");
    let values = leased.values(claim);
    // In one go; each statement sees what was committed before it, so the second sees what whoever had the lock before has taken.
    let (begun, taken, ended) = tokio::join!(
        biased;
        session.client.batch_execute(&lock),
        session.client.query(&statement, &values),
        session.client.batch_execute("commit"),
    );
    begun?;
    let taken = taken?;
    ended?;
    let mut rows = read::all(session, tenants, &taken, read::delivery).await?;
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

/// The values of a claim's statement.
struct Leased {
    now: i64,
    node: Uuid,
    lease_ms: i64,
    limit: i64,
    earlier: i64,
}

impl Leased {
    fn of(claim: &Claim, opened: Timestamp) -> Self {
        let lease_ms = i64::from(claim.lease_s) * 1_000;
        Self {
            now: claim.now.millis(),
            node: claim.node.uuid(),
            lease_ms,
            limit: i64::from(claim.limit),
            earlier: opened.plus_millis(lease_ms).millis(),
        }
    }

    fn values(&self, claim: &Claim) -> Vec<&(dyn ToSql + Sync)> {
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&self.now, &self.node, &self.lease_ms, &self.limit];
        if claim.own {
            values.push(&self.earlier);
        }
        values
    }
}
