//! A database that was put back to an earlier copy: what has to be done to it before it is used, and what it lacks.
//!
//! The copy remembers messages that were out when it was made, and does not remember what became of them, nor what was sent since. Two
//! things keep that from charging anybody twice. A step's key at the provider is made of the order and the step and of nothing else, so
//! whatever the copy does again, it does under the same key, and the provider answers as it did. And [`prepare`] marks every message that
//! is out as sent: the rail asks what became of it, and sends no copy. Silence is no answer here: it may be that it was answered, and that
//! the payer paid on a page whose address the copy never had.
//!
//! What no key protects is an order that was made after the copy: nobody here knows it, and the caller that makes it again makes another
//! one. [`lacks`] finds these at the providers, as far as their rails can list.

use std::collections::BTreeMap;
use std::sync::Arc;

use florin_core::id::{ConnectionId, OrderId};
use florin_core::money::Money;
use florin_core::order::{Phase, StepKind};
use florin_core::rail::{Account, Payment, Rail};
use florin_core::time::Timestamp;
use florin_store::{Batch, Changed, Fault, OrderRow, Outcome, ProviderRef, Store, Wanted};

use crate::audit::{held_of, taken_of};
use crate::directory::{Connection, Directory, tenants_of};
use crate::egress::{Egress, Road, Sent};
use crate::snapshot;
use crate::view::View;
use crate::whole;
use crate::work::{Entry, Place, RESENDS_MAX};

/// Orders written in one transaction.
const PAGE: u32 = 200;
/// Pages of one provider's list: ten million payments. A list that does not end is cut, and that is said.
const PAGES_MAX: u32 = 100_000;

/// What was done to a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Orders of which something is open.
    pub open: u64,
    /// Messages that may have arrived: they are asked about.
    pub messages: u64,
}

/// Makes a copy safe to work on: whatever was out is asked about and not sent again, and everything open is looked at now.
pub async fn prepare(store: &dyn Store, now: Timestamp) -> Result<Prepared, Fault> {
    let mut prepared = Prepared::default();
    let mut after = None;
    loop {
        let rows = store.orders_after(after, PAGE).await?;
        let mut batch = Batch::default();
        let open: Vec<OrderRow> = rows.iter().filter(|row| row.work.is_some()).cloned().collect();
        whole::views(store, &open, &mut |row, view| {
            if let Ok(view) = view
                && let Some(row) = asks_first(row, &view, now, &mut prepared)
            {
                batch.changed.push(Changed {
                    read_version: row.version,
                    row,
                });
            }
        })
        .await?;
        if !batch.is_empty() && store.commit(&batch).await? == Outcome::Conflict {
            return Err(Fault::Refused(
                "somebody works on this copy: stop every server that uses it".to_owned(),
            ));
        }
        if rows.len() < PAGE as usize {
            return Ok(prepared);
        }
        after = rows.last().map(|row| row.id);
    }
}

/// The row of an order, so that whoever takes it up asks first. None: nothing of it is open, or it does not read.
fn asks_first(row: &OrderRow, view: &View, now: Timestamp, prepared: &mut Prepared) -> Option<OrderRow> {
    let mut work = snapshot::proven_work(row).ok()?;
    if work.is_empty() {
        return None;
    }
    prepared.open += 1;
    for entry in &mut work {
        prepared.messages += u64::from(ask(entry));
        entry.due = now;
    }
    let text = snapshot::work(&work);
    Some(OrderRow {
        state: snapshot::beside(row, text.as_deref()).ok()?,
        due: snapshot::due(&view.order, &work),
        work: text,
        lease: None,
        ..row.clone()
    })
}

/// A message that is out has been sent as often as it may be, and one that pays was answered as far as anybody knows. Answers whether there
/// was one.
fn ask(entry: &mut Entry) -> bool {
    match &mut entry.at {
        Place::Out { .. } if entry.step.kind == StepKind::Authorize => {
            entry.at = Place::stuck();
            entry.asked = 0;
            true
        }
        Place::Out { sent, .. } => {
            *sent = true;
            entry.asked = u16::try_from(RESENDS_MAX + 1).unwrap_or(u16::MAX);
            true
        }
        Place::Held | Place::Wait { .. } => false,
    }
}

/// Something that a provider knows and the copy does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Where.
    pub connection: ConnectionId,
    /// The provider's name for the payment; none: it cannot be asked.
    pub payment: Option<String>,
    /// Our order, where the provider kept its name.
    pub order: Option<OrderId>,
    /// What is there and not here.
    pub what: String,
}

