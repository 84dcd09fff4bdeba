//! The cards that exist here: the published Stripe test cards, and nothing else.
//!
//! A card is known by its *name* (`card_visa`). Digits are understood in one place, [`by_number`], for the hosted page,
//! which turns them into a name while it parses its form and refuses whatever is not in the table. So no other number can
//! get into this world, and no number is ever written down by it.
//!
//! Numbers and names: Stripe's page "Testing", sections cards by brand and country, declined payments, fraud prevention,
//! disputes, refunds, available balance, 3-D Secure. Names that Stripe does not publish a `pm_…` for are ours.

mod table;

use crate::reason::Reason;

/// One published test card and everything it does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TestCard {
    /// What the card is called: Stripe's name without `pm_`.
    pub name: &'static str,
    /// Its published digits.
    pub number: &'static str,
    /// Stripe's name for it as a payment method, where there is one: `pm_card_visa`.
    pub payment_method: Option<&'static str>,
    /// Stripe's name for it as a token, where there is one: `tok_visa`.
    pub token: Option<&'static str>,
    /// Network.
    pub brand: Brand,
    /// Kind of account behind it.
    pub funding: Funding,
    /// Country of the issuer, ISO 3166 alpha-2.
    pub country: &'static str,
    /// Whether and how it does 3-D Secure.
    pub three_ds: ThreeDs,
    /// Why it is declined once authentication is out of the way; [`Reason::Approved`] when it is not.
    pub verdict: Reason,
    /// What follows after a capture or a refund.
    pub later: Later,
    /// What a comparison of security code and address finds.
    pub checks: Checks,
}

/// The network of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brand {
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
    /// American Express.
    Amex,
    /// Discover.
    Discover,
    /// Diners Club.
    Diners,
    /// JCB.
    Jcb,
    /// UnionPay.
    UnionPay,
}

/// The kind of account behind a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funding {
    /// Credit.
    Credit,
    /// Debit.
    Debit,
    /// Prepaid.
    Prepaid,
}

/// What a card does about 3-D Secure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreeDs {
    /// Knows nothing of it.
    NotSupported,
    /// Can do it; does not ask for it.
    Supported,
    /// Approves only after it.
    Required,
    /// Asks for it, and the directory always fails: declined without a challenge.
    RequiredBroken,
    /// Does not ask for it; whoever asks anyway meets a failing directory.
    SupportedBroken,
}

/// What follows by itself, some time after money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// Nothing.
    Nothing,
    /// The capture is disputed.
    Dispute(DisputeReason),
    /// The cardholder's bank asks about the capture; no money moves.
    Inquiry,
    /// The issuer warns of fraud; no money moves.
    FraudWarning,
    /// A refund is pending first and done later.
    RefundPends,
    /// A refund is done first and comes back later.
    RefundFails,
}

/// Why a capture is disputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeReason {
    /// The cardholder says it was somebody else.
    Fraudulent,
    /// The cardholder says nothing came.
    ProductNotReceived,
}

/// What a comparison of what the payer typed with what the issuer knows finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Security code.
    pub cvc: Check,
    /// First address line.
    pub line1: Check,
    /// Postal code.
    pub postal_code: Check,
}

/// One comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Equal.
    Pass,
    /// Different.
    Fail,
    /// The issuer does not compare.
    Unavailable,
}

/// All cards, in the order of Stripe's page.
pub fn all() -> &'static [TestCard] {
    table::CARDS
}

/// The card with these digits; spaces and hyphens between them are what people type and are skipped.
pub fn by_number(typed: &str) -> Option<&'static TestCard> {
    if typed.len() > TYPED_BYTES_MAX {
        return None;
    }
    let digits: String = typed.chars().filter(|c| !matches!(c, ' ' | '-' | '\u{a0}')).collect();
    all().iter().find(|card| card.number == digits)
}

/// The card of this name: `card_visa`.
pub fn by_name(name: &str) -> Option<&'static TestCard> {
    let name = table::ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, name)| name);
    all().iter().find(|card| card.name == name)
}

