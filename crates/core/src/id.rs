//! Names of things. Ids are names, not secrets: whatever opens something without a key is random instead.
//!
//! A top-level id is a UUIDv7 in 26 characters of Crockford's base 32 behind a prefix (`ord_…`). What belongs to an order
//! (attempt, refund, event) carries the order's id and a number, so that it is found without an index. At a provider a step is
//! named by its [`Key`]: 26 of `[0-9a-z]`, reversible, so that a notice finds its order without an index either.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

use crate::card;
use crate::order::StepName;

/// Why a text is no id of the kind that was asked for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{given} is not an id of the form {form}")]
pub struct IdError {
    given: String,
    form: &'static str,
}

impl IdError {
    /// A card number that came to the wrong place is not repeated.
    fn new(text: &str, form: &'static str) -> Self {
        let given = match card::holds_number(text) {
            true => "what was given looks like a card number, which belongs in no id: it".to_owned(),
            false => format!("`{}`", text.chars().take(64).collect::<String>()),
        };
        Self { given, form }
    }
}

/// Where new ids come from. The shell gives time-ordered random ones, a simulation gives what it likes.
pub trait Ids {
    /// A new UUID of version 7.
    fn next_uuid(&mut self) -> Uuid;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Gives a UUID this meaning.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID behind the name.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(base32(self.0).as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(from_base32)
                    .map(Self)
                    .ok_or_else(|| IdError::new(text, concat!("`", $prefix, "_` and 26 characters")))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                crate::short::serialize(&[concat!($prefix, "_"), base32(self.0).as_str()], to)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <std::borrow::Cow<'de, str>>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// What is to be paid.
    OrderId = "ord";
    /// Who is paid.
    MerchantId = "mer";
    /// A merchant's account at a provider.
    ConnectionId = "con";
    /// Who pays, as the merchant knows them.
    CustomerId = "cus";
    /// A stored method of a customer: a token at a provider, never a card.
    MethodId = "met";
    /// Where a merchant wants its webhooks.
    EndpointId = "whe";
    /// An API key (its name, not its secret).
    KeyId = "key";
    /// One running server.
    NodeId = "node";
    /// An internal delivery of one event to one endpoint.
    DeliveryId = "del";
}

/// An order and one of its numbered parts: `att_<26><2 digits>` and so on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartId {
    /// What kind of part.
    pub kind: Part,
    /// The order it belongs to.
    pub order: OrderId,
    /// Its number within the order.
    pub number: u16,
}

/// The kinds of parts that have an id of their own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// One try to pay.
    Attempt,
    /// Taking money that is held.
    Capture,
    /// Giving a hold back.
    Void,
    /// Giving money back.
    Refund,
    /// The payer's bank takes it back.
    Dispute,
    /// A fact about the order: its version.
    Event,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Attempt,
        Self::Capture,
        Self::Void,
        Self::Refund,
        Self::Dispute,
        Self::Event,
    ];

    /// What it is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::Event => "event",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Attempt => "att",
            Self::Capture => "cap",
            Self::Void => "voi",
            Self::Refund => "ref",
            Self::Dispute => "dis",
            Self::Event => "evt",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Event => 4,
            Self::Attempt | Self::Capture | Self::Void | Self::Refund | Self::Dispute => 2,
        }
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.kind.digits();
        write!(
            f,
            "{}_{}{:0width$}",
            self.kind.prefix(),
            base32(self.order.uuid()).as_str(),
            self.number
        )
    }
}

impl FromStr for PartId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || {
            IdError::new(
                text,
                "`att_`, `cap_`, `voi_`, `ref_`, `dis_` or `evt_`, 26 characters and a number",
            )
        };
        let (prefix, rest) = text.split_once('_').ok_or_else(wrong)?;
        let kind = Part::ALL
            .into_iter()
            .find(|kind| kind.prefix() == prefix)
            .ok_or_else(wrong)?;
        let (order, number) = rest.split_at_checked(26).ok_or_else(wrong)?;
        let order = OrderId(from_base32(order).ok_or_else(wrong)?);
        if number.len() < kind.digits() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        Ok(Self {
            kind,
            order,
            number: number.parse().map_err(|_| wrong())?,
        })
    }
}

impl Serialize for PartId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut number = itoa::Buffer::new();
        let number = number.format(self.number);
        let zeros = self.kind.digits().saturating_sub(number.len());
        let order = base32(self.order.uuid());
        crate::short::serialize(&[self.kind.prefix(), "_", order.as_str(), &"0000"[..zeros], number], to)
    }
}

impl<'de> Deserialize<'de> for PartId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Names one step of one order at a provider: base 36 of the order's 122 free bits and the step's 12 bits. 26 of `[0-9a-z]`, since
/// `_` is refused in SEPA ids and elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    order: OrderId,
    step: StepName,
}

impl Key {
    /// The name of `step` of `order`.
    pub const fn new(order: OrderId, step: StepName) -> Self {
        Self { order, step }
    }

    /// The order.
    pub const fn order(self) -> OrderId {
        self.order
    }

    /// The step.
    pub const fn step(self) -> StepName {
        self.step
    }

