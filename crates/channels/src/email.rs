//! What can be an e-mail address. More is found out by writing to it.

/// Longest address: what a server of mail has to carry (RFC 5321, 4.5.3.1.3).
pub(crate) const EMAIL_CHARS_MAX: usize = 254;

/// Whether a text has one `@` with something on both sides, no blanks, and no more than [`EMAIL_CHARS_MAX`] characters.
pub(crate) fn can_be_email(text: &str) -> bool {
    let (name, host) = text.split_once('@').unwrap_or_default();
    let clean = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    clean && !name.is_empty() && !host.is_empty() && !host.contains('@') && text.chars().count() <= EMAIL_CHARS_MAX
}
