//! Tables of parameters, and forms held against them: what is unknown, missing or of the wrong kind is refused in Stripe's words,
//! never ignored.

use std::collections::BTreeMap;

use florin_core::money::Currency;
use florin_core::time::Timestamp;
use serde_json::{Map, Value};

use super::form::{Form, Node, shown};
use super::money;
use super::wrong::Wrong;
use crate::api::ask::is_layout;
use crate::email::{EMAIL_CHARS_MAX, can_be_email};
use crate::request::is_plainly_http;

/// Longest text of a parameter.
pub(super) const TEXT_CHARS_MAX: usize = 5_000;
/// Members of one list.
const LIST_MAX: usize = 100;
/// Metadata: as many names, and as long (`design.md`, decision 10).
const METADATA_NAMES_MAX: usize = 50;
const METADATA_NAME_CHARS_MAX: usize = 40;
const METADATA_VALUE_CHARS_MAX: usize = 500;
/// Longest address.
const URL_CHARS_MAX: usize = 2_048;

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

/// A parameter that a call needs.
pub(super) const fn must(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

/// A parameter that a call may have.
pub(super) const fn may(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

/// What may stand in a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Text. Empty: take away what is there.
    Text,
    /// Text of one line and at most so many characters.
    Short(usize),
    /// Text of at most so many characters that may have several lines.
    Prose(usize),
    /// A whole number, at least this one.
    Integer(i64),
    /// `true` or `false`, also as Python and C# write them.
    Bool,
    /// ISO 4217, in lower case as Stripe writes it. Whether Stripe takes it is said where something new is made of it ([`money::taken`]).
    Currency,
    /// One of these.
    Word(&'static [&'static str]),
    /// Where somebody is sent.
    Url,
    /// A moment, in seconds since 1970.
    Time,
    /// Names and values of the merchant's own.
    Metadata,
    /// A moment, or bounds: `created[gte]`.
    Range,
    /// A table with these members.
    Object(&'static [Field]),
    /// A list of these.
    List(&'static Kind),
}

/// Members of an address.
pub(super) const ADDRESS: &[Field] = &[
    may("city", Kind::Text),
    may("country", Kind::Short(2)),
    may("line1", Kind::Text),
    may("line2", Kind::Text),
    may("postal_code", Kind::Text),
    may("state", Kind::Text),
];

/// Where goods go.
pub(super) const SHIPPING: &[Field] = &[
    must("address", Kind::Object(ADDRESS)),
    must("name", Kind::Text),
    may("carrier", Kind::Text),
    may("phone", Kind::Text),
    may("tracking_number", Kind::Text),
];

/// What every call may have.
const EXPAND: Field = may("expand", Kind::List(&Kind::Text));

/// What every list may have.
pub(super) const LIST: &[Field] = &[
    may("limit", Kind::Integer(1)),
    may("starting_after", Kind::Text),
    may("ending_before", Kind::Text),
];

/// Bounds of a moment.
const RANGE: &[Field] = &[
    may("gt", Kind::Time),
    may("gte", Kind::Time),
    may("lt", Kind::Time),
    may("lte", Kind::Time),
];

/// Holds a form against tables. What comes out has only what the tables name, each of its kind.
pub(super) fn read(form: Form, tables: &[&'static [Field]]) -> Result<Given, Wrong> {
    let fields: Vec<Field> = tables
        .iter()
        .flat_map(|table| table.iter())
        .copied()
        .chain([EXPAND])
        .collect();
    let mut unknown = Vec::new();
    name_unknown(&form, &fields, "", &mut unknown);
    if let Some(first) = unknown.first() {
        let plural = if unknown.len() == 1 { "" } else { "s" };
        let message = format!("Received unknown parameter{plural}: {}", unknown.join(", "));
        return Err(Wrong::invalid(message).code("parameter_unknown").at(first.clone()));
    }
    Ok(Given(object(form, &fields, "")?))
}

/// Collects names that the tables do not have.
fn name_unknown(form: &Form, fields: &[Field], within: &str, unknown: &mut Vec<String>) {
    for (name, node) in form {
        let path = join(within, name);
        match fields.iter().find(|field| field.name == name) {
            None => unknown.push(shown(&path)),
            Some(field) => name_unknown_in(node, field.kind, &path, unknown),
        }
    }
}

fn name_unknown_in(node: &Node, kind: Kind, path: &str, unknown: &mut Vec<String>) {
    match (kind, node) {
        (Kind::Object(fields), Node::Table(members)) => name_unknown(members, fields, path, unknown),
        (Kind::Range, Node::Table(members)) => name_unknown(members, RANGE, path, unknown),
        (Kind::List(kind), Node::Table(members)) => {
            for (at, member) in members {
                name_unknown_in(member, *kind, &join(path, at), unknown);
            }
        }
        (_, _) => {}
    }
}

fn join(within: &str, name: &str) -> String {
    if within.is_empty() {
        name.to_owned()
    } else {
        format!("{within}[{name}]")
    }
}

fn object(form: Form, fields: &[Field], within: &str) -> Result<Map<String, Value>, Wrong> {
    let mut given = Map::new();
    for (name, node) in form {
        let path = join(within, &name);
        if let Some(field) = fields.iter().find(|field| field.name == name) {
            let value = value(node, field.kind, &path)?;
            if value.is_null() && field.required {
                return Err(empty(&path));
            }
            given.insert(name, value);
        }
    }
    let missing = fields
        .iter()
        .find(|field| field.required && !given.contains_key(field.name));
    if let Some(field) = missing {
        let path = join(within, field.name);
        return Err(Wrong::invalid(format!("Missing required param: {path}."))
            .code("parameter_missing")
            .at(path));
    }
    Ok(given)
}

pub(super) fn empty(path: &str) -> Wrong {
    let message = format!(
        "You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter; however '{path}' cannot be \
         unset. You should remove '{path}' from your request or supply a non-empty value."
    );
    Wrong::invalid(message).code("parameter_invalid_empty").at(path)
}

/// The value of a node; null: take away what is there.
fn value(node: Node, kind: Kind, path: &str) -> Result<Value, Wrong> {
    match (kind, node) {
        (Kind::Metadata, node) => metadata(node, path),
        (Kind::Object(fields), Node::Table(members)) => Ok(Value::Object(object(members, fields, path)?)),
        (Kind::List(kind), Node::Table(members)) => list(members, *kind, path),
        (Kind::Range, Node::Table(members)) => Ok(Value::Object(object(members, RANGE, path)?)),
        (Kind::Object(_) | Kind::List(_), Node::Text(text)) if text.is_empty() => Ok(Value::Null),
        (Kind::Object(_), Node::Text(_)) => Err(Wrong::invalid("Invalid object").at(path)),
        (Kind::List(_), Node::Text(_)) => Err(Wrong::invalid("Invalid array").at(path)),
        (Kind::Text, Node::Text(text)) => short(text, TEXT_CHARS_MAX, path),
        (Kind::Short(most), Node::Text(text)) => short(without_control(text, |_| false, path)?, most, path),
        (Kind::Prose(most), Node::Text(text)) => short(without_control(text, is_layout, path)?, most, path),
        (Kind::Url, Node::Text(text)) => address(text, path),
        (Kind::Word(words), Node::Text(text)) => word(&text, words, path),
        (Kind::Integer(least), Node::Text(text)) => integer(&text, least, path),
        (Kind::Time | Kind::Range, Node::Text(text)) => integer(&text, 0, path),
        (Kind::Bool, Node::Text(text)) => match text.as_str() {
            // stripe-python before 13 and stripe-dotnet write the second form.
            "true" | "True" => Ok(Value::Bool(true)),
            "false" | "False" => Ok(Value::Bool(false)),
            other => Err(Wrong::invalid(format!("Invalid boolean: {}", shown(other))).at(path)),
        },
        (Kind::Currency, Node::Text(text)) => currency(&text, path),
        (_, Node::Table(_)) => {
            Err(Wrong::invalid(format!("Invalid value for {path}: a single value is expected")).at(path))
        }
    }
}

fn short(text: String, most: usize, path: &str) -> Result<Value, Wrong> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    if text.chars().count() > most {
        let message = format!("Invalid string: {}…; must be at most {most} characters", shown(&text));
        return Err(Wrong::invalid(message).at(path));
    }
    Ok(Value::String(text))
}

/// The rule of `/v1`, where the same is stored: what nobody can read, or makes lines of its own where it is printed, is no text.
fn without_control(text: String, except: fn(char) -> bool, path: &str) -> Result<String, Wrong> {
    if text.chars().any(|letter| letter.is_control() && !except(letter)) {
        let message = format!("Invalid string: {path} holds a control character (a line break, for example)");
        return Err(Wrong::invalid(message).at(path));
    }
    Ok(text)
}

fn word(text: &str, words: &[&str], path: &str) -> Result<Value, Wrong> {
    if words.contains(&text) {
        return Ok(Value::String(text.to_owned()));
    }
    let all = match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [one, other] => format!("{one} or {other}"),
        [first @ .., last] => format!("one of {}, or {last}", first.join(", ")),
    };
    Err(Wrong::invalid(format!("Invalid {path}: must be {all}")).at(path))
}

fn integer(text: &str, least: i64, path: &str) -> Result<Value, Wrong> {
    if text.is_empty() {
        return Err(empty(path));
    }
    let wrong = |message: String| Wrong::invalid(message).code("parameter_invalid_integer").at(path);
    let digits = text.strip_prefix('-').unwrap_or(text);
    // `+5` (a sum in a form) and `0500` (a number with its places kept) are not what anybody means by five.
    let plain = digits == "0" || digits.starts_with(|first: char| first.is_ascii_digit() && first != '0');
    let number: i64 = text
        .parse()
        .ok()
        .filter(|_| plain)
        .ok_or_else(|| wrong(format!("Invalid integer: {}", shown(text))))?;
    if number < least {
        return Err(wrong(format!("This value must be greater than or equal to {least}.")));
    }
    Ok(Value::from(number))
}

fn currency(text: &str, path: &str) -> Result<Value, Wrong> {
    if text.is_empty() {
        return Err(empty(path));
    }
    if text.to_ascii_uppercase().parse::<Currency>().is_ok() {
        return Ok(Value::String(text.to_ascii_lowercase()));
    }
    Err(money::not_taken(text, path))
}

fn address(text: String, path: &str) -> Result<Value, Wrong> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    // A template such as {CHECKOUT_SESSION_ID} is no letter of an address, but browsers and Stripe take it in one.
    let parsed = url::Url::parse(&text).ok().filter(url::Url::has_host);
    let clean = parsed.is_some_and(|url| url.username().is_empty() && url.password().is_none());
    if clean && text.len() <= URL_CHARS_MAX && is_plainly_http(&text) {
        return Ok(Value::String(text));
    }
    Err(Wrong::invalid("Not a valid URL").code("url_invalid").at(path))
}

