//! The way out: fills a message's holes, sends it, and says how it ended.
//!
//! The only code that speaks to providers. A message goes to the base that an operator approved for the connection, or to a host of the
//! rail's table, and nowhere else. Whatever is not a whole reply within [`EXCHANGE_S_MAX`] is silence, unless no byte can have left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use florin_core::rail::{Body, Exchange, Method, REPLY_BYTES_MAX, REPLY_HEADERS, Rail, Reply, Table};
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tracing::Instrument;
use tracing::field::Empty;

use crate::directory::Connection;
use crate::keyring::Keyring;

/// How long a connection to a provider may take.
pub const CONNECT_S_MAX: u64 = 3;
/// How long a message may take in all, from the first byte to the last byte of its reply.
pub const EXCHANGE_S_MAX: u64 = 15;
/// How long an idle connection is kept: less than the keep-alive of common servers, so that it is rarely closed under a message.
const IDLE_S: u64 = 55;
/// Idle connections kept per host.
const IDLE_MAX: usize = 256;
/// Room for a form of common size, so that it is written without being moved while it grows.
const FORM_BYTES: usize = 1_024;
/// What we call ourselves.
const USER_AGENT: &str = concat!("florin/", env!("CARGO_PKG_VERSION"));

/// A merchant's way to a provider: the account, and the rail that speaks there.
pub struct Road {
    /// The account.
    pub connection: Arc<Connection>,
    /// The rail.
    pub rail: &'static dyn Rail,
}

impl std::fmt::Debug for Road {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} over {}", self.rail.table().name, self.connection.id)
    }
}

/// How a sending ended.
#[derive(Clone, Debug)]
pub enum Sent {
    /// A whole reply.
    Reply(Reply),
    /// It may have arrived. Words for the log.
    Silence(&'static str),
    /// Certain: no byte of it left. Words for the log.
    Unsent(String),
}

/// Sends messages.
pub struct Egress {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    keyring: Arc<Keyring>,
}

impl Egress {
    /// An egress over the certificates of the web's authorities.
    pub fn new(keyring: Arc<Keyring>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(Duration::from_secs(CONNECT_S_MAX)));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(provider)
            .expect("the provider speaks TLS 1.2 and 1.3")
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(IDLE_S))
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Self { client, keyring }
    }

    /// The keyring that fills the holes.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Sends a message once.
    pub async fn send(&self, road: &Road, exchange: &Exchange) -> Sent {
        let request = match self.build(road, exchange) {
            Ok(request) => request,
            Err(why) => return Sent::Unsent(why),
        };
        let limit = Duration::from_secs(EXCHANGE_S_MAX);
        let span =
            tracing::debug_span!("exchange", what = %exchange.name, connection = %road.connection.id, status = Empty);
        let sent = tokio::time::timeout(limit, self.exchange(request))
            .instrument(span.clone())
            .await
            .unwrap_or(Sent::Silence("no whole reply in time"));
        if let Sent::Reply(reply) = &sent {
            span.record("status", reply.status);
        }
        sent
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Sent {
        let response = match self.client.request(request).await {
            Ok(response) => response,
            // Only while connecting is it certain that nothing left. A pooled connection that broke may have carried the message.
            Err(error) if error.is_connect() => return Sent::Unsent(words(&error)),
            Err(_) => return Sent::Silence("the connection broke before a reply"),
        };
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, REPLY_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Sent::Silence("the reply is too large"),
            Err(_) => return Sent::Silence("the reply broke off"),
        };
        let mut headers = BTreeMap::new();
        for name in REPLY_HEADERS {
            let mut values = head.headers.get_all(name).iter().rev();
            if let Some(value) = values.find_map(|value| value.to_str().ok()) {
                headers.insert(name.to_owned(), value.to_owned());
            }
        }
        Sent::Reply(Reply {
            status: head.status.as_u16(),
            headers,
            body: body.into(),
            again: false,
        })
    }

    fn build(&self, road: &Road, exchange: &Exchange) -> Result<Request<Full<Bytes>>, String> {
        let to: Uri = exchange
            .url
            .parse()
            .map_err(|_| "its address does not read".to_owned())?;
        allowed(&to, &road.connection.base, road.rail.table())?;
        let (content_type, body) = match &exchange.body {
            Body::None => (None, Bytes::new()),
            Body::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::with_capacity(FORM_BYTES));
                form.extend_pairs(fields);
                (Some("application/x-www-form-urlencoded"), Bytes::from(form.finish()))
            }
            Body::Json(value) => (Some("application/json"), Bytes::from(value.to_string())),
        };
        let method = match exchange.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(to)
            .header("user-agent", USER_AGENT);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        for (name, parts) in &exchange.headers {
            let filled = self
                .keyring
                .fill(&road.connection, parts)
                .map_err(|error| error.to_string())?;
            let unfit = |_| format!("header `{name}` cannot be sent");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header"))?;
            // The secret leaves here: in a header, over the address that `allowed` let through.
            let mut value = HeaderValue::from_str(filled.expose()).map_err(unfit)?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        request
            .body(Full::new(body))
            .map_err(|_| "the message cannot be built".to_owned())
    }
}

