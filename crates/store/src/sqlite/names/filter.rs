//! A filter over fingerprints: "certainly not" or "maybe". One cache line a question.

/// Bits a name; with seven of them set about one answer in eighty is a wrong "maybe".
const BITS: usize = 10;
/// A block is a cache line.
const BLOCK_WORDS: usize = 8;
const PROBES: u32 = 7;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    pub(super) fn over(fingerprints: impl ExactSizeIterator<Item = u64>) -> Self {
        let blocks = (fingerprints.len() * BITS).div_ceil(BLOCK_WORDS * 64).max(1);
        let mut filter = Self {
            words: vec![0; blocks * BLOCK_WORDS],
        };
        for fingerprint in fingerprints {
            for (word, bit) in filter.places(fingerprint) {
                filter.words[word] |= bit;
            }
        }
        filter
    }

    pub(super) fn may_hold(&self, fingerprint: u64) -> bool {
        self.places(fingerprint).all(|(word, bit)| self.words[word] & bit != 0)
    }

    /// The bits of a fingerprint. It is mixed first: within a part of a run the high bits are all alike.
    fn places(&self, fingerprint: u64) -> impl Iterator<Item = (usize, u64)> + use<> {
        let mixed = mix(fingerprint);
        let blocks = (self.words.len() / BLOCK_WORDS) as u64;
        let block = (u128::from(mixed) * u128::from(blocks)) >> 64;
        let (block, bits) = (block as usize * BLOCK_WORDS, mix(mixed));
        (0..PROBES).map(move |probe| {
            let bit = bits >> (9 * probe) & 511;
            (block + (bit >> 6) as usize, 1 << (bit & 63))
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// None: these are not the bytes of a filter.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks();
        let words: Vec<u64> = words.iter().map(|word| u64::from_be_bytes(*word)).collect();
        (rest.is_empty() && !words.is_empty() && words.len().is_multiple_of(BLOCK_WORDS)).then_some(Self { words })
    }
}

/// The end of MurmurHash3: every bit of the input moves every bit of the output.
fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ bits >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_never_denied_and_little_else_is_let_through() {
        // Fingerprints of one part of a run: a narrow range.
        let inside: Vec<u64> = (0..5_760).map(|number| (7 << 60) + number * 1_000_003).collect();
        let filter = Filter::over(inside.iter().copied());
        assert!(inside.iter().all(|fingerprint| filter.may_hold(*fingerprint)));
        let wrong = (0..100_000)
            .filter(|number| filter.may_hold((7 << 60) + number * 1_000_003 + 1))
            .count();
        assert!(wrong < 2_500, "{wrong} of 100,000 were let through");
        assert_eq!(Filter::from_bytes(&filter.to_bytes()), Some(filter));
    }

    #[test]
    fn bytes_that_are_no_filter_are_refused() {
        for wrong in [0, 1, 63, 65] {
            assert_eq!(Filter::from_bytes(&vec![0; wrong]), None, "{wrong} bytes");
        }
    }
}
