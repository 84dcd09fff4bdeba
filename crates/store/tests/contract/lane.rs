//! Commit, load, conflicts, the inbox.

use florin_store::{Batch, Changed, Cursor, EventRow, Found, OrderRow, Outcome, Store, Wanted};

use crate::place::Place;
use crate::rows::*;

async fn orders(store: &dyn Store, numbers: impl IntoIterator<Item = u32>) -> Vec<OrderRow> {
    let wanted = Wanted {
        orders: numbers.into_iter().map(order_id).collect(),
        ..Wanted::default()
    };
    store.load(&wanted).await.unwrap().orders
}

async fn commits(store: &dyn Store, batch: &Batch) {
    assert_eq!(store.commit(batch).await, Ok(Outcome::Done));
}

async fn conflicts(store: &dyn Store, batch: &Batch) {
    assert_eq!(store.commit(batch).await, Ok(Outcome::Conflict));
}

/// Rows without their place, to compare with what was given.
fn unplaced(rows: Vec<EventRow>) -> Vec<EventRow> {
    rows.into_iter()
        .map(|row| EventRow {
            at: Cursor::START,
            ..row
        })
        .collect()
}

pub(crate) async fn a_committed_batch_is_read_back_as_it_was_written(place: &mut Place) {
    let bare = OrderRow {
        key: None,
        work: None,
        due: None,
        ..order(2)
    };
    let batch = Batch {
        keys: vec![key_row("refund-1")],
        notices: vec![notice(1)],
        ..making([order(1), bare.clone()])
    };
    commits(&*place.store, &batch).await;

    assert_eq!(orders(&*place.store, [1, 2, 3]).await, [order(1), bare.clone()]);
    assert_eq!(
        unplaced(place.store.events_of(order_id(1)).await.unwrap()),
        [event(&order(1))]
    );
    let wanted = Wanted {
        keys: vec![(tenant(1), "refund-1".to_owned())],
        ..Wanted::default()
    };
    assert_eq!(place.store.load(&wanted).await.unwrap().keys, [key_row("refund-1")]);
    assert_eq!(place.store.inbox(10).await.unwrap(), [notice(1)]);

    let change = moving([order(1), bare]);
    commits(&*place.store, &change).await;
    assert_eq!(orders(&*place.store, [1]).await, [next(&order(1))]);
    assert_eq!(
        unplaced(place.store.events_of(order_id(1)).await.unwrap()),
        [event(&order(1)), event(&next(&order(1)))]
    );
}

pub(crate) async fn a_batch_is_written_whole_or_not_at_all(place: &mut Place) {
    commits(&*place.store, &making([order(1), order(2)])).await;
    let taken = OrderRow {
        reference: "A-1".to_owned(),
        ..order(4)
    };
    let stale = Changed {
        read_version: 1,
        row: next(&order(2)),
    };
    let with = |batch: Batch| Batch {
        notices: vec![notice(7)],
        done: vec![notice(8).id],
        ..batch
    };
    let wrong: [Batch; 4] = [
        with(making([order(3), taken])),
        with(Batch {
            changed: vec![stale],
            ..making([order(3)])
        }),
        with(Batch {
            keys: vec![key_row("k"), key_row("k")],
            ..making([order(3)])
        }),
        with(Batch {
            events: vec![event(&order(3)), event(&order(1))],
            ..making([order(3)])
        }),
    ];
    for batch in wrong {
        conflicts(&*place.store, &batch).await;
        assert_eq!(orders(&*place.store, 1..=4).await, [order(1), order(2)]);
        assert_eq!(place.store.events_of(order_id(3)).await.unwrap(), []);
        assert_eq!(place.store.inbox(10).await.unwrap(), []);
        let wanted = Wanted {
            keys: vec![(tenant(1), "k".to_owned())],
            ..Wanted::default()
        };
        assert_eq!(place.store.load(&wanted).await.unwrap(), Found::default());
    }
    commits(&*place.store, &making([order(3)])).await;
}

pub(crate) async fn a_taken_id_reference_or_key_is_a_conflict(place: &mut Place) {
    commits(&*place.store, &making([order(1)])).await;
    let fresh = order(2);
    conflicts(
        &*place.store,
        &making([OrderRow {
            id: order_id(1),
            ..fresh.clone()
        }]),
    )
    .await;
    conflicts(
        &*place.store,
        &making([OrderRow {
            reference: "A-1".to_owned(),
            ..fresh.clone()
        }]),
    )
    .await;
    conflicts(
        &*place.store,
        &making([OrderRow {
            key: order(1).key,
            ..fresh.clone()
        }]),
    )
    .await;
    commits(&*place.store, &making([OrderRow { key: None, ..fresh }])).await;
    commits(&*place.store, &making([OrderRow { key: None, ..order(3) }])).await;
}

