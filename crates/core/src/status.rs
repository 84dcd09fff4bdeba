//! What an order looks like from outside: public words, amounts and parts, all computed and none stored.

mod news;
mod views;

pub use news::*;
pub use views::*;

use crate::decline::Retry;
use crate::money::Money;
use crate::order::{
    Attempt, Case, Kind, Open, Order, Phase, Place, Standing, StepKind, Verdict, Why, brings_money, clamp, limits,
};

/// The `payment_order_status` of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// Waits for a payer.
    Created,
    /// The payer must do something.
    RequiresAction,
    /// Wait; never charge again.
    Processing,
    /// Held: capture or void in time.
    Authorized,
    /// Part of the hold is taken.
    PartiallyCaptured,
    /// Deliver.
    Captured,
    /// Part is back with the payer.
    PartiallyRefunded,
    /// All is back with the payer.
    Refunded,
    /// Not paid.
    Failed,
    /// Not wanted any more.
    Canceled,
    /// Not paid in time.
    Expired,
    /// The card is good.
    Verified,
}

impl Word {
    /// Every word.
    pub const ALL: [Self; 12] = [
        Self::Created,
        Self::RequiresAction,
        Self::Processing,
        Self::Authorized,
        Self::PartiallyCaptured,
        Self::Captured,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::Failed,
        Self::Canceled,
        Self::Expired,
        Self::Verified,
    ];

    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::Authorized => "authorized",
            Self::PartiallyCaptured => "partially_captured",
            Self::Captured => "captured",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Verified => "verified",
        }
    }
}

/// The word for an order.
pub fn word(order: &Order) -> Word {
    match &order.phase {
        Phase::Created => Word::Created,
        Phase::Pending(attempt) if attempt.standing == Standing::Acting && !attempt.ends() => Word::RequiresAction,
        Phase::Pending(_) => Word::Processing,
        Phase::Authorized(attempt) if attempt.taken() > 0 => Word::PartiallyCaptured,
        Phase::Authorized(_) => Word::Authorized,
        Phase::Captured(attempt) => {
            let back = attempt.charge.refunded() + attempt.charge.went_back();
            if back <= 0 {
                Word::Captured
            } else if back >= attempt.taken() {
                Word::Refunded
            } else {
                Word::PartiallyRefunded
            }
        }
        Phase::Ended(end) => match &end.why {
            Why::Failed(_) => Word::Failed,
            Why::Canceled | Why::Voided => Word::Canceled,
            Why::Expired => Word::Expired,
            Why::Verified => Word::Verified,
        },
    }
}

/// The amounts beside the word. They are about the attempt that won; strays are in `attention` and in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// Approved in all: held, or taken at once.
    pub authorized: Money,
    /// Can be captured now.
    pub capturable: Money,
    /// Taken, without what was taken back or undone.
    pub captured: Money,
    /// Back with the payer by refunds.
    pub refunded: Money,
    /// On its way back.
    pub refund_pending: Money,
    /// In open or lost disputes.
    pub disputed: Money,
    /// Taken back by the payer's bank.
    pub returned: Money,
    /// Can be refunded now.
    pub refundable: Money,
}

/// The amounts of an order. Sums that facts have driven out of 64 bits stay at the end of the range.
pub fn amounts(order: &Order) -> Amounts {
    let zero = order.due.with_minor(0);
    let none = Amounts {
        authorized: zero,
        capturable: zero,
        captured: zero,
        refunded: zero,
        refund_pending: zero,
        disputed: zero,
        returned: zero,
        refundable: zero,
    };
    let Some(attempt) = order.winner() else { return none };
    let charge = &attempt.charge;
    let money = |sum: i128| zero.with_minor(clamp(sum.max(0)));
    let captured = attempt.taken() - charge.captures_back() - charge.undone();
    let ended = matches!(order.phase, Phase::Ended(_));
    Amounts {
        authorized: money(charge.granted().max(charge.heard())),
        capturable: money(capturable(order, attempt)),
        captured: money(captured),
        refunded: money(charge.refunded() + charge.refunded_elsewhere()),
        refund_pending: money(charge.refunding()),
        disputed: money(charge.disputed()),
        returned: money(charge.returned()),
        refundable: money(if ended || attempt.undoing() || order.terms.kind != Kind::Payment {
            0
        } else {
            attempt.refundable()
        }),
    }
}

fn capturable(order: &Order, attempt: &Attempt) -> i128 {
    let hold = match &order.phase {
        Phase::Authorized(_) => attempt.charge.hold.as_ref(),
        Phase::Created | Phase::Pending(_) | Phase::Captured(_) | Phase::Ended(_) => None,
    };
    let usable = hold.is_some_and(|hold| !hold.over) && !attempt.charge.gone && !attempt.has_hold_step();
    if usable { attempt.held() } else { 0 }
}

