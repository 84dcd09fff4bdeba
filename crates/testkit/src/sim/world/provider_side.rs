//! The provider's side: its webhooks, its payers and the people at its console.

use std::collections::BTreeMap;

use florin_core::id::OrderId;
use florin_core::order::Phase;
use florin_core::rail::Notice;
use florin_core::time::Timestamp;
use florin_services::lane::{Job, Token};
use florin_store::{NoticeId, NoticeRow};

use super::{Happening, TELL_SOON_MS, World};
use crate::sim::node::{Caller, Telling};

impl World {
    pub(super) fn provider_now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms)
    }

    pub(super) fn deliver_webhooks(&mut self) {
        if self.silent {
            return; // it keeps them until it speaks again
        }
        for event in self.provider.take_events() {
            if !self.healed && self.dice.permille(self.swarm.lose_webhook) {
                self.count("webhooks that were lost");
                // What no step of ours asks about can only be heard: that one is sent until it is acknowledged.
                if nobody_asks(&event) {
                    let after = self.dice.between(20_000, 900_000);
                    self.soon(after, Happening::Webhook(event));
                }
                continue;
            }
            if !self.healed && self.dice.permille(self.swarm.double_webhook) {
                self.send_webhook(event.clone());
            }
            self.send_webhook(event);
        }
    }

    pub(super) fn send_webhook(&mut self, event: serde_json::Value) {
        let after = self.dice.between(20, 20_000);
        self.soon(after, Happening::Webhook(event));
    }

    pub(super) fn webhook(&mut self, event: serde_json::Value) {
        let at = usize::try_from(self.dice.below(2)).unwrap_or(0);
        if !self.nodes[at].alive || self.asleep(at).is_some() {
            return self.send_webhook(event);
        }
        let notice = Notice {
            headers: BTreeMap::new(),
            body: event.to_string().into_bytes(),
        };
        let now = self.nodes[at].now(self.now_ms);
        let rows: Vec<NoticeRow> = (self.rail.open(&notice).items.into_iter())
            .map(|item| NoticeRow {
                id: NoticeId {
                    connection: self.road.connection.id,
                    id: item.id.clone(),
                },
                tenant: self.tenant,
                item: serde_json::to_string(&item).unwrap_or_default(),
                received_at: now,
                due: now,
            })
            .collect();
        self.count("webhooks");
        let node = &mut self.nodes[at];
        node.tokens += 1;
        let token = Token(node.tokens);
        node.callers.insert(token, Caller::Webhook(event));
        for row in &rows {
            let telling = Telling {
                until: 0,
                gap_ms: TELL_SOON_MS,
            };
            node.told.entry(row.id.clone()).or_insert(telling);
        }
        node.lane.push(Job::Notices { token, rows });
        self.wake(at);
    }

    pub(super) fn payer(&mut self, order: OrderId) {
        if !self.healed && self.dice.permille(self.swarm.payer_leaves) {
            return;
        }
        let Some(view) = self.view(order) else { return };
        let Some(attempt) = view.order.running() else { return };
        let Some(memo) = view.memos.get(&attempt.number) else {
            return;
        };
        let now = self.provider_now();
        if let Some(session) = memo.get("session").cloned() {
            let card = if self.dice.permille(200) {
                "card_visa_chargeDeclined"
            } else {
                "card_visa"
            };
            let paid = self.provider.pay(&session, card, now);
            self.tell(|| format!("the payer of {order} pays on the page with {card}: {paid}"));
            if !paid {
                let after = self.dice.between(1_000, 60_000);
                self.soon(after, Happening::Payer(order));
            }
        } else if let Some(intent) = memo.get("payment_intent").cloned() {
            let passes = !self.dice.permille(200);
            self.provider.challenge(&intent, passes, now);
            self.tell(|| format!("the payer of {order} passes the challenge: {passes}"));
        }
        self.one_attempt_at_a_time();
        self.deliver_webhooks();
    }

    pub(super) fn console(&mut self) {
        if self.healed {
            return;
        }
        let now = self.provider_now();
        let intents: Vec<String> = self.provider.intents().into_iter().map(|(id, _)| id).collect();
        if let Some(intent) = self.dice.pick(&intents).cloned()
            && self.dice.permille(self.swarm.console)
        {
            if self.dice.permille(200) {
                let amount = self.dice.between(1, 2_000);
                if self.provider.console_capture(&intent, amount, now) {
                    self.count("captures at the console");
                    self.tell(|| format!("somebody captures {amount} of {intent} at the console"));
                }
            } else if self.dice.permille(500) {
                let amount = self.dice.between(1, 2_000);
                let done = self.provider.console_refund(&intent, amount, now);
                self.tell(|| format!("somebody refunds {amount} of {intent} at the console: {done}"));
            } else if let Some(dispute) = self.provider.dispute(&intent, now) {
                self.count("disputes");
                let won = self.dice.permille(500);
                self.tell(|| format!("{intent} is disputed, and that ends well: {won}"));
                if self.dice.permille(700) {
                    self.provider.close_dispute(&dispute, won, now);
                }
            }
            self.deliver_webhooks();
        }
        if self.dice.permille(self.swarm.console) && self.dice.permille(300) {
            self.console_refund_fails(now);
        }
        let after = self.dice.between(5_000, 120_000);
        self.soon(after, Happening::Console);
    }

    /// A refund of what paid an order, made at the console, fails. That of a stray would be a case for a person: its reversal is over.
    pub(super) fn console_refund_fails(&mut self, now: Timestamp) {
        let mut refunds = self.provider.console_refunds();
        refunds.retain(|(_, key)| {
            let view = self.view(key.order());
            view.is_some_and(|view| {
                let winner = view.order.winner().map(|winner| winner.number);
                winner == Some(key.step().attempt) && matches!(view.order.phase, Phase::Captured(_))
            })
        });
        if let Some((refund, _)) = self.dice.pick(&refunds).cloned() {
            self.count("console refunds that failed later");
            self.tell(|| format!("{refund}, made at the console, fails after all"));
            self.provider.refund_fails(&refund, now);
            self.deliver_webhooks();
        }
    }
}

/// Whether an event is about something that somebody else did: refunds at the console, disputes.
fn nobody_asks(event: &serde_json::Value) -> bool {
    let object = &event["data"]["object"];
    match object["object"].as_str() {
        Some("dispute") => true,
        Some("refund") => object["metadata"]["florin_key"].is_null(),
        Some(_) | None => false,
    }
}
