//! Florin: one binary with server, tools and client.
fn main() {}
