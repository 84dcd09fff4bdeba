//! What stands around the orders: merchants, keys, connections, customers, stored methods, webhook endpoints.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use florin_core::card;
use florin_core::id::{ConnectionId, CustomerId, EndpointId, KeyId, MerchantId, MethodId};
use florin_core::secret::Secret;
use florin_services::directory::{
    ApiKey, Connection, Customer, Dialect, Endpoint, Made, MadeKey, Merchant, Method, Scope, Sealed,
};
use florin_services::notify::{ENDPOINT_SECRET, sign};
use florin_store::{Mode, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Nothing, metadata, optional, parse_id, text, url};
use super::gate::{Admin, Call, Caller};
use super::health::HealthShape;
use super::orders::not_found;
use super::params::Params;
use super::shapes::{List, mode_word, rfc3339};
use crate::Doors;
use crate::problem::Problem;

/// Overlap of a rolled key, and of a rotated endpoint secret: a day.
const OVERLAP_S_DEFAULT: u32 = 86_400;
/// Longest overlap: 30 days.
const OVERLAP_S_MAX: u32 = 30 * 86_400;
/// Event names of one endpoint.
const EVENTS_MAX: usize = 100;

/// A merchant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MerchantShape {
    /// Its id.
    pub id: String,
    /// `merchant`.
    pub object: &'static str,
    /// What payers read.
    pub name: String,
    /// When it was made.
    pub created_at: String,
    /// A key for test mode: shown once, in the answer to the call that made the merchant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub key: Option<String>,
}

/// Makes a merchant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MerchantBody {
    /// What payers read.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
}

/// An API key, without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyShape {
    /// Its id.
    pub id: String,
    /// `key`.
    pub object: &'static str,
    /// `test` or `live`.
    pub mode: &'static str,
    /// What it is for.
    pub label: String,
    /// What it may do.
    pub scopes: Vec<Scope2>,
    /// Its first characters.
    pub hint: String,
    /// The secret: shown once, in the answer to the call that made the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub secret: Option<String>,
    /// When it stops working.
    #[schema(required)]
    pub expires_at: Option<String>,
    /// When it was revoked.
    #[schema(required)]
    pub revoked_at: Option<String>,
    /// When it was made.
    pub created_at: String,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Scope)]
pub enum Scope2 {
    /// Read everything.
    Read,
    /// Make, pay, capture, void and cancel orders.
    Pay,
    /// Give money back.
    Refund,
    /// Change settings.
    Manage,
}

/// Makes a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyBody {
    /// With the admin key: whose.
    pub merchant: Option<String>,
    /// Test or live; a merchant's own key makes keys of its own mode only.
    pub mode: Option<ModeWord>,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub label: String,
    /// What it may do; all if nothing is said.
    #[schema(max_items = 4)]
    pub scopes: Option<Vec<Scope2>>,
}

/// Test or live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeWord {
    /// Nothing real moves.
    Test,
    /// Money moves.
    Live,
}

/// Replaces a key or a secret.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBody {
    /// Seconds for which the old one still works; a day if nothing is said.
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub overlap_s: Option<u32>,
}

/// A merchant's account at a provider.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConnectionShape {
    /// Its id.
    pub id: String,
    /// `connection`.
    pub object: &'static str,
    /// `test` or `live`.
    pub mode: &'static str,
    /// The provider.
    pub rail: String,
    /// Its address.
    pub base: String,
    /// Names of its secrets in this server's configuration.
    pub secrets: BTreeMap<String, String>,
    /// Anything else.
    pub settings: BTreeMap<String, String>,
    /// Used when a call names none.
    pub default: bool,
    /// Whether new attempts may use it.
    pub enabled: bool,
    /// Where the provider sends its webhooks.
    pub hook_url: String,
    /// When it was made.
    pub created_at: String,
}

/// Adds a connection. Secrets are named, never sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionBody {
    /// The provider: `stripe`.
    #[schema(max_length = 40, example = "stripe")]
    pub rail: String,
    /// Its address, if it is not the provider's usual one.
    #[schema(max_length = 2048)]
    pub base: Option<String>,
    /// The rail's word (`api_key`, `webhook_secret`) to a name under `[secrets]` in this server's configuration.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Anything else that the provider's sheet asks for.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Use it when a call names none.
    #[serde(default)]
    pub default: bool,
}

