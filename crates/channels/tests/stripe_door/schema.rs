//! As much of JSON Schema as Stripe's published file uses for answers: types, members, references, choices, `nullable`.

use serde_json::Value;

/// The file of 2023-08-16, if this machine has it.
pub(crate) struct Schema {
    document: Value,
    samples: Value,
}

/// Members of a schema that a value is nested in.
const DEPTH_MAX: usize = 40;

impl Schema {
    pub(crate) fn published() -> Option<Self> {
        let folder = std::env::var("FLORIN_SPECS").ok()?;
        let read = |name: &str| {
            let text = std::fs::read_to_string(format!("{folder}/stripe/{name}")).ok()?;
            serde_json::from_str(&text).ok()
        };
        Some(Self {
            document: read("openapi-v1-2023-08-16.min.json")?,
            samples: read("fixtures-2026-07.min.json")?,
        })
    }

    /// What is wrong with the answer to a call; a call that the file does not know is not judged.
    pub(crate) fn judge(&self, method: &str, path: &str, status: u16, answer: &Value) -> Vec<String> {
        let Some(responses) = self.responses(method, path) else {
            return Vec::new();
        };
        let response = responses.get(status.to_string()).or_else(|| responses.get("default"));
        let schema = response.and_then(|response| response.pointer("/content/application~1json/schema"));
        let mut wrong = Vec::new();
        if let Some(schema) = schema {
            self.check(schema, answer, "", 0, &mut wrong);
        }
        self.compare(answer, "", &mut wrong);
        wrong
    }

    fn responses(&self, method: &str, path: &str) -> Option<&Value> {
        let wanted: Vec<&str> = path.split('/').collect();
        let mut best: Option<(usize, &Value)> = None;
        for (pattern, operations) in self.document["paths"].as_object()? {
            let parts: Vec<&str> = pattern.split('/').collect();
            let holes = parts.iter().filter(|part| part.starts_with('{')).count();
            let fits = parts.len() == wanted.len()
                && parts
                    .iter()
                    .zip(&wanted)
                    .all(|(part, is)| part.starts_with('{') || part == is);
            let Some(operation) = operations.get(method.to_ascii_lowercase()).filter(|_| fits) else {
                continue;
            };
            if best.is_none_or(|(least, _)| holes < least) {
                best = Some((holes, &operation["responses"]));
            }
        }
        best.map(|(_, responses)| responses)
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, depth: usize, wrong: &mut Vec<String>) {
        if depth > DEPTH_MAX {
            return;
        }
        if let Some(name) = schema["$ref"].as_str() {
            let pointed = self.document.pointer(name.trim_start_matches('#'));
            return match pointed {
                Some(schema) => self.check(schema, value, at, depth + 1, wrong),
                None => wrong.push(format!("{at}: {name} is not in the file")),
            };
        }
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            let mut fewest: Option<Vec<String>> = None;
            for choice in choices {
                let mut found = Vec::new();
                self.check(choice, value, at, depth + 1, &mut found);
                if fewest.as_ref().is_none_or(|fewest| found.len() < fewest.len()) {
                    fewest = Some(found);
                }
            }
            wrong.extend(fewest.unwrap_or_default());
            return;
        }
        let fits = match schema["type"].as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            Some(_) | None => true,
        };
        if !fits {
            wrong.push(format!("{at}: {value} is no {}", schema["type"]));
            return;
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            wrong.push(format!("{at}: {value} is none of {words:?}"));
        }
        if let Some(members) = value.as_array() {
            for (number, member) in members.iter().enumerate() {
                self.check(&schema["items"], member, &format!("{at}/{number}"), depth + 1, wrong);
            }
        }
        if let Some(members) = value.as_object() {
            for name in schema["required"].as_array().into_iter().flatten() {
                if !name.as_str().is_some_and(|name| members.contains_key(name)) {
                    wrong.push(format!("{at}: {name} is missing"));
                }
            }
            for (name, member) in members {
                let own = &schema["properties"][name];
                let schema = if own.is_null() {
                    &schema["additionalProperties"]
                } else {
                    own
                };
                if schema.is_object() {
                    self.check(schema, member, &format!("{at}/{name}"), depth + 1, wrong);
                }
            }
        }
    }

    /// Every object has every member that Stripe's sample of it has.
    fn compare(&self, value: &Value, at: &str, wrong: &mut Vec<String>) {
        match value {
            Value::Array(members) => {
                for member in members {
                    self.compare(member, at, wrong);
                }
            }
            Value::Object(members) => {
                let kind = value["object"].as_str().unwrap_or_default();
                let sample = self.samples["resources"][kind].as_object();
                if let Some(sample) = sample.filter(|_| value["deleted"] != true) {
                    for name in sample.keys().filter(|name| !members.contains_key(*name)) {
                        wrong.push(format!("{at}: a {kind} has `{name}` in the sample of 2026-07"));
                    }
                }
                for (name, member) in members {
                    self.compare(member, &format!("{at}/{name}"), wrong);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[test]
fn the_schema_is_really_held_against_what_is_said() {
    let Some(schema) = Schema::published() else { return };
    let wrong = schema.judge(
        "GET",
        "/v1/customers/cus_1",
        200,
        &serde_json::json!({ "id": 7, "object": "customer" }),
    );
    assert!(wrong.iter().any(|one| one.contains("/id")), "{wrong:?}");
    assert!(wrong.iter().any(|one| one.contains("livemode")), "{wrong:?}");
}
