//! The simulated card issuer of `florin dev`: a direct card rail, and the example of `docs/adding-a-rail.md`.
//!
//! ```text
//! authorize ▸ done, or challenge ▸ authorize_3ds ▸ done          capture, cancel, refund ▸ done
//! silence ▸ look ▸ done, or unknown ▸ look_last ▸ done           Reverse: look ▸ cancel or refund, whatever is needed
//! ```
//!
//! Every message has a key, so it may be repeated, and the issuer can be asked what became of a key. That it knows nothing of one proves
//! something only when no copy of the message can be under way any more: after the wait `unknown`.
//!
//! What happens later by itself the issuer tells by a notice: a dispute by the authorisation, a refund by our own name of the step, which
//! the issuer was given. A notice only makes us look: `look_finished` asks how the message's key stands, and an authorisation says what of
//! it is disputed, by the issuer's name of each dispute.
//!
//! In this small world the payer's word is the authentication: whoever comes back with `result=passed` has passed.

use std::borrow::Cow;

use florin_core::decline::{Code, Decline, Retry};
use florin_core::id::Key;
use florin_core::money::Money;
use florin_core::order::StepName;
use florin_core::rail::{
    About, Account, Action, Body, Can, Event, Exchange, Happened, Heard, Instrument, Item, Listed, Memo, Method, Next,
    Notice, Opened, Outcome, Payment, Rail, Repeat, Reply, Report, Step, Table, Task, Turn, Unfit, Unsupported, What,
    Why,
};
use florin_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::{address, come_back, cut, safe_id};
use crate::memo;
use crate::signed;
use crate::turn::{QUESTIONS, asking, declined, done, stuck, unknown, wait};

/// The rail `issuer`.
#[derive(Debug)]
pub struct Issuer;

static TABLE: Table = Table {
    name: "issuer",
    steps: &[
        Can::whole(Step::Sale),
        Can::whole(Step::Authorize),
        Can::part(Step::Capture),
        Can::whole(Step::Void),
        Can::whole(Step::Cancel),
        Can::whole(Step::Reverse),
        Can::parts(Step::Refund),
    ],
    currencies: &[],
    hosts: &["loopback"],
    secrets: &["webhook_secret"],
    exchanges: &[
        "authorize",
        "authorize_3ds",
        "capture",
        "cancel",
        "refund",
        "look",
        "look_last",
        "look_finished",
    ],
    waits: &[
        "challenge",
        "processing",
        "unknown",
        "undoing",
        "asking",
        "stuck",
        "finished",
    ],
    refs: &["authorization"],
    remembers_s: REMEMBERS_S,
    refund_days: 365,
};

/// The issuer's book remembers every key; a day is plenty.
const REMEMBERS_S: u32 = 24 * 3600;
const EVERY_S: u32 = 2;
/// A test card of the issuer brings its refund to an end within seconds.
const REFUND_S: u32 = 3600;
/// Where a person finds out.
const PERSON: &str = "the issuer does not tell how this step stands: look into its book by the key";
const CHALLENGE_S: u32 = 24 * 3600;
/// Nobody is asked while the payer is challenged: the issuer does not know.
const CHALLENGE_TICK: &[u32] = &[CHALLENGE_S];

