//! What happened, in Stripe's words: each once, in the order in which it happened.

use serde_json::Value;

use crate::world::World;

const SALE: [(&str, &str); 4] = [
    ("amount", "1099"),
    ("currency", "eur"),
    ("confirm", "true"),
    ("payment_method", "pm_card_visa"),
];

async fn types(world: &World, query: &str) -> Vec<String> {
    let listed = world.get(&format!("/v1/events?limit=100{query}")).await;
    let types = listed["data"]
        .as_array()
        .expect("an event")
        .iter()
        .map(|event| event["type"].as_str().expect("an event").to_owned());
    let mut types: Vec<String> = types.collect();
    types.reverse();
    types
}

#[tokio::test]
async fn a_sale_and_its_refund_are_told_in_order() {
    let world = World::provider().await;
    let intent = world.post("/v1/payment_intents", &SALE).await;
    assert_eq!(
        types(&world, "").await,
        ["payment_intent.created", "payment_intent.succeeded", "charge.succeeded"]
    );
    world
        .post("/v1/refunds", &[("payment_intent", intent["id"].as_str().unwrap())])
        .await;
    assert_eq!(
        types(&world, "").await[3..],
        [
            "refund.created",
            "charge.refunded",
            "refund.updated",
            "charge.refund.updated"
        ]
    );
}

#[tokio::test]
async fn a_refunded_charge_says_how_much_had_gone_back_before() {
    let world = World::provider().await;
    let intent = world.post("/v1/payment_intents", &SALE).await;
    for amount in ["300", "799"] {
        let form = [("payment_intent", intent["id"].as_str().unwrap()), ("amount", amount)];
        world.post("/v1/refunds", &form).await;
    }
    let listed = world.get("/v1/events?type=charge.refunded").await;
    let previous = |at: usize| listed["data"][at]["data"]["previous_attributes"].clone();
    assert_eq!(previous(1), serde_json::json!({ "amount_refunded": 0 }));
    assert_eq!(
        previous(0),
        serde_json::json!({ "amount_refunded": 300, "refunded": false })
    );
}

#[tokio::test]
async fn a_hold_is_told_when_it_can_be_captured_and_when_it_was() {
    let world = World::provider().await;
    let intent = world
        .post(
            "/v1/payment_intents",
            &[&SALE[..], &[("capture_method", "manual")]].concat(),
        )
        .await;
    world
        .post(
            &format!("/v1/payment_intents/{}/capture", intent["id"].as_str().unwrap()),
            &[],
        )
        .await;
    assert_eq!(
        types(&world, "").await,
        [
            "payment_intent.created",
            "payment_intent.amount_capturable_updated",
            "charge.succeeded",
            "payment_intent.succeeded",
            "charge.captured"
        ]
    );
}

#[tokio::test]
async fn a_session_is_told_when_it_is_paid_and_when_nobody_can_pay_any_more() {
    let world = World::provider().await;
    let form = [
        ("mode", "payment"),
        ("success_url", "https://shop.test/"),
        ("line_items[0][price_data][currency]", "eur"),
        ("line_items[0][price_data][unit_amount]", "1500"),
        ("line_items[0][price_data][product_data][name]", "Teapot"),
        ("line_items[0][quantity]", "1"),
    ];
    let paid = world.post("/v1/checkout/sessions", &form).await;
    assert_eq!(
        types(&world, "").await,
        [""; 0],
        "a page that nobody opened is nothing to tell"
    );
    let confirm = |card: &'static str| [("payment_method", card), ("expected_amount", "1500")];
    let path = format!("/v1/payment_pages/{}/confirm", paid["id"].as_str().unwrap());
    assert_eq!(
        world
            .call("POST", &path, &confirm("pm_card_visa_chargeDeclined"))
            .await
            .status,
        402
    );
    world.post(&path, &confirm("pm_card_visa")).await;
    assert_eq!(
        types(&world, "").await,
        [
            "payment_intent.created",
            "charge.failed",
            "payment_intent.payment_failed",
            "payment_intent.succeeded",
            "charge.succeeded",
            "checkout.session.completed"
        ]
    );
    let left = world.post("/v1/checkout/sessions", &form).await;
    world
        .post(
            &format!("/v1/checkout/sessions/{}/expire", left["id"].as_str().unwrap()),
            &[],
        )
        .await;
    assert_eq!(types(&world, "&type=checkout.session.expired").await.len(), 1);
    assert_eq!(
        types(&world, "&type=payment_intent.canceled").await.len(),
        0,
        "there never was an intent"
    );
}

