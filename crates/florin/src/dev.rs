//! `florin dev`: everything on this machine. The product, a pretend provider (the same Stripe-compatible door over an engine and a
//! database of its own), the simulated card issuer behind it, and a shop to buy from.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use florin_channels::{Settings, api, hooks};
use florin_core::secret::Secret;
use florin_services::directory::{Connection, Dialect, Endpoint, Scope, hash_of};
use florin_services::notify::{ENDPOINT_SECRET, sign};
use florin_services::{dice, engine};
use florin_store::{Mode, Tenant};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{self, App, Plan};
use crate::cli::{Dev, Output, Sandbox};
use crate::config::{Log, LogFormat};
use crate::places::Places;
use crate::serve::{admin_door, point};
use crate::{log, root, stripe, web};

/// Names of the secrets of the connection between product and pretend provider.
pub(crate) const PROVIDER_KEY: &str = "dev_provider_key";
pub(crate) const PROVIDER_HOOK: &str = "dev_provider_hook";
/// Name of the secret by which the pretend provider knows its issuer's notices.
const ISSUER_HOOK: &str = "dev_issuer_hook";
/// Pages between two checkpoints of the pretend provider's database.
const PROVIDER_CHECKPOINT_PAGES: u32 = 4_000;

/// What stays the same over the same data: kept in `secrets.json` of the data folder.
struct Kept {
    key: String,
    admin_key: String,
    provider_key: String,
    provider_hook: String,
    root_key: String,
}

pub(crate) async fn run(output: Output, args: &Dev, metrics: PrometheusHandle) -> anyhow::Result<()> {
    let traces = log::start(&Log {
        filter: std::env::var("FLORIN_LOG_FILTER").unwrap_or_else(|_| "warn".to_owned()),
        format: LogFormat::Auto,
    })?;
    app::private_folder(&args.data)?;
    let _alone = app::alone(&args.data, "another server", app::FOLDER_OF_ITS_OWN)?;
    let kept = Kept::read(&args.data)?;
    let at = |offset: u16| SocketAddr::new(args.host, if args.port == 0 { 0 } else { args.port + offset });
    let mut places = Places::of(&args.data);
    let api_listener = places.listen("api", at(0)).await?;
    let shop_listener = places.listen("shop", at(1)).await?;
    let stripe_listener = places.listen("stripe", at(2)).await?;
    let admin_listener = places.listen("admin", at(5)).await?;
    let (api_url, shop_url) = (app::url_of(&api_listener)?, app::url_of(&shop_listener)?);
    let (stripe_url, admin_url) = (app::url_of(&stripe_listener)?, app::url_of(&admin_listener)?);

    let asked = web::Asked::listen()?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let outside = World::start(&args.data, &kept, &mut places, [at(3), at(4)], &stop, &tasks).await?;
    places.keep()?;

    let plan = Plan {
        data: args.data.clone(),
        file: "florin.db",
        database: args.database.clone(),
        checkpoint_pages: florin_store::sqlite::CHECKPOINT_PAGES,
        rails: florin_rails::ALL,
        secrets: [
            (PROVIDER_KEY.to_owned(), vec![Secret::new(kept.provider_key.clone())]),
            (PROVIDER_HOOK.to_owned(), vec![Secret::new(kept.provider_hook.clone())]),
        ]
        .into(),
        root_key: root::Given::of_dev(&kept.root_key, &args.data, args.database.is_some())?,
        node: app::node_id(&args.data)?,
        engine: engine::Settings {
            lanes: if args.database.is_some() { 2 } else { 1 },
            test_method: stripe::may_be_test_method,
            ..engine::Settings::default()
        },
        doors: Settings {
            api_url: api_url.clone(),
            stripe_url: stripe_url.clone(),
            body_bytes: 256 * 1024,
            requests_per_s: 0,
            admin_key_hash: Some(hash_of(&kept.admin_key)),
            allow_private_webhooks: true,
            any_provider_address: true,
        },
    };
    let product = App::start(plan, stripe::words(&stripe_url)).await?;
    let tenant = tenant_of(&product, "Giglio", &kept.key).await?;
    let secrets = [("api_key", PROVIDER_KEY), ("webhook_secret", PROVIDER_HOOK)];
    let connection = point(&product, tenant, "stripe", &outside.url, &secrets).await?;
    outside
        .tell(&format!("{api_url}/hooks/{}", connection.id), &kept.provider_hook)
        .await?;

    tasks.spawn(web::serve(
        api_listener,
        api::router(product.doors.clone()),
        stop.clone(),
    ));
    tasks.spawn(web::serve(
        stripe_listener,
        stripe::merchant(product.doors.clone()),
        stop.clone(),
    ));
    tasks.spawn(std::sync::Arc::clone(&product.watch).run(stop.clone()));
    tasks.spawn(web::serve(admin_listener, admin_door(&product, metrics), stop.clone()));
    if !args.no_shop {
        let config = florin_shop::Config {
            api: api_url.clone(),
            key: kept.key.clone(),
            public_url: shop_url.clone(),
            docs_url: format!("{api_url}/docs"),
            data: args.data.join("shop"),
            checkout_origins: vec![outside.url.clone(), api_url.clone()],
        };
        let stop = stop.clone();
        tasks.spawn(async move {
            if let Err(error) = florin_shop::serve(shop_listener, config, stop.cancelled_owned()).await {
                tracing::error!(%error, "the shop stopped");
            }
        });
    }
    let line = json!({
        "api": api_url, "stripe": stripe_url, "shop": (!args.no_shop).then_some(&shop_url), "admin": admin_url,
        "openapi": format!("{api_url}/openapi.json"), "issuer": outside.issuer_url, "provider": outside.url,
        "control": outside.control_url, "key": kept.key, "admin_key": kept.admin_key,
    });
    app::write_private(&args.data.join("dev.json"), &line.to_string())?;
    welcome(output, &line, &args.data);

    asked.heard().await;
    if !output.quiet && !output.json {
        crate::say::note("Stopping: finishing what is under way.");
    }
    product.stop().await;
    outside.app.stop().await;
    stop.cancel();
    tasks.close();
    let _ = tokio::time::timeout(web::DOORS_CLOSE, tasks.wait()).await;
    outside.clerk.close().await;
    traces.close().await;
    Ok(())
}

