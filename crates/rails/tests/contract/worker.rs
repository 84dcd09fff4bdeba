//! A worker on a desk: sends, loses, repeats, waits and dies as it is told, on a clock of its own.
//!
//! It does what `services` does with a rail, one step at a time and without I/O, and checks at every turn what may be said at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;

use florin_core::rail::{
    About, Action, Body, Event, Exchange, Heard, Item, Method, Next, Notice, Opened, Outcome, Part, Rail, Repeat,
    Reply, Report, Table, Task, Turn, Unsupported, Wait, Why,
};

use florin_core::time::Timestamp;

use super::scenes::scene;
use super::world::{Request, World};
use crate::support;

/// What happens to one copy of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing bad.
    None,
    /// It never arrives.
    RequestLost,
    /// It arrives when nobody waits for the answer any more.
    Late,
    /// It arrives; the answer does not.
    AnswerLost,
    /// It arrives; the answer is cut in the middle.
    Broken,
    /// The provider fails before it did anything.
    FailedBefore,
    /// The provider fails after it did everything.
    FailedAfter,
    /// The provider refuses this copy, for no good reason.
    Refused,
    /// "Not now."
    TooMany,
    /// The node dies before the mark: nothing was sent.
    DeathBeforeMark,
    /// The node dies after the mark and before the first byte.
    DeathAfterMark,
    /// The node dies after the last byte.
    DeathAfterSend,
}

impl Fault {
    pub(crate) const ALL: [Self; 12] = [
        Self::None,
        Self::RequestLost,
        Self::Late,
        Self::AnswerLost,
        Self::Broken,
        Self::FailedBefore,
        Self::FailedAfter,
        Self::Refused,
        Self::TooMany,
        Self::DeathBeforeMark,
        Self::DeathAfterMark,
        Self::DeathAfterSend,
    ];
}

/// What the payer does when something is asked of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payer {
    Acts,
    ActsAtTheLastMoment,
    Leaves,
}

/// What becomes of the provider's notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notices {
    Normal,
    Lost,
    Twice,
    /// Nothing happened, and one comes all the same, again and again.
    Forged,
}

/// What happens to the copies of one exchange: these one after the other, then `rest`.
#[derive(Clone, Debug)]
pub(crate) struct Copies {
    pub first: Vec<Fault>,
    pub rest: Fault,
}

/// How a run goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// By the exchange's name.
    pub faults: BTreeMap<&'static str, Copies>,
    pub payer: Payer,
    pub notices: Notices,
}

impl Plan {
    pub(crate) fn calm() -> Self {
        Self {
            faults: BTreeMap::new(),
            payer: Payer::Acts,
            notices: Notices::Normal,
        }
    }
}

/// Copies after the first one, before the worker gives up.
const RESENDS_MAX: u32 = 5;
/// A copy that is late arrives so long after it was sent.
const LATE_S: i64 = 60;
/// Faults "for ever" end here; a step that is stuck must find out then.
const HEALED_S: i64 = 8 * 24 * 3600;
/// A run of so many turns has no end.
const TURNS_MAX: u32 = 3_000;
/// "Not now" is obeyed so often within one exchange.
const AGAINS_MAX: u32 = 4;

/// Where a step ended.
pub(crate) struct End {
    pub report: Report,
    pub task: Task,
    /// A deadline was over before the end was said.
    pub after_over: bool,
    /// The provider answered this very step with a refusal.
    pub refused: bool,
    /// The exchanges that were sent.
    pub sent: BTreeSet<&'static str>,
    pub log: String,
}

pub(crate) struct Worker<'a> {
    rail: &'static dyn Rail,
    world: &'a mut dyn World,
    plan: Plan,
    task: Task,
    now: i64,
    began: i64,
    copies: BTreeMap<&'static str, usize>,
    late: Vec<(i64, Request)>,
    overs: BTreeSet<String>,
    refused: bool,
    turns: u32,
    told: u64,
    /// Nothing unless the run is told again because something was wrong.
    log: Option<String>,
}

