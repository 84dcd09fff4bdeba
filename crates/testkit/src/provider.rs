//! A provider that speaks as Stripe does, with a book of its own. Pure: one request in, one reply out, time is an argument.
//!
//! It shares no code with the rail that it is spoken to by: what moved is what its [`Provider::book`] says. The simulator calls it
//! directly, the engine's tests put a socket in front of it. It knows what a payment needs (intents, hosted pages, captures, cancels,
//! refunds, disputes, keys) and refuses everything else with 404.

mod book;
mod objects;
mod page;

use std::collections::BTreeMap;

use florin_core::id::Key;
use florin_core::time::Timestamp;
use serde_json::{Value, json};

pub use book::{Booked, Moved, Stands};
use objects::{Dispute, Intent, Refund, Session, Status};

/// How long an idempotency key is remembered.
const KEYS_S: i64 = 24 * 3_600;
/// How long a hold stands.
const HOLD_S: i64 = 7 * 24 * 3_600;

/// A request, as far as the provider looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query: `/v1/payment_intents?limit=1`.
    pub path: String,
    /// The header `Idempotency-Key`.
    pub key: Option<String>,
    /// The form's fields.
    pub form: Vec<(String, String)>,
}

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Value,
    /// It was said before, under the same key.
    pub replayed: bool,
}

/// The provider.
pub struct Provider {
    base: String,
    intents: BTreeMap<String, Intent>,
    sessions: BTreeMap<String, Session>,
    refunds: BTreeMap<String, Refund>,
    disputes: BTreeMap<String, Dispute>,
    keys: BTreeMap<String, (Timestamp, Asked, Said)>,
    book: Vec<Booked>,
    events: Vec<Value>,
    numbers: u64,
    /// Refunds stay pending until [`Provider::settle_refunds`].
    pub refunds_pend: bool,
    /// The first answer about an authorisation states this much less (or more) than was asked.
    pub misstates_by: i64,
}

