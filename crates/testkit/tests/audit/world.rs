//! One merchant whose provider is the simulated issuer, over one of three databases.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use florin_core::id::{ConnectionId, Ids, NodeId, OrderId};
use florin_core::money::{Currency, Money};
use florin_core::order::{CaptureAt, Initiator, Kind};
use florin_core::secret::Secret;
use florin_core::time::Timestamp;
use florin_sandbox::clerk::{self, Clerk};
use florin_sandbox::faults::{Faults, Kind as Fault, Rule, Target};
use florin_sandbox::http;
use florin_services::ask::{Answered, Ask, Denied, NewOrder, Pay, What};
use florin_services::audit::{self, Compared, Finding, Issuer, Summary, When};
use florin_services::clock::{Clock, SystemClock};
use florin_services::dice::SystemIds;
use florin_services::directory::{Connection, Directory, Surroundings};
use florin_services::engine::{Engine, Parts, Settings};
use florin_services::keyring::{Keyring, Values};
use florin_services::reader::Reader;
use florin_services::view::{Details, View};
use florin_store::memory::MemoryStore;
use florin_store::postgres::{self, PostgresStore};
use florin_store::sqlite::{self, SqliteStore};
use florin_store::{IdemKey, Mode, Store, Tenant};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::cluster;
use crate::support::folder::Folder;

/// The machine's clock, shifted.
#[derive(Clone, Default)]
pub struct TestClock {
    shift_ms: Arc<AtomicI64>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_millis(self.shift_ms.load(Ordering::SeqCst))
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
    Postgres,
}

pub const PLACES: [Place; 3] = [Place::Memory, Place::Sqlite, Place::Postgres];

pub struct World {
    pub store: Arc<dyn Store>,
    pub clock: TestClock,
    pub tenant: Tenant,
    pub connection: ConnectionId,
    pub faults: Faults,
    /// The issuer's read-only address.
    pub book: String,
    /// Its other one, which the engine speaks to.
    pub control: String,
    pub folder: Folder,
    behind: Behind,
    stop: CancellationToken,
}

/// What a database is opened from again.
enum Behind {
    Memory(Arc<MemoryStore>),
    File,
    Address(String),
}

impl World {
    pub async fn new(place: Place) -> Self {
        let folder = Folder::new();
        let clock = TestClock::default();
        let behind = match place {
            Place::Memory => Behind::Memory(Arc::new(MemoryStore::open(Default::default(), clock.now()))),
            Place::Sqlite => Behind::File,
            Place::Postgres => Behind::Address(cluster::shared().database().await),
        };
        let store = behind.open(&clock, folder.0.join("florin.db")).await;
        store.migrate().await.unwrap();
        let book = folder.0.join("issuer.book");
        let issuer = Clerk::open(clerk::Settings::new(book), clerk::wall_clock()).unwrap();
        let (faults, stop) = (Faults::default(), CancellationToken::new());
        let control = serve(http::control(issuer.clone(), faults.clone()), &stop).await;
        let book = serve(http::read_only(issuer), &stop).await;
        let directory = directory(&store, &clock).await;
        let merchant = directory.create_merchant("Corner shop", None).await.unwrap().document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        let connection = Connection {
            id: ConnectionId::from_uuid(directory.new_uuid()),
            tenant,
            rail: "issuer".into(),
            base: control.clone(),
            secrets: Default::default(),
            own: Default::default(),
            settings: Default::default(),
            default: true,
            enabled: true,
            created_at: clock.now(),
        };
        let made = directory.make(Some(tenant), connection, None).await.unwrap();
        Self {
            store,
            clock,
            tenant,
            connection: made.document.id,
            faults,
            book,
            control,
            folder,
            behind,
            stop,
        }
    }

    /// The database file of a world on SQLite.
    pub fn file(&self) -> PathBuf {
        self.folder.0.join("florin.db")
    }

    /// Opens the database again, as a new process would.
    pub async fn reopen(&mut self) {
        self.close();
        self.store = self.behind.open(&self.clock, self.file()).await;
    }

    /// Lets go of the database file: its last checkpoint is made, and others may write to it.
    pub fn close(&mut self) {
        self.store = Arc::new(MemoryStore::open(Default::default(), self.clock.now()));
    }

    /// The same world with another file for its database.
    pub async fn reopen_at(&mut self, file: PathBuf) {
        self.close();
        self.store = self.behind.open(&self.clock, file).await;
    }

    pub async fn engine(&self) -> Arc<Engine> {
        self.engine_of(1).await
    }

    pub async fn engine_of(&self, node: u128) -> Arc<Engine> {
        let ids = self.clock.clone();
        Engine::start(Parts {
            directory: directory(&self.store, &self.clock).await,
            store: Arc::clone(&self.store),
            keyring: Arc::new(Keyring::new(Values::new(), &Secret::new([1; 32]))),
            rails: florin_rails::ALL,
            clock: Arc::new(self.clock.clone()),
            ids: Box::new(SystemIds::new(move || ids.now())),
            node: NodeId::from_uuid(uuid::Uuid::from_u128(node)),
            origin: "http://127.0.0.1:4000".into(),
            settings: Settings {
                poll: Duration::from_millis(20),
                // Nobody waits long for an answer that was lost on the way.
                call_wait: Duration::from_secs(2),
                ..Settings::default()
            },
        })
    }

    /// Folds everything that was committed, as the reader behind the commit does.
    pub async fn fold(&self) {
        let directory = directory(&self.store, &self.clock).await;
        let store = Arc::clone(&self.store);
        let reader = Reader::new(store, directory, florin_rails::ALL, Arc::default(), Arc::default());
        reader.catch_up().await.unwrap();
    }

