//! Checks every law on a database, also one in use.
//!
//! ```text
//! stream      every event row once, in the order of the commits  ▸ sums of postings, fingerprint, balances     audit/books.rs
//! orders      page by page, each with its event rows             ▸ chain, fold, postings, news, snapshot       audit/record.rs
//!                                                                ▸ could the machine have decided this?        audit/machine.rs
//!                                                                ▸ do the postings add up to the state?        audit/ledger.rs
//! beside them references, keys, lists, providers' names, attention, deliveries                                 audit/readers.rs
//! outside     the simulated issuer's book, directly or through the pretend provider                            audit/witness.rs
//! ```
//!
//! Memory does not grow with the database: one page of orders with their events, and one sum for each account of each tenant.
//!
//! Orders move while they are read. Event rows are never changed, so what is checked against the stream needs no moment; everything else
//! that looks wrong is read again, and is reported only if it looks wrong twice in the same way.
//!
//! What it cannot see: keys of later calls that lead nowhere (nothing lists them), webhooks that were never made (an endpoint may have
//! been switched off then), and whether a decline was really said.

mod books;
mod law;
mod ledger;
mod machine;
mod readers;
mod record;
mod witness;

use std::collections::BTreeMap;

use florin_core::id::OrderId;
use florin_core::ledger::BalanceKey;
use florin_core::rail::Rail;
use florin_core::time::Timestamp;
use florin_store::{Cursor, EventRow, Fault, OrderRow, Store, Tenant, Wanted};
use serde::Serialize;

pub use law::Law;
pub use witness::{Compared, Issuer, Unreachable, against_issuer, against_provider};

use books::{Books, Fingerprint};
use record::{Examined, examine};

/// Orders read at a time, with their event rows: about a megabyte.
const PAGE: u32 = 200;
/// Event rows read at a time.
const STREAM_PAGE: u32 = 1_000;
/// How long something may be due before somebody has to have taken it up: the time in which everything converges after a fault
/// (`reliability.md`, promise 8).
pub const LATE_S: i64 = 300;
/// Readings of an order that looks wrong. What two in a row agree on is believed.
const READS_MAX: u32 = 5;

/// What an audit says to whoever asked for it, finding by finding.
type Report<'a> = &'a mut (dyn FnMut(Finding) + Send);

/// A breach of a law.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which law.
    pub law: Law,
    /// Whose books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
    /// Which order, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// At which version of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What is wrong.
    pub what: String,
}

/// What an audit is told about the moment.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Now, by the environment's clock. None: the moment of the newest event, for a copy that nobody works on.
    pub now: Option<Timestamp>,
    /// The moment of the trial balance, if it is not now.
    pub at: Option<Timestamp>,
}

/// Both clocks, as an order is held to them.
#[derive(Clone, Copy, Debug)]
struct Moment {
    now: Timestamp,
    /// The database's, which leases follow.
    clock: Timestamp,
}

/// What an audit looked at.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Orders.
    pub orders: u64,
    /// Event rows.
    pub event_rows: u64,
    /// Postings.
    pub postings: u64,
    /// Webhook deliveries.
    pub deliveries: u64,
    /// When the newest event was decided.
    pub newest: Option<Timestamp>,
    /// Breaches, by law.
    pub findings: BTreeMap<Law, u64>,
    /// The trial balance: debits less credits, posted and pending, of every account of every tenant.
    pub trial: BTreeMap<(Tenant, BalanceKey), (i128, i128)>,
}

impl Summary {
    /// Whether every law holds.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Breaches of all laws.
    pub fn breaches(&self) -> u64 {
        self.findings.values().sum()
    }

    fn count(&mut self, finding: &Finding) {
        *self.findings.entry(finding.law).or_default() += 1;
    }
}

