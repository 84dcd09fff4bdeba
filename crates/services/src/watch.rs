//! What is stuck, with ages: gauges for `/metrics`, alerts by name, and a line in the log when one begins and when it ends.
//!
//! [`look`] reads what a database tells of itself and serves `florin doctor` as well; [`Watch`] adds what its node knows and remembers
//! which alerts ring. Every name in [`ALERTS`] has a page in `docs/runbook.md`, and a test keeps it so. Each look is bounded: it reads
//! the soonest few thousand of what is open, and says when there was more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use florin_core::id::{ConnectionId, EndpointId, OrderId};
use florin_core::order::{Case, Open, StepName};
use florin_core::status::{self, Attention};
use florin_core::time::Timestamp;
use florin_store::{Backlog, Fault, OrderRow, Search, Store, Tenant, Wanted};
use metrics::{counter, gauge};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::directory::{Directory, Endpoint, tenants_of};
use crate::engine::Engine;
use crate::notify::health::{self, SICK_S, Standing};
use crate::snapshot::{self, Damage};
use crate::tidy;
use crate::view::View;
use crate::whole;

/// How often a node looks.
const EVERY: Duration = Duration::from_secs(15);
/// How often a node removes what is past its retention.
const TIDY_EVERY: Duration = Duration::from_secs(300);
/// A look that is as young as this is good enough for whoever reads metrics.
const FRESH: Duration = Duration::from_secs(5);
/// Orders that are open are read so many at a time …
const PAGE: u32 = 200;
/// … and no more than these in one look: a few hundredths of a second of work.
pub const OPEN_MAX: u64 = 5_000;
/// Orders that need a person are named up to here.
pub const NAMED_MAX: usize = 100;
/// Endpoints that are asked about in one look.
const ENDPOINTS_MAX: usize = 2_000;
/// Work that has been due for longer has been forgotten by somebody (`docs/runbook.md`).
pub const OUTBOX_OLD_S: i64 = 300;
/// Lists, balances and webhooks that are further behind what was committed stand still (`docs/runbook.md`).
pub const BEHIND_S: i64 = 300;
/// A queue counts as full for so long after somebody was turned away.
const FULL_FOR: Duration = Duration::from_secs(60);

/// Something that a person must hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// Its name in `florin_alert{name="…"}`, in the log, and of its page.
    pub name: &'static str,
    /// What it means, in a sentence.
    pub says: &'static str,
}

/// Every alert. Each has a page in `docs/runbook.md`.
pub const ALERTS: [Alert; 9] = [
    Alert {
        name: "uncertain_long",
        says: "the outcome of a step has been unknown for three days",
    },
    Alert {
        name: "stuck_reversal",
        says: "money that should not stand could not be given back",
    },
    Alert {
        name: "amount_mismatch",
        says: "a provider reported an amount or a currency that no rule explains",
    },
    Alert {
        name: "nobody_to_ask",
        says: "a step is uncertain, and its provider cannot be asked",
    },
    Alert {
        name: "outbox_old",
        says: "work that was due has not been picked up",
    },
    Alert {
        name: "reader_behind",
        says: "lists, balances and webhooks do not follow what is committed",
    },
    Alert {
        name: "endpoint_sick",
        says: "a webhook endpoint has not taken a delivery for an hour",
    },
    Alert {
        name: "record_damaged",
        says: "the stored bytes of an order do not hold",
    },
    Alert {
        name: "queue_full",
        says: "requests are turned away because every place is taken",
    },
];

/// What a database tells of itself.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When it was looked at.
    pub at: Timestamp,
    /// What waits.
    pub backlog: Backlog,
    /// Steps of which nobody knows how they stand.
    pub uncertain: u64,
    /// The oldest of them, up to [`NAMED_MAX`].
    pub unknown: Vec<Unknown>,
    /// Orders that need a person, by what for.
    pub attention: BTreeMap<Attention, u64>,
    /// Some of them, up to [`NAMED_MAX`].
    pub cases: Vec<CaseOf>,
    /// Endpoints that take nothing.
    pub sick: Vec<Sick>,
    /// Orders whose bytes do not hold, as far as this look met them.
    pub damaged: BTreeMap<OrderId, String>,
    /// More was open than one look reads.
    pub more: bool,
}

/// A step of which nobody knows how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Since when.
    pub since: Timestamp,
    /// The order.
    pub order: OrderId,
    /// The step.
    pub step: StepName,
    /// At which connection.
    pub connection: ConnectionId,
    /// Whether it is a case for a person already.
    pub case: Option<Case>,
}

