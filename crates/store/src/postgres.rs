//! PostgreSQL 14 or newer: the database of one server or many.
//!
//! ```text
//! load, commit ──▶ lanes   one connection per commit at a time; every statement of a batch is sent at once, COMMIT included
//! everything else ─▶ others  a few more, so that a slow list does not hold up a sale
//! ```
//!
//! One statement per kind of row over array parameters, never one per row. Rows get their place in the event stream from the writing
//! transaction and a sequence, and readers stay below the oldest transaction that still runs, so they miss nothing although commits
//! overtake each other. A transaction that stays open anywhere in the server holds them up; ours end by themselves.
//!
//! TLS is not built in yet: a Unix socket, loopback, or a tunnel.

mod claims;
mod fault;
mod fold;
mod lane;
mod lists;
mod parts;
#[cfg(test)]
mod plans;
mod pool;
mod read;
mod records;
mod schema;
mod session;
mod tenants;
mod tls;
mod upkeep;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use florin_core::id::{DeliveryId, OrderId};
use florin_core::time::Timestamp;
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use self::pool::Pool;
use self::session::ANSWER;
use crate::tenants::Tenants;
use crate::{
    Answer, Backlog, BalanceRow, Batch, Claim, Cursor, DeliveryRow, DeliverySearch, EventHead, EventRow, Fault,
    FeedSearch, Fold, Found, Horizon, KeyRow, ListRecords, NoticeRow, OrderRow, Outcome, ProviderRef, Record,
    Retention, Search, Store, Tenant, Wanted, Which,
};

/// The level of the schema that this program knows.
pub const LEVEL: u32 = crate::migrate::POSTGRES.len() as u32;
/// Commits that run at once: one for each lane, and two lanes are the most that pay (`sale-ceiling.md`).
pub const LANES: usize = 2;
/// Connections for everything else.
pub const OTHERS: usize = 4;

/// Where the database is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://user:password@host/database`, or `host=/run/postgresql dbname=florin`. What leaves this machine says `sslmode`.
    pub url: String,
    /// See [`LANES`].
    pub lanes: usize,
    /// See [`OTHERS`].
    pub others: usize,
}

impl Settings {
    /// The shipped defaults for the database at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            lanes: LANES,
            others: OTHERS,
        }
    }
}

/// Orders on a server.
pub struct PostgresStore {
    lanes: Pool,
    others: Pool,
    tenants: Tenants,
    opened: Timestamp,
    oldest: lists::Oldest,
    looking: fold::Looking,
    /// Sessions that went away during a commit: whoever asks what became of it waits until they have ended.
    lost: Mutex<Vec<Backend>>,
}

/// The server's end of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Backend {
    pid: i32,
    /// When it began: a number alone may be given again.
    started: String,
}

/// Does something with a connection of a pool, within the time limit of an answer.
macro_rules! ask {
    ($pool:expr, |$session:ident| $work:expr) => {
        Box::pin(async move {
            let mut taken = $pool.take().await?;
            let $session = &mut taken.session;
            let done = timeout(ANSWER, $work)
                .await
                .map_err(|_| Fault::Unavailable("PostgreSQL did not answer in time".to_owned()))??;
            taken.give_back();
            Ok(done)
        })
    };
}

impl PostgresStore {
    /// Connects. The schema is [`Store::migrate`]'s business.
    pub async fn open(settings: &Settings) -> Result<Self, Fault> {
        let (url, authorities) = tls::read(&settings.url);
        let mut config: Config = url
            .parse()
            .map_err(|error| Fault::Refused(format!("the database address cannot be read: {error}")))?;
        let wanted = tls::is_wanted(&config, &url)?;
        let tls = wanted.then(|| tls::connector(authorities.as_deref())).transpose()?;
        config
            .ssl_mode(if wanted { SslMode::Require } else { SslMode::Disable })
            .application_name("florin")
            .keepalives_idle(KEEPALIVE)
            .tcp_user_timeout(DEAD_PEER);
        let others = Pool::new(config.clone(), tls.clone(), settings.others.max(1));
        let mut taken = others.take().await?;
        let opened = read::clock(&mut taken.session).await?;
        taken.give_back();
        Ok(Self {
            lanes: Pool::new(config, tls, settings.lanes.max(1)),
            others,
            tenants: Tenants::default(),
            opened,
            oldest: lists::Oldest::default(),
            looking: fold::Looking::default(),
            lost: Mutex::default(),
        })
    }

