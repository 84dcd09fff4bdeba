//! What goes wrong, in the words of RFC 9457: a type that leads to a page, what happened, and one sentence of what to do now.
//!
//! One list of codes for the whole API. `docs/problems.md` has a paragraph for each, which the server itself serves at
//! `/problems/{code}`; a test holds list and paragraphs together.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use florin_core::order::Refusal;
use florin_services::ask::Denied;
use florin_services::directory::DirectoryError;
use florin_store::Fault;
use serde::Serialize;
use utoipa::ToSchema;

/// An error as it is answered, `application/problem+json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Leads to a page about this code.
    #[serde(rename = "type")]
    #[schema(example = "/problems/too_much")]
    pub kind: String,
    /// The code's short name.
    #[schema(example = "Too much")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 409)]
    pub status: u16,
    /// What happened, with the values.
    #[schema(example = "EUR 25.00 exceeds the EUR 19.99 that is available")]
    pub detail: String,
    /// For programs.
    #[schema(example = "too_much")]
    pub code: &'static str,
    /// The member or parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "amount")]
    pub param: Option<String>,
    /// The order that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Names this answer in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What to do now.
    #[schema(
        example = "ask for at most what is available, or leave out `amount` for all of it, with a new idempotency key"
    )]
    pub fix: String,
    #[serde(skip)]
    pub(crate) retry_after_s: Option<u32>,
    #[serde(skip)]
    pub(crate) replayed: bool,
}

