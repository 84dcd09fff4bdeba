//! Words that may not stand in our code, each with the reason and what to do instead.

use crate::Finding;
use crate::arrows::PURE;
use crate::repository::say_absent;
use crate::source::{Word, code, is_test_file, production_code, words};

/// Crates where every number may be money.
const MONEY: &[&str] = &["core", "wire", "rails", "store", "services"];

/// Files of money crates that need a fraction, each with its reason.
pub const FLOATS: &[(&str, &str)] = &[
    (
        "crates/services/src/engine/carry.rs",
        "seconds at a provider, for a metric",
    ),
    (
        "crates/services/src/engine/drive.rs",
        "queue lengths and batch sizes, for metrics",
    ),
    (
        "crates/services/src/engine/meter.rs",
        "gauges and histograms take fractions",
    ),
];

/// Crates that match on our enums: a new phase must fail to compile wherever somebody has to think about it.
pub const NO_WILDCARDS: &[&str] = &["core", "wire", "rails", "services"];

/// Crates that speak to a terminal; the rest logs.
const SPEAKS: &[&str] = &["florin", "bench", "house", "testkit"];

/// Clock, dice, async and I/O.
const IMPURE_WORDS: &[(&str, &str)] = &[
    ("async", "pure code does not wait: return what is to be done"),
    ("await", "pure code does not wait: return what is to be done"),
    ("tokio", "pure code does not wait: return what is to be done"),
    ("SystemTime", "time is an argument"),
    ("Instant", "time is an argument"),
    ("rand", "dice are an argument"),
    ("getrandom", "dice are an argument"),
    ("RandomState", "dice are an argument"),
    ("HashMap", "its order is dice: BTreeMap"),
    ("HashSet", "its order is dice: BTreeSet"),
    ("thread_local", "state is an argument"),
    ("Mutex", "state is an argument"),
    ("RwLock", "state is an argument"),
    ("hyper", "pure code sends nothing"),
    ("reqwest", "pure code sends nothing"),
    ("rusqlite", "pure code stores nothing"),
    ("tokio_postgres", "pure code stores nothing"),
];

/// Modules of the standard library that reach outside.
const IMPURE_STD: &[&str] = &["fs", "net", "env", "process", "thread", "io", "os"];

/// The folder under `crates/` that a path lies in, if it is source and no test.
fn source_of(path: &str) -> Option<&str> {
    let (name, inside) = path.strip_prefix("crates/")?.split_once('/')?;
    (inside.starts_with("src/") && path.ends_with(".rs") && !is_test_file(path)).then_some(name)
}

/// No clock, no dice, no async, no I/O in pure crates.
pub fn impure(path: &str, text: &str) -> Vec<Finding> {
    if !source_of(path).is_some_and(|name| PURE.contains(&name)) {
        return Vec::new();
    }
    let code = production_code(text);
    let words = words(&code);
    let mut findings = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if let Some((_, why)) = IMPURE_WORDS.iter().find(|(banned, _)| *banned == word.text) {
            findings.push(Finding::new(path, word.line, format!("`{}`: {why}", word.text)));
        }
        if IMPURE_STD.contains(&word.text) && comes_from_std(&words[..at], word) {
            findings.push(Finding::new(
                path,
                word.line,
                format!("`std::{}`: pure code touches nothing outside", word.text),
            ));
        }
    }
    findings
}

/// `std::fs`, and `fs` inside `use std::{…}`.
fn comes_from_std(earlier: &[Word<'_>], word: &Word<'_>) -> bool {
    let directly = word.before == "::" && earlier.last().is_some_and(|before| before.text == "std");
    let start_of_use = earlier.iter().rposition(|before| before.text == "use");
    let in_group = start_of_use.is_some_and(|start| {
        earlier.get(start + 1).is_some_and(|first| first.text == "std")
            && earlier[start + 1..]
                .iter()
                .chain([word])
                .all(|later| !later.before.contains(';'))
            && (word.before.ends_with('{') || word.before.ends_with(','))
    });
    directly || in_group
}

/// No float where a number may be money.
pub fn floats(path: &str, text: &str) -> Vec<Finding> {
    let excused = FLOATS.iter().any(|(file, _)| *file == path);
    if excused || !source_of(path).is_some_and(|name| MONEY.contains(&name)) {
        return Vec::new();
    }
    let is_float = |word: &&Word<'_>| word.text.ends_with("f64") || word.text.ends_with("f32");
    words(&production_code(text))
        .iter()
        .filter(is_float)
        .map(|word| {
            let what = format!(
                "`{}`: money is whole minor units; a file that needs fractions is listed in crates/house/src/words.rs",
                word.text
            );
            Finding::new(path, word.line, what)
        })
        .collect()
}

/// Only the command line writes to the terminal; everything else logs, where secrets are kept out.
pub fn prints(path: &str, text: &str) -> Vec<Finding> {
    if source_of(path).is_none_or(|name| SPEAKS.contains(&name)) {
        return Vec::new();
    }
    let is_print = |word: &&Word<'_>| {
        ["print", "println", "eprint", "eprintln", "dbg"].contains(&word.text) && word.after == Some('!')
    };
    words(&production_code(text))
        .iter()
        .filter(is_print)
        .map(|word| Finding::new(path, word.line, format!("`{}!`: log it with tracing", word.text)))
        .collect()
}

