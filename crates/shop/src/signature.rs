//! Is this webhook really from Florin? Standard Webhooks 1.0.0, symmetric: HMAC-SHA256 over `id.timestamp.body`.
//!
//! The very bytes that arrived are checked, before anything reads them. Signatures are compared in constant time.

use aws_lc_rs::hmac;
use http::HeaderMap;
use jiff::Timestamp;

use crate::base64;

/// The age, in either direction, at which a message counts as a recording that somebody plays again.
const TOLERANCE_S: u64 = 5 * 60;
/// A header may hold the signatures of two secrets and of both schemes, not a list to keep us busy.
const SIGNATURES: usize = 8;
/// Longer than any id that is sent.
const ID_BYTES: usize = 128;

/// A signing secret, as it was handed out (`whsec_…`). Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        base64::decode(text.strip_prefix("whsec_")?)
            .filter(|bytes| !bytes.is_empty())
            .map(Self)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// Why a message is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Disbelief {
    #[error("header `{0}` is missing or unreadable")]
    Header(&'static str),
    #[error("the timestamp is more than five minutes from now")]
    Stale,
    #[error("no signature matches a secret of this endpoint")]
    Forged,
}

/// The id of a message that one of `secrets` signed and that is of `now`.
pub(crate) fn verify<'h>(
    headers: &'h HeaderMap,
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
) -> Result<&'h str, Disbelief> {
    let header = |name: &'static str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .ok_or(Disbelief::Header(name))
    };
    let id = header("webhook-id")?;
    if id.is_empty() || id.len() > ID_BYTES {
        return Err(Disbelief::Header("webhook-id"));
    }
    let timestamp = header("webhook-timestamp")?;
    let sent: i64 = timestamp.parse().map_err(|_| Disbelief::Header("webhook-timestamp"))?;
    if now.as_second().abs_diff(sent) > TOLERANCE_S {
        return Err(Disbelief::Stale);
    }
    let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let signatures = header("webhook-signature")?.split(' ').take(SIGNATURES);
    let offered: Vec<_> = signatures
        .filter_map(|one| base64::decode(one.strip_prefix("v1,")?))
        .collect();
    let signed = secrets.iter().any(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
        offered
            .iter()
            .any(|signature| hmac::verify(&key, &message, signature).is_ok())
    });
    if signed { Ok(id) } else { Err(Disbelief::Forged) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by the Python package `standardwebhooks` 1.0.0 (`Webhook(secret).sign`), which shares no code with us.
    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER_SECRET: &str = "whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0";
    const BODY: &str = r#"{"id":"evt_1","type":"order.captured","note":"café €"}"#;
    const SENT: i64 = 1_795_200_000;
    const SIGNED: &str = "v1,ZFsYcLHFy0cSruyBbtQH7PdIZuMshAgTZdYnOtO6quw=";
    const SIGNED_BY_OTHER: &str = "v1,prKwdN2wbQJrGM2TAjKXFZWXfSVk6AS7e9ou8IoTMd8=";
    const SIGNED_AS_EVT_2: &str = "v1,qdBzeNLAPwkFsfnhFmQU5q9iKxRejKd2P2Hj7Dldw48=";

    fn check(id: &str, sent: &str, signature: &str, body: &str, now: i64) -> Result<String, Disbelief> {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert("webhook-timestamp", sent.parse().unwrap());
        headers.insert("webhook-signature", signature.parse().unwrap());
        let secrets = [Secret::parse(SECRET).unwrap()];
        verify(
            &headers,
            body.as_bytes(),
            &secrets,
            Timestamp::from_second(now).unwrap(),
        )
        .map(str::to_owned)
    }

    #[test]
    fn the_signatures_of_an_independent_implementation_are_accepted() {
        let sent = SENT.to_string();
        for signature in [
            SIGNED.to_owned(),
            format!("{SIGNED_BY_OTHER} {SIGNED}"),
            format!("v1a,AAAA {SIGNED} v2,AAAA"),
        ] {
            assert_eq!(
                check("evt_1", &sent, &signature, BODY, SENT).as_deref(),
                Ok("evt_1"),
                "{signature}"
            );
        }
    }

    #[test]
    fn both_secrets_count_while_one_is_rotated() {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "evt_1".parse().unwrap());
        headers.insert("webhook-timestamp", SENT.into());
        headers.insert("webhook-signature", SIGNED.parse().unwrap());
        let now = Timestamp::from_second(SENT).unwrap();
        let [new, old] = [OTHER_SECRET, SECRET].map(|text| Secret::parse(text).unwrap());
        assert!(verify(&headers, BODY.as_bytes(), &[new.clone(), old], now).is_ok());
        assert_eq!(verify(&headers, BODY.as_bytes(), &[new], now), Err(Disbelief::Forged));
        assert_eq!(verify(&headers, BODY.as_bytes(), &[], now), Err(Disbelief::Forged));
    }

    #[test]
    fn one_changed_byte_anywhere_is_a_forgery() {
        let sent = SENT.to_string();
        let later = (SENT + 1).to_string();
        let spaced = format!("{BODY} ");
        let table = [
            ("evt_1", &*sent, SIGNED, &*spaced),
            ("evt_1", &later, SIGNED, BODY),
            ("evt_2", &sent, SIGNED, BODY),
            ("evt_1", &sent, SIGNED_AS_EVT_2, BODY),
            ("evt_1", &sent, SIGNED_BY_OTHER, BODY),
            ("evt_1", &sent, "v1,", BODY),
            ("evt_1", &sent, "", BODY),
            ("evt_1", &sent, &SIGNED["v1,".len()..], BODY),
            ("evt_1", &sent, &SIGNED.replace("v1,", "v1a,"), BODY),
        ];
        for (id, at, signature, body) in table {
            assert_eq!(
                check(id, at, signature, body, SENT),
                Err(Disbelief::Forged),
                "{id} {at} {signature}"
            );
        }
    }

    #[test]
    fn a_message_of_another_time_is_a_recording() {
        let sent = SENT.to_string();
        for (off, outcome) in [
            (300, Ok("evt_1")),
            (-300, Ok("evt_1")),
            (301, Err(Disbelief::Stale)),
            (-301, Err(Disbelief::Stale)),
        ] {
            assert_eq!(
                check("evt_1", &sent, SIGNED, BODY, SENT + off)
                    .as_deref()
                    .map_err(|e| *e),
                outcome,
                "{off}"
            );
        }
        for sent in ["", "soon", "1795200000.5", "99999999999999999999"] {
            assert_eq!(
                check("evt_1", sent, SIGNED, BODY, SENT),
                Err(Disbelief::Header("webhook-timestamp"))
            );
        }
        assert_eq!(
            check("evt_1", &i64::MIN.to_string(), SIGNED, BODY, SENT),
            Err(Disbelief::Stale)
        );
    }

    #[test]
    fn a_header_list_longer_than_any_real_one_is_cut() {
        let many = format!("{}{SIGNED}", "v1,AAAA ".repeat(SIGNATURES));
        assert_eq!(
            check("evt_1", &SENT.to_string(), &many, BODY, SENT),
            Err(Disbelief::Forged)
        );
    }

    #[test]
    fn a_secret_is_never_printed_and_an_empty_one_is_none() {
        assert_eq!(format!("{:?}", Secret::parse(SECRET)), "Some([secret])");
        for text in ["whsec_", "AAECAw==", "whsec_!", ""] {
            assert_eq!(Secret::parse(text), None, "{text}");
        }
    }
}
