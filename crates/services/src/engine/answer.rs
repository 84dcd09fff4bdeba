//! Reading orders: as they stand, as they stood, and the answers that earlier calls had.

use std::sync::Arc;

use florin_core::id::{OrderId, PartId};
use florin_core::time::Timestamp;
use florin_store::{EventRow, Fault, Found, IdemKey, OrderRow, Tenant, Wanted};

use super::{Engine, Inner};
use crate::ask::{Answered, Denied, State};
use crate::chain;
use crate::lane::{self, Rebuild, Reply};
use crate::snapshot::{Damage, Fold, Named, event_ids, read_whole};
use crate::view::View;

/// How often row and events are read again when a commit came between the two reads.
const READS_MAX: u32 = 5;

/// A public event of an order, with the order as it stood then.
#[derive(Clone, Debug)]
pub struct Told {
    /// `evt_…`
    pub id: String,
    /// `order.captured`, `refund.succeeded`, …
    pub name: String,
    /// The part that it is about; none: the order.
    pub part: Option<PartId>,
    /// The order's version.
    pub version: u32,
    /// Its place among the order's public events: 1, 2, 3, …, so that a receiver sees what is missing.
    pub sequence: u32,
    /// When.
    pub at: Timestamp,
    /// The order as it stood.
    pub order: Arc<View>,
    /// The idempotency key of the call that brought it about, if that is the call that made the order: of later ones nobody knows it here.
    pub key: Option<Arc<str>>,
}

impl Engine {
    /// An order as it stands.
    pub async fn view(&self, tenant: Tenant, order: OrderId) -> Result<Arc<View>, Denied> {
        self.inner.view(tenant, order).await
    }

    /// An order as it stood at a version.
    pub async fn view_at(&self, tenant: Tenant, order: OrderId, version: u32) -> Result<Arc<View>, Denied> {
        let (row, events) = self.inner.read(tenant, order).await?;
        let mut found = None;
        self.inner.fold(&row, &events, &mut |view, _| {
            if view.order.version == version {
                found = Some(Arc::new(view.clone()));
            }
        })?;
        found.ok_or(Denied::NotFound)
    }

    /// The answer of the call that came before with this key, if one did. For doors: what stands in the way of a call by now is said only
    /// of a new one.
    pub async fn answered_before(&self, tenant: Tenant, key: &IdemKey) -> Result<Option<Answered>, Denied> {
        let named = vec![(tenant, key.key.clone())];
        let wanted = Wanted {
            keys: named.clone(),
            order_keys: named,
            ..Wanted::default()
        };
        let found = self.inner.store.load(&wanted).await;
        let found = found.map_err(|fault| self.inner.unread(fault))?;
        match lane::replayed(found, tenant, key) {
            Some(reply) => self.inner.answer(tenant, reply).await.map(Some),
            None => Ok(None),
        }
    }

    /// The public events of an order, oldest first.
    pub async fn events(&self, tenant: Tenant, order: OrderId) -> Result<Vec<Told>, Denied> {
        let (row, events) = self.inner.read(tenant, order).await?;
        let mut views = Vec::new();
        self.inner
            .fold(&row, &events, &mut |view, _| views.push(Arc::new(view.clone())))?;
        let key: Option<Arc<str>> = row.key.as_ref().map(|key| key.key.as_str().into());
        let answered = lane::made_until(&views, &events);
        let mut told = Vec::new();
        for event in &events {
            let names = Named::of(event).map_err(|damage| self.inner.damaged(order, damage))?;
            for (named, id) in names.iter().zip(event_ids(order, &names)) {
                let at = usize::try_from(named.version).unwrap_or(0).saturating_sub(1);
                let Some(view) = views.get(at) else { continue };
                told.push(Told {
                    id,
                    name: named.name.to_string(),
                    part: named.part,
                    version: named.version,
                    sequence: u32::try_from(told.len() + 1).unwrap_or(u32::MAX),
                    at: event.time,
                    order: Arc::clone(view),
                    key: key.clone().filter(|_| event.version <= answered),
                });
            }
        }
        Ok(told)
    }
}

