//! The rows. Each says only what differs from a Visa credit card of the United States that is approved.

use super::{Brand, Check, Checks, DisputeReason, Funding, Later, TestCard, ThreeDs};
use crate::reason::Reason;

/// Other names under which Stripe publishes or published a card.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("card_us", "card_visa"),
    ("card_amex_threeDSecureNotSupported", "card_amex"),
    ("card_chargeDeclined", "card_visa_chargeDeclined"),
    (
        "card_chargeDeclinedInsufficientFunds",
        "card_visa_chargeDeclinedInsufficientFunds",
    ),
    ("card_chargeDeclinedLostCard", "card_visa_chargeDeclinedLostCard"),
    ("card_chargeDeclinedStolenCard", "card_visa_chargeDeclinedStolenCard"),
    ("card_chargeDeclinedFraudulent", "card_radarBlock"),
];

/// A card that Stripe names: `card_…`, `pm_card_…` and `tok_…` with the same ending.
macro_rules! named {
    ($ending:literal, $number:literal) => {
        TestCard {
            payment_method: Some(concat!("pm_card_", $ending)),
            token: Some(concat!("tok_", $ending)),
            ..unnamed!($ending, $number)
        }
    };
}

/// A card that Stripe publishes as a number only; the name is ours.
macro_rules! unnamed {
    ($ending:literal, $number:literal) => {
        TestCard {
            name: concat!("card_", $ending),
            number: $number,
            ..PLAIN
        }
    };
}

/// A Visa card that is approved in another country.
macro_rules! country {
    ($ending:literal, $country:literal, $number:literal) => {
        TestCard {
            country: $country,
            ..named!($ending, $number)
        }
    };
}

const PLAIN: TestCard = TestCard {
    name: "",
    number: "",
    payment_method: None,
    token: None,
    brand: Brand::Visa,
    funding: Funding::Credit,
    country: "US",
    three_ds: ThreeDs::Supported,
    verdict: Reason::Approved,
    later: Later::Nothing,
    checks: ALL_PASS,
};

const ALL_PASS: Checks = Checks {
    cvc: Check::Pass,
    line1: Check::Pass,
    postal_code: Check::Pass,
};

