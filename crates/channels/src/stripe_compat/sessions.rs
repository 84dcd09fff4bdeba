//! `/v1/checkout/sessions`: orders, paid on a page. And the three routes beside them that Stripe's CLI presses "Pay" with.

use std::sync::Arc;

use axum::extract::{Path, State};
use florin_core::money::{Currency, Money};
use florin_core::order::{Initiator, Kind as OrderKind, Phase};
use florin_core::rail::Line;
use florin_core::time::Timestamp;
use florin_services::ask::{Denied, NewOrder, Pay, What};
use florin_services::directory::{Customer, Scope};
use florin_services::view::View;
use florin_store::Marks;
use serde_json::Value;

use super::asking::{ask, ask_engine, before, describing, finish, read_out, refused, settled, unexpected, was_asked};
use super::expand::Shown;
use super::gate::{Answer, Get, Post};
use super::intents::{back_url, capture_at, fresh, kept, secure};
use super::lists::{self, Orders, Page};
use super::note::{LineNote, SessionNote};
use super::params::{Field, Given, Kind, LIST, SHIPPING, TEXT_CHARS_MAX, is_email, may, must};
use super::reader::Reader;
use super::shape::session::Stands;
use super::shape::{self, Seen};
use super::wrong::Wrong;
use super::{Door, ids, methods, money};

/// How long a page can be paid, if the caller does not say: a day, and no shorter or longer than Stripe allows.
const WINDOW_S: i64 = 24 * 3_600;
const WINDOW_S_MIN: i64 = 30 * 60;
/// How far clocks may differ, and how long a call may be on its way.
const SLACK_S: i64 = 120;

const OFF: Kind = Kind::Object(&[must("enabled", Kind::Bool)]);
const PRODUCT_DATA: &[Field] = &[
    must("name", Kind::Short(250)),
    may("description", Kind::Prose(TEXT_CHARS_MAX)),
    may("images", Kind::List(&Kind::Url)),
    may("metadata", Kind::Metadata),
    may("unit_label", Kind::Short(12)),
];
const PRICE_DATA: &[Field] = &[
    must("currency", Kind::Currency),
    must("unit_amount", Kind::Integer(0)),
    may("product", Kind::Text),
    may("product_data", Kind::Object(PRODUCT_DATA)),
    may("tax_behavior", Kind::Word(&["exclusive", "inclusive", "unspecified"])),
];
const LINE: &[Field] = &[
    may("metadata", Kind::Metadata),
    may("price", Kind::Text),
    may("price_data", Kind::Object(PRICE_DATA)),
    must("quantity", Kind::Integer(1)),
];
const INTENT_DATA: &[Field] = &[
    may(
        "capture_method",
        Kind::Word(&["automatic", "automatic_async", "manual"]),
    ),
    may("description", Kind::Prose(1_000)),
    may("metadata", Kind::Metadata),
    may("receipt_email", Kind::Text),
    may("shipping", Kind::Object(SHIPPING)),
    may("statement_descriptor", Kind::Short(22)),
    may("statement_descriptor_suffix", Kind::Short(22)),
];
const LOCALES: &[&str] = &[
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA", "hr", "hu",
    "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv",
    "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
];
const CREATE: &[Field] = &[
    may("allow_promotion_codes", Kind::Bool),
    may("automatic_tax", OFF),
    may("billing_address_collection", Kind::Word(&["auto"])),
    may("cancel_url", Kind::Url),
    may("client_reference_id", Kind::Short(200)),
    may("currency", Kind::Currency),
    may("customer", Kind::Text),
    may("customer_creation", Kind::Word(&["if_required"])),
    may("customer_email", Kind::Text),
    may("expires_at", Kind::Time),
    may("invoice_creation", OFF),
    must("line_items", Kind::List(&Kind::Object(LINE))),
    may("locale", Kind::Word(LOCALES)),
    may("metadata", Kind::Metadata),
    must("mode", Kind::Word(&["payment"])),
    may("payment_intent_data", Kind::Object(INTENT_DATA)),
    may("payment_method_types", Kind::List(&Kind::Word(&["card"]))),
    may("phone_number_collection", OFF),
    may("submit_type", Kind::Word(&["auto", "book", "donate", "pay"])),
    must("success_url", Kind::Url),
    may("ui_mode", Kind::Word(&["hosted", "hosted_page"])),
];
const UPDATE: &[Field] = &[may("metadata", Kind::Metadata)];
const FILTER: &[Field] = &[
    may("created", Kind::Range),
    may("customer", Kind::Text),
    may("payment_intent", Kind::Text),
    may("status", Kind::Word(&["open", "complete", "expired"])),
];
const CONFIRM: &[Field] = &[
    must("payment_method", Kind::Text),
    must("expected_amount", Kind::Integer(0)),
];

