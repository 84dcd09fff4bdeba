//! The native API, `/v1`: JSON in and out, RFC 9457 problems, an idempotency key wherever money moves.

pub mod gate;
