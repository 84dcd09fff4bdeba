//! What every call passes: who calls, whether they may, how often, under which idempotency key, and whether the body reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use florin_core::id::KeyId;
use florin_core::time::Timestamp;
use florin_services::directory::{Scope, hash_of};
use florin_store::{IdemKey, Tenant};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

use super::unread;
use crate::body::{self, Unread};
use crate::lists::{FREE_AFTER_S, LISTS_MAX, is_list};
use crate::problem::Problem;
use crate::{Doors, idempotency, request};

/// Keys whose use is counted at once; the oldest count is forgotten beyond it.
const COUNTED_KEYS_MAX: usize = 100_000;

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose orders they may touch.
    pub tenant: Tenant,
    /// The key they hold.
    pub key: KeyId,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// Whether the key has this scope.
    pub fn may(&self, scope: Scope) -> Result<(), Problem> {
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
        Err(Problem::new("forbidden", format!("this key lacks the scope `{word}`")))
    }
}

/// The layer in front looked this key up already, and nobody has it.
#[derive(Clone, Copy)]
struct OpensNothing;

impl FromRequestParts<Doors> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, doors: &Doors) -> Result<Self, Problem> {
        // The layer in front looked already, to count the call.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let wrong = || {
            Problem::new(
                "unauthorized",
                "the API key is not in force: mistyped, revoked, or rolled",
            )
        };
        if parts.extensions.get::<OpensNothing>().is_some() {
            return Err(wrong());
        }
        let secret = bearer(&parts.headers)?;
        let Some(key) = doors.directory.authenticate(secret).await? else {
            request::refused(secret);
            parts.extensions.insert(OpensNothing);
            return Err(wrong());
        };
        Ok(Self {
            tenant: key.tenant,
            key: key.id,
            scopes: key.scopes.clone(),
        })
    }
}

/// Stands before every call of `/v1`: counts it against its key's allowance, says in headers what is left, and that nobody on the way
/// keeps the answer.
pub async fn count(State((doors, meter)): State<(Doors, Meter)>, request: Request, next: Next) -> Response {
    let mut response = counted(&doors, &meter, request, next).await;
    let kept = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response
}

async fn counted(doors: &Doors, meter: &Meter, request: Request, next: Next) -> Response {
    let limit = doors.settings.requests_per_s;
    let (mut parts, body) = request.into_parts();
    let Ok(caller) = Caller::from_request_parts(&mut parts, doors).await else {
        // Not a merchant's key: the call itself says what it needs.
        return next.run(Request::from_parts(parts, body)).await;
    };
    let (key, tenant) = (caller.key, caller.tenant);
    parts.extensions.insert(caller);
    if limit == 0 {
        return placed(doors, tenant, parts, body, next).await;
    }
    let allowance = meter.count(key, limit, doors.directory.now());
    let mut response = if allowance.remaining.is_some() {
        placed(doors, tenant, parts, body, next).await
    } else {
        let detail = format!("this key may make {limit} requests a second");
        Problem::new("rate_limited", detail).after(1).into_response()
    };
    let left = allowance.remaining.unwrap_or(0);
    for (name, value) in [
        ("ratelimit-limit", limit),
        ("ratelimit-remaining", left),
        ("ratelimit-reset", 1),
    ] {
        response.headers_mut().insert(name, HeaderValue::from(value));
    }
    response
}

/// Runs the call; one that reads a list in a place of its own.
async fn placed(doors: &Doors, tenant: Tenant, parts: Parts, body: Body, next: Next) -> Response {
    if is_list(&parts) {
        let Some(place) = doors.list_of(tenant).await else {
            let detail = format!("{LISTS_MAX} lists of this merchant are being read, or their answers not fetched");
            return Problem::new("rate_limited", detail)
                .after(FREE_AFTER_S)
                .fix(format!(
                    "fetch each answer to its end, {LISTS_MAX} at once, and repeat the call after that"
                ))
                .into_response();
        };
        request::keep(place);
    }
    next.run(Request::from_parts(parts, body)).await
}

/// The holder of the installation's admin key.
#[derive(Clone, Copy, Debug)]
pub struct Admin;

