//! What a careful merchant's program relies on: nothing is ignored, nothing is half done, no two calls both win.

use serde_json::{Value, json};

use crate::world::World;

const SALE: [(&str, &str); 4] = [
    ("amount", "1099"),
    ("currency", "eur"),
    ("confirm", "true"),
    ("payment_method", "pm_card_visa"),
];

const CHECKOUT: &[(&str, &str)] = &[
    ("mode", "payment"),
    ("success_url", "https://shop.example/thanks"),
    ("line_items[0][quantity]", "1"),
    ("line_items[0][metadata][shelf]", "4"),
    ("line_items[0][price_data][currency]", "eur"),
    ("line_items[0][price_data][unit_amount]", "3000"),
    ("line_items[0][price_data][tax_behavior]", "inclusive"),
    ("line_items[0][price_data][product_data][name]", "Teapot"),
    (
        "line_items[0][price_data][product_data][images][0]",
        "https://shop.example/pot.png",
    ),
    ("line_items[0][price_data][product_data][metadata][colour]", "red"),
];

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_empty_filter_is_refused_and_does_not_list_everything() {
    let world = World::provider().await;
    world.post("/v1/payment_intents", &SALE).await;
    for (list, filter) in [
        ("payment_intents", "customer"),
        ("charges", "payment_intent"),
        ("checkout/sessions", "customer"),
        ("customers", "email"),
        ("payment_methods", "customer"),
        ("refunds", "charge"),
        ("balance_transactions", "source"),
        ("payment_intents", "starting_after"),
        ("events", "type"),
    ] {
        let error = world
            .call("GET", &format!("/v1/{list}?{filter}="), &[])
            .await
            .error(400);
        assert_eq!(
            (&error["param"], &error["code"]),
            (&filter.into(), &"parameter_invalid_empty".into())
        );
    }
}

#[tokio::test]
async fn nobody_pays_without_the_merchants_second_word_where_it_was_asked_for() {
    let world = World::provider().await;
    let manual = |card: &'static str| {
        [
            &SALE[..3],
            &[("confirmation_method", "manual"), ("payment_method", card)],
        ]
        .concat()
    };
    let paid = world.post("/v1/payment_intents", &manual("pm_card_visa")).await;
    assert_eq!(
        (&paid["status"], &paid["confirmation_method"]),
        (&"succeeded".into(), &"manual".into())
    );
    let asks = manual("pm_card_threeDSecure2Required");
    for repeat in ["once", "once"] {
        let error = world
            .keyed("POST", "/v1/payment_intents", &asks, Some(repeat))
            .await
            .error(402);
        assert_eq!(error["code"], "authentication_required");
        assert_eq!(error["payment_intent"]["next_action"], Value::Null);
        let intent = format!("/v1/payment_intents/{}", text(&error["payment_intent"], "id"));
        assert_eq!(world.get(&intent).await["status"], "requires_payment_method");
    }
}

#[tokio::test]
async fn the_intent_of_a_session_is_worth_its_lines_and_ends_with_it() {
    let world = World::provider().await;
    let session = world.post("/v1/checkout/sessions", CHECKOUT).await;
    let page = format!("/v1/payment_pages/{}/confirm", text(&session, "id"));
    let pay = |card: &'static str| [("payment_method", card), ("expected_amount", "3000")];
    world
        .call("POST", &page, &pay("pm_card_visa_chargeDeclined"))
        .await
        .error(402);
    let session = world
        .get(&format!("/v1/checkout/sessions/{}", text(&session, "id")))
        .await;
    let intent = format!("/v1/payment_intents/{}", text(&session, "payment_intent"));
    let error = world.call("POST", &intent, &[("amount", "1")]).await.error(400);
    assert_eq!(error["param"], "amount");
    let error = world.call("POST", &format!("{intent}/cancel"), &[]).await.error(400);
    assert!(
        text(&error, "message").contains("Expire the Checkout Session"),
        "{error}"
    );
    world.post(&page, &pay("pm_card_visa")).await;
    assert_eq!(world.get(&intent).await["amount_received"], 3000);

    // What a session holds is let go by its intent.
    let hold = [CHECKOUT, &[("payment_intent_data[capture_method]", "manual")]].concat();
    let session = world.post("/v1/checkout/sessions", &hold).await;
    let page = format!("/v1/payment_pages/{}/confirm", text(&session, "id"));
    let held = world.post(&page, &pay("pm_card_visa")).await;
    let cancel = format!("/v1/payment_intents/{}/cancel", text(&held, "payment_intent"));
    assert_eq!(world.post(&cancel, &[]).await["status"], "canceled");
}

