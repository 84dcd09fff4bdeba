//! What the bench asks a PostgreSQL server itself: where its log stands, and how long one bare commit takes.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio_postgres::{Client, NoTls, Statement};

/// A session of our own.
pub(crate) struct Session {
    client: Client,
}

impl Session {
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls)
            .await
            .context("cannot reach PostgreSQL")?;
        // Ends with the client; what breaks it is reported by the next query.
        tokio::spawn(async move {
            let _ended = connection.await;
        });
        Ok(Self { client })
    }

    /// Position in the write-ahead log, in bytes since the cluster was made.
    pub(crate) async fn wal_bytes(&self) -> anyhow::Result<u64> {
        let row = self
            .client
            .query_one("select (pg_current_wal_insert_lsn() - '0/0')::bigint", &[])
            .await?;
        Ok(u64::try_from(row.get::<_, i64>(0))?)
    }

    /// Process id of the server behind this session; only of use when it runs on this machine.
    pub(crate) async fn backend_pid(&self) -> anyhow::Result<u32> {
        let row = self.client.query_one("select pg_backend_pid()", &[]).await?;
        Ok(u32::try_from(row.get::<_, i32>(0))?)
    }

    /// Size of the database on disk.
    pub(crate) async fn size_bytes(&self) -> anyhow::Result<u64> {
        let row = self
            .client
            .query_one("select pg_database_size(current_database())", &[])
            .await?;
        Ok(u64::try_from(row.get::<_, i64>(0))?)
    }

    /// Makes the table that bare commits go to.
    pub(crate) async fn prepare_bare_commit(&self) -> anyhow::Result<Statement> {
        self.client
            .batch_execute("create table bare_commit (id bigint generated always as identity primary key, note text)")
            .await?;
        Ok(self
            .client
            .prepare("insert into bare_commit (note) values ('one row, one commit')")
            .await?)
    }

    /// Commits one row and says how long that took.
    pub(crate) async fn bare_commit(&self, statement: &Statement) -> anyhow::Result<Duration> {
        let start = Instant::now();
        self.client.execute(statement, &[]).await?;
        Ok(start.elapsed())
    }
}
