//! `florin serve`: the server, for real use.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use florin_channels::{Settings, admin, api};
use florin_core::id::{ConnectionId, MerchantId};
use florin_core::secret::Secret;
use florin_services::directory::{Connection, Merchant, Scope, hash_of};
use florin_services::{dice, engine, keyring};
use florin_store::{Mode, Tenant};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::app::{self, App, Plan};
use crate::cli::{Output, Serve};
use crate::config::Config;
use crate::{log, root, web};

/// Lanes on PostgreSQL: a second one opens under load, never more than one per core (`sale-ceiling.md`).
const LANES_MAX: usize = 2;

/// The name under which the stand-in provider's key is kept while measuring.
const BENCH_SECRET: &str = "bench_provider_key";

pub(crate) async fn run(output: Output, args: &Serve, metrics: PrometheusHandle) -> anyhow::Result<()> {
    let mut config = load(&args.local)?;
    let traces = log::start(&config.log)?;
    web::raise_descriptors();
    let any = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    if let Some(port) = args.port {
        let next = |offset: u16| any(if port == 0 { 0 } else { port + offset });
        (config.server.api, config.server.stripe, config.server.admin) = (next(0), next(2), next(5));
    }
    refuse_open_doors(&config)?;
    app::private_folder(&config.data)?;
    let fix = match &config.database {
        Some(_) => app::NODE_OF_ITS_OWN,
        None => app::FOLDER_OF_ITS_OWN,
    };
    let _alone = app::alone(&config.data, "another server", fix)?;
    if root::dev_file(&config).exists() {
        tracing::warn!(
            "`florin dev` made the data folder {}: its merchant, key and pretend provider are there; for real use give this server a folder of its \
             own with --data, or start it in another directory",
            config.data.display()
        );
    }
    let listeners = [
        app::listen(config.server.api).await?,
        app::listen(config.server.stripe).await?,
        app::listen(config.server.admin).await?,
    ];
    let [api_url, stripe_url, admin_url] = [
        app::url_of(&listeners[0])?,
        app::url_of(&listeners[1])?,
        app::url_of(&listeners[2])?,
    ];
    let [api_listener, stripe_listener, admin_listener] = listeners;
    let admin_key = match config.secrets.get("admin_key").and_then(|values| values.first()) {
        Some(value) => value.expose().clone(),
        None => {
            let make = || format!("fl_admin_{}", dice::token::<24>());
            app::kept(&config.data, "admin.key", make)?.0
        }
    };
    let root_key = root::Given {
        key: root::find(&config)?.map(|(key, _)| key),
        lost: args.root_key_lost,
        takes_over: false,
        another: root::ANOTHER.to_owned(),
    };
    let bench = args.bench_provider.is_some();
    let mut secrets = keyring::of_connections(config.secrets.clone());
    if bench {
        secrets.insert(BENCH_SECRET.to_owned(), vec![Secret::new("sk_test_bench".to_owned())]);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        file: "florin.db",
        database: config.database.clone(),
        checkpoint_pages: args.checkpoint_pages.unwrap_or(config.sqlite.checkpoint_pages),
        rails: florin_rails::ALL,
        secrets,
        root_key,
        node: match &config.node {
            Some(name) => app::node_of(name),
            None => app::node_id(&config.data)?,
        },
        engine: engine::Settings {
            lanes: if config.database.is_some() {
                cores.min(LANES_MAX)
            } else {
                1
            },
            call_wait: Duration::from_secs(config.limits.answer_wait_s.into()),
            calls_max: config.limits.queue,
            drain: Duration::from_secs(config.limits.drain_s.into()),
            test_method: crate::stripe::may_be_test_method,
            ..engine::Settings::default()
        },
        doors: Settings {
            api_url: config.server.public_url.clone().unwrap_or_else(|| api_url.clone()),
            stripe_url: config
                .server
                .stripe_public_url
                .clone()
                .unwrap_or_else(|| stripe_url.clone()),
            body_bytes: config.limits.body_bytes,
            requests_per_s: config.limits.requests_per_s,
            admin_key_hash: Some(hash_of(&admin_key)),
            allow_private_webhooks: config.webhooks.allow_private || bench,
            any_provider_address: bench || config.providers.any_address,
        },
        data: config.data.clone(),
    };
    let checkpoint = plan
        .database
        .is_none()
        .then(|| format!("{} pages", plan.checkpoint_pages));
    let words = crate::stripe::words(&plan.doors.stripe_url);
    let app = App::start(plan, words).await?;
    let keys = match &args.bench_provider {
        Some(provider) => merchants_for_bench(&app, provider, args.bench_merchants).await?,
        None => Vec::new(),
    };
    let asked = web::Asked::listen()?;
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&app.watch).run(stop.clone()));
    let doors = [
        tokio::spawn(web::serve(api_listener, api::router(app.doors.clone()), stop.clone())),
        tokio::spawn(web::serve(
            stripe_listener,
            crate::stripe::merchant(app.doors.clone()),
            stop.clone(),
        )),
        tokio::spawn(web::serve(admin_listener, admin_door(&app, metrics), stop.clone())),
    ];
    let line = json!({ "api": api_url, "stripe": stripe_url, "admin": admin_url, "openapi": format!("{api_url}/openapi.json"),
        "keys": keys, "checkpoint": checkpoint });
    if output.json {
        crate::say::banner(&line.to_string());
    } else if !output.quiet {
        crate::say::banner(&format!("API     {api_url}\nStripe  {stripe_url}\nadmin   {admin_url}"));
        crate::say::banner(&format!(
            "The admin key is in {}",
            config.data.join("admin.key").display()
        ));
    }
    asked.heard().await;
    tracing::info!("stopping: finishing what is under way");
    stop.cancel();
    app.stop().await;
    for door in doors {
        let _ = tokio::time::timeout(web::DOORS_CLOSE, door).await;
    }
    traces.close().await;
    Ok(())
}