/// Asks every provider what it has of ours since a moment, and reports what this database lacks. Answers how many payments were looked at.
pub async fn lacks(
    store: &dyn Store,
    directory: &Directory,
    egress: &Egress,
    rails: &[&'static dyn Rail],
    since: Timestamp,
    report: &mut (dyn FnMut(Lack) + Send),
) -> Result<u64, Fault> {
    let mut looked_at = 0;
    let tenants = directory
        .merchants()
        .into_iter()
        .flat_map(|merchant| tenants_of(merchant.id));
    for connection in tenants.flat_map(|tenant| directory.connections(tenant)) {
        let rail = rails.iter().copied().find(|rail| rail.table().name == connection.rail);
        let asked = match rail {
            Some(rail) => {
                let road = Road {
                    connection: Arc::clone(&connection),
                    rail,
                };
                of_provider(store, &road, egress, since, report).await?
            }
            None => Err(format!("this release has no rail `{}`", connection.rail)),
        };
        match asked {
            Ok(payments) => looked_at += payments,
            Err(why) => report(Lack {
                connection: connection.id,
                payment: None,
                order: None,
                what: format!("{why}: compare this connection's payments by hand"),
            }),
        }
    }
    Ok(looked_at)
}

/// What one provider has. The inner error is the provider's, in words.
async fn of_provider(
    store: &dyn Store,
    road: &Road,
    egress: &Egress,
    since: Timestamp,
    report: &mut (dyn FnMut(Lack) + Send),
) -> Result<Result<u64, String>, Fault> {
    let account = account(&road.connection);
    let (mut after, mut count) = (None, 0);
    for _ in 0..PAGES_MAX {
        let Some(exchange) = road.rail.list(&account, since, after.as_deref()) else {
            return Ok(Err("its rail cannot list payments".to_owned()));
        };
        let reply = match egress.send(road, &exchange).await {
            Sent::Reply(reply) => reply,
            Sent::Silence(why) => return Ok(Err(format!("the provider cannot be asked ({why})"))),
            Sent::Unsent(why) => return Ok(Err(format!("the provider cannot be reached ({why})"))),
        };
        let Some(page) = road.rail.listed(&reply) else {
            return Ok(Err(format!("the provider answered {} and no list", reply.status)));
        };
        for payment in &page.payments {
            count += 1;
            if let Some((order, what)) = lack(store, road, payment).await? {
                report(Lack {
                    connection: road.connection.id,
                    payment: Some(payment.id.clone()),
                    order,
                    what,
                });
            }
        }
        match page.next {
            Some(next) if Some(&next) != after.as_ref() => after = Some(next),
            Some(_) | None => return Ok(Ok(count)),
        }
    }
    Ok(Err(format!("the provider's list does not end after {count} payments")))
}

fn account(connection: &Connection) -> Account {
    Account {
        connection: connection.id.to_string(),
        base: connection.base.clone(),
        settings: connection.settings.clone(),
    }
}

/// What of a payment this database does not have.
async fn lack(store: &dyn Store, road: &Road, payment: &Payment) -> Result<Option<(Option<OrderId>, String)>, Fault> {
    let stands = |payment: &Payment| format!("{} taken and {} held there", payment.taken, payment.held);
    let nothing = payment.taken.is_zero() && payment.held.is_zero();
    let order = match payment.key {
        Some(key) => Some(key.order()),
        None => by_name(store, road, &payment.id).await?,
    };
    let Some(order) = order else {
        let what = format!("{}, and no order knows it", stands(payment));
        return Ok((!nothing).then_some((None, what)));
    };
    let wanted = Wanted {
        orders: vec![order],
        ..Wanted::default()
    };
    let found = store.load(&wanted).await?.orders.pop();
    let Some(row) = found else {
        let what = format!("{}, and its order is not here", stands(payment));
        return Ok((!nothing).then_some((Some(order), what)));
    };
    let Ok(view) = whole::view(store, &row).await? else {
        return Ok(None); // the audit says so
    };
    let named = |memo: &BTreeMap<String, String>| memo.values().any(|value| *value == payment.id);
    let by_memo = view
        .memos
        .iter()
        .find(|(_, memo)| named(memo))
        .map(|(number, _)| *number);
    let number = payment.key.map(|key| key.step().attempt).or(by_memo);
    let attempt = number
        .and_then(|number| view.order.attempt(number))
        .map(|(_, attempt)| attempt);
    let Some(attempt) = attempt else {
        // Also where nothing stands any more: the next attempt of an open order is called what this one was called, and the provider would
        // answer it with what became of this one.
        let over = matches!(view.order.phase, Phase::Ended(_));
        let what = format!("{}, and its attempt is not here", stands(payment));
        return Ok((!nothing || !over).then_some((Some(order), what)));
    };
    let money = |sum: i128| Money::new(i64::try_from(sum).unwrap_or(i64::MAX), view.order.due.currency());
    let unseen = if payment.disputes { 0 } else { attempt.charge.disputed() };
    let (taken, held) = (money(taken_of(attempt) + unseen), money(held_of(attempt)));
    let what = format!("{}; here {taken} taken and {held} held", stands(payment));
    Ok(((taken, held) != (payment.taken, payment.held)).then_some((Some(order), what)))
}

/// The order that a provider's name leads to.
async fn by_name(store: &dyn Store, road: &Road, id: &str) -> Result<Option<OrderId>, Fault> {
    for kind in road.rail.table().refs {
        let reference = ProviderRef {
            connection: road.connection.id,
            kind: (*kind).to_owned(),
            id: id.to_owned(),
        };
        if let Some(order) = store.order_of_ref(&reference).await? {
            return Ok(Some(order));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use florin_core::order::StepName;
    use florin_core::rail::{Body, Exchange, Method, Repeat};

    use super::*;
    use crate::work::Act;

    #[test]
    fn what_pays_is_asked_about_and_is_not_said_to_have_met_silence() {
        const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
        let message = Exchange {
            name: Cow::Borrowed("session"),
            method: Method::Post,
            url: "https://provider.test/".into(),
            headers: Vec::new(),
            body: Body::None,
            repeat: Repeat::Same {
                every_s: 1,
                for_s: 3_600,
            },
            asks: false,
        };
        for (kind, act) in [(StepKind::Authorize, Act::Tick), (StepKind::Capture, Act::Silence)] {
            let step = StepName {
                kind,
                ..StepName::authorize(1)
            };
            let mut entry = Entry::new(step, Place::out(message.clone()), NOW, 1);
            assert!(ask(&mut entry));
            assert_eq!(entry.act(NOW, 1), act, "{kind:?}");
        }
    }
}
