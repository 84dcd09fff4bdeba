//! What callers are told: steps that run, what a rail cannot do, timers, damage.

use super::*;

#[test]
fn a_call_that_comes_again_beside_news_of_its_own_step_is_not_told_that_another_runs() {
    let mut bench = Bench::new();
    bench.ask("hold", create(1, CaptureAt::Later, Some("card")));
    bench.run();
    bench.turn(Some("held"));
    let take = || What::Capture {
        order: order(1),
        amount: None,
        last: true,
    };
    bench.ask("take", take());
    bench.run();
    let silence = bench.hear(None);
    bench.lane.push(Job::Turn(Box::new(silence)));
    let again = bench.ask("take", take());
    bench.run();
    assert!(
        matches!(bench.replies.get(&again), Some(Reply::Rebuild(_))),
        "{:?}",
        bench.replies.get(&again)
    );
}

#[test]
fn a_rail_that_panics_at_a_start_takes_nothing_with_it() {
    let mut bench = Bench::new();
    let bad = bench.ask("k", create(1, CaptureAt::Once, Some("panics")));
    let good = bench.sale(2);
    bench.run();
    assert!(matches!(bench.replies[&bad], Reply::Denied(Denied::Unavailable { .. })));
    bench.turn(Some("taken"));
    assert_eq!(bench.word(good), "captured");
}

#[test]
fn a_refusal_because_something_runs_is_not_kept_under_the_key() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Later, Some("card")));
    bench.run();
    bench.turn(Some("held"));
    let capture = What::Capture {
        order: order(1),
        amount: None,
        last: true,
    };
    bench.ask("capture", capture);
    bench.run();
    let refused = bench.ask("void", What::Void { order: order(1) });
    bench.run();
    let refusal = florin_core::order::Refusal::StepInFlight;
    assert!(
        matches!(&bench.replies[&refused], Reply::Denied(Denied::Refused { refusal: said, .. }) if *said == refusal),
        "{:?}",
        bench.replies[&refused]
    );
    bench.turn(Some("no"));
    let again = bench.ask("void", What::Void { order: order(1) });
    bench.run();
    assert!(!bench.replies.contains_key(&again), "it is carried out now");
    bench.turn(Some("released"));
    assert_eq!(bench.word(again), "canceled");
}

#[test]
fn a_cancel_waits_while_a_message_of_the_authorisation_is_out() {
    let mut bench = Bench::new();
    let sale = bench.sale(1);
    bench.run();
    let cancel = bench.ask("cancel", What::Cancel { order: order(1) });
    bench.run();
    assert_eq!(bench.effects.len(), 1, "only the authorisation is out");
    bench.turn(Some("act"));
    assert_eq!(bench.effects.len(), 1);
    assert_eq!(bench.effects[0].step.kind, StepKind::Cancel, "now it may go");
    assert!(!bench.replies.contains_key(&sale) && !bench.replies.contains_key(&cancel));
    bench.turn(Some("released"));
    assert_eq!((bench.word(sale), bench.word(cancel)), ("canceled", "canceled"));
}

#[test]
fn a_currency_that_a_rail_does_not_take_is_named_as_what_is_wrong() {
    let mut bench = Bench::new();
    let mut what = create(1, CaptureAt::Once, Some("visa"));
    if let What::Create { order, .. } = &mut what {
        order.amount = Money::new(1000, "CLF".parse().unwrap());
    }
    let new = bench.ask("new", what);
    bench.run();
    let Reply::Denied(Denied::Misuse { param, .. }) = &bench.replies[&new] else {
        panic!("{:?}", bench.replies[&new])
    };
    assert_eq!(*param, "currency");
}

