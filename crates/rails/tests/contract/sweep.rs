//! Law 17: every exchange × every fault × how often × what becomes of notices × what the payer does, against the provider's own book.
//!
//! A commit runs the corners of each dimension, `FLORIN_FULL=1` all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use florin_core::rail::{Event, Heard, Next, Outcome};

use super::scenes::{SCENES, Scene, agrees, scene};
use super::worker::{Copies, End, Fault, Notices, Payer, Plan, check, run};
use super::world::Request;
use crate::support;

/// How often a fault strikes; more copies than this are never sent.
const FOR_EVER: usize = usize::MAX;
const PAYERS: [Payer; 3] = [Payer::Acts, Payer::ActsAtTheLastMoment, Payer::Leaves];

fn full() -> bool {
    std::env::var_os("FLORIN_FULL").is_some()
}

/// Runs a scene as planned; a run that breaks a law is run again and told.
fn plays(name: &'static str, plan: &Plan) -> (Scene, End) {
    let play = |tell: bool| {
        let mut scene = scene(name);
        let end = run(scene.rail, &mut *scene.world, plan, scene.task.clone(), tell);
        let verdict = agrees(&scene, plan, &end);
        (scene, end, verdict)
    };
    match catch_unwind(AssertUnwindSafe(|| play(false))) {
        Ok((scene, end, Ok(()))) => (scene, end),
        Ok((_, _, Err(_))) | Err(_) => {
            let (scene, end, verdict) = play(true);
            panic!(
                "{name}: {verdict:?}\nplan: {plan:?}\nbook: {:?}\n{}",
                scene.world.book(),
                end.log
            );
        }
    }
}

