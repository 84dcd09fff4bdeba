//! Merchants: who is paid. Made and listed with the installation's admin key.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use florin_core::id::MerchantId;
use florin_services::directory::Merchant;
use florin_store::{Mode, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::text;
use super::gate::{Admin, Call};
use super::keys::ALL_SCOPES;
use super::params::Params;
use super::settings::made_answer;
use super::shapes::{List, rfc3339};
use crate::Doors;
use crate::problem::Problem;

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

/// Makes a merchant, and a key for its test mode.
#[utoipa::path(post, path = "/v1/merchants", tag = "merchants", request_body = MerchantBody,
    responses((status = 201, description = "Made", body = MerchantShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create(State(doors): State<Doors>, call: Call<Admin>) -> Result<Response, Problem> {
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
pub(super) async fn list(
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
            .map(|merchant| MerchantShape::of(merchant)),
        limit,
    )))
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
