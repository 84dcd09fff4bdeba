//! Florin: one binary with server, tools and client.
#![forbid(unsafe_code)]

mod config;

fn main() {}
