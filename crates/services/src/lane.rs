//! A lane: takes whatever has queued, decides it, and writes it as one transaction. A state machine without I/O.
//!
//! ```text
//!        push ▼                    Load          Commit                     WasCommitted
//!  queue ──▶ next ──▶ what is not in memory ──▶ build the batch ──▶ done ──▶ settle ──▶ outputs
//!              ▲                                    │  conflict, or the answer was lost and it is not there
//!              └────────── again, all read ◀────────┘
//! ```
//!
//! Whoever drives it (the engine, the simulator) does what [`Need`] says and gives the result back; time is an argument. While a commit
//! runs, commands queue; the next batch is whatever has queued then. Nothing is answered before it is durable, nothing is sent before it
//! is durable, and an order that is remembered is never believed without its version being checked by the commit.

mod ask;
mod build;
mod calls;
mod job;
mod kept;
mod news;
mod open;
mod rebuild;
mod settle;
mod turn;
mod working;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use florin_core::id::{NodeId, OrderId};
use florin_core::order::StepName;
use florin_core::time::Timestamp;
use florin_store::{Batch, Fault, Found, KeyRow, Outcome, Tenant, Wanted};

use ask::is_answered;
pub use ask::{WINDOW_S, WINDOW_S_MAX, WINDOW_S_MIN};
pub(crate) use calls::replayed;
pub use job::{Job, Output, Rebuild, Reply, Start, Token};
pub use kept::ORDERS_KEPT_MAX;
pub use open::Roads;
pub(crate) use rebuild::made_until;
pub use rebuild::rebuild;

use crate::ask::{Denied, What};
use crate::worker::Turned;
use build::Draft;
use kept::{Cache, Kept, Unfit};
use open::World;

/// Jobs in one batch: several times what queues while one commit runs, so that only an overload is cut.
pub const BATCH_MAX: usize = 1_024;
/// The lease of an order whose message is out: a sending lives 15 s (`order-machine.md` 6: the machine's answer timer).
pub const LEASE_S: i64 = 30;
/// Conflicts after which a caller is told to come back. Each one means that somebody else got on.
const CONFLICTS_MAX: u8 = 8;
/// Times that row and events of an order may be read at different moments before that counts as damage.
const TORN_MAX: u8 = 4;
/// Notices and returns kept for a step whose exchange is out; more are told again by the inbox.
const AFTER_MAX: usize = 16;
/// How long to wait for a database that does not answer, in milliseconds.
const PAUSE_MS: u32 = 250;
/// How long to wait for space on a full disk, in milliseconds.
const FULL_PAUSE_MS: u32 = 1_000;

/// What the driver of a lane has to do next.
#[derive(Clone, Debug)]
pub enum Need {
    /// Nothing: wait for a job.
    Nothing,
    /// Wait so many milliseconds, then call [`Lane::next`].
    Pause(u32),
    /// Call [`florin_store::Store::load`], then [`Lane::loaded`].
    Load(Arc<Wanted>),
    /// Call [`florin_store::Store::commit`], then [`Lane::committed`].
    Commit(Arc<Batch>),
    /// Call [`florin_store::Store::was_committed`], then [`Lane::known`].
    WasCommitted(Arc<Batch>),
}

/// A job in the queue.
#[derive(Clone, Debug)]
struct Queued {
    job: Job,
    /// Read all that it touches before deciding it: something in memory may be old.
    sure: bool,
    /// Conflicts so far.
    tries: u8,
    /// Torn reads so far.
    torn: u8,
}

#[derive(Default)]
enum Phase {
    #[default]
    Idle,
    Loading(Vec<Queued>),
    Committing(Draft, Arc<Batch>),
    Asking(Draft, Arc<Batch>),
}

/// A caller who waits for a step.
struct Waiter {
    token: Token,
    step: StepName,
    /// The order's version when it began to wait.
    since: u32,
}

/// A step that a worker is at.
struct Busy {
    ticket: u64,
    fence: u32,
    after: Vec<Queued>,
}

/// See the module's text.
pub struct Lane {
    number: usize,
    node: NodeId,
    world: World,
    queue: VecDeque<Queued>,
    phase: Phase,
    cache: Cache,
    waiting: HashMap<OrderId, Vec<Waiter>>,
    looking: BTreeMap<(OrderId, StepName), Vec<Token>>,
    busy: BTreeMap<(OrderId, StepName), Busy>,
    frozen: HashMap<OrderId, String>,
    tickets: u64,
    singles: usize,
    broken: bool,
    outputs: Vec<Output>,
}

