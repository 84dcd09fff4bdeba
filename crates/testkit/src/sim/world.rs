//! The world: everything that happens, in the order of its moments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use florin_core::id::{ConnectionId, MerchantId, NodeId, OrderId};
use florin_core::order::{Command, Order, Phase, Plan};
use florin_core::rail::{About, Body, Exchange, Item, Method, Notice, Rail, Reply};
use florin_core::status;
use florin_core::time::Timestamp;
use florin_services::ask::{Answered, Ask, Denied, State, What};
use florin_services::directory::Connection;
use florin_services::egress::{EXCHANGE_S_MAX, Road};
use florin_services::engine::{CALL_WAIT, abilities};
use florin_services::lane::{self, Job, LEASE_S, Need, Output, Roads, Start, Token};
use florin_services::notify::{self, Try};
use florin_services::snapshot;
use florin_services::view::View;
use florin_services::worker::{Carry, Ended, Move};
use florin_store::memory::{Disk, MemoryStore, Mishap};
use florin_store::{
    Claim, DeliveryRow, DeliveryStatus, Mode, NoticeId, NoticeRow, OrderRow, ProviderRef, Store, Tenant, Wanted,
};

use super::client::{Client, Then};
use super::dice::Dice;
use super::ears::{self, Ears};
use super::network::{Instead, Way};
use super::node::{Caller, Given, Node, Telling, at_once};
use super::{Report, Swarm};
use crate::check::{self, Evidence, Witness};
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

    // ---- clients -------------------------------------------------------------------------------------------------------------------

    fn client(&mut self, number: usize) {
        let view = self.clients[number].order.and_then(|order| self.view(order));
        let now = Timestamp::from_millis(self.now_ms);
        let Some((call, mut ask)) = self.clients[number].call(view.as_ref(), &mut self.dice, now) else {
            return;
        };
        let tries = self.tries.entry(number).or_default();
        *tries += 1;
        let tries = *tries;
        self.soon(CLIENT_MS, Happening::ClientGivesUp(number, tries));
        let at = usize::try_from(self.dice.below(2)).unwrap_or(0);
        if !self.nodes[at].alive {
            return; // nobody answers there
        }
        let start = self.start(&mut ask);
        self.tell(|| format!("client {number} asks node {at}: {}", words(&ask)));
        let node = &mut self.nodes[at];
        node.tokens += 1;
        let token = Token(node.tokens);
        node.callers.insert(token, Caller::Client { client: number, call });
        node.lane.push(Job::Ask {
            token,
            ask: Box::new(ask),
            start,
        });
        self.wake(at);
    }

    /// What the engine adds to a call: an id, and how the attempt is started.
    fn start(&mut self, ask: &mut Ask) -> Option<Box<Start>> {
        let pay = match &mut ask.what {
            What::Create { order, start } => {
                self.numbers += 1;
                let random = u128::from(self.dice.next());
                let ms = u128::try_from(self.now_ms).unwrap_or(0);
                let uuid =
                    (ms << 80) | (7 << 76) | (u128::from(self.numbers & 0xfff) << 64) | (0b10 << 62) | (random >> 2);
                order.id.get_or_insert(OrderId::from_uuid(uuid::Uuid::from_u128(uuid)));
                start.clone()?
            }
            What::Confirm { pay, .. } => pay.clone(),
            What::Leave { .. }
            | What::Capture { .. }
            | What::Void { .. }
            | What::Cancel { .. }
            | What::Refund { .. }
            | What::Amend { .. }
            | What::Describe { .. }
            | What::Back { .. }
            | What::Resolve { .. } => return None,
        };
        let instrument = match pay.method.as_str() {
            "hosted" => florin_core::rail::Instrument::Hosted,
            name => florin_core::rail::Instrument::Stored(name.to_owned()),
        };
        Some(Box::new(Start {
            plan: Plan {
                channel: pay.channel,
                method: pay.method,
                instrument,
                connection: self.road.connection.id,
                rail: self.rail.table().name.into(),
                amount: florin_core::money::Money::zero(florin_core::money::Currency::EUR),
                extras: None,
                initiator: pay.initiator,
                can: abilities(self.rail.table()),
            },
            return_url: None,
        }))
    }

    fn answer(&mut self, client: usize, call: u64, told: &Result<Answered, Denied>) {
        self.tell(|| match told {
            Ok(answered) => {
                let word = status::word(&answered.order.order).as_str();
                format!(
                    "client {client} is told {word} at version {} ({:?})",
                    answered.order.order.version, answered.state
                )
            }
            Err(denied) => format!("client {client} is told: {denied}"),
        });
        if let Ok(answered) = told {
            self.is_what_is_stored(&answered.order.order);
        }
        let current = self.clients[client]
            .open
            .as_ref()
            .is_some_and(|(number, _)| *number == call);
        if !current {
            return;
        }
        let then = self.clients[client].told(call, told);
        *self.tries.entry(client).or_default() += 1; // nobody waits for this one any more
        if let Ok(answered) = told
            && status::word(&answered.order.order) == status::Word::RequiresAction
        {
            let after = self.dice.between(500, 300_000);
            let order = answered.order.order.id;
            self.soon(after, Happening::Payer(order));
        }
        let after = match then {
            Then::Next => self.dice.between(100, 240_000),
            Then::Repeat if self.silent && self.healed => self.dice.between(600_000, 3_600_000),
            Then::Repeat => self.dice.between(200, 5_000),
        };
        self.soon(after, Happening::Client(client));
    }

    /// What a lane has in memory is what the rows of that version tell.
    fn is_what_is_stored(&mut self, order: &Order) {
        let stored = self.view(order.id).map(|view| view.order);
        if stored.is_some_and(|stored| stored.version == order.version && stored != *order) {
            let what = format!("{} is told as no row has it, at version {}", order.id, order.version);
            self.wrong.push(what);
        }
    }

    fn view(&self, order: OrderId) -> Option<View> {
        let row = self.row(order)?;
        let events = at_once(self.shared.events_of(order)).ok()?;
        snapshot::read_whole(&row, &events).ok()
    }

    fn row(&self, order: OrderId) -> Option<OrderRow> {
        let wanted = Wanted {
            orders: vec![order],
            ..Wanted::default()
        };
        at_once(self.shared.load(&wanted)).ok()?.orders.pop()
    }

    fn orders(&self) -> Vec<OrderRow> {
        at_once(self.shared.orders_after(None, u32::MAX)).unwrap_or_default()
    }

    // ---- nodes ---------------------------------------------------------------------------------------------------------------------

    fn wake(&mut self, at: usize) {
        if !self.nodes[at].driving && self.nodes[at].alive {
            self.nodes[at].driving = true;
            self.nodes[at].given = Some(Given::Woken);
            let (life, after) = (self.nodes[at].life, self.dice.between(0, 3));
            self.soon(after, Happening::Drive(at, life));
        }
    }

    fn drive(&mut self, at: usize, life: u64) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Drive(at, life));
        }
        let need = self.nodes[at].drive(self.now_ms);
        self.put_out(at);
        let given = match need {
            Need::Nothing => {
                self.nodes[at].driving = false;
                if self.nodes[at].lane.queued() > 0 {
                    self.wake(at);
                }
                return;
            }
            Need::Pause(ms) => {
                self.nodes[at].given = Some(Given::Woken);
                return self.soon(i64::from(ms).max(1), Happening::Drive(at, life));
            }
            Need::Load(wanted) => {
                self.mishap(at, false);
                Given::Found(at_once(self.nodes[at].store.load(&wanted)))
            }
            Need::Commit(batch) => {
                self.mishap(at, true);
                let outcome = at_once(self.nodes[at].store.commit(&batch));
                self.tell(|| {
                    let versions: Vec<String> = batch
                        .events
                        .iter()
                        .map(|row| format!("{} v{}", row.order, row.version))
                        .collect();
                    format!("node {at} commits {versions:?}: {outcome:?}")
                });
                for row in &batch.events {
                    self.mix(u64::from_be_bytes(row.hash[..8].try_into().unwrap_or_default()));
                }
                self.count(match outcome {
                    Ok(florin_store::Outcome::Done) => "commits",
                    Ok(florin_store::Outcome::Conflict) => "conflicts",
                    Err(_) => "commits that failed",
                });
                Given::Committed(outcome)
            }
            Need::WasCommitted(batch) => {
                self.mishap(at, false);
                Given::Known(at_once(self.nodes[at].store.was_committed(&batch)))
            }
        };
        self.nodes[at].given = Some(given);
        // Between the commit and the node's knowing of it lies a moment in which it may die.
        let after = self.dice.between(1, 30);
        self.soon(after, Happening::Drive(at, life));
    }

    fn mishap(&mut self, at: usize, commit: bool) {
        if self.healed || !self.dice.permille(self.swarm.mishap) {
            return;
        }
        let mishap = match self.dice.below(if commit { 4 } else { 1 }) {
            1 => Mishap::LoseAnswer,
            2 => Mishap::LoseCommit,
            3 => Mishap::Full,
            _ => Mishap::Refuse,
        };
        self.count("database mishaps");
        self.nodes[at].store.next_fault(mishap);
    }

    fn put_out(&mut self, at: usize) {
        for output in self.nodes[at].lane.take_outputs() {
            match output {
                Output::Reply(token, reply) => {
                    if let Some(caller) = self.nodes[at].callers.remove(&token) {
                        self.reply(caller, reply);
                    }
                }
                Output::Waiting(token, order) => {
                    let life = self.nodes[at].life;
                    let wait = i64::try_from(CALL_WAIT.as_millis()).unwrap_or(i64::MAX);
                    self.soon(wait, Happening::GiveUp(at, life, token, order));
                }
                Output::Effect(effect) => {
                    let now = self.nodes[at].now(self.now_ms);
                    self.tell(|| format!("node {at} has {} {} {:?}", effect.order, effect.step, effect.errand));
                    let (carry, next) = Carry::begin(*effect, now);
                    self.numbers += 1;
                    let number = self.numbers;
                    self.nodes[at].carries.insert(number, carry);
                    self.carry(at, number, next);
                }
                Output::Noticed => {}
                Output::Committed(_, written) => {
                    self.nodes[at].reader.committed().ring(written);
                    self.follow_soon(at);
                }
                Output::Untold(id) => {
                    let now_ms = self.now_ms;
                    if let Some(telling) = self.nodes[at].told.get_mut(&id) {
                        telling.until = now_ms + telling.gap_ms;
                        telling.gap_ms = (telling.gap_ms * 2).min(TELL_LATE_MS);
                    }
                }
                Output::Damaged(order, why) => self.wrong.push(format!("{order} is called damaged: {why}")),
                Output::Broken(why) => self.wrong.push(format!("the disk is called broken: {why}")),
            }
        }
    }

    fn reply(&mut self, caller: Caller, reply: lane::Reply) {
        match caller {
            Caller::Client { client, call } => {
                let told = match reply {
                    lane::Reply::Answered(answered) => Ok(answered),
                    lane::Reply::Denied(denied) => Err(denied),
                    lane::Reply::Rebuild(rebuild) => self.rebuild(&rebuild),
                    lane::Reply::Running(order, step) => self.running(order, step),
                    lane::Reply::Stored => Err(Denied::NotFound),
                };
                self.answer(client, call, &told);
            }
            Caller::Webhook(event) => {
                if let lane::Reply::Denied(_) = reply {
                    self.send_webhook(event); // the provider sends it again
                }
            }
        }
    }

    fn rebuild(&mut self, rebuild: &lane::Rebuild) -> Result<Answered, Denied> {
        let order = rebuild.order();
        let row = self.row(order).ok_or(Denied::NotFound)?;
        let events = at_once(self.shared.events_of(order)).map_err(|_| Denied::Unavailable { retry_after_s: 1 })?;
        lane::rebuild(&row, &events, rebuild).map_err(|damage| {
            self.wrong.push(format!("{order}: {damage}"));
            Denied::Damaged
        })?
    }

    fn running(&self, order: OrderId, step: florin_core::order::StepName) -> Result<Answered, Denied> {
        let view = self.view(order).ok_or(Denied::NotFound)?;
        Ok(Answered {
            order: Arc::new(view),
            step: Some(step),
            state: State::Running,
            replayed: false,
        })
    }

    /// What a node does every second: what is due, and what was told.
    fn tick(&mut self, at: usize, life: u64) {
        if !self.lives(at, life) {
            return;
        }
        let pace = if self.healed { self.quiet_ms() } else { 1_000 };
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Tick(at, life));
        }
        self.soon(pace, Happening::Tick(at, life));
        if self.healed {
            let now = self.provider_now();
            self.provider.passes(now);
            self.deliver_webhooks();
        }
        let own = !self.nodes[at].own_claimed;
        let claim = Claim {
            node: self.nodes[at].id,
            now: self.nodes[at].now(self.now_ms),
            lease_s: u32::try_from(LEASE_S).unwrap_or(u32::MAX),
            limit: 100,
            own,
            without: Vec::new(),
        };
        self.mishap(at, false);
        if let Ok(rows) = at_once(self.nodes[at].store.claim(&claim)) {
            self.nodes[at].own_claimed |= rows.is_empty();
            for row in rows {
                self.count("claims");
                self.tell(|| format!("node {at} claims {} (fence {})", row.id, row.fence));
                self.nodes[at].lane.push(Job::Due(Box::new(row)));
            }
        }
        self.inbox(at);
        self.follow_soon(at);
        self.wake(at);
    }

    /// After healing, how long nothing can fall due. Looking every second for a week would only take time.
    fn quiet_ms(&self) -> i64 {
        let orders = self.orders();
        let due = orders.iter().filter_map(|row| {
            let leased = row.lease.map_or(0, |lease| lease.until.millis());
            row.due.map(|due| due.millis().max(leased))
        });
        let inbox = at_once(self.shared.inbox(200)).unwrap_or_default();
        let told = inbox.iter().map(|row| {
            let telling = |node: &Node| {
                (node.told.get(&row.id)).map_or(row.received_at.millis() + OTHERS_MS, |telling| telling.until)
            };
            let soonest = self.nodes.iter().map(telling).min().unwrap_or(0);
            row.due.millis().max(soonest)
        });
        let pending = ears::deliveries(&*self.shared, self.tenant, Some(DeliveryStatus::Pending));
        let knocks = pending.iter().filter_map(|row| row.due).map(|due| due.millis());
        let next = due.chain(told).chain(knocks).min();
        let skew_ms = self.swarm.skew_s * 500;
        (next.unwrap_or(i64::MAX).saturating_sub(self.now_ms) - skew_ms).clamp(2_000, 3_600_000)
    }

    fn inbox(&mut self, at: usize) {
        let Ok(rows) = at_once(self.nodes[at].store.inbox(200)) else {
            return;
        };
        let now = self.nodes[at].now(self.now_ms);
        for row in rows {
            let told = self.nodes[at].told.get(&row.id);
            let others = told.is_none() && now.millis_since(row.received_at) < OTHERS_MS;
            if row.due > now || others || told.is_some_and(|telling| telling.until > self.now_ms) {
                continue;
            }
            let gap_ms = told.map_or(TELL_SOON_MS, |telling| telling.gap_ms);
            let until = self.now_ms + TELL_AGAIN_MS;
            self.nodes[at].told.insert(row.id.clone(), Telling { until, gap_ms });
            let item: Item = match serde_json::from_str(&row.item) {
                Ok(item) => item,
                Err(error) => {
                    self.wrong.push(format!("a notice does not read: {error}"));
                    continue;
                }
            };
            let order = match &item.about {
                About::Key(key) => Some(key.order()),
                About::Ref(kind, id) => {
                    let reference = ProviderRef {
                        connection: row.id.connection,
                        kind: kind.clone(),
                        id: id.clone(),
                    };
                    match at_once(self.nodes[at].store.order_of_ref(&reference)) {
                        Ok(order) => order,
                        Err(_) => continue, // told again in half a minute
                    }
                }
                About::Nobody => None,
            };
            let job = match order {
                Some(order) => Job::Told {
                    tenant: row.tenant,
                    order,
                    id: row.id,
                    item: Box::new(item),
                },
                None => {
                    let age_ms = now.millis_since(row.received_at).max(1_000);
                    let old = age_ms > 86_400_000 || item.about == About::Nobody;
                    let (done, later) = if old {
                        (vec![row.id], Vec::new())
                    } else {
                        (
                            Vec::new(),
                            vec![NoticeRow {
                                due: now.plus_millis(age_ms),
                                ..row
                            }],
                        )
                    };
                    Job::Shelve { done, later }
                }
            };
            self.nodes[at].lane.push(job);
        }
    }

    fn crash(&mut self, at: usize) {
        if self.healed || !self.nodes[at].alive {
            return;
        }
        self.count("crashes");
        self.tell(|| format!("node {at} dies"));
        self.nodes[at].alive = false;
        self.nodes[at].carries.clear();
        for caller in std::mem::take(&mut self.nodes[at].callers).into_values() {
            match caller {
                Caller::Client { .. } => {}                         // asks again by itself
                Caller::Webhook(event) => self.send_webhook(event), // was not acknowledged
            }
        }
        let after = self.dice.between(100, 90_000);
        self.soon(after, Happening::Restart(at));
    }

    fn restart(&mut self, at: usize) {
        if self.nodes[at].alive {
            return;
        }
        self.tell(|| format!("node {at} starts again"));
        let (skew, life) = (self.nodes[at].skew_ms, self.nodes[at].life + 1);
        self.nodes[at] = self.node(at, skew, life);
        self.soon(1, Happening::Tick(at, life));
        self.may_crash(at);
    }

    // ---- the network ---------------------------------------------------------------------------------------------------------------

    fn carry(&mut self, at: usize, number: u64, next: Move) {
        match next {
            Move::Turn(turned) => {
                self.tell(|| {
                    format!(
                        "node {at} heard of {} {}: {:?}",
                        turned.order, turned.step, turned.turn.next
                    )
                });
                self.nodes[at].carries.remove(&number);
                self.nodes[at].lane.push(Job::Turn(turned));
                self.wake(at);
            }
            Move::Send(message) => self.send(at, number, &message),
        }
    }

    fn send(&mut self, at: usize, number: u64, message: &Exchange) {
        let life = self.nodes[at].life;
        let now = self.nodes[at].now(self.now_ms);
        let way = if self.silent {
            Way::silence(&mut self.dice)
        } else {
            Way::draw(&mut self.dice, &self.swarm, self.healed, self.outage)
        };
        let Some(order) = self.nodes[at].carries.get(&number).map(Carry::order) else {
            return;
        };
        if !self.nodes[at].breaker.admits(order, now) {
            self.count("messages that never left");
            return self.soon(1, Happening::Held(at, life, number));
        }
        if way.refused {
            self.count("messages that never left");
            return self.soon(1, Happening::Ends(at, life, number, Box::new(Ended::Unsent)));
        }
        self.count("messages");
        let asked = asked(message);
        let limit = i64::try_from(EXCHANGE_S_MAX).unwrap_or(15) * 1_000;
        let back = way.replies.filter(|ms| *ms < limit);
        if let Some(instead) = way.instead {
            self.count("answers without a meaning");
            let ended = Ended::Reply(match instead {
                Instead::Error(status) => nonsense(status, "oops"),
                Instead::Garbage => nonsense(200, "{\"object\":\"payment_in"),
                Instead::NotNow => nonsense(429, "{\"error\":{\"type\":\"rate_limit\"}}"),
            });
            self.soon(
                back.unwrap_or(limit),
                Happening::Ends(at, life, number, Box::new(ended)),
            );
        } else if back.is_none() {
            self.count("answers that were lost");
            self.soon(limit, Happening::Ends(at, life, number, Box::new(Ended::Silence)));
        }
        for (copy, arrives) in way.arrives.iter().enumerate() {
            let answers = (copy == 0 && way.instead.is_none()).then_some(back).flatten();
            let reply_after = answers.map(|back| back - arrives);
            self.soon(
                *arrives,
                Happening::Arrives(at, life, number, Box::new(asked.clone()), reply_after),
            );
        }
    }

    fn arrives(&mut self, at: usize, life: u64, carry: u64, asked: &Asked, reply_after: Option<i64>) {
        let now = self.provider_now();
        let said = self.provider.ask(asked, now);
        self.tell(|| {
            format!(
                "the provider hears {} {}: {} {}",
                asked.method, asked.path, said.status, said.body["status"]
            )
        });
        self.one_attempt_at_a_time();
        if let Some(after) = reply_after {
            let reply = Reply {
                status: said.status,
                headers: BTreeMap::new(),
                body: said.body.to_string().into_bytes(),
                again: false,
            };
            self.soon(after, Happening::Ends(at, life, carry, Box::new(Ended::Reply(reply))));
        }
        self.deliver_webhooks();
    }

    fn ends(&mut self, at: usize, life: u64, carry: u64, ended: Ended) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Ends(at, life, carry, Box::new(ended)));
        }
        let Some(about) = self.nodes[at].carries.get(&carry).map(Carry::order) else {
            return;
        };
        for order in self.nodes[at].note(about, &ended, self.now_ms) {
            self.count("nudges");
            self.nodes[at].lane.push(Job::Nudge { order, step: None });
        }
        self.heard(at, carry, ended);
    }

    /// A message of this node was held back: its provider does not answer.
    fn held(&mut self, at: usize, life: u64, carry: u64) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Held(at, life, carry));
        }
        self.heard(at, carry, Ended::Unsent);
    }

    fn heard(&mut self, at: usize, carry: u64, ended: Ended) {
        let now = self.nodes[at].now(self.now_ms);
        if let Some(errand) = self.nodes[at].carries.get_mut(&carry) {
            let next = errand.heard(ended, now);
            self.carry(at, carry, next);
        }
    }

    // ---- the provider's side -------------------------------------------------------------------------------------------------------

    fn provider_now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms)
    }

    fn deliver_webhooks(&mut self) {
        if self.silent {
            return; // it keeps them until it speaks again
        }
        for event in self.provider.take_events() {
            if !self.healed && self.dice.permille(self.swarm.lose_webhook) {
                self.count("webhooks that were lost");
                // What no step of ours asks about can only be heard: that one is sent until it is acknowledged.
                if nobody_asks(&event) {
                    let after = self.dice.between(20_000, 900_000);
                    self.soon(after, Happening::Webhook(event));
                }
                continue;
            }
            if !self.healed && self.dice.permille(self.swarm.double_webhook) {
                self.send_webhook(event.clone());
            }
            self.send_webhook(event);
        }
    }

    fn send_webhook(&mut self, event: serde_json::Value) {
        let after = self.dice.between(20, 20_000);
        self.soon(after, Happening::Webhook(event));
    }

    fn webhook(&mut self, event: serde_json::Value) {
        let at = usize::try_from(self.dice.below(2)).unwrap_or(0);
        if !self.nodes[at].alive || self.asleep(at).is_some() {
            return self.send_webhook(event);
        }
        let notice = Notice {
            headers: BTreeMap::new(),
            body: event.to_string().into_bytes(),
        };
        let now = self.nodes[at].now(self.now_ms);
        let rows: Vec<NoticeRow> = (self.rail.open(&notice).items.into_iter())
            .map(|item| NoticeRow {
                id: NoticeId {
                    connection: self.road.connection.id,
                    id: item.id.clone(),
                },
                tenant: self.tenant,
                item: serde_json::to_string(&item).unwrap_or_default(),
                received_at: now,
                due: now,
            })
            .collect();
        self.count("webhooks");
        let node = &mut self.nodes[at];
        node.tokens += 1;
        let token = Token(node.tokens);
        node.callers.insert(token, Caller::Webhook(event));
        for row in &rows {
            let telling = Telling {
                until: 0,
                gap_ms: TELL_SOON_MS,
            };
            node.told.entry(row.id.clone()).or_insert(telling);
        }
        node.lane.push(Job::Notices { token, rows });
        self.wake(at);
    }

    fn payer(&mut self, order: OrderId) {
        if !self.healed && self.dice.permille(self.swarm.payer_leaves) {
            return;
        }
        let Some(view) = self.view(order) else { return };
        let Some(attempt) = view.order.running() else { return };
        let Some(memo) = view.memos.get(&attempt.number) else {
            return;
        };
        let now = self.provider_now();
        if let Some(session) = memo.get("session").cloned() {
            let card = if self.dice.permille(200) {
                "card_visa_chargeDeclined"
            } else {
                "card_visa"
            };
            let paid = self.provider.pay(&session, card, now);
            self.tell(|| format!("the payer of {order} pays on the page with {card}: {paid}"));
            if !paid {
                let after = self.dice.between(1_000, 60_000);
                self.soon(after, Happening::Payer(order));
            }
        } else if let Some(intent) = memo.get("payment_intent").cloned() {
            let passes = !self.dice.permille(200);
            self.provider.challenge(&intent, passes, now);
            self.tell(|| format!("the payer of {order} passes the challenge: {passes}"));
        }
        self.one_attempt_at_a_time();
        self.deliver_webhooks();
    }

    fn console(&mut self) {
        if self.healed {
            return;
        }
        let now = self.provider_now();
        let intents: Vec<String> = self.provider.intents().into_iter().map(|(id, _)| id).collect();
        if let Some(intent) = self.dice.pick(&intents).cloned()
            && self.dice.permille(self.swarm.console)
        {
            if self.dice.permille(200) {
                let amount = self.dice.between(1, 2_000);
                if self.provider.console_capture(&intent, amount, now) {
                    self.count("captures at the console");
                    self.tell(|| format!("somebody captures {amount} of {intent} at the console"));
                }
            } else if self.dice.permille(500) {
                let amount = self.dice.between(1, 2_000);
                let done = self.provider.console_refund(&intent, amount, now);
                self.tell(|| format!("somebody refunds {amount} of {intent} at the console: {done}"));
            } else if let Some(dispute) = self.provider.dispute(&intent, now) {
                self.count("disputes");
                let won = self.dice.permille(500);
                self.tell(|| format!("{intent} is disputed, and that ends well: {won}"));
                if self.dice.permille(700) {
                    self.provider.close_dispute(&dispute, won, now);
                }
            }
            self.deliver_webhooks();
        }
        if self.dice.permille(self.swarm.console) && self.dice.permille(300) {
            self.console_refund_fails(now);
        }
        let after = self.dice.between(5_000, 120_000);
        self.soon(after, Happening::Console);
    }

    /// A refund of what paid an order, made at the console, fails. That of a stray would be a case for a person: its reversal is over.
    fn console_refund_fails(&mut self, now: Timestamp) {
        let mut refunds = self.provider.console_refunds();
        refunds.retain(|(_, key)| {
            let view = self.view(key.order());
            view.is_some_and(|view| {
                let winner = view.order.winner().map(|winner| winner.number);
                winner == Some(key.step().attempt) && matches!(view.order.phase, Phase::Captured(_))
            })
        });
        if let Some((refund, _)) = self.dice.pick(&refunds).cloned() {
            self.count("console refunds that failed later");
            self.tell(|| format!("{refund}, made at the console, fails after all"));
            self.provider.refund_fails(&refund, now);
            self.deliver_webhooks();
        }
    }

    // ---- webhooks out --------------------------------------------------------------------------------------------------------------

    fn follow_soon(&mut self, at: usize) {
        if !self.nodes[at].following && self.nodes[at].alive {
            self.nodes[at].following = true;
            let (life, after) = (self.nodes[at].life, self.dice.between(FOLLOW_MS, 3_000));
            self.soon(after, Happening::Follow(at, life));
        }
    }

    /// What a node's reader and notifier do when the bell rings.
    fn follow(&mut self, at: usize, life: u64) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Follow(at, life));
        }
        self.nodes[at].following = false;
        self.mishap(at, false);
        let reader = Arc::clone(&self.nodes[at].reader);
        if at_once(reader.catch_up()).is_err() {
            self.follow_soon(at);
        }
        let claim = Claim {
            node: self.nodes[at].id,
            now: self.nodes[at].now(self.now_ms),
            lease_s: ears::LEASE_S,
            limit: 256,
            own: false,
            without: Vec::new(),
        };
        self.mishap(at, false);
        let taken = at_once(self.nodes[at].store.claim_deliveries(&claim)).unwrap_or_default();
        let mut lines: BTreeMap<OrderId, Vec<DeliveryRow>> = BTreeMap::new();
        for delivery in taken {
            lines.entry(delivery.order).or_default().push(delivery);
        }
        for mut line in lines.into_values() {
            line.sort_by(|a, b| a.event.cmp(&b.event));
            self.soon(0, Happening::Deliver(at, life, line, 0));
        }
    }

    fn deliver(&mut self, at: usize, life: u64, line: Vec<DeliveryRow>, next: usize) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Deliver(at, life, line, next));
        }
        let Some(delivery) = line.get(next) else {
            self.mishap(at, false);
            if at_once(self.nodes[at].store.write_deliveries(&line)).is_err() {
                self.count("deliveries that were not written down"); // they go again when their lease is over
            }
            return;
        };
        let fate = self
            .ears
            .knock(&delivery.event, &mut self.dice, &self.swarm, self.healed);
        self.count("deliveries");
        self.soon(fate.ms, Happening::Delivered(at, life, line, next, fate.status));
    }

    fn delivered(&mut self, at: usize, life: u64, mut line: Vec<DeliveryRow>, next: usize, status: Option<u16>) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Delivered(at, life, line, next, status));
        }
        let this_try = Try {
            at: self.nodes[at].now(self.now_ms),
            status_code: status,
            duration_ms: 0,
            error: status.is_none().then(|| "no answer".to_owned()),
        };
        if !this_try.succeeded() {
            self.count("deliveries that failed");
        }
        if let Some(delivery) = line.get_mut(next) {
            notify::plan::after(delivery, this_try);
        }
        self.deliver(at, life, line, next + 1);
    }

    // ---- judging -------------------------------------------------------------------------------------------------------------------

    /// Law 2, at every step: automatic reversal heals the books, so a second charge would be invisible at the end.
    fn one_attempt_at_a_time(&mut self) {
        let book = self.provider.book();
        let new = &book[self.judged.min(book.len())..];
        let orders: BTreeSet<OrderId> = new.iter().filter_map(|line| line.key).map(|key| key.order()).collect();
        self.judged = book.len();
        for order in orders {
            let stands = self.provider.stands(order);
            let charged: Vec<_> = stands
                .iter()
                .filter(|(_, stand)| stand.held > 0 || stand.taken > stand.back)
                .collect();
            if charged.len() > 1 && self.wrong.is_empty() {
                let why = format!("{order}: two attempts are charged at the same time: {charged:?}");
                self.wrong.push(why);
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        if !self.steps.is_multiple_of(256) {
            return false;
        }
        let clients = self.clients.iter().all(|client| client.done && client.open.is_none());
        let nodes = self
            .nodes
            .iter()
            .all(|node| node.lane.queued() == 0 && node.carries.is_empty());
        let messages = !self
            .queue
            .values()
            .any(|what| matches!(what, Happening::Arrives(..) | Happening::Webhook(_)));
        let heard = || {
            self.nodes.iter().all(|node| !node.following)
                && ears::deliveries(&*self.shared, self.tenant, Some(DeliveryStatus::Pending)).is_empty()
        };
        clients
            && nodes
            && messages
            && !self.silent
            && !self.provider.holds()
            && heard()
            && at_once(self.shared.inbox(1)).is_ok_and(|rows| rows.is_empty())
            && self.orders().iter().all(|row| row.due.is_none())
    }

    fn judge(&mut self) {
        let orders = self.orders();
        let mut events = Vec::new();
        for row in &orders {
            events.extend(at_once(self.shared.events_of(row.id)).unwrap_or_default());
        }
        let deliveries = ears::deliveries(&*self.shared, self.tenant, None);
        self.wrong.extend(self.ears.judge(&events, &deliveries));
        let witness: Witness = (orders.iter())
            .map(|row| (row.id, self.provider.stands(row.id)))
            .filter(|(_, stands)| !stands.is_empty())
            .collect();
        let calls: Vec<check::Call> = self.clients.iter().flat_map(|client| client.log.clone()).collect();
        self.wrong.extend(check::check(Evidence {
            calls: &calls,
            orders: &orders,
            events: &events,
            witness: Some(&witness),
            settled: true,
        }));
        for client in &self.clients {
            if let Some((number, ask)) = &client.open {
                self.wrong.push(format!(
                    "client {} never had an answer to call {number}: {}",
                    client.number,
                    words(ask)
                ));
            }
        }
        if let Ok(rows) = at_once(self.shared.inbox(10)) {
            self.wrong
                .extend(rows.iter().map(|row| format!("notice {} was never told", row.id.id)));
        }
        for row in &orders {
            if let Some(view) = self.view(row.id) {
                let attention = status::attention(&view.order);
                if !attention.is_empty() {
                    self.wrong.push(format!(
                        "{} needs a person, and nothing was wrong with it: {attention:?}",
                        row.id
                    ));
                }
            }
        }
    }
}

/// Whether an event is about something that somebody else did: refunds at the console, disputes.
fn nobody_asks(event: &serde_json::Value) -> bool {
    let object = &event["data"]["object"];
    match object["object"].as_str() {
        Some("dispute") => true,
        Some("refund") => object["metadata"]["florin_key"].is_null(),
        Some(_) | None => false,
    }
}

fn words(ask: &Ask) -> String {
    let what = match &ask.what {
        What::Create { start: Some(pay), .. } => format!("create and pay with {}", pay.method),
        What::Create { start: None, .. } => "create".into(),
        What::Confirm { order, pay } => format!("pay {order} with {}", pay.method),
        What::Leave { order } => format!("leave {order}"),
        What::Capture { order, amount, .. } => format!("capture {amount:?} of {order}"),
        What::Void { order } => format!("void {order}"),
        What::Cancel { order } => format!("cancel {order}"),
        What::Refund { order, amount } => format!("refund {amount:?} of {order}"),
        What::Amend { order, .. } => format!("amend {order}"),
        What::Describe { order, .. } => format!("describe {order}"),
        What::Back { order, .. } => format!("payer of {order} is back"),
        What::Resolve { order, .. } => format!("resolve {order}"),
    };
    format!("{what} ({})", ask.key.as_ref().map_or("no key", |key| &key.key))
}

fn nonsense(status: u16, body: &str) -> Reply {
    Reply {
        status,
        headers: BTreeMap::new(),
        body: body.as_bytes().to_vec(),
        again: false,
    }
}

fn asked(message: &Exchange) -> Asked {
    let text = |parts: &[florin_core::rail::Part]| {
        let words = parts.iter().map(|part| match part {
            florin_core::rail::Part::Text(text) => text.to_string(),
            florin_core::rail::Part::Secret(_)
            | florin_core::rail::Part::Received
            | florin_core::rail::Part::Header(_)
            | florin_core::rail::Part::HmacSha256Hex(..) => String::new(),
        });
        words.collect::<String>()
    };
    let key = message.headers.iter().find(|(name, _)| name == "idempotency-key");
    Asked {
        method: match message.method {
            Method::Get => "GET".into(),
            Method::Post => "POST".into(),
        },
        path: message
            .url
            .strip_prefix("http://provider.test")
            .unwrap_or_default()
            .to_owned(),
        key: key.map(|(_, parts)| text(parts)),
        form: match &message.body {
            Body::Form(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.to_string(), value.to_string()));
                fields.collect()
            }
            Body::None | Body::Json(_) => Vec::new(),
        },
    }
}
