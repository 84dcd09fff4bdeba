//! What the command line writes: data to standard output, sentences for people to standard error.
//!
//! A reader that has seen enough (`florin orders | head`) ends the command quietly, as it ends any other program. A server goes on.

use std::io::{ErrorKind, Write};

use crate::client::FAILED;

/// How a command ends whose reader went away: what a shell reports of a program that the closed pipe ended (128 + SIGPIPE).
const READER_GONE: i32 = 141;

/// A line of data.
pub(crate) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
    let Err(error) = written.and_then(|()| out.flush()) else {
        return;
    };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(READER_GONE);
    }
    note(&format!("florin: cannot write the output: {error}"));
    std::process::exit(FAILED.into());
}

/// What a server says when it is ready. Whether somebody reads it or not, it serves.
pub(crate) fn banner(text: &str) {
    let mut out = std::io::stdout().lock();
    let _nobody_reads = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
}

/// A sentence for people.
pub(crate) fn note(text: &str) {
    let _nobody_reads = writeln!(std::io::stderr(), "{text}");
}

/// How far a long command has come, on a terminal: each line is written over the one before.
pub(crate) fn progress(text: &str) {
    let _nobody_reads = write!(std::io::stderr(), "\r{text}");
}
