//! A door over an engine and a store in memory, and what a caller of it sees.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, header};
use florin_channels::stripe_compat::{self, Arbiter, Card, CardTable, Deciding, DoorKind, Example, Tariff};
use florin_channels::{Doors, Settings};
use florin_core::id::{ConnectionId, NodeId};
use florin_core::rail::Memo;
use florin_core::secret::Secret;
use florin_services::clock::{Clock, ShiftedClock};
use florin_services::dice::SystemIds;
use florin_services::directory::{Connection, Directory, Scope, Surroundings, hash_of};
use florin_services::engine::{self, Engine, Parts};
use florin_services::keyring::Keyring;
use florin_services::reader::Reader;
use florin_store::memory::{Disk, MemoryStore};
use florin_store::{Mode, Store, Tenant};
use hyper::body::Frame;
use serde_json::Value;
use tokio::sync::Notify;
use tower::ServiceExt;

use crate::schema::Schema;
use crate::script::RAILS;

/// Where the door says that it is.
pub(crate) const ORIGIN: &str = "http://door.test";
/// How long a call waits for its step here.
const CALL_WAIT: Duration = Duration::from_millis(200);
/// How long an answer may take that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(5);
const ADMIN_KEY: &str = "fl_admin_test";
const EVERY_SCOPE: [Scope; 4] = [Scope::Read, Scope::Pay, Scope::Refund, Scope::Manage];

/// A door, and the key of a merchant.
pub(crate) struct World {
    router: Router,
    pub(crate) doors: Doors,
    pub(crate) clock: Arc<ShiftedClock>,
    pub(crate) tenant: Tenant,
    pub(crate) key: String,
    schema: Option<Schema>,
}

/// An answer.
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The object of an answer that must be one.
    pub(crate) fn object(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// The error of an answer that must be one.
    pub(crate) fn error(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()["error"].clone()
    }
}

impl World {
    pub(crate) async fn provider() -> Self {
        let tariff = Tariff {
            basis_points: 150,
            fixed_minor: 25,
        };
        Self::of(DoorKind::Provider { cards: &Cards, tariff }).await
    }

    pub(crate) async fn merchant() -> Self {
        Self::of(DoorKind::Merchant { cards: &Cards }).await
    }

    /// A merchant's door as `serve` has it, where no webhook goes into the operator's network.
    pub(crate) async fn guarded() -> Self {
        Self::over_net(DoorKind::Merchant { cards: &Cards }, false).await
    }

    async fn of(kind: DoorKind) -> Self {
        Self::over_net(kind, true).await
    }