#[test]
fn an_amount_that_a_rail_cannot_write_is_named_as_what_is_wrong() {
    let mut bench = Bench::new();
    bench.ask("hold", create(1, CaptureAt::Later, Some("card")));
    bench.run();
    bench.turn(Some("held"));
    let odd = eur(5);
    let capture = What::Capture {
        order: order(1),
        amount: Some(odd),
        last: true,
    };
    let mut dear = create(2, CaptureAt::Once, Some("card"));
    if let What::Create { order, .. } = &mut dear {
        order.amount = odd;
    }
    for (key, what) in [("take", capture), ("new", dear)] {
        let asked = bench.ask(key, what);
        bench.run();
        let Reply::Denied(Denied::Misuse { param, code, .. }) = &bench.replies[&asked] else {
            panic!("{:?}", bench.replies[&asked])
        };
        assert_eq!((*param, *code), ("amount", "unsupported"), "{key}");
    }
    bench.ask(
        "take all",
        What::Capture {
            order: order(1),
            amount: None,
            last: true,
        },
    );
    bench.run();
    bench.turn(Some("taken"));
    let back = bench.ask(
        "back",
        What::Refund {
            order: order(1),
            amount: Some(odd),
        },
    );
    bench.run();
    let Reply::Denied(Denied::Misuse { param, .. }) = &bench.replies[&back] else {
        panic!("{:?}", bench.replies[&back])
    };
    assert_eq!(*param, "amount");
}

#[test]
fn what_a_rail_cannot_do_is_the_callers_mistake_and_writes_nothing() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    let before = bench.stored(1);
    let cannot = bench.ask(
        "pay",
        What::Confirm {
            order: order(1),
            pay: pay("cannot"),
        },
    );
    let neighbour = bench.ask("fine", What::Cancel { order: order(1) });
    let new = bench.ask("new", create(2, CaptureAt::Once, Some("cannot")));
    bench.run();
    assert!(matches!(bench.replies[&cannot], Reply::Denied(Denied::Misuse { .. })));
    assert!(matches!(bench.replies[&new], Reply::Denied(Denied::Misuse { .. })));
    assert_eq!(bench.word(neighbour), "canceled");
    assert_eq!(
        bench.stored(1).version,
        before.version + 1,
        "the cancel and nothing else"
    );
    assert_eq!(at_once(bench.store.orders_after(None, 10)).unwrap().len(), 1);
    // Misuse is not kept: the same key may come with a card that works.
    let again = bench.ask("new", create(3, CaptureAt::Once, None));
    bench.run();
    assert_eq!(bench.word(again), "created");
}

#[test]
fn a_caller_who_waited_long_enough_is_told_that_it_runs_and_then_nothing_more() {
    let mut bench = Bench::new();
    let sale = bench.sale(1);
    bench.run();
    bench.lane.give_up(sale, order(1));
    bench.take();
    assert!(matches!(bench.replies[&sale], Reply::Running(id, _) if id == order(1)));
    bench.turn(Some("taken"));
    assert_eq!(bench.stored_word(1), "captured");
}

#[test]
fn a_timer_that_is_due_is_written_and_the_next_moment_with_it() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    assert_eq!(bench.stored(1).due, Some(T.plus_seconds(WINDOW_S)));
    bench.pass(WINDOW_S);
    assert_eq!(bench.claim(false), 1);
    let row = bench.stored(1);
    assert_eq!((bench.stored_word(1), row.due, row.lease), ("expired", None, None));
}

#[test]
fn a_damaged_order_is_frozen_and_the_batch_goes_on_without_it() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    bench.lane.freeze(order(1), "a bit is flipped".into());
    let ill = bench.ask(
        "pay",
        What::Confirm {
            order: order(1),
            pay: pay("card"),
        },
    );
    let well = bench.ask("other", create(2, CaptureAt::Once, None));
    bench.run();
    assert!(matches!(bench.replies[&ill], Reply::Denied(Denied::Damaged)));
    assert_eq!(bench.word(well), "created");
}

#[test]
fn a_description_is_an_event_and_keeps_what_opens_the_payers_page() {
    let mut bench = Bench::new();
    let mut what = create(1, CaptureAt::Once, None);
    if let What::Create { order, .. } = &mut what {
        Arc::make_mut(&mut order.details).page_token = Some("token".into());
    }
    bench.ask("k", what);
    bench.run();
    let details = Details {
        description: Some("two teas".into()),
        ..Details::default()
    };
    let described = bench.ask_with(
        None,
        What::Describe {
            order: order(1),
            was: Arc::default(),
            details: Box::new(details),
        },
    );
    bench.run();
    let Reply::Answered(answered) = &bench.replies[&described] else {
        panic!("answered")
    };
    assert_eq!((answered.state, answered.order.order.version), (State::Over, 2));
    assert_eq!(answered.order.details.page_token.as_deref(), Some("token"));
    // Another node reads it from the events.
    let mut other = Bench::over(Arc::new(bench.store.another()), 2);
    let canceled = other.ask("cancel", What::Cancel { order: order(1) });
    other.run();
    let Reply::Answered(answered) = &other.replies[&canceled] else {
        panic!("answered")
    };
    assert_eq!(answered.order.details.description.as_deref(), Some("two teas"));
}

