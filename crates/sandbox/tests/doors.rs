//! The issuer over HTTP: its answers, its errors, its faults.

mod common;

use common::{Caller, Dir, Issuer, PATIENCE, sale, settings};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_payment_from_hold_to_refund_and_what_the_witness_says_of_it() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    let hold =
        json!({"key":"k1","card":"card_visa","amount":1099,"currency":"EUR","capture":false,"description":"A-17"});
    let (status, answer) = issuer.authorize(&hold).await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({
            "id": "iss_000001", "key": "k1", "status": "approved", "amount": 1099, "currency": "EUR", "captured": 0,
            "code": "00", "reason": "approved", "network_transaction_id": answer["network_transaction_id"], "replayed": false
        })
    );
    let capture = json!({"key":"k2","amount":600,"final":false});
    let (status, captured) = issuer
        .post("/authorizations/iss_000001/capture", &capture)
        .await
        .unwrap();
    assert_eq!(status, 200);
    assert_eq!(
        captured,
        json!({
            "id": "iss_000001", "operation": "capture", "key": "k2", "status": "done", "moved": 600, "currency": "EUR",
            "code": "00", "reason": "approved", "replayed": false
        })
    );
    let refund = json!({"key":"k3","amount":601});
    let (status, refused) = issuer.post("/authorizations/iss_000001/refund", &refund).await.unwrap();
    assert_eq!(
        (status, &refused["status"], &refused["code"], &refused["moved"]),
        (200, &json!("refused"), &json!("13"), &json!(0))
    );
    issuer
        .post("/authorizations/iss_000001/refund", &json!({"key":"k4","amount":100}))
        .await
        .unwrap();
    issuer
        .post("/authorizations/iss_000001/cancel", &json!({"key":"k5"}))
        .await
        .unwrap();

    let (status, view) = issuer.witness("/authorizations/iss_000001").await;
    assert_eq!(status, 200);
    for (member, value) in [
        ("status", json!("approved")),
        ("open", json!(false)),
        ("card", json!("card_visa")),
        ("authorized", json!(1099)),
        ("captured", json!(600)),
        ("released", json!(499)),
        ("refunded", json!(100)),
        ("description", json!("A-17")),
    ] {
        assert_eq!(view[member], value, "{member}");
    }
    assert_eq!(view["operations"].as_array().map(Vec::len), Some(4));
    assert_eq!(issuer.witness("/by-key/k1").await, (200, view));
    let (_, step) = issuer.witness("/by-key/k3").await;
    assert_eq!(
        (&step["operation"], &step["status"]),
        (&json!("refund"), &json!("refused"))
    );
    assert_eq!(issuer.witness("/by-key/k9").await.0, 404);

    assert_eq!(
        issuer.kinds().await,
        ["authorized", "captured", "refused", "refunded", "canceled"]
    );
    let (_, totals) = issuer.witness("/totals").await;
    assert_eq!(totals["currencies"]["EUR"]["captured"], 600);
    assert_eq!(totals["data"][0]["authorization"], "iss_000001");
    assert_eq!(
        (&totals["data"][0]["refunded"], &totals["has_more"]),
        (&json!(100), &json!(false))
    );
    issuer.close().await;
}

