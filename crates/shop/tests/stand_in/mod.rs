//! A stand-in for Florin: the part of `/v1` that the shop uses, in memory, strict about what it is sent.
//!
//! It refuses unknown members and parameters, a missing or a reused idempotency key, and a missing key; it answers the members of the
//! public reference and no others; it signs webhooks. A second listener plays the provider's payment page. Faults are queued by tests.

#![allow(dead_code, reason = "each program uses a part of it")]
#![allow(
    clippy::unwrap_used,
    reason = "test code, which clippy cannot see when an example shares it"
)]

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const KEY: &str = "sk_test_stand_in";

/// What goes wrong with the next call that makes an order or confirms one.
#[derive(Clone)]
pub(crate) enum Fault {
    /// 429 with this `Retry-After`, before anything happened.
    Busy(u64),
    /// 500 after everything happened: the answer is lost.
    Lost,
    /// 422 with this code.
    Refused(&'static str),
    /// 202 and the order while the provider is still being asked.
    Unfinished,
}

#[derive(Clone)]
pub(crate) struct Florin {
    pub(crate) api: String,
    pub(crate) pay: String,
    world: Arc<Mutex<World>>,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) orders: Vec<Order>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) faults: VecDeque<Fault>,
    /// Idempotency key ▸ what was asked, what was answered.
    pub(crate) keys: BTreeMap<String, (String, StatusCode, Value)>,
    /// Method and path of every call that changes something.
    pub(crate) calls: Vec<String>,
    /// Path and idempotency key of every call that came, whatever became of it.
    pub(crate) knocks: Vec<(String, String)>,
    /// Webhooks wait until this is false.
    pub(crate) mute: bool,
    made: u64,
}

pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) body: NewOrder,
    pub(crate) status: &'static str,
    pub(crate) version: u64,
    pub(crate) refunded: i64,
    pub(crate) attempts: Vec<Value>,
    pub(crate) events: Vec<Value>,
    pub(crate) ledger: Vec<Value>,
    pub(crate) deliveries: Vec<Value>,
    page: Option<String>,
    created_at: Timestamp,
}

