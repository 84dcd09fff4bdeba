//! An order with its events and books, driven by short words.

use crate::decline::{Code, Decline};
use crate::event::{self, Event};
use crate::id::{ConnectionId, OrderId};
use crate::ledger::{Account, Balances, between, postings};
use crate::money::{Currency, Money};
use crate::order::*;
use crate::rail::{Action, Instrument, What};
use crate::status::{AttemptStatus, Word, attempts, news, word};
use crate::time::Timestamp;

/// The end of the pay window of every order in these tests.
pub(super) const WINDOW: Timestamp = Timestamp::from_millis(86_400_000);

pub(super) fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

pub(super) fn all() -> Abilities {
    Abilities {
        sale: true,
        cancel: true,
        reverse: true,
        void_sale: true,
        captures: true,
        increment: true,
        push: false,
        stray_s: 3_600,
        action_s: 0,
        refund_days: 0,
    }
}

pub(super) fn plan(amount: Money, can: Abilities) -> Plan {
    Plan {
        channel: "web".into(),
        method: "card_visa".into(),
        instrument: Instrument::Stored("card_visa".into()),
        connection: ConnectionId::from_uuid(uuid::Uuid::from_u128(7)),
        rail: "test".into(),
        amount,
        extras: None,
        initiator: Initiator::Payer,
        can,
    }
}

pub(super) fn page(number: u8) -> Says {
    Says::Acting {
        action: Action::Redirect {
            url: format!("https://bank.example/{number}"),
        },
    }
}

pub(super) fn approved(minor: i64) -> Says {
    Says::Approved {
        money: eur(minor),
        held: None,
        stated: true,
    }
}

pub(super) fn held(minor: i64) -> Says {
    Says::Approved {
        money: eur(minor),
        held: Some(HoldEnd::Unknown),
        stated: true,
    }
}

pub(super) fn released(minor: i64) -> Says {
    Says::Released { moved: eur(minor) }
}

pub(super) fn declined() -> Says {
    Says::Declined(Decline::new(Code::InsufficientFunds))
}

/// An order, everything that happened to it, and its books.
#[derive(Clone)]
pub(super) struct World {
    pub(super) order: Order,
    pub(super) events: Vec<(Timestamp, Event)>,
    pub(super) books: Balances,
    pub(super) now: Timestamp,
    /// The names of all that was told outside.
    pub(super) told: Vec<&'static str>,
    facts: u32,
}

impl World {
    pub(super) fn new(terms: Terms) -> Self {
        let now = Timestamp::from_millis(1_000);
        let (order, event) = Order::open(OrderId::from_uuid(uuid::Uuid::from_u128(1)), terms, now);
        Self {
            told: news(None, &order).iter().map(|one| one.name).collect(),
            order,
            events: vec![(now, event)],
            books: Balances::default(),
            now,
            facts: 0,
        }
    }

    pub(super) fn sale(minor: i64) -> Self {
        Self::new(Terms::payment(eur(minor), WINDOW))
    }

    pub(super) fn hold(minor: i64) -> Self {
        Self::new(Terms {
            capture: CaptureAt::Later,
            ..Terms::payment(eur(minor), WINDOW)
        })
    }

