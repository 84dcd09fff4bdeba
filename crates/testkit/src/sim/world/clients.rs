//! Clients: what they ask, what they are told, and whether that is what is stored.

use florin_core::id::OrderId;
use florin_core::order::{Order, Plan};
use florin_core::status;
use florin_core::time::Timestamp;
use florin_services::ask::{Answered, Ask, Denied, What};
use florin_services::engine::abilities;
use florin_services::lane::{Job, Start, Token};
use florin_services::snapshot;
use florin_services::view::View;
use florin_store::{OrderRow, Store, Wanted};

use super::{CLIENT_MS, Happening, World};
use crate::sim::client::Then;
use crate::sim::node::{Caller, at_once};

impl World {
    pub(super) fn client(&mut self, number: usize) {
        let view = self.clients[number].order.and_then(|order| self.view(order));
        let now = Timestamp::from_millis(self.now_ms);
        let Some((call, mut ask)) = self.clients[number].call(view.as_ref(), &mut self.dice, now) else {
            return;
        };
        let tries = self.tries.entry(number).or_default();
        *tries += 1;
        let tries = *tries;
        self.soon(CLIENT_MS, Happening::ClientGivesUp(number, tries));
        let at = usize::try_from(self.dice.below(2)).unwrap_or(0);
        if !self.nodes[at].alive {
            return; // nobody answers there
        }
        let start = self.start(&mut ask);
        self.tell(|| format!("client {number} asks node {at}: {}", words(&ask)));
        let node = &mut self.nodes[at];
        node.tokens += 1;
        let token = Token(node.tokens);
        node.callers.insert(token, Caller::Client { client: number, call });
        node.lane.push(Job::Ask {
            token,
            ask: Box::new(ask),
            start,
        });
        self.wake(at);
    }

    /// What the engine adds to a call: an id, and how the attempt is started.
    pub(super) fn start(&mut self, ask: &mut Ask) -> Option<Box<Start>> {
        let pay = match &mut ask.what {
            What::Create { order, start } => {
                self.numbers += 1;
                let random = u128::from(self.dice.next());
                let ms = u128::try_from(self.now_ms).unwrap_or(0);
                let uuid =
                    (ms << 80) | (7 << 76) | (u128::from(self.numbers & 0xfff) << 64) | (0b10 << 62) | (random >> 2);
                order.id.get_or_insert(OrderId::from_uuid(uuid::Uuid::from_u128(uuid)));
                start.clone()?
            }
            What::Confirm { pay, .. } => pay.clone(),
            What::Leave { .. }
            | What::Capture { .. }
            | What::Void { .. }
            | What::Cancel { .. }
            | What::Refund { .. }
            | What::Amend { .. }
            | What::Describe { .. }
            | What::Back { .. }
            | What::Resolve { .. } => return None,
        };
        let instrument = match pay.method.as_str() {
            "hosted" => florin_core::rail::Instrument::Hosted,
            name => florin_core::rail::Instrument::Stored(name.to_owned()),
        };
        Some(Box::new(Start {
            plan: Plan {
                channel: pay.channel,
                method: pay.method,
                instrument,
                connection: self.road.connection.id,
                rail: self.rail.table().name.into(),
                amount: florin_core::money::Money::zero(florin_core::money::Currency::EUR),
                extras: None,
                initiator: pay.initiator,
                can: abilities(self.rail.table()),
            },
            return_url: None,
        }))
    }

    pub(super) fn answer(&mut self, client: usize, call: u64, told: &Result<Answered, Denied>) {
        self.tell(|| match told {
            Ok(answered) => {
                let word = status::word(&answered.order.order).as_str();
                format!(
                    "client {client} is told {word} at version {} ({:?})",
                    answered.order.order.version, answered.state
                )
            }
            Err(denied) => format!("client {client} is told: {denied}"),
        });
        if let Ok(answered) = told {
            self.is_what_is_stored(&answered.order.order);
        }
        let current = self.clients[client]
            .open
            .as_ref()
            .is_some_and(|(number, _)| *number == call);
        if !current {
            return;
        }
        let then = self.clients[client].told(call, told);
        *self.tries.entry(client).or_default() += 1; // nobody waits for this one any more
        if let Ok(answered) = told
            && status::word(&answered.order.order) == status::Word::RequiresAction
        {
            let after = self.dice.between(500, 300_000);
            let order = answered.order.order.id;
            self.soon(after, Happening::Payer(order));
        }
        let after = match then {
            Then::Next => self.dice.between(100, 240_000),
            Then::Repeat if self.silent && self.healed => self.dice.between(600_000, 3_600_000),
            Then::Repeat => self.dice.between(200, 5_000),
        };
        self.soon(after, Happening::Client(client));
    }

    /// What a lane has in memory is what the rows of that version tell.
    pub(super) fn is_what_is_stored(&mut self, order: &Order) {
        let stored = self.view(order.id).map(|view| view.order);
        if stored.is_some_and(|stored| stored.version == order.version && stored != *order) {
            let what = format!("{} is told as no row has it, at version {}", order.id, order.version);
            self.wrong.push(what);
        }
    }

    pub(super) fn view(&self, order: OrderId) -> Option<View> {
        let row = self.row(order)?;
        let events = at_once(self.shared.events_of(order)).ok()?;
        snapshot::read_whole(&row, &events).ok()
    }

    pub(super) fn row(&self, order: OrderId) -> Option<OrderRow> {
        let wanted = Wanted {
            orders: vec![order],
            ..Wanted::default()
        };
        at_once(self.shared.load(&wanted)).ok()?.orders.pop()
    }

    pub(super) fn orders(&self) -> Vec<OrderRow> {
        at_once(self.shared.orders_after(None, u32::MAX)).unwrap_or_default()
    }
}

pub(super) fn words(ask: &Ask) -> String {
    let what = match &ask.what {
        What::Create { start: Some(pay), .. } => format!("create and pay with {}", pay.method),
        What::Create { start: None, .. } => "create".into(),
        What::Confirm { order, pay } => format!("pay {order} with {}", pay.method),
        What::Leave { order, attempt } => format!("leave {order} {attempt}"),
        What::Capture { order, amount, .. } => format!("capture {amount:?} of {order}"),
        What::Void { order } => format!("void {order}"),
        What::Cancel { order } => format!("cancel {order}"),
        What::Refund { order, amount } => format!("refund {amount:?} of {order}"),
        What::Amend { order, .. } => format!("amend {order}"),
        What::Describe { order, .. } => format!("describe {order}"),
        What::Back { order, .. } => format!("payer of {order} is back"),
        What::Resolve { order, .. } => format!("resolve {order}"),
    };
    format!("{what} ({})", ask.key.as_ref().map_or("no key", |key| &key.key))
}
