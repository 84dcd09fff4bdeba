//! Reads what one call needs, each thing once, and finds any object by Stripe's name of it.

use std::sync::Arc;

use florin_core::id::{MethodId, OrderId};
use florin_core::order::Kind;
use florin_core::rail::Instrument;
use florin_services::ask::Denied;
use florin_services::directory::{Customer, Document, Endpoint, Method};
use florin_services::view::View;
use florin_store::{Mode, Name, Record, Tenant, Which};
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::shape::price::Price;
use super::shape::product::Product;
use super::shape::{self, Scene, Seen};
use super::wrong::Wrong;
use super::{Door, DoorKind, cards, ids};
use crate::remembered::{LIST_BYTES_MAX, Remembered, bytes_of};

/// Reads for one caller.
pub(super) struct Reader<'a> {
    pub(super) door: &'a Door,
    pub(super) tenant: Tenant,
    views: Mutex<Remembered<Arc<View>>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(door: &'a Door, tenant: Tenant) -> Self {
        Self {
            door,
            tenant,
            views: Mutex::new(Remembered::new(LIST_BYTES_MAX)),
        }
    }

    pub(super) fn scene(&self) -> Scene<'a> {
        self.door.scene()
    }

    pub(super) fn mode(&self) -> Mode {
        self.tenant.mode
    }

    /// Whether Stripe's smallest amounts hold: at a merchant's door in test mode. In live mode the provider behind says what it takes, and
    /// the pretend provider stands for any, so that a small order on `/v1` is no decline.
    pub(super) fn has_least(&self) -> bool {
        match self.door.kind {
            DoorKind::Merchant { .. } => self.mode() == Mode::Test,
            DoorKind::Provider { .. } => false,
        }
    }

    /// Folds what was committed before this call, so that sums are exact.
    pub(super) async fn catch_up(&self) -> Result<(), Wrong> {
        Ok(self.door.doors.reader.catch_up().await?)
    }

    /// Folds what was committed before this call, if the database can be written to.
    pub(super) async fn freshen(&self) {
        self.door.doors.freshen().await;
    }

    /// An order of this caller that is a payment; none if there is none.
    pub(super) async fn view(&self, order: OrderId) -> Result<Option<Arc<View>>, Wrong> {
        Ok(self.look(order).await?)
    }

    /// The same for a list: an order whose record is damaged is frozen, and the others are served.
    pub(super) async fn listed(&self, order: OrderId) -> Result<Option<Arc<View>>, Wrong> {
        match self.look(order).await {
            Err(Denied::Damaged) => Ok(None),
            found => Ok(found?),
        }
    }

    async fn look(&self, order: OrderId) -> Result<Option<Arc<View>>, Denied> {
        if let Some(known) = self.views.lock().await.get(order) {
            return Ok(Some(Arc::clone(known)));
        }
        let view = match self.door.doors.engine.view(self.tenant, order).await {
            Ok(view) if view.order.terms.kind == Kind::Payment => view,
            Ok(_) | Err(Denied::NotFound) => return Ok(None),
            Err(denied) => return Err(denied),
        };
        self.remember(&view).await;
        Ok(Some(view))
    }

    /// From now on this is the order.
    pub(super) async fn remember(&self, view: &Arc<View>) {
        let bytes = bytes_of(view);
        self.views.lock().await.put(view.order.id, Arc::clone(view), bytes);
    }

    /// Waits until no other call changes this order; `none` says that this caller has no such order.
    pub(super) async fn turn(
        &self,
        order: OrderId,
        none: impl FnOnce() -> Wrong,
    ) -> Result<OwnedMutexGuard<()>, Wrong> {
        let may = async {
            // Not remembered: it changes before the turn comes.
            match self.door.doors.engine.view(self.tenant, order).await {
                Ok(_) => Ok(()),
                Err(Denied::NotFound) => Err(none()),
                Err(denied) => Err(denied.into()),
            }
        };
        self.door.turns.of(order, may).await
    }

    /// An order with the stored methods that it was paid with, as far as its shape needs them.
    pub(super) async fn seen<'v>(&self, view: &'v View) -> Result<Seen<'v>, Wrong> {
        let mut seen = Seen::new(view);
        for (_, attempt) in view.order.attempts() {
            let stored: Option<MethodId> = match &attempt.plan.instrument {
                Instrument::Stored(_) => attempt.plan.method.parse().ok(),
                Instrument::Hosted => None,
            };
            if let Some(id) = stored.filter(|id| !seen.methods.contains_key(id)) {
                let kept = self.even_removed::<Method>(&id.to_string()).await?;
                seen.methods.extend(kept.map(|(method, _)| (id, method)));
            }
        }
        Ok(seen)
    }

    /// A document of the directory.
    pub(super) async fn get<D: Document>(&self, id: &str) -> Result<Option<D>, Wrong> {
        Ok(self.door.doors.directory.get(Some(self.tenant), id).await?)
    }

    /// What is kept of a document of the directory, also of one that was removed.
    pub(super) async fn record<D: Document>(&self, id: &str) -> Result<Option<Record>, Wrong> {
        let which = Which {
            kind: D::KIND.to_owned(),
            tenant: Some(self.tenant),
            name: Name::Id(id.to_owned()),
        };
        Ok(self.door.doors.store.get(&which).await?)
    }

    /// A document of the directory, and whether it was removed.
    pub(super) async fn even_removed<D: Document>(&self, id: &str) -> Result<Option<(D, bool)>, Wrong> {
        let Some(record) = self.record::<D>(id).await? else {
            return Ok(None);
        };
        let document = serde_json::from_str(&record.body).map_err(|error| {
            tracing::error!(%error, kind = D::KIND, "a document does not read");
            Wrong::ours()
        })?;
        Ok(Some((document, record.removed)))
    }

    /// A customer, or what is left of one.
    pub(super) async fn customer(&self, id: &str) -> Result<Option<Value>, Wrong> {
        let Some(named) = ids::customer_of(id) else {
            return Ok(None);
        };
        let found = self.even_removed::<Customer>(&named.to_string()).await?;
        Ok(found.map(|(customer, removed)| match removed {
            true => shape::customer::deleted(id, "customer"),
            false => shape::customer::shape(&customer, self.mode()),
        }))
    }

    /// A payment method: stored, used by an attempt, or one of the test cards.
    pub(super) async fn method(&self, id: &str) -> Result<Option<Value>, Wrong> {
        if let Some(stored) = ids::method_of(id) {
            let found = self.even_removed::<Method>(&stored.to_string()).await?;
            return Ok(found.map(|(method, _)| shape::method::shape(&method, self.scene(), self.mode())));
        }
        if let Some((order, attempt)) = ids::part_of("pm", id) {
            let Some(view) = self.view(order).await? else {
                return Ok(None);
            };
            let seen = self.seen(&view).await?;
            let attempt = view.order.attempt(attempt).map(|(_, attempt)| attempt);
            return Ok(attempt.and_then(|attempt| shape::method::used(&seen, self.scene(), attempt)));
        }
        let test =
            cards::named(self.door.kind.cards(), id).filter(|_| self.mode() == Mode::Test && id.starts_with("pm_"));
        Ok(test.map(|card| shape::method::of_test_card(id, card, self.scene())))
    }

    pub(super) async fn product(&self, id: &str) -> Result<Option<Value>, Wrong> {
        if let Some((order, at)) = ids::part_of("prod", id) {
            let Some(view) = self.view(order).await? else {
                return Ok(None);
            };
            return Ok(shape::session::product_of_line(&Seen::new(&view), at));
        }
        let found = self.even_removed::<Product>(id).await?;
        Ok(found.map(|(product, removed)| match removed {
            true => shape::customer::deleted(id, "product"),
            false => product.shape(self.mode()),
        }))
    }

    pub(super) async fn price(&self, id: &str) -> Result<Option<Value>, Wrong> {
        if let Some((order, at)) = ids::part_of("price", id) {
            let Some(view) = self.view(order).await? else {
                return Ok(None);
            };
            return Ok(shape::session::price_of_line(&Seen::new(&view), at));
        }
        Ok(self.get::<Price>(id).await?.map(|price| price.shape(self.mode())))
    }

    /// Any object by its id.
    pub(super) async fn object(&self, id: &str) -> Result<Option<Value>, Wrong> {
        let prefix = id.split_once('_').map_or("", |(prefix, _)| prefix);
        match prefix {
            "cus" => return self.customer(id).await,
            "pm" => return self.method(id).await,
            "prod" => return self.product(id).await,
            "price" => return self.price(id).await,
            _ => {}
        }
        let order = match prefix {
            "pi" | "cs" => ids::order_of(prefix, id),
            "ch" | "re" | "dp" => ids::part_of(prefix, id).map(|(order, _)| order),
            "txn" => ids::transaction_of(id).map(|(order, _, _)| order),
            _ => None,
        };
        let Some(order) = order else { return Ok(None) };
        let Some(view) = self.view(order).await? else {
            return Ok(None);
        };
        let seen = self.seen(&view).await?;
        Ok(of_order(&seen, self.scene(), id))
    }
}

