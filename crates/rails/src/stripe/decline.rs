//! What Stripe's words of refusal mean.
//!
//! `decline_code` is in the table that all rails share; a few words that stand in `code` instead are here. A word that is in neither
//! proves nothing, and neither does one of class `unknown`.

use florin_core::decline::{Code, Decline, Retry};

use super::object::Problem;
use crate::http::cut;

/// Words of `code` that say for certain that nothing was authorised.
const CODES: &[(&str, Code)] = &[
    ("account_country_invalid_address", Code::NotPermittedMerchant),
    ("account_invalid", Code::NotPermittedMerchant),
    ("amount_too_large", Code::InvalidAmount),
    ("amount_too_small", Code::InvalidAmount),
    ("api_key_expired", Code::NotPermittedMerchant),
    ("card_declined", Code::GenericDecline),
    ("charge_already_captured", Code::Unsupported),
    ("charge_already_refunded", Code::Unsupported),
    ("charge_disputed", Code::Unsupported),
    ("charge_expired_for_capture", Code::Unsupported),
    ("charge_not_refundable", Code::Unsupported),
    ("invalid_charge_amount", Code::InvalidAmount),
    ("parameter_invalid_integer", Code::InvalidAmount),
    ("payment_intent_authentication_failure", Code::AuthenticationFailed),
    ("payment_intent_payment_attempt_expired", Code::PayerTimeout),
    ("payment_intent_payment_attempt_failed", Code::GenericDecline),
    ("payment_intent_unexpected_state", Code::Unsupported),
    ("payment_method_currency_mismatch", Code::CardNotSupported),
    ("payment_method_customer_decline", Code::PayerCanceled),
    ("payment_method_not_available", Code::IssuerUnavailable),
    ("payment_method_provider_decline", Code::GenericDecline),
    ("payment_method_provider_timeout", Code::IssuerUnavailable),
    ("payment_method_unactivated", Code::NotPermittedMerchant),
    ("platform_api_key_expired", Code::NotPermittedMerchant),
    ("refund_disputed_payment", Code::Unsupported),
    ("resource_missing", Code::PayeeOrAccountInvalid),
    ("secret_key_required", Code::NotPermittedMerchant),
    ("testmode_charges_only", Code::NotPermittedMerchant),
];

/// Why a refund failed (`failure_reason`).
const REFUND_FAILURES: &[(&str, Code)] = &[
    ("declined", Code::GenericDecline),
    ("expired_or_canceled_card", Code::ExpiredCard),
    ("insufficient_funds", Code::InsufficientFunds),
    ("lost_or_stolen_card", Code::LostCard),
];

/// The card's bank, or Stripe's own rules, said no: why. None: the words prove nothing.
pub(super) fn of_card(problem: &Problem) -> Option<Decline> {
    word(problem)
        .and_then(known)
        .filter(|decline| decline.class != Retry::Unknown)
}

/// An intent stands unpaid after a try: the status proves that, the words only say why.
pub(super) fn of_last_try(problem: &Problem) -> Decline {
    word(problem)
        .and_then(known)
        .unwrap_or_else(|| named(Code::GenericDecline, word(problem)))
}

/// The request itself was refused before anybody was asked for money: why. None: the words prove nothing.
pub(super) fn of_request(status: u16, problem: &Problem) -> Option<Decline> {
    let word = problem.code.as_deref();
    match (status, problem.kind.as_deref()?) {
        (402, "card_error") => of_card(problem),
        (401 | 403, _) => Some(named(Code::NotPermittedMerchant, word)),
        (400 | 404, "invalid_request_error") => Some(
            word.and_then(known)
                .unwrap_or_else(|| named(Code::ProcessingError, word)),
        )
        .filter(|decline| decline.class != Retry::Unknown),
        _ => None,
    }
}

/// Why a refund did not arrive.
pub(super) fn of_refund(failure_reason: Option<&str>) -> Decline {
    let code = REFUND_FAILURES
        .iter()
        .find(|row| Some(row.0) == failure_reason)
        .map(|row| row.1);
    named(code.unwrap_or(Code::ProcessingError), failure_reason)
}

/// What a word means, in the shared table or in ours.
pub(super) fn known(word: &str) -> Option<Decline> {
    Decline::from_table("stripe_decline_code", word).or_else(|| {
        CODES
            .iter()
            .find(|row| row.0 == word)
            .map(|row| named(row.1, Some(word)))
    })
}

/// The more telling of the two words that an error has.
fn word(problem: &Problem) -> Option<&str> {
    problem.decline_code.as_deref().or(problem.code.as_deref())
}

/// A decline of `code`, with the provider's own word beside it.
pub(super) fn named(code: Code, raw: Option<&str>) -> Decline {
    Decline {
        raw: cut(raw.unwrap_or_default()),
        ..Decline::new(code)
    }
}
