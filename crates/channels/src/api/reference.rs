//! Pages of the API's origin: the reference, made from the same description as `openapi.json`; a page for each problem; the front.
//! No scripts at all.

use std::sync::OnceLock;

use askama::Template;
use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;

use crate::problem::{CODES, Problem};

const STYLE: &str = include_str!("reference/style.css");
const PROBLEMS: &str = include_str!("../../../../docs/problems.md");
/// Only our own style sheet: no script, no frame, no form, no other origin.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

#[derive(Template)]
#[template(path = "reference/index.html")]
struct Reference {
    groups: Vec<Group>,
}

#[derive(Template)]
#[template(path = "reference/problem.html")]
struct ProblemPage {
    code: &'static str,
    title: &'static str,
    status: u16,
    text: Vec<String>,
}

#[derive(Template)]
#[template(path = "reference/front.html")]
struct Front {}

struct Group {
    name: String,
    about: String,
    calls: Vec<Operation>,
}

struct Operation {
    method: String,
    path: String,
    summary: String,
    fields: Vec<Field>,
    answers: Vec<(String, String)>,
}

struct Field {
    name: String,
    place: String,
    kind: String,
    required: bool,
    about: String,
}

pub(super) async fn page() -> Response {
    static PAGE: OnceLock<String> = OnceLock::new();
    let page = PAGE.get_or_init(|| {
        Reference { groups: groups() }
            .render()
            .expect("the reference's template renders")
    });
    html(StatusCode::OK, page.clone())
}

pub(super) async fn style() -> impl IntoResponse {
    (
        [
            (header::CONTENT_TYPE, "text/css; charset=utf-8"),
            (header::CACHE_CONTROL, "public, max-age=3600"),
        ],
        STYLE,
    )
}

pub(super) async fn front() -> Response {
    html(StatusCode::OK, Front {}.render().expect("the front's template renders"))
}

pub(super) async fn problem(Path(code): Path<String>) -> Result<Response, Problem> {
    let row = CODES
        .iter()
        .find(|row| row.0 == code)
        .ok_or_else(|| Problem::new("not_found", "there is no problem of this code"))?;
    let heading = format!("## `{}`", row.0);
    let text = PROBLEMS
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with("## "));
    let text = text
        .filter(|line| !line.is_empty())
        .map(|line| line.replace('`', ""))
        .collect();
    let page = ProblemPage {
        code: row.0,
        title: row.2,
        status: row.1,
        text,
    };
    Ok(html(
        StatusCode::OK,
        page.render().expect("the problem's template renders"),
    ))
}

fn html(status: StatusCode, page: String) -> Response {
    let policy = (HeaderName::from_static("content-security-policy"), POLICY);
    let sniff = (HeaderName::from_static("x-content-type-options"), "nosniff");
    (status, [policy, sniff], Html(page)).into_response()
}

/// The description, by tag.
fn groups() -> Vec<Group> {
    let document = serde_json::to_value(super::document()).expect("the description is JSON");
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut groups: Vec<Group> = document["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|tag| Group {
            name: text(tag, "name"),
            about: text(tag, "description"),
            calls: Vec::new(),
        })
        .collect();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tag = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or_default();
            let Some(group) = groups.iter_mut().find(|group| group.name == tag) else {
                continue;
            };
            let answers = operation["responses"].as_object().into_iter().flatten();
            group.calls.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                summary: text(operation, "summary"),
                fields: fields(&document, operation),
                answers: answers
                    .map(|(status, answer)| (status.clone(), text(answer, "description")))
                    .collect(),
            });
        }
    }
    groups
}

fn fields(document: &Value, operation: &Value) -> Vec<Field> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut fields = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        fields.push(Field {
            name: text(parameter, "name"),
            place: text(parameter, "in"),
            kind: kind(&parameter["schema"]),
            required: parameter["required"].as_bool().unwrap_or(false),
            about: text(parameter, "description"),
        });
    }
    let reference = operation
        .pointer("/requestBody/content/application~1json/schema/$ref")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let schema = reference
        .strip_prefix('#')
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(&Value::Null);
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        fields.push(Field {
            name: name.clone(),
            place: "body".to_owned(),
            kind: kind(member),
            required: required.contains(&name.as_str()),
            about: text(member, "description"),
        });
    }
    fields
}

/// A schema in one or two words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", kind_of_items(schema)),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            let options = schema
                .get("oneOf")
                .or_else(|| schema.get("anyOf"))
                .and_then(Value::as_array);
            options
                .into_iter()
                .flatten()
                .map(kind)
                .filter(|kind| kind != "null")
                .collect::<Vec<_>>()
                .join(" or ")
        }
    }
}

fn kind_of_items(schema: &Value) -> String {
    kind(&schema["items"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_stands_in_the_reference_with_what_it_does() {
        let groups = groups();
        let calls: Vec<&Operation> = groups.iter().flat_map(|group| &group.calls).collect();
        assert!(calls.len() > 40, "{}", calls.len());
        for call in calls {
            assert!(!call.summary.is_empty(), "{} {} says nothing", call.method, call.path);
            assert!(!call.answers.is_empty(), "{} {}", call.method, call.path);
        }
    }

    #[test]
    fn the_golden_description_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let text = serde_json::to_string_pretty(&super::super::document()).unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            golden == text,
            "the API has changed: read the difference after UPDATE_GOLDEN=1 and say it in CHANGELOG.md"
        );
    }
}
