//! The provider's webhooks at `/hooks/{connection}`: too many, too early, in any order, never, and from somebody else.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::crashes::Courier;
use crate::http::Heard;
use crate::psp::{Fate, now};
use crate::till::{Load, sale};
use crate::world::{Differs, HOOK_SECRET, PLACES, Place, Wires, World, merchant};
use crate::{count, http};

/// Makes an order that is paid on the provider's page; answers it and the page.
async fn on_page(world: &World, reference: &str) -> (String, String) {
    let body = json!({"amount": 1000, "currency": "EUR", "reference": reference, "confirm": true, "method": "hosted"});
    let said = world.till.settle(reference, "/v1/orders", &body).await;
    assert_eq!((said.status, said.word()), (201, "requires_action"), "{said:?}");
    let url = said.body["next_action"]["url"].as_str().unwrap();
    let page = url.rsplit('/').next().unwrap().to_owned();
    (said.text("id").to_owned(), page)
}

fn pays(world: &World, page: &str) {
    assert!(world.psp.provider().pay(page, "card_visa", now()));
}

/// How many public events an order has.
async fn events(world: &World, order: &str) -> usize {
    let page = world
        .till
        .get(&format!("/v1/orders/{order}/events?limit=100"))
        .await
        .said();
    page.body["data"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_29_each_webhook_five_times_is_booked_once() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        let (order, page) = on_page(&world, "A-1").await;
        pays(&world, &page);
        let told = world.psp.take_events();
        assert!(told.len() >= 2, "{told:?}");
        // All at once, then each once more when it is done.
        let mut hooks = tokio::task::JoinSet::new();
        for event in told.iter().flat_map(|event| std::iter::repeat_n(event, 4)) {
            let (world, event) = (Arc::clone(&world), event.clone());
            hooks.spawn(async move { world.hook(&event).await.status() });
        }
        let answers = hooks.join_all().await;
        assert!(
            answers.iter().all(|status| *status == Some(200)),
            "{place:?}: {answers:?}"
        );
        world.until(&order, "captured").await;
        world.quiet().await;
        let before = events(&world, &order).await;
        for event in &told {
            assert_eq!(world.hook(event).await.status(), Some(200), "{place:?}");
        }
        world.quiet().await;
        assert_eq!(events(&world, &order).await, before, "{place:?}");
        let rows = world.number_of("select count(*) from inbox").await;
        assert!(rows <= told.len() as i64, "{place:?}: {rows} notices of {}", told.len());
        world.check(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_30_webhooks_in_the_wrong_order_come_to_the_same_end() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        let held = world
            .till
            .settle("hold", "/v1/orders", &crate::till::hold("hold", 1000))
            .await;
        let path = |action: &str| format!("/v1/orders/{}/{action}", held.text("id"));
        world.till.settle("capture", &path("capture"), &json!({})).await;
        world
            .till
            .settle("refund", &path("refunds"), &json!({"amount": 300}))
            .await;
        let (order, page) = on_page(&world, "page").await;
        pays(&world, &page);
        // Refund, capture, approval: the last first.
        let mut told = world.psp.take_events();
        told.reverse();
        for event in &told {
            assert_eq!(world.hook(event).await.status(), Some(200), "{place:?}");
        }
        world.until(&order, "captured").await;
        let refunded = world.until(held.text("id"), "partially_refunded").await;
        assert_eq!(refunded["amount_refunded"], 300, "{place:?}");
        world.check(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_31_what_no_webhook_ever_reports_is_found_by_asking() {
    let (world, node) = World::new(Place::Sqlite).await;
    let (order, page) = on_page(&world, "A-1").await;
    pays(&world, &page);
    assert!(!world.psp.take_events().is_empty(), "and they never come");
    world.until(&order, "captured").await;
    world.check(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_32_a_webhook_before_the_answer_is_kept_until_the_answer_is_there() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        world
            .psp
            .next("POST /v1/payment_intents", Fate::Late(Duration::from_secs(1)), 1);
        let till = Arc::clone(&world.till);
        let call = tokio::spawn(async move { till.post("early", "/v1/orders", &sale("early", 1000)).await });
        let mut early = Vec::new();
        while early.is_empty() {
            early = world.psp.take_events();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for event in &early {
            assert_eq!(world.hook(event).await.status(), Some(200), "{place:?}");
        }
        assert!(!call.is_finished(), "the answer is still on its way");
        let said = call.await.unwrap().said();
        assert_eq!((said.status, said.word()), (201, "captured"), "{place:?}: {said:?}");
        assert_eq!(world.psp.seen("POST").len(), 1, "{place:?}");
        world.check(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_33_forged_old_and_foreign_webhooks_change_nothing_and_both_rotated_secrets_are_taken() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        let (order, page) = on_page(&world, "A-1").await;
        pays(&world, &page);
        let told = world.psp.take_events();
        let body = told.last().unwrap().to_string();
        let (body, at) = (body.as_bytes(), now().seconds());
        let refused = |heard: Heard| assert_eq!(heard.status(), Some(400), "{place:?}: {heard:?}");
        refused(world.hook_at(&node.api, body, "whsec_somebody_elses", at).await);
        refused(world.hook_at(&node.api, body, HOOK_SECRET, at - 301).await);
        refused(world.hook_at(&node.api, body, HOOK_SECRET, at + 301).await);
        let path = format!("/hooks/{}", world.connection);
        refused(http::ask(&node.api, "POST", &path, &[], body).await);
        let tampered = String::from_utf8_lossy(body)
            .replace("succeeded", "canceled")
            .into_bytes();
        let header = crate::world::signature(body, HOOK_SECRET, at);
        let headers = [("stripe-signature", header.as_str())];
        if tampered != body {
            refused(http::ask(&node.api, "POST", &path, &headers, &tampered).await);
        }
        let nobody = "/hooks/con_00000000000000000000000000";
        assert_eq!(
            http::ask(&node.api, "POST", nobody, &headers, body).await.status(),
            Some(404)
        );
        assert_eq!(world.number_of("select count(*) from inbox").await, 0, "{place:?}");
        let figures = http::ask(&node.admin, "GET", "/metrics", &[], b"").await.said();
        let figures = figures.body.as_str().unwrap_or_default().to_owned();
        let count = |why: &str| {
            let name = format!("florin_notices_refused_total{{why=\"{why}\"}} ");
            let line = figures.lines().find_map(|line| line.strip_prefix(&name));
            line.unwrap_or_else(|| panic!("no {name} in {figures}")).to_owned()
        };
        assert_eq!(count("unknown"), "1", "{place:?}");
        assert!(count("unproven").parse::<u32>().unwrap() >= 4, "{place:?}");
        let log = std::fs::read_to_string(world.data().join("server.log")).unwrap();
        let lines = log.matches("their signature or their age does not hold").count();
        assert_eq!(lines, 1, "{place:?}: one line a minute");

        // Through another merchant's address it is believed, and is about nobody whom that merchant knows.
        let (_, theirs) = merchant(&node.api, &format!("http://{}", world.psp.address)).await;
        let path = format!("/hooks/{theirs}");
        let taken = http::ask(&node.api, "POST", &path, &headers, body).await;
        assert_eq!(taken.status(), Some(200), "{place:?}");
        // A payment that somebody else made at the same provider.
        let stray = json!({"id": "evt_stray", "object": "event", "type": "payment_intent.succeeded",
            "data": {"object": {"id": "pi_stray", "object": "payment_intent", "metadata": {}}}});
        assert_eq!(world.hook(&stray).await.status(), Some(200), "{place:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let still = world.till.get(&format!("/v1/orders/{order}")).await.said();
        assert_eq!(
            still.word(),
            "requires_action",
            "{place:?}: nothing of this marks anything paid"
        );
        node.stop().await;

        // While the secret is rotated, both are taken; afterwards the new one alone.
        const NEW: &str = "whsec_new_one_of_the_fault_tests";
        let both = Differs::env("FLORIN_SECRET_PSP_HOOK", format!("{NEW},{HOOK_SECRET}"));
        let node = world.start(both).await;
        for (event, secret) in told.iter().zip([HOOK_SECRET, NEW].iter().cycle()) {
            let heard = world.hook_at(&node.api, event.to_string().as_bytes(), secret, at).await;
            assert_eq!(heard.status(), Some(200), "{place:?}: {heard:?}");
        }
        world.until(&order, "captured").await;
        node.stop().await;
        let node = world.start(Differs::env("FLORIN_SECRET_PSP_HOOK", NEW)).await;
        let heard = world.hook_at(&node.api, body, HOOK_SECRET, now().seconds()).await;
        assert_eq!(heard.status(), Some(400), "{place:?}: {heard:?}");
        forget_strays(&world).await;
        world.check(node).await;
    }
}

/// Notices about nobody are kept for a day, in case somebody turns up: the end of this test is earlier.
async fn forget_strays(world: &World) {
    world.change("update inbox set done = 1 where done = 0").await;
}

/// Webhooks of a storm for each that is usual.
const STORM: usize = 50;
/// Who brings them at once.
const BRINGERS: usize = 16;
/// Orders whose webhooks are brought.
const STORMY_SOME: usize = 8;
const STORMY_FULL: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_34_fifty_times_the_usual_webhooks_stop_no_payment() {
    for place in &PLACES[..count(1, PLACES.len())] {
        let (world, node) = World::new(*place).await;
        let orders = count(STORMY_SOME, STORMY_FULL);
        for number in 0..orders {
            let key = format!("paid-{number}");
            world.till.settle(&key, "/v1/orders", &sale(&key, 1000)).await;
        }
        let told: Arc<Vec<Value>> = Arc::new(world.psp.take_events());
        let load = Load::start(&world.till, "meanwhile", 4);
        load.goes_on(10).await;
        let (resident, _) = node.memory_kib();
        let mut storm = tokio::task::JoinSet::new();
        for bringer in 0..BRINGERS {
            let (world, told) = (Arc::clone(&world), Arc::clone(&told));
            storm.spawn(async move {
                let mut statuses = Vec::new();
                for round in 0..told.len() * STORM / BRINGERS {
                    let event = &told[(bringer + round) % told.len()];
                    statuses.push(world.hook(event).await.status());
                }
                statuses
            });
        }
        load.goes_on(10).await; // while it rages
        let raging = !storm.is_empty();
        let statuses: Vec<_> = storm.join_all().await.concat();
        let odd: Vec<_> = statuses
            .iter()
            .filter(|status| !matches!(status, Some(200 | 429 | 503)))
            .collect();
        assert!(odd.is_empty() && raging, "{place:?}: {odd:?}");
        assert!(statuses.contains(&Some(200)));
        load.goes_on(10).await;
        load.stop().await;
        let (_, highest) = node.memory_kib();
        assert!(
            highest <= 2 * resident,
            "{place:?}: {resident} KiB became {highest} KiB"
        );
        world.check(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_35_a_webhook_that_was_written_down_and_never_acknowledged_is_not_forgotten() {
    for place in PLACES {
        let (world, node) = World::with(place, Wires::Good, Differs::default()).await;
        let (order, page) = on_page(&world, "A-1").await;
        node.kill().await;
        let mut doomed = world.start(Differs::dies_at("after_notice", 1)).await;
        pays(&world, &page);
        let told = world.psp.take_events();
        let completed = told.last().unwrap();
        let lost = world.hook(completed).await;
        assert!(matches!(lost, Heard::Lost(_)), "{place:?}: {lost:?}");
        doomed.gone().await;
        let node = world.start(Differs::default()).await;
        // It is not brought again, and it is there all the same.
        world.until(&order, "captured").await;
        let before = events(&world, &order).await;
        // The provider had no answer, so it comes again.
        let courier = Courier::start(&world);
        assert_eq!(world.hook(completed).await.status(), Some(200), "{place:?}");
        world.quiet().await;
        assert_eq!(events(&world, &order).await, before, "{place:?}");
        courier.stop().await;
        world.check(node).await;
    }
}
