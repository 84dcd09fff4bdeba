//! The parts of Stripe's objects that we read. Everything else is ignored; a part that has another type makes the reply unclear.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use florin_core::money::Money;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::money;

/// An id, or the object itself where the request asked for it (`expand[]`).
#[derive(Clone, Debug)]
pub(super) enum Expandable<T> {
    Id(String),
    Object(Box<T>),
}

// By hand: a derived `untagged` reads everything into a tree first, which costs more than all else that is done with a reply.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Expandable<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Expandable<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id or an object")
            }

            fn visit_str<E>(self, id: &str) -> Result<Self::Value, E> {
                Ok(Expandable::Id(id.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                let object = T::deserialize(MapAccessDeserializer::new(members))?;
                Ok(Expandable::Object(Box::new(object)))
            }
        }

        from.deserialize_any(Either(PhantomData))
    }
}

impl<T: Identified> Expandable<T> {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Object(object) => object.id(),
        }
    }
}

/// Has an id.
pub(super) trait Identified {
    fn id(&self) -> &str;
}

impl Identified for Intent {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Identified for Named {
    fn id(&self) -> &str {
        &self.id
    }
}

impl<T> Expandable<T> {
    pub(super) fn object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(object),
        }
    }
}

/// What an object says that it is. Its other members are not read: whoever knows the kind reads them, and a body that breaks off or is no
/// JSON does not read then.
pub(super) fn kind(body: &[u8]) -> Option<String> {
    struct Kind<'a>(&'a mut Option<String>);

    impl<'de> Visitor<'de> for Kind<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of Stripe's")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
            while let Some(name) = members.next_key::<Cow<'de, str>>()? {
                if name == "object" {
                    *self.0 = Some(members.next_value()?);
                    return Ok(());
                }
                members.next_value::<IgnoredAny>()?;
            }
            Ok(())
        }
    }

    let mut found = None;
    let mut from = serde_json::Deserializer::from_slice(body);
    // It stops in the middle of the object, and the reader of JSON says so.
    let _stopped = from.deserialize_map(Kind(&mut found));
    found
}

/// A `checkout.session`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Session {
    pub id: String,
    pub status: Option<String>,
    pub payment_status: Option<String>,
    pub url: Option<String>,
    pub expires_at: Option<i64>,
    pub payment_intent: Option<Expandable<Intent>>,
}

/// A `payment_intent`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Intent {
    pub id: String,
    pub status: String,
    pub amount_received: Option<i64>,
    pub amount_capturable: Option<i64>,
    pub currency: String,
    pub metadata: Option<BTreeMap<String, String>>,
    pub last_payment_error: Option<Problem>,
    pub next_action: Option<NextAction>,
    pub latest_charge: Option<Expandable<Charge>>,
    pub cancellation_reason: Option<String>,
}

impl Intent {
    pub(super) fn money(&self, amount: i64) -> Option<Money> {
        money::from_wire(amount, &self.currency)
    }

    pub(super) fn charge(&self) -> Option<&Charge> {
        self.latest_charge.as_ref().and_then(Expandable::object)
    }

    pub(super) fn note(&self, name: &str) -> Option<&str> {
        note(self.metadata.as_ref(), name)
    }
}

/// What the payer must do.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NextAction {
    pub redirect_to_url: Option<RedirectToUrl>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RedirectToUrl {
    pub url: Option<String>,
}

/// A `charge`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Charge {
    pub id: String,
    pub status: Option<String>,
    pub amount: i64,
    pub amount_captured: Option<i64>,
    pub captured: Option<bool>,
    pub balance_transaction: Option<Expandable<BalanceTransaction>>,
    pub refunds: Option<List<Refund>>,
    pub payment_method_details: Option<MethodDetails>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct MethodDetails {
    pub card: Option<CardDetails>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CardDetails {
    /// When the hold ends.
    pub capture_before: Option<i64>,
}

/// A `balance_transaction`: what moved on our account at Stripe, and what Stripe took for it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct BalanceTransaction {
    pub id: String,
    pub fee: i64,
    pub currency: String,
}

/// A `refund`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Refund {
    pub id: String,
    pub status: Option<String>,
    pub amount: i64,
    pub currency: String,
    pub metadata: Option<BTreeMap<String, String>>,
    pub failure_reason: Option<String>,
    pub balance_transaction: Option<Expandable<BalanceTransaction>>,
}

impl Refund {
    pub(super) fn money(&self) -> Option<Money> {
        money::from_wire(self.amount, &self.currency)
    }

    pub(super) fn note(&self, name: &str) -> Option<&str> {
        note(self.metadata.as_ref(), name)
    }
}

/// A `dispute`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Dispute {
    pub id: String,
    pub status: String,
    pub reason: Option<String>,
    pub amount: i64,
    pub currency: String,
    pub balance_transactions: Option<Vec<BalanceTransaction>>,
}

/// A list. `object` tells it from everything else that has `data`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct List<T> {
    pub data: Vec<T>,
    pub has_more: bool,
}

/// `{"error": …}`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ErrorBody {
    pub error: Problem,
}

/// What an error says, also of the last try of an intent.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub code: Option<String>,
    pub decline_code: Option<String>,
    pub payment_intent: Option<Expandable<Named>>,
}

/// Only the name of an object.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Named {
    pub id: String,
}

fn note<'a>(metadata: Option<&'a BTreeMap<String, String>>, name: &str) -> Option<&'a str> {
    metadata?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kind_of_an_object_is_known_without_reading_the_rest() {
        for (body, kind) in [
            (
                r#"{"id":"pi_1","object":"payment_intent","amount":1}"#,
                Some("payment_intent"),
            ),
            (r#"{"amount":{"object":"inner"},"object":"list"}"#, Some("list")),
            (r#"{"id":"pi_1","object":"payment_intent","amo"#, Some("payment_intent")),
            (r#"{"id":"pi_1"}"#, None),
            (r#"{"object":7}"#, None),
            (r#"["object","list"]"#, None),
            ("", None),
        ] {
            assert_eq!(super::kind(body.as_bytes()).as_deref(), kind, "{body}");
        }
    }
}
