//! The doors: the issuer's protocol, JSON over HTTP on loopback.
//!
//! | route | asks | answers |
//! | --- | --- | --- |
//! | `POST /authorizations` | `{key, card, amount, currency, capture, three_ds?, description?}` | [`Authorized`](crate::message::Authorized) |
//! | `POST /authorizations/{id}/capture` | `{key, amount, final?}` (`final` is true unless said otherwise) | [`Operated`](crate::message::Operated) |
//! | `POST /authorizations/{id}/cancel` | `{key}` | the same |
//! | `POST /authorizations/{id}/refund` | `{key, amount, reference?}` | the same |
//! | `POST /authorizations/{id}/dispute` | `{key, amount}`: by hand | the same |
//! | `POST /authorizations/{id}/close-dispute` | `{key, won}`: by hand | the same |
//! | `GET /authorizations/{id}` | | [`View`](crate::message::View) |
//! | `GET /by-key/{key}` | | the view of an authorisation, or the step as it stands, or 404 |
//! | `GET /book?after=12&limit=100` | `after`: `seq` of an entry | `{"data":[entry…],"has_more":bool}`: the lines of the file |
//! | `GET /totals?after=iss_000012&limit=100` | `after`: an authorisation | [`Totals`](crate::message::Totals) |
//! | `POST /faults`, `GET /faults`, `DELETE /faults`, `DELETE /faults/{id}` | [`Rule`] | [`Armed`](crate::faults::Armed) |
//!
//! A decline, a challenge and a refused step are answers: 200, the `status` says so. Errors are
//! `{"error":"key_reused","detail":"a sentence"}`: 400 `bad_request`, 404 `not_found`, 409 `key_reused`, 422
//! `unknown_card`, 503 `busy` and `stopped`, 507 `full`; none of them moved anything. Repeating a request under its key is
//! always safe. A challenge is asked again under another key, with `three_ds` as it came out.
//!
//! What happens later by itself (disputes, refunds that end another way than they began) is told by [`crate::courier`].
//!
//! [`control`] has all routes, and faults strike there; [`read_only`] has the four GETs about money and always tells the
//! truth.

mod faulty;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cards;
use crate::clerk::Clerk;
use crate::entry::{Authentication, AuthorizationId, Currency, Key, Text};
use crate::faults::{Faults, Rule, Target};
use crate::message::{Authorize, Operate, Step, Trouble};

pub(crate) use faulty::Cut;

/// Largest body: the longest request has a key, a description and five short members.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 500;

/// Longest reference, in bytes: a name, as long as a key.
const REFERENCE_BYTES_MAX: usize = crate::entry::KEY_BYTES_MAX;

/// Entries on a page unless asked otherwise.
const PAGE_DEFAULT: usize = 100;

/// Entries on a page at most: half a megabyte.
const PAGE_MAX: usize = 1_000;

#[derive(Clone)]
struct Door {
    clerk: Clerk,
    faults: Faults,
}

