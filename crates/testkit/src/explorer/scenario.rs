//! What may happen in a world, and how often. Together the scenarios reach the bounds of `order-machine.md` 8 and what its last line
//! left out.

use florin_core::money::Money;
use florin_core::order::{Abilities, CaptureAt, Kind, Terms};
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
    let mut all = attempts();
    all.extend(holds());
    all.extend(sales());
    all.extend(others());
    all
}

/// Starting, acting, leaving, cancelling, expiring, and successes that come late.
fn attempts() -> Vec<Scenario> {
    use CaptureAt::{Later, Once};
    const END: &[Try] = &[Try::Full, Try::No];
    const ACT: &[Try] = &[Try::Act, Try::Full];
    const NO_CANCEL: Abilities = Abilities { cancel: false, ..ALL };
    vec![
        Scenario::new(
            "checkout",
            "one sale by a page: acting, leaving, expiring; the cancel may be too late",
            payment(3, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(ACT, END)
        .small(),
        Scenario::new(
            "checkout-all",
            "the same with waiting, declines and garbage",
            payment(3, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                cancels: 1,
                undo_refusals: 1,
                doubts: 1,
                ..NONE
            },
        )
        .tries(&[Try::Act, Try::Wait, Try::Full, Try::No], END),
        Scenario::new(
            "checkout-canceled",
            "the merchant cancels while the payer pays; undoes are refused again and again",
            payment(3, Once, 2),
            Left {
                starts: 1,
                leaves: 1,
                cancels: 1,
                undo_refusals: 3,
                ..NONE
            },
        )
        .tries(&[Try::Act, Try::Wait, Try::Full, Try::No], END)
        .small(),
        Scenario {
            cancels_approved: true,
            ..Scenario::new(
                "psp-cancels-holds",
                "a cancel also cancels what was approved",
                payment(3, Later, 2),
                Left {
                    starts: 2,
                    leaves: 1,
                    undo_refusals: 1,
                    ..NONE
                },
            )
        }
        .tries(&[Try::Act], END)
        .small(),
        Scenario {
            cancels_approved: true,
            ..Scenario::new(
                "psp-cancels-all",
                "the same with sales, waiting, declines and the merchant's cancel",
                payment(3, Once, 2),
                Left {
                    starts: 2,
                    leaves: 1,
                    cancels: 1,
                    undo_refusals: 1,
                    ..NONE
                },
            )
        }
        .tries(&[Try::Act, Try::Wait, Try::Full, Try::No], END),
        Scenario::new(
            "strays",
            "a rail that cannot cancel: attempts become strays and may succeed late",
            payment(3, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                undo_refusals: 2,
                ..NONE
            },
        )
        .rail(NO_CANCEL)
        .tries(ACT, &[Try::Full])
        .small(),
        Scenario::new(
            "strays-three",
            "three attempts on such a rail",
            payment(3, Once, 3),
            Left {
                starts: 3,
                leaves: 2,
                undo_refusals: 1,
                ..NONE
            },
        )
        .rail(NO_CANCEL)
        .tries(&[Try::Act], END),
        Scenario::new(
            "no-undo",
            "a rail that can neither cancel nor reverse: a person sends late money back",
            payment(3, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                cancels: 1,
                doubts: 1,
                ..NONE
            },
        )
        .rail(Abilities {
            cancel: false,
            reverse: false,
            ..ALL
        })
        .tries(ACT, END)
        .small(),
        Scenario::new(
            "late-success",
            "a declined attempt succeeds after all, while the next one runs",
            payment(3, Once, 2),
            Left {
                starts: 2,
                cancels: 1,
                late_successes: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .small(),
        Scenario::new(
            "uncertain",
            "silence and garbage on every step of a sale, a rail with nobody to ask, and a person after three days",
            payment(3, Once, 1),
            Left {
                starts: 1,
                leaves: 1,
                cancels: 1,
                undo_refusals: 2,
                doubts: 1,
                stuck: 1,
                ..NONE
            },
        )
        .tries(&[Try::Wait, Try::Full, Try::No], END)
        .with_silence()
        .doubting_long()
        .small(),
        Scenario::new(
            "uncertain-all",
            "the same over two attempts",
            payment(3, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                undo_refusals: 2,
                doubts: 1,
                stuck: 1,
                ..NONE
            },
        )
        .tries(&[Try::Full, Try::No], END)
        .with_silence(),
        Scenario::new(
            "rail-undoes",
            "the rail undoes an authorisation by itself (0420, cancel by key)",
            payment(3, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                self_releases: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(&[Try::Wait], &[Try::Full])
        .small(),
        Scenario::new(
            "actions",
            "several actions of one attempt, numbered; old ones are heard again and answered late",
            payment(3, Once, 1),
            Left {
                starts: 1,
                continues: 2,
                leaves: 1,
                actions: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(&[Try::Act], &[Try::Full, Try::No])
        .small(),
        Scenario::new(
            "actions-all",
            "the same with more actions and waiting",
            payment(3, Once, 1),
            Left {
                starts: 1,
                continues: 3,
                leaves: 1,
                actions: 2,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(&[Try::Act], &[Try::Wait, Try::Full, Try::No]),
        Scenario::new(
            "two-nodes",
            "a second node decides on an old reading",
            payment(3, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                refunds: 2,
                other_node: 2,
                ..NONE
            },
        )
        .tries(&[Try::Full, Try::No], END)
        .refunding(&[2, 2])
        .small(),
        Scenario::new(
            "three-attempts",
            "three attempts, each may succeed late",
            payment(3, Once, 3),
            Left {
                starts: 3,
                leaves: 1,
                cancels: 1,
                undo_refusals: 2,
                late_successes: 2,
                ..NONE
            },
        )
        .tries(&[Try::Full, Try::No], END),
    ]
}

/// Holds: captures, voids, increments, deadlines, the provider's console.
fn holds() -> Vec<Scenario> {
    use CaptureAt::{At, Later, Once};
    vec![
        Scenario {
            captures: &[(2, false), (1, true)],
            ..Scenario::new(
                "hold",
                "hold, captures, void, deadline; each may be refused or take its time",
                payment(3, Later, 1),
                Left {
                    starts: 1,
                    captures: 2,
                    voids: 1,
                    refusals: 1,
                    delays: 1,
                    ..NONE
                },
            )
        }
        .with_silence()
        .small(),
        Scenario {
            captures: &[(2, false), (1, true)],
            ..Scenario::new(
                "hold-console",
                "the hold lapses, is captured, voided and refunded at the console while our own steps run",
                payment(3, Later, 1),
                Left {
                    starts: 1,
                    captures: 1,
                    voids: 1,
                    lapses: 1,
                    console_captures: 1,
                    console_voids: 1,
                    console_refunds: 1,
                    ..NONE
                },
            )
        }
        .small(),
        Scenario {
            captures: &[(2, false), (2, true)],
            short_captures: true,
            ..Scenario::new(
                "hold-short",
                "captures that take less than was asked",
                payment(3, Later, 1),
                Left {
                    starts: 1,
                    captures: 2,
                    voids: 1,
                    refunds: 1,
                    refusals: 1,
                    ..NONE
                },
            )
        }
        .refunding(&[2])
        .small(),
        Scenario {
            increment: 2,
            captures: &[(3, false), (2, true)],
            ..Scenario::new(
                "hold-increment",
                "increments beside captures and void",
                payment(3, Later, 1),
                Left {
                    starts: 1,
                    captures: 2,
                    increments: 1,
                    voids: 1,
                    refusals: 1,
                    lapses: 1,
                    ..NONE
                },
            )
        },
        Scenario {
            increment: 1,
            captures: &[(2, true)],
            amends_to: 4,
            ..Scenario::new(
                "amend",
                "what is due changes before an attempt and on the hold; a tip; capture at a set time",
                payment(3, At(Timestamp::from_millis(500)), 2),
                Left {
                    starts: 2,
                    amends: 1,
                    increments: 1,
                    captures: 1,
                    refusals: 1,
                    ..NONE
                },
            )
        }
        .tipping(1)
        .small(),
        Scenario::new(
            "amend-to-nothing",
            "nothing is due any more when the time to capture comes: the hold is given back",
            payment(3, At(Timestamp::from_millis(500)), 1),
            Left {
                starts: 1,
                amends: 1,
                refusals: 1,
                voids: 1,
                lapses: 1,
                ..NONE
            },
        )
        .small(),
        Scenario::new(
            "capture-by-terms",
            "a rail without sales: the order captures by itself; a refused capture gives the hold back",
            payment(3, Once, 2),
            Left {
                starts: 1,
                leaves: 1,
                refusals: 2,
                delays: 1,
                lapses: 1,
                ..NONE
            },
        )
        .rail(Abilities { sale: false, ..ALL })
        .tries(&[Try::Act, Try::Full], &[Try::Full, Try::No])
        .small(),
        Scenario {
            captures: &[(2, false), (1, true)],
            ..Scenario::new(
                "hold-strays",
                "holds that come late, of attempts that cannot be canceled",
                payment(3, Later, 2),
                Left {
                    starts: 2,
                    leaves: 1,
                    captures: 1,
                    voids: 1,
                    undo_refusals: 1,
                    console_captures: 1,
                    lapses: 1,
                    ..NONE
                },
            )
        }
        .rail(Abilities { cancel: false, ..ALL })
        .tries(&[Try::Act, Try::Full], &[Try::Full, Try::No]),
        Scenario {
            captures: &[(2, false), (1, true)],
            ..Scenario::new(
                "captures-taken-back",
                "captures that are taken back, before or after they were heard of",
                payment(3, Later, 1),
                Left {
                    starts: 1,
                    captures: 2,
                    voids: 1,
                    refunds: 1,
                    captures_back: 2,
                    ..NONE
                },
            )
        }
        .refunding(&[1])
        .small(),
        Scenario {
            captures: &[(2, false), (1, true)],
            ..Scenario::new(
                "hold-all",
                "captures, void, refunds, console, lapse and returns together",
                payment(3, Later, 1),
                Left {
                    starts: 1,
                    captures: 2,
                    voids: 1,
                    refunds: 1,
                    refusals: 1,
                    lapses: 1,
                    console_captures: 1,
                    returns: 1,
                    ..NONE
                },
            )
        }
        .refunding(&[2]),
    ]
}

/// Captured money: refunds, disputes, returns, fees, the void of a sale.
fn sales() -> Vec<Scenario> {
    use CaptureAt::Once;
    vec![
        Scenario::new(
            "refunds",
            "two refunds that do not fit together, refused, delayed, taken back",
            payment(3, Once, 1),
            Left {
                starts: 1,
                refunds: 2,
                refusals: 1,
                delays: 1,
                refunds_back: 1,
                ..NONE
            },
        )
        .refunding(&[2, 2])
        .with_silence()
        .small(),
        Scenario::new(
            "refunds-console",
            "refunds of ours and at the console, and a bank that takes the rest",
            payment(3, Once, 1),
            Left {
                starts: 1,
                refunds: 2,
                console_refunds: 1,
                returns: 1,
                refunds_back: 1,
                refusals: 1,
                ..NONE
            },
        )
        .refunding(&[1, 2])
        .small(),
        Scenario::new(
            "refunds-console-fail",
            "refunds at the console that fail after all, beside ours and the void of the sale",
            payment(3, Once, 1),
            Left {
                starts: 1,
                voids: 1,
                refunds: 1,
                console_refunds: 2,
                console_refunds_back: 2,
                undo_refusals: 1,
                ..NONE
            },
        )
        .refunding(&[2])
        .small(),
        Scenario::new(
            "strays-refunded",
            "money of a stray is refunded at the console while it is being reversed, and that fails",
            payment(3, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                console_refunds: 1,
                console_refunds_back: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .rail(Abilities { cancel: false, ..ALL })
        .tries(&[Try::Act, Try::Full], &[Try::Full, Try::No])
        .telling_repairs(),
        Scenario::new(
            "refunded-by-hand",
            "what could not be reversed is sent back at the console: the provider tells it, and a person reports it",
            payment(3, Once, 1),
            Left {
                starts: 1,
                leaves: 1,
                console_refunds: 1,
                console_refunds_back: 1,
                undo_refusals: 2,
                reports: 2,
                ..NONE
            },
        )
        .rail(Abilities { cancel: false, ..ALL })
        .tries(&[Try::Act, Try::Full], &[Try::Full, Try::No])
        .telling_repairs()
        .small(),
        Scenario::new(
            "refunded-by-hand-all",
            "the same over two attempts",
            payment(3, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                console_refunds: 1,
                undo_refusals: 1,
                reports: 1,
                ..NONE
            },
        )
        .rail(Abilities { cancel: false, ..ALL })
        .tries(&[Try::Act, Try::Full], &[Try::Full, Try::No])
        .telling_repairs(),
        Scenario::new(
            "void-of-a-sale",
            "a sale is undone as a whole, beside refunds, returns and disputes",
            payment(3, Once, 1),
            Left {
                starts: 1,
                voids: 2,
                refunds: 1,
                returns: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .refunding(&[1])
        .small(),
        Scenario {
            disputes: &[2, 1],
            ..Scenario::new(
                "disputes",
                "a partial dispute and a second one, verdicts before openings, beside a refund",
                payment(3, Once, 1),
                Left {
                    starts: 1,
                    refunds: 1,
                    disputes: 2,
                    ..NONE
                },
            )
        }
        .refunding(&[2])
        .small(),
        Scenario {
            disputes: &[3],
            ..Scenario::new(
                "disputed-strays",
                "money of a stray is disputed and returned while it is being reversed",
                payment(3, Once, 2),
                Left {
                    starts: 2,
                    leaves: 1,
                    disputes: 1,
                    returns: 1,
                    undo_refusals: 1,
                    ..NONE
                },
            )
        }
        .rail(Abilities { cancel: false, ..ALL })
        .tries(&[Try::Act, Try::Full], &[Try::Full, Try::No]),
        Scenario::new(
            "returned",
            "a debit that is returned, as a fact and as a standing, before or after the success is heard",
            payment(3, Once, 1),
            Left {
                starts: 1,
                leaves: 1,
                cancels: 0,
                returns: 1,
                sale_returns: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(&[Try::Wait, Try::Full], &[Try::Full, Try::No])
        .small(),
        Scenario::new(
            "returned-all",
            "the same over two attempts, with the merchant's cancel",
            payment(3, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                cancels: 1,
                returns: 1,
                sale_returns: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(&[Try::Wait, Try::Full], &[Try::Full, Try::No]),
        Scenario::new(
            "fees",
            "fees with the fact or days later, once each",
            payment(3, Once, 1),
            Left {
                starts: 1,
                refunds: 1,
                fees: 2,
                leaves: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(&[Try::Act, Try::Full], &[Try::Full])
        .refunding(&[3])
        .small(),
        Scenario::new(
            "forgotten-keys",
            "the provider forgets its keys: nothing is sent again after that",
            payment(3, Once, 1),
            Left {
                starts: 1,
                refunds: 1,
                forgets: 1,
                doubts: 1,
                ..NONE
            },
        )
        .refunding(&[1])
        .small(),
    ]
}

/// Other kinds of order and other rails.
fn others() -> Vec<Scenario> {
    use CaptureAt::{Later, Once};
    const PUSH: Abilities = Abilities {
        push: true,
        void_sale: false,
        ..ALL
    };
    vec![
        Scenario::new(
            "verify",
            "a check of a card: nothing moves",
            Terms {
                kind: Kind::Verify,
                ..payment(0, Once, 2)
            },
            Left {
                starts: 2,
                leaves: 1,
                cancels: 0,
                undo_refusals: 1,
                doubts: 0,
                ..NONE
            },
        )
        .tries(&[Try::Act, Try::No], &[Try::Full, Try::No])
        .small(),
        Scenario::new(
            "verify-all",
            "the same with garbage and the merchant's cancel",
            Terms {
                kind: Kind::Verify,
                ..payment(0, Once, 2)
            },
            Left {
                starts: 2,
                leaves: 1,
                cancels: 1,
                undo_refusals: 1,
                doubts: 1,
                ..NONE
            },
        )
        .tries(&[Try::Act, Try::Full, Try::No], &[Try::Full, Try::No]),
        Scenario::new(
            "payout",
            "money out: uncertain, late, twice, and back",
            Terms {
                kind: Kind::Credit,
                ..payment(3, Once, 2)
            },
            Left {
                starts: 2,
                leaves: 1,
                cancels: 1,
                returns: 1,
                late_successes: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(&[Try::Wait, Try::Full, Try::No], &[Try::Full, Try::No]),
        Scenario::new(
            "payout-small",
            "money out, one attempt and its return",
            Terms {
                kind: Kind::Credit,
                ..payment(3, Once, 1)
            },
            Left {
                starts: 1,
                leaves: 1,
                cancels: 1,
                returns: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(&[Try::Wait, Try::Full, Try::No], &[Try::Full, Try::No])
        .small(),
        Scenario::new(
            "partial-approval",
            "less than was asked is the whole, by the terms",
            Terms {
                accept_partial: true,
                ..payment(3, Later, 2)
            },
            Left {
                starts: 2,
                leaves: 1,
                captures: 1,
                voids: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .capturing(&[(2, true)])
        .tries(&[Try::Act, Try::Less, Try::Full], &[Try::Less, Try::No])
        .small(),
        Scenario::new(
            "too-little",
            "less than was asked is reversed; more than was asked and another currency are for a person",
            payment(2, Once, 1),
            Left {
                starts: 1,
                leaves: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(&[Try::Act, Try::Less, Try::Foreign], &[Try::Less, Try::Full, Try::More])
        .small(),
        Scenario::new(
            "too-little-all",
            "the same over two attempts",
            payment(2, Once, 2),
            Left {
                starts: 2,
                leaves: 1,
                undo_refusals: 1,
                ..NONE
            },
        )
        .tries(&[Try::Act, Try::Less, Try::Foreign], &[Try::Less, Try::Full, Try::More]),
        Scenario {
            receipts: &[1, 2, 2],
            ..Scenario::new(
                "push",
                "several receipts, too much, and money that nobody asked for",
                payment(3, Once, 2),
                Left {
                    starts: 1,
                    leaves: 1,
                    cancels: 1,
                    receipts: 3,
                    undo_refusals: 1,
                    refusals: 1,
                    ..NONE
                },
            )
        }
        .rail(PUSH)
        .tries(&[Try::Wait], &[Try::No])
        .small(),
        Scenario {
            receipts: &[2, 1],
            ..Scenario::new(
                "push-strays",
                "receipts for attempts that were left",
                payment(3, Once, 1),
                Left {
                    starts: 1,
                    leaves: 1,
                    receipts: 2,
                    ..NONE
                },
            )
        }
        .rail(Abilities { cancel: false, ..PUSH })
        .tries(&[Try::Act], &[Try::No])
        .small(),
        Scenario {
            receipts: &[2, 1],
            ..Scenario::new(
                "push-strays-all",
                "the same over two attempts, and reversals that are refused",
                payment(3, Once, 2),
                Left {
                    starts: 2,
                    leaves: 1,
                    receipts: 2,
                    undo_refusals: 1,
                    ..NONE
                },
            )
        }
        .rail(Abilities { cancel: false, ..PUSH })
        .tries(&[Try::Act], &[Try::No]),
    ]
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
