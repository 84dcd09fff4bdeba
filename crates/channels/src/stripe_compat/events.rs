//! `/v1/events`, and the bodies of webhooks to endpoints that speak Stripe: what happened to orders, in Stripe's words.
//!
//! An event of ours may be several of Stripe's ([`names`]); here is what each of them shows, and whether an order has the thing that it is
//! about. Documents keep no history: of them nothing is told.

use std::sync::Arc;

use axum::extract::{Path, State};
use florin_core::id::OrderId;
use florin_core::order::{Kind as OrderKind, Phase, Standing};
use florin_core::rail::Instrument;
use florin_core::status;
use florin_services::ask::Denied;
use florin_services::engine::Told;
use florin_services::notify::stripe::{all_names, id, names, parse, wants};
use florin_services::snapshot::Named;
use florin_services::told;
use florin_store::{Cursor, EventRow, FeedSearch};
use serde_json::{Value, json};

use super::asking::read_out;
use super::expand::Shown;
use super::gate::{Answer, Get, is_part};
use super::lists::{self, Collect, Page};
use super::params::{Field, Kind, LIST, may};
use super::reader::Reader;
use super::shape::{self, Scene, Seen};
use super::wrong::Wrong;
use super::{Door, DoorKind, VERSION};
use crate::lists::Room;
use crate::remembered::{LIST_BYTES_MAX, Remembered, bytes_of_all};
use crate::teller::StripeWords;

const FILTER: &[Field] = &[
    may("created", Kind::Range),
    may("type", Kind::Short(100)),
    may("types", Kind::List(&Kind::Short(100))),
];
/// Event rows that one call looks through when it has found some; beyond that it says that there is more. And rows of which it reads the
/// order, found some or none.
const SCAN_MAX: usize = 2_000;
/// Rows that it looks through while it has found none: nobody can go on behind an empty page. Of rows whose names are not wanted no order is
/// read.
const SCAN_EMPTY_MAX: usize = 20_000;

/// Events in Stripe's words, for webhooks. `origin` is where the pages of the door are.
pub fn words(origin: &str, kind: DoorKind) -> StripeWords {
    let origin = origin.trim_end_matches('/').to_owned();
    Arc::new(move |told, index| {
        let scene = Scene {
            origin: &origin,
            cards: kind.cards(),
            tariff: kind.tariff(),
            now: told.at,
        };
        event(told, scene, index)
    })
}

/// The how-manieth of Stripe's events that an event of ours may be; none if it is not that one.
fn event(told: &Told, scene: Scene<'_>, index: usize) -> Option<Value> {
    let name = *names(&told.name).get(index)?;
    if told.order.order.terms.kind != OrderKind::Payment {
        return None;
    }
    let object = object(told, scene, name)?;
    let previous = previous(told, name, &object);
    let live = Seen::new(&told.order).live();
    let mut event = envelope(&id(&told.id, index), name, told.at.seconds(), object, live);
    event["request"]["idempotency_key"] = json!(told.key.as_deref().filter(|key| !is_part(key)));
    if let Some(previous) = previous {
        event["data"]["previous_attributes"] = previous;
    }
    Some(event)
}

/// What changed members were before. Of a charge that was refunded, merchants read how much of it went back this time.
fn previous(told: &Told, name: &str, charge: &Value) -> Option<Value> {
    if name != "charge.refunded" {
        return None;
    }
    let index = u8::try_from(told.part?.number).ok()?;
    let refunds = status::refunds(&told.order.order);
    let refund = refunds.iter().find(|refund| refund.index == index)?;
    let before = charge["amount_refunded"].as_i64()? - shape::amount(refund.amount);
    let mut previous = json!({ "amount_refunded": before });
    if charge["refunded"] == true {
        previous["refunded"] = json!(false);
    }
    Some(previous)
}

