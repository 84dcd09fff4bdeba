//! Random lives of orders with an honest bank, told late, twice and in any order: the model is the bank's own book.
//!
//! The bank knows nothing of the machine: it has money and holds, does each step once, and remembers what it said. Whatever is decided
//! on the way, afterwards every law holds and the ledger is the bank's book.

use std::collections::BTreeMap;

use florin_core::order::{Open, Place as Standing};
use florin_core::rail::{Action, What};

use super::*;

/// Steps of all walks together; a night does a million.
const STEPS: usize = 12_000;
const STEPS_FULL: usize = 1_000_000;
/// Steps of one order's life before everything is told and it is left to end.
const LIFE: usize = 40;
/// Turns in which an order must have ended after that: timers included.
const ENDS: usize = 400;

/// Dice that say their seed: xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn amount(&mut self, most: i64) -> i64 {
        1 + i64::try_from(self.roll(most.max(1).unsigned_abs())).unwrap()
    }
}

/// What one attempt has at the bank.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    held: i64,
    taken: i64,
    back: i64,
    disputed: i64,
    /// Nothing can be approved any more.
    closed: bool,
}

impl Account {
    fn left(&self) -> i64 {
        self.taken - self.back - self.disputed
    }
}

/// An honest bank: each step once, the same answer for ever.
struct Bank {
    accounts: BTreeMap<u8, Account>,
    said: BTreeMap<StepName, Says>,
    /// What it will still tell, in any order.
    telling: Vec<Fact>,
    facts: usize,
    disputes: Vec<(u8, String, i64)>,
}

impl Bank {
    fn new() -> Self {
        Self {
            accounts: BTreeMap::new(),
            said: BTreeMap::new(),
            telling: Vec::new(),
            facts: 0,
            disputes: Vec::new(),
        }
    }

    /// Does a step, unless it did it before; answers how it stands.
    fn does(&mut self, step: StepName, amount: i64, sale: bool, last: bool, dice: &mut Dice) -> Says {
        if let Some(said) = self.said.get(&step) {
            return said.clone();
        }
        let account = self.accounts.entry(step.attempt).or_default();
        let no = || Says::Declined(Decline::new(Code::InsufficientFunds));
        let done = |minor: i64, held: bool| Says::Approved {
            money: eur(minor),
            held: held.then_some(HoldEnd::Unknown),
            stated: true,
        };
        let says = match step.kind {
            StepKind::Authorize if account.closed || dice.roll(4) == 0 => {
                account.closed = true;
                no()
            }
            StepKind::Authorize if sale => {
                account.taken += amount;
                done(amount, false)
            }
            StepKind::Authorize => {
                account.held += amount;
                done(amount, true)
            }
            StepKind::Capture if account.held < amount || dice.roll(6) == 0 => no(),
            StepKind::Capture => {
                account.held = if last { 0 } else { account.held - amount };
                account.taken += amount;
                done(amount, false)
            }
            StepKind::Void if dice.roll(6) == 0 => no(),
            StepKind::Void => {
                account.held = 0;
                Says::Released { moved: eur(0) }
            }
            StepKind::Refund if account.left() < amount || dice.roll(5) == 0 => no(),
            StepKind::Refund => {
                account.back += amount;
                done(amount, false)
            }
            StepKind::Cancel if account.held > 0 || account.taken > 0 => no(),
            StepKind::Reverse if dice.roll(6) == 0 => no(),
            StepKind::Cancel | StepKind::Reverse => {
                let moved = account.left();
                (account.held, account.back, account.closed) = (0, account.back + moved, true);
                Says::Released { moved: eur(moved) }
            }
            StepKind::Increment => no(),
        };
        self.said.insert(step, says.clone());
        says
    }

    /// Something happens at the bank that nobody of ours asked for.
    fn happens(&mut self, winner: u8, dice: &mut Dice) {
        let account = self.accounts.entry(winner).or_default();
        let left = account.left();
        if left <= 0 {
            return;
        }
        self.facts += 1;
        let id = format!("fact {}", self.facts);
        let amount = dice.amount(left);
        let what = match dice.roll(3) {
            0 => {
                account.back += amount;
                What::Refunded
            }
            1 => {
                account.back += amount;
                What::Returned
            }
            _ => {
                account.disputed += amount;
                self.disputes.push((winner, id.clone(), amount));
                What::DisputeOpened
            }
        };
        self.telling.push(Fact::Happened {
            attempt: winner,
            id,
            what,
            money: eur(amount),
        });
    }