/// The settings, with the flags of a command over them.
pub(crate) fn load(local: &crate::cli::Local) -> anyhow::Result<Config> {
    let env: BTreeMap<String, String> = std::env::vars()
        .filter(|(name, _)| name.starts_with("FLORIN_"))
        .collect();
    let mut config = Config::load(local.config.as_deref(), &env)?;
    if let Some(data) = &local.data {
        config.data.clone_from(data);
    }
    if local.database.is_some() {
        config.database.clone_from(&local.database);
    }
    Ok(config)
}

/// A public address without TLS in front would send keys over the network as they are.
fn refuse_open_doors(config: &Config) -> anyhow::Result<()> {
    for (name, address) in [("api", config.server.api), ("stripe", config.server.stripe)] {
        if !address.ip().is_loopback() && !config.server.behind_proxy {
            bail!(
                "server.{name} listens on {address}, which others can reach without TLS: put a proxy that speaks TLS in front and set \
                 `behind_proxy = true` under [server], or listen on 127.0.0.1"
            );
        }
    }
    if !config.server.admin.ip().is_loopback() && !config.server.behind_proxy {
        bail!(
            "server.admin listens on {}: metrics and health are for this machine; listen on 127.0.0.1",
            config.server.admin
        );
    }
    Ok(())
}

/// The admin door of an installation.
pub(crate) fn admin_door(app: &App, metrics: PrometheusHandle) -> axum::Router {
    let (engine, store) = (Arc::clone(&app.doors.engine), Arc::clone(&app.doors.store));
    let ready: admin::Ready = Arc::new(move || {
        let (engine, store) = (Arc::clone(&engine), Arc::clone(&store));
        Box::pin(async move {
            let health = engine.health();
            if health.draining {
                return Err("stopping".to_owned());
            }
            if health.broken {
                return Err(
                    "the disk or a lane failed: nothing is acknowledged any more; see the log, and start the process again"
                        .to_owned(),
                );
            }
            match tokio::time::timeout(Duration::from_secs(2), store.clock()).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(fault)) => Err(fault.to_string()),
                Err(_) => Err("the database does not answer within 2 s".to_owned()),
            }
        })
    });
    let watch = Arc::clone(&app.watch);
    let gather: admin::Gather = Arc::new(move || {
        let watch = Arc::clone(&watch);
        Box::pin(async move { watch.gather().await })
    });
    admin::router(metrics, ready, gather, app.node)
}

/// As many merchants as asked for, each with a key and a test connection to the stand-in; the same keys over the same data.
async fn merchants_for_bench(app: &App, provider: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let directory = &app.doors.directory;
    let secrets = [("api_key", BENCH_SECRET)];
    let (mut keys, mut drafts) = (Vec::new(), Vec::new());
    for number in 0..count {
        let key = format!("sk_test_bench{number:06}{}", "0".repeat(30));
        match directory.authenticate(&key).await? {
            Some(known) => {
                point(app, known.tenant, "stripe", provider, &secrets)
                    .await
                    .context("cannot move the stand-in provider")?;
            }
            None => {
                let merchant = Merchant {
                    id: MerchantId::from_uuid(directory.new_uuid()),
                    name: format!("Bench {number}"),
                    created_at: directory.now(),
                };
                let tenant = Tenant {
                    merchant: merchant.id,
                    mode: Mode::Test,
                };
                let scopes = vec![Scope::Read, Scope::Pay, Scope::Refund, Scope::Manage];
                let opened = directory.key_of(tenant, "bench", scopes, &Secret::new(key.clone()));
                let connection = connection_of(app, tenant, "stripe", provider, &secrets);
                drafts.push(directory.draft(None, &merchant)?);
                drafts.push(directory.draft(Some(tenant), &opened)?);
                drafts.push(directory.draft(Some(tenant), &connection)?);
            }
        }
        keys.push(key);
    }
    if !drafts.is_empty() {
        directory.make_all(drafts).await?;
    }
    Ok(keys)
}

/// Gives a tenant one connection to this address, or moves the one that it has there.
pub(crate) async fn point(
    app: &App,
    tenant: Tenant,
    rail: &str,
    base: &str,
    secrets: &[(&str, &str)],
) -> anyhow::Result<Connection> {
    let directory = &app.doors.directory;
    if let Some(known) = directory
        .connections(tenant)
        .into_iter()
        .find(|known| known.rail == rail)
    {
        let (base, secrets) = (base.to_owned(), secrets_of(secrets));
        let change = move |connection: &mut Connection| {
            connection.base.clone_from(&base);
            connection.secrets.clone_from(&secrets);
        };
        return Ok(directory.change(Some(tenant), &known.id.to_string(), change).await?);
    }
    let connection = connection_of(app, tenant, rail, base, secrets);
    Ok(directory.make(Some(tenant), connection, None).await?.document)
}

fn connection_of(app: &App, tenant: Tenant, rail: &str, base: &str, secrets: &[(&str, &str)]) -> Connection {
    let directory = &app.doors.directory;
    Connection {
        id: ConnectionId::from_uuid(directory.new_uuid()),
        tenant,
        rail: rail.to_owned(),
        base: base.to_owned(),
        secrets: secrets_of(secrets),
        own: Default::default(),
        settings: BTreeMap::new(),
        default: true,
        enabled: true,
        created_at: directory.now(),
    }
}

/// The rail's word for each secret, and its name in the configuration.
fn secrets_of(secrets: &[(&str, &str)]) -> BTreeMap<String, String> {
    secrets
        .iter()
        .map(|(word, name)| ((*word).to_owned(), (*name).to_owned()))
        .collect()
}
