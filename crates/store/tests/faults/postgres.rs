//! PostgreSQL dies, restarts, goes silent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use florin_store::postgres::{PostgresStore, Settings};
use florin_store::{Batch, Cursor, Fault, Fold, ListingRow, Outcome, Store, Wanted};

use crate::count;
use crate::proxy::{Cut, Proxy};
use crate::rows::{listing, making, moving, order, order_id};
use crate::support::cluster::{Cluster, shared};

/// Times that a server is taken down under load.
const DEATHS: usize = 2;
const DEATHS_FULL: usize = 12;
/// A server that is back is used again within this.
const RECOVERY: Duration = Duration::from_secs(5);

async fn opened(url: &str) -> PostgresStore {
    let store = PostgresStore::open(&Settings::at(url)).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// Tasks that commit until told to stop, and what they know of each order they made.
struct Load {
    store: Arc<PostgresStore>,
    stop: AtomicBool,
    next: AtomicU32,
    /// Orders that were acknowledged, at once or after asking.
    acknowledged: std::sync::Mutex<BTreeSet<u32>>,
    /// Orders that are known not to be there.
    refused: std::sync::Mutex<BTreeSet<u32>>,
}

impl Load {
    fn new(store: Arc<PostgresStore>) -> Arc<Self> {
        Arc::new(Self {
            store,
            stop: AtomicBool::new(false),
            next: AtomicU32::new(1),
            acknowledged: std::sync::Mutex::default(),
            refused: std::sync::Mutex::default(),
        })
    }

    fn start(self: &Arc<Self>, tasks: usize) -> Vec<tokio::task::JoinHandle<()>> {
        (0..tasks).map(|_| tokio::spawn(Arc::clone(self).run())).collect()
    }

    async fn run(self: Arc<Self>) {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(2, Ordering::Relaxed);
            let batch = making([order(number), order(number + 1)]);
            let outcome = match self.store.commit(&batch).await {
                Err(Fault::Unknown(_)) => self.asked(&batch).await,
                Err(Fault::Unavailable(_)) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    false
                }
                Ok(Outcome::Done) => true,
                other => panic!("{other:?}"),
            };
            let known = if outcome { &self.acknowledged } else { &self.refused };
            known.lock().unwrap().extend([number, number + 1]);
        }
    }

    async fn asked(&self, batch: &Batch) -> bool {
        let began = Instant::now();
        loop {
            match self.store.was_committed(batch).await {
                Ok(there) => return there,
                Err(Fault::Unavailable(_)) if began.elapsed() < Duration::from_secs(60) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits until orders are acknowledged that nobody had begun to make before; answers how long that took. What was under way when the
    /// server went down may still be answered, and says nothing about the server being back.
    async fn recovers(&self) -> Duration {
        let (began, first) = (Instant::now(), self.next.load(Ordering::Relaxed));
        while self.acknowledged.lock().unwrap().range(first..).count() < 10 {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "no progress after the server came back"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }

    /// Everything acknowledged is there, nothing that was refused is, and no batch is there by half.
    async fn check(&self) {
        let mut after = None;
        let mut there = BTreeSet::new();
        loop {
            let page = self.store.orders_after(after, 1_000).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            there.extend(page.iter().map(|row| row.id));
        }
        let acknowledged = self.acknowledged.lock().unwrap();
        let refused = self.refused.lock().unwrap();
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|number| !there.contains(&order_id(**number)))
            .collect();
        let ghosts: Vec<_> = refused
            .iter()
            .filter(|number| there.contains(&order_id(**number)))
            .collect();
        assert!(
            lost.is_empty() && ghosts.is_empty(),
            "lost {lost:?}, there although refused {ghosts:?}"
        );
        assert_eq!(
            there.len(),
            acknowledged.len(),
            "every order that is there was acknowledged in the end"
        );
    }
}

async fn under_load(cluster: &Cluster, disturb: impl AsyncFn(usize)) -> Vec<Duration> {
    let url = cluster.database().await;
    let load = Load::new(Arc::new(opened(&url).await));
    let tasks = load.start(8);
    let mut recoveries = Vec::new();
    for death in 0..count(DEATHS, DEATHS_FULL) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        disturb(death).await;
        recoveries.push(load.recovers().await);
    }
    load.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(load.acknowledged() > 50);
    load.check().await;
    recoveries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_03_a_backend_that_is_killed_loses_no_acknowledged_order() {
    let cluster = Cluster::start(&[]);
    under_load(&cluster, async |_| {
        let admin = cluster.admin("postgres").await;
        let sql = "select pid from pg_stat_activity where application_name = 'florin' order by backend_start limit 1";
        let pid: i32 = admin.query_one(sql, &[]).await.unwrap().get(0);
        let killed = std::process::Command::new("kill")
            .args(["-KILL", &pid.to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_03_a_server_that_is_killed_or_stopped_at_once_loses_no_acknowledged_order() {
    let cluster = Cluster::start(&[]);
    under_load(&cluster, async |death| {
        cluster.stop(if death % 2 == 0 { "QUIT" } else { "KILL" });
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.go();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_04_an_ordinary_restart_is_over_soon_and_loses_nothing() {
    let cluster = Cluster::start(&[]);
    let recoveries = under_load(&cluster, async |_| {
        cluster.stop("INT");
        cluster.go();
    })
    .await;
    assert!(recoveries.iter().all(|took| *took < RECOVERY), "{recoveries:?}");
}

/// The wire is cut around COMMIT: what happened is found out, and nothing is done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_05_a_lost_answer_to_commit_is_resolved_by_asking() {
    let cluster = shared();
    let url = cluster.database().await;
    let proxy = Proxy::start(cluster.port).await;
    let store = opened(&Cluster::url_by_port(&url, proxy.port)).await;
    store.commit(&making([order(1), order(2)])).await.unwrap();

    for (number, cut, known) in [
        (11, Cut::BeforeCommit, Some(false)),
        (12, Cut::AfterCommit, Some(true)),
        (13, Cut::AtCommit, None),
        (14, Cut::AtCommit, None),
    ] {
        let batch = making([order(number)]);
        proxy.cut(cut);
        let outcome = store.commit(&batch).await;
        assert!(matches!(outcome, Err(Fault::Unknown(_))), "{cut:?}: {outcome:?}");
        assert!(proxy.is_spent());
        let there = store.was_committed(&batch).await.unwrap();
        assert!(known.is_none_or(|known| known == there), "{cut:?}");
        let again = if there { Outcome::Conflict } else { Outcome::Done };
        assert_eq!(store.commit(&batch).await, Ok(again), "{cut:?}");
        assert_eq!(store.events_of(order_id(number)).await.unwrap().len(), 1, "{cut:?}");
    }
}

/// The server is still busy with the commit when its client is cut off: asking waits until it is decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_05_asking_waits_for_a_commit_that_is_still_running() {
    let cluster = shared();
    let url = cluster.database().await;
    let proxy = Proxy::start(cluster.port).await;
    let store = opened(&Cluster::url_by_port(&url, proxy.port)).await;
    store.commit(&making([order(1)])).await.unwrap();

    // Somebody holds the order's row, so that the commit stands still in the server.
    let mut holder = cluster.admin(url.rsplit('=').next().unwrap()).await;
    let held = holder.transaction().await.unwrap();
    held.execute("select 1 from orders for update", &[]).await.unwrap();
    let batch = moving([order(1)]);
    proxy.cut(Cut::AtCommit);
    assert!(matches!(store.commit(&batch).await, Err(Fault::Unknown(_))));
    let (there, ()) = tokio::join!(store.was_committed(&batch), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        held.commit().await.unwrap();
    });
    let there = there.unwrap();

    // Whatever the answer was, it is still true, and the order moved on once at most.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(store.was_committed(&batch).await, Ok(there));
    let wanted = Wanted {
        orders: vec![order_id(1)],
        ..Wanted::default()
    };
    let version = store.load(&wanted).await.unwrap().orders[0].version;
    assert_eq!(version, if there { 3 } else { 2 });
}

/// A session that is ended while its commit waits for a synchronous standby leaves a commit that only this server has: it is not called
/// durable before the standby has it too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_05_a_commit_that_no_standby_has_is_not_called_durable() {
    let cluster = Cluster::start(&[]);
    let store = opened(&cluster.database().await).await;
    store.commit(&making([order(1)])).await.unwrap();
    let admin = cluster.admin("postgres").await;
    let standby = async |setting: &str| {
        admin.batch_execute(setting).await.unwrap();
        admin.batch_execute("select pg_reload_conf()").await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    standby("alter system set synchronous_standby_names = 'nobody'").await;
    let batch = making([order(2)]);
    let (outcome, ()) = tokio::join!(store.commit(&batch), async {
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";
        while admin.query(end, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(matches!(outcome, Err(Fault::Unknown(_))), "{outcome:?}");
    let asked = tokio::time::timeout(Duration::from_secs(3), store.was_committed(&batch)).await;
    assert!(asked.is_err(), "{asked:?}");
    standby("alter system reset synchronous_standby_names").await;
    assert_eq!(store.was_committed(&batch).await, Ok(true));
}

/// Nothing comes back and nobody hangs up: the commit ends by its time limit and is asked about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_05_silence_after_commit_ends_by_a_time_limit() {
    let cluster = shared();
    let url = cluster.database().await;
    let proxy = Proxy::start(cluster.port).await;
    let store = opened(&Cluster::url_by_port(&url, proxy.port)).await;
    let batch = making([order(1)]);
    proxy.cut(Cut::Silence);
    let began = Instant::now();
    let outcome = store.commit(&batch).await;
    assert!(matches!(outcome, Err(Fault::Unknown(_))), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert_eq!(store.was_committed(&batch).await, Ok(true));
}

/// A dump that is restored into another server meets transaction numbers that begin again: the stream goes on above what it holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_goes_on_after_a_restore_into_a_younger_server() {
    let cluster = shared();
    let url = cluster.database().await;
    let store = opened(&url).await;
    store.commit(&making([order(1)])).await.unwrap();
    let admin = cluster.admin(url.rsplit('=').next().unwrap()).await;
    admin
        .execute("update events set txn = txn + 5000000000", &[])
        .await
        .unwrap();
    drop(store);

    let store = opened(&url).await;
    let last = wait_for_events(&store, Cursor::START, 1).await;
    store.commit(&making([order(2)])).await.unwrap();
    let next = wait_for_events(&store, last[0].at, 1).await;
    assert_eq!(next[0].order, order_id(2));
}

/// Whoever folds everything anew meets the rows of before in each turn. PostgreSQL's log has lines of the first turns of each power of two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folding_anew_what_is_there_leaves_few_lines_in_the_log_of_the_server() {
    const TURNS: u32 = 50;
    /// One more for each doubling.
    const LINES_MAX: usize = 7;
    let cluster = Cluster::start(&[]);
    let url = cluster.database().await;
    let store = opened(&url).await;
    for reader in ["first", "again"] {
        for turn in 0..TURNS {
            let place = |row: u32| Cursor {
                transaction: 0,
                row: row.into(),
            };
            let fold = Fold {
                reader: reader.to_owned(),
                from: place(turn),
                to: place(turn + 1),
                listings: vec![ListingRow {
                    first: true,
                    ..listing(turn)
                }],
                refs: Vec::new(),
                balances: Vec::new(),
                deliveries: Vec::new(),
                feed: Vec::new(),
            };
            assert_eq!(store.fold(fold).await, Ok(true), "{reader} {turn}");
        }
    }
    let refused = cluster.log().matches("duplicate key").count();
    assert!((1..=LINES_MAX).contains(&refused), "{refused}: {}", cluster.log());
}

async fn wait_for_events(store: &PostgresStore, cursor: Cursor, wanted: usize) -> Vec<florin_store::EventRow> {
    for _ in 0..500 {
        let rows = store.events_after(cursor, 10).await.unwrap();
        if rows.len() == wanted {
            return rows;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the events did not come");
}
