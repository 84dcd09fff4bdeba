//! Notices of providers: proven, written down, acknowledged; then told to the order that they are about, once each.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use florin_core::id::ConnectionId;
use florin_core::rail::{About, Item, Notice};
use florin_store::{NoticeId, NoticeRow, ProviderRef};
use tokio::time::Instant;

use super::{Called, Engine, Inner};
use crate::ask::Denied;
use crate::crash;
use crate::lane::{Job, Reply};

/// Notices read at a time, beside those that wait for their orders.
const INBOX_MAX: usize = 500;
/// Notices that may wait at the head of the inbox before those behind them have to.
const WAITING_MAX: usize = 20_000;
/// How long after it was told a notice that is still not done is told again: its exchange and a lease are over by then.
const TELL_AGAIN: Duration = Duration::from_secs(30);
/// How long after it could not be told a notice is told again; twice as long each time …
const TELL_SOON: Duration = Duration::from_secs(1);
/// … up to this.
const TELL_LATE: Duration = Duration::from_secs(60);
/// How old a notice is before a node tells one that another node wrote down: that one is at it.
const OTHERS_MS: i64 = 10_000;
/// How long a notice that brings nothing is told again and again before it is put aside for a person.
const TELL_S: i64 = 72 * 3_600;
/// How long a notice about nobody we know is kept trying: the reader that knows a provider's ids may be behind, or the payment may have
/// been made by somebody else on the same account.
const UNKNOWN_S: i64 = 24 * 3_600;
/// How often webhooks that cannot be proven are in the log, for each connection: with their count.
const SAY_REFUSED: Duration = Duration::from_secs(60);
/// Notices that a node remembers to have told, at most: more than it reads at a time. One that is forgotten is told once more.
const TOLD_MAX: usize = 2 * (INBOX_MAX + WAITING_MAX);
/// How often the inbox is read without being called.
const READ_EVERY: Duration = Duration::from_secs(5);

/// Why a notice is not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unproven {
    /// No such connection.
    #[error("there is no such connection")]
    Unknown,
    /// Its checks do not hold.
    #[error("the notice is not signed by this connection's secret, or is too old")]
    Refused,
    /// It could not be written down: the provider sends it again.
    #[error("the notice cannot be written down: {0}")]
    Denied(Denied),
}

/// When notices were told last, and which ones this node wrote down itself.
#[derive(Default)]
pub(super) struct Told(Mutex<BTreeMap<NoticeId, Telling>>);

struct Telling {
    until: Instant,
    gap: Duration,
    /// How often this process told it.
    times: u32,
}

impl Told {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<NoticeId, Telling>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// This node writes these down: it tells them at once.
    fn ours(&self, rows: &[NoticeRow]) {
        let now = Instant::now();
        self.with(|told| {
            for row in rows {
                make_room(told, now);
                told.entry(row.id.clone()).or_insert(Telling::new(now));
            }
        });
    }

    /// Whether a notice is to be told now; then it is not told again for a while. Answers whether it was told before, and the gap until it may
    /// be told again.
    fn tell(&self, id: &NoticeId, age_ms: i64) -> Option<(bool, Duration)> {
        let now = Instant::now();
        self.with(|told| {
            make_room(told, now);
            let telling = match told.entry(id.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(_) if age_ms < OTHERS_MS => return None,
                Entry::Vacant(new) => new.insert(Telling::new(now)),
            };
            if telling.until > now {
                return None;
            }
            let before = telling.times > 0;
            telling.until = now + TELL_AGAIN;
            telling.times = telling.times.saturating_add(1);
            Some((before, telling.gap))
        })
    }

    /// A notice could not be told.
    pub(super) fn again_soon(&self, id: &NoticeId) {
        let now = Instant::now();
        self.with(|told| {
            if let Some(telling) = told.get_mut(id) {
                telling.until = now + telling.gap;
                telling.gap = (telling.gap * 2).min(TELL_LATE);
            }
        });
    }
}

impl Telling {
    fn new(now: Instant) -> Self {
        Self {
            until: now,
            gap: TELL_SOON,
            times: 0,
        }
    }

    /// Nobody will ask for it any more: whatever waits is told again before.
    fn is_over(&self, now: Instant) -> bool {
        self.until + TELL_LATE * 2 <= now
    }
}

