//! How answers look on a terminal: the money first, then the state, then the rest. `--json` prints what the server said.

use serde_json::Value;

use crate::cli::Output;
use crate::say::{json, plain};

/// One line of data for people: nothing in it can pretend to be something else.
pub(super) fn line(text: &str) {
    crate::say::data(&plain(text));
}

/// One object.
pub(super) fn object(output: Output, value: &Value) {
    if output.json {
        return crate::say::data(&json(value));
    }
    for text in lines(value) {
        line(&text);
    }
}

/// A list: a line each.
pub(super) fn list(output: Output, items: &[Value], empty: &str) {
    for item in items {
        if output.json {
            crate::say::data(&json(item));
        } else {
            line(&summary(item));
        }
    }
    if items.is_empty() && !output.json && !output.quiet {
        crate::say::note(empty);
    }
}

/// What people read of a thing.
fn lines(value: &Value) -> Vec<String> {
    let details = details(value).into_iter();
    let details = details.map(|(name, member)| format!("  {name:<18} {member}"));
    std::iter::once(summary(value)).chain(details).collect()
}

/// The line by which people know a thing.
fn summary(value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let first = |names: &[&str]| {
        let found = names.iter().copied().map(text).find(|text| !text.is_empty());
        found.unwrap_or_default().to_owned()
    };
    let when = |is: bool, part: String| if is { part } else { String::new() };
    let object = text("object");
    let parts = [
        when(matches!(object, "event" | "delivery"), second(text("created_at"))),
        money(value),
        when(object == "key", text("mode").to_owned()),
        first(&["payment_order_status", "status"]),
        trouble(value),
        value
            .get("decline")
            .filter(|member| member.is_object())
            .map(decline)
            .unwrap_or_default(),
        text("type").to_owned(),
        first(&["label", "name", "url", "email"]),
        text("reference").to_owned(),
        text("hint").to_owned(),
        when(object == "key", life(value)),
        value.get("scopes").map(shown).unwrap_or_default(),
        when(object == "attempt", text("provider_reference").to_owned()),
        when(object == "delivery", told(value)),
        text("id").to_owned(),
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("  ")
}

/// Whether a key still opens something.
fn life(key: &Value) -> String {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    match (text("revoked_at"), text("expires_at")) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(end)) => format!("until {}", second(end)),
        (None, None) => String::new(),
    }
}

