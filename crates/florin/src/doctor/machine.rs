//! The machine: the data folder, the space on its disk, the doors.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use florin_channels::admin;
use florin_services::watch::{ALERTS, Alert};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Doctor;
use crate::app;
use crate::config::Config;

/// Below this a busy day may fill the disk: SQLite writes up to 20 KB a sale.
const FREE_KIB_MIN: u64 = 1 << 20;
/// How long a door may take to answer.
const DOOR_WAIT: Duration = Duration::from_secs(3);
/// The largest answer of `/readyz` that is read: a sentence.
const READY_BYTES_MAX: u64 = 4_096;
/// The largest answer of `/metrics` that is read: some hundred figures, and one a connection.
const METRICS_BYTES_MAX: u64 = 16 << 20;
/// Bits of a file's mode that let others in.
const OTHERS: u32 = 0o077;

/// The same bits as far as they let in everybody: a file of settings may well belong to a group.
const EVERYBODY: u32 = 0o007;

/// The file of settings: nobody else's if it holds secrets.
pub(super) fn settings(doctor: &mut Doctor, config: &Config) {
    let Some(file) = &config.secrets_file else { return };
    if std::fs::metadata(file).is_ok_and(|found| found.mode() & EVERYBODY != 0) {
        doctor.wrong(
            "configuration",
            format!(
                "{} holds secrets and is open to every user of this machine",
                file.display()
            ),
            &format!("chmod o-rwx {}", file.display()),
        );
    }
}

/// The data folder: there, writable, and nobody else's.
pub(super) fn folder(doctor: &mut Doctor, config: &Config) {
    let folder = &config.data;
    if !folder.exists() {
        return doctor.note(
            "data folder",
            format!("{} is not there", folder.display()),
            "the first start makes it; or name the folder that you mean with --data",
        );
    }
    let mine = std::iter::once(folder.clone()).chain(
        [
            "florin.db",
            "florin.db-wal",
            "root.key",
            "admin.key",
            "secrets.json",
            "node",
        ]
        .into_iter()
        .map(|name| folder.join(name)),
    );
    let open: Vec<PathBuf> = mine.filter(|path| is_open(path)).collect();
    for path in &open {
        doctor.wrong(
            "data folder",
            format!("{} can be read by other users of this machine", path.display()),
            &format!("chmod go-rwx {}", path.display()),
        );
    }
    let probe = folder.join(".doctor");
    match std::fs::write(&probe, b"") {
        Ok(()) => {
            let _ = std::fs::remove_file(&probe);
            if open.is_empty() {
                doctor.good("data folder", format!("{}, writable and private", folder.display()));
            }
        }
        Err(error) => doctor.wrong(
            "data folder",
            format!("cannot write to {}: {error}", folder.display()),
            "give it to the user that the server runs as, and see that the disk is not full or read-only",
        ),
    }
}

fn is_open(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.mode() & OTHERS != 0)
}

/// The space that is left where the data lies.
pub(super) fn space(doctor: &mut Doctor, config: &Config) {
    if !config.data.exists() {
        return;
    }
    // The standard library does not tell; `df` does, in the form that POSIX fixed.
    let asked = std::process::Command::new("df").arg("-Pk").arg(&config.data).output();
    let said = asked.ok().filter(|asked| asked.status.success());
    let free_kib = said.and_then(|said| free_kib(&String::from_utf8_lossy(&said.stdout)));
    match free_kib {
        Some(free) if free < FREE_KIB_MIN => doctor.wrong(
            "disk",
            format!("{} MiB are free where the data lies", free >> 10),
            "make room: a full disk refuses every payment (507) until there is some; `florin backup` to another disk first",
        ),
        Some(free) => doctor.good("disk", format!("{} GiB are free", free >> 20)),
        None => doctor.note("disk", "cannot tell how much is free", "look with `df`"),
    }
}

/// The fourth column of the last line of `df -Pk`.
fn free_kib(said: &str) -> Option<u64> {
    let line = said.lines().last()?;
    // Names of devices and folders may hold blanks; the numbers stand together before a percentage.
    let words: Vec<&str> = line.split_whitespace().collect();
    let percent = words.iter().position(|word| word.ends_with('%'))?;
    words.get(percent.checked_sub(1)?)?.parse().ok()
}

/// Whether a server answers, or its ports are free.
pub(super) async fn doors(doctor: &mut Doctor, config: &Config) {
    let admin = of_dev(config).unwrap_or(config.server.admin);
    match ready(admin).await {
        Ready::Yes(node) if node.is_some() && node == node_of(config) => {
            doctor.good("server", format!("it runs and is ready ({admin})"));
            return alerts(doctor, admin).await;
        }
        Ready::Yes(_) => {
            return doctor.note(
                "server",
                format!("a server answers at {admin} that was not started from this folder; whether it is on this database is not known"),
                "to ask about that server, name its --config or --data; to start another one here, give it an `admin` of its own under [server]",
            );
        }
        Ready::No(why) => {
            doctor.wrong(
                "server",
                format!("it runs at {admin} and is not ready: {why}"),
                "go by what it says; its log says more",
            );
            return alerts(doctor, admin).await;
        }
        Ready::Nobody => {}
        Ready::SomebodyElse => doctor.wrong(
            "server",
            format!("something at {admin} answers, and it is not this server's admin door"),
            "stop that program, or set `admin` under [server] to another address",
        ),
    }
    let mut free = true;
    for (name, address) in [("api", config.server.api), ("stripe", config.server.stripe)] {
        if let Err(error) = TcpListener::bind(address).await {
            free = false;
            doctor.wrong(
                "server",
                format!("no server runs, and {address} cannot be listened on: {error}"),
                &format!("{} (`{name}`)", app::deaf(&error)),
            );
        }
    }
    if free {
        doctor.note(
            "server",
            "none runs on this installation; its ports are free",
            "`florin serve` starts it",
        );
    }
}

