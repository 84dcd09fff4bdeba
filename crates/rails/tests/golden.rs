//! Every branch of every rail as text: `fixtures/<rail>/<case>/case.txt` in, `golden.txt` out.
//!
//! A case is a conversation. The runner plays the worker: it keeps the memo, and says where the step stands.
//!
//! | line | meaning |
//! | --- | --- |
//! | `# …` | words for people |
//! | `step sale`, `step refund 1` | begin a step (the second of its kind); a sale or a hold begins an attempt, so nothing is known yet |
//! | `set money EUR 1099`, `set hosted`, `set stored card_visa`, `set until +3600`, `set line 2 EUR 500 Cup`, … | change the task |
//! | `memo payment_intent pi_1` | something was learned before |
//! | `start` | the first move |
//! | `reply 200 {…}`, `again 402 {…}`, `reply 429 retry-after=7`, `reply 200 date=Fri,_20_Nov_2026_12:00:00_GMT {…}` | an answer; `again`: an earlier copy may have arrived |
//! | `silence`, `unsent` | none |
//! | `back a=b`, `told {…}`, `tick`, `over` | something happened in a wait; `in finished` goes to a wait, `out intent` to an exchange |
//! | `notice <header> {…}` | a webhook, with the header that it is signed in |
//!
//! In bodies `{"$": "payment_intent", …}` is the published sample with these fields changed, and `$KEY`, `$ATTEMPT` are our names.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use florin_core::id::Key;
use florin_core::money::Money;
use florin_core::order::{StepKind, StepName};
use florin_core::rail::{
    Body, Event, Exchange, Heard, Instrument, Item, Line, Next, Notice, Rail, Reply, Step, Task, Turn,
};
use serde_json::Value;

#[test]
fn every_case_gives_its_golden_file() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for rail in florin_rails::ALL {
        let folder = support::fixtures(rail.table().name);
        let mut names: Vec<_> = std::fs::read_dir(&folder)
            .expect("every rail has a folder of cases")
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect();
        names.sort();
        assert!(!names.is_empty(), "{} has no cases", rail.table().name);
        for path in names {
            let case = std::fs::read_to_string(path.join("case.txt")).expect("a case has a case.txt");
            let out = Conversation::new(*rail, &folder).play(&case);
            let golden = path.join("golden.txt");
            cases += 1;
            if update {
                std::fs::write(&golden, out).unwrap();
            } else if std::fs::read_to_string(&golden).unwrap_or_default() != out {
                wrong.push(format!("--- {}\n{out}", path.display()));
            }
        }
    }
    println!("{cases} cases");
    assert!(
        wrong.is_empty(),
        "these cases say something else than their golden.txt; read each, then UPDATE_GOLDEN=1:\n{}",
        wrong.join("\n")
    );
}

/// Where `FLORIN_SPECS` is not set nothing is compared, and the test says so.
#[test]
fn every_request_to_stripe_is_one_that_its_own_description_knows() {
    let Some(spec) = support::spec::Spec::load() else {
        println!("skipped: FLORIN_SPECS is not set, so no request was held against Stripe's description");
        return;
    };
    let rail = florin_rails::by_name("stripe").unwrap();
    let folder = support::fixtures("stripe");
    let mut wrong = Vec::new();
    let mut requests = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let Ok(case) = std::fs::read_to_string(entry.unwrap().path().join("case.txt")) else {
            continue;
        };
        let mut conversation = Conversation::new(rail, &folder);
        conversation.play(&case);
        requests += conversation.sent.len();
        wrong.extend(conversation.sent.iter().flat_map(|exchange| spec.check(exchange)));
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(requests > 150, "{requests}");
    // The check itself: what Stripe does not know is found.
    let mut conversation = Conversation::new(rail, &folder);
    conversation.play("step sale\nstart\n");
    let mut odd = conversation.sent.remove(0);
    if let Body::Form(fields) = &mut odd.body {
        fields.push(("metadata[x][y]".into(), "1".into()));
        fields.push(("colour".into(), "red".into()));
        fields.push(("confirm".into(), "perhaps".into()));
    }
    assert_eq!(spec.check(&odd).len(), 3);
    odd.url.push_str("/somewhere/else");
    assert_eq!(spec.check(&odd).len(), 1);
    println!("{requests} requests");
}

