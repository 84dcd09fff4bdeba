//! The part of an order's page that a real shop would not show: attempts, events, books and webhooks, each in plain words.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::flow::{Stage, flow};
use super::moment::{Id, Moment};
use crate::Shop;
use crate::api::shapes::{Attempt, Delivery, DeliveryStatus, Event, LedgerEntry, Order};
use crate::money::Money;
use crate::purchase::{Purchase, Verdict};
use crate::scenes::{Part, Scene};
use crate::standing::{Chip, Tone, attempt_chip, delivery_chip};

/// Everything behind the scenes. A part that Florin did not answer is `None`.
pub(super) struct Scenery {
    pub(super) docs: String,
    pub(super) flow: Vec<Stage>,
    pub(super) attempts: Option<Vec<AttemptRow>>,
    pub(super) events: Option<Vec<EventRow>>,
    pub(super) ledger: Option<Books>,
    pub(super) deliveries: Option<Vec<DeliveryRow>>,
    pub(super) get_curl: String,
    pub(super) refund_curl: Option<String>,
    /// A delivery has not arrived yet.
    pub(super) on_its_way: bool,
}

pub(super) struct AttemptRow {
    pub(super) number: usize,
    pub(super) id: Id,
    pub(super) chip: Chip,
    pub(super) when: Moment,
    pub(super) money: Money,
    pub(super) method: String,
    pub(super) rail: String,
    pub(super) provider_reference: Option<Id>,
    /// Its code, and the provider's words.
    pub(super) decline: Option<(String, Option<String>)>,
}

pub(super) struct EventRow {
    pub(super) id: Id,
    pub(super) kind: String,
    pub(super) sentence: &'static str,
    pub(super) sequence: u64,
    pub(super) when: Moment,
    pub(super) tone: Tone,
}

pub(super) struct Books {
    pub(super) entries: Vec<EntryRow>,
    pub(super) totals: Vec<Total>,
}

pub(super) struct EntryRow {
    pub(super) title: String,
    pub(super) phase: String,
    pub(super) when: Moment,
    pub(super) debit: String,
    pub(super) credit: String,
    pub(super) money: Money,
}

pub(super) struct Total {
    pub(super) label: String,
    pub(super) debit: Money,
    pub(super) credit: Money,
}

pub(super) struct DeliveryRow {
    pub(super) kind: String,
    pub(super) event: Id,
    pub(super) to: String,
    pub(super) chip: Chip,
    pub(super) knocks: Vec<String>,
    pub(super) next: Option<Moment>,
    pub(super) when: Option<Moment>,
    /// What the shop did with it.
    pub(super) verdict: Option<String>,
}

impl Scenery {
    pub(super) fn of(shop: &Shop, purchase: &Purchase, id: &str, scene: &Scene, newest: Option<&Order>) -> Self {
        let start = purchase.created_at;
        let ours = shop.endpoint.id();
        let order_url = format!("{}/v1/orders/{id}", shop.api_url);
        let attempts = shown(&scene.attempts, |(i, attempt)| attempt_row(i + 1, attempt, start));
        let deliveries = shown(&scene.deliveries, |(_, delivery)| {
            delivery_row(delivery, purchase, &ours, start)
        });
        let on_its_way = scene
            .deliveries
            .iter()
            .flatten()
            .any(|delivery| delivery.status == DeliveryStatus::Pending);
        Self {
            docs: shop.docs_url.clone(),
            flow: flow(purchase, scene, newest),
            attempts,
            events: shown(&scene.events, |(_, event)| event_row(event, start)),
            ledger: scene.ledger.as_ref().ok().map(|entries| books(entries, start)),
            deliveries,
            get_curl: format!("curl {order_url} \\\n  -H \"Authorization: Bearer $FLORIN_KEY\""),
            refund_curl: newest
                .filter(|order| order.amount_captured > order.amount_refunded)
                .map(|order| {
                    let amount = (order.amount_captured - order.amount_refunded).min(500);
                    format!(
                        "curl -X POST {order_url}/refunds \\\n  -H \"Authorization: Bearer $FLORIN_KEY\" \\\n  \
                     -H \"Idempotency-Key: refund-{}-{}\" \\\n  -H \"Content-Type: application/json\" \\\n  \
                     -d '{{\"amount\":{amount}}}'",
                        purchase.reference, order.version
                    )
                }),
            on_its_way,
        }
    }
}

