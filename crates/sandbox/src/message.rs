//! What the issuer is asked and what it answers. The JSON of the protocol is the JSON of these types.

use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::cards::{DisputeReason, TestCard};
use crate::entry::{Authentication, AuthorizationId, Currency, DisputeId, Key, NoticeId, Operation, Text};
use crate::reason::Reason;

/// Asks for an authorisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorize {
    /// The caller's name for this request.
    pub key: Key,
    /// Which card.
    pub card: &'static TestCard,
    /// How much, in minor units; nothing only to see whether a card is good.
    pub amount: i64,
    /// In which currency.
    pub currency: Currency,
    /// Capture it at once.
    pub capture: bool,
    /// What became of 3-D Secure.
    pub three_ds: Authentication,
    /// The merchant's words.
    pub description: Option<Text>,
}

/// Asks for a step on an authorisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operate {
    /// The caller's name for this request.
    pub key: Key,
    /// On which authorisation.
    pub authorization: AuthorizationId,
    /// What to do.
    pub step: Step,
    /// The caller's own name of what this is for: a refund that ends later is told of by it.
    pub reference: Option<Text>,
}

/// What to do with an authorisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Move this much of what is held; the last capture lets go of the rest.
    Capture {
        /// How much.
        amount: i64,
        /// Whether it is the last.
        last: bool,
    },
    /// Let go of what is held.
    Cancel,
    /// Give this much back.
    Refund {
        /// How much.
        amount: i64,
    },
    /// Take this much back on behalf of the cardholder.
    Dispute {
        /// How much.
        amount: i64,
    },
    /// End the dispute.
    CloseDispute {
        /// For the merchant, or against.
        won: bool,
    },
}

/// The answer to [`Authorize`]: what was decided then. A repeat of the key gets the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authorized {
    /// The issuer's name for it.
    pub id: AuthorizationId,
    /// The caller's.
    pub key: Key,
    /// What was decided.
    pub status: Status,
    /// How much was asked for.
    pub amount: i64,
    /// In which currency.
    pub currency: Currency,
    /// How much was captured at once.
    pub captured: i64,
    /// Response code.
    pub code: &'static str,
    /// What the code means.
    pub reason: Reason,
    /// The network's name for it.
    pub network_transaction_id: Text,
    /// The key was known: nothing happened now.
    pub replayed: bool,
}

/// What was decided about an authorisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The amount is held (or captured).
    Approved,
    /// No.
    Declined,
    /// Authenticate, then ask again under another key.
    Challenge,
}

/// The answer to [`Operate`]: what was done then. A repeat of the key gets the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operated {
    /// The authorisation.
    pub id: AuthorizationId,
    /// What was asked for.
    pub operation: Operation,
    /// Under which key.
    pub key: Key,
    /// What became of it.
    pub status: Progress,
    /// How much moved (for a cancel: was let go).
    pub moved: i64,
    /// In which currency.
    pub currency: Currency,
    /// Response code.
    pub code: &'static str,
    /// What the code means.
    pub reason: Reason,
    /// The key was known: nothing happened now.
    pub replayed: bool,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Money moved, or was let go.
    Done,
    /// Taken on, not done yet (a refund that pends).
    Pending,
    /// Nothing moved.
    Refused,
    /// It was done, and came back.
    Failed,
}

/// An authorisation as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// The issuer's name for it.
    pub id: AuthorizationId,
    /// The caller's.
    pub key: Key,
    /// What was decided.
    pub status: Status,
    /// Something is still held.
    pub open: bool,
    /// Which card.
    pub card: &'static TestCard,
    /// Whether capture at once was asked for.
    pub capture: bool,
    /// What became of 3-D Secure.
    pub three_ds: Authentication,
    /// How much was asked for.
    pub amount: i64,
    /// In which currency.
    pub currency: Currency,
    /// What moved since.
    #[serde(flatten)]
    pub sums: Sums,
    /// Response code.
    pub code: &'static str,
    /// What the code means.
    pub reason: Reason,
    /// The network's name for it.
    pub network_transaction_id: Text,
    /// The merchant's words.
    pub description: Option<Text>,
    /// When it was decided.
    pub created_at: Timestamp,
    /// The steps since, in order, as they stand now.
    pub operations: Vec<Operated>,
    /// What the cardholder disputes, in order, as it stands now.
    pub disputes: Vec<Dispute>,
}

/// A dispute as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Dispute {
    /// The issuer's name for it.
    pub id: DisputeId,
    /// How much the cardholder took back.
    pub amount: i64,
    /// Why.
    pub reason: DisputeReason,
    /// How it stands.
    pub status: DisputeStatus,
}

/// How a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// The cardholder has the money; nobody has decided.
    Open,
    /// The merchant got it back.
    Won,
    /// The cardholder keeps it.
    Lost,
}

/// What the issuer tells of its own accord: something happened to an authorisation after everybody was answered.
///
/// It says what to look at, and no amounts: whoever is told asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Its name, the same each time it is told.
    pub id: NoticeId,
    /// What happened.
    pub kind: Happened,
    /// To which authorisation.
    pub authorization: AuthorizationId,
    /// To which step of it, by the caller's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// And by the caller's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Text>,
    /// When.
    pub at: Timestamp,
}

/// What is told of. Inquiries and fraud warnings move nothing and stand in the book only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// A capture is disputed.
    Disputed,
    /// A dispute ended for the merchant.
    DisputeWon,
    /// A dispute ended against the merchant.
    DisputeLost,
    /// A refund that pended is done.
    Refunded,
    /// A refund that was done came back.
    RefundFailed,
}

/// What moved, of one authorisation or of many, in minor units of one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Approved, whether or not it is still held.
    pub authorized: i128,
    /// Moved to the merchant.
    pub captured: i128,
    /// Let go.
    pub released: i128,
    /// Moved back to the payer and stayed there.
    pub refunded: i128,
    /// On its way back to the payer.
    pub refund_pending: i128,
    /// Taken back by the cardholder: dispute open or lost.
    pub disputed: i128,
}

/// What is known under a key, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Found {
    /// The key made an authorisation.
    Authorization(Box<View>),
    /// The key was a step.
    Operation(Operated),
}

/// One authorisation's line in the totals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Which authorisation.
    pub authorization: AuthorizationId,
    /// Under whose key.
    pub key: Key,
    /// Which card.
    pub card: &'static TestCard,
    /// In which currency.
    pub currency: Currency,
    /// What was decided.
    pub status: Status,
    /// What moved.
    #[serde(flatten)]
    pub sums: Sums,
}

/// A page of totals, oldest first, and the sums over everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// One line for each authorisation.
    pub data: Vec<Total>,
    /// There are more after the last one.
    pub has_more: bool,
    /// Over all authorisations, by currency.
    pub currencies: BTreeMap<Currency, Sums>,
}

/// Why a request got no answer of its kind. Each says whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The caller's: the same key with another body.
    #[error("key `{0}` was used for another request; a new request needs a new key")]
    KeyReused(String),
    /// The caller's: there is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The caller's: the request makes no sense.
    #[error("{0}")]
    Misuse(String),
    /// Ours: too much at once.
    #[error("the issuer has more requests waiting than it takes; try again in a second")]
    Busy,
    /// Ours: the book is as long as it may get.
    #[error("the issuer's book holds {0} entries, as many as it takes; start with another data directory")]
    Full(u64),
    /// Ours: the book could not be written, so nothing is acknowledged.
    #[error(
        "the issuer stopped: {0}; make room on its disk, or mend that and start it again: it goes on where its book ends"
    )]
    Stopped(String),
}
