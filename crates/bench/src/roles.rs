//! Load generator and stand-in provider as processes of their own, and the other side of their pipes.
//!
//! A role is the program itself with a hidden first argument. It reads its settings as one JSON line from its standard
//! input, says what happens in JSON lines on its standard output, and ends when its input is closed: when the bench is
//! killed, its roles end with it.

use std::cell::Cell;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::aside;
use crate::load::{self, Outcome, Phase};
use crate::psp;

/// The load generator.
pub const LOAD: &str = "bench-load";

/// The stand-in provider.
pub const PROVIDER: &str = "bench-psp";

/// Hidden first arguments with which the program must call [`main_of_role`].
pub const ROLES: [&str; 2] = [LOAD, PROVIDER];

/// What the load generator writes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromLoad {
    /// Where it is.
    Phase(Phase),
    /// What it found; its last line.
    Outcome(Outcome),
}

/// Plays a role until its work is done or its standard input is closed.
///
/// # Errors
/// When the role is unknown or its settings cannot be read or carried out.
pub fn main_of_role(role: &str) -> anyhow::Result<()> {
    // A pipe that the bench closes in the middle of a line is its end, not ours to report.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match role {
        LOAD => {
            let settings = first_line()?;
            let outcome = runtime.block_on(async {
                tokio::select! {
                    outcome = load::run(&settings, |phase| tell(&FromLoad::Phase(phase))) => outcome.map_err(Into::into),
                    () = input_closed() => bail!("ended before the load was over"),
                }
            })?;
            tell(&FromLoad::Outcome(outcome));
            // The input reader may still hold a thread; nothing is left to do that it could disturb.
            runtime.shutdown_background();
        }
        PROVIDER => {
            let settings = first_line()?;
            let seen = Rc::new(Cell::new(psp::Seen::default()));
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async {
                let (listener, ready) = psp::listen(&settings).await?;
                tell(&ready);
                tokio::select! {
                    served = psp::serve(listener, &settings, Rc::clone(&seen)) => served,
                    () = input_closed() => Ok(()),
                }
            })?;
            tell(&seen.get());
            runtime.shutdown_background();
        }
        other => bail!("`{other}` is no role of the bench; roles are {}", ROLES.join(" and ")),
    }
    Ok(())
}

fn first_line<T: DeserializeOwned>() -> anyhow::Result<T> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    serde_json::from_str(&line)
        .context("cannot read the settings of the role: expected one JSON line on standard input")
}

fn tell(what: &impl Serialize) {
    let mut line = serde_json::to_vec(what).expect("our own plain structs always serialise");
    line.push(b'\n');
    // When nobody reads any more, the closed input ends us.
    let _unheard = io::stdout().lock().write_all(&line).and_then(|()| io::stdout().flush());
}

async fn input_closed() {
    let mut ignored = [0; 64];
    while tokio::io::stdin().read(&mut ignored).await.is_ok_and(|bytes| bytes > 0) {}
}

/// A role that runs.
pub struct RoleProcess {
    role: &'static str,
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl RoleProcess {
    /// Starts `program role` and hands it its settings.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub async fn start(program: &Path, role: &'static str, settings: &impl Serialize) -> anyhow::Result<Self> {
        let mut child = Command::from(aside::command(program))
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start `{} {role}`", program.display()))?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("`{role}` has no pipes");
        };
        let mut line = serde_json::to_vec(settings)?;
        line.push(b'\n');
        input
            .write_all(&line)
            .await
            .with_context(|| format!("`{role}` does not take its settings"))?;
        Ok(Self {
            role,
            child,
            input,
            lines: BufReader::new(output).lines(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Its next line.
    ///
    /// # Errors
    /// When it ends or is silent for longer than `within`.
    pub async fn hear<T: DeserializeOwned>(&mut self, within: Duration) -> anyhow::Result<T> {
        let line = tokio::time::timeout(within, self.lines.next_line())
            .await
            .with_context(|| format!("`{}` said nothing for {} s", self.role, within.as_secs()))??
            .with_context(|| format!("`{}` ended too early; its own message is above", self.role))?;
        serde_json::from_str(&line).with_context(|| format!("`{}` said something unexpected: {line}", self.role))
    }

    /// Closes its input, waits for its end and gives its last line.
    ///
    /// # Errors
    /// When it does not end or does not say anything.
    pub async fn end<T: DeserializeOwned>(mut self, within: Duration) -> anyhow::Result<T> {
        drop(self.input);
        let line = tokio::time::timeout(within, self.lines.next_line())
            .await
            .with_context(|| format!("`{}` does not end", self.role))??
            .with_context(|| format!("`{}` ended without a word", self.role))?;
        self.child.wait().await?;
        serde_json::from_str(&line).with_context(|| format!("`{}` said something unexpected: {line}", self.role))
    }
}
