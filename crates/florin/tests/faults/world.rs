//! A merchant, a provider that outlives everybody, a database, and servers that come and go.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use florin_services::dice;
use florin_store::Store;
use florin_store::postgres::{self, PostgresStore};
use florin_store::sqlite::{self, SqliteStore};
use florin_testkit::proxy::Proxy;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::http::{self, Heard};
use crate::node::{Node, Start};
use crate::psp::{Psp, now};
use crate::receiver::Receiver;
use crate::till::{CONVERGES, Till};

pub const ADMIN_KEY: &str = "fl_admin_of_the_fault_tests";
/// The key that Florin holds at the provider. It may stand in no file and no log.
pub const PSP_KEY: &str = "sk_test_canary_of_the_fault_tests";
/// What the provider signs its webhooks with. It may stand in no file and no log.
pub const HOOK_SECRET: &str = "whsec_canary_of_the_fault_tests";
const ROOT_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Where orders are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Sqlite,
    Postgres,
}

pub const PLACES: [Place; 2] = [Place::Sqlite, Place::Postgres];

/// Which wires of a world can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wires {
    Good,
    Database,
    Provider,
}

pub struct World {
    pub folder: Folder,
    pub psp: Psp,
    pub cluster: Option<Cluster>,
    /// Around every wire: what the tests look at is not what is tested.
    direct: Option<String>,
    database: Option<String>,
    /// The wire between server and database, or between server and provider.
    pub wire: Option<Proxy>,
    pub till: Arc<Till>,
    pub connection: String,
    receiver: OnceLock<Receiver>,
    /// Webhooks of the provider that were not taken yet, oldest first.
    untaken: Mutex<VecDeque<Value>>,
}

/// How a server differs from the usual one.
#[derive(Clone, Debug, Default)]
pub struct Differs {
    /// Another node beside the first, by name.
    pub node: Option<&'static str>,
    pub env: Vec<(&'static str, String)>,
    pub wrapper: Vec<String>,
}

impl Differs {
    pub fn env(name: &'static str, value: impl ToString) -> Self {
        Self {
            env: vec![(name, value.to_string())],
            ..Self::default()
        }
    }

    /// It dies at this point.
    pub fn dies_at(point: &str, passage: u32) -> Self {
        Self::env(florin_services::crash::VARIABLE, format!("{point}:{passage}"))
    }
}

impl World {
    /// A world with a server that runs.
    pub async fn new(place: Place) -> (Arc<Self>, Node) {
        Self::with(place, Wires::Good, Differs::default()).await
    }

    pub async fn with(place: Place, wires: Wires, differs: Differs) -> (Arc<Self>, Node) {
        let (folder, psp) = (Folder::new(), Psp::start());
        let (mut direct, mut database, mut wire) = (None, None, None);
        let cluster = match place {
            Place::Sqlite => None,
            Place::Postgres => Some(Cluster::start(&[])),
        };
        if let Some(cluster) = &cluster {
            let conninfo = cluster.database().await;
            let name = conninfo.rsplit('=').next().unwrap_or_default();
            let url = |port: u16| format!("postgres://postgres@127.0.0.1:{port}/{name}");
            direct = Some(url(cluster.port));
            database = direct.clone();
            if wires == Wires::Database {
                let through = proxy(SocketAddr::from(([127, 0, 0, 1], cluster.port)));
                database = Some(url(through.address().port()));
                wire = Some(through);
            }
        }
        if wires == Wires::Provider {
            wire = Some(proxy(psp.address));
        }
        let provider = match (&wire, wires) {
            (Some(wire), Wires::Provider) => wire.address(),
            _ => psp.address,
        };
        let mut world = Self {
            folder,
            psp,
            cluster,
            direct,
            database,
            wire,
            till: Arc::new(Till::new("", "")),
            connection: String::new(),
            receiver: OnceLock::new(),
            untaken: Mutex::default(),
        };
        let node = world.start(differs).await;
        let (key, connection) = merchant(&node.api, &format!("http://{provider}")).await;
        world.till = Arc::new(Till::new(&node.api, &key));
        world.connection = connection;
        (Arc::new(world), node)
    }

