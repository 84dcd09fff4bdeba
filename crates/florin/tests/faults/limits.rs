//! Too many callers, too few descriptors, connections or bytes, and a stop in the middle of everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::cluster::connect;
use crate::count;
use crate::money::{fee, of_merchant};
use crate::node::Node;
use crate::till::{Load, Manner, sale};
use crate::world::{Differs, PLACES, Place, World};

/// Changes a limit of a running process.
fn limit(node: &Node, what: &str, value: u64) {
    let done = std::process::Command::new("prlimit")
        .args(["--pid", &node.pid().to_string(), &format!("--{what}={value}:")])
        .status();
    assert!(done.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_48_without_descriptors_the_server_waits_and_goes_on_when_there_are_some() {
    /// Descriptors beyond those in use, and connections that take them all.
    const SPARE: u64 = 8;
    const IDLE: usize = 64;
    let (world, mut node) = World::new(Place::Sqlite).await;
    let load = Load::start(&world.till, "before", 4);
    load.goes_on(10).await;
    let in_use = std::fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap().count() as u64;
    limit(&node, "nofile", in_use + SPARE);
    let host = world.till.base().trim_start_matches("http://").to_owned();
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        idle.push(TcpStream::connect(&host).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(node.runs(), "{}", node.log_end());
    drop(idle);
    load.goes_on(10).await;
    load.stop().await;
    world.check(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_48_when_the_database_takes_no_more_connections_callers_are_told_to_come_back() {
    /// The most that the database of these tests takes.
    const CONNECTIONS_MAX: usize = 200;
    const ROUNDS: usize = 20;
    let (world, node) = World::new(Place::Postgres).await;
    world.till.settle("before", "/v1/orders", &sale("before", 1000)).await;
    let url = world.direct().unwrap();
    let admin = connect(url).await;
    let mut taken = Vec::new();
    let mut told = None;
    for round in 0..ROUNDS {
        // The server's sessions end, and somebody else is faster. Now and then the server is, or another test gives one back.
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'florin' and datname = current_database()";
        let ended: i64 = admin.query_one(sql, &[]).await.unwrap().get(0);
        assert!(ended > 0 || round > 0);
        while let Ok((client, connection)) = tokio_postgres::connect(url, tokio_postgres::NoTls).await {
            tokio::spawn(connection);
            taken.push(client);
            assert!(taken.len() <= CONNECTIONS_MAX);
        }
        let name = format!("during {round}");
        let answer = world.till.post(&name, "/v1/orders", &sale(&name, 1000)).await.said();
        if answer.status != 201 {
            told = Some(answer);
            break;
        }
    }
    let told = told.expect("the server always finds a connection");
    assert!(told.status == 503 && told.retry_after_s().is_some(), "{told:?}");
    drop((taken, admin));
    let load = Load::start(&world.till, "after", 4);
    load.goes_on(10).await;
    load.stop().await;
    world.check(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_48_without_memory_nothing_is_lost_whether_the_server_dies_of_it_or_not() {
    let (world, mut node) = World::new(Place::Sqlite).await;
    let load = Load::start(&world.till, "load", 16);
    load.goes_on(10).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let size_kib: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
    limit(&node, "as", size_kib * 1024);
    for _ in 0..100 {
        if !node.runs() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if node.runs() {
        node.kill().await;
    }
    let node = world.start(Differs::default()).await;
    load.goes_on(10).await;
    load.stop().await;
    world.check(node).await;
}

/// Sales of one merchant at once: each posts to the same accounts.
const HOT_SOME: usize = 300;
const HOT_FULL: usize = 10_000;
/// Callers that make them.
const HOT_CALLERS: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_many_sales_at_once_on_one_account_leave_an_exact_balance() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        let manner = Manner {
            only_sales: true,
            pause: Duration::from_millis(50),
        };
        let load = Load::start_with(&world.till, "hot", HOT_CALLERS, manner);
        load.goes_on(count(HOT_SOME, HOT_FULL)).await;
        load.stop().await;
        world.till.settle_all().await;
        let calls = world.till.calls();
        let amounts = calls.values().filter_map(|call| call.body["amount"].as_i64());
        let kept: i128 = amounts.map(|amount| i128::from(amount - fee(amount))).sum();
        let unhappy: Vec<_> = calls
            .values()
            .filter(|call| call.over().is_none_or(|said| said.word() != "captured"))
            .collect();
        assert!(unhappy.is_empty(), "{place:?}: {unhappy:?}");
        let balance = of_merchant(&world).await;
        assert_eq!(balance, [("EUR".to_owned(), kept)].into(), "{place:?}");
        world.check(node).await;
    }
}

/// Callers that find a place, and how many times as many come.
const CALLERS: usize = 16;
const OVER: usize = 10;
/// What one sale takes at the provider: places, not processors, are what there is too little of.
const AT_PROVIDER: Duration = Duration::from_millis(400);
/// Pairs of one time at the maximum and one far above it.
const PAIRS_SOME: usize = 2;
const PAIRS_FULL: usize = 30;
const ONE_TIME: Duration = Duration::from_secs(3);

/// Sales finished, and the most memory seen, while so many callers come.
async fn crowded(world: &World, node: &Node, run: &str, callers: usize) -> (usize, u64) {
    let manner = Manner {
        only_sales: true,
        pause: AT_PROVIDER,
    };
    let load = Load::start_with(&world.till, run, callers, manner);
    load.goes_on(CALLERS).await;
    let (before, until, highest) = (load.answered(), Instant::now() + ONE_TIME, AtomicU64::new(0));
    while Instant::now() < until {
        highest.fetch_max(node.memory_kib().0, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let finished = load.answered() - before;
    load.stop().await;
    (finished, highest.into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_49_ten_times_too_many_callers_cost_neither_throughput_nor_memory() {
    let full = Differs::env("FLORIN_LIMITS_QUEUE", CALLERS);
    let (world, node) = World::with(Place::Sqlite, crate::world::Wires::Good, full).await;
    world.psp.set_latency(AT_PROVIDER);
    let (mut most, mut overloaded) = ((0, 0), (0, 0));
    for pair in 0..count(PAIRS_SOME, PAIRS_FULL) {
        for (sums, name, callers) in [(&mut most, "full", CALLERS), (&mut overloaded, "over", CALLERS * OVER)] {
            let (finished, memory) = crowded(&world, &node, &format!("{name}-{pair}"), callers).await;
            *sums = (sums.0 + finished, sums.1.max(memory));
        }
    }
    let answers: Vec<_> = world.till.calls().into_values().flat_map(|call| call.answers).collect();
    let shed = answers.iter().filter(|said| said.status == 429).count();
    assert!(shed > most.0, "callers were turned away: {shed}");
    assert!(
        answers
            .iter()
            .all(|said| said.status != 429 || said.retry_after_s().is_some())
    );
    let failed: Vec<_> = answers.iter().filter(|said| said.status >= 500).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(
        overloaded.0 * 10 >= most.0 * 8,
        "{} sales at the maximum, {} far above it",
        most.0,
        overloaded.0
    );
    assert!(
        overloaded.1 <= 2 * most.1,
        "{} KiB at the maximum, {} KiB far above it",
        most.1,
        overloaded.1
    );
    world.check(node).await;
}

/// Stops under load.
const STOPS_SOME: usize = 2;
const STOPS_FULL: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_50_a_stop_under_load_answers_everything_that_it_took_up() {
    for place in PLACES {
        let (world, mut node) = World::new(place).await;
        world.psp.set_latency(Duration::from_millis(30));
        for stop in 0..count(STOPS_SOME, STOPS_FULL) {
            let load = Load::start(&world.till, &format!("load-{stop}"), 8);
            load.goes_on(10).await;
            node.stop().await;
            load.stop().await;
            // A call that nobody answered was never taken up: there is no order of it.
            let calls = world.till.calls();
            let unanswered = calls
                .values()
                .filter(|call| call.path == "/v1/orders" && call.answers.is_empty());
            let unanswered: BTreeSet<&str> = unanswered.filter_map(|call| call.body["reference"].as_str()).collect();
            let store = world.store().await;
            let (orders, _) = crate::judge::rows(store.as_ref()).await;
            drop(store);
            let dropped: Vec<_> = orders
                .iter()
                .filter(|row| unanswered.contains(row.reference.as_str()))
                .map(|row| &row.reference)
                .collect();
            assert!(
                dropped.is_empty(),
                "{place:?}: taken up and never answered: {dropped:?}"
            );
            let errors: Vec<_> = calls
                .values()
                .flat_map(|call| &call.answers)
                .filter(|said| said.status >= 500 && (said.status != 503 || said.retry_after_s().is_none()))
                .collect();
            assert!(errors.is_empty(), "{place:?}: {errors:?}");
            node = world.start(Differs::default()).await;
        }
        world.check(node).await;
    }
}

/// Times that a server is ended as soon as it is ready.
const STARTS_SOME: usize = 5;
const STARTS_FULL: usize = 200;

/// Idle connections keep nobody from stopping.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_50_a_stop_does_not_wait_for_callers_who_say_nothing() {
    let (world, node) = World::new(Place::Sqlite).await;
    let till = Arc::clone(&world.till);
    till.settle("one", "/v1/orders", &sale("one", 1000)).await;
    let idle = TcpStream::connect(till.base().trim_start_matches("http://"))
        .await
        .unwrap();
    node.stop().await;
    drop(idle);
    let node = world.start(Differs::default()).await;
    world.check(node).await;
}

/// Whoever reads that the server is ready may end it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_50_a_stop_that_comes_with_the_first_word_is_a_stop_like_any_other() {
    let (world, mut node) = World::new(Place::Sqlite).await;
    for _ in 0..count(STARTS_SOME, STARTS_FULL) {
        node.stop().await;
        node = world.start(Differs::default()).await;
    }
    world.check(node).await;
}
