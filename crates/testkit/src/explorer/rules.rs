//! A thin shell around the shipped machine and the engine's rules, in which one mistake can be planted.

use florin_core::decline::{Code, Decline};
use florin_core::event::Event;
use florin_core::ledger::{Posting, between};
use florin_core::order::{
    Attempt, Command, Fact, HoldEnd, Order, Owed, Phase, Place, Refusal, Says, Standing, StepKind, StepName, Verdict,
};
use florin_core::rail::What;
use florin_core::time::Timestamp;

/// Mistakes that one could make, each against a rule that a trace gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "their names are sentences")]
pub enum Mistake {
    ALostAnswerIsADecline,
    ALostCaptureIsADecline,
    ALostVoidIsADecline,
    ALostRefundIsADecline,
    AbsentIsADecline,
    ALateSuccessIsIgnored,
    ANewAttemptStartsWhileOneIsUncertain,
    ARefundIsSentAgainUnderANewKey,
    RefundsAreNotReserved,
    CommitsDoNotCheckTheVersion,
    MessagesAreSentBeforeTheyAreWritten,
    AStaleDeclineOverridesASuccess,
    APartialCaptureIsTakenAsFull,
    AFailedRefundIsIgnored,
    AConsoleRefundIsIgnored,
    AFailedConsoleRefundIsIgnored,
    TheWindowClosesAnUncertainAttempt,
    ASuccessIsAdoptedDuringOurOwnCancel,
    EachReasonStartsItsOwnCancel,
    ARefusedReversalIsNotTriedAgain,
    AStuckReversalClosesTheAttempt,
    AReturnBeforeItsSuccessIsDropped,
    AnUndoBooksWhatWasCharged,
    TheDeadlineClosesTheHold,
    TwoHoldStepsRunAtOnce,
    RefundsStartWhileTheSaleIsVoided,
    ADisputeOpensAfterItsVerdict,
    AnOldSuccessOutranksAnUndo,
    KeysAreSentAgainAfterTheyWereForgotten,
    FactsAreBookedTwice,
    ALapsedHoldIsIgnored,
    ASurplusIsKept,
    AnOldActionIsAnswered,
    WhatAPersonSawIsBookedBesideWhatWasTold,
}

impl Mistake {
    /// Every one of them.
    pub const ALL: [Self; 34] = [
        Self::ALostAnswerIsADecline,
        Self::ALostCaptureIsADecline,
        Self::ALostVoidIsADecline,
        Self::ALostRefundIsADecline,
        Self::AbsentIsADecline,
        Self::ALateSuccessIsIgnored,
        Self::ANewAttemptStartsWhileOneIsUncertain,
        Self::ARefundIsSentAgainUnderANewKey,
        Self::RefundsAreNotReserved,
        Self::CommitsDoNotCheckTheVersion,
        Self::MessagesAreSentBeforeTheyAreWritten,
        Self::AStaleDeclineOverridesASuccess,
        Self::APartialCaptureIsTakenAsFull,
        Self::AFailedRefundIsIgnored,
        Self::AConsoleRefundIsIgnored,
        Self::AFailedConsoleRefundIsIgnored,
        Self::TheWindowClosesAnUncertainAttempt,
        Self::ASuccessIsAdoptedDuringOurOwnCancel,
        Self::EachReasonStartsItsOwnCancel,
        Self::ARefusedReversalIsNotTriedAgain,
        Self::AStuckReversalClosesTheAttempt,
        Self::AReturnBeforeItsSuccessIsDropped,
        Self::AnUndoBooksWhatWasCharged,
        Self::TheDeadlineClosesTheHold,
        Self::TwoHoldStepsRunAtOnce,
        Self::RefundsStartWhileTheSaleIsVoided,
        Self::ADisputeOpensAfterItsVerdict,
        Self::AnOldSuccessOutranksAnUndo,
        Self::KeysAreSentAgainAfterTheyWereForgotten,
        Self::FactsAreBookedTwice,
        Self::ALapsedHoldIsIgnored,
        Self::ASurplusIsKept,
        Self::AnOldActionIsAnswered,
        Self::WhatAPersonSawIsBookedBesideWhatWasTold,
    ];
}

/// The rules of a world: the shipped ones, or those with one mistake.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// What is wrong with them.
    pub mistake: Option<Mistake>,
}

/// Every world lives in one moment: timers fire when they like.
pub(super) const NOW: Timestamp = Timestamp::from_millis(0);

impl Rules {
    /// The machine as it is shipped.
    pub const SHIPPED: Self = Self { mistake: None };

    /// The machine with a mistake.
    pub const fn with(mistake: Mistake) -> Self {
        Self { mistake: Some(mistake) }
    }

