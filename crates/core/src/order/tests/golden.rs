//! The golden transition table: every command on every representative state, and every fact about every step.
//!
//! `UPDATE_GOLDEN=1 cargo test -p florin-core` writes it anew; a change is read line by line in review.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::kit::*;
use crate::money::{Currency, Money};
use crate::order::*;
use crate::rail::What;
use crate::status::{attention, uncertain};
use crate::time::Timestamp;

/// The golden files of the checkout that is being tested.
pub(super) fn folder() -> PathBuf {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo and nextest say where the crate lies");
    Path::new(&here).join("golden")
}

/// Compares with the file, or writes it.
pub(super) fn compare(file: &str, text: &str) {
    let path = folder().join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder can be made");
        std::fs::write(&path, text).expect("the file can be written");
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (is, was)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(
            is,
            was,
            "line {} of golden/{file} differs (UPDATE_GOLDEN=1 writes it anew)",
            number + 1
        );
    }
    assert_eq!(
        text.lines().count(),
        golden.lines().count(),
        "golden/{file} has another length"
    );
}

fn sale() -> World {
    let mut world = World::sale(3);
    world.start(all());
    world
}

fn acting() -> World {
    let mut world = sale();
    world.says("1/auth/0", page(1));
    world
}

fn hold() -> World {
    let mut world = World::hold(3);
    world.start(all());
    world.says("1/auth/0", held(3));
    world
}

fn captured() -> World {
    let mut world = sale();
    world.says("1/auth/0", approved(3));
    world
}

fn with(mut world: World, change: impl FnOnce(&mut World)) -> World {
    change(&mut world);
    world
}

