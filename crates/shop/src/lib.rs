//! A small shop that lives on Florin's public API and webhooks alone.
