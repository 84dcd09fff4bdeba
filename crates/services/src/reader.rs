//! The reader behind the commit: folds event rows into lists, balances, providers' references and webhook deliveries.
//!
//! It follows the event rows from a durable place, many rows a turn, and writes what it made of them together with the new place, so
//! that a crash repeats a turn instead of doubling it. Everything it writes can be made again from the events. Lists ask it to catch up
//! first, so they are exact when read.

mod made;
pub(crate) mod read;
pub(crate) mod stride;
#[cfg(test)]
mod tests;
mod young;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use florin_core::id::{DeliveryId, OrderId};
use florin_core::rail::Rail;
use florin_core::status;
use florin_store::{
    BOOKS, Cursor, DeliveryRow, DeliveryStatus, EventHead, EventRow, Fault, Marks, OrderRow, Store, Wanted,
};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::crash;
use crate::directory::Directory;
use crate::fresh::Committed;
use crate::marks;
use crate::notify::{stripe, words_of};
use crate::snapshot::{self, Damage, Named, event_ids};
use crate::view::View;
use made::{Made, Stand};
use read::{Read, Road};
use stride::{Stride, Then};
use young::{Young, Youth};

/// How far the clocks of two nodes may be apart before an endpoint misses an event that came after it.
const CLOCKS_S: i64 = 120;
/// Event rows read at a time.
const PAGE: usize = 1_000;
/// Rows folded between two looks at what else this thread has to do, at least.
const ROWS_IN_A_GO: usize = 64;
/// Pieces into which the largest turns are cut for that: a reader that is behind waits long after each, so it takes more rows in a go.
const GOES: usize = 32;
/// How long to rest when nothing rings, and after a fault.
const REST: Duration = Duration::from_millis(500);
/// Deliveries of a turn, about: they are written in one transaction, and each event goes to each endpoint of its tenant.
const DELIVERIES_MAX: usize = 8_192;
/// Deliveries that an event of an order makes at one endpoint, about.
const DELIVERIES_AN_EVENT: usize = 2;

/// How long a list waits for commits that were overtaken, and when it looks first; then less and less often. A commit takes milliseconds; what takes longer is
/// somebody else's, and a list without the last orders is better than none.
const OVERTAKEN: Duration = Duration::from_millis(500);
const OVERTAKEN_LOOK: Duration = Duration::from_millis(2);

/// Rings when it goes.
struct Ring<'a>(&'a Notify);

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Folds what lanes committed.
pub struct Reader {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    rails: &'static [&'static dyn Rail],
    /// Rung by lanes after a commit.
    committed: Arc<Committed>,
    /// Rung when there are deliveries to be made.
    deliveries: Arc<Notify>,
    turn: Mutex<Young>,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    rows: usize,
    /// There may be more.
    full: bool,
    /// Another node wrote what it made of the same rows first; it may have read fewer.
    overtaken: bool,
    /// How long it took, waiting for other turns of this process left out.
    took: Duration,
}

