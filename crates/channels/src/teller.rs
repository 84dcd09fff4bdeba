//! Says an event to a webhook endpoint, in its own words and signed with its own secrets.

use std::sync::{Arc, Mutex, PoisonError};

use florin_core::id::OrderId;
use florin_core::secret::Secret;
use florin_core::time::Timestamp;
use florin_services::ask::Denied;
use florin_services::directory::{Dialect, Endpoint};
use florin_services::engine::{Engine, Told};
use florin_services::notify::{ENDPOINT_SECRET, Message, Teller, Telling, Unsaid, sign, stripe};
use florin_services::told;
use florin_store::{DeliveryRow, Tenant};
use serde::Serialize;

use crate::Rails;
use crate::api::events::{EventData, EventShape};
use crate::remembered::{Remembered, bytes_of_all};

/// Bytes of orders that are remembered from one webhook to the next: a few hundred orders as they usually are.
const RECENT_BYTES_MAX: usize = 1 << 20;

/// Orders as they were read last: an order's deliveries go out one after the other, and what an event told never changes.
type Recent = Remembered<Arc<Vec<Told>>>;

/// Tells endpoints what happened.
pub struct Telegraph {
    engine: Arc<Engine>,
    stripe: Option<StripeWords>,
    recent: Mutex<Recent>,
}

/// The how-manieth of Stripe's events that an event of ours may be ([`stripe::names`]); none if it is not that one.
pub type StripeWords = Arc<dyn Fn(&Told, usize) -> Option<serde_json::Value> + Send + Sync>;

impl Telegraph {
    /// Tells in our words, and to endpoints that speak Stripe in Stripe's.
    pub fn new(engine: Arc<Engine>, stripe: Option<StripeWords>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            stripe,
            recent: Mutex::new(Recent::new(RECENT_BYTES_MAX)),
        })
    }

    async fn say(&self, delivery: &DeliveryRow, endpoint: &Endpoint, at: Timestamp) -> Result<Message, Unsaid> {
        let (ours, index) = match endpoint.dialect {
            Dialect::Florin => (delivery.event.as_str(), 0),
            Dialect::Stripe => stripe::parse(&delivery.event).unwrap_or((delivery.event.as_str(), 0)),
        };
        let (order, _) = told::parse(ours).ok_or_else(|| Unsaid::Cannot("the event's id does not read".into()))?;
        let events = self.events(delivery.tenant, order, ours).await?;
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

    /// The public events of an order, this one among them if it is there.
    async fn events(&self, tenant: Tenant, order: OrderId, event: &str) -> Result<Arc<Vec<Told>>, Unsaid> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = known(&recent(), tenant, order, event) {
            return Ok(told);
        }
        let read = self.engine.events(tenant, order).await;
        let told = Arc::new(read.map_err(|denied| match denied {
            Denied::Unavailable { .. } | Denied::Busy { .. } | Denied::Full => Unsaid::Later(denied.to_string()),
            Denied::Refused { .. }
            | Denied::NotFound
            | Denied::KeyReused
            | Denied::ReferenceTaken { .. }
            | Denied::Misuse { .. }
            | Denied::Damaged => Unsaid::Cannot(denied.to_string()),
        })?);
        recent().put(order, Arc::clone(&told), bytes_of_all(&told));
        Ok(told)
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

/// What is remembered of an order, if this event of this merchant is in it: it may have come after the order was read.
fn known(recent: &Recent, tenant: Tenant, order: OrderId, event: &str) -> Option<Arc<Vec<Told>>> {
    let told = recent.get(order)?;
    let has = told.iter().any(|told| told.id == event && told.order.tenant == tenant);
    has.then(|| Arc::clone(told))
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

#[cfg(test)]
mod tests {
    use florin_core::id::MerchantId;
    use florin_core::money::{Currency, Money};
    use florin_core::order::{Order, Terms};
    use florin_services::view::View;
    use florin_store::Mode;
    use uuid::Uuid;

    use super::*;

    fn tenant(merchant: u128) -> Tenant {
        Tenant {
            merchant: MerchantId::from_uuid(Uuid::from_u128(merchant)),
            mode: Mode::Test,
        }
    }

    fn told(order: OrderId, events: usize) -> Arc<Vec<Told>> {
        let now = Timestamp::from_millis(1_000);
        let view = Arc::new(View {
            tenant: tenant(1),
            reference: "ref".to_owned(),
            order: Order::open(order, Terms::payment(Money::new(1_099, Currency::EUR), now), now).0,
            details: Arc::default(),
            memos: Default::default(),
            steps: Default::default(),
        });
        let event = |number: usize| Told {
            id: format!("evt_{number}"),
            name: "order.created".to_owned(),
            part: None,
            key: None,
            version: 1,
            sequence: 1,
            at: now,
            order: Arc::clone(&view),
        };
        Arc::new((1..=events).map(event).collect())
    }

    #[test]
    fn an_order_is_read_again_only_for_an_event_that_came_after_it_was_read() {
        let order = OrderId::from_uuid(Uuid::from_u128(7));
        let mut recent = Recent::new(RECENT_BYTES_MAX);
        assert!(known(&recent, tenant(1), order, "evt_1").is_none());
        let read = told(order, 2);
        recent.put(order, Arc::clone(&read), bytes_of_all(&read));
        for event in ["evt_1", "evt_2"] {
            let found = known(&recent, tenant(1), order, event).expect("it was read");
            assert!(Arc::ptr_eq(&found, &read));
        }
        assert!(known(&recent, tenant(1), order, "evt_3").is_none());
        let again = told(order, 3);
        recent.put(order, Arc::clone(&again), bytes_of_all(&again));
        assert!(known(&recent, tenant(1), order, "evt_3").is_some());
    }

    #[test]
    fn what_was_read_for_one_merchant_is_told_to_no_other() {
        let order = OrderId::from_uuid(Uuid::from_u128(7));
        let mut recent = Recent::new(RECENT_BYTES_MAX);
        recent.put(order, told(order, 1), 1);
        assert!(known(&recent, tenant(2), order, "evt_1").is_none());
    }
}
