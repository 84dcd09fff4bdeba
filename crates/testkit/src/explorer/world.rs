//! One moment of a world, and everything that may happen in it next.

use florin_core::event::Event;
use florin_core::id::{ConnectionId, OrderId};
use florin_core::money::Money;
use florin_core::order::{
    Command, Fact, Initiator, Open, Order, Phase, Place, Plan, Refusal, Says, Standing, StepKind, StepName,
};
use florin_core::rail::{self, Instrument, What};
use florin_core::status::{Attention, attention};
use uuid::Uuid;

use super::laws::{self, Broken, broken};
use super::provider::{Amount, Auth, Deal, Done, Request, Saying, Word, money};
use super::rules::{Mistake, NOW, Rules};
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

    // ---- what may happen --------------------------------------------------------------------------------------------------------

    /// Everything that may happen next.
    pub fn acts(&self, scenario: &Scenario, rules: Rules) -> Vec<Act> {
        let mut acts = Vec::new();
        acts.extend((0..self.said.len()).map(|index| Act::Hear(small(index)))); // what was heard may be heard again
        for index in 0..self.requests.len() {
            self.arrivals(scenario, index, &mut acts);
            if self.may_resend(rules, index) {
                acts.push(Act::Resend(small(index)));
            }
        }
        self.provider_acts(scenario, &mut acts);
        for open in self.order.in_flight() {
            acts.push(Act::Ask(open.step));
            if self.left.doubts > 0 && open.state != Open::Uncertain {
                acts.push(Act::Doubt(open.step));
            }
            if self.left.stuck > 0 {
                acts.push(Act::NobodyToAsk(open.step));
            }
            let absent = self
                .deal(open.step.attempt)
                .is_none_or(|deal| deal.done(open.step).is_none());
            if absent && rules.makes(Mistake::AbsentIsADecline) {
                acts.push(Act::AskAbsent(open.step));
            }
        }
        let timers = self.order.timers();
        let heeded = |timer: &Command| match timer {
            Command::UncertainLong { .. } => scenario.long_doubts,
            // To the rules a step after the authorise step is in flight, whether it is sent or uncertain.
            Command::AnswerOver { step } => scenario.silence || step.kind == StepKind::Authorize,
            timer => rules.heeds(timer),
        };
        for (index, (_, timer)) in timers.iter().enumerate() {
            if heeded(timer) {
                acts.push(Act::Time(small(index)));
            }
        }
        self.person_acts(&mut acts);
        acts.extend(COMMANDS.into_iter().filter(|act| self.may(*act)));
        if self.left.other_node > 0 && self.other.is_none() {
            acts.extend(
                (0..COMMANDS.len())
                    .filter(|index| self.may(COMMANDS[*index]))
                    .map(|index| Act::Read(small(index))),
            );
        }
        if self.other.is_some() {
            acts.push(Act::Commit);
        }
        if rules.makes(Mistake::MessagesAreSentBeforeTheyAreWritten) {
            acts.push(Act::SendUnwritten);
        }
        acts
    }

    fn may(&self, act: Act) -> bool {
        let left = &self.left;
        let times = match act {
            Act::Start => left.starts,
            Act::Continue | Act::ContinueOld => left.continues,
            Act::Leave => left.leaves,
            Act::Cancel => left.cancels,
            Act::Amend => left.amends,
            Act::Capture => left.captures,
            Act::Increment => left.increments,
            Act::Void => left.voids,
            Act::Refund => left.refunds,
            _ => 0,
        };
        times > 0
    }

    /// A message may be carried out a second time only under a key that the provider does not know (any more).
    fn may_resend(&self, rules: Rules, index: usize) -> bool {
        let request = self.requests[index];
        let carried_out = self
            .deal(request.step.attempt)
            .and_then(|deal| deal.done(request.step))
            .is_some();
        let new_key = rules.makes(Mistake::ARefundIsSentAgainUnderANewKey) && request.step.kind == StepKind::Refund;
        let forgotten = rules.makes(Mistake::KeysAreSentAgainAfterTheyWereForgotten) && self.forgot;
        let open = self.order.open_step(request.step).is_some();
        carried_out && open && (new_key || forgotten)
    }

    fn arrivals(&self, scenario: &Scenario, index: usize, acts: &mut Vec<Act>) {
        let request = self.requests[index];
        let Some(deal) = self.deal(request.step.attempt) else {
            return;
        };
        if deal.done(request.step).is_some() {
            return; // the same key again gives the same answer, which may be heard again anyway
        }
        let mut arrive = |how| acts.push(Act::Arrive(small(index), how));
        match request.step.kind {
            StepKind::Authorize => match deal.auth {
                Auth::Undone => arrive(How::Undone),
                Auth::Absent => scenario.tries.iter().for_each(|tried| arrive(How::Tried(*tried))),
                Auth::Acting(_) | Auth::Waiting | Auth::Held | Auth::Sold | Auth::Declined => {}
            },
            StepKind::Cancel => {
                let approved = matches!(deal.auth, Auth::Held | Auth::Sold);
                if !approved || scenario.cancels_approved {
                    arrive(How::Undone);
                }
                if approved || self.left.undo_refusals > 0 {
                    arrive(How::Refused);
                }
            }
            StepKind::Reverse => {
                arrive(How::Undone);
                if self.left.undo_refusals > 0 {
                    arrive(How::Refused);
                }
            }
            StepKind::Capture | StepKind::Void | StepKind::Increment | StepKind::Refund => {
                let possible = deal.possible(request);
                if possible {
                    arrive(How::Done);
                    if scenario.short_captures && request.step.kind == StepKind::Capture && request.amount > 1 {
                        arrive(How::Short);
                    }
                    if self.left.delays > 0 {
                        arrive(How::Delayed);
                    }
                }
                if !possible || self.left.refusals > 0 {
                    arrive(How::Refused);
                }
            }
        }
    }

    fn provider_acts(&self, scenario: &Scenario, acts: &mut Vec<Act>) {
        let left = &self.left;
        for (index, deal) in self.deals.iter().enumerate() {
            let n = small(index + 1);
            match deal.auth {
                Auth::Acting(number) => {
                    acts.extend(scenario.ends.iter().map(|end| Act::Ends(n, *end)));
                    if left.actions > 0 && number < 3 {
                        acts.push(Act::AsksAgain(n));
                    }
                }
                Auth::Waiting => {
                    acts.extend(
                        scenario
                            .ends
                            .iter()
                            .filter(|end| **end != Try::Wait)
                            .map(|end| Act::Ends(n, *end)),
                    );
                }
                Auth::Declined if left.late_successes > 0 => acts.push(Act::SucceedsLate(n)),
                Auth::Absent | Auth::Held | Auth::Sold | Auth::Declined | Auth::Undone => {}
            }
            let stands = deal.stands();
            let approved = matches!(deal.auth, Auth::Held | Auth::Sold);
            let mut when = |may: bool, act| {
                if may {
                    acts.push(act);
                }
            };
            when(
                left.self_releases > 0 && (approved || deal.auth == Auth::Waiting),
                Act::UndoesItself(n),
            );
            when(left.lapses > 0 && deal.open, Act::Lapse(n));
            when(
                left.console_captures > 0 && deal.open && deal.held > 0,
                Act::ConsoleCapture(n),
            );
            when(left.console_voids > 0 && deal.open, Act::ConsoleVoid(n));
            when(left.console_refunds > 0 && stands > 0, Act::ConsoleRefund(n));
            let back = left.console_refunds_back > 0 && self.console_refund(n).is_some();
            when(back, Act::ConsoleRefundBack(n));
            when(left.returns > 0 && stands > 0, Act::Return(n));
            when(left.sale_returns > 0 && stands > 0 && deal.sold > 0, Act::SaleReturn(n));
            when(left.fees > 0 && approved, Act::Fee(n));
            when(left.receipts > 0 && deal.auth != Auth::Absent, Act::Receipt(n));
            let dispute = self.next_of(scenario.disputes, scenario.left.disputes, left.disputes);
            let disputed = dispute.is_some_and(|amount| amount <= stands);
            when(disputed, Act::Dispute(n, true));
            when(disputed, Act::Dispute(n, false));
            for (which, (_, open)) in deal.disputes.iter().enumerate() {
                when(*open, Act::Verdict(n, small(which), true));
                when(*open, Act::Verdict(n, small(which), false));
            }
        }
        for (index, request) in self.requests.iter().enumerate() {
            let Some(deal) = self.deal(request.step.attempt) else {
                continue;
            };
            match (deal.done(request.step), request.step.kind) {
                (Some(Done::Pending), StepKind::Capture | StepKind::Void | StepKind::Increment | StepKind::Refund) => {
                    if deal.possible(*request) {
                        acts.push(Act::Carries(small(index), true));
                    }
                    acts.push(Act::Carries(small(index), false));
                }
                (Some(Done::Yes(amount)), _)
                    if self
                        .said
                        .iter()
                        .any(|(said, _)| *said == Saying::Answer(request.step, Word::TakenBack(amount))) => {}
                (Some(Done::Yes(amount)), StepKind::Capture)
                    if left.captures_back > 0 && deal.stands() >= amount && amount > 0 =>
                {
                    acts.push(Act::TakesBack(small(index)));
                }
                (Some(Done::Yes(amount)), StepKind::Refund) if left.refunds_back > 0 && amount > 0 => {
                    acts.push(Act::TakesBack(small(index)));
                }
                (_, _) => {}
            }
        }
        if left.forgets > 0 && !self.forgot && !self.requests.is_empty() {
            acts.push(Act::Forget);
        }
    }

    /// The first refund of an attempt that was made at the console and has not failed: its number, and how much.
    fn console_refund(&self, attempt: u8) -> Option<(u8, Amount)> {
        let failed = |fact: u8, amount: Amount| {
            let back = Saying::Happened(attempt, What::RefundBack, fact, amount);
            self.said.iter().any(|(said, _)| *said == back)
        };
        self.said.iter().find_map(|(said, _)| match *said {
            Saying::Happened(of, What::Refunded, fact, amount) if of == attempt && !failed(fact, amount) => {
                Some((fact, amount))
            }
            Saying::Happened(..) | Saying::Answer(..) => None,
        })
    }

    /// A person looks at what attention asks for, and reports what the provider's book shows; or sends money back by hand. What they
    /// have sent back they report whether or not we know of it by now.
    fn person_acts(&self, acts: &mut Vec<Act>) {
        for (index, deal) in self.deals.iter().enumerate() {
            if self.left.reports > 0 && deal.auth == Auth::Undone && deal.console > 0 {
                acts.push(Act::Report(small(index + 1)));
            }
        }
        let words = attention(&self.order);
        if words.is_empty() {
            return;
        }
        for (place, attempt) in self.order.attempts() {
            let auth = StepName::authorize(attempt.number);
            let seen = place == Place::Current && attempt.standing == Standing::Approved;
            if self.order.open_step(auth).is_some() || seen {
                acts.push(Act::Person(auth));
            }
            acts.extend(
                attempt
                    .steps()
                    .filter(|(_, step)| step.in_flight())
                    .map(|(name, _)| Act::Person(name)),
            );
            if words.contains(&Attention::StuckReversal) {
                acts.push(Act::Repair(attempt.number));
            }
        }
    }

    fn next_of<T: Copy>(&self, list: &[T], all: u8, left: u8) -> Option<T> {
        if left == 0 {
            return None;
        }
        list.get(usize::from(all - left)).copied()
    }

    // ---- what it leads to -------------------------------------------------------------------------------------------------------

    /// The moment after `act`; none if nothing changes.
    pub(super) fn after(&self, act: Act, scenario: &Scenario, rules: Rules) -> Option<Step> {
        if self.changes_nothing(act, scenario, rules) {
            return None;
        }
        let mut step = Step {
            world: self.clone(),
            events: Vec::new(),
            broken: None,
        };
        step.carry_out(act, scenario, rules);
        if step.broken.is_none() && step.world == *self {
            return None;
        }
        Some(step)
    }

    /// Whether the machine has nothing to say to an act that moves nothing else: most acts, so they are not tried on a copy.
    fn changes_nothing(&self, act: Act, scenario: &Scenario, rules: Rules) -> bool {
        let command = match act {
            Act::Hear(index) if self.said[usize::from(index)].1 => {
                Some(Command::Fact(self.said[usize::from(index)].0.fact(false)))
            }
            Act::Time(index) => self
                .order
                .timers()
                .into_iter()
                .nth(index.into())
                .map(|(_, timer)| timer),
            Act::Doubt(step) => Some(Command::Fact(Fact::Answer {
                step,
                says: Says::Uncertain,
                note: None,
            })),
            act => command(&self.order, act, scenario, &self.left),
        };
        match command {
            Some(command) if !may_be_refused_by_rules(&command) => {
                matches!(rules.decide(&self.order, &command), Ok(None))
            }
            Some(command) => matches!(rules.decide(&self.order, &command), Ok(None) | Err(_)),
            None => COMMANDS.contains(&act),
        }
    }
}

