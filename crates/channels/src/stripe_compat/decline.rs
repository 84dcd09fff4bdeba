//! Why a payment was refused, in Stripe's words.

use florin_core::decline::{Code, Decline};

/// What Stripe says of a decline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said<'a> {
    /// `card_declined`, `expired_card`, ….
    pub(super) code: &'static str,
    /// The bank's word, where Stripe gives one.
    pub(super) decline_code: Option<&'a str>,
    /// For the merchant's page.
    pub(super) message: &'static str,
    /// Whether the card's bank was asked: then there is a charge.
    pub(super) charged: bool,
}

/// Code, Stripe's `code`, its `decline_code`, its message.
type Row = (Code, &'static str, &'static str, &'static str);

/// Declines by the card's bank. What is not here is a plain "declined".
const BANK: &[Row] = &[
    (
        Code::InsufficientFunds,
        "card_declined",
        "insufficient_funds",
        "Your card has insufficient funds.",
    ),
    (
        Code::LimitExceeded,
        "card_declined",
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    (
        Code::TryAgainLater,
        "card_declined",
        "try_again_later",
        "Your card was declined. You can try again in a few minutes.",
    ),
    (
        Code::IssuerUnavailable,
        "card_declined",
        "issuer_not_available",
        "Your card's issuer couldn't be reached. Try again in a few minutes.",
    ),
    (
        Code::ProcessingError,
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    (
        Code::IncorrectPin,
        "card_declined",
        "incorrect_pin",
        "Your card's PIN is incorrect.",
    ),
    (
        Code::PinTriesExceeded,
        "card_declined",
        "pin_try_exceeded",
        "The number of PIN tries is exceeded.",
    ),
    (
        Code::InvalidCvc,
        "incorrect_cvc",
        "incorrect_cvc",
        "Your card's security code is incorrect.",
    ),
    (
        Code::InvalidNumber,
        "incorrect_number",
        "incorrect_number",
        "Your card number is incorrect.",
    ),
    (
        Code::InvalidExpiry,
        "invalid_expiry_year",
        "invalid_expiry_year",
        "Your card's expiration year is invalid.",
    ),
    (
        Code::ExpiredCard,
        "expired_card",
        "expired_card",
        "Your card has expired.",
    ),
    (
        Code::AvsFailed,
        "incorrect_zip",
        "incorrect_zip",
        "Your card's postal code is incorrect.",
    ),
    (
        Code::CardNotSupported,
        "card_declined",
        "card_not_supported",
        "Your card is not supported.",
    ),
    (
        Code::RestrictedCard,
        "card_declined",
        "restricted_card",
        "Your card was declined.",
    ),
    (Code::LostCard, "card_declined", "lost_card", "Your card was declined."),
    (
        Code::StolenCard,
        "card_declined",
        "stolen_card",
        "Your card was declined.",
    ),
    (
        Code::PickupCard,
        "card_declined",
        "pickup_card",
        "Your card was declined.",
    ),
    (
        Code::AccountClosed,
        "card_declined",
        "invalid_account",
        "Your card was declined.",
    ),
    (
        Code::SuspectedFraud,
        "card_declined",
        "fraudulent",
        "Your card was declined.",
    ),
    (
        Code::BlockedByRisk,
        "card_declined",
        "merchant_blacklist",
        "Your card was declined.",
    ),
    (
        Code::RevokedMandate,
        "card_declined",
        "revocation_of_authorization",
        "Your card was declined.",
    ),
    (
        Code::InvalidAmount,
        "card_declined",
        "invalid_amount",
        "Your card was declined: the amount is not accepted.",
    ),
    (
        Code::AuthenticationRequired,
        "authentication_required",
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
];

const DECLINED: Row = (
    Code::GenericDecline,
    "card_declined",
    "generic_decline",
    "Your card was declined.",
);

/// What Stripe would say.
pub(super) fn said(decline: &Decline) -> Said<'_> {
    match decline.code {
        Code::AuthenticationFailed | Code::PayerCanceled | Code::PayerTimeout => Said {
            code: "payment_intent_authentication_failure",
            decline_code: None,
            message: "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod \
                      to attempt to fulfill this PaymentIntent again.",
            charged: false,
        },
        _ => {
            let row = BANK.iter().find(|row| row.0 == decline.code).unwrap_or(&DECLINED);
            // The provider's own word where it is one of Stripe's for the same thing: it says more than ours.
            let own =
                Decline::from_table("stripe_decline_code", &decline.raw).filter(|known| known.code == decline.code);
            Said {
                code: row.1,
                decline_code: Some(own.map_or(row.2, |_| decline.raw.as_str())),
                message: row.3,
                charged: decline.code != Code::AuthenticationRequired,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_ours_comes_back_as_the_same_decline() {
        for (code, _, word, _) in BANK {
            let back = Decline::from_table("stripe_decline_code", word).unwrap_or_else(|| panic!("{word}"));
            assert_eq!(back.code, *code, "{word}");
        }
    }

    #[test]
    fn a_bank_that_gives_no_reason_is_a_generic_decline() {
        let bank = Decline::from_table("iso8583_de39", "05").unwrap();
        assert_eq!(
            (said(&bank).code, said(&bank).decline_code),
            ("card_declined", Some("generic_decline"))
        );
        let funds = Decline::from_table("iso8583_de39", "51").unwrap();
        assert_eq!(said(&funds).decline_code, Some("insufficient_funds"));
    }

    #[test]
    fn a_word_of_stripes_is_passed_on_as_it_came() {
        let issuer = Decline::from_table("stripe_decline_code", "call_issuer").unwrap();
        assert_eq!(said(&issuer).decline_code, Some("call_issuer"));
        let odd = Decline {
            raw: "51".into(),
            ..Decline::new(Code::GenericDecline)
        };
        assert_eq!(said(&odd).decline_code, Some("generic_decline"));
    }

    #[test]
    fn a_failed_challenge_is_no_charge() {
        let failed = Decline::new(Code::AuthenticationFailed);
        assert_eq!(
            (said(&failed).code, said(&failed).charged),
            ("payment_intent_authentication_failure", false)
        );
    }
}
