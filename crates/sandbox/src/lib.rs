//! The world outside, small enough for a laptop: the simulated card issuer and its book.
//!
//! The issuer is the witness of every fault test, so it shares no code with the rest of the product: none of our other
//! crates is a dependency. It knows the published test cards ([`cards`]), decides what happens to their money
//! ([`issuer`], pure rules), writes each decision into an append-only book that is flushed before anybody is answered
//! ([`book`], [`clerk`]), and speaks a small protocol over loopback ([`http`]) in which faults can be switched on
//! ([`faults`]). What happens after everybody was answered it tells by notices, until each is acknowledged ([`courier`]).
//!
//! ```text
//!   provider's engine ──rail `issuer`──▶ control door ─┐  (faults happen here)
//!                                                      ├─▶ clerk thread ─▶ issuer (rules) ─▶ issuer.book (fsync) ─▶ answers
//!   checker, curious people ──────────▶ read-only door ┘                         │
//!   provider's hook ◀─────────── courier ◀── what nobody has acknowledged ◀─────┘
//! ```
//!
//! In a process of its own or inside another one it is the same three lines:
//!
//! ```no_run
//! # async fn run(shutdown: tokio_util::sync::CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
//! use florin_sandbox::{clerk::{Clerk, Settings, wall_clock}, faults::Faults, http, serve::serve};
//! let clerk = Clerk::open(Settings::new("data/issuer.book"), wall_clock())?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! serve(listener, http::control(clerk, Faults::default()), shutdown).await?;
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

pub mod book;
pub mod cards;
pub mod clerk;
pub mod courier;
pub mod entry;
pub mod faults;
pub mod http;
pub mod issuer;
pub mod message;
pub mod reason;
pub mod serve;
