//! What is folded behind the commit, deliveries, documents and upkeep.

use std::collections::BTreeSet;

use florin_core::id::{DeliveryId, EndpointId, OrderId};
use florin_core::time::Timestamp;

use super::lane::free;
use super::state::{Account, Delivery, State, Sums};
use crate::codes::{may_fold, plus};
use crate::query::needs_listing;
use crate::{
    BOOKS, Backlog, BalanceRow, Claim, Cursor, DeliveryRow, DeliverySearch, EventRow, Fault, FeedSearch, Fold, KeyRow,
    Lease, ListRecords, ListingRow, Name, Outcome, Record, Retention, Search, Tenant, Which,
};

pub(super) fn search(state: &State, search: &Search) -> Vec<OrderId> {
    let place = |order: &OrderId| {
        state
            .orders
            .get(order)
            .filter(|row| row.tenant == search.tenant)
            .map(|row| (row.created_at, row.id))
    };
    let after = match search.after.map(|after| place(&after)) {
        Some(None) => return Vec::new(),
        Some(after) => after,
        None => None,
    };
    let folded = needs_listing(search);
    let mut found: Vec<(Timestamp, OrderId)> = match &search.reference {
        Some(reference) => state
            .references
            .get(&(search.tenant, reference.clone()))
            .and_then(place)
            .into_iter()
            .collect(),
        None => {
            let whose = state.listings.values().filter(|row| row.tenant == search.tenant);
            whose.map(|row| (row.created_at, row.order)).collect()
        }
    };
    found.retain(|(at, order)| {
        search.from.is_none_or(|from| *at >= from)
            && search.to.is_none_or(|to| *at < to)
            && after.is_none_or(|after| (*at, *order) < after)
            && (!folded || state.listings.get(order).is_some_and(|row| matches(row, search)))
    });
    found.sort_by(|a, b| b.cmp(a));
    found
        .into_iter()
        .take(search.limit as usize)
        .map(|(_, order)| order)
        .collect()
}

/// A tenant's event rows.
pub(super) fn feed(state: &State, search: &FeedSearch) -> Vec<EventRow> {
    let listed = |row: &&EventRow| {
        let after = match search.after {
            Some(after) if search.oldest_first => row.at > after,
            Some(after) => row.at < after,
            None => true,
        };
        state.feed.contains(&row.at)
            && row.tenant == search.tenant
            && (!search.money || row.postings.is_some())
            && search.from.is_none_or(|from| row.time >= from)
            && search.to.is_none_or(|to| row.time < to)
            && after
    };
    let mut found: Vec<EventRow> = state.events.iter().filter(listed).cloned().collect();
    found.sort_by_key(|row| row.at);
    if !search.oldest_first {
        found.reverse();
    }
    found.truncate(search.limit as usize);
    found
}

fn matches(row: &ListingRow, search: &Search) -> bool {
    search.status.as_ref().is_none_or(|status| *status == row.status)
        && search
            .customer
            .as_ref()
            .is_none_or(|customer| row.customer.as_ref() == Some(customer))
        && (!search.attention || row.attention)
        && search.metadata.iter().all(|(name, value)| row.terms.holds(name, value))
        && (search.words.is_empty() || search.words.contains(&row.status))
        && row.marks.holds(search.marks)
        && search.changed_from.is_none_or(|from| row.changed_at >= from)
}

pub(super) fn balances(state: &State, tenant: Tenant) -> (Vec<BalanceRow>, Cursor) {
    let rows = state
        .balances
        .iter()
        .filter(|(account, _)| account.tenant == tenant)
        .map(|(account, sums)| BalanceRow {
            tenant,
            connection: account.connection,
            account: account.account.clone(),
            currency: account.currency,
            posted: sums.posted,
            pending: sums.pending,
        });
    (rows.collect(), state.cursors.get(BOOKS).copied().unwrap_or_default())
}

