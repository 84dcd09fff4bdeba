//! One merchant, one provider, one or more engines over a store.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use florin_core::id::{ConnectionId, Ids, NodeId, OrderId};
use florin_core::money::{Currency, Money};
use florin_core::order::{CaptureAt, Initiator, Kind};
use florin_core::rail::{Notice, Rail};
use florin_core::secret::Secret;
use florin_core::time::Timestamp;
use florin_services::ask::{Answered, Ask, Denied, NewOrder, Pay, What};
use florin_services::clock::Clock;
use florin_services::dice::SystemIds;
use florin_services::directory::{Connection, Directory, Surroundings};
use florin_services::engine::{Engine, Parts, Settings};
use florin_services::keyring::{Keyring, Values};
use florin_services::view::View;
use florin_store::memory::MemoryStore;
use florin_store::sqlite::SqliteStore;
use florin_store::{Cursor, EventRow, Fold, IdemKey, Mode, OrderRow, ProviderRef, Store, Tenant};
use florin_testkit::check;

use crate::server::Server;

/// The machine's clock, shifted, shared by engines, provider and (in memory) the database.
#[derive(Clone, Default)]
pub struct TestClock {
    shift_ms: Arc<AtomicI64>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        florin_services::clock::SystemClock
            .now()
            .plus_millis(self.shift_ms.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Timestamp {
        self.now()
    }
}

impl TestClock {
    pub fn pass(&self, seconds: i64) {
        self.shift_ms.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

/// Where a world keeps its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Memory,
    Sqlite,
}

pub const PLACES: [Place; 2] = [Place::Memory, Place::Sqlite];

pub struct World {
    pub store: Arc<dyn Store>,
    pub memory: Option<Arc<MemoryStore>>,
    pub clock: TestClock,
    pub server: Server,
    pub directory: Arc<Directory>,
    pub tenant: Tenant,
    pub connection: ConnectionId,
    dir: Option<PathBuf>,
}

pub const HOOK_SECRET: &str = "whsec_test";

impl World {
    pub async fn new(place: Place) -> Self {
        // RUST_LOG-like output of a failing test: FLORIN_TEST_LOG=1.
        if std::env::var_os("FLORIN_TEST_LOG").is_some() {
            let all = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::DEBUG)
                .with_test_writer();
            drop(all.try_init());
        }
        let clock = TestClock::default();
        let reading = clock.clone();
        let server = Server::start(Arc::new(move || reading.now())).await;
        let (store, memory, dir) = open(place, &clock).await;
        let directory = directory(&store, &clock).await;
        let merchant = directory.create_merchant("Corner shop", None).await.unwrap().document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        let connection_id = ConnectionId::from_uuid(directory.new_uuid());
        let document = connection(connection_id, tenant, &server.base, true, clock.now());
        directory.make(Some(tenant), document, None).await.unwrap();
        Self {
            store,
            memory,
            clock,
            server,
            directory,
            tenant,
            connection: connection_id,
            dir,
        }
    }

    /// A node with a name of its own.
    pub async fn engine(&self, node: u128) -> Arc<Engine> {
        let quick = Settings {
            poll: Duration::from_millis(20),
            ..Settings::default()
        };
        self.engine_with(node, quick).await
    }

    pub async fn engine_with(&self, node: u128, settings: Settings) -> Arc<Engine> {
        let store = self.connect();
        self.engine_over(node, store, settings).await
    }

    /// A node's own connection, opened now: what it had leased before is its own again.
    pub fn connect(&self) -> Arc<dyn Store> {
        match &self.memory {
            Some(memory) => {
                memory.set_clock(self.clock.now()); // a node's life begins now, and not when the clock was last looked at
                let another = Arc::new(memory.another());
                keep_time(Arc::clone(&another), self.clock.clone());
                another
            }
            None => Arc::clone(&self.store),
        }
    }

    pub async fn engine_over(&self, node: u128, store: Arc<dyn Store>, settings: Settings) -> Arc<Engine> {
        self.engine_at(node, store, settings, self.clock.clone()).await
    }

    pub async fn engine_at(
        &self,
        node: u128,
        store: Arc<dyn Store>,
        settings: Settings,
        clock: TestClock,
    ) -> Arc<Engine> {
        self.engine_of(node, store, settings, clock, florin_rails::ALL).await
    }

    /// A node of a release with rails of its own.
    pub async fn engine_of(
        &self,
        node: u128,
        store: Arc<dyn Store>,
        settings: Settings,
        clock: TestClock,
        rails: &'static [&'static dyn Rail],
    ) -> Arc<Engine> {
        let values: Values = [
            ("stripe_key".to_owned(), vec![Secret::new("sk_test_canary".to_owned())]),
            ("stripe_hook".to_owned(), vec![Secret::new(HOOK_SECRET.to_owned())]),
        ]
        .into();
        let ids = clock.clone();
        Engine::start(Parts {
            directory: directory(&store, &clock).await,
            store,
            keyring: Arc::new(Keyring::new(values, &Secret::new([1; 32]))),
            rails,
            clock: Arc::new(clock),
            ids: Box::new(SystemIds::new(move || ids.now())),
            node: NodeId::from_uuid(uuid::Uuid::from_u128(node)),
            origin: "http://127.0.0.1:4000".into(),
            settings,
        })
    }

