//! `customer`: a customer of the directory.

use florin_services::directory::Customer;
use florin_store::Mode;
use serde_json::{Value, json};

use super::{address, seconds, shipping};

/// The `customer`.
pub(in crate::stripe_compat) fn shape(customer: &Customer, mode: Mode) -> Value {
    let door = |name: &str| customer.door.get(name);
    let given_address = door("address");
    json!({
        "id": customer.id.to_string(),
        "object": "customer",
        "address": given_address.map(|given| address(Some(given))),
        "balance": 0,
        "created": seconds(customer.created_at),
        "currency": null,
        "default_source": null,
        "delinquent": false,
        "description": customer.description,
        "discount": null,
        "email": customer.email,
        "invoice_prefix": null,
        "invoice_settings": {
            "custom_fields": null,
            "default_payment_method": null,
            "footer": null,
            "rendering_options": null,
        },
        "livemode": mode == Mode::Live,
        "metadata": customer.metadata,
        "name": customer.name,
        "next_invoice_sequence": 1,
        "phone": customer.phone,
        "preferred_locales": door("preferred_locales").cloned().unwrap_or_else(|| json!([])),
        "shipping": shipping(door("shipping")),
        "tax_exempt": "none",
        "test_clock": null,
    })
}

/// What is left of one that was deleted.
pub(in crate::stripe_compat) fn deleted(id: &str, object: &str) -> Value {
    json!({ "id": id, "object": object, "deleted": true })
}
