//! Says an event to a webhook endpoint, in its own words and signed with its own secrets.

use std::sync::Arc;

use florin_core::secret::Secret;
use florin_core::time::Timestamp;
use florin_services::ask::Denied;
use florin_services::directory::{Dialect, Endpoint};
use florin_services::engine::{Engine, Told};
use florin_services::notify::{ENDPOINT_SECRET, Message, Teller, Telling, Unsaid, sign, stripe};
use florin_services::told;
use florin_store::DeliveryRow;
use serde::Serialize;

use crate::Rails;
use crate::api::events::{EventData, EventShape};

/// Tells endpoints what happened.
pub struct Telegraph {
    engine: Arc<Engine>,
    stripe: Option<StripeWords>,
}

/// The how-manieth of Stripe's events that an event of ours may be ([`stripe::names`]); none if it is not that one.
pub type StripeWords = Arc<dyn Fn(&Told, usize) -> Option<serde_json::Value> + Send + Sync>;

impl Telegraph {
    /// Tells in our words, and to endpoints that speak Stripe in Stripe's.
    pub fn new(engine: Arc<Engine>, stripe: Option<StripeWords>) -> Arc<Self> {
        Arc::new(Self { engine, stripe })
    }

    async fn say(&self, delivery: &DeliveryRow, endpoint: &Endpoint, at: Timestamp) -> Result<Message, Unsaid> {
        let (ours, index) = match endpoint.dialect {
            Dialect::Florin => (delivery.event.as_str(), 0),
            Dialect::Stripe => stripe::parse(&delivery.event).unwrap_or((delivery.event.as_str(), 0)),
        };
        let (order, _) = told::parse(ours).ok_or_else(|| Unsaid::Cannot("the event's id does not read".into()))?;
        let events = self
            .engine
            .events(delivery.tenant, order)
            .await
            .map_err(|denied| match denied {
                Denied::Unavailable { .. } | Denied::Busy { .. } | Denied::Full => Unsaid::Later(denied.to_string()),
                Denied::Refused { .. }
                | Denied::NotFound
                | Denied::KeyReused
                | Denied::ReferenceTaken { .. }
                | Denied::Misuse { .. }
                | Denied::Damaged => Unsaid::Cannot(denied.to_string()),
            })?;
        let told = events.iter().find(|told| told.id == ours);
        let told = told.ok_or_else(|| Unsaid::Cannot("the order has no such event".into()))?;
        let secrets = self.secrets(endpoint, at)?;
        match endpoint.dialect {
            Dialect::Florin => florin(told, delivery, &secrets, at, self.engine.rails()),
            Dialect::Stripe => {
                let words = self.stripe.as_ref().and_then(|words| words(told, index));
                let event = words.ok_or_else(|| Unsaid::Never(format!("{} is not {}", told.name, delivery.name)))?;
                let body = event.to_string().into_bytes();
                let signature = sign::stripe(&secrets, at, &body);
                Ok(Message {
                    headers: vec![("stripe-signature".to_owned(), signature)],
                    body,
                })
            }
        }
    }

    /// The secrets in force: the newest, and the one that it replaces until its time is over.
    fn secrets(&self, endpoint: &Endpoint, at: Timestamp) -> Result<Vec<Secret<String>>, Unsaid> {
        let in_force = endpoint
            .secrets
            .iter()
            .filter(|sealed| sealed.until.is_none_or(|until| at < until));
        let opened = in_force
            .map(|sealed| self.engine.keyring().open(ENDPOINT_SECRET, &sealed.sealed))
            .collect::<Result<Vec<_>, _>>();
        opened.map_err(|error| Unsaid::Cannot(format!("the endpoint's secret cannot be used: {error}")))
    }
}

impl Teller for Telegraph {
    fn tell<'a>(&'a self, delivery: &'a DeliveryRow, endpoint: &'a Endpoint, at: Timestamp) -> Telling<'a> {
        Box::pin(self.say(delivery, endpoint, at))
    }
}

/// A webhook's body: CloudEvents' names around the event.
#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'static str,
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    source: String,
    subject: &'a str,
    time: &'a str,
    sequence: u32,
    data: &'a EventData,
}

fn florin(
    told: &Told,
    delivery: &DeliveryRow,
    secrets: &[Secret<String>],
    at: Timestamp,
    rails: Rails,
) -> Result<Message, Unsaid> {
    let shape = EventShape::of(told, rails);
    let envelope = Envelope {
        specversion: "1.0",
        id: &shape.id,
        kind: &shape.kind,
        source: format!("/merchants/{}", delivery.tenant.merchant),
        subject: &shape.order,
        time: &shape.created_at,
        sequence: shape.sequence,
        data: &shape.data,
    };
    let body = serde_json::to_vec(&envelope).map_err(|error| Unsaid::Cannot(error.to_string()))?;
    let signature = sign::standard(secrets, &shape.id, at, &body).map_err(|error| Unsaid::Cannot(error.to_string()))?;
    Ok(Message {
        headers: vec![
            ("webhook-id".to_owned(), shape.id.clone()),
            ("webhook-timestamp".to_owned(), at.seconds().to_string()),
            ("webhook-signature".to_owned(), signature),
        ],
        body,
    })
}
