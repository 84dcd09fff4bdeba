//! Catalogue, product, cart, and the button that turns a cart into an order.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::trouble::{self, Retry};
use super::{App, Frame, Here, Visitor, page, see_other};
use crate::cart::{Cart, Line, QUANTITY, total};
use crate::catalogue::{CURRENCY, FREE_DELIVERY_FROM, PRODUCTS, Product};
use crate::checkout::{self, Next};
use crate::money::Money;
use crate::session::Owner;
use crate::{Shop, clock};

/// Stripe's published test cards that show something different each; no other number is taken anywhere in the sandbox.
pub(super) const TEST_CARDS: &[(&str, &str)] = &[
    ("4242 4242 4242 4242", "pays"),
    ("4000 0000 0000 3220", "asks for 3-D Secure first"),
    ("4000 0000 0000 9995", "is declined: no funds"),
    ("4000 0000 0000 0002", "is declined"),
];

fn euros(minor: i64) -> Money {
    Money::new(minor, CURRENCY)
}

#[derive(Template)]
#[template(path = "catalogue.html", whitespace = "minimize")]
struct Catalogue {
    frame: Frame,
    products: &'static [Product],
}

pub(super) async fn catalogue(State(shop): State<App>, headers: HeaderMap) -> Response {
    let owner = Owner::from_headers(&headers);
    let frame = Frame::new(&shop, owner.as_ref(), Here::Shop);
    page(
        StatusCode::OK,
        &Catalogue {
            frame,
            products: PRODUCTS,
        },
    )
}

#[derive(Template)]
#[template(path = "product.html", whitespace = "minimize")]
struct ProductPage {
    frame: Frame,
    product: &'static Product,
    free_from: Money,
}

pub(super) async fn product_page(State(shop): State<App>, Path(slug): Path<String>, headers: HeaderMap) -> Response {
    let owner = Owner::from_headers(&headers);
    let Some(product) = crate::catalogue::product(&slug) else {
        return trouble::not_found(State(shop), headers).await;
    };
    let frame = Frame::new(&shop, owner.as_ref(), Here::Shop);
    page(
        StatusCode::OK,
        &ProductPage {
            frame,
            product,
            free_from: euros(FREE_DELIVERY_FROM),
        },
    )
}

#[derive(Template)]
#[template(path = "cart.html", whitespace = "minimize")]
struct CartPage {
    frame: Frame,
    lines: Vec<Line>,
    total: Money,
    /// What is missing until delivery is free.
    to_free: Option<Money>,
    /// The page of the order that this cart already is.
    waiting: Option<String>,
    test_cards: &'static [(&'static str, &'static str)],
}

pub(super) async fn cart_page(State(shop): State<App>, headers: HeaderMap) -> Response {
    let owner = Owner::from_headers(&headers);
    let cart = owner
        .as_ref()
        .and_then(|owner| shop.book.read(|shelf| shelf.cart(owner).cloned()));
    let waiting = cart.as_ref().and_then(|cart| waiting_order(&shop, cart));
    let lines = cart.map(|cart| cart.lines()).unwrap_or_default();
    let goods: i64 = lines
        .iter()
        .filter(|line| !line.slug.is_empty())
        .map(Line::amount)
        .sum();
    let frame = Frame::new(&shop, owner.as_ref(), Here::Cart);
    page(
        StatusCode::OK,
        &CartPage {
            frame,
            total: euros(total(&lines)),
            to_free: (goods < FREE_DELIVERY_FROM).then(|| euros(FREE_DELIVERY_FROM - goods)),
            waiting,
            lines,
            test_cards: TEST_CARDS,
        },
    )
}

fn waiting_order(shop: &Shop, cart: &Cart) -> Option<String> {
    shop.book.read(|shelf| {
        let purchase = shelf.by_reference(&cart.reference())?;
        let over = purchase.news.as_ref().is_some_and(|news| news.order.is_over());
        (purchase.order.is_some() && !over && !purchase.settled).then(|| purchase.token.clone())
    })
}

/// A product and how many of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    product: String,
    quantity: u32,
}

pub(super) async fn add(State(shop): State<App>, headers: HeaderMap, Form(choice): Form<Choice>) -> Response {
    change(&shop, &headers, choice, Cart::add).await
}

pub(super) async fn set(State(shop): State<App>, headers: HeaderMap, Form(choice): Form<Choice>) -> Response {
    change(&shop, &headers, choice, Cart::set).await
}

async fn change(shop: &Shop, headers: &HeaderMap, choice: Choice, how: fn(&mut Cart, &Product, u32)) -> Response {
    let Some(product) = crate::catalogue::product(&choice.product) else {
        return trouble::not_found_page(shop, headers);
    };
    let visitor = Visitor::of(shop, headers);
    let (owner, now) = (visitor.owner.clone(), clock::now());
    let written = shop.book.change(move |shelf| {
        let mut cart = shelf.cart_or_new(&owner, now);
        how(&mut cart, product, choice.quantity);
        cart.changed_at = now;
        (cart.into(), ())
    });
    match written.await {
        Ok(()) => visitor.remember(see_other("/cart")),
        Err(why) => trouble::page_for(shop, headers, &why.into(), Retry::No),
    }
}

pub(super) async fn checkout(State(shop): State<App>, headers: HeaderMap) -> Response {
    let Some(owner) = Owner::from_headers(&headers) else {
        return see_other("/cart");
    };
    match checkout::checkout(&shop, &owner).await {
        Ok(next) => go(&shop, &headers, next),
        Err(trouble) => trouble::page_for(&shop, &headers, &trouble, Retry::Checkout),
    }
}

/// Sends the buyer on. A payment page whose origin the policy does not name could not be reached by a redirect from a form, so
/// it is offered as a link.
pub(super) fn go(shop: &Shop, headers: &HeaderMap, next: Next) -> Response {
    match next {
        Next::Cart => see_other("/cart"),
        Next::OrderPage(token) => see_other(&format!("/orders/{token}")),
        Next::PaymentPage { url, token } => {
            let address = url::Url::parse(&url)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https"));
            let Some(address) = address else {
                return see_other(&format!("/orders/{token}"));
            };
            let origin = address.origin().ascii_serialization();
            if shop.payment_pages.contains(&origin) || shop.public_url == origin {
                see_other(address.as_str())
            } else {
                trouble::leaving(shop, headers, address.as_str(), &origin)
            }
        }
    }
}
