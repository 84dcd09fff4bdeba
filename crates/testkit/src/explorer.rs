//! Explores the shipped order machine breadth-first: every order in which things can go wrong, up to small bounds.
//!
//! A [`Scenario`] says what merchants, payers, provider and time may do, and how often. A [`World`] is the machine's order, the
//! provider's own book, every message that was ever sent and everything that was ever said. Whatever was sent may arrive at any time, once
//! or never; whatever was said may be heard at any time, again, in any order; a crash between "written" and "sent" is a request that
//! comes late. After every step the laws of `order-machine.md` 8 are checked; the first broken one is shown with its shortest trace.
//!
//! ```text
//! scenario ─▶ world ─ acts ─▶ worlds …   each: decide · apply · owed of the machine itself, provider's book beside it
//!                      └─▶ laws: 1 to 5 and 8 at each step, 6 whenever all is quiet, 7 over the whole graph
//! ```
//!
//! Mistakes are planted one at a time in [`Rules`], a thin shell around the machine and the engine's rules; each has to be found.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a mistake is about a few commands, an act about one"
)]

mod laws;
mod provider;
mod rules;
mod scenario;
mod search;
mod world;

pub use laws::Broken;
pub use provider::{Amount, Auth, Deal, Done, Request, Saying, Word, money};
pub use rules::{Mistake, Rules};
pub use scenario::{Left, Scenario, Try, scenarios};
pub use search::{Found, Report, WORLDS_MAX, explore};
pub use world::{Act, World};
