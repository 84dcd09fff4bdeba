//! A transaction whose statements are known beforehand: all of it goes out at once, and its answers come back together.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Statement};

use super::session::Session;
use crate::Fault;

/// Statements of one transaction.
const PARTS_MAX: usize = 6;

/// The values of a statement.
pub(super) type Values<'a> = Vec<Box<dyn ToSql + Sync + Send + 'a>>;

/// A column's values, one for each row.
pub(super) fn boxed<'a, T: ToSql + Sync + Send + 'a>(
    values: impl Iterator<Item = T>,
) -> Box<dyn ToSql + Sync + Send + 'a> {
    Box::new(values.collect::<Vec<T>>())
}

/// A statement and its values, ready to be sent.
pub(super) struct Part<'a> {
    statement: Statement,
    values: Values<'a>,
}

impl<'a> Part<'a> {
    pub(super) async fn new(session: &mut Session, sql: &str, values: Values<'a>) -> Result<Self, Fault> {
        Ok(Self {
            statement: session.statement(sql).await?,
            values,
        })
    }
}

/// Where a transaction failed. It was not carried out, unless the failure is silence.
pub(super) enum Failed {
    /// At one of its statements.
    Statement(Error),
    /// At COMMIT.
    Commit(Error),
}

/// Sends BEGIN and a first part in one go, and answers how many rows that met.
pub(super) async fn begin(session: &Session, part: &Part<'_>) -> Result<u64, Error> {
    let values: Vec<&(dyn ToSql + Sync)> = part.values.iter().map(|value| &**value as _).collect();
    let (begun, met) = tokio::join!(
        biased;
        session.client.batch_execute("begin"),
        session.client.execute(&part.statement, &values),
    );
    begun?;
    met
}

/// Sends BEGIN, the parts and COMMIT in one go.
pub(super) async fn send(session: &Session, parts: &[Part<'_>]) -> Result<(), Failed> {
    go(session, Some("begin"), parts).await
}

/// Sends the parts of a transaction that has begun, and COMMIT, in one go.
pub(super) async fn finish(session: &Session, parts: &[Part<'_>]) -> Result<(), Failed> {
    go(session, None, parts).await
}

/// The futures below write to the connection when they are first polled, in order.
async fn go(session: &Session, begin: Option<&str>, parts: &[Part<'_>]) -> Result<(), Failed> {
    assert!(
        parts.len() <= PARTS_MAX,
        "{} parts: a part would be left out",
        parts.len()
    );
    let client = &session.client;
    let sound = AtomicBool::new(true);
    let sent = async |part: Option<&Part<'_>>| -> Result<(), Error> {
        let Some(part) = part else { return Ok(()) };
        let values: Vec<&(dyn ToSql + Sync)> = part.values.iter().map(|value| &**value as _).collect();
        let done = client.execute(&part.statement, &values).await;
        if done.is_err() {
            sound.store(false, Ordering::Relaxed);
        }
        done.map(drop)
    };
    let end = async {
        // A value that could not be written was found before this is polled: then the rest must not be committed without it.
        let word = if sound.load(Ordering::Relaxed) {
            "commit"
        } else {
            "rollback"
        };
        client.batch_execute(word).await
    };
    let begin = async {
        match begin {
            Some(begin) => client.batch_execute(begin).await,
            None => Ok(()),
        }
    };
    let part = |number: usize| sent(parts.get(number));
    let (begun, one, two, three, four, five, six, ended) = tokio::join!(
        biased;
        begin,
        part(0),
        part(1),
        part(2),
        part(3),
        part(4),
        part(5),
        end,
    );
    for done in [begun, one, two, three, four, five, six] {
        done.map_err(Failed::Statement)?;
    }
    ended.map_err(Failed::Commit)
}
