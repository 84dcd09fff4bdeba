//! The five stops between the button and the parcel, and how far an order has come.

use super::moment::Moment;
use crate::api::shapes::{AttemptStatus, Order};
use crate::purchase::Purchase;
use crate::scenes::Scene;

/// One of the five stops between the button and the parcel.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) line: &'static str,
    pub(super) state: Reached,
    pub(super) when: Option<Moment>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reached {
    Done,
    Now,
    Failed,
    Later,
}

impl Reached {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Failed => "failed",
            Self::Later => "later",
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "happening now",
            Self::Failed => "did not work",
            Self::Later => "not yet",
        }
    }
}

/// The five stops, and how far this order has come.
pub(super) fn flow(purchase: &Purchase, scene: &Scene, newest: Option<&Order>) -> Vec<Stage> {
    let start = purchase.created_at;
    let events = scene.events.as_deref().unwrap_or_default();
    let attempts = scene.attempts.as_deref().unwrap_or_default();
    let of = |kinds: &[&str]| {
        let found = events.iter().filter(|event| kinds.contains(&event.kind.as_str()));
        found
            .map(|event| Moment::after(start, event.created_at))
            .collect::<Vec<_>>()
    };
    // Of several tries the last one counts.
    let when = |kinds: &[&str]| of(kinds).pop();
    let paid = newest.is_some_and(Order::is_paid);
    let last = attempts
        .last()
        .or(newest.and_then(|order| order.last_attempt.as_ref()))
        .map(|attempt| attempt.status);
    let page = match last {
        Some(AttemptStatus::RequiresAction) => Reached::Now,
        Some(AttemptStatus::Canceled) if !paid => Reached::Failed,
        Some(_) => Reached::Done,
        None => Reached::Later,
    };
    let bank = match last {
        _ if paid => Reached::Done,
        Some(AttemptStatus::Succeeded) => Reached::Done,
        Some(AttemptStatus::Processing) => Reached::Now,
        Some(AttemptStatus::Declined | AttemptStatus::Reversed) => Reached::Failed,
        Some(AttemptStatus::RequiresAction | AttemptStatus::Canceled | AttemptStatus::Unknown) | None => Reached::Later,
    };
    let booked = scene
        .ledger
        .as_deref()
        .unwrap_or_default()
        .iter()
        .find(|entry| entry.phase != "released");
    let reach = |done: bool, now: bool| match (done, now) {
        (true, _) => Reached::Done,
        (false, true) => Reached::Now,
        (false, false) => Reached::Later,
    };
    vec![
        Stage {
            name: "Order",
            line: "The shop registers it with Florin, once.",
            state: Reached::Done,
            when: of(&["order.created"])
                .into_iter()
                .next()
                .or(Some(Moment::after(start, start))),
        },
        Stage {
            name: "Payment page",
            line: "You pay at the provider; the shop sees no card.",
            state: page,
            when: when(&["attempt.requires_action", "order.requires_action"]),
        },
        Stage {
            name: "Answer",
            line: "The bank says yes or no to Florin.",
            state: bank,
            when: when(&["attempt.succeeded"])
                .or_else(|| when(&["attempt.declined", "attempt.reversed"]))
                .filter(|_| bank != Reached::Later),
        },
        Stage {
            name: "Books",
            line: "Florin books it on both sides.",
            state: reach(booked.is_some(), paid),
            when: booked.map(|entry| Moment::after(start, entry.created_at)),
        },
        Stage {
            name: "Webhook",
            line: "Florin tells the shop, and the shop packs.",
            state: reach(purchase.packed.is_some(), paid),
            when: purchase.packed.as_ref().map(|packed| Moment::after(start, packed.at)),
        },
    ]
}
