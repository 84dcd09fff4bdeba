//! What happens to a card's money, as tables, and the bounds that always hold, as a random walk.

use florin_sandbox::cards;
use florin_sandbox::entry::{Authentication, AuthorizationId, Currency, Entry, Key};
use florin_sandbox::issuer::{AMOUNT_MAX, Issuer, OPERATIONS_MAX};
use florin_sandbox::message::{
    Authorize, Authorized, DisputeStatus, Found, Happened, Notice, Operate, Operated, Progress, Status, Step, Sums,
    Trouble,
};
use florin_sandbox::reason::Reason;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;

const LATER: SignedDuration = SignedDuration::from_secs(2);

/// An issuer with a clock of its own and every entry it ever made.
struct World {
    issuer: Issuer,
    now: Timestamp,
    entries: Vec<Entry>,
}

impl World {
    fn new() -> World {
        let now = "2026-11-21T10:00:00Z".parse().expect("a time");
        World {
            issuer: Issuer::new(7, LATER),
            now,
            entries: Vec::new(),
        }
    }

    fn keep(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.issuer.apply(&entry);
            self.entries.push(entry);
        }
    }

    fn authorize(&mut self, ask: &Authorize) -> Result<Authorized, Trouble> {
        let entries = self.issuer.authorize(ask, self.now)?;
        let replayed = entries.is_empty();
        self.keep(entries);
        Ok(self.issuer.authorized(&ask.key, replayed).expect("applied"))
    }

    fn operate(&mut self, key: &str, id: AuthorizationId, step: Step) -> Result<Operated, Trouble> {
        let ask = Operate {
            key: key_of(key),
            authorization: id,
            step,
            reference: None,
        };
        let entry = self.issuer.operate(&ask, self.now)?;
        let replayed = entry.is_none();
        self.keep(entry);
        Ok(self.issuer.operated(&ask.key, replayed).expect("applied"))
    }

    /// Time goes by, and what was to follow follows.
    fn wait(&mut self, time: SignedDuration) {
        self.now += time;
        while let Some(entry) = self.issuer.due(self.now) {
            self.keep([entry]);
        }
    }

    fn sums(&self, id: AuthorizationId) -> Sums {
        self.issuer.view(id).expect("it exists").sums
    }

    fn kinds(&self) -> Vec<String> {
        let kind = |entry: &Entry| {
            serde_json::to_value(entry).expect("plain data")["kind"]
                .as_str()
                .expect("text")
                .into()
        };
        self.entries.iter().map(kind).collect()
    }

    /// An issuer that has read the book again.
    fn rebuilt(&self) -> World {
        let mut again = World {
            issuer: Issuer::new(7, LATER),
            now: self.now,
            entries: self.entries.clone(),
        };
        for entry in &self.entries {
            let line = serde_json::to_string(entry).expect("plain data");
            again
                .issuer
                .apply(&serde_json::from_str(&line).expect("what was written can be read"));
        }
        again
    }
}

fn key_of(text: &str) -> Key {
    Key::parse(text).expect("a key")
}

fn ask(key: &str, card: &str, amount: i64) -> Authorize {
    Authorize {
        key: key_of(key),
        card: cards::by_name(card).expect("a card"),
        amount,
        currency: Currency::parse("EUR").expect("a currency"),
        capture: false,
        three_ds: Authentication::None,
        description: None,
    }
}

fn sale(key: &str, card: &str, amount: i64) -> Authorize {
    Authorize {
        capture: true,
        ..ask(key, card, amount)
    }
}

