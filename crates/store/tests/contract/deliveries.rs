//! Webhook deliveries.

use florin_store::{Claim, DeliveryRow, DeliverySearch, DeliveryStatus, Fold};

use super::fold::fold;
use crate::place::Place;
use crate::rows::*;

fn all() -> DeliverySearch {
    DeliverySearch {
        tenant: tenant(1),
        endpoint: None,
        order: None,
        status: None,
        from: None,
        to: None,
        after: None,
        limit: 100,
    }
}

fn numbers(rows: &[DeliveryRow]) -> Vec<u32> {
    (1..=100)
        .rev()
        .filter(|number| rows.iter().any(|row| row.id == delivery_id(*number)))
        .collect()
}

pub(crate) async fn an_orders_deliveries_to_an_endpoint_are_taken_by_one_node_at_a_time(place: &mut Place) {
    let of_one = |number| DeliveryRow {
        order: order_id(1),
        ..delivery(number)
    };
    let elsewhere = DeliveryRow {
        endpoint: endpoint(2),
        ..of_one(3)
    };
    place
        .store
        .fold(Fold {
            deliveries: vec![of_one(1), of_one(2), elsewhere.clone(), delivery(4)],
            ..fold("hooks", 0, 1)
        })
        .await
        .unwrap();
    let two = place.another().await;
    let first = Claim {
        lease_s: 1,
        limit: 1,
        ..claim(1)
    };
    assert_eq!(place.store.claim_deliveries(&first).await.unwrap(), [of_one(1)]);
    assert_eq!(
        two.claim_deliveries(&claim(2)).await.unwrap(),
        [elsewhere, delivery(4)],
        "the second would overtake the first"
    );
    assert_eq!(
        place.store.claim_deliveries(&claim(1)).await.unwrap(),
        [of_one(2)],
        "behind its own"
    );
    let sent = |number| DeliveryRow {
        status: DeliveryStatus::Succeeded,
        due: None,
        ..of_one(number)
    };
    place.store.write_deliveries(&[sent(1)]).await.unwrap();
    place.store.write_deliveries(&[sent(2)]).await.unwrap();
    place
        .store
        .fold(Fold {
            deliveries: vec![of_one(5)],
            ..fold("hooks", 1, 2)
        })
        .await
        .unwrap();
    assert_eq!(
        two.claim_deliveries(&claim(2)).await.unwrap(),
        [of_one(5)],
        "the line is free"
    );
}

/// Two nodes that look at the same moment: each sees what the other took, or waits until it does.
pub(crate) async fn two_nodes_that_look_at_once_do_not_share_an_orders_deliveries(place: &mut Place) {
    const ROUNDS: u32 = 60;
    let two = place.another().await;
    let one_each = |number| Claim {
        limit: 1,
        ..claim(number)
    };
    for round in 0..ROUNDS {
        let of_one = |number| DeliveryRow {
            order: order_id(round),
            due: Some(at(1)),
            ..delivery(2 * round + number)
        };
        place
            .store
            .fold(Fold {
                deliveries: vec![of_one(0), of_one(1)],
                ..fold("hooks", u64::from(round), u64::from(round) + 1)
            })
            .await
            .unwrap();
        let (mine, theirs) = (one_each(1), one_each(2));
        let (first, second) = tokio::join!(place.store.claim_deliveries(&mine), two.claim_deliveries(&theirs));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.len() + second.len(), 1, "round {round}: {first:?} and {second:?}");
        let over = |number| DeliveryRow {
            status: DeliveryStatus::Succeeded,
            due: None,
            ..of_one(number)
        };
        place.store.write_deliveries(&[over(0), over(1)]).await.unwrap();
    }
}

pub(crate) async fn a_delivery_is_taken_by_one_node_and_written_back(place: &mut Place) {
    place
        .store
        .fold(Fold {
            deliveries: vec![delivery(1), delivery(2)],
            ..fold("hooks", 0, 1)
        })
        .await
        .unwrap();
    let others = Claim {
        without: vec![tenant(1)],
        ..claim(1)
    };
    assert_eq!(place.store.claim_deliveries(&others).await.unwrap(), []);
    let two = place.another().await;
    let short = Claim { lease_s: 1, ..claim(1) };
    assert_eq!(
        place
            .store
            .claim_deliveries(&Claim {
                limit: 1,
                ..short.clone()
            })
            .await
            .unwrap(),
        [delivery(1)]
    );
    assert_eq!(two.claim_deliveries(&claim(2)).await.unwrap(), [delivery(2)]);
    assert_eq!(two.claim_deliveries(&claim(2)).await.unwrap(), []);
    place.wait_seconds(1).await;
    assert_eq!(two.claim_deliveries(&claim(2)).await.unwrap(), [delivery(1)]);

    let sent = DeliveryRow {
        status: DeliveryStatus::Succeeded,
        due: None,
        tries: "[200]".to_owned(),
        ..delivery(1)
    };
    let again = DeliveryRow {
        due: Some(at(59)),
        tries: "[500]".to_owned(),
        ..delivery(2)
    };
    let resent = delivery(3);
    two.write_deliveries(&[sent.clone(), again.clone(), resent.clone()])
        .await
        .unwrap();
    assert_eq!(
        place.store.delivery(tenant(1), delivery_id(1)).await.unwrap(),
        Some(sent)
    );
    // Written back is given back: no lease stands in the way of the next try.
    assert_eq!(place.store.claim_deliveries(&claim(1)).await.unwrap(), [resent, again]);

    // A reader that folds the same events again does not send again.
    place
        .store
        .fold(Fold {
            deliveries: vec![delivery(1)],
            ..fold("hooks", 1, 2)
        })
        .await
        .unwrap();
    assert_eq!(place.store.claim_deliveries(&claim(1)).await.unwrap(), []);
}

