//! The book: an append-only file of entries, one JSON line each, that is flushed before anybody is answered.
//!
//! Each line ends with `,"hash":"…"}`, the SHA-256 of the previous line's hash and of the line without it, so that a line
//! that was changed, lost or put in between shows. Opening reads every line and gives it to the caller, who rebuilds the
//! state from it.
//!
//! A crash can leave a torn tail: bytes after the last line feed, or a first entry whose `more` never came. Nobody was
//! answered for those, so they are cut, and the log says how many bytes went. A *whole* line that does not verify is no
//! crash of ours; the book is then refused with a message that says what to do, and the file is left as it is.

use aws_lc_rs::digest;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::entry::Entry;

/// Longest line: an entry with the longest key and description, each character escaped, is below 2 KiB.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// The hash before the first line.
const GENESIS: &[u8] = b"florin issuer book, format 1";

/// `,"hash":"` + 64 hexadecimal digits + `"}`.
const SEAL_BYTES: usize = 9 + 64 + 2;

/// The open book.
pub struct Book {
    file: File,
    path: PathBuf,
    /// Where each entry starts, and the end of the file: 8 bytes an entry, for pages.
    starts: Vec<u64>,
    chain: Hash,
    /// Staged lines, not written yet.
    staged: Vec<u8>,
    staged_starts: Vec<u64>,
    /// What is at the end of the file is not known.
    broken: bool,
    #[cfg(test)]
    room: Option<usize>,
}

type Hash = [u8; 32];

/// Why a book could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system said no.
    #[error("cannot open the issuer's book {path}: {source}; check that the directory exists and may be written")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else has it.
    #[error("the issuer's book {path} is in use by another process; stop that one or choose another data directory")]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// A line that was whole does not verify.
    #[error(
        "the issuer's book {path} is damaged at entry {entry} (byte {offset}): {what}; nothing was changed. Put back a \
         copy of the file, or move it away to start with an empty book. If you know that nothing before the damage \
         matters to anybody any more, `truncate -s {offset} {path}` keeps the entries before it and loses the rest"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which entry, counted from 1.
        entry: u64,
        /// Where it starts.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
}

impl Book {
    /// Opens or makes the file, and gives every entry in it to `each`, in order.
    pub fn open(path: &Path, mut each: impl FnMut(&Entry)) -> Result<Book, OpenError> {
        let io_error = |source| OpenError::Io {
            path: path.into(),
            source,
        };
        let existed = path.exists();
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        if !existed {
            flush_directory(path).map_err(io_error)?;
        }
        let mut book = Book {
            file,
            path: path.into(),
            starts: vec![0],
            chain: sha256(GENESIS, b""),
            staged: Vec::new(),
            staged_starts: Vec::new(),
            broken: false,
            #[cfg(test)]
            room: None,
        };
        book.read(&mut each)?;
        Ok(book)
    }

    fn read(&mut self, each: &mut impl FnMut(&Entry)) -> Result<(), OpenError> {
        let path = self.path.clone();
        let io_error = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        let length = self.file.metadata().map_err(io_error)?.len();
        let mut reader = BufReader::with_capacity(1 << 16, self.file.try_clone().map_err(io_error)?);
        let mut line = Vec::new();
        let mut group: Vec<(Entry, u64, Hash)> = Vec::new();
        let (mut offset, mut chain) = (0, self.chain);
        loop {
            line.clear();
            let read = io::Read::take(&mut reader, LINE_BYTES_MAX as u64)
                .read_until(b'\n', &mut line)
                .map_err(io_error)?;
            if line.last() != Some(&b'\n') {
                if read == LINE_BYTES_MAX {
                    return Err(self.damaged(&group, offset, "it is longer than any line may be".into()));
                }
                break;
            }
            let checked = unseal(&chain, &line[..line.len() - 1])
                .and_then(|(entry, hash)| self.in_order(&group, &entry).map(|()| (entry, hash)));
            let (entry, hash) = checked.map_err(|what| self.damaged(&group, offset, what))?;
            offset += read as u64;
            chain = hash;
            let more = entry.more;
            group.push((entry, offset, hash));
            if !more {
                for (entry, end, hash) in group.drain(..) {
                    each(&entry);
                    self.starts.push(end);
                    self.chain = hash;
                }
            }
        }
        let keep = self.length();
        if keep < length {
            self.file
                .set_len(keep)
                .and_then(|()| self.file.sync_all())
                .map_err(io_error)?;
            tracing::warn!(
                path = %self.path.display(),
                entries = self.entries(),
                cut_bytes = length - keep,
                "cut a torn tail off the issuer's book: it was being written when the process ended, and nobody was \
                 answered for it"
            );
        }
        Ok(())
    }

