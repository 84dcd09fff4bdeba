//! Decides the jobs of a batch in the order in which they came, and makes one transaction of them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use florin_core::id::OrderId;
use florin_core::order::{Command, Order, Refusal, StepName};
use florin_core::rail::{About, Item, Next};
use florin_core::time::Timestamp;
use florin_store::{Batch, Changed, Found, IdemKey, KeyRow, Lease, NoticeId, NoticeRow, OrderRow, Tenant};

use super::kept::{Kept, Unfit};
use super::working::Working;
use super::{
    AFTER_MAX, Job, LEASE_S, Lane, Loaded, Need, Output, Phase, Queued, Rebuild, Reply, TORN_MAX, Token, Waiter, ask,
    open, turn,
};
use crate::ask::{Ask, Denied, NewOrder, What};
use crate::fresh::Written;
use crate::snapshot::{self, Made};
use crate::work::{Act, Place, Spot};
use crate::worker::{Errand, Turned};

/// A batch under construction, and what is to be said and done when it is durable.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) jobs: Vec<Queued>,
    /// Boxed: they are large, and a tree moves what it holds.
    pub(super) orders: BTreeMap<OrderId, Box<Working>>,
    pub(super) answers: Vec<Pending>,
    /// Turns that were taken or dropped: their steps are free again.
    pub(super) turned: Vec<Settled>,
    keys: BTreeMap<(Tenant, String), Bound>,
    references: BTreeMap<(Tenant, String), OrderId>,
    notices: Vec<NoticeRow>,
    done: Vec<NoticeId>,
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
struct Bound {
    hash: florin_store::Hash,
    /// None: it made the order, whose row keeps it.
    later: Option<(OrderId, Option<StepName>, Option<Refusal>)>,
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
enum Taken {
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
    fn working<'a>(
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

    // ---- doors ---------------------------------------------------------------------------------------------------------------------

    fn create(
        &mut self,
        draft: &mut Draft,
        loaded: &mut Loaded,
        queued: &Queued,
        (token, ask, new): (Token, &Ask, &NewOrder),
        start: Option<&super::Start>,
        now: Timestamp,
    ) -> Taken {
        let Some(id) = new.id else {
            return Taken::Poisoned(Denied::NotFound);
        };
        let named = (ask.tenant, new.reference.clone());
        if let Some(key) = &ask.key {
            if draft.keys.contains_key(&(ask.tenant, key.key.clone())) {
                return Taken::Unsure; // its answer is found when the first one is durable
            }
            if let Some(reply) = replay(loaded, ask.tenant, key) {
                draft.answers.push(Pending::Ready(token, reply));
                return Taken::Yes;
            }
        }
        if let Some(order) = draft.references.get(&named).or(loaded.by_reference.get(&named)) {
            let denied = Denied::ReferenceTaken { order: *order };
            if queued.sure {
                draft.answers.push(Pending::Ready(token, Reply::Denied(denied)));
                return Taken::Yes;
            }
            return Taken::Unsure; // the one that has it is not durable yet
        }
        let made = Order::open(id, ask::terms(new, now), now);
        let details = Arc::clone(&new.details);
        let mut working = Working::new(ask.tenant, new.reference.clone(), ask.key.clone(), made, details, now);
        let mut step = None;
        if start.is_some() {
            match ask::carry_out(&mut working, &ask.what, start, now) {
                Ok(did) => step = did.step,
                Err(refusal) => {
                    let denied = Denied::Misuse {
                        param: "amount",
                        code: "invalid_value",
                        detail: refusal.to_string(),
                    };
                    draft.answers.push(Pending::Ready(token, Reply::Denied(denied)));
                    return Taken::Yes;
                }
            }
            if let Err(cannot) = open::settle(&self.world, &mut working, true, now) {
                draft
                    .answers
                    .push(Pending::Ready(token, Reply::Denied(unstarted(cannot))));
                return Taken::Yes;
            }
        }
        draft.orders.insert(id, Box::new(working));
        draft.references.insert(named, id);
        if let Some(key) = &ask.key {
            let bound = Bound {
                hash: key.hash,
                later: None,
            };
            draft.keys.insert((ask.tenant, key.key.clone()), bound);
        }
        draft.answers.push(Pending::Order(token, id, step));
        Taken::Yes
    }

