//! Double entry: what each change of an order posts, and balances to check it with.
//!
//! An order's books are a few quantities for each attempt (held, taken, back, reserved for refunds, in disputes, fees), all read from the
//! order's state. A quantity has a pair of accounts; what an event posts is how far it moved each quantity. So every posting sums to
//! zero by construction, the books are the state, and it does not matter in which order facts were heard.
//!
//! | quantity | it grows: debit | credit | it shrinks |
//! | --- | --- | --- | --- |
//! | held | pend receivable | owner | released |
//! | taken | receivable | owner | the other way round |
//! | undone, returned, taken back, refunded elsewhere | owner | receivable | the other way round |
//! | reserved for refunds | owner | refunds moving | refunded: refunds moving, receivable; declined: the other way round |
//! | in open disputes | disputed | receivable | won: the other way round; lost: owner, disputed |
//! | lost in disputes | owner | receivable | – |
//! | fees | merchant | receivable | the other way round |
//! | lost on a stray (more went back than came) | merchant | suspense | the other way round |
//!
//! The owner of an attempt's money is the merchant if the attempt won, else suspense. A payout runs the other way: it is reserved from
//! the merchant's balance when it starts, and leaves the bank when it is paid.

mod balances;
mod books;

pub use balances::*;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::id::ConnectionId;
use crate::money::Money;
use crate::order::{Kind, Order, clamp};
use books::Books;

/// An account. There is one per merchant, connection and currency; the holds are the pending side of `receivable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What the provider owes us.
    Receivable,
    /// What we owe the merchant.
    Merchant,
    /// Refunds on their way to payers.
    RefundsMoving,
    /// Taken by the provider while a dispute is open.
    Disputed,
    /// At a provider, and of no paid order.
    Suspense,
    /// What the platform earns.
    Fees,
    /// Payouts on their way.
    PayoutMoving,
    /// Our account at the bank.
    Bank,
}

impl Account {
    /// The word that stores and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receivable => "receivable",
            Self::Merchant => "merchant",
            Self::RefundsMoving => "refunds_moving",
            Self::Disputed => "disputed",
            Self::Suspense => "suspense",
            Self::Fees => "fees",
            Self::PayoutMoving => "payout_moving",
            Self::Bank => "bank",
        }
    }
}

/// How a posting counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostingPhase {
    /// It moved.
    Posted,
    /// It is reserved: the pending side grows.
    Pended,
    /// It is reserved no longer: the pending side shrinks, because it was posted or let go of.
    Released,
}

/// One movement between two accounts of one connection and currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// What it is for: `sale`, `capture`, `refund`, …
    pub template: Template,
    /// Where it goes.
    pub debit: Account,
    /// Where it comes from.
    pub credit: Account,
    /// At which connection.
    pub connection: ConnectionId,
    /// Of which attempt.
    pub attempt: u8,
    /// How much; always more than zero.
    pub amount: Money,
    /// How it counts.
    pub phase: PostingPhase,
}

/// What a posting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Held at the payer's bank.
    Hold,
    /// Held no longer.
    Release,
    /// Taken together with the approval.
    Sale,
    /// Taken from a hold.
    Capture,
    /// Taken at the provider's console.
    CaptureElsewhere,
    /// Came in by itself.
    Receipt,
    /// A success that nobody wants, or that was seen during an undo.
    LateSuccess,
    /// Must have been there, because it came back.
    Implied,
    /// Pays the order after all: from suspense to the merchant.
    Adopt,
    /// Undone by a cancel or reversal.
    Undo,
    /// Taken back by the payer's bank, or a capture that was taken back.
    Return,
    /// Refunded at the provider's console.
    RefundElsewhere,
    /// Reserved for a refund.
    RefundReserve,
    /// A refund is done.
    Refund,
    /// A reserve is free again.
    RefundFreed,
    /// A refund came back.
    RefundReturn,
    /// A dispute was opened.
    Dispute,
    /// A dispute was won.
    DisputeWon,
    /// A dispute was lost.
    DisputeLost,
    /// The provider's fee.
    Fee,
    /// More went back on a stray than came in: the merchant's loss.
    Loss,
    /// Reserved for a payout.
    PayoutReserve,
    /// A reserve for a payout is free again.
    PayoutFreed,
    /// A payout is paid.
    Payout,
    /// A payout came back.
    PayoutReturn,
}

