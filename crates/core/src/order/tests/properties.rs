//! Random commands and facts, also absurd ones, against a model that reads events and knows nothing of the machine's state.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::kit::*;
use crate::decline::{Code, Decline};
use crate::event::Event;
use crate::ledger::Account;
use crate::money::{Currency, Money};
use crate::order::*;
use crate::rail::What;
use crate::status::{amounts, attempts, deliverable, news, word};
use crate::time::Timestamp;

/// What money did for one attempt, added up from events alone.
#[derive(Clone, Debug, Default)]
struct Tally {
    asked: i128,
    sold: i128,
    moved: BTreeMap<StepName, (i128, i128)>,
    reserved: BTreeMap<StepName, i128>,
    elsewhere: i128,
    refunded_elsewhere: i128,
    console_refunds: BTreeMap<String, i128>,
    refunds_back: i128,
    returned: i128,
    sale_back: i128,
    undone: i128,
    undone_back: i128,
    /// What a person saw go back in all, and what of that undoes had sent back.
    seen: Option<(i128, Option<i128>)>,
    /// The undo whose end is not known.
    out: Option<StepName>,
    disputes: BTreeMap<String, (i128, i128)>,
    fees: i128,
    /// It runs: only of such a one a sale that was taken back is proof that it had been paid.
    runs: bool,
    undoing: bool,
    canceled: bool,
    held: bool,
}

impl Tally {
    /// A sale that was taken back whole had been made.
    fn taken_back(&mut self, back: i128) {
        self.sale_back = self.sale_back.max(back);
        if back >= self.asked && self.runs && !self.undoing && !self.canceled && !self.held {
            self.sold = self.sold.max(back);
            self.runs = false;
        }
    }

    fn sum(&self, kind: StepKind, of: impl Fn(&(i128, i128)) -> i128) -> i128 {
        self.moved
            .iter()
            .filter(|(name, _)| name.kind == kind)
            .map(|(_, moved)| of(moved))
            .sum()
    }

    fn disputed(&self) -> i128 {
        self.disputes.values().map(|(open, lost)| open + lost).sum()
    }

    /// What of undoes and console refunds came again.
    fn again(&self) -> i128 {
        self.undone_back + self.refunds_back
    }

    /// What a person saw go back, and the provider has not told.
    fn untold(&self) -> i128 {
        self.seen.map_or(0, |(in_all, undone)| {
            let told = undone.map_or(self.undone, |undone| undone.min(self.undone)) + self.refunded_elsewhere;
            (in_all - told).max(0)
        })
    }

    fn sent_back(&self) -> i128 {
        self.undone + self.refunded_elsewhere + self.untold() - self.again()
    }

    /// What the provider owes for this attempt.
    fn receivable(&self) -> i128 {
        let heard = self.sold + self.elsewhere + self.sum(StepKind::Capture, |moved| moved.0);
        let came_back = [
            self.undone,
            self.returned + self.sale_back,
            self.refunded_elsewhere - self.refunds_back + self.untold(),
            self.disputed(),
        ]
        .into_iter()
        .max()
        .unwrap_or(0);
        let seen = self.seen.map_or(0, |_| self.sent_back());
        let taken = heard.max(came_back.min(self.asked)).max(self.undone).max(seen);
        let back = self.sent_back()
            + self.returned
            + self.sale_back
            + self.sum(StepKind::Capture, |moved| moved.1)
            + self.sum(StepKind::Refund, |moved| moved.0 - moved.1);
        taken - back - self.disputed() - self.fees
    }
}

#[derive(Clone, Debug, Default)]
struct Model(BTreeMap<u8, Tally>);

