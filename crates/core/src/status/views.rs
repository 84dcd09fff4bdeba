//! The parts of an order as the API shows them.

use crate::decline::Decline;
use crate::id::{Part, PartId};
use crate::money::Money;
use crate::order::{Attempt, Open, Order, Place, Plan, Standing, Step, StepKind, StepName, StepState, Verdict};
use crate::rail::Action;
use crate::time::Timestamp;

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptView<'a> {
    /// Counted from 1.
    pub number: u8,
    /// What was planned.
    pub plan: &'a Plan,
    /// How it stands.
    pub status: AttemptStatus,
    /// Nobody knows how its authorisation or its undo stands.
    pub uncertain: bool,
    /// Why it was refused.
    pub decline: Option<&'a Decline>,
    /// What the payer must do, and the how-manieth action that is.
    pub action: Option<(u16, &'a Action)>,
    /// When it was started.
    pub started_at: Timestamp,
}

/// How an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptStatus {
    /// Wait.
    Processing,
    /// The payer must do something.
    RequiresAction,
    /// It paid the order.
    Succeeded,
    /// A known no.
    Declined,
    /// Over before money moved.
    Canceled,
    /// Its money was sent back.
    Reversed,
}

impl AttemptStatus {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::RequiresAction => "requires_action",
            Self::Succeeded => "succeeded",
            Self::Declined => "declined",
            Self::Canceled => "canceled",
            Self::Reversed => "reversed",
        }
    }
}

/// A capture, void or refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepView<'a> {
    /// Counted from 0.
    pub index: u8,
    /// Its step.
    pub step: StepName,
    /// What was asked; once it is done, what moved.
    pub amount: Money,
    /// How it stands.
    pub status: StepStatus,
    /// Nobody knows how it stands.
    pub uncertain: bool,
    /// Why it was refused.
    pub decline: Option<&'a Decline>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Since when it stands so.
    pub since: Timestamp,
}

/// How a capture, void or refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepStatus {
    /// Wait.
    Processing,
    /// Done.
    Succeeded,
    /// A known no.
    Failed,
    /// Done, and taken back.
    Returned,
}

impl StepStatus {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Returned => "returned",
        }
    }
}

/// A dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisputeView<'a> {
    /// Counted from 0 over the whole order.
    pub index: u8,
    /// The attempt it is about.
    pub attempt: u8,
    /// The provider's id.
    pub id: &'a str,
    /// What it is about.
    pub amount: Money,
    /// How it stands.
    pub verdict: Verdict,
    /// When it was first heard of.
    pub heard_at: Timestamp,
    /// When its verdict was.
    pub decided_at: Option<Timestamp>,
}

/// Attempts of an order, oldest first: past ones, the one that runs or won.
pub fn attempts(order: &Order) -> Vec<AttemptView<'_>> {
    order
        .attempts()
        .map(|(place, attempt)| attempt_view(place, attempt))
        .collect()
}

fn attempt_view(place: Place, attempt: &Attempt) -> AttemptView<'_> {
    let status = attempt_status(place, attempt);
    let undo_uncertain = attempt
        .undo
        .as_ref()
        .is_some_and(|undo| undo.step.open() == Some(Open::Uncertain));
    AttemptView {
        number: attempt.number,
        plan: &attempt.plan,
        status,
        uncertain: attempt.standing == Standing::Uncertain || undo_uncertain,
        decline: match &attempt.standing {
            Standing::Declined(decline) => Some(decline),
            Standing::Sent
            | Standing::Acting
            | Standing::Waiting
            | Standing::Uncertain
            | Standing::Approved
            | Standing::Undone => None,
        },
        action: attempt
            .action
            .as_ref()
            .filter(|_| status == AttemptStatus::RequiresAction)
            .map(|action| (attempt.actions, action)),
        started_at: attempt.started_at,
    }
}

pub(super) fn attempt_status(place: Place, attempt: &Attempt) -> AttemptStatus {
    let moved = attempt.charge.heard() > 0 || attempt.charge.hold.is_some();
    match (place, &attempt.standing) {
        (_, Standing::Declined(_)) if !moved => AttemptStatus::Declined,
        (_, Standing::Undone) if moved => AttemptStatus::Reversed,
        (_, Standing::Undone) => AttemptStatus::Canceled,
        (Place::Winner, _) => AttemptStatus::Succeeded,
        (Place::Current, Standing::Acting) if !attempt.ends() => AttemptStatus::RequiresAction,
        (Place::Current, _) => AttemptStatus::Processing,
        (Place::Past, _) if !moved => AttemptStatus::Canceled,
        (Place::Past, _) if crate::order::brings_money(attempt) || attempt.undoing() => AttemptStatus::Processing,
        (Place::Past, _) => AttemptStatus::Reversed,
    }
}

/// Captures of the order, oldest first.
pub fn captures(order: &Order) -> Vec<StepView<'_>> {
    steps(order, StepKind::Capture)
}

/// Voids of the order, oldest first.
pub fn voids(order: &Order) -> Vec<StepView<'_>> {
    steps(order, StepKind::Void)
}

/// Refunds of the order, oldest first.
pub fn refunds(order: &Order) -> Vec<StepView<'_>> {
    steps(order, StepKind::Refund)
}

fn steps(order: &Order, kind: StepKind) -> Vec<StepView<'_>> {
    let all = order.winner().into_iter().flat_map(|winner| winner.steps_of(kind));
    all.map(|(name, step)| step_view(name, step)).collect()
}

/// How the captures, voids or refunds of the order stand, oldest first.
pub(super) fn step_statuses(order: &Order, kind: StepKind) -> impl Iterator<Item = StepStatus> {
    let all = order.winner().into_iter().flat_map(move |winner| winner.steps_of(kind));
    all.map(|(_, step)| step_status(step))
}

fn step_status(step: &Step) -> StepStatus {
    let (moved, back) = step.moved();
    match &step.state {
        StepState::Sent | StepState::Pending | StepState::Uncertain => StepStatus::Processing,
        StepState::Declined(_) => StepStatus::Failed,
        StepState::Done { .. } if back > 0 && back >= moved => StepStatus::Returned,
        StepState::Done { .. } => StepStatus::Succeeded,
    }
}

fn step_view(name: StepName, step: &Step) -> StepView<'_> {
    let (moved, _) = step.moved();
    StepView {
        index: name.index,
        step: name,
        amount: if moved > 0 {
            step.amount.with_minor(moved)
        } else {
            step.amount
        },
        status: step_status(step),
        uncertain: step.open() == Some(Open::Uncertain),
        decline: step.declined(),
        asked_at: step.asked_at,
        since: step.since,
    }
}

/// Disputes of every attempt of the order, in the order in which they were heard of.
pub fn disputes(order: &Order) -> Vec<DisputeView<'_>> {
    let mut views = Vec::new();
    for attempt in order.attempts().map(|(_, attempt)| attempt) {
        views.extend(attempt.charge.disputes.iter().map(|dispute| DisputeView {
            index: dispute.number,
            attempt: attempt.number,
            id: &dispute.id,
            amount: order.due.with_minor(dispute.opened.max(dispute.lost)),
            verdict: dispute.verdict,
            heard_at: dispute.heard_at,
            decided_at: dispute.decided_at,
        }));
    }
    views.sort_by_key(|view| view.index);
    views
}

impl Order {
    /// The id of one of its parts.
    pub fn part(&self, kind: Part, number: u16) -> PartId {
        PartId {
            kind,
            order: self.id,
            number,
        }
    }
}
