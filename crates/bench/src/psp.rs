//! The stand-in provider: one thread, kept-alive HTTP/1.1, the same good answer to every payment intent.
//!
//! It measures nothing about a provider and knows no rules: it exists so that a server under load makes a real call to
//! another process at a known small cost. It also receives webhooks (and answers 200), so that a run with an endpoint
//! has somewhere to send them, and it counts both, so that a sale which never asked the provider is noticed.
//! Idempotency keys are not looked at.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::http1::{hear_more, read_head};
use crate::payment_intent::Wanted;

/// Where webhooks are received.
pub const HOOKS_PATH: &str = "/hooks";

/// How the stand-in behaves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Port on the loopback interface; 0 takes a free one.
    pub port: u16,
    /// How long an answer takes.
    pub delay_ms: u64,
}

/// What the stand-in says when it is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Base address, without `/v1`.
    pub base_url: String,
}

/// What the stand-in has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Payment intents that were answered as succeeded.
    pub charged: u64,
    /// Sum of their amounts, in minor units of whatever currency.
    pub amount: u64,
    /// Webhooks received.
    pub hooks: u64,
    /// Requests that it does not know.
    pub refused: u64,
}

/// Opens the stand-in's port.
///
/// # Errors
/// When the port is taken.
pub async fn listen(settings: &Settings) -> io::Result<(TcpListener, Ready)> {
    let listener = TcpListener::bind(("127.0.0.1", settings.port)).await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    Ok((listener, Ready { base_url }))
}

/// Answers until it is dropped; must run inside a `LocalSet`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, settings: &Settings, seen: Rc<Cell<Seen>>) -> io::Result<()> {
    let delay = Duration::from_millis(settings.delay_ms);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let seen = Rc::clone(&seen);
        // A caller that hangs up or talks nonsense ends its own connection only.
        tokio::task::spawn_local(async move {
            let _ended = talk(stream, delay, &seen).await;
        });
    }
}

async fn talk(mut stream: TcpStream, delay: Duration, seen: &Cell<Seen>) -> io::Result<()> {
    let (mut heard, mut body, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let Some(head) = read_head(&heard)? else {
            if hear_more(&mut stream, &mut heard).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let end = head.body_start + head.body_bytes.unwrap_or_default();
        while heard.len() < end {
            if hear_more(&mut stream, &mut heard).await? == 0 {
                return Ok(());
            }
        }
        body.clear();
        let status = respond(
            &heard[..head.first_line_bytes],
            &heard[head.body_start..end],
            seen,
            &mut body,
        )?;
        answer.clear();
        write!(
            answer,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nRequest-Id: req_bench\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        answer.extend_from_slice(&body);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        stream.write_all(&answer).await?;
        if head.closes {
            return Ok(());
        }
        heard.drain(..end);
    }
}

/// Writes the body of the answer and gives its status line.
fn respond(first_line: &[u8], form: &[u8], seen: &Cell<Seen>, body: &mut Vec<u8>) -> io::Result<&'static str> {
    let mut now = seen.get();
    let status = if first_line.starts_with(b"POST /v1/payment_intents HTTP/") {
        match Wanted::read(form) {
            Ok(wanted) => {
                now.charged += 1;
                now.amount += wanted.amount;
                wanted.write(now.charged, body)?;
                "200 OK"
            }
            Err(parameter) => {
                now.refused += 1;
                write!(
                    body,
                    r#"{{"error":{{"type":"invalid_request_error","code":"parameter_missing","param":"{parameter}","message":"Missing required param: {parameter}."}}}}"#
                )?;
                "400 Bad Request"
            }
        }
    } else if first_line.starts_with(format!("POST {HOOKS_PATH}").as_bytes()) {
        now.hooks += 1;
        "200 OK"
    } else {
        now.refused += 1;
        body.extend_from_slice(
            br#"{"error":{"type":"invalid_request_error","message":"The stand-in provider knows POST /v1/payment_intents only."}}"#,
        );
        "404 Not Found"
    };
    seen.set(now);
    Ok(status)
}