    /// The idempotency key of one exchange of this step: a name-based UUID, because providers refuse one key for two calls.
    pub fn uuid(self, exchange: &str) -> Uuid {
        // UUID version 8 over FNV-1a of (key, exchange): a pure function with no digest crate in `core`; it has to be the same on
        // every node and different for every exchange, not hard to guess.
        let mut halves = [0xcbf2_9ce4_8422_2325_u64, 0x8422_2325_cbf2_9ce4];
        for (at, half) in halves.iter_mut().enumerate() {
            for byte in self
                .order
                .uuid()
                .as_bytes()
                .iter()
                .chain(&self.step.code().to_be_bytes())
                .chain(exchange.as_bytes())
            {
                *half ^= u64::from(*byte).wrapping_add(at as u64);
                *half = half.wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&halves[0].to_be_bytes());
        bytes[8..].copy_from_slice(&halves[1].to_be_bytes());
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 134 bits do not fit u128: the step's 12 bits ride as a digit-wise addition below.
        let free = free_bits(self.order.uuid());
        let mut digits = [0_u32; 26];
        let mut carry_source = free;
        // value = free * 4096 + code, written in base 36 by long arithmetic on the digits of `free`.
        for digit in digits.iter_mut().rev() {
            *digit = u32::try_from(carry_source % 36).expect("a remainder below 36");
            carry_source /= 36;
        }
        let mut carry = u32::from(self.step.code());
        for digit in digits.iter_mut().rev() {
            let value = *digit * 4096 + carry;
            *digit = value % 36;
            carry = value / 36;
        }
        let letters = digits.map(|digit| b"0123456789abcdefghijklmnopqrstuvwxyz"[digit as usize]);
        f.write_str(std::str::from_utf8(&letters).expect("digits and letters are ASCII"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Key {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::new(text, "26 of 0-9 and a-z");
        if text.len() != 26
            || !text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
        {
            return Err(wrong());
        }
        let mut digits: Vec<u32> = text.chars().filter_map(|letter| letter.to_digit(36)).collect();
        let mut rest = 0;
        for digit in &mut digits {
            let value = rest * 36 + *digit;
            *digit = value / 4096;
            rest = value % 4096;
        }
        let mut free: u128 = 0;
        for digit in digits {
            free = free
                .checked_mul(36)
                .and_then(|value| value.checked_add(u128::from(digit)))
                .ok_or_else(wrong)?;
        }
        if free >> 122 != 0 {
            return Err(wrong());
        }
        let step = u16::try_from(rest)
            .ok()
            .and_then(StepName::from_code)
            .ok_or_else(wrong)?;
        Ok(Self {
            order: OrderId(from_free_bits(free)),
            step,
        })
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The 122 bits of a version 7 UUID that are neither version nor variant.
fn free_bits(uuid: Uuid) -> u128 {
    let bits = uuid.as_u128();
    let (time, random_a, random_b) = (bits >> 80, (bits >> 64) & 0xfff, bits & 0x3fff_ffff_ffff_ffff);
    (time << 74) | (random_a << 62) | random_b
}

fn from_free_bits(free: u128) -> Uuid {
    let (time, random_a, random_b) = (free >> 74, (free >> 62) & 0xfff, free & 0x3fff_ffff_ffff_ffff);
    Uuid::from_u128((time << 80) | (0x7 << 76) | (random_a << 64) | (0b10 << 62) | random_b)
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

struct Base32([u8; 26]);

impl Base32 {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }
}

fn base32(uuid: Uuid) -> Base32 {
    let mut bits = uuid.as_u128();
    let mut text = [0; 26];
    for letter in text.iter_mut().rev() {
        *letter = ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
    Base32(text)
}

fn from_base32(text: &str) -> Option<Uuid> {
    if text.len() != 26 {
        return None;
    }
    let mut bits: u128 = 0;
    for (at, byte) in text.bytes().enumerate() {
        let value = ALPHABET.iter().position(|letter| *letter == byte)?;
        if at == 0 && value > 7 {
            return None; // 26 letters hold 130 bits, a UUID 128
        }
        bits = (bits << 5) | value as u128;
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v7(bits: u128) -> Uuid {
        from_free_bits(bits >> 6)
    }

    proptest! {
        #[test]
        fn every_id_reads_back(bits: u128, number in 0u16..100) {
            let order = OrderId::from_uuid(v7(bits));
            prop_assert_eq!(order.to_string().parse::<OrderId>(), Ok(order));
            for kind in Part::ALL {
                let part = PartId { kind, order, number };
                prop_assert_eq!(part.to_string().parse::<PartId>(), Ok(part));
            }
        }

        #[test]
        fn every_key_reads_back_and_is_26_of_0_to_z(bits: u128, code in 0u16..4096) {
            if let Some(step) = StepName::from_code(code) {
                prop_assert_eq!(step.code(), code);
                let key = Key::new(OrderId::from_uuid(v7(bits)), step);
                let text = key.to_string();
                prop_assert_eq!(text.len(), 26);
                prop_assert_eq!(text.parse::<Key>(), Ok(key));
            }
        }

        #[test]
        fn no_text_breaks_the_parsers(text in ".{0,40}") {
            let _ = text.parse::<OrderId>();
            let _ = text.parse::<PartId>();
            let _ = text.parse::<Key>();
        }
    }

    #[test]
    fn two_exchanges_of_a_step_have_two_idempotency_keys() {
        let order = OrderId::from_uuid(v7(7));
        let first = Key::new(order, StepName::authorize(1));
        let second = Key::new(order, StepName::authorize(2));
        assert_ne!(first.uuid("intent"), first.uuid("capture"));
        assert_ne!(first.uuid("intent"), second.uuid("intent"));
        assert_eq!(first.uuid("intent"), first.uuid("intent"));
    }
}
