//! The levels of the schema, one list a database. Forward only: a level that has shipped is never edited, which its recorded checksum
//! proves at every start. A level is one transaction, so a process that dies in it leaves the level before it.
//!
//! What the next program may need while the last one still runs: new tables, new columns that are nullable or have a default, new
//! indexes. Nothing is renamed or dropped (a test refuses it), and a database that is *ahead* of this program is served.

use aws_lc_rs::digest::{SHA256, digest};

use crate::Fault;

/// One level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    pub(crate) level: u32,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// SQLite's levels.
pub(crate) const SQLITE: &[Migration] = &[
    Migration {
        level: 1,
        name: "start",
        sql: include_str!("../migrations/sqlite/0001_start.sql"),
    },
    Migration {
        level: 2,
        name: "marks",
        sql: include_str!("../migrations/sqlite/0002_marks.sql"),
    },
];

/// PostgreSQL's levels; the same numbers and names.
pub(crate) const POSTGRES: &[Migration] = &[
    Migration {
        level: 1,
        name: "start",
        sql: include_str!("../migrations/postgres/0001_start.sql"),
    },
    Migration {
        level: 2,
        name: "marks",
        sql: include_str!("../migrations/postgres/0002_marks.sql"),
    },
];

impl Migration {
    /// SHA-256 of the SQL, in hex: what the database remembers of it.
    pub(crate) fn checksum(&self) -> String {
        digest(&SHA256, self.sql.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// What is left to do when the database says `applied` (level and checksum, ascending). Refuses a history that is not ours.
pub(crate) fn pending(all: &'static [Migration], applied: &[(u32, String)]) -> Result<&'static [Migration], Fault> {
    for (migration, (level, checksum)) in all.iter().zip(applied) {
        if migration.level != *level || migration.checksum() != *checksum {
            return Err(Fault::Refused(format!(
                "schema level {level} of this database is not this program's level {} `{}`: \
                 it was made by another program or edited after it shipped",
                migration.level, migration.name
            )));
        }
    }
    Ok(all.get(applied.len()..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A level that shipped stays as it was: old databases hold its checksum.
    #[test]
    fn levels_that_shipped_are_not_edited() {
        let golden = include_str!("../migrations/checksums.txt");
        let mut lines = String::new();
        for (database, all) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            for migration in all {
                lines += &format!(
                    "{database} {:04} {} {}\n",
                    migration.level,
                    migration.name,
                    migration.checksum()
                );
            }
        }
        assert_eq!(
            golden, lines,
            "add new levels to migrations/checksums.txt; never change a line of it"
        );
    }

    #[test]
    fn both_databases_have_the_same_levels() {
        let names = |all: &[Migration]| all.iter().map(|one| (one.level, one.name)).collect::<Vec<_>>();
        assert_eq!(names(SQLITE), names(POSTGRES));
        assert!(
            SQLITE
                .iter()
                .zip(1..)
                .all(|(migration, level)| migration.level == level)
        );
    }

    #[test]
    fn no_level_takes_away_what_an_older_program_uses() {
        for migration in SQLITE.iter().chain(POSTGRES) {
            assert_eq!(
                refused_words(migration.sql),
                Vec::<String>::new(),
                "level {}",
                migration.level
            );
        }
    }

    #[test]
    fn the_rule_finds_what_it_is_for() {
        for wrong in [
            "alter table orders rename to bills;",
            "alter table orders\n rename column state to snapshot;",
            "drop table orders;",
            "alter table orders drop column state;",
            "alter table orders add column colour text not null;",
            "alter table orders alter column state set not null;",
            "alter table orders alter column state type bytea;",
        ] {
            assert_ne!(refused_words(wrong), Vec::<String>::new(), "{wrong}");
        }
        for right in [
            "alter table orders add column colour text;",
            "alter table orders add column colour text not null default 'red';",
            "create table drops (rename_me text not null); -- drop by drop",
        ] {
            assert_eq!(refused_words(right), Vec::<String>::new(), "{right}");
        }
    }

    /// Statements that an older program, still running on the new schema, would not survive.
    fn refused_words(sql: &str) -> Vec<String> {
        let without_comments: String = sql
            .lines()
            .map(|line| line.split("--").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase();
        let mut found = Vec::new();
        for statement in without_comments.split(';') {
            let words: Vec<&str> = statement
                .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
                .filter(|word| !word.is_empty())
                .collect();
            let has = |wanted: &[&str]| words.windows(wanted.len()).any(|window| window == wanted);
            let alters = has(&["alter", "table"]);
            let adds_required = alters && has(&["add", "column"]) && has(&["not", "null"]) && !has(&["default"]);
            let changes = alters && (has(&["rename"]) || has(&["alter", "column"]));
            if has(&["drop"]) || changes || adds_required {
                found.push(statement.trim().to_owned());
            }
        }
        found
    }
}