/// Changes a connection.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionChange {
    /// Use it when a call names none.
    pub default: Option<bool>,
    /// Whether new attempts may use it.
    pub enabled: Option<bool>,
}

/// A customer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CustomerShape {
    /// Its id.
    pub id: String,
    /// `customer`.
    pub object: &'static str,
    /// Name.
    #[schema(required)]
    pub name: Option<String>,
    /// E-mail address.
    #[schema(required)]
    pub email: Option<String>,
    /// Phone number.
    #[schema(required)]
    pub phone: Option<String>,
    /// Your words.
    #[schema(required)]
    pub description: Option<String>,
    /// Your own names and values.
    pub metadata: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: String,
}

/// Makes or changes a customer; what is not said stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerBody {
    /// Name.
    #[schema(max_length = 256)]
    pub name: Option<String>,
    /// E-mail address.
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// Phone number.
    #[schema(max_length = 32)]
    pub phone: Option<String>,
    /// Your words.
    #[schema(max_length = 500)]
    pub description: Option<String>,
    /// Your own names and values.
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A stored method: a token at the provider, never a card number.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MethodShape {
    /// Its id.
    pub id: String,
    /// `method`.
    pub object: &'static str,
    /// Whose it is.
    #[schema(required)]
    pub customer: Option<String>,
    /// The provider that knows it.
    pub rail: String,
    /// `visa`, `mastercard`, …
    pub brand: String,
    /// The last four digits.
    pub last4: String,
    /// Month of expiry.
    pub exp_month: u8,
    /// Year of expiry.
    pub exp_year: u16,
    /// When it was stored.
    pub created_at: String,
}

/// Stores a method: a token that the provider gave.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MethodBody {
    /// Whose it is.
    pub customer: Option<String>,
    /// The provider's token (`pm_…` at Stripe).
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9_-]+$")]
    pub token: String,
    /// The provider that knows it.
    #[schema(max_length = 40, example = "stripe")]
    pub rail: String,
    /// `visa`, `mastercard`, …
    #[serde(default)]
    #[schema(max_length = 40)]
    pub brand: String,
    /// The last four digits.
    #[serde(default)]
    #[schema(pattern = "^([0-9]{4})?$")]
    pub last4: String,
    /// Month of expiry.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 12)]
    pub exp_month: u8,
    /// Year of expiry.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 9999)]
    pub exp_year: u16,
}

/// Where you want your webhooks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EndpointShape {
    /// Its id.
    pub id: String,
    /// `webhook_endpoint`.
    pub object: &'static str,
    /// The address.
    pub url: String,
    /// Names it wants; empty: all.
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
    /// Names it wants, such as `order.captured` or `refund.*`; empty: all.
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
    /// Names it wants.
    #[schema(max_items = 100)]
    pub events: Option<Vec<String>>,
    /// What you call it.
    #[schema(max_length = 500)]
    pub description: Option<String>,
    /// Whether it is told anything.
    pub enabled: Option<bool>,
}

// ---- merchants ------------------------------------------------------------------------------------------------------------------

