//! `/v1/charges`: attempts of orders that reached the card's bank.

use axum::extract::{Path, State};
use florin_services::directory::Scope;
use florin_store::Marks;
use serde_json::Value;

use super::asking::{ask, describing, finish, read_out};
use super::expand::Shown;
use super::gate::{Answer, Get, Post};
use super::intents::kept;
use super::lists::{self, Orders, Page};
use super::params::{Field, Kind, LIST, may};
use super::reader::Reader;
use super::refunds::filtered;
use super::shape::{self, Scene, Seen};
use super::wrong::Wrong;
use super::{Door, ids};

const UPDATE: &[Field] = &[may("metadata", Kind::Metadata)];
const FILTER: &[Field] = &[
    may("created", Kind::Range),
    may("customer", Kind::Text),
    may("payment_intent", Kind::Text),
];

fn none(id: &str) -> Wrong {
    Wrong::missing("charge", id).at("id")
}

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("charge"))?;
    let reader = Reader::new(&door, caller.tenant);
    ids::part_of("ch", &id).ok_or_else(|| none(&id))?;
    let object = reader.object(&id).await?.ok_or_else(|| none(&id))?;
    read_out(&reader, object, &given).await
}

pub(super) async fn update(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, _, given) = post.read(Scope::Pay, &[UPDATE], Shown::One("charge"))?;
    let reader = Reader::new(&door, caller.tenant);
    let (order, attempt) = ids::part_of("ch", &id).ok_or_else(|| none(&id))?;
    let _turn = reader.turn(order, || none(&id)).await?;
    let view = reader.view(order).await?.ok_or_else(|| none(&id))?;
    let mut seen = reader.seen(&view).await?;
    let charge = shape::charge::find(&seen, attempt).ok_or_else(|| none(&id))?;
    let (mut details, mut note) = kept(&view);
    let metadata = note
        .charges
        .entry(attempt)
        .or_insert_with(|| view.details.metadata.clone());
    given.change_metadata("metadata", metadata)?;
    note.keep(&mut details);
    if details != *view.details {
        ask(&reader, None, describing(&view, details)).await?;
    }
    seen.note = note;
    Ok(finish(
        &reader,
        shape::charge::shape(&seen, reader.scene(), charge),
        &given,
        false,
    )
    .await)
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER], Shown::List("charge"))?;
    let reader = Reader::new(&door, caller.tenant);
    let orders = Orders {
        only: filtered(&given)?,
        customer: given.owned("customer"),
        having: Marks::CHARGED,
        ..Orders::default()
    };
    let order_of = |id: &str| ids::part_of("ch", id).map(|(order, _)| order);
    let objects = |seen: &Seen<'_>, scene: Scene<'_>| -> Vec<Value> {
        let all = shape::charge::all(seen).into_iter().rev();
        all.map(|charge| shape::charge::shape(seen, scene, charge)).collect()
    };
    let (data, more) = lists::of_orders(&reader, &Page::of(&given)?, orders, order_of, objects, lists::every).await?;
    read_out(&reader, shape::list("/v1/charges", data, more), &given).await
}
