//! `/v1/payment_intents`: orders, paid by calls.

use axum::extract::{Path, State};
use florin_core::id::OrderId;
use florin_core::money::Money;
use florin_core::order::{CaptureAt, Initiator, Kind as OrderKind, Phase, Refusal, StepKind};
use florin_core::status::{self, StepStatus};
use florin_core::time::Timestamp;
use florin_services::ask::{Answered, Ask, Denied, NewOrder, Pay, State as CallState, What};
use florin_services::dice;
use florin_services::directory::Scope;
use florin_services::view::{Details, View};
use florin_store::IdemKey;
use serde_json::{Value, json};

use super::gate::{Answer, Get, Post, part_of};
use super::lists::{self, Orders, Page};
use super::note::Note;
use super::params::{Field, Given, Kind, LIST, SHIPPING, may, must};
use super::reader::Reader;
use super::shape::{self, Seen};
use super::wrong::{Kind as WrongKind, Wrong};
use super::{Door, expand, ids, methods, money};

/// How long an intent can be paid. Stripe's do not end; ours do, as every order does.
const WINDOW_S: i64 = 30 * 24 * 3_600;
/// A call that is repeated later than this after it began has been answered with the object as it stood: the wait of the engine and some.
const ANSWERED_MS: i64 = 12_000;

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
    may("description", Kind::Short(1_000)),
    may("metadata", Kind::Metadata),
    may("payment_method", Kind::Text),
    may("payment_method_options", OPTIONS),
    may("payment_method_types", CARD),
    may("receipt_email", Kind::Short(254)),
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
    may("receipt_email", Kind::Short(254)),
    may("return_url", Kind::Url),
    may("shipping", Kind::Object(SHIPPING)),
    may("use_stripe_sdk", Kind::Bool),
];
const CAPTURE: &[Field] = &[
    may("amount_to_capture", Kind::Integer(1)),
    may("final_capture", Kind::Bool),
    may("metadata", Kind::Metadata),
    may("statement_descriptor", Kind::Short(22)),
    may("statement_descriptor_suffix", Kind::Short(22)),
];
const CANCEL: &[Field] = &[may(
    "cancellation_reason",
    Kind::Word(&["duplicate", "fraudulent", "requested_by_customer", "abandoned"]),
)];
/// A page of a merchant's own names the secret that it was given.
const RETRIEVE: &[Field] = &[may("client_secret", Kind::Text)];
const FILTER: &[Field] = &[may("customer", Kind::Text), may("created", Kind::Range)];
const SEARCH: &[Field] = &[
    must("query", Kind::Text),
    may("limit", Kind::Integer(1)),
    may("page", Kind::Text),
];

// ---- routes ---------------------------------------------------------------------------------------------------------------------

pub(super) async fn create(State(door): State<Door>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[CREATE, DESCRIBE])?;
    let reader = Reader::new(&door, caller.tenant);
    let currency = given.currency("currency").ok_or_else(Wrong::ours)?;
    let amount = money::read(given.integer("amount").unwrap_or_default(), currency, "amount")?;
    let (mut details, mut note) = fresh();
    if let Err(wrong) = describe(&reader, &given, &mut details, &mut note, 0).await {
        return tried(&reader, before(&reader, key.as_ref(), wrong).await?, &given).await;
    }
    note.any_method = given
        .table("automatic_payment_methods")
        .and_then(|table| table.flag("enabled"))
        .unwrap_or(!given.has("payment_method_types"));
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
    let start = match (confirm, note.method.clone()) {
        (false, _) => None,
        (true, None) => return Err(without_method()),
        (true, Some(method)) => match pay(&reader, &method, &details, &token).await {
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
        details: std::sync::Arc::new(details),
    };
    let what = What::Create {
        order: Box::new(order),
        start,
    };
    let answered = ask(&reader, key, what).await?;
    tried(&reader, answered, &given).await
}

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[RETRIEVE])?;
    let reader = Reader::new(&door, caller.tenant);
    let view = find(&reader, &id).await?;
    let seen = reader.seen(&view).await?;
    finish(&reader, shape::intent::shape(&seen, reader.scene()), &given, false).await
}

