//! The threads behind the store: one that writes, a few that read. Work reaches them through bounded queues as closures.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::BUSY;
use super::copier::{Copier, copy};
use super::names::Names;
use crate::Fault;

/// Jobs that may wait for a thread; whoever brings one more waits with it.
const QUEUE: usize = 256;
/// How much longer than [`Settings::checkpoint_pages`](super::Settings) says a WAL may become while it is copied, before writing waits for
/// that.
const WAL_TIMES_MAX: u32 = 8;
/// How many times the copier is sent again while the WAL grows by [`Settings::checkpoint_pages`](super::Settings).
const SENT_AGAIN: u32 = 8;
/// When nothing was written for this long the writer empties the WAL file, so that a quiet server leaves a small one and starts fast.
const IDLE: Duration = Duration::from_secs(2);

type Job<D> = Box<dyn FnOnce(&mut D) + Send>;

/// Hands `work` to a desk and waits for what comes of it. The work is done even if the caller goes away.
async fn ask<D: 'static, T: Send + 'static>(
    jobs: &mpsc::Sender<Job<D>>,
    work: impl FnOnce(&mut D) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let (reply, answer) = oneshot::channel();
    let job: Job<D> = Box::new(move |desk| {
        // Nobody may be waiting any more: that is theirs to know.
        let _ = reply.send(work(desk));
    });
    let gone = || Fault::Broken("the thread that owns the database has ended; the log says why".to_owned());
    jobs.send(job).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// The writing thread.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job<Desk>>>,
    thread: Option<JoinHandle<()>>,
}

/// What writes: the connection, and the names that it guards.
pub(super) struct Pen {
    pub(super) connection: Connection,
    pub(super) names: Names,
}

/// What the writing thread has before it.
struct Desk {
    pen: Pen,
    /// Pages in the WAL after the last commit.
    wal_pages: Arc<AtomicU32>,
    checkpoint_pages: u32,
    /// Whether something was committed since it was last looked.
    wrote: Arc<AtomicBool>,
    copier: Copier,
    log: Log,
    /// Set by the first failed flush, for good.
    broken: Option<String>,
}

/// What is known of the WAL since it last started over.
#[derive(Default)]
struct Log {
    /// Pages in it, when it was last looked.
    pages: u32,
    /// How many of them have been copied.
    copied: u32,
    /// How many it had when the copier was last sent; 0 if it has not been.
    sent: u32,
    /// The copier has ended: what is left is copied after each commit, until the WAL starts over.
    rest: bool,
}

impl Writer {
    /// A thread that writes over `connection`, and one that copies over `copying`.
    pub(super) fn start(
        mut connection: Connection,
        copying: Connection,
        names: Names,
        checkpoint_pages: u32,
    ) -> Result<Self, Fault> {
        let wal_pages = Arc::new(AtomicU32::new(0));
        let wrote = Arc::new(AtomicBool::new(false));
        let (seen, written) = (Arc::clone(&wal_pages), Arc::clone(&wrote));
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            written.store(true, Ordering::Relaxed);
            Ok(())
        }))?;
        let desk = Desk {
            pen: Pen { connection, names },
            copier: Copier::start(copying, Arc::clone(&wal_pages))?,
            wal_pages,
            checkpoint_pages,
            wrote,
            log: Log::default(),
            broken: None,
        };
        let (jobs, queue) = mpsc::channel(QUEUE);
        // A runtime of its own gives the thread a queue that it can wait for with a time limit.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| cannot_start(&error))?;
        let thread = std::thread::Builder::new()
            .name("florin-writer".to_owned())
            .spawn(move || runtime.block_on(serve(desk, queue)))
            .map_err(|error| cannot_start(&error))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Pen) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let jobs = self.jobs.as_ref().expect("taken only when the store is dropped");
        ask(jobs, move |desk| desk.attempt(work)).await
    }

    /// Runs what only reads: it is answered even if nothing is written any more.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Pen) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let jobs = self.jobs.as_ref().expect("taken only when the store is dropped");
        ask(jobs, move |desk| work(&mut desk.pen)).await
    }
}

/// Ends when the commit under way has ended and its reply is out.
impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

async fn serve(mut desk: Desk, mut queue: mpsc::Receiver<Job<Desk>>) {
    // When the WAL is to be emptied; whoever only looks (claims do, each second) does not put it off.
    let mut quiet_at = None;
    loop {
        let job = match quiet_at {
            None => queue.recv().await,
            Some(at) => match tokio::time::timeout_at(at, queue.recv()).await {
                Ok(job) => job,
                Err(_) => {
                    quiet_at = (!desk.rest()).then(|| Instant::now() + IDLE);
                    continue;
                }
            },
        };
        let Some(job) = job else { break };
        job(&mut desk);
        desk.tidy_names();
        desk.tidy_wal();
        if desk.wrote.swap(false, Ordering::Relaxed) {
            quiet_at = Some(Instant::now() + IDLE);
        }
    }
    desk.copier.stop();
    desk.hear_copier();
    desk.checkpoint(CheckpointMode::TRUNCATE);
}

impl Desk {
    fn attempt<T>(&mut self, work: impl FnOnce(&mut Pen) -> Result<T, Fault>) -> Result<T, Fault> {
        self.hear_copier();
        if let Some(why) = &self.broken {
            return Err(Fault::Broken(why.clone()));
        }
        let done = work(&mut self.pen);
        if let Err(Fault::Broken(why)) = &done {
            self.give_up(why);
        }
        done
    }

