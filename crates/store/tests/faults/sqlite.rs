//! Power, flushes and space under SQLite.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use florin_store::{Fault, Outcome, Store};

use crate::child::{self, check, command, notes, run};
use crate::rows::{making, order};
use crate::support::cluster::is_root;
use crate::support::folder::Folder;
use crate::trace::{Call, Disk, read, wrapper};
use crate::{Dice, count, seed};

/// Rounds of the traced run: enough for several checkpoints and a WAL that starts over.
const ROUNDS: u32 = 30;
/// Moments at which the power is cut. A full run cuts after every call.
const CUTS: usize = 120;

/// The power goes after any call, and of what was not flushed any part arrived.
#[test]
fn fault_07_a_power_cut_leaves_every_acknowledged_order_whole() {
    let folder = Folder::new();
    let trace = folder.0.join("trace");
    let words = wrapper(&trace);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = run(command(&words, &folder.0, ROUNDS));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let calls = read(&std::fs::read_to_string(&trace).unwrap(), &folder.0);
    let flushes = |part: &str| {
        calls
            .iter()
            .filter(|call| matches!(call, Call::Flushed { file, .. } if file.ends_with(part)))
            .count()
    };
    assert!(flushes("-wal") >= ROUNDS as usize, "every commit is flushed");
    assert!(flushes(".db") >= 3, "the trace holds checkpoints");
    assert_eq!(
        calls
            .iter()
            .filter(|call| matches!(call, Call::Noted(note) if note.starts_with("ack")))
            .count(),
        ROUNDS as usize
    );

    let mut dice = Dice(seed());
    let cuts = count(CUTS, calls.len());
    let chosen: BTreeSet<usize> = if cuts == calls.len() {
        (0..cuts).collect()
    } else {
        (0..cuts).map(|_| dice.below(calls.len())).collect()
    };
    let mut disk = Disk::default();
    let mut acknowledged = 0;
    for (number, call) in calls.iter().enumerate() {
        disk.does(call);
        if matches!(call, Call::Noted(note) if note.starts_with("ack")) {
            acknowledged += 1;
        }
        if chosen.contains(&number) {
            cut(&disk, acknowledged, number, &mut dice);
        }
    }
    assert_eq!(acknowledged, ROUNDS);
}

/// All that was written arrived; none of it; some of it; the last write tore.
fn cut(disk: &Disk, acknowledged: u32, number: usize, dice: &mut Dice) {
    let all: BTreeSet<usize> = (0..disk.waiting()).collect();
    let some: BTreeSet<usize> = all.iter().copied().filter(|_| dice.below(2) == 0).collect();
    let torn = 512 * dice.below(8) + dice.below(512);
    let mut cases = vec![("all", all.clone(), None)];
    if disk.waiting() > 0 {
        cases.extend([
            ("none", BTreeSet::new(), None),
            ("some", some, None),
            ("torn", all, Some(torn)),
        ]);
    }
    for (name, arrived, torn) in cases {
        let folder = Folder::new();
        disk.leave(&folder.0, &arrived, torn);
        check(
            &folder.0,
            acknowledged,
            &format!("power cut after call {number}, {name} {torn:?} of {arrived:?}"),
        );
    }
}

/// Flushes of a run that are failed, one a run. A full run fails each.
const FAILURES: usize = 12;

/// One flush fails. Nothing is acknowledged after it, reads still answer, and a restart finds all that was.
#[test]
fn fault_08_after_a_failed_flush_nothing_is_acknowledged() {
    const RUN: u32 = 24;
    let flushes = 48;
    let mut dice = Dice(seed());
    let chosen: BTreeSet<usize> = if count(FAILURES, flushes) == flushes {
        (1..=flushes).collect()
    } else {
        (0..FAILURES).map(|_| 1 + dice.below(flushes)).collect()
    };
    let mut met = 0;
    for number in chosen {
        let folder = Folder::new();
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={number}");
        let output = run(command(
            &[
                "strace",
                "-f",
                "-qq",
                "-e",
                "signal=none",
                "-e",
                "trace=fsync,fdatasync",
                "-e",
                &inject,
                "-o",
                "/dev/null",
            ],
            &folder.0,
            RUN,
        ));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let notes = notes(&folder.0);
        let acknowledged = notes.iter().filter(|note| note.starts_with("ack")).count();
        let first_refusal = notes.iter().position(|note| note.contains("Broken"));
        if let Some(first) = first_refusal {
            met += 1;
            let after: Vec<_> = notes[first..].iter().filter(|note| note.starts_with("ack")).collect();
            assert!(after.is_empty(), "flush {number} failed, and then {after:?}");
            if !notes[first].starts_with("open") && !notes[first].starts_with("migrate") {
                let read = notes.last().unwrap();
                assert!(
                    read.starts_with("read Ok"),
                    "flush {number} failed, and reads with it: {read}"
                );
            }
        } else {
            assert_eq!(acknowledged, RUN as usize, "flush {number}: {notes:?}");
        }
        check(
            &folder.0,
            u32::try_from(acknowledged).unwrap(),
            &format!("flush {number} failed"),
        );
    }
    assert!(met >= FAILURES / 2, "too few runs met their fault: {met}");
}

