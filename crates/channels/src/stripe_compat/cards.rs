//! What may be said of a card: its brand and last four digits, never its number.
//!
//! In test mode a method is one of Stripe's published test cards. Who knows them is told to the door by whoever builds it: the door of the
//! pretend provider turns digits into a card's name while it reads the form of its page, and no other code here ever sees digits.

use florin_core::time::Timestamp;

/// What people may see of a test card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its name: `card_visa`.
    pub name: &'static str,
    /// `visa`, `mastercard`, …
    pub brand: &'static str,
    /// The last four digits.
    pub last4: &'static str,
    /// `credit`, `debit` or `prepaid`.
    pub funding: &'static str,
    /// Country of the issuer, ISO 3166 alpha-2.
    pub country: &'static str,
    /// What the issuer finds when it compares the security code: `pass`, `fail` or `unavailable`.
    pub cvc_check: &'static str,
    /// The same of the first address line.
    pub line1_check: &'static str,
    /// The same of the postal code.
    pub postal_code_check: &'static str,
}

/// A card that the page shows to people who want to try it.
#[derive(Clone, Debug)]
pub struct Example {
    /// What to type, in groups of four.
    pub number: String,
    /// What happens then.
    pub what: &'static str,
}

/// The published test cards.
pub trait CardTable: Sync {
    /// The card with these digits.
    fn by_number(&self, typed: &str) -> Option<Card>;
    /// The card of this name: `card_visa`.
    fn by_name(&self, name: &str) -> Option<Card>;
    /// Cards to try.
    fn examples(&self) -> Vec<Example>;
}

/// When every test card ends: far enough that nobody has to change it soon.
pub(super) const EXPIRES: (u8, u16) = (12, 2040);

/// Years that a card may be valid from now on.
const YEARS_AHEAD_MAX: i16 = 50;

/// What is wrong with the date on a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undue {
    Month,
    Year,
}

/// Whether a card of this month and year is valid now: to the end of that month, and not for longer than any card is.
pub(super) fn valid(month: i64, year: i64, now: Timestamp) -> Result<(), Undue> {
    let today = jiff::Timestamp::from_millisecond(now.millis())
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::UTC);
    let this_year = i64::from(today.year());
    if !(this_year..=this_year + i64::from(YEARS_AHEAD_MAX)).contains(&year) {
        Err(Undue::Year)
    } else if !(1..=12).contains(&month) || (year, month) < (this_year, i64::from(today.month())) {
        Err(Undue::Month)
    } else {
        Ok(())
    }
}

/// The card that a payment method or token of Stripe's names: `pm_card_visa`, `tok_visa`, or our own `card_visa`.
pub(super) fn named(table: &dyn CardTable, text: &str) -> Option<Card> {
    if let Some(rest) = text.strip_prefix("tok_") {
        return table.by_name(&format!("card_{rest}"));
    }
    table.by_name(text.strip_prefix("pm_").unwrap_or(text))
}

/// Stands for a card in lists of the merchant: the same for the same card, and tells nothing about its number.
pub(super) fn fingerprint(name: &str) -> String {
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        format!("florin test card {name}").as_bytes(),
    );
    florin_services::dice::hex(&digest.as_ref()[..8])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table for tests: three cards, and numbers that are none.
    pub(in super::super) struct Table;

    const CARDS: &[(&str, Card)] = &[
        ("1111", card("card_visa", "4242")),
        ("2222", card("card_visa_chargeDeclined", "0002")),
        ("3333", card("card_threeDSecure2Required", "3220")),
    ];

    const fn card(name: &'static str, last4: &'static str) -> Card {
        Card {
            name,
            brand: "visa",
            last4,
            funding: "credit",
            country: "US",
            cvc_check: "pass",
            line1_check: "pass",
            postal_code_check: "pass",
        }
    }

    impl CardTable for Table {
        fn by_number(&self, typed: &str) -> Option<Card> {
            let digits: String = typed.chars().filter(|letter| *letter != ' ').collect();
            CARDS.iter().find(|row| row.0 == digits).map(|row| row.1)
        }

        fn by_name(&self, name: &str) -> Option<Card> {
            CARDS.iter().find(|row| row.1.name == name).map(|row| row.1)
        }

        fn examples(&self) -> Vec<Example> {
            vec![Example {
                number: "1111".to_owned(),
                what: "pays",
            }]
        }
    }

    #[test]
    fn one_card_has_three_names() {
        for text in ["pm_card_visa", "tok_visa", "card_visa"] {
            assert_eq!(named(&Table, text).map(|card| card.last4), Some("4242"), "{text}");
        }
        for text in ["pm_visa", "tok_card_visa", "visa", "", "pm_pm_card_visa"] {
            assert_eq!(named(&Table, text), None, "{text}");
        }
    }
}
