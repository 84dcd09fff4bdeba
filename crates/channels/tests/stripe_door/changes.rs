//! A call is carried out whole or not at all, and what is named is what is meant.

use crate::world::World;

const SALE: [(&str, &str); 4] = [
    ("amount", "1099"),
    ("currency", "eur"),
    ("confirm", "true"),
    ("payment_method", "pm_card_visa"),
];

#[tokio::test]
async fn a_change_that_is_refused_leaves_the_intent_as_it_was() {
    let world = World::provider().await;
    let intent = world.post("/v1/payment_intents", &SALE[..2]).await;
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    for wrong in [("customer", "cus_x"), ("payment_method", "pm_x")] {
        let form = [("amount", "500"), wrong];
        assert_eq!(world.call("POST", &path, &form).await.error(400)["param"], wrong.0);
        assert_eq!(world.get(&path).await, intent, "{wrong:?}");
    }
}

#[tokio::test]
async fn what_is_held_or_paid_keeps_its_amount_and_method() {
    let world = World::provider().await;
    for capture in ["manual", "automatic"] {
        let form = [&SALE[..], &[("capture_method", capture)]].concat();
        let intent = world.post("/v1/payment_intents", &form).await;
        let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
        for change in [("amount", "500"), ("payment_method", "pm_card_visa")] {
            let error = world.call("POST", &path, &[change]).await.error(400);
            assert_eq!(error["code"], "payment_intent_unexpected_state", "{capture} {change:?}");
            assert_eq!(error["payment_intent"], intent);
        }
        let said = world.post(&path, &[("description", "Teapot")]).await;
        assert_eq!(
            (&said["description"], &said["amount"]),
            (&"Teapot".into(), &1099.into())
        );
    }
}

#[tokio::test]
async fn a_change_that_was_made_may_be_repeated_when_the_intent_is_paid() {
    let world = World::provider().await;
    let intent = world.post("/v1/payment_intents", &SALE[..2]).await;
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    let form = [("amount", "500"), SALE[3]];
    let first = world.keyed("POST", &path, &form, Some("change")).await.object();
    world.post(&format!("{path}/confirm"), &[]).await;
    let again = world.keyed("POST", &path, &form, Some("change")).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.object(), first);
}

#[tokio::test]
async fn a_change_that_was_made_may_be_repeated_when_its_method_is_gone() {
    let world = World::provider().await;
    let jenny = world.post("/v1/customers", &[("name", "Jenny")]).await;
    let jenny = jenny["id"].as_str().unwrap();
    let card = [("type", "card"), ("card[token]", "tok_visa")];
    let card = world.post("/v1/payment_methods", &card).await;
    let card = card["id"].as_str().unwrap();
    let method = format!("/v1/payment_methods/{card}");
    world.post(&format!("{method}/attach"), &[("customer", jenny)]).await;
    let intent = world.post("/v1/payment_intents", &SALE[..2]).await;
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    let form = [("amount", "500"), ("customer", jenny), ("payment_method", card)];
    let first = world.keyed("POST", &path, &form, Some("change")).await.object();
    world.post(&format!("{method}/detach"), &[]).await;
    let again = world.keyed("POST", &path, &form, Some("change")).await;
    assert_eq!(again.header("idempotent-replayed"), "true", "{}", again.text);
    assert_eq!(again.object(), first);
    let other = [("amount", "600"), form[1], form[2]];
    let reused = world.keyed("POST", &path, &other, Some("change")).await.error(400);
    assert_eq!(reused["type"], "idempotency_error");
    assert_eq!(world.keyed("POST", &path, &form, Some("another")).await.status, 400);
}

#[tokio::test]
async fn a_change_that_comes_again_is_answered_with_all_of_it_as_it_was_then() {
    let world = World::provider().await;
    let intent = world.post("/v1/payment_intents", &SALE[..2]).await;
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    for (key, form) in [
        ("both", &[("amount", "500"), ("metadata[cart]", "17")][..]),
        ("described", &[("description", "Teapot")][..]),
    ] {
        let first = world.keyed("POST", &path, form, Some(key)).await.object();
        let again = world.keyed("POST", &path, form, Some(key)).await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{key}");
        assert_eq!(again.object(), first, "{key}");
        world.post(&path, &[("amount", "700")]).await;
        let late = world.keyed("POST", &path, form, Some(key)).await;
        assert_eq!(late.object(), first, "{key}");
    }
}

