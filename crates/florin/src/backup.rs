//! `florin backup` and `florin restore`. `docs/runbook.md` has the procedure.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use florin_core::time::Timestamp;
use florin_services::audit::{self, When};
use florin_services::clock::{Clock, SystemClock};
use florin_services::egress::Egress;
use florin_services::reader::Reader;
use florin_services::restore::{self, Lack, Prepared};
use florin_store::Fault;
use florin_store::sqlite::SqliteStore;
use serde_json::json;

use crate::cli::{Backup, Output, Restore};
use crate::client::{CONFLICT, FAILED, Failure, NOT_FOUND};
use crate::config::Config;
use crate::{app, installation, root, serve};

/// How far before the copy's last event payments are compared: a hold that was captured since, or a sale that was refunded since, was
/// made before.
const COMPARED_DAYS: i64 = 30;
const DAY_S: i64 = 86_400;

pub(crate) async fn backup(output: Output, args: &Backup) -> anyhow::Result<ExitCode> {
    let config = serve::load(&args.local)?;
    if let Some(url) = &config.database {
        bail!(
            "PostgreSQL is copied by its own tools: run `{}`",
            pg_dump(url, &args.to)
        );
    }
    let (config, store) = installation::open(&args.local).await?;
    new_file(&args.to)?;
    store.backup(&args.to).await.map_err(not_copied)?;
    let wrong = SqliteStore::integrity(&args.to)?;
    if !wrong.is_empty() {
        bail!(
            "the copy {} is damaged ({}): remove it and make another one",
            args.to.display(),
            wrong.join("; ")
        );
    }
    let bytes = std::fs::metadata(&args.to)?.len();
    let place = root::find(&config)?.map(|(_, place)| place);
    if output.json {
        crate::say::data(&json!({ "object": "backup", "file": args.to, "bytes": bytes }).to_string());
    } else {
        crate::say::data(&format!("{} ({bytes} bytes), whole and checked", args.to.display()));
        if !output.quiet {
            match place {
                Some(root::Place::File(file)) => crate::say::note(&format!(
                    "It holds webhook secrets sealed under the root key in {}: keep that key too, and somewhere else.",
                    file.display()
                )),
                Some(root::Place::Configured) => {
                    crate::say::note(
                        "It holds webhook secrets sealed under the configured root key: keep that key too, and somewhere else.",
                    );
                }
                None => {}
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A copy goes to a new file of a folder that is there.
fn new_file(to: &Path) -> Result<(), Failure> {
    if to.exists() {
        let there = format!("{} is there already", to.display());
        return Err(Failure::new(
            CONFLICT,
            "file_exists",
            there,
            "a copy goes to a new file: give another name",
        ));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder.filter(|folder| !folder.is_dir()) {
        Some(folder) => {
            let nothing = format!("there is no folder {}", folder.display());
            Err(Failure::new(
                NOT_FOUND,
                "no_folder",
                nothing,
                "make it first, or name another one",
            ))
        }
        None => Ok(()),
    }
}

/// What kept a copy from being written is mostly where it was to lie, and says nothing about reaching the database.
fn not_copied(fault: Fault) -> anyhow::Error {
    match fault {
        Fault::Unavailable(why) => {
            let why = format!("no copy was made: {why}");
            Failure::new(FAILED, "not_copied", why, "mend that, or name a file in another folder").into()
        }
        other => other.into(),
    }
}

/// The command that copies a PostgreSQL database; without its password, which comes from PGPASSWORD or a password file.
fn pg_dump(url: &str, to: &Path) -> String {
    let shown = match url::Url::parse(url) {
        Ok(mut url) => {
            let _ = url.set_password(None);
            url.to_string()
        }
        Err(_) => "postgres://…".to_owned(),
    };
    format!("pg_dump --format=custom --file='{}' '{shown}'", to.display())
}

pub(crate) async fn restore(output: Output, args: &Restore) -> anyhow::Result<ExitCode> {
    let config = serve::load(&args.local)?;
    let Some(from) = &args.from else {
        // Comparing looks and writes nothing that a server would miss.
        let _alone = (args.settle && config.data.is_dir())
            .then(|| no_server(&config))
            .transpose()?;
        let (config, store) = installation::open(&args.local).await?;
        return settle(output, &config, &store, args.settle).await;
    };
    if config.database.is_some() {
        bail!(
            "PostgreSQL is restored by its own tools: stop every server, run `pg_restore --clean --if-exists --dbname=… {}`, and then \
             `florin restore --settle`",
            from.display()
        );
    }
    if !from.is_file() {
        let nothing = format!("there is no file {}", from.display());
        bail!(Failure::new(
            NOT_FOUND,
            "no_copy",
            nothing,
            "name the file that `florin backup` wrote"
        ));
    }
    // Without it nothing can be compared, and the copy would lie there half restored.
    if root::find(&config)?.is_none() {
        bail!(no_root_key(&config));
    }
    app::private_folder(&config.data)?;
    let _alone = no_server(&config)?;
    let file = installation::database_file(&config);
    put_back(&config, from, &file).await?;
    let store = installation::open_file(&file).await?;
    settle(output, &config, &store, true).await
}

/// Holds the data folder, and is refused beside a server: that goes on writing to the database that was moved away, and its callers would
/// be lost; and what it has out would be marked as lost.
fn no_server(config: &Config) -> anyhow::Result<std::fs::File> {
    const FIX: &str = "stop every server before a copy is put back; `florin restore --compare` may run beside one";
    let held = app::alone(&config.data, "a server", FIX)?;
    held.with_context(|| {
        let data = config.data.display();
        format!("cannot tell whether a server runs over the data folder {data}: nothing can be written there; run this as its owner")
    })
}

fn no_root_key(config: &Config) -> String {
    format!(
        "there is no root key in the configuration or in {}: put it back first, it belongs to the copy",
        config.data.display()
    )
}

/// Puts a copy where the database was, once it has been found whole and lawful. Overwrites nothing.
async fn put_back(config: &Config, from: &Path, file: &Path) -> anyhow::Result<()> {
    for taken in ["", "-wal", "-shm"] {
        let taken = beside(file, taken);
        if taken.exists() {
            let there = format!("{} is there", taken.display());
            let fix = "move the old database away (with its -wal and -shm) before you put a copy in its place";
            bail!(Failure::new(CONFLICT, "database_exists", there, fix));
        }
    }
    no_log(from)?;
    let wrong = SqliteStore::integrity(from).map_err(|fault| not_read(from, fault))?;
    if !wrong.is_empty() {
        let damaged = format!("the copy {} is damaged ({})", from.display(), wrong.join("; "));
        bail!(Failure::new(
            FAILED,
            "copy_damaged",
            damaged,
            "nothing was changed; take another copy"
        ));
    }
    app::private_folder(&config.data)?;
    let draft = file.with_extension("restoring");
    let _ = std::fs::remove_file(&draft);
    copy_private(from, &draft).with_context(|| format!("cannot copy {} to {}", from.display(), draft.display()))?;
    let laws = laws(from, &draft).await;
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(beside(&draft, suffix));
    }
    match laws {
        Ok(0) => {}
        Ok(findings) => {
            let _ = std::fs::remove_file(&draft);
            bail!(
                "{} breaks {findings} laws: look with `florin audit` at a folder that holds it as florin.db, or take another copy",
                from.display()
            );
        }
        Err(error) => {
            let _ = std::fs::remove_file(&draft);
            return Err(error);
        }
    }
    std::fs::rename(&draft, file).with_context(|| format!("cannot put the copy at {}", file.display()))?;
    std::fs::File::open(&config.data)?.sync_all()?;
    Ok(())
}

/// What SQLite keeps beside a database, which is named after it.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A database that was in use has its newest payments in the log beside it: the file alone would be put back without them.
fn no_log(from: &Path) -> anyhow::Result<()> {
    // SQLite looks for the log beside the file that a link leads to.
    let file = from.canonicalize();
    let file = file.with_context(|| format!("cannot find the copy {}", from.display()))?;
    let log = beside(&file, "-wal");
    match std::fs::metadata(&log) {
        Ok(found) if found.len() > 0 => {
            let kept = format!(
                "{} is a database with its log ({}), and no copy: without the log its newest payments would be lost",
                from.display(),
                log.display()
            );
            let fix = "nothing was changed; make a copy with `florin backup --data FOLDER copy.db`, FOLDER being where the two lie as \
                       florin.db and florin.db-wal, and restore that copy";
            bail!(Failure::new(CONFLICT, "copy_has_log", kept, fix))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot see whether {} holds payments", log.display())),
    }
}

/// Why a copy cannot be read, without the words for a database that cannot be reached.
fn not_read(from: &Path, fault: Fault) -> anyhow::Error {
    match fault {
        Fault::Unavailable(why) => {
            let why = format!("cannot read the copy {}: {why}", from.display());
            Failure::new(
                FAILED,
                "copy_unreadable",
                why,
                "see that this user may read it, or take another copy",
            )
            .into()
        }
        other => anyhow::Error::from(other).context(format!("cannot read the copy {}", from.display())),
    }
}

/// Copies a file, readable for its owner alone and durable.
fn copy_private(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut source = std::fs::File::open(from)?;
    let mut target = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    std::io::copy(&mut source, &mut target)?;
    target.sync_all()
}

/// How often a copy breaks a law, by the moment at which it was made. A copy of another release is not judged before it is brought up to
/// date, which happens where it is used; a file that has no tables of ours is no copy, and would be taken for a new installation.
async fn laws(from: &Path, file: &Path) -> anyhow::Result<u64> {
    let store = installation::open_file(file).await?;
    match store.level().await? {
        0 => bail!(
            "{} is no copy of a Florin database: name a file that `florin backup` wrote",
            from.display()
        ),
        florin_store::sqlite::LEVEL => {}
        _another_release => return Ok(0),
    }
    let when = When { now: None, at: None };
    let mut report = |finding: audit::Finding| {
        let order = finding.order.map_or_else(String::new, |order| format!("{order} "));
        crate::say::note(&format!("{}  {order}{}", finding.law, finding.what));
    };
    let summary = audit::audit(&*store, florin_rails::ALL, when, &mut report, &mut |_| {}).await?;
    Ok(summary.breaches())
}

/// Makes a database that was put back safe to work on, if it is `new` here, and says what it lacks.
async fn settle(
    output: Output,
    config: &Config,
    store: &Arc<dyn florin_store::Store>,
    new: bool,
) -> anyhow::Result<ExitCode> {
    let prepared = if new {
        store.migrate().await?;
        restore::prepare(&**store, SystemClock.now()).await?
    } else {
        Prepared::default()
    };
    let directory = installation::directory(store).await?;
    let reader = Reader::new(
        Arc::clone(store),
        Arc::clone(&directory),
        florin_rails::ALL,
        Arc::default(),
        Arc::default(),
    );
    reader.catch_up().await?;
    let newest = newest(&**store).await?;
    let keyring = installation::keyring(config)?;
    let (mut lacking, mut unasked) = (0_u64, 0_u64);
    let mut report = |lack: Lack| {
        lacking += 1;
        unasked += u64::from(lack.payment.is_none());
        said(output, &lack);
    };
    let looked_at = match keyring {
        Some((keyring, _)) => {
            let since = newest.plus_seconds(-COMPARED_DAYS * DAY_S);
            let egress = Egress::new(Arc::new(keyring));
            restore::lacks(&**store, &directory, &egress, florin_rails::ALL, since, &mut report).await?
        }
        None => bail!(no_root_key(config)),
    };
    if output.json {
        let line = json!({
            "object": "restore", "newest_event": crate::audit::text(newest), "open_orders": prepared.open, "asked_about": prepared.messages,
            "compared": looked_at, "lacking": lacking,
        });
        crate::say::data(&crate::say::json(&line));
    } else if !output.quiet {
        if new {
            crate::say::note(&format!(
                "The database is back. Orders that are open: {}. Messages that were out, and are asked about and not sent again: {}.",
                prepared.open, prepared.messages
            ));
        }
        crate::say::note(&format!(
            "Payments that were compared with the providers: {looked_at}. Those that differ: {}. Connections that could not be asked: {unasked}.",
            lacking - unasked
        ));
        if new {
            crate::say::note(
                "Start the server: what it asks settles most differences. Then `florin restore --compare` lists the rest.",
            );
        }
    }
    Ok(ExitCode::from(u8::from(lacking > 0)))
}

/// The moment of the newest event.
async fn newest(store: &dyn florin_store::Store) -> anyhow::Result<Timestamp> {
    const PAGE: u32 = 1_000;
    let (mut at, mut newest) = (florin_store::Cursor::START, Timestamp::default());
    loop {
        let rows = store.events_after(at, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(newest) };
        at = last.at;
        newest = rows.iter().map(|row| row.time).fold(newest, Timestamp::max);
    }
}

fn said(output: Output, lack: &Lack) {
    if output.json {
        let line = json!({
            "object": "lack", "connection": lack.connection, "payment": lack.payment, "order": lack.order, "what": lack.what,
        });
        return crate::say::data(&crate::say::json(&line));
    }
    let payment = lack.payment.as_deref().unwrap_or("-");
    let order = lack.order.map_or_else(|| "-".to_owned(), |order| order.to_string());
    let line = format!("{}  {payment}  {order}  {}", lack.connection, lack.what);
    crate::say::data(&crate::say::plain(&line));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_no_copy_of_a_florin_database_is_not_put_back() {
        let folder = std::env::temp_dir().join(format!("florin-put-back-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("data = {:?}\n", folder.join("data"));
        let config = Config::from_text(&text, Path::new("florin.toml"), &BTreeMap::new()).unwrap();
        let file = installation::database_file(&config);
        let (empty, foreign, own) = (folder.join("empty"), folder.join("foreign"), folder.join("own"));
        std::fs::write(&empty, b"").unwrap();
        let made = rusqlite::Connection::open(&foreign).unwrap();
        made.execute_batch("create table bookmarks (url text); insert into bookmarks values ('x')")
            .unwrap();
        drop(made);
        for wrong in [&empty, &foreign] {
            let error = put_back(&config, wrong, &file).await.unwrap_err().to_string();
            assert!(error.contains("is no copy of a Florin database"), "{error}");
            let left: Vec<_> = std::fs::read_dir(&config.data).unwrap().collect();
            assert!(left.is_empty(), "nothing is put there: {left:?}");
        }
        let store = installation::open_file(&own).await.unwrap();
        store.migrate().await.unwrap();
        drop(store);
        put_back(&config, &own, &file).await.unwrap();
        assert!(file.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn a_database_that_has_payments_in_its_log_is_not_put_back_without_them() {
        let folder = std::env::temp_dir().join(format!("florin-put-back-log-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("data = {:?}\n", folder.join("data"));
        let config = Config::from_text(&text, Path::new("florin.toml"), &BTreeMap::new()).unwrap();
        let file = installation::database_file(&config);
        let (from, link) = (folder.join("florin.db"), folder.join("link.db"));
        std::os::unix::fs::symlink(&from, &link).unwrap();
        let store = installation::open_file(&from).await.unwrap();
        store.migrate().await.unwrap();
        drop(store);
        let used = rusqlite::Connection::open(&from).unwrap();
        used.execute_batch("create table later (n integer); insert into later values (1)")
            .unwrap();
        for named in [&from, &link] {
            let error = put_back(&config, named, &file).await.unwrap_err();
            let failure = error.downcast_ref::<Failure>().unwrap();
            assert_eq!(failure.code, CONFLICT, "{failure}");
            let said = failure.to_string();
            assert!(
                said.contains("florin.db-wal") && said.contains("`florin backup --data"),
                "{said}"
            );
            assert!(!file.exists(), "nothing is put there");
        }
        // What the error says to do.
        let store = installation::open_file(&from).await.unwrap();
        let copy = folder.join("copy.db");
        store.backup(&copy).await.unwrap();
        put_back(&config, &copy, &file).await.unwrap();
        let back = rusqlite::Connection::open(&file).unwrap();
        let rows: i64 = back
            .query_row("select count(*) from later", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 1);
        drop((used, store, back));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_command_for_postgresql_shows_no_password() {
        let command = pg_dump(
            "postgres://florin:hunter2@db.example/florin",
            Path::new("/backup/f.dump"),
        );
        assert_eq!(
            command,
            "pg_dump --format=custom --file='/backup/f.dump' 'postgres://florin@db.example/florin'"
        );
    }
}
