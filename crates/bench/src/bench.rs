//! The place where everything is measured: a directory on a real disk, a PostgreSQL server, a stand-in provider, and
//! fresh servers and databases on request.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::case::{Case, Database};
use crate::cpu;
use crate::database::Session;
use crate::load::{Length, Pace};
use crate::options::Options;
use crate::orders::Kind;
use crate::psp::{self, HOOKS_PATH, Seen};
use crate::reference::Cluster;
use crate::roles::{PROVIDER, RoleProcess};
use crate::sample::{Around, DatabaseMeter, Sample, Shape, take};
use crate::server::{Server, Start};

/// Where to measure when nobody says otherwise: unlike `/tmp`, never in memory by convention.
const DEFAULT_DIRECTORY: &str = "/var/tmp";

/// File systems that keep their files in memory: durable figures from there would be lies.
const IN_MEMORY: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];

/// Merchants of a measured server.
pub(crate) const MERCHANTS: usize = 1000;

/// Before a rate is measured: plans are made, caches filled, connections to the provider opened.
const WARM_UP_MS: u64 = 700;

/// How long the stand-in may take to answer to its parent.
const ROLE_PATIENCE: Duration = Duration::from_secs(10);

/// Everything that a measurement needs around it.
pub(crate) struct Bench {
    pub(crate) options: Options,
    /// The program that plays all roles.
    pub(crate) program: PathBuf,
    pub(crate) session: Session,
    pub(crate) provider_url: String,
    /// What `pgbench` reached, each time it ran.
    pub(crate) tps: Vec<f64>,
    /// Sales that were finished, and that the provider must therefore have been asked for.
    pub(crate) sold: u64,
    cluster: Cluster,
    database_pid: Option<u32>,
    provider: RoleProcess,
    made: u32,
    databases: Vec<String>,
    /// Last, so that it is removed when everything that lies in it has been stopped.
    directory: Directory,
}

/// A directory of ours, removed with all that is in it even when the bench fails or is interrupted.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// A fresh server, and where it lies.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) directory: PathBuf,
    pub(crate) database_url: Option<String>,
    pub(crate) database: Database,
}

/// How a fresh server is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) database: Database,
    pub(crate) merchants: usize,
    pub(crate) endpoint: bool,
    /// Measured as shipped, or with the checkpoint setting that was asked for.
    pub(crate) checkpoint_pages: Option<u32>,
}

impl Bench {
    pub(crate) async fn open(options: &Options, program: &Path) -> anyhow::Result<Self> {
        let base = options.dir.clone().unwrap_or_else(|| DEFAULT_DIRECTORY.into());
        let kind = cpu::file_system_of(&base).with_context(|| format!("cannot use {}", base.display()))?;
        ensure!(
            !IN_MEMORY.contains(&kind.as_str()),
            "{} is {kind}, which is memory: choose a directory on a disk with --dir",
            base.display()
        );
        let directory = Directory(base.join(format!("florin-bench-{}", std::process::id())));
        let cluster = match &options.database {
            Some(url) => Cluster::attach(url)?,
            None => Cluster::start(&directory.0.join("pg"))?,
        };
        fs::create_dir_all(&directory.0)?;
        let session = Session::open(cluster.url()).await?;
        let database_pid = match cluster.pid() {
            Some(pid) => Some(pid),
            // A server that was given to us may be on another machine; its CPU time is then not known.
            None => cpu::parent_of_same_name(session.backend_pid().await?).ok(),
        };
        let mut provider = RoleProcess::start(program, PROVIDER, &psp::Settings::default()).await?;
        let ready: psp::Ready = provider.hear(ROLE_PATIENCE).await?;
        Ok(Self {
            options: options.clone(),
            program: program.to_owned(),
            session,
            provider_url: ready.base_url,
            tps: Vec::new(),
            sold: 0,
            cluster,
            database_pid,
            provider,
            made: 0,
            databases: Vec::new(),
            directory,
        })
    }

    /// Runs the reference and remembers what it reached.
    pub(crate) fn pgbench(&mut self) -> anyhow::Result<f64> {
        let tps = self.cluster.pgbench(self.options.seconds())?;
        self.tps.push(tps);
        Ok(tps)
    }

