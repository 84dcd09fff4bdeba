//! What we heard, and what it means in the place where it was heard.

use std::borrow::Cow;

use florin_core::decline::Code;
use florin_core::rail::{Happened, Heard, Next, Outcome, Reply, Report, Step, Task, Turn};
use serde::de::DeserializeOwned;

use super::object::{self, Dispute, ErrorBody, Expandable, Intent, List, Refund, Session};
use super::verdict::{Verdict, undoes};
use super::{TABLE, ask, decline, extra, pays, sent, undo, verdict, waits};
use crate::http::{come_back, safe_id};
use crate::memo;
use crate::turn::{asking, declined, done, send, was_stuck};

/// An exchange is over.
pub(super) fn read(task: &Task, exchange: &str, heard: Heard<'_>) -> Turn {
    match heard {
        Heard::Reply(reply) if (200..300).contains(&reply.status) => answered(task, exchange, reply),
        Heard::Reply(reply) => refused(task, exchange, reply),
        Heard::Silence => silent(task, exchange),
        Heard::Unsent => unsent(task, exchange),
    }
}

/// Why an object was read, and so what it means that something was not done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// As the answer to what we asked for.
    Answer,
    /// On a question while the step may still be under way.
    Asked,
    /// After a refusal that proves itself.
    Refused,
    /// After a deadline.
    Quiet,
    /// When the step is over.
    Finished,
}

impl Said {
    fn of(task: &Task, exchange: &str) -> Self {
        match exchange {
            "look" => Self::Asked,
            "look_refused" => Self::Refused,
            "look_last" => Self::Quiet,
            "look_finished" | "look_disputes" => Self::Finished,
            // An authorise step ends its own page or challenge only when the deadline has passed.
            "expire" | "cancel" if pays(task.step) => Self::Quiet,
            _ => Self::Answer,
        }
    }
}

/// An object of Stripe's, with what we may keep of it.
fn answered(task: &Task, exchange: &str, reply: &Reply) -> Turn {
    let said = Said::of(task, exchange);
    if exchange == "look_disputes" {
        let Some(disputes) = list::<Dispute>(&reply.body) else {
            return Turn::new(Next::Unclear);
        };
        let mut turn = waits::nothing_but(task, extra::of_disputes(task, &disputes.data));
        let reasons = disputes.data.iter();
        let reasons = reasons.map(|dispute| (&*dispute.id, dispute.reason.as_deref().unwrap_or_default()));
        memo::learn_reasons(&mut turn, task, reasons);
        return turn;
    }
    let mut learned = Turn::new(Next::Unclear);
    let Some((verdict, also)) = judge(task, said, reply, &mut learned) else {
        return unclear(task, said);
    };
    // The end of a step asks for nothing that was learned with it.
    let ends = said != Said::Finished && matches!(verdict, Judged::As(Verdict::Over(_)));
    let known = if ends {
        Cow::Borrowed(task)
    } else {
        Cow::Owned(memo::known(task, &learned))
    };
    let mut turn = match verdict {
        Judged::Further => send(ask::search(task, look_name(exchange))),
        Judged::As(verdict) if said == Said::Finished => finished(&known, verdict, also),
        Judged::As(verdict) => follow(&known, said, verdict),
    };
    learned.learn.append(&mut turn.learn);
    learned.next = turn.next;
    learned
}

enum Judged {
    As(Verdict),
    /// The list does not show everything.
    Further,
}