pub(crate) struct Endpoint {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) secret: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) reference: String,
    capture: Option<String>,
    description: Option<String>,
    customer: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    pub(crate) return_url: Option<String>,
    cancel_url: Option<String>,
    #[serde(default)]
    lines: Vec<NewLine>,
    expires_in_s: Option<u64>,
    #[serde(default)]
    confirm: bool,
    method: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLine {
    #[serde(rename = "name")]
    _name: String,
    quantity: i64,
    unit_amount: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirm {
    method: Option<String>,
    return_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEndpoint {
    url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<usize>,
    #[serde(rename = "after")]
    _after: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    reference: Option<String>,
    limit: Option<usize>,
}

/// Starts API and payment page on free ports, or on the given one and the next.
pub(crate) async fn start() -> Florin {
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    start_on(api).await
}

pub(crate) async fn start_on(api: TcpListener) -> Florin {
    let pay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let florin = Florin {
        api: at(&api),
        pay: at(&pay),
        world: Arc::default(),
    };
    let v1 = Router::new()
        .route("/v1/orders", post(create).get(search))
        .route("/v1/orders/{id}", get(read))
        .route("/v1/orders/{id}/confirm", post(confirm))
        .route("/v1/orders/{id}/cancel", post(cancel))
        .route("/v1/orders/{id}/{part}", get(part))
        .route("/v1/webhook_endpoints", post(new_endpoint).get(endpoints))
        .route("/v1/webhook_endpoints/{id}", axum::routing::delete(drop_endpoint))
        .route("/v1/webhook_endpoints/{id}/rotate_secret", post(rotate))
        .layer(middleware::from_fn(authorized))
        .with_state(florin.clone());
    let pages = Router::new()
        .route("/pay/{secret}", get(payment_page).post(act))
        .with_state(florin.clone());
    tokio::spawn(serve(api, v1));
    tokio::spawn(serve(pay, pages));
    florin
}

async fn serve(listener: TcpListener, router: Router) {
    axum::serve(listener, router).await.unwrap();
}

impl Florin {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The same under another address.
    pub(crate) fn moved_to(&self, api: &str) -> Self {
        Self {
            api: api.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.world().faults.push_back(fault);
    }

    /// What the provider's page reports for the order that this page belongs to.
    pub(crate) fn provider(&self, page: &str, says: &str) {
        let secret = page.rsplit('/').next().unwrap();
        let mut world = self.world();
        let n = world
            .orders
            .iter()
            .position(|order| order.page.as_deref() == Some(secret))
            .expect("an open page");
        let order = &mut world.orders[n];
        let attempt = order.attempts.len() - 1;
        match says {
            "pay" => {
                order.attempts[attempt]["status"] = json!("succeeded");
                order.attempts[attempt]["method"] = json!("card_visa");
                order.attempts[attempt]["next_action"] = Value::Null;
                order.attempts[attempt]["provider_reference"] = json!("pi_3Qx7aB2eZvKYlo2C0s");
                order.page = None;
                order.status = "captured";
                order.version += 1;
                let (currency, amount) = (order.body.currency.clone(), order.body.amount);
                order.book("sale", "receivable", "merchant", amount, &currency);
                order.book("fee", "fees", "receivable", 39, &currency);
                order.event("attempt.succeeded", "");
                order.event("order.captured", "a");
            }
            "decline" => {
                order.attempts[attempt]["status"] = json!("declined");
                order.attempts[attempt]["next_action"] = Value::Null;
                order.attempts[attempt]["decline"] = json!({"code": "insufficient_funds", "class": "soft",
                    "message": "the <b>card</b> has insufficient funds"});
                order.page = None;
                order.status = "created";
                order.version += 1;
                order.event("attempt.declined", "");
            }
            "expire" => {
                order.attempts[attempt]["status"] = json!("canceled");
                order.page = None;
                order.status = "expired";
                order.version += 1;
                order.event("order.expired", "");
            }
            "refund" => unreachable!("refunds do not come from the page"),
            other => panic!("the provider cannot {other}"),
        }
        drop(world);
        self.deliver();
    }

    pub(crate) fn refund(&self, amount: i64) {
        let mut world = self.world();
        let order = world.orders.last_mut().unwrap();
        order.refunded += amount;
        order.status = if order.refunded == order.body.amount {
            "refunded"
        } else {
            "partially_refunded"
        };
        order.version += 1;
        let currency = order.body.currency.clone();
        order.book("refund", "merchant", "receivable", amount, &currency);
        order.event("refund.succeeded", "");
        let kind = format!("order.{}", order.status);
        order.event(&kind, "a");
        drop(world);
        self.deliver();
    }

    /// Sends what has not been sent yet, in order.
    pub(crate) fn deliver(&self) {
        let florin = self.clone();
        tokio::spawn(async move { florin.deliver_now().await });
    }

    pub(crate) async fn deliver_now(&self) {
        loop {
            let next = {
                let mut world = self.world();
                if world.mute {
                    return;
                }
                world.next_delivery()
            };
            let Some((url, secret, event, order, delivery)) = next else {
                return;
            };
            let began = tokio::time::Instant::now();
            let status = self.send(&url, &secret, &event).await;
            let mut world = self.world();
            let delivery = &mut world.orders[order].deliveries[delivery];
            delivery["status"] = json!(if status.is_some_and(|s| s.is_success()) {
                "succeeded"
            } else {
                "failed"
            });
            delivery["attempts"] = json!([{ "at": now(), "status_code": status.map(|s| s.as_u16()),
                "duration_ms": began.elapsed().as_millis() as u64, "error": null }]);
        }
    }

    /// Sends one event to one address, signed as Standard Webhooks say.
    pub(crate) async fn send(&self, url: &str, secret: &str, event: &Value) -> Option<StatusCode> {
        let body = json!({ "specversion": "1.0", "id": event["id"], "type": event["type"],
            "source": "/merchants/mer_00000000000000000000000001", "subject": event["order"], "time": event["created_at"],
            "sequence": event["sequence"], "data": event["data"] })
        .to_string();
        let (id, at) = (event["id"].as_str().unwrap(), Timestamp::now().as_second());
        let signature = sign(secret, &format!("{id}.{at}.{body}"));
        let request = http::Request::post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", format!("v1,{signature}"))
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request).await.ok()?;
        let status = answer.status();
        let _ = answer.into_body().collect().await;
        Some(status)
    }
}

impl World {
    /// The different idempotency keys that calls to this path came with.
    pub(crate) fn keys_of(&self, path: &str) -> Vec<&str> {
        let mut keys: Vec<_> = self
            .knocks
            .iter()
            .filter(|(to, _)| to.ends_with(path))
            .map(|(_, key)| &**key)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_{:026}", self.made)
    }

    fn order(&mut self, id: &str) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.id == id)
    }

    fn next_delivery(&mut self) -> Option<(String, String, Value, usize, usize)> {
        for (o, order) in self.orders.iter_mut().enumerate() {
            for event in &order.events {
                for endpoint in &self.endpoints {
                    let known = |row: &Value| row["event"] == event["id"] && row["endpoint"] == endpoint.id.as_str();
                    if order.deliveries.iter().any(known) {
                        continue;
                    }
                    let id = format!("del_{:026}", order.deliveries.len());
                    order
                        .deliveries
                        .push(json!({ "id": id, "object": "delivery", "endpoint": endpoint.id,
                        "event": event["id"], "type": event["type"], "order": order.id, "status": "pending",
                        "attempts": [], "next_try_at": null }));
                    let last = order.deliveries.len() - 1;
                    return Some((endpoint.url.clone(), endpoint.secret.clone(), event.clone(), o, last));
                }
            }
        }
        None
    }
}

