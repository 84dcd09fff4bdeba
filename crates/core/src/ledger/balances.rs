//! Balances: postings added up, posted and pending apart, in sums that many amounts cannot overflow.

use std::collections::BTreeMap;

use super::{Account, Posting, PostingPhase};
use crate::id::ConnectionId;
use crate::money::Currency;

/// Names one balance of a merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BalanceKey {
    /// The account.
    pub account: Account,
    /// At which connection.
    pub connection: ConnectionId,
    /// In which currency.
    pub currency: Currency,
}

/// Both sides of an account, posted and pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Posted to the debit side.
    pub debits: i128,
    /// Posted to the credit side.
    pub credits: i128,
    /// Pending on the debit side.
    pub debits_pending: i128,
    /// Pending on the credit side.
    pub credits_pending: i128,
}

impl Balance {
    /// Debits without credits, posted.
    pub const fn posted(&self) -> i128 {
        self.debits - self.credits
    }

    /// Debits without credits, pending.
    pub const fn pending(&self) -> i128 {
        self.debits_pending - self.credits_pending
    }
}

/// Balances of a merchant, folded from postings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balances(BTreeMap<BalanceKey, Balance>);

impl Balances {
    /// Adds one posting.
    pub fn add(&mut self, posting: &Posting) {
        let amount = i128::from(posting.amount.minor());
        let debit = self.side(posting, posting.debit);
        match posting.phase {
            PostingPhase::Posted => debit.debits += amount,
            PostingPhase::Pended => debit.debits_pending += amount,
            PostingPhase::Released => debit.debits_pending -= amount,
        }
        let credit = self.side(posting, posting.credit);
        match posting.phase {
            PostingPhase::Posted => credit.credits += amount,
            PostingPhase::Pended => credit.credits_pending += amount,
            PostingPhase::Released => credit.credits_pending -= amount,
        }
    }

    fn side(&mut self, posting: &Posting, account: Account) -> &mut Balance {
        let key = BalanceKey {
            account,
            connection: posting.connection,
            currency: posting.amount.currency(),
        };
        self.0.entry(key).or_default()
    }

    /// One balance.
    pub fn get(&self, key: BalanceKey) -> Balance {
        self.0.get(&key).copied().unwrap_or_default()
    }

    /// Every balance, by account, connection and currency.
    pub fn iter(&self) -> impl Iterator<Item = (&BalanceKey, &Balance)> {
        self.0.iter()
    }

    /// One account over all connections, in one currency.
    pub fn account(&self, account: Account, currency: Currency) -> Balance {
        let mine = self
            .0
            .iter()
            .filter(|(key, _)| key.account == account && key.currency == currency);
        mine.fold(Balance::default(), |sum, (_, balance)| Balance {
            debits: sum.debits + balance.debits,
            credits: sum.credits + balance.credits,
            debits_pending: sum.debits_pending + balance.debits_pending,
            credits_pending: sum.credits_pending + balance.credits_pending,
        })
    }

    /// The trial balance: what each currency is off by, posted and pending. Empty when the books balance.
    pub fn off_by(&self) -> BTreeMap<Currency, (i128, i128)> {
        let mut off: BTreeMap<Currency, (i128, i128)> = BTreeMap::new();
        for (key, balance) in &self.0 {
            let sums = off.entry(key.currency).or_default();
            sums.0 += balance.posted();
            sums.1 += balance.pending();
        }
        off.retain(|_, sums| *sums != (0, 0));
        off
    }
}

impl<'a> FromIterator<&'a Posting> for Balances {
    fn from_iter<T: IntoIterator<Item = &'a Posting>>(postings: T) -> Self {
        let mut balances = Self::default();
        for posting in postings {
            balances.add(posting);
        }
        balances
    }
}
