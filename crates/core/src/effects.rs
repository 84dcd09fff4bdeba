//! What happens after something happened: which steps go to a rail, and which are over.
//!
//! The lane compares what an order has in flight with its outbox, after each command, and writes both in one commit. Carried out by the
//! worker.

use crate::order::{OpenStep, Order, StepName};

/// What an outbox has to do to agree with an order again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects<'a> {
    /// Steps without an outbox row: started at the rail.
    pub start: Vec<OpenStep<'a>>,
    /// Rows whose step is over: dropped.
    pub drop: Vec<StepName>,
}

impl Effects<'_> {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.start.is_empty() && self.drop.is_empty()
    }
}

/// Compares `order` with the steps that have a row in its outbox.
pub fn effects<'a>(order: &'a Order, outbox: &[StepName]) -> Effects<'a> {
    let open = order.in_flight();
    let drop = outbox
        .iter()
        .filter(|row| open.iter().all(|step| step.step != **row))
        .copied()
        .collect();
    let start = open.into_iter().filter(|step| !outbox.contains(&step.step)).collect();
    Effects { start, drop }
}
