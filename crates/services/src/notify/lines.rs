//! What is being sent: for each endpoint and order one line, whose deliveries go out one after the other, in order.
//!
//! Lines are independent of each other, and a receiver that is slow or away holds up nobody else: it has a bounded share of the requests
//! that may be out at once and of the places to stand in (`gate.rs`), and so has a merchant with all its receivers (`share.rs`). A delivery that
//! falls due while its line is busy stands in it, behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use florin_core::id::{DeliveryId, EndpointId, OrderId};
use florin_store::{Claim, DeliveryRow, Fault, Tenant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::gate::Gate;
use super::share::Share;
use super::{Notifier, plan};

/// Deliveries taken at once.
const CLAIM_MAX: u32 = 256;
/// Deliveries that stand in lines, of all endpoints.
const STANDING_MAX: usize = 4_096;
/// Requests out at once over all endpoints.
pub(super) const PARALLEL_MAX: usize = 64;
/// Length of a delivery's lease: the longest try and some. One that stands in a line for longer is leased again.
const LEASE_S: u32 = 60;
/// How often what is due is looked for while a merchant has no room.
const LOOK_PAST: Duration = Duration::from_secs(1);
/// How long tries that are out when the process stops may take; what is not over then goes out again after the start.
const LAST_TRIES: Duration = Duration::from_secs(2);

type Line = (Tenant, EndpointId, OrderId);
/// A line that has been sent, or a panic of ours.
type Ended = Result<(Line, Vec<DeliveryRow>), tokio::task::JoinError>;

/// The lines of a node.
pub(super) struct Lines {
    sending: JoinSet<(Line, Vec<DeliveryRow>)>,
    /// Lines that are busy, and what stands in each behind those that are out.
    busy: BTreeMap<Line, Vec<DeliveryRow>>,
    standing: BTreeMap<DeliveryId, (Arc<Gate>, Tenant)>,
    all: Arc<Semaphore>,
    shares: BTreeMap<Tenant, Share>,
    gates: BTreeMap<EndpointId, Arc<Gate>>,
    /// When somebody without room was last looked past.
    past_at: Option<Instant>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            sending: JoinSet::new(),
            busy: BTreeMap::new(),
            standing: BTreeMap::new(),
            all: Arc::new(Semaphore::new(PARALLEL_MAX)),
            shares: BTreeMap::new(),
            gates: BTreeMap::new(),
            past_at: None,
        }
    }
}

impl Lines {
    /// Takes what is due, as far as there is room. Answers how many were taken.
    pub(super) async fn take(&mut self, notifier: &Arc<Notifier>, own: bool) -> Result<usize, Fault> {
        let room = u32::try_from(STANDING_MAX.saturating_sub(self.standing.len())).unwrap_or(CLAIM_MAX);
        let full = self.full();
        // Looking past what lies there for them takes long when that is much.
        if !full.is_empty() && self.past_at.is_some_and(|at| at.elapsed() < LOOK_PAST) {
            return Ok(0);
        }
        self.past_at = (!full.is_empty()).then(Instant::now);
        let claim = Claim {
            node: notifier.node,
            now: notifier.directory.now(),
            lease_s: LEASE_S,
            limit: CLAIM_MAX.min(room),
            own,
            without: full,
        };
        if claim.limit == 0 {
            return Ok(0);
        }
        let mut lines: BTreeMap<Line, Vec<DeliveryRow>> = BTreeMap::new();
        let mut taken = notifier.store.claim_deliveries(&claim).await?;
        // One that stands in a line already has only had its lease renewed.
        taken.retain(|delivery| !self.standing.contains_key(&delivery.id));
        let count = taken.len();
        let mut turned_away = Vec::new();
        for mut delivery in taken {
            let (gate, tenant) = (self.gate(notifier, delivery.endpoint), delivery.tenant);
            match gate.enter() {
                Ok(()) => {
                    self.shares.entry(tenant).or_default().enter();
                    self.standing.insert(delivery.id, (gate, tenant));
                    let line = (tenant, delivery.endpoint, delivery.order);
                    lines.entry(line).or_default().push(delivery);
                }
                Err(why) => {
                    plan::after(&mut delivery, notifier.untried(why));
                    turned_away.push(delivery);
                }
            }
        }
        notifier.write(&turned_away).await;
        for (line, mut deliveries) in lines {
            deliveries.sort_by(|a, b| a.event.cmp(&b.event));
            match self.busy.get_mut(&line) {
                Some(behind) => behind.extend(deliveries),
                None => self.send(notifier, line, deliveries),
            }
        }
        Ok(count)
    }