/// Code, status, title, what to do now.
type Row = (&'static str, u16, &'static str, &'static str);

/// Every code.
pub const CODES: &[Row] = &[
    (
        "invalid_request",
        400,
        "Invalid request",
        "compare the body and the parameters with this call in the reference (`/docs`), and send JSON",
    ),
    (
        "unknown_member",
        400,
        "Unknown member",
        "leave out what `param` names, or spell it as the reference (`/docs`) does",
    ),
    (
        "invalid_value",
        422,
        "Invalid value",
        "change what `param` names as `detail` says, and call again",
    ),
    (
        "missing_member",
        400,
        "Missing member",
        "add the member that `param` names",
    ),
    (
        "missing_key",
        400,
        "Missing Idempotency-Key",
        "add the header `Idempotency-Key`: a new random value for every new call, the same value when you repeat one",
    ),
    (
        "unauthorized",
        401,
        "Not authenticated",
        "send `Authorization: Bearer sk_…` with a key that is in force; who manages your keys can make a new one",
    ),
    (
        "forbidden",
        403,
        "Not allowed",
        "use a key with the scope that `detail` names, or have one made by who manages your keys",
    ),
    (
        "not_found",
        404,
        "Not found",
        "check the id, and that your key is of the same merchant and mode",
    ),
    (
        "method_not_allowed",
        405,
        "Method not allowed",
        "use one of the methods in the `Allow` header",
    ),
    (
        "reference_taken",
        409,
        "Reference taken",
        "go on with the order that `order` names; for another purchase, use another reference",
    ),
    (
        "in_flight",
        409,
        "An attempt is running",
        "read the order until the attempt has ended; then call again with a new idempotency key, never beside it",
    ),
    (
        "already_paid",
        409,
        "Already paid",
        "charge nothing more: read the order, whose `deliverable` says whether goods may go out",
    ),
    (
        "order_over",
        409,
        "Order over",
        "make a new order with a reference of its own",
    ),
    (
        "attempt_over",
        409,
        "Attempt over",
        "read the order: it says how the attempt ended",
    ),
    (
        "stale_action",
        409,
        "Stale action",
        "read the order and send the payer to its current `next_action`",
    ),
    (
        "uncertain",
        409,
        "Outcome uncertain",
        "wait and read the order again: the provider is being asked, and the order will say; never charge again meanwhile",
    ),
    (
        "too_late",
        409,
        "Too late",
        "read the order until it has its outcome; if it was paid, refund it",
    ),
    ("use_void", 409, "Void instead", "call `/void` on this order"),
    ("use_refund", 409, "Refund instead", "call `/refunds` on this order"),
    (
        "not_authorized",
        409,
        "Nothing is authorized",
        "confirm the order first; when its status is `authorized`, call again with a new idempotency key",
    ),
    (
        "not_captured",
        409,
        "Nothing is captured",
        "there is nothing to give back: a hold goes back by `/void`, and an order that nobody has paid is called off by `/cancel`",
    ),
    (
        "already_captured",
        409,
        "Already captured",
        "nothing is left to take; to give money back, call `/refunds`",
    ),
    (
        "step_in_flight",
        409,
        "A step is running",
        "wait a second or two, then repeat the call with the same key",
    ),
    (
        "hold_over",
        409,
        "The hold is over",
        "make a new order with a reference of its own",
    ),
    (
        "other_amount",
        409,
        "Another amount is due",
        "read the order and confirm it again with a new idempotency key: what is due has changed",
    ),
    (
        "too_much",
        409,
        "Too much",
        "ask for at most what is available, or leave out `amount` for all of it, with a new idempotency key",
    ),
    (
        "not_positive",
        409,
        "Not more than zero",
        "send an amount of at least one minor unit; to take nothing, call `/void`",
    ),
    ("other_currency", 409, "Another currency", "use the order's currency"),
    (
        "void_refused",
        409,
        "Void refused",
        "wait until the hold ends by itself, or capture and refund",
    ),
    (
        "refund_window_over",
        409,
        "Too late to refund",
        "pay the customer back by other means",
    ),
    (
        "too_many_attempts",
        409,
        "Too many attempts",
        "make a new order with a reference of its own",
    ),
    (
        "too_many_captures",
        409,
        "Too many captures",
        "make the last capture final (`\"final\": true`) and use a new order for the rest",
    ),
    (
        "too_many_increments",
        409,
        "Too many increments",
        "use a new order for the rest",
    ),
    (
        "too_many_refunds",
        409,
        "Too many refunds",
        "pay the customer back by other means",
    ),
    (
        "too_many_voids",
        409,
        "Too many voids",
        "wait until the hold ends by itself",
    ),
    (
        "too_many_descriptions",
        409,
        "Too many descriptions",
        "keep what changes often in your own records",
    ),
    (
        "being_changed",
        409,
        "Being changed",
        "read it again and repeat the change",
    ),
    (
        "body_too_large",
        413,
        "Body too large",
        "send less; who runs this server can raise `body_bytes` under `[limits]`",
    ),
    (
        "unsupported_media_type",
        415,
        "Not JSON",
        "send JSON, and the header `Content-Type: application/json`",
    ),
    (
        "key_reused",
        422,
        "Idempotency key reused",
        "use a new idempotency key for a new request; to repeat a request, send the same bytes",
    ),
    (
        "conflict",
        422,
        "Other body for the same step",
        "repeat the step as it was first asked, or start a new one",
    ),
    (
        "unknown_method",
        422,
        "Unknown method",
        "use `hosted`, the id of a stored method (`met_…`), or in test mode a test card of docs/test-cards.md such as `card_visa`",
    ),
    (
        "no_connection",
        422,
        "No connection",
        "add a connection (`POST /v1/connections`) or enable one; a connection that you name has to be enabled",
    ),
    (
        "unsupported",
        422,
        "Not supported by the provider",
        "use another method or connection, or ask for what `detail` does not exclude",
    ),
    (
        "rate_limited",
        429,
        "Too many requests",
        "wait as many seconds as `Retry-After` says, then repeat the call with the same key",
    ),
    (
        "busy",
        429,
        "Too busy",
        "wait as many seconds as `Retry-After` says, then repeat the call with the same key",
    ),
    (
        "internal",
        500,
        "Our mistake",
        "repeat the call with the same key; if it stays, give the `request_id` to the people who run this server",
    ),
    (
        "record_damaged",
        500,
        "Record damaged",
        "do not repeat: the people who run this server must restore this order's record",
    ),
    (
        "unavailable",
        503,
        "Unavailable",
        "wait as many seconds as `Retry-After` says, then repeat the call with the same key",
    ),
    (
        "draining",
        503,
        "Stopping",
        "repeat the call with the same key: another server takes it, or this one when it is back",
    ),
    (
        "disk_full",
        507,
        "Disk full",
        "repeat the call with the same key when the people who run this server have freed space",
    ),
];

impl Problem {
    /// A problem of the list.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        let row = CODES
            .iter()
            .find(|row| row.0 == code)
            .or_else(|| CODES.iter().find(|row| row.0 == "internal"));
        let (code, status, title, fix) = row.copied().expect("the list holds `internal`");
        Self {
            kind: format!("/problems/{code}"),
            title,
            status,
            detail: detail.into(),
            code,
            param: None,
            order: None,
            request_id: None,
            fix: fix.to_owned(),
            retry_after_s: None,
            replayed: false,
        }
    }

    /// Names the member or parameter.
    #[must_use]
    pub fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// What to do now, where the list's sentence would send its reader the wrong way.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

/// The code of a refusal by the rules.
pub fn code_of(refusal: &Refusal) -> &'static str {
    use florin_core::order::TooMany;
    match refusal {
        Refusal::InFlight => "in_flight",
        Refusal::AlreadyPaid => "already_paid",
        Refusal::OrderOver => "order_over",
        Refusal::AttemptOver => "attempt_over",
        Refusal::StaleAction => "stale_action",
        Refusal::Uncertain => "uncertain",
        Refusal::TooLate => "too_late",
        Refusal::UseVoid => "use_void",
        Refusal::UseRefund => "use_refund",
        Refusal::NotAuthorized => "not_authorized",
        Refusal::NotCaptured => "not_captured",
        Refusal::AlreadyCaptured => "already_captured",
        Refusal::StepInFlight => "step_in_flight",
        Refusal::HoldOver => "hold_over",
        Refusal::TooMuch { .. } => "too_much",
        Refusal::NotPositive => "not_positive",
        Refusal::OtherCurrency => "other_currency",
        Refusal::VoidRefused => "void_refused",
        Refusal::RefundWindowOver => "refund_window_over",
        Refusal::TooMany(TooMany::Attempts) => "too_many_attempts",
        Refusal::TooMany(TooMany::Captures) => "too_many_captures",
        Refusal::TooMany(TooMany::Increments) => "too_many_increments",
        Refusal::TooMany(TooMany::Refunds) => "too_many_refunds",
        Refusal::TooMany(TooMany::Voids) => "too_many_voids",
        Refusal::TooMany(TooMany::Descriptions) => "too_many_descriptions",
        Refusal::Conflict => "conflict",
        Refusal::Unsupported => "unsupported",
        Refusal::OtherAmount { .. } => "other_amount",
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let detail = denied.to_string();
        match denied {
            Denied::Refused {
                refusal,
                order,
                replayed,
            } => {
                let mut problem = Self::new(code_of(&refusal), detail);
                problem.order = Some(order.order.id.to_string());
                problem.replayed = replayed;
                problem
            }
            Denied::NotFound => Self::new("not_found", detail),
            Denied::KeyReused => Self::new("key_reused", detail),
            Denied::ReferenceTaken { order } => {
                let mut problem = Self::new("reference_taken", detail).at("reference");
                problem.order = Some(order.to_string());
                problem
            }
            Denied::Misuse { param, code, detail } => Self::new(code, detail).at(param),
            Denied::Busy { retry_after_s } => Self::new("busy", detail).after(retry_after_s),
            Denied::Unavailable { retry_after_s } => Self::new("unavailable", detail).after(retry_after_s),
            Denied::Full => Self::new("disk_full", detail),
            Denied::Damaged => Self::new("record_damaged", detail),
        }
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Store(fault) => Self::from(fault),
            DirectoryError::NotFound(_) => Self::new("not_found", error.to_string()),
            DirectoryError::KeyReused => Self::new("key_reused", error.to_string()),
            DirectoryError::Moved(_) => Self::new("being_changed", error.to_string()),
            DirectoryError::TooMany(..) => Self::new("invalid_value", error.to_string())
                .fix("remove or revoke one that nobody uses, then repeat the call"),
            DirectoryError::Unreadable(..) => {
                tracing::error!(%error, "the directory does not read");
                Self::new("internal", "something here is wrong")
            }
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        /// How soon a database that does not answer is worth another call.
        const SOON_S: u32 = 2;
        match fault {
            Fault::Full(_) => Self::new("disk_full", "the disk is full"),
            Fault::Unavailable(_) | Fault::Unknown(_) | Fault::Broken(_) => {
                Self::new("unavailable", "the database does not answer").after(SOON_S)
            }
            Fault::Damaged(..) => Self::new("record_damaged", "the record of this order is damaged"),
            Fault::Refused(_) => {
                tracing::error!(%fault, "the database refused what it was given");
                Self::new("internal", "something here is wrong")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        self.request_id = self.request_id.or_else(crate::request::id);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self
            .retry_after_s
            .and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok());
        let replayed = self.replayed;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds);
        }
        if replayed {
            headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_and_says_what_to_do() {
        for (at, (code, status, title, fix)) in CODES.iter().enumerate() {
            assert!(CODES[..at].iter().all(|row| row.0 != *code), "{code} stands twice");
            assert!((400..600).contains(status), "{code}");
            assert!(!title.is_empty() && !fix.is_empty(), "{code}");
        }
    }

    #[test]
    fn every_code_has_a_paragraph_in_the_docs_and_no_paragraph_is_about_nothing() {
        let docs = include_str!("../../../docs/problems.md");
        let told: Vec<&str> = docs
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(|line| line.trim_matches('`'))
            .collect();
        let codes: Vec<&str> = CODES.iter().map(|row| row.0).collect();
        assert_eq!(
            told, codes,
            "docs/problems.md has a paragraph for each code, in the same order"
        );
    }

    #[test]
    fn the_docs_say_what_the_answers_say() {
        let docs = include_str!("../../../docs/problems.md");
        let mut paragraphs = docs.split("\n## ").skip(1);
        for (code, status, title, fix) in CODES {
            let paragraph = paragraphs.next().unwrap_or_default();
            let first = format!("{title} (HTTP {status}). ");
            assert!(paragraph.contains(&first), "{code}: begin with `{first}`");
            let what_to_do = format!("\nWhat to do: {fix}.\n");
            assert!(
                paragraph.contains(&what_to_do),
                "{code}: end with `{}`",
                what_to_do.trim()
            );
        }
    }
}
