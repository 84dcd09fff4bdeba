//! The quantities that an attempt's books consist of, read from its state.

use crate::money::Money;
use crate::order::{Attempt, Kind, Place, Standing};

use super::Account;

/// One attempt's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Books {
    /// Whose money it is.
    pub(crate) owner: Account,
    /// Held at the payer's bank.
    pub(crate) held: i128,
    /// Taken: said, or implied by what came back.
    pub(crate) taken: i128,
    /// Moved back by cancels and reversals.
    pub(crate) undone: i128,
    /// Taken back by the payer's bank, and captures that were taken back.
    pub(crate) returned: i128,
    /// Refunded at the provider's console, without what came back.
    pub(crate) refunded_elsewhere: i128,
    /// Reserved for refunds in flight.
    pub(crate) refunding: i128,
    /// Refunded, without what came back.
    pub(crate) refunded: i128,
    /// In open disputes.
    pub(crate) disputed: i128,
    /// Lost in disputes.
    pub(crate) lost: i128,
    /// Reserved for a payout.
    pub(crate) payout: i128,
    /// Charged by the provider.
    pub(crate) fees: Vec<Money>,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            owner: Account::Suspense,
            held: 0,
            taken: 0,
            undone: 0,
            returned: 0,
            refunded_elsewhere: 0,
            refunding: 0,
            refunded: 0,
            disputed: 0,
            lost: 0,
            payout: 0,
            fees: Vec::new(),
        }
    }
}

impl Books {
    pub(crate) fn of(kind: Kind, place: Place, attempt: &Attempt) -> Self {
        let charge = &attempt.charge;
        let owner = match place {
            Place::Winner => Account::Merchant,
            Place::Current | Place::Past => Account::Suspense,
        };
        // A payout that may still be paid stays reserved.
        let moving = match attempt.standing {
            Standing::Sent | Standing::Acting | Standing::Waiting | Standing::Uncertain => kind == Kind::Credit,
            Standing::Declined(_) | Standing::Approved | Standing::Undone => false,
        };
        Self {
            owner,
            held: attempt.held(),
            taken: attempt.taken(),
            undone: charge.undone(),
            returned: charge.returned() + charge.captures_back(),
            refunded_elsewhere: charge.refunded_elsewhere(),
            refunding: charge.refunding(),
            refunded: charge.refunded(),
            disputed: charge.dispute_open(),
            lost: charge.dispute_lost(),
            payout: if moving {
                i128::from(attempt.plan.amount.minor())
            } else {
                0
            },
            fees: charge.fees.clone(),
        }
    }

    /// What the owner has of it.
    pub(crate) fn net(&self) -> i128 {
        self.taken - self.undone - self.returned - self.refunded_elsewhere - self.refunding - self.refunded - self.lost
    }

    /// What went back beyond what came in, on an attempt that did not win: suspense never owes, the merchant bears it.
    pub(crate) fn loss(&self) -> i128 {
        if self.owner == Account::Suspense {
            (-self.net()).max(0)
        } else {
            0
        }
    }
}
