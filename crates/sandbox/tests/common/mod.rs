//! What the tests share: a directory that goes away, an issuer on free ports, a caller.
#![allow(unreachable_pub, reason = "a module of a test is nobody's interface")]
#![allow(dead_code, reason = "each test file uses its part of this one")]

use axum::body::Bytes;
use florin_sandbox::clerk::{Clerk, Settings, wall_clock};
use florin_sandbox::faults::Faults;
use florin_sandbox::{http, serve};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of its own that is removed at the end.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "florin-sandbox-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Dir(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Settings in which what follows follows soon.
pub fn settings(book: &Path) -> Settings {
    Settings {
        later: SignedDuration::from_millis(150),
        ..Settings::new(book)
    }
}

/// An issuer with both doors open.
pub struct Issuer {
    pub clerk: Clerk,
    pub faults: Faults,
    pub control: SocketAddr,
    pub witness: SocketAddr,
    pub caller: Caller,
    stop: CancellationToken,
    doors: Vec<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl Issuer {
    pub async fn open(settings: Settings) -> Issuer {
        let clerk = Clerk::open(settings, wall_clock()).expect("the book opens");
        let (faults, stop) = (Faults::default(), CancellationToken::new());
        let control = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let witness = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (control_at, witness_at) = (
            control.local_addr().expect("bound"),
            witness.local_addr().expect("bound"),
        );
        let doors = vec![
            tokio::spawn(serve::serve(
                control,
                http::control(clerk.clone(), faults.clone()),
                stop.clone(),
            )),
            tokio::spawn(serve::serve(witness, http::read_only(clerk.clone()), stop.clone())),
        ];
        Issuer {
            clerk,
            faults,
            control: control_at,
            witness: witness_at,
            caller: Caller::new(),
            stop,
            doors,
        }
    }

    pub async fn close(self) {
        self.stop.cancel();
        for door in self.doors {
            door.await.expect("the door's task").expect("the door closes well");
        }
        self.clerk.close().await;
    }

    /// Asks the control door; `None` if no whole answer came.
    pub async fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        self.caller
            .send("POST", &format!("http://{}{path}", self.control), body.to_string())
            .await
            .ok()?
            .json()
    }

    pub async fn authorize(&self, body: &Value) -> (u16, Value) {
        self.post("/authorizations", body).await.expect("an answer in JSON")
    }

    /// Asks the door that always tells the truth.
    pub async fn witness(&self, path: &str) -> (u16, Value) {
        let url = format!("http://{}{path}", self.witness);
        self.caller
            .send("GET", &url, String::new())
            .await
            .expect("an answer")
            .json()
            .expect("JSON")
    }

    /// Kinds of all entries, in order.
    pub async fn kinds(&self) -> Vec<String> {
        let (_, book) = self.witness("/book?limit=1000").await;
        let kind = |entry: &Value| entry["kind"].as_str().expect("text").to_owned();
        book["data"].as_array().expect("a list").iter().map(kind).collect()
    }
}

pub fn sale(key: &str) -> Value {
    json!({"key": key, "card": "card_visa", "amount": 1099, "currency": "EUR", "capture": true, "three_ds": "none"})
}

/// An HTTP client.
#[derive(Clone)]
pub struct Caller(Client<HttpConnector, Full<Bytes>>);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(self) -> Option<(u16, Value)> {
        Some((self.status, serde_json::from_slice(&self.body).ok()?))
    }
}

impl Caller {
    pub fn new() -> Caller {
        Caller(
            Client::builder(TokioExecutor::new())
                .retry_canceled_requests(false)
                .build_http(),
        )
    }

    pub async fn send(&self, method: &str, url: &str, body: String) -> Result<Answer, String> {
        let request = hyper::Request::builder()
            .method(method)
            .uri(url)
            .body(Full::from(body))
            .expect("a request");
        let exchange = async {
            let answer = self.0.request(request).await.map_err(|error| format!("{error:?}"))?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let body = answer
                .into_body()
                .collect()
                .await
                .map_err(|error| format!("{error:?}"))?
                .to_bytes();
            Ok(Answer { status, headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .map_err(|_| "no answer in 20 s".to_owned())?
    }
}
