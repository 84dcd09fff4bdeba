//! Looking up and giving numbers to tenants.

use florin_core::id::MerchantId;
use tokio_postgres::Row;

use super::pool::Pool;
use super::session::Session;
use crate::tenants::{Numbers, Tenants, nobody};
use crate::{Fault, Mode, Tenant};

const FIND: &str = "select number from tenants where merchant = $1 and mode = $2";

/// The number of a tenant, if it has one.
pub(super) async fn find(session: &mut Session, tenants: &Tenants, tenant: Tenant) -> Result<Option<i32>, Fault> {
    if let Some(number) = tenants.known_number(tenant) {
        return Ok(Some(number));
    }
    let rows = session
        .query(FIND, &[&tenant.merchant.uuid(), &tenant.mode.code()])
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let number = row.try_get(0)?;
    tenants.remember(tenant, number);
    Ok(Some(number))
}

/// The numbers of all of these; a tenant that has none gets one, in a transaction of its own.
pub(super) async fn numbers(
    tenants: &Tenants,
    pool: &Pool,
    whose: impl Iterator<Item = Tenant>,
) -> Result<Numbers, Fault> {
    let mut numbers = Numbers::new();
    let mut unknown = Vec::new();
    for tenant in whose {
        match tenants.known_number(tenant) {
            Some(number) => drop(numbers.insert(tenant, number)),
            None => unknown.push(tenant),
        }
    }
    if unknown.is_empty() {
        return Ok(numbers);
    }
    let mut taken = pool.take().await?;
    let session = &mut taken.session;
    for tenant in unknown {
        if find(session, tenants, tenant).await?.is_none() {
            let new = "insert into tenants (merchant, mode) values ($1, $2) on conflict do nothing";
            session
                .execute(new, &[&tenant.merchant.uuid(), &tenant.mode.code()])
                .await?;
        }
        let number = find(session, tenants, tenant).await?;
        numbers.insert(
            tenant,
            number.ok_or_else(|| Fault::Refused(format!("tenant {tenant:?} was written and is not there")))?,
        );
    }
    taken.give_back();
    Ok(numbers)
}

/// Makes sure that the tenants of all rows are known. `column` is where their number stands.
pub(super) async fn know(session: &mut Session, tenants: &Tenants, rows: &[Row], column: usize) -> Result<(), Fault> {
    let mut unknown: Vec<i32> = Vec::new();
    for row in rows {
        let number: Option<i32> = row.try_get(column)?;
        unknown.extend(number.filter(|number| tenants.known_tenant(*number).is_none()));
    }
    if unknown.is_empty() {
        return Ok(());
    }
    for row in session
        .query(
            "select number, merchant, mode from tenants where number = any($1)",
            &[&unknown],
        )
        .await?
    {
        let tenant = Tenant {
            merchant: MerchantId::from_uuid(row.try_get(1)?),
            mode: Mode::from_code(row.try_get(2)?)?,
        };
        tenants.remember(tenant, row.try_get(0)?);
    }
    Ok(())
}

/// The tenant of a row, after [`know`].
pub(super) fn of(tenants: &Tenants, number: i32) -> Result<Tenant, Fault> {
    tenants.known_tenant(number).ok_or_else(|| nobody(number))
}
