//! One order while a batch is being made: what the commands of this batch make of it, and the rows that come of that.

use std::borrow::Cow;
use std::sync::Arc;

use florin_core::event::Event;
use florin_core::ledger::{self, Posting};
use florin_core::order::{Command, Fact, Order, Refusal, StepKind, StepName};
use florin_core::rail::Task;
use florin_core::status;
use florin_core::time::Timestamp;
use florin_store::{Cursor, EventRow, IdemKey, Lease, NoticeId, OrderRow, Tenant};

use super::kept::Kept;
use crate::chain;
use crate::fresh::Written;
use crate::reader::read::Read;
use crate::snapshot::{self, Learned, Named, TOLD_ROWS_MAX};
use crate::view::{Details, View};
use crate::work::Entry;
use crate::worker::Errand;

/// Room for the postings or the news of an event row of common size.
const LIST_BYTES: usize = 384;
/// What an order may ask of itself in one commit. The list runs dry by itself after a few (`order-machine.md` 3); this is a fence around
/// a mistake of ours.
const OWED_MAX: usize = 64;

pub(super) struct Working {
    pub(super) kept: Kept,
    /// The version that was read; none for a new order.
    pub(super) read: Option<u32>,
    /// Read from the store for this batch, not remembered.
    pub(super) fresh: bool,
    /// The row has to be written.
    pub(super) dirty: bool,
    /// What the worker is to do after the commit.
    pub(super) errands: Vec<(StepName, Errand, Vec<NoticeId>)>,
    /// The task of the step that was started last: its first errand needs no other.
    pub(super) started: Option<(StepName, Box<Task>)>,
    events: Vec<Event>,
    postings: Vec<Posting>,
    news: Vec<Named>,
    learned: Learned,
    described: bool,
}

/// The rows of one order in a batch.
pub(super) struct Rows {
    pub(super) order: OrderRow,
    pub(super) event: Option<(EventRow, Written)>,
}

impl Working {
    pub(super) fn known(kept: Kept, fresh: bool) -> Self {
        let read = Some(kept.version());
        Self::with(kept, read, fresh)
    }

    /// A new order: its first event is recorded.
    pub(super) fn new(
        tenant: Tenant,
        reference: String,
        key: Option<IdemKey>,
        made: (Order, Event),
        details: Arc<Details>,
        now: Timestamp,
    ) -> Self {
        let (order, event) = made;
        let view = View {
            tenant,
            reference,
            order,
            details,
            memos: Default::default(),
            steps: Default::default(),
        };
        let kept = Kept {
            view: Arc::new(view),
            work: Vec::new(),
            key,
            chain: chain::START,
            fence: 0,
            lease: None,
            created_at: now,
            rows: Vec::new(),
            told_bytes: 0,
            state_bytes: 0,
            details_bytes: 0,
        };
        let mut working = Self::with(kept, None, true);
        working.news.extend(named(None, &working.kept.view.order));
        working.events.push(event);
        working.described = true;
        working.dirty = true;
        working
    }

    fn with(kept: Kept, read: Option<u32>, fresh: bool) -> Self {
        Self {
            kept,
            read,
            fresh,
            dirty: false,
            errands: Vec::new(),
            started: None,
            events: Vec::new(),
            postings: Vec::new(),
            news: Vec::new(),
            learned: Learned::new(),
            described: false,
        }
    }

    pub(super) fn order(&self) -> &Order {
        &self.kept.view.order
    }

    /// Whether a reply about this order as it is holds: it was read now, or is written with this batch.
    pub(super) fn certain(&self) -> bool {
        self.fresh || !self.events.is_empty()
    }

    /// Carries out a command and all that it makes the order ask of itself. Answers whether anything happened.
    pub(super) fn command(&mut self, command: &Command, now: Timestamp) -> Result<bool, Refusal> {
        let Some(event) = self.order().decide(command, now)? else {
            return Ok(false);
        };
        self.record(event, now);
        for _ in 0..OWED_MAX {
            let Some(owed) = self.order().owed() else {
                return Ok(true);
            };
            let Ok(Some(event)) = self.order().decide(&owed, now) else {
                break;
            };
            self.record(event, now);
        }
        tracing::error!(order = %self.order().id, "what the order asks of itself does not run dry");
        Ok(true)
    }

    /// Tells the order a fact. A fact is never refused.
    pub(super) fn fact(&mut self, fact: Fact, now: Timestamp) -> bool {
        self.command(&Command::Fact(fact), now).unwrap_or_else(|refusal| {
            tracing::error!(order = %self.order().id, %refusal, "a fact was refused");
            false
        })
    }

