//! What a shop does, from cart to refund.

use crate::world::World;

const CHECKOUT: &[(&str, &str)] = &[
    ("mode", "payment"),
    ("success_url", "https://shop.test/thanks?session={CHECKOUT_SESSION_ID}"),
    ("cancel_url", "https://shop.test/cart"),
    ("client_reference_id", "cart-17"),
    ("line_items[0][price_data][currency]", "eur"),
    ("line_items[0][price_data][unit_amount]", "1500"),
    ("line_items[0][price_data][product_data][name]", "Teapot"),
    ("line_items[0][quantity]", "2"),
    ("line_items[1][price_data][currency]", "eur"),
    ("line_items[1][price_data][unit_amount]", "99"),
    ("line_items[1][price_data][product_data][name]", "Wrapping"),
    ("line_items[1][quantity]", "1"),
    ("payment_intent_data[metadata][cart]", "17"),
    ("metadata[kind]", "session"),
];

fn text<'a>(object: &'a serde_json::Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {object}"))
}

const SALE: &[(&str, &str)] = &[
    ("amount", "1099"),
    ("currency", "eur"),
    ("confirm", "true"),
    ("payment_method", "pm_card_visa"),
];

#[tokio::test]
async fn a_session_is_paid_and_its_parts_add_up() {
    let world = World::provider().await;
    let session = world.post("/v1/checkout/sessions", CHECKOUT).await;
    let id = text(&session, "id").to_owned();
    assert_eq!(
        (&session["status"], &session["payment_status"], &session["amount_total"]),
        (&"open".into(), &"unpaid".into(), &3099.into())
    );
    assert!(
        session["payment_intent"].is_null(),
        "an intent comes with the first try"
    );
    let intent = id.replace("cs_test_", "pi_");
    assert_eq!(
        world
            .call("GET", &format!("/v1/payment_intents/{intent}"), &[])
            .await
            .status,
        404
    );

    let method = world
        .post("/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")])
        .await;
    let confirm = [("payment_method", text(&method, "id")), ("expected_amount", "3099")];
    let stale = [("payment_method", text(&method, "id")), ("expected_amount", "1")];
    assert_eq!(
        world
            .call("POST", &format!("/v1/payment_pages/{id}/confirm"), &stale)
            .await
            .status,
        400
    );
    let page = world.post(&format!("/v1/payment_pages/{id}/confirm"), &confirm).await;
    assert_eq!(
        (&page["session_id"], &page["status"]),
        (&session["id"], &"complete".into())
    );

    let path = format!(
        "/v1/checkout/sessions/{id}?expand[]=payment_intent.latest_charge.balance_transaction&expand[]=line_items"
    );
    let session = world.get(&path).await;
    assert_eq!(
        (&session["payment_status"], &session["url"]),
        (&"paid".into(), &serde_json::Value::Null)
    );
    assert_eq!(session["line_items"]["data"][0]["amount_total"], 3000);
    let intent = &session["payment_intent"];
    assert_eq!(
        (&intent["status"], &intent["metadata"]["cart"]),
        (&"succeeded".into(), &"17".into())
    );
    assert_eq!(session["metadata"]["kind"], "session");
    let charge = &intent["latest_charge"];
    assert_eq!(
        (&charge["amount_captured"], &charge["payment_method"]),
        (&3099.into(), &method["id"])
    );
    let line = &charge["balance_transaction"];
    assert_eq!(
        (line["amount"].as_i64(), line["fee"].as_i64(), line["net"].as_i64()),
        (Some(3099), Some(71), Some(3028))
    );
    let balance = world.get("/v1/balance").await;
    assert_eq!(balance["available"][0]["currency"], "eur");
}

