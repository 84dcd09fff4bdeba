//! One installation, put together: store, directory, engine, reader, notifier and the doors over them.
//!
//! `serve` runs one; `dev` runs two, the product and the pretend provider, which is the same code over a card issuer.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use florin_channels::teller::{StripeWords, Telegraph};
use florin_channels::{Doors, Parts, Settings};
use florin_core::id::{Ids, NodeId};
use florin_core::rail::Rail;
use florin_services::clock::{Clock, HeldClock, SystemClock};
use florin_services::dice::SystemIds;
use florin_services::directory::{Directory, Surroundings, hash_of};
use florin_services::engine::{self, Engine};
use florin_services::keyring::{Keyring, Values};
use florin_services::notify::{Notifier, net};
use florin_services::reader::Reader;
use florin_services::watch::Watch;
use florin_store::postgres::PostgresStore;
use florin_store::sqlite::SqliteStore;
use florin_store::{Fault, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{CONFLICT, FAILED, Failure, UNREACHABLE};
use crate::root;

/// How often other nodes' changes of merchants, keys and endpoints are looked for.
const REFRESH: Duration = Duration::from_secs(2);

/// How often the clock is held to the database's.
const HOLD_CLOCK: Duration = Duration::from_secs(10);

/// How long a stop waits for lists and first webhooks of the last commits. Who ends processes may wait ten seconds in all.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long between two looks at whose root key the database is kept under.
const LOOK_AT_MARK: Duration = Duration::from_secs(10);

/// What an installation is made of.
pub(crate) struct Plan {
    pub(crate) data: PathBuf,
    pub(crate) file: &'static str,
    pub(crate) database: Option<String>,
    pub(crate) checkpoint_pages: u32,
    pub(crate) rails: &'static [&'static dyn Rail],
    pub(crate) secrets: Values,
    pub(crate) root_key: root::Given,
    pub(crate) node: NodeId,
    pub(crate) engine: engine::Settings,
    pub(crate) doors: Settings,
}

/// An installation that runs.
pub(crate) struct App {
    pub(crate) doors: Doors,
    pub(crate) watch: Arc<Watch>,
    pub(crate) node: NodeId,
    notifier: Arc<Notifier>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl App {
    /// Opens the database, brings its tables up to date, and starts everything that waits.
    pub(crate) async fn start(plan: Plan, stripe: Option<StripeWords>) -> anyhow::Result<Self> {
        let store = open_store(
            plan.database.as_deref(),
            &plan.data.join(plan.file),
            plan.checkpoint_pages,
        )
        .await?;
        store
            .migrate()
            .await
            .context("cannot bring the database's tables up to date")?;
        let held = Arc::new(HeldClock::new());
        let clock: Arc<dyn Clock> = match &plan.database {
            Some(_) => {
                hold(&held, &*store).await;
                Arc::clone(&held) as Arc<dyn Clock>
            }
            // A file is on this machine.
            None => Arc::new(SystemClock),
        };
        let now = {
            let clock = Arc::clone(&clock);
            move || clock.now()
        };
        let around = Surroundings {
            clock: Box::new(now.clone()),
            ids: Mutex::new(Box::new(SystemIds::new(now.clone())) as Box<dyn Ids + Send>),
        };
        let directory = Directory::load(Arc::clone(&store), around).await?;
        let given = plan.root_key;
        let keyring = Arc::new(given.keyring(plan.secrets, &plan.data, &*store, &directory).await?);
        let engine = Engine::start(engine::Parts {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            keyring: Arc::clone(&keyring),
            rails: plan.rails,
            clock: Arc::clone(&clock),
            ids: Box::new(SystemIds::new(now)),
            node: plan.node,
            origin: plan.doors.api_url.clone(),
            settings: plan.engine,
        });
        let bell = Arc::new(tokio::sync::Notify::new());
        let reader = Reader::new(
            Arc::clone(&store),
            Arc::clone(&directory),
            plan.rails,
            engine.committed(),
            Arc::clone(&bell),
        );
        let wall = Arc::clone(&clock);
        let notifier = Arc::new(Notifier {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            teller: Telegraph::new(Arc::clone(&engine), stripe),
            sender: net::Sender::new(plan.doors.allow_private_webhooks),
            node: plan.node,
            wall: Arc::new(move || wall.wall()),
            bell: Arc::clone(&bell),
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(Arc::clone(&reader).run(stop.clone()));
        tasks.spawn(Arc::clone(&notifier).run(stop.clone()));
        tasks.spawn(refresh(Arc::clone(&directory), stop.clone()));
        if plan.database.is_some() {
            tasks.spawn(keep_time(held, Arc::clone(&store), stop.clone()));
            tasks.spawn(watch_root_key(Arc::clone(&store), keyring, stop.clone()));
        }
        let watch = Watch::new(Arc::clone(&engine));
        let doors = Doors::new(Parts {
            engine,
            directory,
            store,
            reader,
            bell,
            settings: Arc::new(plan.doors),
        });
        Ok(Self {
            doors,
            watch,
            node: plan.node,
            notifier,
            stop,
            tasks,
        })
    }

    /// Finishes what is under way, tells what can be told now, and stops.
    pub(crate) async fn stop(self) {
        self.doors.engine.drain().await;
        // What the last commits made is folded and its first webhooks go out, so that a stop loses no time; the rest is durable.
        let last = async {
            if self.doors.reader.catch_up().await.is_ok() {
                let _ = self.notifier.round().await; // what it did not reach is due
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, last).await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn refresh(directory: Arc<Directory>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REFRESH) => {}
        }
        if let Err(error) = directory.refresh().await {
            tracing::warn!(%error, "cannot look for changes of merchants, keys and endpoints");
        }
    }
}

/// Says so for as long as the database is another root key's: somebody started a server with `--root-key-lost`, or `dev`, while this one
/// runs. It goes on, because payments need no root key.
async fn watch_root_key(store: Arc<dyn Store>, keyring: Arc<Keyring>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_AT_MARK) => {}
        }
        // A database that does not answer is noticed elsewhere.
        if let Ok(Some(false)) = root::marked(&*store, &keyring).await {
            tracing::error!(
                "{}; webhook secrets that this server makes do not open there: give all servers of this database one root key, and \
                 start them again",
                root::MARK_SHUT
            );
        }
    }
}

