//! One HTTP client for the command line: http and https, one request at a time.

use std::time::Duration;

use bytes::Bytes;
use florin_core::secret::Secret;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longer than the server waits for a provider before it answers 202.
const ANSWER: Duration = Duration::from_secs(30);
/// The largest answer: pages have at most 100 items, of a few kilobytes each.
pub(super) const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why a call has no answer, and whether anything of it may have gone out.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) why: String,
    pub(super) sent: bool,
}

#[derive(Clone)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    pub(super) fn new() -> Self {
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .build();
        Self(Client::builder(TokioExecutor::new()).build(https))
    }

    pub(super) async fn call(
        &self,
        method: &str,
        url: &str,
        key: &Secret<String>,
        body: Option<&Value>,
        idempotency_key: Option<&str>,
    ) -> Result<(u16, Bytes), Unanswered> {
        let mut request = http::Request::builder().method(method).uri(url);
        request = request.header("authorization", format!("Bearer {}", key.expose())); // the call's own credential
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = request.body(Full::new(bytes)).map_err(|error| Unanswered {
            why: error.to_string(),
            sent: false,
        })?;
        let answer = async {
            let response = self.0.request(request).await.map_err(|error| Unanswered {
                why: why(&error).to_string(),
                sent: !error.is_connect(),
            })?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| Unanswered {
                why: if error.is::<LengthLimitError>() {
                    format!("its answer is larger than {} MiB", ANSWER_BYTES_MAX >> 20)
                } else {
                    why(&*error).to_string()
                },
                sent: true,
            })?;
            Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(ANSWER, answer).await.unwrap_or_else(|_| {
            Err(Unanswered {
                why: format!("no answer within {} s", ANSWER.as_secs()),
                sent: true,
            })
        })
    }

    /// Posts bytes as they are with these headers, and answers the status: for handing events on.
    pub(super) async fn post_bytes(&self, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> anyhow::Result<u16> {
        let mut request = http::Request::post(url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        match tokio::time::timeout(ANSWER, self.0.request(request)).await {
            Ok(answer) => Ok(answer.map_err(|error| why(&error))?.status().as_u16()),
            Err(_) => anyhow::bail!("no answer within {} s", ANSWER.as_secs()),
        }
    }
}

/// What lies at the bottom of an error: "Connection refused", not "client error".
fn why(error: &(dyn std::error::Error + 'static)) -> anyhow::Error {
    let mut bottom = error;
    while let Some(deeper) = bottom.source() {
        bottom = deeper;
    }
    anyhow::Error::msg(bottom.to_string())
}