/// What the object says, and about a step that is over what else happened; nothing if it is none that we asked for.
fn judge(task: &Task, said: Said, reply: &Reply, learned: &mut Turn) -> Option<(Judged, Vec<Happened>)> {
    let nothing = Vec::new();
    let also = |intent: &Intent| match said {
        Said::Finished => extra::of_intent(task, intent),
        Said::Answer | Said::Asked | Said::Refused | Said::Quiet => Vec::new(),
    };
    let body = &reply.body[..];
    let kind = object::kind(body)?;
    Some(match kind.as_str() {
        "checkout.session" => {
            let session: Session = parse(body)?;
            keep(task, learned, "session", &session.id)?;
            if let Some(intent) = &session.payment_intent {
                keep(task, learned, "payment_intent", intent.id())?;
            }
            let within = session.payment_intent.as_ref().and_then(Expandable::object);
            if let Some(intent) = within {
                verdict::not_of_others(task, intent)?;
            }
            let also = within.map(also).unwrap_or_default();
            (Judged::As(verdict::session(task, &session)), also)
        }
        "payment_intent" => {
            let intent: Intent = parse(body)?;
            verdict::not_of_others(task, &intent)?;
            keep(task, learned, "payment_intent", &intent.id)?;
            (Judged::As(verdict::intent(task, &intent)), also(&intent))
        }
        "refund" => {
            let refund: Refund = parse(body)?;
            keep_refund(task, learned, &refund)?;
            (Judged::As(verdict::refund(task, &refund)), nothing)
        }
        "list" if memo::id(task, "payment_intent").is_some() => {
            let refunds = list::<Refund>(body)?;
            if let Some(ours) = verdict::own_refund(task, &refunds.data) {
                keep_refund(task, learned, ours)?;
            }
            (
                Judged::As(verdict::refunds(task, &refunds.data, refunds.has_more)),
                nothing,
            )
        }
        "list" | "search_result" => {
            let intents = list::<Intent>(body)?;
            match verdict::ours(task, &intents.data) {
                Some(ours) => {
                    keep(task, learned, "payment_intent", &ours.id)?;
                    (Judged::As(verdict::intent(task, ours)), nothing)
                }
                None if kind == "list" && intents.has_more => (Judged::Further, nothing),
                // What is listed is what was made since a moment of ours, which must be the same moment there.
                None if kind == "list" && !ask::means_the_same_moments(task, reply) => return None,
                None if kind == "list" || ask::search_is_complete(task) => (Judged::As(Verdict::Absent), nothing),
                None => return None,
            }
        }
        _ => return None,
    })
}

/// Learns an id. Nothing if it is none that may be kept, or another one than we know: then the object is not ours.
fn keep(task: &Task, learned: &mut Turn, name: &'static str, id: &str) -> Option<()> {
    let known = memo::id(task, name);
    if !safe_id(id) || known.is_some_and(|known| known != id) {
        return None;
    }
    memo::learn(learned, task, name, id.to_owned());
    Some(())
}

/// Learns the id of this step's refund; nothing if it is another one.
fn keep_refund(task: &Task, learned: &mut Turn, refund: &Refund) -> Option<()> {
    verdict::own_refund(task, std::slice::from_ref(refund))?;
    if !safe_id(&refund.id) || memo::own(task, "refund").is_some_and(|known| known != refund.id) {
        return None;
    }
    memo::learn_own(learned, task, "refund", refund.id.as_str());
    Some(())
}

/// What comes after a verdict, in the place where it was heard.
fn follow(task: &Task, said: Said, verdict: Verdict) -> Turn {
    match (verdict, said) {
        (Verdict::Over(report), _) => done(task, report),
        (Verdict::Acting(acting), Said::Answer | Said::Asked | Said::Refused) => waits::acting(task, acting),
        (Verdict::Acting(acting), Said::Quiet) => close(task, acting.wait),
        (Verdict::Pending, Said::Answer | Said::Asked | Said::Refused) => waits::processing(task),
        // The payer was faster than the deadline of the page; the bank's own time begins only now.
        (Verdict::Pending, Said::Quiet) if memo::own(task, "at") != Some("processing") => waits::processing(task),
        (Verdict::Todo(next), _) if !sent(task, next) => undo(task, next).unwrap_or_else(|| unclear(task, said)),
        (Verdict::Absent, Said::Quiet) if undoes(task.step) => {
            done(task, Report::new(Outcome::Released, Some(task.money.with_minor(0))))
        }
        (Verdict::Todo(next), Said::Quiet) => once_more(task, |task| undo(task, next)),
        (Verdict::NotDone | Verdict::Absent, Said::Quiet) => once_more(task, |task| {
            if task.step == Step::Reverse {
                undo(task, "refund") // what it looked for was its refund
            } else {
                super::first(task).ok()
            }
        }),
        (Verdict::Todo(_) | Verdict::NotDone | Verdict::Absent, Said::Refused) => {
            let word = memo::own(task, "refused");
            declined(
                task,
                word.and_then(decline::known)
                    .unwrap_or_else(|| decline::named(Code::ProcessingError, word)),
            )
        }
        (
            Verdict::Acting(_)
            | Verdict::Pending
            | Verdict::Todo(_)
            | Verdict::NotDone
            | Verdict::Absent
            | Verdict::Unclear,
            said,
        ) => unclear(task, said),
    }
}

