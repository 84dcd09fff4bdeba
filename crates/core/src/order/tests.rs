//! The machine by example, by table, and against a model.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test asks about a few kinds")]

mod events;
mod golden;
mod kit;
mod properties;
mod traces;
