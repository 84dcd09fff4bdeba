//! The event stream and walks over orders.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use florin_store::{Cursor, EventHead, EventRow, OrderRow, Store};

use crate::place::Place;
use crate::rows::*;

/// Reads to the end, a page at a time; waits for rows that are committed and not yet safe to show.
async fn read_all(store: &dyn Store, expected: usize) -> Vec<EventRow> {
    let mut seen: Vec<EventRow> = Vec::new();
    for _ in 0..500 {
        let cursor = seen.last().map_or(Cursor::START, |row| row.at);
        let page = store.events_after(cursor, 7).await.unwrap();
        assert!(page.len() <= 7);
        if page.is_empty() && seen.len() >= expected {
            break;
        }
        if page.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        seen.extend(page);
    }
    seen
}

pub(crate) async fn events_come_in_order_and_page(place: &mut Place) {
    for number in 1..=10 {
        place
            .store
            .commit(&making([order(number), order(number + 100)]))
            .await
            .unwrap();
        place.store.commit(&moving([order(number)])).await.unwrap();
    }
    let seen = read_all(&*place.store, 30).await;
    assert_eq!(seen.len(), 30);
    assert!(seen.windows(2).all(|pair| pair[0].at < pair[1].at));
    let mut versions = std::collections::BTreeMap::new();
    for row in &seen {
        let before = versions.insert(row.order, row.version).unwrap_or(0);
        assert!(
            before < row.version,
            "an order's events come in the order of their versions"
        );
    }
    assert_eq!(place.store.events_after(seen[29].at, 10).await.unwrap(), []);
}

pub(crate) async fn heads_are_the_rows_without_what_they_say(place: &mut Place) {
    for number in 1..=4 {
        place.store.commit(&making([order(number)])).await.unwrap();
        let mut batch = moving([order(number)]);
        batch.events[0].news = None;
        place.store.commit(&batch).await.unwrap();
    }
    let seen = read_all(&*place.store, 8).await;
    let heads: Vec<EventHead> = seen.iter().map(EventRow::head).collect();
    assert!(heads.iter().any(|head| head.money && !head.news) && heads.iter().any(|head| head.news && !head.money));
    assert_eq!(place.store.heads_after(Cursor::START, 100).await.unwrap(), heads);
    assert_eq!(place.store.heads_after(seen[2].at, 2).await.unwrap(), heads[3..5]);

    let nowhere = Cursor {
        row: seen[7].at.row + 1_000,
        ..seen[7].at
    };
    let places = vec![seen[6].at, seen[1].at, nowhere];
    let mut found = place.store.events_at(places).await.unwrap();
    found.sort_by_key(|row| row.at);
    assert_eq!(found, [seen[1].clone(), seen[6].clone()]);
    assert_eq!(place.store.events_at(Vec::new()).await.unwrap(), []);
}

pub(crate) async fn an_order_has_its_events_by_version(place: &mut Place) {
    place.store.commit(&making([order(1), order(2)])).await.unwrap();
    place.store.commit(&moving([order(1)])).await.unwrap();
    place.store.commit(&moving([next(&order(1))])).await.unwrap();
    let rows = place.store.events_of(order_id(1)).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.version).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(place.store.events_of(order_id(9)).await.unwrap(), []);
}

/// Two nodes write at once while a reader follows: every row is seen once, although rows get their numbers before they are committed.
pub(crate) async fn readers_miss_nothing_while_commits_overtake_each_other(place: &mut Place) {
    const COMMITS: u32 = 60;
    let write = async |store: Arc<dyn Store>, from: u32| {
        for number in from..from + COMMITS {
            let many = (0..1 + number % 5).map(|part| order(number * 10 + part));
            store.commit(&making(many)).await.unwrap();
        }
    };
    let expected = (0..COMMITS).map(|number| 1 + number % 5).sum::<u32>() as usize * 2;
    let (one, two) = (place.store.clone(), place.another().await);
    let (seen, (), ()) = tokio::join!(read_all(&*place.store, expected), write(one, 100), write(two, 1_000));
    let different: BTreeSet<_> = seen.iter().map(|row| row.order).collect();
    assert_eq!((seen.len(), different.len()), (expected, expected));
}

pub(crate) async fn orders_are_walked_by_id(place: &mut Place) {
    place
        .store
        .commit(&making([order(3), order(1), order(2)]))
        .await
        .unwrap();
    let ids = async |after, limit| {
        let rows = place.store.orders_after(after, limit).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 2).await, [order_id(1), order_id(2)]);
    assert_eq!(ids(Some(order_id(2)), 2).await, [order_id(3)]);
    assert_eq!(ids(Some(order_id(3)), 2).await, []);
}

pub(crate) async fn what_is_open_is_walked_by_the_moment_at_which_it_is_due(place: &mut Place) {
    let due = |number: u32, seconds: Option<u32>| OrderRow {
        due: seconds.map(at),
        ..order(number)
    };
    let rows = [
        due(1, Some(30)),
        due(2, Some(10)),
        due(3, None),
        due(4, Some(10)),
        due(5, Some(20)),
    ];
    place.store.commit(&making(rows)).await.unwrap();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = place.store.waiting(after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = last.due.map(|due| (due, last.id));
        seen.extend(page.into_iter().map(|row| row.id));
    }
    assert_eq!(seen, [2, 4, 5, 1].map(order_id));
}