#[test]
fn few_events_tell_an_order_alone_and_more_leave_a_snapshot_in_its_row() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("taken"));
    let told = bench.stored(1);
    assert!(told.state.starts_with("{\"rows\":["), "{}", told.state);
    let as_it_was = bench.stored_order(1);
    let mut whole = None;
    for description in ["one", "two", "three"] {
        assert!(whole.is_none(), "only the fifth row is too many");
        let details = Details {
            description: Some(description.into()),
            ..Details::default()
        };
        let what = What::Describe {
            order: order(1),
            was: Arc::default(),
            details: Box::new(details),
        };
        bench.ask_with(None, what);
        bench.run();
        whole = Some(bench.stored(1)).filter(|row| row.state.contains("\"order\":{"));
    }
    let whole = whole.expect("five rows of events");
    let (as_it_is, events) = (bench.stored_order(1), at_once(bench.store.events_of(order(1))).unwrap());
    assert_eq!(as_it_is.winner(), as_it_was.winner());
    // Rows that say another number, or that somebody else's sum proves, are not believed.
    let read = |row: &OrderRow| crate::snapshot::read_whole(row, &events[..events.len() - 3]);
    assert_eq!(read(&told).unwrap().order, as_it_was);
    let changed = OrderRow {
        state: told.state.replace("],", ",1],"),
        ..told.clone()
    };
    assert!(read(&changed).unwrap_err().0.contains("was changed"));
    let moments: Vec<Timestamp> = events.iter().take(2).map(|event| event.time).collect();
    let view = read(&told).unwrap();
    for (rows, wrong) in [
        (&moments[..1], "told by 1"),
        (&[moments[0], T.plus_seconds(9)], "another moment"),
    ] {
        let state = crate::snapshot::state(&view, rows, &told.chain, None);
        let forged = OrderRow { state, ..told.clone() };
        assert!(read(&forged).unwrap_err().0.contains(wrong), "{wrong}");
    }
    let other = OrderRow {
        version: whole.version - 1,
        ..whole
    };
    assert!(read(&other).unwrap_err().0.contains("another order or version"));
}

#[test]
fn a_description_that_is_refused_is_not_written() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    let mut described = 0;
    let refused = loop {
        let details = Details {
            description: Some(described.to_string()),
            ..Details::default()
        };
        let what = What::Describe {
            order: order(1),
            was: Arc::default(),
            details: Box::new(details),
        };
        let version = bench.stored(1).version;
        let token = bench.ask_with(None, what);
        bench.run();
        if matches!(bench.replies[&token], Reply::Denied(Denied::Refused { .. })) {
            break version;
        }
        described += 1;
        assert!(described < 1_000, "somewhere is an end");
    };
    assert_eq!(bench.stored(1).version, refused);
    let rows = at_once(bench.store.events_of(order(1))).unwrap();
    let told = crate::snapshot::read_whole(&bench.stored(1), &rows).unwrap();
    assert_eq!(told.details.description, Some((described - 1).to_string()));
}

#[test]
fn who_left_an_attempt_that_is_over_leaves_no_other() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    bench.turn(Some("no"));
    let pay = What::Confirm {
        order: order(1),
        pay: pay("card"),
    };
    bench.ask("again", pay);
    bench.run();
    bench.turn(Some("act"));
    let leave = |attempt| What::Leave {
        order: order(1),
        attempt,
    };
    // The call that left the first attempt was repeated late.
    let late = bench.ask("late", leave(1));
    bench.run();
    let over = florin_core::order::Refusal::AttemptOver;
    assert!(
        matches!(&bench.replies[&late], Reply::Denied(Denied::Refused { refusal: said, .. }) if *said == over),
        "{:?}",
        bench.replies[&late]
    );
    assert_eq!(bench.stored_word(1), "requires_action");
    bench.ask("left", leave(2));
    bench.run();
    bench.turn(Some("released"));
    assert_eq!(bench.stored_word(1), "created");
}