/// All routes, for the provider that stands in front of this issuer. Anybody who reaches it can move money: keep it on
/// loopback. Serve it with [`crate::serve::serve`]: faults that reset a connection need that loop.
pub fn control(clerk: Clerk, faults: Faults) -> Router {
    Router::new()
        .route("/authorizations", post(authorize))
        .route("/authorizations/{id}/{step}", post(operate))
        .route("/faults", get(list_faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", axum::routing::delete(remove_fault))
        .merge(reading())
        .fallback(no_route)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Door { clerk, faults })
}

/// The routes that only read, for a checker who holds our figures against the issuer's. No faults.
pub fn read_only(clerk: Clerk) -> Router {
    reading().fallback(no_route).with_state(Door {
        clerk,
        faults: Faults::default(),
    })
}

fn reading() -> Router<Door> {
    Router::new()
        .route("/authorizations/{id}", get(view))
        .route("/by-key/{key}", get(by_key))
        .route("/book", get(book))
        .route("/totals", get(totals))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizeBody {
    key: Key,
    card: String,
    amount: i64,
    currency: Currency,
    capture: bool,
    #[serde(default)]
    three_ds: Authentication,
    #[serde(default)]
    description: Option<Text>,
}

async fn authorize(State(door): State<Door>, body: Bytes) -> Response {
    faulty::play(door.faults.draw(Target::Authorize), async move {
        let ask: AuthorizeBody = parse(&body)?;
        let card = cards::by_name(&ask.card).ok_or(Refused::UnknownCard)?;
        if ask
            .description
            .as_ref()
            .is_some_and(|text| text.as_str().len() > DESCRIPTION_BYTES_MAX)
        {
            return Err(misuse(format!(
                "`description` has more than {DESCRIPTION_BYTES_MAX} bytes"
            )));
        }
        let AuthorizeBody {
            key,
            amount,
            currency,
            capture,
            three_ds,
            description,
            ..
        } = ask;
        let ask = Authorize {
            key,
            card,
            amount,
            currency,
            capture,
            three_ds,
            description,
        };
        Ok(json(&door.clerk.authorize(ask).await?))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaptureBody {
    key: Key,
    amount: i64,
    #[serde(rename = "final", default = "yes")]
    last: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    key: Key,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AmountBody {
    key: Key,
    amount: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundBody {
    key: Key,
    amount: i64,
    #[serde(default)]
    reference: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseBody {
    key: Key,
    won: bool,
}

async fn operate(State(door): State<Door>, Path((id, step)): Path<(String, String)>, body: Bytes) -> Response {
    let fault = match step.as_str() {
        "capture" => door.faults.draw(Target::Capture),
        "cancel" => door.faults.draw(Target::Cancel),
        "refund" => door.faults.draw(Target::Refund),
        _ => None,
    };
    faulty::play(fault, async move {
        let authorization = parse_id(&id)?;
        let mut named = None;
        let (key, step) = match step.as_str() {
            "capture" => {
                let CaptureBody { key, amount, last } = parse(&body)?;
                (key, Step::Capture { amount, last })
            }
            "cancel" => (parse::<KeyBody>(&body)?.key, Step::Cancel),
            "refund" => {
                let RefundBody { key, amount, reference } = parse(&body)?;
                let longest = reference.as_ref().map_or(0, |reference| reference.as_str().len());
                if longest > REFERENCE_BYTES_MAX {
                    return Err(misuse(format!("`reference` has more than {REFERENCE_BYTES_MAX} bytes")));
                }
                named = reference;
                (key, Step::Refund { amount })
            }
            "dispute" => {
                let AmountBody { key, amount } = parse(&body)?;
                (key, Step::Dispute { amount })
            }
            "close-dispute" => {
                let CloseBody { key, won } = parse(&body)?;
                (key, Step::CloseDispute { won })
            }
            _ => return Err(Refused::NoRoute),
        };
        Ok(json(
            &door
                .clerk
                .operate(Operate {
                    key,
                    authorization,
                    step,
                    reference: named,
                })
                .await?,
        ))
    })
    .await
}

async fn view(State(door): State<Door>, Path(id): Path<String>) -> Response {
    faulty::play(door.faults.draw(Target::Read), async move {
        let id = parse_id(&id)?;
        Ok(json(&door.clerk.view(id).await?))
    })
    .await
}

async fn by_key(State(door): State<Door>, Path(key): Path<String>) -> Response {
    faulty::play(door.faults.draw(Target::Read), async move {
        let key = Key::parse(&key).ok_or_else(|| misuse("a key is 1 to 64 visible ASCII characters"))?;
        Ok(json(&door.clerk.by_key(key).await?))
    })
    .await
}

/// A page; `after` is the last thing that the caller has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page<T> {
    after: Option<T>,
    limit: Option<usize>,
}

impl<T> Page<T> {
    fn limit(&self) -> Result<usize, Refused> {
        let limit = self.limit.unwrap_or(PAGE_DEFAULT);
        let fits = (1..=PAGE_MAX).contains(&limit);
        if fits {
            Ok(limit)
        } else {
            Err(misuse(format!("`limit` is between 1 and {PAGE_MAX}")))
        }
    }
}

type Asked<T> = Result<Query<Page<T>>, axum::extract::rejection::QueryRejection>;

async fn book(State(door): State<Door>, query: Asked<u64>) -> Result<Response, Refused> {
    let Query(query) = query.map_err(|error| misuse(error.body_text()))?;
    let (lines, has_more) = door.clerk.page(query.after.unwrap_or(0), query.limit()?).await?;
    let mut body = Vec::with_capacity(lines.len() + 32);
    body.extend_from_slice(b"{\"data\":[");
    body.extend_from_slice(&lines);
    body.extend_from_slice(format!("],\"has_more\":{has_more}}}").as_bytes());
    Ok(json_bytes(body))
}

async fn totals(State(door): State<Door>, query: Asked<AuthorizationId>) -> Result<Response, Refused> {
    let Query(query) = query.map_err(|error| misuse(error.body_text()))?;
    let after = query.after.map_or(0, |id| id.0);
    Ok(json(&door.clerk.totals(after, query.limit()?).await?))
}

async fn add_fault(State(door): State<Door>, body: Bytes) -> Result<Response, Refused> {
    let rule: Rule = parse(&body)?;
    Ok((StatusCode::CREATED, json(&door.faults.add(rule).map_err(misuse)?)).into_response())
}

async fn list_faults(State(door): State<Door>) -> Response {
    #[derive(Serialize)]
    struct List {
        data: Vec<crate::faults::Armed>,
    }
    json(&List {
        data: door.faults.list(),
    })
}

async fn clear_faults(State(door): State<Door>) -> StatusCode {
    door.faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(door): State<Door>, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    let removed = id.parse().is_ok_and(|id| door.faults.remove(id));
    if removed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Trouble::NotFound(format!("there is no fault {id}")).into())
    }
}

async fn no_route() -> Refused {
    Refused::NoRoute
}

/// Why a request gets an error instead of an answer.
enum Refused {
    Trouble(Trouble),
    UnknownCard,
    NoRoute,
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Refused::Trouble(trouble)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error, detail) = match self {
            Refused::Trouble(trouble) => {
                let (status, error) = match trouble {
                    Trouble::KeyReused(_) => (StatusCode::CONFLICT, "key_reused"),
                    Trouble::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
                    Trouble::Misuse(_) => (StatusCode::BAD_REQUEST, "bad_request"),
                    Trouble::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
                    Trouble::Stopped(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
                    Trouble::Full(_) => (StatusCode::INSUFFICIENT_STORAGE, "full"),
                };
                (status, error, trouble.to_string())
            }
            Refused::UnknownCard => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown_card",
                "`card` is not the name of a published test card, such as card_visa; digits are never accepted here"
                    .into(),
            ),
            Refused::NoRoute => (
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such route here; see /book, /totals, /authorizations/{id}, /by-key/{key}".into(),
            ),
        };
        #[derive(Serialize)]
        struct Problem {
            error: &'static str,
            detail: String,
        }
        let mut response = (status, json(&Problem { error, detail })).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn misuse(detail: impl Into<String>) -> Refused {
    Trouble::Misuse(detail.into()).into()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| misuse(format!("cannot read the body: {error}")))
}

fn parse_id(id: &str) -> Result<AuthorizationId, Refused> {
    AuthorizationId::parse(id).ok_or_else(|| Trouble::NotFound(format!("there is no authorisation `{id}`")).into())
}

fn json(answer: &impl Serialize) -> Response {
    json_bytes(serde_json::to_vec(answer).expect("an answer is plain data"))
}

fn json_bytes(body: Vec<u8>) -> Response {
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        Body::from(body),
    )
        .into_response()
}
