//! The reader behind the commit: folds event rows into lists, balances, providers' references and webhook deliveries.
//!
//! It follows the event rows from a durable place, many rows a turn, and writes what it made of them together with the new place, so
//! that a crash repeats a turn instead of doubling it. Everything it writes can be made again from the events. Lists ask it to catch up
//! first, so they are exact when read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use florin_core::id::{ConnectionId, DeliveryId, OrderId};
use florin_core::ledger::{Posting, PostingPhase};
use florin_core::rail::{Memo, Rail};
use florin_core::status;
use florin_core::time::Timestamp;
use florin_store::{
    BOOKS, BalanceRow, DeliveryRow, DeliveryStatus, EventRow, Fault, FeedRow, Fold, ListingRow, OrderRow, ProviderRef,
    Store, Tenant, Wanted,
};
use serde::Deserialize;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use crate::crash;
use crate::directory::{Dialect, Directory, Endpoint};
use crate::notify::stripe;
use crate::snapshot::{self, Named, event_ids};

/// Event rows of one turn: large, since a turn costs a transaction and shares the pages that it dirties.
const PAGE: u32 = 2_000;
/// Between two turns, unless a page was full: batches small turns while orders come one by one.
const BETWEEN: Duration = Duration::from_millis(50);
/// How long to rest when nothing rings.
const REST: Duration = Duration::from_millis(500);

/// Folds what lanes committed.
pub struct Reader {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    rails: &'static [&'static dyn Rail],
    /// Rung by lanes after a commit.
    committed: Arc<Notify>,
    /// Rung when there are deliveries to be made.
    deliveries: Arc<Notify>,
    turn: Mutex<()>,
}

