//! The shop's own webhook endpoint: registered with Florin at the start, its secret kept in the shop's folder.
//!
//! Registering is safe to repeat. An endpoint with our address is used again; if we lost its secret it gets a new one; an endpoint
//! that we made under an earlier address is taken away.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::sleep;

use crate::api::Failure;
use crate::api::shapes::{List, WebhookEndpoint};
use crate::journal::{private, sync_folder};
use crate::session::unguessable;
use crate::signature::Secret;
use crate::{Error, Shop};

const FILE: &str = "webhook-endpoint.json";
/// Where Florin sends webhooks, below the shop's address.
pub(crate) const PATH: &str = "/hooks/florin";
/// The first wait when Florin does not answer yet, doubled up to the second.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Pages of the endpoint list that are looked through; a test account with more endpoints has other worries.
const PAGES: usize = 10;
/// The current secret and the one before it.
const SECRETS: usize = 2;

/// What is kept about the endpoint.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Registered {
    id: String,
    url: String,
    /// Newest first.
    secrets: Vec<String>,
}

/// The endpoint as it stands.
pub(crate) struct Endpoint {
    path: PathBuf,
    registered: RwLock<Registered>,
}

impl Endpoint {
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let registered = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|why| Error::Records {
                path: path.clone(),
                why: format!("{why}; delete the file to register anew"),
            })?,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Registered::default(),
            Err(why) => {
                return Err(Error::Records {
                    path,
                    why: why.to_string(),
                });
            }
        };
        Ok(Self {
            path,
            registered: RwLock::new(registered),
        })
    }

    /// The secrets that a webhook may be signed with; none before the endpoint is registered.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.registered()
            .secrets
            .iter()
            .filter_map(|text| Secret::parse(text))
            .collect()
    }

    /// Florin's id of the endpoint.
    pub(crate) fn id(&self) -> String {
        self.registered().id
    }

    fn registered(&self) -> Registered {
        self.registered.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, registered: Registered) -> std::io::Result<()> {
        let beside = self.path.with_extension("json.new");
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(&registered)?)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        sync_folder(&self.path)?;
        *self.registered.write().unwrap_or_else(PoisonError::into_inner) = registered;
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum NotYet {
    #[error(transparent)]
    Florin(#[from] Failure),
    #[error("Florin told no secret for endpoint {0}")]
    NoSecret(String),
    #[error("cannot keep the endpoint's secret: {0}")]
    Disk(#[from] std::io::Error),
}

/// Registers the endpoint, however long Florin takes to come up.
pub(crate) async fn register_until_done(shop: Arc<Shop>) {
    // One key for the tries of one call: what was done already is not done again.
    let new_key = || format!("giglio-endpoint-{}", unguessable());
    let mut key = new_key();
    let mut wait = FIRST_WAIT;
    let mut said = String::new();
    while let Err(why) = register(&shop, &key).await {
        // The answer with the secret was lost, and a secret is told once: the next call asks for another one.
        if matches!(why, NotYet::NoSecret(_)) {
            key = new_key();
        }
        let why = why.to_string();
        if why != said {
            tracing::info!(%why, "the shop's webhook endpoint is not registered yet; trying again");
            said = why;
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    tracing::info!(
        endpoint = shop.endpoint.id(),
        "the shop's webhook endpoint is registered"
    );
}

async fn register(shop: &Shop, key: &str) -> Result<(), NotYet> {
    let url = format!("{}{PATH}", shop.public_url);
    let kept = shop.endpoint.registered();
    let (mut same, mut stale) = (None, None);
    for endpoint in listed(shop).await? {
        if endpoint.url == url {
            same = Some(endpoint);
        } else if endpoint.id == kept.id {
            stale = Some(endpoint);
        }
    }
    let known = same.as_ref().is_some_and(|endpoint| endpoint.id == kept.id) && !kept.secrets.is_empty();
    if !known {
        let told: WebhookEndpoint = match same {
            // Somebody else holds the secret, or we lost it.
            Some(WebhookEndpoint { id, .. }) => {
                let path = format!("/v1/webhook_endpoints/{id}/rotate_secret");
                shop.api.post(&path, &format!("{key}-rotate"), "{}").await?
            }
            None => {
                shop.api
                    .post("/v1/webhook_endpoints", key, json!({ "url": url }).to_string())
                    .await?
            }
        };
        let secret = told.secret.filter(|text| Secret::parse(text).is_some());
        let secret = secret.ok_or_else(|| NotYet::NoSecret(told.id.clone()))?;
        let secrets = std::iter::once(secret).chain(kept.secrets).take(SECRETS).collect();
        shop.endpoint.keep(Registered {
            id: told.id,
            url,
            secrets,
        })?;
    }
    if let Some(stale) = stale {
        shop.api.delete(&format!("/v1/webhook_endpoints/{}", stale.id)).await?;
    }
    Ok(())
}

async fn listed(shop: &Shop) -> Result<Vec<WebhookEndpoint>, Failure> {
    let mut all: Vec<WebhookEndpoint> = Vec::new();
    for _ in 0..PAGES {
        let after = all.last().map(|last| format!("&after={}", last.id)).unwrap_or_default();
        let page: List<WebhookEndpoint> = shop.api.get(&format!("/v1/webhook_endpoints?limit=100{after}")).await?;
        let done = !page.has_more || page.data.is_empty();
        all.extend(page.data);
        if done {
            break;
        }
    }
    Ok(all)
}
