//! The audit of databases that real engines made, and of what was done to them afterwards; the simulated issuer is the witness.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot go on fails, and its parts are its own"
)]

#[path = "../../../store/tests/support/mod.rs"]
mod support;
mod world;

mod faults;
mod healthy;
mod random;
mod restored;
mod tampered;
