//! What the figures are held against. The prototype that reached them is described with the project's papers; the
//! figures of a noisy machine may miss them for reasons of its own, so a missed goal is shown and is no error.

/// A figure and what it should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    pub(crate) direction: Direction,
    pub(crate) bar: f64,
    pub(crate) stretch: Option<f64>,
    pub(crate) unit: &'static str,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    AtLeast,
    AtMost,
}

impl Goal {
    pub(crate) fn is_met_by(&self, value: f64) -> bool {
        self.holds(value, self.bar)
    }

    pub(crate) fn is_stretched_by(&self, value: f64) -> bool {
        self.stretch.is_some_and(|stretch| self.holds(value, stretch))
    }

    fn holds(&self, value: f64, limit: f64) -> bool {
        match self.direction {
            Direction::AtLeast => value >= limit,
            Direction::AtMost => value <= limit,
        }
    }
}

const fn ratio(name: &'static str, bar: f64, stretch: f64) -> Goal {
    Goal {
        name,
        direction: Direction::AtLeast,
        bar,
        stretch: Some(stretch),
        unit: "x",
    }
}

const fn bound(name: &'static str, bar: f64, stretch: Option<f64>, unit: &'static str) -> Goal {
    Goal {
        name,
        direction: Direction::AtMost,
        bar,
        stretch,
        unit,
    }
}

/// In the order in which they are printed.
pub(crate) const GOALS: [Goal; 22] = [
    ratio("register_sqlite", 3.0, 4.4),
    ratio("register_postgres", 3.0, 6.0),
    ratio("sale_sqlite_64", 1.5, 3.0),
    ratio("sale_sqlite_256", 2.0, 3.5),
    ratio("sale_postgres_64", 1.6, 2.4),
    ratio("sale_postgres_256", 2.1, 2.9),
    ratio("sale_over_register_sqlite", 0.45, 0.55),
    ratio("sale_over_register_postgres", 0.45, 0.55),
    ratio("kept_sqlite", 0.75, 0.9),
    ratio("kept_postgres", 0.75, 0.9),
    bound("written_kb_sqlite", 20.0, Some(10.0), "KB a sale"),
    bound("wal_kb_postgres", 4.0, Some(3.0), "KB a sale"),
    bound("half_p99_ms_sqlite", 15.0, Some(8.0), "ms"),
    bound("half_p99_ms_postgres", 15.0, Some(8.5), "ms"),
    bound("single_over_bare_ms_sqlite", 1.0, None, "ms"),
    bound("single_over_bare_ms_postgres", 1.0, None, "ms"),
    bound("overload_times_sqlite", 2.0, None, "x memory"),
    bound("overload_times_postgres", 2.0, None, "x memory"),
    bound("memory_mb", 40.0, None, "MB"),
    bound("start_ms", 1000.0, None, "ms"),
    bound("start_empty_ms", 1000.0, None, "ms"),
    bound("others_share", 0.1, None, "of the busy time"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_must_reach_its_bar_and_a_cost_must_stay_below() {
        let (rate, cost) = (ratio("r", 2.0, 3.5), bound("c", 20.0, Some(10.0), "KB"));
        assert!(rate.is_met_by(2.0) && !rate.is_met_by(1.99) && !rate.is_stretched_by(3.4));
        assert!(cost.is_met_by(20.0) && !cost.is_met_by(20.1) && cost.is_stretched_by(9.9));
    }
}
