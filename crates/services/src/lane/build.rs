//! Decides the jobs of a batch in the order in which they came, and makes one transaction of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use florin_core::id::OrderId;
use florin_core::order::{Refusal, StepName};
use florin_core::time::Timestamp;
use florin_store::{Batch, Changed, IdemKey, KeyRow, Lease, NoticeId, NoticeRow, Tenant};

use super::calls::answer_found;
use super::kept::Unfit;
use super::working::Working;
use super::{Job, LEASE_S, Lane, Loaded, Need, Output, Phase, Queued, Reply, TORN_MAX, Token, ask};
use crate::ask::{Denied, What};
use crate::fresh::Written;
use crate::snapshot::Made;
use crate::work::Act;

/// A batch under construction, and what is to be said and done when it is durable.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) jobs: Vec<Queued>,
    /// Boxed: they are large, and a tree moves what it holds.
    pub(super) orders: BTreeMap<OrderId, Box<Working>>,
    pub(super) answers: Vec<Pending>,
    /// Turns that were taken or dropped: their steps are free again.
    pub(super) turned: Vec<Settled>,
    pub(super) keys: BTreeMap<(Tenant, String), Bound>,
    pub(super) references: BTreeMap<(Tenant, String), OrderId>,
    pub(super) notices: Vec<NoticeRow>,
    pub(super) done: Vec<NoticeId>,
    /// The event rows of the batch, for the reader behind the commit.
    pub(super) written: Vec<Written>,
}

/// A worker's turn that this batch carries.
pub(super) struct Settled {
    pub(super) order: OrderId,
    pub(super) step: StepName,
    pub(super) ticket: u64,
}

/// What a key of this batch names.
pub(super) struct Bound {
    pub(super) hash: florin_store::Hash,
    /// None: it made the order, whose row keeps it.
    pub(super) later: Option<(OrderId, Option<StepName>, Option<Refusal>)>,
}

/// An answer that is given when the batch is durable.
pub(super) enum Pending {
    /// The order, when the step is over or needs the payer.
    Order(Token, OrderId, Option<StepName>),
    /// The rules said no.
    Refused(Token, OrderId, Refusal),
    /// The look that the payer's return asked for.
    Look(Token, OrderId, StepName),
    /// Anything that is known already.
    Ready(Token, Reply),
}

/// What became of a job in this batch.
pub(super) enum Taken {
    /// It is in the batch.
    Yes,
    /// It has to be decided on what the store says now, in the next batch.
    Unsure,
    /// The caller asked for what the rail cannot do; what the batch had made of the order must not be written.
    Poisoned(Denied),
}

impl Lane {
    /// Makes a batch of jobs. None: there is nothing to write, and all of it is settled.
    pub(super) fn build(&mut self, jobs: Vec<Queued>, mut loaded: Loaded, now: Timestamp) -> Option<Need> {
        let mut draft = Draft::default();
        let mut unsure = Vec::new();
        let mut jobs = jobs.into_iter();
        while let Some(mut queued) = jobs.next() {
            if let Some(order) = order_of(&queued.job)
                && matches!(loaded.orders.get(&order), Some(Err(Unfit::Torn)))
                && queued.torn < TORN_MAX
            {
                queued.torn += 1;
                queued.sure = true;
                unsure.push(queued);
                continue;
            }
            match self.take(&mut draft, &mut loaded, &queued, now) {
                Taken::Yes => draft.jobs.push(queued),
                Taken::Unsure => unsure.push(Queued { sure: true, ..queued }),
                Taken::Poisoned(denied) => {
                    // What was decided so far is forgotten with the draft, and decided again without this one.
                    self.deny(vec![queued], &denied);
                    unsure.append(&mut draft.jobs);
                    unsure.extend(jobs);
                    let again = unsure.into_iter().map(|queued| Queued { sure: true, ..queued });
                    self.requeue(again.collect());
                    return Some(Need::Pause(0));
                }
            }
        }
        self.requeue(unsure);
        let batch = self.batch(&mut draft, now);
        if batch.is_empty() {
            self.settle(draft, now);
            return None;
        }
        let batch = Arc::new(batch);
        self.phase = Phase::Committing(draft, Arc::clone(&batch));
        Some(Need::Commit(batch))
    }

    fn take(&mut self, draft: &mut Draft, loaded: &mut Loaded, queued: &Queued, now: Timestamp) -> Taken {
        match &queued.job {
            Job::Ask { token, ask, start } => match &ask.what {
                What::Create { order, .. } => {
                    self.create(draft, loaded, queued, (*token, ask, order), start.as_deref(), now)
                }
                What::Confirm { .. }
                | What::Leave { .. }
                | What::Capture { .. }
                | What::Void { .. }
                | What::Cancel { .. }
                | What::Refund { .. }
                | What::Amend { .. }
                | What::Describe { .. }
                | What::Back { .. }
                | What::Resolve { .. } => self.ask(draft, loaded, queued, (*token, ask), start.as_deref(), now),
            },
            Job::Turn(turned) => self.turned(draft, loaded, turned, now),
            Job::Due(row) => self.due(draft, loaded, row, now),
            Job::Notices { token, rows } => {
                draft.notices.extend(rows.iter().cloned());
                draft.answers.push(Pending::Ready(*token, Reply::Stored));
                Taken::Yes
            }
            Job::Told {
                tenant,
                order,
                id,
                item,
            } => self.told(draft, loaded, queued, (*tenant, *order, id, item), now),
            Job::Shelve { done, later } => {
                draft.done.extend(done.iter().cloned());
                draft.notices.extend(later.iter().cloned());
                Taken::Yes
            }
            Job::Mark(order) => {
                if let Ok(working) = self.working(draft, loaded, None, *order) {
                    let fence = working.kept.fence;
                    let unmarked = working
                        .kept
                        .work
                        .iter()
                        .filter(|entry| entry.act(now, fence) == Act::Mark);
                    for step in unmarked.map(|entry| entry.step).collect::<Vec<_>>() {
                        self.act(draft, *order, step, now);
                    }
                }
                Taken::Yes
            }
            Job::Nudge { order, step } => self.nudged(draft, loaded, queued, (*order, *step), now),
        }
    }

