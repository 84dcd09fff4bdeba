//! What an error of SQLite means for whoever asked.

use rusqlite::{Error, ErrorCode, ffi};

use crate::Fault;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Error::SqliteFailure(failure, _) = &error else {
            return Self::Refused(error.to_string());
        };
        let text = format!("{error} (SQLite error {})", failure.extended_code);
        match failure.code {
            ErrorCode::DiskFull => Self::Full(text),
            // A flush or a write failed. The kernel may have dropped the pages and report the next flush as good, so no later
            // success proves anything about what was written before.
            ErrorCode::SystemIoFailure => Self::Broken(text),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Broken(format!(
                "{text}: the database file is damaged; stop, keep a copy of it and its -wal file, and restore the newest backup"
            )),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                Self::Unavailable(format!("{text}: another process holds the database"))
            }
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::OutOfMemory => {
                Self::Unavailable(text)
            }
            _ => Self::Refused(text),
        }
    }
}

/// Whether a write met a name that is taken: an id, a reference, a key, an alias.
pub(super) fn is_taken(error: &Error) -> bool {
    matches!(
        error.sqlite_error().map(|failure| failure.extended_code),
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
    )
}
