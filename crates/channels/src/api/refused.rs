//! Refusals by the rules in the words of one call, where the list's sentence would send its caller the wrong way.

use florin_core::order::Refusal;
use florin_core::status::{self, Amounts};
use florin_services::ask::Denied;

use crate::problem::Problem;

/// A capture that keeps the rest, at a provider that takes a hold once: no other provider is needed.
pub(super) fn capture(denied: Denied, last: bool) -> Problem {
    let once = !last
        && matches!(
            &denied,
            Denied::Refused {
                refusal: Refusal::Unsupported,
                ..
            }
        );
    let mut problem = Problem::from(denied);
    if once {
        "this provider takes a hold in one capture".clone_into(&mut problem.detail);
        problem = problem
            .at("final")
            .fix("leave out `final: false`, with a new idempotency key: what is not captured goes back to the payer");
    }
    problem
}

/// A refund where nothing is left: no smaller amount helps, and what became of the money says why.
pub(super) fn refund(denied: Denied) -> Problem {
    let spent = if let Denied::Refused {
        refusal: Refusal::TooMuch { available, .. },
        order,
        ..
    } = &denied
        && available.is_zero()
    {
        Some(nothing_left(&status::amounts(&order.order)))
    } else {
        None
    };
    let mut problem = Problem::from(denied);
    if let Some(detail) = spent {
        problem.detail = detail;
        problem = problem.fix("refund nothing more: the order's amounts say where its money is");
    }
    problem
}

fn nothing_left(amounts: &Amounts) -> String {
    let gone = [
        (amounts.refunded, "refunded"),
        (amounts.refund_pending, "being refunded"),
        (amounts.disputed, "disputed"),
    ];
    let gone = gone.into_iter().filter(|(money, _)| money.is_positive());
    let gone: Vec<String> = gone.map(|(money, word)| format!("{money} {word}")).collect();
    if gone.is_empty() {
        return "nothing is left to refund".to_owned();
    }
    format!("nothing is left to refund ({})", gone.join(", "))
}

#[cfg(test)]
mod tests {
    use florin_core::money::Money;

    use super::*;

    #[test]
    fn where_nothing_is_left_the_words_say_what_became_of_the_money() {
        let eur = |minor| Money::new(minor, "EUR".parse().unwrap());
        let mut amounts = Amounts {
            authorized: eur(1000),
            capturable: eur(0),
            captured: eur(1000),
            refunded: eur(400),
            refund_pending: eur(0),
            disputed: eur(600),
            returned: eur(0),
            refundable: eur(0),
        };
        assert_eq!(
            nothing_left(&amounts),
            "nothing is left to refund (EUR 4.00 refunded, EUR 6.00 disputed)"
        );
        (amounts.refunded, amounts.disputed) = (eur(0), eur(0));
        assert_eq!(nothing_left(&amounts), "nothing is left to refund");
    }
}
