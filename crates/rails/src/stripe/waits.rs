//! Where a step stands while nothing is out, and the end of what we can find out.
//!
//! | wait | for | asked | its end |
//! | --- | --- | --- | --- |
//! | `page`, `challenge` | the payer | often, as payers act within minutes | Stripe is told to take no more, then `look_last` |
//! | `processing` | Stripe, which says so (bank debits take days) | by the common plan | `look_last` |
//! | `unknown`; `expiring`, `canceling`, `refunding` on the way to undoing | nobody knows whether that message arrived; long enough that none can still be under way | often | `look_last` |
//! | `unknown_again` and so on | the same of a message that went again, after it surely did nothing | often | `look_last` |
//! | `asking` | Stripe does not answer, or with words that we do not know | by the common plan | a person |
//! | `stuck`, `finished` | anything at all | when told | – |

use florin_core::rail::{Action, Happened, Next, Report, Task, Turn, Why};

use super::sent;
use super::verdict::Acting;
use crate::http::safe_url;
use crate::memo;
use crate::turn::{self, QUESTIONS, as_it_stood, done, wait};

/// All of them.
pub(super) const NAMES: &[&str] = &[
    "page",
    "challenge",
    "processing",
    "unknown",
    "expiring",
    "canceling",
    "refunding",
    "unknown_again",
    "expiring_again",
    "canceling_again",
    "refunding_again",
    "asking",
    "stuck",
    "finished",
];

/// A payer acts within minutes; a webhook usually says so first.
const PAYER: &[u32] = &[15, 30, 60, 120, 240, 420, 720, 1020];
/// Stripe's pages live no longer.
const PAYER_S: u32 = 24 * 3600;
/// Bank debits settle within this; what does not is a case.
const PROCESSING_S: u32 = 14 * 24 * 3600;
/// Where a person finds out.
pub(super) const PERSON: &str =
    "Stripe does not tell how this step stands: look it up in its dashboard by the metadata florin_key";

/// The payer must act.
pub(super) fn acting(task: &Task, acting: Acting) -> Turn {
    let action = Action::Redirect {
        url: acting.url.clone(),
    };
    let mut turn = wait(task, acting.wait, Why::Payer(action), PAYER, acting.left_s);
    memo::learn(&mut turn, task, acting.wait, acting.url);
    turn
}

/// Stripe takes its time.
pub(super) fn processing(task: &Task) -> Turn {
    wait(task, "processing", Why::Provider, QUESTIONS, PROCESSING_S)
}

/// A message may or may not have arrived: the last one that was sent.
pub(super) fn unknown(task: &Task) -> Turn {
    let (wait, again, _) = last_sent(task);
    turn::unknown(task, if went_again(task) { again } else { wait })
}

/// The waits for the message that was sent last, and the note that it went again.
fn last_sent(task: &Task) -> (&'static str, &'static str, &'static str) {
    let undoing = [
        ("refund", ("refunding", "refunding_again", "again_refund")),
        ("cancel", ("canceling", "canceling_again", "again_cancel")),
        ("expire", ("expiring", "expiring_again", "again_expire")),
    ];
    let found = undoing.into_iter().find(|(exchange, _)| sent(task, exchange));
    found.map_or(("unknown", "unknown_again", "again_first"), |(_, waits)| waits)
}

/// Whether the message that was sent last went again, after it surely did nothing.
pub(super) fn went_again(task: &Task) -> bool {
    memo::own(task, last_sent(task).2).is_some()
}

/// The turn sends it again.
pub(super) fn goes_again(turn: &mut Turn, task: &Task) {
    memo::learn_own(turn, task, last_sent(task).2, "yes");
}

/// A question brought nothing: wait on where we were. The clock and the end of a wait that is entered again are those that it had.
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
                left_s: PAYER_S,
            },
        ),
        None => unknown(task),
    }
}

/// The step stands as it stood, and this is what else happened.
pub(super) fn nothing_but(task: &Task, also: Vec<Happened>) -> Turn {
    match as_it_stood(task) {
        Some(report) => done(task, Report { also, ..report }),
        None => Turn::new(Next::Unclear),
    }
}