    fn in_order(&self, group: &[(Entry, u64, Hash)], entry: &Entry) -> Result<(), String> {
        let expected = self.entries() + group.len() as u64 + 1;
        if entry.seq == expected {
            Ok(())
        } else {
            Err(format!("its number is {}", entry.seq))
        }
    }

    fn damaged(&self, group: &[(Entry, u64, Hash)], offset: u64, what: String) -> OpenError {
        OpenError::Damaged {
            path: self.path.clone(),
            entry: self.entries() + group.len() as u64 + 1,
            offset,
            what,
        }
    }

    /// How many entries are in the file.
    pub fn entries(&self) -> u64 {
        self.starts.len() as u64 - 1
    }

    fn length(&self) -> u64 {
        *self.starts.last().expect("never empty: it holds the end of the file")
    }

    /// Puts an entry behind those that are there, in memory. [`Book::flush`] makes it last.
    pub fn stage(&mut self, entry: &Entry) {
        debug_assert_eq!(entry.seq, self.entries() + self.staged_starts.len() as u64 + 1);
        let start = self.staged.len();
        serde_json::to_writer(&mut self.staged, entry).expect("an entry is plain data");
        self.staged.pop();
        self.chain = sha256(&self.chain, &self.staged[start..]);
        self.staged.extend_from_slice(b",\"hash\":\"");
        for byte in self.chain {
            self.staged.extend_from_slice(&hex(byte));
        }
        self.staged.extend_from_slice(b"\"}\n");
        self.staged_starts.push(self.length() + self.staged.len() as u64);
    }

    /// Writes what was staged, and returns when it is on the disk. After an error it stays staged, and what was written of it is cut off
    /// again, so that it can be tried once more: a disk is full for a while. Where the file's end is not known any more, because cutting or
    /// flushing failed, every further call fails.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.staged.is_empty() {
            return Ok(());
        }
        if self.broken {
            return Err(io::Error::other("what is at its end is not known; open it again"));
        }
        if let Err(error) = self.append() {
            self.broken = self.file.set_len(self.length()).is_err();
            return Err(error);
        }
        if let Err(error) = self.file.sync_data() {
            self.broken = true;
            return Err(error);
        }
        self.staged.clear();
        self.starts.append(&mut self.staged_starts);
        Ok(())
    }

    fn append(&mut self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(room) = self.room {
            self.file.write_all(&self.staged[..room])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all(&self.staged)
    }

    /// From now on the disk takes so many bytes of what is written, or all again.
    #[cfg(test)]
    pub(crate) fn fill_disk(&mut self, room: Option<usize>) {
        self.room = room;
    }

    /// From now on writing fails, as on a disk that is gone.
    #[cfg(test)]
    pub(crate) fn break_disk(&mut self) {
        self.file = File::open(&self.path).expect("it is there");
    }

    /// Up to `limit` lines after entry number `after`, with commas between them, and whether there are more.
    pub fn page(&self, after: u64, limit: usize) -> io::Result<(Vec<u8>, bool)> {
        let first = usize::try_from(after).unwrap_or(usize::MAX).min(self.starts.len() - 1);
        let last = first.saturating_add(limit).min(self.starts.len() - 1);
        let (start, end) = (self.starts[first], self.starts[last]);
        let mut lines = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut lines, start)?;
        for at in first + 1..last {
            lines[(self.starts[at] - start) as usize - 1] = b',';
        }
        lines.pop();
        Ok((lines, last < self.starts.len() - 1))
    }
}

/// Takes the hash off a line and sees whether it is right.
fn unseal(chain: &Hash, line: &[u8]) -> Result<(Entry, Hash), String> {
    let seal_at = line
        .len()
        .checked_sub(SEAL_BYTES)
        .ok_or("it is too short for an entry")?;
    let (body, seal) = line.split_at(seal_at);
    let hash = sha256(chain, body);
    let mut expected = b",\"hash\":\"".to_vec();
    expected.extend(hash.iter().flat_map(|byte| hex(*byte)));
    expected.extend_from_slice(b"\"}");
    if seal != expected {
        return Err("its hash is not that of this line after the one before it".into());
    }
    let mut json = body.to_vec();
    json.push(b'}');
    let entry = serde_json::from_slice(&json).map_err(|error| format!("this version cannot read it: {error}"))?;
    Ok((entry, hash))
}

fn sha256(before: &[u8], body: &[u8]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(before);
    context.update(body);
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// A new file is only there after a crash if its directory was flushed.
fn flush_directory(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
