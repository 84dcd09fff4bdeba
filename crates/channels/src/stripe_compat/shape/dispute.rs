//! `dispute`: a dispute of an attempt's money.

use florin_core::order::Verdict;
use florin_core::status::{self, DisputeView};
use serde_json::{Map, Value, json};

use super::{Scene, Seen, amount, seconds, transaction};
use crate::stripe_compat::{ids, money};

/// Evidence that a merchant could send, files and all.
const EVIDENCE: &[&str] = &[
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

/// The disputes of an order, newest first.
pub(in crate::stripe_compat) fn all(seen: &Seen<'_>, scene: Scene<'_>) -> Vec<Value> {
    status::disputes(seen.order())
        .iter()
        .rev()
        .map(|dispute| shape(seen, scene, dispute))
        .collect()
}

/// One of them.
pub(in crate::stripe_compat) fn find(seen: &Seen<'_>, scene: Scene<'_>, index: u8) -> Option<Value> {
    status::disputes(seen.order())
        .iter()
        .find(|one| one.index == index)
        .map(|dispute| shape(seen, scene, dispute))
}

/// Why, as the provider said it.
fn reason<'a>(seen: &'a Seen<'_>, dispute: &DisputeView<'_>) -> &'a str {
    let learned = seen.view.memos.get(&dispute.attempt);
    learned
        .and_then(|memo| memo.get(&format!("reason {}", dispute.id)))
        .map_or("general", String::as_str)
}

fn shape(seen: &Seen<'_>, scene: Scene<'_>, dispute: &DisputeView<'_>) -> Value {
    let order = seen.order();
    let attempt = order.attempt(dispute.attempt).map(|(_, attempt)| attempt);
    let brand = attempt
        .and_then(|attempt| seen.card_of(scene, attempt))
        .map_or_else(|| "visa".to_owned(), |card| card.brand);
    let mut evidence: Map<String, Value> = EVIDENCE.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    evidence.insert("enhanced_evidence".to_owned(), json!({}));
    let note = seen.note.disputes.get(&dispute.index).cloned().unwrap_or_default();
    evidence.extend(note.evidence.iter().map(|(name, text)| (name.clone(), json!(text))));
    json!({
        "id": ids::dispute(order.id, dispute.index),
        "object": "dispute",
        "amount": amount(dispute.amount),
        "balance_transactions": transaction::of_dispute(seen, scene, dispute.index),
        "charge": ids::charge(order.id, dispute.attempt),
        "created": seconds(dispute.heard_at),
        "currency": money::code(dispute.amount.currency()),
        "enhanced_eligibility_types": [],
        "evidence": evidence,
        "evidence_details": {
            "due_by": null,
            "enhanced_eligibility": {},
            "has_evidence": !note.evidence.is_empty(),
            "past_due": false,
            "submission_count": note.submissions,
            "submission_method": if note.submissions > 0 { "manual" } else { "not_submitted" },
        },
        "intended_submission_method": null,
        "is_charge_refundable": false,
        "livemode": seen.live(),
        "metadata": note.metadata,
        "payment_intent": ids::intent(order.id),
        "payment_method_details": {
            "card": { "brand": brand, "case_type": "chargeback", "network": brand, "network_reason_code": null },
            "type": "card",
        },
        "reason": reason(seen, dispute),
        "status": match dispute.verdict {
            Verdict::Open if note.submissions > 0 => "under_review",
            Verdict::Open => "needs_response",
            Verdict::Won => "won",
            Verdict::Lost => "lost",
        },
    })
}
