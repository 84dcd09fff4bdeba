//! What a rail's turn makes of an order: facts, the next place, what was learned. One turn, one commit.
//!
//! | the rail says | the order is told | the step's place |
//! | --- | --- | --- |
//! | `Send` | – | the message is out |
//! | `Unclear` | a message was out: uncertain | the same; a copy or a question later |
//! | `Again` | a message was out: nothing, by an event of its own | the same; the same message later |
//! | `Wait` | acting, pending or uncertain, by whom we wait for | the wait |
//! | `Done` | approved, released, declined, taken back; fees and what else happened | none; if the order still has questions: a case |
//! | `Stuck` | stuck: a case for a person | the wait `stuck` |

use florin_core::money::Money;
use florin_core::order::{Fact, HoldEnd, Says, StepName};
use florin_core::rail::{Next, Outcome, Report, Task, Turn, Wait, What, Why};
use florin_core::time::Timestamp;

use super::open::{asked, send};
use super::working::Working;
use crate::work::{Entry, Place, Spot};
use crate::worker::{Errand, Turned};

/// The first turn of a step.
pub(super) fn start(working: &mut Working, step: StepName, turn: Turn, mut task: Box<Task>, now: Timestamp) {
    working.kept.work.retain(|entry| entry.step != step);
    task.memo
        .extend(turn.learn.iter().map(|(name, value)| (name.to_string(), value.clone())));
    working.started = Some((step, task));
    advance(working, step, turn, None, now);
}

/// A worker's turn. `current` says whether fence and place are still the ones that it departed from. Answers whether it was taken whole.
pub(super) fn take(working: &mut Working, turned: &Turned, current: bool, now: Timestamp) -> bool {
    let Turned { step, at, turn, .. } = turned;
    let stands = match at {
        Spot::Finished => working.order().open_step(*step).is_none(),
        Spot::Out(..) | Spot::Wait(..) => {
            current && working.entry(*step).and_then(|entry| entry.spot()).as_ref() == Some(at)
        }
    };
    if stands {
        advance(working, *step, turn.clone(), Some(turned), now);
    } else {
        stale(working, *step, turn, now);
    }
    stands
}

/// A turn that comes too late changes no place, but a success in it is booked: money moved.
fn stale(working: &mut Working, step: StepName, turn: &Turn, now: Timestamp) {
    let Next::Done(report) = &turn.next else { return };
    match report.outcome {
        Outcome::Held { .. } | Outcome::Moved | Outcome::Released | Outcome::Returned(_) => {
            let known = working.kept.view.memos.get(&step.attempt).cloned().unwrap_or_default();
            let learn = turn.learn.iter().filter(|(name, _)| !known.contains_key(name.as_ref()));
            let learn: Vec<_> = learn.map(|(name, value)| (name.to_string(), value.clone())).collect();
            if done(working, step, report, now) {
                working.learn(step, learn);
            }
        }
        Outcome::Declined(_) => {}
    }
}

fn advance(working: &mut Working, step: StepName, turn: Turn, from: Option<&Turned>, now: Timestamp) {
    let learned = working.learn(
        step,
        turn.learn.into_iter().map(|(name, value)| (name.into_owned(), value)),
    );
    working.dirty |= learned;
    let finished = from.is_some_and(|turned| turned.at == Spot::Finished);
    match turn.next {
        // About a step that is over only its end counts.
        Next::Send(_) | Next::Unclear | Next::Again { .. } | Next::Wait(_) | Next::Stuck(_) if finished => {}
        Next::Done(report) => {
            done(working, step, &report, now);
            // Something was said that no rule explains: a person must look, and facts are still taken.
            if !finished && working.order().open_step(step).is_some() {
                put(working, step, Place::stuck(), now);
            }
        }
        Next::Send(message) => {
            put(working, step, Place::out(message), now);
            let again = working.entry(step).and_then(|entry| match &entry.at {
                Place::Out { sent: true, .. } => send(entry, false, now),
                Place::Out { .. } | Place::Held | Place::Wait { .. } => None, // marked by a commit of its own first
            });
            if let Some(errand) = again {
                working.errands.push((step, errand, Vec::new()));
            }
        }
        Next::Unclear => unclear(working, step, now),
        Next::Again { after_s } => again(working, step, after_s, from, now),
        Next::Wait(wait) => waiting(working, step, wait, from, now),
        Next::Stuck(why) => stuck(working, step, why, now),
    }
}

/// Comes to a new place. Such a commit moves the version, so that no other node writes over it unseen.
fn put(working: &mut Working, step: StepName, at: Place, now: Timestamp) {
    let entry = Entry::new(step, at, now, working.kept.fence);
    working.kept.work.retain(|entry| entry.step != step);
    working.kept.work.push(entry);
    working.kept.work.sort_by_key(|entry| entry.step);
    working.dirty = true;
    working.move_version(now);
}

fn says(working: &mut Working, step: StepName, says: Says, now: Timestamp) -> bool {
    working.fact(Fact::Answer { step, says, note: None }, now)
}

