//! The shop's records on disk: one file of JSON lines that only grows, flushed before anybody is told.
//!
//! ```text
//! shop.jsonl   {"cart":{…}}
//!              {"purchase":{…}}
//!              {"purchase":{…},"cart":{…}}      what became new together is one line, so it is there wholly or not at all
//! ```
//!
//! Reading it from the top and keeping the last record of each name gives the [`Shelf`]. A last line without its end is a write
//! that nobody was told about: it is cut off. Any other unreadable line stops the start, naming it. When the file has grown to
//! twice what it needs (and [`REWRITE_BYTES`]), it is written anew beside itself and renamed. One process at a time holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;

use crate::Error;
use crate::shelf::{Change, Shelf};

/// Below this a file is not worth rewriting.
const REWRITE_BYTES: u64 = 8 << 20;
const FILE: &str = "shop.jsonl";

/// The records: memory to read from, and the file that every change goes through first.
#[derive(Clone)]
pub(crate) struct Book {
    shelf: Arc<RwLock<Shelf>>,
    file: Arc<Mutex<Journal>>,
}

impl Book {
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let (journal, shelf) = Journal::open(&path).map_err(|why| Error::Records {
            path,
            why: why.to_string(),
        })?;
        Ok(Self {
            shelf: Arc::new(RwLock::new(shelf)),
            file: Arc::new(Mutex::new(journal)),
        })
    }

    /// Looks something up. Never waits for the disk.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Shelf) -> T) -> T {
        look(&self.shelf.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Decides on a change by what is known now, and makes it so: first on disk, then in memory. Changes go one after the other.
    ///
    /// It is finished even when the caller goes away, as browsers do: disk and memory must not part.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Shelf) -> (Change, T) + Send + 'static,
    ) -> io::Result<T> {
        let book = self.clone();
        let task = tokio::spawn(async move {
            let mut file = book.file.clone().lock_owned().await;
            let (change, told) = book.read(decide);
            if change.is_empty() {
                return Ok(told);
            }
            tokio::task::spawn_blocking(move || {
                file.append(&change)?;
                book.shelf.write().unwrap_or_else(PoisonError::into_inner).apply(change);
                if file.wants_rewrite() {
                    let lines: Vec<_> = book.read(|shelf| shelf.snapshot().collect());
                    // The old file is whole, so a rewrite that fails costs nothing but its room.
                    if let Err(why) = file.rewrite(&lines) {
                        tracing::warn!(%why, "cannot rewrite the shop's journal; it goes on growing");
                    }
                }
                Ok(told)
            })
            .await?
        });
        task.await?
    }
}

/// The file itself.
struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    rewrite_at: u64,
    /// A write failed and could not be taken back; whatever came after it would be lost.
    broken: bool,
}

impl Journal {
    fn open(path: &Path) -> io::Result<(Self, Shelf)> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = private(OpenOptions::new().read(true).write(true).create(true).truncate(false)).open(path)?;
        lock(&file)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let mut shelf = Shelf::default();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for (number, line) in text[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            let change = serde_json::from_slice(line)
                .map_err(|why| io::Error::other(format!("line {} is unreadable: {why}", number + 1)))?;
            shelf.apply(change);
        }
        if whole < text.len() {
            tracing::warn!(path = %path.display(), "cutting off a half-written last line of the shop's journal");
            file.set_len(whole as u64)?;
        }
        file.seek(SeekFrom::End(0))?;
        file.sync_all()?;
        sync_folder(path)?;
        let (path, bytes) = (path.to_owned(), whole as u64);
        Ok((
            Self {
                path,
                file,
                bytes,
                rewrite_at: REWRITE_BYTES,
                broken: false,
            },
            shelf,
        ))
    }

    fn append(&mut self, change: &Change) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed; restart the shop"));
        }
        let mut line = serde_json::to_vec(change)?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(why) = written {
            let back = self
                .file
                .set_len(self.bytes)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.bytes)));
            // After a failed flush nobody knows what the disk holds, so only a clean cut lets us go on.
            self.broken = back.and_then(|_| self.file.sync_all()).is_err();
            return Err(why);
        }
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn wants_rewrite(&self) -> bool {
        self.bytes >= self.rewrite_at
    }

    fn rewrite(&mut self, lines: &[Change]) -> io::Result<()> {
        // Whatever comes of it, not again before the file has doubled.
        self.rewrite_at = (2 * self.bytes).max(REWRITE_BYTES);
        let beside = self.path.with_extension("jsonl.new");
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&beside)?;
        lock(&file)?;
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        self.file = file;
        self.bytes = text.len() as u64;
        self.rewrite_at = (2 * self.bytes).max(REWRITE_BYTES);
        sync_folder(&self.path)
    }
}

