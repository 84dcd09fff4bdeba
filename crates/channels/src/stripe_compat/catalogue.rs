//! `/v1/products` and `/v1/prices`: what sessions can name instead of writing it into each line.

use axum::extract::{Path, State};
use florin_services::directory::{DirectoryError, Document, Scope};
use florin_store::{Name, Which};

use super::asking::{finish, read_out, refuse_other_body, was_asked};
use super::expand::Shown;
use super::gate::{Answer, Get, Post, part_of};
use super::lists::{self, Documents, Page};
use super::params::{Field, Given, Kind, LIST, TEXT_CHARS_MAX, may, must};
use super::reader::Reader;
use super::shape::price::{self, Price, Recurring};
use super::shape::product::Product;
use super::shape::{customer, list};
use super::wrong::Wrong;
use super::{Door, ids, money};

const FEATURE: Kind = Kind::List(&Kind::Object(&[must("name", Kind::Short(80))]));
const PRODUCT: &[Field] = &[
    may("active", Kind::Bool),
    may("description", Kind::Prose(TEXT_CHARS_MAX)),
    may("images", Kind::List(&Kind::Url)),
    may("marketing_features", FEATURE),
    may("metadata", Kind::Metadata),
    may("shippable", Kind::Bool),
    may("statement_descriptor", Kind::Short(22)),
    may("unit_label", Kind::Short(12)),
    may("url", Kind::Url),
];
const NEW_PRODUCT: &[Field] = &[
    must("name", Kind::Short(250)),
    may("type", Kind::Word(&["good", "service"])),
];
const CHANGED_PRODUCT: &[Field] = &[may("name", Kind::Short(250)), may("default_price", Kind::Text)];
const PRODUCTS: &[Field] = &[
    may("active", Kind::Bool),
    may("created", Kind::Range),
    may("ids", Kind::List(&Kind::Text)),
];

const RECURRING: &[Field] = &[
    must("interval", Kind::Word(&["day", "week", "month", "year"])),
    may("interval_count", Kind::Integer(1)),
    may("usage_type", Kind::Word(&["licensed"])),
];
const PRICE: &[Field] = &[
    may("active", Kind::Bool),
    may("lookup_key", Kind::Short(200)),
    may("transfer_lookup_key", Kind::Bool),
    may("metadata", Kind::Metadata),
    may("nickname", Kind::Text),
    may("tax_behavior", Kind::Word(&["exclusive", "inclusive", "unspecified"])),
];
const PRODUCT_DATA: &[Field] = &[
    must("name", Kind::Short(250)),
    may("active", Kind::Bool),
    may("metadata", Kind::Metadata),
    may("statement_descriptor", Kind::Short(22)),
    may("unit_label", Kind::Short(12)),
];
const NEW_PRICE: &[Field] = &[
    must("currency", Kind::Currency),
    must("unit_amount", Kind::Integer(0)),
    may("billing_scheme", Kind::Word(&["per_unit"])),
    may("product", Kind::Text),
    may("product_data", Kind::Object(PRODUCT_DATA)),
    may("recurring", Kind::Object(RECURRING)),
];
const PRICES: &[Field] = &[
    may("active", Kind::Bool),
    may("created", Kind::Range),
    may("currency", Kind::Currency),
    may("lookup_keys", Kind::List(&Kind::Text)),
    may("product", Kind::Text),
    may("type", Kind::Word(&["one_time", "recurring"])),
];

// ---- products -------------------------------------------------------------------------------------------------------------------

fn no_product(id: &str) -> Wrong {
    Wrong::missing("product", id).at("id")
}

pub(super) async fn create_product(State(door): State<Door>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Manage, &[PRODUCT, NEW_PRODUCT], Shown::One("product"))?;
    let reader = Reader::new(&door, caller.tenant);
    let made = door
        .doors
        .directory
        .make(Some(caller.tenant), new_product(&door, &given)?, key)
        .await?;
    Ok(finish(&reader, made.document.shape(reader.mode()), &given, made.replayed).await)
}

pub(super) async fn retrieve_product(
    State(door): State<Door>,
    Path(id): Path<String>,
    get: Get,
) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("product"))?;
    let reader = Reader::new(&door, caller.tenant);
    // A deleted product is shown where something still names it, and nowhere else.
    let product = reader
        .product(&id)
        .await?
        .filter(|product| product.get("deleted").is_none());
    read_out(&reader, product.ok_or_else(|| no_product(&id))?, &given).await
}

pub(super) async fn update_product(
    State(door): State<Door>,
    Path(id): Path<String>,
    post: Post,
) -> Result<Answer, Wrong> {
    let (caller, _, given) = post.read(Scope::Manage, &[PRODUCT, CHANGED_PRODUCT], Shown::One("product"))?;
    let reader = Reader::new(&door, caller.tenant);
    reader.get::<Product>(&id).await?.ok_or_else(|| no_product(&id))?;
    if let Some(price) = given.text("default_price") {
        let price_of = reader.get::<Price>(price).await?.filter(|price| price.product == id);
        price_of.ok_or_else(|| Wrong::missing_at("default_price", "price", price))?;
    }
    let now = door.doors.directory.now();
    let changed = |product: &mut Product| -> Result<(), Wrong> {
        change_product(&given, product)?;
        product.updated_at = now;
        Ok(())
    };
    let product = door
        .doors
        .directory
        .change_if(Some(caller.tenant), &id, changed)
        .await?;
    Ok(finish(&reader, product.shape(reader.mode()), &given, false).await)
}

