//! What a rail learned: reading it, and adding to it.
//!
//! A memo holds facts of the attempt (the provider's ids) and facts of one step (where it stands). The latter carry the step in their
//! name, `stood 1/ref/0`: steps of one attempt may share a memo, and a fact of another step is no fact of this one.

use std::borrow::Cow;

use florin_core::order::limits::DISPUTES_MAX;
use florin_core::rail::{Name, Next, Task, Turn};

use crate::http::safe_id;

/// An id of the provider's that was learned.
pub(crate) fn id<'a>(task: &'a Task, name: &str) -> Option<&'a str> {
    task.memo.get(name).map(String::as_str).filter(|id| safe_id(id))
}

/// A number that was learned.
pub(crate) fn number(task: &Task, name: &str) -> Option<i64> {
    task.memo.get(name)?.parse().ok()
}

/// What this very step learned under `name`.
pub(crate) fn own<'a>(task: &'a Task, name: &str) -> Option<&'a str> {
    task.memo.get(&of_step(task, name)).map(String::as_str)
}

/// The turn learns `value` under `name`, unless that is known.
pub(crate) fn learn(turn: &mut Turn, task: &Task, name: impl Into<Name>, value: impl Into<String>) {
    let (name, value) = (name.into(), value.into());
    if task.memo.get(name.as_ref()) != Some(&value) {
        turn.learn.push((name, value));
    }
}

/// The turn learns `value` for this step only.
pub(crate) fn learn_own(turn: &mut Turn, task: &Task, name: &str, value: impl Into<String>) {
    learn(turn, task, Cow::Owned(of_step(task, name)), value);
}

/// Why a payer disputes, in the words of Stripe's objects. Another word is not kept.
const REASONS: &[&str] = &[
    "bank_cannot_process",
    "check_returned",
    "credit_not_processed",
    "customer_initiated",
    "debit_not_authorized",
    "duplicate",
    "fraudulent",
    "general",
    "incorrect_account_details",
    "insufficient_funds",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
];

/// A turn that reports disputes learns why they are: (the provider's id of a dispute, its reason). As many as an order remembers.
pub(crate) fn learn_reasons<'a>(turn: &mut Turn, task: &Task, disputes: impl Iterator<Item = (&'a str, &'a str)>) {
    if !matches!(turn.next, Next::Done(_)) {
        return;
    }
    for (id, reason) in disputes.take(DISPUTES_MAX) {
        if safe_id(id) && REASONS.contains(&reason) {
            learn(turn, task, format!("reason {id}"), reason);
        }
    }
}

/// The task as it stands when the turn is committed: with what the turn learned.
pub(crate) fn known(task: &Task, turn: &Turn) -> Task {
    let mut known = task.clone();
    known
        .memo
        .extend(turn.learn.iter().map(|(name, value)| (name.to_string(), value.clone())));
    known
}

fn of_step(task: &Task, name: &str) -> String {
    format!("{name} {}", task.key.step())
}
