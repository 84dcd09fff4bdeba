//! What the API says about one order, read for the part of its page that is *behind the scenes*.
//!
//! Five reads at once, kept for a moment, so that many open pages of one order cost Florin no more than one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::api::shapes::{Attempt, Delivery, Event, LedgerEntry, List, Order};
use crate::api::{Api, Failure};

/// Younger than this is fresh. Pages ask once a second.
const FRESH: Duration = Duration::from_millis(400);
/// Orders whose scene is kept; forgotten all at once, since each is old after a moment anyway.
const KEPT: usize = 128;
/// An order's attempts, events and entries are far fewer; more are left to the API.
const ROWS: usize = 100;

/// Everything about one order; a part that could not be read is missing, not the page.
pub(crate) struct Scene {
    pub(crate) order: Result<Order, Failure>,
    pub(crate) attempts: Part<Attempt>,
    pub(crate) events: Part<Event>,
    pub(crate) ledger: Part<LedgerEntry>,
    pub(crate) deliveries: Part<Delivery>,
}

/// Oldest first.
pub(crate) type Part<T> = Result<Vec<T>, Failure>;

#[derive(Default)]
pub(crate) struct Scenes(Mutex<HashMap<String, (Instant, Arc<Scene>)>>);

impl Scenes {
    pub(crate) async fn look(&self, api: &Api, order: &str) -> Arc<Scene> {
        if let Some((at, scene)) = self.kept().get(order)
            && at.elapsed() < FRESH
        {
            return scene.clone();
        }
        let scene = Arc::new(Scene::read(api, order).await);
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(order.to_owned(), (Instant::now(), scene.clone()));
        scene
    }

    /// A webhook came: what was read before is old.
    pub(crate) fn forget(&self, order: &str) {
        self.kept().remove(order);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Arc<Scene>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scene {
    async fn read(api: &Api, id: &str) -> Self {
        let path = format!("/v1/orders/{id}");
        let (order, attempts, events, ledger, deliveries) = tokio::join!(
            api.get(&path),
            part(api, &path, "attempts"),
            part(api, &path, "events"),
            part(api, &path, "ledger_entries"),
            part(api, &path, "deliveries"),
        );
        Self {
            order,
            attempts,
            events,
            ledger,
            deliveries,
        }
    }
}

async fn part<T: DeserializeOwned>(api: &Api, order: &str, name: &str) -> Part<T> {
    let list: List<T> = api.get(&format!("{order}/{name}?limit={ROWS}")).await?;
    let mut rows = list.data;
    rows.reverse();
    Ok(rows)
}
