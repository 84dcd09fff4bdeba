//! `/v1/payment_methods`: stored methods of the directory, made of Stripe's published test tokens. A card number is never taken here.

use axum::extract::{Path, State};
use florin_core::id::{CustomerId, MethodId, OrderId};
use florin_core::time::Timestamp;
use florin_services::directory::{Customer, Method, Scope};
use florin_store::{IdemKey, Mode};
use serde_json::{Value, json};

use super::asking::{finish, read_out, was_asked};
use super::cards::{self, Card, Undue};
use super::expand::Shown;
use super::gate::{Answer, Get, Post, part_of};
use super::lists::{self, Page};
use super::params::{ADDRESS, Field, Given, Kind, LIST, is_email, may, must};
use super::reader::Reader;
use super::shape;
use super::wrong::{Kind as WrongKind, Wrong};
use super::{Door, ids};

const BILLING: &[Field] = &[
    may("address", Kind::Object(ADDRESS)),
    may("email", Kind::Text),
    may("name", Kind::Short(256)),
    may("phone", Kind::Short(64)),
];
const REDISPLAY: Kind = Kind::Word(&["always", "limited", "unspecified"]);
const CREATE: &[Field] = &[
    may("allow_redisplay", REDISPLAY),
    may("billing_details", Kind::Object(BILLING)),
    must("card", Kind::Object(&[must("token", Kind::Text)])),
    may("metadata", Kind::Metadata),
    must("type", Kind::Word(&["card"])),
];
const UPDATE: &[Field] = &[
    may("allow_redisplay", REDISPLAY),
    may("billing_details", Kind::Object(BILLING)),
    may(
        "card",
        Kind::Object(&[
            may("exp_month", Kind::Integer(1)),
            may("exp_year", Kind::Integer(2_000)),
        ]),
    ),
    may("metadata", Kind::Metadata),
];
const ATTACH: &[Field] = &[must("customer", Kind::Text)];
const FILTER: &[Field] = &[
    may("customer", Kind::Text),
    may("type", Kind::Word(&["card"])),
    may("allow_redisplay", REDISPLAY),
];

fn none(id: &str) -> Wrong {
    Wrong::missing("PaymentMethod", id).at("payment_method")
}

/// The engine's name of a method that a call names: a stored one of this customer, or a test card.
pub(super) async fn choose(
    reader: &Reader<'_>,
    param: &str,
    id: &str,
    customer: Option<CustomerId>,
) -> Result<String, Wrong> {
    if let Some(stored) = ids::method_of(id) {
        let method: Option<Method> = reader.get(&stored.to_string()).await?;
        let method = method.ok_or_else(|| Wrong::missing_at(param, "PaymentMethod", id))?;
        return match (method.customer, customer) {
            (Some(of), Some(given)) if of != given => Err(Wrong::invalid(format!(
                "The customer does not have a payment method with the ID {id}. The payment method must be attached to the customer."
            ))
            .at(param)),
            (Some(_), None) => Err(Wrong::invalid(format!(
                "The PaymentMethod {id} you provided is attached to a customer so for security purposes you must provide the customer in \
                 the request."
            ))
            .at("customer")),
            (None, _) if is_spent(&method) => Err(spent().at(param)),
            (Some(_) | None, _) => Ok(stored.to_string()),
        };
    }
    if ids::part_of("pm", id).is_some() {
        return Err(spent().at(param));
    }
    test_card(reader, id)
        .map(|card| card.name.to_owned())
        .ok_or_else(|| Wrong::missing_at(param, "PaymentMethod", id))
}

/// What a method is to pay: an order, in a call that may come again under its key before the order is there.
#[derive(Clone, Copy)]
pub(super) struct Purpose<'a> {
    pub(super) order: OrderId,
    pub(super) key: Option<&'a IdemKey>,
}

impl Purpose<'_> {
    fn names(self) -> Vec<String> {
        let call = part_of(self.key, USED).map(|part| part.key);
        [Some(self.order.to_string()), call].into_iter().flatten().collect()
    }
}

/// What a method that paid without a customer is marked with: what it paid.
const USED: &str = "used";

