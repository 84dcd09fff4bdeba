//! The Stripe-compatible door from outside: calls over a real engine and a store in memory, with a provider that answers by the name of the
//! card. Every answer is held against Stripe's published schema where `FLORIN_SPECS` brings it.

mod bodies;
mod changes;
mod connections;
mod errors;
mod events;
mod expanding;
mod flows;
mod keys;
mod limits;
mod lists;
mod pages;
mod promises;
mod returning;
mod schema;
mod script;
mod sizes;
mod world;