    /// A dispute ends.
    fn judges(&mut self, dice: &mut Dice) {
        let Some((attempt, id, amount)) = self.disputes.pop() else {
            return;
        };
        let won = dice.roll(2) == 0;
        if won && let Some(account) = self.accounts.get_mut(&attempt) {
            account.disputed -= amount;
        }
        self.telling.push(Fact::Happened {
            attempt,
            id,
            what: if won { What::DisputeWon } else { What::DisputeLost },
            money: eur(amount),
        });
    }
}

/// One order, its bank, and what is on the way between them.
struct Life {
    story: Story,
    bank: Bank,
    dice: Dice,
}

impl Life {
    fn new(number: u128, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let capture = match dice.roll(3) {
            0 => CaptureAt::Once,
            1 => CaptureAt::Later,
            _ => CaptureAt::At(T.plus_seconds(3_600)),
        };
        Self {
            story: Story::open(number, capture),
            bank: Bank::new(),
            dice,
        }
    }

    /// Asks, tells or lets time pass. Answers whether anything happened.
    fn command(&mut self, command: Command) -> bool {
        let story = &mut self.story;
        let Ok(Some(event)) = story.order.decide(&command, story.now) else {
            return false;
        };
        story.forced(event);
        while let Some(owed) = story.order.owed() {
            let event = story.order.decide(&owed, story.now).expect("what is owed is allowed");
            story.forced(event.expect("what is owed happens"));
        }
        story.row();
        true
    }

    fn step(&mut self) {
        match self.dice.roll(10) {
            0..=2 => self.merchant(),
            3..=5 => self.works(),
            6 | 7 => self.tells(),
            8 => {
                if let Some(winner) = self.story.order.winner().map(|winner| winner.number) {
                    self.bank.happens(winner, &mut self.dice);
                }
                if self.dice.roll(3) == 0 {
                    self.bank.judges(&mut self.dice);
                }
            }
            _ => self.time(),
        }
    }

    /// The merchant asks for something, sensible or not.
    fn merchant(&mut self) {
        let (order, dice) = (&self.story.order, &mut self.dice);
        let number = order.next_attempt();
        let command = match dice.roll(9) {
            0..=3 => {
                let mut plan = self.story.plan();
                plan.can.sale = dice.roll(2) == 0;
                plan.can.cancel = dice.roll(3) > 0;
                let plan = plan.into();
                Command::Start { number, plan }
            }
            4 => Command::Leave {
                attempt: number.saturating_sub(1),
            },
            5 => Command::Capture {
                index: order.next_capture(),
                amount: eur(dice.amount(1_100)),
                last: dice.roll(2) == 0,
            },
            6 => Command::Refund {
                index: order.next_refund(),
                amount: eur(dice.amount(700)),
            },
            7 => Command::Void,
            _ if dice.roll(4) == 0 => Command::Cancel,
            _ => Command::Amend {
                due: eur(dice.amount(1_500)),
            },
        };
        self.command(command);
    }

    /// The bank works on something that is in flight, and says so now, later, or first that nobody knows.
    fn works(&mut self) {
        let open = self.story.order.in_flight();
        if open.is_empty() {
            return;
        }
        let at = usize::try_from(self.dice.roll(open.len() as u64)).unwrap();
        let (step, amount, last, state) = (open[at].step, open[at].amount.minor(), open[at].last, open[at].state);
        let sale = open[at].task == florin_core::rail::Step::Sale;
        let asks = step.kind == StepKind::Authorize && state == Open::Sent && self.dice.roll(4) == 0;
        let says = if asks && !self.bank.said.contains_key(&step) {
            let url = "https://bank.example/3ds".to_owned();
            Says::Acting {
                action: Action::Redirect { url },
            }
        } else {
            self.bank.does(step, amount, sale, last, &mut self.dice)
        };
        let answer = |says| Fact::Answer { step, says, note: None };
        match self.dice.roll(4) {
            0 => {
                self.command(Command::Fact(answer(Says::Uncertain)));
                self.bank.telling.push(answer(says));
            }
            1 => self.bank.telling.push(answer(says)),
            _ => {
                self.command(Command::Fact(answer(says)));
            }
        }
    }

