//! Webhooks: what must hold before one is believed, and whom it wakes.
//!
//! A notice is a hint to look, never an instruction: it names a step of ours, or an object whose id we learned, and the rail asks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use florin_core::id::Key;
use florin_core::rail::{About, Check, Item, Notice, Opened, Part};
use florin_core::time::Timestamp;
use serde_json::Value;

use crate::http::{cut, safe_id};

/// Stripe's own tolerance between signing and arrival.
const FRESH_S: u32 = 300;
/// Stripe signs once for each secret in force; a header with more is no header of Stripe's.
const SIGNATURES_MAX: usize = 8;

/// What a notice is worth.
pub(super) fn open(notice: &Notice) -> Opened {
    let checks = notice.headers.get("stripe-signature").and_then(|header| checks(header));
    Opened {
        checks: checks.unwrap_or_default(),
        items: item(&notice.body).into_iter().collect(),
    }
}

/// `t=<seconds>,v1=<hex>[,v1=<hex>…]`; other schemes (`v0`) are ignored.
fn checks(header: &str) -> Option<Vec<Check>> {
    let mut fields = Vec::new();
    for field in header.split(',') {
        fields.push(field.trim().split_once('=')?);
    }
    let all = |name: &str| -> Vec<&str> {
        fields
            .iter()
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| *value)
            .collect()
    };
    let [time] = all("t")[..] else { return None };
    let seconds: i64 = time.parse().ok().filter(|seconds| *seconds >= 0)?;
    let one_of: Vec<String> = all("v1").into_iter().map(str::to_owned).collect();
    let signed = vec![Part::Text(format!("{time}.")), Part::Received];
    (1..=SIGNATURES_MAX).contains(&one_of.len()).then(|| {
        vec![
            Check::Equal {
                formula: Part::HmacSha256Hex(vec![Part::Secret(Cow::Borrowed("webhook_secret"))], signed),
                one_of,
            },
            Check::Fresh {
                at: Timestamp::default().plus_seconds(seconds),
                within_s: FRESH_S,
            },
        ]
    })
}

/// An event is about one object.
fn item(body: &[u8]) -> Option<Item> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let id = event["id"].as_str().filter(|id| safe_id(id))?;
    let object = &event["data"]["object"];
    let kind = object["object"].as_str().unwrap_or_default();
    Some(Item {
        id: id.to_owned(),
        about: about(kind, object),
        kind: cut(event["type"].as_str().unwrap_or_default()),
        facts: BTreeMap::from([("object".to_owned(), cut(kind))]),
    })
}

/// Our own name where the object carries it; else the object that we know by Stripe's name.
fn about(kind: &str, object: &Value) -> About {
    let ours = [&object["metadata"]["florin_key"], &object["client_reference_id"]];
    if let Some(key) = ours.into_iter().find_map(|name| name.as_str()?.parse::<Key>().ok()) {
        return About::Key(key);
    }
    let by = |kind: &str, id: &Value| {
        let id = id.as_str().or(id["id"].as_str()).filter(|id| safe_id(id))?;
        Some(About::Ref(kind.to_owned(), id.to_owned()))
    };
    let found = match kind {
        "checkout.session" => by("session", &object["id"]),
        "payment_intent" => by("payment_intent", &object["id"]),
        "charge" | "refund" | "dispute" => by("payment_intent", &object["payment_intent"]),
        _ => None,
    };
    found.unwrap_or(About::Nobody)
}
