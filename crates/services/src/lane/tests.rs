//! What a lane does with what it is given, as tables: jobs in, needs and outputs out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use florin_core::decline::{Code, Decline};
use florin_core::id::{ConnectionId, MerchantId};
use florin_core::money::{Currency, Money};
use florin_core::order::{Abilities, CaptureAt, Initiator, Kind, Open, Order, Plan, StepKind};
use florin_core::rail::{
    About, Action, Body, Can, Event, Exchange, Heard, Instrument, Item, Method, Next, Outcome as Ends, Rail, Repeat,
    Reply as RailReply, Report, Step, Table, Task, Turn, Unfit, Unsupported, Wait, Why,
};
use florin_core::status;
use florin_store::memory::{MemoryStore, Mishap};
use florin_store::{Claim, IdemKey, Mode, NoticeId, NoticeRow, OrderRow, Store};
use uuid::Uuid;

use super::*;
use crate::ask::{Ask, NewOrder, Pay, State};
use crate::directory::Connection;
use crate::egress::Road;
use crate::view::Details;
use crate::worker::{Carry, Effect, Ended, Errand, Move, Turned};

mod batches;
mod copies;
mod nodes;
mod notices;
mod rules;
mod toy;

use toy::{OneRoad, Toy};

const T: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn tenant() -> Tenant {
    Tenant {
        merchant: MerchantId::from_uuid(Uuid::from_u128(1)),
        mode: Mode::Test,
    }
}

fn node(number: u128) -> NodeId {
    NodeId::from_uuid(Uuid::from_u128(number))
}

/// A lane over a store in memory, driven by hand.
struct Bench {
    lane: Lane,
    store: Arc<MemoryStore>,
    now: Timestamp,
    tokens: u64,
    replies: BTreeMap<Token, Reply>,
    effects: Vec<Effect>,
    /// What the lane needed, in words.
    needed: Vec<&'static str>,
    untold: usize,
    /// Whether the node knows the connection.
    knows: Arc<AtomicBool>,
}

fn said(word: &str) -> Ended {
    Ended::Reply(RailReply {
        status: 200,
        body: word.as_bytes().to_vec(),
        ..RailReply::default()
    })
}

fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a store in memory answers at once"),
    }
}

impl Bench {
    fn new() -> Self {
        Self::over(Arc::new(MemoryStore::open(Default::default(), T)), 1)
    }

    fn over(store: Arc<MemoryStore>, number: u128) -> Self {
        let connection = Connection {
            id: ConnectionId::from_uuid(Uuid::from_u128(2)),
            tenant: tenant(),
            rail: "toy".into(),
            base: "https://toy.test".into(),
            secrets: BTreeMap::new(),
            own: Default::default(),
            settings: BTreeMap::new(),
            default: true,
            enabled: true,
            created_at: T,
        };
        let road = Arc::new(Road {
            connection: Arc::new(connection),
            rail: &Toy,
        });
        let knows = Arc::new(AtomicBool::new(true));
        let roads = OneRoad(road, Arc::clone(&knows));
        Self {
            lane: Lane::new(0, node(number), Arc::new(roads), "https://pay.test".into()),
            knows,
            store,
            now: T,
            tokens: 0,
            replies: BTreeMap::new(),
            effects: Vec::new(),
            needed: Vec::new(),
            untold: 0,
        }
    }

    fn ask(&mut self, key: &str, what: What) -> Token {
        self.ask_with(Some(key), what)
    }

    fn ask_with(&mut self, key: Option<&str>, what: What) -> Token {
        let mut method = None;
        if let What::Create { start: Some(pay), .. } | What::Confirm { pay, .. } = &what {
            method = Some(pay.method.clone());
        }
        let start = method.map(|card| {
            Box::new(Start {
                plan: Plan {
                    channel: "api".into(),
                    method: card.clone(),
                    instrument: Instrument::Stored(card),
                    connection: ConnectionId::from_uuid(Uuid::from_u128(2)),
                    rail: "toy".into(),
                    amount: eur(0),
                    extras: None,
                    initiator: Initiator::Payer,
                    can: Abilities {
                        sale: true,
                        cancel: true,
                        ..Abilities::default()
                    },
                },
                return_url: None,
            })
        });
        self.tokens += 1;
        let token = Token(self.tokens);
        let key = key.map(|key| IdemKey {
            key: key.to_owned(),
            hash: [7; 32],
            earlier: None,
        });
        let ask = Box::new(Ask {
            tenant: tenant(),
            key,
            what,
        });
        self.lane.push(Job::Ask { token, ask, start });
        token
    }

