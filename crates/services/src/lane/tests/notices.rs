//! What a provider reports by itself.

use super::*;

#[test]
fn a_notice_waits_for_the_message_that_is_out_and_is_done_with_the_turn_it_causes() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.told("evt_1", 1);
    assert_eq!((bench.effects.len(), bench.inbox()), (1, 1), "it waits");
    bench.turn(Some("act"));
    assert!(
        matches!(bench.effects[0].errand, Errand::Told(_)),
        "told when the message was answered"
    );
    assert_eq!(bench.inbox(), 1, "and not done before its turn is written");
    bench.turn(Some("taken"));
    assert_eq!((bench.stored_word(1), bench.inbox()), ("captured", 0));
}

#[test]
fn two_notices_about_one_step_are_told_one_after_the_other() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("act"));
    bench.told("evt_1", 1);
    bench.told("evt_2", 1);
    assert_eq!(bench.effects.len(), 1);
    bench.turn(Some("taken"));
    assert_eq!((bench.effects.len(), bench.inbox()), (1, 1));
    assert_eq!(
        bench.effects[0].at.name(),
        "finished",
        "the step is over when the second one is told"
    );
    bench.turn(Some("taken"));
    assert_eq!(bench.inbox(), 0);
}

#[test]
fn a_notice_about_somebody_elses_order_is_done_and_changes_nothing() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("act"));
    let before = bench.stored(1);
    let (row, item) = notice("evt_1", about_sale(1));
    let foreign = Tenant {
        merchant: MerchantId::from_uuid(Uuid::from_u128(99)),
        mode: Mode::Test,
    };
    bench.lane.push(Job::Told {
        tenant: foreign,
        order: order(1),
        id: row.id,
        item: Box::new(item),
    });
    bench.run();
    assert!(bench.effects.is_empty());
    assert_eq!(bench.stored(1), before);
}

#[test]
fn a_question_that_brought_nothing_does_not_settle_the_notice_that_asked_it() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("taken"));
    bench.told("evt_1", 1);
    bench.turn(None);
    assert_eq!(
        (bench.inbox(), bench.untold),
        (1, 1),
        "nobody else asks about a step that is over"
    );
    bench.turn_told("evt_1", 1, "taken");
    assert_eq!(bench.inbox(), 0);
}

#[test]
fn a_notice_about_what_a_step_made_is_told_again_when_the_step_is_over() {
    let made = || About::Ref("begun".into(), "yes".into());
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("act"));
    bench.told_about("evt_dispute", 1, made());
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
    assert_eq!(
        (bench.inbox(), bench.untold),
        (1, 1),
        "the rail looked for the payment, not for a dispute of it"
    );
    bench.told_about("evt_dispute", 1, made());
    bench.turn(Some("taken"));
    assert_eq!(bench.inbox(), 0);
}

/// A database that was put back to a copy from before the attempt: whoever repeats the call makes it again.
#[test]
fn a_notice_about_an_attempt_that_its_order_does_not_have_yet_is_kept() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("no"));
    let unknown = florin_core::id::Key::new(order(1), StepName::authorize(2));
    bench.told_about("evt_1", 1, About::Key(unknown));
    assert!(bench.effects.is_empty());
    assert_eq!((bench.inbox(), bench.untold), (1, 1));
}

#[test]
fn money_of_a_step_that_the_order_does_not_have_is_an_alarm() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_order(1).alarms, []);
    let refund = StepName {
        kind: StepKind::Refund,
        ..StepName::authorize(1)
    };
    let key = florin_core::id::Key::new(order(1), refund);
    bench.told_about("evt_1", 1, About::Key(key));
    bench.turn(Some("three"));
    assert_eq!(bench.stored_order(1).alarms.len(), 1);
    assert_eq!((bench.stored_word(1), bench.inbox()), ("captured", 0));
}
