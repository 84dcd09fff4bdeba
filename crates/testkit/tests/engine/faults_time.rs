//! Clocks, expiry, stopping and storage: fault tests 5, 8 to 11, 43 to 45 and 50 of `reliability.md`, as far as one process shows them.

use std::sync::Arc;
use std::time::Duration;

use florin_core::order::CaptureAt;
use florin_services::ask::{Denied, State, What};
use florin_services::engine::Settings;
use florin_store::Store;
use florin_store::memory::Mishap;

use crate::server::Fate;
use crate::world::{PLACES, Place, TestClock, World, answered, is, word};

#[tokio::test]
async fn fault_05_a_commit_whose_answer_is_lost_is_looked_up_and_not_repeated() {
    for mishap in [Mishap::LoseAnswer, Mishap::LoseCommit, Mishap::Refuse] {
        let world = World::new(Place::Memory).await;
        let store = Arc::new(world.memory.as_ref().unwrap().another());
        let still = Settings {
            poll: Duration::from_secs(3_600),
            ..Settings::default()
        };
        let engine = world.engine_over(1, Arc::clone(&store) as Arc<dyn Store>, still).await;
        tokio::time::sleep(Duration::from_millis(50)).await; // the first looks at claims and inbox are over
        store.next_fault(mishap);
        let first = engine.ask(world.sale("A-1")).await;
        let sold = match (mishap, first) {
            (Mishap::Refuse, Err(Denied::Unavailable { .. })) => answered(engine.ask(world.sale("A-1")).await),
            (_, answer) => answered(answer),
        };
        assert_eq!((word(&sold.order), sold.state), ("captured", State::Over), "{mishap:?}");
        assert_eq!(world.server.seen("POST").len(), 1, "{mishap:?}");
        world.check().await;
    }
}

