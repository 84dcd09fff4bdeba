//! Where the Stripe-compatible door is put together: ours for merchants, and the pretend provider's over the simulated issuer.

use axum::Router;
use florin_channels::Doors;
use florin_channels::teller::StripeWords;

/// The door that merchants' programs use.
pub(crate) fn merchant(doors: Doors) -> Router {
    let _ = doors;
    Router::new()
}

/// The pretend provider.
pub(crate) fn provider(doors: Doors) -> Router {
    let _ = doors;
    Router::new()
}

/// Events in Stripe's words.
pub(crate) fn words() -> Option<StripeWords> {
    None
}