impl Model {
    fn hear(&mut self, event: &Event) {
        let minor = |money: &Money| i128::from(money.minor());
        if let Event::Resolved { event, .. } = event
            && let Event::Undone { step, moved } = &**event
            && step.kind == StepKind::Authorize
        {
            let tally = self.of(step.attempt);
            if minor(moved) >= tally.sent_back() {
                let in_all = (minor(moved) + tally.again()).min(i64::MAX.into());
                tally.seen = Some((in_all, tally.out.is_none().then_some(tally.undone)));
            }
            tally.runs = false;
            return;
        }
        match event.plain() {
            Event::Started { attempt, plan } => {
                let tally = self.of(*attempt);
                (tally.asked, tally.runs) = (minor(&plan.amount), true);
            }
            Event::Unasked { attempt, amount, .. } => {
                let tally = self.of(*attempt);
                (tally.asked, tally.sold) = (minor(amount), minor(amount));
            }
            Event::Approved {
                attempt,
                amount,
                held: None,
            }
            | Event::Seen {
                attempt,
                amount,
                held: None,
            }
            | Event::Unwanted {
                attempt,
                amount,
                held: None,
            } => {
                let tally = self.of(*attempt);
                tally.sold = tally.sold.max(minor(amount));
                tally.runs &= matches!(event.plain(), Event::Seen { .. });
            }
            Event::Seen { attempt, .. } => self.of(*attempt).held = true,
            Event::Approved { attempt, .. }
            | Event::Unwanted { attempt, .. }
            | Event::Adopted { attempt }
            | Event::LeftStray { attempt } => self.of(*attempt).runs = false,
            Event::Leaving {
                attempt,
                why: Leaving::Cancel,
            } => self.of(*attempt).canceled = true,
            Event::Received { attempt, amount, .. } => self.of(*attempt).sold += minor(amount),
            Event::StepStarted { step, amount, .. } if step.kind == StepKind::Refund => {
                self.of(step.attempt).reserved.insert(*step, minor(amount));
            }
            Event::StepStarted { step, .. } if matches!(step.kind, StepKind::Cancel | StepKind::Reverse) => {
                let tally = self.of(step.attempt);
                (tally.undoing, tally.out) = (true, Some(*step));
                if let Some((_, undone)) = &mut tally.seen {
                    undone.get_or_insert(tally.undone);
                }
            }
            Event::Declined { step, .. } => {
                let tally = self.of(step.attempt);
                tally.reserved.remove(step);
                tally.runs &= step.kind != StepKind::Authorize;
                tally.undoing &= !matches!(step.kind, StepKind::Cancel | StepKind::Reverse);
                tally.out = tally.out.filter(|out| out != step);
            }
            Event::Captured { step, amount } | Event::Refunded { step, amount } => {
                let tally = self.of(step.attempt);
                tally.reserved.remove(step);
                let moved = tally.moved.entry(*step).or_default();
                moved.0 = moved.0.max(minor(amount));
            }
            Event::TakenBack { step, amount } => {
                let tally = self.of(step.attempt);
                match step.kind {
                    StepKind::Authorize => tally.taken_back(minor(amount)),
                    StepKind::Cancel | StepKind::Reverse => {
                        tally.undone_back = tally.undone_back.max(minor(amount));
                        tally.undone = tally.undone.max(minor(amount));
                    }
                    StepKind::Capture | StepKind::Void | StepKind::Increment | StepKind::Refund => {
                        tally.reserved.remove(step);
                        let moved = tally.moved.entry(*step).or_default();
                        *moved = (moved.0.max(minor(amount)), minor(amount));
                    }
                }
            }
            Event::Undone { step, moved } => {
                let tally = self.of(step.attempt);
                tally.undone = tally.undone.max(minor(moved));
                tally.out = tally.out.filter(|out| out != step);
                tally.runs = false;
            }
            Event::CapturedElsewhere { attempt, amount, .. } => self.of(*attempt).elsewhere += minor(amount),
            Event::RefundedElsewhere { attempt, id, amount } => {
                let tally = self.of(*attempt);
                tally.refunded_elsewhere += minor(amount);
                tally.console_refunds.insert(id.clone(), minor(amount));
            }
            Event::RefundBackElsewhere { attempt, id, amount } => {
                let tally = self.of(*attempt);
                let heard = tally.console_refunds.contains_key(id);
                if heard || tally.seen.is_some() {
                    tally.refunds_back += minor(amount);
                }
                if !heard && tally.seen.is_some() {
                    tally.refunded_elsewhere += minor(amount);
                }
            }
            Event::Returned { attempt, amount, .. } => self.of(*attempt).returned += minor(amount),
            Event::Disputed {
                attempt,
                id,
                verdict,
                amount,
            } => {
                let dispute = self.of(*attempt).disputes.entry(id.clone()).or_default();
                *dispute = match verdict {
                    Verdict::Open => (minor(amount), 0),
                    Verdict::Won => (0, 0),
                    Verdict::Lost => (0, minor(amount)),
                };
            }
            Event::Fee { attempt, amount, .. } if amount.currency() == Currency::EUR => {
                self.of(*attempt).fees += minor(amount)
            }
            _ => {}
        }
    }

