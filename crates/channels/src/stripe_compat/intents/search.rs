//! `/v1/payment_intents/search`: intents by what stands in them.

use axum::extract::State;
use florin_core::status::Word;
use florin_store::Marks;
use serde_json::{Value, json};

use super::one;
use crate::stripe_compat::asking::read_out;
use crate::stripe_compat::expand::Shown;
use crate::stripe_compat::form::shown;
use crate::stripe_compat::gate::{Answer, Get};
use crate::stripe_compat::lists::{self, Orders, Page};
use crate::stripe_compat::params::{Field, Kind, may, must};
use crate::stripe_compat::reader::Reader;
use crate::stripe_compat::shape;
use crate::stripe_compat::wrong::Wrong;
use crate::stripe_compat::{Door, ids};

const SEARCH: &[Field] = &[
    must("query", Kind::Text),
    may("limit", Kind::Integer(1)),
    may("page", Kind::Text),
];

pub(in crate::stripe_compat) async fn search(State(door): State<Door>, get: Get) -> Result<Answer, Wrong> {
    let (caller, given) = get.read(&[SEARCH], Shown::List("payment_intent"))?;
    let reader = Reader::new(&door, caller.tenant);
    let wanted = Clauses::parse(given.text("query").unwrap_or_default())?;
    // A page's name is the last object of the one before it.
    if let Some(page) = given.text("page").filter(|page| ids::order_of("pi", page).is_none()) {
        return Err(Wrong::missing_at("page", "page", page));
    }
    let mut page = Page::of(&given)?;
    page.go_on(given.owned("page"));
    let standing = wanted.status.as_deref().map(standing);
    let (words, having) = standing.unwrap_or_default();
    let nothing = wanted.contradicts_itself || (standing.is_some() && words.is_empty());
    let orders = Orders {
        only: None,
        metadata: wanted.metadata.clone(),
        customer: wanted.customer.clone(),
        having,
        words,
    };
    let holds = |intent: &Value| wanted.holds(intent);
    let (data, more) = match nothing {
        true => (Vec::new(), false),
        false => lists::of_orders(&reader, &page, orders, |id| ids::order_of("pi", id), one, holds).await?,
    };
    let next = data.last().filter(|_| more).map(|last| last["id"].clone());
    let mut result = shape::list("/v1/payment_intents/search", data, more);
    result["object"] = json!("search_result");
    result["next_page"] = next.unwrap_or(Value::Null);
    read_out(&reader, result, &given).await
}

/// Which of our words an intent of this status may have, and what its order has at least. No word: no intent is ever so.
fn standing(status: &str) -> (&'static [Word], Marks) {
    match status {
        "requires_payment_method" | "requires_confirmation" => (&[Word::Created], Marks::NONE),
        "requires_action" => (&[Word::RequiresAction, Word::Processing], Marks::NONE),
        "processing" => (
            &[Word::Processing, Word::Authorized, Word::PartiallyCaptured],
            Marks::NONE,
        ),
        "requires_capture" => (&[Word::Authorized, Word::PartiallyCaptured], Marks::NONE),
        "succeeded" => (
            // An order whose money went back may have failed.
            &[
                Word::Captured,
                Word::PartiallyRefunded,
                Word::Refunded,
                Word::Failed,
                Word::Verified,
            ],
            Marks::PAID,
        ),
        "canceled" => (&[Word::Failed, Word::Canceled, Word::Expired], Marks::NONE),
        _ => (&[], Marks::NONE),
    }
}

/// What a search asks for: `metadata['cart']:'17' AND status:'succeeded'`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Clauses {
    metadata: Vec<(String, String)>,
    customer: Option<String>,
    status: Option<String>,
    currency: Option<String>,
    amount: Option<i64>,
    /// Two clauses ask for two values of one thing.
    contradicts_itself: bool,
}

impl Clauses {
    fn parse(query: &str) -> Result<Self, Wrong> {
        let wrong = |clause: &str| {
            let message = format!(
                "We were unable to parse your search query at `{}`. Clauses are metadata['key']:'value', customer:'id', status:'word', \
                 currency:'code' and amount:number, joined by AND.",
                shown(clause)
            );
            Wrong::invalid(message).at("query")
        };
        let mut clauses = Self::default();
        for clause in split_outside_quotes(query, " AND ") {
            let sides = split_outside_quotes(clause, ":");
            let [name, value] = sides.as_slice() else {
                return Err(wrong(clause));
            };
            let (name, value) = (*name, *value);
            let metadata = name
                .strip_prefix("metadata[")
                .and_then(|rest| rest.strip_suffix(']'))
                .and_then(quoted);
            match (name, metadata, quoted(value)) {
                (_, Some(name), Some(value)) => clauses.metadata.push((name, value)),
                ("customer", _, Some(value)) => clauses.contradicts_itself |= differs(&mut clauses.customer, value),
                ("status", _, Some(value)) => clauses.contradicts_itself |= differs(&mut clauses.status, value),
                ("currency", _, Some(value)) => {
                    clauses.contradicts_itself |= differs(&mut clauses.currency, value.to_ascii_lowercase());
                }
                ("amount", _, None) => {
                    let amount: i64 = value.parse().map_err(|_| wrong(clause))?;
                    clauses.contradicts_itself |= differs(&mut clauses.amount, amount);
                }
                (_, _, _) => return Err(wrong(clause)),
            }
        }
        Ok(clauses)
    }

