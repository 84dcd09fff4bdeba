//! The server dies, at each named point and at no point in particular, and another one goes on where it was.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use florin_services::{base64, crash};
use serde_json::json;

use crate::http::Heard;
use crate::node::Node;
use crate::receiver::Arrived;
use crate::till::{Load, hold, sale};
use crate::world::{Differs, PLACES, Place, World};
use crate::{Dice, count, seed};

/// Points that no payment passes: changes of the small documents.
const OF_DOCUMENTS: [&str; 2] = ["before_put", "after_put"];
/// Which passage of a point is the last one.
const PASSAGES: [u32; 5] = [3, 1, 2, 7, 15];
const PASSAGES_SOME: usize = 1;
/// Random kills under load.
const KILLS_SOME: usize = 5;
const KILLS_FULL: usize = 200;
/// Orders between two kills, so that each finds the server at work.
const ORDERS_BETWEEN: usize = 5;

/// Waits for the end of a server that was told to die at a point.
async fn dies(node: Result<Node, String>) {
    // It may die while it starts: that is a death too.
    if let Ok(mut node) = node {
        let status = node.gone().await;
        const ABORTED: i32 = 6;
        assert_eq!(
            status.signal(),
            Some(ABORTED),
            "it ended with {status}:\n{}",
            node.log_end()
        );
    }
}

