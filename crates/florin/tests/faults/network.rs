//! Wires that go silent in one direction, lose, delay and half-close.

use std::sync::Arc;
use std::time::Duration;

use florin_testkit::proxy::{Way, Weather};

use crate::count;
use crate::node::Node;
use crate::till::{Load, Till, sale};
use crate::world::{Differs, Place, Wires, World, merchant};

/// Orders within which a wire has to have recovered.
const ORDERS: usize = 10;
/// How long a wire to the database is silent: a full run is silent for longer than anybody waits for it.
const SILENT_S_SOME: usize = 2;
const SILENT_S_FULL: usize = 25;
/// How long the wire to the provider is silent: longer than a message lives.
const LATE: Duration = Duration::from_secs(17);

async fn wired(wires: Wires, place: Place) -> (Arc<World>, Node) {
    // Callers are not kept waiting by a wire that tests its patience.
    World::with(place, wires, Differs::env("FLORIN_LIMITS_ANSWER_WAIT_S", 1)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_46_a_database_that_hears_and_is_not_heard_or_the_other_way_round_costs_no_payment() {
    let (world, node) = wired(Wires::Database, Place::Postgres).await;
    let wire = world.wire.as_ref().unwrap();
    let load = Load::start(&world.till, "load", 4);
    for way in [Way::Up, Way::Down] {
        load.goes_on(ORDERS).await;
        wire.set(Weather {
            silent: Some(way),
            ..Weather::default()
        });
        tokio::time::sleep(Duration::from_secs(count(SILENT_S_SOME, SILENT_S_FULL) as u64)).await;
        wire.heal();
    }
    load.goes_on(ORDERS).await;
    load.stop().await;
    world.check(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_46_a_message_that_arrives_when_nobody_waits_for_it_any_more_charges_nobody_twice() {
    let (world, node) = wired(Wires::Provider, Place::Sqlite).await;
    let wire = world.wire.as_ref().unwrap();
    world.till.settle("before", "/v1/orders", &sale("before", 1000)).await;
    wire.set(Weather {
        silent: Some(Way::Up),
        ..Weather::default()
    });
    let told = world.till.post("late", "/v1/orders", &sale("late", 1000)).await.said();
    assert_eq!((told.status, told.word()), (202, "processing"), "{told:?}");
    tokio::time::sleep(LATE).await;
    let order = told.text("id");
    let uncertain = world.until_is(order, &|order| order["uncertain"] == true).await;
    assert_eq!(
        uncertain["payment_order_status"], "processing",
        "nobody calls it failed"
    );
    // What was on the wire arrives now, and so does everything that is asked about it.
    wire.heal();
    world.until(order, "captured").await;
    world.check(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_47_lost_and_late_packets_and_half_open_connections_cost_no_payment() {
    for (wires, place, delay_ms, loss_percent) in [
        (Wires::Provider, Place::Sqlite, 50, 20),
        (Wires::Database, Place::Postgres, 2, 5),
    ] {
        let (world, node) = wired(wires, place).await;
        let wire = world.wire.as_ref().unwrap();
        let load = Load::start(&world.till, "load", 8);
        load.goes_on(ORDERS).await;
        wire.set(Weather {
            delay: Duration::from_millis(delay_ms),
            loss_percent,
            ..Weather::default()
        });
        load.goes_on(ORDERS).await;
        for way in [Way::Up, Way::Down] {
            wire.half_close(way);
            load.goes_on(ORDERS / 2).await;
        }
        wire.heal();
        load.goes_on(ORDERS).await;
        load.stop().await;
        world.check(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_47_a_provider_whose_name_nobody_knows_was_never_asked_and_the_order_stays_payable() {
    let (world, node) = wired(Wires::Good, Place::Sqlite).await;
    let (key, _) = merchant(&node.api, "https://provider.invalid").await;
    let till = Till::new(&node.api, &key);
    let said = till.settle("one", "/v1/orders", &sale("one", 1000)).await;
    let attempt = &said.body["last_attempt"];
    assert_eq!((said.status, &attempt["uncertain"]), (201, &false.into()), "{said:?}");
    assert_eq!(
        (said.word(), attempt["status"].as_str()),
        ("created", Some("declined")),
        "{said:?}"
    );
    assert_eq!(attempt["decline"]["class"], "tech", "{said:?}");
    world.check(node).await;
}
