//! The shipped machine, explored; and every planted mistake, found.
//!
//! `cargo run -p florin-testkit --release --example explore` explores all scenarios, and so does `FLORIN_FULL=1`.

#![expect(clippy::print_stdout, reason = "a found trace is to be read")]

use std::collections::BTreeSet;

use florin_testkit::explorer::{Mistake, Rules, Scenario, WORLDS_MAX, explore, scenarios};

/// More worlds than a small scenario has.
const SMALL_MAX: u64 = 100_000;

fn full() -> bool {
    std::env::var_os("FLORIN_FULL").is_some_and(|full| !full.is_empty() && full != "0")
}

fn scenario(name: &str) -> Scenario {
    scenarios()
        .into_iter()
        .find(|scenario| scenario.name == name)
        .unwrap_or_else(|| panic!("there is no scenario `{name}`"))
}

/// Explores scenarios, in a night also the large ones; together they must reach these kinds of event.
fn holds(small: &[&str], large: &[&str], reach: &[&str]) {
    let mut kinds = BTreeSet::new();
    let large = if full() { large } else { &[] };
    for name in small.iter().chain(large) {
        let scenario = scenario(name);
        let limit = if scenario.small { SMALL_MAX } else { WORLDS_MAX };
        let report = explore(&scenario, Rules::SHIPPED, limit);
        println!(
            "{name}: {} states, {} transitions, {} kinds of event",
            report.states,
            report.transitions,
            report.events.len()
        );
        if let Some(found) = report.found {
            panic!("`{name}` breaks a law:\n{found}");
        }
        assert!(report.complete, "`{name}` is larger than it may be");
        kinds.extend(report.events.into_keys());
    }
    let missed: Vec<_> = reach.iter().filter(|kind| !kinds.contains(**kind)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}

const ATTEMPTS: &[&str] = &[
    "checkout",
    "checkout-canceled",
    "psp-cancels-holds",
    "strays",
    "no-undo",
    "late-success",
    "uncertain",
    "rail-undoes",
    "actions",
    "two-nodes",
];
const LARGE_ATTEMPTS: &[&str] = &[
    "checkout-all",
    "psp-cancels-all",
    "strays-three",
    "uncertain-all",
    "actions-all",
    "three-attempts",
];
const HOLDS: &[&str] = &[
    "hold",
    "hold-console",
    "hold-short",
    "amend",
    "amend-to-nothing",
    "capture-by-terms",
    "captures-taken-back",
];
const LARGE_HOLDS: &[&str] = &["hold-increment", "hold-strays", "hold-all"];
const SALES: &[&str] = &[
    "refunds",
    "refunds-console",
    "refunds-console-fail",
    "refunded-by-hand",
    "void-of-a-sale",
    "disputes",
    "returned",
    "fees",
    "forgotten-keys",
];
const LARGE_SALES: &[&str] = &[
    "disputed-strays",
    "strays-refunded",
    "refunded-by-hand-all",
    "returned-all",
];
const OTHERS: &[&str] = &[
    "verify",
    "payout-small",
    "partial-approval",
    "too-little",
    "push",
    "push-strays",
];

const LARGE_OTHERS: &[&str] = &["verify-all", "payout", "too-little-all", "push-strays-all"];

#[test]
fn every_law_holds_while_attempts_are_started_left_and_canceled() {
    let reach = [
        "started",
        "step_started",
        "acting",
        "continued",
        "leaving",
        "left_stray",
        "stray_quiet",
        "pending",
        "uncertain",
        "uncertain_long",
        "stuck",
        "seen",
        "unwanted",
        "adopted",
        "approved",
        "declined",
        "undone",
        "canceled",
        "window_over",
    ];
    holds(ATTEMPTS, LARGE_ATTEMPTS, &reach);
}

#[test]
fn every_law_holds_while_holds_are_captured_voided_and_lost() {
    let reach = [
        "captured",
        "voided",
        "increased",
        "amended",
        "hold_over",
        "capture_due",
        "hold_gone",
        "hold_closed",
        "captured_elsewhere",
        "voided_elsewhere",
        "refunded_elsewhere",
        "taken_back",
    ];
    holds(HOLDS, LARGE_HOLDS, &reach);
}

#[test]
fn every_law_holds_while_sales_are_refunded_disputed_and_returned() {
    let reach = [
        "refunded",
        "taken_back",
        "returned",
        "disputed",
        "fee",
        "refunded_elsewhere",
        "refund_back_elsewhere",
    ];
    holds(SALES, LARGE_SALES, &reach);
}

#[test]
fn every_law_holds_for_other_kinds_of_order_and_rail() {
    let reach = ["received", "unasked", "alarmed", "returned"];
    holds(OTHERS, LARGE_OTHERS, &reach);
}

#[test]
fn every_small_scenario_is_explored_here() {
    let is = |small: bool| -> BTreeSet<&str> {
        let all = scenarios().into_iter().filter(|scenario| scenario.small == small);
        all.map(|scenario| scenario.name).collect()
    };
    let small: BTreeSet<&str> = [ATTEMPTS, HOLDS, SALES, OTHERS].concat().into_iter().collect();
    assert_eq!(small, is(true));
    let large = [LARGE_ATTEMPTS, LARGE_HOLDS, LARGE_SALES, LARGE_OTHERS].concat();
    assert_eq!(
        large.into_iter().collect::<BTreeSet<_>>(),
        is(false),
        "and every large one in a night"
    );
}

/// Finds a mistake in a scenario, and shows the shortest way to it.
fn finds(mistake: Mistake, name: &str) {
    let report = explore(&scenario(name), Rules::with(mistake), SMALL_MAX);
    let Some(found) = report.found else {
        panic!("{mistake:?} is not found in `{name}` ({} states)", report.states);
    };
    println!(
        "{mistake:?} is found in `{name}` after {} states:\n{found}\n",
        report.states
    );
    assert!(
        found.trace.len() <= 16,
        "the shortest trace has {} steps:\n{found}",
        found.trace.len()
    );
}

macro_rules! mistakes {
    ($($test:ident: $mistake:ident in $scenario:literal;)*) => {
        $(
            #[test]
            fn $test() {
                finds(Mistake::$mistake, $scenario);
            }
        )*

        #[test]
        fn every_mistake_is_planted() {
            let planted = [$(Mistake::$mistake),*];
            assert_eq!(planted.iter().collect::<BTreeSet<_>>(), Mistake::ALL.iter().collect());
        }
    };
}

mistakes! {
    a_lost_answer_that_is_taken_for_a_decline_is_found: ALostAnswerIsADecline in "late-success";
    a_lost_capture_that_is_taken_for_a_decline_is_found: ALostCaptureIsADecline in "hold";
    a_lost_void_that_is_taken_for_a_decline_is_found: ALostVoidIsADecline in "hold";
    a_lost_refund_that_is_taken_for_a_decline_is_found: ALostRefundIsADecline in "refunds";
    absent_that_is_taken_for_a_decline_is_found: AbsentIsADecline in "late-success";
    a_late_success_that_is_ignored_is_found: ALateSuccessIsIgnored in "strays";
    a_new_attempt_while_one_is_uncertain_is_found: ANewAttemptStartsWhileOneIsUncertain in "checkout";
    a_refund_under_a_new_key_is_found: ARefundIsSentAgainUnderANewKey in "refunds";
    refunds_without_a_reserve_are_found: RefundsAreNotReserved in "refunds";
    a_commit_without_a_version_check_is_found: CommitsDoNotCheckTheVersion in "two-nodes";
    a_message_sent_before_it_is_written_is_found: MessagesAreSentBeforeTheyAreWritten in "late-success";
    a_stale_decline_that_overrides_a_success_is_found: AStaleDeclineOverridesASuccess in "late-success";
    a_partial_capture_taken_as_full_is_found: APartialCaptureIsTakenAsFull in "hold-short";
    a_failed_refund_that_is_ignored_is_found: AFailedRefundIsIgnored in "refunds";
    a_console_refund_that_is_ignored_is_found: AConsoleRefundIsIgnored in "refunds-console";
    a_failed_console_refund_that_is_ignored_is_found: AFailedConsoleRefundIsIgnored in "refunds-console-fail";
    a_window_that_closes_an_uncertain_attempt_is_found: TheWindowClosesAnUncertainAttempt in "checkout";
    a_success_adopted_during_our_own_cancel_is_found: ASuccessIsAdoptedDuringOurOwnCancel in "psp-cancels-holds";
    two_cancels_of_one_attempt_are_found: EachReasonStartsItsOwnCancel in "checkout";
    a_refused_reversal_that_nobody_repeats_is_found: ARefusedReversalIsNotTriedAgain in "strays";
    a_stuck_reversal_that_closes_its_attempt_is_found: AStuckReversalClosesTheAttempt in "checkout-canceled";
    a_dropped_return_is_found: AReturnBeforeItsSuccessIsDropped in "returned";
    an_undo_that_books_what_was_charged_is_found: AnUndoBooksWhatWasCharged in "void-of-a-sale";
    a_deadline_that_closes_a_hold_is_found: TheDeadlineClosesTheHold in "hold";
    two_hold_steps_at_once_are_found: TwoHoldStepsRunAtOnce in "hold";
    a_refund_while_the_sale_is_voided_is_found: RefundsStartWhileTheSaleIsVoided in "void-of-a-sale";
    a_dispute_that_opens_after_its_verdict_is_found: ADisputeOpensAfterItsVerdict in "disputes";
    an_old_success_that_outranks_an_undo_is_found: AnOldSuccessOutranksAnUndo in "psp-cancels-holds";
    a_key_sent_again_after_it_was_forgotten_is_found: KeysAreSentAgainAfterTheyWereForgotten in "forgotten-keys";
    a_fact_that_is_booked_twice_is_found: FactsAreBookedTwice in "refunds-console";
    a_lapsed_hold_that_is_ignored_is_found: ALapsedHoldIsIgnored in "hold-console";
    a_surplus_that_is_kept_is_found: ASurplusIsKept in "push";
    an_old_action_that_is_answered_is_found: AnOldActionIsAnswered in "actions";
    a_refund_by_hand_that_is_booked_twice_is_found: WhatAPersonSawIsBookedBesideWhatWasTold in "refunded-by-hand";
}
