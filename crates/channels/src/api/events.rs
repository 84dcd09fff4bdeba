//! Events, deliveries, balances and ledger entries: what happened, who was told, and where the money is.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use florin_core::id::{ConnectionId, DeliveryId, EndpointId, Part, PartId};
use florin_core::ledger::{Posting, PostingPhase};
use florin_services::ask::Denied;
use florin_services::directory::Scope;
use florin_services::engine::Told;
use florin_services::notify::plan::tries_of;
use florin_services::told;
use florin_store::{BalanceRow, DeliveryRow, DeliverySearch, DeliveryStatus, EventRow, FeedSearch};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::gate::{Call, Caller};
use super::orders::{not_found, order_id};
use super::params::Params;
use super::shapes::{AttemptShape, List, OrderShape, StepShape, rfc3339};
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
    /// Its place among the order's events.
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
    pub id: String,
    /// `dispute`.
    pub object: &'static str,
    /// The order.
    pub order: String,
    /// How much, in minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// `open`, `won` or `lost`.
    pub status: &'static str,
    /// The provider's name for it.
    pub provider_reference: String,
}

/// One event on its way to one endpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeliveryShape {
    /// Its id.
    pub id: String,
    /// `delivery`.
    pub object: &'static str,
    /// The endpoint.
    pub endpoint: String,
    /// The event.
    pub event: String,
    /// Its name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The order.
    pub order: String,
    /// `pending`, `succeeded` or `failed`.
    pub status: &'static str,
    /// Tries so far, oldest first.
    pub attempts: Vec<TryShape>,
    /// When it is tried next.
    #[schema(required)]
    pub next_try_at: Option<String>,
    /// When it was made.
    pub created_at: String,
}

/// One try of a delivery.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TryShape {
    /// When.
    pub at: String,
    /// What the endpoint answered.
    #[schema(required)]
    pub status_code: Option<u16>,
    /// How long it took.
    pub duration_ms: u32,
    /// Why there was no answer.
    #[schema(required)]
    pub error: Option<String>,
}

/// Sends an event again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResendBody {
    /// Only to this endpoint; to all that are enabled if nothing is said.
    pub endpoint: Option<String>,
}

/// What was sent again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Resent {
    /// The deliveries that were made.
    pub data: Vec<DeliveryShape>,
}

/// One movement between two accounts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EntryShape {
    /// Its id: event and place.
    pub id: String,
    /// `ledger_entry`.
    pub object: &'static str,
    /// The order.
    pub order: String,
    /// The version of the order that it came with, as an event's id.
    pub event: String,
    /// What it is for: `sale`, `refund`, `fee`, …
    #[schema(value_type = String)]
    pub template: serde_json::Value,
    /// Where it goes.
    pub debit: AccountShape,
    /// Where it comes from.
    pub credit: AccountShape,
    /// How much, in minor units; always more than zero.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// `posted`, `pended` (reserved) or `released` (no longer reserved).
    pub phase: &'static str,
    /// When.
    pub created_at: String,
}

/// An account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccountShape {
    /// `receivable`, `merchant`, `refunds_moving`, `disputed`, `suspense`, `fees`, `payout_moving` or `bank`.
    pub account: &'static str,
    /// At which provider.
    pub connection: String,
}

/// The balance of one account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BalanceShape {
    /// `balance`.
    pub object: &'static str,
    /// The account.
    pub account: String,
    /// At which provider.
    pub connection: String,
    /// ISO 4217.
    pub currency: String,
    /// Debits less credits, in minor units. A text when it leaves 53 bits would lose digits in many programs, so it always is one.
    #[schema(pattern = "^-?[0-9]+$")]
    pub posted: String,
    /// The same for what is reserved.
    #[schema(pattern = "^-?[0-9]+$")]
    pub pending: String,
}

