//! A copy that is put back: what was out is asked about, keys that come again move nothing twice, and what is missing is named.

use std::sync::Arc;

use florin_core::order::CaptureAt;
use florin_core::secret::Secret;
use florin_core::time::Timestamp;
use florin_sandbox::faults::{Kind, Target};
use florin_services::ask::What;
use florin_services::audit::Law;
use florin_services::clock::Clock as _;
use florin_services::egress::Egress;
use florin_services::keyring::{Keyring, Values};
use florin_services::restore::{self, Lack};

use crate::world::{Place, World, answered, eur, word};

async fn lacks(world: &World) -> Vec<Lack> {
    let engine = world.engine_of(9).await; // only for its directory
    let egress = Egress::new(Arc::new(Keyring::new(Values::new(), &Secret::new([1; 32]))));
    let mut lacks = Vec::new();
    restore::lacks(
        &*world.store,
        engine.directory(),
        &egress,
        florin_rails::ALL,
        Timestamp::default(),
        &mut |lack| lacks.push(lack),
    )
    .await
    .unwrap();
    engine.halt().await;
    lacks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_12_a_restored_copy_asks_first_moves_nothing_twice_and_names_what_it_lacks() {
    let mut world = World::new(Place::Sqlite).await;
    let engine = world.engine().await;
    let sold = world.sale(&engine, "sold").await;
    let held = answered(
        engine
            .ask(world.create("held", 5_000, CaptureAt::Later, Some("card_visa")))
            .await,
    );
    let held = held.order.order.id;
    // One payment is out when the copy is made: it happened, and nobody was told.
    world.next(Target::Authorize, Kind::TimeoutAfter, 1);
    world.next(Target::Read, Kind::Status500, 100_000);
    let (asking, ask) = (
        Arc::clone(&engine),
        world.create("out", 700, CaptureAt::Once, Some("card_visa")),
    );
    let out = tokio::spawn(async move { asking.ask(ask).await });
    let out_order = loop {
        let rows = world.store.orders_after(None, 10).await.unwrap();
        if let Some(row) = rows.iter().find(|row| row.reference == "out")
            && world.is_uncertain(row.id).await
        {
            break row.id;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    world.fold().await;
    let copy = world.folder.0.join("copy.db");
    world.store.backup(&copy).await.unwrap();
    world.faults.clear();

    // Life goes on, and then the disk dies.
    let capture = || {
        let what = What::Capture {
            order: held,
            amount: Some(eur(3_000)),
            last: true,
        };
        world_ask("capture", what)
    };
    let refund = || {
        let what = What::Refund {
            order: sold,
            amount: Some(eur(99)),
        };
        world_ask("refund", what)
    };
    answered(engine.ask(world.ask(capture().0, capture().1)).await);
    answered(engine.ask(world.ask(refund().0, refund().1)).await);
    world.sale(&engine, "after the copy").await;
    engine.halt().await;
    out.abort();
    drop(engine);

    world.reopen_at(copy).await;
    let prepared = restore::prepare(&*world.store, world.clock.now()).await.unwrap();
    assert!(prepared.open >= 1, "{prepared:?}");
    world.fold().await;
    let named = lacks(&world).await;
    let mut orders: Vec<_> = named.iter().map(|lack| lack.order).collect();
    orders.sort();
    // The issuer's list does not lead back from a payment to its order, so the one that was out when the copy was made has no name yet
    // either: it is told apart below, when it is asked about.
    let mut expected = vec![None, None, Some(sold), Some(held)];
    expected.sort();
    assert_eq!(orders, expected, "{named:#?}");

    // The issuer would take every message; that none is needed shows that it was asked and not told again.
    world.next(Target::Authorize, Kind::Garbage, 100_000);
    let engine = world.engine().await;
    world.until(&engine, out_order, |view| word(view) == "captured").await;
    world.faults.clear();
    let captured = answered(engine.ask(world.ask(capture().0, capture().1)).await);
    assert_eq!(word(&captured.order), "captured");
    let refunded = answered(engine.ask(world.ask(refund().0, refund().1)).await);
    assert_eq!(word(&refunded.order), "partially_refunded");
    world.rest().await;
    engine.halt().await;
    world.fold().await;

    // Nothing moved twice. The sale that the copy never knew is still nobody's, and is still named.
    let (findings, _) = world.witnessed().await;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!((findings[0].law, findings[0].order), (Law::Issuer, None));
    let named = lacks(&world).await;
    assert_eq!(
        named.iter().map(|lack| lack.order).collect::<Vec<_>>(),
        [None],
        "{named:#?}"
    );
}

fn world_ask(key: &'static str, what: What) -> (&'static str, What) {
    (key, what)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_cannot_be_asked_is_named_and_not_passed_over() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine().await;
    world.sale(&engine, "sold").await;
    engine.halt().await;
    world.fold().await;
    assert_eq!(lacks(&world).await, []);
    let directory = Arc::clone(engine.directory());
    let away = move |connection: &mut florin_services::directory::Connection| {
        connection.base = "http://127.0.0.1:9".to_owned();
    };
    directory
        .change::<florin_services::directory::Connection>(Some(world.tenant), &world.connection.to_string(), away)
        .await
        .unwrap();
    let named = lacks(&world).await;
    assert_eq!(named.len(), 1);
    assert_eq!(
        (named[0].connection, named[0].payment.clone()),
        (world.connection, None)
    );
}
