//! Serves a door until it is told to stop: HTTP/1.1, so many connections and no more, slow senders cut off, and who does not read,
//! open answers finished at the end.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt};
use tower_http::timeout::RequestBodyTimeoutLayer;

/// Connections that one door holds open at once. Who comes when all are taken waits in the system's queue.
const CONNECTIONS_MAX: usize = 4_096;
/// Descriptors that are kept for everything else: the database, providers, webhook endpoints.
const DESCRIPTORS_KEPT: u64 = 512;
/// Descriptors when the system names no limit.
const DESCRIPTORS_ASSUMED: u64 = 1_024;
/// Doors of a process that share the descriptors.
const DOORS: u64 = 3;
/// Whoever connects has asked for something within this time: a silent connection holds a place for no longer.
const FIRST_HEAD: Duration = Duration::from_secs(10);
/// The head of a later request has to be there within this time, from the answer before it, and an idle connection is closed after it. Longer
/// than the minute for which proxies keep idle connections, so that they close first.
const HEAD: Duration = Duration::from_secs(75);
/// The largest head of a request. What is read ahead on each connection is kept in memory, so many connections times this is what
/// anybody can make a door hold; four times what proxies pass on.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// The longest pause between two pieces of a request's body …
const BODY_PAUSE: Duration = Duration::from_secs(10);
/// … and in how much time all of it has to be there, from the first wait for it: who sends it drop by drop holds a place for no longer. The
/// largest body takes that long at 10 KB a second.
const BODY_WHOLE: Duration = Duration::from_secs(30);
/// How long an answer may lie there without the caller reading any of it: who asks and does not read holds a place for no longer.
const UNREAD: Duration = Duration::from_secs(30);
/// When the system is out of descriptors, accepting fails at once and for ever.
const BREATH: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` until `stop`, and then what is under way.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(connections()));
    let door = RequestBodyTimeoutLayer::new(BODY_PAUSE).layer(router);
    let open = GracefulShutdown::new();
    loop {
        // A place first: who has none is not accepted.
        let next = async {
            let place = Arc::clone(&places)
                .acquire_owned()
                .await
                .map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>((listener.accept().await?.0, place))
        };
        let next = tokio::select! {
            next = next => next,
            () = stop.cancelled() => break,
        };
        let (socket, place) = match next {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(BREATH).await;
                continue;
            }
        };
        // Answers are small: waiting for more of them to fill a packet would cost 40 ms each.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch Nagle's algorithm off");
        }
        let asked = Arc::new(AtomicBool::new(false));
        let (door, asks) = (door.clone(), Arc::clone(&asked));
        let service = service_fn(move |request: http::Request<Incoming>| {
            asks.store(true, Ordering::Relaxed);
            let door = door.clone();
            async move {
                let answer = match misdirected(request.version(), request.headers()) {
                    Some(refusal) => Ok(refusal),
                    None => door.oneshot(request.map(|body| Timely::new(body, BODY_WHOLE))).await,
                };
                answer.map(as_it_is)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Who hangs up in the middle is found out when the answer is written: looking for it costs each call a read and eight kilobytes.
            .half_close(true)
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(read_within(socket, UNREAD)), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            // A caller that goes away in the middle is no news, nor is one that never asks.
            if timeout(FIRST_HEAD, connection.as_mut()).await.is_err() && asked.load(Ordering::Relaxed) {
                let _: Result<(), hyper::Error> = connection.await;
            }
            drop(place);
        });
    }
    drop(listener);
    open.shutdown().await;
}

/// Refuses what does not say whom it is for, or says it twice (RFC 9112, 3.2): a proxy in front may have read another name than we would.
fn misdirected(version: Version, headers: &HeaderMap) -> Option<Response> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let detail = match (hosts.next(), hosts.next()) {
        (Some(_), None) => return None,
        (None, _) if version < Version::HTTP_11 => return None,
        (None, _) => "this request has no Host header: send one, with the name and port of this server\n",
        (Some(_), Some(_)) => "this request has several Host headers: send one\n",
    };
    let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
    Some((StatusCode::BAD_REQUEST, close, detail).into_response())
}

/// What every answer of every door says: it is of the kind that it names, and nobody keeps it, unless it says otherwise itself.
fn as_it_is(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    answer
}

/// A connection that breaks when it has been written to for so long without the other side reading anything.
fn read_within(socket: TcpStream, within: Duration) -> Pin<Box<TimeoutStream<TcpStream>>> {
    let mut socket = TimeoutStream::new(socket);
    socket.set_write_timeout(Some(within));
    Box::pin(socket)
}

/// A request's body that has to be there within a time.
struct Timely<B> {
    body: B,
    within: Duration,
    /// Begins with the first wait: most bodies are there already.
    end: Option<Pin<Box<Sleep>>>,
}

impl<B> Timely<B> {
    fn new(body: B, within: Duration) -> Self {
        Self {
            body,
            within,
            end: None,
        }
    }
}

impl<B: Body<Error: Into<BoxError>> + Unpin> Body for Timely<B> {
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let within = self.within;
        let end = self.end.get_or_insert_with(|| Box::pin(sleep(within)));
        match end.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err("the body came too slowly".into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Asks the system for as many descriptors as this user may have: a socket each for callers, providers and endpoints.
pub(crate) fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

/// Connections that a door may hold, within what the system allows.
fn connections() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS_ASSUMED);
    let share = descriptors.saturating_sub(DESCRIPTORS_KEPT) / DOORS;
    usize::try_from(share)
        .unwrap_or(CONNECTIONS_MAX)
        .clamp(64, CONNECTIONS_MAX)
}

/// SIGTERM and ctrl-c, listened for from before the first door opens: whoever was told that we are ready may end us at once, and before
/// somebody listens the system would end us in the middle of an answer.
pub(crate) struct Asked {
    terminate: Signal,
    interrupt: Signal,
    /// A file that may not grow any more is a full disk, which is answered; unheard, this signal would end the program.
    _file_size: Signal,
}

impl Asked {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Waits until we are asked to stop, or have been.
    pub(crate) async fn heard(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How long doors may take to answer what is under way after the engine has drained.
pub(crate) const DOORS_CLOSE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use rustix::process::{self, getpid, kill_process};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// The first line that answers a request with a head of so many bytes.
    async fn answer_to(address: std::net::SocketAddr, bytes: usize) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: {}\r\n\r\n",
            "a".repeat(bytes)
        );
        // Who is refused may not be listened to until the end.
        let _ = socket.write_all(head.as_bytes()).await;
        let mut answer = vec![0; 4_096];
        let read = socket.read(&mut answer).await.unwrap_or(0);
        String::from_utf8_lossy(&answer[..read])
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// A door that answers whoever comes in, and where it is.
    async fn a_door() -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let kept = [(header::CACHE_CONTROL, "max-age=60")];
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/kept", get(async move || (kept, "a picture")));
        let door = tokio::spawn(serve(listener, router, stop.clone()));
        (address, stop, door)
    }

    #[tokio::test]
    async fn a_request_says_once_whom_it_is_for() {
        let (address, stop, door) = a_door().await;
        for (head, status) in [
            ("HTTP/1.1\r\nHost: x", "200"),
            ("HTTP/1.1\r\nHost:", "200"),
            ("HTTP/1.1\r\nHost: x\r\nHost: x", "400"),
            ("HTTP/1.1\r\nHost: x\r\nhost: y", "400"),
            ("HTTP/1.1\r\nAccept: */*", "400"),
            ("HTTP/1.0\r\nAccept: */*", "200"),
            ("HTTP/1.0\r\nHost: x\r\nHost: y", "400"),
        ] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let request = format!("GET / {head}\r\nConnection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer.split(' ').nth(1), Some(status), "{head:?}: {answer}");
            assert!(status == "200" || answer.contains("Host header"), "{answer}");
        }
        stop.cancel();
        door.await.unwrap();
    }

    #[tokio::test]
    async fn every_answer_says_that_it_is_what_it_is_and_who_may_keep_it() {
        let (address, stop, door) = a_door().await;
        for (line, host, kept) in [
            ("GET /", "Host: x\r\n", "no-store"),
            ("GET /nothing", "Host: x\r\n", "no-store"),
            ("POST /", "Host: x\r\n", "no-store"),
            ("GET /", "", "no-store"),
            ("GET /kept", "Host: x\r\n", "max-age=60"),
        ] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let request = format!("{line} HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            for said in [
                "x-content-type-options: nosniff\r\n".to_owned(),
                format!("cache-control: {kept}\r\n"),
            ] {
                assert_eq!(answer.matches(&said).count(), 1, "{line}: {answer}");
            }
        }
        stop.cancel();
        door.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_asks_is_closed_early_and_who_has_asked_may_be_idle() {
        let (address, stop, door) = a_door().await;
        for (said, first, last) in [
            ("", FIRST_HEAD, HEAD),
            ("GET / HTTP/1.1\r\nHost:", FIRST_HEAD, HEAD),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", HEAD, 2 * HEAD),
        ] {
            let (mut socket, began) = (TcpStream::connect(address).await.unwrap(), tokio::time::Instant::now());
            socket.write_all(said.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            let open = began.elapsed();
            assert!(first <= open && open < last, "{said:?}: open for {open:?}");
            assert_eq!(answer.is_empty(), first == FIRST_HEAD, "{said:?}: {answer}");
        }
        stop.cancel();
        door.await.unwrap();
    }

    #[tokio::test]
    async fn nobody_makes_a_door_keep_a_head_without_end() {
        let (address, stop, door) = a_door().await;
        assert_eq!(answer_to(address, 16 << 10).await, "HTTP/1.1 200 OK");
        let refused = answer_to(address, 4 * HEAD_BYTES_MAX).await;
        assert!(refused.is_empty() || refused.contains(" 431 "), "{refused}");
        stop.cancel();
        door.await.unwrap();
    }

    #[tokio::test]
    async fn who_asks_and_does_not_read_the_answers_loses_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asks, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let _open = asks.unwrap();
        let mut answers = read_within(accepted.unwrap().0, Duration::from_millis(200));
        let piece = vec![b'a'; 1 << 20];
        let unread = async {
            loop {
                if let Err(error) = answers.write_all(&piece).await {
                    return error.kind();
                }
            }
        };
        let ended = timeout(Duration::from_secs(20), unread).await;
        assert_eq!(ended.expect("it ends"), std::io::ErrorKind::TimedOut);
        // Who reads, slowly as it may be, is served: each piece that is read begins the time anew.
        let (asks, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut asks = asks.unwrap();
        let mut answers = read_within(accepted.unwrap().0, Duration::from_secs(10));
        let written = tokio::spawn(async move { answers.write_all(&vec![b'a'; 8 << 20]).await });
        let mut read = Vec::new();
        asks.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len(), 8 << 20);
        written.await.unwrap().unwrap();
    }

    /// One byte now and then, for ever.
    struct Drops(tokio::time::Interval);

    impl Body for Drops {
        type Data = bytes::Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
            let drop = Frame::data(bytes::Bytes::from_static(b"a"));
            self.0.poll_tick(context).map(|_| Some(Ok(drop)))
        }
    }

    #[tokio::test]
    async fn a_body_that_comes_drop_by_drop_ends_within_its_time() {
        let drops = Drops(tokio::time::interval(Duration::from_millis(10)));
        let body = axum::body::Body::new(Timely::new(drops, Duration::from_millis(200)));
        let read = axum::body::to_bytes(body, 1 << 20);
        let read = timeout(Duration::from_secs(20), read).await;
        let error = read.expect("it ends").expect_err("it is not whole");
        assert!(error.to_string().contains("too slowly"), "{error}");
    }

    #[tokio::test]
    async fn a_signal_that_comes_before_anybody_waits_for_it_is_heard() {
        let asked = Asked::listen().unwrap();
        kill_process(getpid(), process::Signal::TERM).unwrap();
        let heard = timeout(Duration::from_secs(30), asked.heard()).await;
        heard.expect("nobody was told");
    }
}
