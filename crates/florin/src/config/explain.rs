//! How a wrong setting is told: with the variable or the line that set it, and the nearest name that is one.
//!
//! Never with the value: that may be a secret in the wrong place.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use super::ConfigError;

/// Where a setting was set.
pub(super) struct Places<'a> {
    pub(super) text: &'a str,
    pub(super) path: &'a Path,
    pub(super) env: &'a BTreeMap<String, String>,
}

impl Places<'_> {
    /// A sentence about a setting, with its place.
    pub(super) fn refuse(&self, section: &str, name: &str, why: &str) -> ConfigError {
        match self.of(section, name) {
            Some(place) => ConfigError(format!("{place}: `{name}` cannot be used: {why}")),
            None => ConfigError(format!("`{name}` cannot be used: {why}")),
        }
    }

    /// The variable, or the file with its line; none for a default.
    pub(super) fn of(&self, section: &str, name: &str) -> Option<String> {
        let parts = ["FLORIN", section, name].into_iter().filter(|part| !part.is_empty());
        let variable = parts.collect::<Vec<_>>().join("_").to_ascii_uppercase();
        if self.env.contains_key(&variable) {
            return Some(variable);
        }
        let line = self.line(section, name)?;
        Some(format!("{}, line {line}", self.path.display()))
    }

    /// The line of the file that sets it.
    fn line(&self, section: &str, name: &str) -> Option<usize> {
        let dotted = format!("{section}.{name}");
        let mut within = String::new();
        for (at, line) in self.text.lines().enumerate() {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                header.trim().clone_into(&mut within);
            }
            let key = line.split_once('=').map(|(key, _)| key.trim());
            let here = key == Some(name) && within == section;
            let inline = key == Some(section) && within.is_empty();
            if here || inline || (key == Some(&dotted) && within.is_empty()) {
                return Some(at + 1);
            }
        }
        None
    }
}

/// A sentence with file, line and, for a key that is not known, the nearest one that is.
pub(super) fn explain(error: &toml::de::Error, text: &str, path: &Path) -> String {
    let line = error
        .span()
        .map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    let message = error.message();
    let place = format!("{}, line {line}", path.display());
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let wrong = quoted.next().unwrap_or_default().to_owned();
        let known: Vec<String> = quoted.map(str::to_owned).collect();
        let near = nearest(&wrong, known.iter().map(String::as_str));
        return format!("{place}: `{wrong}` is no setting here{}", did_you_mean(near));
    }
    // What stands before the `=` is a name, and no secret in the wrong place.
    let key = text.lines().nth(line - 1).and_then(|line| line.split_once('='));
    let key = key.map(|(key, _)| key.trim()).filter(|key| !key.is_empty());
    if message.starts_with("duplicate key") {
        return match key {
            Some(key) => format!("{place}: `{key}` is set twice: keep one of the two"),
            None => format!("{place}: this section is there twice: put its settings under one"),
        };
    }
    if let Some(key) = key
        && NO_VALUE.iter().any(|begins| message.starts_with(begins))
    {
        return format!(
            "{place}: what `{key}` is set to does not read: texts and addresses stand in quotes, such as \"127.0.0.1:4000\", numbers, true \
             and false without"
        );
    }
    format!("{place}: {}", without_value(message))
}

/// What every setting that is a number may be at most; some have limits of their own.
pub(super) const WHOLE_NUMBER: &str = "a whole number from 0 to 4294967295";

/// How the reader's words for what it expects begin, and ours.
const EXPECTED: &[(&str, &str)] = &[
    ("usize", WHOLE_NUMBER),
    ("u32", WHOLE_NUMBER),
    ("a string", "a text in quotes"),
    ("path string", "a text in quotes"),
    (
        "socket address",
        "an address and port in quotes, such as \"127.0.0.1:4000\",",
    ),
    ("a boolean", "true or false"),
    ("a map", "a table"),
    ("struct ", "a table"),
    ("a sequence", "a list"),
];

/// The reader's words for what was given, and ours.
const GIVEN: &[(&str, &str)] = &[
    ("string", "a text"),
    ("integer", "a whole number"),
    ("floating point", "a number with a point"),
    ("boolean", "true or false"),
    ("map", "a table"),
    ("sequence", "a list"),
];

/// How the reader's words begin for a value that is none of its kinds: a text without quotes is taken for what its first letters look like.
const NO_VALUE: &[&str] = &[
    "invalid float",
    "invalid boolean",
    "invalid date",
    "invalid time",
    "invalid integer",
    "invalid number",
    "integer number overflowed",
    "string values must be quoted",
];

