//! The server that is measured: `florin serve`, started as anybody starts it, with flags that give it merchants and a
//! stand-in provider.
//!
//! What the bench relies on:
//!
//! ```text
//! PROGRAM serve --json --port 0 --data DIR --bench-provider URL --bench-merchants N
//!         [--database postgres://…]      instead of SQLite in DIR
//!         [--checkpoint-pages N]         instead of the shipped setting of SQLite
//!
//! prints one line when ready:
//!   {"api":"http://127.0.0.1:PORT","admin":"http://127.0.0.1:PORT","keys":["sk_test_…", …],"checkpoint":"4000 pages"}
//!   `admin`: where `/metrics` has `florin_reader_rows_total`
//!   `keys`: one per merchant, the same over the same data; `key` alone will do for one merchant
//!   `checkpoint`: what holds for this database, in words; left out on PostgreSQL
//!
//! `--bench-provider` makes each merchant's test connection speak to that base address in Stripe's words, and lets
//! webhooks go to the loopback interface. SIGTERM ends it.
//! ```

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::http1::{Answer, Connection, address_of};

/// How long a server may take until it is ready: a thousand merchants on a slow disk.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a server may take to drain.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// How a server is started.
#[derive(Clone, Debug)]
pub(crate) struct Start<'a> {
    /// The program, usually ourselves.
    pub(crate) program: &'a Path,
    /// Where it keeps its files.
    pub(crate) data: PathBuf,
    /// PostgreSQL, or SQLite in `data`.
    pub(crate) database: Option<String>,
    /// Base address of the stand-in provider.
    pub(crate) provider: String,
    /// Merchants, each with a key of its own.
    pub(crate) merchants: usize,
    /// Pages between two checkpoints of SQLite, or the shipped default.
    pub(crate) checkpoint_pages: Option<u32>,
}

/// A server that answers.
pub(crate) struct Server {
    /// Its address, without `/v1`.
    pub(crate) base_url: String,
    /// The operator's address.
    admin: String,
    /// One key per merchant.
    pub(crate) keys: Vec<String>,
    /// The checkpoint setting that holds, in words.
    pub(crate) checkpoint: Option<String>,
    log: PathBuf,
    child: Child,
    /// Kept open: a server that cannot write to its standard output any more may take that for an error.
    _output: Lines<BufReader<ChildStdout>>,
}

#[derive(Deserialize)]
struct ReadyLine {
    api: String,
    admin: String,
    #[serde(default)]
    keys: Vec<String>,
    key: Option<String>,
    checkpoint: Option<String>,
}