    /// Starts a server over this world's data, and turns the callers to it.
    pub async fn start(&self, differs: Differs) -> Node {
        self.try_start(differs).await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// As [`World::start`]; the server may fail to start.
    pub async fn try_start(&self, differs: Differs) -> Result<Node, String> {
        let alone = differs.node.is_none();
        let node = Node::start(&self.how(differs)).await?;
        if alone {
            self.till.turn_to(&node.api);
        }
        Ok(node)
    }

    fn how(&self, differs: Differs) -> Start {
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut env = vec![
            own("FLORIN_SECRET_ROOT_KEY", ROOT_KEY),
            own("FLORIN_SECRET_ADMIN_KEY", ADMIN_KEY),
            own("FLORIN_SECRET_PSP_KEY", PSP_KEY),
            own("FLORIN_SECRET_PSP_HOOK", HOOK_SECRET),
            own("FLORIN_WEBHOOKS_ALLOW_PRIVATE", "true"),
            own("FLORIN_PROVIDERS_ANY_ADDRESS", "true"),
        ];
        // For a look at a test that fails: FLORIN_TEST_LOG=debug.
        if let Ok(filter) = std::env::var("FLORIN_TEST_LOG") {
            env.push(own("FLORIN_LOG_FILTER", &filter));
        }
        env.extend(differs.env.iter().map(|(name, value)| own(name, value)));
        Start {
            data: self.folder.0.join(differs.node.unwrap_or("one")),
            database: self.database.clone(),
            wrapper: differs.wrapper,
            env,
        }
    }

    /// The folder of the first server.
    pub fn data(&self) -> PathBuf {
        self.folder.0.join("one")
    }

    /// The address of the database, around every wire.
    pub fn direct(&self) -> Option<&str> {
        self.direct.as_deref()
    }

    /// Tells the merchant about everything from now on. Answers the endpoint as it was made, with its secret.
    pub async fn listen(&self) -> Value {
        let receiver = self.receiver.get_or_init(Receiver::start);
        let body = json!({"url": receiver.url});
        let made = self
            .till
            .unwritten(&self.till.base(), "endpoint", "/v1/webhook_endpoints", &body)
            .await
            .said();
        assert_eq!(made.status, 201, "{made:?}");
        made.body
    }

    /// Where the merchant is told, if it listens.
    pub fn receiver(&self) -> Option<&Receiver> {
        self.receiver.get()
    }

    /// Sends a webhook of the provider, signed with this secret at this moment.
    pub async fn hook_at(&self, base: &str, body: &[u8], secret: &str, at_s: i64) -> Heard {
        let header = signature(body, secret, at_s);
        let path = format!("/hooks/{}", self.connection);
        http::ask(base, "POST", &path, &[("stripe-signature", header.as_str())], body).await
    }

    /// Sends a webhook of the provider as the provider does.
    pub async fn hook(&self, event: &Value) -> Heard {
        let body = event.to_string();
        self.hook_at(&self.till.base(), body.as_bytes(), HOOK_SECRET, now().seconds())
            .await
    }

    /// Sends every webhook that the provider has to tell, in order and until each is taken, or until `stop`.
    pub async fn hook_until(&self, stop: &AtomicBool) {
        loop {
            let next = {
                let mut untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
                untaken.extend(self.psp.take_events());
                untaken.front().cloned()
            };
            let Some(event) = next else { return };
            if self.hook(&event).await.status() == Some(200) {
                self.untaken.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            } else if stop.load(Ordering::SeqCst) {
                return;
            } else {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Sends every webhook that the provider has to tell, in order and until each is taken. Each has its own time: there may be thousands.
    pub async fn hook_all(&self) {
        let never = AtomicBool::new(false);
        let mut stuck = None;
        while tokio::time::timeout(CONVERGES, self.hook_until(&never)).await.is_err() {
            let untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
            let first = untaken.front().map(|event| event["id"].clone());
            assert!(
                first.is_some() && first != stuck,
                "a webhook was never taken: {first:?}"
            );
            stuck = first;
        }
    }

    /// Waits until an order has this word.
    pub async fn until(&self, order: &str, word: &str) -> Value {
        self.until_is(order, &|order| order["payment_order_status"] == word)
            .await
    }

    pub async fn until_is(&self, order: &str, is: &dyn Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + CONVERGES;
        loop {
            let heard = self.till.get(&format!("/v1/orders/{order}")).await;
            match heard {
                Heard::Said(said) if said.status == 200 && is(&said.body) => return said.body,
                other => assert!(
                    Instant::now() < deadline,
                    "it never came to pass; the order stands at {other:?}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until nothing is under way any more: no open step, no delivery that is due, no notice that was not told.
    pub async fn quiet(&self) {
        const OPEN: [&str; 3] = [
            "select count(*) from orders where work is not null",
            "select count(*) from deliveries where due is not null",
            "select count(*) from inbox where done = 0",
        ];
        let deadline = Instant::now() + CONVERGES;
        loop {
            let mut open = Vec::new();
            for sql in OPEN {
                open.push(self.number_of(sql).await);
            }
            if open.iter().all(|open| *open == 0) {
                return;
            }
            if std::env::var_os("FLORIN_TEST_LOG").is_some() {
                eprintln!("orders, deliveries and notices that are open: {open:?}");
            }
            assert!(
                Instant::now() < deadline,
                "orders, deliveries and notices never came to an end: {open:?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What a query of one number finds, beside a server that runs.
    pub async fn number_of(&self, sql: &str) -> i64 {
        match &self.direct {
            Some(url) => crate::cluster::connect(url)
                .await
                .query_one(sql, &[])
                .await
                .unwrap()
                .get(0),
            None => {
                // Read-only, SQLite could not make the file that readers of a write-ahead log share.
                let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
                let database = rusqlite::Connection::open_with_flags(self.data().join("florin.db"), flags).unwrap();
                database.query_row(sql, [], |row| row.get(0)).unwrap()
            }
        }
    }

    /// Changes rows, beside a server that runs or without one. Answers how many.
    pub async fn change(&self, sql: &str) -> usize {
        match &self.direct {
            Some(url) => {
                let changed = crate::cluster::connect(url).await.execute(sql, &[]).await.unwrap();
                usize::try_from(changed).unwrap()
            }
            None => {
                let database = rusqlite::Connection::open(self.data().join("florin.db")).unwrap();
                database.busy_timeout(Duration::from_secs(30)).unwrap();
                database.execute(sql, []).unwrap()
            }
        }
    }

    /// The database, opened by the test. No server may run over SQLite then.
    pub async fn store(&self) -> Arc<dyn Store> {
        match &self.direct {
            Some(url) => Arc::new(
                PostgresStore::open(&postgres::Settings::at(url.as_str()))
                    .await
                    .unwrap(),
            ),
            None => Arc::new(SqliteStore::open(&sqlite::Settings::at(self.data().join("florin.db"))).unwrap()),
        }
    }
}

fn proxy(target: SocketAddr) -> Proxy {
    Proxy::start(target, crate::seed()).unwrap()
}

/// Makes a merchant with a connection to the provider; answers its key and the connection.
pub async fn merchant(api: &str, provider: &str) -> (String, String) {
    let json = ("content-type", "application/json");
    let admin = format!("Bearer {ADMIN_KEY}");
    let body = json!({"name": "Corner shop"}).to_string();
    let headers = [("authorization", admin.as_str()), json];
    let made = http::ask(api, "POST", "/v1/merchants", &headers, body.as_bytes())
        .await
        .said();
    let key = made.text("key").to_owned();
    assert!(!key.is_empty(), "{made:?}");
    let bearer = format!("Bearer {key}");
    let secrets = json!({"api_key": "psp_key", "webhook_secret": "psp_hook"});
    let body = json!({"rail": "stripe", "base": provider, "secrets": secrets, "default": true}).to_string();
    let headers = [("authorization", bearer.as_str()), json];
    let made = http::ask(api, "POST", "/v1/connections", &headers, body.as_bytes())
        .await
        .said();
    assert_eq!(made.status, 201, "{made:?}");
    (key, made.text("id").to_owned())
}

/// `Stripe-Signature`.
pub fn signature(body: &[u8], secret: &str, at_s: i64) -> String {
    let mut text = format!("{at_s}.").into_bytes();
    text.extend_from_slice(body);
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    format!("t={at_s},v1={}", dice::hex(aws_lc_rs::hmac::sign(&key, &text).as_ref()))
}

/// A folder that is removed at the end, unless the test failed.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("florin-faults-{}-{number}", std::process::id()));
        let _old = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("logs and data are kept in {}", self.0.display());
        } else {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }
}