/// Whether a message may go there: under the connection's approved base, or to a host of the table over TLS.
fn allowed(to: &Uri, base: &str, table: &Table) -> Result<(), String> {
    let host = to.host().unwrap_or_default();
    let base: Uri = base
        .parse()
        .map_err(|_| "the connection's base does not read".to_owned())?;
    let same = to.scheme() == base.scheme() && to.authority().is_some() && to.authority() == base.authority();
    let listed = to.scheme_str() == Some("https") && table.hosts.contains(&host);
    // In clear only on this machine, and only where the rail's table says that it may be.
    let clear = to.scheme_str() != Some("https");
    if clear && !(is_loopback(host) && table.hosts.contains(&"loopback")) {
        return Err(format!("`{host}` may not be spoken to in clear"));
    }
    if same || listed {
        Ok(())
    } else {
        Err(format!("no message may go to `{host}`"))
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The innermost reason, which says most.
pub(crate) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use florin_core::secret::Secret;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    static TABLE: Table = Table {
        name: "acme",
        steps: &[],
        currencies: &[],
        hosts: &["api.acme.test", "loopback"],
        secrets: &[],
        exchanges: &[],
        waits: &[],
        refs: &[],
        remembers_s: 0,
        refund_days: 0,
    };

    #[tokio::test]
    async fn a_rail_is_shown_when_a_reply_was_sent_and_when_to_come_back() {
        const REPLY: &str = "HTTP/1.1 429 Too Many Requests\r\nDate: Sat, 21 Nov 2026 19:00:09 GMT\r\nRetry-After: 3\r\nRequest-Id: r\r\n\
                             Content-Length: 2\r\n\r\n{}";
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let provider = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 4_096]).await.unwrap() > 0);
            socket.write_all(REPLY.as_bytes()).await.unwrap();
            socket
        });
        let egress = Egress::new(Arc::new(Keyring::new(BTreeMap::new(), &Secret::new([7; 32]))));
        let request = Request::get(format!("http://{address}/v1")).body(Full::default());
        let Sent::Reply(reply) = egress.exchange(request.unwrap()).await else {
            panic!("no reply")
        };
        assert_eq!((reply.status, reply.body), (429, b"{}".to_vec()));
        let shown: Vec<_> = reply.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(shown, [("date", "Sat, 21 Nov 2026 19:00:09 GMT"), ("retry-after", "3")]);
        provider.await.unwrap();
    }

    #[test]
    fn a_message_goes_to_the_approved_base_or_a_host_of_the_table_and_nowhere_else() {
        for (to, base, may) in [
            ("https://api.acme.test/v1/x", "https://api.acme.test", true),
            ("https://api.acme.test/v1/x", "http://127.0.0.1:4003", true),
            ("http://127.0.0.1:4003/v1", "http://127.0.0.1:4003", true),
            ("http://[::1]:4003/v1", "http://[::1]:4003", true),
            ("http://127.0.0.1:4004/v1", "http://127.0.0.1:4003", false),
            ("https://evil.test/v1", "https://api.acme.test", false),
            ("http://api.acme.test/v1", "http://api.acme.test", false),
            ("https://acme.example/v1", "https://acme.example", true),
            ("https://api.acme.test@evil.test/v1", "https://api.acme.test", false),
            ("/v1", "https://api.acme.test", false),
        ] {
            let to: Uri = to.parse().unwrap();
            assert_eq!(allowed(&to, base, &TABLE).is_ok(), may, "{to} from {base}");
        }
    }
}