/// Whether the rules may refuse this command.
fn may_be_refused_by_rules(command: &Command) -> bool {
    matches!(
        command,
        Command::Start { .. }
            | Command::Continue { .. }
            | Command::Leave { .. }
            | Command::Cancel
            | Command::Amend { .. }
            | Command::Capture { .. }
            | Command::Increment { .. }
            | Command::Void
            | Command::Refund { .. }
    )
}

impl Step {
    fn carry_out(&mut self, act: Act, scenario: &Scenario, rules: Rules) {
        match act {
            Act::Start
            | Act::Continue
            | Act::ContinueOld
            | Act::Leave
            | Act::Cancel
            | Act::Amend
            | Act::Capture
            | Act::Increment
            | Act::Void
            | Act::Refund => {
                if let Some(command) = command(&self.world.order, act, scenario, &self.world.left)
                    && self.run(&command, rules)
                {
                    spend(&mut self.world.left, act);
                }
            }
            Act::Time(index) => {
                if let Some((_, timer)) = self.world.order.timers().into_iter().nth(index.into()) {
                    self.run(&timer, rules);
                }
            }
            Act::Hear(index) => {
                let (saying, heard) = &mut self.world.said[usize::from(index)];
                *heard = true;
                let fact = saying.fact(false);
                self.run(&Command::Fact(fact), rules);
            }
            Act::Ask(name) => self.ask(name, false, rules),
            Act::Person(name) => self.ask(name, true, rules),
            Act::AskAbsent(name) => {
                let decline = florin_core::decline::Decline::new(florin_core::decline::Code::TimeoutUnknown);
                self.run(
                    &Command::Fact(Fact::Answer {
                        step: name,
                        says: Says::Declined(decline),
                        note: None,
                    }),
                    rules,
                );
            }
            Act::Doubt(name) => {
                if self.run(
                    &Command::Fact(Fact::Answer {
                        step: name,
                        says: Says::Uncertain,
                        note: None,
                    }),
                    rules,
                ) {
                    self.world.left.doubts -= 1;
                }
            }
            Act::NobodyToAsk(name) => {
                let says = Says::Stuck { why: String::new() };
                if self.run(
                    &Command::Fact(Fact::Answer {
                        step: name,
                        says,
                        note: None,
                    }),
                    rules,
                ) {
                    self.world.left.stuck -= 1;
                }
            }
            Act::Read(index) => self.read(COMMANDS[usize::from(index)]),
            Act::Commit => self.commit(scenario, rules),
            Act::SendUnwritten => self.send_unwritten(scenario, rules),
            Act::Arrive(index, how) => self.arrive(index, how, rules),
            Act::Resend(index) => self.resend(index),
            Act::Repair(attempt) => self.repair(attempt, scenario, rules),
            Act::Report(attempt) => self.report(attempt, rules),
            Act::Forget => {
                self.world.forgot = true;
                self.world.left.forgets -= 1;
            }
            Act::Ends(..)
            | Act::AsksAgain(_)
            | Act::Carries(..)
            | Act::UndoesItself(_)
            | Act::SucceedsLate(_)
            | Act::Lapse(_)
            | Act::ConsoleCapture(_)
            | Act::ConsoleVoid(_)
            | Act::ConsoleRefund(_)
            | Act::ConsoleRefundBack(_)
            | Act::Return(_)
            | Act::SaleReturn(_)
            | Act::TakesBack(_)
            | Act::Dispute(..)
            | Act::Verdict(..)
            | Act::Fee(_)
            | Act::Receipt(_) => self.provider_acts(act, scenario, rules),
        }
    }