#[test]
fn each_card_answers_as_published_with_and_without_three_d_secure() {
    use Authentication::{Failed, None, Passed};
    use Status::{Approved, Challenge, Declined};
    let table = [
        ("card_visa", None, Approved, "00"),
        ("card_visa", Passed, Approved, "00"),
        ("card_visa", Failed, Declined, "1A"),
        ("card_amex", None, Approved, "00"),
        ("card_visa_chargeDeclined", None, Declined, "05"),
        ("card_visa_chargeDeclinedInsufficientFunds", None, Declined, "51"),
        ("card_visa_chargeDeclinedLostCard", None, Declined, "41"),
        ("card_visa_chargeDeclinedStolenCard", None, Declined, "43"),
        ("card_chargeDeclinedExpiredCard", None, Declined, "54"),
        ("card_chargeDeclinedIncorrectCvc", None, Declined, "N7"),
        ("card_chargeDeclinedProcessingError", None, Declined, "96"),
        ("card_incorrectNumber", None, Declined, "14"),
        ("card_visa_chargeDeclinedVelocityLimitExceeded", None, Declined, "61"),
        ("card_chargeCustomerFail", None, Declined, "05"),
        ("card_radarBlock", None, Declined, "59"),
        ("card_threeDSecure2Required", None, Challenge, "1A"),
        ("card_threeDSecure2Required", Passed, Approved, "00"),
        ("card_threeDSecure2Required", Failed, Declined, "1A"),
        ("card_authenticationRequired", None, Challenge, "1A"),
        (
            "card_authenticationRequiredChargeDeclinedInsufficientFunds",
            None,
            Challenge,
            "1A",
        ),
        (
            "card_authenticationRequiredChargeDeclinedInsufficientFunds",
            Passed,
            Declined,
            "51",
        ),
        ("card_threeDSecureRequiredChargeDeclined", None, Challenge, "1A"),
        ("card_threeDSecureRequiredChargeDeclined", Passed, Declined, "05"),
        ("card_threeDSecureRequiredProcessingError", None, Declined, "05"),
        ("card_threeDSecureRequiredProcessingError", Passed, Declined, "05"),
        ("card_threeDSecureOptional", None, Approved, "00"),
        ("card_threeDSecureOptional", Passed, Approved, "00"),
        ("card_threeDSecureOptionalProcessingError", None, Approved, "00"),
        ("card_threeDSecureOptionalProcessingError", Passed, Declined, "05"),
    ];
    for (capture, (number, (card, three_ds, status, code))) in [false, true]
        .into_iter()
        .flat_map(|capture| table.into_iter().enumerate().map(move |row| (capture, row)))
    {
        let mut world = World::new();
        let answer = world
            .authorize(&Authorize {
                three_ds,
                capture,
                ..ask(&number.to_string(), card, 100)
            })
            .unwrap();
        assert_eq!((answer.status, answer.code), (status, code), "{card} {three_ds:?}");
        let approved = i128::from(status == Approved);
        let sums = world.sums(answer.id);
        assert_eq!(sums.authorized, 100 * approved, "{card}");
        assert_eq!(sums.captured, if capture { 100 * approved } else { 0 }, "{card}");
        assert_eq!(i128::from(answer.captured), sums.captured);
    }
}

#[test]
fn the_same_key_and_body_get_the_same_answer_whatever_happened_since() {
    let mut world = World::new();
    let request = sale("k", "card_visa", 100);
    let first = world.authorize(&request).unwrap();
    let refund = world.operate("r", first.id, Step::Refund { amount: 100 }).unwrap();
    let again = world.authorize(&request).unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!(
        Authorized {
            replayed: false,
            ..again
        },
        first
    );
    let refund_again = world.operate("r", first.id, Step::Refund { amount: 100 }).unwrap();
    assert_eq!(
        Operated {
            replayed: false,
            ..refund_again
        },
        refund
    );
    assert_eq!(world.sums(first.id).refunded, 100, "a repeat moves nothing");
}

#[test]
fn the_same_key_with_anything_else_is_refused_and_moves_nothing() {
    let mut world = World::new();
    let first = world.authorize(&ask("k", "card_visa", 100)).unwrap();
    world
        .operate(
            "c",
            first.id,
            Step::Capture {
                amount: 50,
                last: false,
            },
        )
        .unwrap();
    let before = world.entries.len();
    let other = [
        ask("k", "card_visa", 101),
        ask("k", "card_visa_debit", 100),
        sale("k", "card_visa", 100),
        Authorize {
            currency: Currency::parse("USD").unwrap(),
            ..ask("k", "card_visa", 100)
        },
        Authorize {
            three_ds: Authentication::Passed,
            ..ask("k", "card_visa", 100)
        },
        Authorize {
            description: Some("x".into()),
            ..ask("k", "card_visa", 100)
        },
        ask("c", "card_visa", 50),
    ];
    for request in other {
        assert!(
            matches!(world.authorize(&request), Err(Trouble::KeyReused(_))),
            "{request:?}"
        );
    }
    let steps = [
        (
            "c",
            Step::Capture {
                amount: 51,
                last: false,
            },
        ),
        ("c", Step::Capture { amount: 50, last: true }),
        ("c", Step::Refund { amount: 50 }),
        ("k", Step::Cancel),
    ];
    for (key, step) in steps {
        assert!(
            matches!(world.operate(key, first.id, step), Err(Trouble::KeyReused(_))),
            "{key} {step:?}"
        );
    }
    assert_eq!(world.entries.len(), before);
}

