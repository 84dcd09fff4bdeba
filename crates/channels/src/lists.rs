//! What a list may take, at any door: a page has so many bytes, and a merchant so many lists that are being read or are not fetched yet.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use florin_store::Tenant;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a page's items as they are written. A page ends before the item that would make it longer, and has one in any case: a hundred
/// of the usual few kilobytes, nine or ten of the largest there are.
pub(crate) const PAGE_BYTES_MAX: usize = 1 << 20;
/// Lists that one merchant (in one mode) may have under way at once, until the last of their bytes is handed on. They share the threads
/// that read with everybody else, and each holds a page in memory.
pub(crate) const LISTS_MAX: usize = 16;
/// How long one more waits for a place: those who ask for many at once and fetch them see no refusal.
const LIST_WAIT: Duration = Duration::from_secs(2);
/// When a place is worth another call.
pub(crate) const FREE_AFTER_S: u32 = 1;
/// Bytes of an answer that are handed on at a time: what a connection may still hold when its list's place is free again.
const PIECE_BYTES: usize = 32 << 10;

/// How many bytes this is as JSON.
pub(crate) fn written(item: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What cannot be written down is told where it is.
    let _ = serde_json::to_writer(&mut count, item);
    count.0
}

/// Room on a page, in items and bytes.
pub(crate) struct Room {
    items: usize,
    bytes: usize,
    empty: bool,
}

impl Room {
    /// For at most so many items, one at least.
    pub(crate) fn of(items: usize) -> Self {
        Self {
            items,
            bytes: PAGE_BYTES_MAX,
            empty: true,
        }
    }

    /// Whether this item is on the page; when it is not, no later one is.
    pub(crate) fn takes(&mut self, item: &impl Serialize) -> bool {
        if self.items == 0 {
            return false;
        }
        let left = self.bytes.checked_sub(written(item));
        if left.is_none() && !self.empty {
            self.items = 0;
            return false;
        }
        (self.items, self.bytes, self.empty) = (self.items - 1, left.unwrap_or(0), false);
        true
    }
}

/// The lists under way, by whose they are.
#[derive(Default)]
pub(crate) struct Lists(Arc<Mutex<Under>>);

/// Places of those who have a list under way or wait for one.
type Under = HashMap<Tenant, Arc<Semaphore>>;

impl Lists {
    /// A place for one more, as soon as there is one; none: this merchant had as many as it may all the while.
    pub(crate) async fn take(&self, tenant: Tenant) -> Option<Place> {
        let places = {
            let mut under = locked(&self.0);
            let places = under
                .entry(tenant)
                .or_insert_with(|| Arc::new(Semaphore::new(LISTS_MAX)));
            Arc::clone(places)
        };
        // Made before it waits, so that the entry goes also when nobody waits any more.
        let mut place = Place {
            under: Arc::clone(&self.0),
            tenant,
            permit: None,
        };
        place.permit = tokio::time::timeout(LIST_WAIT, places.acquire_owned()).await.ok()?.ok();
        Some(place)
    }
}

/// A place among a merchant's lists, free again when this is dropped.
pub(crate) struct Place {
    under: Arc<Mutex<Under>>,
    tenant: Tenant,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under = locked(&self.under);
        drop(self.permit.take());
        if under
            .get(&self.tenant)
            .is_some_and(|places| Arc::strong_count(places) == 1)
        {
            under.remove(&self.tenant);
        }
    }
}

fn locked(under: &Mutex<Under>) -> MutexGuard<'_, Under> {
    under.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a call reads a list: it is a GET, or a HEAD, which costs as much, and its address ends with no object's id. (A balance is one object.)
pub(crate) fn is_list(parts: &Parts) -> bool {
    let path = || parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    matches!(parts.method, Method::GET | Method::HEAD)
        && path().is_some_and(|path| !path.ends_with('}') && !path.ends_with("/balance"))
}

/// An answer that keeps its list's place until the last piece of it is handed on. The pieces are copies, so that the last one does not keep
/// the whole.
pub(crate) fn held(body: Body, place: Place) -> Body {
    Body::new(Held {
        body,
        rest: Bytes::new(),
        _place: place,
    })
}

struct Held {
    body: Body,
    rest: Bytes,
    _place: Place,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = Bytes::copy_from_slice(&self.rest.split_to(length));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut all = SizeHint::new();
        all.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            all.set_upper(upper + rest);
        }
        all
    }
}
