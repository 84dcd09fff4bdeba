//! Tenants as small numbers: 17 bytes in every index entry would cost pages. Numbers are given once and never change.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use florin_core::id::MerchantId;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use crate::{Fault, Mode, Tenant};

/// Numbers of the tenants that a batch names.
pub(super) type Numbers = BTreeMap<Tenant, i64>;

/// Tenants remembered; beyond it the memory is emptied and filled again.
const REMEMBERED: usize = 65_536;

/// What is known of the numbers, shared by all threads. Holds committed numbers only.
#[derive(Default)]
pub(super) struct Tenants {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    numbers: HashMap<Tenant, i64>,
    tenants: HashMap<i64, Tenant>,
}

impl Tenants {
    /// The number of a tenant, if it has one.
    pub(super) fn find(&self, connection: &Connection, tenant: Tenant) -> Result<Option<i64>, Fault> {
        if let Some(number) = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .numbers
            .get(&tenant)
        {
            return Ok(Some(*number));
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
    pub(super) fn number(&self, connection: &Connection, tenant: Tenant) -> Result<i64, Fault> {
        if let Some(number) = self.find(connection, tenant)? {
            return Ok(number);
        }
        connection
            .prepare_cached("insert into tenants (merchant, mode) values (?1, ?2) on conflict do nothing")?
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
        for tenant in tenants {
            if let Entry::Vacant(empty) = numbers.entry(tenant) {
                empty.insert(self.number(connection, tenant)?);
            }
        }
        Ok(numbers)
    }

    /// The tenant behind a number.
    pub(super) fn tenant(&self, connection: &Connection, number: i64) -> Result<Tenant, Fault> {
        if let Some(tenant) = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .tenants
            .get(&number)
        {
            return Ok(*tenant);
        }
        let tenant = connection
            .prepare_cached("select merchant, mode from tenants where number = ?1")?
            .query_row([number], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i16>(1)?)))
            .optional()?;
        let Some((merchant, mode)) = tenant else {
            return Err(Fault::Refused(format!(
                "a row names tenant number {number}, which does not exist"
            )));
        };
        let tenant = Tenant {
            merchant: MerchantId::from_uuid(Uuid::from_bytes(merchant)),
            mode: Mode::from_code(mode)?,
        };
        self.remember(tenant, number);
        Ok(tenant)
    }

    fn remember(&self, tenant: Tenant, number: i64) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.numbers.len() >= REMEMBERED {
            *known = Known::default();
        }
        known.numbers.insert(tenant, number);
        known.tenants.insert(number, tenant);
    }
}
