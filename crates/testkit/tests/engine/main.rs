//! The real engine over a store and a socket, against a provider that keeps its own book.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot go on fails, and its parts are its own"
)]

mod server;
mod stopping;
mod world;

mod faults_keys;
mod faults_notices;
mod faults_provider;
mod faults_time;
mod sale;
