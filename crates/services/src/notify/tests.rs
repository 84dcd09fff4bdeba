//! The notifier over a database in memory and real sockets.

use std::sync::Mutex;
use std::time::Duration;

use florin_core::id::{DeliveryId, EndpointId, MerchantId, OrderId};
use florin_store::memory::{Disk, MemoryStore};
use florin_store::{DeliverySearch, Mode, Tenant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::plan::tries_of;
use super::*;
use crate::directory::Surroundings;

const T: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// How long a try may take in these tests.
const TRY: Duration = Duration::from_millis(400);

fn tenant() -> Tenant {
    Tenant {
        merchant: MerchantId::from_uuid(Uuid::from_u128(1)),
        mode: Mode::Test,
    }
}

/// Endpoints from this number on are another merchant's.
const ANOTHERS: u128 = 1 << 32;

fn tenant_of(endpoint: EndpointId) -> Tenant {
    if endpoint.uuid().as_u128() < ANOTHERS {
        return tenant();
    }
    Tenant {
        merchant: MerchantId::from_uuid(Uuid::from_u128(2)),
        mode: Mode::Test,
    }
}

/// Says what it is told to, or that it cannot.
struct Words(Result<Message, Unsaid>);

impl Teller for Words {
    fn tell<'a>(&'a self, _: &'a DeliveryRow, _: &'a Endpoint, _: Timestamp) -> Telling<'a> {
        Box::pin(async { self.0.clone() })
    }
}

struct Desk {
    notifier: Arc<Notifier>,
    store: Arc<dyn Store>,
}

impl Desk {
    async fn open(words: Result<Message, Unsaid>) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(Disk::default(), T));
        let clock = crate::clock::SystemClock;
        let ids = crate::dice::SystemIds::new(|| T);
        let around = Surroundings {
            clock: Box::new(move || crate::clock::Clock::now(&clock)),
            ids: Mutex::new(Box::new(ids)),
        };
        let directory = Directory::load(Arc::clone(&store), around).await.unwrap();
        let notifier = Arc::new(Notifier {
            store: Arc::clone(&store),
            directory,
            teller: Arc::new(Words(words)),
            sender: net::Sender::with_limit(true, TRY),
            node: NodeId::from_uuid(Uuid::from_u128(7)),
            wall: Arc::new(|| crate::clock::Clock::now(&crate::clock::SystemClock)),
            bell: Arc::default(),
        });
        Self { notifier, store }
    }

    async fn endpoint(&self, number: u128, url: String) -> EndpointId {
        let id = EndpointId::from_uuid(Uuid::from_u128(number));
        let endpoint = crate::directory::tests::endpoint(id, tenant_of(id), url, T);
        self.notifier
            .directory
            .make(Some(tenant_of(id)), endpoint, None)
            .await
            .unwrap();
        id
    }

    /// Deliveries of as many orders, due since `ago_s`.
    async fn due(&self, endpoint: EndpointId, many: u128, ago_s: i64) {
        let due = self.notifier.directory.now().plus_seconds(-ago_s);
        let row = |number: u128| DeliveryRow {
            id: DeliveryId::from_uuid(Uuid::from_u128(endpoint.uuid().as_u128() << 64 | number)),
            tenant: tenant_of(endpoint),
            endpoint,
            order: OrderId::from_uuid(Uuid::from_u128(number)),
            event: format!("evt_{number}"),
            name: "order.captured".into(),
            status: DeliveryStatus::Pending,
            tries: "[]".into(),
            due: Some(due),
            created_at: due,
        };
        let rows: Vec<DeliveryRow> = (0..many).map(row).collect();
        self.store.write_deliveries(&rows).await.unwrap();
    }

    async fn deliveries(&self, endpoint: EndpointId, status: DeliveryStatus) -> Vec<DeliveryRow> {
        let search = DeliverySearch {
            tenant: tenant_of(endpoint),
            endpoint: Some(endpoint),
            order: None,
            status: Some(status),
            from: None,
            to: None,
            after: None,
            limit: 10_000,
        };
        self.store.deliveries(&search).await.unwrap()
    }
}

fn hello() -> Result<Message, Unsaid> {
    Ok(Message {
        body: b"{}".to_vec(),
        headers: Vec::new(),
    })
}

/// An address that takes everything with 200, at once.
async fn receiver() -> String {
    receiver_after(Duration::ZERO).await
}

/// An address that takes everything with 200, after a while.
async fn receiver_after(pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 1_024];
                while socket.read(&mut head).await.is_ok_and(|read| read > 0) {
                    tokio::time::sleep(pause).await;
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                }
            });
        }
    });
    url
}

