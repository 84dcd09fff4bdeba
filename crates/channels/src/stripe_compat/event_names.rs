//! The names of Stripe's events, as far as an endpoint's list is held to them.
//!
//! Of the things that this door has, every name is known, so that a slip of the pen is refused and not waited for. Of all others it is
//! enough that Stripe has such things: an endpoint's list may be brought along as it is, and is told what there is to tell.

/// Things that this door has, and what Stripe says of them.
const HERE: &[(&str, &[&str])] = &[
    (
        "charge",
        &[
            "captured",
            "dispute.closed",
            "dispute.created",
            "dispute.funds_reinstated",
            "dispute.funds_withdrawn",
            "dispute.updated",
            "expired",
            "failed",
            "pending",
            "refund.updated",
            "refunded",
            "succeeded",
            "updated",
        ],
    ),
    (
        "checkout",
        &[
            "session.async_payment_failed",
            "session.async_payment_succeeded",
            "session.completed",
            "session.expired",
        ],
    ),
    (
        "customer",
        &[
            "created",
            "deleted",
            "discount.created",
            "discount.deleted",
            "discount.updated",
            "source.created",
            "source.deleted",
            "source.expiring",
            "source.updated",
            "subscription.created",
            "subscription.deleted",
            "subscription.paused",
            "subscription.pending_update_applied",
            "subscription.pending_update_expired",
            "subscription.resumed",
            "subscription.trial_will_end",
            "subscription.updated",
            "tax_id.created",
            "tax_id.deleted",
            "tax_id.updated",
            "updated",
        ],
    ),
    (
        "payment_intent",
        &[
            "amount_capturable_updated",
            "canceled",
            "created",
            "partially_funded",
            "payment_failed",
            "processing",
            "requires_action",
            "succeeded",
        ],
    ),
    (
        "payment_method",
        &["attached", "automatically_updated", "detached", "updated"],
    ),
    ("price", &["created", "deleted", "updated"]),
    ("product", &["created", "deleted", "updated"]),
    ("refund", &["created", "failed", "updated"]),
    (
        "setup_intent",
        &["canceled", "created", "requires_action", "setup_failed", "succeeded"],
    ),
];

/// Other things that Stripe tells of.
const ELSEWHERE: &[&str] = &[
    "account",
    "application_fee",
    "balance",
    "billing",
    "billing_portal",
    "capability",
    "cash_balance",
    "climate",
    "coupon",
    "credit_note",
    "customer_cash_balance_transaction",
    "entitlements",
    "file",
    "financial_connections",
    "identity",
    "invoice",
    "invoice_payment",
    "invoiceitem",
    "issuing_authorization",
    "issuing_card",
    "issuing_cardholder",
    "issuing_dispute",
    "issuing_personalization_design",
    "issuing_token",
    "issuing_transaction",
    "mandate",
    "payment_link",
    "payout",
    "person",
    "plan",
    "promotion_code",
    "quote",
    "radar",
    "recipient",
    "reporting",
    "review",
    "sigma",
    "sku",
    "source",
    "subscription_schedule",
    "tax",
    "tax_rate",
    "terminal",
    "test_helpers",
    "topup",
    "transfer",
    "treasury",
];

/// Whether Stripe has an event of this name.
pub(super) fn is_known(name: &str) -> bool {
    let Some((thing, happened)) = name.split_once('.') else {
        return false;
    };
    match HERE.iter().find(|(here, _)| *here == thing) {
        Some((_, all)) => all.contains(&happened),
        None => ELSEWHERE.contains(&thing) && !happened.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use florin_services::notify::stripe;

    use super::*;

    #[test]
    fn whatever_this_door_tells_is_known_and_a_slip_of_the_pen_is_not() {
        for ours in crate::api::events::NAMES {
            for name in stripe::names(ours) {
                assert!(is_known(name), "{name}");
            }
        }
        for name in [
            "invoice.paid",
            "customer.subscription.updated",
            "treasury.received_credit.created",
        ] {
            assert!(is_known(name), "{name}");
        }
        for name in [
            "payment_intent.succeded",
            "paymentintent.succeeded",
            "order.captured",
            "charge",
            "charge.",
            "",
            "*",
        ] {
            assert!(!is_known(name), "{name}");
        }
    }
}