    async fn over_net(kind: DoorKind, allow_private_webhooks: bool) -> Self {
        let clock = Arc::new(ShiftedClock::new());
        let now = {
            let clock = Arc::clone(&clock);
            move || clock.now()
        };
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(Disk::default(), clock.now()));
        let around = Surroundings {
            clock: Box::new(now.clone()),
            ids: Mutex::new(Box::new(SystemIds::new(now.clone()))),
        };
        let directory = Directory::load(Arc::clone(&store), around)
            .await
            .expect("an empty directory");
        let engine = Engine::start(Parts {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            keyring: Arc::new(Keyring::new(Default::default(), &Secret::new([7; 32]))),
            rails: RAILS,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ids: Box::new(SystemIds::new(now)),
            node: NodeId::from_uuid(uuid::Uuid::from_u128(1)),
            origin: "http://api.test".to_owned(),
            settings: engine::Settings {
                call_wait: CALL_WAIT,
                test_method: |_, name| name != "card_vsia",
                ..engine::Settings::default()
            },
        });
        let bell = Arc::new(Notify::new());
        let doors = Doors::new(florin_channels::Parts {
            reader: Reader::new(
                Arc::clone(&store),
                Arc::clone(&directory),
                RAILS,
                engine.committed(),
                Arc::clone(&bell),
            ),
            engine,
            directory,
            store,
            bell,
            settings: Arc::new(Settings {
                api_url: "http://api.test".to_owned(),
                stripe_url: ORIGIN.to_owned(),
                body_bytes: 64 << 10,
                requests_per_s: 0,
                admin_key_hash: Some(hash_of(ADMIN_KEY)),
                allow_private_webhooks,
                any_provider_address: true,
            }),
        });
        let (tenant, key) = tenant(&doors, "Giglio", &EVERY_SCOPE).await;
        Self {
            router: stripe_compat::router_before(doors.clone(), kind, Some(Arc::new(Bank))),
            doors,
            clock,
            tenant,
            key,
            schema: Schema::published(),
        }
    }

    /// The door itself.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Another merchant's key.
    pub(crate) async fn another(&self) -> String {
        tenant(&self.doors, "Somebody else", &EVERY_SCOPE).await.1
    }

    /// Another key of the same merchant, which may do less.
    pub(crate) async fn key_for(&self, scopes: &[Scope]) -> String {
        let made = self
            .doors
            .directory
            .create_key(self.tenant, "less", scopes.to_vec(), None)
            .await;
        made.expect("a key").secret.expect("a new key").expose().clone()
    }

    /// A call as an SDK makes it.
    pub(crate) async fn call(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Said {
        self.keyed(method, path, form, None).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call("GET", path, &[]).await.object()
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        self.call("POST", path, form).await.object()
    }

    /// A call under an idempotency key.
    pub(crate) async fn keyed(&self, method: &str, path: &str, form: &[(&str, &str)], key: Option<&str>) -> Said {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let said = self.send(request, form).await;
        self.judge(method, path, &said);
        said
    }

    /// Any request.
    pub(crate) async fn send(&self, mut request: http::request::Builder, form: &[(&str, &str)]) -> Said {
        let body: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request.body(Body::from(body)).expect("a request");
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("a router never fails");
        said(response).await
    }

    /// A call of the door, or of the native API by its whole address, that declares a body of so many bytes, of which none comes.
    pub(crate) async fn declared(&self, target: &str, bytes: usize) -> Said {
        let (router, kind) = match target.starts_with("http://api.test/") {
            true => (florin_channels::api::router(self.doors.clone()), "application/json"),
            false => (self.router.clone(), "application/x-www-form-urlencoded"),
        };
        let request = Request::post(target)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, kind)
            .header(header::CONTENT_LENGTH, bytes)
            .body(Body::new(Silent))
            .expect("a request");
        let answer = tokio::time::timeout(PATIENCE, router.oneshot(request)).await;
        said(
            answer
                .expect("an answer before the body")
                .expect("a router never fails"),
        )
        .await
    }

    /// Something of the native API, which stands beside the door: its answer.
    pub(crate) async fn native(&self, method: &str, path: &str, body: Option<Value>) -> Said {
        let body = body.map_or_else(String::new, |body| body.to_string());
        self.native_text(method, path, body).await
    }

    /// The same with any text for a body; what only the installation's administrator may do is done by them.
    pub(crate) async fn native_text(&self, method: &str, path: &str, body: String) -> Said {
        let key = if path == "/v1/merchants" { ADMIN_KEY } else { &self.key };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "api.test")
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header("idempotency-key", self.doors.directory.new_uuid().to_string())
            .header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body)).expect("a request");
        let router = florin_channels::api::router(self.doors.clone());
        said(router.oneshot(request).await.expect("a router never fails")).await
    }

    /// From now on payments go to this address.
    pub(crate) async fn provider_at(&self, base: &str) -> ConnectionId {
        connection(&self.doors, self.tenant, "script", base).await
    }

    /// From now on payments go over this rail.
    pub(crate) async fn over(&self, rail: &str) -> ConnectionId {
        connection(&self.doors, self.tenant, rail, "http://127.0.0.1:9").await
    }

    /// A page as a browser opens it.
    pub(crate) async fn page(&self, url: &str) -> Said {
        let path = url.strip_prefix(ORIGIN).unwrap_or(url);
        self.send(Request::get(path).header(header::HOST, "door.test"), &[])
            .await
    }

    /// A form as a browser sends it.
    pub(crate) async fn press(&self, url: &str, form: &[(&str, &str)]) -> Said {
        let path = url.strip_prefix(ORIGIN).unwrap_or(url);
        let request = Request::post(path)
            .header(header::HOST, "door.test")
            .header(header::ORIGIN, ORIGIN);
        self.send(request, form).await
    }

    fn judge(&self, method: &str, path: &str, said: &Said) {
        assert!(
            said.header("request-id").starts_with("req_"),
            "{method} {path} has no request id"
        );
        assert_eq!(said.header("stripe-version"), stripe_compat::VERSION, "{method} {path}");
        if let Some(schema) = &self.schema {
            let bare = path.split('?').next().unwrap_or_default();
            let wrong = schema.judge(method, bare, said.status, &said.json());
            assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}\n{}", said.text);
        }
    }
}