    fn holds(&self, intent: &Value) -> bool {
        let is = |name: &str, wanted: &Option<String>| wanted.as_deref().is_none_or(|wanted| intent[name] == wanted);
        is("status", &self.status)
            && is("currency", &self.currency)
            && self.amount.is_none_or(|amount| intent["amount"] == amount)
    }
}

/// Notes a value, and says whether another one was noted before.
fn differs<T: PartialEq>(noted: &mut Option<T>, value: T) -> bool {
    match noted {
        Some(known) => *known != value,
        None => {
            *noted = Some(value);
            false
        }
    }
}

/// The pieces between separators that stand in no quotes, without the white space around them.
fn split_outside_quotes<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut pieces, mut begin, mut quote, mut escaped) = (Vec::new(), 0, None, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, _) if at >= begin && text[at..].starts_with(separator) => {
                pieces.push(text[begin..at].trim());
                begin = at + separator.len();
            }
            (None, _) => {}
        }
    }
    pieces.push(text[begin..].trim());
    pieces
}

/// What stands in quotes; a quote within is written with a backslash before it.
fn quoted(text: &str) -> Option<String> {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    let inside = inside('\'').or_else(|| inside('"'))?;
    let (mut plain, mut letters) = (String::new(), inside.chars());
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next()? } else { letter });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_reads_what_stands_in_quotes_as_it_is() {
        let clauses = Clauses::parse(r#"metadata['a:b']:'o\'neil AND "sons"'  AND  customer:"cus_1""#).unwrap();
        let metadata = [("a:b".to_owned(), r#"o'neil AND "sons""#.to_owned())];
        assert_eq!(
            (clauses.metadata.as_slice(), clauses.customer.as_deref()),
            (metadata.as_slice(), Some("cus_1"))
        );
        for odd in [
            "status:'a",
            "status:'a\\",
            "status",
            "",
            "status:'a' AND ",
            "a:b:c",
            "status:'a''b",
        ] {
            assert!(Clauses::parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn two_clauses_of_one_thing_both_hold() {
        for (query, contradicts_itself) in [
            ("status:'canceled' AND status:'succeeded'", true),
            ("amount:1 AND amount:2", true),
            ("customer:'a' AND customer:'b'", true),
            ("currency:'EUR' AND currency:'eur' AND amount:1 AND amount:1", false),
        ] {
            let clauses = Clauses::parse(query).unwrap();
            assert_eq!(clauses.contradicts_itself, contradicts_itself, "{query}");
        }
    }

    #[test]
    fn every_status_of_an_intent_has_words_and_every_word_a_status() {
        const ALL: [&str; 7] = [
            "requires_payment_method",
            "requires_confirmation",
            "requires_action",
            "processing",
            "requires_capture",
            "succeeded",
            "canceled",
        ];
        for status in ALL {
            assert_ne!(standing(status).0, [], "{status}");
        }
        for word in Word::ALL {
            assert!(ALL.iter().any(|status| standing(status).0.contains(&word)), "{word:?}");
        }
        assert_eq!(standing("refunded").0, []);
    }

    #[test]
    fn a_search_reads_as_stripe_writes_it() {
        let clauses = Clauses::parse("metadata['order']:'A-17' AND status:\"succeeded\" AND amount:1099").unwrap();
        assert_eq!(clauses.metadata, [("order".to_owned(), "A-17".to_owned())]);
        assert_eq!(
            (clauses.status.as_deref(), clauses.amount),
            (Some("succeeded"), Some(1099))
        );
        for odd in [
            "",
            "colour:'red'",
            "metadata[x]:'1'",
            "status:succeeded",
            "amount>10",
            "status:'a' OR status:'b'",
        ] {
            assert_eq!(
                Clauses::parse(odd).unwrap_err().param.as_deref(),
                Some("query"),
                "{odd}"
            );
        }
    }
}
