//! The machine by example.

mod kit;
mod traces;
