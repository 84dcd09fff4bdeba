//! The pages that payers see: the hosted page of a Checkout Session, the 3-D Secure challenge of the pretend provider, and where payers come
//! back to. Rendered here, without scripts.
//!
//! Every form stays on this origin, so the policy says `form-action 'self'` and nothing else: who has to go elsewhere (to a provider, back to
//! the merchant) is led there by the next page, not by the answer to a form.

mod back;
mod challenge;
mod pay;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use aws_lc_rs::digest::{SHA256, SHA384, digest};
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use florin_core::money::Money;
use florin_core::order::Phase;
use florin_core::status;
use florin_services::ask::What;
use florin_services::view::View;
use florin_services::{base64, dice};
use florin_store::Mode;
use serde_json::Value;

use super::note::Note;
use super::{Door, DoorKind, gate};
use crate::policy::{BODY_BYTES_MAX, Reports};
use crate::returned::{self, opened_by, params_of};
use crate::{body, request};

/// Where browsers report what the policy stopped.
const REPORTS: &str = "/c/reports";
/// Letters of an amount that stand in one line of the smallest screen, written large.
const AMOUNT_CHARS: usize = 14;
/// How long a page waits for a bank before it shows itself, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(100);

/// What all pages share.
pub(super) struct Pages {
    style: Asset,
    mark: Asset,
    policy: HeaderValue,
    reports: Reports,
}

/// A file that pages ask for, named by its content, so that it may be kept for ever.
struct Asset {
    href: String,
    integrity: String,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, kind: &'static str, text: &'static str) -> Self {
        let name = dice::hex(&digest(&SHA256, text.as_bytes()).as_ref()[..6]);
        Self {
            href: format!("/c/assets/{stem}.{name}.{extension}"),
            integrity: format!("sha384-{}", base64::encode(digest(&SHA384, text.as_bytes()).as_ref())),
            kind,
            text,
        }
    }
}

impl Pages {
    pub(super) fn new(origin: &str) -> Self {
        Self {
            style: Asset::new(
                "pay",
                "css",
                "text/css; charset=utf-8",
                concat!(
                    include_str!("../../assets/base.css"),
                    include_str!("../../assets/pay.css")
                ),
            ),
            mark: Asset::new("pay", "svg", "image/svg+xml", include_str!("../../assets/pay.svg")),
            policy: policy(origin.starts_with("https://")),
            reports: Reports::about("pay"),
        }
    }
}

/// What a browser may do on our pages. `report-to` works over https only, and where it stands Chromium ignores `report-uri`.
fn policy(secure: bool) -> HeaderValue {
    let text = format!(
        "default-src 'none'; script-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'; report-uri {REPORTS}{}",
        if secure { "; report-to csp" } else { "" }
    );
    HeaderValue::from_str(&text).expect("the policy is ASCII")
}

/// Routes of the pages.
pub(super) fn routes(door: &Door) -> Router<Door> {
    let pages = Router::new()
        .route("/c/pay/{token}", get(pay::show).post(pay::pay))
        .route("/c/pay/{token}/leave", post(pay::leave))
        .route("/c/back/{token}", get(back::back))
        .route("/c/assets/{name}", get(asset))
        .route(REPORTS, get(count).post(report));
    let pages = match door.kind {
        DoorKind::Provider { .. } => pages.route("/challenge/{token}", get(challenge::show).post(challenge::answer)),
        DoorKind::Merchant { .. } => pages,
    };
    pages
        .layer(from_fn(|request, next| body::whole(BODY_BYTES_MAX, request, next)))
        .layer(from_fn_with_state(door.clone(), in_a_page))
}

/// What the framework refused before a page was reached, it refused in plain text: payers are told in a page.
async fn in_a_page(State(door): State<Door>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if !request::is_bare(&response) {
        response
    } else if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        door.too_large()
    } else {
        door.unknown()
    }
}

// ---- frame ----------------------------------------------------------------------------------------------------------------------

/// What stands around every page.
struct Frame<'a> {
    merchant: String,
    test: bool,
    style: &'a str,
    integrity: &'a str,
    mark: &'a str,
    /// Where the payer is led at once.
    onward: Option<String>,
}

/// What is to be paid.
struct Due {
    total: String,
    lines: Vec<DueLine>,
    description: Option<String>,
}

impl Due {
    /// Whether the amount needs smaller letters to stand in one line of a small screen.
    fn is_long(&self) -> bool {
        self.total.chars().count() > AMOUNT_CHARS
    }
}

struct DueLine {
    name: String,
    /// Quantity and price of one, if there are several.
    each: Option<String>,
    sum: String,
}

