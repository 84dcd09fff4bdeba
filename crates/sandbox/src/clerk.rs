//! The clerk: the one thread that decides, writes the book and answers.
//!
//! It takes whatever has queued up while it was writing, decides each request in turn, writes all entries and flushes
//! **once**, and only then answers. One request at a time pays one flush; a hundred at a time share one. Reading goes the
//! same way, so nobody ever sees what a crash could take back.
//!
//! When the book cannot be written the clerk stops: from then on every request is answered with [`Trouble::Stopped`], for
//! nobody knows what of the last write is on the disk.

use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

use crate::book::{Book, OpenError};
use crate::entry::{AuthorizationId, Entry, Key, NoticeId};
use crate::issuer::Issuer;
use crate::message::{Authorize, Authorized, Found, Notice, Operate, Operated, Totals, Trouble, View};

/// Requests that may wait; more are turned away with [`Trouble::Busy`]. At 1 KiB each this is 4 MiB.
const QUEUE_MAX: usize = 4_096;

/// Requests that share a flush; bounds the memory of one batch and the wait of its first request.
const BATCH_MAX: usize = 512;

/// Entries that a book takes. 230 bytes of memory each (measured, short descriptions), so some 230 MiB at the end; more is
/// no sandbox.
pub const ENTRIES_MAX: u64 = 1_000_000;

/// How long disputes and slow refunds take: long enough to see the state before, short enough to wait for.
pub const LATER_DEFAULT: SignedDuration = SignedDuration::from_secs(2);

/// How often the clock is looked at while something is to follow; a test may set the clock forward.
const LOOK_AT_CLOCK: Duration = Duration::from_millis(20);

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's own clock.
pub fn wall_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// How an issuer is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The book.
    pub book: PathBuf,
    /// Makes the network's transaction ids.
    pub seed: u64,
    /// How long disputes and slow refunds take.
    pub later: SignedDuration,
    /// Entries that the book takes.
    pub entries_max: u64,
}

impl Settings {
    /// The defaults, over this book.
    pub fn new(book: impl Into<PathBuf>) -> Settings {
        Settings {
            book: book.into(),
            seed: 0,
            later: LATER_DEFAULT,
            entries_max: ENTRIES_MAX,
        }
    }
}

/// A handle on the clerk. When the last one is dropped the thread ends, with everything it answered in the book.
#[derive(Clone)]
pub struct Clerk {
    queue: SyncSender<Ask>,
    /// Rung when there is a new notice.
    bell: Arc<Notify>,
}

/// A page of the book: lines with commas between them, and whether there are more.
pub type Page = (Vec<u8>, bool);

type Answer<T> = oneshot::Sender<Result<T, Trouble>>;

enum Ask {
    Authorize(Authorize, Answer<Authorized>),
    Operate(Operate, Answer<Operated>),
    Acknowledge(NoticeId, Answer<()>),
    Read(Read),
    Close(oneshot::Sender<()>),
}

enum Read {
    View(AuthorizationId, Answer<View>),
    ByKey(Key, Answer<Found>),
    Totals {
        after: u32,
        limit: usize,
        answer: Answer<Totals>,
    },
    Page {
        after: u64,
        limit: usize,
        answer: Answer<Page>,
    },
    Notices {
        limit: usize,
        answer: Answer<Vec<Notice>>,
    },
}

impl Clerk {
    /// Opens the book, rebuilds the state from it and starts the thread. Blocks while it reads: three seconds for
    /// 100,000 entries in a debug build.
    pub fn open(settings: Settings, clock: Clock) -> Result<Clerk, OpenError> {
        let mut issuer = Issuer::new(settings.seed, settings.later);
        let book = Book::open(&settings.book, |entry| issuer.apply(entry))?;
        tracing::info!(book = %settings.book.display(), entries = book.entries(), "the issuer's book is open");
        let (queue, asks) = sync_channel(QUEUE_MAX);
        let bell = Arc::new(Notify::new());
        let desk = Desk {
            book,
            issuer,
            clock,
            entries_max: settings.entries_max,
            stopped: None,
            rung_for: 0,
            bell: Arc::clone(&bell),
        };
        std::thread::Builder::new()
            .name("issuer".into())
            .spawn(move || desk.run(asks))
            .map_err(|source| OpenError::Io {
                path: settings.book,
                source,
            })?;
        Ok(Clerk { queue, bell })
    }