impl Rail for Issuer {
    fn table(&self) -> &'static Table {
        &TABLE
    }

    fn start(&self, task: &Task) -> Result<Turn, Unsupported> {
        let nothing = || cannot("the issuer has no authorisation of this attempt");
        match task.step {
            Step::Sale | Step::Authorize => {
                let Instrument::Stored(card) = &task.instrument else {
                    return Err(cannot("it has no page of its own: name a test card such as card_visa"));
                };
                if !task.money.is_positive() {
                    let of = Unfit::Amount;
                    return Err(Unsupported {
                        of,
                        ..cannot("an amount must be more than zero")
                    });
                }
                Ok(authorize(task, "authorize", card, "none"))
            }
            Step::Capture => operate(task, "capture", task.money).ok_or_else(nothing),
            Step::Refund => operate(task, "refund", task.money).ok_or_else(nothing),
            Step::Void => operate(task, "cancel", task.money).ok_or_else(nothing),
            Step::Cancel | Step::Reverse => Ok(look(task, "look")),
            Step::Verify | Step::Increment | Step::Payout => Err(cannot("the issuer has no such step")),
        }
    }

    fn read(&self, task: &Task, exchange: &str, heard: Heard<'_>) -> Turn {
        let asked = exchange.starts_with("look");
        match heard {
            Heard::Reply(reply) if reply.status == 429 => Turn::new(Next::Again {
                after_s: come_back(reply),
            }),
            Heard::Reply(reply) if reply.status == 200 => match serde_json::from_slice(&reply.body) {
                Ok(answer) => judge(task, exchange, &answer, reply.again),
                Err(_) => unclear(task, exchange),
            },
            Heard::Reply(Reply { status: 404, .. }) if exchange == "look_last" => never(task),
            Heard::Reply(Reply {
                status: 400 | 404 | 422,
                again: false,
                ..
            }) if !asked => declined(task, Decline::new(Code::ProcessingError)),
            Heard::Unsent if !asked => declined(task, Decline::new(Code::ProcessingError)),
            Heard::Silence if !asked => look(task, "look"),
            Heard::Reply(_) | Heard::Silence | Heard::Unsent => unclear(task, exchange),
        }
    }

    fn wake(&self, task: &Task, wait: &str, event: Event<'_>) -> Turn {
        match (wait, event) {
            ("challenge", Event::Back(params)) => match (params.get("result").map(String::as_str), &task.instrument) {
                (Some(result @ ("passed" | "failed")), Instrument::Stored(card)) => {
                    authorize(task, "authorize_3ds", card, result)
                }
                (_, Instrument::Stored(_) | Instrument::Hosted) => challenge(task),
            },
            // Nothing is held, and only we could go on: this is the end.
            ("challenge", Event::Over) => declined(task, Decline::new(Code::PayerTimeout)),
            ("challenge", Event::Told(_) | Event::Tick) => challenge(task),
            ("processing" | "unknown" | "undoing", Event::Over) => look(task, "look_last"),
            ("processing" | "unknown" | "undoing", Event::Back(_) | Event::Told(_) | Event::Tick) => look(task, "look"),
            ("asking", Event::Over) => stuck(task, PERSON),
            ("finished", _) => look(task, "look_finished"),
            (_, Event::Back(_) | Event::Told(_) | Event::Tick | Event::Over) => look(task, "look_last"),
        }
    }

    fn open(&self, notice: &Notice) -> Opened {
        Opened {
            checks: signed::checks(notice, "issuer-signature"),
            items: serde_json::from_slice::<Told>(&notice.body)
                .ok()
                .and_then(Told::item)
                .into_iter()
                .collect(),
        }
    }

    fn list(&self, account: &Account, _: Timestamp, after: Option<&str>) -> Option<Exchange> {
        let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
        let mut exchange = asking_of(account, "list", &format!("/totals?limit=1000{after}"));
        exchange.asks = true;
        Some(exchange)
    }

    fn listed(&self, reply: &Reply) -> Option<Listed> {
        let page: Totals = serde_json::from_slice(&reply.body)
            .ok()
            .filter(|_| reply.status == 200)?;
        let next = page
            .has_more
            .then(|| page.data.last().map(|total| total.authorization.clone()))
            .flatten();
        let payments = page.data.iter().map(Total::payment).collect::<Option<_>>()?;
        Some(Listed { payments, next })
    }
}

fn cannot(why: &str) -> Unsupported {
    let why = why.to_owned();
    let (rail, of) = (TABLE.name, Unfit::Method);
    Unsupported { rail, of, why }
}

// ---- said -----------------------------------------------------------------------------------------------------------------------