#[test]
fn a_capture_takes_what_is_held_and_the_last_one_lets_go_of_the_rest() {
    let mut world = World::new();
    let id = world.authorize(&ask("a", "card_visa", 100)).unwrap().id;
    assert_eq!(
        world
            .operate(
                "c1",
                id,
                Step::Capture {
                    amount: 30,
                    last: false
                }
            )
            .unwrap()
            .moved,
        30
    );
    let refused = world
        .operate("c2", id, Step::Capture { amount: 71, last: true })
        .unwrap();
    assert_eq!(
        (refused.status, refused.code, refused.moved),
        (Progress::Refused, "13", 0)
    );
    assert_eq!(
        world
            .operate("c3", id, Step::Capture { amount: 50, last: true })
            .unwrap()
            .status,
        Progress::Done
    );
    let sums = world.sums(id);
    assert_eq!((sums.captured, sums.released), (80, 20));
    assert!(!world.issuer.view(id).unwrap().open);
    for (key, step) in [("c4", Step::Capture { amount: 1, last: true }), ("x", Step::Cancel)] {
        let answer = world.operate(key, id, step).unwrap();
        assert_eq!((answer.status, answer.reason), (Progress::Refused, Reason::NotOpen));
    }
}

#[test]
fn a_refusal_stays_a_refusal_under_its_key_even_when_it_would_be_possible_now() {
    let mut world = World::new();
    let id = world.authorize(&ask("a", "card_visa", 100)).unwrap().id;
    let refused = world.operate("r", id, Step::Refund { amount: 10 }).unwrap();
    assert_eq!(
        (refused.status, refused.reason),
        (Progress::Refused, Reason::NotCaptured)
    );
    world
        .operate(
            "c",
            id,
            Step::Capture {
                amount: 100,
                last: true,
            },
        )
        .unwrap();
    assert_eq!(
        world.operate("r", id, Step::Refund { amount: 10 }).unwrap().status,
        Progress::Refused
    );
    assert_eq!(
        world.operate("r2", id, Step::Refund { amount: 10 }).unwrap().status,
        Progress::Done
    );
}

#[test]
fn a_cancel_lets_go_of_what_is_held_and_of_nothing_that_moved() {
    let mut world = World::new();
    let id = world.authorize(&ask("a", "card_visa", 100)).unwrap().id;
    world
        .operate(
            "c",
            id,
            Step::Capture {
                amount: 30,
                last: false,
            },
        )
        .unwrap();
    let canceled = world.operate("x", id, Step::Cancel).unwrap();
    assert_eq!((canceled.status, canceled.moved), (Progress::Done, 70));
    assert_eq!(
        world.operate("x", id, Step::Cancel).unwrap().moved,
        70,
        "a repeat says the same"
    );
    assert_eq!(world.sums(id).captured, 30);
    let sold = world.authorize(&sale("s", "card_visa", 5)).unwrap().id;
    assert_eq!(world.operate("y", sold, Step::Cancel).unwrap().reason, Reason::NotOpen);
}

#[test]
fn nothing_is_held_for_a_card_that_was_declined_or_challenged() {
    let mut world = World::new();
    for card in ["card_visa_chargeDeclined", "card_threeDSecure2Required"] {
        let id = world.authorize(&sale(card, card, 100)).unwrap().id;
        for (key, step) in [("c", Step::Capture { amount: 1, last: true }), ("x", Step::Cancel)] {
            let answer = world.operate(&format!("{card}{key}"), id, step).unwrap();
            assert_eq!((answer.status, answer.moved), (Progress::Refused, 0));
        }
    }
}

