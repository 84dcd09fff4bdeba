//! One order against its own events: chain, fold, rules, postings, news, snapshot, open work.

use std::collections::BTreeSet;

use florin_core::ledger::{Balances, Posting, between};
use florin_core::order::{Order, StepName};
use florin_core::status;
use florin_store::{Cursor, EventRow, OrderRow};
use serde::Serialize;
use serde_json::Value;

use super::machine::Breach;
use super::{Finding, LATE_S, Law, Moment, ledger, machine, moment_text};
use crate::chain::{START, link};
use crate::snapshot::{self, Body, Fold, Named};
use crate::view::View;
use crate::work::Entry;

/// What one order shows.
pub(super) struct Examined {
    /// What is wrong with it.
    pub(super) findings: Vec<Finding>,
    /// The order as its events tell it, if they do.
    pub(super) view: Option<View>,
    /// The place of the newest event that the row stands on.
    pub(super) last: Cursor,
}

/// Holds an order to every law that its row and its events can keep alone.
pub(super) fn examine(row: &OrderRow, events: &[EventRow], moment: &Moment) -> Examined {
    // What was committed after the row was read is looked at another time.
    let known = events.partition_point(|event| event.version <= row.version);
    let events = &events[..known];
    let mut record = Record {
        row,
        findings: Vec::new(),
        posted: Some(Balances::default()),
    };
    record.chain(events);
    let view = record.fold(events);
    if let Some(view) = &view {
        record.snapshot(view, events);
        let mut breaches = Vec::new();
        if let Some(posted) = &record.posted {
            ledger::agrees(&view.order, posted, &mut breaches);
        }
        machine::explained(&view.order, &mut breaches);
        record.breaches(row.version, breaches);
    }
    record.late(moment);
    Examined {
        findings: record.findings,
        view,
        last: events.last().map_or(Cursor::START, |event| event.at),
    }
}

struct Record<'a> {
    row: &'a OrderRow,
    findings: Vec<Finding>,
    /// All postings so far; none once one of them did not read.
    posted: Option<Balances>,
}

impl Record<'_> {
    fn find(&mut self, law: Law, version: u32, what: impl Into<String>) {
        self.findings.push(Finding {
            law,
            tenant: Some(self.row.tenant),
            order: Some(self.row.id),
            version: Some(version),
            what: what.into(),
        });
    }

    fn breaches(&mut self, version: u32, breaches: Vec<Breach>) {
        for (law, what) in breaches {
            self.find(law, version, what);
        }
    }

    // ---- the chain -----------------------------------------------------------------------------------------------------------------

    fn chain(&mut self, events: &[EventRow]) {
        let (mut hash, mut version) = (START, 0_u32);
        for event in events {
            version = version.saturating_add(event.count);
            if event.version != version {
                let what = format!(
                    "its event rows jump from version {} to {}: a row is missing",
                    version.saturating_sub(event.count),
                    event.version
                );
                return self.find(Law::Versions, event.version, what);
            }
            if event.order != self.row.id || event.tenant != self.row.tenant {
                self.find(
                    Law::Tenant,
                    event.version,
                    "an event row is another tenant's than the order",
                );
            }
            hash = link(&hash, &event.body, event.postings.as_deref(), event.news.as_deref());
            if hash != event.hash {
                let what = "the stored bytes of its event row, postings or news are not those that were hashed";
                return self.find(Law::Chain, event.version, what);
            }
        }
        if version != self.row.version {
            let what = format!(
                "its event rows end at version {version}, its row is at {}",
                self.row.version
            );
            self.find(Law::Versions, self.row.version, what);
        } else if hash != self.row.chain {
            self.find(
                Law::Chain,
                self.row.version,
                "its row does not stand on its newest event row",
            );
        }
    }

    // ---- the fold ------------------------------------------------------------------------------------------------------------------

    fn fold(&mut self, events: &[EventRow]) -> Option<View> {
        let mut fold = Fold::default();
        let mut before: Option<Order> = None;
        for row in events {
            let mut states = Vec::new();
            let body = Body::read(&row.body).and_then(|body| {
                fold.row_with(row, &self.row.reference, &mut |view| states.push(view.order.clone()))?;
                Ok(body)
            });
            let body = match body {
                Ok(body) => body,
                Err(damage) => {
                    self.find(Law::Readable, row.version, damage.to_string());
                    return None;
                }
            };
            let (mut postings, mut news, mut breaches) = (Vec::new(), Vec::new(), Vec::new());
            for (event, after) in body.events.iter().zip(states) {
                if let Some(before) = &before {
                    machine::transition(before, event, &after, &mut breaches);
                    postings.extend(between(before, &after, event));
                }
                news.extend(named(before.as_ref(), &after));
                before = Some(after);
            }
            if let Some(order) = &before {
                machine::standing(order, &mut breaches);
            }
            self.breaches(row.version, breaches);
            self.postings(row, &postings);
            self.news(row, &news);
        }
        fold.end()
    }

    fn postings(&mut self, row: &EventRow, made: &[Posting]) {
        let stored: Result<Vec<Posting>, _> = row.postings.as_deref().map_or(Ok(Vec::new()), serde_json::from_str);
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                self.posted = None;
                return self.find(Law::Readable, row.version, format!("its postings do not read: {error}"));
            }
        };
        if stored != made {
            let what = format!(
                "its row posts {}, its events post {}",
                sentence(&stored),
                sentence(made)
            );
            self.find(Law::Postings, row.version, what);
        }
        let mut breaches = Vec::new();
        for posting in &stored {
            ledger::posting(posting, &mut breaches);
            if let Some(posted) = &mut self.posted {
                posted.add(posting);
            }
        }
        self.breaches(row.version, breaches);
    }

    fn news(&mut self, row: &EventRow, made: &[Named]) {
        match Named::of(row) {
            Ok(stored) if stored == made => {}
            Ok(stored) => {
                let names = |news: &[Named]| -> String {
                    let all: Vec<&str> = news.iter().map(|one| one.name.as_ref()).collect();
                    format!("[{}]", all.join(", "))
                };
                let what = format!("its row names {}, its events are {}", names(&stored), names(made));
                self.find(Law::News, row.version, what);
            }
            Err(damage) => self.find(Law::Readable, row.version, damage.to_string()),
        }
    }

    // ---- the row -------------------------------------------------------------------------------------------------------------------

    fn snapshot(&mut self, told: &View, events: &[EventRow]) {
        let row = self.row;
        let (kept, work) = match snapshot::read(row, events) {
            Ok(read) => read,
            Err(damage) => return self.find(Law::Snapshot, row.version, damage.to_string()),
        };
        if let Some((path, is, should)) = differs(&kept.order, &told.order) {
            let what = format!("`{path}` is {is} in its row, and its events make it {should}");
            self.find(Law::Snapshot, row.version, what);
        }
        // Without the values: an address of a payer's page opens that page.
        let learned = [differs(&kept.memos, &told.memos), differs(&kept.steps, &told.steps)];
        for (path, ..) in learned.into_iter().flatten() {
            let what = format!("what was learned of `{path}` is another thing in its row than in its events");
            self.find(Law::Snapshot, row.version, what);
        }
        if row.created_at != told.order.created_at {
            self.find(
                Law::Snapshot,
                row.version,
                "its row says that it was made at another moment than its events",
            );
        }
        self.work(&told.order, &work);
    }

    fn work(&mut self, order: &Order, work: &[Entry]) {
        let open: BTreeSet<StepName> = order.in_flight().iter().map(|step| step.step).collect();
        let noted: BTreeSet<StepName> = work.iter().map(|entry| entry.step).collect();
        if noted.len() != work.len() {
            self.find(Law::Work, self.row.version, "a step has two entries in its open work");
        }
        for step in open.difference(&noted) {
            let what = format!("step {step} is in flight, and the open work does not have it");
            self.find(Law::Work, self.row.version, what);
        }
        for step in noted.difference(&open) {
            let what = format!("step {step} is over, and the open work still has it");
            self.find(Law::Work, self.row.version, what);
        }
        if let Some(wanted) = snapshot::due(order, work) {
            let what = match self.row.due {
                None => "nobody ever looks at it",
                Some(due) if due > wanted => "it is looked at later than that",
                Some(_) => return,
            };
            let what = format!("something of it is due at {}, and {what}", moment_text(wanted));
            self.find(Law::Due, self.row.version, what);
        }
    }

    fn late(&mut self, moment: &Moment) {
        let leased = self.row.lease.is_some_and(|lease| lease.until > moment.clock);
        let Some(due) = self.row.due.filter(|_| !leased) else {
            return;
        };
        let late_s = moment.now.millis_since(due) / 1_000;
        if late_s > LATE_S {
            let what = format!("it has been due for {late_s} s, and nobody took it up");
            self.find(Law::Late, self.row.version, what);
        }
    }
}

