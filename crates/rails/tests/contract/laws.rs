//! The laws that hold of single turns. The sweep has the others; law 6 has nobody to hold it yet: no rail here sends what it may not
//! repeat.

use std::collections::BTreeMap;

use florin_core::decline::{Decline, Retry};
use florin_core::id::Key;
use florin_core::money::{Currency, Money};
use florin_core::rail::{
    About, Body, Event, Exchange, Heard, Instrument, Item, Memo, Next, Outcome, Part, Rail, Reply, Step, Task, Turn,
    Unfit,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::worker::check;
use crate::support;

/// Exchanges before which, and in which, no money can move: the payer has not seen anything yet.
const BEFORE_MONEY: &[&str] = &["session"];

/// A memo in which everything is known.
fn full_memo(step: Step) -> Memo {
    let own = support::step_name(step).to_string();
    let names = [
        ("session", "cs_test_1"),
        ("payment_intent", "pi_1"),
        ("authorization", "iss_000001"),
        ("started", "1795176000"),
        ("decides", "authorize"),
        ("page", "https://checkout.stripe.com/c/pay/cs_test_1"),
        ("challenge", "https://hooks.stripe.com/3ds/1"),
    ];
    let mut memo: Memo = names
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    for (name, value) in [
        ("at", "page"),
        ("lasts", "600"),
        ("three_ds", "none"),
        ("refused", "charge_disputed"),
    ] {
        memo.insert(format!("{name} {own}"), value.to_owned());
    }
    memo
}

fn known(rail: &dyn Rail, step: Step) -> Task {
    Task {
        memo: full_memo(step),
        ..support::task(rail, step)
    }
}

/// Every first message of a rail: by step and by how the payer pays.
fn firsts(rail: &'static dyn Rail) -> Vec<(Task, Exchange, Turn)> {
    let mut all = Vec::new();
    for can in rail.table().steps {
        for instrument in [Instrument::Hosted, Instrument::Stored("card_visa".into())] {
            let mut task = Task {
                instrument,
                ..known(rail, can.step)
            };
            if matches!(can.step, Step::Sale | Step::Authorize) {
                task.memo = Memo::new();
            }
            let Ok(turn) = rail.start(&task) else { continue };
            let Next::Send(exchange) = turn.next.clone() else {
                panic!("a first move sends")
            };
            support::learn(&mut task.memo, &turn);
            all.push((task, exchange, turn));
        }
    }
    all
}

fn is_declined(turn: &Turn) -> bool {
    matches!(&turn.next, Next::Done(report) if matches!(report.outcome, Outcome::Declined(_)))
}

#[test]
fn law_2_a_step_outside_the_table_is_refused_before_any_traffic_and_one_inside_it_begins() {
    for rail in florin_rails::ALL {
        for step in support::STEPS {
            let begins = rail.start(&known(*rail, step));
            assert_eq!(
                begins.is_ok(),
                rail.table().can(step).is_some(),
                "{} {step:?}: {begins:?}",
                rail.table().name
            );
            if let Err(no) = begins {
                assert!(!no.why.is_empty() && no.rail == rail.table().name);
            }
        }
    }
}

#[test]
fn an_amount_that_a_rail_cannot_write_is_said_to_be_what_is_in_the_way() {
    for rail in florin_rails::ALL {
        let mut nothing = known(*rail, Step::Sale);
        nothing.money = nothing.money.with_minor(0);
        let no = rail.start(&nothing).expect_err(rail.table().name);
        assert_eq!(no.of, Unfit::Amount, "{no}");
    }
    let stripe = florin_rails::ALL.iter().find(|rail| rail.table().name == "stripe");
    let stripe = *stripe.expect("Stripe");
    for step in [Step::Sale, Step::Authorize, Step::Capture, Step::Refund] {
        let mut odd = known(stripe, step);
        odd.money = Money::new(1234, "KWD".parse().unwrap());
        for instrument in [odd.instrument.clone(), Instrument::Hosted] {
            odd.instrument = instrument;
            let no = stripe.start(&odd).expect_err("no such amount");
            assert_eq!(no.of, Unfit::Amount, "{step:?}: {no}");
            assert!(no.why.contains("KWD 1.234"), "{no}");
        }
    }
}

#[test]
fn law_3_every_table_is_complete() {
    for rail in florin_rails::ALL {
        let table = rail.table();
        for wait in ["finished", "stuck"] {
            assert!(table.waits.contains(&wait), "{} has no wait `{wait}`", table.name);
        }
        for (kind, names) in [
            ("exchange", table.exchanges),
            ("wait", table.waits),
            ("secret", table.secrets),
            ("ref", table.refs),
        ] {
            let mut sorted = names.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), names.len(), "{}: a {kind} is there twice", table.name);
        }
        assert!(!table.refs.is_empty() && !table.hosts.is_empty() && table.remembers_s > 0 && table.refund_days > 0);
        for code in table.currencies {
            assert!(code.parse::<Currency>().is_ok(), "{code}");
        }
    }
}

