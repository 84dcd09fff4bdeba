//! `payment_method`: a stored method, or the test card that one attempt used.

use florin_core::order::Attempt;
use florin_services::directory::Method;
use florin_store::Mode;
use serde_json::{Value, json};

use super::{CardFace, Scene, Seen, billing, seconds};
use crate::stripe_compat::{cards, ids};

/// A stored method.
pub(in crate::stripe_compat) fn shape(method: &Method, scene: Scene<'_>, mode: Mode) -> Value {
    let face = cards::named(scene.cards, &method.token).map_or_else(|| CardFace::from(method), CardFace::from);
    let face = CardFace {
        exp_month: method.exp_month,
        exp_year: method.exp_year,
        ..face
    };
    json!({
        "id": ids::method(method.id),
        "object": "payment_method",
        "allow_redisplay": method.door.get("allow_redisplay").cloned().unwrap_or_else(|| json!("unspecified")),
        "billing_details": billing(method.door.get("billing_details")),
        "card": card(&face),
        "created": seconds(method.created_at),
        "customer": method.customer.map(|customer| customer.to_string()),
        "customer_account": null,
        "livemode": mode == Mode::Live,
        "metadata": method.door.get("metadata").cloned().unwrap_or_else(|| json!({})),
        "type": "card",
    })
}

/// The method that an attempt used; none if the payer chose it elsewhere.
pub(in crate::stripe_compat) fn used(seen: &Seen<'_>, scene: Scene<'_>, attempt: &Attempt) -> Option<Value> {
    if let Some(stored) = attempt.plan.method.parse().ok().and_then(|id| seen.methods.get(&id)) {
        return Some(shape(stored, scene, seen.view.tenant.mode));
    }
    let face = seen.card_of(scene, attempt)?;
    Some(json!({
        "id": seen.method_of(attempt)?,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing(None),
        "card": card(&face),
        "created": seconds(attempt.started_at),
        "customer": null,
        "customer_account": null,
        "livemode": seen.live(),
        "metadata": {},
        "type": "card",
    }))
}

/// A test card under the name that Stripe publishes for it.
pub(in crate::stripe_compat) fn of_test_card(id: &str, test: cards::Card, scene: Scene<'_>) -> Value {
    json!({
        "id": id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing(None),
        "card": card(&CardFace::from(test)),
        "created": seconds(scene.now),
        "customer": null,
        "customer_account": null,
        "livemode": false,
        "metadata": {},
        "type": "card",
    })
}

fn card(face: &CardFace) -> Value {
    json!({
        "brand": face.brand,
        "checks": face.checks,
        "country": face.country,
        "display_brand": face.brand,
        "exp_month": face.exp_month,
        "exp_year": face.exp_year,
        "fingerprint": face.fingerprint,
        "funding": face.funding,
        "generated_from": null,
        "last4": face.last4,
        "networks": { "available": [face.brand], "preferred": null },
        "regulated_status": null,
        "three_d_secure_usage": { "supported": true },
        "wallet": null,
    })
}
