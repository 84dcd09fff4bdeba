//! What the bench found: one JSON object for programs, one table for people.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;
use serde_json::Value;

use crate::case::{CASES, Case};
use crate::figures::{median, median_sample};
use crate::goals::{Direction, GOALS, Goal};
use crate::sample::Sample;

/// More than this of the busy time in other processes, and figures say more about them than about us.
const NOISY_SHARE: f64 = 0.1;

/// A machine with more than this to do before we began was not quiet.
const NOISY_LOAD: f64 = 1.0;

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Rates over the reference, and rates over each other: more is better.
    pub ratios: BTreeMap<String, f64>,
    /// What should stay below a bound: less is better.
    pub bounds: BTreeMap<String, f64>,
    /// All figures behind them, by name.
    pub figures: BTreeMap<String, Value>,
    /// The checkpoint setting that held for each SQLite figure.
    pub checkpoint: BTreeMap<String, String>,
    /// How the machine was.
    pub machine: Machine,
    /// What a reader of the figures must know.
    pub warnings: Vec<String>,
    #[serde(skip)]
    rates: Vec<(Case, Rate)>,
}

/// How the machine was while we measured.
#[derive(Debug, Default, Serialize)]
pub struct Machine {
    /// `pgbench -M prepared -c 8` at scale 10: the median, and each run.
    pub pgbench_tps: f64,
    /// Each run of the reference.
    pub pgbench_runs: Vec<f64>,
    /// Microseconds of the fixed CPU loop, before and after.
    pub cpu_loop_us: [f64; 2],
    /// Load average before and after.
    pub load_average: [f64; 2],
    /// Processors.
    pub cores: usize,
    /// Whether load generator, stand-in provider and `pgbench` left the processor to whoever had it when they were woken.
    pub callers_stand_aside: bool,
    /// Whether other work was going on.
    pub noisy: bool,
}

/// All samples of one case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rate {
    pub(crate) samples: Vec<Sample>,
    pub(crate) ratios: Vec<f64>,
    pub(crate) tps: Vec<f64>,
}

impl Report {
    /// Adds the samples of one case.
    pub(crate) fn add_rate(&mut self, case: Case, rate: Rate) {
        let sample = median_sample(&rate.samples);
        let product_us = sample.cpu_server_us + sample.cpu_database_us;
        let mut figure = as_value(&sample);
        figure["pgbench_tps"] = rounded(median(&rate.tps));
        figure["ratios"] = rate.ratios.iter().copied().map(rounded).collect();
        figure["cpu_per_step_us"] = rounded(product_us / case.steps());
        figure["cpu_scaled_us"] = rounded(sample.cpu_scaled_us());
        self.figures.insert(case.name(), figure);
        self.ratios.insert(case.name(), round(median(&rate.ratios)));
        self.rates.push((case, rate));
    }

    /// Adds a figure that is no rate.
    pub(crate) fn add(&mut self, name: &str, figure: &impl Serialize) {
        self.figures.insert(name.to_owned(), as_value(figure));
    }

    /// Adds a value that should be large.
    pub(crate) fn add_ratio(&mut self, name: String, value: f64) {
        self.ratios.insert(name, round(value));
    }

    /// Adds a value that should be small.
    pub(crate) fn add_bound(&mut self, name: String, value: f64) {
        self.bounds.insert(name, round(value));
    }

    /// The median sample of a case, when it was measured.
    pub(crate) fn sample(&self, case: Case) -> Option<Sample> {
        self.rates
            .iter()
            .find(|(known, _)| *known == case)
            .map(|(_, rate)| median_sample(&rate.samples))
    }

    /// Closes the report with what the machine was like.
    pub(crate) fn finish(&mut self, mut machine: Machine) {
        let others: Vec<f64> = self
            .rates
            .iter()
            .flat_map(|(_, rate)| &rate.samples)
            .map(|sample| sample.others_share)
            .collect();
        let others_share = median(&others);
        machine.noisy = others_share > NOISY_SHARE || machine.load_average[0] > NOISY_LOAD;
        if machine.noisy {
            self.warnings
                .push("noisy: other work was going on; repeat on a quiet machine".to_owned());
        }
        if !others.is_empty() {
            self.add_bound("others_share".to_owned(), others_share);
        }
        machine.pgbench_tps = round(median(&machine.pgbench_runs));
        machine.pgbench_runs.iter_mut().for_each(|tps| *tps = round(*tps));
        machine.cpu_loop_us = machine.cpu_loop_us.map(round);
        self.machine = machine;
    }

