//! The traces of `order-machine.md` 9: what went wrong once, and the rule each one gave.

use super::kit::*;
use crate::ledger::Account;
use crate::money::{Currency, Money};
use crate::order::*;
use crate::rail::What;

#[test]
fn a_sale_is_two_events_and_its_money_is_the_merchants() {
    let mut world = World::sale(1099);
    assert_eq!(world.start(all()), ["started"]);
    assert_eq!(world.word(), "processing");
    assert_eq!(world.says("1/auth/0", approved(1099)), ["approved"]);
    assert_eq!(world.word(), "captured");
    assert_eq!(
        (world.posted(Account::Receivable), world.posted(Account::Merchant)),
        (1099, -1099)
    );
    assert_eq!(world.order.version, 3);
    assert!(world.open().is_empty());
    assert!(world.order.timers().is_empty());
}

#[test]
fn a_lost_answer_is_not_a_decline() {
    let mut world = World::sale(3);
    world.start(all());
    assert_eq!(
        world.run(Command::AnswerOver {
            step: "1/auth/0".parse().unwrap()
        }),
        ["uncertain"]
    );
    assert_eq!(world.word(), "processing");
    assert!(crate::status::uncertain(&world.order));
    let number = world.order.next_attempt();
    assert_eq!(
        world.refused(Command::Start {
            number,
            plan: plan(eur(3), all()).into()
        }),
        Refusal::InFlight
    );
    assert_eq!(world.says("1/auth/0", approved(3)), ["approved"]);
}

#[test]
fn when_a_refund_or_capture_was_asked_for_does_not_move_when_its_status_does() {
    fn asked_at(world: &World) -> (i64, i64) {
        let steps = [
            crate::status::captures(&world.order),
            crate::status::refunds(&world.order),
        ];
        let [capture, refund] = steps.map(|steps| steps[0].asked_at.millis());
        (capture, refund)
    }
    let mut world = World::hold(1099);
    world.start(all());
    world.says("1/auth/0", held(1099));
    let later = |world: &mut World| world.now = world.now.plus_seconds(60);
    later(&mut world);
    world.capture(1099, true);
    later(&mut world);
    world.says("1/cap/0", approved(1099));
    later(&mut world);
    world.refund(99);
    let asked = asked_at(&world);
    assert_eq!(asked, (61_000, 181_000));
    let says = [
        Says::Pending,
        Says::Uncertain,
        approved(99),
        Says::TakenBack { money: eur(99) },
    ];
    for says in says {
        later(&mut world);
        world.says("1/ref/0", says);
        assert_eq!(asked_at(&world), asked);
    }
    assert_eq!(crate::status::refunds(&world.order)[0].since, world.now);
}

#[test]
fn an_order_that_is_open_again_was_not_created_again() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", declined());
    assert_eq!(world.word(), "created");
    world.start(all());
    assert_eq!(
        world.told,
        [
            "order.created",
            "order.processing",
            "attempt.processing",
            "attempt.declined",
            "order.processing",
            "attempt.processing"
        ]
    );
}

#[test]
fn two_reasons_to_leave_share_one_cancel() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", page(1));
    assert_eq!(world.run(Command::WindowOver), ["window_over", "step_started"]);
    assert_eq!(world.run(Command::Leave { attempt: 1 }), ["leaving"]);
    assert_eq!(world.open(), ["1/auth/0 Acting", "1/can/0 Sent"]);
    assert_eq!(world.says("1/can/0", declined()), ["declined"]);
    assert_eq!(world.refused(Command::Leave { attempt: 1 }), Refusal::TooLate);
    assert_eq!(world.says("1/auth/0", approved(3)), ["approved"]);
    assert_eq!(world.word(), "captured");
}

#[test]
fn a_reversal_that_was_refused_once_is_tried_again_and_then_a_person_decides() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", Says::Uncertain);
    assert_eq!(world.run(Command::Leave { attempt: 1 }), ["leaving", "step_started"]);
    assert_eq!(world.says("1/auth/0", approved(3)), ["seen"]);
    assert_eq!(world.posted(Account::Suspense), -3);
    assert_eq!(world.says("1/rev/0", declined()), ["declined"]);
    assert_eq!(world.run(Command::ReverseAgain { attempt: 1 }), ["step_started"]);
    assert_eq!(world.open(), ["1/rev/1 Sent"]);
    world.says("1/rev/1", declined());
    assert_eq!(
        crate::status::attention(&world.order),
        [crate::status::Attention::StuckReversal]
    );
    assert_eq!(world.word(), "processing");
    assert_eq!(world.person_says("1/auth/0", approved(3)), ["resolved"]);
    assert_eq!((world.word(), world.in_between()), ("captured", [0; 4]));
}

