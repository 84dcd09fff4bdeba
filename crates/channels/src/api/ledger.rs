//! Balances and ledger entries: where the money is.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use florin_core::id::{ConnectionId, Part, PartId};
use florin_core::ledger::{Posting, PostingPhase};
use florin_services::directory::Scope;
use florin_services::snapshot::{Named, event_ids};
use florin_services::told;
use florin_store::{BalanceRow, EventRow, FeedSearch};
use serde::Serialize;
use utoipa::ToSchema;

use super::gate::Caller;
use super::orders::order_id;
use super::params::Params;
use super::shapes::{List, rest, rfc3339};
use crate::Doors;
use crate::problem::Problem;

/// One movement between two accounts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EntryShape {
    /// Its id: the version of the order that it came with, and its place in there.
    pub id: String,
    /// `ledger_entry`.
    pub object: &'static str,
    /// The order.
    pub order: String,
    /// The first event that told of what it came with (`GET /v1/events/{id}`); null where none did, as of a fee that was heard later.
    pub event: Option<String>,
    /// What it is for: `sale`, `refund`, `fee`, …
    #[schema(value_type = String)]
    pub template: serde_json::Value,
    /// Where it goes.
    pub debit: AccountShape,
    /// Where it comes from.
    pub credit: AccountShape,
    /// How much, in minor units; always more than zero.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// `posted`, `pended` (reserved) or `released` (no longer reserved).
    pub phase: &'static str,
    /// When.
    pub created_at: String,
}

/// An account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccountShape {
    /// `receivable`, `merchant`, `refunds_moving`, `disputed`, `suspense`, `fees`, `payout_moving` or `bank`.
    pub account: &'static str,
    /// At which provider.
    pub connection: String,
}

/// The balance of one account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BalanceShape {
    /// `balance`.
    pub object: &'static str,
    /// The account.
    pub account: String,
    /// At which provider.
    pub connection: String,
    /// ISO 4217.
    pub currency: String,
    /// Debits less credits, in minor units. A text when it leaves 53 bits would lose digits in many programs, so it always is one.
    #[schema(pattern = "^-?[0-9]+$")]
    pub posted: String,
    /// The same for what is reserved.
    #[schema(pattern = "^-?[0-9]+$")]
    pub pending: String,
}

/// All balances of the merchant in this mode.
#[utoipa::path(get, path = "/v1/balances", tag = "ledger",
    responses((status = 200, description = "All of them", body = List<BalanceShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn balances(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<BalanceShape>>, Problem> {
    caller.may(Scope::Read)?;
    Params::read(query.as_deref(), &[])?;
    doors.catch_up().await?;
    let (rows, _) = doors.store.balances(caller.tenant).await.map_err(Problem::from)?;
    Ok(Json(List {
        data: rows.iter().map(BalanceShape::of).collect(),
        has_more: false,
    }))
}

/// Ledger entries, newest first (`order=oldest` for oldest first).
#[utoipa::path(get, path = "/v1/ledger_entries", tag = "ledger",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query, description = "The last id of the page before"),
        ("from" = Option<String>, Query, description = "At or after"), ("to" = Option<String>, Query, description = "Before"),
        ("order" = Option<String>, Query, description = "`newest` first, or `oldest`")),
    responses((status = 200, description = "A page", body = List<EntryShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<EntryShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &["from", "to", "order"])?;
    let limit = params.limit()?;
    let oldest_first = params.word("order", &["newest", "oldest"])? == Some("oldest");
    let mut entries = Vec::new();
    let after = params.text("after");
    let start = match &after {
        Some(id) => Some(entry_row(&doors, &caller, id).await?),
        None => None,
    };
    if let (Some(row), Some(id)) = (&start, &after) {
        entries = rest(EntryShape::of_row(row, oldest_first)?, id, |entry: &EntryShape| {
            &entry.id
        });
    }
    let search = FeedSearch {
        tenant: caller.tenant,
        money: true,
        from: params.time("from")?,
        to: params.time("to")?,
        after: start.map(|row| row.at),
        oldest_first,
        limit: limit + 1,
    };
    doors.catch_up().await?;
    for row in doors.store.feed(&search).await.map_err(Problem::from)? {
        entries.extend(EntryShape::of_row(&row, oldest_first)?);
    }
    Ok(Json(List::page(entries, limit)))
}

/// Ledger entries of an order, newest first.
#[utoipa::path(get, path = "/v1/orders/{id}/ledger_entries", tag = "ledger",
    params(("id" = String, Path, description = "The order"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<EntryShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn of_order(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<EntryShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &[])?;
    let order = doors.engine.view(caller.tenant, order_id(&id)?).await?.order.id;
    let mut all = Vec::new();
    for row in doors.store.events_of(order).await.map_err(Problem::from)? {
        all.extend(EntryShape::of_row(&row, true)?);
    }
    all.reverse();
    List::of_all(all, &params, |entry| entry.id.clone()).map(Json)
}

/// The event row of a ledger entry's id, `evt_…-3`.
async fn entry_row(doors: &Doors, caller: &Caller, id: &str) -> Result<EventRow, Problem> {
    let wrong = || Problem::new("invalid_value", "there is no ledger entry of this id").at("after");
    let (event, _) = id.split_once('-').ok_or_else(wrong)?;
    let (order, version) = told::parse(event).ok_or_else(wrong)?;
    doors.engine.view(caller.tenant, order).await.map_err(|_| wrong())?;
    let rows = doors.store.events_of(order).await.map_err(Problem::from)?;
    rows.into_iter().find(|row| row.version == version).ok_or_else(wrong)
}

impl EntryShape {
    /// The entries of one event row, in the order in which they were posted or the other way round.
    fn of_row(row: &EventRow, oldest_first: bool) -> Result<Vec<Self>, Problem> {
        let Some(text) = &row.postings else {
            return Ok(Vec::new());
        };
        let postings: Vec<Posting> = serde_json::from_str(text)
            .map_err(|_| Problem::new("record_damaged", "the postings of an order do not read"))?;
        let names = Named::of(row).map_err(|_| Problem::new("record_damaged", "the news of an order do not read"))?;
        let event = event_ids(row.order, &names).into_iter().next();
        let version = PartId {
            kind: Part::Event,
            order: row.order,
            number: u16::try_from(row.version).unwrap_or(u16::MAX),
        }
        .to_string();
        let account = |account: florin_core::ledger::Account, connection: ConnectionId| AccountShape {
            account: account.as_str(),
            connection: connection.to_string(),
        };
        let shape = |(at, posting): (usize, &Posting)| Self {
            id: format!("{version}-{}", at + 1),
            object: "ledger_entry",
            order: row.order.to_string(),
            event: event.clone(),
            template: serde_json::to_value(posting.template).unwrap_or_default(),
            debit: account(posting.debit, posting.connection),
            credit: account(posting.credit, posting.connection),
            amount: posting.amount.minor(),
            currency: posting.amount.currency().to_string(),
            phase: match posting.phase {
                PostingPhase::Posted => "posted",
                PostingPhase::Pended => "pended",
                PostingPhase::Released => "released",
            },
            created_at: rfc3339(row.time),
        };
        let mut entries: Vec<Self> = postings.iter().enumerate().map(shape).collect();
        if !oldest_first {
            entries.reverse();
        }
        Ok(entries)
    }
}

impl BalanceShape {
    fn of(row: &BalanceRow) -> Self {
        Self {
            object: "balance",
            account: row.account.clone(),
            connection: row.connection.to_string(),
            currency: row.currency.to_string(),
            posted: row.posted.to_string(),
            pending: row.pending.to_string(),
        }
    }
}
