//! The same key and form give the same answer; another form under the key is refused; while the first call runs, its twin is told so.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use florin_core::id::CustomerId;
use florin_core::money::{Currency, Money};
use florin_core::order::{CaptureAt, Initiator, Kind};
use florin_services::ask::{Ask, NewOrder, Pay, What};
use florin_services::clock::Clock as _;
use florin_services::directory::Customer;
use florin_store::{IdemKey, Name, Outcome, Wanted, Which};

use crate::world::World;

const SALE: [(&str, &str); 4] = [
    ("amount", "1099"),
    ("currency", "eur"),
    ("confirm", "true"),
    ("payment_method", "pm_card_visa"),
];

#[tokio::test]
async fn a_repeat_has_the_first_answer_and_says_so() {
    let world = World::provider().await;
    let first = world.keyed("POST", "/v1/payment_intents", &SALE, Some("k-1")).await;
    assert_eq!(first.header("idempotent-replayed"), "");
    let first = first.object();
    world
        .post("/v1/refunds", &[("payment_intent", first["id"].as_str().unwrap())])
        .await;
    let again = world.keyed("POST", "/v1/payment_intents", &SALE, Some("k-1")).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.object(), first, "the answer is the one of then, not of now");
    let other = [("amount", "100"), SALE[1], SALE[2], SALE[3]];
    let reused = world
        .keyed("POST", "/v1/payment_intents", &other, Some("k-1"))
        .await
        .error(400);
    assert_eq!(reused["type"], "idempotency_error");
}

#[tokio::test]
async fn a_key_belongs_to_the_parameters_in_whatever_order_they_come() {
    let world = World::provider().await;
    let named = [("metadata[a]", "1"), ("metadata[b]", "2")];
    let (there, mut back) = ([&SALE[..], &named].concat(), [&SALE[..], &named].concat());
    back.reverse();
    let path = "/v1/payment_intents";
    let first = world.keyed("POST", path, &there, Some("k-1")).await.object();
    let again = world.keyed("POST", path, &back, Some("k-1")).await;
    assert_eq!(again.header("idempotent-replayed"), "true", "{}", again.text);
    assert_eq!(again.object(), first);
    // Of lists the order is what was said.
    let mut form = vec![
        ("name", "Jenny"),
        ("preferred_locales[]", "de"),
        ("preferred_locales[]", "en"),
    ];
    let path = "/v1/customers";
    world.keyed("POST", path, &form, Some("k-2")).await.object();
    form.swap(1, 2);
    let reused = world.keyed("POST", path, &form, Some("k-2")).await.error(400);
    assert_eq!(reused["type"], "idempotency_error");
    let elsewhere = world
        .keyed("POST", "/v1/products", &[("name", "Jenny")], Some("k-2"))
        .await;
    assert_eq!(elsewhere.error(400)["type"], "idempotency_error");
}

