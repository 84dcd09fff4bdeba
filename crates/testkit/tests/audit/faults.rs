//! Trouble at the provider and nodes that die: afterwards the books balance, at every moment there was.

use std::sync::Arc;

use florin_core::order::CaptureAt;
use florin_services::ask::What;
use florin_services::engine::Engine;

use crate::world::{PLACES, World, eur};

/// Orders on each database; a night does more.
const ORDERS: usize = 12;
const ORDERS_FULL: usize = 200;
/// Nodes that die on the way.
const DEATHS: usize = 3;

pub fn full() -> bool {
    std::env::var_os("FLORIN_FULL").is_some_and(|full| !full.is_empty() && full != "0")
}

/// What happens to an order, whatever is answered: callers repeat under their keys, as real ones do.
async fn live(world: &World, engine: &Engine, number: usize) {
    let reference = format!("A-{number}");
    let capture = if number.is_multiple_of(2) {
        CaptureAt::Later
    } else {
        CaptureAt::Once
    };
    let card = if number.is_multiple_of(5) {
        "card_visa_chargeDeclined"
    } else {
        "card_visa"
    };
    let Ok(made) = engine.ask(world.create(&reference, 1_000, capture, Some(card))).await else {
        return;
    };
    let order = made.order.order.id;
    let steps = [
        What::Capture {
            order,
            amount: Some(eur(600)),
            last: true,
        },
        What::Refund {
            order,
            amount: Some(eur(250)),
        },
        What::Refund {
            order,
            amount: Some(eur(100)),
        },
    ];
    for (at, what) in steps.into_iter().enumerate() {
        let _ = engine.ask(world.ask(&format!("{reference} {at}"), what)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_51_the_books_balance_in_every_currency_at_every_moment_after_trouble_and_deaths() {
    let orders = if full() { ORDERS_FULL } else { ORDERS };
    for place in PLACES {
        let mut world = World::new(place).await;
        world.trouble(60, 51);
        for death in 0..=DEATHS {
            let engine = world.engine().await;
            let lives: Vec<_> = (0..orders).map(|number| live(&world, &engine, number)).collect();
            let all = async {
                for life in lives {
                    life.await;
                }
            };
            if death < DEATHS {
                // A node that dies in the middle, wherever that is.
                let dies = tokio::time::Duration::from_millis(40 + 90 * death as u64);
                let _ = tokio::time::timeout(dies, all).await;
                engine.halt().await;
                drop(engine);
                world.reopen().await;
            } else {
                all.await;
                world.faults.clear();
                world.rest().await;
                engine.halt().await;
            }
        }
        world.fold().await;
        let compared = world.is_clean().await;
        assert_eq!(compared.moving, 0, "{place:?}");
        let moments: Vec<_> = {
            let rows = world.store.events_after(Default::default(), 10_000).await.unwrap();
            let step = (rows.len() / 8).max(1);
            rows.iter().step_by(step).map(|row| row.time).collect()
        };
        for at in moments {
            let (findings, summary) = world.audit_at(Some(at)).await;
            assert_eq!(findings, [], "{place:?}");
            let (posted, pending) = summary
                .trial
                .values()
                .fold((0, 0), |sums, balance| (sums.0 + balance.0, sums.1 + balance.1));
            assert_eq!((posted, pending), (0, 0), "{place:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_two_nodes_worked_on_has_no_findings() {
    let world = Arc::new(World::new(crate::world::Place::Postgres).await);
    world.trouble(40, 7);
    let nodes = [world.engine_of(1).await, world.engine_of(2).await];
    let lives: Vec<_> = (0..ORDERS)
        .map(|number| {
            let (world, engine) = (Arc::clone(&world), Arc::clone(&nodes[number % 2]));
            tokio::spawn(async move { live(&world, &engine, number).await })
        })
        .collect();
    for life in lives {
        life.await.unwrap();
    }
    world.faults.clear();
    world.rest().await;
    for node in nodes {
        node.halt().await;
    }
    world.fold().await;
    assert_eq!(world.is_clean().await.moving, 0);
}
