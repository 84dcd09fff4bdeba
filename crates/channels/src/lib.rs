//! Front doors: the API, the Stripe-compatible door, provider hooks, pages.
