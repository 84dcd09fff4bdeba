//! Where the Stripe-compatible door is put together: ours for merchants, and the pretend provider's over the simulated issuer.

use std::sync::Arc;

use axum::Router;
use florin_channels::Doors;
use florin_channels::stripe_compat::{self, Arbiter, Card, CardTable, Deciding, DoorKind, Example, Tariff};
use florin_channels::teller::StripeWords;
use florin_core::rail::Memo;
use florin_sandbox::cards::{self, TestCard};
use florin_sandbox::clerk::Clerk;
use florin_sandbox::entry::{AuthorizationId, Key};
use florin_sandbox::message::{Operate, Step};

/// What the pretend provider charges: like a small shop's contract in Europe, 1.5 % and 25 cents.
const TARIFF: Tariff = Tariff {
    basis_points: 150,
    fixed_minor: 25,
};

const MERCHANT: DoorKind = DoorKind::Merchant { cards: &PublishedCards };
const PROVIDER: DoorKind = DoorKind::Provider {
    cards: &PublishedCards,
    tariff: TARIFF,
};

/// The door that merchants' programs use.
pub(crate) fn merchant(doors: Doors) -> Router {
    stripe_compat::router(doors, MERCHANT)
}

/// The pretend provider, over this issuer.
pub(crate) fn provider(doors: Doors, issuer: Clerk) -> Router {
    stripe_compat::router_before(doors, PROVIDER, Some(Arc::new(Bank(issuer))))
}

/// The simulated issuer decides disputes, when the provider's merchant sends one of Stripe's two words as evidence.
struct Bank(Clerk);

impl Arbiter for Bank {
    fn decide<'a>(&'a self, payment: &'a Memo, dispute: &'a str, won: bool) -> Deciding<'a> {
        Box::pin(async move {
            let id = payment.get("authorization").and_then(|id| AuthorizationId::parse(id));
            let verdict = if won { "won" } else { "lost" };
            let key = Key::parse(&format!("{dispute}-{verdict}"));
            let (Some(authorization), Some(key)) = (id, key) else {
                return Err("the issuer has no such dispute".to_owned());
            };
            let step = Step::CloseDispute { won };
            let asked = Operate {
                key,
                authorization,
                step,
                reference: None,
            };
            // A refusal says that it is decided already, which its notice tells.
            let answered = self.0.operate(asked).await;
            answered.map(|_| ()).map_err(|trouble| trouble.to_string())
        })
    }
}

/// Events of a merchant's door in Stripe's words; `origin` is its address.
pub(crate) fn words(origin: &str) -> Option<StripeWords> {
    Some(stripe_compat::words(origin, MERCHANT))
}

/// Events of the pretend provider in Stripe's words.
pub(crate) fn provider_words(origin: &str) -> Option<StripeWords> {
    Some(stripe_compat::words(origin, PROVIDER))
}

/// Whether a rail may have a test method of this name: what is called like one of Stripe's test cards has to be one. Other names may be
/// methods that a program made at Stripe, which only Stripe knows.
pub(crate) fn may_be_test_method(rail: &str, name: &str) -> bool {
    let card = name.strip_prefix("pm_").unwrap_or(name);
    rail != "stripe" || !card.starts_with("card_") || cards::by_name(card).is_some()
}

/// The sandbox's table of published test cards, as the door asks for it.
struct PublishedCards;

impl CardTable for PublishedCards {
    fn by_number(&self, typed: &str) -> Option<Card> {
        cards::by_number(typed).map(card)
    }

    fn by_name(&self, name: &str) -> Option<Card> {
        cards::by_name(name).map(card)
    }

    fn examples(&self) -> Vec<Example> {
        let shown = SHOWN
            .iter()
            .filter_map(|(name, what)| Some((cards::by_name(name)?, *what)));
        shown
            .map(|(card, what)| Example {
                number: in_groups(card.number),
                what,
            })
            .collect()
    }
}

fn card(test: &'static TestCard) -> Card {
    Card {
        name: test.name,
        brand: test.brand.as_str(),
        last4: test.last4(),
        funding: test.funding.as_str(),
        country: test.country,
        cvc_check: test.checks.cvc.as_str(),
        line1_check: test.checks.line1.as_str(),
        postal_code_check: test.checks.postal_code.as_str(),
    }
}

/// Cards that show what may happen, by name; the page writes their numbers in groups of four.
const SHOWN: &[(&str, &str)] = &[
    ("card_visa", "pays"),
    ("card_threeDSecure2Required", "asks for 3-D Secure, then pays"),
    ("card_visa_chargeDeclined", "is declined"),
    ("card_visa_chargeDeclinedInsufficientFunds", "has not enough money"),
    (
        "card_threeDSecureRequiredChargeDeclined",
        "asks for 3-D Secure, then is declined",
    ),
    ("card_createDispute", "pays, and disputes it later"),
];

fn in_groups(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_that_the_page_shows_exists() {
        assert_eq!(PublishedCards.examples().len(), SHOWN.len());
        for example in PublishedCards.examples() {
            assert!(PublishedCards.by_number(&example.number).is_some(), "{}", example.what);
        }
    }

    #[test]
    fn a_misspelt_test_card_is_no_method_and_what_only_stripe_knows_may_be_one() {
        for name in [
            "card_visa",
            "pm_card_visa",
            "card_chargeDeclined",
            "pm_1Pq8X2eZ",
            "visa",
        ] {
            assert!(may_be_test_method("stripe", name), "{name}");
        }
        for name in ["card_vsia", "pm_card_vsia", "card_", "card_Visa"] {
            assert!(!may_be_test_method("stripe", name), "{name}");
        }
        assert!(may_be_test_method("another", "card_of_its_own"));
    }

    #[test]
    fn a_card_of_the_sandbox_is_the_same_card_at_the_door() {
        for test in cards::all() {
            let known = PublishedCards.by_name(test.name).map(|card| (card.name, card.last4));
            assert_eq!(known, Some((test.name, test.last4())));
        }
    }
}
