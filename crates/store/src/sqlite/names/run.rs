//! A run: names of sealed orders, sorted by fingerprint. Chunks of a page each lie on the disk; filters and where chunks begin are in
//! memory, part by part.

use std::ops::RangeInclusive;

use rusqlite::{Connection, params};

use super::filter::Filter;
use crate::Fault;

/// Entries of a chunk: 16 bytes each, so that the row fits a page of 4 KiB.
const CHUNK: usize = 240;
/// Chunks of a part, which has one filter. Also what one step of a merge writes.
const PART: usize = 24;
/// Entries of a part.
pub(super) const PART_ENTRIES: usize = CHUNK * PART;
/// Parts have numbers below this within a run, and chunks below [`CHUNKS`] within a part.
const PARTS: i64 = 1 << 24;
const CHUNKS: i64 = 1 << 6;

/// A fingerprint and the order that has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) fingerprint: u64,
    pub(super) number: i64,
}

impl Entry {
    /// Every entry with this fingerprint.
    pub(super) fn all_of(fingerprint: u64) -> RangeInclusive<Self> {
        Self {
            fingerprint,
            number: i64::MIN,
        }..=Self {
            fingerprint,
            number: i64::MAX,
        }
    }
}

/// A run that is in use.
pub(super) struct Run {
    pub(super) id: i64,
    /// 0: a sealed tail; a merge of runs of one level makes one of the next.
    pub(super) level: i64,
    pub(super) parts: Vec<Part>,
}

/// A part of a run, without its entries.
pub(super) struct Part {
    filter: Filter,
    /// The first fingerprint of each chunk.
    firsts: Vec<u64>,
}

impl Part {
    fn first(&self) -> u64 {
        self.firsts.first().copied().unwrap_or(0)
    }
}

/// Positions in an ascending list of first fingerprints at which this one may lie. Equal ones may cross a border.
fn around(firsts: impl Fn(usize) -> u64, length: usize, fingerprint: u64) -> std::ops::Range<usize> {
    let (mut low, mut high) = (0, length);
    while low < high {
        let middle = usize::midpoint(low, high);
        if firsts(middle) < fingerprint {
            low = middle + 1
        } else {
            high = middle
        }
    }
    let begin = low.saturating_sub(1);
    let mut end = low;
    while end < length && firsts(end) <= fingerprint {
        end += 1;
    }
    begin..end
}

impl Run {
    /// Entries with this fingerprint. Nearly always none, and then nothing is read.
    pub(super) fn entries(&self, connection: &Connection, fingerprint: u64) -> Result<Vec<Entry>, Fault> {
        let mut found = Vec::new();
        for number in around(|at| self.parts[at].first(), self.parts.len(), fingerprint) {
            let part = &self.parts[number];
            if !part.filter.may_hold(fingerprint) {
                continue;
            }
            for chunk in around(|at| part.firsts[at], part.firsts.len(), fingerprint) {
                let entries = read_chunk(connection, self.id, number, chunk)?;
                found.extend(entries.into_iter().filter(|entry| entry.fingerprint == fingerprint));
            }
        }
        Ok(found)
    }

    /// All entries of a part.
    pub(super) fn part(&self, connection: &Connection, number: usize) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        for chunk in 0..self.parts.get(number).map_or(0, |part| part.firsts.len()) {
            entries.extend(read_chunk(connection, self.id, number, chunk)?);
        }
        Ok(entries)
    }
}

fn part_id(run: i64, part: usize) -> i64 {
    run * PARTS + i64::try_from(part).unwrap_or(PARTS - 1)
}

fn chunk_id(run: i64, part: usize, chunk: usize) -> i64 {
    part_id(run, part) * CHUNKS + i64::try_from(chunk).unwrap_or(CHUNKS - 1)
}

fn damaged(what: &str) -> Fault {
    Fault::Broken(format!(
        "the index of references and keys is damaged ({what}): restore the newest backup"
    ))
}

