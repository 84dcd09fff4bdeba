//! What may happen in a world, and how often. Together the scenarios reach the bounds of `order-machine.md` 8 and what its last line
//! left out.

mod attempts;
mod holds;
mod others;
mod sales;

use florin_core::money::Money;
use florin_core::order::{Abilities, CaptureAt, Terms};
use florin_core::time::Timestamp;

use super::provider::{Amount, money};

/// How the provider may take an authorise request when it arrives, or a waiting one when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Try {
    /// The payer must act.
    Act,
    /// It takes its time.
    Wait,
    /// Approved as asked.
    Full,
    /// Approved, one less than asked.
    Less,
    /// Approved, one more than asked.
    More,
    /// Refused.
    No,
    /// Approved as asked, but first said in another currency.
    Foreign,
}

/// How often something may still happen. Part of the world's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Attempts that may be started.
    pub starts: u8,
    /// The payer may answer an action.
    pub continues: u8,
    /// The payer may leave.
    pub leaves: u8,
    /// The merchant may cancel.
    pub cancels: u8,
    /// The merchant may capture.
    pub captures: u8,
    /// The merchant may hold more.
    pub increments: u8,
    /// The merchant may void.
    pub voids: u8,
    /// The merchant may refund.
    pub refunds: u8,
    /// The merchant may amend.
    pub amends: u8,
    /// The provider may refuse an undo that it could do.
    pub undo_refusals: u8,
    /// The provider may refuse another step that it could do.
    pub refusals: u8,
    /// The provider may take its time over a step.
    pub delays: u8,
    /// The provider may ask the payer once more.
    pub actions: u8,
    /// The rail may undo an authorisation by itself.
    pub self_releases: u8,
    /// A declined attempt may succeed after all.
    pub late_successes: u8,
    /// The hold may lapse.
    pub lapses: u8,
    /// Captures at the console.
    pub console_captures: u8,
    /// Voids at the console.
    pub console_voids: u8,
    /// Refunds at the console.
    pub console_refunds: u8,
    /// Such refunds that fail after all.
    pub console_refunds_back: u8,
    /// Returns by the payer's bank, as facts of their own.
    pub returns: u8,
    /// Returns by the payer's bank, as a standing of the authorise step.
    pub sale_returns: u8,
    /// Captures that are taken back.
    pub captures_back: u8,
    /// Refunds that come back.
    pub refunds_back: u8,
    /// Disputes.
    pub disputes: u8,
    /// Fees.
    pub fees: u8,
    /// Receipts on a push rail.
    pub receipts: u8,
    /// Answers that are garbage: nobody knows.
    pub doubts: u8,
    /// The rail may have nobody to ask.
    pub stuck: u8,
    /// The provider may forget keys.
    pub forgets: u8,
    /// Commands that a second node may decide on an old reading.
    pub other_node: u8,
    /// A person may report what they see went back of an attempt, whether or not the provider tells it too.
    pub reports: u8,
}

/// A world to explore.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// What the order is for.
    pub terms: Terms,
    /// What the rail can do.
    pub can: Abilities,
    /// Extras of each attempt (a tip).
    pub extras: Amount,
    /// How authorise requests may be taken.
    pub tries: &'static [Try],
    /// How an authorisation that waited, or whose payer acted, may end.
    pub ends: &'static [Try],
    /// A cancel also cancels what was approved, at this provider.
    pub cancels_approved: bool,
    /// The provider may capture less than was asked.
    pub short_captures: bool,
    /// Amounts that the merchant captures, in turn, and whether each is the last.
    pub captures: &'static [(Amount, bool)],
    /// Amounts that the merchant refunds, in turn.
    pub refunds: &'static [Amount],
    /// By how much the merchant holds more.
    pub increment: Amount,
    /// What becomes due.
    pub amends_to: Amount,
    /// Amounts that a push rail brings, in turn.
    pub receipts: &'static [Amount],
    /// How much a dispute is about, in turn.
    pub disputes: &'static [Amount],
    /// How often things may happen.
    pub left: Left,
    /// Silence makes captures, voids, refunds and undoes uncertain too, not only authorisations.
    pub silence: bool,
    /// Steps may be uncertain for so long that a person is called.
    pub long_doubts: bool,
    /// The provider tells of money that a person sends back by hand, so that nobody has to report it.
    pub tells_repairs: bool,
    /// Small enough for every CI run.
    pub small: bool,
}