enum Place {
    Out(Exchange),
    Waiting { wait: Wait, since: i64, at: usize },
    Stuck,
}

/// Runs a step to its end; `tell` keeps a log of it.
pub(crate) fn run(rail: &'static dyn Rail, world: &mut dyn World, plan: &Plan, task: Task, tell: bool) -> End {
    let now = task.now.seconds();
    let told = world.version();
    let worker = Worker {
        rail,
        world,
        plan: plan.clone(),
        task,
        now,
        began: now,
        copies: BTreeMap::new(),
        late: Vec::new(),
        overs: BTreeSet::new(),
        refused: false,
        turns: 0,
        told,
        log: tell.then(String::new),
    };
    worker.run()
}

impl Worker<'_> {
    fn run(mut self) -> End {
        let turn = self.rail.start(&self.task).expect("a task of the table");
        let turn = self.heard("start", turn);
        let mut place = self.place(turn, None);
        loop {
            place = match place {
                Ok(Place::Out(exchange)) => self.exchange(exchange, None),
                Ok(Place::Waiting { wait, since, at }) => self.wait(wait, since, at),
                Ok(Place::Stuck) => self.stuck(),
                Err(report) => {
                    self.later(LATE_S + 1);
                    let after_over = !self.overs.is_empty();
                    let (sent, log) = (self.copies.into_keys().collect(), self.log.unwrap_or_default());
                    return End {
                        report,
                        task: self.task,
                        after_over,
                        refused: self.refused,
                        sent,
                        log,
                    };
                }
            };
        }
    }

    /// Sends until there is an answer, or nobody hopes for one. `back`: where a question was asked from.
    fn exchange(&mut self, exchange: Exchange, back: Option<(Wait, i64, usize)>) -> Result<Place, Report> {
        // A mark is never taken back: whatever is heard of one copy, the next one is told that there was one.
        let mut marked = false;
        let mut sends = 0;
        loop {
            let (heard, left) = self.send(&exchange, marked);
            sends += 1;
            marked |= left;
            let again = match exchange.repeat {
                Repeat::Same { every_s, for_s } if sends <= RESENDS_MAX && sends * every_s < for_s => Some(every_s),
                Repeat::Same { .. } | Repeat::Never => None,
            };
            let turn = match &heard {
                Some(reply) => self.rail.read(&self.task, &exchange.name, Heard::Reply(reply)),
                None => Turn::new(Next::Unclear),
            };
            let turn = if heard.is_some() {
                self.heard(&exchange.name, turn)
            } else {
                turn
            };
            let wait_s = match (&turn.next, again) {
                (Next::Again { after_s }, _) if sends <= AGAINS_MAX => Some(*after_s),
                (Next::Again { .. } | Next::Unclear, Some(every_s)) if !exchange.asks => Some(every_s),
                (Next::Again { .. } | Next::Unclear, _) => None,
                _ => return self.place(turn, back),
            };
            if let Some(wait_s) = wait_s {
                support::learn(&mut self.task.memo, &turn);
                self.later(i64::from(wait_s));
                continue;
            }
            support::learn(&mut self.task.memo, &turn);
            let turn = self.rail.read(&self.task, &exchange.name, Heard::Silence);
            let turn = self.heard("silence", turn);
            return self.place(turn, back);
        }
    }

    /// One copy: what is heard of it, and whether it was marked as sent.
    fn send(&mut self, exchange: &Exchange, again: bool) -> (Option<Reply>, bool) {
        let name = self
            .rail
            .table()
            .exchanges
            .iter()
            .copied()
            .find(|name| *name == exchange.name)
            .expect("law 3");
        let copy = self.copies.entry(name).or_default();
        let fault = self
            .plan
            .faults
            .get(name)
            .map(|copies| copies.first.get(*copy).copied().unwrap_or(copies.rest));
        let fault = fault
            .filter(|_| self.now < self.began + HEALED_S)
            .unwrap_or(Fault::None);
        *copy += 1;
        let request = Request::of(exchange);
        self.tell(|| format!("{name}: {fault:?}"));
        let reply = |mut reply: Reply| {
            reply.again = again;
            Some(reply)
        };
        let bare = |status: u16| Reply {
            status,
            body: b"oops".to_vec(),
            ..Reply::default()
        };
        match fault {
            Fault::None => {
                let answer = self.world.handle(&request);
                self.refused |= (400..429).contains(&answer.status) && !exchange.asks;
                (reply(answer), true)
            }
            Fault::RequestLost | Fault::DeathAfterMark => (None, true),
            Fault::DeathBeforeMark => (None, false),
            Fault::Late => {
                self.late.push((self.now + LATE_S, request));
                (None, true)
            }
            Fault::AnswerLost | Fault::DeathAfterSend => {
                self.world.handle(&request);
                (None, true)
            }
            Fault::Broken => {
                let mut answer = self.world.handle(&request);
                answer.body.truncate(answer.body.len() / 2);
                (reply(answer), true)
            }
            Fault::FailedBefore => (reply(bare(500)), true),
            Fault::FailedAfter => {
                self.world.handle(&request);
                (reply(bare(502)), true)
            }
            Fault::Refused => {
                self.refused = true;
                (reply(self.world.refusal()), true)
            }
            Fault::TooMany => (reply(bare(429)), true),
        }
    }

    /// Until the next thing happens.
    fn wait(&mut self, wait: Wait, since: i64, at: usize) -> Result<Place, Report> {
        let over = since + i64::from(wait.until_s);
        let poll = since + i64::from(poll_at(wait.poll, at));
        let acting = matches!(wait.why, Why::Payer(_));
        let mut next_at = at;
        if acting && self.plan.payer == Payer::Acts {
            self.plan.payer = Payer::Leaves;
            self.later(1);
            let params = self.world.payer_acts();
            let turn = self.rail.wake(&self.task, &wait.name, Event::Back(&params));
            let turn = self.heard("back", turn);
            return self.place(turn, Some((wait, since, at)));
        }
        let news = self.world.version();
        let item = Item {
            id: format!("evt_{news}"),
            about: About::Key(self.task.key),
            kind: "news".into(),
            facts: BTreeMap::new(),
        };
        let times = match self.plan.notices {
            Notices::Normal if news != self.told => 1,
            Notices::Twice if news != self.told => 2,
            Notices::Forged if at == 0 => 2,
            Notices::Normal | Notices::Twice | Notices::Forged | Notices::Lost => 0,
        };
        if times > 0 {
            self.told = news;
            if times == 2 && self.plan.notices == Notices::Twice {
                self.told = news - 1;
                self.plan.notices = Notices::Normal;
            }
            let turn = self.rail.wake(&self.task, &wait.name, Event::Told(&item));
            let turn = self.heard("told", turn);
            return self.place(turn, Some((wait, since, at + 1)));
        }
        let event = if over <= poll {
            self.until(over);
            if acting && self.plan.payer == Payer::ActsAtTheLastMoment {
                self.world.payer_acts();
            }
            self.overs.insert(wait.name.to_string());
            Event::Over
        } else {
            self.until(poll);
            // Nothing new comes of the hundredth question: a slow worker asks less and less.
            next_at += 1 + at / 4;
            Event::Tick
        };
        let is_over = matches!(event, Event::Over);
        let turn = self.rail.wake(&self.task, &wait.name, event);
        let turn = self.heard(if is_over { "over" } else { "tick" }, turn);
        self.place(turn, Some((wait, since, next_at)))
    }

    fn stuck(&mut self) -> Result<Place, Report> {
        self.later(6 * 3600);
        let turn = self.rail.wake(&self.task, "stuck", Event::Tick);
        let turn = self.heard("stuck tick", turn);
        self.place(turn, None)
    }

    /// Where a turn leads. `back`: the wait that a question came from, with its clock.
    fn place(&mut self, turn: Turn, back: Option<(Wait, i64, usize)>) -> Result<Place, Report> {
        support::learn(&mut self.task.memo, &turn);
        Ok(match turn.next {
            Next::Send(exchange) if exchange.asks => return self.exchange(exchange, back),
            Next::Send(exchange) => Place::Out(exchange),
            Next::Wait(wait) => {
                assert!(
                    !self.overs.contains(&*wait.name),
                    "law 10: back in `{}` after its deadline\n{}",
                    wait.name,
                    self.log.as_deref().unwrap_or_default()
                );
                if let Why::Payer(Action::Redirect { .. }) = wait.why {
                    let known = self
                        .rail
                        .table()
                        .refs
                        .iter()
                        .any(|name| self.task.memo.contains_key(*name));
                    assert!(
                        known,
                        "law 9: the payer acts, and nothing of the provider's is known\n{}",
                        self.log.as_deref().unwrap_or_default()
                    );
                }
                match back {
                    Some((same, since, at)) if same.name == wait.name => Place::Waiting { wait, since, at },
                    Some(_) | None => Place::Waiting {
                        wait,
                        since: self.now,
                        at: 0,
                    },
                }
            }
            Next::Done(report) => return Err(report),
            Next::Stuck(_) => Place::Stuck,
            Next::Unclear | Next::Again { .. } => match back {
                Some((wait, since, at)) => Place::Waiting { wait, since, at },
                None => panic!("nowhere to go\n{}", self.log.as_deref().unwrap_or_default()),
            },
        })
    }

    fn heard(&mut self, what: &str, turn: Turn) -> Turn {
        self.turns += 1;
        assert!(
            self.turns < TURNS_MAX,
            "law 10: no end\n{}",
            self.log.as_deref().unwrap_or_default()
        );
        self.tell(|| format!("{what} → {}", support::show(&turn).trim_end().replace('\n', " · ")));
        check(self.rail, &self.task, &turn);
        turn
    }

    fn tell(&mut self, words: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{} s: {}", self.now - self.began, words());
        }
    }

    fn later(&mut self, seconds: i64) {
        self.until(self.now + seconds);
    }

    fn until(&mut self, then: i64) {
        self.now = self.now.max(then);
        self.task.now = Timestamp::from_millis(self.now * 1000);
        let (due, late) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, _)| *at <= self.now);
        self.late = late;
        for (_, request) in due {
            let _: Reply = self.world.handle(&request);
        }
        self.world.clock(self.now);
    }
}

