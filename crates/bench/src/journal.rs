//! What a load generator knows for certain: a file with each request before it was sent and each answer after it came.
//!
//! A checker holds it against database, ledger and provider after a crash: what was answered must be there, what was
//! only sent may be. One JSON object a line, written with one system call, so that the file is whole even when the
//! generator is ended in the middle of a run; a torn last line is left out when it is read. It is not flushed to the
//! disk: it outlives the processes, not the machine.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::orders::Order;

/// A journal that is being written.
pub struct Journal {
    file: File,
    line: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Sent {
        number: u64,
        merchant: usize,
        key: String,
        request: Value,
    },
    Heard {
        number: u64,
        status: u16,
        answer: Value,
    },
    Lost {
        number: u64,
        lost: String,
    },
}

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Which request of the run this is.
    pub number: u64,
    /// Index of the merchant's key in the list that the generator was given.
    pub merchant: usize,
    /// Its `Idempotency-Key`.
    pub key: String,
    /// The body that was sent.
    pub request: Value,
    /// What came back.
    pub fate: Fate,
}

/// What came back for a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// An answer: its status and body (a string when it is not JSON).
    Answered(u16, Value),
    /// The connection broke: nobody knows.
    Lost(String),
    /// The generator was ended before it knew.
    Open,
}

impl Journal {
    /// Starts a journal, or goes on with one that is there.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: OpenOptions::new().create(true).append(true).open(path)?,
            line: Vec::new(),
        })
    }

    pub(crate) fn sent(&mut self, number: u64, order: &Order<'_>) -> io::Result<()> {
        let key = order.idempotency_key.clone();
        self.write(&Line::Sent {
            number,
            merchant: order.merchant,
            key,
            request: json_or_text(order.body),
        })
    }

    pub(crate) fn heard(&mut self, number: u64, status: u16, answer: &[u8]) -> io::Result<()> {
        self.write(&Line::Heard {
            number,
            status,
            answer: json_or_text(answer),
        })
    }

    pub(crate) fn lost(&mut self, number: u64, error: &io::Error) -> io::Result<()> {
        self.write(&Line::Lost {
            number,
            lost: error.to_string(),
        })
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)
    }
}

fn json_or_text(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}

/// Reads a journal: its requests in the order in which they were numbered.
///
/// # Errors
/// When the file cannot be read or a line other than the last is torn.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut entries = BTreeMap::new();
    for line in whole.lines() {
        let (number, fate) = match serde_json::from_str(line)? {
            Line::Sent {
                number,
                merchant,
                key,
                request,
            } => {
                entries.insert(
                    number,
                    Entry {
                        number,
                        merchant,
                        key,
                        request,
                        fate: Fate::Open,
                    },
                );
                continue;
            }
            Line::Heard { number, status, answer } => (number, Fate::Answered(status, answer)),
            Line::Lost { number, lost } => (number, Fate::Lost(lost)),
        };
        let entry: &mut Entry = entries.get_mut(&number).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("request {number} was answered but never sent"),
            )
        })?;
        entry.fate = fate;
    }
    Ok(entries.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::{Kind, Orders};

    fn scratch(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("florin-bench-journal-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn a_journal_tells_answered_lost_and_open_requests_apart() {
        let path = scratch("fates");
        let mut orders = Orders::new(Kind::Sale, "h", &["k".to_owned()], "r");
        let mut journal = Journal::open(&path).unwrap();
        for number in 0..4 {
            journal.sent(number, &orders.write(number)).unwrap();
        }
        journal.heard(2, 201, br#"{"id":"ord_1"}"#).unwrap();
        journal.heard(0, 502, b"bad gateway").unwrap();
        journal
            .lost(1, &io::Error::from(io::ErrorKind::ConnectionReset))
            .unwrap();
        let entries = read(&path).unwrap();
        let fates: Vec<&Fate> = entries.iter().map(|entry| &entry.fate).collect();
        assert_eq!(fates[0], &Fate::Answered(502, "bad gateway".into()));
        assert_eq!(fates[1], &Fate::Lost("connection reset".to_owned()));
        assert_eq!(fates[2], &Fate::Answered(201, serde_json::json!({ "id": "ord_1" })));
        assert_eq!(fates[3], &Fate::Open);
        assert_eq!(entries[3].request["reference"], "r-0000000003");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_a_torn_middle_is_an_error() {
        let path = scratch("torn");
        let mut orders = Orders::new(Kind::Sale, "h", &["k".to_owned()], "r");
        Journal::open(&path).unwrap().sent(7, &orders.write(7)).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"number\":7,\"stat")).unwrap();
        assert_eq!(read(&path).unwrap()[0].fate, Fate::Open);
        std::fs::write(&path, format!("{{\"number\":6,\"stat\n{whole}")).unwrap();
        assert!(read(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