#[test]
fn nonsense_is_nobodys_decline_and_leaves_no_trace() {
    let mut world = World::new();
    assert!(matches!(
        world.authorize(&ask("a", "card_visa", -1)),
        Err(Trouble::Misuse(_))
    ));
    assert!(matches!(
        world.authorize(&sale("b", "card_visa", 0)),
        Err(Trouble::Misuse(_))
    ));
    let id = world.authorize(&ask("c", "card_visa", 10)).unwrap().id;
    for step in [
        Step::Capture { amount: 0, last: true },
        Step::Refund { amount: -5 },
        Step::Dispute { amount: 0 },
    ] {
        assert!(matches!(world.operate("d", id, step), Err(Trouble::Misuse(_))));
    }
    assert!(matches!(
        world.operate("e", AuthorizationId(99), Step::Cancel),
        Err(Trouble::NotFound(_))
    ));
    assert_eq!(world.entries.len(), 1);
}

#[test]
fn a_card_check_is_approved_and_holds_nothing_and_the_largest_amounts_are_declined_not_wrapped() {
    let mut world = World::new();
    let check = world.authorize(&ask("zero", "card_visa", 0)).unwrap();
    assert_eq!(
        (check.status, world.issuer.view(check.id).unwrap().open),
        (Status::Approved, false)
    );
    assert_eq!(
        world.authorize(&sale("max", "card_visa", AMOUNT_MAX)).unwrap().status,
        Status::Approved
    );
    for (key, amount) in [("over", AMOUNT_MAX + 1), ("i64", i64::MAX)] {
        let answer = world.authorize(&sale(key, "card_visa", amount)).unwrap();
        assert_eq!((answer.status, answer.code), (Status::Declined, "13"));
    }
}

#[test]
fn the_dispute_card_is_disputed_once_some_time_after_the_first_capture() {
    let mut world = World::new();
    let id = world.authorize(&ask("a", "card_createDispute", 100)).unwrap().id;
    world.wait(LATER * 3);
    assert_eq!(world.kinds(), ["authorized"], "nothing moved, so nothing to dispute");
    world
        .operate(
            "c1",
            id,
            Step::Capture {
                amount: 60,
                last: false,
            },
        )
        .unwrap();
    world.operate("r", id, Step::Refund { amount: 10 }).unwrap();
    world.wait(LATER - SignedDuration::from_millis(1));
    assert_eq!(world.sums(id).disputed, 0);
    world.wait(SignedDuration::from_millis(1));
    assert_eq!(world.sums(id).disputed, 50, "what was captured and not given back");
    let refund = world.operate("r2", id, Step::Refund { amount: 1 }).unwrap();
    assert_eq!(
        refund.reason,
        Reason::ExceedsCaptured,
        "what is disputed cannot be refunded too"
    );
    world.operate("w", id, Step::CloseDispute { won: true }).unwrap();
    world
        .operate("c2", id, Step::Capture { amount: 40, last: true })
        .unwrap();
    world.wait(LATER * 3);
    assert_eq!(world.sums(id).disputed, 0, "once");
}

#[test]
fn a_dispute_is_won_or_lost_once_and_what_is_won_can_be_refunded_again() {
    let mut world = World::new();
    let id = world.authorize(&sale("a", "card_visa", 100)).unwrap().id;
    assert_eq!(
        world.operate("n", id, Step::CloseDispute { won: true }).unwrap().reason,
        Reason::NotDisputed
    );
    assert_eq!(
        world.operate("n", id, Step::CloseDispute { won: true }).unwrap().status,
        Progress::Refused
    );
    assert!(matches!(
        world.operate("n", id, Step::CloseDispute { won: false }),
        Err(Trouble::KeyReused(_))
    ));
    world.operate("d", id, Step::Dispute { amount: 100 }).unwrap();
    assert_eq!(
        world.operate("d2", id, Step::Dispute { amount: 1 }).unwrap().reason,
        Reason::AlreadyDisputed
    );
    assert_eq!(
        world.operate("w", id, Step::CloseDispute { won: true }).unwrap().status,
        Progress::Done
    );
    assert_eq!(world.sums(id).disputed, 0);
    world.operate("r", id, Step::Refund { amount: 100 }).unwrap();
    world.operate("d3", id, Step::Dispute { amount: 100 }).unwrap();
    assert_eq!(
        world
            .operate("l", id, Step::CloseDispute { won: false })
            .unwrap()
            .status,
        Progress::Done
    );
    let sums = world.sums(id);
    assert_eq!(
        (sums.refunded, sums.disputed),
        (100, 100),
        "paid back twice, as merchants do"
    );
    assert_eq!(
        world
            .operate("l2", id, Step::CloseDispute { won: false })
            .unwrap()
            .reason,
        Reason::NotDisputed
    );
}

