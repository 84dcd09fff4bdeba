//! The rules of Florin: the order machine, ledger, money, ids and the trait of a rail.
//!
//! Pure: no I/O, no clock, no dice, no async. Time and ids are arguments. Depends on none of our crates.
#![forbid(unsafe_code)]
#![deny(clippy::wildcard_enum_match_arm)]

pub mod card;
pub mod decline;
pub mod effects;
pub mod event;
pub mod id;
pub mod ledger;
pub mod money;
pub mod order;
pub mod rail;
pub mod secret;
mod short;
pub mod status;
pub mod time;