#[tokio::test]
async fn an_event_shows_its_object_as_it_stood_then() {
    let world = World::provider().await;
    let intent = world
        .post("/v1/payment_intents", &[("amount", "1099"), ("currency", "eur")])
        .await;
    let path = format!("/v1/payment_intents/{}/confirm", intent["id"].as_str().unwrap());
    world.post(&path, &[("payment_method", "pm_card_visa")]).await;
    let created = world.get("/v1/events?type=payment_intent.created").await;
    let event = &created["data"][0];
    assert_eq!(
        (&event["data"]["object"]["id"], &event["data"]["object"]["status"]),
        (&intent["id"], &"requires_payment_method".into())
    );
    let read = world
        .get(&format!("/v1/events/{}", event["id"].as_str().unwrap()))
        .await;
    assert_eq!(&read, event);
}

#[tokio::test]
async fn an_event_names_the_key_of_the_call_that_made_its_order() {
    let world = World::provider().await;
    let keys = async |order: &Value| -> Vec<(String, Option<String>)> {
        let listed = world.get("/v1/events?limit=100").await;
        let events = listed["data"].as_array().unwrap().iter().rev();
        let of_order = events.filter(|event| {
            let object = &event["data"]["object"];
            object["id"] == order["id"] || object["payment_intent"] == order["id"]
        });
        of_order
            .map(|event| {
                let named = event["type"].as_str().unwrap().to_owned();
                assert_eq!(event["request"]["id"], Value::Null, "{named}");
                (named, event["request"]["idempotency_key"].as_str().map(str::to_owned))
            })
            .collect()
    };
    let named = |name: &str, key: Option<&str>| (name.to_owned(), key.map(str::to_owned));

    let sale = world
        .keyed("POST", "/v1/payment_intents", &SALE, Some("sale 1"))
        .await
        .object();
    let intent = ("payment_intent", sale["id"].as_str().unwrap());
    let _ = world
        .keyed("POST", "/v1/refunds", &[intent], Some("refund 1"))
        .await
        .object();
    assert_eq!(
        keys(&sale).await,
        [
            named("payment_intent.created", Some("sale 1")),
            named("payment_intent.succeeded", Some("sale 1")),
            named("charge.succeeded", Some("sale 1")),
            named("refund.created", None),
            named("charge.refunded", None),
            named("refund.updated", None),
            named("charge.refund.updated", None),
        ]
    );

    let made = world
        .keyed("POST", "/v1/payment_intents", &SALE[..2], Some("order 2"))
        .await
        .object();
    let path = format!("/v1/payment_intents/{}/confirm", made["id"].as_str().unwrap());
    let _ = world.keyed("POST", &path, &SALE[3..], Some("confirm 2")).await.object();
    assert_eq!(
        keys(&made).await,
        [
            named("payment_intent.created", Some("order 2")),
            named("payment_intent.succeeded", None),
            named("charge.succeeded", None),
        ]
    );
}

#[tokio::test]
async fn events_page_without_gaps() {
    let world = World::provider().await;
    for _ in 0..4 {
        world.post("/v1/payment_intents", &SALE).await;
    }
    let all = world.get("/v1/events?limit=100").await;
    let all: Vec<&Value> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["id"])
        .collect();
    assert_eq!(all.len(), 12);
    let (mut after, mut paged) = (String::new(), Vec::new());
    loop {
        let page = world.get(&format!("/v1/events?limit=5{after}")).await;
        let ids: Vec<Value> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["id"].clone())
            .collect();
        after = format!("&starting_after={}", ids.last().unwrap().as_str().unwrap());
        paged.extend(ids);
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(paged.iter().collect::<Vec<_>>(), all);
    let before = format!("/v1/events?limit=3&ending_before={}", all[6].as_str().unwrap());
    let before = world.get(&before).await;
    let before: Vec<&Value> = before["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["id"])
        .collect();
    assert_eq!(before, all[3..6]);
}

#[tokio::test]
async fn of_documents_nothing_is_told_and_who_waits_for_it_hears_that() {
    let world = World::provider().await;
    let customer = world.post("/v1/customers", &[("name", "Jenny")]).await;
    world.post("/v1/products", &[("name", "Teapot")]).await;
    for query in ["", "&type=customer.created", "&type=product.created"] {
        assert_eq!(types(&world, query).await, [""; 0], "{query}");
    }
    let invented = format!("/v1/events/evt_{}", customer["id"].as_str().unwrap());
    assert_eq!(
        world.call("GET", &invented, &[]).await.error(404)["code"],
        "resource_missing"
    );
    let form = [
        ("url", "http://127.0.0.1:9/hook"),
        ("enabled_events[]", "charge.refunded"),
        ("enabled_events[]", "customer.created"),
    ];
    let error = world.call("POST", "/v1/webhook_endpoints", &form).await.error(400);
    assert_eq!(error["param"], "enabled_events[1]");
    let message = error["message"].as_str().unwrap();
    for part in [
        "`customer.created` is never sent",
        "checkout.session.completed",
        "refund.updated",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // A list that names what never happens here is brought along as it is.
    let form = [
        form[0],
        ("enabled_events[]", "invoice.paid"),
        ("enabled_events[]", "checkout.session.async_payment_succeeded"),
    ];
    world.post("/v1/webhook_endpoints", &form).await;
}
