//! The world: everything that happens, in the order of its moments.

mod clients;
mod hooks;
mod judge;
mod nodes;
mod provider_side;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use florin_core::id::{ConnectionId, MerchantId, NodeId, OrderId};
use florin_core::order::Command;
use florin_core::rail::Rail;
use florin_core::status;
use florin_core::time::Timestamp;
use florin_services::directory::Connection;
use florin_services::egress::Road;
use florin_services::lane::{Roads, Token};
use florin_services::worker::Ended;
use florin_store::memory::{Disk, MemoryStore};
use florin_store::{DeliveryRow, Mode, Store, Tenant};

use super::client::Client;
use super::dice::Dice;
use super::ears::{self, Ears};
use super::node::{Node, at_once};
use super::{Report, Swarm};
use crate::provider::{Asked, Provider};

/// When the world begins: 2026-11-21.
const BEGIN_MS: i64 = 1_795_219_200_000;
/// How long after healing a provider that says nothing stays so, in runs that have one: longer than machines ask without a person.
const SILENT_S: i64 = 80 * 3_600;
/// How long a node rests between looking for deliveries, in milliseconds.
const FOLLOW_MS: i64 = 50;
/// Things that may happen in one run; more is a loop that never ends.
const STEPS_MAX: u64 = 2_000_000;
/// How old a notice is before a node tells one that the other wrote down.
const OTHERS_MS: i64 = 10_000;
/// When a notice that could not be told is told again, at first and at last; and one that was told and is still there.
const TELL_SOON_MS: i64 = 1_000;
const TELL_LATE_MS: i64 = 60_000;
const TELL_AGAIN_MS: i64 = 30_000;
/// How long a client waits before it takes a call for lost.
const CLIENT_MS: i64 = 12_000;

/// What a node is about to do with the database, which decides what can go wrong.
#[derive(Clone, Copy)]
enum Doing {
    Commit,
    Fold,
    Other,
}

/// Something that is going to happen.
#[derive(Debug)]
enum Happening {
    /// A client makes its next call, or repeats one.
    Client(usize),
    /// A client has waited long enough for this call, which it made for the so-manieth time.
    ClientGivesUp(usize, u64),
    /// A node's lane goes on.
    Drive(usize, u64),
    /// A node gives up on a caller.
    GiveUp(usize, u64, Token, OrderId),
    /// A node looks for what is due and for notices.
    Tick(usize, u64),
    /// A copy of a message arrives at the provider.
    Arrives(usize, u64, u64, Box<Asked>, Option<i64>),
    /// How a message ended reaches its node.
    Ends(usize, u64, u64, Box<Ended>),
    /// A message was held back: its provider does not answer.
    Held(usize, u64, u64),
    /// A webhook arrives at a node.
    Webhook(serde_json::Value),
    /// A payer acts on a page or a challenge.
    Payer(OrderId),
    /// Somebody works at the provider's console, or a bank disputes.
    Console,
    /// A node dies.
    Crash(usize),
    /// A node starts again.
    Restart(usize),
    /// A node stands still for a while.
    Pause(usize),
    /// The provider goes away, or comes back.
    Outage(bool),
    /// A node's reader makes deliveries of what was committed, and takes those that are due.
    Follow(usize, u64),
    /// A node sends the next of these deliveries, which are about one order.
    Deliver(usize, u64, Vec<DeliveryRow>, usize),
    /// How that ended.
    Delivered(usize, u64, Vec<DeliveryRow>, usize, Option<u16>),
    /// The provider, which has said nothing for days, is back.
    Speaks,
    /// Nothing goes wrong any more.
    Heal,
}

struct OneRoad(Arc<Road>);

impl Roads for OneRoad {
    fn road(&self, connection: ConnectionId) -> Option<Arc<Road>> {
        (self.0.connection.id == connection).then(|| Arc::clone(&self.0))
    }
}

