//! A few connections, each used by one call at a time. A call that finds them all busy waits for one; a server that is away is asked
//! again with growing pauses, and calls in between are told at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::session::Session;
use crate::Fault;

/// First and longest pause between attempts to connect.
const PAUSE_MS: (u64, u64) = (50, 2_000);
/// Longest wait for a free connection.
const BUSY: Duration = Duration::from_secs(10);

pub(super) struct Pool {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    free: Semaphore,
    idle: Mutex<Vec<Session>>,
    away: Mutex<Option<Away>>,
}

/// A server that could not be reached.
struct Away {
    why: String,
    pause_ms: u64,
    until: Instant,
}

/// A connection in use. It goes back to the pool by [`Taken::give_back`] only: whoever met an error or was interrupted drops it, which
/// closes it, so that nobody inherits half a transaction.
pub(super) struct Taken<'a> {
    pub(super) session: Session,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Taken<'_> {
    pub(super) fn give_back(self) {
        if !self.session.client.is_closed() {
            locked(&self.pool.idle).push(self.session);
        }
    }
}

impl Pool {
    pub(super) fn new(config: Config, tls: Option<MakeRustlsConnect>, size: usize) -> Self {
        Self {
            config,
            tls,
            free: Semaphore::new(size),
            idle: Mutex::default(),
            away: Mutex::default(),
        }
    }

    /// A connection that was alive a moment ago.
    pub(super) async fn take(&self) -> Result<Taken<'_>, Fault> {
        let permit = timeout(BUSY, self.free.acquire()).await;
        let busy = || Fault::Unavailable("all connections to PostgreSQL are busy".to_owned());
        let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        loop {
            let Some(session) = locked(&self.idle).pop() else { break };
            if !session.client.is_closed() {
                return Ok(Taken {
                    session,
                    pool: self,
                    _permit: permit,
                });
            }
        }
        Ok(Taken {
            session: self.connect().await?,
            pool: self,
            _permit: permit,
        })
    }

    async fn connect(&self) -> Result<Session, Fault> {
        let mut pause_ms = PAUSE_MS.0;
        if let Some(away) = &*locked(&self.away) {
            if Instant::now() < away.until {
                return Err(Fault::Unavailable(away.why.clone()));
            }
            pause_ms = (away.pause_ms * 2).min(PAUSE_MS.1);
        }
        let session = Session::connect(&self.config, self.tls.as_ref()).await;
        *locked(&self.away) = match &session {
            Ok(_) => None,
            Err(fault) => {
                let why = match fault {
                    Fault::Unavailable(why) => why.clone(),
                    other => other.to_string(),
                };
                Some(Away {
                    why,
                    pause_ms,
                    until: Instant::now() + Duration::from_millis(pause_ms),
                })
            }
        };
        session
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