    /// Asks for an authorisation.
    pub async fn authorize(&self, ask: Authorize) -> Result<Authorized, Trouble> {
        self.ask(|answer| Ask::Authorize(ask, answer)).await
    }

    /// Asks for a step on an authorisation.
    pub async fn operate(&self, ask: Operate) -> Result<Operated, Trouble> {
        self.ask(|answer| Ask::Operate(ask, answer)).await
    }

    /// Up to `limit` notices that nobody has acknowledged, oldest first.
    pub async fn notices(&self, limit: usize) -> Result<Vec<Notice>, Trouble> {
        self.ask(|answer| Ask::Read(Read::Notices { limit, answer })).await
    }

    /// Writes down that a notice was acknowledged. Once more changes nothing.
    pub async fn acknowledge(&self, notice: NoticeId) -> Result<(), Trouble> {
        self.ask(|answer| Ask::Acknowledge(notice, answer)).await
    }

    /// Waits until there is a new notice; for one courier.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// An authorisation as it stands.
    pub async fn view(&self, id: AuthorizationId) -> Result<View, Trouble> {
        self.ask(|answer| Ask::Read(Read::View(id, answer))).await
    }

    /// What is known under a key, as it stands.
    pub async fn by_key(&self, key: Key) -> Result<Found, Trouble> {
        self.ask(|answer| Ask::Read(Read::ByKey(key, answer))).await
    }

    /// Totals of up to `limit` authorisations after number `after`, oldest first.
    pub async fn totals(&self, after: u32, limit: usize) -> Result<Totals, Trouble> {
        self.ask(|answer| Ask::Read(Read::Totals { after, limit, answer }))
            .await
    }

    /// Up to `limit` lines of the book after entry number `after`.
    pub async fn page(&self, after: u64, limit: usize) -> Result<Page, Trouble> {
        self.ask(|answer| Ask::Read(Read::Page { after, limit, answer })).await
    }

    /// Lets go of the book, so that another process may open it. Whoever asks after this is told that it was closed.
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        // A full queue is behind a busy clerk: wait for it, this is the last request. No clerk, nothing to close.
        let queue = self.queue.clone();
        let sent = tokio::task::spawn_blocking(move || queue.send(Ask::Close(answer)).is_ok()).await;
        if sent.unwrap_or(false) {
            closed.await.ok();
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(Answer<T>) -> Ask) -> Result<T, Trouble> {
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(ask(answer)) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(gone())),
            Err(TrySendError::Full(_)) => Err(Trouble::Busy),
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }
}

fn gone() -> Trouble {
    Trouble::Stopped("it was closed, or its thread ended unexpectedly (then the log says why)".into())
}

/// What the thread owns.
struct Desk {
    book: Book,
    issuer: Issuer,
    clock: Clock,
    entries_max: u64,
    /// Why nothing is acknowledged, until the book can be written.
    stopped: Option<Trouble>,
    /// The newest notice that the bell was rung for.
    rung_for: u64,
    bell: Arc<Notify>,
}

/// Sends an answer once the batch is on the disk, or the trouble that kept it from getting there.
type Reply = Box<dyn FnOnce(Option<&Trouble>)>;

