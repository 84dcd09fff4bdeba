//! A provider that needs no network: what a card does follows from its name.

use std::borrow::Cow;

use florin_core::decline::{Code, Decline};
use florin_core::rail::{
    Action, Body, Can, Event, Exchange, Happened, Heard, Instrument, Method, Next, Outcome, Rail, Repeat, Report, Step,
    Table, Task, Turn, Unsupported, Wait, What, Why,
};

/// The rail `script`.
pub(crate) struct Script;

/// The same under another table, which says less.
struct Other(&'static Table);

pub(crate) static RAILS: &[&dyn Rail] = &[&Script, &Other(&WITHOUT_WAY_BACK), &Other(&IN_EURO)];

const fn can(step: Step, many: bool) -> Can {
    Can {
        step,
        partial: true,
        many,
    }
}

const TABLE: Table = Table {
    name: "script",
    steps: &[
        can(Step::Sale, false),
        can(Step::Authorize, false),
        can(Step::Capture, false),
        can(Step::Void, false),
        can(Step::Cancel, false),
        can(Step::Reverse, false),
        can(Step::Refund, true),
    ],
    currencies: &[],
    hosts: &["loopback"],
    secrets: &[],
    exchanges: &["look"],
    waits: &["challenge", "page", "slow", "stuck", "finished"],
    refs: &[],
    remembers_s: 3_600,
    refund_days: 365,
};

static SCRIPT: Table = TABLE;
/// Nothing that was begun there is called off.
static WITHOUT_WAY_BACK: Table = Table {
    name: "script_without_way_back",
    steps: &[can(Step::Sale, false), can(Step::Refund, true)],
    ..TABLE
};

/// It takes euros alone.
static IN_EURO: Table = Table {
    name: "script_in_euro",
    currencies: &["EUR"],
    ..TABLE
};

impl Rail for Other {
    fn table(&self) -> &'static Table {
        self.0
    }

    fn start(&self, task: &Task) -> Result<Turn, Unsupported> {
        Script.start(task)
    }

    fn read(&self, task: &Task, at: &str, heard: Heard<'_>) -> Turn {
        Script.read(task, at, heard)
    }

    fn wake(&self, task: &Task, place: &str, event: Event<'_>) -> Turn {
        Script.wake(task, place, event)
    }
}

impl Rail for Script {
    fn table(&self) -> &'static Table {
        &SCRIPT
    }

    fn start(&self, task: &Task) -> Result<Turn, Unsupported> {
        Ok(match (task.step, &task.instrument) {
            (Step::Sale | Step::Authorize, Instrument::Hosted) => {
                wait("page", act("http://provider.test/pay/1".to_owned()))
            }
            (Step::Sale | Step::Authorize, Instrument::Stored(card)) => match card.as_str() {
                "card_visa_chargeDeclined" => declined(Code::DoNotHonor, "05"),
                "card_visa_chargeDeclinedInsufficientFunds" => declined(Code::InsufficientFunds, "51"),
                "card_slow" => wait("slow", Why::Provider),
                "card_createDispute" => telling(task, What::DisputeOpened),
                "card_threeDSecure2Required" => {
                    let token = task.urls.back.rsplit('/').next().unwrap_or_default();
                    wait("challenge", act(format!("http://door.test/challenge/{token}")))
                }
                _ => approved(task),
            },
            (Step::Void | Step::Cancel | Step::Reverse, _) => done(Outcome::Released, task),
            (Step::Refund, Instrument::Stored(card)) if card == "card_pendingRefund" => wait("slow", Why::Provider),
            (Step::Refund, Instrument::Stored(card)) if card == "card_createDispute" => {
                telling(task, What::DisputeLost)
            }
            (Step::Capture | Step::Refund | Step::Verify | Step::Increment | Step::Payout, _) => {
                done(Outcome::Moved, task)
            }
        })
    }

    /// A question that nobody answered: the payer still has to act, as far as anybody knows.
    fn read(&self, task: &Task, _: &str, _: Heard<'_>) -> Turn {
        self.start(task).unwrap_or_else(|_| Turn::new(Next::Unclear))
    }

    fn wake(&self, task: &Task, place: &str, event: Event<'_>) -> Turn {
        match (place, event) {
            ("challenge" | "page", Event::Back(params)) => match params.get("result").map(String::as_str) {
                Some("passed") => approved(task),
                Some("failed") => declined(Code::AuthenticationFailed, ""),
                Some("asked") => look(task),
                _ => self.start(task).unwrap_or_else(|_| Turn::new(Next::Unclear)),
            },
            ("finished", _) => Turn::new(Next::Unclear),
            (_, _) => self.start(task).unwrap_or_else(|_| Turn::new(Next::Unclear)),
        }
    }
}

/// Asks at the connection's address, where nobody answers.
fn look(task: &Task) -> Turn {
    Turn::new(Next::Send(Exchange {
        name: Cow::Borrowed("look"),
        method: Method::Get,
        url: format!("{}/look", task.account.base),
        headers: Vec::new(),
        body: Body::None,
        repeat: Repeat::Same {
            every_s: 1,
            for_s: 3_600,
        },
        asks: true,
    }))
}

fn approved(task: &Task) -> Turn {
    match task.step {
        Step::Authorize => done(Outcome::Held { until: None }, task),
        _ => done(Outcome::Moved, task),
    }
}

/// Done, and the payer's bank has something to say too, about all but one minor unit of it.
fn telling(task: &Task, what: What) -> Turn {
    let told = Happened {
        id: "dp_1".to_owned(),
        what,
        money: task.money.with_minor(DISPUTED),
    };
    let report = Report {
        also: vec![told],
        ..Report::new(Outcome::Moved, Some(task.money))
    };
    Turn::new(Next::Done(report))
}

/// How much a payment by `card_createDispute` is disputed for.
const DISPUTED: i64 = 1000;

fn done(outcome: Outcome, task: &Task) -> Turn {
    Turn::new(Next::Done(Report::new(outcome, Some(task.money))))
}

fn declined(code: Code, raw: &str) -> Turn {
    let decline = Decline {
        raw: raw.to_owned(),
        ..Decline::new(code)
    };
    Turn::new(Next::Done(Report::new(Outcome::Declined(decline), None)))
}

fn act(url: String) -> Why {
    Why::Payer(Action::Redirect { url })
}

fn wait(name: &'static str, why: Why) -> Turn {
    Turn::new(Next::Wait(Wait {
        name: Cow::Borrowed(name),
        why,
        poll: &[3_600],
        until_s: 86_400,
    }))
}
