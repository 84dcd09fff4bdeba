//! Merchants who cannot be told: their webhooks wait, the others' go on, and everything can be told again by hand.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::count;
use crate::receiver::{Manner, Receiver};
use crate::till::{CONVERGES, Till, sale};
use crate::world::{PLACES, Place, World};

/// Sales whose events are told.
const SALES: usize = 3;
/// Events of a sale.
pub const EVENTS: usize = 5;

pub async fn endpoint(till: &Till, receiver: &Receiver) -> String {
    let body = json!({"url": receiver.url});
    let made = till
        .unwritten(&till.base(), &receiver.url, "/v1/webhook_endpoints", &body)
        .await
        .said();
    assert_eq!(made.status, 201, "{made:?}");
    made.text("id").to_owned()
}

pub async fn arrived(receiver: &Receiver, least: usize) {
    let deadline = Instant::now() + CONVERGES;
    while receiver.arrived().len() < least {
        assert!(
            Instant::now() < deadline,
            "{} of {least} webhooks came",
            receiver.arrived().len()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn deliveries(till: &Till, of: &str) -> Vec<Value> {
    let page = till.get(&format!("/v1/deliveries?limit=100{of}")).await.said();
    page.body["data"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_40_receivers_that_fail_redirect_or_are_slow_hold_nobody_else_up() {
    let (world, node) = World::new(Place::Sqlite).await;
    world.listen().await;
    let good = world.receiver().unwrap();
    let (bad, lost, slow, elsewhere) = (
        Receiver::start(),
        Receiver::start(),
        Receiver::start(),
        Receiver::start(),
    );
    bad.behave(Manner::Refuses(500));
    lost.behave(Manner::Redirects(elsewhere.url.clone()));
    slow.behave(Manner::IsSlow(Duration::from_secs(15)));
    let till = &world.till;
    let mut endpoints = Vec::new();
    for receiver in [&bad, &lost, &slow] {
        endpoints.push(endpoint(till, receiver).await);
    }
    // The first one occupies the slow receiver, the others come behind it.
    for number in 0..SALES {
        let key = format!("sale-{number}");
        till.settle(&key, "/v1/orders", &sale(&key, 1000)).await;
        arrived(good, (number + 1) * EVENTS).await;
    }
    let told = slow.arrived().len();
    assert!(told < SALES * EVENTS, "the slow receiver was still at it: {told}");
    arrived(&bad, SALES * EVENTS).await;
    arrived(&lost, SALES * EVENTS).await;
    assert!(elsewhere.arrived().is_empty(), "no redirect is followed");
    // What became of a delivery is written down when its line has ended.
    let deadline = Instant::now() + CONVERGES;
    let failed = loop {
        let mut pending = deliveries(till, "&status=pending").await;
        pending.retain(|delivery| {
            delivery["endpoint"] == endpoints[0].as_str() || delivery["endpoint"] == endpoints[1].as_str()
        });
        if pending.len() == 2 * SALES * EVENTS && pending.iter().all(|delivery| delivery["attempts"][0].is_object()) {
            break pending;
        }
        assert!(
            Instant::now() < deadline,
            "the tries are never written down: {pending:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for delivery in &failed {
        let status = &delivery["attempts"][0]["status_code"];
        assert!(*status == 500 || *status == 307, "{delivery}");
        assert!(delivery["next_try_at"].is_string(), "{delivery}");
    }
    for receiver in [&bad, &lost, &slow] {
        receiver.behave(Manner::Takes);
    }
    // What failed once comes again by itself: at the latest when the next try of its plan falls due.
    fall_due(&world).await;
    world.check(node).await;
    for receiver in [&bad, &lost] {
        let taken = receiver
            .arrived()
            .iter()
            .filter(|webhook| webhook.answered == 200)
            .count();
        assert!(taken >= SALES * EVENTS, "{taken}");
    }
}

/// Time goes by: the next try of every delivery falls due. Answers how many there are.
async fn fall_due(world: &World) -> usize {
    world
        .change("update deliveries set due = 0 where due is not null")
        .await
}

async fn health(till: &Till, endpoint: &str) -> Value {
    let found = till.get(&format!("/v1/webhook_endpoints/{endpoint}")).await.said();
    found.body["health"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_39_a_webhook_that_its_receiver_never_takes_is_given_up_while_the_rest_flows() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        let receiver = Receiver::start();
        receiver.behave(Manner::Chokes("order.captured"));
        let endpoint = endpoint(&world.till, &receiver).await;
        assert_eq!(health(&world.till, &endpoint).await["status"], "untried", "{place:?}");
        for number in 0..SALES {
            let key = format!("sale-{number}");
            world.till.settle(&key, "/v1/orders", &sale(&key, 1000)).await;
        }
        arrived(&receiver, SALES * EVENTS).await;
        let deadline = Instant::now() + CONVERGES;
        while fall_due(&world).await > 0 {
            assert!(Instant::now() < deadline, "{place:?}: the poison is never given up");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let given_up = deliveries(&world.till, "&status=failed").await;
        assert_eq!(given_up.len(), SALES, "{place:?}");
        assert!(
            given_up.iter().all(|delivery| delivery["type"] == "order.captured"),
            "{place:?}: {given_up:?}"
        );
        let taken = deliveries(&world.till, "&status=succeeded").await;
        assert_eq!(taken.len(), SALES * (EVENTS - 1), "{place:?}: the rest was taken");
        let sick = health(&world.till, &endpoint).await;
        assert_eq!(
            (&sick["status"], &sick["last_error"]),
            (&json!("failing"), &json!("it answered 422")),
            "{place:?}"
        );
        receiver.behave(Manner::Takes);
        world.till.settle("last", "/v1/orders", &sale("last", 1000)).await;
        let deadline = Instant::now() + CONVERGES;
        while health(&world.till, &endpoint).await["status"] != "healthy" {
            assert!(
                Instant::now() < deadline,
                "{place:?}: it takes everything, and is not called healthy"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        world.check(node).await;
    }
}

/// Deliveries that fail for three days.
const GIVEN_UP_SOME: usize = 2;
const GIVEN_UP_FULL: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_40_a_receiver_that_is_away_for_days_is_told_everything_by_hand_when_it_is_back() {
    let (world, node) = World::new(Place::Sqlite).await;
    let receiver = Receiver::start();
    receiver.behave(Manner::Refuses(503));
    endpoint(&world.till, &receiver).await;
    let sales = count(GIVEN_UP_SOME, GIVEN_UP_FULL);
    for number in 0..sales {
        let key = format!("sale-{number}");
        world.till.settle(&key, "/v1/orders", &sale(&key, 1000)).await;
    }
    let all = sales * EVENTS;
    arrived(&receiver, all).await;
    // Days go by: every retry of the plan falls due.
    let deadline = Instant::now() + CONVERGES;
    loop {
        let due = fall_due(&world).await;
        if due == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{due} deliveries are never given up");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let given_up = deliveries(&world.till, "&status=failed").await;
    assert_eq!(given_up.len(), all);
    for delivery in &given_up {
        let tries = delivery["attempts"].as_array().unwrap();
        assert!(
            tries.len() >= 10 && tries.iter().all(|one| one["status_code"] == 503),
            "{delivery}"
        );
    }
    receiver.behave(Manner::Takes);
    for delivery in &given_up {
        let id = delivery["id"].as_str().unwrap();
        let path = format!("/v1/deliveries/{id}/resend");
        let resent = world.till.unwritten(&node.api, id, &path, &json!({})).await.said();
        assert_eq!(resent.status, 200, "{resent:?}");
    }
    // And an event that was taken can be told once more.
    arrived(&receiver, receiver.arrived().len() + 1).await;
    world.quiet().await;
    let event = given_up[0]["event"].as_str().unwrap();
    let path = format!("/v1/events/{event}/resend");
    let resent = world.till.unwritten(&node.api, event, &path, &json!({})).await.said();
    assert_eq!(resent.status, 201, "{resent:?}");
    world.quiet().await;
    let taken: Vec<_> = receiver
        .arrived()
        .into_iter()
        .filter(|webhook| webhook.answered == 200)
        .collect();
    assert_eq!(taken.len(), all + 1);
    assert_eq!(taken.last().unwrap().id, event);
    world.check(node).await;
}
