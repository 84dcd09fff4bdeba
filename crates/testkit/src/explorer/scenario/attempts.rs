//! Starting, acting, leaving, cancelling, expiring, and successes that come late.

use florin_core::order::{Abilities, CaptureAt};

use super::{ALL, Left, NONE, Scenario, Try, payment};

pub(super) fn attempts() -> Vec<Scenario> {
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
