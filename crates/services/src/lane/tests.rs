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
use florin_core::order::{Abilities, CaptureAt, Initiator, Kind, Plan, StepKind};
use florin_core::rail::{
    About, Action, Body, Can, Event, Exchange, Heard, Instrument, Item, Method, Next, Outcome as Ends, Rail, Repeat,
    Reply as RailReply, Report, Step, Table, Task, Turn, Unsupported, Wait, Why,
};
use florin_core::status;
use florin_store::memory::{MemoryStore, Mishap};
use florin_store::{Claim, IdemKey, Mode, NoticeId, NoticeRow, Store};
use uuid::Uuid;

use super::*;
use crate::ask::{Ask, NewOrder, Pay, State};
use crate::directory::Connection;
use crate::egress::Road;
use crate::view::Details;
use crate::worker::{Carry, Effect, Ended, Errand, Move, Turned};

const T: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A rail whose provider says in one word what happened. Its method `once` may be sent only once.
struct Toy;

static TABLE: Table = Table {
    name: "toy",
    steps: &[
        can(Step::Sale),
        can(Step::Authorize),
        can(Step::Capture),
        can(Step::Cancel),
        can(Step::Refund),
        can(Step::Void),
    ],
    currencies: &["EUR"],
    hosts: &[],
    secrets: &[],
    exchanges: &["do", "look"],
    waits: &["page", "finished", "stuck"],
    refs: &["id"],
    remembers_s: 3_600,
    refund_days: 0,
};

const fn can(step: Step) -> Can {
    Can {
        step,
        partial: true,
        many: true,
    }
}

fn message(name: &'static str, repeat: Repeat) -> Exchange {
    Exchange {
        name: Cow::Borrowed(name),
        method: Method::Post,
        url: "https://toy.test/".into(),
        headers: Vec::new(),
        body: Body::None,
        repeat,
        asks: name == "look",
    }
}

const SAME: Repeat = Repeat::Same {
    every_s: 1,
    for_s: 3_600,
};

impl Rail for Toy {
    fn table(&self) -> &'static Table {
        &TABLE
    }

    fn start(&self, task: &Task) -> Result<Turn, Unsupported> {
        match &task.instrument {
            Instrument::Stored(card) if card == "cannot" => Err(Unsupported {
                rail: "toy",
                why: "no such card".into(),
            }),
            Instrument::Stored(card) if card == "panics" => panic!("a mistake in a rail"),
            Instrument::Stored(card) if card == "once" => Ok(Turn::new(Next::Send(message("do", Repeat::Never)))),
            Instrument::Stored(_) | Instrument::Hosted => {
                Ok(Turn::new(Next::Send(message("do", SAME))).learning("begun", "yes"))
            }
        }
    }

    fn read(&self, _: &Task, exchange: &str, heard: Heard<'_>) -> Turn {
        let report = |outcome| Turn::new(Next::Done(Report::new(outcome, None)));
        match heard {
            Heard::Reply(reply) => match std::str::from_utf8(&reply.body) {
                Ok("taken") => report(Ends::Moved).learning("id", "toy_1"),
                Ok("held") => report(Ends::Held { until: None }),
                Ok("released") => report(Ends::Released),
                Ok("no") => report(Ends::Declined(Decline::new(Code::GenericDecline))),
                Ok("act") => Turn::new(Next::Wait(page())),
                Ok("later") => Turn::new(Next::Again { after_s: 7 }),
                _ => Turn::new(Next::Unclear),
            },
            Heard::Silence if exchange == "do" => Turn::new(Next::Send(message("look", SAME))),
            Heard::Silence => Turn::new(Next::Unclear),
            Heard::Unsent => report(Ends::Declined(Decline::new(Code::IssuerUnavailable))),
        }
    }

    fn wake(&self, _: &Task, _: &str, _: Event<'_>) -> Turn {
        Turn::new(Next::Send(message("look", SAME)))
    }
}

fn page() -> Wait {
    Wait {
        name: Cow::Borrowed("page"),
        why: Why::Payer(Action::Redirect {
            url: "https://toy.test/page".into(),
        }),
        poll: &[10, 60],
        until_s: 3_600,
    }
}

struct OneRoad(Arc<Road>, Arc<AtomicBool>);

