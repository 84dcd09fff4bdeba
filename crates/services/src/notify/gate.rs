//! How many tries go out to one endpoint at once, and none for a while to one that does not answer.
//!
//! A try that nobody answers holds its place for as long as a try may take. So an endpoint that answers slowly has a quarter of the places,
//! one whose last tries stayed without an answer has one, and one that stayed silent [`SILENT_MAX`] times in a row is left alone for [`SHUT`]: what falls due meanwhile counts as tried and goes on
//! by its plan, without a request. Then one try finds out whether it is back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Try;

/// Requests out at once to one endpoint.
const PLACES: u32 = 16;
/// Places that a request to an endpoint takes which answers, but slowly.
const PLACES_OF_SLOW: u32 = 4;
/// Tries in a row without an answer after which an endpoint is left alone …
const SILENT_MAX: u32 = 4;
/// … for so long.
const SHUT: Duration = Duration::from_secs(30);
/// Deliveries that may stand before an endpoint that answers slowly. More of them would stand in the way of everybody else's.
const STANDING_OF_SLOW_MAX: usize = 1_024;
/// The same before one that does not answer.
const STANDING_OF_SILENT_MAX: usize = 128;

/// Stands before one endpoint.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    /// What takes longer is slow.
    slow: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    standing: usize,
    slow: bool,
    silent: u32,
    shut_until: Option<Instant>,
}

impl Gate {
    /// A gate before an endpoint whose tries count as slow beyond this.
    pub(super) fn new(slow: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(PLACES as usize)),
            slow,
            state: Mutex::default(),
        }
    }

    /// Lets a delivery stand before this endpoint, or says why it may not.
    pub(super) fn enter(&self) -> Result<(), &'static str> {
        let mut state = self.state();
        let most = match (state.slow, state.silent) {
            (false, _) => usize::MAX,
            (true, 0) => STANDING_OF_SLOW_MAX,
            (true, _) => STANDING_OF_SILENT_MAX,
        };
        if state.standing >= most {
            return Err("not tried: the endpoint answers too slowly for all that it is told");
        }
        state.standing += 1;
        Ok(())
    }

    /// A delivery stands here no more.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.standing = state.standing.saturating_sub(1);
    }

    /// Waits for a place; for several if the endpoint is slow, for all of them if it is silent.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        let places = {
            let state = self.state();
            match (state.slow, state.silent) {
                (false, _) => 1,
                (true, 0) => PLACES_OF_SLOW,
                (true, _) => PLACES,
            }
        };
        let place = Arc::clone(&self.places).acquire_many_owned(places).await;
        place.expect("nobody closes the places")
    }

    /// Waits for a place of the merchant's share; for several if the endpoint is slow, so that many slow ones hold no more than a few.
    pub(super) async fn share(&self, of_merchant: Arc<Semaphore>) -> OwnedSemaphorePermit {
        let places = if self.state().slow { PLACES_OF_SLOW } else { 1 };
        let place = of_merchant.acquire_many_owned(places).await;
        place.expect("nobody closes the places")
    }

    /// Why nothing is sent now, if so.
    pub(super) fn shut(&self) -> Option<&'static str> {
        let until = self.state().shut_until?;
        (Instant::now() < until).then_some("not tried: the endpoint left the tries before this one without an answer")
    }

    /// Takes note of how a try went.
    pub(super) fn note(&self, this_try: &Try) {
        let took = Duration::from_millis(this_try.duration_ms.into());
        let mut state = self.state();
        state.slow = took >= self.slow;
        if !state.slow || this_try.status_code.is_some() {
            (state.silent, state.shut_until) = (0, None);
            return;
        }
        state.silent = state.silent.saturating_add(1);
        if state.silent >= SILENT_MAX {
            state.shut_until = Some(Instant::now() + SHUT);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use florin_core::time::Timestamp;

    use super::*;

    fn took(ms: u32, status_code: Option<u16>) -> Try {
        Try {
            at: Timestamp::default(),
            status_code,
            duration_ms: ms,
            error: status_code.is_none().then(|| "nothing".to_owned()),
        }
    }

    fn gate() -> Gate {
        Gate::new(Duration::from_secs(5))
    }

    #[test]
    fn an_endpoint_that_stays_silent_is_left_alone_until_it_answers() {
        let gate = gate();
        for _ in 1..SILENT_MAX {
            gate.note(&took(20_000, None));
            assert_eq!(gate.shut(), None);
        }
        gate.note(&took(20_000, None));
        assert!(gate.shut().is_some());
        gate.note(&took(5, Some(500)));
        assert_eq!(gate.shut(), None, "a refusal is an answer");
    }

    #[test]
    fn an_endpoint_that_refuses_at_once_costs_nothing_and_is_not_shut() {
        let gate = gate();
        for _ in 0..100 {
            gate.note(&took(1, None));
        }
        assert_eq!(gate.shut(), None);
    }

    #[tokio::test]
    async fn a_slow_endpoint_has_few_places_and_a_silent_one_has_one() {
        for (status_code, places, standing) in [(Some(200), 4, STANDING_OF_SLOW_MAX), (None, 1, STANDING_OF_SILENT_MAX)]
        {
            let gate = gate();
            gate.note(&took(9_000, status_code));
            let mut taken = Vec::new();
            for _ in 0..places {
                taken.push(gate.place().await);
            }
            let more = tokio::time::timeout(Duration::from_millis(20), gate.place()).await;
            assert!(more.is_err(), "there are {places}");
            for _ in 0..standing {
                gate.enter().unwrap();
            }
            assert!(gate.enter().is_err(), "no more than {standing} stand");
            gate.leave();
            gate.enter().unwrap();
        }
    }
}
