//! A rail of a provider that says in one word what happened, for the tests of the lane.

use super::*;

/// A rail whose provider says in one word what happened. Its method `once` may be sent only once.
pub(super) struct Toy;

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
                of: Unfit::Method,
                why: "no such card".into(),
            }),
            Instrument::Stored(_) if task.money.minor() == 5 => Err(Unsupported {
                rail: "toy",
                of: Unfit::Amount,
                why: "it cannot write a five".into(),
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
                Ok("three") => Turn::new(Next::Done(Report::new(Ends::Moved, Some(Money::new(3, Currency::EUR))))),
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

pub(super) struct OneRoad(pub(super) Arc<Road>, pub(super) Arc<AtomicBool>);

impl Roads for OneRoad {
    fn road(&self, connection: ConnectionId) -> Option<Arc<Road>> {
        (self.0.connection.id == connection && self.1.load(Relaxed)).then(|| Arc::clone(&self.0))
    }
}
