//! What we say to Stripe: one function an exchange.
//!
//! Each message that changes something carries a key of its own, made from step and exchange, so the very same bytes may go again for as
//! long as Stripe remembers the key. Each one that asks is a GET and is not written down before it is sent.

use std::borrow::Cow;

use florin_core::id::Key;
use florin_core::order::StepName;
use florin_core::rail::{Account, Body, Exchange, Field, Line, Method, Name, Part, Repeat, Reply, Step, Task};
use florin_core::time::Timestamp;

use super::money::{code, to_wire};
use crate::http::{address, safe_id, sent_at};
use crate::memo;

/// The version that pins the shape of every object.
const VERSION: &str = "2026-10-28.endive";
/// Stripe keeps an idempotency key for 24 hours at least; we stop an hour before.
pub(super) const REMEMBERS_S: u32 = 23 * 3600;
/// The gap between two copies of one message.
const EVERY_S: u32 = 5;
/// A question may be repeated for as long as anybody could want the answer.
const ASKS_FOR_S: u32 = 72 * 3600;
/// A page of Checkout lives no shorter than this …
const PAGE_S_MIN: i64 = 30 * 60;
/// … and no longer; a minute is left for the way there, because Stripe measures when it arrives.
const PAGE_S_MAX: i64 = 24 * 3600;
const ON_THE_WAY_S: i64 = 60;
/// Stripe takes a hundred lines.
const LINES_MAX: usize = 100;
/// Longest name of a thing that is bought, on the page.
const NAME_CHARS_MAX: usize = 250;
/// What the page shows when the merchant says nothing.
const NAMELESS: &str = "Payment";
/// Objects within an intent that a judgement needs.
const INSIDE: [&str; 2] = ["latest_charge.balance_transaction", "latest_charge.refunds"];
/// How far a list is turned back before the moment that we know.
const SLACK_S: i64 = 300;
/// Twice what Stripe admits to.
const SEARCH_LAG_S: i64 = 2 * 3600;

/// A hosted page: `POST /v1/checkout/sessions`.
pub(super) fn session(task: &Task) -> Result<Exchange, String> {
    let mut form = Form::default();
    form.add("mode", "payment");
    form.add("client_reference_id", task.key.to_string());
    form.add("metadata[florin_key]", task.key.to_string());
    form.add("payment_intent_data[metadata][florin_key]", task.key.to_string());
    form.add("payment_intent_data[capture_method]", capture_method(task.step));
    if let Some(text) = &task.payer.description {
        form.add("payment_intent_data[description]", text.clone());
    }
    lines(task, &mut form)?;
    let seam = if task.urls.back.contains('?') { '&' } else { '?' };
    form.add(
        "success_url",
        format!("{}{seam}session_id={{CHECKOUT_SESSION_ID}}", task.urls.back),
    );
    if !task.urls.cancel.is_empty() {
        form.add("cancel_url", task.urls.cancel.clone());
    }
    payer(task, &mut form);
    if let Some(until) = page_until(task) {
        form.add("expires_at", until.to_string());
    }
    form.add("expand[]", "payment_intent");
    Ok(post(task, "session", "/v1/checkout/sessions", form))
}

/// When the page closes by itself, in seconds; none: after Stripe's own time, which is the longest. An order that lives longer than a page may
/// closes it when it is over. It hangs on the moment of asking only in an order's last half hour: whoever asks again, also after a restore,
/// says the same under the same key.
fn page_until(task: &Task) -> Option<i64> {
    let (until, made) = (task.until?.seconds(), order_made(task.key));
    let soonest = task.now.seconds() + PAGE_S_MIN + ON_THE_WAY_S;
    let latest = made + PAGE_S_MAX - ON_THE_WAY_S;
    (until <= latest + 2 * ON_THE_WAY_S).then(|| until.min(latest).max(soonest))
}

/// A direct payment: `POST /v1/payment_intents`, confirmed at once.
pub(super) fn intent(task: &Task, method: &str) -> Result<Exchange, String> {
    let mut form = Form::default();
    form.add("amount", to_wire(task.money)?.to_string());
    form.add("currency", code(task.money.currency()));
    form.add("confirm", "true");
    form.add("payment_method", payment_method(method));
    form.add("capture_method", capture_method(task.step));
    form.add("return_url", task.urls.back.clone());
    form.add("metadata[florin_key]", task.key.to_string());
    if let Some(text) = &task.payer.description {
        form.add("description", text.clone());
    }
    if let Some(customer) = &task.payer.customer {
        form.add("customer", customer.clone());
    }
    form.expand(&INSIDE);
    Ok(post(task, "intent", "/v1/payment_intents", form))
}

/// Take what is held. The note on the intent says that it was us and not somebody at the console.
pub(super) fn capture(task: &Task, intent: &str) -> Result<Exchange, String> {
    let mut form = Form::default();
    form.add("amount_to_capture", to_wire(task.money)?.to_string());
    form.add("metadata[florin_capture]", task.key.to_string());
    form.expand(&INSIDE);
    Ok(post(
        task,
        "capture",
        &format!("/v1/payment_intents/{intent}/capture"),
        form,
    ))
}

