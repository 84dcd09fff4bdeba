//! The thread that copies the write-ahead log into the database file while the writing thread goes on.
//!
//! Copying a long log takes as long as twenty commits. SQLite lets one connection copy while another writes; only what was written in the
//! meantime is left for the writing thread itself, because the log starts over when all of it has been copied. The copier goes over that
//! too, again and again until nothing is left for a moment: that is when SQLite flushes the database file, and the writing thread then finds
//! little to flush.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::threads::cannot_start;
use crate::Fault;

/// Copies what can be copied. Readers and writers in its way are no fault: the next one gets on. Answers how many pages of the log have been
/// copied since it last started over, if SQLite could say.
pub(super) fn copy(connection: &Connection, mode: CheckpointMode) -> Result<Option<u32>, Fault> {
    match connection.wal_checkpoint_v2(Some("main"), mode).map_err(Fault::from) {
        Ok((_, copied)) => Ok(u32::try_from(copied).ok()),
        Err(Fault::Unavailable(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// How many times the copier goes over the log before it leaves the rest, and the flush, to the writing thread.
const PASSES_MAX: u32 = 8;

/// Copies until the log, of `pages` pages by now, has nothing that was not copied, or until there is no getting on.
fn follow(connection: &Connection, pages: &AtomicU32) -> Result<Option<u32>, Fault> {
    let mut copied = copy(connection, CheckpointMode::PASSIVE)?;
    for _ in 1..PASSES_MAX {
        let Some(before) = copied.filter(|copied| *copied < pages.load(Ordering::Relaxed)) else {
            break;
        };
        copied = copy(connection, CheckpointMode::PASSIVE)?;
        if copied.is_some_and(|copied| copied <= before) {
            break; // somebody reads what is older; or the log has started over, and is short
        }
    }
    Ok(copied)
}

pub(super) struct Copier {
    /// Dropped to end the thread.
    begin: Option<Sender<()>>,
    ended: Receiver<Result<Option<u32>, Fault>>,
    under_way: bool,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    /// `pages` says how many pages are in the log after the last commit.
    pub(super) fn start(connection: Connection, pages: Arc<AtomicU32>) -> Result<Self, Fault> {
        let (begin, asked) = channel();
        let (end, ended) = channel();
        let thread = std::thread::Builder::new()
            .name("florin-copier".to_owned())
            .spawn(move || {
                while asked.recv().is_ok() {
                    if end.send(follow(&connection, &pages)).is_err() {
                        break;
                    }
                }
            })
            .map_err(|error| cannot_start(&error))?;
        Ok(Self {
            begin: Some(begin),
            ended,
            under_way: false,
            thread: Some(thread),
        })
    }

    /// Whether a copy is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Begins a copy; false when there is nobody to make it.
    pub(super) fn begin(&mut self) -> bool {
        self.under_way = self.begin.as_ref().is_some_and(|begin| begin.send(()).is_ok());
        self.under_way
    }

    /// How the copy under way ended; None while it runs, and when none does.
    pub(super) fn ended(&mut self) -> Option<Result<Option<u32>, Fault>> {
        if !self.under_way {
            return None;
        }
        let ended = match self.ended.try_recv() {
            Ok(ended) => ended,
            Err(TryRecvError::Empty) => return None,
            // A panic in there has been reported by the panic hook; whoever writes copies alone from now on.
            Err(TryRecvError::Disconnected) => Ok(None),
        };
        self.under_way = false;
        Some(ended)
    }

    /// Waits until the copy under way has ended, and says how.
    pub(super) fn wait(&mut self) -> Option<Result<Option<u32>, Fault>> {
        if !self.under_way {
            return None;
        }
        self.under_way = false;
        Some(self.ended.recv().unwrap_or(Ok(None)))
    }

    /// Ends the thread, after the copy under way.
    pub(super) fn stop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // as above
        }
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.stop();
    }
}