    fn of(&mut self, attempt: u8) -> &mut Tally {
        self.0.entry(attempt).or_default()
    }

    fn receivable(&self) -> i128 {
        self.0.values().map(Tally::receivable).sum()
    }

    fn moving(&self) -> i128 {
        self.0.values().flat_map(|tally| tally.reserved.values()).sum()
    }
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0_i64..6, 1 => Just(-1), 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => Just(i64::MAX - 1)]
}

fn money_any() -> impl Strategy<Value = Money> {
    (
        amount(),
        prop_oneof![12 => Just(Currency::EUR), 1 => Just(Currency::USD)],
    )
        .prop_map(|(minor, currency)| Money::new(minor, currency))
}

fn step_any() -> impl Strategy<Value = StepName> {
    let kind = prop_oneof![
        6 => Just(StepKind::Authorize),
        2 => Just(StepKind::Cancel),
        2 => Just(StepKind::Reverse),
        3 => Just(StepKind::Capture),
        2 => Just(StepKind::Void),
        1 => Just(StepKind::Increment),
        3 => Just(StepKind::Refund),
    ];
    (
        prop_oneof![6 => Just(1_u8), 3 => Just(2), 1 => 0_u8..16],
        kind,
        prop_oneof![5 => Just(0_u8), 2 => Just(1), 1 => 0_u8..8],
    )
        .prop_map(|(attempt, kind, index)| {
            StepName::new(attempt, kind, if kind == StepKind::Authorize { 0 } else { index })
        })
}

fn says() -> impl Strategy<Value = Says> {
    let end = prop_oneof![
        Just(None),
        Just(Some(HoldEnd::Unknown)),
        any::<i64>().prop_map(|ms| Some(HoldEnd::At(Timestamp::from_millis(ms))))
    ];
    prop_oneof![
        2 => (0_u8..4).prop_map(page),
        2 => Just(Says::Pending),
        2 => Just(Says::Uncertain),
        8 => (money_any(), end, any::<bool>()).prop_map(|(money, held, stated)| Says::Approved { money, held, stated }),
        4 => any::<prop::sample::Index>().prop_map(|index| Says::Declined(Decline::new(*index.get(Code::ALL)))),
        3 => money_any().prop_map(|moved| Says::Released { moved }),
        2 => money_any().prop_map(|money| Says::TakenBack { money }),
        1 => Just(Says::Stuck { why: "nobody".into() }),
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        Just(What::HoldGone),
        Just(What::Captured),
        Just(What::Voided),
        Just(What::Refunded),
        Just(What::RefundBack),
        Just(What::Returned),
        Just(What::DisputeOpened),
        Just(What::DisputeWon),
        Just(What::DisputeLost),
        Just(What::Fee),
        Just(What::Received),
    ]
}

/// A command that is completed with what the order knows: the next index, what is due.
#[derive(Clone, Debug)]
enum Wish {
    Start(Abilities),
    Given(Command),
    Capture(i64, bool),
    Refund(i64),
    Increment(i64),
    Timer(prop::sample::Index),
    Again(prop::sample::Index),
}

