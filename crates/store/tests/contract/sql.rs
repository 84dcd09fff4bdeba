//! What only databases on disk have: a schema with a history, backups, rights on files.

use florin_store::sqlite::{Settings, SqliteStore};
use florin_store::{Batch, Cursor, DeliverySearch, Fault, Fold, ListRecords, OrderRow, Outcome, Search, Store};

use super::fold::fold;
use crate::place::Place;
use crate::rows::*;
use crate::support::folder::Folder;

pub(crate) async fn a_database_from_the_future_is_served(place: &mut Place) {
    let level = place.store.level().await.unwrap();
    place.run("insert into schema_levels (level, name, checksum, applied_at) select 999, 'later', 'x', applied_at from schema_levels limit 1").await;
    assert_eq!(place.store.migrate().await, Ok(999));
    assert_eq!(place.store.commit(&making([order(1)])).await, Ok(Outcome::Done));
    assert!(level < 999);
}

pub(crate) async fn a_history_that_is_not_ours_is_refused(place: &mut Place) {
    place.run("update schema_levels set checksum = 'edited'").await;
    let refused = place.store.migrate().await;
    assert!(
        matches!(&refused, Err(Fault::Refused(why)) if why.contains("level 1")),
        "{refused:?}"
    );
}

/// A copy taken while somebody writes is the database as of one moment: it opens, and it knows what is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_sqlite_opens_and_holds_what_was_there() {
    let folder = Folder::new();
    let settings = |name: &str| Settings {
        names_in_memory: 50,
        ..Settings::at(folder.0.join(name))
    };
    let store = SqliteStore::open(&settings("florin.db")).unwrap();
    store.migrate().await.unwrap();
    store
        .commit(&Batch {
            keys: vec![key_row("later")],
            notices: vec![notice(1)],
            ..making((1..=200).map(order))
        })
        .await
        .unwrap();
    store.commit(&moving((1..=100).map(order))).await.unwrap();
    store.put(&[record(1), record(2)], &[]).await.unwrap();
    store.write_deliveries(&[delivery(1)]).await.unwrap();
    let listings = (1..=200).map(listing).collect();
    store
        .fold(Fold {
            listings,
            ..fold("lists", 0, 1)
        })
        .await
        .unwrap();

    let to = folder.0.join("copy.db");
    let writing = async {
        for round in 0..20 {
            store
                .commit(&making((1_000 + round * 10..1_010 + round * 10).map(order)))
                .await
                .unwrap();
        }
    };
    let (copied, ()) = tokio::join!(store.backup(&to), writing);
    copied.unwrap();
    assert!(
        matches!(store.backup(&to).await, Err(Fault::Refused(_))),
        "a backup never goes over another"
    );

    let copy = SqliteStore::open(&settings("copy.db")).unwrap();
    let orders = copy.orders_after(None, 10_000).await.unwrap();
    assert_eq!(orders[..200], store.orders_after(None, 200).await.unwrap()[..]);
    assert_eq!(orders.len() % 10, 0, "whole commits");
    assert_eq!(
        copy.events_after(Cursor::START, 300).await.unwrap(),
        store.events_after(Cursor::START, 300).await.unwrap()
    );
    assert_eq!(
        copy.search(&search()).await.unwrap(),
        store.search(&search()).await.unwrap()
    );
    assert_eq!(copy.inbox(10).await.unwrap(), [notice(1)]);
    let list = ListRecords::of("customer", None, 10);
    assert_eq!(copy.list(&list).await.unwrap(), [record(2), record(1)]);
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
    assert_eq!(copy.deliveries(&all).await.unwrap(), [delivery(1)]);
    let named = Search {
        reference: Some("A-7".to_owned()),
        ..search()
    };
    assert_eq!(copy.search(&named).await.unwrap(), [order_id(7)]);
    for taken in [
        OrderRow {
            id: order_id(9_000),
            ..order(3)
        },
        OrderRow {
            key: order(150).key,
            ..order(9_001)
        },
    ] {
        assert_eq!(copy.commit(&making([taken])).await, Ok(Outcome::Conflict));
    }
    assert_eq!(
        copy.commit(&Batch {
            keys: vec![key_row("later")],
            ..Batch::default()
        })
        .await,
        Ok(Outcome::Conflict)
    );
    assert_eq!(copy.commit(&moving([order(150)])).await, Ok(Outcome::Done));
}

pub(crate) async fn other_databases_name_their_own_tools_for_backups(place: &mut Place) {
    let refused = place.store.backup(std::path::Path::new("/tmp/never-written")).await;
    assert!(matches!(refused, Err(Fault::Refused(_))), "{refused:?}");
}

