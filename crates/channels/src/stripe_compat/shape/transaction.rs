//! `balance_transaction`: what moved on the merchant's account here.

use florin_core::money::Money;
use florin_core::order::Verdict;
use florin_core::status::{self, StepStatus};
use florin_core::time::Timestamp;
use serde_json::{Value, json};

use super::{Scene, Seen, amount, charge, dispute, refund, seconds};
use crate::stripe_compat::ids::{self, Movement};
use crate::stripe_compat::money;

/// How long after it moved the merchant may have it.
const AVAILABLE_S: i64 = 2 * 24 * 3_600;

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
    match of {
        Movement::Charge => {
            let charge = charge::find(seen, number)?;
            let captured = charge.captured(seen);
            captured.is_positive().then(|| {
                let fee = fee(seen, scene, captured, number);
                let at = charge.attempt.charge.taken_at.unwrap_or(charge.attempt.since);
                let source = ids::charge(seen.order().id, number);
                shape(
                    seen,
                    scene,
                    Line {
                        of,
                        number,
                        money: captured,
                        sign: 1,
                        fee,
                        at,
                        source: &source,
                    },
                )
            })
        }
        Movement::Refund | Movement::RefundFailed => {
            let refunds = status::refunds(seen.order());
            let step = refunds.iter().find(|refund| refund.index == number)?;
            let moved = match of {
                Movement::RefundFailed => step.status == StepStatus::Returned,
                Movement::Charge | Movement::Refund | Movement::Dispute | Movement::DisputeWon => {
                    matches!(step.status, StepStatus::Succeeded | StepStatus::Returned)
                }
            };
            let (sign, at) = match of {
                Movement::RefundFailed => (1, step.since),
                Movement::Charge | Movement::Refund | Movement::Dispute | Movement::DisputeWon => {
                    (-1, Timestamp::default().plus_seconds(refund::created(seen, step)))
                }
            };
            let source = ids::refund(seen.order().id, number);
            let fee = step.amount.with_minor(0);
            moved.then(|| {
                shape(
                    seen,
                    scene,
                    Line {
                        of,
                        number,
                        money: step.amount,
                        sign,
                        fee,
                        at,
                        source: &source,
                    },
                )
            })
        }
        Movement::Dispute | Movement::DisputeWon => {
            let disputes = status::disputes(seen.order());
            let dispute = disputes.iter().find(|dispute| dispute.index == number)?;
            let moved = match of {
                Movement::DisputeWon => dispute.verdict == Verdict::Won,
                Movement::Charge | Movement::Refund | Movement::RefundFailed | Movement::Dispute => true,
            };
            let source = ids::dispute(seen.order().id, number);
            (moved && dispute.amount.is_positive()).then(|| {
                shape(
                    seen,
                    scene,
                    Line {
                        of,
                        number,
                        money: dispute.amount,
                        sign: if of == Movement::DisputeWon { 1 } else { -1 },
                        fee: dispute.amount.with_minor(0),
                        at: dispute::since(seen, dispute),
                        source: &source,
                    },
                )
            })
        }
    }
}

struct Line<'a> {
    of: Movement,
    number: u8,
    money: Money,
    sign: i64,
    fee: Money,
    at: Timestamp,
    source: &'a str,
}

fn shape(seen: &Seen<'_>, scene: Scene<'_>, line: Line<'_>) -> Value {
    let (moved, fee) = (amount(line.money) * line.sign, amount(line.fee));
    let (kind, category) = match line.of {
        Movement::Charge => ("charge", "charge"),
        Movement::Refund => ("refund", "refund"),
        Movement::RefundFailed => ("refund_failure", "refund_failure"),
        Movement::Dispute => ("adjustment", "dispute"),
        Movement::DisputeWon => ("adjustment", "dispute_reversal"),
    };
    let available = line.at.plus_seconds(AVAILABLE_S);
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
        "available_on": seconds(available),
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
        "status": if available <= scene.now { "available" } else { "pending" },
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
