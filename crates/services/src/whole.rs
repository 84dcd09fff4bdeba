//! Orders from their rows and their events together, for those who walk over many: the audit, a restored copy, the watch.

use std::collections::HashMap;

use florin_core::id::OrderId;
use florin_store::{EventRow, Fault, OrderRow, Store, Wanted};

use crate::snapshot::{self, Damage};
use crate::view::View;

/// Orders whose events are in memory at a time: events carry what an order is for, which may be large.
const AT_A_TIME: usize = 50;

/// What is done with each order. One that does not read is told too, with what is wrong.
pub(crate) type Each<'a> = &'a mut (dyn FnMut(&OrderRow, Result<View, Damage>) + Send);

/// Reads the events of these orders, and tells how each stands.
pub(crate) async fn views(store: &dyn Store, rows: &[OrderRow], each: Each<'_>) -> Result<(), Fault> {
    for rows in rows.chunks(AT_A_TIME) {
        let wanted = Wanted {
            details: rows.iter().map(|row| row.id).collect(),
            ..Wanted::default()
        };
        match store.load(&wanted).await {
            Ok(found) => {
                let mut events: HashMap<OrderId, Vec<EventRow>> = HashMap::new();
                for event in found.details {
                    events.entry(event.order).or_default().push(event);
                }
                for row in rows {
                    let events = events.remove(&row.id).unwrap_or_default();
                    each(row, snapshot::read_whole(row, &events));
                }
            }
            // One of them does not read; the others do.
            Err(Fault::Damaged(..)) => {
                for row in rows {
                    let view = match store.events_of(row.id).await {
                        Ok(events) => snapshot::read_whole(row, &events),
                        Err(Fault::Damaged(_, why)) => Err(Damage(why)),
                        Err(fault) => return Err(fault),
                    };
                    each(row, view);
                }
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

/// How an order stands.
pub(crate) async fn view(store: &dyn Store, row: &OrderRow) -> Result<Result<View, Damage>, Fault> {
    let mut view = Err(Damage("it was not read".into()));
    views(store, std::slice::from_ref(row), &mut |_, read| view = read).await?;
    Ok(view)
}