impl FromRequestParts<Doors> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, doors: &Doors) -> Result<Self, Problem> {
        let given = hash_of(bearer(&parts.headers)?);
        let right = doors.settings.admin_key_hash.as_deref().unwrap_or_default();
        if !right.is_empty() && bool::from(given.as_bytes().ct_eq(right.as_bytes())) {
            request::administered();
            Ok(Self)
        } else {
            Err(
                Problem::new("unauthorized", "this call needs the installation's admin key")
                    .fix("send `Authorization: Bearer …` with the admin key; who runs this server has it"),
            )
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let value = value.ok_or_else(|| Problem::new("unauthorized", "there is no Authorization header"))?;
    let (scheme, secret) = value.split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") && !secret.trim().is_empty() {
        Ok(secret.trim())
    } else {
        Err(Problem::new(
            "unauthorized",
            "the Authorization header is not `Bearer` and a key",
        ))
    }
}

/// A POST: who, under which key, with what.
#[derive(Debug)]
pub struct Call<C> {
    /// Who calls.
    pub caller: C,
    /// The idempotency key, with the hash of method, path and body.
    pub key: Option<IdemKey>,
    body: Bytes,
}

impl<C: FromRequestParts<Doors, Rejection = Problem> + Send> FromRequest<Doors> for Call<C> {
    type Rejection = Problem;

    async fn from_request(request: Request, doors: &Doors) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = C::from_request_parts(&mut parts, doors).await?;
        let limit = doors.settings.body_bytes;
        let body = body::read(&parts.headers, body, limit)
            .await
            .map_err(|unread| match unread {
                Unread::TooLarge => Problem::new("body_too_large", format!("the body is larger than {limit} bytes")),
                Unread::BrokeOff => Problem::new(
                    "invalid_request",
                    "the body broke off, came too slowly, or its chunks do not read",
                ),
            })?;
        if !body.is_empty() && !is_json(&parts.headers) {
            return Err(Problem::new(
                "unsupported_media_type",
                "the body is not declared as application/json",
            ));
        }
        let key = only_key(&parts.headers)?;
        let key = key.map(|value| idem_key(value, &parts, &body)).transpose()?;
        Ok(Self { caller, key, body })
    }
}

impl<C> Call<C> {
    /// The body as `T`. An empty body reads as `{}`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let bytes: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        read(bytes)
    }

    /// The key, where money moves.
    pub fn needs_key(&self) -> Result<IdemKey, Problem> {
        self.key.clone().ok_or_else(|| {
            Problem::new("missing_key", "this call moves money and has no Idempotency-Key").at("Idempotency-Key")
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// The idempotency key, if there is one. Of two, nobody could say under which one the call is found again.
fn only_key(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let first = keys.next();
    if keys.next().is_some() {
        let detail = "there are several Idempotency-Key headers: send one";
        return Err(Problem::new("invalid_value", detail).at("Idempotency-Key"));
    }
    Ok(first)
}

fn idem_key(value: &HeaderValue, parts: &Parts, body: &[u8]) -> Result<IdemKey, Problem> {
    let text = idempotency::text(value).map_err(|why| {
        let detail = format!("the Idempotency-Key does not do: {why}");
        Problem::new("invalid_value", detail).at("Idempotency-Key")
    })?;
    let mut digest = Context::new(&SHA256);
    for part in [parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), body] {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.finish().as_ref());
    Ok(IdemKey {
        key: text.to_owned(),
        hash,
        earlier: None,
    })
}

/// JSON as `T`, or a problem that names the member.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A list would be read as the members in their order; a body is an object.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::new("invalid_request", "the body is a list: send an object"));
    }
    // Looked through once instead of string by string.
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    // Once more, slower: this time the way to the member is noted.
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value: T =
        serde_path_to_error::deserialize(&mut from).map_err(|error| unread::why(bytes, error.path(), error.inner()))?;
    from.end()
        .map_err(|error| Problem::new("invalid_request", format!("there is more after the body: {error}")))?;
    Ok(value)
}

/// Counts each key's requests by the second.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<HashMap<KeyId, (i64, u32)>>>);

/// What is left of a key's second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests a second.
    pub limit: u32,
    /// How many are left in this one; none: this request is one too many.
    pub remaining: Option<u32>,
}