pub(crate) async fn deliveries_are_found_by_every_filter(place: &mut Place) {
    let rows: Vec<DeliveryRow> = (1..=12)
        .map(|number| DeliveryRow {
            endpoint: endpoint(number % 2),
            order: order_id(number % 3),
            status: [
                DeliveryStatus::Pending,
                DeliveryStatus::Succeeded,
                DeliveryStatus::Failed,
            ][number as usize % 3],
            due: (number % 3 == 0).then(|| at(number)),
            tenant: if number == 12 { live(1) } else { tenant(1) },
            ..delivery(number)
        })
        .collect();
    place.store.write_deliveries(&rows).await.unwrap();
    type Rule = fn(&DeliveryRow) -> bool;
    let cases: Vec<(DeliverySearch, Rule)> = vec![
        (all(), |_| true),
        (
            DeliverySearch {
                endpoint: Some(endpoint(1)),
                ..all()
            },
            |row| row.endpoint == endpoint(1),
        ),
        (
            DeliverySearch {
                order: Some(order_id(2)),
                ..all()
            },
            |row| row.order == order_id(2),
        ),
        (
            DeliverySearch {
                status: Some(DeliveryStatus::Failed),
                ..all()
            },
            |row| row.status == DeliveryStatus::Failed,
        ),
        (
            DeliverySearch {
                status: Some(DeliveryStatus::Succeeded),
                endpoint: Some(endpoint(0)),
                ..all()
            },
            |row| row.status == DeliveryStatus::Succeeded && row.endpoint == endpoint(0),
        ),
        (
            DeliverySearch {
                tenant: tenant(7),
                ..all()
            },
            |_| false,
        ),
    ];
    for (wanted, rule) in cases {
        let mut expected: Vec<_> = rows
            .iter()
            .filter(|row| row.tenant == tenant(1) && rule(row))
            .cloned()
            .collect();
        expected.reverse();
        assert_eq!(place.store.deliveries(&wanted).await.unwrap(), expected, "{wanted:?}");
    }
}

pub(crate) async fn deliveries_page_newest_first(place: &mut Place) {
    let rows: Vec<DeliveryRow> = (1..=10).map(delivery).collect();
    place.store.write_deliveries(&rows).await.unwrap();
    let first = place
        .store
        .deliveries(&DeliverySearch { limit: 4, ..all() })
        .await
        .unwrap();
    assert_eq!(numbers(&first), [10, 9, 8, 7]);
    let rest = DeliverySearch {
        after: Some(first[3].id),
        ..all()
    };
    assert_eq!(
        numbers(&place.store.deliveries(&rest).await.unwrap()),
        [6, 5, 4, 3, 2, 1]
    );
}

pub(crate) async fn a_delivery_of_another_tenant_does_not_exist(place: &mut Place) {
    place.store.write_deliveries(&[delivery(1)]).await.unwrap();
    assert_eq!(place.store.delivery(live(1), delivery_id(1)).await.unwrap(), None);
    assert_eq!(place.store.delivery(tenant(2), delivery_id(1)).await.unwrap(), None);
    let foreign = DeliverySearch {
        tenant: live(1),
        order: Some(order_id(1)),
        endpoint: Some(endpoint(1)),
        ..all()
    };
    assert_eq!(place.store.deliveries(&foreign).await.unwrap(), []);
    // Nor can it be overwritten under another tenant's name.
    place
        .store
        .write_deliveries(&[DeliveryRow {
            tenant: tenant(2),
            due: None,
            ..delivery(1)
        }])
        .await
        .unwrap();
    assert_eq!(
        place.store.delivery(tenant(1), delivery_id(1)).await.unwrap(),
        Some(delivery(1))
    );
}
