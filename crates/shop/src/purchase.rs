//! The shop's own record of an order: what was bought, and what Florin's webhooks said about it.
//!
//! The goods are packed because of a webhook and nothing else. Webhooks may come twice, late and out of order: each counts once
//! by its id, and the order's `sequence` tells old news from new.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::shapes::Order;
use crate::cart::Line;
use crate::session::Owner;

/// How many webhooks of one order are remembered. More than an order has in its life; the oldest are forgotten first.
const HEARD: usize = 64;

/// One order as the shop knows it. Written before Florin is asked, so that a crash cannot lose it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Purchase {
    /// Opens the order's page; cannot be guessed.
    pub(crate) token: String,
    pub(crate) owner: Owner,
    pub(crate) cart: String,
    /// The shop's own name of the order; Florin keeps it unique.
    pub(crate) reference: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    /// The body of the call that makes the order, kept because a repeat has to be the same to the byte.
    pub(crate) request: String,
    pub(crate) created_at: Timestamp,
    /// Florin's id, once Florin has answered.
    pub(crate) order: Option<String>,
    /// Given up because the buyer changed the cart.
    pub(crate) replaced: bool,
    /// The cart has been emptied for it.
    pub(crate) settled: bool,
    /// The newest that a webhook told.
    pub(crate) news: Option<News>,
    /// What made the shop pack the goods.
    pub(crate) packed: Option<Packed>,
    /// Every webhook about this order, oldest first.
    pub(crate) heard: Vec<Heard>,
}

/// One verified webhook, as far as the shop reads it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct News {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) order: Order,
}

/// The webhook that fulfilled the order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Packed {
    pub(crate) event: String,
    pub(crate) at: Timestamp,
}

/// That a webhook came, and what the shop did about it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Heard {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) verdict: Verdict,
    /// How often the same one came again.
    #[serde(default)]
    pub(crate) repeats: u32,
}

/// What a webhook meant to the shop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// News: the shop's record follows it.
    Applied,
    /// The same webhook again.
    Duplicate,
    /// The shop already knows what came after it.
    Older,
}

impl Purchase {
    /// Takes in a webhook about this order.
    pub(crate) fn hear(&mut self, news: News) -> Verdict {
        if let Some(known) = self.heard.iter_mut().find(|heard| heard.id == news.id) {
            known.repeats = known.repeats.saturating_add(1);
            return Verdict::Duplicate;
        }
        // What came later among the order's events knows more. An equal one is the same event, which was found above.
        let older = self.news.as_ref().is_some_and(|known| known.sequence > news.sequence);
        let verdict = if older { Verdict::Older } else { Verdict::Applied };
        let (id, kind) = (news.id.clone(), news.kind.clone());
        self.heard.push(Heard {
            id,
            kind,
            sequence: news.sequence,
            at: news.at,
            verdict,
            repeats: 0,
        });
        if self.heard.len() > HEARD {
            self.heard.remove(0);
        }
        if verdict == Verdict::Applied {
            if news.order.deliverable && self.packed.is_none() {
                self.packed = Some(Packed {
                    event: news.id.clone(),
                    at: news.at,
                });
            }
            self.order = Some(news.order.id.clone());
            self.news = Some(news);
        }
        verdict
    }

    /// Whether Florin's order is the one that this record asked for.
    pub(crate) fn matches(&self, order: &Order) -> bool {
        order.reference == self.reference && order.amount == self.amount && order.currency == self.currency
    }