#[test]
fn a_dispute_that_was_lost_stays_lost_when_the_next_one_is_won() {
    let mut world = World::new();
    let id = world.authorize(&sale("a", "card_visa", 100)).unwrap().id;
    world.operate("d1", id, Step::Dispute { amount: 40 }).unwrap();
    world.operate("l", id, Step::CloseDispute { won: false }).unwrap();
    world.operate("d2", id, Step::Dispute { amount: 60 }).unwrap();
    let won = world.operate("w", id, Step::CloseDispute { won: true }).unwrap();
    assert_eq!(
        (won.status, won.moved, world.sums(id).disputed),
        (Progress::Done, 60, 40)
    );
    let disputes = world.issuer.view(id).unwrap().disputes;
    let stand: Vec<_> = disputes.iter().map(|one| (one.amount, one.status)).collect();
    assert_eq!(stand, [(40, DisputeStatus::Lost), (60, DisputeStatus::Won)]);
}

/// What the issuer has to tell: what, by which of our names.
fn untold(world: &World) -> Vec<(Happened, Option<String>)> {
    let notices = world.issuer.unacknowledged(100);
    let reference = |notice: &Notice| notice.reference.as_ref().map(|text| text.as_str().to_owned());
    notices.iter().map(|notice| (notice.kind, reference(notice))).collect()
}

#[test]
fn what_happens_later_is_told_until_it_was_acknowledged_and_after_a_restart_too() {
    let mut world = World::new();
    for (key, card) in [
        ("d", "card_createDispute"),
        ("f", "card_refundFail"),
        ("p", "card_pendingRefund"),
    ] {
        let id = world.authorize(&sale(key, card, 100)).unwrap().id;
        if key == "d" {
            continue;
        }
        let refund = Operate {
            key: key_of(&format!("{key}-refund")),
            authorization: id,
            step: Step::Refund { amount: 40 },
            reference: Some(format!("ours-{key}").into()),
        };
        let entry = world.issuer.operate(&refund, world.now).unwrap();
        world.keep(entry);
        let other_name = Operate {
            reference: Some("another".into()),
            ..refund
        };
        let trouble = world.issuer.operate(&other_name, world.now).unwrap_err();
        assert!(matches!(trouble, Trouble::KeyReused(_)), "another body: {trouble}");
    }
    assert_eq!(untold(&world), [], "whoever asked was answered");
    world.wait(LATER);
    let all = [
        (Happened::Disputed, None),
        (Happened::RefundFailed, Some("ours-f".to_owned())),
        (Happened::Refunded, Some("ours-p".to_owned())),
    ];
    assert_eq!(untold(&world), all);
    let mut world = world.rebuilt();
    assert_eq!(untold(&world), all, "the book tells it again");
    let first = world.issuer.unacknowledged(1)[0].id;
    let entry = world.issuer.acknowledge(first, world.now).unwrap();
    world.keep([entry]);
    assert_eq!(world.issuer.acknowledge(first, world.now), None, "once");
    assert_eq!(untold(&world), all[1..]);
    assert_eq!(untold(&world.rebuilt()), all[1..], "what was acknowledged stays so");
    world
        .operate("lost", AuthorizationId(1), Step::CloseDispute { won: false })
        .unwrap();
    assert_eq!(untold(&world).last(), Some(&(Happened::DisputeLost, None)));
}

#[test]
fn inquiries_and_fraud_warnings_move_nothing_and_are_not_told() {
    for (card, kind) in [
        ("card_createDisputeInquiry", "inquired"),
        ("card_createIssuerFraudRecord", "fraud_warned"),
    ] {
        let mut world = World::new();
        let id = world.authorize(&sale("a", card, 100)).unwrap().id;
        world.wait(LATER * 2);
        world.wait(LATER * 2);
        assert_eq!(world.kinds(), ["authorized", "captured", kind]);
        assert_eq!(untold(&world), []);
        assert_eq!(
            world.sums(id),
            Sums {
                authorized: 100,
                captured: 100,
                ..Sums::default()
            }
        );
    }
}

