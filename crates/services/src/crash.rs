//! Named points at which a process can be told to die, for the tests that start it again.
//!
//! `FLORIN_CRASH_AT=after_send:3` ends the process at the third passage of that point, as `kill -9` would: nothing is finished, flushed or
//! answered. Only builds with debug assertions look at it; a release passes every point without a glance.

/// Every point, in the order in which a payment passes them.
pub const POINTS: &[&str] = &[
    "before_commit",
    "after_commit",
    "before_send",
    "after_send",
    "after_notice",
    "before_fold",
    "after_fold",
    "before_deliver",
    "after_deliver",
    "before_put",
    "after_put",
];

/// The variable that names a point, and which passage of it is the last.
pub const VARIABLE: &str = "FLORIN_CRASH_AT";

/// A point of the program. Dies here if it was told to.
#[inline]
pub fn point(name: &'static str) {
    if cfg!(debug_assertions) {
        reached(name);
    }
}

fn reached(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static CHOSEN: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);
    debug_assert!(POINTS.contains(&name), "{name} is not in POINTS");
    let chosen = CHOSEN.get_or_init(|| read(&std::env::var(VARIABLE).ok()?));
    if let Some((point, passage)) = chosen
        && point == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *passage
    {
        std::process::abort();
    }
}

fn read(text: &str) -> Option<(String, u32)> {
    let (name, passage) = text.split_once(':').unwrap_or((text, "1"));
    Some((name.to_owned(), passage.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_with_the_passage_that_is_the_last() {
        assert_eq!(read("after_send:3"), Some(("after_send".into(), 3)));
        assert_eq!(read("after_send"), Some(("after_send".into(), 1)));
        assert_eq!(read("after_send:soon"), None);
    }
}
