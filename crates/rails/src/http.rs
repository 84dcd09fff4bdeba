//! What every rail over HTTP needs: addresses, ids that may stand in a path, when to come back.

use florin_core::rail::{Account, Reply};
use florin_core::time::Timestamp;

/// Longest id of a provider that we keep or put into a path.
const ID_BYTES_MAX: usize = 255;
/// How long to wait when a provider says "not now" without a number.
const AGAIN_S: u32 = 2;
/// A provider may ask for patience, not for hours: the poll plan goes on in between.
const AGAIN_S_MAX: u32 = 60;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// From 1 March of the year 0 to 1970.
const DAYS_TO_1970: i64 = 719_468;

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

/// When a reply was sent, by its provider's clock: `Sat, 21 Nov 2026 19:00:09 GMT`. None: it does not say, in the one form that is in use.
pub(crate) fn sent_at(reply: &Reply) -> Option<Timestamp> {
    let (_, moment) = reply.headers.get("date")?.split_once(", ")?;
    let words: Vec<&str> = moment.split([' ', ':']).collect();
    let [day, month, year, hour, minute, second, "GMT"] = words[..] else {
        return None;
    };
    let number = |text: &str| text.parse::<u32>().ok().map(i64::from);
    let month = MONTHS.iter().position(|name| *name == month)?;
    // Years begin in March, so that a leap day is the last one of its year.
    let (years, months) = match i64::try_from(month).ok()? {
        month @ 0..=1 => (number(year)? - 1, month + 10),
        month => (number(year)?, month - 2),
    };
    let leaps = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
    let days = years * 365 + leaps + (months * 153 + 2) / 5 + number(day)? - 1 - DAYS_TO_1970;
    Some(Timestamp::from_millis(
        (((days * 24 + number(hour)?) * 60 + number(minute)?) * 60 + number(second)?) * 1_000,
    ))
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
    fn a_providers_clock_reads_and_nonsense_does_not() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Sat, 21 Nov 2026 19:00:09 GMT", Some(1_795_287_609)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sat, 21 Nov 2026 19:00:09 +0100", None),
            ("soon", None),
            ("", None),
        ] {
            let reply = Reply {
                headers: [("date".to_owned(), text.to_owned())].into(),
                ..Reply::default()
            };
            assert_eq!(sent_at(&reply).map(Timestamp::seconds), seconds, "{text}");
        }
    }

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
