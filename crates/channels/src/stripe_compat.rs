//! The Stripe-compatible door: official SDKs and the CLI of Stripe work against Florin when their base address is changed.
//!
//! It speaks the language of 2026-10-28 to every caller and says so in `Stripe-Version`. Parameters that it does not know are refused as
//! Stripe refuses them, never ignored. Objects are shapes of orders and of the directory's documents: this door has no tables, and its ids
//! lead back to the order that they name.
//!
//! ```text
//! SDK ──form──▶ gate ▸ params ──▶ sessions, intents, refunds, … ──Ask──▶ Engine
//!                                        │                                  │
//!                 JSON ◀── expand ◀── shape ◀──────────── View ◀────────────┘
//! payer ──▶ /c/pay/{token}, /challenge/{token}, /c/back/{token}: pages without scripts
//! ```
//!
//! The same code is the merchant's door in production and the pretend provider of `florin dev` ([`DoorKind`]). Not here: Connect, Radar,
//! tax, invoices, subscriptions.

mod asking;
mod cards;
mod catalogue;
mod charges;
mod customers;
mod decline;
mod disputes;
mod endpoints;
mod event_names;
mod events;
mod expand;
mod form;
mod gate;
mod ids;
mod intents;
mod lists;
mod methods;
mod money;
mod note;
mod pages;
mod params;
mod reader;
mod refunds;
mod sessions;
mod shape;
mod transactions;
mod turns;
mod wrong;

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use florin_core::money::Money;
use florin_core::rail::Memo;
use tower_http::catch_panic::CatchPanicLayer;

pub use cards::{Card, CardTable, Example};
pub use events::words;
pub(crate) use pages::written;

use crate::Doors;
use crate::api::gate::Meter;

/// The version whose shapes this door speaks.
pub const VERSION: &str = "2026-10-28.endive";

/// Whose door it is.
#[derive(Clone, Copy)]
pub enum DoorKind {
    /// The pretend provider: its page takes the published test cards, and it has prices.
    Provider {
        /// The cards that exist.
        cards: &'static dyn CardTable,
        /// What it charges.
        tariff: Tariff,
    },
    /// A merchant's own: its page sends payers on to the provider.
    Merchant {
        /// The test cards that Stripe publishes; in live mode nobody is asked for them.
        cards: &'static dyn CardTable,
    },
}

impl DoorKind {
    fn cards(&self) -> &'static dyn CardTable {
        match self {
            Self::Provider { cards, .. } | Self::Merchant { cards } => *cards,
        }
    }

    fn tariff(&self) -> Option<Tariff> {
        match self {
            Self::Provider { tariff, .. } => Some(*tariff),
            Self::Merchant { .. } => None,
        }
    }
}

/// Who decides disputes behind the pretend provider: the card's bank. It tells what it decided as it tells everything that happens later.
pub trait Arbiter: Send + Sync {
    /// Decides a dispute, for the merchant or against, by the bank's name of it; `payment` is what was learned of the payment there. Once
    /// more decides nothing new.
    fn decide<'a>(&'a self, payment: &'a Memo, dispute: &'a str, won: bool) -> Deciding<'a>;
}

/// Ends when the bank has decided; or why it could not.
pub type Deciding<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// What a provider charges for a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tariff {
    /// Hundredths of a percent of what was taken.
    pub basis_points: i64,
    /// And so many minor units of a currency with two decimals.
    pub fixed_minor: i64,
}

impl Tariff {
    /// The fee for `taken`: rounded half up, never more than was taken.
    pub fn fee(self, taken: Money) -> Money {
        let share = i128::from(taken.minor()) * i128::from(self.basis_points);
        let fixed = if taken.currency().exponent() == 2 {
            i128::from(self.fixed_minor)
        } else {
            0
        };
        let fee = (share + 5_000).div_euclid(10_000) + fixed;
        let most = i128::from(taken.minor().max(0));
        taken.with_minor(i64::try_from(fee.clamp(0, most)).unwrap_or(i64::MAX))
    }
}

/// What every handler of this door has.
#[derive(Clone)]
struct Door {
    doors: Doors,
    kind: DoorKind,
    turns: Arc<turns::Turns>,
    meter: Meter,
    pages: Arc<pages::Pages>,
    arbiter: Option<Arc<dyn Arbiter>>,
}

/// Where Stripe searches, or its clients look for a search, and this door does not: `search` is nobody's id.
const UNSEARCHED: &[&str] = &[
    "/v1/balance_transactions/search",
    "/v1/charges/search",
    "/v1/checkout/sessions/search",
    "/v1/customers/search",
    "/v1/disputes/search",
    "/v1/events/search",
    "/v1/payment_methods/search",
    "/v1/prices/search",
    "/v1/products/search",
    "/v1/refunds/search",
    "/v1/webhook_endpoints/search",
];

/// Routes of the door, an origin of its own.
pub fn router(doors: Doors, kind: DoorKind) -> Router {
    router_before(doors, kind, None)
}

