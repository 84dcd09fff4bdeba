//! The load generator: many kept-alive connections on one thread, each with one request out at a time.
//!
//! Two paces. *Closed loop* sends the next request when the answer to the last one is there: the maximum. *Fixed rate*
//! sends requests when they are due and counts latency **from the due time**, so that a stall of the server is paid by
//! every request that waited for it and not hidden by a generator that politely stopped asking. Timers tick once a
//! millisecond, so latencies at a fixed rate are up to 1 ms too long, never too short.
//!
//! Only answers that say what a good answer says are counted as finished; everything else is counted by status, and the
//! first of it is kept for the person who reads the figures.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::histogram::Histogram;
use crate::http1::{Connection, address_of};
use crate::journal::Journal;
use crate::orders::{Kind, Orders};

/// How long answers may take that are still out when the run is over.
const DRAIN: Duration = Duration::from_secs(10);

/// Pause before a broken connection is opened again: short, because a crash test counts on it, but no busy loop.
const REOPEN_AFTER: Duration = Duration::from_millis(20);

/// What a run does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// The server, `http://host:port`.
    pub base_url: String,
    /// API keys, one per merchant; requests take them in turn.
    pub keys: Vec<String>,
    /// What each request asks for.
    pub kind: Kind,
    /// Connections, all opened before the first request.
    pub connections: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// How long the run is.
    pub length: Length,
    /// Prefix of the references, different for every run over the same data.
    pub run: String,
    /// Where to write each request before it is sent and each answer when it came.
    pub journal: Option<PathBuf>,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// As soon as the connection has its last answer.
    Closed,
    /// So many a second, whatever the server does.
    PerSecond(u64),
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Warm up, then measure.
    Timed {
        /// Answers in this time count for nothing.
        warm_up_ms: u64,
        /// Answers in this time count.
        measured_ms: u64,
    },
    /// So many requests, all measured.
    Requests(u64),
}

/// What the generator says while it works, so that others can read their meters at the same moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// From now on answers count.
    Measuring,
    /// From now on they do not; connections are still open.
    Measured,
}

/// What a run found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Good answers in the measured time.
    pub finished: u64,
    /// Answers that say something else.
    pub unexpected: u64,
    /// Requests whose connection broke before the answer.
    pub lost: u64,
    /// Requests that were due in the measured time and could not even be sent.
    pub unsent: u64,
    /// Every answer, by status.
    pub by_status: BTreeMap<u16, u64>,
    /// The first answer or error that was not expected.
    pub first_unexpected: Option<String>,
    /// Length of the measured time.
    pub measured_us: u64,
    /// Latencies of the finished requests.
    pub latency: Latency,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the requests were faster.
    pub p50_us: u64,
    /// 99 of 100 were faster.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl Outcome {
    /// Finished requests per second.
    pub fn per_second(&self) -> f64 {
        self.finished as f64 * 1e6 / self.measured_us.max(1) as f64
    }
}

/// Runs a load on the current thread and tells `announce` when the measured time begins and ends.
///
/// # Errors
/// When not even the first connections can be opened, or the journal cannot be written. A server that breaks later is
/// an outcome, not an error.
pub async fn run(settings: &Settings, announce: impl FnMut(Phase) + 'static) -> io::Result<Outcome> {
    if settings.keys.is_empty() || settings.connections == 0 || settings.pace == Pace::PerSecond(0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a load needs at least one key, one connection and one request a second",
        ));
    }
    let address = address_of(&settings.base_url)?;
    let mut connections = Vec::with_capacity(settings.connections);
    for _ in 0..settings.connections {
        connections.push(Connection::open(address).await?);
    }
    let run = Rc::new(Run::new(settings, address, announce)?);
    let local = tokio::task::LocalSet::new();
    let asking: Vec<_> = connections
        .into_iter()
        .map(|connection| local.spawn_local(Rc::clone(&run).ask(connection)))
        .collect();
    local
        .run_until(async {
            run.watch_the_clock(async {
                for asker in asking {
                    asker.await.map_err(io::Error::other)??;
                }
                Ok(())
            })
            .await
        })
        .await?;
    Ok(run.outcome())
}

