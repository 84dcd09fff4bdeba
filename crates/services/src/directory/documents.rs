//! The documents themselves: each is the body of one [`florin_store::Record`], as JSON.

use std::collections::{BTreeMap, BTreeSet};

use florin_core::id::{ConnectionId, CustomerId, EndpointId, KeyId, MerchantId, MethodId};
use florin_core::time::Timestamp;
use florin_store::{Mode, Tenant};
use serde::{Deserialize, Serialize};

/// Who is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merchant {
    /// Its id.
    pub id: MerchantId,
    /// What payers read.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An API key. Its secret is shown once and stored as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its name.
    pub id: KeyId,
    /// What it opens.
    pub tenant: Tenant,
    /// What it is for, in the merchant's words.
    pub label: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the secret, in hex: the record's alias.
    pub hash: String,
    /// The first characters, for people to tell keys apart: `sk_test_a1b2`.
    pub hint: String,
    /// When it stops working, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read everything of the tenant.
    Read,
    /// Make, pay, capture, void and cancel orders.
    Pay,
    /// Give money back.
    Refund,
    /// Customers, methods, connections, endpoints, keys.
    Manage,
}

/// A merchant's account at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Its id; part of its hook address `/hooks/{connection}`.
    pub id: ConnectionId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The rail's name.
    pub rail: String,
    /// Where the provider is.
    pub base: String,
    /// Names of its secrets in the configuration: the rail's word (`api_key`, `webhook_secret`) to the configuration's name. Never values.
    pub secrets: BTreeMap<String, String>,
    /// Words of them that the configuration gave to this merchant alone when the connection was made: a secret of the same name that is
    /// everybody's never stands in for one of these.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub own: BTreeSet<String>,
    /// Anything else the rail's sheet asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The one that is used when a call names none: one of a tenant's at most.
    pub default: bool,
    /// Whether new attempts may use it.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Who pays, as the merchant knows them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The merchant's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The merchant's own names and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// What a door keeps in its own shape.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub door: BTreeMap<String, serde_json::Value>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[customer {}]", self.id)
    }
}

/// A stored method: a token at a provider and what people may see of it. Never a card number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// Its id.
    pub id: MethodId,
    /// Whose it is; none until it is attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// The rail that knows the token.
    pub rail: String,
    /// The provider's token, or the name of a test method.
    pub token: String,
    /// `visa`, `mastercard`, …
    pub brand: String,
    /// The last four digits.
    pub last4: String,
    /// Month of expiry, 1 to 12.
    pub exp_month: u8,
    /// Year of expiry, four digits.
    pub exp_year: u16,
    /// What a door keeps in its own shape (billing details).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub door: BTreeMap<String, serde_json::Value>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Where a merchant wants its webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The address.
    pub url: String,
    /// Names it wants; empty: all. `order.*` is every name that starts so.
    pub events: Vec<String>,
    /// What the merchant calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// In whose words it is told.
    pub dialect: Dialect,
    /// Its secrets, newest first, sealed under the root key; two while rotating. Base64.
    pub secrets: Vec<Sealed>,
    /// Whether it is told anything.
    pub enabled: bool,
    /// What a door keeps in its own shape.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub door: BTreeMap<String, serde_json::Value>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// In whose words an endpoint is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Our own events, signed by Standard Webhooks.
    Florin,
    /// Stripe's events and `Stripe-Signature`.
    Stripe,
}

/// A secret that has to be read back: AES-256-GCM under the root key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Nonce and sealed bytes, base64.
    pub sealed: String,
    /// When it stops being used for signing, if a newer one replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Tenants that a merchant has.
pub fn tenants_of(merchant: MerchantId) -> [Tenant; 2] {
    [
        Tenant {
            merchant,
            mode: Mode::Test,
        },
        Tenant {
            merchant,
            mode: Mode::Live,
        },
    ]
}
