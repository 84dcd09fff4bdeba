//! What the sweep needs of a provider: it answers, the payer may act at it, and it keeps a book.

use std::collections::BTreeMap;

use florin_core::rail::{Body, Exchange, Method, Reply};
use serde_json::Value;

/// A message as the provider gets it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub post: bool,
    /// Below the base: `/v1/refunds`.
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub key: Option<String>,
    pub form: BTreeMap<String, String>,
    pub json: Value,
}

impl Request {
    pub(crate) fn of(exchange: &Exchange) -> Self {
        let rest = exchange.url.splitn(4, '/').nth(3).unwrap_or_default();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (form, json) = match &exchange.body {
            Body::None => (BTreeMap::new(), Value::Null),
            Body::Form(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.to_string(), value.to_string()));
                (fields.collect(), Value::Null)
            }
            Body::Json(value) => (BTreeMap::new(), value.clone()),
        };
        let header = exchange
            .headers
            .iter()
            .find(|(name, _)| name == "idempotency-key")
            .map(|(_, parts)| format!("{parts:?}"));
        Self {
            post: exchange.method == Method::Post,
            path: format!("/{path}"),
            query: query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .collect(),
            key: json["key"].as_str().map(str::to_owned).or(header),
            form,
            json,
        }
    }
}

/// What happened to the payer's money, over all messages that ever arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    /// Times that money was asked of the payer's bank and granted.
    pub approvals: u32,
    pub held: i64,
    pub captured: i64,
    pub refunded: i64,
    /// A page or challenge on which the payer could still pay.
    pub open: bool,
}

pub(crate) trait World {
    /// Answers a message.
    fn handle(&mut self, request: &Request) -> Reply;
    /// A refusal that did nothing.
    fn refusal(&self) -> Reply;
    /// The payer does what is asked of them, if they still can; what their browser brings back.
    fn payer_acts(&mut self) -> BTreeMap<String, String>;
    /// Time passes.
    fn clock(&mut self, now: i64);
    /// Grows whenever something happens that the provider tells of.
    fn version(&self) -> u64;
    fn book(&self) -> Book;
}

pub(crate) fn reply(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        body: body.to_string().into_bytes(),
        ..Reply::default()
    }
}