impl Order {
    fn json(&self) -> Value {
        let paid = matches!(self.status, "captured" | "partially_refunded" | "refunded");
        let amount = if paid { self.body.amount } else { 0 };
        let next_action = self
            .attempts
            .last()
            .map_or(Value::Null, |last| last["next_action"].clone());
        json!({ "id": self.id, "object": "order", "mode": "test", "reference": self.body.reference,
            "amount": self.body.amount, "currency": self.body.currency, "kind": "payment", "capture": "at_once",
            "payment_order_status": self.status, "uncertain": false, "deliverable": self.status == "captured",
            "amount_authorized": amount, "amount_capturable": 0, "amount_captured": amount,
            "amount_refunded": self.refunded, "amount_refund_pending": 0, "amount_disputed": 0, "amount_returned": 0,
            "dispute_status": null, "attention": [], "next_action": next_action,
            "last_attempt": self.attempts.last(), "customer": null, "description": self.body.description,
            "metadata": self.body.metadata, "return_url": self.body.return_url, "expires_at": now(),
            "created_at": self.created_at.to_string(), "version": self.version })
    }

    fn start(&mut self, florin: &Florin) {
        let number = self.attempts.len() + 1;
        let secret = format!("{}{number:02}", self.id.replace("ord_", "s3cret"));
        let url = format!("{}/pay/{secret}", florin.pay);
        let uuid = self.id.replace("ord_", "");
        self.attempts.push(
            json!({ "id": format!("att_{uuid}{number:02}"), "object": "attempt", "order": self.id,
            "status": "requires_action", "uncertain": false, "method": "hosted",
            "connection": "con_00000000000000000000000001", "rail": "stripe", "amount": self.body.amount,
            "currency": self.body.currency, "decline": null, "next_action": { "type": "redirect", "url": url },
            "provider_reference": "cs_test_a1Xk29", "created_at": now() }),
        );
        self.page = Some(secret);
        self.status = "requires_action";
        self.version += 2;
        self.event("attempt.requires_action", "");
        self.event("order.requires_action", "a");
    }

    fn event(&mut self, kind: &str, letter: &str) {
        let id = format!("evt_{}{:04}{letter}", self.id.replace("ord_", ""), self.version);
        let mut data = json!({ "order": self.json() });
        if kind.starts_with("attempt.") {
            data["attempt"] = self.attempts.last().unwrap().clone();
        }
        self.events.push(
            json!({ "id": id, "object": "event", "type": kind, "sequence": self.version,
            "order": self.id, "created_at": now(), "data": data }),
        );
    }

    fn book(&mut self, template: &str, debit: &str, credit: &str, amount: i64, currency: &str) {
        let event = format!("evt_{}{:04}", self.id.replace("ord_", ""), self.version);
        self.ledger.push(
            json!({ "id": format!("{event}_{}", self.ledger.len()), "object": "ledger_entry",
            "order": self.id, "event": event, "template": template,
            "debit": { "account": debit, "connection": "con_00000000000000000000000001" },
            "credit": { "account": credit, "connection": "con_00000000000000000000000001" },
            "amount": amount, "currency": currency, "phase": "posted", "created_at": now() }),
        );
    }
}

