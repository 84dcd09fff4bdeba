//! The reference: a throw-away PostgreSQL cluster with default settings, and `pgbench` on it.
//!
//! Every rate that the bench prints is divided by what `pgbench` reached on the same disk in the same minute, because
//! rates alone say more about the machine than about us. The cluster listens on a Unix socket in its own directory and
//! on nothing else, so it needs no free port and nobody can reach it over a network. As root it runs as the user
//! `postgres`, since PostgreSQL refuses to run as root.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::aside;

/// Where Debian, and those who follow it, keep the programs: one directory a version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Scale of the reference: a million accounts.
const SCALE: &str = "10";

/// Clients of the reference.
const CLIENTS: &str = "8";

/// How long a cluster may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest path that fits into the address of a Unix socket, with `.s.PGSQL.5432` behind it.
const SOCKET_DIRECTORY_LIMIT_BYTES: usize = 90;

/// Runs of the reference of which one must finish something.
const REFERENCE_TRIES: u32 = 5;

/// A PostgreSQL server to measure with: one of our own, or one that was given to us.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    url: String,
    owner: Option<Owner>,
    postmaster: Option<Child>,
    has_pgbench_tables: bool,
}

/// Whom the programs run as, when we are root.
#[derive(Clone, Copy, Debug)]
struct Owner {
    user: u32,
    group: u32,
}

