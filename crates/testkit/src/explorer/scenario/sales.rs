//! Captured money: refunds, disputes, returns, fees, the void of a sale.

use florin_core::order::{Abilities, CaptureAt};

use super::{ALL, Left, NONE, Scenario, Try, payment};

pub(super) fn sales() -> Vec<Scenario> {
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