fn read_chunk(connection: &Connection, run: i64, part: usize, chunk: usize) -> Result<Vec<Entry>, Fault> {
    let mut statement = connection.prepare_cached("select entries from name_chunks where id = ?1")?;
    let mut rows = statement.query([chunk_id(run, part, chunk)])?;
    let row = rows.next()?.ok_or_else(|| damaged("a chunk is missing"))?;
    let bytes = row.get_ref(0)?.as_blob().map_err(|_| damaged("a chunk is no blob"))?;
    let (halves, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(damaged("a chunk is torn"));
    }
    Ok(halves.iter().map(|half| Entry::from_bytes(*half)).collect())
}

impl Entry {
    fn to_bytes(self) -> [u8; 16] {
        let both = (u128::from(self.fingerprint) << 64) | u128::from(self.number.cast_unsigned());
        both.to_be_bytes()
    }

    fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self {
            fingerprint: (both >> 64) as u64,
            number: (both as u64).cast_signed(),
        }
    }
}

/// Begins a run that nobody reads yet; answers its id.
pub(super) fn begin(connection: &Connection, level: i64) -> Result<i64, Fault> {
    let next = "update name_state set last_run = last_run + 1 returning last_run";
    let id: i64 = connection.query_row(next, [], |row| row.get(0))?;
    connection.execute(
        "insert into name_runs (id, level, live) values (?1, ?2, 0)",
        [id, level],
    )?;
    Ok(id)
}

/// Whether a run that was begun may be gone on with: another process may have taken it for a leftover and cleared it away.
pub(super) fn is_begun(connection: &Connection, run: i64) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("select 1 from name_runs where id = ?1 and live = 0")?;
    Ok(statement.exists([run])?)
}

/// Writes the next part of a run.
pub(super) fn write_part(connection: &Connection, run: i64, number: usize, entries: &[Entry]) -> Result<Part, Fault> {
    let mut insert = connection.prepare_cached("insert into name_chunks (id, entries) values (?1, ?2)")?;
    for (chunk, entries) in entries.chunks(CHUNK).enumerate() {
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_bytes()).collect();
        insert.execute(params![chunk_id(run, number, chunk), bytes])?;
    }
    let part = Part {
        filter: Filter::over(entries.iter().map(|entry| entry.fingerprint)),
        firsts: entries.chunks(CHUNK).map(|chunk| chunk[0].fingerprint).collect(),
    };
    let firsts: Vec<u8> = part.firsts.iter().flat_map(|first| first.to_be_bytes()).collect();
    connection
        .prepare_cached("insert into name_parts (id, firsts, filter) values (?1, ?2, ?3)")?
        .execute(params![part_id(run, number), firsts, part.filter.to_bytes()])?;
    Ok(part)
}

/// Puts a run into use.
pub(super) fn finish(connection: &Connection, run: i64) -> Result<(), Fault> {
    connection.execute("update name_runs set live = 1 where id = ?1", [run])?;
    Ok(())
}

/// Writes a whole run.
pub(super) fn write(connection: &Connection, entries: &[Entry]) -> Result<Run, Fault> {
    let id = begin(connection, 0)?;
    let mut parts = Vec::new();
    for (number, entries) in entries.chunks(PART_ENTRIES).enumerate() {
        parts.push(write_part(connection, id, number, entries)?);
    }
    finish(connection, id)?;
    Ok(Run { id, level: 0, parts })
}

/// The runs in use.
pub(super) fn live(connection: &Connection) -> Result<Vec<Run>, Fault> {
    let mut runs = Vec::new();
    let mut statement = connection.prepare_cached("select id, level from name_runs where live = 1 order by id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        runs.push(Run {
            id,
            level: row.get(1)?,
            parts: parts(connection, id)?,
        });
    }
    Ok(runs)
}

fn parts(connection: &Connection, run: i64) -> Result<Vec<Part>, Fault> {
    let mut statement =
        connection.prepare_cached("select firsts, filter from name_parts where id >= ?1 and id < ?2 order by id")?;
    let mut rows = statement.query([part_id(run, 0), part_id(run + 1, 0)])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let (firsts, rest) = row
            .get_ref(0)?
            .as_blob()
            .map_err(|_| damaged("a part is no blob"))?
            .as_chunks();
        let filter = row.get_ref(1)?.as_blob().ok().and_then(Filter::from_bytes);
        let filter = filter.filter(|_| rest.is_empty()).ok_or_else(|| damaged("a filter"))?;
        parts.push(Part {
            filter,
            firsts: firsts.iter().map(|first| u64::from_be_bytes(*first)).collect(),
        });
    }
    Ok(parts)
}