/// `florin sandbox`: the pretend provider and its issuer alone, so that they outlive the server that is tried against them.
pub(crate) async fn sandbox(output: Output, args: &Sandbox) -> anyhow::Result<()> {
    let traces = log::start(&Log {
        filter: "warn".to_owned(),
        format: LogFormat::Auto,
    })?;
    app::private_folder(&args.data)?;
    let kept = Kept::read(&args.data)?;
    let at = |offset: u16| SocketAddr::from(([127, 0, 0, 1], if args.port == 0 { 0 } else { args.port + offset }));
    let asked = web::Asked::listen()?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let mut places = Places::of(&args.data);
    let outside = World::start(&args.data, &kept, &mut places, [at(0), at(1)], &stop, &tasks).await?;
    places.keep()?;
    if let Some(hook) = &args.hook {
        outside.tell(hook, &kept.provider_hook).await?;
    }
    let line = json!({
        "provider": outside.url, "issuer": outside.issuer_url, "control": outside.control_url,
        "key": kept.provider_key, "hook_secret": kept.provider_hook,
    });
    if output.json {
        crate::say::banner(&line.to_string());
    } else {
        crate::say::banner(&format!(
            "provider  {}\nissuer    {}\ncontrol   {}\nkey       {}",
            outside.url, outside.issuer_url, outside.control_url, kept.provider_key
        ));
    }
    asked.heard().await;
    outside.app.stop().await;
    stop.cancel();
    tasks.close();
    let _ = tokio::time::timeout(web::DOORS_CLOSE, tasks.wait()).await;
    outside.clerk.close().await;
    traces.close().await;
    Ok(())
}

/// The world outside: pretend provider and issuer.
struct World {
    app: App,
    clerk: florin_sandbox::clerk::Clerk,
    tenant: Tenant,
    url: String,
    issuer_url: String,
    control_url: String,
}