/// A sale of 3 whose success, of so much, came while the attempt was being left, and both of whose reversals were refused.
fn came_late_and_stays(minor: i64) -> World {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", Says::Uncertain);
    world.run(Command::Leave { attempt: 1 });
    world.says("1/auth/0", approved(minor));
    assert!(world.order.to_settle().is_empty(), "it is being sent back");
    world.says("1/rev/0", declined());
    world.run(Command::ReverseAgain { attempt: 1 });
    world.says("1/rev/1", declined());
    world
}

#[test]
fn whatever_needs_a_person_can_be_settled_by_one() {
    // The success came while the attempt was being left, and both reversals were refused.
    let mut world = came_late_and_stays(3);
    let step = StepName::authorize(1);
    assert_eq!(world.order.to_settle().into_iter().collect::<Vec<_>>(), [step]);
    let nothing = world.order.said_by_person(step, Ruling::Approved, Some(0));
    assert_eq!(nothing, Err(Unheard::NothingApproved));
    let kept = world.order.said_by_person(step, Ruling::Approved, None);
    let mut keeping = world.clone();
    assert_eq!(
        keeping.person_says("1/auth/0", kept.expect("it waits for a word")),
        ["resolved"]
    );
    assert_eq!((keeping.word(), keeping.in_between()), ("captured", [0; 4]));
    let undone = world.order.said_by_person(step, Ruling::Undone, None);
    assert_eq!(undone, Ok(released(3)), "all that stands");
    assert_eq!(world.person_says("1/auth/0", released(3)), ["resolved"]);
    assert_eq!((world.word(), world.in_between()), ("created", [0; 4]));
    assert_eq!(crate::status::attention(&world.order), []);
    let again = world.order.said_by_person(step, Ruling::Undone, None);
    assert_eq!(again, Err(Unheard::Nothing));

    // A stray that the order has left for another attempt.
    let mut world = World::sale(3);
    world.start(Abilities { cancel: false, ..all() });
    world.says("1/auth/0", Says::Pending);
    world.run(Command::Leave { attempt: 1 });
    world.start(all());
    assert_eq!(world.says("1/auth/0", approved(3)), ["unwanted", "step_started"]);
    world.says("1/rev/0", declined());
    world.run(Command::ReverseAgain { attempt: 1 });
    world.says("1/rev/1", declined());
    assert_eq!(
        crate::status::attention(&world.order),
        [crate::status::Attention::StuckReversal]
    );
    let undone = world.order.said_by_person(step, Ruling::Undone, None);
    assert_eq!(
        world.person_says("1/auth/0", undone.expect("it waits for a word")),
        ["resolved"]
    );
    assert_eq!((world.posted(Account::Suspense), world.in_between()), (0, [0; 4]));
    assert_eq!(crate::status::attention(&world.order), []);

    // A hold whose void was refused for good.
    let mut world = World::hold(3);
    world.start(all());
    world.says("1/auth/0", held(3));
    world.run(Command::Void);
    world.says("1/void/0", declined());
    let step = "1/void/0".parse().expect("a step");
    assert_eq!(world.order.to_settle().into_iter().collect::<Vec<_>>(), [step]);
    let gone = world.order.said_by_person(step, Ruling::Approved, None);
    assert_eq!(
        world.person_says("1/void/0", gone.expect("it waits for a word")),
        ["resolved"]
    );
    assert_eq!((world.order.to_settle().len(), world.in_between()), (0, [0; 4]));
}

