//! The checker that every fault test shares: what callers were told, what the database holds, what the ledger says and what the provider
//! wrote into its own book have to be one story.
//!
//! It reads plain rows, so that it judges a simulation, a test of the engine and a database left behind by killed processes alike.

use std::collections::{BTreeMap, BTreeSet};

use florin_core::event::Event;
use florin_core::id::OrderId;
use florin_core::ledger::{self, Account, Balances, Posting};
use florin_core::order::{Order, StepKind};
use florin_core::status;
use florin_services::chain;
use florin_services::snapshot::{self, Body, Fold, Named};
use florin_store::{EventRow, OrderRow};

use crate::provider::Stands;

/// What the provider's book says of each attempt of each order.
pub type Witness = BTreeMap<OrderId, BTreeMap<u8, Stands>>;

/// One call of a client, written down before it was made.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Its idempotency key.
    pub key: String,
    /// The merchant's name for the order, if the call makes one.
    pub reference: Option<String>,
    /// Every answer: those that never came are not here.
    pub answers: Vec<Answer>,
}

/// An answer to a call that was taken: not a refusal, not "come back later".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The order that it names.
    pub order: OrderId,
    /// The order's version in it.
    pub version: u32,
    /// The public word in it.
    pub word: String,
    /// Whether the call was over: then every later answer is the same.
    pub over: bool,
}

/// All that there is to judge.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What clients did and were told.
    pub calls: &'a [Call],
    /// The database's orders.
    pub orders: &'a [OrderRow],
    /// The database's event rows, each order's oldest first.
    pub events: &'a [EventRow],
    /// The provider's book.
    pub witness: Option<&'a Witness>,
    /// Faults have stopped and time has passed: everything must have come to an end.
    pub settled: bool,
}

/// Judges. Answers everything that is wrong, in words.
pub fn check(evidence: Evidence<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut rows: BTreeMap<OrderId, Vec<&EventRow>> = BTreeMap::new();
    for row in evidence.events {
        rows.entry(row.order).or_default().push(row);
    }
    let mut references = BTreeSet::new();
    let mut keys = BTreeSet::new();
    let mut orders = BTreeMap::new();
    for row in evidence.orders {
        if !references.insert((row.tenant, &row.reference)) {
            wrong.push(format!("two orders have the reference {}", row.reference));
        }
        if let Some(key) = &row.key
            && !keys.insert((row.tenant, &key.key))
        {
            wrong.push(format!("two orders were made under the key {}", key.key));
        }
        let events: Vec<EventRow> = rows.remove(&row.id).unwrap_or_default().into_iter().cloned().collect();
        match history(row, &events) {
            Ok(history) => {
                orders.insert(row.id, history);
            }
            Err(why) => wrong.push(format!("{}: {why}", row.id)),
        }
    }
    wrong.extend(rows.keys().map(|order| format!("{order} has events and no order")));
    for call in evidence.calls {
        call_is_kept(call, &orders, &mut wrong);
    }
    for (id, history) in &orders {
        let nothing = BTreeMap::new();
        let stands = evidence.witness.map(|witness| witness.get(id).unwrap_or(&nothing));
        for why in money(history, stands, evidence.settled) {
            wrong.push(format!("{id} ({}): {why}", status::word(&history.order).as_str()));
        }
    }
    for id in evidence.witness.into_iter().flat_map(BTreeMap::keys) {
        if !orders.contains_key(id) {
            wrong.push(format!("the provider knows {id}, and the database does not"));
        }
    }
    wrong
}

/// An order as its events tell it.
struct History {
    order: Order,
    books: Balances,
    /// Version ▸ word, at the end of each commit.
    words: BTreeMap<u32, &'static str>,
}

fn history(row: &OrderRow, events: &[EventRow]) -> Result<History, String> {
    let hash = chain::walk(events)?;
    if hash != row.chain {
        return Err("its row does not stand on its newest event".into());
    }
    let kept = snapshot::read_whole(row, events).map_err(|damage| damage.0)?;
    let mut fold = Fold::default();
    let (mut order, mut books, mut words) = (None, Balances::default(), BTreeMap::new());
    for event_row in events {
        let body = Body::read(&event_row.body).map_err(|damage| damage.0)?;
        let (mut postings, mut news) = (Vec::new(), Vec::new());
        for event in &body.events {
            let before = order.take();
            let after = happened(before.as_ref(), event, event_row)?;
            if let Some(before) = &before {
                postings.extend(ledger::postings(before, event));
            }
            news.extend(
                status::news(before.as_ref(), &after)
                    .into_iter()
                    .map(|one| (after.version, one.name, one.part)),
            );
            order = Some(after);
        }
        let stored = postings_of(event_row)?;
        if stored != postings {
            return Err(format!(
                "the postings at version {} are not those of its events",
                event_row.version
            ));
        }
        let named = Named::of(event_row).map_err(|damage| damage.0)?;
        if !named
            .iter()
            .map(|one| (one.version, one.name.as_ref(), one.part))
            .eq(news)
        {
            return Err(format!(
                "the news at version {} are not those of its events",
                event_row.version
            ));
        }
        stored.iter().for_each(|posting| books.add(posting));
        let view = fold.row(event_row, &row.reference).map_err(|damage| damage.0)?;
        words.insert(event_row.version, status::word(&view.order).as_str());
    }
    let folded = fold.end().ok_or("it has no events")?;
    if folded.order != kept.order {
        let (folded, kept) = (folded.order, kept.order);
        return Err(format!(
            "its snapshot is not the fold of its events: {folded:?}, and kept {kept:?}"
        ));
    }
    if folded.memos != kept.memos || folded.steps != kept.steps {
        let (folded, kept) = ((folded.memos, folded.steps), (kept.memos, kept.steps));
        return Err(format!(
            "its memos are not those of its events: {folded:?}, and kept {kept:?}"
        ));
    }
    if !books.off_by().is_empty() {
        return Err(format!("its books do not balance: {:?}", books.off_by()));
    }
    let order = folded.order;
    Ok(History { order, books, words })
}

