//! `expand[]`: objects in the places where their ids stand.
//!
//! Only what Stripe documents can be expanded, four levels deep; what is nothing here (an invoice, a review) expands to nothing.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use super::form::shown;
use super::reader::Reader;
use super::shape::{self, Seen};
use super::wrong::Wrong;

/// How deep a path may go.
const LEVELS_MAX: usize = 4;
/// Paths in one call.
const PATHS_MAX: usize = 20;

/// What can be expanded, by object.
const EXPANDABLE: &[(&str, &[&str])] = &[
    ("balance_transaction", &["source"]),
    (
        "charge",
        &[
            "application",
            "application_fee",
            "balance_transaction",
            "customer",
            "failure_balance_transaction",
            "on_behalf_of",
            "payment_intent",
            "review",
            "source_transfer",
        ],
    ),
    (
        "checkout.session",
        &[
            "customer",
            "invoice",
            "line_items",
            "payment_intent",
            "payment_link",
            "setup_intent",
            "subscription",
        ],
    ),
    (
        "customer",
        &[
            "cash_balance",
            "default_source",
            "sources",
            "subscriptions",
            "tax",
            "tax_ids",
            "test_clock",
        ],
    ),
    ("dispute", &["charge", "payment_intent"]),
    (
        "payment_intent",
        &[
            "application",
            "customer",
            "latest_charge",
            "on_behalf_of",
            "payment_method",
            "review",
            "source",
        ],
    ),
    ("payment_method", &["customer"]),
    ("price", &["product"]),
    ("product", &["default_price", "tax_code"]),
    (
        "refund",
        &[
            "balance_transaction",
            "charge",
            "customer",
            "failure_balance_transaction",
            "payment_intent",
            "payment_method",
            "source_transfer_reversal",
            "transfer_reversal",
        ],
    ),
];

/// Puts objects into the places that the paths name.
pub(super) async fn expand(reader: &Reader<'_>, object: &mut Value, paths: &[String]) -> Result<(), Wrong> {
    if paths.len() > PATHS_MAX {
        return Err(Wrong::invalid(format!("You cannot expand more than {PATHS_MAX} properties")).at("expand"));
    }
    for path in paths {
        let names: Vec<&str> = path.split('.').collect();
        let levels = names.len() - usize::from(names.first() == Some(&"data"));
        if levels > LEVELS_MAX {
            let message = format!(
                "You cannot expand more than {LEVELS_MAX} levels of a property. Property: {}",
                shown(path)
            );
            return Err(Wrong::invalid(message)
                .code("property_expansion_max_depth")
                .at("expand"));
        }
        walk(reader, object, &names, path).await?;
    }
    Ok(())
}

type Walk<'a> = Pin<Box<dyn Future<Output = Result<(), Wrong>> + Send + 'a>>;

fn walk<'a>(reader: &'a Reader<'_>, value: &'a mut Value, names: &'a [&'a str], path: &'a str) -> Walk<'a> {
    Box::pin(async move {
        let Some((name, rest)) = names.split_first() else {
            return Ok(());
        };
        let cannot = || {
            let more = if *name == "data" {
                ""
            } else {
                ". You may want to try expanding 'data.…' instead, if this is a list"
            };
            let message = format!("This property cannot be expanded ({}){more}.", shown(path));
            Wrong::invalid(message).at("expand")
        };
        if is_list(value) {
            // `refunds.data.charge` and `data.charge` mean the same within a list that is part of an object.
            if *name != "data" {
                return Err(cannot());
            }
            let members = value
                .get_mut("data")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten();
            for member in members {
                walk(reader, member, rest, path).await?;
            }
            return Ok(());
        }
        let kind = value
            .get("object")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let documented = EXPANDABLE
            .iter()
            .any(|(object, fields)| *object == kind && fields.contains(name));
        if kind == "checkout.session" && *name == "line_items" {
            add_lines(reader, value).await?;
        }
        // What is left of a deleted object has no fields to be wrong about.
        let deleted = value.get("deleted").is_some();
        match value.get_mut(*name) {
            // An object or list that is there in any case.
            Some(inside) if inside.is_object() => walk(reader, inside, rest, path).await,
            Some(place) if documented => {
                if let Some(id) = place.as_str().map(str::to_owned) {
                    if let Some(object) = reader.object(&id).await? {
                        *place = object;
                    }
                    return walk(reader, place, rest, path).await;
                }
                Ok(())
            }
            None if documented => Ok(()),
            None if deleted => Ok(()),
            Some(_) | None => Err(cannot()),
        }
    })
}

fn is_list(value: &Value) -> bool {
    matches!(
        value.get("object").and_then(Value::as_str),
        Some("list" | "search_result")
    )
}

/// The lines of a session, which it shows only when asked.
async fn add_lines(reader: &Reader<'_>, session: &mut Value) -> Result<(), Wrong> {
    let id = session.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(order) = super::ids::order_of("cs", &id) else {
        return Ok(());
    };
    if let Some(view) = reader.view(order).await? {
        let lines = shape::session::lines(&Seen::new(&view));
        session["line_items"] = shape::list(&format!("/v1/checkout/sessions/{id}/line_items"), lines, false);
    }
    Ok(())
}