    /// Decides, applies and pays what is owed, as the lane does; checks every event. Whether anything happened.
    fn run(&mut self, command: &Command, rules: Rules) -> bool {
        let decided = match rules.decide(&self.world.order, command) {
            Ok(decided) => decided,
            Err(refusal) => {
                self.refused(command, &refusal);
                return false;
            }
        };
        let Some(event) = decided else { return false };
        self.record(&event, rules);
        let mut owed = 0;
        while let Some(command) = rules.owed(&self.world.order).filter(|_| self.broken.is_none()) {
            owed += 1;
            match rules.decide(&self.world.order, &command) {
                Ok(Some(event)) if owed < 20 => self.record(&event, rules),
                Ok(_) | Err(_) => {
                    self.breaks(7, format!("what is owed does not run dry: {command:?}"));
                    return true;
                }
            }
        }
        self.world.settle();
        true
    }

    fn refused(&mut self, command: &Command, refusal: &Refusal) {
        if !may_be_refused_by_rules(command) {
            self.breaks(5, format!("{command:?} is refused: {refusal}"));
        }
    }

    fn breaks(&mut self, law: u8, how: String) {
        self.broken.get_or_insert(Broken { law, how });
    }

    fn record(&mut self, event: &Event, rules: Rules) {
        let before = self.world.order.clone();
        let checked = laws::event_keeps(&self.world, &before, event);
        self.world.order.apply(event, NOW);
        self.events.push(event.plain().kind());
        let after = &self.world.order;
        let postings = rules.postings(&before, after, event);
        let fit = laws::postings_fit(&before, after, event, &postings);
        let paid = |order: &Order| match &order.phase {
            Phase::Authorized(attempt) | Phase::Captured(attempt) => Some(attempt.number),
            Phase::Created | Phase::Pending(_) | Phase::Ended(_) => None,
        };
        let won = paid(after).filter(|number| before.winner().is_none_or(|winner| winner.number != *number));
        let safe = won.map_or(Ok(()), |number| laws::win_is_safe(&self.world, number));
        for outcome in [checked, fit, safe] {
            if let Err(law) = outcome {
                self.broken.get_or_insert(law);
            }
        }
        if let Event::Unasked {
            attempt: _, of, amount, ..
        } = event
        {
            let amount = Amount::try_from(amount.minor()).unwrap_or(0);
            if let Some(deal) = self.world.deal_mut(*of) {
                deal.sold -= amount;
            }
            self.world.deals.push(Deal {
                auth: Auth::Sold,
                sold: amount,
                ..Deal::default()
            });
        }
        self.world.send();
    }

