//! What a sale costs in the store alone: one commit that makes an order, one that finishes it, many in a batch.
//!
//! ```text
//! cargo run --release -p florin-store --example sale -- sqlite|postgres [--batch 32] [--lanes 1] [--seconds 3] [--preload 0] [--fold]
//! ```
//!
//! Prints sales per second, CPU per sale (this process, and PostgreSQL's), bytes written per sale (SQLite: what was handed to the kernel;
//! PostgreSQL: WAL) and how long a commit took. Starts a PostgreSQL of its own with default durability. Compare ratios, not machines.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::float_arithmetic,
    reason = "a program to look at figures with"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use florin_core::id::{ConnectionId, MerchantId, NodeId, OrderId};
use florin_core::money::Currency;
use florin_core::time::Timestamp;
use florin_store::postgres::PostgresStore;
use florin_store::sqlite::SqliteStore;
use florin_store::{
    BOOKS, BalanceRow, Batch, Changed, Cursor, EventRow, FeedRow, Fold, IdemKey, Lease, ListingRow, Marks, Mode,
    OrderRow, Outcome, Store, Tenant, Terms,
};
use support::cluster::Cluster;
use support::folder::Folder;
use uuid::Uuid;

/// Merchants that the sales are spread over.
const MERCHANTS: u64 = 1_000;
/// Sizes of the texts of a sale, in bytes, as the engine writes them.
const STATE: usize = 700;
const WORK: usize = 900;
const CREATED: usize = 900;
const FINISHED: usize = 350;
const POSTINGS: usize = 300;
const NEWS: usize = 120;
/// Event rows that a reader folds at once.
const FOLD: u32 = 1_000;

struct Options {
    database: String,
    batch: usize,
    lanes: usize,
    seconds: u64,
    preload: u64,
    checkpoint: u32,
    fold: bool,
}

fn options() -> Options {
    let mut options = Options {
        database: "sqlite".to_owned(),
        batch: 32,
        lanes: 1,
        seconds: 3,
        preload: 0,
        checkpoint: 4_000,
        fold: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            words
                .next()
                .and_then(|number| number.parse::<u64>().ok())
                .expect("a number after the option")
        };
        match word.as_str() {
            "sqlite" | "postgres" => options.database = word,
            "--batch" => options.batch = number() as usize,
            "--lanes" => options.lanes = number() as usize,
            "--seconds" => options.seconds = number(),
            "--preload" => options.preload = number(),
            "--checkpoint" => options.checkpoint = number() as u32,
            "--fold" => options.fold = true,
            other => panic!("unknown option {other}"),
        }
    }
    options
}

/// Numbers for ids and keys: xorshift, one a lane.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn tenant(number: u64) -> Tenant {
    Tenant {
        merchant: MerchantId::from_uuid(Uuid::from_u128(u128::from(number) << 64 | 0x7000 << 48 | 7)),
        mode: Mode::Live,
    }
}

fn made(dice: &mut Dice, sales: &AtomicU64) -> OrderRow {
    let number = sales.fetch_add(1, Ordering::Relaxed);
    let ms = 1_795_000_000_000 + number / 8;
    let id = uuid::Builder::from_unix_timestamp_millis(
        ms,
        &[dice.next().to_be_bytes(), dice.next().to_be_bytes()].concat()[..10]
            .try_into()
            .unwrap(),
    )
    .into_uuid();
    OrderRow {
        id: OrderId::from_uuid(id),
        tenant: tenant(dice.next() % MERCHANTS),
        reference: format!("order-{number:010}"),
        key: Some(IdemKey {
            key: format!("{:016x}{:016x}", dice.next(), dice.next()),
            hash: [3; 32],
            earlier: None,
        }),
        version: 2,
        state: "s".repeat(STATE),
        chain: [1; 32],
        work: Some("w".repeat(WORK)),
        due: Some(Timestamp::from_millis(ms as i64 + 30_000)),
        fence: 1,
        lease: Some(Lease {
            node: NodeId::from_uuid(Uuid::from_u128(9)),
            until: Lease::FROM_NOW,
        }),
        created_at: Timestamp::from_millis(ms as i64),
    }
}

