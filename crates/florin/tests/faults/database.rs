//! PostgreSQL dies, restarts and is cut off under a server that works; two servers share one.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use florin_testkit::proxy::{Way, Weather};
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::{Cluster, connect};
use crate::crashes::Courier;
use crate::http::{self, Heard};
use crate::node::{Node, Start, program, signal};
use crate::receiver::Manner;
use crate::till::{CONVERGES, Load, hold, sale};
use crate::world::{Differs, Folder, Place, Wires, World};
use crate::{count, psp::Fate};

/// Times that the database is taken down under load.
const DEATHS_SOME: usize = 1;
const DEATHS_FULL: usize = 20;
/// Orders after which it is taken down, and within which it has recovered.
const ORDERS: usize = 10;

async fn killed(kill: impl AsyncFn(&World)) {
    let (world, node) = World::new(Place::Postgres).await;
    let courier = Courier::start(&world);
    let load = Load::start(&world.till, "load", 8);
    for _ in 0..count(DEATHS_SOME, DEATHS_FULL) {
        load.goes_on(ORDERS).await;
        kill(&world).await;
    }
    load.goes_on(ORDERS).await;
    load.stop().await;
    courier.stop().await;
    world.check(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_03_killed_backends_of_the_database_cost_no_payment() {
    killed(async |world| {
        let admin = connect(world.direct().unwrap()).await;
        let sql = "select pid from pg_stat_activity where application_name = 'florin' order by pid";
        let backends = admin.query(sql, &[]).await.unwrap();
        assert!(!backends.is_empty());
        // The postmaster ends all the others and starts over.
        let pid: i32 = backends[0].get(0);
        signal(pid.unsigned_abs(), "KILL");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_03_a_killed_and_an_immediately_stopped_database_cost_no_payment() {
    killed(async |world| {
        let cluster = world.cluster.as_ref().unwrap();
        for how in ["QUIT", "KILL"] {
            cluster.stop(how);
            tokio::time::sleep(Duration::from_millis(300)).await;
            cluster.go();
            world
                .till
                .settle(
                    &format!("after {how} {}", world.till.calls().len()),
                    "/v1/orders",
                    &sale(how, 500),
                )
                .await;
        }
    })
    .await;
}

/// How long after the database is back a node may call itself not ready.
const RECOVERS: Duration = Duration::from_secs(5);

/// What the admin door says of readiness.
async fn ready(node: &Node) -> Option<u16> {
    http::ask(&node.admin, "GET", "/readyz", &[], b"").await.status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_04_while_the_database_restarts_callers_are_told_to_come_back() {
    let (world, node) = World::new(Place::Postgres).await;
    let cluster = world.cluster.as_ref().unwrap();
    let load = Load::start(&world.till, "load", 4);
    load.goes_on(ORDERS).await;
    assert_eq!(ready(&node).await, Some(200));

    cluster.stop("INT");
    let told = world
        .till
        .post("during", "/v1/orders", &sale("during", 1000))
        .await
        .said();
    assert_eq!(told.status, 503, "{told:?}");
    assert!(told.retry_after_s().is_some(), "{told:?}");
    assert_eq!(told.text("code"), "unavailable");
    assert_eq!(ready(&node).await, Some(503));
    let read = world.till.get("/v1/orders").await.said();
    assert!(read.status == 503 && read.retry_after_s().is_some(), "{read:?}");

    cluster.go();
    load.goes_on(ORDERS).await;
    load.stop().await;
    let deadline = Instant::now() + RECOVERS;
    while ready(&node).await != Some(200) {
        assert!(
            Instant::now() < deadline,
            "payments are made, and the node does not call itself ready"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.check(node).await;
}

/// Times that the wire to the database goes silent with commits on it, and is cut.
const SILENCES_SOME: usize = 3;
const SILENCES_FULL: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_05_commits_whose_answers_are_lost_are_found_by_their_keys_and_not_repeated() {
    let (world, node) = World::with(Place::Postgres, Wires::Database, Differs::default()).await;
    let wire = world.wire.as_ref().unwrap();
    let load = Load::start(&world.till, "load", 8);
    for _ in 0..count(SILENCES_SOME, SILENCES_FULL) {
        load.goes_on(ORDERS).await;
        // Whatever is sent now arrives, and its answer does not.
        wire.set(Weather {
            silent: Some(Way::Down),
            ..Weather::default()
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        wire.cut();
        wire.heal();
    }
    load.goes_on(ORDERS).await;
    load.stop().await;
    world.check(node).await;
}

/// Servers that start over a new database at the same moment.
const STARTERS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_servers_that_start_over_a_new_database_at_once_one_makes_the_root_key() {
    let cluster = Cluster::start(&[]);
    let conninfo = cluster.database().await;
    let name = conninfo.rsplit('=').next().unwrap_or_default();
    let database = format!("postgres://postgres@127.0.0.1:{}/{name}", cluster.port);
    let folder = Folder::new();
    let starts = (0..STARTERS).map(|number| Start {
        data: folder.0.join(number.to_string()),
        database: Some(database.clone()),
        ..Start::default()
    });
    let starts: Vec<Start> = starts.collect();
    let starting: Vec<_> = starts
        .iter()
        .cloned()
        .map(|start| tokio::spawn(async move { Node::start(&start).await }))
        .collect();
    let mut nodes = Vec::new();
    for starting in starting {
        nodes.push(starting.await.unwrap());
    }
    let holds_key = |start: &&Start| start.data.join("root.key").exists();
    assert_eq!(starts.iter().filter(holds_key).count(), 1, "one key");
    let mut runs = 0;
    for node in nodes {
        match node {
            Ok(node) => {
                runs += 1;
                node.stop().await;
            }
            Err(said) => assert!(
                said.contains("put the key back that this database was used with"),
                "{said}"
            ),
        }
    }
    assert_eq!(runs, 1, "and one server");
}

/// Whoever says that the root key is lost takes the database over. A server that still has the old one says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_root_key_was_given_up_elsewhere_says_so_and_goes_on() {
    const NOTICED: Duration = Duration::from_secs(60);
    let cluster = Cluster::start(&[]);
    let conninfo = cluster.database().await;
    let name = conninfo.rsplit('=').next().unwrap_or_default();
    let database = format!("postgres://postgres@127.0.0.1:{}/{name}", cluster.port);
    let folder = Folder::new();
    let before = Start {
        data: folder.0.join("before"),
        database: Some(database.clone()),
        ..Start::default()
    };
    let mut node = Node::start(&before).await.unwrap();
    let data = folder.0.join("after").display().to_string();
    let words = [
        "serve",
        "--port",
        "0",
        "--data",
        &data,
        "--database",
        &database,
        "--root-key-lost",
    ];
    let mut other = program(&[], &words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + NOTICED;
    while !node.log_end().contains("this database is used with another root key") {
        assert!(Instant::now() < until, "{}", node.log_end());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(node.runs(), "payments need no root key");
    assert!(other.try_wait().unwrap().is_none(), "the other one goes on");
    other.kill().await.unwrap();
    node.stop().await;
}

async fn two_nodes() -> (Arc<World>, Node, Node) {
    let (world, one) = World::new(Place::Postgres).await;
    let two = Differs {
        node: Some("two"),
        ..Differs::default()
    };
    let two = world.start(two).await;
    (world, one, two)
}

/// How long a node that is gone is waited for: the lease of its webhooks, and time to do it in.
const RELIEVED: Duration = Duration::from_secs(60 + 30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_01_a_node_that_dies_is_relieved_of_its_steps_and_webhooks_within_their_leases() {
    let (world, one, two) = two_nodes().await;
    world.listen().await;
    let receiver = world.receiver().unwrap();
    // The first node is alone for a while, so that all of it is its own: a webhook that is out, and a message at the provider.
    signal(two.pid(), "STOP");
    receiver.behave(Manner::IsSlow(Duration::from_secs(120)));
    let till = &world.till;
    let told = till
        .post_at(&one.api, "told", "/v1/orders", &sale("told", 1000))
        .await
        .said();
    assert_eq!(told.status, 201, "{told:?}");
    let deadline = Instant::now() + CONVERGES;
    while receiver.arrived().is_empty() {
        assert!(Instant::now() < deadline, "no webhook is ever out");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let doomed = one.pid();
    world.psp.next(
        "POST /v1/payment_intents",
        Fate::DeedAfter(Arc::new(move || signal(doomed, "KILL"))),
        1,
    );
    let lost = till.post_at(&one.api, "paid", "/v1/orders", &sale("paid", 1000)).await;
    assert!(matches!(lost, Heard::Lost(_)), "{lost:?}");
    let died = Instant::now();
    receiver.behave(Manner::Takes);
    signal(two.pid(), "CONT");
    till.turn_to(&two.api);

    let paid = till.settle("paid", "/v1/orders", &sale("paid", 1000)).await;
    assert_eq!((paid.status, paid.word()), (201, "captured"), "{paid:?}");
    world.quiet().await;
    assert!(died.elapsed() < RELIEVED, "it took {:?}", died.elapsed());
    let subjects: Vec<_> = receiver
        .arrived()
        .iter()
        .map(|arrived| arrived.body["subject"].clone())
        .collect();
    assert!(
        subjects.contains(&paid.body["id"]) && subjects.contains(&told.body["id"]),
        "{subjects:?}"
    );
    world.check(two).await;
}

/// Rounds of callers with one key.
const ROUNDS_SOME: usize = 6;
const ROUNDS_FULL: usize = 200;
/// Callers of a round, at both nodes.
const CALLERS: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_14_one_key_at_two_nodes_makes_one_payment() {
    let (world, one, two) = two_nodes().await;
    for round in 0..count(ROUNDS_SOME, ROUNDS_FULL) {
        let reference = format!("race-{round}");
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..CALLERS {
            let (till, reference) = (Arc::clone(&world.till), reference.clone());
            let node = [&one.api, &two.api][caller % 2].clone();
            callers.spawn(async move {
                till.post_at(&node, &reference, "/v1/orders", &sale(&reference, 1000))
                    .await
            });
        }
        let answers = callers.join_all().await;
        let final_ones = answers.iter().filter(|heard| heard.status() == Some(201)).count();
        assert!(final_ones > 0, "{answers:?}");
        let odd: Vec<_> = answers
            .iter()
            .filter(|heard| !matches!(heard.status(), Some(201 | 202)))
            .collect();
        assert!(odd.is_empty(), "{odd:?}");
    }
    assert_eq!(
        world.psp.provider().book().len(),
        count(ROUNDS_SOME, ROUNDS_FULL),
        "one line of the book each"
    );
    two.stop().await;
    world.check(one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_17_a_node_that_sleeps_with_a_message_out_is_relieved_and_changes_nothing_when_it_wakes() {
    let (world, one, two) = two_nodes().await;
    let sleeper = one.pid();
    // The provider has done it, and the node falls asleep before it hears that.
    world.psp.next(
        "POST /v1/payment_intents",
        Fate::DeedAfter(Arc::new(move || signal(sleeper, "STOP"))),
        1,
    );
    let (till, api) = (Arc::clone(&world.till), one.api.clone());
    let first = tokio::spawn(async move { till.post_at(&api, "sleep", "/v1/orders", &sale("sleep", 1000)).await });
    let deadline = Instant::now() + CONVERGES;
    while world.psp.fates_left() > 0 {
        assert!(Instant::now() < deadline, "the provider was never asked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The lease has to end first: until then the other node knows no more than that it runs.
    world.till.turn_to(&two.api);
    let said = world.till.settle("sleep", "/v1/orders", &sale("sleep", 1000)).await;
    assert_eq!((said.status, said.word()), (201, "captured"), "{said:?}");
    assert_eq!(world.psp.seen("POST").len(), 2, "the same message again");
    let order = said.text("id").to_owned();
    let events = format!("/v1/orders/{order}/events?limit=100");
    let before = world.till.get(&events).await.said().body;

    signal(sleeper, "CONT");
    drop(first.await.unwrap());
    world.till.turn_to(&one.api);
    let again = world.till.settle("sleep", "/v1/orders", &sale("sleep", 1000)).await;
    assert_eq!(again.body, said.body);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        world.till.get(&events).await.said().body,
        before,
        "it woke, and nothing happened"
    );
    two.stop().await;
    world.check(one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_19_captures_voids_and_refunds_that_race_at_two_nodes_never_move_more_than_there_is() {
    const ORDERS: usize = 6;
    let (world, one, two) = two_nodes().await;
    let mut races = tokio::task::JoinSet::new();
    for number in 0..ORDERS {
        let reference = format!("hold-{number}");
        let held = world
            .till
            .settle(&reference, "/v1/orders", &hold(&reference, 1000))
            .await;
        let path = format!("/v1/orders/{}", held.text("id"));
        for (at, (action, body)) in [
            ("capture", json!({"amount": 700})),
            ("capture", json!({"amount": 800})),
            ("void", json!({})),
            ("refunds", json!({"amount": 600})),
            ("refunds", json!({"amount": 500})),
        ]
        .into_iter()
        .enumerate()
        {
            let (till, path) = (Arc::clone(&world.till), format!("{path}/{action}"));
            let node = [&one.api, &two.api][at % 2].clone();
            let key = format!("{reference}-{action}-{at}");
            races.spawn(async move { till.post_at(&node, &key, &path, &body).await });
        }
    }
    let answers = races.join_all().await;
    let done = answers.iter().filter(|heard| matches!(heard.status(), Some(200..=202)));
    assert!(
        done.count() >= ORDERS,
        "one of each at least was carried out: {answers:?}"
    );
    let lost: Vec<_> = answers.iter().filter(|heard| matches!(heard, Heard::Lost(_))).collect();
    assert!(lost.is_empty(), "{lost:?}");
    two.stop().await;
    world.check(one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_42_what_a_node_remembers_is_not_believed_when_another_has_changed_it() {
    let (world, one, two) = two_nodes().await;
    let (till, keys) = (&world.till, ["make", "capture", "again", "refund", "more"]);
    let held = till
        .post_at(&one.api, keys[0], "/v1/orders", &hold("stale", 1000))
        .await
        .said();
    assert_eq!(held.word(), "authorized");
    let path = |action: &str| format!("/v1/orders/{}/{action}", held.text("id"));
    let part = json!({"amount": 600});
    let captured = till.post_at(&two.api, keys[1], &path("capture"), &part).await.said();
    assert_eq!(
        (captured.word(), captured.body["amount_captured"].as_i64()),
        ("captured", Some(600))
    );
    // The first node still remembers a hold that nobody captured.
    let refused = till
        .post_at(&one.api, keys[2], &path("capture"), &json!({"amount": 400}))
        .await
        .said();
    assert_eq!(refused.status, 409, "{refused:?}");
    let back = till
        .post_at(&one.api, keys[3], &path("refunds"), &json!({"amount": 500}))
        .await
        .said();
    assert_eq!(back.status, 201, "{back:?}");
    let refused = till
        .post_at(&two.api, keys[4], &path("refunds"), &json!({"amount": 200}))
        .await
        .said();
    assert!((400..500).contains(&refused.status), "{refused:?}");
    two.stop().await;
    world.check(one).await;
}

/// How long a list may wait for a transaction of somebody else that does not end.
const LIST: Duration = Duration::from_secs(5);
/// Within which a transaction of another database is seen to be none of ours.
const HELD: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_shows_what_was_committed_before_although_an_older_transaction_still_runs() {
    let (world, node) = World::new(Place::Postgres).await;
    world.listen().await;
    let till = &world.till;
    let begin = "begin; select pg_current_xact_id()";
    // Somebody else's transactions, each older than the order's and ending after it.
    for round in 0..5 {
        let other = connect(world.direct().unwrap()).await;
        other.batch_execute(begin).await.unwrap();
        let order = json!({ "amount": 500, "currency": "EUR", "reference": format!("overtaking-{round}"), "metadata": { "round": format!("{round}") } });
        let made = till.post(&format!("made-{round}"), "/v1/orders", &order).await.said();
        assert_eq!(made.status, 201, "{made:?}");
        let ends = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            other.batch_execute("commit").await.unwrap();
        });
        let list = till.get(&format!("/v1/orders?metadata[round]={round}")).await.said();
        assert_eq!(list.body["data"][0]["id"], made.body["id"], "{list:?}");
        ends.await.unwrap();
    }
    // One that does not end holds lists up for a moment and no longer.
    let other = connect(world.direct().unwrap()).await;
    other.batch_execute(begin).await.unwrap();
    let began = Instant::now();
    let list = till.get("/v1/orders?limit=1").await.said();
    assert!(list.status == 200 && began.elapsed() < LIST, "{:?}", began.elapsed());
    other.batch_execute("rollback").await.unwrap();
    // In another database of the cluster it holds nothing up: webhooks and lists go on.
    let elsewhere = world.cluster.as_ref().unwrap().database().await;
    let other = connect(&elsewhere).await;
    other.batch_execute(begin).await.unwrap();
    let sold = till
        .post("elsewhere", "/v1/orders", &sale("elsewhere", 700))
        .await
        .said();
    assert_eq!(sold.status, 201, "{sold:?}");
    let deadline = Instant::now() + HELD;
    while !world
        .receiver()
        .unwrap()
        .arrived()
        .iter()
        .any(|arrived| arrived.body["subject"] == sold.body["id"])
    {
        assert!(Instant::now() < deadline, "another database keeps webhooks back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    other.batch_execute("rollback").await.unwrap();
    world.check(node).await;
}