/// Readable by nobody else: the file names order pages.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another shop is running on these records")),
        Err(TryLockError::Error(why)) => Err(why),
    }
}

/// Makes a new name in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::purchase::tests::purchase;

    /// A fresh folder of this test run.
    pub(crate) fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("florin-shop-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    async fn remember(book: &Book, reference: &str) {
        let change = purchase(reference).into();
        book.change(move |_| (change, ())).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart() {
        let folder = folder("restart");
        let book = Book::open(&folder).unwrap();
        remember(&book, "G-1").await;
        remember(&book, "G-2").await;
        drop(book);
        let book = Book::open(&folder).unwrap();
        assert!(book.read(|shelf| shelf.by_reference("G-1").is_some() && shelf.by_reference("G-2").is_some()));
    }

    #[tokio::test]
    async fn a_torn_last_line_is_cut_off_and_writing_goes_on() {
        let folder = folder("torn");
        let book = Book::open(&folder).unwrap();
        remember(&book, "G-1").await;
        remember(&book, "G-2").await;
        drop(book);
        let path = folder.join(FILE);
        let length = fs::metadata(&path).unwrap().len();
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(length - 7)
            .unwrap();
        let book = Book::open(&folder).unwrap();
        assert!(book.read(|shelf| shelf.by_reference("G-2").is_none()));
        remember(&book, "G-3").await;
        drop(book);
        let book = Book::open(&folder).unwrap();
        assert!(book.read(|shelf| shelf.by_reference("G-1").is_some() && shelf.by_reference("G-3").is_some()));
    }

    #[tokio::test]
    async fn an_unreadable_line_in_the_middle_stops_the_start_and_is_named() {
        let folder = folder("rotten");
        let book = Book::open(&folder).unwrap();
        remember(&book, "G-1").await;
        drop(book);
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{oops\n{text}")).unwrap();
        let why = Book::open(&folder).err().unwrap().to_string();
        assert!(why.contains("line 2 is unreadable"), "{why}");
    }

    #[tokio::test]
    async fn two_shops_cannot_share_records() {
        let folder = folder("shared");
        let _first = Book::open(&folder).unwrap();
        let why = Book::open(&folder).err().unwrap().to_string();
        assert!(why.contains("another shop is running"), "{why}");
    }

    #[tokio::test]
    async fn a_rewritten_journal_is_smaller_and_says_the_same() {
        let folder = folder("rewrite");
        let path = folder.join(FILE);
        {
            let (mut journal, mut shelf) = Journal::open(&path).unwrap();
            let one = purchase("G-1");
            for _ in 0..100 {
                journal.append(&one.clone().into()).unwrap();
            }
            shelf.apply(one.into());
            let before = journal.bytes;
            journal.rewrite(&shelf.snapshot().collect::<Vec<_>>()).unwrap();
            assert!(journal.bytes < before / 50);
            journal.append(&purchase("G-2").into()).unwrap();
        }
        let (_, shelf) = Journal::open(&path).unwrap();
        assert!(shelf.by_reference("G-1").is_some() && shelf.by_reference("G-2").is_some());
    }
}
