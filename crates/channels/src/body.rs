//! A request's body, read whole within a limit.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// Why a body is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is larger than the limit.
    TooLarge,
    /// It ended in the middle, came too slowly, or was not cut into pieces as it should be.
    BrokeOff,
}

/// How long a body that is too large is taken and thrown away, how much of it, and how long its sender may pause: whoever is still sending
/// when the connection is closed under it does not get to read why.
const DRAINED_FOR: Duration = Duration::from_secs(1);
const DRAINED_BYTES_MAX: usize = 1024 * 1024;
const DRAINED_PAUSE: Duration = Duration::from_millis(400);

/// Reads a body of at most `limit` bytes. One that is larger is hardly waited for.
pub(crate) async fn read(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, Unread> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let declared = declared.and_then(|length| length.parse::<u64>().ok());
    if declared.is_none_or(|length| usize::try_from(length).is_ok_and(|length| length <= limit)) {
        match Limited::new(&mut body, limit).collect().await {
            Ok(whole) => return Ok(whole.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(_) => return Err(Unread::BrokeOff),
        }
    }
    let _ = tokio::time::timeout(DRAINED_FOR, drain(body)).await; // whether all of it came or not
    Err(Unread::TooLarge)
}

async fn drain(mut body: Body) {
    let mut drained = 0;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(DRAINED_PAUSE, body.frame()).await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > DRAINED_BYTES_MAX {
            return;
        }
    }
}

/// Stands before addresses whose calls take a body as it comes: they get it whole, and at most `limit` bytes of it. What they do not get is
/// refused as the framework refuses, and the door says it in its own words.
pub(crate) async fn whole(limit: usize, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match read(&parts.headers, body, limit).await {
        Ok(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(Unread::TooLarge) => {
            let why = format!("the body is larger than {limit} bytes\n");
            (StatusCode::PAYLOAD_TOO_LARGE, why).into_response()
        }
        Err(Unread::BrokeOff) => (StatusCode::BAD_REQUEST, "the body broke off\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    struct Broken;

    impl hyper::body::Body for Broken {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            Poll::Ready(Some(Err(std::io::Error::other("the caller hung up"))))
        }
    }

    /// So many pieces of a kilobyte.
    struct Pieces(Arc<AtomicUsize>);

    impl hyper::body::Body for Pieces {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            let left = self.0.load(Ordering::SeqCst);
            self.0.store(left.saturating_sub(1), Ordering::SeqCst);
            Poll::Ready((left > 0).then(|| Ok(Frame::data(Bytes::from_static(&[b' '; 1_024])))))
        }
    }

    #[tokio::test]
    async fn who_sends_too_much_is_heard_out_within_reason() {
        for (pieces, left) in [(300, 0), (5_000, 5_000 - DRAINED_BYTES_MAX / 1_024 - 1)] {
            let (mut headers, body) = (HeaderMap::new(), Arc::new(AtomicUsize::new(pieces)));
            headers.insert(CONTENT_LENGTH, (pieces * 1_024).into());
            let refused = read(&headers, Body::new(Pieces(Arc::clone(&body))), 256 * 1_024).await;
            assert_eq!(
                (refused, body.load(Ordering::SeqCst)),
                (Err(Unread::TooLarge), left),
                "{pieces}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_that_broke_off_is_not_called_too_large() {
        let mut headers = HeaderMap::new();
        let whole = read(&headers, Body::from("abc"), 3).await;
        assert_eq!(whole.as_deref(), Ok(b"abc".as_slice()));
        assert_eq!(read(&headers, Body::from("abcd"), 3).await, Err(Unread::TooLarge));
        assert_eq!(read(&headers, Body::new(Broken), 3).await, Err(Unread::BrokeOff));
        headers.insert(CONTENT_LENGTH, 3.into());
        assert_eq!(read(&headers, Body::new(Broken), 3).await, Err(Unread::BrokeOff));
        headers.insert(CONTENT_LENGTH, 4.into());
        assert_eq!(read(&headers, Body::new(Broken), 3).await, Err(Unread::TooLarge));
    }
}
