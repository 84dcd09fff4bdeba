//! How a webhook endpoint does, read from what became of its newest deliveries. Nothing of it is stored, so nothing of it can be stale.

use std::collections::BTreeMap;

use florin_core::id::DeliveryId;
use florin_core::time::Timestamp;
use florin_store::{DeliveryRow, DeliverySearch, DeliveryStatus, Fault, Store};

use super::Try;
use super::plan::tries_of;
use crate::directory::Endpoint;

/// The newest deliveries that are looked at …
const RECENT_MAX: u32 = 50;
/// … and of those that are still to be made, the newest so many.
pub const PENDING_MAX: u32 = 200;
/// An endpoint that has taken nothing for so long is sick.
pub const SICK_S: i64 = 3_600;

/// In a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was told nothing yet.
    Untried,
    /// It took what it was told last.
    Healthy,
    /// It did not take what it was told last.
    Failing,
    /// It has taken nothing for [`SICK_S`], and something waits for it.
    Sick,
    /// It is switched off.
    Off,
}

/// How an endpoint does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// In a word.
    pub standing: Standing,
    /// Since when every try has failed.
    pub failing_since: Option<Timestamp>,
    /// So many tries failed since then, of those that were looked at.
    pub failures: u32,
    /// When it took something last.
    pub last_success: Option<Timestamp>,
    /// Why the last try failed, if it did.
    pub last_error: Option<String>,
    /// Deliveries that wait for it: at most [`PENDING_MAX`] are counted.
    pub pending: u32,
}

/// Looks at an endpoint's deliveries.
pub async fn of(store: &dyn Store, endpoint: &Endpoint, now: Timestamp) -> Result<Health, Fault> {
    let search = |status, limit| DeliverySearch {
        tenant: endpoint.tenant,
        endpoint: Some(endpoint.id),
        order: None,
        status,
        from: None,
        to: None,
        after: None,
        limit,
    };
    let an_hour_ago = now.plus_seconds(-SICK_S);
    let waiting = store
        .deliveries(&search(Some(DeliveryStatus::Pending), PENDING_MAX))
        .await?;
    let pending = u32::try_from(waiting.len()).unwrap_or(PENDING_MAX);
    let recent = store.deliveries(&search(None, RECENT_MAX)).await?;
    // Before a busy endpoint the newest deliveries are all young: those that have waited long say for how long it has taken nothing.
    let long = DeliverySearch {
        to: Some(an_hour_ago),
        ..search(Some(DeliveryStatus::Pending), RECENT_MAX)
    };
    let long = store.deliveries(&long).await?;
    let looked_at = waiting.into_iter().chain(recent).chain(long);
    let mut looked_at: BTreeMap<DeliveryId, DeliveryRow> = looked_at.map(|row| (row.id, row)).collect();
    let health = judge(
        looked_at.values().flat_map(tries_of).collect(),
        pending,
        endpoint.enabled,
        now,
    );
    if health.standing != Standing::Sick {
        return Ok(health);
    }
    // Nothing that was looked at arrived. Did anything else, of the last hour?
    let taken = DeliverySearch {
        from: Some(an_hour_ago),
        ..search(Some(DeliveryStatus::Succeeded), 1)
    };
    looked_at.extend(store.deliveries(&taken).await?.into_iter().map(|row| (row.id, row)));
    Ok(judge(
        looked_at.values().flat_map(tries_of).collect(),
        pending,
        endpoint.enabled,
        now,
    ))
}

fn judge(mut tries: Vec<Try>, pending: u32, enabled: bool, now: Timestamp) -> Health {
    tries.sort_by_key(|one| one.at);
    let taken = tries.iter().rposition(Try::succeeded);
    let failed = &tries[taken.map_or(0, |at| at + 1)..];
    let failing_since = failed.first().map(|first| first.at);
    let sick = failing_since.is_some_and(|since| now.millis_since(since) > SICK_S * 1_000);
    let standing = match (enabled, failing_since) {
        (false, _) => Standing::Off,
        (true, Some(_)) if sick && pending > 0 => Standing::Sick,
        (true, Some(_)) => Standing::Failing,
        (true, None) if taken.is_some() => Standing::Healthy,
        (true, None) => Standing::Untried,
    };
    Health {
        standing,
        failing_since,
        failures: u32::try_from(failed.len()).unwrap_or(u32::MAX),
        last_success: taken.map(|at| tries[at].at),
        last_error: failed.last().map(Try::why),
        pending,
    }
}

impl Try {
    /// What the endpoint said, or why it said nothing.
    fn why(&self) -> String {
        match (self.status_code, &self.error) {
            (Some(status), _) => format!("it answered {status}"),
            (None, Some(error)) => error.clone(),
            (None, None) => "no answer".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_000_000;

    fn tried(ago_s: i64, status: u16) -> Try {
        Try {
            at: Timestamp::from_millis((NOW_S - ago_s) * 1_000),
            status_code: Some(status),
            duration_ms: 1,
            error: None,
        }
    }

    fn health(tries: &[Try], pending: u32) -> Health {
        judge(tries.to_vec(), pending, true, Timestamp::from_millis(NOW_S * 1_000))
    }

    #[test]
    fn an_endpoint_is_as_well_as_its_last_try() {
        assert_eq!(health(&[], 0).standing, Standing::Untried);
        assert_eq!(health(&[tried(9, 500), tried(5, 200)], 0).standing, Standing::Healthy);
        let failing = health(&[tried(5, 500), tried(9, 200), tried(7, 503)], 1);
        assert_eq!((failing.standing, failing.failures), (Standing::Failing, 2));
        assert_eq!(failing.failing_since, Some(tried(7, 0).at));
        assert_eq!(failing.last_error.as_deref(), Some("it answered 500"));
    }

    #[test]
    fn an_endpoint_that_took_nothing_for_an_hour_is_sick_while_something_waits() {
        let tries = [tried(SICK_S + 1, 500), tried(5, 500)];
        assert_eq!(health(&tries, 1).standing, Standing::Sick);
        assert_eq!(health(&tries, 0).standing, Standing::Failing, "nothing waits for it");
        let one_is_refused = [tried(SICK_S + 1, 400), tried(60, 200), tried(5, 400)];
        assert_eq!(
            health(&one_is_refused, 1).standing,
            Standing::Failing,
            "it takes the others"
        );
        let off = judge(tries.to_vec(), 1, false, Timestamp::from_millis(NOW_S * 1_000));
        assert_eq!(off.standing, Standing::Off);
    }
}
