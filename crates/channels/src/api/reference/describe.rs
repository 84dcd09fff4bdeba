//! The API's description as the reference page shows it: calls by group, what each takes, and the objects that are answered.

use serde_json::Value;

/// Calls that belong together.
pub(super) struct Group {
    /// The tag, which is also the anchor.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) about: String,
    pub(super) calls: Vec<Operation>,
}

/// One call.
pub(super) struct Operation {
    pub(super) anchor: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) summary: String,
    pub(super) fields: Vec<Field>,
    pub(super) answers: Vec<Answer>,
}

/// What a call is answered with.
pub(super) struct Answer {
    pub(super) status: String,
    pub(super) about: String,
    /// The object's title and anchor, and whether it is a list of them.
    pub(super) object: Option<(String, String, bool)>,
}

/// A parameter of a call, or a member of a body or an object.
pub(super) struct Field {
    pub(super) name: String,
    /// `path`, `query`, `header` or `body`; nothing for a member of an object.
    pub(super) place: String,
    pub(super) kind: String,
    pub(super) required: bool,
    pub(super) about: String,
}

/// What is answered: an order, an attempt, ….
pub(super) struct Object {
    pub(super) anchor: String,
    pub(super) title: String,
    pub(super) about: String,
    pub(super) fields: Vec<Field>,
}

/// How a schema of an answer is called in the code; people read the rest of its name.
const ANSWERED: &str = "Shape";
/// A reference to a schema begins with this.
const SCHEMAS: &str = "#/components/schemas/";
/// A page of a list is called this, and then what it is a list of.
const LIST: &str = "List_";
/// Calls of one address stand in this order.
const METHODS: [&str; 3] = ["POST", "GET", "DELETE"];

/// The calls, by tag. A group begins with its shortest addresses.
pub(super) fn groups(document: &Value) -> Vec<Group> {
    let mut groups: Vec<Group> = array(&document["tags"])
        .map(|tag| Group {
            name: text(tag, "name"),
            title: capital(&text(tag, "name")),
            about: text(tag, "description"),
            calls: Vec::new(),
        })
        .collect();
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            let tag = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or_default();
            if let Some(group) = groups.iter_mut().find(|group| group.name == tag) {
                group.calls.push(call(document, path, method, operation));
            }
        }
    }
    for group in &mut groups {
        group.calls.sort_by_key(|call| {
            let place = METHODS.iter().position(|method| *method == call.method);
            (call.path.matches('/').count(), call.path.clone(), place)
        });
    }
    groups
}

/// The objects that calls are answered with, and those that stand in them.
pub(super) fn objects(document: &Value) -> Vec<Object> {
    members(&document["components"]["schemas"])
        .filter(|(name, _)| name.ends_with(ANSWERED) && !name.starts_with(LIST))
        .filter(|(_, schema)| schema.get("properties").is_some())
        .map(|(name, schema)| Object {
            anchor: anchor_of(name),
            title: title_of(name),
            about: text(schema, "description"),
            fields: members_of(document, schema, "", ""),
        })
        .collect()
}

fn call(document: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let answers = members(&operation["responses"]).map(|(status, answer)| {
        let schema = answer.pointer("/content/application~1json/schema/$ref");
        let name = schema
            .and_then(Value::as_str)
            .and_then(|name| name.strip_prefix(SCHEMAS));
        let object = name.map(|name| (name.trim_start_matches(LIST), name.starts_with(LIST)));
        Answer {
            status: status.clone(),
            about: text(answer, "description"),
            object: object
                .filter(|(name, _)| name.ends_with(ANSWERED))
                .map(|(name, list)| (title_of(name), anchor_of(name), list)),
        }
    });
    let slug: Vec<&str> = path
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty() && *word != "v1")
        .collect();
    Operation {
        anchor: format!("{method}-{}", slug.join("-")),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(operation, "summary"),
        fields: fields(document, operation),
        answers: answers.collect(),
    }
}

fn fields(document: &Value, operation: &Value) -> Vec<Field> {
    let mut fields: Vec<Field> = array(&operation["parameters"])
        .map(|parameter| Field {
            name: text(parameter, "name"),
            place: text(parameter, "in"),
            kind: kind(document, &parameter["schema"]),
            required: parameter["required"].as_bool().unwrap_or(false),
            about: text(parameter, "description"),
        })
        .collect();
    let body = operation.pointer("/requestBody/content/application~1json/schema");
    if let Some(schema) = body.map(|body| followed(document, body)) {
        fields.extend(members_of(document, schema, "body", ""));
    }
    fields
}