pub(super) async fn update(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[UPDATE, DESCRIBE])?;
    let reader = Reader::new(&door, caller.tenant);
    let order = ids::order_of("pi", &id).ok_or_else(|| none(&id))?;
    let _turn = door.turns.of(order).await?;
    let view = find(&reader, &id).await?;
    let currency = view.order.due.currency();
    if given.currency("currency").is_some_and(|other| other != currency) {
        let message = format!(
            "The currency of a PaymentIntent cannot be changed here: it is {}.",
            money::code(currency)
        );
        return Err(Wrong::invalid(message).at("currency"));
    }
    let mut answered = None;
    if let Some(amount) = given.integer("amount") {
        let due = money::read(amount, currency, "amount")?;
        let what = What::Amend { order, due };
        answered = Some(ask_or(&reader, part_of(key.as_ref(), "amend"), what, "updated", "amount").await?);
    }
    let (mut details, mut note) = kept(&view);
    describe(&reader, &given, &mut details, &mut note, view.order.attempts().count()).await?;
    note.keep(&mut details);
    if details != *view.details {
        let what = What::Describe {
            order,
            details: Box::new(details),
        };
        answered = Some(ask_or(&reader, part_of(key.as_ref(), "describe"), what, "updated", "metadata").await?);
    }
    let (view, replayed) = match answered {
        Some(answered) => (answered.order, answered.replayed),
        None => (view, false),
    };
    let seen = reader.seen(&view).await?;
    finish(&reader, shape::intent::shape(&seen, reader.scene()), &given, replayed).await
}

pub(super) async fn confirm(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[CONFIRM])?;
    let reader = Reader::new(&door, caller.tenant);
    let order = ids::order_of("pi", &id).ok_or_else(|| none(&id))?;
    let _turn = door.turns.of(order).await?;
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
    note.keep(&mut details);
    let token = view.details.page_token.as_deref().unwrap_or_default();
    let pay = match pay(&reader, &method, &details, token).await {
        Ok(pay) => pay,
        Err(wrong) => return tried(&reader, before(&reader, key.as_ref(), wrong).await?, &given).await,
    };
    if open && details != *view.details {
        let what = What::Describe {
            order,
            details: Box::new(details),
        };
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
    tried(&reader, answered, &given).await
}

pub(super) async fn capture(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[CAPTURE])?;
    let reader = Reader::new(&door, caller.tenant);
    let order = ids::order_of("pi", &id).ok_or_else(|| none(&id))?;
    let _turn = door.turns.of(order).await?;
    let view = find(&reader, &id).await?;
    let currency = view.order.due.currency();
    let amount = given.integer("amount_to_capture");
    let amount = amount
        .map(|amount| money::read(amount, currency, "amount_to_capture"))
        .transpose()?;
    // First what the caller says about it: a capture whose note is missing would look like somebody else's.
    if matches!(view.order.phase, Phase::Authorized(_)) {
        let (mut details, mut note) = kept(&view);
        given.change_metadata("metadata", &mut details.metadata);
        given.change_text("statement_descriptor", &mut note.statement_descriptor);
        given.change_text("statement_descriptor_suffix", &mut note.statement_descriptor_suffix);
        note.keep(&mut details);
        if details != *view.details {
            let what = What::Describe {
                order,
                details: Box::new(details),
            };
            ask_or(&reader, part_of(key.as_ref(), "describe"), what, "captured", "metadata").await?;
        }
    }
    let what = What::Capture {
        order,
        amount,
        last: given.flag("final_capture").unwrap_or(true),
    };
    let answered = ask_or(&reader, key, what, "captured", "amount_to_capture").await?;
    settled(&answered, reader.scene().now)?;
    let view = &answered.order;
    let refused = answered
        .step
        .and_then(|step| status::captures(&view.order).into_iter().find(|one| one.step == step));
    if refused.is_some_and(|step| step.status == StepStatus::Failed) {
        let message = "The capture was refused by the card's bank: the authorization may have expired.";
        let wrong = Wrong::invalid(message).code("charge_expired_for_capture");
        return Err(with_intent(&reader, view, wrong, answered.replayed).await?);
    }
    let seen = reader.seen(view).await?;
    finish(
        &reader,
        shape::intent::shape(&seen, reader.scene()),
        &given,
        answered.replayed,
    )
    .await
}