impl World {
    async fn start(
        data: &Path,
        kept: &Kept,
        places: &mut Places,
        [provider, issuer]: [SocketAddr; 2],
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> anyhow::Result<Self> {
        use florin_sandbox::{clerk, courier::Courier, faults::Faults, http, serve::serve};
        let settings = clerk::Settings::new(data.join("issuer.book"));
        let opened = tokio::task::spawn_blocking(move || clerk::Clerk::open(settings, clerk::wall_clock()));
        let clerk = opened.await?.context("cannot open the issuer's book")?;
        let provider = places.listen("provider", provider).await?;
        let issuer = places.listen("issuer", issuer).await?;
        let control = places.listen("control", SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let told = places.listen("told", SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let (url, issuer_url, control_url) = (app::url_of(&provider)?, app::url_of(&issuer)?, app::url_of(&control)?);
        let told_url = app::url_of(&told)?;
        let faults = Faults::default();
        tasks.spawn(serve(
            control,
            http::control(clerk.clone(), faults.clone()),
            stop.clone(),
        ));
        tasks.spawn(serve(issuer, http::read_only(clerk.clone()), stop.clone()));
        // Both who signs and who checks live in this process: the secret is made anew at each start, and kept nowhere.
        let hook_secret = sign::new_secret();
        let folder = data.join("provider");
        app::private_folder(&folder)?;
        let plan = Plan {
            file: "provider.db",
            database: None,
            checkpoint_pages: PROVIDER_CHECKPOINT_PAGES,
            rails: florin_rails::ALL,
            secrets: [(ISSUER_HOOK.to_owned(), vec![hook_secret.clone()])].into(),
            root_key: root::Given::of_dev(&kept.root_key, data, false)?,
            node: app::node_id(&folder)?,
            engine: engine::Settings::default(),
            doors: Settings {
                api_url: url.clone(),
                stripe_url: url.clone(),
                body_bytes: 256 * 1024,
                requests_per_s: 0,
                admin_key_hash: None,
                allow_private_webhooks: true,
                any_provider_address: true,
            },
            data: folder,
        };
        let app = App::start(plan, stripe::provider_words(&url)).await?;
        let tenant = tenant_of(&app, "Giglio", &kept.provider_key).await?;
        let secrets = [("webhook_secret", ISSUER_HOOK)];
        let connection = point(&app, tenant, "issuer", &control_url, &secrets).await?;
        let challenge = url.clone();
        let settle = move |connection: &mut Connection| {
            connection
                .settings
                .insert("challenge_base".to_owned(), challenge.clone());
        };
        app.doors
            .directory
            .change::<Connection>(Some(tenant), &connection.id.to_string(), settle)
            .await?;
        tasks.spawn(web::serve(
            provider,
            stripe::provider(app.doors.clone(), clerk.clone()),
            stop.clone(),
        ));
        tasks.spawn(web::serve(told, hooks::router(app.doors.clone()), stop.clone()));
        let courier = Courier {
            clerk: clerk.clone(),
            faults,
            address: format!("{told_url}/hooks/{}", connection.id)
                .parse()
                .context("the provider's hook has no address")?,
            secret: hook_secret.expose().clone(), // the issuer shares no code with us, and signs by itself
        };
        tasks.spawn(courier.run(stop.clone()));
        Ok(Self {
            app,
            clerk,
            tenant,
            url,
            issuer_url,
            control_url,
        })
    }

    /// Has the provider send its webhooks to this address, signed with this secret.
    async fn tell(&self, hook: &str, secret: &str) -> anyhow::Result<()> {
        let doors = &self.app.doors;
        let known = doors
            .directory
            .endpoints(self.tenant)
            .into_iter()
            .find(|endpoint| endpoint.description.as_deref() == Some(PROVIDER_HOOK));
        if let Some(known) = known {
            let hook = hook.to_owned();
            let change = move |endpoint: &mut Endpoint| {
                endpoint.url.clone_from(&hook);
                endpoint.enabled = true;
            };
            doors
                .directory
                .change::<Endpoint>(Some(self.tenant), &known.id.to_string(), change)
                .await?;
            return Ok(());
        }
        let sealed = doors
            .engine
            .keyring()
            .seal(ENDPOINT_SECRET, &Secret::new(secret.to_owned()));
        let endpoint = Endpoint {
            id: florin_core::id::EndpointId::from_uuid(doors.directory.new_uuid()),
            tenant: self.tenant,
            url: hook.to_owned(),
            events: Vec::new(),
            description: Some(PROVIDER_HOOK.to_owned()),
            dialect: Dialect::Stripe,
            secrets: vec![florin_services::directory::Sealed { sealed, until: None }],
            enabled: true,
            door: Default::default(),
            created_at: doors.directory.now(),
        };
        doors.directory.make(Some(self.tenant), endpoint, None).await?;
        Ok(())
    }
}

/// The test tenant that this key opens; made if there is none.
async fn tenant_of(app: &App, name: &str, key: &str) -> anyhow::Result<Tenant> {
    let directory = &app.doors.directory;
    if let Some(known) = directory.authenticate(key).await? {
        return Ok(known.tenant);
    }
    let merchant = directory.create_merchant(name, None).await?.document;
    let tenant = Tenant {
        merchant: merchant.id,
        mode: Mode::Test,
    };
    let scopes = vec![Scope::Read, Scope::Pay, Scope::Refund, Scope::Manage];
    directory
        .create_key_with(tenant, "made by florin dev", scopes, Secret::new(key.to_owned()), None)
        .await?;
    Ok(tenant)
}

impl Kept {
    fn read(data: &Path) -> anyhow::Result<Self> {
        let (text, _) = app::kept(data, root::DEV_FILE, || {
            json!({
                "key": format!("sk_test_{}", dice::token::<24>()),
                "admin_key": format!("fl_admin_{}", dice::token::<24>()),
                "provider_key": format!("sk_test_{}", dice::token::<24>()),
                "provider_hook": sign::new_secret().expose().clone(), // kept in a file that only its owner reads
                "root_key": root::new(),
            })
            .to_string()
        })?;
        let value: Value = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} does not read: remove the data folder to start anew",
                data.join(root::DEV_FILE).display()
            )
        })?;
        let text = |name: &str| {
            let found = value.get(name).and_then(Value::as_str).map(str::to_owned);
            found.with_context(|| {
                format!(
                    "{} has no `{name}`: remove the data folder to start anew",
                    data.join(root::DEV_FILE).display()
                )
            })
        };
        Ok(Self {
            key: text("key")?,
            admin_key: text("admin_key")?,
            provider_key: text("provider_key")?,
            provider_hook: text("provider_hook")?,
            root_key: text("root_key")?,
        })
    }
}

