//! Readers behind the commit.

use florin_core::money::Currency;
use florin_store::{BOOKS, BalanceRow, Cursor, Fault, FeedRow, Fold, ListingRow, Marks, ProviderRef};

use crate::place::Place;
use crate::rows::*;

fn place_at(row: u64) -> Cursor {
    Cursor { transaction: 0, row }
}

pub(crate) fn fold(reader: &str, from: u64, to: u64) -> Fold {
    Fold {
        reader: reader.to_owned(),
        from: place_at(from),
        to: place_at(to),
        listings: Vec::new(),
        refs: Vec::new(),
        balances: Vec::new(),
        deliveries: Vec::new(),
        feed: Vec::new(),
    }
}

fn balance(posted: i128, pending: i128) -> BalanceRow {
    BalanceRow {
        tenant: tenant(1),
        connection: connection(1),
        account: "merchant".to_owned(),
        currency: Currency::EUR,
        posted,
        pending,
    }
}

fn reference(connection_number: u32, id: &str) -> ProviderRef {
    ProviderRef {
        connection: connection(connection_number),
        kind: "payment_intent".to_owned(),
        id: id.to_owned(),
    }
}

pub(crate) async fn only_one_of_two_readers_at_one_place_writes(place: &mut Place) {
    let two = place.another().await;
    assert_eq!(place.store.cursor(BOOKS).await, Ok(Cursor::START));
    for step in 0..10 {
        let turn = Fold {
            balances: vec![balance(1, 0)],
            ..fold(BOOKS, step, step + 1)
        };
        let (first, second) = tokio::join!(place.store.fold(turn.clone()), two.fold(turn.clone()));
        assert!(
            first.clone().unwrap() != second.clone().unwrap(),
            "{first:?} and {second:?}"
        );
    }
    assert_eq!(two.balances(tenant(1)).await, Ok((vec![balance(10, 0)], place_at(10))));
    assert_eq!(place.store.fold(fold(BOOKS, 9, 11)).await, Ok(false));
    assert_eq!(place.store.cursor("another").await, Ok(Cursor::START));
}

pub(crate) async fn balances_add_up_beyond_64_bits(place: &mut Place) {
    const TIMES: u64 = 3;
    let (most, least) = (i128::from(i64::MAX), i128::from(i64::MIN));
    let other = BalanceRow {
        currency: Currency::USD,
        ..balance(1, 1)
    };
    for step in 0..TIMES {
        let turn = Fold {
            balances: vec![balance(most, least), other.clone(), balance(0, -1)],
            ..fold(BOOKS, step, step + 1)
        };
        assert_eq!(place.store.fold(turn.clone()).await, Ok(true));
    }
    let times = i128::from(TIMES);
    let (mut found, at) = place.store.balances(tenant(1)).await.unwrap();
    found.sort_by_key(|row| row.currency);
    let dollars = BalanceRow {
        posted: times,
        pending: times,
        ..other
    };
    assert_eq!(found, [balance(most * times, (least - 1) * times), dollars]);
    assert_eq!(at, place_at(TIMES));

    let huge = i128::MAX - most * times;
    assert_eq!(
        place
            .store
            .fold(Fold {
                balances: vec![balance(huge, 0)],
                ..fold(BOOKS, 3, 4)
            })
            .await,
        Ok(true)
    );
    let over = place
        .store
        .fold(Fold {
            balances: vec![balance(1, 0)],
            ..fold(BOOKS, 4, 5)
        })
        .await;
    assert!(matches!(over, Err(Fault::Refused(_))), "{over:?}");
    assert_eq!(place.store.cursor(BOOKS).await, Ok(place_at(4)));
    assert_eq!(place.store.balances(tenant(1)).await.unwrap().0.len(), 2);
}

pub(crate) async fn only_the_books_fold_balances(place: &mut Place) {
    let wrong = Fold {
        balances: vec![balance(1, 0)],
        ..fold("lists", 0, 1)
    };
    assert!(matches!(place.store.fold(wrong.clone()).await, Err(Fault::Refused(_))));
    assert_eq!(place.store.balances(tenant(1)).await, Ok((Vec::new(), Cursor::START)));
}

