//! `/v1/payment_intents`: orders, paid by calls.

pub(super) mod ending;
pub(super) mod search;

use std::sync::Arc;

use axum::extract::{Path, State};
use florin_core::money::Money;
use florin_core::order::{CaptureAt, Initiator, Kind as OrderKind, Phase};
use florin_services::ask::{NewOrder, Pay, What};
use florin_services::dice;
use florin_services::directory::Scope;
use florin_services::view::{Details, View};
use florin_store::Mode;
use serde_json::Value;

use super::asking::{
    ask, ask_or, before, describing, finish, read_out, refuse_other_body, tried, was_asked, with_intent, without_action,
};
use super::expand::Shown;
use super::gate::{Answer, Get, Post, part_of};
use super::lists::{self, Orders, Page};
use super::note::Note;
use super::params::{Field, Given, Kind, LIST, SHIPPING, may, must};
use super::reader::Reader;
use super::shape::{self, Seen};
use super::wrong::Wrong;
use super::{Door, ids, methods, money};
use methods::Purpose;

/// How long an intent can be paid. Stripe's do not end; ours do, as every order does.
const WINDOW_S: i64 = 30 * 24 * 3_600;

const CARD: Kind = Kind::List(&Kind::Word(&["card"]));

const OPTIONS: Kind = Kind::Object(&[may(
    "card",
    Kind::Object(&[may("request_three_d_secure", Kind::Word(&["automatic"]))]),
)]);

const ANY_METHOD: Kind = Kind::Object(&[
    must("enabled", Kind::Bool),
    may("allow_redirects", Kind::Word(&["always", "never"])),
]);

const DESCRIBE: &[Field] = &[
    may("customer", Kind::Text),
    may("description", Kind::Prose(1_000)),
    may("metadata", Kind::Metadata),
    may("payment_method", Kind::Text),
    may("payment_method_options", OPTIONS),
    may("payment_method_types", CARD),
    may("receipt_email", Kind::Text),
    may("shipping", Kind::Object(SHIPPING)),
    may("statement_descriptor", Kind::Short(22)),
    may("statement_descriptor_suffix", Kind::Short(22)),
];

const CREATE: &[Field] = &[
    must("amount", Kind::Integer(1)),
    must("currency", Kind::Currency),
    may("automatic_payment_methods", ANY_METHOD),
    may(
        "capture_method",
        Kind::Word(&["automatic", "automatic_async", "manual"]),
    ),
    may("confirm", Kind::Bool),
    may("confirmation_method", Kind::Word(&["automatic", "manual"])),
    may("off_session", Kind::Bool),
    may("return_url", Kind::Url),
    may("use_stripe_sdk", Kind::Bool),
];

const UPDATE: &[Field] = &[may("amount", Kind::Integer(1)), may("currency", Kind::Currency)];

const CONFIRM: &[Field] = &[
    may("off_session", Kind::Bool),
    may("payment_method", Kind::Text),
    may("payment_method_options", OPTIONS),
    may("payment_method_types", CARD),
    may("receipt_email", Kind::Text),
    may("return_url", Kind::Url),
    may("shipping", Kind::Object(SHIPPING)),
    may("use_stripe_sdk", Kind::Bool),
];

/// A page of a merchant's own names the secret that it was given.
const RETRIEVE: &[Field] = &[may("client_secret", Kind::Text)];

const FILTER: &[Field] = &[may("customer", Kind::Text), may("created", Kind::Range)];

