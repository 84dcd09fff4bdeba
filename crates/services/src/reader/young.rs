//! Orders that a reader has seen from their first event on: for these a row alone says how the order stands, and nothing is read.

use std::collections::{BTreeMap, HashMap};

use florin_core::id::OrderId;
use florin_core::time::Timestamp;

use super::glance::GlancePlan;

/// Orders remembered in one half; when it is full the older half goes. A sale is over long before.
const HALF: usize = 4_096;

/// What the rows of an order have said so far. Nothing in them can need a person.
#[derive(Clone, Debug)]
pub(super) struct Youth {
    /// Up to which version.
    pub(super) version: u32,
    pub(super) created_at: Timestamp,
    /// The public word.
    pub(super) status: String,
    pub(super) plans: BTreeMap<u8, GlancePlan>,
}

/// The orders that were new a moment ago.
#[derive(Default)]
pub(super) struct Young {
    newer: HashMap<OrderId, Youth>,
    older: HashMap<OrderId, Youth>,
}

impl Young {
    /// Takes an order out, to be changed and put back, or to be forgotten.
    pub(super) fn take(&mut self, order: OrderId) -> Option<Youth> {
        self.newer.remove(&order).or_else(|| self.older.remove(&order))
    }

    pub(super) fn put(&mut self, order: OrderId, youth: Youth) {
        if self.newer.len() >= HALF {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(order, youth);
    }
}
