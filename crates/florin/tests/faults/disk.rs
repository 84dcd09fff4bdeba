//! The disk fails, fills up, and is slow, under the whole program.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::cluster::is_root;
use crate::http;
use crate::node::program;
use crate::till::{CONVERGES, Load, Manner, sale};
use crate::world::{Differs, Folder, Place, World};
use crate::{Dice, count, seed};

/// The program under an injection into its flushes.
fn flushes(inject: &str) -> Vec<String> {
    // Without --seccomp-bpf, under which strace forgets to count to `when`.
    let inject = format!("inject=fsync,fdatasync:{inject}");
    let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none"];
    let traced = ["-e", "trace=fsync,fdatasync", "-e", &inject];
    words.into_iter().chain(traced).map(str::to_owned).collect()
}

/// Flushes that fail, one a run.
const FAILURES_SOME: usize = 2;
const FAILURES_FULL: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_08_after_a_failed_flush_the_server_acknowledges_nothing_and_a_new_one_finds_all() {
    let (world, mut node) = World::new(Place::Sqlite).await;
    let mut dice = Dice(seed());
    for run in 0..count(FAILURES_SOME, FAILURES_FULL) {
        node.stop().await;
        let failing = Differs {
            wrapper: flushes(&format!("error=EIO:when={}", 4 + dice.below(20))),
            ..Differs::default()
        };
        let broken = world.start(failing).await;
        let load = Load::start(&world.till, &format!("eio-{run}"), 4);
        let deadline = Instant::now() + CONVERGES;
        while http::ask(&broken.admin, "GET", "/readyz", &[], b"").await.status() != Some(503) {
            assert!(Instant::now() < deadline, "no flush ever failed: {}", broken.log_end());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        load.stop().await;
        for number in 0..3 {
            let key = format!("after-{run}-{number}");
            let told = world.till.post(&key, "/v1/orders", &sale(&key, 1000)).await.said();
            assert_eq!(told.status, 503, "acknowledged after a failed flush: {told:?}");
        }
        assert_eq!(world.till.get("/v1/orders").await.status(), Some(200), "reads answer");
        broken.kill().await;
        node = world.start(Differs::default()).await;
    }
    world.check(node).await;
}

/// Set in the process that runs in a name space with a small disk of its own.
const SPACE: &str = "FLORIN_TEST_SPACE";
/// What the disk holds besides this while it fills up.
const BALLAST_BYTES: usize = 18 << 20;

#[test]
fn fault_09_on_a_full_disk_payments_are_refused_reads_answer_and_everything_goes_on_when_there_is_space() {
    if std::env::var_os(SPACE).is_some() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(fill());
    }
    let folder = Folder::new();
    let me = std::env::current_exe().unwrap();
    // The mount lives in a name space of its own and goes with the process.
    let script = format!(
        "mount -t tmpfs -o size=24m tmpfs '{}' && exec '{}' --exact --nocapture \
         disk::fault_09_on_a_full_disk_payments_are_refused_reads_answer_and_everything_goes_on_when_there_is_space",
        folder.0.display(),
        me.display()
    );
    let alone = |how: &[&str]| {
        let mut command = Command::new("unshare");
        command.arg("--mount").args(how);
        if !is_root() {
            command.arg("--map-root-user");
        }
        command.args(["sh", "-c", &script]);
        command.env(SPACE, "1").env("TMPDIR", &folder.0).output().unwrap()
    };
    let mut output = alone(&[]);
    if String::from_utf8_lossy(&output.stderr).contains("root filesystem propagation") {
        // The root is no mount of its own (chroot). Then ours may be seen outside, and is taken away there; else there is nothing to do.
        output = alone(&["--propagation", "unchanged"]);
        let _ = Command::new("umount").arg(&folder.0).stderr(Stdio::null()).status();
    }
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if said.starts_with("unshare:") {
        eprintln!("skipped: a disk of a fixed size needs a mount, and none may be made here: {said}");
        return;
    }
    assert!(
        output.status.success() && said.contains("filled and recovered"),
        "{said}"
    );
}

