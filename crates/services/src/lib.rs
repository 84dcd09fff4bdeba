//! Everything that waits: the engine (the only caller of the order machine), the worker (the only caller of a rail), the egress and its
//! keyring, timers, the readers behind the commit, webhooks out.
//!
//! ```text
//! door ──Ask──▶ Engine ──▶ lane [ load · decide · apply ] × many ──▶ one commit ──▶ answers
//!                                     │                                  └──▶ readers: lists, balances, refs, deliveries ──▶ notify
//!                                     └──▶ worker ──▶ egress ──▶ provider ──▶ turn ──▶ lane
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::wildcard_enum_match_arm)]

pub mod ask;
pub mod audit;
pub mod base64;
pub mod chain;
pub mod clock;
pub mod crash;
pub mod dice;
pub mod directory;
pub mod egress;
pub mod engine;
pub mod fresh;
pub mod json;
pub mod keyring;
pub mod lane;
mod marks;
pub mod merge;
pub mod notify;
pub mod reader;
pub mod restore;
pub mod snapshot;
pub mod tidy;
pub mod told;
pub mod view;
pub mod watch;
mod whole;
pub mod work;
pub mod worker;