    fn lost(&self) -> std::sync::MutexGuard<'_, Vec<Backend>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits on a lane's connection, and notes the session if it is lost in it.
    async fn commit_on_lane(&self, batch: &Batch) -> Result<Outcome, Fault> {
        let numbers = tenants::numbers(&self.tenants, &self.others, lane::tenants_of(batch)).await?;
        let mut taken = self.lanes.take().await?;
        let backend = taken.session.backend.clone();
        let done = match timeout(ANSWER, lane::commit(&mut taken.session, &numbers, batch)).await {
            Ok(done) => done,
            Err(_) => Err(Fault::Unknown("PostgreSQL did not answer a commit in time".to_owned())),
        };
        match done {
            Ok(outcome) => {
                taken.give_back();
                Ok(outcome)
            }
            Err(fault) => {
                if matches!(fault, Fault::Unknown(_)) {
                    self.lost().push(backend);
                }
                Err(fault)
            }
        }
    }
}

/// A peer that says nothing for this long is asked whether it is there.
const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(10);
/// A peer that does not acknowledge for this long is gone.
const DEAD_PEER: std::time::Duration = std::time::Duration::from_secs(15);

impl Store for PostgresStore {
    fn load<'a>(&'a self, wanted: &'a Wanted) -> Answer<'a, Found> {
        // Lanes ask for orders, or for names; who asks for events alone walks over many, and does not stand in a lane's way.
        if wanted.is_events_alone() {
            return ask!(self.others, |session| lane::load(session, &self.tenants, wanted));
        }
        ask!(self.lanes, |session| lane::load(session, &self.tenants, wanted))
    }

    fn commit<'a>(&'a self, batch: &'a Batch) -> Answer<'a, Outcome> {
        Box::pin(self.commit_on_lane(batch))
    }

