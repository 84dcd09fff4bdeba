//! Style sheets: what all pages begin with is written once.
//!
//! The shop may know none of our crates, so it keeps a copy of the common sheet; the copy is held equal, and nobody defines a token anew.

use std::collections::BTreeSet;

use crate::Finding;

/// The sheet that all pages begin with.
pub const BASE: &str = "crates/channels/assets/base.css";
/// The shop's copy of it.
pub const COPY: &str = "crates/shop/assets/base.css";

/// The copy says what the sheet says.
pub fn copied(sheet: &str, copy: &str) -> Vec<Finding> {
    let (mut ours, mut theirs) = (sheet.lines(), copy.lines());
    for line in 1.. {
        match (ours.next(), theirs.next()) {
            (None, None) => break,
            (one, other) if one == other => {}
            (_, _) => {
                let what = format!("differs from {BASE}: change that one and copy it here");
                return vec![Finding::new(COPY, line, what)];
            }
        }
    }
    Vec::new()
}

/// Tokens that a sheet defines, each with its line.
pub fn tokens(sheet: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, line) in sheet.lines().enumerate() {
        for statement in line.split([';', '{']) {
            if let Some((name, _)) = statement.trim().split_once(':')
                && name.starts_with("--")
            {
                found.push((at + 1, name));
            }
        }
    }
    found
}

/// A sheet behind the common one defines none of its tokens anew.
pub fn own_tokens(path: &str, sheet: &str, base: &str) -> Vec<Finding> {
    let common: BTreeSet<&str> = tokens(base).into_iter().map(|(_, name)| name).collect();
    tokens(sheet)
        .into_iter()
        .filter(|(_, name)| common.contains(name))
        .map(|(line, name)| Finding::new(path, line, format!("`{name}` is defined in {BASE}: use it")))
        .collect()
}
