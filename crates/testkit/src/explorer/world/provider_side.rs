//! What an act leads to between us and the provider, and at the provider.

use florin_core::order::{Command, StepKind, StepName};
use florin_core::rail::{self, What};

use super::{Act, How, Step, World};
use crate::explorer::provider::{Amount, Auth, Deal, Done, Request, Saying, Word};
use crate::explorer::rules::Rules;
use crate::explorer::scenario::{Left, Scenario, Try};

impl World {
    /// The provider says something; it may be heard later, or never. What would change nothing now counts as heard: it may be heard
    /// again later all the same, so no order of hearing is lost, and there are fewer worlds.
    pub(super) fn say(&mut self, saying: Saying, rules: Rules) {
        if self.said.iter().all(|(said, _)| *said != saying) {
            let old = rules.decide(&self.order, &Command::Fact(saying.fact(false))) == Ok(None);
            self.said.push((saying, old));
            self.said.sort_unstable();
        }
    }

    /// The provider says something and is heard at once.
    pub(super) fn hear(&mut self, saying: Saying, rules: Rules) {
        self.say(saying, rules);
        for (said, heard) in &mut self.said {
            *heard |= *said == saying;
        }
    }

    /// Everything in flight is sent, once; it may arrive whenever it likes.
    pub(super) fn send(&mut self) {
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
    pub(super) fn settle(&mut self) {
        self.order.version = 0;
        self.order.booked.sort_unstable();
        if let Some(reading) = self.other.as_mut() {
            reading.moved = true;
        }
    }
}

impl Step {
    pub(super) fn arrive(&mut self, index: u8, how: How, rules: Rules) {
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

    pub(super) fn spend_refusal(&mut self, request: Request, how: How, before: Left) {
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
    pub(super) fn resend(&mut self, index: u8) {
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

    pub(super) fn provider_acts(&mut self, act: Act, scenario: &Scenario, rules: Rules) {
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