    /// Decides, applies, pays what is owed, and checks what must hold after every event.
    pub(super) fn try_do(&mut self, command: &Command) -> Result<Vec<&'static str>, Refusal> {
        let mut kinds = Vec::new();
        let mut next = self.order.decide(command, self.now)?;
        if let Some(event) = next.take() {
            kinds.push(event.kind());
            self.apply(event);
        }
        while let Some(owed) = self.order.owed() {
            let event = self
                .order
                .decide(&owed, self.now)
                .expect("an owed command is not refused");
            let event = event.unwrap_or_else(|| panic!("{owed:?} does nothing on {:?}", self.order));
            kinds.push(event.kind());
            self.apply(event);
            assert!(kinds.len() < 20, "what is owed does not run dry: {kinds:?}");
        }
        Ok(kinds)
    }

    fn apply(&mut self, event: Event) {
        let before = self.order.clone();
        self.order.apply(&event, self.now);
        assert_eq!(self.order.version, before.version + 1);
        let told = news(Some(&before), &self.order);
        assert!(
            !told.iter().any(|one| one.name == "order.created"),
            "it was created once"
        );
        // Open again while what the last try took is given back: `attempt.reversed` tells when it is.
        let undoing = word(&self.order) == Word::Created
            && attempts(&self.order)
                .iter()
                .any(|attempt| attempt.status == AttemptStatus::Processing);
        assert!(
            word(&before) == word(&self.order) || undoing || !told.is_empty(),
            "its word changed and nobody is told: {event:?}"
        );
        self.told.extend(told.iter().map(|one| one.name));
        let posted = postings(&before, &event);
        assert_eq!(posted, between(&before, &self.order, &event));
        for posting in &posted {
            assert!(
                posting.amount.is_positive() && posting.debit != posting.credit,
                "{posting:?}"
            );
            self.books.add(posting);
        }
        assert!(self.books.off_by().is_empty());
        let text = event::stored(&event);
        assert_eq!(event::read(&text).expect("reads back"), event, "{text}");
        self.events.push((self.now, event));
        let folded = Order::fold(self.events.iter().cloned()).expect("folds");
        assert_eq!(folded, self.order);
        let snapshot = serde_json::to_string(&self.order).unwrap();
        assert_eq!(
            serde_json::from_str::<Order>(&snapshot).unwrap(),
            self.order,
            "{snapshot}"
        );
    }

    /// What a command brings about; it must not be refused.
    pub(super) fn run(&mut self, command: Command) -> Vec<&'static str> {
        self.try_do(&command)
            .unwrap_or_else(|refusal| panic!("{command:?} is refused: {refusal}"))
    }

    /// Why a command is refused.
    pub(super) fn refused(&self, command: Command) -> Refusal {
        self.clone().try_do(&command).expect_err("it should be refused")
    }

    pub(super) fn start(&mut self, can: Abilities) -> Vec<&'static str> {
        let (number, due) = (self.order.next_attempt(), self.order.due);
        self.run(Command::Start {
            number,
            plan: plan(due, can).into(),
        })
    }

    pub(super) fn says(&mut self, step: &str, says: Says) -> Vec<&'static str> {
        let step = step.parse().expect("a step");
        self.run(Command::Fact(Fact::Answer { step, says, note: None }))
    }

    pub(super) fn person_says(&mut self, step: &str, says: Says) -> Vec<&'static str> {
        let step = step.parse().expect("a step");
        self.run(Command::Fact(Fact::Answer {
            step,
            says,
            note: Some("looked it up".into()),
        }))
    }

    pub(super) fn happened(&mut self, attempt: u8, what: What, minor: i64) -> Vec<&'static str> {
        self.facts += 1;
        let id = format!("fact_{}", self.facts);
        self.happened_as(&id, attempt, what, minor)
    }

    pub(super) fn happened_as(&mut self, id: &str, attempt: u8, what: What, minor: i64) -> Vec<&'static str> {
        self.run(Command::Fact(Fact::Happened {
            attempt,
            id: id.into(),
            what,
            money: eur(minor),
        }))
    }

    pub(super) fn capture(&mut self, minor: i64, last: bool) -> Vec<&'static str> {
        let index = self.order.next_capture();
        self.run(Command::Capture {
            index,
            amount: eur(minor),
            last,
        })
    }

    pub(super) fn refund(&mut self, minor: i64) -> Vec<&'static str> {
        let index = self.order.next_refund();
        self.run(Command::Refund {
            index,
            amount: eur(minor),
        })
    }

    pub(super) fn open(&self) -> Vec<String> {
        self.order
            .in_flight()
            .iter()
            .map(|open| format!("{} {:?}", open.step, open.state))
            .collect()
    }

    /// Posted debits without credits.
    pub(super) fn posted(&self, account: Account) -> i128 {
        self.books.account(account, Currency::EUR).posted()
    }

    pub(super) fn pending(&self, account: Account) -> i128 {
        self.books.account(account, Currency::EUR).pending()
    }

    pub(super) fn word(&self) -> &'static str {
        word(&self.order).as_str()
    }

    /// What is in suspense, moving or disputed: empty when all is over.
    pub(super) fn in_between(&self) -> [i128; 4] {
        [
            Account::Suspense,
            Account::RefundsMoving,
            Account::Disputed,
            Account::PayoutMoving,
        ]
        .map(|account| self.posted(account))
    }
}
