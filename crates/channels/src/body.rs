//! A request's body, read whole within a limit.

use std::error::Error;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::LengthLimitError;

/// Why a body is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is larger than the limit.
    TooLarge,
    /// It ended in the middle, came too slowly, or was not cut into pieces as it should be.
    BrokeOff,
}

/// Reads a body of at most `limit` bytes. One that is declared larger is not waited for.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Unread> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let declared = declared.and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(Unread::TooLarge);
    }
    axum::body::to_bytes(body, limit).await.map_err(|error| {
        if error.source().is_some_and(|source| source.is::<LengthLimitError>()) {
            Unread::TooLarge
        } else {
            Unread::BrokeOff
        }
    })
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
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
