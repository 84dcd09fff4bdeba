//! Notices on their way: brought until each is acknowledged, whatever goes wrong with them and whoever is killed meanwhile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use common::{Dir, Issuer, PATIENCE, sale, settings};
use florin_sandbox::courier::Courier;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "whsec_of_the_notices";

/// Who is told: keeps what it heard, and acknowledges it or not.
#[derive(Clone, Default)]
struct Hook {
    heard: Arc<Mutex<Vec<Value>>>,
    /// How many of the next ones it refuses.
    refuses: Arc<Mutex<u32>>,
}

impl Hook {
    async fn open(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(hear)).with_state(self.clone());
        tokio::spawn(florin_sandbox::serve::serve(listener, router, CancellationToken::new()));
        address
    }

    fn ids(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .map(|notice| notice["id"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn until(&self, heard: usize) -> Vec<String> {
        let start = Instant::now();
        while self.ids().len() < heard {
            assert!(start.elapsed() < PATIENCE, "{:?}", self.ids());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.ids()
    }
}

async fn hear(State(hook): State<Hook>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["issuer-signature"].to_str().unwrap();
    let (seconds, hex) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let signed = [format!("{seconds}.").as_bytes(), &body].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), &signed);
    let expected: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected, "the signature is over the moment and the bytes");
    hook.heard.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
    let mut refuses = hook.refuses.lock().unwrap();
    if *refuses > 0 {
        *refuses -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::OK
}

fn courier(issuer: &Issuer, address: &str) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let courier = Courier {
        clerk: issuer.clerk.clone(),
        faults: issuer.faults.clone(),
        address: address.parse().unwrap(),
        secret: SECRET.into(),
    };
    let stop = CancellationToken::new();
    (stop.clone(), tokio::spawn(courier.run(stop)))
}

async fn disputed(issuer: &Issuer, key: &str) {
    let mut body = sale(key);
    body["card"] = json!("card_createDispute");
    issuer.authorize(&body).await;
}

async fn until_acknowledged(issuer: &Issuer) {
    let start = Instant::now();
    while !issuer.clerk.notices(10).await.unwrap().is_empty() {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn arm(issuer: &Issuer, kind: &str, rest: Value) {
    let mut rule = json!({"operation": "notice", "kind": kind});
    for (name, value) in rest.as_object().unwrap() {
        rule[name] = value.clone();
    }
    let (status, armed) = issuer.post("/faults", &rule).await.unwrap();
    assert_eq!(status, 201, "{armed}");
}

#[tokio::test]
async fn a_notice_says_where_to_look_and_comes_again_until_it_is_acknowledged() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    let hook = Hook::default();
    *hook.refuses.lock().unwrap() = 2;
    let (stop, running) = courier(&issuer, &hook.open().await);
    disputed(&issuer, "a").await;
    let ids = hook.until(3).await;
    assert_eq!(ids, ["ntc_000003"; 3]);
    until_acknowledged(&issuer).await;
    let first = hook.heard.lock().unwrap()[0].clone();
    assert_eq!(
        (&first["kind"], &first["authorization"], &first["amount"]),
        (&json!("disputed"), &json!("iss_000001"), &Value::Null)
    );
    assert_eq!(
        issuer.kinds().await,
        ["authorized", "captured", "disputed", "acknowledged"]
    );
    // And then never again.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(hook.ids().len(), 3);
    stop.cancel();
    running.await.unwrap();
    issuer.close().await;
}

#[tokio::test]
async fn what_was_not_acknowledged_is_told_by_the_next_issuer_over_the_same_book() {
    let dir = Dir::new();
    let book = dir.join("issuer.book");
    let issuer = Issuer::open(settings(&book)).await;
    let hook = Hook::default();
    arm(&issuer, "timeout_before", json!({})).await;
    let address = hook.open().await;
    let (stop, running) = courier(&issuer, &address);
    disputed(&issuer, "a").await;
    let start = Instant::now();
    while issuer.faults.list()[0].struck < 2 {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(hook.ids(), [""; 0], "each one went missing");
    stop.cancel();
    running.await.unwrap();
    issuer.close().await;

    let issuer = Issuer::open(settings(&book)).await;
    let (stop, running) = courier(&issuer, &address);
    assert_eq!(hook.until(1).await, ["ntc_000003"]);
    until_acknowledged(&issuer).await;
    stop.cancel();
    running.await.unwrap();
    issuer.close().await;

    let issuer = Issuer::open(settings(&book)).await;
    assert_eq!(
        issuer.clerk.notices(10).await.unwrap(),
        [],
        "what was acknowledged stays so"
    );
    issuer.close().await;
}

#[tokio::test]
async fn a_notice_can_be_doubled_late_behind_others_or_told_again_because_its_answer_was_lost() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    let hook = Hook::default();
    let (stop, running) = courier(&issuer, &hook.open().await);
    arm(&issuer, "duplicate", json!({"count": 1})).await;
    disputed(&issuer, "a").await;
    assert_eq!(hook.until(2).await, ["ntc_000003"; 2]);
    until_acknowledged(&issuer).await;

    hook.heard.lock().unwrap().clear();
    arm(&issuer, "reset", json!({"count": 1})).await;
    disputed(&issuer, "b").await;
    let ids = hook.until(2).await;
    assert_eq!(ids[0], ids[1], "told again");
    until_acknowledged(&issuer).await;

    hook.heard.lock().unwrap().clear();
    arm(&issuer, "delay_ms", json!({"count": 1, "ms": 1_000})).await;
    disputed(&issuer, "c").await;
    disputed(&issuer, "d").await;
    let ids = hook.until(2).await;
    assert!(ids[0] > ids[1], "the later one overtook the earlier one: {ids:?}");
    until_acknowledged(&issuer).await;
    stop.cancel();
    running.await.unwrap();
    issuer.close().await;
}

#[tokio::test]
async fn a_fault_that_a_notice_cannot_have_is_refused_and_those_of_requests_leave_it_alone() {
    let dir = Dir::new();
    let issuer = Issuer::open(settings(&dir.join("issuer.book"))).await;
    let rule = json!({"operation": "notice", "kind": "wrong_amount"});
    let (status, refused) = issuer.post("/faults", &rule).await.unwrap();
    assert_eq!(status, 400);
    assert!(refused["detail"].as_str().unwrap().contains("duplicate"), "{refused}");
    let hook = Hook::default();
    let (stop, running) = courier(&issuer, &hook.open().await);
    disputed(&issuer, "a").await;
    let (status, _) = issuer
        .post("/faults", &json!({"operation": "any", "kind": "timeout_before"}))
        .await
        .unwrap();
    assert_eq!(status, 201);
    assert_eq!(hook.until(1).await, ["ntc_000003"]);
    until_acknowledged(&issuer).await;
    stop.cancel();
    running.await.unwrap();
    issuer.close().await;
}
