//! `expand[]`: objects in the places where their ids stand.
//!
//! Only what Stripe documents can be expanded, four levels deep; what is nothing here (an invoice, a review) expands to nothing. A path is
//! held against the kind of object that a call answers, before anything is done. After that no path is wrong: what this very object does not
//! have stays as it is.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use super::form::shown;
use super::params::Given;
use super::reader::Reader;
use super::shape::{self, Seen};
use super::wrong::Wrong;
use crate::lists::Room;

/// How deep a path may go.
const LEVELS_MAX: usize = 4;
/// Paths in one call.
const PATHS_MAX: usize = 20;

/// What a call answers, by Stripe's word in `object`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown {
    /// One of these.
    One(&'static str),
    /// A list of these.
    List(&'static str),
}

/// Places of an object.
type Places = &'static [(&'static str, To)];

/// What stands in a place.
#[derive(Clone, Copy, Debug)]
enum To {
    /// A thing that this door has not: what it would have inside is anybody's guess.
    Nothing,
    /// An object of one of these kinds, or its id.
    One(&'static [&'static str]),
    /// A list of these.
    List(&'static str),
    /// A part that is there in any case, with places of its own.
    Part(Places),
}

/// A part in which nothing can be expanded.
const PLAIN: To = To::Part(&[]);
const CHARGE: To = To::One(&["charge"]);
const CUSTOMER: To = To::One(&["customer"]);
const INTENT: To = To::One(&["payment_intent"]);
const METHOD: To = To::One(&["payment_method"]);
const TRANSACTION: To = To::One(&["balance_transaction"]);

/// What can be expanded, by object.
const EXPANDABLE: &[(&str, Places)] = &[
    ("balance", &[]),
    (
        "balance_transaction",
        &[
            ("fee_details", PLAIN),
            ("source", To::One(&["charge", "dispute", "refund"])),
        ],
    ),
    (
        "charge",
        &[
            ("application", To::Nothing),
            ("application_fee", To::Nothing),
            ("balance_transaction", TRANSACTION),
            ("billing_details", PLAIN),
            ("customer", CUSTOMER),
            ("failure_balance_transaction", TRANSACTION),
            ("fraud_details", PLAIN),
            ("invoice", To::Nothing),
            ("on_behalf_of", To::Nothing),
            ("outcome", To::Part(&[("rule", To::Nothing)])),
            ("payment_intent", INTENT),
            ("payment_method_details", PLAIN),
            ("radar_options", PLAIN),
            ("refunds", To::List("refund")),
            ("review", To::Nothing),
            ("shipping", PLAIN),
            ("source_transfer", To::Nothing),
            ("transfer", To::Nothing),
            ("transfer_data", To::Nothing),
        ],
    ),
    (
        "checkout.session",
        &[
            ("after_expiration", PLAIN),
            ("automatic_tax", PLAIN),
            ("consent", PLAIN),
            ("consent_collection", PLAIN),
            ("currency_conversion", PLAIN),
            ("custom_fields", PLAIN),
            ("custom_text", PLAIN),
            ("customer", CUSTOMER),
            ("customer_details", PLAIN),
            ("discounts", To::Nothing),
            ("invoice", To::Nothing),
            ("invoice_creation", PLAIN),
            ("line_items", To::List("item")),
            ("payment_intent", INTENT),
            ("payment_link", To::Nothing),
            ("payment_method_options", PLAIN),
            ("phone_number_collection", PLAIN),
            ("setup_intent", To::Nothing),
            ("shipping_address_collection", PLAIN),
            ("shipping_cost", To::Nothing),
            ("shipping_options", To::Nothing),
            ("subscription", To::Nothing),
            ("total_details", PLAIN),
        ],
    ),
    (
        "customer",
        &[
            ("address", PLAIN),
            ("cash_balance", To::Nothing),
            ("default_source", To::Nothing),
            ("discount", To::Nothing),
            ("invoice_settings", To::Part(&[("default_payment_method", METHOD)])),
            ("shipping", PLAIN),
            ("sources", To::Nothing),
            ("subscriptions", To::Nothing),
            ("tax", To::Nothing),
            ("tax_ids", To::Nothing),
            ("test_clock", To::Nothing),
        ],
    ),
    (
        "dispute",
        &[
            ("balance_transactions", PLAIN),
            ("charge", CHARGE),
            ("evidence", PLAIN),
            ("evidence_details", PLAIN),
            ("payment_intent", INTENT),
            ("payment_method_details", PLAIN),
        ],
    ),
    (
        "event",
        &[
            (
                "data",
                To::Part(&[(
                    "object",
                    To::One(&["charge", "checkout.session", "dispute", "payment_intent", "refund"]),
                )]),
            ),
            ("request", PLAIN),
        ],
    ),
    (
        "item",
        &[
            ("discounts", To::Nothing),
            ("price", To::One(&["price"])),
            ("taxes", To::Nothing),
        ],
    ),
    (
        "payment_intent",
        &[
            ("amount_details", PLAIN),
            ("application", To::Nothing),
            ("automatic_payment_methods", PLAIN),
            ("customer", CUSTOMER),
            ("invoice", To::Nothing),
            (
                "last_payment_error",
                To::Part(&[
                    ("payment_intent", INTENT),
                    ("payment_method", METHOD),
                    ("source", To::Nothing),
                ]),
            ),
            ("latest_charge", CHARGE),
            ("next_action", PLAIN),
            ("on_behalf_of", To::Nothing),
            ("payment_method", METHOD),
            ("payment_method_options", PLAIN),
            ("payment_record", To::Nothing),
            ("processing", PLAIN),
            ("review", To::Nothing),
            ("shipping", PLAIN),
            ("source", To::Nothing),
            ("transfer_data", To::Nothing),
        ],
    ),
    (
        "payment_method",
        &[
            ("billing_details", PLAIN),
            ("card", PLAIN),
            ("customer", CUSTOMER),
            ("radar_options", PLAIN),
        ],
    ),
    (
        "price",
        &[
            ("currency_options", To::Nothing),
            ("custom_unit_amount", PLAIN),
            ("product", To::One(&["product"])),
            ("recurring", PLAIN),
            ("tiers", To::Nothing),
            ("transform_quantity", PLAIN),
        ],
    ),
    (
        "product",
        &[
            ("default_price", To::One(&["price"])),
            ("features", To::Nothing),
            ("package_dimensions", PLAIN),
            ("tax_code", To::Nothing),
        ],
    ),
    (
        "refund",
        &[
            ("balance_transaction", TRANSACTION),
            ("charge", CHARGE),
            ("customer", CUSTOMER),
            ("failure_balance_transaction", TRANSACTION),
            ("next_action", PLAIN),
            ("payment_intent", INTENT),
            ("payment_method", METHOD),
            ("source_transfer_reversal", To::Nothing),
            ("transfer_reversal", To::Nothing),
        ],
    ),
    ("webhook_endpoint", &[]),
];