/// Holds a database to every law. `report` hears of each finding when it is sure, and `seen` how many orders were looked at.
pub async fn audit(
    store: &dyn Store,
    rails: &'static [&'static dyn Rail],
    when: When,
    report: &mut (dyn FnMut(Finding) + Send),
    seen: &mut (dyn FnMut(u64) + Send),
) -> Result<Summary, Fault> {
    let mut summary = Summary::default();
    let mut counted = |finding: Finding| {
        summary.count(&finding);
        report(finding);
    };
    let books = Books::read(store, when.at, &mut counted).await?;
    books.check(&mut counted);
    books.feeds(store, &mut counted).await?;
    let moment = match when.now {
        Some(now) => Moment {
            now,
            clock: store.clock().await?,
        },
        None => Moment {
            now: books.newest,
            clock: books.newest,
        },
    };
    let mut walk = Walk {
        store,
        rails,
        moment,
        end: books.end,
        seen: Fingerprint::default(),
        orders: 0,
    };
    walk.orders(&mut counted, seen).await?;
    if walk.seen != books.seen {
        strays(store, books.end, &mut counted).await?;
        if walk.seen.rows != books.seen.rows {
            counted(Finding {
                law: Law::Stream,
                tenant: None,
                order: None,
                version: None,
                what: format!(
                    "the stream has {} event rows, the orders have {} of them",
                    books.seen.rows, walk.seen.rows
                ),
            });
        }
    }
    let mut deliveries = 0;
    for tenant in books.tenants() {
        readers::attention(store, tenant, &mut counted).await?;
        deliveries += readers::deliveries(store, tenant, &mut counted).await?;
    }
    summary.orders = walk.orders;
    summary.event_rows = books.seen.rows;
    summary.postings = books.postings;
    summary.deliveries = deliveries;
    summary.newest = (books.seen.rows > 0).then_some(books.newest);
    summary.trial = books.at;
    Ok(summary)
}

/// Holds one order to every law that it can keep alone. None: there is no such order.
pub async fn audit_order(
    store: &dyn Store,
    rails: &'static [&'static dyn Rail],
    order: OrderId,
    now: Timestamp,
) -> Result<Option<Vec<Finding>>, Fault> {
    let walk = Walk {
        store,
        rails,
        moment: Moment {
            now,
            clock: store.clock().await?,
        },
        end: Cursor::START,
        seen: Fingerprint::default(),
        orders: 0,
    };
    let wanted = Wanted {
        orders: vec![order],
        details: vec![order],
        ..Wanted::default()
    };
    let found = store.load(&wanted).await?;
    let Some(row) = found.orders.first() else {
        return Ok(None);
    };
    let mut findings = Vec::new();
    let first = walk.order(row, &found.details).await?;
    if !first.is_empty() {
        walk.again(order, first, &mut |finding| findings.push(finding)).await?;
    }
    findings.extend(readers::names(store, &found.orders).await?);
    Ok(Some(findings))
}

/// Looks at every order, in the order of their ids.
struct Walk<'a> {
    store: &'a dyn Store,
    rails: &'static [&'static dyn Rail],
    moment: Moment,
    /// The end of the stream when it was read: event rows up to here are in it.
    end: Cursor,
    seen: Fingerprint,
    orders: u64,
}

