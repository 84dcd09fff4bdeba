//! Our books against somebody else's: the simulated issuer's, which shares no code with us.
//!
//! | database | attempts of rail | looked up by | compared |
//! | --- | --- | --- | --- |
//! | the pretend provider's | `issuer` | the authorisation that the attempt learned, else the key that its message had | money and hold of each attempt, both ways |
//! | the product's | `stripe`, at the pretend provider | the intent's id, which carries the provider's order | money and hold of each attempt, both ways |
//!
//! Money is what was taken and neither came back nor is disputed; the hold is what is still held. Fees are no business of the issuer.
//! Only orders of which nothing is in flight are compared: of the others nobody can say yet. An authorisation that no order knows is one
//! that was charged and lost, and so is the worst finding there is.

use std::collections::BTreeSet;
use std::time::Duration;

use florin_core::id::{ConnectionId, Key, OrderId};
use florin_core::order::{Attempt, Order, StepName};
use florin_core::status;
use florin_store::{Fault, OrderRow, ProviderRef, Store, Wanted};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use thiserror::Error;

use super::{Finding, Law, PAGE, READS_MAX, Report, ledger};
use crate::egress::words;
use crate::snapshot;
use crate::whole;

/// The rail whose provider is the issuer itself.
const ISSUER_RAIL: &str = "issuer";
/// What that rail learns of an authorisation.
const AUTHORIZATION: &str = "authorization";
/// The messages by which that rail asks for money; each has a key of its own.
const ASKING: [&str; 2] = ["authorize", "authorize_3ds"];
/// The rail that the pretend provider answers.
const PROVIDER_RAIL: &str = "stripe";
/// What that rail learns of a payment.
const INTENT: &str = "payment_intent";
/// Where that rail writes our key, so that a payment finds its order.
const MARK: &str = "florin_key";
/// Authorisations on a page of the issuer's: as many as it gives.
const TOTALS_PAGE: u32 = 1_000;
/// The largest answer that is read: a page of totals is below 400 KB.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// The issuer answers within milliseconds.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Why books could not be compared.
#[derive(Debug, Error)]
pub enum Unreachable {
    /// The database.
    #[error(transparent)]
    Store(#[from] Fault),
    /// The issuer.
    #[error("cannot ask the issuer at {address}: {why}")]
    Issuer {
        /// Where it was asked.
        address: String,
        /// What went wrong.
        why: String,
    },
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Attempts that were held against the other book.
    pub attempts: u64,
    /// Attempts of orders of which something is in flight: not compared.
    pub moving: u64,
    /// Payments in the other book that were looked for in ours.
    pub theirs: u64,
}

/// The read-only address of the simulated issuer.
pub struct Issuer {
    base: String,
    client: Client<HttpConnector, Empty<bytes::Bytes>>,
}

/// How one authorisation stands in the issuer's book.
#[derive(Debug, Deserialize)]
struct Stands {
    #[serde(alias = "authorization")]
    id: String,
    key: String,
    currency: String,
    authorized: i64,
    captured: i64,
    released: i64,
    refunded: i64,
    disputed: i64,
}

#[derive(Deserialize)]
struct Totals {
    data: Vec<Stands>,
    has_more: bool,
}

impl Stands {
    fn money(&self) -> i128 {
        i128::from(self.captured) - i128::from(self.refunded) - i128::from(self.disputed)
    }

    fn held(&self) -> i128 {
        i128::from(self.authorized) - i128::from(self.captured) - i128::from(self.released)
    }
}

impl Issuer {
    /// The issuer at this address: what `florin dev` calls `issuer`.
    pub fn at(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<Option<T>, Unreachable> {
        let address = format!("{}{path}", self.base);
        let wrong = |why: String| Unreachable::Issuer {
            address: address.clone(),
            why,
        };
        let uri = address
            .parse()
            .map_err(|error| wrong(format!("it is no address: {error}")))?;
        let asked = async {
            let response = self.client.get(uri).await.map_err(|error| wrong(words(&error)))?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| wrong(words(&*error)))?.to_bytes();
            match status {
                200 => serde_json::from_slice(&body)
                    .map(Some)
                    .map_err(|error| wrong(format!("its answer does not read: {error}"))),
                404 => Ok(None),
                _ => Err(wrong(format!("it answered {status}"))),
            }
        };
        match tokio::time::timeout(ANSWER_WAIT, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(wrong("it did not answer in time".to_owned())),
        }
    }