impl Roads for OneRoad {
    fn road(&self, connection: ConnectionId) -> Option<Arc<Road>> {
        (self.0.connection.id == connection && self.1.load(Relaxed)).then(|| Arc::clone(&self.0))
    }
}

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
                Output::Waiting(..) | Output::Noticed | Output::Lost(..) | Output::Committed(_) => {}
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
        let claim = Claim {
            node: self.lane.node,
            now: self.now,
            lease_s: 30,
            limit: 10,
            own,
        };
        let rows = at_once(self.store.claim(&claim)).unwrap();
        let count = rows.len();
        for row in rows {
            self.lane.push(Job::Due(Box::new(row)));
        }
        self.run();
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

    fn stored_word(&self, number: u128) -> &'static str {
        let row = self.stored(number);
        let events = at_once(self.store.events_of(row.id)).unwrap();
        status::word(&crate::snapshot::read_whole(&row, &events).unwrap().order).as_str()
    }

    fn needed(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.needed)
    }
}

use florin_store::OrderRow;

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

#[test]
fn what_has_queued_is_one_commit_and_its_turns_are_another() {
    let mut bench = Bench::new();
    let sales: Vec<Token> = (0..3).map(|number| bench.sale(number)).collect();
    bench.run();
    assert_eq!(bench.needed(), ["commit"], "new orders are read nowhere");
    assert_eq!(bench.effects.len(), 3, "handed over when it was durable");
    assert!(bench.replies.is_empty(), "nobody is told before the step is over");
    let turns: Vec<Turned> = (0..3).map(|_| bench.hear(Some("taken"))).collect();
    for turned in turns {
        bench.lane.push(Job::Turn(Box::new(turned)));
    }
    bench.run();
    assert_eq!(bench.needed(), ["commit"], "what is remembered is not read");
    assert!(sales.iter().all(|token| bench.word(*token) == "captured"));
    let row = bench.stored(0);
    assert_eq!((row.version, &row.work, row.due, row.lease), (3, &None, None, None));
}

#[test]
fn what_comes_during_a_commit_is_in_the_next_one() {
    let mut bench = Bench::new();
    bench.sale(1);
    let need = bench.lane.next(T);
    let Need::Commit(first) = need else { panic!("{need:?}") };
    bench.sale(2);
    bench.sale(3);
    assert!(matches!(bench.lane.next(T), Need::Nothing), "one at a time");
    let outcome = at_once(bench.store.commit(&first));
    let Need::Commit(second) = bench.lane.committed(outcome, T) else {
        panic!("there is more to do")
    };
    assert_eq!((first.new.len(), second.new.len()), (1, 2));
}

#[test]
fn nothing_is_answered_or_sent_before_it_is_durable() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.sale(2);
    let Need::Commit(_) = bench.lane.next(T) else {
        panic!("a commit")
    };
    bench.take();
    assert!(bench.replies.is_empty() && bench.effects.is_empty());
}

#[test]
fn a_lease_and_the_message_are_in_the_commit_that_starts_the_step() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    let row = bench.stored(1);
    assert_eq!(row.version, 2, "made and started");
    assert!(row.work.unwrap().contains("https://toy.test/"), "the very message");
    assert_eq!(row.lease.unwrap().node, node(1));
    assert_eq!(row.lease.unwrap().until, T.plus_seconds(LEASE_S));
}

#[test]
fn a_lost_answer_to_a_commit_is_looked_up_and_what_is_not_there_is_decided_again() {
    for (mishap, needed) in [
        (Mishap::LoseAnswer, &["commit", "was committed?"][..]),
        (Mishap::LoseCommit, &["commit", "was committed?", "load", "commit"]),
    ] {
        let mut bench = Bench::new();
        bench.store.next_fault(mishap);
        let sale = bench.sale(1);
        bench.run();
        assert_eq!(bench.needed(), needed, "{mishap:?}");
        assert_eq!(bench.effects.len(), 1, "{mishap:?}: sent once");
        bench.turn(Some("taken"));
        assert_eq!(bench.word(sale), "captured");
    }
}

#[test]
fn callers_are_told_that_the_database_rests_and_what_a_provider_said_is_kept() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    let turned = bench.hear(Some("taken"));
    for _ in 0..2 {
        bench.store.next_fault(Mishap::Refuse);
    }
    bench.lane.push(Job::Turn(Box::new(turned)));
    let other = bench.ask("k", create(2, CaptureAt::Once, None));
    bench.run();
    assert!(matches!(
        bench.replies[&other],
        Reply::Denied(Denied::Unavailable { .. })
    ));
    assert_eq!(
        bench.stored_word(1),
        "captured",
        "what was said is written when the database is back"
    );
}