// ---- routes ---------------------------------------------------------------------------------------------------------------------

pub(super) async fn create(State(door): State<Door>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[CREATE], Shown::One("checkout.session"))?;
    let reader = Reader::new(&door, caller.tenant);
    let answered = match draft(&reader, &given).await {
        Ok(order) => {
            let order = Box::new(order);
            ask(&reader, key, What::Create { order, start: None }).await?
        }
        // A price that was put away since says nothing about a session that was made of it.
        Err(wrong) => before(&reader, key.as_ref(), wrong).await?,
    };
    let seen = Seen::new(&answered.order);
    Ok(finish(&reader, session_of(&seen, &reader)?, &given, answered.replayed).await)
}

/// The order that a session is.
async fn draft(reader: &Reader<'_>, given: &Given) -> Result<NewOrder, Wrong> {
    let door = reader.door;
    switched_off(given)?;
    for param in ["success_url", "cancel_url"] {
        secure(reader, given, param)?;
    }
    let (currency, lines) = lines(reader, given).await?;
    let total = total(currency, &lines)?;
    let what = "The Checkout Session's total amount due must add up to";
    money::enough(total, reader.has_least(), what, "line_items")?;
    let now = door.doors.engine.now();
    let intent = given.table("payment_intent_data").unwrap_or_default();
    for (within, name, param) in [
        (given, "customer_email", "customer_email"),
        (&intent, "receipt_email", "payment_intent_data[receipt_email]"),
    ] {
        within.text(name).map_or(Ok(()), |email| is_email(email, param))?;
    }
    let (mut details, mut note) = fresh();
    note.any_method = !given.has("payment_method_types");
    note.capture_method = intent.owned("capture_method");
    note.shipping = intent.value("shipping").filter(|shipping| !shipping.is_null()).cloned();
    note.statement_descriptor = intent.owned("statement_descriptor");
    note.statement_descriptor_suffix = intent.owned("statement_descriptor_suffix");
    let said = [
        "billing_address_collection",
        "customer_creation",
        "locale",
        "submit_type",
    ];
    let said = said
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), given.value(name)?.clone())));
    details.customer = match given.text("customer") {
        None => None,
        Some(id) => Some(super::customers::named(reader, "customer", id).await?),
    };
    let known_email = match details.customer {
        None => None,
        Some(id) => reader
            .get::<Customer>(&id.to_string())
            .await?
            .and_then(|customer| customer.email),
    };
    if details.customer.is_some() && given.text("customer_email").is_some() {
        let message = "You may only specify one of these parameters: customer, customer_email.";
        return Err(Wrong::invalid(message).at("customer"));
    }
    details.description = intent.owned("description");
    details.metadata = intent.metadata("metadata");
    details.email = intent.owned("receipt_email").or_else(|| given.owned("customer_email"));
    details.lines = lines
        .iter()
        .map(|line| {
            let unit = money::read(line.unit_amount, currency, "line_items")?;
            Ok(Line {
                name: line.name.clone(),
                quantity: line.quantity,
                unit,
            })
        })
        .collect::<Result<_, Wrong>>()?;
    let id = door.doors.engine.new_order_id();
    let token = crate::returned::token_of(id);
    // A payer who was sent away comes back to our page first: it says what happened and leads on.
    details.return_url = Some(back_url(door, &token));
    details.cancel_url = given.owned("cancel_url");
    details.page_token = Some(token);
    note.session = Some(SessionNote {
        success_url: given.owned("success_url"),
        cancel_url: given.owned("cancel_url"),
        client_reference_id: given.owned("client_reference_id"),
        customer_email: given.owned("customer_email"),
        known_email,
        metadata: given.metadata("metadata"),
        lines,
        said: said.collect(),
    });
    let capture = capture_at(note.capture_method.as_deref());
    note.keep(&mut details);
    Ok(NewOrder {
        id: Some(id),
        reference: ids::session(id, reader.mode()),
        kind: OrderKind::Payment,
        amount: total,
        capture,
        expires_at: Some(window(given, now)?),
        details: Arc::new(details),
    })
}

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("checkout.session"))?;
    let reader = Reader::new(&door, caller.tenant);
    let view = find(&reader, &id).await?;
    read_out(&reader, session_of(&Seen::new(&view), &reader)?, &given).await
}

