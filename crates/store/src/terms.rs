//! What a listing keeps of an order's metadata: eight bytes for each name and value, beside the order.
//!
//! A search by metadata walks the tenant's own listings and looks for those bytes. An index by name and value would find rare ones
//! faster, and would cost every order a page for each of its (up to fifty) pairs: ten times what the rest of a sale writes.

/// Bytes of one pair. Within a tenant, two pairs share them about once in 10^19 times that two are compared.
const TERM_BYTES: usize = 8;

/// The bytes that stand for one name and value. For ever the same: they are stored.
pub(crate) fn term(name: &str, value: &str) -> [u8; TERM_BYTES] {
    // FNV-1a, 64 bits. The length comes first, so that no name runs into a value.
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    let length = (name.len() as u64).to_be_bytes();
    let hash = length.iter().fold(START, mix);
    let hash = name.as_bytes().iter().fold(hash, mix);
    let hash = value.as_bytes().iter().fold(hash, mix);
    hash.to_be_bytes()
}

/// The terms of an order, in one piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms(Vec<u8>);

impl Terms {
    /// Those of an order with this metadata.
    pub fn of<'a>(metadata: impl ExactSizeIterator<Item = (&'a String, &'a String)>) -> Self {
        let mut bytes = Vec::with_capacity(metadata.len() * TERM_BYTES);
        for (name, value) in metadata {
            bytes.extend_from_slice(&term(name, value));
        }
        Self(bytes)
    }

    /// Whether the order has this name with this value.
    pub fn holds(&self, name: &str, value: &str) -> bool {
        self.0.chunks(TERM_BYTES).any(|one| one == term(name, value))
    }

    /// As they are stored; none when it has no metadata, which leaves those that are there.
    pub(crate) fn stored(&self) -> Option<&[u8]> {
        (!self.0.is_empty()).then_some(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_the_same_for_ever_and_knows_where_the_name_ends() {
        assert_eq!(term("cart", "c-17"), 0x3479_4755_cc6a_71d7_u64.to_be_bytes());
        assert_ne!(term("ab", "c"), term("a", "bc"));
    }
}