#[test]
fn a_full_disk_and_a_broken_one_are_told_apart() {
    let mut bench = Bench::new();
    bench.store.next_fault(Mishap::Full);
    let full = bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    assert!(matches!(bench.replies[&full], Reply::Denied(Denied::Full)));
    let fits = bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    assert_eq!(bench.word(fits), "created");
}

#[test]
fn a_repeated_key_is_answered_from_what_is_there_and_costs_its_neighbours_nothing() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    bench.needed();
    let again = bench.ask("k", create(2, CaptureAt::Once, None));
    let neighbour = bench.ask("other", create(3, CaptureAt::Once, None));
    bench.run();
    assert_eq!(bench.needed(), ["commit", "load", "commit"], "read again in one query");
    assert!(matches!(&bench.replies[&again], Reply::Rebuild(rebuild) if rebuild.order() == order(1)));
    assert_eq!(bench.word(neighbour), "created");
}

#[test]
fn one_key_twice_in_one_batch_makes_one_order() {
    let mut bench = Bench::new();
    let first = bench.ask("k", create(1, CaptureAt::Once, None));
    let second = bench.ask("k", create(2, CaptureAt::Once, None));
    bench.run();
    assert_eq!(bench.word(first), "created");
    assert!(matches!(&bench.replies[&second], Reply::Rebuild(rebuild) if rebuild.order() == order(1)));
}

#[test]
fn a_taken_reference_names_its_order_in_the_same_batch_and_later() {
    let mut bench = Bench::new();
    let same = |bench: &mut Bench, key: &str, id: u128| {
        let mut what = create(id, CaptureAt::Once, None);
        if let What::Create { order, .. } = &mut what {
            order.reference = "A-17".into();
        }
        bench.ask(key, what)
    };
    same(&mut bench, "first", 1);
    let second = same(&mut bench, "second", 2);
    bench.run();
    let third = same(&mut bench, "third", 3);
    bench.run();
    for token in [second, third] {
        assert!(
            matches!(bench.replies[&token], Reply::Denied(Denied::ReferenceTaken { order: taken }) if taken == order(1)),
            "{:?}",
            bench.replies[&token]
        );
    }
}

#[test]
fn two_nodes_on_one_order_get_on_one_after_the_other() {
    let mut first = Bench::new();
    first.ask("k", create(1, CaptureAt::Once, None));
    first.run();
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    let paid = second.ask(
        "pay",
        What::Confirm {
            order: order(1),
            pay: pay("card"),
        },
    );
    second.run();
    assert_eq!(second.needed(), ["load", "commit"]);
    first.needed();
    // The first node still remembers the order as it made it.
    let canceled = first.ask("cancel", What::Cancel { order: order(1) });
    first.run();
    assert_eq!(first.needed(), ["commit", "load", "commit"]);
    assert!(!first.replies.contains_key(&canceled), "it waits for the attempt");
    second.turn(Some("taken"));
    assert_eq!(
        second.word(paid),
        "canceled",
        "what the first node wrote meanwhile holds"
    );
    let events = at_once(second.store.events_of(order(1))).unwrap();
    assert!(
        events.iter().any(|row| row.postings.is_some()),
        "and what the provider said is booked"
    );
}

#[test]
fn a_no_about_an_order_that_is_only_remembered_is_read_before_it_is_said() {
    let mut first = Bench::new();
    first.ask("k", create(1, CaptureAt::Later, None));
    first.run();
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    second.ask(
        "pay",
        What::Confirm {
            order: order(1),
            pay: pay("card"),
        },
    );
    second.run();
    second.turn(Some("held"));
    assert_eq!(first.stored_word(1), "authorized");
    first.needed();
    let capture = What::Capture {
        order: order(1),
        amount: None,
        last: true,
    };
    first.ask("capture", capture);
    first.run();
    assert_eq!(
        first.needed(),
        ["load", "commit"],
        "remembered as created, where a capture is refused"
    );
    assert_eq!(first.effects.len(), 1);
}

