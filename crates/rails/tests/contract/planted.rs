//! The sweep is worth something only if it finds mistakes: each of these, planted into both rails, breaks a law in it.

use std::collections::BTreeMap;

use florin_core::decline::{Code, Decline};
use florin_core::rail::{
    Body, Event, Heard, Next, Notice, Opened, Outcome, Rail, Reply, Report, Table, Task, Turn, Unsupported,
};

use super::scenes::{SCENES, agrees, scene};
use super::worker::{Copies, Fault, Notices, Payer, Plan, run};

/// A mistake that people make in rails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// No answer is taken for a no.
    SilenceIsDecline,
    /// What is not there now is taken for what never was.
    NotFoundIsDecline,
    /// A refusal of a copy is taken for one of the message.
    AgainIsForgotten,
    /// A server's failure is taken for a no.
    FailureIsDecline,
    /// Half an answer is taken for a no.
    BrokenIsDecline,
    /// The deadline of a page is taken for its end at the provider.
    DeadlineIsDecline,
    /// The amount that was asked is reported, not the one that is stated.
    AskedIsStated,
    /// Each message has a new key.
    NewKeys,
    /// A wait is entered again after its deadline.
    DeadlineIsIgnored,
}

const MISTAKES: [Mistake; 9] = [
    Mistake::SilenceIsDecline,
    Mistake::NotFoundIsDecline,
    Mistake::AgainIsForgotten,
    Mistake::FailureIsDecline,
    Mistake::BrokenIsDecline,
    Mistake::DeadlineIsDecline,
    Mistake::AskedIsStated,
    Mistake::NewKeys,
    Mistake::DeadlineIsIgnored,
];

/// A rail with a mistake in it.
struct Planted(&'static dyn Rail, Mistake);

fn declined() -> Turn {
    Turn::new(Next::Done(Report::new(
        Outcome::Declined(Decline::new(Code::GenericDecline)),
        None,
    )))
}

impl Planted {
    fn spoil(&self, task: &Task, mut turn: Turn) -> Turn {
        match (&mut turn.next, self.1) {
            (Next::Done(report), Mistake::AskedIsStated) => {
                report.money = report.money.map(|_| task.money);
            }
            (Next::Send(exchange), Mistake::NewKeys) if !exchange.asks => {
                for (name, parts) in &mut exchange.headers {
                    if name == "idempotency-key" {
                        *parts = vec![florin_core::rail::Part::Text("1".into())];
                    }
                }
                if let Body::Json(body) = &mut exchange.body {
                    body["key"] = "1".into();
                }
            }
            _ => {}
        }
        turn
    }
}

impl Rail for Planted {
    fn table(&self) -> &'static Table {
        self.0.table()
    }

    fn start(&self, task: &Task) -> Result<Turn, Unsupported> {
        Ok(self.spoil(task, self.0.start(task)?))
    }

    fn read(&self, task: &Task, exchange: &str, heard: Heard<'_>) -> Turn {
        let asked = exchange.starts_with("look");
        let turn = match (self.1, heard) {
            (Mistake::SilenceIsDecline, Heard::Silence) if !asked => declined(),
            (Mistake::FailureIsDecline, Heard::Reply(reply)) if !asked && reply.status >= 500 => declined(),
            (Mistake::BrokenIsDecline, Heard::Reply(reply))
                if reply.status == 200 && serde_json::from_slice::<serde_json::Value>(&reply.body).is_err() =>
            {
                declined()
            }
            (Mistake::NotFoundIsDecline, heard) if exchange == "look" => self.0.read(task, "look_last", heard),
            (Mistake::AgainIsForgotten, Heard::Reply(reply)) if (400..429).contains(&reply.status) && !asked => {
                let first = Reply {
                    again: false,
                    ..reply.clone()
                };
                let turn = self.0.read(task, exchange, Heard::Reply(&first));
                if matches!(&turn.next, Next::Send(next) if next.name == "look_refused") {
                    declined()
                } else {
                    turn
                }
            }
            (_, heard) => self.0.read(task, exchange, heard),
        };
        self.spoil(task, turn)
    }

    fn wake(&self, task: &Task, wait: &str, event: Event<'_>) -> Turn {
        let turn = match (self.1, event) {
            (Mistake::DeadlineIsDecline, Event::Over) if matches!(wait, "page" | "challenge" | "unknown") => declined(),
            (Mistake::DeadlineIsIgnored, Event::Over) => self.0.wake(task, wait, Event::Tick),
            (_, event) => self.0.wake(task, wait, event),
        };
        self.spoil(task, turn)
    }

    fn open(&self, notice: &Notice) -> Opened {
        self.0.open(notice)
    }
}

/// Whether some run of the scene breaks a law.
fn found(name: &'static str, mistake: Mistake) -> bool {
    let rail = scene(name).rail;
    let planted: &'static Planted = Box::leak(Box::new(Planted(rail, mistake)));
    let mut plans = Vec::new();
    for exchange in rail.table().exchanges {
        for fault in [Fault::RequestLost, Fault::AnswerLost, Fault::Broken, Fault::FailedAfter] {
            for first in [vec![fault], vec![fault, Fault::Refused], vec![fault; 8]] {
                let copies = Copies {
                    first,
                    rest: Fault::None,
                };
                plans.push(BTreeMap::from([(*exchange, copies)]));
            }
        }
        // The answer is lost, and then every answer about it.
        let lost = |rest| Copies {
            first: vec![rest; 8],
            rest,
        };
        plans.push(BTreeMap::from([
            (*exchange, lost(Fault::AnswerLost)),
            ("look", lost(Fault::RequestLost)),
        ]));
    }
    plans.into_iter().any(|faults| {
        let plan = Plan {
            faults,
            payer: Payer::ActsAtTheLastMoment,
            notices: Notices::Lost,
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut scene = scene(name);
            let end = run(planted, &mut *scene.world, &plan, scene.task.clone(), false);
            agrees(&scene, &plan, &end).is_err()
        }))
        .unwrap_or(true)
    })
}

#[test]
fn every_planted_mistake_breaks_a_law_in_the_sweep() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for mistake in MISTAKES {
        for rail in ["stripe", "issuer"] {
            let here = || SCENES.iter().filter(|name| name.starts_with(rail));
            match here().find(|name| found(name, mistake)) {
                Some(name) => println!("{mistake:?} is found by `{name}`"),
                None => missed.push(format!("{mistake:?} in {rail}")),
            }
        }
    }
    std::panic::set_hook(hook);
    assert!(missed.is_empty(), "nothing finds {missed:?}");
}
