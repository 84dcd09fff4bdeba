//! What the tests of this crate share: rows, folders and PostgreSQL clusters of their own.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod cluster;
pub(crate) mod folder;
pub(crate) mod rows;