impl Provider {
    /// A provider at `base`: `http://127.0.0.1:4003`.
    pub fn new(base: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            intents: BTreeMap::new(),
            sessions: BTreeMap::new(),
            refunds: BTreeMap::new(),
            disputes: BTreeMap::new(),
            keys: BTreeMap::new(),
            book: Vec::new(),
            events: Vec::new(),
            numbers: 0,
            refunds_pend: false,
            misstates_by: 0,
        }
    }

    /// Carries out a request.
    pub fn ask(&mut self, asked: &Asked, now: Timestamp) -> Said {
        self.passes(now);
        let key = asked.key.clone().filter(|_| asked.method == "POST");
        if let Some((at, before, said)) = key.as_ref().and_then(|key| self.keys.get(key))
            && now.millis_since(*at) < KEYS_S * 1_000
        {
            if before.path != asked.path || before.form != asked.form {
                return problem(400, "idempotency_error", "idempotency_error", json!({}));
            }
            return Said {
                replayed: true,
                ..said.clone()
            };
        }
        let said = self.carry_out(asked, now);
        // Mistakes are not kept: nothing was done.
        let kept = said.status < 400 || said.status == 402;
        if let Some(key) = key.filter(|_| kept) {
            self.keys.insert(key, (now, asked.clone(), said.clone()));
        }
        said
    }

    fn carry_out(&mut self, asked: &Asked, now: Timestamp) -> Said {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let form = Form(&asked.form);
        match (asked.method.as_str(), &parts[..]) {
            ("POST", ["payment_intents"]) => self.make_intent(form, now),
            ("GET", ["payment_intents"]) => self.list_intents(query),
            ("GET", ["payment_intents", id]) => self.show_intent(id),
            ("POST", ["payment_intents", id, "capture"]) => self.capture(id, form, now),
            ("POST", ["payment_intents", id, "cancel"]) => self.cancel(id, now),
            ("POST", ["checkout", "sessions"]) => self.make_session(form, now),
            ("GET", ["checkout", "sessions", id]) => self.show_session(id),
            ("POST", ["checkout", "sessions", id, "expire"]) => self.expire(id, now),
            ("POST", ["refunds"]) => self.make_refund(form, now),
            ("GET", ["refunds"]) => self.list_refunds(query),
            ("GET", ["refunds", id]) => self.show_refund(id),
            ("GET", ["disputes"]) => self.list_disputes(query),
            _ => problem(404, "invalid_request_error", "resource_missing", json!({})),
        }
    }

    // ---- intents -------------------------------------------------------------------------------------------------------------------

    fn make_intent(&mut self, form: Form<'_>, now: Timestamp) -> Said {
        let Some(amount) = form.number("amount") else {
            return missing("amount");
        };
        let id = self.name("pi");
        let intent = Intent {
            id: id.clone(),
            number: self.numbers,
            created: now,
            amount,
            currency: form.get("currency").unwrap_or("eur").to_owned(),
            manual: form.get("capture_method") == Some("manual"),
            metadata: form.metadata("metadata"),
            status: Status::RequiresMethod,
            error: None,
            charge: None,
            return_url: form.get("return_url").unwrap_or_default().to_owned(),
        };
        self.intents.insert(id.clone(), intent);
        let card = form
            .get("payment_method")
            .unwrap_or_default()
            .trim_start_matches("pm_")
            .to_owned();
        match self.confirm(&id, &card, now) {
            Ok(()) => self.show_intent(&id),
            Err(code) => {
                let intent = self.intents.get(&id).map(|intent| self.intent_json(intent));
                let inside = json!({"decline_code": code, "payment_intent": intent});
                problem(402, "card_error", "card_declined", inside)
            }
        }
    }

    /// Pays an intent with a card. The issuer's word is booked at once.
    fn confirm(&mut self, id: &str, card: &str, now: Timestamp) -> Result<(), &'static str> {
        let Some(intent) = self.intents.get_mut(id) else {
            return Err("invalid_account");
        };
        let refused = match card {
            "card_visa_chargeDeclined" => Some("generic_decline"),
            "card_visa_chargeDeclinedInsufficientFunds" => Some("insufficient_funds"),
            _ => None,
        };
        if let Some(code) = refused {
            intent.error = Some(code);
            intent.status = Status::RequiresMethod;
            self.tell("payment_intent.payment_failed", id);
            return Err(code);
        }
        if card.starts_with("card_threeDSecure") && intent.status != Status::RequiresAction {
            intent.status = Status::RequiresAction;
            self.tell("payment_intent.requires_action", id);
            return Ok(());
        }
        self.approve(id, now);
        Ok(())
    }

    fn approve(&mut self, id: &str, now: Timestamp) {
        let charge = self.name("ch");
        let misstated = std::mem::take(&mut self.misstates_by);
        let Some(intent) = self.intents.get_mut(id) else { return };
        let hold_until = now.plus_seconds(HOLD_S);
        let amount = intent.amount + misstated;
        intent.charge = Some(objects::Charge {
            id: charge,
            amount,
            captured: if intent.manual { 0 } else { amount },
            was_captured: !intent.manual,
            canceled: false,
            hold_until,
        });
        let (status, moved) = if intent.manual {
            (Status::RequiresCapture, Moved::Held)
        } else {
            (Status::Succeeded, Moved::Taken)
        };
        intent.status = status;
        let name = match status {
            Status::RequiresCapture => "payment_intent.amount_capturable_updated",
            Status::RequiresMethod | Status::RequiresAction | Status::Succeeded | Status::Canceled => {
                "payment_intent.succeeded"
            }
        };
        self.write(id, moved, amount, now);
        self.tell(name, id);
    }

    fn show_intent(&self, id: &str) -> Said {
        match self.intents.get(id) {
            Some(intent) => ok(self.intent_json(intent)),
            None => problem(404, "invalid_request_error", "resource_missing", json!({})),
        }
    }

    fn list_intents(&self, query: &str) -> Said {
        let since: i64 = parameter(query, "created%5Bgte%5D")
            .and_then(|since| since.parse().ok())
            .unwrap_or(0);
        let mut all: Vec<&Intent> = self
            .intents
            .values()
            .filter(|intent| intent.created.seconds() >= since)
            .collect();
        all.sort_by_key(|intent| std::cmp::Reverse(intent.number));
        if let Some(after) = parameter(query, "starting_after").and_then(|after| self.intents.get(after)) {
            all.retain(|intent| intent.number < after.number);
        }
        let limit = parameter(query, "limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(10);
        let page: Vec<Value> = all.iter().take(limit).map(|intent| self.intent_json(intent)).collect();
        list(page, all.len() > limit)
    }

    fn capture(&mut self, id: &str, form: Form<'_>, now: Timestamp) -> Said {
        let Some(intent) = self.intents.get_mut(id) else {
            return missing("intent");
        };
        if intent.status != Status::RequiresCapture {
            return unexpected_state();
        }
        let amount = form.number("amount_to_capture").unwrap_or(intent.amount);
        if !self.take(id, amount, form.metadata("metadata"), now) {
            return problem(400, "invalid_request_error", "amount_too_large", json!({}));
        }
        self.show_intent(id)
    }

    /// Takes a part of what is held, and lets go of the rest.
    fn take(&mut self, id: &str, amount: i64, metadata: BTreeMap<String, String>, now: Timestamp) -> bool {
        let intent = self.intents.get_mut(id);
        let Some(intent) = intent.filter(|intent| intent.status == Status::RequiresCapture) else {
            return false;
        };
        let charge = intent.charge.as_mut();
        let Some(charge) = charge.filter(|charge| (1..=charge.amount).contains(&amount)) else {
            return false;
        };
        charge.captured = amount;
        charge.was_captured = true;
        let held = charge.amount;
        intent.status = Status::Succeeded;
        intent.metadata.extend(metadata);
        self.write(id, Moved::Taken, amount, now);
        self.write(id, Moved::LetGo, held, now);
        self.tell("payment_intent.succeeded", id);
        true
    }

    fn cancel(&mut self, id: &str, now: Timestamp) -> Said {
        let Some(intent) = self.intents.get_mut(id) else {
            return missing("intent");
        };
        match intent.status {
            Status::Succeeded | Status::Canceled => return unexpected_state(),
            Status::RequiresMethod | Status::RequiresAction | Status::RequiresCapture => {}
        }
        intent.status = Status::Canceled;
        if let Some(charge) = &mut intent.charge {
            charge.canceled = true;
            let held = charge.amount;
            self.write(id, Moved::LetGo, held, now);
        }
        self.tell("payment_intent.canceled", id);
        self.show_intent(id)
    }

    /// Time passes: holds that nobody captured go, and pages that nobody paid expire.
    pub fn passes(&mut self, now: Timestamp) {
        let over = |intent: &&Intent| {
            intent.status == Status::RequiresCapture
                && intent.charge.as_ref().is_some_and(|charge| charge.hold_until <= now)
        };
        let holds: Vec<String> = self
            .intents
            .values()
            .filter(over)
            .map(|intent| intent.id.clone())
            .collect();
        for id in holds {
            self.cancel(&id, now);
        }
        let open = |session: &&Session| session.status == "open" && session.expires_at <= now;
        let pages: Vec<String> = self
            .sessions
            .values()
            .filter(open)
            .map(|session| session.id.clone())
            .collect();
        for id in pages {
            self.expire(&id, now);
        }
    }

    // ---- refunds -------------------------------------------------------------------------------------------------------------------

    fn make_refund(&mut self, form: Form<'_>, now: Timestamp) -> Said {
        let Some(id) = form.get("payment_intent") else {
            return missing("payment_intent");
        };
        let Some(intent) = self.intents.get(id).filter(|intent| intent.status == Status::Succeeded) else {
            return problem(400, "invalid_request_error", "charge_not_refundable", json!({}));
        };
        let left = self.left(intent);
        let amount = form.number("amount").unwrap_or(left);
        if amount <= 0 || amount > left {
            return problem(400, "invalid_request_error", "charge_already_refunded", json!({}));
        }
        let (id, currency) = (id.to_owned(), intent.currency.clone());
        let refund = self.refund(&id, amount, currency, form.metadata("metadata"), now);
        ok(refund)
    }

    fn refund(
        &mut self,
        intent: &str,
        amount: i64,
        currency: String,
        metadata: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Value {
        let id = self.name("re");
        let status = if self.refunds_pend { "pending" } else { "succeeded" };
        let refund = Refund {
            id: id.clone(),
            intent: intent.to_owned(),
            amount,
            currency,
            status,
            metadata,
        };
        let shown = refund.json();
        self.refunds.insert(id, refund);
        if status == "succeeded" {
            self.write(intent, Moved::Back, amount, now);
        }
        self.report("refund.created", shown.clone());
        shown
    }

    /// Refunds that were pending are done, or fail.
    pub fn settle_refunds(&mut self, fail: bool, now: Timestamp) {
        let pending: Vec<String> = self
            .refunds
            .values()
            .filter(|refund| refund.status == "pending")
            .map(|refund| refund.id.clone())
            .collect();
        for id in pending {
            let Some(refund) = self.refunds.get_mut(&id) else {
                continue;
            };
            refund.status = if fail { "failed" } else { "succeeded" };
            let (intent, amount, shown) = (refund.intent.clone(), refund.amount, refund.json());
            if !fail {
                self.write(&intent, Moved::Back, amount, now);
            }
            let name = if fail { "refund.failed" } else { "refund.updated" };
            self.report(name, shown);
        }
    }

    fn list_refunds(&self, query: &str) -> Said {
        let intent = parameter(query, "payment_intent").unwrap_or_default();
        let of = self.refunds.values().filter(|refund| refund.intent == intent);
        list(of.map(Refund::json).collect(), false)
    }

    fn show_refund(&self, id: &str) -> Said {
        match self.refunds.get(id) {
            Some(refund) => ok(refund.json()),
            None => missing("refund"),
        }
    }

    fn list_disputes(&self, query: &str) -> Said {
        let intent = parameter(query, "payment_intent").unwrap_or_default();
        let of = self.disputes.values().filter(|dispute| dispute.intent == intent);
        list(of.map(Dispute::json).collect(), false)
    }

    // ---- the world -----------------------------------------------------------------------------------------------------------------

    /// The payer passes the challenge of an intent, or fails it.
    pub fn challenge(&mut self, id: &str, passed: bool, now: Timestamp) -> bool {
        let Some(intent) = self
            .intents
            .get_mut(id)
            .filter(|intent| intent.status == Status::RequiresAction)
        else {
            return false;
        };
        if passed {
            self.approve(id, now);
        } else {
            intent.status = Status::RequiresMethod;
            intent.error = Some("payment_intent_authentication_failure");
            self.tell("payment_intent.payment_failed", id);
        }
        true
    }

    /// Somebody takes money that is held at the provider's console; what is held beyond that is let go.
    pub fn console_capture(&mut self, id: &str, amount: i64, now: Timestamp) -> bool {
        self.take(id, amount, BTreeMap::new(), now)
    }

    /// Somebody gives money back at the provider's console.
    pub fn console_refund(&mut self, id: &str, amount: i64, now: Timestamp) -> bool {
        let Some(intent) = self.intents.get(id).filter(|intent| intent.status == Status::Succeeded) else {
            return false;
        };
        if amount <= 0 || amount > self.left(intent) {
            return false;
        }
        let currency = intent.currency.clone();
        self.refund(id, amount, currency, BTreeMap::new(), now);
        true
    }

    /// Refunds that somebody made at the console, and that are done, with the order's key of their payment.
    pub fn console_refunds(&self) -> Vec<(String, Key)> {
        let done = |refund: &&Refund| refund.status == "succeeded" && !refund.metadata.contains_key("florin_key");
        let named = |refund: &Refund| Some((refund.id.clone(), self.intents.get(&refund.intent)?.key()?));
        self.refunds.values().filter(done).filter_map(named).collect()
    }

    /// A refund that was done fails after all: the payer's bank sends the money back.
    pub fn refund_fails(&mut self, id: &str, now: Timestamp) {
        let Some(refund) = self.refunds.get_mut(id).filter(|refund| refund.status == "succeeded") else {
            return;
        };
        refund.status = "failed";
        let (intent, amount, shown) = (refund.intent.clone(), refund.amount, refund.json());
        self.write(&intent, Moved::BackAgain, amount, now);
        self.report("refund.failed", shown);
    }

    /// The payer's bank disputes what is left of a payment.
    pub fn dispute(&mut self, id: &str, now: Timestamp) -> Option<String> {
        let intent = self
            .intents
            .get(id)
            .filter(|intent| intent.status == Status::Succeeded)?;
        let amount = self.left(intent);
        if amount <= 0 || self.disputes.values().any(|dispute| dispute.intent == id) {
            return None;
        }
        let name = self.name("dp");
        let dispute = Dispute {
            id: name.clone(),
            intent: id.to_owned(),
            amount,
            currency: self.intents[id].currency.clone(),
            status: "needs_response",
        };
        let shown = dispute.json();
        self.disputes.insert(name.clone(), dispute);
        self.write(id, Moved::Disputed, amount, now);
        self.report("charge.dispute.created", shown);
        Some(name)
    }

    /// A dispute ends.
    pub fn close_dispute(&mut self, name: &str, won: bool, now: Timestamp) {
        let Some(dispute) = self
            .disputes
            .get_mut(name)
            .filter(|dispute| dispute.status == "needs_response")
        else {
            return;
        };
        dispute.status = if won { "won" } else { "lost" };
        let (intent, amount, shown) = (dispute.intent.clone(), dispute.amount, dispute.json());
        if won {
            self.write(&intent, Moved::DisputeWon, amount, now);
        }
        self.report("charge.dispute.closed", shown);
    }

    /// Disputes that are not decided, oldest first.
    pub fn open_disputes(&self) -> Vec<String> {
        let open = |dispute: &&Dispute| dispute.status == "needs_response";
        (self.disputes.values().filter(open).map(|dispute| dispute.id.clone())).collect()
    }

    /// Whether money is held for somebody.
    pub fn holds(&self) -> bool {
        self.intents
            .values()
            .any(|intent| intent.status == Status::RequiresCapture)
    }

    /// Webhooks that are to be delivered, oldest first: each is the body of one.
    pub fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    /// Ids of its intents, oldest first, with the order's key that each carries.
    pub fn intents(&self) -> Vec<(String, Option<Key>)> {
        let mut all: Vec<&Intent> = self.intents.values().collect();
        all.sort_by_key(|intent| intent.number);
        all.into_iter()
            .map(|intent| (intent.id.clone(), intent.key()))
            .collect()
    }

    /// Intents whose payer has to pass a challenge.
    pub fn challenged(&self) -> Vec<String> {
        let acting = self
            .intents
            .values()
            .filter(|intent| intent.status == Status::RequiresAction);
        acting.map(|intent| intent.id.clone()).collect()
    }

    fn tell(&mut self, name: &str, id: &str) {
        let number = self.name("evt");
        if let Some(intent) = self.intents.get(id) {
            let object = self.intent_json(intent);
            self.events.push(event(&number, name, object));
        }
    }

    fn report(&mut self, name: &str, object: Value) {
        let id = self.name("evt");
        self.events.push(event(&id, name, object));
    }

    fn name(&mut self, prefix: &str) -> String {
        self.numbers += 1;
        format!("{prefix}_{:06}", self.numbers)
    }

    /// What can still be refunded of a payment.
    fn left(&self, intent: &Intent) -> i64 {
        let back: i64 = (self.refunds.values())
            .filter(|refund| refund.intent == intent.id && refund.status != "failed")
            .map(|refund| refund.amount)
            .sum();
        let disputed: i64 = (self.disputes.values())
            .filter(|dispute| dispute.intent == intent.id && dispute.status != "won")
            .map(|dispute| dispute.amount)
            .sum();
        intent.charge.as_ref().map_or(0, |charge| charge.captured) - back - disputed
    }
}

/// The fields of a form.
#[derive(Clone, Copy)]
struct Form<'a>(&'a [(String, String)]);

