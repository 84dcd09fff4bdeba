//! Several nodes on one database: leases, fences, and what is only remembered.

use super::*;

#[test]
fn two_nodes_on_one_order_get_on_one_after_the_other() {
    let mut first = Bench::new();
    first.ask("k", create(1, CaptureAt::Once, None));
    first.run();
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    let paid = second.ask(
        "pay",
        What::Confirm {
            order: order(1),
            pay: pay("card"),
        },
    );
    second.run();
    assert_eq!(second.needed(), ["load", "commit"]);
    first.needed();
    // The first node still remembers the order as it made it.
    let canceled = first.ask("cancel", What::Cancel { order: order(1) });
    first.run();
    assert_eq!(first.needed(), ["commit", "load", "commit"]);
    assert!(!first.replies.contains_key(&canceled), "it waits for the attempt");
    second.turn(Some("taken"));
    assert_eq!(
        second.word(paid),
        "canceled",
        "what the first node wrote meanwhile holds"
    );
    let events = at_once(second.store.events_of(order(1))).unwrap();
    assert!(
        events.iter().any(|row| row.postings.is_some()),
        "and what the provider said is booked"
    );
}

#[test]
fn a_no_about_an_order_that_is_only_remembered_is_read_before_it_is_said() {
    let mut first = Bench::new();
    first.ask("k", create(1, CaptureAt::Later, None));
    first.run();
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    second.ask(
        "pay",
        What::Confirm {
            order: order(1),
            pay: pay("card"),
        },
    );
    second.run();
    second.turn(Some("held"));
    assert_eq!(first.stored_word(1), "authorized");
    first.needed();
    let capture = What::Capture {
        order: order(1),
        amount: None,
        last: true,
    };
    first.ask("capture", capture);
    first.run();
    assert_eq!(
        first.needed(),
        ["load", "commit"],
        "remembered as created, where a capture is refused"
    );
    assert_eq!(first.effects.len(), 1);
}

#[test]
fn a_message_that_may_go_once_is_left_to_the_node_that_holds_the_order() {
    let refund = |minor| What::Refund {
        order: order(1),
        amount: Some(eur(minor)),
    };
    let mut first = Bench::new();
    first.ask("k", create(1, CaptureAt::Once, Some("once")));
    first.run();
    first.turn(Some("taken"));
    first.ask("refund 1", refund(300));
    first.run();
    assert_eq!(first.effects.len(), 1, "under the first node's lease");
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    second.ask("refund 2", refund(400));
    second.run();
    assert!(second.effects.is_empty(), "and it does not try for ever");
    first.turn(Some("taken"));
    assert_eq!(first.effects.len(), 1, "the first node goes on with what it finds");
    first.turn(Some("taken"));
    assert_eq!(first.stored_word(1), "partially_refunded");
}

#[test]
fn a_node_that_comes_back_sends_the_same_message_again_and_says_so() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    let lost = bench.effects.remove(0);
    let mut next = Bench::over(Arc::new(bench.store.another()), 1);
    next.pass(1);
    let mut reborn = Bench::over(Arc::new(next.store.another()), 1);
    reborn.now = next.now;
    assert_eq!(reborn.claim(true), 1, "its own, at once");
    let (
        Errand::Send {
            message: first,
            again: false,
        },
        Errand::Send {
            message: second,
            again: true,
        },
    ) = (&lost.errand, &reborn.effects[0].errand)
    else {
        panic!("{:?}", reborn.effects)
    };
    assert_eq!(first, second);
}

#[test]
fn a_turn_that_the_database_will_not_take_frees_its_step_for_whoever_finds_it_due() {
    let mut bench = Bench::new();
    let sale = bench.sale(1);
    bench.run();
    bench.told("evt_1", 1);
    bench.store.next_fault(Mishap::Reject);
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "processing");
    assert!(bench.effects.is_empty(), "its lease holds");
    bench.pass(LEASE_S + 1);
    assert_eq!(bench.claim(false), 1);
    assert!(matches!(bench.effects[0].errand, Errand::Send { again: true, .. }));
    bench.turn(Some("taken"));
    assert_eq!((bench.word(sale), bench.stored_word(1)), ("captured", "captured"));
}