/// A reader's message in words of the file, and without the value that it quotes: that may be a secret in the wrong place.
fn without_value(message: &str) -> Cow<'_, str> {
    let wrong = ["invalid type: ", "invalid value: ", "unknown variant "];
    if let Some(rest) = wrong.iter().find_map(|start| message.strip_prefix(start)) {
        // `string "sk_live_…", expected u32`: the kind stands before the value, and what would be right behind it.
        let kind = rest.split(['"', '`', ',']).next().unwrap_or_default().trim_end();
        let expected = rest
            .rsplit_once(", expected ")
            .map_or("something else", |(_, expected)| expected);
        let ours = EXPECTED.iter().find(|(begins, _)| expected.starts_with(begins));
        let expected = ours.map_or(expected, |(_, ours)| ours);
        // A number that fits into no type of the reader's is a wrong type to it.
        let outside = kind == "integer" && expected == WHOLE_NUMBER;
        let negative = rest.split('`').nth(1).is_some_and(|value| value.starts_with('-'));
        let given = match GIVEN.iter().find(|(theirs, _)| kind == *theirs) {
            Some(_) if outside && negative => "a negative one",
            Some(_) if outside => "a larger one",
            Some((_, ours)) => ours,
            None if kind.is_empty() => "another text",
            None => "something else",
        };
        return Cow::Owned(format!("{expected} is expected, {given} was given"));
    }
    if message == "wanted string or table" {
        return Cow::Borrowed("one of `auto`, `json`, `text` is expected, something else was given");
    }
    if message.contains("invalid socket address syntax") {
        return Cow::Borrowed("an address and port is expected, such as \"127.0.0.1:4000\"");
    }
    if message.ends_with("untagged enum SecretEntry") {
        return Cow::Borrowed("a secret is a text in quotes, a list of them, or in a table by merchant and mode");
    }
    Cow::Borrowed(message)
}

pub(super) fn did_you_mean(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The candidate with the fewest edits, if it is near enough to be meant.
pub(super) fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (edits(wrong, candidate), candidate))
        .min()
        .filter(|(edits, candidate)| *edits <= 1 + candidate.len() / 3)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in to.iter().enumerate() {
            let swap = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = swap.min(row[column] + 1).min(row[column + 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    #[test]
    fn a_wrong_key_is_named_with_its_line_and_the_nearest_right_one() {
        let error = load("data = \"x\"\n\n[server]\npublic_ur = \"https://pay.example\"\n", &[]).unwrap_err();
        assert_eq!(
            error.0,
            "florin.toml, line 4: `public_ur` is no setting here; did you mean `public_url`?"
        );
        let error = load("[limit]\nqueue = 1\n", &[]).unwrap_err();
        assert_eq!(
            error.0,
            "florin.toml, line 1: `limit` is no setting here; did you mean `limits`?"
        );
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        let error = load("[limits]\nqueue = \"many\"\n", &[]).unwrap_err();
        assert!(error.0.starts_with("florin.toml, line 2: a whole number"), "{error}");
    }

    #[test]
    fn no_error_of_the_settings_holds_a_value() {
        const SECRET: &str = "sk_live_X, expected \\\"y";
        for (text, says) in [
            ("limits = \"S\"", "line 1: a table is expected, a text was given"),
            (
                "[limits]\nqueue = \"S\"",
                "line 2: a whole number from 0 to 4294967295 is expected, a text was given",
            ),
            (
                "[log]\nformat = \"S\"",
                "line 2: one of `auto`, `json`, `text` is expected, another text was given",
            ),
            (
                "[server]\napi = \"S\"",
                "line 2: an address and port is expected, such as \"127.0.0.1:4000\"",
            ),
            (
                "[server]\nbehind_proxy = \"S\"",
                "line 2: true or false is expected, a text was given",
            ),
            ("secrets = \"S\"", "line 1: a table is expected, a text was given"),
            (
                "[secrets]\nkey = 12345678",
                "line 2: a secret is a text in quotes, a list of them, or in a table by merchant and mode",
            ),
        ] {
            let error = load(&text.replace('S', SECRET), &[]).unwrap_err();
            assert_eq!(error.0, format!("florin.toml, {says}"));
        }
        for (text, env) in [
            ("data = sk_live_X", &[][..]),
            ("[secrets]\nkey = sk_live_X", &[]),
            ("[secrets]\nkey = \"sk_live_X", &[]),
            ("", &[("FLORIN_LIMITS_QUEUE", "sk_live_X")]),
            ("", &[("FLORIN_LOG_FORMAT", "sk_live_X")]),
            ("", &[("FLORIN_SERVER_API", "sk_live_X")]),
        ] {
            let error = load(text, env).unwrap_err();
            assert!(!error.0.contains("sk_live"), "{error}");
        }
    }
}
