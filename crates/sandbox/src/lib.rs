//! The world outside, small enough for a laptop: the simulated card issuer and its book.