#[test]
fn a_message_that_may_go_once_is_marked_by_a_commit_of_its_own_first() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, Some("once")));
    bench.run();
    assert_eq!(bench.needed(), ["commit", "commit"]);
    assert_eq!(bench.effects.len(), 1);
    assert_eq!(
        bench.stored(1).version,
        3,
        "the mark moves the version: nobody else can have marked it"
    );
    // Whoever finds it marked lets the rail find out, and never sends it.
    let mut next = Bench::over(Arc::new(bench.store.another()), 2);
    next.now = T;
    next.pass(LEASE_S + 1);
    assert_eq!(next.claim(false), 1);
    assert!(matches!(next.effects[0].errand, Errand::Silence));
}

#[test]
fn a_message_that_may_go_once_is_left_to_the_node_that_holds_the_order() {
    let refund = |minor| What::Refund {
        order: order(1),
        amount: Some(eur(minor)),
    };
    let mut first = Bench::new();
    first.ask("k", create(1, CaptureAt::Once, Some("once")));
    first.run();
    first.turn(Some("taken"));
    first.ask("refund 1", refund(300));
    first.run();
    assert_eq!(first.effects.len(), 1, "under the first node's lease");
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    second.ask("refund 2", refund(400));
    second.run();
    assert!(second.effects.is_empty(), "and it does not try for ever");
    first.turn(Some("taken"));
    assert_eq!(first.effects.len(), 1, "the first node goes on with what it finds");
    first.turn(Some("taken"));
    assert_eq!(first.stored_word(1), "partially_refunded");
}

#[test]
fn a_node_that_comes_back_sends_the_same_message_again_and_says_so() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    let lost = bench.effects.remove(0);
    let mut next = Bench::over(Arc::new(bench.store.another()), 1);
    next.pass(1);
    let mut reborn = Bench::over(Arc::new(next.store.another()), 1);
    reborn.now = next.now;
    assert_eq!(reborn.claim(true), 1, "its own, at once");
    let (
        Errand::Send {
            message: first,
            again: false,
        },
        Errand::Send {
            message: second,
            again: true,
        },
    ) = (&lost.errand, &reborn.effects[0].errand)
    else {
        panic!("{:?}", reborn.effects)
    };
    assert_eq!(first, second);
}

#[test]
fn silence_is_uncertain_and_a_copy_goes_by_the_plan() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(None);
    assert!(bench.effects.is_empty(), "not at once");
    let row = bench.stored(1);
    assert_eq!((row.due, row.lease), (Some(T.plus_seconds(5)), None));
    assert!(row.state.contains("uncertain"));
    bench.pass(5);
    assert_eq!(bench.claim(false), 1);
    assert!(matches!(bench.effects[0].errand, Errand::Send { again: true, .. }));
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

#[test]
fn not_now_is_no_fact_and_the_same_message_goes_later() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("later"));
    let row = bench.stored(1);
    assert_eq!(row.due, Some(T.plus_seconds(7)));
    assert!(!row.state.contains("uncertain"));
    bench.pass(7);
    bench.claim(false);
    assert!(
        matches!(bench.effects[0].errand, Errand::Send { again: false, .. }),
        "the provider surely did nothing"
    );
}

#[test]
fn a_copy_that_went_after_not_now_is_not_forgotten_when_the_next_one_never_leaves() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("later"));
    bench.until_due(1);
    assert!(
        bench.stored(1).work.unwrap().contains("\"sent\":true"),
        "written before the copy goes"
    );
    bench.turn(None); // it arrived, and its answer was lost
    bench.until_due(1);
    assert!(matches!(bench.effects[0].errand, Errand::Send { again: true, .. }));
    bench.unsent();
    assert_eq!(bench.stored_word(1), "processing", "an earlier copy may have charged");
    bench.until_due(1);
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

#[test]
fn not_now_to_the_copy_of_a_node_that_came_back_says_nothing_about_the_first() {
    let mut dead = Bench::new();
    dead.sale(1);
    dead.run();
    let mut reborn = Bench::over(Arc::new(dead.store.another()), 1);
    reborn.pass(1);
    let mut reborn = Bench::over(Arc::new(reborn.store.another()), 1);
    reborn.now = T.plus_seconds(1);
    assert_eq!(reborn.claim(true), 1);
    reborn.turn(Some("later"));
    reborn.until_due(1);
    reborn.unsent();
    assert_eq!(
        reborn.stored_word(1),
        "processing",
        "the dead node's copy may have charged"
    );
}

