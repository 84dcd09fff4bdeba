//! `/v1/balance_transactions` and `/v1/balance`: what moved on the merchant's account, and what is left of it.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use florin_store::Marks;
use serde_json::{Value, json};

use super::asking::read_out;
use super::expand::Shown;
use super::gate::{Answer, Get};
use super::lists::{self, Orders, Page};
use super::params::{Field, Kind, LIST, may};
use super::reader::Reader;
use super::shape::{self, Scene, Seen};
use super::wrong::Wrong;
use super::{Door, ids, money};

const FILTER: &[Field] = &[
    may("created", Kind::Range),
    may("currency", Kind::Currency),
    may("source", Kind::Text),
    may("type", Kind::Text),
];
/// What a merchant is owed, and what of it a dispute holds back.
const OWED: [&str; 2] = ["merchant", "disputed"];
/// Shown when nothing has moved yet, as Stripe shows an account's own currency.
const NOTHING_YET: &str = "usd";

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("balance_transaction"))?;
    let reader = Reader::new(&door, caller.tenant);
    let none = || Wrong::missing("balance transaction", &id).at("id");
    ids::transaction_of(&id).ok_or_else(none)?;
    let object = reader.object(&id).await?.ok_or_else(none)?;
    read_out(&reader, object, &given).await
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER], Shown::List("balance_transaction"))?;
    let reader = Reader::new(&door, caller.tenant);
    let source = given.owned("source");
    let only = source.as_deref().map(|id| {
        let part = ["ch", "re", "dp"]
            .into_iter()
            .find_map(|prefix| ids::part_of(prefix, id));
        part.map(|(order, _)| order)
            .ok_or_else(|| Wrong::missing_at("source", "source", id))
    });
    let orders = Orders {
        only: only.transpose()?,
        having: match given.text("type") {
            Some("refund" | "refund_failure") => Marks::REFUNDED,
            Some("adjustment") => Marks::DISPUTED,
            Some(_) | None => Marks::PAID,
        },
        ..Orders::default()
    };
    let order_of = |id: &str| ids::transaction_of(id).map(|(order, _, _)| order);
    let objects = |seen: &Seen<'_>, scene: Scene<'_>| -> Vec<Value> { shape::transaction::all(seen, scene) };
    let wanted = |line: &Value| {
        ["currency", "source", "type"]
            .into_iter()
            .all(|name| given.text(name).is_none_or(|wanted| line[name] == wanted))
    };
    let (data, more) = lists::of_orders(&reader, &Page::of(&given)?, orders, order_of, objects, wanted).await?;
    read_out(&reader, shape::list("/v1/balance_transactions", data, more), &given).await
}

/// What the merchant is owed, by currency.
pub(super) async fn balance(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("balance"))?;
    let reader = Reader::new(&door, caller.tenant);
    reader.catch_up().await?;
    let (rows, _) = door.doors.store.balances(caller.tenant).await?;
    let mut owed: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows.iter().filter(|row| OWED.contains(&row.account.as_str())) {
        // The merchant's account is one that we owe: its balance is on the credit side, what is disputed on the debit side.
        let minor = i64::try_from(-row.posted).unwrap_or(i64::MAX);
        let amount = money::wire(florin_core::money::Money::new(minor, row.currency));
        let sum = owed.entry(money::code(row.currency)).or_default();
        *sum = sum.saturating_add(amount);
    }
    if owed.is_empty() {
        owed.insert(NOTHING_YET.to_owned(), 0);
    }
    let line = |(currency, amount): (&String, &i64)| json!({ "amount": amount, "currency": currency, "source_types": { "card": amount } });
    let nothing =
        |(currency, _): (&String, &i64)| json!({ "amount": 0, "currency": currency, "source_types": { "card": 0 } });
    let balance = json!({
        "object": "balance",
        "available": owed.iter().map(line).collect::<Vec<_>>(),
        "connect_reserved": owed.keys().map(|currency| json!({ "amount": 0, "currency": currency })).collect::<Vec<_>>(),
        "livemode": reader.mode() == florin_store::Mode::Live,
        "pending": owed.iter().map(nothing).collect::<Vec<_>>(),
    });
    read_out(&reader, balance, &given).await
}