/// Something went wrong with the last try.
struct Alert {
    title: &'static str,
    text: &'static str,
}

/// A page that says how things stand.
#[derive(Template)]
#[template(path = "pay/says.html")]
struct Says<'a> {
    frame: Frame<'a>,
    title: String,
    tone: Tone,
    headline: &'a str,
    text: String,
    facts: Vec<(&'static str, String)>,
    next: Option<(String, String)>,
}

/// Colour and picture of a message.
#[derive(Clone, Copy)]
enum Tone {
    Good,
    Wait,
    Note,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Wait => "wait",
            Self::Note => "note",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Good => "M7.5 12.5l3 3 6-6.5",
            Self::Wait => "M12 7v5l3.5 2",
            Self::Note => "M12 11v5.5M12 7.5v.01",
        }
    }
}

/// An order whose page was opened with the right token.
struct Opened {
    view: Arc<View>,
    note: Note,
}

impl Door {
    /// The order that a token opens; a page that says so if it opens none.
    async fn open(&self, token: &str) -> Result<Opened, Response> {
        match opened_by(&self.doors, token).await {
            Ok(view) => Ok(Opened {
                note: Note::of(&view.details),
                view,
            }),
            Err(problem) if problem.status == 404 => Err(self.unknown()),
            Err(_) => Err(self.not_now()),
        }
    }