/// A key as programs before 2026-11-23 stored it: bound to the bytes of the form.
fn earlier(key: &str, path: &str, form: &[(&str, &str)]) -> IdemKey {
    let body: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let mut digest = Context::new(&SHA256);
    for part in ["POST", path, &body] {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let hash = digest.finish().as_ref().try_into().expect("32 bytes");
    IdemKey {
        key: key.to_owned(),
        hash,
        earlier: None,
    }
}

#[tokio::test]
async fn a_key_that_an_earlier_program_bound_to_the_bytes_still_answers() {
    let world = World::provider().await;
    let (engine, directory) = (&world.doors.engine, &world.doors.directory);
    let ask = async |key, what| {
        let tenant = world.tenant;
        let asked = engine
            .ask(Ask {
                tenant,
                key: Some(key),
                what,
            })
            .await;
        asked.expect("an answer").order.order.id
    };
    let same = async |key: &str, path: &str, form: &[(&str, &str)]| {
        let said = world.keyed("POST", path, form, Some(key)).await;
        assert_eq!(said.header("idempotent-replayed"), "true", "{}", said.text);
        let other = [form, &[("expand[]", "shipping")]].concat();
        let reused = world.keyed("POST", path, &other, Some(key)).await.error(400);
        assert_eq!(reused["type"], "idempotency_error");
        said.object()
    };
    // A key in the row of the order that it made …
    let made = What::Create {
        order: Box::new(NewOrder {
            id: None,
            reference: "A-17".to_owned(),
            kind: Kind::Payment,
            amount: Money::new(1099, Currency::EUR),
            capture: CaptureAt::Once,
            expires_at: None,
            details: Default::default(),
        }),
        start: None,
    };
    let path = "/v1/payment_intents";
    let order = ask(earlier("k-1", path, &SALE[..2]), made).await;
    let open = same("k-1", path, &SALE[..2]).await;
    // … one in a row of its own …
    let path = format!("{path}/{}/confirm", open["id"].as_str().unwrap());
    let pay = Pay {
        method: "card_visa".to_owned(),
        connection: None,
        channel: "stripe".to_owned(),
        initiator: Initiator::Payer,
        return_url: None,
    };
    ask(earlier("k-2", &path, &SALE[3..]), What::Confirm { order, pay }).await;
    assert_eq!(same("k-2", &path, &SALE[3..]).await["status"], "succeeded");
    // … and one of a document.
    let (path, form) = ("/v1/customers", [("name", "Jenny"), ("phone", "1")]);
    let jenny = Customer {
        id: CustomerId::from_uuid(directory.new_uuid()),
        name: Some("Jenny".to_owned()),
        email: None,
        phone: None,
        description: None,
        metadata: Default::default(),
        door: Default::default(),
        created_at: directory.now(),
    };
    let made = directory.make(Some(world.tenant), jenny, Some(earlier("k-3", path, &form)));
    made.await.expect("a customer");
    assert_eq!(same("k-3", path, &form).await["name"], "Jenny");
}

#[tokio::test]
async fn a_repeat_of_what_was_accepted_once_is_answered_whatever_is_refused_by_now() {
    let world = World::merchant().await;
    let path = "/v1/payment_intents";
    for (amount, currency, email) in [(10_000, "clf", "a@b"), (10, "usd", "a@b"), (10_000, "eur", "nobody")] {
        let made = What::Create {
            order: Box::new(NewOrder {
                id: None,
                reference: currency.to_owned(),
                kind: Kind::Payment,
                amount: Money::new(amount, currency.to_ascii_uppercase().parse().expect("a currency")),
                capture: CaptureAt::Once,
                expires_at: None,
                details: Default::default(),
            }),
            start: None,
        };
        let amount = amount.to_string();
        let form = [("amount", &*amount), ("currency", currency), ("receipt_email", email)];
        let key = Some(earlier(currency, path, &form));
        let tenant = world.tenant;
        let asked = world
            .doors
            .engine
            .ask(Ask {
                tenant,
                key,
                what: made,
            })
            .await;
        asked.expect("an order");
        assert_eq!(world.keyed("POST", path, &form, Some("another")).await.status, 400);
        let again = world.keyed("POST", path, &form, Some(currency)).await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{}", again.text);
        assert_eq!(again.object()["currency"], currency);
    }
}

#[tokio::test]
async fn a_price_of_an_earlier_program_is_answered_again_and_gets_into_no_session() {
    let world = World::merchant().await;
    let store = &world.doors.store;
    let (path, rest) = ("/v1/prices", [("unit_amount", "500"), ("product_data[name]", "Cup")]);
    let price = world
        .keyed("POST", path, &[&rest[..], &[("currency", "eur")]].concat(), Some("k-1"))
        .await
        .object();
    let id = price["id"].as_str().expect("an id");
    // As if that had been in a currency that Stripe does not take.
    let which = Which {
        kind: "stripe_price".to_owned(),
        tenant: Some(world.tenant),
        name: Name::Id(id.to_owned()),
    };
    let mut kept = store.get(&which).await.expect("a store").expect("a price");
    kept.body = kept.body.replace("\"eur\"", "\"clf\"");
    kept.version += 1;
    let wanted = Wanted {
        keys: vec![(world.tenant, "k-1".to_owned())],
        ..Wanted::default()
    };
    let mut bound = store.load(&wanted).await.expect("a store").keys.remove(0);
    let form = [&rest[..], &[("currency", "clf")]].concat();
    bound.key = earlier("k-2", path, &form);
    let written = store.put(&[kept], &[bound]).await.expect("a store");
    assert_eq!(written, Outcome::Done);
    let again = world.keyed("POST", path, &form, Some("k-2")).await;
    assert_eq!(again.header("idempotent-replayed"), "true", "{}", again.text);
    assert_eq!(again.object()["id"], id);
    assert_eq!(world.keyed("POST", path, &form, Some("k-3")).await.status, 400);
    let listed = world.get("/v1/prices?currency=clf").await;
    assert_eq!(listed["data"][0]["id"], id);
    let session = [
        ("mode", "payment"),
        ("success_url", "https://shop.test/thanks"),
        ("line_items[0][quantity]", "100"),
        ("line_items[0][price]", id),
    ];
    let refused = world.call("POST", "/v1/checkout/sessions", &session).await.error(400);
    assert_eq!(refused["param"], "line_items[0][price]");
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("Invalid currency: clf. Stripe currently supports"),
        "{message}"
    );
}