/// Refuses what can be no e-mail address. Said where the call is carried out, because what was taken once is answered again.
pub(super) fn is_email(text: &str, path: &str) -> Result<(), Wrong> {
    if can_be_email(text) {
        return Ok(());
    }
    let chars = text.chars().count();
    let mut message = format!("Invalid email address: {}", shown(text));
    if chars > EMAIL_CHARS_MAX {
        message = format!("{message}…; it has {chars} characters, and {EMAIL_CHARS_MAX} are the most");
    }
    Err(Wrong::invalid(message).code("email_invalid").at(path))
}

fn list(members: Form, kind: Kind, path: &str) -> Result<Value, Wrong> {
    if members.len() > LIST_MAX {
        return Err(Wrong::invalid(format!("Array {path} exceeded maximum {LIST_MAX} allowed elements.")).at(path));
    }
    let wrong = || Wrong::invalid("Invalid array").at(path);
    let mut sorted = BTreeMap::new();
    for (at, member) in members {
        let at: usize = at.parse().map_err(|_| wrong())?;
        let inside = join(path, &at.to_string());
        let value = value(member, kind, &inside)?;
        if value.is_null() {
            return Err(empty(&inside));
        }
        if sorted.insert(at, value).is_some() {
            return Err(wrong());
        }
    }
    Ok(Value::Array(sorted.into_values().collect()))
}

