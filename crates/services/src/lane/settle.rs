//! What is said and done when a batch is durable: answers, effects for the worker, callers who waited.

use std::sync::Arc;

use florin_core::id::OrderId;
use florin_core::order::StepName;
use florin_core::time::Timestamp;

use super::build::{Draft, Pending, Settled};
use super::news::spot;
use super::working::Working;
use super::{Busy, Job, Lane, Output, Queued, Reply, Token, Waiter, ask, open};
use crate::ask::{Answered, Denied, State};
use crate::view::View;
use crate::work::Act;
use crate::worker::Effect;

impl Lane {
    pub(super) fn settle(&mut self, mut draft: Draft, now: Timestamp) {
        if !draft.jobs.is_empty() {
            let written = std::mem::take(&mut draft.written);
            self.outputs.push(Output::Committed(draft.jobs.len(), written));
        }
        for settled in std::mem::take(&mut draft.turned) {
            self.free(&draft, &settled);
        }
        for (id, working) in &mut draft.orders {
            self.hand_over(*id, working, now);
            self.answer_waiters(*id, &working.kept.view);
        }
        for answer in std::mem::take(&mut draft.answers) {
            self.answer(&draft, answer);
        }
        if draft
            .jobs
            .iter()
            .any(|queued| matches!(queued.job, Job::Notices { .. }))
        {
            self.outputs.push(Output::Noticed);
        }
        for (id, working) in draft.orders {
            // A message that may go only once is marked by a commit of its own, unless it is another node's to send.
            let elsewhere = working.kept.lease.is_some_and(|lease| lease.node != self.node);
            let unmarked = (working.kept.work.iter())
                .filter(|entry| !self.busy.contains_key(&(id, entry.step)))
                .any(|entry| entry.act(now, working.kept.fence) == Act::Mark);
            if unmarked && !elsewhere {
                self.queue.push_back(Queued {
                    job: Job::Mark(id),
                    sure: false,
                    tries: 0,
                    torn: 0,
                });
            }
            self.cache.put(id, working.kept);
        }
    }

    /// A worker's turn is written: its step is free, and what waited for that goes on.
    fn free(&mut self, draft: &Draft, settled: &Settled) {
        let key = (settled.order, settled.step);
        if self.busy.get(&key).is_some_and(|busy| busy.ticket == settled.ticket)
            && let Some(busy) = self.busy.remove(&key)
        {
            self.queue.extend(busy.after);
        }
        let Some(working) = draft.orders.get(&settled.order) else {
            return;
        };
        let view = &working.kept.view;
        for token in self.looking.remove(&key).unwrap_or_default() {
            self.outputs.push(answered(token, view, Some(settled.step)));
        }
    }

    fn hand_over(&mut self, id: OrderId, working: &mut Working, now: Timestamp) {
        for (step, errand, done) in std::mem::take(&mut working.errands) {
            let started = working.started.take_if(|(of, _)| *of == step).map(|(_, task)| task);
            let found = match started {
                Some(task) => {
                    let plan = working.order().attempt(step.attempt).map(|(_, attempt)| &attempt.plan);
                    let road = plan.and_then(|plan| self.world.roads.road(plan.connection));
                    road.map(|road| (road, task))
                }
                None => open::task(&self.world, &working.kept.view, step, now),
            };
            let Some((road, task)) = found else {
                // The lease stays: the order is looked at again when it is over.
                tracing::error!(order = %id, %step, "this node does not know the connection of this attempt, or its rail");
                self.outputs.extend(done.into_iter().map(Output::Untold));
                continue;
            };
            self.tickets += 1;
            let effect = Effect {
                ticket: self.tickets,
                lane: self.number,
                tenant: working.kept.view.tenant,
                order: id,
                step,
                at: spot(working, step),
                fence: working.kept.fence,
                road,
                task,
                errand,
                done,
            };
            let busy = Busy {
                ticket: self.tickets,
                fence: working.kept.fence,
                after: Vec::new(),
            };
            self.busy.insert((id, step), busy);
            self.outputs.push(Output::Effect(Box::new(effect)));
        }
    }

    fn answer_waiters(&mut self, id: OrderId, view: &Arc<View>) {
        let Some(waiters) = self.waiting.get_mut(&id) else {
            return;
        };
        waiters.retain(|waiter| {
            let over = ask::is_answered(&view.order, waiter.step);
            if over {
                let step = Some(waiter.step);
                self.outputs.push(answered(waiter.token, view, step));
            }
            !over
        });
        if waiters.is_empty() {
            self.waiting.remove(&id);
        }
    }

    fn answer(&mut self, draft: &Draft, answer: Pending) {
        let view = |id: &OrderId| draft.orders.get(id).map(|working| &working.kept.view);
        match answer {
            Pending::Ready(token, reply) => self.outputs.push(Output::Reply(token, reply)),
            Pending::Refused(token, id, refusal) => {
                let Some(view) = view(&id) else { return };
                let denied = Denied::Refused {
                    refusal,
                    order: Arc::clone(view),
                    replayed: false,
                };
                self.outputs.push(Output::Reply(token, Reply::Denied(denied)));
            }
            Pending::Order(token, id, step) => {
                let Some(view) = view(&id) else { return };
                match step.filter(|step| !ask::is_answered(&view.order, *step)) {
                    Some(step) => self.wait(token, view, step),
                    None => self.outputs.push(answered(token, view, step)),
                }
            }
            Pending::Look(token, id, step) => {
                self.looking.entry((id, step)).or_default().push(token);
                self.outputs.push(Output::Waiting(token, id));
            }
        }
    }

    fn wait(&mut self, token: Token, view: &View, step: StepName) {
        let order = view.order.id;
        let waiter = Waiter {
            token,
            step,
            since: view.order.version,
        };
        self.waiting.entry(order).or_default().push(waiter);
        self.outputs.push(Output::Waiting(token, order));
    }
}

fn answered(token: Token, view: &Arc<View>, step: Option<StepName>) -> Output {
    Output::Reply(
        token,
        Reply::Answered(Answered {
            order: Arc::clone(view),
            step,
            state: State::Over,
            replayed: false,
        }),
    )
}