impl Reader {
    /// A reader that is rung by `committed` and rings `deliveries`.
    pub fn new(
        store: Arc<dyn Store>,
        directory: Arc<Directory>,
        rails: &'static [&'static dyn Rail],
        committed: Arc<Notify>,
        deliveries: Arc<Notify>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            directory,
            rails,
            committed,
            deliveries,
            turn: Mutex::new(()),
        })
    }

    /// Follows the events until `stop` is asked for.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.step().await {
                Ok(rows) if rows == PAGE as usize => continue,
                Ok(_) => {}
                Err(fault) => tracing::warn!(%fault, "cannot fold events; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.committed.notified() => {}
                () = tokio::time::sleep(REST) => {}
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// Folds everything that was committed before this call.
    pub async fn catch_up(&self) -> Result<(), Fault> {
        while self.step().await? == PAGE as usize {}
        Ok(())
    }

    /// One turn: answers how many rows it read.
    async fn step(&self) -> Result<usize, Fault> {
        let _alone = self.turn.lock().await;
        // An endpoint that somebody added on another node a moment ago is told of everything since.
        if let Err(error) = self.directory.refresh().await {
            tracing::warn!(%error, "cannot look for new webhook endpoints");
            return Err(Fault::Unavailable("the directory does not answer".into()));
        }
        let from = self.store.cursor(BOOKS).await?;
        let rows = self.store.events_after(from, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(0) };
        let to = last.at;
        let orders = self.orders(&rows).await?;
        let mut made = Made::default();
        for row in &rows {
            // A row that does not read stops nobody else: its order is frozen and reported where it is read.
            if let Err(damage) = self.fold_row(row, &orders, &mut made) {
                tracing::error!(order = %row.order, version = row.version, %damage, "an event row does not read");
            }
        }
        let fold = made.into_fold(from, to, &rows);
        let delivers = !fold.deliveries.is_empty();
        crash::point("before_fold");
        // Not written: another node read the same rows at the same time and was faster.
        let folded = self.store.fold(&fold).await?;
        crash::point("after_fold");
        if folded && delivers {
            self.deliveries.notify_one();
        }
        metrics::counter!("florin_reader_rows_total").increment(rows.len() as u64);
        Ok(rows.len())
    }

    /// Orders of which the rows alone do not say enough.
    async fn orders(&self, rows: &[EventRow]) -> Result<HashMap<OrderId, OrderRow>, Fault> {
        let mut wanted: Vec<OrderId> = rows
            .iter()
            .filter(|row| Glance::of(row).is_none_or(|glance| !glance.is_enough(row)))
            .map(|row| row.order)
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self
            .store
            .load(&Wanted {
                orders: wanted,
                ..Wanted::default()
            })
            .await?;
        Ok(found.orders.into_iter().map(|row| (row.id, row)).collect())
    }

    fn fold_row(
        &self,
        row: &EventRow,
        orders: &HashMap<OrderId, OrderRow>,
        made: &mut Made,
    ) -> Result<(), snapshot::Damage> {
        let glance = Glance::of(row).ok_or_else(|| snapshot::Damage("its body does not read".into()))?;
        let named = Named::of(row)?;
        let postings: Vec<Posting> = match &row.postings {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| snapshot::Damage(format!("its postings do not read: {error}")))?,
            None => Vec::new(),
        };
        let view = match orders.get(&row.order) {
            Some(order) => Some(snapshot::read(order, Arc::default())?.0),
            None => None,
        };
        let word = match &view {
            Some(view) => Some(status::word(&view.order).as_str().to_owned()),
            None => named
                .iter()
                .rev()
                .find_map(|one| one.name.strip_prefix("order.").map(str::to_owned)),
        };
        if let Some(status) = word {
            let attention = view
                .as_ref()
                .is_some_and(|view| !status::attention(&view.order).is_empty());
            let created_at = orders.get(&row.order).map_or(row.time, |order| order.created_at);
            made.list(row, &glance, status, attention, created_at);
        }
        for (attempt, memo) in glance
            .l
            .iter()
            .filter_map(|(whose, memo)| Some((whose.parse::<u8>().ok()?, memo)))
        {
            let plan = glance.plan(attempt).or_else(|| {
                let (_, attempt) = view.as_ref()?.order.attempt(attempt)?;
                Some((attempt.plan.connection, attempt.plan.rail.clone()))
            });
            if let Some((connection, rail)) = plan {
                made.refer(row.order, connection, self.refs_of(&rail), memo);
            }
        }
        for posting in &postings {
            made.post(row.tenant, posting);
        }
        let endpoints = self.directory.endpoints(row.tenant);
        for (id, one) in event_ids(row.order, &named).into_iter().zip(&named) {
            for endpoint in endpoints
                .iter()
                .filter(|endpoint| endpoint.enabled && row.time >= endpoint.created_at)
            {
                for (event, name) in told(endpoint, &id, &one.name) {
                    made.deliveries.push(DeliveryRow {
                        id: DeliveryId::from_uuid(self.directory.new_uuid()),
                        tenant: row.tenant,
                        endpoint: endpoint.id,
                        order: row.order,
                        event,
                        name,
                        status: DeliveryStatus::Pending,
                        tries: "[]".to_owned(),
                        due: Some(self.directory.now()),
                        created_at: self.directory.now(),
                    });
                }
            }
        }
        Ok(())
    }

    fn refs_of(&self, rail: &str) -> &'static [&'static str] {
        self.rails
            .iter()
            .map(|known| known.table())
            .find(|table| table.name == rail)
            .map_or(&[], |table| table.refs)
    }
}

/// What an endpoint is told of an event: its id and name in the endpoint's own words, each as a delivery of its own.
fn told(endpoint: &Endpoint, id: &str, name: &str) -> Vec<(String, String)> {
    let wants = |name: &str| stripe::wants(&endpoint.events, name);
    match endpoint.dialect {
        Dialect::Florin if wants(name) => vec![(id.to_owned(), name.to_owned())],
        Dialect::Florin => Vec::new(),
        Dialect::Stripe => {
            let names = stripe::names(name).iter().enumerate().filter(|(_, name)| wants(name));
            names
                .map(|(index, name)| (stripe::id(id, index), (*name).to_owned()))
                .collect()
        }
    }
}

/// What one turn made.
#[derive(Default)]
struct Made {
    listings: BTreeMap<OrderId, ListingRow>,
    refs: BTreeMap<ProviderRef, OrderId>,
    balances: BTreeMap<(Tenant, ConnectionId, String, String), BalanceRow>,
    deliveries: Vec<DeliveryRow>,
}

