//! Judging: whether everything came to rest, and to one story.

use std::collections::BTreeSet;

use florin_core::id::OrderId;
use florin_core::status;
use florin_store::{DeliveryStatus, Store};

use super::clients::words;
use super::{Happening, World};
use crate::check::{self, Evidence, Witness};
use crate::sim::ears;
use crate::sim::node::at_once;

impl World {
    /// Law 2, at every step: automatic reversal heals the books, so a second charge would be invisible at the end.
    pub(super) fn one_attempt_at_a_time(&mut self) {
        let book = self.provider.book();
        let new = &book[self.judged.min(book.len())..];
        let orders: BTreeSet<OrderId> = new.iter().filter_map(|line| line.key).map(|key| key.order()).collect();
        self.judged = book.len();
        for order in orders {
            let stands = self.provider.stands(order);
            let charged: Vec<_> = stands
                .iter()
                .filter(|(_, stand)| stand.held > 0 || stand.taken > stand.back)
                .collect();
            if charged.len() > 1 && self.wrong.is_empty() {
                let why = format!("{order}: two attempts are charged at the same time: {charged:?}");
                self.wrong.push(why);
            }
        }
    }

    pub(super) fn is_at_rest(&self) -> bool {
        if !self.steps.is_multiple_of(256) {
            return false;
        }
        let clients = self.clients.iter().all(|client| client.done && client.open.is_none());
        let nodes = self
            .nodes
            .iter()
            .all(|node| node.lane.queued() == 0 && node.carries.is_empty());
        let messages = !self
            .queue
            .values()
            .any(|what| matches!(what, Happening::Arrives(..) | Happening::Webhook(_)));
        let heard = || {
            self.nodes.iter().all(|node| !node.following)
                && ears::deliveries(&*self.shared, self.tenant, Some(DeliveryStatus::Pending)).is_empty()
        };
        clients
            && nodes
            && messages
            && !self.silent
            && !self.provider.holds()
            && heard()
            && at_once(self.shared.inbox(1)).is_ok_and(|rows| rows.is_empty())
            && self.orders().iter().all(|row| row.due.is_none())
    }

    pub(super) fn judge(&mut self) {
        let orders = self.orders();
        let mut events = Vec::new();
        for row in &orders {
            events.extend(at_once(self.shared.events_of(row.id)).unwrap_or_default());
        }
        let deliveries = ears::deliveries(&*self.shared, self.tenant, None);
        self.wrong.extend(self.ears.judge(&events, &deliveries));
        let witness: Witness = (orders.iter())
            .map(|row| (row.id, self.provider.stands(row.id)))
            .filter(|(_, stands)| !stands.is_empty())
            .collect();
        let calls: Vec<check::Call> = self.clients.iter().flat_map(|client| client.log.clone()).collect();
        self.wrong.extend(check::check(Evidence {
            calls: &calls,
            orders: &orders,
            events: &events,
            witness: Some(&witness),
            settled: true,
        }));
        for client in &self.clients {
            if let Some((number, ask)) = &client.open {
                self.wrong.push(format!(
                    "client {} never had an answer to call {number}: {}",
                    client.number,
                    words(ask)
                ));
            }
        }
        if let Ok(rows) = at_once(self.shared.inbox(10)) {
            self.wrong
                .extend(rows.iter().map(|row| format!("notice {} was never told", row.id.id)));
        }
        for row in &orders {
            if let Some(view) = self.view(row.id) {
                let attention = status::attention(&view.order);
                if !attention.is_empty() {
                    self.wrong.push(format!(
                        "{} needs a person, and nothing was wrong with it: {attention:?}",
                        row.id
                    ));
                }
            }
        }
    }
}