fn now() -> String {
    Timestamp::now().to_string()
}

type Answered = (StatusCode, Value);

fn problem(status: StatusCode, code: &str, detail: &str) -> Answered {
    let body = json!({ "type": format!("/problems/{code}"), "title": code, "status": status.as_u16(), "detail": detail,
        "code": code, "param": null, "request_id": "req_1", "fix": "read the reference" });
    (status, body)
}

fn answer((status, body): Answered) -> Response {
    let kind = if status.is_success() {
        "application/json"
    } else {
        "application/problem+json"
    };
    (status, [("content-type", kind)], body.to_string()).into_response()
}

async fn authorized(request: Request, next: Next) -> Response {
    let key = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if key == Some(&format!("Bearer {KEY}")) {
        next.run(request).await
    } else {
        answer(problem(StatusCode::UNAUTHORIZED, "unauthorized", "the key is unknown"))
    }
}

/// Reads a body strictly, keeps the idempotency promise, and lets the next fault happen.
fn once<T: for<'a> Deserialize<'a>>(
    florin: &Florin,
    path: &str,
    headers: &HeaderMap,
    body: &str,
    act: impl FnOnce(&mut World, T) -> Answered,
) -> Response {
    let Some(key) = headers.get("idempotency-key").and_then(|value| value.to_str().ok()) else {
        return answer(problem(
            StatusCode::BAD_REQUEST,
            "key_missing",
            "Idempotency-Key is required here",
        ));
    };
    let parsed = match serde_json::from_str(body) {
        Ok(parsed) => parsed,
        Err(why) => return answer(problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &why.to_string())),
    };
    let mut world = florin.world();
    world.knocks.push((path.to_owned(), key.to_owned()));
    let fault = world.faults.pop_front();
    match fault {
        Some(Fault::Busy(after_s)) => {
            let (status, body) = problem(StatusCode::TOO_MANY_REQUESTS, "busy", "too many requests");
            return (status, [("retry-after", after_s.to_string())], body.to_string()).into_response();
        }
        Some(Fault::Refused(code)) => {
            return answer(problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                code,
                "amount must be positive",
            ));
        }
        Some(Fault::Lost | Fault::Unfinished) | None => {}
    }
    let asked = format!("{path} {body}");
    if let Some((known, status, said)) = world.keys.get(key) {
        if *known != asked {
            return answer(problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key_reused",
                "this key was used for another body",
            ));
        }
        let mut response = answer((*status, said.clone()));
        response
            .headers_mut()
            .insert("idempotent-replayed", "true".parse().unwrap());
        return response;
    }
    world.calls.push(format!("POST {path}"));
    let said = act(&mut world, parsed);
    if said.0.is_success() {
        world.keys.insert(key.to_owned(), (asked, said.0, said.1.clone()));
    }
    drop(world);
    florin.deliver();
    match fault {
        Some(Fault::Lost) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::Unfinished) => {
            let mut early = said.1;
            early["payment_order_status"] = json!("processing");
            early["next_action"] = Value::Null;
            early["last_attempt"]["status"] = json!("processing");
            answer((StatusCode::ACCEPTED, early))
        }
        Some(Fault::Busy(_) | Fault::Refused(_)) | None => answer(said),
    }
}

async fn create(State(florin): State<Florin>, headers: HeaderMap, body: String) -> Response {
    once(
        &florin.clone(),
        "/v1/orders",
        &headers,
        &body,
        |world, new: NewOrder| {
            let lines: i64 = new.lines.iter().map(|line| line.quantity * line.unit_amount).sum();
            let known = ["hosted", "card_visa"];
            if new.amount <= 0 || lines != new.amount || !new.method.as_deref().is_none_or(|m| known.contains(&m)) {
                return problem(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "invalid",
                    "amount, lines and method must agree",
                );
            }
            if world.orders.iter().any(|order| order.body.reference == new.reference) {
                return problem(
                    StatusCode::CONFLICT,
                    "reference_taken",
                    "another order has this reference",
                );
            }
            let mut order = Order {
                id: world.id("ord"),
                status: "created",
                version: 1,
                refunded: 0,
                attempts: Vec::new(),
                events: Vec::new(),
                ledger: Vec::new(),
                deliveries: Vec::new(),
                page: None,
                created_at: Timestamp::now(),
                body: new,
            };
            order.event("order.created", "");
            if order.body.confirm {
                order.start(&florin);
            }
            let said = (StatusCode::CREATED, order.json());
            world.orders.push(order);
            said
        },
    )
}

