//! Values that read and cannot be meant: numbers out of bounds, names and addresses that are none, two doors at one port.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::explain::Places;
use super::{Config, ConfigError};
use crate::log;

/// Numbers that may be set, from and to.
const QUEUE: RangeInclusive<usize> = 1..=1_000_000;
/// The smallest order with a reference and a method fits into the least; the most is held in memory for each request.
const BODY_BYTES: RangeInclusive<usize> = 1_024..=16 << 20;
/// With 0, SQLite never folds its log; the most is a log of four gigabytes.
const CHECKPOINT_PAGES: RangeInclusive<u32> = 1..=1_000_000;
/// The longest name of a node.
const NODE_CHARS_MAX: usize = 100;

impl Config {
    /// Values that read and cannot be meant: each is refused with its place.
    pub(super) fn refuse_unusable(&mut self, places: &Places) -> Result<(), ConfigError> {
        let within = |section, name, value: u64, from: u64, to: u64| {
            if (from..=to).contains(&value) {
                return Ok(());
            }
            let said = format!("a whole number from {from} to {to} is expected, {value} was given");
            Err(places.refuse(section, name, &said))
        };
        let (queue, bytes) = (self.limits.queue as u64, self.limits.body_bytes as u64);
        within("limits", "queue", queue, *QUEUE.start() as u64, *QUEUE.end() as u64)?;
        let (least, most) = (*BODY_BYTES.start() as u64, *BODY_BYTES.end() as u64);
        within("limits", "body_bytes", bytes, least, most)?;
        let (least, most) = (*CHECKPOINT_PAGES.start(), *CHECKPOINT_PAGES.end());
        let pages = self.sqlite.checkpoint_pages;
        within("sqlite", "checkpoint_pages", pages.into(), least.into(), most.into())?;
        if self.data.as_os_str().is_empty() {
            return Err(places.refuse(
                "",
                "data",
                "it is empty: name a folder, or leave it out for florin-data",
            ));
        }
        if let Some(node) = &self.node {
            let good = !node.trim().is_empty() && node.chars().count() <= NODE_CHARS_MAX;
            if !good || node.chars().any(char::is_control) {
                let said = format!(
                    "a node's name has 1 to {NODE_CHARS_MAX} characters, and no control characters: leave it out for one that is made"
                );
                return Err(places.refuse("", "node", &said));
            }
        }
        for (name, url) in [
            ("public_url", &mut self.server.public_url),
            ("stripe_public_url", &mut self.server.stripe_public_url),
        ] {
            if let Some(text) = url {
                *text = origin(text).map_err(|why| places.refuse("server", name, why))?;
            }
        }
        let doors = [
            ("api", self.server.api),
            ("stripe", self.server.stripe),
            ("admin", self.server.admin),
        ];
        for (at, (name, address)) in doors.iter().enumerate() {
            let same = |other: &&(&str, SocketAddr)| clash(*address, other.1);
            if let Some((other, _)) = doors[..at].iter().find(same) {
                let said = format!(
                    "`{other}` and `{name}` have the same port, {}: give each door one of its own",
                    address.port()
                );
                let set = [*name, other]
                    .into_iter()
                    .find(|name| places.of("server", name).is_some());
                return Err(places.refuse("server", set.unwrap_or(name), &said));
            }
        }
        log::filter(&self.log.filter).map_err(|why| places.refuse("log", "filter", &why))?;
        Ok(())
    }
}

/// Whether one of two doors could not be opened beside the other.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || everywhere)
}