fn finished(row: OrderRow) -> Changed {
    let row = OrderRow {
        version: 3,
        work: None,
        due: None,
        lease: None,
        chain: [2; 32],
        state: "t".repeat(STATE + 60),
        ..row
    };
    Changed { read_version: 2, row }
}

fn event(row: &OrderRow, body: usize) -> EventRow {
    EventRow {
        at: Cursor::START,
        order: row.id,
        tenant: row.tenant,
        version: row.version,
        count: 2,
        time: row.created_at,
        body: "b".repeat(body),
        postings: (row.version > 2).then(|| "p".repeat(POSTINGS)),
        news: Some("n".repeat(NEWS)),
        hash: row.chain,
    }
}

/// A batch of commands: half of it makes orders, half finishes those of the batch before.
fn batch(dice: &mut Dice, sales: &AtomicU64, size: usize, open: &mut Vec<OrderRow>) -> Batch {
    let new: Vec<OrderRow> = (0..size.div_ceil(2)).map(|_| made(dice, sales)).collect();
    let changed: Vec<Changed> = std::mem::replace(open, new.clone()).into_iter().map(finished).collect();
    let events = new
        .iter()
        .map(|row| event(row, CREATED))
        .chain(changed.iter().map(|one| event(&one.row, FINISHED)))
        .collect();
    Batch {
        new,
        changed,
        events,
        lease_s: 30,
        ..Batch::default()
    }
}

/// One lane: batches one after the other until `until`; answers sales finished and how long each commit took.
async fn lane(
    store: Arc<dyn Store>,
    number: u64,
    size: usize,
    sales: Arc<AtomicU64>,
    until: Instant,
) -> (u64, Vec<Duration>) {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (number + 1) << 32 ^ sales.load(Ordering::Relaxed));
    let (mut open, mut done, mut took) = (Vec::new(), 0, Vec::new());
    while Instant::now() < until {
        let batch = batch(&mut dice, &sales, size, &mut open);
        let began = Instant::now();
        assert_eq!(store.commit(&batch).await, Ok(Outcome::Done));
        took.push(began.elapsed());
        done += batch.changed.len() as u64;
    }
    (done, took)
}

/// A reader that folds what lanes write, as the engine's does.
async fn reader(store: Arc<dyn Store>, until: Instant) {
    let mut cursor = store.cursor(BOOKS).await.unwrap();
    while Instant::now() < until {
        let events = store.events_after(cursor, FOLD).await.unwrap();
        let Some(last) = events.last() else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut fold = Fold {
            reader: BOOKS.to_owned(),
            from: cursor,
            to: last.at,
            listings: Vec::new(),
            refs: Vec::new(),
            balances: Vec::new(),
            deliveries: Vec::new(),
            feed: Vec::new(),
        };
        let mut listings = BTreeMap::new();
        for row in &events {
            let status = if row.version > 2 { "captured" } else { "processing" }.to_owned();
            let first = row.version == row.count
                || listings
                    .get(&row.order)
                    .is_some_and(|listing: &ListingRow| listing.first);
            let listing = ListingRow {
                order: row.order,
                tenant: row.tenant,
                version: row.version,
                status,
                customer: None,
                attention: false,
                created_at: row.time,
                terms: Terms::default(),
                marks: Marks::NONE,
                changed_at: row.time,
                first,
            };
            listings.insert(row.order, listing);
            fold.feed.push(FeedRow {
                tenant: row.tenant,
                at: row.at,
                time: row.time,
                money: row.postings.is_some(),
            });
            if row.postings.is_some() {
                for account in ["receivable", "merchant"] {
                    fold.balances.push(BalanceRow {
                        tenant: row.tenant,
                        connection: ConnectionId::from_uuid(Uuid::nil()),
                        account: account.to_owned(),
                        currency: Currency::EUR,
                        posted: 1_099,
                        pending: 0,
                    });
                }
            }
        }
        fold.listings = listings.into_values().collect();
        assert_eq!(store.fold(fold.clone()).await, Ok(true));
        cursor = last.at;
    }
}

