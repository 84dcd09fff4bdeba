//! Money: whole minor units and an ISO 4217 currency. No floats, no `+`: sums can fail, and say so.
//!
//! The exponent of a currency is looked up, never carried in a message. A provider that deviates from ISO 4217 is the
//! business of its rail; what several share of Stripe's is in [`Currency::stripe_exponent`] and [`STRIPE`].

mod currencies;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

pub use self::currencies::STRIPE;

/// An ISO 4217 currency that can be paid with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Why a text is no currency.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CurrencyError {
    /// Not a code of ISO 4217, or not in upper case.
    #[error("`{0}` is not an ISO 4217 currency code in upper case, such as EUR")]
    Unknown(String),
    /// A code for metals, funds or tests: nobody pays with it.
    #[error("`{0}` is in ISO 4217 but has no minor unit: nothing can be paid in it")]
    NotPayable(String),
}

impl Currency {
    /// Euro; the examples use it.
    pub const EUR: Self = Self(*b"EUR");
    /// US dollar.
    pub const USD: Self = Self(*b"USD");

    /// The three letters, in upper case.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made from three ASCII letters")
    }

    /// Decimals of the minor unit by ISO 4217: 0, 2, 3 or 4.
    pub fn exponent(self) -> u32 {
        lookup(self.code()).and_then(|row| row.2).map_or(2, u32::from)
    }

    /// The numeric code, as ISO 8583 and EMV write it.
    pub fn numeric(self) -> u16 {
        lookup(self.code()).map_or(0, |row| row.1)
    }

    /// Decimals that Stripe writes for this currency, where it deviates from ISO 4217 (`specs/card-facts.md` 1).
    pub fn stripe_exponent(self) -> u32 {
        match &self.0 {
            b"MGA" => 0,
            b"UGX" | b"ISK" => 2,
            _ => self.exponent(),
        }
    }

    /// Every currency that can be paid with, in the order of its code.
    pub fn all() -> impl Iterator<Item = Self> {
        currencies::TABLE
            .iter()
            .filter(|row| row.2.is_some())
            .filter_map(|row| row.0.parse().ok())
    }
}

fn lookup(code: &str) -> Option<&'static (&'static str, u16, Option<u8>, &'static str)> {
    currencies::TABLE
        .binary_search_by(|row| row.0.cmp(code))
        .ok()
        .map(|at| &currencies::TABLE[at])
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        let row = lookup(text).ok_or_else(|| CurrencyError::Unknown(text.chars().take(8).collect()))?;
        if row.2.is_none() {
            return Err(CurrencyError::NotPayable(text.to_owned()));
        }
        let bytes = text.as_bytes();
        Ok(Self([bytes[0], bytes[1], bytes[2]]))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in one currency. In stored JSON it is one string, `"EUR 1099"`: currency and whole minor units.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// Why two amounts could not be put together.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MoneyError {
    /// Two currencies met.
    #[error("{0} and {1} cannot be added: one order has one currency")]
    Currencies(Currency, Currency),
    /// The sum leaves the range of 64 bits.
    #[error("the sum is beyond what an amount can hold")]
    Overflow,
}

impl Money {
    /// An amount of `minor` units (cents, yen, fils).
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Whole minor units.
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Whether this is exactly nothing.
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// Whether this is more than nothing.
    pub const fn is_positive(self) -> bool {
        self.minor > 0
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.minor
            .checked_add(other.minor)
            .map(|minor| Self::new(minor, self.currency))
            .ok_or(MoneyError::Overflow)
    }

