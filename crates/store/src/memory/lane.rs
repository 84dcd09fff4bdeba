//! The hot path: load, commit, claim.

use std::collections::{BTreeMap, BTreeSet};

use florin_core::id::OrderId;
use florin_core::time::Timestamp;

use super::state::{Notice, State};
use crate::{Batch, Claim, Cursor, EventHead, EventRow, Found, Lease, NoticeRow, OrderRow, Outcome, Wanted};

pub(super) fn load(state: &State, wanted: &Wanted) -> Found {
    let by_key = wanted.order_keys.iter().filter_map(|name| state.order_keys.get(name));
    let by_reference = wanted.references.iter().filter_map(|name| state.references.get(name));
    let ids: BTreeSet<OrderId> = wanted
        .orders
        .iter()
        .chain(by_key)
        .chain(by_reference)
        .copied()
        .collect();
    Found {
        orders: ids.iter().filter_map(|id| state.orders.get(id)).cloned().collect(),
        keys: wanted
            .keys
            .iter()
            .filter_map(|name| state.keys.get(name))
            .cloned()
            .collect(),
        details: wanted
            .details
            .iter()
            .flat_map(|order| events_of(state, *order))
            .collect(),
    }
}

/// Checks everything, then writes everything.
pub(super) fn commit(state: &mut State, batch: &Batch, clock: Timestamp) -> Outcome {
    if conflicts(state, batch) {
        return Outcome::Conflict;
    }
    let until = clock.plus_seconds(i64::from(batch.lease_s));
    let leased = |row: &OrderRow| {
        let from_now = |lease: Lease| {
            if lease.until == Lease::FROM_NOW {
                Lease { until, ..lease }
            } else {
                lease
            }
        };
        row.lease.map(from_now)
    };
    for row in &batch.new {
        state.references.insert((row.tenant, row.reference.clone()), row.id);
        if let Some(key) = &row.key {
            state.order_keys.insert((row.tenant, key.key.clone()), row.id);
        }
        state.orders.insert(
            row.id,
            OrderRow {
                lease: leased(row),
                ..row.clone()
            },
        );
    }
    for changed in &batch.changed {
        let new = &changed.row;
        if let Some(row) = state.orders.get_mut(&new.id) {
            row.version = new.version;
            row.due = new.due;
            row.lease = leased(new);
            row.chain = new.chain;
            row.work.clone_from(&new.work);
            row.state.clone_from(&new.state);
        }
    }
    for event in &batch.events {
        let place = state.events.len();
        let at = Cursor {
            transaction: 0,
            row: place as u64 + 1,
        };
        state.versions.insert((event.order, event.version), place);
        state.events.push(EventRow { at, ..event.clone() });
    }
    for key in &batch.keys {
        state.keys.insert((key.tenant, key.key.key.clone()), key.clone());
    }
    write_notices(state, batch);
    Outcome::Done
}

/// Whether anything in the batch is taken or has moved; what the batch itself wrote before counts too.
fn conflicts(state: &State, batch: &Batch) -> bool {
    let mut names = BTreeSet::new();
    let mut standing = BTreeMap::new();
    for row in &batch.new {
        let reference = (row.tenant, row.reference.clone());
        let taken = state.orders.contains_key(&row.id) || state.references.contains_key(&reference);
        if taken || standing.insert(row.id, (row.version, row.fence)).is_some() || !names.insert((0, reference)) {
            return true;
        }
        if let Some(key) = &row.key {
            let key = (row.tenant, key.key.clone());
            if state.order_keys.contains_key(&key) || state.keys.contains_key(&key) || !names.insert((1, key)) {
                return true;
            }
        }
    }
    for changed in &batch.changed {
        let row = &changed.row;
        let stored = state.orders.get(&row.id).map(|stored| (stored.version, stored.fence));
        if standing.get(&row.id).copied().or(stored) != Some((changed.read_version, row.fence)) {
            return true;
        }
        standing.insert(row.id, (row.version, row.fence));
    }
    let mut versions = BTreeSet::new();
    let event_taken = |event: &EventRow| {
        let version = (event.order, event.version);
        state.versions.contains_key(&version) || !versions.insert(version)
    };
    if batch.events.iter().any(event_taken) {
        return true;
    }
    batch.keys.iter().any(|row| {
        let key = (row.tenant, row.key.key.clone());
        state.keys.contains_key(&key) || state.order_keys.contains_key(&key) || !names.insert((1, key))
    })
}

