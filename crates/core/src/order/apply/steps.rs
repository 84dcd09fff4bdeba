//! How steps come to stand.

use super::record::approve;
use crate::decline::Decline;
use crate::money::Money;
use crate::order::{
    About, Alarm, Attempt, CaptureAt, Case, Leaving, Open, Order, Place, SeenBack, Standing, Step, StepKind, StepName,
    StepState, Undo, Why, clamp,
};
use crate::time::Timestamp;

/// What a person saw before it was not its doing.
fn undo_started(attempt: &mut Attempt, undo: Undo) {
    let charge = &mut attempt.charge;
    if let Some(seen) = &mut charge.seen {
        seen.undone.get_or_insert(charge.undone);
    }
    attempt.undo = Some(undo);
}

impl Order {
    pub(in crate::order) fn step_started(&mut self, name: StepName, amount: Money, last: bool, at: Timestamp) {
        let step = Step::new(amount, last, at);
        self.on(name.attempt, |attempt| match name.kind {
            StepKind::Authorize => {}
            StepKind::Cancel => undo_started(attempt, Undo { name, step }),
            StepKind::Reverse => {
                attempt.reversals = attempt.reversals.saturating_add(1);
                undo_started(attempt, Undo { name, step });
            }
            StepKind::Capture => attempt.charge.captures.push(step),
            StepKind::Void => attempt.charge.voids.push(step),
            StepKind::Increment => attempt.charge.increments.push(step),
            StepKind::Refund => attempt.charge.refunds.push(step),
        });
    }

    pub(in crate::order) fn step_stands(
        &mut self,
        name: StepName,
        state: StepState,
        standing: Standing,
        at: Timestamp,
    ) {
        self.on(name.attempt, |attempt| match name.kind {
            StepKind::Authorize => attempt.stands(standing, at),
            StepKind::Cancel
            | StepKind::Reverse
            | StepKind::Capture
            | StepKind::Void
            | StepKind::Increment
            | StepKind::Refund => {
                if let Some(step) = attempt.step_mut(name) {
                    step.stands(state, at);
                }
            }
        });
    }

    pub(in crate::order) fn case(&mut self, name: StepName, case: Case) {
        self.on(name.attempt, |attempt| match name.kind {
            StepKind::Authorize => attempt.case = Some(case),
            StepKind::Cancel
            | StepKind::Reverse
            | StepKind::Capture
            | StepKind::Void
            | StepKind::Increment
            | StepKind::Refund => {
                if let Some(step) = attempt.step_mut(name) {
                    step.case = Some(case);
                }
            }
        });
    }

    /// A step that is still open becomes uncertain, if it is not already; the authorise step of a stray stays as it was, since an
    /// attempt that is over for us is never uncertain.
    pub(in crate::order) fn becomes_uncertain(&mut self, name: StepName, at: Timestamp) {
        let stray = name.kind == StepKind::Authorize
            && self
                .attempt(name.attempt)
                .is_some_and(|(place, _)| place == Place::Past);
        match self.open_step(name).map(|(open, _, _)| open) {
            Some(Open::Sent | Open::Acting | Open::Pending) if !stray => {
                self.step_stands(name, StepState::Uncertain, Standing::Uncertain, at);
            }
            Some(Open::Sent | Open::Acting | Open::Pending | Open::Uncertain) | None => {}
        }
    }

    pub(in crate::order) fn alarmed(&mut self, about: &About, said: Money, at: Timestamp) {
        match about {
            About::Step(step) => self.becomes_uncertain(*step, at),
            About::Fact(_) => {}
        }
        self.alarms.push(Alarm {
            about: about.clone(),
            said,
        });
    }

    pub(in crate::order) fn settle(&mut self, settled: impl Fn(&About) -> bool) {
        self.alarms.retain(|alarm| !settled(&alarm.about));
    }

    pub(in crate::order) fn settle_step(&mut self, step: StepName) {
        self.settle(|about| *about == About::Step(step));
    }

    pub(in crate::order) fn declined(&mut self, name: StepName, decline: &Decline, at: Timestamp) {
        self.settle_step(name);
        self.step_stands(
            name,
            StepState::Declined(decline.clone()),
            Standing::Declined(decline.clone()),
            at,
        );
        match name.kind {
            StepKind::Authorize => {
                self.quiet(name.attempt);
                self.leaves(name.attempt, Some(decline), None);
            }
            // The rail says that the payer was faster: the wish to leave is over, the order's own cancel is not.
            StepKind::Cancel => self.on(name.attempt, |attempt| {
                attempt.leaving = attempt.leaving.filter(|leaving| *leaving == Leaving::Cancel);
            }),
            StepKind::Reverse => self.on(name.attempt, |attempt| {
                attempt.refusals = attempt.refusals.saturating_add(1)
            }),
            StepKind::Capture | StepKind::Void | StepKind::Increment | StepKind::Refund => {}
        }
    }

    pub(in crate::order) fn step_done(&mut self, name: StepName, amount: Money, at: Timestamp) {
        self.settle_step(name);
        self.on(name.attempt, |attempt| {
            if let Some(step) = attempt.step_mut(name) {
                let (moved, back) = step.moved();
                step.stands(
                    StepState::Done {
                        moved: moved.max(amount.minor()),
                        back,
                    },
                    at,
                );
            }
        });
    }