impl Server {
    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the end of its log is quoted.
    pub(crate) async fn start(start: &Start<'_>) -> anyhow::Result<Self> {
        fs::create_dir_all(&start.data).with_context(|| format!("cannot make {}", start.data.display()))?;
        let log = start.data.join("server.log");
        let mut command = Command::new(start.program);
        command
            .args(["serve", "--json", "--port", "0", "--data"])
            .arg(&start.data);
        command.args([
            "--bench-provider",
            &start.provider,
            "--bench-merchants",
            &start.merchants.to_string(),
        ]);
        if let Some(database) = &start.database {
            command.args(["--database", database]);
        }
        if let Some(pages) = start.checkpoint_pages {
            command.args(["--checkpoint-pages", &pages.to_string()]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start `{} serve`", start.program.display()))?;
        let mut output = BufReader::new(child.stdout.take().context("the server has no output")?).lines();
        let said = timeout(READY_WITHIN, output.next_line()).await;
        let Ok(Ok(Some(line))) = said else {
            bail!(
                "`serve` did not get ready within {} s; it said:\n{}",
                READY_WITHIN.as_secs(),
                end_of(&log)
            );
        };
        let ready: ReadyLine = serde_json::from_str(&line)
            .with_context(|| format!("cannot read what `serve` says when it is ready: {line}"))?;
        let keys = if ready.keys.is_empty() {
            ready.key.into_iter().collect()
        } else {
            ready.keys
        };
        ensure!(
            keys.len() == start.merchants,
            "`serve` gave {} keys instead of {}: {}",
            keys.len(),
            start.merchants,
            "it must understand --bench-merchants"
        );
        Ok(Self {
            base_url: ready.api,
            admin: ready.admin,
            keys,
            checkpoint: ready.checkpoint,
            log,
            child,
            _output: output,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// The end of its log, for whoever must find out what went wrong.
    pub(crate) fn last_words(&self) -> String {
        format!("the log of the measured server ends with:\n{}", end_of(&self.log))
    }

    /// Registers one webhook endpoint for each merchant.
    ///
    /// # Errors
    /// When the server refuses one.
    pub(crate) async fn register_endpoints(&self, url: &str) -> anyhow::Result<()> {
        let mut caller = Caller::open(&self.base_url).await?;
        let body = serde_json::json!({ "url": url }).to_string();
        for key in &self.keys {
            let answer = caller.call("POST", "/v1/webhook_endpoints", key, &body).await?;
            ensure!(
                matches!(answer.status, 200 | 201),
                "cannot register a webhook endpoint: {} {}",
                answer.status,
                String::from_utf8_lossy(answer.body)
            );
        }
        Ok(())
    }

    /// Asks for the newest order, as the first thing that anybody may want to know.
    ///
    /// # Errors
    /// When the answer is not 200.
    pub(crate) async fn first_answer(&self) -> anyhow::Result<()> {
        let mut caller = Caller::open(&self.base_url).await?;
        let answer = caller.call("GET", "/v1/orders?limit=1", &self.keys[0], "").await?;
        ensure!(answer.status == 200, "`serve` was ready but answered {}", answer.status);
        Ok(())
    }

    /// Event rows that have become lists and balances since it was started.
    ///
    /// # Errors
    /// When its metrics cannot be read.
    pub(crate) async fn folded_rows(&self) -> anyhow::Result<u64> {
        let mut caller = Caller::open(&self.admin).await?;
        let answer = caller.call("GET", "/metrics", "none", "").await?;
        ensure!(answer.status == 200, "`/metrics` answered {}", answer.status);
        // A counter that never counted is not there.
        Ok(counted(&String::from_utf8_lossy(answer.body), "florin_reader_rows_total").unwrap_or(0))
    }

    /// Ends it and waits until it has drained.
    ///
    /// # Errors
    /// When it does not end in time; it is then killed.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let signalled = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status()
            .await;
        let ended = timeout(GONE_WITHIN, self.child.wait()).await;
        if !signalled.is_ok_and(|status| status.success()) || ended.is_err() {
            self.child.kill().await?;
            bail!(
                "`serve` did not end within {} s of SIGTERM and was killed",
                GONE_WITHIN.as_secs()
            );
        }
        Ok(())
    }
}

fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// One connection for the odd request.
pub(crate) struct Caller {
    address: SocketAddr,
    connection: Connection,
}

/// The value of a counter without labels, in Prometheus' text.
fn counted(metrics: &str, name: &str) -> Option<u64> {
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

impl Caller {
    pub(crate) async fn open(base_url: &str) -> anyhow::Result<Self> {
        let address = address_of(base_url)?;
        Ok(Self {
            address,
            connection: Connection::open(address).await.context("cannot reach the server")?,
        })
    }

    pub(crate) async fn call(&mut self, method: &str, path: &str, key: &str, body: &str) -> anyhow::Result<Answer<'_>> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.connection
            .exchange(request.as_bytes())
            .await
            .with_context(|| format!("{method} {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_read_by_its_whole_name() {
        let metrics = "# TYPE florin_rows_total counter\nflorin_rows_total_more 7\nflorin_rows_total 42\n";
        assert_eq!(counted(metrics, "florin_rows_total"), Some(42));
        assert_eq!(counted(metrics, "florin_rows"), None);
    }
}