async fn confirm(State(florin): State<Florin>, Path(id): Path<String>, headers: HeaderMap, body: String) -> Response {
    let path = format!("/v1/orders/{id}/confirm");
    once(&florin.clone(), &path, &headers, &body, |world, confirm: Confirm| {
        assert_eq!(confirm.method.as_deref(), Some("hosted"));
        let Some(order) = world.order(&id) else {
            return problem(StatusCode::NOT_FOUND, "not_found", "no such order");
        };
        order.body.return_url = confirm.return_url.or(order.body.return_url.take());
        match order.status {
            "created" => order.start(&florin),
            "requires_action" => return problem(StatusCode::CONFLICT, "in_flight", "an attempt is under way"),
            "captured" => return problem(StatusCode::CONFLICT, "already_paid", "the order is paid"),
            _ => return problem(StatusCode::CONFLICT, "order_over", "the order is over"),
        }
        (StatusCode::OK, order.json())
    })
}

async fn cancel(State(florin): State<Florin>, Path(id): Path<String>, headers: HeaderMap, body: String) -> Response {
    let path = format!("/v1/orders/{id}/cancel");
    once(&florin, &path, &headers, &body, |world, _: Nothing| {
        let Some(order) = world.order(&id) else {
            return problem(StatusCode::NOT_FOUND, "not_found", "no such order");
        };
        if !matches!(order.status, "created" | "requires_action") {
            return problem(StatusCode::CONFLICT, "use_refund", "the order is paid; refund it");
        }
        if let Some(last) = order.attempts.last_mut() {
            last["status"] = json!("canceled");
            last["next_action"] = Value::Null;
        }
        (order.page, order.status, order.version) = (None, "canceled", order.version + 1);
        order.event("order.canceled", "");
        (StatusCode::OK, order.json())
    })
}

fn list(rows: impl DoubleEndedIterator<Item = Value>, limit: Option<usize>) -> Response {
    let limit = limit.unwrap_or(20);
    if !(1..=100).contains(&limit) {
        return answer(problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "limit must be 1 to 100",
        ));
    }
    let mut rows: Vec<_> = rows.rev().collect();
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    Json(json!({ "data": rows, "has_more": has_more })).into_response()
}

async fn search(State(florin): State<Florin>, Query(search): Query<Search>) -> Response {
    let world = florin.world();
    let wanted = |order: &&Order| {
        search
            .reference
            .as_ref()
            .is_none_or(|reference| order.body.reference == *reference)
    };
    list(world.orders.iter().filter(wanted).map(Order::json), search.limit)
}

async fn read(State(florin): State<Florin>, Path(id): Path<String>) -> Response {
    match florin.world().order(&id) {
        Some(order) => Json(order.json()).into_response(),
        None => answer(problem(StatusCode::NOT_FOUND, "not_found", "no such order")),
    }
}

async fn part(
    State(florin): State<Florin>,
    Path((id, part)): Path<(String, String)>,
    Query(page): Query<Page>,
) -> Response {
    let mut world = florin.world();
    let Some(order) = world.order(&id) else {
        return answer(problem(StatusCode::NOT_FOUND, "not_found", "no order"));
    };
    let rows = match &*part {
        "attempts" => &order.attempts,
        "events" => &order.events,
        "ledger_entries" => &order.ledger,
        "deliveries" => &order.deliveries,
        _ => return answer(problem(StatusCode::NOT_FOUND, "not_found", "no such list")),
    };
    list(rows.iter().cloned(), page.limit)
}

fn endpoint_json(endpoint: &Endpoint, tell: bool) -> Value {
    let mut shown = json!({ "id": endpoint.id, "object": "webhook_endpoint", "url": endpoint.url });
    if tell {
        shown["secret"] = json!(endpoint.secret);
    }
    shown
}