#[test]
fn a_provider_that_says_not_now_for_ever_is_asked_what_it_did_if_a_copy_may_have_arrived() {
    for (silences, word) in [(0, "created"), (1, "processing")] {
        let mut bench = Bench::new();
        bench.sale(1);
        bench.run();
        for _ in 0..silences {
            bench.turn(None);
            bench.until_due(1);
        }
        for _ in 0..crate::work::AGAINS_MAX {
            bench.turn(Some("later"));
            bench.until_due(1);
        }
        bench.turn(None);
        assert_eq!(bench.stored_word(1), word, "{silences} copies without an answer");
    }
}

#[test]
fn what_cannot_be_sent_for_three_quarters_of_an_hour_is_not_refused() {
    let mut bench = Bench::new();
    bench.ask("hold", create(1, CaptureAt::Later, Some("card")));
    bench.run();
    bench.turn(Some("held"));
    let last = true;
    bench.ask(
        "take",
        What::Capture {
            order: order(1),
            amount: None,
            last,
        },
    );
    bench.run();
    let (began, mut tries) = (bench.now, 0);
    while bench.now < began.plus_seconds(45 * 60) {
        bench.unsent();
        bench.until_due(1);
        tries += 1;
        assert!(
            matches!(bench.effects[0].errand, Errand::Send { again: false, .. }),
            "try {tries}: {:?}",
            bench.effects[0].errand
        );
    }
    assert!(tries < 20, "{tries} tries");
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

#[test]
fn not_now_to_a_question_is_no_leave_to_send_again_what_may_go_once() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, Some("once")));
    bench.run();
    bench.end(|name| if name == "look" { said("later") } else { Ended::Silence });
    bench.until_due(1);
    assert!(
        matches!(bench.effects[0].errand, Errand::Silence),
        "{:?}",
        bench.effects[0].errand
    );
}

#[test]
fn a_call_that_comes_again_beside_news_of_its_own_step_is_not_told_that_another_runs() {
    let mut bench = Bench::new();
    bench.ask("hold", create(1, CaptureAt::Later, Some("card")));
    bench.run();
    bench.turn(Some("held"));
    let take = || What::Capture {
        order: order(1),
        amount: None,
        last: true,
    };
    bench.ask("take", take());
    bench.run();
    let silence = bench.hear(None);
    bench.lane.push(Job::Turn(Box::new(silence)));
    let again = bench.ask("take", take());
    bench.run();
    assert!(
        matches!(bench.replies.get(&again), Some(Reply::Rebuild(_))),
        "{:?}",
        bench.replies.get(&again)
    );
}

#[test]
fn a_turn_that_the_database_will_not_take_frees_its_step_for_whoever_finds_it_due() {
    let mut bench = Bench::new();
    let sale = bench.sale(1);
    bench.run();
    bench.told("evt_1", 1);
    bench.store.next_fault(Mishap::Reject);
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "processing");
    assert!(bench.effects.is_empty(), "its lease holds");
    bench.pass(LEASE_S + 1);
    assert_eq!(bench.claim(false), 1);
    assert!(matches!(bench.effects[0].errand, Errand::Send { again: true, .. }));
    bench.turn(Some("taken"));
    assert_eq!((bench.word(sale), bench.stored_word(1)), ("captured", "captured"));
}

#[test]
fn a_notice_does_not_send_a_second_copy_of_what_another_lane_has_out() {
    let mut first = Bench::new();
    first.sale(1);
    first.run();
    let out = first.effects.remove(0);
    // The second lane of the same node: the order moved to it when the load changed.
    let mut second = Bench::over(Arc::new(first.store.another()), 1);
    second.told("evt_1", 1);
    second.lane.push(Job::Nudge(order(1)));
    second.run();
    assert!(second.effects.is_empty(), "{:?}", second.effects);
    assert_eq!(second.untold, 1, "it is told when the message is answered");
    first.effects.push(out);
    first.turn(Some("taken"));
    assert_eq!(first.stored_word(1), "captured");
}

#[test]
fn an_owed_step_waits_for_a_connection_that_this_node_does_not_know() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("act"));
    // A node that has not heard of the connection takes the order over when its window ends, and owes a cancel.
    let mut stranger = Bench::over(Arc::new(bench.store.another()), 2);
    stranger.knows.store(false, Relaxed);
    stranger.pass(WINDOW_S);
    assert_eq!(stranger.claim(false), 1);
    assert!(stranger.effects.is_empty());
    assert_eq!(stranger.stored_word(1), "processing", "nobody said no");
    stranger.knows.store(true, Relaxed);
    stranger.pass(LEASE_S + 1);
    assert_eq!(stranger.claim(false), 1);
    let cancel = (stranger.effects.iter()).position(|effect| effect.step.kind == StepKind::Cancel);
    stranger
        .effects
        .swap(0, cancel.expect("it is begun when the connection is known"));
    stranger.turn(Some("released"));
    assert_eq!(stranger.stored_word(1), "expired");
}