/// What has been committed cannot be copied from the log into the database. That happens beside the commits, and ends them all the same.
#[test]
fn fault_08_after_a_failed_copy_of_the_log_nothing_is_acknowledged() {
    const RUN: u32 = 60;
    let folder = Folder::new();
    let database = child::database(&folder.0);
    let words = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "signal=none",
        "-P",
        database.to_str().unwrap(),
        "-e",
        "trace=pwrite64",
        // After the first pages, which are written when there is no log yet.
        "-e",
        "inject=pwrite64:error=EIO:when=5+",
        "-o",
        "/dev/null",
    ];
    let output = run(command(&words, &folder.0, RUN));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let notes = notes(&folder.0);
    let first = notes.iter().position(|note| note.contains("Broken"));
    let first = first.expect("a copy failed, and it was said");
    assert!(first > 0 && notes[first].starts_with("refused"), "{notes:?}");
    let after: Vec<_> = notes[first..].iter().filter(|note| note.starts_with("ack")).collect();
    assert!(after.is_empty(), "{after:?}");
    let read = notes.last().unwrap();
    assert!(read.starts_with("read Ok"), "{read}");
    let acknowledged = notes.iter().filter(|note| note.starts_with("ack")).count();
    check(&folder.0, u32::try_from(acknowledged).unwrap(), "a copy failed");
}

const SPACE: &str = "FLORIN_TEST_SPACE";

/// The disk fills up: writes are refused and say so, reads answer, and when there is space again everything goes on.
#[test]
fn fault_09_a_full_disk_refuses_writes_and_loses_nothing() {
    if let Some(folder) = std::env::var_os(SPACE) {
        return fill(std::path::Path::new(&folder));
    }
    if !is_root() {
        eprintln!("skipped: a disk of a fixed size needs a mount, and a mount needs root");
        return;
    }
    let folder = Folder::new();
    let me = std::env::current_exe().unwrap();
    // The mount lives in a name space of its own and goes with the process.
    let script = format!(
        "mount -t tmpfs -o size=24m tmpfs '{0}' && exec '{1}' --exact sqlite::fault_09_a_full_disk_refuses_writes_and_loses_nothing --nocapture",
        folder.0.display(),
        me.display()
    );
    let alone = |how: &[&str]| {
        let mut command = Command::new("unshare");
        let what = ["sh", "-c", &script];
        command.arg("--mount").args(how).args(what).env(SPACE, &folder.0);
        run(command)
    };
    let mut output = alone(&[]);
    if String::from_utf8_lossy(&output.stderr).contains("root filesystem propagation") {
        // The root is no mount of its own (chroot). Then ours may be seen outside, and is taken away there; else there is nothing to do.
        output = alone(&["--propagation", "unchanged"]);
        let _ = Command::new("umount").arg(&folder.0).stderr(Stdio::null()).status();
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("filled and recovered"), "{said}");
}

#[expect(clippy::print_stdout, reason = "the parent process reads it")]
fn fill(folder: &std::path::Path) {
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![0; 8 << 20]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = child::open(folder).unwrap();
        store.migrate().await.unwrap();
        let mut acknowledged: u32 = 0;
        let full = loop {
            match store.commit(&making(child::numbers(acknowledged + 1).map(order))).await {
                Ok(Outcome::Done) => acknowledged += 1,
                other => break other,
            }
            assert!(acknowledged < 100_000, "24 MiB hold less than this");
        };
        assert!(matches!(full, Err(Fault::Full(_))), "{full:?}");
        for _ in 0..20 {
            let again = store.commit(&making(child::numbers(acknowledged + 1).map(order))).await;
            assert!(matches!(again, Err(Fault::Full(_)) | Ok(Outcome::Done)), "{again:?}");
            acknowledged += u32::from(again.is_ok());
        }
        assert_eq!(
            store.orders_after(None, 1_000_000).await.unwrap().len(),
            acknowledged as usize * child::BATCH as usize
        );

        std::fs::remove_file(&ballast).unwrap();
        for _ in 0..20 {
            let again = store.commit(&making(child::numbers(acknowledged + 1).map(order))).await;
            assert_eq!(again, Ok(Outcome::Done), "there is space again");
            acknowledged += 1;
        }
        assert_eq!(
            store.orders_after(None, 1_000_000).await.unwrap().len(),
            acknowledged as usize * child::BATCH as usize
        );
        drop(store);
        let plain = rusqlite::Connection::open(child::database(folder)).unwrap();
        let found: String = plain.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(found, "ok");
        println!("filled and recovered with {acknowledged} rounds");
    });
}
