//! One node: the engine's shell as the simulation plays it. Lanes, errands and breakers are the real ones.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use florin_core::id::{NodeId, OrderId};
use florin_core::time::Timestamp;
use florin_services::lane::{Lane, Need, Roads, Token};
use florin_services::reader::Reader;
use florin_services::worker::breaker::Breaker;
use florin_services::worker::{Carry, Ended};
use florin_store::memory::MemoryStore;
use florin_store::{Fault, Found, NoticeId, Outcome};

/// The answer to what a lane needed, on its way back.
pub(super) enum Given {
    Woken,
    Found(Result<Found, Fault>),
    Committed(Result<Outcome, Fault>),
    Known(Result<bool, Fault>),
}

pub(super) struct Node {
    pub(super) id: NodeId,
    /// Counts its lives: what belongs to an earlier one is gone.
    pub(super) life: u64,
    pub(super) alive: bool,
    pub(super) paused_until: i64,
    pub(super) skew_ms: i64,
    pub(super) store: Arc<MemoryStore>,
    pub(super) reader: Arc<Reader>,
    /// Its reader is going to look.
    pub(super) following: bool,
    pub(super) lane: Lane,
    /// Its lane is waiting for the store, or asleep.
    pub(super) given: Option<Given>,
    pub(super) driving: bool,
    pub(super) carries: BTreeMap<u64, Carry>,
    pub(super) callers: BTreeMap<Token, Caller>,
    pub(super) tokens: u64,
    pub(super) told: BTreeMap<NoticeId, Telling>,
    pub(super) breaker: Breaker,
    pub(super) own_claimed: bool,
}

/// When a notice is told again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling {
    pub(super) until: i64,
    /// How long it rests when it cannot be told: longer each time.
    pub(super) gap_ms: i64,
}

/// Who waits for a reply.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// A client, with the number of its call.
    Client { client: usize, call: u64 },
    /// The provider, who wants its webhook acknowledged.
    Webhook(serde_json::Value),
}

impl Node {
    pub(super) fn new(
        id: NodeId,
        store: Arc<MemoryStore>,
        roads: Arc<dyn Roads>,
        reader: Arc<Reader>,
        skew_ms: i64,
        life: u64,
    ) -> Self {
        Self {
            id,
            life,
            alive: true,
            paused_until: 0,
            skew_ms,
            store,
            reader,
            following: false,
            lane: Lane::new(0, id, roads, "http://shop.test".into()),
            given: None,
            driving: false,
            carries: BTreeMap::new(),
            callers: BTreeMap::new(),
            tokens: 0,
            told: BTreeMap::new(),
            breaker: Breaker::default(),
            own_claimed: false,
        }
    }

    /// The environment's clock as this node sees it.
    pub(super) fn now(&self, world_ms: i64) -> Timestamp {
        Timestamp::from_millis(world_ms + self.skew_ms)
    }

    /// Gives the lane what it waited for.
    pub(super) fn drive(&mut self, world_ms: i64) -> Need {
        let now = self.now(world_ms);
        match self.given.take() {
            Some(Given::Found(found)) => self.lane.loaded(found, now),
            Some(Given::Committed(outcome)) => self.lane.committed(outcome, now),
            Some(Given::Known(there)) => self.lane.known(there, now),
            Some(Given::Woken) | None => self.lane.next(now),
        }
    }

    /// Tells the breaker how a message about an order ended. Answers the orders that are to be asked about, if the provider is back.
    pub(super) fn note(&mut self, order: OrderId, ended: &Ended, world_ms: i64) -> BTreeSet<OrderId> {
        if matches!(ended, Ended::Reply(reply) if reply.status < 500) {
            let now = self.now(world_ms);
            return self.breaker.answered(now);
        }
        let now = self.now(world_ms);
        self.breaker.failed(order, now);
        BTreeSet::new()
    }
}

/// Times that a future may step aside for others: here there are none.
const YIELDS_MAX: u32 = 100_000;

/// The answer of what waits for a simulated store only: it never makes anybody wait, but its callers may step aside on the way.
pub(super) fn at_once<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    let mut future = pin!(future);
    for _ in 0..YIELDS_MAX {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
    }
    unreachable!("a simulated store answers at once")
}