fn shown<T, R>(part: &Part<T>, row: impl Fn((usize, &T)) -> R) -> Option<Vec<R>> {
    part.as_ref()
        .ok()
        .map(|rows| rows.iter().enumerate().map(row).collect())
}

fn attempt_row(number: usize, attempt: &Attempt, start: Timestamp) -> AttemptRow {
    AttemptRow {
        number,
        id: Id(attempt.id.clone()),
        chip: attempt_chip(attempt.status, attempt.uncertain),
        when: Moment::after(start, attempt.created_at),
        money: Money::new(attempt.amount, &attempt.currency),
        method: match attempt.method.as_deref() {
            None | Some("hosted") => "the hosted page".to_owned(),
            Some(method) => method.to_owned(),
        },
        rail: attempt.rail.clone().unwrap_or_else(|| "not chosen yet".to_owned()),
        provider_reference: attempt.provider_reference.clone().map(Id),
        decline: attempt
            .decline
            .as_ref()
            .map(|decline| (decline.code.clone(), decline.message.clone())),
    }
}

fn event_row(event: &Event, start: Timestamp) -> EventRow {
    let (sentence, tone) = event_words(&event.kind);
    EventRow {
        id: Id(event.id.clone()),
        kind: event.kind.clone(),
        sentence,
        sequence: event.sequence,
        when: Moment::after(start, event.created_at),
        tone,
    }
}

/// What an event means; the words of the API reference, shorter.
fn event_words(kind: &str) -> (&'static str, Tone) {
    match kind {
        "order.created" => (
            "The shop registered the order. From here on it exists once.",
            Tone::Note,
        ),
        "order.requires_action" => ("It is the payer's turn.", Tone::Wait),
        "order.processing" => ("The provider is at work.", Tone::Wait),
        "order.authorized" => ("The amount is held for the shop.", Tone::Good),
        "order.partially_captured" => ("Part of the held amount was taken.", Tone::Good),
        "order.captured" => ("The money is the shop's. The goods may go out.", Tone::Good),
        "order.partially_refunded" => ("Part of the money went back.", Tone::Note),
        "order.refunded" => ("All of the money went back.", Tone::Note),
        "order.failed" => ("It could not be paid, and no tries are left.", Tone::Bad),
        "order.canceled" => ("It was called off; no money stays.", Tone::Note),
        "order.expired" => ("The time to pay ran out.", Tone::Note),
        "order.verified" => ("The card is good; no money moved.", Tone::Good),
        "attempt.processing" => ("A try to pay went out to the provider.", Tone::Wait),
        "attempt.requires_action" => ("The provider opened its payment page.", Tone::Wait),
        "attempt.succeeded" => ("The provider approved this try.", Tone::Good),
        "attempt.declined" => ("The provider said no. The order stays open.", Tone::Bad),
        "attempt.canceled" => ("This try was given up; nothing was taken.", Tone::Note),
        "attempt.reversed" => ("This try was undone; nothing of it stands.", Tone::Note),
        "capture.processing" => ("The held amount is being taken.", Tone::Wait),
        "capture.succeeded" => ("The held amount was taken.", Tone::Good),
        "capture.failed" => ("The held amount could not be taken.", Tone::Bad),
        "void.processing" => ("The hold is being released.", Tone::Wait),
        "void.succeeded" => ("The hold was released.", Tone::Note),
        "void.failed" => ("The hold could not be released yet.", Tone::Bad),
        "refund.processing" => ("A refund went out to the provider.", Tone::Wait),
        "refund.succeeded" => ("The provider took the refund.", Tone::Good),
        "refund.failed" => ("The refund was refused; the money is still here.", Tone::Bad),
        "refund.returned" => ("The refund came back from the bank.", Tone::Note),
        "dispute.opened" => ("The payer's bank disputes the payment.", Tone::Bad),
        "dispute.won" => ("The dispute was won.", Tone::Good),
        "dispute.lost" => ("The dispute was lost.", Tone::Bad),
        _ => ("", Tone::Note),
    }
}

