//! What goes wrong is said as Stripe says it, and nobody sees what is not theirs.

use axum::http::{Request, header};
use florin_services::directory::Scope;

use crate::world::World;

#[tokio::test]
async fn a_mistake_names_its_parameter() {
    let world = World::provider().await;
    for (path, form, code, param) in [
        (
            "/v1/payment_intents",
            vec![("amount", "100"), ("currency", "eur"), ("colour", "red")],
            "parameter_unknown",
            "colour",
        ),
        (
            "/v1/payment_intents",
            vec![("currency", "eur")],
            "parameter_missing",
            "amount",
        ),
        (
            "/v1/payment_intents",
            vec![("amount", "1.5"), ("currency", "eur")],
            "parameter_invalid_integer",
            "amount",
        ),
        (
            "/v1/payment_intents",
            vec![("amount", "100000000"), ("currency", "eur")],
            "amount_too_large",
            "amount",
        ),
        (
            "/v1/payment_intents",
            vec![("amount", "100"), ("currency", "eur"), ("customer", "cus_x")],
            "resource_missing",
            "customer",
        ),
        (
            "/v1/payment_methods",
            vec![("type", "card"), ("card[number]", "1")],
            "parameter_unknown",
            "card[number]",
        ),
        (
            "/v1/payment_methods",
            vec![("type", "card"), ("card[token]", "tok_x")],
            "resource_missing",
            "card[token]",
        ),
        (
            "/v1/refunds",
            vec![("payment_intent", "pi_x")],
            "resource_missing",
            "payment_intent",
        ),
        (
            "/v1/webhook_endpoints",
            vec![("url", "ftp://x"), ("enabled_events[]", "*")],
            "url_invalid",
            "url",
        ),
    ] {
        let error = world.call("POST", path, &form).await.error(400);
        assert_eq!(
            (&error["code"], &error["param"]),
            (&code.into(), &param.into()),
            "{path} {form:?}: {error}"
        );
        assert_eq!(error["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn an_event_that_does_not_exist_is_refused_by_its_place() {
    let world = World::provider().await;
    let form = [
        ("url", "http://127.0.0.1:9/hook"),
        ("enabled_events[]", "charge.refunded"),
        ("enabled_events[]", "payment_intent.succeded"),
    ];
    let error = world.call("POST", "/v1/webhook_endpoints", &form).await.error(400);
    assert_eq!(error["param"], "enabled_events[1]", "{error}");
}

#[tokio::test]
async fn what_cannot_be_expanded_is_refused() {
    let world = World::provider().await;
    let form = [("amount", "100"), ("currency", "eur")];
    for path in ["metadata.x", "colour", "data.customer", "latest_charge.a.b.c.d.e"] {
        let said = world
            .call("POST", &format!("/v1/payment_intents?expand[]={path}"), &form)
            .await;
        assert_eq!(said.error(400)["param"], "expand", "{path}");
    }
    for path in ["customer", "review", "latest_charge.balance_transaction"] {
        world.post(&format!("/v1/payment_intents?expand[]={path}"), &form).await;
    }
    world
        .get("/v1/payment_intents?expand[]=data.latest_charge.refunds&expand[]=data.customer")
        .await;
}

#[tokio::test]
async fn a_misspelt_test_card_is_named_as_unknown_at_both_doors_and_nothing_is_made() {
    let world = World::merchant().await;
    let order = serde_json::json!({
        "amount": 1099, "currency": "EUR", "reference": "A-17", "confirm": true, "method": "card_vsia",
    });
    let problem = world.native("POST", "/v1/orders", Some(order)).await;
    assert_eq!(problem.status, 422, "{}", problem.text);
    let problem = problem.json();
    assert_eq!(
        (&problem["code"], &problem["param"]),
        (&"unknown_method".into(), &"method".into())
    );
    assert_eq!(problem["detail"], "there is no test card `card_vsia`");
    let made = world.native("GET", "/v1/orders?reference=A-17", None).await.json();
    assert_eq!(made["data"], serde_json::json!([]));

    let sale = [
        ("amount", "1099"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_vsia"),
    ];
    let error = world.call("POST", "/v1/payment_intents", &sale).await.error(400);
    assert_eq!(
        (&error["code"], &error["param"]),
        (&"resource_missing".into(), &"payment_method".into())
    );
    assert_eq!(error["message"], "No such PaymentMethod: 'pm_card_vsia'");
}

#[tokio::test]
async fn a_body_that_is_declared_too_large_is_refused_before_it_comes() {
    let world = World::merchant().await;
    let most = world.doors.settings.body_bytes;
    let declared = world.declared("/v1/payment_intents", most + 1).await;
    let sent = "x".repeat(most + 1);
    let whole = world
        .call("POST", "/v1/payment_intents", &[("description", &sent)])
        .await;
    assert_eq!(declared.error(413)["message"], whole.error(413)["message"]);
    let declared = world.declared("http://api.test/v1/orders", most + 1).await;
    let whole = world
        .native("POST", "/v1/orders", Some(serde_json::json!({ "description": sent })))
        .await;
    assert_eq!((declared.status, whole.status), (413, 413), "{}", declared.text);
    assert_eq!(declared.json()["code"], "body_too_large");
    assert_eq!(declared.json()["detail"], whole.json()["detail"]);
}

#[tokio::test]
async fn a_text_that_cannot_be_kept_is_named() {
    let world = World::merchant().await;
    for param in ["description", "metadata[a]"] {
        let form = [("amount", "1099"), ("currency", "eur"), (param, "b\0c")];
        let error = world.call("POST", "/v1/payment_intents", &form).await.error(400);
        assert_eq!(error["param"], param, "{error}");
        assert_eq!(
            error["message"],
            format!("Invalid value for {param}: it holds the character NUL (%00), which cannot be kept")
        );
    }
}

#[tokio::test]
async fn a_name_that_begins_as_a_stored_method_is_none_when_it_is_malformed() {
    let world = World::merchant().await;
    for method in ["met_x", "met_00000000000000000000000000", "met_"] {
        let order = serde_json::json!({
            "amount": 1099, "currency": "EUR", "reference": "A-18", "confirm": true, "method": method,
        });
        let problem = world.native("POST", "/v1/orders", Some(order)).await;
        assert_eq!(problem.status, 422, "{method}: {}", problem.text);
        let problem = problem.json();
        assert_eq!(
            (&problem["code"], &problem["param"]),
            (&"unknown_method".into(), &"method".into())
        );
        assert_eq!(problem["detail"], format!("there is no method {method}"));
    }
    let made = world.native("GET", "/v1/orders?reference=A-18", None).await.json();
    assert_eq!(made["data"], serde_json::json!([]));
}

#[tokio::test]
async fn less_than_stripe_takes_is_too_small_at_a_merchants_door() {
    let world = World::merchant().await;
    let too_small = async |path: &str, form: &[(&str, &str)], param: &str, message: &str| {
        let error = world.call("POST", path, form).await.error(400);
        assert_eq!(
            (&error["code"], &error["param"]),
            (&"amount_too_small".into(), &param.into()),
            "{path}"
        );
        assert_eq!(error["message"], message, "{path}");
    };
    let message = "Amount must be at least USD 0.50";
    let intents = "/v1/payment_intents";
    too_small(intents, &[("amount", "49"), ("currency", "usd")], "amount", message).await;
    assert_eq!(world.get(intents).await["data"], serde_json::json!([]));
    let least = world.post(intents, &[("amount", "50"), ("currency", "usd")]).await;
    let path = format!("{intents}/{}", least["id"].as_str().unwrap());
    too_small(&path, &[("amount", "10")], "amount", message).await;
    assert_eq!(world.get(&path).await["amount"], 50);
    let session = [
        ("mode", "payment"),
        ("success_url", "https://shop.test/"),
        ("line_items[0][price_data][currency]", "gbp"),
        ("line_items[0][price_data][unit_amount]", "14"),
        ("line_items[0][price_data][product_data][name]", "Tea"),
        ("line_items[0][quantity]", "2"),
    ];
    let message = "The Checkout Session's total amount due must add up to at least GBP 0.30";
    too_small("/v1/checkout/sessions", &session, "line_items", message).await;
    // The pretend provider stands for any provider: a small order on `/v1` is no decline.
    let provider = World::provider().await;
    let taken = provider.post(intents, &[("amount", "10"), ("currency", "usd")]).await;
    assert_eq!(taken["amount"], 10);
}

#[tokio::test]
async fn a_currency_that_stripe_does_not_take_is_refused_before_anything_is_made() {
    for world in [World::merchant().await, World::provider().await] {
        let line = [
            ("mode", "payment"),
            ("success_url", "https://shop.test/"),
            ("line_items[0][price_data][unit_amount]", "10000"),
            ("line_items[0][price_data][product_data][name]", "Tea"),
            ("line_items[0][quantity]", "1"),
        ];
        let price = [("unit_amount", "10000"), ("product_data[name]", "Tea")];
        let nested = "line_items[0][price_data][currency]";
        for (path, form, param) in [
            ("/v1/payment_intents", &[("amount", "10000")][..], "currency"),
            ("/v1/checkout/sessions", &line[..], nested),
            ("/v1/prices", &price[..], "currency"),
        ] {
            for code in ["clf", "usn", "mru"] {
                let form = [form, &[(param, code)]].concat();
                let error = world.call("POST", path, &form).await.error(400);
                assert_eq!(error["param"], param, "{path} {code}: {error}");
                let message = error["message"].as_str().unwrap_or_default();
                let begins =
                    format!("Invalid currency: {code}. Stripe currently supports these currencies: aed, afn, ");
                assert!(message.starts_with(&begins), "{path}: {message}");
            }
            assert_eq!(world.get(path).await["data"], serde_json::json!([]), "{path}");
        }
    }
}

#[tokio::test]
async fn a_search_that_is_not_here_is_no_address() {
    let world = World::provider().await;
    for resource in [
        "balance_transactions",
        "charges",
        "checkout/sessions",
        "customers",
        "disputes",
        "events",
        "payment_methods",
        "prices",
        "products",
        "refunds",
        "webhook_endpoints",
    ] {
        for method in ["GET", "POST"] {
            let path = format!("/v1/{resource}/search");
            let error = world.call(method, &path, &[]).await.error(404);
            let message = format!("Unrecognized request URL ({method}: {path}).");
            assert_eq!(
                (&error["type"], &error["message"]),
                (&"invalid_request_error".into(), &message.into())
            );
            assert_eq!(error.get("code"), None, "{error}");
        }
    }
    let error = world.call("POST", "/v1/payment_intents/search", &[]).await.error(404);
    assert_eq!(
        error["message"],
        "Unrecognized request URL (POST: /v1/payment_intents/search)."
    );
}

#[tokio::test]
async fn an_address_that_no_mail_reaches_is_refused_before_anything_is_made() {
    let world = World::merchant().await;
    let session = [
        ("mode", "payment"),
        ("success_url", "https://shop.test/"),
        ("line_items[0][price_data][currency]", "eur"),
        ("line_items[0][price_data][unit_amount]", "500"),
        ("line_items[0][price_data][product_data][name]", "Tea"),
        ("line_items[0][quantity]", "1"),
    ];
    let card = [("type", "card"), ("card[token]", "tok_visa")];
    let intent = [("amount", "500"), ("currency", "eur")];
    let there = world.post("/v1/payment_intents", &intent).await;
    let there = format!("/v1/payment_intents/{}", there["id"].as_str().unwrap());
    let confirm = format!("{there}/confirm");
    let jenny = world.post("/v1/customers", &[("email", "jenny@shop.test")]).await;
    let jenny = format!("/v1/customers/{}", jenny["id"].as_str().unwrap());
    for (path, form, param) in [
        ("/v1/payment_intents", &intent[..], "receipt_email"),
        (&there, &[], "receipt_email"),
        (&confirm, &[("payment_method", "pm_card_visa")], "receipt_email"),
        ("/v1/checkout/sessions", &session, "customer_email"),
        ("/v1/checkout/sessions", &session, "payment_intent_data[receipt_email]"),
        ("/v1/customers", &[("name", "Jenny")], "email"),
        (&jenny, &[("name", "Jenny")], "email"),
        ("/v1/payment_methods", &card, "billing_details[email]"),
    ] {
        for odd in ["jenny", "jenny@", "a@b@c", "jenny rosen@shop.test"] {
            let form = [form, &[(param, odd)]].concat();
            let error = world.call("POST", path, &form).await.error(400);
            assert_eq!(
                (&error["code"], &error["param"]),
                (&"email_invalid".into(), &param.into()),
                "{path}"
            );
            assert_eq!(error["message"], format!("Invalid email address: {odd}"), "{path}");
        }
    }
    assert_eq!(world.get(&there).await["status"], "requires_payment_method");
    assert_eq!(world.get(&jenny).await["name"], serde_json::Value::Null);
    let made = world.get("/v1/payment_intents").await;
    assert_eq!(made["data"].as_array().unwrap().len(), 1);
    for (path, form) in [(&there, [("receipt_email", "")]), (&jenny, [("email", "")])] {
        world.post(path, &form).await; // taken away
    }
}

#[tokio::test]
async fn a_payer_who_is_not_there_cannot_be_charged_and_the_error_says_so() {
    let world = World::merchant().await;
    let jenny = world.post("/v1/customers", &[("name", "Jenny")]).await;
    let jenny = jenny["id"].as_str().unwrap();
    let card = [("type", "card"), ("card[token]", "tok_visa")];
    let card = world.post("/v1/payment_methods", &card).await;
    let card = card["id"].as_str().unwrap();
    let attach = format!("/v1/payment_methods/{card}/attach");
    world.post(&attach, &[("customer", jenny)]).await;
    let form = [
        ("amount", "500"),
        ("currency", "eur"),
        ("customer", jenny),
        ("payment_method", card),
        ("confirm", "true"),
        ("off_session", "true"),
    ];
    let error = world.call("POST", "/v1/payment_intents", &form).await.error(400);
    let documented = include_str!("../../../../docs/stripe.md");
    let message = error["message"].as_str().unwrap();
    assert!(documented.contains(message), "docs/stripe.md does not say: {message}");
    assert_eq!(
        (&error["type"], &error["param"], error.get("code")),
        (&"invalid_request_error".into(), &"off_session".into(), None)
    );
    let made = world.get("/v1/payment_intents").await;
    assert_eq!(made["data"], serde_json::json!([]));
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let world = World::provider().await;
    for path in [
        "/v1/payment_intents/pi_nothing",
        "/v1/checkout/sessions/cs_test_x",
        "/v1/customers/cus_x",
        "/v1/payment_methods/pm_x",
        "/v1/refunds/re_x",
        "/v1/charges/ch_x",
        "/v1/balance_transactions/txn_x",
        "/v1/products/prod_x",
        "/v1/prices/price_x",
        "/v1/events/evt_x",
        "/v1/webhook_endpoints/we_x",
        "/v1/disputes/dp_x",
    ] {
        assert_eq!(
            world.call("GET", path, &[]).await.error(404)["code"],
            "resource_missing",
            "{path}"
        );
    }
    for (list, unknown) in [
        ("customers", "cus_x"),
        ("charges", "ch_x"),
        ("events", "evt_x"),
        ("products", "prod_x"),
    ] {
        for param in ["starting_after", "ending_before"] {
            let path = format!("/v1/{list}?{param}={unknown}");
            let error = world.call("GET", &path, &[]).await.error(400);
            assert_eq!(
                (error["code"].as_str(), error["param"].as_str()),
                (Some("resource_missing"), Some(param)),
                "{path}"
            );
        }
    }
    let error = world.call("GET", "/v1/payment_intents/%ff", &[]).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("UTF-8"), "{error}");
    for (method, path) in [
        ("GET", "/v1/subscriptions"),
        ("DELETE", "/v1/payment_intents"),
        ("GET", "/"),
    ] {
        let error = world.call(method, path, &[]).await.error(404);
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with("Unrecognized request URL"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn only_a_key_that_is_in_force_opens_anything() {
    let world = World::provider().await;
    let ask = |value: Option<String>| {
        let request = Request::get("/v1/customers");
        match value {
            Some(value) => request.header(header::AUTHORIZATION, value),
            None => request,
        }
    };
    for value in [
        None,
        Some("Bearer sk_test_wrong".to_owned()),
        Some("Bearer".to_owned()),
        Some("Basic eA==".to_owned()),
    ] {
        let said = world.send(ask(value.clone()), &[]).await;
        assert_eq!(said.status, 401, "{value:?}");
        assert!(!said.text.contains("sk_test_wrong"), "a key is not shown whole");
    }
    let basic = florin_services::base64::encode(format!("{}:", world.key).as_bytes());
    assert_eq!(world.send(ask(Some(format!("Basic {basic}"))), &[]).await.status, 200);
    let connect = ask(Some(format!("Bearer {}", world.key))).header("stripe-account", "acct_1");
    assert_eq!(world.send(connect, &[]).await.status, 403);
}

#[tokio::test]
async fn a_key_does_what_it_may_and_no_more() {
    let world = World::provider().await;
    let key = world.key_for(&[Scope::Read]).await;
    let with = |method: &str, path: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
    };
    assert_eq!(world.send(with("GET", "/v1/payment_intents"), &[]).await.status, 200);
    for (path, form) in [
        ("/v1/payment_intents", [("amount", "100"), ("currency", "eur")]),
        ("/v1/refunds", [("payment_intent", "pi_x"), ("amount", "1")]),
        ("/v1/customers", [("name", "x"), ("email", "x")]),
    ] {
        assert_eq!(world.send(with("POST", path), &form).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn nobody_sees_another_merchants_things() {
    let world = World::provider().await;
    let sale = [
        ("amount", "1099"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
    ];
    let intent = world.post("/v1/payment_intents", &sale).await;
    let customer = world.post("/v1/customers", &[("name", "Jenny")]).await;
    let stranger = world.another().await;
    let with = |method: &str, path: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {stranger}"))
    };
    let text = |object: &serde_json::Value, name: &str| object[name].as_str().unwrap().to_owned();
    let (id, charge) = (text(&intent, "id"), text(&intent, "latest_charge"));
    for path in [
        format!("/v1/payment_intents/{id}"),
        format!("/v1/charges/{charge}"),
        format!("/v1/payment_methods/{}", text(&intent, "payment_method")),
        format!("/v1/customers/{}", text(&customer, "id")),
    ] {
        assert_eq!(world.send(with("GET", &path), &[]).await.status, 404, "{path}");
    }
    assert_eq!(
        world
            .send(with("POST", "/v1/refunds"), &[("payment_intent", &id)])
            .await
            .status,
        400
    );
    assert_eq!(
        world
            .send(with("POST", &format!("/v1/payment_intents/{id}/cancel")), &[])
            .await
            .status,
        404
    );
    for path in [
        "/v1/payment_intents",
        "/v1/charges",
        "/v1/customers",
        "/v1/events",
        "/v1/balance_transactions",
    ] {
        let said = world.send(with("GET", path), &[]).await.object();
        assert_eq!(said["data"].as_array().unwrap().len(), 0, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let world = World::provider().await;
    let post = || Request::post("/v1/customers").header(header::AUTHORIZATION, format!("Bearer {}", world.key));
    let json = post().header(header::CONTENT_TYPE, "application/json");
    assert_eq!(world.send(json, &[("name", "x")]).await.status, 400);
    let long = "x".repeat(70 << 10);
    assert_eq!(world.send(post(), &[("name", &long)]).await.status, 413);
    assert_eq!(
        world
            .send(post().header("idempotency-key", "a\ttab"), &[("name", "x")])
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn no_webhook_goes_into_the_operators_network() {
    let world = World::guarded().await;
    let path = "/v1/webhook_endpoints";
    let form = |url: &'static str| [("url", url), ("enabled_events[]", "*")];
    let good = world.post(path, &form("HTTPS://shop.example/hook")).await;
    let good = format!("{path}/{}", good["id"].as_str().unwrap());
    for url in [
        "http://shop.example/hook",
        "https://169.254.169.254/",
        "https://127.0.0.1",
        "https://[::1]",
        "https://2130706433",
        "https://localhost",
        "https://10.1.2.3/hook",
    ] {
        for said in [
            world.call("POST", path, &form(url)).await,
            world.call("POST", &good, &[("url", url)]).await,
        ] {
            let error = said.error(400);
            let (code, param) = (&error["code"], &error["param"]);
            assert_eq!((code, param), (&"url_invalid".into(), &"url".into()), "{url}");
        }
        let native = serde_json::json!({ "url": url, "events": ["*"] });
        let said = world.native("POST", "/v1/webhook_endpoints", Some(native)).await;
        assert_eq!(said.status == 201, url.starts_with("http:"), "{url}: {}", said.text);
    }
    assert_eq!(world.get(&good).await["url"], "HTTPS://shop.example/hook");
}

#[tokio::test]
async fn a_card_number_in_the_wrong_place_is_not_repeated() {
    let world = World::provider().await;
    let ones = "1".repeat(4);
    let spaced = format!("4{} {ones} {ones} {ones}", &ones[1..]);
    let plain = spaced.replace(' ', "");
    let sale = |name: &'static str, value: &str| {
        let pairs = [("amount", "100"), ("currency", "eur"), (name, value)];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    };
    let mut calls = Vec::new();
    for number in [&spaced, &plain, &format!("tok_{plain}"), &format!("pm_card_{plain}")] {
        calls.push(("POST", "/v1/payment_intents".to_owned(), sale("payment_method", number)));
        calls.push(("POST", "/v1/payment_intents".to_owned(), sale("customer", number)));
        calls.push(("POST", "/v1/payment_intents".to_owned(), sale("receipt_email", number)));
        calls.push(("POST", "/v1/payment_intents".to_owned(), sale("confirm", number)));
        calls.push(("POST", "/v1/payment_intents".to_owned(), sale("expand[]", number)));
        let token =
            [("type", "card"), ("card[token]", number)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        calls.push(("POST", "/v1/payment_methods".to_owned(), token.to_vec()));
    }
    calls.push((
        "POST",
        "/v1/payment_intents".to_owned(),
        vec![(plain.clone(), "1".to_owned())],
    ));
    calls.push(("GET", format!("/v1/payment_methods/{plain}"), Vec::new()));
    calls.push((
        "GET",
        format!("/v1/customers/{}", spaced.replace(' ', "%20")),
        Vec::new(),
    ));
    for (method, path, form) in &calls {
        let form: Vec<(&str, &str)> = form
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let said = world.call(method, path, &form).await;
        assert!(
            (400..500).contains(&said.status),
            "{method} {path} {form:?}: {}",
            said.text
        );
        assert!(
            !said.text.contains(&ones[..]),
            "{method} {path} {form:?}: {}",
            said.text
        );
    }
    let error = world
        .call("GET", &format!("/v1/payment_methods/{plain}"), &[])
        .await
        .error(404);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("card numbers do not belong here"), "{message}");

    let order = serde_json::json!({
        "reference": "A-17", "amount": 1000, "currency": "EUR", "customer": plain,
    });
    let said = world.native("POST", "/v1/orders", Some(order)).await;
    assert!(said.status >= 400 && !said.text.contains(&ones[..]), "{}", said.text);
    let order = serde_json::json!({
        "reference": "A-17", "amount": 1000, "currency": "EUR", "customer": "Ada",
    });
    let said = world.native("POST", "/v1/orders", Some(order)).await;
    assert!(
        said.text
            .contains("`Ada` is not an id of the form `cus_` and 26 characters"),
        "{}",
        said.text
    );
}