#[tokio::test]
async fn a_hold_is_captured_in_part_and_given_back_in_parts() {
    let world = World::provider().await;
    let hold = [SALE, &[("capture_method", "manual"), ("metadata[order]", "A-17")]].concat();
    let intent = world.post("/v1/payment_intents", &hold).await;
    let id = text(&intent, "id").to_owned();
    assert_eq!(
        (&intent["status"], &intent["amount_capturable"]),
        (&"requires_capture".into(), &1099.into())
    );
    let over = world
        .call(
            "POST",
            &format!("/v1/payment_intents/{id}/capture"),
            &[("amount_to_capture", "1100")],
        )
        .await;
    assert_eq!(over.error(400)["code"], "amount_too_large");
    let part = [("amount_to_capture", "1000"), ("metadata[florin_capture]", "k")];
    let captured = world.post(&format!("/v1/payment_intents/{id}/capture"), &part).await;
    assert_eq!(
        (&captured["status"], &captured["amount_received"]),
        (&"succeeded".into(), &1000.into())
    );
    assert_eq!(
        (&captured["metadata"]["order"], &captured["metadata"]["florin_capture"]),
        (&"A-17".into(), &"k".into())
    );

    let first = world
        .post(
            "/v1/refunds",
            &[
                ("payment_intent", &id),
                ("amount", "400"),
                ("metadata[n]", "1"),
                ("reason", "duplicate"),
            ],
        )
        .await;
    assert_eq!(
        (&first["status"], &first["metadata"]["n"], &first["reason"]),
        (&"succeeded".into(), &"1".into(), &"duplicate".into())
    );
    let charge = text(&captured, "latest_charge");
    let rest = world.post("/v1/refunds", &[("charge", charge)]).await;
    assert_eq!(rest["amount"], 600);
    let gone = world
        .call("POST", "/v1/refunds", &[("charge", charge)])
        .await
        .error(400);
    assert_eq!(gone["code"], "charge_already_refunded");
    let charge = world.get(&format!("/v1/charges/{charge}")).await;
    assert_eq!(
        (&charge["refunded"], &charge["amount_refunded"]),
        (&true.into(), &1000.into())
    );
    let lines = world.get("/v1/balance_transactions").await;
    let amounts: Vec<_> = lines["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(amounts, [-600, -400, 1000]);
}

#[tokio::test]
async fn two_refunds_at_once_keep_what_was_said_about_each() {
    let world = World::provider().await;
    let intent = world.post("/v1/payment_intents", SALE).await;
    let id = text(&intent, "id").to_owned();
    let refund = |note: &'static str| {
        let (world, id) = (&world, id.clone());
        async move {
            world
                .post(
                    "/v1/refunds",
                    &[("payment_intent", &id), ("amount", "100"), ("metadata[note]", note)],
                )
                .await
        }
    };
    let (one, other, third) = tokio::join!(refund("one"), refund("other"), refund("third"));
    for (refund, note) in [(one, "one"), (other, "other"), (third, "third")] {
        let again = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await;
        assert_eq!(
            (&refund["metadata"]["note"], &again["metadata"]["note"]),
            (&note.into(), &note.into())
        );
    }
    let listed = world.get(&format!("/v1/refunds?payment_intent={id}")).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_refund_that_is_on_its_way_says_so() {
    let world = World::provider().await;
    let sale = [&SALE[..3], &[("payment_method", "pm_card_pendingRefund")]].concat();
    let intent = world.post("/v1/payment_intents", &sale).await;
    let refund = world
        .post("/v1/refunds", &[("payment_intent", text(&intent, "id"))])
        .await;
    assert_eq!(
        (&refund["status"], &refund["balance_transaction"]),
        (&"pending".into(), &serde_json::Value::Null)
    );
    let more = world
        .call("POST", "/v1/refunds", &[("payment_intent", text(&intent, "id"))])
        .await;
    assert_eq!(more.error(400)["code"], "charge_already_refunded");
}

#[tokio::test]
async fn a_refund_was_asked_for_when_it_was_however_late_it_is_settled() {
    let world = World::provider().await;
    let sale = [&SALE[..3], &[("payment_method", "pm_card_pendingRefund")]].concat();
    let intent = world.post("/v1/payment_intents", &sale).await;
    let asked = world
        .post("/v1/refunds", &[("payment_intent", text(&intent, "id"))])
        .await;
    let order = text(&intent, "id").replace("pi_", "ord_");
    let native = async || {
        world
            .native("GET", &format!("/v1/orders/{order}/refunds"), None)
            .await
            .object()
    };
    let before = native().await["data"][0].clone();

    world.clock.shift_millis(24 * 3_600 * 1_000);
    let settled = serde_json::json!({
        "as": "approved",
        "step": "ref/0",
        "amount": asked["amount"],
        "note": "seen in the provider's console",
    });
    let path = format!("/v1/attempts/{}01/resolve", order.replace("ord_", "att_"));
    world.native("POST", &path, Some(settled)).await.object();

    let after = native().await["data"][0].clone();
    assert_eq!(
        (&before["status"], &after["status"]),
        (&"processing".into(), &"succeeded".into())
    );
    assert_eq!(after["created_at"], before["created_at"]);
    let refund = world.get(&format!("/v1/refunds/{}", text(&asked, "id"))).await;
    assert_eq!(
        (&refund["status"], &refund["created"]),
        (&"succeeded".into(), &asked["created"])
    );
    let line = world
        .get(&format!(
            "/v1/balance_transactions/{}",
            text(&refund, "balance_transaction")
        ))
        .await;
    assert_eq!(line["created"], asked["created"]);
}

#[tokio::test]
async fn a_declined_intent_is_paid_with_another_card_and_shows_both_charges() {
    let world = World::provider().await;
    let declined = [
        &SALE[..3],
        &[("payment_method", "pm_card_visa_chargeDeclinedInsufficientFunds")],
    ]
    .concat();
    let error = world.call("POST", "/v1/payment_intents", &declined).await.error(402);
    assert_eq!(
        (&error["type"], &error["code"], &error["decline_code"]),
        (
            &"card_error".into(),
            &"card_declined".into(),
            &"insufficient_funds".into()
        )
    );
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(error["charge"], error["payment_intent"]["latest_charge"]);
    assert_eq!(error["payment_method"]["card"]["last4"], "9995");
    let id = text(&error["payment_intent"], "id").to_owned();

    let again = world
        .call("POST", &format!("/v1/payment_intents/{id}/confirm"), &[])
        .await
        .error(400);
    assert_eq!(
        again["code"], "payment_intent_unexpected_state",
        "a card that was declined is not tried again by itself"
    );
    let paid = world
        .post(
            &format!("/v1/payment_intents/{id}/confirm"),
            &[("payment_method", "pm_card_visa")],
        )
        .await;
    assert_eq!(
        (&paid["status"], &paid["last_payment_error"]),
        (&"succeeded".into(), &serde_json::Value::Null)
    );
    let charges = world.get(&format!("/v1/charges?payment_intent={id}")).await;
    let states: Vec<_> = charges["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|charge| charge["status"].clone())
        .collect();
    assert_eq!(states, ["succeeded", "failed"]);
    let twice = world
        .call(
            "POST",
            &format!("/v1/payment_intents/{id}/confirm"),
            &[("payment_method", "pm_card_visa")],
        )
        .await;
    assert_eq!(twice.error(400)["code"], "payment_intent_unexpected_state");
}

#[tokio::test]
async fn an_intent_is_changed_until_it_is_paid_and_canceled_unless_it_was() {
    let world = World::provider().await;
    let intent = world
        .post(
            "/v1/payment_intents",
            &[("amount", "1000"), ("currency", "eur"), ("description", "old")],
        )
        .await;
    let path = format!("/v1/payment_intents/{}", text(&intent, "id"));
    let changed = world
        .post(
            &path,
            &[
                ("amount", "1200"),
                ("description", ""),
                ("payment_method", "pm_card_visa"),
            ],
        )
        .await;
    assert_eq!(
        (&changed["amount"], &changed["description"], &changed["status"]),
        (&1200.into(), &serde_json::Value::Null, &"requires_confirmation".into())
    );
    let paid = world.post(&format!("{path}/confirm"), &[]).await;
    assert_eq!(
        (&paid["amount_received"], &paid["status"]),
        (&1200.into(), &"succeeded".into())
    );
    assert_eq!(world.call("POST", &path, &[("amount", "1")]).await.status, 400);
    assert_eq!(
        world.call("POST", &format!("{path}/cancel"), &[]).await.error(400)["code"],
        "payment_intent_unexpected_state"
    );

    let hold = world
        .post("/v1/payment_intents", &[SALE, &[("capture_method", "manual")]].concat())
        .await;
    let path = format!("/v1/payment_intents/{}", text(&hold, "id"));
    let canceled = world
        .post(&format!("{path}/cancel"), &[("cancellation_reason", "abandoned")])
        .await;
    assert_eq!(
        (&canceled["status"], &canceled["cancellation_reason"]),
        (&"canceled".into(), &"abandoned".into())
    );
    assert!(canceled["canceled_at"].is_i64());
    let late = world.call("POST", &format!("{path}/capture"), &[]).await.error(400);
    assert_eq!(
        (&late["code"], &late["payment_intent"]["status"]),
        (&"payment_intent_unexpected_state".into(), &"canceled".into())
    );
}

#[tokio::test]
async fn an_intent_was_canceled_when_it_was_whatever_is_heard_of_it_later() {
    let world = World::provider().await;
    let canceled_at = async |id: &str| world.get(&format!("/v1/payment_intents/{id}")).await["canceled_at"].clone();
    let now = |world: &World| serde_json::json!(world.doors.engine.now().seconds());
    let near = |said: &serde_json::Value, at: &serde_json::Value| {
        let apart = said.as_i64().expect("it was canceled") - at.as_i64().unwrap();
        assert!((0..=5).contains(&apart), "{said} is not {at}");
    };
    const HOUR_MS: i64 = 3_600_000;

    // Nobody asked for it at this door: a try that was declined long before says nothing.
    let declined = [&SALE[..3], &[("payment_method", "pm_card_visa_chargeDeclined")]].concat();
    let error = world.call("POST", "/v1/payment_intents", &declined).await.error(402);
    let id = text(&error["payment_intent"], "id").to_owned();
    world.clock.shift_millis(HOUR_MS);
    let (order, at) = (id.replace("pi_", "ord_"), now(&world));
    let cancel = format!("/v1/orders/{order}/cancel");
    world
        .native("POST", &cancel, Some(serde_json::json!({})))
        .await
        .object();
    near(&canceled_at(&id).await, &at);

    // Asked for while the provider had not answered: it is canceled when that is known, and a change of details later moves nothing.
    let slow = [&SALE[..3], &[("payment_method", "pm_card_slow")]].concat();
    let id = text(&world.post("/v1/payment_intents", &slow).await, "id").to_owned();
    let path = format!("/v1/payment_intents/{id}");
    world.call("POST", &format!("{path}/cancel"), &[]).await;
    let canceled = world.get(&path).await;
    assert_eq!(canceled["status"], "canceled", "{canceled}");
    let at = canceled["canceled_at"].clone();
    world.clock.shift_millis(HOUR_MS);
    world.post(&path, &[("metadata[late]", "1")]).await;
    assert_eq!(canceled_at(&id).await, at);
}

#[tokio::test]
async fn a_stored_card_is_not_given_a_date_on_which_it_has_expired() {
    let world = World::provider().await;
    let method = world
        .post("/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")])
        .await;
    let path = format!("/v1/payment_methods/{}", text(&method, "id"));
    let today = jiff::Timestamp::from_millisecond(world.doors.engine.now().millis()).unwrap();
    let today = today.to_zoned(jiff::tz::TimeZone::UTC);
    let (this, last) = (today.year().to_string(), (today.year() - 1).to_string());
    let (month, far) = (today.month().to_string(), (today.year() + 51).to_string());
    let earlier = (today.month() - 1).to_string();
    for (month, year, wrong) in [
        ("12", &last, "year"),
        ("1", &far, "year"),
        ("13", &this, "month"),
        (earlier.as_str(), &this, "month"),
    ] {
        let form = [("card[exp_month]", month), ("card[exp_year]", year)];
        let error = world.call("POST", &path, &form).await.error(402);
        let said = (&error["type"], &error["code"], &error["param"]);
        let code = format!("invalid_expiry_{wrong}");
        let param = format!("card[exp_{wrong}]");
        assert_eq!(
            said,
            (&"card_error".into(), &code.as_str().into(), &param.as_str().into()),
            "{month}/{year}"
        );
    }
    let form = [("card[exp_month]", month.as_str()), ("card[exp_year]", this.as_str())];
    let kept = world.post(&path, &form).await;
    assert_eq!(kept["card"]["exp_year"], today.year(), "valid to the end of its month");
    let named = world.post(&path, &[("metadata[a]", "b")]).await;
    assert_eq!(named["card"]["exp_month"], today.month());
}

