//! The judge of every fault test. When the fault is over and everything has come to its end, what callers were told, the database, the
//! ledger, the events, the webhooks and the provider's own book have to be one story:
//!
//! 1. what was acknowledged is there;
//! 2. one key moved money once and has one answer;
//! 3. nothing was called failed that was not;
//! 4. the books balance, and the balances are their sums;
//! 5. no more was captured than held, or given back than captured;
//! 6. every event was told, in order;
//! 7. no secret stands in a file or a log;
//! 8. nothing is left open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use florin_store::{EventRow, OrderRow, Store};
use florin_testkit::check::{self, Answer};
use serde_json::Value;

use crate::http::Said;
use crate::node::{Node, program};
use crate::till::{Call, Till};
use crate::world::{HOOK_SECRET, PSP_KEY, World};

/// Calls that are made once more at the end.
const REPEATED: usize = 30;
/// Orders whose public events are read.
const READ: usize = 30;
/// Rows read at a time.
const PAGE: u32 = 1_000;

impl World {
    /// Heals everything, waits for the end of all that is under way, stops the server, and judges.
    pub async fn check(&self, node: Node) {
        self.psp.heal();
        if let Some(wire) = &self.wire {
            wire.heal();
        }
        self.till.turn_to(&node.api);
        self.hook_all().await;
        self.till.settle_all().await;
        self.till.repeat(REPEATED).await;
        self.quiet().await;
        let public = public_events(&self.till).await;
        let mut wrong = self.books().await;
        node.stop().await;
        wrong.extend(self.judge().await);
        wrong.extend(self.psp.check_keys());
        if let Some(receiver) = self.receiver() {
            wrong.extend(told(&public, &receiver.arrived()));
        }
        if let Some(why) = self.audit().await {
            wrong.push(why);
        }
        for secret in [PSP_KEY, HOOK_SECRET, &self.till.key] {
            wrong.extend(found_in(&self.folder.0, secret));
        }
        assert!(
            wrong.is_empty(),
            "{} things are wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    /// What the database holds, against what callers were told and what the provider wrote down.
    pub async fn judge(&self) -> Vec<String> {
        let store = self.store().await;
        let (orders, events) = rows(store.as_ref()).await;
        let mut wrong = Vec::new();
        let calls = self.till.calls();
        for (key, call) in &calls {
            wrong.extend(one_answer(key, call));
        }
        let calls: Vec<check::Call> = calls.iter().map(|(key, call)| as_told(key, call)).collect();
        let witness = self.psp.witness();
        wrong.extend(check::check(check::Evidence {
            calls: &calls,
            orders: &orders,
            events: &events,
            witness: Some(&witness),
            settled: true,
        }));
        wrong
    }

    /// Balances are the sums of the ledger's entries, and those are zero in each currency.
    pub async fn books(&self) -> Vec<String> {
        let mut sums: BTreeMap<(String, String), i128> = BTreeMap::new();
        let mut after = String::new();
        loop {
            let page = self
                .till
                .get(&format!("/v1/ledger_entries?limit=100{after}"))
                .await
                .said();
            let data = page.body["data"].as_array().cloned().unwrap_or_default();
            for entry in data.iter().filter(|entry| entry["phase"] == "posted") {
                let (amount, currency) = (entry["amount"].as_i64().unwrap_or_default(), text(&entry["currency"]));
                for (side, sign) in [("debit", 1), ("credit", -1)] {
                    let account = text(&entry[side]["account"]);
                    *sums.entry((account, currency.clone())).or_default() += i128::from(amount) * sign;
                }
            }
            match data.last().filter(|_| page.body["has_more"] == true) {
                Some(last) => after = format!("&after={}", text(&last["id"])),
                None => break,
            }
        }
        let mut shown: BTreeMap<(String, String), i128> = BTreeMap::new();
        let balances = self.till.get("/v1/balances").await.said();
        for line in balances.body["data"].as_array().into_iter().flatten() {
            let posted = &line["posted"];
            let posted = posted
                .as_i64()
                .map(i128::from)
                .or_else(|| posted.as_str()?.parse().ok());
            let key = (text(&line["account"]), text(&line["currency"]));
            *shown.entry(key).or_default() += posted.unwrap_or(i128::MAX);
        }
        sums.retain(|_, sum| *sum != 0);
        shown.retain(|_, sum| *sum != 0);
        let mut wrong = Vec::new();
        if sums != shown {
            wrong.push(format!(
                "the balances are {shown:?}, and the ledger's entries sum to {sums:?}"
            ));
        }
        let mut trial: BTreeMap<String, i128> = BTreeMap::new();
        for ((_, currency), sum) in sums {
            *trial.entry(currency).or_default() += sum;
        }
        trial.retain(|_, sum| *sum != 0);
        if !trial.is_empty() {
            wrong.push(format!("the books are off by {trial:?}"));
        }
        wrong
    }

    /// The program's own audit of what is left.
    pub async fn audit(&self) -> Option<String> {
        let data = self.data().display().to_string();
        let mut arguments = vec!["audit", "--json", "--data", &data];
        if let Some(database) = self.direct() {
            arguments.extend(["--database", database]);
        }
        let output = program(&[], &arguments).output().await.unwrap();
        let said = || {
            let (out, error) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            format!("florin audit: {out}{error}")
        };
        (!output.status.success()).then(said)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Everything that a database holds about orders.
pub async fn rows(store: &dyn Store) -> (Vec<OrderRow>, Vec<EventRow>) {
    let (mut orders, mut events) = (Vec::new(), Vec::new());
    loop {
        let page = store
            .orders_after(orders.last().map(|row: &OrderRow| row.id), PAGE)
            .await
            .unwrap();
        if page.is_empty() {
            return (orders, events);
        }
        for row in &page {
            events.extend(store.events_of(row.id).await.unwrap());
        }
        orders.extend(page);
    }
}

/// A key has one final answer, for ever.
fn one_answer(key: &str, call: &Call) -> Option<String> {
    let mut finals = call.answers.iter().filter(|said| !said.is_later());
    let first = finals.next()?;
    // A problem names the request, which is another one each time.
    let essence = |said: &Said| match said.status {
        200..=299 => (said.status, said.body.clone()),
        _ => (said.status, said.body["code"].clone()),
    };
    let other = finals.find(|said| essence(said) != essence(first))?;
    Some(format!("the key {key} was answered {first:?}, and then {other:?}"))
}

/// A call as the checker of all tests reads it.
fn as_told(key: &str, call: &Call) -> check::Call {
    let told = call
        .answers
        .iter()
        .filter(|said| said.status < 300 && said.body["object"] == "order");
    let answers = told.filter_map(|said| {
        Some(Answer {
            order: said.text("id").parse().ok()?,
            version: u32::try_from(said.body["version"].as_u64()?).ok()?,
            word: said.word().to_owned(),
            over: said.status != 202,
        })
    });
    check::Call {
        key: key.to_owned(),
        reference: call.body["reference"].as_str().map(str::to_owned),
        answers: answers.collect(),
    }
}

/// The public events of some orders, oldest first.
pub async fn public_events(till: &Till) -> BTreeMap<String, Vec<String>> {
    let calls = till.calls();
    let orders: BTreeSet<String> = calls
        .values()
        .filter(|call| call.path == "/v1/orders")
        .filter_map(|call| Some(call.over()?.text("id").to_owned()))
        .filter(|id| !id.is_empty())
        .collect();
    let step = (orders.len() / READ).max(1);
    let mut public = BTreeMap::new();
    for order in orders.into_iter().step_by(step) {
        let page = till.get(&format!("/v1/orders/{order}/events?limit=100")).await.said();
        let data = page.body["data"].as_array().cloned().unwrap_or_default();
        let mut events: Vec<_> = data.iter().map(|event| text(&event["id"])).collect();
        events.sort(); // an id ends in the order's version at that event
        assert!(!events.is_empty(), "{order} has no events: {page:?}");
        public.insert(order, events);
    }
    public
}

/// Every event was told at least once, with the same id and words each time, and the first tries in order.
pub fn told(public: &BTreeMap<String, Vec<String>>, arrived: &[crate::receiver::Arrived]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut bodies: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut order_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for webhook in arrived {
        let first = *bodies.entry(&webhook.id).or_insert_with(|| {
            let order = webhook.body["subject"].as_str().unwrap_or_default();
            order_of.entry(order).or_default().push(&webhook.id);
            &webhook.body
        });
        if *first != webhook.body {
            wrong.push(format!(
                "{} was told in two ways: {first} and {}",
                webhook.id, webhook.body
            ));
        }
    }
    for (order, events) in public {
        let expected: Vec<&str> = events.iter().map(String::as_str).collect();
        let heard = order_of.get(order.as_str()).cloned().unwrap_or_default();
        if heard != expected {
            wrong.push(format!(
                "of {order} there is {expected:?} to tell, and {heard:?} was told"
            ));
        }
    }
    wrong
}

/// Files under a folder that hold a secret.
pub fn found_in(folder: &Path, secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(found_in(&path, secret));
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        {
            found.push(format!("{} holds a secret in clear", path.display()));
        }
    }
    found
}