#[tokio::test]
async fn a_key_is_any_text_and_a_control_character_is_none() {
    let world = World::provider().await;
    for key in ["order 17, second try", "\"quoted\"", "Größe ✓"] {
        let first = world.keyed("POST", "/v1/payment_intents", &SALE, Some(key)).await;
        let first = first.object();
        let again = world.keyed("POST", "/v1/payment_intents", &SALE, Some(key)).await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{key}");
        assert_eq!(again.object()["id"], first["id"], "{key}");
    }
    for (key, why) in [("a\tb", "control character"), (&*"k".repeat(256), "256 characters")] {
        let refused = world.keyed("POST", "/v1/payment_intents", &SALE, Some(key)).await;
        let refused = refused.error(400);
        assert_eq!(refused["param"], "Idempotency-Key");
        assert!(refused["message"].as_str().unwrap().contains(why), "{refused}");
    }
    let listed = world.get("/v1/payment_intents").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_repeat_of_a_decline_is_the_same_decline() {
    let world = World::provider().await;
    let declined = [
        SALE[0],
        SALE[1],
        SALE[2],
        ("payment_method", "pm_card_visa_chargeDeclined"),
    ];
    let first = world
        .keyed("POST", "/v1/payment_intents", &declined, Some("k-2"))
        .await
        .error(402);
    let again = world.keyed("POST", "/v1/payment_intents", &declined, Some("k-2")).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.error(402), first);
    let listed = world.get("/v1/payment_intents").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "one intent, one try");
}

#[tokio::test]
async fn every_call_that_moves_money_may_be_repeated() {
    let world = World::provider().await;
    let hold = [&SALE[..], &[("capture_method", "manual")]].concat();
    let intent = world.post("/v1/payment_intents", &hold).await;
    let id = intent["id"].as_str().unwrap();
    for (path, form) in [
        (
            format!("/v1/payment_intents/{id}/capture"),
            vec![("amount_to_capture", "1000"), ("metadata[a]", "b")],
        ),
        (
            "/v1/refunds".to_owned(),
            vec![("payment_intent", id), ("amount", "300"), ("metadata[a]", "b")],
        ),
    ] {
        let key = Some(path.as_str());
        let first = world.keyed("POST", &path, &form, key).await.object();
        let again = world.keyed("POST", &path, &form, key).await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
        let again = again.object();
        assert_eq!(
            (&again["id"], &again["status"]),
            (&first["id"], &first["status"]),
            "{path}"
        );
    }
    let refunds = world.get(&format!("/v1/refunds?payment_intent={id}")).await;
    assert_eq!(refunds["data"].as_array().unwrap().len(), 1);
    let other = world.post("/v1/payment_intents", &hold).await;
    let path = format!("/v1/payment_intents/{}/cancel", other["id"].as_str().unwrap());
    let first = world.keyed("POST", &path, &[], Some("cancel")).await.object();
    let again = world.keyed("POST", &path, &[], Some("cancel")).await;
    assert_eq!(
        (again.header("idempotent-replayed"), &again.json()["status"]),
        ("true", &first["status"])
    );
}

#[tokio::test]
async fn documents_are_made_once_per_key() {
    let world = World::provider().await;
    for (path, form) in [
        ("/v1/customers", vec![("name", "Jenny")]),
        ("/v1/products", vec![("name", "Teapot")]),
        (
            "/v1/payment_methods",
            vec![("type", "card"), ("card[token]", "tok_visa")],
        ),
        (
            "/v1/webhook_endpoints",
            vec![("url", "http://127.0.0.1:9/hook"), ("enabled_events[]", "*")],
        ),
    ] {
        let first = world.keyed("POST", path, &form, Some(path)).await.object();
        let again = world.keyed("POST", path, &form, Some(path)).await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
        assert_eq!(again.object(), first, "{path}");
    }
}

#[tokio::test]
async fn what_was_made_and_deleted_is_answered_again() {
    let world = World::provider().await;
    for path in ["/v1/customers", "/v1/products"] {
        let form = [("name", "Jenny")];
        let first = world.keyed("POST", path, &form, Some(path)).await.object();
        let id = first["id"].as_str().unwrap();
        world.call("DELETE", &format!("{path}/{id}"), &[]).await.object();
        let again = world.keyed("POST", path, &form, Some(path)).await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.object(), first, "{path}");
        let shown = world.call("GET", &format!("{path}/{id}"), &[]).await;
        assert!(shown.status == 404 || shown.json()["deleted"] == true, "{}", shown.text);
    }
}