pub(super) async fn update(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[UPDATE], Shown::One("checkout.session"))?;
    let reader = Reader::new(&door, caller.tenant);
    let order = ids::order_of("cs", &id).ok_or_else(|| none(&id))?;
    let _turn = reader.turn(order, || none(&id)).await?;
    let view = find(&reader, &id).await?;
    let (mut details, mut note) = kept(&view);
    if let Some(session) = &mut note.session {
        given.change_metadata("metadata", &mut session.metadata)?;
    }
    note.keep(&mut details);
    if details == *view.details {
        return Ok(finish(&reader, session_of(&Seen::new(&view), &reader)?, &given, false).await);
    }
    let answered = ask(&reader, key, describing(&view, details)).await?;
    Ok(finish(
        &reader,
        session_of(&Seen::new(&answered.order), &reader)?,
        &given,
        answered.replayed,
    )
    .await)
}

pub(super) async fn expire(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[], Shown::One("checkout.session"))?;
    let reader = Reader::new(&door, caller.tenant);
    let order = ids::order_of("cs", &id).ok_or_else(|| none(&id))?;
    let view = find(&reader, &id).await?;
    let stands = Stands::of(&Seen::new(&view));
    if stands != Stands::Open && !was_asked(&reader, key.as_ref()).await? {
        return Err(not_open("expired", stands));
    }
    match ask_engine(&reader, key, What::Cancel { order }).await {
        Ok(answered) => {
            settled(&answered, door.doors.engine.now())?;
            let seen = reader.seen(&answered.order).await?;
            if Stands::of(&seen) == Stands::Complete {
                return Err(not_open("expired", Stands::Complete));
            }
            Ok(finish(&reader, session_of(&seen, &reader)?, &given, answered.replayed).await)
        }
        Err(Denied::Refused { order, replayed, .. }) => {
            let mut wrong = not_open("expired", Stands::of(&Seen::new(&order)));
            wrong.replayed = replayed;
            Err(wrong)
        }
        Err(denied) => Err(denied.into()),
    }
}

pub(super) async fn line_items(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST], Shown::List("item"))?;
    let reader = Reader::new(&door, caller.tenant);
    let view = find(&reader, &id).await?;
    let (data, more) = lists::of_all(&Page::of(&given)?, shape::session::lines(&Seen::new(&view)))?;
    read_out(
        &reader,
        shape::list(&format!("/v1/checkout/sessions/{id}/line_items"), data, more),
        &given,
    )
    .await
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER], Shown::List("checkout.session"))?;
    let reader = Reader::new(&door, caller.tenant);
    let page = Page::of(&given)?;
    let only = given
        .text("payment_intent")
        .map(|id| ids::order_of("pi", id).ok_or_else(|| Wrong::missing_at("payment_intent", "payment_intent", id)));
    let orders = Orders {
        only: only.transpose()?,
        customer: given.owned("customer"),
        having: Marks::LINES,
        ..Orders::default()
    };
    let status = given.owned("status");
    let wanted = |session: &Value| status.as_deref().is_none_or(|status| session["status"] == status);
    let objects = |seen: &Seen<'_>, scene: shape::Scene<'_>| -> Vec<Value> {
        shape::session::shape(seen, scene).into_iter().collect()
    };
    let order_of = |id: &str| ids::order_of("cs", id);
    let (data, more) = lists::of_orders(&reader, &page, orders, order_of, objects, wanted).await?;
    read_out(&reader, shape::list("/v1/checkout/sessions", data, more), &given).await
}

