//! What browsers refuse on our pages because of their policy, as they report it. A report means that a page asks for something that it must
//! not, or that somebody put something into it.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// Several reports come at once; each is a few hundred bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;
/// Of one body of reports. Anybody may send some: one request counts as many as it may log.
const REPORTS_MAX: usize = 5;

/// The reports about one door's pages.
pub(crate) struct Reports {
    pages: &'static str,
    violations: AtomicU64,
}

impl Reports {
    /// About the pages that go by this name in the metrics.
    pub(crate) fn about(pages: &'static str) -> Self {
        Self {
            pages,
            violations: AtomicU64::new(0),
        }
    }

    /// Takes reports in either form: a list (`report-to`) or one object (`report-uri`).
    pub(crate) fn take(&self, body: &[u8]) -> StatusCode {
        let mut reports = match serde_json::from_slice(body) {
            Ok(Value::Array(reports)) => reports,
            Ok(report @ Value::Object(_)) => vec![report],
            Ok(_) | Err(_) => return StatusCode::BAD_REQUEST,
        };
        reports.truncate(REPORTS_MAX);
        self.violations.fetch_add(reports.len() as u64, Ordering::Relaxed);
        metrics::counter!("florin_policy_reports_total", "pages" => self.pages).increment(reports.len() as u64);
        for report in &reports {
            // Which rule and what it stopped; the page's own address stays out, because it may open the page.
            let inside = report
                .get("body")
                .or_else(|| report.get("csp-report"))
                .unwrap_or(report);
            let text = |names: [&str; 2]| {
                let found = names
                    .into_iter()
                    .find_map(|name| inside.get(name).and_then(Value::as_str));
                found.unwrap_or_default().chars().take(200).collect::<String>()
            };
            let (rule, stopped) = (
                text(["effectiveDirective", "effective-directive"]),
                text(["blockedURL", "blocked-uri"]),
            );
            tracing::warn!(
                pages = self.pages,
                rule,
                stopped,
                "a browser refused something on a page"
            );
        }
        StatusCode::NO_CONTENT
    }

    /// How many there were since the start.
    pub(crate) fn count(&self) -> Json<Value> {
        Json(json!({ "violations": self.violations.load(Ordering::Relaxed) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_counted_in_both_forms_and_other_bodies_are_none() {
        let reports = Reports::about("test");
        let old = br#"{"csp-report":{"effective-directive":"script-src","blocked-uri":"inline"}}"#;
        let new = br#"[{"type":"csp-violation","body":{"effectiveDirective":"script-src"}},{"type":"csp-violation","body":{}}]"#;
        assert_eq!(reports.take(old), StatusCode::NO_CONTENT);
        assert_eq!(reports.take(new), StatusCode::NO_CONTENT);
        assert_eq!(reports.take(b"\"text\""), StatusCode::BAD_REQUEST);
        assert_eq!(reports.take(b"{"), StatusCode::BAD_REQUEST);
        assert_eq!(reports.count().0["violations"], 3);
    }
}
