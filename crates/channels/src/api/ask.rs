//! Bodies and queries of the API, as they are sent. Unknown members are refused; every text and list has its limit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use florin_core::money::{Currency, Money};
use florin_core::order::{CaptureAt, Kind};
use florin_core::rail::Line;
use florin_core::time::Timestamp;
use florin_services::view::Details;
use florin_store::Mode;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::email::{EMAIL_CHARS_MAX, can_be_email};
use crate::problem::Problem;
use crate::request::is_plainly_http;

/// Largest amount: what every provider and every database column holds with room for sums (about 92 billion euros).
pub const AMOUNT_MAX: i64 = 9_223_372_036_854;
/// Longest reference.
pub const REFERENCE_CHARS_MAX: usize = 128;
/// Longest description.
pub const DESCRIPTION_CHARS_MAX: usize = 500;
/// Metadata: as many keys, and as long (`design.md`, decision 10).
pub const METADATA_KEYS_MAX: usize = 50;
/// Longest metadata key.
pub const METADATA_KEY_CHARS_MAX: usize = 40;
/// Longest metadata value.
pub const METADATA_VALUE_CHARS_MAX: usize = 500;
/// Lines of one order.
pub const LINES_MAX: usize = 100;
/// Longest address.
pub const URL_CHARS_MAX: usize = 2_048;
/// Longest pay window: 90 days (`order-machine.md` 6).
pub const WINDOW_S_MAX: u32 = 90 * 86_400;
/// Shortest pay window.
pub const WINDOW_S_MIN: u32 = 3;

/// Makes an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    /// How much, in minor units of the currency: 1099 is EUR 10.99 and JPY 1099.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_i64, example = 1099)]
    pub amount: i64,
    /// ISO 4217, upper case.
    #[schema(min_length = 3, max_length = 3, pattern = "^[A-Z]{3}$", example = "EUR")]
    pub currency: String,
    /// Your own name for it. One order per reference: a second one is refused with the first one's id.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        example = "A-17"
    )]
    pub reference: String,
    /// When an approved payment is taken.
    #[serde(default)]
    pub capture: CaptureWord,
    /// What the payer reads.
    #[schema(max_length = 500)]
    pub description: Option<String>,
    /// The customer, `cus_…`.
    #[schema(pattern = "^cus_[0-9a-hjkmnp-tv-z]{26}$")]
    pub customer: Option<String>,
    /// E-mail for the receipt: one `@` with something on both sides, and no blanks.
    #[schema(max_length = 254, pattern = r"^([^@\s]+@[^@\s]+)?$")]
    pub email: Option<String>,
    /// Your own names and values: at most 50, of 40 and 500 characters.
    #[serde(default, deserialize_with = "distinct")]
    pub metadata: BTreeMap<String, String>,
    /// What is bought.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub lines: Vec<LineBody>,
    /// Where the payer goes afterwards.
    #[schema(max_length = 2048)]
    pub return_url: Option<String>,
    /// Where the payer goes when they leave the provider's page.
    #[schema(max_length = 2048)]
    pub cancel_url: Option<String>,
    /// How long the order may be paid, in seconds; a day if nothing is said.
    #[schema(minimum = 3, maximum = 7_776_000)]
    pub expires_in_s: Option<u32>,
    /// Pay it in the same call.
    #[serde(default)]
    pub confirm: bool,
    /// With `confirm`: how. `hosted` is the provider's page.
    #[schema(max_length = 128)]
    pub method: Option<String>,
    /// With `confirm`: over which connection, if not the default one.
    #[schema(pattern = "^con_[0-9a-hjkmnp-tv-z]{26}$")]
    pub connection: Option<String>,
}

/// Names and values, each name once: of two values nobody could say which one was meant.
struct Distinct(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Distinct;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Distinct, A::Error> {
                let mut all = BTreeMap::new();
                while let Some((name, value)) = given.next_entry::<String, String>()? {
                    match all.entry(name) {
                        Entry::Vacant(place) => _ = place.insert(value),
                        Entry::Occupied(there) => {
                            return Err(A::Error::custom(format_args!("duplicate field `{}`", there.key())));
                        }
                    }
                }
                Ok(Distinct(all))
            }
        }
        from.deserialize_map(Names)
    }
}

