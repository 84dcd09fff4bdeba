//! The rules of the house, held against the repository; beside each, proof that it finds what is planted.

mod arrows;
mod cards;
mod dependencies;
mod documents;
mod migrations;
mod sheets;
mod words;

use florin_house::Finding;

/// Asserts that a rule finds exactly one thing and that what it says holds `part`.
fn finds(findings: &[Finding], part: &str) {
    assert!(
        findings.len() == 1 && findings[0].to_string().contains(part),
        "expected one with {part:?}: {findings:#?}"
    );
}

/// Asserts that a rule leaves this alone.
fn accepts(findings: &[Finding]) {
    assert_eq!(findings, []);
}
