//! How an order is written down: the snapshot in its row, the body of an event row, what an idempotency key names; and how they are read
//! back and proven.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use florin_core::event::{self, Event};
use florin_core::order::{Order, Refusal, StepName};
use florin_core::rail::Memo;
use florin_core::time::Timestamp;
use florin_store::{EventRow, Hash, OrderRow};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chain;
use crate::view::{Details, View};
use crate::work::Entry;

/// What was learned in one commit: an attempt's number or a step's name ▸ name ▸ value.
pub type Learned = BTreeMap<String, Memo>;

/// Why stored bytes are not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damage(pub String);

fn damage(what: &str, error: impl std::fmt::Display) -> Damage {
    Damage(format!("{what}: {error}"))
}

// ---- snapshot -------------------------------------------------------------------------------------------------------------------

/// Event rows up to which an order is told by them alone. Whoever reads an order reads its events too, and folds so few of them sooner
/// than a snapshot is read; a sale has two.
pub(crate) const TOLD_ROWS_MAX: usize = 4;

/// The snapshot in an order's row, without its sum.
#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    /// The event rows of these moments tell the order.
    Told { rows: &'a [Timestamp] },
    /// The order as they leave it.
    Whole {
        order: &'a Order,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        memos: &'a BTreeMap<u8, Memo>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        steps: &'a BTreeMap<StepName, Memo>,
    },
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    rows: Option<Vec<Timestamp>>,
    #[serde(default)]
    order: Option<Order>,
    #[serde(default)]
    memos: BTreeMap<u8, Memo>,
    #[serde(default)]
    steps: BTreeMap<StepName, Memo>,
}

/// Room for a snapshot of common size, so that it is written without being moved while it grows.
const STATE_BYTES: usize = 1_024;
/// The same for one that names only moments, with its sum.
const TOLD_BYTES: usize = 128;
/// The same for open work: a message and its headers.
const WORK_BYTES: usize = 1_536;

/// A value of ours as JSON.
pub(crate) fn text_of<T: Serialize + ?Sized>(value: &T, bytes: usize) -> String {
    let mut text = Vec::with_capacity(bytes);
    write_json(value, &mut text);
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// The same behind what is there.
fn write_json<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) {
    crate::json::write(value, to).expect("what we store has string keys and whole numbers");
}

/// What stands between a snapshot and the sum that proves it.
const SUM: &str = ",\"sum\":\"";

/// The snapshot of an order whose event rows are of these moments, with a sum over itself, the chain that it stands on and the open work
/// beside it. While the rows are few it names only the moments, which the chain leaves out.
pub(crate) fn state(view: &View, rows: &[Timestamp], chain: &Hash, work: Option<&str>) -> String {
    let (written, room) = if rows.len() <= TOLD_ROWS_MAX {
        (Written::Told { rows }, TOLD_BYTES)
    } else {
        let whole = Written::Whole {
            order: &view.order,
            memos: &view.memos,
            steps: &view.steps,
        };
        (whole, STATE_BYTES)
    };
    summed(text_of(&written, room), chain, work)
}

/// A snapshot with its sum.
fn summed(mut bare: String, chain: &Hash, work: Option<&str>) -> String {
    let sum = chain::seal(chain, &[&bare, work.unwrap_or("")]);
    bare.pop();
    let _ = write!(bare, "{SUM}{sum}\"}}");
    bare
}

/// The snapshot of a row without its sum, which proves it.
fn bare(row: &OrderRow) -> Result<String, Damage> {
    let parts = row.state.rfind(SUM).map(|at| row.state.split_at(at));
    let (bare, rest) = parts.ok_or_else(|| Damage("its snapshot has no sum".into()))?;
    let bare = format!("{bare}}}");
    let sum = chain::seal(&row.chain, &[&bare, row.work.as_deref().unwrap_or("")]);
    if rest.strip_prefix(SUM).and_then(|rest| rest.strip_suffix("\"}")) != Some(&sum) {
        return Err(Damage("its snapshot or its open work was changed".into()));
    }
    Ok(bare)
}

/// The snapshot of a row beside other open work.
pub(crate) fn beside(row: &OrderRow, work: Option<&str>) -> Result<String, Damage> {
    Ok(summed(bare(row)?, &row.chain, work))
}

/// The open work of a row, proven by the sum.
pub(crate) fn proven_work(row: &OrderRow) -> Result<Vec<Entry>, Damage> {
    bare(row)?;
    open_work(row)
}

/// The open work of an order, if there is any.
pub(crate) fn work(entries: &[Entry]) -> Option<String> {
    (!entries.is_empty()).then(|| text_of(entries, WORK_BYTES))
}

