//! Other kinds of order and other rails.

use florin_core::order::{Abilities, CaptureAt, Kind, Terms};

use super::{ALL, Left, NONE, Scenario, Try, payment};

pub(super) fn others() -> Vec<Scenario> {
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