impl Reader {
    /// A reader that is rung by `committed` and rings `deliveries`.
    pub fn new(
        store: Arc<dyn Store>,
        directory: Arc<Directory>,
        rails: &'static [&'static dyn Rail],
        committed: Arc<Committed>,
        deliveries: Arc<Notify>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            directory,
            rails,
            committed,
            deliveries,
            turn: Mutex::new(Young::new(young::HALF)),
        })
    }

    /// The bell that lanes ring.
    pub fn committed(&self) -> &Committed {
        &self.committed
    }

    /// Follows the events until `stop` is asked for.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut stride = Stride::new(self.store.gathers());
        while !stop.is_cancelled() {
            let next = match self.step(stride.rows()).await {
                Ok(turn) => {
                    // Where somebody waits for webhooks nothing gathers.
                    let gathers = if self.directory.has_endpoints() {
                        Duration::ZERO
                    } else {
                        self.store.gathers()
                    };
                    stride.after(&turn, gathers)
                }
                Err(fault) => {
                    tracing::warn!(%fault, "cannot fold events; trying again");
                    stride.failed()
                }
            };
            let pause = async {
                match next {
                    Then::Again(rest) => tokio::time::sleep(rest).await,
                    Then::WhenRung(pause) => {
                        tokio::select! {
                            () = self.committed.rung() => {}
                            () = tokio::time::sleep(REST) => {}
                        }
                        tokio::time::sleep(pause).await;
                    }
                }
            };
            stop.run_until_cancelled(pause).await;
        }
    }

    /// Folds everything that was committed before this call. Where commits overtake each other, what was committed cannot be read in its
    /// order until those that began before it have ended: they are waited for.
    pub async fn catch_up(&self) -> Result<(), Fault> {
        let mut horizon = self.store.horizon().await?;
        let (next, end) = (horizon.next, Instant::now() + OVERTAKEN);
        let mut pause = OVERTAKEN_LOOK;
        loop {
            let mut rows_max = stride::ROWS_MAX;
            let mut turn = self.step(rows_max).await?;
            while turn.full || turn.overtaken {
                // Whoever is overtaken by small turns gets nowhere with large ones.
                rows_max = if turn.overtaken {
                    (rows_max / 4).max(stride::ROWS)
                } else {
                    rows_max
                };
                turn = self.step(rows_max).await?;
            }
            if horizon.closed >= next || Instant::now() >= end {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            horizon = self.store.horizon().await?;
        }
    }

    /// One turn, of at most so many rows.
    async fn step(&self, rows_max: usize) -> Result<Turn, Fault> {
        let mut young = self.turn.lock().await;
        let began = Instant::now();
        // An endpoint that somebody added on another node a moment ago is told of everything since.
        if let Err(error) = self.directory.refresh().await {
            tracing::warn!(%error, "cannot look for new webhook endpoints");
            return Err(Fault::Unavailable("the directory does not answer".into()));
        }
        let from = self.store.cursor(BOOKS).await?;
        let (mut to, mut made, mut turn) = (from, Made::default(), Turn::default());
        while turn.rows < rows_max {
            let page = (rows_max - turn.rows).min(PAGE);
            let mut rows = self
                .store
                .heads_after(to, u32::try_from(page).unwrap_or(u32::MAX))
                .await?;
            let found = rows.len();
            rows.truncate(self.fitting(&rows, made.deliveries.len()));
            turn.full = found == page || rows.len() < found;
            let Some(last) = rows.last() else { break };
            to = last.at;
            turn.rows += rows.len();
            let go = if found < page {
                ROWS_IN_A_GO
            } else {
                ROWS_IN_A_GO.max(rows_max / GOES)
            };
            self.fold_page(&rows, go, &mut young, &mut made).await?;
            if rows.len() < page {
                break;
            }
        }
        if turn.rows == 0 {
            return Ok(turn);
        }
        let fold = made.into_fold(from, to);
        // Rung whatever comes back: what was written is written when nobody waits for the answer any more, and when it is lost.
        let _rung = (!fold.deliveries.is_empty()).then(|| Ring(&self.deliveries));
        crash::point("before_fold");
        // Not written: another node read the same rows at the same time and was faster.
        turn.overtaken = !self.store.fold(fold).await?;
        crash::point("after_fold");
        turn.took = began.elapsed();
        if !turn.overtaken {
            metrics::counter!("florin_reader_rows_total").increment(turn.rows as u64);
        }
        Ok(turn)
    }

    /// How many of these rows a turn takes that has made so many deliveries: one at least.
    fn fitting(&self, rows: &[EventHead], made: usize) -> usize {
        if !self.directory.has_endpoints() {
            return rows.len();
        }
        let mut left = DELIVERIES_MAX.saturating_sub(made);
        let fit = rows.iter().take_while(|row| {
            let endpoints = if row.news {
                self.directory.endpoints(row.tenant).len()
            } else {
                0
            };
            let events = usize::try_from(row.count).unwrap_or(usize::MAX);
            let about = endpoints.saturating_mul(events).saturating_mul(DELIVERIES_AN_EVENT);
            let fits = about <= left;
            left = left.saturating_sub(about);
            fits
        });
        fit.count().max(1)
    }

    async fn fold_page(&self, rows: &[EventHead], go: usize, young: &mut Young, made: &mut Made) -> Result<(), Fault> {
        let mut said = self.said(rows, go).await?.into_iter();
        let mut known = Vec::with_capacity(rows.len());
        for some in rows.chunks(go) {
            let glances = some
                .iter()
                .zip(&mut said)
                .map(|(row, read)| read.map(|read| glance(row, read, young)));
            known.extend(glances);
            tokio::task::yield_now().await;
        }
        let asked = known.iter().zip(rows);
        let mut wanted: Vec<OrderId> = asked
            .filter(|(known, _)| matches!(known, Ok((_, None))))
            .map(|(_, row)| row.order)
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let orders = self.orders(wanted).await?;
        for (at, (row, known)) in rows.iter().zip(known).enumerate() {
            made.feed(row);
            // A row that does not read stops nobody else: its order is frozen and reported where it is read.
            let folded = known.and_then(|(read, youth)| self.fold_row(row, read, youth, &orders, made));
            if let Err(damage) = folded {
                tracing::error!(order = %row.order, version = row.version, %damage, "an event row does not read");
            }
            if at % go == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// What these rows say: from memory where a lane of this process wrote them, the others from the database.
    async fn said(&self, rows: &[EventHead], go: usize) -> Result<Vec<Result<Read, Damage>>, Fault> {
        let fresh = self.committed.take(rows.iter().map(|row| &row.hash));
        // A program that checks itself reads some of the others too, and compares.
        let checked = |row: &EventHead| cfg!(debug_assertions) && row.at.row.is_multiple_of(2);
        let unread = rows
            .iter()
            .zip(&fresh)
            .filter(|(row, fresh)| fresh.is_none() || checked(row));
        let places: Vec<Cursor> = unread.map(|(row, _)| row.at).collect();
        let mut stored = HashMap::with_capacity(places.len());
        if !places.is_empty() {
            stored.extend(self.store.events_at(places).await?.into_iter().map(|row| (row.at, row)));
        }
        let mut said = Vec::with_capacity(rows.len());
        for (row, fresh) in rows.iter().zip(fresh) {
            said.push(match (fresh, stored.get(&row.at)) {
                (Some(fresh), Some(row)) => {
                    debug_assert_eq!(Ok(&*fresh), Read::of(row).as_ref(), "what was written is what is read");
                    Ok(*fresh)
                }
                (Some(fresh), None) => Ok(*fresh),
                (None, Some(row)) => Read::of(row),
                (None, None) => return Err(Fault::Damaged(row.order, "an event row of it went away".to_owned())),
            });
            if said.len().is_multiple_of(go) {
                tokio::task::yield_now().await;
            }
        }
        Ok(said)
    }

    /// Orders of which the rows alone do not say enough.
    async fn orders(&self, wanted: Vec<OrderId>) -> Result<HashMap<OrderId, Result<View, Damage>>, Fault> {
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let wanted = Wanted {
            details: wanted.clone(),
            orders: wanted,
            ..Wanted::default()
        };
        let found = self.store.load(&wanted).await?;
        let mut events: HashMap<OrderId, Vec<EventRow>> = HashMap::new();
        for row in found.details {
            events.entry(row.order).or_default().push(row);
        }
        let whole = |row: OrderRow| {
            let events = events.get(&row.id).map_or(&[][..], Vec::as_slice);
            (row.id, snapshot::read_whole(&row, events))
        };
        Ok(found.orders.into_iter().map(whole).collect())
    }

    fn fold_row(
        &self,
        row: &EventHead,
        read: Read,
        youth: Option<Arc<Youth>>,
        orders: &HashMap<OrderId, Result<View, Damage>>,
        made: &mut Made,
    ) -> Result<(), Damage> {
        for posting in &read.postings {
            made.post(row.tenant, posting);
        }
        self.deliver(row, &read.named, made);
        let details = read.details;
        let seen;
        let roads: &[(u8, Road)] = match (&youth, orders.get(&row.order)) {
            (Some(youth), _) => {
                let stand = Stand {
                    version: youth.version,
                    status: youth.status.clone(),
                    attention: false,
                    created_at: youth.created_at,
                    marks: read
                        .marks
                        .and(Marks::LINES.when(details.as_ref().is_some_and(|details| details.lines))),
                };
                made.list(row, stand, details);
                &youth.roads
            }
            (None, Some(Ok(view))) => {
                let order = &view.order;
                let stand = Stand {
                    version: order.version,
                    status: status::word(order).as_str().to_owned(),
                    attention: !status::attention(order).is_empty(),
                    created_at: order.created_at,
                    marks: marks::of(view),
                };
                made.list(row, stand, details);
                seen = Vec::from_iter(order.attempts().map(|(_, attempt)| {
                    let road = Road {
                        connection: attempt.plan.connection,
                        rail: attempt.plan.rail.clone(),
                    };
                    (attempt.number, road)
                }));
                &seen
            }
            (None, Some(Err(damage))) => return Err(damage.clone()),
            (None, None) => return Err(Damage("its order has no row".into())),
        };
        for (attempt, name, id) in read.learned {
            let road = roads.iter().find(|(number, _)| *number == attempt);
            if let Some((_, road)) = road
                && self.refs_of(&road.rail).contains(&&*name)
            {
                made.refer(row.order, road.connection, name, id);
            }
        }
        Ok(())
    }

    fn deliver(&self, row: &EventHead, named: &[Named], made: &mut Made) {
        let endpoints = self.directory.endpoints(row.tenant);
        if endpoints.is_empty() {
            return;
        }
        for (id, one) in event_ids(row.order, named).into_iter().zip(named) {
            for endpoint in endpoints
                .iter()
                .filter(|endpoint| endpoint.enabled && row.time.plus_seconds(CLOCKS_S) >= endpoint.created_at)
            {
                for (event, name) in words_of(endpoint, &id, &one.name, |name| stripe::wants(&endpoint.events, name)) {
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
    }

    fn refs_of(&self, rail: &str) -> &'static [&'static str] {
        self.rails
            .iter()
            .map(|known| known.table())
            .find(|table| table.name == rail)
            .map_or(&[], |table| table.refs)
    }
}

/// How an order stands after a row, if the rows alone say so.
fn glance(row: &EventHead, mut read: Read, young: &mut Young) -> (Read, Option<Arc<Youth>>) {
    let first = row.version == row.count;
    let youth = if first {
        Some(Arc::new(Youth {
            version: 0,
            created_at: row.time,
            status: String::new(),
            roads: Vec::new(),
        }))
    } else {
        young.take(&row.order)
    };
    let youth = youth
        .filter(|youth| youth.version + row.count == row.version && read.calm)
        .map(|mut kept| {
            let youth = Arc::make_mut(&mut kept);
            youth.version = row.version;
            youth.roads.append(&mut read.roads);
            let words = read
                .named
                .iter()
                .rev()
                .filter_map(|one| one.name.strip_prefix("order."));
            if let Some(status) = words.map(str::to_owned).next() {
                youth.status = status;
            }
            kept
        })
        .filter(|youth| !youth.status.is_empty());
    if let Some(youth) = &youth {
        young.put(row.order, Arc::clone(youth));
    }
    (read, youth)
}