/// Makes a merchant, and a key for its test mode.
#[utoipa::path(post, path = "/v1/merchants", tag = "merchants", request_body = MerchantBody,
    responses((status = 201, description = "Made", body = MerchantShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create_merchant(State(doors): State<Doors>, call: Call<Admin>) -> Result<Response, Problem> {
    let body: MerchantBody = call.read()?;
    text("name", &body.name, 1, 100)?;
    let made = doors.directory.create_merchant(&body.name, call.key.clone()).await?;
    let tenant = Tenant {
        merchant: made.document.id,
        mode: Mode::Test,
    };
    let mut shape = MerchantShape::of(&made.document);
    if !made.replayed {
        let key = doors
            .directory
            .create_key(tenant, "first key", ALL_SCOPES.to_vec(), None)
            .await?;
        shape.key = key.secret.map(|secret| secret.expose().clone()); // shown this once
    }
    Ok(made_answer(made.replayed, shape))
}

/// Merchants, newest first.
#[utoipa::path(get, path = "/v1/merchants", tag = "merchants",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<MerchantShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_merchants(
    State(doors): State<Doors>,
    _: Admin,
    RawQuery(query): RawQuery,
) -> Result<Json<List<MerchantShape>>, Problem> {
    let params = Params::read(query.as_deref(), &[])?;
    let (limit, after) = (params.limit()?, params.after::<MerchantId>()?);
    let all = doors.directory.merchants();
    let page = all
        .iter()
        .filter(|merchant| after.is_none_or(|after| merchant.id < after));
    Ok(Json(List::page(
        page.take(limit as usize + 1)
            .map(|merchant| MerchantShape::of(merchant))
            .collect(),
        limit,
    )))
}

// ---- keys -----------------------------------------------------------------------------------------------------------------------

/// Makes a key. Its secret is shown this once.
#[utoipa::path(post, path = "/v1/keys", tag = "keys", request_body = KeyBody,
    responses((status = 201, description = "Made", body = KeyShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create_key(State(doors): State<Doors>, call: Call<Either>) -> Result<Response, Problem> {
    let body: KeyBody = call.read()?;
    text("label", &body.label, 0, 100)?;
    let mode = body.mode.map(|mode| match mode {
        ModeWord::Test => Mode::Test,
        ModeWord::Live => Mode::Live,
    });
    let tenant = match &call.caller {
        Either::Admin => {
            let merchant = body.merchant.as_deref().ok_or_else(|| {
                Problem::new("missing_member", "with the admin key, `merchant` says whose").at("merchant")
            })?;
            let merchant: MerchantId = parse_id("merchant", merchant)?;
            doors.directory.merchant(merchant).ok_or_else(not_found)?;
            Tenant {
                merchant,
                mode: mode.unwrap_or(Mode::Test),
            }
        }
        Either::Merchant(caller) => {
            caller.may(Scope::Manage)?;
            let other = body
                .merchant
                .as_deref()
                .is_some_and(|merchant| merchant != caller.tenant.merchant.to_string());
            if other || mode.is_some_and(|mode| mode != caller.tenant.mode) {
                return Err(Problem::new(
                    "forbidden",
                    "a merchant's key makes keys of its own merchant and mode",
                ));
            }
            caller.tenant
        }
    };
    let scopes = body.scopes.map_or_else(
        || ALL_SCOPES.to_vec(),
        |scopes| scopes.into_iter().map(Scope2::scope).collect(),
    );
    if scopes.len() > ALL_SCOPES.len() {
        return Err(Problem::new("invalid_value", "there are four scopes: name each once").at("scopes"));
    }
    if let Either::Merchant(caller) = &call.caller {
        for scope in &scopes {
            caller.may(*scope)?; // nobody gives more than they have
        }
    }
    let made = doors
        .directory
        .create_key(tenant, &body.label, scopes, call.key.clone())
        .await?;
    Ok(made_answer(made.secret.is_none(), KeyShape::made(made)))
}

/// Keys, newest first.
#[utoipa::path(get, path = "/v1/keys", tag = "keys",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<KeyShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_keys(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<KeyShape>>, Problem> {
    caller.may(Scope::Manage)?;
    let params = Params::read(query.as_deref(), &[])?;
    let (limit, after) = (params.limit()?, params.after::<KeyId>()?);
    let keys = doors.directory.keys(caller.tenant);
    let page = keys.iter().filter(|key| after.is_none_or(|after| key.id < after));
    Ok(Json(List::page(
        page.take(limit as usize + 1).map(|key| KeyShape::of(key)).collect(),
        limit,
    )))
}

/// Replaces a key; the old one works on for a while.
#[utoipa::path(post, path = "/v1/keys/{id}/roll", tag = "keys", request_body = RollBody, params(("id" = String, Path)),
    responses((status = 201, description = "The new key", body = KeyShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn roll_key(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let overlap = overlap(&call.read()?)?;
    let id: KeyId = id.parse().map_err(|_| not_found())?;
    for scope in doors.directory.scopes_of(call.caller.tenant, id).await? {
        call.caller.may(scope)?; // nobody gets more than they have
    }
    let made = doors.directory.roll_key(call.caller.tenant, id, overlap).await?;
    Ok(made_answer(false, KeyShape::made(made)))
}

/// Switches a key off, now and for good.
#[utoipa::path(post, path = "/v1/keys/{id}/revoke", tag = "keys", request_body = Nothing, params(("id" = String, Path)),
    responses((status = 200, description = "Revoked", body = KeyShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn revoke_key(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Json<KeyShape>, Problem> {
    call.caller.may(Scope::Manage)?;
    let Nothing {} = call.read()?;
    let id: KeyId = id.parse().map_err(|_| not_found())?;
    Ok(Json(KeyShape::of(
        &doors.directory.revoke_key(call.caller.tenant, id).await?,
    )))
}

// ---- connections ----------------------------------------------------------------------------------------------------------------

/// Adds a connection to a provider.
#[utoipa::path(post, path = "/v1/connections", tag = "connections", request_body = ConnectionBody,
    responses((status = 201, description = "Added", body = ConnectionShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create_connection(State(doors): State<Doors>, call: Call<Caller>) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: ConnectionBody = call.read()?;
    let rail = doors.rail(&body.rail).ok_or_else(|| {
        let known: Vec<&str> = doors.rails().iter().map(|rail| rail.table().name).collect();
        Problem::new(
            "invalid_value",
            format!("there is no rail `{}`; there are {}", body.rail, known.join(", ")),
        )
        .at("rail")
    })?;
    let table = rail.table();
    for (word, name) in &body.secrets {
        text("secrets", name, 1, 100)?;
        if !table.secrets.contains(&word.as_str()) {
            let detail = format!("the rail has no secret `{word}`; it has {}", table.secrets.join(", "));
            return Err(Problem::new("invalid_value", detail).at("secrets"));
        }
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        {
            let detail = "the name of a secret has letters, digits, `_`, `-` and `.`";
            return Err(Problem::new("invalid_value", detail).at("secrets"));
        }
        if name.starts_with("sk_") || name.starts_with("whsec_") || name.starts_with("rk_") {
            let detail = "this looks like a secret itself: write it under [secrets] in this server's configuration and send its name";
            return Err(Problem::new("invalid_value", detail).at("secrets"));
        }
        // With one merchant all secrets are theirs. With several, each names only what the configuration gives to them.
        let tenant = call.caller.tenant;
        let shared = doors.settings.any_provider_address || doors.directory.merchants().len() <= 1;
        if !shared && !doors.engine.keyring().is_owned(tenant, name) {
            let detail = format!(
                "this server has several merchants, and no secret `{name}` of yours: its operator writes it under [secrets.{}.{}]",
                tenant.merchant,
                mode_word(tenant.mode)
            );
            return Err(Problem::new("forbidden", detail).at("secrets"));
        }
    }
    let base = match url("base", body.base.as_ref())? {
        // Only an operator may point a connection somewhere else: the call would carry the credential there.
        Some(base) if !doors.settings.any_provider_address => {
            let host = table.hosts.iter().any(|host| base == format!("https://{host}"));
            if !host {
                let detail = format!("the address can be {}", table.hosts.join(", "));
                return Err(Problem::new("invalid_value", detail).at("base"));
            }
            base
        }
        Some(base) => base,
        None => format!("https://{}", table.hosts.first().copied().unwrap_or_default()),
    };
    let connection = Connection {
        id: ConnectionId::from_uuid(doors.directory.new_uuid()),
        tenant: call.caller.tenant,
        rail: body.rail,
        base: base.trim_end_matches('/').to_owned(),
        secrets: body.secrets,
        settings: metadata(&body.settings)?,
        default: body.default,
        enabled: true,
        created_at: doors.directory.now(),
    };
    let made = doors
        .directory
        .make(Some(call.caller.tenant), connection, call.key.clone())
        .await?;
    Ok(made_answer(made.replayed, ConnectionShape::of(&made.document, &doors)))
}

/// Connections, newest first.
#[utoipa::path(get, path = "/v1/connections", tag = "connections",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<ConnectionShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_connections(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<ConnectionShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &[])?;
    let (limit, after) = (params.limit()?, params.after::<ConnectionId>()?);
    let all = doors.directory.connections(caller.tenant);
    let page = all
        .iter()
        .filter(|connection| after.is_none_or(|after| connection.id < after));
    Ok(Json(List::page(
        page.take(limit as usize + 1)
            .map(|connection| ConnectionShape::of(connection, &doors))
            .collect(),
        limit,
    )))
}

/// One connection.
#[utoipa::path(get, path = "/v1/connections/{id}", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, description = "The connection", body = ConnectionShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get_connection(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ConnectionShape>, Problem> {
    caller.may(Scope::Read)?;
    let found = doors
        .directory
        .get::<Connection>(Some(caller.tenant), &id)
        .await?
        .ok_or_else(not_found)?;
    Ok(Json(ConnectionShape::of(&found, &doors)))
}

/// Changes a connection.
#[utoipa::path(post, path = "/v1/connections/{id}", tag = "connections", request_body = ConnectionChange, params(("id" = String, Path)),
    responses((status = 200, description = "Changed", body = ConnectionShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change_connection(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Json<ConnectionShape>, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: ConnectionChange = call.read()?;
    let change = |connection: &mut Connection| {
        connection.default = body.default.unwrap_or(connection.default);
        connection.enabled = body.enabled.unwrap_or(connection.enabled);
    };
    let changed = doors
        .directory
        .change::<Connection>(Some(call.caller.tenant), &id, change)
        .await?;
    Ok(Json(ConnectionShape::of(&changed, &doors)))
}

// ---- customers and methods ------------------------------------------------------------------------------------------------------

/// Makes a customer.
#[utoipa::path(post, path = "/v1/customers", tag = "customers", request_body = CustomerBody,
    responses((status = 201, description = "Made", body = CustomerShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create_customer(State(doors): State<Doors>, call: Call<Caller>) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: CustomerBody = call.read()?;
    body.check()?;
    let mut customer = Customer {
        id: CustomerId::from_uuid(doors.directory.new_uuid()),
        name: None,
        email: None,
        phone: None,
        description: None,
        metadata: BTreeMap::new(),
        door: BTreeMap::new(),
        created_at: doors.directory.now(),
    };
    body.put_into(&mut customer);
    let made = doors
        .directory
        .make(Some(call.caller.tenant), customer, call.key.clone())
        .await?;
    Ok(made_answer(made.replayed, CustomerShape::of(&made.document)))
}

/// Customers, newest first.
#[utoipa::path(get, path = "/v1/customers", tag = "customers",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<CustomerShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_customers(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<CustomerShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &[])?;
    let (limit, after) = (params.limit()?, params.after::<CustomerId>()?.map(|id| id.to_string()));
    let found: Vec<Customer> = doors
        .directory
        .list(Some(caller.tenant), None, after.as_deref(), limit + 1)
        .await?;
    Ok(Json(List::page(found.iter().map(CustomerShape::of).collect(), limit)))
}

/// One customer.
#[utoipa::path(get, path = "/v1/customers/{id}", tag = "customers", params(("id" = String, Path)),
    responses((status = 200, description = "The customer", body = CustomerShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get_customer(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CustomerShape>, Problem> {
    caller.may(Scope::Read)?;
    let found = doors
        .directory
        .get::<Customer>(Some(caller.tenant), &id)
        .await?
        .ok_or_else(not_found)?;
    Ok(Json(CustomerShape::of(&found)))
}

/// Changes a customer.
#[utoipa::path(post, path = "/v1/customers/{id}", tag = "customers", request_body = CustomerBody, params(("id" = String, Path)),
    responses((status = 200, description = "Changed", body = CustomerShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change_customer(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Json<CustomerShape>, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: CustomerBody = call.read()?;
    body.check()?;
    let changed = doors
        .directory
        .change::<Customer>(Some(call.caller.tenant), &id, |customer| body.put_into(customer))
        .await?;
    Ok(Json(CustomerShape::of(&changed)))
}

/// Removes a customer. Orders keep its id.
#[utoipa::path(delete, path = "/v1/customers/{id}", tag = "customers", params(("id" = String, Path)),
    responses((status = 200, description = "As it was", body = CustomerShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn delete_customer(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CustomerShape>, Problem> {
    caller.may(Scope::Manage)?;
    Ok(Json(CustomerShape::of(
        &doors.directory.remove::<Customer>(Some(caller.tenant), &id).await?,
    )))
}

/// Stores a method.
#[utoipa::path(post, path = "/v1/methods", tag = "methods", request_body = MethodBody,
    responses((status = 201, description = "Stored", body = MethodShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create_method(State(doors): State<Doors>, call: Call<Caller>) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: MethodBody = call.read()?;
    text("token", &body.token, 1, 255)?;
    if card::is_number(&body.token) {
        return Err(Problem::new(
            "invalid_value",
            "this looks like a card number; only a provider's token can be stored",
        )
        .at("token"));
    }
    if !body
        .token
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    {
        return Err(Problem::new("invalid_value", "a token has letters, digits, `_` and `-`").at("token"));
    }
    if doors.rail(&body.rail).is_none() {
        return Err(Problem::new(
            "invalid_value",
            format!("there is no rail `{}`", body.rail.chars().take(40).collect::<String>()),
        )
        .at("rail"));
    }
    text("brand", &body.brand, 0, 40)?;
    if !(body.last4.is_empty() || body.last4.len() == 4 && body.last4.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(Problem::new("invalid_value", "last4 is four digits").at("last4"));
    }
    if body.exp_month > 12 || body.exp_year > 9_999 {
        return Err(Problem::new("invalid_value", "exp_month is 1 to 12, exp_year has four digits").at("exp_month"));
    }
    let customer: Option<CustomerId> = body
        .customer
        .as_deref()
        .map(|id| parse_id("customer", id))
        .transpose()?;
    if let Some(customer) = customer {
        customer_of(&doors, call.caller.tenant, customer).await?;
    }
    let method = Method {
        id: MethodId::from_uuid(doors.directory.new_uuid()),
        customer,
        rail: body.rail,
        token: body.token,
        brand: body.brand,
        last4: body.last4,
        exp_month: body.exp_month,
        exp_year: body.exp_year,
        door: BTreeMap::new(),
        created_at: doors.directory.now(),
    };
    let made = doors
        .directory
        .make(Some(call.caller.tenant), method, call.key.clone())
        .await?;
    Ok(made_answer(made.replayed, MethodShape::of(&made.document)))
}

/// Stored methods, newest first.
#[utoipa::path(get, path = "/v1/methods", tag = "methods",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query), ("customer" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<MethodShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_methods(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<MethodShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &["customer"])?;
    let (limit, after) = (params.limit()?, params.after::<MethodId>()?.map(|id| id.to_string()));
    let customer = params.id::<CustomerId>("customer")?.map(|id| id.to_string());
    let found: Vec<Method> = doors
        .directory
        .list(Some(caller.tenant), customer.as_deref(), after.as_deref(), limit + 1)
        .await?;
    Ok(Json(List::page(found.iter().map(MethodShape::of).collect(), limit)))
}

/// One stored method.
#[utoipa::path(get, path = "/v1/methods/{id}", tag = "methods", params(("id" = String, Path)),
    responses((status = 200, description = "The method", body = MethodShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get_method(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MethodShape>, Problem> {
    caller.may(Scope::Read)?;
    let found = doors
        .directory
        .get::<Method>(Some(caller.tenant), &id)
        .await?
        .ok_or_else(not_found)?;
    Ok(Json(MethodShape::of(&found)))
}

/// Removes a stored method.
#[utoipa::path(delete, path = "/v1/methods/{id}", tag = "methods", params(("id" = String, Path)),
    responses((status = 200, description = "As it was", body = MethodShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn delete_method(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MethodShape>, Problem> {
    caller.may(Scope::Manage)?;
    Ok(Json(MethodShape::of(
        &doors.directory.remove::<Method>(Some(caller.tenant), &id).await?,
    )))
}

// ---- webhook endpoints ----------------------------------------------------------------------------------------------------------

/// Adds an endpoint. Its secret is shown this once.
#[utoipa::path(post, path = "/v1/webhook_endpoints", tag = "webhooks", request_body = EndpointBody,
    responses((status = 201, description = "Added", body = EndpointShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create_endpoint(State(doors): State<Doors>, call: Call<Caller>) -> Result<Response, Problem> {
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
        description: optional("description", body.description.as_ref(), 500)?,
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
pub(super) async fn list_endpoints(
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
pub(super) async fn get_endpoint(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EndpointShape>, Problem> {
    caller.may(Scope::Read)?;
    let found = doors
        .directory
        .get::<Endpoint>(Some(caller.tenant), &id)
        .await?
        .ok_or_else(not_found)?;
    Ok(Json(EndpointShape::with_health(&found, &doors).await?))
}

/// Changes an endpoint.
#[utoipa::path(post, path = "/v1/webhook_endpoints/{id}", tag = "webhooks", request_body = EndpointChange, params(("id" = String, Path)),
    responses((status = 200, description = "Changed", body = EndpointShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change_endpoint(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Json<EndpointShape>, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: EndpointChange = call.read()?;
    let address = body
        .url
        .as_ref()
        .map(|address| endpoint_url(&doors, call.caller.tenant, address))
        .transpose()?;
    event_names(body.events.as_deref().unwrap_or_default())?;
    let description = optional("description", body.description.as_ref(), 500)?;
    let change = |endpoint: &mut Endpoint| {
        endpoint.url = address.clone().unwrap_or_else(|| endpoint.url.clone());
        endpoint.events = body.events.clone().unwrap_or_else(|| endpoint.events.clone());
        endpoint.description = description.clone().or_else(|| endpoint.description.clone());
        endpoint.enabled = body.enabled.unwrap_or(endpoint.enabled);
    };
    Ok(Json(EndpointShape::of(
        &doors
            .directory
            .change::<Endpoint>(Some(call.caller.tenant), &id, change)
            .await?,
        &doors,
    )))
}

/// Removes an endpoint.
#[utoipa::path(delete, path = "/v1/webhook_endpoints/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, description = "As it was", body = EndpointShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn delete_endpoint(
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
pub(super) async fn rotate_endpoint(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Json<EndpointShape>, Problem> {
    call.caller.may(Scope::Manage)?;
    let ends = doors.directory.now().plus_seconds(i64::from(overlap(&call.read()?)?));
    let tenant = Some(call.caller.tenant);
    let found = doors
        .directory
        .get::<Endpoint>(tenant, &id)
        .await?
        .ok_or_else(not_found)?;
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
    let mut shape = EndpointShape::of(&doors.directory.change::<Endpoint>(tenant, &id, change).await?, &doors);
    shape.secret = Some(secret.expose().clone()); // shown this once
    Ok(Json(shape))
}

// ---- shapes and checks ----------------------------------------------------------------------------------------------------------

const ALL_SCOPES: [Scope; 4] = [Scope::Read, Scope::Pay, Scope::Refund, Scope::Manage];

/// The installation's admin key, or a merchant's key.
#[derive(Debug)]
pub(super) enum Either {
    Admin,
    Merchant(Caller),
}

impl axum::extract::FromRequestParts<Doors> for Either {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut http::request::Parts, doors: &Doors) -> Result<Self, Problem> {
        match Admin::from_request_parts(parts, doors).await {
            Ok(Admin) => Ok(Self::Admin),
            Err(_) => Caller::from_request_parts(parts, doors).await.map(Self::Merchant),
        }
    }
}

/// A customer of this tenant, or a problem that names the member.
pub(super) async fn customer_of(doors: &Doors, tenant: Tenant, id: CustomerId) -> Result<Customer, Problem> {
    let found = doors.directory.get::<Customer>(Some(tenant), &id.to_string()).await?;
    found.ok_or_else(|| Problem::new("invalid_value", format!("there is no customer {id}")).at("customer"))
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

fn made_answer(replayed: bool, body: impl Serialize) -> Response {
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    if replayed {
        response
            .headers_mut()
            .insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}

fn overlap(body: &RollBody) -> Result<u32, Problem> {
    let seconds = body.overlap_s.unwrap_or(OVERLAP_S_DEFAULT);
    if seconds > OVERLAP_S_MAX {
        return Err(Problem::new(
            "invalid_value",
            format!("overlap_s is {seconds}: it can be 0 to {OVERLAP_S_MAX}"),
        )
        .at("overlap_s"));
    }
    Ok(seconds)
}

/// An endpoint's address: https in live mode, and not inside the operator's network unless that is allowed.
fn endpoint_url(doors: &Doors, tenant: Tenant, address: &String) -> Result<String, Problem> {
    let address = url("url", Some(address))?.unwrap_or_default();
    let wrong = |detail: &str| Problem::new("invalid_value", detail).at("url");
    if tenant.mode == Mode::Live && !address.starts_with("https://") {
        return Err(wrong("in live mode an endpoint starts with https://"));
    }
    let host = url::Url::parse(&address)
        .ok()
        .and_then(|parsed| parsed.host_str().map(str::to_owned))
        .unwrap_or_default();
    let inside = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|ip| !florin_services::notify::net::is_public(ip));
    if inside && !doors.settings.allow_private_webhooks {
        return Err(wrong(
            "the address is inside this server's network: the operator allows that with `allow_private` under [webhooks]",
        ));
    }
    Ok(address)
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

impl MerchantShape {
    fn of(merchant: &Merchant) -> Self {
        Self {
            id: merchant.id.to_string(),
            object: "merchant",
            name: merchant.name.clone(),
            created_at: rfc3339(merchant.created_at),
            key: None,
        }
    }
}

impl Scope2 {
    fn scope(self) -> Scope {
        match self {
            Self::Read => Scope::Read,
            Self::Pay => Scope::Pay,
            Self::Refund => Scope::Refund,
            Self::Manage => Scope::Manage,
        }
    }

    fn of(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Pay => Self::Pay,
            Scope::Refund => Self::Refund,
            Scope::Manage => Self::Manage,
        }
    }
}

impl KeyShape {
    fn of(key: &ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            object: "key",
            mode: mode_word(key.tenant.mode),
            label: key.label.clone(),
            scopes: key.scopes.iter().copied().map(Scope2::of).collect(),
            hint: key.hint.clone(),
            secret: None,
            expires_at: key.expires_at.map(rfc3339),
            revoked_at: key.revoked_at.map(rfc3339),
            created_at: rfc3339(key.created_at),
        }
    }

    fn made(made: MadeKey) -> Self {
        Self {
            secret: made.secret.map(|secret| secret.expose().clone()),
            ..Self::of(&made.key)
        } // shown this once
    }
}

impl ConnectionShape {
    fn of(connection: &Connection, doors: &Doors) -> Self {
        Self {
            id: connection.id.to_string(),
            object: "connection",
            mode: mode_word(connection.tenant.mode),
            rail: connection.rail.clone(),
            base: connection.base.clone(),
            secrets: connection.secrets.clone(),
            settings: connection.settings.clone(),
            default: connection.default,
            enabled: connection.enabled,
            hook_url: format!("{}/hooks/{}", doors.settings.api_url, connection.id),
            created_at: rfc3339(connection.created_at),
        }
    }
}

impl CustomerBody {
    fn check(&self) -> Result<(), Problem> {
        optional("name", self.name.as_ref(), 256)?;
        optional("email", self.email.as_ref(), 254)?;
        optional("phone", self.phone.as_ref(), 32)?;
        optional("description", self.description.as_ref(), 500)?;
        self.metadata.as_ref().map(metadata).transpose()?;
        Ok(())
    }

    fn put_into(&self, customer: &mut Customer) {
        let keep = |new: &Option<String>, old: &mut Option<String>| {
            if new.is_some() {
                old.clone_from(new);
            }
        };
        keep(&self.name, &mut customer.name);
        keep(&self.email, &mut customer.email);
        keep(&self.phone, &mut customer.phone);
        keep(&self.description, &mut customer.description);
        if let Some(metadata) = &self.metadata {
            customer.metadata.clone_from(metadata);
        }
    }
}

impl CustomerShape {
    fn of(customer: &Customer) -> Self {
        Self {
            id: customer.id.to_string(),
            object: "customer",
            name: customer.name.clone(),
            email: customer.email.clone(),
            phone: customer.phone.clone(),
            description: customer.description.clone(),
            metadata: customer.metadata.clone(),
            created_at: rfc3339(customer.created_at),
        }
    }
}

impl MethodShape {
    fn of(method: &Method) -> Self {
        Self {
            id: method.id.to_string(),
            object: "method",
            customer: method.customer.map(|id| id.to_string()),
            rail: method.rail.clone(),
            brand: method.brand.clone(),
            last4: method.last4.clone(),
            exp_month: method.exp_month,
            exp_year: method.exp_year,
            created_at: rfc3339(method.created_at),
        }
    }
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
