//! What every call passes: who calls, whether they may and how often, under which idempotency key, with which form; and what every answer
//! carries.

use aws_lc_rs::digest::{Context, SHA256};
use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use florin_core::id::KeyId;
use florin_services::base64;
use florin_services::dice;
use florin_services::directory::Scope;
use florin_store::{IdemKey, Tenant};
use serde_json::Value;

use super::expand::{self, Shown};
use super::form::{self, Form};
use super::params::{Field, Given, read};
use super::wrong::{Kind, Wrong};
use super::{Door, VERSION};
use crate::body::{self, Unread};
use crate::lists::{FREE_AFTER_S, LISTS_MAX, is_list};
use crate::{idempotency, request};

/// Characters of a wrong key that are shown again, for people to tell which one it was.
const SHOWN_CHARS: usize = 4;

/// Who calls.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) tenant: Tenant,
    key: KeyId,
    scopes: Vec<Scope>,
}

impl Caller {
    /// Whether the key may do this.
    pub(super) fn may(&self, scope: Scope) -> Result<(), Wrong> {
        if scope == Scope::Manage {
            request::managed(self.key, self.tenant);
        }
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let word = match scope {
            Scope::Read => "read",
            Scope::Pay => "pay",
            Scope::Refund => "refund",
            Scope::Manage => "manage",
        };
        let message = format!(
            "The provided key does not have the required permissions for this endpoint: it lacks the scope `{word}`."
        );
        Err(Wrong::new(403, Kind::Request, message).code("more_permissions_required"))
    }
}

impl FromRequestParts<Door> for Caller {
    type Rejection = Wrong;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Wrong> {
        let secret = secret_of(&parts.headers)?;
        let known = door.doors.directory.authenticate(&secret).await?;
        let key = known.ok_or_else(|| {
            request::refused(&secret);
            Wrong::new(
                401,
                Kind::Request,
                format!("Invalid API Key provided: {}", masked(&secret)),
            )
        })?;
        if parts.headers.contains_key("stripe-account") {
            let message = "The provided key does not have access to another account: this server has no Connect.";
            return Err(Wrong::new(403, Kind::Request, message).code("account_invalid"));
        }
        let limit = door.doors.settings.requests_per_s;
        let allowed = limit == 0
            || door
                .meter
                .count(key.id, limit, door.doors.engine.now())
                .remaining
                .is_some();
        if !allowed {
            return Err(Wrong::later(429, "Too many requests made to the API too quickly", 1).code("rate_limit"));
        }
        Ok(Self {
            tenant: key.tenant,
            key: key.id,
            scopes: key.scopes.clone(),
        })
    }
}

/// The secret of `Bearer` or, as curl's `-u` sends it, `Basic` with the key as user.
fn secret_of(headers: &HeaderMap) -> Result<String, Wrong> {
    let missing = || {
        let message = "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth \
                       (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').";
        Wrong::new(401, Kind::Request, message)
    };
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(missing)?;
    let (scheme, rest) = value.split_once(' ').ok_or_else(missing)?;
    let secret = if scheme.eq_ignore_ascii_case("bearer") {
        Some(rest.trim().to_owned())
    } else if scheme.eq_ignore_ascii_case("basic") {
        let bytes = base64::decode(rest.trim()).and_then(|bytes| String::from_utf8(bytes).ok());
        bytes.and_then(|text| text.split_once(':').map(|(user, _)| user.to_owned()))
    } else {
        None
    };
    secret.filter(|secret| !secret.is_empty()).ok_or_else(missing)
}

/// A key that opens nothing, for people to see which one they sent.
fn masked(secret: &str) -> String {
    let kind = ["sk_test_", "sk_live_", "rk_test_", "rk_live_", "pk_test_", "pk_live_"]
        .into_iter()
        .find(|kind| secret.starts_with(kind));
    let chars = secret.chars().count();
    let tail: String = secret.chars().skip(chars.saturating_sub(SHOWN_CHARS)).collect();
    let tail = if chars > 4 * SHOWN_CHARS { tail } else { String::new() };
    format!("{}****{tail}", kind.unwrap_or_default())
}