fn poll_at(poll: &[u32], at: usize) -> u32 {
    let last = poll.len() - 1;
    let gap = if last == 0 {
        poll[0]
    } else {
        poll[last] - poll[last - 1]
    };
    match poll.get(at) {
        Some(seconds) => *seconds,
        None => poll[last].saturating_add(gap.saturating_mul(u32::try_from(at - last).expect("few questions"))),
    }
}

/// What must hold of every turn, whatever was heard: laws 3, 5, 9, 11.
pub(crate) fn check(rail: &dyn Rail, task: &Task, turn: &Turn) {
    let table = rail.table();
    let text = || support::show(turn);
    match &turn.next {
        Next::Send(exchange) => {
            assert!(
                table.exchanges.contains(&&*exchange.name),
                "law 3: `{}` is not in the table",
                exchange.name
            );
            assert!(
                exchange.url.starts_with(&task.account.base),
                "law 11: {} is not the provider's",
                exchange.url
            );
            let path = exchange.url.split('?').next().unwrap_or_default();
            assert!(
                !path.contains("..") && !exchange.url.contains(char::is_whitespace),
                "law 12: {}",
                exchange.url
            );
            let key = task.key.uuid(&exchange.name).to_string();
            let keyed = exchange
                .headers
                .iter()
                .any(|(name, value)| name == "idempotency-key" && *value == vec![Part::Text(key.clone().into())])
                || matches!(&exchange.body, Body::Json(body) if body["key"] == key.as_str());
            match (exchange.asks, exchange.repeat) {
                (true, Repeat::Same { .. } | Repeat::Never) => {
                    assert_eq!(exchange.method, Method::Get, "law 5: {}", text())
                }
                (false, Repeat::Same { for_s, .. }) => {
                    assert!(keyed, "law 5: repeats without a key\n{}", text());
                    assert!(
                        for_s <= table.remembers_s,
                        "law 5: repeats for longer than the provider remembers\n{}",
                        text()
                    );
                }
                (false, Repeat::Never) => {}
            }
            for (_, parts) in &exchange.headers {
                for part in parts {
                    if let Part::Secret(name) = part {
                        assert!(
                            table.secrets.contains(&&**name),
                            "law 11: `{name}` is no secret of the table"
                        );
                    }
                }
            }
        }
        Next::Wait(wait) => {
            assert!(
                table.waits.contains(&&*wait.name),
                "law 3: `{}` is not in the table",
                wait.name
            );
            assert!(wait.until_s > 0 && !wait.poll.is_empty(), "law 10: {}", text());
            assert!(
                wait.poll.is_sorted() && wait.poll[0] > 0,
                "a poll plan goes forward: {}",
                text()
            );
            if let Why::Payer(Action::Redirect { url }) = &wait.why {
                assert!(
                    url.starts_with("https://") || url.starts_with("http://127.0.0.1"),
                    "law 11: {url}"
                );
            }
        }
        Next::Done(report) => {
            if let Outcome::Held { .. } | Outcome::Moved = report.outcome
                && let Some(money) = report.money
            {
                assert!(money.minor() >= 0, "{}", text());
            }
        }
        Next::Unclear | Next::Again { .. } | Next::Stuck(_) => {}
    }
    for (name, value) in &turn.learn {
        assert!(value.len() < 2_000, "law 18: `{name}` keeps too much");
    }
}