fn places(kind: &str) -> Places {
    EXPANDABLE
        .iter()
        .find(|(object, _)| *object == kind)
        .map_or(&[], |(_, places)| places)
}

fn paths(given: &Given) -> Vec<String> {
    given.texts("expand")
}

// ---- before -------------------------------------------------------------------------------------------------------------------

/// Refuses paths that lead nowhere from what a call answers.
pub(super) fn check(answer: Shown, given: &Given) -> Result<(), Wrong> {
    let paths = paths(given);
    if paths.len() > PATHS_MAX {
        return Err(Wrong::invalid(format!("You cannot expand more than {PATHS_MAX} properties")).at("expand"));
    }
    for path in &paths {
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
        let (leads, hint) = match answer {
            Shown::One(kind) => (leads(places(kind), &names), ""),
            Shown::List(kind) => (
                in_list(kind, &names),
                " You may want to try expanding 'data.…' instead: this is a list.",
            ),
        };
        if !leads {
            let message = format!("This property cannot be expanded ({}).{hint}", shown(path));
            return Err(Wrong::invalid(message).at("expand"));
        }
    }
    Ok(())
}

fn leads(places: Places, names: &[&str]) -> bool {
    let Some((name, rest)) = names.split_first() else {
        return true;
    };
    let place = places.iter().find(|(place, _)| place == name);
    place.is_some_and(|(_, to)| match to {
        To::Nothing => true,
        To::One(kinds) => kinds.iter().any(|kind| leads(self::places(kind), rest)),
        To::List(kind) => in_list(kind, rest),
        To::Part(places) => leads(places, rest),
    })
}

fn in_list(kind: &str, names: &[&str]) -> bool {
    let Some((name, rest)) = names.split_first() else {
        return true;
    };
    *name == "data" && leads(places(kind), rest)
}

// ---- after --------------------------------------------------------------------------------------------------------------------