pub(super) async fn cancel(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[CANCEL])?;
    let reader = Reader::new(&door, caller.tenant);
    let order = ids::order_of("pi", &id).ok_or_else(|| none(&id))?;
    let _turn = door.turns.of(order).await?;
    let view = find(&reader, &id).await?;
    let what = match view.order.phase {
        Phase::Authorized(_) => What::Void { order },
        Phase::Created | Phase::Pending(_) | Phase::Captured(_) | Phase::Ended(_) => What::Cancel { order },
    };
    let open = !matches!(view.order.phase, Phase::Captured(_) | Phase::Ended(_));
    if !open && !was_asked(&reader, key.as_ref()).await? {
        return Err(unexpected(&reader, &view, "canceled", false).await?);
    }
    if open {
        let (mut details, mut note) = kept(&view);
        note.cancellation_reason = given.owned("cancellation_reason");
        note.canceled_at.get_or_insert(door.doors.engine.now());
        note.keep(&mut details);
        let what = What::Describe {
            order,
            details: Box::new(details),
        };
        ask_or(
            &reader,
            part_of(key.as_ref(), "describe"),
            what,
            "canceled",
            "cancellation_reason",
        )
        .await?;
    }
    let answered = ask_or(&reader, key, what, "canceled", "cancellation_reason").await?;
    settled(&answered, reader.scene().now)?;
    let seen = reader.seen(&answered.order).await?;
    finish(
        &reader,
        shape::intent::shape(&seen, reader.scene()),
        &given,
        answered.replayed,
    )
    .await
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER])?;
    let reader = Reader::new(&door, caller.tenant);
    let page = Page::of(&given)?;
    let orders = Orders {
        customer: given.owned("customer"),
        ..Orders::default()
    };
    let (data, more) = lists::of_orders(&reader, &page, orders, |id| ids::order_of("pi", id), one).await?;
    finish(&reader, shape::list("/v1/payment_intents", data, more), &given, false).await
}

pub(super) async fn search(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[SEARCH])?;
    let reader = Reader::new(&door, caller.tenant);
    let wanted = Clauses::parse(given.text("query").unwrap_or_default())?;
    // A page's name is the last object of the one before it.
    let mut page = Page::of(&given)?;
    page.go_on(given.owned("page"));
    let orders = Orders {
        metadata: wanted.metadata.clone(),
        customer: wanted.customer.clone(),
        only: None,
    };
    let objects = |seen: &Seen<'_>, scene: shape::Scene<'_>| -> Vec<Value> {
        one(seen, scene)
            .into_iter()
            .filter(|intent| wanted.holds(intent))
            .collect()
    };
    let (data, more) = lists::of_orders(&reader, &page, orders, |id| ids::order_of("pi", id), objects).await?;
    let next = data.last().filter(|_| more).map(|last| last["id"].clone());
    let mut result = shape::list("/v1/payment_intents/search", data, more);
    result["object"] = json!("search_result");
    result["next_page"] = next.unwrap_or(Value::Null);
    finish(&reader, result, &given, false).await
}

// ---- what the others use --------------------------------------------------------------------------------------------------------

/// The intent of an order, for lists.
fn one(seen: &Seen<'_>, scene: shape::Scene<'_>) -> Vec<Value> {
    let known = shape::intent::is_known(seen);
    known.then(|| shape::intent::shape(seen, scene)).into_iter().collect()
}

fn none(id: &str) -> Wrong {
    Wrong::missing("payment_intent", id).at("intent")
}