#[tokio::test]
async fn fault_05_a_commit_that_is_known_after_its_lease_sends_nothing_before_it_is_claimed_again() {
    let world = World::new(Place::Memory).await;
    let store = Arc::new(world.memory.as_ref().unwrap().another());
    let still = Settings {
        poll: Duration::from_millis(500),
        ..Settings::default()
    };
    let engine = world.engine_over(1, Arc::clone(&store) as Arc<dyn Store>, still).await;
    store.next_fault(Mishap::LoseAnswer);
    store.next_fault(Mishap::Refuse);
    let caller = {
        let (engine, sale) = (Arc::clone(&engine), world.sale("A-1"));
        tokio::spawn(async move { engine.ask(sale).await })
    };
    // The database says nothing for longer than a message may wait for its place.
    let away = tokio::time::Instant::now() + Duration::from_secs(13);
    while tokio::time::Instant::now() < away {
        store.next_fault(Mishap::Refuse);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(world.server.seen("POST").is_empty());
    store.no_more_faults();
    let order = world.only_order().await;
    assert!(
        world
            .until(&engine, order, |view| view.order.version > 2)
            .await
            .order
            .winner()
            .is_none()
    );
    world.clock.pass(6);
    world.until(&engine, order, is("captured")).await;
    assert!(
        world.store_row(order).await.fence > 0,
        "it was claimed before it was sent"
    );
    assert_eq!(world.server.seen("POST").len(), 1);
    drop(caller.await);
    world.check().await;
}

#[tokio::test]
async fn fault_08_nothing_is_acknowledged_after_a_failed_flush() {
    let world = World::new(Place::Memory).await;
    let store = Arc::new(world.memory.as_ref().unwrap().another());
    let engine = world
        .engine_over(1, Arc::clone(&store) as Arc<dyn Store>, Settings::default())
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.next_fault(Mishap::Break);
    for number in 0..3 {
        let result = engine.ask(world.sale(&format!("A-{number}"))).await;
        assert!(matches!(result, Err(Denied::Unavailable { .. })), "{result:?}");
    }
    assert!(engine.health().broken);
    assert!(world.server.seen("").is_empty(), "nothing was sent");
}

#[tokio::test]
async fn fault_09_a_full_disk_refuses_writes_and_answers_reads() {
    let world = World::new(Place::Memory).await;
    let store = Arc::new(world.memory.as_ref().unwrap().another());
    let engine = world
        .engine_over(1, Arc::clone(&store) as Arc<dyn Store>, Settings::default())
        .await;
    let sold = answered(engine.ask(world.sale("A-1")).await);
    store.next_fault(Mishap::Full);
    let refused = engine.ask(world.sale("A-2")).await;
    assert!(matches!(refused, Err(Denied::Full)), "{refused:?}");
    let read = engine.view(world.tenant, sold.order.order.id).await.unwrap();
    assert_eq!(word(&read), "captured");
    assert_eq!(
        word(&answered(engine.ask(world.sale("A-2")).await).order),
        "captured",
        "there is space again"
    );
}

#[tokio::test]
async fn fault_10_more_callers_than_places_are_told_to_come_back() {
    let world = World::new(Place::Memory).await;
    let few = Settings {
        calls_max: 8,
        ..Settings::default()
    };
    let engine = world.engine_with(1, few).await;
    world
        .server
        .next("POST", Fate::Late(Duration::from_millis(300)), u32::MAX);
    let mut calls = Vec::new();
    for number in 0..20 {
        let (engine, ask) = (Arc::clone(&engine), world.sale(&format!("A-{number}")));
        calls.push(tokio::spawn(async move { engine.ask(ask).await }));
    }
    let (mut taken, mut turned_away) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => taken += 1,
            Err(Denied::Busy { retry_after_s }) => turned_away += usize::from(retry_after_s > 0),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((taken, turned_away), (8, 12));
}

#[tokio::test]
async fn fault_11_a_damaged_order_is_frozen_and_the_rest_is_served() {
    let world = World::new(Place::Sqlite).await;
    let engine = world.engine(1).await;
    let ill = answered(engine.ask(world.sale("A-1")).await).order.order.id;
    let well = answered(engine.ask(world.sale("A-2")).await).order.order.id;
    engine.drain().await;
    for damage in [
        "update events set body = replace(body, '1099', '9901') where version > 1 and order_id = ?",
        "update events set postings = replace(postings, '1099', '9901') where order_id = ?",
        "update orders set state = replace(state, '{\"rows\":[1', '{\"rows\":[2') where id = ?",
    ] {
        world.damage(damage, ill);
        let engine = world.engine(1).await;
        assert!(
            matches!(engine.view(world.tenant, ill).await, Err(Denied::Damaged)),
            "{damage}"
        );
        let refund = engine
            .ask(world.ask(
                damage,
                What::Refund {
                    order: ill,
                    amount: None,
                },
            ))
            .await;
        assert!(matches!(refund, Err(Denied::Damaged)), "{damage}: {refund:?}");
        assert_eq!(engine.health().damaged, 1);
        assert_eq!(word(&engine.view(world.tenant, well).await.unwrap()), "captured");
        engine.drain().await;
        world.undo_damage(ill);
    }
    let engine = world.engine(1).await;
    let refund = engine
        .ask(world.ask(
            "well",
            What::Refund {
                order: ill,
                amount: None,
            },
        ))
        .await;
    assert_eq!(word(&answered(refund).order), "refunded", "as it was before");
}

#[tokio::test]
async fn fault_43_a_clock_that_jumps_loses_nothing_and_charges_nobody_twice() {
    let jumps = [3_600, -3_600, 86_400, -86_400, 31 * 86_400];
    for (place, jump_s) in PLACES.into_iter().flat_map(|place| jumps.map(|jump_s| (place, jump_s))) {
        let world = World::new(place).await;
        let engine = world
            .engine_with(
                1,
                Settings {
                    call_wait: Duration::from_millis(300),
                    poll: Duration::from_millis(20),
                    ..Settings::default()
                },
            )
            .await;
        world.server.next("POST", Fate::BreakAfter, 1);
        let order = answered(engine.ask(world.sale("A-1")).await).order.order.id;
        world.clock.pass(jump_s);
        let later = answered(engine.ask(world.sale("A-2")).await);
        assert_eq!(word(&later.order), "captured", "{jump_s}");
        world.clock.pass(jump_s.abs() + 4_000);
        world.until(&engine, order, |view| word(view) != "processing").await;
        let approvals = world.server.provider.lock().unwrap().approvals(order);
        assert_eq!(approvals, 1, "{jump_s}");
        world.check().await;
    }
}

#[tokio::test]
async fn fault_43_a_clock_that_was_ahead_and_is_put_right_leaves_nothing_waiting() {
    for (place, restarted) in PLACES.into_iter().flat_map(|place| [(place, false), (place, true)]) {
        let world = World::new(place).await;
        let quick = Settings {
            call_wait: Duration::from_millis(300),
            poll: Duration::from_millis(20),
            ..Settings::default()
        };
        let mut engine = world.engine_with(1, quick).await;
        world.clock.pass(86_400);
        world.server.next("POST", Fate::BreakAfter, 2); // the copy is lost as well: its next question waits
        let order = answered(engine.ask(world.sale("A-1")).await).order.order.id;
        if restarted {
            engine.drain().await;
        }
        world.clock.pass(-86_400);
        if restarted {
            engine = world.engine_with(1, quick).await;
        }
        // No day passes: what waits for the wrong day is asked about now.
        world.until(&engine, order, is("captured")).await;
        let approvals = world.server.provider.lock().unwrap().approvals(order);
        assert_eq!(approvals, 1, "{place:?} {restarted}");
        world.check().await;
    }
}

#[tokio::test]
async fn fault_44_two_nodes_ten_minutes_apart_make_one_story() {
    let world = World::new(Place::Memory).await;
    let ahead = TestClock::default();
    ahead.pass(600);
    let quick = Settings {
        poll: Duration::from_millis(20),
        ..Settings::default()
    };
    let (first, second) = (
        world.engine_with(1, quick).await,
        world.engine_at(2, world.connect(), quick, ahead).await,
    );
    for number in 0..20 {
        let (one, other) = if number % 2 == 0 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        let order = answered(
            one.ask(world.create(&format!("A-{number}"), 700, CaptureAt::Later, Some("card_visa")))
                .await,
        );
        let order = order.order.order.id;
        let capture = What::Capture {
            order,
            amount: None,
            last: true,
        };
        let captured = answered(other.ask(world.ask(&format!("capture {number}"), capture)).await);
        assert_eq!(word(&captured.order), "captured");
    }
    world.check().await;
}

#[tokio::test]
async fn fault_45_an_expiry_that_was_not_looked_at_for_a_day_happens_once_on_two_nodes() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let mut orders = Vec::new();
        for number in 0..20 {
            let made = engine
                .ask(world.create(&format!("A-{number}"), 500, CaptureAt::Once, None))
                .await;
            orders.push(answered(made).order.order.id);
        }
        engine.halt().await;
        world.clock.pass(2 * 86_400);
        let (first, second) = (world.engine(1).await, world.engine(2).await);
        for order in orders {
            world.until(&first, order, is("expired")).await;
            assert_eq!(word(&second.view(world.tenant, order).await.unwrap()), "expired");
            assert_eq!(world.commits(order).await, 2, "{place:?}: made, expired");
        }
        world.check().await;
    }
}