/// What a lane found of what it wanted.
#[derive(Default)]
struct Loaded {
    orders: HashMap<OrderId, Result<Kept, Unfit>>,
    by_key: HashMap<(Tenant, String), (OrderId, florin_store::Hash)>,
    by_reference: HashMap<(Tenant, String), OrderId>,
    keys: HashMap<(Tenant, String), KeyRow>,
}

impl Lane {
    /// Lane `number` of a node. `origin` is where payers come back to: `https://pay.example.com`.
    pub fn new(number: usize, node: NodeId, roads: Arc<dyn Roads>, origin: String) -> Self {
        Self {
            number,
            node,
            world: World { roads, origin },
            queue: VecDeque::new(),
            phase: Phase::Idle,
            cache: Cache::default(),
            waiting: HashMap::new(),
            looking: BTreeMap::new(),
            busy: BTreeMap::new(),
            frozen: HashMap::new(),
            // Tickets of different lives of a node must not meet: they come from nowhere else than this process.
            tickets: 0,
            singles: 0,
            broken: false,
            outputs: Vec::new(),
        }
    }

    /// Puts a job at the end of the queue.
    pub fn push(&mut self, job: Job) {
        self.queue.push_back(Queued {
            job,
            sure: false,
            tries: 0,
            torn: 0,
        });
    }

    /// Jobs that wait.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Steps that workers are at.
    pub fn busy(&self) -> usize {
        self.busy.len()
    }

    /// Whether nobody knows what became of a commit.
    pub fn asks(&self) -> bool {
        matches!(self.phase, Phase::Asking(..))
    }

