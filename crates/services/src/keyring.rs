//! Secrets: found by name, several values in force while one is being rotated, never printed.
//!
//! A connection names its secrets; the values come from the configuration. One root key seals what must be read back (our own webhook
//! secrets). The keyring also judges notices: a rail writes the formula, the values and the comparison stay here.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use florin_core::rail::{Check, Notice, Part};
use florin_core::secret::Secret;
use florin_core::time::Timestamp;
use florin_store::{Mode, Tenant};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::directory::Connection;
use crate::{base64, dice};

/// Values of one secret that may be in force at once: the new one and the one that it replaces, and one to spare.
pub const VALUES_MAX: usize = 3;

/// Secrets by the configuration's name, newest value first. What one merchant alone may name stands under [`owned`].
pub type Values = BTreeMap<String, Vec<Secret<String>>>;

/// What the server keeps for itself among the secrets of the configuration: no connection may name it.
pub const OF_THE_SERVER: [&str; 2] = ["root_key", "admin_key"];

/// The secrets that connections may name: all but the server's own.
pub fn of_connections(mut values: Values) -> Values {
    values.retain(|name, _| !OF_THE_SERVER.contains(&name.as_str()));
    values
}

/// Secrets by name, and the root key.
pub struct Keyring {
    values: RwLock<Arc<Values>>,
    root: RandomizedNonceKey,
}

/// Why a secret cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KeyringError {
    /// The connection names no secret for what the rail wants.
    #[error("connection {connection} names no secret `{word}`")]
    Unnamed {
        /// The connection.
        connection: String,
        /// The rail's word.
        word: String,
    },
    /// The configuration has no value under that name.
    #[error("the configuration has no secret `{0}`")]
    Missing(String),
    /// A test key stands in live mode, or a live one in test mode.
    #[error(
        "the secret `{0}` is a key of the provider's other mode: test keys belong to test connections, live keys to live ones"
    )]
    OtherMode(String),
    /// Sealed bytes do not open: another root key, or they were changed.
    #[error("a sealed value does not open: the root key is another one, or the value was changed")]
    Sealed,
}

/// The name of a secret that belongs to one tenant. No connection can spell another tenant's, since a slash is in no name.
pub fn owned(tenant: Tenant, name: &str) -> String {
    let mode = match tenant.mode {
        Mode::Test => "test",
        Mode::Live => "live",
    };
    format!("{}/{mode}/{name}", tenant.merchant)
}

/// The values in force of a connection's secret, newest first; never empty.
fn in_force<'a>(values: &'a Values, connection: &Connection, word: &str) -> Result<&'a [Secret<String>], KeyringError> {
    let name = connection.secrets.get(word).ok_or_else(|| KeyringError::Unnamed {
        connection: connection.id.to_string(),
        word: word.to_owned(),
    })?;
    let shared = || values.get(name).filter(|_| !connection.own.contains(word));
    let found = values.get(&owned(connection.tenant, name)).or_else(shared);
    let found = match found.map(Vec::as_slice) {
        None | Some([]) => return Err(KeyringError::Missing(name.clone())),
        Some(found) => &found[..found.len().min(VALUES_MAX)],
    };
    let mode = connection.tenant.mode;
    if found.iter().any(|value| mode_of(value).is_some_and(|of| of != mode)) {
        return Err(KeyringError::OtherMode(name.clone()));
    }
    Ok(found)
}

/// The mode that a provider's key says of itself: `sk_test_…`, `rk_live_…`. Most kinds of secrets say none.
fn mode_of(value: &Secret<String>) -> Option<Mode> {
    let (_, rest) = value.expose().split_once("k_").filter(|(kind, _)| kind.len() == 1)?;
    match rest.split_once('_')?.0 {
        "test" => Some(Mode::Test),
        "live" => Some(Mode::Live),
        _ => None,
    }
}

impl Keyring {
    /// A keyring over values of the configuration.
    pub fn new(values: Values, root: &Secret<[u8; 32]>) -> Self {
        let root = RandomizedNonceKey::new(&AES_256_GCM, root.expose()).expect("the root key has 32 bytes");
        Self {
            values: RwLock::new(Arc::new(values)),
            root,
        }
    }