    /// The better knowledge of the two: what a webhook said, or what Florin just answered.
    pub(crate) fn newest<'a>(&'a self, asked: Option<&'a Order>) -> Option<&'a Order> {
        let told = self.news.as_ref().map(|news| &news.order);
        match (told, asked) {
            (Some(told), Some(asked)) if asked.version > told.version => Some(asked),
            (Some(told), _) => Some(told),
            (None, asked) => asked,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::api::shapes::{Status, tests::order};

    pub(crate) fn purchase(reference: &str) -> Purchase {
        Purchase {
            token: crate::session::unguessable(),
            owner: Owner::named("a"),
            cart: "cart".into(),
            reference: reference.into(),
            lines: vec![Line {
                slug: "enamel-mug".into(),
                name: "Enamel mug".into(),
                quantity: 1,
                unit_amount: 1650,
            }],
            amount: 1650,
            currency: "EUR".into(),
            request: "{}".into(),
            created_at: Timestamp::UNIX_EPOCH,
            order: None,
            replaced: false,
            settled: false,
            news: None,
            packed: None,
            heard: Vec::new(),
        }
    }

    fn news(id: &str, sequence: u64, status: Status) -> News {
        let mut order = order("G-1", status);
        order.version = sequence;
        order.deliverable = matches!(status, Status::Captured);
        News {
            id: id.into(),
            kind: "order.test".into(),
            sequence,
            at: Timestamp::UNIX_EPOCH,
            order,
        }
    }

    #[test]
    fn a_webhook_that_comes_twice_counts_once() {
        let mut purchase = purchase("G-1");
        assert_eq!(purchase.hear(news("evt_a", 3, Status::Captured)), Verdict::Applied);
        let mut expected = purchase.clone();
        expected.heard[0].repeats = 1;
        assert_eq!(purchase.hear(news("evt_a", 3, Status::Captured)), Verdict::Duplicate);
        assert_eq!(purchase, expected);
    }

    #[test]
    fn older_news_is_remembered_but_changes_nothing() {
        let mut purchase = purchase("G-1");
        purchase.hear(news("evt_c", 3, Status::Captured));
        assert_eq!(purchase.hear(news("evt_b", 2, Status::RequiresAction)), Verdict::Older);
        assert_eq!(
            purchase.news.as_ref().unwrap().order.payment_order_status,
            Status::Captured
        );
        assert_eq!(purchase.packed.as_ref().unwrap().event, "evt_c");
        assert_eq!(purchase.heard.len(), 2);
    }

    #[test]
    fn two_events_of_one_moment_are_both_applied() {
        let mut purchase = purchase("G-1");
        assert_eq!(purchase.hear(news("evt_3", 3, Status::Captured)), Verdict::Applied);
        assert_eq!(purchase.hear(news("evt_3a", 3, Status::Captured)), Verdict::Applied);
    }

    #[test]
    fn any_order_of_arrival_ends_in_the_same_state() {
        let all = [
            ("evt_1", 1, Status::Created),
            ("evt_2", 2, Status::RequiresAction),
            ("evt_3", 3, Status::Captured),
            ("evt_4", 4, Status::Refunded),
        ];
        for first in 0..4 {
            for second in 0..4 {
                let mut purchase = purchase("G-1");
                for i in [first, second, 0, 1, 2, 3] {
                    let (id, sequence, status) = all[i];
                    purchase.hear(news(id, sequence, status));
                }
                assert_eq!(
                    purchase.news.as_ref().unwrap().order.payment_order_status,
                    Status::Refunded
                );
                assert_eq!(purchase.heard.len(), 4);
            }
        }
    }

    #[test]
    fn goods_are_packed_by_a_deliverable_order_and_only_once() {
        let mut purchase = purchase("G-1");
        purchase.hear(news("evt_2", 2, Status::Processing));
        assert_eq!(purchase.packed, None);
        purchase.hear(news("evt_3", 3, Status::Captured));
        purchase.hear(news("evt_3a", 3, Status::Captured));
        assert_eq!(purchase.packed.unwrap().event, "evt_3");
    }

    #[test]
    fn the_answer_of_the_api_counts_only_while_it_is_newer() {
        let mut purchase = purchase("G-1");
        let asked = news("", 2, Status::Processing).order;
        assert_eq!(purchase.newest(Some(&asked)), Some(&asked));
        purchase.hear(news("evt_3", 3, Status::Captured));
        assert_eq!(purchase.newest(Some(&asked)).unwrap().version, 3);
        let later = news("", 4, Status::Refunded).order;
        assert_eq!(purchase.newest(Some(&later)).unwrap().version, 4);
        assert_eq!(purchase.newest(None).unwrap().version, 3);
    }

    #[test]
    fn what_is_remembered_of_one_order_is_bounded() {
        let mut purchase = purchase("G-1");
        for n in 0..200 {
            purchase.hear(news(&format!("evt_{n}"), n, Status::Processing));
        }
        assert_eq!(purchase.heard.len(), HEARD);
        assert_eq!(purchase.hear(news("evt_0", 0, Status::Created)), Verdict::Older);
    }
}
