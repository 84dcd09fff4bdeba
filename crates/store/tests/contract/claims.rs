//! Taking work: leases by the database's clock, fences, two nodes.

use florin_store::{Batch, Claim, OrderRow, Outcome};

use crate::place::Place;
use crate::rows::*;

pub(crate) async fn due_orders_are_taken_once_oldest_first(place: &mut Place) {
    let due = |number: u32, seconds| OrderRow {
        due: Some(at(seconds)),
        ..order(number)
    };
    place
        .store
        .commit(&making([due(1, 30), due(2, 10), due(3, 20), due(4, 61)]))
        .await
        .unwrap();
    let two = place.another().await;

    let first = place.store.claim(&Claim { limit: 2, ..claim(1) }).await.unwrap();
    assert_eq!(
        first.iter().map(|row| row.id).collect::<Vec<_>>(),
        [order_id(2), order_id(3)]
    );
    let second = two.claim(&claim(2)).await.unwrap();
    assert_eq!(second.iter().map(|row| row.id).collect::<Vec<_>>(), [order_id(1)]);
    assert_eq!(place.store.claim(&claim(1)).await.unwrap(), []);

    let taken = &first[0];
    assert_eq!((taken.fence, taken.lease.unwrap().node), (2, node(1)));
    assert_eq!(
        *taken,
        OrderRow {
            fence: 2,
            lease: taken.lease,
            ..due(2, 10)
        }
    );
}

pub(crate) async fn a_claim_raises_the_fence_so_that_the_old_owner_is_refused(place: &mut Place) {
    place.store.commit(&making([order(1)])).await.unwrap();
    let two = place.another().await;
    let taken = two.claim(&claim(2)).await.unwrap();
    // Node 1 wakes up and finishes what it had begun before.
    assert_eq!(place.store.commit(&moving([order(1)])).await, Ok(Outcome::Conflict));
    assert_eq!(two.commit(&moving(taken)).await, Ok(Outcome::Done));
}

pub(crate) async fn a_lease_that_is_over_is_taken_by_another_node(place: &mut Place) {
    place
        .store
        .commit(&Batch {
            lease_s: 1,
            ..making([leased(order(1), 1)])
        })
        .await
        .unwrap();
    let two = place.another().await;
    let short = |number| Claim {
        lease_s: 1,
        ..claim(number)
    };
    assert_eq!(two.claim(&short(2)).await.unwrap(), []);
    place.wait_seconds(1).await;
    assert_eq!(two.claim(&short(2)).await.unwrap().len(), 1);
    assert_eq!(place.store.claim(&short(1)).await.unwrap(), []);
    place.wait_seconds(1).await;
    assert_eq!(place.store.claim(&short(1)).await.unwrap()[0].fence, 3);
    // One that ends much later than any that begins now was given by a clock that was ahead.
    place.wait_seconds(1).await;
    let ahead = Claim {
        lease_s: 9_999,
        ..claim(2)
    };
    assert_eq!(two.claim(&ahead).await.unwrap()[0].fence, 4);
    assert_eq!(place.store.claim(&short(1)).await.unwrap()[0].fence, 5);
}

pub(crate) async fn a_node_takes_its_own_rows_at_once_after_a_crash_and_only_once(place: &mut Place) {
    let mine = leased(order(1), 1);
    let mine_later = leased(
        OrderRow {
            due: Some(at(9_999)),
            ..order(2)
        },
        1,
    );
    let theirs = leased(order(3), 2);
    place
        .store
        .commit(&making([mine, mine_later, theirs, order(4)]))
        .await
        .unwrap();
    let own = Claim { own: true, ..claim(1) };

    // Before a restart the leased rows are being worked on: only what is free may be taken.
    let free = place.store.claim(&own).await.unwrap();
    assert_eq!(free.iter().map(|row| row.id).collect::<Vec<_>>(), [order_id(4)]);

    place.wait_seconds(1).await;
    place.open_again().await;
    let mut taken = Vec::new();
    loop {
        let some = place
            .store
            .claim(&Claim {
                limit: 2,
                ..own.clone()
            })
            .await
            .unwrap();
        if some.is_empty() {
            break;
        }
        taken.extend(some.iter().map(|row| row.id));
    }
    taken.sort();
    assert_eq!(taken, [order_id(1), order_id(2), order_id(4)]);
}

pub(crate) async fn an_order_that_is_not_due_is_left_alone(place: &mut Place) {
    let closed = OrderRow {
        due: None,
        work: None,
        ..order(1)
    };
    let later = OrderRow {
        due: Some(at(61)),
        ..order(2)
    };
    place.store.commit(&making([closed, later])).await.unwrap();
    assert_eq!(place.store.claim(&Claim { own: true, ..claim(1) }).await.unwrap(), []);
}
