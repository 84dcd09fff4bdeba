//! An order's page: what it costs and how it stands, what was bought, and behind the scenes what Florin did.
//!
//! Its address holds a value that cannot be guessed and opens it without a key, so that it can be reached from a payment page in
//! another browser. The state is the newer of two: what a webhook told the shop, or what Florin answers now.

use std::time::Duration;

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::buying::{TEST_CARDS, go};
use super::flow::Reached;
use super::moment::{Id, Moment};
use super::scenery::Scenery;
use super::trouble::{self, Retry};
use super::{App, Frame, Here, Visitor, page as render, see_other};
use crate::api::shapes::Order;
use crate::cart::Line;
use crate::checkout;
use crate::money::Money;
use crate::purchase::Purchase;
use crate::session::{Owner, base32, is_unguessable};
use crate::standing::{Chip, Standing, Step, standing};
use crate::{Shop, clock};

/// How long the way back from a payment page waits for the payment to be decided, so that most buyers see how it ended at once.
const BACK: Duration = Duration::from_millis(2500);
const BACK_STEP: Duration = Duration::from_millis(150);
/// How often an open page asks: while something is going on, and afterwards.
const BUSY_MS: u32 = 1_000;
const QUIET_MS: u32 = 4_000;
/// After the last news something may still follow, deliveries above all.
const SETTLING_S: i64 = 20;
/// A visitor's orders on one page.
const LISTED: usize = 50;

#[derive(Template)]
#[template(path = "order.html", whitespace = "minimize")]
struct OrderPage {
    frame: Frame,
    view: View,
}

/// The part that is sent again when something changes.
#[derive(Template)]
#[template(path = "live.html", whitespace = "minimize")]
struct Live {
    view: View,
}

/// All that an order's page shows.
struct View {
    token: String,
    reference: String,
    created: Moment,
    total: Money,
    captured: Option<Money>,
    refunded: Option<Money>,
    disputed: Option<Money>,
    lines: Vec<Line>,
    currency: String,
    standing: Standing,
    /// Whether the state is a webhook's word; else it is the API's, or only the shop's own.
    told: bool,
    asked: bool,
    packed: Option<(Id, Moment)>,
    /// What the shop does not know because Florin does not answer.
    silent: bool,
    scenery: Option<Scenery>,
    docs: String,
    every_ms: u32,
    test_cards: &'static [(&'static str, &'static str)],
}

impl View {
    /// The words on the button that leads to the payment.
    fn pay_label(&self) -> Option<&'static str> {
        match self.standing.step {
            Step::Pay(label) => Some(label),
            Step::None | Step::OrderAgain => None,
        }
    }

    fn may_order_again(&self) -> bool {
        self.standing.step == Step::OrderAgain
    }
}

fn purchase(shop: &Shop, token: &str) -> Option<Purchase> {
    is_unguessable(token)
        .then(|| shop.book.read(|shelf| shelf.purchase(token).cloned()))
        .flatten()
}

async fn view(shop: &Shop, token: &str) -> Option<View> {
    let before = purchase(shop, token)?;
    let scene = match &before.order {
        Some(id) => Some(shop.scenes.look(&shop.api, id).await),
        None => None,
    };
    let asked = scene.as_ref().and_then(|scene| scene.order.as_ref().ok());
    if let Some(order) = asked
        && let Err(why) = checkout::observe(shop, token, order).await
    {
        tracing::error!(%why, "the shop cannot write its records");
    }
    // Webhooks may have come while Florin was asked.
    let purchase = purchase(shop, token)?;
    let newest = purchase.newest(asked);
    let told = newest.is_some_and(|newest| {
        let news = purchase.news.as_ref();
        news.is_some_and(|news| news.order.says_the_same_as(newest))
    });
    let standing = standing(newest, purchase.packed.is_some());
    let money = |minor: i64| (minor > 0).then(|| Money::new(minor, &purchase.currency));
    let start = purchase.created_at;
    let scenery = scene
        .as_ref()
        .zip(purchase.order.as_ref())
        .map(|(scene, id)| Scenery::of(shop, &purchase, id, scene, newest));
    Some(View {
        token: token.to_owned(),
        created: Moment::day(start),
        total: Money::new(purchase.amount, &purchase.currency),
        captured: newest.and_then(|order| money(order.amount_captured)),
        refunded: newest.and_then(|order| money(order.amount_refunded)),
        disputed: newest.and_then(|order| money(order.amount_disputed)),
        packed: purchase
            .packed
            .as_ref()
            .map(|packed| (Id(packed.event.clone()), Moment::after(start, packed.at))),
        silent: scene.as_ref().is_some_and(|scene| scene.order.is_err()),
        every_ms: every_ms(&purchase, newest, scenery.as_ref(), clock::now()),
        docs: shop.docs_url.clone(),
        told,
        asked: newest.is_some() && !told,
        standing,
        scenery,
        lines: purchase.lines,
        currency: purchase.currency,
        reference: purchase.reference,
        test_cards: TEST_CARDS,
    })
}