pub(super) async fn create(State(door): State<Door>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[CREATE, DESCRIBE], Shown::One("payment_intent"))?;
    let reader = Reader::new(&door, caller.tenant);
    let (mut details, mut note) = fresh();
    let asked = match due(&reader, &given) {
        Ok(due) => describe(&reader, &given, &mut details, &mut note, 0)
            .await
            .map(|()| due),
        Err(wrong) => Err(wrong),
    };
    let amount = match asked {
        Ok(amount) => amount,
        Err(wrong) => return tried(&reader, before(&reader, key.as_ref(), wrong).await?, &given).await,
    };
    let automatic = given.table("automatic_payment_methods");
    note.any_method = automatic
        .as_ref()
        .and_then(|table| table.flag("enabled"))
        .unwrap_or(!given.has("payment_method_types"));
    note.allow_redirects = automatic.and_then(|table| table.owned("allow_redirects"));
    note.capture_method = given.owned("capture_method");
    note.confirmation_method = given.owned("confirmation_method");
    note.return_url = given.owned("return_url");
    let confirm = given.flag("confirm").unwrap_or(false);
    if !confirm && given.has("return_url") {
        let message = "The parameter `return_url` cannot be passed when creating a PaymentIntent unless `confirm` is set to true.";
        return Err(Wrong::invalid(message).at("return_url"));
    }
    let id = door.doors.engine.new_order_id();
    let token = crate::returned::token_of(id);
    let purpose = Purpose {
        order: id,
        key: key.as_ref(),
    };
    let manual = note.is_manual();
    let begun = note.method.clone().filter(|_| confirm);
    let start = match (confirm, note.method.clone()) {
        (false, _) => None,
        (true, None) => return Err(without_method()),
        (true, Some(method)) => match pay(&reader, &method, &details, &token, Some(purpose)).await {
            Ok(pay) => Some(pay),
            Err(wrong) => return tried(&reader, before(&reader, key.as_ref(), wrong).await?, &given).await,
        },
    };
    note.keep(&mut details);
    details.page_token = Some(token);
    let order = NewOrder {
        id: Some(id),
        reference: ids::intent(id),
        kind: OrderKind::Payment,
        amount,
        capture: capture_at(note.capture_method.as_deref()),
        expires_at: Some(door.doors.engine.now().plus_seconds(WINDOW_S)),
        details: Arc::new(details),
    };
    let what = What::Create {
        order: Box::new(order),
        start,
    };
    let answered = match ask(&reader, key.clone(), what).await {
        Ok(answered) => answered,
        Err(wrong) => {
            if let Some(method) = begun.filter(|_| wrong.nothing_happened()) {
                methods::give_back(&reader, &method, purpose).await?;
            }
            return Err(wrong);
        }
    };
    if manual {
        without_action(&reader, &answered).await?;
    }
    tried(&reader, answered, &given).await
}

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[RETRIEVE], Shown::One("payment_intent"))?;
    let reader = Reader::new(&door, caller.tenant);
    let view = find(&reader, &id).await?;
    let seen = reader.seen(&view).await?;
    let intent = shape::intent::shape(&seen, reader.scene());
    if given
        .text("client_secret")
        .is_some_and(|secret| intent["client_secret"] != secret)
    {
        let message = "The client_secret provided does not match the client_secret associated with the PaymentIntent.";
        return Err(Wrong::invalid(message).at("client_secret"));
    }
    read_out(&reader, intent, &given).await
}

pub(super) async fn update(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[UPDATE, DESCRIBE], Shown::One("payment_intent"))?;
    let reader = Reader::new(&door, caller.tenant);
    let order = ids::order_of("pi", &id).ok_or_else(|| none(&id))?;
    let _turn = reader.turn(order, || none(&id)).await?;
    let view = find(&reader, &id).await?;
    let currency = view.order.due.currency();
    if given.currency("currency").is_some_and(|other| other != currency) {
        let message = format!(
            "The currency of a PaymentIntent cannot be changed here: it is {}.",
            money::code(currency)
        );
        return Err(Wrong::invalid(message).at("currency"));
    }
    refuse_other_body(&reader, part_of(key.as_ref(), "amend").as_ref()).await?;
    refuse_other_body(&reader, part_of(key.as_ref(), "describe").as_ref()).await?;
    // All of the call is looked at before any of it is done: what is refused leaves the intent as it was.
    let due = given.integer("amount");
    let due = due.map(|amount| money::read(amount, currency, "amount")).transpose()?;
    if let Some(due) = due
        && let Err(wrong) = money::enough(due, reader.has_least(), "Amount must be", "amount")
        && !was_asked(&reader, part_of(key.as_ref(), "amend").as_ref()).await?
    {
        return Err(wrong);
    }
    let (mut details, mut note) = kept(&view);
    if due.is_some() && note.session.is_some() {
        let message = "The amount of a PaymentIntent that belongs to a Checkout Session is the sum of its lines. Expire the session, and make another one.";
        return Err(Wrong::invalid(message).at("amount"));
    }
    let attempts = view.order.attempts().count();
    if let Err(wrong) = describe(&reader, &given, &mut details, &mut note, attempts).await {
        // The last part of the call: if that was done, all of it was.
        let answered = before(&reader, part_of(key.as_ref(), "describe").as_ref(), wrong).await?;
        let seen = reader.seen(&answered.order).await?;
        return Ok(finish(&reader, shape::intent::shape(&seen, reader.scene()), &given, true).await);
    }
    note.keep(&mut details);
    for (part, param) in [("amend", "amount"), ("describe", "payment_method")] {
        let begun = given.has(param) && view.order.phase != Phase::Created;
        if begun && !was_asked(&reader, part_of(key.as_ref(), part).as_ref()).await? {
            return Err(frozen(&reader, &view, param).await?);
        }
    }
    let mut answered = None;
    if let Some(due) = due {
        let what = What::Amend { order, due };
        answered = Some(ask_or(&reader, part_of(key.as_ref(), "amend"), what, "updated", "amount").await?);
    }
    // What is as it should be already is written down under its key too: the call may come again when somebody has changed it since.
    let part = part_of(key.as_ref(), "describe");
    let kept = part.is_some() && DESCRIBE.iter().any(|field| given.has(field.name));
    if kept || details != *view.details {
        let what = describing(&view, details);
        answered = Some(ask_or(&reader, part, what, "updated", "metadata").await?);
    }
    let (view, replayed) = match answered {
        Some(answered) => (answered.order, answered.replayed),
        None => (view, false),
    };
    let seen = reader.seen(&view).await?;
    Ok(finish(&reader, shape::intent::shape(&seen, reader.scene()), &given, replayed).await)
}

