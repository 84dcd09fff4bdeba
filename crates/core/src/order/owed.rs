//! What an order asks of itself, read from its state after every event, until there is nothing left.
//!
//! Each owed command starts or closes a step, so the list runs dry. A crash forgets nothing, since nothing is kept.

use super::decide::next;
use super::limits::{REVERSALS_TRIED, VOIDS_TRIED};
use super::{Attempt, CaptureAt, Command, Kind, Leaving, Order, Owed, Phase, Place, Standing, Step, StepKind};

impl Order {
    /// The next thing that the order asks of itself.
    pub fn owed(&self) -> Option<Command> {
        self.owes().map(Command::Owed)
    }

    pub(crate) fn owes(&self) -> Option<Owed> {
        if let Some(owed) = self.past.iter().find_map(|past| self.owes_of_stray(&past.attempt)) {
            return Some(owed);
        }
        match &self.phase {
            Phase::Created | Phase::Ended(_) => None,
            Phase::Pending(attempt) => self.owes_of_pending(attempt),
            Phase::Authorized(attempt) => self.owes_of_hold(attempt),
            Phase::Captured(attempt) => self.owes_of_sale(attempt),
        }
    }

    /// A past attempt that brought money pays an order that waits for exactly that, or is reversed.
    fn owes_of_stray(&self, stray: &Attempt) -> Option<Owed> {
        if self.fits_now(stray) {
            return Some(Owed::Adopt { attempt: stray.number });
        }
        let again = match &stray.undo {
            None => true,
            // A cancel only ended the payer's choice: what it left standing is reversed. A refused reversal waits for its timer.
            Some(undo) => undo.name.kind == StepKind::Cancel && !undo.step.in_flight(),
        };
        let reverses = again && stray.plan.can.reverse && brings_money(stray);
        reverses.then_some(Owed::Reverse { attempt: stray.number })
    }

    /// A stray that collected money in parts (push rails) until it was what the open order waits for.
    fn fits_now(&self, stray: &Attempt) -> bool {
        self.phase == Phase::Created
            && stray.plan.can.push
            && stray.standing != Standing::Undone
            && stray.undo.is_none()
            && stray.charge.came_back() == 0
            && stray.charge.sold > 0
            && stray.charge.sold >= self.asked_of(stray)
    }

    fn owes_of_pending(&self, attempt: &Attempt) -> Option<Owed> {
        let number = attempt.number;
        if attempt.undoing() {
            return None;
        }
        let leaving = attempt.leaving.is_some();
        let cancel = || {
            let owed = if attempt.plan.can.cancel {
                Owed::Cancel { attempt: number }
            } else {
                Owed::Leave { attempt: number }
            };
            attempt.undo.is_none().then_some(owed)
        };
        match attempt.standing {
            Standing::Approved => self.settles(attempt).then_some(Owed::Adopt { attempt: number }),
            Standing::Acting | Standing::Waiting if self.is_met(attempt) => Some(Owed::Adopt { attempt: number }),
            Standing::Acting if leaving || self.window_over => cancel(),
            Standing::Waiting if leaving => cancel(),
            Standing::Uncertain | Standing::Sent if self.is_met(attempt) => Some(Owed::Adopt { attempt: number }),
            Standing::Uncertain if leaving && attempt.undo.is_none() && attempt.plan.can.reverse => {
                Some(Owed::Reverse { attempt: number })
            }
            Standing::Sent
            | Standing::Acting
            | Standing::Waiting
            | Standing::Uncertain
            | Standing::Declined(_)
            | Standing::Undone => None,
        }
    }

    /// Receipts of a push rail have reached what is asked.
    fn is_met(&self, attempt: &Attempt) -> bool {
        attempt.plan.can.push && attempt.charge.sold > 0 && attempt.charge.sold >= self.asked_of(attempt)
    }

    /// A success that was seen during an undo is settled once the undo is refused. A refused reversal is tried again first; after the
    /// last refusal a person decides, unless the order was canceled: then it is a stray with a case. Nobody has to decide about money that
    /// is back already: a dispute took it, or somebody at the console.
    fn settles(&self, attempt: &Attempt) -> bool {
        let Some(undo) = &attempt.undo else { return true };
        match undo.name.kind {
            StepKind::Cancel => undo.step.declined().is_some(),
            StepKind::Reverse => {
                attempt.leaving == Some(Leaving::Cancel) && attempt.refusals > 0 || has_nothing_to_reverse(attempt)
            }
            StepKind::Authorize | StepKind::Capture | StepKind::Void | StepKind::Increment | StepKind::Refund => true,
        }
    }