    /// The order in this batch. With a tenant it must be that tenant's.
    pub(super) fn working<'a>(
        &mut self,
        draft: &'a mut Draft,
        loaded: &mut Loaded,
        tenant: Option<Tenant>,
        order: OrderId,
    ) -> Result<&'a mut Working, Denied> {
        if self.frozen.contains_key(&order) {
            return Err(Denied::Damaged);
        }
        if let Entry::Vacant(free) = draft.orders.entry(order) {
            let working = match (self.cache.take(order), loaded.orders.remove(&order)) {
                (Some(kept), _) => Working::known(kept, false),
                (None, Some(Ok(kept))) => {
                    answer_found(&mut self.waiting, &mut self.outputs, &kept);
                    Working::known(kept, true)
                }
                (None, Some(Err(unfit))) => {
                    let why = match unfit {
                        Unfit::Torn => "its row and its events do not belong together".to_owned(),
                        Unfit::Damaged(why) => why,
                    };
                    self.outputs.push(Output::Damaged(order, why.clone()));
                    self.freeze(order, why);
                    return Err(Denied::Damaged);
                }
                (None, None) => return Err(Denied::NotFound),
            };
            free.insert(Box::new(working));
        }
        let working = draft.orders.get_mut(&order).ok_or(Denied::NotFound)?;
        match tenant {
            Some(tenant) if working.kept.view.tenant != tenant => Err(Denied::NotFound),
            Some(_) | None => Ok(working),
        }
    }

    fn batch(&self, draft: &mut Draft, now: Timestamp) -> Batch {
        let mut batch = Batch {
            notices: std::mem::take(&mut draft.notices),
            done: std::mem::take(&mut draft.done),
            lease_s: u32::try_from(LEASE_S).unwrap_or(u32::MAX),
            ..Batch::default()
        };
        for (id, working) in &mut draft.orders {
            let lease = self.lease(*id, working, &draft.turned);
            let Some(rows) = working.rows(lease, now) else { continue };
            match working.read {
                None => batch.new.push(rows.order),
                Some(read_version) => batch.changed.push(Changed {
                    read_version,
                    row: rows.order,
                }),
            }
            if let Some((event, written)) = rows.event {
                batch.events.push(event);
                draft.written.push(written);
            }
        }
        for ((tenant, key), bound) in std::mem::take(&mut draft.keys) {
            let Some((order, step, refused)) = bound.later else {
                continue;
            };
            let version = draft.orders.get(&order).map_or(0, |working| working.order().version);
            let made = Made {
                order,
                version,
                step,
                refused,
            };
            batch.keys.push(KeyRow {
                tenant,
                key: IdemKey {
                    key,
                    hash: bound.hash,
                    earlier: None,
                },
                made: made.text(),
                created_at: now,
            });
        }
        batch
    }

    /// The lease that the order has from this commit on.
    fn lease(&self, order: OrderId, working: &Working, turned: &[Settled]) -> Option<Lease> {
        let ours = Some(Lease {
            node: self.node,
            until: Lease::FROM_NOW,
        });
        let at_it = (self.busy.range((order, StepName::authorize(0))..))
            .take_while(|((of, _), _)| *of == order)
            .any(|((_, step), busy)| {
                !turned
                    .iter()
                    .any(|turn| (turn.order, turn.step, turn.ticket) == (order, *step, busy.ticket))
            });
        if at_it || !working.errands.is_empty() {
            return ours;
        }
        // A message of another node may be out, or of another lane of this one: their lease is left alone. What a turn of this batch
        // answers is out no more.
        let answered = |step| turned.iter().any(|turn| (turn.order, turn.step) == (order, step));
        working.kept.lease.filter(|lease| {
            let mut out = working.kept.work.iter().filter(|entry| entry.is_out());
            out.any(|entry| lease.node != self.node || !answered(entry.step))
        })
    }
}

fn order_of(job: &Job) -> Option<OrderId> {
    match job {
        Job::Ask { ask, .. } => ask::order_of(&ask.what),
        Job::Turn(turned) => Some(turned.order),
        Job::Due(row) => Some(row.id),
        Job::Told { order, .. } | Job::Mark(order) | Job::Nudge { order, .. } => Some(*order),
        Job::Notices { .. } | Job::Shelve { .. } => None,
    }
}
