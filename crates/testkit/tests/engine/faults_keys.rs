//! Idempotency and races: fault tests 13 to 21 of `reliability.md`, as far as one process shows them.

use std::sync::Arc;
use std::time::Duration;

use florin_core::ledger::Account;
use florin_core::money::Currency;
use florin_core::order::CaptureAt;
use florin_services::ask::{Answered, Denied, State, What};
use florin_services::directory::Connection;
use florin_services::engine::{Engine, Settings};
use florin_store::{IdemKey, Mode, Store, Tenant};
use florin_testkit::check;

use crate::server::Fate;
use crate::stopping::Stopping;
use crate::world::{PLACES, Place, World, answered, eur, is, key, word};

/// Everybody asks for the same sale at once. Each is answered with it, at once or when it runs.
async fn crowd(world: &World, engines: &[Arc<Engine>], callers: usize) -> Vec<Answered> {
    let mut calls = Vec::new();
    for number in 0..callers {
        let engine = Arc::clone(&engines[number % engines.len()]);
        let ask = world.sale("A-1");
        calls.push(tokio::spawn(async move { engine.ask(ask).await }));
    }
    let mut answers = Vec::new();
    for call in calls {
        answers.push(answered(call.await.unwrap()));
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_13_sixty_four_callers_with_one_key_make_one_payment() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let answers = crowd(&world, &[Arc::clone(&engine)], 64).await;
        let first = &answers[0].order.order;
        assert!(answers.iter().all(|answer| answer.order.order.id == first.id));
        let settled = answered(engine.ask(world.sale("A-1")).await);
        for over in answers.iter().filter(|answer| answer.state == State::Over) {
            assert_eq!(over.order.order, settled.order.order, "{place:?}");
        }
        assert_eq!(world.server.seen("POST").len(), 1, "{place:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_14_one_key_on_two_nodes_makes_one_payment() {
    for place in PLACES {
        let world = World::new(place).await;
        let engines = [world.engine(1).await, world.engine(2).await];
        let answers = crowd(&world, &engines, 64).await;
        let order = answers[0].order.order.id;
        assert!(answers.iter().all(|answer| answer.order.order.id == order));
        world.until(&engines[0], order, is("captured")).await;
        for engine in &engines {
            let again = answered(engine.ask(world.sale("A-1")).await);
            assert_eq!((again.state, word(&again.order)), (State::Over, "captured"));
        }
        let provider = world.server.provider.lock().unwrap();
        assert_eq!(provider.approvals(order), 1, "{place:?}");
        assert_eq!(provider.stands(order)[&1].taken, 1099);
    }
}

#[tokio::test]
async fn fault_15_a_key_with_another_body_does_nothing_and_another_merchant_is_another_world() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let sold = answered(engine.ask(world.sale("A-1")).await);
        let mut other = world.create("A-2", 5, CaptureAt::Once, Some("card_visa"));
        other.key = world.sale("A-1").key.map(|key| IdemKey { hash: [9; 32], ..key });
        assert!(
            matches!(engine.ask(other.clone()).await, Err(Denied::KeyReused)),
            "{place:?}"
        );
        // Of a later call as well: the key made an order.
        let refund = What::Refund {
            order: sold.order.order.id,
            amount: None,
        };
        let mut reused = world.ask("create A-1", refund);
        reused.key = other.key.clone();
        assert!(matches!(engine.ask(reused).await, Err(Denied::KeyReused)), "{place:?}");
        assert_eq!(world.server.seen("POST").len(), 1);

        let merchant = world
            .directory
            .create_merchant("Next door", None)
            .await
            .unwrap()
            .document;
        let tenant = Tenant {
            merchant: merchant.id,
            mode: Mode::Test,
        };
        let mut theirs = world.create("A-1", 700, CaptureAt::Once, None);
        theirs.tenant = tenant;
        let made = answered(engine.ask(theirs).await);
        assert_ne!(made.order.order.id, sold.order.order.id);
        let mut peek = world.ask(
            "peek",
            What::Cancel {
                order: made.order.order.id,
            },
        );
        peek.tenant = world.tenant;
        assert!(
            matches!(engine.ask(peek).await, Err(Denied::NotFound)),
            "nobody else's orders"
        );
    }
}