pub(super) fn fold(state: &mut State, fold: &Fold) -> Result<bool, Fault> {
    may_fold(fold)?;
    if state.cursors.get(&fold.reader).copied().unwrap_or_default() != fold.from {
        return Ok(false);
    }
    let mut balances = state.balances.clone();
    for row in &fold.balances {
        let account = Account {
            tenant: row.tenant,
            connection: row.connection,
            account: row.account.clone(),
            currency: row.currency,
        };
        let sums: &mut Sums = balances.entry(account).or_default();
        sums.posted = plus(sums.posted, row.posted)?;
        sums.pending = plus(sums.pending, row.pending)?;
    }
    state.balances = balances;
    state.cursors.insert(fold.reader.clone(), fold.to);
    for row in &fold.listings {
        let stored = state.listings.entry(row.order).or_insert_with(|| row.clone());
        if stored.version > row.version {
            continue;
        }
        stored.version = row.version;
        stored.status.clone_from(&row.status);
        if row.customer.is_some() {
            stored.customer.clone_from(&row.customer);
        }
        stored.attention = row.attention;
        stored.marks = stored.marks.and(row.marks);
        stored.changed_at = stored.changed_at.max(row.changed_at);
        if row.terms.stored().is_some() {
            stored.terms.clone_from(&row.terms);
        }
    }
    for (reference, order) in &fold.refs {
        state.refs.entry(reference.clone()).or_insert(*order);
    }
    state.feed.extend(fold.feed.iter().map(|row| row.at));
    for row in &fold.deliveries {
        state.deliveries.entry(row.id).or_insert_with(|| Delivery {
            row: row.clone(),
            lease: None,
        });
    }
    Ok(true)
}

pub(super) fn claim_deliveries(
    state: &mut State,
    claim: &Claim,
    clock: Timestamp,
    opened: Timestamp,
) -> Vec<DeliveryRow> {
    let from_ahead = clock.plus_seconds(2 * i64::from(claim.lease_s));
    let under_way = |lease: Lease| lease.node != claim.node && lease.until > clock && lease.until <= from_ahead;
    // What follows what another node has on its way to the same endpoint would overtake it.
    let busy: BTreeSet<(OrderId, EndpointId)> = (state.deliveries.values())
        .filter(|one| one.row.due.is_some() && one.lease.is_some_and(under_way))
        .map(|one| (one.row.order, one.row.endpoint))
        .collect();
    let mut free: Vec<&mut Delivery> = state
        .deliveries
        .values_mut()
        .filter(|one| free(one.row.due, one.lease, claim, clock, opened) && !claim.without.contains(&one.row.tenant))
        .filter(|one| !busy.contains(&(one.row.order, one.row.endpoint)))
        .collect();
    free.sort_by_key(|one| (one.row.due, one.row.id));
    free.truncate(claim.limit as usize);
    let until = clock.plus_seconds(i64::from(claim.lease_s));
    let take = |one: &mut Delivery| {
        one.lease = Some(Lease {
            node: claim.node,
            until,
        });
        one.row.clone()
    };
    free.into_iter().map(take).collect()
}

pub(super) fn write_deliveries(state: &mut State, rows: &[DeliveryRow]) {
    for row in rows {
        let stored = state.deliveries.entry(row.id).or_insert_with(|| Delivery {
            row: row.clone(),
            lease: None,
        });
        if stored.row.tenant == row.tenant {
            stored.row.status = row.status;
            stored.row.due = row.due;
            stored.row.tries.clone_from(&row.tries);
            stored.lease = None;
        }
    }
}

pub(super) fn deliveries(state: &State, search: &DeliverySearch) -> Vec<DeliveryRow> {
    let place = |row: &DeliveryRow| (row.created_at, row.id);
    let after = match search.after.map(|after| delivery(state, search.tenant, after)) {
        Some(None) => return Vec::new(),
        Some(Some(row)) => Some(place(&row)),
        None => None,
    };
    let wanted = |row: &&DeliveryRow| {
        row.tenant == search.tenant
            && search.endpoint.is_none_or(|endpoint| endpoint == row.endpoint)
            && search.order.is_none_or(|order| order == row.order)
            && search.status.is_none_or(|status| status == row.status)
            && search.from.is_none_or(|from| row.created_at >= from)
            && search.to.is_none_or(|to| row.created_at < to)
            && after.is_none_or(|after| place(row) < after)
    };
    let mut found: Vec<&DeliveryRow> = state.deliveries.values().map(|one| &one.row).filter(wanted).collect();
    found.sort_by_key(|row| std::cmp::Reverse(place(row)));
    found.into_iter().take(search.limit as usize).cloned().collect()
}

pub(super) fn delivery(state: &State, tenant: Tenant, id: DeliveryId) -> Option<DeliveryRow> {
    state
        .deliveries
        .get(&id)
        .map(|one| &one.row)
        .filter(|row| row.tenant == tenant)
        .cloned()
}

pub(super) fn put(state: &mut State, records: &[Record], keys: &[KeyRow]) -> Outcome {
    let mut next = state.records.clone();
    for record in records {
        let name = (record.kind.clone(), record.id.clone());
        let follows = match next.get(&name) {
            None => record.version == 1,
            Some(stored) => {
                stored.version + 1 == record.version
                    && stored.tenant == record.tenant
                    && stored.created_at == record.created_at
            }
        };
        let alias_taken = record.alias.is_some()
            && next
                .values()
                .any(|other| other.kind == record.kind && other.id != record.id && other.alias == record.alias);
        if !follows || alias_taken {
            return Outcome::Conflict;
        }
        next.insert(name, record.clone());
    }
    let mut kept = state.keys.clone();
    for key in keys {
        let name = (key.tenant, key.key.key.clone());
        if state.order_keys.contains_key(&name) || kept.insert(name, key.clone()).is_some() {
            return Outcome::Conflict;
        }
    }
    state.records = next;
    state.keys = kept;
    Outcome::Done
}

