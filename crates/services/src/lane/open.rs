//! What is open of an order after a command: steps that are new are started at their rails, steps that are over are dropped.
//!
//! Rails are pure, so a lane calls `start` while it builds the batch: the event that starts a step and the step's first message are one
//! commit. A cancel or reversal begins only when no message of the authorisation is out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use florin_core::decline::{Code, Decline};
use florin_core::id::{ConnectionId, Key};
use florin_core::money::Money;
use florin_core::order::{CaptureAt, Fact, Kind, Order, Plan, Says, StepKind, StepName};
use florin_core::rail::{self, Account, Instrument, Payer, Task, Turn, Unfit, Urls};
use florin_core::time::Timestamp;

use super::working::Working;
use super::{LEASE_S, turn};
use crate::egress::Road;
use crate::view::View;
use crate::work::{Act, Entry, Place};
use crate::worker::Errand;

/// Starting one step may end it and so start the next; this is a fence around a mistake of ours.
const STARTS_MAX: usize = 64;
/// Under which name a memo keeps where the payer of an attempt comes back to.
pub(super) const RETURN_URL: &str = "return_url";

/// The merchants' ways to their providers.
pub trait Roads: Send + Sync {
    /// The way of a connection, enabled or not: what was started must be finished.
    fn road(&self, connection: ConnectionId) -> Option<Arc<Road>>;
}

/// What a lane needs to know about the world to start a step.
pub(super) struct World {
    pub(super) roads: Arc<dyn Roads>,
    /// Where payers come back to: `https://pay.example.com`.
    pub(super) origin: String,
}

/// A step cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cannot {
    /// The rail cannot do it: a known no, because nothing was sent and nothing will be.
    #[error("{0}")]
    Never(String),
    /// The same, because of the currency alone.
    #[error("{0}")]
    Currency(String),
    /// The same, because of the amount alone.
    #[error("{0}")]
    Amount(String),
    /// Something of ours is missing or wrong: this node may not know the connection yet.
    #[error("{0}")]
    NotNow(String),
}

/// Starts what is new and drops what is over. With `asked`, a step that cannot be started is the caller's to hear of. Without, what the
/// rail cannot do is a known no, and anything else is tried again later: only a provider, or its table, declines.
pub(super) fn settle(world: &World, working: &mut Working, asked: bool, now: Timestamp) -> Result<(), Cannot> {
    let mut later = Vec::new();
    for _ in 0..STARTS_MAX {
        let open: Vec<StepName> = working.order().in_flight().iter().map(|open| open.step).collect();
        let before = working.kept.work.len();
        working.kept.work.retain(|entry| open.contains(&entry.step));
        working.dirty |= working.kept.work.len() != before;
        let next = open
            .into_iter()
            .find(|step| !later.contains(step) && startable(working, *step));
        let Some(step) = next else {
            hold(working, now);
            return Ok(());
        };
        match begin(world, working, step, now) {
            Ok((turn, task)) => turn::start(working, step, turn, task, now),
            Err(cannot) if asked => return Err(cannot),
            Err(Cannot::NotNow(why)) => {
                tracing::error!(order = %working.order().id, %step, why, "what is owed cannot be started now");
                put_off(working, step, now);
                later.push(step);
            }
            Err(Cannot::Never(why) | Cannot::Currency(why) | Cannot::Amount(why)) => {
                tracing::error!(order = %working.order().id, %step, why, "the rail cannot do what is owed");
                let says = Says::Declined(Decline::new(Code::Unsupported));
                working.fact(Fact::Answer { step, says, note: None }, now);
                if working.order().open_step(step).is_some() {
                    working
                        .kept
                        .work
                        .push(Entry::new(step, Place::stuck(), now, working.kept.fence));
                }
            }
        }
    }
    tracing::error!(order = %working.order().id, "starting steps does not come to an end");
    Ok(())
}

/// Whether a step that is in flight has not begun at its rail, and may.
fn startable(working: &Working, step: StepName) -> bool {
    let entry = working.kept.work.iter().find(|entry| entry.step == step);
    match entry.map(|entry| &entry.at) {
        None | Some(Place::Held) => !is_held(working, step),
        Some(Place::Out { .. } | Place::Wait { .. }) => false,
    }
}

