//! What a reader needs of an event row's body; the rest is passed over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use florin_core::id::ConnectionId;
use florin_core::rail::Memo;
use florin_store::EventRow;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Glance<'a> {
    #[serde(borrow)]
    e: Vec<GlanceEvent<'a>>,
    #[serde(default)]
    pub(super) l: BTreeMap<String, Memo>,
    #[serde(default)]
    pub(super) d: Option<GlanceDetails>,
}

#[derive(Deserialize)]
struct GlanceEvent<'a> {
    #[serde(borrow)]
    k: Cow<'a, str>,
    #[serde(default)]
    attempt: Option<u8>,
    #[serde(default)]
    plan: Option<GlancePlan>,
}

/// Over which connection an attempt goes, and by which rail.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct GlancePlan {
    pub(super) connection: ConnectionId,
    pub(super) rail: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct GlanceDetails {
    pub(super) customer: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

impl<'a> Glance<'a> {
    pub(super) fn of(row: &'a EventRow) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&row.body)
    }

    /// Attempts that were started in this row.
    pub(super) fn plans(&mut self) -> impl Iterator<Item = (u8, GlancePlan)> {
        let started = |event: &mut GlanceEvent<'_>| Some((event.attempt?, event.plan.take()?));
        self.e.iter_mut().filter_map(started)
    }

    /// Whether an order that has lived through events of these kinds alone needs no person.
    pub(super) fn is_calm(&self) -> bool {
        let calm = |event: &GlanceEvent<'_>| {
            matches!(
                &*event.k,
                "created"
                    | "described"
                    | "started"
                    | "acting"
                    | "continued"
                    | "pending"
                    | "approved"
                    | "fee"
                    | "step_started"
                    | "captured"
            )
        };
        self.e.iter().all(calm)
    }
}
