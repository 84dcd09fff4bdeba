//! How answers look on a terminal: the money first, then the state, then the rest. `--json` prints what the server said.

use serde_json::Value;

use crate::cli::Output;
use crate::say::plain;

/// One line of data: as it is for programs, and for people so that nothing in it can pretend to be something else.
pub(super) fn line(output: Output, text: &str) {
    if output.json {
        crate::say::data(text);
    } else {
        crate::say::data(&plain(text));
    }
}

/// One object.
pub(super) fn object(output: Output, value: &Value) {
    if output.json {
        return line(output, &value.to_string());
    }
    for text in lines(value) {
        line(output, &text);
    }
}

/// A list: a line each.
pub(super) fn list(output: Output, items: &[Value], empty: &str) {
    for item in items {
        let text = if output.json { item.to_string() } else { summary(item) };
        line(output, &text);
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
    let happened = matches!(text("object"), "event" | "delivery");
    let parts = [
        if happened {
            second(text("created_at"))
        } else {
            String::new()
        },
        money(value),
        first(&["payment_order_status", "status"]),
        trouble(value),
        text("type").to_owned(),
        first(&["label", "name", "url", "email"]),
        text("reference").to_owned(),
        value.get("scopes").map(shown).unwrap_or_default(),
        text("id").to_owned(),
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("  ")
}

/// What nobody should miss in a list of orders that else look well: money that is taken back, and what waits for a person.
fn trouble(order: &Value) -> String {
    let dispute = order.get("dispute_status").and_then(Value::as_str);
    let attention = order.get("attention").and_then(Value::as_array);
    let parts = [
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
    const SAID: [&str; 14] = [
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
        ("decline", _) => decline(member),
        (_, _) => shown(member),
    };
    members
        .iter()
        .filter(|(name, member)| !SAID.contains(&name.as_str()) && says_something(member))
        .map(|(name, member)| (name.clone(), written(name, member)))
        .collect()
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
    fn what_happened_begins_with_its_moment() {
        let event = serde_json::json!({
            "id": "evt_1", "object": "event", "type": "order.captured", "created_at": "2026-11-21T10:00:00.123Z",
        });
        assert_eq!(summary(&event), "2026-11-21T10:00:00Z  order.captured  evt_1");
    }
}