    /// Something that is on the way arrives; perhaps it will arrive again.
    fn tells(&mut self) {
        if self.bank.telling.is_empty() {
            return;
        }
        let at = usize::try_from(self.dice.roll(self.bank.telling.len() as u64)).unwrap();
        let fact = if self.dice.roll(3) == 0 {
            self.bank.telling[at].clone()
        } else {
            self.bank.telling.remove(at)
        };
        self.command(Command::Fact(fact));
    }

    /// The next timer rings.
    fn time(&mut self) {
        let next = self.story.order.timers().into_iter().min_by_key(|(at, _)| *at);
        if let Some((at, command)) = next {
            self.story.now = self.story.now.max(at);
            self.command(command);
        }
    }

    /// Everything is told, everything is asked, time goes on: the order must end.
    fn ends(&mut self) {
        for _ in 0..ENDS {
            while let Some(fact) = self.bank.telling.pop() {
                self.command(Command::Fact(fact));
            }
            let open: Vec<_> = self
                .story
                .order
                .in_flight()
                .iter()
                .map(|open| (open.step, open.amount.minor(), open.task, open.last))
                .collect();
            let mut moved = false;
            for (step, amount, task, last) in open {
                let sale = task == florin_core::rail::Step::Sale;
                let says = self.bank.does(step, amount, sale, last, &mut self.dice);
                let fact = Fact::Answer { step, says, note: None };
                moved |= self.command(Command::Fact(fact));
            }
            if !moved {
                if self.story.order.timers().is_empty() {
                    break;
                }
                self.time();
            }
        }
        let order = &self.story.order;
        assert_eq!(order.timers(), [], "it never ends: {order:#?}");
        // Only a hold that nobody may take or give back stays open, and then a person is called.
        assert!(
            order.in_flight().is_empty() || !status::attention(order).is_empty(),
            "something never ended: {order:#?}"
        );
    }

    /// Where the ledger is not the bank's book.
    fn differences(&self) -> Vec<String> {
        let order = &self.story.order;
        let mut wrong = Vec::new();
        let mut charged = 0;
        for (place, attempt) in order.attempts() {
            let bank = self.bank.accounts.get(&attempt.number).copied().unwrap_or_default();
            let ours = (ledger::receivable(attempt), attempt.held());
            let theirs = (i128::from(bank.left()), i128::from(bank.held));
            if ours != theirs {
                wrong.push(format!(
                    "attempt {} ({place:?}): ours {ours:?}, the bank's {theirs:?}",
                    attempt.number
                ));
            }
            charged += usize::from(bank.left() > 0 || bank.held > 0);
            if place != Standing::Winner && (bank.left() > 0 || bank.held > 0) && status::attention(order).is_empty() {
                wrong.push(format!("attempt {} is charged, and nobody was called", attempt.number));
            }
        }
        if charged > 1 && status::attention(order).is_empty() {
            wrong.push(format!("{charged} attempts are charged"));
        }
        wrong
    }
}

#[tokio::test]
async fn fault_52_random_lives_of_orders_keep_every_law_and_end_with_the_banks_book() {
    let full = std::env::var_os("FLORIN_FULL").is_some_and(|full| !full.is_empty() && full != "0");
    let given = std::env::var("FLORIN_SEED").ok().and_then(|seed| seed.parse().ok());
    let (mut seed, mut steps): (u64, usize) = (given.unwrap_or(52), 0);
    let wanted = if full { STEPS_FULL } else { STEPS };
    while steps < wanted {
        let mut batches = Vec::new();
        for number in 1..=20 {
            seed += 1;
            let mut life = Life::new(number, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            for _ in 0..LIFE {
                life.step();
            }
            life.ends();
            steps += life.story.order.version as usize;
            assert_eq!(
                life.differences(),
                Vec::<String>::new(),
                "FLORIN_SEED={}: {:#?}",
                seed - 1,
                life.story.order
            );
            batches.push(life.story.batch());
        }
        let store = fold(store_of(&batches).await).await;
        assert_eq!(findings(&store).await, [], "FLORIN_SEED={}", seed - 20);
    }
}
