//! `/v1/customers`: customers of the directory.

use axum::extract::{Path, State};
use florin_core::id::CustomerId;
use florin_services::directory::{Customer, Method, Scope};

use super::asking::{finish, read_out, was_asked};
use super::expand::Shown;
use super::gate::{Answer, Get, Post};
use super::lists::{self, Documents, Page};
use super::params::{ADDRESS, Field, Given, Kind, LIST, SHIPPING, TEXT_CHARS_MAX, may};
use super::reader::Reader;
use super::shape;
use super::wrong::Wrong;
use super::{Door, ids, methods};

const FIELDS: &[Field] = &[
    may("address", Kind::Object(ADDRESS)),
    may("description", Kind::Prose(TEXT_CHARS_MAX)),
    may("email", Kind::Text),
    may("metadata", Kind::Metadata),
    may("name", Kind::Short(256)),
    may("phone", Kind::Short(64)),
    may("preferred_locales", Kind::List(&Kind::Short(16))),
    may("shipping", Kind::Object(SHIPPING)),
];
const FILTER: &[Field] = &[may("created", Kind::Range), may("email", Kind::Short(512))];
/// Methods that are detached when their customer is deleted; a customer with more keeps them where nobody finds them.
const METHODS_MAX: u32 = 500;

fn none(id: &str) -> Wrong {
    Wrong::missing("customer", id).at("customer")
}

/// A customer that exists, named by a parameter.
pub(super) async fn named(reader: &Reader<'_>, param: &str, id: &str) -> Result<CustomerId, Wrong> {
    let missing = || Wrong::missing_at(param, "customer", id);
    let named = ids::customer_of(id).ok_or_else(missing)?;
    reader
        .get::<Customer>(&named.to_string())
        .await?
        .map(|customer| customer.id)
        .ok_or_else(missing)
}

pub(super) async fn create(State(door): State<Door>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Manage, &[FIELDS], Shown::One("customer"))?;
    let reader = Reader::new(&door, caller.tenant);
    let directory = &door.doors.directory;
    let mut customer = Customer {
        id: CustomerId::from_uuid(directory.new_uuid()),
        name: None,
        email: None,
        phone: None,
        description: None,
        metadata: Default::default(),
        door: Default::default(),
        created_at: directory.now(),
    };
    if let Err(wrong) = change(&given, &mut customer)
        && !was_asked(&reader, key.as_ref()).await?
    {
        return Err(wrong);
    }
    let made = directory.make(Some(caller.tenant), customer, key).await?;
    Ok(finish(
        &reader,
        shape::customer::shape(&made.document, reader.mode()),
        &given,
        made.replayed,
    )
    .await)
}

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("customer"))?;
    let reader = Reader::new(&door, caller.tenant);
    let customer = reader.customer(&id).await?.ok_or_else(|| none(&id))?;
    read_out(&reader, customer, &given).await
}

pub(super) async fn update(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, _, given) = post.read(Scope::Manage, &[FIELDS], Shown::One("customer"))?;
    let reader = Reader::new(&door, caller.tenant);
    let named = named(&reader, "customer", &id).await.map_err(|_| none(&id))?;
    let changed = |customer: &mut Customer| change(&given, customer);
    let customer = door
        .doors
        .directory
        .change_if(Some(caller.tenant), &named.to_string(), changed)
        .await?;
    Ok(finish(&reader, shape::customer::shape(&customer, reader.mode()), &given, false).await)
}

pub(super) async fn delete(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, _, _) = post.read(Scope::Manage, &[], Shown::One("customer"))?;
    let reader = Reader::new(&door, caller.tenant);
    let named = named(&reader, "customer", &id).await.map_err(|_| none(&id))?;
    let (directory, tenant) = (&door.doors.directory, Some(caller.tenant));
    for method in directory
        .list::<Method>(tenant, Some(&named.to_string()), None, METHODS_MAX)
        .await?
    {
        directory
            .change(tenant, &method.id.to_string(), methods::take_off)
            .await?;
    }
    directory.remove::<Customer>(tenant, &named.to_string()).await?;
    Ok(shape::customer::deleted(&id, "customer").into())
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER], Shown::List("customer"))?;
    let reader = Reader::new(&door, caller.tenant);
    let (page, mode, email) = (Page::of(&given)?, reader.mode(), given.owned("email"));
    let shape = |customer: &Customer| {
        let wanted = email.is_none() || customer.email == email;
        wanted.then(|| shape::customer::shape(customer, mode))
    };
    let (data, more) = lists::of_documents(
        &reader,
        &page,
        Documents::default().with("email", &email),
        |id| ids::customer_of(id).map(|id| id.to_string()),
        shape,
    )
    .await?;
    read_out(&reader, shape::list("/v1/customers", data, more), &given).await
}

fn change(given: &Given, customer: &mut Customer) -> Result<(), Wrong> {
    given.change_text("name", &mut customer.name);
    given.change_email("email", &mut customer.email)?;
    given.change_text("phone", &mut customer.phone);
    given.change_text("description", &mut customer.description);
    given.change_metadata("metadata", &mut customer.metadata)?;
    for name in ["address", "preferred_locales", "shipping"] {
        match given.value(name) {
            Some(value) if value.is_null() => drop(customer.door.remove(name)),
            Some(value) => drop(customer.door.insert(name.to_owned(), value.clone())),
            None => {}
        }
    }
    Ok(())
}
