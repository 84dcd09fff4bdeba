//! A provider that fails: fault tests 22 to 26 of `reliability.md`, as far as one process shows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use florin_core::order::{CaptureAt, Says, StepName};
use florin_core::rail::{Event, Heard, Rail, Table, Task, Turn, Unsupported};
use florin_core::status::{self, Attention};
use florin_services::ask::{Ask, State, What};
use florin_services::engine::{Engine, Settings};
use florin_services::view::View;

use crate::server::Fate;
use crate::world::{PLACES, Place, World, answered, eur, is, word};

/// Callers are answered soon with what runs.
fn impatient() -> Settings {
    Settings {
        call_wait: Duration::from_millis(300),
        poll: Duration::from_millis(20),
        ..Settings::default()
    }
}

fn uncertain(view: &View) -> bool {
    status::uncertain(&view.order)
}

/// Makes an order with a hold, or paid.
async fn paid(world: &World, engine: &Engine, capture: CaptureAt) -> florin_core::id::OrderId {
    answered(engine.ask(world.create("A-1", 1000, capture, Some("card_visa"))).await)
        .order
        .order
        .id
}

#[derive(Clone, Copy, Debug)]
enum When {
    BeforeEffect,
    AfterEffect,
}

/// One step of a payment whose answer is lost, before or after its effect: uncertain, asked about, and done once.
async fn lost(step: &'static str, path: &'static str, when: When, place: Place) {
    let world = World::new(place).await;
    let engine = world.engine_with(1, impatient()).await;
    let order = match step {
        "sale" => None,
        "capture" | "void" => Some(paid(&world, &engine, CaptureAt::Later).await),
        _ => Some(paid(&world, &engine, CaptureAt::Once).await),
    };
    let fate = match when {
        When::BeforeEffect => Fate::BreakBefore,
        When::AfterEffect => Fate::BreakAfter,
    };
    world.server.next(path, fate, 1);
    let ask = match (step, order) {
        ("capture", Some(order)) => world.ask(
            step,
            What::Capture {
                order,
                amount: None,
                last: true,
            },
        ),
        ("void", Some(order)) => world.ask(step, What::Void { order }),
        ("refund", Some(order)) => world.ask(step, What::Refund { order, amount: None }),
        _ => world.create("A-1", 1000, CaptureAt::Once, Some("card_visa")),
    };
    let running = answered(engine.ask(ask.clone()).await);
    let order = running.order.order.id;
    assert_eq!(running.state, State::Running, "{step} {when:?}");
    assert!(uncertain(&running.order), "{step} {when:?}: no answer is no decline");
    world.clock.pass(6); // the plan says: again
    let end = match step {
        "sale" | "capture" => "captured",
        "void" => "canceled",
        _ => "refunded",
    };
    world.until(&engine, order, is(end)).await;
    let over = answered(engine.ask(ask).await);
    assert_eq!((over.state, over.replayed, word(&over.order)), (State::Over, true, end));
    world.check().await;
    let stands = world.server.provider.lock().unwrap().stands(order)[&1];
    let moved = match step {
        "void" => (0, 0, 0),
        "refund" => (0, 1000, 1000),
        _ => (0, 1000, 0),
    };
    assert_eq!(
        (stands.held, stands.taken, stands.back),
        moved,
        "{step} {when:?} {place:?}"
    );
}

macro_rules! lost_answers {
    ($($name:ident = $step:literal, $path:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            for place in PLACES {
                lost($step, $path, When::BeforeEffect, place).await;
                lost($step, $path, When::AfterEffect, place).await;
            }
        }
    )*};
}

lost_answers! {
    fault_22_a_sale_whose_answer_is_lost_is_asked_about_and_charged_once = "sale", "POST /v1/payment_intents";
    fault_22_a_capture_whose_answer_is_lost_is_asked_about_and_taken_once = "capture", "/capture";
    fault_22_a_void_whose_answer_is_lost_is_asked_about_and_done_once = "void", "/cancel";
    fault_22_a_refund_whose_answer_is_lost_is_asked_about_and_paid_once = "refund", "POST /v1/refunds";
}

