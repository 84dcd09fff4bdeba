//! What every rail says in the same words: turns that note where the step stands.
//!
//! Under the step's name in the memo `at` is its wait, `stuck` says that a person was asked, and `stood` is its end. A rail whose question
//! brought nothing goes back to where it was; one that is told something about a step that is over knows what there is to add to.

use std::borrow::Cow;

use florin_core::decline::{Code, Decline};
use florin_core::rail::{Exchange, Next, Outcome, Report, Task, Turn, Wait, Why};

use crate::memo;

/// Questions while nobody knows: 5 s, 15 s, 1, 2, 5, 10 min, then hourly, and every 6 h after a day.
pub(crate) const QUESTIONS: &[u32] = &[
    5, 15, 60, 120, 300, 600, 3_600, 7_200, 10_800, 14_400, 18_000, 21_600, 25_200, 28_800, 32_400, 36_000, 39_600,
    43_200, 46_800, 50_400, 54_000, 57_600, 61_200, 64_800, 68_400, 72_000, 75_600, 79_200, 82_800, 86_400, 108_000,
];
/// A sending lives 15 s, and providers give up on a request well within two minutes: no copy of a message is under way any more. Short enough
/// that a step whose request was lost is closed within five minutes of the fault.
const QUIET_S: u32 = 180;
/// A provider is asked for so long before a person is.
const ASKING_S: u32 = 72 * 3600;

/// This message goes out.
pub(crate) fn send(exchange: Exchange) -> Turn {
    Turn::new(Next::Send(exchange))
}

/// Nothing is out.
pub(crate) fn wait(task: &Task, name: &'static str, why: Why, poll: &'static [u32], until_s: u32) -> Turn {
    let mut turn = Turn::new(Next::Wait(Wait {
        name: Cow::Borrowed(name),
        why,
        poll,
        until_s,
    }));
    memo::learn_own(&mut turn, task, "at", name);
    turn
}

/// A message may or may not have arrived, and may still be under way. `name` is the wait that stands for that message: a wait is not
/// entered again after its deadline, and each message may be lost once.
pub(crate) fn unknown(task: &Task, name: &'static str) -> Turn {
    wait(task, name, Why::Unknown, QUESTIONS, QUIET_S)
}

/// The deadline is over, and the provider still does not tell: it is asked on, and in the end a person is.
pub(crate) fn asking(task: &Task, person: &str) -> Turn {
    if was_stuck(task) {
        return stuck(task, person);
    }
    wait(task, "asking", Why::Unknown, QUESTIONS, ASKING_S)
}

/// A person must look; `person` says where.
pub(crate) fn stuck(task: &Task, person: &str) -> Turn {
    let mut turn = Turn::new(Next::Stuck(person.to_owned()));
    memo::learn_own(&mut turn, task, "stuck", "yes");
    turn
}

/// Whether a person has been asked about this step.
pub(crate) fn was_stuck(task: &Task) -> bool {
    memo::own(task, "stuck").is_some()
}

/// The end of the step, or another fact about its end.
pub(crate) fn done(task: &Task, report: Report) -> Turn {
    let word = match &report.outcome {
        Outcome::Held { .. } => "held",
        Outcome::Moved => "moved",
        Outcome::Released => "released",
        Outcome::Declined(_) => "declined",
        Outcome::Returned(_) => "returned",
    };
    let mut turn = Turn::new(Next::Done(report));
    memo::learn_own(&mut turn, task, "stood", word);
    turn
}

/// A known no.
pub(crate) fn declined(task: &Task, decline: Decline) -> Turn {
    done(task, Report::new(Outcome::Declined(decline), None))
}

/// The step stands as it stood; nothing if it never ended.
pub(crate) fn as_it_stood(task: &Task) -> Option<Report> {
    let outcome = match memo::own(task, "stood")? {
        "held" => Outcome::Held { until: None },
        "moved" => Outcome::Moved,
        "released" => Outcome::Released,
        "declined" => Outcome::Declined(Decline::new(Code::GenericDecline)),
        "returned" => Outcome::Returned(String::new()),
        _ => return None,
    };
    Some(Report::new(outcome, None))
}