/// Entries as a bookkeeper writes them, with what each currency sums to. Pending lines are held apart; released ones count nowhere.
fn books(entries: &[LedgerEntry], start: Timestamp) -> Books {
    let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.phase != "released") {
        let sum = sums.entry((&entry.currency, &entry.phase)).or_default();
        *sum = sum.saturating_add(entry.amount);
    }
    let rows = entries.iter().map(|entry| EntryRow {
        title: entry.template.replace('_', " "),
        phase: entry.phase.clone(),
        when: Moment::after(start, entry.created_at),
        debit: entry.debit.account.replace('_', " "),
        credit: entry.credit.account.replace('_', " "),
        money: Money::new(entry.amount, &entry.currency),
    });
    let totals = sums.iter().map(|((currency, phase), sum)| Total {
        label: format!("Total {phase}, {currency}"),
        debit: Money::new(*sum, currency),
        credit: Money::new(*sum, currency),
    });
    Books {
        entries: rows.collect(),
        totals: totals.collect(),
    }
}

fn delivery_row(delivery: &Delivery, purchase: &Purchase, ours: &str, start: Timestamp) -> DeliveryRow {
    let to_us = delivery.endpoint == ours;
    let heard = purchase.heard.iter().find(|heard| to_us && heard.id == delivery.event);
    let verdict = heard.map(|heard| {
        let word = match heard.verdict {
            Verdict::Applied => "Signature checked, written down",
            Verdict::Older => "Signature checked, older than what the shop knew, so ignored",
            Verdict::Duplicate => "Signature checked, known already, so ignored",
        };
        let packed = purchase.packed.as_ref().is_some_and(|packed| packed.event == heard.id);
        let packed = if packed { ", goods packed" } else { "" };
        match heard.repeats {
            0 => format!("{word}{packed}."),
            1 => format!("{word}{packed}. It came twice and counted once."),
            more => format!("{word}{packed}. It came {} times and counted once.", more + 1),
        }
    });
    DeliveryRow {
        kind: delivery.kind.clone(),
        event: Id(delivery.event.clone()),
        to: if to_us {
            "this shop".to_owned()
        } else {
            delivery.endpoint.clone()
        },
        chip: delivery_chip(delivery.status),
        when: delivery.attempts.last().map(|knock| Moment::after(start, knock.at)),
        knocks: delivery
            .attempts
            .iter()
            .map(|knock| knock_words(knock.status_code, knock.duration_ms, knock.error.as_deref()))
            .collect(),
        next: delivery
            .next_try_at
            .filter(|_| delivery.status == DeliveryStatus::Pending)
            .map(|at| Moment::after(start, at)),
        verdict,
    }
}

fn knock_words(status: Option<u16>, ms: Option<u64>, error: Option<&str>) -> String {
    let answer = match (status, error) {
        (Some(status), _) => format!("answered {status}"),
        (None, Some(error)) => error.to_owned(),
        (None, None) => "no answer".to_owned(),
    };
    match ms {
        Some(ms) => format!("{answer} in {ms} ms"),
        None => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn the_books_sum_by_currency_and_leave_out_what_was_released() {
        let entry = |amount, currency: &str, phase: &str| -> LedgerEntry {
            serde_json::from_value(serde_json::json!({
                "template": "sale", "debit": {"account": "receivable"}, "credit": {"account": "merchant"},
                "amount": amount, "currency": currency, "phase": phase, "created_at": "2026-11-21T10:00:00Z",
            }))
            .unwrap()
        };
        let entries = [
            entry(1000, "EUR", "posted"),
            entry(99, "EUR", "posted"),
            entry(5, "JPY", "pending"),
            entry(7, "EUR", "released"),
        ];
        let books = books(&entries, at(0));
        let totals: Vec<_> = books
            .totals
            .iter()
            .map(|total| format!("{} {}", total.label, total.debit))
            .collect();
        assert_eq!(
            totals,
            ["Total posted, EUR 10.99\u{a0}EUR", "Total pending, JPY 5\u{a0}JPY"]
        );
        assert!(books.totals.iter().all(|total| total.debit == total.credit));
        assert_eq!(books.entries.len(), 4);
    }
}
