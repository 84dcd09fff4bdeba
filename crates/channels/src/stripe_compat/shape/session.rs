//! `checkout.session`: an order whose payer is sent to a page of ours.

use florin_core::order::Phase;
use serde_json::{Value, json};

use super::{Scene, Seen, amount, seconds};
use crate::stripe_compat::note::{LineNote, SessionNote};
use crate::stripe_compat::{ids, money};

/// Where the page of a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stripe_compat) enum Stands {
    /// Somebody may pay.
    Open,
    /// Somebody paid, or the money is held.
    Complete,
    /// Nobody can pay any more.
    Expired,
}

impl Stands {
    pub(in crate::stripe_compat) fn of(seen: &Seen<'_>) -> Self {
        match &seen.order().phase {
            _ if seen.is_paid() => Self::Complete,
            Phase::Created | Phase::Pending(_) => Self::Open,
            Phase::Authorized(_) | Phase::Captured(_) => Self::Complete,
            Phase::Ended(_) => Self::Expired,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Expired => "expired",
        }
    }
}

/// The page's address.
pub(in crate::stripe_compat) fn url(seen: &Seen<'_>, scene: Scene<'_>) -> Option<String> {
    let token = seen.view.details.page_token.as_deref()?;
    Some(format!("{}/c/pay/{token}", scene.origin))
}

/// The `checkout.session` of an order that has one.
pub(in crate::stripe_compat) fn shape(seen: &Seen<'_>, scene: Scene<'_>) -> Option<Value> {
    let session = seen.note.session.as_ref()?;
    let (order, details) = (seen.order(), &seen.view.details);
    let stands = Stands::of(seen);
    let taken = order.winner().is_some_and(|winner| winner.charge.heard() > 0);
    let total = amount(order.terms.amount);
    let said = |name: &str| session.said.get(name).cloned().unwrap_or(Value::Null);
    let emails = [&session.customer_email, &session.known_email, &details.email];
    let email = emails.into_iter().flatten().next();
    let customer_details = (email.is_some() || stands == Stands::Complete).then(|| {
        json!({
            "address": null,
            "business_name": null,
            "email": email,
            "individual_name": null,
            "name": null,
            "phone": null,
            "tax_exempt": "none",
            "tax_ids": null,
        })
    });
    Some(json!({
        "id": ids::session(order.id, seen.view.tenant.mode),
        "object": "checkout.session",
        "adaptive_pricing": { "enabled": false },
        "after_expiration": null,
        "allow_promotion_codes": null,
        "allowed_payment_method_types": null,
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
        "billing_address_collection": said("billing_address_collection"),
        "cancel_url": session.cancel_url,
        "client_reference_id": session.client_reference_id,
        "client_secret": null,
        "collected_information": null,
        "consent": null,
        "consent_collection": null,
        "created": seconds(order.created_at),
        "currency": money::code(order.terms.amount.currency()),
        "currency_conversion": null,
        "custom_fields": [],
        "custom_text": { "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null },
        "customer": details.customer.map(|customer| customer.to_string()),
        "customer_account": null,
        "customer_creation": said("customer_creation"),
        "customer_details": customer_details,
        "customer_email": session.customer_email,
        "discounts": [],
        "expires_at": seconds(order.terms.expires_at),
        "integration_identifier": null,
        "invoice": null,
        "invoice_creation": { "enabled": false, "invoice_data": {
            "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null, "issuer": null, "metadata": {},
            "rendering_options": null,
        } },
        "livemode": seen.live(),
        "locale": said("locale"),
        "managed_payments": null,
        "metadata": session.metadata,
        "mode": "payment",
        "origin_context": null,
        "payment_intent": (seen.attempts() > 0).then(|| ids::intent(order.id)),
        "payment_link": null,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": null,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": if taken { "paid" } else { "unpaid" },
        "permissions": null,
        "phone_number_collection": { "enabled": false },
        "recovered_from": null,
        "saved_payment_method_options": null,
        "setup_intent": null,
        "shipping_address_collection": null,
        "shipping_cost": null,
        "shipping_options": [],
        "status": stands.word(),
        "submit_type": said("submit_type"),
        "subscription": null,
        "success_url": session.success_url,
        "total_details": { "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 },
        "ui_mode": "hosted_page",
        "url": (stands == Stands::Open).then(|| url(seen, scene)).flatten(),
        "wallet_options": null,
    }))
}

/// The lines of a session, in the order in which the caller wrote them.
pub(in crate::stripe_compat) fn lines(seen: &Seen<'_>) -> Vec<Value> {
    let session = seen.note.session.iter();
    let lines = session.flat_map(|session| &session.lines).enumerate();
    lines
        .map(|(at, line)| line_shape(seen, u8::try_from(at).unwrap_or(u8::MAX), line))
        .collect()
}

fn line_shape(seen: &Seen<'_>, at: u8, line: &LineNote) -> Value {
    let order = seen.order();
    let total = line.unit_amount.saturating_mul(i64::from(line.quantity));
    json!({
        "id": ids::line(order.id, at),
        "object": "item",
        "adjustable_quantity": null,
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": money::code(order.terms.amount.currency()),
        "description": line.name,
        "metadata": line.metadata,
        "price": line_price(seen, at, line),
        "quantity": line.quantity,
    })
}

/// The price of a line as it was when the session was made.
fn line_price(seen: &Seen<'_>, at: u8, line: &LineNote) -> Value {
    let order = seen.order();
    let known = line.price.is_some();
    let price = super::price::Price {
        id: line.price.clone().unwrap_or_else(|| ids::line_price(order.id, at)),
        product: line.product.clone().unwrap_or_else(|| ids::line_product(order.id, at)),
        // Stripe makes a price of a line that can be used once, and is over at once.
        active: known,
        currency: money::code(order.terms.amount.currency()),
        unit_amount: line.unit_amount,
        tax_behavior: line.tax_behavior.clone(),
        created_at: order.created_at,
        ..super::price::Price::default()
    };
    price.shape(seen.view.tenant.mode)
}

/// The price that a line made, by its place.
pub(in crate::stripe_compat) fn price_of_line(seen: &Seen<'_>, at: u8) -> Option<Value> {
    let line = line(seen.note.session.as_ref()?, at).filter(|line| line.price.is_none())?;
    Some(line_price(seen, at, line))
}

/// The product that a line made, by its place.
pub(in crate::stripe_compat) fn product_of_line(seen: &Seen<'_>, at: u8) -> Option<Value> {
    let line = line(seen.note.session.as_ref()?, at).filter(|line| line.product.is_none())?;
    let order = seen.order();
    let product = super::product::Product {
        id: ids::line_product(order.id, at),
        name: line.name.clone(),
        description: line.description.clone(),
        metadata: line.product_metadata.clone(),
        images: line.images.clone(),
        unit_label: line.unit_label.clone(),
        active: false,
        created_at: order.created_at,
        updated_at: order.created_at,
        ..super::product::Product::default()
    };
    Some(product.shape(seen.view.tenant.mode))
}

fn line(session: &SessionNote, at: u8) -> Option<&LineNote> {
    session.lines.get(usize::from(at))
}
