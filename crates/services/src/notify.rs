//! Webhooks out: takes deliveries that are due, signs the very bytes it sends, and writes what became of them.
//!
//! First tries go out in order per order and endpoint (`lines.rs`); one that fails does not hold up the rest, which is why every event
//! carries its order's sequence number. Retries follow [`plan::WAITS_S`] with jitter. 410 switches the endpoint off; redirects are not
//! followed; private addresses are refused unless the operator allowed them. What is said, and in whose words, is the business of the
//! [`Teller`].

mod gate;
pub mod health;
mod lines;
pub mod net;
pub mod plan;
mod share;
pub mod sign;
pub mod stripe;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use florin_core::id::NodeId;
use florin_core::time::Timestamp;
use florin_store::{DeliveryRow, DeliveryStatus, Store};
use serde::{Deserialize, Serialize};

use crate::crash;
use crate::directory::{Dialect, Directory, DirectoryError, Endpoint};
use gate::Gate;
use lines::Lines;

/// What endpoint secrets are sealed for.
pub const ENDPOINT_SECRET: &str = "webhook endpoint";
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
    /// Something has to be mended first (a secret that does not open, a damaged order): a try that failed.
    Cannot(String),
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

/// What an endpoint is told of an event, each as a delivery of its own: its id and name in the endpoint's own words, of those that are
/// wanted.
pub fn words_of(endpoint: &Endpoint, id: &str, name: &str, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    match endpoint.dialect {
        Dialect::Florin if wanted(name) => vec![(id.to_owned(), name.to_owned())],
        Dialect::Florin => Vec::new(),
        Dialect::Stripe => {
            let names = stripe::names(name).iter().enumerate().filter(|(_, name)| wanted(name));
            names
                .map(|(index, name)| (stripe::id(id, index), (*name).to_owned()))
                .collect()
        }
    }
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
    /// Sends until `stop` is asked for; what is under way then gets a last moment, and goes out again after the next start.
    pub async fn run(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
        let mut lines = Lines::default();
        // What this node was sending when it died is its own, at once.
        let (mut own, mut look) = (true, true);
        while !stop.is_cancelled() {
            if look {
                match lines.take(&self, own).await {
                    Ok(taken) => (own, look) = (own && taken > 0, taken > 0),
                    Err(fault) => {
                        tracing::warn!(%fault, "cannot read webhook deliveries; trying again");
                        look = false;
                    }
                }
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.bell.notified() => look = true,
                () = tokio::time::sleep(std::time::Duration::from_millis(REST_MS)) => look = true,
                ended = lines.ended(), if lines.any_out() => lines.settle(&self, ended).await,
            }
        }
        lines.finish(&self).await;
    }

    /// Takes what is due and sends it, to the end. Answers how many were taken.
    pub async fn round(self: &Arc<Self>) -> Result<usize, florin_store::Fault> {
        let mut lines = Lines::default();
        let taken = lines.take(self, false).await?;
        while lines.any_out() {
            let ended = lines.ended().await;
            lines.settle(self, ended).await;
        }
        Ok(taken)
    }

    /// One try: `delivery` is what it has become.
    async fn deliver(&self, delivery: &mut DeliveryRow, gate: &Gate) {
        let endpoint = match self.endpoint(delivery).await {
            Ok(Some(endpoint)) => endpoint,
            Ok(None) => {
                (delivery.status, delivery.due) = (DeliveryStatus::Failed, None);
                return;
            }
            Err(error) => {
                tracing::warn!(delivery = %delivery.id, %error, "cannot look for the endpoint of a webhook");
                delivery.due = Some(self.directory.now().plus_seconds(plan::SOON_S));
                return;
            }
        };
        let endpoint = &*endpoint;
        let sent_at = (self.wall)();
        let message = match self.teller.tell(delivery, endpoint, sent_at).await {
            Ok(message) => message,
            Err(Unsaid::Later(why)) => {
                tracing::warn!(delivery = %delivery.id, why, "cannot write a webhook now");
                delivery.due = Some(self.directory.now().plus_seconds(plan::SOON_S));
                return;
            }
            Err(Unsaid::Cannot(why)) => {
                tracing::warn!(delivery = %delivery.id, why, "a webhook cannot be written");
                plan::after(delivery, self.untried(&why));
                return;
            }
            Err(Unsaid::Never(why)) => {
                tracing::debug!(delivery = %delivery.id, why, "nothing to tell");
                (delivery.status, delivery.due) = (DeliveryStatus::Succeeded, None);
                return;
            }
        };
        if let Some(why) = gate.shut() {
            plan::after(delivery, self.untried(why));
            return;
        }
        crash::point("before_deliver");
        let posted_at = (self.wall)();
        let answer = self.sender.post(&endpoint.url, &message).await;
        crash::point("after_deliver");
        let duration_ms = u32::try_from((self.wall)().millis_since(posted_at)).unwrap_or(0);
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
        gate.note(&this_try);
        if this_try.status_code == Some(410) {
            self.switch_off(endpoint).await;
        }
        plan::after(delivery, this_try);
    }

    /// A try that was none: nothing was sent.
    fn untried(&self, why: &str) -> Try {
        Try {
            at: self.directory.now(),
            status_code: None,
            duration_ms: 0,
            error: Some(why.to_owned()),
        }
    }

    /// Writes what became of deliveries.
    async fn write(&self, deliveries: &[DeliveryRow]) {
        if deliveries.is_empty() {
            return;
        }
        if let Err(fault) = self.store.write_deliveries(deliveries).await {
            tracing::warn!(%fault, "cannot write what became of webhooks: they go out again when their leases are over");
        }
    }

    /// Where a delivery goes, if it may go there. What this node does not know may have been made on another one a moment ago.
    async fn endpoint(&self, delivery: &DeliveryRow) -> Result<Option<Arc<Endpoint>>, DirectoryError> {
        let known = || {
            let mut endpoints = self.directory.endpoints(delivery.tenant).into_iter();
            endpoints.find(|endpoint| endpoint.id == delivery.endpoint && endpoint.enabled)
        };
        if let Some(endpoint) = known() {
            return Ok(Some(endpoint));
        }
        self.directory.refresh().await?;
        Ok(known())
    }

    /// The endpoint said that it is gone: it is told nothing more until somebody switches it on. One that has moved since was not asked.
    async fn switch_off(&self, endpoint: &Endpoint) {
        let off = |now: &mut Endpoint| now.enabled &= now.url != endpoint.url;
        match self
            .directory
            .change::<Endpoint>(Some(endpoint.tenant), &endpoint.id.to_string(), off)
            .await
        {
            Ok(now) if now.enabled => {
                tracing::info!(endpoint = %endpoint.id, "the endpoint's old address answered 410: it has moved since");
            }
            Ok(_) => tracing::warn!(endpoint = %endpoint.id, "the endpoint answered 410: switched off"),
            Err(error) => tracing::warn!(endpoint = %endpoint.id, %error, "cannot switch off an endpoint that is gone"),
        }
    }
}