/// Asks for money: a sale is captured at once.
fn authorize(task: &Task, name: &'static str, card: &str, three_ds: &str) -> Turn {
    let mut body = json!({
        "card": card.strip_prefix("pm_").unwrap_or(card),
        "amount": task.money.minor(),
        "currency": task.money.currency(),
        "capture": task.step == Step::Sale,
        "three_ds": three_ds,
    });
    if let Some(text) = &task.payer.description {
        body["description"] = json!(text);
    }
    let mut turn = post(task, name, "/authorizations", body);
    memo::learn(&mut turn, task, "decides", name.to_owned());
    memo::learn_own(&mut turn, task, "three_ds", three_ds);
    turn
}

/// A step on the attempt's authorisation, if the memo knows it.
fn operate(task: &Task, name: &'static str, money: Money) -> Option<Turn> {
    let id = memo::id(task, "authorization")?;
    let body = match name {
        "capture" => json!({ "amount": money.minor(), "final": true }),
        // It may end otherwise than it began: the issuer tells of it by this name.
        "refund" => json!({ "amount": money.minor(), "reference": task.key.to_string() }),
        _ => json!({}),
    };
    Some(post(task, name, &format!("/authorizations/{id}/{name}"), body))
}

/// What became of the message that this step sent, or of the attempt that it is to undo?
fn look(task: &Task, name: &'static str) -> Turn {
    let key = match memo::own(task, "sent") {
        Some(sent) => task.key.uuid(sent),
        None => attempt(task).uuid(task.memo.get("decides").map_or("authorize", String::as_str)),
    };
    let mut exchange = exchange(task, name, &format!("/by-key/{key}"));
    exchange.asks = true;
    Turn::new(Next::Send(exchange))
}

fn attempt(task: &Task) -> Key {
    Key::new(task.key.order(), StepName::authorize(task.key.step().attempt))
}

fn post(task: &Task, name: &'static str, path: &str, mut body: Value) -> Turn {
    body["key"] = json!(task.key.uuid(name).to_string());
    let mut exchange = exchange(task, name, path);
    exchange.method = Method::Post;
    exchange.body = Body::Json(body);
    let mut turn = Turn::new(Next::Send(exchange));
    memo::learn_own(&mut turn, task, "sent", name);
    turn
}

fn exchange(task: &Task, name: &'static str, path: &str) -> Exchange {
    asking_of(&task.account, name, path)
}

fn asking_of(account: &Account, name: &'static str, path: &str) -> Exchange {
    Exchange {
        name: Cow::Borrowed(name),
        method: Method::Get,
        url: address(account, path),
        headers: Vec::new(),
        body: Body::None,
        repeat: Repeat::Same {
            every_s: EVERY_S,
            for_s: REMEMBERS_S,
        },
        asks: false,
    }
}

// ---- heard ----------------------------------------------------------------------------------------------------------------------

/// A page of the issuer's totals.
#[derive(Deserialize)]
struct Totals {
    data: Vec<Total>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Total {
    authorization: String,
    currency: String,
    authorized: i64,
    captured: i64,
    released: i64,
    refunded: i64,
    refund_pending: i64,
    disputed: i64,
}

impl Total {
    fn payment(&self) -> Option<Payment> {
        let currency = self.currency.parse().ok()?;
        let back = self
            .refunded
            .checked_add(self.refund_pending)?
            .checked_add(self.disputed)?;
        let used = self.captured.checked_add(self.released)?;
        Some(Payment {
            id: self.authorization.clone(),
            key: None, // the issuer keeps the key of a message, which does not lead back to its step
            taken: Money::new(self.captured.checked_sub(back)?, currency),
            disputes: true,
            held: Money::new(self.authorized.checked_sub(used)?, currency),
        })
    }
}

/// Something happened later: where to look.
#[derive(Deserialize)]
struct Told {
    id: String,
    kind: String,
    authorization: String,
    reference: Option<String>,
}

impl Told {
    fn item(self) -> Option<Item> {
        let named = self.reference.and_then(|name| name.parse::<Key>().ok());
        let known = || safe_id(&self.authorization).then(|| About::Ref("authorization".to_owned(), self.authorization));
        Some(Item {
            about: named.map(About::Key).or_else(known).unwrap_or(About::Nobody),
            kind: cut(&self.kind),
            facts: Memo::new(),
            id: Some(self.id).filter(|id| safe_id(id))?,
        })
    }
}

/// An authorisation, as it was answered or as it stands, or a step on one.
#[derive(Deserialize)]
struct Answer {
    id: String,
    status: String,
    currency: String,
    code: String,
    amount: Option<i64>,
    moved: Option<i64>,
    #[serde(default)]
    captured: i64,
    #[serde(default)]
    released: i64,
    #[serde(default)]
    refunded: i64,
    #[serde(default)]
    refund_pending: i64,
    #[serde(default)]
    disputed: i64,
    #[serde(default)]
    disputes: Vec<Dispute>,
}

/// What the cardholder took back, or tried to.
#[derive(Deserialize)]
struct Dispute {
    id: String,
    amount: i64,
    reason: Option<String>,
    status: String,
}

impl Answer {
    fn money(&self, minor: i64) -> Option<Money> {
        let currency = self.currency.parse().ok()?;
        (minor >= 0).then(|| Money::new(minor, currency))
    }

