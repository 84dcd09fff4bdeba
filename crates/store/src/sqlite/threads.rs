//! The threads behind the store: one that writes, a few that read. Work reaches them through bounded queues as closures.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use tokio::sync::{mpsc, oneshot};

use super::copier::{Copier, copy};
use super::names::Names;
use crate::Fault;

/// Jobs that may wait for a thread; whoever brings one more waits with it.
const QUEUE: usize = 256;
/// How much longer than [`Settings::checkpoint_pages`](super::Settings) says a WAL may become while it is copied, before writing waits for
/// that.
const WAL_TIMES_MAX: u32 = 8;
/// Without work for this long the writer empties the WAL file, so that a quiet server leaves a small one and starts fast.
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
    copier: Copier,
    /// The copier has ended, and what was written meanwhile is to be copied.
    rest: bool,
    /// Pages that had been copied when the last copy was whole, as long as the WAL has not started over.
    copied: u32,
    /// Set by the first failed flush, for good.
    broken: Option<String>,
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
        let seen = Arc::clone(&wal_pages);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let desk = Desk {
            pen: Pen { connection, names },
            wal_pages,
            checkpoint_pages,
            copier: Copier::start(copying)?,
            rest: false,
            copied: 0,
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
    let mut quiet = true;
    loop {
        let job = if quiet {
            queue.recv().await
        } else {
            match tokio::time::timeout(IDLE, queue.recv()).await {
                Ok(job) => job,
                Err(_) => {
                    quiet = desk.empty_wal();
                    continue;
                }
            }
        };
        let Some(job) = job else { break };
        job(&mut desk);
        quiet = false;
        desk.tidy_names();
        desk.tidy_wal();
    }
    desk.copier.stop();
    desk.empty_wal();
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
        if pages < self.copied {
            self.copied = 0; // it has started over
        }
        let ended = if pages.saturating_sub(self.copied) < self.checkpoint_pages.saturating_mul(WAL_TIMES_MAX) {
            self.copier.ended()
        } else {
            self.copier.wait()
        };
        self.heard(ended);
        if self.rest {
            self.rest = false;
            self.checkpoint(CheckpointMode::PASSIVE);
            // A reader of older pages may have kept it from starting over: then as much again is written first.
            self.copied = pages;
        }
        let long = pages >= self.copied.saturating_add(self.checkpoint_pages);
        if long && self.broken.is_none() && !self.copier.is_under_way() && !self.copier.begin() {
            self.checkpoint(CheckpointMode::PASSIVE);
            self.copied = pages;
        }
    }

    /// Leaves no WAL behind; false when that has to wait for the copier.
    fn empty_wal(&mut self) -> bool {
        self.hear_copier();
        if self.copier.is_under_way() {
            return false;
        }
        self.rest = false;
        self.checkpoint(CheckpointMode::TRUNCATE);
        true
    }

    /// Takes note of how the copy under way ended, if it has.
    fn hear_copier(&mut self) {
        let ended = self.copier.ended();
        self.heard(ended);
    }

    fn heard(&mut self, ended: Option<Result<(), Fault>>) {
        if let Some(ended) = ended {
            self.rest = true;
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
    fn note_copy(&mut self, ended: Result<(), Fault>) {
        match ended {
            Ok(()) => {}
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