/// What Stripe's own page reads before it shows itself.
pub(super) async fn page(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("checkout.session"))?;
    let reader = Reader::new(&door, caller.tenant);
    let view = find(&reader, &id).await?;
    let mut page = session_of(&Seen::new(&view), &reader)?;
    page["session_id"] = page["id"].clone();
    read_out(&reader, page, &given).await
}

/// What Stripe's own page does when somebody presses "Pay".
pub(super) async fn confirm_page(
    State(door): State<Door>,
    Path(id): Path<String>,
    post: Post,
) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[CONFIRM], Shown::One("checkout.session"))?;
    let reader = Reader::new(&door, caller.tenant);
    let view = find(&reader, &id).await?;
    let order = view.order.id;
    let expected = given.integer("expected_amount").unwrap_or_default();
    let due = money::wire(view.order.due);
    if expected != due {
        let message = format!("The amount of this Checkout Session is {due}, not {expected}: load the page again.");
        return Err(Wrong::invalid(message)
            .code("checkout_amount_mismatch")
            .at("expected_amount"));
    }
    let method = given.text("payment_method").unwrap_or_default();
    let purpose = (view.order.phase == Phase::Created).then_some(methods::Purpose {
        order,
        key: key.as_ref(),
    });
    let asked = match methods::take(&reader, "payment_method", method, view.details.customer, purpose).await {
        Ok(method) => {
            let what = What::Confirm {
                order,
                pay: pay(&door, &view, method),
            };
            ask_engine(&reader, key, what).await
        }
        Err(wrong) => Ok(before(&reader, key.as_ref(), wrong).await?),
    };
    let answered = match asked {
        Ok(answered) => answered,
        Err(Denied::Refused { order, replayed, .. }) => {
            return Err(unexpected(&reader, &order, "confirmed", replayed).await?);
        }
        Err(denied) => return Err(denied.into()),
    };
    settled(&answered, door.doors.engine.now())?;
    let seen = reader.seen(&answered.order).await?;
    let tried = answered.step.map(|step| step.attempt);
    if let Some((attempt, why)) = seen.last_decline().filter(|(attempt, _)| Some(attempt.number) == tried) {
        return Err(refused(&seen, reader.scene(), attempt, why, answered.replayed));
    }
    let mut page = session_of(&seen, &reader)?;
    page["session_id"] = page["id"].clone();
    Ok(finish(&reader, page, &given, answered.replayed).await)
}

// ---- what they use --------------------------------------------------------------------------------------------------------------

fn none(id: &str) -> Wrong {
    Wrong::missing("checkout.session", id).at("session")
}

async fn find(reader: &Reader<'_>, id: &str) -> Result<Arc<View>, Wrong> {
    let order = ids::order_of("cs", id)
        .filter(|order| ids::session(*order, reader.mode()) == id)
        .ok_or_else(|| none(id))?;
    let view = reader.view(order).await?.ok_or_else(|| none(id))?;
    if Seen::new(&view).note.session.is_some() {
        Ok(view)
    } else {
        Err(none(id))
    }
}

fn session_of(seen: &Seen<'_>, reader: &Reader<'_>) -> Result<Value, Wrong> {
    shape::session::shape(seen, reader.scene()).ok_or_else(Wrong::ours)
}

fn not_open(verb: &str, stands: Stands) -> Wrong {
    let word = match stands {
        Stands::Open => "open",
        Stands::Complete => "complete",
        Stands::Expired => "expired",
    };
    Wrong::invalid(format!(
        "Only Checkout Sessions with a status in [\"open\"] can be {verb}. This Checkout Session has a status of `{word}`."
    ))
}

