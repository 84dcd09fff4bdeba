//! What may be asked of an order, what may be told to it, and why it may refuse.
//!
//! Commands may be refused, facts never. A command whose step id exists with the same body answers as before.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::StepName;
use crate::decline::Decline;
use crate::id::ConnectionId;
use crate::money::Money;
use crate::rail::{Action, Instrument, What};
use crate::time::Timestamp;

/// What an order is for, fixed when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Terms {
    /// A payment, a check of a card, or money out.
    pub kind: Kind,
    /// What is to be paid.
    pub amount: Money,
    /// When it is taken.
    pub capture: CaptureAt,
    /// A smaller approval makes the order smaller (POS) instead of being reversed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_partial: bool,
    /// The end of the pay window.
    pub expires_at: Timestamp,
    /// How many attempts it allows: a link may allow one. Never more than [`super::ATTEMPTS_MAX`].
    #[serde(default = "every_attempt", skip_serializing_if = "is_every_attempt")]
    pub attempts_max: u8,
}

const fn every_attempt() -> u8 {
    super::ATTEMPTS_MAX
}

fn is_every_attempt(max: &u8) -> bool {
    *max == super::ATTEMPTS_MAX
}

impl Terms {
    /// A payment taken at once, as most are: any number of attempts, no partial approvals.
    pub const fn payment(amount: Money, expires_at: Timestamp) -> Self {
        Self {
            kind: Kind::Payment,
            amount,
            capture: CaptureAt::Once,
            accept_partial: false,
            expires_at,
            attempts_max: every_attempt(),
        }
    }
}

/// What kind of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Money from the payer.
    Payment,
    /// Check the card; the amount is zero.
    Verify,
    /// Money to the payee.
    Credit,
}

/// When an approved payment is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureAt {
    /// Together with the approval, in one message where the rail has one.
    Once,
    /// When the merchant says so, before the hold ends.
    Later,
    /// At this moment, if the merchant has not said so before.
    At(Timestamp),
}

/// One try, as it is planned: where the payer stands, with what, over which rail, and what that rail can do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Plan {
    /// Where the payer stands: `web`, `link`, `api`, …
    pub channel: String,
    /// The word the merchant used for the method: `hosted`, `card_visa`, `met_…`.
    pub method: String,
    /// What the rail is given.
    pub instrument: Instrument,
    /// The merchant's account at the provider.
    pub connection: ConnectionId,
    /// The rail's name.
    pub rail: String,
    /// What is due, and extras (tip, surcharge) of this attempt.
    pub amount: Money,
    /// Of that amount, what this attempt added to what is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extras: Option<Money>,
    /// Who started it.
    pub initiator: Initiator,
    /// What the rail can do, read from its table when the attempt starts, so that the machine needs no table.
    pub can: Abilities,
}

/// Who started an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initiator {
    /// The payer is there.
    Payer,
    /// The merchant, under a mandate.
    Merchant,
    /// Mail or telephone.
    Moto,
}

