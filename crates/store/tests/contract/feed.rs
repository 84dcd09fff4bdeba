//! The list of a tenant's event rows.

use florin_store::{Cursor, FeedRow, FeedSearch, Fold};

use crate::fold::fold;
use crate::place::Place;
use crate::rows::*;

fn whole() -> FeedSearch {
    FeedSearch {
        tenant: tenant(1),
        money: false,
        from: None,
        to: None,
        after: None,
        oldest_first: false,
        limit: 100,
    }
}

pub(crate) async fn a_tenant_pages_its_event_rows_both_ways(place: &mut Place) {
    let mut orders: Vec<_> = (1..=9).map(order).collect();
    orders[4].tenant = tenant(2);
    place.store.commit(&making(orders)).await.unwrap();
    let mut rows = Vec::new();
    for _ in 0..500 {
        rows = place.store.events_after(Cursor::START, 100).await.unwrap();
        if rows.len() == 9 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let feed: Vec<FeedRow> = rows
        .iter()
        .map(|row| FeedRow {
            tenant: row.tenant,
            at: row.at,
            time: row.time,
            money: row.postings.is_some(),
        })
        .collect();
    let turn = Fold {
        feed,
        ..fold("lists", 0, 1)
    };
    assert_eq!(place.store.fold(turn.clone()).await, Ok(true));
    let mine: Vec<_> = rows.iter().filter(|row| row.tenant == tenant(1)).cloned().collect();
    assert_eq!(mine.len(), 8);
    let newest: Vec<_> = mine.iter().rev().cloned().collect();
    assert_eq!(place.store.feed(&whole()).await.unwrap(), newest);
    let oldest = FeedSearch {
        oldest_first: true,
        after: Some(mine[2].at),
        limit: 3,
        ..whole()
    };
    assert_eq!(place.store.feed(&oldest).await.unwrap(), mine[3..6]);
    let before = FeedSearch {
        after: Some(mine[2].at),
        ..whole()
    };
    assert_eq!(place.store.feed(&before).await.unwrap(), newest[6..]);
    let time = FeedSearch {
        from: Some(mine[1].time),
        to: Some(mine[1].time.plus_millis(1)),
        ..whole()
    };
    let at_once = mine.iter().filter(|row| row.time == mine[1].time).count();
    assert_eq!(place.store.feed(&time).await.unwrap().len(), at_once);
    let money = FeedSearch { money: true, ..whole() };
    let moved = mine.iter().filter(|row| row.postings.is_some()).count();
    assert_eq!(place.store.feed(&money).await.unwrap().len(), moved);
    let nobody = FeedSearch {
        tenant: live(1),
        ..whole()
    };
    assert_eq!(place.store.feed(&nobody).await.unwrap(), []);
}
