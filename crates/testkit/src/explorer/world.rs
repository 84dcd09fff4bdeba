//! One moment of a world, and everything that may happen in it next.

mod after;
mod may;
mod provider_side;

use florin_core::id::{ConnectionId, OrderId};
use florin_core::money::Money;
use florin_core::order::{Command, Initiator, Order, Plan, Refusal, StepKind, StepName};
use florin_core::rail::Instrument;
use uuid::Uuid;

use super::laws::{Broken, broken};
use super::provider::{Auth, Deal, Done, Request, Saying, money};
use super::rules::{NOW, Rules};
use super::scenario::{Left, Scenario, Try};

/// A moment: what we know, what the provider knows, and everything that is on its way between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// Our order. Its version is not kept: it only counts.
    pub order: Order,
    /// The provider's book, by attempt.
    pub deals: Vec<Deal>,
    /// Everything that was ever sent.
    pub requests: Vec<Request>,
    /// Everything that was ever said, and whether it was heard.
    pub said: Vec<(Saying, bool)>,
    /// What may still happen.
    pub left: Left,
    /// A second node, between its reading and its commit.
    pub other: Option<Box<Reading>>,
    /// Facts that the provider has numbered.
    pub facts: u8,
    /// The provider has forgotten its keys.
    pub forgot: bool,
}

/// What a second node has read, and wants to do with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reading {
    order: Order,
    act: Act,
    moved: bool,
}

/// Something that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is explained where it happens")]
pub enum Act {
    Start,
    Continue,
    ContinueOld,
    Leave,
    Cancel,
    Amend,
    Capture,
    Increment,
    Void,
    Refund,
    Time(u8),
    Arrive(u8, How),
    Ends(u8, Try),
    AsksAgain(u8),
    Carries(u8, bool),
    UndoesItself(u8),
    SucceedsLate(u8),
    Lapse(u8),
    ConsoleCapture(u8),
    ConsoleVoid(u8),
    ConsoleRefund(u8),
    ConsoleRefundBack(u8),
    Return(u8),
    SaleReturn(u8),
    TakesBack(u8),
    Dispute(u8, bool),
    Verdict(u8, u8, bool),
    Fee(u8),
    Receipt(u8),
    Hear(u8),
    Ask(StepName),
    AskAbsent(StepName),
    Doubt(StepName),
    NobodyToAsk(StepName),
    Person(StepName),
    Repair(u8),
    Report(u8),
    Forget,
    Resend(u8),
    SendUnwritten,
    Read(u8),
    Commit,
}

/// How a request is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    Tried(Try),
    Undone,
    Refused,
    Done,
    Short,
    Delayed,
}

/// What an act led to.
pub(super) struct Step {
    pub(super) world: World,
    pub(super) events: Vec<&'static str>,
    pub(super) broken: Option<Broken>,
}

/// What merchants and payers may ask; a second node may, too.
const COMMANDS: [Act; 10] = [
    Act::Start,
    Act::Continue,
    Act::ContinueOld,
    Act::Leave,
    Act::Cancel,
    Act::Amend,
    Act::Capture,
    Act::Increment,
    Act::Void,
    Act::Refund,
];

impl World {
    /// The first moment.
    pub fn new(scenario: &Scenario) -> Self {
        let (mut order, _) = Order::open(OrderId::from_uuid(Uuid::nil()), scenario.terms.clone(), NOW);
        order.version = 0;
        Self {
            order,
            deals: Vec::new(),
            requests: Vec::new(),
            said: Vec::new(),
            left: scenario.left,
            other: None,
            facts: 0,
            forgot: false,
        }
    }

    /// The provider's book of an attempt.
    pub fn deal(&self, attempt: u8) -> Option<&Deal> {
        self.deals.get(usize::from(attempt.checked_sub(1)?))
    }

    fn deal_mut(&mut self, attempt: u8) -> Option<&mut Deal> {
        self.deals.get_mut(usize::from(attempt.checked_sub(1)?))
    }

