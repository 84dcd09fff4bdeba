//! What a rail or a person says about an authorise step.

use super::Said;
use crate::decline::Decline;
use crate::event::Event;
use crate::money::Money;
use crate::order::{About, Attempt, Case, HoldEnd, Kind, Leaving, Order, Phase, Place, Says, Standing};
use crate::rail::Action;

/// An approval, as it was said.
#[derive(Clone, Copy)]
struct Approval {
    money: Money,
    /// Whether the provider said how much; if not, it is what was asked.
    stated: bool,
    held: Option<HoldEnd>,
    by_person: bool,
}

impl Order {
    pub(super) fn authorise_told(&self, place: Place, attempt: &Attempt, said: &Said<'_>) -> Option<Event> {
        match said.says {
            Says::Acting { action } => acting(place, attempt, action),
            Says::Pending => self.pending(place, attempt, said),
            Says::Uncertain => uncertain(place, attempt, said),
            Says::Stuck { why } => stuck(place, attempt, said, why),
            Says::Approved { money, held, stated } => {
                let approval = Approval {
                    money: *money,
                    stated: *stated,
                    held: *held,
                    by_person: said.by_person,
                };
                self.approved(place, attempt, approval, said)
            }
            Says::Declined(decline) => declined(attempt, said, decline),
            Says::Released { moved } => self.released(attempt, said, *moved),
            Says::TakenBack { money } => self.sale_told_back(attempt, said, *money),
        }
    }

    fn approved(&self, place: Place, attempt: &Attempt, said: Approval, step: &Said<'_>) -> Option<Event> {
        if attempt.standing == Standing::Approved || attempt.standing == Standing::Undone {
            return self.approved_again(place, attempt, said, step);
        }
        if self.puzzles(attempt, said) {
            return self.alarm(About::Step(step.step), said.money);
        }
        let Approval {
            money: amount, held, ..
        } = said;
        let number = attempt.number;
        match place {
            Place::Current if attempt.undoing() => Some(Event::Seen {
                attempt: number,
                amount,
                held,
            }),
            Place::Current if self.is_part(attempt, said) => received(attempt, amount),
            Place::Current if attempt.leaving == Some(Leaving::Cancel) || !self.is_enough(attempt, said) => {
                Some(Event::Unwanted {
                    attempt: number,
                    amount,
                    held,
                })
            }
            Place::Current => Some(Event::Approved {
                attempt: number,
                amount,
                held,
            }),
            Place::Past if self.fits_again(attempt, said) => Some(Event::Approved {
                attempt: number,
                amount,
                held,
            }),
            Place::Past if self.terms.kind == Kind::Verify => None, // a late check of a card moved nothing
            Place::Past => Some(Event::Unwanted {
                attempt: number,
                amount,
                held,
            }),
            Place::Winner => None, // a winner is approved or undone: asked above
        }
    }

    /// An approval of what is approved or undone already: only money that nobody heard of yet is news.
    fn approved_again(&self, place: Place, attempt: &Attempt, said: Approval, step: &Said<'_>) -> Option<Event> {
        let sold = attempt.charge.sold;
        if !self.is_ours(said.money) {
            return None; // it was settled without this word
        }
        if !said.stated && !said.by_person && sold > 0 {
            return None; // how much it was has been said before
        }
        if said.held.is_some() || said.money.minor() <= sold {
            // A person who confirms a success that was seen settles it: adopted, although its reversal was refused.
            let settles = said.by_person
                && place == Place::Current
                && attempt.standing == Standing::Approved
                && !attempt.undoing();
            return settles.then_some(Event::Adopted {
                attempt: attempt.number,
            });
        }
        if attempt.plan.can.push && attempt.standing == Standing::Approved {
            return received(attempt, said.money);
        }
        if attempt.standing == Standing::Undone {
            return Some(Event::Seen {
                attempt: attempt.number,
                amount: said.money,
                held: None,
            });
        }
        if attempt.charge.hold.is_some() {
            return None; // the hold was captured meanwhile: the capture's own fact says so
        }
        if said.by_person {
            return received(attempt, said.money);
        }
        self.alarm(About::Step(step.step), said.money)
    }

    /// Whether no rule explains this approval: another currency, nothing, or more than was asked where that cannot be.
    fn puzzles(&self, attempt: &Attempt, said: Approval) -> bool {
        let asked = attempt.plan.amount.minor();
        if !self.is_ours(said.money) {
            return true;
        }
        match self.terms.kind {
            Kind::Verify => !said.money.is_zero(),
            Kind::Credit => !said.money.is_positive() || said.money.minor() > asked || said.held.is_some(),
            Kind::Payment => {
                let more_is_fine = said.held.is_some() || attempt.plan.can.push || said.by_person;
                !said.money.is_positive() || (said.money.minor() > asked && !more_is_fine)
            }
        }
    }

