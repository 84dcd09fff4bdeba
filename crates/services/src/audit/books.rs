//! The event stream, read once from the start: sums of all postings, a fingerprint of all rows, and how each tenant's books stand.

use std::collections::BTreeMap;

use florin_core::ledger::{BalanceKey, Balances, Posting};
use florin_core::money::Currency;
use florin_core::time::Timestamp;
use florin_store::{BalanceRow, Cursor, EventRow, Fault, FeedSearch, Hash, Store, Tenant};

use super::{Finding, Law, STREAM_PAGE};

/// Which event rows were seen: how many, and the sum of their hashes. Two readings of the same rows in any order agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) rows: u64,
    sum: u128,
}

impl Fingerprint {
    pub(super) fn add(&mut self, hash: &Hash) {
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half));
    }
}

/// The books of one tenant.
#[derive(Default)]
struct Ledger {
    /// As readers had folded them when the tenant was first met.
    folded: Vec<BalanceRow>,
    /// Up to where.
    to: Cursor,
    /// The sum of postings up to there.
    posted: Balances,
    /// Its event rows up to there, and those of them that moved money.
    rows: Fingerprint,
    money: Fingerprint,
}

/// What the stream showed.
#[derive(Default)]
pub(super) struct Books {
    tenants: BTreeMap<Tenant, Ledger>,
    /// Balances at the asked moment, or now.
    pub(super) at: BTreeMap<(Tenant, BalanceKey), (i128, i128)>,
    /// The last row.
    pub(super) end: Cursor,
    pub(super) seen: Fingerprint,
    pub(super) postings: u64,
    /// When the newest of them was decided.
    pub(super) newest: Timestamp,
}

