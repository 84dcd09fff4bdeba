//! What a change of an order is called outside: the names of the webhooks, in a stable order.

use super::views::{attempt_status, step_statuses};
use super::{AttemptStatus, StepStatus, Word, disputes, word};
use crate::id::{Part, PartId};
use crate::order::{Order, StepKind, Verdict};

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
    for (place, attempt) in after.attempts() {
        let is = attempt_status(place, attempt);
        let was = before.and_then(|before| before.attempt(attempt.number));
        if was.map(|(place, was)| attempt_status(place, was)) != Some(is) {
            news.push(News {
                name: attempt_name(is),
                part: Some(after.part(Part::Attempt, attempt.number.into())),
            });
        }
    }
    let kinds: [(StepKind, Part, Naming); 3] = [
        (StepKind::Capture, Part::Capture, capture_name),
        (StepKind::Void, Part::Void, void_name),
        (StepKind::Refund, Part::Refund, refund_name),
    ];
    for (kind, part, name) in kinds {
        let mut were = before.into_iter().flat_map(|before| step_statuses(before, kind));
        for (index, is) in step_statuses(after, kind).enumerate() {
            if were.next() != Some(is) {
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

/// Names what became of a capture, void or refund.
type Naming = fn(StepStatus) -> &'static str;

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
