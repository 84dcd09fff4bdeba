//! The walk in `ARCHITECTURE.md`: one confirm from the HTTP door to the rule and back, each stop a file and a function
//! that exist, at most six files in all.

use crate::Finding;
use crate::documents::backticked;
use crate::source::{code, words};
use std::collections::BTreeSet;

/// The route from front door to rule has at most so many files, so that a newcomer can hold it in mind.
pub const FILES_AT_MOST: usize = 6;

/// A stop of the walk: a file and a function in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Line in `ARCHITECTURE.md`.
    pub line: usize,
    /// Path of the file.
    pub file: String,
    /// Name of the function.
    pub function: String,
}

/// The stops: lines below a heading that says "walk", with a path of ours and a function between backticks.
pub fn stops(text: &str) -> Vec<Stop> {
    let mut in_walk = None;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let level = line.chars().take_while(|c| *c == '#').count();
        if level > 0 {
            let says_walk = line.to_lowercase().contains("walk");
            match in_walk {
                Some(opened) if level <= opened && !says_walk => in_walk = None,
                None if says_walk => in_walk = Some(level),
                Some(_) | None => {}
            }
        }
        if in_walk.is_none() {
            continue;
        }
        let pieces = backticked(line);
        let Some(file) = pieces
            .iter()
            .find(|piece| piece.starts_with("crates/") && piece.ends_with(".rs"))
        else {
            continue;
        };
        for piece in pieces.iter().filter(|piece| *piece != file) {
            if let Some(function) = function_name(piece) {
                found.push(Stop {
                    line: at + 1,
                    file: (*file).to_owned(),
                    function: function.to_owned(),
                });
            }
        }
    }
    found
}

/// Holds the stops against the files, which `read` brings.
pub fn check(stops: &[Stop], read: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let page = "ARCHITECTURE.md";
    let mut findings = Vec::new();
    if stops.is_empty() {
        findings.push(Finding::new(
            page,
            0,
            "there is no walk: a heading that says so, then lines with `crates/….rs` and `function`",
        ));
    }
    for stop in stops {
        match read(&stop.file) {
            None => findings.push(Finding::new(page, stop.line, format!("{} does not exist", stop.file))),
            Some(text) if !defines(&text, &stop.function) => {
                findings.push(Finding::new(
                    page,
                    stop.line,
                    format!("{} has no function `{}`", stop.file, stop.function),
                ));
            }
            Some(_) => {}
        }
    }
    let files: BTreeSet<&str> = stops.iter().map(|stop| stop.file.as_str()).collect();
    if files.len() > FILES_AT_MOST {
        findings.push(Finding::new(
            page,
            0,
            format!(
                "the walk has {} files, at most {FILES_AT_MOST} are easy to hold in mind",
                files.len()
            ),
        ));
    }
    findings
}

/// `Engine::execute`, `execute()` and `execute` all name the function `execute`.
fn function_name(piece: &str) -> Option<&str> {
    let name = piece.split('(').next()?.rsplit("::").next()?;
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_name.then_some(name)
}

fn defines(text: &str, function: &str) -> bool {
    let code = code(text);
    words(&code)
        .windows(2)
        .any(|pair| pair[0].text == "fn" && pair[1].text == function)
}
