//! Sending a webhook: one POST, no redirects, 20 seconds, and never to an address inside the operator's network unless allowed.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Host;

use super::Message;

/// How long one try may take.
const TRY: Duration = Duration::from_secs(20);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// What is read of an answer: the status is all that counts.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Idle connections kept per endpoint.
const IDLE_PER_HOST: usize = 8;
/// How long one is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Why an endpoint gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unsent {
    /// The address is none.
    #[error("`{0}` is no http or https address")]
    Address(String),
    /// It is inside the operator's network.
    #[error("the address is private: set `allow_private` under [webhooks] to deliver inside your own network")]
    Private,
    /// Nothing came back in time.
    #[error("no answer within {} s", TRY.as_secs())]
    Slow,
    /// The connection failed.
    #[error("{0}")]
    Connection(String),
}

/// Sends webhooks.
#[derive(Clone)]
pub struct Sender {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    allow_private: bool,
    limit: Duration,
}

impl Sender {
    /// A sender that refuses private addresses unless they are allowed.
    pub fn new(allow_private: bool) -> Self {
        Self::with_limit(allow_private, TRY)
    }

    /// A sender whose tries may take so long.
    pub(super) fn with_limit(allow_private: bool, limit: Duration) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolver { allow_private });
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT));
        http.set_nodelay(true);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(https);
        Self {
            client,
            allow_private,
            limit,
        }
    }

    /// A try that takes longer holds its place for too long.
    pub(super) fn slow(&self) -> Duration {
        self.limit / 4
    }

    /// Posts a message and answers the status.
    pub async fn post(&self, url: &str, message: &Message) -> Result<u16, Unsent> {
        let address = || Unsent::Address(url.to_owned());
        // As browsers read it, and as it was read when it was given: letters beyond ASCII are written so that they can be sent.
        let parsed = url::Url::parse(url).map_err(|_| address())?;
        let uri: http::Uri = parsed.as_str().parse().map_err(|_| address())?;
        let literal = match parsed.host().ok_or_else(address)? {
            Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
            Host::Domain(_) => None,
        };
        // The connector resolves names through `Resolver`, but takes literal addresses as they are.
        if literal.is_some_and(|ip| !self.allow_private && !is_public(ip)) {
            return Err(Unsent::Private);
        }
        let mut request = http::Request::post(uri).header("content-type", "application/json; charset=utf-8");
        for (name, value) in &message.headers {
            request = request.header(name, value);
        }
        let request = request.header("user-agent", concat!("Florin/", env!("CARGO_PKG_VERSION")));
        let request = request
            .body(Full::new(Bytes::from(message.body.clone())))
            .map_err(|_| address())?;
        let answer = async {
            let response = self.client.request(request).await.map_err(|error| explain(&error))?;
            let status = response.status().as_u16();
            // Read to the end so that the connection can be used again; what it says does not matter.
            let _ = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok(status)
        };
        tokio::time::timeout(self.limit, answer)
            .await
            .map_err(|_| Unsent::Slow)?
    }
}

fn explain(error: &hyper_util::client::legacy::Error) -> Unsent {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.downcast_ref::<PrivateAddress>().is_some() {
            return Unsent::Private;
        }
        text = inner.to_string();
        source = inner.source();
    }
    Unsent::Connection(text)
}

/// Looks names up and leaves private addresses out, so that a name cannot lead inside, not even one that changes between two look-ups.
#[derive(Clone)]
struct Resolver {
    allow_private: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the name leads to a private address")]
struct PrivateAddress;

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let usable: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| allow_private || is_public(address.ip()))
                .collect();
            if usable.is_empty() && !found.is_empty() {
                return Err(PrivateAddress.into());
            }
            Ok(usable.into_iter())
        })
    }
}

/// Whether an address is in the public internet. Everything that RFC 6890 sets aside is not.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_documentation()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(ip) => {
            if let Some(mapped) = ip.to_ipv4_mapped() {
                return is_public(IpAddr::V4(mapped));
            }
            let [first, second, ..] = ip.segments();
            let translated = first == 0x64 && second == 0xff9b;
            // Only 2000::/3 is given out, and of it neither what is set aside for protocols (2001::/23, Teredo among it) and documentation nor
            // 6to4, which can carry a private address inside.
            (0x2000..0x4000).contains(&first)
                && !translated
                && first != 0x2002
                && !(first == 0x2001 && (second == 0xdb8 || second < 0x200))
                && !(first == 0x3fff && second < 0x1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_a_network_are_not_public() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "192.88.99.1",
            "2001:2::1",
            "2001:10::1",
            "3fff:1::1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "198.18.0.1",
            "192.0.0.1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700::1111",
            "172.32.0.1",
            "100.128.0.1",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn names_and_numbers_that_lead_inside_are_refused_without_a_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let message = Message {
            body: b"{}".to_vec(),
            headers: vec![],
        };
        let sender = Sender::new(false);
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "2130706433",
            "0x7f.1",
            "127。0。0。1",
        ] {
            let answer = sender.post(&format!("http://{host}:{port}/hook"), &message).await;
            assert!(matches!(answer, Err(Unsent::Private)), "{host}: {answer:?}");
        }
        let knocked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(knocked.is_err(), "nobody connected");
    }

    #[tokio::test]
    async fn an_address_is_told_however_it_was_written_down() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let message = Message {
            body: b"{}".to_vec(),
            headers: vec![],
        };
        for (given, asked) in [
            (
                format!("http://127.0.0.1:{port}/einkäufe?für=größe"),
                "POST /eink%C3%A4ufe?f%C3%BCr=gr%C3%B6%C3%9Fe ",
            ),
            (format!("HTTP://127.0.0.1:{port}/a<b>\"c\""), "POST /a%3Cb%3E%22c%22 "),
            (format!("http://127.0.0.%31:{port}/hook#part"), "POST /hook "),
        ] {
            let answers = async {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4_096];
                let read = socket.read(&mut head).await.unwrap();
                let end = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                socket.write_all(end).await.unwrap();
                String::from_utf8_lossy(&head[..read]).into_owned()
            };
            let sender = Sender::new(true);
            let told = tokio::time::timeout(Duration::from_secs(5), async {
                tokio::join!(sender.post(&given, &message), answers)
            });
            let (status, head) = told.await.expect("nobody called");
            assert!(matches!(status, Ok(200)), "{given}: {status:?}");
            assert!(head.starts_with(asked), "{given}: {head}");
        }
    }
}