fn wish() -> impl Strategy<Value = Wish> {
    let can = any::<[bool; 7]>().prop_map(|can| Abilities {
        sale: can[0],
        cancel: can[1],
        reverse: can[2],
        void_sale: can[3],
        captures: can[4],
        increment: can[5],
        push: can[6],
        ..Abilities::default()
    });
    let answer = (step_any(), says(), any::<bool>()).prop_map(|(step, says, person)| {
        Wish::Given(Command::Fact(Fact::Answer {
            step,
            says,
            note: person.then(String::new),
        }))
    });
    let happened = (1_u8..4, 0_u8..12, what(), money_any()).prop_map(|(attempt, id, what, money)| {
        Wish::Given(Command::Fact(Fact::Happened {
            attempt,
            id: id.to_string(),
            what,
            money,
        }))
    });
    let plain = prop_oneof![
        Just(Command::Cancel),
        Just(Command::Void),
        Just(Command::Describe),
        (1_u8..4).prop_map(|attempt| Command::Leave { attempt }),
        (1_u8..4, 0_u16..3).prop_map(|(attempt, action)| Command::Continue { attempt, action }),
        amount().prop_map(|due| Command::Amend { due: eur(due) }),
        step_any().prop_map(|step| Command::AnswerOver { step }),
        step_any().prop_map(|step| Command::UncertainLong { step }),
    ];
    prop_oneof![
        3 => can.prop_map(Wish::Start),
        10 => answer,
        4 => happened,
        3 => plain.prop_map(Wish::Given),
        2 => (amount(), any::<bool>()).prop_map(|(amount, last)| Wish::Capture(amount, last)),
        3 => amount().prop_map(Wish::Refund),
        1 => amount().prop_map(Wish::Increment),
        3 => any::<prop::sample::Index>().prop_map(Wish::Timer),
        2 => any::<prop::sample::Index>().prop_map(Wish::Again),
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    let capture = prop_oneof![
        3 => Just(CaptureAt::Once),
        3 => Just(CaptureAt::Later),
        1 => any::<i64>().prop_map(|ms| CaptureAt::At(Timestamp::from_millis(ms)))
    ];
    let kind = prop_oneof![8 => Just(Kind::Payment), 1 => Just(Kind::Verify), 2 => Just(Kind::Credit)];
    (
        kind,
        prop_oneof![6 => 1_i64..6, 1 => Just(i64::MAX)],
        capture,
        any::<bool>(),
        1_u8..4,
    )
        .prop_map(|(kind, minor, capture, accept_partial, attempts_max)| Terms {
            kind,
            amount: eur(if kind == Kind::Verify { 0 } else { minor }),
            capture,
            accept_partial,
            expires_at: WINDOW,
            attempts_max,
        })
}

fn is_fact_or_timer(command: &Command) -> bool {
    match command {
        Command::Fact(_)
        | Command::WindowOver
        | Command::HoldOver
        | Command::CaptureDue
        | Command::AnswerOver { .. }
        | Command::ActionOver { .. }
        | Command::ReverseAgain { .. }
        | Command::StrayOver { .. }
        | Command::UncertainLong { .. }
        | Command::Owed(_)
        | Command::Describe => true,
        Command::Start { .. }
        | Command::Continue { .. }
        | Command::Leave { .. }
        | Command::Cancel
        | Command::Amend { .. }
        | Command::Capture { .. }
        | Command::Increment { .. }
        | Command::Void
        | Command::Refund { .. } => false,
    }
}

/// What holds after every command (`World::apply` checks fold, snapshot and zero sums after every event).
fn holds(world: &World, model: &Model, console: bool) {
    for past in &world.order.past {
        assert!(
            !matches!(past.attempt.standing, Standing::Sent | Standing::Uncertain),
            "law 1: {:?}",
            past.attempt
        );
    }
    let amounts = amounts(&world.order);
    if world.order.terms.kind == Kind::Payment {
        assert_eq!(
            world.posted(Account::Receivable),
            model.receivable(),
            "{:?}",
            world.events
        );
        assert_eq!(world.posted(Account::RefundsMoving), -model.moving());
        assert!(world.posted(Account::Suspense) <= 0, "suspense never owes");
        let in_dispute: i128 = model
            .0
            .values()
            .flat_map(|tally| tally.disputes.values())
            .map(|(open, _)| open)
            .sum();
        assert_eq!(world.posted(Account::Disputed), in_dispute);
    }
    if !console && let Some(winner) = world.order.winner() {
        let charge = &winner.charge;
        if charge.hold.is_some() {
            assert!(
                charge.captured() + winner.held() <= charge.granted().max(charge.captured()),
                "law 4"
            );
        }
        assert!(
            charge.refunded() + charge.refunding() <= winner.taken(),
            "law 4: {charge:?}"
        );
    }
    let _ = (
        deliverable(&world.order),
        attempts(&world.order),
        word(&world.order),
        amounts,
    );
    assert!(
        news(Some(&world.order), &world.order).is_empty(),
        "nothing changed, nothing is news"
    );
    for (at, timer) in world.order.timers() {
        let fires = world.order.decide(&timer, at);
        assert!(
            matches!(fires, Ok(Some(_))),
            "{timer:?} runs and does nothing: {fires:?}"
        );
    }
}

fn complete(world: &World, wish: Wish, said: &[Command]) -> Option<Command> {
    let order = &world.order;
    Some(match wish {
        Wish::Start(can) => Command::Start {
            number: order.next_attempt(),
            plan: plan(order.due, can).into(),
        },
        Wish::Given(command) => command,
        Wish::Capture(amount, last) => Command::Capture {
            index: order.next_capture(),
            amount: eur(amount),
            last,
        },
        Wish::Refund(amount) => Command::Refund {
            index: order.next_refund(),
            amount: eur(amount),
        },
        Wish::Increment(by) => Command::Increment {
            index: order.next_increment(),
            by: eur(by),
        },
        Wish::Timer(index) => {
            let timers = order.timers();
            if timers.is_empty() {
                return None;
            }
            index.get(&timers).1.clone()
        }
        Wish::Again(_) if said.is_empty() => return None,
        Wish::Again(index) => index.get(said).clone(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_and_said_the_books_are_what_moved(terms in terms(), wishes in prop::collection::vec(wish(), 1..40)) {
        let mut world = World::new(terms);
        let mut model = Model::default();
        let mut said = Vec::new();
        let mut console = false;
        for wish in wishes {
            let Some(command) = complete(&world, wish, &said) else { continue };
            let seen = world.events.len();
            match world.try_do(&command) {
                Ok(_) => {}
                Err(refusal) => prop_assert!(!is_fact_or_timer(&command), "{command:?} is refused: {refusal}"),
            }
            for (_, event) in &world.events[seen..] {
                model.hear(event);
            }
            // Only facts may break the bounds of law 4, and a step that was refused and then done.
            console |= matches!(command, Command::Fact(_));
            if matches!(command, Command::Fact(_)) {
                said.push(command);
            }
            holds(&world, &model, console);
        }
        let order = &world.order;
        prop_assert_eq!(order.version as usize, world.events.len());
    }

    #[test]
    fn a_fact_that_is_heard_again_changes_nothing(terms in terms(), wishes in prop::collection::vec(wish(), 1..30)) {
        let mut world = World::new(terms);
        for wish in wishes {
            let Some(command) = complete(&world, wish, &[]) else { continue };
            let fact = matches!(command, Command::Fact(Fact::Happened { .. }));
            if world.try_do(&command).is_ok() && fact {
                let version = world.order.version;
                prop_assert_eq!(world.try_do(&command), Ok(Vec::new()));
                prop_assert_eq!(world.order.version, version);
            }
        }
    }

    #[test]
    fn a_step_that_is_asked_for_again_answers_as_before_and_another_body_is_a_conflict(wishes in prop::collection::vec(wish(), 1..30)) {
        let mut world = World::new(Terms { capture: CaptureAt::Later, ..Terms::payment(eur(5), WINDOW) });
        world.start(all());
        world.says("1/auth/0", held(5));
        for wish in wishes {
            let Some(command) = complete(&world, wish, &[]) else { continue };
            let asked = world.try_do(&command).is_ok_and(|kinds| kinds.first() == Some(&"step_started"));
            let other = match &command {
                Command::Capture { index, amount, last } => Command::Capture { index: *index, amount: *amount, last: !last },
                Command::Refund { index, amount } => Command::Refund { index: *index, amount: amount.with_minor(amount.minor().wrapping_add(1)) },
                Command::Increment { index, by } => Command::Increment { index: *index, by: by.with_minor(by.minor().wrapping_add(1)) },
                _ => continue,
            };
            if asked {
                prop_assert_eq!(world.try_do(&command), Ok(Vec::new()));
                prop_assert_eq!(world.try_do(&other), Err(Refusal::Conflict));
            }
        }
    }
}
