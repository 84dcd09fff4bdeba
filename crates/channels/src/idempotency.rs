//! What an idempotency key may be: the same at every door.
//!
//! Any text, as at Stripe; the draft of the HTTP header asks for no less. A control character is no text: it is a broken client, and a log
//! line that lies.

use axum::http::HeaderValue;

/// Longest key in characters: Stripe's limit, so that its libraries' keys fit.
const CHARS_MAX: usize = 255;

/// The text of the header, or what is wrong with it.
pub(crate) fn text(value: &HeaderValue) -> Result<&str, String> {
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let chars = text.chars().count();
    if chars == 0 {
        return Err(format!("it is empty, and has 1 to {CHARS_MAX} characters"));
    }
    if chars > CHARS_MAX {
        return Err(format!("it has {chars} characters, and {CHARS_MAX} are the most"));
    }
    if text.chars().any(char::is_control) {
        return Err("it holds a control character (a tab, for example), and any other text will do".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> Result<String, String> {
        text(&HeaderValue::from_bytes(bytes).unwrap()).map(str::to_owned)
    }

    #[test]
    fn any_text_of_up_to_255_characters_is_a_key() {
        for key in ["k", "order 17, second try", "\"quoted\"", "Größe ✓", &"ü".repeat(255)] {
            assert_eq!(said(key.as_bytes()).as_deref(), Ok(key));
        }
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said() {
        for (bytes, why) in [
            (&b""[..], "empty"),
            (b"a\tb", "control character"),
            ("a\u{85}b".as_bytes(), "control character"),
            (b"\xff", "UTF-8"),
            (&[b'k'; 256], "256 characters"),
        ] {
            let refused = said(bytes).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