    /// A second node reads the order for a command, and takes its time.
    fn read(&mut self, act: Act) {
        let order = self.world.order.clone();
        self.world.other = Some(Box::new(Reading {
            order,
            act,
            moved: false,
        }));
        self.world.left.other_node -= 1;
        spend(&mut self.world.left, act);
    }

    /// The second node commits what it decided. The version check makes it decide again if the order has moved.
    fn commit(&mut self, scenario: &Scenario, rules: Rules) {
        let Some(reading) = self.world.other.take() else { return };
        let mut left = self.world.left;
        give_back(&mut left, reading.act);
        if reading.moved && !rules.makes(Mistake::CommitsDoNotCheckTheVersion) {
            if let Some(command) = command(&self.world.order, reading.act, scenario, &left) {
                self.run(&command, rules);
            }
        } else {
            self.world.order = reading.order;
            if let Some(command) = command(&self.world.order, reading.act, scenario, &left) {
                self.run(&command, rules);
            }
        }
    }

    /// A node sends what it has not written, and dies: the provider has a message that we know nothing of.
    fn send_unwritten(&mut self, scenario: &Scenario, rules: Rules) {
        let order = self.world.order.clone();
        let may: Vec<Act> = COMMANDS.into_iter().filter(|act| self.world.may(*act)).collect();
        for act in may {
            let Some(command) = command(&order, act, scenario, &self.world.left) else {
                continue;
            };
            if self.run(&command, rules) {
                spend(&mut self.world.left, act);
                self.world.order = order;
                self.events.clear();
                return;
            }
        }
    }

