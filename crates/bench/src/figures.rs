//! Medians and ratios.

use crate::load::Latency;
use crate::sample::Sample;

/// The middle value, or the mean of the middle two; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted[..] {
        [] => 0.0,
        _ if sorted.len() % 2 == 1 => sorted[sorted.len() / 2],
        _ => (sorted[sorted.len() / 2 - 1] + sorted[sorted.len() / 2]) / 2.0,
    }
}

/// A rate over what the reference reached just before and just after.
pub(crate) fn ratio(per_second: f64, before: f64, after: f64) -> f64 {
    per_second * 2.0 / (before + after)
}

/// Figure by figure the median of several samples; the slowest answer is the slowest of all.
pub(crate) fn median_sample(samples: &[Sample]) -> Sample {
    let of = |read: fn(&Sample) -> f64| median(&samples.iter().map(read).collect::<Vec<_>>());
    Sample {
        finished: samples.iter().map(|sample| sample.finished).sum(),
        per_second: of(|sample| sample.per_second),
        latency: Latency {
            p50_us: of(|sample| sample.latency.p50_us as f64) as u64,
            p99_us: of(|sample| sample.latency.p99_us as f64) as u64,
            max_us: samples
                .iter()
                .map(|sample| sample.latency.max_us)
                .max()
                .unwrap_or_default(),
        },
        cpu_server_us: of(|sample| sample.cpu_server_us),
        cpu_database_us: of(|sample| sample.cpu_database_us),
        cpu_provider_us: of(|sample| sample.cpu_provider_us),
        cpu_load_us: of(|sample| sample.cpu_load_us),
        written_bytes: of(|sample| sample.written_bytes),
        disk_bytes: of(|sample| sample.disk_bytes),
        wal_bytes: of(|sample| sample.wal_bytes),
        folded_rows: of(|sample| sample.folded_rows),
        others_share: of(|sample| sample.others_share),
        unsent: samples.iter().map(|sample| sample.unsent).max().unwrap_or_default(),
        refused: samples.iter().map(|sample| sample.refused).max().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_ratio_is_to_the_mean_of_the_two_references_around_it() {
        assert_eq!(ratio(9000.0, 4000.0, 5000.0), 2.0);
    }
}