    fn give_up(&mut self, why: &str) {
        if self.broken.is_some() {
            return;
        }
        tracing::error!(
            why,
            "the disk failed: nothing more is written; restart when the disk is sound"
        );
        self.broken = Some(why.to_owned());
        // Closing would copy the WAL once more, after a flush that lied. The next start reads it afresh instead.
        if let Err(error) = self
            .pen
            .connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        {
            tracing::warn!(%error, "the last checkpoint could not be switched off");
        }
    }

    /// Does a piece of what is to be done about names, after the reply and before the next job.
    fn tidy_names(&mut self) {
        if self.broken.is_some() {
            return;
        }
        match self.pen.names.upkeep(&mut self.pen.connection) {
            Ok(()) => {}
            Err(Fault::Broken(why)) => self.give_up(&why),
            Err(other) => {
                tracing::warn!(%other, "recent references and keys stay in memory until the next batch tries again")
            }
        }
    }

    /// Has a long WAL copied, after the reply and before the next job.
    fn tidy_wal(&mut self) {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        if pages.saturating_sub(self.log.sent) < self.checkpoint_pages.saturating_mul(WAL_TIMES_MAX) {
            self.hear_copier();
        } else {
            let ended = self.copier.wait();
            self.heard(ended);
        }
        if pages < self.log.pages {
            self.log = Log::default(); // it has started over
        }
        self.log.pages = pages;
        if self.broken.is_some() || self.copier.is_under_way() {
            return;
        }
        let left = pages.saturating_sub(self.log.copied);
        if self.log.rest && left <= self.checkpoint_pages {
            self.checkpoint(CheckpointMode::PASSIVE);
        } else if left >= self.checkpoint_pages {
            // Somebody who reads older pages keeps the copier from them: it is sent again when there is more, and when a full disk lets
            // nothing more be written.
            let more = pages.saturating_sub(self.log.sent);
            if self.log.sent == 0 || more == 0 || more >= self.checkpoint_pages / SENT_AGAIN {
                self.log.sent = pages;
                if !self.copier.begin() {
                    self.checkpoint(CheckpointMode::PASSIVE);
                }
            }
        }
    }

    /// Nobody has written for a while: empties the WAL. False when that has to be tried again: the copier is at it, or somebody reads it.
    fn rest(&mut self) -> bool {
        self.hear_copier();
        if self.copier.is_under_way() {
            return false;
        }
        if self.broken.is_none() {
            let connection = &self.pen.connection;
            // Somebody else's long look at the file must not hold up the next payment; there will be another rest.
            let emptied = (connection.busy_timeout(Duration::ZERO))
                .map_err(Fault::from)
                .and_then(|()| copy(connection, CheckpointMode::TRUNCATE));
            if emptied == Ok(Some(0)) {
                self.wal_pages.store(0, Ordering::Relaxed);
                self.log = Log::default();
            }
            let kept = emptied == Ok(None);
            let waits_again = connection.busy_timeout(BUSY).map_err(Fault::from);
            self.note_copy(emptied.and_then(|copied| waits_again.map(|()| copied)));
            return !kept;
        }
        true
    }

    /// Takes note of how the copy under way ended, if it has.
    fn hear_copier(&mut self) {
        let ended = self.copier.ended();
        self.heard(ended);
    }

    fn heard(&mut self, ended: Option<Result<Option<u32>, Fault>>) {
        if let Some(ended) = ended {
            let pages = self.wal_pages.load(Ordering::Relaxed);
            if ended.is_ok() && (self.log.sent == 0 || pages < self.log.sent) {
                return; // the log has started over since the copier was sent: all of it had been copied
            }
            self.log.rest = true;
            self.note_copy(ended);
        }
    }

    /// Copies the WAL into the database file.
    fn checkpoint(&mut self, mode: CheckpointMode) {
        if self.broken.is_none() {
            let ended = copy(&self.pen.connection, mode);
            self.note_copy(ended);
        }
    }

    /// A failed flush is the end.
    fn note_copy(&mut self, ended: Result<Option<u32>, Fault>) {
        match ended {
            Ok(copied) => self.log.copied = copied.unwrap_or(self.log.copied),
            Err(Fault::Broken(why)) => self.give_up(&why),
            // The commits are safe in the WAL; the next checkpoint tries again.
            Err(other) => tracing::warn!(%other, "the write-ahead log could not be copied into the database"),
        }
    }
}

/// The reading threads.
pub(super) struct Readers {
    jobs: Option<mpsc::Sender<Job<Connection>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(super) fn start(connections: Vec<Connection>) -> Result<Self, Fault> {
        let (jobs, queue) = mpsc::channel::<Job<Connection>>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::new();
        for mut connection in connections {
            let queue = Arc::clone(&queue);
            let next = move || queue.lock().ok().and_then(|mut queue| queue.blocking_recv());
            let thread = std::thread::Builder::new()
                .name("florin-reader".to_owned())
                .spawn(move || {
                    while let Some(job) = next() {
                        job(&mut connection);
                    }
                })
                .map_err(|error| cannot_start(&error))?;
            threads.push(thread);
        }
        Ok(Self {
            jobs: Some(jobs),
            threads,
        })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let jobs = self.jobs.as_ref().expect("taken only when the store is dropped");
        ask(jobs, work).await
    }
}

/// Ends when the reads under way have ended.
impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

pub(super) fn cannot_start(error: &std::io::Error) -> Fault {
    Fault::Unavailable(format!("cannot start a thread for the database: {error}"))
}