pub(super) const CARDS: &[TestCard] = &[
    // By brand
    named!("visa", "4242424242424242"),
    TestCard {
        funding: Funding::Debit,
        ..named!("visa_debit", "4000056655665556")
    },
    TestCard {
        brand: Brand::Mastercard,
        ..named!("mastercard", "5555555555554444")
    },
    TestCard {
        brand: Brand::Mastercard,
        ..unnamed!("mastercard_2series", "2223003122003222")
    },
    TestCard {
        brand: Brand::Mastercard,
        funding: Funding::Debit,
        ..named!("mastercard_debit", "5200828282828210")
    },
    TestCard {
        brand: Brand::Mastercard,
        funding: Funding::Prepaid,
        ..named!("mastercard_prepaid", "5105105105105100")
    },
    TestCard {
        brand: Brand::Amex,
        three_ds: ThreeDs::NotSupported,
        ..named!("amex", "378282246310005")
    },
    TestCard {
        brand: Brand::Amex,
        three_ds: ThreeDs::NotSupported,
        ..unnamed!("amex_8431", "371449635398431")
    },
    TestCard {
        brand: Brand::Discover,
        ..named!("discover", "6011111111111117")
    },
    TestCard {
        brand: Brand::Discover,
        ..unnamed!("discover_9424", "6011000990139424")
    },
    TestCard {
        brand: Brand::Discover,
        funding: Funding::Debit,
        ..unnamed!("discover_debit", "6011981111111113")
    },
    TestCard {
        brand: Brand::Diners,
        ..named!("diners", "3056930009020004")
    },
    TestCard {
        brand: Brand::Diners,
        ..unnamed!("diners_14digits", "36227206271667")
    },
    TestCard {
        brand: Brand::Discover,
        ..unnamed!("bccard", "6555900000604105")
    },
    TestCard {
        brand: Brand::Jcb,
        country: "JP",
        ..named!("jcb", "3566002020360505")
    },
    TestCard {
        brand: Brand::Jcb,
        country: "JP",
        ..unnamed!("jcb_0000", "3530111333300000")
    },
    TestCard {
        brand: Brand::UnionPay,
        country: "CN",
        ..named!("unionpay", "6200000000000005")
    },
    TestCard {
        brand: Brand::UnionPay,
        country: "CN",
        funding: Funding::Debit,
        ..unnamed!("unionpay_debit", "6200000000000047")
    },
    TestCard {
        brand: Brand::UnionPay,
        country: "CN",
        ..unnamed!("unionpay_19digits", "6205500000000000004")
    },
    TestCard {
        country: "FR",
        ..named!("visa_cartesBancaires", "4000002500001001")
    },
    TestCard {
        country: "FR",
        brand: Brand::Mastercard,
        ..named!("mastercard_cartesBancaires", "5555552500001001")
    },
    TestCard {
        country: "AU",
        funding: Funding::Debit,
        ..named!("visa_debit_eftposAuCoBranded", "4000050360000001")
    },
    TestCard {
        country: "AU",
        brand: Brand::Mastercard,
        funding: Funding::Debit,
        ..named!("mastercard_debit_eftposAuCoBranded", "5555050360000080")
    },
    // By country
    country!("ar", "AR", "4000000320000021"),
    country!("br", "BR", "4000000760000002"),
    country!("ca", "CA", "4000001240000000"),
    country!("cl", "CL", "4000001520000001"),
    country!("co", "CO", "4000001700000003"),
    country!("cr", "CR", "4000001880000005"),
    country!("ec", "EC", "4000002180000000"),
    country!("mx", "MX", "4000004840008001"),
    country!("pa", "PA", "4000005910000000"),
    country!("py", "PY", "4000006000000066"),
    country!("pe", "PE", "4000006040000068"),
    country!("uy", "UY", "4000008580000003"),
    country!("ae", "AE", "4000007840000001"),
    TestCard {
        brand: Brand::Mastercard,
        ..country!("ae_mastercard", "AE", "5200007840000022")
    },
    country!("at", "AT", "4000000400000008"),
    country!("be", "BE", "4000000560000004"),
    country!("bg", "BG", "4000001000000000"),
    country!("by", "BY", "4000001120000005"),
    country!("hr", "HR", "4000001910000009"),
    country!("cy", "CY", "4000001960000008"),
    country!("cz", "CZ", "4000002030000002"),
    country!("dk", "DK", "4000002080000001"),
    country!("ee", "EE", "4000002330000009"),
    country!("fi", "FI", "4000002460000001"),
    country!("fr", "FR", "4000002500000003"),
    country!("de", "DE", "4000002760000016"),
    country!("gi", "GI", "4000002920000005"),
    country!("gr", "GR", "4000003000000030"),
    country!("hu", "HU", "4000003480000005"),
    country!("ie", "IE", "4000003720000005"),
    country!("it", "IT", "4000003800000008"),
    country!("lv", "LV", "4000004280000005"),
    country!("li", "LI", "4000004380000004"),
    country!("lt", "LT", "4000004400000000"),
    country!("lu", "LU", "4000004420000006"),
    country!("mt", "MT", "4000004700000007"),
    country!("nl", "NL", "4000005280000002"),
    country!("no", "NO", "4000005780000007"),
    country!("pl", "PL", "4000006160000005"),
    country!("pt", "PT", "4000006200000007"),
    country!("ro", "RO", "4000006420000001"),
    TestCard {
        country: "SA",
        ..unnamed!("sa", "4000006820000007")
    },
    country!("si", "SI", "4000007050000006"),
    country!("sk", "SK", "4000007030000001"),
    country!("es", "ES", "4000007240000007"),
    country!("se", "SE", "4000007520000008"),
    country!("ch", "CH", "4000007560000009"),
    country!("gb", "GB", "4000008260000000"),
    TestCard {
        funding: Funding::Debit,
        ..country!("gb_debit", "GB", "4000058260000005")
    },
    TestCard {
        brand: Brand::Mastercard,
        ..country!("gb_mastercard", "GB", "5555558265554449")
    },
    country!("au", "AU", "4000000360000006"),
    country!("cn", "CN", "4000001560000002"),
    country!("hk", "HK", "4000003440000004"),
    country!("in", "IN", "4000003560000008"),
    country!("jp", "JP", "4000003920000003"),
    country!("my", "MY", "4000004580000002"),
    country!("nz", "NZ", "4000005540000008"),
    country!("sg", "SG", "4000007020000003"),
    country!("tw", "TW", "4000001580000008"),
    country!("th_credit", "TH", "4000007640000003"),
    TestCard {
        funding: Funding::Debit,
        ..country!("th_debit", "TH", "4000057640000008")
    },
    // Declined
    TestCard {
        verdict: Reason::GenericDecline,
        ..named!("visa_chargeDeclined", "4000000000000002")
    },
    TestCard {
        verdict: Reason::InsufficientFunds,
        ..named!("visa_chargeDeclinedInsufficientFunds", "4000000000009995")
    },
    TestCard {
        verdict: Reason::LostCard,
        ..named!("visa_chargeDeclinedLostCard", "4000000000009987")
    },
    TestCard {
        verdict: Reason::StolenCard,
        ..named!("visa_chargeDeclinedStolenCard", "4000000000009979")
    },
    TestCard {
        verdict: Reason::ExpiredCard,
        ..named!("chargeDeclinedExpiredCard", "4000000000000069")
    },
    TestCard {
        verdict: Reason::IncorrectCvc,
        checks: Checks {
            cvc: Check::Fail,
            ..ALL_PASS
        },
        ..named!("chargeDeclinedIncorrectCvc", "4000000000000127")
    },
    TestCard {
        verdict: Reason::ProcessingError,
        ..named!("chargeDeclinedProcessingError", "4000000000000119")
    },
    TestCard {
        verdict: Reason::IncorrectNumber,
        ..unnamed!("incorrectNumber", "4242424242424241")
    },
    TestCard {
        verdict: Reason::CardVelocityExceeded,
        ..named!("visa_chargeDeclinedVelocityLimitExceeded", "4000000000006975")
    },
    // Can be stored; is declined whenever it is charged.
    TestCard {
        verdict: Reason::GenericDecline,
        ..named!("chargeCustomerFail", "4000000000000341")
    },
    // Fraud prevention: what Stripe's risk rules would stop by default is declined as fraud here.
    TestCard {
        verdict: Reason::Fraudulent,
        ..named!("radarBlock", "4100000000000019")
    },
    TestCard {
        verdict: Reason::Fraudulent,
        ..named!("riskLevelHighest", "4000000000004954")
    },
    named!("riskLevelElevated", "4000000000009235"),
    TestCard {
        checks: Checks {
            cvc: Check::Fail,
            ..ALL_PASS
        },
        ..named!("cvcCheckFail", "4000000000000101")
    },
    TestCard {
        checks: Checks {
            postal_code: Check::Fail,
            ..ALL_PASS
        },
        ..named!("avsZipFail", "4000000000000036")
    },
    TestCard {
        checks: Checks {
            line1: Check::Fail,
            ..ALL_PASS
        },
        ..named!("avsLine1Fail", "4000000000000028")
    },
    TestCard {
        checks: Checks {
            line1: Check::Fail,
            postal_code: Check::Fail,
            ..ALL_PASS
        },
        ..named!("avsFail", "4000000000000010")
    },
    TestCard {
        checks: Checks {
            line1: Check::Unavailable,
            postal_code: Check::Unavailable,
            ..ALL_PASS
        },
        ..named!("avsUnchecked", "4000000000000044")
    },
    // Disputes
    TestCard {
        later: Later::Dispute(DisputeReason::Fraudulent),
        ..named!("createDispute", "4000000000000259")
    },
    TestCard {
        later: Later::Dispute(DisputeReason::ProductNotReceived),
        ..named!("createDisputeProductNotReceived", "4000000000002685")
    },
    TestCard {
        later: Later::Inquiry,
        ..named!("createDisputeInquiry", "4000000000001976")
    },
    TestCard {
        later: Later::FraudWarning,
        ..named!("createIssuerFraudRecord", "4000000000005423")
    },
    // Refunds
    TestCard {
        later: Later::RefundPends,
        ..named!("pendingRefund", "4000000000007726")
    },
    TestCard {
        later: Later::RefundFails,
        ..named!("refundFail", "4000000000005126")
    },
    // Available balance: plain approvals for an issuer
    named!("bypassPending", "4000000000000077"),
    country!("bypassPendingInternational", "IE", "4000003720000278"),
    // 3-D Secure
    TestCard {
        three_ds: ThreeDs::Required,
        ..country!("authenticationRequiredOnSetup", "FR", "4000002500003155")
    },
    TestCard {
        three_ds: ThreeDs::Required,
        ..country!("authenticationRequired", "DE", "4000002760003184")
    },
    TestCard {
        three_ds: ThreeDs::Required,
        ..country!("authenticationRequiredSetupForOffSession", "IT", "4000003800000446")
    },
    TestCard {
        three_ds: ThreeDs::Required,
        verdict: Reason::InsufficientFunds,
        ..country!(
            "authenticationRequiredChargeDeclinedInsufficientFunds",
            "GB",
            "4000008260003178"
        )
    },
    TestCard {
        three_ds: ThreeDs::Required,
        ..country!("threeDSecure2Required", "IE", "4000000000003220")
    },
    TestCard {
        three_ds: ThreeDs::Required,
        ..unnamed!("threeDSecure2Required_us", "4000008400000027")
    },
    TestCard {
        three_ds: ThreeDs::Required,
        ..named!("threeDSecureRequired", "4000000000003063")
    },
    TestCard {
        three_ds: ThreeDs::Required,
        verdict: Reason::GenericDecline,
        ..named!("threeDSecureRequiredChargeDeclined", "4000008400001629")
    },
    TestCard {
        three_ds: ThreeDs::RequiredBroken,
        ..named!("threeDSecureRequiredProcessingError", "4000008400001280")
    },
    named!("threeDSecureOptional", "4000000000003055"),
    TestCard {
        three_ds: ThreeDs::SupportedBroken,
        ..named!("threeDSecureOptionalProcessingError", "4000000000003097")
    },
    unnamed!("threeDSecureFrictionless", "4000000032200000"),
    TestCard {
        three_ds: ThreeDs::Required,
        ..unnamed!("challengeOutOfBand", "4000582600000094")
    },
    TestCard {
        three_ds: ThreeDs::Required,
        ..unnamed!("challengeOneTimePasscode", "4000582600000045")
    },
    TestCard {
        three_ds: ThreeDs::Required,
        ..unnamed!("challengeSingleSelect", "4000582600000102")
    },
    TestCard {
        three_ds: ThreeDs::Required,
        ..unnamed!("challengeMultiSelect", "4000582600000110")
    },
];
