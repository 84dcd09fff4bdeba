//! Webhooks of the provider: fault tests 29 to 35 and 39 of `reliability.md`, as far as one process shows them.

use std::sync::Arc;
use std::time::Duration;

use florin_core::id::{Key, OrderId};
use florin_core::order::{CaptureAt, StepName};
use florin_core::rail::{About, Item, Notice};
use florin_services::ask::What;
use florin_services::engine::{Engine, Settings, Unproven};
use florin_store::{Batch, NoticeId, NoticeRow, Outcome, Store};

use crate::server::Fate;
use crate::world::{HOOK_SECRET, PLACES, Place, World, answered, eur, is, word};

/// An order whose payer has paid on the provider's page, and the webhooks about it, not delivered.
async fn paid_on_page(world: &World, engine: &Engine) -> (OrderId, Vec<serde_json::Value>) {
    let made = world.create("A-1", 2500, CaptureAt::Once, Some("hosted"));
    let order = answered(engine.ask(made).await).order.order.id;
    let page = world.server.provider.lock().unwrap().open_pages().pop().unwrap();
    assert!(
        world
            .server
            .provider
            .lock()
            .unwrap()
            .pay(&page, "card_visa", world.clock_now())
    );
    (order, world.events())
}

async fn nothing_left_in_the_inbox(world: &World) {
    for _ in 0..400 {
        if world.store.inbox(10).await.unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", world.store.inbox(10).await.unwrap());
}

#[tokio::test]
async fn fault_29_a_webhook_that_comes_five_times_is_booked_once() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let (order, events) = paid_on_page(&world, &engine).await;
        for _ in 0..5 {
            assert_eq!(world.deliver(&engine, &events).await, events.len());
        }
        world.until(&engine, order, is("captured")).await;
        nothing_left_in_the_inbox(&world).await;
        assert_eq!(world.commits(order).await, 3, "{place:?}");
        world.check().await;
    }
}

#[tokio::test]
async fn fault_30_webhooks_in_the_wrong_order_come_to_the_same_end() {
    for backwards in [false, true] {
        let world = World::new(Place::Memory).await;
        let engine = world.engine(1).await;
        let made = world.create("A-1", 5000, CaptureAt::Later, Some("hosted"));
        let order = answered(engine.ask(made).await).order.order.id;
        let page = world.server.provider.lock().unwrap().open_pages().pop().unwrap();
        world
            .server
            .provider
            .lock()
            .unwrap()
            .pay(&page, "card_visa", world.clock_now());
        let mut events = world.events();
        // Captured and refunded at the provider's console, before we heard of the hold.
        {
            let mut provider = world.server.provider.lock().unwrap();
            let intent = provider.intents()[0].0.clone();
            let capture = florin_testkit::provider::Asked {
                method: "POST".into(),
                path: format!("/v1/payment_intents/{intent}/capture"),
                key: None,
                form: Vec::new(),
            };
            assert_eq!(provider.ask(&capture, world.clock_now()).status, 200);
            assert!(provider.console_refund(&intent, 1200, world.clock_now()));
        }
        events.extend(world.events());
        if backwards {
            events.reverse();
        }
        world.name_refs(order).await;
        for event in &events {
            assert_eq!(world.deliver(&engine, std::slice::from_ref(event)).await, 1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let view = world.until(&engine, order, is("partially_refunded")).await;
        assert_eq!(
            florin_core::status::amounts(&view.order).refunded,
            eur(1200),
            "backwards: {backwards}"
        );
        world.name_refs(order).await; // the reader has caught up
        world.clock.pass(200);
        nothing_left_in_the_inbox(&world).await;
        world.check().await;
    }
}

/// Notices about a step of this order, as another node wrote them down some time ago.
async fn write_down(world: &World, order: OrderId, count: usize, ago_s: i64) {
    let at = world.clock_now().plus_seconds(-ago_s);
    let row = |number: usize| {
        let item = Item {
            id: format!("evt_old_{number}"),
            about: About::Key(Key::new(order, StepName::authorize(1))),
            kind: "charge.succeeded".into(),
            facts: Default::default(),
        };
        NoticeRow {
            id: NoticeId {
                connection: world.connection,
                id: item.id.clone(),
            },
            tenant: world.tenant,
            item: serde_json::to_string(&item).unwrap(),
            received_at: at,
            due: at,
        }
    };
    let batch = Batch {
        notices: (0..count).map(row).collect(),
        ..Batch::default()
    };
    assert_eq!(world.store.commit(&batch).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn fault_31_notices_that_cannot_be_told_do_not_stand_in_front_of_others() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let stuck = answered(engine.ask(world.sale("stuck")).await).order.order.id;
    drop(world.events());
    engine.record_damaged(stuck, "a bit is flipped");
    write_down(&world, stuck, 1_200, 60).await;
    let (order, events) = paid_on_page(&world, &engine).await;
    assert_eq!(world.deliver(&engine, &events).await, events.len());
    // Long before the page's plan asks by itself.
    let told = async {
        while world.store.inbox(10_000).await.unwrap().len() > 1_200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
    assert_eq!(word(&engine.view(world.tenant, order).await.unwrap()), "captured");
}

#[tokio::test]
async fn fault_31_a_notice_is_told_once_however_old_it_is() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let (order, _lost) = paid_on_page(&world, &engine).await;
    write_down(&world, order, 1, 100 * 3_600).await;
    let told = world.until(&engine, order, is("captured"));
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
    nothing_left_in_the_inbox(&world).await;
}

#[tokio::test]
async fn fault_31_what_no_webhook_ever_reported_is_found_by_asking() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let (order, _lost) = paid_on_page(&world, &engine).await;
        world.clock.pass(16); // the first question of the page's plan
        world.until(&engine, order, is("captured")).await;
        world.check().await;
    }
}

#[tokio::test]
async fn fault_32_a_webhook_before_the_answer_waits_for_it() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        world
            .server
            .next("POST /v1/payment_intents", Fate::Late(Duration::from_millis(300)), 1);
        let (asking, ask) = (Arc::clone(&engine), world.sale("A-1"));
        let call = tokio::spawn(async move { asking.ask(ask).await });
        world.server.arrived("POST", 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let events = world.events();
        assert!(!events.is_empty(), "the provider reports what it has not answered");
        assert_eq!(world.deliver(&engine, &events).await, events.len());
        let sold = answered(call.await.unwrap());
        assert_eq!(word(&sold.order), "captured");
        nothing_left_in_the_inbox(&world).await;
        assert_eq!(world.commits(sold.order.order.id).await, 2, "{place:?}");
        world.check().await;
    }
}

