//! Florin's objects, as far as the shop reads them. Members that it does not know are none of its business, and a word that it
//! does not know is [`Status::Unknown`], never an error: the API may grow.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A list of the API.
#[derive(Deserialize)]
pub(crate) struct List<T> {
    pub(crate) data: Vec<T>,
    #[serde(default)]
    pub(crate) has_more: bool,
}

/// What is to be paid.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) reference: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) payment_order_status: Status,
    #[serde(default)]
    pub(crate) uncertain: bool,
    /// What a person should look at.
    #[serde(default)]
    pub(crate) attention: Vec<String>,
    #[serde(default)]
    pub(crate) deliverable: bool,
    #[serde(default)]
    pub(crate) amount_captured: i64,
    #[serde(default)]
    pub(crate) amount_refunded: i64,
    #[serde(default)]
    pub(crate) amount_disputed: i64,
    /// Never written down by the shop: whoever has the address has the payment page.
    #[serde(default, skip_serializing)]
    pub(crate) next_action: Option<NextAction>,
    #[serde(default)]
    pub(crate) last_attempt: Option<Attempt>,
    pub(crate) version: u64,
}

/// `payment_order_status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Created,
    RequiresAction,
    Processing,
    Authorized,
    PartiallyCaptured,
    Captured,
    PartiallyRefunded,
    Refunded,
    Failed,
    Canceled,
    Expired,
    Verified,
    #[serde(other)]
    Unknown,
}

/// What the payer has to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct NextAction {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) url: Option<String>,
}

/// One try to pay.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) id: String,
    pub(crate) status: AttemptStatus,
    #[serde(default)]
    pub(crate) uncertain: bool,
    #[serde(default)]
    pub(crate) method: Option<String>,
    #[serde(default)]
    pub(crate) rail: Option<String>,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    #[serde(default)]
    pub(crate) decline: Option<Decline>,
    #[serde(default)]
    pub(crate) provider_reference: Option<String>,
    pub(crate) created_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AttemptStatus {
    Processing,
    RequiresAction,
    Succeeded,
    Declined,
    Canceled,
    Reversed,
    #[serde(other)]
    Unknown,
}

/// Why a provider said no.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Decline {
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: Option<String>,
}

/// A fact about an order.
#[derive(Clone, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) sequence: u64,
    pub(crate) created_at: Timestamp,
}

/// One movement in the books: the same amount on both sides.
#[derive(Clone, Deserialize)]
pub(crate) struct LedgerEntry {
    pub(crate) template: String,
    pub(crate) debit: Account,
    pub(crate) credit: Account,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) phase: String,
    pub(crate) created_at: Timestamp,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Account {
    pub(crate) account: String,
}

/// One event on its way to one webhook endpoint.
#[derive(Clone, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) endpoint: String,
    pub(crate) event: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: DeliveryStatus,
    #[serde(default)]
    pub(crate) attempts: Vec<Knock>,
    #[serde(default)]
    pub(crate) next_try_at: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryStatus {
    Pending,
    Succeeded,
    Failed,
    #[serde(other)]
    Unknown,
}

/// One try to deliver.
#[derive(Clone, Deserialize)]
pub(crate) struct Knock {
    pub(crate) at: Timestamp,
    #[serde(default)]
    pub(crate) status_code: Option<u16>,
    #[serde(default)]
    pub(crate) duration_ms: Option<u64>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// Where webhooks go. The secret is told once, when the endpoint is made or its secret rotated.
#[derive(Deserialize)]
pub(crate) struct WebhookEndpoint {
    pub(crate) id: String,
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) secret: Option<String>,
}

/// The body of a webhook.
#[derive(Deserialize)]
pub(crate) struct Notice {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) sequence: u64,
    #[serde(default)]
    pub(crate) data: NoticeBody,
}

#[derive(Default, Deserialize)]
pub(crate) struct NoticeBody {
    #[serde(default)]
    pub(crate) order: Option<Order>,
}

/// RFC 9457.
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
pub(crate) struct Problem {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) fix: String,
    #[serde(default)]
    pub(crate) request_id: String,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn order(reference: &str, status: Status) -> Order {
        Order {
            id: "ord_00000000000000000000000001".into(),
            reference: reference.into(),
            amount: 1650,
            currency: "EUR".into(),
            payment_order_status: status,
            uncertain: false,
            attention: Vec::new(),
            deliverable: false,
            amount_captured: 0,
            amount_refunded: 0,
            amount_disputed: 0,
            next_action: None,
            last_attempt: None,
            version: 1,
        }
    }

    #[test]
    fn a_word_of_tomorrow_is_unknown_and_not_an_error() {
        let text = r#"{"id":"ord_1","reference":"A","amount":1,"currency":"EUR","payment_order_status":"teleported",
            "version":1,"last_attempt":{"id":"att_1","status":"queued","amount":1,"currency":"EUR",
            "created_at":"2026-11-21T10:00:00Z","colour":"blue"},"colour":"red"}"#;
        let order: Order = serde_json::from_str(text).unwrap();
        assert_eq!(order.payment_order_status, Status::Unknown);
        assert_eq!(order.last_attempt.unwrap().status, AttemptStatus::Unknown);
    }

    #[test]
    fn the_address_of_the_payment_page_is_never_written_down() {
        let mut order = order("A", Status::RequiresAction);
        order.next_action = Some(NextAction {
            kind: "redirect".into(),
            url: Some("http://pay/secret".into()),
        });
        assert!(!serde_json::to_string(&order).unwrap().contains("secret"));
    }
}