#[test]
fn a_refund_that_fails_was_done_first_and_gives_the_money_back_to_the_merchant() {
    let mut world = World::new();
    let id = world.authorize(&sale("a", "card_refundFail", 100)).unwrap().id;
    let done = world.operate("r", id, Step::Refund { amount: 70 }).unwrap();
    assert_eq!(
        (done.status, done.moved, world.sums(id).refunded),
        (Progress::Done, 70, 70)
    );
    world.wait(LATER);
    assert_eq!(world.sums(id).refunded, 0);
    let Found::Operation(now) = world.issuer.by_key(&key_of("r")).unwrap() else {
        panic!("a step")
    };
    assert_eq!((now.status, now.moved, now.code), (Progress::Failed, 0, "46"));
    assert_eq!(
        world.operate("r", id, Step::Refund { amount: 70 }).unwrap().status,
        Progress::Done,
        "the first answer"
    );
    world.wait(LATER * 5);
    assert_eq!(
        world.kinds(),
        ["authorized", "captured", "refunded", "refund_failed"],
        "it fails once"
    );
    assert_eq!(
        world.operate("r2", id, Step::Refund { amount: 100 }).unwrap().status,
        Progress::Done
    );
}

#[test]
fn a_refund_that_pends_reserves_its_money_and_is_done_later() {
    let mut world = World::new();
    let id = world.authorize(&sale("a", "card_pendingRefund", 100)).unwrap().id;
    let pending = world.operate("r", id, Step::Refund { amount: 70 }).unwrap();
    assert_eq!((pending.status, pending.moved), (Progress::Pending, 0));
    assert_eq!(
        world.operate("r2", id, Step::Refund { amount: 31 }).unwrap().reason,
        Reason::ExceedsCaptured
    );
    world.wait(LATER);
    let sums = world.sums(id);
    assert_eq!((sums.refunded, sums.refund_pending), (70, 0));
    let Found::Operation(now) = world.issuer.by_key(&key_of("r")).unwrap() else {
        panic!("a step")
    };
    assert_eq!((now.status, now.moved), (Progress::Done, 70));
    assert_eq!(
        world.operate("r", id, Step::Refund { amount: 70 }).unwrap().status,
        Progress::Pending,
        "the first answer"
    );
    world.wait(LATER * 5);
    assert_eq!(
        world.kinds(),
        ["authorized", "captured", "refund_pending", "refused", "refunded"]
    );
}

#[test]
fn what_was_to_follow_follows_after_a_restart_too_and_only_once() {
    for card in [
        "card_createDispute",
        "card_refundFail",
        "card_pendingRefund",
        "card_createDisputeInquiry",
    ] {
        let mut world = World::new();
        let id = world.authorize(&sale("a", card, 100)).unwrap().id;
        world.operate("r", id, Step::Refund { amount: 40 }).unwrap();
        let mut again = world.rebuilt();
        world.wait(LATER * 2);
        again.wait(LATER * 2);
        assert_eq!(again.entries, world.entries, "{card}");
        let mut third = again.rebuilt();
        third.wait(LATER * 2);
        assert_eq!(third.entries, world.entries, "{card}");
    }
}

#[test]
fn an_authorisation_takes_so_many_steps_and_no_more() {
    let mut world = World::new();
    let id = world.authorize(&sale("a", "card_visa", 1_000)).unwrap().id;
    for number in 0..OPERATIONS_MAX {
        world
            .operate(&format!("r{number}"), id, Step::Refund { amount: 1 })
            .unwrap();
    }
    assert!(matches!(
        world.operate("more", id, Step::Refund { amount: 1 }),
        Err(Trouble::Misuse(_))
    ));
    assert_eq!(
        world.operate("r0", id, Step::Refund { amount: 1 }).unwrap().moved,
        1,
        "what is known is still answered"
    );
}

