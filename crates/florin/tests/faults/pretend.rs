//! `florin dev` whole, product and pretend provider and card issuer in one process, dies and comes back. The issuer's own book is the
//! witness: an append-only file that none of our crates writes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::http;
use crate::node::program;
use crate::till::{CONVERGES, Load, Till};
use crate::world::Folder;
use crate::{Dice, count, seed};

/// Kills under load.
const KILLS_SOME: usize = 3;
const KILLS_FULL: usize = 50;
/// Orders between two of them.
const ORDERS: usize = 10;
/// How long the whole may take to say that it is ready.
const READY: Duration = Duration::from_secs(60);

/// `florin dev` that runs.
pub struct Dev {
    child: Child,
    line: Value,
}

impl Dev {
    pub async fn start(folder: &Folder, database: Option<&str>) -> Self {
        Self::start_with(folder, database, &[]).await
    }

    /// As [`Dev::start`], in an environment that says this too.
    pub async fn start_with(folder: &Folder, database: Option<&str>, env: &[(&str, String)]) -> Self {
        let data = folder.0.display().to_string();
        let mut command = program(&[], &["dev", "--json", "--port", "0", "--no-shop", "--data", &data]);
        command.args(database.iter().flat_map(|url| ["--database", url]));
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.0.join("dev.log"));
        let mut child = command
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(std::process::Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let said = tokio::time::timeout(READY, output.read_line(&mut line)).await;
        let log = || std::fs::read_to_string(folder.0.join("dev.log")).unwrap_or_default();
        assert!(matches!(said, Ok(Ok(1..))), "`florin dev` did not start: {}", log());
        Self {
            child,
            line: serde_json::from_str(&line).unwrap(),
        }
    }

    pub fn address(&self, name: &str) -> &str {
        self.line[name].as_str().unwrap()
    }

    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

/// What the card issuer's book says moved for good, over all cards: captured less given back, by currency.
async fn moved_by_the_book(issuer: &str) -> BTreeMap<String, i64> {
    let (mut moved, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = http::ask(issuer, "GET", &format!("/book?after={after}&limit=1000"), &[], b"")
            .await
            .said();
        let entries = page.body["data"].as_array().cloned().unwrap_or_default();
        for entry in &entries {
            let sign = match entry["kind"].as_str().unwrap_or_default() {
                "captured" => 1,
                "refunded" => -1,
                _ => 0,
            };
            let currency = entry["currency"].as_str().unwrap_or_default().to_owned();
            *moved.entry(currency).or_default() += sign * entry["amount"].as_i64().unwrap();
            after = entry["seq"].as_i64().unwrap();
        }
        if page.body["has_more"] != true {
            moved.retain(|_, sum| *sum != 0);
            return moved;
        }
    }
}

/// The same by the orders of the API.
async fn moved_by_the_orders(till: &Till) -> BTreeMap<String, i64> {
    let (mut moved, mut after) = (BTreeMap::new(), String::new());
    loop {
        let page = till.get(&format!("/v1/orders?limit=100{after}")).await.said();
        let orders = page.body["data"].as_array().cloned().unwrap_or_default();
        for order in &orders {
            let sum = order["amount_captured"].as_i64().unwrap() - order["amount_refunded"].as_i64().unwrap();
            *moved.entry(order["currency"].as_str().unwrap().to_owned()).or_default() += sum;
        }
        match orders.last().filter(|_| page.body["has_more"] == true) {
            Some(last) => after = format!("&after={}", last["id"].as_str().unwrap()),
            None => {
                moved.retain(|_, sum| *sum != 0);
                return moved;
            }
        }
    }
}

pub async fn audited(folder: &Folder, database: Option<&str>, issuer: &str) {
    let data = folder.0.display().to_string();
    let deadline = Instant::now() + CONVERGES;
    loop {
        let mut command = program(&[], &["audit", "--json", "--data", &data, "--issuer", issuer]);
        command.args(database.iter().flat_map(|url| ["--database", url]));
        let output = command.output().await.unwrap();
        if output.status.success() {
            return;
        }
        // Readers and webhooks are a moment behind.
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(Instant::now() < deadline, "florin audit: {said}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn killed_whole(database: Option<&str>) {
    let folder = Folder::new();
    let mut dice = Dice(seed());
    let mut dev = Dev::start(&folder, database).await;
    let till = std::sync::Arc::new(Till::new(dev.address("api"), dev.address("key")));
    let load = Load::start(&till, "dev", 4);
    for _ in 0..count(KILLS_SOME, KILLS_FULL) {
        load.goes_on(ORDERS).await;
        tokio::time::sleep(Duration::from_millis(dice.below(300))).await;
        dev.kill().await;
        dev = Dev::start(&folder, database).await;
        assert_eq!(dev.address("key"), till.key, "the same keys over the same data");
        till.turn_to(dev.address("api"));
    }
    load.goes_on(ORDERS).await;
    load.stop().await;
    till.settle_all().await;
    for (key, call) in till.calls() {
        let said = call.over().unwrap();
        assert!(said.status < 500, "`{key}`: {said:?}");
    }
    // Until the last one is known: the book and the orders are one story.
    let deadline = Instant::now() + CONVERGES;
    loop {
        let (theirs, ours) = (
            moved_by_the_book(dev.address("issuer")).await,
            moved_by_the_orders(&till).await,
        );
        if theirs == ours {
            assert!(!ours.is_empty());
            break;
        }
        assert!(
            Instant::now() < deadline,
            "the issuer's book says {theirs:?}, the orders {ours:?}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    audited(&folder, database, dev.address("issuer")).await;
    dev.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_02_product_provider_and_issuer_killed_together_over_sqlite_tell_one_story_with_the_issuers_book() {
    killed_whole(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_02_product_provider_and_issuer_killed_together_over_postgresql_tell_one_story_with_the_issuers_book() {
    let cluster = Cluster::start(&[]);
    let conninfo = cluster.database().await;
    let name = conninfo.rsplit('=').next().unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{}/{name}", cluster.port);
    killed_whole(Some(&url)).await;
}
