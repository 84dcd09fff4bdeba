//! An order as doors see it: the machine's state, what it is for, and what was learned at providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use florin_core::id::CustomerId;
use florin_core::order::{Order, StepName};
use florin_core::rail::{Line, Memo};
use florin_store::Tenant;
use serde::{Deserialize, Serialize};

/// An order as it stood at one version.
#[derive(Clone, Debug)]
pub struct View {
    /// Whose it is.
    pub tenant: Tenant,
    /// The merchant's name for it.
    pub reference: String,
    /// The machine's state.
    pub order: Order,
    /// What it is for.
    pub details: Arc<Details>,
    /// What was learned, by attempt: the provider's ids.
    pub memos: BTreeMap<u8, Memo>,
    /// What was learned in other steps (captures, refunds, …), where it is not about the attempt.
    pub steps: BTreeMap<StepName, Memo>,
}

/// What an order is for: written once with its first event (changes are events of their own), never logged.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// What the payer reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The merchant's customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// E-mail for the receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The merchant's own names and values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// What is bought.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    /// Where the payer goes when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// Where the payer goes when they leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_url: Option<String>,
    /// What opens the payer's page without a key: 128 random bits or more, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// What a door keeps with the order in its own shape (a Checkout Session's parameters), as that door wrote it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub door: BTreeMap<String, serde_json::Value>,
}

impl std::fmt::Debug for Details {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[details]")
    }
}
