//! One change of an order at a time, within this process: some calls of Stripe's are two of ours (a refund and what the caller said about
//! it), and nobody may come between them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use florin_core::id::OrderId;
use tokio::sync::OwnedMutexGuard;

use super::wrong::Wrong;

/// How long a call waits for its turn: longer than a call may wait for its step.
const WAIT: Duration = Duration::from_secs(15);

/// Whose turn it is, by order.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<OrderId, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for this order's turn. The turn ends when the answer is dropped. Only who `may` know of the order waits: how long it takes would
    /// tell others that somebody is at it. Who gets the turn at once has learned nothing, and is asked nothing here.
    pub(super) async fn of(
        &self,
        order: OrderId,
        may: impl Future<Output = Result<(), Wrong>>,
    ) -> Result<OwnedMutexGuard<()>, Wrong> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = turns.get(&order).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                turns.retain(|_, turn| turn.strong_count() > 0);
                let turn = Arc::new(tokio::sync::Mutex::new(()));
                turns.insert(order, Arc::downgrade(&turn));
                turn
            })
        };
        if let Ok(free) = Arc::clone(&turn).try_lock_owned() {
            return Ok(free);
        }
        may.await?;
        tokio::time::timeout(WAIT, turn.lock_owned()).await.map_err(|_| {
            let message = "This object cannot be accessed right now because another API request or Stripe process is currently accessing it.";
            Wrong::later(429, message, 1).code("lock_timeout")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_second_change_of_an_order_waits_and_another_order_does_not() {
        let turns = Turns::default();
        let (one, other) = (
            OrderId::from_uuid(uuid::Uuid::from_u128(1)),
            OrderId::from_uuid(uuid::Uuid::from_u128(2)),
        );
        let mine = async || Ok(());
        let first = turns.of(one, mine()).await.unwrap();
        drop(turns.of(other, mine()).await.unwrap());
        let began = tokio::time::Instant::now();
        let unknown = turns.of(one, async { Err(Wrong::missing("charge", "ch_1")) }).await;
        assert_eq!(unknown.unwrap_err().status, 404);
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody else's turn is waited for");
        let busy = turns.of(one, mine()).await.unwrap_err();
        assert_eq!((busy.status, busy.code.as_deref()), (429, Some("lock_timeout")));
        drop(first);
        drop(turns.of(one, mine()).await.unwrap());
        assert!(turns.0.lock().unwrap().len() <= 2);
    }
}