/// The card that Stripe publishes under this payment method: `pm_card_visa`.
pub fn by_payment_method(id: &str) -> Option<&'static TestCard> {
    by_name(id.strip_prefix("pm_")?).filter(|card| card.payment_method.is_some())
}

/// The card that Stripe publishes under this token: `tok_visa`.
pub fn by_token(token: &str) -> Option<&'static TestCard> {
    let rest = token.strip_prefix("tok_")?;
    let name = format!("card_{rest}");
    by_name(&name).filter(|card| card.token.is_some())
}

/// Longest thing worth looking at as a card number: 19 digits, each with a space.
const TYPED_BYTES_MAX: usize = 64;

impl TestCard {
    /// The last four digits, the only ones that may be shown.
    pub fn last4(&self) -> &'static str {
        &self.number[self.number.len() - 4..]
    }
}

impl std::fmt::Debug for TestCard {
    // The number stays out: a log line must not hold one, published or not.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Brand {
    /// The word that Stripe's objects use.
    pub fn as_str(self) -> &'static str {
        match self {
            Brand::Visa => "visa",
            Brand::Mastercard => "mastercard",
            Brand::Amex => "amex",
            Brand::Discover => "discover",
            Brand::Diners => "diners",
            Brand::Jcb => "jcb",
            Brand::UnionPay => "unionpay",
        }
    }
}

impl Funding {
    /// The word that Stripe's objects use.
    pub fn as_str(self) -> &'static str {
        match self {
            Funding::Credit => "credit",
            Funding::Debit => "debit",
            Funding::Prepaid => "prepaid",
        }
    }
}

impl Check {
    /// The word that Stripe's objects use.
    pub fn as_str(self) -> &'static str {
        match self {
            Check::Pass => "pass",
            Check::Fail => "fail",
            Check::Unavailable => "unavailable",
        }
    }
}