/// As [`choose`], for a payment that is made now, if there is a purpose. A method that belongs to nobody pays one order and no other.
pub(super) async fn take(
    reader: &Reader<'_>,
    param: &str,
    id: &str,
    customer: Option<CustomerId>,
    purpose: Option<Purpose<'_>>,
) -> Result<String, Wrong> {
    let chosen = choose(reader, param, id, customer).await?;
    let (Some(stored), Some(purpose)) = (ids::method_of(id), purpose) else {
        return Ok(chosen);
    };
    let names = purpose.names();
    let is_used_for = |method: &Method| -> Option<bool> {
        let used: Vec<String> = serde_json::from_value(method.door.get(USED)?.clone()).ok()?;
        Some(used.iter().any(|name| names.contains(name)))
    };
    let method: Option<Method> = reader.get(&stored.to_string()).await?;
    let Some(method) = method else {
        return Ok(chosen); // it went away meanwhile: the engine says so
    };
    match method.customer {
        Some(of) if customer == Some(of) => return Ok(chosen), // a customer's own pays again and again
        Some(_) => return Err(spent().at(param)),              // attached meanwhile
        None => {}
    }
    match is_used_for(&method) {
        Some(true) => return Ok(chosen),
        Some(false) => return Err(spent().at(param)),
        None => {}
    }
    let mark = |method: &mut Method| match is_used_for(method) {
        Some(false) => Err(spent().at(param)),
        None if method.customer.is_some() || is_spent(method) => Err(spent().at(param)), // attached or taken off meanwhile
        Some(true) | None => {
            method.door.insert(USED.to_owned(), json!(names));
            Ok(())
        }
    };
    let directory = &reader.door.doors.directory;
    directory
        .change_if::<Method, Wrong>(Some(reader.tenant), &stored.to_string(), mark)
        .await?;
    Ok(chosen)
}

/// Frees a method that [`take`] marked for a new order which was refused: without the order nothing is paid with it. Only the mark of this very
/// order goes, so what a twin of the call has begun stays begun.
pub(super) async fn give_back(reader: &Reader<'_>, id: &str, purpose: Purpose<'_>) -> Result<(), Wrong> {
    let Some(stored) = ids::method_of(id) else {
        return Ok(());
    };
    let order = json!(purpose.order.to_string());
    let free = |method: &mut Method| {
        let used = method.door.get(USED).and_then(Value::as_array);
        if used.is_some_and(|names| names.contains(&order)) {
            method.door.remove(USED);
        }
    };
    let directory = &reader.door.doors.directory;
    directory.change(Some(reader.tenant), &stored.to_string(), free).await?;
    Ok(())
}

/// What a method that was taken from its customer is marked with.
const DETACHED: &str = "detached";

/// Takes a method from its customer, for good.
pub(super) fn take_off(method: &mut Method) {
    method.customer = None;
    method.door.insert(DETACHED.to_owned(), true.into());
}

fn is_spent(method: &Method) -> bool {
    method.door.contains_key(DETACHED)
}

/// Who was taken from a customer, or paid without one, pays no more.
fn spent() -> Wrong {
    Wrong::invalid(
        "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a connected account \
         without Customer attachment, or was detached from a Customer. It may not be used again.",
    )
}

/// A test card by Stripe's name of its payment method; in live mode there is none.
fn test_card(reader: &Reader<'_>, id: &str) -> Option<Card> {
    let card = cards::named(reader.door.kind.cards(), id)?;
    (reader.mode() == Mode::Test && id.starts_with("pm_card_")).then_some(card)
}

pub(super) async fn create(State(door): State<Door>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Manage, &[CREATE], Shown::One("payment_method"))?;
    let reader = Reader::new(&door, caller.tenant);
    let token = given
        .table("card")
        .and_then(|card| card.owned("token"))
        .unwrap_or_default();
    let card =
        cards::named(door.kind.cards(), &token).filter(|_| reader.mode() == Mode::Test && token.starts_with("tok_"));
    let card = card.ok_or_else(|| Wrong::missing_at("card[token]", "token", &token))?;
    let mut method = of_card(&door, &reader, card);
    if let Err(wrong) = change(&given, &mut method)
        && !was_asked(&reader, key.as_ref()).await?
    {
        return Err(wrong);
    }
    let made = door.doors.directory.make(Some(caller.tenant), method, key).await?;
    Ok(finish(&reader, shape(&made.document, &reader), &given, made.replayed).await)
}

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("payment_method"))?;
    let reader = Reader::new(&door, caller.tenant);
    let method = reader.method(&id).await?.ok_or_else(|| none(&id))?;
    read_out(&reader, method, &given).await
}