fn too_many_names(names: usize) -> Wrong {
    Wrong::invalid(format!(
        "You can have up to {METADATA_NAMES_MAX} metadata keys, but with this call there would be {names}."
    ))
}

/// Names and values; a value that is empty takes the name away, and an empty text takes all of them away.
fn metadata(node: Node, path: &str) -> Result<Value, Wrong> {
    let members = match node {
        Node::Text(text) if text.is_empty() => return Ok(Value::Null),
        Node::Text(_) => return Err(Wrong::invalid("Invalid object").at(path)),
        Node::Table(members) => members,
    };
    if members.len() > METADATA_NAMES_MAX {
        return Err(too_many_names(members.len()).at(path));
    }
    let mut given = Map::new();
    for (name, node) in members {
        let Node::Text(value) = node else {
            let message = "Metadata values must be strings, but for key '{name}' you passed in a value of type hash.";
            return Err(Wrong::invalid(message.replace("{name}", &shown(&name))).at(join(path, &shown(&name))));
        };
        let (name_chars, value_chars) = (name.chars().count(), value.chars().count());
        if name_chars > METADATA_NAME_CHARS_MAX {
            let message = format!(
                "Metadata keys can have up to {METADATA_NAME_CHARS_MAX} characters, but you passed in a key that is {name_chars} \
                 characters. Invalid key: {}",
                shown(&name)
            );
            return Err(Wrong::invalid(message).at(path));
        }
        if value_chars > METADATA_VALUE_CHARS_MAX {
            let message = format!(
                "Metadata values can have up to {METADATA_VALUE_CHARS_MAX} characters, but you passed in a value that is {value_chars} \
                 characters. Invalid value: {}…",
                shown(&value)
            );
            return Err(Wrong::invalid(message).at(join(path, &shown(&name))));
        }
        let value = without_control(value, is_layout, &join(path, &shown(&name)))?;
        given.insert(without_control(name, |_| false, path)?, Value::String(value));
    }
    Ok(Value::Object(given))
}

