//! Puts a socket in front of the provider, and lets things go wrong there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use florin_core::time::Timestamp;
use florin_testkit::provider::{Asked, Provider, Said};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Fate {
    /// The connection breaks before anything is done.
    BreakBefore,
    /// It is done, and the connection breaks before a word is said.
    BreakAfter,
    /// Nothing is done, and the answer is this status with no sense in it.
    Status(u16),
    /// It is done, and the answer is this status with no sense in it.
    DoneThen(u16),
    /// It is done, and the answer is this.
    Garbage(&'static str),
    /// It is done, the answer takes so long.
    Late(Duration),
    /// It is done, and the answer is larger than anybody reads.
    Huge,
    /// Not before it is allowed.
    Hold(Arc<tokio::sync::Notify>),
}

/// One thing that goes wrong, with requests whose method and path contain the words.
#[derive(Clone, Debug)]
struct Rule {
    words: &'static str,
    fate: Fate,
    left: u32,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub asked: Asked,
    pub replayed: bool,
}

/// The provider behind a socket.
#[derive(Clone)]
pub struct Server {
    pub base: String,
    pub provider: Arc<Mutex<Provider>>,
    rules: Arc<Mutex<VecDeque<Rule>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    lines: Arc<Mutex<Vec<String>>>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    pub async fn start(now: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            provider: Arc::new(Mutex::new(Provider::new(base.clone()))),
            base,
            rules: Arc::default(),
            seen: Arc::default(),
            lines: Arc::default(),
            now,
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = accepting.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| server.serve(request));
                    let mut connection = hyper::server::conn::http1::Builder::new();
                    connection.auto_date_header(false); // the world's clock is not the machine's
                    drop(connection.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        server
    }

    /// The next `times` requests whose method and path contain `words` meet this fate.
    pub fn next(&self, words: &'static str, fate: Fate, times: u32) {
        locked(&self.rules).push_back(Rule {
            words,
            fate,
            left: times,
        });
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        locked(&self.rules).clear();
    }

    pub fn seen(&self, words: &str) -> Vec<Seen> {
        let contains = |seen: &&Seen| format!("{} {}", seen.asked.method, seen.asked.path).contains(words);
        locked(&self.seen).iter().filter(contains).cloned().collect()
    }

    /// Waits until so many requests with these words have come, served or not.
    pub async fn arrived(&self, words: &str, count: usize) {
        for _ in 0..1_000 {
            if locked(&self.lines).iter().filter(|line| line.contains(words)).count() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("`{words}` never came");
    }

    fn fate(&self, line: &str) -> Option<Fate> {
        let mut rules = locked(&self.rules);
        let rule = rules
            .iter_mut()
            .find(|rule| rule.left > 0 && line.contains(rule.words))?;
        rule.left -= 1;
        Some(rule.fate.clone())
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        let asked = Asked {
            method: head.method.to_string(),
            path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            key: head
                .headers
                .get("idempotency-key")
                .map(|key| key.to_str().unwrap().to_owned()),
            form: url::form_urlencoded::parse(&body)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        };
        let line = format!("{} {}", asked.method, asked.path);
        locked(&self.lines).push(line.clone());
        let fate = self.fate(&line);
        let do_it = || {
            let said = locked(&self.provider).ask(&asked, (self.now)());
            locked(&self.seen).push(Seen {
                asked: asked.clone(),
                replayed: said.replayed,
            });
            said
        };
        let said = match fate {
            None => do_it(),
            Some(Fate::BreakBefore) => return Err(Broken),
            Some(Fate::BreakAfter) => {
                do_it();
                return Err(Broken);
            }
            Some(Fate::Status(status)) => return Ok(plain(status, "try later")),
            Some(Fate::DoneThen(status)) => {
                do_it();
                return Ok(plain(status, "sorry"));
            }
            Some(Fate::Garbage(text)) => {
                do_it();
                return Ok(plain(200, text));
            }
            Some(Fate::Late(time)) => {
                let said = do_it();
                tokio::time::sleep(time).await;
                said
            }
            Some(Fate::Huge) => {
                do_it();
                let body = "x".repeat(10 << 20);
                return Ok(Response::new(Full::new(Bytes::from(body))));
            }
            Some(Fate::Hold(allowed)) => {
                allowed.notified().await;
                do_it()
            }
        };
        Ok(answer(&said))
    }
}

fn answer(said: &Said) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(said.body.to_string())));
    *response.status_mut() = said.status.try_into().unwrap();
    response
}

fn plain(status: u16, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status.try_into().unwrap();
    response
}

/// Makes the server drop the connection.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is broken on purpose")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