    /// The next `count` requests of this kind go wrong.
    pub fn next(&self, operation: Target, kind: Fault, count: u32) {
        let rule = Rule {
            operation,
            kind,
            when: None,
            ms: Some(1),
            skip: 0,
            count: Some(count),
            permille: 1_000,
            seed: 0,
        };
        self.faults.add(rule).unwrap();
    }

    /// Requests of every kind go wrong now and then.
    pub fn trouble(&self, permille: u16, seed: u64) {
        for (at, kind) in [
            Fault::Reset,
            Fault::Status500,
            Fault::TimeoutAfter,
            Fault::Garbage,
            Fault::Truncated,
        ]
        .into_iter()
        .enumerate()
        {
            let rule = Rule {
                operation: Target::Any,
                kind,
                when: None,
                ms: Some(1),
                skip: 0,
                count: None,
                permille,
                seed: seed + at as u64,
            };
            self.faults.add(rule).unwrap();
        }
    }

    // ---- asked ---------------------------------------------------------------------------------------------------------------------

    pub fn ask(&self, key_text: &str, what: What) -> Ask {
        Ask {
            tenant: self.tenant,
            key: Some(key(key_text)),
            what,
        }
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
        let order = Box::new(NewOrder {
            id: None,
            reference: reference.into(),
            kind: Kind::Payment,
            amount: eur(amount),
            capture,
            expires_at: None,
            details: Arc::new(Details {
                metadata: [("cart".to_owned(), reference.to_owned())].into(),
                ..Details::default()
            }),
        });
        let start = method.map(|method| self.pay(method));
        self.ask(&format!("create {reference}"), What::Create { order, start })
    }

    /// Whether the last thing that was written of an order is that nobody knows what became of something.
    pub async fn is_uncertain(&self, order: OrderId) -> bool {
        let events = self.store.events_of(order).await.unwrap();
        events.last().is_some_and(|row| row.body.contains("uncertain"))
    }

    /// A sale that is paid.
    pub async fn sale(&self, engine: &Engine, reference: &str) -> OrderId {
        let ask = self.create(reference, 1_099, CaptureAt::Once, Some("card_visa"));
        let sold = answered(engine.ask(ask).await);
        assert_eq!(word(&sold.order), "captured");
        sold.order.order.id
    }

    /// Waits until an order is as it should be.
    pub async fn until(&self, engine: &Engine, order: OrderId, is: impl Fn(&View) -> bool) -> Arc<View> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let view = engine.view(self.tenant, order).await.unwrap();
            if is(&view) {
                return view;
            }
            let late = tokio::time::Instant::now() >= deadline;
            assert!(!late, "it never came to pass; the order stands at {:#?}", view.order);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lets time pass until nothing is in flight any more.
    pub async fn rest(&self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let rows = self.store.orders_after(None, 10_000).await.unwrap();
            if rows.iter().all(|row| row.work.is_none()) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "something never ended: {:#?}",
                rows.iter().filter_map(|row| row.work.as_ref()).collect::<Vec<_>>()
            );
            self.clock.pass(10);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    // ---- audited -------------------------------------------------------------------------------------------------------------------

    pub async fn audit(&self) -> (Vec<Finding>, Summary) {
        self.audit_at(None).await
    }

    pub async fn audit_at(&self, at: Option<Timestamp>) -> (Vec<Finding>, Summary) {
        let mut findings = Vec::new();
        let when = When {
            now: Some(self.clock.now()),
            at,
        };
        let summary = audit::audit(
            &*self.store,
            florin_rails::ALL,
            when,
            &mut |finding| findings.push(finding),
            &mut |_| {},
        )
        .await
        .unwrap();
        (findings, summary)
    }

    /// Audits, and holds the database to the issuer's book.
    pub async fn witnessed(&self) -> (Vec<Finding>, Compared) {
        let mut findings = self.audit().await.0;
        let issuer = Issuer::at(&self.book);
        let compared = audit::against_issuer(&*self.store, &issuer, &mut |finding| findings.push(finding))
            .await
            .unwrap();
        (findings, compared)
    }

    /// Every law holds, and the issuer agrees.
    pub async fn is_clean(&self) -> Compared {
        let (findings, compared) = self.witnessed().await;
        assert_eq!(findings, []);
        compared
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Behind {
    async fn open(&self, clock: &TestClock, file: PathBuf) -> Arc<dyn Store> {
        match self {
            Self::Memory(shared) => timed(Arc::new(shared.another()), clock),
            Self::File => Arc::new(SqliteStore::open(&sqlite::Settings::at(file)).unwrap()),
            Self::Address(url) => Arc::new(PostgresStore::open(&postgres::Settings::at(url)).await.unwrap()),
        }
    }
}

/// The database's clock is the world's.
fn timed(store: Arc<MemoryStore>, clock: &TestClock) -> Arc<dyn Store> {
    let (timed, clock) = (Arc::downgrade(&store), clock.clone());
    tokio::spawn(async move {
        while let Some(store) = timed.upgrade() {
            store.set_clock(clock.now());
            drop(store);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    store
}

async fn serve(router: axum::Router, stop: &CancellationToken) -> String {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(florin_sandbox::serve::serve(listener, router, stop.clone()));
    address
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

pub fn word(view: &View) -> &'static str {
    florin_core::status::word(&view.order).as_str()
}

pub fn answered(result: Result<Answered, Denied>) -> Answered {
    result.unwrap_or_else(|denied| panic!("denied: {denied}"))
}
