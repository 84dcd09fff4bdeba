//! What this door keeps with an order in its own shape: what Stripe's objects have and the order machine has no use for.

use std::collections::BTreeMap;

use florin_core::time::Timestamp;
use florin_services::view::Details;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where it lies in [`Details::door`].
const PLACE: &str = "stripe";

/// A PaymentIntent's own things, and those of the Checkout Session that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    /// What stands behind `_secret_` in the client secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) secret: String,
    /// `automatic`, `automatic_async` or `manual`, as the caller wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capture_method: Option<String>,
    /// `manual`, if the caller said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confirmation_method: Option<String>,
    /// The caller named no method types: the door may offer any.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) any_method: bool,
    /// `never`, if the caller said so: shown as it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allow_redirects: Option<String>,
    /// The method that was chosen and not tried yet, by Stripe's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
    /// How many attempts there were when it was chosen.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) method_after: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shipping: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) statement_descriptor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) statement_descriptor_suffix: Option<String>,
    /// Where the payer goes after a challenge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) return_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cancellation_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) canceled_at: Option<Timestamp>,
    /// By the refund's index.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) refunds: BTreeMap<u8, RefundNote>,
    /// What was said about a dispute, by its index.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) disputes: BTreeMap<u8, DisputeNote>,
    /// Charges have metadata of their own once somebody changes it; by the attempt's number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) charges: BTreeMap<u8, BTreeMap<String, String>>,
    /// The page that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<SessionNote>,
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// What a caller said about a refund.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RefundNote {
    /// Names the call that asked for it, so that two calls at once do not take each other's (`florin_services::merge::CALL`).
    #[serde(rename = "\u{1f}call", skip_serializing_if = "String::is_empty")]
    pub(super) call: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
}

/// What a caller said about a dispute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DisputeNote {
    /// By Stripe's names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) evidence: BTreeMap<String, String>,
    /// How often evidence was handed in.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) submissions: u8,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
}

/// A Checkout Session's own things.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SessionNote {
    pub(super) success_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cancel_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_reference_id: Option<String>,
    /// An address that the caller knew already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) customer_email: Option<String>,
    /// The address of its customer when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) known_email: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) lines: Vec<LineNote>,
    /// What the caller said about the page, shown as it was said: `locale`, `submit_type`, ….
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) said: BTreeMap<String, Value>,
}

/// One line of a session. A price that exists is named; one that was written into the line is kept here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LineNote {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    pub(super) quantity: u32,
    /// The price of one, as Stripe writes amounts.
    pub(super) unit_amount: i64,
    /// The price's id, if it exists on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) price: Option<String>,
    /// The product's id, if it exists on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) product: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
    /// What else was said of a product and a price that were written into it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) product_metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) images: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tax_behavior: Option<String>,
}

impl Note {
    /// Whether the merchant confirms again after the payer did something.
    pub(super) fn is_manual(&self) -> bool {
        self.confirmation_method.as_deref() == Some("manual")
    }

    /// The note of an order; an order of another door has an empty one.
    pub(super) fn of(details: &Details) -> Self {
        let kept = details.door.get(PLACE);
        kept.and_then(|kept| serde_json::from_value(kept.clone()).ok())
            .unwrap_or_default()
    }

    /// Puts the note where it lies.
    pub(super) fn keep(&self, details: &mut Details) {
        if let Ok(kept) = serde_json::to_value(self) {
            details.door.insert(PLACE.to_owned(), kept);
        }
    }

    /// The method that was chosen and not tried yet, among `attempts`.
    pub(super) fn chosen(&self, attempts: usize) -> Option<&str> {
        self.method
            .as_deref()
            .filter(|_| usize::from(self.method_after) == attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back_and_another_doors_order_has_an_empty_one() {
        let note = Note {
            secret: "s".into(),
            refunds: BTreeMap::from([(
                3,
                RefundNote {
                    reason: Some("duplicate".into()),
                    ..RefundNote::default()
                },
            )]),
            session: Some(SessionNote {
                lines: vec![LineNote {
                    quantity: 2,
                    ..LineNote::default()
                }],
                ..SessionNote::default()
            }),
            ..Note::default()
        };
        let mut details = Details::default();
        assert_eq!(Note::of(&details), Note::default());
        note.keep(&mut details);
        let stored = serde_json::to_string(&details).unwrap();
        assert_eq!(Note::of(&serde_json::from_str(&stored).unwrap()), note);
    }

    #[test]
    fn a_method_that_was_declined_is_not_chosen_any_more() {
        let note = Note {
            method: Some("pm_card_visa".into()),
            method_after: 1,
            ..Note::default()
        };
        assert_eq!((note.chosen(1), note.chosen(2)), (Some("pm_card_visa"), None));
    }
}
