//! Merging runs, so that there are few of them, in steps so small that a commit hardly waits for one.

use std::collections::VecDeque;

use rusqlite::Connection;

use super::run::{self, Entry, PART_ENTRIES, Run};
use crate::Fault;

/// Runs of one level that are merged into one of the next: a name is written once more for every factor of this.
const FAN: usize = 8;

/// What is to be done about runs, and how far it is.
#[derive(Default)]
pub(super) struct Merging {
    merge: Option<Merge>,
    /// Runs to be cleared away.
    leftovers: VecDeque<i64>,
}

/// A merge under way: it writes a run that nobody reads before it is whole.
struct Merge {
    sources: Vec<Source>,
    run: Run,
}

/// A run that is being merged, and where in it the merge stands.
struct Source {
    run: i64,
    part: usize,
    entries: VecDeque<Entry>,
}

impl Merging {
    /// What an earlier life left unfinished is cleared away.
    pub(super) fn after_start(connection: &Connection) -> Result<Self, Fault> {
        Ok(Self {
            merge: None,
            leftovers: run::leftover(connection)?.into_iter().collect(),
        })
    }

    pub(super) fn is_due(&self, runs: &[Run]) -> bool {
        self.merge.is_some() || !self.leftovers.is_empty() || level_to_merge(runs).is_some()
    }

    /// Does one step, in the transaction of the caller.
    pub(super) fn step(&mut self, connection: &Connection, runs: &mut Vec<Run>) -> Result<(), Fault> {
        if let Some(merge) = self.merge.take() {
            self.merge = merge.step(connection, runs, &mut self.leftovers)?;
        } else if let Some(leftover) = self.leftovers.front() {
            if !run::clear(connection, *leftover)? {
                self.leftovers.pop_front();
                if self.leftovers.is_empty() {
                    self.leftovers.extend(run::leftover(connection)?);
                }
            }
        } else if let Some(level) = level_to_merge(runs) {
            let sources = runs.iter().filter(|run| run.level == level).take(FAN);
            let sources = sources
                .map(|run| Source {
                    run: run.id,
                    part: 0,
                    entries: VecDeque::new(),
                })
                .collect();
            let run = Run {
                id: run::begin(connection, level + 1)?,
                level: level + 1,
                parts: Vec::new(),
            };
            self.merge = Some(Merge { sources, run });
        }
        Ok(())
    }
}

fn level_to_merge(runs: &[Run]) -> Option<i64> {
    let highest = runs.iter().map(|run| run.level).max()?;
    (0..=highest).find(|level| runs.iter().filter(|run| run.level == *level).count() >= FAN)
}

impl Merge {
    /// Writes one part; at the end puts the new run in the place of the old ones.
    fn step(
        mut self,
        connection: &Connection,
        runs: &mut Vec<Run>,
        leftovers: &mut VecDeque<i64>,
    ) -> Result<Option<Self>, Fault> {
        if !run::is_begun(connection, self.run.id)? {
            leftovers.push_back(self.run.id);
            return Ok(None);
        }
        let mut entries = Vec::with_capacity(PART_ENTRIES);
        while entries.len() < PART_ENTRIES {
            let Some(entry) = self.smallest(connection, runs)? else {
                break;
            };
            entries.push(entry);
        }
        if !entries.is_empty() {
            self.run.parts.push(run::write_part(
                connection,
                self.run.id,
                self.run.parts.len(),
                &entries,
            )?);
        }
        if entries.len() == PART_ENTRIES {
            return Ok(Some(self));
        }
        let merged: Vec<i64> = self.sources.iter().map(|source| source.run).collect();
        run::finish(connection, self.run.id)?;
        for run in &merged {
            connection.execute("delete from name_runs where id = ?1", [run])?;
        }
        connection.execute("update name_state set generation = generation + 1", [])?;
        runs.retain(|run| !merged.contains(&run.id));
        runs.push(self.run);
        leftovers.extend(merged);
        Ok(None)
    }

    /// Takes the smallest entry of all sources.
    fn smallest(&mut self, connection: &Connection, runs: &[Run]) -> Result<Option<Entry>, Fault> {
        for source in &mut self.sources {
            if source.entries.is_empty()
                && let Some(run) = runs.iter().find(|run| run.id == source.run)
                && source.part < run.parts.len()
            {
                source.entries.extend(run.part(connection, source.part)?);
                source.part += 1;
            }
        }
        let smallest = self
            .sources
            .iter_mut()
            .filter(|source| !source.entries.is_empty())
            .min_by_key(|source| source.entries[0]);
        Ok(smallest.and_then(|source| source.entries.pop_front()))
    }
}
