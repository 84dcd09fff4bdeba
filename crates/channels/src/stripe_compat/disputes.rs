//! `/v1/disputes`: disputes of orders. The pretend provider takes evidence too, and knows Stripe's two words that decide a dispute; at a
//! merchant's own door disputes are read only, and evidence goes to the provider.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use florin_core::id::OrderId;
use florin_core::order::Verdict;
use florin_core::status;
use florin_services::directory::Scope;
use florin_services::view::View;
use florin_store::{IdemKey, Marks};
use serde_json::Value;

use super::asking::{ask, before, describing, finish, read_out};
use super::expand::Shown;
use super::gate::{Answer, Get, Post};
use super::intents::kept;
use super::lists::{self, Orders, Page};
use super::note::DisputeNote;
use super::params::{Field, Given, Kind, LIST, may};
use super::reader::Reader;
use super::refunds::filtered;
use super::shape::{self, Scene, Seen};
use super::wrong::Wrong;
use super::{Arbiter, Door, ids};

const FILTER: &[Field] = &[
    may("charge", Kind::Text),
    may("created", Kind::Range),
    may("payment_intent", Kind::Text),
];

/// Evidence in words; files cannot be uploaded here.
const EVIDENCE: &[Field] = &[
    may("access_activity_log", Kind::Text),
    may("billing_address", Kind::Text),
    may("cancellation_policy_disclosure", Kind::Text),
    may("cancellation_rebuttal", Kind::Text),
    may("customer_email_address", Kind::Text),
    may("customer_name", Kind::Text),
    may("customer_purchase_ip", Kind::Text),
    may("duplicate_charge_explanation", Kind::Text),
    may("duplicate_charge_id", Kind::Text),
    may("product_description", Kind::Text),
    may("refund_policy_disclosure", Kind::Text),
    may("refund_refusal_explanation", Kind::Text),
    may("service_date", Kind::Text),
    may("shipping_address", Kind::Text),
    may("shipping_carrier", Kind::Text),
    may("shipping_date", Kind::Text),
    may("shipping_tracking_number", Kind::Text),
    may("uncategorized_text", Kind::Text),
];
const UPDATE: &[Field] = &[
    may("evidence", Kind::Object(EVIDENCE)),
    may("metadata", Kind::Metadata),
    may("submit", Kind::Bool),
];
/// The evidence in which Stripe's test mode looks for a word, and the words.
const DECIDES: &str = "uncategorized_text";
const WINNING: &str = "winning_evidence";
const LOSING: &str = "losing_evidence";
/// How long a call waits until the order knows what its bank decided, and how often it looks.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

fn none(id: &str) -> Wrong {
    Wrong::missing("dispute", id).at("dispute")
}

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("dispute"))?;
    let reader = Reader::new(&door, caller.tenant);
    ids::part_of("dp", &id).ok_or_else(|| none(&id))?;
    let object = reader.object(&id).await?.ok_or_else(|| none(&id))?;
    read_out(&reader, object, &given).await
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST, FILTER], Shown::List("dispute"))?;
    let reader = Reader::new(&door, caller.tenant);
    let orders = Orders {
        only: filtered(&given)?,
        having: Marks::DISPUTED,
        ..Orders::default()
    };
    let wanted = |dispute: &Value| given.text("charge").is_none_or(|charge| dispute["charge"] == charge);
    let order_of = |id: &str| ids::part_of("dp", id).map(|(order, _)| order);
    let objects = |seen: &Seen<'_>, scene: Scene<'_>| -> Vec<Value> { shape::dispute::all(seen, scene) };
    let (data, more) = lists::of_orders(&reader, &Page::of(&given)?, orders, order_of, objects, wanted).await?;
    read_out(&reader, shape::list("/v1/disputes", data, more), &given).await
}

pub(super) async fn update(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[UPDATE], Shown::One("dispute"))?;
    let reader = Reader::new(&door, caller.tenant);
    let arbiter = arbiter(&door)?;
    let (order, index) = ids::part_of("dp", &id).ok_or_else(|| none(&id))?;
    let _turn = reader.turn(order, || none(&id)).await?;
    let view = match open_dispute(&reader, &id).await {
        Ok(view) => view,
        Err(wrong) => return decided_before(&reader, key.as_ref(), wrong, &id, &given).await,
    };
    let (mut details, mut note) = kept(&view);
    let said = note.disputes.entry(index).or_default();
    let submitted = change(said, &given)?;
    let words = said.evidence.get(DECIDES).cloned().unwrap_or_default();
    note.keep(&mut details);
    let replayed = if key.is_some() || details != *view.details {
        ask(&reader, key, describing(&view, details)).await?.replayed
    } else {
        false
    };
    let decided = match words.trim() {
        WINNING => Some(true),
        LOSING => Some(false),
        _ => None,
    };
    if let Some(won) = decided.filter(|_| submitted) {
        decide(&door, arbiter, &view, index, won).await?;
    }
    shown(&reader, &id, &given, replayed).await
}