/// What a log line says of itself: a field of the same name would stand beside it, and a JSON object with a key twice is read as each
/// reader likes.
const LINE_KEYS: &[&str] = &["timestamp", "level", "target", "message", "span", "spans"];

/// What a span says of itself, within a log line.
const SPAN_KEYS: &[&str] = &["name"];

/// No field of a log line has a name that the line has already.
pub fn log_fields(path: &str, text: &str) -> Vec<Finding> {
    if source_of(path).is_none() {
        return Vec::new();
    }
    let code = production_code(text);
    let mut findings = Vec::new();
    for (at, _) in code.match_indices("tracing::") {
        let behind = &code[at + "tracing::".len()..];
        let Some((name, arguments)) = behind.split_once('!') else {
            continue;
        };
        let taken = match name {
            "trace" | "debug" | "info" | "warn" | "error" | "event" => LINE_KEYS,
            _ if name == "span" || name.ends_with("_span") => SPAN_KEYS,
            _ => continue,
        };
        let line = code[..at].matches('\n').count() + 1;
        for field in fields(arguments) {
            if taken.contains(&field) {
                let what =
                    format!("the log field `{field}`: a line has a key of that name already; call it what it is of");
                findings.push(Finding::new(path, line, what));
            }
        }
    }
    findings
}

/// The names of the fields among a macro's arguments: `name = value`, `%name`, `?name` and `name`.
fn fields(arguments: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, c) in arguments.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let opens = depth == 1 && start == 0;
        if opens {
            start = at + 1;
        } else if depth == 0 || (depth == 1 && c == ',') {
            found.push(&arguments[start..at]);
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    let name = |argument: &&str| -> usize { argument.find('=').unwrap_or(argument.len()) };
    found
        .iter()
        .map(|argument| argument[..name(argument)].trim().trim_start_matches(['%', '?']))
        .collect()
}

/// No promises for later, and no test that is switched off. Commits are finished or not made.
pub fn marks(path: &str, text: &str) -> Vec<Finding> {
    if path.starts_with("crates/house/") {
        return Vec::new(); // names the words that it looks for
    }
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for word in words(line) {
            if ["TODO", "FIXME", "HACK"].contains(&word.text) {
                findings.push(Finding::new(
                    path,
                    at + 1,
                    format!("`{}`: finish it, or describe it in an issue", word.text),
                ));
            }
        }
    }
    if path.ends_with(".rs") {
        for word in words(&code(text)) {
            let macro_ = ["todo", "unimplemented"].contains(&word.text) && word.after == Some('!');
            let ignored = word.text == "ignore" && word.before.ends_with("#[");
            if macro_ {
                findings.push(Finding::new(path, word.line, format!("`{}!`: finish it", word.text)));
            }
            if ignored {
                findings.push(Finding::new(
                    path,
                    word.line,
                    "`#[ignore]`: assert what happens today and say what is wrong with it",
                ));
            }
        }
    }
    findings
}

/// A path of this checkout is asked for when the program runs: a target folder that two checkouts share holds programs built in the other.
pub fn baked_paths(path: &str, text: &str) -> Vec<Finding> {
    let what = "the path of the checkout that built this: ask std::env::var(\"CARGO_MANIFEST_DIR\"), which cargo and nextest set when a test runs";
    let baked = "env!(\"CARGO_MANIFEST_DIR\")";
    if !text.contains(baked) {
        return Vec::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    let is_env = |word: &&Word<'_>| ["env", "option_env"].contains(&word.text) && word.after == Some('!');
    words(&code(text))
        .iter()
        .filter(is_env)
        .filter(|word| lines[word.line - 1].contains(baked))
        .map(|word| Finding::new(path, word.line, what))
        .collect()
}

/// Every crate forbids `unsafe`, and those that match on our enums deny wildcard arms, at the top of the crate.
pub fn attributes(path: &str, text: &str) -> Vec<Finding> {
    let Some((name, "src/lib.rs" | "src/main.rs")) = path.strip_prefix("crates/").and_then(|path| path.split_once('/'))
    else {
        return Vec::new();
    };
    let code = production_code(text);
    if is_empty(&code) {
        say_absent(&format!("code in {path}"));
        return Vec::new();
    }
    let squeezed: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let mut findings = Vec::new();
    if !squeezed.contains("#![forbid(unsafe_code)]") {
        findings.push(Finding::new(path, 1, "add #![forbid(unsafe_code)]"));
    }
    let denied = ["deny", "forbid"]
        .iter()
        .any(|level| squeezed.contains(&format!("#![{level}(clippy::wildcard_enum_match_arm")));
    if NO_WILDCARDS.contains(&name) && !denied {
        findings.push(Finding::new(
            path,
            1,
            "add #![deny(clippy::wildcard_enum_match_arm)]: a new variant must not be swallowed",
        ));
    }
    findings
}

/// Nothing but an empty `main`, if that.
fn is_empty(code: &str) -> bool {
    let words: Vec<&str> = words(code).iter().map(|word| word.text).collect();
    words.is_empty() || words == ["fn", "main"]
}
