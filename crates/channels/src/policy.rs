//! What browsers refuse on our pages because of their policy, as they report it. A report means that a page asks for something that it must
//! not, or that somebody put something into it.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use florin_core::card;
use serde_json::{Value, json};
use url::Url;

/// Several reports come at once; each is a few hundred bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;
/// Of one body of reports. Anybody may send some: one request counts as many as it may log.
const REPORTS_MAX: usize = 5;
/// Lines that the reports about one door's pages put into the log within [`MINUTE`]; the others are only counted.
const LINES_MAX: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Characters of an origin that are logged.
const ORIGIN_CHARS: usize = 100;

/// The rules that a policy may have; of others nothing is logged.
const RULES: &[&str] = &[
    "base-uri",
    "child-src",
    "connect-src",
    "default-src",
    "font-src",
    "form-action",
    "frame-ancestors",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "object-src",
    "require-trusted-types-for",
    "sandbox",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-attr",
    "style-src-elem",
    "trusted-types",
    "worker-src",
];
/// What browsers say instead of an address.
const KEYWORDS: &[&str] = &[
    "blob",
    "data",
    "eval",
    "inline",
    "self",
    "trusted-types-policy",
    "trusted-types-sink",
    "wasm-eval",
];
/// For what is none of these. Anybody may send it, so nothing of it is logged.
const OTHER: &str = "other";

/// The reports about one door's pages.
pub(crate) struct Reports {
    pages: &'static str,
    violations: AtomicU64,
    lines: Mutex<Lines>,
}

impl Reports {
    /// About the pages that go by this name in the metrics.
    pub(crate) fn about(pages: &'static str) -> Self {
        Self {
            pages,
            violations: AtomicU64::new(0),
            lines: Mutex::default(),
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
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            match lines.next(Instant::now()) {
                Line::Whole => {
                    let (rule, stopped) = (rule(report), stopped(report));
                    let pages = self.pages;
                    tracing::warn!(pages, rule, %stopped, "a browser refused something on a page");
                }
                Line::Last => tracing::warn!(
                    pages = self.pages,
                    "browsers refused more on these pages than is logged in a minute: florin_policy_reports_total counts it"
                ),
                Line::Left => {}
            }
        }
        StatusCode::NO_CONTENT
    }

    /// How many there were since the start.
    pub(crate) fn count(&self) -> Json<Value> {
        Json(json!({ "violations": self.violations.load(Ordering::Relaxed) }))
    }
}

/// The lines of a minute.
#[derive(Default)]
struct Lines {
    began: Option<Instant>,
    told: u32,
}

/// What the log gets of a report.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Whole,
    /// That no more are told.
    Last,
    Left,
}

impl Lines {
    fn next(&mut self, now: Instant) -> Line {
        if self.began.is_none_or(|began| now.duration_since(began) >= MINUTE) {
            (self.began, self.told) = (Some(now), 0);
        }
        self.told = self.told.saturating_add(1);
        match self.told {
            0..=LINES_MAX => Line::Whole,
            told if told == LINES_MAX + 1 => Line::Last,
            _ => Line::Left,
        }
    }
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

/// Which rule.
fn rule(report: &Value) -> &'static str {
    let said = text(report, ["effectiveDirective", "effective-directive"]);
    RULES.iter().find(|rule| **rule == said).unwrap_or(&OTHER)
}

/// What it stopped: the keyword or the origin. An address itself may open something, and anybody may write a card number into it; the page's
/// own address stays out for the same reasons.
fn stopped(report: &Value) -> Cow<'static, str> {
    let said = text(report, ["blockedURL", "blocked-uri"]);
    if let Some(keyword) = KEYWORDS.iter().find(|keyword| **keyword == said) {
        return Cow::Borrowed(keyword);
    }
    let Ok(address) = Url::parse(said) else {
        return Cow::Borrowed(OTHER);
    };
    match (address.scheme(), address.host_str()) {
        (scheme @ ("http" | "https" | "ws" | "wss"), Some(host)) if !has_number(host) => {
            let origin = format!("{scheme}://{host}");
            Cow::Owned(origin.chars().take(ORIGIN_CHARS).collect())
        }
        ("data", _) => Cow::Borrowed("data"),
        ("blob", _) => Cow::Borrowed("blob"),
        _ => Cow::Borrowed(OTHER),
    }
}

/// Whether a card number stands in a host's name.
fn has_number(host: &str) -> bool {
    let pieces = host.split(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '.' | '-' | '_'));
    pieces.into_iter().any(card::is_number) || host.split('.').any(card::is_number)
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

    #[test]
    fn the_log_gets_a_rule_and_an_origin_and_never_a_card_number() {
        // A test number that a network publishes: a four and fifteen ones.
        let number = format!("4{}", "1".repeat(15));
        let spaced = format!("4{0}-{1}-{1}-{1}", "1".repeat(3), "1".repeat(4));
        for (sent, logged) in [
            ("inline", "inline"),
            ("eval", "eval"),
            ("https://cdn.test:8443/a?token=b#c", "https://cdn.test"),
            ("https://me:secret@cdn.test/", "https://cdn.test"),
            ("wss://cdn.test/", "wss://cdn.test"),
            ("data:text/html,x", "data"),
            (&number, OTHER),
            (&format!("https://cdn.test/{number}"), "https://cdn.test"),
            (&format!("https://{number}.test/"), OTHER),
            (&format!("https://a{number}b.test/"), OTHER),
            (&format!("https://{spaced}.test/"), OTHER),
            (&format!("https://{}.test/", spaced.replace('-', ".")), OTHER),
            (&format!("a{number}:x"), OTHER),
            ("", OTHER),
            ("what anybody writes", OTHER),
        ] {
            let report = json!({ "body": { "effectiveDirective": &number, "blockedURL": sent } });
            assert_eq!((rule(&report), &*stopped(&report)), (OTHER, logged), "{sent}");
        }
        let long = json!({ "csp-report": { "effective-directive": "img-src", "blocked-uri": format!("https://{}/", "a".repeat(200)) } });
        assert_eq!((rule(&long), stopped(&long).len()), ("img-src", ORIGIN_CHARS));
    }

    #[test]
    fn a_minute_has_so_many_lines_and_one_that_says_so() {
        let (mut lines, began) = (Lines::default(), Instant::now());
        for at in 0..2 {
            let now = began + at * MINUTE;
            for _ in 0..LINES_MAX {
                assert_eq!(lines.next(now), Line::Whole);
            }
            assert_eq!(lines.next(now), Line::Last);
            for later in [0, 30, 59] {
                assert_eq!(lines.next(now + Duration::from_secs(later)), Line::Left);
            }
        }
    }
}
