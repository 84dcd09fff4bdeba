//! `product`: what is sold. A document of this door alone.

use std::collections::BTreeMap;

use florin_core::time::Timestamp;
use florin_services::directory::Document;
use florin_store::Mode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seconds;

/// A product.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::stripe_compat) struct Product {
    pub(in crate::stripe_compat) id: String,
    pub(in crate::stripe_compat) name: String,
    pub(in crate::stripe_compat) active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) default_price: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::stripe_compat) images: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::stripe_compat) features: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::stripe_compat) metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) shippable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) statement_descriptor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) unit_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::stripe_compat) url: Option<String>,
    pub(in crate::stripe_compat) created_at: Timestamp,
    pub(in crate::stripe_compat) updated_at: Timestamp,
}

impl Document for Product {
    const KIND: &'static str = "stripe_product";
    const CACHED: bool = false;

    fn id(&self) -> String {
        self.id.clone()
    }
}

impl Product {
    pub(in crate::stripe_compat) fn shape(&self, mode: Mode) -> Value {
        let features: Vec<Value> = self.features.iter().map(|name| json!({ "name": name })).collect();
        json!({
            "id": self.id,
            "object": "product",
            "active": self.active,
            "created": seconds(self.created_at),
            "default_price": self.default_price,
            "description": self.description,
            // Required until 2024, and called `marketing_features` since.
            "features": features,
            "images": self.images,
            "livemode": mode == Mode::Live,
            "marketing_features": features,
            "metadata": self.metadata,
            "name": self.name,
            "package_dimensions": null,
            "shippable": self.shippable,
            "statement_descriptor": self.statement_descriptor,
            "tax_code": null,
            "type": "service",
            "unit_label": self.unit_label,
            "updated": seconds(self.updated_at),
            "url": self.url,
        })
    }
}
