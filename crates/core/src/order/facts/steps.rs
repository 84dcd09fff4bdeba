//! What a rail or a person says about any step after the authorise step.

use super::Said;
use crate::decline::{Code, Decline};
use crate::event::Event;
use crate::money::Money;
use crate::order::{About, Attempt, Case, HoldEnd, Order, Says, Standing, Step, StepKind, StepState};

impl Order {
    /// About a cancel or a reversal. An answer to an older one, which was refused, is heard all the same: what it moved is money.
    pub(super) fn undo_told(&self, attempt: &Attempt, said: &Said<'_>) -> Option<Event> {
        let step = attempt.step(said.step);
        match said.says {
            Says::Acting { .. } | Says::Pending => step.and_then(|step| pending(step, said)),
            Says::Uncertain => step.and_then(|step| uncertain(step, said)),
            Says::Stuck { why } => step.and_then(|step| stuck(step, said, why)),
            Says::Declined(decline) => step.and_then(|step| declined(step, said, decline)),
            Says::Released { moved } => self.undo_done(attempt, said, *moved),
            Says::Approved {
                money, stated: true, ..
            } => self.undo_done(attempt, said, *money),
            Says::Approved { stated: false, .. } => self.undo_done(attempt, said, self.due.with_minor(0)),
            Says::TakenBack { money } => self.undo_taken_back(attempt, said, *money),
        }
    }

    /// What an undo had moved came to us again; that it had moved may not have been heard yet.
    fn undo_taken_back(&self, attempt: &Attempt, said: &Said<'_>, money: Money) -> Option<Event> {
        if money.is_zero() {
            return None;
        }
        if !self.is_back_of(attempt, money) {
            return self.alarm(About::Step(said.step), money);
        }
        let news = money.minor() > attempt.charge.undone_back;
        news.then_some(Event::TakenBack {
            step: said.step,
            amount: money,
        })
    }

    /// Whether an undo can have moved so much. A person may have sent back more than was asked: a rail took too much.
    pub(super) fn is_undo_of(&self, attempt: &Attempt, said: &Said<'_>, moved: Money) -> bool {
        self.is_back_of(attempt, moved) || said.by_person && self.is_ours(moved) && moved.minor() >= 0
    }

    /// Whether so much can have gone back of an attempt.
    pub(super) fn is_back_of(&self, attempt: &Attempt, moved: Money) -> bool {
        self.is_ours(moved) && moved.minor() >= 0 && i128::from(moved.minor()) <= attempt.most()
    }

    fn undo_done(&self, attempt: &Attempt, said: &Said<'_>, moved: Money) -> Option<Event> {
        if !self.is_undo_of(attempt, said, moved) {
            return self.alarm(About::Step(said.step), moved);
        }
        let answers = attempt.step(said.step).is_some_and(|step| match step.state {
            StepState::Sent | StepState::Pending | StepState::Uncertain | StepState::Declined(_) => true,
            StepState::Done { .. } => false,
        });
        let news = answers || attempt.standing != Standing::Undone || moved.minor() > attempt.charge.undone;
        news.then_some(Event::Undone { step: said.step, moved })
    }

    /// About a capture, void, increment or refund.
    pub(super) fn step_told(&self, attempt: &Attempt, said: &Said<'_>) -> Option<Event> {
        let Some(step) = attempt.step(said.step) else {
            return self.unknown_step(said.step, said.says);
        };
        match said.says {
            Says::Acting { .. } | Says::Pending => pending(step, said),
            Says::Uncertain => uncertain(step, said),
            Says::Stuck { why } => stuck(step, said, why),
            Says::Declined(decline) => declined(step, said, decline),
            Says::Approved { money, held, .. } => self.done(step, said, *money, *held),
            Says::Released { moved } => self.undid_itself(step, said, *moved),
            Says::TakenBack { money } => self.step_taken_back(step, said, *money),
        }
    }

