//! What one turn of a reader makes of the rows that it read.

use std::collections::BTreeMap;

use florin_core::id::{ConnectionId, OrderId};
use florin_core::ledger::{Account, Posting, PostingPhase};
use florin_core::money::Currency;
use florin_core::time::Timestamp;
use florin_store::{
    BOOKS, BalanceRow, Cursor, DeliveryRow, EventHead, FeedRow, Fold, ListingRow, Marks, ProviderRef, Tenant, Terms,
};

use super::read::Listed;

/// How an order stands for a list.
pub(super) struct Stand {
    pub(super) version: u32,
    pub(super) status: String,
    pub(super) attention: bool,
    pub(super) created_at: Timestamp,
    /// What it has by now; beside what was said before.
    pub(super) marks: Marks,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Made {
    listings: BTreeMap<OrderId, ListingRow>,
    refs: BTreeMap<ProviderRef, OrderId>,
    balances: BTreeMap<(Tenant, ConnectionId, Account, Currency), (i128, i128)>,
    pub(super) deliveries: Vec<DeliveryRow>,
    feed: Vec<FeedRow>,
}

impl Made {
    pub(super) fn list(&mut self, row: &EventHead, stand: Stand, details: Option<Listed>) {
        let listing = self.listings.entry(row.order).or_insert_with(|| ListingRow {
            order: row.order,
            tenant: row.tenant,
            version: 0,
            status: String::new(),
            customer: None,
            attention: false,
            created_at: stand.created_at,
            terms: Terms::default(),
            marks: Marks::NONE,
            changed_at: row.time,
            first: false,
        });
        listing.first |= row.version == row.count;
        listing.marks = listing.marks.and(stand.marks);
        listing.changed_at = listing.changed_at.max(row.time);
        if listing.version <= stand.version {
            listing.version = stand.version;
            listing.status = stand.status;
            listing.attention = stand.attention;
        }
        if let Some(details) = details {
            listing.customer = details.customer;
            listing.terms = details.terms;
        }
    }

    pub(super) fn refer(&mut self, order: OrderId, connection: ConnectionId, kind: String, id: String) {
        let reference = ProviderRef { connection, kind, id };
        self.refs.entry(reference).or_insert(order);
    }

    pub(super) fn post(&mut self, tenant: Tenant, posting: &Posting) {
        let minor = i128::from(posting.amount.minor());
        let (posted, pending) = match posting.phase {
            PostingPhase::Posted => (minor, 0),
            PostingPhase::Pended => (0, minor),
            PostingPhase::Released => (0, -minor),
        };
        for (account, sign) in [(posting.debit, 1), (posting.credit, -1)] {
            let key = (tenant, posting.connection, account, posting.amount.currency());
            let sums = self.balances.entry(key).or_default();
            sums.0 += sign * posted;
            sums.1 += sign * pending;
        }
    }

    /// Notes that a tenant's lists of events and ledger entries show this row.
    pub(super) fn feed(&mut self, row: &EventHead) {
        if row.news || row.money {
            self.feed.push(FeedRow {
                tenant: row.tenant,
                at: row.at,
                time: row.time,
                money: row.money,
            });
        }
    }

    pub(super) fn into_fold(self, from: Cursor, to: Cursor) -> Fold {
        let moved = self.balances.into_iter().filter(|(_, sums)| *sums != (0, 0));
        let balances = moved.map(
            |((tenant, connection, account, currency), (posted, pending))| BalanceRow {
                tenant,
                connection,
                account: account.as_str().to_owned(),
                currency,
                posted,
                pending,
            },
        );
        Fold {
            reader: BOOKS.to_owned(),
            from,
            to,
            listings: self.listings.into_values().collect(),
            refs: self.refs.into_iter().collect(),
            balances: balances.collect(),
            deliveries: self.deliveries,
            feed: self.feed,
        }
    }
}