impl Made {
    fn list(&mut self, row: &EventRow, glance: &Glance<'_>, status: String, attention: bool, created_at: Timestamp) {
        let listing = self.listings.entry(row.order).or_insert_with(|| ListingRow {
            order: row.order,
            tenant: row.tenant,
            status: String::new(),
            customer: None,
            attention: false,
            created_at,
            metadata: Vec::new(),
        });
        listing.status = status;
        listing.attention = attention;
        if let Some(details) = &glance.d {
            listing.customer = details.customer.clone();
            listing.metadata = details.metadata.clone().into_iter().collect();
        }
    }

    fn refer(&mut self, order: OrderId, connection: ConnectionId, names: &[&str], memo: &Memo) {
        for name in names {
            if let Some(id) = memo.get(*name) {
                self.refs.insert(
                    ProviderRef {
                        connection,
                        kind: (*name).to_owned(),
                        id: id.clone(),
                    },
                    order,
                );
            }
        }
    }

    fn post(&mut self, tenant: Tenant, posting: &Posting) {
        let minor = i128::from(posting.amount.minor());
        let (posted, pending) = match posting.phase {
            PostingPhase::Posted => (minor, 0),
            PostingPhase::Pended => (0, minor),
            PostingPhase::Released => (0, -minor),
        };
        for (account, sign) in [(posting.debit, 1), (posting.credit, -1)] {
            let currency = posting.amount.currency();
            let account = account.as_str().to_owned();
            let key = (tenant, posting.connection, account.clone(), currency.to_string());
            let row = self.balances.entry(key).or_insert_with(|| BalanceRow {
                tenant,
                connection: posting.connection,
                account,
                currency,
                posted: 0,
                pending: 0,
            });
            row.posted += sign * posted;
            row.pending += sign * pending;
        }
    }

    fn into_fold(self, from: florin_store::Cursor, to: florin_store::Cursor, rows: &[EventRow]) -> Fold {
        let feed = rows
            .iter()
            .filter(|row| row.news.is_some() || row.postings.is_some())
            .map(|row| FeedRow {
                tenant: row.tenant,
                at: row.at,
                time: row.time,
                money: row.postings.is_some(),
            });
        Fold {
            reader: BOOKS.to_owned(),
            from,
            to,
            listings: self.listings.into_values().collect(),
            refs: self.refs.into_iter().collect(),
            balances: self
                .balances
                .into_values()
                .filter(|row| row.posted != 0 || row.pending != 0)
                .collect(),
            deliveries: self.deliveries,
            feed: feed.collect(),
        }
    }
}

/// What a reader needs of an event row's body; the rest is passed over.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(borrow)]
    e: Vec<GlanceEvent<'a>>,
    #[serde(default)]
    l: BTreeMap<String, Memo>,
    #[serde(default)]
    d: Option<GlanceDetails>,
}

#[derive(Deserialize)]
struct GlanceEvent<'a> {
    k: &'a str,
    #[serde(default)]
    attempt: Option<u8>,
    #[serde(default)]
    plan: Option<GlancePlan>,
}

#[derive(Deserialize)]
struct GlancePlan {
    connection: ConnectionId,
    rail: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GlanceDetails {
    customer: Option<String>,
    metadata: BTreeMap<String, String>,
}

impl<'a> Glance<'a> {
    fn of(row: &'a EventRow) -> Option<Self> {
        serde_json::from_str(&row.body).ok()
    }

    fn plan(&self, attempt: u8) -> Option<(ConnectionId, String)> {
        let started = self
            .e
            .iter()
            .find(|event| event.attempt == Some(attempt) && event.plan.is_some())?;
        started.plan.as_ref().map(|plan| (plan.connection, plan.rail.clone()))
    }

    /// Whether the row alone says status, attention and references, as it does for the registration of an order: nothing that needs a
    /// person can have happened before its third event. Everything else looks at the order.
    fn is_enough(&self, row: &EventRow) -> bool {
        let calm = |event: &GlanceEvent<'_>| matches!(event.k, "created" | "started");
        row.version == row.count && self.e.iter().all(calm) && self.l.is_empty()
    }
}