/// A state for each place that a rule looks at.
fn states() -> Vec<(&'static str, World)> {
    let no_undo = Abilities {
        cancel: false,
        reverse: false,
        ..all()
    };
    let no_cancel = Abilities { cancel: false, ..all() };
    let stray = || {
        with(World::sale(3), |world| {
            world.start(no_cancel);
            world.says("1/auth/0", page(1));
            world.run(Command::Leave { attempt: 1 });
        })
    };
    vec![
        ("created", World::sale(3)),
        (
            "created after a decline",
            with(sale(), |world| drop(world.says("1/auth/0", declined()))),
        ),
        ("created with a stray", stray()),
        ("sent", sale()),
        (
            "sent, leaving",
            with(sale(), |world| drop(world.run(Command::Leave { attempt: 1 }))),
        ),
        ("acting", acting()),
        (
            "acting, rail cannot undo",
            with(World::sale(3), |world| {
                world.start(no_undo);
                world.says("1/auth/0", page(1));
            }),
        ),
        (
            "acting, cancel sent",
            with(acting(), |world| drop(world.run(Command::Leave { attempt: 1 }))),
        ),
        (
            "acting, order canceled",
            with(acting(), |world| drop(world.run(Command::Cancel))),
        ),
        (
            "acting, cancel refused",
            with(acting(), |world| {
                world.run(Command::Leave { attempt: 1 });
                world.says("1/can/0", declined());
            }),
        ),
        (
            "acting, window over",
            with(acting(), |world| drop(world.run(Command::WindowOver))),
        ),
        (
            "waiting",
            with(sale(), |world| drop(world.says("1/auth/0", Says::Pending))),
        ),
        (
            "waiting, window over",
            with(sale(), |world| {
                world.says("1/auth/0", Says::Pending);
                world.run(Command::WindowOver);
            }),
        ),
        (
            "uncertain",
            with(sale(), |world| drop(world.says("1/auth/0", Says::Uncertain))),
        ),
        (
            "uncertain, rail cannot undo",
            with(World::sale(3), |world| {
                world.start(no_undo);
                world.says("1/auth/0", Says::Uncertain);
            }),
        ),
        (
            "uncertain, reversal sent",
            with(sale(), |world| {
                world.says("1/auth/0", Says::Uncertain);
                world.run(Command::Leave { attempt: 1 });
            }),
        ),
        (
            "seen during a reversal",
            with(sale(), |world| {
                world.says("1/auth/0", Says::Uncertain);
                world.run(Command::Leave { attempt: 1 });
                world.says("1/auth/0", approved(3));
            }),
        ),
        (
            "seen, reversal refused once",
            with(sale(), |world| {
                world.says("1/auth/0", Says::Uncertain);
                world.run(Command::Leave { attempt: 1 });
                world.says("1/auth/0", approved(3));
                world.says("1/rev/0", declined());
            }),
        ),
        (
            "second attempt sent, stray of the first",
            with(stray(), |world| drop(world.start(all()))),
        ),
        (
            "second attempt sent, first being reversed",
            with(stray(), |world| {
                world.start(all());
                world.says("1/auth/0", approved(3));
            }),
        ),
        ("authorized", hold()),
        (
            "authorized, capture sent",
            with(hold(), |world| drop(world.capture(2, false))),
        ),
        (
            "authorized, capture uncertain",
            with(hold(), |world| {
                world.capture(2, false);
                world.says("1/cap/0", Says::Uncertain);
            }),
        ),
        (
            "authorized, partly captured",
            with(hold(), |world| {
                world.capture(2, false);
                world.says("1/cap/0", approved(2));
            }),
        ),
        (
            "authorized, increment sent",
            with(hold(), |world| {
                drop(world.run(Command::Increment { index: 0, by: eur(1) }))
            }),
        ),
        (
            "authorized, void sent",
            with(hold(), |world| drop(world.run(Command::Void))),
        ),
        (
            "authorized, void refused",
            with(hold(), |world| {
                world.run(Command::Void);
                world.says("1/void/0", declined());
            }),
        ),
        (
            "authorized, capture sent, hold gone",
            with(hold(), |world| {
                world.capture(2, false);
                world.happened(1, What::HoldGone, 0);
            }),
        ),
        ("captured", captured()),
        ("captured, refund sent", with(captured(), |world| drop(world.refund(2)))),
        (
            "captured, refund uncertain",
            with(captured(), |world| {
                world.refund(2);
                world.says("1/ref/0", Says::Uncertain);
            }),
        ),
        (
            "captured, partly refunded",
            with(captured(), |world| {
                world.refund(2);
                world.says("1/ref/0", approved(2));
            }),
        ),
        (
            "captured, sale being voided",
            with(captured(), |world| drop(world.run(Command::Void))),
        ),
        (
            "captured, disputed",
            with(captured(), |world| {
                drop(world.happened_as("dp", 1, What::DisputeOpened, 3))
            }),
        ),
        (
            "failed",
            with(
                World::new(Terms {
                    attempts_max: 1,
                    ..Terms::payment(eur(3), WINDOW)
                }),
                |world| {
                    world.start(all());
                    world.says("1/auth/0", declined());
                },
            ),
        ),
        (
            "canceled",
            with(World::sale(3), |world| drop(world.run(Command::Cancel))),
        ),
        (
            "expired",
            with(World::sale(3), |world| drop(world.run(Command::WindowOver))),
        ),
        (
            "voided",
            with(hold(), |world| {
                world.run(Command::Void);
                world.says("1/void/0", approved(3));
            }),
        ),
        ("verify, sent", with(verify(), |world| drop(world.start(all())))),
        (
            "verified",
            with(verify(), |world| {
                world.start(all());
                world.says("1/auth/0", approved(0));
            }),
        ),
        ("payout, sent", with(payout(), |world| drop(world.start(all())))),
        (
            "payout, paid",
            with(payout(), |world| {
                world.start(all());
                world.says("1/auth/0", approved(3));
            }),
        ),
        (
            "push, part received",
            with(World::sale(3), |world| {
                world.start(Abilities { push: true, ..all() });
                world.says("1/auth/0", Says::Pending);
                world.happened(1, What::Received, 2);
            }),
        ),
        (
            "push, paid",
            with(World::sale(3), |world| {
                world.start(Abilities { push: true, ..all() });
                world.says("1/auth/0", Says::Pending);
                world.happened(1, What::Received, 3);
            }),
        ),
    ]
}

fn verify() -> World {
    World::new(Terms {
        kind: Kind::Verify,
        ..Terms::payment(eur(0), WINDOW)
    })
}

fn payout() -> World {
    World::new(Terms {
        kind: Kind::Credit,
        ..Terms::payment(eur(3), WINDOW)
    })
}

