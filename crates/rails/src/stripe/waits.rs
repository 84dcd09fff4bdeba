//! Where a step stands while nothing is out, and the end of what we can find out.
//!
//! | wait | for | asked | its end |
//! | --- | --- | --- | --- |
//! | `page`, `challenge` | the payer | often, as payers act within minutes | Stripe is told to take no more, then `look_last` |
//! | `processing` | Stripe, which says so (bank debits take days) | by the common plan | `look_last` |
//! | `unknown` | nobody knows whether a message arrived; long enough that none can still be under way | often | `look_last` |
//! | `asking` | Stripe does not answer, or with words that we do not know | by the common plan | a person |
//! | `stuck`, `finished` | anything at all | when told | – |

use std::borrow::Cow;

use florin_core::decline::{Code, Decline};
use florin_core::rail::{Action, Happened, Next, Outcome, Report, Task, Turn, Wait, Why};

use super::verdict::Acting;
use crate::http::safe_url;
use crate::memo;

/// All of them.
pub(super) const NAMES: &[&str] = &[
    "page",
    "challenge",
    "processing",
    "unknown",
    "asking",
    "stuck",
    "finished",
];

/// A payer acts within minutes; a webhook usually says so first.
const PAYER: &[u32] = &[15, 30, 60, 120, 240, 420, 720, 1020];
/// Questions while nobody knows: 5 s, 15 s, 1, 2, 5, 10 min, then hourly, and every 6 h after a day.
const QUESTIONS: &[u32] = &[
    5, 15, 60, 120, 300, 600, 3_600, 7_200, 10_800, 14_400, 18_000, 21_600, 25_200, 28_800, 32_400, 36_000, 39_600,
    43_200, 46_800, 50_400, 54_000, 57_600, 61_200, 64_800, 68_400, 72_000, 75_600, 79_200, 82_800, 86_400, 108_000,
];
/// A sending lives 15 s and Stripe gives up on a request long before this: no copy of a message is under way any more.
const QUIET_S: u32 = 600;
/// Bank debits settle within this; what does not is a case.
const PROCESSING_S: u32 = 14 * 24 * 3600;
/// Nobody is asked for longer than this before a person is.
const ASKING_S: u32 = 72 * 3600;

/// The payer must act. A wait that is entered again lasts as long as it was given at first: its clock goes on.
pub(super) fn acting(task: &Task, acting: Acting) -> Turn {
    let again = memo::own(task, "at") == Some(acting.wait);
    let lasts_s = memo::own(task, "lasts")
        .and_then(|lasts| lasts.parse().ok())
        .filter(|_| again);
    let lasts_s = lasts_s.unwrap_or(acting.left_s);
    let action = Action::Redirect {
        url: acting.url.clone(),
    };
    let mut turn = wait(task, acting.wait, Why::Payer(action), PAYER, lasts_s);
    memo::learn_own(&mut turn, task, "lasts", &lasts_s.to_string());
    memo::learn(&mut turn, task, acting.wait, acting.url);
    turn
}

/// Stripe takes its time.
pub(super) fn processing(task: &Task) -> Turn {
    wait(task, "processing", Why::Provider, QUESTIONS, PROCESSING_S)
}

/// It may or may not have arrived.
pub(super) fn unknown(task: &Task) -> Turn {
    wait(task, "unknown", Why::Unknown, QUESTIONS, QUIET_S)
}

/// The deadline is over, and Stripe still does not tell.
pub(super) fn asking(task: &Task) -> Turn {
    if memo::own(task, "at") == Some("stuck") {
        return stuck(task);
    }
    wait(task, "asking", Why::Unknown, QUESTIONS, ASKING_S)
}

/// A person must look.
pub(super) fn stuck(task: &Task) -> Turn {
    let why = "Stripe does not tell how this step stands; look it up in the dashboard by `florin_key`";
    let mut turn = Turn::new(Next::Stuck(why.into()));
    memo::learn_own(&mut turn, task, "at", "stuck");
    turn
}

/// A question brought nothing: wait on where we were.
pub(super) fn stay(task: &Task) -> Turn {
    let wait = match memo::own(task, "at") {
        Some("processing") => return processing(task),
        Some("page") => "page",
        Some("challenge") => "challenge",
        Some(_) | None => return unknown(task),
    };
    match task.memo.get(wait).filter(|url| safe_url(&task.account, url)) {
        Some(url) => acting(
            task,
            Acting {
                wait,
                url: url.clone(),
                left_s: QUIET_S,
            },
        ),
        None => unknown(task),
    }
}

/// The step stands as it stood, and this is what else happened.
pub(super) fn nothing_but(task: &Task, also: Vec<Happened>) -> Turn {
    let outcome = match memo::own(task, "stood") {
        Some("held") => Outcome::Held { until: None },
        Some("released") => Outcome::Released,
        Some("declined") => Outcome::Declined(Decline::new(Code::GenericDecline)),
        Some("returned") => Outcome::Returned(String::new()),
        Some("moved") => Outcome::Moved,
        Some(_) | None => return Turn::new(Next::Unclear),
    };
    let mut report = Report::new(outcome, None);
    report.also = also;
    Turn::new(Next::Done(report))
}

fn wait(task: &Task, name: &'static str, why: Why, poll: &'static [u32], until_s: u32) -> Turn {
    let mut turn = Turn::new(Next::Wait(Wait {
        name: Cow::Borrowed(name),
        why,
        poll,
        until_s,
    }));
    memo::learn_own(&mut turn, task, "at", name);
    turn
}
