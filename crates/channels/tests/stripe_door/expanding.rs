//! `expand[]` of calls that change something: what cannot be shown is refused before anything is done, and what is shown is as it is then.

use serde_json::{Value, json};

use crate::world::World;

const SALE: [(&str, &str); 4] = [
    ("amount", "1099"),
    ("currency", "eur"),
    ("confirm", "true"),
    ("payment_method", "pm_card_visa"),
];
const CHECKOUT: [(&str, &str); 6] = [
    ("mode", "payment"),
    ("success_url", "https://shop.test/"),
    ("line_items[0][price_data][currency]", "eur"),
    ("line_items[0][price_data][unit_amount]", "1500"),
    ("line_items[0][price_data][product_data][name]", "Teapot"),
    ("line_items[0][quantity]", "1"),
];
/// Leads nowhere from a charge, from whatever names one.
const NOWHERE: (&str, &str) = ("expand[]", "latest_charge.balance_transactoin");

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

async fn refused(world: &World, path: &str, form: &[(&str, &str)], expand: (&str, &str)) {
    let form = [form, &[expand]].concat();
    let error = world.call("POST", path, &form).await.error(400);
    assert_eq!(error["param"], "expand", "{path}: {error}");
}

async fn held(world: &World) -> String {
    let hold = [&SALE[..], &[("capture_method", "manual")]].concat();
    let intent = world.post("/v1/payment_intents", &hold).await;
    format!("/v1/payment_intents/{}", id(&intent))
}

