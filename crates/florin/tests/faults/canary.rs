//! The judge itself is tried: each kind of wrong is planted once, and has to be found.

use serde_json::json;

use crate::http::Said;
use crate::judge::{found_in, public_events, told};
use crate::psp::now;
use crate::till::sale;
use crate::world::{Place, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judge_finds_what_is_planted() {
    let (world, node) = World::new(Place::Sqlite).await;
    world.listen().await;
    let sold = world.till.settle("one", "/v1/orders", &sale("one", 1000)).await;
    let order = sold.text("id").to_owned();
    world.quiet().await;
    let public = public_events(&world.till).await;
    let arrived = loop {
        let arrived = world.receiver().unwrap().arrived();
        if arrived.len() >= public[&order].len() {
            break arrived;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(told(&public, &arrived), Vec::<String>::new());
    assert_eq!(world.books().await, Vec::<String>::new());

    // A webhook that never came, and one that came before its time.
    assert!(!told(&public, &arrived[1..]).is_empty());
    let mut early = arrived.clone();
    early.swap(0, 1);
    assert!(!told(&public, &early).is_empty());
    // A balance that is off by one.
    let off = "update balances set posted = cast(cast(posted as integer) + 1 as text) where account = 'merchant'";
    assert_eq!(world.change(off).await, 1);
    assert!(!world.books().await.is_empty());
    assert!(world.audit().await.is_some_and(|why| why.contains("balances")));
    // A secret in a file.
    std::fs::write(
        world.data().join("note"),
        format!("the key is {}", crate::world::PSP_KEY),
    )
    .unwrap();
    assert!(!found_in(&world.folder.0, crate::world::PSP_KEY).is_empty());
    node.stop().await;
    assert_eq!(world.judge().await, Vec::<String>::new());

    // A payment that was charged twice: the same message under another key.
    let mut second = world.psp.seen("POST /v1/payment_intents")[0].asked.clone();
    second.key = Some("another".to_owned());
    world.psp.provider().ask(&second, now());
    let wrong = world.judge().await;
    assert!(wrong.iter().any(|wrong| wrong.contains(&order)), "{wrong:?}");

    // A payment that was acknowledged and is not there.
    let mut lost = sold.clone();
    lost.body["id"] = json!("ord_00000000000000000000000000");
    world.till.heard("lost", "/v1/orders", &sale("lost", 1000), lost);
    let more = world.judge().await;
    assert!(more.len() > wrong.len(), "{more:?}");
    // A key that was answered in two ways.
    let other = Said {
        status: 402,
        ..sold.clone()
    };
    world.till.heard("one", "/v1/orders", &sale("one", 1000), other);
    assert!(world.judge().await.len() > more.len());
}
