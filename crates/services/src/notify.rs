//! Webhooks out: takes deliveries that are due, signs the very bytes it sends, and writes what became of them.
//!
//! First tries go out in order per order; one that fails does not hold up the rest, which is why every event carries its order's
//! sequence number. Retries follow [`plan::WAITS_S`] with jitter. 410 switches the endpoint off; redirects are not followed; private
//! addresses are refused unless the operator allowed them. What is said, and in whose words, is the business of the [`Teller`].

pub mod net;
pub mod plan;
pub mod sign;
pub mod stripe;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use florin_core::id::{EndpointId, NodeId, OrderId};
use florin_core::time::Timestamp;
use florin_store::{Claim, DeliveryRow, DeliveryStatus, Store};
use serde::{Deserialize, Serialize};

use crate::crash;
use crate::directory::{Directory, Endpoint};

/// What endpoint secrets are sealed for.
pub const ENDPOINT_SECRET: &str = "webhook endpoint";
/// Deliveries taken at once. More than the orders in one claim never go out side by side.
const CLAIM_MAX: u32 = 256;
/// Requests out at once over all endpoints.
const PARALLEL_MAX: usize = 64;
/// Length of a delivery's lease: the longest try and some.
const LEASE_S: u32 = 60;
/// How long to rest when nothing is due and nobody rings.
const REST_MS: u64 = 1_000;

/// What goes out for one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The body, as it is signed and sent.
    pub body: Vec<u8>,
    /// Headers beside content type and length.
    pub headers: Vec<(String, String)>,
}

/// Why a delivery cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsaid {
    /// Not now (the database): try again soon.
    Later(String),
    /// Never: the endpoint's dialect has no word for it.
    Never(String),
}

/// A future of a teller.
pub type Telling<'a> = Pin<Box<dyn Future<Output = Result<Message, Unsaid>> + Send + 'a>>;

/// Says an event in the words of an endpoint, and signs it.
pub trait Teller: Send + Sync + 'static {
    /// The message for this delivery at this moment of wall time.
    fn tell<'a>(&'a self, delivery: &'a DeliveryRow, endpoint: &'a Endpoint, at: Timestamp) -> Telling<'a>;
}

/// One try of a delivery, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When it was sent, by the environment's clock.
    pub at: Timestamp,
    /// What the endpoint answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// How long it took.
    pub duration_ms: u32,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Try {
    /// Whether the endpoint took it.
    pub fn succeeded(&self) -> bool {
        self.status_code.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Sends what is due.
pub struct Notifier {
    /// Where deliveries are kept.
    pub store: Arc<dyn Store>,
    /// Where endpoints are found.
    pub directory: Arc<Directory>,
    /// Says them.
    pub teller: Arc<dyn Teller>,
    /// Sends them.
    pub sender: net::Sender,
    /// This node.
    pub node: NodeId,
    /// Wall time, for signatures and durations.
    pub wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Rung when a reader made deliveries.
    pub bell: Arc<tokio::sync::Notify>,
}

impl Notifier {
    /// Sends until `stop` is asked for; what is under way then is finished.
    pub async fn run(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
        let rest = std::time::Duration::from_millis(REST_MS);
        // What this node was sending when it died is its own, at once.
        let mut own = true;
        while !stop.is_cancelled() {
            match self.turn(own).await {
                Ok(0) if own => own = false,
                Ok(0) => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = self.bell.notified() => {}
                        () = tokio::time::sleep(rest) => {}
                    }
                }
                Ok(_) => {}
                Err(fault) => {
                    tracing::warn!(%fault, "cannot read or write webhook deliveries; trying again");
                    tokio::time::sleep(rest).await;
                }
            }
        }
    }

    /// Takes what is due and sends it. Answers how many were taken.
    pub async fn round(self: &Arc<Self>) -> Result<usize, florin_store::Fault> {
        self.turn(false).await
    }

    async fn turn(self: &Arc<Self>, own: bool) -> Result<usize, florin_store::Fault> {
        let claim = Claim {
            node: self.node,
            now: self.directory.now(),
            lease_s: LEASE_S,
            limit: CLAIM_MAX,
            own,
        };
        let taken = self.store.claim_deliveries(&claim).await?;
        let count = taken.len();
        let mut lines: BTreeMap<(EndpointId, OrderId), Vec<DeliveryRow>> = BTreeMap::new();
        for delivery in taken {
            lines
                .entry((delivery.endpoint, delivery.order))
                .or_default()
                .push(delivery);
        }
        let gate = Arc::new(tokio::sync::Semaphore::new(PARALLEL_MAX));
        let mut sent = tokio::task::JoinSet::new();
        for mut line in lines.into_values() {
            line.sort_by(|a, b| a.event.cmp(&b.event));
            let (this, gate) = (Arc::clone(self), Arc::clone(&gate));
            sent.spawn(async move {
                let _permit = gate.acquire().await;
                for delivery in &mut line {
                    this.deliver(delivery).await;
                }
                line
            });
        }
        while let Some(line) = sent.join_next().await {
            if let Ok(line) = line {
                self.store.write_deliveries(&line).await?;
            }
        }
        Ok(count)
    }

    /// One try: `delivery` is what it has become.
    async fn deliver(&self, delivery: &mut DeliveryRow) {
        let endpoints = self.directory.endpoints(delivery.tenant);
        let Some(endpoint) = endpoints
            .iter()
            .find(|endpoint| endpoint.id == delivery.endpoint && endpoint.enabled)
        else {
            (delivery.status, delivery.due) = (DeliveryStatus::Failed, None);
            return;
        };
        let sent_at = (self.wall)();
        let message = match self.teller.tell(delivery, endpoint, sent_at).await {
            Ok(message) => message,
            Err(Unsaid::Later(why)) => {
                tracing::warn!(delivery = %delivery.id, why, "cannot write a webhook now");
                delivery.due = Some(self.directory.now().plus_seconds(plan::SOON_S));
                return;
            }
            Err(Unsaid::Never(why)) => {
                tracing::debug!(delivery = %delivery.id, why, "nothing to tell");
                (delivery.status, delivery.due) = (DeliveryStatus::Succeeded, None);
                return;
            }
        };
        crash::point("before_deliver");
        let answer = self.sender.post(&endpoint.url, &message).await;
        crash::point("after_deliver");
        let duration_ms = u32::try_from((self.wall)().millis_since(sent_at)).unwrap_or(0);
        let at = self.directory.now();
        let this_try = match answer {
            Ok(status) => Try {
                at,
                status_code: Some(status),
                duration_ms,
                error: None,
            },
            Err(error) => Try {
                at,
                status_code: None,
                duration_ms,
                error: Some(error.to_string()),
            },
        };
        metrics::counter!("florin_webhook_tries_total", "taken" => if this_try.succeeded() { "yes" } else { "no" })
            .increment(1);
        if this_try.status_code == Some(410) {
            self.switch_off(endpoint).await;
        }
        plan::after(delivery, this_try);
    }

    /// The endpoint said that it is gone: it is told nothing more until somebody switches it on.
    async fn switch_off(&self, endpoint: &Endpoint) {
        let off = |endpoint: &mut Endpoint| endpoint.enabled = false;
        match self
            .directory
            .change::<Endpoint>(Some(endpoint.tenant), &endpoint.id.to_string(), off)
            .await
        {
            Ok(_) => tracing::warn!(endpoint = %endpoint.id, "the endpoint answered 410: switched off"),
            Err(error) => tracing::warn!(endpoint = %endpoint.id, %error, "cannot switch off an endpoint that is gone"),
        }
    }
}