/// Puts objects into the places that the paths name, which were checked before. Fails if something cannot be read.
pub(super) async fn expand(reader: &Reader<'_>, object: &mut Value, given: &Given) -> Result<(), Wrong> {
    let paths = paths(given);
    let paths: Vec<Vec<&str>> = paths.iter().map(|path| path.split('.').collect()).collect();
    if is_list(object) {
        let backwards = given.text("ending_before").is_some();
        return expand_page(reader, object, &paths, backwards).await;
    }
    for path in &paths {
        walk(reader, object, path).await?;
    }
    Ok(())
}

/// The same on a page, object by object from where it was asked for: with all that they show they may be more than a page may have, which
/// then ends earlier.
async fn expand_page(reader: &Reader<'_>, page: &mut Value, paths: &[Vec<&str>], backwards: bool) -> Result<(), Wrong> {
    let Some(members) = page
        .get_mut("data")
        .and_then(Value::as_array_mut)
        .filter(|_| !paths.is_empty())
    else {
        return Ok(());
    };
    let mut members = std::mem::take(members);
    let count = members.len();
    if backwards {
        members.reverse();
    }
    let (mut room, mut kept) = (Room::of(count), Vec::with_capacity(count));
    for mut member in members {
        for path in paths {
            walk(reader, &mut member, path.get(1..).unwrap_or_default()).await?;
        }
        if !room.takes(&member) {
            break;
        }
        kept.push(member);
    }
    if kept.len() < count {
        page["has_more"] = true.into();
        if let (Some(next), Some(last)) = (page.get_mut("next_page"), kept.last()) {
            *next = last["id"].clone();
        }
    }
    if backwards {
        kept.reverse();
    }
    page["data"] = kept.into();
    Ok(())
}

fn is_list(value: &Value) -> bool {
    let kind = value.get("object").and_then(Value::as_str);
    matches!(kind, Some("list" | "search_result"))
}

type Walk<'a> = Pin<Box<dyn Future<Output = Result<(), Wrong>> + Send + 'a>>;

fn walk<'a>(reader: &'a Reader<'_>, value: &'a mut Value, names: &'a [&'a str]) -> Walk<'a> {
    Box::pin(async move {
        let Some((name, rest)) = names.split_first() else {
            return Ok(());
        };
        let kind = value.get("object").and_then(Value::as_str).unwrap_or_default();
        if kind == "list" {
            let members = value.get_mut("data").and_then(Value::as_array_mut);
            for member in members.into_iter().flatten() {
                walk(reader, member, rest).await?;
            }
            return Ok(());
        }
        let named = places(kind)
            .iter()
            .any(|(place, to)| place == name && matches!(to, To::One(_)));
        if kind == "checkout.session" && *name == "line_items" {
            add_lines(reader, value).await?;
        }
        let Some(place) = value.get_mut(*name) else {
            return Ok(());
        };
        if let Some(id) = place.as_str().filter(|_| named)
            && let Some(object) = reader.object(id).await?
        {
            *place = object;
        }
        match place.is_object() {
            true => walk(reader, place, rest).await,
            false => Ok(()),
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(places: Places) -> Vec<&'static str> {
        let of = |to: &To| match to {
            To::Nothing => Vec::new(),
            To::One(kinds) => kinds.to_vec(),
            To::List(kind) => vec![*kind],
            To::Part(places) => kinds(places),
        };
        places.iter().flat_map(|(_, to)| of(to)).collect()
    }

    #[test]
    fn whatever_a_place_leads_to_is_in_the_table() {
        for kind in EXPANDABLE.iter().flat_map(|(_, places)| kinds(places)) {
            assert!(EXPANDABLE.iter().any(|(known, _)| *known == kind), "{kind}");
        }
    }

    #[test]
    fn a_path_leads_somewhere_by_the_kind_of_object_alone() {
        for (kind, path, leads_on) in [
            ("payment_intent", "latest_charge.balance_transaction.source", true),
            ("payment_intent", "latest_charge.nothing", false),
            ("payment_intent", "invoice.subscription", true),
            ("payment_intent", "last_payment_error.payment_method.customer", true),
            ("payment_intent", "metadata", false),
            ("balance_transaction", "source.failure_balance_transaction", true),
            ("charge", "refunds.data.charge", true),
            ("charge", "refunds.charge", false),
            ("checkout.session", "line_items.data.price.product", true),
            ("event", "data.object.customer", true),
        ] {
            let names: Vec<&str> = path.split('.').collect();
            assert_eq!(leads(places(kind), &names), leads_on, "{kind} {path}");
        }
        assert!(in_list("charge", &["data", "refunds", "data", "charge"]));
        assert!(!in_list("charge", &["customer"]));
    }
}