/// The end of every pay window: timers may fire at any time here, but no attempt starts after the window.
pub(super) const WINDOW: Timestamp = Timestamp::from_millis(1_000_000);

/// A rail that can do everything but push.
const ALL: Abilities = Abilities {
    sale: true,
    cancel: true,
    reverse: true,
    void_sale: true,
    captures: true,
    increment: true,
    push: false,
    stray_s: 0,
    action_s: 0,
    refund_days: 0,
};

/// Nothing may happen, yet.
const NONE: Left = Left {
    starts: 0,
    continues: 0,
    leaves: 0,
    cancels: 0,
    captures: 0,
    increments: 0,
    voids: 0,
    refunds: 0,
    amends: 0,
    undo_refusals: 0,
    refusals: 0,
    delays: 0,
    actions: 0,
    self_releases: 0,
    late_successes: 0,
    lapses: 0,
    console_captures: 0,
    console_voids: 0,
    console_refunds: 0,
    console_refunds_back: 0,
    returns: 0,
    sale_returns: 0,
    captures_back: 0,
    refunds_back: 0,
    disputes: 0,
    fees: 0,
    receipts: 0,
    doubts: 0,
    stuck: 0,
    forgets: 0,
    other_node: 0,
    reports: 0,
};

fn payment(amount: Amount, capture: CaptureAt, attempts: u8) -> Terms {
    Terms {
        capture,
        attempts_max: attempts,
        ..Terms::payment(money(amount), WINDOW)
    }
}

impl Scenario {
    fn new(name: &'static str, about: &'static str, terms: Terms, left: Left) -> Self {
        Self {
            name,
            about,
            terms,
            can: ALL,
            extras: 0,
            tries: &[Try::Full, Try::No],
            ends: &[Try::Full, Try::No],
            cancels_approved: false,
            short_captures: false,
            captures: &[],
            refunds: &[],
            increment: 0,
            amends_to: 0,
            receipts: &[],
            disputes: &[],
            left,
            silence: false,
            long_doubts: false,
            tells_repairs: false,
            small: false,
        }
    }

    fn small(self) -> Self {
        Self { small: true, ..self }
    }

    fn rail(self, can: Abilities) -> Self {
        Self { can, ..self }
    }

    fn tries(self, tries: &'static [Try], ends: &'static [Try]) -> Self {
        Self { tries, ends, ..self }
    }

    /// What is due with the extras of an attempt.
    pub fn asked(&self, due: Money) -> Money {
        due.plus(money(self.extras)).expect("amounts of these worlds are tiny")
    }
}

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = attempts::attempts();
    all.extend(holds::holds());
    all.extend(sales::sales());
    all.extend(others::others());
    all
}

impl Scenario {
    fn refunding(self, refunds: &'static [Amount]) -> Self {
        Self { refunds, ..self }
    }

    fn doubting_long(self) -> Self {
        Self {
            long_doubts: true,
            ..self
        }
    }

    fn with_silence(self) -> Self {
        Self { silence: true, ..self }
    }

    fn telling_repairs(self) -> Self {
        Self {
            tells_repairs: true,
            ..self
        }
    }

    fn capturing(self, captures: &'static [(Amount, bool)]) -> Self {
        Self { captures, ..self }
    }

    fn tipping(self, extras: Amount) -> Self {
        Self { extras, ..self }
    }
}
