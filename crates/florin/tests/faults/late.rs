//! What the card's bank does of its own accord after everybody was answered: disputes, refunds that come back or are done later. It tells
//! the pretend provider by notices, the provider tells Florin by webhooks, and Florin the merchant. Notices are lost, doubled and late, and
//! everybody is killed: the end is the same, and three books agree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::pretend::{Dev, audited};
use crate::receiver::Receiver;
use crate::till::{CONVERGES, Till};
use crate::world::Folder;
use crate::{count, http};

/// Which notice it is whose commit nobody outlives, counted over product and provider: two payments bring the product six of its
/// provider's, the next ones are the bank's. In full the twelve first.
const PASSAGES: [u32; 2] = [1, 7];
const PASSAGES_FULL: u32 = 12;

/// A merchant with `florin dev`.
struct Pretend {
    folder: Folder,
    dev: Dev,
    till: Arc<Till>,
}

impl Pretend {
    async fn start(env: &[(&str, String)]) -> Self {
        let folder = Folder::new();
        let dev = Dev::start_with(&folder, None, env).await;
        let till = Arc::new(Till::new(dev.address("api"), dev.address("key")));
        Self { folder, dev, till }
    }

    /// `kill -9` of product, provider and issuer together, and their start over the same data.
    async fn restarted(self) -> Self {
        self.dev.kill().await;
        let dev = Dev::start(&self.folder, None).await;
        self.till.turn_to(dev.address("api"));
        Self { dev, ..self }
    }

    /// A fault of the issuer's notices.
    async fn notices(&self, kind: &str, rest: Value) {
        let ports = std::fs::read_to_string(self.folder.0.join("ports.json")).unwrap();
        let ports: Value = serde_json::from_str(&ports).unwrap();
        let mut rule = json!({"operation": "notice", "kind": kind});
        for (name, value) in rest.as_object().unwrap() {
            rule[name] = value.clone();
        }
        let control = format!("http://127.0.0.1:{}", ports["control"]);
        let json = [("content-type", "application/json")];
        let armed = http::ask(&control, "POST", "/faults", &json, rule.to_string().as_bytes()).await;
        assert_eq!(armed.status(), Some(201), "{armed:?}");
    }

    async fn listen(&self) -> Receiver {
        let receiver = Receiver::start();
        let body = json!({"url": receiver.url});
        let base = self.till.base();
        let made = self
            .till
            .unwritten(&base, "endpoint", "/v1/webhook_endpoints", &body)
            .await;
        assert_eq!(made.status(), Some(201), "{made:?}");
        receiver
    }

    /// Pays with this card; answers the order's id.
    async fn paid(&self, card: &str) -> String {
        let body = json!({"amount": 1000, "currency": "EUR", "reference": card, "confirm": true, "method": card});
        let paid = self.till.settle(card, "/v1/orders", &body).await;
        assert_eq!(paid.status, 201, "{paid:?}");
        paid.text("id").to_owned()
    }

    async fn refunded(&self, order: &str) {
        let key = format!("refund-{order}");
        let path = format!("/v1/orders/{order}/refunds");
        // A refund that pends is answered as such; whether it was heard does not matter here.
        let heard = self.till.post(&key, &path, &json!({"amount": 400})).await;
        assert!(matches!(heard.status(), Some(201 | 202)), "{heard:?}");
    }

    async fn order(&self, order: &str) -> Value {
        self.till.get(&format!("/v1/orders/{order}")).await.said().body
    }

    async fn refund(&self, order: &str) -> Value {
        let page = self.till.get(&format!("/v1/orders/{order}/refunds")).await.said();
        page.body["data"][0].clone()
    }

