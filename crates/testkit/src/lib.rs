//! A payment world on one thread: explorer, simulator, planted mistakes.
#![forbid(unsafe_code)]
#![deny(clippy::wildcard_enum_match_arm)]

pub mod check;
pub mod explorer;
pub mod provider;
pub mod proxy;
pub mod sim;