/// The order of an intent.
pub(super) async fn find(reader: &Reader<'_>, id: &str) -> Result<std::sync::Arc<View>, Wrong> {
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
    given.change_text("receipt_email", &mut details.email);
    given.change_metadata("metadata", &mut details.metadata);
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

/// How an attempt with this method is to be made.
async fn pay(reader: &Reader<'_>, method: &str, details: &Details, token: &str) -> Result<Pay, Wrong> {
    let method = match method {
        "hosted" => "hosted".to_owned(),
        named => methods::choose(reader, "payment_method", named, details.customer).await?,
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

/// The answer of the same call, if it came before; else why this one is not carried out. A method that was removed since says nothing about a
/// call that may have charged.
pub(super) async fn before(reader: &Reader<'_>, key: Option<&IdemKey>, wrong: Wrong) -> Result<Answered, Wrong> {
    let Some(key) = key else { return Err(wrong) };
    let before = reader.door.doors.engine.answered_before(reader.tenant, key).await?;
    before.ok_or(wrong)
}

/// Whether a call with this key was carried out before.
pub(super) async fn was_asked(reader: &Reader<'_>, key: Option<&IdemKey>) -> Result<bool, Wrong> {
    let Some(key) = key else { return Ok(false) };
    let name = (reader.tenant, key.key.clone());
    let wanted = florin_store::Wanted {
        keys: vec![name.clone()],
        order_keys: vec![name],
        ..florin_store::Wanted::default()
    };
    let found = reader.door.doors.store.load(&wanted).await?;
    Ok(!found.keys.is_empty() || !found.orders.is_empty())
}

/// Asks the engine.
pub(super) async fn ask(reader: &Reader<'_>, key: Option<IdemKey>, what: What) -> Result<Answered, Wrong> {
    Ok(reader
        .door
        .doors
        .engine
        .ask(Ask {
            tenant: reader.tenant,
            key,
            what,
        })
        .await?)
}

/// Asks the engine, and says its refusal in Stripe's words.
async fn ask_or(
    reader: &Reader<'_>,
    key: Option<IdemKey>,
    what: What,
    verb: &str,
    param: &str,
) -> Result<Answered, Wrong> {
    match reader
        .door
        .doors
        .engine
        .ask(Ask {
            tenant: reader.tenant,
            key,
            what,
        })
        .await
    {
        Ok(answered) => Ok(answered),
        Err(Denied::Refused {
            refusal,
            order,
            replayed,
        }) => {
            let wrong = match &refusal {
                Refusal::TooMuch { asked, available } => too_much(*asked, *available).at(param),
                Refusal::NotPositive => Wrong::invalid("This value must be greater than or equal to 1.")
                    .code("parameter_invalid_integer")
                    .at(param),
                Refusal::Unsupported => {
                    Wrong::invalid(format!("The provider of this payment cannot do this: {refusal}")).at(param)
                }
                Refusal::StepInFlight => busy(),
                _ => return Err(unexpected(reader, &order, verb, replayed).await?),
            };
            Err(with_intent(reader, &order, wrong, replayed).await?)
        }
        Err(denied) => Err(denied.into()),
    }
}

fn too_much(asked: Money, available: Money) -> Wrong {
    Wrong::invalid(format!(
        "The requested amount ({asked}) is greater than the amount that is available ({available})."
    ))
    .code("amount_too_large")
}

fn busy() -> Wrong {
    let message = "This object cannot be accessed right now because another API request or Stripe process is currently accessing it.";
    Wrong::later(429, message, 1).code("lock_timeout")
}

fn without_method() -> Wrong {
    let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent \
                   with a payment method and then confirm it again, or confirm it again directly with a payment method.";
    Wrong::invalid(message).code("payment_intent_unexpected_state")
}

/// An intent that is not in a state for what was asked.
pub(super) async fn unexpected(reader: &Reader<'_>, view: &View, verb: &str, replayed: bool) -> Result<Wrong, Wrong> {
    let status = shape::intent_status(&Seen::new(view));
    let only = match verb {
        "captured" => " Only a PaymentIntent with one of the following statuses may be captured: requires_capture.",
        _ => "",
    };
    let message = format!("This PaymentIntent could not be {verb} because it has a status of {status}.{only}");
    with_intent(
        reader,
        view,
        Wrong::invalid(message).code("payment_intent_unexpected_state"),
        replayed,
    )
    .await
}

/// The error, with the intent that it is about.
async fn with_intent(reader: &Reader<'_>, view: &View, wrong: Wrong, replayed: bool) -> Result<Wrong, Wrong> {
    let seen = reader.seen(view).await?;
    let mut wrong = wrong.with("payment_intent", shape::intent::shape(&seen, reader.scene()));
    wrong.replayed = replayed;
    Ok(wrong)
}

/// A call whose twin still waits is not answered; one whose twin was answered with the object as it stood is answered so too.
pub(super) fn settled(answered: &Answered, now: Timestamp) -> Result<(), Wrong> {
    if answered.state == CallState::Over || !answered.replayed {
        return Ok(());
    }
    let order = &answered.order.order;
    let began = answered.step.and_then(|step| match step.kind {
        StepKind::Authorize => order.attempt(step.attempt).map(|(_, attempt)| attempt.started_at),
        StepKind::Cancel
        | StepKind::Reverse
        | StepKind::Capture
        | StepKind::Void
        | StepKind::Increment
        | StepKind::Refund => order.open_step(step).map(|(_, since, _)| since),
    });
    if began.is_none_or(|began| now.millis_since(began) >= ANSWERED_MS) {
        return Ok(());
    }
    let message = "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and \
                   the other request is still going through): please try again later.";
    Err(Wrong::later(409, message, 1).code("idempotency_key_in_use"))
}

/// The answer to a call that tried to pay: the intent, or why the card was refused.
async fn tried(reader: &Reader<'_>, answered: Answered, given: &Given) -> Result<Answer, Wrong> {
    settled(&answered, reader.scene().now)?;
    let seen = reader.seen(&answered.order).await?;
    let tried = answered.step.map(|step| step.attempt);
    if let Some((attempt, why)) = seen.last_decline().filter(|(attempt, _)| Some(attempt.number) == tried) {
        return Err(refused(&seen, reader.scene(), attempt, why, answered.replayed));
    }
    finish(
        reader,
        shape::intent::shape(&seen, reader.scene()),
        given,
        answered.replayed,
    )
    .await
}

/// The error of a try that was refused.
pub(super) fn refused(
    seen: &Seen<'_>,
    scene: shape::Scene<'_>,
    attempt: &florin_core::order::Attempt,
    why: &florin_core::decline::Decline,
    replayed: bool,
) -> Wrong {
    let said = super::decline::said(why);
    let (status, kind) = if said.decline_code.is_some() {
        (402, WrongKind::Card)
    } else {
        (400, WrongKind::Request)
    };
    let mut wrong = Wrong::new(status, kind, said.message).code(said.code);
    if let Some(members) = shape::decline_members(seen, scene, attempt, why).as_object() {
        for name in ["decline_code", "charge", "payment_method"] {
            if let Some(value) = members.get(name) {
                wrong = wrong.with(name, value.clone());
            }
        }
    }
    wrong.replayed = replayed;
    wrong.with("payment_intent", shape::intent::shape(seen, scene))
}

/// The answer: what the caller asked to see in it, and whether it was given before.
pub(super) async fn finish(
    reader: &Reader<'_>,
    mut object: Value,
    given: &Given,
    replayed: bool,
) -> Result<Answer, Wrong> {
    expand::expand(reader, &mut object, &given.texts("expand")).await?;
    Ok(Answer { object, replayed })
}

/// What a search asks for: `metadata['cart']:'17' AND status:'succeeded'`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Clauses {
    metadata: Vec<(String, String)>,
    customer: Option<String>,
    status: Option<String>,
    currency: Option<String>,
    amount: Option<i64>,
}

impl Clauses {
    fn parse(query: &str) -> Result<Self, Wrong> {
        let wrong = |clause: &str| {
            let message = format!(
                "We were unable to parse your search query at `{}`. Clauses are metadata['key']:'value', customer:'id', status:'word', \
                 currency:'code' and amount:number, joined by AND.",
                super::form::shown(clause)
            );
            Wrong::invalid(message).at("query")
        };
        let mut clauses = Self::default();
        for clause in split_outside_quotes(query, " AND ") {
            let sides = split_outside_quotes(clause, ":");
            let [name, value] = sides.as_slice() else {
                return Err(wrong(clause));
            };
            let (name, value) = (*name, *value);
            let metadata = name
                .strip_prefix("metadata[")
                .and_then(|rest| rest.strip_suffix(']'))
                .and_then(quoted);
            match (name, metadata, quoted(value)) {
                (_, Some(name), Some(value)) => clauses.metadata.push((name, value)),
                ("customer", _, Some(value)) => clauses.customer = Some(value),
                ("status", _, Some(value)) => clauses.status = Some(value),
                ("currency", _, Some(value)) => clauses.currency = Some(value.to_ascii_lowercase()),
                ("amount", _, None) => clauses.amount = Some(value.parse().map_err(|_| wrong(clause))?),
                (_, _, _) => return Err(wrong(clause)),
            }
        }
        Ok(clauses)
    }

    fn holds(&self, intent: &Value) -> bool {
        let is = |name: &str, wanted: &Option<String>| wanted.as_deref().is_none_or(|wanted| intent[name] == wanted);
        is("status", &self.status)
            && is("currency", &self.currency)
            && self.amount.is_none_or(|amount| intent["amount"] == amount)
    }
}

/// The pieces between separators that stand in no quotes, without the white space around them.
fn split_outside_quotes<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut pieces, mut begin, mut quote, mut escaped) = (Vec::new(), 0, None, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, _) if at >= begin && text[at..].starts_with(separator) => {
                pieces.push(text[begin..at].trim());
                begin = at + separator.len();
            }
            (None, _) => {}
        }
    }
    pieces.push(text[begin..].trim());
    pieces
}

