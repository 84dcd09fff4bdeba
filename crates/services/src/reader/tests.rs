//! The reader over a store in memory: how much it takes at a time, and what it does about rows that do not read.

use florin_core::id::{EndpointId, MerchantId};
use florin_core::time::Timestamp;
use florin_store::memory::{Disk, MemoryStore, Mishap};
use florin_store::{Batch, Mode, Outcome, Tenant};
use uuid::Uuid;

use super::*;
use crate::chain;
use crate::directory;

const T: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn tenant() -> Tenant {
    Tenant {
        merchant: MerchantId::from_uuid(Uuid::from_u128(1)),
        mode: Mode::Test,
    }
}

struct Desk {
    store: Arc<MemoryStore>,
    directory: Arc<Directory>,
    reader: Arc<Reader>,
    /// Rung when there are deliveries to be made.
    deliveries: Arc<Notify>,
    rows: u128,
}

impl Desk {
    async fn open() -> Self {
        Self::over(MemoryStore::open(Disk::default(), T)).await
    }

    async fn over(store: MemoryStore) -> Self {
        let store = Arc::new(store);
        let shared: Arc<dyn Store> = Arc::clone(&store) as _;
        let directory = directory::tests::over(Arc::clone(&shared)).await;
        let deliveries = Arc::new(Notify::new());
        let bell = Arc::clone(&deliveries);
        let reader = Reader::new(shared, Arc::clone(&directory), &[], Arc::default(), bell);
        Self {
            store,
            directory,
            reader,
            deliveries,
            rows: 0,
        }
    }

    /// Event rows with news about orders of their own, which have no row.
    async fn write(&mut self, many: u128) {
        let news = r#"[{"v":1,"n":"order.created"}]"#;
        let row = |number: u128| EventRow {
            at: Cursor::START,
            order: OrderId::from_uuid(Uuid::from_u128((7 << 76) | (2 << 62) | number)),
            tenant: tenant(),
            version: 1,
            count: 1,
            time: T,
            body: r#"{"e":[]}"#.to_owned(),
            postings: None,
            news: Some(news.to_owned()),
            hash: chain::START,
        };
        let batch = Batch {
            events: (self.rows..self.rows + many).map(row).collect(),
            ..Batch::default()
        };
        self.rows += many;
        assert_eq!(self.store.commit(&batch).await, Ok(Outcome::Done));
    }

    async fn endpoints(&self, many: u128) {
        for number in 0..many {
            let id = EndpointId::from_uuid(Uuid::from_u128(number));
            let endpoint = directory::tests::endpoint(id, tenant(), format!("https://shop.test/{number}"), T);
            self.directory.make(Some(tenant()), endpoint, None).await.unwrap();
        }
    }

    /// Until the reader stands behind this row, which it is told of.
    async fn until(&self, row: u64) -> Duration {
        let began = Instant::now();
        self.reader.committed().ring(Vec::new());
        while self.place().await.row < row {
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        began.elapsed()
    }

    async fn place(&self) -> Cursor {
        self.store.cursor(BOOKS).await.unwrap()
    }

    /// The turns until nothing is left to read.
    async fn turns(&self, rows_max: usize) -> Vec<Turn> {
        let mut turns = Vec::new();
        loop {
            let turn = self.reader.step(rows_max).await.unwrap();
            turns.push(turn);
            if !turn.full {
                return turns;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_behind_takes_more_and_more_rows_a_turn_and_ends_when_it_is_told_to() {
    let mut desk = Desk::open().await;
    desk.write(4_000).await;
    let stop = CancellationToken::new();
    let run = tokio::spawn(Arc::clone(&desk.reader).run(stop.clone()));
    let mut places = vec![desk.place().await.row];
    for _ in 0..20_000 {
        let place = desk.place().await.row;
        if places.last() != Some(&place) {
            places.push(place);
        }
        tokio::time::advance(Duration::from_millis(1)).await;
        if place == 4_000 {
            break;
        }
    }
    let taken: Vec<u64> = places.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(taken, [256, 256, 512, 512, 1_024, 1_024, 416]);
    let before = Instant::now();
    stop.cancel();
    run.await.unwrap();
    assert_eq!(Instant::now(), before, "no rest is waited for");
}

#[tokio::test]
async fn a_turn_of_exactly_what_is_there_is_not_called_full_twice() {
    let mut desk = Desk::open().await;
    desk.write(1_000).await;
    let turns = desk.turns(2_000).await;
    let rows: Vec<usize> = turns.iter().map(|turn| turn.rows).collect();
    assert_eq!(rows, [1_000]);
}

#[tokio::test]
async fn a_turn_makes_no_more_deliveries_than_go_into_one_transaction() {
    let mut desk = Desk::open().await;
    desk.endpoints(50).await;
    assert!(desk.directory.has_endpoints());
    desk.write(500).await;
    let turns = desk.turns(stride::ROWS_MAX).await;
    let a_row = 50 * DELIVERIES_AN_EVENT;
    let most = DELIVERIES_MAX / a_row;
    let rows: Vec<usize> = turns.iter().map(|turn| turn.rows).collect();
    assert!(rows.iter().all(|rows| *rows <= most), "{rows:?}");
    assert_eq!(rows.iter().sum::<usize>(), 500, "{rows:?}");
    assert_eq!(desk.place().await.row, 500);
}

#[tokio::test(start_paused = true)]
async fn rows_gather_behind_a_busy_reader_but_where_somebody_waits_for_webhooks() {
    const GATHERS: Duration = Duration::from_secs(1);
    for waits in [false, true] {
        let mut desk = Desk::over(MemoryStore::open(Disk::default(), T).gathering(GATHERS)).await;
        if waits {
            desk.endpoints(1).await;
        }
        let stop = CancellationToken::new();
        let run = tokio::spawn(Arc::clone(&desk.reader).run(stop.clone()));
        desk.write(300).await;
        desk.until(300).await;
        desk.write(1).await;
        let took = desk.until(301).await;
        assert_eq!(took < GATHERS, waits, "{took:?}");
        stop.cancel();
        run.await.unwrap();
    }
}

#[tokio::test]
async fn whoever_makes_deliveries_hears_of_them_when_the_answer_was_lost() {
    let mut desk = Desk::open().await;
    desk.endpoints(1).await;
    desk.write(1).await;
    desk.store.next_fault(Mishap::LoseFold);
    assert!(matches!(desk.reader.step(10).await, Err(Fault::Unknown(_))));
    assert_eq!(desk.place().await.row, 1, "it was written");
    let rung = tokio::time::timeout(Duration::ZERO, desk.deliveries.notified()).await;
    assert_eq!(rung, Ok(()));
}

#[tokio::test]
async fn a_list_that_is_overtaken_takes_fewer_rows_a_turn_and_reads_all() {
    let mut desk = Desk::open().await;
    desk.write(3_000).await;
    for mishap in [Mishap::Overtake, Mishap::Overtake, Mishap::LoseFold] {
        desk.store.next_fault(mishap);
    }
    assert!(matches!(desk.reader.catch_up().await, Err(Fault::Unknown(_))));
    assert_eq!(
        desk.place().await.row,
        stride::ROWS as u64,
        "twice a quarter, and one turn"
    );
    desk.store.next_fault(Mishap::Overtake);
    assert_eq!(desk.reader.catch_up().await, Ok(()));
    assert_eq!(desk.place().await.row, 3_000);
}
