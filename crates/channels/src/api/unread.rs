//! Why a body does not read, for people who know JSON and the reference, and not the program: which member, what is expected there, and
//! what was given.

use serde_json::{Error, Value};
use serde_path_to_error::{Path, Segment};

use crate::problem::Problem;

/// How the reader's words for what it expects begin, and ours.
const EXPECTED: &[(&str, &str)] = &[
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number, 0 or more,"),
    ("i64", "a whole number"),
    ("a string", "a text"),
    ("a boolean", "true or false"),
    ("a map", "an object"),
    ("struct ", "an object"),
    ("a sequence", "a list"),
];
/// What a member is that has none of these: one of some words.
const WORD: &str = "a word that the reference names";
/// Beyond it no whole number is kept exactly (2⁶³).
const WHOLE_MAX: f64 = 9_223_372_036_854_775_808.0;

/// The problem in a body that does not read as what the call takes.
pub(super) fn why(bytes: &[u8], path: &Path, error: &Error) -> Problem {
    let message = error.to_string();
    let said = message.split(" at line ").next().unwrap_or(&message);
    let text = path.to_string();
    let place = Some(text).filter(|place| !matches!(place.as_str(), "." | "?"));
    let body = serde_json::from_slice::<Value>(bytes);
    let body = match (body, place.as_deref()) {
        (Ok(body), _) => body,
        // It is JSON, with a member that nothing can hold.
        (Err(_), Some(place)) if said.starts_with("number out of range") => {
            return Problem::new("invalid_value", format!("`{place}`: the number is too large")).at(place);
        }
        (Err(_), _) => return Problem::new("invalid_request", format!("the body is no JSON: {message}")),
    };
    // A member of a member is named with the way to it.
    let quoted = said.split('`').nth(1);
    let whole = |name: &str| match place.as_deref() {
        Some(place) if place == name || place.ends_with(&format!(".{name}")) => place.to_owned(),
        Some(place) => format!("{place}.{name}"),
        None => name.to_owned(),
    };
    if let Some(name) = quoted {
        let name = whole(name);
        if said.starts_with("unknown field") {
            let known = words(said);
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Problem::new(
                "unknown_member",
                format!("`{name}` is no member here; there are {known}"),
            )
            .at(name);
        }
        if said.starts_with("missing field") {
            return Problem::new("missing_member", format!("`{name}` is missing")).at(name);
        }
        if said.starts_with("duplicate field") {
            return Problem::new("invalid_value", format!("`{name}` is there twice")).at(name);
        }
    }
    let given = at(&body, path);
    let expected = expected(said);
    match place {
        Some(place) => {
            let given = in_words(given, &expected);
            Problem::new(
                "invalid_value",
                format!("`{place}`: {expected} is expected, {given} was given"),
            )
            .at(place)
        }
        None => {
            let given = in_words(given, &expected);
            Problem::new("invalid_request", format!("the body is {given}: send {expected}"))
        }
    }
}

/// What the reader expected.
fn expected(said: &str) -> String {
    let reader = said.rsplit_once(", expected ").map_or("", |(_, reader)| reader);
    let known = EXPECTED.iter().find(|(begins, _)| reader.starts_with(begins));
    match (known, words(said)) {
        (Some((_, ours)), _) => (*ours).to_owned(),
        (None, words) if said.starts_with("unknown ") && !words.is_empty() => words.join(" or "),
        (None, _) => WORD.to_owned(),
    }
}

/// The words that the reader knows there, as it quotes them.
fn words(said: &str) -> Vec<String> {
    let known = said.split_once(", expected ").map_or("", |(_, known)| known);
    let quoted = known.split('`').skip(1).step_by(2);
    quoted.map(|word| format!("`{word}`")).collect()
}

/// What stands at the end of a path.
fn at<'a>(body: &'a Value, path: &Path) -> &'a Value {
    let mut value = body;
    for segment in path.iter() {
        let inside = match segment {
            Segment::Seq { index } => value.get(index),
            Segment::Map { key } | Segment::Enum { variant: key } => value.get(key),
            Segment::Unknown => None,
        };
        value = inside.unwrap_or(value);
    }
    value
}

/// What was given, without its value: that may be a secret.
fn in_words(given: &Value, expected: &str) -> &'static str {
    match given {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::String(_) if expected.starts_with('`') || expected == WORD => "another text",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
        Value::Number(_) if !expected.starts_with("a whole number") => "a number",
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(number) if number.abs() < WHOLE_MAX => "one with a decimal point or an exponent",
            Some(_) | None => "one that is too large",
        },
        Value::Number(number) if number.as_i64().is_some_and(i64::is_negative) => "a negative one",
        Value::Number(_) => "one that is too large",
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::gate::read;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Body {
        amount: i64,
        #[serde(default)]
        lines: Vec<Line>,
        when: Option<When>,
        note: Option<String>,
        now: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Line {
        quantity: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum When {
        AtOnce,
        Later,
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_the_body() {
        for (body, detail) in [
            (
                r#"{"amount":"1"}"#,
                "`amount`: a whole number is expected, a text was given",
            ),
            (
                r#"{"amount":null}"#,
                "`amount`: a whole number is expected, null was given",
            ),
            (
                r#"{"amount":1.0}"#,
                "`amount`: a whole number is expected, one with a decimal point or an exponent was given",
            ),
            (
                r#"{"amount":99999999999999999999}"#,
                "`amount`: a whole number is expected, one that is too large was given",
            ),
            (r#"{"amount":1e400}"#, "`amount`: the number is too large"),
            (
                r#"{"lines":[{"quantity":1},{"quantity":-1}]}"#,
                "`lines[1].quantity`: a whole number from 0 to 4294967295 is expected, a negative one was given",
            ),
            (r#"{"lines":{}}"#, "`lines`: a list is expected, an object was given"),
            (
                r#"{"lines":["a"]}"#,
                "`lines[0]`: an object is expected, a text was given",
            ),
            (
                r#"{"lines":[[]]}"#,
                "`lines[0]`: an object is expected, a list was given",
            ),
            (r#"{"lines":[{}]}"#, "`lines[0].quantity` is missing"),
            (
                r#"{"lines":[{"colour":1}]}"#,
                "`lines[0].colour` is no member here; there are `quantity`",
            ),
            (
                r#"{"when":"soon"}"#,
                "`when`: `at_once` or `later` is expected, another text was given",
            ),
            (
                r#"{"when":7}"#,
                "`when`: a word that the reference names is expected, a number was given",
            ),
            (
                r#"{"when":[]}"#,
                "`when`: a word that the reference names is expected, a list was given",
            ),
            (
                r#"{"when":{"later":1}}"#,
                "`when.later`: a word that the reference names is expected, a number was given",
            ),
            (r#"{"note":7}"#, "`note`: a text is expected, a number was given"),
            (r#"{"now":"yes"}"#, "`now`: true or false is expected, a text was given"),
            ("7", "the body is a number: send an object"),
            (r#""a""#, "the body is a text: send an object"),
            ("null", "the body is null: send an object"),
            (
                "{",
                "the body is no JSON: EOF while parsing an object at line 1 column 1",
            ),
        ] {
            assert_eq!(read::<Body>(body.as_bytes()).unwrap_err().detail, detail, "{body}");
        }
    }
}