    fn ask(&mut self, name: StepName, by_person: bool, rules: Rules) {
        if let Some(word) = self.world.deal(name.attempt).and_then(|deal| deal.word(name)) {
            let saying = Saying::Answer(name, word);
            self.world.hear(saying, rules);
            self.run(&Command::Fact(saying.fact(by_person)), rules);
        }
    }

    /// A person reports that nothing of an attempt stands, and what they see went back of it in all.
    fn report(&mut self, number: u8, rules: Rules) {
        self.world.left.reports = self.world.left.reports.saturating_sub(1);
        self.reports_undone(number, rules);
    }

    fn reports_undone(&mut self, number: u8, rules: Rules) {
        let Some(deal) = self.world.deal(number) else { return };
        let saying = Saying::Answer(StepName::authorize(number), Word::Undone(deal.sent_back()));
        self.run(&Command::Fact(saying.fact(true)), rules);
    }

    /// What a person does when nothing else helps: sends money of a stray back, gives a hold or a surplus back at the console, and
    /// reports it, unless the provider tells of it.
    fn repair(&mut self, number: u8, scenario: &Scenario, rules: Rules) {
        let Some((place, attempt)) = self.world.order.attempt(number) else {
            return;
        };
        let surplus = attempt.plan.can.push && place == Place::Winner;
        let asked = Amount::try_from(self.world.order.due.minor()).unwrap_or(0);
        let fact = self.world.facts + 1;
        let Some(deal) = self.world.deal_mut(number) else {
            return;
        };
        let saying = match place {
            Place::Winner if deal.open && deal.held > 0 => {
                let amount = deal.held;
                deal.held = 0;
                deal.open = false;
                Saying::Happened(number, What::Voided, fact, amount)
            }
            Place::Winner if surplus && deal.stands() > asked => {
                let amount = deal.stands() - asked;
                deal.back += amount;
                deal.console += amount;
                Saying::Happened(number, What::Refunded, fact, amount)
            }
            Place::Winner => return,
            Place::Current | Place::Past => {
                if deal.stands() <= 0 && deal.held == 0 {
                    return;
                }
                let moved = deal.send_back_by_hand();
                if moved > 0 && scenario.tells_repairs {
                    self.world.facts = fact;
                    self.world
                        .say(Saying::Happened(number, What::Refunded, fact, moved), rules);
                } else {
                    self.reports_undone(number, rules);
                }
                return;
            }
        };
        self.world.facts = fact;
        self.world.hear(saying, rules);
        self.run(&Command::Fact(saying.fact(true)), rules);
    }
}