#[tokio::test]
async fn what_is_said_of_a_line_is_shown_where_it_was_said() {
    let world = World::provider().await;
    let session = world.post("/v1/checkout/sessions", CHECKOUT).await;
    let lines = format!("/v1/checkout/sessions/{}/line_items", text(&session, "id"));
    let line = world.get(&lines).await["data"][0].clone();
    assert_eq!(line["metadata"], json!({ "shelf": "4" }));
    assert_eq!(line["price"]["tax_behavior"], "inclusive");
    let product = world
        .get(&format!("/v1/products/{}", text(&line["price"], "product")))
        .await;
    assert_eq!(product["metadata"], json!({ "colour": "red" }));
    assert_eq!(product["images"], json!(["https://shop.example/pot.png"]));
}

#[tokio::test]
async fn a_session_names_the_address_of_its_customer() {
    let world = World::provider().await;
    let customer = world.post("/v1/customers", &[("email", "ada@example.org")]).await;
    let of = [CHECKOUT, &[("customer", text(&customer, "id"))]].concat();
    let session = world.post("/v1/checkout/sessions", &of).await;
    assert_eq!(session["customer_details"]["email"], "ada@example.org");
    let always = [CHECKOUT, &[("customer_creation", "always")]].concat();
    let error = world.call("POST", "/v1/checkout/sessions", &always).await.error(400);
    assert_eq!(error["param"], "customer_creation");
}

#[tokio::test]
async fn a_session_that_is_over_expires_once() {
    let world = World::provider().await;
    let session = world.post("/v1/checkout/sessions", CHECKOUT).await;
    let expire = format!("/v1/checkout/sessions/{}/expire", text(&session, "id"));
    for repeat in ["once", "once"] {
        world.keyed("POST", &expire, &[], Some(repeat)).await.object();
    }
    world.call("POST", &expire, &[]).await.error(400);
}

#[tokio::test]
async fn one_key_changes_one_thing_of_an_intent() {
    let world = World::provider().await;
    let intent = world.post("/v1/payment_intents", &SALE[..2]).await;
    let path = format!("/v1/payment_intents/{}", text(&intent, "id"));
    world
        .keyed("POST", &path, &[("metadata[a]", "1")], Some("k"))
        .await
        .object();
    let other = world.keyed("POST", &path, &[("amount", "777")], Some("k")).await;
    assert_eq!(other.error(400)["type"], "idempotency_error");
    assert_eq!(world.get(&path).await["amount"], 1099);
}

#[tokio::test]
async fn a_method_has_one_owner_however_many_ask_at_once() {
    let world = World::provider().await;
    let made = [("type", "card"), ("card[token]", "tok_visa")];
    let method = world.post("/v1/payment_methods", &made).await;
    let attach = format!("/v1/payment_methods/{}/attach", text(&method, "id"));
    let (one, other) = (
        world.post("/v1/customers", &[]).await,
        world.post("/v1/customers", &[]).await,
    );
    let to = |customer: &Value| text(customer, "id").to_owned();
    let (one, other) = (to(&one), to(&other));
    let (to_one, to_other) = ([("customer", one.as_str())], [("customer", other.as_str())]);
    let (first, second) = tokio::join!(
        world.call("POST", &attach, &to_one),
        world.call("POST", &attach, &to_other)
    );
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    let owner = world.get(&format!("/v1/payment_methods/{}", text(&method, "id"))).await["customer"].clone();
    assert_eq!(owner, if first.status == 200 { json!(one) } else { json!(other) });
}

#[tokio::test]
async fn a_method_is_taken_off_once_and_the_repeat_is_told_so() {
    let world = World::provider().await;
    let customer = world.post("/v1/customers", &[]).await;
    let to = [("customer", text(&customer, "id"))];
    let method = world.post("/v1/payment_methods/pm_card_visa/attach", &to).await;
    let off = format!("/v1/payment_methods/{}/detach", text(&method, "id"));
    let first = world.keyed("POST", &off, &[], Some("off")).await.object();
    assert_eq!(world.keyed("POST", &off, &[], Some("off")).await.object(), first);
    world.call("POST", &off, &[]).await.error(400);
    let listed = format!(
        "/v1/payment_methods?customer={}&allow_redisplay=always",
        text(&customer, "id")
    );
    world.post("/v1/payment_methods/pm_card_visa/attach", &to).await;
    assert_eq!(world.get(&listed).await["data"], json!([]), "the filter is not ignored");
}