/// What `event` posts on `before`.
pub fn postings(before: &Order, event: &Event) -> Vec<Posting> {
    let mut after = before.clone();
    after.apply(event, before.created_at); // moments post nothing
    between(before, &after, event)
}

/// What `event` posts that made `after` of `before`: for those who have both.
pub fn between(before: &Order, after: &Order, event: &Event) -> Vec<Posting> {
    let mut postings = Vec::new();
    for (place, attempt) in after.attempts() {
        let is = Books::of(after.terms.kind, place, attempt);
        let was = before
            .attempt(attempt.number)
            .map_or_else(Books::default, |(place, attempt)| {
                Books::of(before.terms.kind, place, attempt)
            });
        if was == is {
            continue;
        }
        let mut page = Page {
            connection: attempt.plan.connection,
            attempt: attempt.number,
            zero: Money::zero(after.due.currency()),
            postings: Vec::new(),
        };
        match after.terms.kind {
            Kind::Payment | Kind::Verify => page.payment(&was, &is, event),
            Kind::Credit => page.credit(&was, &is),
        }
        postings.append(&mut page.postings);
    }
    postings
}

/// Collects the postings of one attempt.
struct Page {
    connection: ConnectionId,
    attempt: u8,
    zero: Money,
    postings: Vec<Posting>,
}

/// An account pair: debit, credit.
type Pair = (Account, Account);

impl Page {
    fn payment(&mut self, was: &Books, is: &Books, event: &Event) {
        use Account::{Disputed, Merchant, Receivable, RefundsMoving, Suspense};
        use PostingPhase::{Pended, Released};
        use Template as T;
        let owner = is.owner;
        let mut held_before = was.held;
        if was.owner != owner {
            self.posts(T::Adopt, (Suspense, owner), was.net() + was.loss());
            if was.held > 0 {
                self.put(T::Adopt, (Receivable, was.owner), was.held, Released);
                held_before = 0;
            }
        } else {
            self.posts(T::Loss, (Merchant, Suspense), is.loss() - was.loss());
        }
        let (up, down) = ((is.held - held_before).max(0), (held_before - is.held).max(0));
        self.put(T::Hold, (Receivable, owner), up, Pended);
        self.put(T::Release, (Receivable, owner), down, Released);

        self.posts(taken(event), (Receivable, owner), is.taken - was.taken);
        self.posts(T::Undo, (owner, Receivable), is.undone - was.undone);
        self.posts(T::Return, (owner, Receivable), is.returned - was.returned);
        self.turn(
            T::RefundElsewhere,
            T::RefundReturn,
            (owner, Receivable),
            is.refunded_elsewhere - was.refunded_elsewhere,
        );

        // A reserve that becomes a refund goes straight to the provider; what is left of it is free again.
        let (freed, refunded) = (was.refunding - is.refunding, is.refunded - was.refunded);
        let done = freed.min(refunded).max(0);
        self.posts(T::Refund, (RefundsMoving, Receivable), done);
        self.turn(T::RefundReserve, T::RefundFreed, (owner, RefundsMoving), done - freed);
        self.turn(T::Refund, T::RefundReturn, (owner, Receivable), refunded - done);

        // A dispute that is lost takes what was set aside for it; the rest of that is back.
        let (closed, lost) = (was.disputed - is.disputed, is.lost - was.lost);
        let from_dispute = closed.min(lost).max(0);
        self.posts(T::DisputeLost, (owner, Disputed), from_dispute);
        self.turn(T::Dispute, T::DisputeWon, (Disputed, Receivable), from_dispute - closed);
        self.posts(T::DisputeLost, (owner, Receivable), lost - from_dispute);
        self.fees(was, is);
    }

