//! What a fault looks like on the wire.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

use super::Refused;
use crate::faults::{Fault, Kind, When};

/// Marks an answer that must not be sent: the server resets the connection instead.
#[derive(Clone, Copy)]
pub(crate) struct Cut;

/// Ten times what any answer may be: a client must stop reading long before.
const HUGE_BYTES: usize = 10 * 1024 * 1024;

/// Runs the work, or not, and answers as the fault will have it.
///
/// Under a fault the work goes on when the caller hangs up meanwhile, as it does at a real provider: an effect that comes
/// after everybody stopped listening is the very thing to be tested.
pub(super) async fn play<W>(fault: Option<Fault>, work: W) -> Response
where
    W: Future<Output = Result<Response, Refused>> + Send + 'static,
{
    match fault {
        None => work.await.into_response(),
        Some(fault) => tokio::spawn(strike(fault, work)).await.unwrap_or_else(|_| cut()),
    }
}

async fn strike(fault: Fault, work: impl Future<Output = Result<Response, Refused>> + Send) -> Response {
    let Fault { kind, when, ms } = fault;
    let time = Duration::from_millis(ms);
    if kind == Kind::DelayMs && when == When::Before {
        tokio::time::sleep(time).await;
        return work.await.into_response();
    }
    let truth = match when {
        When::Before => StatusCode::NO_CONTENT.into_response(),
        When::After => work.await.into_response(),
    };
    match kind {
        Kind::DelayMs => {
            tokio::time::sleep(time).await;
            truth
        }
        Kind::TimeoutBefore | Kind::TimeoutAfter => {
            tokio::time::sleep(time).await;
            cut()
        }
        Kind::Reset => cut(),
        Kind::Status500 => error(StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        Kind::Status429 => error(StatusCode::TOO_MANY_REQUESTS, "rate_limit"),
        Kind::Garbage => as_json("<html><body>Service temporarily { unavail"),
        Kind::Huge => as_json(format!("{{\"padding\":\"{}\"}}", "x".repeat(HUGE_BYTES))),
        Kind::Duplicate => as_json(r#"{"status":"declined","code":"94","reason":"duplicate"}"#),
        Kind::Truncated => drip(truth, Pace::Half).await,
        Kind::SlowBytes => drip(truth, Pace::Every(time)).await,
        Kind::WrongAmount => {
            altered(truth, |member, value| {
                let amount = ["amount", "captured", "moved", "refunded"].contains(&member)
                    && value.as_i64().is_some_and(|n| n > 0);
                if amount {
                    *value = (value.as_i64().unwrap_or_default() + 1).into();
                }
            })
            .await
        }
        Kind::WrongCurrency => {
            altered(truth, |member, value| {
                if member == "currency" {
                    *value = if value == "XTS" { "XXX".into() } else { "XTS".into() };
                }
            })
            .await
        }
    }
}

fn cut() -> Response {
    let mut response = StatusCode::BAD_GATEWAY.into_response();
    response.extensions_mut().insert(Cut);
    response
}

fn error(status: StatusCode, word: &str) -> Response {
    let body = format!(r#"{{"error":"{word}","detail":"a fault that was switched on (GET /faults)"}}"#);
    let mut response = (status, as_json(body)).into_response();
    if status == StatusCode::TOO_MANY_REQUESTS {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn as_json(body: impl Into<Body>) -> Response {
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        body.into(),
    )
        .into_response()
}

/// The answer with each top-level member changed as asked.
async fn altered(truth: Response, change: impl Fn(&str, &mut serde_json::Value)) -> Response {
    let (parts, body) = truth.into_parts();
    let bytes = collect(body).await;
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes) {
        Ok(mut members) if parts.status.is_success() => {
            members.iter_mut().for_each(|(member, value)| change(member, value));
            as_json(serde_json::to_vec(&members).expect("it was JSON before"))
        }
        Ok(_) | Err(_) => Response::from_parts(parts, Body::from(bytes)),
    }
}

async fn drip(truth: Response, pace: Pace) -> Response {
    let (mut parts, body) = truth.into_parts();
    let bytes = collect(body).await;
    parts.headers.remove(header::CONTENT_LENGTH);
    let sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
    Response::from_parts(
        parts,
        Body::new(Drip {
            rest: bytes.clone(),
            length: bytes.len(),
            pace,
            sleep,
            broken: false,
        }),
    )
}

async fn collect(body: Body) -> Bytes {
    body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default()
}

enum Pace {
    /// Half of it, then the connection breaks.
    Half,
    /// A byte each.
    Every(Duration),
}

struct Drip {
    rest: Bytes,
    length: usize,
    pace: Pace,
    sleep: Pin<Box<Sleep>>,
    broken: bool,
}

impl hyper::body::Body for Drip {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.pace {
            Pace::Half if self.broken => Poll::Ready(Some(Err(std::io::Error::other("broken off by a fault")))),
            Pace::Half => {
                self.broken = true;
                let half = self.length / 2;
                Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(half)))))
            }
            Pace::Every(gap) => {
                if self.rest.is_empty() {
                    return Poll::Ready(None);
                }
                std::task::ready!(self.sleep.as_mut().poll(cx));
                let next = tokio::time::Instant::now() + gap;
                self.sleep.as_mut().reset(next);
                Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(1)))))
            }
        }
    }

    // The length is announced, so that whoever waits for all of it waits.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