/// How the payer's attempt is made.
pub(super) fn pay(door: &Door, view: &View, method: String) -> Pay {
    Pay {
        method,
        connection: None,
        channel: "web".to_owned(),
        initiator: Initiator::Payer,
        return_url: view.details.page_token.as_deref().map(|token| back_url(door, token)),
    }
}

/// Whether somebody may try to pay now.
pub(super) fn is_payable(view: &View) -> bool {
    view.order.phase == Phase::Created
}

/// What this door does not do must be switched off, not ignored.
fn switched_off(given: &Given) -> Result<(), Wrong> {
    let tables = ["automatic_tax", "invoice_creation", "phone_number_collection"];
    let on = tables
        .into_iter()
        .find(|name| given.table(name).and_then(|table| table.flag("enabled")) == Some(true));
    let on = on.map(|name| format!("{name}[enabled]"));
    let on =
        on.or_else(|| (given.flag("allow_promotion_codes") == Some(true)).then(|| "allow_promotion_codes".to_owned()));
    match on {
        Some(name) => Err(Wrong::invalid(format!(
            "{name} is not supported by this server: leave it out, or send false."
        ))
        .at(name)),
        None => Ok(()),
    }
}

fn window(given: &Given, now: Timestamp) -> Result<Timestamp, Wrong> {
    let Some(at) = given.time("expires_at") else {
        return Ok(now.plus_seconds(WINDOW_S));
    };
    let wrong = |message: &str| Wrong::invalid(message).at("expires_at");
    if at < now.plus_seconds(WINDOW_S_MIN - SLACK_S) {
        return Err(wrong(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
        ));
    }
    if at > now.plus_seconds(WINDOW_S + SLACK_S) {
        return Err(wrong(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
        ));
    }
    Ok(at)
}

/// The lines, with the prices that they name.
async fn lines(reader: &Reader<'_>, given: &Given) -> Result<(Currency, Vec<LineNote>), Wrong> {
    let mut lines = Vec::new();
    let mut currency = given.currency("currency");
    if let Some(currency) = currency {
        money::taken(currency, "currency")?;
    }
    for (at, line) in given.tables("line_items").iter().enumerate() {
        let param = format!("line_items[{at}]");
        let quantity = line
            .integer("quantity")
            .and_then(|quantity| u32::try_from(quantity).ok());
        let quantity = quantity.filter(|quantity| *quantity <= 999_999).ok_or_else(|| {
            Wrong::invalid("This value must be less than or equal to 999999.").at(format!("{param}[quantity]"))
        })?;
        let (its, mut note) = match (line.text("price"), line.table("price_data")) {
            (Some(price), None) => priced(reader, &format!("{param}[price]"), price).await?,
            (None, Some(data)) => ad_hoc(reader, &format!("{param}[price_data]"), &data).await?,
            (Some(_), Some(_)) => {
                return Err(
                    Wrong::invalid("You may only specify one of these parameters: price, price_data.").at(param),
                );
            }
            (None, None) => {
                let message = format!("You must specify either `price` or `price_data` in {param}.");
                return Err(Wrong::invalid(message).code("parameter_missing").at(param));
            }
        };
        if *currency.get_or_insert(its) != its {
            let message = "The prices of a Checkout Session must all have the same currency.";
            return Err(Wrong::invalid(message).at(param));
        }
        note.quantity = quantity;
        note.metadata.extend(line.metadata("metadata"));
        lines.push(note);
    }
    match currency {
        Some(currency) if !lines.is_empty() => Ok((currency, lines)),
        Some(_) | None => {
            let message = "You must pass at least one line item in `payment` mode.";
            Err(Wrong::invalid(message).code("parameter_missing").at("line_items"))
        }
    }
}

