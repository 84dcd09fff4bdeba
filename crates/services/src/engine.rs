//! The engine: the only way to an order. Doors ask here; workers, timers and notices come back here.
//!
//! A thin shell around state machines without I/O: [`crate::lane::Lane`] decides and writes, [`crate::worker::Carry`] speaks to rails.
//! It gives them time, a store and a network, and bounds everything: callers, waits, messages out, retries.
//!
//! ```text
//!  ask ──▶ lane task ──▶ store          claims ──▶ lane (what is due)         inbox ──▶ lane (what was told)
//!              │  ▲
//!      effects ▼  │ turns
//!            carry tasks ──▶ egress ──▶ provider
//! ```

mod answer;
mod carry;
mod claims;
mod drive;
mod inbox;
mod meter;
mod plan;
mod spread;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use florin_core::id::{Ids, NodeId, OrderId};
use florin_core::rail::Rail;
use florin_core::time::Timestamp;
use florin_store::Store;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use answer::Told;
pub use inbox::Unproven;
use plan::Payer;
pub use plan::abilities;

use crate::ask::{Answered, Ask, Denied, What};
use crate::clock::Clock;
use crate::dice;
use crate::directory::Directory;
use crate::egress::{Egress, Road};
use crate::fresh::Committed;
use crate::keyring::Keyring;
use crate::lane::{Job, Lane, Reply, Roads};
use carry::Providers;
use meter::Meter;
use spread::Spread;

/// Callers that may wait for an answer at a time: the queue in front of the lanes and those whose step is at a provider.
pub const CALLS_MAX: usize = 8_192;
/// How long a caller waits for its step before it is answered with the order as it stands.
pub const CALL_WAIT: Duration = Duration::from_secs(10);
/// How long a caller waits for the commits of its call on top of that: a disk may be slow, a database may be away.
const COMMIT_WAIT: Duration = Duration::from_secs(10);
/// How often due orders are looked for.
pub const POLL: Duration = Duration::from_secs(1);
/// How long the engine takes to finish what it began when it is told to stop.
pub const DRAIN: Duration = Duration::from_secs(25);
/// When to come back if every place is taken.
const BUSY_S: u32 = 1;

/// What an engine is made of.
pub struct Parts {
    /// Where orders live.
    pub store: Arc<dyn Store>,
    /// The small documents.
    pub directory: Arc<Directory>,
    /// The secrets.
    pub keyring: Arc<Keyring>,
    /// The rails of this build.
    pub rails: &'static [&'static dyn Rail],
    /// The environment's clock.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Box<dyn Ids + Send>,
    /// This node's name, the same after a restart: what it had leased is its own again.
    pub node: NodeId,
    /// Where payers come back to: `https://pay.example.com`.
    pub origin: String,
    /// What an operator may set.
    pub settings: Settings,
}

/// What an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Lanes: 1 on SQLite; on PostgreSQL up to one per core, of which the second opens under load.
    pub lanes: usize,
    /// See [`CALL_WAIT`].
    pub call_wait: Duration,
    /// See [`POLL`].
    pub poll: Duration,
    /// See [`CALLS_MAX`].
    pub calls_max: usize,
    /// How long a stop may take.
    pub drain: Duration,
    /// Whether a rail may have a test method of this name: one that surely does not exist is refused before anything is written.
    pub test_method: fn(rail: &str, name: &str) -> bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lanes: 1,
            call_wait: CALL_WAIT,
            poll: POLL,
            calls_max: CALLS_MAX,
            drain: DRAIN,
            test_method: |_, _| true,
        }
    }
}

