//! Bodies and queries as Stripe's clients write them: `application/x-www-form-urlencoded` with brackets, read into a tree.
//!
//! `line_items[0][price_data][currency]=eur`, `expand[]=customer`, `metadata[order]=A-17`. Reading is strict: what has no clear meaning
//! (half a bracket, a name that is a text and a table at once, the same name twice) is refused, not guessed.

use florin_core::card;

use super::wrong::Wrong;

/// Names in one form. A session with 100 lines has about 1,000.
const PAIRS_MAX: usize = 2_000;
/// Brackets in one name.
const DEPTH_MAX: usize = 8;
/// Longest name of a parameter.
const NAME_BYTES_MAX: usize = 512;

/// A value, a list or a table of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// What stands after the `=`.
    Text(String),
    /// What stands in brackets, in the order in which it came. Members of a list are named `0`, `1`, ….
    Table(Vec<(String, Node)>),
}

impl Node {
    fn table(&mut self) -> Option<&mut Vec<(String, Node)>> {
        match self {
            Self::Text(_) => None,
            Self::Table(members) => Some(members),
        }
    }
}

/// The members of a form.
pub(super) type Form = Vec<(String, Node)>;

/// Reads a form.
pub(super) fn parse(text: &[u8]) -> Result<Form, Wrong> {
    let mut form = Node::Table(Vec::new());
    for (count, pair) in text
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .enumerate()
    {
        if count >= PAIRS_MAX {
            return Err(Wrong::invalid(format!("A request has at most {PAIRS_MAX} parameters")));
        }
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let name = decode(&pair[..at]).map_err(|why| Wrong::invalid(format!("Invalid parameter name: {why}")))?;
        let value = decode(pair.get(at + 1..).unwrap_or_default()).map_err(|why| {
            let name = shown(&name);
            Wrong::invalid(format!("Invalid value for {name}: {why}")).at(name)
        })?;
        let path = path(&name)?;
        insert(&mut form, &path, value, &name)?;
    }
    match form {
        Node::Table(members) => Ok(members),
        Node::Text(_) => Ok(Form::new()),
    }
}

/// A form as bytes that are the same for the same parameters, in whatever order they came and however they were escaped. Members of a list
/// have their places for names, so their order counts.
pub(super) fn canonical(form: &Form) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_table(form, &mut bytes);
    bytes
}

/// Each text after its length, so that no two forms read the same.
fn write_table(members: &Form, bytes: &mut Vec<u8>) {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by(|one, other| one.0.cmp(&other.0)); // no name is there twice
    bytes.extend(format!("{}{{", sorted.len()).bytes());
    for (name, node) in sorted {
        write_text(name, bytes);
        match node {
            Node::Text(text) => write_text(text, bytes),
            Node::Table(members) => write_table(members, bytes),
        }
    }
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend(format!("{}:", text.len()).bytes());
    bytes.extend(text.bytes());
}

/// `a[b][0]` as `a`, `b`, `0`.
fn path(name: &str) -> Result<Vec<&str>, Wrong> {
    let wrong = || Wrong::invalid(format!("Invalid parameter name: {}", shown(name)));
    let head = name.find('[').unwrap_or(name.len());
    let (first, mut rest) = name.split_at(head);
    if first.is_empty() || first.contains(']') || name.len() > NAME_BYTES_MAX {
        return Err(wrong());
    }
    let mut path = vec![first];
    while !rest.is_empty() {
        let (inside, after) = rest
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .ok_or_else(wrong)?;
        if inside.contains('[') || path.len() > DEPTH_MAX {
            return Err(wrong());
        }
        path.push(inside);
        rest = after;
    }
    Ok(path)
}

fn insert(node: &mut Node, path: &[&str], value: String, name: &str) -> Result<(), Wrong> {
    let twice = || {
        Wrong::invalid(format!(
            "Received the parameter {} twice, or in two shapes",
            shown(name)
        ))
    };
    let (first, rest) = path.split_first().ok_or_else(twice)?;
    let members = node.table().ok_or_else(twice)?;
    let key = match (first.is_empty(), rest.first()) {
        (false, _) => (*first).to_owned(),
        // `list[][name]`: the next member begins where a name comes again.
        (true, Some(next)) => {
            let last = members.len().checked_sub(1);
            let open = last.filter(|last| match &members[*last].1 {
                Node::Table(inside) => inside.iter().all(|(known, _)| known != next),
                Node::Text(_) => false,
            });
            open.unwrap_or(members.len()).to_string()
        }
        (true, None) => members.len().to_string(),
    };
    let known = members.iter().position(|(known, _)| *known == key);
    match (known, rest.is_empty()) {
        (Some(_), true) => Err(twice()),
        (None, true) => {
            members.push((key, Node::Text(value)));
            Ok(())
        }
        (Some(at), false) => insert(&mut members[at].1, rest, value, name),
        (None, false) => {
            let mut fresh = Node::Table(Vec::new());
            insert(&mut fresh, rest, value, name)?;
            members.push((key, fresh));
            Ok(())
        }
    }
}

/// `+` and `%2F` as what they stand for.
fn decode(text: &[u8]) -> Result<String, &'static str> {
    let wrong = "a % is not followed by two hexadecimal digits";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
                let (high, low) = (digit(rest.next()).ok_or(wrong)?, digit(rest.next()).ok_or(wrong)?);
                u8::try_from(high * 16 + low).map_err(|_| wrong)?
            }
            other => *other,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    // A database cannot hold it, and no honest client sends it.
    if text.contains('\0') {
        Err("it holds the character NUL (%00), which cannot be kept")
    } else {
        Ok(text)
    }
}