/// Holds the clock to the database's, which all nodes share.
async fn keep_time(clock: Arc<HeldClock>, store: Arc<dyn Store>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HOLD_CLOCK) => {}
        }
        hold(&clock, &*store).await;
    }
}

async fn hold(clock: &HeldClock, store: &dyn Store) {
    let before = clock.now();
    // A database that does not answer is noticed elsewhere.
    let Ok(there) = store.clock().await else { return };
    let moved_ms = clock.hold(before, there, clock.now());
    if moved_ms != 0 {
        tracing::warn!(
            moved_ms,
            "this machine's clock and the database's are apart: time goes by the database's; let both follow the same time server"
        );
    }
}

/// The database: an address of PostgreSQL, or a file.
pub(crate) async fn open_store(
    database: Option<&str>,
    file: &Path,
    checkpoint_pages: u32,
) -> anyhow::Result<Arc<dyn Store>> {
    match database {
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            let settings = florin_store::postgres::Settings::at(url);
            let store = PostgresStore::open(&settings).await.map_err(no_postgres)?;
            Ok(Arc::new(store))
        }
        Some(other) => {
            // Not the whole of it: an address holds a password.
            let begins = match other.split_once("://") {
                Some((scheme, _)) => format!("begins with `{}://`", scheme.chars().take(20).collect::<String>()),
                None => "does not begin with `postgres://`".to_owned(),
            };
            let detail = format!("the database address {begins}, and Florin speaks to PostgreSQL alone");
            let fix = "write postgres://user@host/name, or leave it out for SQLite";
            bail!(Failure::usage(detail, fix))
        }
        None => {
            let settings = florin_store::sqlite::Settings {
                checkpoint_pages,
                ..florin_store::sqlite::Settings::at(file)
            };
            let store = SqliteStore::open(&settings).with_context(|| format!("cannot open {}", file.display()))?;
            Ok(Arc::new(store))
        }
    }
}

/// A server of PostgreSQL that cannot be reached is somebody's to start, or at another address.
fn no_postgres(fault: Fault) -> anyhow::Error {
    match fault {
        Fault::Unavailable(why) => {
            let detail = format!("cannot open the PostgreSQL database: {why}");
            let fix = "see that it runs and takes connections at the address that `database` (or --database) names";
            Failure::new(UNREACHABLE, "unreachable", detail, fix).into()
        }
        other => anyhow::Error::new(other).context("cannot open the PostgreSQL database"),
    }
}

/// Makes the data folder, readable for its owner alone.
pub(crate) fn private_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the folder {}", path.display()))
}

