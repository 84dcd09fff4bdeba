//! A merchant's webhook endpoint: takes what it is told, or does not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::http;

/// How the endpoint behaves.
#[derive(Clone, Debug)]
pub enum Manner {
    Takes,
    /// Answers with this status.
    Refuses(u16),
    /// Answers 422 to events of this type, and takes the others.
    Chokes(&'static str),
    /// Sends the caller elsewhere.
    Redirects(String),
    /// Takes it, and says so so much later.
    IsSlow(Duration),
}

/// A webhook as it arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// `webhook-id`.
    pub id: String,
    pub body: Value,
    pub headers: BTreeMap<String, String>,
    pub raw: Vec<u8>,
    /// What the endpoint answered.
    pub answered: u16,
}

struct Shared {
    manner: Mutex<Manner>,
    arrived: Mutex<Vec<Arrived>>,
}

pub struct Receiver {
    pub url: String,
    shared: Arc<Shared>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    pub fn start() -> Self {
        let (listener, address) = http::listen();
        let shared = Arc::new(Shared {
            manner: Mutex::new(Manner::Takes),
            arrived: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                tokio::spawn(async move { drop(shared.serve(stream).await) });
            }
        });
        Self {
            url: format!("http://{address}/told"),
            shared,
        }
    }

    pub fn behave(&self, manner: Manner) {
        *locked(&self.shared.manner) = manner;
    }

    /// Everything that arrived, in order.
    pub fn arrived(&self) -> Vec<Arrived> {
        locked(&self.shared.arrived).clone()
    }
}

impl Shared {
    async fn serve(&self, stream: TcpStream) -> Result<(), std::io::Error> {
        let mut stream = BufReader::new(stream);
        while let Some(message) = http::read(&mut stream).await? {
            let manner = locked(&self.manner).clone();
            let (status, headers) = match &manner {
                Manner::Takes | Manner::IsSlow(_) => (200, Vec::new()),
                Manner::Refuses(status) => (*status, Vec::new()),
                Manner::Chokes(kind) if is_of(&message.body, kind) => (422, Vec::new()),
                Manner::Chokes(_) => (200, Vec::new()),
                Manner::Redirects(to) => (307, vec![("location", to.as_str())]),
            };
            locked(&self.arrived).push(Arrived {
                id: message.headers.get("webhook-id").cloned().unwrap_or_default(),
                body: serde_json::from_slice(&message.body).unwrap_or_default(),
                headers: message.headers,
                raw: message.body,
                answered: status,
            });
            if let Manner::IsSlow(time) = manner {
                tokio::time::sleep(time).await;
            }
            stream.write_all(&http::answer(status, &headers, b"{}")).await?;
            stream.flush().await?;
        }
        Ok(())
    }
}

/// Whether an event is of this type.
fn is_of(body: &[u8], kind: &str) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|event| event["type"] == kind)
}