/// The merchant accepts: the dispute is lost.
pub(super) async fn close(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Pay, &[], Shown::One("dispute"))?;
    let reader = Reader::new(&door, caller.tenant);
    let arbiter = arbiter(&door)?;
    let (order, index) = ids::part_of("dp", &id).ok_or_else(|| none(&id))?;
    let _turn = reader.turn(order, || none(&id)).await?;
    let view = match open_dispute(&reader, &id).await {
        Ok(view) => view,
        Err(wrong) => return decided_before(&reader, key.as_ref(), wrong, &id, &given).await,
    };
    // The key is kept before the bank decides, so that a repeat is known as one whatever becomes of this call.
    let mut replayed = false;
    if key.is_some() {
        replayed = ask(&reader, key, describing(&view, (*view.details).clone()))
            .await?
            .replayed;
    }
    decide(&door, arbiter, &view, index, false).await?;
    shown(&reader, &id, &given, replayed).await
}

/// The answer of the same call, if it had the bank decide; else why a dispute that is closed is not changed.
async fn decided_before(
    reader: &Reader<'_>,
    key: Option<&IdemKey>,
    wrong: Wrong,
    id: &str,
    given: &Given,
) -> Result<Answer, Wrong> {
    before(reader, key, wrong).await?;
    shown(reader, id, given, true).await
}

fn arbiter(door: &Door) -> Result<&dyn Arbiter, Wrong> {
    door.arbiter.as_deref().ok_or_else(|| {
        Wrong::invalid("Disputes are answered at the provider that took the payment; this server shows them.")
    })
}

/// The order of a dispute that nobody has decided.
async fn open_dispute(reader: &Reader<'_>, id: &str) -> Result<Arc<View>, Wrong> {
    let (order, index) = ids::part_of("dp", id).ok_or_else(|| none(id))?;
    let view = reader.view(order).await?.ok_or_else(|| none(id))?;
    match verdict(&view, index).ok_or_else(|| none(id))? {
        Verdict::Open => Ok(view),
        Verdict::Won | Verdict::Lost => Err(Wrong::invalid("This dispute is already closed.")),
    }
}

fn verdict(view: &View, index: u8) -> Option<Verdict> {
    let disputes = status::disputes(&view.order);
    disputes.iter().find(|one| one.index == index).map(|one| one.verdict)
}

/// Takes over what the caller says. Answers whether it is handed in: evidence is, unless the caller says that it is a draft.
fn change(said: &mut DisputeNote, given: &Given) -> Result<bool, Wrong> {
    let before = said.evidence.clone();
    if let Some(evidence) = given.table("evidence") {
        for field in EVIDENCE {
            let mut text = said.evidence.remove(field.name);
            evidence.change_text(field.name, &mut text);
            said.evidence.extend(text.map(|text| (field.name.to_owned(), text)));
        }
    }
    given.change_metadata("metadata", &mut said.metadata)?;
    let submitted = given.flag("submit").unwrap_or(given.has("evidence")) && !said.evidence.is_empty();
    if submitted && (said.submissions == 0 || said.evidence != before) {
        said.submissions = said.submissions.saturating_add(1);
    }
    Ok(submitted)
}

/// Has the bank decide, and waits a moment until the order knows of it.
async fn decide(door: &Door, arbiter: &dyn Arbiter, view: &View, index: u8, won: bool) -> Result<(), Wrong> {
    let disputes = status::disputes(&view.order);
    let dispute = disputes.iter().find(|one| one.index == index).ok_or_else(Wrong::ours)?;
    let memo = view.memos.get(&dispute.attempt).ok_or_else(Wrong::ours)?;
    arbiter.decide(memo, dispute.id, won).await.map_err(|why| {
        tracing::warn!(why, "a dispute could not be decided");
        Wrong::later(503, "The bank cannot be reached; try again.", 1)
    })?;
    let (tenant, order) = (view.tenant, view.order.id);
    let known = async {
        while still_open(door, tenant, order, index).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // It is decided anyway; who reads the dispute later sees it.
    let _ = tokio::time::timeout(KNOWN_WITHIN, known).await;
    Ok(())
}

async fn still_open(door: &Door, tenant: florin_store::Tenant, order: OrderId, index: u8) -> bool {
    let view = door.doors.engine.view(tenant, order).await;
    view.is_ok_and(|view| verdict(&view, index) == Some(Verdict::Open))
}

async fn shown(reader: &Reader<'_>, id: &str, given: &Given, replayed: bool) -> Result<Answer, Wrong> {
    let reader = Reader::new(reader.door, reader.tenant);
    let object = reader.object(id).await?.ok_or_else(|| none(id))?;
    Ok(finish(&reader, object, given, replayed).await)
}