/// A form that kept to its table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Given(Map<String, Value>);

impl Given {
    /// Whether the caller named it at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Refuses what was named and left empty: there is nothing that it could take away.
    pub(super) fn nothing_empty(&self) -> Result<(), Wrong> {
        match self.0.iter().find(|(_, value)| value.is_null()) {
            Some((name, _)) => Err(empty(name)),
            None => Ok(()),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// A table within.
    pub(super) fn table(&self, name: &str) -> Option<Given> {
        self.0.get(name)?.as_object().map(|table| Self(table.clone()))
    }

    /// Tables of a list.
    pub(super) fn tables(&self, name: &str) -> Vec<Given> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .map(|table| Self(table.clone()))
            .collect()
    }

    /// Texts of a list.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// The value as it stands, for what a door only keeps and shows.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn time(&self, name: &str) -> Option<Timestamp> {
        self.integer(name).map(moment)
    }

    /// A currency, of a field that is one.
    pub(super) fn currency(&self, name: &str) -> Option<Currency> {
        self.text(name)?.to_ascii_uppercase().parse().ok()
    }

    /// Metadata of something new.
    pub(super) fn metadata(&self, name: &str) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::new();
        self.merge_metadata(name, &mut metadata);
        metadata
    }

    /// Metadata as this call leaves it: what it had and what it is given together are bounded as well.
    pub(super) fn change_metadata(&self, name: &str, metadata: &mut BTreeMap<String, String>) -> Result<(), Wrong> {
        let before = metadata.len();
        self.merge_metadata(name, metadata);
        let names = metadata.len();
        // More than that may be there from another door; it can be made less.
        if names > METADATA_NAMES_MAX && names > before {
            return Err(too_many_names(names).at(name));
        }
        Ok(())
    }

    fn merge_metadata(&self, name: &str, metadata: &mut BTreeMap<String, String>) {
        match self.0.get(name) {
            Some(Value::Null) => metadata.clear(),
            Some(Value::Object(given)) => {
                for (name, value) in given {
                    match value.as_str() {
                        None | Some("") => metadata.remove(name),
                        Some(value) => metadata.insert(name.clone(), value.to_owned()),
                    };
                }
            }
            Some(_) | None => {}
        }
    }

    /// A field as this call leaves it: kept, replaced, or taken away.
    pub(super) fn change_text(&self, name: &str, field: &mut Option<String>) {
        if self.has(name) {
            *field = self.owned(name);
        }
    }

    /// The same of an e-mail address.
    pub(super) fn change_email(&self, name: &str, field: &mut Option<String>) -> Result<(), Wrong> {
        if let Some(text) = self.text(name) {
            is_email(text, name)?;
        }
        self.change_text(name, field);
        Ok(())
    }

    /// Bounds of a moment: from, and to but not with it.
    pub(super) fn range(&self, name: &str) -> (Option<Timestamp>, Option<Timestamp>) {
        match self.0.get(name) {
            Some(Value::Number(exact)) => {
                let at = exact.as_i64().unwrap_or(0);
                (Some(moment(at)), Some(moment(at.saturating_add(1))))
            }
            Some(Value::Object(bounds)) => {
                let bound = |name: &str, more: i64| {
                    let at = bounds.get(name).and_then(Value::as_i64)?;
                    Some(moment(at.saturating_add(more)))
                };
                let from = [bound("gte", 0), bound("gt", 1)].into_iter().flatten().max();
                let to = [bound("lt", 0), bound("lte", 1)].into_iter().flatten().min();
                (from, to)
            }
            Some(_) | None => (None, None),
        }
    }
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::default().plus_seconds(seconds)
}