/// An open page asks often while something is about to happen, and seldom when all is said.
fn every_ms(purchase: &Purchase, newest: Option<&Order>, scenery: Option<&Scenery>, now: Timestamp) -> u32 {
    let last = purchase.heard.last().map_or(purchase.created_at, |heard| heard.at);
    let settling = now.as_second() - last.as_second() < SETTLING_S;
    let open = newest.is_some_and(Order::is_under_way) || scenery.is_some_and(|scenery| scenery.on_its_way);
    if open || settling { BUSY_MS } else { QUIET_MS }
}

pub(super) async fn page(State(shop): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let owner = Owner::from_headers(&headers);
    let Some(view) = view(&shop, &token).await else {
        return trouble::not_found_page(&shop, &headers);
    };
    let frame = Frame::new(&shop, owner.as_ref(), Here::Orders);
    render(StatusCode::OK, &OrderPage { frame, view })
}

/// What an open page asks for; 304 while nothing has changed.
pub(super) async fn live(State(shop): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let Some(view) = view(&shop, &token).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Ok(html) = (Live { view }).render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = format!("\"{}\"", base32(digest(&SHA256, html.as_bytes()).as_ref(), 26));
    if headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes())
    {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    ([(ETAG, tag)], Html(html)).into_response()
}

/// Where a payment page sends the buyer back to. Coming back proves nothing; it only asks how things stand.
pub(super) async fn back(State(shop): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let Some(purchase) = purchase(&shop, &token) else {
        return trouble::not_found_page(&shop, &headers);
    };
    if let Some(id) = &purchase.order {
        let began = Instant::now();
        while began.elapsed() < BACK {
            match shop.api.get::<Order>(&format!("/v1/orders/{id}")).await {
                Ok(order) if order.is_under_way() || order.payment_page().is_some() => sleep(BACK_STEP).await,
                Ok(_) | Err(_) => break,
            }
        }
    }
    see_other(&format!("/orders/{token}"))
}

pub(super) async fn pay(State(shop): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    match checkout::pay(&shop, &token).await {
        Ok((next, _)) => go(&shop, &headers, next),
        Err(trouble) => trouble::page_for(&shop, &headers, &trouble, Retry::Order(token)),
    }
}

pub(super) async fn cancel(State(shop): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    match checkout::cancel(&shop, &token).await {
        Ok(next) => go(&shop, &headers, next),
        Err(trouble) => trouble::page_for(&shop, &headers, &trouble, Retry::Order(token)),
    }
}

/// Puts the goods of an order that is over into the visitor's cart again.
pub(super) async fn again(State(shop): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let Some(purchase) = purchase(&shop, &token) else {
        return trouble::not_found_page(&shop, &headers);
    };
    let visitor = Visitor::of(&shop, &headers);
    let (owner, now) = (visitor.owner.clone(), clock::now());
    let written = shop.book.change(move |shelf| {
        let mut cart = shelf.cart_or_new(&owner, now);
        for line in &purchase.lines {
            if let Some(product) = line.product() {
                let there = cart.goods.get(product.slug).copied().unwrap_or(0);
                cart.set(product, there.max(line.quantity));
            }
        }
        cart.changed_at = now;
        (cart.into(), ())
    });
    match written.await {
        Ok(()) => visitor.remember(see_other("/cart")),
        Err(why) => trouble::page_for(&shop, &headers, &why.into(), Retry::No),
    }
}

#[derive(Template)]
#[template(path = "orders.html", whitespace = "minimize")]
struct OrdersPage {
    frame: Frame,
    rows: Vec<Row>,
}

struct Row {
    token: String,
    reference: String,
    created: Moment,
    what: String,
    total: Money,
    chip: Chip,
}

/// A visitor's orders, from the shop's own records alone.
pub(super) async fn list(State(shop): State<App>, headers: HeaderMap) -> Response {
    let owner = Owner::from_headers(&headers);
    let rows = match &owner {
        Some(owner) => shop.book.read(|shelf| {
            shelf
                .purchases_of(owner)
                .into_iter()
                .take(LISTED)
                .map(Row::of)
                .collect()
        }),
        None => Vec::new(),
    };
    let frame = Frame::new(&shop, owner.as_ref(), Here::Orders);
    render(StatusCode::OK, &OrdersPage { frame, rows })
}

impl Row {
    fn of(purchase: &Purchase) -> Self {
        let goods = purchase.lines.iter().filter(|line| !line.slug.is_empty());
        let names = goods.map(|line| match line.quantity {
            1 => line.name.clone(),
            more => format!("{more} × {}", line.name),
        });
        Self {
            token: purchase.token.clone(),
            reference: purchase.reference.clone(),
            created: Moment::day(purchase.created_at),
            what: names.collect::<Vec<_>>().join(", "),
            total: Money::new(purchase.amount, &purchase.currency),
            chip: standing(purchase.newest(None), purchase.packed.is_some()).chip,
        }
    }
}