    /// Nothing is on its way: all was heard, every request arrived and is answered for good, nothing is in flight or owed.
    pub fn is_quiet(&self) -> bool {
        let answered = |request: &Request| {
            self.deal(request.step.attempt)
                .is_some_and(|deal| match request.step.kind {
                    StepKind::Authorize => !matches!(deal.auth, Auth::Absent | Auth::Acting(_) | Auth::Waiting),
                    StepKind::Cancel
                    | StepKind::Reverse
                    | StepKind::Capture
                    | StepKind::Void
                    | StepKind::Increment
                    | StepKind::Refund => matches!(deal.done(request.step), Some(Done::Yes(_) | Done::No)),
                })
        };
        self.other.is_none()
            && self.said.iter().all(|(_, heard)| *heard)
            && self.requests.iter().all(answered)
            && self.order.in_flight().is_empty()
    }

    /// Whether a timer will start another reversal.
    pub(super) fn will_be_reversed(&self) -> bool {
        self.order
            .timers()
            .iter()
            .any(|(_, timer)| matches!(timer, Command::ReverseAgain { .. }))
    }
}

impl World {
    /// Law 8: every step that exists answers as before when it is asked for again, and is a conflict with another body.
    pub(super) fn repeats_keep(&self, rules: Rules) -> Result<(), Broken> {
        let Some(attempt) = self.order.winner().or(self.order.running()) else {
            return Ok(());
        };
        let again = Command::Start {
            number: attempt.number,
            plan: attempt.plan.clone(),
        };
        if rules.decide(&self.order, &again) != Ok(None) {
            return broken(
                8,
                format!(
                    "attempt {} answers differently when it is asked for again",
                    attempt.number
                ),
            );
        }
        for (name, step) in attempt.steps() {
            let with = |amount: Money| match name.kind {
                StepKind::Capture => Some(Command::Capture {
                    index: name.index,
                    amount,
                    last: step.last,
                }),
                StepKind::Increment => Some(Command::Increment {
                    index: name.index,
                    by: amount,
                }),
                StepKind::Refund if !step.last => Some(Command::Refund {
                    index: name.index,
                    amount,
                }),
                StepKind::Refund | StepKind::Authorize | StepKind::Cancel | StepKind::Reverse | StepKind::Void => None,
            };
            let other = step.amount.with_minor(step.amount.minor() + 1);
            let (Some(same), Some(other)) = (with(step.amount), with(other)) else {
                continue;
            };
            if rules.decide(&self.order, &same) != Ok(None) {
                return broken(8, format!("{name} answers differently when it is asked for again"));
            }
            if rules.decide(&self.order, &other) != Err(Refusal::Conflict) {
                return broken(8, format!("{name} with another amount is no conflict"));
            }
        }
        Ok(())
    }
}

/// The command that an act gives to an order.
fn command(order: &Order, act: Act, scenario: &Scenario, left: &Left) -> Option<Command> {
    let running = order.running();
    Some(match act {
        Act::Start => Command::Start {
            number: order.next_attempt(),
            plan: plan(order, scenario).into(),
        },
        Act::Continue => {
            let attempt = running.filter(|attempt| attempt.actions > 0)?;
            Command::Continue {
                attempt: attempt.number,
                action: attempt.actions,
            }
        }
        Act::ContinueOld => {
            let attempt = running.filter(|attempt| attempt.actions > 1)?;
            Command::Continue {
                attempt: attempt.number,
                action: attempt.actions - 1,
            }
        }
        Act::Leave => Command::Leave {
            attempt: running?.number,
        },
        Act::Cancel => Command::Cancel,
        Act::Amend => Command::Amend {
            due: money(scenario.amends_to),
        },
        Act::Capture => {
            let turn = usize::from(scenario.left.captures - left.captures);
            let (amount, last) = *scenario.captures.get(turn)?;
            Command::Capture {
                index: order.next_capture(),
                amount: money(amount),
                last,
            }
        }
        Act::Increment => Command::Increment {
            index: order.next_increment(),
            by: money(scenario.increment),
        },
        Act::Void => Command::Void,
        Act::Refund => {
            let turn = usize::from(scenario.left.refunds - left.refunds);
            Command::Refund {
                index: order.next_refund(),
                amount: money(*scenario.refunds.get(turn)?),
            }
        }
        _ => return None,
    })
}

fn plan(order: &Order, scenario: &Scenario) -> Plan {
    Plan {
        channel: String::new(),
        method: String::new(),
        instrument: Instrument::Hosted,
        connection: ConnectionId::from_uuid(Uuid::nil()),
        rail: String::new(),
        amount: scenario.asked(order.due),
        extras: (scenario.extras > 0).then(|| money(scenario.extras)),
        initiator: Initiator::Payer,
        can: scenario.can,
    }
}
