//! The order machine: one pure machine that carries every payment.

mod command;
mod step;

pub use command::*;
pub use step::*;