/// Orders hold names and addresses: nobody else on the machine reads them.
#[cfg(unix)]
#[tokio::test]
async fn the_files_of_sqlite_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.0.join("florin.db");
    let store = SqliteStore::open(&Settings::at(&path)).unwrap();
    store.migrate().await.unwrap();
    store.backup(&folder.0.join("copy.db")).await.unwrap();
    for name in ["florin.db", "florin.db-wal", "copy.db"] {
        let mode = std::fs::metadata(folder.0.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// What was committed is copied into the database file while more is written, and the log starts over before it grows long.
#[tokio::test]
async fn the_log_of_sqlite_stays_short_under_steady_writing() {
    const PAGES: u32 = 20;
    /// Pages of a log that is still being copied, and of the commit that finds it too long.
    const PAGES_MAX: u64 = 8 * 20 + 100;
    const PAGE_BYTES: u64 = 4_096 + 24;
    let folder = Folder::new();
    let path = folder.0.join("florin.db");
    let settings = Settings {
        checkpoint_pages: PAGES,
        ..Settings::at(&path)
    };
    let store = SqliteStore::open(&settings).unwrap();
    store.migrate().await.unwrap();
    let bytes = |name: &str| std::fs::metadata(folder.0.join(name)).unwrap().len();
    for number in 1..=400 {
        assert_eq!(store.commit(&making([order(number)])).await, Ok(Outcome::Done));
        assert!(bytes("florin.db-wal") <= PAGES_MAX * PAGE_BYTES, "after {number}");
    }
    assert!(bytes("florin.db") > 400 * 500, "the orders are in the file itself");
    // Somebody who reads an older state keeps the log from starting over, and nothing else.
    let reading = rusqlite::Connection::open(&path).unwrap();
    reading.execute_batch("begin; select count(*) from orders").unwrap();
    for number in 401..=500 {
        assert_eq!(store.commit(&making([order(number)])).await, Ok(Outcome::Done));
    }
    let held = bytes("florin.db-wal");
    drop(reading);
    for number in 501..=900 {
        assert_eq!(store.commit(&making([order(number)])).await, Ok(Outcome::Done));
    }
    assert!(
        bytes("florin.db-wal") <= held + PAGES_MAX * PAGE_BYTES,
        "it starts over when nobody reads what is old"
    );
    drop(store);
    assert!(!path.with_extension("db-wal").exists(), "nothing is left of it");
}

/// Somebody who reads an old state keeps the log from starting over for as long as that takes, and not for much longer.
#[tokio::test]
async fn the_log_of_sqlite_starts_over_soon_after_a_long_look_at_it() {
    let folder = Folder::new();
    let path = folder.0.join("florin.db");
    let settings = Settings {
        checkpoint_pages: 400,
        ..Settings::at(&path)
    };
    let store = SqliteStore::open(&settings).unwrap();
    store.migrate().await.unwrap();
    // A number that changes when the log starts over (SQLite's file format, 4.1).
    let salt = || {
        std::fs::read(folder.0.join("florin.db-wal"))
            .unwrap()
            .get(16..24)
            .map(<[u8]>::to_vec)
    };
    assert_eq!(store.commit(&making([order(1)])).await, Ok(Outcome::Done));
    let reading = rusqlite::Connection::open(&path).unwrap();
    reading.execute_batch("begin; select count(*) from orders").unwrap();
    let before = salt();
    for number in 2..=150 {
        assert_eq!(store.commit(&making([order(number)])).await, Ok(Outcome::Done));
    }
    assert_eq!(salt(), before, "what is read is not written over");
    drop(reading);
    // Some five pages each: far less than the 400 of which a log is long. Then what they write is the same, and the disk has its time.
    for number in 151..=190 {
        assert_eq!(store.commit(&making([order(number)])).await, Ok(Outcome::Done));
        if salt() != before {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the log has not started over");
}

/// A server asks each second what is due. That writes nothing, and keeps nothing from coming to rest.
#[tokio::test]
async fn the_log_of_sqlite_is_emptied_when_nobody_writes_although_somebody_looks() {
    let folder = Folder::new();
    let path = folder.0.join("florin.db");
    let store = SqliteStore::open(&Settings::at(&path)).unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.commit(&making([order(1)])).await, Ok(Outcome::Done));
    let bytes = || std::fs::metadata(folder.0.join("florin.db-wal")).unwrap().len();
    assert!(bytes() > 0);
    // Somebody who reads at the moment of rest puts it off, and not for good.
    let reading = rusqlite::Connection::open(&path).unwrap();
    reading.execute_batch("begin; select count(*) from orders").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    drop(reading);
    for _ in 0..100 {
        if bytes() == 0 {
            return;
        }
        store.claim(&claim(1)).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("the log is as long as it was");
}
