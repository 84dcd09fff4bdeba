//! Giglio: a small shop that lives on Florin's public API and webhooks alone.
//!
//! It is the first thing that a newcomer sees, and it is what a merchant would write: catalogue, cart, checkout button, order
//! page. It depends on none of our crates, holds no card data and knows nothing of Florin that the reference page does not say.
//!
//! ```text
//!  browser ──▶ cart ──▶ checkout ── POST /v1/orders ──▶ Florin ──▶ payment page of the provider
//!                          │  intention written first              │
//!                          ▼                                       │
//!                       journal ◀── POST /hooks/florin ◀───────────┘   only a verified webhook packs the goods
//! ```
//!
//! What it promises: one cart is one order, whatever is clicked or repeated ([`checkout`]); what a webhook said is on disk before
//! it is acknowledged ([`hooks`], [`journal`]); everything works with scripts off. What it does not do: send goods, take
//! addresses, or run with a live key.

#![forbid(unsafe_code)]

mod api;
mod assets;
mod base64;
mod cart;
mod catalogue;
mod checkout;
mod clock;
mod endpoint;
mod hooks;
mod journal;
mod money;
mod pages;
mod policy;
mod purchase;
mod reading;
mod scenes;
mod server;
mod session;
mod shelf;
mod signature;
mod standing;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use url::Url;

/// What the shop has to be told.
#[derive(Clone)]
pub struct Config {
    /// Where Florin's API is, without `/v1`; plain http, because the shop runs beside it.
    pub api: String,
    /// The test key (`sk_test_…`) that the shop pays with.
    pub key: String,
    /// Where browsers and Florin's webhooks reach this shop.
    pub public_url: String,
    /// Where the API reference page is.
    pub docs_url: String,
    /// The folder for the shop's records; made if it is missing.
    pub data: PathBuf,
    /// The origins of the payment pages that a buyer may be sent to. The page's policy names them; a payment page elsewhere
    /// is offered as a link instead.
    pub checkout_origins: Vec<String>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("api", &self.api)
            .field("key", &"[secret]")
            .field("public_url", &self.public_url)
            .field("docs_url", &self.docs_url)
            .field("data", &self.data)
            .field("checkout_origins", &self.checkout_origins)
            .finish()
    }
}

/// Why the shop does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be used.
    #[error("shop setting `{setting}`: {why}")]
    Setting {
        /// The member of [`Config`].
        setting: &'static str,
        /// What is wrong, and what to write instead.
        why: String,
    },
    /// The records cannot be read or written.
    #[error("shop records in {path}: {why}")]
    Records {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where it matters.
        why: String,
    },
    /// The socket cannot be used.
    #[error("shop cannot listen: {0}")]
    Listen(#[source] std::io::Error),
}

/// Runs the shop on `listener` until `shutdown` is ready; then answers what is open and returns.
///
/// Florin need not be up yet: the webhook endpoint is registered as soon as the API answers, and until then a checkout says so.
///
/// # Errors
/// [`Error`] when a setting is unusable or the records cannot be read.
pub async fn serve(listener: TcpListener, config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let shop = Arc::new(Shop::open(config)?);
    let registration = tokio::spawn(endpoint::register_until_done(shop.clone()));
    let served = server::run(listener, pages::router(shop), shutdown).await;
    registration.abort();
    served.map_err(Error::Listen)
}

/// Everything a handler needs.
struct Shop {
    api: api::Api,
    api_url: String,
    public_url: String,
    docs_url: String,
    secure: bool,
    payment_pages: Vec<String>,
    book: journal::Book,
    endpoint: endpoint::Endpoint,
    scenes: scenes::Scenes,
    violations: policy::Violations,
    policy: http::HeaderValue,
}

impl Shop {
    fn open(config: Config) -> Result<Self, Error> {
        let api_url = base("api", &config.api)?;
        let public_url = base("public_url", &config.public_url)?;
        // A demonstration must never be able to move real money.
        if !config.key.starts_with("sk_test_") {
            return Err(setting(
                "key",
                "the demonstration shop takes a test key (`sk_test_…`) only",
            ));
        }
        if !api_url.starts_with("http://") {
            return Err(setting(
                "api",
                "the shop speaks plain http to a Florin beside it, e.g. http://127.0.0.1:4000",
            ));
        }
        let payment_pages = config
            .checkout_origins
            .iter()
            .map(|origin| origin_of(origin))
            .collect::<Result<Vec<_>, _>>()?;
        let policy = policy::content_security_policy(&payment_pages, public_url.starts_with("https://"))
            .map_err(|why| setting("checkout_origins", &why.to_string()))?;
        Ok(Self {
            api: api::Api::new(&api_url, &config.key).map_err(|why| setting("key", &why.to_string()))?,
            secure: public_url.starts_with("https://"),
            endpoint: endpoint::Endpoint::open(&config.data)?,
            book: journal::Book::open(&config.data)?,
            scenes: scenes::Scenes::default(),
            violations: policy::Violations::default(),
            api_url,
            public_url,
            docs_url: config.docs_url,
            payment_pages,
            policy,
        })
    }
}

fn setting(setting: &'static str, why: &str) -> Error {
    Error::Setting {
        setting,
        why: why.to_owned(),
    }
}

/// An http address without path, query and final slash.
fn base(name: &'static str, text: &str) -> Result<String, Error> {
    let url = Url::parse(text).map_err(|why| setting(name, &format!("`{text}` is no address: {why}")))?;
    let plain = matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none();
    if plain && url.has_host() {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(setting(
            name,
            &format!("`{text}` has to look like http://127.0.0.1:4001, without path or query"),
        ))
    }
}

fn origin_of(text: &str) -> Result<String, Error> {
    base("checkout_origins", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data: &std::path::Path) -> Config {
        Config {
            api: "http://127.0.0.1:4000".into(),
            key: "sk_test_1".into(),
            public_url: "http://127.0.0.1:4001/".into(),
            docs_url: "http://127.0.0.1:4000/docs".into(),
            data: data.into(),
            checkout_origins: vec!["http://127.0.0.1:4003".into()],
        }
    }

    #[test]
    fn a_live_key_is_refused_and_no_key_is_printed() {
        let data = journal::tests::folder("live-key");
        let live = Config {
            key: "sk_live_1".into(),
            ..config(&data)
        };
        assert!(!format!("{live:?}").contains("sk_live"));
        assert!(matches!(Shop::open(live), Err(Error::Setting { setting: "key", .. })));
    }

    #[test]
    fn addresses_are_origins_without_a_path() {
        let data = journal::tests::folder("addresses");
        let shop = Shop::open(config(&data)).unwrap();
        assert_eq!(shop.public_url, "http://127.0.0.1:4001");
        let path = Config {
            api: "http://127.0.0.1:4000/v1".into(),
            ..config(&data)
        };
        assert!(matches!(Shop::open(path), Err(Error::Setting { setting: "api", .. })));
        let cloud = Config {
            api: "https://florin.example".into(),
            ..config(&data)
        };
        assert!(matches!(Shop::open(cloud), Err(Error::Setting { setting: "api", .. })));
    }
}