pub(crate) async fn names_are_taken_per_tenant(place: &mut Place) {
    for (number, tenant) in [(1, tenant(1)), (2, live(1)), (3, tenant(2))] {
        let named_alike = OrderRow {
            tenant,
            reference: "A-1".to_owned(),
            key: Some(key("same")),
            ..order(number)
        };
        commits(&*place.store, &making([named_alike])).await;
        let row = florin_store::KeyRow {
            tenant,
            ..key_row("later")
        };
        commits(
            &*place.store,
            &Batch {
                keys: vec![row],
                ..Batch::default()
            },
        )
        .await;
    }
    let wanted = Wanted {
        order_keys: vec![(live(1), "same".to_owned()), (tenant(9), "same".to_owned())],
        references: vec![(tenant(2), "A-1".to_owned()), (live(2), "A-1".to_owned())],
        keys: vec![(tenant(1), "later".to_owned()), (tenant(3), "later".to_owned())],
        ..Wanted::default()
    };
    let found = place.store.load(&wanted).await.unwrap();
    assert_eq!(
        found.orders.iter().map(|row| (row.id, row.tenant)).collect::<Vec<_>>(),
        [(order_id(2), live(1)), (order_id(3), tenant(2))]
    );
    assert_eq!(found.keys, [key_row("later")]);
}

pub(crate) async fn the_same_name_twice_in_one_batch_is_a_conflict(place: &mut Place) {
    let twin = OrderRow {
        reference: "A-1".to_owned(),
        ..order(2)
    };
    conflicts(&*place.store, &making([order(1), twin])).await;
    let twin = OrderRow {
        key: order(1).key,
        ..order(2)
    };
    conflicts(&*place.store, &making([order(1), twin])).await;
    conflicts(
        &*place.store,
        &Batch {
            keys: vec![key_row("a"), key_row("a")],
            ..Batch::default()
        },
    )
    .await;
    commits(&*place.store, &making([order(1), order(2)])).await;
}

pub(crate) async fn a_moved_version_is_a_conflict(place: &mut Place) {
    commits(&*place.store, &making([order(1), order(2)])).await;
    commits(&*place.store, &moving([order(1)])).await;
    conflicts(&*place.store, &moving([order(2), order(1)])).await;
    conflicts(&*place.store, &moving([order(3)])).await;
    assert_eq!(orders(&*place.store, [1, 2]).await, [next(&order(1)), order(2)]);
}

pub(crate) async fn a_raised_fence_is_a_conflict(place: &mut Place) {
    commits(&*place.store, &making([order(1)])).await;
    conflicts(&*place.store, &moving([OrderRow { fence: 0, ..order(1) }])).await;
    conflicts(&*place.store, &moving([OrderRow { fence: 2, ..order(1) }])).await;
    commits(&*place.store, &moving([order(1)])).await;
}

pub(crate) async fn a_key_of_a_later_call_is_taken_once(place: &mut Place) {
    let batch = Batch {
        keys: vec![key_row("a")],
        ..Batch::default()
    };
    commits(&*place.store, &batch).await;
    conflicts(&*place.store, &batch).await;
    conflicts(
        &*place.store,
        &Batch {
            keys: vec![key_row("b"), key_row("a")],
            ..Batch::default()
        },
    )
    .await;
    commits(
        &*place.store,
        &Batch {
            keys: vec![key_row("b")],
            ..Batch::default()
        },
    )
    .await;
}

pub(crate) async fn was_committed_knows_this_very_batch(place: &mut Place) {
    let batch = making([order(1), order(2)]);
    assert_eq!(place.store.was_committed(&batch).await, Ok(false));
    commits(&*place.store, &batch).await;
    assert_eq!(place.store.was_committed(&batch).await, Ok(true));

    let other = making([
        OrderRow {
            chain: hash(99, 2),
            ..order(1)
        },
        order(2),
    ]);
    assert_eq!(place.store.was_committed(&other).await, Ok(false));
    assert_eq!(place.store.was_committed(&moving([order(1)])).await, Ok(false));
    let mut at_another_moment = batch.clone();
    at_another_moment.events[0].time = at_another_moment.events[0].time.plus_millis(1);
    assert_eq!(
        place.store.was_committed(&at_another_moment).await,
        Ok(false),
        "another node carried out the same call"
    );
    let without_events = Batch {
        keys: vec![key_row("a")],
        ..Batch::default()
    };
    commits(&*place.store, &without_events).await;
    assert_eq!(place.store.was_committed(&without_events).await, Ok(false));
}