/// The members of an object; those that must be there first. Members of a list's items stand behind it, one level deep.
fn members_of(document: &Value, schema: &Value, place: &str, before: &str) -> Vec<Field> {
    let required: Vec<&str> = array(&schema["required"]).filter_map(Value::as_str).collect();
    let mut all: Vec<(&String, &Value)> = members(&schema["properties"]).collect();
    if !place.is_empty() {
        all.sort_by_key(|(name, _)| !required.contains(&name.as_str()));
    }
    let mut fields = Vec::new();
    for (name, member) in all {
        fields.push(Field {
            name: format!("{before}{name}"),
            place: place.to_owned(),
            kind: kind(document, member),
            required: !place.is_empty() && required.contains(&name.as_str()),
            about: about(member),
        });
        let items = followed(document, &member["items"]);
        if before.is_empty() && !place.is_empty() && items.get("properties").is_some() {
            fields.extend(members_of(document, items, place, &format!("{name}[].")));
        }
    }
    fields
}

/// A schema in a few words: its kind and what it may be.
fn kind(document: &Value, schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix(SCHEMAS)) {
        let target = followed(document, schema);
        return match target.get("enum") {
            Some(_) => kind(document, target),
            None => title_of(name).to_lowercase(),
        };
    }
    let words: Vec<String> = array(&schema["enum"])
        .filter_map(Value::as_str)
        .map(|word| format!("`{word}`"))
        .collect();
    if !words.is_empty() {
        return words.join(" or ");
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", self::kind(document, &schema["items"])),
        Value::String(kind) => bounded(kind, schema),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter(|kind| *kind != "null")
                .collect();
            bounded(&kinds.join(" or "), schema)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            let options = schema
                .get("oneOf")
                .or_else(|| schema.get("anyOf"))
                .unwrap_or(&Value::Null);
            let mut kinds: Vec<String> = array(options)
                .filter(|option| option["type"] != "null")
                .map(|option| kind(document, option))
                .collect();
            kinds.dedup();
            kinds.join(" or ")
        }
    }
}

/// A kind with its limits, where the schema has some that a reader wants to know.
fn bounded(kind: &str, schema: &Value) -> String {
    let number = |name: &str| schema.get(name).and_then(Value::as_i64);
    match (number("minimum"), number("maximum"), number("maxLength")) {
        (Some(least), Some(most), _) => format!("{kind}, {least} to {most}"),
        (_, _, Some(most)) => format!("{kind}, {most} characters at most"),
        (_, _, None) => kind.to_owned(),
    }
}

fn followed<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

fn title_of(name: &str) -> String {
    let name = [ANSWERED, "Body", "Change"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name);
    match name {
        "Step" => "Capture or refund".to_owned(),
        "Entry" => "Ledger entry".to_owned(),
        "Endpoint" => "Webhook endpoint".to_owned(),
        "Try" => "Try of a delivery".to_owned(),
        "Action" => "Next action".to_owned(),
        _ => name.to_owned(),
    }
}

fn anchor_of(name: &str) -> String {
    format!("the-{}", title_of(name).to_lowercase().replace(' ', "-"))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What a member says of itself; a member that may be `null` says it inside.
fn about(member: &Value) -> String {
    let inside = array(&member["oneOf"]).find_map(|option| option.get("description"));
    let said = member.get("description").or(inside).and_then(Value::as_str);
    said.unwrap_or_default().to_owned()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        serde_json::to_value(crate::api::document()).unwrap()
    }

    #[test]
    fn every_call_and_everything_it_takes_says_what_it_is() {
        let groups = groups(&document());
        let calls: Vec<&Operation> = groups.iter().flat_map(|group| &group.calls).collect();
        assert!(calls.len() > 40, "{}", calls.len());
        for call in calls {
            assert!(!call.summary.is_empty(), "{} {} says nothing", call.method, call.path);
            assert!(!call.answers.is_empty(), "{} {}", call.method, call.path);
            for field in &call.fields {
                let silent = field.about.is_empty() || field.kind.is_empty();
                assert!(!silent, "{} of {} {} says nothing", field.name, call.method, call.path);
            }
        }
    }

    #[test]
    fn every_object_that_is_answered_is_described_and_its_members_too() {
        let objects = objects(&document());
        let titles: Vec<&str> = objects.iter().map(|object| object.title.as_str()).collect();
        for title in ["Order", "Attempt", "Event", "Delivery", "Ledger entry", "Balance"] {
            assert!(titles.contains(&title), "{title} is not in {titles:?}");
        }
        for object in &objects {
            for field in &object.fields {
                let silent = field.about.is_empty() || field.kind.is_empty();
                assert!(!silent, "{} of {} says nothing", field.name, object.title);
            }
        }
    }

    #[test]
    fn anchors_name_one_place_each() {
        let document = document();
        let (groups, objects) = (groups(&document), objects(&document));
        let calls = groups.iter().flat_map(|group| &group.calls);
        let mut anchors: Vec<&str> = calls
            .map(|call| call.anchor.as_str())
            .chain(groups.iter().map(|group| group.name.as_str()))
            .chain(objects.iter().map(|object| object.anchor.as_str()))
            .collect();
        anchors.sort_unstable();
        let all = anchors.len();
        anchors.dedup();
        assert_eq!(anchors.len(), all);
        // The demo shop links to these.
        for anchor in ["orders", "attempts", "events", "ledger", "webhooks"] {
            assert!(anchors.contains(&anchor), "there is no #{anchor}");
        }
    }
}