pub(super) async fn update(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, _, given) = post.read(Scope::Manage, &[UPDATE], Shown::One("payment_method"))?;
    let reader = Reader::new(&door, caller.tenant);
    let stored = stored(&reader, &id).await?;
    let now = door.doors.engine.now();
    let changed = |method: &mut Method| {
        dated(&given, method, now)?;
        change(&given, method)
    };
    let method = door
        .doors
        .directory
        .change_if(Some(caller.tenant), &stored.id.to_string(), changed)
        .await?;
    Ok(finish(&reader, shape(&method, &reader), &given, false).await)
}

pub(super) async fn attach(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Manage, &[ATTACH], Shown::One("payment_method"))?;
    let reader = Reader::new(&door, caller.tenant);
    let customer = super::customers::named(&reader, "customer", given.text("customer").unwrap_or_default()).await?;
    let directory = &door.doors.directory;
    // The name of a test card stands for a new method each time.
    if let Some(card) = test_card(&reader, &id) {
        let method = Method {
            customer: Some(customer),
            ..of_card(&door, &reader, card)
        };
        let made = directory.make(Some(caller.tenant), method, key).await?;
        still_there(&reader, customer, &made.document).await?;
        return Ok(finish(&reader, shape(&made.document, &reader), &given, made.replayed).await);
    }
    let stored = stored(&reader, &id).await?;
    let attached = |method: &mut Method| {
        if method.customer.is_some_and(|of| of != customer) {
            let message = "The payment method you provided has already been attached to a customer.";
            return Err(Wrong::invalid(message));
        }
        if is_spent(method) || method.door.contains_key(USED) {
            return Err(spent().at("payment_method"));
        }
        method.customer = Some(customer);
        Ok(())
    };
    let method = directory
        .change_if(Some(caller.tenant), &stored.id.to_string(), attached)
        .await?;
    still_there(&reader, customer, &method).await?;
    Ok(finish(&reader, shape(&method, &reader), &given, false).await)
}

/// A customer who was deleted while a method was attached to them keeps none.
async fn still_there(reader: &Reader<'_>, customer: CustomerId, method: &Method) -> Result<(), Wrong> {
    let gone = reader.get::<Customer>(&customer.to_string()).await?.is_none();
    if gone {
        let directory = &reader.door.doors.directory;
        directory
            .change(Some(reader.tenant), &method.id.to_string(), take_off)
            .await?;
        return Err(Wrong::missing_at("customer", "customer", &customer.to_string()));
    }
    Ok(())
}

pub(super) async fn detach(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Manage, &[], Shown::One("payment_method"))?;
    let reader = Reader::new(&door, caller.tenant);
    let stored = stored(&reader, &id).await?;
    if stored.customer.is_none() && !was_asked(&reader, key.as_ref()).await? {
        let message = "The payment method you provided is not attached to a customer so detachment is impossible.";
        return Err(Wrong::invalid(message));
    }
    let directory = &door.doors.directory;
    let off = directory
        .change_once(caller.tenant, &stored.id.to_string(), key, take_off)
        .await?;
    Ok(finish(&reader, shape(&off.document, &reader), &given, off.replayed).await)
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER], Shown::List("payment_method"))?;
    let reader = Reader::new(&door, caller.tenant);
    let customer = match given.text("customer") {
        None => None,
        Some(id) => Some(super::customers::named(&reader, "customer", id).await?),
    };
    page(&reader, &given, "/v1/payment_methods", customer).await
}

pub(super) async fn list_of_customer(
    State(door): State<Door>,
    Path(id): Path<String>,
    get: Get,
) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER], Shown::List("payment_method"))?;
    let reader = Reader::new(&door, caller.tenant);
    let customer = super::customers::named(&reader, "customer", &id).await?;
    page(
        &reader,
        &given,
        &format!("/v1/customers/{id}/payment_methods"),
        Some(customer),
    )
    .await
}

pub(super) async fn retrieve_of_customer(
    State(door): State<Door>,
    Path((customer, id)): Path<(String, String)>,
    get: Get,
) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("payment_method"))?;
    let reader = Reader::new(&door, caller.tenant);
    let customer = super::customers::named(&reader, "customer", &customer).await?;
    let stored = stored(&reader, &id).await?;
    if stored.customer != Some(customer) {
        return Err(none(&id));
    }
    read_out(&reader, shape(&stored, &reader), &given).await
}

