//! As much of the simulated issuer as its rail uses.

use std::collections::BTreeMap;

use florin_core::rail::Reply;
use serde_json::{Value, json};

use super::world::{Book, Request, World, reply};

#[derive(Default)]
pub(crate) struct Issuer {
    authorizations: Vec<Authorization>,
    answers: BTreeMap<String, (Request, Value)>,
    approvals: u32,
    version: u64,
}

struct Authorization {
    key: String,
    status: &'static str,
    amount: i64,
    captured: i64,
    released: i64,
    refunded: i64,
    code: &'static str,
}

impl Issuer {
    fn authorize(&mut self, request: &Request) -> Value {
        let card = request.json["card"].as_str().unwrap();
        let (status, code) = match (card, request.json["three_ds"].as_str().unwrap()) {
            (_, "failed") => ("declined", "1A"),
            ("card_threeDSecure2Required", "none") => ("challenge", "1A"),
            ("card_visa_chargeDeclined", _) => ("declined", "05"),
            _ => ("approved", "00"),
        };
        let amount = request.json["amount"].as_i64().unwrap();
        let at_once = status == "approved" && request.json["capture"] == true;
        self.approvals += u32::from(status == "approved");
        self.authorizations.push(Authorization {
            key: request.json["key"].as_str().unwrap().to_owned(),
            status,
            amount,
            captured: if at_once { amount } else { 0 },
            released: 0,
            refunded: 0,
            code,
        });
        self.view(self.authorizations.len() - 1)
    }

    fn view(&self, at: usize) -> Value {
        let it = &self.authorizations[at];
        json!({ "id": format!("iss_{at}"), "key": it.key, "status": it.status, "amount": it.amount, "currency": "EUR",
            "captured": it.captured, "released": it.released, "refunded": it.refunded, "refund_pending": 0, "disputed": 0,
            "code": it.code })
    }

    fn operate(&mut self, id: &str, operation: &str, request: &Request) -> Value {
        let at: usize = id.strip_prefix("iss_").unwrap().parse().unwrap();
        let it = &mut self.authorizations[at];
        let held = if it.status == "approved" {
            it.amount - it.captured - it.released
        } else {
            0
        };
        let asked = request.json["amount"].as_i64().unwrap_or(held);
        let moved = match operation {
            "capture" if held > 0 && asked <= held => {
                it.captured += asked;
                it.released += held - asked;
                asked
            }
            "cancel" if held > 0 => {
                it.released += held;
                held
            }
            "refund" if asked <= it.captured - it.refunded => {
                it.refunded += asked;
                asked
            }
            _ => 0,
        };
        let (status, code) = if moved > 0 { ("done", "00") } else { ("refused", "12") };
        json!({ "id": id, "operation": operation, "key": request.json["key"], "status": status, "moved": moved, "currency": "EUR",
            "code": code })
    }
}

impl World for Issuer {
    fn handle(&mut self, request: &Request) -> Reply {
        let parts: Vec<&str> = request.path.split('/').collect();
        if let ["", "by-key", key] = parts[..] {
            let it = self
                .authorizations
                .iter()
                .position(|it| it.key == key)
                .map(|at| self.view(at));
            let known = it.or_else(|| self.answers.get(key).map(|(_, answer)| answer.clone()));
            return known.map_or_else(
                || reply(404, &json!({ "error": "not_found" })),
                |known| reply(200, &known),
            );
        }
        let key = request
            .key
            .clone()
            .expect("a key on every message that changes something");
        if let Some((first, answer)) = self.answers.get(&key) {
            let same = (&first.path, &first.json) == (&request.path, &request.json);
            return if same {
                reply(200, answer)
            } else {
                reply(409, &json!({ "error": "key_reused" }))
            };
        }
        let answer = match parts[..] {
            ["", "authorizations"] => self.authorize(request),
            ["", "authorizations", id, operation] => self.operate(id, operation, request),
            _ => panic!("no such path: {}", request.path),
        };
        self.version += 1;
        self.answers.insert(key, (request.clone(), answer.clone()));
        reply(200, &answer)
    }

    fn refusal(&self) -> Reply {
        reply(400, &json!({ "error": "misuse" }))
    }

    fn payer_acts(&mut self) -> BTreeMap<String, String> {
        BTreeMap::from([("result".to_owned(), "passed".to_owned())])
    }

    fn clock(&mut self, _now: i64) {}

    fn version(&self) -> u64 {
        self.version
    }

    fn book(&self) -> Book {
        let approved = || self.authorizations.iter().filter(|it| it.status == "approved");
        Book {
            approvals: self.approvals,
            held: approved().map(|it| it.amount - it.captured - it.released).sum(),
            captured: approved().map(|it| it.captured).sum(),
            refunded: approved().map(|it| it.refunded).sum(),
            open: false,
        }
    }
}
