//! What is swept: a step, the world it begins in, and what its end must have done to the payer's money.

use florin_core::id::Key;
use florin_core::money::Money;
use florin_core::rail::{Instrument, Outcome, Rail, Step, Task};

use super::issuer_world::Issuer;
use super::stripe_world::{Method, Stripe};
use super::worker::{End, Fault, Payer, Plan, run};
use super::world::{Book, World};
use crate::support;

/// A step to be run, in the world in which it begins.
pub(crate) struct Scene {
    pub name: &'static str,
    pub rail: &'static dyn Rail,
    pub world: Box<dyn World>,
    pub task: Task,
    /// The book when the step began.
    pub before: Book,
}

/// Every scene, by its name.
pub(crate) const SCENES: &[&str] = &[
    "stripe: sale, good card",
    "stripe: hold, good card",
    "stripe: sale, declined card",
    "stripe: sale, challenge",
    "stripe: sale, bank debit",
    "stripe: sale in a busy account",
    "stripe: sale on the page",
    "stripe: hold on the page",
    "stripe: bank debit on the page",
    "stripe: capture of a part",
    "stripe: void",
    "stripe: cancel the page",
    "stripe: cancel the challenge",
    "stripe: refund of a part",
    "stripe: reverse a sale",
    "stripe: reverse a hold",
    "stripe: reverse the page",
    "stripe: reverse the paid page",
    "stripe: reverse a lost sale",
    "stripe: reverse a lost sale in a busy account",
    "stripe: reverse what never arrived",
    "stripe: reverse what never arrived in a busy account",
    "stripe: reverse a bank debit",
    "issuer: sale, good card",
    "issuer: hold, good card",
    "issuer: sale, declined card",
    "issuer: sale, challenge",
    "issuer: capture of a part",
    "issuer: void",
    "issuer: cancel the challenge",
    "issuer: refund of a part",
    "issuer: reverse a sale",
    "issuer: reverse a hold",
    "issuer: reverse a lost sale",
    "issuer: reverse what never arrived",
];

/// Sets a scene up.
pub(crate) fn scene(name: &'static str) -> Scene {
    let (rail_name, what) = name.split_once(": ").expect("RAIL: WHAT");
    let rail = florin_rails::by_name(rail_name).expect("a rail");
    let method = match what {
        _ if what.contains("declined") => Method::Declined,
        _ if what.contains("challenge") => Method::Challenge,
        _ if what.contains("bank debit") => Method::Slow,
        _ => Method::Good,
    };
    let card = match method {
        Method::Good | Method::Slow => "card_visa",
        Method::Declined => "card_visa_chargeDeclined",
        Method::Challenge => "card_threeDSecure2Required",
    };
    let mut world: Box<dyn World> = match rail_name {
        "stripe" => Box::new(Stripe::new(support::NOW_S, method, what.contains("busy"))),
        _ => Box::new(Issuer::default()),
    };
    let paid = |step| Task {
        instrument: if what.contains("page") {
            Instrument::Hosted
        } else {
            Instrument::Stored(card.into())
        },
        ..support::task(rail, step)
    };
    let after = |step, first: &Task| Task {
        step,
        key: Key::new(support::order(), support::step_name(step)),
        memo: first.memo.clone(),
        ..first.clone()
    };
    let part = |task: Task| Task {
        money: Money::new(400, task.money.currency()),
        ..task
    };
    let mut calm = |task: Task| run(rail, &mut *world, &Plan::calm(), task, false).task;
    let task = match what {
        "hold, good card" | "hold on the page" => paid(Step::Authorize),
        _ if what.starts_with("sale") || what.starts_with("bank debit") => paid(Step::Sale),
        "capture of a part" => part(after(Step::Capture, &calm(paid(Step::Authorize)))),
        "void" => after(Step::Void, &calm(paid(Step::Authorize))),
        "refund of a part" => part(after(Step::Refund, &calm(paid(Step::Sale)))),
        "cancel the page" | "cancel the challenge" => after(Step::Cancel, &begun(rail, &mut *world, paid(Step::Sale))),
        "reverse the page" | "reverse a bank debit" => {
            after(Step::Reverse, &begun(rail, &mut *world, paid(Step::Sale)))
        }
        "reverse a hold" => after(Step::Reverse, &calm(paid(Step::Authorize))),
        "reverse a sale" | "reverse the paid page" => after(Step::Reverse, &calm(paid(Step::Sale))),
        "reverse a lost sale" | "reverse a lost sale in a busy account" => {
            // It arrived, and nothing was ever heard of it.
            calm(paid(Step::Sale));
            let first = paid(Step::Sale);
            let mut begun = after(Step::Reverse, &first);
            support::learn(&mut begun.memo, &rail.start(&first).expect("a task of the table"));
            begun
        }
        "reverse what never arrived" | "reverse what never arrived in a busy account" => {
            let first = paid(Step::Sale);
            let mut begun = after(Step::Reverse, &first);
            support::learn(&mut begun.memo, &rail.start(&first).expect("a task of the table"));
            begun
        }
        _ => panic!("no such scene: {name}"),
    };
    let before = world.book();
    Scene {
        name,
        rail,
        world,
        task,
        before,
    }
}

