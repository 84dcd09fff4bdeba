//! Makes an event so. It cannot fail: it has already happened. Amounts only grow; what they sum up to is read elsewhere.

use std::mem;

use super::decide::clamp;
use super::limits::stray_until;
use super::{
    About, Attempt, CaptureAt, Case, Dispute, End, FactKey, Hold, HoldEnd, Kind, Leaving, Order, Past, Phase, Place,
    Standing, Step, StepKind, StepName, StepState, Undo, Verdict, Why,
};
use crate::decline::Decline;
use crate::event::Event;
use crate::money::Money;
use crate::time::Timestamp;

impl Order {
    /// Makes `event` so, written at `at`. Never fails; an event that does not fit the state changes the version only.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        self.version = self.version.saturating_add(1);
        if let Some(key) = event.books() {
            self.settle(|about| *about == About::Fact(key.clone()));
            self.booked.push(key);
        }
        match event {
            Event::Created { .. } | Event::Described => {}
            Event::Amended { due } => self.due = *due,
            Event::Canceled => self.end(Why::Canceled, None),
            Event::WindowOver => self.window_is_over(),
            Event::Started { attempt, plan } => self.phase = Phase::Pending(Attempt::new(*attempt, plan.clone(), at)),
            Event::StepStarted { step, amount, last } => self.step_started(*step, *amount, *last, at),
            Event::Acting {
                attempt,
                number,
                action,
            } => self.on(*attempt, |attempt| {
                attempt.actions = *number;
                attempt.action = Some(action.clone());
                attempt.stands(Standing::Acting, at);
            }),
            Event::Continued { attempt, .. } => self.on(*attempt, |attempt| attempt.stands(Standing::Sent, at)),
            Event::Leaving { attempt, why } => {
                self.on(*attempt, |attempt| attempt.leaving = attempt.leaving.max(Some(*why)))
            }
            Event::LeftStray { attempt } => self.left_stray(*attempt, at),
            Event::StrayQuiet { attempt } => self.quiet(*attempt),
            Event::Pending { step } => self.step_stands(*step, StepState::Pending, Standing::Waiting, at),
            Event::Uncertain { step } => self.step_stands(*step, StepState::Uncertain, Standing::Uncertain, at),
            Event::UncertainLong { step } => self.case(*step, Case::Long),
            Event::Stuck { step, .. } => {
                self.becomes_uncertain(*step, at);
                self.case(*step, Case::Nobody);
            }
            Event::Alarmed { about, said } => self.alarmed(about, *said, at),
            Event::Approved { attempt, amount, held } => {
                self.settle_step(StepName::authorize(*attempt));
                self.on(*attempt, |attempt| approve(attempt, *amount, *held, at));
                self.wins(*attempt);
            }
            Event::Seen { attempt, amount, held } => {
                self.settle_step(StepName::authorize(*attempt));
                self.on(*attempt, |attempt| approve(attempt, *amount, *held, at));
            }
            Event::Unwanted { attempt, amount, held } => {
                self.settle_step(StepName::authorize(*attempt));
                self.on(*attempt, |attempt| approve(attempt, *amount, *held, at));
                self.quiet(*attempt);
                self.leaves(*attempt, None, None);
            }
            Event::Adopted { attempt } => {
                self.on(*attempt, |attempt| attempt.stands(Standing::Approved, at));
                self.wins(*attempt);
            }
            Event::Received { attempt, amount, .. } => self.on(*attempt, |attempt| {
                grow(&mut attempt.charge.sold, *amount);
                attempt.charge.taken_at.get_or_insert(at);
            }),
            Event::Unasked {
                attempt, of, amount, ..
            } => self.unasked(*attempt, *of, *amount, at),
            Event::Declined { step, decline } => self.declined(*step, decline, at),
            Event::Undone { step, moved } => self.undone(*step, *moved, at),
            Event::HoldOver => self.on_hold(|hold| hold.over = true),
            Event::CaptureDue => self.on_hold(|hold| hold.capture_due = true),
            Event::Captured { step, amount } => self.captured(*step, *amount, at),
            Event::Voided { step } => self.voided(*step, at),
            Event::Increased { step, amount, until } => self.increased(*step, *amount, *until, at),
            Event::Refunded { step, amount } => self.step_done(*step, *amount, at),
            Event::TakenBack { step, amount } => self.taken_back(*step, *amount, at),
            Event::HoldGone { attempt, .. } => self.on(*attempt, |attempt| attempt.charge.gone = true),
            Event::HoldClosed => self.hold_closed(),
            Event::CapturedElsewhere { attempt, amount, .. } => {
                self.on(*attempt, |attempt| {
                    grow(&mut attempt.charge.captured_elsewhere, *amount);
                    attempt.charge.taken_at.get_or_insert(at);
                });
                self.reopens(*attempt);
            }
            Event::VoidedElsewhere { attempt, amount, .. } => self.on(*attempt, |attempt| {
                grow(&mut attempt.charge.voided_elsewhere, *amount);
                attempt.charge.gone |= attempt.charge.hold.is_some() && attempt.charge.held() == 0;
            }),
            Event::RefundedElsewhere { attempt, amount, .. } => {
                self.on(*attempt, |attempt| {
                    grow(&mut attempt.charge.refunded_elsewhere, *amount)
                });
            }
            Event::Returned { attempt, amount, .. } => {
                self.on(*attempt, |attempt| grow(&mut attempt.charge.returned, *amount))
            }
            Event::Disputed {
                attempt,
                id,
                verdict,
                amount,
            } => {
                self.settle(|about| is_about_dispute(about, *attempt, id));
                let known: usize = self.attempts().map(|(_, attempt)| attempt.charge.disputes.len()).sum();
                let number = u8::try_from(known).unwrap_or(u8::MAX);
                self.on(*attempt, |attempt| dispute(attempt, number, id, *verdict, *amount));
            }
            Event::Fee { attempt, amount, .. } => self.on(*attempt, |attempt| fee(attempt, *amount)),
        }
    }

    // ---- places -----------------------------------------------------------------------------------------------------------------

    pub(crate) fn attempt_mut(&mut self, number: u8) -> Option<&mut Attempt> {
        let first = match &mut self.phase {
            Phase::Pending(attempt) | Phase::Authorized(attempt) | Phase::Captured(attempt) => Some(attempt),
            Phase::Ended(end) => end.winner.as_mut(),
            Phase::Created => None,
        };
        let past = self.past.iter_mut().map(|past| &mut past.attempt);
        first.into_iter().chain(past).find(|attempt| attempt.number == number)
    }

    fn on(&mut self, number: u8, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.attempt_mut(number) {
            change(attempt);
        }
    }

    fn on_hold(&mut self, change: impl FnOnce(&mut Hold)) {
        match &mut self.phase {
            Phase::Authorized(attempt) => {
                if let Some(hold) = attempt.charge.hold.as_mut() {
                    change(hold);
                }
            }
            Phase::Created | Phase::Pending(_) | Phase::Captured(_) | Phase::Ended(_) => {}
        }
    }

    fn end(&mut self, why: Why, winner: Option<Attempt>) {
        self.phase = Phase::Ended(End { why, winner });
    }

    fn window_is_over(&mut self) {
        self.window_over = true;
        if self.phase == Phase::Created {
            self.end(Why::Expired, None);
        }
    }

    /// The current attempt is over for us: where the order goes from here.
    fn leaves(&mut self, number: u8, decline: Option<&Decline>, watched_until: Option<Timestamp>) {
        if self.running().is_none_or(|attempt| attempt.number != number) {
            return;
        }
        if let Phase::Pending(attempt) = mem::replace(&mut self.phase, Phase::Created) {
            let leaving = attempt.leaving;
            self.past.push(Past { attempt, watched_until });
            self.past.sort_by_key(|past| past.attempt.number);
            if leaving == Some(Leaving::Cancel) {
                self.end(Why::Canceled, None);
            } else if self.window_over {
                self.end(Why::Expired, None);
            } else if !self.has_try_left() {
                self.end(Why::Failed(decline.cloned()), None);
            }
        }
    }

    fn left_stray(&mut self, number: u8, at: Timestamp) {
        let can = self.attempt(number).map(|(_, attempt)| attempt.plan.can);
        self.leaves(number, None, can.map(|can| stray_until(can, at)));
    }

    fn quiet(&mut self, number: u8) {
        for past in self.past.iter_mut().filter(|past| past.attempt.number == number) {
            past.watched_until = None;
        }
    }

    /// The attempt pays the order: the one that runs, or a past one that the open order adopts.
    fn wins(&mut self, number: u8) {
        let attempt = match mem::replace(&mut self.phase, Phase::Created) {
            Phase::Pending(attempt) if attempt.number == number => attempt,
            Phase::Created => match self.past.iter().position(|past| past.attempt.number == number) {
                Some(index) => self.past.remove(index).attempt,
                None => return,
            },
            phase @ (Phase::Pending(_) | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_)) => {
                self.phase = phase;
                return;
            }
        };
        self.accept_part(&attempt);
        self.phase = match self.terms.kind {
            Kind::Verify => Phase::Ended(End {
                why: Why::Verified,
                winner: Some(attempt),
            }),
            Kind::Payment | Kind::Credit if attempt.charge.hold.is_some() => Phase::Authorized(attempt),
            Kind::Payment | Kind::Credit => Phase::Captured(attempt),
        };
    }

    /// A smaller approval that is accepted makes the order smaller.
    fn accept_part(&mut self, attempt: &Attempt) {
        let brought = attempt
            .charge
            .hold
            .as_ref()
            .map_or(i128::from(attempt.charge.sold), |_| attempt.charge.granted());
        let asked = i128::from(self.asked_of(attempt));
        if self.terms.accept_partial && brought < asked {
            let extras = attempt.plan.extras.map_or(0, Money::minor);
            self.due = self.due.with_minor(clamp((brought - i128::from(extras)).max(0)));
        }
    }

    fn unasked(&mut self, number: u8, of: u8, amount: Money, at: Timestamp) {
        let Some((_, paid)) = self.attempt(of) else { return };
        let mut plan = paid.plan.clone();
        plan.amount = amount;
        plan.extras = None;
        let mut attempt = Attempt::new(number, plan, at);
        approve(&mut attempt, amount, None, at);
        self.past.push(Past {
            attempt,
            watched_until: None,
        });
        self.past.sort_by_key(|past| past.attempt.number);
    }

    // ---- steps ------------------------------------------------------------------------------------------------------------------

    fn step_started(&mut self, name: StepName, amount: Money, last: bool, at: Timestamp) {
        let step = Step::new(amount, last, at);
        self.on(name.attempt, |attempt| match name.kind {
            StepKind::Authorize => {}
            StepKind::Cancel => attempt.undo = Some(Undo { name, step }),
            StepKind::Reverse => {
                attempt.reversals = attempt.reversals.saturating_add(1);
                attempt.undo = Some(Undo { name, step });
            }
            StepKind::Capture => attempt.charge.captures.push(step),
            StepKind::Void => attempt.charge.voids.push(step),
            StepKind::Increment => attempt.charge.increments.push(step),
            StepKind::Refund => attempt.charge.refunds.push(step),
        });
    }

    fn step_stands(&mut self, name: StepName, state: StepState, standing: Standing, at: Timestamp) {
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

    fn case(&mut self, name: StepName, case: Case) {
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
    fn becomes_uncertain(&mut self, name: StepName, at: Timestamp) {
        use super::Open;
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

    fn alarmed(&mut self, about: &About, said: Money, at: Timestamp) {
        match about {
            About::Step(step) => self.becomes_uncertain(*step, at),
            About::Fact(_) => {}
        }
        self.alarms.push(super::Alarm {
            about: about.clone(),
            said,
        });
    }

    fn settle(&mut self, settled: impl Fn(&About) -> bool) {
        self.alarms.retain(|alarm| !settled(&alarm.about));
    }

    fn settle_step(&mut self, step: StepName) {
        self.settle(|about| *about == About::Step(step));
    }

    fn declined(&mut self, name: StepName, decline: &Decline, at: Timestamp) {
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

    fn step_done(&mut self, name: StepName, amount: Money, at: Timestamp) {
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

    fn undone(&mut self, name: StepName, moved: Money, at: Timestamp) {
        self.settle_step(name);
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

    fn captured(&mut self, name: StepName, amount: Money, at: Timestamp) {
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

    fn voided(&mut self, name: StepName, at: Timestamp) {
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

    fn increased(&mut self, name: StepName, amount: Money, until: Option<Timestamp>, at: Timestamp) {
        self.step_done(name, amount, at);
        self.on(name.attempt, |attempt| {
            if let (Some(hold), Some(until)) = (attempt.charge.hold.as_mut(), until) {
                hold.over &= hold.end.is_some_and(|end| end >= until);
                hold.end = Some(until);
            }
        });
    }

    fn taken_back(&mut self, name: StepName, amount: Money, at: Timestamp) {
        let back = amount.minor();
        self.settle_step(name);
        match name.kind {
            StepKind::Authorize => self.sale_taken_back(name.attempt, back, at),
            StepKind::Cancel | StepKind::Reverse => self.on(name.attempt, |attempt| {
                attempt.charge.undone_back = attempt.charge.undone_back.max(back).min(attempt.charge.undone);
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
    fn sale_taken_back(&mut self, number: u8, back: i64, at: Timestamp) {
        let Some(attempt) = self.attempt_mut(number) else {
            return;
        };
        attempt.charge.sale_back = attempt.charge.sale_back.max(back);
        let whole = back >= attempt.plan.amount.minor();
        let free = !attempt.undoing() && attempt.leaving != Some(Leaving::Cancel);
        if whole && free && self.running().is_some_and(|attempt| attempt.number == number) {
            let amount = self.due.with_minor(back);
            self.on(number, |attempt| approve(attempt, amount, None, at));
            self.wins(number);
        }
    }

    // ---- the winner's phase -------------------------------------------------------------------------------------------------------

    fn hold_closed(&mut self) {
        let Some(number) = self.winner().map(|attempt| attempt.number) else {
            return;
        };
        let mut why = Why::Expired;
        self.on(number, |attempt| {
            if attempt.charge.voided_elsewhere > 0 {
                why = Why::Voided;
            }
            if let Some(hold) = attempt.charge.hold.as_mut() {
                hold.closed = true;
            }
        });
        self.settles_phase(number, why);
    }

    /// Once nothing is held any more, the order is captured, or over if nothing was taken (or all of it was taken back).
    fn settles_phase(&mut self, number: u8, why: Why) {
        self.phase = match mem::replace(&mut self.phase, Phase::Created) {
            Phase::Authorized(attempt) | Phase::Captured(attempt) if attempt.number == number => {
                let open = attempt.charge.hold.as_ref().is_some_and(|hold| !hold.closed);
                let taken = attempt.charge.heard() - attempt.charge.captures_back();
                if open {
                    Phase::Authorized(attempt)
                } else if taken > 0 {
                    Phase::Captured(attempt)
                } else {
                    Phase::Ended(End {
                        why,
                        winner: Some(attempt),
                    })
                }
            }
            phase @ (Phase::Created
            | Phase::Pending(_)
            | Phase::Authorized(_)
            | Phase::Captured(_)
            | Phase::Ended(_)) => phase,
        };
    }

    fn winner_is_over(&mut self, number: u8, why: Why) {
        self.phase = match mem::replace(&mut self.phase, Phase::Created) {
            Phase::Authorized(mut attempt) | Phase::Captured(mut attempt) if attempt.number == number => {
                if let Some(hold) = attempt.charge.hold.as_mut() {
                    hold.closed = true;
                }
                Phase::Ended(End {
                    why,
                    winner: Some(attempt),
                })
            }
            phase @ (Phase::Created
            | Phase::Pending(_)
            | Phase::Authorized(_)
            | Phase::Captured(_)
            | Phase::Ended(_)) => phase,
        };
    }

    /// Money that was taken after the order had ended brings it back.
    fn reopens(&mut self, number: u8) {
        self.phase = match mem::replace(&mut self.phase, Phase::Created) {
            Phase::Ended(End {
                why,
                winner: Some(attempt),
            }) if attempt.number == number => {
                if attempt.charge.heard() > attempt.charge.captures_back() {
                    Phase::Captured(attempt)
                } else {
                    Phase::Ended(End {
                        why,
                        winner: Some(attempt),
                    })
                }
            }
            phase @ (Phase::Created
            | Phase::Pending(_)
            | Phase::Authorized(_)
            | Phase::Captured(_)
            | Phase::Ended(_)) => phase,
        };
    }
}

fn grow(sum: &mut i64, amount: Money) {
    *sum = sum.saturating_add(amount.minor());
}

/// Books an approval. After a confirmed undo only money that moved is booked: what was held is gone.
fn approve(attempt: &mut Attempt, amount: Money, held: Option<HoldEnd>, at: Timestamp) {
    let undone = attempt.standing == Standing::Undone;
    let charge = &mut attempt.charge;
    match held {
        None => {
            charge.sold = charge.sold.max(amount.minor());
            if charge.sold > 0 {
                charge.taken_at.get_or_insert(at);
            }
        }
        Some(end) if charge.hold.is_none() && !undone => {
            let end = match end {
                HoldEnd::At(end) => Some(end),
                HoldEnd::Unknown => None,
            };
            charge.hold = Some(Hold {
                amount: amount.minor(),
                at,
                end,
                over: false,
                capture_due: false,
                closed: false,
            });
        }
        Some(_) => {}
    }
    if !undone {
        attempt.stands(Standing::Approved, at);
    }
}

fn dispute(attempt: &mut Attempt, number: u8, id: &str, verdict: Verdict, amount: Money) {
    let disputes = &mut attempt.charge.disputes;
    let index = disputes.iter().position(|dispute| dispute.id == id).unwrap_or_else(|| {
        disputes.push(Dispute {
            number,
            id: id.to_owned(),
            opened: 0,
            verdict,
            lost: 0,
        });
        disputes.len() - 1
    });
    let known = &mut disputes[index];
    known.verdict = verdict;
    match verdict {
        Verdict::Open => known.opened = amount.minor(),
        Verdict::Won => {}
        Verdict::Lost => known.lost = amount.minor(),
    }
}

fn is_about_dispute(about: &About, number: u8, dispute: &str) -> bool {
    match about {
        About::Step(_) => false,
        About::Fact(FactKey { attempt, what: _, id }) => *attempt == number && id == dispute,
    }
}

fn fee(attempt: &mut Attempt, amount: Money) {
    let fees = &mut attempt.charge.fees;
    match fees.iter_mut().find(|fee| fee.currency() == amount.currency()) {
        Some(sum) => *sum = sum.with_minor(sum.minor().saturating_add(amount.minor())),
        None => fees.push(amount),
    }
}