/// Reads names and values, and refuses a name that is there twice.
pub fn distinct<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    Distinct::deserialize(from).map(|all| all.0)
}

/// The same, where they may be left out.
pub fn distinct_if_any<'de, D: Deserializer<'de>>(from: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    Ok(Option::<Distinct>::deserialize(from)?.map(|all| all.0))
}

/// When an approved payment is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureWord {
    /// Together with the approval.
    #[default]
    AtOnce,
    /// When you say so, by `/capture`.
    Later,
}

/// One thing that is bought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineBody {
    /// What it is called.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub quantity: u32,
    /// The price of one, in minor units of the order's currency.
    #[schema(minimum = 0, maximum = 9_223_372_036_854_i64)]
    pub unit_amount: i64,
}

/// Pays an order.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmBody {
    /// How; `hosted` if nothing is said.
    #[schema(max_length = 128)]
    pub method: Option<String>,
    /// Over which connection, if not the default one.
    #[schema(pattern = "^con_[0-9a-hjkmnp-tv-z]{26}$")]
    pub connection: Option<String>,
    /// Where the payer goes afterwards, if not where the order says.
    #[schema(max_length = 2048)]
    pub return_url: Option<String>,
}

/// Takes money that is held.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureBody {
    /// How much, in minor units; all that is held if nothing is said.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_i64)]
    pub amount: Option<i64>,
    /// Nothing more will be taken: the rest is released.
    #[serde(default = "yes", rename = "final")]
    pub last: bool,
}

fn yes() -> bool {
    true
}

/// Gives money back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundBody {
    /// How much, in minor units; all that is left if nothing is said.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_i64)]
    pub amount: Option<i64>,
}

/// A call that says nothing beyond its address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Reports how a step stands, as somebody saw it at the provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveBody {
    /// How it stands.
    #[serde(rename = "as")]
    pub outcome: ResolveWord,
    /// The step, such as `ref/0`; the attempt's authorise step if nothing is said.
    #[schema(max_length = 16, example = "ref/0")]
    pub step: Option<String>,
    /// The amount that the provider shows, in minor units, if it is not what was asked. For `undone`: how much undoes
    /// and refunds at the provider's console sent back of the attempt in all, if not everything that stands of one that the order has
    /// left; needed for the payment that the order stands on. What the provider tells too is booked once.
    #[schema(minimum = 0, maximum = 9_223_372_036_854_i64)]
    pub amount: Option<i64>,
    /// Who says so, and where they saw it. Kept with the order.
    #[schema(min_length = 1, max_length = 500)]
    pub note: String,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolveWord {
    /// It was done.
    Approved,
    /// It was refused.
    Declined,
    /// It was undone: nothing of it stands.
    Undone,
}

impl OrderBody {
    /// The amount and currency.
    pub fn money(&self) -> Result<Money, Problem> {
        let currency: Currency = self
            .currency
            .parse()
            .map_err(|error| Problem::new("invalid_value", format!("{error}")).at("currency"))?;
        money(self.amount, currency)
    }

    /// When it is taken, and what kind of order it is.
    pub fn terms(&self) -> (Kind, CaptureAt) {
        let capture = match self.capture {
            CaptureWord::AtOnce => CaptureAt::Once,
            CaptureWord::Later => CaptureAt::Later,
        };
        (Kind::Payment, capture)
    }

    /// The end of the pay window, if the caller sets one.
    pub fn expires_at(&self, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(seconds) = self.expires_in_s else {
            return Ok(None);
        };
        if !(WINDOW_S_MIN..=WINDOW_S_MAX).contains(&seconds) {
            let detail = format!("expires_in_s is {seconds}: it can be {WINDOW_S_MIN} to {WINDOW_S_MAX} (90 days)");
            return Err(Problem::new("invalid_value", detail).at("expires_in_s"));
        }
        Ok(Some(now.plus_seconds(i64::from(seconds))))
    }