    pub fn pay(&self, method: &str) -> Pay {
        Pay {
            method: method.into(),
            connection: None,
            channel: "api".into(),
            initiator: Initiator::Payer,
            return_url: None,
        }
    }

    pub fn create(&self, reference: &str, amount: i64, capture: CaptureAt, method: Option<&str>) -> Ask {
        Ask {
            tenant: self.tenant,
            key: Some(key(&format!("create {reference}"))),
            what: What::Create {
                order: Box::new(NewOrder {
                    id: None,
                    reference: reference.into(),
                    kind: Kind::Payment,
                    amount: eur(amount),
                    capture,
                    expires_at: None,
                    details: Arc::default(),
                }),
                start: method.map(|method| self.pay(method)),
            },
        }
    }

    pub fn sale(&self, reference: &str) -> Ask {
        self.create(reference, 1099, CaptureAt::Once, Some("card_visa"))
    }

    pub fn ask(&self, key_text: &str, what: What) -> Ask {
        Ask {
            tenant: self.tenant,
            key: Some(key(key_text)),
            what,
        }
    }

    /// Delivers the provider's webhooks; answers how many were taken.
    pub async fn deliver(&self, engine: &Engine, events: &[serde_json::Value]) -> usize {
        let mut taken = 0;
        for event in events {
            let notice = self.signed(&event.to_string(), HOOK_SECRET, self.clock.now());
            taken += usize::from(engine.notice(self.connection, notice).await.is_ok());
        }
        taken
    }

    pub fn signed(&self, body: &str, secret: &str, at: Timestamp) -> Notice {
        let text = format!("{}.{body}", at.seconds());
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = florin_services::dice::hex(aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref());
        Notice {
            headers: [("stripe-signature".to_owned(), format!("t={},v1={tag}", at.seconds()))].into(),
            body: body.as_bytes().to_vec(),
        }
    }

    pub fn events(&self) -> Vec<serde_json::Value> {
        self.server.provider.lock().unwrap().take_events()
    }

    /// How many commits an order took: each has one event row.
    pub async fn commits(&self, order: OrderId) -> usize {
        self.store.events_of(order).await.unwrap().len()
    }

