//! An amount with its currency, as people read it.

use std::fmt;

use askama::filters::HtmlSafe;

/// Minor units of an ISO 4217 currency. Shows itself as text that no line breaks, and on pages as [`Money::html`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Money {
    pub(crate) minor: i64,
    pub(crate) currency: String,
}

impl Money {
    pub(crate) fn new(minor: i64, currency: &str) -> Self {
        Self {
            minor,
            currency: currency.to_owned(),
        }
    }

    /// The figure alone: `1,234.50`.
    pub(crate) fn figure(&self) -> String {
        let decimals = decimals(&self.currency);
        let digits = format!("{:0>width$}", self.minor.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let mut figure = String::from(if self.minor < 0 { "\u{2212}" } else { "" });
        for (i, digit) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i).is_multiple_of(3) {
                figure.push(',');
            }
            figure.push(digit);
        }
        if decimals > 0 {
            figure.push('.');
            figure.push_str(fraction);
        }
        figure
    }

    /// The amount for a page: never broken over two lines, the currency smaller.
    pub(crate) fn html(&self) -> MoneyTag<'_> {
        MoneyTag(self)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\u{a0}{}", self.figure(), self.currency)
    }
}

pub(crate) struct MoneyTag<'a>(&'a Money);

impl fmt::Display for MoneyTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The currency came over the wire; only letters reach the page.
        let letters: String = self.0.currency.chars().filter(char::is_ascii_alphabetic).collect();
        write!(
            f,
            r#"<span class="money">{} <span class="currency">{letters}</span></span>"#,
            self.0.figure()
        )
    }
}

impl HtmlSafe for MoneyTag<'_> {}

/// ISO 4217's decimals; two where it says nothing else.
fn decimals(currency: &str) -> usize {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_reads_with_its_own_decimals_and_groups() {
        let table = [
            (0, "EUR", "0.00 EUR"),
            (5, "EUR", "0.05 EUR"),
            (1099, "EUR", "10.99 EUR"),
            (123_456_789, "EUR", "1,234,567.89 EUR"),
            (100_000, "EUR", "1,000.00 EUR"),
            (-2500, "EUR", "\u{2212}25.00 EUR"),
            (1500, "JPY", "1,500 JPY"),
            (1500, "KWD", "1.500 KWD"),
            (i64::MIN, "JPY", "\u{2212}9,223,372,036,854,775,808 JPY"),
        ];
        for (minor, currency, text) in table {
            assert_eq!(Money::new(minor, currency).to_string(), text.replace(' ', "\u{a0}"));
        }
    }

    #[test]
    fn a_currency_from_the_wire_cannot_bring_markup() {
        let html = Money::new(1, "<b>").html().to_string();
        assert_eq!(
            html,
            r#"<span class="money">0.01 <span class="currency">b</span></span>"#
        );
    }
}