/// Give a hold back, or end an intent that nobody has paid yet.
pub(super) fn cancel(task: &Task, intent: &str) -> Exchange {
    let mut form = Form::default();
    form.add(
        "cancellation_reason",
        if task.step == Step::Void {
            "requested_by_customer"
        } else {
            "abandoned"
        },
    );
    form.expand(&INSIDE);
    post(task, "cancel", &format!("/v1/payment_intents/{intent}/cancel"), form)
}

/// Nobody may pay on the page any more.
pub(super) fn expire(task: &Task, session: &str) -> Exchange {
    let mut form = Form::default();
    form.add("expand[]", "payment_intent.latest_charge.balance_transaction");
    post(task, "expire", &format!("/v1/checkout/sessions/{session}/expire"), form)
}

/// Give money back: the amount of the step, or all that is left when an attempt is reversed.
pub(super) fn refund(task: &Task, intent: &str) -> Result<Exchange, String> {
    let mut form = Form::default();
    form.add("payment_intent", intent.to_owned());
    if task.step == Step::Refund {
        form.add("amount", to_wire(task.money)?.to_string());
    }
    form.add("metadata[florin_key]", task.key.to_string());
    Ok(post(task, "refund", "/v1/refunds", form))
}

/// How does the step stand? Asks for what the memo knows by name; an intent whose name was lost with the answer is looked for by ours.
pub(super) fn look(task: &Task, name: &'static str) -> Exchange {
    let path = match Known::of(task) {
        Known::Refund(id) => format!("/v1/refunds/{id}"),
        Known::RefundOf(intent) => format!("/v1/refunds?payment_intent={intent}&limit=100"),
        Known::Session(id) => format!("/v1/checkout/sessions/{id}{}", query("payment_intent.", &INSIDE)),
        Known::Intent(id) => format!("/v1/payment_intents/{id}{}", query("", &INSIDE)),
        Known::Nothing => list(task),
    };
    get(task, name, &path)
}

/// More intents were made since than a list shows: Stripe's search finds ours by our name, a moment later.
pub(super) fn search(task: &Task, name: &'static str) -> Exchange {
    let wanted = format!("metadata%5B%27florin_key%27%5D%3A%27{}%27", attempt_key(task));
    get(
        task,
        name,
        &format!(
            "/v1/payment_intents/search?query={wanted}{}",
            query("data.", &INSIDE).replacen('?', "&", 1)
        ),
    )
}

/// Whether the search shows everything that the attempt could have made: Stripe promises a minute, and an hour in bad times.
pub(super) fn search_is_complete(task: &Task) -> bool {
    task.now.seconds() > began(task).saturating_add(SEARCH_LAG_S)
}

/// Whether our clock and Stripe's are near enough that a list from a moment of ours on shows what was made since. A reply without a moment is
/// not Stripe's own, and is taken by its word.
pub(super) fn means_the_same_moments(task: &Task, reply: &Reply) -> bool {
    sent_at(reply).is_none_or(|there| task.now.millis_since(there).abs() < SLACK_S * 1_000 / 2)
}

/// Intents made since a moment, newest first, with what went back of each.
pub(super) fn everything(account: &Account, since: Timestamp, after: Option<&str>) -> Exchange {
    let after = after.map(|id| format!("&starting_after={id}")).unwrap_or_default();
    let path = format!(
        "/v1/payment_intents?limit=100&created%5Bgte%5D={}{after}&expand%5B%5D=data.latest_charge.refunds",
        since.seconds().max(0)
    );
    asking(account, "list", &path)
}

/// The disputes of this attempt.
pub(super) fn disputes(task: &Task, intent: &str) -> Exchange {
    get(
        task,
        "look_disputes",
        &format!("/v1/disputes?payment_intent={intent}&limit=100"),
    )
}

/// The key that the attempt's first step had: what our mark on its intent says.
pub(super) fn attempt_key(task: &Task) -> Key {
    Key::new(task.key.order(), StepName::authorize(task.key.step().attempt))
}