    fn value_of(&self, goal: &Goal) -> Option<f64> {
        match goal.direction {
            Direction::AtLeast => self.ratios.get(goal.name),
            Direction::AtMost => self.bounds.get(goal.name),
        }
        .copied()
    }

    /// A sale that is fast in itself need not be fast against a register: a faster register is no fault.
    fn is_excused(&self, goal: &Goal) -> bool {
        let Some(database) = goal.name.strip_prefix("sale_over_register_") else {
            return false;
        };
        let sale = format!("sale_{database}_256");
        let goal_of_sale = GOALS.iter().find(|goal| goal.name == sale);
        goal_of_sale.is_some_and(|goal| self.value_of(goal).is_some_and(|value| goal.is_stretched_by(value)))
    }

    fn verdict(&self, goal: &Goal, value: f64) -> &'static str {
        if goal.is_stretched_by(value) {
            "stretch"
        } else if goal.is_met_by(value) {
            "ok"
        } else if self.is_excused(goal) {
            "ok, the sale is at its stretch"
        } else {
            "MISSED"
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            f,
            "{} cores, load average {:.1} before and {:.1} after",
            machine.cores, machine.load_average[0], machine.load_average[1]
        )?;
        for warning in &self.warnings {
            writeln!(f, "** {warning} **")?;
        }
        writeln!(
            f,
            "pgbench -M prepared -c 8 -s 10: {:.0} tps (median of {}); fixed CPU loop {:.0} and {:.0} us\n",
            machine.pgbench_tps,
            machine.pgbench_runs.len(),
            machine.cpu_loop_us[0],
            machine.cpu_loop_us[1]
        )?;
        if !machine.callers_stand_aside {
            writeln!(
                f,
                "** callers interrupt the server: `chrt --batch` (util-linux) does not work here **\n"
            )?;
        }
        self.write_goals(f)?;
        self.write_rates(f)?;
        self.write_others(f)
    }
}

impl Report {
    fn write_goals(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<30} {:>9}  {:<18} {:>8} {:>8}",
            "figure", "value", "unit", "bar", "stretch"
        )?;
        for goal in &GOALS {
            let Some(value) = self.value_of(goal) else { continue };
            let stretch = goal.stretch.map(|stretch| stretch.to_string()).unwrap_or_default();
            let verdict = self.verdict(goal, value);
            writeln!(
                f,
                "{:<30} {value:>9.2}  {:<18} {:>8} {stretch:>8}  {verdict}",
                goal.name, goal.unit, goal.bar
            )?;
        }
        Ok(())
    }

    fn write_rates(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.rates.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n{:<26} {:>8} {:>7} {:>15} {:>8} {:>8}   {:<28} {:>6} {:>6} {:>6} {:>6}  checkpoint",
            "rate",
            "per s",
            "x pgb.",
            "range",
            "p50 ms",
            "p99 ms",
            "CPU us server+DB (+PSP +load)",
            "scaled",
            "KB",
            "WAL KB",
            "folded"
        )?;
        for case in CASES {
            let Some((_, rate)) = self.rates.iter().find(|(known, _)| *known == case) else {
                continue;
            };
            let sample = median_sample(&rate.samples);
            let (low, high) = (fold(&rate.ratios, f64::min), fold(&rate.ratios, f64::max));
            let cpu = format!(
                "{:.0} + {:.0} (+{:.0} +{:.0})",
                sample.cpu_server_us, sample.cpu_database_us, sample.cpu_provider_us, sample.cpu_load_us
            );
            writeln!(
                f,
                "{:<26} {:>8.0} {:>7.2} {:>15} {:>8.2} {:>8.2}   {cpu:<29} {:>6.0} {:>6.1} {:>6.1} {:>6.1}  {}",
                case.name(),
                sample.per_second,
                median(&rate.ratios),
                format!("{low:.2} to {high:.2}"),
                sample.latency.p50_us as f64 / 1e3,
                sample.latency.p99_us as f64 / 1e3,
                sample.cpu_scaled_us(),
                sample.written_bytes / 1e3,
                sample.wal_bytes / 1e3,
                sample.folded_rows,
                self.checkpoint.get(&case.name()).map_or("", String::as_str),
            )?;
        }
        writeln!(
            f,
            "scaled: CPU us a request where provider and load generator together cost 24 us\n\
             folded: event rows a request that became lists and balances meanwhile; all are 1 of a register and 2 of a sale"
        )
    }

    fn write_others(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, figure) in &self.figures {
            if CASES.iter().any(|case| case.name() == *name) {
                continue;
            }
            write!(f, "\n{name}:")?;
            for (member, value) in figure.as_object().into_iter().flatten() {
                write!(f, " {member} {value}")?;
            }
            if let Some(checkpoint) = self.checkpoint.get(name) {
                write!(f, " checkpoint {checkpoint}")?;
            }
        }
        writeln!(f)
    }
}