fn write_notices(state: &mut State, batch: &Batch) {
    for row in &batch.notices {
        let number = state.notices;
        state.notices += 1;
        let notice = state.inbox.entry(row.id.clone()).or_insert_with(|| Notice {
            row: row.clone(),
            done: false,
            number,
        });
        if !notice.done {
            notice.row.due = notice.row.due.max(row.due);
        }
    }
    for id in &batch.done {
        if let Some(notice) = state.inbox.get_mut(id) {
            notice.done = true;
        }
    }
}

/// Whether these very event rows are there. Two nodes that carry out the same call write the same bytes, each at its own moment.
pub(super) fn was_committed(state: &State, batch: &Batch) -> bool {
    let there = |event: &EventRow| {
        let place = state.versions.get(&(event.order, event.version));
        place
            .and_then(|place| state.events.get(*place))
            .is_some_and(|stored| (stored.hash, stored.time) == (event.hash, event.time))
    };
    !batch.events.is_empty() && batch.events.iter().all(there)
}

/// Whether a row that is due then, under that lease, may be taken.
pub(super) fn free(
    due: Option<Timestamp>,
    lease: Option<Lease>,
    claim: &Claim,
    clock: Timestamp,
    opened: Timestamp,
) -> bool {
    let Some(due) = due else { return false };
    let lease_s = i64::from(claim.lease_s);
    let from_ahead = |lease: Lease| lease.until > clock.plus_seconds(2 * lease_s);
    let earlier_life =
        |lease: Lease| lease.node == claim.node && (lease.until < opened.plus_seconds(lease_s) || from_ahead(lease));
    (due <= claim.now && lease.is_none_or(|lease| lease.until <= clock || from_ahead(lease)))
        || (claim.own && lease.is_some_and(earlier_life))
}

pub(super) fn claim(state: &mut State, claim: &Claim, clock: Timestamp, opened: Timestamp) -> Vec<OrderRow> {
    let mut rows: Vec<&mut OrderRow> = state
        .orders
        .values_mut()
        .filter(|row| free(row.due, row.lease, claim, clock, opened))
        .collect();
    rows.sort_by_key(|row| (row.due, row.id));
    rows.truncate(claim.limit as usize);
    let until = clock.plus_seconds(i64::from(claim.lease_s));
    let take = |row: &mut OrderRow| {
        row.fence += 1;
        row.lease = Some(Lease {
            node: claim.node,
            until,
        });
        row.clone()
    };
    rows.into_iter().map(take).collect()
}

pub(super) fn inbox(state: &State, limit: u32) -> Vec<NoticeRow> {
    let mut open: Vec<&Notice> = state.inbox.values().filter(|notice| !notice.done).collect();
    open.sort_by_key(|notice| (notice.row.due, notice.number));
    open.into_iter()
        .take(limit as usize)
        .map(|notice| notice.row.clone())
        .collect()
}

pub(super) fn events_of(state: &State, order: OrderId) -> Vec<EventRow> {
    let versions = state.versions.range((order, 0)..=(order, u32::MAX));
    versions
        .filter_map(|(_, place)| state.events.get(*place))
        .cloned()
        .collect()
}

pub(super) fn events_after(state: &State, cursor: Cursor, limit: u32) -> Vec<EventRow> {
    after(state, cursor, limit).cloned().collect()
}

pub(super) fn heads_after(state: &State, cursor: Cursor, limit: u32) -> Vec<EventHead> {
    after(state, cursor, limit).map(EventRow::head).collect()
}

fn after(state: &State, cursor: Cursor, limit: u32) -> impl Iterator<Item = &EventRow> {
    state.events.iter().skip(cursor.row as usize).take(limit as usize)
}

/// A row's number is its place in the list, counted from one.
pub(super) fn events_at(state: &State, places: &[Cursor]) -> Vec<EventRow> {
    let at = |place: &Cursor| state.events.get((place.row as usize).checked_sub(1)?).cloned();
    places.iter().filter_map(at).collect()
}

pub(super) fn orders_after(state: &State, after: Option<OrderId>, limit: u32) -> Vec<OrderRow> {
    let later = state
        .orders
        .values()
        .skip_while(|row| after.is_some_and(|after| row.id <= after));
    later.take(limit as usize).cloned().collect()
}

pub(super) fn waiting(state: &State, after: Option<(Timestamp, OrderId)>, limit: u32) -> Vec<OrderRow> {
    let mut rows: Vec<(Timestamp, &OrderRow)> = (state.orders.values())
        .filter_map(|row| Some((row.due?, row)))
        .filter(|(due, row)| after.is_none_or(|after| (*due, row.id) > after))
        .collect();
    rows.sort_by_key(|(due, row)| (*due, row.id));
    rows.truncate(limit as usize);
    rows.into_iter().map(|(_, row)| row.clone()).collect()
}
