//! The provider's own book: what moved, in the order in which it moved.

use std::collections::BTreeMap;

use florin_core::id::{Key, OrderId};
use florin_core::time::Timestamp;

use super::Provider;

/// What moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moved {
    /// Reserved at the payer's bank.
    Held,
    /// Reserved no longer.
    LetGo,
    /// Taken from the payer.
    Taken,
    /// Given back to the payer.
    Back,
    /// Given back, and then with the merchant again.
    BackAgain,
    /// Taken from the merchant while a dispute is open.
    Disputed,
    /// Given to the merchant again.
    DisputeWon,
}

/// One line of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// The payment.
    pub intent: String,
    /// The merchant's name for it.
    pub key: Option<Key>,
    /// What moved.
    pub moved: Moved,
    /// How much.
    pub amount: i64,
    /// In which currency, in lower case.
    pub currency: String,
    /// When.
    pub at: Timestamp,
}

/// How one payment stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stands {
    /// Reserved now.
    pub held: i64,
    /// Taken in all.
    pub taken: i64,
    /// Given back in all.
    pub back: i64,
    /// In disputes that are not won.
    pub disputed: i64,
}

impl Provider {
    /// All that moved.
    pub fn book(&self) -> &[Booked] {
        &self.book
    }

    /// How each payment of an order stands, by attempt.
    pub fn stands(&self, order: OrderId) -> BTreeMap<u8, Stands> {
        let mut attempts: BTreeMap<u8, Stands> = BTreeMap::new();
        for line in &self.book {
            let Some(key) = line.key.filter(|key| key.order() == order) else {
                continue;
            };
            let stands = attempts.entry(key.step().attempt).or_default();
            match line.moved {
                Moved::Held => stands.held += line.amount,
                Moved::LetGo => stands.held -= line.amount,
                Moved::Taken => stands.taken += line.amount,
                Moved::Back => stands.back += line.amount,
                Moved::BackAgain => stands.back -= line.amount,
                Moved::Disputed => stands.disputed += line.amount,
                Moved::DisputeWon => stands.disputed -= line.amount,
            }
        }
        attempts
    }

    /// How often money was asked of the payer of an order: approvals, however they ended.
    pub fn approvals(&self, order: OrderId) -> usize {
        let of = |line: &&Booked| line.key.is_some_and(|key| key.order() == order);
        let mut intents: Vec<&str> = (self.book.iter())
            .filter(of)
            .filter(|line| matches!(line.moved, Moved::Held | Moved::Taken))
            .map(|line| line.intent.as_str())
            .collect();
        intents.dedup();
        intents.sort_unstable();
        intents.dedup();
        intents.len()
    }

    pub(super) fn write(&mut self, intent: &str, moved: Moved, amount: i64, at: Timestamp) {
        let Some(of) = self.intents.get(intent) else { return };
        let line = Booked {
            intent: intent.to_owned(),
            key: of.key(),
            moved,
            amount,
            currency: of.currency.clone(),
            at,
        };
        self.book.push(line);
    }
}