#[cfg(test)]
mod tests {
    use super::super::form::parse;
    use super::*;

    const LINE: &[Field] = &[may("price", Kind::Text), may("quantity", Kind::Integer(1))];
    const TABLE: &[Field] = &[
        must("amount", Kind::Integer(1)),
        must("currency", Kind::Currency),
        may("confirm", Kind::Bool),
        may(
            "capture_method",
            Kind::Word(&["automatic", "automatic_async", "manual"]),
        ),
        may("description", Kind::Prose(10)),
        may("name", Kind::Short(10)),
        may("metadata", Kind::Metadata),
        may("lines", Kind::List(&Kind::Object(LINE))),
        may("shipping", Kind::Object(SHIPPING)),
        may("return_url", Kind::Url),
        may("created", Kind::Range),
    ];

    fn given(form: &str) -> Result<Given, Wrong> {
        read(parse(form.as_bytes())?, &[TABLE])
    }

    #[test]
    fn what_the_table_names_comes_out_each_of_its_kind() {
        let given = given(
            "amount=1099&currency=EUR&confirm=true&capture_method=manual&lines[1][price]=b&lines[0][price]=a&lines[0][quantity]=2&\
             metadata[a]=1&metadata[b]=&return_url=https://shop.test/%7BCHECKOUT_SESSION_ID%7D&expand[]=customer",
        )
        .unwrap();
        assert_eq!(
            (given.integer("amount"), given.text("currency")),
            (Some(1099), Some("eur"))
        );
        assert_eq!(
            (given.flag("confirm"), given.text("capture_method")),
            (Some(true), Some("manual"))
        );
        let prices: Vec<_> = given.tables("lines").iter().map(|line| line.owned("price")).collect();
        assert_eq!(prices, [Some("a".to_owned()), Some("b".to_owned())]);
        assert_eq!(
            given.metadata("metadata"),
            BTreeMap::from([("a".to_owned(), "1".to_owned())])
        );
        assert_eq!(given.texts("expand"), ["customer"]);
        assert_eq!(
            given.text("return_url"),
            Some("https://shop.test/{CHECKOUT_SESSION_ID}")
        );
    }