/// What was told to whom, what the last try came to, and when it is tried again.
fn told(delivery: &Value) -> String {
    let text = |name: &str| delivery.get(name).and_then(Value::as_str);
    let tries = delivery.get("attempts").and_then(Value::as_array);
    let parts = [
        text("event").map(str::to_owned),
        text("endpoint").map(|endpoint| format!("to {endpoint}")),
        tries.and_then(|tries| tries.last()).map(came_to),
        text("next_try_at").map(|at| format!("next try {}", second(at))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// `answered 500`, or why there was no answer.
fn came_to(one_try: &Value) -> String {
    let error = one_try.get("error").and_then(Value::as_str);
    let status = one_try.get("status_code").and_then(Value::as_u64);
    let answered = status.map(|status| format!("answered {status}"));
    answered.or(error.map(str::to_owned)).unwrap_or_default()
}

/// What nobody should miss in a list of things that else look well: that nobody knows how one of them ended, money that is taken back, and what
/// waits for a person.
fn trouble(value: &Value) -> String {
    let uncertain = value.get("uncertain").and_then(Value::as_bool).unwrap_or_default();
    let dispute = value.get("dispute_status").and_then(Value::as_str);
    let attention = value.get("attention").and_then(Value::as_array);
    let parts = [
        uncertain.then(|| "uncertain".to_owned()),
        dispute.map(|status| format!("dispute {status}")),
        attention
            .filter(|reasons| !reasons.is_empty())
            .map(|_| "needs a person".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A moment without the part of its second.
fn second(at: &str) -> String {
    at.split_once('.')
        .map_or(at.to_owned(), |(whole, _)| format!("{whole}Z"))
}

/// `EUR 10.99` from the flat members `amount` and `currency`.
fn money(value: &Value) -> String {
    let amount = value.get("amount").and_then(Value::as_i64);
    let currency = value
        .get("currency")
        .and_then(Value::as_str)
        .and_then(|code| code.parse().ok());
    match (amount, currency) {
        (Some(minor), Some(currency)) => florin_core::money::Money::new(minor, currency).to_string(),
        _ => String::new(),
    }
}

/// Everything else that says something to a person; `--json` has it all.
fn details(value: &Value) -> Vec<(String, String)> {
    const SAID: [&str; 19] = [
        "id",
        "object",
        "amount",
        "currency",
        "reference",
        "payment_order_status",
        "status",
        "dispute_status",
        "type",
        "label",
        "name",
        "scopes",
        "kind",
        "version",
        "uncertain",
        "decline",
        "provider_reference",
        "hint",
        "next_try_at",
    ];
    let Some(members) = value.as_object() else {
        return Vec::new();
    };
    let says_something = |member: &Value| match member {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Number(number) => number.as_i64() != Some(0),
        Value::Bool(true) | Value::String(_) => true,
    };
    let currency = value.get("currency");
    let written = |name: &str, member: &Value| match (name, currency) {
        (_, Some(currency)) if name.starts_with("amount_") => {
            money(&serde_json::json!({ "amount": member, "currency": currency }))
        }
        ("last_attempt", _) => attempt(member),
        ("next_action", _) => action(member),
        ("attempts", _) => tries(member),
        (_, _) if is_thing(member) => summary(member),
        (_, _) => shown(member),
    };
    // What an event is about: a thing or more, each by its own name and instead of its bare id.
    let about = members.get("data").and_then(Value::as_object);
    let about = about.filter(|things| things.values().all(is_thing));
    let said_there = |name: &str| about.is_some_and(|things| name == "data" || things.contains_key(name));
    let said = members
        .iter()
        .filter(|(name, member)| !SAID.contains(&name.as_str()) && says_something(member) && !said_there(name));
    let mut all: Vec<_> = said
        .map(|(name, member)| (name.clone(), written(name, member)))
        .collect();
    all.extend(
        about
            .into_iter()
            .flatten()
            .map(|(name, thing)| (name.clone(), summary(thing))),
    );
    all
}

/// Something with an id of its own, which has a line by which people know it.
fn is_thing(value: &Value) -> bool {
    let has = |name: &str| value.get(name).is_some_and(Value::is_string);
    has("object") && has("id")
}

/// `declined, card_visa over stripe: the card has not enough money (insufficient_funds)`.
fn attempt(value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let why = value.get("decline").filter(|decline| decline.is_object()).map(decline);
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!(
        "{}, {} over {}{why}  {}",
        text("status"),
        text("method"),
        text("rail"),
        text("id")
    )
}

/// Every try of a delivery, oldest first: `2026-11-21T10:00:00Z answered 500, …`.
fn tries(value: &Value) -> String {
    let at = |one_try: &Value| second(one_try.get("at").and_then(Value::as_str).unwrap_or_default());
    let said = |one_try: &Value| format!("{} {}", at(one_try), came_to(one_try));
    let all = value.as_array().map(|tries| tries.iter().map(said).collect::<Vec<_>>());
    all.unwrap_or_default().join(", ")
}

fn action(value: &Value) -> String {
    let url = value.get("url").and_then(Value::as_str);
    url.map_or_else(|| value.to_string(), |url| format!("send the payer to {url}"))
}

fn decline(value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{} ({})", text("message"), text("code"))
}

/// A value as people write it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_reads_money_first() {
        let order = serde_json::json!({
            "id": "ord_1", "object": "order", "amount": 1099, "currency": "EUR", "reference": "A-17",
            "payment_order_status": "captured", "amount_captured": 1099, "attention": [], "uncertain": false,
        });
        assert_eq!(summary(&order), "EUR 10.99  captured  A-17  ord_1");
        assert_eq!(
            details(&order),
            [("amount_captured".to_owned(), "EUR 10.99".to_owned())]
        );
    }

    #[test]
    fn a_dispute_and_a_case_for_a_person_are_in_the_orders_own_line() {
        let order = serde_json::json!({
            "id": "ord_1", "amount": 1099, "currency": "EUR", "reference": "A-17", "payment_order_status": "captured",
            "dispute_status": "open", "attention": ["uncertain"],
        });
        assert_eq!(
            summary(&order),
            "EUR 10.99  captured  dispute open, needs a person  A-17  ord_1"
        );
    }

    #[test]
    fn what_the_payer_must_do_and_why_a_try_failed_are_sentences() {
        let order = serde_json::json!({
            "id": "ord_1", "amount": 1099, "currency": "EUR",
            "next_action": { "type": "redirect", "url": "https://pay.example/1" },
            "last_attempt": {
                "id": "att_1", "status": "declined", "method": "card_visa", "rail": "stripe",
                "decline": { "code": "insufficient_funds", "message": "not enough money" },
            },
        });
        let said: Vec<String> = details(&order).into_iter().map(|(_, text)| text).collect();
        let attempt = "declined, card_visa over stripe: not enough money (insufficient_funds)  att_1";
        assert_eq!(said, [attempt, "send the payer to https://pay.example/1"]);
    }

    #[test]
    fn a_thing_within_another_is_the_line_by_which_it_is_known() {
        let capture = serde_json::json!({ "object": "capture", "id": "cap_1", "amount": 99, "currency": "EUR", "status": "succeeded" });
        let order = serde_json::json!({ "object": "order", "id": "ord_1", "amount": 1099, "currency": "EUR", "capture_made": capture });
        let line = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(details(&order), [line("capture_made", "EUR 0.99  succeeded  cap_1")]);
        let event =
            serde_json::json!({ "object": "event", "id": "evt_1", "data": { "capture": capture, "order": order } });
        let said = [
            line("capture", "EUR 0.99  succeeded  cap_1"),
            line("order", "EUR 10.99  ord_1"),
        ];
        assert_eq!(details(&event), said);
    }

    #[test]
    fn what_happened_begins_with_its_moment() {
        let event = serde_json::json!({
            "id": "evt_1", "object": "event", "type": "order.captured", "created_at": "2026-11-21T10:00:00.123Z",
        });
        assert_eq!(summary(&event), "2026-11-21T10:00:00Z  order.captured  evt_1");
    }

    #[test]
    fn a_delivery_says_what_was_told_to_whom_and_what_came_of_it() {
        let delivery = serde_json::json!({
            "id": "del_1", "object": "delivery", "endpoint": "whe_1", "event": "evt_1", "type": "order.captured",
            "order": "ord_1", "status": "pending", "created_at": "2026-11-21T10:00:00.123Z",
            "attempts": [
                { "at": "2026-11-21T10:00:00.200Z", "status_code": null, "duration_ms": 3, "error": "connection refused" },
                { "at": "2026-11-21T10:00:05.200Z", "status_code": 500, "duration_ms": 3, "error": null },
            ],
            "next_try_at": "2026-11-21T10:00:35.200Z",
        });
        assert_eq!(
            summary(&delivery),
            "2026-11-21T10:00:00Z  pending  order.captured  evt_1  to whe_1  answered 500  next try 2026-11-21T10:00:35Z  del_1"
        );
        let said: Vec<String> = details(&delivery).into_iter().map(|(_, text)| text).collect();
        assert_eq!(
            said[0],
            "2026-11-21T10:00:00Z connection refused, 2026-11-21T10:00:05Z answered 500"
        );
    }

    #[test]
    fn an_attempt_says_why_it_was_declined_and_by_which_name_the_provider_knows_it() {
        let declined = serde_json::json!({
            "id": "att_1", "object": "attempt", "amount": 1099, "currency": "EUR", "status": "declined", "uncertain": false,
            "decline": { "code": "insufficient_funds", "message": "not enough money" }, "provider_reference": "pi_1",
        });
        assert_eq!(
            summary(&declined),
            "EUR 10.99  declined  not enough money (insufficient_funds)  pi_1  att_1"
        );
        let silent = serde_json::json!({
            "id": "att_2", "object": "attempt", "amount": 1099, "currency": "EUR", "status": "processing", "uncertain": true,
            "decline": null, "provider_reference": null,
        });
        assert_eq!(summary(&silent), "EUR 10.99  processing  uncertain  att_2");
    }

    #[test]
    fn a_key_says_how_it_begins_its_mode_and_whether_it_still_opens_something() {
        let key = |revoked: Option<&str>, ends: Option<&str>| {
            summary(&serde_json::json!({
                "id": "key_1", "object": "key", "mode": "live", "label": "till", "scopes": ["read", "pay"],
                "hint": "sk_live_ab", "revoked_at": revoked, "expires_at": ends,
            }))
        };
        assert_eq!(key(None, None), "live  till  sk_live_ab  read, pay  key_1");
        let end = "2026-11-21T10:00:00.000Z";
        assert_eq!(
            key(None, Some(end)),
            "live  till  sk_live_ab  until 2026-11-21T10:00:00Z  read, pay  key_1"
        );
        assert_eq!(
            key(Some(end), Some(end)),
            "live  till  sk_live_ab  revoked  read, pay  key_1"
        );
    }
}