#[tokio::test]
async fn a_customer_keeps_methods_and_pays_with_them() {
    let world = World::provider().await;
    let customer = world
        .post("/v1/customers", &[("name", "Jenny"), ("metadata[tier]", "gold")])
        .await;
    let id = text(&customer, "id").to_owned();
    let method = world
        .post("/v1/payment_methods/pm_card_visa/attach", &[("customer", &id)])
        .await;
    let stored = text(&method, "id").to_owned();
    let alone = [&SALE[..3], &[("payment_method", stored.as_str())]].concat();
    assert_eq!(
        world.call("POST", "/v1/payment_intents", &alone).await.error(400)["param"],
        "customer"
    );
    let paid = world
        .post(
            "/v1/payment_intents",
            &[&alone[..], &[("customer", id.as_str())]].concat(),
        )
        .await;
    assert_eq!(
        (&paid["status"], &paid["payment_method"], &paid["customer"]),
        (&"succeeded".into(), &stored.as_str().into(), &id.as_str().into())
    );
    let listed = world
        .get(&format!(
            "/v1/payment_intents?customer={id}&expand[]=data.customer&expand[]=data.payment_method"
        ))
        .await;
    assert_eq!(
        (
            &listed["data"][0]["customer"]["name"],
            &listed["data"][0]["payment_method"]["card"]["last4"]
        ),
        (&"Jenny".into(), &"4242".into())
    );

    let other = world.post("/v1/customers", &[]).await;
    let taken = world
        .call(
            "POST",
            &format!("/v1/payment_methods/{stored}/attach"),
            &[("customer", text(&other, "id"))],
        )
        .await;
    assert_eq!(taken.status, 400);
    assert_eq!(
        world.call("DELETE", &format!("/v1/customers/{id}"), &[]).await.object()["deleted"],
        true
    );
    assert_eq!(world.get(&format!("/v1/customers/{id}")).await["deleted"], true);
    assert!(world.get(&format!("/v1/payment_methods/{stored}")).await["customer"].is_null());
    let used = world
        .get(&format!(
            "/v1/charges/{}?expand[]=customer",
            text(&paid, "latest_charge")
        ))
        .await;
    assert_eq!(used["customer"]["deleted"], true);
}