    fn sale(&mut self, number: u128) -> Token {
        self.ask(&format!("sale {number}"), create(number, CaptureAt::Once, Some("card")))
    }

    /// Gives the lane what it needs, until it needs nothing.
    fn run(&mut self) {
        let mut need = self.lane.next(self.now);
        for _ in 0..1_000 {
            self.take();
            need = self.give(need);
            if matches!(need, Need::Nothing) && self.lane.queued() == 0 {
                return self.take();
            }
        }
        panic!("the lane never rests");
    }

    fn give(&mut self, need: Need) -> Need {
        match need {
            Need::Nothing => self.lane.next(self.now),
            Need::Pause(_) => {
                self.needed.push("pause");
                self.lane.next(self.now)
            }
            Need::Load(wanted) => {
                self.needed.push("load");
                let found = at_once(self.store.load(&wanted));
                self.lane.loaded(found, self.now)
            }
            Need::Commit(batch) => {
                self.needed.push("commit");
                let outcome = at_once(self.store.commit(&batch));
                self.lane.committed(outcome, self.now)
            }
            Need::WasCommitted(batch) => {
                self.needed.push("was committed?");
                let there = at_once(self.store.was_committed(&batch));
                self.lane.known(there, self.now)
            }
        }
    }

    fn take(&mut self) {
        for output in self.lane.take_outputs() {
            match output {
                Output::Reply(token, reply) => {
                    assert!(self.replies.insert(token, reply).is_none(), "nobody is answered twice");
                }
                Output::Effect(effect) => self.effects.push(*effect),
                Output::Untold(_) => self.untold += 1,
                Output::Waiting(..) | Output::Noticed | Output::Committed(..) => {}
                Output::Damaged(order, why) => panic!("{order}: {why}"),
                Output::Broken(why) => panic!("{why}"),
            }
        }
    }

    /// The provider answers the oldest errand with a word; silence if there is none.
    fn hear(&mut self, word: Option<&str>) -> Turned {
        self.hear_each(|_| word.map_or(Ended::Silence, said))
    }

    /// Each message of the oldest errand ends as `end` says of its name.
    fn hear_each(&mut self, end: impl Fn(&str) -> Ended) -> Turned {
        let effect = self.effects.remove(0);
        let (mut carry, mut next) = Carry::begin(effect, self.now);
        for _ in 0..10 {
            match next {
                Move::Turn(turned) => return *turned,
                Move::Send(message) => next = carry.heard(end(&message.name), self.now),
            }
        }
        panic!("the errand never ends")
    }

    fn end(&mut self, end: impl Fn(&str) -> Ended) {
        let turned = self.hear_each(end);
        self.lane.push(Job::Turn(Box::new(turned)));
        self.run();
    }

    /// The oldest errand's message never left.
    fn unsent(&mut self) {
        self.end(|_| Ended::Unsent);
    }

    /// Time goes by until there is something to do for the order, which is claimed whenever it is due.
    fn until_due(&mut self, number: u128) {
        for _ in 0..10 {
            let due = self.stored(number).due.expect("something is open");
            self.pass(due.millis_since(self.now).max(0) / 1_000);
            assert_eq!(self.claim(false), 1);
            if !self.effects.is_empty() {
                return;
            }
        }
        panic!("nothing is ever done");
    }

    fn turn(&mut self, word: Option<&str>) {
        let turned = self.hear(word);
        self.lane.push(Job::Turn(Box::new(turned)));
        self.run();
    }

    fn claim(&mut self, own: bool) -> usize {
        let count = self.claim_rows(own);
        self.run();
        count
    }

