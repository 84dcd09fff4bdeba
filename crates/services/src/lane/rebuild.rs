//! The answer that an earlier call had, rebuilt from the order's events: nothing but the events is kept for it.

use std::sync::Arc;

use florin_core::order::StepName;
use florin_store::{EventRow, OrderRow};

use super::{Rebuild, is_answered};
use crate::ask::{Answered, Denied, State};
use crate::snapshot::{Damage, Fold};
use crate::view::View;

/// The order as it stood at the end of the commit in which the call's step was over or needed the payer; as it stands, if that is still
/// to come. What was decided in one commit was answered together, so commits are what counts.
pub fn rebuild(row: &OrderRow, events: &[EventRow], rebuild: &Rebuild) -> Result<Result<Answered, Denied>, Damage> {
    let made = rebuild.made.as_ref();
    let first = made.map_or(0, |made| made.version);
    let mut step = made.and_then(|made| made.step);
    let mut fold = Fold::default();
    let (mut answer, mut last) = (None, None);
    for event in events {
        let view = fold.row(event, &row.reference)?;
        if view.order.version < first {
            continue;
        }
        if made.is_none() && last.is_none() {
            // The call that made the order also started what is in flight after its commit.
            step = view.order.attempt(1).map(|_| StepName::authorize(1));
        }
        let view = Arc::new(view.clone());
        let over = step.is_none_or(|step| is_answered(&view.order, step));
        last = Some(Arc::clone(&view));
        if over {
            answer = Some(view);
            break;
        }
    }
    let state = if answer.is_some() { State::Over } else { State::Running };
    let Some(order) = answer.or(last) else {
        return Ok(Err(Denied::NotFound));
    };
    Ok(match made.and_then(|made| made.refused.clone()) {
        Some(refusal) => Err(Denied::Refused {
            refusal,
            order,
            replayed: rebuild.replayed,
        }),
        None => Ok(Answered {
            order,
            step,
            state,
            replayed: rebuild.replayed,
        }),
    })
}

/// The version at which the call that made an order was answered: when what it had started was over or needed the payer.
pub(crate) fn made_until(views: &[Arc<View>], events: &[EventRow]) -> u32 {
    let at = |event: &EventRow| views.get(usize::try_from(event.version).unwrap_or(0).saturating_sub(1));
    let Some(first) = events.first() else { return 0 };
    let started = at(first).is_some_and(|view| view.order.attempt(1).is_some());
    let over = |event: &&EventRow| at(event).is_some_and(|view| is_answered(&view.order, StepName::authorize(1)));
    if !started {
        return first.version;
    }
    let answer = events.iter().find(over).or(events.last());
    answer.map_or(first.version, |event| event.version)
}
