//! The hash chain of an order: each event row names, by its hash, everything that came before it.
//!
//! A row's hash is SHA-256 over the previous row's hash (zeros for the first) and, each with its length before it, the stored bytes of
//! events, postings and news. A flipped bit anywhere in an order's past is found by walking the chain once.

use aws_lc_rs::digest::{Context, SHA256};
use florin_store::{EventRow, Hash};

/// What the first event row of an order builds on.
pub const START: Hash = [0; 32];

/// The hash of an event row that follows `previous`.
pub fn link(previous: &Hash, body: &str, postings: Option<&str>, news: Option<&str>) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(previous);
    for text in [body, postings.unwrap_or(""), news.unwrap_or("")] {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut hash = START;
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Walks the rows of one order, oldest first. Answers the hash of the newest, or what is wrong with the first bad one.
pub fn walk(rows: &[EventRow]) -> Result<Hash, String> {
    let (mut hash, mut version) = (START, 0);
    for row in rows {
        version += row.count;
        if row.version != version {
            return Err(format!("its event rows have a gap before version {}", row.version));
        }
        hash = link(&hash, &row.body, row.postings.as_deref(), row.news.as_deref());
        if hash != row.hash {
            return Err(format!("the hash of its event row at version {} is wrong", row.version));
        }
    }
    Ok(hash)
}

/// The first half of SHA-256 over some texts, each with its length before it, in hex: proves a snapshot's bytes.
pub(crate) fn seal(chain: &Hash, texts: &[&str]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(chain);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    crate::dice::hex(&context.finish().as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_from_one_column_to_the_next_changes_the_hash() {
        let hash = link(&START, "ab", Some("c"), None);
        assert_ne!(hash, link(&START, "a", Some("bc"), None));
        assert_ne!(hash, link(&START, "ab", None, Some("c")));
        assert_ne!(hash, link(&hash, "ab", Some("c"), None));
        assert_eq!(hash, link(&START, "ab", Some("c"), None));
    }
}
