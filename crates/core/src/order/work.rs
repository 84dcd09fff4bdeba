//! What the rail is working on for an order, and how each of its steps stands.

use super::{Abilities, Attempt, Case, Kind, Order, Place, Plan, Standing, Step, StepKind, StepName, StepState};
use crate::money::Money;
use crate::rail;
use crate::time::Timestamp;

/// A step that the rail may be working on, or must be asked about.
///
/// The lane compares these with its outbox after each command: new ones are started at the rail, vanished ones are dropped. Strays that
/// are watched are among them (their authorise step is asked about until [`super::Command::StrayOver`]); quiet strays are not, they are
/// only listened to. A reversal is listed until it is answered, also when its attempt turned out to be declined meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenStep<'a> {
    /// Its name.
    pub step: StepName,
    /// What it is to the rail.
    pub task: rail::Step,
    /// How much.
    pub amount: Money,
    /// A capture: nothing more will be taken.
    pub last: bool,
    /// The attempt it belongs to.
    pub plan: &'a Plan,
    /// How it stands.
    pub state: Open,
    /// Since when.
    pub since: Timestamp,
}

/// How an open step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// A message is out, or will be.
    Sent,
    /// The payer must act.
    Acting,
    /// The provider takes its time.
    Pending,
    /// Nobody knows.
    Uncertain,
}

impl Order {
    /// Every step that the rail may be working on or must be asked about, oldest attempt first.
    pub fn in_flight(&self) -> Vec<OpenStep<'_>> {
        let mut open = Vec::new();
        for (place, attempt) in self.attempts() {
            let watched = match place {
                Place::Current => true,
                Place::Winner => false,
                Place::Past => self.watched_until(attempt.number).is_some(),
            };
            if let Some(state) = authorising(&attempt.standing).filter(|_| watched) {
                open.push(OpenStep {
                    step: StepName::authorize(attempt.number),
                    task: self.asks(attempt.plan.can),
                    amount: attempt.plan.amount,
                    last: false,
                    plan: &attempt.plan,
                    state,
                    since: attempt.since,
                });
            }
            open.extend(attempt.steps().filter_map(|(name, step)| opened(attempt, name, step)));
        }
        open
    }

    /// What the authorise step of an attempt is to its rail.
    fn asks(&self, can: Abilities) -> rail::Step {
        match self.terms.kind {
            Kind::Payment if self.sells(can) => rail::Step::Sale,
            Kind::Payment => rail::Step::Authorize,
            Kind::Verify => rail::Step::Verify,
            Kind::Credit => rail::Step::Payout,
        }
    }

    pub(crate) fn watched_until(&self, attempt: u8) -> Option<Timestamp> {
        self.past
            .iter()
            .find(|past| past.attempt.number == attempt)?
            .watched_until
    }

    /// How a step of any kind stands, if it is open, with its case.
    pub fn open_step(&self, name: StepName) -> Option<(Open, Timestamp, Option<Case>)> {
        let (_, attempt) = self.attempt(name.attempt)?;
        match name.kind {
            StepKind::Authorize => authorising(&attempt.standing).map(|open| (open, attempt.since, attempt.case)),
            StepKind::Cancel
            | StepKind::Reverse
            | StepKind::Capture
            | StepKind::Void
            | StepKind::Increment
            | StepKind::Refund => {
                let step = attempt.step(name)?;
                step.open().map(|open| (open, step.since, step.case))
            }
        }
    }
}

/// How an authorise step is open, if it is.
fn authorising(standing: &Standing) -> Option<Open> {
    match standing {
        Standing::Sent => Some(Open::Sent),
        Standing::Acting => Some(Open::Acting),
        Standing::Waiting => Some(Open::Pending),
        Standing::Uncertain => Some(Open::Uncertain),
        Standing::Declined(_) | Standing::Approved | Standing::Undone => None,
    }
}

fn opened<'a>(attempt: &'a Attempt, name: StepName, step: &Step) -> Option<OpenStep<'a>> {
    let task = match name.kind {
        StepKind::Authorize => return None,
        StepKind::Cancel => rail::Step::Cancel,
        StepKind::Reverse => rail::Step::Reverse,
        StepKind::Capture => rail::Step::Capture,
        StepKind::Void => rail::Step::Void,
        StepKind::Increment => rail::Step::Increment,
        StepKind::Refund => rail::Step::Refund,
    };
    Some(OpenStep {
        step: name,
        task,
        amount: step.amount,
        last: step.last,
        plan: &attempt.plan,
        state: step.open()?,
        since: step.since,
    })
}

impl Step {
    /// How it is open, if it is.
    pub fn open(&self) -> Option<Open> {
        match self.state {
            StepState::Sent => Some(Open::Sent),
            StepState::Pending => Some(Open::Pending),
            StepState::Uncertain => Some(Open::Uncertain),
            StepState::Declined(_) | StepState::Done { .. } => None,
        }
    }
}

/// Steps of one kind with their names.
fn named(attempt: u8, kind: StepKind, steps: &[Step]) -> impl Iterator<Item = (StepName, &Step)> {
    steps.iter().enumerate().map(move |(index, step)| {
        let index = u8::try_from(index).unwrap_or(u8::MAX);
        (StepName::new(attempt, kind, index), step)
    })
}

impl Attempt {
    /// Every step after the authorise step, with its name: undo, captures, voids, increments, refunds.
    pub fn steps(&self) -> impl Iterator<Item = (StepName, &Step)> {
        let charge = &self.charge;
        let number = self.number;
        let undo = self.undo.iter().map(|undo| (undo.name, &undo.step));
        undo.chain(named(number, StepKind::Capture, &charge.captures))
            .chain(named(number, StepKind::Void, &charge.voids))
            .chain(named(number, StepKind::Increment, &charge.increments))
            .chain(named(number, StepKind::Refund, &charge.refunds))
    }

    /// The captures, voids, increments or refunds among them.
    pub(crate) fn steps_of(&self, kind: StepKind) -> impl Iterator<Item = (StepName, &Step)> {
        let charge = &self.charge;
        let steps = match kind {
            StepKind::Authorize | StepKind::Cancel | StepKind::Reverse => &[][..],
            StepKind::Capture => &charge.captures,
            StepKind::Void => &charge.voids,
            StepKind::Increment => &charge.increments,
            StepKind::Refund => &charge.refunds,
        };
        named(self.number, kind, steps)
    }

    /// A step after the authorise step.
    pub fn step(&self, name: StepName) -> Option<&Step> {
        let index = usize::from(name.index);
        match name.kind {
            StepKind::Authorize => None,
            StepKind::Cancel | StepKind::Reverse => self
                .undo
                .as_ref()
                .filter(|undo| undo.name == name)
                .map(|undo| &undo.step),
            StepKind::Capture => self.charge.captures.get(index),
            StepKind::Void => self.charge.voids.get(index),
            StepKind::Increment => self.charge.increments.get(index),
            StepKind::Refund => self.charge.refunds.get(index),
        }
    }

    pub(crate) fn step_mut(&mut self, name: StepName) -> Option<&mut Step> {
        let index = usize::from(name.index);
        match name.kind {
            StepKind::Authorize => None,
            StepKind::Cancel | StepKind::Reverse => self
                .undo
                .as_mut()
                .filter(|undo| undo.name == name)
                .map(|undo| &mut undo.step),
            StepKind::Capture => self.charge.captures.get_mut(index),
            StepKind::Void => self.charge.voids.get_mut(index),
            StepKind::Increment => self.charge.increments.get_mut(index),
            StepKind::Refund => self.charge.refunds.get_mut(index),
        }
    }
}