/// What a person should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attention {
    /// Money that should go back does not: a reversal, void or surplus refund was refused, or cannot be made.
    StuckReversal,
    /// Something was said that no rule explains.
    AmountMismatch,
    /// A step was uncertain for three days.
    UncertainLong,
    /// A rail has nobody to ask.
    NobodyToAsk,
}

impl Attention {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StuckReversal => "stuck_reversal",
            Self::AmountMismatch => "amount_mismatch",
            Self::UncertainLong => "uncertain_long",
            Self::NobodyToAsk => "nobody_to_ask",
        }
    }
}

/// What a person should look at, each word once.
pub fn attention(order: &Order) -> Vec<Attention> {
    let mut words = Vec::new();
    if order.attempts().any(|(place, attempt)| is_stuck(order, place, attempt)) {
        words.push(Attention::StuckReversal);
    }
    if !order.alarms.is_empty() {
        words.push(Attention::AmountMismatch);
    }
    let cases: Vec<Case> = (order.attempts())
        .flat_map(|(_, attempt)| {
            let own = order
                .open_step(crate::order::StepName::authorize(attempt.number))
                .and_then(|(_, _, case)| case);
            let steps = attempt
                .steps()
                .filter(|(_, step)| step.in_flight())
                .filter_map(|(_, step)| step.case);
            own.into_iter().chain(steps).collect::<Vec<_>>()
        })
        .collect();
    if cases.contains(&Case::Long) {
        words.push(Attention::UncertainLong);
    }
    if cases.contains(&Case::Nobody) {
        words.push(Attention::NobodyToAsk);
    }
    words
}

/// Whether money of this attempt should go back, and the machine has nothing left to try.
pub(crate) fn is_stuck(order: &Order, place: Place, attempt: &Attempt) -> bool {
    let charge = &attempt.charge;
    match place {
        Place::Past => {
            let trying = attempt.undoing() || attempt.reversals == 0 && attempt.plan.can.reverse;
            brings_money(attempt) && !trying
        }
        Place::Current => {
            let reversed = attempt
                .undo
                .as_ref()
                .is_some_and(|undo| undo.name.kind == StepKind::Reverse);
            reversed && attempt.undo_refused() && attempt.refusals >= limits::REVERSALS_TRIED
        }
        Place::Winner => {
            let open = matches!(order.phase, Phase::Authorized(_)) && !attempt.has_hold_step();
            let void_refused = open && charge.voids.last().is_some_and(|step| step.declined().is_some());
            let surplus_refused =
                order.surplus(attempt) > 0 && charge.refunds.iter().any(|step| step.last && step.declined().is_some());
            void_refused || surplus_refused
        }
    }
}

/// Goods may go out: captured, and nothing of it is undone, returned, disputed, or wholly on its way back.
pub fn deliverable(order: &Order) -> bool {
    match &order.phase {
        Phase::Captured(attempt) => {
            let charge = &attempt.charge;
            order.terms.kind == Kind::Payment
                && attempt.undo.as_ref().is_none_or(|undo| undo.step.declined().is_some())
                && charge.returned() == 0
                && charge.captures_back() == 0
                && charge.disputed() == 0
                && attempt.refundable() > 0
        }
        Phase::Created | Phase::Pending(_) | Phase::Authorized(_) | Phase::Ended(_) => false,
    }
}

/// Whether nobody knows how some step of the order stands: its current attempt, a hold or refund step, or the reversal of a stray.
pub fn uncertain(order: &Order) -> bool {
    order.in_flight().iter().any(|step| step.state == Open::Uncertain)
}

/// Whether a new attempt may follow the last one without the payer or the merchant asking for it: only after a known decline of a class
/// that says that nothing happened.
pub fn may_fail_over(order: &Order) -> bool {
    let last = order.past.last().map(|past| &past.attempt);
    order.phase == Phase::Created
        && last.is_some_and(|attempt| match &attempt.standing {
            Standing::Declined(decline) => decline.class == Retry::Tech && decline.code.class() != Retry::Unknown,
            Standing::Sent
            | Standing::Acting
            | Standing::Waiting
            | Standing::Uncertain
            | Standing::Approved
            | Standing::Undone => false,
        })
}

/// The worst dispute of an order: open, else lost, else won.
pub fn dispute_status(order: &Order) -> Option<Verdict> {
    let verdicts: Vec<Verdict> = disputes(order).iter().map(|dispute| dispute.verdict).collect();
    [Verdict::Open, Verdict::Lost, Verdict::Won]
        .into_iter()
        .find(|verdict| verdicts.contains(verdict))
}

impl Verdict {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }
}
