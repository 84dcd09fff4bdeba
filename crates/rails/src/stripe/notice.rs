//! Webhooks: what must hold before one is believed, and whom it wakes.
//!
//! A notice is a hint to look, never an instruction: it names a step of ours, or an object whose id we learned, and the rail asks.

use std::collections::BTreeMap;

use florin_core::id::Key;
use florin_core::rail::{About, Item, Notice, Opened};
use serde_json::Value;

use crate::http::{cut, safe_id};
use crate::signed;

/// What a notice is worth.
pub(super) fn open(notice: &Notice) -> Opened {
    Opened {
        checks: signed::checks(notice, "stripe-signature"),
        items: item(&notice.body).into_iter().collect(),
    }
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
