//! Where payers come back to from a provider's page: `GET /return/{token}`. It asks how things stand; it never marks anything paid.
//!
//! The token is the order's own letters and 128 random bits behind them, so that the order is found without an index and the page opens
//! for nobody who guesses.

use std::collections::BTreeMap;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use florin_core::id::OrderId;
use florin_core::status::{self, Word};
use florin_services::ask::{Ask, Denied, What};
use florin_services::dice;
use florin_services::view::View;
use florin_store::{Tenant, Wanted};
use subtle::ConstantTimeEq;

use crate::Doors;
use crate::api::says_to_payer;
use crate::problem::Problem;
use crate::stripe_compat::written;

/// Parameters that are passed on to the rail; more is hostile.
const PARAMS_MAX: usize = 32;
/// Longest value of one.
const VALUE_CHARS_MAX: usize = 2_048;
/// Letters of an order's id behind its prefix.
const ORDER_LETTERS: usize = 26;

/// A new token that opens the payer's side of an order.
pub fn token_of(order: OrderId) -> String {
    format!(
        "{}{}",
        order.to_string().trim_start_matches("ord_"),
        dice::token::<16>()
    )
}

/// The order that a token opens, if it opens one.
pub async fn opened_by(doors: &Doors, token: &str) -> Result<std::sync::Arc<View>, Problem> {
    let unknown = || Problem::from(Denied::NotFound);
    let (letters, _) = token.split_at_checked(ORDER_LETTERS).ok_or_else(unknown)?;
    let order: OrderId = format!("ord_{letters}").parse().map_err(|_| unknown())?;
    let found = doors
        .store
        .load(&Wanted {
            orders: vec![order],
            ..Wanted::default()
        })
        .await?;
    let tenant = found.orders.first().map(|row| row.tenant).ok_or_else(unknown)?;
    let view = doors.engine.view(tenant, order).await?;
    let right = view.details.page_token.as_deref().unwrap_or_default();
    if !right.is_empty() && bool::from(right.as_bytes().ct_eq(token.as_bytes())) {
        Ok(view)
    } else {
        Err(unknown())
    }
}

/// The payer is back: tells the engine, and sends them on to the merchant.
pub(crate) async fn back(
    State(doors): State<Doors>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params: BTreeMap<String, String> = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .take(PARAMS_MAX)
        .filter(|(_, value)| value.len() <= VALUE_CHARS_MAX)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let view = match opened_by(&doors, &token).await {
        Ok(view) => view,
        Err(problem) if problem.status == 404 => return Ok(nothing_here()),
        Err(problem) => return Err(problem),
    };
    let (tenant, order) = (view.tenant, view.order.id);
    let left = params.contains_key("left");
    let what = if left {
        What::Leave { order }
    } else {
        What::Back { order, params }
    };
    // Whatever the engine says (it may be over, or busy), the payer goes on: the merchant's page shows how it stands.
    if let Err(denied) = doors
        .engine
        .ask(Ask {
            tenant,
            key: None,
            what,
        })
        .await
    {
        tracing::debug!(%order, %denied, "a payer's return changed nothing");
    }
    let details = &view.details;
    let target = if left {
        details.cancel_url.as_ref().or(details.return_url.as_ref())
    } else {
        details.return_url.as_ref()
    };
    match target.and_then(|url| url::Url::parse(url).ok()) {
        Some(mut url) => {
            url.query_pairs_mut().append_pair("order", &order.to_string());
            Ok(Redirect::to(url.as_str()).into_response())
        }
        None => Ok(said(&doors, tenant, order).await?),
    }
}

/// For payers whom the merchant did not tell where to go.
async fn said(doors: &Doors, tenant: Tenant, order: OrderId) -> Result<Response, Problem> {
    let view = doors.engine.view(tenant, order).await?;
    let merchant = doors.directory.merchant(tenant.merchant);
    let (title, text) = match status::word(&view.order) {
        Word::Captured | Word::Authorized | Word::PartiallyCaptured | Word::Verified => {
            ("Thank you", "Your payment went through.")
        }
        Word::Processing => ("Your bank is deciding", "Please do not pay again."),
        Word::PartiallyRefunded | Word::Refunded => {
            ("Your money is on its way back", "Banks take a few days to show it.")
        }
        Word::Created | Word::RequiresAction | Word::Failed | Word::Canceled | Word::Expired => {
            ("The payment was not finished", "Nothing was charged.")
        }
    };
    let merchant = merchant.as_ref().map_or("the shop", |merchant| merchant.name.as_str());
    let text = format!("{text} You can close this page: {merchant} tells you what comes next.");
    let facts = [
        ("Amount", written(view.order.due)),
        ("Reference", view.reference.clone()),
    ];
    Ok(says_to_payer(StatusCode::OK, Some(merchant), title, &text, &facts))
}

/// For payers whose address was cut short, and for those who guess.
pub(crate) fn nothing_here() -> Response {
    let text = "Check the address, or go back to the shop: it knows how your payment went.";
    says_to_payer(StatusCode::NOT_FOUND, None, "This page does not exist", text, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_its_order_and_128_bits_that_nobody_can_guess() {
        let order = OrderId::from_uuid(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        let (one, two) = (token_of(order), token_of(order));
        assert_ne!(one, two);
        assert_eq!(one.len(), ORDER_LETTERS + 32);
        assert_eq!(format!("ord_{}", &one[..ORDER_LETTERS]), order.to_string());
    }
}
