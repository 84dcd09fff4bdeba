//! The ids of public events: made of the order, the version and, when an event made several changes, a letter.

use florin_core::id::{OrderId, Part, PartId};

/// The order and version that an event's id names.
pub fn parse(id: &str) -> Option<(OrderId, u32)> {
    // Four digits of the version end the id; one letter may follow.
    let bare = id
        .strip_suffix(|letter: char| letter.is_ascii_lowercase())
        .unwrap_or(id);
    let part: PartId = bare.parse().ok()?;
    (part.kind == Part::Event).then_some((part.order, u32::from(part.number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Named, event_ids};

    #[test]
    fn ids_name_order_and_version_and_tell_several_changes_apart() {
        let order = OrderId::from_uuid(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        let named = |version, name: &'static str| Named {
            version,
            name: name.into(),
            part: None,
        };
        let all = [
            named(1, "order.created"),
            named(2, "order.processing"),
            named(2, "attempt.processing"),
        ];
        let ids = event_ids(order, &all);
        for (id, one) in ids.iter().zip(&all) {
            assert_eq!(parse(id), Some((order, one.version)), "{id}");
        }
        assert_eq!(parse("evt_nonsense"), None);
        assert_eq!(parse(&format!("{}ab", ids[0])), None);
    }
}