fn envelope(id: &str, name: &str, created: i64, object: Value, live: bool) -> Value {
    json!({
        "id": id,
        "object": "event",
        "api_version": VERSION,
        "created": created,
        "data": { "object": object },
        "livemode": live,
        "pending_webhooks": 0,
        "request": { "id": null, "idempotency_key": null },
        "type": name,
    })
}

/// What an event of this name shows; none if the order has no such thing, or the name does not fit what happened.
fn object(told: &Told, scene: Scene<'_>, name: &str) -> Option<Value> {
    let seen = Seen::new(&told.order);
    let intent = || shape::intent::is_known(&seen).then(|| shape::intent::shape(&seen, scene));
    let number = told.part.and_then(|part| u8::try_from(part.number).ok());
    let on_page = seen.note.session.is_some();
    match name {
        "payment_intent.created" => {
            let first = match told.name.as_str() {
                "order.created" => !on_page,
                // The page's first attempt begins once, however often it is under way again after the payer was elsewhere.
                _ => {
                    number == Some(1) && on_page && seen.order().attempt(1).is_none_or(|(_, first)| first.actions == 0)
                }
            };
            first.then(intent).flatten()
        }
        "payment_intent.requires_action" => {
            let elsewhere =
                shape::intent::acting(&seen).is_none_or(|attempt| attempt.plan.instrument == Instrument::Hosted);
            (!elsewhere).then(intent).flatten()
        }
        "payment_intent.processing" => {
            let long = match &seen.order().phase {
                Phase::Pending(attempt) => matches!(attempt.standing, Standing::Waiting | Standing::Uncertain),
                Phase::Created | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_) => false,
            };
            long.then(intent).flatten()
        }
        "payment_intent.amount_capturable_updated" => (shape::intent_status(&seen) == "requires_capture")
            .then(intent)
            .flatten(),
        // The same word comes again when a refund comes back; the payment succeeded only once.
        "payment_intent.succeeded" => {
            let first = seen
                .order()
                .winner()
                .is_some_and(|winner| winner.charge.refunds.is_empty() && winner.charge.went_back() == 0);
            first.then(intent).flatten()
        }
        "payment_intent.canceled" => (shape::intent_status(&seen) == "canceled").then(intent).flatten(),
        "payment_intent.payment_failed" => intent(),
        "charge.succeeded" | "charge.failed" => {
            shape::charge::find(&seen, number?).map(|charge| shape::charge::shape(&seen, scene, charge))
        }
        "charge.captured" | "charge.refunded" => {
            let winner = seen.order().winner()?.number;
            shape::charge::find(&seen, winner).map(|charge| shape::charge::shape(&seen, scene, charge))
        }
        "checkout.session.completed" => {
            shape::session::shape(&seen, scene).filter(|session| session["status"] == "complete")
        }
        "checkout.session.expired" => {
            shape::session::shape(&seen, scene).filter(|session| session["status"] == "expired")
        }
        "charge.dispute.created" | "charge.dispute.closed" | "charge.dispute.funds_withdrawn" => {
            shape::dispute::find(&seen, scene, number?)
        }
        // What was never heard of as withdrawn is not given back.
        "charge.dispute.funds_reinstated" => {
            let disputes = status::disputes(seen.order());
            let dispute = disputes.iter().find(|dispute| Some(dispute.index) == number)?;
            dispute
                .amount
                .is_positive()
                .then(|| shape::dispute::find(&seen, scene, dispute.index))?
        }
        _ => shape::refund::find(&seen, scene, number?),
    }
}

// ---- routes ---------------------------------------------------------------------------------------------------------------------