fn commands(order: &Order) -> Vec<(String, Command)> {
    let due = order.due;
    let running = order.running().or(order.winner()).map_or(1, |attempt| attempt.number);
    let capture = |amount, last| Command::Capture {
        index: order.next_capture(),
        amount: eur(amount),
        last,
    };
    let refund = |amount| Command::Refund {
        index: order.next_refund(),
        amount: eur(amount),
    };
    let dollars = Money::new(1, Currency::USD);
    let mut commands = vec![
        (
            "start".into(),
            Command::Start {
                number: order.next_attempt(),
                plan: plan(due, all()).into(),
            },
        ),
        (
            "start for another amount".into(),
            Command::Start {
                number: order.next_attempt(),
                plan: plan(eur(2), all()).into(),
            },
        ),
        (
            "start 1 again, another plan".into(),
            Command::Start {
                number: 1,
                plan: plan(due, Abilities::default()).into(),
            },
        ),
        (
            "continue action 1".into(),
            Command::Continue {
                attempt: running,
                action: 1,
            },
        ),
        (
            "continue action 0".into(),
            Command::Continue {
                attempt: running,
                action: 0,
            },
        ),
        ("leave".into(), Command::Leave { attempt: running }),
        ("leave attempt 9".into(), Command::Leave { attempt: 9 }),
        ("cancel".into(), Command::Cancel),
        ("amend to 4".into(), Command::Amend { due: eur(4) }),
        ("amend to 1".into(), Command::Amend { due: eur(1) }),
        ("amend to 0".into(), Command::Amend { due: eur(0) }),
        ("capture 1".into(), capture(1, false)),
        ("capture 1, last".into(), capture(1, true)),
        ("capture 0".into(), capture(0, true)),
        ("capture 4".into(), capture(4, true)),
        (
            "capture USD 1".into(),
            Command::Capture {
                index: order.next_capture(),
                amount: dollars,
                last: true,
            },
        ),
        (
            "increment by 1".into(),
            Command::Increment {
                index: order.next_increment(),
                by: eur(1),
            },
        ),
        (
            "increment by 0".into(),
            Command::Increment {
                index: order.next_increment(),
                by: eur(0),
            },
        ),
        ("void".into(), Command::Void),
        ("refund 1".into(), refund(1)),
        ("refund 3".into(), refund(3)),
        ("refund 4".into(), refund(4)),
        ("refund 0".into(), refund(0)),
        ("describe".into(), Command::Describe),
        ("timer: window".into(), Command::WindowOver),
        ("timer: hold".into(), Command::HoldOver),
        ("timer: capture".into(), Command::CaptureDue),
        ("timer: action".into(), Command::ActionOver { attempt: running }),
        (
            "timer: reverse again".into(),
            Command::ReverseAgain { attempt: running },
        ),
        ("timer: stray".into(), Command::StrayOver { attempt: 1 }),
    ];
    for (name, step) in steps(order) {
        commands.push((format!("timer: answer of {name}"), Command::AnswerOver { step }));
        commands.push((
            format!("timer: {name} uncertain for long"),
            Command::UncertainLong { step },
        ));
    }
    commands
}

fn steps(order: &Order) -> Vec<(String, StepName)> {
    let mut names = Vec::new();
    for (_, attempt) in order.attempts() {
        names.push(StepName::authorize(attempt.number));
        names.extend(attempt.steps().map(|(name, _)| name));
    }
    names.into_iter().map(|name| (name.to_string(), name)).collect()
}

