//! Searching orders.

use florin_core::id::OrderId;
use florin_store::{Fold, ListingRow, Marks, OrderRow, Search, Tenant};

use super::fold::fold;
use crate::place::Place;
use crate::rows::*;

/// Orders 1 to 40 of tenant 1, with everything that can be filtered by; 41 to 44 of its live side and of another merchant.
async fn filled(place: &Place) -> Vec<ListingRow> {
    let whose = |number: u32| -> Tenant {
        match number {
            41 | 42 => live(1),
            43 | 44 => tenant(2),
            _ => tenant(1),
        }
    };
    let rows: Vec<ListingRow> = (1..=44)
        .map(|number| ListingRow {
            tenant: whose(number),
            status: ["captured", "failed", "processing"][number as usize % 3].to_owned(),
            customer: (number % 4 == 0).then(|| format!("cus_{}", number % 8)),
            attention: number % 10 == 0,
            marks: Marks::CHARGED.and(Marks::REFUNDED.when(number % 7 == 0)),
            changed_at: at(number + 20 * u32::from(number % 9 == 0)),
            terms: terms(&[
                pair("table", &(number % 5).to_string()),
                pair("shop", if number % 2 == 0 { "even" } else { "odd" }),
            ]),
            ..listing(number)
        })
        .collect();
    let orders = (1..=44).map(|number| OrderRow {
        tenant: whose(number),
        ..order(number)
    });
    place.store.commit(&making(orders)).await.unwrap();
    place
        .store
        .fold(Fold {
            listings: rows.clone(),
            ..fold("lists", 0, 1)
        })
        .await
        .unwrap();
    rows
}

fn newest_first(rows: &[ListingRow], wanted: impl Fn(&ListingRow) -> bool) -> Vec<OrderId> {
    rows.iter()
        .rev()
        .filter(|row| row.tenant == tenant(1) && wanted(row))
        .map(|row| row.order)
        .collect()
}

pub(crate) async fn every_filter_finds_what_it_says(place: &mut Place) {
    let rows = filled(place).await;
    let status = || Some("captured".to_owned());
    let customer = || Some("cus_4".to_owned());
    type Rule = fn(&ListingRow) -> bool;
    let cases: Vec<(Search, Rule)> = vec![
        (search(), |_| true),
        (
            Search {
                status: status(),
                ..search()
            },
            |row| row.status == "captured",
        ),
        (
            Search {
                customer: customer(),
                ..search()
            },
            |row| row.customer.as_deref() == Some("cus_4"),
        ),
        (
            Search {
                attention: true,
                ..search()
            },
            |row| row.attention,
        ),
        (
            Search {
                from: Some(at(10)),
                to: Some(at(20)),
                ..search()
            },
            |row| row.created_at >= at(10) && row.created_at < at(20),
        ),
        (
            Search {
                metadata: vec![pair("table", "3")],
                ..search()
            },
            |row| row.terms.holds("table", "3"),
        ),
        (
            Search {
                metadata: vec![pair("table", "3"), pair("shop", "odd")],
                ..search()
            },
            |row| row.terms.holds("table", "3") && row.terms.holds("shop", "odd"),
        ),
        (
            Search {
                metadata: vec![pair("table", "odd")],
                ..search()
            },
            |_| false,
        ),
        (
            Search {
                words: vec!["failed".to_owned(), "captured".to_owned(), "refunded".to_owned()],
                ..search()
            },
            |row| row.status != "processing",
        ),
        (
            Search {
                marks: Marks::CHARGED,
                ..search()
            },
            |_| true,
        ),
        (
            Search {
                marks: Marks::CHARGED.and(Marks::REFUNDED),
                customer: customer(),
                ..search()
            },
            |row| row.marks.holds(Marks::REFUNDED) && row.customer.as_deref() == Some("cus_4"),
        ),
        (
            Search {
                marks: Marks::DISPUTED,
                ..search()
            },
            |_| false,
        ),
        (
            Search {
                changed_from: Some(at(33)),
                to: Some(at(30)),
                ..search()
            },
            |row| row.changed_at >= at(33) && row.created_at < at(30),
        ),
        (
            Search {
                reference: Some("A-12".to_owned()),
                marks: Marks::REFUNDED,
                ..search()
            },
            |_| false,
        ),
        (
            Search {
                metadata: vec![pair("table", "4")],
                status: status(),
                attention: false,
                from: Some(at(5)),
                ..search()
            },
            |row| row.terms.holds("table", "4") && row.status == "captured" && row.created_at >= at(5),
        ),
        (
            Search {
                status: status(),
                customer: customer(),
                to: Some(at(30)),
                ..search()
            },
            |row| row.status == "captured" && row.customer.as_deref() == Some("cus_4") && row.created_at < at(30),
        ),
        (
            Search {
                reference: Some("A-12".to_owned()),
                ..search()
            },
            |row| row.order == order_id(12),
        ),
        (
            Search {
                reference: Some("A-12".to_owned()),
                status: status(),
                ..search()
            },
            |row| row.order == order_id(12),
        ),
        (
            Search {
                reference: Some("A-12".to_owned()),
                status: Some("failed".to_owned()),
                ..search()
            },
            |_| false,
        ),
        (
            Search {
                reference: Some("A-12".to_owned()),
                metadata: vec![pair("table", "2")],
                ..search()
            },
            |row| row.order == order_id(12),
        ),
        (
            Search {
                reference: Some("A-12".to_owned()),
                from: Some(at(13)),
                ..search()
            },
            |_| false,
        ),
        (
            Search {
                reference: Some("A-41".to_owned()),
                ..search()
            },
            |_| false,
        ),
        (
            Search {
                reference: Some("nobody's".to_owned()),
                ..search()
            },
            |_| false,
        ),
        (
            Search {
                tenant: tenant(9),
                ..search()
            },
            |_| false,
        ),
    ];
    for (wanted, rule) in cases {
        assert_eq!(
            place.store.search(&wanted).await.unwrap(),
            newest_first(&rows, rule),
            "{wanted:?}"
        );
    }
}