pub(super) async fn delete_product(
    State(door): State<Door>,
    Path(id): Path<String>,
    post: Post,
) -> Result<Answer, Wrong> {
    let (caller, _, _) = post.read(Scope::Manage, &[], Shown::One("product"))?;
    let reader = Reader::new(&door, caller.tenant);
    reader.get::<Product>(&id).await?.ok_or_else(|| no_product(&id))?;
    let prices = door
        .doors
        .directory
        .list::<Price>(Some(caller.tenant), Some(&id), None, 1)
        .await?;
    if !prices.is_empty() {
        let message = "This product cannot be deleted because it has one or more user-created prices. Archive it instead: active=false.";
        return Err(Wrong::invalid(message));
    }
    door.doors.directory.remove::<Product>(Some(caller.tenant), &id).await?;
    Ok(customer::deleted(&id, "product").into())
}

pub(super) async fn list_products(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, PRODUCTS], Shown::List("product"))?;
    let reader = Reader::new(&door, caller.tenant);
    let (mode, active, named) = (reader.mode(), given.flag("active"), given.texts("ids"));
    let shape = |product: &Product| {
        let wanted =
            active.is_none_or(|active| product.active == active) && (named.is_empty() || named.contains(&product.id));
        wanted.then(|| product.shape(mode))
    };
    let documents = Documents::default().with("active", active).with("id", &named);
    let id_of = |id: &str| Some(id.to_owned());
    let (data, more) = lists::of_documents(&reader, &Page::of(&given)?, documents, id_of, shape).await?;
    read_out(&reader, list("/v1/products", data, more), &given).await
}

fn new_product(door: &Door, given: &Given) -> Result<Product, Wrong> {
    let directory = &door.doors.directory;
    let now = directory.now();
    let mut product = Product {
        id: ids::document("prod", directory.new_uuid()),
        active: true,
        created_at: now,
        updated_at: now,
        ..Product::default()
    };
    change_product(given, &mut product)?;
    Ok(product)
}

fn change_product(given: &Given, product: &mut Product) -> Result<(), Wrong> {
    if let Some(name) = given.owned("name") {
        product.name = name;
    }
    product.active = given.flag("active").unwrap_or(product.active);
    product.shippable = given.flag("shippable").or(product.shippable);
    given.change_text("description", &mut product.description);
    given.change_text("default_price", &mut product.default_price);
    given.change_text("statement_descriptor", &mut product.statement_descriptor);
    given.change_text("unit_label", &mut product.unit_label);
    given.change_text("url", &mut product.url);
    given.change_metadata("metadata", &mut product.metadata)?;
    if given.has("images") {
        product.images = given.texts("images");
    }
    if given.has("marketing_features") {
        let features = given.tables("marketing_features");
        product.features = features.iter().filter_map(|feature| feature.owned("name")).collect();
    }
    Ok(())
}

// ---- prices ---------------------------------------------------------------------------------------------------------------------

fn no_price(id: &str) -> Wrong {
    Wrong::missing("price", id).at("price")
}

pub(super) async fn create_price(State(door): State<Door>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Manage, &[PRICE, NEW_PRICE], Shown::One("price"))?;
    let reader = Reader::new(&door, caller.tenant);
    let directory = &door.doors.directory;
    if let Err(wrong) = charged(&given)
        && !was_asked(&reader, key.as_ref()).await?
    {
        return Err(wrong);
    }
    refuse_other_body(&reader, key.as_ref()).await?;
    let product = match (given.text("product"), given.table("product_data")) {
        (Some(id), None) => {
            let known: Option<Product> = reader.get(id).await?;
            known.ok_or_else(|| Wrong::missing_at("product", "product", id))?.id
        }
        (None, Some(data)) => {
            let made = directory
                .make(
                    Some(caller.tenant),
                    new_product(&door, &data)?,
                    part_of(key.as_ref(), "product"),
                )
                .await?;
            let id = made.document.id;
            // Made by this call when it came before, and removed since: then it has no price.
            if made.replayed && reader.get::<Product>(&id).await?.is_none() {
                return Err(no_product(&id));
            }
            id
        }
        (_, _) => {
            let message = "You must specify either `product` or `product_data` when creating a price.";
            return Err(Wrong::invalid(message).code("parameter_missing").at("product"));
        }
    };
    let recurring = given.table("recurring").map(|recurring| Recurring {
        interval: recurring.owned("interval").unwrap_or_default(),
        interval_count: recurring.integer("interval_count").unwrap_or(1),
    });
    let mut price = Price {
        id: ids::document("price", directory.new_uuid()),
        tenant: Some(caller.tenant),
        product,
        active: true,
        currency: given.owned("currency").unwrap_or_default(),
        unit_amount: given.integer("unit_amount").unwrap_or_default(),
        recurring,
        created_at: directory.now(),
        ..Price::default()
    };
    change_price(&given, &mut price)?;
    let made = match directory.make(Some(caller.tenant), price.clone(), key.clone()).await {
        // The lookup key is another price's. Asked for afterwards, so that a call that comes again finds the price that it made.
        Err(moved @ DirectoryError::Moved(_)) => match holder(&reader, &given, &price.id).await? {
            Some(holder) => {
                let free = freeing(&given);
                directory.make_from(caller.tenant, price, key, &holder, free).await
            }
            None => Err(moved),
        },
        made => made,
    }?;
    Ok(finish(&reader, made.document.shape(reader.mode()), &given, made.replayed).await)
}