    fn is_enough(&self, attempt: &Attempt, said: Approval) -> bool {
        self.terms.accept_partial || said.money.minor() >= attempt.plan.amount.minor()
    }

    /// A push rail says that a part has come in.
    fn is_part(&self, attempt: &Attempt, said: Approval) -> bool {
        attempt.plan.can.push && said.held.is_none() && !self.is_enough(attempt, said)
    }

    /// Whether a late success of a past attempt pays the order after all: the order waits, the amount is what is due now, nothing of it
    /// was undone or taken back.
    fn fits_again(&self, attempt: &Attempt, said: Approval) -> bool {
        let amount = said.money.minor();
        let asked = self.asked_of(attempt);
        let right = attempt.plan.amount.minor() == asked
            && (amount == asked
                || amount > asked && (said.held.is_some() || attempt.plan.can.push)
                || amount < asked && self.terms.accept_partial);
        self.phase == Phase::Created
            && right
            && attempt.undo.is_none()
            && !attempt.charge.gone
            && attempt.charge.went_back() == 0
            && attempt.charge.disputes.is_empty()
    }

    fn released(&self, attempt: &Attempt, said: &Said<'_>, moved: Money) -> Option<Event> {
        if !self.is_undo_of(attempt, said, moved) {
            return self.alarm(About::Step(said.step), moved);
        }
        let known = if said.by_person && self.tells_in_all(said.step) {
            attempt.charge.sent_back()
        } else {
            attempt.charge.undone.into()
        };
        let news = attempt.standing != Standing::Undone || i128::from(moved.minor()) > known;
        news.then_some(Event::Undone { step: said.step, moved })
    }

    fn sale_told_back(&self, attempt: &Attempt, said: &Said<'_>, money: Money) -> Option<Event> {
        if !money.is_positive() || !self.is_back_of(attempt, money) {
            return self.alarm(About::Step(said.step), money);
        }
        (money.minor() > attempt.charge.sale_back).then_some(Event::TakenBack {
            step: said.step,
            amount: money,
        })
    }

    fn pending(&self, place: Place, attempt: &Attempt, said: &Said<'_>) -> Option<Event> {
        match (place, &attempt.standing) {
            (Place::Current, Standing::Sent | Standing::Acting | Standing::Uncertain) => {
                Some(Event::Pending { step: said.step })
            }
            (Place::Current, Standing::Waiting | Standing::Approved | Standing::Declined(_) | Standing::Undone)
            | (Place::Past | Place::Winner, _) => None,
        }
    }
}

/// Money that a push rail states as the whole so far: the new part of it.
fn received(attempt: &Attempt, whole: Money) -> Option<Event> {
    let part = whole
        .minor()
        .checked_sub(attempt.charge.sold)
        .filter(|part| *part > 0)?;
    Some(Event::Received {
        attempt: attempt.number,
        id: None,
        amount: whole.with_minor(part),
    })
}

/// The payer must act. The same action again is news only if we thought that the payer had done it, or did not know.
fn acting(place: Place, attempt: &Attempt, action: &Action) -> Option<Event> {
    if place != Place::Current {
        return None;
    }
    let news = match attempt.standing {
        Standing::Sent | Standing::Uncertain => !attempt.replaced(action),
        Standing::Acting | Standing::Waiting => attempt.action.as_ref() != Some(action) && !attempt.replaced(action),
        Standing::Approved | Standing::Declined(_) | Standing::Undone => false,
    };
    let number = attempt.actions.checked_add(1).filter(|_| news)?;
    Some(Event::Acting {
        attempt: attempt.number,
        number,
        action: action.clone(),
    })
}

fn uncertain(place: Place, attempt: &Attempt, said: &Said<'_>) -> Option<Event> {
    match attempt.standing {
        Standing::Sent | Standing::Acting | Standing::Waiting if place == Place::Current => {
            Some(Event::Uncertain { step: said.step })
        }
        Standing::Sent
        | Standing::Acting
        | Standing::Waiting
        | Standing::Uncertain
        | Standing::Approved
        | Standing::Declined(_)
        | Standing::Undone => None,
    }
}

fn stuck(place: Place, attempt: &Attempt, said: &Said<'_>, why: &str) -> Option<Event> {
    let open = match attempt.standing {
        Standing::Sent | Standing::Acting | Standing::Waiting | Standing::Uncertain => place != Place::Winner,
        Standing::Approved | Standing::Declined(_) | Standing::Undone => false,
    };
    let news = open && attempt.case != Some(Case::Nobody);
    news.then(|| Event::Stuck {
        step: said.step,
        why: why.to_owned(),
    })
}

fn declined(attempt: &Attempt, said: &Said<'_>, decline: &Decline) -> Option<Event> {
    match attempt.standing {
        Standing::Sent | Standing::Acting | Standing::Waiting | Standing::Uncertain => Some(Event::Declined {
            step: said.step,
            decline: decline.clone(),
        }),
        Standing::Approved | Standing::Declined(_) | Standing::Undone => None,
    }
}