/// A run that is not in use and still lies about: an unfinished merge, or what a merge has replaced.
pub(super) fn leftover(connection: &Connection) -> Result<Option<i64>, Fault> {
    let unfinished: Option<i64> =
        connection.query_row("select min(id) from name_runs where live = 0", [], |row| row.get(0))?;
    if unfinished.is_some() {
        return Ok(unfinished);
    }
    // Runs are few: jump from the first chunk of one to the first chunk of the next.
    let mut next = connection.prepare_cached("select min(id) from name_chunks where id >= ?1")?;
    let mut from = 0;
    loop {
        let chunk: Option<i64> = next.query_row([from], |row| row.get(0))?;
        let Some(chunk) = chunk else { return Ok(None) };
        let run = chunk / (PARTS * CHUNKS);
        let known: bool = connection
            .prepare_cached("select exists (select 1 from name_runs where id = ?1)")?
            .query_row([run], |row| row.get(0))?;
        if !known {
            return Ok(Some(run));
        }
        from = chunk_id(run + 1, 0, 0);
    }
}

/// Clears away a piece of a run that is not in use. `true`: there is more.
pub(super) fn clear(connection: &Connection, run: i64) -> Result<bool, Fault> {
    connection.execute("delete from name_runs where id = ?1", [run])?;
    connection.execute(
        "delete from name_parts where id >= ?1 and id < ?2",
        [part_id(run, 0), part_id(run + 1, 0)],
    )?;
    let sql = "delete from name_chunks where id in (select id from name_chunks where id >= ?1 and id < ?2 limit ?3)";
    let limit = i64::try_from(PART * 2).unwrap_or(i64::MAX);
    let gone = connection
        .prepare_cached(sql)?
        .execute([chunk_id(run, 0, 0), chunk_id(run + 1, 0, 0), limit])?;
    Ok(gone == PART * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_fingerprints_are_found_across_all_borders() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("../../../migrations/sqlite/0001_start.sql"))
            .unwrap();
        // Streaks of equal fingerprints, some longer than a chunk and one longer than a part, with gaps between.
        let mut entries = Vec::new();
        for (step, streak) in [1, 1, 500, 1, 7_000, 3, 240, 1, 1, 5_760, 2, 900]
            .into_iter()
            .enumerate()
        {
            for number in 0..streak {
                entries.push(Entry {
                    fingerprint: step as u64 * 10,
                    number,
                });
            }
        }
        let run = write(&connection, &entries).unwrap();
        assert!(run.parts.len() >= 3);
        let again = live(&connection).unwrap().pop().unwrap();
        for run in [run, again] {
            for fingerprint in 0..130 {
                let expected: Vec<Entry> = entries
                    .iter()
                    .copied()
                    .filter(|entry| entry.fingerprint == fingerprint)
                    .collect();
                assert_eq!(
                    run.entries(&connection, fingerprint).unwrap(),
                    expected,
                    "fingerprint {fingerprint}"
                );
            }
        }
    }

    #[test]
    fn a_damaged_run_is_reported_and_not_believed() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("../../../migrations/sqlite/0001_start.sql"))
            .unwrap();
        let entry = Entry {
            fingerprint: 5,
            number: 1,
        };
        let run = write(&connection, &[entry]).unwrap();
        assert_eq!(run.entries(&connection, 5).unwrap(), [entry]);
        connection
            .execute("update name_chunks set entries = x'00'", [])
            .unwrap();
        assert!(matches!(run.entries(&connection, 5), Err(Fault::Broken(_))));
        connection.execute("delete from name_chunks", []).unwrap();
        assert!(matches!(run.entries(&connection, 5), Err(Fault::Broken(_))));
        connection.execute("update name_parts set filter = x'00'", []).unwrap();
        assert!(matches!(live(&connection), Err(Fault::Broken(_))));
    }
}