/// Cancel and reverse wait while an exchange of the authorise step is out.
fn is_held(working: &Working, step: StepName) -> bool {
    let authorise = StepName::authorize(step.attempt);
    match step.kind {
        StepKind::Cancel | StepKind::Reverse => working
            .kept
            .work
            .iter()
            .any(|entry| entry.step == authorise && entry.is_out()),
        StepKind::Authorize | StepKind::Capture | StepKind::Void | StepKind::Increment | StepKind::Refund => false,
    }
}

/// Notes the steps that have to wait, so that whoever finds the row sees them.
fn hold(working: &mut Working, now: Timestamp) {
    let open: Vec<StepName> = working.order().in_flight().iter().map(|open| open.step).collect();
    for step in open {
        let fence = working.kept.fence;
        match working.entry(step) {
            None => {
                working.kept.work.push(Entry::new(step, Place::Held, now, fence));
                working.dirty = true;
            }
            Some(entry) if entry.at == Place::Held && entry.due <= now => {
                entry.put_off(now, fence);
                working.dirty = true;
            }
            Some(_) => {}
        }
    }
}

/// Notes a step whose start did not succeed: it is tried again, less and less often.
fn put_off(working: &mut Working, step: StepName, now: Timestamp) {
    let fence = working.kept.fence;
    if working.entry(step).is_none() {
        working.kept.work.push(Entry::new(step, Place::Held, now, fence));
    }
    if let Some(entry) = working.entry(step) {
        entry.asked = entry.asked.saturating_add(1);
        entry.put_off(now, fence);
    }
    working.dirty = true;
}

fn begin(world: &World, working: &Working, step: StepName, now: Timestamp) -> Result<(Turn, Box<Task>), Cannot> {
    let (road, task) = task(world, &working.kept.view, step, now)
        .ok_or_else(|| Cannot::NotNow("this node does not know the connection of this attempt, or its rail".into()))?;
    let table = road.rail.table();
    if table.can(task.step).is_none() {
        return Err(Cannot::Never(format!(
            "rail `{}` has no step {}",
            table.name,
            word(task.step)
        )));
    }
    if !table.takes(task.money.currency()) {
        return Err(Cannot::Currency(format!(
            "rail `{}` does not take {}",
            table.name,
            task.money.currency()
        )));
    }
    // A rail that panics must not take the lane with it.
    match catch_unwind(AssertUnwindSafe(|| road.rail.start(&task))) {
        Ok(Ok(turn)) => Ok((turn, task)),
        Ok(Err(cannot)) => Err(match cannot.of {
            Unfit::Amount => Cannot::Amount(cannot.to_string()),
            Unfit::Method => Cannot::Never(cannot.to_string()),
        }),
        Err(_) => Err(Cannot::NotNow(format!(
            "rail `{}` failed: this is a mistake in it",
            table.name
        ))),
    }
}

/// A rail's word for a step, in lower case.
fn word(step: rail::Step) -> &'static str {
    match step {
        rail::Step::Sale => "sale",
        rail::Step::Authorize => "authorize",
        rail::Step::Verify => "verify",
        rail::Step::Capture => "capture",
        rail::Step::Increment => "increment",
        rail::Step::Void => "void",
        rail::Step::Cancel => "cancel",
        rail::Step::Reverse => "reverse",
        rail::Step::Refund => "refund",
        rail::Step::Payout => "payout",
    }
}

