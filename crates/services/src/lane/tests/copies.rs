//! What goes out once, what goes again, and what silence and "not now" mean.

use super::*;

#[test]
fn a_message_that_may_go_once_is_marked_by_a_commit_of_its_own_first() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, Some("once")));
    bench.run();
    assert_eq!(bench.needed(), ["commit", "commit"]);
    assert_eq!(bench.effects.len(), 1);
    assert_eq!(
        bench.stored(1).version,
        3,
        "the mark moves the version: nobody else can have marked it"
    );
    // Whoever finds it marked lets the rail find out, and never sends it.
    let mut next = Bench::over(Arc::new(bench.store.another()), 2);
    next.now = T;
    next.pass(LEASE_S + 1);
    assert_eq!(next.claim(false), 1);
    assert!(matches!(next.effects[0].errand, Errand::Silence));
}

#[test]
fn silence_is_uncertain_and_a_copy_goes_by_the_plan() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(None);
    assert!(bench.effects.is_empty(), "not at once");
    let row = bench.stored(1);
    assert_eq!((row.due, row.lease), (Some(T.plus_seconds(5)), None));
    assert!(bench.is_uncertain(1));
    bench.pass(5);
    assert_eq!(bench.claim(false), 1);
    assert!(matches!(bench.effects[0].errand, Errand::Send { again: true, .. }));
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

#[test]
fn not_now_is_no_fact_and_the_same_message_goes_later() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("later"));
    let row = bench.stored(1);
    assert_eq!(row.due, Some(T.plus_seconds(7)));
    assert!(!bench.is_uncertain(1));
    bench.pass(7);
    bench.claim(false);
    assert!(
        matches!(bench.effects[0].errand, Errand::Send { again: false, .. }),
        "the provider surely did nothing"
    );
}

#[test]
fn a_copy_that_went_after_not_now_is_not_forgotten_when_the_next_one_never_leaves() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("later"));
    bench.until_due(1);
    assert!(
        bench.stored(1).work.unwrap().contains("\"sent\":true"),
        "written before the copy goes"
    );
    bench.turn(None); // it arrived, and its answer was lost
    bench.until_due(1);
    assert!(matches!(bench.effects[0].errand, Errand::Send { again: true, .. }));
    bench.unsent();
    assert_eq!(bench.stored_word(1), "processing", "an earlier copy may have charged");
    bench.until_due(1);
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

/// The provider answers others again: what it left open goes now.
fn nudge(bench: &mut Bench) {
    bench.lane.push(Job::Nudge {
        order: order(1),
        step: None,
    });
    bench.run();
}

#[test]
fn a_provider_that_said_when_to_come_back_is_not_asked_before_because_it_answers_others() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("later"));
    nudge(&mut bench);
    assert!(bench.effects.is_empty(), "{:?}", bench.effects[0].errand);
    bench.pass(6);
    nudge(&mut bench);
    assert!(bench.effects.is_empty(), "it said seven seconds");
    bench.until_due(1);
    bench.turn(None); // silence: what it said before is over
    nudge(&mut bench);
    assert!(matches!(bench.effects[0].errand, Errand::Send { again: true, .. }));
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

#[test]
fn what_was_held_back_while_the_provider_came_back_is_asked_again_at_once_and_once() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(None);
    bench.until_due(1);
    nudge(&mut bench);
    assert_eq!(bench.effects.len(), 1, "one message of a step at a time");
    bench.unsent(); // decided before anybody knew that the provider is back
    assert_eq!(bench.effects.len(), 1, "it does not wait for its plan");
    bench.unsent();
    assert!(bench.effects.is_empty(), "from here on its plan asks");
    nudge(&mut bench);
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

#[test]
fn not_now_to_the_copy_of_a_node_that_came_back_says_nothing_about_the_first() {
    let mut dead = Bench::new();
    dead.sale(1);
    dead.run();
    let mut reborn = Bench::over(Arc::new(dead.store.another()), 1);
    reborn.pass(1);
    let mut reborn = Bench::over(Arc::new(reborn.store.another()), 1);
    reborn.now = T.plus_seconds(1);
    assert_eq!(reborn.claim(true), 1);
    reborn.turn(Some("later"));
    reborn.until_due(1);
    reborn.unsent();
    assert_eq!(
        reborn.stored_word(1),
        "processing",
        "the dead node's copy may have charged"
    );
}

#[test]
fn a_provider_that_says_not_now_for_ever_is_asked_what_it_did_if_a_copy_may_have_arrived() {
    for (silences, word) in [(0, "created"), (1, "processing")] {
        let mut bench = Bench::new();
        bench.sale(1);
        bench.run();
        for _ in 0..silences {
            bench.turn(None);
            bench.until_due(1);
        }
        for _ in 0..crate::work::AGAINS_MAX {
            bench.turn(Some("later"));
            bench.until_due(1);
        }
        bench.turn(None);
        assert_eq!(bench.stored_word(1), word, "{silences} copies without an answer");
    }
}

/// An order whose hold is being captured: the message is out.
fn with_a_capture_out() -> Bench {
    let mut bench = Bench::new();
    bench.ask("hold", create(1, CaptureAt::Later, Some("card")));
    bench.run();
    bench.turn(Some("held"));
    bench.ask(
        "take",
        What::Capture {
            order: order(1),
            amount: None,
            last: true,
        },
    );
    bench.run();
    bench
}

#[test]
fn what_cannot_be_sent_for_half_a_day_is_not_refused() {
    let mut bench = with_a_capture_out();
    let (began, mut tries) = (bench.now, 0);
    while bench.now < began.plus_seconds(12 * 3_600) {
        bench.unsent();
        bench.until_due(1);
        tries += 1;
        assert!(
            matches!(bench.effects[0].errand, Errand::Send { again: false, .. }),
            "try {tries}: {:?}",
            bench.effects[0].errand
        );
    }
    assert!(tries < 90, "{tries} tries");
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

#[test]
fn not_now_to_a_question_is_no_leave_to_send_again_what_may_go_once() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, Some("once")));
    bench.run();
    bench.end(|name| if name == "look" { said("later") } else { Ended::Silence });
    bench.until_due(1);
    assert!(
        matches!(bench.effects[0].errand, Errand::Silence),
        "{:?}",
        bench.effects[0].errand
    );
}

#[test]
fn a_page_is_asked_about_by_its_plan_without_a_commit_for_each_question() {
    let mut bench = Bench::new();
    let sale = bench.sale(1);
    bench.run();
    bench.turn(Some("act"));
    assert_eq!(bench.word(sale), "requires_action");
    bench.pass(10);
    bench.claim(false);
    bench.needed();
    assert!(matches!(bench.effects[0].errand, Errand::Tick));
    let version = bench.stored(1).version;
    bench.turn(Some("act"));
    let row = bench.stored(1);
    assert_eq!(row.version, version, "nothing happened, so no event");
    assert_eq!(
        row.due,
        Some(T.plus_seconds(60)),
        "the clock of a wait does not start again"
    );
}

#[test]
fn copies_that_stay_here_are_none_of_those_that_are_counted() {
    let mut bench = with_a_capture_out();
    bench.turn(None); // it left, and no answer came
    for held in 0..12 {
        bench.until_due(1);
        assert!(
            matches!(bench.effects[0].errand, Errand::Send { again: true, .. }),
            "held back {held} times: {:?}",
            bench.effects[0].errand
        );
        bench.unsent();
    }
    assert!(bench.is_uncertain(1), "the first may have arrived");
    bench.until_due(1);
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}
