//! Events: what happened to orders, in the names that webhooks carry.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use florin_core::id::{OrderId, Part, PartId};
use florin_core::money::Currency;
use florin_services::ask::Denied;
use florin_services::directory::Scope;
use florin_services::engine::Told;
use florin_services::told;
use florin_store::{EventRow, FeedSearch};
use serde::Serialize;
use utoipa::ToSchema;

use super::gate::Caller;
use super::orders::{no_such, order_id};
use super::params::Params;
use super::shapes::{AttemptShape, Filling, List, OrderShape, StepShape, rfc3339};
use crate::problem::Problem;
use crate::{Doors, Rails};

/// Every name of an event.
pub const NAMES: &[&str] = &[
    "order.created",
    "order.requires_action",
    "order.processing",
    "order.authorized",
    "order.partially_captured",
    "order.captured",
    "order.partially_refunded",
    "order.refunded",
    "order.failed",
    "order.canceled",
    "order.expired",
    "order.verified",
    "attempt.processing",
    "attempt.requires_action",
    "attempt.succeeded",
    "attempt.declined",
    "attempt.canceled",
    "attempt.reversed",
    "capture.processing",
    "capture.succeeded",
    "capture.failed",
    "capture.returned",
    "void.processing",
    "void.succeeded",
    "void.failed",
    "void.returned",
    "refund.processing",
    "refund.succeeded",
    "refund.failed",
    "refund.returned",
    "dispute.opened",
    "dispute.won",
    "dispute.lost",
];

/// Event rows that one call looks through when it has found some; beyond that it says that there is more.
const SCAN_MAX: usize = 2_000;
/// The same while it has found none: nobody can go on behind an empty page, so there is none with more behind it. Rows without an event are
/// fees, which stand between events, and those of orders that are frozen: so many of them in a row are damage.
const SCAN_EMPTY_MAX: usize = 200_000;
/// Rows that are read at a time once a page's worth of them did not fill it.
const BATCH: u32 = 100;

/// Something that happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventShape {
    /// Its id: the same wherever it is read.
    pub id: String,
    /// `event`.
    pub object: &'static str,
    /// What happened: `order.`, `attempt.`, `capture.`, `void.` or `refund.` and its new status, or `dispute.opened`, `.won`, `.lost`.
    /// `order.created` comes once: an order that is open again tells only how the try ended (`attempt.declined`, `attempt.canceled`,
    /// `attempt.reversed`).
    #[serde(rename = "type")]
    pub kind: String,
    /// Its place among the order's events: 1, 2, 3, and so on.
    pub sequence: u32,
    /// The order.
    pub order: String,
    /// When.
    pub created_at: String,
    /// What it is about, as it then stood.
    pub data: EventData,
}

/// What an event is about.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventData {
    /// The order.
    pub order: OrderShape,
    /// The attempt, for `attempt.…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub attempt: Option<AttemptShape>,
    /// The capture, for `capture.…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub capture: Option<StepShape>,
    /// The void, for `void.…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub void: Option<StepShape>,
    /// The refund, for `refund.…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub refund: Option<StepShape>,
    /// The dispute, for `dispute.…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub dispute: Option<DisputeShape>,
}

/// A dispute.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DisputeShape {
    /// Its id.
    #[schema(value_type = String)]
    pub id: PartId,
    /// `dispute`.
    pub object: &'static str,
    /// The order.
    #[schema(value_type = String)]
    pub order: OrderId,
    /// How much, in minor units.
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String)]
    pub currency: Currency,
    /// `open`, `won` or `lost`.
    pub status: &'static str,
    /// The provider's name for it.
    pub provider_reference: String,
}

/// Events of the merchant in this mode, newest first.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query, description = "The last id of the page before")),
    responses((status = 200, description = "A page", body = List<EventShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<EventShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &[])?;
    let limit = params.limit()?;
    let mut page = Filling::of(limit);
    let mut after = None;
    if let Some(id) = params.text("after") {
        let (row, told) = event_row(&doors, &caller, &id).await?;
        for one in told.iter().rev().skip_while(|one| one.id != id).skip(1) {
            page.add(EventShape::of(one, doors.rails()));
        }
        after = Some(row.at);
    }
    let mut search = FeedSearch {
        tenant: caller.tenant,
        money: false,
        from: None,
        to: None,
        after,
        oldest_first: false,
        limit: limit + 1,
    };
    doors.freshen().await;
    // Fees are no events, and orders that are frozen are left out: a page that they would have filled does not look like the last one.
    let (mut scanned, mut frozen) = (0, BTreeSet::new());
    let cut = loop {
        let rows = doors.store.feed(&search).await.map_err(Problem::from)?;
        for row in rows.iter().filter(|row| row.news.is_some()) {
            if frozen.contains(&row.order) {
                continue;
            }
            let told = match doors.engine.events(caller.tenant, row.order).await {
                Ok(told) => told,
                // An order whose record is damaged is frozen; the others are served.
                Err(Denied::Damaged) => {
                    frozen.insert(row.order);
                    continue;
                }
                Err(denied) => return Err(denied.into()),
            };
            let first = row.version - row.count;
            let of_row = (told.iter().rev()).filter(|one| one.version > first && one.version <= row.version);
            for one in of_row {
                page.add(EventShape::of(one, doors.rails()));
            }
            if page.is_full() {
                break;
            }
        }
        scanned += rows.len();
        if page.is_full() || rows.len() < search.limit as usize {
            break false;
        }
        if !goes_on(scanned, page.is_empty())? {
            break true;
        }
        search.after = rows.last().map(|row| row.at);
        search.limit = BATCH;
    };
    let mut page = page.done();
    page.has_more |= cut;
    Ok(Json(page))
}