async fn new_endpoint(State(florin): State<Florin>, headers: HeaderMap, body: String) -> Response {
    once(
        &florin,
        "/v1/webhook_endpoints",
        &headers,
        &body,
        |world, new: NewEndpoint| {
            let id = world.id("whe");
            let endpoint = Endpoint {
                secret: secret(&id),
                id,
                url: new.url,
            };
            let shown = endpoint_json(&endpoint, true);
            world.endpoints.push(endpoint);
            (StatusCode::CREATED, shown)
        },
    )
}

async fn rotate(State(florin): State<Florin>, Path(id): Path<String>, headers: HeaderMap, body: String) -> Response {
    let path = format!("/v1/webhook_endpoints/{id}/rotate_secret");
    once(&florin, &path, &headers, &body, |world, _: Nothing| {
        let Some(endpoint) = world.endpoints.iter_mut().find(|endpoint| endpoint.id == id) else {
            return problem(StatusCode::NOT_FOUND, "not_found", "no such endpoint");
        };
        endpoint.secret = secret(&format!("{}again", endpoint.secret));
        (StatusCode::OK, endpoint_json(endpoint, true))
    })
}

async fn endpoints(State(florin): State<Florin>, Query(page): Query<Page>) -> Response {
    let world = florin.world();
    list(
        world.endpoints.iter().map(|endpoint| endpoint_json(endpoint, false)),
        page.limit,
    )
}

async fn drop_endpoint(State(florin): State<Florin>, Path(id): Path<String>) -> StatusCode {
    let mut world = florin.world();
    world.calls.push(format!("DELETE /v1/webhook_endpoints/{id}"));
    world.endpoints.retain(|endpoint| endpoint.id != id);
    StatusCode::NO_CONTENT
}

/// A secret of 32 bytes that depends on the seed.
fn secret(seed: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"stand-in");
    format!("whsec_{}", base64(hmac::sign(&key, seed.as_bytes()).as_ref()))
}

fn sign(secret: &str, message: &str) -> String {
    let key = unbase64(secret.strip_prefix("whsec_").unwrap());
    base64(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), message.as_bytes()).as_ref())
}

// Base64 once more, bit by bit, so that the shop's own is held against another.
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let letter = |six: &str| {
        LETTERS
            .chars()
            .nth(usize::from_str_radix(&format!("{six:0<6}"), 2).unwrap())
            .unwrap()
    };
    let text: String = bits
        .as_bytes()
        .chunks(6)
        .map(|six| letter(std::str::from_utf8(six).unwrap()))
        .collect();
    format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4))
}

fn unbase64(text: &str) -> Vec<u8> {
    let digits = text
        .trim_end_matches('=')
        .chars()
        .map(|letter| LETTERS.find(letter).unwrap());
    let bits: String = digits.map(|digit| format!("{digit:06b}")).collect();
    let bytes = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|eight| std::str::from_utf8(eight).unwrap());
    bytes.map(|eight| u8::from_str_radix(eight, 2).unwrap()).collect()
}

async fn payment_page(State(florin): State<Florin>, Path(secret): Path<String>) -> Response {
    let world = florin.world();
    let Some(order) = world.orders.iter().find(|order| order.page.as_ref() == Some(&secret)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let button = |what: &str| format!("<button name=\"says\" value=\"{what}\">{what}</button> ");
    let buttons: String = ["pay", "decline", "leave"].iter().map(|what| button(what)).collect();
    Html(format!(
        "<!doctype html><title>Pay</title><h1>{} {}</h1><form method=post>{buttons}</form>",
        order.body.amount, order.body.currency
    ))
    .into_response()
}

#[derive(Deserialize)]
struct Said {
    says: String,
}

async fn act(State(florin): State<Florin>, Path(secret): Path<String>, Form(said): Form<Said>) -> Redirect {
    let (back, left) = {
        let world = florin.world();
        let order = world
            .orders
            .iter()
            .find(|order| order.page.as_ref() == Some(&secret))
            .expect("an open page");
        (
            order.body.return_url.clone().unwrap(),
            order.body.cancel_url.clone().unwrap(),
        )
    };
    if said.says == "leave" {
        return Redirect::to(&left);
    }
    florin.provider(&secret, &said.says);
    Redirect::to(&back)
}

/// Waits until something is so, for at most five seconds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    for _ in 0..250 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}