    fn was_committed<'a>(&'a self, batch: &'a Batch) -> Answer<'a, bool> {
        Box::pin(async move {
            let lost = self.lost().clone();
            let mut taken = self.others.take().await?;
            let backend = taken.session.backend.clone();
            let asked = timeout(ANSWER, async {
                lane::see_off(&mut taken.session, &lost).await?;
                self.lost().retain(|backend| !lost.contains(backend));
                let there = lane::was_committed(&mut taken.session, batch).await?;
                if there {
                    lane::flush_past(&mut taken.session).await?;
                }
                Ok(there)
            });
            match asked.await {
                Ok(Ok(there)) => {
                    taken.give_back();
                    Ok(there)
                }
                Ok(Err(fault)) => Err(fault),
                Err(_) => {
                    // It may wait for a standby itself: it is ended before the next question.
                    self.lost().push(backend);
                    Err(Fault::Unavailable(
                        "PostgreSQL did not say in time what became of a commit".to_owned(),
                    ))
                }
            }
        })
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Vec<OrderRow>> {
        ask!(self.others, |session| claims::orders(
            session,
            &self.tenants,
            claim,
            self.opened
        ))
    }

    fn inbox<'a>(&'a self, limit: u32) -> Answer<'a, Vec<NoticeRow>> {
        ask!(self.others, |session| lane::inbox(session, &self.tenants, limit))
    }

    fn events_of(&self, order: OrderId) -> Answer<'_, Vec<EventRow>> {
        ask!(self.others, |session| lists::events_of(session, &self.tenants, order))
    }

    fn events_after(&self, cursor: Cursor, limit: u32) -> Answer<'_, Vec<EventRow>> {
        ask!(self.others, |session| lists::events_after(
            session,
            &self.tenants,
            &self.oldest,
            cursor,
            limit
        ))
    }

    fn heads_after(&self, cursor: Cursor, limit: u32) -> Answer<'_, Vec<EventHead>> {
        ask!(self.others, |session| lists::heads_after(
            session,
            &self.tenants,
            &self.oldest,
            cursor,
            limit
        ))
    }

    fn events_at(&self, places: Vec<Cursor>) -> Answer<'_, Vec<EventRow>> {
        ask!(self.others, |session| lists::events_at(session, &self.tenants, &places))
    }

    fn horizon(&self) -> Answer<'_, Horizon> {
        ask!(self.others, |session| lists::horizon(session, &self.oldest))
    }

    fn orders_after(&self, after: Option<OrderId>, limit: u32) -> Answer<'_, Vec<OrderRow>> {
        ask!(self.others, |session| lists::orders_after(
            session,
            &self.tenants,
            after,
            limit
        ))
    }

    fn waiting(&self, after: Option<(Timestamp, OrderId)>, limit: u32) -> Answer<'_, Vec<OrderRow>> {
        ask!(self.others, |session| lists::waiting(
            session,
            &self.tenants,
            after,
            limit
        ))
    }

    fn search<'a>(&'a self, search: &'a Search) -> Answer<'a, Vec<OrderId>> {
        ask!(self.others, |session| lists::search(session, &self.tenants, search))
    }

    fn feed<'a>(&'a self, search: &'a FeedSearch) -> Answer<'a, Vec<EventRow>> {
        ask!(self.others, |session| lists::feed(session, &self.tenants, search))
    }

    fn order_of_ref<'a>(&'a self, reference: &'a ProviderRef) -> Answer<'a, Option<OrderId>> {
        ask!(self.others, |session| lists::order_of_ref(session, reference))
    }

    fn balances(&self, tenant: Tenant) -> Answer<'_, (Vec<BalanceRow>, Cursor)> {
        ask!(self.others, |session| fold::balances(session, &self.tenants, tenant))
    }

    fn cursor<'a>(&'a self, reader: &'a str) -> Answer<'a, Cursor> {
        ask!(self.others, |session| fold::cursor(session, reader))
    }

    fn fold(&self, fold: Fold) -> Answer<'_, bool> {
        Box::pin(async move {
            let numbers = tenants::numbers(&self.tenants, &self.others, fold::tenants_of(&fold)).await?;
            ask!(self.others, |session| fold::fold(
                session,
                &numbers,
                &fold,
                &self.looking
            ))
            .await
        })
    }

    fn claim_deliveries<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Vec<DeliveryRow>> {
        ask!(self.others, |session| claims::deliveries(
            session,
            &self.tenants,
            claim,
            self.opened
        ))
    }

    fn write_deliveries<'a>(&'a self, rows: &'a [DeliveryRow]) -> Answer<'a, ()> {
        Box::pin(async move {
            let numbers = tenants::numbers(&self.tenants, &self.others, rows.iter().map(|row| row.tenant)).await?;
            ask!(self.others, |session| fold::write_deliveries(session, &numbers, rows)).await
        })
    }

    fn deliveries<'a>(&'a self, search: &'a DeliverySearch) -> Answer<'a, Vec<DeliveryRow>> {
        ask!(self.others, |session| lists::deliveries(session, &self.tenants, search))
    }

    fn delivery(&self, tenant: Tenant, id: DeliveryId) -> Answer<'_, Option<DeliveryRow>> {
        ask!(self.others, |session| lists::delivery(
            session,
            &self.tenants,
            tenant,
            id
        ))
    }

    fn put<'a>(&'a self, records: &'a [Record], keys: &'a [KeyRow]) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let numbers = tenants::numbers(&self.tenants, &self.others, records::tenants_of(records, keys)).await?;
            ask!(self.others, |session| records::put(session, &numbers, records, keys)).await
        })
    }

    fn get<'a>(&'a self, which: &'a Which) -> Answer<'a, Option<Record>> {
        ask!(self.others, |session| records::get(session, &self.tenants, which))
    }

    fn list<'a>(&'a self, list: &'a ListRecords) -> Answer<'a, Vec<Record>> {
        ask!(self.others, |session| records::list(session, &self.tenants, list))
    }

    fn migrate(&self) -> Answer<'_, u32> {
        ask!(self.others, |session| schema::migrate(session))
    }

    fn level(&self) -> Answer<'_, u32> {
        ask!(self.others, |session| schema::level(session))
    }

    fn clock(&self) -> Answer<'_, Timestamp> {
        ask!(self.others, |session| read::clock(session))
    }

    fn tidy<'a>(&'a self, before: &'a Retention) -> Answer<'a, u64> {
        ask!(self.others, |session| upkeep::tidy(session, before))
    }

    fn backlog(&self, now: Timestamp) -> Answer<'_, Backlog> {
        ask!(self.others, |session| upkeep::backlog(session, now))
    }

    fn backup<'a>(&'a self, _: &'a Path) -> Answer<'a, ()> {
        Box::pin(async {
            Err(Fault::Refused(
                "PostgreSQL has its own tools for this: pg_basebackup with WAL archiving, or pg_dump for a copy as of one moment"
                    .to_owned(),
            ))
        })
    }
}
