//! The rules of the house, kept by tests and not by memory.
//!
//! Each module holds one kind of rule as a function from text to [`Finding`]s, so that a test can hold it against the
//! repository and a second test can show that it finds what was planted. Nothing here knows a crate of ours by its
//! types: rules read files, which is why this crate depends on none of them.
//!
//! A rule whose subject does not exist yet passes and says so; it starts to bind when the file appears.

#![forbid(unsafe_code)]

pub mod arrows;
pub mod cards;
pub mod dependencies;
pub mod documents;
pub mod migrations;
pub mod repository;
pub mod sheets;
pub mod source;
pub mod walk;
pub mod words;

use std::fmt;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Path from the root of the repository.
    pub file: String,
    /// Line, counted from 1; 0 when the whole file is meant.
    pub line: usize,
    /// What is wrong and what to do instead.
    pub what: String,
}

impl Finding {
    /// A finding in one line of a file.
    pub fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Fails the running test with every finding on a line of its own.
pub fn expect_none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "{} found:\n{}\n", findings.len(), lines.join("\n"));
}