fn none(id: &str) -> Wrong {
    Wrong::missing("event", id).at("id")
}

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("event"))?;
    let reader = Reader::new(&door, caller.tenant);
    let (ours, index) = parse(&id).ok_or_else(|| none(&id))?;
    let (order, _) = told::parse(ours).ok_or_else(|| none(&id))?;
    let events = events_of(&reader, order).await?;
    let found = events
        .iter()
        .find(|told| told.id == ours)
        .and_then(|told| event(told, reader.scene(), index));
    read_out(&reader, found.ok_or_else(|| none(&id))?, &given).await
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER], Shown::List("event"))?;
    let reader = Reader::new(&door, caller.tenant);
    let page = Page::of(&given)?;
    let wanted: Vec<String> = given.owned("type").into_iter().chain(given.texts("types")).collect();
    let (data, more) = of_orders(&reader, &page, &wanted).await?;
    read_out(&reader, shape::list("/v1/events", data, more), &given).await
}

/// One page of what happened to orders, newest first.
async fn of_orders(reader: &Reader<'_>, page: &Page, wanted: &[String]) -> Result<(Vec<Value>, bool), Wrong> {
    if !can_happen(wanted) {
        return Ok((Vec::new(), false));
    }
    reader.freshen().await;
    if let Some(before) = page.before() {
        return newer(reader, page, wanted, before).await;
    }
    let mut collect = Collect::new(page);
    let mut known = Remembered::new(LIST_BYTES_MAX);
    let mut search = lists::feed(reader.tenant, page);
    if let Some(after) = page.after() {
        let row = row_of(reader, "starting_after", after).await?;
        tell(reader, &mut known, &mut collect, wanted, &row).await?;
        collect.begin();
        search.after = Some(row.at);
    }
    let (mut scanned, mut read) = (0, 0);
    while !collect.is_full() {
        let rows = reader.door.doors.store.feed(&search).await?;
        for row in rows.iter().filter(|row| may_tell(row, wanted)) {
            tell(reader, &mut known, &mut collect, wanted, row).await?;
            read += 1;
        }
        scanned += rows.len();
        search.after = rows.last().map(|row| row.at);
        if rows.len() < search.limit as usize || search.after == Some(Cursor::START) {
            break;
        }
        if !goes_on(scanned, read, collect.is_empty())? {
            collect.cut_short();
            break;
        }
    }
    Ok(collect.done())
}

/// Whether events of orders can have one of these names: of most of Stripe's names nothing ever happens here.
fn can_happen(wanted: &[String]) -> bool {
    all_names().any(|name| wants(wanted, name))
}

/// Whether an event row may tell something that is wanted, by the names in it. One whose names do not read is read whole, where its damage is said.
fn may_tell(row: &EventRow, wanted: &[String]) -> bool {
    Named::of(row).map_or(true, |told| {
        let of_stripe = told.iter().flat_map(|one| names(&one.name));
        of_stripe.into_iter().any(|name| wants(wanted, name))
    })
}

/// Whether a search that has looked through so many rows, and read the orders of so many, goes on.
fn goes_on(scanned: usize, read: usize, found_none: bool) -> Result<bool, Wrong> {
    if scanned < SCAN_MAX || found_none && scanned < SCAN_EMPTY_MAX && read < SCAN_MAX {
        return Ok(true);
    }
    if !found_none {
        return Ok(false);
    }
    let message =
        format!("None of the next {scanned} changes is one that you look for. Narrow the list down with `created`.");
    Err(Wrong::invalid(message))
}