/// A rail that keeps what it was told of earlier copies.
struct Listens(&'static dyn Rail, Mutex<Vec<bool>>);

impl Rail for Listens {
    fn table(&self) -> &'static Table {
        self.0.table()
    }

    fn start(&self, task: &Task) -> Result<Turn, Unsupported> {
        self.0.start(task)
    }

    fn read(&self, task: &Task, exchange: &str, heard: Heard<'_>) -> Turn {
        if let Heard::Reply(reply) = heard {
            self.1.lock().unwrap().push(reply.again);
        }
        self.0.read(task, exchange, heard)
    }

    fn wake(&self, task: &Task, wait: &str, event: Event<'_>) -> Turn {
        self.0.wake(task, wait, event)
    }

    fn open(&self, notice: &Notice) -> Opened {
        self.0.open(notice)
    }
}

#[test]
fn a_copy_after_a_clear_not_now_is_told_that_one_was_sent() {
    for name in ["issuer: sale, good card", "stripe: sale, good card"] {
        let mut scene = scene(name);
        let Next::Send(first) = scene.rail.start(&scene.task).unwrap().next else {
            panic!("{name} begins with a message")
        };
        let exchange = scene.rail.table().exchanges.iter().find(|known| **known == first.name);
        let copies = Copies {
            first: vec![Fault::TooMany],
            rest: Fault::None,
        };
        let plan = Plan {
            faults: BTreeMap::from([(*exchange.unwrap(), copies)]),
            ..Plan::calm()
        };
        let listens: &'static Listens = Box::leak(Box::new(Listens(scene.rail, Mutex::default())));
        run(listens, &mut *scene.world, &plan, scene.task.clone(), false);
        let heard = listens.1.lock().unwrap().clone();
        assert_eq!(heard[..2], [false, true], "{name}");
    }
}