    /// Waits until an order is as it should be.
    pub async fn until(&self, engine: &Engine, order: OrderId, is: impl Fn(&View) -> bool) -> Arc<View> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let view = engine.view(self.tenant, order).await.unwrap();
            if is(&view) {
                return view;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "it never came to pass; the order stands at {:#?}",
                view.order
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl World {
    pub fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn all_orders(&self) -> Vec<OrderRow> {
        self.store.orders_after(None, 10_000).await.unwrap()
    }

    pub async fn all_events(&self) -> Vec<EventRow> {
        let mut events = Vec::new();
        for order in self.all_orders().await {
            events.extend(self.store.events_of(order.id).await.unwrap());
        }
        events
    }

    pub async fn only_order(&self) -> OrderId {
        let orders = self.all_orders().await;
        assert_eq!(orders.len(), 1);
        orders[0].id
    }

    pub async fn store_row(&self, order: OrderId) -> OrderRow {
        self.all_orders().await.into_iter().find(|row| row.id == order).unwrap()
    }

    /// What the reader behind the commit does: the provider's names of an order's payments find the order.
    pub async fn name_refs(&self, order: OrderId) {
        let row = self.store_row(order).await;
        let events = self.store.events_of(order).await.unwrap();
        let view = florin_services::snapshot::read_whole(&row, &events).unwrap();
        let refs = view.memos.values().flatten().map(|(kind, id)| {
            let reference = ProviderRef {
                connection: self.connection,
                kind: kind.clone(),
                id: id.clone(),
            };
            (reference, order)
        });
        let from = self.store.cursor("refs").await.unwrap();
        let fold = Fold {
            reader: "refs".into(),
            from,
            to: Cursor {
                row: from.row + 1,
                ..from
            },
            listings: Vec::new(),
            feed: Vec::new(),
            refs: refs.collect(),
            balances: Vec::new(),
            deliveries: Vec::new(),
        };
        assert!(self.store.fold(fold.clone()).await.unwrap());
    }

    /// Another account of the merchant, at this address.
    pub async fn connection_to(&self, base: &str) -> ConnectionId {
        self.make_connection(self.tenant, base, false).await
    }

    /// Another merchant's account at the same provider.
    pub async fn foreign_connection(&self) -> ConnectionId {
        let merchant = self
            .directory
            .create_merchant("Next door", None)
            .await
            .unwrap()
            .document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        self.make_connection(tenant, &self.server.base, true).await
    }

    async fn make_connection(&self, tenant: Tenant, base: &str, default: bool) -> ConnectionId {
        let id = ConnectionId::from_uuid(self.directory.new_uuid());
        let document = connection(id, tenant, base, default, self.clock.now());
        self.directory.make(Some(tenant), document, None).await.unwrap();
        id
    }

    /// Changes stored bytes of an order (SQLite).
    pub fn damage(&self, statement: &str, order: OrderId) {
        let database = self.database();
        let direct = rusqlite::Connection::open(&database).unwrap();
        let changed = direct.execute(statement, [order.uuid().as_bytes().to_vec()]).unwrap();
        assert!(changed > 0, "{statement}");
    }

    /// Undoes the last damage by doing it backwards.
    pub fn undo_damage(&self, order: OrderId) {
        let direct = rusqlite::Connection::open(self.database()).unwrap();
        for statement in [
            "update events set body = replace(body, '9901', '1099') where order_id = ?",
            "update events set postings = replace(postings, '9901', '1099') where order_id = ?",
            "update orders set state = replace(state, '{\"rows\":[2', '{\"rows\":[1') where id = ?",
        ] {
            direct.execute(statement, [order.uuid().as_bytes().to_vec()]).unwrap();
        }
    }

    fn database(&self) -> PathBuf {
        self.dir.as_ref().unwrap().join("florin.db")
    }

    /// Everything that was told, written and moved is one story, and all of it has come to an end.
    pub async fn check(&self) {
        let (orders, events) = (self.all_orders().await, self.all_events().await);
        let witness: check::Witness = {
            let provider = self.server.provider.lock().unwrap();
            let stands = orders.iter().map(|row| (row.id, provider.stands(row.id)));
            stands.filter(|(_, stands)| !stands.is_empty()).collect()
        };
        let wrong = check::check(check::Evidence {
            calls: &[],
            orders: &orders,
            events: &events,
            witness: Some(&witness),
            settled: true,
        });
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir {
            drop(std::fs::remove_dir_all(dir));
        }
    }
}

async fn open(place: Place, clock: &TestClock) -> (Arc<dyn Store>, Option<Arc<MemoryStore>>, Option<PathBuf>) {
    match place {
        Place::Memory => {
            let store = Arc::new(MemoryStore::open(Default::default(), clock.now()));
            keep_time(Arc::clone(&store), clock.clone());
            (Arc::clone(&store) as Arc<dyn Store>, Some(store), None)
        }
        Place::Sqlite => {
            let name = format!("florin-engine-{}", florin_services::dice::token::<16>());
            let dir = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            let settings = florin_store::sqlite::Settings::at(dir.join("florin.db"));
            let store = SqliteStore::open(&settings).unwrap();
            store.migrate().await.unwrap();
            (Arc::new(store), None, Some(dir))
        }
    }
}

/// The database's clock follows the world's.
fn keep_time(store: Arc<MemoryStore>, clock: TestClock) {
    store.set_clock(clock.now());
    let store = Arc::downgrade(&store);
    tokio::spawn(async move {
        while let Some(store) = store.upgrade() {
            store.set_clock(clock.now());
            drop(store);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

async fn directory(store: &Arc<dyn Store>, clock: &TestClock) -> Arc<Directory> {
    let (reading, making) = (clock.clone(), clock.clone());
    let ids: Box<dyn Ids + Send> = Box::new(SystemIds::new(move || making.now()));
    let around = Surroundings {
        clock: Box::new(move || reading.now()),
        ids: std::sync::Mutex::new(ids),
    };
    Directory::load(Arc::clone(store), around).await.unwrap()
}

fn connection(id: ConnectionId, tenant: Tenant, base: &str, default: bool, now: Timestamp) -> Connection {
    Connection {
        id,
        tenant,
        rail: "stripe".into(),
        base: base.to_owned(),
        secrets: [
            ("api_key".to_owned(), "stripe_key".to_owned()),
            ("webhook_secret".to_owned(), "stripe_hook".to_owned()),
        ]
        .into(),
        own: Default::default(),
        settings: Default::default(),
        default,
        enabled: true,
        created_at: now,
    }
}

pub fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

pub fn key(text: &str) -> IdemKey {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref());
    IdemKey {
        key: text.to_owned(),
        hash,
        earlier: None,
    }
}

/// The public word of an order.
pub fn word(view: &View) -> &'static str {
    florin_core::status::word(&view.order).as_str()
}

pub fn is(word_wanted: &'static str) -> impl Fn(&View) -> bool {
    move |view| word(view) == word_wanted
}

pub fn answered(result: Result<Answered, Denied>) -> Answered {
    result.unwrap_or_else(|denied| panic!("denied: {denied}"))
}