#[test]
fn a_notice_does_not_send_a_second_copy_of_what_another_lane_has_out() {
    let mut first = Bench::new();
    first.sale(1);
    first.run();
    let out = first.effects.remove(0);
    // The second lane of the same node: the order moved to it when the load changed.
    let mut second = Bench::over(Arc::new(first.store.another()), 1);
    second.told("evt_1", 1);
    second.lane.push(Job::Nudge {
        order: order(1),
        step: None,
    });
    second.run();
    assert!(second.effects.is_empty(), "{:?}", second.effects);
    assert_eq!(second.untold, 1, "it is told when the message is answered");
    first.effects.push(out);
    first.turn(Some("taken"));
    assert_eq!(first.stored_word(1), "captured");
}

#[test]
fn what_another_lane_writes_about_an_order_leaves_the_lease_of_the_message_that_is_out() {
    let mut first = Bench::new();
    first.sale(1);
    first.run();
    let out = first.effects.remove(0);
    let leased = first.stored(1).lease;
    assert!(leased.is_some());
    let mut second = Bench::over(Arc::new(first.store.another()), 1);
    let details = Details {
        description: Some("two teas".into()),
        ..Details::default()
    };
    let what = What::Describe {
        order: order(1),
        was: Arc::default(),
        details: Box::new(details),
    };
    second.ask_with(None, what);
    second.run();
    assert_eq!(second.stored(1).lease, leased);
    second.told("evt_1", 1);
    second.run();
    assert!(second.effects.is_empty(), "{:?}", second.effects);
    first.effects.push(out);
    first.turn(Some("taken"));
    assert_eq!((first.stored_word(1), first.stored(1).lease), ("captured", None));
}

#[test]
fn when_to_come_back_is_not_written_over_by_a_node_that_remembers_the_order_as_it_was() {
    let mut first = Bench::new();
    first.sale(1);
    first.run();
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    let capture = What::Capture {
        order: order(1),
        amount: None,
        last: true,
    };
    second.ask("early", capture);
    second.run();
    first.turn(Some("later"));
    assert_eq!(first.stored(1).due, Some(T.plus_seconds(7)));
    second.needed();
    let details = Details {
        description: Some("two teas".into()),
        ..Details::default()
    };
    let what = What::Describe {
        order: order(1),
        was: Arc::default(),
        details: Box::new(details),
    };
    second.ask_with(None, what);
    second.run();
    assert_eq!(second.needed(), ["commit", "load", "commit"]);
    let row = second.stored(1);
    assert_eq!((row.due, row.lease), (Some(T.plus_seconds(7)), None));
    second.pass(7);
    assert_eq!(second.claim(false), 1);
    assert!(
        matches!(second.effects[0].errand, Errand::Send { again: false, .. }),
        "the first copy surely did nothing"
    );
}

#[test]
fn an_order_that_its_node_claimed_twice_is_asked_about_under_the_later_claim() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(None);
    for _ in 0..2 {
        bench.now = bench.now.plus_seconds(LEASE_S + 1); // the lane was slow, or the clock fast
        bench.store.set_clock(bench.now);
        bench.claim_rows(false);
    }
    bench.run();
    assert_eq!(bench.effects.len(), 1);
    bench.turn(None);
    let row = bench.stored(1);
    assert!(row.lease.is_none() && row.due.unwrap() > bench.now, "{row:?}");
}

#[test]
fn an_order_that_is_claimed_again_while_its_turn_is_on_the_way_is_asked_about_at_once() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(None);
    bench.until_due(1);
    let turned = bench.hear(None);
    bench.lane.push(Job::Turn(Box::new(turned)));
    bench.now = bench.now.plus_seconds(LEASE_S + 1);
    bench.store.set_clock(bench.now);
    bench.claim_rows(false);
    bench.run();
    assert_eq!(
        bench.effects.len(),
        1,
        "its turn came too late, and its lease is this node's"
    );
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

