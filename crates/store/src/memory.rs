//! A store in memory for simulations: the same contract, no threads, no clock of its own, no dice.
//!
//! A [`MemoryStore`] is one node's connection to a database that several may share ([`MemoryStore::another`]). The database's clock
//! stands where [`MemoryStore::set_clock`] put it. What a power cut would leave is [`MemoryStore::disk`]: every answered commit is in it.

mod lane;
mod lists;
mod state;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use florin_core::id::{DeliveryId, OrderId};
use florin_core::time::Timestamp;

use self::state::State;
use crate::{
    Answer, Backlog, BalanceRow, Batch, Claim, Cursor, DeliveryRow, DeliverySearch, EventHead, EventRow, Fault,
    FeedSearch, Fold, Found, KeyRow, ListRecords, NoticeRow, OrderRow, Outcome, ProviderRef, Record, Retention, Search,
    Store, Tenant, Wanted, Which,
};

/// The level of a schema that needs no tables.
const LEVEL: u32 = 1;

/// What goes wrong with a call, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The next call finds no database; nothing happens.
    Refuse,
    /// The next commit happens and its answer is lost.
    LoseAnswer,
    /// The next commit is lost before it happens, and nobody can tell.
    LoseCommit,
    /// The next commit finds no space; nothing happens.
    Full,
    /// The next commit is called a mistake of ours; nothing happens.
    Reject,
    /// The next commit meets a failed flush, and so does everything written after it until the store is opened again. Whether
    /// that commit is on the disk is left open: here it is not.
    Break,
    /// The next fold happens and its answer is lost.
    LoseFold,
    /// The next fold finds that another node folded the same rows first; nothing happens.
    Overtake,
}

/// One node's connection to a database in memory.
pub struct MemoryStore {
    shared: Arc<Mutex<Shared>>,
    opened: Timestamp,
    mishaps: Mutex<VecDeque<Mishap>>,
    broken: Mutex<bool>,
    gathers: Duration,
}

struct Shared {
    state: State,
    clock: Timestamp,
}

/// What is durable: hand it to [`MemoryStore::open`] to start again after a crash.
#[derive(Clone, Default)]
pub struct Disk(State);

/// What a call does to the database, which decides the mishaps it can meet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Commit,
    Fold,
}

impl MemoryStore {
    /// A database as it lay on a disk, when the clock stands at `now`. An empty one: `Disk::default()`.
    pub fn open(disk: Disk, now: Timestamp) -> Self {
        Self::connected(
            Arc::new(Mutex::new(Shared {
                state: disk.0,
                clock: now,
            })),
            now,
        )
    }

    /// Another node's connection to the same database.
    pub fn another(&self) -> Self {
        let now = self.shared().clock;
        Self::connected(Arc::clone(&self.shared), now)
    }

    fn connected(shared: Arc<Mutex<Shared>>, opened: Timestamp) -> Self {
        Self {
            shared,
            opened,
            mishaps: Mutex::default(),
            broken: Mutex::default(),
            gathers: Duration::ZERO,
        }
    }

    /// The same, where rows that are folded together share pages and so are let gather for so long.
    #[must_use]
    pub fn gathering(self, gathers: Duration) -> Self {
        Self { gathers, ..self }
    }

    /// What would be there after a power cut now.
    pub fn disk(&self) -> Disk {
        Disk(self.shared().state.clone())
    }

    /// Moves the database's clock, which leases follow.
    pub fn set_clock(&self, now: Timestamp) {
        self.shared().clock = now;
    }

    /// Lets something go wrong with a coming call on this connection; several wait their turn.
    pub fn next_fault(&self, mishap: Mishap) {
        locked(&self.mishaps).push_back(mishap);
    }

    /// What was still to go wrong on this connection does not.
    pub fn no_more_faults(&self) {
        locked(&self.mishaps).clear();
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        locked(&self.shared)
    }

