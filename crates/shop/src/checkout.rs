//! From a cart to a payment page: the part of a shop where a mistake charges somebody twice.
//!
//! ```text
//!  button ─▶ 1 write the intention        the cart's reference names it; pressed twice, it is found
//!            2 cancel what it replaces    an unpaid order of the same cart with other goods
//!            3 POST /v1/orders            key and body are the record's: a repeat is the same to the byte
//!            4 write down Florin's id
//!            5 send the buyer to next_action.url
//! ```
//!
//! Whatever dies between two of these steps, pressing the button again goes on from there. A further try to pay is a further
//! attempt of the *same* order, under a key made from the attempt before it, so that two clicks start one attempt.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::api::Failure;
use crate::api::shapes::{List, Order};
use crate::cart::total;
use crate::catalogue::CURRENCY;
use crate::purchase::Purchase;
use crate::session::{Owner, unguessable};
use crate::shelf::Change;
use crate::{Shop, clock};

/// How long the buyer waits for a payment page that Florin is still asking for (202).
const WAIT: Duration = Duration::from_secs(5);
const WAIT_STEP: Duration = Duration::from_millis(200);

/// Where the buyer goes now.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// To the payment page at this address.
    PaymentPage { url: String, token: String },
    /// To the page of this order, which says how it stands.
    OrderPage(String),
    /// To the cart: there is nothing in it.
    Cart,
}

/// Why the buyer goes nowhere. Each says whether money moved and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Florin(#[from] Failure),
    #[error("an earlier order of this cart is still being decided")]
    EarlierOrder(String),
    #[error("the order that Florin holds under {0} is not the one that was asked for")]
    Mismatch(String),
    #[error("no such order")]
    NoOrder,
    #[error("the shop cannot write its records: {0}")]
    Records(#[from] std::io::Error),
}

/// Turns the visitor's cart into an order, or finds the order that it already is, and asks for the payment page.
pub(crate) async fn checkout(shop: &Shop, owner: &Owner) -> Result<Next, Trouble> {
    // A second round when the order of these goods is over: expired, or canceled by the buyer.
    for _ in 0..2 {
        let Some(purchase) = intention(shop, owner).await? else {
            return Ok(Next::Cart);
        };
        for earlier in earlier_orders(shop, &purchase) {
            if let Some(next) = give_up(shop, earlier).await? {
                return Ok(next);
            }
        }
        match pay(shop, &purchase.token).await? {
            (_, order) if order.is_over() => next_round(shop, &purchase).await?,
            (next, _) => return Ok(next),
        }
    }
    Ok(Next::Cart)
}

/// Goes on with an order that exists: makes it if Florin does not have it yet, else finds its payment page or starts the next try.
pub(crate) async fn pay(shop: &Shop, token: &str) -> Result<(Next, Order), Trouble> {
    let purchase = shop
        .book
        .read(|shelf| shelf.purchase(token).cloned())
        .ok_or(Trouble::NoOrder)?;
    let order = match &purchase.order {
        None => place(shop, &purchase).await?,
        Some(id) => {
            let order: Order = shop.api.get(&format!("/v1/orders/{id}")).await?;
            if order.may_try_again() {
                try_again(shop, &purchase, &order).await?
            } else {
                order
            }
        }
    };
    let order = wait_for_page(shop, order).await?;
    observe(shop, token, &order).await?;
    let next = match order.payment_page() {
        Some(url) => Next::PaymentPage {
            url,
            token: token.to_owned(),
        },
        None => Next::OrderPage(token.to_owned()),
    };
    Ok((next, order))
}