/// The origin that an address names, as it is put before paths.
fn origin(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "an origin is expected: https:// and a host, with a port if need be, and nothing behind it, such as \"https://pay.example.com\"";
    const OPEN: &str = "payers would send what they type over the network as it is: write https:// (http:// is for this machine alone, 127.0.0.1)";
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or(WRONG)?;
    let misread = |c: char| c.is_whitespace() || c.is_control() || "/\\?#@".contains(c);
    if rest.strip_suffix('/').unwrap_or(rest).contains(misread) {
        return Err(WRONG);
    }
    let url = url::Url::parse(text).map_err(|_| WRONG)?;
    let on_this_machine = match url.host().ok_or(WRONG)? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
    };
    if url.scheme() == "http" && !on_this_machine {
        return Err(OPEN);
    }
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    #[test]
    fn a_value_that_cannot_be_meant_is_refused_with_its_place() {
        for (text, says) in [
            (
                "[limits]\nqueue = 0\n",
                "line 2: `queue` cannot be used: a whole number from 1 to",
            ),
            (
                "limits.queue = 0\n",
                "line 1: `queue` cannot be used: a whole number from 1 to",
            ),
            ("limits = { queue = 0 }\n", "line 1: `queue` cannot be used"),
            (
                "[limits]\nbody_bytes = 0\n",
                "line 2: `body_bytes` cannot be used: a whole number from 1024 to",
            ),
            (
                "[sqlite]\ncheckpoint_pages = 0\n",
                "line 2: `checkpoint_pages` cannot be used: a whole number from 1 to",
            ),
            (
                "node = \"\"\n",
                "line 1: `node` cannot be used: a node's name has 1 to 100 characters",
            ),
            (
                "node = \"a\\nb\"\n",
                "line 1: `node` cannot be used: a node's name has 1 to 100 characters",
            ),
            ("data = \"\"\n", "line 1: `data` cannot be used: it is empty"),
            (
                "[server]\n\nadmin = \"127.0.0.1:4000\"\n",
                "line 3: `admin` cannot be used: `api` and `admin` have the same port, 4000",
            ),
            (
                "[server]\napi = \"0.0.0.0:4005\"\n",
                "line 2: `api` cannot be used: `api` and `admin` have the same port, 4005",
            ),
            (
                "[log]\nfilter = \"infoo\"\n",
                "line 2: `filter` cannot be used: `infoo` is no level",
            ),
            (
                "[limits]\ndrain_s = 99999999999\n",
                "line 2: a whole number from 0 to 4294967295 is expected, a larger one",
            ),
            (
                "[limits]\nqueue = 99999999999999999999\n",
                "line 2: a whole number from 0 to 4294967295 is expected, a larger one",
            ),
            (
                "[limits]\nqueue = -1\n",
                "line 2: a whole number from 0 to 4294967295 is expected, a negative one",
            ),
            (
                "[log]\nformat = -1\n",
                "line 2: one of `auto`, `json`, `text` is expected",
            ),
            (
                "node = \"a\"\nnode = \"b\"\n",
                "line 2: `node` is set twice: keep one of the two",
            ),
            ("[log]\n[log]\n", "line 2: this section is there twice"),
            (
                "[server]\napi = 127.0.0.1:0\n",
                "line 2: what `api` is set to does not read: texts and addresses stand in quotes",
            ),
        ] {
            let error = load(text, &[]).unwrap_err();
            assert!(error.0.starts_with(&format!("florin.toml, {says}")), "{error}");
        }
        let error = load("[limits]\nqueue = 5\n", &[("FLORIN_LIMITS_QUEUE", "0")]).unwrap_err();
        assert!(
            error.0.starts_with("FLORIN_LIMITS_QUEUE: `queue` cannot be used"),
            "{error}"
        );
    }

    #[test]
    fn a_public_address_is_an_origin() {
        for wrong in [
            "nonsense!",
            "ftp://x",
            "javascript:x",
            "https://u:p@h",
            "https://@h",
            "https://h/x",
            "https://h//",
            "https://h?y",
            "https://h#z",
            "https://",
            "https://h h",
            "http://pay.example.com",
            "",
        ] {
            for name in ["public_url", "stripe_public_url"] {
                let error = load(&format!("[server]\n{name} = \"{wrong}\"\n"), &[]).unwrap_err();
                let says = format!("florin.toml, line 2: `{name}` cannot be used: ");
                assert!(error.0.starts_with(&says), "{wrong}: {error}");
            }
        }
        for (given, taken) in [
            ("https://Pay.example.com/", "https://pay.example.com"),
            ("https://pay.example.com:8443", "https://pay.example.com:8443"),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("http://[::1]:4000", "http://[::1]:4000"),
        ] {
            let config = load(&format!("[server]\npublic_url = \"{given}\"\n"), &[]).unwrap();
            assert_eq!(config.server.public_url.as_deref(), Some(taken));
        }
    }
}