/// The only way to an order.
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    keyring: Arc<Keyring>,
    rails: &'static [&'static dyn Rail],
    clock: Arc<dyn Clock>,
    ids: Mutex<Box<dyn Ids + Send>>,
    node: NodeId,
    settings: Settings,
    lanes: Vec<LaneDoor>,
    spread: Spread,
    calls: Arc<Semaphore>,
    turned_away: AtomicU64,
    carrying: AtomicUsize,
    draining: AtomicBool,
    broken: AtomicBool,
    egress: Egress,
    providers: Providers,
    inbox: Notify,
    committed: Arc<Committed>,
    told: inbox::Told,
    refused: inbox::Refused,
    frozen: Mutex<std::collections::BTreeMap<OrderId, String>>,
    stop: CancellationToken,
    tasks: TaskTracker,
    meter: Meter,
}

/// How a lane is reached.
struct LaneDoor {
    messages: mpsc::UnboundedSender<Message>,
    /// Messages that the lane has not taken up.
    depth: Arc<AtomicUsize>,
    /// Whether it is at a batch.
    at_work: Arc<AtomicBool>,
}

impl LaneDoor {
    fn waiting(&self) -> usize {
        self.depth.load(Ordering::SeqCst) + usize::from(self.at_work.load(Ordering::SeqCst))
    }
}

/// What comes to a lane's task.
enum Message {
    Call {
        what: Box<Called>,
        reply: oneshot::Sender<Reply>,
        /// Held until the call is answered, also when the caller has hung up.
        _place: tokio::sync::OwnedSemaphorePermit,
    },
    Job(Job),
    Freeze(OrderId, String),
}

enum Called {
    Ask(Ask, Option<Box<crate::lane::Start>>),
    Notices(Vec<florin_store::NoticeRow>),
}

/// How an engine stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Calls and jobs that no lane has taken up, and lanes that are at a batch.
    pub queued: usize,
    /// Callers that wait for an answer.
    pub calls: usize,
    /// Callers that were turned away since the start, because every place was taken.
    pub turned_away: u64,
    /// Errands at providers.
    pub carrying: usize,
    /// The disk failed, or a lane ended: nothing is acknowledged any more, and the process has to be started again.
    pub broken: bool,
    /// It is being stopped.
    pub draining: bool,
    /// Orders whose stored bytes do not hold.
    pub damaged: usize,
}

/// The directory's connections as ways to providers.
struct DirectoryRoads {
    directory: Arc<Directory>,
    rails: &'static [&'static dyn Rail],
}

impl Roads for DirectoryRoads {
    fn road(&self, connection: florin_core::id::ConnectionId) -> Option<Arc<Road>> {
        let connection = self.directory.connection(connection)?;
        let rail = *self.rails.iter().find(|rail| rail.table().name == connection.rail)?;
        Some(Arc::new(Road { connection, rail }))
    }
}

impl Engine {
    /// Starts lanes, the claims of what is due and the inbox. Takes up at once what this node had under way before it died.
    pub fn start(parts: Parts) -> Arc<Self> {
        let roads: Arc<dyn Roads> = Arc::new(DirectoryRoads {
            directory: Arc::clone(&parts.directory),
            rails: parts.rails,
        });
        let mut doors = Vec::new();
        let mut lanes = Vec::new();
        for number in 0..parts.settings.lanes.max(1) {
            let (messages, from) = mpsc::unbounded_channel(); // bounded by the places of callers and by what is at providers
            let depth = Arc::new(AtomicUsize::new(0));
            let lane = Lane::new(number, parts.node, Arc::clone(&roads), parts.origin.clone());
            let at_work = Arc::new(AtomicBool::new(false));
            lanes.push((lane, from, Arc::clone(&depth), Arc::clone(&at_work)));
            doors.push(LaneDoor {
                messages,
                depth,
                at_work,
            });
        }
        let inner = Arc::new(Inner {
            egress: Egress::new(Arc::clone(&parts.keyring)),
            committed: Arc::new(Committed::new(parts.store.gathers())),
            store: parts.store,
            directory: parts.directory,
            keyring: parts.keyring,
            rails: parts.rails,
            clock: parts.clock,
            ids: Mutex::new(parts.ids),
            node: parts.node,
            settings: parts.settings,
            lanes: doors,
            spread: Spread::new(Instant::now()),
            calls: Arc::new(Semaphore::new(parts.settings.calls_max)),
            turned_away: AtomicU64::new(0),
            carrying: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            providers: Providers::default(),
            inbox: Notify::new(),
            told: inbox::Told::default(),
            refused: inbox::Refused::default(),
            frozen: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            meter: Meter::new(),
        });
        for (lane, from, depth, at_work) in lanes {
            inner.spawn(drive::drive(Arc::clone(&inner), lane, from, (depth, at_work)));
        }
        inner.spawn(claims::watch(Arc::clone(&inner), inner.clock.now()));
        inner.spawn(carry::scout(Arc::clone(&inner)));
        inner.spawn(inbox::watch(Arc::clone(&inner)));
        Arc::new(Self { inner })
    }