    /// The mishap that strikes this call, if one does.
    fn mishap(&self, call: Call) -> Option<Mishap> {
        let mut waiting = locked(&self.mishaps);
        let strikes = match waiting.front()? {
            Mishap::Refuse => true,
            Mishap::LoseAnswer | Mishap::LoseCommit | Mishap::Full | Mishap::Reject | Mishap::Break => {
                call == Call::Commit
            }
            Mishap::LoseFold => call == Call::Fold,
            Mishap::Overtake => false, // it is the answer, and no fault
        };
        if strikes { waiting.pop_front() } else { None }
    }

    /// Does a call, with what goes wrong with it.
    fn call<'a, T: Send + 'a>(
        &'a self,
        call: Call,
        work: impl FnOnce(&mut State, Timestamp) -> Result<T, Fault> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            if call != Call::Read && *locked(&self.broken) {
                return Err(broken());
            }
            let mishap = self.mishap(call);
            match mishap {
                Some(Mishap::Refuse) => return Err(Fault::Unavailable("the simulated database is away".to_owned())),
                Some(Mishap::LoseCommit) => return Err(lost()),
                Some(Mishap::Full) => return Err(Fault::Full("the simulated disk is full".to_owned())),
                Some(Mishap::Reject) => {
                    return Err(Fault::Refused("the simulated database takes no such row".to_owned()));
                }
                Some(Mishap::Break) => {
                    *locked(&self.broken) = true;
                    return Err(broken());
                }
                Some(Mishap::LoseAnswer | Mishap::LoseFold | Mishap::Overtake) | None => {}
            }
            let mut shared = self.shared();
            let clock = shared.clock;
            let done = work(&mut shared.state, clock)?;
            if matches!(mishap, Some(Mishap::LoseAnswer | Mishap::LoseFold)) {
                Err(lost())
            } else {
                Ok(done)
            }
        })
    }
}

fn lost() -> Fault {
    Fault::Unknown("the simulated connection ended during a commit".to_owned())
}

fn broken() -> Fault {
    Fault::Broken("the simulated disk failed a flush".to_owned())
}

