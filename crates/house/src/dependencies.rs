//! What we take from others: licences, sources and bans of `deny.toml`, held against `cargo tree`.
//!
//! `cargo metadata` would be easier to read, but names crates that only a feature nobody asked for would bring.
//!
//! `cargo deny` does the same and more; this runs wherever the tests run, in a second and without another program.

use crate::Finding;
use std::collections::BTreeSet;

/// The lists of `deny.toml` that we hold.
#[derive(Debug)]
pub struct Lists {
    /// Licences that may be in the tree.
    pub licences: Vec<String>,
    /// Crates that may not, and why.
    pub banned: Vec<(String, String)>,
}

impl Lists {
    /// Reads them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let list = |section: &str, key: &str| -> Result<&Vec<toml::Value>, String> {
            table
                .get(section)
                .and_then(|section| section.get(key))
                .and_then(toml::Value::as_array)
                .ok_or_else(|| format!("deny.toml has no list `{key}` in [{section}]"))
        };
        let texts = |values: &[toml::Value]| {
            values
                .iter()
                .filter_map(toml::Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        let field =
            |value: &toml::Value, key: &str| value.get(key).and_then(toml::Value::as_str).unwrap_or("").to_owned();
        Ok(Self {
            licences: texts(list("licenses", "allow")?),
            banned: list("bans", "deny")?
                .iter()
                .map(|one| (field(one, "crate"), field(one, "reason")))
                .collect(),
        })
    }
}

/// How `cargo tree` is asked to write a package for [`check`]: name, version and source, then the licence.
pub const TREE_FORMAT: &str = "{p}|{l}";

/// Holds every line of `cargo tree` against the lists.
pub fn check(tree: &str, lists: &Lists) -> Vec<Finding> {
    let lines: BTreeSet<&str> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .collect();
    lines.into_iter().flat_map(|line| check_package(line, lists)).collect()
}

fn check_package(line: &str, lists: &Lists) -> Vec<Finding> {
    let (package, licence) = line.split_once('|').unwrap_or((line, ""));
    let name = package.split(' ').next().unwrap_or("");
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new("Cargo.lock", 0, format!("{name}: {what}")));
    if !allowed(licence, &lists.licences) {
        find(format!("licence `{licence}` is not in deny.toml"));
    }
    if let Some((_, why)) = lists.banned.iter().find(|(banned, _)| banned == name) {
        find(format!("banned: {why}"));
    }
    // Crates from the registry are written without a source, macros say so, ours with their folder.
    let sources = package
        .split('(')
        .skip(1)
        .map(|source| source.trim_end_matches([')', ' ']));
    for source in sources.filter(|source| *source != "proc-macro" && !source.starts_with('/')) {
        find(format!("comes from {source}, not from the registry"));
    }
    findings
}

/// Whether an SPDX expression can be met with the allowed licences. `/` is the old way to write OR.
pub fn allowed(expression: &str, licences: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ")
        .replace(" WITH ", "+WITH+");
    let tokens: Vec<String> = spaced
        .split_whitespace()
        .map(|token| token.replace("+WITH+", " WITH "))
        .collect();
    let mut rest = tokens.as_slice();
    let answer = any_of(&mut rest, licences);
    answer && rest.is_empty()
}

fn any_of(rest: &mut &[String], licences: &[String]) -> bool {
    let mut answer = all_of(rest, licences);
    while let Some((_, behind)) = rest.split_first().filter(|(word, _)| *word == "OR") {
        *rest = behind;
        answer |= all_of(rest, licences);
    }
    answer
}

fn all_of(rest: &mut &[String], licences: &[String]) -> bool {
    let mut answer = one(rest, licences);
    while let Some((_, behind)) = rest.split_first().filter(|(word, _)| *word == "AND") {
        *rest = behind;
        answer &= one(rest, licences);
    }
    answer
}

fn one(rest: &mut &[String], licences: &[String]) -> bool {
    let Some((word, behind)) = rest.split_first() else {
        return false;
    };
    *rest = behind;
    if word != "(" {
        return licences.contains(word);
    }
    let answer = any_of(rest, licences);
    if let Some((_, behind)) = rest.split_first().filter(|(word, _)| *word == ")") {
        *rest = behind;
    }
    answer
}