    /// What the order is for. Takes names and values out of the body instead of copying them.
    pub fn take_details(&mut self, currency: Currency, mode: Mode) -> Result<Details, Problem> {
        text("reference", &self.reference, 1, REFERENCE_CHARS_MAX)?;
        let lines = std::mem::take(&mut self.lines);
        let count = lines.len();
        let lines = lines.into_iter().enumerate().map(|(at, line)| {
            if !fits(&line.name, 1, 200) {
                text(&format!("lines[{at}].name"), &line.name, 1, 200)?;
            }
            if line.quantity == 0 || line.quantity > 1_000_000 || !(0..=AMOUNT_MAX).contains(&line.unit_amount) {
                let detail = format!("line {at} has a quantity of 1 to 1000000 and a unit_amount of 0 to {AMOUNT_MAX}");
                return Err(Problem::new("invalid_value", detail).at(format!("lines[{at}]")));
            }
            Ok(Line {
                name: line.name,
                quantity: line.quantity,
                unit: Money::new(line.unit_amount, currency),
            })
        });
        if count > LINES_MAX {
            return Err(Problem::new("invalid_value", format!("an order has at most {LINES_MAX} lines")).at("lines"));
        }
        Ok(Details {
            description: optional_prose("description", self.description.as_ref(), DESCRIPTION_CHARS_MAX)?,
            customer: self
                .customer
                .as_deref()
                .map(|id| parse_id("customer", id))
                .transpose()?,
            email: optional("email", self.email.as_ref(), EMAIL_CHARS_MAX)?,
            metadata: {
                pairs("metadata", &self.metadata)?;
                std::mem::take(&mut self.metadata)
            },
            lines: lines.collect::<Result<_, _>>()?,
            return_url: page_url("return_url", self.return_url.as_ref(), mode)?,
            cancel_url: page_url("cancel_url", self.cancel_url.as_ref(), mode)?,
            page_token: None,
            door: BTreeMap::new(),
        })
    }
}

/// An amount that can be asked for.
pub fn money(minor: i64, currency: Currency) -> Result<Money, Problem> {
    if (1..=AMOUNT_MAX).contains(&minor) {
        return Ok(Money::new(minor, currency));
    }
    let detail = format!("the amount is {minor}: it can be 1 to {AMOUNT_MAX} minor units");
    Err(Problem::new("invalid_value", detail).at("amount"))
}

/// An id of the right form.
pub fn parse_id<T: std::str::FromStr>(param: &str, text: &str) -> Result<T, Problem>
where
    T::Err: fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| Problem::new("invalid_value", error.to_string()).at(param))
}

/// Names and values within the limits of metadata, of the member `param`.
pub fn pairs(param: &str, given: &BTreeMap<String, String>) -> Result<(), Problem> {
    if given.len() > METADATA_KEYS_MAX {
        let detail = format!(
            "`{param}` has {} names: it can have at most {METADATA_KEYS_MAX}",
            given.len()
        );
        return Err(Problem::new("invalid_value", detail).at(param));
    }
    for (name, value) in given {
        if !fits(name, 1, METADATA_KEY_CHARS_MAX) {
            pair_name(param, name)?;
        }
        if !fits(value, 0, METADATA_VALUE_CHARS_MAX) {
            prose(&format!("{param}.{name}"), value, 0, METADATA_VALUE_CHARS_MAX)?;
        }
    }
    Ok(())
}

