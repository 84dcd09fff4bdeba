//! What callers ask of orders: creations, commands, payers who come back, and answers that were given before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use florin_core::id::OrderId;
use florin_core::order::{Order, Refusal, StepName};
use florin_core::time::Timestamp;
use florin_store::{Found, IdemKey, Tenant};

use super::build::{Bound, Draft, Pending, Taken};
use super::kept::Kept;
use super::working::Working;
use super::{AFTER_MAX, Lane, Loaded, Output, Queued, Rebuild, Reply, Token, Waiter, ask, open};
use crate::ask::{Ask, Denied, NewOrder, What};
use crate::snapshot::Made;
use crate::work::Place;
use crate::worker::Errand;

impl Lane {
    pub(super) fn create(
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

    pub(super) fn ask(
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
    pub(super) fn back(
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
}

/// Another node may have ended a step that callers of this one wait for. Their answer is the order as it was then, not as it is by now.
pub(super) fn answer_found(waiting: &mut HashMap<OrderId, Vec<Waiter>>, outputs: &mut Vec<Output>, kept: &Kept) {
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

fn unstarted(cannot: open::Cannot) -> Denied {
    match cannot {
        open::Cannot::Currency(detail) => Denied::Misuse {
            param: "currency",
            code: "unsupported",
            detail,
        },
        open::Cannot::Amount(detail) => Denied::Misuse {
            param: "amount",
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
        return Some(if key.is_of(hash) {
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
        .filter(|_| key.is_of(&row.key.hash));
    Some(match made {
        Some(made) => Reply::Rebuild(Rebuild {
            order: made.order,
            made: Some(made),
            replayed: true,
        }),
        None => Reply::Denied(Denied::KeyReused),
    })
}