#[tokio::test]
async fn a_catalogue_is_kept_and_sold_from() {
    let world = World::provider().await;
    let product = world
        .post(
            "/v1/products",
            &[("name", "Teapot"), ("marketing_features[0][name]", "holds tea")],
        )
        .await;
    assert_eq!(
        (&product["features"][0]["name"], &product["active"]),
        (&"holds tea".into(), &true.into())
    );
    let price = [
        ("product", text(&product, "id")),
        ("unit_amount", "1500"),
        ("currency", "eur"),
    ];
    let price = world.post("/v1/prices", &price).await;
    let monthly = [
        ("product_data[name]", "Tea"),
        ("unit_amount", "500"),
        ("currency", "eur"),
        ("recurring[interval]", "month"),
    ];
    let monthly = world.post("/v1/prices", &monthly).await;
    assert_eq!(monthly["type"], "recurring");
    let session = |price: &str| {
        let line = [
            ("line_items[0][price]", price.to_owned()),
            ("line_items[0][quantity]", "3".to_owned()),
        ];
        let base = [
            ("mode", "payment".to_owned()),
            ("success_url", "https://shop.test/".to_owned()),
        ];
        [base, line].concat()
    };
    let form = session(text(&price, "id"));
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let made = world
        .post("/v1/checkout/sessions?expand[]=line_items.data.price.product", &form)
        .await;
    assert_eq!(
        (
            &made["amount_total"],
            &made["line_items"]["data"][0]["price"]["product"]["name"]
        ),
        (&4500.into(), &"Teapot".into())
    );
    let form = session(text(&monthly, "id"));
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        world.call("POST", "/v1/checkout/sessions", &form).await.error(400)["param"],
        "line_items[0][price]"
    );
    let kept = world
        .call("DELETE", &format!("/v1/products/{}", text(&product, "id")), &[])
        .await;
    assert_eq!(kept.status, 400, "a product with prices is archived, not deleted");
}