    /// The disputes. None: not all of it reads.
    fn disputes(&self) -> Option<Vec<Happened>> {
        let happened = |dispute: &Dispute| {
            let what = match dispute.status.as_str() {
                "open" => What::DisputeOpened,
                "won" => What::DisputeWon,
                "lost" => What::DisputeLost,
                _ => return None,
            };
            Some(Happened {
                id: Some(&dispute.id).filter(|id| safe_id(id))?.clone(),
                what,
                money: self.money(dispute.amount)?,
            })
        };
        self.disputes.iter().map(happened).collect()
    }

    /// Still held.
    fn held(&self) -> i64 {
        self.amount
            .unwrap_or(0)
            .saturating_sub(self.captured)
            .saturating_sub(self.released)
    }

    /// Taken, and neither back nor on its way back.
    fn left(&self) -> i64 {
        self.captured
            .saturating_sub(self.refunded)
            .saturating_sub(self.refund_pending)
            .saturating_sub(self.disputed)
    }
}

fn judge(task: &Task, exchange: &str, answer: &Answer, again: bool) -> Turn {
    let judged = match (task.step, answer.moved) {
        (Step::Sale | Step::Authorize, None) => authorized(task, exchange, answer),
        (Step::Cancel | Step::Reverse, None) => stands(task, answer),
        (Step::Capture | Step::Void | Step::Refund | Step::Reverse, Some(moved)) => operated(task, answer, moved),
        _ => None,
    };
    let turn = judged.unwrap_or_else(|| unclear(task, exchange));
    // An earlier copy of the message may have been answered otherwise: a no is believed when it was asked for.
    if again && !exchange.starts_with("look") && is_no(&turn) {
        return look(task, "look");
    }
    turn
}

fn is_no(turn: &Turn) -> bool {
    matches!(&turn.next, Next::Done(report) if matches!(report.outcome, Outcome::Declined(_)))
}

/// How the attempt stands. None: the words prove nothing.
fn authorized(task: &Task, exchange: &str, answer: &Answer) -> Option<Turn> {
    let three_ds = memo::own(task, "three_ds");
    let mut turn = match answer.status.as_str() {
        "approved" if task.step == Step::Sale => over(task, Outcome::Moved, answer.money(answer.captured)?),
        "approved" => over(task, Outcome::Held { until: None }, answer.money(answer.amount?)?),
        "declined" if three_ds == Some("failed") => declined(task, Decline::new(Code::AuthenticationFailed)),
        "declined" => {
            let no = Decline::from_table("iso8583_de39", &answer.code)?;
            if no.class == Retry::Unknown && !exchange.starts_with("look") {
                return None;
            }
            declined(task, no)
        }
        "challenge" if three_ds == Some("none") => challenge(task),
        _ => return None,
    };
    if !safe_id(&answer.id) {
        return None;
    }
    if let Next::Done(report) = &mut turn.next {
        report.also = answer.disputes()?;
    }
    let reasons = answer.disputes.iter();
    let reasons = reasons.map(|dispute| (&*dispute.id, dispute.reason.as_deref().unwrap_or_default()));
    memo::learn_reasons(&mut turn, task, reasons);
    memo::learn(&mut turn, task, "authorization", answer.id.clone());
    Some(turn)
}

/// What stands of an attempt that is to be undone, and so what comes next.
fn stands(task: &Task, answer: &Answer) -> Option<Turn> {
    let known = memo::known(
        task,
        &Turn::new(Next::Unclear).learning("authorization", answer.id.as_str()),
    );
    let nothing = || Some(over(task, Outcome::Released, task.money.with_minor(0)));
    match answer.status.as_str() {
        "declined" | "challenge" => nothing(),
        "approved" if task.step == Step::Cancel => declined(task, Decline::new(Code::Unsupported)).into(),
        "approved" if answer.held() > 0 => operate(&known, "cancel", task.money),
        "approved" if answer.left() > 0 => operate(&known, "refund", answer.money(answer.left())?),
        "approved" => nothing(),
        _ => None,
    }
}

/// How a step on an authorisation stands.
fn operated(task: &Task, answer: &Answer, moved: i64) -> Option<Turn> {
    let undoes = matches!(task.step, Step::Void | Step::Reverse);
    let was_done = matches!(memo::own(task, "stood"), Some("moved" | "released" | "returned"));
    let no = || Decline {
        raw: cut(&answer.code),
        ..Decline::new(Code::Unsupported)
    };
    match answer.status.as_str() {
        "done" if undoes => Some(over(task, Outcome::Released, answer.money(moved)?)),
        "done" => Some(over(task, Outcome::Moved, answer.money(moved)?)),
        "pending" => Some(wait(task, "processing", Why::Provider, QUESTIONS, REFUND_S)),
        "failed" if was_done => Some(over(task, Outcome::Returned(cut(&answer.code)), task.money)),
        "failed" | "refused" => Some(declined(task, no())),
        _ => None,
    }
}

/// The issuer knows nothing of the message, and no copy of it can be under way any more.
fn never(task: &Task) -> Turn {
    match (task.step, memo::own(task, "sent")) {
        (Step::Cancel | Step::Reverse, None) => over(task, Outcome::Released, task.money.with_minor(0)),
        _ => declined(task, Decline::new(Code::ProcessingError)),
    }
}

/// The payer must pass a challenge, on the page that the account's settings name.
fn challenge(task: &Task) -> Turn {
    let path = task.urls.back.split(['?', '#']).next().unwrap_or_default();
    let token = path.rsplit('/').next().unwrap_or_default();
    match task.account.settings.get("challenge_base") {
        Some(base) if safe_id(token) => {
            let url = format!("{}/challenge/{token}", base.trim_end_matches('/'));
            wait(
                task,
                "challenge",
                Why::Payer(Action::Redirect { url }),
                CHALLENGE_TICK,
                CHALLENGE_S,
            )
        }
        // Nobody can show the challenge, so nobody will pass it.
        Some(_) | None => declined(task, Decline::new(Code::AuthenticationRequired)),
    }
}

/// Nothing is proven: where the step goes on waiting.
fn unclear(task: &Task, exchange: &str) -> Turn {
    match (exchange, memo::own(task, "at")) {
        ("look", Some("processing")) => wait(task, "processing", Why::Provider, QUESTIONS, REFUND_S),
        // A reversal looks first; what it then sends may be lost as well.
        ("look", _) if task.step == Step::Reverse && memo::own(task, "sent").is_some() => unknown(task, "undoing"),
        ("look", _) => unknown(task, "unknown"),
        ("look_last", _) => asking(task, PERSON),
        _ => Turn::new(Next::Unclear),
    }
}

fn over(task: &Task, outcome: Outcome, money: Money) -> Turn {
    done(task, Report::new(outcome, Some(money)))
}