    fn ask(
        &mut self,
        draft: &mut Draft,
        loaded: &mut Loaded,
        queued: &Queued,
        (token, ask): (Token, &Ask),
        start: Option<&super::Start>,
        now: Timestamp,
    ) -> Taken {
        let Some(id) = ask::order_of(&ask.what) else {
            return Taken::Yes;
        };
        if let Some(key) = &ask.key {
            if draft.keys.contains_key(&(ask.tenant, key.key.clone())) {
                return Taken::Unsure;
            }
            if let Some(reply) = replay(loaded, ask.tenant, key) {
                draft.answers.push(Pending::Ready(token, reply));
                return Taken::Yes;
            }
        }
        if let What::Back { params, .. } = &ask.what {
            return self.back(draft, loaded, queued, (token, ask.tenant, id), params);
        }
        let working = match self.working(draft, loaded, Some(ask.tenant), id) {
            Ok(working) => working,
            Err(denied) => {
                draft.answers.push(Pending::Ready(token, Reply::Denied(denied)));
                return Taken::Yes;
            }
        };
        let certain = working.certain();
        let did = ask::carry_out(working, &ask.what, start, now);
        // A no, or "as before", about an order that is only remembered may be about what it was.
        let idle = did.as_ref().map_or(true, |did| !did.changed);
        // What is under way may be this very call, made before: its key is looked for, because a no that is not kept would not meet it.
        let own = matches!(did, Err(Refusal::StepInFlight)) && ask.key.is_some() && !queued.sure;
        if idle && !certain || own {
            return Taken::Unsure;
        }
        let later = match did {
            Ok(did) => {
                let caller = !matches!(ask.what, What::Resolve { .. });
                if let Err(cannot) = self.settle_work(draft, id, caller, now) {
                    return Taken::Poisoned(unstarted(cannot));
                }
                draft.answers.push(Pending::Order(token, id, did.step));
                (id, did.step, None)
            }
            Err(refusal) => {
                draft.answers.push(Pending::Refused(token, id, refusal.clone()));
                (id, None, Some(refusal))
            }
        };
        // What is refused only because something else is under way may be asked again under the same key.
        let passes = matches!(later.2, Some(Refusal::StepInFlight));
        if let Some(key) = ask.key.as_ref().filter(|_| !passes) {
            let bound = Bound {
                hash: key.hash,
                later: Some(later),
            };
            draft.keys.insert((ask.tenant, key.key.clone()), bound);
        }
        Taken::Yes
    }

    /// The payer came back: the rail is told, and the caller waits for what it finds.
    fn back(
        &mut self,
        draft: &mut Draft,
        loaded: &mut Loaded,
        queued: &Queued,
        (token, tenant, id): (Token, Tenant, OrderId),
        params: &BTreeMap<String, String>,
    ) -> Taken {
        let working = match self.working(draft, loaded, Some(tenant), id) {
            Ok(working) => working,
            Err(denied) => {
                draft.answers.push(Pending::Ready(token, Reply::Denied(denied)));
                return Taken::Yes;
            }
        };
        let certain = working.certain();
        let step = working
            .order()
            .running()
            .map(|attempt| StepName::authorize(attempt.number));
        let waits = step
            .and_then(|step| working.entry(step))
            .is_some_and(|entry| matches!(entry.at, Place::Wait { .. }));
        if !waits && !certain {
            return Taken::Unsure;
        }
        let Some(step) = step else {
            draft.answers.push(Pending::Order(token, id, None));
            return Taken::Yes;
        };
        if let Some(busy) = self.busy.get_mut(&(id, step)) {
            if busy.after.len() < AFTER_MAX {
                busy.after.push(queued.clone());
            } else {
                draft.answers.push(Pending::Look(token, id, step));
            }
            return Taken::Yes;
        }
        if working.errands.iter().any(|(of, ..)| *of == step) {
            return Taken::Unsure;
        }
        if waits {
            working.errands.push((step, Errand::Back(params.clone()), Vec::new()));
            draft.answers.push(Pending::Look(token, id, step));
        } else {
            draft.answers.push(Pending::Order(token, id, Some(step)));
        }
        Taken::Yes
    }

    // ---- rails and time ------------------------------------------------------------------------------------------------------------