/// What stands in quotes; a quote within is written with a backslash before it.
fn quoted(text: &str) -> Option<String> {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    let inside = inside('\'').or_else(|| inside('"'))?;
    let (mut plain, mut letters) = (String::new(), inside.chars());
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next()? } else { letter });
    }
    Some(plain)
}

/// The order behind an intent's or charge's id, for other routes.
pub(super) fn order_of(intent: Option<&str>, charge: Option<&str>) -> Option<OrderId> {
    let by_intent = intent.and_then(|id| ids::order_of("pi", id));
    by_intent.or_else(|| charge.and_then(|id| ids::part_of("ch", id)).map(|(order, _)| order))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_reads_what_stands_in_quotes_as_it_is() {
        let clauses = Clauses::parse(r#"metadata['a:b']:'o\'neil AND "sons"'  AND  customer:"cus_1""#).unwrap();
        let metadata = [("a:b".to_owned(), r#"o'neil AND "sons""#.to_owned())];
        assert_eq!(
            (clauses.metadata.as_slice(), clauses.customer.as_deref()),
            (metadata.as_slice(), Some("cus_1"))
        );
        for odd in [
            "status:'a",
            "status:'a\\",
            "status",
            "",
            "status:'a' AND ",
            "a:b:c",
            "status:'a''b",
        ] {
            assert!(Clauses::parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_search_reads_as_stripe_writes_it() {
        let clauses = Clauses::parse("metadata['order']:'A-17' AND status:\"succeeded\" AND amount:1099").unwrap();
        assert_eq!(clauses.metadata, [("order".to_owned(), "A-17".to_owned())]);
        assert_eq!(
            (clauses.status.as_deref(), clauses.amount),
            (Some("succeeded"), Some(1099))
        );
        for odd in [
            "",
            "colour:'red'",
            "metadata[x]:'1'",
            "status:succeeded",
            "amount>10",
            "status:'a' OR status:'b'",
        ] {
            assert_eq!(
                Clauses::parse(odd).unwrap_err().param.as_deref(),
                Some("query"),
                "{odd}"
            );
        }
    }
}
