//! Small documents.

use florin_store::{KeyRow, ListRecords, Name, Outcome, Record, Wanted, Which};

use crate::place::Place;
use crate::rows::*;

fn by_id(number: u32) -> Which {
    Which {
        kind: "customer".to_owned(),
        tenant: Some(tenant(1)),
        name: Name::Id(record(number).id),
    }
}

fn listed() -> ListRecords {
    ListRecords::of("customer", Some(tenant(1)), 100)
}

async fn put(place: &Place, records: impl AsRef<[Record]>, keys: &[KeyRow]) -> Outcome {
    place.store.put(records.as_ref(), keys).await.unwrap()
}

pub(crate) async fn a_document_comes_back_by_id_and_alias(place: &mut Place) {
    let whole = Record {
        parent: Some("mer_1".to_owned()),
        body: "{\"name\":\"Ünal\"}".to_owned(),
        ..record(1)
    };
    let ours = Record {
        kind: "merchant".to_owned(),
        tenant: None,
        alias: None,
        ..record(2)
    };
    assert_eq!(put(place, &[whole.clone(), ours.clone()], &[]).await, Outcome::Done);
    assert_eq!(place.store.get(&by_id(1)).await.unwrap(), Some(whole.clone()));
    let by_alias = Which {
        name: Name::Alias("alias-1".to_owned()),
        tenant: None,
        ..by_id(1)
    };
    assert_eq!(place.store.get(&by_alias).await.unwrap(), Some(whole));
    // A byte that no text of PostgreSQL has.
    for name in [Name::Id("cus_0001\0".to_owned()), Name::Alias("\0".to_owned())] {
        let odd = Which { name, ..by_id(1) };
        assert_eq!(place.store.get(&odd).await, Ok(None));
    }
    let merchant = Which {
        kind: "merchant".to_owned(),
        tenant: None,
        name: Name::Id(ours.id.clone()),
    };
    assert_eq!(place.store.get(&merchant).await.unwrap(), Some(ours));
    assert_eq!(place.store.get(&by_id(2)).await.unwrap(), None);
}

pub(crate) async fn a_document_moves_one_version_at_a_time(place: &mut Place) {
    assert_eq!(
        put(
            place,
            &[Record {
                version: 2,
                ..record(1)
            }],
            &[]
        )
        .await,
        Outcome::Conflict
    );
    assert_eq!(put(place, &[record(1)], &[]).await, Outcome::Done);
    assert_eq!(put(place, &[record(1)], &[]).await, Outcome::Conflict);
    let second = Record {
        version: 2,
        body: "[2]".to_owned(),
        alias: None,
        parent: Some("p".to_owned()),
        ..record(1)
    };
    assert_eq!(put(place, [second.clone()], &[]).await, Outcome::Done);
    assert_eq!(put(place, [second.clone()], &[]).await, Outcome::Conflict);
    assert_eq!(
        put(
            place,
            &[Record {
                version: 4,
                ..second.clone()
            }],
            &[]
        )
        .await,
        Outcome::Conflict
    );
    let stolen = Record {
        version: 3,
        tenant: Some(tenant(2)),
        ..second.clone()
    };
    assert_eq!(put(place, &[stolen], &[]).await, Outcome::Conflict);
    assert_eq!(place.store.get(&by_id(1)).await.unwrap(), Some(second));
}

pub(crate) async fn an_alias_is_taken_once_within_its_kind(place: &mut Place) {
    assert_eq!(put(place, &[record(1)], &[]).await, Outcome::Done);
    let same = Record {
        alias: record(1).alias,
        ..record(2)
    };
    assert_eq!(put(place, [same.clone()], &[]).await, Outcome::Conflict);
    assert_eq!(
        put(
            place,
            &[Record {
                tenant: Some(tenant(2)),
                ..same.clone()
            }],
            &[]
        )
        .await,
        Outcome::Conflict
    );
    assert_eq!(
        put(
            place,
            &[Record {
                kind: "key".to_owned(),
                ..same.clone()
            }],
            &[]
        )
        .await,
        Outcome::Done
    );
    // Given up, it is free again.
    assert_eq!(
        put(
            place,
            &[Record {
                version: 2,
                alias: None,
                ..record(1)
            }],
            &[]
        )
        .await,
        Outcome::Done
    );
    assert_eq!(put(place, std::slice::from_ref(&same), &[]).await, Outcome::Done);
    // It passes from one to another in one write.
    let without = Record {
        version: 2,
        alias: None,
        ..same
    };
    let with = Record {
        version: 3,
        ..record(1)
    };
    assert_eq!(put(place, &[without, with], &[]).await, Outcome::Done);
}

