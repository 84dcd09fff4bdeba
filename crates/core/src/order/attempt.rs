//! One try: what was planned, how its authorise step stands, what undoes it, and what moved for it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::limits::REPLACED_MAX;
use super::{Charge, Plan, Step, StepName};
use crate::decline::Decline;
use crate::rail::Action;
use crate::time::Timestamp;

/// One try on one rail. The same record while it runs, when it won and when it is over: facts are booked on the attempt where it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u8,
    /// What was planned.
    pub plan: Arc<Plan>,
    /// When it was started.
    pub started_at: Timestamp,
    /// How its authorise step stands.
    pub standing: Standing,
    /// Since when it stands so.
    pub since: Timestamp,
    /// How many actions the payer was asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub actions: u16,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Fingerprints of those that it replaced: heard again, they are old.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<u64>,
    /// Somebody wants it to be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Leaving>,
    /// The last cancel or reversal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// Reversals that were started.
    #[serde(default, skip_serializing_if = "is_none")]
    pub reversals: u8,
    /// Reversals that were refused.
    #[serde(default, skip_serializing_if = "is_none")]
    pub refusals: u8,
    /// Its authorise step is a case for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Case>,
    /// What is known to have moved for it.
    #[serde(default, skip_serializing_if = "Charge::is_empty")]
    pub charge: Charge,
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

fn is_none(number: &u8) -> bool {
    *number == 0
}

/// How an authorise step stands. Facts only raise it: asked, requires action, pending, declined, approved; a confirmed undo outranks all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A message is out, or will be.
    Sent,
    /// The payer must act.
    Acting,
    /// The provider takes its time, and said so.
    Waiting,
    /// Nobody knows.
    Uncertain,
    /// A known no.
    Declined(Decline),
    /// A known yes. While the attempt is still pending: seen during an undo of ours, booked in suspense and not adopted.
    Approved,
    /// Known to be undone.
    Undone,
}

/// Why an attempt is to be over; the stronger reason wins. The end of the pay window is kept by the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    /// The payer left: another attempt may follow.
    Reopen,
    /// The merchant canceled the order: no money may stay.
    Cancel,
}

/// A cancel or reversal of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Undo {
    /// Which.
    pub name: StepName,
    /// How it stands.
    #[serde(flatten)]
    pub step: Step,
}

/// Why a person must look at a step. It stays as it is until a fact settles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// It was uncertain for too long.
    Long,
    /// The rail has nobody to ask.
    Nobody,
}

/// An attempt that is over for us.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Past {
    /// Which.
    pub attempt: Attempt,
    /// It may still succeed: the rail is asked about it until then. None: quiet, but its facts are still taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_until: Option<Timestamp>,
}

/// In what place an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It runs.
    Current,
    /// It won.
    Winner,
    /// It is over for us.
    Past,
}

/// FNV-1a of what the payer is asked for: it only has to tell a few actions of one attempt apart.
fn fingerprint(action: &Action) -> u64 {
    let Action::Redirect { url } = action;
    url.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl Attempt {
    pub(crate) fn new(number: u8, plan: Arc<Plan>, at: Timestamp) -> Self {
        Self {
            number,
            plan,
            started_at: at,
            standing: Standing::Sent,
            since: at,
            actions: 0,
            action: None,
            replaced: Vec::new(),
            leaving: None,
            undo: None,
            reversals: 0,
            refusals: 0,
            case: None,
            charge: Charge::default(),
        }
    }

    /// The payer is asked for something: what was asked before is old now.
    pub(crate) fn asks_for(&mut self, action: &Action, number: u16) {
        if let Some(old) = self.action.replace(action.clone()).filter(|old| old != action) {
            self.replaced.push(fingerprint(&old));
            if self.replaced.len() > REPLACED_MAX {
                self.replaced.remove(0);
            }
        }
        self.actions = number;
    }

    /// Whether this action was replaced by a newer one.
    pub(crate) fn replaced(&self, action: &Action) -> bool {
        self.action.as_ref() != Some(action) && self.replaced.contains(&fingerprint(action))
    }

    pub(crate) fn stands(&mut self, standing: Standing, at: Timestamp) {
        self.standing = standing;
        self.since = at;
        self.case = None;
    }

    /// Whether a cancel or reversal is under way: a success is not adopted meanwhile.
    pub fn undoing(&self) -> bool {
        self.undo.as_ref().is_some_and(|undo| undo.step.in_flight())
    }

    /// Whether somebody wants it to be over, or it is being undone: the payer is not asked for anything any more.
    pub fn ends(&self) -> bool {
        self.leaving.is_some() || self.undoing()
    }

    /// Whether a cancel or reversal was refused, and nothing was tried since.
    pub fn undo_refused(&self) -> bool {
        self.undo.as_ref().is_some_and(|undo| undo.step.declined().is_some())
    }

    /// Still held at the rail, as far as we know.
    pub fn held(&self) -> i128 {
        if self.standing == Standing::Undone {
            0
        } else {
            self.charge.held()
        }
    }

    /// What went in, as far as we know: what was said, and what must have been there because it came back.
    pub fn taken(&self) -> i128 {
        let implied = self.charge.came_back().min(i128::from(self.plan.amount.minor()));
        // An undo sends back what it finds, and nothing else: a rail that had taken too much says so only here. So does a person.
        let seen = self.charge.seen.map_or(0, |_| self.charge.sent_back());
        self.charge
            .heard()
            .max(implied)
            .max(i128::from(self.charge.undone))
            .max(seen)
    }

    /// The most that one movement of this attempt can be: what was asked, or what came in, if that was more.
    pub(crate) fn most(&self) -> i128 {
        self.taken()
            .max(self.charge.granted())
            .max(i128::from(self.plan.amount.minor()))
    }

    /// What stands with us of this attempt: taken, not undone, returned, refunded or disputed.
    pub fn standing_money(&self) -> i128 {
        self.taken() - self.charge.went_back() - self.charge.refunded() - self.charge.disputed()
    }
}