#[tokio::test]
async fn a_change_that_found_everything_as_it_says_undoes_nothing_when_it_comes_again() {
    let world = World::provider().await;
    let made = [&SALE[..2], &[("metadata[cart]", "17")]].concat();
    let intent = world.post("/v1/payment_intents", &made).await;
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    for (key, form) in [
        ("both", &[("amount", "500"), ("metadata[cart]", "17")][..]),
        ("described", &[("metadata[cart]", "17")][..]),
    ] {
        let first = world.keyed("POST", &path, form, Some(key)).await.object();
        world.post(&path, &[("metadata[cart]", "18")]).await;
        let again = world.keyed("POST", &path, form, Some(key)).await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{key}");
        assert_eq!(again.object(), first, "{key}");
        assert_eq!(world.get(&path).await["metadata"]["cart"], "18", "{key}");
        world.post(&path, &[("metadata[cart]", "17")]).await;
    }
}

#[tokio::test]
async fn a_change_that_names_the_intents_own_method_may_be_repeated_whatever_became_of_the_method() {
    let world = World::provider().await;
    let jenny = world.post("/v1/customers", &[("name", "Jenny")]).await;
    let jenny = jenny["id"].as_str().unwrap();
    for fate in ["detached", "confirmed", "changed"] {
        let card = [("type", "card"), ("card[token]", "tok_visa")];
        let card = world.post("/v1/payment_methods", &card).await;
        let card = card["id"].as_str().unwrap();
        let method = format!("/v1/payment_methods/{card}");
        let mut made = [&SALE[..2], &[("payment_method", card)]].concat();
        if fate != "confirmed" {
            world.post(&format!("{method}/attach"), &[("customer", jenny)]).await;
            made.push(("customer", jenny));
        }
        let intent = world.post("/v1/payment_intents", &made).await;
        let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
        let form = [("amount", "500"), ("payment_method", card)];
        let first = world.keyed("POST", &path, &form, Some(fate)).await.object();
        match fate {
            "confirmed" => world.post(&format!("{path}/confirm"), &[]).await,
            "changed" => world.post(&path, &[("payment_method", "pm_card_visa")]).await,
            _ => world.post(&format!("{method}/detach"), &[]).await,
        };
        if fate == "changed" {
            world.post(&format!("{method}/detach"), &[]).await;
        }
        let again = world.keyed("POST", &path, &form, Some(fate)).await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{fate}: {}", again.text);
        assert_eq!(again.object(), first, "{fate}");
        let anew = format!("{fate} anew");
        assert_eq!(
            world.keyed("POST", &path, &form, Some(&anew)).await.status,
            400,
            "{fate}"
        );
    }
}

#[tokio::test]
async fn a_price_that_is_refused_for_its_key_leaves_no_product() {
    let world = World::provider().await;
    let price = [
        ("currency", "eur"),
        ("unit_amount", "500"),
        ("product_data[name]", "Cup"),
    ];
    world.keyed("POST", "/v1/prices", &price, Some("price")).await.object();
    let products = world.get("/v1/products").await;
    let other = [price[0], price[1], ("product_data[name]", "Saucer")];
    let reused = world
        .keyed("POST", "/v1/prices", &other, Some("price"))
        .await
        .error(400);
    assert_eq!(reused["type"], "idempotency_error");
    assert_eq!(world.get("/v1/products").await, products);

    world
        .keyed("POST", "/v1/products", &[("name", "Plate")], Some("plate"))
        .await
        .object();
    let products = world.get("/v1/products").await;
    let reused = world
        .keyed("POST", "/v1/prices", &price, Some("plate"))
        .await
        .error(400);
    assert_eq!(reused["type"], "idempotency_error");
    assert_eq!(world.get("/v1/products").await, products);

    world
        .keyed("POST", "/v1/payment_intents", &SALE[..2], Some("intent"))
        .await
        .object();
    let reused = world
        .keyed("POST", "/v1/prices", &price, Some("intent"))
        .await
        .error(400);
    assert_eq!(reused["type"], "idempotency_error");
    assert_eq!(world.get("/v1/products").await, products);
}