async fn open(world: &World) -> String {
    let intent = world.post("/v1/payment_intents", &SALE[..2]).await;
    format!("/v1/payment_intents/{}", id(&intent))
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_refused_before_anything_is_done() {
    let world = World::provider().await;
    refused(&world, "/v1/payment_intents", &SALE, NOWHERE).await;
    assert_eq!(world.get("/v1/payment_intents").await["data"], json!([]));

    let intent = open(&world).await;
    let confirm = format!("{intent}/confirm");
    refused(&world, &confirm, &SALE[3..], NOWHERE).await;
    refused(&world, &intent, &[("amount", "700")], NOWHERE).await;
    let left = world.get(&intent).await;
    assert_eq!(
        (&left["status"], &left["amount"]),
        (&json!("requires_payment_method"), &json!(1099))
    );
    world.post(&confirm, &SALE[3..]).await;
    let named = [("payment_intent", intent.rsplit('/').next().unwrap_or_default())];
    refused(&world, "/v1/refunds", &named, ("expand[]", "charge.colour")).await;
    assert_eq!(world.get("/v1/refunds").await["data"], json!([]));

    let hold = held(&world).await;
    refused(&world, &format!("{hold}/capture"), &[], NOWHERE).await;
    refused(&world, &format!("{hold}/cancel"), &[], NOWHERE).await;
    assert_eq!(world.get(&hold).await["status"], "requires_capture");

    let session = world.post("/v1/checkout/sessions", &CHECKOUT).await;
    let session = format!("/v1/checkout/sessions/{}", id(&session));
    let nothing = ("expand[]", "line_items.price");
    refused(&world, "/v1/checkout/sessions", &CHECKOUT, nothing).await;
    refused(&world, &format!("{session}/expire"), &[], nothing).await;
    assert_eq!(world.get(&session).await["status"], "open");
    let sessions = world.get("/v1/checkout/sessions").await;
    assert_eq!(sessions["data"].as_array().map(Vec::len), Some(1));

    for (path, form) in [
        ("/v1/customers", vec![("name", "Ada")]),
        ("/v1/products", vec![("name", "Teapot")]),
        (
            "/v1/prices",
            vec![
                ("currency", "eur"),
                ("unit_amount", "1"),
                ("product_data[name]", "Teapot"),
            ],
        ),
        (
            "/v1/payment_methods",
            vec![("type", "card"), ("card[token]", "tok_visa")],
        ),
        (
            "/v1/webhook_endpoints",
            vec![("url", "http://127.0.0.1:9/"), ("enabled_events[]", "*")],
        ),
    ] {
        refused(&world, path, &form, ("expand[]", "colour")).await;
        assert_eq!(world.get(path).await["data"], json!([]), "{path}");
    }
    let customer = world.post("/v1/customers", &[("name", "Ada")]).await;
    let path = format!("/v1/customers/{}", id(&customer));
    refused(&world, &path, &[("name", "Bea")], ("expand[]", "name")).await;
    let said = world.call("DELETE", &format!("{path}?expand[]=name"), &[]).await;
    assert_eq!(said.error(400)["param"], "expand");
    assert_eq!(world.get(&path).await["name"], "Ada");
}

#[tokio::test]
async fn a_path_that_this_object_has_nothing_for_changes_nothing_in_the_answer() {
    let world = World::provider().await;
    let sale = [
        &SALE[..],
        &[
            ("expand[]", "review"),
            ("expand[]", "customer.default_source"),
            ("expand[]", "last_payment_error.payment_method"),
            ("expand[]", "latest_charge.failure_balance_transaction.source"),
        ],
    ]
    .concat();
    let paid = world.post("/v1/payment_intents", &sale).await;
    assert_eq!(paid["latest_charge"]["failure_balance_transaction"], Value::Null);
    let open = [&SALE[..2], &[("expand[]", "latest_charge.balance_transaction.source")]].concat();
    assert_eq!(
        world.post("/v1/payment_intents", &open).await["latest_charge"],
        Value::Null
    );
}

#[tokio::test]
async fn what_a_change_shows_beside_the_object_is_as_it_is_after_the_change() {
    let world = World::provider().await;
    let intent = open(&world).await;
    let form = [
        ("payment_method", "pm_card_visa"),
        ("expand[]", "latest_charge.balance_transaction"),
    ];
    for replay in ["once", "once"] {
        let said = world
            .keyed("POST", &format!("{intent}/confirm"), &form, Some(replay))
            .await;
        let charge = said.object()["latest_charge"].clone();
        assert_eq!((&charge["captured"], &charge["paid"]), (&json!(true), &json!(true)));
        assert_eq!(charge["balance_transaction"]["amount"], 1099);
    }

    let form = [("description", "two pots"), ("expand[]", "latest_charge")];
    let changed = world.post(&intent, &form).await;
    assert_eq!(changed["latest_charge"]["description"], "two pots");

    let form = [
        ("payment_intent", intent.rsplit('/').next().unwrap_or_default()),
        ("amount", "300"),
        ("reason", "duplicate"),
        ("expand[]", "charge.refunds.data.balance_transaction"),
        ("expand[]", "payment_intent.latest_charge"),
    ];
    let refund = world.post("/v1/refunds", &form).await;
    for charge in [&refund["charge"], &refund["payment_intent"]["latest_charge"]] {
        assert_eq!(charge["amount_refunded"], 300);
        assert_eq!(charge["refunds"]["data"][0]["reason"], "duplicate");
    }
    assert_eq!(
        refund["charge"]["refunds"]["data"][0]["balance_transaction"]["amount"],
        -300
    );

    let form = [
        ("amount_to_capture", "600"),
        ("expand[]", "latest_charge.balance_transaction"),
    ];
    let captured = world.post(&format!("{}/capture", held(&world).await), &form).await;
    let charge = &captured["latest_charge"];
    assert_eq!(
        (&charge["captured"], &charge["amount_captured"]),
        (&json!(true), &json!(600))
    );
    assert_eq!(charge["balance_transaction"]["amount"], 600);

    let cancel = format!("{}/cancel", held(&world).await);
    let form = [("expand[]", "latest_charge.payment_intent")];
    let canceled = world.post(&cancel, &form).await;
    assert_eq!(canceled["latest_charge"]["payment_intent"]["status"], "canceled");

    let session = world.post("/v1/checkout/sessions", &CHECKOUT).await;
    let page = format!("/v1/payment_pages/{}/confirm", id(&session));
    let challenged = [
        ("payment_method", "pm_card_threeDSecure2Required"),
        ("expected_amount", "1500"),
        ("expand[]", "payment_intent"),
    ];
    let opened = world.post(&page, &challenged).await;
    assert_eq!(opened["payment_intent"]["status"], "requires_action");
    let expire = format!("/v1/checkout/sessions/{}/expire", id(&session));
    let expired = world.post(&expire, &[("expand[]", "payment_intent")]).await;
    assert_eq!(expired["payment_intent"]["status"], "canceled");
}
