//! Serves a door on a socket until it is told to stop.
//!
//! A loop of our own, because a fault may have to reset a connection without a byte, which a router cannot.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::http::Cut;

/// Connections at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1_024;

/// How long a connection may be idle. Longer than clients keep theirs in a pool, or they would find it closed at the very
/// moment they send, which looks like a fault that nobody switched on.
const IDLE: Duration = Duration::from_secs(300);

/// How long an answer may lie there without the caller reading any of it.
const UNREAD: Duration = Duration::from_secs(30);

/// How long requests under way may go on after the signal to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Serves `router` on `listener` until `shutdown`; requests under way get two seconds to end.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tasks = TaskTracker::new();
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await.expect("never closed");
            listener.accept().await.map(|(stream, _)| (stream, slot))
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = next => accepted,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the caller went away again: both pass.
                tracing::warn!(%error, "the issuer cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        tasks.spawn(async move {
            connection(stream, router, shutdown).await;
            drop(slot);
        });
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn connection(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    let cut = Arc::new(AtomicBool::new(false));
    // Answers are one small write; waiting for more to send would only delay them.
    stream.set_nodelay(true).ok();
    let mut wire = TimeoutStream::new(Wire {
        stream,
        cut: cut.clone(),
    });
    wire.set_write_timeout(Some(UNREAD));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, cut) = (router.clone(), cut.clone());
        async move {
            let answer = answer(router, request).await;
            if answer.extensions().get::<Cut>().is_some() {
                cut.store(true, Ordering::Relaxed);
                return Err(io::Error::other("cut by a fault"));
            }
            Ok(answer)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(Box::pin(wire)), service);
    let mut connection = pin!(connection);
    // How a connection ends is the caller's business: errors of it are not worth a line.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::time::timeout(DRAIN, connection).await.ok();
}

async fn answer(router: Router, request: hyper::Request<Incoming>) -> Response {
    if !says_whom_it_is_for(request.version(), request.headers()) {
        let close = [(header::CONNECTION, "close")];
        return (StatusCode::BAD_REQUEST, close, "send one Host header\n").into_response();
    }
    match router.oneshot(request.map(axum::body::Body::new)).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

/// RFC 9112, 3.2: one `Host`; who speaks HTTP/1.0 may leave it out.
fn says_whom_it_is_for(version: Version, headers: &HeaderMap) -> bool {
    match headers.get_all(header::HOST).iter().count() {
        0 => version < Version::HTTP_11,
        count => count == 1,
    }
}

/// A connection that can be reset: with the flag set it is closed without a word.
struct Wire {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.cut.load(Ordering::Relaxed) {
            self.stream.set_zero_linger().ok();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_request_says_once_whom_it_is_for() {
        let says = |version, hosts: &[&'static str]| {
            let named = hosts.iter().map(|host| (header::HOST, HeaderValue::from_static(host)));
            let mut headers = HeaderMap::new();
            for (name, value) in named {
                headers.append(name, value);
            }
            says_whom_it_is_for(version, &headers)
        };
        assert!(says(Version::HTTP_11, &["x"]) && says(Version::HTTP_10, &[]));
        assert!(
            !says(Version::HTTP_11, &[])
                && !says(Version::HTTP_11, &["x", "x"])
                && !says(Version::HTTP_10, &["x", "y"])
        );
    }
}
