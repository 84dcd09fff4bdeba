//! Stripe's names for our things. Each carries the id of the order or document that it belongs to, so nothing needs an index.
//!
//! | name | of |
//! | --- | --- |
//! | `pi_…`, `cs_test_…` | an order |
//! | `ch_…NN`, `pm_…NN` | its attempt NN |
//! | `re_…NN`, `dp_…NN` | its refund, its dispute |
//! | `txn_…cNN`, `txn_…rNN`, `txn_…fNN` | what a charge, a refund, a refund that came back moved on the account |
//! | `txn_…dNN`, `txn_…wNN` | what a dispute took, and what one that was won brought back |
//! | `li_…NN`, `price_…NN`, `prod_…NN` | a line of its session, and the price and product named in it |
//! | `cus_…`, `pm_…`, `prod_…`, `price_…`, `we_…` | documents |

use florin_core::id::{CustomerId, EndpointId, MethodId, OrderId};
use florin_store::Mode;
use uuid::Uuid;

/// Characters of a UUID in base 32.
const BASE32_CHARS: usize = 26;

/// The 26 characters behind an id's prefix.
fn bare(id: impl ToString) -> String {
    let text = id.to_string();
    text.split_once('_').map(|(_, rest)| rest.to_owned()).unwrap_or(text)
}

fn uuid_of(text: &str) -> Option<Uuid> {
    format!("{}_{text}", OrderId::PREFIX)
        .parse::<OrderId>()
        .ok()
        .map(OrderId::uuid)
}

pub(super) fn intent(order: OrderId) -> String {
    format!("pi_{}", bare(order))
}

pub(super) fn session(order: OrderId, mode: Mode) -> String {
    let mode = match mode {
        Mode::Test => "test",
        Mode::Live => "live",
    };
    format!("cs_{mode}_{}", bare(order))
}

/// A part of an order: its 26 characters and a number.
fn part(prefix: &str, order: OrderId, number: u8) -> String {
    format!("{prefix}_{}{number:02}", bare(order))
}

pub(super) fn charge(order: OrderId, attempt: u8) -> String {
    part("ch", order, attempt)
}

/// The method that an attempt used, if it is no stored one.
pub(super) fn method_used(order: OrderId, attempt: u8) -> String {
    part("pm", order, attempt)
}

pub(super) fn refund(order: OrderId, index: u8) -> String {
    part("re", order, index)
}

pub(super) fn dispute(order: OrderId, index: u8) -> String {
    part("dp", order, index)
}

pub(super) fn line(order: OrderId, index: u8) -> String {
    part("li", order, index)
}

pub(super) fn line_price(order: OrderId, index: u8) -> String {
    part("price", order, index)
}

pub(super) fn line_product(order: OrderId, index: u8) -> String {
    part("prod", order, index)
}

/// What moved on the merchant's account at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Movement {
    /// The charge of an attempt.
    Charge,
    /// A refund.
    Refund,
    /// A refund that came back.
    RefundFailed,
    /// A dispute.
    Dispute,
    /// A dispute that was won.
    DisputeWon,
}

impl Movement {
    const ALL: [(Self, char); 5] = [
        (Self::Charge, 'c'),
        (Self::Refund, 'r'),
        (Self::RefundFailed, 'f'),
        (Self::Dispute, 'd'),
        (Self::DisputeWon, 'w'),
    ];
}

pub(super) fn transaction(order: OrderId, of: Movement, number: u8) -> String {
    let letter = Movement::ALL
        .into_iter()
        .find(|row| row.0 == of)
        .map_or('c', |row| row.1);
    format!("txn_{}{letter}{number:02}", bare(order))
}

pub(super) fn transaction_of(text: &str) -> Option<(OrderId, Movement, u8)> {
    let (uuid, rest) = text.strip_prefix("txn_")?.split_at_checked(BASE32_CHARS)?;
    let mut letters = rest.chars();
    let letter = letters.next()?;
    let of = Movement::ALL.into_iter().find(|row| row.1 == letter)?.0;
    Some((OrderId::from_uuid(uuid_of(uuid)?), of, number(letters.as_str())?))
}

/// The order of `pi_…` or `cs_…_…`.
pub(super) fn order_of(prefix: &str, text: &str) -> Option<OrderId> {
    let rest = text.strip_prefix(prefix)?.strip_prefix('_')?;
    let rest = match prefix {
        "cs" => rest.strip_prefix("test_").or_else(|| rest.strip_prefix("live_"))?,
        _ => rest,
    };
    uuid_of(rest).map(OrderId::from_uuid)
}

/// The order and number of `ch_…NN` and its like.
pub(super) fn part_of(prefix: &str, text: &str) -> Option<(OrderId, u8)> {
    let (uuid, rest) = text
        .strip_prefix(prefix)?
        .strip_prefix('_')?
        .split_at_checked(BASE32_CHARS)?;
    Some((OrderId::from_uuid(uuid_of(uuid)?), number(rest)?))
}

fn number(text: &str) -> Option<u8> {
    text.parse()
        .ok()
        .filter(|_| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

pub(super) fn method(id: MethodId) -> String {
    format!("pm_{}", bare(id))
}

pub(super) fn method_of(text: &str) -> Option<MethodId> {
    text.strip_prefix("pm_").and_then(uuid_of).map(MethodId::from_uuid)
}

pub(super) fn customer_of(text: &str) -> Option<CustomerId> {
    text.parse().ok()
}

pub(super) fn endpoint(id: EndpointId) -> String {
    format!("we_{}", bare(id))
}

pub(super) fn endpoint_of(text: &str) -> Option<EndpointId> {
    text.strip_prefix("we_").and_then(uuid_of).map(EndpointId::from_uuid)
}

/// A document that only this door has: a product, a price.
pub(super) fn document(prefix: &str, uuid: Uuid) -> String {
    format!("{prefix}_{}", bare(OrderId::from_uuid(uuid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_order() {
        let order = OrderId::from_uuid(Uuid::from_u128(0x0193_4f5e_7abc_7def_8123_4567_89ab_cdef));
        assert_eq!(order_of("pi", &intent(order)), Some(order));
        for mode in [Mode::Test, Mode::Live] {
            assert_eq!(order_of("cs", &session(order, mode)), Some(order));
        }
        assert_eq!(part_of("ch", &charge(order, 3)), Some((order, 3)));
        assert_eq!(part_of("re", &refund(order, 63)), Some((order, 63)));
        for (of, _) in Movement::ALL {
            assert_eq!(transaction_of(&transaction(order, of, 7)), Some((order, of, 7)));
        }
    }

    #[test]
    fn a_name_of_another_kind_leads_nowhere() {
        let order = OrderId::from_uuid(Uuid::from_u128(7 << 76 | 2 << 62));
        assert_eq!(order_of("pi", &session(order, Mode::Test)), None);
        assert_eq!(part_of("ch", &intent(order)), None);
        assert_eq!(method_of(&method_used(order, 1)), None, "a used method is no document");
        for odd in [
            "",
            "pi_",
            "pi_nothing",
            "pi_ü",
            "ch_ü234567890123456789012345",
            &"pi_".repeat(50),
        ] {
            assert_eq!(order_of("pi", odd), None, "{odd}");
            assert_eq!(part_of("ch", odd), None, "{odd}");
            assert_eq!(transaction_of(odd), None, "{odd}");
        }
    }
}