#[tokio::test]
async fn fault_15_a_taken_reference_names_its_order() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let sold = answered(engine.ask(world.sale("A-1")).await);
        let mut other = world.sale("A-1");
        other.key = Some(key("a new key"));
        match engine.ask(other).await {
            Err(Denied::ReferenceTaken { order }) => assert_eq!(order, sold.order.order.id),
            other => panic!("{other:?}"),
        }
        assert_eq!(world.server.seen("POST").len(), 1);
    }
}

/// A node dies after its `commits`-th commit; the next one goes on.
async fn killed_after(commits: i64) {
    let world = World::new(Place::Memory).await;
    let store = Stopping::after(Arc::clone(&world.store), commits);
    let doomed = world
        .engine_over(1, Arc::clone(&store) as Arc<dyn Store>, Settings::default())
        .await;
    let (engine, ask) = (Arc::clone(&doomed), world.sale("A-1"));
    let call = tokio::spawn(async move { engine.ask(ask).await });
    store.stopped.notified().await;
    doomed.halt().await;
    call.abort();
    let sent_before: Vec<_> = world
        .server
        .seen("POST")
        .into_iter()
        .map(|seen| seen.asked.key)
        .collect();
    assert_eq!(
        sent_before.len(),
        usize::from(commits > 1),
        "nothing is sent before it is durable"
    );

    tokio::time::sleep(Duration::from_millis(20)).await; // nobody starts again within a tick of the database's clock
    let next = world.engine(1).await;
    let mut first = answered(next.ask(world.sale("A-1")).await);
    let order = first.order.order.id;
    if first.state == State::Running {
        world.until(&next, order, is("captured")).await;
        first = answered(next.ask(world.sale("A-1")).await);
    }
    assert_eq!((word(&first.order), first.state), ("captured", State::Over));
    let sent: Vec<_> = world
        .server
        .seen("POST")
        .into_iter()
        .map(|seen| seen.asked.key)
        .collect();
    assert!(
        sent.iter().all(|key| key == &sent[0] && key.is_some()),
        "the provider sees the same key"
    );
    assert_eq!(world.server.provider.lock().unwrap().stands(order)[&1].taken, 1099);
}

#[tokio::test]
async fn fault_16_a_node_killed_between_written_and_sent_is_followed_by_one_that_sends_the_same_key() {
    killed_after(1).await;
}

#[tokio::test]
async fn fault_16_a_node_killed_before_it_said_that_it_is_paid_charges_nobody_again() {
    killed_after(2).await;
}

#[tokio::test]
async fn fault_16_a_node_killed_while_its_message_is_out_is_followed_by_one_that_sends_the_same_key() {
    let world = World::new(Place::Memory).await;
    let doomed = world.engine(1).await;
    let allowed = Arc::new(tokio::sync::Notify::new());
    world
        .server
        .next("POST /v1/payment_intents", Fate::Hold(Arc::clone(&allowed)), 1);
    let (engine, ask) = (Arc::clone(&doomed), world.sale("A-1"));
    let call = tokio::spawn(async move { engine.ask(ask).await });
    world.server.arrived("POST /v1/payment_intents", 1).await;
    doomed.halt().await;
    call.abort();
    world.clock.pass(1); // a life that begins in the millisecond of the last one's lease is no later one
    let next = world.engine(1).await;
    let order = answered(next.ask(world.sale("A-1")).await).order.order.id;
    world.until(&next, order, is("captured")).await;
    allowed.notify_one(); // the first copy arrives after all
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.server.provider.lock().unwrap().approvals(order), 1);
}