// ---- the provider ------------------------------------------------------------------------------------------------------------------

impl World {
    /// The provider says something; it may be heard later, or never. What would change nothing now counts as heard: it may be heard
    /// again later all the same, so no order of hearing is lost, and there are fewer worlds.
    fn say(&mut self, saying: Saying, rules: Rules) {
        if self.said.iter().all(|(said, _)| *said != saying) {
            let old = rules.decide(&self.order, &Command::Fact(saying.fact(false))) == Ok(None);
            self.said.push((saying, old));
            self.said.sort_unstable();
        }
    }

    /// The provider says something and is heard at once.
    fn hear(&mut self, saying: Saying, rules: Rules) {
        self.say(saying, rules);
        for (said, heard) in &mut self.said {
            *heard |= *said == saying;
        }
    }

    /// Everything in flight is sent, once; it may arrive whenever it likes.
    fn send(&mut self) {
        let kind = |task: rail::Step| matches!(task, rail::Step::Sale | rail::Step::Payout | rail::Step::Verify);
        let open: Vec<Request> = (self.order.in_flight().iter())
            .map(|open| Request {
                step: open.step,
                amount: Amount::try_from(open.amount.minor()).unwrap_or(0),
                last: open.last,
                sale: kind(open.task),
            })
            .collect();
        for request in open {
            if self.requests.iter().all(|known| known.step != request.step) {
                self.requests.push(request);
                self.requests.sort_unstable();
            }
        }
        let attempts = usize::from(self.order.next_attempt()) - 1;
        if self.deals.len() < attempts {
            self.deals.resize(attempts, Deal::default());
        }
    }

    /// What does not matter is not kept: the version, and the order in which facts were booked.
    fn settle(&mut self) {
        self.order.version = 0;
        self.order.booked.sort_unstable();
        if let Some(reading) = self.other.as_mut() {
            reading.moved = true;
        }
    }
}

impl Step {
    fn arrive(&mut self, index: u8, how: How, rules: Rules) {
        let request = self.world.requests[usize::from(index)];
        let left = self.world.left;
        let Some(deal) = self.world.deal_mut(request.step.attempt) else {
            return;
        };
        let saying = match (request.step.kind, how) {
            (StepKind::Authorize, How::Tried(tried)) => authorise(deal, request, tried),
            (StepKind::Authorize, _) => deal.authorise(request, Auth::Undone),
            (_, How::Undone) => deal.undo(request),
            (_, How::Done) => deal.carry_out(request, request.amount),
            (_, How::Short) => deal.carry_out(request, request.amount - 1),
            (_, How::Delayed) => deal.delay(request),
            (_, How::Refused | How::Tried(_)) => deal.refuse(request),
        };
        self.spend_refusal(request, how, left);
        self.world.say(saying, rules);
    }

    fn spend_refusal(&mut self, request: Request, how: How, before: Left) {
        let left = &mut self.world.left;
        match (request.step.kind, how) {
            (StepKind::Cancel | StepKind::Reverse, How::Refused) => {
                left.undo_refusals = before.undo_refusals.saturating_sub(1)
            }
            (_, How::Refused) => left.refusals = before.refusals.saturating_sub(1),
            (_, How::Delayed) => left.delays -= 1,
            (_, How::Tried(_) | How::Undone | How::Done | How::Short) => {}
        }
    }

    /// A message is carried out a second time, because its key means nothing (any more).
    fn resend(&mut self, index: u8) {
        let request = self.world.requests[usize::from(index)];
        let Some(deal) = self.world.deal_mut(request.step.attempt) else {
            return;
        };
        if request.step.kind == StepKind::Authorize {
            if deal.auth == Auth::Sold {
                deal.sold += request.amount;
            }
        } else if deal.possible(request) {
            deal.carry_out(request, request.amount);
        }
    }

