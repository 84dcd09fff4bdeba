//! Records that were changed behind the program's back: frozen, found, and in nobody else's way.

use std::time::Duration;

use florin_core::id::OrderId;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::{self, Said};
use crate::node::{Node, program};
use crate::till::{CONVERGES, sale};
use crate::world::{Differs, PLACES, Place, World};

/// What an order is for; its digits are what is changed.
const AMOUNT: i64 = 1099;
/// Changes of one order's rows: its events, its postings, the moments that its row keeps of its events.
const DAMAGES: [&str; 3] = [
    "update events set body = replace(body, '1099', '9901') where version > 1 and order_id = ",
    "update events set postings = replace(postings, '1099', '9901') where order_id = ",
    "update orders set state = replace(state, '\"rows\":[1', '\"rows\":[2') where id = ",
];

/// An order's id as the database writes it.
fn literal(place: Place, order: &str) -> String {
    let uuid = order.parse::<OrderId>().unwrap().uuid();
    match place {
        Place::Sqlite => format!("x'{}'", uuid.simple()),
        Place::Postgres => format!("'{uuid}'"),
    }
}

fn is_frozen(said: &Said) -> bool {
    said.status == 500 && said.text("code") == "record_damaged"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_11_changed_records_freeze_their_orders_an_audit_names_them_and_the_rest_is_served() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        let mut ill = Vec::new();
        for number in 0..DAMAGES.len() {
            let key = format!("ill-{number}");
            let sold = world.till.settle(&key, "/v1/orders", &sale(&key, AMOUNT)).await;
            ill.push(sold.text("id").to_owned());
        }
        let well = world.till.settle("well", "/v1/orders", &sale("well", AMOUNT)).await;
        world.quiet().await;
        node.stop().await;
        for (damage, order) in DAMAGES.iter().zip(&ill) {
            let changed = world.change(&format!("{damage}{}", literal(place, order))).await;
            assert!(changed > 0, "{place:?}: {damage}");
        }
        let node = world.start(Differs::default()).await;
        for order in &ill {
            let read = world.till.get(&format!("/v1/orders/{order}")).await.said();
            assert!(is_frozen(&read), "{place:?}: {read:?}");
            let path = format!("/v1/orders/{order}/refunds");
            let back = world.till.unwritten(&node.api, order, &path, &json!({})).await.said();
            assert!(is_frozen(&back), "{place:?}: {back:?}");
        }
        let sent = world.psp.seen("POST /v1/refunds").len();
        assert_eq!(sent, 0, "{place:?}: nothing moves on the strength of a damaged record");
        let back = format!("/v1/orders/{}/refunds", well.text("id"));
        let refunded = world.till.settle("back", &back, &json!({"amount": 99})).await;
        assert_eq!(refunded.status, 201, "{place:?}: {refunded:?}");
        rings(&node, place).await;
        node.stop().await;
        let named = audited(&world).await;
        for order in &ill {
            assert!(named.contains(order), "{place:?}: {order} is not among {named:?}");
        }
        assert!(
            !named.iter().any(|order| order == well.text("id")),
            "{place:?}: {named:?}"
        );
    }
}

/// Waits until the alert rings: figures may be some seconds old.
async fn rings(node: &Node, place: Place) {
    let deadline = Instant::now() + CONVERGES;
    loop {
        let said = http::ask(&node.admin, "GET", "/metrics", &[], b"").await.said();
        let figures = said.body.as_str().unwrap_or_default().to_owned();
        if figures.contains("florin_alert{name=\"record_damaged\"} 1") {
            return;
        }
        assert!(Instant::now() < deadline, "{place:?}: nothing rings: {figures}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The orders that an audit names.
async fn audited(world: &World) -> Vec<String> {
    let data = world.data().display().to_string();
    let mut command = program(&[], &["audit", "--json", "--data", &data]);
    command.args(world.direct().iter().flat_map(|url| ["--database", url]));
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let findings = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let named = findings.filter_map(|line| Some(line.get("order")?.as_str()?.to_owned()));
    named.collect()
}