/// What of the step's we know by Stripe's name.
enum Known<'a> {
    Refund(&'a str),
    RefundOf(&'a str),
    Session(&'a str),
    Intent(&'a str),
    Nothing,
}

impl<'a> Known<'a> {
    fn of(task: &'a Task) -> Self {
        let intent = memo::id(task, "payment_intent");
        let refunding = task.step == Step::Refund || super::sent(task, "refund");
        match (refunding, intent) {
            (true, Some(intent)) => memo::own(task, "refund")
                .filter(|id| safe_id(id))
                .map_or(Self::RefundOf(intent), Self::Refund),
            (false, Some(intent)) if matches!(task.step, Step::Capture | Step::Void) => Self::Intent(intent),
            (_, intent) => memo::id(task, "session")
                .map(Self::Session)
                .or(intent.map(Self::Intent))
                .unwrap_or(Self::Nothing),
        }
    }
}

/// A test method has Stripe's name without its first letters; a stored one has Stripe's own name.
fn payment_method(method: &str) -> String {
    if method.starts_with("pm_") {
        method.to_owned()
    } else {
        format!("pm_{method}")
    }
}

fn capture_method(step: Step) -> &'static str {
    if step == Step::Sale { "automatic" } else { "manual" }
}

fn payer(task: &Task, form: &mut Form) {
    if let Some(customer) = &task.payer.customer {
        form.add("customer", customer.clone());
    } else if let Some(email) = task.payer.email.as_ref().filter(|email| reaches(email)) {
        form.add("customer_email", email.clone());
    }
}

/// Whether Stripe can take it for an e-mail address. For one that it cannot it refuses the whole session; without one the payer is asked.
fn reaches(email: &str) -> bool {
    let (name, host) = email.split_once('@').unwrap_or_default();
    !name.is_empty() && !host.is_empty() && !host.contains('@') && !email.contains(char::is_whitespace)
}

/// The lines of the order where they add up to its amount and can be written; else one line for all of it.
fn lines(task: &Task, form: &mut Form) -> Result<(), String> {
    let all = [Line {
        name: task.payer.description.clone().unwrap_or_default(),
        quantity: 1,
        unit: task.money,
    }];
    let lines = if itemised(task) {
        &task.payer.lines[..]
    } else {
        &all[..]
    };
    for (at, line) in lines.iter().enumerate() {
        let name: String = line.name.trim().chars().take(NAME_CHARS_MAX).collect();
        let name = if name.is_empty() { NAMELESS.to_owned() } else { name };
        form.add(
            format!("line_items[{at}][price_data][currency]"),
            code(line.unit.currency()),
        );
        form.add(
            format!("line_items[{at}][price_data][unit_amount]"),
            to_wire(line.unit)?.to_string(),
        );
        form.add(format!("line_items[{at}][price_data][product_data][name]"), name);
        form.add(format!("line_items[{at}][quantity]"), line.quantity.to_string());
    }
    Ok(())
}

fn itemised(task: &Task) -> bool {
    let lines = &task.payer.lines;
    let sum = lines.iter().try_fold(task.money.with_minor(0), |sum, line| {
        let price = line.unit.minor().checked_mul(i64::from(line.quantity))?;
        sum.plus(line.unit.with_minor(price)).ok()
    });
    (1..=LINES_MAX).contains(&lines.len())
        && sum == Some(task.money)
        && lines.iter().all(|line| line.quantity > 0 && to_wire(line.unit).is_ok())
}

/// Intents made since the attempt began, newest first.
fn list(task: &Task) -> String {
    let since = began(task).saturating_sub(SLACK_S).max(0);
    let inside = query("data.", &INSIDE).replacen('?', "&", 1);
    format!("/v1/payment_intents?limit=100&created%5Bgte%5D={since}{inside}")
}

/// When the attempt's first message was made, in seconds; if that is not known, when the order was.
fn began(task: &Task) -> i64 {
    memo::number(task, "started").unwrap_or_else(|| order_made(task.key))
}

/// A version 7 UUID begins with the millisecond in which it was made.
pub(super) fn order_made(key: Key) -> i64 {
    i64::try_from(key.order().uuid().as_u128() >> 80).map_or(0, |ms| ms / 1000)
}

fn query(within: &str, expand: &[&str]) -> String {
    let pairs: Vec<_> = expand
        .iter()
        .map(|path| format!("expand%5B%5D={within}{path}"))
        .collect();
    format!("?{}", pairs.join("&"))
}

#[derive(Default)]
struct Form(Vec<Field>);

impl Form {
    fn add(&mut self, name: impl Into<Name>, value: impl Into<Cow<'static, str>>) {
        self.0.push((name.into(), value.into()));
    }

    fn expand(&mut self, paths: &[&'static str]) {
        for path in paths {
            self.add("expand[]", *path);
        }
    }
}

fn post(task: &Task, name: &'static str, path: &str, form: Form) -> Exchange {
    let mut exchange = get(task, name, path);
    exchange.method = Method::Post;
    let key = task.key.uuid(name).to_string();
    exchange
        .headers
        .push((Cow::Borrowed("idempotency-key"), vec![Part::Text(key.into())]));
    exchange.body = Body::Form(form.0);
    exchange.repeat = Repeat::Same {
        every_s: EVERY_S,
        for_s: REMEMBERS_S,
    };
    exchange.asks = false;
    exchange
}

fn get(task: &Task, name: &'static str, path: &str) -> Exchange {
    asking(&task.account, name, path)
}

fn asking(account: &Account, name: &'static str, path: &str) -> Exchange {
    Exchange {
        name: Cow::Borrowed(name),
        method: Method::Get,
        url: address(account, path),
        headers: vec![
            (
                Cow::Borrowed("authorization"),
                vec![Part::Text("Bearer ".into()), Part::Secret(Cow::Borrowed("api_key"))],
            ),
            (Cow::Borrowed("stripe-version"), vec![Part::Text(VERSION.into())]),
        ],
        body: Body::None,
        repeat: Repeat::Same {
            every_s: EVERY_S,
            for_s: ASKS_FOR_S,
        },
        asks: true,
    }
}
