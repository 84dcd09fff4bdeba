//! Counts latencies in buckets that grow with the value, so that a quantile of millions of answers costs 30 KB.
//!
//! Promises: values below 128 are exact, above that a quantile is at most 1/64 too large and never too small.
//! Does not know what its values mean; we put microseconds in.

/// Buckets per doubling of the value: 64, so a bucket is at most 1/64 of its value wide.
const PRECISION_BITS: u32 = 6;

/// Buckets that a 64-bit value may fall into.
const BUCKETS: usize = ((64 - PRECISION_BITS as usize) << PRECISION_BITS) + (1 << PRECISION_BITS);

/// A histogram of whole numbers with a bounded relative error.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    largest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            largest: 0,
        }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn count(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.total += 1;
        self.largest = self.largest.max(value);
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest value, exact; 0 when nothing was counted.
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// The value that `per_mille` of all values do not exceed (500 is the median); 0 when nothing was counted.
    pub fn quantile(&self, per_mille: u64) -> u64 {
        let rank = (self.total * per_mille.min(1000)).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return largest_in(bucket).min(self.largest);
            }
        }
        self.largest
    }

    /// Adds what another histogram counted.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.largest = self.largest.max(other.largest);
    }
}

/// How many low bits of a value its bucket ignores.
fn ignored_bits(value: u64) -> u32 {
    (u64::BITS - value.leading_zeros()).saturating_sub(PRECISION_BITS + 1)
}

fn bucket_of(value: u64) -> usize {
    let ignored = ignored_bits(value);
    // `value >> ignored` is below 128, so it fits on every platform.
    ((ignored as usize) << PRECISION_BITS) + (value >> ignored) as usize
}

fn largest_in(bucket: usize) -> u64 {
    let ignored = (bucket >> PRECISION_BITS).saturating_sub(1);
    let top = (bucket - (ignored << PRECISION_BITS)) as u64;
    // The last bucket ends at 2^64 - 1: shift the gap in as ones instead of adding one and overflowing.
    (top << ignored) | ((1 << ignored) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.count(*value));
        histogram
    }

    #[test]
    fn nothing_counted_is_zero_everywhere() {
        let nothing = Histogram::default();
        assert_eq!((nothing.total(), nothing.largest(), nothing.quantile(990)), (0, 0, 0));
    }

    #[test]
    fn small_values_are_exact() {
        let hundred: Vec<u64> = (1..=100).collect();
        let histogram = of(&hundred);
        assert_eq!(histogram.quantile(500), 50);
        assert_eq!(histogram.quantile(990), 99);
        assert_eq!(histogram.quantile(1000), 100);
    }

    #[test]
    fn the_largest_number_there_is_has_a_bucket() {
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(largest_in(BUCKETS - 1), u64::MAX);
        assert_eq!(of(&[u64::MAX]).quantile(500), u64::MAX);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_value_and_is_at_most_a_64th_of_it_wide(value: u64) {
            let bucket = bucket_of(value);
            prop_assert!(largest_in(bucket) >= value);
            prop_assert!(largest_in(bucket) - value <= value / 64);
            if bucket > 0 {
                prop_assert!(largest_in(bucket - 1) < value);
            }
        }

        #[test]
        fn a_quantile_is_never_below_the_sorted_list_and_at_most_a_64th_above(
            mut values in prop::collection::vec(0_u64..10_000_000, 1..400),
            per_mille in 0_u64..=1000,
        ) {
            let said = of(&values).quantile(per_mille);
            values.sort_unstable();
            let rank = (values.len() as u64 * per_mille).div_ceil(1000).max(1);
            let exact = values[rank as usize - 1];
            prop_assert!(said >= exact, "{said} < {exact}");
            prop_assert!(said - exact <= exact / 64, "{said} is too far above {exact}");
        }

        #[test]
        fn two_halves_added_are_the_whole(values in prop::collection::vec(any::<u64>(), 0..200), cut in 0_usize..200) {
            let cut = cut.min(values.len());
            let mut halves = of(&values[..cut]);
            halves.add(&of(&values[cut..]));
            let whole = of(&values);
            prop_assert_eq!(&halves.counts, &whole.counts);
            prop_assert_eq!((halves.total, halves.largest), (whole.total, whole.largest));
        }
    }
}
