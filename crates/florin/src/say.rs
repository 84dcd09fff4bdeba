//! What the command line writes: data to standard output, sentences for people to standard error.
//!
//! A reader that has seen enough (`florin orders | head`) ends the command quietly, as it ends any other program. A server goes on.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};

use serde_json::Value;

use crate::client::FAILED;

/// How a command ends whose reader went away: what a shell reports of a program that the closed pipe ended (128 + SIGPIPE).
const READER_GONE: i32 = 141;

/// A line for people that holds what others wrote: a payer's name must not steer the terminal, nor look like a line of ours.
///
/// Characters that a terminal acts on, line breaks among them, and those that turn the direction of writing are written out.
pub(crate) fn plain(line: &str) -> Cow<'_, str> {
    if !line.chars().any(steers) {
        return Cow::Borrowed(line);
    }
    let mut plain = String::with_capacity(line.len());
    for letter in line.chars() {
        if steers(letter) {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    Cow::Owned(plain)
}

/// JSON for programs that a person may see as well: what a terminal acts on is written as JSON writes it, and means the same.
pub(crate) fn json(value: &Value) -> String {
    let text = value.to_string();
    if !text.chars().any(steers) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if steers(letter) {
            // All of them have four digits at most.
            plain.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            plain.push(letter);
        }
    }
    plain
}

fn steers(letter: char) -> bool {
    let turns =
        matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(letter, '\u{2028}' | '\u{2029}');
    letter.is_control() || turns || breaks
}

/// A line of data.
pub(crate) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
    let Err(error) = written.and_then(|()| out.flush()) else {
        return;
    };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(READER_GONE);
    }
    note(&format!("florin: cannot write the output: {error}"));
    std::process::exit(FAILED.into());
}

/// What a server says when it is ready. Whether somebody reads it or not, it serves.
pub(crate) fn banner(text: &str) {
    let mut out = std::io::stdout().lock();
    let _nobody_reads = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
}

/// A sentence for people.
pub(crate) fn note(text: &str) {
    let _nobody_reads = writeln!(std::io::stderr(), "{text}");
}

/// How far a long command has come, on a terminal: each line is written over the one before.
pub(crate) fn progress(text: &str) {
    let _nobody_reads = write!(std::io::stderr(), "\r{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_wrote_steers_a_terminal_or_makes_a_line() {
        assert_eq!(
            plain("a\u{1b}[2J\u{7}\u{9b}31m\nEUR 9999.00  captured\r\u{202e}x"),
            r"a\u{1b}[2J\u{7}\u{9b}31m\nEUR 9999.00  captured\r\u{202e}x"
        );
        let value = Value::from("a\u{1b}\u{7f}\u{9b}31m\n\u{202e}x\u{2028} Zürich");
        let written = json(&value);
        assert_eq!(written, r#""a\u001b\u007f\u009b31m\n\u202ex\u2028 Zürich""#);
        assert_eq!(
            serde_json::from_str::<Value>(&written).unwrap(),
            value,
            "and means the same"
        );
        assert_eq!(plain("Zürich 東京 ✓ \\n"), "Zürich 東京 ✓ \\n", "text is left as it is");
    }
}
