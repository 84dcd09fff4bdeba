//! What the provider keeps, and how it shows it.

use std::collections::BTreeMap;

use florin_core::id::Key;
use florin_core::time::Timestamp;
use serde_json::{Value, json};

use super::Provider;

/// What a payment costs the merchant: a fixed part, and one in a hundred.
const FEE: i64 = 25;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    RequiresMethod,
    RequiresAction,
    RequiresCapture,
    Succeeded,
    Canceled,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::RequiresMethod => "requires_payment_method",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

pub(super) struct Intent {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) created: Timestamp,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) manual: bool,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) status: Status,
    pub(super) error: Option<&'static str>,
    pub(super) charge: Option<Charge>,
    pub(super) return_url: String,
}

impl Intent {
    /// The merchant's name for it.
    pub(super) fn key(&self) -> Option<Key> {
        self.metadata.get("florin_key")?.parse().ok()
    }
}

pub(super) struct Charge {
    pub(super) id: String,
    pub(super) amount: i64,
    pub(super) captured: i64,
    pub(super) was_captured: bool,
    pub(super) canceled: bool,
    pub(super) hold_until: Timestamp,
}

pub(super) struct Session {
    pub(super) id: String,
    pub(super) status: &'static str,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) manual: bool,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) reference: String,
    pub(super) intent: Option<String>,
    pub(super) expires_at: Timestamp,
}

pub(super) struct Refund {
    pub(super) id: String,
    pub(super) intent: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) status: &'static str,
    pub(super) metadata: BTreeMap<String, String>,
}

impl Refund {
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "refund", "status": self.status, "amount": self.amount, "currency": self.currency,
            "payment_intent": self.intent, "metadata": self.metadata, "failure_reason": null,
            "balance_transaction": format!("txn_{}", self.id),
        })
    }
}

pub(super) struct Dispute {
    pub(super) id: String,
    pub(super) intent: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) status: &'static str,
}

impl Dispute {
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "dispute", "status": self.status, "amount": self.amount, "currency": self.currency,
            "payment_intent": self.intent, "balance_transactions": [],
        })
    }
}

impl Provider {
    pub(super) fn intent_json(&self, intent: &Intent) -> Value {
        let charge = intent.charge.as_ref().map(|charge| self.charge_json(intent, charge));
        let next_action = (intent.status == Status::RequiresAction).then(|| {
            json!({"type": "redirect_to_url", "redirect_to_url": {
                "url": format!("{}/challenge/{}", self.base, intent.id), "return_url": intent.return_url,
            }})
        });
        let error = intent
            .error
            .map(|code| json!({"type": "card_error", "code": code, "decline_code": code}));
        json!({
            "id": intent.id, "object": "payment_intent", "status": intent.status.word(),
            "amount": intent.amount, "currency": intent.currency,
            "amount_received": intent.charge.as_ref().map_or(0, |charge| charge.captured),
            "amount_capturable": match intent.status {
                Status::RequiresCapture => intent.charge.as_ref().map_or(0, |charge| charge.amount),
                Status::RequiresMethod | Status::RequiresAction | Status::Succeeded | Status::Canceled => 0,
            },
            "created": intent.created.seconds(), "metadata": intent.metadata, "last_payment_error": error,
            "next_action": next_action, "latest_charge": charge, "cancellation_reason": null,
        })
    }

    fn charge_json(&self, intent: &Intent, charge: &Charge) -> Value {
        let mut refunds: Vec<Value> = (self.refunds.values())
            .filter(|refund| refund.intent == intent.id)
            .map(|refund| refund.json())
            .collect();
        let let_go = charge.amount - charge.captured;
        // The part of a hold that was not taken is shown as a refund that moved nothing.
        if charge.was_captured && let_go > 0 || charge.canceled {
            refunds.push(json!({
                "id": format!("re_{}", charge.id), "object": "refund", "status": "succeeded",
                "amount": let_go, "currency": intent.currency, "metadata": {}, "balance_transaction": null,
            }));
        }
        let transaction = charge.was_captured.then(|| {
            json!({"id": format!("txn_{}", charge.id), "object": "balance_transaction",
                   "fee": FEE + charge.captured / 100, "currency": intent.currency})
        });
        json!({
            "id": charge.id, "object": "charge", "status": "succeeded", "amount": charge.amount,
            "amount_captured": charge.captured, "captured": charge.was_captured, "balance_transaction": transaction,
            "refunds": {"object": "list", "data": refunds, "has_more": false},
            "payment_method_details": {"type": "card", "card": {"capture_before": charge.hold_until.seconds()}},
        })
    }

    pub(super) fn session_json(&self, session: &Session) -> Value {
        let intent = session.intent.as_ref().and_then(|id| self.intents.get(id));
        let paid = intent.is_some_and(|intent| intent.status == Status::Succeeded);
        json!({
            "id": session.id, "object": "checkout.session", "status": session.status,
            "payment_status": if paid { "paid" } else { "unpaid" },
            "url": (session.status == "open").then(|| format!("{}/pay/{}", self.base, session.id)),
            "expires_at": session.expires_at.seconds(), "client_reference_id": session.reference,
            "metadata": session.metadata, "payment_intent": intent.map(|intent| self.intent_json(intent)),
        })
    }
}