fn happened(before: Option<&Order>, event: &Event, row: &EventRow) -> Result<Order, String> {
    match (before, event) {
        (None, Event::Created { order, terms }) => Ok(Order::open(*order, terms.clone(), row.time).0),
        (None, other) => Err(format!("its first event is `{}`", other.kind())),
        (Some(before), event) => {
            let mut after = before.clone();
            after.apply(event, row.time);
            Ok(after)
        }
    }
}

/// The postings of an event row.
pub fn postings_of(row: &EventRow) -> Result<Vec<Posting>, String> {
    match &row.postings {
        Some(text) => serde_json::from_str(text).map_err(|error| format!("its postings do not read: {error}")),
        None => Ok(Vec::new()),
    }
}

/// What a caller was told holds: the order is there, and one key has one answer.
fn call_is_kept(call: &Call, orders: &BTreeMap<OrderId, History>, wrong: &mut Vec<String>) {
    let mut told = call.answers.iter();
    let Some(first) = told.next() else { return };
    if told.any(|answer| answer.order != first.order) {
        wrong.push(format!("the key {} names several orders", call.key));
    }
    let Some(history) = orders.get(&first.order) else {
        return wrong.push(format!(
            "{} was acknowledged under the key {} and is lost",
            first.order, call.key
        ));
    };
    let mut over: Option<&Answer> = None;
    for answer in &call.answers {
        match history.words.get(&answer.version) {
            Some(word) if *word == answer.word => {}
            Some(word) => wrong.push(format!(
                "the key {} was told `{}` at version {}, and that was `{word}`",
                call.key, answer.word, answer.version
            )),
            None => wrong.push(format!(
                "the key {} was told version {}, which is lost",
                call.key, answer.version
            )),
        }
        if let Some(before) = over
            && answer != before
        {
            wrong.push(format!(
                "the key {} was answered {before:?}, and then {answer:?}",
                call.key
            ));
        }
        if answer.over {
            over = Some(answer);
        }
    }
}

/// The laws about the money of one order.
fn money(history: &History, stands: Option<&BTreeMap<u8, Stands>>, settled: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let order = &history.order;
    let amounts = status::amounts(order);
    if amounts.captured.minor() > amounts.authorized.minor() {
        wrong.push("more is captured than was authorized".to_owned());
    }
    let case = !status::attention(order).is_empty();
    let open = order.in_flight();
    if settled && !case {
        wrong.extend(
            open.iter()
                .map(|open| format!("{} never came to an end ({:?})", open.step, open.state)),
        );
        if let Some(owed) = order.owed() {
            wrong.push(format!("it still owes {owed:?}"));
        }
    }
    let Some(stands) = stands else { return wrong };
    let currency = order.due.currency();
    let at_rest = settled && !case && open.is_empty();
    let charged = stands
        .values()
        .filter(|stand| stand.taken - stand.back > 0 || stand.held > 0)
        .count();
    if at_rest && charged > 1 {
        wrong.push(format!("{charged} attempts are charged: {stands:?}"));
    }
    // While something is uncertain the machine must not have started another attempt.
    let uncertain = open.iter().filter(|open| open.step.kind == StepKind::Authorize).count();
    if uncertain > 1 && open.iter().all(|open| open.plan.can.cancel) {
        wrong.push(format!("{uncertain} attempts run at the same time"));
    }
    if at_rest {
        let net: i128 = (stands.values())
            .map(|stand| i128::from(stand.taken) - i128::from(stand.back) - i128::from(stand.disputed))
            .sum();
        let held: i128 = stands.values().map(|stand| i128::from(stand.held)).sum();
        let receivable = history.books.account(Account::Receivable, currency);
        let fees: i128 = order
            .attempts()
            .flat_map(|(_, attempt)| &attempt.charge.fees)
            .map(|fee| i128::from(fee.minor()))
            .sum();
        if receivable.posted() + fees != net {
            wrong.push(format!(
                "the provider owes {net} by its book and {} by the ledger: {stands:?}",
                receivable.posted() + fees
            ));
        }
        if receivable.pending() != held {
            wrong.push(format!(
                "{held} is held by the provider's book and {} by the ledger",
                receivable.pending()
            ));
        }
        // Money of a stray in a dispute that is not decided stays where it was until it is.
        let disputed: i128 = order.past.iter().map(|past| past.attempt.charge.dispute_open()).sum();
        for (account, left) in [(Account::Suspense, -disputed), (Account::RefundsMoving, 0)] {
            if history.books.account(account, currency).posted() != left {
                wrong.push(format!("money is left in {account:?}"));
            }
        }
        let paid = i128::from(amounts.captured.minor());
        let taken: i128 = stands.values().map(|stand| i128::from(stand.taken)).sum();
        if paid > taken {
            wrong.push(format!("{paid} is called captured, and the provider took {taken}"));
        }
    }
    wrong
}