#[test]
fn a_call_that_needs_a_connection_which_this_node_does_not_know_is_told_to_come_back() {
    let mut bench = Bench::new();
    bench.knows.store(false, Relaxed);
    let sale = bench.sale(1);
    bench.run();
    assert!(
        matches!(bench.replies[&sale], Reply::Denied(Denied::Unavailable { .. })),
        "{:?}",
        bench.replies[&sale]
    );
}

#[test]
fn a_rail_that_panics_at_a_start_takes_nothing_with_it() {
    let mut bench = Bench::new();
    let bad = bench.ask("k", create(1, CaptureAt::Once, Some("panics")));
    let good = bench.sale(2);
    bench.run();
    assert!(matches!(bench.replies[&bad], Reply::Denied(Denied::Unavailable { .. })));
    bench.turn(Some("taken"));
    assert_eq!(bench.word(good), "captured");
}

#[test]
fn a_refusal_because_something_runs_is_not_kept_under_the_key() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Later, Some("card")));
    bench.run();
    bench.turn(Some("held"));
    let capture = What::Capture {
        order: order(1),
        amount: None,
        last: true,
    };
    bench.ask("capture", capture);
    bench.run();
    let refused = bench.ask("void", What::Void { order: order(1) });
    bench.run();
    let refusal = florin_core::order::Refusal::StepInFlight;
    assert!(
        matches!(&bench.replies[&refused], Reply::Denied(Denied::Refused { refusal: said, .. }) if *said == refusal),
        "{:?}",
        bench.replies[&refused]
    );
    bench.turn(Some("no"));
    let again = bench.ask("void", What::Void { order: order(1) });
    bench.run();
    assert!(!bench.replies.contains_key(&again), "it is carried out now");
    bench.turn(Some("released"));
    assert_eq!(bench.word(again), "canceled");
}

#[test]
fn a_stale_turn_is_dropped_but_a_success_in_it_is_booked() {
    for (word, books) in [("taken", true), ("no", false), ("act", false), ("?", false)] {
        let mut asleep = Bench::new();
        asleep.sale(1);
        asleep.run();
        let late = asleep.hear(Some(word));
        let mut awake = Bench::over(Arc::new(asleep.store.another()), 2);
        awake.pass(LEASE_S + 1);
        assert_eq!(awake.claim(false), 1, "taken over");
        let before = asleep.stored(1);
        asleep.now = awake.now;
        asleep.lane.push(Job::Turn(Box::new(late)));
        asleep.run();
        let after = asleep.stored(1);
        assert_eq!(after.version > before.version, books, "{word}");
        assert_eq!(asleep.stored_word(1) == "captured", books, "{word}");
        // The one that took it over hears the same, and nothing is booked twice.
        awake.turn(Some("taken"));
        assert_eq!(awake.stored_word(1), "captured");
        let events = at_once(awake.store.events_of(order(1))).unwrap();
        assert_eq!(events.iter().filter(|row| row.postings.is_some()).count(), 1, "{word}");
    }
}

#[test]
fn a_cancel_waits_while_a_message_of_the_authorisation_is_out() {
    let mut bench = Bench::new();
    let sale = bench.sale(1);
    bench.run();
    let cancel = bench.ask("cancel", What::Cancel { order: order(1) });
    bench.run();
    assert_eq!(bench.effects.len(), 1, "only the authorisation is out");
    bench.turn(Some("act"));
    assert_eq!(bench.effects.len(), 1);
    assert_eq!(bench.effects[0].step.kind, StepKind::Cancel, "now it may go");
    assert!(!bench.replies.contains_key(&sale) && !bench.replies.contains_key(&cancel));
    bench.turn(Some("released"));
    assert_eq!((bench.word(sale), bench.word(cancel)), ("canceled", "canceled"));
}

