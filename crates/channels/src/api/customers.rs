//! Customers: who pays, as the merchant knows them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use florin_core::id::CustomerId;
use florin_services::directory::{Customer, Scope};
use florin_store::Tenant;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{distinct_if_any, is_email, optional, optional_prose, pairs};
use super::gate::{Call, Caller};
use super::orders::no_such;
use super::params::Params;
use super::settings::{changed_answer, made_answer};
use super::shapes::{List, rfc3339};
use crate::Doors;
use crate::email::EMAIL_CHARS_MAX;
use crate::problem::Problem;

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
    /// E-mail address: one `@` with something on both sides, and no blanks.
    #[schema(max_length = 254, pattern = r"^([^@\s]+@[^@\s]+)?$")]
    pub email: Option<String>,
    /// Phone number.
    #[schema(max_length = 32)]
    pub phone: Option<String>,
    /// Your words.
    #[schema(max_length = 500)]
    pub description: Option<String>,
    /// Your own names and values.
    #[serde(default, deserialize_with = "distinct_if_any")]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// Makes a customer.
#[utoipa::path(post, path = "/v1/customers", tag = "customers", request_body = CustomerBody,
    responses((status = 201, description = "Made", body = CustomerShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create(State(doors): State<Doors>, call: Call<Caller>) -> Result<Response, Problem> {
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
pub(super) async fn list(
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
    Ok(Json(List::page(found.iter().map(CustomerShape::of), limit)))
}

/// One customer.
#[utoipa::path(get, path = "/v1/customers/{id}", tag = "customers", params(("id" = String, Path)),
    responses((status = 200, description = "The customer", body = CustomerShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CustomerShape>, Problem> {
    caller.may(Scope::Read)?;
    let found = doors
        .directory
        .get::<Customer>(Some(caller.tenant), &id)
        .await?
        .ok_or_else(|| no_such("customer"))?;
    Ok(Json(CustomerShape::of(&found)))
}

/// Changes a customer.
#[utoipa::path(post, path = "/v1/customers/{id}", tag = "customers", request_body = CustomerBody, params(("id" = String, Path)),
    responses((status = 200, description = "Changed", body = CustomerShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: CustomerBody = call.read()?;
    body.check()?;
    let changed = doors
        .directory
        .change_once::<Customer>(call.caller.tenant, &id, call.key.clone(), |customer| {
            body.put_into(customer)
        })
        .await?;
    Ok(changed_answer(changed.replayed, CustomerShape::of(&changed.document)))
}

/// Removes a customer. Orders keep its id.
#[utoipa::path(delete, path = "/v1/customers/{id}", tag = "customers", params(("id" = String, Path)),
    responses((status = 200, description = "As it was", body = CustomerShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn delete(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CustomerShape>, Problem> {
    caller.may(Scope::Manage)?;
    Ok(Json(CustomerShape::of(
        &doors.directory.remove::<Customer>(Some(caller.tenant), &id).await?,
    )))
}

/// A customer of this tenant, or a problem that names the member.
pub(super) async fn customer_of(doors: &Doors, tenant: Tenant, id: CustomerId) -> Result<Customer, Problem> {
    let found = doors.directory.get::<Customer>(Some(tenant), &id.to_string()).await?;
    found.ok_or_else(|| Problem::new("invalid_value", format!("there is no customer {id}")).at("customer"))
}

impl CustomerBody {
    fn check(&self) -> Result<(), Problem> {
        optional("name", self.name.as_ref(), 256)?;
        optional("email", self.email.as_ref(), EMAIL_CHARS_MAX)?;
        is_email(self.email.as_ref())?;
        optional("phone", self.phone.as_ref(), 32)?;
        optional_prose("description", self.description.as_ref(), 500)?;
        if let Some(metadata) = &self.metadata {
            pairs("metadata", metadata)?;
        }
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