/// The message surely did nothing: it goes again, once and under its key. Not for a payment: whoever paid was told that nobody knows, and may
/// have left.
fn once_more(task: &Task, message: impl FnOnce(&Task) -> Option<Turn>) -> Turn {
    // What Stripe had under way for its whole time was no message that was lost.
    let lost = memo::own(task, "at") != Some("processing");
    // A person who was asked may have done it by hand.
    let may = lost && !pays(task.step) && !was_stuck(task) && !waits::went_again(task);
    let again = may.then(|| message(task)).flatten();
    match again {
        Some(mut turn) => {
            waits::goes_again(&mut turn, task);
            turn
        }
        None => declined(task, decline::named(Code::ProcessingError, Some("never arrived"))),
    }
}

/// The payer could still act although the deadline is over: Stripe is told once, and again only when a person is on the case. In between
/// it is asked: a message that goes out of a wait would start its clock again.
fn close(task: &Task, wait: &str) -> Turn {
    let (name, note) = if wait == "page" {
        ("expire", "sent_expire")
    } else {
        ("cancel", "sent_cancel")
    };
    match memo::own(task, note) {
        Some("again") if was_stuck(task) => undo(task, name).unwrap_or_else(|| unclear(task, Said::Quiet)),
        None => undo(task, name).unwrap_or_else(|| unclear(task, Said::Quiet)),
        Some(_) => {
            let mut turn = asking(task, waits::PERSON);
            memo::learn_own(&mut turn, task, note, "again");
            turn
        }
    }
}

/// Nothing is proven.
fn unclear(task: &Task, said: Said) -> Turn {
    match said {
        Said::Answer | Said::Finished => Turn::new(Next::Unclear),
        Said::Asked => waits::stay(task),
        Said::Refused => waits::unknown(task),
        Said::Quiet => asking(task, waits::PERSON),
    }
}

/// A notice for a step that is over can only add: what was done stays done.
fn finished(task: &Task, verdict: Verdict, also: Vec<Happened>) -> Turn {
    match (verdict, memo::own(task, "stood")) {
        (Verdict::Over(report), Some("declined" | "released" | "returned") | None) => done(task, report),
        (Verdict::Over(report), Some("held")) if matches!(report.outcome, Outcome::Held { .. }) => done(task, report),
        (Verdict::Over(report), Some("moved")) if matches!(report.outcome, Outcome::Moved | Outcome::Returned(_)) => {
            done(task, report)
        }
        (Verdict::Over(report), Some(_)) => {
            // What Stripe took for it may be known only now.
            let mut turn = waits::nothing_but(task, also);
            if let Next::Done(known) = &mut turn.next {
                known.fee = report.fee;
            }
            turn
        }
        (
            Verdict::Acting(_)
            | Verdict::Pending
            | Verdict::Todo(_)
            | Verdict::NotDone
            | Verdict::Absent
            | Verdict::Unclear,
            _,
        ) => waits::nothing_but(task, also),
    }
}