fn unclear(working: &mut Working, step: StepName, now: Timestamp) {
    let fence = working.kept.fence;
    let Some(entry) = working.entry(step) else {
        // `start` proved nothing, and nothing was sent: the next look starts it again.
        return put(working, step, Place::stuck(), now);
    };
    entry.brought_nothing(now, fence);
    let out = entry.is_out();
    working.dirty = true;
    if out {
        says(working, step, Says::Uncertain, now);
    }
}

fn again(working: &mut Working, step: StepName, after_s: u32, from: Option<&Turned>, now: Timestamp) {
    let fence = working.kept.fence;
    let Some(entry) = working.entry(step) else { return };
    if let Place::Out { sent, .. } = &mut entry.at {
        // This copy surely did nothing; an earlier one may have. The next copy is marked before it goes.
        *sent &= !from.is_some_and(|turned| turned.sole);
    }
    let never_left = from.is_some_and(|turned| turned.lost);
    entry.again(now, fence, after_s, never_left);
    let told = entry.is_out() && !never_left;
    working.dirty = true;
    // A node that remembers the order as it was would write over when the provider may be asked again, and that this copy did nothing. A message
    // has so many of these and no more (`AGAINS_MAX`); of what never left, and of questions, there are many, and nothing is lost with one.
    if told {
        working.move_version(now);
    }
}

fn waiting(working: &mut Working, step: StepName, wait: Wait, from: Option<&Turned>, now: Timestamp) {
    let fence = working.kept.fence;
    let over = from.is_some_and(|turned| turned.over);
    match working.entry(step) {
        Some(entry) if matches!(&entry.at, Place::Wait { name, .. } if *name == wait.name) => {
            if over {
                let why = format!("the wait `{}` is over, and the rail went back to it", wait.name);
                return stuck(working, step, why, now);
            }
            // The clock of a wait does not start again.
            entry.asked = entry.asked.saturating_add(1);
            entry.put_off(now, fence);
            working.dirty = true;
        }
        Some(_) | None => put(working, step, Place::wait(&wait, now), now),
    }
    let said = match wait.why {
        Why::Payer(action) => {
            let same = working
                .order()
                .attempt(step.attempt)
                .is_some_and(|(_, attempt)| attempt.action.as_ref() == Some(&action));
            let acting = working
                .order()
                .open_step(step)
                .is_some_and(|(open, _, _)| open == florin_core::order::Open::Acting);
            if same && acting {
                return;
            }
            Says::Acting { action }
        }
        Why::Provider => Says::Pending,
        Why::Unknown => Says::Uncertain,
    };
    says(working, step, said, now);
}

fn stuck(working: &mut Working, step: StepName, why: String, now: Timestamp) {
    let fence = working.kept.fence;
    let already = working
        .entry(step)
        .is_some_and(|entry| matches!(&entry.at, Place::Wait { name, .. } if name == crate::work::STUCK));
    if already {
        if let Some(entry) = working.entry(step) {
            entry.asked = entry.asked.saturating_add(1);
            entry.put_off(now, fence);
        }
        working.dirty = true;
    } else {
        put(working, step, Place::stuck(), now);
    }
    says(working, step, Says::Stuck { why }, now);
}

/// Tells the order how a step ended and what else happened. Answers whether any of it was new.
fn done(working: &mut Working, step: StepName, report: &Report, now: Timestamp) -> bool {
    let mut new = false;
    // Of a step that the order does not have, as after a restore, money that moved is an alarm, and never dropped.
    if let Some(asked) = asked(working.order(), step).or(report.money) {
        new |= says(working, step, said(report, asked), now);
    }
    let attempt = step.attempt;
    let fee = report.fee.iter().map(|fee| (&fee.id, What::Fee, fee.money));
    let also = report.also.iter().map(|also| (&also.id, also.what, also.money));
    for (id, what, money) in fee.chain(also) {
        let id = id.clone();
        new |= working.fact(
            Fact::Happened {
                attempt,
                id,
                what,
                money,
            },
            now,
        );
    }
    new
}

fn said(report: &Report, asked: Money) -> Says {
    let (money, stated) = (report.money.unwrap_or(asked), report.money.is_some());
    match &report.outcome {
        Outcome::Held { until } => Says::Approved {
            money,
            held: Some(until.map_or(HoldEnd::Unknown, HoldEnd::At)),
            stated,
        },
        Outcome::Moved => Says::Approved {
            money,
            held: None,
            stated,
        },
        Outcome::Released => Says::Released {
            moved: report.money.unwrap_or(asked.with_minor(0)),
        },
        Outcome::Declined(decline) => Says::Declined(decline.clone()),
        Outcome::Returned(_) => Says::TakenBack { money },
    }
}

/// Whether an errand sends a message of ours, and so needs the lease.
pub(super) fn sends(errand: &Errand) -> bool {
    match errand {
        Errand::Send { .. } => true,
        Errand::Silence | Errand::Unsent | Errand::Back(_) | Errand::Told(_) | Errand::Tick | Errand::Over => false,
    }
}