#[test]
fn a_persons_word_books_no_more_than_is_known_and_nothing_by_guess() {
    // Less than was asked for came late, and could not be sent back.
    let world = came_late_and_stays(2);
    let step = StepName::authorize(1);
    let Ok(Says::Approved { money, .. }) = world.order.said_by_person(step, Ruling::Approved, None) else {
        panic!("it waits for a word");
    };
    assert_eq!(money.minor(), 2);

    // A payment that is whole, and an alarm about it: that all of it went back is not taken for granted.
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", approved(3));
    assert_eq!(
        world.order.said_by_person(step, Ruling::Undone, None),
        Err(Unheard::Nothing)
    );
    assert_eq!(world.says("1/auth/0", approved(4)), ["alarmed"]);
    assert_eq!(world.order.to_settle().into_iter().collect::<Vec<_>>(), [step]);
    for none in [None, Some(0)] {
        let undone = world.order.said_by_person(step, Ruling::Undone, none);
        assert_eq!(undone, Err(Unheard::NeedsAmount));
    }
    assert_eq!(
        world.order.said_by_person(step, Ruling::Undone, Some(3)),
        Ok(released(3))
    );
}

#[test]
fn money_sent_back_by_hand_is_booked_once_whoever_tells_it_and_in_whatever_order() {
    let by_hand = |world: &mut World, teller: &str| match teller {
        "webhook" => drop(world.happened_as("re_1", 1, What::Refunded, 3)),
        "person" => drop(world.person_says("1/auth/0", released(3))),
        other => panic!("nobody is called {other}"),
    };
    for tellers in [
        vec!["webhook"],
        vec!["person"],
        vec!["webhook", "person"],
        vec!["person", "webhook"],
        vec!["person", "webhook", "person"],
    ] {
        let mut world = came_late_and_stays(3);
        for teller in &tellers {
            by_hand(&mut world, teller);
        }
        let receivable = world.posted(Account::Receivable);
        assert_eq!((receivable, world.in_between()), (0, [0; 4]), "{tellers:?}");
        assert_eq!(
            (world.word(), world.posted(Account::Merchant)),
            ("created", 0),
            "{tellers:?}"
        );
        assert_eq!(crate::status::attention(&world.order), [], "{tellers:?}");
    }
}

#[test]
fn a_person_says_what_went_back_in_all_so_that_a_part_that_was_told_before_is_in_it() {
    let step = StepName::authorize(1);
    // Two of three were told by the webhook. Somebody reports just those: nothing more is booked, and the rest still waits.
    let mut world = came_late_and_stays(3);
    world.happened_as("re_1", 1, What::Refunded, 2);
    let rest = world.order.said_by_person(step, Ruling::Undone, None);
    assert_eq!(rest, Ok(released(3)), "all of it, with what is known");
    world.person_says("1/auth/0", released(2));
    assert_eq!(world.posted(Account::Suspense), -1);
    assert_eq!(
        crate::status::attention(&world.order),
        [crate::status::Attention::StuckReversal]
    );
    let again = world.order.said_by_person(step, Ruling::Undone, Some(2));
    assert_eq!(again, Err(Unheard::Nothing));
    // Then of the whole, before the webhook tells of the rest.
    world.person_says("1/auth/0", released(3));
    assert_eq!((world.posted(Account::Receivable), world.in_between()), (0, [0; 4]));
    world.happened_as("re_2", 1, What::Refunded, 1);
    assert_eq!((world.posted(Account::Receivable), world.in_between()), (0, [0; 4]));
    assert_eq!(crate::status::attention(&world.order), []);
}

#[test]
fn money_sent_back_by_hand_that_comes_again_stands_again_whatever_is_heard_first() {
    for heard in [[What::Refunded, What::RefundBack], [What::RefundBack, What::Refunded]] {
        let mut world = came_late_and_stays(3);
        world.person_says("1/auth/0", released(3));
        for what in heard {
            world.happened_as("re_1", 1, what, 3);
        }
        assert_eq!(world.posted(Account::Suspense), -3, "{heard:?}");
        // It is sent back once more, and both tell that.
        let step = StepName::authorize(1);
        assert_eq!(world.order.to_settle().into_iter().collect::<Vec<_>>(), [step]);
        let all = world.order.said_by_person(step, Ruling::Undone, None);
        assert_eq!(all, Ok(released(3)));
        world.person_says("1/auth/0", released(3));
        assert_eq!((world.posted(Account::Receivable), world.in_between()), (0, [0; 4]));
        world.happened_as("re_2", 1, What::Refunded, 3);
        assert_eq!((world.posted(Account::Receivable), world.in_between()), (0, [0; 4]));
    }
}