    /// A name that nothing else has here.
    pub(crate) fn name(&mut self) -> String {
        self.made += 1;
        format!("b{:03}", self.made)
    }

    /// Makes an empty PostgreSQL database and gives its address.
    pub(crate) fn empty_database(&mut self) -> anyhow::Result<String> {
        let name = format!("florin_bench_{}", self.name());
        if self.options.database.is_some() {
            // Left over from a run that was killed.
            self.cluster.drop_database(&name)?;
        }
        let url = self.cluster.create_database(&name)?;
        self.databases.push(name);
        Ok(url)
    }

    /// Starts a server over nothing.
    pub(crate) async fn fresh(&mut self, setup: Setup) -> anyhow::Result<Site> {
        let name = self.name();
        let directory = self.directory.0.join(name);
        let database_url = match setup.database {
            Database::Sqlite => None,
            Database::Postgres => Some(self.empty_database()?),
        };
        let start = Start {
            program: &self.program,
            data: directory.clone(),
            database: database_url.clone(),
            provider: self.provider_url.clone(),
            merchants: setup.merchants,
            checkpoint_pages: setup.checkpoint_pages,
        };
        let server = Server::start(&start).await?;
        if setup.endpoint {
            server
                .register_endpoints(&format!("{}{HOOKS_PATH}", self.provider_url))
                .await?;
        }
        Ok(Site {
            server,
            directory,
            database_url,
            database: setup.database,
        })
    }

    /// Puts a load on a server and measures it.
    pub(crate) async fn sample(&mut self, site: &Site, shape: &Shape) -> anyhow::Result<Sample> {
        let database = match site.database {
            Database::Sqlite => None,
            Database::Postgres => Some(DatabaseMeter {
                pid: self.database_pid,
                session: &self.session,
            }),
        };
        let around = Around {
            program: &self.program,
            provider_pid: self.provider.pid(),
            database,
        };
        let taken = take(&site.server, &around, shape).await;
        let sample = taken.with_context(|| site.server.last_words())?;
        if shape.kind == Kind::Sale {
            self.sold += sample.finished;
        }
        Ok(sample)
    }

    /// Measures the highest rate of one case on a fresh server; also says which checkpoint setting held.
    pub(crate) async fn measure(&mut self, case: Case) -> anyhow::Result<(Sample, Option<String>)> {
        let site = self
            .fresh(Setup {
                database: case.database,
                merchants: MERCHANTS,
                endpoint: case.endpoint,
                checkpoint_pages: self.options.checkpoint_pages,
            })
            .await?;
        let shape = self.full_load(case.kind, case.connections);
        let sample = self.sample(&site, &shape).await.with_context(|| case.name())?;
        let checkpoint = site.server.checkpoint.clone();
        site.remove().await?;
        Ok((sample, checkpoint))
    }

    /// As many requests as are answered, for the length of one sample.
    pub(crate) fn full_load(&mut self, kind: Kind, connections: usize) -> Shape {
        let measured_ms = self.options.seconds() * 1000;
        let run = self.name();
        Shape {
            kind,
            connections,
            pace: Pace::Closed,
            length: Length::Timed {
                warm_up_ms: WARM_UP_MS,
                measured_ms,
            },
            may_refuse: false,
            run,
        }
    }

    /// Stops everything, removes it, and says what the provider has seen.
    pub(crate) async fn close(mut self) -> anyhow::Result<Seen> {
        let seen = self.provider.end(ROLE_PATIENCE).await?;
        drop(self.session);
        if self.options.database.is_some() {
            for name in &self.databases {
                self.cluster.drop_database(name)?;
            }
        }
        self.cluster.stop()?;
        Ok(seen)
    }
}

impl Site {
    /// Stops the server and removes its files. Its PostgreSQL database stays until the end: dropping one makes the
    /// server write a checkpoint, and the next sample would pay for it.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        self.server.stop().await?;
        fs::remove_dir_all(&self.directory)?;
        Ok(())
    }
}
