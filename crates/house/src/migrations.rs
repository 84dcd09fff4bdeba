//! Migrations only add: old code runs on the new schema while a cluster is being upgraded, and goes back if it must.

use crate::Finding;
use std::collections::BTreeMap;

/// What may not stand in a migration: a statement that holds these words in this order, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &["ALTER", "RENAME"],
        "old code still asks for the old name: add the new one and keep both",
    ),
    (&["DROP", "TABLE"], "old code still reads it"),
    (&["DROP", "COLUMN"], "old code still reads it"),
    (&["DROP", "VIEW"], "old code still reads it"),
    (&["DROP", "CONSTRAINT"], "old code may rely on it"),
    (&["DROP", "TYPE"], "old code still uses it"),
    (&["DROP", "SCHEMA"], "old code still uses it"),
    (&["DROP", "DEFAULT"], "old code may not fill it"),
    (
        &["ALTER", "COLUMN", "TYPE"],
        "old code reads the old type: add a column beside it",
    ),
    (&["SET", "NOT", "NULL"], "old code may not fill it"),
];

/// Holds one migration against the rules.
pub fn check(path: &str, sql: &str) -> Vec<Finding> {
    statements(sql)
        .iter()
        .flat_map(|(line, words)| check_statement(path, *line, words))
        .collect()
}

fn check_statement(path: &str, line: usize, words: &[String]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = REFUSED
        .iter()
        .filter(|(banned, _)| in_order(words, banned))
        .map(|(banned, why)| Finding::new(path, line, format!("{}: {why}", banned.join(" … "))))
        .collect();
    if words.first().is_some_and(|word| word == "ALTER") {
        for column in added_columns(words) {
            if in_order(column, &["NOT", "NULL"]) && !column.iter().any(|word| word == "DEFAULT") {
                findings.push(Finding::new(
                    path,
                    line,
                    "ADD COLUMN NOT NULL without DEFAULT: old code does not fill it",
                ));
            }
        }
    }
    findings
}

/// Files are called `NNNN_name.sql` below the folder of their database, and the numbers of each have no gaps: two people
/// who both add the next level meet here, not on somebody's server.
pub fn check_levels(paths: &[String]) -> Vec<Finding> {
    let mut levels: BTreeMap<&str, Vec<(u32, &str)>> = BTreeMap::new();
    let mut findings = Vec::new();
    for path in paths {
        let mut parts = path.rsplit('/');
        let (Some(name), Some(database)) = (parts.next(), parts.next()) else {
            continue;
        };
        match name.split_once('_').and_then(|(number, _)| number.parse().ok()) {
            Some(number) => levels.entry(database).or_default().push((number, path)),
            None => findings.push(Finding::new(path, 0, "a migration is called NNNN_name.sql")),
        }
    }
    for files in levels.values_mut() {
        files.sort_unstable();
        for (expected, (number, path)) in (1..).zip(files) {
            if *number != expected {
                findings.push(Finding::new(
                    path,
                    0,
                    format!("level {number} stands where {expected} is next"),
                ));
                break;
            }
        }
    }
    findings
}

/// The statements with the line they begin in, as words in upper case; comments and quoted text are left out.
fn statements(sql: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let (mut line, mut began) = (1, 1);
    let (mut words, mut word): (Vec<String>, String) = (Vec::new(), String::new());
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '-' if rest.peek() == Some(&'-') => {
                while rest.peek().is_some_and(|c| *c != '\n') {
                    rest.next();
                }
            }
            '\'' => {
                for c in rest.by_ref().take_while(|c| *c != '\'') {
                    line += usize::from(c == '\n');
                }
            }
            c if c.is_alphanumeric() || c == '_' => {
                if words.is_empty() && word.is_empty() {
                    began = line;
                }
                word.extend(c.to_uppercase());
                continue;
            }
            _ => {}
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        match c {
            ',' | '(' | ')' => words.push(c.to_string()),
            ';' => found.push((began, std::mem::take(&mut words))),
            '\n' => line += 1,
            _ => {}
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    found.push((began, words));
    found.retain(|(_, words)| !words.is_empty());
    found
}

/// True when `wanted` stand in `words` in this order.
fn in_order(words: &[String], wanted: &[&str]) -> bool {
    let mut rest = words.iter();
    wanted.iter().all(|one| rest.any(|word| word == one))
}

/// The parts of an `ALTER TABLE` that add a column.
fn added_columns(words: &[String]) -> Vec<&[String]> {
    let starts: Vec<usize> = words
        .iter()
        .enumerate()
        .filter(|(_, word)| *word == "ADD")
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([words.len()]);
    starts
        .iter()
        .copied()
        .zip(ends)
        .map(|(start, end)| &words[start..end])
        .collect()
}
