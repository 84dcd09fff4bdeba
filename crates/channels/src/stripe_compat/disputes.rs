//! `/v1/disputes`: disputes of orders, to be read. Evidence is sent at the provider's own pages.

use axum::extract::{Path, State};
use serde_json::Value;

use super::asking::finish;
use super::gate::{Answer, Get};
use super::lists::{self, Orders, Page};
use super::params::{Field, Kind, LIST, may};
use super::reader::Reader;
use super::refunds::filtered;
use super::shape::{self, Scene, Seen};
use super::wrong::Wrong;
use super::{Door, ids};

const FILTER: &[Field] = &[
    may("charge", Kind::Text),
    may("created", Kind::Range),
    may("payment_intent", Kind::Text),
];

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[])?;
    let reader = Reader::new(&door, caller.tenant);
    let none = || Wrong::missing("dispute", &id).at("dispute");
    ids::part_of("dp", &id).ok_or_else(none)?;
    let object = reader.object(&id).await?.ok_or_else(none)?;
    finish(&reader, object, &given, false).await
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER])?;
    let reader = Reader::new(&door, caller.tenant);
    let orders = Orders {
        only: filtered(&given)?,
        ..Orders::default()
    };
    let wanted = |dispute: &Value| given.text("charge").is_none_or(|charge| dispute["charge"] == charge);
    let order_of = |id: &str| ids::part_of("dp", id).map(|(order, _)| order);
    let objects = |seen: &Seen<'_>, scene: Scene<'_>| -> Vec<Value> { shape::dispute::all(seen, scene) };
    let (data, more) = lists::of_orders(&reader, &Page::of(&given)?, orders, order_of, objects, wanted).await?;
    finish(&reader, shape::list("/v1/disputes", data, more), &given, false).await
}