pub(crate) async fn a_reference_of_a_provider_finds_its_order_and_keeps_it(place: &mut Place) {
    let first = vec![(reference(1, "pi_1"), order_id(1)), (reference(2, "pi_1"), order_id(2))];
    place
        .store
        .fold(Fold {
            refs: first,
            ..fold("lists", 0, 1)
        })
        .await
        .unwrap();
    let again = vec![(reference(1, "pi_1"), order_id(3)), (reference(1, "pi_2"), order_id(3))];
    let turn = Fold {
        refs: again,
        ..fold("lists", 1, 2)
    };
    assert_eq!(place.store.fold(turn.clone()).await, Ok(true));
    assert_eq!(place.store.fold(turn).await, Ok(false), "the place is taken");
    for (wanted, found) in [
        (reference(1, "pi_1"), Some(order_id(1))),
        (reference(2, "pi_1"), Some(order_id(2))),
        (reference(1, "pi_2"), Some(order_id(3))),
        (reference(3, "pi_1"), None),
        (
            ProviderRef {
                kind: "session".to_owned(),
                ..reference(1, "pi_1")
            },
            None,
        ),
    ] {
        assert_eq!(place.store.order_of_ref(&wanted).await, Ok(found), "{wanted:?}");
    }
}

pub(crate) async fn folding_a_listing_again_replaces_it(place: &mut Place) {
    place.store.commit(&making([order(1)])).await.unwrap();
    let pair = ("table".to_owned(), "7".to_owned());
    let new = ListingRow {
        status: "processing".to_owned(),
        attention: true,
        terms: terms(std::slice::from_ref(&pair)),
        ..listing(1)
    };
    place
        .store
        .fold(Fold {
            listings: vec![new],
            ..fold("lists", 0, 1)
        })
        .await
        .unwrap();
    let known = ListingRow {
        customer: Some("cus_1".to_owned()),
        ..listing(1)
    };
    place
        .store
        .fold(Fold {
            listings: vec![known],
            ..fold("lists", 1, 2)
        })
        .await
        .unwrap();

    use florin_store::Search;
    for (wanted, count) in [
        (
            Search {
                status: Some("processing".to_owned()),
                ..search()
            },
            0,
        ),
        (
            Search {
                status: Some("captured".to_owned()),
                ..search()
            },
            1,
        ),
        (
            Search {
                attention: true,
                ..search()
            },
            0,
        ),
        (
            Search {
                customer: Some("cus_1".to_owned()),
                ..search()
            },
            1,
        ),
        (
            Search {
                metadata: vec![pair],
                ..search()
            },
            1,
        ),
    ] {
        assert_eq!(place.store.search(&wanted).await.unwrap().len(), count, "{wanted:?}");
    }
}

/// What is said to be new and is there all the same, with all that was folded beside it.
pub(crate) async fn a_turn_that_was_folded_before_is_folded_over_what_is_there(place: &mut Place) {
    place.store.commit(&making([order(1), order(2)])).await.unwrap();
    let turn = |number: u32, status: &str, step: u64| Fold {
        listings: vec![ListingRow {
            status: status.to_owned(),
            version: 2 + u32::try_from(step).unwrap(),
            first: true,
            ..listing(number)
        }],
        refs: vec![(reference(1, &format!("pi_{number}")), order_id(number))],
        feed: vec![FeedRow {
            tenant: tenant(1),
            at: Cursor {
                transaction: 1,
                row: u64::from(number),
            },
            time: at(number),
            money: false,
        }],
        balances: vec![balance(10, 0)],
        ..fold(BOOKS, step, step + 1)
    };
    for (number, status, step) in [(1, "processing", 0), (1, "captured", 1), (2, "captured", 2)] {
        assert_eq!(
            place.store.fold(turn(number, status, step)).await,
            Ok(true),
            "{number} {status}"
        );
    }
    use florin_store::Search;
    for (status, count) in [("processing", 0), ("captured", 2)] {
        let wanted = Search {
            status: Some(status.to_owned()),
            ..search()
        };
        assert_eq!(place.store.search(&wanted).await.unwrap().len(), count, "{status}");
    }
    assert_eq!(
        place.store.order_of_ref(&reference(1, "pi_2")).await,
        Ok(Some(order_id(2)))
    );
    let (balances, _) = place.store.balances(tenant(1)).await.unwrap();
    assert_eq!(balances.iter().map(|row| row.posted).collect::<Vec<_>>(), [30]);
}