    fn turned(&mut self, draft: &mut Draft, loaded: &mut Loaded, turned: &Turned, now: Timestamp) -> Taken {
        let (id, step) = (turned.order, turned.step);
        draft.turned.push(Settled {
            order: id,
            step,
            ticket: turned.ticket,
        });
        let ours = (self.busy.get(&(id, step)))
            .filter(|busy| busy.ticket == turned.ticket)
            .map(|busy| busy.fence);
        let working = match self.working(draft, loaded, Some(turned.tenant), id) {
            Ok(working) => working,
            Err(denied) => {
                tracing::error!(order = %id, %step, %denied, "what a provider said cannot be written");
                return Taken::Yes;
            }
        };
        // A claim of our own while the errand ran raised the fence, and it is still ours.
        let current = working.kept.fence == turned.fence || ours == Some(working.kept.fence);
        let whole = turn::take(working, turned, current, now);
        if let Err(cannot) = self.settle_work(draft, id, false, now) {
            tracing::error!(order = %id, %step, %cannot, "an owed step cannot be started");
        }
        // A question about a step that is over is asked by nobody else: one that brought nothing is asked again.
        let inconclusive =
            turned.at == Spot::Finished && matches!(turned.turn.next, Next::Unclear | Next::Again { .. });
        // Told again when the step is over: only then a rail looks for what else happened to it.
        if whole && !inconclusive && !turned.early {
            draft.done.extend(turned.done.iter().cloned());
        } else {
            self.outputs.extend(turned.done.iter().cloned().map(Output::Untold));
        }
        Taken::Yes
    }

    fn due(&mut self, draft: &mut Draft, loaded: &mut Loaded, row: &OrderRow, now: Timestamp) -> Taken {
        // Another node's changes of open work do not move the version, so the claimed row replaces what is remembered.
        if let Some(kept) = self.cache.take(row.id).filter(|_| !draft.orders.contains_key(&row.id)) {
            // The same chain is the same events, and those are the same order.
            match snapshot::proven_work(row) {
                Ok(work) if kept.chain == row.chain => {
                    let kept = Kept {
                        work,
                        fence: row.fence,
                        lease: row.lease,
                        ..kept
                    };
                    draft.orders.insert(row.id, Box::new(Working::known(kept, true)));
                }
                Ok(_) | Err(_) => return Taken::Unsure,
            }
        }
        // A turn of this batch frees its step when it is written: what is due is decided after that, or nobody would do it under this lease.
        if draft.turned.iter().any(|turned| turned.order == row.id) {
            return Taken::Unsure;
        }
        let node = self.node;
        let Ok(working) = self.working(draft, loaded, None, row.id) else {
            return Taken::Yes;
        };
        if working.kept.fence < row.fence {
            return Taken::Unsure; // claimed twice in one batch: whoever decides by the first claim cannot write
        }
        let ours = working.kept.fence == row.fence && working.kept.lease.is_none_or(|lease| lease.node == node);
        if !ours {
            return Taken::Yes; // somebody has taken it over since
        }
        let fence = working.kept.fence;
        let timers: Vec<Command> = (working.order().timers().into_iter())
            .filter(|(at, _)| *at <= now)
            .map(|(_, command)| command)
            .collect();
        for command in timers {
            if let Err(refusal) = working.command(&command, now) {
                tracing::error!(order = %row.id, %refusal, "a timer was refused");
            }
        }
        let due: Vec<StepName> = (working.kept.work.iter())
            .filter(|entry| entry.due <= now || entry.is_out())
            .map(|entry| entry.step)
            .collect();
        if let Err(cannot) = self.settle_work(draft, row.id, false, now) {
            tracing::error!(order = %row.id, %cannot, "an owed step cannot be started");
        }
        for step in due {
            if let Some(busy) = self.busy.get_mut(&(row.id, step)) {
                busy.fence = fence;
                continue;
            }
            let not_yet = (draft.orders.get_mut(&row.id).and_then(|working| working.entry(step)))
                .is_some_and(|entry| entry.due > now && entry.was_put_off());
            if !not_yet {
                self.act(draft, row.id, step, now);
            }
        }
        let busy = self.is_busy(row.id);
        if let Some(working) = draft.orders.get_mut(&row.id) {
            // Nothing to be done after all: the lease is given back and the next moment is written.
            working.dirty |= working.errands.is_empty() && !busy;
        }
        Taken::Yes
    }

