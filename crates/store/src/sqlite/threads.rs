//! The threads behind the store: one that writes, a few that read. Work reaches them through bounded queues as closures.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use tokio::sync::{mpsc, oneshot};

use super::names::Names;
use crate::Fault;

/// Jobs that may wait for a thread; whoever brings one more waits with it.
const QUEUE: usize = 256;
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
    /// Set by the first failed flush, for good.
    broken: Option<String>,
}

impl Writer {
    pub(super) fn start(mut connection: Connection, names: Names, checkpoint_pages: u32) -> Result<Self, Fault> {
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
                    desk.checkpoint(CheckpointMode::TRUNCATE);
                    quiet = true;
                    continue;
                }
            }
        };
        let Some(job) = job else { break };
        job(&mut desk);
        quiet = false;
        desk.tidy_names();
        if desk.wal_pages.load(Ordering::Relaxed) >= desk.checkpoint_pages {
            desk.checkpoint(CheckpointMode::PASSIVE);
        }
    }
    desk.checkpoint(CheckpointMode::TRUNCATE);
}

impl Desk {
    fn attempt<T>(&mut self, work: impl FnOnce(&mut Pen) -> Result<T, Fault>) -> Result<T, Fault> {
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

    /// Copies the WAL into the database file. A reader in its way is no fault; a failed flush is the end.
    fn checkpoint(&mut self, mode: CheckpointMode) {
        if self.broken.is_some() {
            return;
        }
        match self
            .pen
            .connection
            .wal_checkpoint_v2(Some("main"), mode)
            .map_err(Fault::from)
        {
            Ok(_) | Err(Fault::Unavailable(_)) => {}
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

fn cannot_start(error: &std::io::Error) -> Fault {
    Fault::Unavailable(format!("cannot start a thread for the database: {error}"))
}