pub(crate) async fn an_order_is_found_by_id_key_and_reference_once(place: &mut Place) {
    commits(&*place.store, &making([order(1), order(2), order(3)])).await;
    let wanted = Wanted {
        orders: vec![order_id(1), order_id(1)],
        order_keys: vec![(tenant(1), "key-1".to_owned()), (tenant(1), "key-2".to_owned())],
        references: vec![(tenant(1), "A-1".to_owned()), (tenant(1), "A-3".to_owned())],
        ..Wanted::default()
    };
    let mut found = place.store.load(&wanted).await.unwrap().orders;
    found.sort_by_key(|row| row.id);
    assert_eq!(found, [order(1), order(2), order(3)]);
}

pub(crate) async fn details_are_all_event_rows_of_an_order(place: &mut Place) {
    commits(&*place.store, &making([order(1), order(2), order(3)])).await;
    commits(&*place.store, &moving([order(1)])).await;
    let wanted = Wanted {
        details: vec![order_id(1), order_id(9), order_id(2)],
        ..Wanted::default()
    };
    let found = unplaced(place.store.load(&wanted).await.unwrap().details);
    assert_eq!(found, [event(&order(1)), event(&next(&order(1))), event(&order(2))]);
}

pub(crate) async fn one_key_is_one_call_whichever_kind_it_is(place: &mut Place) {
    commits(&*place.store, &making([order(1)])).await;
    let later = |text: &str| Batch {
        keys: vec![key_row(text)],
        ..Batch::default()
    };
    conflicts(&*place.store, &later("key-1")).await;
    commits(&*place.store, &later("key-2")).await;
    conflicts(&*place.store, &making([order(2)])).await;
    conflicts(
        &*place.store,
        &Batch {
            keys: vec![key_row("key-3")],
            ..making([order(3)])
        },
    )
    .await;
    assert_eq!(
        place.store.put(&[record(1)], &[key_row("key-1")]).await,
        Ok(Outcome::Conflict)
    );

    let both = |text: &str| vec![(tenant(1), text.to_owned())];
    for (text, made, kept) in [
        ("key-1", vec![order(1)], vec![]),
        ("key-2", vec![], vec![key_row("key-2")]),
    ] {
        let wanted = Wanted {
            order_keys: both(text),
            keys: both(text),
            ..Wanted::default()
        };
        let found = place.store.load(&wanted).await.unwrap();
        assert_eq!((found.orders, found.keys), (made, kept), "{text}");
    }
}

pub(crate) async fn a_lease_that_somebody_else_holds_is_left_as_it_is(place: &mut Place) {
    commits(&*place.store, &making([leased(order(1), 7)])).await;
    let read = orders(&*place.store, [1]).await.remove(0);
    let beside = Changed {
        read_version: 2,
        row: OrderRow {
            lease: read.lease,
            ..next(&read)
        },
    };
    commits(
        &*place.store,
        &Batch {
            changed: vec![beside],
            lease_s: 900,
            ..Batch::default()
        },
    )
    .await;
    assert_eq!(orders(&*place.store, [1]).await[0].lease, read.lease);
}

pub(crate) async fn a_lease_is_counted_by_the_clock_of_the_database(place: &mut Place) {
    let before = place.clock().await;
    commits(&*place.store, &making([leased(order(1), 7), order(2)])).await;
    let after = place.clock().await;

    let found = orders(&*place.store, [1, 2]).await;
    let lease = found[0].lease.unwrap();
    assert_eq!(lease.node, node(7));
    assert!(
        before.plus_seconds(30) <= lease.until && lease.until <= after.plus_seconds(30),
        "{lease:?}"
    );
    assert_eq!(found[1].lease, None);

    commits(&*place.store, &moving([order(1)])).await;
    assert_eq!(orders(&*place.store, [1]).await[0].lease, None);
}

pub(crate) async fn a_notice_is_kept_once_and_done_once(place: &mut Place) {
    let came = |numbers: &[u32]| Batch {
        notices: numbers.iter().map(|number| notice(*number)).collect(),
        ..Batch::default()
    };
    commits(&*place.store, &came(&[2, 1, 2])).await;
    commits(&*place.store, &came(&[1, 3])).await;
    assert_eq!(place.store.inbox(10).await.unwrap(), [notice(1), notice(2), notice(3)]);
    assert_eq!(place.store.inbox(2).await.unwrap(), [notice(1), notice(2)]);

    commits(
        &*place.store,
        &Batch {
            done: vec![notice(1).id, notice(9).id],
            ..Batch::default()
        },
    )
    .await;
    commits(&*place.store, &came(&[1])).await;
    assert_eq!(place.store.inbox(10).await.unwrap(), [notice(2), notice(3)]);

    // One commit may bring a notice and be done with it.
    commits(
        &*place.store,
        &Batch {
            done: vec![notice(4).id],
            ..came(&[4])
        },
    )
    .await;
    assert_eq!(place.store.inbox(10).await.unwrap(), [notice(2), notice(3)]);
}