/// What a provider says instead of an answer, and the sale is settled once all the same.
async fn nonsense(fate: Fate) {
    let world = World::new(Place::Memory).await;
    let engine = world.engine_with(1, impatient()).await;
    world.server.next("POST", fate.clone(), 1);
    let running = answered(engine.ask(world.sale("A-1")).await);
    assert_eq!(
        (running.state, word(&running.order)),
        (State::Running, "processing"),
        "{fate:?}"
    );
    let order = running.order.order.id;
    world.clock.pass(6);
    world.until(&engine, order, is("captured")).await;
    world.check().await;
    assert_eq!(world.server.provider.lock().unwrap().approvals(order), 1, "{fate:?}");
}

/// Stripe's rail, with a mistake in what it does with a payer who comes back: it panics the first time.
struct Clumsy;

static FAILED: AtomicBool = AtomicBool::new(false);

fn stripe() -> &'static dyn Rail {
    florin_rails::by_name("stripe").unwrap()
}

impl Rail for Clumsy {
    fn table(&self) -> &'static Table {
        stripe().table()
    }

    fn start(&self, task: &Task) -> Result<Turn, Unsupported> {
        stripe().start(task)
    }

    fn read(&self, task: &Task, exchange: &str, heard: Heard<'_>) -> Turn {
        stripe().read(task, exchange, heard)
    }

    fn wake(&self, task: &Task, wait: &str, event: Event<'_>) -> Turn {
        assert!(
            !matches!(event, Event::Back(_)) || FAILED.swap(true, Ordering::SeqCst),
            "a mistake in a rail"
        );
        stripe().wake(task, wait, event)
    }
}

#[tokio::test]
async fn a_rail_that_panics_leaves_its_step_free_for_the_next_question() {
    let world = World::new(Place::Memory).await;
    let engine = world
        .engine_of(1, world.connect(), impatient(), world.clock.clone(), &[&Clumsy])
        .await;
    let made = engine
        .ask(world.create("A-1", 2500, CaptureAt::Once, Some("hosted")))
        .await;
    let order = answered(made).order.order.id;
    let page = world.server.provider.lock().unwrap().open_pages().pop().unwrap();
    let now = world.clock_now();
    world.server.provider.lock().unwrap().pay(&page, "card_visa", now);
    let back = || {
        let params = Default::default();
        engine.ask(Ask {
            tenant: world.tenant,
            key: None,
            what: What::Back { order, params },
        })
    };
    assert_eq!(word(&answered(back().await).order), "requires_action", "it failed");
    assert_eq!(word(&answered(back().await).order), "captured");
    for _ in 0..500 {
        if engine.health().carrying == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("an errand that failed still counts");
}

#[tokio::test]
async fn fault_23_errors_and_garbage_prove_nothing_and_charge_nobody_twice() {
    for fate in [
        Fate::Status(500),
        Fate::DoneThen(500),
        Fate::Status(502),
        Fate::Status(429),
        Fate::BreakAfter,
        Fate::Garbage(""),
        Fate::Garbage("{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"stat"),
        Fate::Garbage(
            "{\"id\":\"pi_000001\",\"object\":\"payment_intent\",\"status\":\"paid_in_full\",\"currency\":\"eur\"}",
        ),
        Fate::Garbage("<html>"),
        Fate::Huge,
    ] {
        nonsense(fate).await;
    }
}

#[tokio::test]
async fn fault_23_a_reply_that_drips_is_silence_after_fifteen_seconds() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine_with(1, impatient()).await;
    world.server.next("POST", Fate::Late(Duration::from_secs(20)), 1);
    let running = answered(engine.ask(world.sale("A-1")).await);
    let order = running.order.order.id;
    assert!(!uncertain(&running.order));
    world.until(&engine, order, uncertain).await;
    world.clock.pass(6);
    world.until(&engine, order, is("captured")).await;
    world.check().await;
}

#[tokio::test]
async fn fault_23_a_provider_that_refuses_connections_declines_for_a_reason_that_may_be_tried_elsewhere() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine(1).await;
    let nobody = world.connection_to("http://127.0.0.1:9").await; // nobody listens on the discard port
    let mut ask = world.sale("A-1");
    if let What::Create { start: Some(pay), .. } = &mut ask.what {
        pay.connection = Some(nobody);
    }
    let declined = answered(engine.ask(ask).await);
    assert_eq!((word(&declined.order), declined.state), ("created", State::Over));
    assert!(
        status::may_fail_over(&declined.order.order),
        "nothing left: another provider may be tried"
    );
    assert!(world.server.seen("POST").is_empty());
}

