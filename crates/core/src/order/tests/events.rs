//! Events are for ever: what was written once is read by every later release.

use super::golden::compare;
use super::kit::*;
use crate::decline::{Code, Decline};
use crate::event::{self, Event};
use crate::id::OrderId;
use crate::order::*;
use crate::rail::{Action, What};
use crate::time::Timestamp;

/// One event of every kind, with every member filled.
fn one_of_each() -> Vec<Event> {
    let step: StepName = "1/cap/0".parse().expect("a step");
    let amount = eur(1099);
    let held = Some(HoldEnd::At(Timestamp::from_millis(1_700_000_000_000)));
    let terms = Terms {
        kind: Kind::Payment,
        amount,
        capture: CaptureAt::At(Timestamp::from_millis(1_700_000_000_000)),
        accept_partial: true,
        expires_at: WINDOW,
        attempts_max: 3,
    };
    let plan = Plan {
        extras: Some(eur(99)),
        ..plan(
            amount,
            Abilities {
                push: true,
                stray_s: 60,
                action_s: 120,
                refund_days: 90,
                ..all()
            },
        )
    };
    let key = FactKey {
        attempt: 1,
        what: What::Returned,
        id: "txn_1".into(),
    };
    let id = || "txn_1".to_owned();
    vec![
        Event::Created {
            order: OrderId::from_uuid(uuid::Uuid::from_u128(1)),
            terms,
        },
        Event::Resolved {
            note: "seen in the provider's console".into(),
            event: Box::new(Event::Voided { step }),
        },
        Event::Described,
        Event::Amended { due: amount },
        Event::Canceled,
        Event::WindowOver,
        Event::Started {
            attempt: 1,
            plan: plan.into(),
        },
        Event::StepStarted {
            step,
            amount,
            last: true,
        },
        Event::Acting {
            attempt: 1,
            number: 2,
            action: Action::Redirect {
                url: "https://bank.example/1".into(),
            },
        },
        Event::Continued { attempt: 1, number: 2 },
        Event::Leaving {
            attempt: 1,
            why: Leaving::Reopen,
        },
        Event::LeftStray { attempt: 1 },
        Event::StrayQuiet { attempt: 1 },
        Event::Pending { step },
        Event::Uncertain { step },
        Event::UncertainLong { step },
        Event::Stuck {
            step,
            why: "nobody to ask".into(),
        },
        Event::Alarmed {
            about: About::Fact(key),
            said: amount,
        },
        Event::Settled { step },
        Event::Approved {
            attempt: 1,
            amount,
            held,
        },
        Event::Seen {
            attempt: 1,
            amount,
            held: Some(HoldEnd::Unknown),
        },
        Event::Unwanted {
            attempt: 1,
            amount,
            held: None,
        },
        Event::Adopted { attempt: 1 },
        Event::Received {
            attempt: 1,
            id: Some(id()),
            amount,
        },
        Event::Unasked {
            attempt: 2,
            of: 1,
            id: id(),
            amount,
        },
        Event::Declined {
            step,
            decline: Decline {
                raw: "51".into(),
                ..Decline::new(Code::InsufficientFunds)
            },
        },
        Event::Undone { step, moved: amount },
        Event::HoldOver,
        Event::CaptureDue,
        Event::Captured { step, amount },
        Event::Voided { step },
        Event::Increased {
            step,
            amount,
            until: Some(WINDOW),
        },
        Event::Refunded { step, amount },
        Event::TakenBack { step, amount },
        Event::HoldGone { attempt: 1, id: id() },
        Event::HoldClosed,
        Event::CapturedElsewhere {
            attempt: 1,
            id: id(),
            amount,
        },
        Event::VoidedElsewhere {
            attempt: 1,
            id: id(),
            amount,
        },
        Event::RefundedElsewhere {
            attempt: 1,
            id: id(),
            amount,
        },
        Event::RefundBackElsewhere {
            attempt: 1,
            id: id(),
            amount,
        },
        Event::Returned {
            attempt: 1,
            id: id(),
            amount,
        },
        Event::Disputed {
            attempt: 1,
            id: id(),
            verdict: Verdict::Lost,
            amount,
        },
        Event::Fee {
            attempt: 1,
            id: id(),
            amount,
        },
    ]
}

#[test]
fn every_kind_is_written_as_its_golden_file_says() {
    for event in one_of_each() {
        let text = format!("{}\n", event::stored(&event));
        compare(&format!("events/{}.v{}.json", event.kind(), event.version()), &text);
        assert!(text.contains(&format!("\"k\":\"{}\"", event.kind())), "{text}");
    }
}

#[test]
fn every_event_that_was_ever_written_is_read() {
    let folder = super::golden::folder().join("events");
    let mut kinds = std::collections::BTreeSet::new();
    for file in std::fs::read_dir(folder).expect("the golden events are there") {
        let path = file.expect("a folder can be listed").path();
        let text = std::fs::read_to_string(&path).expect("a golden event is text");
        let event = event::read(text.trim_end()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        kinds.insert(event.kind());
    }
    let every: std::collections::BTreeSet<_> = one_of_each().iter().map(Event::kind).collect();
    assert_eq!(kinds, every);
}

#[test]
fn an_event_of_a_newer_release_is_refused_by_name() {
    let error = event::read(r#"{"v":9,"k":"hold_over"}"#).expect_err("version 9 is not known");
    assert_eq!(
        error.to_string(),
        "event `hold_over` has version 9, and this release reads up to 1: start the release that wrote it"
    );
    assert!(event::read(r#"{"v":1,"k":"teleported"}"#).is_err());
    assert!(event::read(r#"{"k":"hold_over"}"#).is_err());
    assert!(event::read("").is_err());
}

#[test]
fn events_that_make_no_order_are_refused() {
    let at = Timestamp::from_millis(1);
    let created = one_of_each().remove(0);
    assert_eq!(Order::fold([]), Err(FoldError::Empty));
    assert_eq!(Order::fold([(at, Event::Described)]), Err(FoldError::NotCreated));
    assert_eq!(
        Order::fold([(at, created.clone()), (at, created)]),
        Err(FoldError::CreatedTwice(2))
    );
}

#[test]
fn events_that_do_not_fit_are_applied_without_a_panic() {
    for first in one_of_each().iter().skip(1) {
        for second in one_of_each().iter().skip(1) {
            let mut world = World::sale(3);
            world.start(all());
            world.order.apply(first, world.now);
            world.order.apply(second, world.now);
            let _ = (
                world.order.owed(),
                world.order.timers(),
                crate::status::amounts(&world.order),
            );
        }
    }
}