#[test]
fn the_networks_names_differ_depend_on_the_seed_and_are_no_card_numbers() {
    let name = |seed, key: &str| {
        let mut issuer = Issuer::new(seed, LATER);
        let mut names = Vec::new();
        for number in 0..50 {
            let request = ask(&format!("{key}{number}"), "card_visa", 1);
            for entry in issuer.authorize(&request, Timestamp::UNIX_EPOCH).unwrap() {
                issuer.apply(&entry);
            }
            let answer = issuer.authorized(&request.key, false).unwrap();
            names.push(answer.network_transaction_id.as_str().to_owned());
        }
        names
    };
    let names = name(1, "a");
    assert_eq!(names, name(1, "b"));
    assert_ne!(names, name(2, "a"));
    assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 50);
    assert!(names.iter().all(|name| name.len() == 15 && name.starts_with('T')));
}

/// One thing that somebody does, with small numbers so that keys and amounts meet often.
#[derive(Clone, Debug)]
enum Move {
    Authorize {
        key: u8,
        card: usize,
        amount: i64,
        capture: bool,
        three_ds: Authentication,
    },
    Operate {
        key: u8,
        authorization: u32,
        step: Step,
    },
    Wait {
        ms: i64,
    },
    Restart,
}

const CARDS: [&str; 7] = [
    "card_visa",
    "card_visa_chargeDeclined",
    "card_threeDSecure2Required",
    "card_createDispute",
    "card_refundFail",
    "card_pendingRefund",
    "card_createDisputeInquiry",
];

