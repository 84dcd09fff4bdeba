//! Which of Stripe's events an event of ours may be. One of ours can be several of Stripe's (money that arrives is a charge, an intent and a
//! session), so each of them is a delivery of its own, named by our event's id and a number.
//!
//! Names only: whether an order has the thing that an event is about, and what it looks like, only the door knows that speaks Stripe.

/// Our name, and Stripe's.
const NAMES: &[(&str, &[&str])] = &[
    ("order.created", &["payment_intent.created"]),
    ("order.requires_action", &["payment_intent.requires_action"]),
    ("order.processing", &["payment_intent.processing"]),
    ("order.authorized", &["payment_intent.amount_capturable_updated"]),
    ("order.captured", &["payment_intent.succeeded"]),
    ("order.failed", &["payment_intent.canceled", "checkout.session.expired"]),
    (
        "order.canceled",
        &["payment_intent.canceled", "checkout.session.expired"],
    ),
    (
        "order.expired",
        &["payment_intent.canceled", "checkout.session.expired"],
    ),
    // An intent of a page comes into being with the payer's first try.
    ("attempt.processing", &["payment_intent.created"]),
    ("attempt.succeeded", &["charge.succeeded", "checkout.session.completed"]),
    ("attempt.declined", &["charge.failed", "payment_intent.payment_failed"]),
    ("capture.succeeded", &["charge.captured"]),
    ("refund.processing", &["refund.created"]),
    (
        "refund.succeeded",
        &["charge.refunded", "refund.updated", "charge.refund.updated"],
    ),
    (
        "refund.failed",
        &["refund.failed", "refund.updated", "charge.refund.updated"],
    ),
    (
        "refund.returned",
        &["refund.failed", "refund.updated", "charge.refund.updated"],
    ),
    (
        "dispute.opened",
        &["charge.dispute.created", "charge.dispute.funds_withdrawn"],
    ),
    (
        "dispute.won",
        &["charge.dispute.closed", "charge.dispute.funds_reinstated"],
    ),
    ("dispute.lost", &["charge.dispute.closed"]),
];

/// What Stripe may call an event of ours, in a stable order: the place of a name is part of its event's id.
pub fn names(ours: &str) -> &'static [&'static str] {
    NAMES.iter().find(|row| row.0 == ours).map_or(&[], |row| row.1)
}

/// Every name of Stripe's that an event of ours may have.
pub fn all_names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().flat_map(|row| row.1).copied()
}

/// The id of the how-manieth of Stripe's events that an event of ours is.
pub fn id(ours: &str, index: usize) -> String {
    format!("{ours}_{index}")
}

/// Our event and the place of Stripe's name in such an id.
pub fn parse(id: &str) -> Option<(&str, usize)> {
    let (ours, index) = id
        .rsplit_once('_')
        .filter(|(ours, index)| ours.starts_with("evt_") && index.len() == 1)?;
    Some((ours, index.parse().ok()?))
}

/// Whether an endpoint that asks for these names wants this one; no names: it wants all.
pub fn wants(events: &[String], name: &str) -> bool {
    let group = |want: &String| want.strip_suffix('*').is_some_and(|group| name.starts_with(group));
    events.is_empty() || events.iter().any(|want| want == name || group(want))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_our_event_and_the_place_of_the_name() {
        for (index, _) in names("refund.succeeded").iter().enumerate() {
            assert_eq!(parse(&id("evt_01a0004b", index)), Some(("evt_01a0004b", index)));
        }
        for odd in ["evt_01a0004b", "evt_01a_x", "evt_01a_12", "x_1", ""] {
            assert_eq!(parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn every_name_of_ours_stands_once_and_has_few_of_stripes() {
        for (at, (ours, theirs)) in NAMES.iter().enumerate() {
            assert!(NAMES[..at].iter().all(|row| row.0 != *ours), "{ours} stands twice");
            assert!((1..10).contains(&theirs.len()), "{ours}");
        }
    }
}
