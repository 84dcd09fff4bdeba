//! Signatures of webhooks: Standard Webhooks 1.0.0 (`v1` HMAC-SHA256, `v1a` Ed25519) and Stripe's header for endpoints that speak Stripe.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use florin_core::secret::Secret;
use florin_core::time::Timestamp;

use crate::base64;
use crate::dice;

/// Random bytes of a symmetric secret (Standard Webhooks: 24 to 64).
const SECRET_BYTES: usize = 32;

/// Why a secret cannot sign.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretError {
    /// It does not start as one of ours.
    #[error("a webhook secret starts with whsec_ (HMAC) or whsk_ (Ed25519)")]
    Prefix,
    /// What follows is not base64 of a key.
    #[error("a webhook secret holds a key in base64 after its prefix")]
    Key,
}

/// A new symmetric secret, `whsec_…`.
pub fn new_secret() -> Secret<String> {
    Secret::new(format!("whsec_{}", base64::encode(&dice::random::<SECRET_BYTES>())))
}

/// A new Ed25519 secret, `whsk_…`.
pub fn new_signing_key() -> Secret<String> {
    Secret::new(format!("whsk_{}", base64::encode(&dice::random::<32>())))
}

/// The public half of `whsk_…`: `whpk_…`.
pub fn public_of(signing_key: &str) -> Result<String, SecretError> {
    Ok(format!(
        "whpk_{}",
        base64::encode(ed25519(signing_key)?.public_key().as_ref())
    ))
}

/// The header `webhook-signature`: one entry for each secret in force.
pub fn standard(secrets: &[Secret<String>], id: &str, at: Timestamp, body: &[u8]) -> Result<String, SecretError> {
    let mut signed = format!("{id}.{}.", at.seconds()).into_bytes();
    signed.extend_from_slice(body);
    let mut entries = Vec::new();
    for secret in secrets {
        let secret = secret.expose(); // the signing itself
        entries.push(if secret.starts_with("whsk_") {
            format!("v1a,{}", base64::encode(ed25519(secret)?.sign(&signed).as_ref()))
        } else {
            let key = secret.strip_prefix("whsec_").ok_or(SecretError::Prefix)?;
            let key = hmac::Key::new(hmac::HMAC_SHA256, &base64::decode(key).ok_or(SecretError::Key)?);
            format!("v1,{}", base64::encode(hmac::sign(&key, &signed).as_ref()))
        });
    }
    Ok(entries.join(" "))
}

/// The header `Stripe-Signature`: `t=…` and one `v1=…` for each secret in force. Stripe signs with the whole text of the secret.
pub fn stripe(secrets: &[Secret<String>], at: Timestamp, body: &[u8]) -> String {
    let mut signed = format!("{}.", at.seconds()).into_bytes();
    signed.extend_from_slice(body);
    let mut header = format!("t={}", at.seconds());
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()); // the signing itself
        header.push_str(",v1=");
        header.push_str(&dice::hex(hmac::sign(&key, &signed).as_ref()));
    }
    header
}

fn ed25519(secret: &str) -> Result<Ed25519KeyPair, SecretError> {
    let seed = secret.strip_prefix("whsk_").ok_or(SecretError::Prefix)?;
    let seed = base64::decode(seed).ok_or(SecretError::Key)?;
    // Standard Webhooks writes seed and public key one after the other; the seed alone is enough.
    Ed25519KeyPair::from_seed_unchecked(seed.get(..32).ok_or(SecretError::Key)?).map_err(|_| SecretError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification (symmetric signatures).
    #[test]
    fn the_published_example_is_signed_as_published() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let header = standard(
            &[secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            Timestamp::from_millis(1_614_265_330_000),
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(header.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_side_by_side_while_rotating() {
        let secrets = [new_secret(), new_signing_key()];
        let header = standard(&secrets, "evt_1", Timestamp::from_millis(1_000), b"{}").unwrap();
        let kinds: Vec<_> = header
            .split(' ')
            .map(|entry| entry.split(',').next().unwrap())
            .collect();
        assert_eq!(kinds, ["v1", "v1a"]);
        assert!(public_of(secrets[1].expose()).unwrap().starts_with("whpk_"));
        assert_eq!(
            standard(&[Secret::new("abc".into())], "x", Timestamp::default(), b""),
            Err(SecretError::Prefix)
        );
    }

    #[test]
    fn an_ed25519_signature_verifies_with_the_public_half() {
        let secret = new_signing_key();
        let header = standard(
            std::slice::from_ref(&secret),
            "evt_1",
            Timestamp::from_millis(7_000),
            b"{\"a\":1}",
        )
        .unwrap();
        let signature = base64::decode(header.strip_prefix("v1a,").unwrap()).unwrap();
        let public = base64::decode(public_of(secret.expose()).unwrap().strip_prefix("whpk_").unwrap()).unwrap();
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public);
        key.verify(b"evt_1.7.{\"a\":1}", &signature).unwrap();
    }
}