fn moves() -> impl Strategy<Value = Move> {
    let three_ds = prop_oneof![
        Just(Authentication::None),
        Just(Authentication::Passed),
        Just(Authentication::Failed)
    ]
    .boxed();
    let step = prop_oneof![
        4 => (-1..120_i64, any::<bool>()).prop_map(|(amount, last)| Step::Capture { amount, last }),
        2 => Just(Step::Cancel),
        4 => (-1..120_i64).prop_map(|amount| Step::Refund { amount }),
        1 => (-1..120_i64).prop_map(|amount| Step::Dispute { amount }),
        1 => any::<bool>().prop_map(|won| Step::CloseDispute { won }),
    ];
    prop_oneof![
        3 => (0..40_u8, 0..CARDS.len(), -1..120_i64, any::<bool>(), three_ds).prop_map(
            |(key, card, amount, capture, three_ds)| Move::Authorize { key, card, amount, capture, three_ds }
        ),
        8 => (0..80_u8, 0..6_u32, step)
            .prop_map(|(key, authorization, step)| Move::Operate { key, authorization, step }),
        2 => (0..3_000_i64).prop_map(|ms| Move::Wait { ms }),
        1 => Just(Move::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_walk_moves_more_than_was_authorised_or_captured_and_the_book_tells_all_of_it(
        walk in prop::collection::vec(moves(), 1..80)
    ) {
        let mut world = World::new();
        // An independent memory of what was answered under each key.
        let mut authorized: BTreeMap<u8, (Move, Authorized)> = BTreeMap::new();
        let mut operated: BTreeMap<u8, (Step, u32, Operated)> = BTreeMap::new();
        for step in walk {
            let entries_before = world.entries.len();
            match step.clone() {
                Move::Authorize { key, card, amount, capture, three_ds } => {
                    let request = Authorize { three_ds, capture, ..ask(&format!("k{key}"), CARDS[card], amount) };
                    let answer = world.authorize(&request);
                    match (authorized.get(&key), operated.contains_key(&key), answer) {
                        (Some((asked, first)), _, Ok(again)) => {
                            prop_assert_eq!(format!("{asked:?}"), format!("{step:?}"), "another body was answered");
                            prop_assert!(again.replayed);
                            prop_assert_eq!(&Authorized { replayed: false, ..again }, first);
                            prop_assert_eq!(world.entries.len(), entries_before);
                        }
                        (Some(_), _, Err(trouble)) => prop_assert!(matches!(trouble, Trouble::KeyReused(_))),
                        (None, true, answer) => prop_assert!(matches!(answer, Err(Trouble::KeyReused(_)))),
                        (None, false, Ok(first)) => {
                            prop_assert!(!first.replayed);
                            authorized.insert(key, (step, first));
                        }
                        (None, false, Err(trouble)) => prop_assert!(matches!(trouble, Trouble::Misuse(_))),
                    }
                }
                Move::Operate { key, authorization, step } => {
                    let answer = world.operate(&format!("k{key}"), AuthorizationId(authorization), step);
                    match (operated.get(&key), authorized.contains_key(&key), answer) {
                        (Some((asked, on, first)), _, Ok(again)) => {
                            prop_assert_eq!((asked, on), (&step, &authorization), "another body was answered");
                            prop_assert_eq!(&Operated { replayed: false, ..again }, first);
                            prop_assert_eq!(world.entries.len(), entries_before);
                        }
                        (Some(_), _, Err(trouble)) => prop_assert!(matches!(trouble, Trouble::KeyReused(_))),
                        (None, true, answer) => prop_assert!(matches!(answer, Err(Trouble::KeyReused(_)))),
                        (None, false, Ok(first)) => {
                            prop_assert!(!first.replayed);
                            operated.insert(key, (step, authorization, first));
                        }
                        (None, false, Err(trouble)) => {
                            prop_assert!(matches!(trouble, Trouble::Misuse(_) | Trouble::NotFound(_)));
                        }
                    }
                }
                Move::Wait { ms } => world.wait(SignedDuration::from_millis(ms)),
                Move::Restart => world = world.rebuilt(),
            }
            hold(&world)?;
        }
        // What the book says, added up by somebody who knows only its lines.
        let again = world.rebuilt();
        prop_assert_eq!(world.issuer.totals(0, 1_000), again.issuer.totals(0, 1_000));
        prop_assert_eq!(added_up(&world.entries), by_authorization(&world));
    }
}

/// The bounds of the module's first page.
fn hold(world: &World) -> Result<(), TestCaseError> {
    let totals = world.issuer.totals(0, 1_000);
    let mut over_all = Sums::default();
    for line in &totals.data {
        let Sums {
            authorized,
            captured,
            released,
            refunded,
            refund_pending,
            disputed,
        } = line.sums;
        prop_assert!(captured + released <= authorized, "{line:?}");
        prop_assert!(refunded + refund_pending <= captured, "{line:?}");
        prop_assert!(disputed <= captured, "{line:?}");
        prop_assert!(
            [captured, released, refunded, refund_pending, disputed]
                .iter()
                .all(|sum| *sum >= 0),
            "{line:?}"
        );
        let disputes = world.issuer.view(line.authorization).expect("it exists").disputes;
        let taken = disputes.iter().filter(|one| one.status != DisputeStatus::Won);
        let sum: i128 = taken.map(|one| i128::from(one.amount)).sum();
        prop_assert_eq!(sum, disputed, "each dispute that is open or lost, and no other");
        let open = disputes.iter().filter(|one| one.status == DisputeStatus::Open);
        prop_assert!(open.count() <= 1, "{disputes:?}");
        over_all.authorized += authorized;
        over_all.captured += captured;
        over_all.released += released;
        over_all.refunded += refunded;
        over_all.refund_pending += refund_pending;
        over_all.disputed += disputed;
    }
    let kept = totals.currencies.values().next().copied().unwrap_or_default();
    prop_assert_eq!(kept, over_all, "the sums over everything are the sums of the lines");
    Ok(())
}

type Figures = BTreeMap<String, (i64, i64, i64, i64)>;

/// Captured, let go, given back and disputed, from nothing but the JSON of the book.
fn added_up(entries: &[Entry]) -> Figures {
    let mut figures = Figures::new();
    for entry in entries {
        let line = serde_json::to_value(entry).expect("plain data");
        let amount = line["amount"].as_i64().expect("a number");
        let sums = figures
            .entry(line["authorization"].as_str().expect("text").to_owned())
            .or_default();
        match line["kind"].as_str().expect("text") {
            "captured" => {
                sums.0 += amount;
                sums.1 += line["released"].as_i64().expect("a number");
            }
            "canceled" => sums.1 += amount,
            "refunded" => sums.2 += amount,
            "refund_failed" => sums.2 -= amount,
            "disputed" => sums.3 += amount,
            "dispute_won" => sums.3 -= amount,
            _ => {}
        }
    }
    figures
}

fn by_authorization(world: &World) -> Figures {
    let small = |sum: i128| i64::try_from(sum).expect("small in this test");
    let line = |line: florin_sandbox::message::Total| {
        let Sums {
            captured,
            released,
            refunded,
            disputed,
            ..
        } = line.sums;
        (
            line.authorization.to_string(),
            (small(captured), small(released), small(refunded), small(disputed)),
        )
    };
    world.issuer.totals(0, 1_000).data.into_iter().map(line).collect()
}
