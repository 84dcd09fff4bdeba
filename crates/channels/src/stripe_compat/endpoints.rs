//! `/v1/webhook_endpoints`: where a merchant wants Stripe's events. Endpoints that speak our own words are `/v1` of the native API.

use axum::extract::{Path, State};
use florin_core::id::EndpointId;
use florin_services::directory::{Dialect, Endpoint, Scope, Sealed};
use florin_services::notify::{ENDPOINT_SECRET, sign};
use serde_json::json;

use super::asking::{finish, read_out, was_asked};
use super::expand::Shown;
use super::gate::{Answer, Get, Post};
use super::lists::{self, Page};
use super::params::{Field, Given, Kind, LIST, TEXT_CHARS_MAX, empty, may, must};
use super::reader::Reader;
use super::shape::endpoint::EVERY;
use super::shape::{customer, endpoint, list as shape_list};
use super::wrong::Wrong;
use super::{Door, VERSION, event_names, ids};
use crate::api::endpoints::{INSIDE, is_forbidden};

const FIELDS: &[Field] = &[
    may("description", Kind::Prose(TEXT_CHARS_MAX)),
    may("metadata", Kind::Metadata),
];
const NEW: &[Field] = &[
    may("api_version", Kind::Word(&[VERSION])),
    must("enabled_events", Kind::List(&Kind::Short(100))),
    must("url", Kind::Url),
];
const CHANGED: &[Field] = &[
    may("disabled", Kind::Bool),
    may("enabled_events", Kind::List(&Kind::Short(100))),
    may("url", Kind::Url),
];

fn none(id: &str) -> Wrong {
    Wrong::missing("webhook endpoint", id).at("webhook_endpoint")
}

pub(super) async fn create(State(door): State<Door>, post: Post) -> Result<Answer, Wrong> {
    let (caller, key, given) = post.read(Scope::Manage, &[FIELDS, NEW], Shown::One("webhook_endpoint"))?;
    let reader = Reader::new(&door, caller.tenant);
    let directory = &door.doors.directory;
    let id = EndpointId::from_uuid(directory.new_uuid());
    let secret = sign::new_secret();
    let keyring = door.doors.engine.keyring();
    let mut fresh = Endpoint {
        id,
        tenant: caller.tenant,
        url: reachable(&door, given.owned("url").unwrap_or_default())?,
        events: Vec::new(),
        description: None,
        dialect: Dialect::Stripe,
        secrets: vec![Sealed {
            sealed: keyring.seal(ENDPOINT_SECRET, &secret),
            until: None,
        }],
        enabled: true,
        door: Default::default(),
        created_at: directory.now(),
    };
    if let Err(wrong) = change(&given, &mut fresh)
        && !was_asked(&reader, key.as_ref()).await?
    {
        return Err(wrong);
    }
    let made = directory.make(Some(caller.tenant), fresh, key).await?;
    // A replay gives the secret again: the caller asked under the same key because it lost the answer.
    let kept = made
        .document
        .secrets
        .first()
        .and_then(|sealed| keyring.open(ENDPOINT_SECRET, &sealed.sealed).ok());
    let mut object = endpoint::shape(&made.document);
    object["secret"] = json!(kept.as_ref().map(|secret| secret.expose())); // shown to its owner, once per key
    Ok(finish(&reader, object, &given, made.replayed).await)
}

pub(super) async fn retrieve(State(door): State<Door>, Path(id): Path<String>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[], Shown::One("webhook_endpoint"))?;
    let reader = Reader::new(&door, caller.tenant);
    let known = door.endpoint(caller.tenant, &id).ok_or_else(|| none(&id))?;
    read_out(&reader, endpoint::shape(&known), &given).await
}

pub(super) async fn update(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, _, given) = post.read(Scope::Manage, &[FIELDS, CHANGED], Shown::One("webhook_endpoint"))?;
    let reader = Reader::new(&door, caller.tenant);
    let known = door.endpoint(caller.tenant, &id).ok_or_else(|| none(&id))?;
    let url = given.owned("url").map(|url| reachable(&door, url)).transpose()?;
    let changed = |endpoint: &mut Endpoint| -> Result<(), Wrong> {
        change(&given, endpoint)?;
        endpoint.url = url.clone().unwrap_or_else(|| endpoint.url.clone());
        endpoint.enabled = given.flag("disabled").map_or(endpoint.enabled, |disabled| !disabled);
        Ok(())
    };
    let changed = door
        .doors
        .directory
        .change_if(Some(caller.tenant), &known.id.to_string(), changed)
        .await?;
    Ok(finish(&reader, endpoint::shape(&changed), &given, false).await)
}

pub(super) async fn delete(State(door): State<Door>, Path(id): Path<String>, post: Post) -> Result<Answer, Wrong> {
    let (caller, _, _) = post.read(Scope::Manage, &[], Shown::One("webhook_endpoint"))?;
    let known = door.endpoint(caller.tenant, &id).ok_or_else(|| none(&id))?;
    door.doors
        .directory
        .remove::<Endpoint>(Some(caller.tenant), &known.id.to_string())
        .await?;
    Ok(customer::deleted(&id, "webhook_endpoint").into())
}

pub(super) async fn list(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[LIST], Shown::List("webhook_endpoint"))?;
    let reader = Reader::new(&door, caller.tenant);
    let ours = |endpoint: &Endpoint| (endpoint.dialect == Dialect::Stripe).then(|| endpoint::shape(endpoint));
    let id_of = |id: &str| ids::endpoint_of(id).map(|id| id.to_string());
    let (data, more) = lists::of_documents(&reader, &Page::of(&given)?, None, id_of, ours).await?;
    read_out(&reader, shape_list("/v1/webhook_endpoints", data, more), &given).await
}

/// An address that a webhook may go to: over TLS and not inside the operator's network, unless the operator allows private ones.
fn reachable(door: &Door, url: String) -> Result<String, Wrong> {
    let wrong = |why: &str| {
        Wrong::invalid(format!("Invalid URL: {why}."))
            .code("url_invalid")
            .at("url")
    };
    let tls = url
        .get(..8)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    if !tls && !door.doors.settings.allow_private_webhooks {
        return Err(wrong("webhooks go to https:// addresses only"));
    }
    if is_forbidden(&door.doors, &url) {
        return Err(wrong(INSIDE));
    }
    Ok(url)
}

fn change(given: &Given, endpoint: &mut Endpoint) -> Result<(), Wrong> {
    given.change_text("description", &mut endpoint.description);
    if given.has("enabled_events") {
        let events = given.texts("enabled_events");
        if events.is_empty() {
            return Err(empty("enabled_events"));
        }
        for (at, name) in events.iter().enumerate() {
            if let Some(why) = event_names::refusal(name).filter(|_| name != EVERY) {
                let path = format!("enabled_events[{at}]");
                return Err(Wrong::invalid(format!("Invalid {path}: {why}")).at(&path));
            }
        }
        endpoint.events = if events.iter().any(|event| event == EVERY) {
            Vec::new()
        } else {
            events
        };
    }
    if given.has("metadata") {
        let kept = endpoint.door.get("metadata").cloned().unwrap_or_default();
        let mut metadata = serde_json::from_value(kept).unwrap_or_default();
        given.change_metadata("metadata", &mut metadata)?;
        endpoint.door.insert("metadata".to_owned(), json!(metadata));
    }
    Ok(())
}
