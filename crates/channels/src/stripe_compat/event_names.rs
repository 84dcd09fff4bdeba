//! The names of Stripe's events, as far as an endpoint's list is held to them.
//!
//! Of the things that this door has, every name is known, so that a slip of the pen is refused and not waited for; so is the name of what
//! happens here and is not told. What never happens here (a payment that arrives days later, an invoice) keeps nobody waiting: of such
//! things it is enough that Stripe has them, and an endpoint's list may be brought along as it is.

use florin_services::notify::stripe;

use super::form::shown;

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

/// What happens here, and nobody is told: documents keep no history, and of a charge or a dispute only what moves money is told.
const UNTOLD: &[&str] = &[
    "charge.dispute.updated",
    "charge.expired",
    "charge.updated",
    "customer.created",
    "customer.deleted",
    "customer.updated",
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "payment_method.updated",
    "price.created",
    "price.deleted",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
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

/// Why an endpoint cannot want an event of this name, if it cannot.
pub(super) fn refusal(name: &str) -> Option<String> {
    if !is_known(name) {
        return Some(format!("there is no event `{}`", shown(name)));
    }
    UNTOLD.contains(&name).then(|| {
        let mut told: Vec<&str> = stripe::all_names().collect();
        told.sort_unstable();
        told.dedup();
        format!(
            "`{name}` is never sent by this server. These are: {}; and `*` is all of them",
            told.join(", ")
        )
    })
}

/// Whether Stripe has an event of this name.
fn is_known(name: &str) -> bool {
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
    use super::*;

    #[test]
    fn what_happens_and_is_not_told_is_refused_with_what_is_told() {
        for name in UNTOLD {
            let why = refusal(name).unwrap();
            assert!(is_known(name) && why.contains("is never sent"), "{name}: {why}");
            assert!(
                stripe::all_names().all(|told| told != *name && why.contains(told)),
                "{name}"
            );
        }
        for name in [
            "payment_intent.succeeded",
            "checkout.session.async_payment_failed",
            "invoice.paid",
        ] {
            assert_eq!(refusal(name), None, "{name}");
        }
    }

    #[test]
    fn whatever_this_door_tells_is_known_and_a_slip_of_the_pen_is_not() {
        for ours in crate::api::events::NAMES {
            for name in stripe::names(ours) {
                assert!(is_known(name) && refusal(name).is_none(), "{name}");
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
