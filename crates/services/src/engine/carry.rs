//! Carries errands to providers: one task each, bounded per connection, held back while a provider does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use florin_core::id::{ConnectionId, OrderId};
use florin_core::rail::Exchange;
use florin_core::time::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Inner;
use crate::crash;
use crate::egress::{EXCHANGE_S_MAX, Road, Sent};
use crate::lane::{Job, LEASE_S};
use crate::worker::breaker::Breaker;
use crate::worker::{Carry, Effect, Ended, Errand, Move, Turned};

/// Messages of one connection that may be out at a time.
const EXCHANGES_MAX: usize = 512;
/// How long a message may wait for its place: a lease less a sending, with room for the commit. Later its lease could end under it.
const PLACE_WAIT: Duration = Duration::from_secs(LEASE_S as u64 - EXCHANGE_S_MAX - 3);
/// Pauses between tries to reach a provider that refuses connections; nothing has left meanwhile.
const CONNECT_PAUSES_MS: [u64; 2] = [200, 800];
/// How often it is looked whether a breaker's pause is over.
const SCOUT_EVERY: Duration = Duration::from_secs(1);
/// How many orders are asked about in a second when a provider is back.
const NUDGES_PER_S: usize = 50;

/// The providers of a node: what is out at each, and whether it answers.
#[derive(Default)]
pub(super) struct Providers {
    gates: Mutex<BTreeMap<ConnectionId, Arc<Gate>>>,
}

struct Gate {
    places: Semaphore,
    breaker: Mutex<Breaker>,
}

impl Gate {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Providers {
    fn gate(&self, connection: ConnectionId) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates.entry(connection).or_insert_with(|| {
            Arc::new(Gate {
                places: Semaphore::new(EXCHANGES_MAX),
                breaker: Mutex::default(),
            })
        });
        Arc::clone(gate)
    }

    /// Whom to ask about so that it is found out which providers are back.
    fn scouts(&self, now: Timestamp) -> Vec<OrderId> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.values().flat_map(|gate| gate.breaker().scouts(now)).collect()
    }
}

/// Finds out which providers are back, also while nobody else has a message for them.
pub(super) async fn scout(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(SCOUT_EVERY).await;
        // What cannot be carried out here is left to nodes that can.
        if !inner.draining.load(Ordering::Relaxed) && !inner.broken.load(Ordering::Relaxed) {
            nudge(&inner, inner.providers.scouts(inner.clock.now())).await;
        }
    }
}

/// Starts an errand. `leased` is when its lease began at the earliest.
pub(super) fn begin(inner: &Arc<Inner>, effect: Effect, leased: Instant) {
    let leased = match effect.errand {
        // The answer to the commit was long on its way, so another node may be at it by now: whoever claims it goes on.
        Errand::Send { .. } if leased.elapsed() > PLACE_WAIT => {
            return inner.job(effect.lane, Job::Turn(Box::new(effect.unclear())));
        }
        Errand::Send { .. } => leased,
        // Questions need no lease.
        Errand::Silence | Errand::Unsent | Errand::Back(_) | Errand::Told(_) | Errand::Tick | Errand::Over => {
            Instant::now()
        }
    };
    inner.carrying.fetch_add(1, Ordering::Relaxed);
    let under_way = UnderWay {
        inner: Arc::clone(inner),
        lane: effect.lane,
        unclear: Some(Box::new(effect.unclear())),
    };
    // Boxed at once: the future holds a whole exchange, and each layer around it would move it.
    inner.spawn(Box::pin(carry(under_way, effect, leased)));
}

