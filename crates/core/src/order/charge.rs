//! What is known to have moved for one attempt, and the steps that move it.
//!
//! Each number only grows by facts, and sums are read from the numbers, never kept. So it does not matter in which order facts come:
//! a return may be heard before the approval it returns. Amounts are minor units of the order's currency; sums are wider than amounts.

use serde::{Deserialize, Serialize};

use super::Case;
use crate::decline::Decline;
use crate::money::Money;
use crate::time::Timestamp;

/// What is known to have moved for one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Charge {
    /// Taken together with the approval, or received in parts (push rails). For a payout: paid out.
    #[serde(skip_serializing_if = "is_zero")]
    pub sold: i64,
    /// Held at the approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The rail said that the hold is gone, perhaps before we knew of a hold.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// Captures of ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub captures: Vec<Step>,
    /// Voids of ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub voids: Vec<Step>,
    /// Increments of ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub increments: Vec<Step>,
    /// Refunds of ours; `last` marks the refund of a surplus.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Step>,
    /// Captured at the provider's console.
    #[serde(skip_serializing_if = "is_zero")]
    pub captured_elsewhere: i64,
    /// Given back, of what was held, at the provider's console.
    #[serde(skip_serializing_if = "is_zero")]
    pub voided_elsewhere: i64,
    /// Refunded at the provider's console.
    #[serde(skip_serializing_if = "is_zero")]
    pub refunded_elsewhere: i64,
    /// What of that failed after all, and is with us again.
    #[serde(skip_serializing_if = "is_zero")]
    pub refunded_elsewhere_back: i64,
    /// Taken back by the payer's bank, by facts of their own.
    #[serde(skip_serializing_if = "is_zero")]
    pub returned: i64,
    /// Taken back by the payer's bank, as a standing of the authorise step.
    #[serde(skip_serializing_if = "is_zero")]
    pub sale_back: i64,
    /// What cancels and reversals moved back.
    #[serde(skip_serializing_if = "is_zero")]
    pub undone: i64,
    /// What of that came to us again.
    #[serde(skip_serializing_if = "is_zero")]
    pub undone_back: i64,
    /// What a person saw go back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenBack>,
    /// Disputes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disputes: Vec<Dispute>,
    /// What the provider charged for all this, one sum a currency.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fees: Vec<Money>,
    /// When money was taken for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
}

/// What a person saw at the provider of money that went back. The provider may tell of the same money before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SeenBack {
    /// By undoes and at the console in all, with what came to us again of it.
    pub in_all: i64,
    /// What of it undoes had sent back. None: one was out, and nobody knew what it had done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<i64>,
}

/// Money that is reserved at the payer's bank.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// What was approved.
    pub amount: i64,
    /// When.
    pub at: Timestamp,
    /// When the rail lets go of it, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// Our deadline has passed: use it or give it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
    /// The moment of the terms to capture has passed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub capture_due: bool,
    /// Nothing of it is left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// One money action on a hold or on captured money.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    /// What was asked.
    pub amount: Money,
    /// A capture: nothing more will be taken. A refund: it gives a surplus back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
    /// When it was asked for. A snapshot of an older release leaves it to the events ([`super::Order::date`]).
    #[serde(default, skip_serializing_if = "is_untold")]
    pub asked_at: Timestamp,
    /// How it stands.
    pub state: StepState,
    /// Since when.
    pub since: Timestamp,
    /// It is a case for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Case>,
}

/// How a step stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// A message is out, or will be.
    Sent,
    /// The provider takes its time, and said so.
    Pending,
    /// Nobody knows.
    Uncertain,
    /// A known no.
    Declined(Decline),
    /// It was done, and perhaps taken back.
    Done {
        /// What moved.
        moved: i64,
        /// What of that was taken back later.
        #[serde(default, skip_serializing_if = "is_zero")]
        back: i64,
    },
}

/// A dispute by the payer's bank. A second round is a new dispute with its own id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dispute {
    /// Counted from 0 over the whole order, in the order in which they were heard of.
    pub number: u8,
    /// The provider's id.
    pub id: String,
    /// How much was taken from us when it was opened; nothing if that was never heard.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub opened: i64,
    /// When it was first heard of.
    #[serde(default)]
    pub heard_at: Timestamp,
    /// How it stands.
    pub verdict: Verdict,
    /// When the verdict was first heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// How much was lost for good.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: i64,
}

/// How a dispute stands: `Open < Won | Lost`. The verdict may be heard first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Undecided; the provider has taken the money.
    Open,
    /// For us: the money is back.
    Won,
    /// Against us.
    Lost,
}

pub(crate) fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_untold(at: &Timestamp) -> bool {
    *at == Timestamp::default()
}

impl Step {
    pub(crate) fn new(amount: Money, last: bool, at: Timestamp) -> Self {
        Self {
            amount,
            last,
            asked_at: at,
            state: StepState::Sent,
            since: at,
            case: None,
        }
    }

    pub(crate) fn stands(&mut self, state: StepState, at: Timestamp) {
        self.state = state;
        self.since = at;
        self.case = None;
    }

    /// Whether nobody wrote down when it was asked for.
    pub(crate) fn is_undated(&self) -> bool {
        is_untold(&self.asked_at)
    }

