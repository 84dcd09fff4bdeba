//! What goes wrong, in Stripe's words: `{"error":{"type","code","message","param",…}}` and the status that its libraries turn into
//! exceptions.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use florin_core::card;
use florin_services::ask::Denied;
use florin_services::directory::DirectoryError;
use florin_store::Fault;
use serde_json::{Value, json};

/// Says whether a client may try the same call again.
pub(super) const SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
/// How soon a database that does not answer is worth another call.
const SOON_S: u32 = 2;

/// An error as Stripe answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) status: u16,
    pub(super) kind: Kind,
    pub(super) code: Option<Cow<'static, str>>,
    pub(super) message: String,
    pub(super) param: Option<String>,
    /// More members: `decline_code`, `charge`, `payment_intent`, ….
    pub(super) more: Vec<(&'static str, Value)>,
    pub(super) retry_after_s: Option<u32>,
    /// Whether the same call may be tried again; none: the client decides by the status.
    pub(super) again: Option<bool>,
    pub(super) replayed: bool,
}

/// Stripe's types of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Card,
    Idempotency,
    Api,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Request => "invalid_request_error",
            Self::Card => "card_error",
            Self::Idempotency => "idempotency_error",
            Self::Api => "api_error",
        }
    }
}

impl Wrong {
    pub(super) fn new(status: u16, kind: Kind, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            code: None,
            message: message.into(),
            param: None,
            more: Vec::new(),
            retry_after_s: None,
            again: None,
            replayed: false,
        }
    }

    /// The caller's mistake.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, Kind::Request, message)
    }

    /// There is none of this id.
    pub(super) fn missing(what: &str, id: &str) -> Self {
        let message = match card::holds_number(id) {
            true => format!(
                "No such {what}. The id that was sent looks like a card number, and card numbers do not belong here: a payer types them on \
                 the provider's page."
            ),
            false => format!("No such {what}: '{}'", super::form::shown(id)),
        };
        Self::new(404, Kind::Request, message).code("resource_missing").at("id")
    }

    /// There is none of this id, and a parameter named it.
    pub(super) fn missing_at(param: &str, what: &str, id: &str) -> Self {
        let mut wrong = Self::missing(what, id).at(param);
        wrong.status = 400;
        wrong
    }

    #[must_use]
    pub(super) fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    #[must_use]
    pub(super) fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// Nothing happened, and it may go through later.
    pub(super) fn later(status: u16, message: impl Into<String>, after_s: u32) -> Self {
        let kind = if status < 500 { Kind::Request } else { Kind::Api };
        let mut wrong = Self::new(status, kind, message);
        (wrong.retry_after_s, wrong.again) = (Some(after_s), Some(true));
        wrong
    }

    /// Whether the call is known to have done nothing: it was refused, and no twin of it is under way. One that was turned away for now comes
    /// again, and its twin may have got through.
    pub(super) fn nothing_happened(&self) -> bool {
        (400..500).contains(&self.status) && ![409, 429].contains(&self.status)
    }

    /// A mistake of ours.
    pub(super) fn ours() -> Self {
        Self::hopeless("Something went wrong here. Give the request id to the people who run this server.")
    }

    /// Trying again at once changes nothing.
    fn hopeless(message: impl Into<String>) -> Self {
        let mut wrong = Self::new(500, Kind::Api, message);
        wrong.again = Some(false);
        wrong
    }

    /// The body of the answer.
    pub(super) fn body(&self) -> Value {
        let mut error = json!({ "type": self.kind.word(), "message": self.message });
        if let Some(code) = &self.code {
            error["code"] = json!(code);
            error["doc_url"] = json!(format!(
                "https://stripe.com/docs/error-codes/{}",
                code.replace('_', "-")
            ));
        }
        if let Some(param) = &self.param {
            error["param"] = json!(param);
        }
        for (name, value) in &self.more {
            error[*name] = value.clone();
        }
        json!({ "error": error })
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(again) = self.again {
            headers.insert(
                SHOULD_RETRY,
                HeaderValue::from_static(if again { "true" } else { "false" }),
            );
        }
        if self.replayed {
            headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

/// As Stripe's messages are: a sentence. Ours begin small and have no full stop, because they stand in logs and after names.
fn sentence(said: &str) -> String {
    let mut letters = said.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

impl From<Denied> for Wrong {
    fn from(denied: Denied) -> Self {
        let said = sentence(&denied.to_string());
        match denied {
            // Calls that can be refused by the rules say it in words of their own; this is for the rest.
            Denied::Refused { replayed, .. } => {
                let mut wrong = Self::invalid(said);
                wrong.replayed = replayed;
                wrong
            }
            Denied::NotFound => Self::new(404, Kind::Request, said).code("resource_missing"),
            Denied::KeyReused => Self::new(
                400,
                Kind::Idempotency,
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other \
                 than the one you sent if you meant to execute a different request.",
            ),
            Denied::ReferenceTaken { order } => {
                tracing::error!(%order, "an order that was just made has a name that is taken");
                Self::ours()
            }
            Denied::Misuse { param, code, .. } => Self::invalid(said).code(code).at(param),
            Denied::Busy { retry_after_s } => Self::later(429, said, retry_after_s).code("rate_limit"),
            Denied::Unavailable { retry_after_s } => Self::later(503, said, retry_after_s),
            Denied::Full => {
                let what_to_do =
                    "Repeat the call with the same key when the people who run this server have freed space.";
                Self::hopeless(format!("{said} {what_to_do}"))
            }
            Denied::Damaged => {
                let what_to_do = "Do not repeat the call: the people who run this server must restore the record.";
                Self::hopeless(format!("{said} {what_to_do}"))
            }
        }
    }
}

impl From<DirectoryError> for Wrong {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::NotFound(_) => {
                Self::new(404, Kind::Request, sentence(&error.to_string())).code("resource_missing")
            }
            DirectoryError::KeyReused => Denied::KeyReused.into(),
            DirectoryError::Moved(_) => Self::later(429, sentence(&error.to_string()), 1).code("lock_timeout"),
            DirectoryError::Store(fault) => fault.into(),
            DirectoryError::TooMany(..) => Self::new(400, Kind::Request, sentence(&error.to_string())),
            DirectoryError::Unreadable(..) => {
                tracing::error!(%error, "a document of the directory does not read");
                Self::ours()
            }
        }
    }
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable(_) | Fault::Unknown(_) | Fault::Broken(_) => Self::later(
                503,
                "The database does not answer: try again with the same key.",
                SOON_S,
            ),
            Fault::Full(_) => Denied::Full.into(),
            Fault::Damaged(..) | Fault::Refused(_) => {
                tracing::error!(%fault, "the database cannot be read or written");
                Self::ours()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_stripe_writes_it() {
        let wrong = Wrong::invalid("Received unknown parameter: colour")
            .code("parameter_unknown")
            .at("colour");
        assert_eq!(
            wrong.body(),
            json!({ "error": {
                "type": "invalid_request_error",
                "code": "parameter_unknown",
                "doc_url": "https://stripe.com/docs/error-codes/parameter-unknown",
                "message": "Received unknown parameter: colour",
                "param": "colour",
            }})
        );
    }

    #[test]
    fn what_may_be_tried_again_says_so() {
        let busy = Wrong::from(Denied::Busy { retry_after_s: 3 }).into_response();
        assert_eq!(busy.status(), 429);
        assert_eq!(busy.headers()["retry-after"], "3");
        assert_eq!(busy.headers()["stripe-should-retry"], "true");
        assert_eq!(
            Wrong::from(Denied::Busy { retry_after_s: 3 }).message,
            "Too busy: try again in 3 s."
        );
        assert!(
            Wrong::from(Denied::Full)
                .message
                .starts_with("The disk is full. Repeat")
        );
        let reused = Wrong::from(Denied::KeyReused);
        assert_eq!((reused.status, reused.kind.word()), (400, "idempotency_error"));
    }
}
