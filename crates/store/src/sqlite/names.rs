//! The names that must be unique on the way of every sale: a merchant's reference, and the key of the call that made the order.
//!
//! A unique index would do, and would be the largest cost of a sale: each random name dirties a page of its own, half of all pages
//! written. So names are kept as a log does it:
//!
//! ```text
//! tail   names of the newest orders, in memory; after a start they are read from those orders again
//! runs   older names, sorted by fingerprint, on the disk; written once when the tail is full, merged now and then, never changed;
//!        a small filter in memory says of nearly every run that it does not hold a name
//! ```
//!
//! A fingerprint only leads to candidates: whether an order has a name is read from the order itself. Everything happens on the writer
//! thread inside the transaction that asks, and whatever another process wrote to the file is caught up with first. Orders are never
//! removed, so names are not either. Keys of later calls are few and stay in the table `keys`; whoever asks for a key asks both.

mod filter;
mod merge;
mod run;

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use self::merge::Merging;
use self::run::{Entry, Run};
use crate::Fault;

/// Names in the tail when it is written down: 1.5 MB of memory, 70 pages on the disk, and some 30 ms to read again after a start.
pub(super) const SEAL: usize = 16_384;

/// Jobs to wait after a failed attempt (a full disk) before the next.
const PAUSE: u32 = 1_000;

/// What kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The merchant's name for an order.
    Reference,
    /// The key of the call that made it.
    Key,
}

/// A name, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name<'a> {
    pub(super) kind: Kind,
    pub(super) tenant: i32,
    pub(super) text: &'a str,
}

impl Name<'_> {
    /// Eight bytes of SHA-256: nobody can make many names that look alike.
    fn fingerprint(self) -> u64 {
        let mut bytes = Vec::with_capacity(self.text.len() + 5);
        bytes.push(self.kind as u8);
        bytes.extend_from_slice(&self.tenant.to_be_bytes());
        bytes.extend_from_slice(self.text.as_bytes());
        let hash = digest(&SHA256, &bytes);
        let first: [u8; 8] = hash.as_ref()[..8].try_into().expect("a SHA-256 has 32 bytes");
        u64::from_be_bytes(first)
    }
}

/// All names, as far as they were read.
pub(super) struct Names {
    seal: usize,
    /// None before the first question, and after an error: then it is read again.
    known: Option<Known>,
    /// Pieces of work to be left out, after one that failed.
    pause: u32,
}

struct Known {
    /// Counts what was written about runs, by whomever.
    generation: i64,
    /// The newest order whose names are in here.
    last: i64,
    tail: BTreeSet<Entry>,
    runs: Vec<Run>,
    merging: Merging,
}

impl Names {
    pub(super) fn new(seal: usize) -> Self {
        Self {
            seal,
            known: None,
            pause: 0,
        }
    }

    /// Reads what is not known yet. To be called first in every transaction that asks or adds.
    pub(super) fn catch_up(&mut self, connection: &Connection) -> Result<(), Fault> {
        let (generation, sealed): (i64, i64) = connection
            .prepare_cached("select generation, sealed from name_state")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut known = match self.known.take() {
            Some(known) if known.generation == generation => known,
            _ => Known {
                generation,
                last: sealed,
                tail: BTreeSet::new(),
                runs: run::live(connection)?,
                merging: Merging::after_start(connection)?,
            },
        };
        let mut newer =
            connection.prepare_cached("select number, tenant, reference, idem_key from orders where number > ?1")?;
        let mut rows = newer.query([known.last])?;
        while let Some(row) = rows.next()? {
            let (number, tenant) = (row.get(0)?, row.get(1)?);
            let (reference, key): (String, Option<String>) = (row.get(2)?, row.get(3)?);
            known.add(number, tenant, &reference, key.as_deref());
        }
        self.known = Some(known);
        Ok(())
    }

    fn known(&mut self) -> &mut Known {
        self.known.as_mut().expect("whoever asks has caught up first")
    }