    fn record(&mut self, event: Event, now: Timestamp) {
        let view = Arc::make_mut(&mut self.kept.view);
        let before = view.order.clone();
        view.order.apply(&event, now);
        self.postings.extend(ledger::between(&before, &view.order, &event));
        self.news.extend(named(Some(&before), &view.order));
        self.events.push(event);
        self.dirty = true;
    }

    /// Keeps what a rail learned: with the attempt, and for other steps with the step too, where a later one of the same attempt does not
    /// overwrite it. Answers whether anything is new.
    pub(super) fn learn(&mut self, step: StepName, facts: impl IntoIterator<Item = (String, String)>) -> bool {
        let mut new = false;
        for (name, value) in facts {
            let view = Arc::make_mut(&mut self.kept.view);
            if step.kind != StepKind::Authorize {
                let memo = view.steps.entry(step).or_default();
                if memo.get(&name) != Some(&value) {
                    memo.insert(name.clone(), value.clone());
                    let learned = self.learned.entry(step.to_string()).or_default();
                    learned.insert(name.clone(), value.clone());
                    new = true;
                }
            }
            let memo = view.memos.entry(step.attempt).or_default();
            if memo.get(&name) != Some(&value) {
                memo.insert(name.clone(), value.clone());
                let learned = self.learned.entry(step.attempt.to_string()).or_default();
                learned.insert(name, value);
                new = true;
            }
        }
        new
    }

    /// Replaces what the order is for.
    pub(super) fn describe(&mut self, details: Details) {
        Arc::make_mut(&mut self.kept.view).details = Arc::new(details);
        self.described = true;
    }

    /// Makes sure that what changes in this commit moves the version, so that no other node writes over it unseen.
    pub(super) fn move_version(&mut self, now: Timestamp) {
        if self.events.is_empty() {
            self.record(Event::Described, now);
        }
    }

    pub(super) fn entry(&mut self, step: StepName) -> Option<&mut Entry> {
        self.kept.work.iter_mut().find(|entry| entry.step == step)
    }

    /// The rows to be written, if any. `lease` is the order's lease from this commit on.
    pub(super) fn rows(&mut self, lease: Option<Lease>, now: Timestamp) -> Option<Rows> {
        if !self.learned.is_empty() || self.described {
            self.move_version(now);
        }
        if !self.dirty {
            return None;
        }
        let view = Arc::clone(&self.kept.view);
        let event = (!self.events.is_empty()).then(|| {
            let details = self.described.then_some(&*view.details);
            let body = snapshot::body(&self.events, &self.learned, details);
            let postings = json(&self.postings);
            let news = json(&self.news);
            let hash = chain::link(&self.kept.chain, &body, postings.as_deref(), news.as_deref());
            let row = EventRow {
                at: Cursor::START,
                order: view.order.id,
                tenant: view.tenant,
                version: view.order.version,
                count: u32::try_from(self.events.len()).unwrap_or(u32::MAX),
                time: now,
                body,
                postings,
                news,
                hash,
            };
            let read = Read::written(
                &self.events,
                std::mem::take(&mut self.learned),
                details,
                std::mem::take(&mut self.news),
                std::mem::take(&mut self.postings),
            );
            self.events.clear();
            let read = Box::new(read);
            (row, Written { hash, read })
        });
        if let Some((event, _)) = &event {
            self.kept.chain = event.hash;
            if self.kept.rows.len() < TOLD_ROWS_MAX {
                self.kept.rows.push(now);
                self.kept.told_bytes += event.body.len();
            } else {
                self.kept.rows.resize(TOLD_ROWS_MAX + 1, now);
                self.kept.told_bytes = 0;
            }
            if self.described {
                self.kept.details_bytes = event.body.len();
            }
        }
        self.kept.lease = lease;
        let work = snapshot::work(&self.kept.work);
        let state = snapshot::state(&view, &self.kept.rows, &self.kept.chain, work.as_deref());
        self.kept.state_bytes = state.len() + work.as_ref().map_or(0, String::len);
        let order = OrderRow {
            id: view.order.id,
            tenant: view.tenant,
            reference: view.reference.clone(),
            key: self.kept.key.clone(),
            version: view.order.version,
            state,
            chain: self.kept.chain,
            due: snapshot::due(&view.order, &self.kept.work),
            work,
            fence: self.kept.fence,
            lease,
            created_at: self.kept.created_at,
        };
        Some(Rows { order, event })
    }
}

fn named(before: Option<&Order>, after: &Order) -> impl Iterator<Item = Named> {
    let version = after.version;
    status::news(before, after).into_iter().map(move |news| Named {
        version,
        name: Cow::Borrowed(news.name),
        part: news.part,
    })
}

fn json<T: serde::Serialize>(list: &[T]) -> Option<String> {
    (!list.is_empty()).then(|| snapshot::text_of(list, LIST_BYTES))
}