#[tokio::test]
async fn fault_45_a_page_that_nobody_paid_is_closed_at_the_provider_before_the_order_expires() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let made = world.create("A-1", 500, CaptureAt::Once, Some("hosted"));
    let order = answered(engine.ask(made).await).order.order.id;
    for _ in 0..30 {
        world.clock.pass(3_600);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    world.until(&engine, order, is("expired")).await;
    assert!(world.server.provider.lock().unwrap().open_pages().is_empty());
    world.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_50_a_graceful_stop_under_load_fails_no_acknowledged_payment() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        world
            .server
            .next("POST", Fate::Late(Duration::from_millis(100)), u32::MAX);
        let mut calls = Vec::new();
        for number in 0..60 {
            let (engine, ask) = (Arc::clone(&engine), world.sale(&format!("A-{number}")));
            calls.push(tokio::spawn(async move { engine.ask(ask).await }));
        }
        world.server.arrived("POST", 10).await;
        engine.drain().await;
        let mut done = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(answer) => {
                    assert_eq!(
                        (word(&answer.order), answer.state),
                        ("captured", State::Over),
                        "{place:?}"
                    );
                    done += 1;
                }
                Err(Denied::Unavailable { .. }) => {} // came after the door was shut: nothing happened
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(done >= 10);
        assert_eq!(world.all_orders().await.len(), done, "{place:?}");
        let late = engine.ask(world.sale("late")).await;
        assert!(matches!(late, Err(Denied::Unavailable { .. })));
        world.check().await;
    }
}
