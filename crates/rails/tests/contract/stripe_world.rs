//! As much of Stripe as its rail uses: sessions, intents, refunds and keys. Checked against the sample objects by nobody but the rail.

use std::collections::BTreeMap;

use florin_core::rail::Reply;
use serde_json::{Value, json};

use super::world::{Book, Request, World, reply};

/// What the payer's method does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Good,
    Declined,
    /// 3-D Secure first.
    Challenge,
    /// A bank debit: days.
    Slow,
}

const SLOW_S: i64 = 5 * 24 * 3600;
/// The search knows of an intent so long after it was made.
const SEARCH_LAG_S: i64 = 60;

#[derive(Default)]
pub(crate) struct Stripe {
    sessions: Vec<Session>,
    intents: Vec<Intent>,
    refunds: Vec<Refund>,
    answers: BTreeMap<String, (Request, Reply)>,
    approvals: u32,
    version: u64,
    now: i64,
    method: Option<Method>,
    busy: bool,
}

struct Session {
    status: &'static str,
    intent: Option<usize>,
    form: BTreeMap<String, String>,
    expires_at: i64,
}

struct Intent {
    status: &'static str,
    amount: i64,
    received: i64,
    manual: bool,
    metadata: BTreeMap<String, String>,
    error: Option<&'static str>,
    charged: bool,
    slow_at: Option<i64>,
    made_at: i64,
}

struct Refund {
    intent: usize,
    amount: i64,
    metadata: BTreeMap<String, String>,
}

impl Stripe {
    pub(crate) fn new(now: i64, method: Method, busy: bool) -> Self {
        Self {
            now,
            method: Some(method),
            busy,
            ..Self::default()
        }
    }

    fn make(&mut self, amount: i64, manual: bool, metadata: BTreeMap<String, String>) -> usize {
        self.intents.push(Intent {
            status: "requires_payment_method",
            amount,
            received: 0,
            manual,
            metadata,
            error: None,
            charged: false,
            slow_at: None,
            made_at: self.now,
        });
        self.intents.len() - 1
    }

    /// The payer's bank says what it says.
    fn approve(&mut self, at: usize) {
        self.version += 1;
        self.approvals += 1;
        let intent = &mut self.intents[at];
        intent.charged = true;
        if intent.manual {
            intent.status = "requires_capture";
        } else {
            intent.status = "succeeded";
            intent.received = intent.amount;
        }
    }

    fn confirm(&mut self, at: usize, challenged: bool) {
        match self.method.expect("a world with a method") {
            Method::Good => self.approve(at),
            Method::Challenge if challenged => self.approve(at),
            Method::Challenge => self.intents[at].status = "requires_action",
            Method::Declined => self.intents[at].error = Some("insufficient_funds"),
            Method::Slow => {
                self.intents[at].status = "processing";
                self.intents[at].slow_at = Some(self.now + SLOW_S);
            }
        }
    }

    fn post(&mut self, request: &Request) -> Reply {
        let parts: Vec<&str> = request.path.split('/').collect();
        match parts[..] {
            ["", "v1", "checkout", "sessions"] => {
                let expires_at = request
                    .form
                    .get("expires_at")
                    .and_then(|at| at.parse().ok())
                    .unwrap_or(self.now + 24 * 3600);
                self.sessions.push(Session {
                    status: "open",
                    intent: None,
                    form: request.form.clone(),
                    expires_at,
                });
                reply(200, &self.session(self.sessions.len() - 1))
            }
            ["", "v1", "checkout", "sessions", id, "expire"] => {
                let at = number(id);
                if self.sessions[at].status != "open" {
                    return refused("");
                }
                self.sessions[at].status = "expired";
                self.version += 1;
                reply(200, &self.session(at))
            }
            ["", "v1", "payment_intents"] => {
                let amount = request.form["amount"].parse().unwrap();
                let at = self.make(
                    amount,
                    request.form["capture_method"] == "manual",
                    metadata(&request.form, "metadata"),
                );
                self.confirm(at, false);
                match self.intents[at].error {
                    Some(code) => reply(
                        402,
                        &json!({ "error": { "type": "card_error", "code": "card_declined", "decline_code": code,
                            "payment_intent": self.intent(at) } }),
                    ),
                    None => reply(200, &self.intent(at)),
                }
            }
            ["", "v1", "payment_intents", id, "capture"] => {
                let at = number(id);
                let asked: i64 = request.form["amount_to_capture"].parse().unwrap();
                let intent = &mut self.intents[at];
                if intent.status != "requires_capture" || asked > intent.amount {
                    return refused("payment_intent_unexpected_state");
                }
                intent.status = "succeeded";
                intent.received = asked;
                intent.metadata.extend(metadata(&request.form, "metadata"));
                self.version += 1;
                reply(200, &self.intent(at))
            }
            ["", "v1", "payment_intents", id, "cancel"] => {
                let at = number(id);
                if matches!(self.intents[at].status, "succeeded" | "canceled" | "processing") {
                    return refused("payment_intent_unexpected_state");
                }
                self.intents[at].status = "canceled";
                self.version += 1;
                reply(200, &self.intent(at))
            }
            ["", "v1", "refunds"] => {
                let at = number(&request.form["payment_intent"]);
                let back: i64 = self
                    .refunds
                    .iter()
                    .filter(|refund| refund.intent == at)
                    .map(|refund| refund.amount)
                    .sum();
                let left = self.intents[at].received - back;
                let amount = request
                    .form
                    .get("amount")
                    .map_or(left, |amount| amount.parse().unwrap());
                if amount > left || amount == 0 {
                    return refused("charge_already_refunded");
                }
                self.refunds.push(Refund {
                    intent: at,
                    amount,
                    metadata: metadata(&request.form, "metadata"),
                });
                self.version += 1;
                reply(200, &self.refund(self.refunds.len() - 1))
            }
            _ => panic!("no such path: {}", request.path),
        }
    }