    /// Asks for something, and waits until it is durable and its step is over, needs the payer, or the wait is over. Dropping the future
    /// stops nothing.
    pub async fn ask(&self, mut ask: Ask) -> Result<Answered, Denied> {
        self.open()?;
        let tenant = ask.tenant;
        let start = match self.start_of(&mut ask).await {
            Ok(start) => start,
            // A connection that is switched off by now says nothing about the call that came before with this key: it may have charged.
            Err(denied) => {
                let before = match &ask.key {
                    Some(key) => self.answered_before(tenant, key).await?,
                    None => None,
                };
                return before.ok_or(denied);
            }
        };
        let lane = match &ask.what {
            What::Create { order, .. } => order.id,
            What::Confirm { order, .. }
            | What::Leave { order, .. }
            | What::Capture { order, .. }
            | What::Void { order }
            | What::Cancel { order }
            | What::Refund { order, .. }
            | What::Amend { order, .. }
            | What::Describe { order, .. }
            | What::Back { order, .. }
            | What::Resolve { order, .. } => Some(*order),
        };
        let lane = lane.map_or(0, |order| self.inner.lane_of(order));
        let reply = self.inner.call(lane, Called::Ask(ask, start)).await?;
        self.inner.answer(tenant, reply).await
    }

    /// How the attempt is to be made that this call starts, if it starts one.
    async fn start_of(&self, ask: &mut Ask) -> Result<Option<Box<crate::lane::Start>>, Denied> {
        match &mut ask.what {
            What::Create { order, start } => {
                let token = || dice::token::<16>();
                order
                    .id
                    .get_or_insert_with(|| OrderId::from_uuid(self.inner.new_uuid()));
                if order.details.page_token.is_none() {
                    Arc::make_mut(&mut order.details).page_token = Some(token());
                }
                match start {
                    Some(pay) => {
                        let payer = Payer::Named(order.details.customer);
                        self.inner
                            .start_of(ask.tenant, pay, payer, order.amount)
                            .await
                            .map(Some)
                    }
                    None => Ok(None),
                }
            }
            What::Confirm { order, pay } => {
                let due = florin_core::money::Money::zero(florin_core::money::Currency::EUR); // the lane knows what is due
                let payer = Payer::Of(*order);
                self.inner.start_of(ask.tenant, pay, payer, due).await.map(Some)
            }
            What::Leave { .. }
            | What::Capture { .. }
            | What::Void { .. }
            | What::Cancel { .. }
            | What::Refund { .. }
            | What::Amend { .. }
            | What::Describe { .. }
            | What::Back { .. }
            | What::Resolve { .. } => Ok(None),
        }
    }

    /// Whether new work is taken.
    fn open(&self) -> Result<(), Denied> {
        if self.inner.draining.load(Ordering::Relaxed) {
            return Err(Denied::Unavailable { retry_after_s: 5 });
        }
        Ok(())
    }