/// An order that needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseOf {
    /// Whose.
    pub tenant: Tenant,
    /// Which.
    pub order: OrderId,
    /// What for.
    pub words: Vec<Attention>,
    /// What `florin attempts resolve` has to be told about.
    pub steps: Vec<StepName>,
}

/// An endpoint that takes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sick {
    /// Which.
    pub endpoint: EndpointId,
    /// Whose.
    pub tenant: Tenant,
    /// Since when it has taken nothing.
    pub since: Timestamp,
    /// What it answered last, or why there was no answer.
    pub last: String,
}

/// Looks at a database: what waits, what is uncertain, what needs a person, who takes no webhooks.
pub async fn look(store: &dyn Store, directory: &Directory, now: Timestamp) -> Result<Seen, Fault> {
    let mut seen = Seen {
        at: now,
        backlog: store.backlog(now).await?,
        ..Seen::default()
    };
    seen.open(store).await?;
    let tenants = || {
        directory
            .merchants()
            .into_iter()
            .flat_map(|merchant| tenants_of(merchant.id))
    };
    if seen.backlog.attention > 0 {
        for tenant in tenants() {
            seen.cases(store, tenant).await?;
        }
    }
    let old = seen
        .backlog
        .oldest_delivery
        .is_some_and(|since| is_older(since, now, SICK_S));
    if old {
        let endpoints = tenants().flat_map(|tenant| directory.endpoints(tenant));
        for endpoint in endpoints.filter(|endpoint| endpoint.enabled).take(ENDPOINTS_MAX) {
            seen.sick.extend(sick(store, &endpoint, now).await?);
        }
    }
    Ok(seen)
}

fn is_older(since: Timestamp, now: Timestamp, seconds: i64) -> bool {
    now.millis_since(since) > seconds * 1_000
}

impl Seen {
    /// Everything that is open, the soonest first: steps that are uncertain.
    async fn open(&mut self, store: &dyn Store) -> Result<(), Fault> {
        let (mut after, mut read) = (None, 0);
        loop {
            let rows = store.waiting(after, PAGE).await?;
            // What is uncertain is open work; orders that only wait for a moment have none.
            let (open, rest): (Vec<OrderRow>, Vec<OrderRow>) = rows.iter().cloned().partition(|row| row.work.is_some());
            for row in rest {
                if let Err(damage) = snapshot::proven_work(&row) {
                    self.damaged.insert(row.id, damage.to_string());
                }
            }
            whole::views(store, &open, &mut |row, view| self.row(row, view)).await?;
            read += rows.len() as u64;
            let last = rows.last().and_then(|row| Some((row.due?, row.id)));
            if rows.len() < PAGE as usize || last.is_none() {
                break;
            }
            if read >= OPEN_MAX {
                self.more = true;
                break;
            }
            after = last;
        }
        self.unknown.sort_by_key(|one| (one.since, one.order));
        self.unknown.truncate(NAMED_MAX);
        Ok(())
    }

    fn row(&mut self, row: &OrderRow, view: Result<View, Damage>) {
        let view = match view {
            Ok(view) => view,
            Err(damage) => {
                self.damaged.insert(row.id, damage.to_string());
                return;
            }
        };
        for open in view.order.in_flight() {
            if open.state != Open::Uncertain {
                continue;
            }
            self.uncertain += 1;
            self.unknown.push(Unknown {
                since: open.since,
                order: row.id,
                step: open.step,
                connection: open.plan.connection,
                case: view.order.open_step(open.step).and_then(|(_, _, case)| case),
            });
        }
        // The list is sorted and cut at the end; it must not grow with the database before that.
        if self.unknown.len() >= 8 * NAMED_MAX {
            self.unknown.sort_by_key(|one| (one.since, one.order));
            self.unknown.truncate(NAMED_MAX);
        }
    }

