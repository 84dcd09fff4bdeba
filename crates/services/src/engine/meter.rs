//! What an engine counts. `docs/runbook.md` says what each figure means and when to worry.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Handles, made once.
pub(super) struct Meter {
    /// Durable commits.
    pub(super) commits: Counter,
    /// Jobs in one commit.
    pub(super) batch: Histogram,
    /// Seconds that a commit took.
    pub(super) commit_seconds: Histogram,
    /// Jobs that wait for a lane.
    pub(super) queued: Gauge,
    /// Callers that wait for a step.
    pub(super) waiting: Gauge,
    /// Steps that a worker is at.
    pub(super) busy: Gauge,
    /// Orders that were due and taken up by this node, its own and those of nodes that are gone.
    pub(super) claimed: Counter,
    /// Notices that could not be told to an order yet.
    pub(super) untold: Counter,
    damaged: Gauge,
    /// Seconds that messages to providers took, by rail and end: looked up once for each.
    sent: RwLock<BTreeMap<(&'static str, &'static str), Histogram>>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            commits: counter!("florin_commits_total"),
            batch: histogram!("florin_commit_jobs"),
            commit_seconds: histogram!("florin_commit_seconds"),
            queued: gauge!("florin_lane_queue"),
            waiting: gauge!("florin_calls_waiting"),
            busy: gauge!("florin_steps_at_providers"),
            claimed: counter!("florin_orders_claimed_total"),
            untold: counter!("florin_notices_put_off_total"),
            damaged: gauge!("florin_orders_damaged"),
            sent: RwLock::default(),
        }
    }

    pub(super) fn damaged(&self, orders: usize) {
        self.damaged.set(orders as f64);
    }

    /// A message to a provider has ended.
    pub(super) fn sent(&self, rail: &'static str, ended: &'static str, seconds: f64) {
        let known = self.sent.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = known.get(&(rail, ended)) {
            return times.record(seconds);
        }
        drop(known);
        let times = histogram!("florin_provider_seconds", "rail" => rail, "ended" => ended);
        times.record(seconds);
        let mut known = self.sent.write().unwrap_or_else(PoisonError::into_inner);
        known.insert((rail, ended), times);
    }

    /// Whether messages of a connection are held back.
    pub(super) fn breaker(&self, connection: String, open: bool) {
        gauge!("florin_breaker_open", "connection" => connection).set(if open { 1.0 } else { 0.0 });
    }
}