    fn get(&self, request: &Request) -> Reply {
        let parts: Vec<&str> = request.path.split('/').collect();
        let body = match parts[..] {
            ["", "v1", "checkout", "sessions", id] => self.session(number(id)),
            ["", "v1", "payment_intents"] => {
                // A busy account has made more since than a list shows, and ours is not among what it shows.
                let data: Vec<Value> = (0..self.intents.len()).map(|at| self.intent(at)).collect();
                json!({ "object": "list", "data": if self.busy { Vec::new() } else { data }, "has_more": self.busy })
            }
            ["", "v1", "payment_intents", "search"] => {
                let found = (0..self.intents.len()).filter(|at| {
                    let intent = &self.intents[*at];
                    let key = intent.metadata.get("florin_key").expect("our mark");
                    self.now >= intent.made_at + SEARCH_LAG_S && request.query["query"].contains(key.as_str())
                });
                let data: Vec<Value> = found.map(|at| self.intent(at)).collect();
                json!({ "object": "search_result", "data": data, "has_more": false, "next_page": null })
            }
            ["", "v1", "payment_intents", id] => self.intent(number(id)),
            ["", "v1", "refunds"] => {
                let of = number(&request.query["payment_intent"]);
                let all = self
                    .refunds
                    .iter()
                    .enumerate()
                    .filter(|(_, refund)| refund.intent == of);
                let data: Vec<Value> = all.map(|(at, _)| self.refund(at)).collect();
                json!({ "object": "list", "data": data, "has_more": false })
            }
            ["", "v1", "refunds", id] => self.refund(number(id)),
            _ => panic!("no such path: {}", request.path),
        };
        reply(200, &body)
    }

    fn session(&self, at: usize) -> Value {
        let session = &self.sessions[at];
        let paid = session
            .intent
            .is_some_and(|intent| self.intents[intent].status == "succeeded");
        json!({
            "object": "checkout.session", "id": format!("cs_{at}"), "status": session.status,
            "payment_status": if paid { "paid" } else { "unpaid" },
            "payment_intent": session.intent.map(|intent| self.intent(intent)),
            "expires_at": session.expires_at,
            "url": (session.status == "open").then_some("https://checkout.stripe.com/c/pay/x"),
        })
    }

    fn intent(&self, at: usize) -> Value {
        let intent = &self.intents[at];
        let refunds: Vec<Value> = (0..self.refunds.len())
            .filter(|refund| self.refunds[*refund].intent == at)
            .map(|refund| self.refund(refund))
            .collect();
        let charge = intent.charged.then(|| {
            json!({ "object": "charge", "id": format!("ch_{at}"), "status": "succeeded", "amount": intent.amount,
                "amount_captured": intent.received, "captured": intent.received > 0, "currency": "eur",
                "balance_transaction": (intent.received > 0).then(|| json!({ "id": format!("txn_{at}"), "fee": 30, "currency": "eur" })),
                "refunds": { "object": "list", "data": refunds, "has_more": false } })
        });
        json!({
            "object": "payment_intent", "id": format!("pi_{at}"), "status": intent.status, "amount": intent.amount,
            "amount_received": intent.received, "currency": "eur", "metadata": intent.metadata,
            "amount_capturable": if intent.status == "requires_capture" { intent.amount } else { 0 },
            "last_payment_error": intent.error.map(|code| json!({ "type": "card_error", "code": "card_declined", "decline_code": code })),
            "next_action": (intent.status == "requires_action")
                .then(|| json!({ "type": "redirect_to_url", "redirect_to_url": { "url": "https://hooks.stripe.com/3ds" } })),
            "latest_charge": charge,
            "cancellation_reason": (intent.status == "canceled").then_some("abandoned"),
        })
    }