    /// Money out: the same quantities the other way round, between the merchant's balance and the bank.
    fn credit(&mut self, was: &Books, is: &Books) {
        use Account::{Bank, Merchant, PayoutMoving, Suspense};
        use Template as T;
        let owner = is.owner;
        if was.owner != owner {
            self.posts(T::Adopt, (owner, Suspense), was.net() + was.loss());
        } else {
            self.posts(T::Loss, (Suspense, Merchant), is.loss() - was.loss());
        }
        let (freed, paid) = (was.payout - is.payout, is.taken - was.taken);
        let done = if owner == Merchant { freed.min(paid).max(0) } else { 0 };
        self.posts(T::Payout, (PayoutMoving, Bank), done);
        self.turn(T::PayoutReserve, T::PayoutFreed, (Merchant, PayoutMoving), done - freed);
        self.posts(T::Payout, (owner, Bank), paid - done);
        self.posts(
            T::PayoutReturn,
            (Bank, owner),
            is.undone - was.undone + is.returned - was.returned,
        );
        self.fees(was, is);
    }

    fn fees(&mut self, was: &Books, is: &Books) {
        for fee in &is.fees {
            let before = was.fees.iter().find(|before| before.currency() == fee.currency());
            let change = i128::from(fee.minor()) - before.map_or(0, |before| i128::from(before.minor()));
            let order_currency = std::mem::replace(&mut self.zero, Money::zero(fee.currency()));
            self.posts(Template::Fee, (Account::Merchant, Account::Receivable), change);
            self.zero = order_currency;
        }
    }

    /// One name when the quantity grows, another when it shrinks.
    fn turn(&mut self, grows: Template, shrinks: Template, pair: Pair, change: i128) {
        let template = if change < 0 { shrinks } else { grows };
        self.posts(template, pair, change);
    }

    /// Posts a change of a quantity: below zero, the pair is turned round.
    fn posts(&mut self, template: Template, (debit, credit): Pair, change: i128) {
        let pair = if change < 0 { (credit, debit) } else { (debit, credit) };
        self.put(template, pair, change.abs(), PostingPhase::Posted);
    }

    /// Sums wider than an amount take several postings.
    fn put(&mut self, template: Template, (debit, credit): Pair, amount: i128, phase: PostingPhase) {
        let mut left = amount;
        while left > 0 {
            let part = clamp(left);
            self.postings.push(Posting {
                template,
                debit,
                credit,
                connection: self.connection,
                attempt: self.attempt,
                amount: self.zero.with_minor(part),
                phase,
            });
            left -= i128::from(part);
        }
    }
}

/// What to call money that came in by this event.
fn taken(event: &Event) -> Template {
    match event {
        Event::Resolved { event, .. } => taken(event),
        Event::Approved { .. } => Template::Sale,
        Event::Captured { .. } => Template::Capture,
        Event::CapturedElsewhere { .. } => Template::CaptureElsewhere,
        Event::Received { .. } | Event::Unasked { .. } => Template::Receipt,
        Event::Seen { .. } | Event::Unwanted { .. } => Template::LateSuccess,
        Event::Created { .. }
        | Event::Described
        | Event::Amended { .. }
        | Event::Canceled
        | Event::WindowOver
        | Event::Started { .. }
        | Event::StepStarted { .. }
        | Event::Acting { .. }
        | Event::Continued { .. }
        | Event::Leaving { .. }
        | Event::LeftStray { .. }
        | Event::StrayQuiet { .. }
        | Event::Pending { .. }
        | Event::Uncertain { .. }
        | Event::UncertainLong { .. }
        | Event::Stuck { .. }
        | Event::Alarmed { .. }
        | Event::Settled { .. }
        | Event::Adopted { .. }
        | Event::Declined { .. }
        | Event::Undone { .. }
        | Event::HoldOver
        | Event::CaptureDue
        | Event::Voided { .. }
        | Event::Increased { .. }
        | Event::Refunded { .. }
        | Event::TakenBack { .. }
        | Event::HoldGone { .. }
        | Event::HoldClosed
        | Event::VoidedElsewhere { .. }
        | Event::RefundedElsewhere { .. }
        | Event::RefundBackElsewhere { .. }
        | Event::Returned { .. }
        | Event::Disputed { .. }
        | Event::Fee { .. } => Template::Implied,
    }
}