#[test]
fn law_4_silence_failures_and_broken_or_unknown_words_are_no_decline_once_money_can_have_moved() {
    let words = [json!("word_of_2031"), json!(""), json!(null), json!(7), json!({})];
    let mut asked = 0;
    for rail in florin_rails::ALL {
        for (task, exchange, _) in firsts(*rail) {
            if BEFORE_MONEY.contains(&&*exchange.name) {
                continue;
            }
            let not_declined = |what: &str, turn: &Turn| {
                check(*rail, &task, turn);
                assert!(
                    !is_declined(turn),
                    "{} {} {what}: {}",
                    rail.table().name,
                    exchange.name,
                    support::show(turn)
                );
            };
            not_declined("silence", &rail.read(&task, &exchange.name, Heard::Silence));
            let statuses = [100, 101, 204, 300, 302, 307, 399, 405, 408, 409, 418, 425, 429, 451]
                .into_iter()
                .chain((500..600).step_by(9));
            for status in statuses {
                for body in [
                    Value::Null,
                    json!({}),
                    json!({ "error": { "type": "api_error", "code": "x" } }),
                ] {
                    let reply = Reply {
                        status,
                        body: body.to_string().into_bytes(),
                        ..Reply::default()
                    };
                    not_declined(
                        &format!("{status}"),
                        &rail.read(&task, &exchange.name, Heard::Reply(&reply)),
                    );
                    asked += 1;
                }
            }
            for mut body in support::bodies(*rail, task.key) {
                if !body["status"].is_string() || body["object"] == "dispute" {
                    continue;
                }
                let whole = body.to_string();
                for cut in [0, whole.len() / 3, whole.len() - 1] {
                    let reply = Reply {
                        status: 200,
                        body: whole.as_bytes()[..cut].to_vec(),
                        ..Reply::default()
                    };
                    not_declined("cut", &rail.read(&task, &exchange.name, Heard::Reply(&reply)));
                }
                for word in &words {
                    body["status"] = word.clone();
                    let reply = Reply {
                        status: 200,
                        body: body.to_string().into_bytes(),
                        ..Reply::default()
                    };
                    not_declined(
                        "unknown status",
                        &rail.read(&task, &exchange.name, Heard::Reply(&reply)),
                    );
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 3_000, "{asked}");
}

/// The rows of the table that all rails share: source, word.
fn rows(source: &str) -> Vec<&'static str> {
    let table = include_str!("../../../core/data/decline-map.csv");
    table
        .lines()
        .filter_map(|line| line.strip_prefix(source)?.strip_prefix(',')?.split(',').next())
        .collect()
}

#[test]
fn law_4_every_row_of_the_decline_table_is_a_decline_or_unclear_by_its_class() {
    let stripe = |word: &str| {
        let problem = json!({ "type": "card_error", "code": "card_declined", "decline_code": word, "payment_intent": { "id": "pi_1" } });
        Reply {
            status: 402,
            body: json!({ "error": problem }).to_string().into_bytes(),
            ..Reply::default()
        }
    };
    let issuer = |word: &str| {
        let answer = json!({ "id": "iss_1", "status": "declined", "amount": 1099, "currency": "EUR", "captured": 0, "code": word });
        Reply {
            status: 200,
            body: answer.to_string().into_bytes(),
            ..Reply::default()
        }
    };
    for (name, source) in [("stripe", "stripe_decline_code"), ("issuer", "iso8583_de39")] {
        let rail = florin_rails::by_name(name).unwrap();
        let mut unknown = 0;
        for word in rows(source) {
            let mut task = support::task(rail, Step::Sale);
            let turn = rail.start(&task).unwrap();
            support::learn(&mut task.memo, &turn);
            let Next::Send(exchange) = turn.next else {
                panic!("a message")
            };
            let row = Decline::from_table(source, word).unwrap();
            let turn = rail.read(
                &task,
                &exchange.name,
                Heard::Reply(&if name == "stripe" { stripe(word) } else { issuer(word) }),
            );
            match (row.class, &turn.next) {
                (Retry::Unknown, Next::Unclear) => unknown += 1,
                (Retry::Unknown, _) => panic!("{source} {word} is of class unknown, and no decline: {turn:?}"),
                (_, Next::Done(report)) => assert_eq!(report.outcome, Outcome::Declined(row), "{source} {word}"),
                (_, _) => panic!("{source} {word}: {turn:?}"),
            }
        }
        assert!(unknown > 0, "{source} has rows of class unknown");
    }
}

#[test]
fn law_8_a_refusal_of_a_copy_is_no_proof_about_the_first_one() {
    for rail in florin_rails::ALL {
        for (task, exchange, _) in firsts(*rail) {
            if exchange.asks || BEFORE_MONEY.contains(&&*exchange.name) {
                continue;
            }
            let mut replies: Vec<(u16, Value)> = Vec::new();
            for status in [400, 401, 402, 403, 404, 422] {
                let card = json!({ "error": { "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds" } });
                let request = json!({ "error": { "type": "invalid_request_error", "code": "amount_too_small" } });
                replies.extend([
                    (status, card),
                    (status, request),
                    (status, json!({ "error": "misuse" })),
                ]);
            }
            let body =
                json!({ "id": "iss_000001", "status": "declined", "amount": 1099, "currency": "EUR", "code": "05" });
            let step = json!({ "id": "iss_000001", "status": "refused", "moved": 0, "currency": "EUR", "code": "12" });
            replies.extend([(200, body), (200, step)]);
            for (status, body) in replies {
                let reply = Reply {
                    status,
                    body: body.to_string().into_bytes(),
                    again: true,
                    ..Reply::default()
                };
                let turn = rail.read(&task, &exchange.name, Heard::Reply(&reply));
                check(*rail, &task, &turn);
                assert!(
                    !is_declined(&turn),
                    "{} {} {status} {body}: {}",
                    rail.table().name,
                    exchange.name,
                    support::show(&turn)
                );
            }
        }
    }
}

#[test]
fn law_10_what_is_stuck_can_still_be_told_and_asked() {
    for rail in florin_rails::ALL {
        let item = Item {
            id: "evt_1".into(),
            about: About::Nobody,
            kind: "x".into(),
            facts: BTreeMap::new(),
        };
        for can in rail.table().steps {
            let task = known(*rail, can.step);
            for event in [Event::Tick, Event::Told(&item)] {
                let turn = rail.wake(&task, "stuck", event);
                assert!(
                    matches!(&turn.next, Next::Send(exchange) if exchange.asks),
                    "{} {:?}",
                    rail.table().name,
                    can.step
                );
            }
        }
    }
}

#[test]
fn a_notice_or_a_payer_who_returns_only_makes_a_rail_look() {
    let params = BTreeMap::from([
        ("redirect_status".to_owned(), "succeeded".to_owned()),
        ("paid".to_owned(), "1".to_owned()),
    ]);
    for rail in florin_rails::ALL {
        let item = Item {
            id: "evt_1".into(),
            about: About::Nobody,
            kind: "payment.succeeded".into(),
            facts: BTreeMap::new(),
        };
        for can in rail.table().steps {
            for wait in rail.table().waits {
                for event in [Event::Told(&item), Event::Back(&params)] {
                    let turn = rail.wake(&known(*rail, can.step), wait, event);
                    let looks = match &turn.next {
                        Next::Send(exchange) => exchange.asks,
                        Next::Wait(same) => same.name == *wait,
                        Next::Unclear | Next::Again { .. } | Next::Done(_) | Next::Stuck(_) => false,
                    };
                    // A step of the issuer's that is no payment is in no challenge; what it says there does not matter.
                    let nonsense = *wait == "challenge" && !matches!(can.step, Step::Sale | Step::Authorize);
                    assert!(
                        looks || nonsense,
                        "{} {wait} {event:?}: {}",
                        rail.table().name,
                        support::show(&turn)
                    );
                }
            }
        }
    }
}

#[test]
fn law_12_text_from_outside_stays_text() {
    for text in [
        "{{pan}}",
        "O\"Neil",
        "{secret api_key}",
        "a\nb: c",
        "</script>",
        "\u{202e}x",
        "x&amount=1",
    ] {
        for rail in florin_rails::ALL {
            for instrument in [Instrument::Hosted, Instrument::Stored("card_visa".into())] {
                let mut task = Task {
                    instrument,
                    ..support::task(*rail, Step::Sale)
                };
                task.payer.description = Some(text.into());
                let Ok(turn) = rail.start(&task) else { continue };
                let Next::Send(exchange) = &turn.next else {
                    panic!("a message")
                };
                let said = match &exchange.body {
                    Body::Form(fields) => {
                        fields
                            .iter()
                            .any(|(name, value)| name.ends_with("description]") && value == text)
                            || fields
                                .iter()
                                .any(|(name, value)| name == "description" && value == text)
                    }
                    Body::Json(body) => body["description"] == text,
                    Body::None => false,
                };
                assert!(said, "{} does not say {text:?} as it is", rail.table().name);
                assert!(!exchange.url.contains(text));
                for (_, parts) in &exchange.headers {
                    assert!(
                        parts
                            .iter()
                            .all(|part| !matches!(part, Part::Text(found) if found.contains(text)))
                    );
                }
            }
        }
    }
}

#[test]
fn law_16_money_goes_out_and_comes_back_the_same_in_every_currency() {
    let mut currencies = 0;
    for rail in florin_rails::ALL {
        for currency in Currency::all().filter(|currency| rail.table().takes(*currency)) {
            for minor in [100, 1_000, 123_400] {
                let mut task = support::task(*rail, Step::Sale);
                task.money = Money::new(minor, currency);
                let Ok(turn) = rail.start(&task) else {
                    panic!("{} {}", rail.table().name, task.money)
                };
                support::learn(&mut task.memo, &turn);
                let Next::Send(exchange) = turn.next else {
                    panic!("a message")
                };
                let body = match &exchange.body {
                    Body::Form(fields) => {
                        let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).unwrap().1.clone();
                        let amount: i64 = field("amount").parse().unwrap();
                        json!({ "object": "payment_intent", "id": "pi_1", "status": "succeeded", "amount_received": amount,
                            "currency": field("currency") })
                    }
                    Body::Json(body) => json!({ "id": "iss_1", "status": "approved", "amount": body["amount"],
                        "captured": body["amount"], "currency": body["currency"], "code": "00" }),
                    Body::None => panic!("a body"),
                };
                let reply = Reply {
                    status: 200,
                    body: body.to_string().into_bytes(),
                    ..Reply::default()
                };
                let turn = rail.read(&task, &exchange.name, Heard::Reply(&reply));
                let Next::Done(report) = turn.next else {
                    panic!("{} {currency}: {turn:?}", rail.table().name)
                };
                assert_eq!(report.money, Some(task.money));
            }
            currencies += 1;
        }
    }
    assert!(currencies > 200, "{currencies}");
}

#[test]
fn law_18_what_a_reply_should_not_have_shown_us_is_kept_nowhere() {
    fn stain(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(stain);
                for name in ["client_secret", "number", "cvc", "message"] {
                    fields.insert(name.to_owned(), json!("CANARY"));
                }
            }
            Value::Array(list) => list.iter_mut().for_each(stain),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for rail in florin_rails::ALL {
        for step in [Step::Sale, Step::Capture, Step::Refund, Step::Reverse] {
            let task = known(*rail, step);
            for mut body in support::bodies(*rail, task.key) {
                stain(&mut body);
                if body["metadata"].is_object() {
                    body["metadata"]["card"] = json!("CANARY");
                }
                let body = body.to_string().into_bytes();
                for status in [200, 402] {
                    let reply = Reply {
                        status,
                        body: body.clone(),
                        ..Reply::default()
                    };
                    for exchange in rail.table().exchanges {
                        let turn = rail.read(&task, exchange, Heard::Reply(&reply));
                        let text = support::show(&turn);
                        assert!(!text.contains("CANARY"), "{} {exchange}: {text}", rail.table().name);
                    }
                }
            }
        }
    }
}

// ---- law 1 ----------------------------------------------------------------------------------------------------------------------

/// What a field may turn into.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!([])),
        Just(json!({})),
        any::<i64>().prop_map(|number| json!(number)),
        prop::sample::select(vec![
            "",
            "x",
            "../x",
            "succeeded",
            "canceled",
            "requires_action",
            "requires_capture",
            "processing",
            "open",
            "complete",
            "expired",
            "paid",
            "failed",
            "pending",
            "approved",
            "declined",
            "challenge",
            "done",
            "refused",
            "EUR",
            "eur",
            "isk",
            "pi_1",
            "list",
        ])
        .prop_map(|word| json!(word)),
        prop::collection::vec(any::<char>(), 0..12).prop_map(|word| json!(word.into_iter().collect::<String>())),
    ]
}