/// What all connections of a run share. One thread, so cells and no locks.
struct Run {
    settings: Settings,
    address: SocketAddr,
    start: Instant,
    measured_from: Instant,
    /// The end of the measured time; not known before the last answer when requests are counted.
    measured_to: Option<Instant>,
    next: Cell<u64>,
    orders: RefCell<Orders>,
    journal: RefCell<Option<Journal>>,
    announce: RefCell<Box<dyn FnMut(Phase)>>,
    latencies: RefCell<Histogram>,
    outcome: RefCell<Outcome>,
    marker_at: Cell<usize>,
}

/// One request of the run.
struct Ticket {
    number: u64,
    /// When it should be sent, at a fixed rate.
    due: Option<Instant>,
}

impl Run {
    fn new(settings: &Settings, address: SocketAddr, announce: impl FnMut(Phase) + 'static) -> io::Result<Self> {
        let host = address.to_string();
        let journal = settings.journal.as_deref().map(Journal::open).transpose()?;
        let start = Instant::now();
        let (measured_from, measured_to) = match settings.length {
            Length::Timed {
                warm_up_ms,
                measured_ms,
            } => {
                let from = start + Duration::from_millis(warm_up_ms);
                (from, Some(from + Duration::from_millis(measured_ms)))
            }
            Length::Requests(_) => (start, None),
        };
        Ok(Self {
            settings: settings.clone(),
            address,
            start,
            measured_from,
            measured_to,
            next: Cell::new(0),
            orders: RefCell::new(Orders::new(settings.kind, &host, &settings.keys, &settings.run)),
            journal: RefCell::new(journal),
            announce: RefCell::new(Box::new(announce)),
            latencies: RefCell::default(),
            outcome: RefCell::default(),
            marker_at: Cell::new(0),
        })
    }

    /// Announces the phases while the connections work, and ends a run whose answers do not come.
    async fn watch_the_clock(&self, asking: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        tokio::pin!(asking);
        match self.measured_to {
            None => {
                self.announce(Phase::Measuring);
                asking.await?;
                self.announce(Phase::Measured);
                self.outcome.borrow_mut().measured_us = micros(self.start.elapsed());
            }
            Some(end) => {
                let clock = async {
                    for (at, phase) in [(self.measured_from, Phase::Measuring), (end, Phase::Measured)] {
                        sleep_until(at).await;
                        self.announce(phase);
                    }
                };
                tokio::pin!(clock);
                tokio::select! {
                    // The last answers may be there a moment before the timer ticks.
                    done = &mut asking => {
                        done?;
                        clock.await;
                    }
                    () = &mut clock => match timeout(DRAIN, &mut asking).await {
                        Ok(done) => done?,
                        Err(_) => self.note("answers were still missing 10 s after the end of the run"),
                    },
                }
                self.outcome.borrow_mut().measured_us = micros(end - self.measured_from);
                self.count_unsent(end);
            }
        }
        Ok(())
    }

    fn announce(&self, phase: Phase) {
        (self.announce.borrow_mut())(phase);
    }

