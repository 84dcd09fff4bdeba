//! When a delivery is tried again, and when it is given up.

use florin_store::{DeliveryRow, DeliveryStatus};

use super::Try;

/// Seconds between tries (Standard Webhooks 1.0.0's schedule, `dependencies.md`): nine retries over about three days.
pub const WAITS_S: [i64; 9] = [
    5,
    5 * 60,
    30 * 60,
    2 * 3_600,
    5 * 3_600,
    10 * 3_600,
    14 * 3_600,
    20 * 3_600,
    24 * 3_600,
];
/// How long to wait when a delivery could not even be written.
pub const SOON_S: i64 = 5;
/// Retries are spread over this share of the wait, so that an endpoint that comes back is not run over.
const JITTER_PERCENT: i64 = 20;
/// Tries that are kept of a delivery that is sent again by hand many times.
const TRIES_KEPT: usize = 50;

/// The tries in a row.
pub fn tries_of(delivery: &DeliveryRow) -> Vec<Try> {
    serde_json::from_str(&delivery.tries).unwrap_or_default()
}

/// Writes a try into a delivery and says what comes next.
pub fn after(delivery: &mut DeliveryRow, this_try: Try) {
    let mut tries = tries_of(delivery);
    let failed_before = tries.iter().rev().take_while(|before| !before.succeeded()).count();
    let at = this_try.at;
    let gone = this_try.status_code == Some(410);
    (delivery.status, delivery.due) = match WAITS_S.get(failed_before) {
        _ if this_try.succeeded() => (DeliveryStatus::Succeeded, None),
        Some(wait_s) if !gone => (
            DeliveryStatus::Pending,
            Some(at.plus_millis(wait_s * 1_000 + jitter_ms(delivery, *wait_s))),
        ),
        Some(_) | None => (DeliveryStatus::Failed, None),
    };
    tries.push(this_try);
    let surplus = tries.len().saturating_sub(TRIES_KEPT);
    tries.drain(..surplus);
    delivery.tries = serde_json::to_string(&tries).expect("tries are plain data");
}

/// Between nothing and [`JITTER_PERCENT`] of the wait, from the delivery's own random id: no dice needed.
fn jitter_ms(delivery: &DeliveryRow, wait_s: i64) -> i64 {
    let span_ms = wait_s * 10 * JITTER_PERCENT;
    let dice = i64::from(u32::try_from(delivery.id.uuid().as_u128() & 0xffff_ffff).unwrap_or(0));
    dice % span_ms.max(1)
}

#[cfg(test)]
mod tests {
    use florin_core::id::{DeliveryId, EndpointId, MerchantId, OrderId};
    use florin_core::time::Timestamp;
    use florin_store::{Mode, Tenant};

    use super::*;

    fn delivery() -> DeliveryRow {
        let nil = uuid::Uuid::nil();
        DeliveryRow {
            id: DeliveryId::from_uuid(uuid::Uuid::from_u128(12_345)),
            tenant: Tenant {
                merchant: MerchantId::from_uuid(nil),
                mode: Mode::Test,
            },
            endpoint: EndpointId::from_uuid(nil),
            order: OrderId::from_uuid(nil),
            event: "evt_1".into(),
            name: "order.created".into(),
            status: DeliveryStatus::Pending,
            tries: "[]".into(),
            due: None,
            created_at: Timestamp::default(),
        }
    }

    fn answer(at_s: i64, status: u16) -> Try {
        Try {
            at: Timestamp::from_millis(at_s * 1_000),
            status_code: Some(status),
            duration_ms: 1,
            error: None,
        }
    }

    #[test]
    fn an_endpoint_that_is_down_for_three_days_is_tried_ten_times_and_given_up() {
        let mut row = delivery();
        let mut now = 0;
        for wait in WAITS_S {
            after(&mut row, answer(now, 500));
            let due = row.due.expect("tried again").seconds();
            assert!(
                (now + wait..=now + wait + wait * JITTER_PERCENT / 100).contains(&due),
                "{wait}: {now} {due}"
            );
            now = due;
        }
        assert!(now > 72 * 3_600, "the last try is three days later: {now}");
        after(&mut row, answer(now, 500));
        assert_eq!(
            (row.status, row.due, tries_of(&row).len()),
            (DeliveryStatus::Failed, None, 10)
        );
    }

    #[test]
    fn a_2xx_ends_it_and_anything_else_does_not() {
        for (status, end) in [
            (200, true),
            (204, true),
            (299, true),
            (301, false),
            (400, false),
            (503, false),
        ] {
            let mut row = delivery();
            after(&mut row, answer(0, status));
            assert_eq!(row.status == DeliveryStatus::Succeeded, end, "{status}");
            assert_eq!(row.due.is_none(), end, "{status}");
        }
    }

    #[test]
    fn gone_is_not_tried_again() {
        let mut row = delivery();
        after(&mut row, answer(0, 410));
        assert_eq!((row.status, row.due), (DeliveryStatus::Failed, None));
    }

    #[test]
    fn a_delivery_that_is_sent_again_by_hand_starts_its_plan_anew_after_a_success() {
        let mut row = delivery();
        after(&mut row, answer(0, 200));
        after(&mut row, answer(100, 500));
        assert!(row.due.is_some_and(|due| due.seconds() <= 100 + 6), "{:?}", row.due);
    }
}