/// A panic elsewhere leaves whole rows: every change below is checked before it is made.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryStore {
    fn load<'a>(&'a self, wanted: &'a Wanted) -> Answer<'a, Found> {
        self.call(Call::Read, |state, _| Ok(lane::load(state, wanted)))
    }

    fn commit<'a>(&'a self, batch: &'a Batch) -> Answer<'a, Outcome> {
        self.call(Call::Commit, |state, clock| Ok(lane::commit(state, batch, clock)))
    }

    fn was_committed<'a>(&'a self, batch: &'a Batch) -> Answer<'a, bool> {
        self.call(Call::Read, |state, _| Ok(lane::was_committed(state, batch)))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Vec<OrderRow>> {
        self.call(Call::Write, |state, clock| {
            Ok(lane::claim(state, claim, clock, self.opened))
        })
    }

    fn inbox<'a>(&'a self, limit: u32) -> Answer<'a, Vec<NoticeRow>> {
        self.call(Call::Read, move |state, _| Ok(lane::inbox(state, limit)))
    }

    fn events_of(&self, order: OrderId) -> Answer<'_, Vec<EventRow>> {
        self.call(Call::Read, move |state, _| Ok(lane::events_of(state, order)))
    }

    fn events_after(&self, cursor: Cursor, limit: u32) -> Answer<'_, Vec<EventRow>> {
        self.call(Call::Read, move |state, _| Ok(lane::events_after(state, cursor, limit)))
    }

    fn heads_after(&self, cursor: Cursor, limit: u32) -> Answer<'_, Vec<EventHead>> {
        self.call(Call::Read, move |state, _| Ok(lane::heads_after(state, cursor, limit)))
    }

    fn events_at(&self, places: Vec<Cursor>) -> Answer<'_, Vec<EventRow>> {
        self.call(Call::Read, move |state, _| Ok(lane::events_at(state, &places)))
    }

    fn orders_after(&self, after: Option<OrderId>, limit: u32) -> Answer<'_, Vec<OrderRow>> {
        self.call(Call::Read, move |state, _| Ok(lane::orders_after(state, after, limit)))
    }

    fn waiting(&self, after: Option<(Timestamp, OrderId)>, limit: u32) -> Answer<'_, Vec<OrderRow>> {
        self.call(Call::Read, move |state, _| Ok(lane::waiting(state, after, limit)))
    }

    fn search<'a>(&'a self, search: &'a Search) -> Answer<'a, Vec<OrderId>> {
        self.call(Call::Read, |state, _| Ok(lists::search(state, search)))
    }

    fn feed<'a>(&'a self, search: &'a FeedSearch) -> Answer<'a, Vec<EventRow>> {
        self.call(Call::Read, |state, _| Ok(lists::feed(state, search)))
    }

    fn order_of_ref<'a>(&'a self, reference: &'a ProviderRef) -> Answer<'a, Option<OrderId>> {
        self.call(Call::Read, |state, _| Ok(state.refs.get(reference).copied()))
    }

    fn balances(&self, tenant: Tenant) -> Answer<'_, (Vec<BalanceRow>, Cursor)> {
        self.call(Call::Read, move |state, _| Ok(lists::balances(state, tenant)))
    }

    fn cursor<'a>(&'a self, reader: &'a str) -> Answer<'a, Cursor> {
        self.call(Call::Read, |state, _| {
            Ok(state.cursors.get(reader).copied().unwrap_or_default())
        })
    }

    fn fold(&self, fold: Fold) -> Answer<'_, bool> {
        let overtaken = locked(&self.mishaps).pop_front_if(|mishap| *mishap == Mishap::Overtake);
        if overtaken.is_some() {
            return Box::pin(async { Ok(false) });
        }
        self.call(Call::Fold, move |state, _| lists::fold(state, &fold))
    }

    fn gathers(&self) -> Duration {
        self.gathers
    }

    fn claim_deliveries<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Vec<DeliveryRow>> {
        self.call(Call::Write, |state, clock| {
            Ok(lists::claim_deliveries(state, claim, clock, self.opened))
        })
    }

    fn write_deliveries<'a>(&'a self, rows: &'a [DeliveryRow]) -> Answer<'a, ()> {
        self.call(Call::Write, |state, _| {
            lists::write_deliveries(state, rows);
            Ok(())
        })
    }

    fn deliveries<'a>(&'a self, search: &'a DeliverySearch) -> Answer<'a, Vec<DeliveryRow>> {
        self.call(Call::Read, |state, _| Ok(lists::deliveries(state, search)))
    }

    fn delivery(&self, tenant: Tenant, id: DeliveryId) -> Answer<'_, Option<DeliveryRow>> {
        self.call(Call::Read, move |state, _| Ok(lists::delivery(state, tenant, id)))
    }

    fn put<'a>(&'a self, records: &'a [Record], keys: &'a [KeyRow]) -> Answer<'a, Outcome> {
        self.call(Call::Write, |state, _| Ok(lists::put(state, records, keys)))
    }

    fn get<'a>(&'a self, which: &'a Which) -> Answer<'a, Option<Record>> {
        self.call(Call::Read, |state, _| Ok(lists::get(state, which)))
    }

    fn list<'a>(&'a self, list: &'a ListRecords) -> Answer<'a, Vec<Record>> {
        self.call(Call::Read, |state, _| Ok(lists::list(state, list)))
    }

    fn migrate(&self) -> Answer<'_, u32> {
        self.call(Call::Write, |_, _| Ok(LEVEL))
    }

    fn level(&self) -> Answer<'_, u32> {
        self.call(Call::Read, |_, _| Ok(LEVEL))
    }

    fn clock(&self) -> Answer<'_, Timestamp> {
        self.call(Call::Read, |_, clock| Ok(clock))
    }

    fn tidy<'a>(&'a self, before: &'a Retention) -> Answer<'a, u64> {
        self.call(Call::Write, |state, _| Ok(lists::tidy(state, before)))
    }

    fn backlog(&self, now: Timestamp) -> Answer<'_, Backlog> {
        self.call(Call::Read, move |state, _| Ok(lists::backlog(state, now)))
    }

    fn backup<'a>(&'a self, _: &'a Path) -> Answer<'a, ()> {
        self.call(Call::Read, |_, _| {
            Err(Fault::Refused(
                "a store in memory has no file: take its `disk`".to_owned(),
            ))
        })
    }
}