    /// The authorisation that an attempt learned, or that one of its messages made.
    async fn of_attempt(
        &self,
        order: &Order,
        attempt: &Attempt,
        learned: Option<&String>,
    ) -> Result<Option<Stands>, Unreachable> {
        if let Some(id) = learned {
            return self.get(&format!("/authorizations/{id}")).await;
        }
        for key in keys(order, attempt) {
            // A key may be a challenge's, which the payer passed under the next one.
            let found: Option<Stands> = self.get(&format!("/by-key/{key}")).await?;
            if found.as_ref().is_some_and(|found| found.authorized > 0) {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn totals(&self, after: Option<&str>) -> Result<Totals, Unreachable> {
        let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
        let none = Totals {
            data: Vec::new(),
            has_more: false,
        };
        Ok(self
            .get(&format!("/totals?limit={TOTALS_PAGE}{after}"))
            .await?
            .unwrap_or(none))
    }

    /// The newest authorisation.
    async fn newest(&self) -> Result<Option<String>, Unreachable> {
        let mut newest: Option<String> = None;
        loop {
            let page = self.totals(newest.as_deref()).await?;
            newest = page.data.last().map(|stands| stands.id.clone()).or(newest);
            if !page.has_more {
                return Ok(newest);
            }
        }
    }
}

/// The keys of the messages by which an attempt asks the issuer for money.
fn keys(order: &Order, attempt: &Attempt) -> impl Iterator<Item = String> {
    let key = Key::new(order.id, StepName::authorize(attempt.number));
    ASKING.into_iter().map(move |message| key.uuid(message).to_string())
}

/// Holds the database of a provider whose rail is the issuer's to the issuer's book.
pub async fn against_issuer(store: &dyn Store, issuer: &Issuer, report: Report<'_>) -> Result<Compared, Unreachable> {
    // What is newer than this may belong to an order that is made while we look.
    let newest = issuer.newest().await?;
    let mut side = Ours::default();
    let mut compared = Compared::default();
    let mut after = None;
    loop {
        let rows = store.orders_after(after, PAGE).await?;
        for row in &rows {
            let mut findings = side.order(store, issuer, row, &mut compared).await?;
            for _ in 0..READS_MAX {
                if findings.is_empty() {
                    break;
                }
                let Some(row) = read(store, row.id).await? else { break };
                let again = side.order(store, issuer, &row, &mut Compared::default()).await?;
                let agree = again == findings;
                findings = again;
                if agree {
                    break;
                }
            }
            findings.into_iter().for_each(&mut *report);
        }
        if rows.len() < PAGE as usize {
            break;
        }
        after = rows.last().map(|row| row.id);
    }
    side.theirs(store, issuer, newest, &mut compared, report).await?;
    Ok(compared)
}

async fn read(store: &dyn Store, order: OrderId) -> Result<Option<OrderRow>, Fault> {
    let wanted = Wanted {
        orders: vec![order],
        ..Wanted::default()
    };
    Ok(store.load(&wanted).await?.orders.pop())
}

/// What our side says about authorisations.
#[derive(Default)]
struct Ours {
    /// Connections that the issuer answers.
    connections: BTreeSet<ConnectionId>,
    /// Keys of messages that may be out: as many as orders are in flight.
    open: BTreeSet<String>,
    /// Authorisations that orders know and lists do not yet: as many as readers are behind.
    unlisted: BTreeSet<String>,
}

impl Ours {
    async fn order(
        &mut self,
        store: &dyn Store,
        issuer: &Issuer,
        row: &OrderRow,
        compared: &mut Compared,
    ) -> Result<Vec<Finding>, Unreachable> {
        let Ok(view) = whole::view(store, row).await? else {
            return Ok(Vec::new()); // the audit of the record says so
        };
        let order = &view.order;
        let (mut findings, mut charged) = (Vec::new(), 0);
        for (_, attempt) in order.attempts().filter(|(_, attempt)| attempt.plan.rail == ISSUER_RAIL) {
            self.connections.insert(attempt.plan.connection);
            let learned = view.memos.get(&attempt.number).and_then(|memo| memo.get(AUTHORIZATION));
            if let Some(id) = learned {
                let reference = ProviderRef {
                    connection: attempt.plan.connection,
                    kind: AUTHORIZATION.to_owned(),
                    id: id.clone(),
                };
                if store.order_of_ref(&reference).await?.is_none() {
                    self.unlisted.insert(id.clone());
                }
            }
            if !order.in_flight().is_empty() {
                self.open.extend(keys(order, attempt));
                compared.moving += 1;
                continue;
            }
            compared.attempts += 1;
            let theirs = issuer.of_attempt(order, attempt, learned).await?;
            if theirs.is_none() && learned.is_some() {
                findings.push(finding(
                    row,
                    format!(
                        "the issuer does not know the authorisation of attempt {}",
                        attempt.number
                    ),
                ));
            }
            let sums = theirs.as_ref().map_or((0, 0), |theirs| (theirs.money(), theirs.held()));
            if theirs
                .as_ref()
                .is_some_and(|theirs| theirs.currency != order.due.currency().code())
            {
                findings.push(finding(row, "the issuer has it in another currency".to_owned()));
            }
            charged += usize::from(sums.0 > 0 || sums.1 > 0);
            findings.extend(differs(row, attempt, sums, "the issuer"));
        }
        if charged > 1 && status::attention(order).is_empty() {
            findings.push(finding(
                row,
                format!("{charged} attempts of it are charged or held at the issuer, and nobody was called"),
            ));
        }
        Ok(findings)
    }

    /// Authorisations that no order of ours knows.
    async fn theirs(
        &self,
        store: &dyn Store,
        issuer: &Issuer,
        newest: Option<String>,
        compared: &mut Compared,
        report: Report<'_>,
    ) -> Result<(), Unreachable> {
        let mut after: Option<String> = None;
        while after != newest {
            let page = issuer.totals(after.as_deref()).await?;
            for stands in &page.data {
                after = Some(stands.id.clone());
                compared.theirs += 1;
                if stands.authorized > 0 && !self.knows(store, stands).await? {
                    report(Finding {
                        law: Law::Issuer,
                        tenant: None,
                        order: None,
                        version: None,
                        what: format!(
                            "the issuer approved {} ({} {} taken, {} held) under key {}, and no order knows it",
                            stands.id,
                            stands.money(),
                            stands.currency,
                            stands.held(),
                            stands.key
                        ),
                    });
                }
                if after == newest {
                    return Ok(());
                }
            }
            if !page.has_more {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn knows(&self, store: &dyn Store, stands: &Stands) -> Result<bool, Fault> {
        if self.open.contains(&stands.key) || self.unlisted.contains(&stands.id) {
            return Ok(true);
        }
        for connection in &self.connections {
            let reference = ProviderRef {
                connection: *connection,
                kind: AUTHORIZATION.to_owned(),
                id: stands.id.clone(),
            };
            if store.order_of_ref(&reference).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Holds the product's database to that of the pretend provider, which is a database of ours too: the same code over the issuer.
pub async fn against_provider(
    ours: &dyn Store,
    provider: &dyn Store,
    report: Report<'_>,
) -> Result<Compared, Unreachable> {
    let mut compared = Compared::default();
    let mut after = None;
    loop {
        let rows = ours.orders_after(after, PAGE).await?;
        for row in &rows {
            let mut findings = with_provider(ours, provider, row, &mut compared).await?;
            for _ in 0..READS_MAX {
                if findings.is_empty() {
                    break;
                }
                let Some(row) = read(ours, row.id).await? else { break };
                let again = with_provider(ours, provider, &row, &mut Compared::default()).await?;
                let agree = again == findings;
                findings = again;
                if agree {
                    break;
                }
            }
            findings.into_iter().for_each(&mut *report);
        }
        if rows.len() < PAGE as usize {
            break;
        }
        after = rows.last().map(|row| row.id);
    }
    after = None;
    loop {
        let rows = provider.orders_after(after, PAGE).await?;
        for row in &rows {
            compared.theirs += 1;
            for _ in 0..2 {
                let Some(finding) = of_provider(ours, provider, row.id).await? else {
                    break;
                };
                let again = of_provider(ours, provider, row.id).await?;
                if again.as_ref() == Some(&finding) {
                    report(finding);
                    break;
                }
            }
        }
        if rows.len() < PAGE as usize {
            return Ok(compared);
        }
        after = rows.last().map(|row| row.id);
    }
}

async fn with_provider(
    ours: &dyn Store,
    provider: &dyn Store,
    row: &OrderRow,
    compared: &mut Compared,
) -> Result<Vec<Finding>, Unreachable> {
    let Ok(view) = whole::view(ours, row).await? else {
        return Ok(Vec::new());
    };
    let mut findings = Vec::new();
    for (_, attempt) in view
        .order
        .attempts()
        .filter(|(_, attempt)| attempt.plan.rail == PROVIDER_RAIL)
    {
        let Some(intent) = view.memos.get(&attempt.number).and_then(|memo| memo.get(INTENT)) else {
            // Nothing was ever made there that we know of; what we do not know of is found from the other side.
            findings.extend(differs(row, attempt, (0, 0), "the provider"));
            continue;
        };
        let Some(theirs) = order_of(intent) else {
            continue; // another provider gave it that name
        };
        let Some(theirs) = read(provider, theirs).await? else {
            let what = format!("the provider does not know the intent of attempt {}", attempt.number);
            findings.push(finding(row, what));
            continue;
        };
        let Ok(theirs) = whole::view(provider, &theirs).await? else {
            continue; // the audit of that database says so
        };
        if !view.order.in_flight().is_empty() || !theirs.order.in_flight().is_empty() {
            compared.moving += 1;
            continue;
        }
        compared.attempts += 1;
        findings.extend(differs(row, attempt, stands(&theirs.order), "the provider"));
    }
    Ok(findings)
}

/// The provider's order behind an intent: its name with another prefix.
fn order_of(intent: &str) -> Option<OrderId> {
    format!("{}_{}", OrderId::PREFIX, intent.strip_prefix("pi_")?)
        .parse()
        .ok()
}

/// Money and hold of a provider's payment.
fn stands(order: &Order) -> (i128, i128) {
    order
        .winner()
        .map_or((0, 0), |winner| (ledger::receivable(winner), winner.held()))
}

/// A payment at the provider that was made for us, and of which we know nothing.
async fn of_provider(ours: &dyn Store, provider: &dyn Store, id: OrderId) -> Result<Option<Finding>, Unreachable> {
    let wanted = Wanted {
        orders: vec![id],
        details: vec![id],
        ..Wanted::default()
    };
    let found = provider.load(&wanted).await?;
    let Some(theirs) = found
        .orders
        .first()
        .and_then(|row| snapshot::read_whole(row, &found.details).ok())
    else {
        return Ok(None);
    };
    let Some(key) = theirs
        .details
        .metadata
        .get(MARK)
        .and_then(|key| key.parse::<Key>().ok())
    else {
        return Ok(None); // somebody else's
    };
    let (money, held) = stands(&theirs.order);
    if (money, held) == (0, 0) || !theirs.order.in_flight().is_empty() {
        return Ok(None);
    }
    let what = |known: &str| format!("the provider has {money} taken and {held} held in its order {id}, and {known}");
    let lost = |what: String| Finding {
        law: Law::Issuer,
        tenant: None,
        order: Some(key.order()),
        version: None,
        what,
    };
    let Some(row) = read(ours, key.order()).await? else {
        return Ok(Some(lost(what("our order is not there"))));
    };
    let Ok(view) = whole::view(ours, &row).await? else {
        return Ok(None);
    };
    let intent = view.memos.get(&key.step().attempt).and_then(|memo| memo.get(INTENT));
    let known = intent.and_then(|intent| order_of(intent)) == Some(id);
    let open = !view.order.in_flight().is_empty();
    Ok((!known && !open).then(|| lost(what("our attempt knows nothing of it"))))
}

/// What an attempt and somebody else's book do not agree in.
fn differs(row: &OrderRow, attempt: &Attempt, (money, held): (i128, i128), whose: &str) -> Option<Finding> {
    let ours = (ledger::receivable(attempt), attempt.held());
    (ours != (money, held)).then(|| {
        let number = attempt.number;
        let what = format!(
            "attempt {number} stands with {} taken and {} held in our books; {whose} has {money} and {held}",
            ours.0, ours.1
        );
        finding(row, what)
    })
}

fn finding(row: &OrderRow, what: String) -> Finding {
    super::readers::finding(Law::Issuer, row, what)
}