fn fold(values: &[f64], pick: fn(f64, f64) -> f64) -> f64 {
    values.iter().copied().reduce(pick).unwrap_or_default()
}

/// Three digits after the point are more than any figure here deserves.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn rounded(value: f64) -> Value {
    Value::from(round(value))
}

/// A struct of figures, with all of them rounded.
fn as_value(figure: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(figure).expect("our own plain structs always serialise");
    if let Some(members) = value.as_object_mut() {
        for member in members.values_mut().filter(|member| member.is_f64()) {
            *member = member.as_f64().map_or(Value::Null, rounded);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Database, MANY, sale};
    use crate::load::Latency;

    fn sample(per_second: f64) -> Sample {
        Sample {
            finished: 1,
            per_second,
            latency: Latency {
                p50_us: 7000,
                p99_us: 14_000,
                max_us: 20_000,
            },
            cpu_server_us: 68.0,
            cpu_database_us: 88.0,
            cpu_provider_us: 15.0,
            cpu_load_us: 12.0,
            written_bytes: 100.0,
            disk_bytes: 0.0,
            wal_bytes: 3100.0,
            folded_rows: 1.8,
            others_share: 0.02,
            unsent: 0,
            refused: 0,
        }
    }

    fn report() -> Report {
        let mut report = Report::default();
        let samples = vec![sample(9000.0), sample(10_000.0), sample(20_000.0)];
        let rate = Rate {
            samples,
            ratios: vec![1.9, 2.2, 4.0],
            tps: vec![4500.0; 3],
        };
        report.add_rate(sale(Database::Postgres, MANY), rate);
        report.finish(Machine {
            cores: 2,
            load_average: [0.2, 1.8],
            pgbench_runs: vec![4500.0],
            ..Machine::default()
        });
        report
    }

    #[test]
    fn the_json_has_ratios_by_name_and_the_figures_behind_them() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["ratios"]["sale_postgres_256"], 2.2);
        let figure = &json["figures"]["sale_postgres_256"];
        assert_eq!(figure["per_second"], 10_000.0);
        assert_eq!(figure["cpu_per_step_us"], 78.0);
        assert_eq!(figure["latency"]["p99_us"], 14_000);
        assert_eq!(
            (&json["bounds"]["others_share"], &json["machine"]["noisy"]),
            (&0.02.into(), &false.into())
        );
    }

    #[test]
    fn the_table_shows_the_verdict_beside_the_bar() {
        let table = report().to_string();
        let line = table
            .lines()
            .find(|line| line.starts_with("sale_postgres_256 "))
            .unwrap();
        assert!(
            line.ends_with("ok") && line.contains("2.20") && line.contains("2.1"),
            "{line}"
        );
        assert!(table.contains("68 + 88 (+15 +12)"), "{table}");
    }

    #[test]
    fn other_work_makes_a_report_noisy() {
        let mut report = report();
        report.finish(Machine {
            load_average: [3.0, 3.0],
            ..Machine::default()
        });
        assert!(report.machine.noisy && report.to_string().contains("noisy"));
    }

    #[test]
    fn a_fast_register_is_no_fault_of_a_sale_at_its_stretch() {
        let mut report = report();
        report.add_ratio("sale_over_register_postgres".to_owned(), 0.3);
        let goal = GOALS
            .iter()
            .find(|goal| goal.name == "sale_over_register_postgres")
            .unwrap();
        assert_eq!(report.verdict(goal, 0.3), "MISSED");
        report.add_ratio("sale_postgres_256".to_owned(), 3.0);
        assert_eq!(report.verdict(goal, 0.3), "ok, the sale is at its stretch");
    }
}
