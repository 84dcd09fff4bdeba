//! Looking up and giving numbers to tenants.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use florin_core::id::MerchantId;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use crate::tenants::{Numbers, Tenants, nobody};
use crate::{Fault, Mode, Tenant};

const INSERT: &str = "insert into tenants (merchant, mode) values (?1, ?2) on conflict do nothing";

impl Tenants {
    /// The number of a tenant, if it has one.
    pub(super) fn find(&self, connection: &Connection, tenant: Tenant) -> Result<Option<i32>, Fault> {
        if let Some(number) = self.known_number(tenant) {
            return Ok(Some(number));
        }
        let number = connection
            .prepare_cached("select number from tenants where merchant = ?1 and mode = ?2")?
            .query_row(params![tenant.merchant.uuid().as_bytes(), tenant.mode.code()], |row| {
                row.get(0)
            })
            .optional()?;
        if let Some(number) = number {
            self.remember(tenant, number);
        }
        Ok(number)
    }

    /// The number of a tenant; gives one, in a transaction of its own, if there is none. Not to be called inside another.
    pub(super) fn number(&self, connection: &Connection, tenant: Tenant) -> Result<i32, Fault> {
        if let Some(number) = self.find(connection, tenant)? {
            return Ok(number);
        }
        connection
            .prepare_cached(INSERT)?
            .execute(params![tenant.merchant.uuid().as_bytes(), tenant.mode.code()])?;
        self.find(connection, tenant)?
            .ok_or_else(|| Fault::Refused(format!("tenant {tenant:?} was written and is not there")))
    }

    /// The numbers of all of these, as [`Self::number`].
    pub(super) fn numbers(
        &self,
        connection: &Connection,
        tenants: impl Iterator<Item = Tenant>,
    ) -> Result<Numbers, Fault> {
        let mut numbers = Numbers::new();
        let mut unknown = BTreeSet::new();
        for tenant in tenants {
            if let Entry::Vacant(empty) = numbers.entry(tenant) {
                match self.known_number(tenant) {
                    Some(number) => drop(empty.insert(number)),
                    None => drop(unknown.insert(tenant)),
                }
            }
        }
        // Many new ones are written together: each would be a commit otherwise.
        if unknown.len() > 1 {
            let transaction = connection.unchecked_transaction()?;
            for tenant in &unknown {
                transaction
                    .prepare_cached(INSERT)?
                    .execute(params![tenant.merchant.uuid().as_bytes(), tenant.mode.code()])?;
            }
            transaction.commit()?;
        }
        for tenant in unknown {
            numbers.insert(tenant, self.number(connection, tenant)?);
        }
        Ok(numbers)
    }

    /// The tenant behind a number.
    pub(super) fn tenant(&self, connection: &Connection, number: i32) -> Result<Tenant, Fault> {
        if let Some(tenant) = self.known_tenant(number) {
            return Ok(tenant);
        }
        let found = connection
            .prepare_cached("select merchant, mode from tenants where number = ?1")?
            .query_row([number], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i16>(1)?)))
            .optional()?;
        let (merchant, mode) = found.ok_or_else(|| nobody(number))?;
        let tenant = Tenant {
            merchant: MerchantId::from_uuid(Uuid::from_bytes(merchant)),
            mode: Mode::from_code(mode)?,
        };
        self.remember(tenant, number);
        Ok(tenant)
    }
}