impl Cluster {
    /// Makes and starts a cluster in `directory`, which is created and must not hold one yet.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or the cluster does not start; its own log is quoted.
    pub fn start(directory: &Path) -> anyhow::Result<Self> {
        let programs = find_programs(Path::new(VERSIONS))?;
        let directory = std::path::absolute(directory)?;
        ensure!(
            directory.as_os_str().len() <= SOCKET_DIRECTORY_LIMIT_BYTES,
            "{} is too long for a Unix socket; choose a directory of at most {SOCKET_DIRECTORY_LIMIT_BYTES} bytes",
            directory.display()
        );
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let owner = owner()?;
        if let Some(Owner { user, group }) = owner {
            chown(&directory, Some(user), Some(group))?;
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        let url = format!("postgres:///postgres?host={}&user=postgres", directory.display());
        let mut cluster = Self {
            programs,
            directory,
            url,
            owner,
            postmaster: None,
            has_pgbench_tables: false,
        };
        let data = cluster.data();
        cluster.finish(
            "initdb",
            cluster.program("initdb").arg("-D").arg(&data).args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ]),
        )?;
        cluster.start_postmaster()?;
        Ok(cluster)
    }

    /// Uses a server that runs already; `url` names a database on it in which we may make others.
    ///
    /// # Errors
    /// When the programs of PostgreSQL are not installed here.
    pub fn attach(url: &str) -> anyhow::Result<Self> {
        Ok(Self {
            programs: find_programs(Path::new(VERSIONS))?,
            directory: std::env::temp_dir(),
            url: url.to_owned(),
            owner: None,
            postmaster: None,
            has_pgbench_tables: false,
        })
    }

    fn start_postmaster(&mut self) -> anyhow::Result<()> {
        let log = File::create(self.log())?;
        let mut command = self.program("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=", "-c"])
            .arg(format!("unix_socket_directories={}", self.directory.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut postmaster = command.spawn().context("cannot start `postgres`")?;
        let start = Instant::now();
        loop {
            if postmaster.try_wait()?.is_some() {
                bail!("PostgreSQL did not start:\n{}", self.log_end());
            }
            let ready = self.program("pg_isready").args(["-q", "-d", &self.url]).status()?;
            if ready.success() {
                break;
            }
            if start.elapsed() > PATIENCE {
                let _gone = postmaster.kill();
                bail!(
                    "PostgreSQL did not start within {} s:\n{}",
                    PATIENCE.as_secs(),
                    self.log_end()
                );
            }
            sleep(Duration::from_millis(20));
        }
        self.postmaster = Some(postmaster);
        Ok(())
    }

    /// Address of a database that is always there.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Address of the database `name` on the same server.
    pub fn url_of(&self, name: &str) -> String {
        with_database(&self.url, name)
    }

    /// Process id of the server, when it is ours.
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.as_ref().map(Child::id)
    }

    /// Makes an empty database and gives its address.
    ///
    /// # Errors
    /// When there is one of that name already.
    pub fn create_database(&self, name: &str) -> anyhow::Result<String> {
        self.finish(
            "createdb",
            self.program("createdb").args(["--maintenance-db", &self.url, name]),
        )?;
        Ok(self.url_of(name))
    }

    /// Removes a database. This makes the server write a checkpoint, so not between two samples.
    ///
    /// # Errors
    /// When somebody is still connected to it.
    pub fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        self.finish(
            "dropdb",
            self.program("dropdb")
                .args(["--if-exists", "--maintenance-db", &self.url, name]),
        )
    }

    /// Transactions per second of `pgbench -M prepared -c 8` at scale 10.
    ///
    /// # Errors
    /// When `pgbench` fails or says something that we do not read.
    pub fn pgbench(&mut self, seconds: u64) -> anyhow::Result<f64> {
        let database = self.url_of(PGBENCH_DATABASE);
        if !self.has_pgbench_tables {
            self.drop_database(PGBENCH_DATABASE)?;
            self.create_database(PGBENCH_DATABASE)?;
            self.finish(
                "pgbench",
                self.program("pgbench").args(["-i", "-q", "-s", SCALE, &database]),
            )?;
            self.finish("psql", self.program("psql").args(["-qc", "checkpoint", &database]))?;
            self.has_pgbench_tables = true;
        }
        // On a machine that others use, a second may pass without one transaction: that says nothing, so it is repeated.
        for _ in 0..REFERENCE_TRIES {
            let tps = self.run_pgbench(&database, seconds)?;
            if tps > 0.0 {
                return Ok(tps);
            }
        }
        bail!(
            "`pgbench` finished no transaction in {REFERENCE_TRIES} runs of {seconds} s: the machine is too busy to measure on"
        )
    }

    fn run_pgbench(&self, database: &str, seconds: u64) -> anyhow::Result<f64> {
        let mut command = self.owned(aside::command(&self.programs.join("pgbench")));
        command.args(["-M", "prepared", "-c", CLIENTS, "-T", &seconds.to_string(), database]);
        let output = command.output().context("cannot start `pgbench`")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "`pgbench` failed:\n{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        tps(&said).with_context(|| format!("cannot find `tps = …` in what `pgbench` says:\n{said}"))
    }

    /// Stops the server, when it is ours, and waits for its end. Its files stay.
    ///
    /// # Errors
    /// When it does not stop in time; it is then killed.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if self.postmaster.is_none() && self.has_pgbench_tables {
            self.has_pgbench_tables = false;
            return self.drop_database(PGBENCH_DATABASE);
        }
        let Some(mut postmaster) = self.postmaster.take() else {
            return Ok(());
        };
        // SIGINT is PostgreSQL's "fast" shutdown: it ends sessions, writes a checkpoint and leaves.
        let signalled = Command::new("kill")
            .args(["-INT", &postmaster.id().to_string()])
            .status();
        let start = Instant::now();
        while start.elapsed() < PATIENCE && signalled.as_ref().is_ok_and(|status| status.success()) {
            if postmaster.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        postmaster.kill()?;
        postmaster.wait()?;
        bail!(
            "PostgreSQL did not stop and was killed; its log is {}",
            self.log().display()
        )
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// A program of PostgreSQL, run as the cluster's owner from a directory that it may read.
    fn program(&self, name: &str) -> Command {
        self.owned(Command::new(self.programs.join(name)))
    }

    /// Any command, run as the cluster's owner from a directory that it may read.
    fn owned(&self, mut command: Command) -> Command {
        command
            .current_dir(&self.directory)
            .env_remove("PGHOST")
            .env_remove("PGPORT")
            .env_remove("PGDATABASE");
        if let Some(Owner { user, group }) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    fn finish(&self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start `{name}`"))?;
        ensure!(
            output.status.success(),
            "`{name}` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Whoever wants to hear about it calls `stop`.
        let _stopped = self.stop();
    }
}

const PGBENCH_DATABASE: &str = "florin_bench_reference";

/// The programs of the newest version that has all that we need.
fn find_programs(versions: &Path) -> anyhow::Result<PathBuf> {
    let needed = [
        "initdb",
        "postgres",
        "pgbench",
        "pg_isready",
        "createdb",
        "dropdb",
        "psql",
    ];
    let complete = |programs: &PathBuf| needed.iter().all(|name| programs.join(name).is_file());
    let version = |programs: &PathBuf| {
        programs
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str()?.parse::<u32>().ok())
    };
    fs::read_dir(versions)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(complete)
        .max_by_key(version)
        .with_context(|| {
            format!(
                "no complete PostgreSQL in {}/*/bin: the bench compares with `pgbench`, so install it first \
                 (Debian and Ubuntu: `apt install postgresql`)",
                versions.display()
            )
        })
}

/// The user whom PostgreSQL runs as: `postgres` when we are root, otherwise ourselves.
fn owner() -> anyhow::Result<Option<Owner>> {
    let status = fs::read_to_string("/proc/self/status")?;
    // Real, effective, saved and file system user.
    let ours = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_ascii_whitespace().nth(1));
    if ours != Some("0") {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let found = user_in(&users, "postgres").context(
        "PostgreSQL does not run as root and there is no user `postgres`; install PostgreSQL from a package \
         (Debian and Ubuntu: `apt install postgresql`) or run the bench as another user",
    )?;
    Ok(Some(found))
}

fn user_in(users: &str, name: &str) -> Option<Owner> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [user_name, _, user, group, ..] = fields[..] else {
            return None;
        };
        (user_name == name).then_some(())?;
        Some(Owner {
            user: user.parse().ok()?,
            group: group.parse().ok()?,
        })
    })
}