#[tokio::test]
async fn fault_33_a_forged_old_or_foreign_webhook_changes_nothing() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let (order, events) = paid_on_page(&world, &engine).await;
    let body = events[0].to_string();
    let now = world.clock_now();
    let refused = [
        ("forged", world.signed(&body, "whsec_other", now)),
        ("too old", world.signed(&body, HOOK_SECRET, now.plus_seconds(-301))),
        (
            "from the future",
            world.signed(&body, HOOK_SECRET, now.plus_seconds(330)), // and still so when this test was held up for a while
        ),
        (
            "unsigned",
            Notice {
                headers: Default::default(),
                body: body.clone().into_bytes(),
            },
        ),
        (
            "changed",
            Notice {
                body: b"{}".to_vec(),
                ..world.signed(&body, HOOK_SECRET, now)
            },
        ),
    ];
    for (name, notice) in refused {
        let result = engine.notice(world.connection, notice).await;
        assert!(matches!(result, Err(Unproven::Refused)), "{name}: {result:?}");
    }
    let unknown = florin_core::id::ConnectionId::from_uuid(uuid::Uuid::nil());
    let result = engine.notice(unknown, world.signed(&body, HOOK_SECRET, now)).await;
    assert!(matches!(result, Err(Unproven::Unknown)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let view = engine.view(world.tenant, order).await.unwrap();
    assert_eq!(word(&view), "requires_action");
    // Another merchant's connection that carries our key says nothing about our order.
    let foreign = world.foreign_connection().await;
    engine.directory().refresh().await.unwrap();
    engine
        .notice(foreign, world.signed(&body, HOOK_SECRET, now))
        .await
        .unwrap();
    nothing_left_in_the_inbox(&world).await;
    assert_eq!(world.commits(order).await, 2);
}

#[tokio::test]
async fn fault_33_old_and_new_secret_are_taken_while_one_is_rotated() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let (order, events) = paid_on_page(&world, &engine).await;
    let secret = |text: &str| florin_core::secret::Secret::new(text.to_owned());
    let values = |hook: &[&str]| {
        let hooks = hook.iter().map(|value| secret(value)).collect();
        [
            ("stripe_key".to_owned(), vec![secret("sk")]),
            ("stripe_hook".to_owned(), hooks),
        ]
        .into()
    };
    let deliver = |with: &'static str| {
        let notice = world.signed(&events[0].to_string(), with, world.clock_now());
        engine.notice(world.connection, notice)
    };
    engine.keyring().replace(values(&["whsec_new", HOOK_SECRET]));
    assert!(deliver(HOOK_SECRET).await.is_ok() && deliver("whsec_new").await.is_ok());
    engine.keyring().replace(values(&["whsec_new"]));
    assert!(deliver(HOOK_SECRET).await.is_err() && deliver("whsec_new").await.is_ok());
    world.until(&engine, order, is("captured")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_34_a_storm_of_webhooks_does_not_stop_payments() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let (order, events) = paid_on_page(&world, &engine).await;
    let mut storm = Vec::new();
    for number in 0..500 {
        let mut event = events[number % events.len()].clone();
        event["id"] = format!("evt_storm_{number}").into();
        let notice = world.signed(&event.to_string(), HOOK_SECRET, world.clock_now());
        let (engine, connection) = (Arc::clone(&engine), world.connection);
        storm.push(tokio::spawn(async move { engine.notice(connection, notice).await }));
    }
    let sold = answered(engine.ask(world.sale("B-1")).await);
    assert_eq!(word(&sold.order), "captured");
    for notice in storm {
        notice.await.unwrap().unwrap();
    }
    world.until(&engine, order, is("captured")).await;
    assert_eq!(world.commits(order).await, 3);
}

