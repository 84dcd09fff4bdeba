//! Secrets in the settings: by name, for every connection or for one merchant's, one value or several while it is replaced.

use std::collections::BTreeMap;

use florin_core::id::MerchantId;
use florin_core::secret::Secret;
use florin_services::keyring;
use florin_store::{Mode, Tenant};
use serde::Deserialize;

use super::ConfigError;

/// A secret that every connection may name, or the secrets of one merchant by mode.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SecretEntry {
    Shared(OneOrMany),
    Owned(BTreeMap<String, BTreeMap<String, OneOrMany>>),
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl std::fmt::Debug for OneOrMany {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// Every secret: those of the file, and those of the environment (`FLORIN_SECRET_…`) over them.
pub(super) fn read(
    written: BTreeMap<String, SecretEntry>,
    env: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Vec<Secret<String>>>, ConfigError> {
    let mut secrets: BTreeMap<String, Vec<Secret<String>>> = BTreeMap::new();
    for (name, entry) in written {
        match entry {
            SecretEntry::Shared(value) => {
                let values = in_force(&name, value.into_values())?;
                secrets.insert(name, values);
            }
            SecretEntry::Owned(modes) => {
                for (key, values) in owned_secrets(&name, modes)? {
                    secrets.insert(key, values);
                }
            }
        }
    }
    for (name, value) in env
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("FLORIN_SECRET_")?, value)))
    {
        let values = value.split(',').map(|value| value.trim().to_owned()).collect();
        let name = name.to_ascii_lowercase();
        let values = in_force(&name, values)?;
        secrets.insert(name, values);
    }
    Ok(secrets)
}

impl OneOrMany {
    fn into_values(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

/// The values of a secret. An empty one would be a signature key that everybody has.
fn in_force(name: &str, values: Vec<String>) -> Result<Vec<Secret<String>>, ConfigError> {
    if values.is_empty() || values.iter().any(|value| value.trim().is_empty()) {
        return Err(ConfigError(format!(
            "the secret `{name}` has an empty value: write the value, or take the name away (in the environment a comma separates two values)"
        )));
    }
    Ok(values.into_iter().map(Secret::new).collect())
}

/// Secrets by name; several values while one is being replaced.
type Named = Vec<(String, Vec<Secret<String>>)>;

/// The secrets of one merchant, under the names by which only that merchant's connections find them.
fn owned_secrets(merchant: &str, modes: BTreeMap<String, BTreeMap<String, OneOrMany>>) -> Result<Named, ConfigError> {
    let id: MerchantId = merchant.parse().map_err(|_| {
        ConfigError(format!(
            "[secrets.{merchant}] names no merchant: a table under [secrets] is named by a merchant's id, as in [secrets.mer_….live]"
        ))
    })?;
    let mut found = Vec::new();
    for (word, named) in modes {
        let mode = match word.as_str() {
            "test" => Mode::Test,
            "live" => Mode::Live,
            _ => {
                return Err(ConfigError(format!(
                    "[secrets.{merchant}.{word}] names no mode: use test or live"
                )));
            }
        };
        for (name, value) in named {
            let key = keyring::owned(Tenant { merchant: id, mode }, &name);
            found.push((key, in_force(&name, value.into_values())?));
        }
    }
    Ok(found)
}

/// Whether a database's address has a password in it.
pub(super) fn has_password(database: &str) -> bool {
    url::Url::parse(database).is_ok_and(|url| url.password().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::load;

    #[test]
    fn a_secret_without_a_value_is_refused_wherever_it_stands() {
        for (text, env) in [
            ("[secrets]\nhook = \"\"\n", &[][..]),
            ("[secrets]\nhook = [\"new\", \" \"]\n", &[]),
            ("[secrets]\nhook = []\n", &[]),
            ("", &[("FLORIN_SECRET_HOOK", "new,")]),
        ] {
            let error = load(text, env).unwrap_err();
            assert!(error.0.starts_with("the secret `hook` has an empty value"), "{error}");
        }
    }

    #[test]
    fn secrets_of_a_merchant_are_found_by_that_merchant_alone() {
        let merchant = MerchantId::from_uuid(uuid::Uuid::from_u128(7));
        let text = format!("[secrets]\nshared = \"a\"\n[secrets.{merchant}.live]\nkey = [\"new\", \"old\"]\n");
        let config = load(&text, &[]).unwrap();
        let tenant = Tenant {
            merchant,
            mode: Mode::Live,
        };
        assert_eq!(config.secrets[&keyring::owned(tenant, "key")].len(), 2);
        assert!(!config.secrets.contains_key("key"));
        let error = load("[secrets.acme.live]\nkey = \"x\"\n", &[]).unwrap_err();
        assert!(error.0.contains("[secrets.acme] names no merchant"), "{error}");
        let error = load(&format!("[secrets.{merchant}.real]\nkey = \"x\"\n"), &[]).unwrap_err();
        assert!(error.0.contains("names no mode: use test or live"), "{error}");
    }

    #[test]
    fn a_file_that_holds_secrets_is_known() {
        for (text, holds) in [
            ("[limits]\nqueue = 5\n", false),
            ("database = \"postgres://florin@db/florin\"\n", false),
            ("database = \"postgres://florin:hunter2@db/florin\"\n", true),
            ("[secrets]\nkey = \"x\"\n", true),
        ] {
            let config = load(text, &[("FLORIN_SECRET_HOOK", "x")]).unwrap();
            assert_eq!(config.secrets_file.is_some(), holds, "{text}");
        }
    }

    #[test]
    fn secrets_are_never_printed() {
        let config = load(
            "[secrets]\nstripe_key = \"sk_live_abc\"\n",
            &[("FLORIN_SECRET_HOOK", "whsec_1,whsec_2")],
        )
        .unwrap();
        assert_eq!(config.secrets["hook"].len(), 2);
        let printed = format!("{config:?}");
        assert!(!printed.contains("sk_live") && !printed.contains("whsec"), "{printed}");
    }
}