fn facts(order: &Order) -> Vec<(String, Command)> {
    let mut facts = Vec::new();
    let dollars = Says::Approved {
        money: Money::new(3, Currency::USD),
        held: None,
        stated: true,
    };
    for (name, step) in steps(order) {
        let said = [
            ("approved 3", approved(3)),
            ("approved 2", approved(2)),
            ("approved 4", approved(4)),
            ("approved USD 3", dollars.clone()),
            ("held 3", held(3)),
            ("declined", declined()),
            ("released, nothing moved", released(0)),
            ("released, 3 moved", released(3)),
            ("acting", page(2)),
            ("pending", Says::Pending),
            ("uncertain", Says::Uncertain),
            (
                "stuck",
                Says::Stuck {
                    why: "nobody to ask".into(),
                },
            ),
            ("taken back 2", Says::TakenBack { money: eur(2) }),
        ];
        for (word, says) in said {
            facts.push((
                format!("{name} {word}"),
                Command::Fact(Fact::Answer { step, says, note: None }),
            ));
        }
    }
    let unknown = "1/cap/9".parse().expect("a step");
    facts.push((
        "1/cap/9 approved 3".into(),
        Command::Fact(Fact::Answer {
            step: unknown,
            says: approved(3),
            note: None,
        }),
    ));
    let happened = [
        ("hold gone", What::HoldGone, 0),
        ("captured elsewhere 1", What::Captured, 1),
        ("voided elsewhere 1", What::Voided, 1),
        ("voided elsewhere 3", What::Voided, 3),
        ("refunded elsewhere 1", What::Refunded, 1),
        ("refund back elsewhere 1", What::RefundBack, 1),
        ("returned 3", What::Returned, 3),
        ("dispute opened 2", What::DisputeOpened, 2),
        ("dispute won 2", What::DisputeWon, 2),
        ("dispute lost 2", What::DisputeLost, 2),
        ("fee 1", What::Fee, 1),
        ("fee -1", What::Fee, -1),
        ("received 1", What::Received, 1),
        ("returned -1", What::Returned, -1),
    ];
    for (word, what, amount) in happened {
        let id = if word.starts_with("dispute") { "dp" } else { "new" };
        let fact = Fact::Happened {
            attempt: 1,
            id: id.into(),
            what,
            money: eur(amount),
        };
        facts.push((word.into(), Command::Fact(fact)));
    }
    facts
}

#[test]
fn every_command_and_every_fact_on_every_state_does_what_the_table_says() {
    let mut table = String::from(
        "# Every command and every fact on representative states: what happens (with what is owed in the same commit) and the\n\
         # order's word afterwards, or why not. `-`: as before, or nothing to do. Written by UPDATE_GOLDEN=1 cargo test -p florin-core.\n",
    );
    for (name, world) in states() {
        let word = world.word();
        let _ = writeln!(
            table,
            "\n== {name} ({word}{})",
            if uncertain(&world.order) { ", uncertain" } else { "" }
        );
        let in_flight = world.open().join(", ");
        let timers: Vec<String> = world
            .order
            .timers()
            .iter()
            .map(|(_, timer)| timer_word(timer))
            .collect();
        let _ = writeln!(table, "   in flight: {in_flight}\n   timers: {}", timers.join(", "));
        let all = commands(&world.order).into_iter().chain(facts(&world.order));
        for (what, command) in all {
            let mut next = world.clone();
            let line = match next.try_do(&command) {
                Ok(kinds) if kinds.is_empty() => "-".to_owned(),
                Ok(kinds) => {
                    let attention: Vec<&str> = attention(&next.order).iter().map(|word| word.as_str()).collect();
                    let attention = if attention.is_empty() {
                        String::new()
                    } else {
                        format!(" !{}", attention.join(","))
                    };
                    format!("{} = {}{attention}", kinds.join(" + "), next.word())
                }
                Err(refusal) => format!("refused: {refusal}"),
            };
            let _ = writeln!(table, "{what:<40} {line}");
        }
    }
    compare("transitions.txt", &table);
}

fn timer_word(timer: &Command) -> String {
    format!("{timer:?}")
        .split([' ', '{', '('])
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn every_timer_of_every_state_does_something_and_is_then_over() {
    for (name, world) in states() {
        for (at, timer) in world.order.timers() {
            let mut next = world.clone();
            next.now = at;
            let kinds = next.run(timer.clone());
            assert!(!kinds.is_empty(), "{timer:?} does nothing on `{name}`");
            let again = next.order.timers().into_iter().any(|(_, left)| left == timer);
            assert!(!again, "{timer:?} still runs on `{name}` after it fired");
        }
        assert!(
            world
                .order
                .timers()
                .iter()
                .all(|(at, _)| *at > Timestamp::from_millis(0)),
            "{name}"
        );
    }
}