/// An errand under way. If it fails (a rail that panics), its step is told that nothing is known: nobody else would free it.
struct UnderWay {
    inner: Arc<Inner>,
    lane: usize,
    unclear: Option<Box<Turned>>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // An engine that is halted stops as a power cut would.
        if let Some(unclear) = self.unclear.take().filter(|_| !self.inner.stop.is_cancelled()) {
            tracing::error!(order = %unclear.order, step = %unclear.step, "an errand failed: this is a mistake of ours");
            self.inner.job(self.lane, Job::Turn(unclear));
        }
        self.inner.carrying.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn carry(mut under_way: UnderWay, effect: Effect, leased: Instant) {
    let inner = Arc::clone(&under_way.inner);
    let (mut carry, mut next) = Carry::begin(effect, inner.clock.now());
    loop {
        match next {
            Move::Turn(turned) => {
                under_way.unclear = None;
                return inner.job(carry.lane(), Job::Turn(turned));
            }
            Move::Send(message) => {
                let road = Arc::clone(carry.road());
                let ended = inner.send_message(carry.order(), &road, &message, leased).await;
                tracing::debug!(order = %carry.order(), step = %carry.step(), exchange = %message.name, ended = ended_word(&ended), "sent");
                next = carry.heard(ended, inner.clock.now());
            }
        }
    }
}

fn ended_word(ended: &Ended) -> &'static str {
    match ended {
        Ended::Reply(reply) if reply.status >= 500 => "error",
        Ended::Reply(_) => "reply",
        Ended::Silence => "silence",
        Ended::Unsent => "unsent",
    }
}

impl Inner {
    async fn send_message(
        self: &Arc<Self>,
        order: OrderId,
        road: &Arc<Road>,
        message: &Exchange,
        leased: Instant,
    ) -> Ended {
        let gate = self.providers.gate(road.connection.id);
        let Ok(Ok(_place)) = tokio::time::timeout_at(leased + PLACE_WAIT, gate.places.acquire()).await else {
            return Ended::Unsent;
        };
        let mut pauses = CONNECT_PAUSES_MS.iter();
        loop {
            // The process may have been paused: a lease that could end under a message sends none.
            if leased.elapsed() > PLACE_WAIT || !gate.breaker().admits(order, self.clock.now()) {
                return Ended::Unsent;
            }
            let began = Instant::now();
            crash::point("before_send");
            let sent = self.egress.send(road, message).await;
            crash::point("after_send");
            let ended = match sent {
                Sent::Reply(reply) => Ended::Reply(reply),
                Sent::Silence(why) => {
                    tracing::warn!(rail = road.rail.table().name, exchange = %message.name, why, "no answer");
                    Ended::Silence
                }
                Sent::Unsent(why) => {
                    tracing::warn!(rail = road.rail.table().name, exchange = %message.name, why, "not sent");
                    Ended::Unsent
                }
            };
            self.meter.sent(
                road.rail.table().name,
                ended_word(&ended),
                began.elapsed().as_secs_f64(),
            );
            self.note(order, road, &gate, &ended);
            match (&ended, pauses.next()) {
                (Ended::Unsent, Some(ms)) => tokio::time::sleep(Duration::from_millis(*ms)).await,
                (Ended::Unsent | Ended::Silence | Ended::Reply(_), _) => return ended,
            }
        }
    }

    fn note(self: &Arc<Self>, order: OrderId, road: &Arc<Road>, gate: &Arc<Gate>, ended: &Ended) {
        let answered = matches!(ended, Ended::Reply(reply) if reply.status < 500);
        let mut breaker = gate.breaker();
        let was_open = breaker.is_open();
        let lost = if answered {
            breaker.answered(self.clock.now())
        } else {
            breaker.failed(order, self.clock.now());
            BTreeSet::new()
        };
        let open = breaker.is_open();
        drop(breaker);
        if was_open != open {
            tracing::warn!(connection = %road.connection.id, open, "a provider's breaker moved");
            self.meter.breaker(road.connection.id.to_string(), open);
        }
        if !lost.is_empty() {
            self.spawn(ask_again(Arc::clone(self), lost));
        }
    }
}

/// A provider is back: everything that it left open is asked about at once, paced.
async fn ask_again(inner: Arc<Inner>, lost: BTreeSet<OrderId>) {
    tracing::info!(
        orders = lost.len(),
        "a provider answers again: its open questions are asked"
    );
    nudge(&inner, lost).await;
}

/// Has the open work of orders done now, paced.
pub(super) async fn nudge(inner: &Arc<Inner>, orders: impl IntoIterator<Item = OrderId>) {
    for (at, order) in orders.into_iter().enumerate() {
        if at > 0 && at.is_multiple_of(NUDGES_PER_S) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        inner.job(inner.lane_of(order), Job::Nudge { order, step: None });
    }
}