/// An order as it was written, with its open work: the snapshot proven by its sum, and what it leaves to the events read from them. `events`
/// are the order's, oldest first, from the first to the row's version at least; whether they are whole is for [`chain::walk`] to say.
pub(crate) fn read(row: &OrderRow, events: &[EventRow]) -> Result<(View, Vec<Entry>), Damage> {
    let bare = bare(row)?;
    let stored: Stored = serde_json::from_str(&bare).map_err(|error| damage("its snapshot does not read", error))?;
    let known = events.iter().take_while(|event| event.version <= row.version).count();
    let events = &events[..known];
    let view = match stored {
        Stored {
            order: Some(mut order),
            memos,
            steps,
            ..
        } => {
            if order.has_undated() {
                date(&mut order, events)?;
            }
            if order.has_undated_end() {
                let mut fold = Fold::default();
                for event in events {
                    fold.row(event, &row.reference)?;
                }
                if let Some(told) = fold.end() {
                    order.date_end(&told.order);
                }
            }
            View {
                tenant: row.tenant,
                reference: row.reference.clone(),
                order,
                details: details_of(events)?,
                memos,
                steps,
            }
        }
        Stored { rows: Some(rows), .. } => told(row, events, &rows)?,
        Stored { .. } => return Err(Damage("its snapshot is empty".into())),
    };
    if view.order.version != row.version || view.order.id != row.id {
        return Err(Damage("its snapshot is of another order or version".into()));
    }
    Ok((view, open_work(row)?))
}

/// A snapshot of an older release does not say when steps were asked for: the events do.
fn date(order: &mut Order, events: &[EventRow]) -> Result<(), Damage> {
    for row in events {
        for event in Body::read(&row.body)?.events {
            order.date(&event, row.time);
        }
    }
    Ok(())
}

/// An order that its event rows tell alone.
fn told(row: &OrderRow, events: &[EventRow], moments: &[Timestamp]) -> Result<View, Damage> {
    if moments.len() != events.len() {
        let (told, found) = (moments.len(), events.len());
        return Err(Damage(format!(
            "it is told by {told} event rows, and there are {found}"
        )));
    }
    let mut fold = Fold::default();
    for (event, moment) in events.iter().zip(moments) {
        if (event.time, event.tenant) != (*moment, row.tenant) {
            let version = event.version;
            return Err(Damage(format!(
                "its event row at version {version} has another moment or tenant"
            )));
        }
        fold.row(event, &row.reference)?;
    }
    fold.end().ok_or_else(|| Damage("it has no events".into()))
}

// ---- events ---------------------------------------------------------------------------------------------------------------------

/// The body of an event row: events, what was learned, and what the order is for when that is new.
pub(crate) fn body(events: &[Event], learned: &Learned, details: Option<&Details>) -> String {
    let mut text = Vec::with_capacity(if details.is_some() {
        STATE_BYTES * 2
    } else {
        events.len() * 160 + 64
    });
    text.extend_from_slice(b"{\"e\":[");
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        event::store(event, &mut text);
    }
    text.push(b']');
    if !learned.is_empty() {
        text.extend_from_slice(b",\"l\":");
        write_json(learned, &mut text);
    }
    if let Some(details) = details {
        text.extend_from_slice(b",\"d\":");
        write_json(details, &mut text);
    }
    text.push(b'}');
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// An event row, read.
#[derive(Clone, Debug)]
pub struct Body {
    /// What happened.
    pub events: Vec<Event>,
    /// What was learned.
    pub learned: Learned,
    /// What the order is for, if that is new.
    pub details: Option<Details>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    e: Vec<&'a RawValue>,
    #[serde(default)]
    l: Learned,
    #[serde(default)]
    d: Option<Details>,
}

impl Body {
    /// Reads the body of an event row, of whatever release.
    pub fn read(text: &str) -> Result<Self, Damage> {
        let raw: Raw<'_> = serde_json::from_str(text).map_err(|error| damage("an event row does not read", error))?;
        let events = raw
            .e
            .into_iter()
            .map(|event| event::read(event.get()))
            .collect::<Result<_, _>>();
        Ok(Self {
            events: events.map_err(|error| damage("an event does not read", error))?,
            learned: raw.l,
            details: raw.d,
        })
    }
}

/// An order as its events tell it, one row after the other.
#[derive(Debug, Default)]
pub struct Fold {
    view: Option<View>,
}

impl Fold {
    /// What the next event row makes of the order; rows come oldest first.
    pub fn row(&mut self, row: &EventRow, reference: &str) -> Result<&View, Damage> {
        self.row_with(row, reference, &mut |_| {})
    }