pub(crate) async fn lists_page_newest_first_without_gaps(place: &mut Place) {
    let rows = filled(place).await;
    for start in [
        search(),
        Search {
            status: Some("captured".to_owned()),
            ..search()
        },
        Search {
            metadata: vec![("shop".to_owned(), "even".to_owned())],
            ..search()
        },
    ] {
        let whole = place.store.search(&start).await.unwrap();
        let mut paged = Vec::new();
        loop {
            let page = Search {
                after: paged.last().copied(),
                limit: 3,
                ..start.clone()
            };
            let page = place.store.search(&page).await.unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, whole);
        assert!(whole.len() > 10 && whole.len() <= rows.len());
    }
    let strange = Search {
        after: Some(order_id(43)),
        ..search()
    };
    assert_eq!(
        place.store.search(&strange).await.unwrap(),
        [],
        "another tenant's order is no place in this list"
    );
}

pub(crate) async fn a_reference_is_found_before_any_reader_saw_the_order(place: &mut Place) {
    place.store.commit(&making([order(1)])).await.unwrap();
    let wanted = Search {
        reference: Some("A-1".to_owned()),
        ..search()
    };
    assert_eq!(place.store.search(&wanted).await.unwrap(), [order_id(1)]);
    assert_eq!(place.store.search(&search()).await.unwrap(), []);
}

pub(crate) async fn no_list_shows_another_tenant(place: &mut Place) {
    let rows = filled(place).await;
    for whose in [tenant(1), live(1), tenant(2)] {
        for wanted in [
            search(),
            Search {
                status: Some("captured".to_owned()),
                ..search()
            },
            Search {
                customer: Some("cus_4".to_owned()),
                ..search()
            },
            Search {
                attention: true,
                ..search()
            },
            Search {
                metadata: vec![("table".to_owned(), "1".to_owned())],
                ..search()
            },
            Search {
                reference: Some("A-42".to_owned()),
                ..search()
            },
            Search {
                from: Some(at(0)),
                ..search()
            },
        ] {
            for id in place
                .store
                .search(&Search {
                    tenant: whose,
                    ..wanted
                })
                .await
                .unwrap()
            {
                let row = rows.iter().find(|row| row.order == id).unwrap();
                assert_eq!(row.tenant, whose);
            }
        }
    }
}