pub(super) struct World {
    seed: u64,
    dice: Dice,
    swarm: Swarm,
    now_ms: i64,
    queue: BTreeMap<(i64, u64), Happening>,
    numbers: u64,
    rail: &'static dyn Rail,
    road: Arc<Road>,
    tenant: Tenant,
    shared: Arc<MemoryStore>,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    tries: BTreeMap<usize, u64>,
    provider: Provider,
    ears: Ears,
    clock: ears::Clock,
    outage: bool,
    /// The provider says nothing at all.
    silent: bool,
    healed: bool,
    /// How much of the provider's book was looked at.
    judged: usize,
    wrong: Vec<String>,
    counted: BTreeMap<&'static str, u64>,
    steps: u64,
    trace: u64,
    story: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(seed: u64, swarm: Swarm, rail: &'static dyn Rail, story: bool) -> Self {
        let mut dice = Dice::new(seed);
        let tenant = Tenant {
            merchant: MerchantId::from_uuid(uuid::Uuid::from_u128(1)),
            mode: Mode::Test,
        };
        let connection = Connection {
            id: ConnectionId::from_uuid(uuid::Uuid::from_u128(2)),
            tenant,
            rail: rail.table().name.into(),
            base: "http://provider.test".into(),
            secrets: BTreeMap::new(),
            own: Default::default(),
            settings: BTreeMap::new(),
            default: true,
            enabled: true,
            created_at: Timestamp::from_millis(BEGIN_MS),
        };
        let road = Arc::new(Road {
            connection: Arc::new(connection),
            rail,
        });
        let shared = Arc::new(MemoryStore::open(Disk::default(), Timestamp::from_millis(BEGIN_MS)));
        let mut provider = Provider::new("http://provider.test");
        provider.refunds_pend = swarm.refunds_pend;
        let orders = usize::try_from(swarm.orders).unwrap_or(usize::MAX);
        let clients = (0..orders)
            .map(|number| Client::new(number, tenant, &mut dice))
            .collect();
        let mut world = Self {
            seed,
            dice,
            swarm,
            now_ms: BEGIN_MS,
            queue: BTreeMap::new(),
            numbers: 0,
            rail,
            road,
            tenant,
            shared,
            nodes: Vec::new(),
            clients,
            tries: BTreeMap::new(),
            provider,
            ears: Ears::default(),
            clock: ears::Clock::default(),
            outage: false,
            silent: false,
            healed: false,
            judged: 0,
            wrong: Vec::new(),
            counted: BTreeMap::new(),
            steps: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            story: story.then(Vec::new),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.clock.store(BEGIN_MS, Ordering::Relaxed);
        let store: Arc<dyn Store> = Arc::new(self.shared.another());
        let directory = ears::directory(store, &self.clock, 0, Dice::new(self.seed));
        at_once(directory.make(Some(self.tenant), ears::endpoint(self.tenant), None))
            .expect("a new connection to a simulated store has no mishaps");
        for at in 0..2 {
            let skew_ms = self.dice.between(-self.swarm.skew_s, self.swarm.skew_s) * 500;
            let node = self.node(at, skew_ms, 1);
            self.nodes.push(node);
            self.soon(0, Happening::Tick(at, 1));
            self.misfortunes(at);
        }
        for client in 0..self.clients.len() {
            let at = self.dice.between(0, self.swarm.faults_s * 600);
            self.soon(at, Happening::Client(client));
        }
        if self.swarm.console > 0 {
            self.soon(30_000, Happening::Console);
        }
        if self.swarm.outage || self.swarm.silent {
            let at = self.dice.between(0, self.swarm.faults_s * 500);
            self.soon(at, Happening::Outage(true));
        }
        self.soon(self.swarm.faults_s * 1_000, Happening::Heal);
    }

    fn node(&mut self, at: usize, skew_ms: i64, life: u64) -> Node {
        let id = NodeId::from_uuid(uuid::Uuid::from_u128(10 + at as u128));
        let roads = Arc::new(OneRoad(Arc::clone(&self.road)));
        let store = Arc::new(self.shared.another());
        let dice = Dice::new(self.dice.next());
        let directory = ears::directory(Arc::clone(&store) as _, &self.clock, skew_ms, dice);
        let reader = ears::reader(&store, directory, self.rail);
        Node::new(id, store, roads, reader, skew_ms, life)
    }

    fn misfortunes(&mut self, at: usize) {
        self.may_crash(at);
        if self.swarm.pause_every_s > 0 {
            let after = self.dice.between(1, self.swarm.pause_every_s * 2_000);
            self.soon(after, Happening::Pause(at));
        }
    }

    fn may_crash(&mut self, at: usize) {
        if self.swarm.crash_every_s > 0 && !self.healed {
            let after = self.dice.between(1, self.swarm.crash_every_s * 2_000);
            self.soon(after, Happening::Crash(at));
        }
    }

    // ---- time ----------------------------------------------------------------------------------------------------------------------

    fn soon(&mut self, after_ms: i64, what: Happening) {
        self.numbers += 1;
        self.queue.insert((self.now_ms + after_ms.max(0), self.numbers), what);
    }

    fn count(&mut self, word: &'static str) {
        *self.counted.entry(word).or_default() += 1;
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let ms = self.now_ms - BEGIN_MS;
            story.push(format!("{:>9}.{:03} {}", ms / 1_000, ms % 1_000, line()));
        }
    }

    fn mix(&mut self, number: u64) {
        self.trace = (self.trace ^ number).wrapping_mul(0x0000_0100_0000_01b3);
    }

    pub(super) fn run(mut self) -> Report {
        let end = BEGIN_MS + (self.swarm.faults_s + self.swarm.rest_s) * 1_000;
        while let Some(((at, number), what)) = self.queue.pop_first() {
            if at > end || self.steps >= STEPS_MAX || (self.healed && self.is_at_rest()) {
                break;
            }
            if !self.wrong.is_empty() && self.story.is_none() {
                return self.report(); // what comes after a wrong is told with the story only
            }
            self.now_ms = at;
            self.steps += 1;
            self.mix(u64::try_from(at).unwrap_or(0) ^ number);
            self.shared.set_clock(Timestamp::from_millis(at));
            self.clock.store(at, Ordering::Relaxed);
            self.happen(what);
        }
        if self.steps >= STEPS_MAX {
            self.wrong.push("it never comes to rest".into());
        }
        self.judge();
        self.report()
    }