    fn done(&self, step: &Step, said: &Said<'_>, amount: Money, held: Option<HoldEnd>) -> Option<Event> {
        let news = match step.state {
            StepState::Sent | StepState::Pending | StepState::Uncertain | StepState::Declined(_) => true,
            // Heard before only because it was taken back: the rest of it is news.
            StepState::Done { moved, back } => back > 0 && amount.minor() > moved,
        };
        if !news {
            return None;
        }
        let step_name = said.step;
        let fits = self.is_ours(amount) && amount.is_positive() && amount.minor() <= step.amount.minor();
        match step_name.kind {
            StepKind::Void => Some(Event::Voided { step: step_name }),
            StepKind::Capture if fits => Some(Event::Captured {
                step: step_name,
                amount,
            }),
            StepKind::Refund if fits => Some(Event::Refunded {
                step: step_name,
                amount,
            }),
            StepKind::Increment if self.is_ours(amount) && (0..=step.amount.minor()).contains(&amount.minor()) => {
                let until = match held {
                    Some(HoldEnd::At(at)) => Some(at),
                    Some(HoldEnd::Unknown) | None => None,
                };
                Some(Event::Increased {
                    step: step_name,
                    amount,
                    until,
                })
            }
            StepKind::Capture
            | StepKind::Refund
            | StepKind::Increment
            | StepKind::Authorize
            | StepKind::Cancel
            | StepKind::Reverse => self.alarm(About::Step(step_name), amount),
        }
    }

    /// The rail undid a step by itself (cancel by key): as if it had been refused; a void has done what it was for.
    fn undid_itself(&self, step: &Step, said: &Said<'_>, moved: Money) -> Option<Event> {
        match step.state {
            StepState::Done { .. } if said.step.kind == StepKind::Void => None,
            StepState::Done { .. } => self.step_taken_back(step, said, moved),
            StepState::Sent | StepState::Pending | StepState::Uncertain | StepState::Declined(_)
                if said.step.kind == StepKind::Void =>
            {
                Some(Event::Voided { step: said.step })
            }
            StepState::Sent | StepState::Pending | StepState::Uncertain | StepState::Declined(_) => {
                declined(step, said, &Decline::new(Code::ProcessingError))
            }
        }
    }

    fn step_taken_back(&self, step: &Step, said: &Said<'_>, amount: Money) -> Option<Event> {
        let takes = match said.step.kind {
            StepKind::Capture | StepKind::Refund => true,
            StepKind::Authorize | StepKind::Cancel | StepKind::Reverse | StepKind::Void | StepKind::Increment => false,
        };
        if amount.is_zero() {
            return None;
        }
        if !takes || !self.is_ours(amount) || amount.minor() < 0 || amount.minor() > step.amount.minor() {
            return self.alarm(About::Step(said.step), amount);
        }
        (amount.minor() > step.moved().1).then_some(Event::TakenBack {
            step: said.step,
            amount,
        })
    }
}

fn pending(step: &Step, said: &Said<'_>) -> Option<Event> {
    match step.state {
        StepState::Sent | StepState::Uncertain => Some(Event::Pending { step: said.step }),
        StepState::Pending | StepState::Declined(_) | StepState::Done { .. } => None,
    }
}

fn uncertain(step: &Step, said: &Said<'_>) -> Option<Event> {
    match step.state {
        StepState::Sent | StepState::Pending => Some(Event::Uncertain { step: said.step }),
        StepState::Uncertain | StepState::Declined(_) | StepState::Done { .. } => None,
    }
}

fn stuck(step: &Step, said: &Said<'_>, why: &str) -> Option<Event> {
    let news = step.in_flight() && step.case != Some(Case::Nobody);
    news.then(|| Event::Stuck {
        step: said.step,
        why: why.to_owned(),
    })
}

fn declined(step: &Step, said: &Said<'_>, decline: &Decline) -> Option<Event> {
    step.in_flight().then(|| Event::Declined {
        step: said.step,
        decline: decline.clone(),
    })
}