    /// The same, and says how the order stood after each event of the row.
    pub fn row_with(&mut self, row: &EventRow, reference: &str, each: &mut dyn FnMut(&View)) -> Result<&View, Damage> {
        let body = Body::read(&row.body)?;
        let mut events = body.events.into_iter();
        let new = self.view.is_none();
        let mut view = match self.view.take() {
            Some(view) => view,
            None => match events.next() {
                Some(Event::Created { order, terms }) => View {
                    tenant: row.tenant,
                    reference: reference.to_owned(),
                    order: Order::open(order, terms, row.time).0,
                    details: Arc::default(),
                    memos: BTreeMap::new(),
                    steps: BTreeMap::new(),
                },
                Some(other) => return Err(Damage(format!("its first event is `{}`", other.kind()))),
                None => return Err(Damage("its first event row is empty".into())),
            },
        };
        for (whose, learned) in body.learned {
            if let Ok(attempt) = whose.parse() {
                view.memos.entry(attempt).or_default().extend(learned);
            } else if let Ok(step) = whose.parse() {
                view.steps.entry(step).or_default().extend(learned);
            } else {
                return Err(Damage(format!(
                    "something was learned for `{whose}`, which is no attempt and no step"
                )));
            }
        }
        if let Some(details) = body.details {
            view.details = Arc::new(details);
        }
        if new {
            each(&view);
        }
        for event in events {
            view.order.apply(&event, row.time);
            each(&view);
        }
        if view.order.version != row.version {
            return Err(Damage(format!("its events do not add up to version {}", row.version)));
        }
        Ok(self.view.insert(view))
    }

    /// The order after the last row.
    pub fn end(self) -> Option<View> {
        self.view
    }
}

/// What an order is for, as the newest row that says so says it.
fn details_of(rows: &[EventRow]) -> Result<Arc<Details>, Damage> {
    for row in rows.iter().rev() {
        let may_say = row.version == row.count || row.body.contains("\"d\":{");
        if may_say && let Some(details) = Body::read(&row.body)?.details {
            return Ok(Arc::new(details));
        }
    }
    Ok(Arc::default())
}

// ---- keys -----------------------------------------------------------------------------------------------------------------------

/// The open work of an order, as its row holds it.
pub fn open_work(row: &OrderRow) -> Result<Vec<Entry>, Damage> {
    match &row.work {
        Some(text) => serde_json::from_str(text).map_err(|error| damage("its open work does not read", error)),
        None => Ok(Vec::new()),
    }
}

/// What a call with an idempotency key did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// Which order.
    pub(crate) order: florin_core::id::OrderId,
    /// The version of the row in which it was carried out.
    pub(crate) version: u32,
    /// The step that it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<StepName>,
    /// Why the rules said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<Refusal>,
}

impl Made {
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("what a key names has string keys and whole numbers")
    }
}

/// When something of an order is due next: the nearest of its timers and of its open work.
pub(crate) fn due(order: &Order, work: &[Entry]) -> Option<Timestamp> {
    let timers = order.timers().into_iter().map(|(at, _)| at);
    timers.chain(work.iter().map(|entry| entry.due)).min()
}

// ---- news -----------------------------------------------------------------------------------------------------------------------

/// The public name of one change, as the `news` column of an event row lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The version of the event that made it: event ids are `evt_<order><version>`, with a letter when one event has several names.
    #[serde(rename = "v")]
    pub version: u32,
    /// `order.captured`, `refund.succeeded`, …
    #[serde(rename = "n")]
    pub name: std::borrow::Cow<'static, str>,
    /// The part that it is about; none: the order.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub part: Option<florin_core::id::PartId>,
}

/// The public ids of the names of one event row, in their order: a letter tells the names of one event apart.
pub fn event_ids(order: florin_core::id::OrderId, names: &[Named]) -> Vec<String> {
    let ids = names.iter().enumerate().map(|(at, named)| {
        let of_version = |other: &&Named| other.version == named.version;
        let id = florin_core::id::PartId {
            kind: florin_core::id::Part::Event,
            order,
            number: u16::try_from(named.version).unwrap_or(u16::MAX),
        };
        let before = names[..at].iter().filter(of_version).count();
        match names.iter().filter(of_version).count() {
            1 => id.to_string(),
            _ => format!("{id}{}", char::from(b'a' + u8::try_from(before).unwrap_or(25).min(25))),
        }
    });
    ids.collect()
}

impl Named {
    /// The names of an event row, in their order.
    pub fn of(row: &EventRow) -> Result<Vec<Self>, Damage> {
        match &row.news {
            Some(text) => {
                serde_json::from_str(text).map_err(|error| damage("the news of an event row do not read", error))
            }
            None => Ok(Vec::new()),
        }
    }
}

/// An order from its row and the events that it stands on, whose chain was walked ([`crate::chain::walk`]).
pub fn read_whole(row: &OrderRow, events: &[EventRow]) -> Result<View, Damage> {
    Ok(read(row, events)?.0)
}