impl Books {
    /// Reads the stream to its end. `at`: only what was posted until then counts into [`Books::at`].
    pub(super) async fn read(
        store: &dyn Store,
        at: Option<Timestamp>,
        report: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<Self, Fault> {
        let mut books = Self::default();
        loop {
            let rows = match store.events_after(books.end, STREAM_PAGE).await {
                Ok(rows) => rows,
                Err(Fault::Damaged(order, why)) => {
                    report(Finding {
                        law: Law::Readable,
                        tenant: None,
                        order: Some(order),
                        version: None,
                        what: format!("the stream of events cannot be read past one of its rows: {why}"),
                    });
                    return Ok(books);
                }
                Err(fault) => return Err(fault),
            };
            for row in &rows {
                books.row(store, row, at).await?;
            }
            if rows.len() < STREAM_PAGE as usize {
                return Ok(books);
            }
        }
    }

    async fn row(&mut self, store: &dyn Store, row: &EventRow, at: Option<Timestamp>) -> Result<(), Fault> {
        self.end = row.at;
        self.newest = self.newest.max(row.time);
        self.seen.add(&row.hash);
        if let std::collections::btree_map::Entry::Vacant(new) = self.tenants.entry(row.tenant) {
            let (folded, to) = store.balances(row.tenant).await?;
            new.insert(Ledger {
                folded,
                to,
                posted: Balances::default(),
                rows: Fingerprint::default(),
                money: Fingerprint::default(),
            });
        }
        // What does not read is a finding of its order's own.
        let postings: Vec<Posting> = row
            .postings
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        self.postings += postings.len() as u64;
        if let Some(ledger) = self.tenants.get_mut(&row.tenant).filter(|ledger| row.at <= ledger.to) {
            postings.iter().for_each(|posting| ledger.posted.add(posting));
            // What told nobody anything and moved nothing is in no list.
            if row.news.is_some() || row.postings.is_some() {
                ledger.rows.add(&row.hash);
            }
            if row.postings.is_some() {
                ledger.money.add(&row.hash);
            }
        }
        if at.is_none_or(|at| row.time <= at) {
            let one: Balances = postings.iter().collect();
            for (key, balance) in one.iter() {
                let sums = self.at.entry((row.tenant, *key)).or_default();
                sums.0 += balance.posted();
                sums.1 += balance.pending();
            }
        }
        Ok(())
    }

    /// Holds each tenant's list of events to the stream, as far as it was folded when the tenant was met.
    pub(super) async fn feeds(&self, store: &dyn Store, report: &mut (dyn FnMut(Finding) + Send)) -> Result<(), Fault> {
        for (tenant, ledger) in &self.tenants {
            for (money, wanted) in [(false, ledger.rows), (true, ledger.money)] {
                let Some(listed) = feed(store, *tenant, money, ledger.to).await? else {
                    continue;
                };
                if listed != wanted {
                    let of = if money { "events that moved money" } else { "events" };
                    report(Finding {
                        law: Law::Feed,
                        tenant: Some(*tenant),
                        order: None,
                        version: None,
                        what: format!(
                            "{} rows of {of} happened, and the list has {} of them, or others",
                            wanted.rows, listed.rows
                        ),
                    });
                }
            }
        }
        Ok(())
    }

    /// Tenants that have events.
    pub(super) fn tenants(&self) -> impl Iterator<Item = Tenant> {
        self.tenants.keys().copied()
    }

    /// Holds balances to the postings that they are folded from, and both to double entry.
    pub(super) fn check(&self, report: &mut (dyn FnMut(Finding) + Send)) {
        for (tenant, ledger) in &self.tenants {
            let mut find = |law, what| {
                report(Finding {
                    law,
                    tenant: Some(*tenant),
                    order: None,
                    version: None,
                    what,
                });
            };
            for what in ledger.differences() {
                find(Law::Balances, what);
            }
            let folded = ledger
                .folded
                .iter()
                .map(|row| (row.currency, (row.posted, row.pending)));
            for (currency, (posted, pending)) in off_by(folded) {
                find(
                    Law::Trial,
                    format!(
                        "the balances of {currency} are off by {posted} posted and {pending} pending: debits must be credits"
                    ),
                );
            }
        }
        let mut sums: BTreeMap<Tenant, Vec<_>> = BTreeMap::new();
        for ((tenant, key), balance) in &self.at {
            sums.entry(*tenant).or_default().push((key.currency, *balance));
        }
        for (tenant, balances) in sums {
            for (currency, (posted, pending)) in off_by(balances) {
                report(Finding {
                    law: Law::Trial,
                    tenant: Some(tenant),
                    order: None,
                    version: None,
                    what: format!(
                        "the postings of {currency} are off by {posted} posted and {pending} pending: debits must be credits"
                    ),
                });
            }
        }
    }
}

/// A tenant's list of events up to a place. None: one of its rows does not read, which was said when the stream was read.
async fn feed(store: &dyn Store, tenant: Tenant, money: bool, to: Cursor) -> Result<Option<Fingerprint>, Fault> {
    let mut listed = Fingerprint::default();
    let mut search = FeedSearch {
        tenant,
        money,
        from: None,
        to: None,
        after: None,
        oldest_first: true,
        limit: STREAM_PAGE,
    };
    loop {
        let rows = match store.feed(&search).await {
            Ok(rows) => rows,
            Err(Fault::Damaged(..)) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let folded = rows.iter().take_while(|row| row.at <= to);
        folded.for_each(|row| listed.add(&row.hash));
        search.after = rows.last().map(|row| row.at);
        if rows.len() < STREAM_PAGE as usize || search.after > Some(to) {
            return Ok(Some(listed));
        }
    }
}

impl Ledger {
    /// Where the folded balances are not the sum of their postings.
    fn differences(&self) -> Vec<String> {
        let mut wanted: BTreeMap<(String, String, String), (i128, i128)> = BTreeMap::new();
        for (key, balance) in self.posted.iter() {
            let name = (
                key.account.as_str().to_owned(),
                key.connection.to_string(),
                key.currency.to_string(),
            );
            wanted.insert(name, (balance.posted(), balance.pending()));
        }
        let mut differences = Vec::new();
        for row in &self.folded {
            let name = (
                row.account.clone(),
                row.connection.to_string(),
                row.currency.to_string(),
            );
            let sum = wanted.remove(&name).unwrap_or_default();
            if sum != (row.posted, row.pending) {
                differences.push(difference(&name, (row.posted, row.pending), sum));
            }
        }
        let missing = wanted.into_iter().filter(|(_, sum)| *sum != (0, 0));
        differences.extend(missing.map(|(name, sum)| difference(&name, (0, 0), sum)));
        differences
    }
}

fn difference(
    (account, connection, currency): &(String, String, String),
    is: (i128, i128),
    sum: (i128, i128),
) -> String {
    format!(
        "`{account}` at {connection} stands at {} posted and {} pending in {currency}, its postings add up to {} and {}",
        is.0, is.1, sum.0, sum.1
    )
}

/// What each currency is off by; empty when the books balance.
fn off_by(balances: impl IntoIterator<Item = (Currency, (i128, i128))>) -> BTreeMap<Currency, (i128, i128)> {
    let mut off: BTreeMap<Currency, (i128, i128)> = BTreeMap::new();
    for (currency, (posted, pending)) in balances {
        let sums = off.entry(currency).or_default();
        sums.0 += posted;
        sums.1 += pending;
    }
    off.retain(|_, sums| *sums != (0, 0));
    off
}
