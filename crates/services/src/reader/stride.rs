//! How many rows a turn takes: few while the reader keeps up, so that those who wait for an answer hardly wait for it, and more the longer
//! it falls behind, because many rows at once share the pages and the statements that they are written with.

use std::time::Duration;

use super::{REST, Turn};

/// Rows of a turn while the reader keeps up: a few milliseconds of work.
pub(super) const ROWS: usize = 256;
/// Rows of the largest turn.
pub(crate) const ROWS_MAX: usize = ROWS << DOUBLED_MAX;
const DOUBLED_MAX: u32 = 4;
/// The same where rows gather because together they share pages: about what a second brings.
pub(crate) const ROWS_GATHERING_MAX: usize = ROWS << DOUBLED_GATHERING_MAX;
const DOUBLED_GATHERING_MAX: u32 = 6;
/// Full turns in a row after which the next ones take twice as many.
const PATIENCE: u32 = 2;
/// Longest rest after a full turn.
const REST_MAX: Duration = Duration::from_secs(1);
/// Between having read all and reading again: batches small turns while orders come one by one.
const BETWEEN: Duration = Duration::from_millis(50);
/// Rows since it last had read all from which on a reader counts as busy.
const BUSY: usize = 200;
/// After another node was faster, which has its rows to itself for so long, and at most for so long when that happens again and again: two
/// nodes that both read everything do the work twice.
const OVERTAKEN: Duration = Duration::from_millis(5);
const OVERTAKEN_MAX: Duration = Duration::from_millis(100);

/// What the reader does after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Rests, and reads on.
    Again(Duration),
    /// Waits until something is committed, and then so long for more.
    WhenRung(Duration),
}

/// The size of the next turn.
#[derive(Debug)]
pub(super) struct Stride {
    doubled: u32,
    doubled_max: u32,
    full: u32,
    /// Rows since all had been read.
    rows: usize,
    /// How long the next turn that another node is faster with is followed by a rest.
    overtaken: Duration,
}

impl Stride {
    /// Over a store whose rows gather so long.
    pub(super) fn new(gathers: Duration) -> Self {
        Self {
            doubled: 0,
            doubled_max: if gathers.is_zero() {
                DOUBLED_MAX
            } else {
                DOUBLED_GATHERING_MAX
            },
            full: 0,
            rows: 0,
            overtaken: OVERTAKEN,
        }
    }

    /// Rows of the next turn, at most.
    pub(super) fn rows(&self) -> usize {
        ROWS << self.doubled
    }

    /// After a turn. A busy reader waits so long for rows to gather.
    pub(super) fn after(&mut self, turn: &Turn, gathers: Duration) -> Then {
        if turn.overtaken {
            // There may be more than the other node took, and its bell does not ring here.
            let rest = self.overtaken;
            self.overtaken = (rest * 2).min(OVERTAKEN_MAX);
            return Then::Again(rest);
        }
        if turn.rows > 0 {
            self.overtaken = OVERTAKEN;
        }
        self.rows += turn.rows;
        if turn.full {
            return Then::Again(self.full(turn.took));
        }
        let busy = self.rows >= BUSY;
        self.rows = 0;
        self.shorten();
        Then::WhenRung(if busy { gathers.max(BETWEEN) } else { BETWEEN })
    }

    /// After a fault: there may be rows, and fewer of them may be too many no longer.
    pub(super) fn failed(&mut self) -> Then {
        self.shorten();
        Then::Again(REST)
    }

    /// After a turn that took all it may: how long to rest. While turns are small, half of the time belongs to those who wait for an answer;
    /// the larger they are, the less.
    fn full(&mut self, took: Duration) -> Duration {
        let rest = (took / (1 << self.doubled)).min(REST_MAX);
        self.full += 1;
        if self.full == PATIENCE {
            (self.doubled, self.full) = ((self.doubled + 1).min(self.doubled_max), 0);
        }
        rest
    }

