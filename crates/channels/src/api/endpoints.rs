//! Webhook endpoints: who is told of what, and under which secret it is signed.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use florin_core::id::EndpointId;
use florin_core::secret::Secret;
use florin_services::directory::{Dialect, Endpoint, Made, Scope, Sealed};
use florin_services::notify::{ENDPOINT_SECRET, sign};
use florin_store::{Mode, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{optional_prose, url};
use super::gate::{Call, Caller};
use super::health::HealthShape;
use super::orders::no_such;
use super::params::Params;
use super::settings::{RollBody, changed_answer, made_answer, overlap};
use super::shapes::{List, rfc3339};
use crate::Doors;
use crate::problem::Problem;

/// Event names of one endpoint.
const EVENTS_MAX: usize = 100;

/// Where you want your webhooks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EndpointShape {
    /// Its id.
    pub id: String,
    /// `webhook_endpoint`.
    pub object: &'static str,
    /// The address.
    pub url: String,
    /// Names it wants, such as `order.captured`, `refund.*` or `*`; empty: all.
    pub events: Vec<String>,
    /// What you call it.
    #[schema(required)]
    pub description: Option<String>,
    /// Whether it is told anything.
    pub enabled: bool,
    /// The signing secret: shown once, in the answer to the call that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub secret: Option<String>,
    /// `whpk_…`: verifies Ed25519 signatures (`v1a`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub public_key: Option<String>,
    /// How it does: where endpoints are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub health: Option<HealthShape>,
    /// When it was made.
    pub created_at: String,
}

/// Adds an endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointBody {
    /// The address.
    #[schema(min_length = 1, max_length = 2048)]
    pub url: String,
    /// Names it wants: an event such as `order.captured`, a group such as `refund.*`, or `*` for all; empty is all too.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub events: Vec<String>,
    /// What you call it.
    #[schema(max_length = 500)]
    pub description: Option<String>,
    /// `hmac` (`whsec_…`, signatures `v1`) or `ed25519` (`whsk_…`, signatures `v1a`).
    #[serde(default)]
    pub signature: SignatureWord,
}

/// How an endpoint's webhooks are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureWord {
    /// HMAC-SHA256, `v1`.
    #[default]
    Hmac,
    /// Ed25519, `v1a`.
    Ed25519,
}

/// Changes an endpoint; what is not said stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointChange {
    /// The address.
    #[schema(max_length = 2048)]
    pub url: Option<String>,
    /// Names it wants, as when it was added: an event, a group such as `refund.*`, or `*`; empty: all.
    #[schema(max_items = 100)]
    pub events: Option<Vec<String>>,
    /// What you call it.
    #[schema(max_length = 500)]
    pub description: Option<String>,
    /// Whether it is told anything.
    pub enabled: Option<bool>,
}

/// Adds an endpoint. Its secret is shown this once.
#[utoipa::path(post, path = "/v1/webhook_endpoints", tag = "webhooks", request_body = EndpointBody,
    responses((status = 201, description = "Added", body = EndpointShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create(State(doors): State<Doors>, call: Call<Caller>) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: EndpointBody = call.read()?;
    let address = endpoint_url(&doors, call.caller.tenant, &body.url)?;
    event_names(&body.events)?;
    let secret = match body.signature {
        SignatureWord::Hmac => sign::new_secret(),
        SignatureWord::Ed25519 => sign::new_signing_key(),
    };
    let endpoint = Endpoint {
        id: EndpointId::from_uuid(doors.directory.new_uuid()),
        tenant: call.caller.tenant,
        url: address,
        events: body.events,
        description: optional_prose("description", body.description.as_ref(), 500)?,
        dialect: Dialect::Florin,
        secrets: vec![seal(&doors, &secret)],
        enabled: true,
        door: BTreeMap::new(),
        created_at: doors.directory.now(),
    };
    let made: Made<Endpoint> = doors
        .directory
        .make(Some(call.caller.tenant), endpoint, call.key.clone())
        .await?;
    let mut shape = EndpointShape::of(&made.document, &doors);
    shape.secret = (!made.replayed).then(|| secret.expose().clone()); // shown this once
    Ok(made_answer(made.replayed, shape))
}

/// Endpoints, newest first.
#[utoipa::path(get, path = "/v1/webhook_endpoints", tag = "webhooks",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<EndpointShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<EndpointShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &[])?;
    let (limit, after) = (params.limit()?, params.after::<EndpointId>()?.map(|id| id.to_string()));
    let found: Vec<Endpoint> = doors
        .directory
        .list(Some(caller.tenant), None, after.as_deref(), limit + 1)
        .await?;
    let mut shapes = Vec::with_capacity(found.len());
    for endpoint in &found {
        shapes.push(EndpointShape::with_health(endpoint, &doors).await?);
    }
    Ok(Json(List::page(shapes, limit)))
}

