//! Amounts as Stripe writes them: whole units of its own smallest size and a lower-case code.
//!
//! Stripe's size differs from ISO 4217 for a few currencies (`specs/card-facts.md` 1): MGA has no decimals there; ISK and UGX are
//! written with two that must be zero; currencies with three decimals end in a zero. What cannot be written is refused before any
//! traffic, never rounded.

use florin_core::money::{Currency, Money};

/// `money` as Stripe writes it, or why that is impossible.
pub(super) fn to_wire(money: Money) -> Result<i64, String> {
    let currency = money.currency();
    let size = Size::of(currency);
    let wire = match size {
        Size::Same => Some(money.minor()),
        Size::Tenths => (money.minor() % 10 == 0).then_some(money.minor()),
        Size::Larger(by) => (money.minor() % by == 0).then_some(money.minor() / by),
        Size::Smaller(by) => money.minor().checked_mul(by),
    };
    wire.filter(|wire| *wire >= 0)
        .ok_or_else(|| format!("Stripe cannot write {money}: {}", size.rule()))
}

/// What Stripe wrote, or nothing if it is no amount that we can hold.
pub(super) fn from_wire(amount: i64, currency: &str) -> Option<Money> {
    let currency: Currency = currency.to_ascii_uppercase().parse().ok()?;
    let minor = match Size::of(currency) {
        Size::Same | Size::Tenths => Some(amount),
        Size::Larger(by) => amount.checked_mul(by),
        Size::Smaller(by) => (amount % by == 0).then_some(amount / by),
    }?;
    (minor >= 0).then(|| Money::new(minor, currency))
}

/// The code as Stripe writes it.
pub(super) fn code(currency: Currency) -> String {
    currency.code().to_ascii_lowercase()
}

/// Stripe's smallest unit beside the one of ISO 4217.
enum Size {
    Same,
    Tenths,
    Larger(i64),
    Smaller(i64),
}

impl Size {
    fn of(currency: Currency) -> Self {
        let (iso, stripe) = (currency.exponent(), currency.stripe_exponent());
        match iso.cmp(&stripe) {
            std::cmp::Ordering::Equal if iso == 3 => Self::Tenths,
            std::cmp::Ordering::Equal => Self::Same,
            std::cmp::Ordering::Greater => Self::Larger(10_i64.pow(iso - stripe)),
            std::cmp::Ordering::Less => Self::Smaller(10_i64.pow(stripe - iso)),
        }
    }

    fn rule(&self) -> &'static str {
        match self {
            Self::Same | Self::Smaller(_) => "the amount is out of range",
            Self::Tenths => "its last digit must be 0 in this currency",
            Self::Larger(_) => "it takes whole units of this currency only",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, code.parse().unwrap())
    }

    #[test]
    fn each_currency_is_written_in_stripes_own_size_and_read_back() {
        for (minor, currency, wire) in [
            (1099, "EUR", 1099),
            (1099, "JPY", 1099),
            (1230, "KWD", 1230),
            (500, "MGA", 5),
            (1500, "UGX", 150_000),
            (1500, "ISK", 150_000),
            (0, "USD", 0),
        ] {
            assert_eq!(to_wire(money(minor, currency)), Ok(wire), "{currency}");
            assert_eq!(
                from_wire(wire, &currency.to_lowercase()),
                Some(money(minor, currency)),
                "{currency}"
            );
        }
    }

    #[test]
    fn what_stripe_cannot_write_is_refused_and_never_rounded() {
        for (minor, currency) in [(1234, "KWD"), (150, "MGA"), (-1, "EUR"), (i64::MAX, "ISK")] {
            assert!(to_wire(money(minor, currency)).is_err(), "{minor} {currency}");
        }
    }

    #[test]
    fn an_amount_that_no_currency_explains_is_no_amount() {
        for (amount, currency) in [(150, "isk"), (-1, "eur"), (1, "xau"), (1, "euro"), (i64::MAX, "mga")] {
            assert_eq!(from_wire(amount, currency), None, "{amount} {currency}");
        }
    }
}