#[test]
fn the_cases_reach_every_exchange_and_every_wait_of_every_table() {
    for rail in florin_rails::ALL {
        let table = rail.table();
        let folder = support::fixtures(table.name);
        let all: String = walk(&folder).concat();
        for exchange in table.exchanges {
            assert!(
                all.contains(&format!("send {exchange} ")),
                "no case of {} sends {exchange}",
                table.name
            );
        }
        for wait in table.waits {
            // Two waits are reached without being waited for.
            let reached = match *wait {
                "stuck" => all.contains("stuck: "),
                "finished" => all.contains("send look_finished "),
                wait => all.contains(&format!("wait {wait} ")),
            };
            assert!(reached, "no case of {} is in {wait}", table.name);
        }
    }
}

fn walk(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("golden.txt"));
    entries.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

struct Conversation {
    rail: &'static dyn Rail,
    samples: Value,
    task: Task,
    place: Place,
    sent: Vec<Exchange>,
    out: String,
}

enum Place {
    Nowhere,
    Exchange(String),
    Wait(String),
}

impl Conversation {
    fn new(rail: &'static dyn Rail, folder: &Path) -> Self {
        Self {
            rail,
            samples: support::samples(folder),
            task: support::task(rail, Step::Sale),
            place: Place::Nowhere,
            sent: Vec::new(),
            out: String::new(),
        }
    }