pub(super) async fn confirm(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[CONFIRM], Shown::One("payment_intent"))?;
    let reader = Reader::new(&door, caller.tenant);
    secure(&reader, &given, "return_url")?;
    let order = ids::order_of("pi", &id).ok_or_else(|| none(&id))?;
    let _turn = reader.turn(order, || none(&id)).await?;
    refuse_other_body(&reader, key.as_ref()).await?;
    let view = find(&reader, &id).await?;
    let (mut details, mut note) = kept(&view);
    let (attempts, open) = (view.order.attempts().count(), view.order.phase == Phase::Created);
    let chosen = note.chosen(attempts).map(str::to_owned);
    if let Err(wrong) = describe(&reader, &given, &mut details, &mut note, attempts).await {
        return tried(&reader, before(&reader, key.as_ref(), wrong).await?, &given).await;
    }
    let method = match (given.owned("payment_method").or(chosen), open) {
        (Some(method), _) => method,
        (None, true) if !was_asked(&reader, key.as_ref()).await? => return Err(without_method()),
        // The call came before, or the rules will refuse it: the method does not matter any more.
        (None, _) => note.method.clone().unwrap_or_else(|| "hosted".to_owned()),
    };
    if given.has("return_url") {
        note.return_url = given.owned("return_url");
    }
    let manual = note.is_manual();
    note.keep(&mut details);
    let token = view.details.page_token.as_deref().unwrap_or_default();
    // What is not open any more is answered as it was, or refused.
    let purpose = open.then_some(Purpose {
        order,
        key: key.as_ref(),
    });
    let pay = match pay(&reader, &method, &details, token, purpose).await {
        Ok(pay) => pay,
        Err(wrong) => return tried(&reader, before(&reader, key.as_ref(), wrong).await?, &given).await,
    };
    // A repeat changes nothing, whatever became of the intent since.
    if open && details != *view.details && !was_asked(&reader, key.as_ref()).await? {
        let what = describing(&view, details);
        ask_or(
            &reader,
            part_of(key.as_ref(), "describe"),
            what,
            "confirmed",
            "payment_method",
        )
        .await?;
    }
    let answered = ask_or(
        &reader,
        key,
        What::Confirm { order, pay },
        "confirmed",
        "payment_method",
    )
    .await?;
    if manual {
        without_action(&reader, &answered).await?;
    }
    tried(&reader, answered, &given).await
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER], Shown::List("payment_intent"))?;
    let reader = Reader::new(&door, caller.tenant);
    let page = Page::of(&given)?;
    let orders = Orders {
        customer: given.owned("customer"),
        ..Orders::default()
    };
    let (data, more) =
        lists::of_orders(&reader, &page, orders, |id| ids::order_of("pi", id), one, lists::every).await?;
    read_out(&reader, shape::list("/v1/payment_intents", data, more), &given).await
}

/// The intent of an order, for lists.
fn one(seen: &Seen<'_>, scene: shape::Scene<'_>) -> Vec<Value> {
    let known = shape::intent::is_known(seen);
    known.then(|| shape::intent::shape(seen, scene)).into_iter().collect()
}

fn none(id: &str) -> Wrong {
    Wrong::missing("payment_intent", id).at("intent")
}

/// What a new intent asks for, if Stripe takes that.
fn due(reader: &Reader<'_>, given: &Given) -> Result<Money, Wrong> {
    let currency = given.currency("currency").ok_or_else(Wrong::ours)?;
    money::taken(currency, "currency")?;
    let amount = money::read(given.integer("amount").unwrap_or_default(), currency, "amount")?;
    money::enough(amount, reader.has_least(), "Amount must be", "amount")?;
    secure(reader, given, "return_url")?;
    Ok(amount)
}