    /// One connection's life: take a ticket, wait until it is due, send, read, count.
    async fn ask(self: Rc<Self>, connection: Connection) -> io::Result<()> {
        let mut open = Some(connection);
        let mut request = Vec::new();
        while let Some(ticket) = self.take_ticket() {
            if let Some(due) = ticket.due {
                sleep_until(due).await;
            }
            let Some(connection) = open.as_mut() else {
                open = self.reopen().await;
                if open.is_none() {
                    return Ok(());
                }
                // The ticket was drawn while the server was away: it is spent, as a customer's patience would be.
                self.lose(&ticket, &io::ErrorKind::NotConnected.into())?;
                continue;
            };
            self.write_request(&ticket, &mut request)?;
            let sent = ticket.due.unwrap_or_else(Instant::now);
            match connection.exchange(&request).await {
                Ok(answer) => {
                    self.hear(&ticket, sent, answer.status, answer.body)?;
                    if answer.closes {
                        open = Connection::open(self.address).await.ok();
                    }
                }
                Err(error) => {
                    self.lose(&ticket, &error)?;
                    open = self.reopen().await;
                    if open.is_none() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn take_ticket(&self) -> Option<Ticket> {
        let number = self.next.get();
        let due = match self.settings.pace {
            Pace::Closed => None,
            Pace::PerSecond(rate) => Some(self.start + Duration::from_nanos(number * 1_000_000_000 / rate)),
        };
        let more = match self.settings.length {
            Length::Requests(limit) => number < limit,
            Length::Timed { .. } => self
                .measured_to
                .is_some_and(|end| due.unwrap_or_else(Instant::now) < end),
        };
        more.then(|| {
            self.next.set(number + 1);
            Ticket { number, due }
        })
    }

    fn write_request(&self, ticket: &Ticket, request: &mut Vec<u8>) -> io::Result<()> {
        let mut orders = self.orders.borrow_mut();
        let order = orders.write(ticket.number);
        if let Some(journal) = self.journal.borrow_mut().as_mut() {
            journal.sent(ticket.number, &order)?;
        }
        request.clear();
        request.extend_from_slice(order.request);
        Ok(())
    }

    fn hear(&self, ticket: &Ticket, sent: Instant, status: u16, body: &[u8]) -> io::Result<()> {
        let now = Instant::now();
        if let Some(journal) = self.journal.borrow_mut().as_mut() {
            journal.heard(ticket.number, status, body)?;
        }
        if !self.counts(ticket, now) {
            return Ok(());
        }
        *self.outcome.borrow_mut().by_status.entry(status).or_default() += 1;
        if matches!(status, 200 | 201) && self.is_good(body) {
            self.outcome.borrow_mut().finished += 1;
            self.latencies.borrow_mut().count(micros(now - sent));
        } else {
            self.outcome.borrow_mut().unexpected += 1;
            self.note(&format!("{status}: {}", String::from_utf8_lossy(body)));
        }
        Ok(())
    }

    fn lose(&self, ticket: &Ticket, error: &io::Error) -> io::Result<()> {
        if let Some(journal) = self.journal.borrow_mut().as_mut() {
            // A ticket that never went out has no line to complete.
            if error.kind() != io::ErrorKind::NotConnected {
                journal.lost(ticket.number, error)?;
            }
        }
        if self.counts(ticket, Instant::now()) {
            self.outcome.borrow_mut().lost += 1;
            self.note(&error.to_string());
        }
        Ok(())
    }

    /// At a fixed rate a request belongs to the time when it was due, otherwise to the time of its answer.
    fn counts(&self, ticket: &Ticket, now: Instant) -> bool {
        let at = ticket.due.unwrap_or(now);
        at >= self.measured_from && self.measured_to.is_none_or(|end| at < end)
    }

    /// Answers of one run are alike, so the marker is nearly always where it was last time.
    fn is_good(&self, body: &[u8]) -> bool {
        let marker = self.settings.kind.marker();
        if body
            .get(self.marker_at.get()..)
            .is_some_and(|rest| rest.starts_with(marker))
        {
            return true;
        }
        let found = body.windows(marker.len()).position(|part| part == marker);
        found.inspect(|at| self.marker_at.set(*at)).is_some()
    }

    fn note(&self, what: &str) {
        self.outcome
            .borrow_mut()
            .first_unexpected
            .get_or_insert_with(|| what.chars().take(500).collect());
    }

    /// Opens the connection again, or nothing when the run is over before the server is back.
    async fn reopen(&self) -> Option<Connection> {
        let give_up = self.measured_to.unwrap_or_else(|| Instant::now() + DRAIN);
        while Instant::now() < give_up {
            if let Ok(connection) = Connection::open(self.address).await {
                return Some(connection);
            }
            sleep(REOPEN_AFTER).await;
        }
        None
    }

    /// Requests that were due and that no connection was free for.
    fn count_unsent(&self, end: Instant) {
        let Pace::PerSecond(rate) = self.settings.pace else {
            return;
        };
        let due = (end - self.start).as_nanos() * u128::from(rate) / 1_000_000_000;
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        self.outcome.borrow_mut().unsent = due.saturating_sub(self.next.get());
    }

    fn outcome(&self) -> Outcome {
        let latencies = self.latencies.borrow();
        let latency = Latency {
            p50_us: latencies.quantile(500),
            p99_us: latencies.quantile(990),
            max_us: latencies.largest(),
        };
        Outcome {
            latency,
            ..self.outcome.borrow().clone()
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