#[tokio::test]
async fn fault_35_a_node_that_dies_with_a_webhook_written_down_is_followed_by_one_that_tells_it() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let (order, events) = paid_on_page(&world, &engine).await;
    // Written down and acknowledged; the look that it asks for never happens.
    let allowed = Arc::new(tokio::sync::Notify::new());
    world.server.next("GET", Fate::Hold(Arc::clone(&allowed)), 1);
    world.deliver(&engine, &events[..1]).await;
    world.server.arrived("GET", 1).await;
    engine.halt().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let next = world.engine(1).await;
    world.until(&next, order, is("captured")).await;
    nothing_left_in_the_inbox(&world).await;
    world.check().await;
}

#[tokio::test]
async fn fault_35_a_webhook_that_was_not_written_down_is_not_acknowledged() {
    let world = World::new(Place::Memory).await;
    let (order, events) = {
        let engine = world.engine(1).await;
        let paid = paid_on_page(&world, &engine).await;
        engine.halt().await;
        paid
    };
    let refusing = Arc::new(world.memory.as_ref().unwrap().another());
    let engine = world
        .engine_over(1, Arc::clone(&refusing) as Arc<dyn Store>, Settings::default())
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for mishap in [florin_store::memory::Mishap::Full, florin_store::memory::Mishap::Full] {
        refusing.next_fault(mishap);
    }
    let notice = || {
        engine.notice(
            world.connection,
            world.signed(&events[0].to_string(), HOOK_SECRET, world.clock_now()),
        )
    };
    assert!(matches!(notice().await, Err(Unproven::Denied(_))));
    while notice().await.is_err() {} // the provider sends it again
    world.until(&engine, order, is("captured")).await;
}

#[tokio::test]
async fn fault_39_a_notice_about_nobody_is_put_aside_and_the_rest_flows() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let (order, events) = paid_on_page(&world, &engine).await;
    let strangers = [
        serde_json::json!({"id": "evt_x1", "type": "payment_intent.succeeded",
            "data": {"object": {"object": "payment_intent", "id": "pi_of_somebody_else"}}}),
        serde_json::json!({"id": "evt_x2", "type": "invoice.paid", "data": {"object": {"object": "invoice", "id": "in_1"}}}),
    ];
    assert_eq!(world.deliver(&engine, &strangers).await, 2);
    assert_eq!(world.deliver(&engine, &events).await, events.len());
    world.until(&engine, order, is("captured")).await;
    // The order may be captured by the first of its notices; the others are told right after.
    let mut waiting = world.store.inbox(10).await.unwrap();
    for _ in 0..500 {
        if waiting.len() <= 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        waiting = world.store.inbox(10).await.unwrap();
    }
    assert!(
        waiting.len() <= 1,
        "only the one whose order may still turn up waits: {waiting:?}"
    );
    world.clock.pass(25 * 3_600);
    nothing_left_in_the_inbox(&world).await;
}

#[tokio::test]
async fn a_part_that_is_captured_at_the_console_ends_the_hold() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let hold = world.create("A-1", 1099, CaptureAt::Later, Some("card_visa"));
    let held = answered(engine.ask(hold).await);
    assert_eq!(word(&held.order), "authorized");
    {
        let mut provider = world.server.provider.lock().unwrap();
        let (intent, _) = provider.intents().remove(0);
        assert!(provider.console_capture(&intent, 600, world.clock_now()));
    }
    world.deliver(&engine, &world.events()).await;
    let captured = world.until(&engine, held.order.order.id, is("captured")).await;
    let amounts = florin_core::status::amounts(&captured.order);
    assert_eq!((amounts.captured, amounts.capturable), (eur(600), eur(0)));
    world.check().await;
}

#[tokio::test]
async fn a_refund_that_the_bank_sends_back_is_refundable_again() {
    let world = World::new(Place::Memory).await;
    let engine = world
        .engine_with(
            1,
            Settings {
                call_wait: Duration::from_millis(200),
                poll: Duration::from_millis(20),
                ..Settings::default()
            },
        )
        .await;
    let order = answered(engine.ask(world.sale("A-1")).await).order.order.id;
    world.server.provider.lock().unwrap().refunds_pend = true;
    world.events();
    let refund = What::Refund {
        order,
        amount: Some(eur(500)),
    };
    let pending = answered(engine.ask(world.ask("refund", refund)).await);
    assert_eq!(
        florin_core::status::amounts(&pending.order.order).refund_pending,
        eur(500)
    );
    world
        .server
        .provider
        .lock()
        .unwrap()
        .settle_refunds(true, world.clock_now());
    let events = world.events();
    world.deliver(&engine, &events).await;
    let free = |view: &florin_services::view::View| florin_core::status::amounts(&view.order).refundable == eur(1099);
    world.until(&engine, order, free).await;
    world.check().await;
}