#[tokio::test]
async fn only_the_charge_that_paid_is_refunded() {
    let world = World::provider().await;
    let declined = [
        SALE[0],
        SALE[1],
        SALE[2],
        ("payment_method", "pm_card_visa_chargeDeclined"),
    ];
    let error = world.call("POST", "/v1/payment_intents", &declined).await.error(402);
    let failed = error["charge"].as_str().unwrap();
    let id = error["payment_intent"]["id"].as_str().unwrap();
    let paid = world
        .post(&format!("/v1/payment_intents/{id}/confirm"), &SALE[3..])
        .await;
    let other = world.post("/v1/payment_intents", &SALE).await;
    let other = other["id"].as_str().unwrap();
    let refused = world
        .call("POST", "/v1/refunds", &[("charge", failed)])
        .await
        .error(400);
    assert_eq!(
        (&refused["code"], &refused["param"]),
        (&"charge_not_refundable".into(), &"charge".into())
    );
    let charge = paid["latest_charge"].as_str().unwrap();
    let mixed = [("charge", charge), ("payment_intent", other)];
    assert_eq!(
        world.call("POST", "/v1/refunds", &mixed).await.error(400)["param"],
        "charge"
    );
    assert_eq!(world.get("/v1/refunds").await["data"], serde_json::json!([]));
    let both = [("charge", charge), ("payment_intent", id)];
    assert_eq!(world.post("/v1/refunds", &both).await["charge"], charge);
}

#[tokio::test]
async fn metadata_is_bounded_by_what_is_there_and_what_is_added() {
    let world = World::provider().await;
    let names: Vec<String> = (0..50).map(|name| format!("metadata[{name}]")).collect();
    let full: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    for (path, form) in [
        ("/v1/payment_intents", &SALE[..2]),
        ("/v1/payment_intents", &SALE[..]),
        ("/v1/customers", &[]),
        ("/v1/products", &[("name", "Teapot")]),
        (
            "/v1/webhook_endpoints",
            &[("url", "http://127.0.0.1:9/hook"), ("enabled_events[]", "*")],
        ),
        ("/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")]),
    ] {
        let made = world.post(path, &[form, &full].concat()).await;
        let path = format!("{path}/{}", made["id"].as_str().unwrap());
        let more = world.call("POST", &path, &[("metadata[one]", "more")]).await;
        assert_eq!(more.error(400)["param"], "metadata", "{path}");
        let other = [("metadata[0]", ""), ("metadata[one]", "more")];
        let changed = world.post(&path, &other).await;
        assert_eq!(changed["metadata"].as_object().unwrap().len(), 50, "{path}");
    }
}

#[tokio::test]
async fn a_capture_that_is_too_large_leaves_the_intent_as_it_was() {
    let world = World::provider().await;
    let hold = [&SALE[..], &[("capture_method", "manual")]].concat();
    let intent = world.post("/v1/payment_intents", &hold).await;
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    let more = [("amount_to_capture", "1100"), ("metadata[a]", "b")];
    let refused = world.call("POST", &format!("{path}/capture"), &more).await.error(400);
    assert_eq!(refused["param"], "amount_to_capture");
    assert_eq!(world.get(&path).await, intent);
}

#[tokio::test]
async fn a_hold_that_can_be_captured_once_says_which_parameter_asked_for_more() {
    let world = World::provider().await;
    let hold = [&SALE[..], &[("capture_method", "manual")]].concat();
    let intent = world.post("/v1/payment_intents", &hold).await;
    let path = format!("/v1/payment_intents/{}/capture", intent["id"].as_str().unwrap());
    let part = [("amount_to_capture", "300"), ("final_capture", "false")];
    assert_eq!(
        world.call("POST", &path, &part).await.error(400)["param"],
        "final_capture"
    );
}

#[tokio::test]
async fn the_methods_of_a_deleted_customer_pay_no_more() {
    let world = World::provider().await;
    let customer = world.post("/v1/customers", &[]).await;
    let customer = customer["id"].as_str().unwrap();
    let attach = "/v1/payment_methods/pm_card_visa/attach";
    let method = world.post(attach, &[("customer", customer)]).await;
    world
        .call("DELETE", &format!("/v1/customers/{customer}"), &[])
        .await
        .object();
    let sale = [
        SALE[0],
        SALE[1],
        SALE[2],
        ("payment_method", method["id"].as_str().unwrap()),
    ];
    let refused = world.call("POST", "/v1/payment_intents", &sale).await.error(400);
    assert_eq!(refused["param"], "payment_method");
}