#[tokio::test]
async fn fault_24_another_amount_holds_the_payment_for_a_person() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine_with(1, impatient()).await;
    world.server.provider.lock().unwrap().misstates_by = 50;
    let held = answered(engine.ask(world.sale("A-1")).await);
    let order = held.order.order.id;
    assert_eq!(word(&held.order), "processing");
    assert_eq!(status::attention(&held.order.order), [Attention::AmountMismatch]);
    // A person looked it up.
    let what = What::Resolve {
        order,
        step: StepName::authorize(1),
        says: Says::Approved {
            money: eur(1149),
            held: None,
            stated: true,
        },
        note: "the dashboard shows EUR 11.49".into(),
    };
    let mut resolve = world.ask("resolve", what);
    resolve.key = None;
    let resolved = answered(engine.ask(resolve).await);
    assert_eq!(word(&resolved.order), "captured");
}

#[tokio::test]
async fn fault_24_an_answer_that_comes_twice_is_booked_once() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine_with(1, impatient()).await;
    world.server.next("POST", Fate::BreakAfter, 3);
    let order = answered(engine.ask(world.sale("A-1")).await).order.order.id;
    for _ in 0..4 {
        world.clock.pass(400);
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    world.until(&engine, order, is("captured")).await;
    let posts = world.server.seen("POST");
    assert!(
        posts.len() > 2 && posts[1..].iter().all(|seen| seen.replayed),
        "the same message, the same answer"
    );
    world.check().await;
}

#[tokio::test]
async fn fault_25_an_uncertain_attempt_is_not_followed_by_one_elsewhere() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine_with(1, impatient()).await;
    world.server.next("POST /v1/payment_intents", Fate::BreakAfter, 1);
    let order = answered(engine.ask(world.sale("A-1")).await).order.order.id;
    let elsewhere = world.connection_to(&world.server.base).await;
    engine.directory().refresh().await.unwrap();
    let mut pay = world.pay("card_visa");
    pay.connection = Some(elsewhere);
    let refused = engine.ask(world.ask("elsewhere", What::Confirm { order, pay })).await;
    assert!(
        matches!(refused, Err(florin_services::ask::Denied::Refused { .. })),
        "{refused:?}"
    );
    world.clock.pass(6);
    world.until(&engine, order, is("captured")).await;
    assert_eq!(world.server.provider.lock().unwrap().approvals(order), 1);
}

