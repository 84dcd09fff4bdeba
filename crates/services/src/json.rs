//! Values written as JSON behind what a buffer holds.

use std::io;

use serde::Serialize;

/// Writes a value as JSON behind what is there.
///
/// # Errors
/// A map without string keys, or a value that cannot be written.
pub fn write<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    serde_json::to_writer(Buffer(to), value)
}

/// Two thirds of what a writer of JSON writes are single bytes: quotes, colons, commas. Each is pushed where it is written, because a call
/// that copies one costs several times as much.
struct Buffer<'a>(&'a mut Vec<u8>);

impl io::Write for Buffer<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match bytes {
            [byte] => self.0.push(*byte),
            several => self.0.extend_from_slice(several),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_serde_json_writes_behind_what_was_there() {
        let value = serde_json::json!({"a": ["", "x", "é\"\n", -7, true, null], "b": {"c": {}}});
        let mut text = b"kept ".to_vec();
        write(&value, &mut text).unwrap();
        assert_eq!(text, format!("kept {value}").into_bytes());
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        let keys: std::collections::BTreeMap<Vec<u8>, u8> = [(vec![1], 1)].into();
        assert!(write(&keys, &mut Vec::new()).is_err());
    }
}
