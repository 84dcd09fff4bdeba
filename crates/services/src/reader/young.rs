//! Orders that a reader has seen from their first event on: for these a row alone says how the order stands, and nothing is read.

use std::sync::Arc;

use florin_core::id::OrderId;
use florin_core::time::Timestamp;

use super::read::Road;
use crate::fresh::Lately;

/// Orders remembered in one half. A sale is over long before.
pub(super) const HALF: usize = 4_096;

/// What the rows of an order have said so far. Nothing in them can need a person.
#[derive(Clone, Debug)]
pub(super) struct Youth {
    /// Up to which version.
    pub(super) version: u32,
    pub(super) created_at: Timestamp,
    /// The public word.
    pub(super) status: String,
    pub(super) roads: Vec<(u8, Road)>,
}

/// The orders that were new a moment ago.
pub(super) type Young = Lately<OrderId, Arc<Youth>>;