    fn report(self) -> Report {
        Report {
            seed: self.seed,
            orders: u32::try_from(self.orders().len()).unwrap_or(u32::MAX),
            wrong: self.wrong,
            steps: self.steps,
            seconds: (self.now_ms - BEGIN_MS) / 1_000,
            counted: self.counted,
            trace: self.trace,
            story: self.story.unwrap_or_default(),
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Client(client) => self.client(client),
            Happening::ClientGivesUp(client, tries) => {
                if self.tries.get(&client) == Some(&tries) {
                    self.count("calls that were not answered");
                    self.client(client);
                }
            }
            Happening::Drive(at, life) => self.drive(at, life),
            Happening::GiveUp(at, life, token, order) => {
                if self.lives(at, life) {
                    self.nodes[at].lane.give_up(token, order);
                    self.put_out(at);
                }
            }
            Happening::Tick(at, life) => self.tick(at, life),
            Happening::Arrives(at, life, carry, asked, reply_after) => {
                self.arrives(at, life, carry, &asked, reply_after)
            }
            Happening::Ends(at, life, carry, ended) => self.ends(at, life, carry, *ended),
            Happening::Held(at, life, carry) => self.held(at, life, carry),
            Happening::Webhook(event) => self.webhook(event),
            Happening::Payer(order) => self.payer(order),
            Happening::Console => self.console(),
            Happening::Crash(at) => self.crash(at),
            Happening::Restart(at) => self.restart(at),
            Happening::Pause(at) => {
                let ms = self.dice.between(1_000, 120_000);
                self.count("pauses");
                self.nodes[at].paused_until = self.now_ms + ms;
                self.tell(|| format!("node {at} stands still for {ms} ms"));
                if !self.healed {
                    let after = self.dice.between(1, self.swarm.pause_every_s * 2_000);
                    self.soon(after, Happening::Pause(at));
                }
            }
            Happening::Outage(away) if self.swarm.silent => {
                self.silent |= away && !self.healed;
                self.tell(|| "-- the provider says nothing any more --".into());
            }
            Happening::Outage(away) => {
                self.outage = away && !self.healed;
                self.count("outages");
                if self.outage {
                    let after = self.dice.between(10_000, 900_000);
                    self.soon(after, Happening::Outage(false));
                }
            }
            Happening::Follow(at, life) => self.follow(at, life),
            Happening::Deliver(at, life, line, next) => self.deliver(at, life, line, next),
            Happening::Delivered(at, life, line, next, status) => self.delivered(at, life, line, next, status),
            Happening::Speaks => self.speaks(),
            Happening::Heal => self.heal(),
        }
    }

    fn heal(&mut self) {
        self.tell(|| "-- nothing goes wrong any more --".into());
        self.healed = true;
        self.outage = false;
        if self.silent {
            self.soon(SILENT_S * 1_000, Happening::Speaks);
        }
        self.provider.refunds_pend = false;
        let now = self.provider_now();
        self.provider.settle_refunds(false, now);
        for dispute in self.provider.open_disputes() {
            let won = self.dice.permille(500);
            self.provider.close_dispute(&dispute, won, now);
        }
        self.deliver_webhooks();
        for at in 0..self.nodes.len() {
            self.nodes[at].paused_until = 0;
            if !self.nodes[at].alive {
                self.restart(at);
            }
        }
    }

    /// After three days of silence everything that is still uncertain has called for a person. Then the provider is back, and all of it
    /// has to come to an end without one.
    fn speaks(&mut self) {
        self.tell(|| "-- the provider speaks again --".into());
        self.silent = false;
        self.deliver_webhooks();
        let late = Timestamp::from_millis(self.now_ms).plus_seconds(-3_600);
        for row in self.orders() {
            let Some(view) = self.view(row.id) else { continue };
            let long =
                |(at, timer): &(Timestamp, Command)| matches!(timer, Command::UncertainLong { .. }) && *at < late;
            if view.order.timers().iter().any(long) {
                self.wrong
                    .push(format!("{} is uncertain for three days, and nobody is called", row.id));
            }
            if !status::attention(&view.order).is_empty() {
                self.count("cases for a person");
            }
        }
    }

    /// Whether a happening of that life of a node still counts. A node that stands still does it later.
    fn lives(&self, at: usize, life: u64) -> bool {
        self.nodes[at].alive && self.nodes[at].life == life
    }

    fn asleep(&self, at: usize) -> Option<i64> {
        let wait = self.nodes[at].paused_until - self.now_ms;
        (wait > 0).then_some(wait)
    }
}