/// Cancels an order that nobody has paid, at the buyer's wish.
pub(crate) async fn cancel(shop: &Shop, token: &str) -> Result<Next, Trouble> {
    let purchase = shop
        .book
        .read(|shelf| shelf.purchase(token).cloned())
        .ok_or(Trouble::NoOrder)?;
    if let Some(id) = &purchase.order {
        let key = format!("{}-cancel", purchase.reference);
        match shop
            .api
            .post::<Order>(&format!("/v1/orders/{id}/cancel"), &key, "{}")
            .await
        {
            // A refusal (409) means that it was paid or over meanwhile; the order's page says so.
            Ok(_) | Err(Failure::Refused { .. }) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(Next::OrderPage(token.to_owned()))
}

/// Takes note of an order that Florin showed us: once it is paid, its goods leave the cart.
pub(crate) async fn observe(shop: &Shop, token: &str, order: &Order) -> std::io::Result<()> {
    let settled = shop
        .book
        .read(|shelf| shelf.purchase(token).is_none_or(|purchase| purchase.settled));
    if settled || !order.is_paid() {
        return Ok(());
    }
    let (token, now) = (token.to_owned(), clock::now());
    shop.book
        .change(move |shelf| {
            let Some(purchase) = shelf.purchase(&token) else {
                return (Change::default(), ());
            };
            (settle(purchase.clone(), shelf.cart(&purchase.owner), now), ())
        })
        .await
}

/// A paid order's record and the cart without its goods; nothing if that was done before.
pub(crate) fn settle(mut purchase: Purchase, cart: Option<&crate::cart::Cart>, now: jiff::Timestamp) -> Change {
    if purchase.settled {
        return Change::default();
    }
    purchase.settled = true;
    let cart = cart.filter(|cart| cart.id == purchase.cart).cloned().map(|mut cart| {
        cart.paid(&purchase.lines);
        cart.changed_at = now;
        cart
    });
    Change {
        cart,
        purchase: Some(purchase),
    }
}

/// The record of what this cart is about to become; written before Florin hears of it.
async fn intention(shop: &Shop, owner: &Owner) -> Result<Option<Purchase>, Trouble> {
    let (owner, token, now) = (owner.clone(), unguessable(), clock::now());
    let page = format!("{}/orders/{token}", shop.public_url);
    let found = shop.book.change(move |shelf| {
        let Some(cart) = shelf.cart(&owner).filter(|cart| cart.pieces() > 0) else {
            return (Change::default(), None);
        };
        let (reference, lines) = (cart.reference(), cart.lines());
        if let Some(purchase) = shelf.by_reference(&reference) {
            return (Change::default(), Some(purchase.clone()));
        }
        let amount = total(&lines);
        let request = json!({
            "amount": amount,
            "currency": CURRENCY,
            "reference": reference,
            "description": format!("Giglio order {reference}"),
            "lines": lines.iter().map(|line| json!({
                "name": line.name, "quantity": line.quantity, "unit_amount": line.unit_amount,
            })).collect::<Vec<_>>(),
            "metadata": { "shop": "giglio", "pieces": cart.pieces().to_string() },
            "confirm": true,
            "method": "hosted",
            "return_url": format!("{page}/back"),
            "cancel_url": page,
        });
        let purchase = Purchase {
            token,
            owner,
            cart: cart.id.clone(),
            reference,
            lines,
            amount,
            currency: CURRENCY.to_owned(),
            request: request.to_string(),
            created_at: now,
            order: None,
            replaced: false,
            settled: false,
            news: None,
            packed: None,
            heard: Vec::new(),
        };
        (purchase.clone().into(), Some(purchase))
    });
    Ok(found.await?)
}

/// Orders of the same cart with other goods that somebody may still pay. One without an id was never answered, so nobody was ever
/// shown a way to pay it.
fn earlier_orders(shop: &Shop, purchase: &Purchase) -> Vec<Purchase> {
    shop.book.read(|shelf| {
        let own = shelf.purchases_of(&purchase.owner).into_iter();
        let others = own.filter(|other| other.cart == purchase.cart && other.token != purchase.token);
        others
            .filter(|other| other.order.is_some() && !other.replaced && !other.settled)
            .cloned()
            .collect()
    })
}

/// Cancels an order that the buyer has replaced; if it turns out to be paid, its page is where the buyer should be.
async fn give_up(shop: &Shop, purchase: Purchase) -> Result<Option<Next>, Trouble> {
    let Some(id) = purchase.order.clone() else {
        return Ok(None);
    };
    let key = format!("{}-replaced", purchase.reference);
    match shop
        .api
        .post::<Order>(&format!("/v1/orders/{id}/cancel"), &key, "{}")
        .await
    {
        Ok(_) => {}
        Err(Failure::Refused { .. }) => {
            let order: Order = shop.api.get(&format!("/v1/orders/{id}")).await?;
            if order.is_paid() {
                observe(shop, &purchase.token, &order).await?;
                return Ok(Some(Next::OrderPage(purchase.token)));
            }
            if !order.is_over() {
                return Err(Trouble::EarlierOrder(purchase.token));
            }
        }
        Err(failure) => return Err(failure.into()),
    }
    amend(shop, &purchase.token, |purchase| purchase.replaced = true).await?;
    Ok(None)
}

/// Makes the order at Florin, or finds it there.
async fn place(shop: &Shop, purchase: &Purchase) -> Result<Order, Trouble> {
    let made = shop
        .api
        .post::<Order>("/v1/orders", &purchase.reference, purchase.request.clone())
        .await;
    let order = match made {
        Ok(order) => order,
        // The key is forgotten after a while, the reference never: the order is there.
        Err(failure) if failure.is("reference_taken") || failure.is("key_reused") => {
            find(shop, purchase, failure).await?
        }
        Err(failure) => return Err(failure.into()),
    };
    if !purchase.matches(&order) {
        return Err(Trouble::Mismatch(purchase.reference.clone()));
    }
    let id = order.id.clone();
    amend(shop, &purchase.token, |purchase| purchase.order = Some(id)).await?;
    Ok(order)
}

async fn find(shop: &Shop, purchase: &Purchase, refusal: Failure) -> Result<Order, Trouble> {
    let found: List<Order> = shop
        .api
        .get(&format!("/v1/orders?reference={}&limit=1", purchase.reference))
        .await?;
    Ok(found
        .data
        .into_iter()
        .find(|order| order.reference == purchase.reference)
        .ok_or(refusal)?)
}

/// Starts the next attempt. The attempt before it is part of the key, so that this happens once.
async fn try_again(shop: &Shop, purchase: &Purchase, order: &Order) -> Result<Order, Trouble> {
    let after = order.last_attempt.as_ref().map_or("first", |last| &last.id);
    let key = format!("{}-after-{after}", purchase.reference);
    let body =
        json!({ "method": "hosted", "return_url": format!("{}/orders/{}/back", shop.public_url, purchase.token) });
    let path = format!("/v1/orders/{}", order.id);
    match shop
        .api
        .post::<Order>(&format!("{path}/confirm"), &key, body.to_string())
        .await
    {
        Ok(order) => Ok(order),
        // Somebody else was quicker, or the order has ended: how it stands now is the answer.
        Err(Failure::Refused {
            status: http::StatusCode::CONFLICT,
            ..
        }) => Ok(shop.api.get(&path).await?),
        Err(failure) => Err(failure.into()),
    }
}

/// Florin may still be asking the provider for the page (202, or a second click); that takes moments.
async fn wait_for_page(shop: &Shop, mut order: Order) -> Result<Order, Trouble> {
    let began = Instant::now();
    while order.is_under_way() && began.elapsed() < WAIT {
        sleep(WAIT_STEP).await;
        order = shop.api.get(&format!("/v1/orders/{}", order.id)).await?;
    }
    Ok(order)
}

/// These goods were ordered and that order is over, so the next press of the button is a new order.
async fn next_round(shop: &Shop, purchase: &Purchase) -> Result<(), Trouble> {
    let (owner, reference, now) = (purchase.owner.clone(), purchase.reference.clone(), clock::now());
    let change = shop.book.change(move |shelf| {
        // Two clicks start one round: the second finds another reference already.
        let cart = shelf.cart(&owner).filter(|cart| cart.reference() == reference).cloned();
        let change = cart.map(|mut cart| {
            cart.round += 1;
            cart.changed_at = now;
            cart.into()
        });
        (change.unwrap_or_default(), ())
    });
    Ok(change.await?)
}

async fn amend(shop: &Shop, token: &str, how: impl FnOnce(&mut Purchase) + Send + 'static) -> std::io::Result<()> {
    let token = token.to_owned();
    shop.book
        .change(move |shelf| {
            let Some(mut purchase) = shelf.purchase(&token).cloned() else {
                return (Change::default(), ());
            };
            how(&mut purchase);
            (purchase.into(), ())
        })
        .await
}
