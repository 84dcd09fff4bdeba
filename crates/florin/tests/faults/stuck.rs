//! What is stuck is shown with its age, by the doctor and in figures, and is over when its cause is.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::http;
use crate::node::{Node, program};
use crate::psp::{Fate, now};
use crate::receiver::{Manner, Receiver};
use crate::till::{CONVERGES, sale};
use crate::told::{EVENTS, arrived, endpoint};
use crate::world::{Differs, PLACES, Wires, World};

/// For how long things are stuck.
const STUCK_MS: i64 = 2 * 3_600_000;

/// What the doctor says, by the name of the check.
async fn doctor(world: &World) -> Vec<Value> {
    let data = world.data().display().to_string();
    let mut command = program(&[], &["doctor", "--json", "--data", &data]);
    command.args(world.direct().iter().flat_map(|url| ["--database", url]));
    let output = command.output().await.unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until the figures hold all of these lines.
async fn figures(node: &Node, wanted: &[&str]) -> String {
    let deadline = Instant::now() + CONVERGES;
    loop {
        let said = http::ask(&node.admin, "GET", "/metrics", &[], b"").await.said();
        let figures = said.body.as_str().unwrap_or_default().to_owned();
        let missing: Vec<_> = wanted
            .iter()
            .filter(|line| !figures.lines().any(|said| said == **line))
            .collect();
        if missing.is_empty() {
            return figures;
        }
        assert!(Instant::now() < deadline, "{missing:?} is not among {figures}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn figure(figures: &str, name: &str) -> i64 {
    let line = figures.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("there is no {name}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stuck_is_shown_with_its_age_until_its_cause_is_over() {
    for place in PLACES {
        let impatient = Differs::env("FLORIN_LIMITS_ANSWER_WAIT_S", 1);
        let (world, node) = World::with(place, Wires::Good, impatient).await;
        let receiver = Receiver::start();
        receiver.behave(Manner::Refuses(500));
        let sick = endpoint(&world.till, &receiver).await;
        world.till.settle("told", "/v1/orders", &sale("told", 1000)).await;
        arrived(&receiver, EVENTS).await;
        // The provider does what it is asked for, and says nothing to this or to any question.
        world.psp.next("payment_intents", Fate::ResetAfter, 1_000);
        let lost = world.till.post("lost", "/v1/orders", &sale("lost", 1000)).await.said();
        let uncertain = lost.text("id").to_owned();
        world.until_is(&uncertain, &|order| order["uncertain"] == true).await;
        node.stop().await;

        // Two hours go by in which nobody works on it.
        let ago = now().millis() - STUCK_MS;
        let tries = format!(r#"[{{"at":{ago},"status_code":500,"duration_ms":1}}]"#);
        let late = format!("update deliveries set created_at = {ago}, tries = '{tries}' where due is not null");
        assert!(world.change(&late).await >= EVENTS, "{place:?}");
        assert_eq!(
            world
                .change(&format!("update orders set due = {ago} where due is not null"))
                .await,
            1,
            "{place:?}"
        );
        let checks = doctor(&world).await;
        let says = |check: &str, grade: &str, words: &[&str]| {
            let mut of_it = checks
                .iter()
                .filter(|line| line["check"] == check && line["grade"] == grade);
            let holds = |line: &Value| words.iter().all(|word| line["says"].as_str().unwrap().contains(word));
            assert!(of_it.any(holds), "{place:?}: {check} {words:?}: {checks:#?}");
        };
        says("work", "wrong", &["1 orders are due", "2 h 0 min"]);
        says("uncertain", "note", &[&uncertain, "provider's key"]);
        says("webhooks", "wrong", &[&sick, "2 h 0 min", "it answered 500"]);

        let node = world.start(Differs::default()).await;
        let shown = figures(
            &node,
            &[
                "florin_alert{name=\"endpoint_sick\"} 1",
                "florin_endpoints_sick 1",
                "florin_uncertain_steps 1",
            ],
        )
        .await;
        assert!(
            figure(&shown, "florin_endpoint_sick_oldest_seconds") >= STUCK_MS / 1_000,
            "{place:?}"
        );
        assert!(figure(&shown, "florin_deliveries_open") > 0, "{place:?}");
        let health = world
            .till
            .get(&format!("/v1/webhook_endpoints/{sick}"))
            .await
            .said()
            .body["health"]
            .clone();
        assert_eq!(health["status"], "sick", "{place:?}: {health}");

        world.psp.heal();
        receiver.behave(Manner::Takes);
        world
            .change("update deliveries set due = 0 where due is not null")
            .await;
        world.until(&uncertain, "captured").await;
        figures(
            &node,
            &[
                "florin_alert{name=\"endpoint_sick\"} 0",
                "florin_endpoints_sick 0",
                "florin_uncertain_steps 0",
            ],
        )
        .await;
        world.check(node).await;
    }
}