/// What a newcomer reads first.
fn welcome(output: Output, line: &Value, data: &Path) {
    if output.json {
        crate::say::banner(&line.to_string());
        return;
    }
    let text = |name: &str| {
        line.get(name)
            .and_then(Value::as_str)
            .unwrap_or("(left out)")
            .to_owned()
    };
    crate::say::banner(&format!(
        "Florin is running, with a pretend provider and a shop to buy from. Nothing here is real money.\n\n  \
         Shop      {}   buy something with card {}\n  \
         API       {}   reference at {}/docs\n  \
         Stripe    {}   for programs written with Stripe's libraries\n  \
         Provider  {}   the pretend one, Stripe's calls; its key is `provider_key` in {}\n  \
         Issuer    {}/book   what the card issuer saw\n  \
         Control   {}/faults   what shall go wrong there: docs/faults.md\n  \
         Admin     {}/metrics\n  \
         Key       {}\n\n\
         Data is in {}: the same folder gives the same key and orders again. Stop with ctrl-c.",
        text("shop"),
        test_card(),
        text("api"),
        text("api"),
        text("stripe"),
        text("provider"),
        data.join(root::DEV_FILE).display(),
        text("issuer"),
        text("control"),
        text("admin"),
        text("key"),
        data.display()
    ));
}

/// The number of the test card that pays, in groups of four as people type it.
fn test_card() -> String {
    let number = florin_sandbox::cards::by_name("card_visa").map_or("", |card| card.number);
    let groups: Vec<&str> = (0..number.len())
        .step_by(4)
        .filter_map(|at| number.get(at..at + 4))
        .collect();
    groups.join(" ")
}
