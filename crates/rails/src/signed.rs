//! What must hold before a webhook is believed, where its header says `t=<seconds>,v1=<hex>`: HMAC-SHA256 over `<seconds>.<body>`.

use std::borrow::Cow;

use florin_core::rail::{Check, Notice, Part};
use florin_core::time::Timestamp;

/// Stripe's own tolerance between signing and arrival.
const FRESH_S: u32 = 300;
/// A sender signs once for each secret in force; a header with more is nobody's.
const SIGNATURES_MAX: usize = 8;

/// The checks of a notice that is signed in this header with the connection's `webhook_secret`; none if it is not signed.
pub(crate) fn checks(notice: &Notice, header: &str) -> Vec<Check> {
    let checks = notice.headers.get(header).and_then(|header| of_header(header));
    checks.unwrap_or_default()
}

/// `t=<seconds>,v1=<hex>[,v1=<hex>…]`; other schemes (`v0`) are ignored.
fn of_header(header: &str) -> Option<Vec<Check>> {
    let mut fields = Vec::new();
    for field in header.split(',') {
        fields.push(field.trim().split_once('=')?);
    }
    let all = |name: &str| -> Vec<&str> {
        fields
            .iter()
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| *value)
            .collect()
    };
    let [time] = all("t")[..] else { return None };
    let seconds: i64 = time.parse().ok().filter(|seconds| *seconds >= 0)?;
    let one_of: Vec<String> = all("v1").into_iter().map(str::to_owned).collect();
    let signed = vec![Part::Text(format!("{time}.").into()), Part::Received];
    (1..=SIGNATURES_MAX).contains(&one_of.len()).then(|| {
        vec![
            Check::Equal {
                formula: Part::HmacSha256Hex(vec![Part::Secret(Cow::Borrowed("webhook_secret"))], signed),
                one_of,
            },
            Check::Fresh {
                at: Timestamp::default().plus_seconds(seconds),
                within_s: FRESH_S,
            },
        ]
    })
}