#[tokio::test]
async fn an_endpoint_that_wanted_some_events_does_not_want_all_of_them_by_an_empty_word() {
    let world = World::provider().await;
    let made = [
        ("url", "http://127.0.0.1:9/hook"),
        ("enabled_events[]", "charge.refunded"),
    ];
    let endpoint = world.post("/v1/webhook_endpoints", &made).await;
    let path = format!("/v1/webhook_endpoints/{}", text(&endpoint, "id"));
    let error = world.call("POST", &path, &[("enabled_events", "")]).await.error(400);
    assert_eq!(error["param"], "enabled_events");
    assert_eq!(world.get(&path).await["enabled_events"], json!(["charge.refunded"]));
}

#[tokio::test]
async fn what_no_session_could_take_is_no_price() {
    let world = World::provider().await;
    for (currency, amount) in [("eur", "9223372036854775807"), ("isk", "150")] {
        let price = [
            ("currency", currency),
            ("unit_amount", amount),
            ("product_data[name]", "Teapot"),
        ];
        let error = world.call("POST", "/v1/prices", &price).await.error(400);
        assert_eq!(error["param"], "unit_amount", "{currency}");
    }
}

#[tokio::test]
async fn a_secret_that_is_not_the_intents_opens_nothing() {
    let world = World::provider().await;
    let intent = world.post("/v1/payment_intents", &SALE[..2]).await;
    let path = format!("/v1/payment_intents/{}?client_secret=", text(&intent, "id"));
    world.get(&format!("{path}{}", text(&intent, "client_secret"))).await;
    world
        .call("GET", &format!("{path}pi_secret_other"), &[])
        .await
        .error(400);
}

#[tokio::test]
async fn whether_redirects_are_allowed_is_answered_as_it_was_asked() {
    let world = World::merchant().await;
    for (asked, shown) in [(None, "always"), (Some("always"), "always"), (Some("never"), "never")] {
        let word = asked.map(|word| ("automatic_payment_methods[allow_redirects]", word));
        let enabled = ("automatic_payment_methods[enabled]", "true");
        let form: Vec<_> = SALE[..2].iter().copied().chain([enabled]).chain(word).collect();
        let intent = world.post("/v1/payment_intents", &form).await;
        assert_eq!(
            intent["automatic_payment_methods"],
            json!({ "allow_redirects": shown, "enabled": true })
        );
    }
}

/// What stripe-node 23.1.0 declares of the shape of 2026-10-28, and no published file has yet.
#[tokio::test]
async fn objects_have_what_the_newest_library_declares() {
    let world = World::provider().await;
    let sale = [&SALE[..3], &[("payment_method", "pm_card_createDispute")]].concat();
    let intent = world.post("/v1/payment_intents", &sale).await;
    let charge = world
        .get(&format!("/v1/charges/{}", text(&intent, "latest_charge")))
        .await;
    let session = world.post("/v1/checkout/sessions", CHECKOUT).await;
    let disputes = world.get("/v1/disputes").await;
    let dispute = &disputes["data"][0];
    for (object, path) in [
        (&intent, "/allowed_payment_method_types"),
        (&intent, "/payment_record"),
        (&session, "/allowed_payment_method_types"),
        (&charge, "/payment_method_details/card/electronic_commerce_indicator"),
        (dispute, "/intended_submission_method"),
    ] {
        assert_eq!(object.pointer(path), Some(&Value::Null), "{path} {object}");
    }
    let method = |dispute: &Value| dispute["evidence_details"]["submission_method"].clone();
    assert_eq!(method(dispute), "not_submitted");
    let path = format!("/v1/disputes/{}", text(dispute, "id"));
    let draft = [("evidence[uncategorized_text]", "it was sent"), ("submit", "false")];
    assert_eq!(method(&world.post(&path, &draft).await), "not_submitted");
    assert_eq!(method(&world.post(&path, &[("submit", "true")]).await), "manual");
}