    fn told(
        &mut self,
        draft: &mut Draft,
        loaded: &mut Loaded,
        queued: &Queued,
        (tenant, order, id, item): (Tenant, OrderId, &NoticeId, &Item),
        now: Timestamp,
    ) -> Taken {
        let working = match self.working(draft, loaded, Some(tenant), order) {
            Ok(working) => working,
            // A notice about somebody else's order, or about none, says nothing.
            Err(Denied::NotFound) => {
                draft.done.push(id.clone());
                return Taken::Yes;
            }
            Err(
                Denied::Refused { .. }
                | Denied::KeyReused
                | Denied::ReferenceTaken { .. }
                | Denied::Misuse { .. }
                | Denied::Busy { .. }
                | Denied::Unavailable { .. }
                | Denied::Full
                | Denied::Damaged,
            ) => {
                self.outputs.push(Output::Untold(id.clone()));
                return Taken::Yes;
            }
        };
        let certain = working.certain();
        let step = about(working, &item.about);
        let waits = step
            .and_then(|step| working.entry(step))
            .is_some_and(|entry| matches!(entry.at, Place::Wait { .. }));
        if !waits && !certain {
            return Taken::Unsure; // what is remembered may be older than what the notice is about
        }
        let Some(step) = step else {
            draft.done.push(id.clone());
            return Taken::Yes;
        };
        if let Some(busy) = self.busy.get_mut(&(order, step)) {
            if busy.after.len() < AFTER_MAX {
                busy.after.push(queued.clone());
            } else {
                self.outputs.push(Output::Untold(id.clone()));
            }
            return Taken::Yes;
        }
        if working.errands.iter().any(|(of, ..)| *of == step) {
            return Taken::Unsure;
        }
        let errand = Errand::Told(item.clone());
        match working.entry(step).map(|entry| &entry.at) {
            Some(Place::Wait { .. }) => working.errands.push((step, errand, vec![id.clone()])),
            // Told when its exchange is over; a copy that was to go later goes now, because something happened there.
            Some(Place::Out { .. } | Place::Held) => {
                self.nudge(draft, order, step, now);
                self.outputs.push(Output::Untold(id.clone()));
            }
            None => working.errands.push((step, errand, vec![id.clone()])),
        }
        Taken::Yes
    }

    fn nudged(
        &mut self,
        draft: &mut Draft,
        loaded: &mut Loaded,
        queued: &Queued,
        (order, only): (OrderId, Option<StepName>),
        now: Timestamp,
    ) -> Taken {
        let Ok(working) = self.working(draft, loaded, None, order) else {
            return Taken::Yes;
        };
        if !working.certain() {
            return Taken::Unsure;
        }
        let steps: Vec<StepName> = working.kept.work.iter().map(|entry| entry.step).collect();
        for step in steps.into_iter().filter(|step| only.is_none_or(|only| only == *step)) {
            // Its errand may have ended before the provider was back, and only its turn is on the way.
            if let Some(busy) = self.busy.get_mut(&(order, step)) {
                if busy.after.len() < AFTER_MAX {
                    let job = Job::Nudge {
                        order,
                        step: Some(step),
                    };
                    busy.after.push(Queued { job, ..queued.clone() });
                }
            } else {
                self.nudge(draft, order, step, now);
            }
        }
        Taken::Yes
    }

    /// Does now what an entry will be due for. A lease says that its message may be out, through another lane of this node too: then
    /// whoever has the order when it is due does it.
    fn nudge(&mut self, draft: &mut Draft, order: OrderId, step: StepName, now: Timestamp) {
        let leased = (draft.orders.get_mut(&order)).is_some_and(|working| {
            working.kept.lease.is_some() && working.entry(step).is_some_and(|entry| entry.is_out())
        });
        if !leased {
            self.act(draft, order, step, now);
        }
    }

    /// Does now what an entry is due for, unless a worker is at it or another node holds it.
    fn act(&mut self, draft: &mut Draft, order: OrderId, step: StepName, now: Timestamp) {
        let node = self.node;
        let Some(working) = draft.orders.get_mut(&order) else {
            return;
        };
        let elsewhere = working.kept.lease.is_some_and(|lease| lease.node != node);
        let taken = self.busy.contains_key(&(order, step)) || working.errands.iter().any(|(of, ..)| *of == step);
        if elsewhere || taken {
            return;
        }
        if let Some(errand) = open::act(working, step, now) {
            // A message of ours goes under a lease; a claim has one, anything else writes one.
            working.dirty |= turn::sends(&errand) && working.kept.lease.is_none();
            working.errands.push((step, errand, Vec::new()));
        }
    }