    async fn cases(&mut self, store: &dyn Store, tenant: Tenant) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let search = Search {
                attention: true,
                after,
                ..Search::of(tenant, PAGE)
            };
            let ids = store.search(&search).await?;
            after = ids.last().copied();
            let full = ids.len() == PAGE as usize;
            let wanted = Wanted {
                orders: ids,
                ..Wanted::default()
            };
            let rows = store.load(&wanted).await?.orders;
            whole::views(store, &rows, &mut |row, view| {
                let Ok(view) = view else { return };
                let words = status::attention(&view.order);
                for word in &words {
                    *self.attention.entry(*word).or_default() += 1;
                }
                if self.cases.len() < NAMED_MAX && !words.is_empty() {
                    self.cases.push(CaseOf {
                        tenant,
                        order: row.id,
                        words,
                        steps: view.order.to_settle().into_iter().collect(),
                    });
                }
            })
            .await?;
            let counted: u64 = self.attention.values().sum();
            if !full || counted > OPEN_MAX {
                return Ok(());
            }
        }
    }

    /// Alerts that the database gives cause for, each with what it is about.
    pub fn alerts(&self) -> Vec<(&'static str, String)> {
        let mut ringing = Vec::new();
        for (word, count) in &self.attention {
            ringing.push((word.as_str(), format!("{count} orders: `florin orders --attention`")));
        }
        if let Some(since) = self
            .backlog
            .oldest_due
            .filter(|since| is_older(*since, self.at, OUTBOX_OLD_S))
        {
            let age_s = self.at.millis_since(since) / 1_000;
            ringing.push((
                "outbox_old",
                format!("{} orders are due, the oldest for {age_s} s", self.backlog.due),
            ));
        }
        if let Some(since) = self
            .backlog
            .oldest_event
            .filter(|since| is_older(*since, self.at, BEHIND_S))
        {
            let age_s = self.at.millis_since(since) / 1_000;
            ringing.push((
                "reader_behind",
                format!("the oldest event that is in no list is {age_s} s old"),
            ));
        }
        if let Some(sick) = self.sick.first() {
            ringing.push((
                "endpoint_sick",
                format!(
                    "{} endpoints, among them {}: {}",
                    self.sick.len(),
                    sick.endpoint,
                    sick.last
                ),
            ));
        }
        if let Some((order, why)) = self.damaged.first_key_value() {
            ringing.push(("record_damaged", format!("{order}: {why}")));
        }
        ringing
    }
}

/// Whether an endpoint has taken nothing for too long.
async fn sick(store: &dyn Store, endpoint: &Endpoint, now: Timestamp) -> Result<Option<Sick>, Fault> {
    let health = health::of(store, endpoint, now).await?;
    let sick = health.failing_since.filter(|_| health.standing == Standing::Sick);
    Ok(sick.map(|since| Sick {
        endpoint: endpoint.id,
        tenant: endpoint.tenant,
        since,
        last: health.last_error.unwrap_or_default(),
    }))
}

/// Watches a node and its database.
pub struct Watch {
    engine: Arc<Engine>,
    state: Mutex<State>,
    turn: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct State {
    ringing: BTreeSet<&'static str>,
    turned_away: u64,
    full_until: Option<Instant>,
}

impl Watch {
    /// A watch over this engine and its database.
    pub fn new(engine: Arc<Engine>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::new(None),
        })
    }

    /// Looks every few seconds until `stop` is asked for.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut tidied = Instant::now();
        loop {
            self.gather().await;
            if tidied.elapsed() >= TIDY_EVERY {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.tidy() => {}
                }
                tidied = Instant::now();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Removes what is past its retention; what is left over when the database does not answer goes the next time.
    async fn tidy(&self) {
        match tidy::tidy(&**self.engine.store(), self.engine.now()).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "removed what is past its retention"),
            Err(fault) => tracing::warn!(%fault, "cannot remove what is past its retention"),
        }
    }

    /// Makes the gauges as young as anybody needs them.
    pub async fn gather(&self) {
        let mut looked = self.turn.lock().await;
        if looked.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let engine = &self.engine;
        match look(&**engine.store(), engine.directory(), engine.now()).await {
            Ok(seen) => {
                *looked = Some(Instant::now());
                self.note(&seen);
            }
            Err(fault) => tracing::warn!(%fault, "cannot look for what is stuck"),
        }
    }

    /// Alerts that ring now.
    pub fn ringing(&self) -> Vec<&'static str> {
        self.state().ringing.iter().copied().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, seen: &Seen) {
        let mut alerts = seen.alerts();
        alerts.extend(self.of_node());
        measure(seen);
        let mut state = self.state();
        for alert in &ALERTS {
            let what = alerts
                .iter()
                .find(|(name, _)| *name == alert.name)
                .map(|(_, what)| what);
            gauge!("florin_alert", "name" => alert.name).set(u32::from(what.is_some()));
            match what {
                Some(what) if state.ringing.insert(alert.name) => {
                    tracing::error!(
                        alert = alert.name,
                        what,
                        "{}: see its page in docs/runbook.md",
                        alert.says
                    );
                }
                None if state.ringing.remove(alert.name) => {
                    tracing::info!(alert = alert.name, "this is over: {}", alert.says);
                }
                Some(_) | None => {}
            }
        }
    }

    /// What only this node knows.
    fn of_node(&self) -> Vec<(&'static str, String)> {
        let health = self.engine.health();
        gauge!("florin_queue_depth").set(whole(health.queued as u64));
        gauge!("florin_calls_open").set(whole(health.calls as u64));
        counter!("florin_calls_turned_away_total").absolute(health.turned_away);
        let mut alerts = Vec::new();
        if let Some((order, why)) = self.engine.damaged().into_iter().next() {
            alerts.push(("record_damaged", format!("{order}: {why}")));
        }
        let mut state = self.state();
        if health.turned_away > state.turned_away {
            state.full_until = Some(Instant::now() + FULL_FOR);
            state.turned_away = health.turned_away;
        }
        if state.full_until.is_some_and(|until| until > Instant::now()) {
            alerts.push((
                "queue_full",
                format!("{} calls were turned away so far", health.turned_away),
            ));
        }
        alerts
    }
}