impl Desk {
    fn run(mut self, asks: Receiver<Ask>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = self.wait(&asks) else { break };
            closing = self.turn(first.into_iter().chain(asks.try_iter()).take(BATCH_MAX));
        }
        // First the lock of the file, then whatever is still waiting, then whoever asked.
        drop(self);
        drop(asks);
        if let Some(closed) = closing {
            closed.send(()).ok();
        }
    }

    /// The next request; `Some(None)` when something may be due instead, `None` when all handles are gone.
    fn wait(&self, asks: &Receiver<Ask>) -> Option<Option<Ask>> {
        if self.issuer.next_due().is_none() || self.stopped.is_some() {
            return asks.recv().ok().map(Some);
        }
        match asks.recv_timeout(LOOK_AT_CLOCK) {
            Ok(ask) => Some(Some(ask)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Decides a batch, flushes once, answers. Says whom to tell when it was asked to close.
    fn turn(&mut self, asks: impl Iterator<Item = Ask>) -> Option<oneshot::Sender<()>> {
        let now = (self.clock)();
        // Milliseconds are what the protocol shows.
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        let mut replies: Vec<Reply> = Vec::new();
        let mut reads = Vec::new();
        let mut closing = None;
        if self.stopped.is_none() {
            while let Some(entry) = self.issuer.due(now) {
                self.record(&[entry]);
            }
        }
        for ask in asks {
            match ask {
                Ask::Authorize(ask, answer) => {
                    let result = self.authorize(&ask, now);
                    replies.push(reply(result, answer));
                }
                Ask::Operate(ask, answer) => {
                    let result = self.operate(&ask, now);
                    replies.push(reply(result, answer));
                }
                Ask::Acknowledge(notice, answer) => {
                    let result = self.acknowledge(notice, now);
                    replies.push(reply(result, answer));
                }
                Ask::Read(read) => reads.push(read),
                Ask::Close(closed) => closing = Some(closed),
            }
        }
        match self.book.flush() {
            Ok(()) if self.stopped.take().is_some() => tracing::info!("the issuer's book can be written again"),
            Ok(()) => {}
            Err(error) => {
                if self.stopped.is_none() {
                    tracing::error!(%error, "the issuer's book could not be written; nothing is acknowledged until it can be");
                }
                self.stopped = Some(Trouble::Stopped(format!("its book could not be written ({error})")));
            }
        }
        for reply in replies {
            reply(self.stopped.as_ref());
        }
        let newest = self.issuer.newest_notice();
        if newest > self.rung_for && self.stopped.is_none() {
            self.rung_for = newest;
            self.bell.notify_one();
        }
        for read in reads {
            self.read(read);
        }
        closing
    }

    fn authorize(&mut self, ask: &Authorize, now: Timestamp) -> Result<Authorized, Trouble> {
        self.ready()?;
        let entries = self.issuer.authorize(ask, now)?;
        self.room_for(&entries)?;
        self.record(&entries);
        Ok(self
            .issuer
            .authorized(&ask.key, entries.is_empty())
            .expect("its entries were applied just now or before"))
    }

    fn operate(&mut self, ask: &Operate, now: Timestamp) -> Result<Operated, Trouble> {
        self.ready()?;
        let entry = self.issuer.operate(ask, now)?;
        self.room_for(entry.as_slice())?;
        self.record(entry.as_slice());
        Ok(self
            .issuer
            .operated(&ask.key, entry.is_none())
            .expect("its entry was applied just now or before"))
    }

    fn acknowledge(&mut self, notice: NoticeId, now: Timestamp) -> Result<(), Trouble> {
        self.ready()?;
        let entry = self.issuer.acknowledge(notice, now);
        self.room_for(entry.as_slice())?;
        self.record(entry.as_slice());
        Ok(())
    }

    fn ready(&self) -> Result<(), Trouble> {
        self.stopped.clone().map_or(Ok(()), Err)
    }

    fn room_for(&self, entries: &[Entry]) -> Result<(), Trouble> {
        let fits = entries.is_empty() || self.issuer.last_seq() + (entries.len() as u64) <= self.entries_max;
        if fits {
            Ok(())
        } else {
            Err(Trouble::Full(self.entries_max))
        }
    }

    fn record(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.book.stage(entry);
            self.issuer.apply(entry);
        }
    }

    fn read(&self, read: Read) {
        // A caller that went away does not want its answer: a failed send is no fault.
        match read {
            Read::View(id, answer) => drop(answer.send(self.ready().and_then(|()| self.issuer.view(id)))),
            Read::ByKey(key, answer) => drop(answer.send(self.ready().and_then(|()| self.issuer.by_key(&key)))),
            Read::Totals { after, limit, answer } => {
                drop(answer.send(self.ready().map(|()| self.issuer.totals(after, limit))));
            }
            Read::Notices { limit, answer } => {
                drop(answer.send(self.ready().map(|()| self.issuer.unacknowledged(limit))));
            }
            Read::Page { after, limit, answer } => {
                let unreadable = |error| Trouble::Stopped(format!("its book could not be read ({error})"));
                drop(
                    answer.send(
                        self.ready()
                            .and_then(|()| self.book.page(after, limit).map_err(unreadable)),
                    ),
                );
            }
        }
    }
}

fn reply<T: 'static>(result: Result<T, Trouble>, answer: Answer<T>) -> Reply {
    Box::new(move |stopped| drop(answer.send(stopped.map_or(result, |trouble| Err(trouble.clone())))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards;
    use crate::entry::{Authentication, Currency};

    fn sale(key: &str) -> Authorize {
        Authorize {
            key: Key::parse(key).unwrap(),
            card: cards::by_name("card_visa").unwrap(),
            amount: 100,
            currency: Currency::parse("EUR").unwrap(),
            capture: true,
            three_ds: Authentication::None,
            description: None,
        }
    }

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("florin-clerk-{}-{name}", std::process::id()));
        std::fs::remove_file(&path).ok();
        path
    }

    #[tokio::test]
    async fn a_disk_that_was_full_for_a_while_leaves_a_whole_book() {
        let path = path("full");
        let mut desk = Desk {
            book: Book::open(&path, |_| {}).unwrap(),
            issuer: Issuer::new(0, LATER_DEFAULT),
            clock: wall_clock(),
            entries_max: 10,
            stopped: None,
            rung_for: 0,
            bell: Arc::default(),
        };
        let mut said = Vec::new();
        for (key, room) in [("a", None), ("b", Some(30)), ("c", Some(0)), ("d", None), ("e", None)] {
            desk.book.fill_disk(room);
            let (answer, heard) = oneshot::channel();
            desk.turn([Ask::Authorize(sale(key), answer)].into_iter());
            said.push(heard.await.unwrap().is_ok());
        }
        // The fourth finds it stopped, and what was waiting goes to the disk behind it.
        assert_eq!(said, [true, false, false, false, true]);
        drop(desk);
        let mut read = Vec::new();
        Book::open(&path, |entry| read.push((entry.seq, entry.key.clone()))).unwrap();
        let numbers: Vec<u64> = read.iter().map(|(seq, _)| *seq).collect();
        assert!(
            numbers.iter().copied().eq(1..=numbers.len() as u64),
            "each once: {read:?}"
        );
        read.dedup_by(|one, before| one.1 == before.1);
        let keys = ["a", "b", "e"].map(|key| Some(Key::parse(key).unwrap()));
        assert!(read.into_iter().map(|(_, key)| key).eq(keys));
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn after_a_failed_write_nothing_is_acknowledged_any_more() {
        let path = path("broken");
        let mut book = Book::open(&path, |_| {}).unwrap();
        book.break_disk();
        let (queue, asks) = sync_channel(8);
        let issuer = Issuer::new(0, LATER_DEFAULT);
        let desk = Desk {
            book,
            issuer,
            clock: wall_clock(),
            entries_max: 10,
            stopped: None,
            rung_for: 0,
            bell: Arc::default(),
        };
        std::thread::spawn(move || desk.run(asks));
        let clerk = Clerk {
            queue,
            bell: Arc::default(),
        };
        for key in ["a", "a", "b"] {
            let answer = clerk.authorize(sale(key)).await;
            assert!(
                matches!(&answer, Err(Trouble::Stopped(why)) if why.contains("could not be written")),
                "{answer:?}"
            );
        }
        let known = clerk.by_key(Key::parse("a").unwrap()).await;
        assert!(
            matches!(known, Err(Trouble::Stopped(_))),
            "what is not on the disk is not shown: {known:?}"
        );
        clerk.close().await;
        Book::open(&path, |entry| panic!("{entry:?} was never acknowledged")).unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn more_than_the_queue_takes_is_turned_away_at_once() {
        let (queue, asks) = sync_channel(1);
        let clerk = Clerk {
            queue,
            bell: Arc::default(),
        };
        let waiting = tokio::spawn({
            let clerk = clerk.clone();
            async move { clerk.authorize(sale("a")).await }
        });
        while !waiting.is_finished() {
            tokio::task::yield_now().await;
            if matches!(clerk.authorize(sale("b")).await, Err(Trouble::Busy)) {
                drop(asks);
                break;
            }
        }
        assert!(matches!(waiting.await.unwrap(), Err(Trouble::Stopped(_))));
    }
}
