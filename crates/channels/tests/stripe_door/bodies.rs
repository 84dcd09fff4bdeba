//! Bodies of `/v1` that do not read: each is answered in plain words, whatever call it is sent to.

use serde_json::{Value, json};

use crate::world::World;

/// Words of the program and of its reader, which nobody who calls has to know.
const NOT_OURS: &[&str] = &[
    "i64",
    "u64",
    "u32",
    "u16",
    "u8",
    "usize",
    "f64",
    "bool",
    "struct",
    "enum",
    "variant",
    "tuple",
    "newtype",
    "Option",
    "sequence",
    "map",
    "unit",
    "integer",
    "floating",
    "boolean",
    "field",
    "Body",
    "identifier",
];

/// Values of every kind, of which most are wrong anywhere.
fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(1e30),
        json!(99_999_999_999_u64),
        json!(u64::MAX),
        json!("x"),
        json!(""),
        json!([]),
        json!([1]),
        json!(["x"]),
        json!([null]),
        json!([{}]),
        json!({}),
        json!({ "x": 1 }),
        json!({ "later": 1 }),
    ]
}

/// The members of a schema that the description names.
fn members(description: &Value, schema: &Value) -> Vec<(String, Value)> {
    let named = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
    let schema = named.and_then(|name| description.pointer(name)).unwrap_or(schema);
    let members = schema["properties"].as_object().into_iter().flatten();
    members.map(|(name, member)| (name.clone(), member.clone())).collect()
}

/// Bodies in which one thing is wrong, mostly.
fn malformed(description: &Value, schema: &Value) -> Vec<String> {
    let mut bodies: Vec<String> = [
        "",
        "{",
        "[]",
        "[1]",
        "null",
        "1",
        "\"x\"",
        "{} x",
        "{\"a\":1,}",
        "\u{1}",
        r#"{"colour":1}"#,
    ]
    .map(str::to_owned)
    .to_vec();
    for (name, member) in members(description, schema) {
        bodies.extend(values().into_iter().map(|value| json!({ &name: value }).to_string()));
        bodies.push(format!(r#"{{"{name}":1e400}}"#));
        bodies.push(format!(r#"{{"{name}":null,"{name}":null}}"#));
        for (inner, _) in members(description, &member["items"]) {
            bodies.extend(
                values()
                    .into_iter()
                    .map(|value| json!({ &name: [{ &inner: value }] }).to_string()),
            );
        }
        if member.get("additionalProperties").is_some() {
            bodies.push(format!(r#"{{"{name}":{{"x":"1","x":"2"}}}}"#));
        }
    }
    bodies
}

#[tokio::test]
async fn a_body_that_does_not_read_is_answered_in_plain_words_by_every_call() {
    let world = World::merchant().await;
    let description = serde_json::to_value(florin_channels::api::document()).unwrap();
    let (mut calls, mut unread) = (0, 0);
    for (path, methods) in description["paths"].as_object().unwrap() {
        let Some(post) = methods.get("post") else { continue };
        calls += 1;
        let schema = &post["requestBody"]["content"]["application/json"]["schema"];
        for body in malformed(&description, schema) {
            let said = world
                .native_text("POST", &path.replace("{id}", "x"), body.clone())
                .await;
            assert!(said.status < 500 && said.status != 401, "{path} {body}: {}", said.text);
            if said.status < 400 {
                continue;
            }
            let problem = said.json();
            let detail = problem["detail"].as_str().unwrap();
            // What is no JSON is shown with its place.
            let no_json =
                detail.starts_with("the body is no JSON: ") || detail.starts_with("there is more after the body: ");
            unread += usize::from(detail.contains(" is expected, "));
            let words = detail.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            for word in words.filter(|_| !no_json) {
                assert!(!NOT_OURS.contains(&word), "{path} {body}: {detail}");
            }
            assert!(!detail.contains(" at line ") || no_json, "{path} {body}: {detail}");
            if let Some(param) = problem["param"].as_str().filter(|_| detail.contains(" is expected, ")) {
                assert!(detail.starts_with(&format!("`{param}`: ")), "{path} {body}: {detail}");
            }
        }
    }
    assert!(calls >= 15 && unread >= 200, "{calls} calls, {unread} bodies");
}

#[tokio::test]
async fn a_list_of_orders_names_a_customer_that_can_be_none() {
    let world = World::merchant().await;
    for customer in ["x", "cus_", "ord_01jdq3v0000000000000000000"] {
        let said = world
            .native("GET", &format!("/v1/orders?customer={customer}"), None)
            .await;
        assert_eq!(
            (said.status, &said.json()["param"]),
            (422, &json!("customer")),
            "{}",
            said.text
        );
    }
    let nobody = world
        .native("GET", "/v1/orders?customer=cus_01jdq3v0000000000000000000", None)
        .await;
    assert_eq!(nobody.json()["data"], json!([]), "{}", nobody.text);
}

#[tokio::test]
async fn a_list_may_go_to_the_end_of_time() {
    let world = World::merchant().await;
    for query in ["from=2026-01-01&to=9999-12-31", "to=9999-12-31T23:59:59.999Z"] {
        let said = world.native("GET", &format!("/v1/orders?{query}"), None).await;
        assert_eq!(said.status, 200, "{}", said.text);
    }
}

#[tokio::test]
async fn a_name_that_is_too_long_is_shown_with_its_limit() {
    let world = World::merchant().await;
    let (name, rail) = ("n".repeat(41), "script");
    for (path, member, body) in [
        ("/v1/customers", "metadata", json!({ "metadata": { &name: "1" } })),
        (
            "/v1/connections",
            "settings",
            json!({ "rail": rail, "settings": { &name: "1" } }),
        ),
    ] {
        let said = world.native("POST", path, Some(body)).await.json();
        let shown = "n".repeat(40);
        let detail = format!("the name `{shown}…` in `{member}` has 41 characters: it can have 1 to 40");
        assert_eq!((&said["detail"], &said["param"]), (&json!(detail), &json!(member)));
    }
}
