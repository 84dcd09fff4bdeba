//! What happens to orders by itself: turns of workers, what is due, notices, and providers that answer again.

use florin_core::id::OrderId;
use florin_core::order::{Command, StepName};
use florin_core::rail::{About, Item, Next};
use florin_core::time::Timestamp;
use florin_store::{NoticeId, OrderRow, Tenant};

use super::build::{Draft, Settled, Taken};
use super::kept::Kept;
use super::working::Working;
use super::{AFTER_MAX, Job, Lane, Loaded, Output, Queued, open, turn};
use crate::ask::Denied;
use crate::snapshot;
use crate::work::{Place, Spot};
use crate::worker::{Errand, Turned};

impl Lane {
    pub(super) fn turned(&mut self, draft: &mut Draft, loaded: &mut Loaded, turned: &Turned, now: Timestamp) -> Taken {
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

    pub(super) fn due(&mut self, draft: &mut Draft, loaded: &mut Loaded, row: &OrderRow, now: Timestamp) -> Taken {
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
            if working.errands.is_empty() && !busy {
                working.kept.lease = None;
                working.dirty = true;
            }
        }
        Taken::Yes
    }

    pub(super) fn told(
        &mut self,
        draft: &mut Draft,
        loaded: &mut Loaded,
        queued: &Queued,
        (tenant, order, id, item): (Tenant, OrderId, &NoticeId, &Item),
        now: Timestamp,
    ) -> Taken {
        let working = match self.working(draft, loaded, Some(tenant), order) {
            Ok(working) => working,
            // A notice about somebody else's order, or about none, says nothing: several servers may share an account.
            Err(Denied::NotFound) => {
                tracing::info!(%order, notice = id.id, "a notice is about an order that is not here");
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
            if let About::Key(key) = &item.about {
                // By our own name of it: this database was put back to a copy from before. A call that is repeated makes the attempt again.
                tracing::error!(%order, step = %key.step(), notice = id.id, "a notice is about an attempt that its order does not have");
                self.outputs.push(Output::Untold(id.clone()));
            } else {
                draft.done.push(id.clone());
            }
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

    pub(super) fn nudged(
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
    /// whoever has the order when it is due does it. A provider that said when to come back is not asked before.
    fn nudge(&mut self, draft: &mut Draft, order: OrderId, step: StepName, now: Timestamp) {
        let leased = (draft.orders.get_mut(&order)).is_some_and(|working| {
            working.kept.lease.is_some() && working.entry(step).is_some_and(|entry| entry.is_out())
        });
        if leased {
            return;
        }
        if let Some(entry) = (draft.orders.get_mut(&order)).and_then(|working| working.entry(step)) {
            if !entry.may_go_early(now) {
                return;
            }
            entry.early = Some(entry.due).filter(|due| *due > now);
        }
        self.act(draft, order, step, now);
    }

    /// Does now what an entry is due for, unless a worker is at it or another node holds it.
    pub(super) fn act(&mut self, draft: &mut Draft, order: OrderId, step: StepName, now: Timestamp) {
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

    pub(super) fn settle_work(
        &self,
        draft: &mut Draft,
        order: OrderId,
        asked: bool,
        now: Timestamp,
    ) -> Result<(), open::Cannot> {
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