#[tokio::test]
async fn nobody_waits_for_a_call_about_somebody_elses_order() {
    let world = World::provider().await;
    let made = world.post("/v1/payment_intents", &SALE[..2]).await;
    let path = format!("/v1/payment_intents/{}/confirm", made["id"].as_str().unwrap());
    let theirs = world.another().await;
    let slow = [("payment_method", "pm_card_slow")];
    let owner = world.post(&path, &slow);
    let request = http::Request::post(&path).header("authorization", format!("Bearer {theirs}"));
    let other = world.send(request, &slow);
    tokio::pin!(owner);
    let told = tokio::select! {
        biased;
        _ = &mut owner => panic!("the other one waited until the owner was answered"),
        told = other => told,
    };
    assert_eq!(told.error(404)["code"], "resource_missing");
    assert_eq!(owner.await["status"], "processing");
}

#[tokio::test]
async fn a_key_that_paid_makes_no_document() {
    let world = World::provider().await;
    let made = world.keyed("POST", "/v1/payment_intents", &SALE, Some("k-4")).await;
    made.object();
    for (path, form) in [("/v1/customers", &[][..]), ("/v1/products", &[("name", "Teapot")])] {
        let reused = world.keyed("POST", path, form, Some("k-4")).await.error(400);
        assert_eq!(reused["type"], "idempotency_error", "{path}");
    }
}

#[tokio::test]
async fn a_session_is_repeated_when_its_price_is_put_away() {
    let world = World::provider().await;
    let new = [
        ("currency", "eur"),
        ("unit_amount", "500"),
        ("product_data[name]", "Cup"),
    ];
    let price = world.post("/v1/prices", &new).await;
    let price = price["id"].as_str().unwrap();
    let form = [
        ("mode", "payment"),
        ("success_url", "http://shop.test/thanks"),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price]", price),
    ];
    let path = "/v1/checkout/sessions";
    let first = world.keyed("POST", path, &form, Some("k-5")).await.object();
    world.post(&format!("/v1/prices/{price}"), &[("active", "false")]).await;
    let again = world.keyed("POST", path, &form, Some("k-5")).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.object(), first);
    assert_eq!(world.keyed("POST", path, &form, Some("k-6")).await.status, 400);
}

#[tokio::test]
async fn a_twin_of_a_running_call_waits_and_is_then_given_the_object_as_it_stands() {
    let world = World::provider().await;
    let slow = [SALE[0], SALE[1], SALE[2], ("payment_method", "pm_card_slow")];
    let first = world
        .keyed("POST", "/v1/payment_intents", &slow, Some("k-3"))
        .await
        .object();
    assert_eq!(first["status"], "processing");
    let twin = world.keyed("POST", "/v1/payment_intents", &slow, Some("k-3")).await;
    assert_eq!((twin.status, twin.header("stripe-should-retry")), (409, "true"));
    assert_eq!(twin.error(409)["code"], "idempotency_key_in_use");
    world.clock.shift_millis(15_000);
    assert!(world.clock.now() > world.clock.wall());
    tokio::time::sleep(Duration::from_millis(10)).await;
    let later = world
        .keyed("POST", "/v1/payment_intents", &slow, Some("k-3"))
        .await
        .object();
    assert_eq!((&later["id"], &later["status"]), (&first["id"], &"processing".into()));
}

#[tokio::test]
async fn a_dispute_that_is_closed_twice_under_one_key_is_closed_once_and_answered_twice() {
    let world = World::provider().await;
    let disputed = [SALE[0], SALE[1], SALE[2], ("payment_method", "pm_card_createDispute")];
    let intent = world.post("/v1/payment_intents", &disputed).await;
    let disputes = world.get("/v1/disputes").await;
    let id = disputes["data"][0]["id"].as_str().expect("a dispute").to_owned();
    let close = format!("/v1/disputes/{id}/close");
    let first = world.keyed("POST", &close, &[], Some("close")).await;
    assert_eq!(first.header("idempotent-replayed"), "");
    first.object();
    // The bank's decision arrives.
    let refund = [
        ("payment_intent", intent["id"].as_str().expect("an id")),
        ("amount", "1"),
    ];
    world.post("/v1/refunds", &refund).await;
    let again = world.keyed("POST", &close, &[], Some("close")).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.object()["status"], "lost");
    for other in [None, Some("another")] {
        let closed = world.keyed("POST", &close, &[], other).await.error(400);
        assert!(
            closed["message"]
                .as_str()
                .expect("a message")
                .contains("already closed")
        );
    }
    let elsewhere = [("evidence[uncategorized_text]", "losing_evidence")];
    let reused = world
        .keyed("POST", &format!("/v1/disputes/{id}"), &elsewhere, Some("close"))
        .await;
    assert_eq!(reused.error(400)["type"], "idempotency_error");
}