/// CPU of a process in microseconds, from its process table entry.
fn cpu_us(process: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<u64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    fields.get(11..15).map_or(0, |ticks| ticks.iter().sum::<u64>() * 10_000)
}

/// CPU of all processes of the server in microseconds.
fn server_cpu_us(cluster: Option<&Cluster>) -> u64 {
    let Some(cluster) = cluster else { return 0 };
    let postmaster = cluster.postmaster();
    let children =
        std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap_or_default();
    cpu_us(&postmaster) + children.split_whitespace().map(cpu_us).sum::<u64>()
}

fn written_by_us() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines()
        .find_map(|line| line.strip_prefix("wchar: "))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

async fn wal_bytes(cluster: Option<&Cluster>) -> u64 {
    let Some(cluster) = cluster else { return 0 };
    let row = cluster
        .admin("postgres")
        .await
        .query_one("select (pg_current_wal_lsn() - '0/0')::bigint", &[])
        .await
        .unwrap();
    u64::try_from(row.get::<_, i64>(0)).unwrap()
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let options = options();
    let folder = Folder::new();
    let cluster = (options.database == "postgres").then(|| Cluster::start(&[]));
    let store: Arc<dyn Store> = match &cluster {
        Some(cluster) => {
            let url = cluster.database().await;
            let settings = florin_store::postgres::Settings {
                lanes: options.lanes,
                ..florin_store::postgres::Settings::at(url)
            };
            Arc::new(PostgresStore::open(&settings).await.unwrap())
        }
        None => {
            let settings = florin_store::sqlite::Settings {
                checkpoint_pages: options.checkpoint,
                ..florin_store::sqlite::Settings::at(folder.0.join("florin.db"))
            };
            Arc::new(SqliteStore::open(&settings).unwrap())
        }
    };
    store.migrate().await.unwrap();
    let sales = Arc::new(AtomicU64::new(0));
    if options.preload > 0 {
        let (mut dice, mut open) = (Dice(77), Vec::new());
        while sales.load(Ordering::Relaxed) < options.preload {
            let batch = batch(&mut dice, &sales, 2_000, &mut open);
            assert_eq!(store.commit(&batch).await, Ok(Outcome::Done));
        }
    }
    let warm = Instant::now() + Duration::from_millis(700);
    lane(store.clone(), 99, options.batch, sales.clone(), warm).await;

    let (cpu, server, written, wal) = (
        cpu_us("self"),
        server_cpu_us(cluster.as_ref()),
        written_by_us(),
        wal_bytes(cluster.as_ref()).await,
    );
    let began = Instant::now();
    let until = began + Duration::from_secs(options.seconds);
    let reading = options.fold.then(|| tokio::spawn(reader(store.clone(), until)));
    let lanes: Vec<_> = (0..options.lanes as u64)
        .map(|number| tokio::spawn(lane(store.clone(), number, options.batch, sales.clone(), until)))
        .collect();
    let (mut done, mut took) = (0, Vec::new());
    for lane in lanes {
        let (finished, times) = lane.await.unwrap();
        done += finished;
        took.extend(times);
    }
    let seconds = began.elapsed().as_secs_f64();
    if let Some(reading) = reading {
        reading.await.unwrap();
    }
    took.sort();
    let of = |total: u64| total as f64 / done as f64;
    println!(
        "{:8} batch {:4} lanes {} fold {:5} preload {:8}: {:6.0} sales/s  cpu {:5.1} us + server {:5.1} us  written {:6.0} B  wal {:5.0} B  \
         commit p50 {:.2} ms p99 {:.2} ms max {:.0} ms",
        options.database,
        options.batch,
        options.lanes,
        options.fold,
        options.preload,
        done as f64 / seconds,
        of(cpu_us("self") - cpu),
        of(server_cpu_us(cluster.as_ref()) - server),
        of(written_by_us() - written),
        of(wal_bytes(cluster.as_ref()).await - wal),
        took[took.len() / 2].as_secs_f64() * 1e3,
        took[took.len() * 99 / 100].as_secs_f64() * 1e3,
        took[took.len() - 1].as_secs_f64() * 1e3,
    );
}