/// A call that reads: who, and with which parameters.
#[derive(Debug)]
pub(super) struct Get {
    pub(super) caller: Caller,
    form: Form,
}

/// A call that changes something: who, under which idempotency key, and with which parameters.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) caller: Caller,
    pub(super) key: Option<IdemKey>,
    form: Form,
}

impl Get {
    /// The parameters, held against tables and against what is shown.
    pub(super) fn read(self, tables: &[&'static [Field]], shown: Shown) -> Result<(Caller, Given), Wrong> {
        self.caller.may(Scope::Read)?;
        let given = read(self.form, tables)?;
        expand::check(shown, &given)?;
        given.nothing_empty()?; // an empty filter is a mistake, not a wish for everything
        Ok((self.caller, given))
    }
}

impl Post {
    /// The parameters, held against tables and against what is shown, of somebody who may do this.
    pub(super) fn read(
        self,
        scope: Scope,
        tables: &[&'static [Field]],
        shown: Shown,
    ) -> Result<(Caller, Option<IdemKey>, Given), Wrong> {
        self.caller.may(scope)?;
        let given = read(self.form, tables)?;
        expand::check(shown, &given)?; // a 400 says that nothing was done: afterwards it would be too late
        Ok((self.caller, self.key, given))
    }
}

impl FromRequestParts<Door> for Get {
    type Rejection = Wrong;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Wrong> {
        let caller = Caller::from_request_parts(parts, door).await?;
        if is_list(parts) {
            let place = door.doors.list_of(caller.tenant).await.ok_or_else(|| {
                let message = format!(
                    "Too many lists at once: {LISTS_MAX} of this account are being read, or their answers not fetched. Fetch each answer to \
                     its end and try again."
                );
                Wrong::later(429, message, FREE_AFTER_S).code("rate_limit")
            })?;
            request::keep(place);
        }
        Ok(Self {
            caller,
            form: form::parse(parts.uri.query().unwrap_or_default().as_bytes())?,
        })
    }
}

impl FromRequest<Door> for Post {
    type Rejection = Wrong;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Wrong> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, door).await?;
        let limit = door.doors.settings.body_bytes;
        let body = body::read(&parts.headers, body, limit)
            .await
            .map_err(|unread| match unread {
                Unread::TooLarge => Wrong::new(413, Kind::Request, format!("The request is larger than {limit} bytes")),
                Unread::BrokeOff => {
                    Wrong::invalid("The request's body broke off, came too slowly, or its chunks do not read")
                }
            })?;
        if !body.is_empty() && !is_form(&parts.headers) {
            let message = "Invalid request (check that your POST content type is application/x-www-form-urlencoded).";
            return Err(Wrong::invalid(message));
        }
        let mut text = body.to_vec();
        if let Some(query) = parts.uri.query() {
            text.push(b'&');
            text.extend_from_slice(query.as_bytes());
        }
        let key = parts.headers.get("idempotency-key").map(key_text).transpose()?;
        let form = form::parse(&text)?;
        Ok(Self {
            caller,
            key: key.map(|key| idem_key(key, &parts, &form, &body)),
            form,
        })
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn key_text(value: &HeaderValue) -> Result<String, Wrong> {
    let text = idempotency::text(value).map_err(|why| {
        let message = format!("Your Idempotency-Key does not do: {why}.");
        Wrong::invalid(message).at("Idempotency-Key")
    })?;
    Ok(text.to_owned())
}

/// A key belongs to the parameters, in whatever order they came: a client whose tables have no order writes another one after a restart.
fn idem_key(key: String, parts: &Parts, form: &Form, body: &[u8]) -> IdemKey {
    let (method, path) = (parts.method.as_str().as_bytes(), parts.uri.path());
    // Until 2026-11-23 keys were bound to the bytes of the form, and they are kept for 30 days and as long as the order that they made.
    let target = parts.uri.path_and_query().map_or(path, |target| target.as_str());
    IdemKey {
        key,
        hash: hash(&[b"parameters", method, path.as_bytes(), &form::canonical(form)]),
        earlier: Some(Box::new(hash(&[method, target.as_bytes(), body]))),
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.finish().as_ref());
    hash
}

/// What the key of a part of a call begins with. Nobody can send it: it is a control character.
const PART: char = '\u{1f}';

/// Whether a key is that of a part of a call, which its caller has never seen.
pub(super) fn is_part(key: &str) -> bool {
    key.starts_with(PART)
}

/// The key of one part of a call that is several of ours.
pub(super) fn part_of(key: Option<&IdemKey>, part: &str) -> Option<IdemKey> {
    key.map(|key| {
        let name = dice::hex(&hash(&[key.key.as_bytes(), part.as_bytes()]));
        IdemKey {
            key: format!("{PART}part of a call {name}"),
            hash: key.hash,
            earlier: key.earlier.clone(),
        }
    })
}

/// An object, and whether the same call had it before.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) object: Value,
    pub(super) replayed: bool,
}

impl From<Value> for Answer {
    fn from(object: Value) -> Self {
        Self {
            object,
            replayed: false,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Json(self.object).into_response();
        if self.replayed {
            response
                .headers_mut()
                .insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

/// What every answer carries: its name and the version that it is in.
pub(super) async fn stamp(request: Request, next: Next) -> Response {
    let key = request.headers().get("idempotency-key").cloned();
    let id = format!("req_{}", dice::hex(&dice::random::<8>()));
    let mut response = request::watched("stripe", id.clone(), request, next, bare).await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("request-id", id);
    }
    headers.insert("stripe-version", HeaderValue::from_static(VERSION));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    if let Some(key) = key {
        headers.insert("idempotency-key", key);
    }
    response
}

/// What no call of ours answered: an address that is no UTF-8.
fn bare(status: StatusCode) -> Response {
    let message = "Invalid request: the address is not encoded as UTF-8.";
    Wrong::new(status.as_u16(), Kind::Request, message).into_response()
}

/// There is no such call, and no such page.
pub(super) async fn unrecognised(State(door): State<Door>, method: Method, uri: Uri) -> Response {
    if uri.path().starts_with("/c/") || uri.path().starts_with("/challenge/") {
        return door.unknown();
    }
    let message = format!("Unrecognized request URL ({method}: {}).", form::shown(uri.path()));
    Wrong::new(404, Kind::Request, message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_key_comes_as_bearer_or_as_the_user_of_basic() {
        assert_eq!(secret_of(&headers("Bearer sk_test_1")).unwrap(), "sk_test_1");
        let basic = format!("Basic {}", base64::encode(b"sk_test_1:"));
        assert_eq!(secret_of(&headers(&basic)).unwrap(), "sk_test_1");
        for odd in ["Bearer ", "Basic !!", "Digest a", "sk_test_1", ""] {
            assert_eq!(secret_of(&headers(odd)).unwrap_err().status, 401, "{odd}");
        }
    }

    #[test]
    fn a_wrong_key_is_not_shown_whole() {
        assert_eq!(masked("sk_test_abcdefghijklmnop"), "sk_test_****mnop");
        assert_eq!(masked("hello"), "****");
    }

    #[test]
    fn the_parts_of_a_call_have_keys_of_their_own() {
        let key = IdemKey {
            key: "k".into(),
            hash: [7; 32],
            earlier: Some(Box::new([8; 32])),
        };
        let (one, other) = (
            part_of(Some(&key), "amend").unwrap(),
            part_of(Some(&key), "describe").unwrap(),
        );
        assert_ne!(one.key, other.key);
        assert_eq!(one, part_of(Some(&key), "amend").unwrap());
        assert_eq!((one.hash, one.earlier), (key.hash, key.earlier.clone()));
        assert!(is_part(&one.key) && !is_part(&key.key));
        let sent = HeaderValue::from_bytes(one.key.as_bytes());
        assert!(
            sent.is_err() || idempotency::text(&sent.unwrap()).is_err(),
            "a caller could send it"
        );
    }
}