/// Brings the provider's webhooks to whoever is there, as often as it takes.
pub struct Courier {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Courier {
    pub fn start(world: &Arc<World>) -> Self {
        let (world, stop) = (Arc::clone(world), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                world.hook_until(&stopped).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { stop, task }
    }

    pub async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
    }
}

async fn killed_at_each_point(place: Place) {
    let (world, mut node) = World::new(place).await;
    world.listen().await;
    let courier = Courier::start(&world);
    for passage in &PASSAGES[..count(PASSAGES_SOME, PASSAGES.len())] {
        for point in crash::POINTS.iter().filter(|point| !OF_DOCUMENTS.contains(point)) {
            node.kill().await;
            let doomed = world.try_start(Differs::dies_at(point, *passage)).await;
            let load = Load::start(&world.till, &format!("{point}-{passage}"), 4);
            dies(doomed).await;
            node = world.start(Differs::default()).await;
            load.goes_on(1).await;
            load.stop().await;
        }
    }
    courier.stop().await;
    world.check(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_01_killed_at_each_point_over_sqlite_it_loses_nothing_and_charges_nobody_twice() {
    killed_at_each_point(Place::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_01_killed_at_each_point_over_postgresql_it_loses_nothing_and_charges_nobody_twice() {
    killed_at_each_point(Place::Postgres).await;
}

/// `webhook-signature` holds `v1,` and the HMAC of id, time and body under this secret.
fn is_signed_by(webhook: &Arrived, secret: &str) -> bool {
    let header = |name: &str| webhook.headers.get(name).cloned().unwrap_or_default();
    let mut text = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).into_bytes();
    text.extend_from_slice(&webhook.raw);
    let key = base64::decode(secret.trim_start_matches("whsec_")).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let wanted = base64::encode(aws_lc_rs::hmac::sign(&key, &text).as_ref());
    header("webhook-signature")
        .split(' ')
        .any(|signature| signature.strip_prefix("v1,") == Some(&wanted))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_01_killed_while_a_webhook_secret_is_rotated_the_merchant_can_still_check_every_webhook() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        let endpoint = world.listen().await;
        let (first, id) = (endpoint["secret"].as_str().unwrap(), endpoint["id"].as_str().unwrap());
        node.kill().await;
        let rotate = format!("/v1/webhook_endpoints/{id}/rotate_secret");
        for point in OF_DOCUMENTS {
            let mut doomed = world.start(Differs::dies_at(point, 1)).await;
            let lost = world.till.unwritten(&doomed.api, point, &rotate, &json!({})).await;
            assert!(matches!(lost, Heard::Lost(_)), "{point}: {lost:?}");
            doomed.gone().await;
        }
        let node = world.start(Differs::default()).await;
        // Nobody heard a new secret yet: the first one has to do.
        world.till.settle("one", "/v1/orders", &sale("one", 1000)).await;
        let rotated = world
            .till
            .unwritten(&node.api, "again", &rotate, &json!({}))
            .await
            .said();
        assert_eq!(rotated.status, 200, "{rotated:?}");
        let newest = rotated.text("secret").to_owned();
        world.till.settle("two", "/v1/orders", &sale("two", 1000)).await;
        world.check(node).await;
        let arrived = world.receiver().unwrap().arrived();
        assert!(arrived.iter().all(|webhook| is_signed_by(webhook, first)), "{place:?}");
        let last = arrived.last().unwrap();
        assert!(is_signed_by(last, &newest), "{place:?}: {last:?}");
    }
}

async fn killed_at_random(place: Place) {
    let (world, mut node) = World::new(place).await;
    world.listen().await;
    let courier = Courier::start(&world);
    let load = Load::start(&world.till, "load", 8);
    let mut dice = Dice(seed());
    for _ in 0..count(KILLS_SOME, KILLS_FULL) {
        load.goes_on(ORDERS_BETWEEN).await;
        tokio::time::sleep(Duration::from_millis(dice.below(200))).await;
        node.kill().await;
        node = world.start(Differs::default()).await;
    }
    load.goes_on(ORDERS_BETWEEN).await;
    load.stop().await;
    courier.stop().await;
    world.check(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_02_killed_at_random_under_load_over_sqlite_it_loses_nothing() {
    killed_at_random(Place::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_02_killed_at_random_under_load_over_postgresql_it_loses_nothing() {
    killed_at_random(Place::Postgres).await;
}

/// A step of a payment, the path of its message to the provider, and the word at its end.
const STEPS: [(&str, &str, &str); 4] = [
    ("sale", "POST /v1/payment_intents", "captured"),
    ("capture", "/capture", "captured"),
    ("void", "/cancel", "canceled"),
    ("refunds", "POST /v1/refunds", "refunded"),
];
/// Where the first try of a call may die.
const RECOVERIES: [&str; 4] = ["before_commit", "after_commit", "before_send", "after_send"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_16_a_call_whose_first_try_died_anywhere_is_carried_out_once() {
    for place in &PLACES[..count(1, PLACES.len())] {
        let (world, mut node) = World::new(*place).await;
        for (step, message, word) in STEPS {
            for point in RECOVERIES {
                let reference = format!("{step}-{point}");
                let (path, body) = match step {
                    "sale" => ("/v1/orders".to_owned(), sale(&reference, 1000)),
                    _ => {
                        let first = if step == "refunds" { sale } else { hold };
                        let made = first(&reference, 1000);
                        let order = world
                            .till
                            .settle(&format!("{reference}:make"), "/v1/orders", &made)
                            .await;
                        (format!("/v1/orders/{}/{step}", order.text("id")), json!({}))
                    }
                };
                node.kill().await;
                let before = world.psp.seen(message).len();
                let mut doomed = world.start(Differs::dies_at(point, 1)).await;
                let lost = world.till.post(&reference, &path, &body).await;
                assert!(matches!(lost, Heard::Lost(_)), "{reference}: {lost:?}");
                doomed.gone().await;

                node = world.start(Differs::default()).await;
                let said = world.till.settle(&reference, &path, &body).await;
                assert!(matches!(said.status, 200 | 201), "{reference}: {said:?}");
                let order = match step {
                    "refunds" => said.text("order"),
                    _ => said.text("id"),
                };
                world.until(order, word).await;
                let seen = world.psp.seen(message).split_off(before);
                assert!(!seen.is_empty(), "{reference}");
                let keys: std::collections::BTreeSet<_> = seen.iter().map(|seen| &seen.asked.key).collect();
                assert_eq!(
                    keys.len(),
                    1,
                    "{reference}: one step, one key at the provider: {seen:?}"
                );
            }
        }
        world.check(node).await;
    }
}

/// A call at the Stripe door.
async fn at_stripe_door(world: &World, node: &Node, method: &str, path: &str, form: &str) -> Heard {
    let bearer = format!("Bearer {}", world.till.key);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    crate::http::ask(&node.stripe, method, path, &headers, form.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_01_a_lookup_key_that_changes_hands_while_the_server_dies_is_somebodys() {
    for place in PLACES {
        let (world, mut node) = World::new(place).await;
        let made = async |node: &Node, form: &str| {
            let form = format!("currency=eur&unit_amount=500&product_data[name]=Tea&{form}");
            let made = at_stripe_door(&world, node, "POST", "/v1/prices", &form).await.said();
            assert_eq!(made.status, 200, "{made:?}");
            made.text("id").to_owned()
        };
        let (first, second) = (made(&node, "lookup_key=std").await, made(&node, "active=true").await);
        for (taker, point) in [(&second, "after_put"), (&first, "before_put")] {
            node.stop().await;
            node = world.start(Differs::dies_at(point, 1)).await;
            let form = "lookup_key=std&transfer_lookup_key=true";
            let path = format!("/v1/prices/{taker}");
            let lost = at_stripe_door(&world, &node, "POST", &path, form).await;
            assert!(matches!(lost, Heard::Lost(_)), "{place:?}: {lost:?}");
            dies(Ok(node)).await;
            node = world.start(Differs::default()).await;
            let found = at_stripe_door(&world, &node, "GET", "/v1/prices?lookup_keys[]=std", "").await;
            let found = found.said().body;
            let holders: Vec<_> = found["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|price| &price["id"])
                .collect();
            // What was written whole is there, and what was not written changed nothing: the second one has it.
            assert_eq!(holders, [second.as_str()], "{place:?}: {point}");
        }
        node.stop().await;
    }
}