/// The file of a data folder that its server holds locked for as long as it lives.
const SERVER_LOCK: &str = "server.lock";

/// What a second node over one database does about a data folder that is taken: a node's id, keys and root key lie there.
pub(crate) const NODE_OF_ITS_OWN: &str = "stop it first, or give this one another with --data: each node has a data folder of its own, whatever its \
                                          name, and the same root key as the others (`root_key` under [secrets], or a copy of their root.key)";
/// The same where the database lies in the folder.
pub(crate) const FOLDER_OF_ITS_OWN: &str =
    "stop it first (`florin restore`: let it end), or give this one a folder of its own with --data";

/// The data folder, for one server alone while the answer is kept: two over one folder would be the same node, and each would carry out
/// what the other is at. `restore` holds it likewise. Tools that look take no lock.
///
/// None: nothing can be written there (a node of PostgreSQL whose name and keys are given to it), so nothing can be fought over.
pub(crate) fn alone(data: &Path, other: &str, fix: &str) -> anyhow::Result<Option<std::fs::File>> {
    let path = data.join(SERVER_LOCK);
    let lock = match private(&path) {
        Ok(lock) => lock,
        // One that is there may be held, by whoever may write it.
        Err(error) if [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied].contains(&error.kind()) => {
            match std::fs::File::open(&path) {
                Ok(lock) => lock,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => {
                    let fix = "run this as the owner of the data folder, or give that user the file (`chown`)";
                    return Err(error).with_context(|| format!("cannot open {}: {fix}", path.display()));
                }
            }
        }
        Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
    };
    match lock.try_lock() {
        // A file system without locks has one server.
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(Some(lock)),
        Err(std::fs::TryLockError::WouldBlock) => {
            let taken = format!("{other} runs over the data folder {}", data.display());
            Err(Failure::new(CONFLICT, "folder_in_use", taken, fix).into())
        }
    }
}

/// A value that is made once and kept in a file of the data folder, and whether it was made now. Of processes that make it at the same
/// moment, one does, and the others read what it made.
pub(crate) fn kept(data: &Path, name: &str, make: impl FnOnce() -> String) -> anyhow::Result<(String, bool)> {
    let path = data.join(name);
    let there = || match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    if let Some(text) = there()? {
        return Ok((text, false));
    }
    let making = path.with_extension("making");
    let lock = private(&making).with_context(|| format!("cannot write {}", making.display()))?;
    // A file system without locks has one server.
    let _ = lock.lock();
    if let Some(text) = there()? {
        return Ok((text, false));
    }
    let text = make();
    write_private(&path, &text)?;
    let _ = std::fs::remove_file(&making);
    Ok((text, true))
}

/// A file that only its owner reads, made if it is not there.
fn private(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Writes a file that only its owner reads: whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let draft = path.with_extension("draft");
    let write = || -> std::io::Result<()> {
        let mut file = private(&draft)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The file that holds it.
pub(crate) const NODE_FILE: &str = "node";

/// This node's id: made once, kept in the data folder.
pub(crate) fn node_id(data: &Path) -> anyhow::Result<NodeId> {
    let (text, _) = kept(data, NODE_FILE, || {
        let mut ids = SystemIds::new(|| SystemClock.now());
        NodeId::from_uuid(ids.next_uuid()).to_string()
    })?;
    text.parse()
        .with_context(|| format!("{} holds no node id: remove it", data.join(NODE_FILE).display()))
}

/// The id of a node that has a name: the same name is the same node.
pub(crate) fn node_of(name: &str) -> NodeId {
    let hash = hash_of(name);
    let mut bytes = [0_u8; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).unwrap_or(0);
    }
    NodeId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// A listener on an address, with an error that says what to do.
pub(crate) async fn listen(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let detail = format!("cannot listen on {address}: {error}");
        Failure::new(FAILED, "cannot_listen", detail, deaf(&error)).into()
    })
}

/// What to do about an address that cannot be listened on.
pub(crate) fn deaf(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => {
            "stop the program that uses it, or choose another port with --port (0: any) or under [server] in the configuration"
        }
        ErrorKind::AddrNotAvailable => "this machine has no such address: use one that it has, such as 127.0.0.1",
        ErrorKind::PermissionDenied => {
            "ports below 1024 are the system's: choose a larger one, with --port or under [server]"
        }
        _ => "choose another address or port",
    }
}

/// `http://` and the address that a listener got.
pub(crate) fn url_of(listener: &TcpListener) -> anyhow::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}