    /// Half as many rows are enough, until turns are full again.
    fn shorten(&mut self) {
        (self.doubled, self.full) = (self.doubled.saturating_sub(1), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(8);
    const GATHERS: Duration = Duration::from_secs(1);

    fn turn(rows: usize, full: bool) -> Turn {
        Turn {
            rows,
            full,
            took: TOOK,
            ..Turn::default()
        }
    }

    fn full(stride: &mut Stride) -> Then {
        let rows = stride.rows();
        stride.after(&turn(rows, true), GATHERS)
    }

    #[test]
    fn a_reader_that_keeps_up_takes_few_rows() {
        let mut stride = Stride::new(Duration::ZERO);
        for _ in 0..100 {
            for _ in 1..PATIENCE {
                assert_eq!(full(&mut stride), Then::Again(TOOK));
                assert_eq!(stride.rows(), ROWS, "after fewer full turns in a row than it bears");
            }
            stride.after(&turn(1, false), GATHERS);
        }
    }

    #[test]
    fn one_that_falls_behind_takes_more_and_more_and_rests_less_and_less() {
        let mut stride = Stride::new(Duration::ZERO);
        let mut seen = Vec::new();
        for _ in 0..12 {
            let rows = stride.rows();
            let Then::Again(rest) = full(&mut stride) else {
                panic!("it reads on")
            };
            seen.push((rows, rest.as_micros()));
        }
        let stages = [
            (256, 8_000),
            (512, 4_000),
            (1_024, 2_000),
            (2_048, 1_000),
            (4_096, 500),
            (ROWS_MAX, 500),
        ];
        let expected: Vec<_> = stages.into_iter().flat_map(|stage| [stage, stage]).collect();
        assert_eq!(seen, expected, "two turns at each size");
        let mut gathering = Stride::new(GATHERS);
        for _ in 0..20 {
            full(&mut gathering);
        }
        assert_eq!(gathering.rows(), 16_384, "rows that are written together share pages");
        stride.after(&turn(1, false), GATHERS);
        assert_eq!(stride.rows(), 2_048);
        assert_eq!(stride.failed(), Then::Again(REST));
        assert_eq!(stride.rows(), 1_024, "what failed may have been too much");
    }

    #[test]
    fn no_rest_is_long() {
        let slow = Turn {
            took: Duration::from_secs(60),
            ..turn(256, true)
        };
        assert_eq!(Stride::new(GATHERS).after(&slow, GATHERS), Then::Again(REST_MAX));
    }

    #[test]
    fn rows_gather_behind_a_busy_reader_and_behind_no_other() {
        let mut stride = Stride::new(Duration::ZERO);
        let few = turn(BUSY - 1, false);
        assert_eq!(stride.after(&few, GATHERS), Then::WhenRung(BETWEEN));
        assert_eq!(
            stride.after(&few, GATHERS),
            Then::WhenRung(BETWEEN),
            "counted anew each time"
        );
        assert_eq!(stride.after(&turn(BUSY, false), GATHERS), Then::WhenRung(GATHERS));
        assert_eq!(stride.after(&few, GATHERS), Then::WhenRung(BETWEEN));
        full(&mut stride);
        let last = turn(0, false);
        assert_eq!(
            stride.after(&last, GATHERS),
            Then::WhenRung(GATHERS),
            "what full turns had counts"
        );
        let busy = turn(BUSY, false);
        assert_eq!(
            stride.after(&busy, Duration::ZERO),
            Then::WhenRung(BETWEEN),
            "where nothing gathers there is a pause too"
        );
    }

    #[test]
    fn whoever_was_overtaken_looks_again_soon_then_less_often_and_takes_no_more_than_before() {
        let mut stride = Stride::new(Duration::ZERO);
        let overtaken = |full| Turn {
            overtaken: true,
            ..turn(256, full)
        };
        for (round, full) in [true, false].repeat(5).into_iter().enumerate() {
            let rest = [5, 10, 20, 40, 80].get(round).copied().unwrap_or(100);
            assert_eq!(
                stride.after(&overtaken(full), GATHERS),
                Then::Again(Duration::from_millis(rest))
            );
            assert_eq!(stride.rows(), ROWS);
        }
        stride.after(&turn(0, false), GATHERS);
        assert_eq!(
            stride.after(&overtaken(true), GATHERS),
            Then::Again(OVERTAKEN_MAX),
            "the other node reads on: nothing was left"
        );
        assert_eq!(
            stride.after(&turn(1, false), GATHERS),
            Then::WhenRung(BETWEEN),
            "its rows were another's"
        );
        assert_eq!(
            stride.after(&overtaken(true), GATHERS),
            Then::Again(OVERTAKEN),
            "it was faster once"
        );
    }
}