    #[test]
    fn each_mistake_is_named_as_stripe_names_it() {
        for (form, code, param, message) in [
            (
                "amount=1&currency=eur&colour=red",
                "parameter_unknown",
                "colour",
                "Received unknown parameter: colour",
            ),
            (
                "colour=red",
                "parameter_unknown",
                "colour",
                "Received unknown parameter: colour",
            ),
            ("a=1&b=2", "parameter_unknown", "a", "Received unknown parameters: a, b"),
            (
                "amount=1&currency=eur&lines[0][colour]=red",
                "parameter_unknown",
                "lines[0][colour]",
                "Received unknown parameter: lines[0][colour]",
            ),
            (
                "currency=eur",
                "parameter_missing",
                "amount",
                "Missing required param: amount.",
            ),
            (
                "amount=1&currency=eur&shipping[name]=J",
                "parameter_missing",
                "shipping[address]",
                "Missing required param: shipping[address].",
            ),
            (
                "amount=x&currency=eur",
                "parameter_invalid_integer",
                "amount",
                "Invalid integer: x",
            ),
            (
                "amount=1.5&currency=eur",
                "parameter_invalid_integer",
                "amount",
                "Invalid integer: 1.5",
            ),
            (
                "amount=0&currency=eur",
                "parameter_invalid_integer",
                "amount",
                "This value must be greater than or equal to 1.",
            ),
            (
                "amount=1&currency=eur&return_url=javascript:1",
                "url_invalid",
                "return_url",
                "Not a valid URL",
            ),
            (
                "amount=1&currency=eur&return_url=https://a:b@c/",
                "url_invalid",
                "return_url",
                "Not a valid URL",
            ),
            (
                "amount=1&currency=eur&return_url=https:shop.example",
                "url_invalid",
                "return_url",
                "Not a valid URL",
            ),
        ] {
            let wrong = given(form).unwrap_err();
            assert_eq!(
                (
                    wrong.code.as_deref(),
                    wrong.param.as_deref(),
                    wrong.message.as_str(),
                    wrong.status
                ),
                (Some(code), Some(param), message, 400),
                "{form}"
            );
        }
        for (form, param, message) in [
            ("amount=1&currency=eur&confirm=yes", "confirm", "Invalid boolean: yes"),
            ("amount=1&currency=eur&confirm=TRUE", "confirm", "Invalid boolean: TRUE"),
            ("amount=1&currency=eur&confirm=1", "confirm", "Invalid boolean: 1"),
            (
                "amount=1&currency=eur&capture_method=later",
                "capture_method",
                "Invalid capture_method: must be one of automatic, automatic_async, or manual",
            ),
            ("amount=1&currency=eur&metadata=a", "metadata", "Invalid object"),
            ("amount=1&currency=eur&lines=a", "lines", "Invalid array"),
            ("amount=1&currency=eur&lines[a][price]=a", "lines", "Invalid array"),
        ] {
            let wrong = given(form).unwrap_err();
            assert_eq!(
                (wrong.param.as_deref(), wrong.message.as_str()),
                (Some(param), message),
                "{form}"
            );
        }
        let empty = given("amount=&currency=eur").unwrap_err();
        assert_eq!(
            (empty.code.as_deref(), empty.param.as_deref()),
            (Some("parameter_invalid_empty"), Some("amount"))
        );
        for (currency, reads) in [("xau", false), ("euro", false), ("EUR", true), ("clf", true)] {
            let given = given(&format!("amount=1&currency={currency}"));
            assert_eq!(given.is_ok(), reads, "{currency}");
        }
        assert!(given(&format!("amount=1&currency=eur&description={}", "x".repeat(11))).is_err());
        assert!(given(&format!("amount=1&currency=eur&metadata[{}]=1", "x".repeat(41))).is_err());
    }

