//! The rates that are measured, by name.

use crate::orders::Kind;

/// Where the measured server keeps its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Database {
    /// The embedded default.
    Sqlite,
    /// A server of its own.
    Postgres,
}

impl Database {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// The word in the names of figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// One rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) database: Database,
    pub(crate) connections: usize,
    /// Whether each merchant has a webhook endpoint.
    pub(crate) endpoint: bool,
}

/// Connections at which registers and the highest rate are measured.
pub(crate) const MANY: usize = 256;

/// Connections of a moderate load.
pub(crate) const SOME: usize = 64;

const fn register(database: Database) -> Case {
    Case {
        kind: Kind::Register,
        database,
        connections: MANY,
        endpoint: false,
    }
}

/// A sale, the way the goals are set: nobody listens for events.
pub(crate) const fn sale(database: Database, connections: usize) -> Case {
    Case {
        kind: Kind::Sale,
        database,
        connections,
        endpoint: false,
    }
}

const fn sale_with_endpoint(database: Database, connections: usize) -> Case {
    Case {
        kind: Kind::Sale,
        database,
        connections,
        endpoint: true,
    }
}

/// In the order in which they are measured and printed.
pub(crate) const CASES: [Case; 10] = [
    register(Database::Sqlite),
    register(Database::Postgres),
    sale(Database::Sqlite, SOME),
    sale(Database::Postgres, SOME),
    sale(Database::Sqlite, MANY),
    sale(Database::Postgres, MANY),
    sale_with_endpoint(Database::Sqlite, SOME),
    sale_with_endpoint(Database::Postgres, SOME),
    sale_with_endpoint(Database::Sqlite, MANY),
    sale_with_endpoint(Database::Postgres, MANY),
];

impl Case {
    /// `register_sqlite`, `sale_postgres_64`, `sale_postgres_64_webhook`.
    pub(crate) fn name(self) -> String {
        let database = self.database.name();
        let endpoint = if self.endpoint { "_webhook" } else { "" };
        match self.kind {
            Kind::Register => format!("register_{database}"),
            Kind::Sale => format!("sale_{database}_{}{endpoint}", self.connections),
        }
    }

    /// Commits that a request needs before its answer.
    pub(crate) fn steps(self) -> f64 {
        match self.kind {
            Kind::Register => 1.0,
            Kind::Sale => 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_have_the_names_that_others_read() {
        let names: Vec<String> = CASES.iter().map(|case| case.name()).collect();
        for name in [
            "register_sqlite",
            "register_postgres",
            "sale_sqlite_64",
            "sale_sqlite_256",
            "sale_postgres_64",
            "sale_postgres_256",
            "sale_postgres_256_webhook",
        ] {
            assert!(
                names.iter().any(|known| known == name),
                "{name} is missing from {names:?}"
            );
        }
    }
}