#[tokio::test]
async fn fault_17_a_node_that_slept_through_its_lease_has_no_second_effect() {
    let world = World::new(Place::Memory).await;
    let sleepy = Settings {
        poll: Duration::from_secs(3_600), // a node that is paused claims nothing
        ..Settings::default()
    };
    let (asleep, awake) = (world.engine_with(1, sleepy).await, world.engine(2).await);
    let allowed = Arc::new(tokio::sync::Notify::new());
    world
        .server
        .next("POST /v1/payment_intents", Fate::Hold(Arc::clone(&allowed)), 1);
    let (engine, ask) = (Arc::clone(&asleep), world.sale("A-1"));
    let call = tokio::spawn(async move { engine.ask(ask).await });
    world.server.arrived("POST /v1/payment_intents", 1).await;
    let order = world.only_order().await;
    let before = world.store_row(order).await.fence;
    world.clock.pass(31); // the lease is over
    let taken = world.until(&awake, order, is("captured")).await;
    assert!(
        world.store_row(order).await.fence > before,
        "the takeover raised the fence"
    );
    allowed.notify_one(); // the first node wakes up with its own answer
    let answer = answered(call.await.unwrap());
    assert_eq!(answer.order.order.id, order);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let view = awake.view(world.tenant, order).await.unwrap();
    assert_eq!(view.order, taken.order, "nothing changed");
    let provider = world.server.provider.lock().unwrap();
    assert_eq!((provider.approvals(order), provider.stands(order)[&1].taken), (1, 1099));
}

#[tokio::test]
async fn fault_18_a_caller_that_hung_up_finds_its_payment_under_its_key() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        world.server.next("POST", Fate::Late(Duration::from_millis(200)), 1);
        let hung_up = tokio::time::timeout(Duration::from_millis(50), engine.ask(world.sale("A-1"))).await;
        assert!(hung_up.is_err());
        let running = answered(engine.ask(world.sale("A-1")).await);
        assert_eq!((running.state, running.replayed), (State::Running, true));
        let order = running.order.order.id;
        world.until(&engine, order, is("captured")).await;
        let over = answered(engine.ask(world.sale("A-1")).await);
        assert_eq!(
            (over.state, over.replayed, word(&over.order)),
            (State::Over, true, "captured")
        );
        assert_eq!(world.server.seen("POST").len(), 1);
    }
}

#[tokio::test]
async fn fault_18_a_repeat_is_answered_although_its_connection_was_switched_off_meanwhile() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let first = answered(engine.ask(world.sale("A-1")).await);
    let id = world.connection.to_string();
    let changed = engine
        .directory()
        .change::<Connection>(Some(world.tenant), &id, |connection| connection.enabled = false)
        .await;
    changed.unwrap();
    let again = answered(engine.ask(world.sale("A-1")).await);
    assert_eq!((again.replayed, &again.order.order), (true, &first.order.order));
    let new = engine.ask(world.sale("A-2")).await;
    assert!(
        matches!(
            new,
            Err(Denied::Misuse {
                param: "connection",
                ..
            })
        ),
        "{new:?}"
    );
    let mut other = world.sale("A-1");
    other.key = Some(IdemKey {
        hash: [9; 32],
        ..key("create A-1")
    });
    let other = engine.ask(other).await;
    assert!(matches!(other, Err(Denied::KeyReused)), "{other:?}");
}

#[tokio::test]
async fn fault_18_a_caller_whose_step_takes_too_long_is_answered_with_the_order_as_it_stands() {
    let world = World::new(Place::Memory).await;
    let settings = Settings {
        call_wait: Duration::from_millis(50),
        ..Settings::default()
    };
    let engine = world.engine_with(1, settings).await;
    world.server.next("POST", Fate::Late(Duration::from_millis(300)), 1);
    let running = answered(engine.ask(world.sale("A-1")).await);
    assert_eq!((running.state, word(&running.order)), (State::Running, "processing"));
    world.until(&engine, running.order.order.id, is("captured")).await;
}

#[tokio::test]
async fn fault_19_two_refunds_two_captures_capture_and_void_never_move_more_than_there_is() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let sold = answered(engine.ask(world.sale("A-1")).await).order.order.id;
        let refund = |number: u32| {
            let what = What::Refund {
                order: sold,
                amount: Some(eur(700)),
            };
            engine.ask(world.ask(&format!("refund {number}"), what))
        };
        let (first, second) = tokio::join!(refund(1), refund(2));
        assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1, "{place:?}");

        let held = world.create("A-2", 1000, CaptureAt::Later, Some("card_visa"));
        let held = answered(engine.ask(held).await).order.order.id;
        let capture = |number: u32| {
            let what = What::Capture {
                order: held,
                amount: None,
                last: true,
            };
            engine.ask(world.ask(&format!("capture {number}"), what))
        };
        let void = engine.ask(world.ask("void", What::Void { order: held }));
        let (one, two, void) = tokio::join!(capture(1), capture(2), void);
        let done = [one.is_ok(), two.is_ok(), void.is_ok()]
            .into_iter()
            .filter(|done| *done)
            .count();
        assert_eq!(done, 1, "{place:?}");
        let provider = world.server.provider.lock().unwrap();
        assert_eq!(provider.stands(sold)[&1].back, 700);
        assert_eq!(provider.stands(held)[&1].taken, 1000);
    }
}

