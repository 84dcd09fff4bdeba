//! How answers look on a terminal: the money first, then the state, then the rest. `--json` prints what the server said.

use serde_json::Value;

use crate::cli::Output;
pub(super) use crate::say::data as line;

/// One object.
pub(super) fn object(output: Output, value: &Value) {
    if output.json {
        line(&value.to_string());
    } else {
        line(&summary(value));
        for (name, member) in details(value) {
            line(&format!("  {name:<18} {member}"));
        }
    }
}

/// A list: a line each.
pub(super) fn list(output: Output, items: &[Value], empty: &str) {
    for item in items {
        line(&if output.json { item.to_string() } else { summary(item) });
    }
    if items.is_empty() && !output.json && !output.quiet {
        crate::say::note(empty);
    }
}

/// The line by which people know a thing.
fn summary(value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let state = ["payment_order_status", "status", "type", "label", "name", "url"]
        .into_iter()
        .map(text)
        .find(|text| !text.is_empty());
    let parts = [
        money(value),
        state.unwrap_or_default().to_owned(),
        text("reference").to_owned(),
        text("id").to_owned(),
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("  ")
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

/// Everything else that says something, one level deep.
fn details(value: &Value) -> Vec<(String, String)> {
    const SAID: [&str; 8] = [
        "id",
        "object",
        "amount",
        "currency",
        "reference",
        "payment_order_status",
        "status",
        "type",
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
    let shown = |member: &Value| member.as_str().map_or_else(|| member.to_string(), str::to_owned);
    members
        .iter()
        .filter(|(name, member)| !SAID.contains(&name.as_str()) && says_something(member))
        .map(|(name, member)| (name.clone(), shown(member)))
        .collect()
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
        assert_eq!(details(&order), [("amount_captured".to_owned(), "1099".to_owned())]);
    }
}