/// Changes the `at`-th field of all, wherever it is.
fn spoil(value: &mut Value, at: &mut usize, with: &Value) {
    match value {
        Value::Object(fields) => {
            for field in fields.values_mut() {
                spoil_one(field, at, with);
            }
        }
        Value::Array(list) => {
            for item in list {
                spoil_one(item, at, with);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn spoil_one(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    spoil(value, at, with);
}

#[derive(Clone, Debug)]
struct Strange {
    rail: usize,
    step: usize,
    place: usize,
    heard: u8,
    status: u16,
    again: bool,
    body: usize,
    spoils: Vec<(usize, Value)>,
    noise: Vec<u8>,
    holes: Vec<usize>,
    memo: Vec<(usize, String)>,
    minor: i64,
}

fn strange() -> impl Strategy<Value = Strange> {
    let status = prop_oneof![Just(200_u16), Just(402), Just(400), 100_u16..600];
    (
        (
            any::<usize>(),
            any::<usize>(),
            any::<usize>(),
            any::<u8>(),
            status,
            any::<bool>(),
        ),
        (
            any::<usize>(),
            prop::collection::vec((0_usize..60, odd()), 0..4),
            prop::collection::vec(any::<u8>(), 0..40),
        ),
        (
            prop::collection::vec(0_usize..16, 0..6),
            prop::collection::vec(
                (
                    0_usize..16,
                    prop::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter),
                ),
                0..3,
            ),
            prop_oneof![Just(1099_i64), any::<i64>()],
        ),
    )
        .prop_map(
            |((rail, step, place, heard, status, again), (body, spoils, noise), (holes, memo, minor))| Strange {
                rail,
                step,
                place,
                heard,
                status,
                again,
                body,
                spoils,
                noise,
                holes,
                memo,
                minor,
            },
        )
}

impl Strange {
    fn task(&self, rail: &dyn Rail) -> Task {
        let step = support::STEPS[self.step % support::STEPS.len()];
        let mut task = known(rail, step);
        let names: Vec<String> = task.memo.keys().cloned().collect();
        for hole in &self.holes {
            task.memo.remove(&names[hole % names.len()]);
        }
        for (at, value) in &self.memo {
            task.memo.insert(names[at % names.len()].clone(), value.clone());
        }
        task.money = Money::new(self.minor, Currency::EUR);
        task
    }

    /// What the rail says, from the same things every time.
    fn turn(&self, rail: &dyn Rail, task: &Task, bodies: &[Value]) -> Turn {
        let table = rail.table();
        let mut body = bodies[self.body % bodies.len()].clone();
        for (at, with) in &self.spoils {
            spoil(&mut body, &mut at.clone(), with);
        }
        let bytes = if self.heard % 7 == 6 {
            self.noise.clone()
        } else {
            body.to_string().into_bytes()
        };
        let reply = Reply {
            status: self.status,
            body: bytes,
            again: self.again,
            ..Reply::default()
        };
        let params = BTreeMap::from([("result".to_owned(), String::from_utf8_lossy(&self.noise).into_owned())]);
        let item = Item {
            id: "evt_1".into(),
            about: About::Key(Key::new(support::order(), support::step_name(Step::Sale))),
            kind: "x".into(),
            facts: BTreeMap::from([("object".to_owned(), "dispute".to_owned())]),
        };
        let exchange = table
            .exchanges
            .get(self.place % (table.exchanges.len() + 1))
            .copied()
            .unwrap_or("retired");
        let wait = table
            .waits
            .get(self.place % (table.waits.len() + 1))
            .copied()
            .unwrap_or("retired");
        match self.heard % 12 {
            0..=6 => rail.read(task, exchange, Heard::Reply(&reply)),
            7 => rail.read(task, exchange, if self.again { Heard::Silence } else { Heard::Unsent }),
            8 => rail.wake(task, wait, Event::Back(&params)),
            9 => rail.wake(task, wait, Event::Told(&item)),
            10 => rail.wake(task, wait, Event::Tick),
            _ => rail.wake(task, wait, Event::Over),
        }
    }
}

#[test]
fn law_1_the_same_input_gives_the_same_turn_and_nothing_panics() {
    let bodies: Vec<Vec<Value>> = florin_rails::ALL
        .iter()
        .map(|rail| support::bodies(*rail, Key::new(support::order(), support::step_name(Step::Sale))))
        .collect();
    let cases = if std::env::var_os("FLORIN_FULL").is_some() {
        200_000
    } else {
        6_000
    };
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(strange in strange())| {
        let at = strange.rail % florin_rails::ALL.len();
        let rail = florin_rails::ALL[at];
        let task = strange.task(rail);
        let turn = strange.turn(rail, &task, &bodies[at]);
        prop_assert_eq!(&turn, &strange.turn(rail, &task, &bodies[at]));
        check(rail, &task, &turn);
        prop_assert_eq!(rail.start(&task), rail.start(&task));
        // Silence is never a no, whatever the memo says, once money can have moved.
        for exchange in rail.table().exchanges.iter().filter(|name| !BEFORE_MONEY.contains(name)) {
            let turn = rail.read(&task, exchange, Heard::Silence);
            check(rail, &task, &turn);
            prop_assert!(!is_declined(&turn), "{} {}", exchange, support::show(&turn));
        }
    });
}