/// An object of an order, by its id.
fn of_order(seen: &Seen<'_>, scene: Scene<'_>, id: &str) -> Option<Value> {
    let part = |prefix| ids::part_of(prefix, id).map(|(_, number)| number);
    match id.split_once('_')?.0 {
        "pi" => shape::intent::is_known(seen).then(|| shape::intent::shape(seen, scene)),
        "cs" => shape::session::shape(seen, scene).filter(|session| session["id"] == id),
        "ch" => shape::charge::find(seen, part("ch")?).map(|charge| shape::charge::shape(seen, scene, charge)),
        "re" => shape::refund::find(seen, scene, part("re")?),
        "dp" => shape::dispute::find(seen, scene, part("dp")?),
        "txn" => {
            let (_, of, number) = ids::transaction_of(id)?;
            shape::transaction::find(seen, scene, of, number)
        }
        _ => None,
    }
}

impl Door {
    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            origin: self.doors.settings.stripe_url.trim_end_matches('/'),
            cards: self.kind.cards(),
            tariff: self.kind.tariff(),
            now: self.doors.engine.now(),
        }
    }

    /// An endpoint of this tenant that wants Stripe's events.
    pub(super) fn endpoint(&self, tenant: Tenant, id: &str) -> Option<Arc<Endpoint>> {
        use florin_services::directory::Dialect;
        let id = ids::endpoint_of(id)?;
        let mut endpoints = self.doors.directory.endpoints(tenant).into_iter();
        endpoints.find(|endpoint| endpoint.id == id && endpoint.dialect == Dialect::Stripe)
    }
}
