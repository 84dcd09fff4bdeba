//! What stands beside the orders: names that find them, and what readers behind the commit made of their events.
//!
//! Readers may be behind, and then say less than the orders do; that is no breach. So an order is only looked for where the reader has
//! folded its newest event, and whatever is not found is looked for once more.

use std::collections::{BTreeMap, BTreeSet};

use florin_core::id::OrderId;
use florin_core::rail::Rail;
use florin_core::status;
use florin_store::{
    BOOKS, DeliveryRow, DeliverySearch, EventRow, Fault, OrderRow, ProviderRef, Search, Store, Tenant, Wanted,
};

use super::record::Examined;
use super::{Finding, Law, PAGE, Report};
use crate::marks;
use crate::notify::stripe;
use crate::snapshot::{self, Named, event_ids};
use crate::told;
use crate::view::View;

/// Names that do not find their order: references and keys.
pub(super) async fn names(store: &dyn Store, rows: &[OrderRow]) -> Result<Vec<Finding>, Fault> {
    let references = Wanted {
        references: rows.iter().map(|row| (row.tenant, row.reference.clone())).collect(),
        ..Wanted::default()
    };
    let keys = Wanted {
        order_keys: rows
            .iter()
            .filter_map(|row| Some((row.tenant, row.key.as_ref()?.key.clone())))
            .collect(),
        ..Wanted::default()
    };
    let by_reference: BTreeSet<OrderId> = ids(store, &references).await?;
    let by_key: BTreeSet<OrderId> = ids(store, &keys).await?;
    let mut findings = Vec::new();
    for row in rows {
        let mut find = |what: String| findings.push(finding(Law::Names, row, what));
        if !by_reference.contains(&row.id) {
            find(format!(
                "its reference `{}` leads to another order, or to none",
                row.reference
            ));
        }
        if row.key.is_some() && !by_key.contains(&row.id) {
            find("the key of the call that made it leads to another order, or to none".to_owned());
        }
    }
    Ok(findings)
}

async fn ids(store: &dyn Store, wanted: &Wanted) -> Result<BTreeSet<OrderId>, Fault> {
    if *wanted == Wanted::default() {
        return Ok(BTreeSet::new());
    }
    Ok(store.load(wanted).await?.orders.iter().map(|row| row.id).collect())
}

/// Lists that do not show an order as it stands, and providers' names that do not lead to it.
pub(super) async fn lists(
    store: &dyn Store,
    rails: &[&'static dyn Rail],
    row: &OrderRow,
    examined: &Examined,
) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    let Some(view) = &examined.view else {
        return Ok(findings);
    };
    // Asked first: what was folded then is in the lists that are read after it.
    if examined.last > store.cursor(BOOKS).await? {
        return Ok(findings);
    }
    let word = status::word(&view.order).as_str();
    let search = Search {
        reference: Some(row.reference.clone()),
        status: Some(word.to_owned()),
        customer: view.details.customer.as_ref().map(ToString::to_string),
        metadata: view.details.metadata.clone().into_iter().collect(),
        attention: !status::attention(&view.order).is_empty(),
        marks: marks::of(view),
        ..Search::of(row.tenant, 1)
    };
    if store.search(&search).await? != [row.id] {
        let what = format!("lists do not find it as `{word}`, with its customer, metadata, attention and what it has");
        findings.push(finding(Law::Lists, row, what));
    }
    for reference in references(rails, view) {
        if store.order_of_ref(&reference).await? != Some(row.id) {
            let what = format!(
                "the provider's {} `{}` does not lead to it",
                reference.kind, reference.id
            );
            findings.push(finding(Law::References, row, what));
        }
    }
    Ok(findings)
}