pub(crate) async fn what_an_order_has_stays_in_its_listing(place: &mut Place) {
    place.store.commit(&making([order(1)])).await.unwrap();
    let rows = [(Marks::REFUNDED, 9), (Marks::DISPUTED, 5), (Marks::NONE, 7)];
    for ((marks, changed), step) in rows.into_iter().zip(0..) {
        let row = ListingRow {
            marks,
            changed_at: at(changed),
            ..listing(1)
        };
        let turn = Fold {
            listings: vec![row],
            ..fold("lists", step, step + 1)
        };
        assert_eq!(place.store.fold(turn.clone()).await, Ok(true));
    }
    use florin_store::Search;
    for (marks, changed, count) in [
        (Marks::REFUNDED.and(Marks::DISPUTED), 9, 1),
        (Marks::PAID, 0, 0),
        (Marks::NONE, 10, 0),
    ] {
        let wanted = Search {
            marks,
            changed_from: Some(at(changed)),
            ..search()
        };
        assert_eq!(place.store.search(&wanted).await.unwrap().len(), count, "{wanted:?}");
    }
}

pub(crate) async fn an_older_listing_does_not_replace_a_newer_one(place: &mut Place) {
    place.store.commit(&making([order(1)])).await.unwrap();
    let pair = |value: &str| vec![("table".to_owned(), value.to_owned())];
    let newer = ListingRow {
        version: 4,
        terms: terms(&pair("8")),
        ..listing(1)
    };
    let older = ListingRow {
        version: 2,
        status: "processing".to_owned(),
        attention: true,
        terms: terms(&pair("7")),
        ..listing(1)
    };
    for (step, row) in [newer, older].into_iter().enumerate() {
        let step = step as u64;
        let turn = Fold {
            listings: vec![row],
            ..fold("lists", step, step + 1)
        };
        assert_eq!(place.store.fold(turn.clone()).await, Ok(true));
    }
    use florin_store::Search;
    for (wanted, count) in [
        (
            Search {
                status: Some("captured".to_owned()),
                ..search()
            },
            1,
        ),
        (
            Search {
                attention: true,
                ..search()
            },
            0,
        ),
        (
            Search {
                metadata: pair("8"),
                ..search()
            },
            1,
        ),
        (
            Search {
                metadata: pair("7"),
                ..search()
            },
            0,
        ),
    ] {
        assert_eq!(place.store.search(&wanted).await.unwrap().len(), count, "{wanted:?}");
    }
}

pub(crate) async fn a_long_turn_is_written_whole_between_commits(place: &mut Place) {
    const MANY: u32 = 1_000;
    place.store.commit(&making((1..=MANY).map(order))).await.unwrap();
    let turn = Fold {
        listings: (1..=MANY).rev().map(listing).collect(),
        refs: (1..=MANY)
            .map(|number| {
                let reference = ProviderRef {
                    connection: connection(1),
                    kind: "payment_intent".to_owned(),
                    id: format!("pi_{number}"),
                };
                (reference, order_id(number))
            })
            .collect(),
        balances: vec![balance(i128::from(MANY), 0)],
        ..fold(BOOKS, 0, 1)
    };
    let (folded, committed) = tokio::join!(place.store.fold(turn.clone()), async {
        let batch = moving((1..=MANY).map(order));
        place.store.commit(&batch).await
    });
    assert_eq!(folded, Ok(true));
    assert_eq!(committed, Ok(florin_store::Outcome::Done));
    let all = florin_store::Search {
        limit: MANY,
        ..search()
    };
    let newest_first: Vec<_> = (1..=MANY).rev().map(order_id).collect();
    assert_eq!(place.store.search(&all).await.unwrap(), newest_first);
    for (reference, order) in &turn.refs {
        assert_eq!(place.store.order_of_ref(reference).await, Ok(Some(*order)));
    }
    assert_eq!(
        place.store.balances(tenant(1)).await,
        Ok((vec![balance(i128::from(MANY), 0)], place_at(1)))
    );
}