    /// Whether this mistake is made.
    pub fn makes(self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// What the order does, or what the mistake makes of it.
    pub fn decide(self, order: &Order, command: &Command) -> Result<Option<Event>, Refusal> {
        match self.mistake.and_then(|mistake| misjudge(mistake, order, command)) {
            Some(event) => Ok(event),
            None => order.decide(command, NOW),
        }
    }

    /// What the order owes.
    pub fn owed(self, order: &Order) -> Option<Command> {
        let owed = order.owed()?;
        let forgotten = self.makes(Mistake::ASurplusIsKept) && owed == Command::Owed(Owed::RefundSurplus);
        (!forgotten).then_some(owed)
    }

    /// Whether a timer that runs is heeded.
    pub fn heeds(self, timer: &Command) -> bool {
        match timer {
            Command::ReverseAgain { .. } => !self.makes(Mistake::ARefusedReversalIsNotTriedAgain),
            _ => true,
        }
    }

    /// What an event posts.
    pub fn postings(self, before: &Order, after: &Order, event: &Event) -> Vec<Posting> {
        between(before, after, event)
    }
}

/// What a mistaken machine does with a command, where it differs: an event, or nothing.
fn misjudge(mistake: Mistake, order: &Order, command: &Command) -> Option<Option<Event>> {
    use Mistake as M;
    let decline = |step| Event::Declined {
        step,
        decline: Decline::new(Code::TimeoutUnknown),
    };
    match (mistake, command) {
        (M::ALostAnswerIsADecline, Command::AnswerOver { step }) if step.kind == StepKind::Authorize => {
            Some(Some(decline(*step)))
        }
        (M::ALostCaptureIsADecline, Command::AnswerOver { step }) if step.kind == StepKind::Capture => {
            Some(Some(decline(*step)))
        }
        (M::ALostVoidIsADecline, Command::AnswerOver { step }) if step.kind == StepKind::Void => {
            Some(Some(decline(*step)))
        }
        (M::ALostRefundIsADecline, Command::AnswerOver { step }) if step.kind == StepKind::Refund => {
            Some(Some(decline(*step)))
        }
        (M::ANewAttemptStartsWhileOneIsUncertain, Command::Leave { attempt }) => {
            let uncertain = order
                .running()
                .is_some_and(|attempt| attempt.standing == Standing::Uncertain);
            uncertain.then_some(Some(Event::LeftStray { attempt: *attempt }))
        }
        (M::RefundsAreNotReserved, Command::Refund { index, amount }) => {
            let attempt = order.winner().filter(|_| *index == order.next_refund())?;
            let fits = i128::from(amount.minor()) <= attempt.standing_money();
            fits.then_some(Some(started(attempt, StepKind::Refund, *index, *amount)))
        }
        (M::RefundsStartWhileTheSaleIsVoided, Command::Refund { index, amount }) => {
            let attempt = order
                .winner()
                .filter(|attempt| attempt.undoing() && *index == order.next_refund())?;
            let fits = i128::from(amount.minor()) <= attempt.refundable();
            fits.then_some(Some(started(attempt, StepKind::Refund, *index, *amount)))
        }
        (M::TheWindowClosesAnUncertainAttempt, Command::WindowOver) => {
            let attempt = order
                .running()
                .filter(|attempt| attempt.standing == Standing::Uncertain)?;
            Some(Some(decline(StepName::authorize(attempt.number))))
        }
        (M::EachReasonStartsItsOwnCancel, Command::Leave { attempt }) => {
            let current = order
                .running()
                .filter(|current| current.undoing() && current.number == *attempt)?;
            let undo = current
                .undo
                .as_ref()
                .filter(|undo| undo.name.kind == StepKind::Cancel)?;
            Some(Some(started(
                current,
                StepKind::Cancel,
                undo.name.index,
                undo.step.amount,
            )))
        }
        (M::TheDeadlineClosesTheHold, Command::HoldOver) => {
            matches!(order.phase, Phase::Authorized(_)).then_some(Some(Event::HoldClosed))
        }
        (M::TwoHoldStepsRunAtOnce, Command::Void) => {
            let attempt = order
                .winner()
                .filter(|attempt| attempt.has_hold_step() && attempt.charge.voids.is_empty())?;
            Some(Some(started(attempt, StepKind::Void, 0, order.due)))
        }
        (M::AnOldActionIsAnswered, Command::Continue { attempt, action }) => {
            let current = order.running().filter(|current| current.standing == Standing::Acting)?;
            let old = current.number == *attempt && *action < current.actions;
            old.then_some(Some(Event::Continued {
                attempt: *attempt,
                number: *action,
            }))
        }
        (_, Command::Fact(fact)) => mishear(mistake, order, fact),
        (_, _) => None,
    }
}

/// What a mistaken machine makes of a fact, where it differs.
fn mishear(mistake: Mistake, order: &Order, fact: &Fact) -> Option<Option<Event>> {
    use Mistake as M;
    match (mistake, fact) {
        (
            M::ALateSuccessIsIgnored,
            Fact::Answer {
                step,
                says: Says::Approved { .. },
                ..
            },
        ) => (step.kind == StepKind::Authorize && place(order, *step)? == Place::Past).then_some(None),
        (
            M::AStaleDeclineOverridesASuccess,
            Fact::Answer {
                step,
                says: Says::Declined(_),
                ..
            },
        ) => {
            let (place, attempt) = order.attempt(step.attempt)?;
            let paid =
                step.kind == StepKind::Authorize && place == Place::Winner && attempt.standing == Standing::Approved;
            paid.then_some(Some(Event::Undone {
                step: *step,
                moved: attempt.plan.amount,
            }))
        }
        (
            M::APartialCaptureIsTakenAsFull,
            Fact::Answer {
                step,
                says: Says::Approved { .. },
                ..
            },
        ) => {
            let (_, attempt) = order.attempt(step.attempt)?;
            let asked = attempt
                .step(*step)
                .filter(|asked| step.kind == StepKind::Capture && asked.in_flight())?;
            Some(Some(Event::Captured {
                step: *step,
                amount: asked.amount,
            }))
        }
        (
            M::AFailedRefundIsIgnored,
            Fact::Answer {
                step,
                says: Says::Declined(_) | Says::TakenBack { .. },
                ..
            },
        ) => (step.kind == StepKind::Refund).then_some(None),
        (
            M::AConsoleRefundIsIgnored,
            Fact::Happened {
                what: What::Refunded, ..
            },
        )
        | (
            M::AFailedConsoleRefundIsIgnored,
            Fact::Happened {
                what: What::RefundBack, ..
            },
        )
        | (
            M::ALapsedHoldIsIgnored,
            Fact::Happened {
                what: What::HoldGone, ..
            },
        ) => Some(None),
        (
            M::ASuccessIsAdoptedDuringOurOwnCancel,
            Fact::Answer {
                step,
                says: Says::Approved { money, held, .. },
                ..
            },
        ) => {
            let current = order
                .running()
                .filter(|current| current.number == step.attempt && current.undoing())?;
            let adopts = step.kind == StepKind::Authorize && current.standing != Standing::Approved;
            adopts.then_some(Some(Event::Approved {
                attempt: step.attempt,
                amount: *money,
                held: *held,
            }))
        }
        (
            M::AStuckReversalClosesTheAttempt,
            Fact::Answer {
                step,
                says: Says::Declined(_),
                ..
            },
        ) => {
            let current = order
                .running()
                .filter(|current| current.number == step.attempt && current.refusals == 1)?;
            let last = current
                .step(*step)
                .is_some_and(|undo| step.kind == StepKind::Reverse && undo.in_flight());
            last.then(|| {
                Some(Event::Undone {
                    step: *step,
                    moved: order.due.with_minor(0),
                })
            })
        }
        (
            M::AReturnBeforeItsSuccessIsDropped,
            Fact::Happened {
                attempt,
                what: What::Returned,
                ..
            },
        ) => {
            let (_, attempt) = order.attempt(*attempt)?;
            (attempt.standing != Standing::Approved).then_some(None)
        }
        (
            M::AnUndoBooksWhatWasCharged,
            Fact::Answer {
                step,
                says: Says::Released { .. },
                ..
            },
        ) => {
            let (_, attempt) = order.attempt(step.attempt)?;
            let fresh = attempt.step(*step).is_some_and(|undo| undo.in_flight()) && attempt.charge.sold > 0;
            let moved = order.due.with_minor(attempt.charge.sold);
            fresh.then_some(Some(Event::Undone { step: *step, moved }))
        }
        (
            M::ADisputeOpensAfterItsVerdict,
            Fact::Happened {
                attempt,
                id,
                what: What::DisputeOpened,
                money,
            },
        ) => {
            let (_, known) = order.attempt(*attempt)?;
            let known = known
                .charge
                .disputes
                .iter()
                .any(|dispute| dispute.id == *id && dispute.verdict != Verdict::Open);
            let opened = Event::Disputed {
                attempt: *attempt,
                id: id.clone(),
                verdict: Verdict::Open,
                amount: *money,
            };
            known.then_some(Some(opened))
        }
        (
            M::AnOldSuccessOutranksAnUndo,
            Fact::Answer {
                step,
                says: Says::Approved { money, .. },
                ..
            },
        ) => {
            let (place, attempt) = order.attempt(step.attempt)?;
            let dead = place == Place::Past && attempt.standing == Standing::Undone && order.phase == Phase::Created;
            let held = attempt.charge.hold.as_ref().map(|_| HoldEnd::Unknown);
            dead.then_some(Some(Event::Approved {
                attempt: step.attempt,
                amount: *money,
                held,
            }))
        }
        (M::WhatAPersonSawIsBookedBesideWhatWasTold, Fact::Answer { note: Some(_), .. }) => {
            let heard = order.decide(&Command::Fact(fact.clone()), NOW).ok()??;
            matches!(heard.plain(), Event::Undone { .. }).then(|| Some(heard.plain().clone()))
        }
        (M::FactsAreBookedTwice, Fact::Happened { .. }) => {
            let mut forgetful = order.clone();
            forgetful.booked.clear();
            forgetful.decide(&Command::Fact(fact.clone()), NOW).ok()
        }
        (_, _) => None,
    }
}

fn place(order: &Order, step: StepName) -> Option<Place> {
    order.attempt(step.attempt).map(|(place, _)| place)
}

fn started(attempt: &Attempt, kind: StepKind, index: u8, amount: florin_core::money::Money) -> Event {
    Event::StepStarted {
        step: StepName::new(attempt.number, kind, index),
        amount,
        last: false,
    }
}
