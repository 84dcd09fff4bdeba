//! Front doors. One door a module; each speaks its own language and knows no rule about money.
//!
//! ```text
//! api            /v1, native: orders, refunds, events, webhooks, books            ─┐
//! stripe_compat  Stripe's language, an origin of its own, with a hosted page       ├─▶ services::Engine
//! hooks          what providers tell us                                            │
//! pages          where payers come back to; reference, problems                   ─┘
//! admin          health and metrics
//! ```
#![forbid(unsafe_code)]
// Stripe's objects have up to sixty members, and `json!` takes a step of recursion for each.
#![recursion_limit = "512"]
#![allow(
    clippy::result_large_err,
    reason = "a problem is made once per refused request, and moved once"
)]

pub mod admin;
pub mod api;
mod body;
mod email;
pub mod hooks;
mod idempotency;
mod lists;
mod policy;
pub mod problem;
mod remembered;
mod request;
pub mod returned;
pub mod stripe_compat;
pub mod teller;

use std::sync::Arc;

use florin_core::rail::Rail;
use florin_services::directory::Directory;
use florin_services::engine::Engine;
use florin_services::reader::Reader;
use florin_store::Store;
use tokio::sync::Notify;

/// What every door needs. Cheap to clone: every layer of a router does, for every request.
#[derive(Clone)]
pub struct Doors(Arc<Whole>);

/// The parts, and what all doors remember together.
struct Whole {
    parts: Parts,
    returns: returned::Returns,
    lists: lists::Lists,
}

/// What [`Doors`] are made of.
pub struct Parts {
    /// Carries commands out.
    pub engine: Arc<Engine>,
    /// Knows merchants, keys and connections.
    pub directory: Arc<Directory>,
    /// Where orders live: for lists.
    pub store: Arc<dyn Store>,
    /// Folds lists, balances and deliveries.
    pub reader: Arc<Reader>,
    /// Rung when there are deliveries to be made.
    pub bell: Arc<Notify>,
    /// What was set.
    pub settings: Arc<Settings>,
}

/// The rails of this installation.
pub type Rails = &'static [&'static dyn Rail];

impl std::ops::Deref for Doors {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

impl Doors {
    /// Doors over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Whole {
            parts,
            returns: returned::Returns::default(),
            lists: lists::Lists::default(),
        }))
    }

    /// A place for a list of this merchant; none: it has as many as it may.
    pub(crate) async fn list_of(&self, tenant: florin_store::Tenant) -> Option<lists::Place> {
        self.0.lists.take(tenant).await
    }

    /// The rails of this installation.
    pub fn rails(&self) -> Rails {
        self.engine.rails()
    }

    /// A rail by its name.
    pub fn rail(&self, name: &str) -> Option<&'static dyn Rail> {
        self.rails().iter().copied().find(|rail| rail.table().name == name)
    }

    /// Folds what was committed before this call, so that sums are exact.
    pub async fn catch_up(&self) -> Result<(), problem::Problem> {
        Ok(self.reader.catch_up().await?)
    }

    /// Folds what was committed before this call, so that a list is exact, if the database can be written to. On a disk that is full or
    /// broken an older list is better than none.
    pub async fn freshen(&self) {
        if let Err(fault) = self.reader.catch_up().await {
            tracing::warn!(%fault, "a list is shown as it was folded before");
        }
    }
}

/// What an operator sets for the doors.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The API's base address as payers and providers reach it, without a slash at its end.
    pub api_url: String,
    /// The Stripe door's base address.
    pub stripe_url: String,
    /// The largest request body.
    pub body_bytes: usize,
    /// Requests a second that one key may make; 0 is no limit.
    pub requests_per_s: u32,
    /// SHA-256 of the installation's admin key, in hex.
    pub admin_key_hash: Option<String>,
    /// Whether webhooks may go to private addresses.
    pub allow_private_webhooks: bool,
    /// Whether a connection may name an address that its rail does not know: a provider of one's own, as in `dev`.
    pub any_provider_address: bool,
}
