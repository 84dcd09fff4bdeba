//! Databases that nothing was done to: nothing is found, at rest and while orders move.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use florin_core::order::CaptureAt;
use florin_sandbox::faults::{Kind, Target};
use florin_services::ask::What;

use crate::world::{PLACES, World, answered, eur, word};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_every_kind_have_no_findings_on_any_database() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine().await;
        world.sale(&engine, "sold").await;
        let held = answered(
            engine
                .ask(world.create("held", 5_000, CaptureAt::Later, Some("card_visa")))
                .await,
        );
        assert_eq!(word(&held.order), "authorized");
        let order = held.order.order.id;
        let capture = What::Capture {
            order,
            amount: Some(eur(3_000)),
            last: true,
        };
        answered(engine.ask(world.ask("capture", capture)).await);
        let refund = What::Refund {
            order,
            amount: Some(eur(1_000)),
        };
        answered(engine.ask(world.ask("refund", refund)).await);
        let declined = "card_visa_chargeDeclined";
        let declined = answered(
            engine
                .ask(world.create("declined", 700, CaptureAt::Once, Some(declined)))
                .await,
        );
        let confirm = What::Confirm {
            order: declined.order.order.id,
            pay: world.pay("card_visa"),
        };
        assert_eq!(
            word(&answered(engine.ask(world.ask("again", confirm)).await).order),
            "captured"
        );
        let given_back = answered(
            engine
                .ask(world.create("void", 900, CaptureAt::Later, Some("card_visa")))
                .await,
        );
        let order = given_back.order.order.id;
        answered(engine.ask(world.ask("void", What::Void { order })).await);
        answered(engine.ask(world.create("waits", 100, CaptureAt::Once, None)).await);

        let before = world.is_clean().await;
        world.fold().await;
        let (findings, summary) = world.audit().await;
        assert_eq!(findings, [], "{place:?}");
        assert_eq!((summary.orders, before.moving), (5, 0), "{place:?}");
        assert!(summary.event_rows >= 12 && summary.postings >= 9, "{summary:?}");
        assert_eq!(world.is_clean().await.theirs, 5);
        engine.halt().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uncertain_payment_is_no_breach_while_it_is_uncertain_and_none_when_it_is_known() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine().await;
        world.next(Target::Authorize, Kind::TimeoutAfter, 1);
        world.next(Target::Read, Kind::Status500, 1_000);
        let asked = {
            let (engine, ask) = (
                Arc::clone(&engine),
                world.create("A-1", 1_099, CaptureAt::Once, Some("card_visa")),
            );
            tokio::spawn(async move { engine.ask(ask).await })
        };
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        let order = loop {
            let rows = world.store.orders_after(None, 1).await.unwrap();
            if let Some(row) = rows.first()
                && world.is_uncertain(row.id).await
            {
                break row.id;
            }
            assert!(tokio::time::Instant::now() < deadline, "it never became uncertain");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        world.fold().await;
        let compared = world.is_clean().await;
        assert_eq!((compared.attempts, compared.moving), (0, 1), "{place:?}");
        world.faults.clear();
        world.rest().await;
        world.until(&engine, order, |view| word(view) == "captured").await;
        asked.abort();
        world.fold().await;
        assert_eq!(world.is_clean().await.attempts, 1);
        engine.halt().await;
    }
}

/// Audits beside moving orders, a database, at least.
const AUDITS: u32 = 3;
/// Sales that go on beside them, at least: on a busy machine three audits may be over before the fifth sale.
const SOLD_MIN: u32 = 8;
/// Sales of one shopper: each audit reads all of them again.
const SALES_MAX: u32 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_move_during_the_audit_are_not_found_to_be_wrong() {
    for place in PLACES {
        let world = Arc::new(World::new(place).await);
        let engine = world.engine().await;
        let over = Arc::new(AtomicBool::new(false));
        let sold = Arc::new(AtomicU32::new(0));
        let shoppers: Vec<_> = (0..4)
            .map(|shopper| {
                let (world, engine) = (Arc::clone(&world), Arc::clone(&engine));
                let (over, sold) = (Arc::clone(&over), Arc::clone(&sold));
                tokio::spawn(async move {
                    let mut number = 0;
                    while number < SALES_MAX && !over.load(Ordering::Relaxed) {
                        number += 1;
                        let order = world.sale(&engine, &format!("{shopper}-{number}")).await;
                        let refund = What::Refund {
                            order,
                            amount: Some(eur(100)),
                        };
                        let _ = engine
                            .ask(world.ask(&format!("refund {shopper}-{number}"), refund))
                            .await;
                        sold.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut audits = 0;
        while audits < AUDITS || sold.load(Ordering::Relaxed) < SOLD_MIN {
            audits += 1;
            let (findings, _) = world.witnessed().await;
            assert_eq!(findings, [], "{place:?}");
            world.fold().await;
        }
        over.store(true, Ordering::Relaxed);
        for shopper in shoppers {
            shopper.await.unwrap();
        }
        world.rest().await;
        world.fold().await;
        assert!(world.is_clean().await.attempts >= SOLD_MIN.into());
        engine.halt().await;
    }
}