/// A name within its limit; one that is too long is shown as far as a good one goes.
fn pair_name(param: &str, name: &str) -> Result<(), Problem> {
    let chars = name.chars().count();
    let wrong = |detail: String| Err(Problem::new("invalid_value", detail).at(param));
    if chars == 0 {
        return wrong(format!(
            "`{param}` has an empty name: a name has 1 to {METADATA_KEY_CHARS_MAX} characters"
        ));
    }
    let shown: String = name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(METADATA_KEY_CHARS_MAX)
        .collect();
    if chars > METADATA_KEY_CHARS_MAX {
        return wrong(format!(
            "the name `{shown}…` in `{param}` has {chars} characters: it can have 1 to {METADATA_KEY_CHARS_MAX}"
        ));
    }
    if name.chars().any(char::is_control) {
        return wrong(format!(
            "the name `{shown}` in `{param}` holds a control character (a line break, for example)"
        ));
    }
    Ok(())
}

/// Whether a text is plainly good: printable ASCII of the right length. Anything else is looked at by [`text`], which says what is wrong.
fn fits(value: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&value.len()) && value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// A text of one line within its limits: without control characters (PostgreSQL cannot store NUL, and nobody can read the others), line
/// breaks among them, or it would make lines of its own wherever it is printed.
pub fn text(param: &str, value: &str, least: usize, most: usize) -> Result<(), Problem> {
    without_control(param, value, least, most, |_| false)
}

/// A text that may have several lines.
pub fn prose(param: &str, value: &str, least: usize, most: usize) -> Result<(), Problem> {
    without_control(param, value, least, most, is_layout)
}

/// What a text of several lines has between its words, and a text of one line has not.
pub fn is_layout(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\t')
}

fn without_control(
    param: &str,
    value: &str,
    least: usize,
    most: usize,
    except: fn(char) -> bool,
) -> Result<(), Problem> {
    if fits(value, least, most) {
        return Ok(());
    }
    let chars = value.chars().count();
    if chars < least || chars > most {
        let detail = format!("`{param}` has {chars} characters: it can have {least} to {most}");
        return Err(Problem::new("invalid_value", detail).at(param));
    }
    if value.chars().any(|letter| letter.is_control() && !except(letter)) {
        let detail = format!("`{param}` holds a control character (a line break, for example)");
        return Err(Problem::new("invalid_value", detail).at(param));
    }
    Ok(())
}

/// An optional text that may have several lines.
pub fn optional_prose(param: &str, value: Option<&String>, most: usize) -> Result<Option<String>, Problem> {
    value
        .map(|value| prose(param, value, 0, most).map(|()| value.clone()))
        .transpose()
}

/// An optional text of one line within its limit.
pub fn optional(param: &str, value: Option<&String>, most: usize) -> Result<Option<String>, Problem> {
    value
        .map(|value| text(param, value, 0, most).map(|()| value.clone()))
        .transpose()
}

/// Refuses what can be no e-mail address; an empty text takes one away.
pub fn is_email(value: Option<&String>) -> Result<(), Problem> {
    match value {
        Some(text) if !text.is_empty() && !can_be_email(text) => {
            let detail = "`email` can be no e-mail address: that has one @ with something on both sides, and no blanks";
            Err(Problem::new("invalid_value", detail).at("email"))
        }
        Some(_) | None => Ok(()),
    }
}

/// An address that a payer is sent to: over TLS in live mode.
pub fn page_url(param: &str, value: Option<&String>, mode: Mode) -> Result<Option<String>, Problem> {
    let address = url(param, value)?;
    let plain = address.as_deref().is_some_and(|address| {
        !address
            .get(..8)
            .is_some_and(|start| start.eq_ignore_ascii_case("https://"))
    });
    if mode == Mode::Live && plain {
        let detail = format!("in live mode `{param}` starts with https://");
        return Err(Problem::new("invalid_value", detail).at(param));
    }
    Ok(address)
}

