//! A provider that does not answer, or not with sense. Whatever it says that proves nothing is asked about, and charged once.

use std::time::Duration;

use serde_json::json;

use crate::psp::Fate;
use crate::till::{hold, sale};
use crate::world::{Differs, Place, Wires, World};

/// Nonsense that a provider may say to one message.
fn nonsense() -> Vec<(&'static str, Fate)> {
    vec![
        ("500", Fate::Status(500)),
        ("500-done", Fate::DoneThen(500)),
        ("502", Fate::Status(502)),
        ("429", Fate::Status(429)),
        ("429-done", Fate::DoneThen(429)),
        ("reset", Fate::ResetBefore),
        ("reset-done", Fate::ResetAfter),
        ("cut", Fate::Cut),
        ("empty", Fate::Garbage("")),
        ("html", Fate::Garbage("<html>")),
        (
            "half",
            Fate::Garbage("{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"stat"),
        ),
        ("huge", Fate::Huge),
        ("drip", Fate::Drip),
        ("late", Fate::Late(Duration::from_secs(20))),
    ]
}

async fn impatient(place: Place) -> (std::sync::Arc<World>, crate::node::Node) {
    World::with(place, Wires::Good, Differs::env("FLORIN_LIMITS_ANSWER_WAIT_S", 1)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_23_errors_cuts_garbage_ten_megabytes_and_a_byte_a_second_charge_nobody_twice() {
    let (world, node) = impatient(Place::Sqlite).await;
    let mut orders = Vec::new();
    for (name, fate) in nonsense() {
        // A provider that never answers is left alone for a while: this one answers now and then.
        let between = format!("before-{name}");
        world.till.settle(&between, "/v1/orders", &sale(&between, 500)).await;
        world.psp.next("POST /v1/payment_intents", fate, 1);
        let told = world.till.post(name, "/v1/orders", &sale(name, 1000)).await.said();
        assert_eq!(
            (told.status, told.word()),
            (202, "processing"),
            "{name}: no answer is no decline: {told:?}"
        );
        orders.push((name, told.text("id").to_owned()));
    }
    assert_eq!(world.psp.fates_left(), 0);
    for (name, order) in orders {
        let paid = world.until(&order, "captured").await;
        assert_eq!(paid["amount_captured"], 1000, "{name}");
    }
    world.check(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_22_steps_whose_answers_are_lost_before_or_after_their_effect_are_done_once() {
    for place in crate::world::PLACES {
        let (world, node) = impatient(place).await;
        let mut open = Vec::new();
        for (when, fate) in [("before", Fate::ResetBefore), ("after", Fate::ResetAfter)] {
            for (step, message, word) in [
                ("sale", "POST /v1/payment_intents", "captured"),
                ("capture", "/capture", "captured"),
                ("void", "/cancel", "canceled"),
                ("refunds", "POST /v1/refunds", "refunded"),
            ] {
                let name = format!("{step}-{when}");
                let (path, body) = match step {
                    "sale" => ("/v1/orders".to_owned(), sale(&name, 1000)),
                    _ => {
                        let made = if step == "refunds" { sale } else { hold };
                        let key = format!("{name}:make");
                        let order = world.till.settle(&key, "/v1/orders", &made(&name, 1000)).await;
                        (format!("/v1/orders/{}/{step}", order.text("id")), json!({}))
                    }
                };
                world.psp.next(message, fate.clone(), 1);
                let told = world.till.post(&name, &path, &body).await.said();
                assert_eq!(
                    (told.status, &told.body["uncertain"]),
                    (202, &true.into()),
                    "{place:?} {name}: {told:?}"
                );
                let order = if step == "refunds" {
                    told.text("order")
                } else {
                    told.text("id")
                };
                open.push((name, order.to_owned(), word));
            }
        }
        for (name, order, word) in open {
            let order = world.until(&order, word).await;
            assert_eq!(order["uncertain"], false, "{place:?} {name}: {order}");
        }
        world.check(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_24_another_amount_than_asked_is_shown_to_a_person_and_no_attempt_follows() {
    let (world, node) = impatient(Place::Sqlite).await;
    world.psp.provider().misstates_by = 50;
    let told = world.till.post("odd", "/v1/orders", &sale("odd", 1000)).await.said();
    let order = told.text("id").to_owned();
    assert_eq!(told.word(), "processing", "{told:?}");
    let shown = world
        .until_is(&order, &|order| order["attention"] == json!(["amount_mismatch"]))
        .await;
    assert_eq!(shown["amount_captured"], 0, "{shown}");
    let confirm = format!("/v1/orders/{order}/confirm");
    let again = world
        .till
        .unwritten(&node.api, "again", &confirm, &json!({"method": "card_visa"}))
        .await
        .said();
    assert_eq!(again.status, 409, "{again:?}");
    let fine = world.till.settle("fine", "/v1/orders", &sale("fine", 1000)).await;
    assert_eq!((fine.status, fine.word()), (201, "captured"), "the rest goes on");
    assert_eq!(world.psp.seen("POST /v1/payment_intents").len(), 2);

    // Somebody looked it up. Their word is booked once, by the call and its repeat; another word then says nothing new.
    let resolve = format!("/v1/attempts/{}/resolve", shown["last_attempt"]["id"].as_str().unwrap());
    let word = json!({"as": "approved", "amount": 1000, "note": "console, case 4711"});
    for key in ["word", "word"] {
        let said = world.till.unwritten(&node.api, key, &resolve, &word).await.said();
        assert_eq!((said.status, said.word()), (200, "captured"), "{said:?}");
        assert_eq!(said.body["amount_captured"], 1000, "{said:?}");
    }
    let other = json!({"as": "approved", "amount": 900, "note": "console, case 4711"});
    for (key, status, code) in [("word", 422, "key_reused"), ("another", 409, "attempt_over")] {
        let said = world.till.unwritten(&node.api, key, &resolve, &other).await.said();
        assert_eq!((said.status, said.text("code")), (status, code), "{said:?}");
    }
    node.stop().await;
}
