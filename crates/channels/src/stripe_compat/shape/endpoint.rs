//! `webhook_endpoint`: where a merchant wants Stripe's events.

use florin_services::directory::Endpoint;
use florin_store::Mode;
use serde_json::{Value, json};

use super::seconds;
use crate::stripe_compat::{VERSION, ids};

/// Stripe's word for every event.
pub(in crate::stripe_compat) const EVERY: &str = "*";

/// The `webhook_endpoint`, without its secret.
pub(in crate::stripe_compat) fn shape(endpoint: &Endpoint) -> Value {
    let events = if endpoint.events.is_empty() {
        vec![EVERY.to_owned()]
    } else {
        endpoint.events.clone()
    };
    json!({
        "id": ids::endpoint(endpoint.id),
        "object": "webhook_endpoint",
        "api_version": VERSION,
        "application": null,
        "created": seconds(endpoint.created_at),
        "description": endpoint.description,
        "enabled_events": events,
        "livemode": endpoint.tenant.mode == Mode::Live,
        "metadata": endpoint.door.get("metadata").cloned().unwrap_or_else(|| json!({})),
        "status": if endpoint.enabled { "enabled" } else { "disabled" },
        "url": endpoint.url,
    })
}