// Serialised as its name, everywhere: in requests, in the book, in answers.
impl serde::Serialize for TestCard {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> serde::Deserialize<'de> for &'static TestCard {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        by_name(&name).ok_or_else(|| serde::de::Error::custom("this is not the name of a published test card"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn luhn(number: &str) -> bool {
        let sum: u32 = number
            .bytes()
            .rev()
            .enumerate()
            .map(|(at, digit)| {
                let digit = u32::from(digit - b'0');
                let doubled = if at % 2 == 1 { digit * 2 } else { digit };
                if doubled > 9 { doubled - 9 } else { doubled }
            })
            .sum();
        sum.is_multiple_of(10)
    }

    #[test]
    fn every_name_number_payment_method_and_token_belongs_to_one_card() {
        let names: BTreeSet<_> = all().iter().map(|card| card.name).collect();
        let numbers: BTreeSet<_> = all().iter().map(|card| card.number).collect();
        assert_eq!(names.len(), all().len());
        assert_eq!(numbers.len(), all().len());
        for card in all() {
            assert_eq!(by_name(card.name), Some(card));
            assert_eq!(by_number(card.number), Some(card));
            if let Some(id) = card.payment_method {
                assert_eq!(by_payment_method(id), Some(card));
                assert_eq!(id, format!("pm_{}", card.name));
            }
            if let Some(token) = card.token {
                assert_eq!(by_token(token), Some(card));
            }
        }
        for (alias, name) in table::ALIASES {
            assert!(!names.contains(alias), "{alias} is a card and an alias");
            assert!(names.contains(name), "{alias} points at {name}, which is no card");
        }
    }

    #[test]
    fn every_number_has_a_right_check_digit_but_the_one_that_is_published_as_wrong() {
        for card in all() {
            assert!(
                card.number.bytes().all(|b| b.is_ascii_digit()) && (14..=19).contains(&card.number.len()),
                "{card:?}"
            );
            assert_eq!(luhn(card.number), card.verdict != Reason::IncorrectNumber, "{card:?}");
        }
    }

    #[test]
    fn the_cards_that_everybody_knows_do_what_everybody_knows() {
        let table = [
            (
                "4242424242424242",
                "pm_card_visa",
                "tok_visa",
                Reason::Approved,
                ThreeDs::Supported,
                Later::Nothing,
            ),
            (
                "4000000000000002",
                "pm_card_visa_chargeDeclined",
                "tok_visa_chargeDeclined",
                Reason::GenericDecline,
                ThreeDs::Supported,
                Later::Nothing,
            ),
            (
                "4000000000009995",
                "pm_card_visa_chargeDeclinedInsufficientFunds",
                "tok_visa_chargeDeclinedInsufficientFunds",
                Reason::InsufficientFunds,
                ThreeDs::Supported,
                Later::Nothing,
            ),
            (
                "4000000000000069",
                "pm_card_chargeDeclinedExpiredCard",
                "tok_chargeDeclinedExpiredCard",
                Reason::ExpiredCard,
                ThreeDs::Supported,
                Later::Nothing,
            ),
            (
                "4000000000000341",
                "pm_card_chargeCustomerFail",
                "tok_chargeCustomerFail",
                Reason::GenericDecline,
                ThreeDs::Supported,
                Later::Nothing,
            ),
            (
                "4000000000003220",
                "pm_card_threeDSecure2Required",
                "tok_threeDSecure2Required",
                Reason::Approved,
                ThreeDs::Required,
                Later::Nothing,
            ),
            (
                "4000008400001629",
                "pm_card_threeDSecureRequiredChargeDeclined",
                "tok_threeDSecureRequiredChargeDeclined",
                Reason::GenericDecline,
                ThreeDs::Required,
                Later::Nothing,
            ),
            (
                "4000002500003155",
                "pm_card_authenticationRequiredOnSetup",
                "tok_authenticationRequiredOnSetup",
                Reason::Approved,
                ThreeDs::Required,
                Later::Nothing,
            ),
            (
                "4000002760003184",
                "pm_card_authenticationRequired",
                "tok_authenticationRequired",
                Reason::Approved,
                ThreeDs::Required,
                Later::Nothing,
            ),
            (
                "4000000000000259",
                "pm_card_createDispute",
                "tok_createDispute",
                Reason::Approved,
                ThreeDs::Supported,
                Later::Dispute(DisputeReason::Fraudulent),
            ),
            (
                "4000000000005126",
                "pm_card_refundFail",
                "tok_refundFail",
                Reason::Approved,
                ThreeDs::Supported,
                Later::RefundFails,
            ),
            (
                "4000000000007726",
                "pm_card_pendingRefund",
                "tok_pendingRefund",
                Reason::Approved,
                ThreeDs::Supported,
                Later::RefundPends,
            ),
        ];
        for (number, payment_method, token, verdict, three_ds, later) in table {
            let card = by_number(number).expect("published");
            assert_eq!(by_payment_method(payment_method), Some(card));
            assert_eq!(by_token(token), Some(card));
            assert_eq!(
                (card.verdict, card.three_ds, card.later),
                (verdict, three_ds, later),
                "{card:?}"
            );
        }
    }

    #[test]
    fn whatever_is_not_published_is_no_card() {
        for typed in [
            "",
            "4111111111111111",
            "424242424242424",
            "42424242424242420",
            "4242x4242x4242x4242",
            "４２４２４２４２４２４２４２４２",
        ] {
            assert_eq!(by_number(typed), None, "{typed}");
        }
        assert_eq!(by_number(&" ".repeat(1_000_000)), None);
        for name in ["visa", "pm_card_visa", "card_Visa", "card_visa ", ""] {
            assert_eq!(by_name(name), None, "{name}");
        }
        assert_eq!(by_payment_method("card_visa"), None);
        assert_eq!(
            by_payment_method("pm_card_incorrectNumber"),
            None,
            "Stripe publishes no name for it"
        );
        assert_eq!(by_token("tok_card_visa"), None);
    }

    #[test]
    fn people_type_spaces_and_hyphens() {
        assert_eq!(by_number("4242 4242 4242 4242").map(|c| c.name), Some("card_visa"));
        assert_eq!(
            by_number("3782-822463-10005").map(|c| (c.name, c.last4())),
            Some(("card_amex", "0005"))
        );
    }

    #[test]
    fn a_card_prints_as_its_name() {
        assert_eq!(format!("{:?}", by_number("4242424242424242")), "Some(card_visa)");
    }
}