    /// The difference; may be below zero.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.minor
            .checked_sub(other.minor)
            .map(|minor| Self::new(minor, self.currency))
            .ok_or(MoneyError::Overflow)
    }

    /// This amount with another number of minor units.
    pub const fn with_minor(self, minor: i64) -> Self {
        Self::new(minor, self.currency)
    }

    /// The same amount as a decimal text with the currency's decimals: `10.99`, `-0.005`, `1099`.
    pub fn decimal(self) -> String {
        let exponent = self.currency.exponent() as usize;
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.minor.unsigned_abs(), width = exponent + 1);
        let (whole, part) = digits.split_at(digits.len() - exponent);
        if part.is_empty() {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{part}")
        }
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::Currencies(self.currency, other.currency))
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.currency, self.decimal())
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.currency, self.minor)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut minor = itoa::Buffer::new();
        crate::short::serialize(&[self.currency.code(), " ", minor.format(self.minor)], to)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        let (currency, minor) = text
            .split_once(' ')
            .ok_or_else(|| serde::de::Error::custom("expected money such as \"EUR 1099\""))?;
        let currency = currency.parse().map_err(serde::de::Error::custom)?;
        let minor = minor.parse().map_err(serde::de::Error::custom)?;
        Ok(Self::new(minor, currency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, code.parse().expect("a currency"))
    }

    #[test]
    fn every_currency_that_stripe_takes_can_be_paid_with_here() {
        for code in STRIPE {
            code.parse::<Currency>().unwrap_or_else(|error| panic!("{error}"));
        }
        assert!(STRIPE.is_sorted());
    }

    #[test]
    fn the_table_is_the_published_list() {
        let published = include_str!("../data/iso4217.csv");
        let mut rows = 0;
        for line in published.lines().skip(1).filter(|line| !line.is_empty()) {
            let mut fields = line.splitn(4, ',');
            let (code, numeric, units) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
            let row = lookup(code).unwrap_or_else(|| panic!("{code} is missing"));
            assert_eq!(row.1, numeric.parse().unwrap_or(0), "{code}");
            assert_eq!(row.2, units.parse().ok(), "{code}");
            rows += 1;
        }
        assert_eq!(rows, 178);
    }

    #[test]
    fn amounts_read_with_the_decimals_of_their_currency() {
        for (minor, code, text) in [
            (1099, "EUR", "EUR 10.99"),
            (5, "EUR", "EUR 0.05"),
            (-5, "EUR", "EUR -0.05"),
            (1099, "JPY", "JPY 1099"),
            (1099, "KWD", "KWD 1.099"),
            (1, "CLF", "CLF 0.0001"),
            (i64::MIN, "EUR", "EUR -92233720368547758.08"),
            (i64::MAX, "KWD", "KWD 9223372036854775.807"),
        ] {
            assert_eq!(money(minor, code).to_string(), text);
        }
    }

    #[test]
    fn sums_fail_rather_than_wrap_or_mix() {
        assert_eq!(money(i64::MAX, "EUR").plus(money(1, "EUR")), Err(MoneyError::Overflow));
        assert_eq!(money(i64::MIN, "EUR").minus(money(1, "EUR")), Err(MoneyError::Overflow));
        let mixed = money(1, "EUR").plus(money(1, "USD"));
        assert_eq!(mixed, Err(MoneyError::Currencies(Currency::EUR, Currency::USD)));
    }

    #[test]
    fn gold_lower_case_and_nonsense_are_no_currencies() {
        assert_eq!("XAU".parse::<Currency>(), Err(CurrencyError::NotPayable("XAU".into())));
        assert_eq!("eur".parse::<Currency>(), Err(CurrencyError::Unknown("eur".into())));
        assert_eq!("".parse::<Currency>(), Err(CurrencyError::Unknown("".into())));
    }

    #[test]
    fn stored_money_is_one_string_and_comes_back() {
        for currency in Currency::all() {
            for minor in [0, 1, -1, i64::MAX, i64::MIN] {
                let stored = serde_json::to_string(&Money::new(minor, currency)).unwrap();
                assert_eq!(stored, format!("\"{} {minor}\"", currency.code()));
                assert_eq!(
                    serde_json::from_str::<Money>(&stored).unwrap(),
                    Money::new(minor, currency)
                );
            }
        }
    }
}
