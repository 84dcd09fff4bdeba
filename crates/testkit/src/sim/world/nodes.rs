//! Nodes: lanes that are driven, mishaps of their store, inbox, crashes and restarts.

use std::sync::Arc;

use florin_core::id::OrderId;
use florin_core::rail::{About, Item};
use florin_services::ask::{Answered, Denied, State};
use florin_services::engine::CALL_WAIT;
use florin_services::lane::{self, Job, LEASE_S, Need, Output};
use florin_services::worker::Carry;
use florin_store::memory::Mishap;
use florin_store::{Claim, DeliveryStatus, NoticeRow, ProviderRef, Store};

use super::{Doing, Happening, OTHERS_MS, TELL_AGAIN_MS, TELL_LATE_MS, TELL_SOON_MS, World};
use crate::sim::ears;
use crate::sim::node::{Caller, Given, Node, Telling, at_once};

impl World {
    pub(super) fn wake(&mut self, at: usize) {
        if !self.nodes[at].driving && self.nodes[at].alive {
            self.nodes[at].driving = true;
            self.nodes[at].given = Some(Given::Woken);
            let (life, after) = (self.nodes[at].life, self.dice.between(0, 3));
            self.soon(after, Happening::Drive(at, life));
        }
    }

    pub(super) fn drive(&mut self, at: usize, life: u64) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Drive(at, life));
        }
        let need = self.nodes[at].drive(self.now_ms);
        self.put_out(at);
        let given = match need {
            Need::Nothing => {
                self.nodes[at].driving = false;
                if self.nodes[at].lane.queued() > 0 {
                    self.wake(at);
                }
                return;
            }
            Need::Pause(ms) => {
                self.nodes[at].given = Some(Given::Woken);
                return self.soon(i64::from(ms).max(1), Happening::Drive(at, life));
            }
            Need::Load(wanted) => {
                self.mishap(at, Doing::Other);
                Given::Found(at_once(self.nodes[at].store.load(&wanted)))
            }
            Need::Commit(batch) => {
                self.mishap(at, Doing::Commit);
                let outcome = at_once(self.nodes[at].store.commit(&batch));
                self.tell(|| {
                    let versions: Vec<String> = batch
                        .events
                        .iter()
                        .map(|row| format!("{} v{}", row.order, row.version))
                        .collect();
                    format!("node {at} commits {versions:?}: {outcome:?}")
                });
                for row in &batch.events {
                    self.mix(u64::from_be_bytes(row.hash[..8].try_into().unwrap_or_default()));
                }
                self.count(match outcome {
                    Ok(florin_store::Outcome::Done) => "commits",
                    Ok(florin_store::Outcome::Conflict) => "conflicts",
                    Err(_) => "commits that failed",
                });
                Given::Committed(outcome)
            }
            Need::WasCommitted(batch) => {
                self.mishap(at, Doing::Other);
                Given::Known(at_once(self.nodes[at].store.was_committed(&batch)))
            }
        };
        self.nodes[at].given = Some(given);
        // Between the commit and the node's knowing of it lies a moment in which it may die.
        let after = self.dice.between(1, 30);
        self.soon(after, Happening::Drive(at, life));
    }

    /// Now and then something goes wrong with what a node is about to do.
    pub(super) fn mishap(&mut self, at: usize, doing: Doing) {
        if self.healed || !self.dice.permille(self.swarm.mishap) {
            return;
        }
        let can: &[Mishap] = match doing {
            Doing::Commit => &[Mishap::Refuse, Mishap::LoseAnswer, Mishap::LoseCommit, Mishap::Full],
            Doing::Fold => &[Mishap::Refuse, Mishap::LoseFold, Mishap::Overtake],
            Doing::Other => &[Mishap::Refuse],
        };
        if let Some(mishap) = self.dice.pick(can) {
            self.count("database mishaps");
            self.nodes[at].store.next_fault(*mishap);
        }
    }

    pub(super) fn put_out(&mut self, at: usize) {
        for output in self.nodes[at].lane.take_outputs() {
            match output {
                Output::Reply(token, reply) => {
                    if let Some(caller) = self.nodes[at].callers.remove(&token) {
                        self.reply(caller, reply);
                    }
                }
                Output::Waiting(token, order) => {
                    let life = self.nodes[at].life;
                    let wait = i64::try_from(CALL_WAIT.as_millis()).unwrap_or(i64::MAX);
                    self.soon(wait, Happening::GiveUp(at, life, token, order));
                }
                Output::Effect(effect) => {
                    let now = self.nodes[at].now(self.now_ms);
                    self.tell(|| format!("node {at} has {} {} {:?}", effect.order, effect.step, effect.errand));
                    let (carry, next) = Carry::begin(*effect, now);
                    self.numbers += 1;
                    let number = self.numbers;
                    self.nodes[at].carries.insert(number, carry);
                    self.carry(at, number, next);
                }
                Output::Noticed => {}
                Output::Committed(_, written) => {
                    self.nodes[at].reader.committed().ring(written);
                    self.follow_soon(at);
                }
                Output::Untold(id) => {
                    let now_ms = self.now_ms;
                    if let Some(telling) = self.nodes[at].told.get_mut(&id) {
                        telling.until = now_ms + telling.gap_ms;
                        telling.gap_ms = (telling.gap_ms * 2).min(TELL_LATE_MS);
                    }
                }
                Output::Damaged(order, why) => self.wrong.push(format!("{order} is called damaged: {why}")),
                Output::Broken(why) => self.wrong.push(format!("the disk is called broken: {why}")),
            }
        }
    }

    pub(super) fn reply(&mut self, caller: Caller, reply: lane::Reply) {
        match caller {
            Caller::Client { client, call } => {
                let told = match reply {
                    lane::Reply::Answered(answered) => Ok(answered),
                    lane::Reply::Denied(denied) => Err(denied),
                    lane::Reply::Rebuild(rebuild) => self.rebuild(&rebuild),
                    lane::Reply::Running(order, step) => self.running(order, step),
                    lane::Reply::Stored => Err(Denied::NotFound),
                };
                self.answer(client, call, &told);
            }
            Caller::Webhook(event) => {
                if let lane::Reply::Denied(_) = reply {
                    self.send_webhook(event); // the provider sends it again
                }
            }
        }
    }

    pub(super) fn rebuild(&mut self, rebuild: &lane::Rebuild) -> Result<Answered, Denied> {
        let order = rebuild.order();
        let row = self.row(order).ok_or(Denied::NotFound)?;
        let events = at_once(self.shared.events_of(order)).map_err(|_| Denied::Unavailable { retry_after_s: 1 })?;
        lane::rebuild(&row, &events, rebuild).map_err(|damage| {
            self.wrong.push(format!("{order}: {damage}"));
            Denied::Damaged
        })?
    }

    pub(super) fn running(&self, order: OrderId, step: florin_core::order::StepName) -> Result<Answered, Denied> {
        let view = self.view(order).ok_or(Denied::NotFound)?;
        Ok(Answered {
            order: Arc::new(view),
            step: Some(step),
            state: State::Running,
            replayed: false,
        })
    }

    /// What a node does every second: what is due, and what was told.
    pub(super) fn tick(&mut self, at: usize, life: u64) {
        if !self.lives(at, life) {
            return;
        }
        let pace = if self.healed { self.quiet_ms() } else { 1_000 };
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Tick(at, life));
        }
        self.soon(pace, Happening::Tick(at, life));
        if self.healed {
            let now = self.provider_now();
            self.provider.passes(now);
            self.deliver_webhooks();
        }
        let now = self.nodes[at].now(self.now_ms);
        for order in self.nodes[at].breaker.scouts(now) {
            self.nodes[at].lane.push(Job::Nudge { order, step: None });
        }
        let own = !self.nodes[at].own_claimed;
        let claim = Claim {
            node: self.nodes[at].id,
            now: self.nodes[at].now(self.now_ms),
            lease_s: u32::try_from(LEASE_S).unwrap_or(u32::MAX),
            limit: 100,
            own,
            without: Vec::new(),
        };
        self.mishap(at, Doing::Other);
        if let Ok(rows) = at_once(self.nodes[at].store.claim(&claim)) {
            self.nodes[at].own_claimed |= rows.is_empty();
            for row in rows {
                self.count("claims");
                self.tell(|| format!("node {at} claims {} (fence {})", row.id, row.fence));
                self.nodes[at].lane.push(Job::Due(Box::new(row)));
            }
        }
        self.inbox(at);
        self.follow_soon(at);
        self.wake(at);
    }

    /// After healing, how long nothing can fall due. Looking every second for a week would only take time.
    pub(super) fn quiet_ms(&self) -> i64 {
        let orders = self.orders();
        let due = orders.iter().filter_map(|row| {
            let leased = row.lease.map_or(0, |lease| lease.until.millis());
            row.due.map(|due| due.millis().max(leased))
        });
        let inbox = at_once(self.shared.inbox(200)).unwrap_or_default();
        let told = inbox.iter().map(|row| {
            let telling = |node: &Node| {
                (node.told.get(&row.id)).map_or(row.received_at.millis() + OTHERS_MS, |telling| telling.until)
            };
            let soonest = self.nodes.iter().map(telling).min().unwrap_or(0);
            row.due.millis().max(soonest)
        });
        let pending = ears::deliveries(&*self.shared, self.tenant, Some(DeliveryStatus::Pending));
        let knocks = pending.iter().filter_map(|row| row.due).map(|due| due.millis());
        let next = due.chain(told).chain(knocks).min();
        let skew_ms = self.swarm.skew_s * 500;
        (next.unwrap_or(i64::MAX).saturating_sub(self.now_ms) - skew_ms).clamp(2_000, 3_600_000)
    }

    pub(super) fn inbox(&mut self, at: usize) {
        let Ok(rows) = at_once(self.nodes[at].store.inbox(200)) else {
            return;
        };
        let now = self.nodes[at].now(self.now_ms);
        for row in rows {
            let told = self.nodes[at].told.get(&row.id);
            let others = told.is_none() && now.millis_since(row.received_at) < OTHERS_MS;
            if row.due > now || others || told.is_some_and(|telling| telling.until > self.now_ms) {
                continue;
            }
            let gap_ms = told.map_or(TELL_SOON_MS, |telling| telling.gap_ms);
            let until = self.now_ms + TELL_AGAIN_MS;
            self.nodes[at].told.insert(row.id.clone(), Telling { until, gap_ms });
            let item: Item = match serde_json::from_str(&row.item) {
                Ok(item) => item,
                Err(error) => {
                    self.wrong.push(format!("a notice does not read: {error}"));
                    continue;
                }
            };
            let order = match &item.about {
                About::Key(key) => Some(key.order()),
                About::Ref(kind, id) => {
                    let reference = ProviderRef {
                        connection: row.id.connection,
                        kind: kind.clone(),
                        id: id.clone(),
                    };
                    match at_once(self.nodes[at].store.order_of_ref(&reference)) {
                        Ok(order) => order,
                        Err(_) => continue, // told again in half a minute
                    }
                }
                About::Nobody => None,
            };
            let job = match order {
                Some(order) => Job::Told {
                    tenant: row.tenant,
                    order,
                    id: row.id,
                    item: Box::new(item),
                },
                None => {
                    let age_ms = now.millis_since(row.received_at).max(1_000);
                    let old = age_ms > 86_400_000 || item.about == About::Nobody;
                    let (done, later) = if old {
                        (vec![row.id], Vec::new())
                    } else {
                        (
                            Vec::new(),
                            vec![NoticeRow {
                                due: now.plus_millis(age_ms),
                                ..row
                            }],
                        )
                    };
                    Job::Shelve { done, later }
                }
            };
            self.nodes[at].lane.push(job);
        }
    }

    pub(super) fn crash(&mut self, at: usize) {
        if self.healed || !self.nodes[at].alive {
            return;
        }
        self.count("crashes");
        self.tell(|| format!("node {at} dies"));
        self.nodes[at].alive = false;
        self.nodes[at].carries.clear();
        for caller in std::mem::take(&mut self.nodes[at].callers).into_values() {
            match caller {
                Caller::Client { .. } => {}                         // asks again by itself
                Caller::Webhook(event) => self.send_webhook(event), // was not acknowledged
            }
        }
        let after = self.dice.between(100, 90_000);
        self.soon(after, Happening::Restart(at));
    }

    pub(super) fn restart(&mut self, at: usize) {
        if self.nodes[at].alive {
            return;
        }
        self.tell(|| format!("node {at} starts again"));
        let (skew, life) = (self.nodes[at].skew_ms, self.nodes[at].life + 1);
        self.nodes[at] = self.node(at, skew, life);
        self.soon(1, Happening::Tick(at, life));
        self.may_crash(at);
    }
}