    fn claim_rows(&mut self, own: bool) -> usize {
        let claim = Claim {
            node: self.lane.node,
            now: self.now,
            lease_s: 30,
            limit: 10,
            own,
            without: Vec::new(),
        };
        let rows = at_once(self.store.claim(&claim)).unwrap();
        let count = rows.len();
        for row in rows {
            self.lane.push(Job::Due(Box::new(row)));
        }
        count
    }

    fn pass(&mut self, seconds: i64) {
        self.now = self.now.plus_seconds(seconds);
        self.store.set_clock(self.now);
    }

    fn word(&self, token: Token) -> &'static str {
        let Reply::Answered(answered) = &self.replies[&token] else {
            panic!("{:?}", self.replies[&token])
        };
        status::word(&answered.order.order).as_str()
    }

    fn stored(&self, number: u128) -> OrderRow {
        let rows = at_once(self.store.orders_after(None, 100)).unwrap();
        rows.into_iter().find(|row| row.id == order(number)).unwrap()
    }

    fn stored_order(&self, number: u128) -> Order {
        let row = self.stored(number);
        let events = at_once(self.store.events_of(row.id)).unwrap();
        crate::snapshot::read_whole(&row, &events).unwrap().order
    }

    fn stored_word(&self, number: u128) -> &'static str {
        status::word(&self.stored_order(number)).as_str()
    }

    /// Whether nobody knows what became of something.
    fn is_uncertain(&self, number: u128) -> bool {
        let order = self.stored_order(number);
        order.in_flight().iter().any(|step| step.state == Open::Uncertain)
    }

    fn needed(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.needed)
    }
}

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

fn order(number: u128) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128((7 << 76) | (2 << 62) | number))
}

fn create(number: u128, capture: CaptureAt, card: Option<&str>) -> What {
    What::Create {
        order: Box::new(NewOrder {
            id: Some(order(number)),
            reference: format!("order {number}"),
            kind: Kind::Payment,
            amount: eur(1000),
            capture,
            expires_at: None,
            details: Arc::default(),
        }),
        start: card.map(pay),
    }
}

fn pay(card: &str) -> Pay {
    Pay {
        method: card.into(),
        connection: None,
        channel: "api".into(),
        initiator: Initiator::Payer,
        return_url: None,
    }
}

fn notice(id: &str, about: About) -> (NoticeRow, Item) {
    let item = Item {
        id: id.into(),
        about,
        kind: "paid".into(),
        facts: BTreeMap::new(),
    };
    let row = NoticeRow {
        id: NoticeId {
            connection: ConnectionId::from_uuid(Uuid::from_u128(2)),
            id: id.into(),
        },
        tenant: tenant(),
        item: serde_json::to_string(&item).unwrap(),
        received_at: T,
        due: T,
    };
    (row, item)
}

fn about_sale(number: u128) -> About {
    About::Key(florin_core::id::Key::new(order(number), StepName::authorize(1)))
}

impl Bench {
    fn told(&mut self, id: &str, number: u128) {
        self.told_about(id, number, about_sale(number));
    }

    fn told_about(&mut self, id: &str, number: u128, about: About) {
        let (row, item) = notice(id, about);
        self.tokens += 1;
        let token = Token(self.tokens);
        let job = Job::Notices {
            token,
            rows: vec![row.clone()],
        };
        self.lane.push(job);
        self.run();
        assert!(matches!(self.replies[&token], Reply::Stored));
        self.lane.push(Job::Told {
            tenant: tenant(),
            order: order(number),
            id: row.id,
            item: Box::new(item),
        });
        self.run();
    }

    fn inbox(&self) -> usize {
        at_once(self.store.inbox(10)).unwrap().len()
    }

    fn turn_told(&mut self, id: &str, number: u128, word: &str) {
        let (row, item) = notice(id, about_sale(number));
        self.lane.push(Job::Told {
            tenant: tenant(),
            order: order(number),
            id: row.id,
            item: Box::new(item),
        });
        self.run();
        self.turn(Some(word));
    }
}