/// What rings at the server that runs. A node knows of more than the database tells: orders that it froze, callers that it turned away.
async fn alerts(doctor: &mut Doctor, admin: SocketAddr) {
    let figures = match tokio::time::timeout(DOOR_WAIT, asked(admin, "/metrics", METRICS_BYTES_MAX)).await {
        Ok(Ok(reply)) if reply.split_whitespace().nth(1) == Some("200") => reply,
        _ => {
            return doctor.note(
                "alerts",
                format!("http://{admin}/metrics does not tell which alerts ring"),
                "ask again; the server's log has a line for each alert that begins",
            );
        }
    };
    let ringing: Vec<&Alert> = ALERTS.iter().filter(|alert| rings(&figures, alert.name)).collect();
    if ringing.is_empty() {
        return doctor.good("alerts", "none rings at the server");
    }
    for alert in ringing {
        doctor.wrong(
            "alerts",
            format!("`{}` rings: {}", alert.name, alert.says),
            &format!("its page in docs/runbook.md, `{}`", alert.name),
        );
    }
}

/// Whether an alert rings by the figures of `/metrics`.
fn rings(figures: &str, name: &str) -> bool {
    let figure = format!("florin_alert{{name=\"{name}\"}} ");
    let found = figures.lines().find_map(|line| line.strip_prefix(&figure));
    found.is_some_and(|value| value.trim() != "0")
}

/// The admin door that `dev` opened over this folder.
fn of_dev(config: &Config) -> Option<SocketAddr> {
    let line = std::fs::read_to_string(config.data.join("dev.json")).ok()?;
    let line: serde_json::Value = serde_json::from_str(&line).ok()?;
    line.get("admin")?.as_str()?.strip_prefix("http://")?.parse().ok()
}

/// The node that a server of this installation on this machine is.
fn node_of(config: &Config) -> Option<String> {
    let kept = || std::fs::read_to_string(config.data.join(app::NODE_FILE)).ok();
    match &config.node {
        Some(name) => Some(app::node_of(name).to_string()),
        None => kept().map(|text| text.trim().to_owned()),
    }
}

enum Ready {
    /// The node that it says it is.
    Yes(Option<String>),
    No(String),
    Nobody,
    SomebodyElse,
}

/// What `/readyz` of the admin door says.
async fn ready(admin: SocketAddr) -> Ready {
    match tokio::time::timeout(DOOR_WAIT, asked(admin, "/readyz", READY_BYTES_MAX)).await {
        Err(_) => Ready::No(format!("it did not answer within {} s", DOOR_WAIT.as_secs())),
        Ok(Err(ready)) => ready,
        Ok(Ok(reply)) => {
            let status = reply.split_whitespace().nth(1).unwrap_or_default();
            let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
            match (status, body.trim()) {
                ("200", "ok") => Ready::Yes(header(head, admin::NODE)),
                ("503", why) => Ready::No(why.to_owned()),
                (_, _) => Ready::SomebodyElse,
            }
        }
    }
}

/// The whole reply of the admin door, as far as `bytes_max`.
async fn asked(admin: SocketAddr, path: &str, bytes_max: u64) -> Result<String, Ready> {
    let mut stream = TcpStream::connect(admin).await.map_err(|_| Ready::Nobody)?;
    let request = format!("GET {path} HTTP/1.0\r\nhost: {admin}\r\n\r\n");
    let mut reply = Vec::new();
    let spoken = async {
        stream.write_all(request.as_bytes()).await?;
        stream.take(bytes_max).read_to_end(&mut reply).await
    };
    spoken.await.map_err(|_| Ready::SomebodyElse)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// The value of a header.
fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut found = lines.filter(|(given, _)| given.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_rings_by_its_figure() {
        let said =
            "# TYPE florin_alert gauge\nflorin_alert{name=\"outbox_old\"} 0\nflorin_alert{name=\"queue_full\"} 1\n";
        let ringing = |name| rings(said, name);
        assert!(ringing("queue_full") && !ringing("outbox_old") && !ringing("record_damaged"));
    }

    #[test]
    fn the_free_space_is_read_whatever_the_names_are() {
        let said =
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/my disk 100 60 40 60% /mnt/my data\n";
        assert_eq!(free_kib(said), Some(40));
        assert_eq!(free_kib("nonsense"), None);
    }
}