    /// Replaces all values: the configuration was read again.
    pub fn replace(&self, values: Values) {
        *self.values.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(values);
    }

    /// Whether the configuration has a secret of this name for this tenant alone.
    pub fn is_owned(&self, tenant: Tenant, name: &str) -> bool {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        values.contains_key(&owned(tenant, name))
    }

    /// The values in force of a connection's secret, newest first; never empty.
    pub fn all(&self, connection: &Connection, word: &str) -> Result<Vec<Secret<String>>, KeyringError> {
        in_force(&self.values(), connection, word).map(<[_]>::to_vec)
    }

    fn values(&self) -> Arc<Values> {
        Arc::clone(&self.values.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Computes a formula of a message that goes out: the newest value of each secret.
    pub fn fill(&self, connection: &Connection, parts: &[Part]) -> Result<Secret<String>, KeyringError> {
        let mut text = Vec::new();
        self.evaluate(connection, parts, None, 0, &mut text)?;
        Ok(Secret::new(String::from_utf8(text).unwrap_or_default()))
    }

    /// Whether a notice may be believed: every check holds, and there is one. `wall` is wall time.
    pub fn holds(&self, connection: &Connection, notice: &Notice, checks: &[Check], wall: Timestamp) -> bool {
        let hold = |check: &Check| match check {
            Check::Equal { formula, one_of } => {
                (0..VALUES_MAX).any(|which| self.equals(connection, notice, formula, one_of, which))
            }
            Check::Fresh { at, within_s } => wall.millis_since(*at).unsigned_abs() <= u64::from(*within_s) * 1_000,
        };
        !checks.is_empty() && checks.iter().all(hold)
    }

    /// The secret that these checks need and that is not there.
    pub fn lacks(&self, connection: &Connection, notice: &Notice, checks: &[Check]) -> Option<KeyringError> {
        checks.iter().find_map(|check| match check {
            Check::Equal { formula, .. } => {
                let (formula, mut unused) = (std::slice::from_ref(formula), zeroize::Zeroizing::new(Vec::new()));
                self.evaluate(connection, formula, Some(notice), 0, &mut unused).err()
            }
            Check::Fresh { .. } => None,
        })
    }

    fn equals(
        &self,
        connection: &Connection,
        notice: &Notice,
        formula: &Part,
        one_of: &[String],
        which: usize,
    ) -> bool {
        let mut wanted = Vec::new();
        let formula = std::slice::from_ref(formula);
        let computed = self.evaluate(connection, formula, Some(notice), which, &mut wanted);
        // Every candidate is compared, so that the time tells nothing about which one was nearly right.
        computed.is_ok()
            && one_of.iter().fold(false, |held, given| {
                held | bool::from(wanted.as_slice().ct_eq(given.as_bytes()))
            })
    }

    fn evaluate(
        &self,
        connection: &Connection,
        parts: &[Part],
        notice: Option<&Notice>,
        which: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), KeyringError> {
        for part in parts {
            match part {
                Part::Text(text) => into.extend_from_slice(text.as_bytes()),
                Part::Secret(word) => {
                    let values = self.values();
                    let value = in_force(&values, connection, word)?
                        .get(which)
                        .ok_or_else(|| KeyringError::Missing(word.to_string()))?;
                    into.extend_from_slice(value.expose().as_bytes()); // goes into a header or a keyed hash
                }
                Part::Received => into.extend_from_slice(notice.map_or(&[][..], |notice| &notice.body)),
                Part::Header(name) => {
                    let header = notice.and_then(|notice| notice.headers.get(name.as_ref()));
                    into.extend_from_slice(header.map_or("", String::as_str).as_bytes());
                }
                Part::HmacSha256Hex(key, over) => {
                    let (mut secret, mut message) = (zeroize::Zeroizing::new(Vec::new()), Vec::new());
                    self.evaluate(connection, key, notice, which, &mut secret)?;
                    self.evaluate(connection, over, notice, which, &mut message)?;
                    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), &message);
                    into.extend_from_slice(dice::hex(tag.as_ref()).as_bytes());
                }
            }
        }
        Ok(())
    }