    /// Whether its end is not known.
    pub fn in_flight(&self) -> bool {
        match self.state {
            StepState::Sent | StepState::Pending | StepState::Uncertain => true,
            StepState::Declined(_) | StepState::Done { .. } => false,
        }
    }

    /// Why it was refused, if it was.
    pub fn declined(&self) -> Option<&Decline> {
        match &self.state {
            StepState::Declined(decline) => Some(decline),
            StepState::Sent | StepState::Pending | StepState::Uncertain | StepState::Done { .. } => None,
        }
    }

    /// What moved, and what of that came back.
    pub fn moved(&self) -> (i64, i64) {
        match self.state {
            StepState::Done { moved, back } => (moved, back),
            StepState::Sent | StepState::Pending | StepState::Uncertain | StepState::Declined(_) => (0, 0),
        }
    }
}

fn sum(steps: &[Step], of: impl Fn(&Step) -> i64) -> i128 {
    steps.iter().map(|step| i128::from(of(step))).sum()
}

impl Charge {
    /// Whether nothing is known to have moved, and nothing was tried.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Held in all, with increments, without what was given back at the console.
    pub fn granted(&self) -> i128 {
        let held = self.hold.as_ref().map_or(0, |hold| i128::from(hold.amount));
        held + sum(&self.increments, |step| step.moved().0) - i128::from(self.voided_elsewhere)
    }

    /// Still held, as far as we know.
    pub fn held(&self) -> i128 {
        match &self.hold {
            Some(hold) if !hold.closed => (self.granted() - self.captured()).max(0),
            Some(_) | None => 0,
        }
    }

    /// Taken out of a hold: by captures of ours and at the console.
    pub fn captured(&self) -> i128 {
        sum(&self.captures, |step| step.moved().0) + i128::from(self.captured_elsewhere)
    }

    /// Taken in all, as it was said.
    pub fn heard(&self) -> i128 {
        i128::from(self.sold) + self.captured()
    }

    /// What captures that were taken back moved.
    pub fn captures_back(&self) -> i128 {
        sum(&self.captures, |step| step.moved().1)
    }

    /// Back with the payer without a refund of ours: undone, returned, taken back, refunded at the console.
    pub fn went_back(&self) -> i128 {
        self.undone() + self.returned() + self.captures_back() + self.refunded_elsewhere()
    }

    /// Refunded at the provider's console, without what came back to us. What a person saw and nobody else has told yet was done there.
    pub fn refunded_elsewhere(&self) -> i128 {
        i128::from(self.refunded_elsewhere) - i128::from(self.refunded_elsewhere_back) + self.untold()
    }

    /// What a person saw go back, and the provider has not told. An undo that was started later is not what they saw.
    fn untold(&self) -> i128 {
        let Some(seen) = self.seen else { return 0 };
        let undone = seen.undone.unwrap_or(i64::MAX).min(self.undone);
        (i128::from(seen.in_all) - i128::from(undone) - i128::from(self.refunded_elsewhere)).max(0)
    }

    /// What undoes and console refunds sent back, without what came to us again: what a person sees at the provider.
    pub(crate) fn sent_back(&self) -> i128 {
        self.undone() + self.refunded_elsewhere()
    }

    /// What of undoes and console refunds came to us again.
    pub(crate) fn back_again(&self) -> i128 {
        i128::from(self.undone_back) + i128::from(self.refunded_elsewhere_back)
    }

    /// What cancels and reversals moved back for good.
    pub fn undone(&self) -> i128 {
        i128::from(self.undone) - i128::from(self.undone_back)
    }

    /// What the payer's bank took back.
    pub fn returned(&self) -> i128 {
        i128::from(self.returned) + i128::from(self.sale_back)
    }

    /// The largest of what came back in one way: at least so much must have gone in, even if that was not heard yet. Ways are not added,
    /// because a payer may get the same money back twice (refund and dispute). Nor are console refunds that failed counted: the same money
    /// goes out again in the next one.
    pub fn came_back(&self) -> i128 {
        i128::from(self.undone)
            .max(self.returned())
            .max(self.refunded_elsewhere())
            .max(self.disputed())
    }

    /// Refunded by us, without what came back to us.
    pub fn refunded(&self) -> i128 {
        sum(&self.refunds, |step| step.moved().0) - sum(&self.refunds, |step| step.moved().1)
    }

    /// Reserved for refunds in flight.
    pub fn refunding(&self) -> i128 {
        sum(
            &self.refunds,
            |step| if step.in_flight() { step.amount.minor() } else { 0 },
        )
    }

    /// In disputes that are open.
    pub fn dispute_open(&self) -> i128 {
        let open = |dispute: &&Dispute| dispute.verdict == Verdict::Open;
        self.disputes
            .iter()
            .filter(open)
            .map(|dispute| i128::from(dispute.opened))
            .sum()
    }

    /// Lost in disputes.
    pub fn dispute_lost(&self) -> i128 {
        self.disputes.iter().map(|dispute| i128::from(dispute.lost)).sum()
    }

    /// In disputes that are open or lost.
    pub fn disputed(&self) -> i128 {
        self.dispute_open() + self.dispute_lost()
    }

    /// The one capture, void or increment that is in flight.
    pub fn hold_step(&self) -> Option<&Step> {
        let steps = self.captures.iter().chain(&self.voids).chain(&self.increments);
        steps.into_iter().find(|step| step.in_flight())
    }
}