/// The exchanges that a scene sends when nothing goes wrong but the payer: where a first fault can strike.
fn sent(name: &'static str) -> BTreeSet<&'static str> {
    let calm = |payer| plays(name, &plan(&[], payer, Notices::Lost)).1.sent;
    PAYERS.into_iter().flat_map(calm).collect()
}

/// The questions that a scene may ask after a first fault.
fn questions(name: &'static str) -> Vec<&'static str> {
    let all = scene(name).rail.table().exchanges.iter().copied();
    all.filter(|exchange| exchange.starts_with("look") && !matches!(*exchange, "look_finished" | "look_disputes"))
        .collect()
}

/// Faults that a commit runs: of those that look the same to a rail one is enough.
fn faults() -> impl Iterator<Item = Fault> {
    let alike = [
        Fault::DeathBeforeMark,
        Fault::DeathAfterMark,
        Fault::DeathAfterSend,
        Fault::FailedBefore,
    ];
    Fault::ALL
        .into_iter()
        .filter(move |fault| full() || !alike.contains(fault))
}

fn plan(faults: &[(&'static str, Fault, usize)], payer: Payer, notices: Notices) -> Plan {
    let copies = |fault, times| match times {
        FOR_EVER => Copies {
            first: Vec::new(),
            rest: fault,
        },
        times => Copies {
            first: vec![fault; times],
            rest: Fault::None,
        },
    };
    Plan {
        faults: faults
            .iter()
            .map(|(name, fault, times)| (*name, copies(*fault, *times)))
            .collect(),
        payer,
        notices,
    }
}

#[test]
fn law_17_a_fault_in_any_exchange_moves_money_at_most_once_and_the_end_agrees_with_the_book() {
    let times: &[usize] = if full() { &[1, 2, 10, FOR_EVER] } else { &[1, FOR_EVER] };
    let mut people = vec![(Payer::Acts, Notices::Twice)];
    people.extend(PAYERS.map(|payer| (payer, Notices::Lost)));
    if full() {
        let notices = [Notices::Normal, Notices::Twice, Notices::Forged];
        people.extend(
            PAYERS
                .into_iter()
                .flat_map(|payer| notices.map(|notices| (payer, notices))),
        );
    }
    let mut runs = 0;
    for name in SCENES {
        for exchange in sent(name) {
            for fault in faults() {
                for times in times {
                    for (payer, notices) in &people {
                        plays(name, &plan(&[(exchange, fault, *times)], *payer, *notices));
                        runs += 1;
                    }
                }
            }
        }
    }
    println!("{runs} runs");
    assert!(runs > 4_000, "the sweep is smaller than it was: {runs}");
}

#[test]
fn law_17_two_different_faults_of_two_copies_agree_with_the_book_too() {
    let rests: &[Fault] = if full() {
        &[Fault::None, Fault::RequestLost, Fault::AnswerLost]
    } else {
        &[Fault::RequestLost]
    };
    let mut runs = 0;
    for name in SCENES {
        for exchange in sent(name) {
            for first in faults() {
                for second in faults() {
                    for rest in rests {
                        let copies = Copies {
                            first: vec![first, second],
                            rest: *rest,
                        };
                        let faults = BTreeMap::from([(exchange, copies)]);
                        plays(
                            name,
                            &Plan {
                                faults,
                                payer: Payer::Acts,
                                notices: Notices::Lost,
                            },
                        );
                        runs += 1;
                    }
                }
            }
        }
    }
    println!("{runs} runs");
}

#[test]
fn law_17_a_fault_while_asking_after_a_fault_while_acting_agrees_with_the_book() {
    let times: &[usize] = if full() { &[1, 3, 10, FOR_EVER] } else { &[10] };
    let payers: &[Payer] = if full() { &PAYERS } else { &[Payer::ActsAtTheLastMoment] };
    let seconds = [
        Fault::RequestLost,
        Fault::Broken,
        Fault::FailedBefore,
        Fault::Refused,
        Fault::TooMany,
    ];
    let mut runs = 0;
    for name in SCENES {
        for act in sent(name) {
            for ask in questions(name) {
                for first in [
                    Fault::RequestLost,
                    Fault::Late,
                    Fault::AnswerLost,
                    Fault::FailedAfter,
                    Fault::Refused,
                ] {
                    for second in seconds {
                        for times in times {
                            for payer in payers {
                                plays(
                                    name,
                                    &plan(&[(act, first, 10), (ask, second, *times)], *payer, Notices::Normal),
                                );
                                runs += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    println!("{runs} runs");
}

#[test]
fn law_15_whatever_is_told_of_a_step_that_is_over_turns_no_success_into_a_failure() {
    for name in SCENES {
        let (mut scene, end) = plays(name, &Plan::calm());
        for round in 0..5 {
            let mut task = end.task.clone();
            let mut turn = scene.rail.wake(&task, "finished", Event::Tick);
            while let Next::Send(exchange) = &turn.next {
                check(scene.rail, &task, &turn);
                let silence = scene.rail.read(&task, &exchange.name, Heard::Silence);
                assert!(!matches!(silence.next, Next::Done(_)), "{name}: silence is no news");
                let reply = scene.world.handle(&Request::of(exchange));
                turn = scene.rail.read(&task, &exchange.name, Heard::Reply(&reply));
                support::learn(&mut task.memo, &turn);
            }
            match turn.next {
                Next::Done(report) => assert_eq!(
                    std::mem::discriminant(&report.outcome),
                    std::mem::discriminant(&end.report.outcome),
                    "{name}, round {round}: {report:?}"
                ),
                Next::Unclear => {}
                next @ (Next::Send(_) | Next::Again { .. } | Next::Wait(_) | Next::Stuck(_)) => {
                    panic!("{name}: {next:?}")
                }
            }
        }
    }
}

#[test]
fn a_calm_run_of_every_scene_ends_as_it_should() {
    for name in SCENES {
        let what = name.split_once(": ").unwrap().1;
        let (_, end) = plays(name, &Plan::calm());
        let word = match end.report.outcome {
            Outcome::Held { .. } => "held",
            Outcome::Moved => "moved",
            Outcome::Released => "released",
            Outcome::Declined(_) => "declined",
            Outcome::Returned(_) => "returned",
        };
        let should = match what {
            "sale, declined card" => "declined",
            "void" => "released",
            _ if what.starts_with("cancel") || what.starts_with("reverse") => "released",
            _ if what.starts_with("hold") => "held",
            _ => "moved",
        };
        assert_eq!(word, should, "{name}");
    }
}
