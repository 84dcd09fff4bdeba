//! `balance_transaction`: what moved on the merchant's account here.

use florin_core::money::Money;
use florin_core::order::Verdict;
use florin_core::status::{self, StepStatus};
use florin_core::time::Timestamp;
use serde_json::{Value, json};

use super::{Scene, Seen, amount, charge, seconds};
use crate::stripe_compat::ids::{self, Movement};
use crate::stripe_compat::money;

/// What moved for an order, newest first.
pub(in crate::stripe_compat) fn all(seen: &Seen<'_>, scene: Scene<'_>) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for charge in charge::all(seen) {
        all.extend(find(seen, scene, Movement::Charge, charge.attempt.number));
    }
    for refund in status::refunds(seen.order()) {
        all.extend(find(seen, scene, Movement::Refund, refund.index));
        all.extend(find(seen, scene, Movement::RefundFailed, refund.index));
    }
    for dispute in status::disputes(seen.order()) {
        all.extend(of_dispute(seen, scene, dispute.index));
    }
    all.reverse();
    all
}

/// What a dispute moved: withdrawn when it was opened, reinstated when it was won.
pub(in crate::stripe_compat) fn of_dispute(seen: &Seen<'_>, scene: Scene<'_>, index: u8) -> Vec<Value> {
    let of = [Movement::Dispute, Movement::DisputeWon];
    of.into_iter().filter_map(|of| find(seen, scene, of, index)).collect()
}

/// One movement.
pub(in crate::stripe_compat) fn find(seen: &Seen<'_>, scene: Scene<'_>, of: Movement, number: u8) -> Option<Value> {
    let order = seen.order();
    let refund = |number| status::refunds(order).into_iter().find(|refund| refund.index == number);
    let dispute = |number| {
        status::disputes(order)
            .into_iter()
            .find(|dispute| dispute.index == number)
    };
    let (money, at, source) = match of {
        Movement::Charge => {
            let charge = charge::find(seen, number)?;
            let at = charge.attempt.charge.taken_at.unwrap_or(charge.attempt.started_at);
            (charge.captured(seen), at, ids::charge(order.id, number))
        }
        Movement::Refund => {
            let went = |status| matches!(status, StepStatus::Succeeded | StepStatus::Returned);
            let step = refund(number).filter(|step| went(step.status))?;
            (step.amount, step.asked_at, ids::refund(order.id, number))
        }
        Movement::RefundFailed => {
            let step = refund(number).filter(|step| step.status == StepStatus::Returned)?;
            (step.amount, step.since, ids::refund(order.id, number))
        }
        Movement::Dispute | Movement::DisputeWon => {
            let moved = |verdict| of == Movement::Dispute || verdict == Verdict::Won;
            let dispute = dispute(number).filter(|dispute| moved(dispute.verdict))?;
            let at = match of {
                Movement::DisputeWon => dispute.decided_at.unwrap_or(dispute.heard_at),
                Movement::Charge | Movement::Refund | Movement::RefundFailed | Movement::Dispute => dispute.heard_at,
            };
            (dispute.amount, at, ids::dispute(order.id, number))
        }
    };
    let fee = match of {
        Movement::Charge => fee(seen, scene, money, number),
        Movement::Refund | Movement::RefundFailed | Movement::Dispute | Movement::DisputeWon => money.with_minor(0),
    };
    let line = Line {
        of,
        number,
        money,
        fee,
        at,
        source: &source,
    };
    money.is_positive().then(|| shape(seen, line))
}

struct Line<'a> {
    of: Movement,
    number: u8,
    money: Money,
    fee: Money,
    at: Timestamp,
    source: &'a str,
}

fn shape(seen: &Seen<'_>, line: Line<'_>) -> Value {
    let (sign, kind, category) = match line.of {
        Movement::Charge => (1, "charge", "charge"),
        Movement::Refund => (-1, "refund", "refund"),
        Movement::RefundFailed => (1, "refund_failure", "refund_failure"),
        Movement::Dispute => (-1, "adjustment", "dispute"),
        Movement::DisputeWon => (1, "adjustment", "dispute_reversal"),
    };
    let (moved, fee) = (amount(line.money) * sign, amount(line.fee));
    let fees = if fee == 0 {
        Vec::new()
    } else {
        vec![json!({
            "amount": fee,
            "application": null,
            "currency": money::code(line.money.currency()),
            "description": "Processing fees",
            "type": "stripe_fee",
        })]
    };
    json!({
        "id": ids::transaction(seen.order().id, line.of, line.number),
        "object": "balance_transaction",
        "amount": moved,
        "available_on": seconds(line.at),
        "balance_type": "payments",
        "created": seconds(line.at),
        "currency": money::code(line.money.currency()),
        "description": seen.view.details.description,
        "exchange_rate": null,
        "fee": fee,
        "fee_details": fees,
        "net": moved - fee,
        "reporting_category": category,
        "source": line.source,
        // As the balance says: what was booked can be had. Nothing is paid out here, so nothing waits for it.
        "status": "available",
        "type": kind,
    })
}

/// What the charge cost: by this door's own tariff where it is the provider, else what its provider charged.
fn fee(seen: &Seen<'_>, scene: Scene<'_>, captured: Money, attempt: u8) -> Money {
    if let Some(tariff) = scene.tariff {
        return tariff.fee(captured);
    }
    let charge = seen.order().attempt(attempt).map(|(_, attempt)| &attempt.charge);
    let fees = charge.into_iter().flat_map(|charge| &charge.fees);
    fees.filter(|fee| fee.currency() == captured.currency())
        .fold(captured.with_minor(0), |sum, fee| sum.plus(*fee).unwrap_or(sum))
}
