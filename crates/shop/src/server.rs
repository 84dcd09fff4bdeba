//! The accept loop: HTTP/1.1, so many connections and no more, slow senders cut off, and who does not read, open answers finished at the end.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use http::{HeaderMap, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

/// A demonstration has few visitors; Florin's webhooks share the number.
const CONNECTIONS: usize = 256;
/// A request's head has to be there within this time.
const HEAD: Duration = Duration::from_secs(10);
/// How long an answer may lie there without the caller reading any of it.
const UNREAD: Duration = Duration::from_secs(30);
/// An answer that a buyer waits for takes at most this long (`checkout`).
const DRAIN: Duration = Duration::from_secs(20);
/// When the system is out of sockets, accepting fails at once and for ever.
const BREATH: Duration = Duration::from_millis(50);

pub(crate) async fn run(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let open = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        // A place first: who comes when all are taken waits in the system's queue.
        let next = async {
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?.0, place))
        };
        let next = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        let (socket, place) = match next {
            Ok(next) => next,
            Err(why) => {
                tracing::warn!(%why, "the shop cannot accept a connection");
                sleep(BREATH).await;
                continue;
            }
        };
        // Small answers go out at once; a socket that refuses the option works without it.
        let _ = socket.set_nodelay(true);
        let mut socket = TimeoutStream::new(socket);
        socket.set_write_timeout(Some(UNREAD));
        let pages = TowerToHyperService::new(router.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let pages = pages.clone();
            async move {
                if says_whom_it_is_for(request.version(), request.headers()) {
                    pages.call(request).await
                } else {
                    let close = [(header::CONNECTION, "close")];
                    Ok((StatusCode::BAD_REQUEST, close, "Send one Host header.\n").into_response())
                }
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(Box::pin(socket)), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // A browser that goes away in the middle is no news.
            let _: Result<(), hyper::Error> = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if timeout(DRAIN, open.shutdown()).await.is_err() {
        tracing::warn!("the shop stopped with answers unfinished");
    }
    Ok(())
}

/// RFC 9112, 3.2: one `Host`; who speaks HTTP/1.0 may leave it out.
fn says_whom_it_is_for(version: Version, headers: &HeaderMap) -> bool {
    match headers.get_all(header::HOST).iter().count() {
        0 => version < Version::HTTP_11,
        count => count == 1,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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