/// An error. Refusals of a question, and whatever Stripe says of itself, prove nothing.
fn refused(task: &Task, exchange: &str, reply: &Reply) -> Turn {
    let problem = parse::<ErrorBody>(&reply.body).map(|body| body.error);
    let in_use = problem
        .as_ref()
        .is_some_and(|problem| problem.code.as_deref() == Some("idempotency_key_in_use"));
    // A key that is in use says that another copy is being carried out. If none of ours is known, its outcome is not either.
    if reply.status == 409 && in_use && !reply.again && !exchange.starts_with("look") {
        return Turn::new(Next::Unclear);
    }
    if reply.status == 429 || (reply.status == 409 && in_use) {
        return Turn::new(Next::Again {
            after_s: come_back(reply),
        });
    }
    if exchange.starts_with("look") {
        return silent(task, exchange);
    }
    let Some(problem) = problem else {
        return Turn::new(Next::Unclear);
    };
    if exchange == "session" && problem.kind.as_deref() == Some("idempotency_error") {
        // This key has made a page, in other words than these, for somebody who is forgotten here: it may have been paid, at any time since
        // the order was made.
        let mut turn = Turn::new(Next::Unclear);
        memo::learn(&mut turn, task, "started", ask::order_made(task.key).to_string());
        memo::learn_own(&mut turn, task, "refused", "no page");
        turn.next = send(ask::look(&memo::known(task, &turn), "look_refused")).next;
        return turn;
    }
    let mut turn = Turn::new(Next::Unclear);
    if let Some(intent) = problem.payment_intent.as_ref().filter(|_| exchange == "intent")
        && keep(task, &mut turn, "payment_intent", intent.id()).is_none()
    {
        return turn;
    }
    let Some(no) = decline::of_request(reply.status, &problem) else {
        return turn;
    };
    let mut known = task.clone();
    known
        .memo
        .extend(turn.learn.iter().map(|(name, value)| (name.to_string(), value.clone())));
    let next = match exchange {
        // Nobody has the address of a page that another copy may have made.
        "session" => declined(&known, no),
        // A copy that may have arrived earlier is not answered by this refusal.
        "intent" if reply.again => send(ask::look(&known, "look")),
        "intent" => declined(&known, no),
        _ if pays(task.step) => send(ask::look(&known, "look_last")),
        _ if reply.again => send(ask::look(&known, "look")),
        _ => {
            let mut turn = send(ask::look(&known, "look_refused"));
            memo::learn_own(&mut turn, task, "refused", &no.raw);
            turn
        }
    };
    turn.learn.extend(next.learn);
    turn.next = next.next;
    turn
}

/// No answer, and no more copies: nobody knows.
fn silent(task: &Task, exchange: &str) -> Turn {
    match Said::of(task, exchange) {
        // The payer never saw the page, so nothing can have moved.
        Said::Answer if exchange == "session" => declined(task, decline::named(Code::ProcessingError, Some("no page"))),
        Said::Answer => send(ask::look(task, "look")),
        Said::Quiet if !exchange.starts_with("look") => send(ask::look(task, "look_last")),
        said @ (Said::Asked | Said::Refused | Said::Quiet | Said::Finished) => unclear(task, said),
    }
}

/// It surely never left. A question is asked again by the wait; a message that changes something was not done.
fn unsent(task: &Task, exchange: &str) -> Turn {
    match Said::of(task, exchange) {
        Said::Answer => declined(task, decline::named(Code::ProcessingError, Some("never sent"))),
        Said::Asked | Said::Refused | Said::Quiet | Said::Finished => silent(task, exchange),
    }
}

/// The table's own name of a look.
fn look_name(exchange: &str) -> &'static str {
    TABLE
        .exchanges
        .iter()
        .copied()
        .find(|name| *name == exchange && name.starts_with("look"))
        .unwrap_or("look")
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    // Looked through once instead of string by string. What is wrong in a string that nobody reads does no harm.
    match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text).ok(),
        Err(_) => serde_json::from_slice(body).ok(),
    }
}

fn list<T: DeserializeOwned>(body: &[u8]) -> Option<List<T>> {
    parse(body)
}
