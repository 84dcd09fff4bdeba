//! Deliveries: who was told of an event, whether they heard it, and telling them again.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use florin_core::id::{DeliveryId, EndpointId};
use florin_services::directory::Scope;
use florin_services::notify::plan::tries_of;
use florin_services::notify::{stripe, words_of};
use florin_store::{DeliveryRow, DeliverySearch, DeliveryStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::events::find;
use super::gate::{Call, Caller};
use super::orders::{no_such, order_id};
use super::params::Params;
use super::shapes::{Filling, List, rfc3339};
use crate::Doors;
use crate::problem::Problem;

/// Rows that one call looks through when it has found some; beyond that it says that there is more. While it has found none it goes on:
/// nobody can go on behind an empty page.
const SCAN_MAX: usize = 2_000;
/// Rows that are read at a time once a page's worth of them did not fill it.
const BATCH: u32 = 100;

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
    /// Only to this endpoint, whatever it asked for; to all that are enabled and asked for it if nothing is said.
    pub endpoint: Option<String>,
}

/// What was sent again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Resent {
    /// The deliveries that were made.
    pub data: Vec<DeliveryShape>,
}

/// Sends an event to its endpoints again.
#[utoipa::path(post, path = "/v1/events/{id}/resend", tag = "events", request_body = ResendBody, params(("id" = String, Path)),
    responses((status = 201, description = "On its way", body = Resent),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn resend_event(
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
    let mut rows = Vec::new();
    for endpoint in endpoints
        .iter()
        .filter(|endpoint| endpoint.enabled && only.is_none_or(|only| endpoint.id == only))
    {
        // An endpoint that is named is told whatever it asked for otherwise.
        let wanted = |name: &str| only.is_some() || stripe::wants(&endpoint.events, name);
        let words = words_of(endpoint, &told.id, &told.name, wanted);
        rows.extend(words.into_iter().map(|(event, name)| DeliveryRow {
            id: DeliveryId::from_uuid(doors.directory.new_uuid()),
            tenant: call.caller.tenant,
            endpoint: endpoint.id,
            order: told.order.order.id,
            event,
            name,
            status: DeliveryStatus::Pending,
            tries: "[]".to_owned(),
            due: Some(now),
            created_at: now,
        }));
    }
    if rows.is_empty() {
        return Err(
            Problem::new("not_found", "there is no enabled endpoint that is told of this event")
                .at("endpoint")
                .fix("add a webhook endpoint or enable one; one that you name is told of any event, and has to be enabled"),
        );
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
pub(super) async fn list(
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
        from: None,
        to: None,
        after: params.after::<DeliveryId>()?,
        limit: limit + 1,
    };
    page(&doors, search, limit).await.map(Json)
}

/// A page of what is found, newest first.
async fn page(doors: &Doors, mut search: DeliverySearch, limit: u32) -> Result<List<DeliveryShape>, Problem> {
    doors.freshen().await;
    let (mut page, mut scanned) = (Filling::of(limit), 0);
    loop {
        let rows = doors.store.deliveries(&search).await.map_err(Problem::from)?;
        for row in rows.iter().filter(|row| was_said(row)) {
            if !page.add(DeliveryShape::of(row)) {
                break;
            }
        }
        scanned += rows.len();
        if page.is_full() || rows.len() < search.limit as usize {
            return Ok(page.done());
        }
        if !page.is_empty() && scanned >= SCAN_MAX {
            return Ok(page.cut_short());
        }
        search.after = rows.last().map(|row| row.id);
        search.limit = BATCH;
    }
}

/// Whether a delivery is one. When the endpoint's dialect turns out to have no word for what happened, nothing is ever sent: such a one is
/// over without a try, and it is nobody's delivery.
fn was_said(row: &DeliveryRow) -> bool {
    row.status != DeliveryStatus::Succeeded || !tries_of(row).is_empty()
}

/// One delivery.
#[utoipa::path(get, path = "/v1/deliveries/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, description = "The delivery", body = DeliveryShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DeliveryShape>, Problem> {
    caller.may(Scope::Read)?;
    let id: DeliveryId = id.parse().map_err(|_| no_such("delivery"))?;
    let row = doors
        .store
        .delivery(caller.tenant, id)
        .await
        .map_err(Problem::from)?
        .filter(was_said)
        .ok_or_else(|| no_such("delivery"))?;
    Ok(Json(DeliveryShape::of(&row)))
}

/// Deliveries of an order, newest first.
#[utoipa::path(get, path = "/v1/orders/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<DeliveryShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn of_order(
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
        from: None,
        to: None,
        after,
        limit: limit + 1,
    };
    page(&doors, search, limit).await.map(Json)
}

/// Sends a delivery again.
#[utoipa::path(post, path = "/v1/deliveries/{id}/resend", tag = "webhooks", request_body = super::ask::Nothing, params(("id" = String, Path)),
    responses((status = 200, description = "On its way", body = DeliveryShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn resend(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Json<DeliveryShape>, Problem> {
    call.caller.may(Scope::Manage)?;
    let super::ask::Nothing {} = call.read()?;
    let id: DeliveryId = id.parse().map_err(|_| no_such("delivery"))?;
    let mut row = doors
        .store
        .delivery(call.caller.tenant, id)
        .await
        .map_err(Problem::from)?
        .filter(was_said)
        .ok_or_else(|| no_such("delivery"))?;
    let endpoints = doors.directory.endpoints(call.caller.tenant);
    if !endpoints
        .iter()
        .any(|endpoint| endpoint.id == row.endpoint && endpoint.enabled)
    {
        return Err(Problem::new("not_found", "its endpoint is switched off or removed")
            .fix("enable the endpoint first, or send the event to another one with `/v1/events/{id}/resend`"));
    }
    (row.status, row.due) = (DeliveryStatus::Pending, Some(doors.directory.now()));
    doors
        .store
        .write_deliveries(std::slice::from_ref(&row))
        .await
        .map_err(Problem::from)?;
    doors.bell.notify_one();
    Ok(Json(DeliveryShape::of(&row)))
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