impl Inner {
    /// The caller's answer, out of the lane's.
    pub(super) async fn answer(&self, tenant: Tenant, reply: Reply) -> Result<Answered, Denied> {
        match reply {
            Reply::Answered(answered) => Ok(answered),
            Reply::Denied(denied) => Err(denied),
            Reply::Rebuild(rebuild) => self.rebuild(tenant, &rebuild).await,
            // It may be over by now, but the answer of its key is the order as it was when that came about: the next call has it.
            Reply::Running(order, step) => Ok(Answered {
                order: self.view(tenant, order).await?,
                step: Some(step),
                state: State::Running,
                replayed: false,
            }),
            // Only notices are stored without an order.
            Reply::Stored => Err(Denied::NotFound),
        }
    }

    /// The answer that the same call had.
    async fn rebuild(&self, tenant: Tenant, rebuild: &Rebuild) -> Result<Answered, Denied> {
        let (row, events) = self.read(tenant, rebuild.order()).await?;
        lane::rebuild(&row, &events, rebuild).map_err(|damage| self.damaged(row.id, damage))?
    }

    pub(super) async fn view(&self, tenant: Tenant, order: OrderId) -> Result<Arc<View>, Denied> {
        let (row, events) = self.read(tenant, order).await?;
        read_whole(&row, &events)
            .map(Arc::new)
            .map_err(|damage| self.damaged(order, damage))
    }

    /// The row of an order and the events that it stands on, proven by their chain.
    async fn read(&self, tenant: Tenant, order: OrderId) -> Result<(OrderRow, Vec<EventRow>), Denied> {
        if self.frozen().contains_key(&order) {
            return Err(Denied::Damaged);
        }
        let wanted = Wanted {
            orders: vec![order],
            details: vec![order],
            ..Wanted::default()
        };
        for _ in 0..READS_MAX {
            let Found {
                orders, mut details, ..
            } = self.store.load(&wanted).await.map_err(|fault| self.unread(fault))?;
            let row = orders
                .into_iter()
                .find(|row| row.id == order && row.tenant == tenant)
                .ok_or(Denied::NotFound)?;
            details.retain(|event| event.version <= row.version);
            if details.last().is_none_or(|event| event.version < row.version) {
                continue; // a commit came between the two reads
            }
            return match chain::walk(&details) {
                Ok(hash) if hash == row.chain => Ok((row, details)),
                Ok(_) => Err(self.damaged(order, Damage("its row does not stand on its newest event".into()))),
                Err(why) => Err(self.damaged(order, Damage(why))),
            };
        }
        Err(self.damaged(order, Damage("its row and its events do not belong together".into())))
    }

    /// Tells each version of an order, and whether it ends a row: what was decided together is answered together.
    fn fold(&self, row: &OrderRow, events: &[EventRow], each: &mut dyn FnMut(&View, bool)) -> Result<(), Denied> {
        let mut fold = Fold::default();
        for event in events {
            fold.row_with(event, &row.reference, &mut |view| {
                each(view, view.order.version == event.version)
            })
            .map_err(|damage| self.damaged(row.id, damage))?;
        }
        Ok(())
    }

    fn damaged(&self, order: OrderId, damage: Damage) -> Denied {
        self.freeze(order, damage.0);
        Denied::Damaged
    }

    fn unread(&self, fault: Fault) -> Denied {
        tracing::warn!(%fault, "cannot read an order");
        match fault {
            Fault::Damaged(order, why) => self.damaged(order, Damage(why)),
            Fault::Unavailable(_) | Fault::Unknown(_) | Fault::Full(_) | Fault::Broken(_) | Fault::Refused(_) => {
                Denied::Unavailable { retry_after_s: 1 }
            }
        }
    }
}
