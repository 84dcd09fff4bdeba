//! Stripe's own description of its API, as far as a request can be held against it: does the path exist, and each parameter?

use florin_core::rail::{Body, Exchange, Method};
use serde_json::Value;

/// `openapi-v1-2023-08-16.min.json`: the newest complete description that could be had.
pub(crate) struct Spec(Value);

impl Spec {
    /// The description in `$FLORIN_SPECS`, if that is set.
    pub(crate) fn load() -> Option<Self> {
        let folder = std::env::var_os("FLORIN_SPECS")?;
        let path = std::path::Path::new(&folder).join("stripe/openapi-v1-2023-08-16.min.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Some(Self(serde_json::from_str(&text).expect("a description is JSON")))
    }

    /// What the description does not know of a request.
    pub(crate) fn check(&self, exchange: &Exchange) -> Vec<String> {
        let rest = exchange
            .url
            .strip_prefix("https://api.stripe.com")
            .expect("a request to Stripe");
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let method = if exchange.method == Method::Get { "get" } else { "post" };
        let Some(operation) = self.operation(path, method) else {
            return vec![format!("no such call: {method} {path}")];
        };
        let body = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
        let mut wrong = Vec::new();
        if let Body::Form(fields) = &exchange.body {
            for (name, value) in fields {
                if let Err(why) = walk(body, name, value) {
                    wrong.push(format!("{method} {path}: `{name}`: {why}"));
                }
            }
            for required in body["required"].as_array().into_iter().flatten() {
                let required = required.as_str().expect("a name");
                if !fields.iter().any(|(name, _)| name.split('[').next() == Some(required)) {
                    wrong.push(format!("{method} {path}: `{required}` is required"));
                }
            }
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').expect("name=value");
            let name = name.replace("%5B", "[").replace("%5D", "]");
            let base = name.split('[').next().unwrap_or_default();
            let parameters = operation["parameters"].as_array().expect("parameters");
            let known = parameters
                .iter()
                .find(|parameter| parameter["in"] == "query" && parameter["name"] == base);
            let verdict = known.map_or(Err("no such parameter".to_owned()), |known| {
                let within = serde_json::json!({ "properties": { base: known["schema"] } });
                walk(&within, &name, value)
            });
            if let Err(why) = verdict {
                wrong.push(format!("{method} {path}: `{name}`: {why}"));
            }
        }
        wrong
    }

    fn operation(&self, path: &str, method: &str) -> Option<&Value> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let names: Vec<&str> = template.split('/').collect();
            names.len() == parts.len()
                && names
                    .iter()
                    .zip(&parts)
                    .all(|(name, part)| name == part || name.starts_with('{'))
        };
        // A fixed path comes before one with a hole in it.
        let paths = self.0["paths"].as_object()?;
        let exact = paths.get(path);
        exact
            .or_else(|| {
                paths
                    .iter()
                    .find(|(template, _)| fits(template))
                    .map(|(_, found)| found)
            })?
            .get(method)
    }
}

/// Follows `a[b][0][c]` through a schema to the value.
fn walk(schema: &Value, name: &str, value: &str) -> Result<(), String> {
    let mut at = vec![schema];
    for step in name.split('[').map(|step| step.trim_end_matches(']')) {
        let mut next = Vec::new();
        for schema in at.iter().flat_map(|schema| alternatives(schema)) {
            if !schema["properties"][step].is_null() {
                next.push(&schema["properties"][step]);
            } else if schema["additionalProperties"].is_object() {
                next.push(&schema["additionalProperties"]);
            } else if schema["items"].is_object() && (step.is_empty() || step.parse::<u32>().is_ok()) {
                next.push(&schema["items"]);
            }
        }
        if next.is_empty() {
            return Err(format!("no such parameter at `{step}`"));
        }
        at = next;
    }
    let fits = at
        .iter()
        .flat_map(|schema| alternatives(schema))
        .any(|schema| holds(schema, value));
    if fits {
        Ok(())
    } else {
        Err(format!("`{value}` is not of its kind"))
    }
}

fn alternatives(schema: &Value) -> Vec<&Value> {
    match schema["anyOf"].as_array() {
        Some(list) => list.iter().collect(),
        None => vec![schema],
    }
}

fn holds(schema: &Value, value: &str) -> bool {
    let listed = |list: &Vec<Value>| list.iter().any(|word| word == value);
    let short = schema["maxLength"]
        .as_u64()
        .is_none_or(|most| value.chars().count() as u64 <= most);
    match schema["type"].as_str() {
        Some("integer") => value.parse::<i64>().is_ok(),
        Some("boolean") => matches!(value, "true" | "false"),
        Some("string") => short && schema["enum"].as_array().is_none_or(listed),
        _ => false,
    }
}