/// Forgets what is over when there are as many as there may be, and half of all if that is not enough: those that may be told soonest.
fn make_room(told: &mut BTreeMap<NoticeId, Telling>, now: Instant) {
    if told.len() < TOLD_MAX {
        return;
    }
    told.retain(|_, telling| !telling.is_over(now));
    if told.len() > TOLD_MAX / 2 {
        let mut moments: Vec<Instant> = told.values().map(|telling| telling.until).collect();
        let (_, middle, _) = moments.select_nth_unstable(TOLD_MAX / 2);
        let middle = *middle;
        let mut over = told.len() - TOLD_MAX / 2;
        told.retain(|_, telling| {
            let goes = over > 0 && telling.until <= middle;
            over -= usize::from(goes);
            !goes
        });
    }
}

/// When webhooks that could not be proven were last in the log, by connection, and how many came since: anybody can send some.
#[derive(Default)]
pub(super) struct Refused(Mutex<BTreeMap<ConnectionId, (Instant, u64)>>);

impl Refused {
    /// One more. Answers how many there are to be said, if it is time to say so.
    fn one_more(&self, connection: ConnectionId, now: Instant) -> Option<u64> {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((said, count)) = refused.get_mut(&connection) else {
            refused.insert(connection, (now, 0));
            return Some(1);
        };
        *count += 1;
        if now.duration_since(*said) < SAY_REFUSED {
            return None;
        }
        *said = now;
        Some(std::mem::take(count))
    }
}

impl Engine {
    /// A notice came through a connection's address. `Ok` once it is proven and durable: only then it may be acknowledged.
    pub async fn notice(&self, connection: ConnectionId, notice: Notice) -> Result<(), Unproven> {
        let inner = &self.inner;
        let connection = inner.directory.connection(connection).ok_or(Unproven::Unknown)?;
        let rail = inner.rail(&connection.rail).ok_or(Unproven::Unknown)?;
        let opened = rail.open(&notice);
        if !inner
            .keyring
            .holds(&connection, &notice, &opened.checks, inner.clock.wall())
        {
            if let Some(count) = inner.refused.one_more(connection.id, Instant::now()) {
                let (connection_id, rail) = (connection.id, &connection.rail);
                match inner.keyring.lacks(&connection, &notice, &opened.checks) {
                    Some(error) => tracing::warn!(
                        connection = %connection_id, %rail, count, %error,
                        "webhooks of this provider were refused, because there is nothing to check them by; `florin doctor` says how to mend it"
                    ),
                    None => tracing::warn!(
                        connection = %connection_id, %rail, count,
                        "webhooks to this connection's address were refused: their signature or their age does not hold. If the provider sent \
                         them, its secret is not the one that the connection's `webhook_secret` names"
                    ),
                }
            }
            return Err(Unproven::Refused);
        }
        let now = inner.clock.now();
        let rows: Vec<NoticeRow> = (opened.items.into_iter())
            .map(|item| NoticeRow {
                id: NoticeId {
                    connection: connection.id,
                    id: item.id.clone(),
                },
                tenant: connection.tenant,
                item: serde_json::to_string(&item).expect("an item has string keys"),
                received_at: now,
                due: now,
            })
            .collect();
        if rows.is_empty() {
            return Ok(()); // proven, and about nothing
        }
        self.open().map_err(Unproven::Denied)?;
        inner.told.ours(&rows);
        let stored = inner.call(0, Called::Notices(rows)).await.map_err(Unproven::Denied)?;
        crash::point("after_notice");
        match stored {
            Reply::Denied(denied) => Err(Unproven::Denied(denied)),
            Reply::Stored | Reply::Answered(_) | Reply::Rebuild(_) | Reply::Running(..) => Ok(()),
        }
    }
}