    fn provider_acts(&mut self, act: Act, scenario: &Scenario, rules: Rules) {
        let world = &mut self.world;
        let fact = world.facts + 1;
        let left = world.left;
        let mut numbered = true;
        let request_of = |requests: &[Request], number: u8| {
            requests
                .iter()
                .find(|request| request.step == StepName::authorize(number))
                .copied()
        };
        let saying = match act {
            Act::Ends(number, end) => {
                numbered = false;
                let Some(request) = request_of(&world.requests, number) else {
                    return;
                };
                let Some(deal) = world.deal_mut(number) else { return };
                authorise(deal, request, end)
            }
            Act::AsksAgain(number) => {
                numbered = false;
                world.left.actions -= 1;
                let Some(request) = request_of(&world.requests, number) else {
                    return;
                };
                let Some(deal) = world.deal_mut(number) else { return };
                let next = match deal.auth {
                    Auth::Acting(last) => last + 1,
                    Auth::Absent | Auth::Waiting | Auth::Held | Auth::Sold | Auth::Declined | Auth::Undone => 1,
                };
                deal.authorise(request, Auth::Acting(next))
            }
            Act::Carries(index, well) => {
                numbered = false;
                let request = world.requests[usize::from(index)];
                let Some(deal) = world.deal_mut(request.step.attempt) else {
                    return;
                };
                if well {
                    deal.carry_out(request, request.amount)
                } else {
                    deal.refuse(request)
                }
            }
            Act::UndoesItself(number) => {
                numbered = false;
                world.left.self_releases -= 1;
                let Some(request) = request_of(&world.requests, number) else {
                    return;
                };
                let Some(deal) = world.deal_mut(number) else { return };
                deal.undo(request)
            }
            Act::SucceedsLate(number) => {
                numbered = false;
                world.left.late_successes -= 1;
                let Some(request) = request_of(&world.requests, number) else {
                    return;
                };
                let Some(deal) = world.deal_mut(number) else { return };
                deal.approve(request, request.amount)
            }
            Act::TakesBack(index) => {
                numbered = false;
                let request = world.requests[usize::from(index)];
                let Some(deal) = world.deal_mut(request.step.attempt) else {
                    return;
                };
                let Some(Done::Yes(amount)) = deal.done(request.step) else {
                    return;
                };
                if request.step.kind == StepKind::Capture {
                    deal.back += amount;
                    world.left.captures_back -= 1;
                } else {
                    deal.refunded -= amount;
                    world.left.refunds_back -= 1;
                }
                Saying::Answer(request.step, Word::TakenBack(amount))
            }
            Act::SaleReturn(number) => {
                numbered = false;
                world.left.sale_returns -= 1;
                let Some(deal) = world.deal_mut(number) else { return };
                let amount = deal.stands();
                deal.back += amount;
                Saying::Answer(StepName::authorize(number), Word::TakenBack(amount))
            }
            Act::Lapse(number) => {
                world.left.lapses -= 1;
                let Some(deal) = world.deal_mut(number) else { return };
                deal.held = 0;
                deal.open = false;
                Saying::Happened(number, What::HoldGone, fact, 0)
            }
            Act::ConsoleCapture(number) => {
                world.left.console_captures -= 1;
                let Some(deal) = world.deal_mut(number) else { return };
                let amount = deal.held.min(2);
                deal.held -= amount;
                deal.captured += amount;
                Saying::Happened(number, What::Captured, fact, amount)
            }
            Act::ConsoleVoid(number) => {
                world.left.console_voids -= 1;
                let Some(deal) = world.deal_mut(number) else { return };
                let amount = deal.held;
                if amount == 0 {
                    return;
                }
                deal.held = 0;
                deal.open = false;
                Saying::Happened(number, What::Voided, fact, amount)
            }
            Act::ConsoleRefund(number) => {
                world.left.console_refunds -= 1;
                let Some(deal) = world.deal_mut(number) else { return };
                let amount = deal.stands().min(2);
                deal.back += amount;
                deal.console += amount;
                Saying::Happened(number, What::Refunded, fact, amount)
            }
            Act::ConsoleRefundBack(number) => {
                numbered = false;
                let Some((of, amount)) = world.console_refund(number) else {
                    return;
                };
                world.left.console_refunds_back -= 1;
                let Some(deal) = world.deal_mut(number) else { return };
                deal.back -= amount;
                deal.console -= amount;
                Saying::Happened(number, What::RefundBack, of, amount)
            }
            Act::Return(number) => {
                world.left.returns -= 1;
                let Some(deal) = world.deal_mut(number) else { return };
                let amount = deal.stands();
                deal.back += amount;
                Saying::Happened(number, What::Returned, fact, amount)
            }
            Act::Dispute(number, opens) => {
                let Some(amount) = world.next_of(scenario.disputes, scenario.left.disputes, left.disputes) else {
                    return;
                };
                world.left.disputes -= 1;
                let id = 100 + scenario.left.disputes - left.disputes;
                let Some(deal) = world.deal_mut(number) else { return };
                deal.disputed += amount;
                deal.disputes.push((amount, opens));
                let what = if opens { What::DisputeOpened } else { What::DisputeLost };
                numbered = false;
                Saying::Happened(number, what, id, amount)
            }
            Act::Verdict(number, which, won) => {
                numbered = false;
                let Some(deal) = world.deal_mut(number) else { return };
                let (amount, open) = &mut deal.disputes[usize::from(which)];
                *open = false;
                let amount = *amount;
                if won {
                    deal.disputed -= amount;
                }
                let what = if won { What::DisputeWon } else { What::DisputeLost };
                let opened = |saying: &Saying| match saying {
                    Saying::Happened(of, What::DisputeOpened, id, said) if *of == number && *said == amount => {
                        Some(*id)
                    }
                    Saying::Happened(..) | Saying::Answer(..) => None,
                };
                let ids: Vec<u8> = world.said.iter().filter_map(|(saying, _)| opened(saying)).collect();
                let Some(id) = ids.into_iter().find(|id| {
                    world.said.iter().all(|(said, _)| !matches!(said, Saying::Happened(_, What::DisputeWon | What::DisputeLost, known, _) if known == id))
                }) else {
                    return;
                };
                Saying::Happened(number, what, id, amount)
            }
            Act::Fee(number) => {
                world.left.fees -= 1;
                let Some(deal) = world.deal_mut(number) else { return };
                deal.fees += 1;
                Saying::Happened(number, What::Fee, fact, 1)
            }
            Act::Receipt(number) => {
                let Some(amount) = world.next_of(scenario.receipts, scenario.left.receipts, left.receipts) else {
                    return;
                };
                world.left.receipts -= 1;
                let Some(deal) = world.deal_mut(number) else { return };
                deal.sold += amount;
                Saying::Happened(number, What::Received, fact, amount)
            }
            _ => return,
        };
        if numbered {
            world.facts = fact;
        }
        world.say(saying, rules);
    }
}