/// The same, before somebody who decides disputes.
pub fn router_before(doors: Doors, kind: DoorKind, arbiter: Option<Arc<dyn Arbiter>>) -> Router {
    let door = Door {
        arbiter,
        pages: Arc::new(pages::Pages::new(&doors.settings.stripe_url)),
        doors,
        kind,
        turns: Arc::default(),
        meter: Meter::default(),
    };
    let api = Router::new()
        .route("/", get(pages::front))
        .route("/v1/balance", get(transactions::balance))
        .route("/v1/balance_transactions", get(transactions::list))
        .route("/v1/balance_transactions/{id}", get(transactions::retrieve))
        .route("/v1/charges", get(charges::list))
        .route("/v1/charges/{id}", get(charges::retrieve).post(charges::update))
        .route("/v1/charges/{id}/refunds", get(refunds::list_of_charge))
        .route("/v1/checkout/sessions", get(sessions::list).post(sessions::create))
        .route(
            "/v1/checkout/sessions/{id}",
            get(sessions::retrieve).post(sessions::update),
        )
        .route("/v1/checkout/sessions/{id}/expire", post(sessions::expire))
        .route("/v1/checkout/sessions/{id}/line_items", get(sessions::line_items))
        .route("/v1/customers", get(customers::list).post(customers::create))
        .route(
            "/v1/customers/{id}",
            get(customers::retrieve)
                .post(customers::update)
                .delete(customers::delete),
        )
        .route("/v1/customers/{id}/payment_methods", get(methods::list_of_customer))
        .route(
            "/v1/customers/{id}/payment_methods/{method}",
            get(methods::retrieve_of_customer),
        )
        .route("/v1/disputes", get(disputes::list))
        .route("/v1/disputes/{id}", get(disputes::retrieve).post(disputes::update))
        .route("/v1/disputes/{id}/close", post(disputes::close))
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}", get(events::retrieve))
        .route("/v1/payment_intents", get(intents::list).post(intents::create))
        .route("/v1/payment_intents/search", get(intents::search::search))
        .route("/v1/payment_intents/{id}", get(intents::retrieve).post(intents::update))
        .route("/v1/payment_intents/{id}/cancel", post(intents::ending::cancel))
        .route("/v1/payment_intents/{id}/capture", post(intents::ending::capture))
        .route("/v1/payment_intents/{id}/confirm", post(intents::confirm))
        .route("/v1/payment_methods", get(methods::list).post(methods::create))
        .route("/v1/payment_methods/{id}", get(methods::retrieve).post(methods::update))
        .route("/v1/payment_methods/{id}/attach", post(methods::attach))
        .route("/v1/payment_methods/{id}/detach", post(methods::detach))
        .route("/v1/payment_pages/{id}", get(sessions::page))
        .route("/v1/payment_pages/{id}/confirm", post(sessions::confirm_page))
        .route("/v1/prices", get(catalogue::list_prices).post(catalogue::create_price))
        .route(
            "/v1/prices/{id}",
            get(catalogue::retrieve_price).post(catalogue::update_price),
        )
        .route(
            "/v1/products",
            get(catalogue::list_products).post(catalogue::create_product),
        )
        .route(
            "/v1/products/{id}",
            get(catalogue::retrieve_product)
                .post(catalogue::update_product)
                .delete(catalogue::delete_product),
        )
        .route("/v1/refunds", get(refunds::list).post(refunds::create))
        .route("/v1/refunds/{id}", get(refunds::retrieve).post(refunds::update))
        .route("/v1/webhook_endpoints", get(endpoints::list).post(endpoints::create))
        .route(
            "/v1/webhook_endpoints/{id}",
            get(endpoints::retrieve)
                .post(endpoints::update)
                .delete(endpoints::delete),
        );
    let api = UNSEARCHED
        .iter()
        .fold(api, |api, path| api.route(path, any(gate::unrecognised)))
        .method_not_allowed_fallback(gate::unrecognised)
        .fallback(gate::unrecognised)
        .layer(CatchPanicLayer::custom(|_| wrong::Wrong::ours().into_response()))
        .layer(axum::middleware::from_fn(gate::stamp));
    Router::new()
        .merge(pages::routes(&door))
        .merge(api)
        .layer(crate::request::only_tls(&door.doors.settings.stripe_url))
        .with_state(door)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_rounded_and_never_more_than_was_taken() {
        let tariff = Tariff {
            basis_points: 150,
            fixed_minor: 25,
        };
        for (taken, code, fee) in [
            (1099, "EUR", 41),
            (10_000, "EUR", 175),
            (10, "EUR", 10),
            (0, "EUR", 0),
            (500, "JPY", 8),
        ] {
            let taken = Money::new(taken, code.parse().unwrap());
            assert_eq!(tariff.fee(taken), taken.with_minor(fee), "{taken}");
        }
    }
}
