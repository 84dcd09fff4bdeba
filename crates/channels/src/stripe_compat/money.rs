//! Amounts as Stripe writes them: whole units of its own smallest size and a lower-case code (`specs/card-facts.md` 1).

use florin_core::money::{Currency, Money, STRIPE};

use super::form::shown;
use super::wrong::Wrong;

/// Largest amount: eight digits, as Stripe takes them in most currencies …
const AMOUNT_MAX: i64 = 99_999_999;
/// … and in those where eight digits are little money.
const LARGE_AMOUNT_MAX: i64 = 999_999_999_999;
const LARGE: &[&str] = &["COP", "HUF", "IDR", "INR", "JPY", "KRW", "LBP", "VND"];

/// The least that Stripe charges, in its own sizes: <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>. Of other
/// currencies it asks what they are worth in the one that is paid out, which nobody knows here.
const LEAST: &[(&str, i64)] = &[
    ("AED", 200),
    ("AUD", 50),
    ("BGN", 100),
    ("BRL", 50),
    ("CAD", 50),
    ("CHF", 50),
    ("CZK", 1_500),
    ("DKK", 250),
    ("EUR", 50),
    ("GBP", 30),
    ("HKD", 400),
    ("HUF", 17_500),
    ("INR", 50),
    ("JPY", 50),
    ("MXN", 1_000),
    ("MYR", 200),
    ("NOK", 300),
    ("NZD", 50),
    ("PLN", 200),
    ("RON", 200),
    ("SEK", 300),
    ("SGD", 50),
    ("THB", 1_000),
    ("USD", 50),
];

/// The code as Stripe writes it.
pub(super) fn code(currency: Currency) -> String {
    currency.code().to_ascii_lowercase()
}

/// An amount as Stripe writes it. What Stripe's size cannot hold (a fraction of an ariary) is left out.
pub(super) fn wire(money: Money) -> i64 {
    let (iso, stripe) = (money.currency().exponent(), money.currency().stripe_exponent());
    if iso > stripe {
        money.minor() / 10_i64.pow(iso - stripe)
    } else {
        money.minor().saturating_mul(10_i64.pow(stripe - iso))
    }
}

/// Whether Stripe takes a currency: something new is made in no other one.
pub(super) fn taken(currency: Currency, param: &str) -> Result<(), Wrong> {
    if STRIPE.contains(&currency.code()) {
        Ok(())
    } else {
        Err(not_taken(&code(currency), param))
    }
}

/// What Stripe says of a currency that it does not take.
pub(super) fn not_taken(text: &str, param: &str) -> Wrong {
    let message = format!(
        "Invalid currency: {}. Stripe currently supports these currencies: {}",
        shown(text),
        STRIPE.join(", ").to_ascii_lowercase()
    );
    Wrong::invalid(message).at(param)
}

/// What a caller wrote, as money; at most as much as Stripe takes.
pub(super) fn read(amount: i64, currency: Currency, param: &str) -> Result<Money, Wrong> {
    let most = if LARGE.contains(&currency.code()) {
        LARGE_AMOUNT_MAX
    } else {
        AMOUNT_MAX
    };
    if amount > most {
        let most = Money::new(most, currency);
        return Err(Wrong::invalid(format!("Amount must be no more than {most}"))
            .code("amount_too_large")
            .at(param));
    }
    let (iso, stripe) = (currency.exponent(), currency.stripe_exponent());
    let wrong = |rule: &str| Wrong::invalid(format!("Invalid amount {amount} in {currency}: {rule}")).at(param);
    if iso == 3 && amount % 10 != 0 {
        return Err(wrong(
            "the last digit must be 0, because amounts are rounded to two decimals",
        ));
    }
    let minor = if iso > stripe {
        amount
            .checked_mul(10_i64.pow(iso - stripe))
            .ok_or_else(|| wrong("it is too large"))?
    } else {
        let size = 10_i64.pow(stripe - iso);
        if amount % size != 0 {
            return Err(wrong("the last two digits must be 00, because it has no decimals"));
        }
        amount / size
    };
    Ok(Money::new(minor, currency))
}

