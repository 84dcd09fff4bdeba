//! What the tests of this crate share: folders of their own and PostgreSQL clusters of their own.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod cluster;
pub(crate) mod folder;