    /// The number of the order that has this name.
    pub(super) fn find(&mut self, connection: &Connection, name: Name<'_>) -> Result<Option<i64>, Fault> {
        let known = self.known();
        let fingerprint = name.fingerprint();
        for entry in known.tail.range(Entry::all_of(fingerprint)) {
            if has(connection, entry.number, name)? {
                return Ok(Some(entry.number));
            }
        }
        for run in &known.runs {
            for entry in run.entries(connection, fingerprint)? {
                if has(connection, entry.number, name)? {
                    return Ok(Some(entry.number));
                }
            }
        }
        Ok(None)
    }

    /// Adds the names of an order, once its commit is done.
    pub(super) fn add(&mut self, number: i64, tenant: i32, reference: &str, key: Option<&str>) {
        self.known().add(number, tenant, reference, key);
    }

    /// Does a bounded piece of what is to be done about the names on the disk, if anything is.
    pub(super) fn upkeep(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        let Some(known) = &self.known else { return Ok(()) };
        if known.tail.len() < self.seal && !known.merging.is_due(&known.runs) {
            return Ok(());
        }
        if self.pause > 0 {
            self.pause -= 1;
            return Ok(());
        }
        let done = self.step(connection);
        if done.is_err() {
            // What is in memory may be ahead of what was rolled back.
            self.known = None;
            self.pause = PAUSE;
        }
        done
    }

    fn step(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.catch_up(&transaction)?;
        let seal = self.seal;
        let known = self.known();
        if known.tail.len() >= seal {
            known.seal(&transaction)?;
        } else {
            known.merging.step(&transaction, &mut known.runs)?;
        }
        known.generation = transaction.query_row("select generation from name_state", [], |row| row.get(0))?;
        transaction.commit()?;
        Ok(())
    }
}

impl Known {
    fn add(&mut self, number: i64, tenant: i32, reference: &str, key: Option<&str>) {
        let mut insert = |kind, text| {
            let fingerprint = Name { kind, tenant, text }.fingerprint();
            self.tail.insert(Entry { fingerprint, number });
        };
        insert(Kind::Reference, reference);
        if let Some(key) = key {
            insert(Kind::Key, key);
        }
        self.last = self.last.max(number);
    }

    /// Writes the tail as a run.
    fn seal(&mut self, connection: &Connection) -> Result<(), Fault> {
        let entries: Vec<Entry> = std::mem::take(&mut self.tail).into_iter().collect();
        self.runs.push(run::write(connection, &entries)?);
        connection.execute(
            "update name_state set sealed = ?1, generation = generation + 1",
            [self.last],
        )?;
        Ok(())
    }
}