/// What somebody shall pay is not less than Stripe takes, where that holds ([`super::reader::Reader::has_least`]).
pub(super) fn enough(money: Money, has_least: bool, what: &str, param: &str) -> Result<(), Wrong> {
    let least = LEAST.iter().find(|row| row.0 == money.currency().code());
    let Some((_, least)) = least.filter(|(_, least)| has_least && wire(money) < *least) else {
        return Ok(());
    };
    let least = read(*least, money.currency(), param)?;
    Err(Wrong::invalid(format!("{what} at least {least}"))
        .code("amount_too_small")
        .at(param))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_stripe_takes_is_refused_where_that_holds() {
        let said = |minor, code: &str, has_least| {
            let currency = code.parse().unwrap();
            let said = enough(Money::new(minor, currency), has_least, "Amount must be", "amount");
            said.map_err(|wrong| (wrong.code.unwrap_or_default().into_owned(), wrong.message))
        };
        let refused = |message: &str| Err(("amount_too_small".to_owned(), message.to_owned()));
        assert_eq!(said(49, "USD", true), refused("Amount must be at least USD 0.50"));
        assert_eq!(said(49, "JPY", true), refused("Amount must be at least JPY 50"));
        assert_eq!(said(17_499, "HUF", true), refused("Amount must be at least HUF 175.00"));
        for (enough, code) in [(50, "USD"), (30, "GBP"), (17_500, "HUF"), (1, "KWD"), (1, "MGA")] {
            assert_eq!(said(enough, code, true), Ok(()), "{code}");
        }
        assert_eq!(said(1, "USD", false), Ok(()));
        for (code, least) in LEAST {
            assert!(read(*least, code.parse().unwrap(), "amount").is_ok(), "{code}");
        }
    }

    #[test]
    fn what_stripe_does_not_take_is_named_with_what_it_takes() {
        let said = |code: &str| taken(code.parse().unwrap(), "currency");
        assert_eq!((said("EUR"), said("KWD")), (Ok(()), Ok(())));
        for code in ["CLF", "USN", "MRU"] {
            let wrong = said(code).unwrap_err();
            let begins = format!("Invalid currency: {}. ", code.to_ascii_lowercase());
            assert!(
                wrong.message.starts_with(&begins) && wrong.message.ends_with("zar, zmw"),
                "{}",
                wrong.message
            );
            assert_eq!(wrong.param.as_deref(), Some("currency"));
        }
    }

    #[test]
    fn each_currency_is_read_and_written_in_stripes_own_size() {
        for (amount, code, minor) in [
            (1099, "EUR", 1099),
            (500, "JPY", 500),
            (1230, "KWD", 1230),
            (5, "MGA", 500),
            (150_000, "UGX", 1500),
            (150_000, "ISK", 1500),
        ] {
            let currency: Currency = code.parse().unwrap();
            let money = read(amount, currency, "amount").unwrap();
            assert_eq!(money, Money::new(minor, currency), "{code}");
            assert_eq!(wire(money), amount, "{code}");
        }
    }

    #[test]
    fn what_stripe_cannot_take_is_refused_and_never_rounded() {
        for (amount, code) in [
            (1234, "KWD"),
            (150, "ISK"),
            (100_000_000, "EUR"),
            (i64::MAX, "JPY"),
            (i64::MAX, "MGA"),
        ] {
            assert!(
                read(amount, code.parse().unwrap(), "amount").is_err(),
                "{amount} {code}"
            );
        }
    }

    #[test]
    fn an_amount_that_another_door_made_is_written_without_a_fraction() {
        assert_eq!(wire(Money::new(599, "MGA".parse().unwrap())), 5);
        assert_eq!(wire(Money::new(i64::MAX, "ISK".parse().unwrap())), i64::MAX);
    }
}