/// The figure without the time to connect, in the words of version 14 and newer, and of older ones. A run without a transaction has none.
fn tps(said: &str) -> Option<f64> {
    if said
        .lines()
        .any(|line| line == "number of transactions actually processed: 0")
    {
        return Some(0.0);
    }
    let line = said.lines().find(|line| {
        line.starts_with("tps = ") && (line.contains("without initial") || line.contains("excluding connections"))
    })?;
    line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok()
}

/// The same address with another database in its path.
fn with_database(url: &str, name: &str) -> String {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let (base, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let path = base[authority..]
        .find('/')
        .map_or(base.len(), |slash| authority + slash);
    format!("{}/{name}{query}", &base[..path])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_what_pgbench_says() {
        let fifteen = "pgbench (15.19)\nlatency average = 1.5 ms\ninitial connection time = 12.1 ms\n\
                       tps = 5204.386108 (without initial connection time)\n";
        assert_eq!(tps(fifteen), Some(5204.386108));
        let thirteen = "tps = 85.184871 (including connections establishing)\n\
                        tps = 85.296346 (excluding connections establishing)\n";
        assert_eq!(tps(thirteen), Some(85.296346));
        let nothing =
            "duration: 1 s\nnumber of transactions actually processed: 0\nnumber of failed transactions: 0 (NaN%)\n";
        assert_eq!(tps(nothing), Some(0.0));
        assert_eq!(tps("pgbench: error: connection failed"), None);
    }

    #[test]
    fn another_database_is_named_in_the_path_only() {
        for (url, other) in [
            (
                "postgres:///postgres?host=/var/tmp/a&user=postgres",
                "postgres:///x?host=/var/tmp/a&user=postgres",
            ),
            (
                "postgres://u:p@db.example:5433/shop",
                "postgres://u:p@db.example:5433/x",
            ),
            ("postgres://db.example", "postgres://db.example/x"),
            (
                "postgres://db.example?sslmode=disable",
                "postgres://db.example/x?sslmode=disable",
            ),
        ] {
            assert_eq!(with_database(url, "x"), other);
        }
    }

    #[test]
    fn a_missing_postgresql_names_the_package_to_install() {
        let nowhere = std::env::temp_dir().join("florin-bench-no-such-directory");
        let refused = find_programs(&nowhere).unwrap_err().to_string();
        assert!(refused.contains("apt install postgresql"), "{refused}");
    }

    #[test]
    fn the_newest_complete_version_is_taken() {
        let versions = std::env::temp_dir().join(format!("florin-bench-versions-{}", std::process::id()));
        for (version, complete) in [("9", true), ("15", true), ("16", false)] {
            let programs = versions.join(version).join("bin");
            fs::create_dir_all(&programs).unwrap();
            fs::write(programs.join("pgbench"), "").unwrap();
            if complete {
                for name in ["initdb", "postgres", "pg_isready", "createdb", "dropdb", "psql"] {
                    fs::write(programs.join(name), "").unwrap();
                }
            }
        }
        assert_eq!(find_programs(&versions).unwrap(), versions.join("15/bin"));
        fs::remove_dir_all(&versions).unwrap();
    }

    #[test]
    fn the_owner_is_read_from_the_list_of_users() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgresql:x:1:1::/:\npostgres:x:105:109:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        let owner = user_in(users, "postgres").unwrap();
        assert_eq!((owner.user, owner.group), (105, 109));
        assert!(user_in(users, "nobody").is_none());
    }
}