pub(super) async fn watch(inner: Arc<Inner>) {
    let mut limit = INBOX_MAX;
    loop {
        let next = match inner.store.inbox(u32::try_from(limit).unwrap_or(u32::MAX)).await {
            Ok(rows) => {
                let read = rows.len();
                let (waiting, next) = tell(&inner, rows).await;
                // What waits for its order must not stand in front of what could be told.
                let full = read >= limit && waiting < read;
                limit = INBOX_MAX + waiting.min(WAITING_MAX);
                if full {
                    continue;
                }
                next
            }
            Err(fault) => {
                tracing::warn!(%fault, "cannot read the inbox");
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            () = inner.inbox.notified() => {}
            () = tokio::time::sleep(next) => {}
        }
    }
}

/// Tells what can be told. Answers how many wait, and when to look again.
async fn tell(inner: &Inner, rows: Vec<NoticeRow>) -> (usize, Duration) {
    let now = inner.clock.now();
    let (mut done, mut later, mut waiting, mut next) = (Vec::new(), Vec::new(), 0, READ_EVERY);
    for row in rows {
        let age_ms = now.millis_since(row.received_at);
        let turn = if row.due > now {
            None
        } else {
            inner.told.tell(&row.id, age_ms)
        };
        let Some((before, gap)) = turn else {
            (waiting, next) = (waiting + 1, TELL_SOON);
            continue;
        };
        // However old it is, it is told once.
        if before && age_ms > TELL_S * 1_000 {
            tracing::error!(
                notice = row.id.id,
                "a notice brought nothing for three days: it is put aside"
            );
            done.push(row.id);
            continue;
        }
        let Ok(item) = serde_json::from_str::<Item>(&row.item) else {
            tracing::error!(notice = row.id.id, "a stored notice does not read: it is put aside");
            done.push(row.id);
            continue;
        };
        let order = match &item.about {
            About::Key(key) => Ok(Some(key.order())),
            About::Ref(kind, id) => {
                let reference = ProviderRef {
                    connection: row.id.connection,
                    kind: kind.clone(),
                    id: id.clone(),
                };
                inner.store.order_of_ref(&reference).await
            }
            About::Nobody => {
                done.push(row.id);
                continue;
            }
        };
        match order {
            Ok(Some(order)) => {
                // One that comes again makes room for those behind it; the first telling costs no commit.
                if before {
                    later.push(NoticeRow {
                        due: now.plus_millis(i64::try_from(gap.as_millis()).unwrap_or(i64::MAX)),
                        ..row.clone()
                    });
                }
                let job = Job::Told {
                    tenant: row.tenant,
                    order,
                    id: row.id,
                    item: Box::new(item),
                };
                inner.job(inner.lane_of(order), job);
            }
            Ok(None) if age_ms > UNKNOWN_S * 1_000 => {
                tracing::warn!(
                    notice = row.id.id,
                    kind = item.kind,
                    "a notice is about no order of ours: it is put aside"
                );
                done.push(row.id);
            }
            Ok(None) => {
                inner.meter.untold.increment(1);
                inner.told.again_soon(&row.id);
                later.push(NoticeRow {
                    due: now.plus_millis(age_ms.max(1_000)),
                    ..row
                });
                next = TELL_SOON;
            }
            Err(fault) => {
                tracing::warn!(%fault, "cannot find the order of a notice");
                inner.told.again_soon(&row.id);
                next = TELL_SOON;
            }
        }
    }
    if !done.is_empty() || !later.is_empty() {
        inner.job(0, Job::Shelve { done, later });
    }
    (waiting, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> NoticeId {
        NoticeId {
            connection: ConnectionId::from_uuid(uuid::Uuid::from_u128(1)),
            id: number.to_string(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_node_remembers_to_have_told_has_an_end() {
        let told = Told::default();
        // Another node wrote them down, and this one gets none of its own.
        for number in 0..TOLD_MAX {
            assert!(told.tell(&id(number), OTHERS_MS).is_some());
        }
        tokio::time::advance(TELL_AGAIN + TELL_LATE * 2).await;
        assert!(told.tell(&id(TOLD_MAX), OTHERS_MS).is_some());
        assert_eq!(told.with(|told| told.len()), 1, "the others are over");
        for number in 0..2 * TOLD_MAX {
            told.tell(&id(number), OTHERS_MS);
            assert!(told.with(|told| told.len()) <= TOLD_MAX);
        }
        assert!(
            told.tell(&id(2 * TOLD_MAX - 1), OTHERS_MS).is_none(),
            "the newest are remembered"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_proven_is_said_once_a_minute_and_counted() {
        let (refused, [one, other]) = (Refused::default(), [1, 2].map(uuid::Uuid::from_u128));
        let [one, other] = [one, other].map(ConnectionId::from_uuid);
        let said = |connection| refused.one_more(connection, Instant::now());
        assert_eq!(said(one), Some(1), "at once");
        assert!((0..1_000).all(|_| said(one).is_none()));
        assert_eq!(said(other), Some(1), "each connection has its own");
        tokio::time::advance(SAY_REFUSED).await;
        assert_eq!((said(one), said(one)), (Some(1_001), None));
        tokio::time::advance(SAY_REFUSED).await;
        assert_eq!(said(one), Some(2));
    }
}
