//! Why the issuer says what it says: one word for people, one ISO 8583 response code (DE39) for machines.

use serde::{Deserialize, Serialize};

/// Why an authorisation or an operation got its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It was done.
    Approved,
    /// The card wants 3-D Secure first (status `challenge`).
    AuthenticationRequired,
    /// 3-D Secure was tried and the payer failed it.
    AuthenticationFailed,
    /// The directory could not be asked, so nobody could be authenticated.
    AuthenticationUnavailable,
    /// No reason given.
    GenericDecline,
    /// Not enough money.
    InsufficientFunds,
    /// Reported lost.
    LostCard,
    /// Reported stolen.
    StolenCard,
    /// Past its date.
    ExpiredCard,
    /// The security code does not fit.
    IncorrectCvc,
    /// The issuer's system had a fault; nothing was authorised.
    ProcessingError,
    /// No such number.
    IncorrectNumber,
    /// Over a limit of the card.
    CardVelocityExceeded,
    /// Looks like fraud.
    Fraudulent,
    /// More than a response can hold, or than a step allows.
    InvalidAmount,
    /// More than is still held.
    ExceedsAuthorized,
    /// More than was captured and not given back or disputed.
    ExceedsCaptured,
    /// Declined, challenged, captured in full or canceled: nothing is held any more.
    NotOpen,
    /// Nothing was captured, so nothing can be refunded or disputed.
    NotCaptured,
    /// There is no open dispute.
    NotDisputed,
    /// A dispute is open already.
    AlreadyDisputed,
    /// The refund was sent and came back: the account behind the card is closed.
    AccountClosed,
}

impl Reason {
    /// The response code, as in DE39 of an ISO 8583 answer.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Approved => "00",
            Reason::AuthenticationRequired | Reason::AuthenticationFailed => "1A",
            Reason::GenericDecline | Reason::AuthenticationUnavailable => "05",
            Reason::InsufficientFunds => "51",
            Reason::LostCard => "41",
            Reason::StolenCard => "43",
            Reason::ExpiredCard => "54",
            Reason::IncorrectCvc => "N7",
            Reason::ProcessingError => "96",
            Reason::IncorrectNumber => "14",
            Reason::CardVelocityExceeded => "61",
            Reason::Fraudulent => "59",
            Reason::InvalidAmount | Reason::ExceedsAuthorized | Reason::ExceedsCaptured => "13",
            Reason::NotOpen | Reason::NotCaptured | Reason::NotDisputed | Reason::AlreadyDisputed => "12",
            Reason::AccountClosed => "46",
        }
    }
}