#[tokio::test]
async fn fault_25_a_late_success_of_an_attempt_that_was_left_is_sent_back() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine_with(1, impatient()).await;
    let made = world.create("A-1", 1000, CaptureAt::Once, Some("card_threeDSecure2Required"));
    let order = answered(engine.ask(made).await).order.order.id;
    // The cancel is on its way while the payer passes the challenge: the provider was paid first.
    let intent = world.server.provider.lock().unwrap().challenged()[0].clone();
    world
        .server
        .provider
        .lock()
        .unwrap()
        .challenge(&intent, true, world.clock_now());
    let left = engine.ask(world.ask("cancel", What::Cancel { order })).await;
    assert!(left.is_ok(), "{left:?}");
    world.clock.pass(16); // the cancel was refused: the challenge's plan asks
    let settled = |view: &View| view.order.in_flight().is_empty() && view.order.owed().is_none();
    let view = world.until(&engine, order, settled).await;
    let stands = world.server.provider.lock().unwrap().stands(order)[&1];
    let kept = stands.taken - stands.back;
    assert!(
        (word(&view) == "captured") == (kept == 1000) && (word(&view) == "canceled") == (kept == 0),
        "{stands:?}"
    );
    world.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_26_a_provider_that_is_back_is_asked_about_everything_it_left_open() {
    const SALES: usize = 40;
    let world = World::new(Place::Memory).await;
    let engine = world.engine_with(1, impatient()).await;
    world.server.next("", Fate::BreakAfter, u32::MAX);
    let mut calls = Vec::new();
    for number in 0..SALES {
        let (engine, ask) = (Arc::clone(&engine), world.sale(&format!("A-{number}")));
        calls.push(tokio::spawn(async move { engine.ask(ask).await }));
    }
    let mut open = Vec::new();
    for call in calls {
        let answer = answered(call.await.unwrap());
        if answer.state == State::Running {
            open.push(answer.order.order.id);
        }
    }
    assert!(!open.is_empty());
    for _ in 0..6 {
        world.clock.pass(601); // an hour goes by
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let during = world.server.seen("").len();
    assert!(
        during < SALES * 6,
        "a provider that is down is not hammered: {during} messages"
    );
    world.server.heal();
    world.clock.pass(31);
    // Somebody pays, which shows that it is back: all the others are asked about at once.
    let mut first = answered(engine.ask(world.sale("B-0")).await);
    for number in 1.. {
        if word(&first.order) == "captured" {
            break;
        }
        world.clock.pass(31);
        first = answered(engine.ask(world.sale(&format!("B-{number}"))).await);
        assert!(number < 10);
    }
    for order in open {
        world.until(&engine, order, is("captured")).await;
    }
    world.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_26_what_an_outage_swallowed_is_carried_out_when_the_provider_is_back() {
    let world = World::new(Place::Memory).await;
    let engine = world.engine_with(1, impatient()).await;
    let hold = |name| world.create(name, 1000, CaptureAt::Later, Some("card_visa"));
    let (taken, let_go) = (engine.ask(hold("A-1")).await, engine.ask(hold("A-2")).await);
    let back = engine.ask(world.sale("A-3")).await;
    let [taken, let_go, back] = [taken, let_go, back].map(|answer| answered(answer).order.order.id);
    world.server.next("", Fate::BreakBefore, u32::MAX);
    let capture = What::Capture {
        order: taken,
        amount: None,
        last: true,
    };
    let refund = What::Refund {
        order: back,
        amount: None,
    };
    for (key, what) in [
        ("capture", capture),
        ("void", What::Void { order: let_go }),
        ("refund", refund),
    ] {
        let answer = answered(engine.ask(world.ask(key, what)).await);
        assert_eq!(answer.state, State::Running, "{key}");
    }
    for _ in 0..60 {
        world.clock.pass(15); // a quarter of an hour: longer than all copies
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    world.server.heal();
    let ends = [(taken, "captured"), (let_go, "canceled"), (back, "refunded")];
    for _ in 0..100 {
        world.clock.pass(10);
        tokio::time::sleep(Duration::from_millis(40)).await;
        let mut open = false;
        for (order, end) in ends {
            open |= word(&engine.view(world.tenant, order).await.unwrap()) != end;
        }
        if !open {
            break;
        }
    }
    for (order, end) in ends {
        world.until(&engine, order, is(end)).await;
    }
    world.check().await;
}
