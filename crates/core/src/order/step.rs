//! The name of one money action of an order: which attempt, what kind, the how-manieth. Twelve bits, so that it fits a provider's key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Attempts of one order (`order-machine.md` 6). Four bits of a step's code.
pub const ATTEMPTS_MAX: u8 = 15;
/// From this version on an order is not described anew: every version keeps its description.
pub const DESCRIBED_VERSION_MAX: u32 = 250;
/// Captures of one order.
pub const CAPTURES_MAX: u8 = 32;
/// Voids that may be tried, each after a known refusal of the one before.
pub const VOIDS_MAX: u8 = 16;
/// Increments of one hold.
pub const INCREMENTS_MAX: u8 = 8;
/// Refunds of one order.
pub const REFUNDS_MAX: u8 = 64;
/// Reversals of one attempt: the engine tries twice, then a person decides.
pub const REVERSALS_MAX: u8 = 8;
/// Cancels of one attempt.
pub const CANCELS_MAX: u8 = 8;

/// What a step does at the rail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    /// Ask the payer's bank: a hold, a sale, a check of the card, a payout.
    Authorize,
    /// "The payer may no longer approve this."
    Cancel,
    /// "Make sure nothing of this attempt stands."
    Reverse,
    /// Take money that is held.
    Capture,
    /// Give the hold back.
    Void,
    /// Hold more, or longer.
    Increment,
    /// Give money back.
    Refund,
}

/// Kind, word in a step's text, first code, count.
const KINDS: [(StepKind, &str, u16, u8); 7] = [
    (StepKind::Authorize, "auth", 0, 1),
    (StepKind::Cancel, "can", 8, CANCELS_MAX),
    (StepKind::Reverse, "rev", 16, REVERSALS_MAX),
    (StepKind::Increment, "inc", 32, INCREMENTS_MAX),
    (StepKind::Void, "void", 48, VOIDS_MAX),
    (StepKind::Capture, "cap", 64, CAPTURES_MAX),
    (StepKind::Refund, "ref", 128, REFUNDS_MAX),
];

/// One money action: `1/auth/0`, `1/cap/2`, `2/ref/0`. A new one is made only after a known decline of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepName {
    /// The attempt it belongs to, counted from 1.
    pub attempt: u8,
    /// What it does.
    pub kind: StepKind,
    /// The how-manieth of its kind, counted from 0. Captures, voids and refunds are counted over the whole order.
    pub index: u8,
}

impl StepName {
    /// The authorise step of an attempt.
    pub const fn authorize(attempt: u8) -> Self {
        Self {
            attempt,
            kind: StepKind::Authorize,
            index: 0,
        }
    }

    /// A step of an attempt.
    pub const fn new(attempt: u8, kind: StepKind, index: u8) -> Self {
        Self { attempt, kind, index }
    }

    /// Four bits for the attempt, eight for kind and index.
    pub fn code(self) -> u16 {
        (u16::from(self.attempt) << 8) | (self.row().2 + u16::from(self.index))
    }

    fn row(self) -> (StepKind, &'static str, u16, u8) {
        KINDS
            .into_iter()
            .find(|row| row.0 == self.kind)
            .expect("every kind has a row")
    }

    /// The step that has this code, if one has.
    pub fn from_code(code: u16) -> Option<Self> {
        let attempt = u8::try_from(code >> 8)
            .ok()
            .filter(|attempt| *attempt <= ATTEMPTS_MAX)?;
        let low = code & 0xff;
        KINDS
            .into_iter()
            .find(|(_, _, base, count)| (*base..base + u16::from(*count)).contains(&low))
            .map(|(kind, _, base, _)| Self {
                attempt,
                kind,
                index: u8::try_from(low - base).unwrap_or(0),
            })
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.attempt, self.row().1, self.index)
    }
}

/// A text that names no step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a step such as `1/auth/0`, `1/cap/2` or `1/ref/0`")]
pub struct StepError(String);

impl FromStr for StepName {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Self, StepError> {
        let parse = || {
            let mut parts = text.split('/');
            let attempt = parts.next()?.parse().ok().filter(|attempt| *attempt <= ATTEMPTS_MAX)?;
            let word = parts.next()?;
            let (kind, _, _, count) = KINDS.into_iter().find(|row| row.1 == word)?;
            let index = parts.next()?.parse().ok().filter(|index| *index < count)?;
            parts.next().is_none().then_some(Self { attempt, kind, index })
        };
        parse().ok_or_else(|| StepError(text.chars().take(32).collect()))
    }
}

impl Serialize for StepName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (mut attempt, mut index) = (itoa::Buffer::new(), itoa::Buffer::new());
        let pieces = [
            attempt.format(self.attempt),
            "/",
            self.row().1,
            "/",
            index.format(self.index),
        ];
        crate::short::serialize(&pieces, to)
    }
}

impl<'de> Deserialize<'de> for StepName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