    fn refund(&self, at: usize) -> Value {
        let refund = &self.refunds[at];
        json!({ "object": "refund", "id": format!("re_{at}"), "status": "succeeded", "amount": refund.amount, "currency": "eur",
            "metadata": refund.metadata, "balance_transaction": format!("txn_r{at}") })
    }
}

impl World for Stripe {
    fn handle(&mut self, request: &Request) -> Reply {
        if !request.post {
            return self.get(request);
        }
        let key = request
            .key
            .clone()
            .expect("a key on every message that changes something");
        if let Some((first, answer)) = self.answers.get(&key) {
            let same = (&first.path, &first.form) == (&request.path, &request.form);
            return if same {
                answer.clone()
            } else {
                reply(400, &json!({ "error": { "type": "idempotency_error" } }))
            };
        }
        let answer = self.post(request);
        self.answers.insert(key, (request.clone(), answer.clone()));
        answer
    }

    fn refusal(&self) -> Reply {
        refused("parameter_missing")
    }

    fn payer_acts(&mut self) -> BTreeMap<String, String> {
        for at in 0..self.sessions.len() {
            if self.sessions[at].status == "open" {
                let form = self.sessions[at].form.clone();
                let manual = form["payment_intent_data[capture_method]"] == "manual";
                let mut amount = 0;
                for line in 0.. {
                    let Some(unit) = form.get(&format!("line_items[{line}][price_data][unit_amount]")) else {
                        break;
                    };
                    let quantity: i64 = form[&format!("line_items[{line}][quantity]")].parse().unwrap();
                    amount += unit.parse::<i64>().unwrap() * quantity;
                }
                let intent = self.make(amount, manual, metadata(&form, "payment_intent_data[metadata]"));
                self.sessions[at].intent = Some(intent);
                self.confirm(intent, true);
                // A decline leaves the page open.
                if self.intents[intent].error.is_none() {
                    self.sessions[at].status = "complete";
                }
                self.version += 1;
            }
        }
        for at in 0..self.intents.len() {
            if self.intents[at].status == "requires_action" {
                self.confirm(at, true);
            }
        }
        BTreeMap::new()
    }

    fn clock(&mut self, now: i64) {
        self.now = now;
        for session in &mut self.sessions {
            if session.status == "open" && now >= session.expires_at {
                session.status = "expired";
                self.version += 1;
            }
        }
        for at in 0..self.intents.len() {
            if self.intents[at].slow_at.is_some_and(|then| then <= now) {
                self.intents[at].slow_at = None;
                self.approve(at);
            }
        }
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn book(&self) -> Book {
        Book {
            approvals: self.approvals,
            held: self
                .intents
                .iter()
                .filter(|intent| intent.status == "requires_capture")
                .map(|intent| intent.amount)
                .sum(),
            captured: self.intents.iter().map(|intent| intent.received).sum(),
            refunded: self.refunds.iter().map(|refund| refund.amount).sum(),
            open: self.sessions.iter().any(|session| session.status == "open")
                || self
                    .intents
                    .iter()
                    .any(|intent| matches!(intent.status, "requires_action" | "processing")),
        }
    }
}

fn refused(code: &str) -> Reply {
    reply(
        400,
        &json!({ "error": { "type": "invalid_request_error", "code": code } }),
    )
}

/// `pi_3` is the fourth.
fn number(id: &str) -> usize {
    id.rsplit('_')
        .next()
        .and_then(|digits| digits.parse().ok())
        .expect("an id of this world")
}

fn metadata(form: &BTreeMap<String, String>, within: &str) -> BTreeMap<String, String> {
    let name = |key: &str| {
        key.strip_prefix(within)?
            .strip_prefix('[')?
            .strip_suffix(']')
            .map(str::to_owned)
    };
    form.iter()
        .filter_map(|(key, value)| Some((name(key)?, value.clone())))
        .collect()
}