pub(super) fn get(state: &State, which: &Which) -> Option<Record> {
    let found = match &which.name {
        Name::Id(id) => state.records.get(&(which.kind.clone(), id.clone())),
        Name::Alias(alias) => state
            .records
            .values()
            .find(|record| record.kind == which.kind && record.alias.as_ref() == Some(alias)),
    };
    found
        .filter(|record| which.tenant.is_none() || record.tenant == which.tenant)
        .cloned()
}

pub(super) fn list(state: &State, list: &ListRecords) -> Vec<Record> {
    let place = |record: &Record| (record.created_at, record.id.clone());
    let name = |id: &String| Which {
        kind: list.kind.clone(),
        tenant: list.tenant,
        name: Name::Id(id.clone()),
    };
    let after = match list.after.as_ref().map(|after| get(state, &name(after))) {
        Some(None) => return Vec::new(),
        Some(Some(record)) => Some(place(&record)),
        None => None,
    };
    let wanted = |record: &&Record| {
        record.kind == list.kind
            && !record.removed
            && (list.tenant.is_none() || record.tenant == list.tenant)
            && (list.parent.is_none() || record.parent == list.parent)
            && list.from.is_none_or(|from| record.created_at >= from)
            && list.to.is_none_or(|to| record.created_at < to)
            && (list.containing.iter())
                .all(|group| group.is_empty() || group.iter().any(|piece| record.body.contains(piece)))
            && after.as_ref().is_none_or(|after| place(record) < *after)
    };
    let mut found: Vec<&Record> = state.records.values().filter(wanted).collect();
    found.sort_by_key(|record| std::cmp::Reverse(place(record)));
    found.into_iter().take(list.limit as usize).cloned().collect()
}

pub(super) fn tidy(state: &mut State, before: &Retention) -> u64 {
    let limit = before.limit as usize;
    let mut keys: Vec<_> = state.keys.values().filter(|row| row.created_at < before.keys).collect();
    keys.sort_by_key(|row| row.created_at);
    let keys: Vec<_> = keys
        .into_iter()
        .take(limit)
        .map(|row| (row.tenant, row.key.key.clone()))
        .collect();
    let mut notices: Vec<_> = state
        .inbox
        .values()
        .filter(|one| one.done && one.row.received_at < before.notices)
        .collect();
    notices.sort_by_key(|one| one.row.received_at);
    let notices: Vec<_> = notices.into_iter().take(limit).map(|one| one.row.id.clone()).collect();
    let over = |one: &&Delivery| one.row.due.is_none() && one.row.created_at < before.deliveries;
    let mut deliveries: Vec<_> = state.deliveries.values().filter(over).collect();
    deliveries.sort_by_key(|one| one.row.created_at);
    let deliveries: Vec<_> = deliveries.into_iter().take(limit).map(|one| one.row.id).collect();
    let gone = keys.len() + notices.len() + deliveries.len();
    state.keys.retain(|name, _| !keys.contains(name));
    state.inbox.retain(|id, _| !notices.contains(id));
    state.deliveries.retain(|id, _| !deliveries.contains(id));
    gone as u64
}

pub(super) fn backlog(state: &State, now: Timestamp) -> Backlog {
    let due: Vec<Timestamp> = state
        .orders
        .values()
        .filter_map(|row| row.due)
        .filter(|due| *due <= now)
        .collect();
    let notices: Vec<Timestamp> = state
        .inbox
        .values()
        .filter(|one| !one.done)
        .map(|one| one.row.received_at)
        .collect();
    let open = state.deliveries.values().filter(|one| one.row.due.is_some());
    let deliveries: Vec<Timestamp> = open.map(|one| one.row.created_at).collect();
    let place = state.cursors.get(BOOKS).copied().unwrap_or_default();
    Backlog {
        due: due.len() as u64,
        oldest_due: due.iter().min().copied(),
        notices: notices.len() as u64,
        oldest_notice: notices.iter().min().copied(),
        deliveries: deliveries.len() as u64,
        oldest_delivery: deliveries.iter().min().copied(),
        attention: state.listings.values().filter(|row| row.attention).count() as u64,
        oldest_event: state
            .events
            .iter()
            .find(|event| event.at > place)
            .map(|event| event.time),
    }
}