/// The order of an intent.
pub(super) async fn find(reader: &Reader<'_>, id: &str) -> Result<Arc<View>, Wrong> {
    let order = ids::order_of("pi", id).ok_or_else(|| none(id))?;
    let view = reader.view(order).await?.ok_or_else(|| none(id))?;
    if shape::intent::is_known(&Seen::new(&view)) {
        Ok(view)
    } else {
        Err(none(id))
    }
}

/// Details and note of an order that is about to be made.
pub(super) fn fresh() -> (Details, Note) {
    (
        Details::default(),
        Note {
            secret: dice::token::<16>(),
            ..Note::default()
        },
    )
}

/// Details and note of an order, to be changed.
pub(super) fn kept(view: &View) -> (Details, Note) {
    ((*view.details).clone(), Note::of(&view.details))
}

/// When an intent with this capture method takes the money.
pub(super) fn capture_at(method: Option<&str>) -> CaptureAt {
    if method == Some("manual") {
        CaptureAt::Later
    } else {
        CaptureAt::Once
    }
}

/// Writes into an order's details what a call says about it.
async fn describe(
    reader: &Reader<'_>,
    given: &Given,
    details: &mut Details,
    note: &mut Note,
    attempts: usize,
) -> Result<(), Wrong> {
    if given.flag("off_session") == Some(true) {
        let message =
            "off_session payments need a mandate, and this server keeps none yet. Have the customer pay in a session.";
        return Err(Wrong::invalid(message).at("off_session"));
    }
    if given.has("customer") {
        details.customer = match given.text("customer") {
            None => None,
            Some(id) => Some(super::customers::named(reader, "customer", id).await?),
        };
    }
    given.change_text("description", &mut details.description);
    given.change_email("receipt_email", &mut details.email)?;
    given.change_metadata("metadata", &mut details.metadata)?;
    given.change_text("statement_descriptor", &mut note.statement_descriptor);
    given.change_text("statement_descriptor_suffix", &mut note.statement_descriptor_suffix);
    if given.has("shipping") {
        note.shipping = given.value("shipping").filter(|shipping| !shipping.is_null()).cloned();
    }
    if given.has("payment_method") {
        note.method = given.owned("payment_method");
        note.method_after = u8::try_from(attempts).unwrap_or(u8::MAX);
        if let Some(method) = &note.method {
            methods::choose(reader, "payment_method", method, details.customer).await?;
        }
    }
    Ok(())
}

/// In live mode payers are led over TLS alone.
pub(super) fn secure(reader: &Reader<'_>, given: &Given, param: &str) -> Result<(), Wrong> {
    let plain = |address: &str| !address.to_ascii_lowercase().starts_with("https:");
    if reader.mode() == Mode::Live && given.text(param).is_some_and(plain) {
        let message = format!("Invalid URL: in live mode the {param} must begin with https://.");
        return Err(Wrong::invalid(message).code("url_invalid").at(param));
    }
    Ok(())
}

/// How an attempt with this method is to be made.
async fn pay(
    reader: &Reader<'_>,
    method: &str,
    details: &Details,
    token: &str,
    purpose: Option<Purpose<'_>>,
) -> Result<Pay, Wrong> {
    let method = match method {
        "hosted" => "hosted".to_owned(),
        named => methods::take(reader, "payment_method", named, details.customer, purpose).await?,
    };
    Ok(Pay {
        method,
        connection: None,
        channel: "stripe".to_owned(),
        initiator: Initiator::Payer,
        return_url: Some(back_url(reader.door, token)),
    })
}

/// Where a payer who was sent away comes back to: a page of this door, which sends them on.
pub(super) fn back_url(door: &Door, token: &str) -> String {
    format!("{}/c/back/{token}", door.scene().origin)
}

/// What nobody can change once somebody has begun to pay: the hold or the payment would be for something else than the intent says.
async fn frozen(reader: &Reader<'_>, view: &View, param: &str) -> Result<Wrong, Wrong> {
    let status = shape::intent_status(&Seen::new(view));
    let message = format!(
        "This PaymentIntent's {param} could not be updated because it has a status of {status}. You may only update the {param} of a \
         PaymentIntent with one of the following statuses: requires_payment_method, requires_confirmation."
    );
    let wrong = Wrong::invalid(message).code("payment_intent_unexpected_state");
    with_intent(reader, view, wrong, false).await
}

fn without_method() -> Wrong {
    let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent \
                   with a payment method and then confirm it again, or confirm it again directly with a payment method.";
    Wrong::invalid(message).code("payment_intent_unexpected_state")
}