/// The names that providers gave to an order's attempts.
fn references(rails: &[&'static dyn Rail], view: &View) -> Vec<ProviderRef> {
    let mut found = Vec::new();
    for (number, memo) in &view.memos {
        let Some((_, attempt)) = view.order.attempt(*number) else {
            continue;
        };
        let tables = rails.iter().map(|rail| rail.table());
        for table in tables.filter(|table| table.name == attempt.plan.rail) {
            let named = table.refs.iter().filter_map(|name| Some((*name, memo.get(*name)?)));
            found.extend(named.map(|(kind, id)| ProviderRef {
                connection: attempt.plan.connection,
                kind: kind.to_owned(),
                id: id.clone(),
            }));
        }
    }
    found
}

/// Orders that lists call for a person, and that need none.
pub(super) async fn attention(store: &dyn Store, tenant: Tenant, report: Report<'_>) -> Result<(), Fault> {
    let mut after = None;
    loop {
        let search = Search {
            attention: true,
            after,
            ..Search::of(tenant, PAGE)
        };
        let ids = store.search(&search).await?;
        for id in &ids {
            // The list may have been read before its reader took note of the end of it: so it is read again, each time after the rest.
            if is_called_for_nothing(store, *id).await? && is_called_for_nothing(store, *id).await? {
                report(Finding {
                    law: Law::Lists,
                    tenant: Some(tenant),
                    order: Some(*id),
                    version: None,
                    what: "lists say that it needs a person, and nothing of it does".to_owned(),
                });
            }
        }
        if ids.len() < PAGE as usize {
            return Ok(());
        }
        after = ids.last().copied();
    }
}

async fn is_called_for_nothing(store: &dyn Store, id: OrderId) -> Result<bool, Fault> {
    let folded = store.cursor(BOOKS).await?;
    let wanted = Wanted {
        orders: vec![id],
        details: vec![id],
        ..Wanted::default()
    };
    let found = store.load(&wanted).await?;
    let (Some(row), Some(last)) = (found.orders.first(), found.details.last()) else {
        return Ok(false); // the stream finds that
    };
    let behind = last.at > folded;
    let needs = snapshot::read_whole(row, &found.details).map(|view| !status::attention(&view.order).is_empty());
    if behind || needs != Ok(false) {
        return Ok(false);
    }
    let listed = Search {
        reference: Some(row.reference.clone()),
        attention: true,
        ..Search::of(row.tenant, 1)
    };
    Ok(store.search(&listed).await? == [id])
}

/// Deliveries of events that never happened, or under another name.
pub(super) async fn deliveries(store: &dyn Store, tenant: Tenant, report: Report<'_>) -> Result<u64, Fault> {
    let (mut after, mut count) = (None, 0);
    loop {
        let search = DeliverySearch {
            tenant,
            endpoint: None,
            order: None,
            status: None,
            from: None,
            to: None,
            after,
            limit: PAGE,
        };
        let rows = store.deliveries(&search).await?;
        count += rows.len() as u64;
        let orders: BTreeSet<OrderId> = rows.iter().map(|row| row.order).collect();
        let wanted = Wanted {
            details: orders.into_iter().collect(),
            ..Wanted::default()
        };
        let mut events: BTreeMap<(OrderId, u32), EventRow> = BTreeMap::new();
        if !rows.is_empty() {
            let found = store.load(&wanted).await?.details;
            events.extend(found.into_iter().map(|event| ((event.order, event.version), event)));
        }
        for row in rows.iter().filter(|row| !is_of_an_event(row, &events)) {
            report(Finding {
                law: Law::Deliveries,
                tenant: Some(tenant),
                order: Some(row.order),
                version: None,
                what: format!(
                    "delivery {} is of `{}` {}, which never happened",
                    row.id, row.name, row.event
                ),
            });
        }
        if rows.len() < PAGE as usize {
            return Ok(count);
        }
        after = rows.last().map(|row| row.id);
    }
}

/// Whether an event of this id and name is in the order's rows. A row holds several versions, and stands under the last of them.
fn is_of_an_event(delivery: &DeliveryRow, events: &BTreeMap<(OrderId, u32), EventRow>) -> bool {
    // An endpoint that is told in Stripe's words is told one of ours as several.
    let (ours, place) = match stripe::parse(&delivery.event) {
        Some((ours, place)) => (ours, Some(place)),
        None => (delivery.event.as_str(), None),
    };
    let Some((order, version)) = told::parse(ours) else {
        return false;
    };
    let is_named = |name: &str| match place {
        Some(place) => stripe::names(name).get(place) == Some(&delivery.name.as_str()),
        None => name == delivery.name,
    };
    let row = events
        .range((order, version)..)
        .next()
        .map(|(_, row)| row)
        .filter(|row| row.order == order);
    let Some(row) = row.filter(|row| order == delivery.order && row.tenant == delivery.tenant) else {
        return false;
    };
    Named::of(row).is_ok_and(|names| {
        let ids = event_ids(order, &names);
        names
            .iter()
            .zip(ids)
            .any(|(named, id)| id == ours && is_named(&named.name))
    })
}

pub(super) fn finding(law: Law, row: &OrderRow, what: String) -> Finding {
    Finding {
        law,
        tenant: Some(row.tenant),
        order: Some(row.id),
        version: Some(row.version),
        what,
    }
}
