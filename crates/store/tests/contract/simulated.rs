//! What goes wrong with the simulated store, when it is told to.

use florin_store::memory::{Disk, MemoryStore, Mishap};
use florin_store::{Fault, Outcome, Store};

use crate::rows::*;

fn store() -> MemoryStore {
    MemoryStore::open(Disk::default(), START)
}

#[tokio::test]
async fn each_mishap_strikes_once_and_says_the_truth() {
    let store = store();
    let batch = making([order(1)]);
    for (mishap, there) in [
        (Mishap::Refuse, false),
        (Mishap::LoseCommit, false),
        (Mishap::Full, false),
        (Mishap::Reject, false),
        (Mishap::LoseAnswer, true),
    ] {
        store.next_fault(mishap);
        let outcome = store.commit(&batch).await;
        match mishap {
            Mishap::Refuse => assert!(matches!(outcome, Err(Fault::Unavailable(_)))),
            Mishap::LoseCommit | Mishap::LoseAnswer => assert!(matches!(outcome, Err(Fault::Unknown(_)))),
            Mishap::Full => assert!(matches!(outcome, Err(Fault::Full(_)))),
            Mishap::Reject => assert!(matches!(outcome, Err(Fault::Refused(_)))),
            Mishap::Break | Mishap::LoseFold | Mishap::Overtake => unreachable!(),
        }
        assert_eq!(store.was_committed(&batch).await, Ok(there), "{mishap:?}");
    }
    assert_eq!(store.commit(&batch).await, Ok(Outcome::Conflict));
}

#[tokio::test]
async fn mishaps_of_commits_wait_for_a_commit() {
    let store = store();
    store.next_fault(Mishap::LoseCommit);
    assert_eq!(store.inbox(1).await, Ok(Vec::new()));
    assert!(matches!(
        store.commit(&making([order(1)])).await,
        Err(Fault::Unknown(_))
    ));
    assert_eq!(store.commit(&making([order(1)])).await, Ok(Outcome::Done));
}

#[tokio::test]
async fn after_a_failed_flush_only_reads_are_answered_until_it_is_opened_again() {
    let store = store();
    store.commit(&making([order(1)])).await.unwrap();
    store.next_fault(Mishap::Break);
    assert!(matches!(store.commit(&making([order(2)])).await, Err(Fault::Broken(_))));
    assert!(matches!(store.commit(&making([order(3)])).await, Err(Fault::Broken(_))));
    assert!(matches!(store.put(&[record(1)], &[]).await, Err(Fault::Broken(_))));
    assert_eq!(store.orders_after(None, 10).await.unwrap(), [order(1)]);

    let again = MemoryStore::open(store.disk(), START);
    assert_eq!(again.commit(&making([order(3)])).await, Ok(Outcome::Done));
}

#[tokio::test]
async fn a_disk_is_what_was_there_and_nothing_later() {
    let store = store();
    store.commit(&making([order(1)])).await.unwrap();
    let disk = store.disk();
    store.commit(&making([order(2)])).await.unwrap();
    let crashed = MemoryStore::open(disk, START);
    assert_eq!(crashed.orders_after(None, 10).await.unwrap(), [order(1)]);
    assert_eq!(store.orders_after(None, 10).await.unwrap().len(), 2);
}