#[test]
fn a_person_who_saw_our_own_reversal_says_no_more_than_its_answer() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", Says::Uncertain);
    world.run(Command::Leave { attempt: 1 });
    world.says("1/rev/0", Says::Uncertain);
    world.person_says("1/auth/0", released(3));
    world.says("1/rev/0", released(3));
    assert_eq!((world.posted(Account::Receivable), world.in_between()), (0, [0; 4]));
}

#[test]
fn a_reversal_that_starts_after_a_persons_word_is_not_what_they_saw() {
    let mut world = World::sale(3);
    world.start(Abilities { push: true, ..all() });
    world.says("1/auth/0", declined());
    assert_eq!(world.happened(1, What::Received, 1), ["received", "step_started"]);
    world.says("1/rev/0", declined());
    world.person_says("1/auth/0", released(1));
    world.happened(1, What::Received, 2);
    assert_eq!(world.run(Command::ReverseAgain { attempt: 1 }), ["step_started"]);
    world.says("1/rev/1", released(2));
    assert_eq!((world.posted(Account::Receivable), world.in_between()), (0, [0; 4]));
}

#[test]
fn more_than_was_asked_that_was_sent_back_by_hand_was_taken() {
    for tellers in [["person", "webhook"], ["webhook", "person"]] {
        let mut world = World::sale(3);
        world.start(all());
        assert_eq!(world.says("1/auth/0", approved(4)), ["alarmed"]);
        for teller in tellers {
            match teller {
                "person" => drop(world.person_says("1/auth/0", released(4))),
                _ => drop(world.happened_as("re_1", 1, What::Refunded, 4)),
            }
        }
        assert_eq!((world.posted(Account::Receivable), world.in_between()), (0, [0; 4]));
        assert_eq!(world.posted(Account::Merchant), 0, "{tellers:?}");
    }
}

#[test]
fn a_reversal_that_is_refused_because_a_dispute_took_the_money_needs_nobody() {
    for refused_first in [false, true] {
        let mut world = World::sale(3);
        world.start(all());
        world.says("1/auth/0", Says::Uncertain);
        world.run(Command::Leave { attempt: 1 });
        assert_eq!(world.says("1/auth/0", approved(3)), ["seen"]);
        if refused_first {
            assert_eq!(world.says("1/rev/0", declined()), ["declined"]);
            let disputed = world.happened_as("dp_1", 1, What::DisputeOpened, 3);
            assert_eq!(disputed, ["disputed", "unwanted"]);
        } else {
            world.happened_as("dp_1", 1, What::DisputeOpened, 3);
            assert_eq!(world.says("1/rev/0", declined()), ["declined", "unwanted"]);
        }
        assert_eq!(world.word(), "created", "another attempt may follow");
        assert_eq!(crate::status::attention(&world.order), []);
        // The bank decides for us after all: the money stands again, and nobody has paid with it.
        assert_eq!(world.happened_as("dp_1", 1, What::DisputeWon, 3), ["disputed"]);
        assert_eq!(world.run(Command::ReverseAgain { attempt: 1 }), ["step_started"]);
        assert_eq!(world.says("1/rev/1", released(3)), ["undone"]);
        assert_eq!(world.in_between(), [0; 4]);
    }
}

#[test]
fn a_success_that_is_heard_again_without_its_amount_is_no_other_amount() {
    let mut world = World::hold(8);
    world.start(all());
    assert_eq!(world.says("1/auth/0", approved(5)), ["unwanted", "step_started"]);
    world.says("1/rev/0", declined());
    let again = Says::Approved {
        money: eur(8),
        held: None,
        stated: false,
    };
    let nothing: [&str; 0] = [];
    assert_eq!(world.says("1/auth/0", again), nothing);
    assert_eq!(world.says("1/auth/0", approved(8)), ["alarmed"], "but this is");
}

#[test]
fn a_reversal_refused_twice_does_not_close_an_attempt_whose_success_is_unknown() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", Says::Uncertain);
    world.run(Command::Leave { attempt: 1 });
    world.says("1/rev/0", declined());
    world.run(Command::ReverseAgain { attempt: 1 });
    world.says("1/rev/1", declined());
    assert_eq!(world.open(), ["1/auth/0 Uncertain"]);
    assert_eq!(world.says("1/auth/0", approved(3)), ["approved"]);
    assert_eq!(world.word(), "captured");
}

