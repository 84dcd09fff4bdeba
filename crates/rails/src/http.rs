//! What every rail over HTTP needs: addresses, ids that may stand in a path, when to come back.

use florin_core::rail::{Account, Reply};

/// Longest id of a provider that we keep or put into a path.
const ID_BYTES_MAX: usize = 255;
/// How long to wait when a provider says "not now" without a number.
const AGAIN_S: u32 = 2;
/// A provider may ask for patience, not for hours: the poll plan goes on in between.
const AGAIN_S_MAX: u32 = 60;

/// `path` at the account's provider.
pub(crate) fn address(account: &Account, path: &str) -> String {
    format!("{}{path}", account.base.trim_end_matches('/'))
}

/// Whether a provider's id may be kept and put into a path: nothing in it can lead anywhere else.
pub(crate) fn safe_id(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Whether a payer may be sent to `url`: an address of the web, and in clear only when the provider itself is spoken to in clear
/// (the pretend provider on this machine).
pub(crate) fn safe_url(account: &Account, url: &str) -> bool {
    let web = url.starts_with("https://") || (account.base.starts_with("http://") && url.starts_with("http://"));
    web && !url.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
}

/// In how many seconds a provider that said "not now" wants to hear the same message.
pub(crate) fn come_back(reply: &Reply) -> u32 {
    let asked = reply
        .headers
        .get("retry-after")
        .and_then(|value| value.trim().parse().ok());
    asked.map_or(AGAIN_S, |seconds: u32| seconds.clamp(1, AGAIN_S_MAX))
}

/// Words of a provider that we keep: cut, so that no reply can fill a row.
pub(crate) fn cut(text: &str) -> String {
    const WORDS_CHARS_MAX: usize = 120;
    text.chars().take(WORDS_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_lead_elsewhere_is_no_id() {
        for id in ["pi_3Nab", "iss_000001", "a-b"] {
            assert!(safe_id(id), "{id}");
        }
        for id in ["", "../v1/payouts", "pi_1?x=1", "pi 1", "pi_é", &"a".repeat(256)] {
            assert!(!safe_id(id), "{id}");
        }
    }

    #[test]
    fn a_payer_is_sent_to_addresses_of_the_web_only() {
        let live = Account {
            base: "https://api.stripe.com".into(),
            ..Account::default()
        };
        let near = Account {
            base: "http://127.0.0.1:4003".into(),
            ..Account::default()
        };
        assert!(safe_url(&live, "https://checkout.stripe.com/c/pay/cs_1#x"));
        assert!(!safe_url(&live, "http://checkout.stripe.com/"));
        assert!(safe_url(&near, "http://127.0.0.1:4003/pay"));
        for url in [
            "javascript:alert(1)",
            "data:text/html,x",
            "",
            "https://a b",
            "https://a\nb",
        ] {
            assert!(!safe_url(&near, url), "{url}");
        }
    }
}
