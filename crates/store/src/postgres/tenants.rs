//! Looking up and giving numbers to tenants.

use std::collections::BTreeSet;

use florin_core::id::MerchantId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::pool::Pool;
use super::session::Session;
use crate::tenants::{Numbers, Tenants, nobody};
use crate::{Fault, Mode, Tenant};

const FIND: &str = "select number from tenants where merchant = $1 and mode = $2";

const FIND_ALL: &str = "select t.merchant, t.mode, t.number \
    from (select unnest($1::uuid[]) as merchant, unnest($2::smallint[]) as mode) as w \
    join tenants t on t.merchant = w.merchant and t.mode = w.mode";

const INSERT: &str = "insert into tenants (merchant, mode) \
    select unnest($1::uuid[]), unnest($2::smallint[]) on conflict do nothing";

fn columns(tenants: &[Tenant]) -> (Vec<Uuid>, Vec<i16>) {
    tenants
        .iter()
        .map(|tenant| (tenant.merchant.uuid(), tenant.mode.code()))
        .unzip()
}

async fn look_up(
    session: &mut Session,
    tenants: &Tenants,
    wanted: &[Tenant],
    numbers: &mut Numbers,
) -> Result<(), Fault> {
    let (merchants, modes) = columns(wanted);
    for row in session.query(FIND_ALL, &[&merchants, &modes]).await? {
        let tenant = Tenant {
            merchant: MerchantId::from_uuid(row.try_get(0)?),
            mode: Mode::from_code(row.try_get(1)?)?,
        };
        let number = row.try_get(2)?;
        tenants.remember(tenant, number);
        numbers.insert(tenant, number);
    }
    Ok(())
}

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

/// The numbers of all of these; tenants that have none get one, in a transaction of its own.
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
    look_up(session, tenants, &unknown, &mut numbers).await?;
    let new: BTreeSet<Tenant> = (unknown.into_iter())
        .filter(|tenant| !numbers.contains_key(tenant))
        .collect();
    if !new.is_empty() {
        let new: Vec<Tenant> = new.into_iter().collect();
        let (merchants, modes) = columns(&new);
        session.execute(INSERT, &[&merchants, &modes]).await?;
        look_up(session, tenants, &new, &mut numbers).await?;
        if let Some(tenant) = new.iter().find(|tenant| !numbers.contains_key(tenant)) {
            return Err(Fault::Refused(format!(
                "tenant {tenant:?} was written and is not there"
            )));
        }
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