impl<'a> Form<'a> {
    fn get(self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    fn number(self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    fn metadata(self, prefix: &str) -> BTreeMap<String, String> {
        let inside = |field: &str| {
            Some(
                field
                    .strip_prefix(prefix)?
                    .strip_prefix('[')?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        };
        self.0
            .iter()
            .filter_map(|(field, value)| Some((inside(field)?, value.clone())))
            .collect()
    }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        pair.split_once('=')
            .filter(|(field, _)| *field == name)
            .map(|(_, value)| value)
    })
}

fn ok(body: Value) -> Said {
    Said {
        status: 200,
        body,
        replayed: false,
    }
}

fn list(data: Vec<Value>, has_more: bool) -> Said {
    ok(json!({"object": "list", "data": data, "has_more": has_more, "url": "/v1"}))
}

fn missing(what: &str) -> Said {
    problem(404, "invalid_request_error", "resource_missing", json!({"param": what}))
}

fn unexpected_state() -> Said {
    problem(
        400,
        "invalid_request_error",
        "payment_intent_unexpected_state",
        json!({}),
    )
}

fn problem(status: u16, kind: &str, code: &str, inside: Value) -> Said {
    let mut error = json!({"type": kind, "code": code, "message": code});
    if let (Some(error), Some(inside)) = (error.as_object_mut(), inside.as_object()) {
        error.extend(inside.clone());
    }
    Said {
        status,
        body: json!({"error": error}),
        replayed: false,
    }
}

fn event(id: &str, name: &str, object: Value) -> Value {
    json!({"id": id, "object": "event", "type": name, "data": {"object": object}})
}