#[tokio::test]
async fn fault_19_a_refund_beside_a_chargeback_is_refused_by_whoever_is_slower() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let order = answered(engine.ask(world.sale("A-1")).await).order.order.id;
    world.events();
    let intent = world.server.provider.lock().unwrap().intents()[0].0.clone();
    world
        .server
        .provider
        .lock()
        .unwrap()
        .dispute(&intent, world.clock_now())
        .unwrap();
    let events = world.events();
    world.name_refs(order).await;
    world.deliver(&engine, &events).await;
    world
        .until(&engine, order, |view| {
            florin_core::status::dispute_status(&view.order).is_some()
        })
        .await;
    let refund = What::Refund { order, amount: None };
    assert!(matches!(
        engine.ask(world.ask("refund", refund)).await,
        Err(Denied::Refused { .. })
    ));
    let stands = world.server.provider.lock().unwrap().stands(order)[&1];
    assert_eq!((stands.back, stands.disputed), (0, 1099));
}

#[tokio::test]
async fn fault_21_a_declined_key_stays_declined_when_the_funds_arrive() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let poor = || {
        world.create(
            "A-1",
            900,
            CaptureAt::Once,
            Some("card_visa_chargeDeclinedInsufficientFunds"),
        )
    };
    let declined = answered(engine.ask(poor()).await);
    assert_eq!(word(&declined.order), "created");
    let order = declined.order.order.id;
    let rich = What::Confirm {
        order,
        pay: world.pay("card_visa"),
    };
    assert_eq!(
        word(&answered(engine.ask(world.ask("rich", rich)).await).order),
        "captured"
    );
    let again = answered(engine.ask(poor()).await);
    assert_eq!(again.order.order, declined.order.order, "the answer that it had");
}

#[tokio::test]
async fn fault_21_a_refusal_by_the_rules_is_kept_under_its_key() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let held = world.create("A-1", 1000, CaptureAt::Later, None);
        let order = answered(engine.ask(held).await).order.order.id;
        let capture = || {
            let what = What::Capture {
                order,
                amount: None,
                last: true,
            };
            engine.ask(world.ask("capture", what))
        };
        let refused = |result: Result<Answered, Denied>| match result {
            Err(Denied::Refused {
                refusal,
                order,
                replayed,
            }) => (refusal, order.order.version, replayed),
            other => panic!("{other:?}"),
        };
        let first = refused(capture().await);
        let pay = What::Confirm {
            order,
            pay: world.pay("card_visa"),
        };
        assert_eq!(
            word(&answered(engine.ask(world.ask("pay", pay)).await).order),
            "authorized"
        );
        let again = refused(capture().await);
        assert_eq!((&again.0, again.1, again.2), (&first.0, first.1, true), "{place:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_many_sales_at_once_leave_exact_books() {
    const SALES: usize = 300;
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let mut calls = Vec::new();
        for number in 0..SALES {
            let (engine, ask) = (Arc::clone(&engine), world.sale(&format!("A-{number}")));
            calls.push(tokio::spawn(async move { engine.ask(ask).await }));
        }
        for call in calls {
            assert_eq!(word(&answered(call.await.unwrap()).order), "captured");
        }
        world.check().await;
        let off: Vec<_> = world
            .all_events()
            .await
            .iter()
            .map(|row| check::postings_of(row).unwrap())
            .collect();
        let books: florin_core::ledger::Balances = off.iter().flatten().collect();
        let merchant = books.account(Account::Merchant, Currency::EUR);
        let fees = (25 + 1099 / 100) * SALES as i128;
        assert_eq!(merchant.posted(), fees - SALES as i128 * 1099, "{place:?}");
        assert!(books.off_by().is_empty());
        let health = engine.health();
        assert_eq!((health.calls, health.queued), (0, 0), "{place:?}");
    }
}
