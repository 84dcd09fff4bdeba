//! The network between nodes and the provider.

use std::collections::BTreeMap;

use florin_core::rail::{Body, Exchange, Method, Reply};
use florin_services::egress::EXCHANGE_S_MAX;
use florin_services::lane::Job;
use florin_services::worker::{Carry, Ended, Move};

use super::{Happening, World};
use crate::provider::Asked;
use crate::sim::network::{Instead, Way};

impl World {
    pub(super) fn carry(&mut self, at: usize, number: u64, next: Move) {
        match next {
            Move::Turn(turned) => {
                self.tell(|| {
                    format!(
                        "node {at} heard of {} {}: {:?}",
                        turned.order, turned.step, turned.turn.next
                    )
                });
                self.nodes[at].carries.remove(&number);
                self.nodes[at].lane.push(Job::Turn(turned));
                self.wake(at);
            }
            Move::Send(message) => self.send(at, number, &message),
        }
    }

    pub(super) fn send(&mut self, at: usize, number: u64, message: &Exchange) {
        let life = self.nodes[at].life;
        let now = self.nodes[at].now(self.now_ms);
        let way = if self.silent {
            Way::silence(&mut self.dice)
        } else {
            Way::draw(&mut self.dice, &self.swarm, self.healed, self.outage)
        };
        let Some(order) = self.nodes[at].carries.get(&number).map(Carry::order) else {
            return;
        };
        if !self.nodes[at].breaker.admits(order, now) {
            self.count("messages that never left");
            return self.soon(1, Happening::Held(at, life, number));
        }
        if way.refused {
            self.count("messages that never left");
            return self.soon(1, Happening::Ends(at, life, number, Box::new(Ended::Unsent)));
        }
        self.count("messages");
        let asked = asked(message);
        let limit = i64::try_from(EXCHANGE_S_MAX).unwrap_or(15) * 1_000;
        let back = way.replies.filter(|ms| *ms < limit);
        if let Some(instead) = way.instead {
            self.count("answers without a meaning");
            let ended = Ended::Reply(match instead {
                Instead::Error(status) => nonsense(status, "oops"),
                Instead::Garbage => nonsense(200, "{\"object\":\"payment_in"),
                Instead::NotNow => nonsense(429, "{\"error\":{\"type\":\"rate_limit\"}}"),
            });
            self.soon(
                back.unwrap_or(limit),
                Happening::Ends(at, life, number, Box::new(ended)),
            );
        } else if back.is_none() {
            self.count("answers that were lost");
            self.soon(limit, Happening::Ends(at, life, number, Box::new(Ended::Silence)));
        }
        for (copy, arrives) in way.arrives.iter().enumerate() {
            let answers = (copy == 0 && way.instead.is_none()).then_some(back).flatten();
            let reply_after = answers.map(|back| back - arrives);
            self.soon(
                *arrives,
                Happening::Arrives(at, life, number, Box::new(asked.clone()), reply_after),
            );
        }
    }

    pub(super) fn arrives(&mut self, at: usize, life: u64, carry: u64, asked: &Asked, reply_after: Option<i64>) {
        let now = self.provider_now();
        let said = self.provider.ask(asked, now);
        self.tell(|| {
            format!(
                "the provider hears {} {}: {} {}",
                asked.method, asked.path, said.status, said.body["status"]
            )
        });
        self.one_attempt_at_a_time();
        if let Some(after) = reply_after {
            let reply = Reply {
                status: said.status,
                headers: BTreeMap::new(),
                body: said.body.to_string().into_bytes(),
                again: false,
            };
            self.soon(after, Happening::Ends(at, life, carry, Box::new(Ended::Reply(reply))));
        }
        self.deliver_webhooks();
    }

    pub(super) fn ends(&mut self, at: usize, life: u64, carry: u64, ended: Ended) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Ends(at, life, carry, Box::new(ended)));
        }
        let Some(about) = self.nodes[at].carries.get(&carry).map(Carry::order) else {
            return;
        };
        for order in self.nodes[at].note(about, &ended, self.now_ms) {
            self.count("nudges");
            self.nodes[at].lane.push(Job::Nudge { order, step: None });
        }
        self.heard(at, carry, ended);
    }

    /// A message of this node was held back: its provider does not answer.
    pub(super) fn held(&mut self, at: usize, life: u64, carry: u64) {
        if !self.lives(at, life) {
            return;
        }
        if let Some(ms) = self.asleep(at) {
            return self.soon(ms, Happening::Held(at, life, carry));
        }
        self.heard(at, carry, Ended::Unsent);
    }

    pub(super) fn heard(&mut self, at: usize, carry: u64, ended: Ended) {
        let now = self.nodes[at].now(self.now_ms);
        if let Some(errand) = self.nodes[at].carries.get_mut(&carry) {
            let next = errand.heard(ended, now);
            self.carry(at, carry, next);
        }
    }
}

fn nonsense(status: u16, body: &str) -> Reply {
    Reply {
        status,
        headers: BTreeMap::new(),
        body: body.as_bytes().to_vec(),
        again: false,
    }
}

fn asked(message: &Exchange) -> Asked {
    let text = |parts: &[florin_core::rail::Part]| {
        let words = parts.iter().map(|part| match part {
            florin_core::rail::Part::Text(text) => text.to_string(),
            florin_core::rail::Part::Secret(_)
            | florin_core::rail::Part::Received
            | florin_core::rail::Part::Header(_)
            | florin_core::rail::Part::HmacSha256Hex(..) => String::new(),
        });
        words.collect::<String>()
    };
    let key = message.headers.iter().find(|(name, _)| name == "idempotency-key");
    Asked {
        method: match message.method {
            Method::Get => "GET".into(),
            Method::Post => "POST".into(),
        },
        path: message
            .url
            .strip_prefix("http://provider.test")
            .unwrap_or_default()
            .to_owned(),
        key: key.map(|(_, parts)| text(parts)),
        form: match &message.body {
            Body::Form(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.to_string(), value.to_string()));
                fields.collect()
            }
            Body::None | Body::Json(_) => Vec::new(),
        },
    }
}
