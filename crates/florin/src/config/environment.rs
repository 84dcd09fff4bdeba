//! Settings out of the environment: `FLORIN_…`, and no name that is none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::ConfigError;
use super::explain::{WHOLE_NUMBER, did_you_mean, nearest};

/// Every setting that the environment may hold, beside `FLORIN_SECRET_…` and `FLORIN_CONFIG`.
pub(super) const NAMES: &[&str] = &[
    "FLORIN_DATA",
    "FLORIN_DATABASE",
    "FLORIN_NODE",
    "FLORIN_SERVER_API",
    "FLORIN_SERVER_STRIPE",
    "FLORIN_SERVER_ADMIN",
    "FLORIN_SERVER_PUBLIC_URL",
    "FLORIN_SERVER_STRIPE_PUBLIC_URL",
    "FLORIN_SERVER_BEHIND_PROXY",
    "FLORIN_LIMITS_ANSWER_WAIT_S",
    "FLORIN_LIMITS_DRAIN_S",
    "FLORIN_LIMITS_QUEUE",
    "FLORIN_LIMITS_BODY_BYTES",
    "FLORIN_LIMITS_REQUESTS_PER_S",
    "FLORIN_SQLITE_CHECKPOINT_PAGES",
    "FLORIN_LOG_FILTER",
    "FLORIN_LOG_FORMAT",
    "FLORIN_WEBHOOKS_ALLOW_PRIVATE",
    "FLORIN_PROVIDERS_ANY_ADDRESS",
];

/// Names that start like ours and mean something to somebody else: the client commands and the test kits.
const OTHER_NAMES: &[&str] = &[
    "FLORIN_CONFIG",
    "FLORIN_API",
    "FLORIN_KEY",
    "FLORIN_ADMIN_KEY",
    "FLORIN_SPECS",
    "FLORIN_FULL",
    "FLORIN_BIN",
    "FLORIN_TARGET",
    florin_services::crash::VARIABLE,
];

/// What a variable may hold, for people.
pub(super) trait Written: std::str::FromStr {
    const EXPECTED: &'static str;
}

impl Written for String {
    const EXPECTED: &'static str = "a text";
}

impl Written for PathBuf {
    const EXPECTED: &'static str = "a folder";
}

impl Written for SocketAddr {
    const EXPECTED: &'static str = "an address and port, such as 127.0.0.1:4000,";
}

impl Written for bool {
    const EXPECTED: &'static str = "true or false";
}

impl Written for u32 {
    const EXPECTED: &'static str = WHOLE_NUMBER;
}

impl Written for usize {
    const EXPECTED: &'static str = WHOLE_NUMBER;
}

pub(super) struct Environment<'a> {
    pub(super) values: &'a BTreeMap<String, String>,
}

impl Environment<'_> {
    pub(super) fn read<T: Written>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        debug_assert!(NAMES.contains(&name), "{name} is not in NAMES");
        let Some(text) = self.values.get(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| ConfigError(format!("{name} cannot be read: {} is expected", T::EXPECTED)))
    }

    pub(super) fn refuse_unknown(&self) -> Result<(), ConfigError> {
        for name in self.values.keys().filter(|name| name.starts_with("FLORIN_")) {
            let known = NAMES.contains(&name.as_str()) || OTHER_NAMES.contains(&name.as_str());
            if !known && !name.starts_with("FLORIN_SECRET_") {
                let near = nearest(name, NAMES.iter().copied());
                return Err(ConfigError(format!(
                    "the environment has {name}, which is no setting{}",
                    did_you_mean(near)
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    #[test]
    fn the_environment_stands_over_the_file() {
        let config = load("[limits]\nqueue = 5\n", &[("FLORIN_LIMITS_QUEUE", "7")]).unwrap();
        assert_eq!(config.limits.queue, 7);
        let error = load("", &[("FLORIN_LIMITS_QUEUE", "seven")]).unwrap_err();
        assert_eq!(
            error.0,
            "FLORIN_LIMITS_QUEUE cannot be read: a whole number from 0 to 4294967295 is expected"
        );
        let error = load("", &[("FLORIN_LIMIT_QUEUE", "7")]).unwrap_err();
        assert!(error.0.contains("did you mean `FLORIN_LIMITS_QUEUE`?"), "{error}");
    }
}