#[test]
fn an_owed_step_waits_for_a_connection_that_this_node_does_not_know() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("act"));
    // A node that has not heard of the connection takes the order over when its window ends, and owes a cancel.
    let mut stranger = Bench::over(Arc::new(bench.store.another()), 2);
    stranger.knows.store(false, Relaxed);
    stranger.pass(WINDOW_S);
    assert_eq!(stranger.claim(false), 1);
    assert!(stranger.effects.is_empty());
    assert_eq!(stranger.stored_word(1), "processing", "nobody said no");
    stranger.knows.store(true, Relaxed);
    stranger.pass(LEASE_S + 1);
    assert_eq!(stranger.claim(false), 1);
    let cancel = (stranger.effects.iter()).position(|effect| effect.step.kind == StepKind::Cancel);
    stranger
        .effects
        .swap(0, cancel.expect("it is begun when the connection is known"));
    stranger.turn(Some("released"));
    assert_eq!(stranger.stored_word(1), "expired");
}

#[test]
fn a_call_that_needs_a_connection_which_this_node_does_not_know_is_told_to_come_back() {
    let mut bench = Bench::new();
    bench.knows.store(false, Relaxed);
    let sale = bench.sale(1);
    bench.run();
    assert!(
        matches!(bench.replies[&sale], Reply::Denied(Denied::Unavailable { .. })),
        "{:?}",
        bench.replies[&sale]
    );
}

#[test]
fn a_stale_turn_is_dropped_but_a_success_in_it_is_booked() {
    for (word, books) in [("taken", true), ("no", false), ("act", false), ("?", false)] {
        let mut asleep = Bench::new();
        asleep.sale(1);
        asleep.run();
        let late = asleep.hear(Some(word));
        let mut awake = Bench::over(Arc::new(asleep.store.another()), 2);
        awake.pass(LEASE_S + 1);
        assert_eq!(awake.claim(false), 1, "taken over");
        let before = asleep.stored(1);
        asleep.now = awake.now;
        asleep.lane.push(Job::Turn(Box::new(late)));
        asleep.run();
        let after = asleep.stored(1);
        assert_eq!(after.version > before.version, books, "{word}");
        assert_eq!(asleep.stored_word(1) == "captured", books, "{word}");
        // The one that took it over hears the same, and nothing is booked twice.
        awake.turn(Some("taken"));
        assert_eq!(awake.stored_word(1), "captured");
        let events = at_once(awake.store.events_of(order(1))).unwrap();
        assert_eq!(events.iter().filter(|row| row.postings.is_some()).count(), 1, "{word}");
    }
}

#[test]
fn a_notice_about_what_another_node_learned_is_not_called_nobodys() {
    let mut first = Bench::new();
    first.ask("k", create(1, CaptureAt::Once, None));
    first.run();
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    second.ask(
        "pay",
        What::Confirm {
            order: order(1),
            pay: pay("card"),
        },
    );
    second.run();
    second.turn(Some("taken"));
    // The first node remembers the order from before anything was learned.
    let (row, item) = notice("evt_1", About::Ref("id".into(), "toy_1".into()));
    first.lane.push(Job::Told {
        tenant: tenant(),
        order: order(1),
        id: row.id,
        item: Box::new(item),
    });
    first.run();
    assert_eq!(first.effects.len(), 1, "it is told");
}

#[test]
fn a_caller_whose_step_another_node_ended_is_told_how_it_was_then() {
    let mut first = Bench::new();
    let sale = first.sale(1);
    first.run();
    let mut second = Bench::over(Arc::new(first.store.another()), 2);
    second.pass(LEASE_S + 1);
    second.claim(false);
    second.turn(Some("taken"));
    let refund = What::Refund {
        order: order(1),
        amount: None,
    };
    second.ask("refund", refund);
    second.run();
    assert!(first.replies.is_empty(), "the first node has not heard of it");
    first.now = second.now;
    first.turn(Some("taken")); // its own answer comes late
    let Reply::Rebuild(found) = &first.replies[&sale] else {
        panic!("{:?}", first.replies[&sale])
    };
    let row = first.stored(1);
    let events = at_once(first.store.events_of(row.id)).unwrap();
    let answered = rebuild(&row, &events, found).unwrap().unwrap();
    assert_eq!(status::word(&answered.order.order).as_str(), "captured");
    assert_eq!(
        (answered.order.order.version, answered.replayed, answered.state),
        (4, false, State::Over)
    );
    assert_eq!(row.version, 5, "the refund is later");
}
