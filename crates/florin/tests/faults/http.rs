//! As much of HTTP/1.1 as both ends of these tests speak: written by hand, so that a peer can also speak it badly.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How long a caller waits for an answer before it calls it lost: longer than the server makes anybody wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest body that is read.
const BODY_BYTES_MAX: usize = 4 << 20;

/// First line, headers (names in lower case) and body of a request or an answer.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub first: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// Reads a message; none at the end of the stream.
pub async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Message>, Error> {
    let mut first = String::new();
    if from.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut message = Message {
        first: first.trim_end().to_owned(),
        ..Message::default()
    };
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        message
            .headers
            .insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = message.headers.get("content-length").map_or(Ok(0), |text| text.parse());
    let length: usize = length.map_err(|_| Error::from(ErrorKind::InvalidData))?;
    if length > BODY_BYTES_MAX || message.headers.contains_key("transfer-encoding") {
        return Err(ErrorKind::InvalidData.into());
    }
    message.body = vec![0; length];
    from.read_exact(&mut message.body).await?;
    Ok(Some(message))
}

/// An answer, or that none came whole: then nobody knows what happened.
#[derive(Clone, Debug)]
pub enum Heard {
    Said(Said),
    Lost(String),
}

#[derive(Clone, Debug)]
pub struct Said {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

impl Said {
    /// The call may be made again, with the same key: nothing is decided.
    pub fn is_later(&self) -> bool {
        matches!(self.status, 202 | 429 | 502 | 503 | 507) || self.text("code") == "step_in_flight"
    }

    pub fn retry_after_s(&self) -> Option<u32> {
        self.headers.get("retry-after")?.parse().ok()
    }

    /// A member that is text; empty if it is not there.
    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }

    /// `payment_order_status`.
    pub fn word(&self) -> &str {
        self.text("payment_order_status")
    }
}

impl Heard {
    pub fn said(self) -> Said {
        match self {
            Self::Said(said) => said,
            Self::Lost(why) => panic!("no answer: {why}"),
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Said(said) => Some(said.status),
            Self::Lost(_) => None,
        }
    }
}

/// Asks once, over a connection of its own.
pub async fn ask(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Heard {
    let host = base.trim_start_matches("http://");
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    let exchange = async {
        let mut stream = BufReader::new(TcpStream::connect(host).await?);
        stream.get_ref().set_nodelay(true)?;
        stream.write_all(&[text.as_bytes(), body].concat()).await?;
        read(&mut stream).await?.ok_or(Error::from(ErrorKind::UnexpectedEof))
    };
    let message = match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(Ok(message)) => message,
        Ok(Err(error)) => return Heard::Lost(error.to_string()),
        Err(_) => return Heard::Lost(format!("nothing within {} s", PATIENCE.as_secs())),
    };
    let status = message
        .first
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Heard::Said(Said {
        status,
        headers: message.headers,
        body: serde_json::from_slice(&message.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&message.body).into_owned())),
    })
}

/// A listener on a free port of loopback, inside the current runtime.
pub fn listen() -> (TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (TcpListener::from_std(listener).unwrap(), address)
}

/// The bytes of an answer.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    [text.as_bytes(), body].concat()
}