#[test]
fn a_void_that_was_refused_is_tried_once_more_at_the_deadline_of_the_hold() {
    let mut world = World::hold(3);
    world.start(all());
    world.says("1/auth/0", held(3));
    world.run(Command::Void);
    assert_eq!(world.says("1/void/0", declined()), ["declined"]);
    assert_eq!(world.refused(Command::Void), Refusal::VoidRefused);
    assert!(world.open().is_empty());
    assert_eq!(world.run(Command::HoldOver), ["hold_over", "step_started"]);
    assert_eq!(world.says("1/void/1", declined()), ["declined"]);
    assert!(
        world.open().is_empty(),
        "and after that it waits until the rail lets go of it"
    );
    assert_eq!(world.happened(1, What::HoldGone, 0), ["hold_gone", "hold_closed"]);
    assert_eq!((world.word(), world.in_between()), ("expired", [0; 4]));
}

#[test]
fn money_captured_at_the_console_is_in_the_books_when_gone_is_heard_first() {
    let mut world = World::hold(3);
    world.start(all());
    assert_eq!(world.happened(1, What::HoldGone, 0), ["hold_gone"]);
    assert_eq!(world.happened(1, What::Captured, 2), ["captured_elsewhere"]);
    assert_eq!(world.says("1/auth/0", held(3)), ["approved", "hold_closed"]);
    assert_eq!(world.word(), "captured");
    assert_eq!(
        (world.posted(Account::Merchant), world.pending(Account::Receivable)),
        (-2, 0)
    );
    assert_eq!(world.in_between(), [0; 4]);
}

#[test]
fn a_success_during_our_own_cancel_is_seen_and_adopted_only_when_the_cancel_is_refused() {
    for (answer, word, merchant) in [(declined(), "captured", -3), (released(3), "created", 0)] {
        let mut world = World::sale(3);
        world.start(all());
        world.says("1/auth/0", page(1));
        world.run(Command::Leave { attempt: 1 });
        assert_eq!(world.says("1/auth/0", approved(3)), ["seen"]);
        assert_eq!(world.word(), "processing");
        world.says("1/can/0", answer);
        assert_eq!(
            (world.word(), world.posted(Account::Merchant), world.in_between()),
            (word, merchant, [0; 4])
        );
    }
}

#[test]
fn a_confirmed_cancel_outranks_an_old_notice_of_success() {
    let mut world = World::hold(3);
    world.start(all());
    world.says("1/auth/0", page(1));
    world.run(Command::Leave { attempt: 1 });
    assert_eq!(world.says("1/can/0", released(0)), ["undone"]);
    assert_eq!(world.says("1/auth/0", held(3)), Vec::<&str>::new());
    assert_eq!((world.word(), world.pending(Account::Receivable)), ("created", 0));
}

#[test]
fn a_return_that_is_heard_before_the_success_is_not_dropped() {
    let mut world = World::sale(3);
    world.start(all());
    assert_eq!(world.happened(1, What::Returned, 3), ["returned"]);
    assert_eq!(world.says("1/auth/0", approved(3)), ["approved"]);
    assert_eq!((world.posted(Account::Receivable), world.word()), (0, "refunded"));
    assert_eq!(world.in_between(), [0; 4]);
}

#[test]
fn a_reversal_posts_what_moved_and_not_what_was_charged() {
    let mut world = World::sale(3);
    world.start(Abilities { cancel: false, ..all() });
    world.says("1/auth/0", Says::Pending);
    assert_eq!(world.run(Command::Leave { attempt: 1 }), ["leaving", "left_stray"]);
    world.start(all());
    assert_eq!(world.says("1/auth/0", approved(3)), ["unwanted", "step_started"]);
    world.happened(1, What::Returned, 3);
    assert_eq!(world.says("1/rev/0", released(0)), ["undone"]);
    assert_eq!((world.posted(Account::Receivable), world.in_between()), (0, [0; 4]));
}

#[test]
fn a_deadline_never_closes_a_hold_while_its_capture_is_uncertain() {
    let mut world = World::hold(3);
    world.start(all());
    world.says("1/auth/0", held(3));
    world.capture(2, false);
    world.says("1/cap/0", Says::Uncertain);
    assert_eq!(world.run(Command::HoldOver), ["hold_over"]);
    assert_eq!(world.says("1/cap/0", approved(2)), ["captured", "step_started"]);
    assert_eq!(world.open(), ["1/void/0 Sent"]);
    assert_eq!(world.says("1/void/0", approved(1)), ["voided"]);
    assert_eq!((world.word(), world.pending(Account::Receivable)), ("captured", 0));
}

