//! The real engine over a store and a socket, against a provider that keeps its own book.

mod server;
mod world;

mod sale;
