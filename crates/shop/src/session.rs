//! Who is asking: a cookie with a value that cannot be guessed, and whether a form was sent by our own page.
//!
//! The records know a session by its hash, so that whoever reads them cannot take a visitor's place.

use aws_lc_rs::digest::{SHA256, digest};
use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};

const COOKIE_NAME: &str = "giglio_session";
/// A cart that nobody touched for this long is forgotten by the browser.
const COOKIE_LIFE_S: u32 = 30 * 24 * 3600;
/// 32 letters of 5 bits: 160 bits, well above the 128 that anything which opens a page must have.
const NAME_LETTERS: usize = 32;
/// Crockford's base 32, which has no letters that are mistaken for one another.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A visitor, as the records know them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Owner(String);

impl Owner {
    fn of(value: &str) -> Self {
        Self(base32(digest(&SHA256, value.as_bytes()).as_ref(), 52))
    }

    /// Who the cookie says is asking, if it is one of ours by its form.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, value)| *name == COOKIE_NAME && is_unguessable(value))?;
        Some(Self::of(value))
    }

    /// A visitor whom we see for the first time, and the cookie that they keep.
    pub(crate) fn new(secure: bool) -> (Self, HeaderValue) {
        let value = unguessable();
        let secure = if secure { "; Secure" } else { "" };
        let cookie = format!("{COOKIE_NAME}={value}; Path=/; Max-Age={COOKIE_LIFE_S}; HttpOnly; SameSite=Lax{secure}");
        (
            Self::of(&value),
            HeaderValue::from_str(&cookie).expect("letters and digits are a header"),
        )
    }

    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self::of(name)
    }
}

/// A new value that opens something: a session, an order page, a cart.
pub(crate) fn unguessable() -> String {
    let mut bytes = [0; NAME_LETTERS * 5 / 8];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    base32(&bytes, NAME_LETTERS)
}

/// Whether a text has the form of [`unguessable`].
pub(crate) fn is_unguessable(text: &str) -> bool {
    text.len() == NAME_LETTERS && text.bytes().all(|letter| LETTERS.contains(&letter))
}

/// The first `letters` letters of the bytes in base 32.
pub(crate) fn base32(bytes: &[u8], letters: usize) -> String {
    let bit = |i: usize| bytes.get(i / 8).is_some_and(|byte| byte >> (7 - i % 8) & 1 == 1);
    let letter = |n: usize| (0..5).fold(0, |value, i| value << 1 | usize::from(bit(n * 5 + i)));
    (0..letters).map(|n| char::from(LETTERS[letter(n)])).collect()
}

/// Whether a form may change something: sent by a page of this shop, or by a program that is no browser.
///
/// The cookie's `SameSite` keeps other sites out, but ports of one host are one site; these two headers tell them apart.
pub(crate) fn is_own_form(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(http::HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(ORIGIN) else { return true };
    origin.split_once("://").map(|(_, host)| host) == text(HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_cookie_brings_the_same_visitor_back_and_a_forged_form_nobody() {
        let (owner, cookie) = Owner::new(false);
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        assert_eq!(
            Owner::from_headers(&headers(&[("cookie", &format!("a=b; {pair}; c=d"))])),
            Some(owner)
        );
        for forged in [
            "giglio_session=",
            "giglio_session=1",
            "other=00000000000000000000000000000000",
        ] {
            assert_eq!(Owner::from_headers(&headers(&[("cookie", forged)])), None, "{forged}");
        }
    }

    #[test]
    fn the_cookie_is_out_of_reach_for_scripts_and_other_sites() {
        let plain = Owner::new(false).1;
        assert!(plain.to_str().unwrap().ends_with("; HttpOnly; SameSite=Lax"));
        assert!(Owner::new(true).1.to_str().unwrap().ends_with("; Secure"));
    }

    #[test]
    fn no_two_names_are_alike_and_each_has_160_bits() {
        let names: std::collections::BTreeSet<_> = (0..1000).map(|_| unguessable()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| is_unguessable(name)));
    }

    #[test]
    fn a_form_of_another_page_changes_nothing() {
        let table: &[(&[(&str, &str)], bool)] = &[
            (&[("sec-fetch-site", "same-origin")], true),
            (
                &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:4003")],
                false,
            ),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("origin", "http://shop.test:4001"), ("host", "shop.test:4001")], true),
            (
                &[("origin", "http://shop.test:4003"), ("host", "shop.test:4001")],
                false,
            ),
            (&[("origin", "null"), ("host", "shop.test:4001")], false),
            (&[("host", "shop.test:4001")], true),
        ];
        for (pairs, own) in table {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| (*n, *v)).collect();
            let map: HeaderMap = pairs
                .iter()
                .map(|(n, v)| (n.parse::<http::HeaderName>().unwrap(), v.parse().unwrap()))
                .collect();
            assert_eq!(is_own_form(&map), *own, "{pairs:?}");
        }
    }
}