/// An http or https address without a user in it.
pub fn url(param: &str, value: Option<&String>) -> Result<Option<String>, Problem> {
    let Some(value) = value else { return Ok(None) };
    text(param, value, 1, URL_CHARS_MAX)?;
    let wrong = || {
        let detail =
            format!("`{param}` is no address: it starts with https:// (or http:// in test mode) and names no user");
        Problem::new("invalid_value", detail).at(param)
    };
    let parsed = url::Url::parse(value).map_err(|_| wrong())?;
    let good = parsed.has_host() && parsed.username().is_empty() && parsed.password().is_none();
    if good && is_plainly_http(value) {
        Ok(Some(value.clone()))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_line_and_a_description_may_have_several() {
        for line in ["a\nb", "a\tb", "a\r\nb", "a\u{85}b"] {
            let problem = text("reference", line, 1, 10).unwrap_err();
            assert_eq!(problem.param.as_deref(), Some("reference"), "{line:?}");
        }
        for lines in ["a\nb", "a\tb", "a\r\nb"] {
            assert!(prose("description", lines, 0, 10).is_ok(), "{lines:?}");
        }
        for unreadable in ["a\0b", "\u{1b}[31m", "\u{9b}31m"] {
            assert!(text("name", unreadable, 0, 10).is_err(), "{unreadable:?}");
            assert!(prose("note", unreadable, 0, 10).is_err(), "{unreadable:?}");
        }
        for good in ["A-17", "Größe ✓", " ", "東京"] {
            assert!(text("reference", good, 1, 10).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_can_be_no_address_is_refused() {
        let said = |text: &str| is_email(Some(&text.to_owned())).map_err(|problem| (problem.code, problem.param));
        for good in ["", "ada@example.org", "grüße@bücher.example", "first+\"x\"@shop.test"] {
            assert_eq!(said(good), Ok(()), "{good}");
        }
        for bad in [
            "ada",
            "@",
            "ada@",
            "@example.org",
            "a@b@c",
            "ada @example.org",
            "ada@example\u{a0}.org",
        ] {
            assert_eq!(said(bad), Err(("invalid_value", Some("email".to_owned()))), "{bad}");
        }
        assert!(is_email(None).is_ok());
    }

    #[test]
    fn a_pair_that_is_too_long_is_named_with_the_limit() {
        let said = |name: &str, value: &str| {
            let given = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            pairs("metadata", &given).map_err(|problem| (problem.param.unwrap_or_default(), problem.detail))
        };
        assert_eq!(said(&"n".repeat(40), &"v".repeat(500)), Ok(()));
        for (name, value, param, detail) in [
            (
                &*"n".repeat(41),
                "v",
                "metadata",
                format!(
                    "the name `{}…` in `metadata` has 41 characters: it can have 1 to 40",
                    "n".repeat(40)
                ),
            ),
            (
                "",
                "v",
                "metadata",
                "`metadata` has an empty name: a name has 1 to 40 characters".to_owned(),
            ),
            (
                "a\nb",
                "v",
                "metadata",
                "the name `ab` in `metadata` holds a control character (a line break, for example)".to_owned(),
            ),
            (
                "cart",
                &*"v".repeat(501),
                "metadata.cart",
                "`metadata.cart` has 501 characters: it can have 0 to 500".to_owned(),
            ),
        ] {
            assert_eq!(said(name, value), Err((param.to_owned(), detail)));
        }
        let many: BTreeMap<_, _> = (0..51).map(|at| (at.to_string(), String::new())).collect();
        let problem = pairs("settings", &many).unwrap_err();
        assert_eq!(problem.detail, "`settings` has 51 names: it can have at most 50");
    }

    #[test]
    fn in_live_mode_a_payer_is_sent_to_addresses_over_tls_alone() {
        let address = |text: &str, mode| page_url("return_url", Some(&text.to_owned()), mode);
        for good in ["https://shop.example/back", "HTTPS://shop.example/"] {
            assert!(address(good, Mode::Live).is_ok(), "{good}");
        }
        for plain in ["http://shop.example/back", "http://localhost:8000"] {
            assert_eq!(
                address(plain, Mode::Live).unwrap_err().param.as_deref(),
                Some("return_url")
            );
            assert!(address(plain, Mode::Test).is_ok(), "{plain}");
        }
        assert_eq!(page_url("return_url", None, Mode::Live).unwrap(), None);
    }
}
