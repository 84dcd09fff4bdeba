//! Card numbers: none in our sources, fixtures and documents but the published test numbers, and those only where
//! somebody types them.

use crate::Finding;

/// Where published test numbers may stand: the sandbox that knows them, the shop that tells newcomers, and tests.
const PLACES: &[&str] = &[
    "crates/sandbox/",
    "crates/shop/",
    "crates/florin/tests/",
    "tests/",
    "docs/",
    "README.md",
];

/// The file whose numbers are the published ones.
pub const PUBLISHED: &str = "crates/sandbox/src/cards/table.rs";

/// Numbers that tests show to be refused, each with whose they are.
const REFUSED: &[(&str, &str)] = &[
    ("4111111111111111", "a test number of other processors"),
    ("424242424242424", "a published one with a digit too few"),
];

/// How many digits a card number has.
const DIGITS: std::ops::RangeInclusive<usize> = 14..=19;

/// A card number and the line it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// Counted from 1.
    pub line: usize,
    /// Digits only.
    pub digits: String,
}

/// The card numbers in a text: as many digits as a card has, perhaps in groups, of a known scheme, with a right check digit.
pub fn numbers(text: &str) -> Vec<Number> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for run in line.split(|c: char| !(c.is_ascii_digit() || c == ' ' || c == '-')) {
            let grouped = run.trim_matches([' ', '-']);
            let digits: String = grouped.chars().filter(char::is_ascii_digit).collect();
            if is_grouped_like_a_card(grouped) && is_card_number(&digits) {
                found.push(Number { line: at + 1, digits });
            }
        }
    }
    found
}

/// Holds a file against the rule.
pub fn check(path: &str, text: &str, published: &[Number]) -> Vec<Finding> {
    let known = |number: &Number| {
        published.iter().any(|one| one.digits == number.digits)
            || REFUSED.iter().any(|(refused, _)| *refused == number.digits)
    };
    let place = PLACES.iter().any(|place| path.starts_with(place));
    let mask = |digits: &str| format!("{}…{}", &digits[..6], &digits[digits.len() - 4..]);
    numbers(text)
        .iter()
        .filter_map(|number| {
            let what = if !known(number) && path != PUBLISHED {
                format!(
                    "{} may be somebody's card: only published test numbers",
                    mask(&number.digits)
                )
            } else if !place {
                format!(
                    "{}: a test number, where no card number belongs; use the test card's name",
                    mask(&number.digits)
                )
            } else {
                return None;
            };
            Some(Finding::new(path, number.line, what))
        })
        .collect()
}

/// One run of digits, or groups of three to six with single spaces or hyphens between them.
fn is_grouped_like_a_card(run: &str) -> bool {
    let groups: Vec<&str> = run.split([' ', '-']).collect();
    groups.len() == 1 || groups.iter().all(|group| (3..=6).contains(&group.len()))
}

fn is_card_number(digits: &str) -> bool {
    DIGITS.contains(&digits.len()) && is_of_a_scheme(digits) && passes_luhn(digits)
}

fn is_of_a_scheme(digits: &str) -> bool {
    let starts = |length: usize| digits[..length].parse::<u32>().expect("digits only");
    matches!(starts(2), 34 | 37 | 30 | 35 | 36 | 38 | 62 | 65 | 40..=49 | 51..=55)
        || matches!(starts(4), 6011 | 2221..=2720)
}

fn passes_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .map(|byte| u32::from(byte - b'0'))
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => digit,
            (_, doubled) => doubled / 10 + doubled % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}