async fn page(reader: &Reader<'_>, given: &Given, url: &str, customer: Option<CustomerId>) -> Result<Answer, Wrong> {
    let page = Page::of(given)?;
    let parent = customer.map(|customer| customer.to_string());
    let redisplay = given.text("allow_redisplay");
    let object = |method: &Method| {
        let object = shape(method, reader);
        redisplay
            .is_none_or(|wanted| object["allow_redisplay"] == wanted)
            .then_some(object)
    };
    let id_of = |id: &str| ids::method_of(id).map(|id| id.to_string());
    let (data, more) = lists::of_documents(reader, &page, parent.as_deref(), id_of, object).await?;
    read_out(reader, shape::list(url, data, more), given).await
}

async fn stored(reader: &Reader<'_>, id: &str) -> Result<Method, Wrong> {
    let named = ids::method_of(id).ok_or_else(|| none(id))?;
    reader.get(&named.to_string()).await?.ok_or_else(|| none(id))
}

fn shape(method: &Method, reader: &Reader<'_>) -> Value {
    shape::method::shape(method, reader.scene(), reader.mode())
}

/// A stored method over a test card.
fn of_card(door: &Door, reader: &Reader<'_>, card: Card) -> Method {
    let directory = &door.doors.directory;
    let rail = directory
        .default_connection(reader.tenant)
        .map_or_else(|| "stripe".to_owned(), |connection| connection.rail.clone());
    Method {
        id: MethodId::from_uuid(directory.new_uuid()),
        customer: None,
        rail,
        token: card.name.to_owned(),
        brand: card.brand.to_owned(),
        last4: card.last4.to_owned(),
        exp_month: cards::EXPIRES.0,
        exp_year: cards::EXPIRES.1,
        door: Default::default(),
        created_at: directory.now(),
    }
}

/// A date that a caller changes is one of a card that is valid, together with the half that stays.
fn dated(given: &Given, method: &Method, now: Timestamp) -> Result<(), Wrong> {
    let card = given.table("card").unwrap_or_default();
    let (month, year) = (card.integer("exp_month"), card.integer("exp_year"));
    if month.is_none() && year.is_none() {
        return Ok(());
    }
    let month = month.unwrap_or(method.exp_month.into());
    let (what, code, param) = match cards::valid(month, year.unwrap_or(method.exp_year.into()), now) {
        Ok(()) => return Ok(()),
        Err(Undue::Month) => ("month", "invalid_expiry_month", "card[exp_month]"),
        Err(Undue::Year) => ("year", "invalid_expiry_year", "card[exp_year]"),
    };
    let message = format!("Your card's expiration {what} is invalid.");
    Err(Wrong::new(402, WrongKind::Card, message).code(code).at(param))
}

fn change(given: &Given, method: &mut Method) -> Result<(), Wrong> {
    let billing = given.table("billing_details").unwrap_or_default();
    if let Some(email) = billing.text("email") {
        is_email(email, "billing_details[email]")?;
    }
    if let Some(billing) = given.value("billing_details") {
        let kept = method
            .door
            .entry("billing_details".to_owned())
            .or_insert_with(|| json!({}));
        merge(kept, billing);
    }
    if let Some(word) = given.value("allow_redisplay") {
        method.door.insert("allow_redisplay".to_owned(), word.clone());
    }
    if given.has("metadata") {
        let kept = method.door.get("metadata").cloned().unwrap_or_default();
        let mut metadata = serde_json::from_value(kept).unwrap_or_default();
        given.change_metadata("metadata", &mut metadata)?;
        method.door.insert("metadata".to_owned(), json!(metadata));
    }
    let card = given.table("card").unwrap_or_default();
    if let Some(month) = card.integer("exp_month").and_then(|month| u8::try_from(month).ok()) {
        method.exp_month = month;
    }
    if let Some(year) = card.integer("exp_year").and_then(|year| u16::try_from(year).ok()) {
        method.exp_year = year;
    }
    Ok(())
}

/// Members that are given replace those that are kept.
fn merge(kept: &mut Value, given: &Value) {
    match (kept.as_object_mut(), given.as_object()) {
        (Some(members), Some(given)) => {
            for (name, value) in given {
                merge(members.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (_, _) => *kept = given.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_are_not_given_stay() {
        let mut kept = json!({ "name": "J", "address": { "city": "X", "line1": "1" } });
        merge(&mut kept, &json!({ "address": { "city": "Y" }, "name": null }));
        assert_eq!(kept, json!({ "name": null, "address": { "city": "Y", "line1": "1" } }));
    }
}
