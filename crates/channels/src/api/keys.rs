//! API keys: who may call, and what they may do. A secret is shown once.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use florin_core::id::{KeyId, MerchantId};
use florin_services::directory::{ApiKey, MadeKey, Scope};
use florin_store::{Mode, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Nothing, parse_id, text};
use super::gate::{Admin, Call, Caller};
use super::orders::no_such;
use super::params::Params;
use super::settings::{RollBody, changed_answer, made_answer, overlap};
use super::shapes::{List, mode_word, rfc3339};
use crate::Doors;
use crate::problem::Problem;

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

/// Everything that a key can be allowed.
pub(super) const ALL_SCOPES: [Scope; 4] = [Scope::Read, Scope::Pay, Scope::Refund, Scope::Manage];

/// Makes a key. Its secret is shown this once.
#[utoipa::path(post, path = "/v1/keys", tag = "keys", request_body = KeyBody,
    responses((status = 201, description = "Made", body = KeyShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create(State(doors): State<Doors>, call: Call<Either>) -> Result<Response, Problem> {
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
            doors.directory.merchant(merchant).ok_or_else(|| no_such("merchant"))?;
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
                return Err(
                    Problem::new("forbidden", "a merchant's key makes keys of its own merchant and mode")
                        .fix("leave out `merchant` and `mode`, or call with the installation's admin key"),
                );
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

/// Keys, newest first; of those that open nothing any more, the newest hundred.
#[utoipa::path(get, path = "/v1/keys", tag = "keys",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<KeyShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
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
        page.take(limit as usize + 1).map(|key| KeyShape::of(key)),
        limit,
    )))
}

/// Replaces a key; the old one works on for a while.
#[utoipa::path(post, path = "/v1/keys/{id}/roll", tag = "keys", request_body = RollBody, params(("id" = String, Path)),
    responses((status = 201, description = "The new key", body = KeyShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn roll(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let overlap = overlap(&call.read()?)?;
    let id: KeyId = id.parse().map_err(|_| no_such("key"))?;
    for scope in doors.directory.scopes_of(call.caller.tenant, id).await? {
        call.caller.may(scope)?; // nobody gets more than they have
    }
    let made = doors
        .directory
        .roll_key(call.caller.tenant, id, overlap, call.key.clone())
        .await?;
    Ok(made_answer(made.secret.is_none(), KeyShape::made(made)))
}

/// Switches a key off, now and for good.
#[utoipa::path(post, path = "/v1/keys/{id}/revoke", tag = "keys", request_body = Nothing, params(("id" = String, Path)),
    responses((status = 200, description = "Revoked", body = KeyShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn revoke(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let Nothing {} = call.read()?;
    let id: KeyId = id.parse().map_err(|_| no_such("key"))?;
    let revoked = doors
        .directory
        .revoke_key(call.caller.tenant, id, call.key.clone())
        .await?;
    Ok(changed_answer(revoked.replayed, KeyShape::of(&revoked.document)))
}

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