#[test]
fn what_a_rail_cannot_do_is_the_callers_mistake_and_writes_nothing() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    let before = bench.stored(1);
    let cannot = bench.ask(
        "pay",
        What::Confirm {
            order: order(1),
            pay: pay("cannot"),
        },
    );
    let neighbour = bench.ask("fine", What::Cancel { order: order(1) });
    let new = bench.ask("new", create(2, CaptureAt::Once, Some("cannot")));
    bench.run();
    assert!(matches!(bench.replies[&cannot], Reply::Denied(Denied::Misuse { .. })));
    assert!(matches!(bench.replies[&new], Reply::Denied(Denied::Misuse { .. })));
    assert_eq!(bench.word(neighbour), "canceled");
    assert_eq!(
        bench.stored(1).version,
        before.version + 1,
        "the cancel and nothing else"
    );
    assert_eq!(at_once(bench.store.orders_after(None, 10)).unwrap().len(), 1);
    // Misuse is not kept: the same key may come with a card that works.
    let again = bench.ask("new", create(3, CaptureAt::Once, None));
    bench.run();
    assert_eq!(bench.word(again), "created");
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
}

#[test]
fn a_notice_waits_for_the_message_that_is_out_and_is_done_with_the_turn_it_causes() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.told("evt_1", 1);
    assert_eq!((bench.effects.len(), bench.inbox()), (1, 1), "it waits");
    bench.turn(Some("act"));
    assert!(
        matches!(bench.effects[0].errand, Errand::Told(_)),
        "told when the message was answered"
    );
    assert_eq!(bench.inbox(), 1, "and not done before its turn is written");
    bench.turn(Some("taken"));
    assert_eq!((bench.stored_word(1), bench.inbox()), ("captured", 0));
}

#[test]
fn two_notices_about_one_step_are_told_one_after_the_other() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("act"));
    bench.told("evt_1", 1);
    bench.told("evt_2", 1);
    assert_eq!(bench.effects.len(), 1);
    bench.turn(Some("taken"));
    assert_eq!((bench.effects.len(), bench.inbox()), (1, 1));
    assert_eq!(
        bench.effects[0].at.name(),
        "finished",
        "the step is over when the second one is told"
    );
    bench.turn(Some("taken"));
    assert_eq!(bench.inbox(), 0);
}

#[test]
fn a_notice_about_somebody_elses_order_is_done_and_changes_nothing() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("act"));
    let before = bench.stored(1);
    let (row, item) = notice("evt_1", about_sale(1));
    let foreign = Tenant {
        merchant: MerchantId::from_uuid(Uuid::from_u128(99)),
        mode: Mode::Test,
    };
    bench.lane.push(Job::Told {
        tenant: foreign,
        order: order(1),
        id: row.id,
        item: Box::new(item),
    });
    bench.run();
    assert!(bench.effects.is_empty());
    assert_eq!(bench.stored(1), before);
}

#[test]
fn a_caller_who_waited_long_enough_is_told_that_it_runs_and_then_nothing_more() {
    let mut bench = Bench::new();
    let sale = bench.sale(1);
    bench.run();
    bench.lane.give_up(sale, order(1));
    bench.take();
    assert!(matches!(bench.replies[&sale], Reply::Running(id, _) if id == order(1)));
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

#[test]
fn a_timer_that_is_due_is_written_and_the_next_moment_with_it() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    assert_eq!(bench.stored(1).due, Some(T.plus_seconds(WINDOW_S)));
    bench.pass(WINDOW_S);
    assert_eq!(bench.claim(false), 1);
    let row = bench.stored(1);
    assert_eq!((bench.stored_word(1), row.due, row.lease), ("expired", None, None));
}

#[test]
fn a_page_is_asked_about_by_its_plan_without_a_commit_for_each_question() {
    let mut bench = Bench::new();
    let sale = bench.sale(1);
    bench.run();
    bench.turn(Some("act"));
    assert_eq!(bench.word(sale), "requires_action");
    bench.pass(10);
    bench.claim(false);
    bench.needed();
    assert!(matches!(bench.effects[0].errand, Errand::Tick));
    let version = bench.stored(1).version;
    bench.turn(Some("act"));
    let row = bench.stored(1);
    assert_eq!(row.version, version, "nothing happened, so no event");
    assert_eq!(
        row.due,
        Some(T.plus_seconds(60)),
        "the clock of a wait does not start again"
    );
}