    /// Kinds of the issuer's book, and how many of each.
    async fn book(&self) -> BTreeMap<String, usize> {
        let page = http::ask(self.dev.address("issuer"), "GET", "/book?limit=1000", &[], b"").await;
        let mut kinds = BTreeMap::new();
        for entry in page.said().body["data"].as_array().unwrap() {
            *kinds.entry(entry["kind"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        kinds
    }

    /// Asks the provider in Stripe's language, or Florin's own door for it.
    async fn stripe(&self, door: &str, method: &str, path: &str, form: &str) -> http::Said {
        let secrets = std::fs::read_to_string(self.folder.0.join("secrets.json")).unwrap();
        let secrets: Value = serde_json::from_str(&secrets).unwrap();
        let key = if door == "provider" { "provider_key" } else { "key" };
        let bearer = format!("Bearer {}", secrets[key].as_str().unwrap());
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        http::ask(self.dev.address(door), method, path, &headers, form.as_bytes())
            .await
            .said()
    }

    /// A list of the provider's.
    async fn provider(&self, path: &str) -> Vec<Value> {
        let page = self.stripe("provider", "GET", path, "").await;
        assert_eq!(page.status, 200, "{page:?}");
        page.body["data"].as_array().unwrap().clone()
    }

    /// What the provider says happened, in Stripe's words.
    async fn provider_says(&self, kind: &str) -> Vec<Value> {
        self.provider(&format!("/v1/events?type={kind}&limit=100")).await
    }

    /// What the provider owes the merchant.
    async fn balance(&self) -> i64 {
        let said = self.stripe("provider", "GET", "/v1/balance", "").await;
        said.body["available"][0]["amount"].as_i64().unwrap()
    }

    async fn until_dispute(&self, order: &str, status: &str) -> Value {
        until(status, async || {
            let order = self.order(order).await;
            if order["dispute_status"] == status {
                Ok(order)
            } else {
                Err(order)
            }
        })
        .await
    }

    async fn audited(&self) {
        audited(&self.folder, None, self.dev.address("issuer")).await;
    }
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, Value>) -> T {
    let deadline = Instant::now() + CONVERGES;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(stands) => assert!(Instant::now() < deadline, "{what} never came to pass: {stands}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the merchant knows of the dispute of one order, and of the refund of the other that came back.
async fn both_are_known(pretend: &Pretend, disputed: &str, refunded: &str) {
    until("the dispute", async || {
        let order = pretend.order(disputed).await;
        let known = order["dispute_status"] == "open" && order["amount_disputed"] == 1000;
        if known { Ok(()) } else { Err(order) }
    })
    .await;
    until("the refund's return", async || {
        let refund = pretend.refund(refunded).await;
        if refund["status"] == "returned" {
            Ok(())
        } else {
            Err(refund)
        }
    })
    .await;
    let order = pretend.order(refunded).await;
    assert_eq!(
        (&order["payment_order_status"], &order["amount_refunded"]),
        (&json!("captured"), &json!(0)),
        "the money is the merchant's again: {order}"
    );
    let order = pretend.order(disputed).await;
    assert_eq!(order["deliverable"], false, "{order}");
}

/// How often the merchant was told each of these.
fn told(receiver: &Receiver, kinds: &[&str]) -> Vec<usize> {
    let arrived = receiver.arrived();
    let ids = |kind: &str| {
        let of_kind = arrived.iter().filter(|event| event.body["type"] == kind);
        of_kind
            .map(|event| event.id.clone())
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    kinds.iter().map(|kind| ids(kind)).collect()
}

async fn until_told(receiver: &Receiver) {
    let kinds = ["dispute.opened", "refund.returned"];
    until("the merchant's webhooks", async || {
        let times = told(receiver, &kinds);
        if times.iter().all(|times| *times > 0) {
            Ok(())
        } else {
            Err(json!(times))
        }
    })
    .await;
    assert_eq!(told(receiver, &kinds), [1, 1], "each happened once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_31_what_the_bank_does_later_reaches_the_merchant_although_its_notices_were_lost_and_all_were_killed() {
    let pretend = Pretend::start(&[]).await;
    let receiver = pretend.listen().await;
    pretend.notices("timeout_before", json!({})).await;
    let disputed = pretend.paid("card_createDispute").await;
    let back = pretend.paid("card_refundFail").await;
    let slow = pretend.paid("card_pendingRefund").await;
    for order in [&back, &slow] {
        pretend.refunded(order).await;
    }
    until("what the bank does later", async || {
        let book = pretend.book().await;
        let done = ["disputed", "refund_failed", "refunded"]
            .iter()
            .all(|kind| book.contains_key(*kind));
        if done { Ok(()) } else { Err(json!(book)) }
    })
    .await;
    let order = pretend.order(&disputed).await;
    assert_eq!(order["dispute_status"], Value::Null, "nobody was told: {order}");
    let refund = pretend.refund(&back).await;
    assert_eq!(refund["status"], "succeeded", "nobody was told: {refund}");
    assert_eq!(pretend.book().await.get("acknowledged"), None);

    let pretend = pretend.restarted().await;
    both_are_known(&pretend, &disputed, &back).await;
    until("the slow refund", async || {
        let refund = pretend.refund(&slow).await;
        if refund["status"] == "succeeded" {
            Ok(())
        } else {
            Err(refund)
        }
    })
    .await;
    until_told(&receiver).await;
    for kind in [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "refund.failed",
        "charge.refund.updated",
    ] {
        let events = pretend.provider_says(kind).await;
        assert!(!events.is_empty(), "the provider says no {kind}");
    }
    let failed = &pretend.provider_says("refund.failed").await[0]["data"]["object"];
    assert_eq!(
        (&failed["status"], &failed["amount"]),
        (&json!("failed"), &json!(400)),
        "{failed}"
    );
    until("every acknowledgement", async || {
        let book = pretend.book().await;
        if book.get("acknowledged") == Some(&3) {
            Ok(())
        } else {
            Err(json!(book))
        }
    })
    .await;
    pretend.audited().await;
    pretend.dev.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_29_notices_of_the_bank_that_come_twice_late_and_again_are_booked_once() {
    let pretend = Pretend::start(&[]).await;
    let receiver = pretend.listen().await;
    // Their acknowledgements are lost at first, then each comes twice at once, and some come behind later ones.
    pretend.notices("timeout_after", json!({"count": 2})).await;
    pretend.notices("duplicate", json!({"count": 2})).await;
    pretend
        .notices("delay_ms", json!({"ms": 700, "permille": 500, "seed": 7}))
        .await;
    let disputed = pretend.paid("card_createDispute").await;
    let back = pretend.paid("card_refundFail").await;
    pretend.refunded(&back).await;
    both_are_known(&pretend, &disputed, &back).await;
    until("every acknowledgement", async || {
        let book = pretend.book().await;
        if book.get("acknowledged") == Some(&2) {
            Ok(())
        } else {
            Err(json!(book))
        }
    })
    .await;
    until_told(&receiver).await;
    pretend.audited().await;
    pretend.dev.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_35_a_crash_between_the_commit_of_any_notice_and_its_answer_forgets_nothing_of_the_bank() {
    let rest = (1..=PASSAGES_FULL).filter(|passage| !PASSAGES.contains(passage));
    let all: Vec<u32> = PASSAGES.into_iter().chain(rest).collect();
    for passage in &all[..count(PASSAGES.len(), all.len())] {
        let crash = [(florin_services::crash::VARIABLE, format!("after_notice:{passage}"))];
        let mut pretend = Pretend::start(&crash).await;
        let card =
            |card: &str| json!({"amount": 1000, "currency": "EUR", "reference": card, "confirm": true, "method": card});
        for name in ["card_createDispute", "card_refundFail"] {
            // It may die at any moment from now on.
            drop(pretend.till.post(name, "/v1/orders", &card(name)).await);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while pretend.dev.runs() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let pretend = pretend.restarted().await;
        let disputed = pretend.paid("card_createDispute").await;
        let back = pretend.paid("card_refundFail").await;
        pretend.refunded(&back).await;
        both_are_known(&pretend, &disputed, &back).await;
        pretend.audited().await;
        pretend.dev.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_that_wins_and_a_dispute_that_is_accepted_end_it_at_the_bank_and_at_the_merchant() {
    let pretend = Pretend::start(&[]).await;
    let receiver = pretend.listen().await;
    let ours = pretend.paid("card_createDispute").await;
    let theirs = pretend.paid("card_createDisputeProductNotReceived").await;
    let intent = pretend.until_dispute(&ours, "open").await["last_attempt"]["provider_reference"].clone();
    pretend.until_dispute(&theirs, "open").await;
    let mut disputes = pretend.provider("/v1/disputes").await;
    assert_eq!(disputes.len(), 2, "{disputes:?}");
    disputes.sort_by_key(|dispute| dispute["payment_intent"] != intent);
    let reasons = |disputes: &[Value]| disputes.iter().map(|one| one["reason"].clone()).collect::<Vec<_>>();
    assert_eq!(reasons(&disputes), ["fraudulent", "product_not_received"]);
    let mut ours_of_them = pretend.stripe("stripe", "GET", "/v1/disputes", "").await.body["data"].take();
    ours_of_them.as_array_mut().unwrap().reverse();
    assert_eq!(
        reasons(ours_of_them.as_array().unwrap()),
        ["fraudulent", "product_not_received"]
    );
    for dispute in &disputes {
        let withdrawn = &dispute["balance_transactions"];
        assert_eq!(
            (&dispute["status"], &withdrawn[0]["net"], &withdrawn[1]),
            (&json!("needs_response"), &json!(-1000), &Value::Null),
            "{dispute}"
        );
    }
    assert_eq!(pretend.balance().await, 0, "all of it is held back");

    let path = |dispute: &Value, more: &str| format!("/v1/disputes/{}{more}", dispute["id"].as_str().unwrap());
    let draft = "evidence[uncategorized_text]=we+sent+it&submit=false";
    let said = pretend.stripe("provider", "POST", &path(&disputes[0], ""), draft).await;
    assert_eq!(
        (
            said.status,
            said.text("status"),
            &said.body["evidence_details"]["submission_count"]
        ),
        (200, "needs_response", &json!(0)),
        "{said:?}"
    );
    let winning = "evidence[uncategorized_text]=winning_evidence";
    let said = pretend
        .stripe("provider", "POST", &path(&disputes[0], ""), winning)
        .await;
    assert_eq!((said.status, said.text("status")), (200, "won"), "{said:?}");
    assert_eq!(said.body["balance_transactions"][1]["net"], 1000, "{said:?}");
    let again = pretend
        .stripe("provider", "POST", &path(&disputes[0], ""), winning)
        .await;
    assert_eq!(again.status, 400, "{again:?}");
    let said = pretend
        .stripe("provider", "POST", &path(&disputes[1], "/close"), "")
        .await;
    assert_eq!((said.status, said.text("status")), (200, "lost"), "{said:?}");

    let won = pretend.until_dispute(&ours, "won").await;
    assert_eq!(
        (&won["amount_disputed"], &won["deliverable"]),
        (&json!(0), &json!(true)),
        "{won}"
    );
    let lost = pretend.until_dispute(&theirs, "lost").await;
    assert_eq!(
        (&lost["amount_disputed"], &lost["deliverable"]),
        (&json!(1000), &json!(false)),
        "{lost}"
    );
    assert_eq!(pretend.balance().await, 1000);
    until("the merchant's webhooks", async || {
        let times = told(&receiver, &["dispute.opened", "dispute.won", "dispute.lost"]);
        if times == [2, 1, 1] { Ok(()) } else { Err(json!(times)) }
    })
    .await;
    for (kind, times) in [
        ("charge.dispute.funds_withdrawn", 2),
        ("charge.dispute.funds_reinstated", 1),
        ("charge.dispute.closed", 2),
    ] {
        assert_eq!(pretend.provider_says(kind).await.len(), times, "{kind}");
    }
    // At the merchant's own door disputes are read.
    let seen = pretend.stripe("stripe", "GET", "/v1/disputes", "").await;
    let id = seen.body["data"][0]["id"].as_str().unwrap().to_owned();
    let refused = pretend
        .stripe("stripe", "POST", &format!("/v1/disputes/{id}/close"), "")
        .await;
    assert_eq!(refused.status, 400, "{refused:?}");
    pretend.audited().await;
    pretend.dev.kill().await;
}