/// What a rail is asked about a step, open or over, and the way there.
pub(super) fn task(world: &World, view: &View, step: StepName, now: Timestamp) -> Option<(Arc<Road>, Box<Task>)> {
    let order = &view.order;
    let (_, attempt) = order.attempt(step.attempt)?;
    let plan = &attempt.plan;
    let road = world.roads.road(plan.connection)?;
    let money = match step.kind {
        StepKind::Authorize => plan.amount,
        StepKind::Cancel
        | StepKind::Reverse
        | StepKind::Capture
        | StepKind::Void
        | StepKind::Increment
        | StepKind::Refund => attempt.step(step).map_or(plan.amount, |step| step.amount),
    };
    let mut memo = view.memos.get(&step.attempt).cloned().unwrap_or_default();
    if let Some(own) = view.steps.get(&step) {
        memo.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    let connection = &road.connection;
    let task = Task {
        step: rail_step(order, plan, step.kind),
        key: Key::new(order.id, step),
        money,
        instrument: plan.instrument.clone(),
        payer: payer(view, &plan.instrument),
        urls: urls(world, view, memo.get(RETURN_URL), step.attempt),
        account: Account {
            connection: connection.id.to_string(),
            base: connection.base.clone(),
            settings: connection.settings.clone(),
        },
        memo,
        now,
        until: Some(order.terms.expires_at),
    };
    Some((road, Box::new(task)))
}

/// What was asked for in a step, for an answer that states no amount.
pub(super) fn asked(order: &Order, step: StepName) -> Option<Money> {
    let (_, attempt) = order.attempt(step.attempt)?;
    match step.kind {
        StepKind::Authorize => Some(attempt.plan.amount),
        StepKind::Cancel
        | StepKind::Reverse
        | StepKind::Capture
        | StepKind::Void
        | StepKind::Increment
        | StepKind::Refund => attempt.step(step).map(|step| step.amount),
    }
}

fn rail_step(order: &Order, plan: &Plan, kind: StepKind) -> rail::Step {
    match kind {
        StepKind::Authorize => match order.terms.kind {
            Kind::Payment if order.terms.capture == CaptureAt::Once && plan.can.sale => rail::Step::Sale,
            Kind::Payment => rail::Step::Authorize,
            Kind::Verify => rail::Step::Verify,
            Kind::Credit => rail::Step::Payout,
        },
        StepKind::Cancel => rail::Step::Cancel,
        StepKind::Reverse => rail::Step::Reverse,
        StepKind::Capture => rail::Step::Capture,
        StepKind::Void => rail::Step::Void,
        StepKind::Increment => rail::Step::Increment,
        StepKind::Refund => rail::Step::Refund,
    }
}

fn payer(view: &View, instrument: &Instrument) -> Payer {
    let details = &view.details;
    Payer {
        customer: None,
        email: details.email.clone(),
        description: details.description.clone(),
        // Only a page shows lines.
        lines: match instrument {
            Instrument::Hosted => details.lines.clone(),
            Instrument::Stored(_) => Vec::new(),
        },
    }
}

/// The payer comes back to the door that sent them, or to our own return page, which opens by a token that nobody can guess.
/// Where the payer comes back to. Who leaves a page says of which attempt it was: another one may run by then.
fn urls(world: &World, view: &View, own: Option<&String>, attempt: u8) -> Urls {
    let back = match (own, &view.details.page_token) {
        (Some(url), _) => url.clone(),
        (None, Some(token)) => format!("{}/return/{token}", world.origin),
        (None, None) => return Urls::default(),
    };
    let seam = if back.contains('?') { '&' } else { '?' };
    Urls {
        cancel: format!("{back}{seam}left={attempt}"),
        back,
    }
}

/// Acts on an entry as if it were due. Answers whether there is something for the worker to do.
pub(super) fn act(working: &mut Working, step: StepName, now: Timestamp) -> Option<Errand> {
    let fence = working.kept.fence;
    let entry = working.entry(step)?;
    match entry.act(now, fence) {
        Act::Send { again: true } => send(entry, true, now),
        // No copy is out: whoever finds this one must know of it, and nobody else may write the same.
        Act::Send { again: false } | Act::Mark => {
            if let Place::Out { sent, .. } = &mut entry.at {
                *sent = true;
            }
            let errand = send(entry, false, now);
            working.dirty = true;
            working.move_version(now);
            errand
        }
        Act::Silence => Some(Errand::Silence),
        Act::Unsent => Some(Errand::Unsent),
        Act::Tick => Some(Errand::Tick),
        Act::Over => Some(Errand::Over),
        Act::Rest => None,
    }
}

/// Hands an entry's message over: nobody looks at it before the lease is over.
pub(super) fn send(entry: &mut Entry, again: bool, now: Timestamp) -> Option<Errand> {
    entry.due = now.plus_seconds(LEASE_S);
    match &entry.at {
        Place::Out { message, .. } => Some(Errand::Send {
            message: Arc::clone(message),
            again,
        }),
        Place::Held | Place::Wait { .. } => None,
    }
}
