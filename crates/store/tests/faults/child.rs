//! A process of its own that writes orders to SQLite and notes what was acknowledged: something to trace, starve and kill.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use florin_store::sqlite::{Settings, SqliteStore};
use florin_store::{Fault, Outcome, Store, Wanted};

use crate::rows::{making, moving, order, order_id};
use crate::support::folder::Folder;

/// Tells the child where to work: a folder.
const FOLDER: &str = "FLORIN_TEST_FOLDER";
/// And how many rounds.
const ROUNDS: &str = "FLORIN_TEST_ROUNDS";

/// Orders a batch.
pub(crate) const BATCH: u32 = 3;
/// So small that a short run meets many checkpoints.
const CHECKPOINT_PAGES: u32 = 60;
/// So few that a short run writes names down, and merges them.
const NAMES_IN_MEMORY: usize = 18;

/// A command that runs [`writes_orders_and_notes_what_was_acknowledged`] in a process of its own, under `wrapper` if there is one.
pub(crate) fn command(wrapper: &[&str], folder: &Path, rounds: u32) -> Command {
    let me = std::env::current_exe().unwrap();
    let mut words: Vec<String> = wrapper.iter().map(|word| (*word).to_owned()).collect();
    words.push(me.to_str().unwrap().to_owned());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command.args([
        "--exact",
        "child::writes_orders_and_notes_what_was_acknowledged",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env(FOLDER, folder).env(ROUNDS, rounds.to_string());
    command
}

/// Runs a command; says what is missing if it cannot.
pub(crate) fn run(mut command: Command) -> Output {
    let program = command.get_program().to_owned();
    match command.output() {
        Ok(output) => output,
        Err(error) => {
            panic!("cannot run {program:?} ({error}): these tests need the Debian packages `strace` and `util-linux`")
        }
    }
}

pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("florin.db")
}

pub(crate) fn open(folder: &Path) -> Result<SqliteStore, Fault> {
    SqliteStore::open(&Settings {
        checkpoint_pages: CHECKPOINT_PAGES,
        names_in_memory: NAMES_IN_MEMORY,
        ..Settings::at(database(folder))
    })
}

/// What the child wrote down, line by line.
pub(crate) fn notes(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("notes")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// In round `n`, orders `10 n + 1 …` are made, and those of the round before are moved on.
pub(crate) fn numbers(round: u32) -> impl Iterator<Item = u32> {
    (1..=BATCH).map(move |part| round * 10 + part)
}

/// One round. Its acknowledgement names the round.
async fn round(store: &SqliteStore, round: u32) -> Result<(), Fault> {
    let mut batch = making(numbers(round).map(order));
    if round > 1 {
        let moved = moving(numbers(round - 1).map(order));
        batch.changed = moved.changed;
        batch.events.extend(moved.events);
    }
    match store.commit(&batch).await? {
        Outcome::Done => Ok(()),
        Outcome::Conflict => panic!("nobody else writes here"),
    }
}

/// The child itself; by hand it is a small test of its own.
#[test]
fn writes_orders_and_notes_what_was_acknowledged() {
    let given = std::env::var_os(FOLDER).map(PathBuf::from);
    let own = given.is_none().then(Folder::new);
    let folder = given.or_else(|| own.as_ref().map(|own| own.0.clone())).unwrap();
    let rounds: u32 = std::env::var(ROUNDS).map_or(5, |rounds| rounds.parse().unwrap());

    let mut notes = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("notes"))
        .unwrap();
    // One write a note, so that a trace shows it in one piece.
    let mut note = |text: String| notes.write_all(format!("{text}\n").as_bytes()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let acknowledged = runtime.block_on(async {
        let store = match open(&folder) {
            Ok(store) => store,
            Err(fault) => {
                note(format!("open {fault:?}"));
                return 0;
            }
        };
        if let Err(fault) = store.migrate().await {
            note(format!("migrate {fault:?}"));
            return 0;
        }
        let mut acknowledged = 0;
        for number in 1..=rounds {
            match round(&store, number).await {
                Ok(()) => {
                    acknowledged += 1;
                    note(format!("ack {number}"));
                }
                Err(fault) => note(format!("refused {number} {fault:?}")),
            }
        }
        let wanted = Wanted {
            orders: vec![order_id(11)],
            ..Wanted::default()
        };
        note(format!(
            "read {:?}",
            store.load(&wanted).await.map(|found| found.orders.len())
        ));
        acknowledged
    });
    if own.is_some() {
        assert_eq!(acknowledged, rounds);
    }
}

/// Opens what is left and checks it: sound, whole, and with every acknowledged round.
pub(crate) fn check(folder: &Path, acknowledged: u32, case: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = open(folder).unwrap_or_else(|fault| panic!("{case}: {fault}"));
        let level = store.level().await.unwrap_or_else(|fault| panic!("{case}: {fault}"));
        if level == 0 {
            assert_eq!(acknowledged, 0, "{case}: acknowledged, and there is no schema");
            return;
        }
        let orders = store
            .orders_after(None, 10_000)
            .await
            .unwrap_or_else(|fault| panic!("{case}: {fault}"));
        assert_eq!(orders.len() % BATCH as usize, 0, "{case}: half a batch");
        let rounds = u32::try_from(orders.len()).unwrap() / BATCH;
        assert!(
            rounds >= acknowledged,
            "{case}: {rounds} rounds are there, {acknowledged} were acknowledged"
        );
        for round in 1..=rounds {
            // A later round moved this one on, in the same commit that made its own orders.
            let version = if round < rounds { 3 } else { 2 };
            for (row, number) in orders[(round as usize - 1) * BATCH as usize..]
                .iter()
                .zip(numbers(round))
            {
                assert_eq!((row.id, row.version), (order_id(number), version), "{case}");
                let events = store.events_of(row.id).await.unwrap();
                let versions: Vec<u32> = events.iter().map(|event| event.version).collect();
                assert_eq!(
                    versions,
                    (2..=version).collect::<Vec<_>>(),
                    "{case}: events of order {number}"
                );
                assert_eq!(events.last().unwrap().hash, row.chain, "{case}");
            }
        }
        // And it goes on.
        let next = making(numbers(rounds + 1_000).map(order));
        assert_eq!(store.commit(&next).await, Ok(Outcome::Done), "{case}");
    });
    let plain = rusqlite::Connection::open(database(folder)).unwrap();
    let found: String = plain.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok", "{case}");
}