#[test]
fn one_hold_step_at_a_time() {
    let mut world = World::hold(3);
    world.start(all());
    world.says("1/auth/0", held(3));
    world.capture(2, false);
    assert_eq!(world.refused(Command::Void), Refusal::StepInFlight);
    assert_eq!(
        world.refused(Command::Increment { index: 0, by: eur(1) }),
        Refusal::StepInFlight
    );
}

#[test]
fn refunds_and_the_void_of_a_sale_exclude_each_other() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", approved(3));
    let mut refunding = world.clone();
    assert_eq!(world.run(Command::Void), ["step_started"]);
    assert_eq!(
        world.refused(Command::Refund {
            index: 0,
            amount: eur(1)
        }),
        Refusal::StepInFlight
    );
    assert_eq!(world.says("1/rev/0", released(3)), ["undone"]);
    assert_eq!((world.word(), world.posted(Account::Receivable)), ("canceled", 0));
    refunding.refund(1);
    assert_eq!(refunding.refused(Command::Void), Refusal::UseRefund);
}

#[test]
fn the_window_never_closes_an_uncertain_attempt() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", Says::Uncertain);
    assert_eq!(world.run(Command::WindowOver), ["window_over"]);
    assert_eq!(world.word(), "processing");
    assert_eq!(world.says("1/auth/0", approved(3)), ["approved"]);
    assert_eq!(world.word(), "captured");
}

#[test]
fn a_dispute_opened_after_its_verdict_is_ignored() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", approved(3));
    assert_eq!(world.happened_as("dp_1", 1, What::DisputeWon, 3), ["disputed"]);
    assert_eq!(world.happened_as("dp_1", 1, What::DisputeOpened, 3), Vec::<&str>::new());
    assert_eq!((world.posted(Account::Receivable), world.in_between()), (3, [0; 4]));
}

#[test]
fn the_stored_row_of_a_sale_is_small() {
    let mut world = World::sale(1099);
    world.start(all());
    world.says("1/auth/0", approved(1099));
    let row = serde_json::to_string(&world.order).unwrap();
    let events: usize = world
        .events
        .iter()
        .map(|(_, event)| crate::event::stored(event).len())
        .sum();
    assert!(row.len() < 700, "{} bytes: {row}", row.len());
    assert!(events < 900, "{events} bytes");
}

#[test]
fn a_hold_voided_at_the_console_before_it_is_heard_of_is_closed() {
    let mut world = World::hold(3);
    world.start(all());
    assert_eq!(world.happened(1, What::Voided, 3), ["voided_elsewhere"]);
    assert_eq!(world.says("1/auth/0", held(3)), ["approved", "hold_closed"]);
    assert_eq!((world.word(), world.pending(Account::Receivable)), ("canceled", 0));
}

#[test]
fn an_alarm_is_silent_once_a_person_has_looked() {
    let mut world = World::sale(3);
    world.start(all());
    assert_eq!(world.says("1/auth/0", approved(4)), ["alarmed"]);
    assert_eq!(world.word(), "processing");
    assert_eq!(world.says("1/auth/0", approved(4)), Vec::<&str>::new());
    assert_eq!(world.person_says("1/auth/0", approved(3)), ["resolved"]);
    assert_eq!((world.word(), world.order.alarms.len()), ("captured", 0));
    let dollars = Money::new(1, Currency::USD);
    let fact = Fact::Happened {
        attempt: 1,
        id: "re_1".into(),
        what: What::Refunded,
        money: dollars,
    };
    assert_eq!(world.run(Command::Fact(fact)), ["alarmed"]);
    assert_eq!(world.person_says("1/auth/0", approved(3)), ["resolved"]);
    assert!(world.order.alarms.is_empty());
}

