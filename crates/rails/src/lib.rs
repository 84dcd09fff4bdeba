//! One provider a file: builds requests, reads replies.
//!
//! A rail turns what is asked and what is heard into what happens next ([`florin_core::rail`]). Pure: no I/O, no clock, no dice, no
//! secrets, no card data. `tests/contract.rs` holds the laws that every rail here keeps; `docs/adding-a-rail.md` shows how one is made.
#![forbid(unsafe_code)]
#![deny(clippy::wildcard_enum_match_arm)]

mod http;
pub mod issuer;
mod memo;
mod signed;
pub mod stripe;
mod turn;

use florin_core::rail::Rail;

/// Every rail of this build. A new one is one more line here.
pub const ALL: &[&dyn Rail] = &[&stripe::Stripe, &issuer::Issuer];

/// The rail that the configuration calls `name`.
pub fn by_name(name: &str) -> Option<&'static dyn Rail> {
    ALL.iter().copied().find(|rail| rail.table().name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rail_is_found_by_its_own_name_and_no_two_share_one() {
        for rail in ALL {
            let name = rail.table().name;
            assert!(std::ptr::eq(by_name(name).unwrap().table(), rail.table()), "{name}");
        }
        assert!(by_name("acme").is_none());
    }
}