    pub(in crate::order) fn undone(&mut self, name: StepName, moved: Money, at: Timestamp) {
        self.settle_step(name);
        // It outranks whatever was said about the authorisation, and so what nobody could explain of that.
        self.settle_step(StepName::authorize(name.attempt));
        self.on(name.attempt, |attempt| {
            attempt.charge.undone = attempt.charge.undone.max(moved.minor());
            attempt.stands(Standing::Undone, at);
            if let Some(step) = attempt.step_mut(name) {
                step.stands(
                    StepState::Done {
                        moved: moved.minor(),
                        back: 0,
                    },
                    at,
                );
            }
        });
        self.quiet(name.attempt);
        self.leaves(name.attempt, None, None);
        self.winner_is_over(name.attempt, Why::Voided);
    }

    /// A person saw that nothing of an attempt stands, and how much went back of it in all. The provider may tell of the same money as
    /// refunds at its console, or as the undo that was out: it is booked once, whoever is heard first.
    pub(in crate::order) fn seen_undone(&mut self, name: StepName, moved: Money, at: Timestamp) {
        self.on(name.attempt, |attempt| {
            let undoing = attempt.undoing();
            let charge = &mut attempt.charge;
            if i128::from(moved.minor()) >= charge.sent_back() {
                charge.seen = Some(SeenBack {
                    in_all: clamp(i128::from(moved.minor()) + charge.back_again()),
                    undone: (!undoing).then_some(charge.undone),
                });
            }
        });
        self.undone(name, moved.with_minor(0), at);
    }

    pub(in crate::order) fn captured(&mut self, name: StepName, amount: Money, at: Timestamp) {
        self.step_done(name, amount, at);
        self.on(name.attempt, |attempt| {
            attempt.charge.taken_at.get_or_insert(at);
            let last = attempt.step(name).is_some_and(|step| step.last);
            if let Some(hold) = attempt.charge.hold.as_mut().filter(|_| last) {
                hold.closed = true;
            }
        });
        self.settles_phase(name.attempt, Why::Voided);
        self.reopens(name.attempt);
    }

    pub(in crate::order) fn voided(&mut self, name: StepName, at: Timestamp) {
        self.step_done(name, self.due.with_minor(0), at);
        let mut why = Why::Voided;
        if let Some(attempt) = self.attempt_mut(name.attempt) {
            if let Some(hold) = attempt.charge.hold.as_mut() {
                hold.closed = true;
                if hold.over {
                    why = Why::Expired;
                }
            }
            let refused = attempt.charge.captures.last().and_then(Step::declined).cloned();
            if refused.is_some() && self.terms.capture != CaptureAt::Later {
                why = Why::Failed(refused);
            }
        }
        self.settles_phase(name.attempt, why);
    }

    pub(in crate::order) fn increased(
        &mut self,
        name: StepName,
        amount: Money,
        until: Option<Timestamp>,
        at: Timestamp,
    ) {
        self.step_done(name, amount, at);
        self.on(name.attempt, |attempt| {
            if let (Some(hold), Some(until)) = (attempt.charge.hold.as_mut(), until) {
                hold.over &= hold.end.is_some_and(|end| end >= until);
                hold.end = Some(until);
            }
        });
    }

    pub(in crate::order) fn taken_back(&mut self, name: StepName, amount: Money, at: Timestamp) {
        let back = amount.minor();
        self.settle_step(name);
        match name.kind {
            StepKind::Authorize => self.sale_taken_back(name.attempt, back, at),
            StepKind::Cancel | StepKind::Reverse => self.on(name.attempt, |attempt| {
                attempt.charge.undone_back = attempt.charge.undone_back.max(back);
                attempt.charge.undone = attempt.charge.undone.max(back);
            }),
            StepKind::Capture | StepKind::Void | StepKind::Increment | StepKind::Refund => {
                self.on(name.attempt, |attempt| {
                    let last = attempt.step(name).is_some_and(|step| step.last);
                    if let Some(step) = attempt.step_mut(name) {
                        let (moved, _) = step.moved();
                        step.stands(
                            StepState::Done {
                                moved: moved.max(back),
                                back,
                            },
                            at,
                        );
                    }
                    if let Some(hold) = attempt
                        .charge
                        .hold
                        .as_mut()
                        .filter(|_| last && name.kind == StepKind::Capture)
                    {
                        hold.closed = true;
                    }
                });
                self.settles_phase(name.attempt, Why::Failed(None));
            }
        }
    }

    /// Money of a sale that was taken back proves the sale: a success that nobody heard of is heard now.
    pub(in crate::order) fn sale_taken_back(&mut self, number: u8, back: i64, at: Timestamp) {
        let Some(attempt) = self.attempt_mut(number) else {
            return;
        };
        attempt.charge.sale_back = attempt.charge.sale_back.max(back);
        let whole = back >= attempt.plan.amount.minor();
        // Of a hold no sale was made: what was taken back was taken by a capture.
        let sale = attempt.charge.hold.is_none();
        let free = sale && !attempt.undoing() && attempt.leaving != Some(Leaving::Cancel);
        if whole && free && self.running().is_some_and(|attempt| attempt.number == number) {
            let amount = self.due.with_minor(back);
            self.on(number, |attempt| approve(attempt, amount, None, at));
            self.wins(number);
        }
    }
}