#[test]
fn an_action_that_was_replaced_does_not_come_back() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", page(1));
    assert_eq!(world.says("1/auth/0", page(2)), ["acting"]);
    assert_eq!(world.says("1/auth/0", page(1)), Vec::<&str>::new());
    assert_eq!(
        world.refused(Command::Continue { attempt: 1, action: 1 }),
        Refusal::StaleAction
    );
    assert_eq!(world.run(Command::Continue { attempt: 1, action: 2 }), ["continued"]);
    assert_eq!(world.says("1/auth/0", page(1)), Vec::<&str>::new());
    assert_eq!(world.says("1/auth/0", page(2)), ["acting"]);
    assert_eq!(
        world.refused(Command::Continue { attempt: 1, action: 2 }),
        Refusal::StaleAction
    );
}

#[test]
fn a_console_refund_that_fails_later_is_refundable_again() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", approved(3));
    assert_eq!(world.happened_as("re_1", 1, What::Refunded, 2), ["refunded_elsewhere"]);
    assert_eq!(
        (world.word(), world.posted(Account::Merchant)),
        ("partially_refunded", -1)
    );
    assert_eq!(
        world.happened_as("re_1", 1, What::RefundBack, 2),
        ["refund_back_elsewhere"]
    );
    assert_eq!(
        (
            world.word(),
            world.posted(Account::Merchant),
            world.posted(Account::Receivable)
        ),
        ("captured", -3, 3)
    );
    let nothing: [&str; 0] = [];
    assert_eq!(world.happened_as("re_1", 1, What::RefundBack, 2), nothing, "once");
    assert_eq!(world.refund(3), ["step_started"]);
}

#[test]
fn a_console_refund_whose_failure_is_heard_first_moves_nothing() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", approved(3));
    world.happened_as("re_1", 1, What::RefundBack, 2);
    let nothing: [&str; 0] = [];
    assert_eq!(world.happened_as("re_1", 1, What::Refunded, 2), nothing);
    assert_eq!((world.word(), world.posted(Account::Merchant)), ("captured", -3));
    assert_eq!(world.happened_as("re_2", 1, What::Refunded, 1), ["refunded_elsewhere"]);
}

#[test]
fn console_refunds_one_after_the_other_of_the_same_money_prove_no_more_than_it() {
    let mut world = World::hold(8);
    world.start(all());
    world.says("1/auth/0", held(8));
    world.capture(4, true);
    world.says("1/cap/0", approved(4));
    world.happened_as("re_1", 1, What::Refunded, 2);
    world.happened_as("re_1", 1, What::RefundBack, 2);
    world.happened_as("re_2", 1, What::Refunded, 4);
    assert_eq!((world.word(), world.posted(Account::Receivable)), ("refunded", 0));
    world.happened_as("re_2", 1, What::RefundBack, 4);
    assert_eq!(
        (
            world.word(),
            world.posted(Account::Receivable),
            world.posted(Account::Merchant)
        ),
        ("captured", 4, -4)
    );
    let amounts = crate::status::amounts(&world.order);
    assert_eq!((amounts.captured, amounts.refundable), (eur(4), eur(4)));
}

#[test]
fn a_hold_of_which_a_part_was_captured_at_the_console_is_over_when_the_rest_is_gone() {
    let mut world = World::hold(8);
    world.start(all());
    world.says("1/auth/0", held(8));
    world.happened_as("ch_1", 1, What::Captured, 5);
    assert_eq!(
        (world.word(), world.pending(Account::Receivable)),
        ("partially_captured", 3)
    );
    assert_eq!(
        world.happened_as("pi_1", 1, What::HoldGone, 3),
        ["hold_gone", "hold_closed"]
    );
    assert_eq!(
        (
            world.word(),
            world.posted(Account::Merchant),
            world.pending(Account::Receivable)
        ),
        ("captured", -5, 0)
    );
    assert!(world.order.timers().is_empty());
}

#[test]
fn money_of_a_failed_console_refund_brings_a_voided_sale_back() {
    let mut world = World::sale(3);
    world.start(all());
    world.says("1/auth/0", approved(3));
    world.run(Command::Void);
    world.happened_as("re_1", 1, What::Refunded, 2);
    assert_eq!(world.says("1/rev/0", released(1)), ["undone"]);
    assert_eq!((world.word(), world.posted(Account::Merchant)), ("canceled", 0));
    world.happened_as("re_1", 1, What::RefundBack, 2);
    assert_eq!(world.posted(Account::Merchant), -2);
    assert_eq!(world.word(), "partially_refunded");
    assert_eq!(world.refund(2), ["step_started"]);
}
