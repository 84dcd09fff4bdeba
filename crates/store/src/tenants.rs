//! Tenants as small numbers: 17 bytes in every index entry would cost pages. A number is given once and never changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use crate::{Fault, Tenant};

/// Numbers of the tenants that a batch names.
pub(crate) type Numbers = BTreeMap<Tenant, i32>;

/// Tenants remembered; beyond it the memory is emptied and filled again.
const REMEMBERED: usize = 65_536;

/// What is known of the numbers, shared by all connections of a process. Holds committed numbers only.
#[derive(Default)]
pub(crate) struct Tenants {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    numbers: HashMap<Tenant, i32>,
    tenants: HashMap<i32, Tenant>,
}

impl Tenants {
    pub(crate) fn known_number(&self, tenant: Tenant) -> Option<i32> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .numbers
            .get(&tenant)
            .copied()
    }

    /// A condition that leaves out what belongs to these tenants. One whose number nobody here knows has nothing that was read here.
    pub(crate) fn without(&self, tenants: &[Tenant]) -> String {
        let mut numbers: Vec<i32> = tenants.iter().filter_map(|tenant| self.known_number(*tenant)).collect();
        if numbers.is_empty() {
            return String::new();
        }
        numbers.sort_unstable();
        let numbers: Vec<String> = numbers.iter().map(i32::to_string).collect();
        format!(" and tenant not in ({})", numbers.join(", "))
    }

    pub(crate) fn known_tenant(&self, number: i32) -> Option<Tenant> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .tenants
            .get(&number)
            .copied()
    }

    pub(crate) fn remember(&self, tenant: Tenant, number: i32) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.numbers.len() >= REMEMBERED {
            *known = Known::default();
        }
        known.numbers.insert(tenant, number);
        known.tenants.insert(number, tenant);
    }
}

/// A row names a tenant that the database does not have.
pub(crate) fn nobody(number: i32) -> Fault {
    Fault::Refused(format!("a row names tenant number {number}, which does not exist"))
}
