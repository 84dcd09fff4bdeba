//! A database to ask: made for one test, gone after it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use florin_core::time::Timestamp;
use florin_store::Store;
use florin_store::memory::{Disk, MemoryStore};
use florin_store::postgres::{self, PostgresStore};
use florin_store::sqlite::{self, SqliteStore};

use crate::rows::START;
use crate::support::cluster;
use crate::support::folder::Folder;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
    Postgres,
}

/// A database and the first node's connection to it.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn Store>,
    behind: Behind,
}

enum Behind {
    Memory {
        node: Arc<MemoryStore>,
        clock: AtomicU32,
    },
    Sqlite(Folder),
    /// The address.
    Postgres(String),
}

impl Place {
    async fn new(kind: Kind) -> Self {
        let place = match kind {
            Kind::Memory => {
                let node = Arc::new(MemoryStore::open(Disk::default(), START));
                Self {
                    store: node.clone(),
                    behind: Behind::Memory {
                        node,
                        clock: AtomicU32::new(0),
                    },
                }
            }
            Kind::Sqlite => {
                let folder = Folder::new();
                Self {
                    store: sqlite(&folder),
                    behind: Behind::Sqlite(folder),
                }
            }
            Kind::Postgres => {
                let url = cluster::shared().database().await;
                Self {
                    store: postgres(&url).await,
                    behind: Behind::Postgres(url),
                }
            }
        };
        place.store.migrate().await.unwrap();
        place
    }

    /// Another node's connection to the same database.
    pub(crate) async fn another(&self) -> Arc<dyn Store> {
        match &self.behind {
            Behind::Memory { node, .. } => Arc::new(node.another()),
            Behind::Sqlite(folder) => sqlite(folder),
            Behind::Postgres(url) => postgres(url).await,
        }
    }

    /// The first node dies and comes back.
    pub(crate) async fn open_again(&mut self) {
        match &mut self.behind {
            Behind::Memory { node, clock } => {
                let seconds = i64::from(clock.load(Ordering::Relaxed));
                *node = Arc::new(MemoryStore::open(node.disk(), START.plus_seconds(seconds)));
                self.store = node.clone();
            }
            Behind::Sqlite(folder) => self.store = sqlite(folder),
            Behind::Postgres(url) => self.store = postgres(url).await,
        }
    }

    /// Lets the database's clock move.
    pub(crate) async fn wait_seconds(&self, seconds: u32) {
        match &self.behind {
            Behind::Memory { node, clock } => {
                let now = clock.fetch_add(seconds, Ordering::Relaxed) + seconds;
                node.set_clock(START.plus_seconds(i64::from(now)));
            }
            Behind::Sqlite(_) | Behind::Postgres(_) => {
                tokio::time::sleep(Duration::from_millis(u64::from(seconds) * 1_000 + 20)).await;
            }
        }
    }

    /// Runs a statement behind the store's back.
    pub(crate) async fn run(&self, sql: &str) {
        match &self.behind {
            Behind::Memory { .. } => panic!("memory has no SQL"),
            Behind::Sqlite(folder) => {
                rusqlite::Connection::open(folder.0.join("florin.db"))
                    .unwrap()
                    .execute_batch(sql)
                    .unwrap();
            }
            Behind::Postgres(url) => cluster::connect(url).await.batch_execute(sql).await.unwrap(),
        }
    }

    pub(crate) async fn clock(&self) -> Timestamp {
        self.store.clock().await.unwrap()
    }
}

fn sqlite(folder: &Folder) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&sqlite::Settings::at(folder.0.join("florin.db"))).unwrap())
}

async fn postgres(url: &str) -> Arc<dyn Store> {
    Arc::new(PostgresStore::open(&postgres::Settings::at(url)).await.unwrap())
}

/// Runs a test on a database of its own.
pub(crate) fn run(kind: Kind, test: impl for<'a> FnOnce(&'a mut Place) -> Pin<Box<dyn Future<Output = ()> + 'a>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut place = Place::new(kind).await;
        test(&mut place).await;
    });
}