/// Whether a list that has looked through so many rows goes on.
fn goes_on(scanned: usize, found_none: bool) -> Result<bool, Problem> {
    if found_none && scanned >= SCAN_EMPTY_MAX {
        let detail = format!("the next {scanned} rows of the event stream are of orders whose records are damaged");
        return Err(Problem::new("record_damaged", detail));
    }
    Ok(found_none || scanned < SCAN_MAX)
}

/// One event.
#[utoipa::path(get, path = "/v1/events/{id}", tag = "events", params(("id" = String, Path)),
    responses((status = 200, description = "The event", body = EventShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EventShape>, Problem> {
    caller.may(Scope::Read)?;
    find(&doors, &caller, &id)
        .await
        .map(|told| Json(EventShape::of(&told, doors.rails())))
}

/// Events of an order, newest first.
#[utoipa::path(get, path = "/v1/orders/{id}/events", tag = "events",
    params(("id" = String, Path, description = "The order"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<EventShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn of_order(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<EventShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &[])?;
    let told = doors.engine.events(caller.tenant, order_id(&id)?).await?;
    let all = told.iter().rev().map(|one| EventShape::of(one, doors.rails()));
    List::of_all(all.collect(), &params, |event| event.id.clone()).map(Json)
}

/// One event of a merchant.
pub(super) async fn find(doors: &Doors, caller: &Caller, id: &str) -> Result<Told, Problem> {
    let (order, _) = told::parse(id).ok_or_else(|| no_such("event"))?;
    let all = doors.engine.events(caller.tenant, order).await?;
    all.into_iter().find(|one| one.id == id).ok_or_else(|| no_such("event"))
}

/// The event row that an event came with, and the events of that row.
async fn event_row(doors: &Doors, caller: &Caller, id: &str) -> Result<(EventRow, Vec<Told>), Problem> {
    let wrong = || {
        Problem::new(
            "invalid_value",
            format!("there is no event `{}`", id.chars().take(60).collect::<String>()),
        )
        .at("after")
    };
    let (order, version) = told::parse(id).ok_or_else(wrong)?;
    let all = doors.engine.events(caller.tenant, order).await.map_err(|_| wrong())?;
    let rows = doors.store.events_of(order).await.map_err(Problem::from)?;
    let row = rows
        .into_iter()
        .find(|row| version > row.version - row.count && version <= row.version)
        .ok_or_else(wrong)?;
    let first = row.version - row.count;
    let of_row: Vec<Told> = all
        .into_iter()
        .filter(|one| one.version > first && one.version <= row.version)
        .collect();
    if of_row.iter().all(|one| one.id != id) {
        return Err(wrong());
    }
    Ok((row, of_row))
}

impl EventShape {
    /// The event as the API shows it.
    pub fn of(told: &Told, rails: Rails) -> Self {
        let view = &*told.order;
        let is = |part: Part| told.part.is_some_and(|told| told.kind == part);
        let step = |part: Part, all: Vec<StepShape>| {
            is(part)
                .then(|| all.into_iter().find(|shape| Some(shape.id) == told.part))
                .flatten()
        };
        Self {
            id: told.id.clone(),
            object: "event",
            kind: told.name.clone(),
            sequence: told.sequence,
            order: view.order.id.to_string(),
            created_at: rfc3339(told.at),
            data: EventData {
                order: OrderShape::of(view, rails),
                attempt: is(Part::Attempt)
                    .then(|| {
                        AttemptShape::all(view, rails)
                            .into_iter()
                            .find(|shape| Some(shape.id) == told.part)
                    })
                    .flatten(),
                capture: step(Part::Capture, StepShape::captures(view)),
                void: step(Part::Void, StepShape::voids(view)),
                refund: step(Part::Refund, StepShape::refunds(view)),
                dispute: is(Part::Dispute)
                    .then(|| {
                        DisputeShape::all(view)
                            .into_iter()
                            .find(|shape| Some(shape.id) == told.part)
                    })
                    .flatten(),
            },
        }
    }
}

impl DisputeShape {
    fn all(view: &florin_services::view::View) -> Vec<Self> {
        let order = view.order.id;
        let shape = |dispute: florin_core::status::DisputeView<'_>| Self {
            id: PartId {
                kind: Part::Dispute,
                order,
                number: dispute.index.into(),
            },
            object: "dispute",
            order,
            amount: dispute.amount.minor(),
            currency: dispute.amount.currency(),
            status: dispute.verdict.as_str(),
            provider_reference: dispute.id.to_owned(),
        };
        florin_core::status::disputes(&view.order)
            .into_iter()
            .map(shape)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_with_more_behind_it_is_never_empty_because_nobody_could_go_on_from_there() {
        for scanned in (0..=2 * SCAN_EMPTY_MAX).step_by(BATCH as usize) {
            assert!(
                !matches!(goes_on(scanned, true), Ok(false)),
                "{scanned} rows without an event"
            );
        }
        assert!(goes_on(20_000, true).unwrap(), "as many fees may follow each other");
        assert_eq!(goes_on(SCAN_EMPTY_MAX, true).unwrap_err().code, "record_damaged");
        assert!(
            !goes_on(SCAN_MAX, false).unwrap(),
            "its last event is where the next page begins"
        );
    }
}