impl Walk<'_> {
    async fn orders(&mut self, report: Report<'_>, seen: &mut (dyn FnMut(u64) + Send)) -> Result<(), Fault> {
        let (mut after, mut limit) = (None, PAGE);
        loop {
            let rows = match self.store.orders_after(after, limit).await {
                Ok(rows) => rows,
                // One row of the page does not read: one at a time up to it, and past it.
                Err(Fault::Damaged(..)) if limit > 1 => {
                    limit = 1;
                    continue;
                }
                Err(Fault::Damaged(order, why)) => {
                    report(unreadable(order, why));
                    after = Some(order);
                    limit = PAGE;
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            self.page(&rows, report).await?;
            self.orders += rows.len() as u64;
            seen(self.orders);
            if rows.len() < limit as usize {
                return Ok(());
            }
            after = rows.last().map(|row| row.id);
        }
    }

    async fn page(&mut self, rows: &[OrderRow], report: Report<'_>) -> Result<(), Fault> {
        let mut events = self.events(rows, report).await?;
        for row in rows {
            let Some(events) = events.remove(&row.id) else {
                continue;
            };
            for event in events.iter().filter(|event| event.at <= self.end) {
                self.seen.add(&event.hash);
            }
            let findings = self.order(row, &events).await?;
            if !findings.is_empty() {
                self.again(row.id, findings, report).await?;
            }
        }
        let findings = readers::names(self.store, rows).await?;
        for finding in findings {
            // An order never loses its names, but two orders may have been read while one was made.
            let sure = readers::names(self.store, rows).await?;
            if sure.contains(&finding) {
                report(finding);
            }
        }
        Ok(())
    }

    /// The event rows of a page of orders.
    async fn events(&self, rows: &[OrderRow], report: Report<'_>) -> Result<BTreeMap<OrderId, Vec<EventRow>>, Fault> {
        let mut found: BTreeMap<OrderId, Vec<EventRow>> = BTreeMap::new();
        if rows.is_empty() {
            return Ok(found);
        }
        let wanted = Wanted {
            details: rows.iter().map(|row| row.id).collect(),
            ..Wanted::default()
        };
        match self.store.load(&wanted).await {
            Ok(loaded) => {
                found.extend(rows.iter().map(|row| (row.id, Vec::new())));
                for event in loaded.details {
                    found.entry(event.order).or_default().push(event);
                }
            }
            Err(Fault::Damaged(..)) => {
                for row in rows {
                    match self.store.events_of(row.id).await {
                        Ok(events) => drop(found.insert(row.id, events)),
                        Err(Fault::Damaged(order, why)) => report(unreadable(order, why)),
                        Err(fault) => return Err(fault),
                    }
                }
            }
            Err(fault) => return Err(fault),
        }
        Ok(found)
    }

    async fn order(&self, row: &OrderRow, events: &[EventRow]) -> Result<Vec<Finding>, Fault> {
        let examined = examine(row, events, &self.moment);
        let mut findings = readers::lists(self.store, self.rails, row, &examined).await?;
        let Examined { findings: own, .. } = examined;
        findings.splice(0..0, own);
        Ok(findings)
    }

    /// Looks at an order again that looked wrong, until two looks agree.
    async fn again(&self, id: OrderId, mut before: Vec<Finding>, report: Report<'_>) -> Result<(), Fault> {
        let wanted = Wanted {
            orders: vec![id],
            details: vec![id],
            ..Wanted::default()
        };
        let mut sure = Vec::new();
        for _ in 0..READS_MAX {
            let found = self.store.load(&wanted).await?;
            let Some(row) = found.orders.first() else { break };
            let findings = self.order(row, &found.details).await?;
            let agree = findings == before;
            sure = findings
                .iter()
                .filter(|finding| before.contains(finding))
                .cloned()
                .collect();
            before = findings;
            if agree {
                break;
            }
        }
        sure.into_iter().for_each(report);
        Ok(())
    }
}

/// Names event rows whose order is not there: read only when the stream and the orders do not agree.
async fn strays(store: &dyn Store, end: Cursor, report: Report<'_>) -> Result<(), Fault> {
    let mut at = Cursor::START;
    let mut named = std::collections::BTreeSet::new();
    while at < end {
        let rows = match store.events_after(at, PAGE).await {
            Ok(rows) => rows,
            Err(Fault::Damaged(..)) => return Ok(()), // said when the stream was read
            Err(fault) => return Err(fault),
        };
        let Some(last) = rows.last() else { return Ok(()) };
        at = last.at;
        let wanted = Wanted {
            orders: rows.iter().map(|row| row.order).collect(),
            ..Wanted::default()
        };
        let there: Vec<OrderId> = store.load(&wanted).await?.orders.iter().map(|row| row.id).collect();
        for row in rows.iter().filter(|row| !there.contains(&row.order)) {
            if named.len() < PAGE as usize && named.insert(row.order) {
                report(Finding {
                    law: Law::Stream,
                    tenant: Some(row.tenant),
                    order: Some(row.order),
                    version: Some(row.version),
                    what: "there are events of it, and the order is not there".to_owned(),
                });
            }
        }
    }
    Ok(())
}

fn unreadable(order: OrderId, why: String) -> Finding {
    Finding {
        law: Law::Readable,
        tenant: None,
        order: Some(order),
        version: None,
        what: why,
    }
}

/// What a provider owes us for an attempt: taken, neither back with the payer nor on its way there, nor disputed.
pub(crate) fn taken_of(attempt: &florin_core::order::Attempt) -> i128 {
    ledger::receivable(attempt) - attempt.charge.refunding()
}

/// What is held for an attempt.
pub(crate) fn held_of(attempt: &florin_core::order::Attempt) -> i128 {
    attempt.held()
}

/// A moment as people write it.
fn moment_text(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.millis()).map_or_else(|_| format!("{} ms", at.millis()), |at| at.to_string())
}

#[cfg(test)]
mod tests;
