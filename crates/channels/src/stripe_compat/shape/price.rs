//! `price`: what one of a product costs. A document of this door alone: the core sells orders, not catalogues.

use std::collections::BTreeMap;

use florin_core::time::Timestamp;
use florin_services::directory::Document;
use florin_store::{Mode, Tenant};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seconds;

/// A price.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::stripe_compat) struct Price {
    pub(in crate::stripe_compat) id: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) tenant: Option<Tenant>,
    pub(in crate::stripe_compat) product: String,
    pub(in crate::stripe_compat) active: bool,
    /// In lower case.
    pub(in crate::stripe_compat) currency: String,
    /// As Stripe writes amounts.
    pub(in crate::stripe_compat) unit_amount: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) nickname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) lookup_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) tax_behavior: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::stripe_compat) metadata: BTreeMap<String, String>,
    /// How often it is due. Kept and shown; nothing here can be bought with it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) recurring: Option<Recurring>,
    pub(in crate::stripe_compat) created_at: Timestamp,
}

/// How often a price is due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::stripe_compat) struct Recurring {
    pub(in crate::stripe_compat) interval: String,
    pub(in crate::stripe_compat) interval_count: i64,
}

impl Document for Price {
    const KIND: &'static str = "stripe_price";
    const CACHED: bool = false;

    fn id(&self) -> String {
        self.id.clone()
    }

    /// One price has a lookup key.
    fn alias(&self) -> Option<String> {
        Some(alias(self.tenant?, self.lookup_key.as_deref()?))
    }

    fn parent(&self) -> Option<String> {
        Some(self.product.clone())
    }
}

/// Under which name the price with a lookup key is kept.
pub(in crate::stripe_compat) fn alias(tenant: Tenant, lookup_key: &str) -> String {
    let mode = match tenant.mode {
        Mode::Test => "test",
        Mode::Live => "live",
    };
    format!("{} {mode} {lookup_key}", tenant.merchant)
}

impl Price {
    pub(in crate::stripe_compat) fn shape(&self, mode: Mode) -> Value {
        let recurring = self.recurring.as_ref().map(|recurring| {
            json!({
                "interval": recurring.interval,
                "interval_count": recurring.interval_count,
                "meter": null,
                "trial_period_days": null,
                "usage_type": "licensed",
            })
        });
        json!({
            "id": self.id,
            "object": "price",
            "active": self.active,
            "billing_scheme": "per_unit",
            "created": seconds(self.created_at),
            "currency": self.currency,
            "custom_unit_amount": null,
            "livemode": mode == Mode::Live,
            "lookup_key": self.lookup_key,
            "metadata": self.metadata,
            "nickname": self.nickname,
            "product": self.product,
            "recurring": recurring,
            "tax_behavior": self.tax_behavior.as_deref().unwrap_or("unspecified"),
            "tiers_mode": null,
            "transform_quantity": null,
            "type": if self.recurring.is_some() { "recurring" } else { "one_time" },
            "unit_amount": self.unit_amount,
            "unit_amount_decimal": self.unit_amount.to_string(),
        })
    }
}
