//! Looks for orders that are due: timers, questions, and what a node that died had under way.
//!
//! What waits, waits until a moment of the environment's clock. A clock that was ahead wrote moments that are far away once it is put right,
//! so what is open is then asked about at once: nobody would miss it for as long as the clock was ahead.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use florin_core::id::OrderId;
use florin_core::time::Timestamp;
use florin_store::{Claim, Fault, OrderRow};
use tokio::time::Instant;

use super::{Inner, carry};
use crate::lane::{Job, LEASE_S};
use crate::snapshot;

/// Orders taken at a time: a lane decides them in one batch.
const CLAIM_MAX: u32 = 200;
/// Jobs in front of the lanes above which nothing more is claimed: callers come first, and a lease that waits is wasted.
const QUEUE_FULL: usize = 2_000;
/// How long to wait for a database that does not answer.
const FAULT_PAUSE: Duration = Duration::from_secs(1);
/// Orders that wait and are looked at when a clock may have been put right; more are asked about when they are due.
const WAITING_MAX: usize = 100_000;
/// A clock that is back by more than this has been put right.
const BACK_MS: i64 = 5_000;

/// `started`: before this node was asked for anything.
pub(super) async fn watch(inner: Arc<Inner>, started: Timestamp) {
    // What this node had leased before it died is its own, at once.
    while claim(&inner, true).await {}
    inner.spawn(look_again(Arc::clone(&inner), Why::Started, started));
    let mut seen = (Instant::now(), inner.clock.now());
    loop {
        let (passed, now) = (seen.0.elapsed(), inner.clock.now());
        if now.millis_since(seen.1) < i64::try_from(passed.as_millis()).unwrap_or(i64::MAX) - BACK_MS {
            inner.spawn(look_again(Arc::clone(&inner), Why::PutRight, now));
        }
        seen = (Instant::now(), now);
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
        without: Vec::new(),
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

/// Why open work is looked at before it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// This node started. Its provider may have come back while it was away, so messages that were lost are sent. The clock may have been put
    /// right, too: then something began later than now.
    Started,
    /// The clock went back.
    PutRight,
}

/// Has everything asked about that is open and not due yet, if the clock was ahead when it was written.
async fn look_again(inner: Arc<Inner>, why: Why, now: Timestamp) {
    match waiting(&inner, now).await {
        Ok(open) if why == Why::PutRight || open.iter().any(|waiting| waiting.ahead) => {
            if !open.is_empty() {
                tracing::warn!(
                    orders = open.len(),
                    "the clock was ahead: what is open is asked about at once"
                );
            }
            carry::nudge(&inner, open.into_iter().map(|waiting| waiting.order)).await;
        }
        Ok(open) => {
            let lost = open.into_iter().filter(|waiting| waiting.lost);
            carry::nudge(&inner, lost.map(|waiting| waiting.order)).await;
        }
        Err(fault) => tracing::warn!(%fault, "cannot look for what a clock that was ahead left behind"),
    }
}

/// An order with open work that is due later.
struct Waiting {
    order: OrderId,
    /// Some of it began after now.
    ahead: bool,
    /// A message of before now was lost, or could not be sent.
    lost: bool,
}

async fn waiting(inner: &Inner, now: Timestamp) -> Result<Vec<Waiting>, Fault> {
    let mut open = Vec::new();
    let mut looked_at = 0;
    let mut after = Some((now, OrderId::from_uuid(uuid::Uuid::max())));
    while let Some(place) = after.filter(|_| looked_at < WAITING_MAX) {
        let rows = inner.store.waiting(Some(place), CLAIM_MAX).await?;
        looked_at += rows.len();
        let with_work = rows.iter().filter(|row| row.work.is_some());
        open.extend(with_work.map(|row| Waiting::of(row, now)));
        let full = rows.len() >= CLAIM_MAX as usize;
        after = rows.last().filter(|_| full).and_then(|row| Some((row.due?, row.id)));
    }
    Ok(open)
}

impl Waiting {
    fn of(row: &OrderRow, now: Timestamp) -> Self {
        let work = snapshot::proven_work(row).unwrap_or_default(); // what is damaged is for the audit
        let ahead = now.plus_millis(BACK_MS);
        Self {
            order: row.id,
            ahead: row.created_at > ahead || work.iter().any(|entry| entry.since > ahead),
            lost: (work.iter()).any(|entry| entry.is_out() && entry.was_put_off() && entry.since < now),
        }
    }
}
