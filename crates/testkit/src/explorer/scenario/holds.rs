//! Holds: captures, voids, increments, deadlines, the provider's console.

use florin_core::order::{Abilities, CaptureAt};
use florin_core::time::Timestamp;

use super::{ALL, Left, NONE, Scenario, Try, payment};

pub(super) fn holds() -> Vec<Scenario> {
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
