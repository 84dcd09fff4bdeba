//! Tidying, counting, migrating.

use florin_store::{
    BOOKS, Backlog, Batch, Cursor, DeliveryRow, DeliverySearch, Fold, Found, KeyRow, ListRecords, ListingRow, OrderRow,
    Retention, Wanted,
};

use super::fold::fold;
use crate::place::Place;
use crate::rows::*;

pub(crate) async fn tidying_removes_what_is_past_its_retention_and_nothing_else(place: &mut Place) {
    let keys = (1..=6)
        .map(|number| KeyRow {
            created_at: at(number),
            ..key_row(&format!("k{number}"))
        })
        .collect();
    let done = [1, 2, 4, 6].map(|number| notice(number).id).to_vec();
    place
        .store
        .commit(&Batch {
            keys,
            notices: (1..=6).map(notice).collect(),
            ..making([order(1)])
        })
        .await
        .unwrap();
    place
        .store
        .commit(&Batch {
            done,
            ..Batch::default()
        })
        .await
        .unwrap();
    let over = |number| DeliveryRow {
        due: None,
        ..delivery(number)
    };
    place
        .store
        .write_deliveries(&[over(1), over(2), delivery(3), over(6)])
        .await
        .unwrap();

    let before = Retention {
        keys: at(5),
        notices: at(5),
        deliveries: at(5),
        limit: 3,
    };
    assert_eq!(place.store.tidy(&before).await, Ok(3 + 3 + 2));
    assert_eq!(place.store.tidy(&before).await, Ok(1));
    assert_eq!(place.store.tidy(&before).await, Ok(0));

    let wanted = Wanted {
        keys: (1..=6).map(|number| (tenant(1), format!("k{number}"))).collect(),
        ..Wanted::default()
    };
    let left = place.store.load(&wanted).await.unwrap().keys;
    assert_eq!(
        left.iter().map(|row| row.key.key.as_str()).collect::<Vec<_>>(),
        ["k5", "k6"]
    );
    assert_eq!(place.store.inbox(10).await.unwrap(), [notice(3), notice(5)]);
    let all = DeliverySearch {
        tenant: tenant(1),
        endpoint: None,
        order: None,
        status: None,
        from: None,
        to: None,
        after: None,
        limit: 10,
    };
    assert_eq!(place.store.deliveries(&all).await.unwrap(), [over(6), delivery(3)]);
    assert_eq!(place.store.events_of(order_id(1)).await.unwrap().len(), 1);

    // A done notice that is kept is still known, one that is gone is new again.
    place
        .store
        .commit(&Batch {
            notices: vec![notice(6), notice(1)],
            ..Batch::default()
        })
        .await
        .unwrap();
    assert_eq!(place.store.inbox(10).await.unwrap(), [notice(1), notice(3), notice(5)]);
}

pub(crate) async fn the_backlog_says_what_waits_and_since_when(place: &mut Place) {
    assert_eq!(place.store.backlog(at(60)).await, Ok(Backlog::default()));
    let due = |number, seconds| OrderRow {
        due: Some(at(seconds)),
        ..order(number)
    };
    let closed = OrderRow { due: None, ..order(4) };
    place
        .store
        .commit(&making([due(1, 30), due(2, 20), due(3, 90), closed]))
        .await
        .unwrap();
    place
        .store
        .commit(&Batch {
            notices: vec![notice(5), notice(4)],
            ..Batch::default()
        })
        .await
        .unwrap();
    place
        .store
        .commit(&Batch {
            done: vec![notice(4).id],
            ..Batch::default()
        })
        .await
        .unwrap();
    let deliveries = vec![
        delivery(8),
        delivery(7),
        DeliveryRow {
            due: None,
            ..delivery(6)
        },
    ];
    let listings = vec![
        ListingRow {
            attention: true,
            ..listing(1)
        },
        listing(2),
    ];
    let mut events = Vec::new();
    for number in 1..=4 {
        events.extend(place.store.events_of(order_id(number)).await.unwrap());
    }
    let unread = place.store.backlog(at(60)).await.unwrap().oldest_event;
    assert_eq!(unread, events.iter().map(|event| event.time).min());
    place
        .store
        .fold(Fold {
            deliveries,
            listings,
            to: events.iter().map(|event| event.at).max().unwrap(),
            ..fold(BOOKS, 0, 1)
        })
        .await
        .unwrap();
    let expected = Backlog {
        due: 2,
        oldest_due: Some(at(20)),
        notices: 1,
        oldest_notice: Some(at(5)),
        deliveries: 2,
        oldest_delivery: Some(at(7)),
        attention: 1,
        oldest_event: None,
    };
    assert_eq!(place.store.backlog(at(60)).await, Ok(expected));
}

pub(crate) async fn migrating_again_changes_nothing(place: &mut Place) {
    place.store.commit(&making([order(1)])).await.unwrap();
    let level = place.store.level().await.unwrap();
    assert!(level >= 1);
    let two = place.another().await;
    let (one, two) = tokio::join!(place.store.migrate(), two.migrate());
    assert_eq!((one, two), (Ok(level), Ok(level)));
    assert_eq!(place.store.events_of(order_id(1)).await.unwrap().len(), 1);
}

pub(crate) async fn an_empty_store_answers_everything_with_nothing(place: &mut Place) {
    let wanted = Wanted {
        orders: vec![order_id(1)],
        order_keys: vec![(tenant(1), "a".to_owned())],
        references: vec![(tenant(1), "a".to_owned())],
        keys: vec![(tenant(1), "a".to_owned())],
        details: vec![order_id(1)],
    };
    assert_eq!(place.store.load(&wanted).await, Ok(Found::default()));
    assert_eq!(place.store.load(&Wanted::default()).await, Ok(Found::default()));
    assert_eq!(
        place.store.commit(&Batch::default()).await,
        Ok(florin_store::Outcome::Done)
    );
    assert_eq!(place.store.claim(&claim(1)).await, Ok(Vec::new()));
    assert_eq!(place.store.claim_deliveries(&claim(1)).await, Ok(Vec::new()));
    assert_eq!(place.store.write_deliveries(&[]).await, Ok(()));
    assert_eq!(place.store.inbox(10).await, Ok(Vec::new()));
    assert_eq!(place.store.events_after(Cursor::START, 10).await, Ok(Vec::new()));
    assert_eq!(place.store.orders_after(None, 10).await, Ok(Vec::new()));
    assert_eq!(place.store.search(&search()).await, Ok(Vec::new()));
    assert_eq!(place.store.balances(tenant(1)).await, Ok((Vec::new(), Cursor::START)));
    let list = ListRecords::of("x", None, 10);
    assert_eq!(place.store.list(&list).await, Ok(Vec::new()));
    assert_eq!(place.store.put(&[], &[]).await, Ok(florin_store::Outcome::Done));
}