/// All balances of the merchant in this mode.
#[utoipa::path(get, path = "/v1/balances", tag = "ledger",
    responses((status = 200, description = "All of them", body = List<BalanceShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn balances(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<BalanceShape>>, Problem> {
    caller.may(Scope::Read)?;
    Params::read(query.as_deref(), &[])?;
    doors.catch_up().await?;
    let (rows, _) = doors.store.balances(caller.tenant).await.map_err(Problem::from)?;
    Ok(Json(List {
        data: rows.iter().map(BalanceShape::of).collect(),
        has_more: false,
    }))
}

/// Ledger entries, newest first (`order=oldest` for oldest first).
#[utoipa::path(get, path = "/v1/ledger_entries", tag = "ledger",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query, description = "The last id of the page before"),
        ("from" = Option<String>, Query, description = "At or after"), ("to" = Option<String>, Query, description = "Before"),
        ("order" = Option<String>, Query, description = "`newest` first, or `oldest`")),
    responses((status = 200, description = "A page", body = List<EntryShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn ledger(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<EntryShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &["from", "to", "order"])?;
    let limit = params.limit()?;
    let oldest_first = params.word("order", &["newest", "oldest"])? == Some("oldest");
    let mut entries = Vec::new();
    let after = params.text("after");
    let start = match &after {
        Some(id) => Some(entry_row(&doors, &caller, id).await?),
        None => None,
    };
    if let (Some(row), Some(id)) = (&start, &after) {
        entries = rest(EntryShape::of_row(row, oldest_first)?, id, |entry: &EntryShape| {
            &entry.id
        });
    }
    let search = FeedSearch {
        tenant: caller.tenant,
        money: true,
        from: params.time("from")?,
        to: params.time("to")?,
        after: start.map(|row| row.at),
        oldest_first,
        limit: limit + 1,
    };
    doors.catch_up().await?;
    for row in doors.store.feed(&search).await.map_err(Problem::from)? {
        entries.extend(EntryShape::of_row(&row, oldest_first)?);
    }
    Ok(Json(List::page(entries, limit)))
}

/// Ledger entries of an order, newest first.
#[utoipa::path(get, path = "/v1/orders/{id}/ledger_entries", tag = "ledger",
    params(("id" = String, Path, description = "The order"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<EntryShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn order_ledger(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<EntryShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &[])?;
    let order = doors.engine.view(caller.tenant, order_id(&id)?).await?.order.id;
    let mut all = Vec::new();
    for row in doors.store.events_of(order).await.map_err(Problem::from)? {
        all.extend(EntryShape::of_row(&row, true)?);
    }
    all.reverse();
    List::of_all(all, &params, |entry| &entry.id).map(Json)
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
    let mut shapes = Vec::new();
    let mut after = None;
    if let Some(id) = params.text("after") {
        let (row, told) = event_row(&doors, &caller, &id).await?;
        shapes = rest(
            told.iter()
                .rev()
                .map(|one| EventShape::of(one, doors.rails()))
                .collect(),
            &id,
            |shape: &EventShape| &shape.id,
        );
        after = Some(row.at);
    }
    let search = FeedSearch {
        tenant: caller.tenant,
        money: false,
        from: None,
        to: None,
        after,
        oldest_first: false,
        limit: limit + 1,
    };
    doors.freshen().await;
    for row in doors.store.feed(&search).await.map_err(Problem::from)? {
        let told = match doors.engine.events(caller.tenant, row.order).await {
            Ok(told) => told,
            // An order whose record is damaged is frozen; the others are served.
            Err(Denied::Damaged) => continue,
            Err(denied) => return Err(denied.into()),
        };
        let first = row.version - row.count;
        let mut of_row: Vec<EventShape> = told
            .iter()
            .filter(|one| one.version > first && one.version <= row.version)
            .map(|one| EventShape::of(one, doors.rails()))
            .collect();
        of_row.reverse();
        shapes.extend(of_row);
        if shapes.len() > limit as usize {
            break;
        }
    }
    Ok(Json(List::page(shapes, limit)))
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
    List::of_all(all.collect(), &params, |event| &event.id).map(Json)
}

/// Sends an event to its endpoints again.
#[utoipa::path(post, path = "/v1/events/{id}/resend", tag = "events", request_body = ResendBody, params(("id" = String, Path)),
    responses((status = 201, description = "On its way", body = Resent),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn resend(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: ResendBody = call.read()?;
    let told = find(&doors, &call.caller, &id).await?;
    let only: Option<EndpointId> = body
        .endpoint
        .as_deref()
        .map(|id| super::ask::parse_id("endpoint", id))
        .transpose()?;
    let endpoints = doors.directory.endpoints(call.caller.tenant);
    let now = doors.directory.now();
    let rows: Vec<DeliveryRow> = endpoints
        .iter()
        .filter(|endpoint| endpoint.enabled && only.is_none_or(|only| endpoint.id == only))
        .map(|endpoint| DeliveryRow {
            id: DeliveryId::from_uuid(doors.directory.new_uuid()),
            tenant: call.caller.tenant,
            endpoint: endpoint.id,
            order: told.order.order.id,
            event: told.id.clone(),
            name: told.name.clone(),
            status: DeliveryStatus::Pending,
            tries: "[]".to_owned(),
            due: Some(now),
            created_at: now,
        })
        .collect();
    if rows.is_empty() {
        return Err(Problem::new("not_found", "there is no enabled endpoint to send it to").at("endpoint"));
    }
    doors.store.write_deliveries(&rows).await.map_err(Problem::from)?;
    doors.bell.notify_one();
    Ok((
        StatusCode::CREATED,
        Json(Resent {
            data: rows.iter().map(DeliveryShape::of).collect(),
        }),
    )
        .into_response())
}

/// Deliveries, newest first.
#[utoipa::path(get, path = "/v1/deliveries", tag = "webhooks",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query), ("order" = Option<String>, Query),
        ("endpoint" = Option<String>, Query), ("status" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<DeliveryShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn deliveries(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<DeliveryShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &["order", "endpoint", "status"])?;
    let limit = params.limit()?;
    let status = params
        .word("status", &["pending", "succeeded", "failed"])?
        .map(|word| match word {
            "pending" => DeliveryStatus::Pending,
            "succeeded" => DeliveryStatus::Succeeded,
            _ => DeliveryStatus::Failed,
        });
    let search = DeliverySearch {
        tenant: caller.tenant,
        endpoint: params.id("endpoint")?,
        order: params.id("order")?,
        status,
        after: params.after::<DeliveryId>()?,
        limit: limit + 1,
    };
    doors.freshen().await;
    let rows = doors.store.deliveries(&search).await.map_err(Problem::from)?;
    Ok(Json(List::page(rows.iter().map(DeliveryShape::of).collect(), limit)))
}

/// One delivery.
#[utoipa::path(get, path = "/v1/deliveries/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, description = "The delivery", body = DeliveryShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn delivery(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DeliveryShape>, Problem> {
    caller.may(Scope::Read)?;
    let id: DeliveryId = id.parse().map_err(|_| not_found())?;
    let row = doors
        .store
        .delivery(caller.tenant, id)
        .await
        .map_err(Problem::from)?
        .ok_or_else(not_found)?;
    Ok(Json(DeliveryShape::of(&row)))
}

/// Deliveries of an order, newest first.
#[utoipa::path(get, path = "/v1/orders/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<DeliveryShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn order_deliveries(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<DeliveryShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &[])?;
    let limit = params.limit()?;
    let order = doors.engine.view(caller.tenant, order_id(&id)?).await?.order.id;
    let after = params.after::<DeliveryId>()?;
    let search = DeliverySearch {
        tenant: caller.tenant,
        endpoint: None,
        order: Some(order),
        status: None,
        after,
        limit: limit + 1,
    };
    doors.freshen().await;
    let rows = doors.store.deliveries(&search).await.map_err(Problem::from)?;
    Ok(Json(List::page(rows.iter().map(DeliveryShape::of).collect(), limit)))
}

/// Sends a delivery again.
#[utoipa::path(post, path = "/v1/deliveries/{id}/resend", tag = "webhooks", request_body = super::ask::Nothing, params(("id" = String, Path)),
    responses((status = 200, description = "On its way", body = DeliveryShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn redeliver(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Json<DeliveryShape>, Problem> {
    call.caller.may(Scope::Manage)?;
    let super::ask::Nothing {} = call.read()?;
    let id: DeliveryId = id.parse().map_err(|_| not_found())?;
    let mut row = doors
        .store
        .delivery(call.caller.tenant, id)
        .await
        .map_err(Problem::from)?
        .ok_or_else(not_found)?;
    (row.status, row.due) = (DeliveryStatus::Pending, Some(doors.directory.now()));
    doors
        .store
        .write_deliveries(std::slice::from_ref(&row))
        .await
        .map_err(Problem::from)?;
    doors.bell.notify_one();
    Ok(Json(DeliveryShape::of(&row)))
}

// ---- shapes ---------------------------------------------------------------------------------------------------------------------

async fn find(doors: &Doors, caller: &Caller, id: &str) -> Result<Told, Problem> {
    let (order, _) = told::parse(id).ok_or_else(not_found)?;
    let all = doors.engine.events(caller.tenant, order).await?;
    all.into_iter().find(|one| one.id == id).ok_or_else(not_found)
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

/// The event row of a ledger entry's id, `evt_…-3`.
async fn entry_row(doors: &Doors, caller: &Caller, id: &str) -> Result<EventRow, Problem> {
    let wrong = || Problem::new("invalid_value", "there is no ledger entry of this id").at("after");
    let (event, _) = id.split_once('-').ok_or_else(wrong)?;
    let (order, version) = told::parse(event).ok_or_else(wrong)?;
    doors.engine.view(caller.tenant, order).await.map_err(|_| wrong())?;
    let rows = doors.store.events_of(order).await.map_err(Problem::from)?;
    rows.into_iter().find(|row| row.version == version).ok_or_else(wrong)
}

/// What comes after the item of this id.
fn rest<T>(items: Vec<T>, id: &str, id_of: impl Fn(&T) -> &String) -> Vec<T> {
    items.into_iter().skip_while(|item| id_of(item) != id).skip(1).collect()
}

impl EventShape {
    /// The event as the API shows it.
    pub fn of(told: &Told, rails: Rails) -> Self {
        let view = &*told.order;
        let id = told.part.map(|part| part.to_string());
        let is = |part: Part| told.part.is_some_and(|told| told.kind == part);
        let step = |part: Part, all: Vec<StepShape>| {
            is(part)
                .then(|| all.into_iter().find(|shape| Some(&shape.id) == id.as_ref()))
                .flatten()
        };
        Self {
            id: told.id.clone(),
            object: "event",
            kind: told.name.clone(),
            sequence: told.version,
            order: view.order.id.to_string(),
            created_at: rfc3339(told.at),
            data: EventData {
                order: OrderShape::of(view, rails),
                attempt: is(Part::Attempt)
                    .then(|| {
                        AttemptShape::all(view, rails)
                            .into_iter()
                            .find(|shape| Some(&shape.id) == id.as_ref())
                    })
                    .flatten(),
                capture: step(Part::Capture, StepShape::captures(view)),
                void: step(Part::Void, StepShape::voids(view)),
                refund: step(Part::Refund, StepShape::refunds(view)),
                dispute: is(Part::Dispute)
                    .then(|| {
                        DisputeShape::all(view)
                            .into_iter()
                            .find(|shape| Some(&shape.id) == id.as_ref())
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
            }
            .to_string(),
            object: "dispute",
            order: order.to_string(),
            amount: dispute.amount.minor(),
            currency: dispute.amount.currency().to_string(),
            status: dispute.verdict.as_str(),
            provider_reference: dispute.id.to_owned(),
        };
        florin_core::status::disputes(&view.order)
            .into_iter()
            .map(shape)
            .collect()
    }
}

impl DeliveryShape {
    fn of(row: &DeliveryRow) -> Self {
        let tries = tries_of(row).into_iter().map(|one| TryShape {
            at: rfc3339(one.at),
            status_code: one.status_code,
            duration_ms: one.duration_ms,
            error: one.error,
        });
        Self {
            id: row.id.to_string(),
            object: "delivery",
            endpoint: row.endpoint.to_string(),
            event: row.event.clone(),
            kind: row.name.clone(),
            order: row.order.to_string(),
            status: match row.status {
                DeliveryStatus::Pending => "pending",
                DeliveryStatus::Succeeded => "succeeded",
                DeliveryStatus::Failed => "failed",
            },
            attempts: tries.collect(),
            next_try_at: row.due.map(rfc3339),
            created_at: rfc3339(row.created_at),
        }
    }
}

impl EntryShape {
    /// The entries of one event row, in the order in which they were posted or the other way round.
    fn of_row(row: &EventRow, oldest_first: bool) -> Result<Vec<Self>, Problem> {
        let Some(text) = &row.postings else {
            return Ok(Vec::new());
        };
        let postings: Vec<Posting> = serde_json::from_str(text)
            .map_err(|_| Problem::new("record_damaged", "the postings of an order do not read"))?;
        let event = PartId {
            kind: Part::Event,
            order: row.order,
            number: u16::try_from(row.version).unwrap_or(u16::MAX),
        }
        .to_string();
        let account = |account: florin_core::ledger::Account, connection: ConnectionId| AccountShape {
            account: account.as_str(),
            connection: connection.to_string(),
        };
        let shape = |(at, posting): (usize, &Posting)| Self {
            id: format!("{event}-{}", at + 1),
            object: "ledger_entry",
            order: row.order.to_string(),
            event: event.clone(),
            template: serde_json::to_value(posting.template).unwrap_or_default(),
            debit: account(posting.debit, posting.connection),
            credit: account(posting.credit, posting.connection),
            amount: posting.amount.minor(),
            currency: posting.amount.currency().to_string(),
            phase: match posting.phase {
                PostingPhase::Posted => "posted",
                PostingPhase::Pended => "pended",
                PostingPhase::Released => "released",
            },
            created_at: rfc3339(row.time),
        };
        let mut entries: Vec<Self> = postings.iter().enumerate().map(shape).collect();
        if !oldest_first {
            entries.reverse();
        }
        Ok(entries)
    }
}

impl BalanceShape {
    fn of(row: &BalanceRow) -> Self {
        Self {
            object: "balance",
            account: row.account.clone(),
            connection: row.connection.to_string(),
            currency: row.currency.to_string(),
            posted: row.posted.to_string(),
            pending: row.pending.to_string(),
        }
    }
}
