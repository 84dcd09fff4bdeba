//! What a browser may do on our pages, and the count of what it refused.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::InvalidHeaderValue;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::pages::App;

/// Where browsers report what the policy stopped.
pub(crate) const REPORT_PATH: &str = "/csp-reports";
/// A report is a few hundred bytes; browsers send several in one body.
pub(crate) const REPORT_BYTES: usize = 64 << 10;
/// Of one body; the rest is counted with the next one.
const REPORTS_LOGGED: usize = 5;

/// Violations that browsers have reported since the start.
#[derive(Default)]
pub(crate) struct Violations(AtomicU64);

/// The policy of every page. The form of the cart ends in a redirect to the payment page, and browsers hold that redirect against
/// `form-action` too, so the payment pages' origins stand there, exactly.
///
/// `report-to` works over https only, and where it stands Chromium ignores `report-uri`: over http it must not stand there.
pub(crate) fn content_security_policy(
    payment_pages: &[String],
    secure: bool,
) -> Result<HeaderValue, InvalidHeaderValue> {
    let forms = std::iter::once("'self'")
        .chain(payment_pages.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ");
    let report_to = if secure { "; report-to csp" } else { "" };
    HeaderValue::from_str(&format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         form-action {forms}; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types florin; report-uri {REPORT_PATH}{report_to}"
    ))
}

/// Names the report address for `report-to`.
pub(crate) fn reporting_endpoints() -> HeaderValue {
    HeaderValue::from_static("csp=\"/csp-reports\"")
}

/// Takes reports in either form: a list (`report-to`) or one object (`report-uri`).
pub(crate) async fn report(State(shop): State<App>, body: Bytes) -> StatusCode {
    let reports = match serde_json::from_slice(&body) {
        Ok(Value::Array(reports)) => reports,
        Ok(report @ Value::Object(_)) => vec![report],
        Ok(_) | Err(_) => return StatusCode::BAD_REQUEST,
    };
    shop.violations.0.fetch_add(reports.len() as u64, Ordering::Relaxed);
    for report in reports.iter().take(REPORTS_LOGGED) {
        let text: String = report.to_string().chars().take(500).collect();
        tracing::warn!(report = text, "a browser refused something on a page of the shop");
    }
    StatusCode::NO_CONTENT
}

/// How many there were.
pub(crate) async fn count(State(shop): State<App>) -> impl IntoResponse {
    Json(json!({ "violations": shop.violations.0.load(Ordering::Relaxed) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_exactly_the_payment_pages_and_nobody_else() {
        let policy = content_security_policy(&["http://127.0.0.1:4003".into()], false).unwrap();
        let policy = policy.to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{policy}"
        );
        assert!(
            policy.contains("; form-action 'self' http://127.0.0.1:4003; "),
            "{policy}"
        );
        for loose in ["unsafe", "*", "https:"] {
            assert!(!policy.contains(loose), "{policy}");
        }
    }
}
