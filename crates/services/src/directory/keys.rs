//! API keys: made with 192 random bits, shown once, stored as SHA-256 (a random value needs no slow hash).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use florin_core::id::KeyId;
use florin_core::secret::Secret;
use florin_store::{IdemKey, Mode, Name, Tenant, Which};

use super::documents::{ApiKey, Scope};
use super::records::{Document, Draft, Made as Changed, TRIES_MAX, read};
use super::{Directory, DirectoryError};
use crate::dice;

/// Characters of a key that people may see, to tell keys apart.
const HINT_CHARS: usize = 12;
/// Longest text that is looked at as a key.
const KEY_CHARS_MAX: usize = 200;

/// A key that was made. `secret` is shown once; a replay of the call has none, because nobody has it any more.
#[derive(Debug)]
pub struct Made {
    /// The key.
    pub key: ApiKey,
    /// Its secret.
    pub secret: Option<Secret<String>>,
}

/// What is stored of a key's secret.
pub fn hash_of(secret: &str) -> String {
    dice::hex(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// A secret that nobody can guess.
fn new_secret(mode: Mode) -> Secret<String> {
    let prefix = match mode {
        Mode::Test => "sk_test_",
        Mode::Live => "sk_live_",
    };
    Secret::new(format!("{prefix}{}", dice::token::<24>()))
}

impl Directory {
    /// The key that this secret opens, if it opens one now.
    pub async fn authenticate(&self, secret: &str) -> Result<Option<Arc<ApiKey>>, DirectoryError> {
        // What cannot be a key costs no look into the database.
        let formed = secret.starts_with("sk_test_") || secret.starts_with("sk_live_");
        if !formed || secret.len() > KEY_CHARS_MAX {
            return Ok(None);
        }
        // Looked up by hash: the time it takes tells nothing about a secret.
        let hash = hash_of(secret);
        if let Some(key) = self.cached().keys.get(&hash) {
            return Ok(self.in_force(key).then(|| Arc::clone(key)));
        }
        // Another node may have made it a moment ago.
        let which = Which {
            kind: ApiKey::KIND.to_owned(),
            tenant: None,
            name: Name::Alias(hash),
        };
        let Some(record) = self.store.get(&which).await?.filter(|record| !record.removed) else {
            return Ok(None);
        };
        let key: ApiKey = read(&record)?;
        self.reload().await?;
        Ok(self.in_force(&key).then(|| Arc::new(key)))
    }

    /// Makes a key.
    pub async fn create_key(
        &self,
        tenant: Tenant,
        label: &str,
        scopes: Vec<Scope>,
        idem: Option<IdemKey>,
    ) -> Result<Made, DirectoryError> {
        self.create_key_with(tenant, label, scopes, new_secret(tenant.mode), idem)
            .await
    }

    /// Makes a key with a secret that is given: for `dev`, whose keys stay the same over the same data.
    pub async fn create_key_with(
        &self,
        tenant: Tenant,
        label: &str,
        scopes: Vec<Scope>,
        secret: Secret<String>,
        idem: Option<IdemKey>,
    ) -> Result<Made, DirectoryError> {
        let key = self.key_of(tenant, label, scopes, &secret);
        let made = self.make(Some(tenant), key, idem).await?;
        Ok(Made {
            key: made.document,
            secret: (!made.replayed).then_some(secret),
        })
    }

    /// A key that this secret opens, not yet written.
    pub fn key_of(&self, tenant: Tenant, label: &str, scopes: Vec<Scope>, secret: &Secret<String>) -> ApiKey {
        ApiKey {
            id: KeyId::from_uuid(self.new_uuid()),
            tenant,
            label: label.to_owned(),
            scopes,
            hash: hash_of(secret.expose()),                           // hashed, never kept
            hint: secret.expose().chars().take(HINT_CHARS).collect(), // the prefix and four characters
            expires_at: None,
            revoked_at: None,
            created_at: self.now(),
        }
    }

    /// Makes a key like this one, and lets the old one work for `overlap_s` more seconds, but no longer than it would have: both in one
    /// transaction, once under an idempotency key. A key that opens nothing any more has no successor.
    pub async fn roll_key(
        &self,
        tenant: Tenant,
        id: KeyId,
        overlap_s: u32,
        idem: Option<IdemKey>,
    ) -> Result<Made, DirectoryError> {
        let ends = self.now().plus_seconds(i64::from(overlap_s));
        let secret = new_secret(tenant.mode);
        let end = |key: &mut ApiKey| {
            if !self.in_force(key) {
                return Err(DirectoryError::NotFound("key in force"));
            }
            key.expires_at = Some(key.expires_at.map_or(ends, |end| end.min(ends)));
            Ok(())
        };
        for _ in 0..TRIES_MAX {
            let asked = self.key_row::<ApiKey>(Some(tenant), "", idem.clone());
            if let Some(made) = self.made_before(Some(tenant), asked.as_ref()).await? {
                return Ok(Made {
                    key: made.document,
                    secret: None,
                });
            }
            let (ending, old) = self.changed(Some(tenant), &id.to_string(), &end).await?;
            let key = self.key_of(tenant, &old.label, old.scopes, &secret);
            let Draft(fresh) = self.draft(Some(tenant), &key)?;
            let key_row = self.key_row::<ApiKey>(Some(tenant), &fresh.id, idem.clone());
            // Without an overlap the new one has the old one's place.
            let of = (overlap_s > 0).then_some(tenant);
            if self
                .write::<ApiKey>(vec![ending, fresh], key_row.as_slice(), of)
                .await?
            {
                return Ok(Made {
                    key,
                    secret: Some(secret),
                });
            }
        }
        Err(DirectoryError::Moved(ApiKey::KIND))
    }

    /// What a key may do.
    pub async fn scopes_of(&self, tenant: Tenant, id: KeyId) -> Result<Vec<Scope>, DirectoryError> {
        let key: Option<ApiKey> = self.get(Some(tenant), &id.to_string()).await?;
        key.map(|key| key.scopes).ok_or(DirectoryError::NotFound("key"))
    }

    /// Switches a key off, now and for good.
    pub async fn revoke_key(
        &self,
        tenant: Tenant,
        id: KeyId,
        idem: Option<IdemKey>,
    ) -> Result<Changed<ApiKey>, DirectoryError> {
        let now = self.now();
        self.change_once(tenant, &id.to_string(), idem, move |key: &mut ApiKey| {
            key.revoked_at.get_or_insert(now);
        })
        .await
    }

    pub(super) fn in_force(&self, key: &ApiKey) -> bool {
        key.revoked_at.is_none() && key.expires_at.is_none_or(|end| self.now() < end)
    }
}