impl Meter {
    /// Counts one request of a key.
    pub fn count(&self, key: KeyId, limit: u32, now: Timestamp) -> Allowance {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTED_KEYS_MAX && !counts.contains_key(&key) {
            counts.retain(|_, (second, _)| *second == now.seconds());
        }
        let entry = counts.entry(key).or_insert((now.seconds(), 0));
        if entry.0 != now.seconds() {
            *entry = (now.seconds(), 0);
        }
        entry.1 = entry.1.saturating_add(1);
        Allowance {
            limit,
            remaining: limit.checked_sub(entry.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::ask::OrderBody;
    use super::*;

    #[test]
    fn a_call_has_one_idempotency_key() {
        let mut headers = HeaderMap::new();
        assert_eq!(only_key(&headers).unwrap(), None);
        headers.append("idempotency-key", HeaderValue::from_static("a"));
        assert_eq!(only_key(&headers).unwrap(), Some(&HeaderValue::from_static("a")));
        headers.append("idempotency-key", HeaderValue::from_static("b"));
        let problem = only_key(&headers).unwrap_err();
        assert_eq!(problem.param.as_deref(), Some("Idempotency-Key"));
    }

    #[test]
    fn metadata_names_each_thing_once() {
        let body = |metadata: &str| {
            let body = format!(r#"{{"amount":1,"currency":"EUR","reference":"A","metadata":{metadata}}}"#);
            read::<OrderBody>(body.as_bytes())
        };
        assert_eq!(body(r#"{"a":"1","b":"2"}"#).unwrap().metadata.len(), 2);
        let problem = body(r#"{"a":"1","a":"2"}"#).unwrap_err();
        assert_eq!(
            (problem.code, problem.param.as_deref(), &*problem.detail),
            ("invalid_value", Some("metadata.a"), "`metadata.a` is there twice")
        );
        let problem = body(r#"{"a":1}"#).unwrap_err();
        assert_eq!(problem.param.as_deref(), Some("metadata.a"));
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Body {
        amount: i64,
        #[serde(default)]
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Line {
        quantity: u32,
    }

    #[test]
    fn a_body_that_does_not_read_is_answered_with_the_member_that_is_wrong() {
        for (body, code, param) in [
            (r#"{"amount":1,"captur":true}"#, "unknown_member", Some("captur")),
            (r"{}", "missing_member", Some("amount")),
            (r#"{"amount":"1"}"#, "invalid_value", Some("amount")),
            (r#"{"amount":1.5}"#, "invalid_value", Some("amount")),
            (r#"{"amount":1e400}"#, "invalid_value", Some("amount")),
            (
                r#"{"amount":1,"lines":[{"quantity":-1}]}"#,
                "invalid_value",
                Some("lines[0].quantity"),
            ),
            (
                r#"{"amount":1,"lines":[{"quantity":1,"colour":2}]}"#,
                "unknown_member",
                Some("lines[0].colour"),
            ),
            (
                r#"{"amount":1,"lines":[{}]}"#,
                "missing_member",
                Some("lines[0].quantity"),
            ),
            ("{", "invalid_request", None),
            (r#"{"amount":1"#, "invalid_request", None),
            (r#"{"amount":}"#, "invalid_request", None),
            ("1", "invalid_request", None),
            (r#"{"amount":1} x"#, "invalid_request", None),
            ("", "invalid_request", None),
            ("\u{0}", "invalid_request", None),
            (r#"{"amount":1,"amount":2}"#, "invalid_value", Some("amount")),
        ] {
            let problem = read::<Body>(body.as_bytes()).unwrap_err();
            assert_eq!(
                (problem.code, problem.param.as_deref()),
                (code, param),
                "{body}: {}",
                problem.detail
            );
        }
    }

    #[test]
    fn a_key_may_make_as_many_requests_a_second_as_are_allowed() {
        let (meter, key) = (Meter::default(), KeyId::from_uuid(uuid::Uuid::nil()));
        let at = Timestamp::from_millis(10_500);
        assert_eq!(meter.count(key, 2, at).remaining, Some(1));
        assert_eq!(meter.count(key, 2, at).remaining, Some(0));
        assert_eq!(meter.count(key, 2, at).remaining, None);
        assert_eq!(meter.count(key, 2, Timestamp::from_millis(11_000)).remaining, Some(1));
    }
}
