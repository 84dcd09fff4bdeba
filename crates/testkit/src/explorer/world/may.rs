//! What may happen next in a world.

use florin_core::order::{Command, Open, Place, Standing, StepKind, StepName};
use florin_core::rail::What;
use florin_core::status::{Attention, attention};

use super::{Act, COMMANDS, How, World};
use crate::explorer::provider::{Amount, Auth, Done, Saying, Word};
use crate::explorer::rules::{Mistake, Rules};
use crate::explorer::scenario::{Scenario, Try};

impl World {
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

    pub(super) fn may(&self, act: Act) -> bool {
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
    pub(super) fn may_resend(&self, rules: Rules, index: usize) -> bool {
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

    pub(super) fn arrivals(&self, scenario: &Scenario, index: usize, acts: &mut Vec<Act>) {
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

    pub(super) fn provider_acts(&self, scenario: &Scenario, acts: &mut Vec<Act>) {
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
    pub(super) fn console_refund(&self, attempt: u8) -> Option<(u8, Amount)> {
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
    pub(super) fn person_acts(&self, acts: &mut Vec<Act>) {
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

    pub(super) fn next_of<T: Copy>(&self, list: &[T], all: u8, left: u8) -> Option<T> {
        if left == 0 {
            return None;
        }
        list.get(usize::from(all - left)).copied()
    }
}

fn small(index: usize) -> u8 {
    u8::try_from(index).expect("worlds are small")
}