/// An address that takes connections and never answers.
async fn black_hole() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    url
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_nobody_else() {
    /// More than may stand in lines.
    const BACKLOG: u128 = 5_000;
    let desk = Desk::open(hello()).await;
    let silent = desk.endpoint(1, black_hole().await).await;
    let well = desk.endpoint(2, receiver().await).await;
    desk.due(silent, BACKLOG, 60).await;
    desk.due(well, 1, 0).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&desk.notifier).run(stop.clone()));
    let told = tokio::time::timeout(Duration::from_secs(6), async {
        while desk.deliveries(well, DeliveryStatus::Succeeded).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(told.await.is_ok(), "it waits behind somebody else's backlog");
    stop.cancel();
    running.await.unwrap();
    let tried = desk.deliveries(silent, DeliveryStatus::Pending).await;
    assert_eq!(tried.len() as u128, BACKLOG, "all of them go on by their plan");
}

#[tokio::test]
async fn a_merchant_with_many_slow_receivers_holds_up_nobody_elses_webhooks() {
    const ENDPOINTS: u128 = 50;
    /// Together more than may stand in lines.
    const EACH: u128 = 100;
    let desk = Desk::open(hello()).await;
    let mut slow = Vec::new();
    for number in 1..=ENDPOINTS {
        // Twice as long as what counts as slow.
        let endpoint = desk.endpoint(number, receiver_after(TRY / 2).await).await;
        desk.due(endpoint, EACH, 60).await;
        slow.push(endpoint);
    }
    let well = desk.endpoint(ANOTHERS, receiver().await).await;
    desk.due(well, 1, 0).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&desk.notifier).run(stop.clone()));
    let told = tokio::time::timeout(Duration::from_secs(6), async {
        while desk.deliveries(well, DeliveryStatus::Succeeded).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(told.await.is_ok(), "it waits behind another merchant's slow receivers");
    stop.cancel();
    running.await.unwrap();
    for endpoint in slow {
        let pending = desk.deliveries(endpoint, DeliveryStatus::Pending).await;
        let counted = pending
            .iter()
            .flat_map(tries_of)
            .filter(|one| one.error.as_ref().is_some_and(|why| why.starts_with("not tried")));
        assert_eq!(counted.count(), 0, "what found no place was not tried");
    }
}

#[tokio::test]
async fn what_cannot_be_written_counts_as_a_try_and_so_it_ends() {
    let desk = Desk::open(Err(Unsaid::Cannot("the secret does not open".into()))).await;
    let endpoint = desk.endpoint(1, receiver().await).await;
    desk.due(endpoint, 1, 0).await;
    desk.notifier.round().await.unwrap();
    let pending = desk.deliveries(endpoint, DeliveryStatus::Pending).await;
    let tries = tries_of(&pending[0]);
    assert_eq!(tries[0].error.as_deref(), Some("the secret does not open"));
    assert!(pending[0].due.unwrap() > tries[0].at, "it is tried again");
}

#[tokio::test]
async fn a_busy_endpoint_that_has_taken_nothing_for_an_hour_is_sick() {
    /// One delivery in ten seconds, for two hours: more than are pending of the last minutes.
    const MANY: u128 = 720;
    let desk = Desk::open(hello()).await;
    let id = desk.endpoint(1, receiver().await).await;
    let now = desk.notifier.directory.now();
    let tried = |number: u128, status: u16| {
        let at = now.plus_seconds(-10 * i64::try_from(MANY - number).unwrap());
        let one = Try {
            at,
            status_code: Some(status),
            duration_ms: 1,
            error: None,
        };
        DeliveryRow {
            id: DeliveryId::from_uuid(Uuid::from_u128(number + 1)),
            tenant: tenant(),
            endpoint: id,
            order: OrderId::from_uuid(Uuid::from_u128(number + 1)),
            event: format!("evt_{number}"),
            name: "order.captured".into(),
            status: if one.succeeded() {
                DeliveryStatus::Succeeded
            } else {
                DeliveryStatus::Pending
            },
            due: (!one.succeeded()).then(|| now.plus_seconds(600)),
            tries: serde_json::to_string(&[one]).unwrap(),
            created_at: at,
        }
    };
    let rows: Vec<DeliveryRow> = (0..MANY).map(|number| tried(number, 500)).collect();
    desk.store.write_deliveries(&rows).await.unwrap();
    let endpoint = desk.notifier.directory.endpoints(tenant()).remove(0);
    let standing = async || health::of(&*desk.store, &endpoint, now).await.unwrap().standing;
    assert_eq!(standing().await, health::Standing::Sick);
    // One of the last hour arrived, though it is neither among the newest nor among the oldest.
    desk.store.write_deliveries(&[tried(450, 200)]).await.unwrap();
    assert_eq!(standing().await, health::Standing::Failing);
}

#[tokio::test]
async fn what_an_old_address_says_does_not_switch_off_an_endpoint_that_has_moved() {
    let desk = Desk::open(hello()).await;
    let id = desk.endpoint(1, "http://old.test/".into()).await;
    let directory = &desk.notifier.directory;
    let now = || directory.endpoints(tenant()).remove(0);
    let old = now();
    let moved = |endpoint: &mut Endpoint| endpoint.url = "http://new.test/".into();
    directory
        .change::<Endpoint>(Some(tenant()), &id.to_string(), moved)
        .await
        .unwrap();
    desk.notifier.switch_off(&old).await;
    assert!(now().enabled);
    desk.notifier.switch_off(&now()).await;
    assert!(!now().enabled);
}