    fn frame(&self, view: &View, onward: Option<String>) -> Frame<'_> {
        let merchant = self.doors.directory.merchant(view.tenant.merchant);
        let name = merchant.map_or_else(|| "the shop".to_owned(), |merchant| merchant.name.clone());
        self.framed(name, view.tenant.mode == Mode::Test, onward)
    }

    fn framed(&self, merchant: String, test: bool, onward: Option<String>) -> Frame<'_> {
        let pages = &self.pages;
        Frame {
            merchant,
            test,
            style: &pages.style.href,
            integrity: &pages.style.integrity,
            mark: &pages.mark.href,
            onward,
        }
    }

    pub(super) fn unknown(&self) -> Response {
        self.plain(
            StatusCode::NOT_FOUND,
            "This page does not exist",
            "Opening this page charges nothing",
            "Check the address, or go back to the shop: it knows how your payment went.",
        )
    }

    fn too_large(&self) -> Response {
        let text = "Open the payment page again, and fill it in by hand.";
        let title = "This form is too large";
        self.plain(StatusCode::PAYLOAD_TOO_LARGE, title, "Nothing was done", text)
    }

    fn not_now(&self) -> Response {
        let text = "Opening this page charges nothing. Load it again in a moment.";
        let title = "This page cannot be shown now";
        self.plain(StatusCode::SERVICE_UNAVAILABLE, title, "Please wait a moment", text)
    }

    /// A page about no order.
    fn plain(&self, status: StatusCode, title: &str, headline: &str, text: &str) -> Response {
        let page = Says {
            frame: self.framed("Florin".to_owned(), false, None),
            title: title.to_owned(),
            tone: Tone::Note,
            headline,
            text: text.to_owned(),
            facts: Vec::new(),
            next: None,
        };
        self.page(status, &page)
    }

    /// A rendered page with the headers that every page has.
    fn page(&self, status: StatusCode, page: &impl Template) -> Response {
        let mut response = match page.render() {
            Ok(text) => (status, Html(text)).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page cannot be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        };
        self.head(response.headers_mut());
        response
    }

    /// To another page of this door.
    fn to(&self, path: &str) -> Response {
        let mut response = Redirect::to(path).into_response();
        self.head(response.headers_mut());
        response
    }

    fn head(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_SECURITY_POLICY, self.pages.policy.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // The address of a page opens it: it is told to nobody else.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        );
        headers.insert(
            HeaderName::from_static("reporting-endpoints"),
            HeaderValue::from_static("csp=\"/c/reports\""),
        );
    }

    /// Asks about an order on behalf of its payer, and tells whether that came to its end. Whatever the answer is, the page that follows
    /// shows how the order stands.
    async fn try_ask(&self, view: &View, what: What) -> bool {
        returned::tell(&self.doors, view, what).await
    }

    /// The order once its bank has answered, or as it stands when patience is over.
    async fn settled(&self, view: &View) -> Result<Opened, Response> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let view = self
                .doors
                .engine
                .view(view.tenant, view.order.id)
                .await
                .map_err(|_| self.not_now())?;
            let moving =
                matches!(&view.order.phase, Phase::Pending(_)) && status::word(&view.order) == status::Word::Processing;
            if !moving || tokio::time::Instant::now() >= end {
                return Ok(Opened {
                    note: Note::of(&view.details),
                    view,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn due_of(view: &View) -> Due {
    let lines = view.details.lines.iter().map(|line| {
        let sum = line.unit.minor().saturating_mul(i64::from(line.quantity));
        DueLine {
            name: line.name.clone(),
            each: (line.quantity > 1).then(|| format!("{} × {}", line.quantity, written(line.unit))),
            sum: written(line.unit.with_minor(sum)),
        }
    });
    Due {
        total: written(view.order.due),
        lines: lines.collect(),
        description: view.details.description.clone(),
    }
}

/// An amount for people: `1,234.50 EUR`, never broken over two lines.
pub(crate) fn written(money: Money) -> String {
    let decimal = money.decimal();
    let (whole, part) = decimal
        .split_once('.')
        .map_or((decimal.as_str(), None), |(whole, part)| (whole, Some(part)));
    let (sign, digits) = whole
        .strip_prefix('-')
        .map_or(("", whole), |digits| ("\u{2212}", digits));
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let part = part.map(|part| format!(".{part}")).unwrap_or_default();
    format!("{sign}{grouped}{part}\u{a0}{}", money.currency())
}

/// Whether a form was sent by a page of ours. Browsers say where a form was; what says nothing is no browser. A proxy in front may have
/// put its own name into `Host`, so what the browser itself says of the sites, and the door's own address, count too.
fn is_ours(headers: &HeaderMap, address: &str) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(HeaderName::from_static("sec-fetch-site")), text(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, None) => true,
        (None, Some(origin)) => {
            let host = text(header::HOST).unwrap_or_default();
            origin == address.trim_end_matches('/') || origin.split_once("://").is_some_and(|(_, from)| from == host)
        }
    }
}

/// What somebody reads who opens the door's address with a browser: it is for programs.
pub(super) async fn front(State(door): State<Door>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if !accept.is_some_and(|accept| accept.contains("text/html")) {
        return gate::unrecognised(State(door), method, uri).await.into_response();
    }
    let text = match door.kind {
        DoorKind::Merchant { .. } => {
            "Programs written with Stripe's libraries work here when they are given this address and a key of Florin's."
        }
        DoorKind::Provider { .. } => {
            "This is the pretend payment provider of Florin's sandbox. It takes published test cards and no real money."
        }
    };
    door.plain(
        StatusCode::OK,
        "Florin speaks Stripe's language here",
        "This address is for programs",
        text,
    )
}

// ---- files and reports ----------------------------------------------------------------------------------------------------------

async fn asset(State(door): State<Door>, Path(name): Path<String>) -> Response {
    let all = [&door.pages.style, &door.pages.mark];
    match all
        .into_iter()
        .find(|asset| asset.href.strip_prefix("/c/assets/") == Some(&name))
    {
        Some(asset) => {
            let kept = "public, max-age=31536000, immutable";
            (
                [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, kept)],
                asset.text,
            )
                .into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn report(State(door): State<Door>, body: Bytes) -> StatusCode {
    door.pages.reports.take(&body)
}

async fn count(State(door): State<Door>) -> Json<Value> {
    door.pages.reports.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_a_page_do_nothing_but_show_itself_and_send_its_own_form() {
        let policy = policy(false);
        let policy = policy.to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'none'; style-src 'self';"),
            "{policy}"
        );
        assert!(
            policy.contains("; form-action 'self'; base-uri 'none'; frame-ancestors 'none';"),
            "{policy}"
        );
        for loose in ["unsafe", "*", "https:", "report-to"] {
            assert!(!policy.contains(loose), "{loose} in {policy}");
        }
    }

    #[test]
    fn amounts_are_grouped_and_never_cut() {
        for (minor, code, text) in [
            (5, "EUR", "0.05 EUR"),
            (123_450, "EUR", "1,234.50 EUR"),
            (100_000_000_000, "JPY", "100,000,000,000 JPY"),
            (999, "JPY", "999 JPY"),
            (1_000_500, "KWD", "1,000.500 KWD"),
            (-123_456, "USD", "−1,234.56 USD"),
        ] {
            assert_eq!(
                written(Money::new(minor, code.parse().unwrap())),
                text.replace(' ', "\u{a0}")
            );
        }
    }

    #[test]
    fn a_form_of_another_page_is_not_ours() {
        let from = |origin: Option<&str>| {
            let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("pay.test:4002"))]);
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            is_ours(&headers, "https://pay.example")
        };
        assert!(from(None) && from(Some("http://pay.test:4002")));
        assert!(from(Some("https://pay.example")), "a proxy put its own name into Host");
        assert!(!from(Some("http://evil.test")) && !from(Some("null")) && !from(Some("http://pay.test")));
    }
}
