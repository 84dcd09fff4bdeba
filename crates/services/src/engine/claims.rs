//! Looks for orders that are due: timers, questions, and what a node that died had under way.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use florin_store::Claim;

use super::Inner;
use crate::lane::{Job, LEASE_S};

/// Orders taken at a time: a lane decides them in one batch.
const CLAIM_MAX: u32 = 200;
/// Jobs in front of the lanes above which nothing more is claimed: callers come first, and a lease that waits is wasted.
const QUEUE_FULL: usize = 2_000;
/// How long to wait for a database that does not answer.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn watch(inner: Arc<Inner>) {
    // What this node had leased before it died is its own, at once.
    while claim(&inner, true).await {}
    loop {
        // What cannot be carried out here is left to nodes that can.
        let stopped = inner.draining.load(Ordering::Relaxed) || inner.broken.load(Ordering::Relaxed);
        let full = inner
            .lanes
            .iter()
            .any(|lane| lane.depth.load(Ordering::Relaxed) > QUEUE_FULL);
        if !stopped && !full && claim(&inner, false).await {
            continue;
        }
        tokio::time::sleep(inner.settings.poll).await;
    }
}

/// Takes what is due. Answers whether there may be more.
async fn claim(inner: &Inner, own: bool) -> bool {
    let claim = Claim {
        node: inner.node,
        now: inner.clock.now(),
        lease_s: u32::try_from(LEASE_S).unwrap_or(u32::MAX),
        limit: CLAIM_MAX,
        own,
    };
    match inner.store.claim(&claim).await {
        Ok(rows) => {
            inner.meter.claimed.increment(rows.len() as u64);
            let more = rows.len() >= CLAIM_MAX as usize || (own && !rows.is_empty());
            for row in rows {
                inner.job(inner.lane_of(row.id), Job::Due(Box::new(row)));
            }
            more
        }
        Err(fault) => {
            tracing::warn!(%fault, "cannot look for what is due");
            tokio::time::sleep(FAULT_PAUSE).await;
            own
        }
    }
}