    /// Seals a value under the root key. `purpose` is bound to it: a value sealed for one thing does not open as another.
    pub fn seal(&self, purpose: &str, plain: &Secret<String>) -> String {
        let mut bytes = plain.expose().as_bytes().to_vec(); // encrypted in place below
        let nonce = self
            .root
            .seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut bytes)
            .expect("a short value can be sealed");
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&bytes);
        base64::encode(&sealed)
    }

    /// Opens what [`Keyring::seal`] sealed for the same purpose.
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Secret<String>, KeyringError> {
        let bytes = base64::decode(sealed).ok_or(KeyringError::Sealed)?;
        let (nonce, rest) = bytes.split_at_checked(12).ok_or(KeyringError::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyringError::Sealed)?;
        let mut rest = zeroize::Zeroizing::new(rest.to_vec());
        let plain = self
            .root
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut rest)
            .map_err(|_| KeyringError::Sealed)?;
        let plain = std::str::from_utf8(plain).map_err(|_| KeyringError::Sealed)?;
        Ok(Secret::new(plain.to_owned()))
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[keyring]")
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use florin_core::id::{ConnectionId, MerchantId};
    use florin_store::{Mode, Tenant};
    use uuid::Uuid;

    use super::*;

    fn connection() -> Connection {
        Connection {
            id: ConnectionId::from_uuid(Uuid::nil()),
            tenant: Tenant {
                merchant: MerchantId::from_uuid(Uuid::nil()),
                mode: Mode::Test,
            },
            rail: "stripe".into(),
            base: "https://api.stripe.com".into(),
            secrets: [
                ("hook".to_owned(), "acme_hook".to_owned()),
                ("gone".to_owned(), "nowhere".to_owned()),
            ]
            .into(),
            own: Default::default(),
            settings: BTreeMap::new(),
            default: true,
            enabled: true,
            created_at: Timestamp::default(),
        }
    }

    fn keyring(values: &[&str]) -> Keyring {
        let values = values.iter().map(|value| Secret::new((*value).to_owned())).collect();
        Keyring::new([("acme_hook".to_owned(), values)].into(), &Secret::new([7; 32]))
    }

    #[test]
    fn a_key_of_the_other_mode_is_never_used() {
        let of = |mode| {
            let mut connection = connection();
            connection.tenant.mode = mode;
            connection
        };
        for (value, mode) in [
            ("sk_test_1", Some(Mode::Test)),
            ("rk_live_1", Some(Mode::Live)),
            ("sk_live_1", Some(Mode::Live)),
            ("whsec_test_1", None),
            ("k_test_1", None),
            ("token", None),
        ] {
            let keyring = keyring(&["whsec_1", value]);
            for tried in [Mode::Test, Mode::Live] {
                let found = keyring.all(&of(tried), "hook");
                let fits = mode.is_none_or(|mode| mode == tried);
                assert_eq!(found.is_ok(), fits, "{value} {tried:?}");
            }
        }
    }

    #[test]
    fn what_is_everybodys_never_stands_in_for_what_was_a_merchants_own() {
        let named = |value: &str| vec![Secret::new(value.to_owned())];
        let shared = ("acme_hook".to_owned(), named("everybody's"));
        let own = (owned(connection().tenant, "acme_hook"), named("own"));
        let was_own = Connection {
            own: ["hook".to_owned()].into(),
            ..connection()
        };
        let root = Secret::new([7; 32]);
        for (values, connection, used) in [
            (vec![shared.clone()], connection(), Some("everybody's")),
            (vec![shared.clone(), own.clone()], connection(), Some("own")),
            (vec![shared.clone(), own], was_own.clone(), Some("own")),
            (vec![shared], was_own, None),
        ] {
            let keyring = Keyring::new(values.into_iter().collect(), &root);
            let found = keyring.all(&connection, "hook").ok();
            assert_eq!(found.as_ref().map(|found| found[0].expose().as_str()), used);
        }
    }

    fn hmac_of(secret: &str, body: &[u8]) -> String {
        dice::hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body).as_ref())
    }

    fn equal(given: &[String]) -> Check {
        Check::Equal {
            formula: Part::HmacSha256Hex(vec![Part::Secret(Cow::Borrowed("hook"))], vec![Part::Received]),
            one_of: given.to_vec(),
        }
    }

    #[test]
    fn old_and_new_secret_are_believed_while_one_is_rotated_and_no_other() {
        let notice = Notice {
            body: b"{}".to_vec(),
            ..Notice::default()
        };
        let wall = Timestamp::default();
        for (in_force, signed_by, believed) in [
            (&["new", "old"][..], "new", true),
            (&["new", "old"], "old", true),
            (&["new"], "old", false),
            (&["new", "old"], "forged", false),
        ] {
            let checks = [equal(&["00".into(), hmac_of(signed_by, b"{}")])];
            assert_eq!(
                keyring(in_force).holds(&connection(), &notice, &checks, wall),
                believed,
                "{signed_by}"
            );
        }
        assert!(
            !keyring(&["new"]).holds(&connection(), &notice, &[], wall),
            "no check, no belief"
        );
    }

    #[test]
    fn a_notice_outside_the_tolerance_is_refused_on_both_sides() {
        let notice = Notice::default();
        for (age_s, held) in [(0, true), (300, true), (301, false), (-300, true), (-301, false)] {
            let wall = Timestamp::from_millis(1_000_000_000);
            let check = Check::Fresh {
                at: wall.plus_seconds(-age_s),
                within_s: 300,
            };
            assert_eq!(
                keyring(&["a"]).holds(&connection(), &notice, &[check], wall),
                held,
                "{age_s}"
            );
        }
    }

    #[test]
    fn a_sealed_value_opens_under_its_key_and_purpose_only() {
        let ring = keyring(&[]);
        let plain = Secret::new("whsec_abc".to_owned());
        let sealed = ring.seal("endpoint", &plain);
        assert!(!sealed.contains("whsec"));
        assert_eq!(ring.open("endpoint", &sealed), Ok(plain.clone()));
        assert_eq!(ring.open("other", &sealed), Err(KeyringError::Sealed));
        let other = Keyring::new(Values::new(), &Secret::new([8; 32]));
        assert_eq!(other.open("endpoint", &sealed), Err(KeyringError::Sealed));
        assert_eq!(ring.open("endpoint", "AAAA"), Err(KeyringError::Sealed));
        assert_ne!(ring.seal("endpoint", &plain), sealed, "every sealing has its own nonce");
    }

    #[test]
    fn a_missing_secret_is_named_and_no_value_is_ever_printed() {
        let ring = keyring(&["sk_live_canary"]);
        let named = |word: &'static str| ring.fill(&connection(), &[Part::Secret(Cow::Borrowed(word))]);
        assert_eq!(named("gone"), Err(KeyringError::Missing("nowhere".into())));
        assert!(matches!(named("other"), Err(KeyringError::Unnamed { .. })));
        assert!(!format!("{ring:?}{:?}", named("hook")).contains("canary"));
    }

    #[test]
    fn a_check_that_cannot_be_made_names_the_secret_that_is_missing() {
        let notice = Notice {
            headers: BTreeMap::new(),
            body: b"x".to_vec(),
        };
        let check = |word: &'static str| Check::Equal {
            formula: Part::HmacSha256Hex(vec![Part::Secret(Cow::Borrowed(word))], vec![Part::Received]),
            one_of: vec!["0".to_owned()],
        };
        let keys = keyring(&["whsec_x"]);
        let lacks = |word| keys.lacks(&connection(), &notice, &[check(word)]);
        assert_eq!(lacks("hook"), None, "it does not hold, but it can be checked");
        assert_eq!(lacks("gone"), Some(KeyringError::Missing("nowhere".to_owned())));
    }
}
