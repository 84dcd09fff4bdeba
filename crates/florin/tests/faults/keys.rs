//! Idempotency keys, seen from outside.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::count;
use crate::http::{self, Heard};
use crate::till::{Till, sale};
use crate::world::{PLACES, World, merchant};

/// Callers with one key at once.
const CALLERS: usize = 64;
/// Rounds of them.
const ROUNDS_SOME: usize = 3;
const ROUNDS_FULL: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_13_one_key_from_64_callers_at_once_makes_one_payment() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        // Long enough at the provider for all of them to meet.
        world.psp.set_latency(Duration::from_millis(100));
        for round in 0..count(ROUNDS_SOME, ROUNDS_FULL) {
            let key = format!("crowd-{round}");
            let mut callers = tokio::task::JoinSet::new();
            for _ in 0..CALLERS {
                let (till, key) = (Arc::clone(&world.till), key.clone());
                callers.spawn(async move { till.post(&key, "/v1/orders", &sale(&key, 1000)).await });
            }
            let answers = callers.join_all().await;
            let odd: Vec<_> = answers
                .iter()
                .filter(|heard| !matches!(heard.status(), Some(201 | 202)))
                .collect();
            assert!(odd.is_empty(), "{place:?}: {odd:?}");
            let last = world.till.settle(&key, "/v1/orders", &sale(&key, 1000)).await;
            assert_eq!(last.word(), "captured");
            for heard in answers {
                let said = heard.said();
                assert_eq!(said.text("id"), last.text("id"), "{place:?}: one order");
            }
        }
        let rounds = count(ROUNDS_SOME, ROUNDS_FULL);
        assert_eq!(
            world.psp.seen("POST /v1/payment_intents").len(),
            rounds,
            "{place:?}: one message each"
        );
        world.check(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_15_a_key_with_another_body_has_no_effect_and_another_merchants_is_another() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        let first = world.till.settle("same", "/v1/orders", &sale("A-1", 1000)).await;
        assert_eq!(first.status, 201);
        let base = world.till.base();
        let refund = format!("/v1/orders/{}/refunds", first.text("id"));
        for (path, body) in [
            ("/v1/orders", sale("A-1", 1001)),
            ("/v1/orders", sale("A-2", 1000)),
            (refund.as_str(), json!({})),
        ] {
            let reused = world.till.unwritten(&base, "same", path, &body).await.said();
            assert_eq!(
                (reused.status, reused.text("code")),
                (422, "key_reused"),
                "{place:?}: {reused:?}"
            );
        }
        let taken = world
            .till
            .unwritten(&base, "new", "/v1/orders", &sale("A-1", 1000))
            .await
            .said();
        assert_eq!(
            (taken.status, taken.text("code")),
            (409, "reference_taken"),
            "{place:?}: {taken:?}"
        );
        assert_eq!(taken.text("order"), first.text("id"));

        let (key, _) = merchant(&base, &format!("http://{}", world.psp.address)).await;
        let neighbour = Till::new(&base, &key);
        let theirs = neighbour.settle("same", "/v1/orders", &sale("A-1", 700)).await;
        assert_eq!(
            (theirs.status, theirs.word()),
            (201, "captured"),
            "{place:?}: {theirs:?}"
        );
        assert_ne!(theirs.text("id"), first.text("id"));
        let peek = neighbour.get(&format!("/v1/orders/{}", first.text("id"))).await;
        assert_eq!(peek.status(), Some(404), "{place:?}: nobody else's orders");
        assert_eq!(world.psp.provider().book().len(), 2, "{place:?}");
        world.check(node).await;
    }
}

/// Callers that hang up.
const HANG_UPS_SOME: u64 = 20;
const HANG_UPS_FULL: u64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_18_callers_who_hang_up_anywhere_find_their_payment_under_their_key() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        world.psp.set_latency(Duration::from_millis(20));
        let host = world.till.base().trim_start_matches("http://").to_owned();
        for number in 0..count(HANG_UPS_SOME as usize, HANG_UPS_FULL as usize) as u64 {
            let key = format!("gone-{number}");
            let body = sale(&key, 1000).to_string();
            let mut text = format!(
                "POST /v1/orders HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                world.till.key,
                body.len()
            );
            if number % 4 == 3 {
                text.truncate(text.len() - 5); // never says it to the end
            }
            let mut stream = TcpStream::connect(&host).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(number % 5 * 8)).await;
            drop(stream);
            let said = world.till.settle(&key, "/v1/orders", &sale(&key, 1000)).await;
            assert_eq!((said.status, said.word()), (201, "captured"), "{place:?}: {said:?}");
        }
        world.check(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_18_a_key_that_is_not_kept_any_more_is_answered_by_the_rules_and_moves_nothing() {
    let (world, node) = World::new(crate::world::Place::Sqlite).await;
    let made = world
        .till
        .settle("make", "/v1/orders", &crate::till::hold("A-1", 1000))
        .await;
    let path = format!("/v1/orders/{}/capture", made.text("id"));
    let captured = world.till.settle("capture", &path, &json!({})).await;
    assert_eq!(captured.word(), "captured");
    // More than 30 days later: the keys of calls that made no order are gone.
    node.stop().await;
    assert!(world.change("delete from keys").await > 0);
    let node = world.start(crate::world::Differs::default()).await;
    let late = world
        .till
        .unwritten(&node.api, "capture", &path, &json!({}))
        .await
        .said();
    assert_eq!((late.status, late.text("order")), (409, made.text("id")), "{late:?}");
    world.till.forget("capture");
    // The call that made the order is known as long as the order.
    let heard = world
        .till
        .post("make", "/v1/orders", &crate::till::hold("A-1", 1000))
        .await;
    assert!(
        matches!(&heard, Heard::Said(said) if said.body == made.body),
        "{heard:?}"
    );
    let replayed = heard.said().headers.get("idempotent-replayed").cloned();
    assert_eq!(replayed.as_deref(), Some("true"));
    let alive = http::ask(&node.admin, "GET", "/livez", &[], b"").await;
    assert_eq!(alive.status(), Some(200));
    world.check(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_21_a_declined_key_stays_declined_when_the_funds_have_arrived() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        let poor = crate::till::declined("A-1", 900);
        let declined = world.till.settle("poor", "/v1/orders", &poor).await;
        assert_eq!(
            (declined.status, declined.word()),
            (201, "created"),
            "{place:?}: {declined:?}"
        );
        assert_eq!(
            declined.body["last_attempt"]["decline"]["code"], "insufficient_funds",
            "{place:?}"
        );
        let confirm = format!("/v1/orders/{}/confirm", declined.text("id"));
        let rich = world
            .till
            .settle("rich", &confirm, &json!({"method": "card_visa"}))
            .await;
        assert_eq!(rich.word(), "captured", "{place:?}: {rich:?}");
        let again = world.till.post("poor", "/v1/orders", &poor).await.said();
        assert_eq!(
            (again.status, &again.body),
            (201, &declined.body),
            "{place:?}: the answer that it had"
        );
        assert_eq!(world.psp.provider().book().len(), 1, "{place:?}");
        world.check(node).await;
    }
}
