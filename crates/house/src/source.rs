//! Rust source as rules read it: without comments, without the insides of strings, without tests, line by line as
//! before.
//!
//! A lexer of one page, not a parser: it knows comments, strings, characters and braces, and that is enough to ask
//! which words stand in code.

/// The code of a file: comments and the insides of literals are blanked out, every line stays where it was.
pub fn code(text: &str) -> String {
    blank(text, Keep::Code)
}

/// The comments of a file, everything else blanked out.
pub fn comments(text: &str) -> String {
    blank(text, Keep::Comments)
}

/// As [`code`], and without items under `#[cfg(test)]`.
pub fn production_code(text: &str) -> String {
    let mut code = code(text);
    while let Some(start) = code.find("#[cfg(test)]") {
        let end = end_of_item(&code, start);
        let blanked: String = code[start..end].chars().map(blank_character).collect();
        code.replace_range(start..end, &blanked);
    }
    code
}

/// A word (identifier, keyword or number) and its line, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// The line it stands in.
    pub line: usize,
    /// The word itself.
    pub text: &'a str,
    /// What stands between the word before and this one, without white space.
    pub before: &'a str,
    /// The first character after it that is not white space.
    pub after: Option<char>,
}

/// The words of a piece of code, in order.
pub fn words(code: &str) -> Vec<Word<'_>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let (mut line, mut gap, mut at) = (1, 0, 0);
    while at < code.len() {
        let rest = &code[at..];
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if length == 0 {
            let c = rest.chars().next().expect("not at the end");
            line += usize::from(c == '\n');
            at += c.len_utf8();
            continue;
        }
        let after = rest[length..].trim_start().chars().next();
        found.push(Word {
            line,
            text: &rest[..length],
            before: code[gap..at].trim(),
            after,
        });
        at += length;
        gap = at;
    }
    found
}

/// True for a file that holds tests only: in a `tests` folder, or a module file named so.
pub fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.contains("/benches/")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Code,
    Comments,
}

fn blank_character(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

fn blank(text: &str, keep: Keep) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (length, kind) = piece(rest, out.chars().next_back());
        let (piece, behind) = rest.split_at(length);
        let kept = match kind {
            Kind::Code => keep == Keep::Code,
            Kind::Comment => keep == Keep::Comments,
            Kind::Literal => false,
        };
        if kept {
            out.push_str(piece);
        } else {
            // A literal keeps its outline, so that two words around it stay two words.
            out.extend(piece.chars().map(blank_character));
        }
        rest = behind;
    }
    out
}

enum Kind {
    Code,
    Comment,
    Literal,
}

/// The length of the piece that starts here, and what it is.
fn piece(rest: &str, previous: Option<char>) -> (usize, Kind) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Kind::Comment);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Kind::Comment);
    }
    let inside_word = previous.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !inside_word && let Some(length) = raw_string(rest) {
        return (length, Kind::Literal);
    }
    if rest.starts_with('"') {
        return (quoted(rest, '"'), Kind::Literal);
    }
    if rest.starts_with('\'') && is_character(rest) {
        return (quoted(rest, '\''), Kind::Literal);
    }
    (rest.chars().next().map_or(0, char::len_utf8), Kind::Code)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, and the same with `b` or `c` before them.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix)
            .is_some_and(|behind| behind.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = rest[prefix.len()..].chars().take_while(|c| *c == '#').count();
    let body = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            c if c == quote && !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    rest.len()
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn is_character(rest: &str) -> bool {
    let mut behind = rest.chars().skip(1);
    match behind.next() {
        Some('\\') => true,
        Some(_) => behind.next() == Some('\''),
        None => false,
    }
}

/// The end of the item that follows the attribute at `start`: its closing brace, or its semicolon.
fn end_of_item(code: &str, start: usize) -> usize {
    let (mut depth, mut brackets) = (0_usize, 0_usize);
    for (at, c) in code[start..].char_indices() {
        match c {
            '[' | '(' => brackets += 1,
            ']' | ')' => brackets = brackets.saturating_sub(1),
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return start + at + 1;
                }
            }
            ';' if depth == 0 && brackets == 0 => return start + at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let text =
            "let a = \"f64 // \\\" no\"; // f64\nlet b: &'a str = r#\"f64 \" \"#; /* f64 /* f64 */ */ let c = 'f';";
        let code = code(text);
        assert!(!code.contains("f64"), "{code}");
        assert_eq!(code.len(), text.len());
        let found: Vec<&str> = words(&code).iter().map(|word| word.text).collect();
        assert_eq!(found, ["let", "a", "let", "b", "a", "str", "let", "c"]);
    }

    #[test]
    fn tests_are_no_production_code() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { f64 } }\nfn c() {}\n#[cfg(test)]\nuse d;\nfn e() {}";
        let code = production_code(text);
        let found: Vec<(usize, &str)> = words(&code).iter().map(|word| (word.line, word.text)).collect();
        assert_eq!(found, [(1, "fn"), (1, "a"), (4, "fn"), (4, "c"), (7, "fn"), (7, "e")]);
    }

    #[test]
    fn only_comments_are_comments() {
        let text = "let a = \"// not here\"; // here\n";
        assert_eq!(comments(text).trim(), "// here");
    }
}