/// One endpoint.
#[utoipa::path(get, path = "/v1/webhook_endpoints/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, description = "The endpoint", body = EndpointShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EndpointShape>, Problem> {
    caller.may(Scope::Read)?;
    let found = doors
        .directory
        .get::<Endpoint>(Some(caller.tenant), &id)
        .await?
        .ok_or_else(|| no_such("webhook endpoint"))?;
    Ok(Json(EndpointShape::with_health(&found, &doors).await?))
}

/// Changes an endpoint.
#[utoipa::path(post, path = "/v1/webhook_endpoints/{id}", tag = "webhooks", request_body = EndpointChange, params(("id" = String, Path)),
    responses((status = 200, description = "Changed", body = EndpointShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: EndpointChange = call.read()?;
    let address = body
        .url
        .as_ref()
        .map(|address| endpoint_url(&doors, call.caller.tenant, address))
        .transpose()?;
    event_names(body.events.as_deref().unwrap_or_default())?;
    let description = optional_prose("description", body.description.as_ref(), 500)?;
    let change = |endpoint: &mut Endpoint| {
        endpoint.url = address.clone().unwrap_or_else(|| endpoint.url.clone());
        endpoint.events = body.events.clone().unwrap_or_else(|| endpoint.events.clone());
        endpoint.description = description.clone().or_else(|| endpoint.description.clone());
        endpoint.enabled = body.enabled.unwrap_or(endpoint.enabled);
    };
    let changed = doors
        .directory
        .change_once::<Endpoint>(call.caller.tenant, &id, call.key.clone(), change)
        .await?;
    let shape = EndpointShape::of(&changed.document, &doors);
    Ok(changed_answer(changed.replayed, shape))
}

/// Removes an endpoint.
#[utoipa::path(delete, path = "/v1/webhook_endpoints/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, description = "As it was", body = EndpointShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn delete(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EndpointShape>, Problem> {
    caller.may(Scope::Manage)?;
    Ok(Json(EndpointShape::of(
        &doors.directory.remove::<Endpoint>(Some(caller.tenant), &id).await?,
        &doors,
    )))
}