#[tokio::test]
async fn the_same_key_64_times_at_once_is_one_authorisation() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    let url = format!("http://{}/authorizations", issuer.control);
    let calls: Vec<_> = (0..64)
        .map(|_| {
            // A client each, so a connection each.
            let (caller, url, body) = (Caller::new(), url.clone(), sale("once").to_string());
            tokio::spawn(async move { caller.send("POST", &url, body).await.unwrap().json().unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    let first: Vec<&Value> = answers
        .iter()
        .map(|(_, body)| body)
        .filter(|body| body["replayed"] == false)
        .collect();
    assert_eq!(first.len(), 1);
    for (status, body) in &answers {
        assert_eq!(
            (*status, &body["id"], &body["captured"]),
            (200, &json!("iss_000001"), &json!(1099))
        );
    }
    assert_eq!(issuer.kinds().await, ["authorized", "captured"]);
    issuer.close().await;
}

#[tokio::test]
async fn different_keys_at_once_share_flushes_and_all_are_kept() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    let url = format!("http://{}/authorizations", issuer.control);
    let calls: Vec<_> = (0..200)
        .map(|number| {
            let (caller, url, body) = (
                issuer.caller.clone(),
                url.clone(),
                sale(&format!("k{number}")).to_string(),
            );
            tokio::spawn(async move { caller.send("POST", &url, body).await.unwrap().json().unwrap().0 })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    let mut ids = Vec::new();
    let mut after = 0;
    loop {
        let (_, page) = issuer.witness(&format!("/book?after={after}&limit=33")).await;
        for entry in page["data"].as_array().unwrap() {
            after += 1;
            assert_eq!(entry["seq"], after);
            ids.push(entry["authorization"].clone());
        }
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(ids.len(), 400);
    let (_, totals) = issuer.witness("/totals?after=iss_000150&limit=1000").await;
    assert_eq!(totals["data"].as_array().unwrap().len(), 50);
    assert_eq!(totals["currencies"]["EUR"]["captured"], 1099 * 200);
    issuer.close().await;
}

#[tokio::test]
async fn a_mistake_is_named_and_moves_nothing() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    issuer.authorize(&sale("used")).await;
    let with = |member: &str, value: Value| {
        let mut body = sale("new");
        body[member] = value;
        body
    };
    let wrong = [
        (with("key", json!("used")), 200, None),
        (with("card", json!("4242424242424242")), 422, Some("unknown_card")),
        (with("card", json!("pm_card_visa")), 422, Some("unknown_card")),
        (with("amount", json!(0)), 400, Some("bad_request")),
        (with("amount", json!(-1)), 400, Some("bad_request")),
        (with("amount", json!(10.5)), 400, Some("bad_request")),
        (with("amount", json!("10")), 400, Some("bad_request")),
        (with("currency", json!("eur")), 400, Some("bad_request")),
        (with("three_ds", json!("maybe")), 400, Some("bad_request")),
        (with("key", json!("")), 400, Some("bad_request")),
        (with("key", json!("x".repeat(65))), 400, Some("bad_request")),
        (with("description", json!("x".repeat(501))), 400, Some("bad_request")),
        (with("tip", json!(1)), 400, Some("bad_request")),
        (json!([]), 400, Some("bad_request")),
        (
            json!({"key":"used","card":"card_visa","amount":1,"currency":"EUR","capture":true}),
            409,
            Some("key_reused"),
        ),
    ];
    for (body, status, error) in wrong {
        let (got, answer) = issuer.authorize(&body).await;
        assert_eq!((got, answer["error"].as_str()), (status, error), "{body}: {answer}");
        assert_eq!(error.is_some(), answer["detail"].is_string());
    }
    let (_, answer) = issuer.authorize(&with("tip", json!(1))).await;
    assert!(
        answer["detail"].as_str().unwrap().contains("tip"),
        "the member is named: {answer}"
    );
    for (path, body, status) in [
        ("/authorizations/iss_000009/capture", json!({"key":"n","amount":1}), 404),
        ("/authorizations/ord_1/capture", json!({"key":"n","amount":1}), 404),
        ("/authorizations/iss_000001/explode", json!({"key":"n"}), 404),
        ("/authorizations/iss_000001/refund", json!({"key":"n","amount":0}), 400),
        ("/authorizations/iss_000001/cancel", json!({"key":"n","amount":5}), 400),
        (
            "/authorizations/iss_000001/refund",
            json!({"key":"used","amount":5}),
            409,
        ),
        ("/faults", json!({"operation":"any","kind":"unheard_of"}), 400),
        ("/nowhere", json!({}), 404),
    ] {
        assert_eq!(issuer.post(path, &body).await.unwrap().0, status, "{path}");
    }
    for path in [
        "/book?after=x",
        "/book?limit=0",
        "/book?limit=1001",
        "/book?before=1",
        "/totals?after=5",
        "/nothing",
    ] {
        let (status, answer) = issuer.witness(path).await;
        assert!(
            [400, 404].contains(&status) && answer["detail"].is_string(),
            "{path}: {status}"
        );
    }
    let huge = "x".repeat(100_000);
    let answer = issuer
        .caller
        .send("POST", &format!("http://{}/authorizations", issuer.control), huge)
        .await;
    assert_eq!(
        answer.map(|answer| answer.status),
        Ok(413),
        "a body without end is not read"
    );
    assert_eq!(issuer.kinds().await, ["authorized", "captured"]);
    issuer.close().await;
}

#[tokio::test]
async fn the_witness_only_reads() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    issuer.authorize(&sale("k")).await;
    for (method, path) in [
        ("POST", "/authorizations"),
        ("POST", "/authorizations/iss_000001/refund"),
        ("POST", "/faults"),
        ("DELETE", "/faults"),
        ("DELETE", "/book"),
        ("PUT", "/authorizations/iss_000001"),
    ] {
        let url = format!("http://{}{path}", issuer.witness);
        let answer = issuer
            .caller
            .send(method, &url, r#"{"key":"r","amount":1}"#.into())
            .await
            .unwrap();
        assert!(
            [404, 405].contains(&answer.status),
            "{method} {path}: {}",
            answer.status
        );
    }
    assert_eq!(issuer.kinds().await, ["authorized", "captured"]);
    issuer.close().await;
}

#[tokio::test]
async fn what_follows_by_itself_shows_in_the_book() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    for (key, card) in [
        ("d", "card_createDispute"),
        ("f", "card_refundFail"),
        ("p", "card_pendingRefund"),
    ] {
        let mut body = sale(key);
        body["card"] = json!(card);
        let (_, answer) = issuer.authorize(&body).await;
        if key != "d" {
            let path = format!("/authorizations/{}/refund", answer["id"].as_str().unwrap());
            issuer
                .post(&path, &json!({"key": format!("{key}-refund"), "amount": 1099}))
                .await
                .unwrap();
        }
    }
    let start = Instant::now();
    while issuer.kinds().await.len() < 6 + 2 + 3 {
        assert!(start.elapsed() < PATIENCE, "{:?}", issuer.kinds().await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut late = issuer.kinds().await.split_off(8);
    late.sort();
    assert_eq!(late, ["disputed", "refund_failed", "refunded"]);
    assert_eq!(issuer.witness("/by-key/f-refund").await.1["status"], "failed");
    assert_eq!(issuer.witness("/by-key/p-refund").await.1["status"], "done");
    assert_eq!(issuer.witness("/by-key/d").await.1["disputed"], 1099);
    issuer.close().await;
}

/// One kind of fault on one sale: what the caller sees, and whether the sale happened.
struct Case {
    rule: Value,
    seen: fn(&Result<common::Answer, String>) -> bool,
    happened: bool,
}

#[tokio::test]
async fn every_fault_looks_as_it_says_and_a_repeat_under_the_key_finds_the_truth() {
    fn is(status: u16) -> impl Fn(&Result<common::Answer, String>) -> bool {
        move |answer| answer.as_ref().is_ok_and(|answer| answer.status == status)
    }
    fn body(answer: &Result<common::Answer, String>) -> Value {
        answer
            .as_ref()
            .ok()
            .and_then(|answer| serde_json::from_slice(&answer.body).ok())
            .unwrap_or_default()
    }
    let cases = [
        Case {
            rule: json!({"kind":"timeout_before","ms":50}),
            seen: Result::is_err,
            happened: false,
        },
        Case {
            rule: json!({"kind":"timeout_after","ms":50}),
            seen: Result::is_err,
            happened: true,
        },
        Case {
            rule: json!({"kind":"delay_ms","ms":50}),
            seen: |a| is(200)(a),
            happened: true,
        },
        Case {
            rule: json!({"kind":"delay_ms","ms":50,"when":"after"}),
            seen: |a| is(200)(a),
            happened: true,
        },
        Case {
            rule: json!({"kind":"status_500"}),
            seen: |a| is(500)(a),
            happened: false,
        },
        Case {
            rule: json!({"kind":"status_500","when":"after"}),
            seen: |a| is(500)(a),
            happened: true,
        },
        Case {
            rule: json!({"kind":"status_429"}),
            seen: |a| is(429)(a) && a.as_ref().is_ok_and(|a| a.headers.contains_key("retry-after")),
            happened: false,
        },
        Case {
            rule: json!({"kind":"reset"}),
            seen: Result::is_err,
            happened: true,
        },
        Case {
            rule: json!({"kind":"reset","when":"before"}),
            seen: Result::is_err,
            happened: false,
        },
        Case {
            rule: json!({"kind":"truncated"}),
            seen: Result::is_err,
            happened: true,
        },
        Case {
            rule: json!({"kind":"garbage"}),
            seen: |a| is(200)(a) && body(a).is_null(),
            happened: true,
        },
        Case {
            rule: json!({"kind":"garbage","when":"before"}),
            seen: |a| is(200)(a) && body(a).is_null(),
            happened: false,
        },
        Case {
            rule: json!({"kind":"slow_bytes","ms":1}),
            seen: |a| is(200)(a) && body(a)["captured"] == 1099,
            happened: true,
        },
        Case {
            rule: json!({"kind":"huge"}),
            seen: |a| a.as_ref().is_ok_and(|a| a.body.len() > 10_000_000),
            happened: true,
        },
        Case {
            rule: json!({"kind":"wrong_amount"}),
            seen: |a| body(a)["amount"] == 1100 && body(a)["captured"] == 1100,
            happened: true,
        },
        Case {
            rule: json!({"kind":"wrong_currency"}),
            seen: |a| body(a)["currency"] == "XTS",
            happened: true,
        },
        Case {
            rule: json!({"kind":"duplicate"}),
            seen: |a| is(200)(a) && body(a)["code"] == "94",
            happened: false,
        },
    ];
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    let url = format!("http://{}/authorizations", issuer.control);
    let faults = format!("http://{}/faults", issuer.control);
    for (number, mut case) in cases.into_iter().enumerate() {
        let key = format!("k{number}");
        case.rule["operation"] = json!("authorize");
        let (status, armed) = issuer.post("/faults", &case.rule).await.unwrap();
        assert_eq!(status, 201, "{armed}");
        let start = Instant::now();
        let answer = issuer.caller.send("POST", &url, sale(&key).to_string()).await;
        assert!((case.seen)(&answer), "{}: {answer:?}", case.rule);
        if let Some(ms) = case.rule["ms"].as_u64().filter(|ms| *ms > 1) {
            assert!(start.elapsed() >= Duration::from_millis(ms), "{}", case.rule);
        }
        let (found, _) = issuer.witness(&format!("/by-key/{key}")).await;
        assert_eq!(found, if case.happened { 200 } else { 404 }, "{}", case.rule);
        let list = issuer
            .caller
            .send("GET", &faults, String::new())
            .await
            .unwrap()
            .json()
            .unwrap()
            .1;
        assert_eq!(
            (&list["data"][0]["struck"], &list["data"][1]),
            (&json!(1), &Value::Null),
            "{list}"
        );
        assert_eq!(
            issuer
                .caller
                .send("DELETE", &faults, String::new())
                .await
                .unwrap()
                .status,
            204
        );
        // The same request again, now that all is well.
        let (_, truth) = issuer.authorize(&sale(&key)).await;
        assert_eq!(
            (&truth["replayed"], &truth["amount"]),
            (&json!(case.happened), &json!(1099)),
            "{}",
            case.rule
        );
    }
    let (_, totals) = issuer.witness("/totals").await;
    assert_eq!(
        totals["data"].as_array().unwrap().len(),
        17,
        "one authorisation for each key, whatever went wrong"
    );
    assert_eq!(totals["currencies"]["EUR"]["captured"], 17 * 1099);
    issuer.close().await;
}

#[tokio::test]
async fn faults_strike_steps_and_reads_but_never_the_witness() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    issuer
        .authorize(&json!({"key":"k","card":"card_visa","amount":100,"currency":"EUR","capture":false}))
        .await;
    for (operation, body, moved) in [
        ("capture", json!({"key":"c","amount":60}), "captured"),
        ("refund", json!({"key":"r","amount":10}), "refunded"),
    ] {
        issuer
            .post("/faults", &json!({"operation":operation,"kind":"reset","count":1}))
            .await
            .unwrap();
        let path = format!("/authorizations/iss_000001/{operation}");
        assert_eq!(issuer.post(&path, &body).await, None, "{operation}");
        assert_eq!(
            issuer.witness("/authorizations/iss_000001").await.1[moved],
            body["amount"]
        );
        let (_, again) = issuer.post(&path, &body).await.unwrap();
        assert_eq!((&again["replayed"], &again["moved"]), (&json!(true), &body["amount"]));
    }
    issuer
        .post("/faults", &json!({"operation":"cancel","kind":"status_500","count":1}))
        .await
        .unwrap();
    let cancel = json!({"key":"x"});
    assert_eq!(
        issuer
            .post("/authorizations/iss_000001/cancel", &cancel)
            .await
            .unwrap()
            .0,
        500
    );
    assert_eq!(
        issuer
            .post("/authorizations/iss_000001/cancel", &cancel)
            .await
            .unwrap()
            .1["status"],
        "refused"
    );
    issuer
        .post("/faults", &json!({"operation":"any","kind":"garbage"}))
        .await
        .unwrap();
    for path in ["/authorizations/iss_000001", "/by-key/k"] {
        let url = format!("http://{}{path}", issuer.control);
        assert!(
            issuer
                .caller
                .send("GET", &url, String::new())
                .await
                .unwrap()
                .json()
                .is_none()
        );
        assert_eq!(issuer.witness(path).await.0, 200);
    }
    assert_eq!(issuer.witness("/book").await.0, 200);
    issuer.close().await;
}

#[tokio::test]
async fn an_effect_can_come_after_everybody_stopped_listening() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    issuer
        .post("/faults", &json!({"operation":"authorize","kind":"delay_ms","ms":200}))
        .await
        .unwrap();
    let late = sale("late");
    let call = issuer.post("/authorizations", &late);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), call).await.is_err(),
        "the caller hangs up"
    );
    assert_eq!(issuer.witness("/by-key/late").await.0, 404);
    let start = Instant::now();
    while issuer.witness("/by-key/late").await.0 == 404 {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    issuer.close().await;
}

#[tokio::test]
async fn a_reset_is_a_reset_on_the_wire_and_slow_bytes_are_slow() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    let body = sale("k").to_string();
    let request = format!(
        "POST /authorizations HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    issuer
        .post("/faults", &json!({"operation":"authorize","kind":"reset","count":1}))
        .await
        .unwrap();
    let mut wire = TcpStream::connect(issuer.control).await.unwrap();
    wire.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let error = wire.read_to_end(&mut heard).await.expect_err("a reset, not an end");
    assert_eq!((error.kind(), heard.len()), (ErrorKind::ConnectionReset, 0));

    issuer
        .post("/faults", &json!({"operation":"authorize","kind":"slow_bytes","ms":3}))
        .await
        .unwrap();
    let mut wire = TcpStream::connect(issuer.control).await.unwrap();
    wire.write_all(request.as_bytes()).await.unwrap();
    let start = Instant::now();
    let mut reads = 0;
    while !heard.ends_with(b"}") {
        reads += 1;
        assert!(wire.read_buf(&mut heard).await.unwrap() > 0);
    }
    assert!(reads > 50, "{reads} pieces");
    assert!(start.elapsed() >= Duration::from_millis(3 * 150));
    issuer.close().await;
}

#[tokio::test]
async fn a_door_closes_although_a_request_hangs() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    issuer
        .post("/faults", &json!({"operation":"authorize","kind":"timeout_before"}))
        .await
        .unwrap();
    let (caller, url) = (
        issuer.caller.clone(),
        format!("http://{}/authorizations", issuer.control),
    );
    let hanging = tokio::spawn(async move { caller.send("POST", &url, sale("k").to_string()).await });
    while issuer.faults.list()[0].struck == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let start = Instant::now();
    issuer.close().await;
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(hanging.await.unwrap().is_err());
}
