//! One connection to PostgreSQL: how it is set up, its prepared statements.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Backend;
use crate::Fault;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for an answer: longer than the server's own limits below, which end a statement with a reason.
pub(super) const ANSWER: Duration = Duration::from_secs(20);
/// Statements kept prepared; lists make some with their filters.
const STATEMENTS: usize = 256;
/// PostgreSQL 14.
const OLDEST: i32 = 140_000;

/// The plan of every statement here is a walk along an index. Said once, so that neither missing statistics nor a large parameter
/// changes it, and no statement is planned twice. A lock, a statement, an unfinished transaction and a dead peer all have an end.
pub(super) const SETTINGS: &str = "
    set plan_cache_mode = force_generic_plan;
    set jit = off;
    set enable_seqscan = off;
    set enable_bitmapscan = off;
    set enable_hashjoin = off;
    set enable_mergejoin = off;
    set default_transaction_isolation = 'read committed';
    set default_transaction_read_only = off;
    set lock_timeout = '5s';
    set statement_timeout = '15s';
    set idle_in_transaction_session_timeout = '10s';
    set tcp_keepalives_idle = 10;
    set tcp_keepalives_interval = 5;
    set tcp_keepalives_count = 3;
    set client_min_messages = warning;
";

/// What a commit needs of the server, as it stands in this session.
const PROMISES: &str = "
    select pg_backend_pid(), (select backend_start::text from pg_stat_activity where pid = pg_backend_pid()),
           current_setting('server_version_num')::integer, current_setting('synchronous_commit'),
           current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery()";

/// Where this session's transaction numbers begin in the stream, after making sure that the stream never went backwards: a database
/// that was restored into another server goes on above everything it holds.
const BASE: &str = "
    with standing as (
        select base, coalesce((select max(txn) from events), 0) as newest,
               pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next from stream)
    update stream set base = case when standing.base + standing.next > standing.newest then stream.base else standing.newest end
    from standing returning stream.base";
const SETTLED: &str = "
    select base from stream where base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint > coalesce((select max(txn) from events), 0)";

/// Opens a connection, and lets it run until either side ends it.
async fn open<T>(config: &Config, tls: T) -> Result<Client, Fault>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to PostgreSQL ended");
        }
    });
    Ok(client)
}

/// A connection that is set up.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) backend: Backend,
    statements: HashMap<String, Statement>,
    base: Option<i64>,
}

impl Session {
    pub(super) async fn connect(config: &Config, tls: Option<&MakeRustlsConnect>) -> Result<Self, Fault> {
        let slow = |what: &str| Fault::Unavailable(format!("PostgreSQL did not {what} in time"));
        let client = match tls {
            Some(tls) => timeout(CONNECT, open(config, tls.clone())).await,
            None => timeout(CONNECT, open(config, NoTls)).await,
        };
        let client = client.map_err(|_| slow("accept a connection"))??;
        let mut session = Self {
            client,
            backend: Backend::default(),
            statements: HashMap::new(),
            base: None,
        };
        timeout(ANSWER, session.set_up())
            .await
            .map_err(|_| slow("set up a session"))??;
        Ok(session)
    }

    async fn set_up(&mut self) -> Result<(), Fault> {
        self.client.batch_execute(SETTINGS).await?;
        let row = self.client.query_one(PROMISES, &[]).await?;
        self.backend = Backend {
            pid: row.try_get(0)?,
            started: row.try_get::<_, Option<String>>(1)?.unwrap_or_default(),
        };
        let version: i32 = row.try_get(2)?;
        if version < OLDEST {
            return Err(Fault::Unavailable(format!(
                "PostgreSQL 14 or newer is needed; this is {}",
                version / 10_000
            )));
        }
        if row.try_get(6)? {
            return Err(Fault::Unavailable(
                "this PostgreSQL is a standby; name the primary".to_owned(),
            ));
        }
        // What is answered must be on a disk. A stronger setting (a synchronous standby) is the operator's and stays.
        if ["off", "local"].contains(&row.try_get::<_, &str>(3)?) {
            self.client.batch_execute("set synchronous_commit = on").await?;
        }
        for (setting, value) in [
            ("fsync", row.try_get::<_, &str>(4)?),
            ("full_page_writes", row.try_get::<_, &str>(5)?),
        ] {
            if value != "on" {
                tracing::warn!(
                    setting,
                    value,
                    "PostgreSQL may lose acknowledged payments when the machine fails; switch it on"
                );
            }
        }
        Ok(())
    }

    /// A prepared statement.
    pub(super) async fn statement(&mut self, sql: &str) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) async fn query(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query(&statement, values).await?)
    }

    /// The row of a query that always has one.
    pub(super) async fn only(&mut self, sql: &str) -> Result<Row, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query_one(&statement, &[]).await?)
    }

    pub(super) async fn execute(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.execute(&statement, values).await?)
    }

    /// What is added to this server's transaction numbers.
    pub(super) async fn base(&mut self) -> Result<i64, Fault> {
        if let Some(base) = self.base {
            return Ok(base);
        }
        let base = match self.client.query_opt(SETTLED, &[]).await? {
            Some(row) => row.try_get(0)?,
            None => self.client.query_one(BASE, &[]).await?.try_get(0)?,
        };
        self.base = Some(base);
        Ok(base)
    }
}
