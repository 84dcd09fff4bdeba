//! Stored methods: a provider's tokens, never card numbers.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use florin_core::card;
use florin_core::id::{CustomerId, MethodId};
use florin_services::directory::{Method, Scope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{parse_id, text};
use super::customers::customer_of;
use super::gate::{Call, Caller};
use super::orders::no_such;
use super::params::Params;
use super::settings::made_answer;
use super::shapes::{List, rfc3339};
use crate::Doors;
use crate::problem::Problem;

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

/// Stores a method.
#[utoipa::path(post, path = "/v1/methods", tag = "methods", request_body = MethodBody,
    responses((status = 201, description = "Stored", body = MethodShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create(State(doors): State<Doors>, call: Call<Caller>) -> Result<Response, Problem> {
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
pub(super) async fn list(
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
    Ok(Json(List::page(found.iter().map(MethodShape::of), limit)))
}

/// One stored method.
#[utoipa::path(get, path = "/v1/methods/{id}", tag = "methods", params(("id" = String, Path)),
    responses((status = 200, description = "The method", body = MethodShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MethodShape>, Problem> {
    caller.may(Scope::Read)?;
    let found = doors
        .directory
        .get::<Method>(Some(caller.tenant), &id)
        .await?
        .ok_or_else(|| no_such("method"))?;
    Ok(Json(MethodShape::of(&found)))
}

/// Removes a stored method.
#[utoipa::path(delete, path = "/v1/methods/{id}", tag = "methods", params(("id" = String, Path)),
    responses((status = 200, description = "As it was", body = MethodShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn delete(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MethodShape>, Problem> {
    caller.may(Scope::Manage)?;
    Ok(Json(MethodShape::of(
        &doors.directory.remove::<Method>(Some(caller.tenant), &id).await?,
    )))
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
