//! A client of Florin's `/v1`: sends, repeats what may be repeated, and says plainly what became of it.
//!
//! Every POST carries an idempotency key, so a lost answer is asked for again under the same key and never guessed. How often and
//! how long is bounded, because a buyer is waiting.

pub(crate) mod shapes;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, InvalidHeaderValue, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use self::shapes::Problem;

/// On one machine a connection stands at once or not at all.
const CONNECT: Duration = Duration::from_secs(3);
/// Florin itself waits up to 10 s for a provider before it answers 202.
const ANSWER: Duration = Duration::from_secs(15);
/// A page that shows an order is better late by little than complete.
const LOOK: Duration = Duration::from_secs(3);
/// Tries of one call; together at most [`PATIENCE`].
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(6);
/// A longer `Retry-After` is passed on to the buyer instead of waited for.
const SHORT_WAIT_S: u64 = 2;
/// The longest list the shop asks for is far below this.
const ANSWER_BYTES: usize = 2 << 20;

/// The API with the shop's key.
pub(crate) struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    key: HeaderValue,
}

/// Why there is no answer to work with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("Florin cannot be reached: {0}")]
    Unreachable(String),
    /// It went out, and whether it arrived is unknown.
    #[error("Florin did not answer: {0}")]
    Lost(String),
    #[error("Florin is busy; it asks to wait {after_s} s")]
    Busy { after_s: u64 },
    #[error("Florin refused with {status} `{}`: {}", .problem.code, .problem.detail)]
    Refused { status: StatusCode, problem: Box<Problem> },
    #[error("Florin's answer is unreadable: {0}")]
    Unreadable(String),
}

impl Failure {
    /// Whether Florin refused with this code of its problems.
    pub(crate) fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.code == code)
    }
}

impl Api {
    pub(crate) fn new(base: &str, key: &str) -> Result<Self, InvalidHeaderValue> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}"))?;
        bearer.set_sensitive(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self {
            client,
            base: base.to_owned(),
            key: bearer,
        })
    }

    /// Reads something, once: the caller's page can say that it is missing.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.once(Method::GET, path, None, Bytes::new(), LOOK).await
    }

    /// Does something once, however often it has to be sent for it. A 202 is an answer: this is how things stand so far.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        idempotency_key: &str,
        body: impl Into<Bytes>,
    ) -> Result<T, Failure> {
        let (began, body) = (Instant::now(), body.into());
        let mut tries = 1;
        loop {
            let sent = self
                .once(Method::POST, path, Some(idempotency_key), body.clone(), ANSWER)
                .await;
            let wait = match &sent {
                Ok(_) | Err(Failure::Refused { .. } | Failure::Unreadable(_)) => None,
                Err(Failure::Busy { after_s }) => {
                    Some(Duration::from_secs(*after_s)).filter(|_| *after_s <= SHORT_WAIT_S)
                }
                Err(Failure::Unreachable(_) | Failure::Lost(_)) => Some(Duration::from_millis(250 << tries)),
            };
            match wait {
                Some(wait) if tries < TRIES && began.elapsed() + wait < PATIENCE => {
                    sleep(wait).await;
                    tries += 1;
                }
                _ => return sent,
            }
        }
    }

    /// Takes something away; what is gone already is fine.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Failure> {
        match self.raw(Method::DELETE, path, None, Bytes::new(), LOOK).await {
            Ok(_) => Ok(()),
            Err(Failure::Refused {
                status: StatusCode::NOT_FOUND,
                ..
            }) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        idempotency_key: Option<&str>,
        body: Bytes,
        limit: Duration,
    ) -> Result<T, Failure> {
        let bytes = self.raw(method, path, idempotency_key, body, limit).await?;
        serde_json::from_slice(&bytes).map_err(|why| Failure::Unreadable(format!("{path}: {why}")))
    }

    async fn raw(
        &self,
        method: Method,
        path: &str,
        idempotency_key: Option<&str>,
        body: Bytes,
        limit: Duration,
    ) -> Result<Bytes, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, self.key.clone())
            .header(ACCEPT, "application/json");
        if let Some(key) = idempotency_key {
            request = request
                .header("idempotency-key", key)
                .header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(body))
            .map_err(|why| Failure::Unreachable(why.to_string()))?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|why| {
                if why.is_connect() {
                    Failure::Unreachable(causes(&why))
                } else {
                    Failure::Lost(causes(&why))
                }
            })?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES)
                .collect()
                .await
                .map_err(|why| Failure::Lost(why.to_string()))?;
            Ok((head, body.to_bytes()))
        };
        let (head, body) = timeout(limit, exchange)
            .await
            .map_err(|_| Failure::Lost(format!("nothing after {} s", limit.as_secs())))??;
        let after_s = head
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        match head.status {
            status if status.is_success() => Ok(body),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(Failure::Busy {
                after_s: after_s.unwrap_or(1),
            }),
            // A fault of Florin's is no refusal: whether it did what was asked is unknown.
            status if status.is_server_error() => Err(Failure::Lost(format!("it answered {status}"))),
            status => {
                let problem = Box::new(serde_json::from_slice(&body).unwrap_or_default());
                Err(Failure::Refused { status, problem })
            }
        }
    }
}

/// An error and what caused it, on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