pub(crate) async fn a_notice_can_be_put_off(place: &mut Place) {
    commits(
        &*place.store,
        &Batch {
            notices: vec![notice(1), notice(2)],
            ..Batch::default()
        },
    )
    .await;
    let later = florin_store::NoticeRow {
        due: at(90),
        ..notice(1)
    };
    commits(
        &*place.store,
        &Batch {
            notices: vec![later.clone()],
            ..Batch::default()
        },
    )
    .await;
    commits(
        &*place.store,
        &Batch {
            notices: vec![notice(1)],
            ..Batch::default()
        },
    )
    .await;
    assert_eq!(place.store.inbox(10).await.unwrap(), [notice(2), later]);
}

pub(crate) async fn two_writers_on_one_order_leave_one_winner(place: &mut Place) {
    let (one, two) = (place.store.clone(), place.another().await);
    for number in 1..=20 {
        let (first, second) = (
            making([order(number)]),
            making([OrderRow {
                id: order_id(number + 1_000),
                ..order(number)
            }]),
        );
        let outcomes = tokio::join!(one.commit(&first), two.commit(&second));
        assert_winner(outcomes);
        let made = orders(&*one, [number, number + 1_000]).await;
        assert_eq!(made.len(), 1);
        let moved = OrderRow {
            chain: [1; 32],
            ..made[0].clone()
        };
        let (first, second) = (moving(made.clone()), moving([moved]));
        let outcomes = tokio::join!(one.commit(&first), two.commit(&second));
        assert_winner(outcomes);
        assert_eq!(one.events_of(made[0].id).await.unwrap().len(), 2);
    }
}

fn assert_winner(
    outcomes: (
        Result<Outcome, florin_store::Fault>,
        Result<Outcome, florin_store::Fault>,
    ),
) {
    let (one, two) = (outcomes.0.unwrap(), outcomes.1.unwrap());
    assert!(
        matches!(
            (one, two),
            (Outcome::Done, Outcome::Conflict) | (Outcome::Conflict, Outcome::Done)
        ),
        "{one:?} and {two:?}"
    );
}

pub(crate) async fn ten_thousand_hot_rows_move_in_large_batches(place: &mut Place) {
    const ROWS: u32 = 10_000;
    const BATCH: usize = 1_000;
    let mut rows: Vec<OrderRow> = (1..=ROWS).map(order).collect();
    for some in rows.chunks(BATCH) {
        commits(&*place.store, &making(some.to_vec())).await;
    }
    for _ in 0..2 {
        for some in rows.chunks(BATCH) {
            commits(&*place.store, &moving(some.to_vec())).await;
        }
        rows = rows.iter().map(next).collect();
    }
    let mut found = orders(&*place.store, 1..=ROWS).await;
    found.sort_by_key(|row| row.id);
    assert_eq!(found, rows);
}

pub(crate) async fn what_was_answered_is_there_after_opening_again(place: &mut Place) {
    commits(&*place.store, &making([order(1), order(2)])).await;
    commits(&*place.store, &moving([order(1)])).await;
    place.open_again().await;
    assert_eq!(orders(&*place.store, [1, 2]).await, [next(&order(1)), order(2)]);
    assert_eq!(place.store.events_of(order_id(1)).await.unwrap().len(), 2);
    commits(&*place.store, &moving([order(2)])).await;
}

pub(crate) async fn odd_texts_come_back_as_they_were(place: &mut Place) {
    let odd = [
        "",
        "'; drop table orders; --",
        "ÄÖ € 𝄞 \u{202e}",
        "\n\t\"\\",
        "%_*?[a]",
        "x",
    ];
    for (number, text) in (1..).zip(odd) {
        let long = text.repeat(if text == "x" { 200_000 } else { 1 });
        let row = OrderRow {
            reference: text.to_owned(),
            key: Some(key(text)),
            state: long.clone(),
            work: Some(long),
            version: i32::MAX as u32,
            ..order(number)
        };
        let batch = making([row.clone()]);
        commits(&*place.store, &batch).await;
        let wanted = Wanted {
            references: vec![(tenant(1), text.to_owned())],
            ..Wanted::default()
        };
        assert_eq!(place.store.load(&wanted).await.unwrap().orders, [row]);
        assert_eq!(place.store.was_committed(&batch).await, Ok(true));
    }
}