    #[test]
    fn a_number_is_written_as_people_write_one() {
        for (text, amount) in [
            ("500", Some(500)),
            ("1", Some(1)),
            ("%2B500", None),
            ("0500", None),
            ("+500", None),
            ("00", None),
            ("5e2", None),
        ] {
            match (given(&format!("amount={text}&currency=eur")), amount) {
                (Ok(given), Some(_)) => assert_eq!(given.integer("amount"), amount, "{text}"),
                (Err(wrong), None) => assert!(
                    wrong.message.starts_with("Invalid integer: "),
                    "{text}: {}",
                    wrong.message
                ),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
        let small = given("amount=-5&currency=eur").unwrap_err();
        assert_eq!(small.message, "This value must be greater than or equal to 1.");
    }

    #[test]
    fn a_name_has_one_line_and_a_description_may_have_several() {
        let read = |field: &str, text: &str| given(&format!("amount=1&currency=eur&{field}={text}"));
        assert!(read("description", "a%0Ab%09").is_ok() && read("metadata[a]", "a%0D%0Ab").is_ok());
        for (field, text, param) in [
            ("name", "a%0Ab", "name"),
            ("name", "a%1B[2J", "name"),
            ("description", "a%1B", "description"),
            ("description", "%C2%85", "description"),
            ("metadata[a]", "%1B", "metadata[a]"),
            ("metadata[a%0A]", "b", "metadata"),
        ] {
            let wrong = read(field, text).unwrap_err();
            assert_eq!(wrong.param.as_deref(), Some(param), "{field}={text}");
            assert!(
                wrong.message.contains("control character") && !wrong.message.contains('\u{1b}'),
                "{}",
                wrong.message
            );
        }
    }

    #[test]
    fn a_boolean_reads_as_older_libraries_write_it() {
        for (text, flag) in [("true", true), ("True", true), ("false", false), ("False", false)] {
            let given = given(&format!("amount=1&currency=eur&confirm={text}")).unwrap();
            assert_eq!(given.flag("confirm"), Some(flag), "{text}");
        }
    }

    #[test]
    fn an_address_of_mail_has_two_sides_and_no_blank() {
        let long = format!("{}@shop.test", "a".repeat(245));
        for good in ["a@b", "first+\"ü\"@shop.test", "o'neil@例え.jp", &long[1..]] {
            assert_eq!(is_email(good, "email"), Ok(()), "{good}");
        }
        for odd in [
            "",
            "a",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "a@b\n",
            "J <a@b> ",
            "a@b\u{a0}c",
            &long,
        ] {
            let wrong = is_email(odd, "receipt_email").unwrap_err();
            let (code, param) = (wrong.code.as_deref(), wrong.param.as_deref());
            assert_eq!((code, param), (Some("email_invalid"), Some("receipt_email")), "{odd}");
            assert!(
                wrong.message.starts_with("Invalid email address: "),
                "{}",
                wrong.message
            );
        }
        let wrong = is_email(&long, "email").unwrap_err();
        let end = "…; it has 255 characters, and 254 are the most";
        assert!(
            wrong.message.ends_with(end) && wrong.message.chars().count() < 160,
            "{}",
            wrong.message
        );
    }

    #[test]
    fn an_empty_text_takes_away_what_is_there() {
        let given = given("amount=1&currency=eur&description=&metadata[a]=").unwrap();
        let mut description = Some("old".to_owned());
        given.change_text("description", &mut description);
        assert_eq!(description, None);
        let mut metadata = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        given.change_metadata("metadata", &mut metadata).unwrap();
        assert_eq!(metadata.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn bounds_of_a_moment_are_from_and_before() {
        let at = |seconds: i64| Some(Timestamp::from_millis(seconds * 1_000));
        let range = |form: &str| {
            given(&format!("amount=1&currency=eur&{form}"))
                .unwrap()
                .range("created")
        };
        assert_eq!(range("created=7"), (at(7), at(8)));
        assert_eq!(range("created[gte]=7"), (at(7), None));
        assert_eq!(range("created[gt]=7&created[lte]=9"), (at(8), at(10)));
        assert_eq!(range("confirm=true"), (None, None));
    }
}