/// What the attempt's rail can do, as far as the machine must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Abilities {
    /// Approve and capture in one message.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sale: bool,
    /// Cancel while the payer acts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cancel: bool,
    /// Make sure nothing stands (cancel, void, refund or fence).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reverse: bool,
    /// Reverse a whole sale that is untouched, instead of refunding it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub void_sale: bool,
    /// Take a hold in several parts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub captures: bool,
    /// Hold more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub increment: bool,
    /// Money may come without or beyond an approval (push rails): surplus is refunded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub push: bool,
    /// How long an abandoned attempt may still succeed at the rail, in seconds: how long a stray is watched.
    #[serde(skip_serializing_if = "is_zero")]
    pub stray_s: u32,
    /// Seconds that the payer has for one action; 0: [`super::limits::ACTION_S`].
    #[serde(skip_serializing_if = "is_zero")]
    pub action_s: u32,
    /// Days after which the rail refuses refunds; 0: [`super::limits::REFUND_DAYS`].
    #[serde(skip_serializing_if = "is_zero")]
    pub refund_days: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What is asked of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Start attempt `number` (the next one, from 1).
    Start {
        /// The how-manieth attempt.
        number: u8,
        /// How.
        plan: Arc<Plan>,
    },
    /// The payer did what the attempt's action `action` asked for.
    Continue {
        /// The attempt.
        attempt: u8,
        /// The number of the action that was answered.
        action: u16,
    },
    /// The payer left the attempt, or chose another method.
    Leave {
        /// The attempt.
        attempt: u8,
    },
    /// The merchant wants no payment any more.
    Cancel,
    /// Another amount is due.
    Amend {
        /// What is due now.
        due: Money,
    },
    /// Take money that is held.
    Capture {
        /// The how-manieth capture of the order, from 0.
        index: u8,
        /// How much.
        amount: Money,
        /// Nothing more will be taken: the rest is released.
        last: bool,
    },
    /// Hold more; by 0 holds longer.
    Increment {
        /// The how-manieth increment, from 0.
        index: u8,
        /// How much more.
        by: Money,
    },
    /// Give the hold back; or undo a sale that is whole and untouched.
    Void,
    /// Give money back.
    Refund {
        /// The how-manieth refund of the order, from 0.
        index: u8,
        /// How much.
        amount: Money,
    },
    /// Timer: the pay window is over.
    WindowOver,
    /// Timer: the hold must be used or given back now.
    HoldOver,
    /// Timer: the moment of [`CaptureAt::At`] has come.
    CaptureDue,
    /// Timer: the rail's answer to a step that was sent did not come.
    AnswerOver {
        /// The step.
        step: StepName,
    },
    /// Timer: an attempt has waited for its payer for too long; the same as leaving it.
    ActionOver {
        /// The attempt.
        attempt: u8,
    },
    /// Timer: a refused reversal may be tried again now.
    ReverseAgain {
        /// The attempt.
        attempt: u8,
    },
    /// Timer: a stray has been watched for long enough.
    StrayOver {
        /// The attempt.
        attempt: u8,
    },
    /// Timer: a step has been uncertain for too long; a person must look.
    UncertainLong {
        /// The step.
        step: StepName,
    },
    /// What the order is for was described anew: no rule of money asks, but each change of an order is an event with a version.
    Describe,
    /// What the order asks of itself; only [`super::Order::owed`] makes these.
    Owed(Owed),
    /// What a rail or a person says.
    Fact(Fact),
}

/// What an order asks of itself, read from its state after every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owed {
    /// Make sure nothing of this attempt stands.
    Reverse {
        /// The attempt.
        attempt: u8,
    },
    /// The payer may no longer approve this attempt.
    Cancel {
        /// The attempt.
        attempt: u8,
    },
    /// Terms say: take all that is due.
    Capture,
    /// Give the hold back.
    Void,
    /// The hold has gone at the rail, or nothing is left of it: close it.
    CloseHold,
    /// Give back what was paid above what is due.
    RefundSurplus,
    /// A success that came while this attempt was being undone, or money that came in parts: call it paid, or send it back.
    Adopt {
        /// The attempt.
        attempt: u8,
    },
    /// The payer left, and the rail cannot cancel: the attempt is over for us and becomes a stray.
    Leave {
        /// The attempt.
        attempt: u8,
    },
}

/// What is said about an order: never refused. A repeat, or what does not raise the rank of what is known, is acknowledged and ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// How a step of ours stands.
    Answer {
        /// The step.
        step: StepName,
        /// How it stands.
        says: Says,
        /// A person looked it up (`attempts resolve`): their note.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Something that answers no step of ours.
    Happened {
        /// The attempt whose money it is.
        attempt: u8,
        /// The provider's id, for booking it once.
        id: String,
        /// What.
        what: What,
        /// How much.
        money: Money,
    },
}

