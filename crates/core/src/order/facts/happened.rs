//! Facts that answer no step of ours: the provider's console, the payer's bank, disputes, fees, money that nobody asked for.
//!
//! Each is booked on its attempt, wherever that is, once by its own id, also before the fact it builds on.

use crate::event::Event;
use crate::money::Money;
use crate::order::limits::{BOOKED_MAX, DISPUTES_MAX, FEE_CURRENCIES_MAX};
use crate::order::{ATTEMPTS_MAX, About, Attempt, Charge, FactKey, Kind, Order, Place, Verdict};
use crate::rail::What;

impl Order {
    pub(super) fn happened(&self, number: u8, id: &str, what: What, money: Money) -> Option<Event> {
        let key = FactKey {
            attempt: number,
            what,
            id: id.to_owned(),
        };
        if self.booked.contains(&key) {
            return None;
        }
        // What is known to have failed is not done: that was said earlier, and is heard later.
        if what == What::Refunded && self.has_booked(number, What::RefundBack, id) {
            return None;
        }
        let Some((place, attempt)) = self.attempt(number) else {
            return self.alarm(About::Fact(key), money);
        };
        if let Some(verdict) = verdict(what) {
            return self.disputed(attempt, key, verdict, money);
        }
        if self.booked.len() >= BOOKED_MAX || !self.is_bookable(attempt, id, what, money) {
            return self.alarm(About::Fact(key), money);
        }
        self.book(place, attempt, key, money)
    }

    fn has_booked(&self, attempt: u8, what: What, id: &str) -> bool {
        (self.booked.iter()).any(|key| key.attempt == attempt && key.what == what && key.id == id)
    }

    fn book(&self, place: Place, attempt: &Attempt, key: FactKey, amount: Money) -> Option<Event> {
        let FactKey {
            attempt: number,
            what,
            id,
        } = key;
        Some(match what {
            What::HoldGone => Event::HoldGone { attempt: number, id },
            What::Captured => Event::CapturedElsewhere {
                attempt: number,
                id,
                amount,
            },
            What::Voided => Event::VoidedElsewhere {
                attempt: number,
                id,
                amount,
            },
            What::Refunded => Event::RefundedElsewhere {
                attempt: number,
                id,
                amount,
            },
            What::RefundBack => Event::RefundBackElsewhere {
                attempt: number,
                id,
                amount,
            },
            What::Returned => Event::Returned {
                attempt: number,
                id,
                amount,
            },
            What::Fee => Event::Fee {
                attempt: number,
                id,
                amount,
            },
            What::Received => self.received(place, attempt, id, amount),
            What::DisputeOpened | What::DisputeWon | What::DisputeLost => return None, // asked before
        })
    }

    /// A receipt for an attempt that was paid is a payment that nobody asked for: an attempt of its own, born as a stray. When no number
    /// is left for one, it is a surplus of the winner.
    fn received(&self, place: Place, attempt: &Attempt, id: String, amount: Money) -> Event {
        let number = self.next_attempt();
        match place {
            Place::Winner if number <= ATTEMPTS_MAX => Event::Unasked {
                attempt: number,
                of: attempt.number,
                id,
                amount,
            },
            Place::Winner | Place::Current | Place::Past => Event::Received {
                attempt: attempt.number,
                id: Some(id),
                amount,
            },
        }
    }

    /// Whether a rule explains the amount, and the sums stay amounts.
    fn is_bookable(&self, attempt: &Attempt, id: &str, what: What, money: Money) -> bool {
        let charge = &attempt.charge;
        let fits = |so_far: i64| so_far.checked_add(money.minor()).is_some();
        let ours = self.is_ours(money) && money.is_positive();
        let payment = self.terms.kind == Kind::Payment;
        match what {
            What::HoldGone => payment,
            What::Captured => ours && payment && fits(charge.captured_elsewhere),
            What::Voided => ours && payment && fits(charge.voided_elsewhere),
            What::Refunded => ours && payment && fits(charge.refunded_elsewhere),
            What::RefundBack => {
                let heard = self.has_booked(attempt.number, What::Refunded, id);
                let fits_heard = (charge.refunded_elsewhere.checked_sub(charge.refunded_elsewhere_back))
                    .is_some_and(|standing| money.minor() <= standing);
                let fits = if heard {
                    fits_heard
                } else {
                    fits(charge.refunded_elsewhere)
                };
                ours && payment && fits
            }
            What::Returned => ours && self.terms.kind != Kind::Verify && fits(charge.returned),
            What::Received => ours && payment && fits(charge.sold),
            What::Fee => fee_fits(charge, money),
            What::DisputeOpened | What::DisputeWon | What::DisputeLost => false,
        }
    }

    /// Disputes have ranks instead of being booked by id. The verdict may come first; two verdicts that differ are an alarm.
    fn disputed(&self, attempt: &Attempt, key: FactKey, verdict: Verdict, amount: Money) -> Option<Event> {
        let known = attempt.charge.disputes.iter().find(|dispute| dispute.id == key.id);
        let news = match (known.map(|dispute| dispute.verdict), verdict) {
            (None, Verdict::Open | Verdict::Won | Verdict::Lost)
            | (Some(Verdict::Open), Verdict::Won | Verdict::Lost) => true,
            (Some(Verdict::Open | Verdict::Won | Verdict::Lost), Verdict::Open)
            | (Some(Verdict::Won), Verdict::Won)
            | (Some(Verdict::Lost), Verdict::Lost) => return None,
            (Some(Verdict::Won), Verdict::Lost) | (Some(Verdict::Lost), Verdict::Won) => false,
        };
        let amount_fits =
            self.is_ours(amount) && (amount.is_positive() || (verdict == Verdict::Won && amount.is_zero()));
        if !news || !amount_fits || self.terms.kind != Kind::Payment {
            return self.alarm(About::Fact(key), amount);
        }
        if known.is_some() || attempt.charge.disputes.len() < DISPUTES_MAX {
            return Some(Event::Disputed {
                attempt: key.attempt,
                id: key.id,
                verdict,
                amount,
            });
        }
        match verdict {
            Verdict::Won => None, // it was never booked as open: nothing moved in our books
            Verdict::Open => self.alarm(About::Fact(key), amount),
            Verdict::Lost
                if self.is_bookable(attempt, &key.id, What::Returned, amount) && self.booked.len() < BOOKED_MAX =>
            {
                let returned = FactKey {
                    what: What::Returned,
                    ..key
                };
                let booked = self.booked.contains(&returned);
                (!booked).then_some(Event::Returned {
                    attempt: returned.attempt,
                    id: returned.id,
                    amount,
                })
            }
            Verdict::Lost => self.alarm(About::Fact(key), amount),
        }
    }
}

fn verdict(what: What) -> Option<Verdict> {
    match what {
        What::DisputeOpened => Some(Verdict::Open),
        What::DisputeWon => Some(Verdict::Won),
        What::DisputeLost => Some(Verdict::Lost),
        What::HoldGone
        | What::Captured
        | What::Voided
        | What::Refunded
        | What::RefundBack
        | What::Returned
        | What::Fee
        | What::Received => None,
    }
}

/// A fee may be given back (below zero) and may be in the currency of settlement.
fn fee_fits(charge: &Charge, money: Money) -> bool {
    let so_far = charge.fees.iter().find(|fee| fee.currency() == money.currency());
    let sum = so_far.map_or(Some(money.minor()), |fee| fee.minor().checked_add(money.minor()));
    let room = so_far.is_some() || charge.fees.len() < FEE_CURRENCIES_MAX;
    room && !money.is_zero() && sum.is_some_and(|sum| sum != i64::MIN)
}
