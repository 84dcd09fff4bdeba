//! Removes what nobody can ask for any more: keys of old calls, notices that are done, deliveries that are over.
//!
//! Never orders and their events. The key of the call that made an order lives as long as the order.

use std::time::Duration;

use florin_core::time::Timestamp;
use florin_store::{Fault, Retention, Store};

/// How long a call's idempotency key is kept (`docs/decisions/0011`), and a notice is known that comes once more, and a delivery is shown.
pub const KEPT_S: i64 = 30 * 86_400;
/// Rows per table and transaction: nobody waits for one noticeably.
const ROWS: u32 = 500;
/// Between two transactions of one round.
const PAUSE: Duration = Duration::from_millis(50);

/// Removes all that is past its time. `now` is the environment's moment; a clock that runs ahead must not remove keys that somebody may still
/// repeat, so the database's has to agree.
pub async fn tidy(store: &dyn Store, now: Timestamp) -> Result<u64, Fault> {
    let before = now.min(store.clock().await?).plus_seconds(-KEPT_S);
    let retention = Retention {
        keys: before,
        notices: before,
        deliveries: before,
        limit: ROWS,
    };
    let mut gone = 0;
    loop {
        let removed = store.tidy(&retention).await?;
        gone += removed;
        if removed < u64::from(ROWS) {
            return Ok(gone);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use florin_core::id::MerchantId;
    use florin_store::memory::{Disk, MemoryStore};
    use florin_store::{Batch, IdemKey, KeyRow, Mode, Outcome, Tenant, Wanted};
    use uuid::Uuid;

    use super::*;

    const T: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn key(number: usize, age_s: i64) -> KeyRow {
        KeyRow {
            tenant: Tenant {
                merchant: MerchantId::from_uuid(Uuid::from_u128(1)),
                mode: Mode::Test,
            },
            key: IdemKey {
                key: format!("{age_s} {number}"),
                hash: [0; 32],
                earlier: None,
            },
            made: "{}".to_owned(),
            created_at: T.plus_seconds(-age_s),
        }
    }

    async fn kept(store: &MemoryStore, rows: &[KeyRow]) -> usize {
        let wanted = Wanted {
            keys: rows.iter().map(|row| (row.tenant, row.key.key.clone())).collect(),
            ..Wanted::default()
        };
        store.load(&wanted).await.unwrap().keys.len()
    }

    #[tokio::test]
    async fn old_keys_go_however_many_they_are_and_young_ones_stay() {
        let store = MemoryStore::open(Disk::default(), T);
        let old: Vec<_> = (0..1_200).map(|number| key(number, KEPT_S + 1)).collect();
        let young: Vec<_> = (0..3).map(|number| key(number, KEPT_S - 1)).collect();
        let batch = Batch {
            keys: old.iter().chain(&young).cloned().collect(),
            ..Batch::default()
        };
        assert_eq!(store.commit(&batch).await, Ok(Outcome::Done));
        assert_eq!(tidy(&store, T).await, Ok(1_200));
        assert_eq!((kept(&store, &old).await, kept(&store, &young).await), (0, 3));
    }

    #[tokio::test]
    async fn a_clock_that_runs_ahead_removes_nothing_young() {
        let store = MemoryStore::open(Disk::default(), T);
        let young = [key(1, 60)];
        let batch = Batch {
            keys: young.to_vec(),
            ..Batch::default()
        };
        assert_eq!(store.commit(&batch).await, Ok(Outcome::Done));
        assert_eq!(tidy(&store, T.plus_seconds(10 * KEPT_S)).await, Ok(0));
        assert_eq!(kept(&store, &young).await, 1);
    }
}
