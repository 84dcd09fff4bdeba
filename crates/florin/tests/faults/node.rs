//! A server process: the program itself, started as anybody starts it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a server may take to say that it is ready: with a debugger beside it on a busy machine.
const READY: Duration = Duration::from_secs(60);
/// How long a server may take to end: it gives what is under way 25 s.
const GONE: Duration = Duration::from_secs(60);

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Its data folder.
    pub data: PathBuf,
    /// PostgreSQL, or SQLite in the folder.
    pub database: Option<String>,
    /// What stands before the program: `strace …`.
    pub wrapper: Vec<String>,
    pub env: Vec<(String, String)>,
}

pub struct Node {
    pub api: String,
    pub stripe: String,
    pub admin: String,
    child: Child,
    /// The server's own process, also behind a wrapper.
    pid: u32,
    log: PathBuf,
    /// Kept open: a server whose output is closed may take that for an error.
    _output: Lines<BufReader<ChildStdout>>,
}

/// The program, in an environment that says nothing of ours.
pub fn program(wrapper: &[String], arguments: &[&str]) -> Command {
    let florin = env!("CARGO_BIN_EXE_florin").to_owned();
    let mut words = wrapper.to_vec();
    words.push(florin);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(arguments);
    for (name, _) in std::env::vars() {
        if name.starts_with("FLORIN_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Node {
    /// Starts a server and waits until it is ready. If it ends before, its log says why.
    pub async fn start(start: &Start) -> Result<Self, String> {
        std::fs::create_dir_all(&start.data).unwrap();
        let log = start.data.join("server.log");
        let text = |path: &Path| path.display().to_string();
        let mut command = program(
            &start.wrapper,
            &["serve", "--json", "--port", "0", "--data", &text(&start.data)],
        );
        if let Some(database) = &start.database {
            command.args(["--database", database]);
        }
        let writing = File::options().create(true).append(true).open(&log).unwrap();
        command
            .envs(start.env.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(writing);
        let mut child = command.spawn().unwrap();
        let wrapped = child.id().unwrap_or_default();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = tokio::time::timeout(READY, output.next_line()).await;
        let Ok(Ok(Some(line))) = said else {
            let _ended = child.start_kill();
            return Err(format!("the server did not start:\n{}", end_of(&log)));
        };
        let line: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| line[name].as_str().unwrap().to_owned();
        Ok(Self {
            api: address("api"),
            stripe: address("stripe"),
            admin: address("admin"),
            pid: if start.wrapper.is_empty() {
                wrapped
            } else {
                child_of(wrapped)
            },
            child,
            log,
            _output: output,
        })
    }

    /// `kill -9`: nothing is finished.
    pub async fn kill(mut self) {
        self.signal("KILL");
        self.gone().await;
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid, name);
    }

    /// SIGTERM, and waits for the end, which has to be a good one.
    pub async fn stop(mut self) {
        self.signal("TERM");
        let status = self.gone().await;
        assert!(status.success(), "the server ended with {status}:\n{}", self.log_end());
    }

    /// Waits for the server's end.
    pub async fn gone(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(GONE, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("the server does not end:\n{}", end_of(&self.log)))
            .unwrap()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory now and at its highest, in KiB.
    pub fn memory_kib(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let value = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (value("VmRSS:"), value("VmHWM:"))
    }

    pub fn log_end(&self) -> String {
        end_of(&self.log)
    }
}

pub fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success(), "cannot send {name} to {pid}");
}

/// The process that a wrapper started.
fn child_of(wrapper: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{wrapper}/task/{wrapper}/children")).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