#[tokio::test]
async fn a_session_ends_by_itself_or_by_a_call_and_only_while_it_is_open() {
    let world = World::provider().await;
    let session = world.post("/v1/checkout/sessions", CHECKOUT).await;
    let path = format!("/v1/checkout/sessions/{}", text(&session, "id"));
    let expired = world.post(&format!("{path}/expire"), &[]).await;
    assert_eq!(
        (&expired["status"], &expired["payment_status"], &expired["url"]),
        (&"expired".into(), &"unpaid".into(), &serde_json::Value::Null)
    );
    let paid = world.post("/v1/checkout/sessions", CHECKOUT).await;
    let id = text(&paid, "id");
    world
        .post(
            &format!("/v1/payment_pages/{id}/confirm"),
            &[("payment_method", "pm_card_visa"), ("expected_amount", "3099")],
        )
        .await;
    assert_eq!(
        world
            .call("POST", &format!("/v1/checkout/sessions/{id}/expire"), &[])
            .await
            .status,
        400
    );
    for (status, count) in [("open", 0), ("expired", 1), ("complete", 1)] {
        let listed = world.get(&format!("/v1/checkout/sessions?status={status}")).await;
        assert_eq!(listed["data"].as_array().unwrap().len(), count, "{status}");
    }
}

#[tokio::test]
async fn an_intent_is_found_by_its_metadata() {
    let world = World::provider().await;
    let made = world
        .post("/v1/payment_intents", &[SALE, &[("metadata[order]", "A-17")]].concat())
        .await;
    world
        .post("/v1/payment_intents", &[SALE, &[("metadata[order]", "A-18")]].concat())
        .await;
    let query = "/v1/payment_intents/search?query=metadata%5B'order'%5D%3A'A-17'%20AND%20status%3A'succeeded'";
    let found = world.get(query).await;
    assert_eq!(
        (&found["object"], &found["data"][0]["id"]),
        (&"search_result".into(), &made["id"])
    );
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_method_that_belongs_to_nobody_pays_one_intent() {
    let world = World::provider().await;
    let made = [("type", "card"), ("card[token]", "tok_visa")];
    let method = world.post("/v1/payment_methods", &made).await;
    let sale = |method: &str| {
        [
            ("amount", "1099".to_owned()),
            ("currency", "eur".to_owned()),
            ("confirm", "true".to_owned()),
            ("payment_method", method.to_owned()),
        ]
    };
    let paid = sale(text(&method, "id"));
    let paid: Vec<(&str, &str)> = paid.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(world.post("/v1/payment_intents", &paid).await["status"], "succeeded");
    let error = world.call("POST", "/v1/payment_intents", &paid).await.error(400);
    assert_eq!(error["param"], "payment_method", "{error}");
    assert!(text(&error, "message").contains("may not be used again"), "{error}");
    let customer = world.post("/v1/customers", &[]).await;
    let attach = format!("/v1/payment_methods/{}/attach", text(&method, "id"));
    let to = [("customer", text(&customer, "id"))];
    world.call("POST", &attach, &to).await.error(400);

    // A customer's own pays again.
    let method = world.post("/v1/payment_methods", &made).await;
    world
        .post(&format!("/v1/payment_methods/{}/attach", text(&method, "id")), &to)
        .await;
    let again = sale(text(&method, "id"));
    let mut again: Vec<(&str, &str)> = again.iter().map(|(name, value)| (*name, value.as_str())).collect();
    again.push(("customer", text(&customer, "id")));
    for _ in 0..2 {
        assert_eq!(world.post("/v1/payment_intents", &again).await["status"], "succeeded");
    }
}

#[tokio::test]
async fn a_method_of_a_refused_call_is_not_spent() {
    let world = World::provider().await;
    let made = [("type", "card"), ("card[token]", "tok_visa")];
    let method = world.post("/v1/payment_methods", &made).await;
    let sale = [&SALE[..3], &[("payment_method", text(&method, "id"))]].concat();
    world
        .keyed("POST", "/v1/payment_intents", SALE, Some("once"))
        .await
        .object();
    let refused = world.keyed("POST", "/v1/payment_intents", &sale, Some("once")).await;
    assert_eq!(refused.error(400)["type"], "idempotency_error");
    let paid = world.keyed("POST", "/v1/payment_intents", &sale, Some("twice")).await;
    assert_eq!(paid.object()["status"], "succeeded");

    // What is refused after it was paid with stays spent.
    let refused = world.keyed("POST", "/v1/payment_intents", &sale, Some("once")).await;
    refused.error(400);
    let error = world.call("POST", "/v1/payment_intents", &sale).await.error(400);
    assert!(text(&error, "message").contains("may not be used again"), "{error}");
}
