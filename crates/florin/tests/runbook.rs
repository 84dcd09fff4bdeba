//! The runbook is read at night: whatever it names has to be there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const FLORIN: &str = env!("CARGO_BIN_EXE_florin");

fn root() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../..")
}

fn runbook() -> String {
    std::fs::read_to_string(root().join("docs/runbook.md")).unwrap()
}

/// What stands between backticks, joined over line ends.
fn quoted(text: &str) -> Vec<String> {
    let parts = text.split('`').skip(1).step_by(2);
    parts
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// Names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = text.split(|c: char| !is_name(c));
    let found = words.filter(|word| word.starts_with("florin_") && word.len() > "florin_".len());
    found.map(str::to_owned).collect()
}

/// Names of metrics that the code writes: first words of its macros and of its lookups.
fn written() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root().join("crates/services/src"), root().join("crates/channels/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let literals = text.split('"').skip(1).step_by(2);
                found.extend(literals.filter(|one| metrics(one).contains(*one)).map(str::to_owned));
            }
        }
    }
    // Crates, as the log filter names them.
    found.retain(|name| {
        ![
            "florin_core",
            "florin_store",
            "florin_services",
            "florin_channels",
            "florin_key",
        ]
        .contains(&name.as_str())
    });
    found
}

#[test]
fn every_figure_that_the_runbook_names_is_written_and_every_one_that_is_written_is_explained() {
    let (written, text) = (written(), runbook());
    let named: BTreeSet<String> = quoted(&text).iter().flat_map(|part| metrics(part)).collect();
    let named: BTreeSet<String> = named.into_iter().filter(|name| name != "florin_key").collect();
    let missing: Vec<_> = named.difference(&written).collect();
    assert!(missing.is_empty(), "the runbook names what nobody writes: {missing:?}");
    let silent: Vec<_> = written.difference(&named).collect();
    assert!(silent.is_empty(), "the runbook does not explain {silent:?}");
    assert!(named.len() > 10, "{named:?}");
}

/// The help of a command, if there is one.
fn help(words: &[&str]) -> Option<String> {
    let asked = Command::new(FLORIN).args(words).arg("--help").output().unwrap();
    let said = String::from_utf8(asked.stdout).unwrap();
    // For a word that is no command, clap shows the help of the command before it.
    let usage = format!("Usage: florin {}", words.join(" "));
    (asked.status.success() && said.contains(usage.trim_end())).then_some(said)
}

#[test]
fn every_command_that_the_runbook_names_is_there_with_its_flags() {
    let text = runbook();
    let commands: BTreeSet<String> = quoted(&text)
        .into_iter()
        .filter(|part| part.starts_with("florin ") && part.len() > "florin ".len())
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in &commands {
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with("--");
        let verbs: Vec<&str> = words.iter().copied().take_while(is_word).take(2).collect();
        let one = verbs.first().copied().into_iter().collect::<Vec<_>>();
        let said = help(&verbs).or_else(|| help(&one));
        let said = said.unwrap_or_else(|| panic!("there is no `{command}`"));
        for flag in words
            .iter()
            .filter(|word| word.trim_start_matches('[').starts_with("--"))
        {
            let flag = flag.trim_matches(|c| c == '[' || c == ']');
            assert!(said.contains(flag), "`{command}`: there is no {flag}");
        }
    }
}
