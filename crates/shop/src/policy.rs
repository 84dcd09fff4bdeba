//! What a browser may do on our pages, and the count of what it refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::InvalidHeaderValue;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::pages::App;

/// Where browsers report what the policy stopped.
pub(crate) const REPORT_PATH: &str = "/csp-reports";
/// A report is a few hundred bytes; browsers send several in one body.
pub(crate) const REPORT_BYTES: usize = 64 << 10;
/// Of one body; the rest is counted.
const REPORTS_LOGGED: usize = 5;
/// Lines that reports put into the log within [`MINUTE`]: anybody may send them. The others are counted.
const LINES_MAX: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Characters of a rule or an origin that are logged.
const LOGGED_CHARS: usize = 100;

/// Violations that browsers have reported since the start.
#[derive(Default)]
pub(crate) struct Violations {
    count: AtomicU64,
    lines: Mutex<Lines>,
}

/// When the minute began, and how many lines it has.
#[derive(Default)]
struct Lines(Option<Instant>, u32);

impl Lines {
    /// The how-manieth line of its minute the next one is.
    fn next(&mut self, now: Instant) -> u32 {
        if self.0.is_none_or(|began| now.duration_since(began) >= MINUTE) {
            *self = Self(Some(now), 0);
        }
        self.1 = self.1.saturating_add(1);
        self.1
    }
}

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
    let violations = &shop.violations;
    violations.count.fetch_add(reports.len() as u64, Ordering::Relaxed);
    for report in reports.iter().take(REPORTS_LOGGED) {
        let mut lines = violations.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.next(Instant::now());
        if line <= LINES_MAX {
            let (rule, stopped) = (rule(report), stopped(report));
            tracing::warn!(rule, stopped, "a browser refused something on a page of the shop");
        } else if line == LINES_MAX + 1 {
            tracing::warn!("browsers refused more on pages of the shop than is logged in a minute; it is counted");
        }
    }
    StatusCode::NO_CONTENT
}

/// A member of a report, by its name in either form.
fn text<'a>(report: &'a Value, names: [&str; 2]) -> &'a str {
    let inside = report
        .get("body")
        .or_else(|| report.get("csp-report"))
        .unwrap_or(report);
    let mut found = names
        .into_iter()
        .filter_map(|name| inside.get(name).and_then(Value::as_str));
    found.next().unwrap_or_default()
}

/// Which rule: a word of small letters.
fn rule(report: &Value) -> &str {
    let said = text(report, ["effectiveDirective", "effective-directive"]);
    let is_word = |said: &str| said.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if said.len() <= LOGGED_CHARS && is_word(said) {
        said
    } else {
        "other"
    }
}

/// What it stopped: `inline` or `eval`, or the origin. What else stands in an address is not for the log.
fn stopped(report: &Value) -> String {
    let said = text(report, ["blockedURL", "blocked-uri"]);
    if let "inline" | "eval" = said {
        return said.to_owned();
    }
    let address = Url::parse(said).ok();
    let origin = address
        .as_ref()
        .and_then(|address| Some((address.scheme(), address.host_str()?)));
    origin.map_or_else(
        || "other".to_owned(),
        |(scheme, host)| format!("{scheme}://{host}").chars().take(LOGGED_CHARS).collect(),
    )
}

/// How many there were.
pub(crate) async fn count(State(shop): State<App>) -> impl IntoResponse {
    Json(json!({ "violations": shop.violations.count.load(Ordering::Relaxed) }))
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

    #[test]
    fn the_log_gets_a_rule_and_an_origin_so_many_times_a_minute() {
        for (rules, blocked, logged) in [
            ("script-src", "inline", ("script-src", "inline")),
            (
                "img-src",
                "https://me:secret@cdn.test:1/a?b#c",
                ("img-src", "https://cdn.test"),
            ),
            ("what anybody writes", "and this", ("other", "other")),
            ("4111", "4111", ("other", "other")),
        ] {
            let report = json!({ "body": { "effectiveDirective": rules, "blockedURL": blocked } });
            assert_eq!((rule(&report), &*stopped(&report)), logged);
        }
        let long = json!({ "csp-report": { "blocked-uri": format!("https://{}/", "a".repeat(200)) } });
        assert_eq!(stopped(&long).len(), LOGGED_CHARS);
        let (mut lines, began) = (Lines::default(), Instant::now());
        assert_eq!([began, began, began + MINUTE].map(|now| lines.next(now)), [1, 2, 1]);
    }
}
