//! How many rows a turn takes: few while the reader keeps up, so that those who wait for an answer hardly wait for it, and more the longer
//! it falls behind, because many rows at once share the pages and the statements that they are written with.

use std::time::Duration;

/// Rows of a turn while the reader keeps up: a few milliseconds of work.
const ROWS: usize = 256;
/// Rows of the largest turn.
pub(super) const ROWS_MAX: usize = ROWS << DOUBLED_MAX;
const DOUBLED_MAX: u32 = 6;
/// Full turns in a row after which the next ones take twice as many.
const PATIENCE: u32 = 2;
/// Longest rest after a full turn.
const REST_MAX: Duration = Duration::from_secs(1);

/// The size of the next turn.
#[derive(Debug, Default)]
pub(super) struct Stride {
    doubled: u32,
    full: u32,
}

impl Stride {
    /// Rows of the next turn, at most.
    pub(super) fn rows(&self) -> usize {
        ROWS << self.doubled
    }

    /// After a turn that took all it may: how long to rest. While turns are small, half of the time belongs to those who wait for an answer;
    /// the larger they are, the less.
    pub(super) fn full(&mut self, took: Duration) -> Duration {
        let rest = (took / (1 << self.doubled)).min(REST_MAX);
        self.full += 1;
        if self.full == PATIENCE {
            (self.doubled, self.full) = ((self.doubled + 1).min(DOUBLED_MAX), 0);
        }
        rest
    }

    /// After a turn that came to the end of the rows: half as many are enough, until turns are full again.
    pub(super) fn drained(&mut self) {
        (self.doubled, self.full) = (self.doubled.saturating_sub(1), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(8);

    #[test]
    fn a_reader_that_keeps_up_takes_few_rows() {
        let mut stride = Stride::default();
        for _ in 0..100 {
            for _ in 1..PATIENCE {
                assert_eq!(stride.full(TOOK), TOOK);
                assert_eq!(stride.rows(), ROWS, "after fewer full turns in a row than it bears");
            }
            stride.drained();
        }
    }

    #[test]
    fn one_that_falls_behind_takes_more_and_more_and_rests_less_and_less() {
        let mut stride = Stride::default();
        let mut seen = Vec::new();
        for _ in 0..10 * PATIENCE {
            let rows = stride.rows();
            seen.push((rows, stride.full(TOOK).as_micros()));
        }
        seen.dedup();
        let expected = [
            (256, 8_000),
            (512, 4_000),
            (1_024, 2_000),
            (2_048, 1_000),
            (4_096, 500),
            (8_192, 250),
            (ROWS_MAX, 125),
        ];
        assert_eq!(seen, expected);
        stride.drained();
        assert_eq!(stride.rows(), 8_192);
    }

    #[test]
    fn no_rest_is_long() {
        assert_eq!(Stride::default().full(Duration::from_secs(60)), REST_MAX);
    }
}