/// A line over a price that exists.
async fn priced(reader: &Reader<'_>, param: &str, id: &str) -> Result<(Currency, LineNote), Wrong> {
    let missing = || Wrong::missing_at(param, "price", id);
    let price: shape::price::Price = reader.get(id).await?.ok_or_else(missing)?;
    if !price.active {
        let message = format!("The price specified is inactive. This field only accepts active prices: {id}");
        return Err(Wrong::invalid(message).at(param));
    }
    if price.recurring.is_some() {
        let message =
            "You specified `payment` mode but passed a recurring price. This server has no subscriptions yet.";
        return Err(Wrong::invalid(message).at(param));
    }
    let product: Option<shape::product::Product> = reader.get(&price.product).await?;
    let product = product.ok_or_else(missing)?;
    if !product.active {
        let message = format!("The product of this price is inactive: {}", price.product);
        return Err(Wrong::invalid(message).at(param));
    }
    let currency = price.currency.to_ascii_uppercase().parse().map_err(|_| missing())?;
    money::taken(currency, param)?; // one that an earlier program made may be in any
    let note = LineNote {
        name: product.name,
        description: product.description,
        unit_amount: price.unit_amount,
        price: Some(price.id),
        product: Some(price.product),
        ..LineNote::default()
    };
    Ok((currency, note))
}

/// A line whose price is written into it.
async fn ad_hoc(reader: &Reader<'_>, param: &str, data: &Given) -> Result<(Currency, LineNote), Wrong> {
    let currency = data.currency("currency").ok_or_else(Wrong::ours)?;
    money::taken(currency, &format!("{param}[currency]"))?;
    let unit_amount = data.integer("unit_amount").unwrap_or_default();
    let mut note = LineNote {
        unit_amount,
        tax_behavior: data.owned("tax_behavior"),
        ..LineNote::default()
    };
    match (data.text("product"), data.table("product_data")) {
        (Some(id), None) => {
            let known: Option<shape::product::Product> = reader.get(id).await?;
            let known = known.ok_or_else(|| Wrong::missing_at(&format!("{param}[product]"), "product", id))?;
            (note.name, note.description, note.product) = (known.name, known.description, Some(known.id));
        }
        (None, Some(product)) => {
            note.name = product.owned("name").unwrap_or_default();
            note.description = product.owned("description");
            note.product_metadata = product.metadata("metadata");
            note.images = product.texts("images");
            note.unit_label = product.owned("unit_label");
        }
        (_, _) => {
            let message = format!("You must specify either `product` or `product_data` in {param}.");
            return Err(Wrong::invalid(message).code("parameter_missing").at(param));
        }
    }
    Ok((currency, note))
}

fn total(currency: Currency, lines: &[LineNote]) -> Result<Money, Wrong> {
    let sum = lines.iter().try_fold(0_i64, |sum, line| {
        line.unit_amount
            .checked_mul(i64::from(line.quantity))
            .and_then(|line| sum.checked_add(line))
    });
    let sum = sum.ok_or_else(|| {
        Wrong::invalid("The total amount is beyond what an amount can hold")
            .code("amount_too_large")
            .at("line_items")
    })?;
    if sum == 0 {
        let message = "The Checkout Session's total amount due must add up to more than zero: there is nothing to pay.";
        return Err(Wrong::invalid(message).code("amount_too_small").at("line_items"));
    }
    money::read(sum, currency, "line_items")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_the_sum_of_its_lines_and_more_than_nothing() {
        let line = |unit_amount, quantity| LineNote {
            unit_amount,
            quantity,
            ..LineNote::default()
        };
        let eur = Currency::EUR;
        assert_eq!(
            total(eur, &[line(1500, 2), line(99, 1)]).unwrap(),
            Money::new(3099, eur)
        );
        assert_eq!(
            total(eur, &[line(0, 3)]).unwrap_err().code.as_deref(),
            Some("amount_too_small")
        );
        assert_eq!(
            total(eur, &[line(i64::MAX, 2)]).unwrap_err().code.as_deref(),
            Some("amount_too_large")
        );
    }

    #[test]
    fn a_session_that_is_over_says_so() {
        assert_eq!(not_open("expired", Stands::Complete).status, 400);
    }
}
