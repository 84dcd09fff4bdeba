//! What an error of PostgreSQL means for whoever asked.

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::Fault;

/// Raised by `florin_expect`: a bulk write met fewer rows than it named.
const MOVED: &str = "FL409";

/// How one call ended that did not end well.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Somebody else was faster; nothing was written.
    Conflict,
    /// Anything else.
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// An error of a statement that was not part of a commit that may have happened.
impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error.as_db_error() {
            Some(error) => of_server(error),
            None => Self::Unavailable(text(&error)),
        }
    }
}

/// An error of a statement inside a transaction whose COMMIT is on the way: what the server *says* is known, its silence is not.
pub(super) fn in_transaction(error: &Error) -> Trouble {
    let Some(error) = error.as_db_error() else {
        return Trouble::Fault(Fault::Unknown(text(error)));
    };
    let code = error.code();
    let faster = [
        SqlState::UNIQUE_VIOLATION,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::from_code(MOVED),
    ];
    if faster.contains(code) {
        Trouble::Conflict
    } else {
        Trouble::Fault(of_server(error))
    }
}

/// An error of COMMIT itself. A session that ends there may have committed first.
pub(super) fn at_commit(error: &Error) -> Trouble {
    let fatal = error
        .as_db_error()
        .is_some_and(|error| error.parsed_severity() != Some(Severity::Error));
    if fatal {
        Trouble::Fault(Fault::Unknown(text(error)))
    } else {
        in_transaction(error)
    }
}

fn of_server(error: &DbError) -> Fault {
    let text = format!("{} (PostgreSQL error {})", error.message(), error.code().code());
    match error.code().code() {
        "53100" => Fault::Full(text),
        "XX001" | "XX002" => Fault::Broken(format!("{text}: the database is damaged; restore it from a backup")),
        "25006" => Fault::Unavailable(format!("{text}: this is a standby")),
        // Out of connections, memory or time; being shut down, started or failed over; a lock or a peer that did not let go.
        "40001" | "40P01" | "55P03" | "57014" | "25P03" | "58000" | "58030" => Fault::Unavailable(text),
        code if ["53", "57", "08", "28", "3D"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Fault::Unavailable(text)
        }
        _ => Fault::Refused(text),
    }
}

fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
