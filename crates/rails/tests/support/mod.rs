//! What the tests of rails share: a task to start from, and turns as text.
#![allow(dead_code, reason = "each test target uses a part of it")]

pub(crate) mod spec;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use florin_core::id::{Key, OrderId};
use florin_core::money::Money;
use florin_core::order::{StepKind, StepName};
use florin_core::rail::{
    About, Account, Action, Body, Check, Exchange, Happened, Instrument, Memo, Method, Next, Opened, Outcome, Part,
    Payer, Rail, Repeat, Report, Step, Task, Turn, Urls, Why,
};
use florin_core::time::Timestamp;
use serde_json::Value;

/// 2026-11-20T12:00:00Z, when every case begins.
pub(crate) const NOW_S: i64 = 1_795_176_000;

/// The order of every case: made a minute before.
pub(crate) fn order() -> OrderId {
    let ms = u128::try_from((NOW_S - 60) * 1000).unwrap();
    OrderId::from_uuid(uuid(
        ms << 80 | 0x7 << 76 | 0xabc << 64 | 0b10 << 62 | 0x0123_4567_89ab_cdef,
    ))
}

fn uuid(bits: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(bits)
}

/// The first of its kind in attempt 1.
pub(crate) fn step_name(step: Step) -> StepName {
    let kind = match step {
        Step::Sale | Step::Authorize | Step::Verify | Step::Payout => StepKind::Authorize,
        Step::Capture => StepKind::Capture,
        Step::Increment => StepKind::Increment,
        Step::Void => StepKind::Void,
        Step::Cancel => StepKind::Cancel,
        Step::Reverse => StepKind::Reverse,
        Step::Refund => StepKind::Refund,
    };
    StepName::new(1, kind, 0)
}

pub(crate) const STEPS: [Step; 10] = [
    Step::Sale,
    Step::Authorize,
    Step::Verify,
    Step::Capture,
    Step::Increment,
    Step::Void,
    Step::Cancel,
    Step::Reverse,
    Step::Refund,
    Step::Payout,
];

/// Where a rail is spoken to in tests.
pub(crate) fn base(rail: &dyn Rail) -> &'static str {
    if rail.table().hosts.contains(&"api.stripe.com") {
        "https://api.stripe.com"
    } else {
        "http://127.0.0.1:4004"
    }
}

/// An ordinary task: EUR 10.99, with what the rail can pay with.
pub(crate) fn task(rail: &dyn Rail, step: Step) -> Task {
    Task {
        step,
        key: Key::new(order(), step_name(step)),
        money: Money::new(1099, "EUR".parse().unwrap()),
        instrument: Instrument::Stored("card_visa".into()),
        payer: Payer {
            description: Some("Tea".into()),
            ..Payer::default()
        },
        urls: Urls {
            back: "https://florin.example/back/b1a2c3".into(),
            cancel: "https://florin.example/left/b1a2c3".into(),
        },
        account: Account {
            connection: "con_1".into(),
            base: base(rail).into(),
            settings: [("challenge_base".to_owned(), "http://127.0.0.1:4003".to_owned())].into(),
        },
        memo: Memo::new(),
        now: Timestamp::from_millis(NOW_S * 1000),
        until: None,
    }
}

/// Adds to a memo what a turn learned.
pub(crate) fn learn(memo: &mut Memo, turn: &Turn) {
    memo.extend(turn.learn.iter().map(|(name, value)| (name.to_string(), value.clone())));
}

/// A turn as people read it in a golden file.
pub(crate) fn show(turn: &Turn) -> String {
    let mut text = String::new();
    for (name, value) in &turn.learn {
        let _ = writeln!(text, "learn {name} = {value}");
    }
    match &turn.next {
        Next::Send(exchange) => text.push_str(&show_exchange(exchange)),
        Next::Unclear => text.push_str("unclear\n"),
        Next::Again { after_s } => {
            let _ = writeln!(text, "again after {after_s} s");
        }
        Next::Wait(wait) => {
            let why = match &wait.why {
                Why::Payer(Action::Redirect { url }) => format!("payer, redirect to {url}"),
                Why::Provider => "provider".to_owned(),
                Why::Unknown => "nobody knows".to_owned(),
            };
            let first: Vec<_> = wait.poll.iter().take(4).collect();
            let _ = writeln!(
                text,
                "wait {} ({why}) until {} s, ask at {first:?} …",
                wait.name, wait.until_s
            );
        }
        Next::Done(report) => text.push_str(&show_report(report)),
        Next::Stuck(why) => {
            let _ = writeln!(text, "stuck: {why}");
        }
    }
    text
}