fn named(before: Option<&Order>, after: &Order) -> impl Iterator<Item = Named> {
    let version = after.version;
    status::news(before, after).into_iter().map(move |news| Named {
        version,
        name: news.name.into(),
        part: news.part,
    })
}

/// Postings in words, for people.
fn sentence(postings: &[Posting]) -> String {
    let one = |posting: &Posting| {
        format!(
            "{} from {} to {} ({:?})",
            posting.amount,
            posting.credit.as_str(),
            posting.debit.as_str(),
            posting.template
        )
    };
    match postings {
        [] => "nothing".to_owned(),
        some => some.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

/// Where two things differ first: the path, and what stands there in each.
fn differs<T: Serialize + PartialEq>(is: &T, should: &T) -> Option<(String, String, String)> {
    if is == should {
        return None;
    }
    let value = |of: &T| serde_json::to_value(of).unwrap_or(Value::Null);
    let found = difference(&value(is), &value(should), "");
    Some(found.unwrap_or_else(|| (".".to_owned(), "different".to_owned(), "something else".to_owned())))
}

fn difference(is: &Value, should: &Value, path: &str) -> Option<(String, String, String)> {
    let at = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match (is, should) {
        (Value::Object(is), Value::Object(should)) => {
            let names: BTreeSet<&String> = is.keys().chain(should.keys()).collect();
            names.into_iter().find_map(|name| {
                let member = |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or(Value::Null);
                difference(&member(is), &member(should), &at(name))
            })
        }
        (Value::Array(is), Value::Array(should)) => (0..is.len().max(should.len())).find_map(|index| {
            let member = |of: &[Value]| of.get(index).cloned().unwrap_or(Value::Null);
            difference(&member(is), &member(should), &at(&index.to_string()))
        }),
        (is, should) if is == should => None,
        (is, should) => Some((path.to_owned(), brief(is), brief(should))),
    }
}

/// A value, cut short: a person wants to see what it is and not all of it.
fn brief(value: &Value) -> String {
    const CHARS_MAX: usize = 80;
    let text = value.to_string();
    let cut: String = text.chars().take(CHARS_MAX).collect();
    if cut.len() < text.len() {
        format!("{cut}…")
    } else {
        cut
    }
}