async fn fill() {
    let (world, node) = World::new(Place::Sqlite).await;
    let ballast = world.folder.0.join("ballast");
    std::fs::write(&ballast, vec![0; BALLAST_BYTES]).unwrap();
    let mut sold = 0;
    let full = loop {
        let key = format!("sale-{sold}");
        let told = world.till.post(&key, "/v1/orders", &sale(&key, 1000)).await.said();
        match told.status {
            201 => sold += 1,
            202 => {}
            _ => break told,
        }
        assert!(sold < 20_000, "the disk holds less than this");
    };
    assert_eq!((full.status, full.text("code")), (507, "disk_full"), "{full:?}");
    for number in 0..10 {
        let key = format!("full-{number}");
        let told = world.till.post(&key, "/v1/orders", &sale(&key, 1000)).await.said();
        assert!(matches!(told.status, 201 | 202 | 507), "{told:?}");
        assert_eq!(
            world.till.get("/v1/orders?limit=5").await.status(),
            Some(200),
            "reads answer"
        );
    }
    std::fs::remove_file(&ballast).unwrap();
    let load = Load::start(&world.till, "after", 4);
    load.goes_on(20).await;
    load.stop().await;
    world.check(node).await;
    eprintln!("filled and recovered after {sold} sales");
}

/// Callers that may wait, and those that come.
const PLACES_OF_CALLERS: usize = 16;
const CALLERS: usize = 48;
/// How much slower every flush is.
const SLOW_MS_SOME: usize = 100;
const SLOW_MS_FULL: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_10_on_a_slow_disk_callers_beyond_the_queue_are_told_to_come_back() {
    let (world, node) = World::new(Place::Sqlite).await;
    node.stop().await;
    let slow = Differs {
        wrapper: flushes(&format!("delay_enter={}", 1_000 * count(SLOW_MS_SOME, SLOW_MS_FULL))),
        env: vec![("FLORIN_LIMITS_QUEUE", PLACES_OF_CALLERS.to_string())],
        ..Differs::default()
    };
    let node = world.start(slow).await;
    let manner = Manner {
        only_sales: true,
        pause: Duration::from_millis(100),
    };
    let load = Load::start_with(&world.till, "slow", CALLERS, manner);
    load.goes_on(PLACES_OF_CALLERS).await;
    let (resident, _) = node.memory_kib();
    load.goes_on(2 * CALLERS).await;
    let (_, highest) = node.memory_kib();
    load.stop().await;
    let answers: Vec<_> = world.till.calls().into_values().flat_map(|call| call.answers).collect();
    let shed = answers.iter().filter(|said| said.status == 429);
    let told_when = shed.clone().filter(|said| said.retry_after_s().is_some()).count();
    assert!(told_when > 0 && told_when == shed.count(), "429 says when to come back");
    let odd: Vec<_> = answers
        .iter()
        .filter(|said| !matches!(said.status, 201 | 202 | 429 | 503))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert!(highest <= 2 * resident, "{resident} KiB became {highest} KiB");
    node.stop().await;
    let node = world.start(Differs::default()).await;
    world.check(node).await;
}

/// Writes at which a migration is killed.
const KILLED_AT: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];
const KILLED_AT_FULL: u32 = 400;

/// Brings the tables of a folder up to date.
async fn migrate(folder: &Path, wrapper: &[String]) -> std::process::Output {
    let data = folder.display().to_string();
    program(wrapper, &["migrate", "--json", "--data", &data])
        .output()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_57_a_migration_that_is_killed_anywhere_is_finished_by_the_next() {
    let writes: Vec<u32> = match count(0, 1) {
        0 => KILLED_AT.to_vec(),
        _ => (1..=KILLED_AT_FULL).collect(),
    };
    let mut killed = 0;
    for write in writes {
        let folder = Folder::new();
        let inject = format!("inject=pwrite64:signal=KILL:when={write}");
        let words = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=pwrite64",
            "-e",
            &inject,
        ];
        let wrapper: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let first = migrate(&folder.0, &wrapper).await;
        killed += usize::from(!first.status.success());
        let second = migrate(&folder.0, &[]).await;
        assert!(second.status.success(), "killed at write {write}: {second:?}");
        let said: serde_json::Value = serde_json::from_slice(&second.stdout).unwrap();
        let third = migrate(&folder.0, &[]).await;
        let again: serde_json::Value = serde_json::from_slice(&third.stdout).unwrap();
        assert_eq!(
            again,
            json!({"before": said["after"], "after": said["after"]}),
            "killed at write {write}"
        );
        let plain = rusqlite::Connection::open(folder.0.join("florin.db")).unwrap();
        let found: String = plain.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(found, "ok", "killed at write {write}");
    }
    assert!(killed >= 3, "too few migrations were killed: {killed}");
}
