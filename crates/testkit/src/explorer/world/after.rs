//! What an act leads to on our side: commands, facts, commits, questions and reports.

use florin_core::event::Event;
use florin_core::order::{Command, Fact, Order, Phase, Place, Refusal, Says, StepName};
use florin_core::rail::What;

use super::{Act, COMMANDS, Reading, Step, World, command};
use crate::explorer::laws::{self, Broken};
use crate::explorer::provider::{Amount, Auth, Deal, Saying, Word};
use crate::explorer::rules::{Mistake, NOW, Rules};
use crate::explorer::scenario::{Left, Scenario};

impl World {
    /// The moment after `act`; none if nothing changes.
    pub(in crate::explorer) fn after(&self, act: Act, scenario: &Scenario, rules: Rules) -> Option<Step> {
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
    pub(super) fn changes_nothing(&self, act: Act, scenario: &Scenario, rules: Rules) -> bool {
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

impl Step {
    pub(super) fn carry_out(&mut self, act: Act, scenario: &Scenario, rules: Rules) {
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
    pub(super) fn run(&mut self, command: &Command, rules: Rules) -> bool {
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

    pub(super) fn refused(&mut self, command: &Command, refusal: &Refusal) {
        if !may_be_refused_by_rules(command) {
            self.breaks(5, format!("{command:?} is refused: {refusal}"));
        }
    }

    pub(super) fn breaks(&mut self, law: u8, how: String) {
        self.broken.get_or_insert(Broken { law, how });
    }

    pub(super) fn record(&mut self, event: &Event, rules: Rules) {
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
    pub(super) fn read(&mut self, act: Act) {
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
    pub(super) fn commit(&mut self, scenario: &Scenario, rules: Rules) {
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
    pub(super) fn send_unwritten(&mut self, scenario: &Scenario, rules: Rules) {
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

    pub(super) fn ask(&mut self, name: StepName, by_person: bool, rules: Rules) {
        if let Some(word) = self.world.deal(name.attempt).and_then(|deal| deal.word(name)) {
            let saying = Saying::Answer(name, word);
            self.world.hear(saying, rules);
            self.run(&Command::Fact(saying.fact(by_person)), rules);
        }
    }

    /// A person reports that nothing of an attempt stands, and what they see went back of it in all.
    pub(super) fn report(&mut self, number: u8, rules: Rules) {
        self.world.left.reports = self.world.left.reports.saturating_sub(1);
        self.reports_undone(number, rules);
    }

    pub(super) fn reports_undone(&mut self, number: u8, rules: Rules) {
        let Some(deal) = self.world.deal(number) else { return };
        let saying = Saying::Answer(StepName::authorize(number), Word::Undone(deal.sent_back()));
        self.run(&Command::Fact(saying.fact(true)), rules);
    }

    /// What a person does when nothing else helps: sends money of a stray back, gives a hold or a surplus back at the console, and
    /// reports it, unless the provider tells of it.
    pub(super) fn repair(&mut self, number: u8, scenario: &Scenario, rules: Rules) {
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
