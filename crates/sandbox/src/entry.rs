//! What the book holds: one entry for each thing that happened, and the small values entries are made of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::cards::{DisputeReason, TestCard};
use crate::reason::Reason;

/// One line of the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the book: 1, 2, 3, …
    pub seq: u64,
    /// When it happened, by the issuer's clock.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// To which authorisation.
    pub authorization: AuthorizationId,
    /// Under whose key; what happens by itself (a dispute by a test card) has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The caller's own name of what the request is for, if it sent one: notices about it say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Text>,
    /// With which card.
    pub card: &'static TestCard,
    /// How much, in minor units of the currency; for `refused`, how much was asked for.
    pub amount: i64,
    /// In which currency.
    pub currency: Currency,
    /// The next entry belongs to the same request: a book that ends here ends before this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// The amount is held.
    Authorized(Asked),
    /// The card was declined; nothing is held.
    Declined(Asked),
    /// The payer has to authenticate first; nothing is held.
    Challenged(Asked),
    /// Money moved to the merchant.
    Captured {
        /// No further capture will come.
        #[serde(rename = "final")]
        last: bool,
        /// What this let go of the rest.
        released: i64,
    },
    /// What was still held was let go.
    Canceled,
    /// A refund was taken on and is not done yet.
    RefundPending,
    /// Money moved back to the payer.
    Refunded,
    /// A refund that had been done came back: the money is the merchant's again.
    RefundFailed {
        /// Why.
        reason: Reason,
    },
    /// A step was refused; nothing moved.
    Refused {
        /// Which step.
        operation: Operation,
        /// For a capture: whether it was to be the last.
        #[serde(rename = "final", default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
        /// For the end of a dispute: whether the merchant was to win it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        won: bool,
        /// Why.
        reason: Reason,
        /// Its response code.
        code: ResponseCode,
    },
    /// The cardholder took the money back from the merchant.
    Disputed {
        /// Why.
        reason: DisputeReason,
    },
    /// The merchant got it back.
    DisputeWon,
    /// The cardholder keeps it.
    DisputeLost,
    /// The cardholder's bank asked about a capture; nothing moved.
    Inquired,
    /// The issuer warned of fraud; nothing moved.
    FraudWarned,
    /// Whoever is told of what happens later has acknowledged the notice of an entry; nothing moved.
    Acknowledged {
        /// The `seq` of the entry that the notice was about.
        notice: u64,
    },
}

/// What was asked of the issuer by an authorisation, and what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Capture at once.
    pub capture: bool,
    /// What became of 3-D Secure before.
    pub three_ds: Authentication,
    /// The merchant's words, as they were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Why the answer is what it is.
    pub reason: Reason,
    /// Its response code.
    pub code: ResponseCode,
    /// The network's name for the transaction.
    pub network_transaction_id: Text,
}

/// What became of 3-D Secure before the authorisation was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// It was not tried.
    #[default]
    None,
    /// The payer passed.
    Passed,
    /// The payer failed or gave up.
    Failed,
}

/// A step on an authorisation that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Move what is held.
    Capture,
    /// Let go of what is held.
    Cancel,
    /// Give back.
    Refund,
    /// Take back on behalf of the cardholder (by hand, for tests).
    Dispute,
    /// End a dispute (by hand, for tests).
    CloseDispute,
}

/// A response code as it stands in the book: known by its reason, kept for readers that know only DE39.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResponseCode(pub std::borrow::Cow<'static, str>);

impl From<Reason> for ResponseCode {
    fn from(reason: Reason) -> Self {
        ResponseCode(reason.code().into())
    }
}

/// Text that is held once and handed on often.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Arc<str>);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for Text {
    fn from(text: T) -> Self {
        Text(text.into())
    }
}

impl Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Text::from)
    }
}

/// The caller's name for a request: the same one twice is the same request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Key(Text);

/// Longest key: providers take 64 to 255; a name longer than this is an accident.
pub const KEY_BYTES_MAX: usize = 64;

impl Key {
    /// A key from the outside: 1 to 64 visible ASCII characters.
    pub fn parse(text: &str) -> Option<Key> {
        let fits = (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Key(Text::from(text)))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Key::parse(&text).ok_or_else(|| serde::de::Error::custom("`key` must be 1 to 64 visible ASCII characters"))
    }
}

/// The issuer's name for an authorisation: `iss_000001`, counted in the order of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuthorizationId(pub u32);

impl AuthorizationId {
    /// Reads what [`std::fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<AuthorizationId> {
        let number = text.strip_prefix("iss_")?.parse().ok()?;
        let id = AuthorizationId(number);
        (number > 0 && id.to_string() == text).then_some(id)
    }
}

impl std::fmt::Display for AuthorizationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "iss_{:06}", self.0)
    }
}

impl Serialize for AuthorizationId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AuthorizationId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        AuthorizationId::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("an authorisation is called like iss_000001"))
    }
}

/// The issuer's name for a dispute: `dsp_000012`, after the entry that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DisputeId(pub u64);

impl Serialize for DisputeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("dsp_{:06}", self.0))
    }
}

/// The issuer's name for a notice: `ntc_000012`, after the entry that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoticeId(pub u64);

impl Serialize for NoticeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("ntc_{:06}", self.0))
    }
}

/// Three upper-case letters; which of them exist is not the issuer's business.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// A currency from the outside.
    pub fn parse(text: &str) -> Option<Currency> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Currency(letters))
    }

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII letters only")
    }
}

impl std::fmt::Debug for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Currency::parse(&text).ok_or_else(|| serde::de::Error::custom("`currency` must be three upper-case letters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keys_and_currencies_are_read_strictly() {
        assert_eq!(AuthorizationId::parse("iss_000012"), Some(AuthorizationId(12)));
        assert_eq!(AuthorizationId::parse("iss_1234567"), Some(AuthorizationId(1_234_567)));
        for text in [
            "iss_12",
            "iss_000000",
            "iss_+00012",
            "ord_000012",
            "iss_",
            "iss_99999999999",
        ] {
            assert_eq!(AuthorizationId::parse(text), None, "{text}");
        }
        assert!(Key::parse("a").is_some() && Key::parse(&"k".repeat(64)).is_some());
        for text in ["", "two words", "tab\t", "ключ", &"k".repeat(65)] {
            assert_eq!(Key::parse(text), None, "{text}");
        }
        assert!(Currency::parse("EUR").is_some());
        for text in ["eur", "EU", "EURO", "E1R", "€"] {
            assert!(Currency::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_entry_reads_back_what_it_wrote() {
        let line = r#"{"seq":7,"at":"2026-11-21T10:00:00.25Z","kind":"captured","final":true,"released":5,"authorization":"iss_000003","key":"k","card":"card_visa","amount":100,"currency":"EUR"}"#;
        let entry: Entry = serde_json::from_str(line).expect("an entry");
        assert_eq!(
            entry.what,
            What::Captured {
                last: true,
                released: 5
            }
        );
        assert_eq!(serde_json::to_string(&entry).expect("serialises"), line);
    }
}
