//! Short texts on the stack: a name is put together there and handed on in one piece, because a writer of JSON looks at each piece anew.

use serde::Serializer;
use serde::ser::Error;

/// Room for every name in stored JSON: the longest is an id of a part, four letters, 26 and a number of five digits.
const BYTES: usize = 48;

/// Pieces as one JSON string. One that is longer than any name is put together elsewhere.
pub(crate) fn serialize<S: Serializer>(pieces: &[&str], to: S) -> Result<S::Ok, S::Error> {
    let mut text = [0; BYTES];
    let mut used = 0;
    for piece in pieces {
        let Some(free) = text.get_mut(used..used + piece.len()) else {
            return to.serialize_str(&pieces.concat());
        };
        free.copy_from_slice(piece.as_bytes());
        used += piece.len();
    }
    to.serialize_str(std::str::from_utf8(&text[..used]).map_err(S::Error::custom)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_any_length_is_written_whole() {
        struct Shown(Vec<String>);
        impl serde::Serialize for Shown {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                serialize(&self.0.iter().map(String::as_str).collect::<Vec<_>>(), to)
            }
        }
        for (piece, times) in [("", 0), ("ord_", 1), ("é", 24), ("é", 25), ("x", 500)] {
            let json = serde_json::to_string(&Shown(vec![piece.to_owned(); times])).unwrap();
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), piece.repeat(times));
        }
    }
}