    fn owes_of_hold(&self, attempt: &Attempt) -> Option<Owed> {
        let charge = &attempt.charge;
        let hold = charge.hold.as_ref()?;
        if charge.hold_step().is_some() {
            return None;
        }
        if charge.gone || attempt.held() == 0 {
            return Some(Owed::CloseHold);
        }
        let refused = charge.captures.last().is_some_and(|step| step.declined().is_some());
        let due = match self.terms.capture {
            CaptureAt::Once => true,
            CaptureAt::Later => false,
            CaptureAt::At(_) => hold.capture_due || hold.over,
        };
        if due && !refused && self.to_capture(attempt) > 0 && next(attempt, StepKind::Capture).is_some() {
            return Some(Owed::Capture);
        }
        let voids_refused = charge.voids.iter().filter(|step| step.declined().is_some()).count();
        // A refused void waits until the hold is gone; but as its deadline is there it is tried once more.
        let tries_left = voids_refused < if hold.over { VOIDS_TRIED } else { 1 };
        ((due || hold.over) && tries_left && next(attempt, StepKind::Void).is_some()).then_some(Owed::Void)
    }

    /// What is due and not yet taken, as far as it is held.
    pub(crate) fn to_capture(&self, attempt: &Attempt) -> i128 {
        (i128::from(self.asked_of(attempt)) - attempt.taken()).min(attempt.held())
    }

    fn owes_of_sale(&self, attempt: &Attempt) -> Option<Owed> {
        let tried = attempt
            .charge
            .refunds
            .iter()
            .any(|step| step.last && step.declined().is_some());
        let free = !attempt.undoing() && !tried && next(attempt, StepKind::Refund).is_some();
        (free && self.surplus(attempt) > 0).then_some(Owed::RefundSurplus)
    }

    /// What a push rail brought above what is due, as far as it is still here.
    pub(crate) fn surplus(&self, attempt: &Attempt) -> i128 {
        if !attempt.plan.can.push || self.terms.kind != Kind::Payment {
            return 0;
        }
        let above = attempt.charge.heard() - i128::from(self.asked_of(attempt));
        let surplus_back: i128 = (attempt.charge.refunds.iter())
            .filter(|step| step.last)
            .map(|step| {
                if step.in_flight() {
                    i128::from(step.amount.minor())
                } else {
                    i128::from(step.moved().0) - i128::from(step.moved().1)
                }
            })
            .sum();
        // What somebody gave back at the console is taken for the surplus: whoever settles a refused refund does it there.
        let elsewhere = attempt.charge.refunded_elsewhere();
        (above - surplus_back - elsewhere).min(attempt.refundable())
    }

    /// Whether a reversal that was refused once is to be tried again, when its timer says so.
    pub(crate) fn wants_second_reversal(&self, place: Place, attempt: &Attempt) -> bool {
        let refused = attempt
            .undo
            .as_ref()
            .is_some_and(|undo| undo.name.kind == StepKind::Reverse)
            && attempt.undo_refused();
        let again = refused && attempt.refusals < REVERSALS_TRIED && next(attempt, StepKind::Reverse).is_some();
        again
            && match place {
                Place::Current => match attempt.standing {
                    Standing::Uncertain | Standing::Approved => attempt.leaving.is_some(),
                    Standing::Sent
                    | Standing::Acting
                    | Standing::Waiting
                    | Standing::Declined(_)
                    | Standing::Undone => false,
                },
                Place::Winner => false,
                Place::Past => brings_money(attempt),
            }
    }
}

/// Whether money of a stray stands with us, or is held for us.
pub(crate) fn brings_money(stray: &Attempt) -> bool {
    stray.held() > 0 || stray.standing_money() > 0
}

/// Whether a reversal was refused because nothing is left of what it should send back.
pub(crate) fn has_nothing_to_reverse(attempt: &Attempt) -> bool {
    let reversed = (attempt.undo.as_ref()).is_some_and(|undo| undo.name.kind == StepKind::Reverse);
    reversed && attempt.undo_refused() && !brings_money(attempt)
}

impl Attempt {
    /// What can be given back: taken, and not back, promised back or disputed.
    pub fn refundable(&self) -> i128 {
        self.standing_money() - self.charge.refunding()
    }

    /// Whether a void, capture or increment of a hold is in flight.
    pub fn has_hold_step(&self) -> bool {
        self.charge.hold_step().is_some_and(Step::in_flight)
    }
}
