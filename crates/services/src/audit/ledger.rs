//! What an order's postings must add up to, read from its state: a second way to the same sums.
//!
//! The ledger posts what each event moved. Here the sums are worked out from what is left of it all, by a formula that knows no event,
//! so that a posting that is missing, doubled or changed shows, and so does a template that forgets one side.

use std::collections::BTreeMap;

use florin_core::id::ConnectionId;
use florin_core::ledger::{Account, BalanceKey, Balances, Posting};
use florin_core::money::Currency;
use florin_core::order::{Attempt, Kind, Order, Place, Standing};

use super::Law;
use super::machine::Breach;

/// Debits less credits, posted and pending.
type Sums = (i128, i128);

/// Whether a posting has two sides and an amount.
pub(super) fn posting(posting: &Posting, breaches: &mut Vec<Breach>) {
    if posting.debit == posting.credit || !posting.amount.is_positive() {
        breaches.push((
            Law::Ledger,
            format!(
                "a posting of {} goes from `{}` to `{}`",
                posting.amount,
                posting.credit.as_str(),
                posting.debit.as_str()
            ),
        ));
    }
}

/// Whether an order's postings add up to what its state says.
pub(super) fn agrees(order: &Order, posted: &Balances, breaches: &mut Vec<Breach>) {
    let mut wanted = BTreeMap::new();
    for (place, attempt) in order.attempts() {
        let books = Page {
            connection: attempt.plan.connection,
            currency: order.due.currency(),
            sums: &mut wanted,
        };
        match order.terms.kind {
            Kind::Payment | Kind::Verify => payment(books, place, attempt),
            Kind::Credit => credit(books, place, attempt),
        }
    }
    let mut keys: Vec<BalanceKey> = posted.iter().map(|(key, _)| *key).collect();
    keys.extend(wanted.keys().copied());
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let is = posted.get(key);
        let (posted, pending) = wanted.get(&key).copied().unwrap_or_default();
        if (is.posted(), is.pending()) != (posted, pending) {
            breaches.push((
                Law::Ledger,
                format!(
                    "its postings leave `{}` at {} posted and {} pending in {}, its state says {posted} and {pending}",
                    key.account.as_str(),
                    is.posted(),
                    is.pending(),
                    key.currency.code()
                ),
            ));
        }
    }
    for (currency, (posted, pending)) in posted.off_by() {
        breaches.push((
            Law::Ledger,
            format!("its debits exceed its credits by {posted} posted and {pending} pending in {currency}"),
        ));
    }
}

/// Collects what one attempt stands for.
struct Page<'a> {
    connection: ConnectionId,
    currency: Currency,
    sums: &'a mut BTreeMap<BalanceKey, Sums>,
}

impl Page<'_> {
    fn add(&mut self, account: Account, posted: i128, pending: i128) {
        self.add_in(self.currency, account, posted, pending);
    }

    fn add_in(&mut self, currency: Currency, account: Account, posted: i128, pending: i128) {
        let key = BalanceKey {
            account,
            connection: self.connection,
            currency,
        };
        let sums = self.sums.entry(key).or_default();
        sums.0 += posted;
        sums.1 += pending;
    }

    fn fees(&mut self, attempt: &Attempt) {
        for fee in &attempt.charge.fees {
            let amount = i128::from(fee.minor());
            self.add_in(fee.currency(), Account::Merchant, amount, 0);
            self.add_in(fee.currency(), Account::Receivable, -amount, 0);
        }
    }
}

fn owner(place: Place) -> Account {
    match place {
        Place::Winner => Account::Merchant,
        Place::Current | Place::Past => Account::Suspense,
    }
}

/// What the provider owes us for an attempt, fees aside: taken, and neither back nor disputed.
pub(super) fn receivable(attempt: &Attempt) -> i128 {
    let charge = &attempt.charge;
    left(attempt) - charge.dispute_open()
}

/// What was taken and is not back with the payer.
fn left(attempt: &Attempt) -> i128 {
    let charge = &attempt.charge;
    let back = charge.undone() + charge.returned() + charge.captures_back() + charge.refunded_elsewhere();
    attempt.taken() - back - charge.refunded() - charge.dispute_lost()
}

/// Money in: the provider owes us what was taken and did not go back; the owner has that, less what is on its way back to the payer,
/// and bears what is disputed only when it is lost.
fn payment(mut books: Page<'_>, place: Place, attempt: &Attempt) {
    let charge = &attempt.charge;
    let (left, moving, held) = (left(attempt), charge.refunding(), attempt.held());
    books.add(Account::Receivable, receivable(attempt), held);
    books.add(Account::Disputed, charge.dispute_open(), 0);
    books.add(Account::RefundsMoving, -moving, 0);
    let (net, loss) = (left - moving, beyond(place, left - moving));
    books.add(owner(place), -(net + loss), -held);
    books.add(Account::Merchant, loss, 0);
    books.fees(attempt);
}

/// Money out: the bank paid what did not come back, the merchant's balance bears it, and more is reserved while it may still be paid.
fn credit(mut books: Page<'_>, place: Place, attempt: &Attempt) {
    let charge = &attempt.charge;
    let paid = attempt.taken() - charge.undone() - charge.returned() - charge.captures_back();
    let reserved = match attempt.standing {
        Standing::Sent | Standing::Acting | Standing::Waiting | Standing::Uncertain => {
            i128::from(attempt.plan.amount.minor())
        }
        Standing::Declined(_) | Standing::Approved | Standing::Undone => 0,
    };
    books.add(Account::Bank, -paid, 0);
    books.add(Account::PayoutMoving, -reserved, 0);
    books.add(Account::Merchant, reserved, 0);
    let gained = beyond(place, paid);
    books.add(owner(place), paid + gained, 0);
    books.add(Account::Merchant, -gained, 0);
    books.fees(attempt);
}

/// What went back beyond what came in, on an attempt that did not win: suspense never owes, the merchant bears or keeps it.
fn beyond(place: Place, net: i128) -> i128 {
    match place {
        Place::Winner => 0,
        Place::Current | Place::Past => (-net).max(0),
    }
}
