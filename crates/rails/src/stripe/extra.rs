//! What Stripe tells about an attempt that no step of ours did: its console, disputes, holds that lapsed.

use florin_core::id::Key;
use florin_core::rail::{Happened, Step, Task, What};

use super::money;
use super::object::{Charge, Dispute, Intent, Refund};
use crate::memo;

/// Refunds and captures made elsewhere, and a hold that went.
pub(super) fn of_intent(task: &Task, intent: &Intent) -> Vec<Happened> {
    let mut also = Vec::new();
    let Some(charge) = intent.charge() else { return also };
    let mut happened = |id: &str, what: What, amount: i64| {
        if let Some(money) = intent.money(amount).filter(|money| money.is_positive()) {
            also.push(Happened {
                id: id.to_owned(),
                what,
                money,
            });
        }
    };
    let was_held = matches!(task.step, Step::Capture | Step::Void) || memo::own(task, "stood") == Some("held");
    let by_us = intent.note("florin_capture").is_some_and(|note| of_attempt(task, note));
    match intent.status.as_str() {
        "succeeded" if was_held && !by_us => {
            let received = intent.amount_received.unwrap_or(0);
            happened(&charge.id, What::Captured, received);
            // What of a hold is not captured then is let go: Stripe captures once.
            happened(&intent.id, What::HoldGone, charge.amount.saturating_sub(received));
        }
        "canceled" if was_held => happened(&intent.id, What::HoldGone, charge.amount),
        _ => {}
    }
    for refund in charge.refunds.iter().flat_map(|list| moved(charge, &list.data)) {
        if refund.note("florin_key").is_some_and(|note| of_attempt(task, note)) {
            continue; // a step of ours, which asks for itself
        }
        match refund.status.as_deref() {
            Some("succeeded") => happened(&refund.id, What::Refunded, refund.amount),
            // Perhaps after it had succeeded: a bank may send it back for weeks.
            Some("failed" | "canceled") => happened(&refund.id, What::RefundBack, refund.amount),
            Some(_) | None => {}
        }
    }
    also
}

/// Refunds of a charge that moved money. Stripe also shows the part of a hold that was never captured as a refund, one that moved nothing
/// on our account.
pub(super) fn moved<'a>(charge: &Charge, refunds: &'a [Refund]) -> Vec<&'a Refund> {
    if charge.captured != Some(true) {
        return Vec::new();
    }
    let let_go = charge
        .amount
        .saturating_sub(charge.amount_captured.unwrap_or(charge.amount));
    refunds
        .iter()
        .filter(|refund| {
            refund.balance_transaction.is_some() || let_go == 0 || refund.amount != let_go || refund.metadata_named()
        })
        .collect()
}

/// Disputes that took money, by Stripe's id of each, and what Stripe charges for them.
pub(super) fn of_disputes(task: &Task, disputes: &[Dispute]) -> Vec<Happened> {
    let mut also = Vec::new();
    for dispute in disputes {
        let what = match dispute.status.as_str() {
            "needs_response" | "under_review" => What::DisputeOpened,
            "won" => What::DisputeWon,
            "lost" => What::DisputeLost,
            // `warning_…` are inquiries of the bank: no money moves.
            _ => continue,
        };
        let Some(money) = money::from_wire(dispute.amount, &dispute.currency) else {
            continue;
        };
        also.push(Happened {
            id: dispute.id.clone(),
            what,
            money,
        });
        for transaction in dispute.balance_transactions.iter().flatten() {
            let fee = money::from_wire(transaction.fee, &transaction.currency)
                .filter(|fee| fee.is_positive() && fee.currency() == task.money.currency());
            also.extend(fee.map(|money| Happened {
                id: transaction.id.clone(),
                what: What::Fee,
                money,
            }));
        }
    }
    also
}

/// Whether a note on an object of Stripe's is the key of a step of this attempt.
fn of_attempt(task: &Task, note: &str) -> bool {
    let own = task.key;
    note.parse::<Key>()
        .is_ok_and(|key| key.order() == own.order() && key.step().attempt == own.step().attempt)
}

impl Refund {
    fn metadata_named(&self) -> bool {
        self.note("florin_key").is_some()
    }
}
