//! The laws that every rail keeps (`docs/adding-a-rail.md` tells them in words). Each test is named after the law it holds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "contract/formulas.rs"]
mod formulas;
#[path = "contract/issuer_world.rs"]
mod issuer_world;
#[path = "contract/laws.rs"]
mod laws;
#[path = "contract/planted.rs"]
mod planted;
#[path = "contract/scenes.rs"]
mod scenes;
#[path = "contract/stripe_world.rs"]
mod stripe_world;
#[path = "contract/sweep.rs"]
mod sweep;
#[path = "contract/worker.rs"]
mod worker;
#[path = "contract/world.rs"]
mod world;
