//! Orders: made, paid, captured, voided, canceled, refunded, read and found.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use florin_core::id::{ConnectionId, CustomerId, OrderId, Part, PartId};
use florin_core::money::Money;
use florin_core::order::{Initiator, Ruling, StepKind, StepName, Unheard};
use florin_services::ask::{Answered, Ask, Denied, NewOrder, Pay, State as Running, What};
use florin_services::directory::Scope;
use florin_services::view::View;
use florin_store::Search;
use serde::Serialize;

use super::ask::{
    CaptureBody, ConfirmBody, Nothing, OrderBody, RefundBody, ResolveBody, ResolveWord, is_email, money, optional,
    page_url, parse_id, prose,
};
use super::gate::{Call, Caller};
use super::params::Params;
use super::refused;
use super::shapes::{AttemptShape, Filling, List, OrderShape, StepShape};
use crate::Doors;
use crate::problem::Problem;
use crate::returned::token_of;

/// Makes an order; with `confirm`, pays it in the same call.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", request_body = OrderBody,
    params(("Idempotency-Key" = String, Header, description = "A new value per order, any text will do; the same one for a repeat", min_length = 1, max_length = 255)),
    responses((status = 201, description = "Made", body = OrderShape), (status = 202, description = "Still running", body = OrderShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create(State(doors): State<Doors>, call: Call<Caller>) -> Result<Response, Problem> {
    call.caller.may(Scope::Pay)?;
    let mut body: OrderBody = call.read()?;
    let key = call.needs_key()?;
    let amount = body.money()?;
    let (kind, capture) = body.terms();
    let mut details = body.take_details(amount.currency(), call.caller.tenant.mode)?;
    let customer = match details.customer {
        Some(id) => super::customers::customer_of(&doors, call.caller.tenant, id)
            .await
            .map(|_| ()),
        None => Ok(()),
    };
    if let Err(problem) = customer.and_then(|()| is_email(details.email.as_ref())) {
        // A customer who was removed since, or an address that was taken once, says nothing about the call that came before with this
        // key: it may have charged.
        let before = doors.engine.answered_before(call.caller.tenant, &key).await?;
        return before
            .map(|answered| shown(&doors, &answered, StatusCode::CREATED))
            .ok_or(problem);
    }
    // Opens the payer's way back without a key.
    let id = doors.engine.new_order_id();
    details.page_token = Some(token_of(id));
    let start = if body.confirm {
        Some(pay(body.method.as_ref(), body.connection.as_ref(), None)?)
    } else if let Some(member) = body
        .method
        .as_ref()
        .map(|_| "method")
        .or(body.connection.as_ref().map(|_| "connection"))
    {
        return Err(Problem::new("invalid_value", format!("`{member}` goes with `\"confirm\": true`")).at(member));
    } else {
        None
    };
    let order = NewOrder {
        id: Some(id),
        reference: body.reference.clone(),
        kind,
        amount,
        capture,
        expires_at: body.expires_at(doors.directory.now())?,
        details: Arc::new(details),
    };
    let what = What::Create {
        order: Box::new(order),
        start,
    };
    answer(
        &doors,
        Ask {
            tenant: call.caller.tenant,
            key: Some(key),
            what,
        },
        StatusCode::CREATED,
    )
    .await
}

/// Pays an order.
#[utoipa::path(post, path = "/v1/orders/{id}/confirm", tag = "orders", request_body = ConfirmBody,
    params(("id" = String, Path, description = "The order"), ("Idempotency-Key" = String, Header, description = "A new value per call, any text will do; the same one for a repeat", min_length = 1, max_length = 255)),
    responses((status = 200, description = "The attempt has ended, or needs the payer", body = OrderShape),
        (status = 202, description = "Still running", body = OrderShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn confirm(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Pay)?;
    let body: ConfirmBody = call.read()?;
    let key = call.needs_key()?;
    let pay = pay(
        body.method.as_ref(),
        body.connection.as_ref(),
        page_url("return_url", body.return_url.as_ref(), call.caller.tenant.mode)?,
    )?;
    let what = What::Confirm {
        order: order_id(&id)?,
        pay,
    };
    answer(
        &doors,
        Ask {
            tenant: call.caller.tenant,
            key: Some(key),
            what,
        },
        StatusCode::OK,
    )
    .await
}

/// Takes money that is held.
#[utoipa::path(post, path = "/v1/orders/{id}/capture", tag = "orders", request_body = CaptureBody,
    params(("id" = String, Path, description = "The order"), ("Idempotency-Key" = String, Header, description = "A new value per call, any text will do; the same one for a repeat", min_length = 1, max_length = 255)),
    responses((status = 200, description = "Captured, or refused by the provider (see the capture)", body = OrderShape),
        (status = 202, description = "Still running", body = OrderShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn capture(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Pay)?;
    let body: CaptureBody = call.read()?;
    let key = call.needs_key()?;
    let order = order_id(&id)?;
    let amount = amount_of(&doors, &call.caller, order, body.amount).await?;
    let what = What::Capture {
        order,
        amount,
        last: body.last,
    };
    let ask = Ask {
        tenant: call.caller.tenant,
        key: Some(key),
        what,
    };
    let answered = doors.engine.ask(ask).await;
    let answered = answered.map_err(|denied| refused::capture(denied, body.last))?;
    let mut shape = OrderShape::of(&answered.order, doors.rails());
    let step = answered.step.filter(|step| step.kind == StepKind::Capture);
    shape.capture_made = step.and_then(|step| {
        let captures = StepShape::captures(&answered.order);
        captures.into_iter().nth(usize::from(step.index))
    });
    Ok(marked(&answered, StatusCode::OK, written(&shape)))
}

/// Gives a hold back.
#[utoipa::path(post, path = "/v1/orders/{id}/void", tag = "orders", request_body = Nothing,
    params(("id" = String, Path, description = "The order"), ("Idempotency-Key" = String, Header, description = "A new value per call, any text will do; the same one for a repeat", min_length = 1, max_length = 255)),
    responses((status = 200, description = "Voided, or refused by the provider", body = OrderShape),
        (status = 202, description = "Still running", body = OrderShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn void(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Pay)?;
    let Nothing {} = call.read()?;
    let what = What::Void { order: order_id(&id)? };
    answer(
        &doors,
        Ask {
            tenant: call.caller.tenant,
            key: Some(call.needs_key()?),
            what,
        },
        StatusCode::OK,
    )
    .await
}

/// Calls an unpaid order off.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", tag = "orders", request_body = Nothing,
    params(("id" = String, Path, description = "The order"), ("Idempotency-Key" = String, Header, description = "A new value per call, any text will do; the same one for a repeat", min_length = 1, max_length = 255)),
    responses((status = 200, description = "Canceled", body = OrderShape),
        (status = 202, description = "Being canceled: no money will stay", body = OrderShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn cancel(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Pay)?;
    let Nothing {} = call.read()?;
    let what = What::Cancel { order: order_id(&id)? };
    answer(
        &doors,
        Ask {
            tenant: call.caller.tenant,
            key: Some(call.needs_key()?),
            what,
        },
        StatusCode::OK,
    )
    .await
}

/// Gives money back.
#[utoipa::path(post, path = "/v1/orders/{id}/refunds", tag = "refunds", request_body = RefundBody,
    params(("id" = String, Path, description = "The order"), ("Idempotency-Key" = String, Header, description = "A new value per call, any text will do; the same one for a repeat", min_length = 1, max_length = 255)),
    responses((status = 201, description = "The refund, ended or refused by the provider", body = StepShape),
        (status = 202, description = "The refund, still running", body = StepShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn refund(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Refund)?;
    let body: RefundBody = call.read()?;
    let key = call.needs_key()?;
    let order = order_id(&id)?;
    let amount = amount_of(&doors, &call.caller, order, body.amount).await?;
    let what = What::Refund { order, amount };
    let answered = doors
        .engine
        .ask(Ask {
            tenant: call.caller.tenant,
            key: Some(key),
            what,
        })
        .await
        .map_err(refused::refund)?;
    let made = answered
        .step
        .filter(|step| step.kind == StepKind::Refund)
        .map_or(0, |step| step.index);
    let refunds = StepShape::refunds(&answered.order);
    let shape = refunds
        .into_iter()
        .nth(usize::from(made))
        .ok_or_else(|| Problem::new("internal", "the refund is not there"))?;
    Ok(marked(&answered, StatusCode::CREATED, Json(shape)))
}

/// Reports how a step stands that needs a person: an uncertain one, one whose money could not be sent back, one that an alarm is about.
#[utoipa::path(post, path = "/v1/attempts/{id}/resolve", tag = "attempts", request_body = ResolveBody,
    params(("id" = String, Path, description = "The attempt")),
    responses((status = 200, description = "Booked", body = OrderShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn resolve(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: ResolveBody = call.read()?;
    prose("note", &body.note, 1, 500)?;
    let attempt = part(&id, Part::Attempt)?;
    let number = u8::try_from(attempt.number).map_err(|_| no_such("attempt"))?;
    let step: StepName = match &body.step {
        None => StepName::authorize(number),
        Some(step) => parse_id("step", &format!("{number}/{step}"))?,
    };
    let view = doors.engine.view(call.caller.tenant, attempt.order).await?;
    if let Some(minor) = body.amount
        && !(0..=super::ask::AMOUNT_MAX).contains(&minor)
    {
        return Err(Problem::new("invalid_value", format!("the amount is {minor}")).at("amount"));
    }
    let ruling = match body.outcome {
        ResolveWord::Approved => Ruling::Approved,
        ResolveWord::Declined => Ruling::Declined,
        ResolveWord::Undone => Ruling::Undone,
    };
    let over = |detail: String| {
        Problem::new("attempt_over", detail)
            .fix("nothing is to be settled: read the attempt, which says how it ended, and the order's `attention`")
    };
    let says = match view.order.said_by_person(step, ruling, body.amount) {
        Ok(says) => says,
        Err(Unheard::NeedsAmount) => {
            let detail = format!("the order stands on the money of {step}: how much of it went back has to be said");
            return Err(Problem::new("invalid_value", detail).at("amount"));
        }
        Err(Unheard::NothingApproved) => {
            let detail = format!("{step} was approved with an amount of 0");
            return Err(Problem::new("invalid_value", detail)
                .at("amount")
                .fix("say `declined` if nothing was taken or held, or `undone` if it went back"));
        }
        Err(Unheard::Nothing) => {
            // The same call may have settled it before, and its answer may have been lost.
            let before = match &call.key {
                Some(key) => doors.engine.answered_before(call.caller.tenant, key).await?,
                None => None,
            };
            let before = before.ok_or_else(|| {
                over(format!(
                    "nothing about the step {step} needs a person, or that is how it stands already"
                ))
            })?;
            return Ok(shown(&doors, &before, StatusCode::OK));
        }
    };
    let what = What::Resolve {
        order: attempt.order,
        step,
        says,
        note: body.note,
    };
    let ask = Ask {
        tenant: call.caller.tenant,
        key: call.key.clone(),
        what,
    };
    let answered = doors.engine.ask(ask).await?;
    // Facts are never refused; one that changed nothing has settled nothing, and whoever reported it has to know.
    if !answered.replayed && answered.order.order.version == view.order.version {
        return Err(over(format!(
            "that says nothing new about the step {step}: it stands as it did"
        )));
    }
    Ok(shown(&doors, &answered, StatusCode::OK))
}

/// One order.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders", params(("id" = String, Path, description = "The order")),
    responses((status = 200, description = "The order", body = OrderShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<OrderShape>, Problem> {
    caller.may(Scope::Read)?;
    let view = doors.engine.view(caller.tenant, order_id(&id)?).await?;
    Ok(Json(OrderShape::of(&view, doors.rails())))
}

/// Words that `status` may be.
const STATUSES: &[&str] = &[
    "created",
    "requires_action",
    "processing",
    "authorized",
    "partially_captured",
    "captured",
    "partially_refunded",
    "refunded",
    "failed",
    "canceled",
    "expired",
    "verified",
];

/// Orders, newest first.
#[utoipa::path(get, path = "/v1/orders", tag = "orders",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query, description = "The last id of the page before"),
        ("reference" = Option<String>, Query, description = "Your own name for it"), ("status" = Option<String>, Query, description = "Its `payment_order_status`"),
        ("customer" = Option<String>, Query, description = "The customer's id"),
        ("attention" = Option<bool>, Query, description = "Only those that need a person"),
        ("from" = Option<String>, Query, description = "Made at or after"), ("to" = Option<String>, Query, description = "Made before"),
        ("metadata" = Option<BTreeMap<String, String>>, Query, description = "As `metadata[name]=value`; all of them must hold", style = DeepObject, explode)),
    responses((status = 200, description = "A page", body = List<OrderShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<OrderShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(
        query.as_deref(),
        &["reference", "status", "customer", "attention", "from", "to", "metadata"],
    )?;
    let limit = params.limit()?;
    let mut search = Search {
        reference: params.text("reference"),
        status: params.word("status", STATUSES)?.map(str::to_owned),
        customer: params.id::<CustomerId>("customer")?.map(|id| id.to_string()),
        metadata: params.metadata.clone(),
        attention: params.word("attention", &["true", "false"])? == Some("true"),
        from: params.time("from")?,
        to: params.time("to")?,
        after: params.after::<OrderId>()?,
        ..Search::of(caller.tenant, limit + 1)
    };
    doors.freshen().await;
    let mut page = Filling::of(limit);
    // Orders that are left out do not make a page look like the last one.
    while !page.is_full() {
        let found = doors.store.search(&search).await.map_err(Problem::from)?;
        for id in &found {
            match doors.engine.view(caller.tenant, *id).await {
                // Lists keep a short sum of each pair; the order itself says whether it has it.
                Ok(view)
                    if (params.metadata.iter()).all(|(name, value)| view.details.metadata.get(name) == Some(value)) =>
                {
                    if !page.add(OrderShape::of(&view, doors.rails())) {
                        break;
                    }
                }
                Ok(_) => {}
                // An order whose record is damaged is frozen; the others are served. Who asks for this one alone is told.
                Err(Denied::Damaged) if search.reference.is_none() => {}
                Err(denied) => return Err(denied.into()),
            }
        }
        if found.len() <= limit as usize {
            break;
        }
        search.after = found.last().copied();
    }
    Ok(Json(page.done()))
}

/// Attempts of an order, newest first.
#[utoipa::path(get, path = "/v1/orders/{id}/attempts", tag = "attempts",
    params(("id" = String, Path, description = "The order"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<AttemptShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn attempts(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<AttemptShape>>, Problem> {
    let all = |view: &View| AttemptShape::all(view, doors.rails());
    parts(&doors, &caller, &id, query.as_deref(), all, |attempt| attempt.id).await
}

/// Captures of an order, newest first.
#[utoipa::path(get, path = "/v1/orders/{id}/captures", tag = "orders",
    params(("id" = String, Path, description = "The order"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<StepShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn captures(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<StepShape>>, Problem> {
    parts(&doors, &caller, &id, query.as_deref(), StepShape::captures, |step| {
        step.id
    })
    .await
}

/// Refunds of an order, newest first.
#[utoipa::path(get, path = "/v1/orders/{id}/refunds", tag = "refunds", 
    params(("id" = String, Path, description = "The order"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<StepShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn refunds(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<StepShape>>, Problem> {
    parts(&doors, &caller, &id, query.as_deref(), StepShape::refunds, |step| {
        step.id
    })
    .await
}

/// One refund.
#[utoipa::path(get, path = "/v1/refunds/{id}", tag = "refunds", params(("id" = String, Path, description = "The refund")),
    responses((status = 200, description = "The refund", body = StepShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get_refund(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<StepShape>, Problem> {
    caller.may(Scope::Read)?;
    let refund = part(&id, Part::Refund)?;
    let view = doors.engine.view(caller.tenant, refund.order).await?;
    let found = StepShape::refunds(&view)
        .into_iter()
        .find(|shape| shape.id.to_string() == id);
    found.map(Json).ok_or_else(|| no_such("refund"))
}

async fn parts<T>(
    doors: &Doors,
    caller: &Caller,
    id: &str,
    query: Option<&str>,
    all: impl Fn(&View) -> Vec<T>,
    id_of: impl Fn(&T) -> PartId,
) -> Result<Json<List<T>>, Problem>
where
    T: Serialize + Send,
{
    caller.may(Scope::Read)?;
    let params = Params::read(query, &[])?;
    let view = doors.engine.view(caller.tenant, order_id(id)?).await?;
    let mut all = all(&view);
    all.reverse();
    List::of_all(all, &params, |item| id_of(item).to_string()).map(Json)
}

/// Carries out a command and answers the order.
async fn answer(doors: &Doors, ask: Ask, done: StatusCode) -> Result<Response, Problem> {
    let answered = doors.engine.ask(ask).await?;
    Ok(shown(doors, &answered, done))
}

fn shown(doors: &Doors, answered: &Answered, done: StatusCode) -> Response {
    let shape = OrderShape::of(&answered.order, doors.rails());
    marked(answered, done, written(&shape))
}

/// Room for an order of common size: the answer is written without being moved while it grows.
const ANSWER_BYTES: usize = 2_048;

fn written(shape: &OrderShape) -> Response {
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    match florin_services::json::write(shape, &mut body) {
        Ok(()) => {
            let kind = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(_) => Problem::new("internal", "the answer cannot be written").into_response(),
    }
}

/// 202 while the call's step runs; a replay says that it is one.
fn marked(answered: &Answered, done: StatusCode, body: impl IntoResponse) -> Response {
    let status = match answered.state {
        Running::Over => done,
        Running::Running => StatusCode::ACCEPTED,
    };
    let mut response = (status, body).into_response();
    if answered.replayed {
        response
            .headers_mut()
            .insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}

fn pay(method: Option<&String>, connection: Option<&String>, return_url: Option<String>) -> Result<Pay, Problem> {
    Ok(Pay {
        method: optional("method", method, 128)?.unwrap_or_else(|| "hosted".to_owned()),
        connection: connection
            .map(|id| parse_id::<ConnectionId>("connection", id))
            .transpose()?,
        channel: "api".to_owned(),
        initiator: Initiator::Payer,
        return_url,
    })
}

/// The amount of a capture or refund in the order's currency.
async fn amount_of(
    doors: &Doors,
    caller: &Caller,
    order: OrderId,
    minor: Option<i64>,
) -> Result<Option<Money>, Problem> {
    let Some(minor) = minor else { return Ok(None) };
    let currency = doors.engine.view(caller.tenant, order).await?.order.due.currency();
    money(minor, currency).map(Some)
}

/// An order's id in an address; anything else is not found.
pub(super) fn order_id(text: &str) -> Result<OrderId, Problem> {
    text.parse().map_err(|_| not_found())
}

/// A part's id in an address.
pub(super) fn part(text: &str, kind: Part) -> Result<PartId, Problem> {
    text.parse::<PartId>()
        .ok()
        .filter(|part| part.kind == kind)
        .ok_or_else(|| no_such(kind.word()))
}

pub(super) fn not_found() -> Problem {
    Problem::from(Denied::NotFound)
}

/// There is none of this kind with the id that was given.
pub(super) fn no_such(kind: &str) -> Problem {
    Problem::new("not_found", format!("there is no such {kind}"))
}
