//! Query parameters: those that a call knows, each once, refused by name otherwise.

use std::collections::BTreeMap;

use florin_core::time::Timestamp;

use super::ask::parse_id;
use crate::problem::Problem;

/// Items of a page, if the caller does not say.
pub const LIMIT_DEFAULT: u32 = 20;
/// Items of a page at most.
pub const LIMIT_MAX: u32 = 100;

/// Most metadata entries that a list is searched by at once.
const METADATA_MAX: usize = 10;

/// Characters of a value that are shown again.
const SHOWN_CHARS: usize = 40;

/// The parameters of one call.
#[derive(Debug, Default)]
pub struct Params {
    given: BTreeMap<String, String>,
    /// `metadata[name]=value`.
    pub metadata: Vec<(String, String)>,
}

impl Params {
    /// Reads a query that may have `limit`, `after` and the `known` parameters; `metadata[…]` if `metadata` is among them.
    pub fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut params = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if value.contains('\0') || value.contains('\u{fffd}') {
                return Err(Problem::new("invalid_value", format!("`{name}` is no text")).at(name));
            }
            let key = name.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']'));
            if let Some(key) = key.filter(|_| known.contains(&"metadata")) {
                if params.metadata.len() >= METADATA_MAX {
                    let detail = format!("a list is searched by at most {METADATA_MAX} metadata entries at once");
                    return Err(Problem::new("invalid_value", detail).at("metadata"));
                }
                params.metadata.push((key.to_owned(), value.into_owned()));
                continue;
            }
            let expected = name == "limit" || name == "after" || (known.contains(&&*name) && name != "metadata");
            if !expected {
                let mut all = vec!["limit", "after"];
                all.extend(
                    known
                        .iter()
                        .map(|name| if *name == "metadata" { "metadata[name]" } else { name }),
                );
                let detail = format!("`{name}` is no parameter here; there are {}", all.join(", "));
                return Err(Problem::new("unknown_member", detail).at(name));
            }
            if params
                .given
                .insert(name.clone().into_owned(), value.into_owned())
                .is_some()
            {
                return Err(Problem::new("invalid_value", format!("`{name}` is there twice")).at(name));
            }
        }
        Ok(params)
    }

    /// A parameter's text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.given.get(name).cloned()
    }

    /// How many items.
    pub fn limit(&self) -> Result<u32, Problem> {
        let Some(text) = self.given.get("limit") else {
            return Ok(LIMIT_DEFAULT);
        };
        text.parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit) && text.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(|| {
                Problem::new(
                    "invalid_value",
                    format!("limit is `{text}`: it can be 1 to {LIMIT_MAX}"),
                )
                .at("limit")
            })
    }

    /// The id after which the page begins.
    pub fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem>
    where
        T::Err: std::fmt::Display,
    {
        self.id("after")
    }

    /// A parameter that is an id.
    pub fn id<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T::Err: std::fmt::Display,
    {
        self.given.get(name).map(|text| parse_id(name, text)).transpose()
    }

    /// A parameter that is one of these words.
    pub fn word(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, Problem> {
        let Some(text) = self.given.get(name) else {
            return Ok(None);
        };
        words
            .iter()
            .copied()
            .find(|word| word == text)
            .map(Some)
            .ok_or_else(|| {
                Problem::new(
                    "invalid_value",
                    format!("{name} is `{text}`: it can be {}", words.join(", ")),
                )
                .at(name)
            })
    }

    /// A parameter that is a moment: RFC 3339, or a date, which is its first moment in UTC.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.given.get(name) else {
            return Ok(None);
        };
        let moment = moment(text).ok_or_else(|| {
            let shown: String = text.chars().take(SHOWN_CHARS).collect();
            let detail = format!(
                "{name} is `{shown}`: write it as 2026-11-21T12:00:00Z or 2026-11-21, with a year of four digits"
            );
            Problem::new("invalid_value", detail).at(name)
        })?;
        Ok(Some(Timestamp::from_millis(moment.as_millisecond())))
    }
}

/// The moment that a text names. The last hours of the year 9999 are what people write for "ever": the last moment that there is.
fn moment(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    let written = jiff::fmt::temporal::Pieces::parse(text).ok()?;
    let offset = match (written.time(), written.to_numeric_offset()) {
        (_, Some(offset)) => offset,
        (None, None) => jiff::tz::Offset::UTC,
        (Some(_), None) => return None, // nobody knows where
    };
    let time = written.time().unwrap_or(jiff::civil::Time::midnight());
    match offset.to_timestamp(written.date().to_datetime(time)) {
        Ok(moment) => Some(moment),
        Err(_) if written.date().year() > 0 => Some(jiff::Timestamp::MAX),
        Err(_) => Some(jiff::Timestamp::MIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_repeated_parameters_are_refused_by_name() {
        let error = Params::read(Some("limit=3&statu=captured"), &["status", "metadata"]).unwrap_err();
        assert_eq!(
            error.detail,
            "`statu` is no parameter here; there are limit, after, status, metadata[name]"
        );
        assert_eq!(
            Params::read(Some("limit=1&limit=2"), &[]).unwrap_err().code,
            "invalid_value"
        );
    }

    #[test]
    fn a_moment_is_written_with_its_place_or_is_a_day_and_may_be_the_end_of_time() {
        let time = |text: &str| {
            let query = format!("to={}", text.replace('+', "%2B"));
            Params::read(Some(&query), &["to"]).unwrap().time("to")
        };
        for (text, seconds) in [
            ("2026-11-21T12:00:00Z", 1_795_262_400),
            ("2026-11-21T12:00:00+02:00", 1_795_255_200),
            ("2026-11-21", 1_795_219_200),
            ("9999-12-30", 253_402_128_000),
            ("9999-12-31", 253_402_207_200),
            ("9999-12-31T23:59:59Z", 253_402_207_200),
            ("9999-12-31T23:59:59.999+00:00", 253_402_207_200),
        ] {
            assert_eq!(time(text).unwrap().unwrap().seconds(), seconds, "{text}");
        }
        for wrong in [
            "99999-01-01",
            "2026-11-21T12:00:00",
            "tomorrow",
            "",
            "2026-02-30",
            &"9".repeat(500),
        ] {
            let problem = time(wrong).unwrap_err();
            assert_eq!(problem.param.as_deref(), Some("to"), "{wrong}");
            assert!(problem.detail.chars().count() < 140, "{}", problem.detail);
            let fix = "write it as 2026-11-21T12:00:00Z or 2026-11-21, with a year of four digits";
            assert!(problem.detail.ends_with(fix), "{}", problem.detail);
        }
    }

    #[test]
    fn what_is_known_reads() {
        let params = Params::read(
            Some("limit=100&metadata[cart]=a%26b&from=2026-11-21"),
            &["metadata", "from"],
        )
        .unwrap();
        assert_eq!(params.limit().unwrap(), 100);
        assert_eq!(params.metadata, [("cart".to_owned(), "a&b".to_owned())]);
        assert_eq!(params.time("from").unwrap().unwrap().seconds(), 1_795_219_200);
        for wrong in ["limit=0", "limit=101", "limit=+5", "limit=x", "limit="] {
            assert!(Params::read(Some(wrong), &[]).unwrap().limit().is_err(), "{wrong}");
        }
    }
}
