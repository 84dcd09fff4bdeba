//! How an order stands, in the words of the buyer: what happened, whether money moved, what to do now.

use std::fmt;

use askama::filters::HtmlSafe;

use crate::api::shapes::{AttemptStatus, DeliveryStatus, Order, Status};
use crate::money::Money;

/// The colour of a state; never alone, always beside a sign and a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Good,
    Wait,
    Bad,
    Note,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Wait => "wait",
            Self::Bad => "bad",
            Self::Note => "note",
        }
    }
}

/// A state as a sign and a word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Chip {
    pub(crate) tone: Tone,
    pub(crate) word: &'static str,
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The sign before the word is the style sheet's.
        write!(f, r#"<span class="chip {}">{}</span>"#, self.tone.class(), self.word)
    }
}

impl HtmlSafe for Chip {}

/// What the buyer reads first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    pub(crate) chip: Chip,
    pub(crate) headline: &'static str,
    pub(crate) sentence: String,
    pub(crate) step: Step,
    pub(crate) may_cancel: bool,
}

/// The one next step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Wait or be glad.
    None,
    /// Go to the payment page, with this on the button before the amount.
    Pay(&'static str),
    /// The order is over; the same goods can be ordered again.
    OrderAgain,
}

/// Reads an order; `None` when Florin has not been heard yet.
pub(crate) fn standing(order: Option<&Order>, packed: bool) -> Standing {
    let Some(order) = order else {
        return wait(
            "Not sent",
            "Your order is kept, but the payment has not begun.",
            "Nothing has been charged. Going on is safe: it stays one order, however often you press.",
            Step::Pay("Pay"),
        );
    };
    if order.uncertain {
        return wait(
            "Being checked",
            "We are finding out whether the payment went through.",
            "Please do not pay again. Florin keeps asking the provider until there is an answer, and this page will show it.",
            Step::None,
        );
    }
    match order.payment_order_status {
        Status::Created => not_paid(order),
        Status::RequiresAction => Standing {
            may_cancel: true,
            ..wait(
                "Waiting for you",
                "The payment is not finished.",
                "We have not heard of a payment. If you have just paid, wait a moment: this page will show it. If not, the payment page is \
                 still open for you.",
                Step::Pay("Continue and pay"),
            )
        },
        Status::Processing => wait(
            "In progress",
            "The bank is deciding.",
            "This takes seconds as a rule. Please do not pay again; this page will show how it ends.",
            Step::None,
        ),
        Status::Authorized | Status::PartiallyCaptured => good(
            "Reserved",
            "Thank you. The amount is reserved for us.",
            if packed {
                "Your things are packed."
            } else {
                "Your things will be packed as soon as Florin tells the shop."
            },
        ),
        Status::Captured if packed => good(
            "Paid",
            "Thank you. Your order is paid.",
            "Your things are packed and on their way.",
        ),
        Status::Captured => good(
            "Paid",
            "Thank you. Your payment has arrived.",
            "Your things will be packed as soon as Florin's webhook tells the shop, usually within a second.",
        ),
        Status::PartiallyRefunded | Status::Refunded => refunded(order),
        Status::Failed => over(Tone::Bad, "Failed", "The order could not be paid.", money_of(order)),
        Status::Canceled => over(Tone::Note, "Canceled", "The order was canceled.", money_of(order)),
        Status::Expired => over(Tone::Note, "Expired", "The time to pay is over.", money_of(order)),
        Status::Verified => good("Verified", "Your card is verified.", "Nothing has been charged."),
        Status::Unknown => Standing {
            chip: Chip {
                tone: Tone::Note,
                word: "See below",
            },
            headline: "Florin reports a state that this shop does not know.",
            sentence: "The details are below.".into(),
            step: Step::None,
            may_cancel: false,
        },
    }
}

/// What may be said about the money of an order that ended unpaid.
fn money_of(order: &Order) -> &'static str {
    if order.attention.is_empty() {
        "Nothing has been charged."
    } else {
        "If money has left your account, write to us: somebody has to look at this payment."
    }
}

fn not_paid(order: &Order) -> Standing {
    let Some(last) = order.last_attempt.as_ref().filter(|_| order.may_try_again()) else {
        let step = if order.may_try_again() {
            Step::Pay("Pay")
        } else {
            Step::None
        };
        return wait(
            "Not paid",
            "The order is placed and waits for your payment.",
            "Nothing has been charged.",
            step,
        );
    };
    let open = match last.status {
        // Which reason the bank gave is not said here: it would help whoever tries a found card.
        AttemptStatus::Declined => Standing {
            chip: Chip {
                tone: Tone::Bad,
                word: "Declined",
            },
            ..wait(
                "",
                "Your card was declined.",
                "Nothing has been charged. Another card may work.",
                Step::Pay("Pay with another card"),
            )
        },
        AttemptStatus::Canceled => wait(
            "Not paid",
            "The last try was not finished.",
            "Nothing has been charged. You can try again, with the same card or another.",
            Step::Pay("Try again and pay"),
        ),
        AttemptStatus::Reversed
        | AttemptStatus::Processing
        | AttemptStatus::RequiresAction
        | AttemptStatus::Succeeded
        | AttemptStatus::Unknown => wait(
            "Not paid",
            "The last try was not finished.",
            "No money stays with us from it. You can try again, with the same card or another.",
            Step::Pay("Try again and pay"),
        ),
    };
    Standing {
        may_cancel: true,
        ..open
    }
}

fn refunded(order: &Order) -> Standing {
    let back = Money::new(order.amount_refunded, &order.currency);
    let whole = order.payment_order_status == Status::Refunded;
    Standing {
        chip: Chip {
            tone: Tone::Note,
            word: if whole { "Refunded" } else { "Partly refunded" },
        },
        headline: if whole {
            "Your money is on its way back."
        } else {
            "Part of your money is on its way back."
        },
        sentence: format!("{back} goes back the way it came. Banks take a few days to show it."),
        step: Step::None,
        may_cancel: false,
    }
}

