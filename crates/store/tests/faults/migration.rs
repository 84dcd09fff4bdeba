//! A migration that is killed at any step leaves the level before it, and the next start finishes it.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;

use florin_store::Store;
use florin_store::postgres::{PostgresStore, Settings};

use crate::child::{check, command, run};
use crate::support::cluster::{connect, shared};
use crate::support::folder::Folder;
use crate::{Dice, count, seed};

/// Steps at which it is killed.
const KILLS: usize = 14;

#[test]
fn fault_57_a_migration_of_sqlite_is_killed_at_each_step() {
    let steps = 60;
    let mut dice = Dice(seed());
    let cases = count(KILLS, steps);
    let chosen: BTreeSet<usize> = (0..cases)
        .map(|case| if cases == steps { case } else { dice.below(steps) })
        .collect();
    let mut killed = 0;
    for step in chosen {
        let folder = Folder::new();
        let inject = format!(
            "inject=pwrite64,fsync,fdatasync,unlink,ftruncate:signal=KILL:when={}",
            step + 1
        );
        let output = run(command(
            &[
                "strace",
                "-f",
                "-qq",
                "-e",
                "signal=none",
                "-e",
                "trace=pwrite64,fsync,fdatasync,unlink,ftruncate",
                "-e",
                &inject,
                "-o",
                "/dev/null",
            ],
            &folder.0,
            0,
        ));
        killed += usize::from(output.status.signal().is_some() || !output.status.success());
        // Whatever was there, the next start brings it up to date.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = crate::child::open(&folder.0).unwrap();
            let level = store.migrate().await.unwrap();
            assert_eq!(store.level().await, Ok(level));
        });
        check(&folder.0, 0, &format!("started again after a kill at step {step}"));
    }
    assert!(killed >= KILLS / 3, "too few runs were killed: {killed}");
}

/// The server ends the session that migrates, at moments spread over the time it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_57_a_migration_of_postgresql_is_killed_at_each_step() {
    let mut interrupted = 0;
    let cases = count(KILLS, 60);
    for case in 0..cases {
        let url = shared().database().await;
        let store = PostgresStore::open(&Settings::at(&url)).await.unwrap();
        let killer = connect(&url).await;
        let kill = async {
            tokio::time::sleep(std::time::Duration::from_micros(1_500 * case as u64)).await;
            let sql = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
            killer.execute(sql, &[]).await.unwrap();
        };
        let (migrated, ()) = tokio::join!(store.migrate(), kill);
        interrupted += usize::from(migrated.is_err());
        let left = killer
            .query_one("select count(*) from pg_tables where schemaname = 'public'", &[])
            .await
            .unwrap();
        let tables: i64 = left.get(0);
        assert!(tables <= 1 || tables > 10, "half a level is there: {tables} tables");

        let store = PostgresStore::open(&Settings::at(&url)).await.unwrap();
        let level = store.migrate().await.unwrap();
        assert_eq!(store.level().await, Ok(level));
    }
    assert!(interrupted >= 1, "no run was interrupted");
}
