//! What a reader needs of an event row; the rest is passed over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use florin_core::event::Event;
use florin_core::id::ConnectionId;
use florin_core::ledger::Posting;
use florin_core::order::StepName;
use florin_store::{EventRow, Marks, Terms};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::marks;
use crate::snapshot::{Damage, Learned, Named};
use crate::view::Details;

/// An event row, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Whether an order that has lived through events of these kinds alone needs no person.
    pub(super) calm: bool,
    /// What a calm order has by these events.
    pub(super) marks: Marks,
    /// Attempts that were started in this row.
    pub(super) roads: Vec<(u8, Road)>,
    /// What was learned of attempts: number, name and value.
    pub(super) learned: Vec<(u8, String, String)>,
    pub(super) details: Option<Listed>,
    pub(super) named: Vec<Named>,
    pub(super) postings: Vec<Posting>,
}

/// Over which connection an attempt goes, and by which rail.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Road {
    pub(super) connection: ConnectionId,
    pub(super) rail: String,
}

/// What lists know of what an order is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Listed {
    pub(super) customer: Option<String>,
    #[serde(rename = "metadata", deserialize_with = "terms")]
    pub(super) terms: Terms,
    /// Whether there are any.
    #[serde(deserialize_with = "any")]
    pub(super) lines: bool,
}

fn any<'de, D: Deserializer<'de>>(list: D) -> Result<bool, D::Error> {
    Vec::<IgnoredAny>::deserialize(list).map(|list| !list.is_empty())
}

fn terms<'de, D: Deserializer<'de>>(metadata: D) -> Result<Terms, D::Error> {
    BTreeMap::<String, String>::deserialize(metadata).map(|metadata| Terms::of(metadata.iter()))
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    e: Vec<Glance<'a>>,
    #[serde(default)]
    l: Learned,
    #[serde(default)]
    d: Option<Listed>,
}

#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(borrow)]
    k: Cow<'a, str>,
    #[serde(default)]
    attempt: Option<u8>,
    #[serde(default)]
    plan: Option<Road>,
    #[serde(default)]
    step: Option<StepName>,
    #[serde(default)]
    held: Option<IgnoredAny>,
}

impl Glance<'_> {
    fn marks(&self) -> Marks {
        match (&*self.k, self.step) {
            ("approved", _) => marks::approved(self.held.is_some()),
            ("step_started", Some(step)) => marks::started(step.kind),
            ("captured", _) => marks::CAPTURED,
            (_, _) => Marks::NONE,
        }
    }
}

impl Read {
    /// From the row itself.
    pub(super) fn of(row: &EventRow) -> Result<Self, Damage> {
        let damage = |what: &str, error: serde_json::Error| Damage(format!("its {what} not read: {error}"));
        let body: Body<'_> = serde_json::from_str(&row.body).map_err(|error| damage("body does", error))?;
        let postings = row.postings.as_deref().map_or(Ok(Vec::new()), serde_json::from_str);
        Ok(Self {
            calm: body.e.iter().all(|event| is_calm(&event.k)),
            marks: body.e.iter().map(Glance::marks).fold(Marks::NONE, Marks::and),
            roads: (body.e.into_iter())
                .filter_map(|event| Some((event.attempt?, event.plan?)))
                .collect(),
            learned: of_attempts(body.l),
            details: body.d,
            named: Named::of(row)?,
            postings: postings.map_err(|error| damage("postings do", error))?,
        })
    }
}

impl Read {
    /// From what becomes a row.
    pub(crate) fn written(
        events: &[Event],
        learned: Learned,
        details: Option<&Details>,
        named: Vec<Named>,
        postings: Vec<Posting>,
    ) -> Self {
        let started = |event: &Event| {
            let Event::Started { attempt, plan } = event else {
                return None;
            };
            let road = Road {
                connection: plan.connection,
                rail: plan.rail.clone(),
            };
            Some((*attempt, road))
        };
        Self {
            calm: events.iter().all(|event| is_calm(event.kind())),
            marks: events.iter().map(marks::of_event).fold(Marks::NONE, Marks::and),
            roads: events.iter().filter_map(started).collect(),
            learned: of_attempts(learned),
            details: details.map(|details| Listed {
                customer: details.customer.map(|customer| customer.to_string()),
                terms: Terms::of(details.metadata.iter()),
                lines: !details.lines.is_empty(),
            }),
            named,
            postings,
        }
    }
}

fn of_attempts(learned: Learned) -> Vec<(u8, String, String)> {
    let attempts = learned
        .into_iter()
        .filter_map(|(whose, memo)| Some((whose.parse::<u8>().ok()?, memo)));
    attempts
        .flat_map(|(attempt, memo)| memo.into_iter().map(move |(name, value)| (attempt, name, value)))
        .collect()
}

/// Whether events of this kind call for no person.
fn is_calm(kind: &str) -> bool {
    matches!(
        kind,
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
}