/// Whether this order has this name: its own row knows.
fn has(connection: &Connection, number: i64, name: Name<'_>) -> Result<bool, Fault> {
    let sql = match name.kind {
        Kind::Reference => "select 1 from orders where number = ?1 and tenant = ?2 and reference = ?3",
        Kind::Key => "select 1 from orders where number = ?1 and tenant = ?2 and idem_key = ?3",
    };
    let found = connection
        .prepare_cached(sql)?
        .query_row(params![number, name.tenant, name.text], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// So small that a short test meets every kind of step.
    const SMALL: usize = 6;

    struct File(PathBuf);

    impl File {
        fn new(name: &str) -> Self {
            let file = Self(std::env::temp_dir().join(format!("florin-names-{}-{name}", std::process::id())));
            let connection = file.open();
            connection
                .execute_batch(include_str!("../../migrations/sqlite/0001_start.sql"))
                .unwrap();
            file
        }

        fn open(&self) -> Connection {
            let connection = Connection::open(&self.0).unwrap();
            connection.pragma_update(None, "journal_mode", "wal").unwrap();
            connection.pragma_update(None, "synchronous", "off").unwrap();
            connection
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            for suffix in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{suffix}", self.0.display()));
            }
        }
    }

    /// Claims a name as a commit does: `true`, and an order has it; `false`, and some order had it.
    fn claim(connection: &mut Connection, names: &mut Names, name: Name<'_>, new: u32) -> bool {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        names.catch_up(&transaction).unwrap();
        if names.find(&transaction, name).unwrap().is_some() {
            return false;
        }
        let (reference, key) = match name.kind {
            Kind::Reference => (name.text.to_owned(), None),
            Kind::Key => (format!("own {new}"), Some(name.text.to_owned())),
        };
        transaction
            .execute(
                "insert into orders (id, tenant, reference, idem_key, version, fence, created_at, chain, state) \
                 values (?1, ?2, ?3, ?4, 1, 1, 1, x'00', '')",
                params![new.to_be_bytes(), name.tenant, reference, key],
            )
            .unwrap();
        let number = transaction.last_insert_rowid();
        transaction.commit().unwrap();
        names.add(number, name.tenant, &reference, key.as_deref());
        true
    }

    /// Two processes on one file, that come and go: every name is claimed once, and found ever after.
    #[test]
    fn a_name_is_claimed_once_whoever_asks_and_wherever_it_lies() {
        let file = File::new("claims");
        let mut processes: Vec<(Connection, Names)> = (0..2).map(|_| (file.open(), Names::new(SMALL))).collect();
        let mut owners = BTreeSet::new();
        let mut dice: u64 = 0x5eed;
        let mut roll = |end: u64| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % end
        };
        let mut most_levels = 0;
        for new in 0..4_000 {
            let (kind, tenant, text) = (
                if roll(2) == 0 { Kind::Reference } else { Kind::Key },
                roll(3) as i32,
                roll(3_000).to_string(),
            );
            let which = roll(2) as usize;
            if roll(50) == 0 {
                processes[which] = (file.open(), Names::new(SMALL));
            }
            let (connection, names) = &mut processes[which];
            let claimed = claim(
                connection,
                names,
                Name {
                    kind,
                    tenant,
                    text: &text,
                },
                new,
            );
            assert_eq!(claimed, owners.insert((kind, tenant, text)), "claim {new}");
            for _ in 0..roll(3) {
                names.upkeep(connection).unwrap();
            }
            let known = names.known.as_ref().unwrap();
            most_levels = most_levels.max(known.runs.iter().map(|run| run.level).max().unwrap_or(0));
        }
        assert!(most_levels >= 2, "runs were merged, and merged again");

        // Alone again, everything that was begun is brought to its end.
        let (mut connection, mut names) = (file.open(), Names::new(SMALL));
        names.catch_up(&connection).unwrap();
        for _ in 0..10_000 {
            names.upkeep(&mut connection).unwrap();
        }
        let known = names.known.as_ref().unwrap();
        assert!(!known.merging.is_due(&known.runs));
        assert!(known.tail.len() < SMALL);
        let live = known.runs.len() as i64;
        let stored: i64 = connection
            .query_row("select count(*) from name_runs", [], |row| row.get(0))
            .unwrap();
        assert_eq!(stored, live, "nothing lies about");
        for (kind, tenant, text) in &owners {
            let name = Name {
                kind: *kind,
                tenant: *tenant,
                text,
            };
            assert!(names.find(&connection, name).unwrap().is_some(), "{name:?}");
        }
        let nobody = Name {
            kind: Kind::Key,
            tenant: 9,
            text: "nobody's",
        };
        assert_eq!(names.find(&connection, nobody).unwrap(), None);
    }

    /// A step that fails leaves what was there, and the names go on.
    #[test]
    fn a_step_that_fails_loses_no_name() {
        let file = File::new("failure");
        let (mut connection, mut names) = (file.open(), Names::new(SMALL));
        let text = |number: u32| format!("name {number}");
        for number in 0..20 {
            assert!(claim(
                &mut connection,
                &mut names,
                Name {
                    kind: Kind::Reference,
                    tenant: 1,
                    text: &text(number)
                },
                number
            ));
        }
        connection
            .execute_batch("create trigger full before insert on name_parts begin select raise(abort, 'no space'); end")
            .unwrap();
        assert!(names.upkeep(&mut connection).is_err());
        for number in 0..20 {
            assert!(!claim(
                &mut connection,
                &mut names,
                Name {
                    kind: Kind::Reference,
                    tenant: 1,
                    text: &text(number)
                },
                100 + number
            ));
        }
        connection.execute_batch("drop trigger full").unwrap();
        for _ in 0..=PAUSE {
            names.upkeep(&mut connection).unwrap();
        }
        assert!(names.known.as_ref().unwrap().tail.is_empty());
        assert!(!claim(
            &mut connection,
            &mut names,
            Name {
                kind: Kind::Reference,
                tenant: 1,
                text: &text(7)
            },
            200
        ));
    }
}