/// The attempt up to where the payer, or the bank, takes their time.
fn begun(rail: &'static dyn Rail, world: &mut dyn World, mut task: Task) -> Task {
    let turn = rail.start(&task).expect("a task of the table");
    support::learn(&mut task.memo, &turn);
    let florin_core::rail::Next::Send(exchange) = turn.next else {
        panic!("a first message")
    };
    let reply = world.handle(&super::world::Request::of(&exchange));
    let turn = rail.read(&task, &exchange.name, florin_core::rail::Heard::Reply(&reply));
    support::learn(&mut task.memo, &turn);
    task
}

/// Whether the end of a run agrees with the provider's own book, and whether it was allowed to be said.
pub(crate) fn agrees(scene: &Scene, plan: &Plan, end: &End) -> Result<(), String> {
    let (before, book) = (scene.before, scene.world.book());
    let money = end.report.money.map_or(0, Money::minor);
    let asked = scene.task.money.minor();
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    must(
        book.approvals <= 1,
        "law 17: money was asked for twice, and granted twice",
    )?;
    must(
        book.captured <= 1099 && book.refunded <= book.captured,
        "law 17: money moved twice",
    )?;
    // A refusal, a deadline, or the payer's own doing: nothing else may end a step with a no.
    let declined = matches!(end.report.outcome, Outcome::Declined(_) | Outcome::Released);
    let silent = plan
        .faults
        .values()
        .flat_map(|copies| copies.first.iter().chain([&copies.rest]))
        .all(|fault| !matches!(fault, Fault::None | Fault::Refused | Fault::Broken));
    match scene.task.step {
        Step::Sale | Step::Authorize => {
            match &end.report.outcome {
                Outcome::Moved => must(
                    book.captured == asked && money == asked,
                    "moved, says the rail, and the book does not",
                )?,
                Outcome::Held { .. } => must(
                    book.held == asked && money == asked,
                    "held, says the rail, and the book does not",
                )?,
                Outcome::Declined(_) | Outcome::Released => {
                    must(
                        book.held == 0 && book.captured == 0,
                        "law 4: declined, says the rail, and the book has the money",
                    )?;
                    let page_unseen = scene.task.instrument == Instrument::Hosted && book.approvals == 0;
                    let proven = end.refused || end.after_over || scene.name.contains("declined");
                    must(proven || page_unseen || !silent, "law 7: declined without proof")?;
                }
                Outcome::Returned(_) => must(false, "nothing was returned")?,
            }
            let nobody_stops = plan.payer == Payer::Acts && plan.faults.is_empty();
            must(
                !nobody_stops || !declined || scene.name.contains("declined"),
                "declined, and nothing was wrong",
            )
        }
        Step::Capture | Step::Refund => {
            let moved = if scene.task.step == Step::Capture {
                book.captured
            } else {
                book.refunded
            };
            let was = if scene.task.step == Step::Capture {
                before.captured
            } else {
                before.refunded
            };
            match &end.report.outcome {
                Outcome::Moved => must(
                    moved == was + asked && money == asked,
                    "moved, says the rail, and the book does not",
                ),
                Outcome::Declined(_) => {
                    must(moved == was, "law 4: declined, says the rail, and it was done")?;
                    must(end.refused || end.after_over, "law 7: declined without proof")
                }
                Outcome::Held { .. } | Outcome::Released | Outcome::Returned(_) => must(false, "no end of such a step"),
            }
        }
        Step::Void | Step::Cancel | Step::Reverse => {
            let stands = book.held + book.captured - book.refunded;
            let stood = before.held + before.captured - before.refunded;
            match &end.report.outcome {
                Outcome::Released => {
                    must(stands == 0, "released, says the rail, and something stands")?;
                    must(
                        !book.open || scene.name.starts_with("issuer"),
                        "released, says the rail, and the payer can still pay",
                    )?;
                    let moved = book.refunded - before.refunded + (before.held - book.held);
                    let came_late = book.approvals > before.approvals;
                    must(
                        money == moved || came_late,
                        "another amount went back than the rail says",
                    )
                }
                // A cancel that the payer outran, or an undoing that was refused or never arrived.
                Outcome::Declined(_) => must(stands >= stood, "law 4: declined, says the rail, and it was undone"),
                Outcome::Held { .. } | Outcome::Moved | Outcome::Returned(_) => must(false, "no end of such a step"),
            }
        }
        Step::Verify | Step::Increment | Step::Payout => must(false, "no rail has this step yet"),
    }
}