    /// Callers who wait for steps.
    pub fn waiting(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// Answers, effects and the rest, in the order in which they came about.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Somebody found that this order's stored bytes do not hold: no command and no answer from now on.
    pub fn freeze(&mut self, order: OrderId, why: String) {
        self.cache.take(order);
        self.frozen.insert(order, why);
    }

    /// A caller has waited long enough: it is told that its step still runs.
    pub fn give_up(&mut self, token: Token, order: OrderId) {
        if let Some(waiters) = self.waiting.get_mut(&order) {
            if let Some(at) = waiters.iter().position(|waiter| waiter.token == token) {
                let step = waiters.swap_remove(at).step;
                self.outputs.push(Output::Reply(token, Reply::Running(order, step)));
            }
            if waiters.is_empty() {
                self.waiting.remove(&order);
            }
        }
        let looking: Vec<_> = (self.looking.iter_mut())
            .filter(|((of, _), tokens)| *of == order && tokens.contains(&token))
            .map(|((_, step), tokens)| {
                tokens.retain(|waits| *waits != token);
                *step
            })
            .collect();
        for step in looking {
            self.outputs.push(Output::Reply(token, Reply::Running(order, step)));
        }
        self.looking.retain(|_, tokens| !tokens.is_empty());
    }

    // ---- driven ------------------------------------------------------------------------------------------------------------------

    /// Takes up the next jobs. Call when nothing is under way.
    pub fn next(&mut self, now: Timestamp) -> Need {
        // A loop, not a chain of calls: a thousand answers that need no commit must not need a thousand frames of the stack.
        loop {
            if let Some(need) = self.take_up(now) {
                return need;
            }
        }
    }

    /// The next jobs of the queue. None: they needed nothing of the store.
    fn take_up(&mut self, now: Timestamp) -> Option<Need> {
        match std::mem::take(&mut self.phase) {
            Phase::Idle => {}
            Phase::Asking(draft, batch) => {
                self.phase = Phase::Asking(draft, Arc::clone(&batch));
                return Some(Need::WasCommitted(batch));
            }
            under_way @ (Phase::Loading(_) | Phase::Committing(..)) => {
                self.phase = under_way;
                return Some(Need::Nothing);
            }
        }
        let count = if self.singles > 0 {
            self.singles -= 1;
            1
        } else {
            BATCH_MAX
        };
        let jobs: Vec<Queued> = self.queue.drain(..count.min(self.queue.len())).collect();
        if jobs.is_empty() {
            return Some(Need::Nothing);
        }
        if self.broken {
            self.deny(jobs, &Denied::Unavailable { retry_after_s: 5 });
            return Some(Need::Nothing);
        }
        let wanted = self.wants(&jobs);
        if wanted == Wanted::default() {
            return self.build(jobs, Loaded::default(), now);
        }
        self.phase = Phase::Loading(jobs);
        Some(Need::Load(Arc::new(wanted)))
    }

    /// The store's answer to [`Need::Load`].
    pub fn loaded(&mut self, found: Result<Found, Fault>, now: Timestamp) -> Need {
        let Phase::Loading(jobs) = std::mem::take(&mut self.phase) else {
            return Need::Nothing;
        };
        match found {
            Ok(found) => {
                let loaded = Loaded::of(found);
                self.build(jobs, loaded, now).unwrap_or_else(|| self.next(now))
            }
            Err(fault) => self.failed(jobs, fault),
        }
    }

    /// The store's answer to [`Need::Commit`].
    pub fn committed(&mut self, outcome: Result<Outcome, Fault>, now: Timestamp) -> Need {
        let Phase::Committing(draft, batch) = std::mem::take(&mut self.phase) else {
            return Need::Nothing;
        };
        match outcome {
            Ok(Outcome::Done) => self.settle(draft, now),
            Ok(Outcome::Conflict) => self.conflict(draft, 1),
            Err(Fault::Unknown(_)) => {
                self.phase = Phase::Asking(draft, Arc::clone(&batch));
                return Need::WasCommitted(batch);
            }
            Err(fault) => return self.failed(draft.jobs, fault),
        }
        self.next(now)
    }

    /// The store's answer to [`Need::WasCommitted`].
    pub fn known(&mut self, there: Result<bool, Fault>, now: Timestamp) -> Need {
        let Phase::Asking(draft, batch) = std::mem::take(&mut self.phase) else {
            return Need::Nothing;
        };
        match there {
            Ok(true) => self.settle(draft, now),
            // It is not there, and it cannot come any more: everything is read again and decided again.
            Ok(false) => self.conflict(draft, 0),
            Err(Fault::Broken(why)) => return self.failed(draft.jobs, Fault::Broken(why)),
            Err(
                Fault::Unavailable(_) | Fault::Unknown(_) | Fault::Full(_) | Fault::Damaged(..) | Fault::Refused(_),
            ) => {
                self.phase = Phase::Asking(draft, batch);
                return Need::Pause(PAUSE_MS);
            }
        }
        self.next(now)
    }

    // ---- what goes wrong -----------------------------------------------------------------------------------------------------------

    /// Somebody else was faster: all of it again, everything read; the second time one by one.
    fn conflict(&mut self, draft: Draft, count: u8) {
        let mut jobs = draft.jobs;
        let worst = jobs.iter().map(|queued| queued.tries).max().unwrap_or(0) + count;
        if worst > 1 {
            self.singles = jobs.len();
        }
        for queued in &mut jobs {
            queued.sure = true;
            queued.tries += count;
        }
        let (given_up, again): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .partition(|queued| queued.tries > CONFLICTS_MAX && matches!(queued.job, Job::Ask { .. }));
        self.deny(given_up, &Denied::Busy { retry_after_s: 1 });
        self.requeue(again);
    }

    fn failed(&mut self, mut jobs: Vec<Queued>, fault: Fault) -> Need {
        let (denied, pause_ms) = match fault {
            Fault::Unavailable(_) | Fault::Unknown(_) => (Denied::Unavailable { retry_after_s: 1 }, PAUSE_MS),
            Fault::Full(_) => (Denied::Full, FULL_PAUSE_MS),
            Fault::Broken(why) => {
                self.broken = true;
                self.outputs.push(Output::Broken(why));
                (Denied::Unavailable { retry_after_s: 5 }, FULL_PAUSE_MS)
            }
            Fault::Damaged(order, why) => {
                self.outputs.push(Output::Damaged(order, why.clone()));
                self.freeze(order, why);
                for queued in &mut jobs {
                    queued.sure = true;
                }
                self.requeue(jobs);
                return Need::Pause(0);
            }
            Fault::Refused(why) if jobs.len() > 1 => {
                tracing::error!(why, "a batch was refused: its commands go one by one");
                self.singles = jobs.len();
                for queued in &mut jobs {
                    queued.sure = true;
                }
                self.requeue(jobs);
                return Need::Pause(0);
            }
            Fault::Refused(why) => {
                // It would be refused again. What it is about is found again by whoever takes the order when it is due.
                tracing::error!(why, job = ?jobs, "the database refused a command");
                self.deny(jobs, &Denied::Unavailable { retry_after_s: 5 });
                return Need::Pause(0);
            }
        };
        let (callers, ours): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .partition(|queued| matches!(queued.job, Job::Ask { .. } | Job::Notices { .. }));
        self.deny(callers, &denied);
        // What a provider said is not thrown away because a database rests.
        self.requeue(ours.into_iter().map(|queued| Queued { sure: true, ..queued }).collect());
        Need::Pause(pause_ms)
    }

    fn requeue(&mut self, jobs: Vec<Queued>) {
        for queued in jobs.into_iter().rev() {
            self.queue.push_front(queued);
        }
    }

    fn deny(&mut self, jobs: Vec<Queued>, denied: &Denied) {
        for queued in jobs {
            match queued.job {
                Job::Ask { token, .. } | Job::Notices { token, .. } => {
                    self.outputs.push(Output::Reply(token, Reply::Denied(denied.clone())));
                }
                Job::Told { id, .. } => self.outputs.push(Output::Untold(id)),
                Job::Turn(turned) => self.drop_turn(*turned, denied),
                Job::Due(_) | Job::Shelve { .. } | Job::Mark(_) | Job::Nudge { .. } => {}
            }
        }
    }

    /// A turn that cannot be written: its step is nobody's any more, and what waited for it goes on.
    fn drop_turn(&mut self, turned: Turned, denied: &Denied) {
        let key = (turned.order, turned.step);
        self.outputs.extend(turned.done.into_iter().map(Output::Untold));
        if self.busy.get(&key).is_some_and(|busy| busy.ticket == turned.ticket)
            && let Some(busy) = self.busy.remove(&key)
        {
            self.queue.extend(busy.after);
            for token in self.looking.remove(&key).unwrap_or_default() {
                self.outputs.push(Output::Reply(token, Reply::Denied(denied.clone())));
            }
        }
    }

    // ---- what has to be read -------------------------------------------------------------------------------------------------------

    fn wants(&mut self, jobs: &[Queued]) -> Wanted {
        let mut orders = BTreeSet::new();
        let mut wanted = Wanted::default();
        for queued in jobs {
            let order = match &queued.job {
                Job::Ask { ask, .. } => {
                    let order = ask::order_of(&ask.what);
                    let unknown = order.is_some_and(|order| self.cache.get(order).is_none());
                    if let Some(key) = ask.key.as_ref().filter(|_| queued.sure || unknown) {
                        wanted.keys.push((ask.tenant, key.key.clone()));
                        wanted.order_keys.push((ask.tenant, key.key.clone()));
                    }
                    if let What::Create { order, .. } = &ask.what
                        && queued.sure
                    {
                        wanted.references.push((ask.tenant, order.reference.clone()));
                    }
                    order
                }
                Job::Turn(turned) => Some(turned.order),
                Job::Due(row) => {
                    let known = self.cache.get(row.id).is_some_and(|kept| kept.chain == row.chain);
                    if !known {
                        self.cache.take(row.id);
                    }
                    Some(row.id)
                }
                Job::Told { order, .. } | Job::Mark(order) | Job::Nudge { order, .. } => Some(*order),
                Job::Notices { .. } | Job::Shelve { .. } => None,
            };
            let Some(order) = order.filter(|order| !self.frozen.contains_key(order)) else {
                continue;
            };
            if queued.sure {
                self.cache.take(order);
            }
            if self.cache.get(order).is_none() {
                orders.insert(order);
            }
        }
        wanted.orders = orders.iter().copied().collect();
        wanted.details = orders.into_iter().collect();
        wanted
    }
}

impl Loaded {
    fn of(found: Found) -> Self {
        let mut events: HashMap<OrderId, Vec<_>> = HashMap::new();
        for row in found.details {
            events.entry(row.order).or_default().push(row);
        }
        let mut loaded = Self::default();
        for row in &found.orders {
            if let Some(key) = &row.key {
                loaded.by_key.insert((row.tenant, key.key.clone()), (row.id, key.hash));
            }
            loaded.by_reference.insert((row.tenant, row.reference.clone()), row.id);
            // An order that was found by its name only is not wanted itself, and its events were not read.
            if let Some(rows) = events.get(&row.id) {
                loaded.orders.insert(row.id, Kept::read(row, rows));
            }
        }
        for row in found.keys {
            loaded.keys.insert((row.tenant, row.key.key.clone()), row);
        }
        loaded
    }
}

#[cfg(test)]
mod tests;