    /// Where orders live: for lists, searches and audits. Orders are changed by [`Engine::ask`] only.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The small documents.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.inner.directory
    }

    /// The secrets.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.inner.keyring
    }

    /// The environment's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Now, by the environment's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Rung when something was committed: readers behind the commit follow it.
    pub fn committed(&self) -> Arc<Committed> {
        Arc::clone(&self.inner.committed)
    }

    /// A new id, for doors that name an order before it is made.
    pub fn new_order_id(&self) -> OrderId {
        OrderId::from_uuid(self.inner.new_uuid())
    }

    /// The rails of this build.
    pub fn rails(&self) -> &'static [&'static dyn Rail] {
        self.inner.rails
    }

    /// How it stands.
    pub fn health(&self) -> Health {
        let inner = &self.inner;
        Health {
            queued: inner.lanes.iter().map(LaneDoor::waiting).sum(),
            calls: inner.settings.calls_max - inner.calls.available_permits(),
            turned_away: inner.turned_away.load(Ordering::Relaxed),
            carrying: inner.carrying.load(Ordering::Relaxed),
            broken: inner.broken.load(Ordering::Relaxed),
            draining: inner.draining.load(Ordering::Relaxed),
            damaged: inner.frozen().len(),
        }
    }

    /// Orders whose stored bytes do not hold, and what is wrong with each.
    pub fn damaged(&self) -> Vec<(OrderId, String)> {
        self.inner
            .frozen()
            .iter()
            .map(|(order, why)| (*order, why.clone()))
            .collect()
    }

    /// Somebody found that an order's stored bytes do not hold: no command and no answer from it any more.
    pub fn record_damaged(&self, order: OrderId, why: &str) {
        self.inner.freeze(order, why.to_owned());
    }

    /// Stops: takes nothing new, finishes commits, answers and what is at providers, within [`DRAIN`]. What is not finished then is in the
    /// database, and goes on at the next start.
    pub async fn drain(&self) {
        let inner = &self.inner;
        inner.draining.store(true, Ordering::SeqCst);
        let finished = async {
            loop {
                let health = self.health();
                if health.calls == 0 && health.carrying == 0 && health.queued == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(inner.settings.drain, finished).await.is_err() {
            tracing::warn!(health = ?self.health(), "stopped with work under way: it goes on at the next start");
        }
        self.halt().await;
    }

    /// Stops at once, as a power cut would: nothing is finished.
    pub async fn halt(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}

impl Inner {
    /// Runs a task until the engine is halted.
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    fn new_uuid(&self) -> uuid::Uuid {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).next_uuid()
    }

    fn frozen(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<OrderId, String>> {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn freeze(&self, order: OrderId, why: String) {
        tracing::error!(%order, why, "the stored bytes of an order do not hold: it is frozen");
        for lane in 0..self.lanes.len() {
            self.send(lane, Message::Freeze(order, why.clone()));
        }
        self.frozen().insert(order, why);
        self.meter.damaged(self.frozen().len());
    }

    /// The lane of an order.
    fn lane_of(&self, order: OrderId) -> usize {
        if self.lanes.len() < 2 {
            return 0;
        }
        let waiting = self.lanes[0].depth.load(Ordering::Relaxed);
        self.spread.lane_of(order, self.lanes.len(), waiting, Instant::now())
    }

    fn send(&self, lane: usize, message: Message) {
        if let Some(door) = self.lanes.get(lane) {
            door.depth.fetch_add(1, Ordering::Relaxed);
            if door.messages.send(message).is_err() {
                door.depth.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn job(&self, lane: usize, job: Job) {
        self.send(lane, Message::Job(job));
    }

    async fn call(&self, lane: usize, what: Called) -> Result<Reply, Denied> {
        let busy = |_| {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            Denied::Busy { retry_after_s: BUSY_S }
        };
        let place = Arc::clone(&self.calls).try_acquire_owned().map_err(busy)?;
        let (reply, answer) = oneshot::channel();
        self.send(
            lane,
            Message::Call {
                what: Box::new(what),
                reply,
                _place: place,
            },
        );
        // No answer: the lane's task is gone, or waits for a database that does not say what became of a commit. What it had begun is in
        // the database, or never happened.
        match tokio::time::timeout(self.settings.call_wait + COMMIT_WAIT, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) | Err(_) => Err(Denied::Unavailable { retry_after_s: 5 }),
        }
    }
}