/// What stands in a message for a text with a card number in it.
const NOT_SHOWN: &str = "(what looks like a card number is not repeated)";

/// A name as it may stand in a message.
pub(super) fn shown(name: &str) -> String {
    if card::holds_number(name) {
        return NOT_SHOWN.to_owned();
    }
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Node {
        Node::Text(value.to_owned())
    }

    fn table(members: &[(&str, Node)]) -> Node {
        Node::Table(
            members
                .iter()
                .map(|(name, node)| ((*name).to_owned(), node.clone()))
                .collect(),
        )
    }

    #[test]
    fn brackets_read_as_tables_and_lists() {
        let form = parse(b"amount=1099&line_items[0][price]=p1&line_items[0][quantity]=2&line_items[1][price]=p2&metadata%5Border%5D=A-17");
        let line = |price: &str, more: &[(&str, Node)]| table(&[&[("price", text(price))], more].concat());
        assert_eq!(
            Node::Table(form.unwrap()),
            table(&[
                ("amount", text("1099")),
                (
                    "line_items",
                    table(&[("0", line("p1", &[("quantity", text("2"))])), ("1", line("p2", &[]))])
                ),
                ("metadata", table(&[("order", text("A-17"))])),
            ])
        );
    }

    #[test]
    fn empty_brackets_count_on() {
        assert_eq!(
            Node::Table(parse(b"expand[]=customer&expand[]=latest_charge").unwrap()),
            table(&[(
                "expand",
                table(&[("0", text("customer")), ("1", text("latest_charge"))])
            )])
        );
        let lines = parse(b"l[][a]=1&l[][b]=2&l[][a]=3").unwrap();
        assert_eq!(
            Node::Table(lines),
            table(&[(
                "l",
                table(&[
                    ("0", table(&[("a", text("1")), ("b", text("2"))])),
                    ("1", table(&[("a", text("3"))]))
                ])
            )])
        );
    }

    #[test]
    fn a_form_is_the_same_in_any_order_of_its_names_and_another_in_another_order_of_its_list() {
        let canonical = |form: &str| canonical(&parse(form.as_bytes()).unwrap());
        for (one, other) in [
            ("a=1&b=2", "b=2&a=1"),
            ("m[x]=1&a=2&m[y]=3", "m[y]=3&m[x]=1&a=2"),
            (
                "l[][b]=1&l[][a]=2&l[][b]=3&l[][a]=4",
                "l[0][a]=2&l[1][a]=4&l[1][b]=3&l[0][b]=1",
            ),
            ("a=%7E+b", "a=~%20b"),
            ("a=", "a"),
        ] {
            assert_eq!(canonical(one), canonical(other), "{one}");
        }
        for (one, other) in [
            ("a=1", "a=2"),
            ("a=1", "b=1"),
            ("a=1", "a=1&b="),
            ("e[]=1&e[]=2", "e[]=2&e[]=1"),
            ("a[b]=1", "a%5Bb%5D=1&c=1"),
            ("a[b]=1&c=2", "a[b]=1&a[c]=2"),
            ("a=1&b=2", "a=11:b1:2"),
            ("ab=c", "a=bc"),
            ("a[b]=c", "a=1{bc"),
        ] {
            assert_ne!(canonical(one), canonical(other), "{one}");
        }
    }

    #[test]
    fn what_was_escaped_comes_back() {
        let form = parse("name=Z%C3%BCrich+%26%20more&empty=&bare&e%5B%5D=%5D".as_bytes()).unwrap();
        assert_eq!(
            Node::Table(form),
            table(&[
                ("name", text("Zürich & more")),
                ("empty", text("")),
                ("bare", text("")),
                ("e", table(&[("0", text("]"))])),
            ])
        );
        assert_eq!(parse(b"").unwrap(), Form::new());
    }

    #[test]
    fn what_has_no_clear_meaning_is_refused() {
        for odd in [
            "a=1&a=2",
            "a=1&a[b]=2",
            "a[b]=2&a=1",
            "a[b=1",
            "a]=1",
            "a[b]c=1",
            "[a]=1",
            "=1",
            "a=%zz",
            "a=%f",
            "a=%ff",
            "a=%00",
            "a[[b]]=1",
            &format!("a{}=1", "[b]".repeat(20)),
            &format!("{}=1", "a".repeat(1_000)),
            &"a[]=1&".repeat(3_000),
        ] {
            assert!(parse(odd.as_bytes()).is_err(), "{}", shown(odd));
        }
    }

    #[test]
    fn what_does_not_read_is_said_of_the_parameter_that_it_stands_in() {
        for (form, param, message) in [
            (
                "a[b]=%zz",
                Some("a[b]"),
                "Invalid value for a[b]: a % is not followed by two hexadecimal digits",
            ),
            ("a=%ff", Some("a"), "Invalid value for a: it is not UTF-8"),
            (
                "a=b%00c",
                Some("a"),
                "Invalid value for a: it holds the character NUL (%00), which cannot be kept",
            ),
            ("%ff=1", None, "Invalid parameter name: it is not UTF-8"),
        ] {
            let wrong = parse(form.as_bytes()).unwrap_err();
            assert_eq!((wrong.param.as_deref(), wrong.message.as_str()), (param, message));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_form_breaks_the_reader(text in "[a-c=&\\[\\]%+0-9]{0,60}") {
            let _ = parse(text.as_bytes());
        }
    }
}