async fn said(response: axum::response::Response) -> Said {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), 4 << 20)
        .await
        .expect("a whole body");
    Said {
        status,
        headers,
        text: String::from_utf8(body.to_vec()).expect("text"),
    }
}

async fn tenant(doors: &Doors, name: &str, scopes: &[Scope]) -> (Tenant, String) {
    let directory = &doors.directory;
    let merchant = directory
        .create_merchant(name, None)
        .await
        .expect("a merchant")
        .document
        .id;
    let tenant = Tenant {
        merchant,
        mode: Mode::Test,
    };
    connection(doors, tenant, "script", "http://127.0.0.1:9").await;
    let key = directory
        .create_key(tenant, "test", scopes.to_vec(), None)
        .await
        .expect("a key");
    (tenant, key.secret.expect("a new key").expose().clone())
}

/// A tenant's new default connection.
async fn connection(doors: &Doors, tenant: Tenant, rail: &str, base: &str) -> ConnectionId {
    let directory = &doors.directory;
    let connection = Connection {
        id: ConnectionId::from_uuid(directory.new_uuid()),
        tenant,
        rail: rail.to_owned(),
        base: base.to_owned(),
        secrets: Default::default(),
        own: Default::default(),
        settings: Default::default(),
        default: true,
        enabled: true,
        created_at: directory.now(),
    };
    let made = directory.make(Some(tenant), connection, None).await;
    made.expect("a connection").document.id
}

/// A body of which nothing comes.
struct Silent;

impl hyper::body::Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// A bank that decides, and tells it with the next refund.
struct Bank;

impl Arbiter for Bank {
    fn decide<'a>(&'a self, _: &'a Memo, _: &'a str, _: bool) -> Deciding<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// A table for tests: cards of the script, and numbers that are none.
struct Cards;

const CARDS: &[(&str, &str, &str)] = &[
    ("1111", "card_visa", "4242"),
    ("2222", "card_visa_chargeDeclined", "0002"),
    ("3333", "card_threeDSecure2Required", "3220"),
    ("4444", "card_visa_chargeDeclinedInsufficientFunds", "9995"),
    ("5555", "card_slow", "5555"),
    ("6666", "card_pendingRefund", "7726"),
    ("7777", "card_createDispute", "0259"),
];

fn card((_, name, last4): (&'static str, &'static str, &'static str)) -> Card {
    Card {
        name,
        brand: "visa",
        last4,
        funding: "credit",
        country: "US",
        cvc_check: "pass",
        line1_check: "pass",
        postal_code_check: "pass",
    }
}

impl CardTable for Cards {
    fn by_number(&self, typed: &str) -> Option<Card> {
        let digits: String = typed.chars().filter(|letter| *letter != ' ').collect();
        CARDS.iter().find(|row| row.0 == digits).copied().map(card)
    }

    fn by_name(&self, name: &str) -> Option<Card> {
        CARDS.iter().find(|row| row.1 == name).copied().map(card)
    }

    fn examples(&self) -> Vec<Example> {
        vec![Example {
            number: "1111".to_owned(),
            what: "pays",
        }]
    }
}
