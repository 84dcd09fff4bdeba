//! `florin trigger`: makes an event happen in test mode by really doing what causes it, so that everything behind it happens too.

use serde_json::{Value, json};

use super::{Api, Failure, print};
use crate::cli::{Output, Trigger};

/// Event, how the order is made, and what is done to it then.
const CAUSES: [(&str, &str, &str, &[&str]); 9] = [
    ("order.created", "", "at_once", &[]),
    ("order.captured", "card_visa", "at_once", &[]),
    ("order.authorized", "card_visa", "later", &[]),
    ("order.requires_action", "hosted", "at_once", &[]),
    ("order.canceled", "", "at_once", &["cancel"]),
    ("attempt.declined", "card_visa_chargeDeclined", "at_once", &[]),
    ("attempt.succeeded", "card_visa", "at_once", &[]),
    ("refund.succeeded", "card_visa", "at_once", &["refunds"]),
    ("void.succeeded", "card_visa", "later", &["void"]),
];

/// The events that can be caused.
pub(crate) fn events() -> impl Iterator<Item = &'static str> {
    CAUSES.iter().map(|cause| cause.0)
}

pub(crate) async fn run(output: Output, trigger: &Trigger) -> Result<(), Failure> {
    let cause = CAUSES
        .into_iter()
        .find(|cause| cause.0 == trigger.event)
        .ok_or_else(|| {
            let known: Vec<&str> = events().collect();
            let detail = format!("`{}` cannot be triggered", trigger.event);
            Failure::usage(detail, &format!("choose one of {}", known.join(", ")))
        })?;
    let (_, method, capture, then) = cause;
    let api = Api::merchant(&trigger.remote)?;
    let mut body = json!({
        "amount": 2000, "currency": "EUR", "capture": capture, "description": "made by florin trigger",
        "reference": format!("trigger-{}", florin_services::dice::token::<16>()),
    });
    if !method.is_empty() {
        body["confirm"] = json!(true);
        body["method"] = json!(method);
    }
    let mut order = api.post("/v1/orders", &body).await?;
    let id = order.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    for verb in then {
        api.post(&format!("/v1/orders/{id}/{verb}"), &json!({})).await?;
        order = api.get(&format!("/v1/orders/{id}")).await?;
    }
    print::object(output, &order);
    Ok(())
}
