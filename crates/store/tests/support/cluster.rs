//! A throw-away PostgreSQL: started by the test that needs it, on a Unix socket and a free port of loopback, stopped and removed when the
//! test program ends, however it ends.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(30);

pub(crate) struct Cluster {
    folder: PathBuf,
    pub(crate) port: u16,
    /// A shell that waits for the end of its input, which comes when this program ends, and then takes the server down.
    guard: Mutex<Option<(Child, ChildStdin)>>,
    settings: Vec<String>,
}

/// The server that all tests of this program share. It does not flush: tests of durability start one of their own.
pub(crate) fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(&["fsync=off", "full_page_writes=off"]))
}

impl Cluster {
    /// Makes and starts a server with these settings beside the usual ones.
    pub(crate) fn start(settings: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("florin-pg-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for PostgreSQL");
        copy_template(&folder);
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("a free port")
            .local_addr()
            .expect("an address")
            .port();
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let cluster = Self {
            folder,
            port,
            guard: Mutex::default(),
            settings,
        };
        cluster.go();
        cluster
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn go(&self) {
        let mut server = format!(
            "{}/postgres -D '{}/data' -k '{}' -p {} -c listen_addresses=127.0.0.1 -c shared_buffers=32MB -c max_connections=200",
            programs().display(),
            self.folder.display(),
            self.folder.display(),
            self.port
        );
        for setting in &self.settings {
            server += &format!(" -c {setting}");
        }
        let folder = self.folder.display();
        let script = format!(
            "{server} >>'{folder}/log' 2>&1 & p=$!; \
             if read signal; then kill -s $signal $p; wait $p; else kill -s QUIT $p; wait $p; rm -rf '{folder}'; fi"
        );
        let mut guard = as_postgres("/bin/sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let input = guard.stdin.take().expect("it was piped");
        *self.guard.lock().expect("nobody panicked with it") = Some((guard, input));
        let began = Instant::now();
        let ready = || {
            let mut asked = Command::new(programs().join("pg_isready"));
            asked
                .args(["-q", "-h"])
                .arg(&self.folder)
                .args(["-p", &self.port.to_string()]);
            asked.status().is_ok_and(|status| status.success())
        };
        while !ready() {
            assert!(
                began.elapsed() < START,
                "PostgreSQL did not start; its log: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server with a signal: `INT` a fast shutdown, `QUIT` an immediate one, `KILL` none at all.
    pub(crate) fn stop(&self, signal: &str) {
        if let Some((mut guard, mut input)) = self.guard.lock().expect("nobody panicked with it").take() {
            let _ = input.write_all(format!("{signal}\n").as_bytes());
            drop(input);
            let _ = guard.wait();
        }
    }

    /// The process of the server that all others are children of.
    pub(crate) fn postmaster(&self) -> String {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("the server runs");
        file.lines().next().expect("its first line is the process").to_owned()
    }

    /// Where the server writes what happens to it.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Makes an empty database; answers its address on the Unix socket.
    pub(crate) async fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.admin("postgres")
            .await
            .batch_execute(&format!("create database {name}"))
            .await
            .expect("a database");
        self.url(&name)
    }

    /// The address of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "host={} port={} user=postgres dbname={database}",
            self.folder.display(),
            self.port
        )
    }

    /// The address of a database through a port of loopback.
    pub(crate) fn url_by_port(url: &str, port: u16) -> String {
        let database = url.rsplit('=').next().expect("dbname stands last");
        format!("host=127.0.0.1 port={port} user=postgres dbname={database}")
    }

    /// A connection of its own.
    pub(crate) async fn admin(&self, database: &str) -> tokio_postgres::Client {
        connect(&self.url(database)).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop("QUIT");
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL answers");
    tokio::spawn(connection);
    client
}

/// Where PostgreSQL's programs are: the newest version that is installed.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .filter(|(_, bin)| bin.join("postgres").exists())
        .collect();
    found.sort();
    let (_, bin) = found.pop().expect(
        "PostgreSQL is not installed: these tests need the Debian package `postgresql` (apt-get install postgresql)",
    );
    bin
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"])
        .arg(program);
    command
}

pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Makes a file the server's own, and nobody else's.
pub(crate) fn own(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("a file of ours");
    if is_root() {
        let given = Command::new("chown").arg("postgres").arg(file).status();
        assert!(
            given.is_ok_and(|status| status.success()),
            "the file is given to PostgreSQL"
        );
    }
}

/// An initialised data folder is made once a machine and copied: `initdb` is the slow part.
fn copy_template(folder: &Path) {
    let whose = if is_root() { "root" } else { "user" };
    let version = programs();
    let version = version
        .components()
        .rev()
        .nth(1)
        .map(|part| part.as_os_str().to_owned())
        .unwrap_or_default();
    let template = std::env::temp_dir().join(format!("florin-pg-template-{}-{whose}", version.display()));
    if !template.join("PG_VERSION").exists() {
        let fresh = folder.join("template");
        give_to_postgres(folder);
        let made = as_postgres(programs().join("initdb"))
            .args([
                "--no-sync",
                "--no-instructions",
                "--auth=trust",
                "--username=postgres",
                "--no-locale",
                "--encoding=UTF8",
                "-D",
            ])
            .arg(&fresh)
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        // Another test program may have been faster: then its template is as good.
        if std::fs::rename(&fresh, &template).is_err() {
            let _ = std::fs::remove_dir_all(&fresh);
        }
    }
    let copied = Command::new("cp")
        .arg("-a")
        .arg(&template)
        .arg(folder.join("data"))
        .status()
        .expect("cp runs");
    assert!(copied.success(), "the template of PostgreSQL could not be copied");
    give_to_postgres(folder);
}

fn give_to_postgres(folder: &Path) {
    if is_root() {
        let given = Command::new("chown")
            .arg("-R")
            .arg("postgres")
            .arg(folder)
            .status()
            .expect("chown runs");
        assert!(
            given.success(),
            "there is no user `postgres`: install the Debian package `postgresql`"
        );
    }
}