pub(crate) async fn documents_and_keys_are_written_together_or_not_at_all(place: &mut Place) {
    assert_eq!(put(place, &[record(1)], &[key_row("a")]).await, Outcome::Done);
    assert_eq!(put(place, &[record(2)], &[key_row("a")]).await, Outcome::Conflict);
    assert_eq!(
        put(place, &[record(3), record(1)], &[key_row("b")]).await,
        Outcome::Conflict
    );
    assert_eq!(place.store.get(&by_id(2)).await.unwrap(), None);
    assert_eq!(place.store.get(&by_id(3)).await.unwrap(), None);
    let wanted = Wanted {
        keys: vec![(tenant(1), "a".to_owned()), (tenant(1), "b".to_owned())],
        ..Wanted::default()
    };
    assert_eq!(place.store.load(&wanted).await.unwrap().keys, [key_row("a")]);
}

pub(crate) async fn documents_are_listed_newest_first_without_removed_ones(place: &mut Place) {
    let rows: Vec<Record> = (1..=9)
        .map(|number| Record {
            parent: Some(format!("p{}", number % 2)),
            ..record(number)
        })
        .collect();
    put(place, &rows, &[]).await;
    put(
        place,
        &[
            Record {
                tenant: Some(live(1)),
                ..record(20)
            },
            Record {
                kind: "key".to_owned(),
                ..record(21)
            },
        ],
        &[],
    )
    .await;
    put(
        place,
        &[Record {
            version: 2,
            removed: true,
            ..rows[4].clone()
        }],
        &[],
    )
    .await;

    let ids = async |list: ListRecords| {
        let rows = place.store.list(&list).await.unwrap();
        rows.into_iter()
            .map(|row| row.id[4..].parse::<u32>().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(listed()).await, [9, 8, 7, 6, 4, 3, 2, 1]);
    assert_eq!(ids(ListRecords { limit: 3, ..listed() }).await, [9, 8, 7]);
    assert_eq!(
        ids(ListRecords {
            after: Some("cus_0007".to_owned()),
            limit: 3,
            ..listed()
        })
        .await,
        [6, 4, 3]
    );
    assert_eq!(
        ids(ListRecords {
            parent: Some("p1".to_owned()),
            ..listed()
        })
        .await,
        [9, 7, 3, 1]
    );
    assert_eq!(
        ids(ListRecords {
            tenant: None,
            ..listed()
        })
        .await,
        [20, 9, 8, 7, 6, 4, 3, 2, 1]
    );
    assert_eq!(
        ids(ListRecords {
            after: Some("cus_0020".to_owned()),
            ..listed()
        })
        .await,
        Vec::<u32>::new()
    );
    assert_eq!(
        ids(ListRecords {
            from: Some(at(3)),
            to: Some(at(7)),
            ..listed()
        })
        .await,
        [6, 4, 3]
    );
    // Removed is not forgotten.
    assert!(place.store.get(&by_id(5)).await.unwrap().unwrap().removed);
}

pub(crate) async fn a_list_leaves_out_bodies_without_the_wanted_text(place: &mut Place) {
    let body = |email: &str, active: bool| serde_json::json!({ "active": active, "email": email }).to_string();
    let rows: Vec<Record> = [
        ("Ünal@x.org", true),
        ("a\"b%_\\@x.org", true),
        ("ünal@x.org", true),
        ("Ünal@x.org", false),
        ("un", true),
    ]
    .into_iter()
    .zip(1..)
    .map(|((email, active), number)| Record {
        alias: None,
        body: body(email, active),
        ..record(number)
    })
    .collect();
    put(place, &rows, &[]).await;
    let is = |email: &str| format!("\"email\":{}", serde_json::json!(email));
    let ids = async |containing: Vec<Vec<String>>, limit: u32| {
        let list = ListRecords {
            containing,
            limit,
            ..listed()
        };
        let rows = place.store.list(&list).await.unwrap();
        let number = |row: Record| row.id[4..].parse::<u32>().unwrap();
        rows.into_iter().map(number).collect::<Vec<_>>()
    };
    assert_eq!(ids(vec![vec![is("Ünal@x.org")]], 100).await, [4, 1]);
    assert_eq!(
        ids(vec![vec![is("Ünal@x.org")]], 1).await,
        [4],
        "the limit is of what is left"
    );
    assert_eq!(ids(vec![vec![is("a\"b%_\\@x.org")]], 100).await, [2]);
    assert_eq!(ids(vec![vec![is("un"), is("ünal@x.org")]], 100).await, [5, 3]);
    let active = vec![vec![is("Ünal@x.org"), is("un")], vec!["\"active\":true".to_owned()]];
    assert_eq!(ids(active, 100).await, [5, 1]);
    assert_eq!(ids(vec![vec![is("U")]], 100).await, Vec::<u32>::new());
}

pub(crate) async fn a_document_of_another_tenant_does_not_exist(place: &mut Place) {
    put(place, &[record(1)], &[]).await;
    for other in [live(1), tenant(2)] {
        for name in [Name::Id(record(1).id), Name::Alias("alias-1".to_owned())] {
            assert_eq!(
                place
                    .store
                    .get(&Which {
                        tenant: Some(other),
                        name,
                        ..by_id(1)
                    })
                    .await
                    .unwrap(),
                None
            );
        }
        assert_eq!(
            place
                .store
                .list(&ListRecords {
                    tenant: Some(other),
                    ..listed()
                })
                .await
                .unwrap(),
            []
        );
    }
}