    /// Merchants that have no room for more: what falls due for them is left lying until they have.
    fn full(&self) -> Vec<Tenant> {
        let free = STANDING_MAX.saturating_sub(self.standing.len());
        let full = self.shares.iter().filter(|(_, share)| !share.has_room(free));
        full.map(|(tenant, _)| *tenant).collect()
    }

    /// Sends one line: what stands in it now, in order.
    fn send(&mut self, notifier: &Arc<Notifier>, line: Line, mut deliveries: Vec<DeliveryRow>) {
        self.busy.insert(line, Vec::new());
        let (tenant, endpoint, _) = line;
        let of_merchant = self.shares.entry(tenant).or_default().parallel();
        let (notifier, all, gate) = (
            Arc::clone(notifier),
            Arc::clone(&self.all),
            self.gate(notifier, endpoint),
        );
        self.sending.spawn(async move {
            let _place = gate.place().await;
            let _share = gate.share(of_merchant).await;
            let _one = all.acquire_owned().await;
            for delivery in &mut deliveries {
                notifier.deliver(delivery, &gate).await;
            }
            (line, deliveries)
        });
    }

    fn gate(&mut self, notifier: &Notifier, endpoint: EndpointId) -> Arc<Gate> {
        let new = || Arc::new(Gate::new(notifier.sender.slow()));
        Arc::clone(self.gates.entry(endpoint).or_insert_with(new))
    }

    /// Whether any line is out.
    pub(super) fn any_out(&self) -> bool {
        !self.sending.is_empty()
    }

    /// Waits until a line has been sent. Whoever stops waiting loses nothing.
    pub(super) async fn ended(&mut self) -> Option<Ended> {
        self.sending.join_next().await
    }

    /// Writes what became of a line, and of all that ended meanwhile, and sends what stands behind them.
    pub(super) async fn settle(&mut self, notifier: &Arc<Notifier>, mut ended: Option<Ended>) {
        let mut written = Vec::new();
        while let Some(line) = ended {
            match line {
                Ok((line, deliveries)) => {
                    for delivery in &deliveries {
                        if let Some((gate, tenant)) = self.standing.remove(&delivery.id) {
                            gate.leave();
                            self.shares.entry(tenant).or_default().leave();
                        }
                    }
                    written.extend(deliveries);
                    let behind = self.busy.remove(&line).unwrap_or_default();
                    if !behind.is_empty() {
                        self.send(notifier, line, behind);
                    }
                }
                Err(error) if error.is_cancelled() => {}
                Err(panic) => self.forget(&panic),
            }
            ended = self.sending.try_join_next();
        }
        notifier.write(&written).await;
    }

    /// Nobody knows whose line it was that broke, so all that stand are forgotten: they come back when their leases are over.
    fn forget(&mut self, panic: &tokio::task::JoinError) {
        tracing::error!(%panic, "a webhook could not be sent: all that are out go out again when their leases are over");
        self.sending.abort_all();
        self.busy.clear();
        self.standing.clear();
        self.shares.clear();
        self.gates.clear();
    }

    /// Gives what is out a last moment.
    pub(super) async fn finish(&mut self, notifier: &Arc<Notifier>) {
        let all = async {
            while self.any_out() {
                let ended = self.ended().await;
                self.settle(notifier, ended).await;
            }
        };
        if tokio::time::timeout(LAST_TRIES, all).await.is_err() {
            tracing::info!(
                lines = self.sending.len(),
                "webhooks that are still out go out again after the next start"
            );
        }
    }
}