/// The page that ends before an event: the stream is read on from there, so that it does not matter how long ago it was.
async fn newer(reader: &Reader<'_>, page: &Page, wanted: &[String], before: &str) -> Result<(Vec<Value>, bool), Wrong> {
    let row = row_of(reader, "ending_before", before).await?;
    let mut known = Remembered::new(LIST_BYTES_MAX);
    let mut events = in_row(reader, &mut known, wanted, &row).await?;
    events.truncate(events.iter().position(|(id, _)| id == before).unwrap_or_default());
    let (mut found, mut room) = (Vec::new(), Room::of(page.limit));
    let mut more = !add_forwards(&mut found, &mut room, page, events);
    let mut search = FeedSearch {
        after: Some(row.at),
        oldest_first: true,
        ..lists::feed(reader.tenant, page)
    };
    let (mut scanned, mut read) = (0, 0);
    while !more {
        let rows = reader.door.doors.store.feed(&search).await?;
        for row in rows.iter().filter(|row| may_tell(row, wanted)) {
            more = !add_forwards(
                &mut found,
                &mut room,
                page,
                in_row(reader, &mut known, wanted, row).await?,
            );
            if more {
                break;
            }
            read += 1;
        }
        scanned += rows.len();
        if rows.len() < search.limit as usize {
            break;
        }
        if !goes_on(scanned, read, found.is_empty())? {
            more = true;
            break;
        }
        search.after = rows.last().map(|row| row.at);
    }
    found.reverse();
    Ok((found, more))
}

/// Adds the events of a row, and says whether all of them found room.
fn add_forwards(found: &mut Vec<Value>, room: &mut Room, page: &Page, events: Vec<(String, Option<Value>)>) -> bool {
    let wanted = events.into_iter().rev().filter_map(|(_, event)| event);
    for event in wanted.filter(|event| page.holds(event)) {
        if !room.takes(&event) {
            return false;
        }
        found.push(event);
    }
    true
}

/// The row of an event that a page begins or ends at.
async fn row_of(reader: &Reader<'_>, param: &str, event: &str) -> Result<EventRow, Wrong> {
    let missing = || Wrong::missing_at(param, "event", event);
    let ours = parse(event).map(|(ours, _)| ours);
    let (order, version) = ours.and_then(told::parse).ok_or_else(missing)?;
    if reader.view(order).await?.is_none() {
        return Err(missing());
    }
    let rows = reader.door.doors.store.events_of(order).await?;
    rows.into_iter().find(|row| row.version >= version).ok_or_else(missing)
}

/// Takes the events of one row.
async fn tell(
    reader: &Reader<'_>,
    known: &mut Remembered<Vec<Told>>,
    collect: &mut Collect<'_>,
    wanted: &[String],
    row: &EventRow,
) -> Result<(), Wrong> {
    if collect.is_full() {
        return Ok(());
    }
    for (id, event) in in_row(reader, known, wanted, row).await? {
        if collect.reaches(&id)
            && let Some(event) = event
        {
            collect.add(event);
        }
    }
    Ok(())
}

/// What Stripe would call the events of one row, newest first, and those of them that are wanted.
async fn in_row(
    reader: &Reader<'_>,
    known: &mut Remembered<Vec<Told>>,
    wanted: &[String],
    row: &EventRow,
) -> Result<Vec<(String, Option<Value>)>, Wrong> {
    if known.get(row.order).is_none() {
        let read = match reader.door.doors.engine.events(reader.tenant, row.order).await {
            Ok(read) => read,
            // An order whose record is damaged is frozen; the others are served.
            Err(Denied::NotFound | Denied::Damaged) => Vec::new(),
            Err(denied) => return Err(denied.into()),
        };
        let bytes = bytes_of_all(&read);
        known.put(row.order, read, bytes);
    }
    let events = known.get(row.order).map_or(&[][..], Vec::as_slice);
    let within = |told: &&Told| told.version <= row.version && told.version + row.count > row.version;
    let mut found = Vec::new();
    for told in events.iter().rev().filter(within) {
        for (index, name) in names(&told.name).iter().enumerate().rev() {
            let event = wants(wanted, name)
                .then(|| event(told, reader.scene(), index))
                .flatten();
            found.push((id(&told.id, index), event));
        }
    }
    Ok(found)
}

async fn events_of(reader: &Reader<'_>, order: OrderId) -> Result<Vec<Told>, Wrong> {
    match reader.door.doors.engine.events(reader.tenant, order).await {
        Ok(events) => Ok(events),
        Err(Denied::NotFound) => Ok(Vec::new()),
        Err(denied) => Err(denied.into()),
    }
}