    fn play(&mut self, case: &str) -> String {
        for line in case.lines() {
            let _ = writeln!(self.out, "{line}");
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "" | "#" => {}
                "step" => self.step(rest),
                "set" => self.set(rest),
                "memo" => {
                    let (name, value) = rest.rsplit_once(' ').expect("memo NAME VALUE");
                    self.task.memo.insert(name.to_owned(), value.to_owned());
                }
                "in" => self.place = Place::Wait(rest.to_owned()),
                "out" => self.place = Place::Exchange(rest.to_owned()),
                "start" => match self.rail.start(&self.task) {
                    Ok(turn) => self.turn(&turn),
                    Err(no) => {
                        let _ = writeln!(self.out, "    {no}");
                    }
                },
                "silence" => self.read(Heard::Silence),
                "unsent" => self.read(Heard::Unsent),
                "reply" | "again" => {
                    let reply = self.reply(rest, word == "again");
                    self.read(Heard::Reply(&reply));
                }
                "tick" => self.wake(Event::Tick),
                "over" => self.wake(Event::Over),
                "back" => {
                    let params = rest.split_whitespace().filter_map(|pair| pair.split_once('='));
                    let params: BTreeMap<_, _> = params.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
                    self.wake(Event::Back(&params));
                }
                "told" => {
                    let body = self.body(rest).to_string().into_bytes();
                    let opened = self.rail.open(&Notice {
                        headers: BTreeMap::new(),
                        body,
                    });
                    let item: &Item = opened.items.first().expect("a notice with an item");
                    self.wake(Event::Told(item));
                }
                "notice" => {
                    let (header, body) = rest.split_once(' ').expect("notice HEADER BODY");
                    let body = if body.starts_with('{') {
                        self.body(body).to_string()
                    } else {
                        body.to_owned()
                    };
                    let signed_in = format!("{}-signature", self.rail.table().name);
                    let headers = BTreeMap::from([(signed_in, header.replace('-', ""))]);
                    let opened = self.rail.open(&Notice {
                        headers,
                        body: body.into_bytes(),
                    });
                    self.print(&support::show_opened(&opened));
                }
                _ => panic!("no such line: {line}"),
            }
        }
        std::mem::take(&mut self.out)
    }

    fn step(&mut self, text: &str) {
        let (word, index) = text.split_once(' ').unwrap_or((text, "0"));
        let step = support::STEPS
            .into_iter()
            .find(|step| serde_json::to_value(step).unwrap() == word)
            .expect("a step of core::rail::Step");
        let name = support::step_name(step);
        self.task.step = step;
        self.task.key = Key::new(
            support::order(),
            StepName {
                index: index.parse().unwrap(),
                ..name
            },
        );
        self.place = Place::Nowhere;
        if name.kind == StepKind::Authorize {
            self.task.memo.clear();
        }
    }

    fn set(&mut self, text: &str) {
        let words: Vec<&str> = text.splitn(5, ' ').collect();
        let money = |currency: &str, minor: &str| Money::new(minor.parse().unwrap(), currency.parse().unwrap());
        match words[..] {
            ["hosted"] => self.task.instrument = Instrument::Hosted,
            ["stored", name] => self.task.instrument = Instrument::Stored(name.to_owned()),
            ["money", currency, minor] => self.task.money = money(currency, minor),
            ["until", plus] => self.task.until = Some(self.task.now.plus_seconds(plus.parse().unwrap())),
            ["now", plus] => self.task.now = self.task.now.plus_seconds(plus.parse().unwrap()),
            ["customer", id] => self.task.payer.customer = Some(id.to_owned()),
            ["email", address] => self.task.payer.email = Some(address.to_owned()),
            ["back"] => self.task.urls.back.clear(),
            ["back", url] => self.task.urls.back = url.to_owned(),
            ["base", url] => self.task.account.base = url.to_owned(),
            ["no-settings"] => self.task.account.settings.clear(),
            ["line", quantity, currency, minor, name] => self.task.payer.lines.push(Line {
                name: name.to_owned(),
                quantity: quantity.parse().unwrap(),
                unit: money(currency, minor),
            }),
            ["description", ..] => self.task.payer.description = text.split_once(' ').map(|(_, text)| text.to_owned()),
            _ => panic!("no such setting: {text}"),
        }
    }

    fn reply(&self, text: &str, again: bool) -> Reply {
        let (status, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut reply = Reply {
            status: status.parse().unwrap(),
            again,
            ..Reply::default()
        };
        let dated = rest.strip_prefix("date=").and_then(|rest| rest.split_once(' '));
        let rest = dated.map_or(rest, |(date, rest)| {
            reply.headers.insert("date".into(), date.replace('_', " "));
            rest
        });
        if let Some(seconds) = rest.strip_prefix("retry-after=") {
            reply.headers.insert("retry-after".into(), seconds.into());
        } else if rest.starts_with('{') {
            reply.body = self.body(rest).to_string().into_bytes();
        } else {
            reply.body = rest.as_bytes().to_vec();
        }
        reply
    }

    fn body(&self, text: &str) -> Value {
        support::body(text, &self.samples, self.task.key)
    }

    fn read(&mut self, heard: Heard<'_>) {
        let Place::Exchange(name) = &self.place else {
            panic!("no exchange is out at the end of:\n{}", self.out)
        };
        let turn = self.rail.read(&self.task, name, heard);
        self.turn(&turn);
    }

    fn wake(&mut self, event: Event<'_>) {
        let Place::Wait(name) = &self.place else {
            panic!("the step does not wait at the end of:\n{}", self.out)
        };
        let turn = self.rail.wake(&self.task, name, event);
        self.turn(&turn);
    }

    fn turn(&mut self, turn: &Turn) {
        self.print(&support::show(turn));
        support::learn(&mut self.task.memo, turn);
        match &turn.next {
            Next::Send(exchange) => {
                self.place = Place::Exchange(exchange.name.to_string());
                self.sent.push(exchange.clone());
            }
            Next::Wait(wait) => self.place = Place::Wait(wait.name.to_string()),
            Next::Stuck(_) => self.place = Place::Wait("stuck".into()),
            Next::Done(_) => self.place = Place::Wait("finished".into()),
            Next::Unclear | Next::Again { .. } => {}
        }
    }

    fn print(&mut self, text: &str) {
        for line in text.lines() {
            let _ = writeln!(self.out, "    {line}");
        }
    }
}