    fn settle_work(&self, draft: &mut Draft, order: OrderId, asked: bool, now: Timestamp) -> Result<(), open::Cannot> {
        match draft.orders.get_mut(&order) {
            Some(working) => open::settle(&self.world, working, asked, now),
            None => Ok(()),
        }
    }

    fn is_busy(&self, order: OrderId) -> bool {
        let first = StepName::authorize(0);
        self.busy
            .range((order, first)..)
            .next()
            .is_some_and(|((of, _), _)| *of == order)
    }

    // ---- rows ----------------------------------------------------------------------------------------------------------------------

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
                key: IdemKey { key, hash: bound.hash },
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
        // A message of another node may be out: its lease is left alone.
        let theirs = working.kept.lease.filter(|lease| lease.node != self.node);
        theirs.filter(|_| working.kept.work.iter().any(|entry| entry.is_out()))
    }
}

/// Another node may have ended a step that callers of this one wait for. Their answer is the order as it was then, not as it is by now.
fn answer_found(waiting: &mut HashMap<OrderId, Vec<Waiter>>, outputs: &mut Vec<Output>, kept: &Kept) {
    let order = kept.view.order.id;
    let Some(waiters) = waiting.get_mut(&order) else { return };
    waiters.retain(|waiter| {
        let over = ask::is_answered(&kept.view.order, waiter.step);
        if over {
            let made = Made {
                order,
                version: waiter.since,
                step: Some(waiter.step),
                refused: None,
            };
            let rebuild = Rebuild {
                made: Some(made),
                order,
                replayed: false,
            };
            outputs.push(Output::Reply(waiter.token, Reply::Rebuild(rebuild)));
        }
        !over
    });
    if waiters.is_empty() {
        waiting.remove(&order);
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

fn unstarted(cannot: open::Cannot) -> Denied {
    match cannot {
        open::Cannot::Currency(detail) => Denied::Misuse {
            param: "currency",
            code: "unsupported",
            detail,
        },
        open::Cannot::Never(detail) => Denied::Misuse {
            param: "method",
            code: "unsupported",
            detail,
        },
        open::Cannot::NotNow(why) => {
            tracing::error!(why, "what was asked cannot be started now");
            Denied::Unavailable { retry_after_s: 5 }
        }
    }
}

/// The answer of a call whose key came before, as the store found it.
pub(crate) fn replayed(found: Found, tenant: Tenant, key: &IdemKey) -> Option<Reply> {
    replay(&Loaded::of(found), tenant, key)
}

fn replay(loaded: &Loaded, tenant: Tenant, key: &IdemKey) -> Option<Reply> {
    let named = (tenant, key.key.clone());
    if let Some((order, hash)) = loaded.by_key.get(&named) {
        return Some(if *hash == key.hash {
            Reply::Rebuild(Rebuild {
                made: None,
                order: *order,
                replayed: true,
            })
        } else {
            Reply::Denied(Denied::KeyReused)
        });
    }
    let row = loaded.keys.get(&named)?;
    // A key that made a document, or that came with another body.
    let made = serde_json::from_str::<Made>(&row.made)
        .ok()
        .filter(|_| row.key.hash == key.hash);
    Some(match made {
        Some(made) => Reply::Rebuild(Rebuild {
            order: made.order,
            made: Some(made),
            replayed: true,
        }),
        None => Reply::Denied(Denied::KeyReused),
    })
}

/// The step that a notice is about: by our own name of it, or by the provider's id that one of them learned.
fn about(working: &Working, about: &About) -> Option<StepName> {
    let view = &working.kept.view;
    match about {
        About::Key(key) => view.order.attempt(key.step().attempt).map(|_| key.step()),
        About::Ref(kind, id) => {
            let learned = |memo: &florin_core::rail::Memo| memo.get(kind) == Some(id);
            let step = view.steps.iter().find(|(_, memo)| learned(memo)).map(|(step, _)| *step);
            // A later step repeats what is known of its attempt; the attempt comes first.
            let attempt = view
                .memos
                .iter()
                .find(|(_, memo)| learned(memo))
                .map(|(number, _)| StepName::authorize(*number));
            attempt.or(step)
        }
        About::Nobody => None,
    }
}

/// A turn departs from this place.
pub(super) fn spot(working: &Working, step: StepName) -> Spot {
    (working.kept.work.iter())
        .find(|entry| entry.step == step)
        .and_then(|entry| entry.spot())
        .unwrap_or(Spot::Finished)
}