/// How a step of ours stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// The payer must act.
    Acting {
        /// On this.
        action: Action,
    },
    /// The provider takes its time, and says so.
    Pending,
    /// Nobody knows.
    Uncertain,
    /// It was done.
    Approved {
        /// What was held, taken, voided or refunded, as the provider states it.
        money: Money,
        /// For an authorise step: only held, until then if the provider says so. None: taken at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<HoldEnd>,
        /// Whether the reply stated the amount; if not, `money` is what was asked.
        #[serde(default)]
        stated: bool,
    },
    /// A known no about this step.
    Declined(Decline),
    /// Undone: a cancel or reversal is done, or the rail undid the authorisation itself. `moved` went back.
    Released {
        /// What moved back; zero if nothing stood.
        moved: Money,
    },
    /// Done, and then taken back.
    TakenBack {
        /// How much.
        money: Money,
    },
    /// Nobody to ask any more: a person must look.
    Stuck {
        /// Words for that person.
        why: String,
    },
}

/// When a hold ends at the rail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldEnd {
    /// At this moment.
    At(Timestamp),
    /// The rail did not say.
    Unknown,
}

/// Why the rules say no. All are 409 at the API, but `Conflict` (422).
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// An attempt runs.
    #[error("another attempt of this order is in flight")]
    InFlight,
    /// An attempt won.
    #[error("the order is already paid")]
    AlreadyPaid,
    /// The order has ended.
    #[error("the order is over")]
    OrderOver,
    /// The attempt is not the current one.
    #[error("this attempt is over")]
    AttemptOver,
    /// The payer answered an older action.
    #[error("this action was replaced by a newer one")]
    StaleAction,
    /// Its outcome is unknown and the rail cannot reverse.
    #[error("the outcome of this attempt is uncertain, and the provider cannot reverse it: wait for the outcome")]
    Uncertain,
    /// The rail refused to cancel: the payer was faster.
    #[error("too late: the provider no longer cancels this attempt")]
    TooLate,
    /// An authorised order is voided, not canceled.
    #[error("the order is authorized: void it")]
    UseVoid,
    /// A captured order is refunded, not canceled or voided.
    #[error("the order is captured: refund it")]
    UseRefund,
    /// Nothing is held.
    #[error("nothing is authorized")]
    NotAuthorized,
    /// Nothing was taken.
    #[error("nothing is captured")]
    NotCaptured,
    /// All was taken.
    #[error("the order is already captured")]
    AlreadyCaptured,
    /// A capture, void, increment or voiding of the sale is in flight.
    #[error("another capture, void or increment of this order is in flight")]
    StepInFlight,
    /// The hold has ended.
    #[error("the hold is over")]
    HoldOver,
    /// More than there is, or nothing.
    #[error("{asked} exceeds the {available} that is available")]
    TooMuch {
        /// What was asked.
        asked: Money,
        /// What is there.
        available: Money,
    },
    /// Zero or less was asked.
    #[error("the amount must be more than zero")]
    NotPositive,
    /// Another currency was asked.
    #[error("the order is in another currency")]
    OtherCurrency,
    /// The rail refused to void.
    #[error("the provider refused to void this hold")]
    VoidRefused,
    /// The rail takes no refunds so late.
    #[error("the time in which this payment can be refunded is over")]
    RefundWindowOver,
    /// A limit on counts.
    #[error("this order has too many {0}")]
    TooMany(TooMany),
    /// The same id came with another body.
    #[error("this step exists with another amount or attempt")]
    Conflict,
    /// The rail has no such step.
    #[error("the provider cannot do this")]
    Unsupported,
    /// The attempt was planned for another amount than is due (with its extras).
    #[error("{due} is due now: start the attempt with that amount and its extras")]
    OtherAmount {
        /// What is due.
        due: Money,
    },
}

/// What there are too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooMany {
    /// Fifteen.
    Attempts,
    /// Thirty-two.
    Captures,
    /// Eight.
    Increments,
    /// Sixty-four.
    Refunds,
    /// Sixteen.
    Voids,
    /// An order with 250 versions is not described anew.
    Descriptions,
}

impl std::fmt::Display for TooMany {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Attempts => "attempts",
            Self::Captures => "captures",
            Self::Increments => "increments",
            Self::Refunds => "refunds",
            Self::Voids => "voids",
            Self::Descriptions => "descriptions",
        })
    }
}
