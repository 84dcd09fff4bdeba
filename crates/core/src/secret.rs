//! Values that cannot be printed. `expose` is the only way in, and review looks at each call.

use zeroize::{Zeroize, Zeroizing};

/// A value that must not reach a log, a metric, an event or an error. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself. Each caller says why it needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_the_word_secret() {
        let key = Secret::new(String::from("sk_live_abc"));
        assert_eq!(format!("{key:?}"), "[secret]");
        assert_eq!(format!("{:?}", Some(&key)), "Some([secret])");
        assert_eq!(key.expose(), "sk_live_abc");
    }
}
