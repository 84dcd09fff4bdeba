//! What a change of an order is called outside: the names of the webhooks, in a stable order.

use super::{AttemptStatus, StepStatus, StepView, Word, attempts, captures, disputes, refunds, voids, word};
use crate::id::{Part, PartId};
use crate::order::{Order, Verdict};

/// One public event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// `order.captured`, `refund.succeeded`, …
    pub name: &'static str,
    /// The part it is about; none: the order.
    pub part: Option<PartId>,
}

/// Public events that lead from `before` (none: the order was just made) to `after`: the order's word first, then attempts, captures,
/// voids, refunds and disputes, each kind by number. Nothing, if nothing changed that has a word.
///
/// An order is created once. One that is open again after a try that came to nothing is no news of its own: the end of the try is
/// (`attempt.declined`, `attempt.canceled`; `attempt.reversed` when what it took is back), and it shows the order as it stands.
pub fn news(before: Option<&Order>, after: &Order) -> Vec<News> {
    let mut news = Vec::new();
    let reopened = before.is_some() && word(after) == Word::Created;
    if before.map(word) != Some(word(after)) && !reopened {
        news.push(News {
            name: order_name(word(after)),
            part: None,
        });
    }
    let were = before.map(attempts).unwrap_or_default();
    for is in attempts(after) {
        let was = were.iter().find(|was| was.number == is.number);
        if was.map(|was| was.status) != Some(is.status) {
            news.push(News {
                name: attempt_name(is.status),
                part: Some(after.part(Part::Attempt, is.number.into())),
            });
        }
    }
    let kinds: [(Parts, Part, Naming); 3] = [
        (captures, Part::Capture, capture_name),
        (voids, Part::Void, void_name),
        (refunds, Part::Refund, refund_name),
    ];
    for (parts, part, name) in kinds {
        let were: Vec<StepStatus> = before.map(|before| statuses(parts(before))).unwrap_or_default();
        for (index, is) in statuses(parts(after)).into_iter().enumerate() {
            if were.get(index) != Some(&is) {
                let number = u16::try_from(index).unwrap_or(u16::MAX);
                news.push(News {
                    name: name(is),
                    part: Some(after.part(part, number)),
                });
            }
        }
    }
    let were = before.map(disputes).unwrap_or_default();
    for is in disputes(after) {
        let was = were.iter().find(|was| was.attempt == is.attempt && was.id == is.id);
        if was.map(|was| was.verdict) != Some(is.verdict) {
            news.push(News {
                name: dispute_name(is.verdict),
                part: Some(after.part(Part::Dispute, is.index.into())),
            });
        }
    }
    news
}

/// Reads the parts of one kind.
type Parts = fn(&Order) -> Vec<StepView<'_>>;
/// Names what became of one of them.
type Naming = fn(StepStatus) -> &'static str;

fn statuses(views: Vec<StepView<'_>>) -> Vec<StepStatus> {
    views.into_iter().map(|view| view.status).collect()
}

const fn order_name(word: Word) -> &'static str {
    match word {
        Word::Created => "order.created",
        Word::RequiresAction => "order.requires_action",
        Word::Processing => "order.processing",
        Word::Authorized => "order.authorized",
        Word::PartiallyCaptured => "order.partially_captured",
        Word::Captured => "order.captured",
        Word::PartiallyRefunded => "order.partially_refunded",
        Word::Refunded => "order.refunded",
        Word::Failed => "order.failed",
        Word::Canceled => "order.canceled",
        Word::Expired => "order.expired",
        Word::Verified => "order.verified",
    }
}

const fn attempt_name(status: AttemptStatus) -> &'static str {
    match status {
        AttemptStatus::Processing => "attempt.processing",
        AttemptStatus::RequiresAction => "attempt.requires_action",
        AttemptStatus::Succeeded => "attempt.succeeded",
        AttemptStatus::Declined => "attempt.declined",
        AttemptStatus::Canceled => "attempt.canceled",
        AttemptStatus::Reversed => "attempt.reversed",
    }
}

const fn capture_name(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Processing => "capture.processing",
        StepStatus::Succeeded => "capture.succeeded",
        StepStatus::Failed => "capture.failed",
        StepStatus::Returned => "capture.returned",
    }
}

const fn void_name(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Processing => "void.processing",
        StepStatus::Succeeded => "void.succeeded",
        StepStatus::Failed => "void.failed",
        StepStatus::Returned => "void.returned",
    }
}

const fn refund_name(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Processing => "refund.processing",
        StepStatus::Succeeded => "refund.succeeded",
        StepStatus::Failed => "refund.failed",
        StepStatus::Returned => "refund.returned",
    }
}

const fn dispute_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Open => "dispute.opened",
        Verdict::Won => "dispute.won",
        Verdict::Lost => "dispute.lost",
    }
}
