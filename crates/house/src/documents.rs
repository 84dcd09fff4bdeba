//! Documents that must tell the truth: what the code names has a paragraph, and what a paragraph names is in the code.

use crate::Finding;
use crate::source::{code, words};

/// A name and the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The file it stands in.
    pub file: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// The name.
    pub name: String,
}

/// The names in headings of a Markdown page: ``### `key_reused` ``.
pub fn headings(file: &str, text: &str) -> Vec<Named> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with('#'))
        .flat_map(|(at, line)| backticked(line).into_iter().map(move |name| named(file, at + 1, name)))
        .collect()
}

/// The pieces of a line between backticks.
pub fn backticked(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// The names in the table `const TABLE: … = …;`: the values of `field` where rows have it, else every literal that is
/// a snake_case word.
pub fn table(file: &str, text: &str, table: &str, field: &str) -> Option<Vec<Named>> {
    let outline = code(text);
    let all = words(&outline);
    let at = all
        .iter()
        .position(|word| word.text == table && word.before.is_empty() && word.after == Some(':'))?;
    all[..at]
        .last()
        .filter(|before| before.text == "const" || before.text == "static")?;
    let first_line = all[at].line;
    let start = line_start(text, first_line);
    let end = start + end_of_table(&outline[start..]);
    let literals = literals(&text[start..end], &outline[start..end], field);
    let line_of = |offset: usize| first_line + text[start..start + offset].matches('\n').count();
    Some(
        literals
            .into_iter()
            .map(|(offset, name)| named(file, line_of(offset), name))
            .collect(),
    )
}

/// A name in the code without a paragraph, and a paragraph without a name in the code.
pub fn both_ways(in_code: &[Named], in_page: &[Named], page: &str) -> Vec<Finding> {
    let missing = in_code
        .iter()
        .filter(|one| !in_page.iter().any(|other| other.name == one.name))
        .map(|one| {
            Finding::new(
                &one.file,
                one.line,
                format!("`{}` has no paragraph in {page}: add a heading with it", one.name),
            )
        });
    let stale = in_page
        .iter()
        .filter(|one| !in_code.iter().any(|other| other.name == one.name))
        .map(|one| {
            Finding::new(
                &one.file,
                one.line,
                format!("`{}` is described here, and nothing in the code is called so", one.name),
            )
        });
    missing.chain(stale).collect()
}

fn named(file: &str, line: usize, name: &str) -> Named {
    Named {
        file: file.to_owned(),
        line,
        name: name.to_owned(),
    }
}

fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line - 1).map(str::len).sum()
}

/// Up to the semicolon outside of all brackets.
fn end_of_table(outline: &str) -> usize {
    let mut depth = 0_i32;
    for (at, c) in outline.char_indices() {
        match c {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth -= 1,
            ';' if depth == 0 => return at,
            _ => {}
        }
    }
    outline.len()
}

/// String literals with their offsets. `outline` is the same text with literals blanked out, quotes included.
fn literals<'a>(text: &'a str, outline: &str, field: &str) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find('"').map(|offset| at + offset) {
        let close = text[open + 1..]
            .find('"')
            .map_or(text.len(), |offset| open + 1 + offset);
        found.push((open, &text[open + 1..close]));
        at = (close + 1).min(text.len());
    }
    let follows_field = |open: usize| {
        outline[..open]
            .trim_end()
            .strip_suffix(':')
            .is_some_and(|before| before.ends_with(field))
    };
    if found.iter().any(|(open, _)| follows_field(*open)) {
        found.retain(|(open, _)| follows_field(*open));
    }
    found.retain(|(_, literal)| is_name(literal));
    found
}

fn is_name(literal: &str) -> bool {
    literal.starts_with(|c: char| c.is_ascii_lowercase())
        && literal
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