/// Whether Stripe takes what a new price says. A price may be nothing.
fn charged(given: &Given) -> Result<(), Wrong> {
    let currency = given.currency("currency").ok_or_else(Wrong::ours)?;
    money::taken(currency, "currency")?;
    match given.integer("unit_amount") {
        Some(unit) if unit > 0 => money::read(unit, currency, "unit_amount").map(drop),
        Some(_) | None => Ok(()),
    }
}

/// The price that has the lookup key which is given, if it is another one than this and the caller wants to take it over; if not, the call is
/// refused.
async fn holder(reader: &Reader<'_>, given: &Given, id: &str) -> Result<Option<String>, Wrong> {
    let Some(key) = given.text("lookup_key") else {
        return Ok(None);
    };
    let which = Which {
        kind: Price::KIND.to_owned(),
        tenant: Some(reader.tenant),
        name: Name::Alias(price::alias(reader.tenant, key)),
    };
    let holder = reader.door.doors.store.get(&which).await?;
    let Some(holder) = holder.map(|record| record.id).filter(|holder| holder != id) else {
        return Ok(None);
    };
    if given.flag("transfer_lookup_key") != Some(true) {
        let message = format!("A price (`{holder}`) already uses that lookup key.");
        return Err(Wrong::invalid(message).at("lookup_key"));
    }
    Ok(Some(holder))
}

/// Takes the lookup key that is given off a price.
fn freeing(given: &Given) -> impl Fn(&mut Price) + Sync {
    let key = given.text("lookup_key");
    move |price: &mut Price| {
        if price.lookup_key.as_deref() == key {
            price.lookup_key = None;
        }
    }
}

pub(super) async fn retrieve_price(
    State(door): State<Door>,
    Path(id): Path<String>,
    get: Get,
) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("price"))?;
    let reader = Reader::new(&door, caller.tenant);
    let price = reader.price(&id).await?.ok_or_else(|| no_price(&id))?;
    read_out(&reader, price, &given).await
}

pub(super) async fn update_price(
    State(door): State<Door>,
    Path(id): Path<String>,
    post: Post,
) -> Result<Answer, Wrong> {
    let (caller, _, given) = post.read(Scope::Manage, &[PRICE], Shown::One("price"))?;
    let reader = Reader::new(&door, caller.tenant);
    let mut known = reader.get::<Price>(&id).await?.ok_or_else(|| no_price(&id))?;
    change_price(&given, &mut known)?; // before the key is taken off another one
    let holder = holder(&reader, &given, &id).await?;
    let changed = |price: &mut Price| {
        price.tenant = Some(caller.tenant);
        change_price(&given, price)
    };
    let directory = &door.doors.directory;
    let price = match &holder {
        Some(holder) => {
            let free = freeing(&given);
            directory.change_from(caller.tenant, &id, changed, holder, free).await?
        }
        None => directory.change_if(Some(caller.tenant), &id, changed).await?,
    };
    Ok(finish(&reader, price.shape(reader.mode()), &given, false).await)
}

pub(super) async fn list_prices(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, PRICES], Shown::List("price"))?;
    let reader = Reader::new(&door, caller.tenant);
    let (mode, keys) = (reader.mode(), given.texts("lookup_keys"));
    let shape = |price: &Price| {
        let object = price.shape(mode);
        let named = keys.is_empty() || price.lookup_key.as_ref().is_some_and(|key| keys.contains(key));
        let same = |name: &str| given.text(name).is_none_or(|wanted| object[name] == wanted);
        let wanted = named
            && given.flag("active").is_none_or(|active| price.active == active)
            && same("currency")
            && same("type");
        wanted.then_some(object)
    };
    let id_of = |id: &str| Some(id.to_owned());
    let documents = Documents::from(given.text("product"))
        .with("lookup_key", &keys)
        .with("active", given.flag("active"))
        .with("currency", given.text("currency"));
    let (data, more) = lists::of_documents(&reader, &Page::of(&given)?, documents, id_of, shape).await?;
    read_out(&reader, list("/v1/prices", data, more), &given).await
}

fn change_price(given: &Given, price: &mut Price) -> Result<(), Wrong> {
    price.active = given.flag("active").unwrap_or(price.active);
    given.change_text("nickname", &mut price.nickname);
    given.change_text("lookup_key", &mut price.lookup_key);
    given.change_text("tax_behavior", &mut price.tax_behavior);
    given.change_metadata("metadata", &mut price.metadata)
}