/// Gives an endpoint a new secret; the old one signs along for a while.
#[utoipa::path(post, path = "/v1/webhook_endpoints/{id}/rotate_secret", tag = "webhooks", request_body = RollBody, params(("id" = String, Path)),
    responses((status = 200, description = "With the new secret", body = EndpointShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn rotate(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let ends = doors.directory.now().plus_seconds(i64::from(overlap(&call.read()?)?));
    let tenant = call.caller.tenant;
    let found = doors
        .directory
        .get::<Endpoint>(Some(tenant), &id)
        .await?
        .ok_or_else(|| no_such("webhook endpoint"))?;
    let secret = secret_like(&doors, &found)?;
    let sealed = seal(&doors, &secret);
    let change = |endpoint: &mut Endpoint| {
        for old in &mut endpoint.secrets {
            old.until = Some(old.until.map_or(ends, |until| until.min(ends)));
        }
        endpoint.secrets.insert(0, sealed.clone());
        // Two are in force while rotating, and one to spare: who did not hear the answer rotates again, and still holds the first.
        endpoint.secrets.truncate(3);
    };
    let rotated = doors
        .directory
        .change_once::<Endpoint>(tenant, &id, call.key.clone(), change)
        .await?;
    let mut shape = EndpointShape::of(&rotated.document, &doors);
    shape.secret = (!rotated.replayed).then(|| secret.expose().clone()); // shown this once
    Ok(changed_answer(rotated.replayed, shape))
}

/// A webhook secret as it is stored.
pub fn seal(doors: &Doors, secret: &Secret<String>) -> Sealed {
    Sealed {
        sealed: doors.engine.keyring().seal(ENDPOINT_SECRET, secret),
        until: None,
    }
}

/// The public half of an endpoint's newest secret, if it has one.
fn public_key(doors: &Doors, endpoint: &Endpoint) -> Option<String> {
    let newest = endpoint.secrets.first()?;
    let open = doors.engine.keyring().open(ENDPOINT_SECRET, &newest.sealed).ok()?;
    sign::public_of(open.expose()).ok() // only the public half leaves
}

/// A new secret of the kind that an endpoint has.
fn secret_like(doors: &Doors, endpoint: &Endpoint) -> Result<Secret<String>, Problem> {
    let first = endpoint
        .secrets
        .first()
        .ok_or_else(|| Problem::new("internal", "the endpoint has no secret"))?;
    let open = doors
        .engine
        .keyring()
        .open(ENDPOINT_SECRET, &first.sealed)
        .map_err(|error| Problem::new("internal", error.to_string()))?;
    Ok(if open.expose().starts_with("whsk_") {
        sign::new_signing_key()
    } else {
        sign::new_secret()
    }) // its kind alone is looked at
}

/// An endpoint's address: https in live mode, and not inside the operator's network unless that is allowed.
fn endpoint_url(doors: &Doors, tenant: Tenant, address: &String) -> Result<String, Problem> {
    let address = url("url", Some(address))?.unwrap_or_default();
    let wrong = |detail: &str| Problem::new("invalid_value", detail).at("url");
    if tenant.mode == Mode::Live && !address.starts_with("https://") {
        return Err(wrong("in live mode an endpoint starts with https://"));
    }
    if is_forbidden(doors, &address) {
        return Err(wrong(INSIDE));
    }
    Ok(address)
}

/// Why an address is none of an endpoint, where [`is_forbidden`].
pub(crate) const INSIDE: &str =
    "the address is inside this server's network: the operator allows that with `allow_private` under [webhooks]";

/// Whether an address is plainly inside the operator's network, and no endpoint may be there. What a name leads to is looked at when something
/// is sent.
pub(crate) fn is_forbidden(doors: &Doors, address: &str) -> bool {
    let host = url::Url::parse(address)
        .ok()
        .and_then(|parsed| parsed.host_str().map(str::to_owned))
        .unwrap_or_default();
    let inside = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|ip| !florin_services::notify::net::is_public(ip));
    inside && !doors.settings.allow_private_webhooks
}

fn event_names(names: &[String]) -> Result<(), Problem> {
    if names.len() > EVENTS_MAX {
        return Err(Problem::new(
            "invalid_value",
            format!("an endpoint names at most {EVENTS_MAX} events"),
        )
        .at("events"));
    }
    for name in names {
        let known = name == "*" || super::events::NAMES.iter().any(|known| known == name);
        let group = name.strip_suffix(".*").is_some_and(|group| {
            super::events::NAMES
                .iter()
                .any(|known| known.split('.').next() == Some(group))
        });
        if !known && !group {
            let detail = format!(
                "`{}` is no event; there are {}, groups such as order.*, and * for all",
                name.chars().take(60).collect::<String>(),
                super::events::NAMES.join(", ")
            );
            return Err(Problem::new("invalid_value", detail).at("events"));
        }
    }
    Ok(())
}

impl EndpointShape {
    fn of(endpoint: &Endpoint, doors: &Doors) -> Self {
        Self {
            id: endpoint.id.to_string(),
            object: "webhook_endpoint",
            url: endpoint.url.clone(),
            events: endpoint.events.clone(),
            description: endpoint.description.clone(),
            enabled: endpoint.enabled,
            secret: None,
            public_key: public_key(doors, endpoint),
            health: None,
            created_at: rfc3339(endpoint.created_at),
        }
    }

    async fn with_health(endpoint: &Endpoint, doors: &Doors) -> Result<Self, Problem> {
        let mut shape = Self::of(endpoint, doors);
        shape.health = Some(HealthShape::of(endpoint, doors).await?);
        Ok(shape)
    }
}
