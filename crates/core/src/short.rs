//! Short texts on the stack: a name is put together there and handed on in one piece, because a writer of JSON looks at each piece anew.

use std::fmt::{self, Display, Write};

use serde::Serializer;
use serde::ser::Error;

/// Room for every name in stored JSON: the longest is an amount, three letters, a space and twenty characters of a number, or an id.
const BYTES: usize = 48;

struct Short {
    bytes: [u8; BYTES],
    used: usize,
}

impl Write for Short {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let free = self
            .bytes
            .get_mut(self.used..self.used + piece.len())
            .ok_or(fmt::Error)?;
        free.copy_from_slice(piece.as_bytes());
        self.used += piece.len();
        Ok(())
    }
}

/// A value as a JSON string. One that is longer than any name is written piece by piece.
pub(crate) fn serialize<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    let mut text = Short {
        bytes: [0; BYTES],
        used: 0,
    };
    match write!(text, "{value}") {
        Ok(()) => to.serialize_str(std::str::from_utf8(&text.bytes[..text.used]).map_err(S::Error::custom)?),
        Err(fmt::Error) => to.collect_str(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_any_length_is_written_whole() {
        struct Shown(String);
        impl serde::Serialize for Shown {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                serialize(&self.0, to)
            }
        }
        for text in ["", "ord_1", &"é".repeat(24), &"é".repeat(25), &"x".repeat(500)] {
            let json = serde_json::to_string(&Shown(text.to_owned())).unwrap();
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