/// Sets the gauges of a look.
fn measure(seen: &Seen) {
    let backlog = &seen.backlog;
    let age = |since: Option<Timestamp>| {
        let ms = since.map_or(0, |since| seen.at.millis_since(since).max(0));
        whole(ms.unsigned_abs() / 1_000)
    };
    gauge!("florin_due_orders").set(whole(backlog.due));
    gauge!("florin_due_oldest_seconds").set(age(backlog.oldest_due));
    gauge!("florin_notices_open").set(whole(backlog.notices));
    gauge!("florin_notice_oldest_seconds").set(age(backlog.oldest_notice));
    gauge!("florin_deliveries_open").set(whole(backlog.deliveries));
    gauge!("florin_delivery_oldest_seconds").set(age(backlog.oldest_delivery));
    gauge!("florin_event_unread_oldest_seconds").set(age(backlog.oldest_event));
    gauge!("florin_uncertain_steps").set(whole(seen.uncertain));
    gauge!("florin_uncertain_oldest_seconds").set(age(seen.unknown.first().map(|one| one.since)));
    gauge!("florin_attention_orders").set(whole(backlog.attention));
    gauge!("florin_endpoints_sick").set(whole(seen.sick.len() as u64));
    gauge!("florin_endpoint_sick_oldest_seconds").set(age(seen.sick.iter().map(|sick| sick.since).min()));
}

/// A count as a gauge takes it.
fn whole(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alert_has_a_page_and_every_word_of_attention_is_an_alert() {
        let runbook = include_str!("../../../docs/runbook.md");
        for alert in &ALERTS {
            assert!(runbook.contains(&format!("## `{}`", alert.name)), "{}", alert.name);
        }
        let words = [
            Attention::StuckReversal,
            Attention::AmountMismatch,
            Attention::UncertainLong,
            Attention::NobodyToAsk,
        ];
        for word in words {
            assert!(ALERTS.iter().any(|alert| alert.name == word.as_str()), "{word:?}");
        }
    }

    #[test]
    fn alerts_ring_at_their_bounds_and_not_before() {
        let at = Timestamp::from_millis(1_800_000_000_000);
        let seen = |age_s: i64| Seen {
            at,
            backlog: Backlog {
                due: 1,
                oldest_due: Some(at.plus_seconds(-age_s)),
                ..Backlog::default()
            },
            ..Seen::default()
        };
        assert_eq!(seen(OUTBOX_OLD_S).alerts(), []);
        assert_eq!(seen(OUTBOX_OLD_S + 1).alerts()[0].0, "outbox_old");
        let behind = |age_s: i64| Seen {
            at,
            backlog: Backlog {
                oldest_event: Some(at.plus_seconds(-age_s)),
                ..Backlog::default()
            },
            ..Seen::default()
        };
        assert_eq!(behind(BEHIND_S).alerts(), []);
        assert_eq!(behind(BEHIND_S + 1).alerts()[0].0, "reader_behind");
        let needed = Seen {
            attention: [(Attention::StuckReversal, 2)].into(),
            ..Seen::default()
        };
        assert_eq!(needed.alerts()[0].0, "stuck_reversal");
    }
}
