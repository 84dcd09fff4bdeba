//! The page of test cards that people read has every card, and says of each what it does.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use florin_sandbox::cards::{self, Check, DisputeReason, Later, TestCard, ThreeDs};
use florin_sandbox::reason::Reason;

/// The row of a card: number, name, what it is, what it does.
fn row(card: &TestCard) -> String {
    let digits: Vec<char> = card.number.chars().collect();
    let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
    let (number, name) = (groups.join(" "), card.name);
    let (brand, funding, country) = (card.brand.as_str(), card.funding.as_str(), card.country);
    format!(
        "| `{number}` | `{name}` | {brand} {funding}, {country} | {} |",
        what(card)
    )
}

fn what(card: &TestCard) -> String {
    let end = match card.verdict {
        Reason::Approved => "pays".to_owned(),
        verdict => format!("is declined: {}", why(verdict)),
    };
    let paid = match card.three_ds {
        ThreeDs::Supported => end,
        ThreeDs::NotSupported => format!("{end}; knows no 3-D Secure"),
        ThreeDs::Required => format!("asks for 3-D Secure, then {end}"),
        ThreeDs::RequiredBroken => "is declined: it wants 3-D Secure, and nobody can be asked".to_owned(),
        ThreeDs::SupportedBroken => format!("{end}; 3-D Secure would fail, and is not asked for"),
    };
    let later = match card.later {
        Later::Nothing => None,
        Later::Dispute(DisputeReason::Fraudulent) => Some("disputed later as fraud"),
        Later::Dispute(DisputeReason::ProductNotReceived) => Some("disputed later: nothing came"),
        Later::Inquiry => Some("the bank asks about it later, and no money moves"),
        Later::FraudWarning => Some("the bank warns of fraud later, and no money moves"),
        Later::RefundPends => Some("a refund is pending first"),
        Later::RefundFails => Some("a refund is done first and comes back later"),
    };
    let checks = [
        ("security code", card.checks.cvc),
        ("address", card.checks.line1),
        ("postal code", card.checks.postal_code),
    ];
    let told = checks.into_iter().filter_map(|(what, check)| match check {
        Check::Pass => None,
        Check::Fail => Some(format!("the {what} does not fit")),
        Check::Unavailable => Some(format!("the {what} is not compared")),
    });
    let more: Vec<String> = later.map(str::to_owned).into_iter().chain(told).collect();
    [vec![paid], more].concat().join("; ")
}

fn why(verdict: Reason) -> &'static str {
    match verdict {
        Reason::GenericDecline => "no reason given",
        Reason::InsufficientFunds => "not enough money",
        Reason::LostCard => "reported lost",
        Reason::StolenCard => "reported stolen",
        Reason::ExpiredCard => "expired",
        Reason::IncorrectCvc => "wrong security code",
        Reason::ProcessingError => "a fault at the issuer",
        Reason::IncorrectNumber => "no such number",
        Reason::CardVelocityExceeded => "a limit of the card",
        Reason::Fraudulent => "looks like fraud",
        other => panic!("no card is declined for {other:?}"),
    }
}

#[test]
fn the_page_of_test_cards_has_a_row_for_each_and_no_other() {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../..");
    let page = std::fs::read_to_string(root.join("docs/test-cards.md")).unwrap();
    let there: BTreeSet<String> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(str::to_owned)
        .collect();
    let wanted: BTreeSet<String> = cards::all().iter().map(row).collect();
    let lines = |rows: Vec<&String>| rows.into_iter().cloned().collect::<Vec<_>>().join("\n");
    let (missing, wrong) = (
        lines(wanted.difference(&there).collect()),
        lines(there.difference(&wanted).collect()),
    );
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "docs/test-cards.md needs these rows:\n{missing}\nand not these:\n{wrong}"
    );
}
