//! The files of the repository, found by walking: a source archive has no git history.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Folders that are not ours or not source.
const NOT_SOURCE: &[&str] = &[
    "target",
    "node_modules",
    ".git",
    ".test",
    "florin-data",
    "__pycache__",
    "assets",
];

/// The root of the repository that is being tested. Asked at run time: a target folder that two checkouts share holds tests that were
/// built in the other one.
pub fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .expect("cargo and nextest say where the crate lies; run the rules by one of them");
    Path::new(&here)
        .ancestors()
        .nth(2)
        .expect("crates/house lies two folders below the root")
        .to_owned()
}

/// The text of a file by its path from the root, or nothing when it does not exist.
pub fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

/// As [`read`]; says so when the file is not there.
pub fn read_or_say(path: &str) -> Option<String> {
    let text = read(path);
    if text.is_none() {
        say_absent(path);
    }
    text
}

/// Says on the test's output that a rule has nothing to bind yet.
pub fn say_absent(what: &str) {
    eprintln!("there is no {what} yet: nothing to hold this rule against");
}

/// Paths and texts of all files below `folder` (from the root) whose name ends in one of `endings`, in order.
pub fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root(), &root().join(folder), endings, &mut found);
    found.sort();
    found
}

fn collect(root: &Path, folder: &Path, endings: &[&str], found: &mut Vec<(String, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            if !NOT_SOURCE.contains(&name.as_str()) {
                collect(root, &path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending))
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path
                .strip_prefix(root)
                .expect("walked down from the root")
                .to_string_lossy()
                .into_owned();
            found.push((path, text));
        }
    }
}

/// The names of the folders under `crates/`, in order.
pub fn crates() -> Vec<String> {
    let entries = fs::read_dir(root().join("crates")).expect("the root holds crates/");
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What `cargo metadata` says of our own crates.
pub fn cargo_metadata() -> serde_json::Value {
    let json = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    serde_json::from_str(&json).expect("cargo metadata writes JSON")
}

/// What a command of cargo prints, on the locked dependencies.
pub fn cargo(arguments: &[&str]) -> String {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let command = Command::new(program)
        .args(arguments)
        .arg("--locked")
        .current_dir(root())
        .output();
    let output = command.expect("cargo started this test, so it can be started");
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}