#[test]
fn a_damaged_order_is_frozen_and_the_batch_goes_on_without_it() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    bench.lane.freeze(order(1), "a bit is flipped".into());
    let ill = bench.ask(
        "pay",
        What::Confirm {
            order: order(1),
            pay: pay("card"),
        },
    );
    let well = bench.ask("other", create(2, CaptureAt::Once, None));
    bench.run();
    assert!(matches!(bench.replies[&ill], Reply::Denied(Denied::Damaged)));
    assert_eq!(bench.word(well), "created");
}

#[test]
fn a_description_is_an_event_and_keeps_what_opens_the_payers_page() {
    let mut bench = Bench::new();
    let mut what = create(1, CaptureAt::Once, None);
    if let What::Create { order, .. } = &mut what {
        Arc::make_mut(&mut order.details).page_token = Some("token".into());
    }
    bench.ask("k", what);
    bench.run();
    let details = Details {
        description: Some("two teas".into()),
        ..Details::default()
    };
    let described = bench.ask_with(
        None,
        What::Describe {
            order: order(1),
            details: Box::new(details),
        },
    );
    bench.run();
    let Reply::Answered(answered) = &bench.replies[&described] else {
        panic!("answered")
    };
    assert_eq!((answered.state, answered.order.order.version), (State::Over, 2));
    assert_eq!(answered.order.details.page_token.as_deref(), Some("token"));
    // Another node reads it from the events.
    let mut other = Bench::over(Arc::new(bench.store.another()), 2);
    let canceled = other.ask("cancel", What::Cancel { order: order(1) });
    other.run();
    let Reply::Answered(answered) = &other.replies[&canceled] else {
        panic!("answered")
    };
    assert_eq!(answered.order.details.description.as_deref(), Some("two teas"));
}

#[test]
fn a_notice_about_what_another_node_learned_is_not_called_nobodys() {
    let mut first = Bench::new();
    first.ask("k", create(1, CaptureAt::Once, None));
    first.run();
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    second.ask(
        "pay",
        What::Confirm {
            order: order(1),
            pay: pay("card"),
        },
    );
    second.run();
    second.turn(Some("taken"));
    // The first node remembers the order from before anything was learned.
    let (row, item) = notice("evt_1", About::Ref("id".into(), "toy_1".into()));
    first.lane.push(Job::Told {
        tenant: tenant(),
        order: order(1),
        id: row.id,
        item: Box::new(item),
    });
    first.run();
    assert_eq!(first.effects.len(), 1, "it is told");
}

#[test]
fn a_question_that_brought_nothing_does_not_settle_the_notice_that_asked_it() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("taken"));
    bench.told("evt_1", 1);
    bench.turn(None);
    assert_eq!(
        (bench.inbox(), bench.untold),
        (1, 1),
        "nobody else asks about a step that is over"
    );
    bench.turn_told("evt_1", 1, "taken");
    assert_eq!(bench.inbox(), 0);
}

impl Bench {
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

#[test]
fn a_notice_about_what_a_step_made_is_told_again_when_the_step_is_over() {
    let made = || About::Ref("begun".into(), "yes".into());
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("act"));
    bench.told_about("evt_dispute", 1, made());
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
    assert_eq!(
        (bench.inbox(), bench.untold),
        (1, 1),
        "the rail looked for the payment, not for a dispute of it"
    );
    bench.told_about("evt_dispute", 1, made());
    bench.turn(Some("taken"));
    assert_eq!(bench.inbox(), 0);
}

#[test]
fn a_caller_whose_step_another_node_ended_is_told_how_it_was_then() {
    let mut first = Bench::new();
    let sale = first.sale(1);
    first.run();
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    second.pass(LEASE_S + 1);
    second.claim(false);
    second.turn(Some("taken"));
    let refund = What::Refund {
        order: order(1),
        amount: None,
    };
    second.ask("refund", refund);
    second.run();
    assert!(first.replies.is_empty(), "the first node has not heard of it");
    first.now = second.now;
    first.turn(Some("taken")); // its own answer comes late
    let Reply::Rebuild(found) = &first.replies[&sale] else {
        panic!("{:?}", first.replies[&sale])
    };
    let row = first.stored(1);
    let events = at_once(first.store.events_of(row.id)).unwrap();
    let answered = rebuild(&row, &events, found).unwrap().unwrap();
    assert_eq!(status::word(&answered.order.order).as_str(), "captured");
    assert_eq!(
        (answered.order.order.version, answered.replayed, answered.state),
        (4, false, State::Over)
    );
    assert_eq!(row.version, 5, "the refund is later");
}