fn show_exchange(exchange: &Exchange) -> String {
    let method = match exchange.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let mut text = format!("send {} {method} {}\n", exchange.name, exchange.url);
    for (name, parts) in &exchange.headers {
        let _ = writeln!(text, "  {name}: {}", show_parts(parts));
    }
    match &exchange.body {
        Body::None => {}
        Body::Form(fields) => {
            for (name, value) in fields {
                let _ = writeln!(text, "  {name}={value}");
            }
        }
        Body::Json(value) => {
            let _ = writeln!(text, "  {value}");
        }
    }
    let repeat = match exchange.repeat {
        Repeat::Never => "never".to_owned(),
        Repeat::Same { every_s, for_s } => format!("same every {every_s} s for {for_s} s"),
    };
    let _ = writeln!(
        text,
        "  repeat {repeat}{}",
        if exchange.asks { ", only asks" } else { "" }
    );
    text
}

fn show_parts(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.to_string(),
            Part::Secret(name) => format!("{{secret {name}}}"),
            Part::Received => "{received}".to_owned(),
            Part::Header(name) => format!("{{header {name}}}"),
            Part::HmacSha256Hex(key, over) => format!("{{hmac-sha256 {} over {}}}", show_parts(key), show_parts(over)),
        })
        .collect()
}

fn show_report(report: &Report) -> String {
    let outcome = match &report.outcome {
        Outcome::Held { until: None } => "held".to_owned(),
        Outcome::Held { until: Some(until) } => format!("held until {}", until.seconds()),
        Outcome::Moved => "moved".to_owned(),
        Outcome::Released => "released".to_owned(),
        Outcome::Declined(no) => format!("declined {} ({:?}) `{}`", no.code.word(), no.class, no.raw),
        Outcome::Returned(why) => format!("returned `{why}`"),
    };
    let money = report.money.map(|money| format!(", {money}")).unwrap_or_default();
    let mut text = format!("done {outcome}{money}\n");
    if let Some(fee) = &report.fee {
        let _ = writeln!(text, "  fee {} {}", fee.id, fee.money);
    }
    for Happened { id, what, money } in &report.also {
        let _ = writeln!(text, "  also {what:?} {id} {money}");
    }
    text
}

/// What a notice is worth, as people read it.
pub(crate) fn show_opened(opened: &Opened) -> String {
    let mut text = String::new();
    for check in &opened.checks {
        match check {
            Check::Equal { formula, one_of } => {
                let _ = writeln!(
                    text,
                    "check {} is one of {one_of:?}",
                    show_parts(std::slice::from_ref(formula))
                );
            }
            Check::Fresh { at, within_s } => {
                let _ = writeln!(text, "check {} is within {within_s} s of now", at.seconds());
            }
        }
    }
    if opened.checks.is_empty() {
        text.push_str("refused: nothing proves it\n");
    }
    for item in &opened.items {
        let about = match &item.about {
            About::Key(key) => format!("step {}", key.step()),
            About::Ref(kind, id) => format!("{kind} {id}"),
            About::Nobody => "nobody".to_owned(),
        };
        let _ = writeln!(text, "item {} {} about {about} {:?}", item.id, item.kind, item.facts);
    }
    text
}

/// The published sample objects in a rail's folder, if it has any.
pub(crate) fn samples(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("samples.json")).unwrap_or_else(|_| "{}".into());
    serde_json::from_str(&text).expect("samples.json is JSON")
}

/// A body of a case: `{"$": "payment_intent", …}` is that sample with these fields changed, `$KEY` and `$ATTEMPT` are our names.
pub(crate) fn body(text: &str, samples: &Value, key: Key) -> Value {
    let attempt = Key::new(order(), StepName::authorize(1));
    let text = text
        .replace("$KEY", &key.to_string())
        .replace("$ATTEMPT", &attempt.to_string());
    expand(
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}")),
        samples,
    )
}

fn expand(value: Value, samples: &Value) -> Value {
    match value {
        Value::Object(mut fields) => {
            let mut whole = match fields.remove("$") {
                Some(name) => samples[name.as_str().expect("a sample's name")].clone(),
                None => Value::Object(serde_json::Map::new()),
            };
            for (name, value) in fields {
                whole[name] = expand(value, samples);
            }
            whole
        }
        Value::Array(list) => Value::Array(list.into_iter().map(|value| expand(value, samples)).collect()),
        other => other,
    }
}

/// The folder of a rail's fixtures, in the checkout that is being tested.
pub(crate) fn fixtures(rail: &str) -> PathBuf {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo and nextest say where the crate lies");
    Path::new(&here).join("fixtures").join(rail)
}

/// Every body that a provider gives in the cases of a rail.
pub(crate) fn bodies(rail: &dyn Rail, key: Key) -> Vec<Value> {
    let folder = fixtures(rail.table().name);
    let samples = samples(&folder);
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("every rail has cases") {
        let case = std::fs::read_to_string(entry.expect("a folder that can be read").path().join("case.txt"));
        for line in case.unwrap_or_default().lines() {
            let mut words = line.splitn(3, ' ');
            if let (Some("reply" | "again"), Some(_), Some(json)) = (words.next(), words.next(), words.next())
                && json.starts_with('{')
            {
                bodies.push(body(json, &samples, key));
            }
        }
    }
    bodies
}