/// Takes an authorise request, or ends one that waited.
fn authorise(deal: &mut Deal, request: Request, tried: Try) -> Saying {
    match tried {
        Try::Act => deal.authorise(request, Auth::Acting(1)),
        Try::Wait => deal.authorise(request, Auth::Waiting),
        Try::No => deal.authorise(request, Auth::Declined),
        Try::Full => deal.approve(request, request.amount),
        Try::Less => deal.approve(request, request.amount - 1),
        Try::More => deal.approve(request, request.amount + 1),
        Try::Foreign => {
            deal.approve(request, request.amount);
            Saying::Answer(request.step, Word::Foreign(request.amount))
        }
    }
}

// ---- commands -------------------------------------------------------------------------------------------------------------------------

/// The command that an act gives to an order.
fn command(order: &Order, act: Act, scenario: &Scenario, left: &Left) -> Option<Command> {
    let running = order.running();
    Some(match act {
        Act::Start => Command::Start {
            number: order.next_attempt(),
            plan: plan(order, scenario),
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

fn budget(left: &mut Left, act: Act) -> Option<&mut u8> {
    Some(match act {
        Act::Start => &mut left.starts,
        Act::Continue | Act::ContinueOld => &mut left.continues,
        Act::Leave => &mut left.leaves,
        Act::Cancel => &mut left.cancels,
        Act::Amend => &mut left.amends,
        Act::Capture => &mut left.captures,
        Act::Increment => &mut left.increments,
        Act::Void => &mut left.voids,
        Act::Refund => &mut left.refunds,
        _ => return None,
    })
}

fn spend(left: &mut Left, act: Act) {
    if let Some(times) = budget(left, act) {
        *times = times.saturating_sub(1);
    }
}

fn give_back(left: &mut Left, act: Act) {
    if let Some(times) = budget(left, act) {
        *times += 1;
    }
}

fn small(index: usize) -> u8 {
    u8::try_from(index).expect("worlds are small")
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