fn wait(word: &'static str, headline: &'static str, sentence: &str, step: Step) -> Standing {
    let chip = Chip { tone: Tone::Wait, word };
    Standing {
        chip,
        headline,
        sentence: sentence.into(),
        step,
        may_cancel: false,
    }
}

fn good(word: &'static str, headline: &'static str, sentence: &str) -> Standing {
    let chip = Chip { tone: Tone::Good, word };
    Standing {
        chip,
        headline,
        sentence: sentence.into(),
        step: Step::None,
        may_cancel: false,
    }
}

fn over(tone: Tone, word: &'static str, headline: &'static str, sentence: &str) -> Standing {
    let chip = Chip { tone, word };
    Standing {
        chip,
        headline,
        sentence: sentence.into(),
        step: Step::OrderAgain,
        may_cancel: false,
    }
}

/// The state of one try, for the part behind the scenes.
pub(crate) fn attempt_chip(status: AttemptStatus, uncertain: bool) -> Chip {
    let (tone, word) = match status {
        AttemptStatus::Processing | AttemptStatus::RequiresAction | AttemptStatus::Unknown if uncertain => {
            (Tone::Wait, "uncertain")
        }
        AttemptStatus::Processing => (Tone::Wait, "processing"),
        AttemptStatus::RequiresAction => (Tone::Wait, "requires action"),
        AttemptStatus::Succeeded => (Tone::Good, "succeeded"),
        AttemptStatus::Declined => (Tone::Bad, "declined"),
        AttemptStatus::Canceled => (Tone::Note, "canceled"),
        AttemptStatus::Reversed => (Tone::Note, "reversed"),
        AttemptStatus::Unknown => (Tone::Note, "unknown"),
    };
    Chip { tone, word }
}

/// The state of one delivery.
pub(crate) fn delivery_chip(status: DeliveryStatus) -> Chip {
    let (tone, word) = match status {
        DeliveryStatus::Pending => (Tone::Wait, "on its way"),
        DeliveryStatus::Succeeded => (Tone::Good, "delivered"),
        DeliveryStatus::Failed => (Tone::Bad, "failed"),
        DeliveryStatus::Unknown => (Tone::Note, "unknown"),
    };
    Chip { tone, word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::shapes::{Attempt, Decline, tests::order};

    fn declined() -> Order {
        let mut order = order("G-1", Status::Created);
        order.last_attempt = Some(Attempt {
            id: "att_1".into(),
            status: AttemptStatus::Declined,
            uncertain: false,
            method: None,
            rail: None,
            amount: 1650,
            currency: "EUR".into(),
            decline: Some(Decline {
                code: "insufficient_funds".into(),
                message: Some("no money".into()),
            }),
            provider_reference: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
        });
        order
    }

    #[test]
    fn a_decline_offers_another_card_and_keeps_the_reason_from_the_payer() {
        let standing = standing(Some(&declined()), false);
        assert_eq!(standing.step, Step::Pay("Pay with another card"));
        assert_eq!(standing.chip.tone, Tone::Bad);
        assert!(!standing.sentence.contains("funds") && !standing.sentence.contains("money"));
    }

    #[test]
    fn an_uncertain_order_never_invites_to_pay_again() {
        for status in [
            Status::Created,
            Status::RequiresAction,
            Status::Processing,
            Status::Captured,
            Status::Failed,
        ] {
            let mut order = declined();
            order.payment_order_status = status;
            order.uncertain = true;
            let standing = standing(Some(&order), false);
            assert_eq!((standing.step, standing.may_cancel), (Step::None, false), "{status:?}");
        }
    }

    #[test]
    fn only_an_order_without_money_can_be_paid_or_ordered_again() {
        for (status, step) in [
            (Status::Created, Step::Pay("Pay")),
            (Status::RequiresAction, Step::Pay("Continue and pay")),
            (Status::Processing, Step::None),
            (Status::Authorized, Step::None),
            (Status::PartiallyCaptured, Step::None),
            (Status::Captured, Step::None),
            (Status::PartiallyRefunded, Step::None),
            (Status::Refunded, Step::None),
            (Status::Failed, Step::OrderAgain),
            (Status::Canceled, Step::OrderAgain),
            (Status::Expired, Step::OrderAgain),
            (Status::Verified, Step::None),
            (Status::Unknown, Step::None),
        ] {
            assert_eq!(standing(Some(&order("G-1", status)), false).step, step, "{status:?}");
        }
        assert_eq!(standing(None, false).step, Step::Pay("Pay"));
    }

    #[test]
    fn nothing_has_been_charged_is_said_only_of_what_is_known_to_be_so() {
        let not_charged = |order: &Order| {
            let standing = standing(Some(order), false);
            standing.sentence.contains("Nothing has been charged")
        };
        assert!(
            !not_charged(&order("G-1", Status::RequiresAction)),
            "they may have paid a moment ago"
        );
        for status in [Status::Failed, Status::Canceled, Status::Expired] {
            let mut ended = order("G-1", status);
            assert!(not_charged(&ended), "{status:?}");
            ended.attention = vec!["stuck_reversal".into()];
            assert!(!not_charged(&ended), "{status:?}: money should go back, and does not");
        }
    }

    #[test]
    fn packed_is_said_only_when_it_is_so() {
        let paid = order("G-1", Status::Captured);
        assert!(standing(Some(&paid), true).sentence.contains("are packed"));
        assert!(standing(Some(&paid), false).sentence.contains("will be packed"));
    }
}
