//! What an order has, as lists look for it: seen from the whole order, and from events of a young one alone.

use florin_core::event::Event;
use florin_core::order::{Order, Standing, StepKind};
use florin_core::status;
use florin_store::Marks;

use crate::view::View;

/// What an order has.
pub(crate) fn of(view: &View) -> Marks {
    let lines = Marks::LINES.when(!view.details.lines.is_empty());
    of_order(&view.order).and(lines)
}

fn of_order(order: &Order) -> Marks {
    let attempts = order.attempts().map(|(_, attempt)| {
        let decided = matches!(attempt.standing, Standing::Declined(_));
        let moved = attempt.charge.heard() > 0 || attempt.charge.hold.is_some();
        Marks::CHARGED
            .when(decided || moved)
            .and(Marks::PAID.when(attempt.taken() > 0))
    });
    // Books show what went back even where nobody saw it come.
    let refunds = REFUNDED.when(!status::refunds(order).is_empty());
    let disputes = DISPUTED.when(!status::disputes(order).is_empty());
    attempts.fold(refunds.and(disputes), Marks::and)
}

const REFUNDED: Marks = Marks::REFUNDED.and(Marks::PAID);
const DISPUTED: Marks = Marks::DISPUTED.and(Marks::PAID);

/// What an event brings, of the kinds that an order lives through in which all goes well. Any other is read from the order.
pub(crate) fn of_event(event: &Event) -> Marks {
    if let Event::Approved { held, .. } = event {
        approved(held.is_some())
    } else if let Event::StepStarted { step, .. } = event {
        started(step.kind)
    } else {
        CAPTURED.when(matches!(event, Event::Captured { .. }))
    }
}

/// An attempt was approved: held, or taken at once.
pub(crate) fn approved(held: bool) -> Marks {
    Marks::CHARGED.and(Marks::PAID.when(!held))
}

/// A step was started.
pub(crate) fn started(kind: StepKind) -> Marks {
    REFUNDED.when(kind == StepKind::Refund)
}

/// Money that was held was taken.
pub(crate) const CAPTURED: Marks = Marks::CHARGED.and(Marks::PAID);
