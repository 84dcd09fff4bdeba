//! The courier: brings notices to whoever is named, until each is acknowledged.
//!
//! ```text
//! POST {address}      issuer-signature: t=<seconds>,v1=<hex of HMAC-SHA256 over "<seconds>.<body>">
//! {"id":"ntc_000012","kind":"refund_failed","authorization":"iss_000001","key":"…","reference":"…","at":"…"}
//! ```
//!
//! A 2xx acknowledges, and is written into the book; anything else, and silence, brings the notice again, less and less often. So a notice
//! may come twice (the acknowledgement was lost, or a crash came between it and the book) and late, and several come in any order. It says
//! where to look and no amounts: how things stand the issuer is asked.

use aws_lc_rs::hmac;
use axum::body::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clerk::Clerk;
use crate::entry::NoticeId;
use crate::faults::{Fault, Faults, Kind, Target, When};
use crate::message::{Notice, Trouble};

/// Notices that are looked at: the oldest ones. Those behind wait until some of these are acknowledged.
const NOTICES_MAX: usize = 1_000;

/// Notices on their way at once.
const AT_ONCE: usize = 8;

/// How long an answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// The largest answer that is read; what it says does not matter.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long after it was not acknowledged a notice is brought again; twice as long each time ...
const AGAIN_FIRST: Duration = Duration::from_millis(500);

/// ... up to this.
const AGAIN_LAST: Duration = Duration::from_secs(30);

/// Brings the notices of one issuer to one address.
#[derive(Clone)]
pub struct Courier {
    /// Whose notices.
    pub clerk: Clerk,
    /// What may go wrong on the way.
    pub faults: Faults,
    /// Where to: an address over plain HTTP, on loopback.
    pub address: hyper::Uri,
    /// What they are signed with.
    pub secret: String,
}

/// When a notice is brought next.
struct Round {
    due: Instant,
    gap: Duration,
    out: bool,
}

type Sender = Client<HttpConnector, Full<Bytes>>;

impl Courier {
    /// Brings notices until `shutdown`, or until the clerk is gone.
    pub async fn run(self, shutdown: CancellationToken) {
        let sender: Sender = Client::builder(TokioExecutor::new()).build_http();
        let mut rounds: BTreeMap<NoticeId, Round> = BTreeMap::new();
        let mut out = JoinSet::new();
        loop {
            let notices = match self.clerk.notices(NOTICES_MAX).await {
                Ok(notices) => notices,
                Err(Trouble::Busy) => {
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(AGAIN_FIRST) => continue,
                    }
                }
                Err(trouble) => {
                    tracing::warn!(%trouble, "the issuer tells no more of what happens later");
                    return;
                }
            };
            let now = Instant::now();
            rounds.retain(|id, _| notices.iter().any(|notice| notice.id == *id));
            for notice in notices {
                let round = rounds.entry(notice.id).or_insert(Round {
                    due: now,
                    gap: AGAIN_FIRST,
                    out: false,
                });
                if !round.out && round.due <= now && out.len() < AT_ONCE {
                    round.out = true;
                    out.spawn(self.clone().bring(sender.clone(), notice));
                }
            }
            let waiting = rounds.values().filter(|round| !round.out).map(|round| round.due);
            let next = waiting.min().filter(|_| out.len() < AT_ONCE);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.clerk.rung() => {}
                Some(brought) = out.join_next() => {
                    if let Some(round) = brought.ok().and_then(|id| rounds.get_mut(&id)) {
                        *round = Round {
                            due: Instant::now() + round.gap,
                            gap: (round.gap * 2).min(AGAIN_LAST),
                            out: false,
                        };
                    }
                }
                () = tokio::time::sleep_until(next.unwrap_or(now)), if next.is_some() => {}
            }
        }
    }

    /// Brings a notice once, and writes down that it was acknowledged if it was. One that was not is found unacknowledged again.
    async fn bring(self, sender: Sender, notice: Notice) -> NoticeId {
        let id = notice.id;
        let body = Bytes::from(serde_json::to_vec(&notice).expect("a notice is plain data"));
        let acknowledged = match self.faults.draw(Target::Notice) {
            None => self.post(&sender, &body).await,
            Some(fault) => self.struck(fault, &sender, &body).await,
        };
        if acknowledged && let Err(trouble) = self.clerk.acknowledge(id).await {
            tracing::warn!(%trouble, "an acknowledged notice could not be written down: it is told again");
        }
        id
    }

    async fn struck(&self, fault: Fault, sender: &Sender, body: &Bytes) -> bool {
        match (fault.kind, fault.when) {
            (Kind::DelayMs, _) => {
                tokio::time::sleep(Duration::from_millis(fault.ms)).await;
                self.post(sender, body).await
            }
            (Kind::Duplicate, _) => {
                let (first, second) = tokio::join!(self.post(sender, body), self.post(sender, body));
                first || second
            }
            (_, When::Before) => false,
            (_, When::After) => {
                self.post(sender, body).await;
                false
            }
        }
    }

    /// Whether a 2xx came.
    async fn post(&self, sender: &Sender, body: &Bytes) -> bool {
        let request = hyper::Request::post(&self.address)
            .header("content-type", "application/json")
            .header("issuer-signature", signature(&self.secret, body, Timestamp::now()))
            .body(Full::new(body.clone()))
            .expect("an address and headers of ours");
        let answered = async {
            let answer = sender.request(request).await.ok()?;
            let status = answer.status();
            // Read to its end, so that the connection can be used again.
            Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.ok();
            Some(status.is_success())
        };
        tokio::time::timeout(ANSWER_WAIT, answered)
            .await
            .ok()
            .flatten()
            .unwrap_or(false)
    }
}

/// `t=<seconds>,v1=<hex>`, as card processors sign.
fn signature(secret: &str, body: &[u8], at: Timestamp) -> String {
    let seconds = at.as_second();
    let mut signed = format!("{seconds}.").into_bytes();
    signed.extend_from_slice(body);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &signed);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}
